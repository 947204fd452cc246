//! Encoding of the formats that have scales of scales, by search for the least squared error.
//!
//! Given the rounded numbers q, the best scale is that of least squares, Σ x q / Σ q²; given the scale, the best q are the nearest
//! ones. Both depend on each other, so some scales around the one that uses the whole range are tried (as Gish and Pierce
//! 1968 have it, the best step of a uniform quantiser clips a little). Then the scales are themselves rounded, each to the neighbour
//! that leaves the least error, and the scale of the scales is fitted once more to what came out.

use super::decode::scale;
use super::encode::store;

/// Nearest integers of `x / step` within `low ..= high`, into `q`; with Σ x q and Σ q².
#[inline(always)]
fn nearest(x: &[f32], inverse: f32, (low, high): (f32, f32), q: &mut [f32]) -> (f32, f32) {
    let (mut xq, mut qq) = (0.0, 0.0);
    for (x, q) in x.iter().zip(q) {
        *q = (x * inverse).round_ties_even().clamp(low, high);
        xq += x * *q;
        qq += *q * *q;
    }
    (xq, qq)
}

/// Σ (x − step · q)² for the nearest q.
#[inline(always)]
fn error(x: &[f32], step: f32, offset: f32, (low, high): (f32, f32), q: &mut [f32]) -> f32 {
    let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
    let mut sum = 0.0;
    for (x, q) in x.iter().zip(q) {
        *q = ((x + offset) * inverse).round_ties_even().clamp(low, high);
        let miss = x + offset - step * *q;
        sum += miss * miss;
    }
    sum
}

/// The scale itself, or the smallest f16 where it would be rounded to 0: the scales under it make up for that.
fn least(scale: f32) -> f32 {
    let smallest = 2f32.powi(-24);
    if scale == 0.0 || scale.abs() > smallest { scale } else { smallest.copysign(scale) }
}

/// How often the scale of the scales is fitted.
const ROUNDS: usize = 3;

/// Range of the integers of `q6_k`.
const SIX: (f32, f32) = (-32.0, 31.0);

/// The step of a group of 16 that leaves the least error.
fn step(x: &[f32]) -> f32 {
    let extreme = x.iter().fold(0.0f32, |m, x| if x.abs() > m.abs() { *x } else { m });
    if extreme.abs() < 1e-30 {
        return 0.0;
    }
    let (mut best, mut found) = (-1.0, 0.0);
    let mut q = [0.0; 16];
    for i in -12..=12 {
        // The extreme number is rounded to about −32.
        let inverse = -(32.0 + 0.1 * i as f32) / extreme;
        let (xq, qq) = nearest(x, inverse, SIX, &mut q);
        // What the fit explains of Σ x².
        if qq > 0.0 && xq * xq > best * qq {
            best = xq * xq / qq;
            found = xq / qq;
        }
    }
    found
}

/// A block that was tried: its scales, its integers, and what they miss.
struct Tried<const G: usize, const N: usize> {
    error: f32,
    scales: [[u8; 2]; G],
    codes: [[f32; N]; G],
}

/// Writes 256 numbers; `false` where the scale does not fit f16.
pub(super) fn q6_k(x: &[f32], b: &mut [u8]) -> bool {
    let groups = x.as_chunks::<16>().0;
    let steps: [f32; 16] = std::array::from_fn(|g| step(&groups[g]));
    let largest = steps.iter().fold(0.0f32, |m, s| if s.abs() > m.abs() { *s } else { m });
    let mut best: Option<Tried<16, 16>> = None;
    let mut wanted = least(largest / -128.0);
    for _ in 0..ROUNDS {
        let mut place = [0; 2];
        if !store(&mut place, 0, wanted) {
            // The first scale is what decides: without it there is no block.
            break;
        }
        let d = scale(&place, 0);
        let mut tried = Tried { error: 0.0, scales: [[0; 2]; 16], codes: [[0.0; 16]; 16] };
        let (mut xq, mut qq) = (0.0, 0.0);
        for (g, x) in groups.iter().enumerate() {
            let near = if d == 0.0 { 0.0 } else { (steps[g] / d).round_ties_even() };
            let (mut least, mut kept) = (f32::INFINITY, 0.0);
            for s in [near, near - 1.0, near + 1.0].map(|s| s.clamp(-128.0, 127.0)) {
                let mut q = [0.0; 16];
                let miss = error(x, d * s, 0.0, SIX, &mut q);
                if miss < least {
                    (least, kept, tried.codes[g]) = (miss, s, q);
                }
            }
            tried.scales[g][0] = kept as i8 as u8;
            tried.error += least;
            for (x, q) in x.iter().zip(&tried.codes[g]) {
                xq += x * kept * q;
                qq += kept * q * kept * q;
            }
        }
        if best.as_ref().is_some_and(|best| best.error <= tried.error) {
            break;
        }
        b[208..210].copy_from_slice(&place);
        best = Some(tried);
        if qq == 0.0 {
            break;
        }
        wanted = xq / qq;
    }
    let Some(Tried { scales, codes, .. }) = best else { return false };
    b[192..208].iter_mut().zip(scales).for_each(|(b, s)| *b = s[0]);
    let code = |n: usize| (codes[n / 16][n % 16] as i32 + 32) as u8;
    for h in 0..2 {
        for j in 0..32 {
            let [c0, c1, c2, c3] = [0, 1, 2, 3].map(|p| code(128 * h + 32 * p + j));
            b[64 * h + j] = (c0 & 15) | (c2 << 4);
            b[64 * h + 32 + j] = (c1 & 15) | (c3 << 4);
            b[128 + 32 * h + j] = (c0 >> 4) | ((c1 >> 4) << 2) | ((c2 >> 4) << 4) | ((c3 >> 4) << 6);
        }
    }
    true
}

