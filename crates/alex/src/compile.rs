//! From a module's text to an object file and a shared library, by way of MLIR's and LLVM's own tools.
//!
//! `mlir-opt` checks the module and lowers it to the LLVM dialect, `mlir-translate` turns that into LLVM IR, `opt` and `llc`
//! make machine code of it; both are told the same triple and processor. Every stage can be had as text.

use crate::cache::{Cache, digest};
use crate::error::{AlexError, Result, file};
use crate::loader::Library;
use crate::toolchain::{Found, Tool, Toolchain, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The passes from memref, vector, scf, arith, math and func to the LLVM dialect. Memory passes as bare pointers;
/// `convert-ub-to-llvm` is there because vector ops make `ub.poison`.
const TO_LLVM: &str = "builtin.module(canonicalize,cse,convert-vector-to-scf,convert-scf-to-cf,\
    expand-strided-metadata,lower-affine,convert-math-to-llvm,convert-math-to-libm,convert-vector-to-llvm,\
    finalize-memref-to-llvm,convert-arith-to-llvm,convert-ub-to-llvm,convert-index-to-llvm,convert-cf-to-llvm,\
    convert-func-to-llvm{use-bare-ptr-memref-call-conv=1},reconcile-unrealized-casts,canonicalize,cse)";

/// For which machine, and how hard to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The target triple; `None`: this computer's.
    pub triple: Option<String>,
    /// The processor, as LLVM names it; `native`: this computer's.
    pub cpu: String,
    /// Features to add or to leave out, as LLVM writes them (`+avx512vnni,-avx512f`).
    pub features: String,
    /// 0 to 3.
    pub level: u8,
    /// Arguments for `opt` and `llc` besides.
    pub extra: Vec<String>,
}

impl Default for Options {
    /// This computer, with every optimisation.
    fn default() -> Options {
        Options { triple: None, cpu: "native".into(), features: String::new(), level: 3, extra: vec![] }
    }
}

impl Options {
    /// Another machine.
    pub fn target(triple: &str, cpu: &str) -> Options {
        Options { triple: Some(triple.into()), cpu: cpu.into(), ..Options::default() }
    }

    /// riscv64 with the usual extensions and the ABI of Linux distributions.
    pub fn riscv64() -> Options {
        // The ABI is not read off the features: floats in registers have to be asked for.
        let extra = vec![];
        Options {
            features: "+m,+a,+f,+d,+c".into(),
            extra,
            ..Options::target("riscv64-linux-gnu", "generic-rv64")
        }
    }

    /// What `opt` and `llc` are both told.
    pub(crate) fn machine(&self) -> Vec<String> {
        let mut args = vec![format!("-mcpu={}", self.cpu), format!("-O{}", self.level.min(3))];
        args.extend(self.triple.as_ref().map(|t| format!("-mtriple={t}")));
        if !self.features.is_empty() {
            args.push(format!("-mattr={}", self.features));
        }
        args.extend(self.extra.iter().cloned());
        args
    }

    /// What the options stand for on this computer.
    fn identity(&self) -> String {
        let here = if self.cpu == "native" { processor() } else { String::new() };
        format!("{self:?}\n{here}\n{TO_LLVM}")
    }
}

/// What tells this computer's processor from another.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let wanted = ["model name", "flags", "Features", "CPU part", "isa", "uarch"];
    let mut lines: Vec<&str> = vec![];
    for key in wanted {
        lines.extend(info.lines().find(|l| l.starts_with(key)));
    }
    format!("{} {}", std::env::consts::ARCH, lines.join("\n"))
}

/// A point on the way, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// MLIR's LLVM dialect.
    LlvmDialect,
    /// LLVM IR as translated.
    LlvmIr,
    /// LLVM IR after optimisation.
    Optimised,
    /// Assembly.
    Assembly,
}

/// The tools with the options they are given.
#[derive(Clone, Debug)]
pub struct Compiler {
    pub(crate) tools: Toolchain,
    options: Options,
    cache: Option<Cache>,
}

impl Compiler {
    /// With the tools of this computer and the user's cache.
    ///
    /// # Errors
    /// The first tool that is missing, with the command that installs it.
    pub fn new(options: Options) -> Result<Compiler> {
        Ok(Compiler { tools: Toolchain::find()?, options, cache: Some(Cache::user()) })
    }

    /// With another cache, or none.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<Cache>) -> Compiler {
        self.cache = cache;
        self
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Has MLIR's own verifier look at a module.
    ///
    /// # Errors
    /// What it finds.
    pub fn check(&self, module: &str) -> Result<()> {
        run(&self.tools.mlir_opt, "check", &[], module.as_bytes()).map(|_| ())
    }

    /// Has MLIR's own verifier look at a module of the `fidelity` dialect.
    ///
    /// # Errors
    /// What it finds.
    pub fn check_dialect(&self, module: &str) -> Result<()> {
        let mut definition = tempfile::NamedTempFile::with_suffix(".irdl.mlir")
            .map_err(file("cannot make a file in", &std::env::temp_dir()))?;
        std::io::Write::write_all(&mut definition, crate::dialect::irdl::TEXT.as_bytes())
            .map_err(file("cannot write", definition.path()))?;
        let args = [format!("--irdl-file={}", definition.path().display())];
        run(&self.tools.mlir_opt, "check", &args, module.as_bytes()).map(|_| ())
    }

