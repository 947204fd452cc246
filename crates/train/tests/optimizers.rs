//! Optimisers: updates against the published ones written as plain loops, a quadratic that each brings down, derivatives
//! through training against finite differences, and momentum descent run backwards.

use axes::DType;
use furnace::{grad, grads, value_and_grad};
use graph::{Cx, Var};
use train::optimizers::reversible::ReversibleSgd;
use train::optimizers::{Flat, Init, Rates, Rule, newton_schulz, ternary_bop, unroll};

const BETAS: [f64; 2] = [0.9, 0.95];
const EPS: f64 = 1e-8;

fn rules() -> Vec<(&'static str, Rule)> {
    vec![
        ("sgd", Rule::Sgd { momentum: 0.0, nesterov: false }),
        ("momentum", Rule::Sgd { momentum: 0.9, nesterov: false }),
        ("nesterov", Rule::Sgd { momentum: 0.9, nesterov: true }),
        ("adam", Rule::Adam { betas: BETAS, eps: EPS, decoupled: false }),
        ("adamw", Rule::Adam { betas: BETAS, eps: EPS, decoupled: true }),
        ("lion", Rule::Lion { betas: BETAS }),
        ("muon", Rule::Muon { momentum: 0.9, nesterov: true }),
        ("schedule-free", Rule::ScheduleFree { betas: BETAS, eps: EPS }),
        ("bop", Rule::Bop { gamma: 0.2, threshold: 0.05 }),
    ]
}

const ROWS: usize = 2;
const COLUMNS: usize = 3;

fn matrix(cx: &Cx, values: &[f64]) -> Var {
    cx.array(DType::F64, &[ROWS, values.len() / ROWS], values)
}

fn numbers(v: &Var) -> Vec<f64> {
    v.array().unwrap_or_else(|e| panic!("{e}")).to_f64()
}

/// The gradients of three updates, which do not depend on the weights.
const GRADIENTS: [[f64; 6]; 3] =
    [[0.3, -0.2, 0.05, -0.6, 0.0, 0.9], [-0.1, -0.3, 0.07, 0.2, 0.4, 0.8], [0.25, 0.1, -0.3, 0.2, -0.5, 0.1]];
const START: [f64; 6] = [0.5, -0.8, 1.2, -0.1, 0.9, -1.4];

/// Weights after the three updates, by the rules as graph.
fn traced(rule: &Rule, lr: f64, decay: f64) -> Vec<f64> {
    let cx = Cx::eager();
    let mut p = matrix(&cx, &START);
    let begin = |s: &Init| match s {
        Init::Zeros => p.full_like(0.0),
        Init::Copy => p.clone(),
        Init::Number(x) => cx.scalar(*x),
    };
    let mut slots: Vec<Var> = rule.slots().iter().map(|s| begin(&s.init)).collect();
    for (step, g) in GRADIENTS.iter().enumerate() {
        let rates = Rates::new(step as u64, &cx.scalar(lr), &cx.scalar(decay), BETAS);
        let made = rule.update(&p, &matrix(&cx, g), &slots, &rates, true);
        p = made.parameter();
        slots = made.slots;
    }
    numbers(&p)
}

/// Textbook products, for Muon's reference.
fn product(a: &[f64], b: &[f64], [n, k, m]: [usize; 3]) -> Vec<f64> {
    let cell = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * m + j]).sum();
    (0..n * m).map(|c| cell(c / m, c % m)).collect()
}

fn flip(a: &[f64], [n, m]: [usize; 2]) -> Vec<f64> {
    (0..n * m).map(|c| a[c % n * m + c / n]).collect()
}

/// The quintic iteration of the authors' code, for n ≤ m.
fn orthogonal(g: &[f64], [n, m]: [usize; 2]) -> Vec<f64> {
    let norm = g.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-7;
    let mut x: Vec<f64> = g.iter().map(|v| v / norm).collect();
    for _ in 0..5 {
        let gram = product(&x, &flip(&x, [n, m]), [n, m, n]);
        let square = product(&gram, &gram, [n, n, n]);
        let b: Vec<f64> = gram.iter().zip(&square).map(|(a, s)| -4.7750 * a + 2.0315 * s).collect();
        let bx = product(&b, &x, [n, n, m]);
        x = x.iter().zip(bx).map(|(x, y)| 3.4445 * x + y).collect();
    }
    x
}

