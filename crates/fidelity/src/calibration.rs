//! Which packing of trits runs faster on this machine, measured once and remembered.
//!
//! Two bits a weight cost more bandwidth than five trits a byte and fewer instructions, so which is faster depends on how
//! much bandwidth a core gets, and that on the number of threads. [`layout`] measures both on weights that no cache
//! holds ([`engine::measure::trit_layouts`], well under a second) and keeps the result in the user's cache folder, in a
//! file of its own for each processor, number of threads, instruction set and version. A file that cannot be read as such is
//! measured anew, and one that cannot be written is no error: then the next call measures again.

use crate::doctor::processor;
use crate::error::fault;
use axes::TritLayout;
use engine::kernels::simd;
use engine::measure::{Rate, trit_layouts};
use engine::pool::Pool;
use premap::Machine;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time for the two layouts together.
const LIMIT: Duration = Duration::from_millis(600);
/// Part of the file's name; another means that the products have changed.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-1");

/// What was measured, and what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Version of the measurement.
    pub version: String,
    /// The processor's name, empty where the system does not tell.
    pub processor: String,
    /// The instruction set of the kernels.
    pub kernels: String,
    /// Threads of the products.
    pub threads: usize,
    /// Name of the faster layout.
    pub layout: String,
    /// Two bits a weight.
    pub compute: Speed,
    /// Five trits a byte.
    pub storage: Speed,
    /// Seconds since 1970 at which it was measured.
    pub measured: u64,
    /// Whether it comes from the cache.
    #[serde(skip)]
    pub cached: bool,
}

/// Speed of a layout, one token against cold weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// Weights a nanosecond, median.
    pub weights: f64,
    /// The same, best.
    pub weights_best: f64,
    /// Packed bytes a nanosecond (GB/s), median.
    pub gigabytes: f64,
}

impl Calibration {
    /// The layout to pack for this machine.
    pub fn layout(&self) -> TritLayout {
        if self.layout == TritLayout::Storage.name() { TritLayout::Storage } else { TritLayout::Compute }
    }

    /// How much faster it is than the other, by medians.
    pub fn advantage(&self) -> f64 {
        let (a, b) = (self.compute.weights, self.storage.weights);
        a.max(b) / a.min(b)
    }

    /// A line about it.
    pub fn told(&self) -> String {
        format!(
            "{} on {} thread{}: {:.0} weights/ns in two bits ({:.0} GB/s), {:.0} at five a byte ({:.0} GB/s)",
            self.layout,
            self.threads,
            if self.threads == 1 { "" } else { "s" },
            self.compute.weights,
            self.compute.gigabytes,
            self.storage.weights,
            self.storage.gigabytes,
        )
    }

    /// Whether the file holds what belongs under its name: numbers that a measurement can give.
    fn fits(&self, key: &Key) -> bool {
        let faster = if self.storage.weights > self.compute.weights {
            TritLayout::Storage
        } else {
            TritLayout::Compute
        };
        let sound = |speed: &Speed| {
            [speed.weights, speed.weights_best, speed.gigabytes].iter().all(|x| x.is_finite() && *x > 0.0)
        };
        self.version == VERSION
            && self.processor == key.processor
            && self.kernels == key.kernels
            && self.threads == key.threads
            && self.layout == faster.name()
            && sound(&self.compute)
            && sound(&self.storage)
    }
}

/// What a measurement depends on.
struct Key {
    processor: String,
    kernels: &'static str,
    threads: usize,
}

impl Key {
    fn new(threads: usize) -> Key {
        Key { processor: processor().unwrap_or_default(), kernels: simd::level().name(), threads }
    }

    fn file(&self) -> Option<PathBuf> {
        let text = format!("{VERSION}\n{}\n{}\n{}", self.processor, self.kernels, self.threads);
        let name: String = Sha256::digest(text)[..8].iter().map(|b| format!("{b:02x}")).collect();
        Some(cache_folder()?.join(format!("layout-{name}.json")))
    }
}

/// The folder for what can be made again: `fidelity` in `XDG_CACHE_HOME`, or where the system keeps such things; `None`
/// where there is no home.
pub fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || folder("HOME");
    let base = folder("XDG_CACHE_HOME").or_else(|| {
        if cfg!(windows) {
            folder("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            Some(home()?.join("Library/Caches"))
        } else {
            Some(home()?.join(".cache"))
        }
    });
    Some(base?.join("fidelity"))
}

/// The remembered measurement for this many threads, if there is one.
pub fn remembered(threads: usize) -> Option<Calibration> {
    let key = Key::new(threads);
    let found: Calibration = serde_json::from_slice(&std::fs::read(key.file()?).ok()?).ok()?;
    found.fits(&key).then_some(Calibration { cached: true, ..found })
}

/// The layout to pack for this machine and the threads of a pool: remembered, or measured and remembered.
///
/// With `again` it is measured in any case. Takes about 0.7 s where it measures.
pub fn layout(pool: &Pool, again: bool) -> Calibration {
    let threads = pool.threads();
    if let Some(found) = remembered(threads).filter(|_| !again) {
        return found;
    }
    let key = Key::new(threads);
    let speeds = trit_layouts(pool, LIMIT);
    let of = |layout: TritLayout| {
        let found = speeds.iter().find(|speed| speed.layout == layout);
        let (weights, bytes) = found.map_or((Rate::default(), Rate::default()), |s| (s.weights, s.bytes));
        Speed { weights: weights.median, weights_best: weights.best, gigabytes: bytes.median }
    };
    let made = Calibration {
        version: VERSION.into(),
        processor: key.processor.clone(),
        kernels: key.kernels.into(),
        threads,
        layout: speeds[0].layout.name().into(),
        compute: of(TritLayout::Compute),
        storage: of(TritLayout::Storage),
        measured: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
        cached: false,
    };
    // A cache that cannot be written costs the next call a measurement.
    if let (Some(file), Ok(text)) = (key.file(), serde_json::to_vec_pretty(&made)) {
        let folder = file.parent().map(std::fs::create_dir_all);
        if folder.is_some_and(|made| made.is_ok()) {
            let _ = models::atomic::write_bytes(&file, &text);
        }
    }
    made
}

