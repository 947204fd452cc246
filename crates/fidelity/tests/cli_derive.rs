//! `fidelity derive` through the binary.

mod cli_support;

use cli_support::fidelity;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const SEED: &str = "if x < 0 then 0.1*(exp(x)-1) else x/(1+x)";

/// The published values of the activation, 30 digits of the function and four derivatives.
const SEED_VALUES: [(&str, [&str; 5]); 2] = [
    (
        "-0.1",
        [
            "-0.00951625819640404268357509405536",
            "0.0904837418035959573164249059446",
            "0.0904837418035959573164249059446",
            "0.0904837418035959573164249059446",
            "0.0904837418035959573164249059446",
        ],
    ),
    (
        "0.1",
        [
            "0.0909090909090909090909090909091",
            "0.826446280991735537190082644628",
            "-1.5026296018031555221637866266",
            "4.0980807321904241513557817089",
            "-14.9021117534197241867482971233",
        ],
    ),
];

/// Whether two decimals differ by less than 1e-28 times the larger: compared as integers of 40 places.
fn agree(a: &str, b: &str) -> bool {
    let parts = |text: &str| {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
        let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
        let power: i32 = power.parse().unwrap();
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        (negative, digits.trim_start_matches('0').to_string(), whole.len() as i32 + power, digits)
    };
    let (sign_a, a, exponent_a, all_a) = parts(a);
    let (sign_b, b, exponent_b, all_b) = parts(b);
    let place = |exponent: i32, all: &str, kept: &str| exponent - (all.len() - kept.len()) as i32;
    if sign_a != sign_b || place(exponent_a, &all_a, &a) != place(exponent_b, &all_b, &b) {
        return false;
    }
    let first = |text: &str| format!("{text:0<34}")[..34].parse::<u128>().unwrap();
    first(&a).abs_diff(first(&b)) <= 10u128.pow(34 - 28)
}

#[test]
fn the_seed_activation_to_forty_digits() {
    for rules in [&[][..], &["--real-rules"]] {
        for (x, known) in SEED_VALUES {
            let at = format!("x={x}");
            let mut args = vec!["derive", SEED, "--order", "4", "--at", &at, "--digits", "40", "--json"];
            args.extend(rules);
            let found = fidelity(&args).json();
            let values = found["points"][0]["values"].as_array().unwrap();
            for (value, known) in values.iter().zip(known) {
                let value = value.as_str().unwrap();
                assert!(agree(value, known), "x = {x}: {value} {known}");
            }
        }
    }
}

#[test]
fn the_published_points_of_the_seed_activation() {
    let root = std::env::var_os("FIDELITY_GOLDEN").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden"),
        PathBuf::from,
    );
    let Ok(text) = fs::read_to_string(root.join("autodiff/cases.json")) else {
        return println!("skipped: no golden file");
    };
    let cases: Value = serde_json::from_str(&text).unwrap();
    let group = cases["higher_order"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["id"] == "seed_custom_activation")
        .unwrap();
    let points = group["points"].as_array().unwrap();
    let mut args =
        vec!["derive".into(), SEED.to_string(), "--order=4".into(), "--digits=40".into(), "--json".into()];
    for p in points {
        args.push(format!("--at=x={}", p["x"].as_str().unwrap()));
    }
    let found = fidelity(&args).json();
    assert_eq!(found["points"].as_array().unwrap().len(), 8);
    for (p, row) in points.iter().zip(found["points"].as_array().unwrap()) {
        for (known, value) in p["derivs"].as_array().unwrap().iter().zip(row["values"].as_array().unwrap()) {
            let (known, value) = (known.as_str().unwrap(), value.as_str().unwrap());
            assert!(agree(value, known), "x = {}: {value} {known}", p["x"]);
        }
    }
}

#[test]
fn formulas_values_and_counts() {
    let out = fidelity(&["derive", SEED, "--order", "2", "--real-rules", "--at", "x=-1", "--at", "1"]).ok();
    for part in [
        "f   = if x < 0 then 0.1*(exp(x)-1) else x/(1+x)",
        "f'  = if x < 0 then 0.1*exp(x) else (x + 1)^(-2)",
        "f'' = if x < 0 then 0.1*exp(x) else -2*(x + 1)^(-3)",
        "before simplification",
        "x = -1\n  f    -0.06321205588285576\n  f'    0.036787944117144235\n",
        "x = 1\n  f     0.5\n  f'    0.25\n  f''  -0.25\n",
    ] {
        assert!(out.contains(part), "no {part:?} in\n{out}");
    }
    assert!(fidelity(&["derive", "-x^2", "--order", "1"]).ok().contains("f' = -2*x\n"));
    let out = fidelity(&["derive", "a*b + sin(b)", "--wrt", "b", "--at", "a=2,b=pi", "--digits", "20"]).ok();
    assert!(out.contains("df/db = a + cos(b)") && out.contains("df/db   1\n"), "{out}");
    let json = fidelity(&["derive", "x^3", "--order", "3", "--at", "2", "--json"]).json();
    assert_eq!(json["points"][0]["values"], serde_json::json!([8.0, 12.0, 12.0, 6.0]));
    assert_eq!((&json["variable"], &json["rules"]), (&"x".into(), &"exact".into()));
    assert_eq!(json["derivatives"][1]["text"], "3*x^2");
}

