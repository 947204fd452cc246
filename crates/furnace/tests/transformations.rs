//! Gradient transformations: what each makes of a gradient, that none passes for another or for a derivative, and which
//! of the adaptive scalings have a fixed point.

use axes::DType;
use furnace::transformations::{FlipRate, TRANSFORMATIONS, Transformation};
use furnace::{FurnaceError, grad, jvp};
use graph::{Cx, Var};

/// Mean magnitude 1: scale 1, threshold ½.
const WEIGHTS: [f64; 8] = [-1.8, -0.9, -0.45, -0.1, 0.3, 0.6, 1.2, 2.65];
const GRADIENTS: [f64; 8] = [0.2, -0.01, 0.001, -0.9, 0.0, 0.05, -0.003, 0.4];

const EWGS: Transformation = Transformation::Ewgs { delta: 0.2 };
const BOUNDED: Transformation = Transformation::Bounded { gain: 4.0, horizon: 100.0, rate: 0.1 };

fn vector(cx: &Cx, values: &[f64]) -> Var {
    cx.array(DType::F64, &[values.len()], values)
}

fn numbers(v: &Var) -> Vec<f64> {
    v.array().unwrap_or_else(|e| panic!("{e}")).to_f64()
}

fn apply(t: Transformation, gradients: &[f64], weights: &[f64]) -> Vec<f64> {
    let cx = Cx::eager();
    numbers(&t.apply(&vector(&cx, gradients), &vector(&cx, weights)))
}

/// The equations, one element at a time.
fn plain(t: Transformation, g: f64, w: f64, s: f64) -> f64 {
    let v = w * s;
    let sign = if g == 0.0 { 0.0 } else { g.signum() };
    match t {
        Transformation::Ewgs { delta } => {
            g * (1.0 + delta * sign * (v.clamp(-1.5, 1.5) - v.round_ties_even().clamp(-1.0, 1.0)))
        }
        Transformation::Literal => sign * g.abs().max(0.5 / s),
        Transformation::Bounded { gain, horizon, rate } => {
            let d = (w.abs() - 0.5 / s).abs();
            sign * g.abs().max((gain * g.abs()).min(d / (rate * horizon)))
        }
    }
}

#[test]
fn each_is_what_its_equation_says() {
    for t in [EWGS, Transformation::Literal, BOUNDED] {
        for s in [1.0, 16.0] {
            let weights = WEIGHTS.map(|w| w / s);
            for ((a, g), w) in apply(t, &GRADIENTS, &weights).iter().zip(GRADIENTS).zip(weights) {
                let b = plain(t, g, w, s);
                assert!((a - b).abs() < 1e-14, "{} at g {g}, w {w}: {a}, expected {b}", t.name());
            }
        }
    }
    // Pinned: a rule and its test could share a mistake.
    let pinned = |t: Transformation, expected: [f64; 4]| {
        let found = apply(t, &GRADIENTS, &WEIGHTS);
        assert!([0, 2, 3, 5].iter().zip(expected).all(|(i, e)| (found[*i] - e).abs() < 1e-12), "{found:?}");
    };
    pinned(EWGS, [0.18, 0.00091, -0.918, 0.046]);
    pinned(Transformation::Literal, [0.5, 0.5, -0.9, 0.5]);
    pinned(BOUNDED, [0.2, 0.004, -0.9, 0.05]);
}

#[test]
fn no_two_are_alike() {
    let made = [EWGS, Transformation::Literal, BOUNDED].map(|t| apply(t, &GRADIENTS, &WEIGHTS));
    for (i, a) in made.iter().enumerate() {
        assert!(a.iter().zip(GRADIENTS).any(|(x, g)| (x - g).abs() > 1e-3), "{i} changes nothing");
        for b in &made[i + 1..] {
            assert!(a.iter().zip(b).any(|(x, y)| (x - y).abs() > 1e-3));
        }
    }
    let names: Vec<&str> = TRANSFORMATIONS.iter().map(|t| t.name).collect();
    assert_eq!(names, ["ewgs", "ags-literal", "ags-bounded", "ags-flip-rate"]);
}

