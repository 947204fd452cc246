//! The state-space dual form and its backward form (`graph::ops::ssd` has the equations and the source).
//!
//! A task is a head of a sequence. Its states (P, N) are in the first-level cache and a step passes over them once: decay,
//! outer product and output are three fused multiply-adds an element, about as many as the products of the chunk form take
//! (which are more for few states or short chunks), without anything of the size of a chunk squared. The backward pass keeps
//! the states at every ⌈√T⌉-th step, computes those between again, and runs backwards.
#![allow(unsafe_code)]

use super::super::simd::{Isa, multiversion};
use crate::pool::{Pool, Split};

const LANES: usize = 16;

/// Sizes of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SsdShape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// H.
    pub heads: usize,
    /// P.
    pub width: usize,
    /// G, a divisor of H.
    pub groups: usize,
    /// N.
    pub states: usize,
}

impl SsdShape {
    fn state(self) -> usize {
        self.width * self.states
    }
    /// Steps between two states that the backward pass keeps.
    fn chunk(self) -> usize {
        (1..).find(|n| n * n >= self.time).unwrap_or(1)
    }
    fn maps(self) -> usize {
        self.batch * self.heads * self.time * self.states
    }
    /// Scratch of [`ssd_grad`], in elements: the parts of db and dc of each head, of da of each sequence.
    pub fn grad_scratch(self) -> usize {
        2 * self.maps() + self.batch * self.heads
    }
}

/// What a scan reads.
#[derive(Clone, Copy)]
pub struct SsdGiven<'a> {
    /// (B, T, H, P).
    pub x: &'a [f32],
    /// (B, T, H).
    pub dt: &'a [f32],
    /// (H).
    pub a: &'a [f32],
    /// (B, T, G, N).
    pub b: &'a [f32],
    /// (B, T, G, N).
    pub c: &'a [f32],
    /// (B, H, P, N).
    pub h0: &'a [f32],
}

impl SsdGiven<'_> {
    fn check(&self, s: SsdShape) {
        let steps = s.batch * s.time;
        assert!(s.groups > 0 && s.heads.is_multiple_of(s.groups), "groups divide heads");
        assert!(self.x.len() == steps * s.heads * s.width && self.dt.len() == steps * s.heads);
        assert!(self.a.len() == s.heads && self.h0.len() == s.batch * s.heads * s.state());
        assert!(self.b.len() == steps * s.groups * s.states && self.c.len() == self.b.len());
    }
}

/// A head of a sequence.
#[derive(Clone, Copy)]
struct Head {
    shape: SsdShape,
    sequence: usize,
    head: usize,
}

impl Head {
    fn new(shape: SsdShape, task: usize) -> Head {
        Head { shape, sequence: task / shape.heads, head: task % shape.heads }
    }
    /// Place of a step in dt; times P that in x.
    fn step(self, t: usize) -> usize {
        (self.sequence * self.shape.time + t) * self.shape.heads + self.head
    }
    fn map(self, t: usize) -> usize {
        let group = self.head * self.shape.groups / self.shape.heads;
        ((self.sequence * self.shape.time + t) * self.shape.groups + group) * self.shape.states
    }
    /// x, b and c of a step, dt, and the decay.
    fn at(self, given: SsdGiven<'_>, t: usize) -> ([&[f32]; 3], f32, f32) {
        let (n, p, step) = (self.shape.states, self.shape.width, self.step(t));
        let dt = given.dt[step];
        let map = self.map(t);
        let rows = [&given.x[step * p..][..p], &given.b[map..][..n], &given.c[map..][..n]];
        (rows, dt, (dt * given.a[self.head]).exp())
    }
}

/// Halves added until one is left.
#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        (0..half).for_each(|l| lanes[l] += lanes[l + half]);
        half /= 2;
    }
    lanes[0]
}

/// h = gate h + drive b; the sum of c h.
#[inline(always)]
fn advance<I: Isa>(h: &mut [f32], b: &[f32], c: &[f32], gate: f32, drive: f32) -> f32 {
    let mut sums = [0.0; LANES];
    let mut each = |h: &mut [f32], b: &[f32], c: &[f32]| {
        for (((h, b), c), sum) in h.iter_mut().zip(b).zip(c).zip(&mut sums) {
            *h = I::fma(gate, *h, drive * *b);
            *sum = I::fma(*c, *h, *sum);
        }
    };
    let (mut hs, mut bs, mut cs) = (h.chunks_exact_mut(LANES), b.chunks_exact(LANES), c.chunks_exact(LANES));
    for ((h, b), c) in (&mut hs).zip(&mut bs).zip(&mut cs) {
        each(h, b, c);
    }
    each(hs.into_remainder(), bs.remainder(), cs.remainder());
    total(sums)
}

