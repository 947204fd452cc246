//! `math`: functions, elementwise over scalars and vectors.

use crate::ir::{Builder, FloatLike, IntLike, Value};

macro_rules! unary {
    ($($name:ident $op:literal $doc:literal;)*) => {
        impl Builder {$(
            #[doc = concat!("`", $op, "`: ", $doc)]
            #[track_caller]
            pub fn $name<T: FloatLike>(&mut self, x: Value<T>) -> Value<T> {
                self.unary($op, x)
            }
        )*}
    };
}

unary! {
    absf "math.absf" "|x|.";
    acos "math.acos" "arc cosine.";
    asin "math.asin" "arc sine.";
    atan "math.atan" "arc tangent.";
    cbrt "math.cbrt" "cube root.";
    ceil "math.ceil" "the next integer above.";
    cos "math.cos" "cosine.";
    cosh "math.cosh" "hyperbolic cosine.";
    erf "math.erf" "the error function.";
    exp "math.exp" "eˣ.";
    exp2 "math.exp2" "2ˣ.";
    expm1 "math.expm1" "eˣ − 1, exact near zero.";
    floor "math.floor" "the next integer below.";
    log "math.log" "natural logarithm.";
    log10 "math.log10" "logarithm to base ten.";
    log1p "math.log1p" "log(1 + x), exact near zero.";
    log2 "math.log2" "logarithm to base two.";
    round "math.round" "to the nearest integer, halves away from zero.";
    roundeven "math.roundeven" "to the nearest integer, halves to the even one.";
    rsqrt "math.rsqrt" "1 / √x.";
    sin "math.sin" "sine.";
    sinh "math.sinh" "hyperbolic sine.";
    sqrt "math.sqrt" "√x.";
    tan "math.tan" "tangent.";
    tanh "math.tanh" "hyperbolic tangent.";
    trunc "math.trunc" "towards zero.";
}

impl Builder {
    /// `math.fma`: x · y + z, rounded once.
    #[track_caller]
    pub fn fma<T: FloatLike>(&mut self, x: Value<T>, y: Value<T>, z: Value<T>) -> Value<T> {
        let op = "math.fma";
        self.same(op, x.ty, y.ty);
        self.same(op, x.ty, z.ty);
        let flags = self.flags();
        let names = [self.of(x, op), self.of(y, op), self.of(z, op)].join(", ");
        self.result(x.ty, &format!("{op} {names}{flags} : {}", crate::ir::Type::any(x.ty)))
    }

    /// `math.powf`: x to the power y.
    #[track_caller]
    pub fn powf<T: FloatLike>(&mut self, x: Value<T>, y: Value<T>) -> Value<T> {
        self.binary("math.powf", x, y)
    }

    /// `math.copysign`: the size of x with the sign of y.
    #[track_caller]
    pub fn copysign<T: FloatLike>(&mut self, x: Value<T>, y: Value<T>) -> Value<T> {
        self.binary("math.copysign", x, y)
    }

    /// `math.atan2`: the angle of the point (y, x), first operand y.
    #[track_caller]
    pub fn atan2<T: FloatLike>(&mut self, y: Value<T>, x: Value<T>) -> Value<T> {
        self.binary("math.atan2", y, x)
    }

    /// `math.absi`: |x|; the least integer is its own.
    #[track_caller]
    pub fn absi<T: IntLike>(&mut self, x: Value<T>) -> Value<T> {
        self.unary("math.absi", x)
    }

    /// `math.ctpop`: the number of ones.
    #[track_caller]
    pub fn ctpop<T: IntLike>(&mut self, x: Value<T>) -> Value<T> {
        self.unary("math.ctpop", x)
    }

    /// `math.ctlz`: the number of zeros from the left.
    #[track_caller]
    pub fn ctlz<T: IntLike>(&mut self, x: Value<T>) -> Value<T> {
        self.unary("math.ctlz", x)
    }

    /// `math.cttz`: the number of zeros from the right.
    #[track_caller]
    pub fn cttz<T: IntLike>(&mut self, x: Value<T>) -> Value<T> {
        self.unary("math.cttz", x)
    }
}
