//! `vmap` where the batch meets indices, control flow and axes.

mod common;

use axes::DType;
use common::{close, value};
use furnace::{grad, map, vmap, vmap_axes};
use graph::{Cx, Dim, Var};

#[test]
fn indices_of_every_kind() {
    let cx = Cx::eager();
    let tables = cx.array(DType::F64, &[2, 3, 2], &(0..12).map(f64::from).collect::<Vec<_>>());
    let table = cx.array(DType::F64, &[3, 2], &(0..6).map(f64::from).collect::<Vec<_>>());
    let rows = cx.array(DType::I64, &[2, 4], &[0.0, 2.0, 1.0, 1.0, 2.0, 2.0, 0.0, 1.0]);
    let row = cx.array(DType::I64, &[4], &[0.0, 2.0, 1.0, 1.0]);
    let updates = cx.array(DType::F64, &[2, 4, 2], &(0..16).map(f64::from).collect::<Vec<_>>());
    let one = cx.array(DType::F64, &[4, 2], &(0..8).map(f64::from).collect::<Vec<_>>());
    let at = |v: &Var, i: usize| v.slice_axis(0, i, i + 1).reshape(&v.shape()[1..]);
    for (t, i) in [(Some(0), Some(0)), (Some(0), None), (None, Some(0))] {
        let (a, b) = (if t.is_some() { &tables } else { &table }, if i.is_some() { &rows } else { &row });
        let made = vmap_axes(|v| vec![v[0].gather(&v[1])], &[t, i], &[0])(&[a, b]).remove(0);
        let u = if t.is_some() { &updates } else { &one };
        let sums =
            vmap_axes(|v| vec![v[1].scatter_add(&v[0], &Dim::from(3))], &[t, i], &[0])(&[u, b]).remove(0);
        for k in 0..2 {
            let pick = |v: &Var, axis: Option<usize>| if axis.is_some() { at(v, k) } else { v.clone() };
            close("gather", &value(&at(&made, k)), &value(&pick(a, t).gather(&pick(b, i))), 0.0);
            let each = pick(b, i).scatter_add(&pick(u, t), &Dim::from(3));
            close("scatter", &value(&at(&sums, k)), &value(&each), 0.0);
        }
    }
    assert!(cx.error().is_none(), "{:?}", cx.error());
    // An index outside its own table stays an error, though the tables lie one after another.
    let wrong = cx.array(DType::I64, &[2, 1], &[3.0, 0.0]);
    let _ = vmap_axes(|v| vec![v[0].gather(&v[1])], &[Some(0), Some(0)], &[0])(&[&tables, &wrong]);
    assert!(cx.error().is_some());
}

#[test]
fn loops_and_branches_that_differ_between_slices() {
    let cx = Cx::eager();
    let xs = cx.array(DType::F64, &[4], &[0.3, 9.0, 2.0, 50.0]);
    // Halved until below 1: a different number of rounds for each.
    let halved = |x: &Var| {
        let zero = x.full_like(0.0);
        let last =
            x.cx().while_(&[x, &zero], |c| c[0].ge(&c[0].full_like(1.0)), |c| vec![&c[0] * 0.5, &c[1] + 1.0]);
        &last[0] * 10.0 + &last[1]
    };
    close("while", &value(&vmap(halved)(&xs)), &value(&map(halved)(&xs)), 0.0);
    let branched = |x: &Var| {
        let low = x.lt(&x.full_like(2.5));
        x.cx().cond(&low, |_| vec![x.sin()], |_| vec![x.log() * x])[0].clone()
    };
    close("cond", &value(&vmap(branched)(&xs)), &value(&map(branched)(&xs)), 0.0);
    close("its slope", &value(&vmap(grad(branched))(&xs)), &value(&map(grad(branched))(&xs)), 1e-15);
    // One condition for all slices stays a branch.
    let flag = cx.scalar(1.0).gt(&cx.scalar(0.0));
    let same = |x: &Var| x.cx().cond(&flag, |_| vec![x.exp()], |_| vec![x.clone()])[0].clone();
    close("one cond", &value(&vmap(same)(&xs)), &value(&xs.exp()), 0.0);
    // A scan whose carried value becomes a batch only inside.
    let carried = |x: &Var| {
        let zero = x.cx().scalar(0.0);
        let (last, ys) = x.cx().scan_n(&Dim::from(3), &[&zero], &[], false, |c, _| {
            let h = (&c[0] + x).cos();
            (vec![h.clone()], vec![h, c[0].full_like(2.0)])
        });
        &last[0] + &ys[0].sum_all() * &ys[1].sum_all()
    };
    close("scan", &value(&vmap(carried)(&xs)), &value(&map(carried)(&xs)), 1e-15);
    close("its slope", &value(&vmap(grad(carried))(&xs)), &value(&map(grad(carried))(&xs)), 1e-14);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn axes_in_and_out() {
    let cx = Cx::eager();
    let a = cx.array(DType::F64, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = cx.array(DType::F64, &[2], &[10.0, 20.0]);
    // Columns of a, all with b.
    let made = vmap_axes(|v| vec![&v[0] + &v[1], v[1].clone()], &[Some(1), None], &[1, 0])(&[&a, &b]);
    close("out", &value(&made[0]), &value(&(&a + &b.broadcast(&a.shape(), &[0]))), 0.0);
    assert_eq!(value(&made[1]).shape, [3, 2]);
    // Random numbers: an op that is run slice by slice.
    let keys = cx.array(DType::I64, &[2], &[3.0, 4.0]);
    let bits = |k: &Var| {
        let attrs = graph::attrs! { dims: Dims(vec![Dim::from(5)]) };
        k.cx().push1(graph::Op::RandomBits, attrs, &[k]).convert(DType::F64)
    };
    close("bits", &value(&vmap(bits)(&keys)), &value(&map(bits)(&keys)), 0.0);
    assert!(cx.error().is_none(), "{:?}", cx.error());
}

#[test]
fn one_graph_whatever_the_size() {
    let nodes = |n: usize| {
        let cx = Cx::abstract_();
        let x = cx.input("x", graph::Type::new(DType::F64, [n, 3]));
        let y = vmap(grad(|x: &Var| x.square().sum_all().sin()))(&x);
        cx.finish(&[("y", &y)]).unwrap().size()
    };
    assert_eq!(nodes(2), nodes(1000));
}
