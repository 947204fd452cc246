//! Attributes: what a node knows at build time (axes, sizes, constants, bodies of control flow).
//!
//! One generic map, not one struct per op, so that printing, parsing, hash-consing and verifying are written once.

use crate::dim::Dim;
use crate::ir::Graph;
use axes::DType;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One attribute value.
#[derive(Clone, Debug)]
pub enum Attr {
    /// An integer.
    Int(i64),
    /// A real number; equality is equality of bits, so that NaN and -0 are handled as what they are.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A word.
    Str(String),
    /// A list of integers (axes, permutations).
    Ints(Vec<i64>),
    /// A list of numbers (dense constants).
    Floats(Arc<Vec<f64>>),
    /// A list of sizes.
    Dims(Vec<Dim>),
    /// An element type.
    DType(DType),
    /// A region.
    Graph(Arc<Graph>),
}

impl PartialEq for Attr {
    fn eq(&self, other: &Attr) -> bool {
        match (self, other) {
            (Attr::Int(a), Attr::Int(b)) => a == b,
            (Attr::Float(a), Attr::Float(b)) => a.to_bits() == b.to_bits(),
            (Attr::Bool(a), Attr::Bool(b)) => a == b,
            (Attr::Str(a), Attr::Str(b)) => a == b,
            (Attr::Ints(a), Attr::Ints(b)) => a == b,
            (Attr::Floats(a), Attr::Floats(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x.to_bits() == y.to_bits())
            }
            (Attr::Dims(a), Attr::Dims(b)) => a == b,
            (Attr::DType(a), Attr::DType(b)) => a == b,
            (Attr::Graph(a), Attr::Graph(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}
impl Eq for Attr {}

impl Hash for Attr {
    fn hash<H: Hasher>(&self, h: &mut H) {
        match self {
            Attr::Int(a) => a.hash(h),
            Attr::Float(a) => a.to_bits().hash(h),
            Attr::Bool(a) => a.hash(h),
            Attr::Str(a) => a.hash(h),
            Attr::Ints(a) => a.hash(h),
            Attr::Floats(a) => a.iter().for_each(|x| x.to_bits().hash(h)),
            Attr::Dims(a) => a.hash(h),
            Attr::DType(a) => a.hash(h),
            Attr::Graph(a) => a.hash(h),
        }
    }
}

/// The attributes of a node, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attrs(Vec<(&'static str, Attr)>);

impl Attrs {
    /// No attributes.
    pub fn new() -> Attrs {
        Attrs::default()
    }

    /// With one more attribute (replaced when the key exists).
    pub fn with(mut self, key: &'static str, value: Attr) -> Attrs {
        match self.0.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(i) => self.0[i].1 = value,
            Err(i) => self.0.insert(i, (key, value)),
        }
        self
    }

    /// The attribute named `key`.
    pub fn get(&self, key: &str) -> Option<&Attr> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// All pairs, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Attr)> {
        self.0.iter().map(|(k, v)| (*k, v))
    }

    /// An integer, or the default.
    pub fn int(&self, key: &str, default: i64) -> i64 {
        match self.get(key) {
            Some(Attr::Int(v)) => *v,
            _ => default,
        }
    }

    /// A number, or the default.
    pub fn float(&self, key: &str, default: f64) -> f64 {
        match self.get(key) {
            Some(Attr::Float(v)) => *v,
            Some(Attr::Int(v)) => *v as f64,
            _ => default,
        }
    }

    /// A truth value; absent is false.
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Attr::Bool(true)))
    }

    /// A word; absent is empty.
    pub fn str(&self, key: &str) -> &str {
        match self.get(key) {
            Some(Attr::Str(v)) => v,
            _ => "",
        }
    }

    /// A list of axes; absent is empty.
    pub fn ints(&self, key: &str) -> Vec<usize> {
        match self.get(key) {
            Some(Attr::Ints(v)) => v.iter().map(|i| *i as usize).collect(),
            _ => vec![],
        }
    }

    /// A list of sizes; absent is empty.
    pub fn dims(&self, key: &str) -> Vec<Dim> {
        match self.get(key) {
            Some(Attr::Dims(v)) => v.clone(),
            _ => vec![],
        }
    }

    /// An element type.
    pub fn dtype(&self, key: &str) -> Option<DType> {
        match self.get(key) {
            Some(Attr::DType(d)) => Some(*d),
            _ => None,
        }
    }

    /// A region.
    pub fn graph(&self, key: &str) -> Option<&Arc<Graph>> {
        match self.get(key) {
            Some(Attr::Graph(g)) => Some(g),
            _ => None,
        }
    }
}

/// `attrs!{ axis: Int(1), keep: Bool(true) }`.
#[macro_export]
macro_rules! attrs {
    ($($key:ident : $kind:ident ( $value:expr )),* $(,)?) => {
        $crate::Attrs::new()$(.with(stringify!($key), $crate::Attr::$kind($value)))*
    };
}