/// The three updates as their papers and reference code write them.
fn published(name: &str, lr: f64, decay: f64) -> Vec<f64> {
    let mut p = START.to_vec();
    let (mut m, mut v) = (vec![0.0; 6], vec![0.0; 6]);
    let (mut z, mut total) = (START.to_vec(), 0.0);
    let [b1, b2] = BETAS;
    for (step, g) in GRADIENTS.iter().enumerate() {
        let t = step as i32 + 1;
        let (c1, c2) = (1.0 - b1.powi(t), 1.0 - b2.powi(t));
        if name == "muon" {
            for i in 0..6 {
                m[i] = 0.9 * m[i] + g[i];
            }
            let ahead: Vec<f64> = (0..6).map(|i| g[i] + 0.9 * m[i]).collect();
            let o = orthogonal(&ahead, [ROWS, COLUMNS]);
            for i in 0..6 {
                p[i] = p[i] * (1.0 - lr * decay) - lr * 0.2 * 3f64.sqrt() * o[i];
            }
            continue;
        }
        if name == "bop" {
            let mean = p.iter().map(|w| w.abs()).sum::<f64>() / 6.0;
            let mut trits = [0.0; 6];
            for i in 0..6 {
                m[i] = 0.8 * m[i] + 0.2 * g[i];
                trits[i] = (p[i] / mean).round_ties_even().clamp(-1.0, 1.0);
                if m[i].abs() >= 0.05 {
                    trits[i] = f64::clamp(trits[i] - m[i].signum(), -1.0, 1.0);
                }
            }
            let used = trits.iter().filter(|t| **t != 0.0).count() as f64 / 6.0;
            p = trits.iter().map(|t| t * mean / used).collect();
            continue;
        }
        total += lr * lr;
        for i in 0..6 {
            let gi = g[i];
            match name {
                "sgd" => p[i] = p[i] * (1.0 - lr * decay) - lr * gi,
                "momentum" | "nesterov" => {
                    m[i] = 0.9 * m[i] + gi;
                    let d = if name == "nesterov" { gi + 0.9 * m[i] } else { m[i] };
                    p[i] = p[i] * (1.0 - lr * decay) - lr * d;
                }
                "adam" | "adamw" => {
                    let gi = if name == "adam" { gi + decay * p[i] } else { gi };
                    if name == "adamw" {
                        p[i] *= 1.0 - lr * decay;
                    }
                    m[i] = b1 * m[i] + (1.0 - b1) * gi;
                    v[i] = b2 * v[i] + (1.0 - b2) * gi * gi;
                    p[i] -= lr * (m[i] / c1) / ((v[i] / c2).sqrt() + EPS);
                }
                "lion" => {
                    let update = b1 * m[i] + (1.0 - b1) * gi;
                    let sign = if update == 0.0 { 0.0 } else { update.signum() };
                    p[i] = p[i] * (1.0 - lr * decay) - lr * sign;
                    m[i] = b2 * m[i] + (1.0 - b2) * gi;
                }
                "schedule-free" => {
                    let y = (1.0 - b1) * z[i] + b1 * p[i];
                    v[i] = b2 * v[i] + (1.0 - b2) * gi * gi;
                    z[i] -= lr * (gi / ((v[i] / c2).sqrt() + EPS) + decay * y);
                    let c = lr * lr / total;
                    p[i] = (1.0 - c) * p[i] + c * z[i];
                }
                other => panic!("{other}"),
            }
        }
    }
    p
}

#[test]
fn each_makes_the_published_updates() {
    for (name, rule) in rules() {
        for decay in [0.0, 0.1] {
            let (found, expected) = (traced(&rule, 0.05, decay), published(name, 0.05, decay));
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() <= 1e-13, "{name}, decay {decay}: {found:?}, expected {expected:?}");
            }
        }
    }
}

#[test]
fn no_two_make_the_same_updates() {
    let made: Vec<_> = rules().iter().map(|(name, rule)| (*name, traced(rule, 0.05, 0.1))).collect();
    for (i, (a, x)) in made.iter().enumerate() {
        for (b, y) in &made[i + 1..] {
            assert!(x.iter().zip(y).any(|(x, y)| (x - y).abs() > 1e-4), "{a} and {b}");
        }
    }
}

