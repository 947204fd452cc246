//! Causal attention without a softmax, in chunks, and its backward form (`graph::ops::linear_attention` has the equations).
//!
//! A head keeps a matrix S of features × columns. A chunk of `CHUNK` steps is six products of small matrices: within it
//! (Q Kᵀ ∘ L) V, from before it Q S, and S + Kᵀ V behind it; L is the lower triangle of the decays between two steps. One
//! step or a few go through S once, row by row. Sequences and heads are independent, and each is one task.
//!
//! The backward pass keeps the matrix before every n-th chunk, n the root of their number, makes those in between again
//! when it comes to them, and carries R, the cotangent of S, the other way. The decay's cotangent is the sum over later
//! steps of q · dq − k · dk, begun anew in each chunk from ⟨R, S⟩ so that no error adds up along the sequence.
//!
//! Rejected: a task per chunk with a pass over the chunks' sums between (all of K and V read twice; batch × heads keep the
//! threads busy); the matrix of every chunk in memory (as much as K for wide heads).
#![allow(unsafe_code)]

use super::gemm::{MatMut, MatRef, gemm};
use super::simd::{Isa, multiversion};
use crate::pool::{Pool, Split};

/// Steps of a chunk.
const CHUNK: usize = premap::cut::STATE_CHUNK;
/// Steps up to which one after the other is faster than a chunk.
const FEW: usize = 8;

/// Sizes of an attention with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateShape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// H.
    pub heads: usize,
    /// Rows of the state: features of queries and keys, M.
    pub features: usize,
    /// Columns of the state: width of values, D.
    pub width: usize,
}

/// What it reads.
#[derive(Clone, Copy)]
pub struct StateGiven<'a> {
    /// (B, T, H, M).
    pub q: &'a [f32],
    /// (B, T, H, M).
    pub k: &'a [f32],
    /// (B, T, H, D).
    pub v: &'a [f32],
    /// (B, H, M, D).
    pub s0: &'a [f32],
    /// Logarithms of the decays, (B, T, H).
    pub decay: Option<&'a [f32]>,
}

impl StateShape {
    fn state(self) -> usize {
        self.features * self.width
    }

    fn check(self, g: &StateGiven<'_>) {
        let rows = self.batch * self.time * self.heads;
        assert!(g.q.len() == rows * self.features && g.k.len() == g.q.len(), "q and k are (B, T, H, M)");
        assert_eq!(g.v.len(), rows * self.width, "v is (B, T, H, D)");
        assert_eq!(g.s0.len(), self.batch * self.heads * self.state(), "states are (B, H, M, D)");
        assert!(g.decay.is_none_or(|d| d.len() == rows), "decays are (B, T, H)");
    }
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct Head {
    shape: StateShape,
    b: usize,
    h: usize,
}

impl Head {
    fn new(shape: StateShape, task: usize) -> Head {
        Head { shape, b: task / shape.heads, h: task % shape.heads }
    }

    /// The row of a step among all rows.
    fn row(self, t: usize) -> usize {
        (self.b * self.shape.time + t) * self.shape.heads + self.h
    }

    /// Where the head's matrix begins.
    fn matrix(self) -> usize {
        (self.b * self.shape.heads + self.h) * self.shape.state()
    }

    /// Steps from `t` on of an operand with rows of `width`.
    fn rows<'a>(self, x: &'a [f32], t: usize, count: usize, width: usize) -> MatRef<'a, f32> {
        let from = (self.row(t) * width).min(x.len());
        MatRef::with_strides(&x[from..], count, width, self.shape.heads * width, 1)
    }

    /// The running sums of the decays' logarithms in a chunk; zeros where there are none.
    fn decays(self, decay: Option<&[f32]>, t: usize, sums: &mut [f32]) {
        let mut sum = 0.0;
        for (i, out) in sums.iter_mut().enumerate() {
            sum += decay.map_or(0.0, |g| g[self.row(t + i)]);
            *out = sum;
        }
    }
}

