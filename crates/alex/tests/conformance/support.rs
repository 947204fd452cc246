//! Compiles the cases into one library, runs each twice, and compares.

use crate::cases::Case;
use alex::{Compiler, Options, lower};
use engine::pool::Pool;
use engine::{Code, Executable, Tensor};
use graph::{Array, interp};
use premap::Plan;
use std::sync::Arc;

/// Whether `found` equals `expected`: exactly where they are integers, else within `tolerance` of the larger of the
/// number and the tensor's mean magnitude.
fn close(found: &Array<f32>, expected: &Array<f32>, tolerance: f64) -> Result<(), String> {
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

fn garbage(t: &Tensor) -> Tensor {
    let values = vec![if t.dtype().is_float() { 1.25e3 } else { 1.0 }; t.len()];
    Tensor::from_array(&Array::<f32>::from_f64(t.dtype(), t.shape(), &values))
}

/// Runs one plan twice on one binding.
fn run(c: &Case, plan: &Plan, code: Code, tolerance: f64) -> Result<(), String> {
    let made = interp::run::<f32>(&c.graph, c.inputs.clone(), true).map_err(|e| e.to_string())?;
    let expected: Vec<(String, Array<f32>)> = made.outputs.into_iter().chain(made.taps).collect();
    let mut exe =
        Executable::with_code(plan.clone(), code, Arc::new(Pool::single())).map_err(|e| e.to_string())?;
    let inputs: Vec<Tensor> = c.inputs.iter().map(Tensor::from_array).collect();
    let named: Vec<_> = plan.graph.outputs.iter().chain(&plan.graph.taps).cloned().collect();
    let mut outputs: Vec<Tensor> = named.iter().map(|o| Tensor::of(plan.graph.ty(o.value))).collect();
    for _ in 0..2 {
        outputs = outputs.iter().map(garbage).collect();
        let mut io = exe.io();
        inputs.iter().enumerate().for_each(|(i, t)| {
            io.input(i, t);
        });
        outputs.iter_mut().enumerate().for_each(|(o, t)| {
            io.output(o, t);
        });
        exe.run(&mut io).map_err(|e| e.to_string())?;
        drop(io);
        for ((name, a), t) in expected.iter().zip(&outputs) {
            close(&t.to_array(), a, tolerance).map_err(|e| format!("`{name}` {e}"))?;
        }
    }
    Ok(())
}

/// Holds compiled code to the interpreter: how many plans ran, those without a compiled form, and those that differ.
pub(crate) fn check(list: &[&Case], tolerance: f64) -> (usize, Vec<String>, Vec<String>) {
    let (mut without, mut wrong, mut plans) = (vec![], vec![], vec![]);
    for c in list {
        for (fuse, reuse) in [(true, true), (false, false)] {
            let options = premap::Options { fuse, reuse, taps: true, ..premap::Options::default() };
            let plan = match premap::plan(&c.graph, &alex::target(), &options) {
                Ok(plan) => plan,
                Err(e) => {
                    wrong.push(format!("{}: {e}", c.name));
                    continue;
                }
            };
            match lower::plan(&plan, &lower::Options::default()) {
                Ok(_) => plans.push((*c, fuse, format!("case_{}", plans.len()), plan)),
                Err(e) => without.push(format!("{}: {e}", c.name)),
            }
        }
    }
    let compiler = Compiler::new(Options { level: 1, ..Options::default() }).unwrap();
    // Two libraries at a time: there are two processors at least.
    let half = plans.len().div_ceil(2).max(1);
    let found: Vec<Vec<String>> = std::thread::scope(|s| {
        let parts = plans.chunks(half).map(|part| {
            let compiler = &compiler;
            s.spawn(move || {
                let named: Vec<(&str, &Plan)> =
                    part.iter().map(|(.., name, plan)| (name.as_str(), plan)).collect();
                let (text, made) = lower::plans(&named, &lower::Options::default()).unwrap();
                let library = match compiler.load(&text) {
                    Ok(library) => library,
                    Err(e) => return vec![e.to_string()],
                };
                let mut wrong = vec![];
                for ((c, fuse, name, plan), made) in part.iter().zip(made) {
                    let entry = library.entry(name).unwrap();
                    // SAFETY: the function was lowered from this plan.
                    let code = unsafe { Code::new(entry, None, made.arena, Arc::new(library.clone())) };
                    if let Err(e) = run(c, plan, code, tolerance) {
                        wrong.push(format!("{} (fuse {fuse}): {e}", c.name));
                    }
                }
                wrong
            })
        });
        let handles: Vec<_> = parts.collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    wrong.extend(found.into_iter().flatten());
    (plans.len(), without, wrong)
}
