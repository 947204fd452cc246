//! Machines that nobody here has: figures of data sheets, for rooflines.
//!
//! Each names its document. Peaks are dense ones (no structured sparsity), of all units together. A class without a figure
//! counts as free, and so do launches and barriers, which data sheets do not give: what comes out is a bound from below.

use crate::machine::{Class, Level, Machine, Rate, Source};
use crate::{Kernel, machine};
use std::collections::BTreeMap;

struct Sheet {
    name: &'static str,
    note: &'static str,
    /// Last cache or memory on the chip: name, bytes.
    near: (&'static str, u64),
    /// GB/s of the memory.
    memory: f64,
    /// Operations a nanosecond (TOPS × 1000).
    int8: f64,
    f32: Option<f64>,
}

const SHEETS: [Sheet; 7] = [
    Sheet {
        name: "nvidia-h100-sxm",
        note: "NVIDIA H100 data sheet (SXM5): 3.35 TB/s, int8 1979 TOPS and f32 67 TFLOPS dense, L2 50 MB",
        near: ("L2", 50 << 20),
        memory: 3350.0,
        int8: 1_979e3,
        f32: Some(67e3),
    },
    Sheet {
        name: "nvidia-a100-80gb",
        note: "NVIDIA A100 80GB data sheet (SXM): 2039 GB/s, int8 624 TOPS and f32 19.5 TFLOPS dense, L2 40 MB",
        near: ("L2", 40 << 20),
        memory: 2039.0,
        int8: 624e3,
        f32: Some(19.5e3),
    },
    Sheet {
        name: "nvidia-rtx-4090",
        note: "NVIDIA Ada GPU architecture paper (RTX 4090): 1008 GB/s, int8 660.6 TOPS and f32 82.6 TFLOPS dense, L2 72 MB",
        near: ("L2", 72 << 20),
        memory: 1008.0,
        int8: 660.6e3,
        f32: Some(82.6e3),
    },
    Sheet {
        name: "amd-mi300x",
        note: "AMD Instinct MI300X data sheet: 5.3 TB/s, int8 2614.9 TOPS and f32 163.4 TFLOPS dense, Infinity Cache 256 MB",
        near: ("L3", 256 << 20),
        memory: 5300.0,
        int8: 2_614.9e3,
        f32: Some(163.4e3),
    },
    Sheet {
        name: "tenstorrent-n300",
        note: "Tenstorrent Wormhole n300 product page: 576 GB/s, block FP8 466 TFLOPS in place of int8, SRAM 192 MB; no f32 figure",
        near: ("SRAM", 192 << 20),
        memory: 576.0,
        int8: 466e3,
        f32: None,
    },
    Sheet {
        name: "tenstorrent-p150",
        note: "Tenstorrent Blackhole p150 product page: 512 GB/s, block FP8 774 TFLOPS in place of int8, SRAM 210 MB; no f32 figure",
        near: ("SRAM", 210 << 20),
        memory: 512.0,
        int8: 774e3,
        f32: None,
    },
    Sheet {
        name: "fpga-alveo-u280",
        note: "AMD UG1393: HBM 460 GB/s; PG367: 17203 GOPS int8 of the DPUCAHX8H on this card; on-chip memory 41 MB (DS963)",
        near: ("on chip", 41 << 20),
        memory: 460.0,
        int8: 17_203.0,
        f32: None,
    },
];

impl Sheet {
    fn machine(&self) -> Machine {
        // Data sheets name no bandwidth of what is on the chip: it counts as free.
        const FREE: [f64; 2] = [1e9, 1e9];
        let level = |name: &str, bytes, rate: [f64; 2]| Level {
            name: name.into(),
            bytes,
            shared: true,
            read: rate,
            write: rate,
        };
        let mut peaks = BTreeMap::from([(Class::Int8, self.int8)]);
        peaks.extend(self.f32.map(|x| (Class::F32, x)));
        Machine {
            name: self.name.into(),
            source: Source::Datasheet,
            note: self.note.into(),
            threads: 1,
            levels: vec![
                level(self.near.0, Some(self.near.1), FREE),
                level("memory", None, [self.memory; 2]),
            ],
            kernels: BTreeMap::new(),
            peaks,
            run: 0.0,
            barrier: 0.0,
            gain: 1.0,
            overlap: 1e3,
        }
    }
}

impl Machine {
    /// Names of the machines of [`Machine::preset`].
    pub fn presets() -> impl Iterator<Item = &'static str> {
        SHEETS.iter().map(|s| s.name)
    }

    /// A machine by the figures of its data sheet.
    ///
    /// ```
    /// use premap::machine::Machine;
    /// let m = Machine::preset("nvidia-h100-sxm").unwrap();
    /// assert!(m.is_bound() && m.fault().is_none() && m.note.contains("data sheet"));
    /// ```
    pub fn preset(name: &str) -> Option<Machine> {
        SHEETS.iter().find(|s| s.name == name).map(Sheet::machine)
    }

