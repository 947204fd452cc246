//! Models in f80 and f128 as compiled code beside the interpreter in the same arithmetic.
#![allow(missing_docs)]

mod common;

use common::golden;
use engine::pool::Pool;
use fidelity::compiled::Native;
use fidelity::eval::{Arithmetic, Batch, Request};
use fidelity::loaded::Loaded;
use furnace::precision::Precision;
use models::safetensors::TensorFile;
use std::sync::Arc;
use std::time::Instant;

#[test]
fn logits_loss_and_gradients_are_the_interpreters() {
    let native = match Native::shared() {
        Ok(native) => native,
        Err(e) => return println!("skipped: {e}"),
    };
    let Some(dir) = golden("matmulfree/case_a") else { return };
    let model = Loaded::open(&dir).unwrap();
    let f = TensorFile::open(dir.join("inputs.safetensors")).unwrap();
    let shape = f.tensor("input_ids").unwrap().shape.to_vec();
    // The first row alone: the interpreter is slow.
    let row = |name: &str| f.to_i64(name).unwrap()[..shape[1]].to_vec();
    let batch = Batch {
        batch: 1,
        length: shape[1],
        input_ids: row("input_ids"),
        attention_mask: None,
        labels: f.contains("labels").then(|| row("labels")),
        ..Batch::default()
    };
    let plain = Arc::new(Pool::single());
    let compiled = Arc::new(Pool::single().with_compiler(native));
    for (precision, tolerance) in [(Precision::F128, 1e-30), (Precision::F80, 1e-15)] {
        if precision == Precision::F80 && cfg!(not(target_arch = "x86_64")) {
            continue;
        }
        let request = Request {
            arithmetic: Arithmetic::Precise(precision),
            grads: batch.labels.is_some(),
            hidden: true,
            decimals: true,
            ..Default::default()
        };
        let timed = |pool| {
            let start = Instant::now();
            let made = model.eval(&batch, &request, pool).unwrap();
            (made, start.elapsed())
        };
        // The first run compiles, or loads from the cache.
        let (_, first) = timed(&compiled);
        let (found, second) = timed(&compiled);
        let (expected, slow) = timed(&plain);
        println!("{precision}: interpreter {slow:?}, compiled {second:?}, the first time {first:?}");
        assert_eq!(found.values.keys().collect::<Vec<_>>(), expected.values.keys().collect::<Vec<_>>());
        let (mut all, mut equal, mut worst) = (0, 0, 0f64);
        for (name, want) in &expected.values {
            let peak = want.to_f64().iter().fold(0f64, |m, x| m.max(x.abs()));
            for (a, b) in found.decimals[name].iter().zip(&expected.decimals[name]) {
                all += 1;
                equal += usize::from(a == b);
                if a != b {
                    worst = worst.max(apart(a, b) / peak);
                }
            }
        }
        println!(
            "{precision}: {equal} of {all} numbers equal, the others within {worst:e} of their tensor's largest"
        );
        assert!(worst <= tolerance, "{precision}: {worst:e}");
    }
}

/// The distance of two decimals.
fn apart(a: &str, b: &str) -> f64 {
    use furnace::precision::Digits;
    use graph::Scalar;
    let read = |text: &str| Digits::from_decimal(text).unwrap();
    Digits::with(60, || (read(a) - read(b)).abs().to_f64())
}
