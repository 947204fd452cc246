//! The scalar memory of xLSTM, step by step, and its backward form (`graph::ops::slstm` has the equations and the source).
//!
//! What h_{t-1} adds to the gates is a product of a matrix of the head with a vector, and stands between the steps: tasks are
//! the heads of all sequences, and each goes through time alone with its matrix in the second-level cache. The backward pass
//! knows h, so the gates' arguments of all steps are one product of matrices; c, n and m are computed again from them, in
//! order; then one product with a vector a step goes back, and the cotangent of the matrix is one product over all steps.
#![allow(unsafe_code)]

use super::super::gemm::{MatMut, MatRef, gemm};
use super::super::math;
use super::super::simd::{Isa, multiversion};
use crate::pool::{Pool, Split};

/// Sizes of a scalar memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalarShape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// H.
    pub heads: usize,
    /// D, channels of a head.
    pub width: usize,
}

impl ScalarShape {
    fn tasks(self) -> usize {
        self.batch * self.heads
    }
    fn kernel(self) -> usize {
        4 * self.width * self.width
    }
    /// Scratch of [`slstm_grad`], in elements: the parts of dR of each sequence.
    pub fn grad_scratch(self) -> usize {
        self.tasks() * self.kernel()
    }
    /// Place of a gate's row in x.
    fn x(self, task: usize, t: usize, gate: usize) -> usize {
        (((task / self.heads * self.time + t) * 4 + gate) * self.heads + task % self.heads) * self.width
    }
    /// Place of a row of h.
    fn h(self, task: usize, t: usize) -> usize {
        ((task / self.heads * self.time + t) * self.heads + task % self.heads) * self.width
    }
}

/// What a scalar memory reads.
#[derive(Clone, Copy)]
pub struct ScalarGiven<'a> {
    /// (B, T, 4, H, D).
    pub x: &'a [f32],
    /// R (H, 4, D, D): gate, to, from.
    pub r: &'a [f32],
    /// (B, H, D).
    pub c: &'a [f32],
    /// (B, H, D).
    pub n: &'a [f32],
    /// (B, H, D).
    pub h: &'a [f32],
    /// (B, H, D).
    pub m: &'a [f32],
}

impl ScalarGiven<'_> {
    fn check(&self, s: ScalarShape) {
        let state = s.tasks() * s.width;
        assert_eq!(self.x.len(), 4 * s.time * state, "x is (B, T, 4, H, D)");
        assert_eq!(self.r.len(), s.heads * s.kernel(), "R is (H, 4, D, D)");
        let states = [self.c, self.n, self.h, self.m];
        assert!(states.iter().all(|v| v.len() == state), "states are (B, H, D)");
    }
}

multiversion! {
    /// `to` += Σ_k x_k row k of `rows`.
    fn mix(x: &[f32], rows: &[f32], to: &mut [f32]) = mix_body
}

#[inline(always)]
fn mix_body<I: Isa>(x: &[f32], rows: &[f32], to: &mut [f32]) {
    for (x, row) in x.iter().zip(rows.chunks_exact(to.len().max(1))) {
        to.iter_mut().zip(row).for_each(|(to, r)| *to = I::fma(*x, *r, *to));
    }
}

/// What a channel computes on the way: a, forget, input, tanh z, σ(o).
#[inline(always)]
fn channel<I: Isa>([i, f, z, o]: [f32; 4], n: f32, m: f32) -> ([f32; 5], f32) {
    let a = m - math::softplus::<I>(-f);
    let larger = if i >= a { i } else { a };
    let next = if n == 0.0 { i } else { larger };
    let gap = a - next;
    let forget = math::exp::<I>(if gap > 0.0 { 0.0 } else { gap });
    ([a, forget, math::exp::<I>(i - next), math::tanh::<I>(z), math::sigmoid::<I>(o)], next)
}

multiversion! {
    /// A step of all channels of a head: `state` is c, n, m (3, D).
    fn cell(raw: &[f32], state: &mut [f32], h: &mut [f32]) = cell_body
}

#[inline(always)]
fn cell_body<I: Isa>(raw: &[f32], state: &mut [f32], h: &mut [f32]) {
    let d = h.len();
    let (i, f, z, o) = (&raw[..d], &raw[d..2 * d], &raw[2 * d..3 * d], &raw[3 * d..4 * d]);
    let (c, rest) = state.split_at_mut(d);
    let (n, m) = rest.split_at_mut(d);
    let (n, m) = (&mut n[..d], &mut m[..d]);
    for j in 0..d {
        let ([_, forget, input, z, o], next) = channel::<I>([i[j], f[j], z[j], o[j]], n[j], m[j]);
        c[j] = forget * c[j] + input * z;
        n[j] = forget * n[j] + input;
        m[j] = next;
        h[j] = o * c[j] / n[j];
    }
}

