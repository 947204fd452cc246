//! The simplifier's rules, each by itself and all together: exact ones bit for bit, real ones to many digits.

use furnace::precision::Digits;
use furnace::symbolic::{Expression, Guard, Kind, Rule, Rules, TABLE};
use graph::Scalar;
use proptest::prelude::*;

/// A pattern of the table as an expression of the variables a, b, c, d, e and the condition s < 0.5.
fn written(pattern: &str, rule: &Rule) -> String {
    let spaced = pattern.replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let conditional = ["(if ?c", "(not ?c", "(and ?c", "(or ?c"].iter().any(|p| rule.from.contains(p));
    let mut text = part(&mut words, conditional);
    let truth = ["(not", "(and", "(or", "(<", "(>"].iter().any(|p| rule.from.starts_with(p));
    if truth {
        text = format!("if {text} then 1 else 2");
    }
    let positive = ["NotNegative", "Positive"].contains(&format!("{:?}", rule.guard).as_str());
    // What the guard asks for.
    if positive {
        format!("let p = exp(a); {}", text.replace('a', "p").replace("pbs", "abs").replace("pnd", "and"))
    } else {
        text
    }
}

fn part(words: &mut Vec<&str>, conditional: bool) -> String {
    let word = words.pop().unwrap();
    if word != "(" {
        return match word {
            "?c" if conditional => "(s < 0.5)".into(),
            "true" => "(0 < 1)".into(),
            "false" => "(0 > 1)".into(),
            _ => word.trim_start_matches('?').to_string(),
        };
    }
    let head = words.pop().unwrap();
    let mut parts = vec![];
    while words.last() != Some(&")") {
        parts.push(part(words, conditional));
    }
    words.pop();
    match (head, &parts[..]) {
        ("if", [c, a, b]) => format!("(if {c} then {a} else {b})"),
        ("neg", [a]) => format!("(-({a}))"),
        ("not", [c]) => format!("(not {c})"),
        ("pow", [a, n]) => format!("({a})^({n})"),
        ("sine", [a]) => format!("sin({a})"),
        ("cosine", [a]) => format!("cos({a})"),
        ("max" | "min", [a, b]) => format!("{head}({a}, {b})"),
        (_, [a]) => format!("{head}({a})"),
        (sign, [a, b]) => format!("({a} {sign} {b})"),
        other => panic!("{other:?}"),
    }
}

fn values(e: &Expression, point: &[(&str, f64)]) -> Vec<(String, f64)> {
    e.variables().iter().map(|v| (v.to_string(), point.iter().find(|(n, _)| n == v).unwrap().1)).collect()
}

fn double(e: &Expression, point: &[(&str, f64)]) -> Option<f64> {
    let at = values(e, point);
    e.value(&at.iter().map(|(n, x)| (n.as_str(), *x)).collect::<Vec<_>>()).ok()
}

fn many_digits(e: &Expression, point: &[(&str, f64)]) -> Option<Digits> {
    let at = values(e, point);
    e.value(&at.iter().map(|(n, x)| (n.as_str(), Digits::from_f64(*x))).collect::<Vec<_>>()).ok()
}

/// Whether two numbers agree to 40 digits.
fn close(a: &Digits, b: &Digits) -> bool {
    let scale = Digits::from_f64(1.0) + a.abs() + b.abs();
    (a.clone() - b.clone()).abs() <= scale * Digits::from_decimal("1e-40").unwrap()
}

/// Points that hold special values too.
fn points() -> Vec<Vec<(&'static str, f64)>> {
    let special = [0.0, -0.0, 1.0, -1.0, 0.3, -2.7, 1e-3, 1e200, -1e-200];
    let names = ["a", "b", "c", "d", "e"];
    let mut seed = 7u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize
    };
    let mut number = move || match next() % 3 {
        0 => special[next() % special.len()],
        _ => (next() % 20001) as f64 / 4000.0 - 2.5,
    };
    let whole = |i: usize, k: usize| ((i * 7 + k * 3) % 7) as f64 - 3.0;
    (0..400)
        .map(|i| {
            let mut p: Vec<_> = names.iter().map(|n| (*n, number())).collect();
            p.extend([("s", (i % 2) as f64), ("n", whole(i, 0)), ("m", whole(i / 7, 1))]);
            p
        })
        .collect()
}

#[test]
fn every_rule_holds_where_both_sides_have_values() {
    for rule in TABLE {
        let read = |p: &str| -> Expression {
            let text = written(p, rule);
            text.parse().unwrap_or_else(|e| panic!("{}: {text}: {e}", rule.name))
        };
        let (from, to) = (read(rule.from), read(rule.to));
        let mut compared = 0;
        // Doubles are quick; many digits are not.
        let points = points().into_iter().take(if rule.kind == Kind::Exact { 400 } else { 90 });
        for p in points {
            if rule.kind == Kind::Exact {
                let Some(x) = double(&from, &p) else { continue };
                let y = double(&to, &p);
                assert_eq!(Some(x.to_bits()), y.map(f64::to_bits), "{}: {x} {y:?} at {p:?}", rule.name);
                compared += 1;
                continue;
            }
            // Real rules at moderate points: at 1e200 forty digits are not forty places.
            if p.iter().any(|(_, x)| x.abs() > 10.0 || (*x != 0.0 && x.abs() < 1e-4)) {
                continue;
            }
            let found = Digits::with(50, || Some((many_digits(&from, &p)?, many_digits(&to, &p)?)));
            let Some((x, y)) = found else { continue };
            let zero = Digits::from_f64(0.0);
            // What the rule assumes of a sign or a factor.
            let assumed = !matches!(rule.name, "sign sign") || x != zero;
            assert!(
                !assumed || close(&x, &y),
                "{}: {} {} at {p:?}",
                rule.name,
                x.to_decimal(),
                y.to_decimal()
            );
            compared += 1;
        }
        assert!(compared >= 8, "{}: compared at {compared} points", rule.name);
        assert!(rule.guard != Guard::Positive || rule.kind != Kind::Exact);
    }
}

