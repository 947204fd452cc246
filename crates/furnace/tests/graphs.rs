//! The operators on graphs, derivatives of derivatives, and surrogates inside them.

mod common;

use axes::DType;
use common::{Random, close, dims, value, var};
use furnace::{Remat, grad, grad_graph, jvp_graph, vjp_graph};
use graph::{Array, Cx, Dim, Graph, GraphError, Type, Var, interp};

fn model() -> (Graph, Vec<Array<f64>>) {
    let cx = Cx::abstract_();
    let ty = |s: &[usize]| Type::new(DType::F64, s.iter().copied());
    let (x, w, b) = (cx.input("x", ty(&[5, 3])), cx.input("w", ty(&[2, 3])), cx.input("b", ty(&[2])));
    let y = cx.scope("layer", || (x.linear(&w) + b.broadcast(&dims(&[5, 2]), &[1])).tanh());
    let loss = cx.scope("loss", || y.square().sum_all());
    let g = cx.finish(&[("y", &y), ("loss", &loss)]).expect("a graph");
    let mut r = Random::new(1);
    (g, vec![r.array(&[5, 3], -1.0, 1.0), r.array(&[2, 3], -1.0, 1.0), r.array(&[2], -1.0, 1.0)])
}

fn run(g: &Graph, inputs: &[Array<f64>]) -> interp::Evaluated<f64> {
    interp::run::<f64>(g, inputs.to_vec(), false).unwrap_or_else(|e| panic!("{e}"))
}

fn get<'a>(e: &'a interp::Evaluated<f64>, name: &str) -> &'a Array<f64> {
    e.get(name).unwrap_or_else(|| panic!("no output {name}"))
}

#[test]
fn gradients_of_graphs_keep_names_scopes_and_values() {
    let (g, inputs) = model();
    let d = grad_graph(&g, "loss", &["w", "b"], Remat::default()).expect("a gradient");
    let names: Vec<&str> = d.outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["y", "loss", "grad.w", "grad.b"]);
    assert_eq!(d.inputs.len(), 3);
    assert!(d.scopes.iter().any(|s| s == "layer") && d.scopes.iter().any(|s| s == "loss"));
    let made = run(&d, &inputs);
    close("y", get(&made, "y"), get(&run(&g, &inputs), "y"), 0.0);
    // vjp with the cotangents (0, 1) and jvp along each axis are the same numbers.
    let v = vjp_graph(&g, &["w", "b"], Remat::default()).expect("a pullback");
    assert_eq!(v.inputs[3].name, "cotangent.y");
    assert_eq!(v.inputs[4].name, "cotangent.loss");
    let zero = Array::from_f64(DType::F64, [5, 2], &[0.0; 10]);
    let one = Array::from_f64(DType::F64, [], &[1.0]);
    let pulled = run(&v, &[&inputs[..], &[zero, one]].concat());
    close("w", get(&pulled, "cotangent.w"), get(&made, "grad.w"), 1e-14);
    close("b", get(&pulled, "cotangent.b"), get(&made, "grad.b"), 1e-14);
    let j = jvp_graph(&g, &["b"]).expect("a pushforward");
    for k in 0..2 {
        let mut e = vec![0.0, 0.0];
        e[k] = 1.0;
        let t = run(&j, &[&inputs[..], &[Array::from_f64(DType::F64, [2], &e)]].concat());
        let slope = get(&t, "tangent.loss").to_f64()[0];
        assert!((slope - get(&made, "grad.b").to_f64()[k]).abs() < 1e-13);
    }
}

#[test]
fn symbolic_sizes_stay_symbolic() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type { dtype: DType::F64, shape: vec![Dim::symbol("B"), Dim::from(3)] });
    let w = cx.input("w", Type::new(DType::F64, [4, 3]));
    let loss = x.linear(&w).silu().mean_all();
    let g = cx.finish(&[("loss", &loss)]).expect("a graph");
    let d = grad_graph(&g, "loss", &["x", "w"], Remat::default()).expect("a gradient");
    let mut r = Random::new(3);
    let w = r.array(&[4, 3], -1.0, 1.0);
    for b in [1, 6] {
        let x = r.array(&[b, 3], -1.0, 1.0);
        let made = run(&d, &[x.clone(), w.clone()]);
        let eager = Cx::eager();
        let (_, e) =
            furnace::grads(|v| v[0].linear(&v[1]).silu().mean_all(), &[&var(&eager, &x), &var(&eager, &w)]);
        close("x", get(&made, "grad.x"), &value(&e[0]), 1e-13);
        close("w", get(&made, "grad.w"), &value(&e[1]), 1e-13);
    }
}

