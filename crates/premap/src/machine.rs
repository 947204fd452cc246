//! A machine as the cost model sees it: data that a measurement or a data sheet fills in.
//!
//! What is measured has a rate for each kind of kernel ([`Kernel`]), taken from small plans that ran on it, and fixed costs.
//! What comes from a data sheet has peaks for classes of operations ([`Class`]) and bandwidths alone: a prediction for it is
//! a roofline (Williams et al. 2009), the time that nothing on that machine can beat, and says so.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A class of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Multiplications and additions of int8 activations with trits or small integers.
    Int8,
    /// Multiplications, additions, divisions and the like of f32.
    F32,
    /// Exponentials and what is made of them.
    Transcendental,
    /// Elements that are moved or converted.
    Moves,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 4] = [Class::Int8, Class::F32, Class::Transcendental, Class::Moves];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Int8 => "int8",
            Class::F32 => "f32",
            Class::Transcendental => "transcendental",
            Class::Moves => "moves",
        }
    }
}

macro_rules! kernels {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $unit:literal, $class:ident, $ops:literal;)*) => {
        /// A kind of inner loop, with a rate of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kernel { $($(#[$doc])* #[serde(rename = $text)] $name),* }

        impl Kernel {
            /// Every kernel.
            pub const ALL: &'static [Kernel] = &[$(Kernel::$name),*];

            /// The name in reports and files.
            pub const fn name(self) -> &'static str { match self { $(Kernel::$name => $text),* } }

            /// What its work is counted in.
            pub const fn unit(self) -> &'static str { match self { $(Kernel::$name => $unit),* } }

            /// The class of its operations, and how many a unit stands for.
            pub const fn operations(self) -> (Class, f64) {
                match self { $(Kernel::$name => (Class::$class, $ops)),* }
            }
        }
    };
}

kernels! {
    /// Packed trits with many tokens.
    Trits = "trits", "multiply-add", Int8, 2.0;
    /// Packed trits with few tokens: one pass over the weights.
    TritsFew = "trits_few", "multiply-add", Int8, 2.0;
    /// Trits of one byte each.
    TritBytes = "trit_bytes", "multiply-add", Int8, 2.0;
    /// Weights in blocks with many tokens.
    Blocks = "blocks", "multiply-add", Int8, 2.0;
    /// Weights in blocks with few tokens.
    BlocksFew = "blocks_few", "multiply-add", Int8, 2.0;
    /// Products of floats.
    Gemm = "gemm", "multiply-add", F32, 2.0;
    /// Products of floats with few rows or columns.
    Gemv = "gemv", "multiply-add", F32, 2.0;
    /// Int8 or trits that become floats before a product.
    Floats = "floats", "element", Moves, 1.0;
    /// A load or a store of a fused group.
    Stream = "stream", "element", Moves, 1.0;
    /// An operation of a fused group.
    Simple = "simple", "element", F32, 1.0;
    /// A division or a root of a fused group.
    Divide = "divide", "element", F32, 1.0;
    /// Exponential, logistic function, SiLU of a fused group.
    Exp = "exp", "element", Transcendental, 1.0;
    /// Hyperbolic tangent.
    Tanh = "tanh", "element", Transcendental, 1.0;
    /// Logarithm.
    Log = "log", "element", Transcendental, 1.0;
    /// Sine and cosine.
    Sine = "sine", "element", Transcendental, 1.0;
    /// Power.
    Power = "power", "element", Transcendental, 2.0;
    /// A load of a fused group that jumps.
    Strided = "strided", "element", Moves, 1.0;
    /// RMS norm.
    Norm = "norm", "element", F32, 4.0;
    /// RMS norm and quantiser.
    NormQuantise = "norm_quantise", "element", F32, 8.0;
    /// The same with the numbers that the int8 stand for.
    NormFake = "norm_fake_quantise", "element", F32, 9.0;
    /// Gradients of the norm.
    NormGrad = "norm_grad", "element", F32, 10.0;
    /// Quantiser of activations.
    Quantise = "quantise", "element", F32, 4.0;
    /// Quantiser of weights, to bytes, to packed trits or to floats.
    QuantiseWeights = "quantise_weights", "element", F32, 4.0;
    /// Linear scan.
    Scan = "scan", "element", F32, 2.0;
    /// Its gradients.
    ScanGrad = "scan_grad", "element", F32, 3.0;
    /// Selective scan.
    Selective = "selective", "step of a state", F32, 8.0;
    /// Its gradients.
    SelectiveGrad = "selective_grad", "step of a state", F32, 21.0;
    /// Attention over a cache.
    Attention = "attention", "multiply-add", F32, 2.0;
    /// Rotation by positions.
    Rope = "rope", "element", F32, 3.0;
    /// Cross entropy.
    Softmax = "softmax", "element", Transcendental, 1.0;
    /// Its gradient.
    SoftmaxGrad = "softmax_grad", "element", Transcendental, 1.0;
    /// Folds of rows.
    Reduce = "reduce", "element", F32, 1.0;
    /// Folds of columns.
    ReduceColumns = "reduce_columns", "element", F32, 1.0;
    /// Sums of products of rows.
    SumProducts = "sum_products", "element", F32, 2.0;
    /// Elements copied in runs.
    Copy = "copy", "element", Moves, 1.0;
    /// Elements copied one by one.
    Shuffle = "shuffle", "element", Moves, 1.0;
    /// Rows looked up.
    Rows = "rows", "element", Moves, 1.0;
    /// Positions along an axis.
    Iota = "iota", "element", Moves, 1.0;
    /// Plain evaluation of an op without a kernel.
    Naive = "naive", "operation", F32, 1.0;
}

