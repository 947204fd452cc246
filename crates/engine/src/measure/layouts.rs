//! Which packing of trits is read faster here: two bits, or five trits a byte.
//!
//! Two bits cost more bandwidth, five trits a byte more instructions. On one core of a Zen 4 server the line between
//! them lies at some 28 GB/s for each core that reads; but what decides is measured: the same product, one token, on
//! weights that no cache holds, the layouts in turn.

use super::{Rate, cold_bytes};
use crate::kernels::packed::{PackedMatrix, matmul_i32};
use crate::pages::Pages;
use crate::pool::Pool;
use axes::TritLayout;
use std::time::{Duration, Instant};

/// Size of the square matrices: that of the projections of a model of 2 to 3 billion weights.
const SIDE: usize = 2560;

/// The speed of one layout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayoutSpeed {
    /// The layout.
    pub layout: TritLayout,
    /// Weights a nanosecond.
    pub weights: Rate,
    /// Packed bytes a nanosecond (GB/s).
    pub bytes: Rate,
}

/// The product of one token with cold weights in the compute layout and in the storage layout, on all threads of a
/// pool, in turn; the faster one by median first. Takes `limit`, once the memory has been made (some 50 ms).
pub fn trit_layouts(pool: &Pool, limit: Duration) -> [LayoutSpeed; 2] {
    // Bytes 0x01 are legal in every layout.
    let mut memory = Pages::new(cold_bytes().min(384 << 20), false);
    memory.fill(1);
    let memory = &*memory;
    let x: Vec<i8> = (0..SIDE).map(|i| (i * 37 % 255) as u8 as i8).collect();
    let mut acc = vec![0; SIDE];
    let layouts = [TritLayout::Compute, TritLayout::Storage];
    let size = |layout: TritLayout| layout.row_bytes(SIDE) * SIDE;
    let mut times: [Vec<f64>; 2] = Default::default();
    let start = Instant::now();
    let mut at = 0;
    while times[1].len() < 8 || start.elapsed() < limit {
        for (layout, times) in layouts.into_iter().zip(&mut times) {
            let size = size(layout);
            // A few in a row, then the other: phases of the memory last longer than that.
            for _ in 0..4 {
                if at + size > memory.len() {
                    at = 0;
                }
                let Some(w) = PackedMatrix::new(layout, SIDE, SIDE, &memory[at..at + size]) else { continue };
                let once = Instant::now();
                matmul_i32(pool, &x, 1, w, &mut acc);
                times.push(once.elapsed().as_secs_f64());
                at += size;
            }
        }
    }
    let speed = |layout: TritLayout, times: &[f64]| LayoutSpeed {
        layout,
        weights: Rate::new((SIDE * SIDE) as f64, times),
        bytes: Rate::new(size(layout) as f64, times),
    };
    let [compute, storage] = [speed(layouts[0], &times[0]), speed(layouts[1], &times[1])];
    if storage.weights.median > compute.weights.median { [storage, compute] } else { [compute, storage] }
}
