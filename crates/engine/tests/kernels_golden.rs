//! Kernels against the vectors that the published MatMul-free LM code computed (see the golden folder's README).

mod common;

use common::{Golden, each_level, wide};
use engine::kernels::elementwise::{Access, EwOp::*, Input, Output, Program, run};
use engine::kernels::gemm::{MatMut, MatRef, gemm};
use engine::kernels::rows::{self, Rounding};
use engine::kernels::scan::{ScanShape, linear_scan, linear_scan_grad};
use engine::kernels::ternary;
use engine::pool::Pool;

#[track_caller]
fn close(found: &[f32], expected: &[f32], tolerance: f64) {
    common::assert_close(found, &wide(expected), tolerance);
}

/// Each row against its own size: the rows of `bitlinear` differ by six orders of magnitude.
#[track_caller]
fn close_rows(found: &[f32], expected: &[f32], cols: usize, tolerance: f64) {
    for (found, expected) in found.chunks(cols).zip(expected.chunks(cols)) {
        close(found, expected, tolerance);
    }
}

#[test]
fn quantiser_ties() {
    let Some(golden) = Golden::open("quant_ties.safetensors") else { return };
    each_level(|_| {
        let pool = Pool::single();
        let (x, cols) = (golden.f32("act.x"), golden.shape("act.x")[1]);
        for (rounding, name) in
            [(Rounding::HalfEven, "act.q_half_even"), (Rounding::HalfAway, "act.q_half_away")]
        {
            let (mut q, mut scale) = (vec![0; x.len()], vec![0.0; x.len() / cols]);
            rows::quantize_activations(&pool, &x, cols, rounding, &mut q, &mut scale);
            assert_eq!(q, golden.i8(name));
            assert_eq!(scale, golden.f32("act.scale"));
            if rounding == Rounding::HalfEven {
                let mut y = vec![0.0; x.len()];
                rows::dequantize(&pool, &q, &scale, &mut y);
                assert_eq!(y, golden.f32("act.dequant_torch_half_even"));
            }
        }
        for case in (0..).map(|i| format!("weight{i}")).take_while(|case| golden.has(&format!("{case}.w"))) {
            let w = golden.f32(&format!("{case}.w"));
            let (mut trits, mut fake) = (vec![0; w.len()], vec![0.0; w.len()]);
            let scale = rows::quantize_weights(&pool, &w, &mut trits);
            rows::fake_quantize_weights(&pool, &w, &mut fake);
            assert_eq!(trits, golden.i8(&format!("{case}.trits")), "{case}");
            assert_eq!([scale], golden.f32(&format!("{case}.scale"))[..], "{case}");
            assert_eq!(fake, golden.f32(&format!("{case}.dequant")), "{case}");
        }
    });
}

