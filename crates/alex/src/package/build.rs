//! What a package asks of the compiler besides a module's object: functions put behind the module, few names exported, and
//! static libraries.

use crate::compile::{self, Compiler};
use crate::error::{Result, file};
use crate::toolchain::{Tool, run};

impl Compiler {
    /// The object of a module with LLVM IR put behind it; every name but `exports` is the object's own.
    ///
    /// # Errors
    /// What a tool refuses.
    pub fn object_with(&self, module: &str, ir: &str, exports: &[String]) -> Result<Vec<u8>> {
        let mut whole = self.translate(&self.dialect(module, false)?)?;
        whole.extend_from_slice(ir.as_bytes());
        let level = self.options().level.min(3);
        let mut args = self.options().machine();
        args.retain(|a| !a.starts_with("-O"));
        args.push(format!("-passes=internalize,default<O{level}>"));
        args.push(format!("-internalize-public-api-list={}", exports.join(",")));
        let code = run(&self.tools.opt, "opt", &args, &whole)?;
        let llc = ["-relocation-model=pic".to_string(), "-filetype=obj".to_string()];
        run(&self.tools.llc, "llc", &[self.options().machine(), llc.to_vec()].concat(), &code)
    }

    /// Makes a shared library of an object.
    ///
    /// # Errors
    /// That there is no linker for the target, or what it refuses.
    pub fn link(&self, object: &[u8]) -> Result<Vec<u8>> {
        compile::link(&self.linker()?, object)
    }

    /// Makes a static library of an object.
    ///
    /// # Errors
    /// A missing archiver, or what it refuses.
    pub fn archive(&self, name: &str, object: &[u8]) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().map_err(file("cannot make a folder in", &std::env::temp_dir()))?;
        let (member, archive) = (folder.path().join(format!("{name}.o")), folder.path().join("library.a"));
        std::fs::write(&member, object).map_err(file("cannot write", &member))?;
        let text = |path: &std::path::Path| path.display().to_string();
        run(&Tool::Archiver.find()?, "archive", &["rcsD".into(), text(&archive), text(&member)], &[])?;
        std::fs::read(&archive).map_err(file("cannot read", &archive))
    }

    /// The names that an object takes from elsewhere.
    ///
    /// # Errors
    /// A missing tool, or what it refuses.
    pub fn undefined(&self, object: &[u8]) -> Result<Vec<String>> {
        let args = ["--undefined-only".to_string(), "--just-symbol-name".to_string(), "-".to_string()];
        let list = run(&Tool::Symbols.find()?, "list", &args, object)?;
        Ok(String::from_utf8_lossy(&list).lines().map(|l| l.trim().to_owned()).collect())
    }
}
