//! Looking at a model's trits while it trains: how many flip, how many are zero, how many were never anything else.
//!
//! Training moves float master weights; what the model computes with is their trits, and a trit changes only when its
//! master weight crosses half the matrix's mean magnitude. The loss does not show whether that still happens. A few
//! numbers per matrix do:
//!
//! - **flip rate**: the share of trits that differ from those of the look before. A trit that left and came back
//!   between two looks is not counted. High and steady: the learning rate shakes the weights more than it trains them.
//!   Zero: the ternary model has stopped changing, whatever the master weights still do.
//! - **zeros**: the share of trits that are 0, the sparsity of the model.
//! - **dead weights**: trits that are 0 now and were 0 at every look of the run. This has no window to choose, and it
//!   can only fall from look to look: once a trit has been used it never counts as dead again. (The alternative, "0 and
//!   no flip in the last N looks", rises to the share of all zeros as soon as the learning rate decays, in good runs
//!   and bad ones alike.) **Dead rows** are output units all of whose trits are 0 now: they give 0 for every input.
//!
//! - **distance to the threshold**: how far each |w| is from where its trit changes, in steps of the quantiser, as a
//!   histogram. Weights that crowd at a threshold are those that flip; an empty neighbourhood means that flips are over.
//!
//! Between looks a matrix is kept at two bits a weight. Of the four codes three are trits; the fourth tells a zero that
//! has been something else from one that has not, so the memory of the whole run fits in the same two bits. The
//! codes go into the checkpoint, so that a resumed run counts from the same look as an uninterrupted one.

use crate::checkpoint::Checkpoint;
use crate::error::{Result, TrainError};
use crate::step::TrainState;
use engine::kernels::rows::quantize_weights;
use engine::pool::Pool;
use models::architecture::Architecture;

/// What a checkpoint puts before a matrix's name.
const PREFIX: &str = "trits.";

/// A ternary matrix of the model.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TernaryShape {
    /// The projection: `layers.0.attn.i_proj`, `lm_head`.
    pub name: String,
    /// Output units.
    pub rows: usize,
    /// Inputs of each.
    pub columns: usize,
}

impl TernaryShape {
    /// Number of trits.
    pub fn weights(&self) -> usize {
        self.rows * self.columns
    }
}

/// What a look found in one matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TritCounts {
    /// Trits that differ from the look before.
    pub flips: u64,
    /// Trits that are 0.
    pub zeros: u64,
    /// Trits that are 0 and were 0 at every look of the run.
    pub dead: u64,
    /// Rows (output units) all of whose trits are 0.
    pub dead_rows: u64,
    /// Weights by the distance |w|/Δ − ½ to their threshold, in bins of [`BIN`] from −½ on; the last holds all beyond.
    pub distance: [u64; BINS],
}

/// Bins of the histogram of distances.
pub const BINS: usize = 16;
/// Width of a bin, in steps of the quantiser.
pub const BIN: f64 = 0.125;

/// What a look found in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TritLook {
    /// Updates done.
    pub step: u64,
    /// Updates done at the look before, from which flips are counted; none at the first look.
    pub since: Option<u64>,
    /// One for each matrix, in the order of [`TritWatch::shapes`].
    pub counts: Vec<TritCounts>,
}

/// One matrix as the last look left it.
struct Watched {
    /// Where its master weights are in the training state.
    parameter: usize,
    /// Four codes a byte, row-major without padding, the first in the low bits: 0 dead, 1 for −1, 2 for +1, 3 resting
    /// (0 now, and not at some look before).
    codes: Vec<u8>,
}

/// Remembers the trits of the last look.
pub struct TritWatch {
    shapes: Vec<TernaryShape>,
    matrices: Vec<Watched>,
    /// The trits of one matrix at a time.
    trits: Vec<i8>,
    last: Option<u64>,
}

