//! The batching and Taylor rows of the table, one node at a time, and what happens at kinks.

use crate::common::{Random, close, value, var};
use axes::DType;
use furnace::{grads, jvp};
use graph::{Array, Cx, Dim, Node, NodeCx, Op, Tangent, Var};

/// A node with its operands and the closure that made it.
struct One {
    node: Node,
    operands: Vec<Array<f64>>,
}

/// Nodes of many shapes: the one that each case of [`super::nodes`] ends with, and those that feed it.
fn each(seed: u64, f: impl Fn(&One, &mut Random)) -> std::collections::BTreeSet<Op> {
    let mut seen = std::collections::BTreeSet::new();
    let mut list = vec![];
    let mut r = Random::new(seed);
    super::nodes(&mut r, &mut |_, at, f| list.push((at, f)));
    for (at, made) in list {
        let cx = Cx::eager();
        let xs: Vec<Var> = at.iter().map(|a| var(&cx, a)).collect();
        let before = cx.len();
        let ys = made(&xs);
        assert!(cx.error().is_none(), "{:?}", cx.error());
        assert!(!ys.is_empty());
        for i in before..cx.len() {
            let node = cx.node(i as u32);
            let operands = node.inputs.iter().map(|v| value(&Var::from_id(&cx, *v))).collect();
            seen.insert(node.op);
            f(&One { node, operands }, &mut r);
        }
    }
    seen
}

/// Whether this suite is the one that tests the op's rows.
fn mine(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Asin | Acos
            | Atan
            | Erf
            | Log1p
            | Expm1
            | Softplus
            | ArgSort
            | CumulativeArgMax
            | TakeAlong
            | ScatterAddAlong
            | LastWriter
            | Windows
            | WindowsAdd
            | Solve
            | TriangularSolve
            | Determinant
            | Cholesky
            | Eigh
            | Fourier
    )
}

/// Other numbers for an operand: floats near it, the same indices in another order.
fn variant(a: &Array<f64>, r: &mut Random) -> Array<f64> {
    let mut x = a.to_f64();
    match a.dtype.is_float() {
        true => x.iter_mut().for_each(|x| *x += r.float(-0.05, 0.05)),
        false if !x.is_empty() => {
            let by = r.below(x.len());
            x.rotate_left(by);
        }
        false => {}
    }
    Array::from_f64(a.dtype, a.shape.clone(), &x)
}

#[test]
fn batching_rows() {
    const SIZE: usize = 3;
    let mut tested = std::collections::BTreeSet::new();
    for seed in 0..6 {
        let tested_now = std::cell::RefCell::new(vec![]);
        each(seed, |one, r| {
            let n = &one.node;
            if !mine(n.op) {
                return;
            }
            for mask in 1..1usize << one.operands.len() {
                let mapped: Vec<bool> = (0..one.operands.len()).map(|k| mask >> k & 1 == 1).collect();
                let cx = Cx::eager();
                let samples: Vec<Vec<Array<f64>>> = (0..SIZE)
                    .map(|_| {
                        let pairs = one.operands.iter().zip(&mapped);
                        pairs.map(|(a, m)| if *m { variant(a, r) } else { a.clone() }).collect()
                    })
                    .collect();
                let inputs: Vec<Var> = (0..mapped.len())
                    .map(|k| {
                        let parts: Vec<Var> = samples.iter().map(|s| var(&cx, &s[k])).collect();
                        if mapped[k] {
                            Var::stack(&parts.iter().collect::<Vec<_>>(), 0)
                        } else {
                            parts[0].clone()
                        }
                    })
                    .collect();
                let node = NodeCx { cx: &cx, attrs: &n.attrs, inputs: &inputs, outputs: &[] };
                let Some(made) = n.op.batch(&node, &mapped, &Dim::from(SIZE)) else { continue };
                tested_now.borrow_mut().push(n.op);
                for (k, sample) in samples.iter().enumerate() {
                    let xs: Vec<Var> = sample.iter().map(|a| var(&cx, a)).collect();
                    let alone = cx.push(n.op, n.attrs.clone(), &xs.iter().collect::<Vec<_>>());
                    for (i, ty) in n.types.iter().enumerate() {
                        assert_eq!(alone[i].ty(), *ty);
                        let part = made[i].slice_axis(0, k, k + 1).squeeze(0);
                        close(
                            &format!("{} {mapped:?}", n.op.name()),
                            &value(&part),
                            &value(&alone[i]),
                            1e-12,
                        );
                    }
                }
            }
        });
        tested.extend(tested_now.into_inner());
    }
    // What is neither elementwise nor has a decomposition has a row.
    for op in Op::ALL.iter().filter(|op| mine(**op)) {
        let needs = !matches!(op.class(), graph::Class::Elementwise | graph::Class::Composite);
        assert!(tested.contains(op) || !needs, "{} has no batching row", op.name());
    }
}

