//! The selective scan of a diagonal state-space model, and its backward form (`graph::ops::selective_scan` has the
//! equations and the source).
//!
//! The states of 16 channels lie side by side, N times: every product of a step is a vertical one, also the sum over the
//! states, and the input and output maps are numbers that all lanes share. Nothing of size T D N is ever in memory. The
//! backward pass starts from the states before every N-th step, which the forward pass has left, computes the N steps
//! between two of them again, and then runs them backwards while they are in the first-level cache. Lost: lanes along
//! the states, which makes a sum across lanes of each y (twice the time at N = 16).
#![allow(unsafe_code)]

use super::super::simd::Base;
#[cfg(target_arch = "x86_64")]
use super::super::simd::{Fused, Level, level};
#[cfg(target_arch = "x86_64")]
use super::steps::Avx512;
use super::steps::{LANES, Lanes, Steps};
use crate::pool::{Pool, Split};

/// Steps between asking for a row and reading it.
const AHEAD: usize = 12;
/// Steps that a task does for one of its blocks after the other: their rows lie on pages that all blocks share, and a page's
/// address is looked up once for all (which took four fifths of the time at 1,536 channels).
const PIECE: usize = 64;
/// Blocks of channels in a task of the backward pass, which share their sums over channels.
const BLOCKS: usize = premap::cut::LANE_BLOCKS;

/// Sizes of a selective scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectiveShape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// D.
    pub channels: usize,
    /// N.
    pub states: usize,
}

impl SelectiveShape {
    fn blocks(self) -> usize {
        self.channels.div_ceil(LANES)
    }
    fn groups(self) -> usize {
        self.blocks().div_ceil(BLOCKS)
    }
    fn rows(self) -> usize {
        self.time + self.states
    }
    /// Scratch of [`selective_scan_grad`], in elements: the parts of da of each sequence and of db and dc of each group.
    pub fn grad_scratch(self) -> usize {
        self.batch * self.channels * self.states + 2 * self.groups() * self.batch * self.time * self.states
    }
}

/// What a scan reads.
#[derive(Clone, Copy)]
pub struct Selective<'a> {
    /// (B, T, D).
    pub x: &'a [f32],
    /// (B, T, D).
    pub dt: &'a [f32],
    /// (D, N).
    pub a: &'a [f32],
    /// (B, T, N).
    pub b: &'a [f32],
    /// (B, T, N).
    pub c: &'a [f32],
}

impl Selective<'_> {
    fn check(&self, s: SelectiveShape) {
        let (wide, maps) = (s.batch * s.time * s.channels, s.batch * s.time * s.states);
        assert!(self.x.len() == wide && self.dt.len() == wide, "x and dt are (B, T, D)");
        assert!(self.b.len() == maps && self.c.len() == maps, "b and c are (B, T, N)");
        assert_eq!(self.a.len(), s.channels * s.states, "a is (D, N)");
    }
}

/// One block of channels of one sequence.
#[derive(Clone, Copy)]
struct Block {
    shape: SelectiveShape,
    sequence: usize,
    channel: usize,
    width: usize,
}

