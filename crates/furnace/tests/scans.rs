//! What the backward pass of a `scan` keeps: every choice gives the same gradients, and √T of them means √T memory.

mod common;

use axes::DType;
use common::{Random, close, dims, var};
use furnace::{Remat, grad_graph};
use graph::{Array, Cx, Dim, Graph, Type, Var, interp};
use premap::{Options, Plan, Step, Target};

const CHOICES: [Remat; 8] = [
    Remat::Carries,
    Remat::Sqrt,
    Remat::Every(0),
    Remat::Every(1),
    Remat::Every(2),
    Remat::Every(3),
    Remat::Every(7),
    Remat::Every(100),
];

/// A loss with gradients for all inputs by one choice, evaluated.
fn gradients(g: &Graph, inputs: &[Array<f64>], remat: Remat) -> Vec<Array<f64>> {
    let names: Vec<&str> = g.inputs.iter().map(|i| i.name.as_str()).collect();
    let d = grad_graph(g, "loss", &names, remat).unwrap_or_else(|e| panic!("{remat:?}: {e}"));
    let made = interp::run::<f64>(&d, inputs.to_vec(), false).unwrap_or_else(|e| panic!("{remat:?}: {e}"));
    made.outputs.into_iter().map(|o| o.1).collect()
}

fn same_for_all(what: &str, build: impl Fn(&Cx, &[Var]) -> Var, inputs: &[Array<f64>]) {
    let cx = Cx::abstract_();
    let xs: Vec<Var> = inputs.iter().enumerate().map(|(i, a)| cx.input(&format!("x{i}"), a.ty())).collect();
    let loss = build(&cx, &xs);
    let g = cx.finish(&[("loss", &loss)]).unwrap_or_else(|e| panic!("{what}: {e}"));
    // By closures, as an independent way in.
    let eager = Cx::eager();
    let at: Vec<Var> = inputs.iter().map(|a| var(&eager, a)).collect();
    let (_, expected) = furnace::grads(|v| build(v[0].cx(), v), &at.iter().collect::<Vec<_>>());
    let expected: Vec<Array<f64>> = expected.iter().map(common::value).collect();
    // A difference of the loss keeps both ways honest.
    let value = |inputs: &[Array<f64>]| {
        interp::run::<f64>(&g, inputs.to_vec(), false).expect("runs").outputs[0].1.to_f64()[0]
    };
    let mut r = Random::new(9);
    let v: Vec<Array<f64>> = inputs.iter().map(|a| r.like(a)).collect();
    let moved = |h: f64| -> Vec<Array<f64>> {
        let step = |(a, v): (&Array<f64>, &Array<f64>)| {
            let x: Vec<f64> = a.to_f64().iter().zip(v.to_f64()).map(|(a, v)| a + h * v).collect();
            Array::from_f64(DType::F64, a.shape.clone(), &x)
        };
        inputs.iter().zip(&v).map(step).collect()
    };
    let difference = (value(&moved(1e-5)) - value(&moved(-1e-5))) / 2e-5;
    let slope = common::dot(&expected, &v);
    assert!(
        (difference - slope).abs() <= 1e-7 * slope.abs().max(1.0),
        "{what}: {slope} against {difference}"
    );
    for remat in CHOICES {
        let found = gradients(&g, inputs, remat);
        for (k, (f, e)) in found[1..].iter().zip(&expected).enumerate() {
            close(&format!("{what}, {remat:?}, x{k}"), f, e, 1e-12);
        }
    }
}

fn cell(h: &Var, x: &Var, w: &Var) -> Var {
    (h.matmul(w) + x).tanh()
}

#[test]
fn every_choice_gives_the_same_gradients() {
    let mut r = Random::new(4);
    for reverse in [false, true] {
        // 1, fewer than a chunk, whole chunks, tails.
        for t in [1, 2, 4, 7, 9, 11] {
            let inputs =
                [r.array(&[2, 3], -1.0, 1.0), r.array(&[t, 2, 3], -1.0, 1.0), r.array(&[3, 3], -1.0, 1.0)];
            same_for_all(
                &format!("T {t} reverse {reverse}"),
                |cx, v| {
                    let (last, ys) = cx.scan(&[&v[0]], &[&v[1]], reverse, |h, x| {
                        let next = cell(&h[0], &x[0], &v[2]);
                        (vec![next.clone()], vec![next.square(), x[0].sin()])
                    });
                    last[0].sum_all() + (&ys[0] * &v[1]).sum_all() + ys[1].sum_all()
                },
                &inputs,
            );
        }
        let inputs = [r.array(&[3], -1.0, 1.0), r.array(&[3], 0.5, 1.0)];
        same_for_all(
            &format!("no sequences, reverse {reverse}"),
            |cx, v| {
                let (last, _) = cx.scan_n(&Dim::from(10), &[&v[0]], &[], reverse, |h, _| {
                    (vec![(&h[0] * &v[1]).sin()], vec![])
                });
                last[0].sum_all()
            },
            &inputs,
        );
        let inputs = [r.array(&[8, 3], -1.0, 1.0), r.array(&[3], -1.0, 1.0)];
        same_for_all(
            &format!("no carried values, reverse {reverse}"),
            |cx, v| {
                let (_, ys) = cx.scan(&[], &[&v[0]], reverse, |_, x| (vec![], vec![(&x[0] * &v[1]).tanh()]));
                ys[0].sum_all()
            },
            &inputs,
        );
    }
}

