//! Momentum descent that runs back to where it began, bit for bit (Maclaurin, Duvenaud and Adams 2015,
//! "Gradient-based hyperparameter optimization through reversible learning").
//!
//! Differentiating through a long training needs its weights in reverse order. Keeping them all takes memory; running
//! the updates backwards in floats does not arrive. Here weights w and velocities v are fixed-point numbers: 64-bit
//! integers in units of 2⁻⁴⁰, added with wrap-around, which is exactly invertible. One update is
//!
//! 1. v ← μ v with μ = n/d, exact: v is divided by d, the remainder goes into a buffer of that weight, and what the
//!    buffer gives back modulo n fills the place that multiplication by n leaves. The buffer is an integer that grows by
//!    log₂(d/n) bits a step: 0.15 for μ = 0.9, where storing the velocity would take 64;
//! 2. v ← v − round(η g(w) 2⁴⁰);
//! 3. w ← w + v.
//!
//! Backwards: w ← w − v, the gradient at w again (it is a function of w, so the same bits), v plus it, v divided by μ.
//! Integers have a range: |w| and |v| beyond 2²³ wrap, which stays reversible and is no descent any more.

/// The unit of weights and velocities.
const UNIT: f64 = (1u64 << 40) as f64;

/// An integer of any size, lowest word first, without zero words at the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Buffer(Vec<u32>);

impl Buffer {
    /// self · d + r.
    fn push(&mut self, d: u32, r: u32) {
        let mut carry = u64::from(r);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(d);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// The remainder modulo n; self becomes the quotient.
    fn pop(&mut self, n: u32) -> u32 {
        let mut rest = 0u64;
        for word in self.0.iter_mut().rev() {
            rest = rest << 32 | u64::from(*word);
            *word = (rest / u64::from(n)) as u32;
            rest %= u64::from(n);
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        rest as u32
    }
}

/// v · n/d, exactly invertible with the buffer.
fn scale(v: &mut i64, buffer: &mut Buffer, n: u32, d: u32) {
    let (n_wide, d_wide) = (i128::from(n), i128::from(d));
    let wide = i128::from(*v);
    buffer.push(d, wide.rem_euclid(d_wide) as u32);
    let made = wide.div_euclid(d_wide) * n_wide + i128::from(buffer.pop(n));
    // |v · n/d| + n stays within 64 bits unless v is at the edge of the range.
    *v = made as i64;
}

/// Momentum descent on a vector of weights.
///
/// ```
/// use train::optimizers::reversible::ReversibleSgd;
///
/// let mut run = ReversibleSgd::new(&[1.0, -2.0], [9, 10]).unwrap();
/// let begin = run.clone();
/// let gradient = |w: &[f64]| w.iter().map(|w| w + w.sin()).collect::<Vec<_>>();
/// (0..100).for_each(|_| run.step(0.1, gradient));
/// assert!(run.weights().iter().all(|w| w.abs() < 0.1));
/// (0..100).for_each(|_| run.step_back(0.1, gradient));
/// assert_eq!(run, begin);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReversibleSgd {
    weights: Vec<i64>,
    velocities: Vec<i64>,
    buffers: Vec<Buffer>,
    momentum: [u32; 2],
}

impl ReversibleSgd {
    /// At rest at `weights`, with momentum n/d.
    ///
    /// # Errors
    /// A momentum that is not above 0 and up to 1; weights beyond the range.
    pub fn new(weights: &[f64], momentum: [u32; 2]) -> Result<ReversibleSgd, String> {
        let [n, d] = momentum;
        if n == 0 || n > d {
            return Err(format!("momentum is {n}/{d}: expected a fraction above 0 and up to 1"));
        }
        if let Some(w) = weights.iter().find(|w| !w.is_finite() || w.abs() >= (1u64 << 23) as f64) {
            return Err(format!("a weight is {w}: expected a magnitude below 2^23"));
        }
        Ok(ReversibleSgd {
            weights: weights.iter().map(|w| fixed(*w)).collect(),
            velocities: vec![0; weights.len()],
            buffers: vec![Buffer::default(); weights.len()],
            momentum,
        })
    }

    /// The weights; each is a multiple of 2⁻⁴⁰.
    pub fn weights(&self) -> Vec<f64> {
        self.weights.iter().map(|w| *w as f64 / UNIT).collect()
    }

    /// Bytes that the buffers take.
    pub fn buffer_bytes(&self) -> usize {
        self.buffers.iter().map(|b| 4 * b.0.len()).sum()
    }

    /// One update. `gradient` must be a function of the weights alone: the same weights, the same bits.
    pub fn step(&mut self, lr: f64, gradient: impl Fn(&[f64]) -> Vec<f64>) {
        let [n, d] = self.momentum;
        let g = gradient(&self.weights());
        for (i, g) in g.iter().enumerate() {
            scale(&mut self.velocities[i], &mut self.buffers[i], n, d);
            self.velocities[i] = self.velocities[i].wrapping_sub(fixed(lr * g));
            self.weights[i] = self.weights[i].wrapping_add(self.velocities[i]);
        }
    }

    /// The update before, undone: `lr` and `gradient` are those of that update.
    pub fn step_back(&mut self, lr: f64, gradient: impl Fn(&[f64]) -> Vec<f64>) {
        let [n, d] = self.momentum;
        for (w, v) in self.weights.iter_mut().zip(&self.velocities) {
            *w = w.wrapping_sub(*v);
        }
        let g = gradient(&self.weights());
        for (i, g) in g.iter().enumerate() {
            self.velocities[i] = self.velocities[i].wrapping_add(fixed(lr * g));
            scale(&mut self.velocities[i], &mut self.buffers[i], d, n);
        }
    }
}

/// The nearest multiple of 2⁻⁴⁰; what is not a number or too large becomes the nearest end of the range.
fn fixed(x: f64) -> i64 {
    (x * UNIT).round_ties_even() as i64
}
