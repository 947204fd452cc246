//! What the ops are made of: lines, results, regions, names and the pool of constants.

use std::fmt::Write as _;
use std::panic::Location;

use super::builder::Builder;
use super::types::{AnyType, Type};
use super::value::{AnyValue, Slot, Types, Value};

impl Builder {
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
    pub(super) fn pooled<T: Type>(&mut self, ty: T, literal: &str) -> Value<T> {
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
