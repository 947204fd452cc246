//! A function while it is lowered: what its values are in memory.

use std::collections::HashMap;

use super::super::attr::{Attr, Type};
use super::super::module::{Func, Op, Value as Name};
use super::Lowered;
use crate::ir::{
    AnyType, AnyValue, Builder, DYN, Element, F32, F64, Float, I8, I32, I64, Index, IntoIndex, Kind, MemRef,
    Type as _, Value,
};

/// Memory of two axes: rows, and the numbers of a row.
pub(super) type Rows<E> = Value<MemRef<E, 2>>;

/// What a value of the dialect is in memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held<E> {
    /// Numbers.
    Rows(Rows<E>),
    /// int8 numbers and one scale a row.
    Quantized(Rows<I8>, Rows<E>),
    /// Trits: bytes, the factor, and how they lie.
    Ternary(Rows<I8>, Rows<E>, axes::TritLayout),
    /// int8 numbers alone.
    Bytes(Rows<I8>),
    /// Integer sums.
    Sums(Rows<I32>),
    /// Positions.
    Tokens(Rows<I64>),
    /// A size.
    Index(Value<Index>),
    /// Numbers of another element type.
    Wide(AnyValue),
}

/// A memref or index that a function takes.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) ty: AnyType,
    value: Name,
    result: bool,
}

/// The sizes of a value in memory, `DYN` where they are open.
pub(super) fn extent(ty: &Type) -> Lowered<(i64, i64)> {
    let one = |attr: &Attr| match attr {
        Attr::Int(n, _) => *n,
        _ => DYN,
    };
    let times = |a: i64, b: i64| if a == DYN || b == DYN { DYN } else { a.saturating_mul(b) };
    let lead = |attr: &Attr| match attr {
        Attr::Array(items) => items.iter().map(one).fold(1, times),
        _ => DYN,
    };
    Ok(match ty {
        Type::Fidelity { name, parameters: p } => match name.as_str() {
            "vector" | "quantized" | "state" => (lead(&p[0]), one(&p[1])),
            "ternary" | "matrix" => (one(&p[0]), one(&p[1])),
            "coefficients" => (1, one(&p[0])),
            "factor" => (1, 1),
            "scalar" | "tokens" => (lead(&p[0]), 1),
            "matrix_state" => (lead(&p[0]), times(one(&p[1]), one(&p[2]))),
            other => return Err(format!("`{other}` has no plain form; dequantise it first")),
        },
        Type::Tensor { sizes, .. } => {
            let all: Vec<i64> = sizes.iter().map(|n| n.map_or(DYN, |n| n as i64)).collect();
            match all.split_last() {
                None => (1, 1),
                Some((last, lead)) => (lead.iter().copied().fold(1, times), *last),
            }
        }
        other => return Err(format!("{other} has no plain form")),
    })
}

pub(super) fn kind(ty: &Type) -> Lowered<Kind> {
    let word = match ty {
        Type::Fidelity { name, .. } if name == "tokens" => "i64",
        Type::Fidelity { name, .. } if name == "quantized" || name == "ternary" => "i8",
        Type::Fidelity { parameters, .. } => parameters
            .iter()
            .find_map(|attr| match attr {
                Attr::Type(Type::Word(word)) => Some(word.as_str()),
                _ => None,
            })
            .unwrap_or_default(),
        Type::Tensor { elem, .. } => match &**elem {
            Type::Word(word) => word,
            _ => "",
        },
        _ => "",
    };
    let all =
        [Kind::F16, Kind::BF16, Kind::F32, Kind::F64, Kind::F80, Kind::F128, Kind::I8, Kind::I32, Kind::I64];
    all.into_iter().find(|kind| kind.name() == word).ok_or_else(|| format!("{ty} has no plain form"))
}