/// Memory of a task for one chunk.
struct Scratch {
    /// (C, C).
    scores: Vec<f32>,
    other: Vec<f32>,
    /// (C, M).
    wide: Vec<f32>,
    scaled: Vec<f32>,
    /// (C, D).
    out: Vec<f32>,
    /// Sums of the decays, their exponentials, and those from each step to the end of the chunk.
    sums: [f32; CHUNK],
    from_start: [f32; CHUNK],
    to_end: [f32; CHUNK],
}

impl Scratch {
    fn new(s: StateShape) -> Scratch {
        let c = CHUNK.min(s.time);
        Scratch {
            scores: vec![0.0; c * c],
            other: vec![0.0; c * c],
            wide: vec![0.0; c * s.features],
            scaled: vec![0.0; c * s.features],
            out: vec![0.0; c * s.width],
            sums: [0.0; CHUNK],
            from_start: [1.0; CHUNK],
            to_end: [1.0; CHUNK],
        }
    }

    /// Reads the decays of a chunk; returns the whole chunk's.
    fn read(&mut self, head: Head, decay: Option<&[f32]>, t: usize, c: usize) -> f32 {
        if decay.is_none() {
            return 1.0;
        }
        head.decays(decay, t, &mut self.sums[..c]);
        let end = self.sums[c - 1];
        for i in 0..c {
            self.from_start[i] = self.sums[i].exp();
            self.to_end[i] = (end - self.sums[i]).exp();
        }
        end.exp()
    }
}

/// Steps `t .. t + c` of an operand with each row times a number.
fn scale_into(head: Head, x: &[f32], [t, c, width]: [usize; 3], by: &[f32], out: &mut [f32]) {
    for (i, row) in out.chunks_exact_mut(width).take(c).enumerate() {
        let from = &x[head.row(t + i) * width..][..width];
        row.iter_mut().zip(from).for_each(|(y, x)| *y = x * by[i]);
    }
}

fn scale_rows(x: &mut [f32], width: usize, by: &[f32]) {
    for (row, by) in x.chunks_exact_mut(width).zip(by) {
        row.iter_mut().for_each(|x| *x *= by);
    }
}

/// The lower triangle of (C, C), times the decays from the column's step to the row's.
fn triangle(scores: &mut [f32], c: usize, sums: Option<&[f32]>) {
    for (t, row) in scores.chunks_exact_mut(c).enumerate() {
        if let Some(sums) = sums {
            row[..=t].iter_mut().zip(sums).for_each(|(x, s)| *x *= (sums[t] - s).exp());
        }
        row[t + 1..].fill(0.0);
    }
}

/// S := (the chunk's decay) S + Kᵀ V.
fn advance(
    head: Head,
    g: &StateGiven<'_>,
    [t, c]: [usize; 2],
    whole: f32,
    s: &mut [f32],
    work: &mut Scratch,
) {
    let StateShape { features: m, width: d, .. } = head.shape;
    let v = head.rows(g.v, t, c, d);
    let k = match g.decay {
        None => head.rows(g.k, t, c, m),
        Some(_) => {
            s.iter_mut().for_each(|x| *x *= whole);
            scale_into(head, g.k, [t, c, m], &work.to_end, &mut work.scaled);
            MatRef::row_major(&work.scaled[..c * m], c, m)
        }
    };
    gemm(1.0, k.t(), v, 1.0, MatMut::row_major(s, m, d));
}

