//! Attention over a cache of keys and values, and the rotation of heads by their positions.
//!
//! Keys are read in blocks of [`BLOCK`] places with a running maximum (Milakov and Gimelshein 2018, "Online normalizer
//! calculation for softmax"; Dao et al. 2022, "FlashAttention"), so a query needs no memory that grows with the text. The
//! blocks lie at fixed places, and a query's sums run over its own places in their order: neither the number of threads
//! nor the cut of a text into chunks changes a bit.
//!
//! Rejected: scores of the whole text at once with a softmax over them (scratch of T × S per head, and no faster); one
//! task per group of heads, which reads a key once for all of them (five tasks do not divide among two threads, and the
//! keys of a group stay in the second-level cache anyway).
#![allow(unsafe_code)]

use super::math;
use super::rows::ROWS_PER_TASK;
use super::simd::{Isa, multiversion};
use crate::pool::{Pool, Split};

/// Places whose scores are held at once.
pub const BLOCK: usize = 64;
/// Partial sums of a product: one AVX-512 vector.
const LANES: usize = 16;
/// Queries of a task.
const QUERIES: usize = premap::cut::QUERIES;
/// Queries that share a read of a key.
const TILE: usize = 4;

/// Sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Sequences, B.
    pub batch: usize,
    /// New tokens, T.
    pub time: usize,
    /// Heads of queries, H.
    pub heads: usize,
    /// Heads of keys and values, G; H is a multiple.
    pub groups: usize,
    /// Width of a head, D.
    pub width: usize,
    /// Places of the cache, S.
    pub places: usize,
}

/// Caches of keys and values, each (B, S, G, D).
#[derive(Debug)]
pub enum Caches<'a> {
    /// As they are.
    F32([&'a mut [f32]; 2]),
    /// In i8 with a scale for each row of D: rows, then scales (B, S, G).
    I8([&'a mut [i8]; 2], [&'a mut [f32]; 2]),
}

/// Writes new keys and values (B, T, G, D) to places `first` … `first + T − 1` of the caches, and attends with the queries
/// (B, T, H, D) causally over places 0 … `first + t`: `out` (B, T, H, D) = Σ softmax(scale · q · key) value.
pub fn kv_attention(
    pool: &Pool,
    shape: AttentionShape,
    q: &[f32],
    new: [&[f32]; 2],
    caches: &mut Caches<'_>,
    first: usize,
    scale: f32,
    out: &mut [f32],
) {
    let AttentionShape { batch, time, heads, groups, width, places } = shape;
    assert!(first + time <= places, "{time} tokens at {first} do not fit {places} places");
    assert_eq!((q.len(), out.len()), (batch * time * heads * width, batch * time * heads * width));
    if q.is_empty() {
        return;
    }
    match caches {
        Caches::F32(rows) => {
            for (cache, new) in rows.iter_mut().zip(new) {
                for (b, new) in new.chunks_exact(time * groups * width).enumerate() {
                    cache[(b * places + first) * groups * width..][..new.len()].copy_from_slice(new);
                }
            }
            let [keys, values] = rows;
            let view = |cache| Rows { data: cache, scales: &[] };
            attend(pool, shape, q, first, scale, [view(keys), view(values)], out, f32_task);
        }
        Caches::I8(rows, scales) => {
            for ((cache, scales), new) in rows.iter_mut().zip(scales.iter_mut()).zip(new) {
                for (r, x) in new.chunks_exact(width).enumerate() {
                    let (b, t, g) = (r / groups / time, r / groups % time, r % groups);
                    let row = (b * places + first + t) * groups + g;
                    scales[row] = quantize(x, &mut cache[row * width..][..width]);
                }
            }
            let ([keys, values], [ks, vs]) = (rows, scales);
            let view = [Rows { data: keys, scales: ks }, Rows { data: values, scales: vs }];
            attend(pool, shape, q, first, scale, view, out, i8_task);
        }
    }
}

/// One row in i8; returns its scale.
fn quantize(x: &[f32], q: &mut [i8]) -> f32 {
    let scale = x.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 127.0;
    for (q, x) in q.iter_mut().zip(x) {
        *q = if scale == 0.0 { 0 } else { (x / scale).round_ties_even() as i8 };
    }
    scale
}

/// A number of a cache.
trait Element: Copy + Sync {
    fn number(self) -> f32;
}
impl Element for f32 {
    #[inline(always)]
    fn number(self) -> f32 {
        self
    }
}
impl Element for i8 {
    #[inline(always)]
    fn number(self) -> f32 {
        f32::from(self)
    }
}

/// A cache, and the scales of its rows where it has them.
#[derive(Clone, Copy)]
struct Rows<'a, E> {
    data: &'a [E],
    scales: &'a [f32],
}

