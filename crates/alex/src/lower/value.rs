//! Values whose element type is found in the plan: constants, conversions, loads and stores.
//!
//! A plan names dtypes, so its lowering cannot name Rust types; it works on [`AnyValue`]s, scalars and vectors alike. What
//! lies in memory (`storage`) and what is computed with (`compute`) differ: bf16 and f16 are computed with in f32 and rounded
//! where they are written, integers in 64 bits and wrapped where they are written, truth values are bytes in memory.

use crate::ir::{
    AnyType, AnyValue, BF16, Builder, F16, F32, F64, F80, F128, I1, I8, I16, I32, I64, Index, Kind, MemRef,
    Ptr, Shape, Value, Vector,
};
use axes::DType;

/// A value, scalar or vector.
pub(crate) type V = AnyValue;

/// Element types of a plan, some of them replaced: with `wide`, all floating-point ones are that type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types {
    pub(crate) wide: Option<Kind>,
}

impl Types {
    /// What lies in memory.
    pub(crate) fn storage(self, d: DType) -> Kind {
        match d {
            _ if d.is_float() && self.wide.is_some() => self.wide.unwrap_or(Kind::F64),
            DType::F64 => Kind::F64,
            DType::BF16 => Kind::BF16,
            DType::F16 => Kind::F16,
            DType::I64 => Kind::I64,
            DType::I32 => Kind::I32,
            DType::I8 | DType::U8 | DType::Bool | DType::Trit => Kind::I8,
            DType::F32 => Kind::F32,
        }
    }

    /// What is computed with.
    pub(crate) fn compute(self, d: DType) -> Kind {
        match self.storage(d) {
            Kind::BF16 | Kind::F16 => Kind::F32,
            Kind::I8 if d == DType::Bool => Kind::I1,
            Kind::I8 | Kind::I32 => Kind::I64,
            kind => kind,
        }
    }

    /// Bytes of an element in memory.
    pub(crate) fn bytes(self, d: DType) -> usize {
        self.storage(d).bytes()
    }
}

/// The format that an accumulator names.
pub(crate) fn extended(how: Option<graph::Accumulator>) -> Option<Kind> {
    match how {
        Some(graph::Accumulator::F80) => Some(Kind::F80),
        Some(graph::Accumulator::F128) => Some(Kind::F128),
        _ => None,
    }
}

/// Whether the bytes of a dtype are read without a sign.
pub(crate) fn unsigned(d: DType) -> bool {
    matches!(d, DType::U8 | DType::Bool)
}

/// The element type of a value.
pub(crate) fn kind(v: V) -> Kind {
    v.ty().kind().unwrap_or(Kind::I64)
}

/// Lanes of a vector; `None` for a scalar.
pub(crate) fn lanes(ty: AnyType) -> Option<usize> {
    match ty {
        AnyType::Vector(_, shape) => Some(shape.sizes().iter().product::<i64>().max(1) as usize),
        _ => None,
    }
}

/// The same shape with another element type.
pub(crate) fn with(ty: AnyType, kind: Kind) -> AnyType {
    match ty {
        AnyType::Vector(_, shape) => AnyType::Vector(kind, shape),
        _ => AnyType::Scalar(kind),
    }
}

/// A vector of so many elements, or a scalar.
pub(crate) fn shaped(kind: Kind, lanes: Option<usize>) -> AnyType {
    match lanes {
        Some(n) => AnyType::Vector(kind, Shape::new(&[n as i64])),
        None => AnyType::Scalar(kind),
    }
}

/// A floating-point constant, everywhere in a vector.
pub(crate) fn float(b: &mut Builder, ty: AnyType, x: f64) -> V {
    macro_rules! made {
        ($name:ident) => {
            match lanes(ty) {
                None => b.float($name, x).any(),
                Some(n) => b.float(Vector::new($name, [n]), x).any(),
            }
        };
    }
    match ty.kind() {
        Some(Kind::F16) => made!(F16),
        Some(Kind::BF16) => made!(BF16),
        Some(Kind::F64) => made!(F64),
        Some(Kind::F80) => made!(F80),
        Some(Kind::F128) => made!(F128),
        _ => made!(F32),
    }
}

