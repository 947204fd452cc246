//! Errors that name what is wrong: indices outside a table, tensors of the wrong type, the first number that is not one.

use crate::cases::{Case, Maker};
use crate::support::{POOLS, run, tensors};
use axes::DType;
use engine::{Blame, EngineError, Executable, Tensor};
use graph::{Array, Dim, Type, Var};
use premap::Options;

fn build(f: impl FnOnce(&mut Maker) -> Vec<Var>) -> Case {
    let mut m = Maker::new(11);
    let out = f(&mut m);
    m.finish("fault", &out)
}

#[test]
fn an_index_outside_the_table_is_an_error() {
    for bad in [-1, 5, i64::MAX, i64::MIN, -100] {
        for dtype in [DType::F32, DType::F64, DType::I8] {
            let c = build(|m| {
                let table = m.input(dtype, &[5, 3], 0.0, 1.0);
                let ids = m.labels(&[0, 1, bad, 4]);
                let cx = m.cx.clone();
                vec![cx.scope("embeddings", || table.gather(&ids))]
            });
            let e = run(&c, &Options::default(), &POOLS[0]).expect_err("outside");
            assert!(e.contains("gather") && e.contains(&bad.to_string()) && e.contains("embeddings"), "{e}");
        }
        let c = build(|m| {
            let ids = m.labels(&[0, 1, bad, 4]);
            let x = m.f(&[4, 2]);
            vec![ids.scatter_add(&x, &Dim::from(5))]
        });
        let e = run(&c, &Options::default(), &POOLS[1]).expect_err("outside");
        assert!(e.contains("scatter_add") && e.contains(&bad.to_string()), "{e}");
        if bad == -100 {
            continue;
        }
        let c = build(|m| {
            let x = m.f(&[4, 5]);
            let l = m.labels(&[0, 1, bad, 4]);
            let (y, g) = furnace::grads(|v| v[0].cross_entropy(&l), &[&x]);
            vec![y, g[0].clone()]
        });
        let e = run(&c, &Options::default(), &POOLS[0]).expect_err("outside");
        assert!(e.contains("cross_entropy") && e.contains(&bad.to_string()), "{e}");
    }
}

#[test]
fn an_index_outside_the_table_inside_a_scan_names_both() {
    let c = build(|m| {
        let table = m.f(&[3, 2]);
        let ids = m.labels(&[0, 7, 1]);
        let cx = m.cx.clone();
        let (_, ys) = cx.scan(&[], &[&ids], false, |_, x| (vec![], vec![table.gather(&x[0])]));
        ys
    });
    let e = run(&c, &Options::default(), &POOLS[0]).expect_err("outside");
    assert!(e.contains("scan") && e.contains("gather") && e.contains('7'), "{e}");
}

#[test]
fn tensors_of_another_type_are_refused() {
    let c = build(|m| {
        let (x, y) = (m.f(&[3, 2]), m.f(&[2]));
        vec![&x * &y.broadcast_like(&x)]
    });
    let mut exe = Executable::new(&c.graph, &Options::default(), POOLS[0].clone()).expect("a plan");
    let good = tensors(&c.inputs);
    let mut out = Tensor::zeros(DType::F32, [3, 2]);
    let bad = [
        Tensor::zeros(DType::F32, [2, 3]),
        Tensor::zeros(DType::F64, [3, 2]),
        Tensor::zeros(DType::F32, [6]),
    ];
    for t in &bad {
        let mut io = exe.io();
        io.input(0, t).input(1, &good[1]).output(0, &mut out);
        let e = exe.run(&mut io).expect_err("another type");
        assert!(matches!(&e, EngineError::Bind { what: "input", name, .. } if name == "in.0"), "{e}");
        assert!(e.to_string().contains("f32[3,2]") && e.to_string().contains(&t.ty().to_string()), "{e}");
    }
    let mut short = Tensor::zeros(DType::F32, [3]);
    let mut io = exe.io();
    io.input(0, &good[0]).input(1, &good[1]).output(0, &mut short);
    assert!(matches!(exe.run(&mut io), Err(EngineError::Bind { what: "output", .. })));
    let mut io = exe.io();
    io.input(0, &good[0]).output(0, &mut out);
    let e = exe.run(&mut io).expect_err("nothing bound");
    assert!(e.to_string().contains("in.1") && e.to_string().contains("nothing"), "{e}");
    // A binding made for another plan.
    let other = build(|m| {
        let x = m.f(&[3]);
        vec![x.exp()]
    });
    let other = Executable::new(&other.graph, &Options::default(), POOLS[0].clone()).expect("a plan");
    assert!(matches!(exe.run(&mut other.io()), Err(EngineError::Bind { .. })));
    drop(io);
}

