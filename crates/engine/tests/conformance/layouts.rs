//! Packed trits in a plan, inputs that lie in somebody else's bytes, tables of narrow types.

use crate::support::POOLS;
use axes::{DType, TritLayout};
use engine::{Executable, Tensor, run_once};
use graph::{Array, Cx, Graph, Type, interp};
use premap::{Options, PlanError};

const N: usize = 3;
const K: usize = 301;
const M: usize = 6;

/// y = ternary product of quantised activations with the input `w`, and what `extra` makes of it.
fn product(extra: impl FnOnce(&graph::Var) -> Option<graph::Var>) -> Graph {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [N, K]));
    let w = cx.input("w", Type::new(DType::Trit, [M, K]));
    let s = cx.input("s", Type::scalar(DType::F32));
    let (q, s_x) = x.quantize_activations("half_even");
    let y = q.ternary_linear(&s_x, &w, &s);
    match extra(&w) {
        Some(e) => cx.finish(&[("y", &y), ("e", &e)]),
        None => cx.finish(&[("y", &y)]),
    }
    .unwrap()
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 % 1009) as f32 / 504.5 - 1.0) * 3.0).collect()
}

fn packed(layout: TritLayout) -> Options {
    Options { layouts: vec![("w".into(), layout)], ..Options::default() }
}

#[test]
fn a_product_of_any_layout_used_in_place_is_that_of_bytes() {
    let g = product(|_| None);
    let x = Tensor::from_f32([N, K], &numbers(N * K));
    let trits: Vec<i8> = (0..M * K).map(|i| (i * 31 % 7 % 3) as i8 - 1).collect();
    let w = Tensor::from_i8(DType::Trit, [M, K], &trits);
    let s = Tensor::from_f32([], &[7.5]);
    let plain = run_once(&g, &[&x, &w, &s], &Options::default(), POOLS[0].clone()).unwrap();
    for layout in TritLayout::ALL {
        let size = layout.bytes(M, K).unwrap();
        // At an odd address: packed trits may lie anywhere.
        let file = [vec![0xff], barewire::trits::encode(layout, M, K, &trits).unwrap()].concat();
        for pool in POOLS.iter() {
            let mut exe = Executable::new(&g, &packed(layout), pool.clone()).unwrap();
            assert_eq!(exe.plan().bytes(g.inputs[1].value), size);
            assert_eq!(exe.plan().layout(exe.plan().graph.inputs[1].value), layout);
            let told = exe.plan().describe();
            assert_eq!(
                told.contains(&format!("{layout}, {size} bytes")),
                layout != TritLayout::Bytes,
                "{told}"
            );
            let mut y = Tensor::zeros(DType::F32, [N, M]);
            let mut io = exe.io();
            io.input(0, &x).bytes(1, &file[1..]).input(2, &s).output(0, &mut y);
            exe.run(&mut io).unwrap();
            drop(io);
            assert_eq!(y.f32(), plain[0].1.f32(), "{layout}");
        }
    }
}