/// An integer constant, everywhere in a vector.
pub(crate) fn int(b: &mut Builder, ty: AnyType, x: i64) -> V {
    macro_rules! made {
        ($name:ident) => {
            match lanes(ty) {
                None => b.int($name, x).any(),
                Some(n) => b.int(Vector::new($name, [n]), x).any(),
            }
        };
    }
    match ty.kind() {
        Some(Kind::I1) => made!(I1),
        Some(Kind::I8) => made!(I8),
        Some(Kind::I16) => made!(I16),
        Some(Kind::I32) => made!(I32),
        Some(Kind::Index) => made!(Index),
        _ => made!(I64),
    }
}

/// A number of the value's own kind.
pub(crate) fn number(b: &mut Builder, ty: AnyType, x: f64) -> V {
    match ty.kind() {
        Some(k) if k.is_float() => float(b, ty, x),
        _ => int(b, ty, x as i64),
    }
}

/// An op of two operands and a result of one type.
pub(crate) fn op2(b: &mut Builder, op: &str, x: V, y: V) -> V {
    if let Some(made) = crate::extended::named(b, op, &[x, y]) {
        return made;
    }
    if is_wide(kind(x)) && matches!(op, "arith.maximumf" | "arith.minimumf") {
        return extremum(b, op == "arith.maximumf", x, y);
    }
    b.generic(op, (x, y), "", x.ty())
}

/// An op of one operand and a result of its type.
pub(crate) fn op1(b: &mut Builder, op: &str, x: V) -> V {
    if let Some(made) = crate::extended::named(b, op, &[x]) {
        return made;
    }
    b.generic(op, x, "", x.ty())
}

/// A cast to another element type.
fn cast(b: &mut Builder, op: &str, x: V, to: Kind) -> V {
    let ty = with(x.ty(), to);
    b.generic(op, x, "", ty)
}

/// Comparisons of floats; see `arith.cmpf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fcmp {
    Oeq = 1,
    Ogt = 2,
    Oge = 3,
    Olt = 4,
    Ole = 5,
    Ugt = 9,
    Une = 13,
    Uno = 14,
}

/// Comparisons of integers; see `arith.cmpi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icmp {
    Eq = 0,
    Ne = 1,
    Slt = 2,
    Sle = 3,
    Sgt = 4,
    Sge = 5,
    Ult = 6,
}

/// `arith.cmpf`.
pub(crate) fn cmpf(b: &mut Builder, how: Fcmp, x: V, y: V) -> V {
    let ty = with(x.ty(), Kind::I1);
    b.generic("arith.cmpf", (x, y), &format!("predicate = {} : i64", how as i64), ty)
}

/// `arith.cmpi`.
pub(crate) fn cmpi(b: &mut Builder, how: Icmp, x: V, y: V) -> V {
    let ty = with(x.ty(), Kind::I1);
    b.generic("arith.cmpi", (x, y), &format!("predicate = {} : i64", how as i64), ty)
}

/// `arith.select`.
pub(crate) fn select(b: &mut Builder, condition: V, x: V, y: V) -> V {
    b.generic("arith.select", (condition, x, y), "", x.ty())
}

/// A float in another float type.
pub(crate) fn convertf(b: &mut Builder, x: V, to: Kind) -> V {
    let from = kind(x);
    match (from.bits(), to.bits()) {
        _ if from == to => x,
        _ if to == Kind::BF16 => to_bf16(b, x),
        (16, 16) => {
            let wide = cast(b, "arith.extf", x, Kind::F32);
            cast(b, "arith.truncf", wide, to)
        }
        (a, c) if a < c => cast(b, "arith.extf", x, to),
        _ => cast(b, "arith.truncf", x, to),
    }
}

/// The nearest bf16, ties to even, by its bits: compilers' libraries lack the functions that LLVM would call, and the machine's
/// own instruction takes subnormals for zero.
fn to_bf16(b: &mut Builder, x: V) -> V {
    let x = match kind(x) {
        Kind::F64 => to_odd(b, x),
        Kind::F16 => cast(b, "arith.extf", x, Kind::F32),
        _ => x,
    };
    let bits = cast(b, "arith.bitcast", x, Kind::I32);
    let [half, one, low, quiet] = [0x7fff, 1, 16, 0x40_0000].map(|n| int(b, bits.ty(), n));
    let high = op2(b, "arith.shrui", bits, low);
    let odd = op2(b, "arith.andi", high, one);
    let up = op2(b, "arith.addi", half, odd);
    let rounded = op2(b, "arith.addi", bits, up);
    let kept = op2(b, "arith.ori", bits, quiet);
    let none = cmpf(b, Fcmp::Uno, x, x);
    let word = select(b, none, kept, rounded);
    let word = op2(b, "arith.shrui", word, low);
    let word = cast(b, "arith.trunci", word, Kind::I16);
    cast(b, "arith.bitcast", word, Kind::BF16)
}

