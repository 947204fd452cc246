//! Fast Fourier transforms of rows (`rustfft`, `realfft`), and convolutions along time by them.
//!
//! Layout of sequences is `(B, T, D)`, of kernels `(D, K)`. A transform wants a channel's time steps side by side, so a task
//! takes `CHANNELS` neighbouring channels: their rows lie in the same lines of the cache. Each channel is transformed on
//! its own, so the numbers do not depend on threads or blocks. Lengths are padded to 2ᵃ 3ᵇ, at least T + K − 1, so that
//! nothing comes round; short kernels are summed directly.
//!
//! Unlike other kernels these allocate: a task's buffers, and the twiddle factors of a length when it is first met.
#![allow(unsafe_code)]

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::num_traits::{Float, NumAssign};
use rustfft::{Fft, FftNum, FftPlanner};

use crate::pool::{Pool, Split};

/// Channels of a task.
const CHANNELS: usize = 8;

/// Kernels up to this long are summed directly: a transform of any length costs as much as some tens of taps.
const DIRECT: usize = 24;

/// Elements of rows of a task of plain transforms.
const ROWS: usize = 1 << 14;

/// f32 and f64.
pub trait Real: FftNum + Float + NumAssign + Default {}
impl Real for f32 {}
impl Real for f64 {}

/// Sizes of a long convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// D.
    pub channels: usize,
    /// K.
    pub taps: usize,
}

impl ConvolutionShape {
    fn blocks(self) -> usize {
        self.channels.div_ceil(CHANNELS)
    }

    /// Taps that reach something.
    fn reach(self) -> usize {
        self.taps.min(self.time)
    }

    /// Length of the transforms.
    fn length(self) -> usize {
        let least = (self.time + self.reach()).saturating_sub(1).max(2);
        let two = least.next_power_of_two();
        // ¾ and 9/16 of a power of two are lengths as fast for their size.
        [two / 16 * 9, two / 4 * 3].into_iter().find(|n| *n >= least && n.is_multiple_of(2)).unwrap_or(two)
    }

    /// First channel and number of channels of a block.
    fn block(self, block: usize) -> (usize, usize) {
        let first = block * CHANNELS;
        (first, CHANNELS.min(self.channels - first))
    }
}

/// Both directions of the transform of real rows of one length.
struct Pair<T: Real> {
    forward: Arc<dyn RealToComplex<T>>,
    back: Arc<dyn ComplexToReal<T>>,
}