/// Three products of one input, one of what two of them make, and one of other activations.
#[test]
fn products_that_share_their_input_are_one_step_with_the_same_bits() {
    let sizes = [5, 301, 8];
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [N, K]));
    let w: Vec<_> =
        (0..4).map(|i| cx.input(&format!("w{i}"), Type::new(DType::Trit, [sizes[i % 3], K]))).collect();
    let s: Vec<_> = (0..4).map(|i| cx.input(&format!("s{i}"), Type::scalar(DType::F32))).collect();
    let (q, s_x) = x.quantize_activations("half_even");
    let y: Vec<_> = (0..3).map(|i| q.ternary_linear(&s_x, &w[i], &s[i])).collect();
    let (again, s_y) = (&y[1] * &x).quantize_activations("half_even");
    let z = again.ternary_linear(&s_y, &w[3], &s[3]);
    let g = cx.finish(&[("y0", &y[0]), ("y1", &y[1]), ("y2", &y[2]), ("z", &z)]).unwrap();
    let tensor = |i: usize| {
        let m = sizes[i % 3];
        let trits: Vec<i8> = (0..m * K).map(|j| ((i + 3) * j * 31 % 7 % 3) as i8 - 1).collect();
        Tensor::from_i8(DType::Trit, [m, K], &trits)
    };
    let mut inputs = vec![Tensor::from_f32([N, K], &numbers(N * K))];
    inputs.extend((0..4).map(tensor));
    inputs.extend((0..4).map(|i| Tensor::from_f32([], &[1.5 + i as f32])));
    let plain = Options { fuse: false, ..Options::default() };
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let expected = run_once(&g, &inputs, &plain, POOLS[0].clone()).unwrap();
    for layout in [TritLayout::Bytes, TritLayout::Compute, TritLayout::Storage] {
        let options =
            Options { layouts: (0..4).map(|i| (format!("w{i}"), layout)).collect(), ..Options::default() };
        for pool in POOLS.iter() {
            let mut exe = Executable::new(&g, &options, pool.clone()).unwrap();
            let steps = &exe.plan().steps;
            let joint = |s: &&premap::Step| matches!(s, premap::Step::Fused(f) if f.pattern == premap::Pattern::TernaryProducts);
            let joint: Vec<_> = steps.iter().filter(joint).map(|s| exe.plan().nodes(s).len()).collect();
            assert_eq!(joint, [3], "{}", exe.plan().describe());
            let packed: Vec<Vec<u8>> = (0..4)
                .map(|i| {
                    let trits: Vec<i8> = inputs[1 + i].bytes().iter().map(|b| *b as i8).collect();
                    barewire::trits::encode(layout, sizes[i % 3], K, &trits).unwrap()
                })
                .collect();
            let mut made: Vec<Tensor> =
                expected.iter().map(|(_, t)| Tensor::zeros(DType::F32, t.shape().to_vec())).collect();
            let mut io = exe.io();
            io.input(0, inputs[0]);
            for i in 0..4 {
                io.bytes(1 + i, &packed[i]).input(5 + i, inputs[5 + i]);
            }
            made.iter_mut().enumerate().for_each(|(i, t)| {
                io.output(i, t);
            });
            exe.run(&mut io).unwrap();
            drop(io);
            for (made, (name, expected)) in made.iter().zip(&expected) {
                assert_eq!(made.f32(), expected.f32(), "{layout} {name}");
            }
        }
    }
}

/// A gated unit and the residual stream around it, as the models write them; `one` matrix for gate and up, or two.
fn gated_unit(silu: bool, one: bool, n: usize) -> (graph::Graph, Vec<[usize; 2]>) {
    const HIDDEN: usize = 301;
    const INTER: usize = 40;
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [n, HIDDEN]));
    let shapes = match one {
        true => vec![[2 * INTER, HIDDEN], [HIDDEN, INTER]],
        false => vec![[INTER, HIDDEN], [INTER, HIDDEN], [HIDDEN, INTER]],
    };
    let matrix =
        |(i, shape): (usize, &[usize; 2])| cx.input(&format!("w{i}"), Type::new(DType::Trit, *shape));
    let w: Vec<_> = shapes.iter().enumerate().map(matrix).collect();
    let s: Vec<_> = (0..shapes.len()).map(|i| cx.input(&format!("s{i}"), Type::scalar(DType::F32))).collect();
    let (q, s_x) = x.quantize_activations("half_even");
    let (gate, up) = if one {
        let both = q.ternary_linear(&s_x, &w[0], &s[0]);
        (both.slice_axis(1, 0, INTER), both.slice_axis(1, INTER, 2 * INTER))
    } else {
        (q.ternary_linear(&s_x, &w[0], &s[0]), q.ternary_linear(&s_x, &w[1], &s[1]))
    };
    let gate = if silu { gate.silu() } else { gate.relu().square() };
    let (q, s_y) = (&gate * &up).quantize_activations("half_even");
    let last = shapes.len() - 1;
    let y = &x + &q.ternary_linear(&s_y, &w[last], &s[last]);
    (cx.finish(&[("y", &y)]).unwrap(), shapes)
}

