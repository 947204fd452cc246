//! The functions by name, and the kernel that applies one to every element.

use super::{TRIG_LIMIT, all, cos, erf, exp, log, sigmoid, silu, sin, softplus, squared_relu, tanh};
use crate::cpu::{Floats, any, once, private, strips};
use crate::ir::{Builder, CmpF, F32, F64, Func, MemRef, Module};

/// The functions that [`map`] and the fused kernels know by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// eˣ.
    Exp,
    /// Natural logarithm.
    Log,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x · sigmoid(x).
    Silu,
    /// log(1 + eˣ).
    Softplus,
    /// max(x, 0)².
    SquaredRelu,
    /// The error function.
    Erf,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
}

impl Function {
    /// Every function.
    pub const ALL: [Function; 10] = [
        Function::Exp,
        Function::Log,
        Function::Tanh,
        Function::Sigmoid,
        Function::Silu,
        Function::Softplus,
        Function::SquaredRelu,
        Function::Erf,
        Function::Sin,
        Function::Cos,
    ];

    /// The name, as in the names of kernels.
    pub fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Log => "log",
            Function::Tanh => "tanh",
            Function::Sigmoid => "sigmoid",
            Function::Silu => "silu",
            Function::Softplus => "softplus",
            Function::SquaredRelu => "squared_relu",
            Function::Erf => "erf",
            Function::Sin => "sin",
            Function::Cos => "cos",
        }
    }

    /// The ops of the function on a vector of any length. Sine and cosine are those for |x| ≤ 8192.
    pub fn emit(self, b: &mut Builder, x: Floats) -> Floats {
        match self {
            Function::Exp => exp(b, x),
            Function::Log => log(b, x),
            Function::Tanh => tanh(b, x),
            Function::Sigmoid => sigmoid(b, x),
            Function::Silu => silu(b, x),
            Function::Softplus => softplus(b, x),
            Function::SquaredRelu => squared_relu(b, x),
            Function::Erf => erf(b, x),
            Function::Sin => sin(b, x),
            Function::Cos => cos(b, x),
        }
    }

    /// Whether large arguments need the C library.
    fn limited(self) -> bool {
        matches!(self, Function::Sin | Function::Cos)
    }
}

/// A private function `(x, y)` over `memref<len x f32>`: y = function(x), element by element; x and y may be one memref.
pub fn map(m: &mut Module, lanes: usize, function: Function, len: usize) -> Func<[MemRef<F32, 1>; 2], ()> {
    let (name, ty) = (format!("map_{}_{len}", function.name()), MemRef::new(F32, [len as i64]));
    once(m, &name, [ty; 2], |m| {
        m.function(private(&name), [ty; 2], |b, [x, y]| {
            strips(b, len, lanes, |b, at, width| {
                let v = b.vector_load(x, at, [width]);
                let made = function.emit(b, v);
                if function.limited() {
                    let limit = all(b, v, TRIG_LIMIT);
                    let size = b.absf(v);
                    // NaN is among those that lie beyond.
                    let beyond = b.cmpf(CmpF::Ugt, size, limit);
                    let exact = |b: &mut Builder| {
                        let wide = b.extf(v, F64);
                        let made = if function == Function::Sin { b.sin(wide) } else { b.cos(wide) };
                        b.truncf(made, F32)
                    };
                    let any = any(b, beyond);
                    let made = b.if_(
                        any,
                        |b| {
                            let exact = exact(b);
                            b.select(beyond, exact, made)
                        },
                        |_| made,
                    );
                    b.vector_store(made, y, at);
                } else {
                    b.vector_store(made, y, at);
                }
            });
        })
    })
}
