//! Nested derivatives of closures against figures from other sources.

use axes::DType;
use furnace::{grad, grads, jvp, value_and_grad, vjp};
use graph::{Cx, Dim, Var};

fn close(a: f64, b: f64, tol: f64) {
    assert!((a - b).abs() <= tol * b.abs().max(1.0), "{a} against {b}");
}

#[test]
fn tanh_to_order_six() {
    let cx = Cx::eager();
    let x = cx.scalar(0.5);
    // Closed forms of the derivatives of tanh in t = tanh(x).
    let t = 0.5f64.tanh();
    let s = 1.0 - t * t;
    let f = |x: &Var| x.tanh();
    close(grad(f)(&x).val(), s, 1e-14);
    close(grad(grad(f))(&x).val(), -2.0 * t * s, 1e-14);
    close(grad(grad(grad(f)))(&x).val(), s * (6.0 * t * t - 2.0), 1e-13);
    let six = grad(grad(grad(grad(grad(grad(f))))));
    let six = six(&x).val();
    // d6 = s (-720 t^5 + 480 t^3... ) checked by a five-point difference of the fifth derivative instead.
    let five = grad(grad(grad(grad(grad(f)))));
    let h = 1e-3;
    let at = |v: f64| five(&cx.scalar(v)).val();
    let difference =
        (at(0.5 - 2.0 * h) - 8.0 * at(0.5 - h) + 8.0 * at(0.5 + h) - at(0.5 + 2.0 * h)) / (12.0 * h);
    close(six, difference, 1e-7);
}

#[test]
fn perturbations_are_not_confused() {
    // d/dx (x · d/dy (x + y) at y = 1) at x = 1 is 1; the confused answer is 2.
    let x = Cx::eager().scalar(1.0);
    let y = |x: &Var| x * &grad(|y: &Var| x + y)(&x.cx().scalar(1.0));
    assert_eq!(grad(y)(&x).val(), 1.0);
    // The same for forward mode inside reverse mode.
    let z = |x: &Var| {
        let one = x.cx().scalar(1.0);
        let (_, t) = jvp(|v| vec![x * &v[0]], &[&one], &[&one]);
        x * &t[0]
    };
    assert_eq!(grad(z)(&x).val(), 2.0);
}

#[test]
fn control_flow_of_the_host_language() {
    fn power(x: &Var, n: u32) -> Var {
        if n == 0 { x.full_like(1.0) } else { x * &power(x, n - 1) }
    }
    let f = |x: &Var| {
        let mut y = power(x, 3);
        while y.val() < 10.0 {
            y = &y * x;
        }
        if y.val() > 12.0 { y } else { y * 2.0 }
    };
    // At 1.5: 1.5^3 = 3.375, then 1.5^6 = 11.39, so 2 x^6.
    let x = Cx::eager().scalar(1.5);
    close(grad(f)(&x).val(), 12.0 * 1.5f64.powi(5), 1e-14);
    close(grad(grad(f))(&x).val(), 60.0 * 1.5f64.powi(4), 1e-14);
}

#[test]
fn scan_of_any_nesting() {
    // h_{t+1} = tanh(w h_t + x_t), summed: against the same recurrence in a Rust loop.
    let cx = Cx::eager();
    let xs = cx.array(DType::F64, &[5], &[0.3, -0.2, 0.5, 0.1, -0.7]);
    let rolled = |w: &Var| {
        let zero = w.full_like(0.0);
        let (last, ys) = w.cx().scan(&[&zero], &[&xs], false, |c, x| {
            let h = (w * &c[0] + &x[0]).tanh();
            (vec![h.clone()], vec![&h * &h])
        });
        ys[0].sum_all() + &last[0]
    };
    let unrolled = |w: &Var| {
        let mut h = w.full_like(0.0);
        let mut sum = w.full_like(0.0);
        for t in 0..5 {
            let x = xs.slice_axis(0, t, t + 1).reshape(&[] as &[Dim]);
            h = (w * &h + x).tanh();
            sum = sum + &h * &h;
        }
        sum + h
    };
    let w = cx.scalar(0.8);
    close(rolled(&w).val(), unrolled(&w).val(), 1e-15);
    close(grad(rolled)(&w).val(), grad(unrolled)(&w).val(), 1e-13);
    close(grad(grad(rolled))(&w).val(), grad(grad(unrolled))(&w).val(), 1e-12);
    close(grad(grad(grad(rolled)))(&w).val(), grad(grad(grad(unrolled)))(&w).val(), 1e-11);
    let one = cx.scalar(1.0);
    let (_, t) = jvp(|v| vec![rolled(&v[0])], &[&w], &[&one]);
    close(t[0].val(), grad(unrolled)(&w).val(), 1e-13);
    if let Some(e) = cx.error() {
        panic!("{e}");
    }
}