/// The memrefs of one value.
fn memory<E: Float>(ty: &Type, elem: E) -> Lowered<Vec<AnyType>> {
    if *ty == Type::word("index") {
        return Ok(vec![Index.any()]);
    }
    let (rows, width) = extent(ty)?;
    let of = |kind: Kind, rows: i64, width: i64| {
        AnyType::MemRef(kind, crate::ir::Shape::new(&[rows, width]), None, 0)
    };
    Ok(match ty {
        Type::Fidelity { name, .. } if name == "quantized" => {
            vec![of(Kind::I8, rows, width), of(E::KIND, rows, 1)]
        }
        Type::Fidelity { name, parameters } if name == "ternary" => {
            let layout = layout(&parameters[4]);
            let bytes = match (rows, width) {
                (DYN, _) | (_, DYN) => DYN,
                (n, k) => layout.row_bytes(k.max(0) as usize) as i64 * n,
            };
            let _ = elem;
            vec![of(Kind::I8, 1, bytes), of(E::KIND, 1, 1)]
        }
        ty => vec![of(kind(ty)?, rows, width)],
    })
}

fn layout(attr: &Attr) -> axes::TritLayout {
    match attr {
        Attr::Str(name) => name.parse().unwrap_or_default(),
        _ => axes::TritLayout::default(),
    }
}

/// What the lowered function takes: the arguments, then the results.
pub(super) fn parts<E: Float>(function: &Func, elem: E) -> Result<Vec<Part>, (String, String)> {
    let mut parts = Vec::new();
    let returned = function.returned.iter().flatten().map(|&v| (v, true));
    for (value, result) in function.arguments.iter().map(|&v| (v, false)).chain(returned) {
        let known = function.known(value);
        let types = memory(&known.ty, elem).map_err(|problem| (format!("%{}", known.name), problem))?;
        parts.extend(types.into_iter().map(|ty| Part { ty, value, result }));
    }
    Ok(parts)
}

/// A function while it is lowered.
pub(super) struct Frame<'a, E> {
    pub(super) function: &'a Func,
    pub(super) elem: E,
    held: HashMap<Name, Held<E>>,
    owned: Vec<AnyValue>,
}

impl<'a, E: Float> Frame<'a, E> {
    pub(super) fn new(
        function: &'a Func,
        elem: E,
        b: &mut Builder,
        parts: &[Part],
        values: &[AnyValue],
    ) -> Self {
        let mut frame = Frame { function, elem, held: HashMap::new(), owned: Vec::new() };
        let mut given: HashMap<Name, Vec<AnyValue>> = HashMap::new();
        for (part, &value) in parts.iter().zip(values).filter(|(part, _)| !part.result) {
            given.entry(part.value).or_default().push(value);
        }
        for (name, values) in given {
            let held = frame.hold(b, &function.known(name).ty, &values);
            frame.held.insert(name, held);
        }
        frame
    }

    /// Memrefs whose sizes are open, so that all code sees one type.
    fn open<T: Element>(b: &mut Builder, value: AnyValue, elem: T) -> Rows<T> {
        let AnyType::MemRef(_, shape, ..) = value.ty() else { return b.expect(value, MemRef::dynamic(elem)) };
        let own = MemRef::new(elem, shape.array().unwrap_or([DYN; 2]));
        let value = b.expect(value, own);
        if own.unknown() == 2 { value } else { b.memref_cast(value, MemRef::dynamic(elem)) }
    }

