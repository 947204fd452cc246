//! Targets, and how a ternary accumulation goes through the memory of each.

use std::fmt;

/// Kinds of machine that a kernel is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardwareTarget {
    /// This computer's processor.
    Cpu,
    /// A GPU with warps of 32.
    Nvidia,
    /// A GPU with wavefronts of 64.
    Amd,
    /// Tensix cores.
    Tenstorrent,
    /// Block RAM and fabric.
    Fpga,
}

impl fmt::Display for HardwareTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HardwareTarget::Cpu => "cpu",
            HardwareTarget::Nvidia => "nvidia",
            HardwareTarget::Amd => "amd",
            HardwareTarget::Tenstorrent => "tenstorrent",
            HardwareTarget::Fpga => "fpga",
        })
    }
}

/// How a kernel goes through its memory. `Display` says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryPattern {
    /// Rows in groups, so that a vector of the input that was loaded once serves every row of the group.
    VectorTiles {
        /// Rows of a group.
        rows: usize,
        /// Inputs of a vector.
        lanes: usize,
        /// Inputs of a row behind the last whole vector.
        tail: usize,
    },
    /// Neighbouring threads read neighbouring words of 16 trits; a block shares its part of the input.
    CacheOptimizedCoalesced {
        /// Threads of a block, each with one output.
        threads: usize,
        /// Inputs that a block holds in shared memory at a time.
        columns: usize,
    },
    /// A wavefront for each group of outputs, its partial sums joined across lanes.
    WavefrontOptimized {
        /// Lanes.
        lanes: usize,
        /// Wavefronts of a workgroup.
        wavefronts: usize,
    },
    /// Tiles of 32 by 32 that data movement brings into a core's memory while another is computed.
    TensixVectorized {
        /// Side of a tile.
        tile: usize,
        /// Tiles in flight.
        tiles: usize,
    },
    /// Weights stay in block RAM, two bits each, spread over banks that are read in one cycle.
    BlockRamOptimized {
        /// Banks, each with its own adder.
        banks: usize,
        /// Trits of a word.
        trits: usize,
    },
}

impl MemoryPattern {
    /// The pattern for these sizes on a target; `block` is the size that was asked for, cut to what the target has.
    pub fn choose(target: HardwareTarget, inputs: usize, outputs: usize, block: usize) -> MemoryPattern {
        let block = block.max(1);
        match target {
            HardwareTarget::Cpu if inputs < 16 => MemoryPattern::VectorTiles { rows: 1, lanes: 1, tail: 0 },
            HardwareTarget::Cpu => {
                MemoryPattern::VectorTiles { rows: 4.min(outputs.max(1)), lanes: 16, tail: inputs % 16 }
            }
            HardwareTarget::Nvidia => MemoryPattern::CacheOptimizedCoalesced {
                threads: block.min(1024).next_multiple_of(32),
                // 4 bytes an input in 16 KiB, so that several blocks share a multiprocessor.
                columns: inputs.min(4096),
            },
            HardwareTarget::Amd => {
                MemoryPattern::WavefrontOptimized { lanes: 64, wavefronts: block.div_ceil(64).min(16) }
            }
            HardwareTarget::Tenstorrent => {
                MemoryPattern::TensixVectorized { tile: 32, tiles: block.div_ceil(32).max(2) }
            }
            HardwareTarget::Fpga => {
                MemoryPattern::BlockRamOptimized { banks: block.next_power_of_two().min(256), trits: 36 }
            }
        }
    }
}

impl fmt::Display for MemoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryPattern::VectorTiles { rows, lanes: 1, .. } => {
                write!(f, "{rows} row at a time, input by input: a row is shorter than a vector")
            }
            MemoryPattern::VectorTiles { rows, lanes, tail } => write!(
                f,
                "rows in groups of {rows}, vectors of {lanes} inputs, {tail} inputs one by one: each vector of the input is loaded \
                 once for the whole group, and {rows} sums hide the latency of the additions"
            ),
            MemoryPattern::CacheOptimizedCoalesced { threads, columns } => write!(
                f,
                "blocks of {threads} threads, one output each, {columns} inputs in shared memory: whole warps read consecutive words"
            ),
            MemoryPattern::WavefrontOptimized { lanes, wavefronts } => write!(
                f,
                "{wavefronts} wavefronts of {lanes} lanes a workgroup: a row's words lie across the lanes and are joined there"
            ),
            MemoryPattern::TensixVectorized { tile, tiles } => write!(
                f,
                "{tiles} tiles of {tile} x {tile} in flight: one is computed while the next is moved into the core's memory"
            ),
            MemoryPattern::BlockRamOptimized { banks, trits } => write!(
                f,
                "{banks} banks of block RAM with words of {trits} trits: every bank gives a word a cycle, and no weight is moved twice"
            ),
        }
    }
}
