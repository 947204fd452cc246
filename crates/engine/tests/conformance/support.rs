//! Runs a case on the engine in every way that a plan can be made, and compares.

use crate::cases::Case;
use engine::pool::Pool;
use engine::{Executable, Tensor};
use graph::{Array, interp};
use premap::Options;
use std::sync::{Arc, LazyLock};

/// One thread and three: no result may depend on it.
pub(crate) static POOLS: LazyLock<[Arc<Pool>; 2]> =
    LazyLock::new(|| [Pool::new(1).into(), Pool::new(3).into()]);

/// Every way to plan: fused or not, with reuse of memory or without.
pub(crate) fn plans() -> Vec<Options> {
    [(true, true), (true, false), (false, true), (false, false)]
        .map(|(fuse, reuse)| Options { fuse, reuse, taps: true, ..Options::default() })
        .into()
}

/// Whether `found` equals `expected`: exactly where they are integers, else within `tolerance` of the larger of the
/// number and the tensor's mean magnitude.
pub(crate) fn close(found: &Array<f32>, expected: &Array<f32>, tolerance: f64) -> Result<(), String> {
    if found.ty() != expected.ty() {
        return Err(format!("is {}, expected {}", found.ty(), expected.ty()));
    }
    let (a, b) = (found.to_f64(), expected.to_f64());
    let finite = b.iter().filter(|x| x.is_finite());
    let mean = finite.clone().map(|x| x.abs()).sum::<f64>() / finite.count().max(1) as f64;
    for (i, (x, y)) in a.iter().zip(&b).enumerate() {
        let same = x == y || (x.is_nan() && y.is_nan());
        let near = expected.dtype.is_float() && (x - y).abs() <= tolerance * y.abs().max(mean);
        if !same && !near {
            return Err(format!("element {i} of {} is {x}, expected {y}", expected.ty()));
        }
    }
    Ok(())
}

/// Inputs as the engine's tensors.
pub(crate) fn tensors(inputs: &[Array<f32>]) -> Vec<Tensor> {
    inputs.iter().map(Tensor::from_array).collect()
}

/// Results of two runs of one executable on one binding, so that what a run leaves behind shows.
pub(crate) fn run(c: &Case, options: &Options, pool: &Arc<Pool>) -> Result<Vec<Vec<u8>>, String> {
    let mut exe = Executable::new(&c.graph, options, pool.clone()).map_err(|e| e.to_string())?;
    let inputs = tensors(&c.inputs);
    let named: Vec<_> = exe.plan().graph.outputs.iter().chain(&exe.plan().graph.taps).cloned().collect();
    let mut outputs: Vec<Tensor> = named.iter().map(|o| Tensor::of(exe.plan().graph.ty(o.value))).collect();
    let mut made = vec![];
    for _ in 0..2 {
        let mut io = exe.io();
        inputs.iter().enumerate().for_each(|(i, t)| {
            io.input(i, t);
        });
        outputs.iter_mut().enumerate().for_each(|(o, t)| {
            io.output(o, t);
        });
        exe.run(&mut io).map_err(|e| e.to_string())?;
        drop(io);
        made.push(outputs.iter().map(|t| t.bytes().to_vec()).collect::<Vec<_>>());
        // Garbage in the outputs must not matter.
        outputs = outputs.iter().map(garbage).collect();
    }
    let again = made.pop().unwrap_or_default();
    let first = made.pop().unwrap_or_default();
    for (k, (a, b)) in first.iter().zip(&again).enumerate() {
        if a != b {
            return Err(format!("`{}` differs in the second run", named[k].name));
        }
    }
    Ok(first)
}

fn garbage(t: &Tensor) -> Tensor {
    let n = t.len();
    let dtype = t.dtype();
    let values = vec![if dtype.is_float() { 1.25e3 } else { 1.0 }; n];
    Tensor::from_array(&Array::<f32>::from_f64(dtype, t.shape(), &values))
}

/// The interpreter's outputs, then its taps.
pub(crate) fn reference(c: &Case) -> Result<Vec<(String, Array<f32>)>, String> {
    let made = interp::run::<f32>(&c.graph, c.inputs.clone(), true).map_err(|e| e.to_string())?;
    Ok(made.outputs.into_iter().chain(made.taps).collect())
}

/// Holds the engine to the interpreter, with every kind of plan and number of threads, all of them bit-equal.
pub(crate) fn check(c: &Case, tolerance: f64) -> Result<(), String> {
    let expected = reference(c)?;
    let mut first: Option<Vec<Vec<u8>>> = None;
    for options in plans() {
        for pool in POOLS.iter() {
            let what =
                || format!("fuse {}, reuse {}, {} threads", options.fuse, options.reuse, pool.threads());
            let made = run(c, &options, pool).map_err(|e| format!("{}: {e}", what()))?;
            for ((name, a), bytes) in expected.iter().zip(&made) {
                let mut t = Tensor::zeros(a.dtype, a.shape.clone());
                fill(&mut t, bytes);
                close(&t.to_array(), a, tolerance).map_err(|e| format!("{}: `{name}` {e}", what()))?;
            }
            match &first {
                None => first = Some(made),
                Some(f) if *f == made => {}
                Some(f) => {
                    let k = f.iter().zip(&made).position(|(a, b)| a != b).unwrap_or(0);
                    return Err(format!(
                        "{}: the bits of `{}` differ from the first plan's",
                        what(),
                        expected[k].0
                    ));
                }
            }
        }
    }
    Ok(())
}

/// A tensor from its bytes.
pub(crate) fn fill(t: &mut Tensor, bytes: &[u8]) {
    *t = Tensor::from_bytes(t.dtype(), t.shape().to_vec(), bytes);
}
