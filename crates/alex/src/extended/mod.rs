//! Extended precision in generated code: f80 and f128, LLVM's `x86_fp80` and `fp128`.
//!
//! [`emit`] is one function of one number, for whoever lowers a graph; [`Kernels`] is all of them as compiled loops over
//! buffers, called from Rust.
//!
//! **In memory** a number of either format takes 16 bytes at a multiple of 16, a `u128` in Rust. Of an f80 the low 80 bits
//! count: 64 of mantissa with its leading bit, then 15 of exponent and the sign; compiled code does not write the upper six
//! bytes. An f128 is IEEE's binary128. Which NaN an operation gives is the platform's choice.
//!
//! **Errors.** Sums, differences, products, quotients, roots, and fused products are correctly rounded: the x87's
//! instructions, or the compiler's run-time library (`__addtf3` …) and the C library's `sqrtf128` and `fma`. Functions
//! are within 2 units in the last place of the correctly rounded value: the C library's (`expl`, `expf128`) where it is that
//! good, and ones of this crate where it is not.

mod accumulate;
mod double;
mod exponential;
mod format;
mod kernels;
mod power;
mod program;

pub use accumulate::{dot, sum};
pub use format::{Format, Wide};
pub use kernels::Kernels;
pub use program::{Memory, Program};

use crate::ir::{AnyValue, Builder, CmpF, F80, F128, FuncOptions, I1, I32, Kind, Type, Value};

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident $name:literal $operands:literal;)*) => {
        /// What there is of functions, with up to three operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Function {
            $($(#[$doc])* $variant,)*
        }

        impl Function {
            /// Every one.
            pub const ALL: &[Function] = &[$(Function::$variant),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Function::$variant => $name,)*
                }
            }

            /// How many operands it takes.
            pub fn operands(self) -> usize {
                match self {
                    $(Function::$variant => $operands,)*
                }
            }
        }
    };
}

functions! {
    /// x + y.
    Add "add" 2;
    /// x − y.
    Subtract "subtract" 2;
    /// x · y.
    Multiply "multiply" 2;
    /// x / y.
    Divide "divide" 2;
    /// √x.
    Sqrt "sqrt" 1;
    /// x · y + z, rounded once.
    Fma "fma" 3;
    /// −x.
    Negate "negate" 1;
    /// |x|.
    Abs "abs" 1;
    /// The largest whole number not above x.
    Floor "floor" 1;
    /// The nearest whole number, ties to even.
    RoundHalfEven "round_half_even" 1;
    /// The nearest whole number, ties away from zero.
    RoundHalfAway "round_half_away" 1;
    /// The larger; NaN if one is.
    Maximum "maximum" 2;
    /// The smaller; NaN if one is.
    Minimum "minimum" 2;
    /// e^x.
    Exp "exp" 1;
    /// 2^x.
    Exp2 "exp2" 1;
    /// e^x − 1.
    Expm1 "expm1" 1;
    /// Natural logarithm.
    Log "log" 1;
    /// ln(1 + x).
    Log1p "log1p" 1;
    /// Sine.
    Sine "sin" 1;
    /// Cosine.
    Cosine "cos" 1;
    /// Tangent.
    Tangent "tan" 1;
    /// Inverse sine.
    Asin "asin" 1;
    /// Inverse cosine.
    Acos "acos" 1;
    /// Inverse tangent.
    Atan "atan" 1;
    /// Hyperbolic sine.
    Sinh "sinh" 1;
    /// Hyperbolic cosine.
    Cosh "cosh" 1;
    /// Hyperbolic tangent.
    Tanh "tanh" 1;
    /// The error function.
    Erf "erf" 1;
    /// x to the power y.
    Power "pow" 2;
    /// 1 / (1 + e^-x).
    Sigmoid "sigmoid" 1;
    /// x / (1 + e^-x).
    Silu "silu" 1;
}

/// A function of operands of one format.
///
/// ```
/// use alex::extended::{Function, emit};
/// use alex::ir::{F128, Module};
///
/// let mut m = Module::new();
/// m.function("f", F128, |b, x| emit(b, Function::Tanh, &[x]));
/// assert!(m.finish().unwrap().contains("func.call @wide_tanh_f128"));
/// ```
///
/// # Panics
/// Where there are fewer operands than [`Function::operands`].
#[track_caller]
pub fn emit<F: Wide>(b: &mut Builder, function: Function, x: &[Value<F>]) -> Value<F> {
    assert!(
        x.len() >= function.operands(),
        "{} takes {} operands, found {}",
        function.name(),
        function.operands(),
        x.len()
    );
    match function {
        Function::Add => b.addf(x[0], x[1]),
        Function::Subtract => b.subf(x[0], x[1]),
        Function::Multiply => b.mulf(x[0], x[1]),
        Function::Divide => b.divf(x[0], x[1]),
        Function::Sqrt => b.sqrt(x[0]),
        Function::Negate => b.negf(x[0]),
        Function::Abs => b.absf(x[0]),
        Function::Floor => b.floor(x[0]),
        Function::RoundHalfEven => b.roundeven(x[0]),
        Function::RoundHalfAway => b.round(x[0]),
        Function::Maximum => extremum(b, CmpF::Oge, x[0], x[1]),
        Function::Minimum => extremum(b, CmpF::Ole, x[0], x[1]),
        Function::Expm1 => exponential::expm1(b, x[0]),
        Function::Log1p => exponential::log1p(b, x[0]),
        Function::Sinh => exponential::sinh(b, x[0]),
        Function::Cosh => exponential::cosh(b, x[0]),
        Function::Tanh => exponential::tanh(b, x[0]),
        Function::Sigmoid => exponential::sigmoid(b, x[0]),
        Function::Silu => exponential::silu(b, x[0]),
        Function::Power if F::FORMAT == Format::F128 => power::power(b, x[0], x[1]),
        Function::Fma
        | Function::Exp
        | Function::Exp2
        | Function::Log
        | Function::Sine
        | Function::Cosine
        | Function::Tangent
        | Function::Asin
        | Function::Acos
        | Function::Atan
        | Function::Erf
        | Function::Power => libm(b, function.name(), &x[..function.operands()]),
    }
}

