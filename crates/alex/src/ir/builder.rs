//! The builder of a function's body: where ops, names, regions, constants and mistakes are written down.
//!
//! Ops are written as text at once; what is kept of a value is its name and the region in which it is visible. The ops
//! themselves are in [`ops`](super::ops), one file per dialect.

use std::collections::HashMap;

use super::element::{Element, FloatLike, Index, IntLike};
use super::module::{Module, dense};
use super::shaped::Vector;
use super::types::{AnyType, Type};
use super::value::{Fold, IntoIndex, Slot, Types, Value, Values};

/// What a float op may assume; `|` joins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FastMath(u8);

impl FastMath {
    /// Nothing: every op rounds as written.
    pub const NONE: FastMath = FastMath(0);
    /// Sums and products may be regrouped.
    pub const REASSOC: FastMath = FastMath(1);
    /// No operand is NaN.
    pub const NNAN: FastMath = FastMath(2);
    /// No operand is infinite.
    pub const NINF: FastMath = FastMath(4);
    /// The sign of zero does not matter.
    pub const NSZ: FastMath = FastMath(8);
    /// A quotient may be a product with the reciprocal.
    pub const ARCP: FastMath = FastMath(16);
    /// A product and a sum may become one fused operation.
    pub const CONTRACT: FastMath = FastMath(32);
    /// Functions may be approximated.
    pub const AFN: FastMath = FastMath(64);

    pub(super) fn names(self) -> Vec<&'static str> {
        let all = ["reassoc", "nnan", "ninf", "nsz", "arcp", "contract", "afn"];
        (0..7).filter(|bit| self.0 >> bit & 1 == 1).map(|bit| all[bit]).collect()
    }
}

impl std::ops::BitOr for FastMath {
    type Output = FastMath;
    fn bitor(self, other: FastMath) -> FastMath {
        FastMath(self.0 | other.0)
    }
}

/// The body of one function. Its methods are ops: they take values and give values.
#[derive(Debug)]
pub struct Builder {
    pub(super) module: Module,
    pub(super) func: u32,
    pub(super) constants: String,
    pub(super) known: HashMap<String, Slot>,
    pub(super) body: String,
    pub(super) depth: usize,
    pub(super) names: Vec<String>,
    pub(super) taken: HashMap<String, u32>,
    pub(super) pending: Option<String>,
    pub(super) regions: Vec<u32>,
    pub(super) next_region: u32,
    pub(super) next_number: u32,
    pub(super) fastmath: FastMath,
}

impl Builder {
    pub(crate) fn new(module: Module, func: u32) -> Self {
        Builder {
            module,
            func,
            constants: String::new(),
            known: HashMap::new(),
            body: String::new(),
            depth: 1,
            names: Vec::new(),
            taken: HashMap::new(),
            pending: None,
            regions: vec![0],
            next_region: 1,
            next_number: 0,
            fastmath: FastMath::NONE,
        }
    }

    pub(crate) fn into_parts(self) -> (Module, String) {
        (self.module, self.constants + &self.body)
    }

    /// The module, so that a function can be added while this one is built.
    pub fn module(&mut self) -> &mut Module {
        &mut self.module
    }