/// Derivative number `n` of f along t, by nested forward mode.
fn nth(n: usize, f: &dyn Fn(&Var) -> Vec<Var>, t: &Var) -> Vec<Var> {
    if n == 0 {
        return f(t);
    }
    let one = t.full_like(1.0);
    jvp(|v| nth(n - 1, f, &v[0]), &[t], &[&one]).1
}

#[test]
fn taylor_rows_equal_nested_derivatives() {
    const ORDER: usize = 4;
    let mut tested = std::collections::BTreeSet::new();
    for seed in 0..4 {
        let tested_now = std::cell::RefCell::new(vec![]);
        each(seed, |one, r| {
            let n = &one.node;
            if !mine(n.op) || one.operands.iter().map(Array::len).sum::<usize>() > 60 {
                return;
            }
            let cx = Cx::eager();
            let inputs: Vec<Var> = one.operands.iter().map(|a| var(&cx, a)).collect();
            let outputs = cx.push(n.op, n.attrs.clone(), &inputs.iter().collect::<Vec<_>>());
            // Some coefficients are exact zeros.
            let series: Vec<Vec<Tangent>> = inputs
                .iter()
                .zip(&one.operands)
                .map(|(x, a)| {
                    let moves = |r: &mut Random| x.dtype().is_float() && r.below(4) > 0;
                    (0..ORDER).map(|_| moves(r).then(|| var(&cx, &r.array(&a.shape, -0.4, 0.4)))).collect()
                })
                .collect();
            let node =
                NodeCx { cx: &cx, attrs: &n.attrs, inputs: &inputs, outputs: &outputs[..n.types.len()] };
            let Some(made) = n.op.jet(&node, &series) else { return };
            tested_now.borrow_mut().push(n.op);
            let along = |t: &Var| {
                let xs: Vec<Var> = inputs
                    .iter()
                    .zip(&series)
                    .map(|(x, s)| {
                        // Horner's scheme.
                        let inner = s.iter().rev().fold(None, |sum: Tangent, c| {
                            let sum = sum.map(|s| s * t);
                            match (sum, c) {
                                (Some(a), Some(b)) => Some(a + b),
                                (a, b) => a.or(b.clone()),
                            }
                        });
                        inner.map_or(x.clone(), |i| x + &(i * t))
                    })
                    .collect();
                let ys = cx.push(n.op, n.attrs.clone(), &xs.iter().collect::<Vec<_>>());
                ys[..n.types.len()].to_vec()
            };
            let t = cx.scalar(0.0);
            let mut factorial = 1.0;
            for k in 1..=ORDER {
                factorial *= k as f64;
                for (i, expected) in nth(k, &along, &t).iter().enumerate() {
                    let expected = value(&(expected / factorial));
                    let found = made[i][k - 1].as_ref().map_or_else(
                        || Array::from_f64(DType::F64, expected.shape.clone(), &vec![0.0; expected.len()]),
                        value,
                    );
                    let what = format!("{} coefficient {k} of result {i}, seed {seed}", n.op.name());
                    let zero = expected.to_f64().iter().all(|x| x.abs() < 1e-12);
                    match zero {
                        true => assert!(found.to_f64().iter().all(|x| x.abs() < 1e-10), "{what}"),
                        false => close(&what, &found, &expected, 1e-9),
                    }
                }
            }
            assert!(cx.error().is_none(), "{:?}", cx.error());
        });
        tested.extend(tested_now.into_inner());
    }
    use Op::*;
    for op in
        [Asin, Acos, Atan, Erf, Log1p, Expm1, Softplus, Solve, TriangularSolve, Determinant, Cholesky, Eigh]
    {
        assert!(tested.contains(&op), "{} has no Taylor row", op.name());
    }
}