/// What a task works on: some queries of one head.
#[derive(Clone, Copy)]
struct Head<'a, E> {
    keys: Rows<'a, E>,
    values: Rows<'a, E>,
    /// The first row of the cache of this sequence and group, and from one place to the next.
    row: usize,
    step: usize,
    width: usize,
    scale: f32,
}

type Task<E> = fn(head: Head<'_, E>, q: &[&[f32]], seen: usize, out: &mut [&mut [f32]]);

fn attend<E: Element>(
    pool: &Pool,
    shape: AttentionShape,
    q: &[f32],
    first: usize,
    scale: f32,
    [keys, values]: [Rows<'_, E>; 2],
    out: &mut [f32],
    task: Task<E>,
) {
    let AttentionShape { batch, time, heads, groups, width, places } = shape;
    let blocks = time.div_ceil(QUERIES);
    let out = Split::new(out, 1);
    // The last blocks of a chunk see most: they go first.
    pool.run(batch * heads * blocks, |i| {
        let (block, b, h) = (blocks - 1 - i / heads % blocks, i / heads / blocks, i % heads);
        let g = h * groups / heads;
        let head = Head { keys, values, row: b * places * groups + g, step: groups, width, scale };
        let from = block * QUERIES;
        let count = QUERIES.min(time - from);
        let at = |t: usize| ((b * time + from + t) * heads + h) * width;
        let mut queries: [&[f32]; QUERIES] = [&[]; QUERIES];
        queries.iter_mut().take(count).enumerate().for_each(|(t, x)| *x = &q[at(t)..][..width]);
        let mut results: [&mut [f32]; QUERIES] = Default::default();
        for (t, y) in results.iter_mut().take(count).enumerate() {
            // SAFETY: each task has rows of its own: its head's, at its block's times.
            *y = unsafe { out.part(at(t), width) };
        }
        for (n, (x, y)) in queries[..count].chunks(TILE).zip(results[..count].chunks_mut(TILE)).enumerate() {
            task(head, x, first + from + n * TILE + 1, y);
        }
    });
}

multiversion! {
    fn f32_task(head: Head<'_, f32>, q: &[&[f32]], seen: usize, out: &mut [&mut [f32]]) = f32_body
}
multiversion! {
    fn i8_task(head: Head<'_, i8>, q: &[&[f32]], seen: usize, out: &mut [&mut [f32]]) = i8_body
}

#[inline(always)]
fn f32_body<I: Isa>(head: Head<'_, f32>, q: &[&[f32]], seen: usize, out: &mut [&mut [f32]]) {
    tile::<I, f32>(head, q, seen, out);
}
#[inline(always)]
fn i8_body<I: Isa>(head: Head<'_, i8>, q: &[&[f32]], seen: usize, out: &mut [&mut [f32]]) {
    tile::<I, i8>(head, q, seen, out);
}

/// Up to [`TILE`] queries at consecutive places; the first sees `seen` of them.
#[inline(always)]
fn tile<I: Isa, E: Element>(head: Head<'_, E>, q: &[&[f32]], seen: usize, out: &mut [&mut [f32]]) {
    match (q, out) {
        ([a, b, c, d], [w, x, y, z]) => queries::<I, E, 4, 2>(head, [a, b, c, d], seen, [w, x, y, z]),
        (q, out) => {
            for (n, (q, out)) in q.iter().zip(out).enumerate() {
                queries::<I, E, 1, 4>(head, [q], seen + n, [out]);
            }
        }
    }
}

/// LANES numbers of a row; whole arrays, so that the loops over them become vectors.
#[inline(always)]
fn lanes<E: Element>(x: &[E], at: usize) -> [f32; LANES] {
    let mut y = [0.0; LANES];
    if let Some(x) = x[at..].first_chunk::<LANES>() {
        for d in 0..LANES {
            y[d] = x[d].number();
        }
    }
    y
}

/// N queries, whose products with K keys at a time are independent sums.
#[inline(always)]
fn queries<I: Isa, E: Element, const N: usize, const K: usize>(
    head: Head<'_, E>,
    q: [&[f32]; N],
    seen: usize,
    out: [&mut &mut [f32]; N],
) {
    let Head { keys, values, row, step, width, scale } = head;
    let (mut peak, mut total) = ([f32::NEG_INFINITY; N], [0.0f32; N]);
    let out = out.map(|y| {
        y.fill(0.0);
        &mut **y
    });
    let end = seen + N - 1;
    for start in (0..end).step_by(BLOCK) {
        let count = BLOCK.min(end - start);
        let mut p = [[0.0f32; BLOCK]; N];
        let mut place = 0;
        while place + K <= count {
            let mut k: [&[E]; K] = [&[]; K];
            for (j, k) in k.iter_mut().enumerate() {
                *k = &keys.data[(row + (start + place + j) * step) * width..][..width];
            }
            let made = dots::<I, E, N, K>(q, k);
            for n in 0..N {
                p[n][place..place + K].copy_from_slice(&made[n]);
            }
            place += K;
        }
        while place < count {
            let key = &keys.data[(row + (start + place) * step) * width..][..width];
            let made = dots::<I, E, N, 1>(q, [key]);
            for n in 0..N {
                p[n][place] = made[n][0];
            }
            place += 1;
        }
        for n in 0..N {
            let valid = count.min((seen + n).saturating_sub(start));
            if valid == 0 {
                p[n] = [0.0; BLOCK];
                continue;
            }
            if !keys.scales.is_empty() {
                for (j, p) in p[n][..valid].iter_mut().enumerate() {
                    *p *= keys.scales[row + (start + j) * step];
                }
            }
            let best = scaled::<I>(&mut p[n], valid, scale, peak[n]);
            let keep = math::exp::<I>(peak[n] - best);
            if keep != 1.0 {
                total[n] *= keep;
                out[n].iter_mut().for_each(|y| *y *= keep);
            }
            peak[n] = best;
            total[n] += weights::<I>(&mut p[n], valid, best);
            if !values.scales.is_empty() {
                for (j, p) in p[n][..valid].iter_mut().enumerate() {
                    *p *= values.scales[row + (start + j) * step];
                }
            }
        }
        // Sums over the block's places in their order, two vectors of every query at a time.
        let mut from = 0;
        while from + 2 * LANES <= width {
            let (mut low, mut high) = ([[0.0f32; LANES]; N], [[0.0f32; LANES]; N]);
            for n in 0..N {
                (low[n], high[n]) = (lanes(out[n], from), lanes(out[n], from + LANES));
            }
            for place in 0..count {
                let value = &values.data[(row + (start + place) * step) * width + from..][..2 * LANES];
                let (a, b) = (lanes(value, 0), lanes(value, LANES));
                for n in 0..N {
                    let weight = p[n][place % BLOCK];
                    for d in 0..LANES {
                        low[n][d] = I::fma(weight, a[d], low[n][d]);
                        high[n][d] = I::fma(weight, b[d], high[n][d]);
                    }
                }
            }
            for n in 0..N {
                out[n][from..from + LANES].copy_from_slice(&low[n]);
                out[n][from + LANES..from + 2 * LANES].copy_from_slice(&high[n]);
            }
            from += 2 * LANES;
        }
        for place in (0..count).filter(|_| from < width) {
            let value = &values.data[(row + (start + place) * step) * width..][from..width];
            for n in 0..N {
                for (y, v) in out[n][from..width].iter_mut().zip(value) {
                    *y = I::fma(p[n][place], v.number(), *y);
                }
            }
        }
    }
    for n in 0..N {
        out[n].iter_mut().for_each(|y| *y /= total[n]);
    }
}

/// The products times the scale, −inf behind the valid ones; returns the largest, or `peak`. A product that is no number
/// becomes the maximum, and all weights no numbers.
#[inline(always)]
fn scaled<I: Isa>(p: &mut [f32; BLOCK], valid: usize, scale: f32, peak: f32) -> f32 {
    let larger = |x: f32, best: f32| if (x > best) | x.is_nan() { x } else { best };
    let mut best = [peak; LANES];
    for (chunk, p) in p.as_chunks_mut::<LANES>().0.iter_mut().enumerate().take(valid.div_ceil(LANES)) {
        for lane in 0..LANES {
            let x = if chunk * LANES + lane < valid { p[lane] * scale } else { f32::NEG_INFINITY };
            p[lane] = x;
            best[lane] = larger(x, best[lane]);
        }
    }
    best.iter().fold(peak, |best, x| larger(*x, best))
}

/// e^(p − best), 0 behind the valid ones; returns their sum.
#[inline(always)]
fn weights<I: Isa>(p: &mut [f32; BLOCK], valid: usize, best: f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (chunk, p) in p.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        if chunk * LANES >= valid {
            *p = [0.0; LANES];
            continue;
        }
        for lane in 0..LANES {
            let e = math::exp::<I>(p[lane] - best);
            p[lane] = if chunk * LANES + lane < valid { e } else { 0.0 };
            sums[lane] += p[lane];
        }
    }
    tree(sums)
}

#[inline(always)]
fn tree(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The products of N queries with K keys.
#[inline(always)]
fn dots<I: Isa, E: Element, const N: usize, const K: usize>(q: [&[f32]; N], k: [&[E]; K]) -> [[f32; K]; N] {
    let width = q[0].len();
    let mut sums = [[[0.0f32; LANES]; K]; N];
    let whole = width / LANES * LANES;
    for from in (0..whole).step_by(LANES) {
        let (mut a, mut b) = ([[0.0f32; LANES]; N], [[0.0f32; LANES]; K]);
        for n in 0..N {
            a[n] = lanes(q[n], from);
        }
        for j in 0..K {
            b[j] = lanes(k[j], from);
        }
        for n in 0..N {
            for j in 0..K {
                for d in 0..LANES {
                    sums[n][j][d] = I::fma(a[n][d], b[j][d], sums[n][j][d]);
                }
            }
        }
    }
    for d in whole..width {
        for n in 0..N {
            for j in 0..K {
                sums[n][j][d - whole] = I::fma(q[n][d], k[j][d].number(), sums[n][j][d - whole]);
            }
        }
    }
    let mut made = [[0.0f32; K]; N];
    for n in 0..N {
        for j in 0..K {
            made[n][j] = tree(sums[n][j]);
        }
    }
    made
}

/// `out` (B, T, H, D) = x with element i of each head turned against element i + D/2 by the angles of its time, whose
/// cosines and sines are (T, D/2).
pub fn rope(pool: &Pool, x: &[f32], cos: &[f32], sin: &[f32], heads: usize, width: usize, out: &mut [f32]) {
    assert_eq!((x.len(), cos.len()), (out.len(), sin.len()), "one shape each");
    if out.is_empty() || width < 2 {
        return;
    }
    let time = cos.len() / (width / 2);
    pool.chunks(out, ROWS_PER_TASK * width, |task, out| {
        let first = task * ROWS_PER_TASK;
        for (r, y) in out.chunks_exact_mut(width).enumerate() {
            let at = (first + r) / heads % time * (width / 2);
            let x = &x[(first + r) * width..][..width];
            rope_row(x, &cos[at..][..width / 2], &sin[at..][..width / 2], y);
        }
    });
}

multiversion! {
    fn rope_row(x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) = rope_body
}

#[inline(always)]
fn rope_body<I: Isa>(x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
    let half = cos.len();
    let ((a, b), (u, v)) = (x.split_at(half), out.split_at_mut(half));
    for k in 0..half {
        u[k] = a[k] * cos[k] - b[k] * sin[k];
        v[k] = b[k] * cos[k] + a[k] * sin[k];
    }
}
