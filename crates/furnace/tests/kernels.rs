//! Plain functions over a generic scalar and their derivatives.

use axes::DType;
use furnace::kernels::{Counted, Operations, Sym, count, diff, grad, jvp, trace, vjp};
use graph::{Array, Op, Scalar, interp};

/// y = W x for ternary weights at two bits each, four to a byte, row by row.
fn ternary<S: Scalar>(codes: &[u8], rows: usize, x: &[S]) -> Vec<S> {
    let columns = x.len();
    let mut y = vec![S::from_f64(0.0); rows];
    for (r, y) in y.iter_mut().enumerate() {
        for (c, x) in x.iter().enumerate() {
            let i = r * columns + c;
            match codes[i / 4] >> (i % 4 * 2) & 3 {
                1 => *y = y.clone() + x.clone(),
                2 => *y = y.clone() - x.clone(),
                _ => {}
            }
        }
    }
    y
}

const ROWS: usize = 5;
const COLUMNS: usize = 7;

fn codes() -> (Vec<u8>, Vec<i32>) {
    let trits: Vec<i32> = (0..ROWS * COLUMNS).map(|i| (i * i + 3 * i + i / 5) as i32 % 3 - 1).collect();
    let mut codes = vec![0u8; trits.len().div_ceil(4)];
    for (i, t) in trits.iter().enumerate() {
        codes[i / 4] |= [2u8, 0, 1][(t + 1) as usize] << (i % 4 * 2);
    }
    (codes, trits)
}

fn xs() -> Vec<f64> {
    (0..COLUMNS).map(|i| 0.3 * i as f64 - 0.8).collect()
}

#[test]
fn the_tangent_of_a_ternary_product_is_a_ternary_product() {
    let (codes, trits) = codes();
    let t: Vec<f64> = (0..COLUMNS).map(|i| 1.0 + (i * i) as f64).collect();
    let (y, dy) = jvp(|x| ternary(&codes, ROWS, x), &xs(), &t);
    let product =
        |r: usize, v: &[f64]| -> f64 { (0..COLUMNS).map(|c| f64::from(trits[r * COLUMNS + c]) * v[c]).sum() };
    for r in 0..ROWS {
        assert!((y[r] - product(r, &xs())).abs() < 1e-12);
        assert_eq!(dy[r], product(r, &t));
    }
}

#[test]
fn neither_direction_multiplies() {
    let (codes, trits) = codes();
    let nonzero = trits.iter().filter(|t| **t != 0).count() as u64;
    let (_, forward) = count(|x| ternary(&codes, ROWS, x), &xs());
    assert_eq!(forward, Operations { additions: nonzero, ..Operations::default() });
    let (_, tangents) = count(|x| jvp(|x| ternary(&codes, ROWS, x), x, x), &xs());
    assert_eq!(tangents, Operations { additions: 2 * nonzero, ..Operations::default() });

    // Reverse: the graph has additions, subtractions and changes of sign, and nothing else.
    let g = vjp(|x| ternary(&codes, ROWS, x), &xs()).unwrap();
    let plain = [Op::Input, Op::Constant, Op::Add, Op::Subtract, Op::Negate];
    assert!(g.nodes.iter().all(|n| plain.contains(&n.op)), "{g}");
    let cts: Vec<f64> = (0..ROWS).map(|r| 0.5 - r as f64).collect();
    let (found, work) = count(
        |x| {
            let number = |x: Counted| Array::float(DType::F64, [], vec![x]);
            let cts = cts.iter().map(|c| Counted::from_f64(*c));
            let inputs = x.iter().copied().chain(cts).map(number).collect();
            let out = interp::run(&g, inputs, false).unwrap().outputs;
            out.iter().map(|(_, a)| a.floats()[0].value()).collect::<Vec<_>>()
        },
        &xs(),
    );
    assert_eq!((work.multiplications, work.divisions, work.functions), (0, 0, 0), "{work:?}");
    assert!(work.additions <= 2 * nonzero, "{work:?}");
    for c in 0..COLUMNS {
        let expected: f64 = (0..ROWS).map(|r| f64::from(trits[r * COLUMNS + c]) * cts[r]).sum();
        assert!((found[ROWS + c] - expected).abs() < 1e-12);
    }
}

/// A gated recurrence with a branch, as a layer's inner loop is written.
fn recurrence<S: Scalar>(x: &[S]) -> S {
    let one = S::from_f64(1.0);
    let mut h = S::from_f64(0.25);
    for x in x {
        let gate = one.clone() / (one.clone() + (-x.clone()).exp());
        let candidate = if *x < S::from_f64(0.0) { x.clone() * S::from_f64(0.1) } else { x.tanh() };
        h = gate.clone() * h + (one.clone() - gate) * candidate;
    }
    h * x[0].abs().sqrt()
}

#[test]
fn both_modes_and_differences_agree() {
    let x = [0.7, -0.4, 0.2, 1.5, -2.0];
    let (y, slopes) = grad(recurrence, &x).unwrap();
    assert_eq!(y, recurrence(&x));
    for i in 0..x.len() {
        let t: Vec<f64> = (0..x.len()).map(|j| f64::from(u8::from(i == j))).collect();
        let forward = jvp(|x| vec![recurrence(x)], &x, &t).1[0];
        assert!((forward - slopes[i]).abs() < 1e-14, "{i}: {forward} {}", slopes[i]);
        let moved = |h: f64| {
            let mut x = x;
            x[i] += h;
            recurrence(&x)
        };
        let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((slope - forward).abs() < 1e-8, "{i}: {slope} {forward}");
    }
}

#[test]
fn derivatives_nest_and_kinks_follow_the_branch() {
    fn cube<S: Scalar>(x: S) -> S {
        let mut y = S::from_f64(1.0);
        for _ in 0..3 {
            y = y * x.clone();
        }
        y
    }
    assert_eq!((diff(cube)(2.0), diff(diff(cube))(2.0), diff(diff(diff(cube)))(2.0)), (12.0, 12.0, 6.0));
    fn kink<S: Scalar>(x: &[S]) -> S {
        x[0].abs() + x[1].maximum(&S::from_f64(0.0))
    }
    assert_eq!(grad(kink, &[0.0, 0.0]).unwrap().1, [0.0, 1.0]);
    assert_eq!(grad(kink, &[-2.0, -1.0]).unwrap().1, [-1.0, 0.0]);
}

#[test]
fn a_trace_is_a_graph_like_any_other() {
    let g = trace(|x: &[Sym]| vec![x[0].clone() * x[1].clone(), Sym::from_f64(3.0)], &[2.0, 5.0]).unwrap();
    assert_eq!(g.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["x.0", "x.1"]);
    g.verify().unwrap();
    let number = |x: f64| Array::<f64>::from_f64(DType::F64, [], &[x]);
    let out = interp::run(&g, vec![number(7.0), number(-1.0)], false).unwrap();
    assert_eq!(out.outputs.iter().map(|(_, a)| a.to_f64()[0]).collect::<Vec<_>>(), [-7.0, 3.0]);
}