    fn hold(&self, b: &mut Builder, ty: &Type, values: &[AnyValue]) -> Held<E> {
        match (ty, values) {
            (Type::Fidelity { name, .. }, [q, s]) if name == "quantized" => {
                Held::Quantized(Self::open(b, *q, I8), Self::open(b, *s, self.elem))
            }
            (Type::Fidelity { name, parameters }, [w, s]) if name == "ternary" => {
                Held::Ternary(Self::open(b, *w, I8), Self::open(b, *s, self.elem), layout(&parameters[4]))
            }
            (_, values) => match values[0].ty().kind() {
                Some(Kind::Index) if values[0].ty() == Index.any() => Held::Index(b.expect(values[0], Index)),
                Some(Kind::I8) => Held::Bytes(Self::open(b, values[0], I8)),
                Some(Kind::I32) => Held::Sums(Self::open(b, values[0], I32)),
                Some(Kind::I64) => Held::Tokens(Self::open(b, values[0], I64)),
                Some(kind) if kind == E::KIND => Held::Rows(Self::open(b, values[0], self.elem)),
                _ => Held::Wide(values[0]),
            },
        }
    }

    /// Copies what the function returns into the memrefs behind its arguments, and frees the rest.
    pub(super) fn close(&mut self, b: &mut Builder, parts: &[Part], values: &[AnyValue]) -> Lowered<()> {
        let mut targets: Vec<(Name, Vec<AnyValue>)> = Vec::new();
        for (part, &value) in parts.iter().zip(values).filter(|(part, _)| part.result) {
            match targets.last_mut() {
                // Two results may be one value; each has its own memrefs.
                Some((name, list))
                    if *name == part.value
                        && list.len() < memory(&self.function.known(*name).ty, self.elem)?.len() =>
                {
                    list.push(value);
                }
                _ => targets.push((part.value, vec![value])),
            }
        }
        for (name, values) in targets {
            let target = self.hold(b, &self.function.known(name).ty, &values);
            match (self.of(name)?, target) {
                (Held::Rows(x), Held::Rows(y)) => b.copy(x, y),
                (Held::Quantized(q, s), Held::Quantized(t, u)) => {
                    b.copy(q, t);
                    b.copy(s, u);
                }
                (Held::Ternary(w, s, _), Held::Ternary(t, u, _)) => {
                    b.copy(w, t);
                    b.copy(s, u);
                }
                (Held::Bytes(x), Held::Bytes(y)) => b.copy(x, y),
                (Held::Sums(x), Held::Sums(y)) => b.copy(x, y),
                (Held::Tokens(x), Held::Tokens(y)) => b.copy(x, y),
                (Held::Wide(x), Held::Wide(y)) if x.ty().kind() == Some(Kind::F32) => {
                    let (x, y) = (Self::open(b, x, F32), Self::open(b, y, F32));
                    b.copy(x, y);
                }
                (Held::Wide(x), Held::Wide(y)) if x.ty().kind() == Some(Kind::F64) => {
                    let (x, y) = (Self::open(b, x, F64), Self::open(b, y, F64));
                    b.copy(x, y);
                }
                _ => return Err("a result of this type cannot be copied out".to_owned()),
            }
        }
        for value in std::mem::take(&mut self.owned) {
            b.generic("memref.dealloc", value, "", ());
        }
        Ok(())
    }

    fn of(&self, name: Name) -> Lowered<Held<E>> {
        self.held.get(&name).copied().ok_or_else(|| "an operand has no value yet".to_owned())
    }

    /// The operand in that place.
    pub(super) fn operand(&self, op: &Op, k: usize) -> Lowered<Held<E>> {
        op.operands.get(k).map_or_else(|| Err("an operand is missing".to_owned()), |&name| self.of(name))
    }

    /// The operand in that place as numbers.
    pub(super) fn rows(&self, op: &Op, k: usize) -> Lowered<Rows<E>> {
        match self.operand(op, k)? {
            Held::Rows(rows) => Ok(rows),
            _ => Err(format!("operand {k} must hold numbers of type {}", E::KIND)),
        }
    }

    /// The operand in that place as positions.
    pub(super) fn tokens(&self, op: &Op, k: usize) -> Lowered<Rows<I64>> {
        match self.operand(op, k)? {
            Held::Tokens(rows) => Ok(rows),
            _ => Err(format!("operand {k} must hold positions")),
        }
    }

