//! `arith`: sums, products, comparisons, shifts and conversions, elementwise over scalars and vectors.

use crate::ir::value::IndexCast;
use crate::ir::{
    Builder, Condition, Element, Extends, Float, FloatLike, I1, Index, Int, IntLike, Integral, Like,
    SizedIntLike, Type, Value,
};

/// How floats are compared; `O…` is false where an operand is NaN, `U…` is true.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum CmpF {
    Oeq,
    Ogt,
    Oge,
    Olt,
    Ole,
    One,
    Ord,
    Ueq,
    Ugt,
    Uge,
    Ult,
    Ule,
    Une,
    Uno,
}

/// How integers are compared; `S…` reads them as signed, `U…` as unsigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum CmpI {
    Eq,
    Ne,
    Slt,
    Sle,
    Sgt,
    Sge,
    Ult,
    Ule,
    Ugt,
    Uge,
}

fn lower(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

macro_rules! binary {
    ($($name:ident $bound:ident $op:literal $doc:literal;)*) => {
        impl Builder {$(
            #[doc = concat!("`", $op, "`: ", $doc)]
            #[track_caller]
            pub fn $name<T: $bound>(&mut self, x: Value<T>, y: Value<T>) -> Value<T> {
                self.binary($op, x, y)
            }
        )*}
    };
}

binary! {
    addf FloatLike "arith.addf" "x + y.";
    subf FloatLike "arith.subf" "x − y.";
    mulf FloatLike "arith.mulf" "x · y.";
    divf FloatLike "arith.divf" "x / y.";
    remf FloatLike "arith.remf" "the remainder of x / y, with the sign of x.";
    maximumf FloatLike "arith.maximumf" "the larger; NaN if either is.";
    minimumf FloatLike "arith.minimumf" "the smaller; NaN if either is.";
    maxnumf FloatLike "arith.maxnumf" "the larger; the other one where one is NaN.";
    minnumf FloatLike "arith.minnumf" "the smaller; the other one where one is NaN.";
    addi IntLike "arith.addi" "x + y, wrapping.";
    subi IntLike "arith.subi" "x − y, wrapping.";
    muli IntLike "arith.muli" "x · y, wrapping.";
    divsi IntLike "arith.divsi" "x / y towards zero, signed.";
    divui IntLike "arith.divui" "x / y, unsigned.";
    ceildivsi IntLike "arith.ceildivsi" "x / y upwards, signed.";
    ceildivui IntLike "arith.ceildivui" "x / y upwards, unsigned.";
    floordivsi IntLike "arith.floordivsi" "x / y downwards, signed.";
    remsi IntLike "arith.remsi" "the remainder with the sign of x.";
    remui IntLike "arith.remui" "the remainder, unsigned.";
    andi IntLike "arith.andi" "both bits.";
    ori IntLike "arith.ori" "either bit.";
    xori IntLike "arith.xori" "bits that differ.";
    shli IntLike "arith.shli" "x shifted left by y bits.";
    shrui IntLike "arith.shrui" "x shifted right by y bits, zeros from the left.";
    shrsi IntLike "arith.shrsi" "x shifted right by y bits, copies of the sign from the left.";
    maxsi IntLike "arith.maxsi" "the larger, signed.";
    maxui IntLike "arith.maxui" "the larger, unsigned.";
    minsi IntLike "arith.minsi" "the smaller, signed.";
    minui IntLike "arith.minui" "the smaller, unsigned.";
}

impl Builder {
    #[track_caller]
    pub(super) fn binary<T: Like>(&mut self, op: &str, x: Value<T>, y: Value<T>) -> Value<T> {
        self.same(op, x.ty, y.ty);
        let flags = if T::Elem::KIND.is_float() { self.flags() } else { String::new() };
        let text = format!("{op} {}, {}{flags} : {}", self.of(x, op), self.of(y, op), x.ty.any());
        self.result(x.ty, &text)
    }

    #[track_caller]
    pub(super) fn unary<T: Like>(&mut self, op: &str, x: Value<T>) -> Value<T> {
        let flags = if T::Elem::KIND.is_float() { self.flags() } else { String::new() };
        let text = format!("{op} {}{flags} : {}", self.of(x, op), x.ty.any());
        self.result(x.ty, &text)
    }

    #[track_caller]
    fn cast<T: Type, U: Type>(&mut self, op: &str, x: Value<T>, to: U) -> Value<U> {
        let text = format!("{op} {} : {} to {}", self.of(x, op), x.ty.any(), to.any());
        self.result(to, &text)
    }

    /// `arith.negf`: −x.
    #[track_caller]
    pub fn negf<T: FloatLike>(&mut self, x: Value<T>) -> Value<T> {
        self.unary("arith.negf", x)
    }

    /// `arith.cmpf`.
    #[track_caller]
    pub fn cmpf<T: FloatLike>(&mut self, how: CmpF, x: Value<T>, y: Value<T>) -> Value<T::Mask> {
        self.same("arith.cmpf", x.ty, y.ty);
        let (how, flags) = (lower(how), self.flags());
        let (x_name, y_name) = (self.of(x, "arith.cmpf"), self.of(y, "arith.cmpf"));
        self.result(x.ty.mask(), &format!("arith.cmpf {how}, {x_name}, {y_name}{flags} : {}", x.ty.any()))
    }

    /// `arith.cmpi`.
    #[track_caller]
    pub fn cmpi<T: IntLike>(&mut self, how: CmpI, x: Value<T>, y: Value<T>) -> Value<T::Mask> {
        self.same("arith.cmpi", x.ty, y.ty);
        let how = lower(how);
        let (x_name, y_name) = (self.of(x, "arith.cmpi"), self.of(y, "arith.cmpi"));
        self.result(x.ty.mask(), &format!("arith.cmpi {how}, {x_name}, {y_name} : {}", x.ty.any()))
    }

    /// `arith.select`: `x` where the condition holds, else `y`; a vector of conditions chooses lane by lane.
    #[track_caller]
    pub fn select<T: Type, C: Condition<T>>(
        &mut self,
        condition: Value<C>,
        x: Value<T>,
        y: Value<T>,
    ) -> Value<T> {
        let op = "arith.select";
        self.same(op, x.ty, y.ty);
        let names = [self.of(condition, op), self.of(x, op), self.of(y, op)].join(", ");
        let text = match condition.ty.any() {
            crate::ir::AnyType::Scalar(_) => format!("{op} {names} : {}", x.ty.any()),
            lanes => {
                if lanes.shape() != x.ty.any().shape() {
                    self.mistake(
                        op,
                        format!("conditions of type {lanes} choose between values of type {}", x.ty.any()),
                    );
                }
                format!("{op} {names} : {lanes}, {}", x.ty.any())
            }
        };
        self.result(x.ty, &text)
    }

    /// `arith.extf`: to a wider float, exact.
    #[track_caller]
    pub fn extf<T: FloatLike, F: Float + Extends<T::Elem>>(
        &mut self,
        x: Value<T>,
        to: F,
    ) -> Value<T::With<F>> {
        self.cast("arith.extf", x, x.ty.with(to))
    }

    /// `arith.truncf`: to a narrower float, to nearest even.
    #[track_caller]
    pub fn truncf<T: FloatLike<Elem: Extends<F>>, F: Float>(
        &mut self,
        x: Value<T>,
        to: F,
    ) -> Value<T::With<F>> {
        self.cast("arith.truncf", x, x.ty.with(to))
    }

    /// The value in another float type, whichever is wider: `extf`, `truncf` or nothing. For code that is generic over
    /// floats.
    #[track_caller]
    pub fn convertf<T: FloatLike, F: Float>(&mut self, x: Value<T>, to: F) -> Value<T::With<F>> {
        let ty = x.ty.with(to);
        match (T::Elem::KIND, F::KIND) {
            (from, to) if from == to => Value { slot: x.slot, ty },
            (from, to) if from.bits() < to.bits() => self.cast("arith.extf", x, ty),
            (from, to) if from.bits() > to.bits() => self.cast("arith.truncf", x, ty),
            _ => {
                // f16 and bf16: neither holds the other, f32 holds both.
                let wide = self.cast("arith.extf", x, x.ty.with(crate::ir::F32));
                self.cast("arith.truncf", wide, ty)
            }
        }
    }

    /// `arith.extsi`: to a wider integer, signed.
    #[track_caller]
    pub fn extsi<T: SizedIntLike, I: Int + Extends<T::Elem>>(
        &mut self,
        x: Value<T>,
        to: I,
    ) -> Value<T::With<I>> {
        self.cast("arith.extsi", x, x.ty.with(to))
    }

    /// `arith.extui`: to a wider integer, unsigned.
    #[track_caller]
    pub fn extui<T: SizedIntLike, I: Int + Extends<T::Elem>>(
        &mut self,
        x: Value<T>,
        to: I,
    ) -> Value<T::With<I>> {
        self.cast("arith.extui", x, x.ty.with(to))
    }

    /// `arith.trunci`: to a narrower integer, the low bits.
    #[track_caller]
    pub fn trunci<T: SizedIntLike<Elem: Extends<I>>, I: Int>(
        &mut self,
        x: Value<T>,
        to: I,
    ) -> Value<T::With<I>> {
        self.cast("arith.trunci", x, x.ty.with(to))
    }

    /// The value in another integer type, whichever is wider: `extsi`, `trunci` or nothing (signed). For code that is
    /// generic over integers.
    #[track_caller]
    pub fn convertsi<T: SizedIntLike, I: Int>(&mut self, x: Value<T>, to: I) -> Value<T::With<I>> {
        let ty = x.ty.with(to);
        match T::Elem::KIND.bits().cmp(&I::KIND.bits()) {
            std::cmp::Ordering::Less => self.cast("arith.extsi", x, ty),
            std::cmp::Ordering::Greater => self.cast("arith.trunci", x, ty),
            std::cmp::Ordering::Equal => Value { slot: x.slot, ty },
        }
    }

    /// `arith.sitofp`: a signed integer as a float.
    #[track_caller]
    pub fn sitofp<T: SizedIntLike, F: Float>(&mut self, x: Value<T>, to: F) -> Value<T::With<F>> {
        self.cast("arith.sitofp", x, x.ty.with(to))
    }

    /// `arith.uitofp`: an unsigned integer as a float.
    #[track_caller]
    pub fn uitofp<T: SizedIntLike, F: Float>(&mut self, x: Value<T>, to: F) -> Value<T::With<F>> {
        self.cast("arith.uitofp", x, x.ty.with(to))
    }

    /// `arith.fptosi`: towards zero; a value that does not fit has no defined result.
    #[track_caller]
    pub fn fptosi<T: FloatLike, I: Int>(&mut self, x: Value<T>, to: I) -> Value<T::With<I>> {
        self.cast("arith.fptosi", x, x.ty.with(to))
    }

    /// `arith.fptoui`: towards zero, unsigned; a value that does not fit has no defined result.
    #[track_caller]
    pub fn fptoui<T: FloatLike, I: Int>(&mut self, x: Value<T>, to: I) -> Value<T::With<I>> {
        self.cast("arith.fptoui", x, x.ty.with(to))
    }

    /// `arith.index_cast`: between an index and an integer, signed.
    #[track_caller]
    pub fn index_cast<T, I>(&mut self, x: Value<T>, to: I) -> Value<T::With<I>>
    where
        T: IntLike<Elem: IndexCast<I>>,
        I: Integral,
    {
        self.cast("arith.index_cast", x, x.ty.with(to))
    }

    /// `arith.index_castui`: between an index and an integer, unsigned.
    #[track_caller]
    pub fn index_castui<T, I>(&mut self, x: Value<T>, to: I) -> Value<T::With<I>>
    where
        T: IntLike<Elem: IndexCast<I>>,
        I: Integral,
    {
        self.cast("arith.index_castui", x, x.ty.with(to))
    }

    /// `arith.bitcast`: the same bits as another element type of the same width.
    #[track_caller]
    pub fn bitcast<T: Like, E: Element>(&mut self, x: Value<T>, to: E) -> Value<T::With<E>> {
        let (from, into) = (T::Elem::KIND, E::KIND);
        if from.bits() != into.bits() || into == crate::ir::Kind::Index || from == crate::ir::Kind::Index {
            self.mistake("arith.bitcast", format!("{from} and {into} must be of one width, and no index"));
        }
        self.cast("arith.bitcast", x, x.ty.with(to))
    }

    /// `arith.mulsi_extended`: the low and the high half of a product, signed.
    #[track_caller]
    pub fn mulsi_extended<T: SizedIntLike>(&mut self, x: Value<T>, y: Value<T>) -> (Value<T>, Value<T>) {
        self.pair("arith.mulsi_extended", x, y)
    }

    /// `arith.mului_extended`: the low and the high half of a product, unsigned.
    #[track_caller]
    pub fn mului_extended<T: SizedIntLike>(&mut self, x: Value<T>, y: Value<T>) -> (Value<T>, Value<T>) {
        self.pair("arith.mului_extended", x, y)
    }

    #[track_caller]
    fn pair<T: SizedIntLike>(&mut self, op: &str, x: Value<T>, y: Value<T>) -> (Value<T>, Value<T>) {
        self.same(op, x.ty, y.ty);
        let text = format!("{op} {}, {} : {}", self.of(x, op), self.of(y, op), x.ty.any());
        self.results(&(x.ty, x.ty), &text)
    }

    /// `not x`, as `arith.xori` with ones.
    #[track_caller]
    pub fn not<T: Like<Elem = I1>>(&mut self, x: Value<T>) -> Value<T> {
        let name = self.take_name();
        let ones = self.int(x.ty, 1);
        self.set_name(name.as_deref());
        self.xori(x, ones)
    }

    /// `i + j` for a position and a number or another position.
    #[track_caller]
    pub fn offset(&mut self, i: Value<Index>, j: impl crate::ir::IntoIndex) -> Value<Index> {
        let j = self.to_index(j);
        self.addi(i, j)
    }

    /// `i · j` for a position and a number or another position.
    #[track_caller]
    pub fn scaled(&mut self, i: Value<Index>, j: impl crate::ir::IntoIndex) -> Value<Index> {
        let j = self.to_index(j);
        self.muli(i, j)
    }
}