/// y (B, T, H, D) and the matrices after the last step (B, H, M, D). Parallel over sequences and heads.
pub fn state_attention(
    pool: &Pool,
    shape: StateShape,
    given: StateGiven<'_>,
    (y, last): (&mut [f32], &mut [f32]),
) {
    shape.check(&given);
    assert!(y.len() == given.v.len() && last.len() == given.s0.len());
    if last.is_empty() {
        return y.fill(0.0);
    }
    let (y, last) = (Split::new(y, 1), Split::new(last, 1));
    pool.run(shape.batch * shape.heads, |task| {
        let head = Head::new(shape, task);
        // SAFETY: one task for each head of a sequence.
        let s = unsafe { last.part(head.matrix(), shape.state()) };
        s.copy_from_slice(&given.s0[head.matrix()..][..shape.state()]);
        if shape.time <= FEW {
            for t in 0..shape.time {
                // SAFETY: a row of this head.
                let y = unsafe { y.part(head.row(t) * shape.width, shape.width) };
                let row = head.row(t);
                let (q, k) = (&given.q[row * shape.features..], &given.k[row * shape.features..]);
                let v = &given.v[row * shape.width..][..shape.width];
                let decay = given.decay.map_or(1.0, |g| g[row].exp());
                step(&q[..shape.features], &k[..shape.features], v, decay, s, y);
            }
            return;
        }
        let mut work = Scratch::new(shape);
        for t in (0..shape.time).step_by(CHUNK) {
            let c = CHUNK.min(shape.time - t);
            let whole = work.read(head, given.decay, t, c);
            chunk(head, &given, [t, c], s, &mut work);
            advance(head, &given, [t, c], whole, s, &mut work);
            for (i, row) in work.out.chunks_exact(shape.width).take(c).enumerate() {
                // SAFETY: as above.
                unsafe { y.part(head.row(t + i) * shape.width, shape.width) }.copy_from_slice(row);
            }
        }
    });
}

/// The rows of y of a chunk, into the scratch.
fn chunk(head: Head, g: &StateGiven<'_>, [t, c]: [usize; 2], s: &[f32], work: &mut Scratch) {
    let StateShape { features: m, width: d, .. } = head.shape;
    let (q, k, v) = (head.rows(g.q, t, c, m), head.rows(g.k, t, c, m), head.rows(g.v, t, c, d));
    let scores = &mut work.scores[..c * c];
    gemm(1.0, q, k.t(), 0.0, MatMut::row_major(scores, c, c));
    triangle(scores, c, g.decay.map(|_| &work.sums[..c]));
    let out = &mut work.out[..c * d];
    gemm(1.0, MatRef::row_major(scores, c, c), v, 0.0, MatMut::row_major(out, c, d));
    let q = match g.decay {
        None => q,
        Some(_) => {
            scale_into(head, g.q, [t, c, m], &work.from_start, &mut work.scaled);
            MatRef::row_major(&work.scaled[..c * m], c, m)
        }
    };
    gemm(1.0, q, MatRef::row_major(s, m, d), 1.0, MatMut::row_major(out, c, d));
}

multiversion! {
    fn step(q: &[f32], k: &[f32], v: &[f32], decay: f32, s: &mut [f32], y: &mut [f32]) = step_body
}

/// One step: S := decay S + k vᵀ, y = qᵀ S.
#[inline(always)]
fn step_body<I: Isa>(q: &[f32], k: &[f32], v: &[f32], decay: f32, s: &mut [f32], y: &mut [f32]) {
    y.fill(0.0);
    for ((row, q), k) in s.chunks_exact_mut(v.len()).zip(q).zip(k) {
        for ((s, v), y) in row.iter_mut().zip(v).zip(&mut *y) {
            *s = I::fma(*k, *v, decay * *s);
            *y = I::fma(*q, *s, *y);
        }
    }
}

/// Where [`state_attention_grad`] puts the cotangents of q, k, v, s0 and the decays.
pub struct StateGrads<'a> {
    /// (B, T, H, M).
    pub dq: &'a mut [f32],
    /// (B, T, H, M).
    pub dk: &'a mut [f32],
    /// (B, T, H, D).
    pub dv: &'a mut [f32],
    /// (B, H, M, D).
    pub ds0: &'a mut [f32],
    /// (B, T, H), where there are decays.
    pub ddecay: Option<&'a mut [f32]>,
}

