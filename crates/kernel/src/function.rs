//! A kernel: the tree of a function, and what it takes from around it.

use crate::error::{KernelError, Result};
use crate::lower;
use crate::program::Program;
use kernel_syntax::{Function, Scalar, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A constant that a kernel names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    /// An integer and its type.
    Int(i128, Scalar),
    /// A float and its type.
    Float(f64, Scalar),
    /// A truth value.
    Bool(bool),
}

macro_rules! constants {
    ($($ty:ty: $variant:ident $scalar:ident),*) => { $(
        impl From<$ty> for Constant {
            fn from(x: $ty) -> Constant {
                Constant::$variant(x as _, Scalar::$scalar)
            }
        }
    )* };
}
constants! { f32: Float F32, f64: Float F64, i8: Int I8, i16: Int I16, i32: Int I32, i64: Int I64, isize: Int Isize,
u8: Int U8, u16: Int U16, u32: Int U32, u64: Int U64, usize: Int Usize }

impl From<bool> for Constant {
    fn from(x: bool) -> Constant {
        Constant::Bool(x)
    }
}

/// A Rust function whose syntax tree is kept: `name::kernel()` beside a function `name` with the attribute, or a function
/// of a file.
///
/// ```
/// use kernel::kernel;
///
/// /// y = Σ a b.
/// #[kernel]
/// fn dot(a: &[f32], b: &[f32]) -> f32 {
///     a.iter().zip(b).map(|(a, b)| a * b).sum()
/// }
///
/// assert_eq!(dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// assert_eq!(dot::kernel().name(), "dot");
/// ```
#[derive(Clone, Debug)]
pub struct Kernel {
    function: Function,
    text: Arc<str>,
    file: String,
    /// What is added to a line of `text` to have that of the file.
    first_line: u32,
    helpers: BTreeMap<String, Arc<Kernel>>,
    constants: BTreeMap<String, Constant>,
    axes: BTreeMap<String, usize>,
}

impl Kernel {
    /// For what `#[kernel]` writes.
    ///
    /// # Panics
    /// If the text is not one that the attribute has checked.
    #[doc(hidden)]
    pub fn from_attribute(
        text: &str,
        file: &str,
        line: u32,
        helpers: &[(&str, fn() -> Kernel)],
        constants: &[(&str, Constant)],
        axes: &[(&str, Option<usize>)],
    ) -> Kernel {
        let source = Source::parse(text).unwrap_or_else(|e| panic!("{file}: {e}"));
        let function = source.functions.into_iter().next().unwrap_or_else(|| panic!("{file}: no function"));
        // A kernel may name itself in its own text; that is refused when it is made a program.
        let others = helpers.iter().filter(|(n, _)| *n != function.name);
        Kernel {
            text: text.into(),
            file: file.to_string(),
            first_line: line.max(1) - 1,
            helpers: others.map(|(n, k)| (n.to_string(), Arc::new(k()))).collect(),
            constants: constants.iter().map(|(n, c)| (n.to_string(), *c)).collect(),
            axes: axes.iter().filter_map(|(n, s)| Some((n.to_string(), (*s)?))).collect(),
            function,
        }
    }

    /// The kernels of a source file: the functions with the attribute, or all where none has it.
    ///
    /// # Errors
    /// [`KernelError::Syntax`].
    pub fn parse(text: &str, file: &str) -> Result<Vec<Kernel>> {
        let source =
            Source::parse(text).map_err(|error| KernelError::Syntax { kernel: file.to_string(), error })?;
        let mut constants = BTreeMap::new();
        for c in &source.constants {
            if let Some(value) = lower::constant(&c.value, &c.ty, &constants) {
                constants.insert(c.name.clone(), value);
            }
        }
        let axes: BTreeMap<String, usize> =
            source.axes.iter().filter_map(|(n, s)| Some((n.clone(), (*s)?))).collect();
        let text: Arc<str> = text.into();
        let plain = |f: &Function| Kernel {
            function: f.clone(),
            text: text.clone(),
            file: file.to_string(),
            first_line: 0,
            helpers: BTreeMap::new(),
            constants: constants.clone(),
            axes: axes.clone(),
        };
        // Every function may call the others; their own calls are looked up in the same list.
        let all: BTreeMap<String, Arc<Kernel>> =
            source.functions.iter().map(|f| (f.name.clone(), Arc::new(plain(f)))).collect();
        Ok(source.functions.iter().map(|f| Kernel { helpers: all.clone(), ..plain(f) }).collect())
    }

    /// The kernel of that name in a source file.
    ///
    /// # Errors
    /// [`KernelError::Syntax`], [`KernelError::Unknown`].
    pub fn parse_one(text: &str, file: &str, name: &str) -> Result<Kernel> {
        let all = Kernel::parse(text, file)?;
        let known = all.iter().map(|k| k.name().to_string()).collect::<Vec<_>>().join(", ");
        all.into_iter().find(|k| k.name() == name).ok_or_else(|| KernelError::Unknown {
            name: name.to_string(),
            place: file.to_string(),
            known,
        })
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        &self.function.name
    }

    /// The syntax tree.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// The file it was written in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of the file for a line of [`text`](Self::text).
    pub fn line(&self, line: u32) -> u32 {
        line + self.first_line
    }

    /// The source in which the places of the tree lie.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines of the function itself.
    pub fn lines(&self) -> impl Iterator<Item = (u32, &str)> {
        let span = self.function.span;
        let numbered = self.text.lines().enumerate().map(|(i, l)| (i as u32 + 1, l));
        numbered.filter(move |(i, _)| (span.line..=span.end_line).contains(i))
    }

    pub(crate) fn helper(&self, name: &str) -> Option<&Kernel> {
        self.helpers.get(name).map(|k| &**k)
    }

    pub(crate) fn constant(&self, name: &str) -> Option<Constant> {
        self.constants.get(name).copied()
    }

    pub(crate) fn axis_size(&self, name: &str) -> Option<usize> {
        self.axes.get(name).copied()
    }

    /// The typed form, with `f32` for a float that is a type parameter.
    ///
    /// # Errors
    /// [`KernelError::Type`] where its parts do not fit together.
    pub fn program(&self) -> Result<Program> {
        self.program_in(Scalar::F32)
    }

    /// The typed form, with this type for a float that is a type parameter.
    ///
    /// # Errors
    /// [`KernelError::Type`].
    pub fn program_in(&self, scalar: Scalar) -> Result<Program> {
        lower::lower(self, scalar)
    }
}
