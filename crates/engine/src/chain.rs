//! Chains of nodes that are one kernel: operands and results in the order of their pattern.
#![allow(unsafe_code)]

use crate::instr::{Memory, rounding};
use crate::kernels::packed::{self, Gate, Product};
use crate::kernels::rows;
use crate::pool::Pool;
use graph::Op;
use premap::{Fused, Pattern};

/// # Safety
/// The chain's operands are written, its results are this step's, and their types are those that the pattern fixes.
pub(crate) unsafe fn chain(m: &Memory<'_>, f: &Fused, pool: &Pool) -> Result<(), String> {
    let n = |k: usize| &m.plan.graph.nodes[f.nodes[k] as usize];
    let (i, o) = (&f.inputs, &f.outputs);
    // SAFETY: see above; the patterns list their operands and results in this order.
    unsafe {
        match f.pattern {
            Pattern::RmsNormFakeQuantize | Pattern::RmsNormQuantize => {
                let (x, w, eps) = (m.read(i[0]), m.read(i[1]), n(0).attrs.float("eps", 0.0) as f32);
                let (rstd, scale) = (m.write(o[0]), m.write(o[1]));
                match f.pattern {
                    Pattern::RmsNormQuantize => {
                        rows::rms_norm_quantize(pool, x, w, eps, rounding(n(1)), m.write(o[2]), rstd, scale);
                    }
                    _ => rows::rms_norm_fake_quantize(
                        pool,
                        x,
                        w,
                        eps,
                        rounding(n(1)),
                        m.write(o[2]),
                        rstd,
                        scale,
                    ),
                }
            }
            Pattern::FakeQuantizeWeights => {
                let scale = rows::fake_quantize_weights(pool, m.read(i[0]), m.write(o[1]));
                m.write::<f32>(o[0])[0] = scale;
            }
            Pattern::SumOfProducts => {
                let (a, b, y) = (m.read::<f32>(i[0]), m.read(i[1]), m.write::<f32>(o[0]));
                let cols = a.len() / y.len().max(1);
                if cols == 0 { y.fill(0.0) } else { rows::sum_products(pool, a, b, cols, y) }
            }
            Pattern::TernaryProducts => {
                let each = i[2..].chunks_exact(2).zip(o).map(|(w, y)| {
                    let scale_w = m.read::<f32>(w[1])[0];
                    Ok(Product { w: m.matrix(w[0])?, scale_w, y: m.write(*y) })
                });
                let mut products = each.collect::<Result<Vec<_>, String>>()?;
                packed::matmul_many(pool, m.read(i[0]), m.read(i[1]), &mut products);
            }
            Pattern::TernaryGated => {
                let (g, u) = (m.matrix(i[2])?, m.matrix(i[4])?);
                let (s_g, s_u) = (m.read::<f32>(i[3])[0], m.read::<f32>(i[5])[0]);
                let silu = f.nodes.iter().any(|n| m.plan.graph.nodes[*n as usize].op == Op::Silu);
                let gate = if silu { Gate::Silu } else { Gate::SquaredRelu };
                let y = m.write::<f32>(o[0]);
                let (x, s_x) = (m.read::<i8>(i[0]), m.read::<f32>(i[1]));
                // Halves of one matrix, gate first.
                let cut = || g.halves().ok_or("a matrix of an odd number of rows has no halves");
                let (g, u) = if i[2] == i[4] { cut()? } else { (g, u) };
                packed::matmul_gated(pool, x, s_x, (g, s_g), (u, s_u), gate, y);
            }
            Pattern::TernaryAdd => {
                let (w, s_w) = (m.matrix(i[2])?, m.read::<f32>(i[3])[0]);
                packed::matmul_add(pool, m.read(i[0]), m.read(i[1]), w, s_w, m.read(i[4]), m.write(o[0]));
            }
            Pattern::DequantizedProduct => return Err("is no kernel of its own".into()),
        }
    }
    Ok(())
}