/// The cotangents of all operands from those of y (B, T, H, D) and of the last matrices (B, H, M, D). Parallel over
/// sequences and heads.
pub fn state_attention_grad(
    pool: &Pool,
    shape: StateShape,
    given: StateGiven<'_>,
    (dy, dlast): (&[f32], &[f32]),
    out: StateGrads<'_>,
) {
    shape.check(&given);
    assert!(dy.len() == given.v.len() && dlast.len() == given.s0.len() && out.ds0.len() == dlast.len());
    assert!(out.dq.len() == given.q.len() && out.dk.len() == out.dq.len() && out.dv.len() == dy.len());
    if dlast.is_empty() {
        out.dq.fill(0.0);
        out.dk.fill(0.0);
        out.dv.fill(0.0);
        return out.ddecay.into_iter().for_each(|d| d.fill(0.0));
    }
    let to = [out.dq, out.dk, out.dv, out.ds0].map(|x| Split::new(x, 1));
    let ddecay = out.ddecay.map(|x| Split::new(x, 1));
    pool.run(shape.batch * shape.heads, |task| {
        let head = Head::new(shape, task);
        // SAFETY: one task for each head of a sequence.
        let r = unsafe { to[3].part(head.matrix(), shape.state()) };
        r.copy_from_slice(&dlast[head.matrix()..][..shape.state()]);
        let mut work = Scratch::new(shape);
        let chunks = shape.time.div_ceil(CHUNK);
        let span = (1..=chunks).find(|n| n * n >= chunks).unwrap_or(1);
        let n = shape.state();
        let forward = |from: usize, s: &mut [f32], work: &mut Scratch| {
            let (t, c) = (from * CHUNK, CHUNK.min(shape.time - from * CHUNK));
            let whole = work.read(head, given.decay, t, c);
            advance(head, &given, [t, c], whole, s, work);
        };
        // The matrices before every `span`-th chunk, then those of a span and the one behind it.
        let mut kept = vec![0.0; chunks.div_ceil(span) * n];
        let mut near = vec![0.0; (span + 1) * n];
        let mut s = given.s0[head.matrix()..][..n].to_vec();
        for at in 0..chunks {
            if at % span == 0 {
                kept[at / span * n..][..n].copy_from_slice(&s);
            }
            forward(at, &mut s, &mut work);
        }
        for from in (0..chunks).step_by(span).rev() {
            let count = span.min(chunks - from);
            near[..n].copy_from_slice(&kept[from / span * n..][..n]);
            for i in 0..count {
                near.copy_within(i * n..(i + 1) * n, (i + 1) * n);
                forward(from + i, &mut near[(i + 1) * n..][..n], &mut work);
            }
            for i in (0..count).rev() {
                let t = (from + i) * CHUNK;
                let at = [t, CHUNK.min(shape.time - t)];
                let (s, after) = (&near[i * n..][..n], &near[(i + 1) * n..][..n]);
                // SAFETY: rows and matrix of this head.
                unsafe { back(head, &given, at, dy, [s, after], r, &mut work, &to, ddecay.as_ref()) };
            }
        }
    });
}