#[test]
fn symbolic_sizes_are_refused_with_the_remedy() {
    let cx = graph::Cx::abstract_();
    let x = cx.input("x", Type { dtype: DType::F32, shape: vec![Dim::symbol("B"), Dim::from(3)] });
    let g = cx.finish(&[("y", &x.exp())]).expect("a graph");
    let e = Executable::new(&g, &Options::default(), POOLS[0].clone()).err().expect("symbolic").to_string();
    assert!(e.contains('B') && e.contains("specialise"), "{e}");
}

fn blame(c: &Case, options: &Options) -> Option<Blame> {
    let mut exe = Executable::new(&c.graph, options, POOLS[0].clone()).expect("a plan");
    let inputs = tensors(&c.inputs);
    let mut outputs: Vec<Tensor> = exe
        .plan()
        .graph
        .outputs
        .iter()
        .chain(&exe.plan().graph.taps)
        .map(|o| Tensor::of(exe.plan().graph.ty(o.value)))
        .collect();
    let mut io = exe.io();
    inputs.iter().enumerate().for_each(|(i, t)| {
        io.input(i, t);
    });
    outputs.iter_mut().enumerate().for_each(|(o, t)| {
        io.output(o, t);
    });
    exe.find_nonfinite(&mut io).expect("it runs")
}

#[test]
fn the_first_number_that_is_not_finite_is_blamed_on_its_op() {
    for fuse in [true, false] {
        let options = Options { fuse, taps: true, ..Options::default() };
        // A logarithm in the middle of a fused group, overwritten by what follows.
        let c = build(|m| {
            let x = m.given(Array::from_f64(DType::F32, [4], &[1.0, 2.0, -0.5, 3.0]));
            let w = m.f(&[3, 4]);
            let cx = m.cx.clone();
            let a = cx.scope("layers.0", || (&x * 2.0).abs());
            let b = cx.scope("layers.1.attn", || ((&x + 0.25).log() * &a).tanh());
            let c = cx.scope("layers.2", || (&w * &b.broadcast_like(&w)).sum(&[0]));
            vec![c]
        });
        let found = blame(&c, &options).expect("a NaN");
        assert_eq!(
            (found.op, found.scope.as_str(), found.what),
            ("log", "layers.1.attn", "NaN"),
            "fuse {fuse}"
        );
        let c = build(|m| {
            let x = m.f(&[4, 4]);
            let cx = m.cx.clone();
            let y = cx.scope("head", || &x * 1e30);
            cx.tap("hidden", &y);
            let z = cx.scope("loss", || y.matmul(&y));
            vec![z.tanh()]
        });
        let found = blame(&c, &options).expect("an infinity");
        assert_eq!((found.op, found.scope.as_str(), found.what), ("dot_general", "loss", "infinity"));
        let c = build(|m| {
            let x = m.given(Array::from_f64(DType::F32, [2], &[1.0, f64::INFINITY]));
            vec![x.tanh()]
        });
        let found = blame(&c, &options).expect("an infinite input");
        assert_eq!((found.op, found.name.as_deref()), ("input", Some("in.0")));
        let c = build(|m| {
            let x = m.given(Array::from_f64(DType::F32, [2], &[1.0, -1.0]));
            let y = x.sqrt();
            m.cx.tap("root", &y);
            vec![y]
        });
        let found = blame(&c, &options).expect("a NaN");
        assert_eq!((found.op, found.name.as_deref()), ("sqrt", Some("root")));
        let c = build(|m| {
            let x = m.f(&[6]);
            vec![x.exp(), x.sum_all()]
        });
        assert_eq!(blame(&c, &options), None);
    }
}

#[test]
fn inside_a_scan_the_body_is_blamed() {
    let c = build(|m| {
        let x = m.given(Array::from_f64(DType::F32, [3, 2], &[4.0, 1.0, 2.0, 3.0, -9.0, 1.0]));
        let cx = m.cx.clone();
        let zero = cx.full(&Type::new(DType::F32, [2]), 0.0);
        let (last, _) = cx.scan(&[&zero], &[&x], false, |h, x| {
            let inner = x[0].cx().clone();
            let y = inner.scope("cell", || (&h[0] + &x[0]).sqrt());
            (vec![y * 0.5], vec![])
        });
        last
    });
    let found = blame(&c, &Options::default()).expect("a NaN");
    assert_eq!((found.op, found.scope.as_str(), found.what), ("sqrt", "cell", "NaN"));
}