impl Block {
    fn new(shape: SelectiveShape, sequence: usize, block: usize) -> Block {
        let channel = block * LANES;
        Block { shape, sequence, channel, width: LANES.min(shape.channels - channel) }
    }
    /// Place of the block in a step's row.
    fn at(self, t: usize) -> usize {
        (self.sequence * self.shape.time + t) * self.shape.channels + self.channel
    }
    /// Place of a step's maps.
    fn map(self, t: usize) -> usize {
        (self.sequence * self.shape.time + t) * self.shape.states
    }
    /// Place of a row of the borders.
    fn border(self, row: usize) -> usize {
        (self.sequence * self.shape.rows() + row) * self.shape.channels + self.channel
    }
    #[inline(always)]
    fn load(self, from: &[f32], at: usize) -> Lanes {
        let mut lanes = [0.0; LANES];
        if self.width == LANES {
            lanes.copy_from_slice(&from[at..at + LANES]);
        } else {
            lanes[..self.width].copy_from_slice(&from[at..at + self.width]);
        }
        lanes
    }
    /// Asks for the line of the block in row `t` ahead of its use, where there is such a row. A block's rows lie a whole
    /// row of all channels apart, which no prefetcher follows.
    #[inline(always)]
    fn ask(self, from: &[f32], t: usize) {
        #[cfg(target_arch = "x86_64")]
        if t < self.shape.time {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a prefetch reads nothing, and the address lies within the slice.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(self.at(t)).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (from, t);
    }
    /// # Safety
    /// No other task has this part.
    #[inline(always)]
    unsafe fn store(self, to: &Split<'_, f32>, at: usize, lanes: &Lanes) {
        // SAFETY: the caller's.
        unsafe { to.part(at, self.width) }.copy_from_slice(&lanes[..self.width]);
    }
    /// Rows (channel, state) as lanes per state; `rows` begins at the block's first channel.
    fn gather(self, rows: &[f32], out: &mut [Lanes]) {
        let n = self.shape.states;
        #[cfg(target_arch = "x86_64")]
        if n == LANES && self.width == LANES && level() == Level::Avx512 {
            // SAFETY: the level is AVX-512 only where it was found on this machine; both are 16 rows of 16.
            return unsafe { super::steps::transpose(&rows[..LANES * LANES], out.as_flattened_mut()) };
        }
        for (k, lanes) in out.iter_mut().enumerate() {
            *lanes = [0.0; LANES];
            (0..self.width).for_each(|l| lanes[l] = rows[l * n + k]);
        }
    }
    /// The inverse of [`Block::gather`].
    fn scatter(self, lanes: &[Lanes], rows: &mut [f32]) {
        let n = self.shape.states;
        #[cfg(target_arch = "x86_64")]
        if n == LANES && self.width == LANES && level() == Level::Avx512 {
            // SAFETY: as above.
            return unsafe { super::steps::transpose(lanes.as_flattened(), &mut rows[..LANES * LANES]) };
        }
        for (k, lanes) in lanes.iter().enumerate() {
            (0..self.width).for_each(|l| rows[l * n + k] = lanes[l]);
        }
    }
}

/// y and the last state of the scan of `given` from `h0` (B, D, N); `borders` (B, T + N, D) gets the states before every
/// N-th step. Parallel over sequences and blocks of 16 channels.
pub fn selective_scan(
    pool: &Pool,
    shape: SelectiveShape,
    given: Selective<'_>,
    h0: &[f32],
    (y, last, borders): (&mut [f32], &mut [f32], &mut [f32]),
) {
    given.check(shape);
    let state = shape.channels * shape.states;
    assert!(h0.len() == shape.batch * state && last.len() == h0.len(), "states are (B, D, N)");
    assert_eq!(y.len(), given.x.len(), "y is (B, T, D)");
    assert_eq!(borders.len(), shape.batch * shape.rows() * shape.channels, "borders are (B, T + N, D)");
    let each = premap::cut::selective_blocks(shape.batch, shape.channels);
    let tasks = shape.blocks().div_ceil(each);
    let (y, last, borders) = (Split::new(y, 1), Split::new(last, 1), Split::new(borders, 1));
    pool.run(shape.batch * tasks, |task| {
        let (sequence, first) = (task / tasks, task % tasks * each);
        let blocks: Vec<Block> = (first..shape.blocks().min(first + each))
            .map(|block| Block::new(shape, sequence, block))
            .collect();
        let place = |block: &Block| {
            let from = sequence * state + block.channel * shape.states;
            from..from + block.width * shape.states
        };
        let n = shape.states;
        let mut memory = vec![[0.0; LANES]; 2 * n * blocks.len()];
        let (a, h) = memory.split_at_mut(n * blocks.len());
        for (k, block) in blocks.iter().enumerate() {
            block.gather(&given.a[block.channel * n..][..block.width * n], &mut a[k * n..][..n]);
            block.gather(&h0[place(block)], &mut h[k * n..][..n]);
        }
        for start in (0..shape.time.max(1)).step_by(PIECE) {
            let steps = (start, shape.time.min(start + PIECE));
            for (k, block) in blocks.iter().enumerate() {
                forward(*block, steps, given, &a[k * n..][..n], &mut h[k * n..][..n], &y, &borders);
            }
        }
        for (k, block) in blocks.iter().enumerate() {
            let range = place(block);
            // SAFETY: one task for each block of a sequence.
            block.scatter(&h[k * n..][..n], unsafe { last.part(range.start, range.len()) });
        }
    });
}

fn forward(
    block: Block,
    steps: (usize, usize),
    given: Selective<'_>,
    a: &[Lanes],
    h: &mut [Lanes],
    y: &Split<'_, f32>,
    borders: &Split<'_, f32>,
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn wide(
            block: Block,
            steps: (usize, usize),
            given: Selective<'_>,
            a: &[Lanes],
            h: &mut [Lanes],
            y: &Split<'_, f32>,
            borders: &Split<'_, f32>,
        ) {
            forward_body::<Fused>(block, steps, given, a, h, y, borders);
        }
        if level() == Level::Avx512 {
            return forward_body::<Avx512>(block, steps, given, a, h, y, borders);
        }
        if level().has_avx2() {
            // SAFETY: the level has AVX2 only where AVX2 and FMA were found on this machine.
            return unsafe { wide(block, steps, given, a, h, y, borders) };
        }
    }
    forward_body::<Base>(block, steps, given, a, h, y, borders);
}