/// Random expressions of x and y; `smooth` leaves out steps and what is undefined in many places.
fn expressions(smooth: bool) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => Just("x".to_string()),
        2 => Just("y".to_string()),
        1 => prop::sample::select(vec!["0", "1", "2", "3", "0.1", "-1.5", "0.5", "-0.25", "pi"]).prop_map(String::from),
    ];
    let functions = match smooth {
        true => vec!["exp", "tanh", "sin", "cos", "sigmoid", "silu", "softplus"],
        false => vec![
            "exp", "tanh", "sin", "cos", "sigmoid", "abs", "relu", "sign", "floor", "sqrt", "log", "silu",
        ],
    };
    leaf.prop_recursive(5, 24, 3, move |inner| {
        let f = prop::sample::select(functions.clone());
        prop_oneof![
            4 => (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/"]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            3 => (f, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => (inner.clone(), prop::sample::select(vec!["2", "3", "-1"])).prop_map(|(a, n)| format!("({a})^({n})")),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(c, a, b)| format!("if ({c}) < 0.125 then {a} else {b}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("max({a}, {b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn exact_rules_change_no_bit(text in expressions(false), x in -3.0..3.0f64, y in -2.0..2.0f64) {
        let f: Expression = text.parse().unwrap();
        let g = f.simplified(Rules::Exact).unwrap();
        let point = [("x", x), ("y", y)];
        if let Some(a) = double(&f, &point) {
            let b = double(&g, &point);
            prop_assert_eq!(Some(a.to_bits()), b.map(f64::to_bits), "{} became {}", text, g);
        }
        // A number can come in (x + x as 2 x), never more than that.
        prop_assert!(g.nodes() <= f.nodes() + f.nodes() / 3 + 1, "{} became {}", text, g);
    }

}

proptest! {
    // A search among thousands of forms each.
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn real_rules_keep_forty_digits(text in expressions(true), x in 0.1..2.0f64, y in -2.0..-0.1f64) {
        let f: Expression = text.parse().unwrap();
        let g = f.simplified(Rules::Real).unwrap();
        let point = [("x", x), ("y", y)];
        let both = Digits::with(80, || Some((many_digits(&f, &point)?, many_digits(&g, &point)?)));
        if let Some((a, b)) = both {
            let moderate = a.to_f64().abs() < 1e12;
            prop_assert!(!moderate || close(&a, &b), "{} became {}: {} {}", text, g, a.to_decimal(), b.to_decimal());
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_printed_form_reads_back(text in expressions(false), x in -3.0..3.0f64, y in -2.0..2.0f64) {
        let f: Expression = text.parse().unwrap();
        let slope = f.derivative("x", Rules::Exact).unwrap();
        for e in [Expression::from_graph(f.graph()).unwrap(), slope] {
            let again: Expression = e.to_string().parse().map_err(|e| TestCaseError::fail(format!("{e}")))?;
            let point = [("x", x), ("y", y)];
            prop_assert_eq!(
                double(&e, &point).map(f64::to_bits),
                double(&again, &point).map(f64::to_bits),
                "{} printed as {}", text, e
            );
        }
    }

    #[test]
    fn derivatives_agree_with_differences(text in expressions(true), x in 0.1..2.0f64, y in -2.0..-0.1f64) {
        let f: Expression = text.parse().unwrap();
        if !f.variables().contains(&"x") {
            return Ok(());
        }
        let slope = f.derivative("x", Rules::Exact).unwrap();
        let found = Digits::with(40, || {
            let h = Digits::from_decimal("1e-12").unwrap();
            let at = |x: Digits| {
                let of = |n: &&str| (n.to_string(), if **n == *"x" { x.clone() } else { Digits::from_f64(y) });
                let at: Vec<_> = f.variables().iter().map(of).collect();
                at
            };
            let call = |e: &Expression, at: Vec<(String, Digits)>| {
                e.value(&at.iter().map(|(n, x)| (n.as_str(), x.clone())).collect::<Vec<_>>()).ok()
            };
            let x = Digits::from_f64(x);
            let up = call(&f, at(x.clone() + h.clone()))?;
            let down = call(&f, at(x.clone() - h.clone()))?;
            let two = Digits::from_f64(2.0);
            Some(((up - down) / (two * h), call(&slope, at(x))?))
        });
        if let Some((a, b)) = found {
            let (a, b) = (a.to_f64(), b.to_f64());
            let close = (a - b).abs() <= 1e-9 * (1.0 + a.abs());
            prop_assert!(close || a.abs() > 1e9, "{} at {}: {} {}", text, x, a, b);
        }
    }
}