#[test]
fn a_zero_gradient_stays_zero() {
    for t in [EWGS, Transformation::Literal, BOUNDED] {
        assert_eq!(apply(t, &[0.0; 8], &WEIGHTS), [0.0; 8], "{}", t.name());
    }
    let cx = Cx::eager();
    let rule = FlipRate { gain: 0.1, least: 1e-6, most: 1.0 };
    let update = rule.update(&cx.scalar(0.1), &vector(&cx, &WEIGHTS), &vector(&cx, &[0.0; 8]));
    assert_eq!(numbers(&update), [0.0; 8]);
}

/// Odd and monotone in g at every weight, and for the bounded form continuous: no step is larger than G allows.
#[test]
fn the_scalings_are_odd_and_monotone_and_the_bounded_one_continuous() {
    let grid: Vec<f64> = (-400..=400).map(|i| f64::from(i) * 1e-3).collect();
    let gradients: Vec<f64> = grid.iter().flat_map(|g| [*g; 8]).collect();
    let weights: Vec<f64> = grid.iter().flat_map(|_| WEIGHTS).collect();
    for t in [Transformation::Literal, BOUNDED] {
        let made = apply(t, &gradients, &weights);
        for w in 0..WEIGHTS.len() {
            let curve: Vec<f64> = (0..grid.len()).map(|i| made[8 * i + w]).collect();
            for i in 0..grid.len() {
                assert_eq!(curve[i], -curve[grid.len() - 1 - i], "{} is odd", t.name());
                let Some(next) = curve.get(i + 1) else { continue };
                assert!(*next >= curve[i], "{} is monotone", t.name());
                if t == BOUNDED {
                    assert!(next - curve[i] <= 4.0 * 1e-3 + 1e-12, "a jump at {}", grid[i]);
                }
            }
        }
    }
    let jump = apply(Transformation::Literal, &[1e-9; 8], &WEIGHTS);
    assert!(jump.iter().all(|g| (g - 0.5).abs() < 1e-12), "the literal rule jumps at 0: {jump:?}");
}

#[test]
fn the_literal_rule_is_the_limit_of_the_bounded_one() {
    let rate = 1e-2;
    // With one step to the threshold and a floor of one threshold, at weights at 0, both have the same floor.
    let cx = Cx::eager();
    let weights = vector(&cx, &[0.0, 0.0, 2.0, -2.0]);
    let gradients = vector(&cx, &[1e-9, -0.3, 0.7, -1e-3]);
    let literal = numbers(&Transformation::Literal.apply(&gradients, &weights));
    let bounded = Transformation::Bounded { gain: 1e12, horizon: 1.0 / rate, rate };
    let found = numbers(&bounded.apply(&gradients, &weights));
    for i in [0, 1] {
        assert!((found[i] - literal[i]).abs() < 1e-12, "{found:?} {literal:?}");
    }
    // Elsewhere the floor is the weight's own distance: 1.5 at ±2.
    assert!((found[2] - 1.5).abs() < 1e-12 && (found[3] + 1.5).abs() < 1e-12, "{found:?}");
}

