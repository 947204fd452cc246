//! The best of many logits without sorting them, and the weights of a softmax.
//!
//! A candidate is one integer that orders as it should: the logit's bits above, the complement of the id below. Top-k
//! takes the maxima of blocks of 64 logits, which vectorises; the k-th best of those is a bound below the k-th best
//! logit, so only blocks that reach it are looked at, a few thousand logits of a vocabulary of 128,256. Top-p takes ever more
//! of the best until they have the mass, and where they are many, halves the rest by quickselect on the mass.

use crate::error::{ModelError, Result};

/// Logits of a block whose maximum is taken first.
const BLOCK: usize = 64;

/// The most likely token; of equal ones, the lowest id.
///
/// # Errors
/// [`ModelError::Value`] if there are no logits, one is NaN or +∞, or all are −∞.
pub fn greedy(logits: &[f32]) -> Result<u32> {
    let best = check(logits)?;
    // -0 equals 0.
    Ok(logits.iter().position(|logit| *logit == best).unwrap_or(0) as u32)
}

/// The largest logit.
pub(super) fn check(logits: &[f32]) -> Result<f32> {
    let fault = |expected: &str, found: String| {
        let remedy = "look for the layer in which the values first go wrong";
        Err(ModelError::value("logits", expected, found, remedy))
    };
    let (mut best, mut sound) = ([f32::NEG_INFINITY; 16], [true; 16]);
    let (blocks, rest) = logits.as_chunks::<16>();
    for block in blocks {
        for lane in 0..16 {
            let logit = block[lane];
            best[lane] = if logit > best[lane] { logit } else { best[lane] };
            // False for NaN too.
            sound[lane] &= logit < f32::INFINITY;
        }
    }
    let best = best.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
    if !sound.iter().all(|s| *s) || !rest.iter().all(|logit| *logit < f32::INFINITY) {
        let id = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY).unwrap_or(0);
        return fault("finite numbers or -inf", format!("{} for token {id}", logits[id]));
    }
    if best == f32::NEG_INFINITY {
        return fault("at least one finite logit", format!("none in {}", logits.len()));
    }
    Ok(best)
}

/// A candidate: the larger, the likelier, and of equal logits the lower id.
pub(super) fn key(id: usize, logit: f32) -> u64 {
    // Adding 0 makes -0 the 0 that it equals.
    let bits = (logit + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(!(id as u32))
}

/// The token of a candidate.
pub(super) fn id(key: u64) -> u32 {
    !(key as u32)
}

/// The `k` best of all logits in no order; all where there are no more. `maxima` is scratch.
pub(super) fn best_of(logits: &[f32], k: usize, maxima: &mut Vec<f32>, out: &mut Vec<u64>) {
    out.clear();
    let all = |logits: &[f32], from: usize, out: &mut Vec<u64>| {
        out.extend(logits.iter().enumerate().map(|(i, logit)| key(from + i, *logit)));
    };
    if k >= logits.len() {
        return all(logits, 0, out);
    }
    // Twice as many blocks as wanted, or the bound lets nearly everything through.
    if 2 * k * BLOCK > logits.len() {
        all(logits, 0, out);
    } else {
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        maxima.clear();
        maxima.extend(logits.chunks(BLOCK).map(|block| {
            let (eights, rest) = block.as_chunks::<8>();
            let lanes = eights.iter().fold([f32::NEG_INFINITY; 8], |mut lanes, eight| {
                lanes.iter_mut().zip(eight).for_each(|(lane, logit)| *lane = larger(*lane, *logit));
                lanes
            });
            lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| larger(a, *b))
        }));
        let mut order = maxima.clone();
        let (_, bound, _) = order.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        for (block, logits) in logits.chunks(BLOCK).enumerate() {
            if maxima[block] >= *bound {
                let reach = logits.iter().enumerate().filter(|(_, logit)| **logit >= *bound);
                out.extend(reach.map(|(i, logit)| key(block * BLOCK + i, *logit)));
            }
        }
    }
    cut(out, k);
}

/// Leaves the `k` best.
pub(super) fn cut(keys: &mut Vec<u64>, k: usize) {
    if k == 0 || k >= keys.len() {
        return keys.truncate(k);
    }
    keys.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
    keys.truncate(k);
}

/// Leaves the fewest best whose weights reach `limit`, at least one: a quickselect that compares masses.
pub(super) fn cut_mass(keys: &mut Vec<u64>, limit: f64, weight: impl Fn(u64) -> f64) {
    let (mut low, mut high, mut before) = (0, keys.len(), 0.0);
    // The answer lies between: `low` are kept, and `high` are enough, or all.
    while high - low > 1 {
        let middle = (high - low) / 2;
        keys[low..high].select_nth_unstable_by(middle - 1, |a, b| b.cmp(a));
        let mass = keys[low..low + middle].iter().map(|key| weight(*key)).sum::<f64>();
        if before + mass >= limit {
            high = low + middle;
        } else {
            (low, before) = (low + middle, before + mass);
        }
    }
    keys.truncate(high.max(1));
}

/// Lanes of the exponential: enough sums side by side to hide the latency of one.
const LANES: usize = 8;

/// The weights of a softmax before they are divided by their sum: exp((l − best) · s), s the inverse temperature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Softmax {
    /// The largest logit.
    pub best: f64,
    /// Inverse temperature.
    pub s: f64,
}

impl Softmax {
    /// The weight of one logit.
    pub(super) fn weight(&self, logit: f32) -> f64 {
        let [weight] = self.lanes([logit]);
        weight
    }