/// The same for values whose type is known at run time; `None` where that is neither f80 nor f128.
pub fn emit_any(b: &mut Builder, function: Function, x: &[AnyValue]) -> Option<AnyValue> {
    fn typed<F: Wide>(b: &mut Builder, function: Function, x: &[AnyValue], ty: F) -> AnyValue {
        let x: Vec<Value<F>> = x.iter().map(|x| b.expect(*x, ty)).collect();
        emit(b, function, &x).any()
    }
    let enough = x.len() >= function.operands();
    match x.first()?.ty() {
        crate::ir::AnyType::Scalar(Kind::F80) if enough => Some(typed(b, function, x, F80)),
        crate::ir::AnyType::Scalar(Kind::F128) if enough => Some(typed(b, function, x, F128)),
        _ => None,
    }
}

/// What stands for an op of MLIR on these formats, by its name: functions that are within 2 units where MLIR's are not, and
/// extrema that can be compiled. `None`: the op itself, as for every other type.
pub(crate) fn named(b: &mut Builder, op: &str, x: &[AnyValue]) -> Option<AnyValue> {
    let function = match op {
        "arith.maximumf" => Function::Maximum,
        "arith.minimumf" => Function::Minimum,
        "math.exp" => Function::Exp,
        "math.exp2" => Function::Exp2,
        "math.expm1" => Function::Expm1,
        "math.log" => Function::Log,
        "math.log1p" => Function::Log1p,
        "math.sin" => Function::Sine,
        "math.cos" => Function::Cosine,
        "math.tan" => Function::Tangent,
        "math.asin" => Function::Asin,
        "math.acos" => Function::Acos,
        "math.atan" => Function::Atan,
        "math.sinh" => Function::Sinh,
        "math.cosh" => Function::Cosh,
        "math.tanh" => Function::Tanh,
        "math.erf" => Function::Erf,
        "math.powf" => Function::Power,
        _ => return None,
    };
    emit_any(b, function, x)
}

/// The larger or the smaller: LLVM 22 has no code for its `maximum` and `minimum` of these formats on x86.
fn extremum<F: Wide>(b: &mut Builder, how: CmpF, x: Value<F>, y: Value<F>) -> Value<F> {
    let wins = b.cmpf(how, x, y);
    let none = b.cmpf(CmpF::Uno, x, x);
    let first = b.ori(wins, none);
    b.select(first, x, y)
}

/// Calls the C library.
fn libm<F: Wide>(b: &mut Builder, name: &str, x: &[Value<F>]) -> Value<F> {
    let (symbol, ty) = (F::symbol(name), x[0].ty());
    if !b.module().has(&symbol) {
        b.module().declare(symbol.as_str(), vec![ty; x.len()], ty);
    }
    b.call_symbol(&symbol, x.to_vec(), ty)
}

/// x · 2^n, rounded only where the result is subnormal.
fn scaled<F: Wide>(b: &mut Builder, x: Value<F>, n: Value<I32>) -> Value<F> {
    let symbol = F::symbol("ldexp");
    if !b.module().has(&symbol) {
        b.module().declare(symbol.as_str(), (x.ty(), I32), x.ty());
    }
    b.call_symbol(&symbol, (x, n), x.ty())
}

/// Calls a function of the module that is made at its first use.
fn shared<F: Wide>(
    b: &mut Builder,
    name: &str,
    x: Value<F>,
    body: impl FnOnce(&mut Builder, Value<F>) -> Value<F>,
) -> Value<F> {
    shared_of(b, name, vec![x], |b, x| body(b, x[0]))
}

/// The same with several operands.
fn shared_of<F: Wide>(
    b: &mut Builder,
    name: &str,
    x: Vec<Value<F>>,
    body: impl FnOnce(&mut Builder, Vec<Value<F>>) -> Value<F>,
) -> Value<F> {
    let (ty, symbol) = (x[0].ty(), format!("wide_{name}_{}", F::FORMAT.name()));
    if !b.module().has(&symbol) {
        let options =
            FuncOptions::new(symbol.clone()).private().attribute("llvm.linkage = #llvm.linkage<internal>");
        b.module().function(options, vec![ty; x.len()], body);
    }
    b.call_symbol(&symbol, x, ty)
}

/// One of two values, of which only the one that is wanted is computed.
fn guarded<T: Type>(
    b: &mut Builder,
    condition: Value<I1>,
    then: impl FnOnce(&mut Builder) -> Value<T>,
    otherwise: impl FnOnce(&mut Builder) -> Value<T>,
) -> Value<T> {
    b.if_(condition, then, otherwise)
}