    /// Figures of a core with AVX-512 at about 4 GHz, for plans on a machine that has not been measured.
    pub fn reference() -> Machine {
        let level = |name: &str, bytes: Option<u64>, shared, read, write| Level {
            name: name.into(),
            bytes,
            shared,
            read,
            write,
        };
        let rates =
            REFERENCE.iter().map(|(k, unit, row, step)| (*k, Rate { unit: *unit, row: *row, step: *step }));
        Machine {
            name: "reference".into(),
            source: machine::Source::Default,
            note: "figures of one server processor (Zen 5, two cores), not of this machine".into(),
            threads: 2,
            levels: LEVELS
                .map(|(name, bytes, shared, read, write)| level(name, bytes, shared, read, write))
                .into(),
            kernels: rates.collect(),
            peaks: BTreeMap::new(),
            run: FIXED[0],
            barrier: FIXED[1],
            gain: FIXED[2],
            overlap: FIXED[3],
        }
    }
}

type LevelRow = (&'static str, Option<u64>, bool, [f64; 2], [f64; 2]);

/// Name, bytes, shared, GB/s read and written by one thread and by two.
const LEVELS: [LevelRow; 4] = [
    ("L1", Some(48 << 10), false, [485.0, 930.0], [166.0, 328.0]),
    ("L2", Some(1 << 20), false, [260.0, 510.0], [171.0, 337.0]),
    ("L3", Some(32 << 20), true, [110.0, 212.0], [134.0, 260.0]),
    ("memory", None, true, [42.0, 48.0], [24.0, 30.0]),
];

/// Run, barrier, gain, overlap.
const FIXED: [f64; 4] = [50.0, 505.0, 0.9, 1.0];

/// Nanoseconds a unit, a row and a step.
const REFERENCE: &[(Kernel, f64, f64, f64)] = &[
    (Kernel::Trits, 0.00197, 0.087, 622.0),
    (Kernel::TritsFew, 0.0021, 0.0, 260.0),
    (Kernel::TritBytes, 0.0044, 1.09, 110.0),
    (Kernel::Blocks, 0.0035, 0.231, 8760.0),
    (Kernel::BlocksFew, 0.00937, 1.67, 231.0),
    (Kernel::Gemm, 0.009, 0.0, 163.0),
    (Kernel::Gemv, 0.00424, 0.0, 75.0),
    (Kernel::Floats, 0.127, 0.0, 0.0),
    (Kernel::Stream, 0.0, 0.0, 0.0),
    (Kernel::Simple, 0.0542, 0.0, 220.0),
    (Kernel::Divide, 0.0461, 0.0, 0.0),
    (Kernel::Exp, 0.17, 0.0, 237.0),
    (Kernel::Tanh, 0.253, 0.0, 229.0),
    (Kernel::Log, 0.311, 0.0, 235.0),
    (Kernel::Sine, 7.03, 0.0, 224.0),
    (Kernel::Power, 3.22, 0.0, 0.0),
    (Kernel::Strided, 0.0, 0.0, 0.0),
    (Kernel::Norm, 0.0174, 6.82, 64.7),
    (Kernel::NormQuantise, 0.127, 70.3, 55.5),
    (Kernel::NormFake, 0.142, 39.2, 86.4),
    (Kernel::NormGrad, 0.0386, 16.1, 72.2),
    (Kernel::Quantise, 0.112, 25.5, 71.2),
    (Kernel::QuantiseWeights, 0.072, 0.0, 133.0),
    (Kernel::Scan, 0.0, 4.78, 81.2),
    (Kernel::ScanGrad, 0.0252, 0.79, 124.0),
    (Kernel::Selective, 0.157, 26.7, 178.0),
    (Kernel::SelectiveGrad, 0.354, 46.4, 535.0),
    (Kernel::Attention, 0.039, 40.3, 393.0),
    (Kernel::Rope, 0.353, 0.0, 76.0),
    (Kernel::Softmax, 0.236, 50.0, 101.0),
    (Kernel::SoftmaxGrad, 0.166, 4.0, 46.0),
    (Kernel::Reduce, 0.00377, 13.1, 29.9),
    (Kernel::ReduceColumns, 0.0107, 0.0, 235.0),
    (Kernel::SumProducts, 0.0, 16.5, 36.2),
    (Kernel::Copy, 0.0, 1.96, 22.5),
    (Kernel::Shuffle, 0.116, 0.0, 34.9),
    (Kernel::Rows, 0.0172, 0.954, 49.2),
    (Kernel::Iota, 30.6, 0.0, 89.7),
    (Kernel::Naive, 5.7, 0.0, 188.0),
];