#[inline(always)]
fn forward_body<I: Steps>(
    block: Block,
    steps: (usize, usize),
    given: Selective<'_>,
    a: &[Lanes],
    h: &mut [Lanes],
    y: &Split<'_, f32>,
    borders: &Split<'_, f32>,
) {
    let SelectiveShape { time, states, .. } = block.shape;
    let filled = time.div_ceil(states.max(1)) * states;
    for t in steps.0..steps.1 {
        if t % states == 0 {
            for (k, lanes) in h.iter().enumerate() {
                // SAFETY: the rows of a block belong to one task.
                unsafe { block.store(borders, block.border(t + k), lanes) };
            }
        }
        [given.dt, given.x].iter().for_each(|from| block.ask(from, t + AHEAD));
        let (dt, x) = (block.load(given.dt, block.at(t)), block.load(given.x, block.at(t)));
        let (b, c) = (&given.b[block.map(t)..][..states], &given.c[block.map(t)..][..states]);
        let sum = I::step([&dt, &x], a, h, [b, c]);
        // SAFETY: as above.
        unsafe { block.store(y, block.at(t), &sum) };
    }
    if steps.1 < time {
        return;
    }
    for row in filled..time + states {
        // SAFETY: as above.
        unsafe { block.store(borders, block.border(row), &[0.0; LANES]) };
    }
}

/// Where [`selective_scan_grad`] puts the cotangents of x, dt, a, b, c and h0.
pub struct SelectiveGrads<'a> {
    /// (B, T, D).
    pub dx: &'a mut [f32],
    /// (B, T, D).
    pub ddt: &'a mut [f32],
    /// (D, N).
    pub da: &'a mut [f32],
    /// (B, T, N).
    pub db: &'a mut [f32],
    /// (B, T, N).
    pub dc: &'a mut [f32],
    /// (B, D, N).
    pub dh0: &'a mut [f32],
}