impl TritWatch {
    /// A watch on every ternary matrix of a model. A head that shares the embedding's weights is watched through them.
    ///
    /// # Errors
    /// [`TrainError::Mismatch`] if the state lacks a matrix of the model.
    pub fn new(config: &dyn Architecture, state: &TrainState) -> Result<TritWatch> {
        let (mut shapes, mut matrices) = (vec![], vec![]);
        for weight in config.projections() {
            let weight = weight.as_str();
            let find = |wanted: &str| state.names.iter().position(|name| name == wanted);
            let parameter = find(weight).or_else(|| find(config.embedding()));
            let shape = parameter.map(|at| state.parameters[at].shape().to_vec());
            let (Some(parameter), Some(&[rows, columns])) = (parameter, shape.as_deref()) else {
                return Err(TrainError::Mismatch {
                    problem: format!("the training state has no matrix `{weight}`"),
                    remedy: "switch the looks off with `--set train.trits_every=0`",
                });
            };
            let name = weight.trim_start_matches("model.").trim_end_matches(".weight").to_owned();
            matrices.push(Watched { parameter, codes: vec![0; (rows * columns).div_ceil(4)] });
            shapes.push(TernaryShape { name, rows, columns });
        }
        let largest = shapes.iter().map(TernaryShape::weights).max().unwrap_or(0);
        Ok(TritWatch { shapes, matrices, trits: vec![0; largest], last: None })
    }

    /// The matrices, in the order of a look's counts.
    pub fn shapes(&self) -> &[TernaryShape] {
        &self.shapes
    }

    /// Updates done at the last look.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Quantises every matrix by the arithmetic of the training step and compares with the look before.
    pub fn look(&mut self, step: u64, state: &TrainState, pool: &Pool) -> TritLook {
        let since = self.last.replace(step);
        let mut counts = Vec::with_capacity(self.matrices.len());
        for (shape, matrix) in self.shapes.iter().zip(&mut self.matrices) {
            let trits = &mut self.trits[..shape.weights()];
            let weights = state.parameters[matrix.parameter].f32();
            let scale = quantize_weights(pool, weights, trits);
            let mut found = compare(trits, shape.columns, &mut matrix.codes, since.is_none());
            found.distance = distances(weights, scale);
            counts.push(found);
        }
        TritLook { step, since, counts }
    }

    /// The last look for a checkpoint: a name and packed codes for each matrix; nothing before the first look.
    pub fn remembered(&self) -> Vec<(String, &[u8])> {
        let rows = self.shapes.iter().zip(&self.matrices).filter(|_| self.last.is_some());
        rows.map(|(shape, m)| (format!("{PREFIX}{}", shape.name), m.codes.as_slice())).collect()
    }

    /// Takes up the look that a checkpoint remembers, made when `last` updates were done. A checkpoint without one, or
    /// of other sizes, leaves the watch at its beginning: the next look is the first. Returns whether there was one.
    pub fn restore(&mut self, last: u64, checkpoint: &Checkpoint) -> bool {
        let found: Option<Vec<&Vec<u8>>> = (self.shapes.iter().zip(&self.matrices))
            .map(|(shape, matrix)| {
                let name = format!("{PREFIX}{}", shape.name);
                let (_, codes) = checkpoint.bytes.iter().find(|(n, _)| *n == name)?;
                (codes.len() == matrix.codes.len()).then_some(codes)
            })
            .collect();
        let Some(found) = found else { return false };
        self.matrices.iter_mut().zip(found).for_each(|(matrix, codes)| matrix.codes.clone_from(codes));
        self.last = Some(last);
        true
    }
}

/// The histogram of distances to the threshold of weights whose scale is 1/Δ.
fn distances(weights: &[f32], scale: f32) -> [u64; BINS] {
    // Four tables, so that equal neighbours need not wait for one another.
    let mut tables = [[0u32; BINS]; 4];
    let bins = scale / BIN as f32;
    let mut counts = [0; BINS];
    for block in weights.chunks(1 << 20) {
        for four in block.chunks(4) {
            for (table, w) in tables.iter_mut().zip(four) {
                // The conversion saturates, and takes what is not a number to 0.
                table[((w.abs() * bins) as usize).min(BINS - 1)] += 1;
            }
        }
        for table in &mut tables {
            counts.iter_mut().zip(table.iter_mut()).for_each(|(c, n)| *c += u64::from(std::mem::take(n)));
        }
    }
    counts
}

/// Trits of a word of codes.
const LANES: usize = 32;
/// The low bit of each code of a word.
const LOW: u64 = 0x5555_5555_5555_5555;

