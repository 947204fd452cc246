//! Derivatives whose axes and units the compiler computes.

use axes::{Unitless, axes, units};
use furnace::typed::{self, Q, Quantity};
use graph::Cx;

axes! { Batch; In = 3; Out = 2; Space = 3; }
units! { Metre: "m"; Second: "s"; Newton: "N"; NewtonPerMetre: "N/m"; Joule: "J"; Speed: "m/s"; Acceleration: "m/s²"; PerSecond: "1/s"; }
units! { @relations
    Newton * Metre = Joule;
    NewtonPerMetre * Metre = Newton;
    Speed * Second = Metre;
    Acceleration * Second = Speed;
    PerSecond * Metre = Speed;
}

fn vector<A: axes::Axes, U>(cx: &Cx, sizes: &[usize], v: &[f64]) -> Quantity<A, U> {
    axes::Tensor::from_storage_unchecked(cx.array(axes::DType::F64, sizes, v))
}

#[test]
fn units_of_derivatives() {
    let cx = Cx::eager();
    let stiffness: Q<NewtonPerMetre> = typed::number(&cx, 3.0);
    let energy = |x: &Q<Metre>| -> Q<Joule> { (&stiffness * x) * x * 0.5 };
    let x = typed::number::<Metre>(&cx, 2.0);
    let force: Q<Newton> = typed::grad(energy)(&x);
    let again: Q<NewtonPerMetre> = typed::diff2(energy)(&x);
    assert_eq!((force.storage().val(), again.storage().val()), (6.0, 3.0));
    assert!(format!("{force:?}").contains("[N]"));
    // Speed and acceleration of a place.
    let g: Q<Acceleration> = typed::number(&cx, 9.81);
    let place = |t: &Q<Second>| -> Q<Metre> { (&g * t) * t * 0.5 };
    let t = typed::number::<Second>(&cx, 2.0);
    let speed: Q<Speed> = typed::diff(place)(&t);
    let nested: Q<Acceleration> = typed::diff(typed::diff(place))(&t);
    let both: Q<Acceleration> = typed::diff2(place)(&t);
    assert!((speed.storage().val() - 19.62).abs() < 1e-12);
    assert_eq!((nested.storage().val(), both.storage().val()), (9.81, 9.81));
}

#[test]
fn axes_of_derivatives() {
    let cx = Cx::eager();
    let w: Quantity<(Out, In), Unitless> = vector(&cx, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let loss = |w: &Quantity<(Out, In), Unitless>| -> Q<Unitless> { (w * w).sum(In).sum(Out) };
    let g: Quantity<(Out, In), Unitless> = typed::grad(loss)(&w);
    assert_eq!(g.storage().array().unwrap().to_f64(), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
    let x: Quantity<(In,), Metre> = vector(&cx, &[3], &[1.0, -1.0, 0.5]);
    let map = |x: &Quantity<(In,), Metre>| -> Quantity<(Out,), Metre> { x.linear(&w) };
    let j: Quantity<(Out, In), Unitless> = typed::jacobian(map)(&x);
    assert_eq!(j.storage().array().unwrap().to_f64(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let springs = |x: &Quantity<(In,), Metre>| -> Q<Joule> {
        let k: Quantity<(In,), NewtonPerMetre> = vector(x.storage().cx(), &[3], &[1.0, 2.0, 3.0]);
        ((&k * x) * x).sum(In) * 0.5
    };
    let h: Quantity<(In, In), NewtonPerMetre> = typed::hessian(springs)(&x);
    assert_eq!(h.storage().array().unwrap().to_f64(), [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0]);
    let l: Q<NewtonPerMetre> = typed::laplacian(springs)(&x);
    assert_eq!(l.storage().val(), 6.0);
    let f: Quantity<(In,), Newton> = typed::hvp(springs)(&x, &x);
    assert_eq!(f.storage().array().unwrap().to_f64(), [1.0, -2.0, 1.5]);
    // A batch of gradients has the batch's axis in front.
    let rows: Quantity<(Batch, In), Metre> = vector(&cx, &[2, 3], &[1.0, -1.0, 0.5, 0.0, 2.0, 1.0]);
    let forces: Quantity<(Batch, In), Newton> =
        typed::vmap::<Batch, _, _, _, _, _>(typed::grad(springs))(&rows);
    assert_eq!(forces.storage().array().unwrap().to_f64(), [1.0, -2.0, 1.5, 0.0, 4.0, 3.0]);
}

#[test]
fn fields() {
    let cx = Cx::eager();
    let flow = |x: &Quantity<(Space,), Metre>| -> Quantity<(Space,), Speed> {
        let v = x.storage();
        let turned = graph::Var::concatenate(
            &[&-v.slice_axis(0, 1, 2), &v.slice_axis(0, 0, 1), &v.slice_axis(0, 2, 3)],
            0,
        );
        axes::Tensor::from_storage_unchecked(turned)
    };
    let x = vector(&cx, &[3], &[0.1, 0.2, 0.3]);
    let c: Quantity<(Space,), PerSecond> = typed::curl(flow)(&x);
    assert_eq!(c.storage().array().unwrap().to_f64(), [0.0, 0.0, 2.0]);
    let d: Q<PerSecond> = typed::divergence(flow)(&x);
    assert_eq!(d.storage().val(), 1.0);
}
