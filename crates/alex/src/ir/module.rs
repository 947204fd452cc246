//! Modules and functions: the outside of what is emitted.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::panic::Location;

use super::builder::Builder;
use super::element::Element;
use super::error::{Mistake, Mistakes};
use super::shaped::MemRef;
use super::types::{AnyType, Type};
use super::value::{Types, Values};

/// A module under construction.
#[derive(Debug, Default)]
pub struct Module {
    items: Vec<String>,
    names: HashMap<String, ()>,
    funcs: u32,
    locations: bool,
    attributes: Vec<String>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// A function of a module: its name, what it takes and what it gives. Calls are checked by rustc against it.
#[derive(Clone, Debug)]
pub struct Func<A, R> {
    pub(crate) name: String,
    pub(crate) args: A,
    pub(crate) results: R,
}

impl<A, R> Func<A, R> {
    /// The name, without the `@`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Constant data of a module.
#[derive(Clone, Debug)]
pub struct Global<E, const R: usize> {
    pub(crate) name: String,
    pub(crate) ty: MemRef<E, R>,
}

impl<E, const R: usize> Global<E, R> {
    /// The name, without the `@`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// How a function is made, beyond its name and body.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct FuncOptions {
    name: String,
    private: bool,
    attributes: Vec<String>,
    arguments: Vec<(usize, String)>,
}

impl FuncOptions {
    /// A public function of that name.
    pub fn new(name: impl Into<String>) -> Self {
        FuncOptions { name: name.into(), ..FuncOptions::default() }
    }

    /// Seen only inside the module.
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Adds the wrapper `_mlir_ciface_<name>`, which takes memrefs as pointers to descriptors.
    pub fn c_interface(self) -> Self {
        self.attribute("llvm.emit_c_interface")
    }

    /// Adds an attribute as MLIR writes it, such as `no_inline` or `llvm.linkage = #llvm.linkage<internal>`.
    pub fn attribute(mut self, text: impl Into<String>) -> Self {
        self.attributes.push(text.into());
        self
    }

    /// Adds an attribute to an argument, such as `llvm.noalias` on a pointer.
    pub fn argument(mut self, position: usize, text: impl Into<String>) -> Self {
        self.arguments.push((position, text.into()));
        self
    }
}

impl From<&str> for FuncOptions {
    fn from(name: &str) -> Self {
        FuncOptions::new(name)
    }
}

impl From<String> for FuncOptions {
    fn from(name: String) -> Self {
        FuncOptions::new(name)
    }
}

impl Module {
    /// An empty module.
    pub fn new() -> Self {
        Module::default()
    }

    /// Prints with each op the Rust source line that made it.
    pub fn with_locations(mut self) -> Self {
        self.locations = true;
        self
    }

    /// Adds an attribute of the module, as MLIR writes it.
    pub fn attribute(&mut self, text: impl Into<String>) {
        self.attributes.push(text.into());
    }

    /// Adds what the API has no method for, such as a `gpu.module`, at the module's top level.
    pub fn raw(&mut self, text: impl Into<String>) {
        self.items.push(text.into());
    }

    /// Adds functions in the LLVM dialect, known by the name of the first of them.
    #[track_caller]
    pub(crate) fn helper(&mut self, name: &str, text: &str) {
        self.claim(name, "llvm.func", Location::caller());
        self.raw(text);
    }

    /// Whether the module has a function or constant of that name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// A function: what `body` returns is what it returns.
    ///
    /// ```
    /// use alex::ir::{F32, Module};
    /// let mut m = Module::new();
    /// m.function("square", ("x", F32), |b, x| b.mulf(x, x));
    /// assert_eq!(m.finish().unwrap(), "\
    /// module {
    ///   func.func @square(%x: f32) -> f32 {
    ///     %0 = arith.mulf %x, %x : f32
    ///     return %0 : f32
    ///   }
    /// }
    /// ");
    /// ```
    #[track_caller]
    pub fn function<A: Types, R: Values>(
        &mut self,
        options: impl Into<FuncOptions>,
        args: A,
        body: impl FnOnce(&mut Builder, A::Values) -> R,
    ) -> Func<A, R::Types> {
        let options = options.into();
        self.claim(&options.name, "func.func", Location::caller());
        self.funcs += 1;
        let func = self.funcs;
        let mut b = Builder::new(std::mem::take(self), func);
        let mut flat = Vec::new();
        args.flatten(&mut flat);
        let (values, names) = b.arguments(&args);
        let results = body(&mut b, values);
        let mut returned = Vec::new();
        results.flatten(&mut returned);
        let types: Vec<AnyType> = returned.iter().map(|v| v.ty).collect();
        if returned.is_empty() {
            b.line("return");
        } else {
            let (values, list) = (b.names_of(&returned, "func.return"), join(&types));
            b.line(&format!("return {values} : {list}"));
        }
        let (module, text) = b.into_parts();
        *self = module;

        let shown: Vec<String> = flat
            .iter()
            .zip(&names)
            .enumerate()
            .map(|(k, ((ty, _), name))| {
                let own: Vec<&str> = options
                    .arguments
                    .iter()
                    .filter(|(at, _)| *at == k)
                    .map(|(_, text)| text.as_str())
                    .collect();
                if own.is_empty() {
                    format!("{name}: {ty}")
                } else {
                    format!("{name}: {ty} {{{}}}", own.join(", "))
                }
            })
            .collect();
        let head = self.head(&options, &shown.join(", "), &types);
        self.items.push(format!("{head} {{\n{text}}}"));
        Func { name: options.name, args, results: results.types() }
    }