/// The derivative of Σ f at x, element by element.
fn slope(x: &[f64], f: impl Fn(&Var) -> Var) -> Vec<f64> {
    let cx = Cx::eager();
    let x = cx.array(DType::F64, &[x.len()], x);
    let (_, g) = grads(|v| f(&v[0]).sum_all(), &[&x]);
    value(&g[0]).to_f64()
}

#[test]
fn kinks() {
    // The derivative of the branch that the value took; 0 at 0 for abs, relu, sign.
    let at = [-1.0, 0.0, 2.0];
    assert_eq!(slope(&at, Var::abs), [-1.0, 0.0, 1.0]);
    assert_eq!(slope(&at, Var::relu), [0.0, 0.0, 1.0]);
    assert_eq!(slope(&at, Var::sign), [0.0; 3]);
    assert_eq!(slope(&[-0.0], Var::abs), [0.0]);
    assert_eq!(slope(&at, |x| x.leaky_relu(0.25)), [0.25, 0.25, 1.0]);
    assert_eq!(slope(&[0.0, 3.0], |x| x.elu(0.5)), [0.5, 1.0]);
    assert_eq!(slope(&[-2.0, -1.0, 0.0, 1.0, 2.0], |x| x.clamp(-1.0, 1.0)), [0.0, 1.0, 1.0, 1.0, 0.0]);
    assert_eq!(slope(&at, |x| x.max(&x.full_like(0.0))), [0.0, 1.0, 1.0]);
    assert_eq!(slope(&at, |x| x.min(&x.full_like(0.0))), [1.0, 1.0, 0.0]);
    assert_eq!(slope(&at, |x| x.floor() + x.ceil() + x.round_half_even() + x.round_half_away()), [0.0; 3]);
    assert_eq!(slope(&[0.0], Var::softplus), [0.5]);
    assert_eq!(slope(&[0.0], Var::sinh), [1.0]);
    assert_eq!(slope(&[0.0, 1e-9], |x| x.safe_log(0.1)), [0.0, 0.0]);
    // At the origin, where the slope has no direction.
    assert_eq!(slope(&[0.0, 0.0], |x| x.norm(&[0])), [0.0, 0.0]);
    assert_eq!(slope(&[0.0, 4.0], |x| x.norm(&[0])), [0.0, 1.0]);
    assert_eq!(slope(&[5.0, 5.0], |x| x.std(&[0], 1)), [0.0, 0.0]);
    assert_eq!(slope(&[0.0, 0.0], |x| x.slice_axis(0, 0, 1).hypot(&x.slice_axis(0, 1, 2))), [0.0, 0.0]);
    assert_eq!(slope(&[0.0, 0.0], |x| x.slice_axis(0, 0, 1).atan2(&x.slice_axis(0, 1, 2))), [0.0, 0.0]);
    // Ties: the mean of those that were taken by a reduction, the first where one is chosen by its place.
    assert_eq!(slope(&[1.0, 3.0, 3.0], |x| x.max_over(&[0])), [0.0, 0.5, 0.5]);
    assert_eq!(slope(&[3.0, 3.0], |x| x.cumulative_max(0)), [2.0, 0.0]);
    assert_eq!(slope(&[2.0, 2.0, 1.0], |x| x.top_k(1, 0).0), [1.0, 0.0, 0.0]);
    // Zeros among factors.
    assert_eq!(slope(&[0.0, 2.0, 3.0], |x| x.product(&[0])), [6.0, 0.0, 0.0]);
    assert_eq!(slope(&[0.0, 0.0, 3.0], |x| x.product(&[0])), [0.0; 3]);
    assert_eq!(slope(&[2.0, 0.0, 3.0], |x| x.cumulative_product(0)), [1.0, 8.0, 0.0]);
    // Equal eigenvalues: their sum still has a derivative.
    let cx = Cx::eager();
    let a = cx.eye(&2.into(), DType::F64);
    let (_, g) = grads(|v| v[0].eigh().0.square().sum_all(), &[&a]);
    assert_eq!(value(&g[0]).to_f64(), [2.0, 0.0, 0.0, 2.0]);
}
