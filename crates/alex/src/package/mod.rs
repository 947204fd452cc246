//! A model for programs that know neither Rust nor us: `NAME.h`, `NAME.a`, `NAME.so`, its weights, and a `main.c`.
//!
//! The library exports one function for a token, with every layer inside, and a few that a caller needs around it: does
//! this file hold the weights that the code was made for, which bytes does a token stand for. Its memory is the caller's:
//! weights where the file is mapped, a state, an arena for what a step computes. Nothing is allocated, and nothing is global
//! but one pointer: who runs the tasks of a step, if the program has threads for that. So a program may run any number of
//! sequences on any number of threads; by itself the library starts none.

mod build;
mod c;
mod wrapper;

use crate::compile::Compiler;
use crate::error::{AlexError, Result, file};
use std::path::{Path, PathBuf};

/// Where the memory behind one binding of the compiled plan comes from, in the order of [`premap::Plan::bindings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A section of the weights' file, from its start.
    Weights(u64),
    /// A part of the state, from its start; a multiple of 64.
    State(u64),
    /// The token id, an i64.
    Token,
    /// How many tokens came before, an i64.
    Position,
    /// Where the logits go.
    Logits,
    /// Bytes that the library itself holds.
    Data(Vec<u8>),
}

/// A compiled step with all that a caller in C needs to know of it.
#[derive(Clone, Debug)]
pub struct Package {
    /// The prefix of everything that the library exports, and the stem of its files: a C identifier.
    pub name: String,
    /// The module that holds the step.
    pub module: String,
    /// The function of the module that runs the plan.
    pub entry: String,
    /// What its bindings are.
    pub bindings: Vec<Source>,
    /// Whether the function takes a runner ([`crate::lower::Options::dealt`]).
    pub dealt: bool,
    /// Bytes of the arena.
    pub arena: usize,
    /// Bytes of the state.
    pub state: usize,
    /// Tokens that one sequence may have: sizes of caches, or `None` where the state does not grow.
    pub context: Option<usize>,
    /// Logits per token.
    pub vocabulary: usize,
    /// The bytes that each token stands for; empty without a tokenizer.
    pub pieces: Vec<Vec<u8>>,
    /// Whether each id below 256 is its byte, so that any text can be read.
    pub bytes: bool,
    /// The token that ends a text.
    pub eos: Option<u32>,
    /// Name, length and last eight bytes of the weights' file.
    pub weights: (String, u64, [u8; 8]),
    /// A line on what the model is.
    pub title: String,
}

/// The files that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The declarations.
    pub header: PathBuf,
    /// The static library.
    pub archive: PathBuf,
    /// The shared library.
    pub shared: PathBuf,
    /// The example.
    pub example: PathBuf,
    /// Functions that the library takes from elsewhere; empty unless the processor lacks something.
    pub needs: Vec<String>,
}

impl Package {
    /// The functions that the library exports.
    pub fn exports(&self) -> Vec<String> {
        ["step", "set_runner", "check", "piece"].iter().map(|part| format!("{}_{part}", self.name)).collect()
    }

    /// The declarations for C.
    pub fn header(&self) -> String {
        c::header(self)
    }

    /// A program that generates text.
    pub fn example(&self) -> String {
        c::example(self)
    }

    /// The functions around the step, as LLVM IR.
    pub fn wrapper(&self) -> String {
        wrapper::wrapper(self)
    }

    /// Compiles, and writes header, libraries and example into a folder.
    ///
    /// # Errors
    /// A name that is no C identifier, what a tool refuses, a folder that cannot be written.
    pub fn write(&self, compiler: &Compiler, folder: &Path) -> Result<Written> {
        if !identifier(&self.name) {
            return Err(AlexError::Name { name: self.name.clone() });
        }
        std::fs::create_dir_all(folder).map_err(file("cannot make the folder", folder))?;
        let object = compiler.object_with(&self.module, &self.wrapper(), &self.exports())?;
        let at = |ending: &str| folder.join(format!("{}.{ending}", self.name));
        let written = Written {
            header: at("h"),
            archive: at("a"),
            shared: at("so"),
            example: folder.join("main.c"),
            needs: compiler.undefined(&object)?,
        };
        whole(&written.header, self.header().as_bytes())?;
        whole(&written.example, self.example().as_bytes())?;
        whole(&written.shared, &compiler.link(&object)?)?;
        whole(&written.archive, &compiler.archive(&self.name, &object)?)?;
        Ok(written)
    }
}

/// Whether C takes it as a name.
fn identifier(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// A file under a temporary name, synced, then renamed.
fn whole(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().permissions_of_a_library().tempfile_in(folder);
    let made = made.and_then(|mut f| {
        f.write_all(bytes)?;
        f.as_file().sync_all()?;
        f.persist(path).map_err(|e| e.error)
    });
    made.map(|_| ()).map_err(file("cannot write", path))
}

trait Readable {
    /// Readable by all: temporary files are their maker's alone.
    fn permissions_of_a_library(&mut self) -> &mut Self;
}

impl Readable for tempfile::Builder<'_, '_> {
    fn permissions_of_a_library(&mut self) -> &mut Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            self.permissions(std::fs::Permissions::from_mode(0o644));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_c_takes() {
        for (name, good) in
            [("model", true), ("_a1", true), ("1a", false), ("a-b", false), ("", false), ("é", false)]
        {
            assert_eq!(identifier(name), good, "{name}");
        }
    }
}
