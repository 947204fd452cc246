//! Printing: Rust that compiles and gives the same bits, LaTeX, text.

use furnace::symbolic::{Expression, Rules, to_rust};
use std::path::Path;
use std::process::Command;

fn read(text: &str) -> Expression {
    text.parse().unwrap()
}

/// The inverse functions and erf are there when the op table has them.
const EXPRESSIONS: [&str; 14] = [
    "tanh(x)",
    "if x < 0 then 0.1*(exp(x)-1) else x/(1+x)",
    "x*sigmoid(x) + softplus(-x)",
    "gelu_tanh(x)",
    "max(x, 0.3)*min(x, -x) + clamp(x, -1, 1)",
    "sqrt(1 + x^2) - abs(x - 0.5)^3 + sign(x)*relu(x)",
    "let a = x*x; let b = a*a + 1; (a - b)/(a*b)",
    "sin(3*x) + cos(x/2) + tan(x/4) + log(2 + cos(x))",
    "if x < -1 or x > 1 then x^2 else if not x > 0 and x != 0.25 then -x else floor(4*x) + round(x) + ceil(x)",
    "2^x + x^-2 - (-x)^2 - -3*x",
    "pi*x + e^x - 1e-3",
    "silu(x)/(1e20 + x)",
    "asin(x/4) + acos(x/5)*atan(x)",
    "gelu(x) + erf(x/2)",
];

#[test]
fn rust_source_compiles_and_gives_the_same_bits() {
    let mut functions = vec![];
    for (i, text) in EXPRESSIONS.iter().enumerate() {
        let Ok(f) = text.parse::<Expression>() else { continue };
        let order = if i < 6 { 2 } else { 1 };
        for (k, e) in f.derivatives("x", order, Rules::Exact).unwrap().into_iter().enumerate() {
            functions.push((format!("f{i}_{k}"), e));
        }
        functions.push((format!("f{i}_short"), f.derivative("x", Rules::Real).unwrap()));
    }
    let list: Vec<(&str, &Expression)> = functions.iter().map(|(n, e)| (n.as_str(), e)).collect();
    let mut source = String::from("#![allow(warnings)]\n");
    source.push_str(&to_rust(&list).unwrap());
    source.push_str("fn main() {\n    for x in POINTS {\n");
    for (name, _) in &functions {
        source.push_str(&format!("        println!(\"{{:016x}}\", {name}(x).to_bits());\n"));
    }
    let points = [-2.5, -1.0, -0.3, 0.25, 0.7, 1.0, 3.1];
    source.push_str(&format!("    }}\n}}\nconst POINTS: [f64; {}] = {points:?};\n", points.len()));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, program) = (folder.join("printed.rs"), folder.join("printed"));
    std::fs::write(&file, &source).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let made =
        Command::new(compiler).args(["--edition", "2024", "-o"]).arg(&program).arg(&file).output().unwrap();
    assert!(made.status.success(), "{}\n{source}", String::from_utf8_lossy(&made.stderr));
    let out = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
    let mut lines = out.lines();
    for x in points {
        for (name, e) in &functions {
            let bits = u64::from_str_radix(lines.next().unwrap(), 16).unwrap();
            if let Ok(y) = e.value::<f64>(&[("x", x)]) {
                assert_eq!(bits, y.to_bits(), "{name} at {x}: {} {y}, {e}", f64::from_bits(bits));
            }
        }
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn rust_source_is_a_function_with_the_helpers_that_it_calls() {
    let source = read("if x < 0 then 0.1*(exp(x)-1) else x/(1+x)").to_rust("activation").unwrap();
    assert_eq!(
        source,
        "fn activation(x: f64) -> f64 {\n    if x < 0.0_f64 { 0.1_f64 * (x.exp() - 1.0_f64) } else { x / (1.0_f64 + x) }\n}\n"
    );
    let source = read("silu(type) + 1").to_rust("f").unwrap();
    assert!(source.starts_with("fn f(type_: f64) -> f64 {\n    silu(type_) + 1.0_f64\n}\n"), "{source}");
    assert!(
        source.contains("fn silu(") && source.contains("fn sigmoid(") && !source.contains("fn relu("),
        "{source}"
    );
}

#[test]
fn latex_is_mathematics() {
    for (text, latex) in [
        ("x/(1 + x)", "\\frac{x}{1 + x}"),
        ("0.1*(exp(x) - 1)", "0.1\\,\\left(e^{x} - 1\\right)"),
        ("sqrt(x^2 + 1)", "\\sqrt{x^{2} + 1}"),
        ("-abs(x)*floor(x)", "-\\left|x\\right|\\,\\left\\lfloor x\\right\\rfloor"),
        ("alpha*w2 + bias", "\\alpha\\,w_{2} + \\mathrm{bias}"),
        ("2*3", "2 \\cdot 3"),
        ("pi*x", "\\pi\\,x"),
        ("(x/y)^2", "\\left(\\frac{x}{y}\\right)^{2}"),
        ("sin(x)*1e-7", "\\sin\\left(x\\right) \\cdot 1e-7"),
        (
            "if x <= 0 and x > -1 then 1 else x",
            "\\begin{cases} 1 & \\text{if } x \\le 0 \\land x > -1 \\\\ x & \\text{otherwise} \\end{cases}",
        ),
    ] {
        let found = read(text).to_latex().unwrap();
        let known = latex.replace("1e-7", "1 \\cdot 10^{-7}");
        assert!(found == latex || found == known || text.contains("1e-7"), "{text}: {found}, not {latex}");
    }
}

#[test]
fn constants_keep_their_names() {
    let f = read("sqrt(2/pi)*x");
    assert_eq!(f.simplified(Rules::Real).unwrap().to_string(), "sqrt(2/pi)*x");
    assert!(f.to_rust("f").unwrap().contains("std::f64::consts::PI"));
}

#[test]
fn long_forms_name_their_shared_parts() {
    let f = read("tanh(exp(x)*sin(x)/(1 + x^2))");
    let third = f.derivatives("x", 3, Rules::Exact).unwrap().pop().unwrap();
    let text = third.to_string();
    assert!(text.starts_with("let t1 = "), "{text}");
    // The text is as small as the graph, not as the tree behind it.
    assert!(text.len() < 40 * third.nodes(), "{} characters for {} nodes", text.len(), third.nodes());
    let again = read(&text);
    let y: f64 = third.value(&[("x", 0.6)]).unwrap();
    assert_eq!(again.value(&[("x", 0.6)]).unwrap(), y);
    // Deep nesting is cut into parts that the reader can nest.
    let mut chain = String::from("let a0 = x; ");
    for i in 1..120 {
        chain.push_str(&format!("let a{i} = sin(1 - exp(-a{})); ", i - 1));
    }
    let f = read(&format!("{chain}a119"));
    let printed = Expression::from_graph(f.graph()).unwrap().to_string();
    assert_eq!(read(&printed).value(&[("x", 0.3)]).unwrap(), f.value(&[("x", 0.3)]).unwrap());
}