    #[inline(always)]
    fn lanes<const N: usize>(&self, logits: [f32; N]) -> [f64; N] {
        let x = logits.map(|logit| {
            let x = (f64::from(logit) - self.best) * self.s;
            // 0 · ∞ of the best logit at a temperature next to 0.
            if x <= 0.0 { x } else { 0.0 }
        });
        exp(x)
    }

    /// The weights of all logits.
    pub(super) fn weights(&self, logits: &[f32], out: &mut Vec<f64>) {
        out.clear();
        let (blocks, rest) = logits.as_chunks::<LANES>();
        blocks.iter().for_each(|block| out.extend_from_slice(&self.lanes(*block)));
        out.extend(rest.iter().map(|logit| self.weight(*logit)));
    }

    /// Their sum, in lanes over blocks of `block` logits, so that it vectorises and rounds little.
    pub(super) fn sum(&self, logits: &[f32], block: usize) -> f64 {
        let of = |logits: &[f32]| {
            let (blocks, rest) = logits.as_chunks::<LANES>();
            let mut sums = [0.0; LANES];
            for block in blocks {
                let weights = self.lanes(*block);
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
            }
            sums.iter().sum::<f64>() + rest.iter().map(|logit| self.weight(*logit)).sum::<f64>()
        };
        logits.chunks(block).map(of).sum()
    }
}

/// eˣ of x ≤ 0, to within some units in the last place: the same bits everywhere, which `f64::exp` does not promise, and
/// without a call, so that a loop over logits vectorises. Below e⁻⁷⁰⁸ it is 0.
#[inline(always)]
fn exp<const N: usize>(x: [f64; N]) -> [f64; N] {
    // Adding and subtracting this rounds to an integer, which the low bits of the sum then hold.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // ln 2 in two parts; the first has so few bits that its product with the integer is exact.
    const LN2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    // 1 / n! from 13 down to 0: the next term is 4e-18 at the end of the interval.
    const TERMS: [f64; 14] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let shifted = x.map(|x| x * std::f64::consts::LOG2_E + ROUND);
    let (mut r, mut sum) = ([0.0; N], [TERMS[0]; N]);
    for i in 0..N {
        let n = shifted[i] - ROUND;
        r[i] = (x[i] - n * LN2.0) - n * LN2.1;
    }
    for term in &TERMS[1..] {
        for i in 0..N {
            sum[i] = sum[i] * r[i] + term;
        }
    }
    for i in 0..N {
        let power = f64::from_bits(shifted[i].to_bits().wrapping_add(1023) << 52);
        sum[i] = if x[i] < -708.0 { 0.0 } else { sum[i] * power };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(logits: &[f32]) -> Vec<u64> {
        let mut all: Vec<u64> = logits.iter().enumerate().map(|(i, l)| key(i, *l)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    }

    fn logit() -> impl Strategy<Value = f32> {
        // Many ties, both zeros, and forbidden tokens.
        prop_oneof![(-4i8..4).prop_map(f32::from), -9f32..9.0, Just(-0.0), Just(f32::NEG_INFINITY)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn the_best_are_those_of_a_sort(logits in prop::collection::vec(logit(), 1..1500), k in 1usize..40) {
            let (mut found, mut maxima) = (vec![], vec![]);
            best_of(&logits, k, &mut maxima, &mut found);
            found.sort_unstable_by(|a, b| b.cmp(a));
            prop_assert_eq!(&found[..], &sorted(&logits)[..k.min(logits.len())]);
        }

        #[test]
        fn the_mass_is_that_of_a_sort(logits in prop::collection::vec(logit(), 1..300), share in 0f64..1.1) {
            // Whole numbers add up exactly in any order.
            let weight = |key: u64| f64::from(id(key) % 7 + 1);
            let all = sorted(&logits);
            let limit = (share * all.iter().map(|k| weight(*k)).sum::<f64>()).round();
            let mut mass = 0.0;
            let enough = all.iter().position(|k| { mass += weight(*k); mass >= limit });
            let mut found: Vec<u64> = logits.iter().enumerate().map(|(i, l)| key(i, *l)).collect();
            cut_mass(&mut found, limit, weight);
            found.sort_unstable_by(|a, b| b.cmp(a));
            prop_assert_eq!(&found[..], &all[..enough.map_or(all.len(), |at| at + 1)]);
        }

        #[test]
        fn the_exponential_is_right(x in -720f64..0.0) {
            let right = x.exp();
            prop_assert!((exp([x])[0] - right).abs() <= 4.0 * f64::EPSILON * right || x < -708.0, "{x}");
        }
    }

    #[test]
    fn ends_of_the_exponential() {
        let ends = exp([0.0, -0.0, f64::NEG_INFINITY, -1e300, -708.5, -0.0, 0.0, 0.0]);
        assert_eq!(ends, [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let steep = Softmax { best: 2.0, s: f64::INFINITY };
        assert_eq!((steep.weight(2.0), steep.weight(1.0), steep.weight(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
    }

    #[test]
    fn a_fault_is_found_in_every_place() {
        for at in 0..40 {
            for bad in [f32::NAN, f32::INFINITY] {
                let mut logits = [0.0; 40];
                logits[at] = bad;
                assert!(greedy(&logits).unwrap_err().to_string().contains(&format!("token {at}")));
            }
            let mut logits = [f32::NEG_INFINITY; 40];
            logits[at] = -1e30;
            assert_eq!(greedy(&logits).unwrap(), at as u32);
        }
    }
}
