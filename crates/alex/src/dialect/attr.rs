//! Types and attributes as the dialect's text has them.

use std::fmt;

use super::dense::Dense;

/// A type of a module in the dialect.
#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    /// `!fidelity.name<parameters>`.
    Fidelity {
        /// The name, such as `vector`.
        name: String,
        /// The parameters, in order.
        parameters: Vec<Attr>,
    },
    /// `tensor<sizes x elem>`; `None` is `?`.
    Tensor {
        /// The sizes, outermost first.
        sizes: Vec<Option<u64>>,
        /// The element type.
        elem: Box<Type>,
    },
    /// A type of MLIR that is one word: `f32`, `i8`, `index`.
    Word(String),
    /// Any other type, as it is written.
    Other(String),
}

/// An attribute: a parameter of a type, or a named property of an op.
#[derive(Clone, PartialEq, Debug)]
pub enum Attr {
    /// `64 : index`.
    Int(i64, Type),
    /// `true`.
    Bool(bool),
    /// `1.0e-6 : f32`.
    Float(f64, Type),
    /// `"m/s"`.
    Str(String),
    /// A type.
    Type(Type),
    /// `[a, b]`.
    Array(Vec<Attr>),
    /// `{name = a}`.
    Dict(Vec<(String, Attr)>),
    /// `unit`.
    Unit,
    /// `@name`.
    Symbol(String),
    /// `#fidelity.name<parameters>`.
    Fidelity {
        /// The name, such as `product`.
        name: String,
        /// The parameters, in order.
        parameters: Vec<Attr>,
    },
    /// `dense<…> : tensor<…>`.
    Dense(Dense),
    /// Any other attribute, as it is written.
    Other(String),
}

impl Type {
    /// A type of one word.
    pub fn word(name: &str) -> Type {
        Type::Word(name.to_owned())
    }

    /// `!fidelity.name<parameters>`.
    pub fn fidelity(name: &str, parameters: Vec<Attr>) -> Type {
        Type::Fidelity { name: name.to_owned(), parameters }
    }
}

impl Attr {
    /// A size: `n : index`.
    pub fn size(n: u64) -> Attr {
        Attr::Int(i64::try_from(n).unwrap_or(i64::MAX), Type::word("index"))
    }

    /// A string.
    pub fn text(text: &str) -> Attr {
        Attr::Str(text.to_owned())
    }
}

pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.push_str("\\22"),
            b'\\' => out.push_str("\\5C"),
            0x20..=0x7e => out.push(char::from(byte)),
            other => out.push_str(&format!("\\{other:02X}")),
        }
    }
    out.push('"');
    out
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (k, item) in items.iter().enumerate() {
        if k > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

fn angled(f: &mut fmt::Formatter<'_>, parameters: &[Attr]) -> fmt::Result {
    if parameters.is_empty() {
        return Ok(());
    }
    f.write_str("<")?;
    list(f, parameters)?;
    f.write_str(">")
}

/// A name that is bare where it can be.
pub(crate) fn bare(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_$.".contains(c));
    if plain { name.to_owned() } else { quoted(name) }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Fidelity { name, parameters } => {
                write!(f, "!fidelity.{name}")?;
                angled(f, parameters)
            }
            Type::Tensor { sizes, elem } => {
                f.write_str("tensor<")?;
                for size in sizes {
                    match size {
                        Some(n) => write!(f, "{n}x")?,
                        None => f.write_str("?x")?,
                    }
                }
                write!(f, "{elem}>")
            }
            Type::Word(text) | Type::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::Int(value, ty) => write!(f, "{value} : {ty}"),
            Attr::Bool(value) => write!(f, "{value}"),
            Attr::Float(value, ty) => {
                if value.is_finite() {
                    let text = format!("{value:e}");
                    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                    let point = if mantissa.contains('.') { "" } else { ".0" };
                    write!(f, "{mantissa}{point}e{exponent} : {ty}")
                } else if *ty == Type::word("f32") {
                    write!(f, "0x{:08X} : {ty}", (*value as f32).to_bits())
                } else {
                    write!(f, "0x{:016X} : {ty}", value.to_bits())
                }
            }
            Attr::Str(text) => f.write_str(&quoted(text)),
            Attr::Type(ty) => write!(f, "{ty}"),
            Attr::Array(items) => {
                f.write_str("[")?;
                list(f, items)?;
                f.write_str("]")
            }
            Attr::Dict(entries) => {
                f.write_str("{")?;
                dictionary(f, entries)?;
                f.write_str("}")
            }
            Attr::Unit => f.write_str("unit"),
            Attr::Symbol(name) => write!(f, "@{}", bare(name)),
            Attr::Fidelity { name, parameters } => {
                write!(f, "#fidelity.{name}")?;
                angled(f, parameters)
            }
            Attr::Dense(dense) => write!(f, "{dense}"),
            Attr::Other(text) => f.write_str(text),
        }
    }
}

pub(crate) fn dictionary(f: &mut impl fmt::Write, entries: &[(String, Attr)]) -> fmt::Result {
    for (k, (name, attr)) in entries.iter().enumerate() {
        if k > 0 {
            f.write_str(", ")?;
        }
        f.write_str(&bare(name))?;
        if *attr != Attr::Unit {
            write!(f, " = {attr}")?;
        }
    }
    Ok(())
}
