//! The builder of a function's body: where ops, names, regions, constants and mistakes are written down.
//!
//! Ops are written as text at once; what is kept of a value is its name and the region in which it is visible. The ops
//! themselves are in [`ops`](super::ops), one file per dialect.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::panic::Location;

use super::element::{Element, FloatLike, Index, IntLike};
use super::module::{Module, dense};
use super::types::{AnyType, Type, Vector};
use super::value::{AnyValue, Fold, IntoIndex, Slot, Types, Value, Values};

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

    fn names(self) -> Vec<&'static str> {
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
    module: Module,
    func: u32,
    constants: String,
    known: HashMap<String, Slot>,
    body: String,
    depth: usize,
    names: Vec<String>,
    taken: HashMap<String, u32>,
    pending: Option<String>,
    regions: Vec<u32>,
    next_region: u32,
    next_number: u32,
    fastmath: FastMath,
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

    // ---- what the ops are made of ------------------------------------------------------------------------------

    /// Records a mistake at the caller's line.
    #[track_caller]
    pub(crate) fn mistake(&mut self, op: &str, problem: impl Into<String>) {
        self.module.mistake(op, problem, Location::caller());
    }

    /// The name of a value, after checking that it is visible here.
    #[track_caller]
    pub(crate) fn of<T: Type>(&mut self, value: Value<T>, op: &str) -> String {
        self.name_at(value.slot, op, Location::caller())
    }

    /// The names of several values, with commas between.
    #[track_caller]
    pub(crate) fn names_of(&mut self, values: &[AnyValue], op: &str) -> String {
        self.names_at(values, op, Location::caller())
    }

    /// The same for an op written at `place`.
    pub(crate) fn names_at(
        &mut self,
        values: &[AnyValue],
        op: &str,
        place: &'static Location<'static>,
    ) -> String {
        let names: Vec<String> = values.iter().map(|v| self.name_at(v.slot, op, place)).collect();
        names.join(", ")
    }

    fn name_at(&mut self, slot: Slot, op: &str, place: &'static Location<'static>) -> String {
        if slot.func != self.func {
            self.module.mistake(op, "an operand belongs to another function; pass it as an argument", place);
            return "%other".to_owned();
        }
        let name = self.names[slot.id as usize].clone();
        if !self.regions.contains(&slot.region) {
            let problem = format!("{name} belongs to a region that is closed; yield it to the outside");
            self.module.mistake(op, problem, place);
        }
        name
    }

    /// Writes a line at the present depth.
    pub(crate) fn line(&mut self, text: &str) {
        let _ = writeln!(self.body, "{:width$}{text}", "", width = 2 * self.depth);
    }

    /// Writes an op without result.
    #[track_caller]
    pub(crate) fn effect(&mut self, text: &str) {
        self.pending = None;
        let place = self.place(Location::caller());
        self.line(&format!("{text}{place}"));
    }

    /// Writes an op with one result.
    #[track_caller]
    pub(crate) fn result<T: Type>(&mut self, ty: T, text: &str) -> Value<T> {
        let place = self.place(Location::caller());
        let slot = self.fresh();
        self.line(&format!("{} = {text}{place}", self.names[slot.id as usize]));
        Value { slot, ty }
    }

    /// Writes an op with results of several types.
    #[track_caller]
    pub(crate) fn results<R: Types>(&mut self, types: &R, text: &str) -> R::Values {
        let place = self.place(Location::caller());
        let name = self.pending.take();
        let (prefix, values) = self.reserve(types, name.as_deref());
        self.line(&format!("{prefix}{text}{place}"));
        values
    }

    /// Fresh values of the given types, as the arguments of a region or function. Gives their names as well.
    pub(crate) fn arguments<A: Types>(&mut self, types: &A) -> (A::Values, Vec<String>) {
        let mut flat = Vec::new();
        types.flatten(&mut flat);
        let base = self.pending.take();
        let slots: Vec<Slot> = flat
            .iter()
            .enumerate()
            .map(|(k, (_, own))| {
                self.pending = match (own, &base) {
                    (Some(own), _) => Some((*own).to_owned()),
                    (None, Some(base)) => Some(base.clone()),
                    (None, None) if self.depth == 1 => Some(format!("arg{k}")),
                    (None, None) => None,
                };
                self.fresh()
            })
            .collect();
        let names = slots.iter().map(|slot| self.names[slot.id as usize].clone()).collect();
        let mut next = slots.into_iter();
        let region = self.region();
        let func = self.func;
        (types.bind(&mut || next.next().unwrap_or(Slot { id: 0, func, region })), names)
    }

    /// Runs `body` with its lines kept apart; gives what it returned and the lines.
    pub(crate) fn inside<R>(&mut self, body: impl FnOnce(&mut Builder) -> R) -> (R, String) {
        let outer = std::mem::take(&mut self.body);
        self.regions.push(self.next_region);
        self.next_region += 1;
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        self.regions.pop();
        (result, std::mem::replace(&mut self.body, outer))
    }

    /// Names the results of an op with regions before its text is known.
    pub(crate) fn reserve<R: Types>(&mut self, types: &R, name: Option<&str>) -> (String, R::Values) {
        let mut flat = Vec::new();
        types.flatten(&mut flat);
        let (func, region) = (self.func, self.region());
        self.pending = name.filter(|_| !flat.is_empty()).map(str::to_owned);
        if flat.is_empty() {
            return (String::new(), types.bind(&mut || Slot { id: 0, func, region }));
        }
        let name = self.fresh_name();
        let (prefix, single) = match flat.len() {
            1 => (format!("{name} = "), true),
            n => (format!("{name}:{n} = "), false),
        };
        let mut k = 0;
        let values = types.bind(&mut || {
            let id = self.names.len() as u32;
            self.names.push(if single { name.clone() } else { format!("{name}#{k}") });
            k += 1;
            Slot { id, func, region }
        });
        (prefix, values)
    }

    /// Writes an op with regions: its head, then each part, which is a region's lines or what stands between two.
    #[track_caller]
    pub(crate) fn close<V>(&mut self, (prefix, values): (String, V), head: &str, parts: &[String]) -> V {
        let place = self.place(Location::caller());
        self.line(&format!("{prefix}{head}"));
        for (k, part) in parts.iter().enumerate() {
            if k % 2 == 0 {
                self.body.push_str(part);
            } else {
                self.line(part);
            }
        }
        self.line(&format!("}}{place}"));
        values
    }

    /// Takes the name that was asked for, for an op that needs it more than once.
    pub(crate) fn take_name(&mut self) -> Option<String> {
        self.pending.take()
    }

    /// Asks for a name, such as one taken by [`Builder::take_name`].
    pub(crate) fn set_name(&mut self, name: Option<&str>) {
        self.pending = name.map(str::to_owned);
    }

    /// ` fastmath<…>` as the ops want it, or nothing.
    pub(crate) fn flags(&self) -> String {
        let names = self.fastmath.names();
        if names.is_empty() { String::new() } else { format!(" fastmath<{}>", names.join(",")) }
    }

    /// Records a mistake where two types that must be equal are not: sizes, since rustc has seen the rest.
    #[track_caller]
    pub(crate) fn same<T: Type>(&mut self, op: &str, x: T, y: T) {
        if x != y {
            self.mistake(op, format!("operands must have one type, found {} and {}", x.any(), y.any()));
        }
    }

    fn place(&self, place: &Location<'_>) -> String {
        if self.module.prints_locations() {
            format!(" loc({:?}:{}:{})", place.file(), place.line(), place.column())
        } else {
            String::new()
        }
    }

    fn region(&self) -> u32 {
        self.regions.last().copied().unwrap_or(0)
    }

    fn fresh(&mut self) -> Slot {
        let name = self.fresh_name();
        let id = self.names.len() as u32;
        self.names.push(name);
        Slot { id, func: self.func, region: self.region() }
    }

    fn fresh_name(&mut self) -> String {
        match self.pending.take() {
            Some(name) => self.unique(&name),
            None => {
                self.next_number += 1;
                format!("%{}", self.next_number - 1)
            }
        }
    }

    fn unique(&mut self, wanted: &str) -> String {
        let mut clean: String =
            wanted.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        if !clean.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            clean.insert(0, '_');
        }
        loop {
            let count = self.taken.entry(clean.clone()).or_insert(0);
            *count += 1;
            if *count == 1 {
                return format!("%{clean}");
            }
            let numbered = format!("{clean}_{}", *count - 1);
            if !self.taken.contains_key(&numbered) {
                self.taken.insert(numbered.clone(), 1);
                return format!("%{numbered}");
            }
        }
    }

    /// A constant of the function, written once at its head, so that loops read well.
    fn pooled<T: Type>(&mut self, ty: T, literal: &str) -> Value<T> {
        let shown = match ty.any() {
            AnyType::Scalar(kind) if kind.bits() == 1 => literal.to_owned(),
            any => format!("{literal} : {any}"),
        };
        let wanted = self.pending.take();
        if let Some(&slot) = self.known.get(&shown) {
            return Value { slot, ty };
        }
        self.pending = wanted.or_else(|| Some(constant_name(ty.any(), literal)));
        let name = self.fresh_name();
        let id = self.names.len() as u32;
        self.names.push(name);
        let slot = Slot { id, func: self.func, region: 0 };
        let _ = writeln!(self.constants, "  {} = arith.constant {shown}", self.names[id as usize]);
        self.known.insert(shown, slot);
        Value { slot, ty }
    }
}

/// `c4`, `c4_i8`, `c1_5_f32` and the like; `cst` where the literal is long.
fn constant_name(ty: AnyType, literal: &str) -> String {
    let inner = literal.strip_prefix("dense<").and_then(|t| t.strip_suffix('>')).unwrap_or(literal);
    let inner = inner.strip_suffix(".0").unwrap_or(inner);
    let clean = inner.replace('-', "m").replace('.', "_");
    let simple = clean.len() <= 10 && clean.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match (ty, simple) {
        (AnyType::Scalar(super::Kind::Index), true) => format!("c{clean}"),
        (AnyType::Scalar(super::Kind::I1), _) => clean,
        (AnyType::Scalar(kind), true) => format!("c{clean}_{kind}"),
        (AnyType::Vector(kind, shape), true) => {
            let sizes: Vec<String> = shape.sizes().iter().map(ToString::to_string).collect();
            format!("c{clean}_{}x{kind}", sizes.join("x"))
        }
        _ => "cst".to_owned(),
    }
}

/// The value as a signed integer of that width, which is how MLIR prints and reads it.
fn wrapped(value: i64, bits: u32) -> i64 {
    let spare = 64 - bits;
    value.wrapping_shl(spare).wrapping_shr(spare)
}
