//! What this computer has: instruction sets, memory, data, and the tools that later targets hand their text to.
//!
//! No tool is needed to build, train or run on the CPU. Each row says what a missing one would be for, how to get it,
//! and what works without it.

use crate::calibration::{self, Calibration};
use engine::kernels::simd;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The findings.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this program.
    pub version: &'static str,
    /// The processor.
    pub cpu: Cpu,
    /// Memory, where the system tells.
    pub memory: Option<Memory>,
    /// The layout of trits that was found to be the faster one on all threads, if that has been measured.
    pub layout: Option<Calibration>,
    /// The folder of golden data.
    pub golden: Golden,
    /// Tools of the targets beyond this CPU.
    pub tools: Vec<Tool>,
}

/// The processor.
#[derive(Clone, Debug, Serialize)]
pub struct Cpu {
    /// Its name, where the system tells.
    pub name: Option<String>,
    /// Architecture.
    pub arch: &'static str,
    /// Threads that may run at once.
    pub threads: usize,
    /// Instruction sets that matter here, and whether they are there.
    pub features: Vec<Feature>,
    /// The form of the kernels that is in use: `avx2` or `portable`.
    pub kernels: &'static str,
}

/// An instruction set.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// Whether the processor has it.
    pub present: bool,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// In the machine, or what this process may use of it.
    pub total: u64,
    /// Free for new programs.
    pub available: u64,
}

/// The golden data.
#[derive(Clone, Debug, Serialize)]
pub struct Golden {
    /// Where it was found.
    pub folder: Option<PathBuf>,
    /// How to get it, and what works without.
    pub remedy: &'static str,
}

/// A tool of another target.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// What was found: a path, or a version.
    pub found: Option<String>,
    /// How to get it.
    pub install: &'static str,
    /// What works without it.
    pub without: &'static str,
}

/// How a tool is looked for.
enum Search {
    /// The first of these programs on the search path.
    Program(&'static [&'static str]),
    /// A Python package.
    Python(&'static str),
}

const CPU_STAYS: &str = "training, evaluation and generation on this CPU";

/// Name, search, purpose, how to get it, what works without it.
const TOOLS: [(&str, Search, &str, &str, &str); 9] = [
    (
        "aarch64 gcc",
        Search::Program(&["aarch64-linux-gnu-gcc"]),
        "linking libraries for aarch64",
        "apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        "static libraries for aarch64, which need no linker here",
    ),
    (
        "riscv64 gcc",
        Search::Program(&["riscv64-linux-gnu-gcc"]),
        "linking libraries for riscv64",
        "apt install gcc-riscv64-linux-gnu libc6-dev-riscv64-cross",
        "static libraries for riscv64, which need no linker here",
    ),
    (
        "qemu",
        Search::Program(&["qemu-aarch64", "qemu-riscv64"]),
        "running what was compiled for aarch64 and riscv64",
        "apt install qemu-user",
        "compiling for them",
    ),
    (
        "python3",
        Search::Program(&["python3"]),
        "running the Triton and CIRCT packages",
        "apt install python3 python3-venv",
        "everything but the NVIDIA, AMD and FPGA targets",
    ),
    (
        "triton",
        Search::Python("triton"),
        "kernels for NVIDIA and AMD",
        "python3 -m pip install triton",
        "everything but the NVIDIA and AMD targets",
    ),
    (
        "circt (pycde)",
        Search::Python("pycde"),
        "Verilog from MLIR, FPGA target",
        "python3 -m pip install pycde",
        "everything but the FPGA target",
    ),
    (
        "verilator",
        Search::Program(&["verilator"]),
        "simulating the FPGA target",
        "apt install verilator",
        "everything but simulation of the FPGA target",
    ),
    (
        "yosys",
        Search::Program(&["yosys"]),
        "synthesis for the FPGA target",
        "apt install yosys",
        "everything but synthesis; simulation of the FPGA target still works",
    ),
    (
        "nextpnr",
        Search::Program(&["nextpnr-ecp5", "nextpnr-ice40", "nextpnr-himbaechel", "nextpnr-generic"]),
        "placing and routing for the FPGA target",
        "apt install nextpnr-ecp5",
        "everything but timing and bitstreams of the FPGA target",
    ),
];

/// The tools that compile: LLVM's and MLIR's, of the one version whose text they are given, and a linker.
fn compiler() -> Vec<Tool> {
    let found = |tool: alex::toolchain::Tool| match tool.find().and_then(|at| Ok((at.version()?, at.path))) {
        Ok((version, path)) => {
            let number = version.split("version ").nth(1).unwrap_or(&version).to_owned();
            Some(format!("{number}  {}", path.display()))
        }
        Err(_) => None,
    };
    let row = |tool: alex::toolchain::Tool| Tool {
        name: tool.name(),
        purpose: tool.purpose(),
        found: found(tool),
        install: tool.install(),
        without: "everything but `compile` and `--engine compiled`",
    };
    alex::toolchain::Tool::ALL.into_iter().map(row).collect()
}

