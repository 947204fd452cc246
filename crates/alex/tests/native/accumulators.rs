//! Sums kept in f80 and f128 by compiled code, against the interpreter, which keeps them without error.
#![allow(unsafe_code)]

use crate::support::{compiler, floats};
use alex::{Options, lower};
use axes::DType;
use engine::pool::Pool;
use engine::{Code, Executable, Tensor};
use graph::{Accumulator, Array, Cx, Op, Type, attrs, interp};
use std::sync::Arc;

#[test]
fn sums_are_kept_in_wide_formats() {
    let Some(compiler) = compiler(Options { level: 1, ..Options::default() }) else { return };
    let mut kept = vec![(Accumulator::F128, 0)];
    if cfg!(target_arch = "x86_64") {
        kept.push((Accumulator::F80, 1));
    }
    for (how, most) in kept {
        let cx = Cx::abstract_();
        let x = cx.input("x", Type::new(DType::F32, [5usize, 300]));
        let y = cx.input("y", Type::new(DType::F32, [300usize, 37]));
        let named = || attrs! { axes: Ints(vec![1]), accumulator: Str(how.name().into()) };
        let sum = cx.push1(Op::ReduceSum, named(), &[&x]);
        let product = attrs! {
            lhs_contract: Ints(vec![1]), rhs_contract: Ints(vec![0]),
            lhs_batch: Ints(vec![]), rhs_batch: Ints(vec![]), accumulator: Str(how.name().into())
        };
        let product = cx.push1(Op::DotGeneral, product, &[&x, &y]);
        let graph = cx.finish(&[("sum", &sum), ("product", &product)]).expect("a graph");

        // Large terms that take each other away leave what f32 and its partial sums lose.
        let mut a = floats(5 * 300, 1, 1.0);
        for row in a.chunks_mut(300) {
            (row[0], row[299]) = (3e7, -3e7);
        }
        let given = [
            Array::float(DType::F32, [5usize, 300], a),
            Array::float(DType::F32, [300usize, 37], floats(300 * 37, 2, 1.0)),
        ];
        let want = interp::run(&graph, given.to_vec(), true).expect("numbers").outputs;

        let plan = premap::plan(&graph, &alex::target(), &premap::Options::default()).expect("a plan");
        let made = lower::plan(&plan, &lower::Options::default()).expect("it is lowered");
        let format = if how == Accumulator::F80 { "f80" } else { "f128" };
        assert!(made.text.contains("arith.addf") && made.text.contains(format), "{}", made.text);
        let library = compiler.load(&made.text).expect("it compiles");
        let entry = library.entry(&made.name).expect("the function is there");
        // SAFETY: the function was lowered from this plan.
        let code = unsafe { Code::new(entry, None, made.arena, Arc::new(library)) };
        let mut exe = Executable::with_code(plan, code, Arc::new(Pool::single())).expect("its code");
        let inputs: Vec<Tensor> = given.iter().map(Tensor::from_array).collect();
        let mut outputs: Vec<Tensor> = graph.outputs.iter().map(|o| Tensor::of(graph.ty(o.value))).collect();
        let mut io = exe.io();
        inputs.iter().enumerate().for_each(|(k, t)| {
            io.input(k, t);
        });
        outputs.iter_mut().enumerate().for_each(|(k, t)| {
            io.output(k, t);
        });
        exe.run(&mut io).expect("it runs");
        drop(io);
        for (found, want) in outputs.iter().zip(&want) {
            for (found, want) in found.f32().iter().zip(want.1.floats()) {
                let apart = (i64::from(found.to_bits()) - i64::from(want.to_bits())).abs();
                assert!(apart <= most, "{how}: {found} and {want}");
            }
        }
    }
}