#[test]
fn the_controlled_rate_ignores_the_scale_of_the_loss_and_keeps_the_direction() {
    let cx = Cx::eager();
    let (w, u) = (vector(&cx, &WEIGHTS), vector(&cx, &GRADIENTS));
    let rule = FlipRate { gain: 0.1, least: 1e-9, most: 1e9 };
    let kappa = cx.scalar(0.03);
    let update = numbers(&rule.update(&kappa, &w, &u));
    for scale in [1e-6, 128.0, 1e6] {
        let scaled = numbers(&rule.update(&kappa, &w, &(&u * scale)));
        let near = update.iter().zip(&scaled).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs());
        assert!(near, "loss times {scale}: {scaled:?}");
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let cosine = dot(&update, &GRADIENTS) / (dot(&update, &update) * dot(&GRADIENTS, &GRADIENTS)).sqrt();
    assert!((cosine - 1.0).abs() < 1e-12, "{cosine}");
    let rms = (dot(&update, &update) / 8.0).sqrt();
    assert!((rms - 0.03).abs() < 1e-9, "the update's size is κ steps of the quantiser: {rms}");
    // The elementwise rules depend on the scale of the loss: that is their unit error.
    let literal = apply(Transformation::Literal, &GRADIENTS, &WEIGHTS);
    let large = apply(Transformation::Literal, &GRADIENTS.map(|g| 100.0 * g), &WEIGHTS);
    assert!(literal.iter().zip(large).any(|(a, b)| (100.0 * a - b).abs() > 1.0));
}

#[test]
fn kappa_follows_the_flip_rate() {
    let cx = Cx::eager();
    let rule = FlipRate { gain: 0.5, least: 0.0, most: 1.0 };
    let next = |measured: f64| rule.next(&cx.scalar(2.0), &cx.scalar(measured), &cx.scalar(0.01)).val();
    assert!((next(0.01) - 2.0).abs() < 1e-15, "on target it stays");
    assert!((next(0.0) - 2.0 * 0.5f64.exp()).abs() < 1e-12, "without flips it grows by e^γ");
    assert!((next(0.5) - 2.0 * (-0.5f64).exp()).abs() < 1e-12, "far above it shrinks by e^γ, no faster");
    assert!((next(0.005) - 2.0 * 0.25f64.exp()).abs() < 1e-12);
    let moved = [-0.4, -0.9, -0.45, -0.1, 0.7, 0.6, 1.2, 4.0]; // trits of the first and the fifth flip
    let measured = FlipRate::measured(&vector(&cx, &WEIGHTS), &vector(&cx, &moved)).val();
    assert_eq!(measured, 2.0 / 8.0);
}

