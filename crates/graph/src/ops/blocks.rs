//! Products with, and rows of, matrices that lie in the blocks of [`BlockFormat`]: the weights of model files, used as they are.
//!
//! A matrix is an operand of u8, its rows the blocks one after the other. `block_linear` multiplies in integers: activations are
//! quantised to int8 by blocks of their own, integer sums are exact, and what is left of f32 has one order that every
//! backend keeps. See [`BlockLinear`] for it. The weights have no derivative, and the quantised activations none either.

use super::arity;
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use axes::{BlockFormat, DType};

/// The format and the columns that a node's attributes name, with the bytes of a row.
pub fn layout(attrs: &Attrs) -> Result<(BlockFormat, usize, usize), String> {
    let format: BlockFormat = attrs.str("format").parse().map_err(|e: axes::AxesError| e.to_string())?;
    let columns = usize::try_from(attrs.int("columns", 0)).unwrap_or(0);
    let row = format.row_bytes(columns).filter(|_| columns > 0);
    let wrong = || {
        format!("columns must be a multiple of {}, the block of {format}, found {columns}", format.block())
    };
    Ok((format, columns, row.ok_or_else(wrong)?))
}

/// Whether an axis has this size, or one that is not bound yet.
fn sized(dim: &Dim, size: usize) -> bool {
    dim.fixed().is_none_or(|n| n == size)
}

/// Fails unless `w` is u8[rows, bytes of a row].
fn matrix(w: &Type, format: BlockFormat, columns: usize, row: usize) -> Result<(), String> {
    let fits = w.dtype == DType::U8 && w.rank() == 2 && sized(&w.shape[1], row);
    match fits {
        true => Ok(()),
        false => Err(format!("{columns} columns of {format} are u8[M,{row}], found {w}")),
    }
}

/// How the numbers of a product are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Activations that share a scale: 256, or 32 where the columns are no multiple of 256.
    pub activations: usize,
    /// Numbers whose integer sum becomes one f32.
    pub unit: usize,
    /// Partial sums of f32: unit u is added to number u mod this.
    pub partials: usize,
}

impl Units {
    /// The grouping of a row; of `f16` and `bf16` each number is its own unit, and activations stay as they are.
    pub const fn new(format: BlockFormat, columns: usize) -> Units {
        let activations = if columns.is_multiple_of(256) { 256 } else { 32 };
        let block = format.block();
        match block {
            1 => Units { activations: 1, unit: 1, partials: 32 },
            32 => Units { activations, unit: 32, partials: 8 },
            _ => Units {
                activations,
                unit: if block < activations { block } else { activations },
                partials: 4,
            },
        }
    }
}

/// One number of a block: the integer, its scale within the block, its minimum within the block.
struct Code {
    q: i64,
    s: i64,
    z: i64,
}

/// Number `j` of a block; a plain reading of the page of [`BlockFormat`].
fn code(format: BlockFormat, b: &[i64], j: usize) -> Code {
    let plain = |q| Code { q, s: 1, z: 0 };
    let signed = |byte: i64| byte as u8 as i8 as i64;
    match format {
        BlockFormat::F16 | BlockFormat::Bf16 => plain(0),
        BlockFormat::Q8_0 => plain(signed(b[2 + j])),
        BlockFormat::Q4_0 => plain(((b[2 + j % 16] >> (4 * (j / 16))) & 15) - 8),
        BlockFormat::Q4K => {
            let g = j / 32;
            let (s, z) = match g < 4 {
                true => (b[4 + g] & 63, b[8 + g] & 63),
                false => {
                    let (low, s, z) = (b[8 + g], b[g], b[4 + g]);
                    ((low & 15) | ((s >> 6) << 4), (low >> 4) | ((z >> 6) << 4))
                }
            };
            Code { q: (b[16 + 32 * (g / 2) + j % 32] >> (4 * (g % 2))) & 15, s, z }
        }
        BlockFormat::Q6K => {
            let (h, p, i) = (j / 128, j / 32 % 4, j % 32);
            let low = (b[64 * h + 32 * (p % 2) + i] >> (4 * (p / 2))) & 15;
            let high = (b[128 + 32 * h + i] >> (2 * p)) & 3;
            Code { q: (low | (high << 4)) - 32, s: signed(b[192 + j / 16]), z: 0 }
        }
        BlockFormat::Q1_0 => plain(2 * ((b[2 + j / 8] >> (j % 8)) & 1) - 1),
        BlockFormat::Q2_0 => plain(((b[2 + j / 4] >> (2 * (j % 4))) & 3) - 1),
        BlockFormat::Tq1_0 => {
            let (byte, digit) = match j {
                0..160 => (j % 32, j / 32),
                160..240 => (32 + j % 16, (j - 160) / 16),
                _ => (48 + j % 4, (j - 240) / 4),
            };
            let rest = (0..digit).fold(b[byte], |b, _| 3 * b % 256);
            plain(3 * rest / 256 - 1)
        }
        BlockFormat::Tq2_0 => plain(((b[32 * (j / 128) + j % 32] >> (2 * (j / 32 % 4))) & 3) - 1),
    }
}