    /// Sets a result.
    pub(super) fn give(&mut self, op: &Op, k: usize, held: Held<E>) {
        if let Some(&name) = op.results.get(k) {
            self.held.insert(name, held);
        }
    }

    /// Sets a result that holds numbers.
    pub(super) fn give_rows(&mut self, op: &Op, k: usize, rows: Rows<E>) {
        self.give(op, k, Held::Rows(rows));
    }

    /// The type of a result.
    pub(super) fn result_type(&self, op: &Op, k: usize) -> Option<&'a Type> {
        op.results.get(k).map(|&name| &self.function.known(name).ty)
    }

    /// Fresh memory, freed when the function returns.
    pub(super) fn fresh<T: Element>(
        &mut self,
        b: &mut Builder,
        elem: T,
        rows: Value<Index>,
        width: Value<Index>,
    ) -> Rows<T> {
        let memory = b.alloc(MemRef::dynamic(elem), &[rows, width]);
        self.owned.push(memory.any());
        memory
    }

    /// Fresh memory for numbers.
    pub(super) fn numbers(&mut self, b: &mut Builder, rows: Value<Index>, width: Value<Index>) -> Rows<E> {
        self.fresh(b, self.elem, rows, width)
    }

    /// A float attribute.
    pub(super) fn float(&self, op: &Op, name: &str) -> Lowered<f64> {
        match op.attributes.iter().find(|(own, _)| own == name) {
            Some((_, Attr::Float(value, _))) => Ok(*value),
            _ => Err(format!("attribute `{name}` is no float")),
        }
    }

    /// Operations of other dialects: constants of one number.
    pub(super) fn foreign(&mut self, b: &mut Builder, op: &Op) -> Lowered<()> {
        let value = op.attributes.iter().find(|(name, _)| name == "value").map(|(_, attr)| attr);
        match (op.name.as_str(), value) {
            ("arith.constant", Some(Attr::Int(n, ty))) if *ty == Type::word("index") => {
                let value = b.index(*n);
                self.give(op, 0, Held::Index(value));
                Ok(())
            }
            ("arith.constant", Some(Attr::Dense(_) | Attr::Other(_))) => {
                let text = value.map(ToString::to_string).unwrap_or_default();
                let number = text
                    .strip_prefix("dense<")
                    .and_then(|t| t.split('>').next())
                    .and_then(|t| t.parse::<f64>().ok());
                let Some(number) = number else {
                    return Err("only constants of one number have a plain lowering".to_owned());
                };
                let one = b.index(1);
                let memory = self.numbers(b, one, one);
                let value = b.float(self.elem, number);
                b.store(value, memory, (0, 0));
                self.give_rows(op, 0, memory);
                Ok(())
            }
            _ => Err(format!("`{}` has no plain lowering", op.name)),
        }
    }
}

/// Runs `body` for each row and position in it.
pub(super) fn nest(
    b: &mut Builder,
    rows: impl IntoIndex,
    width: impl IntoIndex,
    body: impl FnOnce(&mut Builder, Value<Index>, Value<Index>),
) {
    b.name("r").for_(0, rows, 1, (), |b, r, ()| b.for_(0, width, 1, (), |b, i, ()| body(b, r, i)));
}

/// The sum of what `body` gives for each position.
pub(super) fn sum<E: Float>(
    b: &mut Builder,
    elem: E,
    count: impl IntoIndex,
    body: impl FnOnce(&mut Builder, Value<Index>) -> Value<E>,
) -> Value<E> {
    let zero = b.float(elem, 0.0);
    b.name("sum").for_(0, count, 1, zero, |b, i, sum| {
        let x = body(b, i);
        b.addf(sum, x)
    })
}

/// Sizes of memory.
pub(super) fn sizes<T: Element>(b: &mut Builder, memory: Rows<T>) -> (Value<Index>, Value<Index>) {
    (b.dim(memory, 0), b.dim(memory, 1))
}