    /// A function that is defined elsewhere, such as one of the C library.
    #[track_caller]
    pub fn declare<A: Types, R: Types>(
        &mut self,
        options: impl Into<FuncOptions>,
        args: A,
        results: R,
    ) -> Func<A, R> {
        let options = options.into().private();
        self.claim(&options.name, "func.func", Location::caller());
        let (mut taken, mut given) = (Vec::new(), Vec::new());
        args.flatten(&mut taken);
        results.flatten(&mut given);
        let types: Vec<AnyType> = given.iter().map(|(ty, _)| *ty).collect();
        let shown: Vec<String> = taken.iter().map(|(ty, _)| ty.to_string()).collect();
        let head = self.head(&options, &shown.join(", "), &types);
        self.items.push(head);
        Func { name: options.name, args, results }
    }

    /// Constant data, aligned to 64 bytes.
    #[track_caller]
    pub fn global<E: Element, const R: usize>(
        &mut self,
        name: &str,
        ty: MemRef<E, R>,
        data: &[E::Rust],
    ) -> Global<E, R> {
        self.claim(name, "memref.global", Location::caller());
        if ty.sizes.iter().product::<i64>() != data.len() as i64 || ty.unknown() > 0 {
            self.mistake(
                "memref.global",
                format!("{} holds {} elements of data", ty.any(), data.len()),
                Location::caller(),
            );
        }
        self.items.push(format!(
            "memref.global \"private\" constant @{} : {} = {} {{alignment = 64 : i64}}",
            symbol(name),
            ty.any(),
            dense::<E>(&ty.sizes, data)
        ));
        Global { name: name.to_owned(), ty }
    }

    /// The module's text.
    ///
    /// # Errors
    /// The mistakes that rustc could not see, with the lines that made them.
    pub fn finish(self) -> Result<String, Mistakes> {
        if self.mistakes.is_empty() { Ok(self.text()) } else { Err(Mistakes(self.mistakes)) }
    }

    /// The module's text as it is, mistakes or not.
    pub fn text(&self) -> String {
        let mut out = String::from("module ");
        if !self.attributes.is_empty() {
            let _ = write!(out, "attributes {{{}}} ", self.attributes.join(", "));
        }
        out.push_str("{\n");
        for item in &self.items {
            for line in item.lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
        out.push_str("}\n");
        out
    }

    pub(crate) fn prints_locations(&self) -> bool {
        self.locations
    }

    pub(crate) fn mistake(
        &mut self,
        op: &str,
        problem: impl Into<String>,
        place: &'static Location<'static>,
    ) {
        self.mistakes.push(Mistake { op: op.to_owned(), problem: problem.into(), place });
    }

    fn claim(&mut self, name: &str, op: &str, place: &'static Location<'static>) {
        if self.names.insert(name.to_owned(), ()).is_some() {
            self.mistake(op, format!("there is a `{name}` already; `Module::has` tells"), place);
        }
    }

    fn head(&self, options: &FuncOptions, args: &str, results: &[AnyType]) -> String {
        let mut text = format!(
            "func.func {}@{}({args})",
            if options.private { "private " } else { "" },
            symbol(&options.name)
        );
        match results {
            [] => {}
            [one] => {
                let _ = write!(text, " -> {one}");
            }
            more => {
                let _ = write!(text, " -> ({})", join(more));
            }
        }
        if !options.attributes.is_empty() {
            let _ = write!(text, " attributes {{{}}}", options.attributes.join(", "));
        }
        text
    }
}

/// A symbol as MLIR reads it: bare where it can be.
pub(crate) fn symbol(name: &str) -> String {
    let bare = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_$.".contains(c));
    if bare { name.to_owned() } else { format!("{name:?}") }
}

pub(crate) fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `dense<…>`: one literal where all are equal, nested lists where they are few, else the bytes.
pub(crate) fn dense<E: Element>(sizes: &[i64], data: &[E::Rust]) -> String {
    let few = 64;
    let bytes: Vec<u8> = data.iter().flat_map(|&v| E::bytes(v)).collect();
    let literals: Vec<String> = if bytes.is_empty() || data.len() <= few {
        data.iter().map(|&v| E::literal(v)).collect()
    } else {
        Vec::new()
    };
    match literals.first() {
        Some(first) if literals.iter().all(|l| l == first) => format!("dense<{first}>"),
        Some(_) => format!("dense<{}>", nested(sizes, &literals)),
        None if data.is_empty() => "dense<>".to_owned(),
        None => {
            let mut text = String::with_capacity(2 * bytes.len() + 12);
            text.push_str("dense<\"0x");
            bytes.iter().for_each(|byte| {
                let _ = write!(text, "{byte:02X}");
            });
            text.push_str("\">");
            text
        }
    }
}

pub(crate) fn nested(sizes: &[i64], literals: &[String]) -> String {
    match sizes {
        [] => literals.join(", "),
        [_] => format!("[{}]", literals.join(", ")),
        [outer, inner @ ..] => {
            let each = (literals.len() / (*outer).max(1) as usize).max(1);
            let parts: Vec<String> = literals.chunks(each).map(|part| nested(inner, part)).collect();
            format!("[{}]", parts.join(", "))
        }
    }
}
