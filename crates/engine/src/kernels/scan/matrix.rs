//! The matrix memory of xLSTM, chunk by chunk, and its backward form (`graph::ops::mlstm` has the equations and the source).
//!
//! Within a chunk of L steps h is (S ∘ D) V and what the memory before the chunk adds, with S the products of queries and
//! keys and D the decay from step to step: three products of matrices, and a fourth for the memory after the chunk. D is made
//! row by row: a row is the one above times the forget gate, and a new last element. That is what the recurrence itself
//! multiplies with, so that no difference of sums of logarithms is ever taken, and two exponentials a step are all.
//! A few steps (streaming) go one by one through the memory, which is read and written once.
//!
//! The backward pass has nothing but the operands and h: the memories before the chunks are computed again, those of a group
//! of chunks at a time (all of them up to [`ALL`] chunks, else about √ of their number, at two passes), for the heads that
//! are in work only. h does not depend on the stabiliser m but through eps; so its cotangent is carried apart, as a number.
//! Tasks are the heads of all sequences.
#![allow(unsafe_code)]

use super::super::gemm::{MatMut, MatRef, gemm};
use super::super::simd::{Isa, multiversion};
use crate::pool::{Pool, Split};

/// Steps up to which the memory is gone through step by step.
const FEW: usize = 4;
/// Chunks up to which the memories before all of them are kept in a backward pass.
const ALL: usize = 32;

/// Sizes of a matrix memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixShape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// H.
    pub heads: usize,
    /// K.
    pub keys: usize,
    /// V.
    pub values: usize,
}

impl MatrixShape {
    fn tasks(self) -> usize {
        self.batch * self.heads
    }
    fn memory(self) -> usize {
        self.keys * self.values
    }
    fn chunk(self) -> usize {
        premap::cut::memory_chunk(self.keys, self.values).min(self.time.max(1))
    }
}

/// What a matrix memory reads.
#[derive(Clone, Copy)]
pub struct MatrixGiven<'a> {
    /// (B, T, H, K).
    pub q: &'a [f32],
    /// (B, T, H, K).
    pub k: &'a [f32],
    /// (B, T, H, V).
    pub v: &'a [f32],
    /// Arguments of the input gate (B, T, H).
    pub i: &'a [f32],
    /// Arguments of the forget gate (B, T, H).
    pub f: &'a [f32],
    /// (B, H, K, V).
    pub c: &'a [f32],
    /// (B, H, K).
    pub n: &'a [f32],
    /// (B, H).
    pub m: &'a [f32],
}

impl MatrixGiven<'_> {
    fn check(&self, s: MatrixShape) {
        let steps = s.batch * s.time * s.heads;
        assert!(self.q.len() == steps * s.keys && self.k.len() == self.q.len(), "q and k are (B, T, H, K)");
        assert_eq!(self.v.len(), steps * s.values, "v is (B, T, H, V)");
        assert!(self.i.len() == steps && self.f.len() == steps, "gates are (B, T, H)");
        assert_eq!(self.c.len(), s.tasks() * s.memory(), "C is (B, H, K, V)");
        assert!(self.n.len() == s.tasks() * s.keys && self.m.len() == s.tasks(), "n is (B, H, K), m (B, H)");
    }
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct Head<'a> {
    s: MatrixShape,
    task: usize,
    given: MatrixGiven<'a>,
}

/// What a head remembers.
#[derive(Clone)]
struct Memory {
    c: Vec<f32>,
    n: Vec<f32>,
    m: f32,
}

/// The gates of a chunk: factors of the old memory and of the new, the stabiliser after each step, and whether it came from
/// the steps before.
#[derive(Default)]
struct Gates {
    forget: Vec<f32>,
    input: Vec<f32>,
    m: Vec<f32>,
    older: Vec<bool>,
}

fn log_sigmoid(x: f32) -> f32 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