#[test]
fn gated_units_and_residuals_are_part_of_their_products_with_the_same_bits() {
    for (silu, one, n) in
        [(true, true, 1), (true, false, 3), (false, false, 1), (false, true, 9), (true, true, 70)]
    {
        let (g, shapes) = gated_unit(silu, one, n);
        let trits: Vec<Vec<i8>> = shapes
            .iter()
            .enumerate()
            .map(|(i, [m, k])| (0..m * k).map(|j| ((i + 3) * j * 31 % 7 % 3) as i8 - 1).collect())
            .collect();
        let mut inputs = vec![Tensor::from_f32([n, shapes[0][1]], &numbers(n * shapes[0][1]))];
        inputs.extend(shapes.iter().zip(&trits).map(|(s, t)| Tensor::from_i8(DType::Trit, *s, t)));
        inputs.extend((0..shapes.len()).map(|i| Tensor::from_f32([], &[1.5 + i as f32])));
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let plain = Options { fuse: false, ..Options::default() };
        let expected = run_once(&g, &inputs, &plain, POOLS[0].clone()).unwrap();
        for layout in [TritLayout::Bytes, TritLayout::Compute, TritLayout::Interchange, TritLayout::Storage] {
            let layouts = (0..shapes.len()).map(|i| (format!("w{i}"), layout)).collect();
            let options = Options { layouts, ..Options::default() };
            for pool in POOLS.iter() {
                let mut exe = Executable::new(&g, &options, pool.clone()).unwrap();
                // One token alone is faster in parts.
                for (pattern, there) in
                    [(premap::Pattern::TernaryGated, n > 8), (premap::Pattern::TernaryAdd, true)]
                {
                    let has = |s: &premap::Step| matches!(s, premap::Step::Fused(f) if f.pattern == pattern);
                    let found = exe.plan().steps.iter().any(has);
                    assert_eq!(found, there, "{pattern:?}: {}", exe.plan().describe());
                }
                let packed: Vec<Vec<u8>> = shapes
                    .iter()
                    .zip(&trits)
                    .map(|([m, k], t)| barewire::trits::encode(layout, *m, *k, t).unwrap())
                    .collect();
                let mut made = Tensor::zeros(DType::F32, [n, shapes[0][1]]);
                let mut io = exe.io();
                io.input(0, inputs[0]).output(0, &mut made);
                for (i, bytes) in packed.iter().enumerate() {
                    io.bytes(1 + i, bytes).input(1 + shapes.len() + i, inputs[1 + shapes.len() + i]);
                }
                exe.run(&mut io).unwrap();
                drop(io);
                assert_eq!(made.f32(), expected[0].1.f32(), "{layout}, silu {silu}, one {one}, {n} tokens");
            }
        }
    }
}

#[test]
fn bytes_that_do_not_fit_are_refused() {
    let g = product(|_| None);
    let (x, s) = (Tensor::from_f32([N, K], &numbers(N * K)), Tensor::from_f32([], &[1.0]));
    let mut exe = Executable::new(&g, &packed(TritLayout::Storage), POOLS[0].clone()).unwrap();
    let size = TritLayout::Storage.bytes(M, K).unwrap();
    let file = vec![0u8; size + 8];
    let mut y = Tensor::zeros(DType::F32, [N, M]);
    for wrong in [0, size - 1, size + 1] {
        let mut io = exe.io();
        io.input(0, &x).bytes(1, &file[..wrong]).input(2, &s).output(0, &mut y);
        let e = exe.run(&mut io).unwrap_err().to_string();
        assert!(e.contains("`w`") && e.contains(&format!("{size} bytes")) && e.contains("storage"), "{e}");
        assert!(e.contains(&format!("found {wrong} bytes")), "{e}");
    }
    // One byte a trit for an input that the plan has packed.
    let w = Tensor::zeros(DType::Trit, [M, K]);
    let mut io = exe.io();
    io.input(0, &x).input(1, &w).input(2, &s).output(0, &mut y);
    let e = exe.run(&mut io).unwrap_err().to_string();
    assert!(e.contains("`w`") && e.contains("storage") && e.contains("Io::bytes"), "{e}");
    // Numbers of four bytes at an address that is no multiple of four.
    let wide = Tensor::zeros(DType::F32, [N * K + 1]);
    let mut io = exe.io();
    io.bytes(0, &wide.bytes()[2..][..4 * N * K]).bytes(1, &file[..size]).input(2, &s).output(0, &mut y);
    let e = exe.run(&mut io).unwrap_err().to_string();
    assert!(e.contains("`x`") && e.contains("multiple of 4") && e.contains("leaves 2"), "{e}");
    let mut io = exe.io();
    io.bytes(9, &file);
    let e = exe.run(&mut io).unwrap_err().to_string();
    assert!(e.contains("number 9") && e.contains("one of 3"), "{e}");
}

