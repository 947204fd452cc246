//! Taylor mode: what it costs against nested first derivatives, and through control flow.

mod common;

use axes::DType;
use common::{close, value};
use furnace::{diff, diffn, grad, value_and_derivatives};
use graph::{Cx, Dim, Graph, Type, Var, passes};

/// The graph of the n-th derivative by `operator`, without what no output needs; nothing is simplified afterwards.
fn nodes(f: impl Fn(&Var) -> Var) -> (Graph, usize) {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    let y = f(&x);
    let g = passes::dead_code(&cx.finish(&[("y", &y)]).unwrap());
    let n = g.size();
    (g, n)
}

fn nested(n: usize, f: fn(&Var) -> Var) -> Box<dyn Fn(&Var) -> Var> {
    let mut made: Box<dyn Fn(&Var) -> Var> = Box::new(f);
    for _ in 0..n {
        made = Box::new(grad(made));
    }
    made
}

#[test]
fn nested_gradients_share_subexpressions() {
    // Without sharing, the sixth derivative of tanh takes 369 nodes.
    let (g, n) = nodes(nested(6, |x| x.tanh()));
    assert!(n <= 124, "{n} nodes before simplification");
    let fewer = passes::simplify(&g).size();
    assert!(fewer < n, "{fewer} nodes after simplification, {n} before");
    println!("tanh, order 6: {n} nodes, {fewer} after simplification");
}

#[test]
fn the_cost_grows_with_the_square_of_the_order() {
    let f = |x: &Var| (x.tanh() * &x.exp()).sin();
    let count = |n: usize| nodes(diffn(n, f)).1 as f64;
    let counts: Vec<f64> = [4, 8, 16, 32].iter().map(|n| count(*n)).collect();
    println!("nodes at orders 4, 8, 16, 32: {counts:?}");
    // Doubling the order multiplies by no more than four.
    counts.windows(2).for_each(|w| assert!(w[1] / w[0] < 4.0, "{counts:?}"));
    let first: Vec<usize> = (1..=6).map(|n| nodes(nested(n, |x| (x.tanh() * &x.exp()).sin())).1).collect();
    println!("nested gradients at orders 1 to 6: {first:?}");
    assert!(first.windows(2).all(|w| w[1] as f64 > 1.9 * w[0] as f64), "{first:?}");
    assert!(first[5] as f64 > 3.0 * count(6));
}

#[test]
fn orders_agree_with_nested_derivatives() {
    let cx = Cx::eager();
    let x = cx.scalar(0.4);
    let f = |x: &Var| {
        let y = (x.sigmoid() * &x.sin()).exp() / &(x.square() + 1.5);
        (y.sqrt() + x.powf(3.0) + x.silu()).log() * (x.powf(1.7) + x.pow(&(x * 0.5)))
    };
    let all = value_and_derivatives(6, f)(&x);
    let mut nested: Box<dyn Fn(&Var) -> Var> = Box::new(f);
    for k in 1..=6 {
        nested = Box::new(diff(nested));
        close(&format!("order {k}"), &value(&all[k]), &value(&nested(&x)), 1e-11);
    }
}

#[test]
fn through_control_flow() {
    let cx = Cx::eager();
    let xs = cx.array(DType::F64, &[4], &[0.3, -0.2, 0.5, 0.1]);
    let rolled = |w: &Var| {
        let zero = w.full_like(0.1);
        let (last, ys) = w.cx().scan(&[&zero], &[&xs], true, |c, x| {
            let h = (w * &c[0] + &x[0]).tanh();
            (vec![h.clone()], vec![&h * &h])
        });
        // Newton's method for a square root, in a loop of unknown length.
        let total = ys[0].sum_all() + last[0].square();
        let start = total.full_like(1.0);
        let root = w.cx().while_(
            &[&start],
            |c| (&c[0] * &c[0] - &total).abs().gt(&c[0].full_like(1e-15)),
            |c| vec![(&c[0] + &(&total / &c[0])) * 0.5],
        );
        root[0].clone()
    };
    let unrolled = |w: &Var| {
        let mut h = w.full_like(0.1);
        let mut sum = w.full_like(0.0);
        for t in (0..4).rev() {
            h = (w * &h + xs.slice_axis(0, t, t + 1).reshape(&[] as &[Dim])).tanh();
            sum = sum + &h * &h;
        }
        (sum + h.square()).sqrt()
    };
    let w = cx.scalar(0.8);
    let (a, b) = (value_and_derivatives(3, rolled)(&w), value_and_derivatives(3, unrolled)(&w));
    // The loop stops when the value has converged, one round before its higher derivatives have.
    for (k, tolerance) in [1e-14, 1e-13, 1e-7].into_iter().enumerate() {
        close(&format!("order {k}"), &value(&a[k]), &value(&b[k]), tolerance);
    }
    if let Some(e) = cx.error() {
        panic!("{e}");
    }
}

#[test]
fn series_are_graph_and_differentiate_again() {
    let cx = Cx::eager();
    let x = cx.scalar(0.3);
    let f = |x: &Var| (x.sin() * 2.0).tanh();
    let (a, b) = (grad(diffn(4, f))(&x), diffn(5, f)(&x));
    close("gradient of the fourth", &value(&a), &value(&b), 1e-11);
    let (a, b) = (diffn(3, diffn(3, f))(&x), diffn(6, f)(&x));
    close("third of the third", &value(&a), &value(&b), 1e-10);
}
