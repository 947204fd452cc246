//! The random numbers of this workspace: xoshiro256++ seeded through splitmix64.
//!
//! Our own, so that a seed gives the same initial weights and the same sampled text in every version: the `rand`
//! crate reserves the right to change its default generator. [`Rng::state`] goes into checkpoints.
//!
//! Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021, <https://prng.di.unimi.it>.

/// One step of splitmix64: advances the state and returns 64 mixed bits.
///
/// # Examples
/// ```
/// // The first window of the reference training run: corpus of 666,310 bytes, windows of 64, seed 42.
/// let mut state = 42;
/// assert_eq!(models::rng::splitmix64(&mut state) % (666_310 - 64), 592_303);
/// ```
pub fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A generator with 256 bits of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        Self { state: std::array::from_fn(|_| splitmix64(&mut mix)) }
    }

    /// The generator of a seed and a name: streams of different names are independent, so adding a tensor to a
    /// model does not change the initial values of the others.
    pub fn for_name(seed: u64, name: &str) -> Self {
        // FNV-1a, 64 bits: the name only has to spread, not to resist an attacker.
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        let mut mix = seed;
        Self::new(splitmix64(&mut mix) ^ hash)
    }

    /// The generator that goes on where [`Rng::state`] was taken.
    pub fn from_state(state: [u64; 4]) -> Self {
        // All zeros is the one state that xoshiro never leaves.
        if state == [0; 4] { Self::new(0) } else { Self { state } }
    }

    /// The state, to go on from later.
    pub fn state(&self) -> [u64; 4] {
        self.state
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Standard normal, by Box and Muller's cosine: two uniforms a value, no state of its own.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        // splitmix64 from 0 is published; the xoshiro values pin this file.
        let mut state = 0;
        assert_eq!(splitmix64(&mut state), 0xE220_A839_7B1D_CDAF);
        let mut rng = Rng::from_state([1, 2, 3, 4]);
        assert_eq!([rng.bits(), rng.bits(), rng.bits()], [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::new(3);
        let n = 200_000;
        let uniform = (0..n).map(|_| rng.uniform()).sum::<f64>() / f64::from(n);
        assert!((uniform - 0.5).abs() < 0.003, "{uniform}");
        let normal = (0..n).map(|_| rng.normal()).collect::<Vec<_>>();
        let mean = normal.iter().sum::<f64>() / f64::from(n);
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn names_and_states() {
        assert_ne!(Rng::for_name(1, "a").bits(), Rng::for_name(1, "b").bits());
        assert_ne!(Rng::for_name(1, "a").bits(), Rng::for_name(2, "a").bits());
        let mut rng = Rng::new(9);
        rng.bits();
        assert_eq!(Rng::from_state(rng.state()).bits(), rng.bits());
    }
}