#[test]
fn cond_call_and_while() {
    let cx = Cx::eager();
    let f = |x: &Var| {
        let zero = x.full_like(0.0);
        x.cx().cond(&x.lt(&zero), |_| vec![(x.exp() - 1.0) * 0.1], |_| vec![x / &(x + 1.0)])[0].clone()
    };
    for (at, third) in [(0.1, 6.0 / 1.1f64.powi(4)), (-0.4, 0.1 * (-0.4f64).exp())] {
        close(grad(grad(grad(f)))(&cx.scalar(at)).val(), third, 1e-13);
    }
    // Newton's method for √x in a `while`: forward mode works, reverse mode is refused with the remedy.
    let root = |x: &Var| {
        let start = x.full_like(1.0);
        let y = x.cx().while_(
            &[&start],
            |c| (&c[0] * &c[0] - x).abs().gt(&c[0].full_like(1e-14)),
            |c| vec![(&c[0] + &(x / &c[0])) * 0.5],
        );
        y[0].clone()
    };
    let (x, one) = (cx.scalar(2.0), cx.scalar(1.0));
    let (y, t) = jvp(|v| vec![root(&v[0])], &[&x], &[&one]);
    close(y[0].val(), 2f64.sqrt(), 1e-14);
    close(t[0].val(), 0.5 / 2f64.sqrt(), 1e-12);
    let _ = grad(root)(&x);
    let message = cx.error().expect("reverse mode through `while` is refused").to_string();
    assert!(message.contains("while") && message.contains("scan"), "{message}");
}

#[test]
fn a_surrogate_has_the_value_of_one_and_the_derivatives_of_the_other() {
    let cx = Cx::eager();
    let f = |x: &Var| x.round_half_even().surrogate(&(x * x * x)) * 2.0;
    let x = cx.scalar(1.4);
    let (y, g) = value_and_grad(f)(&x);
    assert_eq!(y.val(), 2.0);
    close(g.val(), 6.0 * 1.4 * 1.4, 1e-14);
    close(grad(grad(f))(&x).val(), 12.0 * 1.4, 1e-14);
}

#[test]
fn several_operands_and_vector_results() {
    let cx = Cx::eager();
    let a = cx.array(DType::F64, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = cx.array(DType::F64, &[3, 2], &[0.5, -1.0, 2.0, 0.0, 1.0, 1.5]);
    let (y, g) = grads(|v| v[0].matmul(&v[1]).square().sum_all(), &[&a, &b]);
    // d/dA |AB|² = 2 (AB) Bᵀ, by hand for the first row: AB row 0 = (7.5, 3.5).
    close(y.val(), 7.5f64.powi(2) + 3.5f64.powi(2) + 18.0f64.powi(2) + 5.0f64.powi(2), 1e-14);
    let first = &g[0].array().unwrap().to_f64()[..3];
    let expected = [2.0 * (7.5 * 0.5 - 3.5), 2.0 * (7.5 * 2.0), 2.0 * (7.5 + 3.5 * 1.5)];
    first.iter().zip(expected).for_each(|(a, b)| close(*a, b, 1e-14));
    let (_, pull) = vjp(|v| vec![v[0].exp()], &[&a]);
    let ct = a.full_like(2.0);
    close(pull(&[ct])[0].array().unwrap().to_f64()[5], 2.0 * 6f64.exp(), 1e-14);
}