/// h (B, T, H, D) and c, n, m (B, H, D) of the memory of `given`.
pub fn slstm(
    pool: &Pool,
    s: ScalarShape,
    given: ScalarGiven<'_>,
    (h, c, n, m): (&mut [f32], &mut [f32], &mut [f32], &mut [f32]),
) {
    given.check(s);
    let d = s.width;
    assert_eq!(h.len(), s.tasks() * s.time * d, "h is (B, T, H, D)");
    let (h, c, n, m) = (Split::new(h, 1), Split::new(c, 1), Split::new(n, 1), Split::new(m, 1));
    pool.run(s.tasks(), |task| {
        let turned = turned(&given.r[task % s.heads * s.kernel()..][..s.kernel()], 4 * d, d);
        let row = task * d..(task + 1) * d;
        let mut state = [&given.c[row.clone()], &given.n[row.clone()], &given.m[row.clone()]].concat();
        let mut before = given.h[row].to_vec();
        let mut raw = vec![0.0; 4 * d];
        for t in 0..s.time {
            for gate in 0..4 {
                raw[gate * d..][..d].copy_from_slice(&given.x[s.x(task, t, gate)..][..d]);
            }
            mix(&before, &turned, &mut raw);
            cell(&raw, &mut state, &mut before);
            // SAFETY: each head has its own rows.
            unsafe { h.part(s.h(task, t), d) }.copy_from_slice(&before);
        }
        for (to, from) in [&c, &n, &m].iter().zip(state.chunks_exact(d.max(1))) {
            // SAFETY: as above.
            unsafe { to.part(task * d, d) }.copy_from_slice(from);
        }
    });
}

/// A matrix with rows and columns exchanged.
fn turned(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for i in 0..rows {
        for j in 0..columns {
            out[j * rows + i] = x[i * columns + j];
        }
    }
    out
}

/// Cotangents of h (B, T, H, D) and of the memory after the last step (B, H, D).
#[derive(Clone, Copy)]
pub struct ScalarCotangents<'a> {
    /// h itself.
    pub h: &'a [f32],
    /// Of h.
    pub dh: &'a [f32],
    /// Of c.
    pub dc: &'a [f32],
    /// Of n.
    pub dn: &'a [f32],
    /// Of m.
    pub dm: &'a [f32],
}

multiversion! {
    /// A step back: `raw` becomes its cotangent, `ct` (of c, n, m) that before the step; `old` and `new` are c, n, m.
    fn back(raw: &mut [f32], old: &[f32], new: &[f32], y: &[f32], dh: &[f32], ct: &mut [f32]) = back_body
}

#[inline(always)]
fn back_body<I: Isa>(raw: &mut [f32], old: &[f32], new: &[f32], y: &[f32], dh: &[f32], ct: &mut [f32]) {
    let d = y.len();
    for j in 0..d {
        let (c, n, m) = (old[j], old[d + j], old[2 * d + j]);
        let args = [raw[j], raw[d + j], raw[2 * d + j], raw[3 * d + j]];
        let ([a, forget, input, z, o], next) = channel::<I>(args, n, m);
        let share = dh[j] / new[d + j];
        let dc = ct[j] + o * share;
        let dn = ct[d + j] - y[j] * share;
        let slope = (dc * c + dn * n) * forget;
        let mut da = if a <= next { slope } else { 0.0 };
        let mut di = (dc * z + dn) * input;
        let dm = ct[2 * d + j] - da - di;
        if n == 0.0 || args[0] >= a {
            di += dm
        } else {
            da += dm
        }
        ct[j] = dc * forget;
        ct[d + j] = dn * forget;
        ct[2 * d + j] = da;
        raw[j] = di;
        raw[d + j] = da * math::sigmoid::<I>(-args[1]);
        raw[2 * d + j] = dc * input * (1.0 - z * z);
        raw[3 * d + j] = share * new[j] * o * (1.0 - o);
    }
}