/// Range of the integers of `q4_k`.
const FOUR: (f32, f32) = (0.0, 15.0);

/// The step and the offset, at least 0, of a group of 32 that leave the least error: x ≈ step · q − offset.
fn line(x: &[f32]) -> (f32, f32) {
    let (low, high) = x.iter().fold((0.0f32, f32::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
    if high <= low {
        return (0.0, -low);
    }
    let n = x.len() as f32;
    let (sum, squares) = x.iter().fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
    let (mut least, mut found) = (f32::INFINITY, ((high - low) / 15.0, -low));
    for i in -10..=10 {
        let inverse = (15.0 + 0.1 * i as f32) / (high - low);
        let (mut q1, mut q2, mut xq) = (0.0, 0.0, 0.0);
        for x in x {
            let q = ((x - low) * inverse).round_ties_even().clamp(FOUR.0, FOUR.1);
            q1 += q;
            q2 += q * q;
            xq += x * q;
        }
        let determinant = n * q2 - q1 * q1;
        if determinant <= 0.0 {
            continue;
        }
        let (mut step, mut offset) = ((n * xq - sum * q1) / determinant, (q1 * xq - q2 * sum) / determinant);
        if offset < 0.0 {
            (step, offset) = (xq / q2, 0.0);
        }
        // Σ (x − step q + offset)², multiplied out.
        let miss = squares + step * step * q2 + n * offset * offset - 2.0 * step * xq + 2.0 * offset * sum
            - 2.0 * step * offset * q1;
        if miss < least {
            (least, found) = (miss, (step, offset));
        }
    }
    found
}

/// Writes 256 numbers; `false` where a scale does not fit f16.
pub(super) fn q4_k(x: &[f32], b: &mut [u8]) -> bool {
    let groups = x.as_chunks::<32>().0;
    let lines: [(f32, f32); 8] = std::array::from_fn(|g| line(&groups[g]));
    let mut best: Option<Tried<8, 32>> = None;
    let largest = lines.iter().fold((0.0f32, 0.0f32), |m, l| (m.0.max(l.0), m.1.max(l.1)));
    let mut wanted = (least(largest.0 / 63.0), least(largest.1 / 63.0));
    for _ in 0..ROUNDS {
        let mut place = [0; 4];
        if !(store(&mut place, 0, wanted.0) && store(&mut place, 2, wanted.1)) {
            break;
        }
        let (d, m) = (scale(&place, 0), scale(&place, 2));
        let mut tried = Tried { error: 0.0, scales: [[0; 2]; 8], codes: [[0.0; 32]; 8] };
        // Sums of the fit x ≈ d (s q) − m z over the block.
        let (mut aa, mut az, mut zz, mut xa, mut xz) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (g, x) in groups.iter().enumerate() {
            let near = |x: f32, unit: f32| if unit == 0.0 { 0.0 } else { (x / unit).round_ties_even() };
            let (s, z) = (near(lines[g].0, d), near(lines[g].1, m));
            let (mut least, mut kept) = (f32::INFINITY, (0.0, 0.0));
            for z in [z, z - 1.0, z + 1.0].map(|z| z.clamp(0.0, 63.0)) {
                for s in [s, s - 1.0, s + 1.0].map(|s| s.clamp(0.0, 63.0)) {
                    let mut q = [0.0; 32];
                    let miss = error(x, d * s, m * z, FOUR, &mut q);
                    if miss < least {
                        (least, kept, tried.codes[g]) = (miss, (s, z), q);
                    }
                }
            }
            let (s, z) = kept;
            tried.scales[g] = [s as u8, z as u8];
            tried.error += least;
            for (x, q) in x.iter().zip(&tried.codes[g]) {
                let a = s * q;
                aa += a * a;
                az += a * z;
                xa += x * a;
                xz += x * z;
            }
            zz += 32.0 * z * z;
        }
        if best.as_ref().is_some_and(|best| best.error <= tried.error) {
            break;
        }
        b[..4].copy_from_slice(&place);
        best = Some(tried);
        let determinant = aa * zz - az * az;
        if determinant > 0.0 {
            wanted = ((zz * xa - az * xz) / determinant, (az * xa - aa * xz) / determinant);
        } else if aa > 0.0 {
            wanted = (xa / aa, 0.0);
        } else {
            break;
        }
        if wanted.0 < 0.0 || wanted.1 < 0.0 {
            break;
        }
    }
    let Some(Tried { scales, codes, .. }) = best else { return false };
    for g in 0..4 {
        let ([s, z], [s4, z4]) = (scales[g], scales[4 + g]);
        b[4 + g] = s | ((s4 >> 4) << 6);
        b[8 + g] = z | ((z4 >> 4) << 6);
        b[12 + g] = (s4 & 15) | ((z4 & 15) << 4);
    }
    for p in 0..4 {
        for j in 0..32 {
            b[16 + 32 * p + j] = codes[2 * p][j] as u8 | ((codes[2 * p + 1][j] as u8) << 4);
        }
    }
    true
}