/// The backward pass of a chunk: R is the cotangent of the matrix behind it on entry, of that before it on return.
///
/// # Safety
/// No other task has this head.
unsafe fn back(
    head: Head,
    g: &StateGiven<'_>,
    [t, c]: [usize; 2],
    dy: &[f32],
    [s, after]: [&[f32]; 2],
    r: &mut [f32],
    work: &mut Scratch,
    to: &[Split<'_, f32>; 4],
    ddecay: Option<&Split<'_, f32>>,
) {
    let StateShape { features: m, width: d, .. } = head.shape;
    let whole = work.read(head, g.decay, t, c);
    let (q, k, v) = (head.rows(g.q, t, c, m), head.rows(g.k, t, c, m), head.rows(g.v, t, c, d));
    let dy = head.rows(dy, t, c, d);
    let Scratch { scores, other, wide, scaled, out, sums, from_start, to_end } = work;
    let sums = g.decay.map(|_| &sums[..c]);
    let (scores, other) = (&mut scores[..c * c], &mut other[..c * c]);
    gemm(1.0, q, k.t(), 0.0, MatMut::row_major(scores, c, c));
    triangle(scores, c, sums);
    gemm(1.0, dy, v.t(), 0.0, MatMut::row_major(other, c, c));
    triangle(other, c, sums);
    let (scores, other) = (MatRef::row_major(scores, c, c), MatRef::row_major(other, c, c));
    // ⟨R, S⟩ behind the chunk.
    let mut total: f64 = match ddecay {
        Some(_) => r.iter().zip(after).map(|(r, s)| f64::from(*r) * f64::from(*s)).sum(),
        None => 0.0,
    };
    let mut gained = [0.0f64; CHUNK];
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let place = |i: usize| head.row(t + i) * m..(head.row(t + i) + 1) * m;
    // dQ = P K + (decayed) dY Sᵀ.
    let wide = &mut wide[..c * m];
    gemm(1.0, dy, MatRef::row_major(s, m, d).t(), 0.0, MatMut::row_major(wide, c, m));
    if g.decay.is_some() {
        scale_rows(wide, m, &from_start[..c]);
    }
    gemm(1.0, other, k, 1.0, MatMut::row_major(wide, c, m));
    for (i, row) in wide.chunks_exact(m).enumerate() {
        if ddecay.is_some() {
            gained[i] = dot(&g.q[place(i)], row);
        }
        // SAFETY: the caller's.
        unsafe { to[0].part(head.row(t + i) * m, m) }.copy_from_slice(row);
    }
    // dK = Pᵀ Q + (decayed) V Rᵀ.
    gemm(1.0, v, MatRef::row_major(r, m, d).t(), 0.0, MatMut::row_major(wide, c, m));
    if g.decay.is_some() {
        scale_rows(wide, m, &to_end[..c]);
    }
    gemm(1.0, other.t(), q, 1.0, MatMut::row_major(wide, c, m));
    for (i, row) in wide.chunks_exact(m).enumerate() {
        if ddecay.is_some() {
            gained[i] -= dot(&g.k[place(i)], row);
        }
        // SAFETY: the caller's.
        unsafe { to[1].part(head.row(t + i) * m, m) }.copy_from_slice(row);
    }
    // dV = Aᵀ dY + (decayed) K R.
    let out = &mut out[..c * d];
    gemm(1.0, k, MatRef::row_major(r, m, d), 0.0, MatMut::row_major(out, c, d));
    if g.decay.is_some() {
        scale_rows(out, d, &to_end[..c]);
    }
    gemm(1.0, scores.t(), dy, 1.0, MatMut::row_major(out, c, d));
    for (i, row) in out.chunks_exact(d).enumerate() {
        // SAFETY: the caller's.
        unsafe { to[2].part(head.row(t + i) * d, d) }.copy_from_slice(row);
    }
    if let Some(ddecay) = ddecay {
        for i in (0..c).rev() {
            total += gained[i];
            // SAFETY: the caller's.
            unsafe { ddecay.part(head.row(t + i), 1) }.fill(total as f32);
        }
    }
    // R := (the chunk's decay) R + (decayed) Qᵀ dY.
    let q = match g.decay {
        None => q,
        Some(_) => {
            r.iter_mut().for_each(|x| *x *= whole);
            scale_into(head, g.q, [t, c, m], &*from_start, scaled);
            MatRef::row_major(&scaled[..c * m], c, m)
        }
    };
    gemm(1.0, q.t(), dy, 1.0, MatMut::row_major(r, m, d));
}