impl Report {
    /// Looks at this computer. Asks the compiler's tools for their versions, starts `python3` once, if there is one, and no
    /// other program.
    pub fn new() -> Report {
        let modules: Vec<&str> = TOOLS
            .iter()
            .filter_map(|t| if let Search::Python(module) = t.1 { Some(module) } else { None })
            .collect();
        let installed = python_packages(&modules);
        let tools = compiler()
            .into_iter()
            .chain(TOOLS.iter().map(|(name, search, purpose, install, without)| Tool {
                name,
                purpose,
                found: match search {
                    Search::Program(names) => {
                        names.iter().find_map(|n| on_path(n)).map(|p| p.display().to_string())
                    }
                    Search::Python(module) => {
                        installed.iter().find(|(m, _)| m == module).map(|(_, version)| version.clone())
                    }
                },
                install,
                without,
            }))
            .collect();
        let cpu = cpu();
        let layout = calibration::remembered(cpu.threads);
        Report { version: env!("CARGO_PKG_VERSION"), cpu, memory: memory(), layout, golden: golden(), tools }
    }
}

impl Default for Report {
    fn default() -> Report {
        Report::new()
    }
}

/// The processor's name, where the system tells.
pub fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines = info.lines();
    lines.find_map(|l| l.strip_prefix("model name")?.split_once(':').map(|x| x.1.trim().to_owned()))
}

fn cpu() -> Cpu {
    let kernels = simd::level().name();
    let name = processor();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Cpu { name, arch: std::env::consts::ARCH, threads, features: features(), kernels }
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<Feature> {
    use std::arch::is_x86_feature_detected as has;
    vec![
        Feature { name: "avx2", present: has!("avx2") },
        Feature { name: "fma", present: has!("fma") },
        Feature { name: "avx512vnni", present: has!("avx512vnni") },
    ]
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<Feature> {
    use std::arch::is_aarch64_feature_detected as has;
    vec![
        Feature { name: "neon", present: has!("neon") },
        Feature { name: "dotprod", present: has!("dotprod") },
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<Feature> {
    vec![]
}

/// Linux's own account, cut to the limit of the control group that this process is in.
fn memory() -> Option<Memory> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
    };
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let (mut total, mut available) = (field("MemTotal")?, field("MemAvailable")?);
    if let Some(limit) = read("/sys/fs/cgroup/memory.max") {
        let used = read("/sys/fs/cgroup/memory.current").unwrap_or(0);
        total = total.min(limit);
        available = available.min(limit.saturating_sub(used));
    }
    Some(Memory { total, available })
}

fn golden() -> Golden {
    let named = std::env::var_os("FIDELITY_GOLDEN").map(PathBuf::from);
    let places = [named, Some("tests/golden".into()), Some("../shared/golden".into())];
    Golden {
        folder: places.into_iter().flatten().find(|p| p.is_dir()),
        remedy: "set FIDELITY_GOLDEN to the folder; without it only the tests that compare with it skip",
    }
}

/// The file that a shell would start for this name.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| executable(file))
}

#[cfg(unix)]
fn executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn executable(file: &Path) -> bool {
    file.is_file()
}

/// Which of these packages Python has, with their versions. Nothing is imported: that can take seconds.
fn python_packages(names: &[&str]) -> Vec<(String, String)> {
    let Some(python) = on_path("python3") else { return vec![] };
    let script = "import sys, importlib.metadata as m\nfor n in sys.argv[1:]:\n  try: print(n, m.version(n))\n  except m.PackageNotFoundError: pass";
    let run = Command::new(python)
        .args(["-c", script])
        .args(names)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = run.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines()
        .filter_map(|l| l.split_once(' '))
        .map(|(n, v)| (n.to_owned(), format!("version {v}")))
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = &self.cpu;
        writeln!(f, "fidelity        {}", self.version)?;
        writeln!(f, "processor       {} ({})", cpu.name.as_deref().unwrap_or("unknown"), cpu.arch)?;
        writeln!(f, "threads         {}", cpu.threads)?;
        let list: Vec<String> = cpu
            .features
            .iter()
            .map(|x| format!("{} {}", x.name, if x.present { "yes" } else { "no" }))
            .collect();
        writeln!(
            f,
            "instructions    {}",
            if list.is_empty() { "none known".to_owned() } else { list.join(", ") }
        )?;
        writeln!(f, "kernels         {}", cpu.kernels)?;
        if let Some(m) = self.memory {
            let size = crate::inspect::size;
            writeln!(f, "memory          {} ({} available)", size(m.total), size(m.available))?;
        }
        match &self.layout {
            Some(found) => writeln!(f, "trit layout     {}", found.told())?,
            None => {
                writeln!(f, "trit layout     not measured: `fidelity doctor --recalibrate` takes a second")?
            }
        }
        match &self.golden.folder {
            Some(folder) => writeln!(f, "golden data     {}", folder.display())?,
            None => writeln!(f, "golden data     absent: {}", self.golden.remedy)?,
        }
        writeln!(
            f,
            "\ntools of the compiler and of targets beyond this CPU (none is needed for {CPU_STAYS}):"
        )?;
        for t in &self.tools {
            match &t.found {
                Some(found) => writeln!(f, "  {:<14} present  {found}", t.name)?,
                None => {
                    writeln!(f, "  {:<14} absent   {}", t.name, t.purpose)?;
                    writeln!(f, "  {:<14}          get it: {}", "", t.install)?;
                    writeln!(f, "  {:<14}          without it: {}", "", t.without)?;
                }
            }
        }
        Ok(())
    }
}
