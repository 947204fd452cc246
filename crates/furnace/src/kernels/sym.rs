//! A scalar that writes down what is computed with it.

use graph::{Attrs, Cx, Op, Scalar, Var};
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number with its place in a graph, or a number that depends on no variable. Comparisons compare the numbers, so
/// Rust's own `if`, `match` and loops work.
#[derive(Clone, Debug)]
pub struct Sym {
    var: Option<Var>,
    value: f64,
}

impl Sym {
    pub(super) fn of(var: Var) -> Sym {
        Sym { value: var.val(), var: Some(var) }
    }

    /// The node, a constant where there is none yet.
    pub(super) fn var_in(&self, cx: &Cx) -> Var {
        self.var.clone().unwrap_or_else(|| cx.scalar(self.value))
    }

    /// The number.
    pub fn value(&self) -> f64 {
        self.value
    }

    fn unary(&self, plain: impl Fn(&f64) -> f64, op: impl Fn(&Var) -> Var) -> Sym {
        match &self.var {
            Some(v) => Sym::of(op(v)),
            None => Sym::from_f64(plain(&self.value)),
        }
    }

    /// By its row of the op table; a table without it poisons the trace, and the error names it.
    fn named(&self, plain: impl Fn(&f64) -> f64, name: &'static str) -> Sym {
        self.unary(plain, |v| match Op::from_name(name) {
            Some(op) => v.cx().push1(op, Attrs::new(), &[v]),
            None => {
                let problem = "the op table has no such op".into();
                v.cx().fail(graph::GraphError::NotDifferentiable { op: name, problem });
                v.cx().poison()
            }
        })
    }

    fn binary(&self, o: &Sym, plain: impl Fn(f64, f64) -> f64, op: impl Fn(&Var, &Var) -> Var) -> Sym {
        match self.var.as_ref().or(o.var.as_ref()) {
            Some(v) => {
                let cx = v.cx().clone();
                Sym::of(op(&self.var_in(&cx), &o.var_in(&cx)))
            }
            None => Sym::from_f64(plain(self.value, o.value)),
        }
    }
}

impl PartialEq for Sym {
    fn eq(&self, o: &Sym) -> bool {
        self.value == o.value
    }
}
impl PartialOrd for Sym {
    fn partial_cmp(&self, o: &Sym) -> Option<Ordering> {
        self.value.partial_cmp(&o.value)
    }
}

macro_rules! operators {
    ($($trait:ident $f:ident $sign:tt),*) => { $(
        impl $trait for Sym {
            type Output = Sym;
            fn $f(self, o: Sym) -> Sym {
                // What begins at nothing begins with the first term: 0 + x would be a node of the graph for every sum.
                if stringify!($f) == "add" && self.var.is_none() && self.value == 0.0 && o.value != 0.0 {
                    return o;
                }
                self.binary(&o, |a, b| a $sign b, |a, b| a $sign b)
            }
        }
    )* };
}
operators!(Add add +, Sub sub -, Mul mul *, Div div /);

impl Neg for Sym {
    type Output = Sym;
    fn neg(self) -> Sym {
        self.unary(|x| -x, |v| -v)
    }
}

impl Scalar for Sym {
    fn from_f64(x: f64) -> Sym {
        Sym { var: None, value: x }
    }
    fn to_f64(&self) -> f64 {
        self.value
    }
    fn exp(&self) -> Sym {
        self.unary(Scalar::exp, Var::exp)
    }
    fn ln(&self) -> Sym {
        self.unary(Scalar::ln, Var::log)
    }
    fn sqrt(&self) -> Sym {
        self.unary(Scalar::sqrt, Var::sqrt)
    }
    fn tanh(&self) -> Sym {
        self.unary(Scalar::tanh, Var::tanh)
    }
    fn sin(&self) -> Sym {
        self.unary(Scalar::sin, Var::sin)
    }
    fn cos(&self) -> Sym {
        self.unary(Scalar::cos, Var::cos)
    }
    fn asin(&self) -> Sym {
        self.named(Scalar::asin, "asin")
    }
    fn acos(&self) -> Sym {
        self.named(Scalar::acos, "acos")
    }
    fn atan(&self) -> Sym {
        self.named(Scalar::atan, "atan")
    }
    fn powf(&self, y: &Sym) -> Sym {
        self.binary(y, f64::powf, Var::pow)
    }
    fn floor(&self) -> Sym {
        self.unary(Scalar::floor, Var::floor)
    }
    fn round_half_even(&self) -> Sym {
        self.unary(Scalar::round_half_even, Var::round_half_even)
    }
    fn abs(&self) -> Sym {
        self.unary(Scalar::abs, Var::abs)
    }
    fn sign(&self) -> Sym {
        self.unary(Scalar::sign, Var::sign)
    }
    fn is_nan(&self) -> bool {
        self.value.is_nan()
    }
}