#[test]
fn what_cannot_be_asked_is_an_error() {
    let (g, _) = model();
    let e = |r: graph::Result<Graph>| r.expect_err("refused").to_string();
    assert!(e(grad_graph(&g, "y", &["w"], Remat::default())).contains("not a number"));
    assert!(e(grad_graph(&g, "none", &["w"], Remat::default())).contains("none"));
    assert!(e(grad_graph(&g, "loss", &["none"], Remat::default())).contains("none"));
    assert!(e(vjp_graph(&g, &["none"], Remat::default())).contains("none"));
    assert!(e(jvp_graph(&g, &["none"])).contains("none"));
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    let y = cx.while_(&[&x], |c| c[0].lt(&c[0].full_like(9.0)), |c| vec![&c[0] * 2.0])[0].clone();
    let g = cx.finish(&[("y", &y)]).expect("a graph");
    let refused = grad_graph(&g, "y", &["x"], Remat::default()).expect_err("refused");
    assert!(matches!(refused, GraphError::NotDifferentiable { op: "while", .. }), "{refused}");
    // Quantised activations have no derivative of their own.
    let cx = Cx::abstract_();
    let (x, w) = (cx.input("x", Type::new(DType::F32, [32])), cx.input("w", Type::new(DType::U8, [3, 34])));
    let loss = x.block_linear(&w, axes::BlockFormat::Q8_0).sum_all();
    let blocks = cx.finish(&[("y", &loss)]).expect("a graph");
    let refused = grad_graph(&blocks, "y", &["x"], Remat::default()).expect_err("refused");
    assert!(matches!(refused, GraphError::NotDifferentiable { op: "block_linear", .. }), "{refused}");
    let j = jvp_graph(&g, &["x"]).expect("forward mode works");
    let one = Array::from_f64(DType::F64, [], &[1.0]);
    assert_eq!(get(&run(&j, &[one.clone(), one]), "tangent.y").to_f64(), [16.0]);
}

#[test]
fn gradients_of_gradients_of_graphs() {
    // f = Σ sin(w x) over a scan; the Hessian row sums by two graph operators, and by nested closures.
    let build = |cx: &Cx, w: &Var, x: &Var| {
        let zero = w.sum_all().full_like(0.0);
        let (last, _) =
            cx.scan(&[&zero], &[x], false, |c, x| (vec![&c[0] + &(w * &x[0]).sin().sum_all()], vec![]));
        last[0].clone()
    };
    let cx = Cx::abstract_();
    let (w, x) = (cx.input("w", Type::new(DType::F64, [3])), cx.input("x", Type::new(DType::F64, [4, 3])));
    let loss = build(&cx, &w, &x);
    let g = cx.finish(&[("loss", &loss)]).expect("a graph");
    let mut r = Random::new(4);
    let at = [r.array(&[3], -1.0, 1.0), r.array(&[4, 3], -1.0, 1.0)];
    for remat in [Remat::Carries, Remat::Sqrt] {
        let first = grad_graph(&g, "loss", &["w"], remat).expect("a gradient");
        let cx = Cx::abstract_();
        let ins: Vec<Var> =
            first.inputs.iter().map(|i| cx.input(&i.name, first.ty(i.value).clone())).collect();
        let outs = cx.inline(&first, &ins).expect("inlined");
        let total = outs[1].sum_all();
        let summed = cx.finish(&[("loss", &total)]).expect("a graph");
        let second = grad_graph(&summed, "loss", &["w"], remat).expect("a gradient");
        let found = run(&second, &at);
        let eager = Cx::eager();
        let xv = var(&eager, &at[1]);
        let nested = grad(|w: &Var| grad(|w: &Var| build(w.cx(), w, &xv))(w).sum_all())(&var(&eager, &at[0]));
        close("second", get(&found, "grad.w"), &value(&nested), 1e-12);
        // By hand: d²/dw² sin(w x) = −x² sin(w x).
        let (wv, xs) = (at[0].to_f64(), at[1].to_f64());
        let hand: Vec<f64> = (0..3)
            .map(|c| (0..4).map(|t| -xs[t * 3 + c].powi(2) * (wv[c] * xs[t * 3 + c]).sin()).sum())
            .collect();
        close("by hand", get(&found, "grad.w"), &Array::from_f64(DType::F64, [3], &hand), 1e-12);
    }
}