/// Part of the file's name of a measured machine; another means that kernels or the cost model have changed.
const MACHINE_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-machine-1");

/// A machine as `fidelity calibrate` measured it, for the cost model of plans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Version of the measurement.
    pub version: String,
    /// The processor's name, empty where the system does not tell.
    pub processor: String,
    /// The instruction set of the kernels.
    pub kernels: String,
    /// Seconds since 1970 at which it was measured.
    pub measured: u64,
    /// The rates.
    pub machine: Machine,
}

fn machine_file(key: &Key) -> Option<PathBuf> {
    let text = format!("{MACHINE_VERSION}\n{}\n{}\n{}", key.processor, key.kernels, key.threads);
    let name: String = Sha256::digest(text)[..8].iter().map(|b| format!("{b:02x}")).collect();
    Some(cache_folder()?.join(format!("machine-{name}.json")))
}

/// The remembered machine for this many threads, if it has been measured.
pub fn remembered_machine(threads: usize) -> Option<Measured> {
    let key = Key::new(threads);
    let found: Measured = serde_json::from_slice(&std::fs::read(machine_file(&key)?).ok()?).ok()?;
    let fits = found.version == MACHINE_VERSION
        && found.processor == key.processor
        && found.kernels == key.kernels
        && found.machine.threads == threads
        && found.machine.fault().is_none();
    fits.then_some(found)
}

/// Measures this machine and remembers it, in a file of its own beside those of the layouts; the file, where it could be
/// written.
///
/// # Errors
/// A plan that the engine refuses.
pub fn measure_machine(
    threads: usize,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<(Measured, Option<PathBuf>)> {
    let key = Key::new(threads);
    let made = Measured {
        version: MACHINE_VERSION.into(),
        processor: key.processor.clone(),
        kernels: key.kernels.into(),
        measured: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
        machine: crate::premapping::calibrate::measure(threads, say)?,
    };
    let written = machine_file(&key).filter(|file| {
        let folder = file.parent().map(std::fs::create_dir_all).is_some_and(|made| made.is_ok());
        let text = serde_json::to_vec_pretty(&made).unwrap_or_default();
        folder && models::atomic::write_bytes(file, &text).is_ok()
    });
    Ok((made, written))
}

/// The machine that a prediction is for: a name of a data sheet, a file, or, unnamed, this one as it was measured, else
/// reference figures.
///
/// # Errors
/// A name that is neither, a file that holds no machine.
pub fn machine(name: Option<&str>, threads: usize) -> anyhow::Result<Machine> {
    let Some(name) = name else {
        // A machine that was measured with all threads knows what one does.
        let all = || remembered_machine(std::thread::available_parallelism().map_or(1, usize::from));
        let found = remembered_machine(threads).or_else(|| all().filter(|m| threads <= m.machine.threads));
        return Ok(found.map_or_else(Machine::reference, |m| m.machine));
    };
    if let Some(preset) = Machine::preset(name) {
        return Ok(preset);
    }
    if name == "reference" {
        return Ok(Machine::reference());
    }
    let names: Vec<_> = Machine::presets().collect();
    let remedy = format!(
        "name a file that `fidelity calibrate --out` wrote, `reference`, or one of {}",
        names.join(", ")
    );
    let Ok(text) = std::fs::read(name) else {
        return fault(format!("there is no machine `{name}`, and no such file"), remedy);
    };
    // A bare machine, or the file of the cache, which has one inside.
    let read = serde_json::from_slice::<Machine>(&text)
        .or_else(|_| serde_json::from_slice::<Measured>(&text).map(|m| m.machine));
    match read {
        Ok(machine) => match machine.fault() {
            None => Ok(machine),
            Some(problem) => fault(format!("{name}: {problem}"), remedy),
        },
        Err(error) => fault(format!("{name}: expected a machine as JSON: {error}"), remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(threads: usize) -> Calibration {
        let key = Key::new(threads);
        Calibration {
            version: VERSION.into(),
            processor: key.processor,
            kernels: key.kernels.into(),
            threads,
            layout: "storage".into(),
            compute: Speed { weights: 100.0, weights_best: 120.0, gigabytes: 25.0 },
            storage: Speed { weights: 125.0, weights_best: 130.0, gigabytes: 25.0 },
            measured: 1,
            cached: false,
        }
    }

    #[test]
    fn a_file_that_says_something_else_is_not_believed() {
        let key = Key::new(2);
        let good = sample(2);
        assert!(good.fits(&key) && good.layout() == TritLayout::Storage);
        assert!((good.advantage() - 1.25).abs() < 1e-12);
        let mut wrong = vec![sample(3)];
        wrong.push(Calibration { layout: "compute".into(), ..good.clone() });
        wrong.push(Calibration { version: "0".into(), ..good.clone() });
        wrong.push(Calibration { compute: Speed { weights: f64::NAN, ..good.compute }, ..good.clone() });
        wrong.push(Calibration { storage: Speed { gigabytes: -1.0, ..good.storage }, ..good });
        assert!(wrong.iter().all(|c| !c.fits(&key)));
    }
}