/// y (B, T, H, P) and the state after the last step (B, H, P, N). Parallel over sequences and heads.
pub fn ssd(pool: &Pool, shape: SsdShape, given: SsdGiven<'_>, y: &mut [f32], last: &mut [f32]) {
    given.check(shape);
    assert!(y.len() == given.x.len() && last.len() == given.h0.len());
    let (y, last) = (Split::new(y, 1), Split::new(last, 1));
    pool.run(shape.batch * shape.heads, |task| {
        // SAFETY: a task for each head of a sequence, whose states lie side by side.
        let h = unsafe { last.part(task * shape.state(), shape.state()) };
        h.copy_from_slice(&given.h0[task * shape.state()..][..shape.state()]);
        forward(Head::new(shape, task), given, h, &y);
    });
}

multiversion! {
    fn forward(head: Head, given: SsdGiven<'_>, h: &mut [f32], y: &Split<'_, f32>) = forward_body
}

#[inline(always)]
fn forward_body<I: Isa>(head: Head, given: SsdGiven<'_>, h: &mut [f32], y: &Split<'_, f32>) {
    let (p, n) = (head.shape.width, head.shape.states);
    for t in 0..head.shape.time {
        let ([x, b, c], dt, gate) = head.at(given, t);
        // SAFETY: the rows of a head belong to one task.
        let y = unsafe { y.part(head.step(t) * p, p) };
        for ((y, x), h) in y.iter_mut().zip(x).zip(h.chunks_exact_mut(n)) {
            *y = advance::<I>(h, b, c, gate, dt * x);
        }
    }
}

/// Where [`ssd_grad`] puts the cotangents of the operands, which have their sizes.
pub struct SsdGrads<'a> {
    /// Of x.
    pub dx: &'a mut [f32],
    /// Of dt.
    pub ddt: &'a mut [f32],
    /// Of a.
    pub da: &'a mut [f32],
    /// Of b.
    pub db: &'a mut [f32],
    /// Of c.
    pub dc: &'a mut [f32],
    /// Of h0.
    pub dh0: &'a mut [f32],
}