#[test]
fn bitlinear() {
    let Some(golden) = Golden::open("bitlinear.safetensors") else { return };
    each_level(|_| {
        let pool = Pool::single();
        for shape in (0..).map(|i| format!("s{i}")).take_while(|shape| golden.has(&format!("{shape}.x"))) {
            let (n, k) = (golden.shape(&format!("{shape}.x"))[0], golden.shape(&format!("{shape}.x"))[1]);
            let m = golden.shape(&format!("{shape}.w"))[0];
            let (x, w) = (golden.f32(&format!("{shape}.x")), golden.f32(&format!("{shape}.w")));
            let (norm, dout) =
                (golden.f32(&format!("{shape}.norm_weight")), golden.f32(&format!("{shape}.dout")));
            for (kind, eps, rounding) in
                [("fused", 1e-6, Rounding::HalfAway), ("naive", 1e-8, Rounding::HalfEven)]
            {
                let f32s = |name: &str| golden.f32(&format!("{shape}.{kind}.{name}"));
                let i8s = |name: &str| golden.i8(&format!("{shape}.{kind}.{name}"));
                let (mut y_q, mut q) = (vec![0.0; n * k], vec![0; n * k]);
                let (mut rstd, mut scale) = (vec![0.0; n], vec![0.0; n]);
                rows::rms_norm_quantize(&pool, &x, &norm, eps, rounding, &mut q, &mut rstd, &mut scale);
                assert_eq!(q, i8s("xq"), "{shape} {kind}");
                close_rows(&rstd, &f32s("rstd"), 1, 5e-7);
                close_rows(&scale, &f32s("x_scale"), 1, 5e-7);
                let mut normed = vec![0.0; n * k];
                rows::rms_norm(&pool, &x, &norm, eps, &mut normed, &mut rstd);
                close_rows(&normed, &f32s("norm_out"), k, 5e-7);

                let (mut trits, mut w_q) = (vec![0; m * k], vec![0.0; m * k]);
                let w_scale = rows::quantize_weights(&pool, &w, &mut trits);
                assert_eq!(trits, i8s("wq"), "{shape} {kind}");
                close(&[w_scale], &f32s("w_scale"), 2e-7);
                rows::fake_quantize_weights(&pool, &w, &mut w_q);
                rows::rms_norm_fake_quantize(
                    &pool, &x, &norm, eps, rounding, &mut y_q, &mut rstd, &mut scale,
                );

                let (mut acc, mut y) = (vec![0; n * m], vec![0.0; n * m]);
                ternary::matmul(&pool, &q, &scale, &trits, w_scale, &mut acc, &mut y);
                close_rows(&y, &f32s("y"), m, 1e-6);
                let mut fake = vec![0.0; n * m];
                let (y_view, w_view) = (MatRef::row_major(&y_q, n, k), MatRef::row_major(&w_q, m, k));
                gemm(1.0, y_view, w_view.t(), 0.0, MatMut::row_major(&mut fake, n, m));
                close_rows(&fake, &f32s("y"), m, 1e-6);

                let d_view = MatRef::row_major(&dout, n, m);
                let (mut dw, mut dy) = (vec![0.0; m * k], vec![0.0; n * k]);
                gemm(1.0, d_view.t(), y_view, 0.0, MatMut::row_major(&mut dw, m, k));
                close(&dw, &f32s("dw"), 1e-6);
                gemm(1.0, d_view, w_view, 0.0, MatMut::row_major(&mut dy, n, k));
                let (mut dx, mut dn) = (vec![0.0; n * k], vec![0.0; k]);
                let mut scratch = vec![0.0; rows::rms_norm_grad_scratch(n, k)];
                rows::rms_norm_grad(&pool, &x, &norm, &rstd, &dy, &mut dx, &mut dn, &mut scratch);
                close_rows(&dx, &f32s("dx"), k, 5e-6);
                close(&dn, &f32s("dnorm_weight"), 2e-6);
            }
        }
    });
}

#[test]
fn hgrn() {
    let Some(golden) = Golden::open("hgrn.safetensors") else { return };
    each_level(|_| {
        let pool = Pool::single();
        for case in ["r0", "r1"] {
            let name = |part: &str| format!("{case}.{part}");
            // (B, H, T, D) with the heads as further sequences.
            let sizes = golden.shape(&name("x"));
            let shape = ScanShape { batch: sizes[0] * sizes[1], time: sizes[2], channels: sizes[3] };
            let h0 = golden.has(&name("h0")).then(|| golden.f32(&name("h0")));
            let (f, x, dout) = (golden.f32(&name("f")), golden.f32(&name("x")), golden.f32(&name("do")));
            let mut out = vec![0.0; x.len()];
            linear_scan(&pool, shape, &f, &x, h0.as_deref(), &mut out, false);
            close(&out, &golden.f32(&name("o")), 1e-6);
            let last: Vec<f32> = out
                .chunks(shape.time * shape.channels)
                .flat_map(|sequence| sequence[(shape.time - 1) * shape.channels..].to_vec())
                .collect();
            close(&last, &golden.f32(&name("ht")), 1e-6);
            let (mut dx, mut df) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            let gradients = (&mut dx[..], &mut df[..], None);
            linear_scan_grad(&pool, shape, &f, &out, h0.as_deref(), &dout, None, false, gradients);
            close(&dx, &golden.f32(&name("dx")), 1e-6);
            close(&df, &golden.f32(&name("df")), 1e-6);
        }
    });
}