#[test]
fn latex_and_rust() {
    let out = fidelity(&["derive", "exp(x)/x", "--latex"]).ok();
    assert!(out.starts_with("f(x) = \\frac{e^{x}}{x}\nf'(x) = "), "{out}");
    let out = fidelity(&["derive", "silu(x)", "--order", "2", "--rust"]).ok();
    for part in ["fn f(x: f64) -> f64 {", "fn df(x: f64)", "fn d2f(x: f64)", "fn sigmoid(x: f64)"] {
        assert_eq!(out.matches(part).count(), 1, "{part} in {out}");
    }
}

#[test]
fn a_picture_with_kinks_and_poles() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.svg");
    let plot = |expression: &str, order: &str| {
        let args = args!["derive", expression, "--order", order, "--plot", file, "--json"];
        let json = fidelity(&args).json();
        (fs::read_to_string(&file).unwrap(), json["features"].clone())
    };
    let (svg, features) = plot(SEED, "2");
    assert!(svg.starts_with("<svg") && svg.contains("f″") && svg.contains("<circle"), "{svg}");
    assert_eq!(features.as_array().unwrap().len(), 1, "{features}");
    assert_eq!((&features[0]["kind"], &features[0]["order"]), (&"kink".into(), &1.into()));
    assert_eq!(features[0]["x"].as_f64(), Some(0.0));
    assert!((features[0]["left"].as_f64().unwrap() - 0.1).abs() < 1e-6);
    let (svg, features) = plot("1/(x - 1)", "1");
    assert_eq!((&features[0]["kind"], features[0]["x"].as_f64()), (&"pole".into(), Some(1.0)), "{features}");
    assert!(svg.contains("dashed"));
    let (_, features) = plot("floor(x/2) + abs(x - 0.25)", "1");
    let kinds: Vec<_> = features
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["kind"].as_str().unwrap(), f["x"].as_f64().unwrap()))
        .collect();
    assert!(kinds.contains(&("jump", -2.0)) && kinds.contains(&("kink", 0.25)), "{kinds:?}");
    let (_, features) = plot("sqrt(x)", "0");
    assert_eq!((&features[0]["kind"], features[0]["x"].as_f64()), (&"edge".into(), Some(0.0)), "{features}");
    let (_, features) = plot("sin(x) + if x < 1 then x else x", "2");
    assert_eq!(features, serde_json::json!([]), "nothing happens there");
}

#[test]
fn errors_say_what_and_where() {
    let fails = |args: &[&str], code: i32, parts: &[&str]| {
        let mut all = vec!["derive"];
        all.extend(args);
        fidelity(&all).fails(code, parts);
    };
    fails(&["1 + tnah(x)"], 1, &["column 5", "did you mean `tanh`?", "\n  1 + tnah(x)\n      ^"]);
    fails(&["a*b"], 1, &["several variables: a, b", "--wrt a"]);
    fails(&["x*y", "--wrt", "z"], 1, &["no variable `z`", "x, y"]);
    fails(&["x", "--at", "y=1"], 1, &["no variable `y`"]);
    fails(&["x*y", "--at", "x=1"], 1, &["no value for y"]);
    fails(&["x*y", "--at", "x=1,x=2"], 1, &["given twice"]);
    fails(&["x", "--at", "x=2*z"], 1, &["depends on `z`"]);
    fails(&["x", "--at", "x=1+"], 1, &["the value of `x`", "column"]);
    fails(&["x/x", "--at", "0"], 1, &["f at x = 0", "0/0", "`x/x`"]);
    fails(&["log(x)", "--at", "0", "--digits", "30"], 1, &["the logarithm of 0", "`log(x)`"]);
    fails(&["x", "--order", "99"], 2, &["99"]);
    fails(&["x", "--digits", "0"], 2, &["0"]);
    fails(&["x", "--plot", "f.svg", "--range", "3:1"], 1, &["the smaller first"]);
    fails(&["x*y", "--wrt", "x", "--plot", "f.svg"], 1, &["have no values: y"]);
    fails(&["x", "--plot", "no/such/folder/f.svg"], 1, &["no folder"]);
    // A derivative without a value where the function has one is an answer.
    let run = fidelity(&["derive", "sqrt(x)", "--at", "0"]);
    assert!(run.err.contains("note: f' at x = 0: divide has no value there"), "{}", run.err);
    let out = run.ok();
    assert!(out.contains("f'   undefined"), "{out}");
}