    /// A module at that stage.
    ///
    /// # Errors
    /// What a tool refuses.
    pub fn stage(&self, module: &str, stage: Stage) -> Result<String> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if stage == Stage::LlvmDialect {
            return self.dialect(module, true).map(text);
        }
        let ir = self.translate(&self.dialect(module, false)?)?;
        if stage == Stage::LlvmIr {
            return Ok(text(ir));
        }
        let more = |arg: &str| [self.options.machine(), vec![arg.to_string()]].concat();
        if stage == Stage::Optimised {
            return run(&self.tools.opt, "opt", &more("-S"), &ir).map(text);
        }
        let code = run(&self.tools.opt, "opt", &self.options.machine(), &ir)?;
        run(&self.tools.llc, "llc", &more("-relocation-model=pic"), &code).map(text)
    }

    /// The LLVM dialect, as text or as bytecode.
    pub(crate) fn dialect(&self, module: &str, shown: bool) -> Result<Vec<u8>> {
        let mut args = vec![format!("--pass-pipeline={TO_LLVM}")];
        // Bytecode is read faster, and text is not exact: it has constants of f80 and f128 in decimals, which the reader rounds
        // to doubles.
        if !shown {
            args.push("--emit-bytecode".to_string());
        }
        run(&self.tools.mlir_opt, "lower", &args, module.as_bytes())
    }

    pub(crate) fn translate(&self, dialect: &[u8]) -> Result<Vec<u8>> {
        run(&self.tools.mlir_translate, "translate", &["--mlir-to-llvmir".to_string()], dialect)
    }

    /// The object file of a module.
    ///
    /// # Errors
    /// What a tool refuses.
    pub fn object(&self, module: &str) -> Result<Vec<u8>> {
        let ir = self.translate(&self.dialect(module, false)?)?;
        let code = run(&self.tools.opt, "opt", &self.options.machine(), &ir)?;
        let llc = ["-relocation-model=pic".to_string(), "-filetype=obj".to_string()];
        run(&self.tools.llc, "llc", &[self.options.machine(), llc.to_vec()].concat(), &code)
    }

    /// The shared library of a module.
    ///
    /// # Errors
    /// What a tool refuses, or that there is no linker.
    pub fn shared(&self, module: &str) -> Result<Vec<u8>> {
        link(&self.linker()?, &self.object(module)?)
    }

    /// The linker's driver for the target.
    pub(crate) fn linker(&self) -> Result<Found> {
        let Some(triple) = &self.options.triple else { return Tool::Linker.find() };
        if triple.starts_with(std::env::consts::ARCH) {
            return Tool::Linker.find();
        }
        let parts: Vec<&str> = triple.split('-').collect();
        let name = format!("{}-linux-gnu-gcc", parts.first().unwrap_or(&"unknown"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|p| p.is_file());
        found.map(|path| Found { tool: Tool::Linker, path }).ok_or_else(|| AlexError::Missing {
            tool: "a linker for the target",
            looked: format!("looked for {name} on PATH"),
            install: "apt install gcc-aarch64-linux-gnu gcc-riscv64-linux-gnu",
            version: crate::toolchain::VERSION,
        })
    }

    /// What a module's compiled form depends on.
    pub fn key(&self, module: &str) -> String {
        let (options, tools) = (self.options.identity(), self.tools.identity());
        digest(&[
            module.as_bytes(),
            options.as_bytes(),
            tools.as_bytes(),
            env!("CARGO_PKG_VERSION").as_bytes(),
        ])
    }

    /// Compiles a module for this computer, unless the cache has it, and loads it.
    ///
    /// # Errors
    /// What a tool, the linker or the system's loader refuses.
    pub fn load(&self, module: &str) -> Result<Library> {
        let Some(cache) = &self.cache else {
            let folder =
                tempfile::tempdir().map_err(file("cannot make a folder in", &std::env::temp_dir()))?;
            let path = folder.path().join("module.so");
            std::fs::write(&path, self.shared(module)?).map_err(file("cannot write", &path))?;
            // The file may go once it is mapped.
            return Library::open(&path);
        };
        let key = self.key(module);
        match cache.get(&key) {
            Some(path) => Library::open(&path),
            None => Library::open(&cache.put(&key, &self.shared(module)?)?),
        }
    }
}

/// Makes a shared library of an object file.
pub(crate) fn link(linker: &Found, object: &[u8]) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().map_err(file("cannot make a folder in", &std::env::temp_dir()))?;
    let (from, to) = (folder.path().join("module.o"), folder.path().join("module.so"));
    std::fs::write(&from, object).map_err(file("cannot write", &from))?;
    let bare = linker.path.file_name().is_some_and(|n| n == "ld");
    let mut command = Command::new(&linker.path);
    command.arg("-shared").arg("-o").args([&to, &from]);
    if !bare {
        // A function that nothing defines is found here, not when it is first called.
        command.args(["-lm", "-Wl,-z,defs"]);
    }
    let out = command.output().map_err(file("cannot start", &linker.path))?;
    if !out.status.success() {
        return Err(AlexError::Tool {
            tool: "the linker",
            stage: "link",
            diagnostics: String::from_utf8_lossy(&out.stderr).trim().to_string(),
            kept: kept(folder, &from),
        });
    }
    std::fs::read(&to).map_err(file("cannot read", &to))
}

/// Keeps a folder that would be removed.
fn kept(folder: tempfile::TempDir, file: &Path) -> String {
    let name = file.file_name().map(PathBuf::from).unwrap_or_default();
    folder.keep().join(name).display().to_string()
}
