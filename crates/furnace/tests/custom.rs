//! Functions with derivative rules of their own, rematerialisation, linear systems and implicit functions.

mod common;

use axes::DType;
use common::{close, value};
use furnace::{
    Remat, checkpoint, custom_jvp, custom_linear_solve, custom_vjp, diff, diffn, fixed_point, grad,
    grad_graph, grads, hessian, implicit_root, jacobian, jvp, laplacian, linear_solve, map, numerical,
    stop_gradient, vmap,
};
use graph::{Attr, Cx, Op, Type, Var};

fn vector(cx: &Cx, v: &[f64]) -> Var {
    cx.array(DType::F64, &[v.len()], v)
}

fn near(found: &Var, expected: &Var, tolerance: f64) {
    close("", &value(found), &value(expected), tolerance);
}

#[test]
fn a_rule_for_tangents() {
    let cx = Cx::eager();
    // Written with Rust's `if`, and with a rule that is not the derivative, so that it shows which one is used.
    let f = |x: &Var| {
        let rule = custom_jvp(
            |x| vec![if x[0].val() > 1.0 { &x[0] * &x[0] } else { x[0].clone() }],
            |x, t| vec![&t[0] * &(&x[0] * 10.0)],
        );
        rule(&[x]).remove(0)
    };
    let x = cx.scalar(2.0);
    assert_eq!((f(&x).val(), grad(f)(&x).val(), diff(f)(&x).val()), (4.0, 20.0, 20.0));
    assert_eq!((grad(grad(f))(&x).val(), diffn(3, f)(&x).val(), diff(diff(f))(&x).val()), (10.0, 0.0, 10.0));
    let smooth = |x: &Var| custom_jvp(|x| vec![x[0].sin()], |x, t| vec![&t[0] * &x[0].cos()])(&[x]).remove(0);
    let xs = vector(&cx, &[0.3, 0.5, 0.9]);
    near(&vmap(grad(smooth))(&xs), &xs.cos(), 1e-15);
    near(&grad(|x| vmap(smooth)(x).sum_all())(&xs), &xs.cos(), 1e-15);
    near(&diffn(5, smooth)(&x), &diffn(5, |x| x.sin())(&x), 1e-13);
    near(&laplacian(|x| smooth(x).sum_all())(&xs), &-xs.sin().sum_all(), 1e-14);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn a_rule_for_cotangents() {
    let cx = Cx::eager();
    let f = |x: &Var| {
        let rule = custom_vjp(
            |x| {
                let e = x[0].exp();
                (vec![&e * &x[0]], vec![e, x[0].clone()])
            },
            |kept, ct| vec![&ct[0] * &(&kept[0] * &(&kept[1] + 1.0))],
        );
        rule(&[x]).remove(0)
    };
    let g = |x: &Var| x.exp() * x;
    let x = cx.scalar(0.4);
    near(&f(&x), &g(&x), 1e-15);
    near(&grad(f)(&x), &grad(g)(&x), 1e-15);
    // Forward mode is the transpose of the rule, and both modes nest.
    near(&diff(f)(&x), &diff(g)(&x), 1e-15);
    near(&grad(grad(f))(&x), &grad(grad(g))(&x), 1e-14);
    near(&diff(grad(f))(&x), &diff(grad(g))(&x), 1e-14);
    near(&grad(diff(f))(&x), &grad(diff(g))(&x), 1e-14);
    near(&diffn(4, f)(&x), &diffn(4, g)(&x), 1e-12);
    let xs = vector(&cx, &[0.3, 0.5, 0.9]);
    near(&vmap(grad(f))(&xs), &vmap(grad(g))(&xs), 1e-14);
    near(&hessian(|x| vmap(f)(x).sum_all())(&xs), &hessian(|x| g(x).sum_all())(&xs), 1e-13);
    assert!(cx.error().is_none(), "{:?}", cx.error());
    // A rule that is not linear in the cotangent is no derivative: one reverse pass, no forward mode.
    let clipped = |x: &Var| {
        custom_vjp(|x| (vec![x[0].clone()], vec![]), |_, ct| vec![ct[0].clamp(-1.0, 1.0)])(&[x]).remove(0)
    };
    assert_eq!(grad(|x| clipped(x) * 5.0)(&x).val(), 1.0);
    let _ = diff(clipped)(&x);
    let message = cx.error().expect("refused").to_string();
    assert!(message.contains("not linear"), "{message}");
    // What a rule does not know must not move.
    let cx = Cx::eager();
    let x = cx.scalar(0.4);
    let captured = |x: &Var| {
        let y = x * 2.0;
        custom_jvp(|v| vec![&v[0] * &y], |_, t| vec![t[0].clone()])(&[&x.cx().scalar(1.0)]).remove(0)
    };
    let _ = grad(captured)(&x);
    let message = cx.error().expect("refused").to_string();
    assert!(message.contains("pass it as an operand"), "{message}");
    let cx = Cx::eager();
    let short = custom_jvp(|x| vec![x[0].clone()], |_, _| vec![]);
    let _ = grad(|x: &Var| short(&[x]).remove(0))(&cx.scalar(1.0));
    let message = cx.error().expect("refused").to_string();
    assert!(message.contains("must give 1"), "{message}");
}

#[test]
fn checkpoints_recompute() {
    let body = |x: &[Var]| vec![(x[0].sin() * &x[1]).tanh().exp()];
    let plain = |x: &Var| body(&[x.clone(), x * 2.0]).remove(0);
    let kept = |x: &Var| checkpoint(body)(&[x, &(x * 2.0)]).remove(0);
    let cx = Cx::eager();
    let x = cx.scalar(0.4);
    near(&kept(&x), &plain(&x), 0.0);
    near(&grad(kept)(&x), &grad(plain)(&x), 1e-15);
    near(&grad(grad(kept))(&x), &grad(grad(plain))(&x), 1e-14);
    near(&diff(grad(kept))(&x), &diff(grad(plain))(&x), 1e-14);
    near(&diffn(4, kept)(&x), &diffn(4, plain)(&x), 1e-12);
    let xs = vector(&cx, &[0.3, 0.5, 0.9]);
    near(&vmap(grad(kept))(&xs), &vmap(grad(plain))(&xs), 1e-14);
    // Values of Rust inside, and values from outside that move.
    let outer = |x: &Var| {
        let y = x * 3.0;
        checkpoint(|v| vec![if v[0].val() > 0.0 { &v[0] * &y } else { y.clone() }])(&[x]).remove(0)
    };
    assert_eq!(grad(outer)(&cx.scalar(0.5)).val(), 3.0);
    assert!(cx.error().is_none(), "{:?}", cx.error());
    // What the backward pass takes from the forward one: the operand, and nothing from inside the function.
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    let y = grad(kept)(&x);
    let g = graph::passes::dead_code(&cx.finish(&[("y", &y)]).unwrap());
    assert!(g.nodes.iter().all(|n| !matches!(n.op, Op::Tanh | Op::Sine | Op::Exp)));
    let calls: Vec<_> = g.nodes.iter().filter(|n| n.op == Op::Call).collect();
    assert_eq!(calls.len(), 1, "the forward pass is not needed by the gradient alone");
    assert!(calls.iter().all(|n| matches!(n.attrs.get("remat"), Some(Attr::Bool(true)))));
    g.verify().unwrap();
    assert_eq!(graph::Graph::parse(&g.to_string()).unwrap(), g);
}

#[test]
fn checkpoints_save_memory() {
    let state = 64 * 64 * 4;
    let bytes = |kept: bool| {
        let cx = Cx::abstract_();
        let ty = Type::new(DType::F32, [64, 64]);
        let (x, w) = (cx.input("x", ty.clone()), cx.input("w", ty));
        let block = |v: &[Var]| vec![(0..6).fold(v[0].clone(), |h, _| h.matmul(&v[1]).tanh())];
        let y = (0..8).fold(x, |h, _| match kept {
            true => checkpoint(block)(&[&h, &w]).remove(0),
            false => block(&[h, w.clone()]).remove(0),
        });
        let g = cx.finish(&[("loss", &y.sum_all())]).unwrap();
        let g = grad_graph(&g, "loss", &["w"], Remat::default()).unwrap();
        let plan = premap::plan(&g, &premap::Target::default(), &premap::Options::default()).unwrap();
        plan.arena
    };
    let (plain, kept) = (bytes(false), bytes(true));
    println!("states kept: {} plain, {} with checkpoints", plain / state, kept / state);
    assert!(plain >= 48 * state, "48 hidden states are kept: {plain}");
    // The borders of 8 blocks, the 6 states within one, and copies at the borders.
    assert!(kept <= 32 * state, "{kept} bytes, a state has {state}");
}

#[test]
fn gradients_stop() {
    let x = Cx::eager().scalar(3.0);
    assert_eq!(grad(|x| x * &stop_gradient(x))(&x).val(), 3.0);
    assert_eq!(diffn(3, |x| x * &stop_gradient(&x.square()))(&x).val(), 0.0);
}

#[test]
fn linear_systems() {
    let cx = Cx::eager();
    let a0 = cx.array(DType::F64, &[3, 3], &[0.1, 2.0, -0.3, 1.5, 0.2, 0.4, -0.2, 0.3, 1.8]);
    let b = vector(&cx, &[0.5, -1.0, 2.0]);
    let solve = |a: &Var, b: &Var| linear_solve(|x| a.matmul(x), b);
    let x = solve(&a0, &b);
    near(&a0.matmul(&x), &b, 1e-14);
    // Against differences, in the matrix and in the right-hand side, to second order.
    let by_matrix = |a: &Var| (solve(a, &b) * &vector(a.cx(), &[1.0, -0.5, 0.7])).sin().sum_all();
    near(&grad(by_matrix)(&a0), &numerical::grad(by_matrix, 1e-5)(&a0), 1e-7);
    near(&hessian(by_matrix)(&a0), &numerical::hessian(by_matrix, 1e-4)(&a0), 1e-5);
    let by_right = |b: &Var| solve(&a0, b).sin().sum_all();
    near(&grad(by_right)(&b), &numerical::grad(by_right, 1e-5)(&b), 1e-8);
    near(&jacobian(|b| solve(&a0, b))(&b).matmul(&b), &x, 1e-13);
    let rows = cx.array(DType::F64, &[2, 3], &[0.5, -1.0, 2.0, 0.3, 0.2, 0.1]);
    near(&vmap(|b| solve(&a0, b))(&rows), &map(|b| solve(&a0, b))(&rows), 1e-13);
    near(&vmap(grad(by_right))(&rows), &map(grad(by_right))(&rows), 1e-13);
    // A solver of one's own: a diagonal system, with values from outside that move.
    let own = |d: &Var| custom_linear_solve(|x| x * d, &b, |b| b / d, |c| c / d).sum_all();
    let d = vector(&cx, &[2.0, 4.0, 5.0]);
    near(&grad(own)(&d), &-(&b / &d.square()), 1e-14);
    near(&grad(|d| grad(own)(d).sum_all())(&d), &(&b * 2.0 / d.powf(3.0)), 1e-14);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn implicit_functions() {
    let cx = Cx::eager();
    // The real root of x³ + θ x = 1, by Newton's method in a `while`.
    let root = |theta: &Var| {
        let newton = |t: &[Var]| {
            let start = t[0].full_like(1.0);
            let last = t[0].cx().while_(
                &[&start],
                |c| (c[0].powf(3.0) + &t[0] * &c[0] - 1.0).abs().gt(&c[0].full_like(1e-15)),
                |c| {
                    let g = c[0].powf(3.0) + &t[0] * &c[0] - 1.0;
                    vec![&c[0] - &(g / (c[0].square() * 3.0 + &t[0]))]
                },
            );
            last[0].clone()
        };
        implicit_root(|t, x| x.powf(3.0) + &t[0] * x - 1.0, newton, &[theta])
    };
    let theta = cx.scalar(2.0);
    let x = root(&theta).val();
    // dx/dθ = −x / (3 x² + θ), and the second derivative of that.
    let s = 3.0 * x * x + 2.0;
    let (first, second) = (-x / s, 2.0 * x / (s * s) - 6.0 * x * x * x / (s * s * s));
    let at = |f: &dyn Fn(&Var) -> Var| f(&theta).val();
    assert!((at(&grad(root)) - first).abs() < 1e-14);
    assert!((at(&diff(root)) - first).abs() < 1e-14);
    for f in
        [&grad(grad(root)) as &dyn Fn(&Var) -> Var, &grad(diff(root)), &diff(grad(root)), &diff(diff(root))]
    {
        assert!((at(f) - second).abs() < 1e-13, "{} {second}", at(f));
    }
    let third = at(&diffn(3, root));
    let difference =
        (at2(&grad(grad(root)), 2.0 + 1e-4, &cx) - at2(&grad(grad(root)), 2.0 - 1e-4, &cx)) / 2e-4;
    assert!((third - difference).abs() < 1e-6, "{third} {difference}");
    let many = vector(&cx, &[0.5, 2.0, 7.0]);
    near(&vmap(grad(root))(&many), &map(grad(root))(&many), 1e-13);
    // A fixed point of several elements: x = tanh(W x + b), by W and by b.
    let w = cx.array(DType::F64, &[2, 2], &[0.3, -0.4, 0.2, 0.5]);
    let b = vector(&cx, &[0.7, -0.2]);
    let settled = |w: &Var, b: &Var| {
        let start = b.full_like(0.0);
        fixed_point(|t, x| (t[0].matmul(x) + &t[1]).tanh(), &start, &[w, b], 1e-15, 500)
    };
    let unrolled = |w: &Var, b: &Var| (0..200).fold(b.full_like(0.0), |x, _| (w.matmul(&x) + b).tanh());
    near(&settled(&w, &b), &unrolled(&w, &b), 1e-13);
    let (_, g) = grads(|v| settled(&v[0], &v[1]).square().sum_all(), &[&w, &b]);
    let (_, expected) = grads(|v| unrolled(&v[0], &v[1]).square().sum_all(), &[&w, &b]);
    near(&g[0], &expected[0], 1e-12);
    near(&g[1], &expected[1], 1e-12);
    let (_, t) = jvp(|v| vec![settled(&v[0], &v[1])], &[&w, &b], &[&w, &b]);
    let (_, expected) = jvp(|v| vec![unrolled(&v[0], &v[1])], &[&w, &b], &[&w, &b]);
    near(&t[0], &expected[0], 1e-12);
    let h = |f: &dyn Fn(&Var) -> Var| hessian(f)(&b);
    near(&h(&|b| settled(&w, b).sum_all()), &h(&|b| unrolled(&w, b).sum_all()), 1e-11);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

fn at2(f: &dyn Fn(&Var) -> Var, x: f64, cx: &Cx) -> f64 {
    f(&cx.scalar(x)).val()
}