#[test]
fn only_ternary_products_read_packed_trits() {
    let plan = |g: &Graph, o: &Options| premap::plan(g, &engine::target(), o).map(|_| ());
    let options = packed(TritLayout::Compute);
    let reader = product(|w| Some(w.convert(DType::F32).sum(&[1])));
    let e = plan(&reader, &options).unwrap_err();
    assert!(matches!(&e, PlanError::PackedReader { reader, .. } if reader == "convert"), "{e}");
    assert!(plan(&reader, &Options::default()).is_ok());
    assert!(plan(&reader, &packed(TritLayout::Bytes)).is_ok());
    let output = product(|w| Some(w.clone()));
    let e = plan(&output, &options).unwrap_err();
    assert!(e.to_string().contains("output `e`") && e.to_string().contains("compute"), "{e}");
    let unknown = Options { layouts: vec![("v".into(), TritLayout::Compute)], ..Options::default() };
    assert!(matches!(plan(&product(|_| None), &unknown), Err(PlanError::Unknown { kind: "input", .. })));
    let number = Options { layouts: vec![("x".into(), TritLayout::Compute)], ..Options::default() };
    let e = plan(&product(|_| None), &number).unwrap_err();
    assert!(matches!(&e, PlanError::Layout { input, .. } if input == "x"), "{e}");
}

#[test]
fn rows_of_narrow_tables_are_gathered_as_they_are() {
    const ROWS: usize = 5;
    const COLUMNS: usize = 7;
    let ids = Tensor::from_i64([4], &[4, 0, 4, 2]);
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16, DType::I8, DType::I64, DType::Bool] {
        let cx = Cx::abstract_();
        let table = cx.input("table", Type::new(dtype, [ROWS, COLUMNS]));
        let scale = cx.input("scale", Type::new(DType::F32, [ROWS]));
        let at = cx.input("ids", Type::new(DType::I64, [4]));
        let rows = table.gather(&at);
        let y = &rows.convert(DType::F32) * &scale.gather(&at).broadcast_last(&COLUMNS.into());
        let g = cx.finish(&[("rows", &rows), ("y", &y)]).unwrap();
        let values: Vec<f64> = (0..ROWS * COLUMNS).map(|i| f64::from(i as u32 % 2)).collect();
        let values = if dtype == DType::Bool {
            values
        } else {
            (0..ROWS * COLUMNS).map(|i| i as f64 - 17.0).collect()
        };
        let table = Array::<f32>::from_f64(dtype, [ROWS, COLUMNS], &values);
        let scales = Array::<f32>::from_f64(DType::F32, [ROWS], &[0.5, 1.0, 1.5, 2.0, 2.5]);
        let expected = interp::run(&g, vec![table.clone(), scales.clone(), ids.to_array()], true).unwrap();
        let (table, scales) = (Tensor::from_array(&table), Tensor::from_array(&scales));
        let mut exe = Executable::new(&g, &Options::default(), POOLS[1].clone()).unwrap();
        let mut found = [Tensor::zeros(dtype, [4, COLUMNS]), Tensor::zeros(DType::F32, [4, COLUMNS])];
        let mut io = exe.io();
        io.bytes(0, table.bytes()).bytes(1, scales.bytes()).input(2, &ids);
        found.iter_mut().enumerate().for_each(|(o, t)| {
            io.output(o, t);
        });
        exe.run(&mut io).unwrap();
        drop(io);
        for (found, (name, expected)) in found.iter().zip(&expected.outputs) {
            assert_eq!(found.to_array::<f32>().to_f64(), expected.to_f64(), "{name} of {dtype}");
        }
    }
}