impl<'a> Head<'a> {
    /// Place of a step among the steps of all heads.
    fn at(&self, t: usize) -> usize {
        (self.task / self.s.heads * self.s.time + t) * self.s.heads + self.task % self.s.heads
    }
    fn rows(&self, from: &'a [f32], width: usize, start: usize, len: usize) -> MatRef<'a, f32> {
        MatRef::with_strides(&from[self.at(start) * width..], len, width, self.s.heads * width, 1)
    }
    fn q(&self, t: usize) -> &'a [f32] {
        &self.given.q[self.at(t) * self.s.keys..][..self.s.keys]
    }
    fn k(&self, t: usize) -> &'a [f32] {
        &self.given.k[self.at(t) * self.s.keys..][..self.s.keys]
    }
    fn before(&self) -> Memory {
        let (s, task) = (self.s, self.task);
        Memory {
            c: self.given.c[task * s.memory()..][..s.memory()].to_vec(),
            n: self.given.n[task * s.keys..][..s.keys].to_vec(),
            m: self.given.m[task],
        }
    }
    fn scale(&self) -> f32 {
        1.0 / (self.s.keys as f32).sqrt()
    }
    fn gates(&self, start: usize, len: usize, mut m: f32, out: &mut Gates) {
        out.forget.clear();
        out.input.clear();
        out.m.clear();
        out.older.clear();
        for t in start..start + len {
            let (i, a) = (self.given.i[self.at(t)], log_sigmoid(self.given.f[self.at(t)]) + m);
            m = if a >= i { a } else { i };
            out.forget.push((a - m).exp());
            out.input.push((i - m).exp());
            out.m.push(m);
            out.older.push(a >= i);
        }
    }
}

/// Room for a chunk.
struct Work {
    gates: Gates,
    /// Decay (L, L), and the part of the memory before the chunk that each step still has.
    decay: Vec<f32>,
    left: Vec<f32>,
    /// S, then S ∘ D (L, L), and its sums of rows.
    scores: Vec<f32>,
    sums: Vec<f32>,
    /// Queries with their scale and what is left, keys with their decay to the end (L, K).
    queries: Vec<f32>,
    keys: Vec<f32>,
    /// (L, V).
    wide: Vec<f32>,
}

impl Work {
    fn new(s: MatrixShape) -> Work {
        let l = s.chunk();
        let of = |n: usize| vec![0.0; n];
        Work {
            gates: Gates::default(),
            decay: of(l * l),
            left: of(l),
            scores: of(l * l),
            sums: of(l),
            queries: of(l * s.keys),
            keys: of(l * s.keys),
            wide: of(l * s.values),
        }
    }

    /// Everything of a chunk that does not read the memory.
    fn begin(&mut self, head: &Head<'_>, start: usize, len: usize, m: f32) {
        let k = head.s.keys;
        head.gates(start, len, m, &mut self.gates);
        decays(&self.gates.forget, &self.gates.input, &mut self.decay[..len * len], &mut self.left[..len]);
        for t in 0..len {
            let (factor, end) = (head.scale() * self.left[t], self.decay[(len - 1) * len + t]);
            scaled(head.q(start + t), factor, &mut self.queries[t * k..][..k]);
            scaled(head.k(start + t), end, &mut self.keys[t * k..][..k]);
        }
    }

    /// S ∘ D and its sums of rows.
    fn scores(&mut self, head: &Head<'_>, start: usize, len: usize) {
        let (q, k) = (
            head.rows(head.given.q, head.s.keys, start, len),
            head.rows(head.given.k, head.s.keys, start, len),
        );
        let scores = &mut self.scores[..len * len];
        gemm(head.scale(), q, k.t(), 0.0, MatMut::row_major(scores, len, len));
        weighted(scores, &self.decay[..len * len], &mut self.sums[..len]);
    }