/// The f16 (or bf16) at a byte of a block.
fn half_at<S: Scalar>(format: BlockFormat, b: &[i64], at: usize) -> S {
    let bytes = [b[at] as u8, b[at + 1] as u8];
    S::from_f64(match format {
        BlockFormat::Bf16 => half::bf16::from_le_bytes(bytes).to_f64(),
        _ => half::f16::from_le_bytes(bytes).to_f64(),
    })
}

/// The scale d of a block, and the scale m of its minima.
fn scales<S: Scalar>(format: BlockFormat, b: &[i64]) -> (S, S) {
    let zero = S::from_f64(0.0);
    match format {
        BlockFormat::Q4K => (half_at(format, b, 0), half_at(format, b, 2)),
        BlockFormat::Q6K | BlockFormat::Tq1_0 | BlockFormat::Tq2_0 => {
            (half_at(format, b, format.block_bytes() - 2), zero)
        }
        _ => (half_at(format, b, 0), zero),
    }
}

/// The numbers that a row stands for: (d · s) · q − m · z.
fn decoded<S: Scalar>(format: BlockFormat, row: &[i64], columns: usize) -> Vec<S> {
    let number = |k: usize| {
        let b = &row[k / format.block() * format.block_bytes()..][..format.block_bytes()];
        let (d, m) = scales::<S>(format, b);
        let c = code(format, b, k % format.block());
        let int = |x: i64| S::from_f64(x as f64);
        match format {
            BlockFormat::F16 | BlockFormat::Bf16 => d,
            BlockFormat::Q4K => d * int(c.s) * int(c.q) - m * int(c.z),
            _ => d * int(c.s) * int(c.q),
        }
    };
    (0..columns).map(number).collect()
}

/// Int8 activations of one row, and the scale of each block of them.
fn quantised<S: Scalar>(x: &[S], block: usize) -> (Vec<i64>, Vec<S>) {
    let (mut q, mut scales) = (vec![], vec![]);
    for x in x.chunks(block) {
        let peak = x.iter().fold(S::from_f64(0.0), |m, v| v.abs().maximum(&m));
        let scale = peak / S::from_f64(127.0);
        for v in x {
            let whole = match scale.to_f64() == 0.0 {
                true => 0.0,
                false => (v.clone() / scale.clone()).round_half_even().to_f64(),
            };
            q.push(whole as i8 as i64);
        }
        scales.push(scale);
    }
    (q, scales)
}

/// Partial sums added up: the upper half onto the lower one until one is left.
fn folded<S: Scalar>(mut partials: Vec<S>) -> S {
    while partials.len() > 1 {
        let upper = partials.split_off(partials.len() / 2);
        partials = partials.into_iter().zip(upper).map(|(a, b)| a + b).collect();
    }
    partials.pop().unwrap_or_else(|| S::from_f64(0.0))
}