/// An f64 as an f32 from which a narrower number is rounded as from the f64 itself: towards zero, and odd where it is not exact
/// (Boldo and Melquiond 2008).
fn to_odd(b: &mut Builder, x: V) -> V {
    let near = cast(b, "arith.truncf", x, Kind::F32);
    let back = cast(b, "arith.extf", near, Kind::F64);
    let (size, wanted) = (op1(b, "math.absf", back), op1(b, "math.absf", x));
    let (beyond, differs) = (cmpf(b, Fcmp::Ogt, size, wanted), cmpf(b, Fcmp::Une, back, x));
    let bits = cast(b, "arith.bitcast", near, Kind::I32);
    let one = int(b, bits.ty(), 1);
    let down = op2(b, "arith.subi", bits, one);
    let bits = select(b, beyond, down, bits);
    let odd = op2(b, "arith.ori", bits, one);
    let odd = cast(b, "arith.bitcast", odd, Kind::F32);
    // What is NaN stays NaN.
    let none = cmpf(b, Fcmp::Uno, x, x);
    let made = cast(b, "arith.bitcast", bits, Kind::F32);
    let made = select(b, differs, odd, made);
    select(b, none, near, made)
}

/// A signed (or unsigned) integer in another width; truth values are 0 and 1.
pub(crate) fn converti(b: &mut Builder, x: V, to: Kind, unsigned: bool) -> V {
    let from = kind(x);
    match from.bits().cmp(&to.bits()) {
        std::cmp::Ordering::Equal => x,
        std::cmp::Ordering::Greater => cast(b, "arith.trunci", x, to),
        _ if unsigned || from == Kind::I1 => cast(b, "arith.extui", x, to),
        _ => cast(b, "arith.extsi", x, to),
    }
}

/// An integer as a float.
pub(crate) fn to_float(b: &mut Builder, x: V, to: Kind, unsigned: bool) -> V {
    let op = if unsigned || kind(x) == Kind::I1 { "arith.uitofp" } else { "arith.sitofp" };
    cast(b, op, x, to)
}

/// Arithmetics that LLVM has no saturating conversion and no maximum for (its code generator stops on x86).
fn is_wide(kind: Kind) -> bool {
    matches!(kind, Kind::F80 | Kind::F128)
}

/// The larger (or the smaller); NaN if one is NaN, the first at a tie.
fn extremum(b: &mut Builder, larger: bool, x: V, y: V) -> V {
    let none = cmpf(b, Fcmp::Uno, x, x);
    let first = cmpf(b, if larger { Fcmp::Oge } else { Fcmp::Ole }, x, y);
    let first = op2(b, "arith.ori", none, first);
    select(b, first, x, y)
}

/// [`to_int`] by comparisons.
fn clamped(b: &mut Builder, x: V, to: Kind, unsigned: bool) -> V {
    let power = |bits: u32| 2.0f64.powi(bits as i32);
    let bits = to.bits();
    let (low, high) = if unsigned { (0.0, power(bits)) } else { (-power(bits - 1), power(bits - 1)) };
    let (least, most) = match unsigned {
        true => (0, i64::from(u32::MAX) >> (32 - bits.min(32))),
        false => (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)),
    };
    let [low, high, zero] = [low, high, 0.0].map(|v| float(b, x.ty(), v));
    let (above, below) = (cmpf(b, Fcmp::Oge, x, high), cmpf(b, Fcmp::Ole, x, low));
    let none = cmpf(b, Fcmp::Uno, x, x);
    let out = op2(b, "arith.ori", above, below);
    let out = op2(b, "arith.ori", out, none);
    let inside = select(b, out, zero, x);
    let whole = cast(b, "arith.fptosi", inside, Kind::I64);
    let [least, most] = [least, most].map(|v| int(b, whole.ty(), v));
    let whole = select(b, above, most, whole);
    let whole = select(b, below, least, whole);
    converti(b, whole, to, unsigned)
}

