//! The small plans that a machine is calibrated with: for each kernel one whose time is mostly its own, and a tiny one
//! whose time is mostly fixed.
//!
//! None of them is among the plans that predictions are judged on: those are models and blocks of models
//! ([`super::suite`]), these are single ops.

use axes::{BlockFormat, DType, TritLayout};
use graph::{Cx, Dim, Graph, Op, Type, Var, attrs};
use premap::{Kernel, Options};

/// A graph to calibrate with, and how it is to be planned.
pub struct Small {
    /// The graph.
    pub graph: Graph,
    /// Options of its plan.
    pub options: Options,
}

/// Makes inputs of fixed sizes.
struct Maker {
    cx: Cx,
    count: usize,
    layouts: Vec<(String, TritLayout)>,
    donate: Vec<(String, String)>,
}

impl Maker {
    fn input(&mut self, dtype: DType, shape: &[usize]) -> Var {
        self.count += 1;
        self.cx.input(&format!("x{}", self.count), Type::new(dtype, shape.iter().copied()))
    }

    fn f(&mut self, shape: &[usize]) -> Var {
        self.input(DType::F32, shape)
    }

    fn trits(&mut self, m: usize, k: usize, layout: TritLayout) -> Var {
        let made = self.input(DType::Trit, &[m, k]);
        self.layouts.push((format!("x{}", self.count), layout));
        made
    }

    /// Products of `n` tokens with trits (m, k).
    fn product(&mut self, n: usize, m: usize, k: usize, layout: TritLayout) -> Vec<Var> {
        let (q, s) = (self.input(DType::I8, &[n, k]), self.f(&[n]));
        let (w, s_w) = (self.trits(m, k, layout), self.f(&[]));
        vec![q.ternary_linear(&s, &w, &s_w)]
    }

    fn finish(self, outputs: &[Var]) -> Option<Small> {
        let names: Vec<String> = (0..outputs.len()).map(|i| format!("y{i}")).collect();
        let named: Vec<(&str, &Var)> = names.iter().map(String::as_str).zip(outputs).collect();
        let graph = self.cx.finish(&named).ok()?;
        Some(Small {
            graph,
            options: Options { layouts: self.layouts, donate: self.donate, ..Options::default() },
        })
    }
}

/// Whether rows cost something beside their elements, and there is a plan that shows it.
fn has_rows(kernel: Kernel) -> bool {
    use Kernel::{
        Attention, Blocks, BlocksFew, Copy, Gemm, Norm, NormFake, NormGrad, NormQuantise, Quantise, Reduce,
        Rows, Scan, ScanGrad, Selective, SelectiveGrad, Softmax, SoftmaxGrad, SumProducts, TritBytes, Trits,
    };
    matches!(
        kernel,
        Gemm | Trits
            | TritBytes
            | Blocks
            | BlocksFew
            | Norm
            | NormQuantise
            | NormFake
            | NormGrad
            | Quantise
            | Scan
            | ScanGrad
            | Selective
            | SelectiveGrad
            | Attention
            | Softmax
            | SoftmaxGrad
            | Reduce
            | SumProducts
            | Copy
            | Rows
    )
}

/// The function of `xs` and the gradients of its first result.
fn gradients(f: impl Fn(&[Var]) -> Vec<Var>, xs: &[&Var], seed: &Var) -> Vec<Var> {
    let (y, pull) = furnace::vjp(f, xs);
    let mut given = vec![seed.clone()];
    given.extend(y[1..].iter().map(|v| v.full_like(0.0)));
    [y, pull(&given)].concat()
}

/// Which of a kernel's plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Whose time is fixed.
    Tiny,
    /// Of many short rows.
    Narrow,
    /// Whose time is that of its elements.
    Large,
}