/// What was planned for a type and a length. Planning is slower than a transform.
fn planned<P: Any + Send + Sync>(key: (&'static str, usize, bool), make: impl FnOnce() -> P) -> Arc<P> {
    type Plans = HashMap<(std::any::TypeId, &'static str, usize, bool), Arc<dyn Any + Send + Sync>>;
    static PLANS: LazyLock<Mutex<Plans>> = LazyLock::new(Mutex::default);
    /// Lengths that are remembered.
    const MOST: usize = 256;
    let key = (std::any::TypeId::of::<P>(), key.0, key.1, key.2);
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Ok(known)) = plans.get(&key).cloned().map(Arc::downcast::<P>) {
        return known;
    }
    if plans.len() >= MOST {
        plans.clear();
    }
    let made = Arc::new(make());
    plans.insert(key, made.clone());
    made
}

fn pair<T: Real>(length: usize) -> Arc<Pair<T>> {
    planned(("real", length, false), || {
        let mut planner = RealFftPlanner::<T>::new();
        Pair { forward: planner.plan_fft_forward(length), back: planner.plan_fft_inverse(length) }
    })
}

/// A task's memory for the transforms of one row.
struct Row<T: Real> {
    pair: Arc<Pair<T>>,
    time: Vec<T>,
    spectrum: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<T: Real> Row<T> {
    fn new(pair: &Arc<Pair<T>>, length: usize) -> Self {
        let zero = Complex::new(T::zero(), T::zero());
        let scratch = pair.forward.get_scratch_len().max(pair.back.get_scratch_len());
        Self {
            pair: pair.clone(),
            time: vec![T::zero(); length],
            spectrum: vec![zero; length / 2 + 1],
            scratch: vec![zero; scratch],
        }
    }

    /// The spectrum of these numbers followed by zeros.
    fn forward(&mut self, x: impl Iterator<Item = T>) -> &mut [Complex<T>] {
        let mut n = 0;
        for (to, x) in self.time.iter_mut().zip(x) {
            *to = x;
            n += 1;
        }
        self.time[n..].fill(T::zero());
        let length = self.pair.forward.get_scratch_len();
        let done = self.pair.forward.process_with_scratch(
            &mut self.time,
            &mut self.spectrum,
            &mut self.scratch[..length],
        );
        debug_assert!(done.is_ok());
        &mut self.spectrum
    }

    /// The numbers of the spectrum, times the length.
    fn back(&mut self) -> &[T] {
        let last = self.spectrum.len() - 1;
        // Real by construction; rounding may have left something.
        self.spectrum[0].im = T::zero();
        if self.time.len().is_multiple_of(2) {
            self.spectrum[last].im = T::zero();
        }
        let length = self.pair.back.get_scratch_len();
        let done = self.pair.back.process_with_scratch(
            &mut self.spectrum,
            &mut self.time,
            &mut self.scratch[..length],
        );
        debug_assert!(done.is_ok());
        &self.time
    }
}

/// The rows of a block of channels of one sequence, (channels, T).
fn gathered<T: Real>(shape: ConvolutionShape, x: &[T], sequence: usize, block: usize) -> Vec<T> {
    let (first, count) = shape.block(block);
    let mut rows = vec![T::zero(); count * shape.time];
    for t in 0..shape.time {
        let from = &x[(sequence * shape.time + t) * shape.channels + first..][..count];
        for (c, x) in from.iter().enumerate() {
            rows[c * shape.time + t] = *x;
        }
    }
    rows
}

/// y (B, T, D): y_t = Σ_s k_s x_(t-s), or with `reverse` Σ_s k_s x_(t+s), of x (B, T, D) and k (D, K).
pub fn long_convolution<T: Real>(
    pool: &Pool,
    shape: ConvolutionShape,
    x: &[T],
    k: &[T],
    reverse: bool,
    y: &mut [T],
) {
    let all = shape.batch * shape.time * shape.channels;
    assert!(x.len() == all && y.len() == all, "x and y are (B, T, D) = {shape:?}");
    assert_eq!(k.len(), shape.channels * shape.taps, "k is (D, K)");
    if all == 0 || shape.taps == 0 {
        y.fill(T::zero());
        return;
    }
    let tasks = shape.batch * shape.blocks();
    let y = Split::new(y, 1);
    if shape.reach() <= DIRECT {
        pool.run(tasks, |task| direct(shape, task, x, k, reverse, &y));
        return;
    }
    let length = shape.length();
    let plan = pair::<T>(length);
    let points = length / 2 + 1;
    // The kernels' spectra, shared by the sequences.
    let scale = T::one() / T::from_usize(length).unwrap_or(T::one());
    let mut spectra = vec![Complex::new(T::zero(), T::zero()); shape.channels * points];
    pool.chunks(&mut spectra, CHANNELS * points, |block, spectra| {
        let mut row = Row::new(&plan, length);
        for (c, spectrum) in spectra.chunks_exact_mut(points).enumerate() {
            let k = &k[(block * CHANNELS + c) * shape.taps..][..shape.reach()];
            let made = row.forward(k.iter().copied());
            for (to, z) in spectrum.iter_mut().zip(made) {
                *to = if reverse { z.conj() * scale } else { *z * scale };
            }
        }
    });
    pool.run(tasks, |task| {
        let (sequence, block) = (task / shape.blocks(), task % shape.blocks());
        let (first, count) = shape.block(block);
        let mut rows = gathered(shape, x, sequence, block);
        let mut row = Row::new(&plan, length);
        for (c, line) in rows.chunks_exact_mut(shape.time).enumerate() {
            let made = row.forward(line.iter().copied());
            for (z, k) in made.iter_mut().zip(&spectra[(first + c) * points..][..points]) {
                *z *= *k;
            }
            line.copy_from_slice(&row.back()[..shape.time]);
        }
        for t in 0..shape.time {
            // SAFETY: one task for each sequence and block of channels.
            let to = unsafe { y.part((sequence * shape.time + t) * shape.channels + first, count) };
            for (c, y) in to.iter_mut().enumerate() {
                *y = rows[c * shape.time + t];
            }
        }
    });
}

/// The sum itself, for a sequence and a block of channels.
fn direct<T: Real>(shape: ConvolutionShape, task: usize, x: &[T], k: &[T], reverse: bool, y: &Split<'_, T>) {
    let (sequence, block) = (task / shape.blocks(), task % shape.blocks());
    let (first, count) = shape.block(block);
    for t in 0..shape.time {
        // SAFETY: one task for each sequence and block of channels.
        let to = unsafe { y.part((sequence * shape.time + t) * shape.channels + first, count) };
        to.fill(T::zero());
        for s in 0..shape.reach() {
            let from = if reverse { t + s } else { t.wrapping_sub(s) };
            if from >= shape.time {
                break;
            }
            let row = &x[(sequence * shape.time + from) * shape.channels + first..][..count];
            for (c, (y, x)) in to.iter_mut().zip(row).enumerate() {
                *y += k[(first + c) * shape.taps + s] * *x;
            }
        }
    }
}

/// c (D, K): c_s = Σ over sequences and t of a_t b_(t-s), of a and b (B, T, D).
pub fn long_correlation<T: Real>(pool: &Pool, shape: ConvolutionShape, a: &[T], b: &[T], c: &mut [T]) {
    let all = shape.batch * shape.time * shape.channels;
    assert!(a.len() == all && b.len() == all, "a and b are (B, T, D) = {shape:?}");
    assert_eq!(c.len(), shape.channels * shape.taps, "c is (D, K)");
    if c.is_empty() {
        return;
    }
    if all == 0 {
        c.fill(T::zero());
        return;
    }
    let length = shape.length();
    let plan = pair::<T>(length);
    let points = length / 2 + 1;
    let scale = T::one() / T::from_usize(length).unwrap_or(T::one());
    pool.chunks(c, CHANNELS * shape.taps, |block, c| {
        let (_, count) = shape.block(block);
        let zero = Complex::new(T::zero(), T::zero());
        let mut sums = vec![zero; count * points];
        let (mut row, mut other) = (Row::new(&plan, length), Row::new(&plan, length));
        for sequence in 0..shape.batch {
            let (a, b) = (gathered(shape, a, sequence, block), gathered(shape, b, sequence, block));
            for (channel, sum) in sums.chunks_exact_mut(points).enumerate() {
                let line = channel * shape.time..(channel + 1) * shape.time;
                let (a, b) = (&a[line.clone()], &b[line]);
                let (a, b) = (row.forward(a.iter().copied()), other.forward(b.iter().copied()));
                for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
                    *sum += *a * b.conj();
                }
            }
        }
        for (sum, c) in sums.chunks_exact(points).zip(c.chunks_exact_mut(shape.taps)) {
            row.spectrum.copy_from_slice(sum);
            let made = row.back();
            c[shape.reach()..].fill(T::zero());
            for (c, x) in c.iter_mut().zip(&made[..shape.reach()]) {
                *c = *x * scale;
            }
        }
    });
}

/// The transforms of rows of `length` complex numbers, not scaled, forward or back.
pub fn fourier<T: Real>(
    pool: &Pool,
    length: usize,
    inverse: bool,
    re: &[T],
    im: &[T],
    out_re: &mut [T],
    out_im: &mut [T],
) {
    assert!(re.len() == im.len() && re.len() == out_re.len() && re.len() == out_im.len());
    if re.is_empty() {
        return;
    }
    let plan = planned::<Arc<dyn Fft<T>>>(("complex", length, inverse), || {
        let mut planner = FftPlanner::<T>::new();
        if inverse { planner.plan_fft_inverse(length) } else { planner.plan_fft_forward(length) }
    });
    let size = length * (ROWS / length).max(1);
    let count = re.len().div_ceil(size);
    pool.chunks2(count, (out_re, out_im), [size, size], |task, out_re, out_im| {
        let from = task * size;
        let numbers = re[from..].iter().zip(&im[from..]).take(out_re.len());
        let mut rows: Vec<Complex<T>> = numbers.map(|(re, im)| Complex::new(*re, *im)).collect();
        let mut scratch = vec![Complex::new(T::zero(), T::zero()); plan.get_inplace_scratch_len()];
        plan.process_with_scratch(&mut rows, &mut scratch);
        for ((z, re), im) in rows.iter().zip(out_re).zip(out_im) {
            (*re, *im) = (z.re, z.im);
        }
    });
}