/// A float as an integer: towards zero, the nearest that there is, 0 for NaN.
pub(crate) fn to_int(b: &mut Builder, x: V, to: Kind, unsigned: bool) -> V {
    if is_wide(kind(x)) {
        return clamped(b, x, to, unsigned);
    }
    let ty = with(x.ty(), to);
    let name = |k: Kind| if k == Kind::F80 { "f80".to_string() } else { k.to_string() };
    let suffix = |k: Kind| match lanes(x.ty()) {
        Some(n) => format!("v{n}{}", name(k)),
        None => name(k),
    };
    let which = if unsigned { "fptoui" } else { "fptosi" };
    let intrinsic = format!("llvm.{which}.sat.{}.{}", suffix(to), suffix(kind(x)));
    b.intrinsic(&intrinsic, x, ty)
}

/// A scalar in every lane.
pub(crate) fn spread(b: &mut Builder, x: V, lanes: Option<usize>) -> V {
    match lanes {
        Some(_) => {
            let ty = shaped(kind(x), lanes);
            b.generic("vector.broadcast", x, "", ty)
        }
        None => x,
    }
}

/// A memref of `n` elements at an address.
pub(crate) fn memref(b: &mut Builder, at: Value<Ptr>, kind: Kind, n: usize) -> V {
    macro_rules! made {
        ($name:ident) => {
            b.memref_from_ptr(at, MemRef::new($name, [n as i64]), &[]).any()
        };
    }
    match kind {
        Kind::F16 => made!(F16),
        Kind::BF16 => made!(BF16),
        Kind::F32 => made!(F32),
        Kind::F64 => made!(F64),
        Kind::F80 => made!(F80),
        Kind::F128 => made!(F128),
        Kind::I1 => made!(I1),
        Kind::I8 => made!(I8),
        Kind::I16 => made!(I16),
        Kind::I32 => made!(I32),
        Kind::I64 => made!(I64),
        Kind::Index => made!(Index),
    }
}

/// Elements of a dtype in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells {
    /// The memref.
    pub(crate) memory: V,
    /// What the elements are.
    pub(crate) dtype: DType,
    /// How they are computed with.
    pub(crate) types: Types,
}

impl Cells {
    /// The elements from `at` on as they lie in memory: one, or as many as there are lanes.
    pub(crate) fn raw(&self, b: &mut Builder, at: Value<Index>, lanes: Option<usize>) -> V {
        let ty = shaped(self.types.storage(self.dtype), lanes);
        let op = if lanes.is_some() { "vector.load" } else { "memref.load" };
        b.generic(op, (self.memory, at), "", ty)
    }

    /// Writes elements as they lie in memory.
    pub(crate) fn put_raw(&self, b: &mut Builder, at: Value<Index>, x: V) {
        let op = if lanes(x.ty()).is_some() { "vector.store" } else { "memref.store" };
        let () = b.generic(op, (x, self.memory, at), "", ());
    }

    /// The elements from `at` on, as they are computed with.
    pub(crate) fn load(&self, b: &mut Builder, at: Value<Index>, lanes: Option<usize>) -> V {
        let raw = self.raw(b, at, lanes);
        opened(b, self.types, self.dtype, raw)
    }

    /// Writes elements, rounded or wrapped to what lies in memory.
    pub(crate) fn store(&self, b: &mut Builder, at: Value<Index>, x: V) {
        let to = self.types.storage(self.dtype);
        let x = match (kind(x).is_float(), to.is_float()) {
            (true, true) => convertf(b, x, to),
            (false, true) => to_float(b, x, to, false),
            (true, false) => to_int(b, x, to, unsigned(self.dtype)),
            (false, false) => converti(b, x, to, unsigned(self.dtype)),
        };
        self.put_raw(b, at, x);
    }
}

/// Elements as they are computed with, from those in memory.
pub(crate) fn opened(b: &mut Builder, types: Types, d: DType, raw: V) -> V {
    let to = types.compute(d);
    match to {
        Kind::I1 => {
            let zero = int(b, raw.ty(), 0);
            cmpi(b, Icmp::Ne, raw, zero)
        }
        _ if to.is_float() => convertf(b, raw, to),
        _ => converti(b, raw, to, unsigned(d)),
    }
}

/// i · n + j, with n a number.
pub(crate) fn at(b: &mut Builder, i: Value<Index>, n: usize, j: Value<Index>) -> Value<Index> {
    let scaled = b.scaled(i, n);
    b.addi(scaled, j)
}