/// (x f32 (…, K), w u8 (M, bytes of K columns)) → f32 (…, M): x times the numbers of `format` in w, `columns` being K.
///
/// Integer formats: activations are quantised by blocks ([`Units`]), scale s = absmax / 127, q = round_half_even(x / s). The
/// numbers of a unit have one d (and m) and one s, so they are worth (d s) Σ s_g q_w q_x − (m s) Σ z_g q_x, both sums exact
/// integers, s_g and z_g the scales within the block where the format has some. Units are added to partial sums in
/// turn, and these by halves. `f16` and `bf16`: products of f32, added to 32 partial sums in turn.
pub struct BlockLinear;
impl OpDef for BlockLinear {
    const NAME: &'static str = "block_linear";
    const ATTRS: &'static [&'static str] = &["format", "columns"];
    const CLASS: Class = Class::Contract;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        let (format, columns, row) = layout(attrs)?;
        let (x, w) = (&inputs[0], &inputs[1]);
        matrix(w, format, columns, row)?;
        if x.dtype != DType::F32 || x.rank() == 0 || !sized(&x.shape[x.rank() - 1], columns) {
            return Err(format!("takes activations f32[…,{columns}], found {x}"));
        }
        let shape = x.shape[..x.rank() - 1].iter().chain(&w.shape[..1]).cloned().collect();
        Ok(vec![Type { dtype: DType::F32, shape }])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (format, k, row_bytes) = layout(attrs)?;
        let (x, w, rows) = (i[0].floats(), i[1].ints(), i[1].shape[0]);
        let (block, block_bytes) = (format.block(), format.block_bytes());
        let Units { activations, unit, partials } = Units::new(format, k);
        let mut out = vec![S::from_f64(0.0); x.len() / k * rows];
        let tokens: Vec<_> = x.chunks(k).map(|x| quantised(x, activations)).collect();
        for o in 0..rows {
            let row = &w[o * row_bytes..][..row_bytes];
            let at = |n: usize| &row[n / block * block_bytes..][..block_bytes];
            let codes: Vec<Code> = (0..k).map(|n| code(format, at(n), n % block)).collect();
            for (t, (q, scale)) in tokens.iter().enumerate() {
                let mut sums = vec![S::from_f64(0.0); partials];
                for u in 0..k / unit {
                    let (d, m) = scales::<S>(format, at(u * unit));
                    let sum = &mut sums[u % partials];
                    if block == 1 {
                        *sum = sum.clone() + d * x[t * k + u].clone();
                        continue;
                    }
                    let numbers = u * unit..(u + 1) * unit;
                    let plus: i64 = numbers.clone().map(|n| codes[n].s * codes[n].q * q[n]).sum();
                    let minus: i64 = numbers.map(|n| codes[n].z * q[n]).sum();
                    let s = &scale[u * unit / activations];
                    let mut value = d * s.clone() * S::from_f64(plus as f64);
                    if format == BlockFormat::Q4K {
                        value = value - m * s.clone() * S::from_f64(minus as f64);
                    }
                    *sum = sum.clone() + value;
                }
                out[t * rows + o] = folded(sums);
            }
        }
        let mut shape = i[0].shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = rows;
        }
        Ok(vec![Array::float(DType::F32, shape, out)])
    }
    /// The rows of a batch are rows.
    fn batch(n: &NodeCx, mapped: &[bool], _: &Dim) -> Option<Vec<Var>> {
        (!mapped[1])
            .then(|| n.cx.push(crate::Op::BlockLinear, n.attrs.clone(), &[&n.inputs[0], &n.inputs[1]]))
    }
    fn cost(attrs: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let k = attrs.int("columns", 0) as f64;
        Cost { operations: 2.0 * k * elements(out), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

/// (ids (I…), w u8 (V, bytes of K columns)) → f32 (I…, K): the numbers of the rows of w at these indices.
pub struct BlockRows;
impl OpDef for BlockRows {
    const NAME: &'static str = "block_rows";
    const ATTRS: &'static [&'static str] = &["format", "columns"];
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        let (format, columns, row) = layout(attrs)?;
        super::index::integer(&inputs[0])?;
        matrix(&inputs[1], format, columns, row)?;
        let shape = inputs[0].shape.iter().cloned().chain([columns.into()]).collect();
        Ok(vec![Type { dtype: DType::F32, shape }])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (format, k, row_bytes) = layout(attrs)?;
        let mut out = vec![];
        for id in i[0].ints() {
            let at = super::index::row(*id, i[1].shape[0])?;
            out.extend(decoded::<S>(format, &i[1].ints()[at * row_bytes..][..row_bytes], k));
        }
        let shape: Vec<usize> = i[0].shape.iter().copied().chain([k]).collect();
        Ok(vec![Array::float(DType::F32, shape, out)])
    }
    /// The rows of a batch are rows.
    fn batch(n: &NodeCx, mapped: &[bool], _: &Dim) -> Option<Vec<Var>> {
        (!mapped[1]).then(|| n.cx.push(crate::Op::BlockRows, n.attrs.clone(), &[&n.inputs[0], &n.inputs[1]]))
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        // Only the rows that are asked for are read.
        let row = inputs[1].shape[1].fixed().unwrap_or(0) as f64;
        let read = inputs[0].elements().unwrap_or(0) as f64 * row;
        Cost {
            operations: elements(out),
            transcendental: 0.0,
            bytes: read + bytes(&inputs[..1]) + bytes(out),
        }
    }
}

/// The attributes of both ops.
fn attrs(format: BlockFormat, columns: usize) -> Attrs {
    crate::attrs! { format: Str(format.name().to_string()), columns: Int(columns as i64) }
}

impl Var {
    /// These activations (…, K) times a matrix of blocks, u8 (M, bytes of a row): (…, M); see [`BlockLinear`].
    #[track_caller]
    pub fn block_linear(&self, w: &Var, format: BlockFormat) -> Var {
        let columns = self.shape().last().and_then(Dim::fixed).unwrap_or(0);
        self.cx.push1(crate::Op::BlockLinear, attrs(format, columns), &[self, w])
    }

    /// The rows of a matrix of blocks, u8 (V, bytes of `columns` columns), at these indices; see [`BlockRows`].
    #[track_caller]
    pub fn block_rows(&self, w: &Var, format: BlockFormat, columns: usize) -> Var {
        self.cx.push1(crate::Op::BlockRows, attrs(format, columns), &[self, w])
    }
}