    /// The memory after the chunk.
    fn advance(&self, head: &Head<'_>, start: usize, len: usize, memory: &mut Memory) {
        let s = head.s;
        let keep = self.left[len - 1];
        let keys = MatRef::row_major(&self.keys[..len * s.keys], len, s.keys);
        let values = head.rows(head.given.v, s.values, start, len);
        gemm(1.0, keys.t(), values, keep, MatMut::row_major(&mut memory.c, s.keys, s.values));
        memory.n.iter_mut().for_each(|n| *n *= keep);
        self.keys[..len * s.keys].chunks_exact(s.keys).for_each(|row| add(row, 1.0, &mut memory.n));
        memory.m = self.gates.m[len - 1];
    }

    /// q̂·n of step t.
    fn along(&self, head: &Head<'_>, t: usize, memory: &Memory) -> f32 {
        let k = head.s.keys;
        self.sums[t] + dot(&self.queries[t * k..][..k], &memory.n)
    }
}

multiversion! {
    /// Row t of `decay` from the row above; `left` the products of the forget gates.
    fn decays(forget: &[f32], input: &[f32], decay: &mut [f32], left: &mut [f32]) = decays_body
}

#[inline(always)]
fn decays_body<I: Isa>(forget: &[f32], input: &[f32], decay: &mut [f32], left: &mut [f32]) {
    let len = forget.len();
    let mut keep = 1.0;
    for t in 0..len {
        let (above, row) = decay.split_at_mut(t * len);
        if t > 0 {
            let above = &above[(t - 1) * len..][..t];
            row[..t].iter_mut().zip(above).for_each(|(d, a)| *d = forget[t] * a);
        }
        row[t] = input[t];
        row[t + 1..len].fill(0.0);
        keep *= forget[t];
        left[t] = keep;
    }
}

multiversion! {
    /// `x *= by`, and the sums of the rows.
    fn weighted(x: &mut [f32], by: &[f32], sums: &mut [f32]) = weighted_body
}

#[inline(always)]
fn weighted_body<I: Isa>(x: &mut [f32], by: &[f32], sums: &mut [f32]) {
    let len = sums.len();
    for (t, sum) in sums.iter_mut().enumerate() {
        let row = &mut x[t * len..][..len];
        row.iter_mut().zip(&by[t * len..][..len]).for_each(|(x, d)| *x *= d);
        *sum = sum_body::<I>(row.iter().copied());
    }
}

/// A sum in eight parts.
#[inline(always)]
fn sum_body<I: Isa>(x: impl ExactSizeIterator<Item = f32>) -> f32 {
    let mut parts = [0.0_f32; 8];
    x.enumerate().for_each(|(at, x)| parts[at % 8] += x);
    parts.iter().sum()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_body::<super::super::simd::Base>(a.iter().zip(b).map(|(a, b)| a * b))
}

multiversion! {
    /// `to = x * factor`.
    fn scaled(x: &[f32], factor: f32, to: &mut [f32]) = scaled_body
}

#[inline(always)]
fn scaled_body<I: Isa>(x: &[f32], factor: f32, to: &mut [f32]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to = x * factor);
}

multiversion! {
    /// `to += x * factor`.
    fn add(x: &[f32], factor: f32, to: &mut [f32]) = add_body
}

#[inline(always)]
fn add_body<I: Isa>(x: &[f32], factor: f32, to: &mut [f32]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to = I::fma(*x, factor, *to));
}

multiversion! {
    /// A step: C = forget C + k vᵀ (k with the input gate), read = q̂ᵀ C.
    fn step(c: &mut [f32], v: &[f32], k: &[f32], q: &[f32], forget: f32, read: &mut [f32]) = step_body
}

#[inline(always)]
fn step_body<I: Isa>(c: &mut [f32], v: &[f32], k: &[f32], q: &[f32], forget: f32, read: &mut [f32]) {
    read.fill(0.0);
    for ((row, k), q) in c.chunks_exact_mut(v.len()).zip(k).zip(q) {
        for ((c, v), read) in row.iter_mut().zip(v).zip(read.iter_mut()) {
            *c = I::fma(*k, *v, forget * *c);
            *read = I::fma(*q, *c, *read);
        }
    }
}

