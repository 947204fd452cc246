//! Each operator against its numerical twin, closed forms, the others, and its form on graphs; nestings; errors.

mod common;

use axes::DType;
use common::{close, value};
use furnace::{
    curl, curl_divergence, curl_divergence_graph, diff, diff2, diffn, diffn_graph, divergence,
    divergence_graph, grad, grad_and_laplacian, grad_hvp, hessian, hessian_graph, hvp, hvp_graph, jacobian,
    jacobian_graph, jvp, laplacian, laplacian_graph, linear_transpose, linearize, map, numerical,
    value_and_derivatives, vjp, vmap, vmap_axes, vmap_graph,
};
use graph::{Array, Cx, Dim, Type, Var, interp};

fn vector(cx: &Cx, v: &[f64]) -> Var {
    cx.array(DType::F64, &[v.len()], v)
}

fn near(found: &Var, expected: &Var, tolerance: f64) {
    close("", &value(found), &value(expected), tolerance);
}

/// A smooth number of a vector of 3.
fn energy(x: &Var) -> Var {
    let c = x.cx();
    let w = c.array(DType::F64, &[4, 3], &[0.3, -0.5, 0.2, 0.7, 0.1, -0.4, -0.6, 0.8, 0.5, 0.2, 0.2, -0.9]);
    (w.matmul(x).tanh().square().sum_all() + x.square().sum_all().sqrt()) * x.sin().sum_all()
}

/// A smooth field of three dimensions.
fn field(x: &Var) -> Var {
    let turned = Var::concatenate(&[&x.slice_axis(0, 1, 3), &x.slice_axis(0, 0, 1)], 0);
    (x * &turned).sin() + turned.exp() * x.square()
}