#[test]
fn surrogates_have_every_derivative_of_the_stand_in() {
    let cx = Cx::eager();
    // q = round(x), s = x⁴: values of q, derivatives of s to order 5.
    let f = |x: &Var| x.round_half_even().surrogate(&x.powf(4.0));
    let x = cx.scalar(1.3);
    assert_eq!(f(&x).val(), 1.0);
    let g1 = grad(f);
    let g2 = grad(&g1);
    let g3 = grad(&g2);
    let g4 = grad(&g3);
    let g5 = grad(&g4);
    let expected = [4.0 * 1.3f64.powi(3), 12.0 * 1.3f64.powi(2), 24.0 * 1.3, 24.0, 0.0];
    for (found, e) in [g1(&x), g2(&x), g3(&x), g4(&x), g5(&x)].iter().zip(expected) {
        assert!((found.val() - e).abs() < 1e-12, "{} against {e}", found.val());
    }
    // One inside another, and through forward mode over reverse mode.
    let nested = |x: &Var| f(x).floor().surrogate(&(f(x) * x));
    let stand_in = |x: &Var| x.powf(4.0);
    // The inner surrogate's value is 1 in every product, its derivatives those of x⁴.
    let slope = grad(nested)(&x).val();
    assert!((slope - (grad(stand_in)(&x).val() * 1.3 + 1.0)).abs() < 1e-12);
    let one = cx.scalar(1.0);
    let (_, t) = furnace::jvp(|v| vec![grad(nested)(&v[0])], &[&x], &[&one]);
    assert!((t[0].val() - grad(grad(nested))(&x).val()).abs() < 1e-12);
    // d²(f·x) = f'' x + 2 f'.
    assert!((t[0].val() - (12.0 * 1.3f64.powi(3) + 8.0 * 1.3f64.powi(3))).abs() < 1e-11);
}

#[test]
fn surrogates_inside_a_scan() {
    let mut r = Random::new(6);
    let (h0, xs, w) = (r.array(&[3], -1.0, 1.0), r.array(&[9, 3], -1.0, 1.0), r.array(&[3], -1.0, 1.0));
    // The quantised state is what the next step sees; its derivative is that of tanh of the state.
    let build = |cx: &Cx, v: &[Var]| {
        let (last, ys) = cx.scan(&[&v[0]], &[&v[1]], false, |h, x| {
            let next = &h[0] * &v[2] + &x[0];
            let q = (&next * 4.0).round_half_even() * 0.25;
            let q = q.surrogate(&next.tanh());
            (vec![q.clone()], vec![q.square()])
        });
        last[0].sum_all() + ys[0].sum_all()
    };
    // The same in a Rust loop.
    let unrolled = |v: &[Var]| {
        let (mut h, mut sum) = (v[0].clone(), v[0].sum_all().full_like(0.0));
        for t in 0..9 {
            let next = &h * &v[2] + &v[1].slice_axis(0, t, t + 1).reshape(&dims(&[3]));
            let q = (&next * 4.0).round_half_even() * 0.25;
            h = q.surrogate(&next.tanh());
            sum = sum + h.square().sum_all();
        }
        sum + h.sum_all()
    };
    let cx = Cx::abstract_();
    let at = [h0, xs, w];
    let ins: Vec<Var> = at.iter().enumerate().map(|(i, a)| cx.input(&format!("x{i}"), a.ty())).collect();
    let loss = build(&cx, &ins);
    let g = cx.finish(&[("loss", &loss)]).expect("a graph");
    let eager = Cx::eager();
    let vars: Vec<Var> = at.iter().map(|a| var(&eager, a)).collect();
    let (y, e) = furnace::grads(unrolled, &vars.iter().collect::<Vec<_>>());
    for remat in [Remat::Carries, Remat::Sqrt, Remat::Every(4)] {
        let d = grad_graph(&g, "loss", &["x0", "x1", "x2"], remat).expect("a gradient");
        let made = run(&d, &at);
        close("loss", get(&made, "loss"), &value(&y), 1e-14);
        for (k, e) in e.iter().enumerate() {
            close(&format!("{remat:?} x{k}"), get(&made, &format!("grad.x{k}")), &value(e), 1e-12);
        }
    }
    // Second derivatives: the stand-ins' own.
    let along = |f: &dyn Fn(&[Var]) -> Var| {
        let slope = |v: &[Var]| furnace::grads(f, &v.iter().collect::<Vec<_>>()).1[2].sum_all();
        let (_, h) = furnace::grads(slope, &vars.iter().collect::<Vec<_>>());
        h.iter().map(value).collect::<Vec<_>>()
    };
    let (a, b) = (along(&|v| build(v[0].cx(), v)), along(&unrolled));
    a.iter().zip(&b).for_each(|(a, b)| close("second", a, b, 1e-11));
}