impl Kernel {
    /// The kernel of that name.
    pub fn from_name(name: &str) -> Option<Kernel> {
        Kernel::ALL.iter().copied().find(|k| k.name() == name)
    }
}

/// Where a machine's numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Small plans that ran on it.
    Measured,
    /// Figures of one machine of this kind, in place of a measurement.
    Default,
    /// A data sheet: nobody has run anything.
    Datasheet,
}

/// A level of the memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// `L1`, `L2`, `L3`, `memory`.
    pub name: String,
    /// Bytes that it holds for one thread; `None` for the last one, which holds everything.
    pub bytes: Option<u64>,
    /// Whether all threads share it; else each has one.
    pub shared: bool,
    /// Bytes a nanosecond (GB/s) read by one thread and by all.
    pub read: [f64; 2],
    /// The same written.
    pub write: [f64; 2],
}

/// The speed of a kernel on one thread, its data in the nearest cache.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Nanoseconds a unit.
    pub unit: f64,
    /// Nanoseconds more for each row: of a norm, an output of a product, a run of a copy.
    #[serde(default)]
    pub row: f64,
    /// Nanoseconds of a step, whatever its size.
    pub step: f64,
}

/// A machine.
///
/// ```
/// use premap::machine::Machine;
/// let m = Machine::reference();
/// let text = serde_json::to_string(&m).unwrap();
/// assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), m);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// What it is called.
    pub name: String,
    /// Where the numbers come from.
    pub source: Source,
    /// What document, or what was measured.
    pub note: String,
    /// Threads (or devices' own units) that "all" stands for.
    pub threads: usize,
    /// Levels of memory, nearest first.
    pub levels: Vec<Level>,
    /// Rates of kernels; empty where only peaks are known.
    pub kernels: BTreeMap<Kernel, Rate>,
    /// Peaks of all threads together, operations a nanosecond, for kernels without a rate.
    pub peaks: BTreeMap<Class, f64>,
    /// Nanoseconds of a run of a plan, whatever it does.
    pub run: f64,
    /// Nanoseconds of handing a round of tasks to all threads and waiting for the last.
    pub barrier: f64,
    /// What a further thread adds to the speed of arithmetic: 1 is all of it.
    pub gain: f64,
    /// How arithmetic and traffic overlap: the time of both is (aᵖ + bᵖ)^(1/p); 1 is not at all, large is wholly.
    pub overlap: f64,
}

impl Machine {
    /// Nanoseconds that a unit of a kernel takes on one thread, and the fixed ones of its step.
    pub fn rate(&self, kernel: Kernel) -> Rate {
        self.kernels.get(&kernel).copied().unwrap_or_else(|| {
            let (class, operations) = kernel.operations();
            let peak = self.peaks.get(&class).or_else(|| self.peaks.get(&Class::F32)).copied();
            let one = peak.unwrap_or(f64::INFINITY) / self.threads.max(1) as f64;
            Rate { unit: operations / one, row: 0.0, step: 0.0 }
        })
    }

    /// A bandwidth for this many threads: that of one times their number, and at most that of all.
    pub fn bandwidth(&self, of: [f64; 2], threads: usize) -> f64 {
        (of[0] * threads as f64).min(of[1].max(of[0])).max(1e-9)
    }

    /// How much faster `tasks` equal tasks run on this many threads than on one.
    pub fn speedup(&self, tasks: usize, threads: usize) -> f64 {
        let (tasks, threads) = (tasks.max(1), threads.max(1));
        let ideal = tasks as f64 / tasks.div_ceil(threads) as f64;
        1.0 + (ideal - 1.0) * self.gain
    }

    /// Bytes that a level holds for so many threads; `None` for the last.
    pub fn capacity(&self, level: usize, threads: usize) -> Option<f64> {
        let level = &self.levels[level];
        Some(
            level.bytes? as f64
                * if level.shared { 1.0 } else { threads.clamp(1, self.threads.max(1)) as f64 },
        )
    }

    /// Whether a prediction is a bound rather than an expectation.
    pub fn is_bound(&self) -> bool {
        self.source == Source::Datasheet
    }

    /// What is wrong with it, if anything: a file that somebody wrote.
    pub fn fault(&self) -> Option<String> {
        let sound = |x: &f64| x.is_finite() && *x >= 0.0;
        let positive = |x: &f64| x.is_finite() && *x > 0.0;
        if self.levels.last().is_none_or(|l| l.bytes.is_some()) {
            return Some("its last level of memory must hold everything (bytes: null)".into());
        }
        if let Some(l) = self.levels.iter().find(|l| !l.read.iter().chain(&l.write).all(positive)) {
            return Some(format!("the level {} has a bandwidth that is not above 0", l.name));
        }
        if let Some((k, _)) = self.kernels.iter().find(|(_, r)| ![r.unit, r.row, r.step].iter().all(sound)) {
            return Some(format!("the rate of {} is negative or no number", k.name()));
        }
        if !(self.peaks.values().all(positive) && [self.run, self.barrier, self.gain].iter().all(sound)) {
            return Some("a peak or a fixed cost is negative or no number".into());
        }
        let exponent = self.overlap.is_finite() && self.overlap >= 1.0;
        (!exponent || self.threads == 0).then(|| "overlap and threads must be at least 1".into())
    }
}
