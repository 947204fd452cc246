//! Random numbers that a checkpoint can hold.
//!
//! The generators are those of [`models::rng`]. Here they get what a training run needs besides: a form that JSON
//! holds (a few integers, so that a resumed run draws what the uninterrupted one would have drawn), shuffles, and
//! one independent stream per purpose.

use models::rng;
use serde::{Deserialize, Serialize};

/// splitmix64 (Steele, Lea & Flood 2014): one word of state, the reference run's source of window offsets.
///
/// ```
/// let mut random = train::random::SplitMix64::new(42);
/// assert_eq!(random.next() % (666_310 - 64), 592_303);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitMix64 {
    /// The state, which is the seed before the first draw.
    pub state: u64,
}

impl SplitMix64 {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        SplitMix64 { state: seed }
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait)] // an endless stream of numbers, not a collection to iterate over
    pub fn next(&mut self) -> u64 {
        rng::splitmix64(&mut self.state)
    }
}

/// xoshiro256++ ([`models::rng::Rng`]): the generator for shuffles, dropout and sampling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub struct Rng(rng::Rng);

impl From<[u64; 4]> for Rng {
    fn from(state: [u64; 4]) -> Self {
        Rng(rng::Rng::from_state(state))
    }
}

impl From<Rng> for [u64; 4] {
    fn from(rng: Rng) -> Self {
        rng.0.state()
    }
}

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Rng(rng::Rng::new(seed))
    }

    /// The plain generator, for functions of `models` that draw from one.
    pub fn inner(&mut self) -> &mut rng::Rng {
        &mut self.0
    }

    /// An independent generator for one purpose: equal (seed, purpose, index) give equal streams, and a draw
    /// more for one purpose never shifts another.
    pub fn derived(seed: u64, purpose: &str, index: u64) -> Self {
        Rng::new(derive_seed(seed, purpose, index))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.bits()
    }

    /// A number in `0..bound`, each equally likely; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Draws below this remainder would make the first residues more likely than the last.
        let skewed = bound.wrapping_neg() % bound;
        loop {
            let draw = self.next_u64();
            if draw >= skewed {
                return draw % bound;
            }
        }
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        self.0.uniform()
    }

    /// Fisher–Yates: every order is equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// A seed for one purpose, from the run's seed. FNV-1a of the purpose, mixed twice by [`SplitMix64`].
pub fn derive_seed(seed: u64, purpose: &str, index: u64) -> u64 {
    let label = fnv1a(purpose.as_bytes());
    let mut mix = SplitMix64::new(seed ^ label);
    let first = mix.next();
    SplitMix64::new(first ^ index.wrapping_mul(0xD6E8_FEB8_6659_FD93)).next()
}

/// 64-bit FNV-1a: a stable hash of bytes, good enough to spread documents, not to authenticate them.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_reference_offsets() {
        let mut random = SplitMix64::new(42);
        let offsets: Vec<u64> = (0..16).map(|_| random.next() % (666_310 - 64)).collect();
        assert_eq!(offsets[..8], [592303, 311869, 406980, 171264, 45226, 65874, 373039, 263696]);
        assert_eq!(offsets[8..], [24331, 85118, 232433, 15658, 614384, 93811, 652820, 251102]);
    }

    #[test]
    fn a_saved_state_goes_on_where_it_stopped() {
        let mut rng = Rng::derived(7, "shuffle", 3);
        rng.next_u64();
        let saved = serde_json::to_string(&rng).unwrap();
        let mut again: Rng = serde_json::from_str(&saved).unwrap();
        assert_eq!(rng.next_u64(), again.next_u64());
        let mut mix = SplitMix64::new(u64::MAX - 3);
        mix.next();
        let mut copy: SplitMix64 = serde_json::from_str(&serde_json::to_string(&mix).unwrap()).unwrap();
        assert_eq!(mix.next(), copy.next());
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let seeds =
            [derive_seed(1, "a", 0), derive_seed(2, "a", 0), derive_seed(1, "b", 0), derive_seed(1, "a", 1)];
        for (i, a) in seeds.iter().enumerate() {
            assert!(seeds[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn draws_are_even_and_shuffles_keep_every_item() {
        let mut rng = Rng::new(5);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[rng.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (9_500..10_500).contains(&c)), "{counts:?}");
        assert_eq!(rng.below(0), 0);
        let mut order: Vec<u32> = (0..100).collect();
        rng.shuffle(&mut order);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
