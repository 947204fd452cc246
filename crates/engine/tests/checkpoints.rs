//! Rematerialised calls in plans: the same numbers as the plain loops, in less memory.
#![cfg(not(target_family = "wasm"))]

use axes::DType;
use engine::{Executable, Tensor, pool::Pool, run_once};
use furnace::{Remat, checkpoint, grad_graph};
use graph::{Array, Cx, Graph, Type, Var, interp};

const N: usize = 48;

fn gradient(kept: bool) -> Graph {
    let cx = Cx::abstract_();
    let ty = Type::new(DType::F32, [N, N]);
    let (x, w) = (cx.input("x", ty.clone()), cx.input("w", ty));
    let block = |v: &[Var]| vec![(0..5).fold(v[0].clone(), |h, _| h.matmul(&v[1]).tanh())];
    let y = (0..6).fold(x, |h, _| match kept {
        true => checkpoint(block)(&[&h, &w]).remove(0),
        false => block(&[h, w.clone()]).remove(0),
    });
    let g = cx.finish(&[("loss", &y.square().sum_all())]).unwrap();
    grad_graph(&g, "loss", &["w", "x"], Remat::default()).unwrap()
}

#[test]
fn gradients_and_memory() {
    let number = |seed: usize, i: usize| ((i * 7 + seed) % 23) as f64 / 23.0 - 0.5;
    let values =
        |seed: usize, scale: f64| -> Vec<f64> { (0..N * N).map(|i| number(seed, i) * scale).collect() };
    let (x, w) = (values(3, 1.0), values(11, 0.4));
    let tensor = |v: &[f64]| Tensor::from_f32([N, N], &v.iter().map(|x| *x as f32).collect::<Vec<_>>());
    let array = |v: &[f64]| Array::<f64>::from_f64(DType::F32, [N, N], v);
    let (plain, kept) = (gradient(false), gradient(true));
    let expected = interp::run::<f64>(&plain, vec![array(&x), array(&w)], false).unwrap();
    let found =
        run_once(&kept, &[&tensor(&x), &tensor(&w)], &Default::default(), Pool::single().into()).unwrap();
    for (name, t) in &found {
        let e = expected.get(name).unwrap().to_f64();
        let size = e.iter().fold(0f64, |m, x| m.max(x.abs()));
        let gap = t.f32().iter().zip(&e).fold(0f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()));
        assert!(gap <= 1e-5 * size, "{name}: off by {gap:e} of {size:e}");
    }
    let memory = |g: &Graph| Executable::new(g, &Default::default(), Pool::single().into()).unwrap().memory();
    let (plain, kept) = (memory(&plain), memory(&kept));
    println!("bytes: {plain} plain, {kept} with checkpoints");
    assert!(kept < plain, "{kept} against {plain}");
}
