//! The choice itself: names, evaluation in each precision, adaptive evaluation, errors.

use furnace::grad;
use furnace::precision::{Evaluation, Given, Precision, evaluate_fn};
use graph::{Literals, Var};

#[test]
fn names() {
    let all = ["f32", "f64", "f80", "dd", "f128", "digits:40", "interval", "interval:60", "adaptive:1e-20"];
    for name in all {
        if name == "f80" && !cfg!(target_arch = "x86_64") {
            continue;
        }
        assert_eq!(name.parse::<Precision>().expect(name).to_string(), name);
    }
    for (bad, says) in [
        ("f16", "write f32, f64"),
        ("digits:", "1 to 100000"),
        ("digits:0", "1 to 100000"),
        ("digits:1000000", "1 to 100000"),
        ("adaptive:0", "above 0 and below 1"),
        ("adaptive:nan", "above 0 and below 1"),
        ("f64:3", "nothing after a colon"),
    ] {
        let e = bad.parse::<Precision>().expect_err(bad).to_string();
        assert!(e.contains(says) && e.contains(bad), "{bad}: {e}");
    }
}

/// 10^16 + 1 − 10^16 and a tenth thrice less three tenths: each format in its own way.
#[test]
fn the_same_graph_in_every_precision() {
    let f = |x: &[Var]| vec![(&x[0] + 1.0) - &x[0], &x[0] * 0.0 + 0.1 + 0.2 - 0.3];
    let run = |p: &str, literals| {
        let how = Evaluation { precision: p.parse().expect(p), literals, accumulator: None };
        let made = evaluate_fn(f, &[Given::number("1e16")], &how).expect(p);
        (made[0].nearest.to_f64()[0], made[1].nearest.to_f64()[0])
    };
    let decimal = Literals::Decimal;
    assert_eq!(run("f32", decimal).0, 0.0);
    assert_eq!(run("f64", decimal), (0.0, 0.1 + 0.2 - 0.3));
    for p in ["dd", "f128", "digits:40", "interval:40", "adaptive:1e-20"] {
        let (one, none) = run(p, decimal);
        assert!((one - 1.0).abs() < 1e-15 && none.abs() < 1e-30, "{p}: {one} {none}");
        // As doubles, 0.1 + 0.2 − 0.3 is 2^-55.
        assert!((run(p, Literals::Binary).1 - 2f64.powi(-55)).abs() < 1e-30, "{p}");
    }
    // In f64 bounds the difference is anything from 0 to 2.
    assert!(run("interval", decimal).0 <= 2.0);
}

#[test]
fn until_the_bounds_meet() {
    // Rump's expression 1988: f32, f64 and extended precision agree on 1.17…, and the truth is −0.827….
    let rump = |v: &[Var]| {
        let (a, b) = (&v[0], &v[1]);
        let p = |x: &Var, n: f64| x.powf(n);
        let first = p(b, 6.0) * 333.75;
        let second = a.square() * (a.square() * b.square() * 11.0 - p(b, 6.0) - p(b, 4.0) * 121.0 - 2.0);
        vec![first + second + p(b, 8.0) * 5.5 + a / &(b * 2.0)]
    };
    let inputs = [Given::number("77617"), Given::number("33096")];
    let how = |p: &str| Evaluation::from(p.parse::<Precision>().expect(p));
    let truth = -0.827_396_059_946_821_4;
    let plain = evaluate_fn(rump, &inputs, &how("f64")).expect("f64")[0].nearest.to_f64()[0];
    assert!((plain - truth).abs() > 0.5, "{plain}");
    let made = evaluate_fn(rump, &inputs, &how("adaptive:1e-25")).expect("adaptive");
    assert!((made[0].nearest.to_f64()[0] - truth).abs() < 1e-15, "{made:?}");
    assert!(made[0].bounds.as_ref().expect("a bound")[0] <= 1e-25);
    assert!(made[0].decimals[0].starts_with("-8.2739605994682136814116509547"), "{made:?}");
    let wide = &evaluate_fn(rump, &inputs, &how("interval")).expect("interval")[0];
    assert!(wide.bounds.as_ref().expect("a bound")[0] > 1.0);
}

#[test]
fn what_no_number_of_digits_decides() {
    let adaptive = Evaluation::from(Precision::Adaptive { tolerance: 1e-10 });
    // 1/10 three times less 3/10 is 0, which bounds never tell from a small number.
    let sign = |x: &[Var]| vec![(&x[0] + &x[0] + &x[0] - 0.3).sign()];
    let e = evaluate_fn(sign, &[Given::number("0.1")], &adaptive).expect_err("undecided").to_string();
    assert!(e.contains("adaptive:1e-10") && e.contains("5000 digits") && e.contains("sign"), "{e}");
    // A pole is an error at once.
    let pole = |x: &[Var]| vec![grad(|x: &Var| x.log())(&x[0])];
    let e = evaluate_fn(pole, &[Given::number("0")], &adaptive).expect_err("a pole").to_string();
    assert!(e.contains("divide") && e.contains("1 / 0 has no value"), "{e}");
    let e = evaluate_fn(|x| vec![x[0].log()], &[Given::number("0")], &Precision::Interval.into());
    let e = e.expect_err("a pole").to_string();
    assert!(e.contains("log of 0 has no value"), "{e}");
    let e = evaluate_fn(|x| vec![x[0].log()], &[Given::number("1,5")], &Precision::F128.into());
    assert!(e.expect_err("no decimal").to_string().contains("`1,5`"));
}

#[test]
fn accumulators_go_with_any_arithmetic() {
    // 1, many small numbers, −1: what is left of the small ones.
    let mut row = vec!["1"];
    row.extend(["1e-17"; 1000]);
    row.push("-1");
    let run = |accumulator| {
        let how = Evaluation { accumulator, ..Evaluation::from(Precision::F64) };
        evaluate_fn(|x| vec![x[0].sum_all()], &[Given::row(&row)], &how).expect("a sum")[0].nearest.to_f64()
            [0]
    };
    use graph::Accumulator::{Compensated, Exact, Plain, Wider};
    assert_eq!(run(Some(Plain)), 0.0);
    for how in [Compensated, Wider, Exact] {
        // The lost parts are a plain sum of their own.
        assert!((run(Some(how)) / 1e-14 - 1.0).abs() < 1e-12, "{how}");
    }
}