/// h, C, n, m of the memory of `given`; see [`MatrixGiven`] for sizes, h is (B, T, H, V).
pub fn mlstm(
    pool: &Pool,
    s: MatrixShape,
    eps: f32,
    given: MatrixGiven<'_>,
    (h, c, n, m): (&mut [f32], &mut [f32], &mut [f32], &mut [f32]),
) {
    given.check(s);
    assert_eq!(h.len(), given.v.len(), "h is (B, T, H, V)");
    assert!(c.len() == given.c.len() && n.len() == given.n.len() && m.len() == given.m.len());
    let (h, c, n, m) = (Split::new(h, 1), Split::new(c, 1), Split::new(n, 1), Split::new(m, 1));
    pool.run(s.tasks(), |task| {
        let head = Head { s, task, given };
        let mut memory = head.before();
        let mut work = Work::new(s);
        let write = |t: usize, read: &[f32], along: f32, m: f32| {
            let below = along.abs().max((-m).exp()) + eps;
            // SAFETY: each head has its own rows.
            scaled_by(read, below, unsafe { h.part(head.at(t) * s.values, s.values) });
        };
        if s.time <= FEW {
            few(&head, &mut memory, &mut work, &write);
        } else {
            for start in (0..s.time).step_by(s.chunk()) {
                let len = s.chunk().min(s.time - start);
                work.begin(&head, start, len, memory.m);
                work.scores(&head, start, len);
                let wide = &mut work.wide[..len * s.values];
                let scores = MatRef::row_major(&work.scores[..len * len], len, len);
                let values = head.rows(given.v, s.values, start, len);
                gemm(1.0, scores, values, 0.0, MatMut::row_major(wide, len, s.values));
                let queries = MatRef::row_major(&work.queries[..len * s.keys], len, s.keys);
                let before = MatRef::row_major(&memory.c, s.keys, s.values);
                gemm(1.0, queries, before, 1.0, MatMut::row_major(wide, len, s.values));
                for t in 0..len {
                    let read = &work.wide[t * s.values..][..s.values];
                    write(start + t, read, work.along(&head, t, &memory), work.gates.m[t]);
                }
                work.advance(&head, start, len, &mut memory);
            }
        }
        // SAFETY: each head has its own memory.
        unsafe {
            c.part(task * s.memory(), s.memory()).copy_from_slice(&memory.c);
            n.part(task * s.keys, s.keys).copy_from_slice(&memory.n);
            m.part(task, 1)[0] = memory.m;
        }
    });
}

/// x / by.
fn scaled_by(x: &[f32], by: f32, to: &mut [f32]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to = x / by);
}

fn few(head: &Head<'_>, memory: &mut Memory, work: &mut Work, write: &dyn Fn(usize, &[f32], f32, f32)) {
    let s = head.s;
    let (mut q, mut k, mut read) = (vec![0.0; s.keys], vec![0.0; s.keys], vec![0.0; s.values]);
    for t in 0..s.time {
        head.gates(t, 1, memory.m, &mut work.gates);
        let (forget, input) = (work.gates.forget[0], work.gates.input[0]);
        scaled(head.q(t), head.scale(), &mut q);
        scaled(head.k(t), input, &mut k);
        let v = &head.given.v[head.at(t) * s.values..][..s.values];
        step(&mut memory.c, v, &k, &q, forget, &mut read);
        memory.n.iter_mut().zip(&k).for_each(|(n, k)| *n = forget * *n + k);
        memory.m = work.gates.m[0];
        write(t, &read, dot(&q, &memory.n), memory.m);
    }
}