/// Replaces the codes of a matrix by those of its new trits and counts what changed. At the first look there is nothing
/// to compare with: no trit has flipped, and every zero is dead.
///
/// Thirty-two trits at a time and without a branch on a trit, whose value nothing predicts: a loop over single trits
/// took ten times as long.
fn compare(trits: &[i8], columns: usize, codes: &mut [u8], first: bool) -> TritCounts {
    let mut counts = TritCounts::default();
    for (bytes, trits) in codes.chunks_mut(LANES / 4).zip(trits.chunks(LANES)) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let old = if first { 0 } else { u64::from_le_bytes(word) };
        // The two low bits of a trit: 00, 01 and, for −1, 11.
        let packed = trits.iter().enumerate().fold(0, |w, (i, t)| w | u64::from(*t as u8 & 3) << (2 * i));
        let (nonzero, negative) = (packed & LOW, packed >> 1 & LOW);
        let lanes = LOW >> (64 - 2 * trits.len());
        let (low, high) = (old & LOW, old >> 1 & LOW);
        let (old_minus, old_plus) = (low & !high, high & !low);
        let (minus, plus) = (negative, nonzero & !negative);
        let zeros = lanes & !nonzero;
        let dead = zeros & !(low | high);
        let resting = zeros & (low | high);
        if !first {
            counts.flips += u64::from(((old_minus ^ minus) | (old_plus ^ plus)).count_ones());
        }
        counts.zeros += u64::from(zeros.count_ones());
        counts.dead += u64::from(dead.count_ones());
        let new = minus | resting | (plus | resting) << 1;
        bytes.copy_from_slice(&new.to_le_bytes()[..bytes.len()]);
    }
    let rows = trits.chunks(columns.max(1));
    counts.dead_rows = rows.filter(|row| row.iter().all(|t| *t == 0)).count() as u64;
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng as Random;

    /// The definitions of the module's head, from the trits of every look.
    fn plain(history: &[Vec<i8>], columns: usize) -> TritCounts {
        let now = history.last().unwrap();
        let before = history.len().checked_sub(2).map(|i| &history[i]);
        let mut counts = TritCounts::default();
        for i in 0..now.len() {
            counts.flips += u64::from(before.is_some_and(|b| b[i] != now[i]));
            counts.zeros += u64::from(now[i] == 0);
            counts.dead += u64::from(history.iter().all(|look| look[i] == 0));
        }
        counts.dead_rows = now.chunks(columns).filter(|row| row.iter().all(|t| *t == 0)).count() as u64;
        counts
    }

    #[test]
    fn counts_are_those_of_the_definitions() {
        let mut random = Random::new(3);
        // 35 trits do not fill their last byte; a share of zeros that leaves some rows empty.
        for (rows, columns) in [(7, 5), (1, 1), (8, 4), (3, 1), (5, 37), (4, 32)] {
            let mut codes = vec![0xff; (rows * columns as usize).div_ceil(4)];
            let mut history: Vec<Vec<i8>> = vec![];
            for look in 0..12 {
                let draw = |random: &mut Random| match random.below(8) {
                    0 => 1,
                    1 => -1,
                    _ => 0,
                };
                history.push((0..rows * columns as usize).map(|_| draw(&mut random)).collect());
                let found = compare(history.last().unwrap(), columns as usize, &mut codes, look == 0);
                assert_eq!(found, plain(&history, columns as usize), "look {look} of {rows} x {columns}");
            }
        }
    }

    #[test]
    fn nothing_and_only_zeros_are_no_special_cases() {
        assert_eq!(compare(&[], 0, &mut [], true), TritCounts::default());
        let mut codes = vec![0; 2];
        for first in [true, false] {
            let found = compare(&[0; 6], 3, &mut codes, first);
            assert_eq!(found, TritCounts { zeros: 6, dead: 6, dead_rows: 2, ..Default::default() });
        }
    }

    #[test]
    fn distances_are_counted_in_steps_of_the_quantiser() {
        let mut random = Random::new(5);
        let weights: Vec<f32> = (0..1003).map(|_| random.below(4000) as f32 / 1000.0 - 2.0).collect();
        for step in [0.5f32, 1.0, 0.01] {
            let scaled: Vec<f32> = weights.iter().map(|w| w * step).collect();
            let found = distances(&scaled, 1.0 / step);
            let mut expected = [0; BINS];
            for w in &scaled {
                let distance = f64::from(w.abs() * (1.0 / step)) - 0.5;
                expected[(((distance + 0.5) / BIN) as usize).min(BINS - 1)] += 1;
            }
            let off: u64 = found.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).sum();
            assert!(
                off <= 4,
                "a weight at the edge of a bin may round to either side: {found:?} {expected:?}"
            );
            assert_eq!(found.iter().sum::<u64>(), 1003);
        }
        assert_eq!(distances(&[0.0, 100.0, f32::NAN], 1.0)[..1], [2]);
        assert_eq!(distances(&[], 1.0), [0; BINS]);
    }
}
