//! Sums and products in a chosen accumulator: the bits of the interpreter, on any number of threads, for odd shapes; the
//! exact one in any order.

use axes::DType;
use engine::pool::Pool;
use engine::{Executable, Tensor};
use graph::{Accumulator, Array, Cx, Graph, Op, Type, Var, attrs, interp};
use premap::Options;
use std::sync::Arc;

/// Numbers of many sizes (splitmix64).
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    (0..n)
        .map(|_| {
            let m = (next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
            m * 2f32.powi((next() % 24) as i32 - 12)
        })
        .collect()
}

fn sum(x: &Var, axes: &[i64], how: Accumulator) -> Var {
    let attrs = attrs! { axes: Ints(axes.to_vec()), accumulator: Str(how.name().into()) };
    x.cx().push1(Op::ReduceSum, attrs, &[x])
}

fn dot(a: &Var, b: &Var, contract: [&[i64]; 2], batch: [&[i64]; 2], how: Accumulator) -> Var {
    let attrs = attrs! {
        lhs_contract: Ints(contract[0].to_vec()), rhs_contract: Ints(contract[1].to_vec()),
        lhs_batch: Ints(batch[0].to_vec()), rhs_batch: Ints(batch[1].to_vec()),
        accumulator: Str(how.name().into())
    };
    a.cx().push1(Op::DotGeneral, attrs, &[a, b])
}

/// The engine's outputs as bits.
fn run(g: &Graph, inputs: &[Array<f32>], threads: usize) -> Vec<Vec<u32>> {
    let mut exe = Executable::new(g, &Options::default(), Arc::new(Pool::new(threads))).expect("a plan");
    let tensors: Vec<Tensor> = inputs.iter().map(Tensor::from_array).collect();
    let mut outputs: Vec<Tensor> = g.outputs.iter().map(|o| Tensor::of(g.ty(o.value))).collect();
    let mut io = exe.io();
    tensors.iter().enumerate().for_each(|(i, t)| {
        io.input(i, t);
    });
    outputs.iter_mut().enumerate().for_each(|(i, t)| {
        io.output(i, t);
    });
    exe.run(&mut io).expect("a run");
    drop(io);
    outputs.iter().map(|t| t.f32().iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn the_bits_of_the_interpreter() {
    for shape in [[1usize, 1, 1], [1, 7, 1], [3, 1, 5], [2, 17, 33], [5, 64, 9], [1, 300, 2]] {
        let [a, b, c] = shape;
        for how in Accumulator::ALL {
            let cx = Cx::abstract_();
            let x = cx.input("x", Type::new(DType::F32, shape));
            let y = cx.input("y", Type::new(DType::F32, [a, c, b]));
            let made = [
                sum(&x, &[0], how),
                sum(&x, &[1], how),
                sum(&x, &[2], how),
                sum(&x, &[0, 2], how),
                sum(&x, &[0, 1, 2], how),
                // Products with the contracted axis first, last and apart, batched and not.
                dot(&x, &y, [&[2], &[1]], [&[0], &[0]], how),
                dot(&x, &y, [&[1], &[2]], [&[0], &[0]], how),
                dot(&x, &y, [&[0, 2], &[0, 1]], [&[], &[]], how),
                dot(&x, &x, [&[0, 1], &[0, 1]], [&[], &[]], how),
                // A sum of products that is one kernel elsewhere.
                sum(&(&x * &x), &[0, 1, 2], how),
            ];
            let names: Vec<String> = (0..made.len()).map(|i| i.to_string()).collect();
            let named: Vec<(&str, &Var)> = names.iter().map(String::as_str).zip(&made).collect();
            let g = cx.finish(&named).expect("a graph");
            let n = a * b * c;
            let inputs = [
                Array::float(DType::F32, shape, numbers(n, 1)),
                Array::float(DType::F32, [a, c, b], numbers(n, 2)),
            ];
            let expected: Vec<Vec<u32>> = interp::run(&g, inputs.to_vec(), true)
                .expect("values")
                .outputs
                .iter()
                .map(|(_, v)| v.floats().iter().map(|x| x.to_bits()).collect())
                .collect();
            for threads in [1, 3] {
                let found = run(&g, &inputs, threads);
                for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                    assert_eq!(f, e, "{how}, output {i}, shape {shape:?}, {threads} threads");
                }
            }
        }
    }
}

#[test]
fn scattered_rows() {
    for how in Accumulator::ALL {
        let cx = Cx::abstract_();
        let ids = cx.input("ids", Type::new(DType::I64, [40usize]));
        let x = cx.input("x", Type::new(DType::F32, [40usize, 3]));
        let attrs = attrs! { rows: Dims(vec![graph::Dim::from(7)]), accumulator: Str(how.name().into()) };
        let y = cx.push1(Op::ScatterAdd, attrs, &[&ids, &x]);
        let g = cx.finish(&[("y", &y)]).expect("a graph");
        let at: Vec<i64> = (0..40).map(|i| i * 5 % 6).collect();
        let inputs =
            [Array::int(DType::I64, [40], at.clone()), Array::float(DType::F32, [40, 3], numbers(120, 9))];
        let first = run(&g, &inputs, 1);
        assert_eq!(first, run(&g, &inputs, 3));
        if how == Accumulator::Exact {
            let turned: Vec<f32> =
                inputs[1].floats().chunks(3).rev().flat_map(|r| r.iter().copied()).collect();
            let ids = at.iter().rev().copied().collect();
            let turned = [Array::int(DType::I64, [40], ids), Array::float(DType::F32, [40, 3], turned)];
            assert_eq!(first, run(&g, &turned, 1));
        }
    }
}

#[test]
fn exact_products_do_not_depend_on_the_order_of_rows() {
    let (rows, m, n) = (200usize, 5, 6);
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [rows, m]));
    let y = cx.input("y", Type::new(DType::F32, [rows, n]));
    let z = dot(&x, &y, [&[0], &[0]], [&[], &[]], Accumulator::Exact);
    let plain = dot(&x, &y, [&[0], &[0]], [&[], &[]], Accumulator::Plain);
    let g = cx.finish(&[("exact", &z), ("plain", &plain)]).expect("a graph");
    let (a, b) = (numbers(rows * m, 3), numbers(rows * n, 4));
    let turn =
        |v: &[f32], k: usize| -> Vec<f32> { v.chunks(k).rev().flat_map(|r| r.iter().copied()).collect() };
    let arrays = |a: Vec<f32>, b: Vec<f32>| {
        [Array::float(DType::F32, [rows, m], a), Array::float(DType::F32, [rows, n], b)]
    };
    let first = run(&g, &arrays(a.clone(), b.clone()), 2);
    let second = run(&g, &arrays(turn(&a, m), turn(&b, n)), 3);
    assert_eq!(first[0], second[0]);
    // The plain sum is not so lucky.
    assert_ne!(first[1], second[1]);
}
