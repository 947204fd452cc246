use crate::support::{Kernels, Memory, bits, floats};
use alex::Options;
use alex::cpu::norm::{self, Rounding};
use alex::cpu::{Isa, export};
use engine::kernels::rows;
use engine::pool::Pool;

const SIZES: [(usize, usize); 7] = [(3, 1), (2, 31), (4, 64), (3, 1000), (2, 1024), (2, 2065), (1, 4096)];

fn rounding(r: Rounding) -> rows::Rounding {
    match r {
        Rounding::HalfAway => rows::Rounding::HalfAway,
        Rounding::HalfEven => rows::Rounding::HalfEven,
    }
}

/// Rows with zeros only, with an infinity and with NaN among the others.
fn rows_of(n: usize, cols: usize, seed: u64) -> Vec<f32> {
    let mut x = floats(n * cols, seed, 3.0);
    match seed % 4 {
        0 => x[..cols].fill(0.0),
        1 => x[cols - 1] = f32::INFINITY,
        2 => x[cols / 2] = f32::NAN,
        _ => x[..cols].iter_mut().for_each(|x| *x = (*x * 4.0).round() / 8.0),
    }
    x
}

#[test]
fn norms_and_quantisers_have_the_engines_bits() {
    let (isa, eps, pool) = (Isa::host(), 1e-6, Pool::single());
    let both = [Rounding::HalfAway, Rounding::HalfEven];
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, (n, cols)) in SIZES.into_iter().enumerate() {
            let kernel = norm::rms_norm(m, isa, n, cols, eps);
            export(m, &format!("norm{k}"), &kernel);
            let kernel = norm::quantize_weights(m, isa, n * cols);
            export(m, &format!("weights{k}"), &kernel);
            for r in both {
                let kernel = norm::quantize_activations(m, isa, n, cols, r);
                export(m, &format!("quantize{k}{r:?}"), &kernel);
                let kernel = norm::rms_norm_quantize(m, isa, n, cols, eps, r);
                export(m, &format!("both{k}{r:?}"), &kernel);
            }
        }
    });
    let Some(kernels) = kernels else { return };
    for (k, (n, cols)) in SIZES.into_iter().enumerate() {
        for seed in 0..4 {
            let (x, weight) = (rows_of(n, cols, seed), floats(cols, 9, 2.0));
            let (mut y, mut rstd) = (vec![0.0; n * cols], vec![0.0; n]);
            let (given, w) = (Memory::of(&x), Memory::of(&weight));
            let [found, found_rstd, found_scale] = [n * cols, n, n].map(|len| Memory::zeros(4 * len));
            rows::rms_norm(&pool, &x, &weight, eps, &mut y, &mut rstd);
            kernels.call(&format!("norm{k}"), &[&given, &w, &found, &found_rstd]);
            assert_eq!(bits(&found_rstd.read()), bits(&rstd), "{n}x{cols}, {seed}");
            assert_eq!(bits(&found.read()), bits(&y), "{n}x{cols}, {seed}");
            for r in both {
                let (mut q, mut scale, found) = (vec![0_i8; n * cols], vec![0.0; n], Memory::zeros(n * cols));
                rows::quantize_activations(&pool, &x, cols, rounding(r), &mut q, &mut scale);
                kernels.call(&format!("quantize{k}{r:?}"), &[&given, &found, &found_scale]);
                assert_eq!(
                    (found.read(), bits(&found_scale.read())),
                    (q.clone(), bits(&scale)),
                    "{n}x{cols}, {seed}"
                );

                rows::rms_norm_quantize(&pool, &x, &weight, eps, rounding(r), &mut q, &mut rstd, &mut scale);
                kernels.call(&format!("both{k}{r:?}"), &[&given, &w, &found, &found_rstd, &found_scale]);
                assert_eq!(
                    (found.read(), bits(&found_scale.read())),
                    (q, bits(&scale)),
                    "{n}x{cols}, {seed}"
                );
            }
            let mut trits = vec![0_i8; n * cols];
            let scale = rows::quantize_weights(&pool, &x, &mut trits);
            let (found, found_scale) = (Memory::zeros(n * cols), Memory::zeros(4));
            kernels.call(&format!("weights{k}"), &[&given, &found, &found_scale]);
            assert_eq!(
                (found.read(), bits(&found_scale.read())),
                (trits, bits(&[scale])),
                "{n}x{cols}, {seed}"
            );
        }
    }
}