/// Cotangents of h (B, T, H, V) and of the memory after the last step.
#[derive(Clone, Copy)]
pub struct MatrixCotangents<'a> {
    /// h itself.
    pub h: &'a [f32],
    /// Of h.
    pub dh: &'a [f32],
    /// Of C.
    pub dc: &'a [f32],
    /// Of n.
    pub dn: &'a [f32],
    /// Of m.
    pub dm: &'a [f32],
}

/// Where [`mlstm_grad`] puts the cotangents of q, k, v, the gates, C, n and m.
pub type MatrixGrads<'a> = [&'a mut [f32]; 8];

/// The cotangents of all operands.
pub fn mlstm_grad(
    pool: &Pool,
    s: MatrixShape,
    eps: f32,
    given: MatrixGiven<'_>,
    ct: MatrixCotangents<'_>,
    out: MatrixGrads<'_>,
) {
    given.check(s);
    assert!(ct.h.len() == given.v.len() && ct.dh.len() == given.v.len(), "h and dh are (B, T, H, V)");
    assert!(ct.dc.len() == given.c.len() && ct.dn.len() == given.n.len() && ct.dm.len() == given.m.len());
    let sizes = [given.q, given.k, given.v, given.i, given.f, given.c, given.n, given.m].map(<[f32]>::len);
    assert!(out.iter().zip(sizes).all(|(out, size)| out.len() == size), "a cotangent has its operand's size");
    let out = out.map(|part| Split::new(part, 1));
    pool.run(s.tasks(), |task| {
        let head = Head { s, task, given };
        let mut back = Backward::new(head, eps, ct, &out);
        let (chunk, chunks) = (s.chunk(), s.time.div_ceil(s.chunk()));
        let group = if chunks <= ALL { chunks.max(1) } else { chunks.isqrt() + 1 };
        let mut work = Work::new(s);
        let mut forward = |memory: &mut Memory, number: usize| {
            let (start, len) = (number * chunk, chunk.min(s.time - number * chunk));
            work.begin(&head, start, len, memory.m);
            work.advance(&head, start, len, memory);
        };
        let mut begins = vec![head.before()];
        let mut memory = head.before();
        for number in 0..chunks.saturating_sub(1) / group * group {
            forward(&mut memory, number);
            if (number + 1) % group == 0 {
                begins.push(memory.clone());
            }
        }
        while let Some(begin) = begins.pop() {
            let first = begins.len() * group;
            let mut memories = vec![begin];
            for number in first..(first + group).min(chunks).saturating_sub(1) {
                let mut next = memories[memories.len() - 1].clone();
                forward(&mut next, number);
                memories.push(next);
            }
            for (at, memory) in memories.iter().enumerate().rev() {
                let start = (first + at) * chunk;
                if start < s.time {
                    back.chunk(start, chunk.min(s.time - start), memory);
                }
            }
        }
        back.end(&head.before());
    });
}

/// The backward pass of a head.
struct Backward<'a> {
    head: Head<'a>,
    eps: f32,
    ct: MatrixCotangents<'a>,
    out: &'a [Split<'a, f32>; 8],
    work: Work,
    /// Cotangents of the memory after the chunk, at a given stabiliser.
    dc: Vec<f32>,
    dn: Vec<f32>,
    /// That of the stabiliser, where the memory without it is given.
    dm: f32,
    /// Whether the last chunk is done.
    begun: bool,
    dscores: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    dalong: Vec<f32>,
}