/// The plan of a kernel. `None` where it has no rows, or the op does not trace.
pub fn plan(kernel: Kernel, size: Size) -> Option<Small> {
    let (large, narrow) = (size != Size::Tiny, size == Size::Narrow);
    if narrow && !has_rows(kernel) {
        return None;
    }
    let mut m = Maker { cx: Cx::abstract_(), count: 0, layouts: vec![], donate: vec![] };
    let pick = |small: usize, size: usize| if large { size } else { small };
    // A vector that stays in the second-level cache with its result.
    let n = pick(16, 64 << 10);
    let (rows, cols) = if narrow { (1024, 64) } else { (pick(1, 64), pick(16, 1024)) };
    // Columns of products.
    let k = if narrow { 64 } else { pick(64, 1024) };
    let outputs = match kernel {
        Kernel::Trits => m.product(pick(16, 128), pick(16, 1024), k, TritLayout::Compute),
        Kernel::TritsFew => m.product(1, pick(16, 1536), k, TritLayout::Compute),
        Kernel::TritBytes => m.product(pick(1, 16), pick(16, 512), k, TritLayout::Bytes),
        Kernel::Blocks | Kernel::BlocksFew => {
            let (k, outputs) = (if narrow { 256 } else { 1024 }, pick(16, 512));
            let tokens = if kernel == Kernel::Blocks { 64 } else { 1 };
            let x = m.f(&[tokens, k]);
            let w = m.input(DType::U8, &[outputs, BlockFormat::Q4K.row_bytes(k)?]);
            vec![x.block_linear(&w, BlockFormat::Q4K)]
        }
        Kernel::Gemm => {
            let (n, k) = (if narrow { 16 } else { pick(16, 256) }, pick(16, 512));
            let (a, b) = (m.f(&[n, k]), m.f(&[k, k]));
            vec![a.linear(&b)]
        }
        Kernel::Gemv => {
            let (a, b) = (m.f(&[1, pick(16, 512)]), m.f(&[pick(16, 512), pick(16, 512)]));
            vec![a.linear(&b)]
        }
        Kernel::Floats => {
            // A gradient times int8 activations, few rows of it, so that what becomes floats counts.
            let t = pick(16, 512);
            let (a, q, s) = (m.f(&[t, 16]), m.input(DType::I8, &[t, cols]), m.f(&[t]));
            let x = q.convert(DType::F32) / s.broadcast_last(&Dim::from(cols));
            vec![a.dot_general(&x, (&[0], &[0]), (&[], &[]))]
        }
        Kernel::Simple => {
            let (x, z) = (m.f(&[n]), m.f(&[n]));
            let mut y = &x + &z;
            for k in 0..6 {
                y = (&y * &x).max(&z) - &(&y + 0.25 * f64::from(k + 1));
            }
            vec![y]
        }
        Kernel::Stream => {
            let (x, z) = (m.f(&[n]), m.f(&[n]));
            vec![&x + &z, &x - &z]
        }
        Kernel::Divide => {
            let (x, z) = (m.f(&[n]), m.f(&[n]));
            let mut y = &x / &z;
            for _ in 0..6 {
                y = &(&x / &y) + &z;
            }
            vec![y]
        }
        Kernel::Exp => {
            let (x, z) = (m.f(&[n]), m.f(&[n]));
            let mut y = x.sigmoid();
            for _ in 0..2 {
                y = (&y * &z).silu();
                y = (&y * &z).sigmoid();
                y = (&y * &z).exp();
            }
            vec![y]
        }
        Kernel::Tanh | Kernel::Log | Kernel::Sine => {
            let (x, z) = (m.f(&[n]), m.f(&[n]));
            let mut y = x;
            for _ in 0..6 {
                y = &y * &z;
                y = match kernel {
                    Kernel::Tanh => y.tanh(),
                    Kernel::Log => y.abs().log(),
                    _ => y.sin(),
                };
            }
            vec![y]
        }
        Kernel::Power => {
            let (x, z) = (m.f(&[n]), m.f(&[n]));
            vec![x.abs().pow(&z).pow(&z).pow(&z)]
        }
        Kernel::Strided => {
            // One row for each of a middle axis.
            let (a, b) = (m.f(&[pick(2, 16), cols]), m.f(&[pick(2, 16), 8, cols]));
            vec![&a.unsqueeze(1).repeat(8, 1) * &b]
        }
        Kernel::Norm => {
            let (x, w) = (m.f(&[rows, cols]), m.f(&[cols]));
            vec![x.rms_norm(&w, 1e-6)]
        }
        Kernel::NormQuantise | Kernel::NormFake => {
            let (x, w) = (m.f(&[rows, cols]), m.f(&[cols]));
            let (q, s) = x.rms_norm(&w, 1e-6).quantize_activations("half_even");
            match kernel {
                Kernel::NormQuantise => vec![q, s],
                _ => vec![q.convert(DType::F32) / s.broadcast_last(&Dim::from(cols))],
            }
        }
        Kernel::NormGrad => {
            let (x, w, dy) = (m.f(&[rows, cols]), m.f(&[cols]), m.f(&[rows, cols]));
            gradients(|v| vec![v[0].rms_norm(&v[1], 1e-6)], &[&x, &w], &dy)
        }
        Kernel::Quantise => {
            let (q, s) = m.f(&[rows, cols]).quantize_activations("half_even");
            vec![q, s]
        }
        Kernel::QuantiseWeights => {
            let (t, s) = m.f(&[pick(4, 256), pick(64, 512)]).quantize_weights();
            let (q, s_x) = (m.input(DType::I8, &[1, pick(64, 512)]), m.f(&[1]));
            vec![q.ternary_linear(&s_x, &t, &s)]
        }
        Kernel::Scan | Kernel::ScanGrad => {
            let (t, d) = if narrow { (1024, 32) } else { (pick(2, 128), pick(16, 512)) };
            let (f, x, h) = (m.f(&[1, t, d]), m.f(&[1, t, d]), m.f(&[1, d]));
            let scan = |v: &[Var]| vec![v[0].linear_scan(&v[1], &v[2], false)];
            if kernel == Kernel::Scan {
                scan(&[f, x, h])
            } else {
                let dy = m.f(&[1, t, d]);
                gradients(scan, &[&f, &x, &h], &dy)
            }
        }
        Kernel::Selective | Kernel::SelectiveGrad => {
            let (t, d, states) = (pick(2, 64), pick(16, 256), if narrow { 2 } else { pick(2, 16) });
            let (x, dt, a) = (m.f(&[1, t, d]), m.f(&[1, t, d]), m.f(&[d, states]));
            let (b, c, h) = (m.f(&[1, t, states]), m.f(&[1, t, states]), m.f(&[1, d, states]));
            let scan = |v: &[Var]| {
                let (y, last) = v[0].selective_scan(&v[1], &v[2], &v[3], &v[4], &v[5]);
                vec![y, last]
            };
            if kernel == Kernel::Selective {
                scan(&[x, dt, a, b, c, h])
            } else {
                let dy = m.f(&[1, t, d]);
                gradients(scan, &[&x, &dt, &a, &b, &c, &h], &dy)
            }
        }
        Kernel::Attention => {
            let (t, places) = if narrow { (64, 64) } else { (pick(1, 64), pick(1, 256)) };
            let (q, k, v) = (m.f(&[1, t, 4, 64]), m.f(&[1, t, 2, 64]), m.f(&[1, t, 2, 64]));
            let (keys, values) = (m.f(&[1, places, 2, 64]), m.f(&[1, places, 2, 64]));
            let position = m.input(DType::I64, &[]);
            m.donate = vec![("x4".into(), "y1".into()), ("x5".into(), "y2".into())];
            q.kv_attention([&k, &v], [&keys, &values], None, &position, 0.125)
        }
        Kernel::Rope => {
            let t = pick(1, 128);
            let (x, cos, sin) = (m.f(&[1, t, 8, 64]), m.f(&[t, 32]), m.f(&[t, 32]));
            vec![x.rope(&cos, &sin)]
        }
        Kernel::Softmax | Kernel::SoftmaxGrad => {
            let (x, labels) = (m.f(&[rows, cols]), m.input(DType::I64, &[rows]));
            if kernel == Kernel::Softmax {
                vec![x.cross_entropy(&labels)]
            } else {
                let seed = m.f(&[]);
                gradients(|v| vec![v[0].cross_entropy(&labels)], &[&x], &seed)
            }
        }
        Kernel::Reduce => vec![m.f(&[rows, cols]).sum(&[1])],
        Kernel::ReduceColumns => vec![m.f(&[rows, cols]).sum(&[0])],
        Kernel::SumProducts => {
            let (a, b) = (m.f(&[rows, cols]), m.f(&[rows, cols]));
            vec![(&a * &b).sum(&[1])]
        }
        Kernel::Copy => {
            let (a, b) = (m.f(&[rows, cols]), m.f(&[rows, cols]));
            vec![Var::concatenate(&[&a, &b], usize::from(narrow))]
        }
        Kernel::Shuffle => vec![m.f(&[pick(2, 256), pick(8, 256)]).transpose(&[1, 0])],
        Kernel::Iota => {
            let attrs = attrs! { dtype: DType(DType::I64), dims: Dims(vec![Dim::from(pick(2, 64)), Dim::from(64)]), axis: Int(1) };
            vec![m.cx.push1(Op::Iota, attrs, &[])]
        }
        Kernel::Rows => {
            let (table, ids) =
                (m.f(&[256, if narrow { 16 } else { pick(16, 256) }]), m.input(DType::I64, &[pick(1, 256)]));
            vec![table.gather(&ids)]
        }
        Kernel::Naive => vec![m.f(&[pick(1, 4096)]).erf()],
    };
    m.finish(&outputs)
}