/// The cotangents of x, R, c, n, h and m. Sums over sequences are added in their order. `scratch` holds
/// [`ScalarShape::grad_scratch`] elements.
pub fn slstm_grad(
    pool: &Pool,
    s: ScalarShape,
    given: ScalarGiven<'_>,
    ct: ScalarCotangents<'_>,
    out: [&mut [f32]; 6],
    scratch: &mut [f32],
) {
    given.check(s);
    let (d, state) = (s.width, s.tasks() * s.width);
    assert!(ct.h.len() == s.time * state && ct.dh.len() == ct.h.len(), "h and dh are (B, T, H, D)");
    let [dx, dr, dc, dn, dh, dm] = out;
    let parts = &mut scratch[..s.grad_scratch()];
    {
        let dx = Split::new(dx, 1);
        let states = [dc, dn, dm, dh].map(|part| Split::new(part, 1));
        let parts = Split::new(parts, 1);
        pool.run(s.tasks(), |task| {
            let r = &given.r[task % s.heads * s.kernel()..][..s.kernel()];
            let row = task * d..(task + 1) * d;
            let mut raw = vec![0.0; s.time * 4 * d];
            for t in 0..s.time {
                for gate in 0..4 {
                    let from = &given.x[s.x(task, t, gate)..][..d];
                    raw[(t * 4 + gate) * d..][..d].copy_from_slice(from);
                }
            }
            let later = s.time.saturating_sub(1);
            let matrix = MatRef::row_major(r, 4 * d, d);
            let first = MatRef::row_major(&given.h[row.clone()], 1, d);
            // Before step 1 and after: rows 0 … T − 2 of h.
            let before = || MatRef::with_strides(&ct.h[s.h(task, 0)..], later, d, s.heads * d, 1);
            let split = (4 * d).min(raw.len());
            {
                let (one, rest) = raw.split_at_mut(split);
                if s.time > 0 {
                    gemm(1.0, first, matrix.t(), 1.0, MatMut::row_major(one, 1, 4 * d));
                }
                if later > 0 {
                    gemm(1.0, before(), matrix.t(), 1.0, MatMut::row_major(rest, later, 4 * d));
                }
            }
            // c, n, m before each step and after the last.
            let mut cells = vec![0.0; (s.time + 1) * 3 * d];
            let mut state = [&given.c[row.clone()], &given.n[row.clone()], &given.m[row.clone()]].concat();
            let mut unused = vec![0.0; d];
            cells[..3 * d].copy_from_slice(&state);
            for t in 0..s.time {
                cell(&raw[t * 4 * d..][..4 * d], &mut state, &mut unused);
                cells[(t + 1) * 3 * d..][..3 * d].copy_from_slice(&state);
            }
            let mut memory = [&ct.dc[row.clone()], &ct.dn[row.clone()], &ct.dm[row.clone()]].concat();
            let mut mixed = vec![0.0; d];
            for t in (0..s.time).rev() {
                let place = s.h(task, t);
                mixed.iter_mut().zip(&ct.dh[place..]).for_each(|(x, dh)| *x += dh);
                let (old, new) = cells[t * 3 * d..][..6 * d].split_at(3 * d);
                let raw = &mut raw[t * 4 * d..][..4 * d];
                back(raw, old, new, &ct.h[place..place + d], &mixed, &mut memory);
                mixed.fill(0.0);
                mix(raw, r, &mut mixed);
                for gate in 0..4 {
                    // SAFETY: each head has its own rows.
                    unsafe { dx.part(s.x(task, t, gate), d) }.copy_from_slice(&raw[gate * d..][..d]);
                }
            }
            // SAFETY: each task has its own part.
            let part = unsafe { parts.part(task * s.kernel(), s.kernel()) };
            part.fill(0.0);
            let (one, rest) = raw.split_at(split);
            if s.time > 0 {
                gemm(
                    1.0,
                    MatRef::row_major(one, 1, 4 * d).t(),
                    first,
                    0.0,
                    MatMut::row_major(part, 4 * d, d),
                );
            }
            if later > 0 {
                let rest = MatRef::row_major(rest, later, 4 * d);
                gemm(1.0, rest.t(), before(), 1.0, MatMut::row_major(part, 4 * d, d));
            }
            memory.extend(mixed);
            for (to, from) in states.iter().zip(memory.chunks_exact(d.max(1))) {
                // SAFETY: each head has its own state.
                unsafe { to.part(task * d, d) }.copy_from_slice(from);
            }
        });
    }
    let (heads, kernel) = (s.heads, s.kernel());
    dr.fill(0.0);
    for part in parts.chunks_exact((heads * kernel).max(1)) {
        dr.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
}
