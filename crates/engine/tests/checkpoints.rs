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

/// Blocks of the realistic case.
const BLOCKS: usize = 8;

type Block = fn(&[Var]) -> Vec<Var>;

/// Gated recurrence and gated unit of the MatMul-free language model, in f32.
fn mlgru(v: &[Var]) -> Vec<Var> {
    let [x, i, f, g, o, gate, down] = v else { unreachable!("seven operands") };
    let sizes = x.shape();
    let state = x.cx().full(&Type::new(DType::F32, [sizes[0].clone(), sizes[2].clone()]), 0.0);
    let one = x.cx().full(&Type::new(DType::F32, [sizes[2].clone()]), 1.0);
    let a = x.rms_norm(&one, 1e-6);
    let f = a.linear(f).sigmoid();
    let h = f.linear_scan(&(a.linear(i).silu() * (1.0 - &f)), &state, false);
    let r = x + &(a.linear(g).rms_norm(&one, 1e-6) * h.silu()).linear(o);
    let both = r.rms_norm(&one, 1e-6).linear(gate);
    let n = both.shape()[2].fixed().unwrap() / 2;
    vec![&r + &(both.slice_axis(2, 0, n).silu() * both.slice_axis(2, n, 2 * n)).linear(down)]
}

fn perceptron(v: &[Var]) -> Vec<Var> {
    let [x, up, down] = v else { unreachable!("three operands") };
    vec![x + &x.linear(up).tanh().linear(down).tanh()]
}

/// The gradient by the weights of every block, and the sizes of all inputs.
fn stack(block: Block, x: &[usize], weights: &[[usize; 2]], kept: bool) -> Graph {
    let cx = Cx::abstract_();
    let mut h = cx.input("x", Type::new(DType::F32, x.to_vec()));
    let mut names = vec![];
    for b in 0..BLOCKS {
        let mut operands = vec![h];
        for (k, shape) in weights.iter().enumerate() {
            let name = format!("w.{b}.{k}");
            operands.push(cx.input(&name, Type::new(DType::F32, *shape)));
            names.push(name);
        }
        h = match kept {
            true => checkpoint(block)(&operands.iter().collect::<Vec<_>>()).remove(0),
            false => block(&operands).remove(0),
        };
    }
    let g = cx.finish(&[("loss", &h.square().mean_all())]).unwrap();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    grad_graph(&g, "loss", &names, Remat::default()).unwrap()
}

/// Eight checkpointed blocks keep what lies between them and the inner values of one.
#[test]
fn blocks_keep_their_borders() {
    let gated = [[64, 64], [64, 64], [64, 64], [64, 64], [352, 64], [64, 176]];
    let cases: [(&str, Block, &[usize], &[[usize; 2]], usize); 2] = [
        ("MLGRU", mlgru, &[4, 128, 64], &gated, 5),
        ("MLP", perceptron, &[512, 64], &[[256, 64], [64, 256]], 2),
    ];
    for (name, block, x, weights, less) in cases {
        let graphs = [false, true].map(|kept| stack(block, x, weights, kept));
        let inputs: Vec<Tensor> = graphs[0]
            .inputs
            .iter()
            .enumerate()
            .map(|(seed, i)| {
                let shape = graphs[0].ty(i.value).fixed_shape().unwrap();
                let count = shape.iter().product::<usize>() as u32;
                let number = |k: u32| (k + 977 * seed as u32).wrapping_mul(2_654_435_761) >> 8;
                let values: Vec<f32> = (0..count).map(|k| number(k) as f32 / 67_108_864.0 - 0.125).collect();
                Tensor::from_f32(shape, &values)
            })
            .collect();
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let [plain, kept] = graphs.each_ref().map(|g| {
            let mut least = f64::MAX;
            let mut exe = Executable::new(g, &Default::default(), Pool::single().into()).unwrap();
            let mut outputs: Vec<Tensor> = g.outputs.iter().map(|o| Tensor::of(g.ty(o.value))).collect();
            for _ in 0..3 {
                let mut io = exe.io();
                inputs.iter().enumerate().for_each(|(i, t)| {
                    io.input(i, t);
                });
                outputs.iter_mut().enumerate().for_each(|(o, t)| {
                    io.output(o, t);
                });
                let start = std::time::Instant::now();
                exe.run(&mut io).unwrap();
                least = least.min(start.elapsed().as_secs_f64());
            }
            (exe.plan().arena, least, outputs)
        });
        let border = x.iter().product::<usize>() * 4;
        println!(
            "{name}: arena {} plain, {} with checkpoints (a border has {border}); {:.2} and {:.2} ms",
            plain.0,
            kept.0,
            plain.1 * 1e3,
            kept.1 * 1e3
        );
        for (o, (a, b)) in graphs[0].outputs.iter().zip(plain.2.iter().zip(&kept.2)) {
            assert_eq!(a.f32(), b.f32(), "{name}: {}", o.name);
        }
        assert!(kept.0 * less < plain.0, "{name}: {} against {}", kept.0, plain.0);
        // All borders, and a block's share of what the plain plan keeps with its cotangents.
        assert!(kept.0 < BLOCKS * border + plain.0 / 4, "{name}: {} against {}", kept.0, plain.0);
    }
}