#[test]
fn integers_beside_floats() {
    let mut r = Random::new(6);
    let inputs = [r.array(&[5, 3], -1.0, 1.0), r.array(&[3], -1.0, 1.0)];
    same_for_all(
        "a counter and a look-up",
        |cx, v| {
            let ids = cx.array(DType::I64, &[9], &[0.0, 4.0, 1.0, 1.0, 2.0, 3.0, 4.0, 0.0, 2.0]);
            let zero = cx.full(&Type::scalar(DType::I64), 0.0);
            let (last, _) = cx.scan(&[&zero, &v[1]], &[&ids], false, |c, x| {
                let count = &c[0] + &c[0].full_like(1.0);
                let scale = count.convert(DType::F64) * 0.1;
                (vec![count, (&c[1] + &v[0].gather(&x[0])).tanh() * &scale], vec![])
            });
            last[1].sum_all()
        },
        &inputs,
    );
}

#[test]
fn nested_scans() {
    let mut r = Random::new(7);
    for (outer, inner) in [(false, false), (false, true), (true, false), (true, true)] {
        let inputs = [r.array(&[2], -1.0, 1.0), r.array(&[6, 5, 2], -1.0, 1.0), r.array(&[2, 2], -1.0, 1.0)];
        same_for_all(
            &format!("nested {outer} {inner}"),
            |cx, v| {
                let row = |x: &Var| x.reshape(&dims(&[1, 2]));
                let (last, ys) = cx.scan(&[&v[0]], &[&v[1]], outer, |h, x| {
                    let (h1, y1) = h[0].cx().scan(&[&h[0]], &[&x[0]], inner, |h, x| {
                        let next = cell(&row(&h[0]), &row(&x[0]), &v[2]).reshape(&dims(&[2]));
                        (vec![next.clone()], vec![next])
                    });
                    (h1, vec![y1[0].sum(&[0])])
                });
                last[0].sum_all() + ys[0].square().sum_all()
            },
            &inputs,
        );
    }
}

#[test]
fn second_derivatives_by_every_choice() {
    let mut r = Random::new(8);
    let inputs = [r.array(&[2, 3], -1.0, 1.0), r.array(&[7, 2, 3], -1.0, 1.0), r.array(&[3, 3], -1.0, 1.0)];
    let cx = Cx::abstract_();
    let xs: Vec<Var> = inputs.iter().enumerate().map(|(i, a)| cx.input(&format!("x{i}"), a.ty())).collect();
    let (last, _) = cx.scan(&[&xs[0]], &[&xs[1]], false, |h, x| (vec![cell(&h[0], &x[0], &xs[2])], vec![]));
    let loss = last[0].square().sum_all();
    let g = cx.finish(&[("loss", &loss)]).expect("a graph");
    let second = |remat: Remat| -> Vec<Array<f64>> {
        let first = grad_graph(&g, "loss", &["x0", "x1", "x2"], remat).expect("a gradient");
        // |∇L|² as the next loss.
        let cx = Cx::abstract_();
        let ins: Vec<Var> =
            first.inputs.iter().map(|i| cx.input(&i.name, first.ty(i.value).clone())).collect();
        let outs = cx.inline(&first, &ins).expect("inlined");
        let norm = outs[1..].iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).expect("gradients");
        let g2 = cx.finish(&[("loss", &norm)]).expect("a graph");
        gradients(&g2, &inputs, remat)
    };
    let expected = second(Remat::Carries);
    for remat in [Remat::Sqrt, Remat::Every(2), Remat::Every(3)] {
        for (k, (a, b)) in second(remat).iter().zip(&expected).enumerate() {
            close(&format!("{remat:?}, result {k}"), a, b, 1e-11);
        }
    }
}

/// The arena of a plan and of the plans of its regions.
fn arena(p: &Plan) -> usize {
    let inner = p.steps.iter().map(|s| match s {
        Step::Control(_, plans) => plans.iter().map(arena).sum(),
        _ => 0,
    });
    p.arena + inner.sum::<usize>()
}

#[test]
fn memory_grows_with_the_root_of_the_length() {
    let bytes = |t: usize, remat: Remat| {
        let cx = Cx::abstract_();
        let h0 = cx.input("h0", Type::new(DType::F32, [8, 32]));
        let w = cx.input("w", Type::new(DType::F32, [32, 32]));
        let (last, _) =
            cx.scan_n(&Dim::from(t), &[&h0], &[], false, |h, _| (vec![h[0].matmul(&w).tanh()], vec![]));
        let loss = last[0].sum_all();
        let g = cx.finish(&[("loss", &loss)]).expect("a graph");
        let g = grad_graph(&g, "loss", &["h0", "w"], remat).expect("a gradient");
        let target = Target::default();
        arena(&premap::plan(&g, &target, &Options::default()).expect("a plan"))
    };
    let state = 8 * 32 * 4;
    let all: Vec<usize> = [64, 256, 1024].map(|t| bytes(t, Remat::Carries)).to_vec();
    let root: Vec<usize> = [64, 256, 1024].map(|t| bytes(t, Remat::Sqrt)).to_vec();
    println!("arena for T = 64, 256, 1024: every step {all:?}, every √T-th {root:?}");
    for (k, t) in [64usize, 256, 1024].into_iter().enumerate() {
        let step = t.isqrt();
        assert!(all[k] >= t * state, "the plain way keeps every state: {}", all[k]);
        // The borders of √T chunks, the √T states within one, and what a step needs.
        assert!(root[k] <= (2 * step + 24) * state, "T = {t}: {} bytes, a state has {state}", root[k]);
    }
    // Four times the length: twice the memory (at most, and some constant), not four times.
    for k in 0..2 {
        let ratio = root[k + 1] as f64 / root[k] as f64;
        assert!(ratio < 2.2, "T × 4 takes {ratio} times the memory");
        assert!(all[k + 1] as f64 / all[k] as f64 > 3.0);
    }
}