impl<'a> Backward<'a> {
    fn new(head: Head<'a>, eps: f32, ct: MatrixCotangents<'a>, out: &'a [Split<'a, f32>; 8]) -> Backward<'a> {
        let (s, task) = (head.s, head.task);
        let l = s.chunk();
        Backward {
            head,
            eps,
            ct,
            out,
            work: Work::new(s),
            dc: ct.dc[task * s.memory()..][..s.memory()].to_vec(),
            dn: ct.dn[task * s.keys..][..s.keys].to_vec(),
            dm: ct.dm[task],
            begun: false,
            dscores: vec![0.0; l * l],
            dq: vec![0.0; l * s.keys],
            dk: vec![0.0; l * s.keys],
            dv: vec![0.0; l * s.values],
            dalong: vec![0.0; l],
        }
    }

    fn chunk(&mut self, start: usize, len: usize, memory: &Memory) {
        let (head, s) = (self.head, self.head.s);
        let (keys, values, scale) = (s.keys, s.values, head.scale());
        let (q, k) = (head.rows(head.given.q, keys, start, len), head.rows(head.given.k, keys, start, len));
        let v = head.rows(head.given.v, values, start, len);
        let w = &mut self.work;
        w.begin(&head, start, len, memory.m);
        w.scores(&head, start, len);
        // Of what the memory is divided by, and of what is divided.
        let mut through = vec![0.0; len];
        for t in 0..len {
            let at = head.at(start + t) * values;
            let (along, floor) = (w.along(&head, t, memory), (-w.gates.m[t]).exp());
            let wide = &mut w.wide[t * values..][..values];
            scaled_by(&self.ct.dh[at..at + values], along.abs().max(floor) + self.eps, wide);
            let dbelow = -dot(&self.ct.h[at..at + values], wide);
            self.dalong[t] = if along.abs() >= floor { dbelow * along.signum() } else { 0.0 };
            through[t] = self.eps * dbelow;
        }
        let dnum = MatRef::row_major(&w.wide[..len * values], len, values);
        let square = len * len;
        // Of S ∘ D; then of S in `dscores`, and of the logarithms of D in `decay`.
        gemm(1.0, dnum, v.t(), 0.0, MatMut::row_major(&mut self.dscores[..square], len, len));
        let ends: Vec<f32> = w.decay[square - len..square].to_vec();
        split(&mut self.dscores[..square], &self.dalong[..len], &mut w.decay[..square], &w.scores[..square]);
        // What goes through the memory before the chunk, and through the one after it.
        let (dq, dk) = (&mut self.dq[..len * keys], &mut self.dk[..len * keys]);
        let before = MatRef::row_major(&memory.c, keys, values);
        gemm(1.0, dnum, before.t(), 0.0, MatMut::row_major(dq, len, keys));
        gemm(1.0, v, MatRef::row_major(&self.dc, keys, values).t(), 0.0, MatMut::row_major(dk, len, keys));
        let (mut from_before, mut to_after) = (vec![0.0; len], vec![0.0; len]);
        for t in 0..len {
            let (dq, dk) = (&mut dq[t * keys..][..keys], &mut dk[t * keys..][..keys]);
            add(&memory.n, self.dalong[t], dq);
            add(&self.dn, 1.0, dk);
            dq.iter_mut().for_each(|x| *x *= scale * w.left[t]);
            dk.iter_mut().for_each(|x| *x *= ends[t]);
            from_before[t] = dot(head.q(start + t), dq);
            to_after[t] = dot(head.k(start + t), dk);
        }
        let keep = w.left[len - 1];
        let across = keep * (dot(&memory.c, &self.dc) + dot(&memory.n, &self.dn));
        let dscores = MatRef::row_major(&self.dscores[..square], len, len);
        gemm(scale, dscores, k, 1.0, MatMut::row_major(dq, len, keys));
        gemm(scale, dscores.t(), q, 1.0, MatMut::row_major(dk, len, keys));
        let dv = &mut self.dv[..len * values];
        let ended = MatRef::row_major(&w.keys[..len * keys], len, keys);
        gemm(1.0, ended, MatRef::row_major(&self.dc, keys, values), 0.0, MatMut::row_major(dv, len, values));
        let scores = MatRef::row_major(&w.scores[..square], len, len);
        gemm(1.0, scores.t(), dnum, 1.0, MatMut::row_major(dv, len, values));
        // The memory's cotangents before the chunk.
        let queries = MatRef::row_major(&w.queries[..len * keys], len, keys);
        gemm(1.0, queries.t(), dnum, keep, MatMut::row_major(&mut self.dc, keys, values));
        self.dn.iter_mut().for_each(|x| *x *= keep);
        for t in 0..len {
            add(&w.queries[t * keys..][..keys], self.dalong[t], &mut self.dn);
        }
        if !self.begun {
            self.begun = true;
            self.dm -= across + to_after.iter().sum::<f32>();
        }
        self.gates(start, len, &from_before, &to_after, across, &through);
        for t in 0..len {
            let at = head.at(start + t);
            // SAFETY: each head has its own rows.
            unsafe {
                self.out[0].part(at * keys, keys).copy_from_slice(&self.dq[t * keys..][..keys]);
                self.out[1].part(at * keys, keys).copy_from_slice(&self.dk[t * keys..][..keys]);
                self.out[2].part(at * values, values).copy_from_slice(&self.dv[t * values..][..values]);
            }
        }
    }

    /// The cotangents of the gates' arguments from those of the logarithms of every decay: `work.decay` (L, L), from the
    /// memory before to step t, from step s to the memory after, from the one to the other.
    fn gates(
        &mut self,
        start: usize,
        len: usize,
        before: &[f32],
        after: &[f32],
        across: f32,
        through: &[f32],
    ) {
        let logs = &self.work.decay;
        let (mut crossing, mut inputs) = (vec![0.0_f32; len], after.to_vec());
        for t in 0..len {
            let mut sum = 0.0;
            for s in 0..=t {
                // What passes the forget gate of step s.
                crossing[s] += sum;
                sum += logs[t * len + s];
                inputs[s] += logs[t * len + s];
            }
        }
        let mut earlier: f32 = after.iter().sum();
        let mut later = 0.0;
        for t in (0..len).rev() {
            later += before[t];
            earlier -= after[t];
            let mut forget = crossing[t] + later + earlier + across;
            let mut input = inputs[t];
            self.dm += through[t];
            if self.work.gates.older[t] {
                forget += self.dm;
            } else {
                input += self.dm;
                self.dm = 0.0;
            }
            let at = self.head.at(start + t);
            let f = self.head.given.f[at];
            // SAFETY: each head has its own steps.
            unsafe {
                self.out[3].part(at, 1)[0] = input;
                self.out[4].part(at, 1)[0] = forget / (1.0 + f.exp());
            }
        }
    }

    /// The cotangents of the memory before the first step.
    fn end(&self, first: &Memory) {
        let (s, task) = (self.head.s, self.head.task);
        let m = self.dm + dot(&self.dc, &first.c) + dot(&self.dn, &first.n);
        // SAFETY: each head has its own memory.
        unsafe {
            self.out[5].part(task * s.memory(), s.memory()).copy_from_slice(&self.dc);
            self.out[6].part(task * s.keys, s.keys).copy_from_slice(&self.dn);
            self.out[7].part(task, 1)[0] = m;
        }
    }
}

multiversion! {
    /// `d` + its row's `along` is the cotangent of S ∘ D = `scores`: `d` becomes that of S, `decay` that of ln D.
    fn split(d: &mut [f32], along: &[f32], decay: &mut [f32], scores: &[f32]) = split_body
}

#[inline(always)]
fn split_body<I: Isa>(d: &mut [f32], along: &[f32], decay: &mut [f32], scores: &[f32]) {
    let len = along.len();
    for (t, along) in along.iter().enumerate() {
        let row = t * len..(t + 1) * len;
        let (d, decay) = (&mut d[row.clone()], &mut decay[row.clone()]);
        for ((d, decay), score) in d.iter_mut().zip(decay).zip(&scores[row]) {
            let of = *d + along;
            *d = of * *decay;
            *decay = of * score;
        }
    }
}