/// The cotangents of all operands from those of y and of the last state. Parallel over sequences and heads; sums over heads
/// are added in their order. `scratch` holds [`SsdShape::grad_scratch`] elements.
pub fn ssd_grad(
    pool: &Pool,
    shape: SsdShape,
    given: SsdGiven<'_>,
    (dy, dlast): (&[f32], &[f32]),
    out: SsdGrads<'_>,
    scratch: &mut [f32],
) {
    given.check(shape);
    assert!(dy.len() == given.x.len() && out.dx.len() == dy.len() && out.ddt.len() == given.dt.len());
    assert!(dlast.len() == given.h0.len() && out.dh0.len() == dlast.len() && out.da.len() == shape.heads);
    assert!(out.db.len() == given.b.len() && out.dc.len() == given.c.len());
    let (das, rest) = scratch[..shape.grad_scratch()].split_at_mut(shape.batch * shape.heads);
    let (dbs, dcs) = rest.split_at_mut(shape.maps());
    let each = shape.time * shape.states;
    {
        let (dx, ddt, dh0) = (Split::new(out.dx, 1), Split::new(out.ddt, 1), Split::new(out.dh0, 1));
        let (das, dbs, dcs) = (Split::new(das, 1), Split::new(dbs, 1), Split::new(dcs, 1));
        pool.run(shape.batch * shape.heads, |task| {
            let (head, size) = (Head::new(shape, task), shape.state());
            // SAFETY: a task for each head of a sequence.
            let (carry, da, db, dc) = unsafe {
                (
                    dh0.part(task * size, size),
                    das.part(task, 1),
                    dbs.part(task * each, each),
                    dcs.part(task * each, each),
                )
            };
            carry.copy_from_slice(&dlast[task * size..][..size]);
            da[0] = 0.0;
            db.fill(0.0);
            dc.fill(0.0);
            backward(head, given, dy, carry, &mut da[0], db, dc, &dx, &ddt);
        });
    }
    out.da.fill(0.0);
    das.chunks(shape.heads.max(1)).for_each(|part| out.da.iter_mut().zip(part).for_each(|(a, b)| *a += b));
    let (of_group, n) = (shape.heads / shape.groups, shape.states);
    for (from, to) in [(dbs, out.db), (dcs, out.dc)] {
        pool.chunks(to, n.max(1), |row, to| {
            let (step, group) = (row / shape.groups, row % shape.groups);
            let (s, t) = (step / shape.time, step % shape.time);
            to.fill(0.0);
            for head in group * of_group..(group + 1) * of_group {
                let part = &from[((s * shape.heads + head) * shape.time + t) * n..][..n];
                to.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        });
    }
}

multiversion! {
    fn backward(
        head: Head,
        given: SsdGiven<'_>,
        dy: &[f32],
        carry: &mut [f32],
        da: &mut f32,
        db: &mut [f32],
        dc: &mut [f32],
        dx: &Split<'_, f32>,
        ddt: &Split<'_, f32>,
    ) = backward_body
}

#[inline(always)]
fn backward_body<I: Isa>(
    head: Head,
    given: SsdGiven<'_>,
    dy: &[f32],
    carry: &mut [f32],
    da: &mut f32,
    db: &mut [f32],
    dc: &mut [f32],
    dx: &Split<'_, f32>,
    ddt: &Split<'_, f32>,
) {
    let SsdShape { time, width: p, states: n, .. } = head.shape;
    let (size, chunk) = (head.shape.state(), head.shape.chunk());
    let a = given.a[head.head];
    let first = (head.sequence * head.shape.heads + head.head) * size;
    // The states before every chunk, and before each step of one.
    let mut borders = vec![0.0; time.div_ceil(chunk) * size];
    let mut inner = vec![0.0; (chunk + 1) * size];
    let mut h = given.h0[first..][..size].to_vec();
    for t in 0..time {
        if t % chunk == 0 {
            borders[t / chunk * size..][..size].copy_from_slice(&h);
        }
        let ([x, b, c], dt, gate) = head.at(given, t);
        for (x, h) in x.iter().zip(h.chunks_exact_mut(n)) {
            advance::<I>(h, b, c, gate, dt * x);
        }
    }
    for start in (0..time).step_by(chunk).rev() {
        let count = chunk.min(time - start);
        inner[..size].copy_from_slice(&borders[start / chunk * size..][..size]);
        for step in 0..count {
            let ([x, b, c], dt, gate) = head.at(given, start + step);
            let (before, after) = inner[step * size..(step + 2) * size].split_at_mut(size);
            after.copy_from_slice(before);
            for (x, h) in x.iter().zip(after.chunks_exact_mut(n)) {
                advance::<I>(h, b, c, gate, dt * x);
            }
        }
        for step in (0..count).rev() {
            let t = start + step;
            let ([x, b, c], dt, gate) = head.at(given, t);
            let at = head.step(t);
            // SAFETY: the rows of a head belong to one task.
            let (dx, ddt) = unsafe { (dx.part(at * p, p), ddt.part(at, 1)) };
            let (db, dc) = (&mut db[t * n..][..n], &mut dc[t * n..][..n]);
            let (before, after) = inner[step * size..(step + 2) * size].split_at(size);
            let (mut of_dt, mut exponent) = (0.0, 0.0);
            for (k, x) in x.iter().enumerate() {
                let row = k * n..(k + 1) * n;
                let rows = [&before[row.clone()], &after[row.clone()], b, c];
                let [into, e] = reverse::<I>(rows, &mut carry[row], db, dc, [dy[at * p + k], dt * x, gate]);
                dx[k] = into * dt;
                of_dt += into * x;
                exponent += e;
            }
            ddt[0] = of_dt + exponent * a;
            *da += exponent * dt;
        }
    }
}

/// One row of states backwards: adds to db and dc, replaces the cotangent g by that before the step, and gives Σ g b and
/// Σ gate g h.
#[inline(always)]
fn reverse<I: Isa>(
    [before, after, b, c]: [&[f32]; 4],
    carry: &mut [f32],
    db: &mut [f32],
    dc: &mut [f32],
    [dy, drive, gate]: [f32; 3],
) -> [f32; 2] {
    let (mut into, mut exponent) = ([0.0; LANES], [0.0; LANES]);
    let n = carry.len();
    let (before, after, b, c) = (&before[..n], &after[..n], &b[..n], &c[..n]);
    let (db, dc) = (&mut db[..n], &mut dc[..n]);
    let mut from = 0;
    while from < n {
        let len = LANES.min(n - from);
        for l in 0..len {
            let k = from + l;
            let g = I::fma(c[k], dy, carry[k]);
            dc[k] = I::fma(dy, after[k], dc[k]);
            db[k] = I::fma(g, drive, db[k]);
            into[l] = I::fma(g, b[k], into[l]);
            let carried = g * gate;
            exponent[l] = I::fma(carried, before[k], exponent[l]);
            carry[k] = carried;
        }
        from += len;
    }
    [total(into), total(exponent)]
}