/// ½ Σ a (p − p*)² with curvatures from 0.5 to 2.
#[test]
fn a_quadratic_comes_down_under_each() {
    let target = [0.3, -0.5, 0.2, 0.6, -0.1, 0.4];
    let curvature = [0.5, 1.0, 2.0, 0.7, 1.5, 1.2];
    for (name, rule) in rules() {
        let steps = 1500u64;
        let mut p = START.to_vec();
        let mut slots: Vec<Vec<f64>> = rule
            .slots()
            .iter()
            .map(|s| match s.init {
                Init::Zeros => vec![0.0; 6],
                Init::Copy => p.clone(),
                Init::Number(x) => vec![x],
            })
            .collect();
        let value = |p: &[f64]| {
            p.iter().zip(target).zip(curvature).map(|((p, t), a)| 0.5 * a * (p - t).powi(2)).sum::<f64>()
        };
        let first = value(&p);
        for step in 0..steps {
            let cx = Cx::eager();
            let held: Vec<Var> =
                slots.iter().map(|s| if s.len() == 1 { cx.scalar(s[0]) } else { matrix(&cx, s) }).collect();
            let now = matrix(&cx, &p);
            let at = rule.point(&now, &held);
            let loss = |x: &Var| {
                let off = x - &matrix(&cx, &target);
                (off.square() * matrix(&cx, &curvature)).sum_all() * 0.5
            };
            let (_, g) = value_and_grad(loss)(&at);
            // Rules of a fixed step length need a rate that falls.
            let lr = 0.02 * (1.0 - step as f64 / steps as f64);
            let rates = Rates::new(step, &cx.scalar(lr), &cx.scalar(0.0), BETAS);
            let made = rule.update(&now, &g, &held, &rates, true);
            p = numbers(&made.parameter());
            slots = made.slots.iter().map(numbers).collect();
        }
        let last = value(&p);
        // Trits of one scale cannot reach the target; the best that they can do is found by trying all.
        let bound = match name {
            "bop" => best_trits(&value),
            "muon" | "lion" => 1e-4 * first,
            _ => 1e-6 * first,
        };
        println!("{name}: {first:.3} to {last:.1e}");
        assert!(last <= bound, "{name}: from {first} to {last}, expected at most {bound}");
    }
}

/// Twice the least value over all trits whose mean magnitude is that of the start: Bop descends trit by trit.
fn best_trits(value: &impl Fn(&[f64]) -> f64) -> f64 {
    let mean = START.iter().map(|w| w.abs()).sum::<f64>() / 6.0;
    let all = (1..729usize).map(|code| {
        let trits: Vec<f64> = (0..6).map(|i| (code / 3usize.pow(i) % 3) as f64 - 1.0).collect();
        let used = trits.iter().filter(|t| **t != 0.0).count().max(1) as f64 / 6.0;
        value(&trits.iter().map(|t| t * mean / used).collect::<Vec<_>>())
    });
    2.0 * all.fold(f64::INFINITY, f64::min)
}

#[test]
fn bop_on_binary_weights_is_the_published_rule() {
    let cx = Cx::eager();
    // Flip exactly where |m| ≥ τ and m has the weight's sign.
    let w = matrix(&cx, &[1.0, 1.0, -1.0, -1.0, 1.0, -1.0]);
    let m = matrix(&cx, &[0.5, -0.5, 0.5, -0.5, 0.01, -0.01]);
    // Twice: from 1 over 0 to −1. The scale of six ±1 is 1, and stays.
    let twice = ternary_bop(&ternary_bop(&w, &m, 0.1), &m, 0.1);
    let flipped = [-1.0, 1.0, -1.0, 1.0, 1.0, -1.0];
    let off: Vec<f64> = numbers(&twice).iter().zip(flipped).map(|(a, b)| (a - b).abs()).collect();
    assert!(off.iter().all(|d| *d < 1e-12), "{:?}", numbers(&twice));
    // The quantiser finds the trits and the scale again, also with zeros.
    let once = ternary_bop(&w, &m, 0.1);
    let (trits, s) = once.quantize_weights();
    assert_eq!(numbers(&trits), [0.0, 1.0, -1.0, 0.0, 1.0, -1.0]);
    assert!((s.val() - 1.0).abs() < 1e-12);
}