#[test]
fn twins() {
    let cx = Cx::eager();
    let x = vector(&cx, &[0.4, -0.7, 0.9]);
    let v = vector(&cx, &[0.2, 0.5, -0.3]);
    near(&grad(energy)(&x), &numerical::grad(energy, 1e-5)(&x), 1e-8);
    near(&hessian(energy)(&x), &numerical::hessian(energy, 1e-4)(&x), 1e-6);
    near(&hvp(energy)(&x, &v), &numerical::hvp(energy, 1e-4)(&x, &v), 1e-6);
    near(&laplacian(energy)(&x), &numerical::laplacian(energy, 1e-4)(&x), 1e-6);
    near(&laplacian(field)(&x), &numerical::laplacian(field, 1e-4)(&x), 1e-6);
    near(&jacobian(field)(&x), &numerical::jacobian(field, 1e-5)(&x), 1e-8);
    near(&divergence(field)(&x), &numerical::divergence(field, 1e-5)(&x), 1e-8);
    near(&curl(field)(&x), &numerical::curl(field, 1e-5)(&x), 1e-8);
    let (_, t) = jvp(|x| vec![field(&x[0])], &[&x], &[&v]);
    near(&t[0], &numerical::jvp(field, 1e-5)(&x, &v), 1e-8);
    let (_, pull) = vjp(|x: &[Var]| vec![field(&x[0])], &[&x]);
    near(&pull(std::slice::from_ref(&v))[0], &numerical::vjp(field, 1e-5)(&x, &v), 1e-8);
    let s = cx.scalar(0.6);
    let f = |x: &Var| (x.sin() * x.exp()).tanh();
    near(&diff(f)(&s), &numerical::diff(f, 1e-5)(&s), 1e-8);
    near(&diff2(f)(&s), &numerical::diff2(f, 1e-4)(&s), 1e-6);
    near(&diffn(4, f)(&s), &numerical::diffn(4, f, 1e-2)(&s), 1e-3);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn the_operators_agree() {
    let cx = Cx::eager();
    let x = vector(&cx, &[0.4, -0.7, 0.9]);
    let v = vector(&cx, &[0.2, 0.5, -0.3]);
    let h = hessian(energy)(&x);
    near(&h, &jacobian(grad(energy))(&x), 1e-13);
    near(&h, &jacobian(jacobian(energy))(&x), 1e-12);
    near(&h.matmul(&v), &hvp(energy)(&x, &v), 1e-13);
    let (g, hv) = grad_hvp(energy)(&x, &v);
    near(&g, &grad(energy)(&x), 1e-13);
    near(&hv, &h.matmul(&v), 1e-13);
    let (g2, l) = grad_and_laplacian(energy)(&x);
    near(&g2, &g, 1e-13);
    near(&l, &divergence(grad(energy))(&x), 1e-12);
    // The divergence of a curl and the curl of a gradient are zero.
    assert!(divergence(curl(field))(&x).val().abs() < 1e-13);
    assert!(value(&curl(grad(energy))(&x)).to_f64().iter().all(|c| c.abs() < 1e-13));
    let (c, d) = curl_divergence(field)(&x);
    near(&c, &curl(field)(&x), 0.0);
    near(&d, &divergence(field)(&x), 0.0);
    // Rows and columns: a map to fewer and to more elements.
    let narrow = |x: &Var| x.slice_axis(0, 0, 1).exp() * x.slice_axis(0, 2, 3);
    assert_eq!(value(&jacobian(narrow)(&x)).shape, [1, 3]);
    near(&jacobian(narrow)(&x), &numerical::jacobian(narrow, 1e-5)(&x), 1e-8);
    let wide = |x: &Var| x.broadcast(&[Dim::from(2), Dim::from(3)], &[1]).sin() * 2.0;
    assert_eq!(value(&jacobian(wide)(&x)).shape, [2, 3, 3]);
    near(&jacobian(wide)(&x), &numerical::jacobian(wide, 1e-5)(&x), 1e-8);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn linear_maps() {
    let cx = Cx::eager();
    let x = vector(&cx, &[0.4, -0.7, 0.9]);
    let v = vector(&cx, &[0.2, 0.5, -0.3]);
    let (y, slope) = linearize(|x| vec![field(&x[0])], &[&x]);
    near(&y[0], &field(&x), 0.0);
    let j = jacobian(field)(&x);
    near(&slope(&[&v])[0], &j.matmul(&v), 1e-13);
    // The map is linear, so it can be transposed; and it is graph, so it can be batched and differentiated.
    let turned = linear_transpose(|t| slope(&[&t[0]]), &[&x]);
    near(&turned(&[&v])[0], &j.transpose(&[1, 0]).matmul(&v), 1e-13);
    let columns = vmap(|t| slope(&[t]).remove(0))(&furnace_unit(&cx));
    near(&columns, &j.transpose(&[1, 0]), 1e-13);
    let bent = |x: &Var| {
        let (_, slope) = linearize(|x| vec![field(&x[0])], &[x]);
        slope(&[&v])[0].sum_all()
    };
    near(&grad(bent)(&x), &numerical::grad(bent, 1e-5)(&x), 1e-7);
    let scan = |x: &[Var]| {
        let zero = x[0].cx().scalar(0.0);
        let (_, ys) = x[0].cx().scan(&[&zero], &[&x[0]], false, |c, s| {
            let h = &c[0] * 0.5 + &s[0];
            (vec![h.clone()], vec![h])
        });
        ys
    };
    let turned = linear_transpose(scan, &[&x]);
    let (_, pull) = vjp(scan, &[&x]);
    near(&turned(&[&v])[0], &pull(std::slice::from_ref(&v))[0], 1e-15);
    assert!(cx.error().is_none(), "{:?}", cx.error());
    let _ = linear_transpose(|x| vec![&x[0] * &x[0]], &[&x])(&[&v]);
    let message = cx.error().expect("a square is not linear").to_string();
    assert!(message.contains("multiply") && message.contains("not linear"), "{message}");
}

fn furnace_unit(cx: &Cx) -> Var {
    cx.array(DType::F64, &[3, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
}

#[test]
fn nestings() {
    let cx = Cx::eager();
    let x = vector(&cx, &[0.4, -0.7, 0.9]);
    // Batches of gradients and gradients of batches.
    let rows = cx.array(DType::F64, &[2, 3], &[0.4, -0.7, 0.9, 0.1, 0.3, -0.2]);
    let each = vmap(grad(energy))(&rows);
    near(&each, &map(grad(energy))(&rows), 1e-13);
    let total = |rows: &Var| vmap(energy)(rows).sum_all();
    near(&grad(total)(&rows), &each, 1e-13);
    near(&vmap(hessian(energy))(&rows), &map(hessian(energy))(&rows), 1e-13);
    near(&vmap(laplacian(energy))(&rows), &map(laplacian(energy))(&rows), 1e-12);
    // A batch of batches: every pair.
    let dot = |a: &Var, b: &Var| (a * b).sin().sum_all();
    let pairs = vmap_axes(
        |v| {
            let a = v[0].clone();
            vmap_axes(move |w| vec![dot(&a, &w[0])], &[Some(0)], &[0])(&[&v[1]])
        },
        &[Some(0), None],
        &[1],
    );
    let made = value(&pairs(&[&rows, &rows])[0]);
    assert_eq!(made.shape, [2, 2]);
    let row = |i: usize| rows.slice_axis(0, i, i + 1).reshape(&[Dim::from(3)]);
    assert!((made.to_f64()[1] - dot(&row(0), &row(1)).val()).abs() < 1e-14);
    // jvp of vjp, vjp of jvp.
    let v = vector(&cx, &[0.2, 0.5, -0.3]);
    let pulled = |x: &[Var]| {
        let (_, pull) = vjp(|x: &[Var]| vec![energy(&x[0])], &[&x[0]]);
        pull(&[x[0].cx().scalar(1.0)])
    };
    let (_, t) = jvp(pulled, &[&x], &[&v]);
    let pushed = |x: &Var| jvp(|x| vec![energy(&x[0])], &[x], &[&v]).1.remove(0);
    near(&t[0], &grad(pushed)(&x), 1e-13);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn through_scans_conditions_and_recursion() {
    let cx = Cx::eager();
    let rolled = |x: &Var| {
        let zero = x.cx().scalar(0.1);
        let (last, ys) = x.cx().scan(&[&zero], &[x], false, |c, s| {
            let cold = (&c[0] * &s[0]).lt(&c[0].full_like(0.0));
            let h =
                s[0].cx().cond(&cold, |_| vec![(&c[0] + &s[0]).sin()], |_| vec![(&c[0] * &s[0]).exp() * 0.5]);
            (vec![h[0].clone()], vec![&h[0] * &h[0]])
        });
        ys[0].sum_all() * &last[0]
    };
    fn step(h: Var, x: &Var, i: usize, sum: Var) -> Var {
        if i == 3 {
            return sum * h;
        }
        let s = x.slice_axis(0, i, i + 1).reshape(&[] as &[Dim]);
        let next = if h.val() * s.val() < 0.0 { (&h + &s).sin() } else { (&h * &s).exp() * 0.5 };
        let sum = sum + &next * &next;
        step(next, x, i + 1, sum)
    }
    let unrolled = |x: &Var| step(x.cx().scalar(0.1), x, 0, x.cx().scalar(0.0));
    let x = vector(&cx, &[0.4, -0.7, 0.9]);
    near(&rolled(&x), &unrolled(&x), 1e-15);
    near(&hessian(rolled)(&x), &hessian(unrolled)(&x), 1e-12);
    near(&laplacian(rolled)(&x), &laplacian(unrolled)(&x), 1e-12);
    near(&jacobian(jacobian(grad(rolled)))(&x), &jacobian(jacobian(grad(unrolled)))(&x), 1e-11);
    let ray = |f: &dyn Fn(&Var) -> Var, t: &Var| f(&(&x * &t.broadcast(&x.shape(), &[])));
    let t = cx.scalar(1.0);
    near(&diffn(5, |t| ray(&rolled, t))(&t), &diffn(5, |t| ray(&unrolled, t))(&t), 1e-11);
    let rows = cx.array(DType::F64, &[2, 3], &[0.4, -0.7, 0.9, 0.1, 0.3, -0.2]);
    near(&vmap(hessian(rolled))(&rows), &map(hessian(unrolled))(&rows), 1e-12);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn derivatives_inside_regions() {
    // A derivative by a value from outside, inside the body of a scan that it uses.
    let cx = Cx::eager();
    let (w, xs) = (cx.scalar(0.7), vector(&cx, &[0.4, -0.7, 0.9]));
    let f = |w: &Var| {
        let zero = w.full_like(0.3);
        let (last, _) = w.cx().scan(&[&zero], &[&xs], false, |c, s| {
            let slope = grad(|w: &Var| (w * &c[0]).sin() * &s[0])(w);
            (vec![&c[0] + &slope], vec![])
        });
        last[0].clone()
    };
    let g = |w: &Var| {
        let mut c = w.full_like(0.3);
        for i in 0..3 {
            let s = xs.slice_axis(0, i, i + 1).reshape(&[] as &[Dim]);
            let slope = &c * &(w * &c).cos() * &s;
            c = c + slope;
        }
        c
    };
    near(&f(&w), &g(&w), 1e-14);
    near(&grad(f)(&w), &grad(g)(&w), 1e-13);
    near(&diffn(3, f)(&w), &diffn(3, g)(&w), 1e-12);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn perturbations_are_not_confused_by_any_pair() {
    let cx = Cx::eager();
    let x = cx.scalar(1.0);
    let one = |x: &Var| x.cx().scalar(1.0);
    type D = fn(&dyn Fn(&Var) -> Var, &Var) -> Var;
    let modes: [D; 4] = [
        |f, x| grad(f)(x),
        |f, x| diff(f)(x),
        |f, x| jacobian(f)(x),
        |f, x| diffn(3, |t: &Var| f(t).square() * t)(x) * 0.0 + diff(f)(x),
    ];
    for outer in modes {
        for inner in modes {
            // d/dx (x · d/dy (x + y) at y = 1) at 1 is 1; the confused answer is 2.
            let y = outer(&|x| x * &inner(&|y| x + y, &one(x)), &x);
            assert_eq!(y.val(), 1.0);
            // d/dx (x · d/dy (x y²) at y = x) = d/dx 2 x³ = 6 x².
            let y = outer(&|x| x * &inner(&|y| x * &(y * y), x), &x);
            assert_eq!(y.val(), 6.0);
        }
    }
}

#[test]
fn graphs() {
    let eager = Cx::eager();
    let x = vector(&eager, &[0.4, -0.7, 0.9]);
    let cx = Cx::abstract_();
    let input = cx.input("x", Type::new(DType::F64, [3]));
    let g = cx.finish(&[("e", &energy(&input)), ("f", &field(&input))]).unwrap();
    let at = [value(&x)];
    let run = |g: &graph::Graph, inputs: &[Array<f64>], name: &str| {
        g.verify().unwrap();
        let made = interp::run::<f64>(g, inputs.to_vec(), false).unwrap();
        made.get(name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    let j = jacobian_graph(&g, "f", "x").unwrap();
    close("jacobian", &run(&j, &at, "jacobian.f.x"), &value(&jacobian(field)(&x)), 1e-14);
    close("value", &run(&j, &at, "e"), &value(&energy(&x)), 1e-14);
    let h = hessian_graph(&g, "e", "x").unwrap();
    close("hessian", &run(&h, &at, "hessian.x"), &value(&hessian(energy)(&x)), 1e-13);
    let v = vector(&eager, &[0.2, 0.5, -0.3]);
    let p = hvp_graph(&g, "e", "x").unwrap();
    let given = [value(&x), value(&v)];
    close("hvp", &run(&p, &given, "hvp.x"), &value(&hvp(energy)(&x, &v)), 1e-13);
    close("grad", &run(&p, &given, "grad.x"), &value(&grad(energy)(&x)), 1e-13);
    let l = laplacian_graph(&g, "e", "x").unwrap();
    close("laplacian", &run(&l, &at, "laplacian.e"), &value(&laplacian(energy)(&x)), 1e-13);
    let d = divergence_graph(&g, "f", "x").unwrap();
    close("divergence", &run(&d, &at, "divergence.f"), &value(&divergence(field)(&x)), 1e-14);
    let c = curl_divergence_graph(&g, "f", "x").unwrap();
    close("curl", &run(&c, &at, "curl.f"), &value(&curl(field)(&x)), 1e-14);
    // A batch of symbolic size.
    let b = vmap_graph(&g, &["x"], &Dim::from("B")).unwrap();
    assert_eq!(b.ty(b.outputs[1].value).to_string(), "f64[B,3]");
    let rows = Array::from_f64(DType::F64, [2, 3], &[0.4, -0.7, 0.9, 0.1, 0.3, -0.2]);
    let made = run(&b, std::slice::from_ref(&rows), "e");
    assert!((made.to_f64()[0] - energy(&x).val()).abs() < 1e-14);
    let cx = Cx::abstract_();
    let t = cx.input("t", Type::scalar(DType::F64));
    let g = cx.finish(&[("y", &(t.sin() * t.exp()))]).unwrap();
    let n = diffn_graph(&g, "y", "t", 4).unwrap();
    let at = [Array::from_f64(DType::F64, [], &[0.3])];
    let all = value_and_derivatives(4, |t| t.sin() * t.exp())(&eager.scalar(0.3));
    for k in 1..=4 {
        close("diffn", &run(&n, &at, &format!("diff{k}.y")), &value(&all[k]), 1e-13);
    }
    // (e^t sin t)'''' = −4 e^t sin t.
    assert!((all[4].val() + 4.0 * 0.3f64.exp() * 0.3f64.sin()).abs() < 1e-12);
    for wrong in [
        jacobian_graph(&g, "z", "t").map(|_| ()),
        diffn_graph(&b, "f", "x", 2).map(|_| ()),
        vmap_graph(&g, &["u"], &Dim::from(2)).map(|_| ()),
    ] {
        assert!(wrong.is_err());
    }
}

#[test]
fn errors_say_what_and_where() {
    let text = |f: &dyn Fn(&Cx)| {
        let cx = Cx::eager();
        f(&cx);
        cx.error().expect("an error").to_string()
    };
    let found = text(&|cx| {
        let _ = grad(|x| x * x)(&vector(cx, &[1.0, 2.0]));
    });
    assert!(
        found.contains("rank 0") && found.contains("f64[2]") && found.contains("operators.rs"),
        "{found}"
    );
    let found = text(&|cx| {
        let _ = grad(|x| x.sum_all())(&cx.array(DType::I64, &[2], &[1.0, 2.0]));
    });
    assert!(
        found.contains("integer") && found.contains("i64[2]") && found.contains("operators.rs"),
        "{found}"
    );
    let found = text(&|cx| {
        let _ = grad(|x| x.convert(DType::I64).sum_all())(&vector(cx, &[1.0, 2.0]));
    });
    assert!(found.contains("integer") && found.contains("i64[]"), "{found}");
    let found = text(&|cx| {
        let _ = diff(|x| x.sum_all())(&vector(cx, &[1.0, 2.0]));
    });
    assert!(found.contains("rank 0") && found.contains("jvp"), "{found}");
    let found = text(&|cx| {
        let _ = curl(|x| x.exp())(&vector(cx, &[1.0, 2.0]));
    });
    assert!(found.contains("curl") && found.contains("size 3"), "{found}");
    let found = text(&|cx| {
        let _ = vmap(|x| if x.val() > 0.0 { x.exp() } else { x.clone() })(&vector(cx, &[1.0, 2.0]));
    });
    assert!(found.contains("cond"), "{found}");
    let found = text(&|cx| {
        let (a, b) = (vector(cx, &[1.0, 2.0]), vector(cx, &[1.0, 2.0, 3.0]));
        let _ = vmap_axes(|v| vec![v[0].clone()], &[Some(0), Some(0)], &[0])(&[&a, &b]);
    });
    assert!(found.contains("size 2") && found.contains("has 3"), "{found}");
}
