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
    ("L1", Some(48 << 10), false, [250.0, 500.0], [120.0, 240.0]),
    ("L2", Some(1 << 20), false, [120.0, 240.0], [80.0, 160.0]),
    ("L3", Some(32 << 20), true, [60.0, 110.0], [40.0, 70.0]),
    ("memory", None, true, [28.0, 45.0], [14.0, 22.0]),
];

/// Run, barrier, gain, overlap.
const FIXED: [f64; 4] = [500.0, 1200.0, 0.95, 2.0];

/// Nanoseconds a unit, a row and a step.
const REFERENCE: &[(Kernel, f64, f64, f64)] = &[(Kernel::Simple, 0.05, 0.0, 400.0)];