#[test]
fn newton_schulz_brings_singular_values_near_one() {
    let cx = Cx::eager();
    for shape in [[2, 3], [3, 2], [3, 3], [1, 5], [5, 1]] {
        let n = shape[0] * shape[1];
        let values: Vec<f64> = (0..n).map(|i| ((i * 7 + 3) % 11) as f64 / 5.0 - 1.0).collect();
        let x = newton_schulz(&cx.array(DType::F64, &shape, &values));
        assert_eq!(x.array().unwrap().shape, shape);
        // The Frobenius norm of the Gram matrix on the short side is √k for k singular values of 1.
        let short = if shape[0] <= shape[1] {
            x.linear(&x)
        } else {
            x.transpose(&[1, 0]).linear(&x.transpose(&[1, 0]))
        };
        let rank = shape[0].min(shape[1]) as f64;
        let size = short.square().sum_all().val().sqrt();
        assert!((0.4 * rank.sqrt()..=1.6 * rank.sqrt()).contains(&size), "{shape:?}: {size}");
    }
}

/// A small network on fixed data: tanh units, mean square error, parameters as one vector.
fn network(flat: &Flat) -> impl Fn(&Var, usize) -> Var {
    let flat = flat.clone();
    move |vector: &Var, set: usize| {
        let p = flat.unflatten(vector);
        let cx = vector.cx();
        let at = |i: usize| ((i * 37 + 11 * set) % 23) as f64 / 11.0 - 1.0;
        let x = cx.array(DType::F64, &[8, 3], &(0..24).map(at).collect::<Vec<_>>());
        let y = cx.array(DType::F64, &[8, 1], &(0..8).map(|i| at(5 * i + 1).sin()).collect::<Vec<_>>());
        let hidden = x.linear(&p[0]).tanh();
        (hidden.linear(&p[1]) - y).square().mean_all()
    }
}

#[test]
fn hypergradients_are_those_of_finite_differences() {
    let start = |cx: &Cx| {
        let first = cx.array(
            DType::F64,
            &[4, 3],
            &(0..12).map(|i| ((i * 5 % 7) as f64 - 3.0) / 6.0).collect::<Vec<_>>(),
        );
        let second = cx.array(DType::F64, &[1, 4], &[0.3, -0.2, 0.4, 0.1]);
        [first, second]
    };
    let flat = Flat::of(&start(&Cx::eager()));
    assert_eq!((flat.len(), flat.is_empty()), (16, false));
    let loss = network(&flat);
    for (name, rule) in rules() {
        if matches!(rule, Rule::Lion { .. } | Rule::Bop { .. } | Rule::Muon { .. }) {
            continue; // signs and flips: constant almost everywhere; muon wants matrices, below
        }
        let validation = |lr: &Var, decay: &Var| {
            let begin = flat.flatten(&start(lr.cx()));
            let train = |p: &[Var], _: u64| loss(&p[0], 0);
            let trained = unroll(&rule, train, &[begin], lr, decay, 5);
            loss(&trained[0], 1)
        };
        let at = |lr: f64, decay: f64| {
            let cx = Cx::eager();
            validation(&cx.scalar(lr), &cx.scalar(decay)).val()
        };
        let cx = Cx::eager();
        let both = |xs: &[Var]| validation(&xs[0], &xs[1]);
        let (_, made) = grads(both, &[&cx.scalar(0.1), &cx.scalar(0.2)]);
        let h = 1e-5;
        let lr = (at(0.1 + h, 0.2) - at(0.1 - h, 0.2)) / (2.0 * h);
        let decay = (at(0.1, 0.2 + h) - at(0.1, 0.2 - h)) / (2.0 * h);
        for (what, a, b) in [("learning rate", made[0].val(), lr), ("decay", made[1].val(), decay)] {
            assert!((a - b).abs() <= 2e-7 * b.abs().max(1e-2), "{name}, {what}: {a} and {b}");
            assert!(b != 0.0, "{name}, {what}");
        }
    }
}