/// The cotangents of all operands from those of y (B, T, D) and of the last state (B, D, N). Parallel over sequences and
/// groups of 128 channels; sums over channels and sequences are added in an order that the shape fixes. `scratch` holds
/// [`SelectiveShape::grad_scratch`] elements.
pub fn selective_scan_grad(
    pool: &Pool,
    shape: SelectiveShape,
    given: Selective<'_>,
    borders: &[f32],
    (dy, dlast): (&[f32], &[f32]),
    out: SelectiveGrads<'_>,
    scratch: &mut [f32],
) {
    given.check(shape);
    let state = shape.channels * shape.states;
    let maps = shape.batch * shape.time * shape.states;
    assert!(dy.len() == given.x.len() && out.dx.len() == dy.len() && out.ddt.len() == dy.len());
    assert!(dlast.len() == shape.batch * state && out.dh0.len() == dlast.len() && out.da.len() == state);
    assert!(out.db.len() == maps && out.dc.len() == maps);
    assert_eq!(borders.len(), shape.batch * shape.rows() * shape.channels, "borders are (B, T + N, D)");
    let groups = shape.groups();
    let (das, rest) = scratch[..shape.grad_scratch()].split_at_mut(shape.batch * state);
    let (dbs, dcs) = rest.split_at_mut(groups * maps);
    {
        let (dx, ddt, dh0) = (Split::new(out.dx, 1), Split::new(out.ddt, 1), Split::new(out.dh0, 1));
        let (das, dbs, dcs) = (Split::new(das, 1), Split::new(dbs, 1), Split::new(dcs, 1));
        pool.run(shape.batch * groups, |task| {
            let (sequence, group) = (task / groups, task % groups);
            let first = group * BLOCKS;
            let mut work = Work::new(shape, shape.blocks().min(first + BLOCKS) - first);
            for (k, (a, carry)) in work
                .a
                .chunks_exact_mut(shape.states)
                .zip(work.carry.chunks_exact_mut(shape.states))
                .enumerate()
            {
                let block = Block::new(shape, sequence, first + k);
                block.gather(&given.a[block.channel * shape.states..], a);
                block.gather(&dlast[sequence * state + block.channel * shape.states..], carry);
            }
            let part = (group * shape.batch + sequence) * shape.time * shape.states;
            // SAFETY: each task has its own sequence and group.
            let (db, dc) = unsafe {
                (dbs.part(part, shape.time * shape.states), dcs.part(part, shape.time * shape.states))
            };
            let steps = shape.states.max(1);
            for start in (0..shape.time).step_by(steps).rev() {
                let count = steps.min(shape.time - start);
                work.db.fill([0.0; LANES]);
                work.dc.fill([0.0; LANES]);
                for k in 0..work.blocks {
                    let block = Block::new(shape, sequence, first + k);
                    chunk(block, given, borders, dy, (start, count), k, &mut work, &dx, &ddt);
                }
                let rows = start * shape.states..(start + count) * shape.states;
                sum_lanes(&work.db, &mut db[rows.clone()]);
                sum_lanes(&work.dc, &mut dc[rows]);
            }
            for k in 0..work.blocks {
                let block = Block::new(shape, sequence, first + k);
                let (at, len) = (sequence * state + block.channel * shape.states, block.width * shape.states);
                let lanes = k * shape.states..(k + 1) * shape.states;
                // SAFETY: as above.
                unsafe {
                    block.scatter(&work.carry[lanes.clone()], dh0.part(at, len));
                    block.scatter(&work.da[lanes], das.part(at, len));
                }
            }
        });
    }
    add_parts(das, out.da);
    add_parts(dbs, out.db);
    add_parts(dcs, out.dc);
}

/// The sum of equal parts that lie one after the other.
fn add_parts(parts: &[f32], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let mut parts = parts.chunks_exact(out.len());
    out.copy_from_slice(parts.next().unwrap_or(&[]));
    parts.for_each(|part| out.iter_mut().zip(part).for_each(|(sum, p)| *sum += p));
}

/// Each vector's lanes added, halves first.
fn sum_lanes(lanes: &[Lanes], out: &mut [f32]) {
    for (out, lanes) in out.iter_mut().zip(lanes) {
        let mut sums = *lanes;
        let mut half = LANES / 2;
        while half > 0 {
            (0..half).for_each(|l| sums[l] += sums[l + half]);
            half /= 2;
        }
        *out = sums[0];
    }
}

/// Memory of one task of the backward pass.
struct Work {
    blocks: usize,
    /// a, da and the states' cotangents of each block.
    a: Vec<Lanes>,
    da: Vec<Lanes>,
    carry: Vec<Lanes>,
    /// exp(dt a) and the states of a chunk; the states begin with those before the chunk.
    gates: Vec<Lanes>,
    h: Vec<Lanes>,
    /// Sums over the blocks.
    db: Vec<Lanes>,
    dc: Vec<Lanes>,
}

