//! The linear recurrence h_t = f_t * h_(t-1) + x_t (HGRN, MLGRU and their kin), and the causal depthwise
//! convolution that often stands before it.
//!
//! Layout is `(B, T, D)` throughout: time steps of one channel lie D apart, so loops run over channels, which
//! vectorise, and the state of the previous step is in cache. Tasks are (sequence, block of channels).
#![allow(unsafe_code)]

mod conv;
mod linear;
mod matrix;
mod scalar;
mod selective;
mod ssd;
mod steps;

pub use conv::{ConvShape, conv1d_causal_depthwise, conv1d_causal_depthwise_grad};
pub use linear::{linear_scan, linear_scan_chunked, linear_scan_chunked_scratch, linear_scan_grad};
pub use matrix::{MatrixCotangents, MatrixGiven, MatrixGrads, MatrixShape, mlstm, mlstm_grad};
pub use scalar::{ScalarCotangents, ScalarGiven, ScalarShape, slstm, slstm_grad};
pub use selective::{Selective, SelectiveGrads, SelectiveShape, selective_scan, selective_scan_grad};
pub use ssd::{SsdGiven, SsdGrads, SsdShape, ssd, ssd_grad};

/// Channels of a task: the state of a block stays in the first-level cache, and rows are read in whole pages.
const CHANNELS: usize = premap::cut::CHANNELS;

/// Sizes of a batch of sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanShape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// D.
    pub channels: usize,
}

impl ScanShape {
    /// B * T * D.
    pub fn len(self) -> usize {
        self.batch * self.time * self.channels
    }

    /// Whether there is nothing to compute.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// B * D.
    pub fn state_len(self) -> usize {
        self.batch * self.channels
    }

    fn channel_blocks(self) -> usize {
        self.channels.div_ceil(CHANNELS)
    }

    fn check(self, name: &str, len: usize) {
        assert_eq!(len, self.len(), "{name} is (B, T, D) = {self:?}");
    }

    fn check_state(self, name: &str, len: usize) {
        assert_eq!(len, self.state_len(), "{name} is (B, D) = {self:?}");
    }
}