#[test]
fn muon_differentiates_through_its_orthogonalisation() {
    let rule = Rule::Muon { momentum: 0.9, nesterov: true };
    let after = |lr: &Var| {
        let cx = lr.cx();
        let target = matrix(cx, &[0.3, -0.5, 0.2, 0.6, -0.1, 0.4]);
        let loss = |p: &[Var], _: u64| (&p[0] - &target).square().sum_all();
        let trained = unroll(&rule, loss, &[matrix(cx, &START)], lr, &lr.full_like(0.0), 3);
        (&trained[0] - &target).square().sum_all()
    };
    let at = |lr: f64| after(&Cx::eager().scalar(lr)).val();
    let slope = grad(after)(&Cx::eager().scalar(0.1)).val();
    let difference = (at(0.1 + 1e-5) - at(0.1 - 1e-5)) / 2e-5;
    assert!((slope - difference).abs() < 1e-6 * difference.abs(), "{slope} and {difference}");
}

/// Second order: the curvature of the validation loss in the learning rate.
#[test]
fn training_differentiates_twice() {
    let rule = Rule::Sgd { momentum: 0.5, nesterov: false };
    let after = |lr: &Var| {
        let begin = lr.full_like(1.0);
        let trained = unroll(&rule, |p, _| p[0].square().square(), &[begin], lr, &lr.full_like(0.0), 3);
        trained[0].clone()
    };
    let second = grad(grad(after))(&Cx::eager().scalar(0.05)).val();
    let first = |lr: f64| grad(after)(&Cx::eager().scalar(lr)).val();
    let difference = (first(0.05 + 1e-5) - first(0.05 - 1e-5)) / 2e-5;
    assert!((second - difference).abs() < 1e-6 * difference.abs(), "{second} and {difference}");
}

#[test]
fn a_thousand_steps_run_back_to_the_first_bit() {
    // A loss with valleys, so that velocities change sign and size; the gradient's sums are in one fixed order.
    let gradient = |w: &[f64]| -> Vec<f64> {
        let sum: f64 = w.iter().sum();
        w.iter().map(|w| w * 0.3 + (3.0 * w).sin() + 0.01 * sum).collect()
    };
    let weights: Vec<f64> = (0..50).map(|i| (f64::from(i) * 0.77).sin() * 3.0).collect();
    for momentum in [[9, 10], [99, 100], [1, 2], [1, 1]] {
        let mut run = ReversibleSgd::new(&weights, momentum).unwrap();
        let begin = run.clone();
        let rates: Vec<f64> = (0..1000).map(|t| 0.02 / (1.0 + 0.01 * f64::from(t))).collect();
        let mut way = vec![];
        for lr in &rates {
            way.push(run.weights());
            run.step(*lr, gradient);
        }
        let bits = 8.0 * run.buffer_bytes() as f64 / (50.0 * 1000.0);
        let expected = (f64::from(momentum[1]) / f64::from(momentum[0])).log2();
        println!(
            "momentum {momentum:?}: {bits:.3} bits a step and weight in the buffer, log2(d/n) = {expected:.3}"
        );
        assert!(bits <= expected + 0.07, "the buffer is {bits} bits a step");
        for lr in rates.iter().rev() {
            run.step_back(*lr, gradient);
            assert_eq!(Some(run.weights()), way.pop(), "on the way back");
        }
        assert_eq!(run, begin, "momentum {momentum:?}");
    }
}

#[test]
fn reversible_descent_is_descent() {
    let mut run = ReversibleSgd::new(&[2.0, -1.0], [9, 10]).unwrap();
    let (mut w, mut v) = ([2.0, -1.0], [0.0; 2]);
    for _ in 0..200 {
        run.step(0.05, |w| w.to_vec());
        for i in 0..2 {
            v[i] = 0.9 * v[i] - 0.05 * w[i];
            w[i] += v[i];
        }
    }
    assert!(run.weights().iter().zip(w).all(|(a, b)| (a - b).abs() < 1e-8), "{:?} {w:?}", run.weights());
    for (weights, momentum, part) in
        [(1.0, [0, 1], "0/1"), (1.0, [3, 2], "3/2"), (f64::NAN, [1, 2], "NaN"), (1e9, [1, 2], "2^23")]
    {
        assert!(ReversibleSgd::new(&[weights], momentum).unwrap_err().contains(part));
    }
}