impl Work {
    fn new(shape: SelectiveShape, blocks: usize) -> Work {
        let (n, zero) = (shape.states, [0.0; LANES]);
        Work {
            blocks,
            a: vec![zero; blocks * n],
            da: vec![zero; blocks * n],
            carry: vec![zero; blocks * n],
            gates: vec![zero; n * n],
            h: vec![zero; (n + 1) * n],
            db: vec![zero; n * n],
            dc: vec![zero; n * n],
        }
    }
}

fn chunk(
    block: Block,
    given: Selective<'_>,
    borders: &[f32],
    dy: &[f32],
    range: (usize, usize),
    index: usize,
    work: &mut Work,
    dx: &Split<'_, f32>,
    ddt: &Split<'_, f32>,
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn wide(
            block: Block,
            given: Selective<'_>,
            borders: &[f32],
            dy: &[f32],
            range: (usize, usize),
            index: usize,
            work: &mut Work,
            dx: &Split<'_, f32>,
            ddt: &Split<'_, f32>,
        ) {
            chunk_body::<Fused>(block, given, borders, dy, range, index, work, dx, ddt);
        }
        if level() == Level::Avx512 {
            return chunk_body::<Avx512>(block, given, borders, dy, range, index, work, dx, ddt);
        }
        if level().has_avx2() {
            // SAFETY: the level has AVX2 only where AVX2 and FMA were found on this machine.
            return unsafe { wide(block, given, borders, dy, range, index, work, dx, ddt) };
        }
    }
    chunk_body::<Base>(block, given, borders, dy, range, index, work, dx, ddt);
}

/// The steps from `start` on, forwards and then backwards, for the block that is number `index` of its group.
#[inline(always)]
fn chunk_body<I: Steps>(
    block: Block,
    given: Selective<'_>,
    borders: &[f32],
    dy: &[f32],
    (start, count): (usize, usize),
    index: usize,
    work: &mut Work,
    dx: &Split<'_, f32>,
    ddt: &Split<'_, f32>,
) {
    let n = block.shape.states;
    let own = index * n..(index + 1) * n;
    let (a, da, carry) = (&work.a[own.clone()], &mut work.da[own.clone()], &mut work.carry[own]);
    for (k, h) in work.h[..n].iter_mut().enumerate() {
        *h = block.load(borders, block.border(start + k));
    }
    for step in 0..count {
        let t = start + step;
        // The chunk before this one is the next to come.
        [given.dt, given.x, dy].iter().for_each(|from| block.ask(from, t.wrapping_sub(n)));
        let (dt, x) = (block.load(given.dt, block.at(t)), block.load(given.x, block.at(t)));
        let b = &given.b[block.map(t)..][..n];
        let (before, after) = work.h[step * n..(step + 2) * n].split_at_mut(n);
        I::again([&dt, &x], a, b, before, [&mut work.gates[step * n..(step + 1) * n], after]);
    }
    for step in (0..count).rev() {
        let t = start + step;
        let at = block.at(t);
        let (dt, x, dy) = (block.load(given.dt, at), block.load(given.x, at), block.load(dy, at));
        let maps = [&given.b[block.map(t)..][..n], &given.c[block.map(t)..][..n]];
        let (before, after) = work.h[step * n..(step + 2) * n].split_at(n);
        let gates = &work.gates[step * n..(step + 1) * n];
        let (db, dc) = (&mut work.db[step * n..(step + 1) * n], &mut work.dc[step * n..(step + 1) * n]);
        let [of_x, of_dt] =
            I::back([&dt, &x, &dy], maps, [a, before, after, gates], [&mut *da, &mut *carry, db, dc]);
        // SAFETY: the rows of a block belong to one task.
        unsafe {
            block.store(dx, at, &of_x);
            block.store(ddt, at, &of_dt);
        }
    }
}