    /// Names the results of the next op: `b.name("acc").addf(x, y)`. A name that is taken gets a number.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.pending = Some(name.to_owned());
        self
    }

    /// Writes a comment line.
    pub fn comment(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("// {line}"));
        }
    }

    /// What the float ops of `body` may assume.
    pub fn with_fastmath<R>(&mut self, flags: FastMath, body: impl FnOnce(&mut Builder) -> R) -> R {
        let before = std::mem::replace(&mut self.fastmath, flags);
        let result = body(self);
        self.fastmath = before;
        result
    }

    /// A scalar constant, exact.
    pub fn constant<E: Element>(&mut self, ty: E, value: E::Rust) -> Value<E> {
        self.pooled(ty, &E::literal(value))
    }

    /// A scalar constant given by its bits, for values of wide floats that no double equals.
    pub fn bits<E: super::Float>(&mut self, ty: E, bits: u128) -> Value<E> {
        let digits = (E::KIND.bits() / 4) as usize;
        self.pooled(ty, &format!("0x{bits:0digits$X}"))
    }

    /// The constant nearest to a double: a scalar, or everywhere in a vector.
    pub fn float<T: FloatLike>(&mut self, ty: T, value: f64) -> Value<T> {
        let literal = <T::Elem as super::Float>::of_f64(value);
        self.pooled(ty, &ty.splat(&literal))
    }

    /// An integer constant: a scalar, or everywhere in a vector. Truth values take 0 and 1.
    #[track_caller]
    pub fn int<T: IntLike>(&mut self, ty: T, value: i64) -> Value<T> {
        let bits = T::Elem::KIND.bits();
        let fits = bits == 64 || (-(1_i64 << (bits - 1)) <= value && value < 1_i64 << bits);
        if !fits {
            self.mistake("arith.constant", format!("{value} does not fit {}", T::Elem::KIND));
        }
        let literal = if bits == 1 { (value != 0).to_string() } else { wrapped(value, bits).to_string() };
        self.pooled(ty, &ty.splat(&literal))
    }

    /// A constant index.
    pub fn index(&mut self, value: i64) -> Value<Index> {
        self.pooled(Index, &value.to_string())
    }

    /// A position as a value.
    pub fn to_index(&mut self, position: impl IntoIndex) -> Value<Index> {
        match position.fold() {
            Fold::Static(value) => {
                let name = self.pending.take();
                let value = self.index(value);
                self.pending = name;
                value
            }
            Fold::Dynamic(value) => value,
        }
    }

    /// A constant vector.
    #[track_caller]
    pub fn dense<E: Element, const R: usize>(
        &mut self,
        ty: Vector<E, R>,
        data: &[E::Rust],
    ) -> Value<Vector<E, R>> {
        if ty.lanes() != data.len() {
            self.mistake(
                "arith.constant",
                format!("{} takes {} elements, found {}", ty.any(), ty.lanes(), data.len()),
            );
        }
        let text = dense::<E>(&ty.sizes, data);
        self.pooled(ty, &text)
    }

    /// The value as one of type `U`; another type is a mistake that `finish` returns.
    #[track_caller]
    pub fn expect<T: Type, U: Type>(&mut self, value: Value<T>, ty: U) -> Value<U> {
        if value.ty.any() != ty.any() {
            let problem = format!("expected a value of type {}, found {}", ty.any(), value.ty.any());
            self.mistake("expect", problem);
        }
        Value { slot: value.slot, ty }
    }

    /// An op that the API has no method for, in MLIR's generic form. `attributes` is what stands in braces.
    #[track_caller]
    pub fn generic<V: Values, R: Types>(
        &mut self,
        op: &str,
        operands: V,
        attributes: &str,
        results: R,
    ) -> R::Values {
        let mut values = Vec::new();
        operands.flatten(&mut values);
        let names = self.names_of(&values, op);
        let taken: Vec<AnyType> = values.iter().map(|v| v.ty).collect();
        let mut given = Vec::new();
        results.flatten(&mut given);
        let given: Vec<AnyType> = given.iter().map(|(ty, _)| *ty).collect();
        let braces = if attributes.is_empty() { String::new() } else { format!(" {{{attributes}}}") };
        let text = format!(
            "\"{op}\"({names}){braces} : ({}) -> ({})",
            super::module::join(&taken),
            super::module::join(&given)
        );
        self.results(&results, &text)
    }
}

/// The value as a signed integer of that width, which is how MLIR prints and reads it.
fn wrapped(value: i64, bits: u32) -> i64 {
    let spare = 64 - bits;
    value.wrapping_shl(spare).wrapping_shr(spare)
}