/// Descent on ½ Σ (w − w*)², L = 1: how far from w* it is after 4000 steps.
fn bowl(update: impl Fn(&Var, &Var, &mut f64) -> Var) -> f64 {
    let target = [-1.1, 0.2, 0.05, 0.9, -0.32, 0.61];
    let mut w = vec![-0.4, 0.9, -0.8, 0.1, 0.55, 1.3];
    let mut kappa = 0.03;
    for _ in 0..4000 {
        let cx = Cx::eager();
        let now = vector(&cx, &w);
        let g = &now - &vector(&cx, &target);
        w = numbers(&(&now - &update(&now, &g, &mut kappa)));
    }
    w.iter().zip(target).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_quadratic_bowl_converges_under_a_and_b_but_not_under_c() {
    let eta = 0.05;
    let rule = FlipRate { gain: 0.1, least: 1e-4, most: 0.1 };
    let a = bowl(|w, g, kappa| {
        let cx = w.cx();
        let k = cx.scalar(*kappa);
        let update = rule.update(&k, w, g);
        let flips = FlipRate::measured(w, &(w - &update));
        *kappa = rule.next(&k, &flips, &cx.scalar(0.01)).val();
        update
    });
    let bounded = Transformation::Bounded { gain: 4.0, horizon: 50.0, rate: eta };
    let b = bowl(|w, g, _| bounded.apply(g, w) * eta);
    let c = bowl(|w, g, _| Transformation::Literal.apply(g, w) * eta);
    println!("distance from the minimum: A {a:.1e}, B {b:.1e}, C {c:.1e}");
    assert!(a < 1e-9 && b < 1e-9, "A {a}, B {b}");
    assert!(c > 5e-3, "C is expected to go round the minimum: {c}");
}

#[test]
fn one_reverse_mode_gradient_and_nothing_else() {
    for t in [EWGS, Transformation::Literal, BOUNDED] {
        let cx = Cx::eager();
        let (w, c) = (vector(&cx, &WEIGHTS), vector(&cx, &GRADIENTS));
        let loss = |w: &Var| (t.quantise(w) * &c).sum_all();
        let value = (WEIGHTS.iter().zip(GRADIENTS)).map(|(w, g)| w.round_ties_even().clamp(-1.0, 1.0) * g);
        assert!((loss(&w).val() - value.sum::<f64>()).abs() < 1e-12);
        assert_eq!(numbers(&grad(loss)(&w)), apply(t, &GRADIENTS, &WEIGHTS), "{}", t.name());
        assert!(cx.error().is_none());

        let refused = |what: &str, cx: Cx| {
            let error =
                FurnaceError::from(cx.error().unwrap_or_else(|| panic!("{}: {what} passed", t.name())));
            assert!(
                matches!(&error, FurnaceError::NotADerivative { rule, .. } if rule == t.name()),
                "{error}"
            );
            let told = error.to_string();
            assert!(told.contains("linear in the cotangent") && told.contains("ste"), "{told}");
        };
        let fresh = || {
            let cx = Cx::eager();
            (vector(&cx, &WEIGHTS), cx)
        };
        let (w, cx) = fresh();
        jvp(|x| vec![t.quantise(&x[0]).sum_all()], &[&w], &[&w.full_like(1.0)]);
        refused("forward mode", cx);
        let (w, cx) = fresh();
        let slope = grad(|w: &Var| (t.quantise(w) * w).sum_all());
        grad(|w: &Var| slope(w).sum_all())(&w);
        refused("a second gradient", cx);
        let (w, cx) = fresh();
        jvp(|x| vec![slope(&x[0])], &[&w], &[&w.full_like(1.0)]);
        refused("forward over reverse", cx);
        // A transformed gradient in an update: there is no differentiating through that training.
        let (w, cx) = fresh();
        grad(|w: &Var| (w - &(t.apply(&w.square(), w) * 0.1)).sum_all())(&w);
        refused("differentiating through an update", cx);
    }
    let cx = Cx::eager();
    let w = vector(&cx, &WEIGHTS);
    let rule = FlipRate { gain: 0.1, least: 0.0, most: 1.0 };
    grad(|w: &Var| rule.update(&w.cx().scalar(0.1), w, &w.square()).sum_all())(&w);
    assert!(cx.error().unwrap().to_string().contains("`ags-flip-rate` is a gradient transformation"));
}

/// What is compiled after differentiation has no trace of the marks, and parses back.
#[test]
fn graphs_carry_the_rule_and_lower_to_plain_ops() {
    let cx = Cx::abstract_();
    let w = cx.input("w", graph::Type::new(DType::F32, [8]));
    let y = EWGS.quantise(&w).square().sum_all();
    let g = cx.finish(&[("y", &y)]).unwrap();
    let g = furnace::grad_graph(&g, "y", &["w"], Default::default()).unwrap();
    let text = g.to_string();
    assert!(text.contains("ewgs"), "{text}");
    assert_eq!(graph::Graph::parse(&text).unwrap().to_string(), text);
    let lowered = graph::passes::lower_for_execution(&g);
    assert!(!lowered.to_string().contains("surrogate"), "{lowered}");
}

#[test]
fn parameters_out_of_range_are_refused() {
    for (name, parameters, part) in [
        ("ewgs", &[-0.1][..], "at least 0"),
        ("ags-bounded", &[0.5, 10.0, 0.1], "gain G is 0.5"),
        ("ags-bounded", &[4.0, 0.0, 0.1], "horizon"),
        ("ags-bounded", &[4.0, 10.0, f64::NAN], "learning rate"),
        ("ewgs", &[], "ewgs (δ)"),
        ("momentum", &[], "ags-literal"),
    ] {
        let told = Transformation::named(name, parameters).unwrap_err().to_string();
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(Transformation::named("ags-bounded", &[4.0, 100.0, 0.1]).unwrap(), BOUNDED);
}