fn elementwise(ops: Vec<engine::kernels::elementwise::EwOp>, inputs: &[&[f32]], out: usize) -> Vec<f32> {
    let program = Program::new(ops, vec![out]).expect("a valid program");
    let len = inputs[0].len();
    let mut y = vec![0.0; len];
    let mut scratch = vec![0.0; program.scratch_len()];
    let inputs: Vec<_> = inputs.iter().map(|x| Input::f32(x, Access::Full)).collect();
    run(&program, 1, len, &inputs, &mut [Output::f32(&mut y)], 0..1, &mut scratch);
    y
}

#[test]
fn elementwise_and_loss() {
    let Some(golden) = Golden::open("elementwise.safetensors") else { return };
    each_level(|_| {
        let pool = Pool::single();
        let get = |name: &str| golden.f32(name);
        let (x, y, dz) = (get("swiglu.x"), get("swiglu.y"), get("swiglu.dz"));
        close(&elementwise(vec![Load(0), Silu(0), Load(1), Mul(1, 2)], &[&x, &y], 3), &get("swiglu.z"), 1e-6);
        close(
            &elementwise(vec![Load(0), Silu(0), Load(1), Mul(1, 2)], &[&x, &dz], 3),
            &get("swiglu.dy"),
            1e-6,
        );
        // silu' = s (1 + x (1 - s))
        let ops = vec![
            Load(0),
            Load(1),
            Load(2),
            Sigmoid(0),
            Const(1.0),
            Sub(4, 3),
            Fma(0, 5, 4),
            Mul(3, 6),
            Mul(7, 1),
            Mul(8, 2),
        ];
        close(&elementwise(ops, &[&x, &y, &dz], 9), &get("swiglu.dx"), 1e-6);

        let (gate, o, w) = (get("gnorm.gate_x"), get("gnorm.o"), get("gnorm.weight"));
        let (mut normed, mut rstd) = (vec![0.0; gate.len()], vec![0.0; gate.len() / w.len()]);
        rows::rms_norm(&pool, &gate, &w, 1e-6, &mut normed, &mut rstd);
        close(
            &elementwise(vec![Load(0), Load(1), Silu(1), Mul(0, 2)], &[&normed, &o], 3),
            &get("gnorm.y"),
            1e-5,
        );

        let (x, residual, w) = (get("prenorm.x"), get("prenorm.residual"), get("prenorm.weight"));
        let sum = elementwise(vec![Load(0), Load(1), Add(0, 1)], &[&x, &residual], 2);
        close(&sum, &get("prenorm.residual_out"), 0.0);
        rows::rms_norm(&pool, &sum, &w, 1e-6, &mut normed, &mut rstd);
        close(&normed, &get("prenorm.y"), 1e-5);
        let (dy, dsum) = (get("prenorm.dy"), get("prenorm.dresidual_out"));
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        let mut scratch = vec![0.0; rows::rms_norm_grad_scratch(rstd.len(), w.len())];
        rows::rms_norm_grad(&pool, &sum, &w, &rstd, &dy, &mut dx, &mut dw, &mut scratch);
        close(&elementwise(vec![Load(0), Load(1), Add(0, 1)], &[&dx, &dsum], 2), &get("prenorm.dx"), 1e-5);
        close(&dw, &get("prenorm.dweight"), 1e-5);

        let (logits, target) = (get("ce.logits"), golden.i64("ce.target"));
        let (mut lse, mut d) = (vec![0.0; target.len()], vec![0.0; logits.len()]);
        let loss = rows::cross_entropy(&pool, &logits, &target, -100, &mut lse).unwrap();
        close(&[loss.loss], &get("ce.loss_mean"), 1e-6);
        let scale = 1.0 / loss.count as f32;
        rows::cross_entropy_grad(&pool, &logits, &target, -100, &lse, scale, &mut d).unwrap();
        close(&d, &get("ce.dlogits"), 2e-6);
    });
}
