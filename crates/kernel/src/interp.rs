//! The plain evaluation of a kernel: what the Rust function computes, step by step.
//!
//! Arithmetic is Rust's own in the type that the source gives (f32 stays f32). Where the function would panic (an index out
//! of range, an overflow, as in a debug build, a division of integers by zero) the evaluation ends with an error that
//! names the line.

use crate::error::{KernelError, Result};
use crate::function::Kernel;
use crate::program::{Access, Expr, ExprKind, Function, Output, Program, Slot, Stmt, StmtKind};
pub use crate::value::Arg;
use crate::value::{ArrayValue, Value};
use kernel_syntax::{BinaryOp, Scalar, Span};

/// How many elements the arrays of one evaluation may have together.
pub const MOST_ELEMENTS: usize = 1 << 28;

/// What an evaluation leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The results, a tuple's one by one.
    pub results: Vec<Arg>,
    /// The arguments afterwards, in order; those passed by `&mut` may have changed.
    pub args: Vec<Arg>,
}

impl Kernel {
    /// Evaluates the kernel on arguments in the order of its parameters.
    ///
    /// ```
    /// use kernel::{Arg, Kernel};
    /// let text = "fn twice(x: &[f32], y: &mut [f32]) { for (y, x) in y.iter_mut().zip(x) { *y = 2.0 * x; } }";
    /// let kernel = Kernel::parse_one(text, "example", "twice")?;
    /// let made = kernel.interpret(&[Arg::from(&[1.0f32, 2.5]), Arg::from(&[0.0f32; 2])])?;
    /// assert_eq!(made.args[1], Arg::from(&[2.0f32, 5.0]));
    /// # Ok::<(), kernel::KernelError>(())
    /// ```
    ///
    /// # Errors
    /// [`KernelError::Type`] where the kernel does not fit together, [`KernelError::Argument`],
    /// [`KernelError::Evaluation`] where the function would have panicked.
    pub fn interpret(&self, args: &[Arg]) -> Result<Outcome> {
        interpret(&self.program_in(self.scalar_for(args))?, args)
    }

    /// What a float that is a type parameter is for these arguments: `f64` where one of them holds doubles, else `f32`.
    pub fn scalar_for(&self, args: &[Arg]) -> Scalar {
        let wide = args.iter().any(|a| match a {
            Arg::Scalar(Value::F64(_)) => true,
            Arg::Array(a) => a.element == Scalar::F64,
            _ => false,
        });
        if wide { Scalar::F64 } else { Scalar::F32 }
    }
}

/// Whether arguments fit the parameters of a program, in number, type, rank and the sizes that it states.
///
/// # Errors
/// [`KernelError::Argument`] for the first that does not.
pub fn check_arguments(program: &Program, args: &[Arg]) -> Result<()> {
    let fail = |name: &str, expected: String, found: String| {
        Err(KernelError::Argument { kernel: program.name.clone(), name: name.to_string(), expected, found })
    };
    if args.len() != program.params.len() {
        return fail("(all)", format!("{} arguments", program.params.len()), args.len().to_string());
    }
    let whole = |a: &ArrayValue| a.dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) == Some(a.len());
    for (p, a) in program.params.iter().zip(args) {
        let fits = match (&p.slot, a) {
            (Slot::Scalar(v) | Slot::ScalarMut(v), Arg::Scalar(x)) => x.scalar() == program.var_ty(*v),
            (Slot::Array(id), Arg::Array(a)) => {
                let decl = program.array(*id);
                let sizes = decl.sizes.iter().zip(&a.dims).all(|(s, d)| s.is_none_or(|s| s == *d));
                a.dims.len() == decl.rank && a.element == program.element(*id) && sizes && whole(a)
            }
            (Slot::Ternary(id, _), Arg::Ternary(t, _)) => {
                let decl = program.array(*id);
                let sizes = decl.sizes.iter().zip(&t.dims).all(|(s, d)| s.is_none_or(|s| s == *d));
                t.dims.len() == 2 && t.element == Scalar::I8 && sizes && whole(t)
            }
            _ => false,
        };
        if !fits {
            let expected = match &p.slot {
                Slot::Scalar(v) | Slot::ScalarMut(v) => program.var_ty(*v).name().to_string(),
                Slot::Array(id) | Slot::Ternary(id, _) => {
                    let decl = program.array(*id);
                    let sizes: Vec<String> =
                        decl.sizes.iter().map(|s| s.map_or("_".into(), |n| n.to_string())).collect();
                    let kind = match p.slot {
                        Slot::Ternary(..) => "trits ",
                        _ => program.element(*id).name(),
                    };
                    format!("{kind}[{}]", sizes.join(", "))
                }
            };
            return fail(&p.name, expected, a.describe());
        }
    }
    Ok(())
}

struct Machine<'a> {
    program: &'a Program,
    vars: Vec<Value>,
    arrays: Vec<Option<ArrayValue>>,
    elements: usize,
}

/// Evaluates a program; see [`Kernel::interpret`].
///
/// # Errors
/// As there.
pub fn interpret(program: &Program, args: &[Arg]) -> Result<Outcome> {
    check_arguments(program, args)?;
    let vars = program.vars.iter().enumerate();
    let vars = vars.map(|(i, _)| Value::of(0.0, program.var_ty(crate::program::VarId(i as u32)))).collect();
    let mut m = Machine { program, vars, arrays: vec![None; program.arrays.len()], elements: 0 };
    for (p, a) in program.params.iter().zip(args) {
        match (&p.slot, a) {
            (Slot::Scalar(v) | Slot::ScalarMut(v), Arg::Scalar(x)) => m.vars[v.0 as usize] = *x,
            (Slot::Array(id), Arg::Array(a)) => m.arrays[id.0 as usize] = Some(a.clone()),
            (Slot::Ternary(id, scale), Arg::Ternary(trits, s)) => {
                m.arrays[id.0 as usize] = Some(trits.clone());
                m.vars[scale.0 as usize] = Value::F32(*s);
            }
            // `check_arguments` has seen to the rest.
            _ => {}
        }
    }
    m.run(&program.body)?;
    let results = program.results.iter().map(|r| match r {
        Output::Scalar(v) => Ok(Arg::Scalar(m.vars[v.0 as usize])),
        Output::Array(id, dims) => {
            let span = Span::default();
            let dims = dims.iter().map(|d| m.usize(d)).collect::<Result<Vec<_>>>()?;
            let mut a = m.array(*id, span)?.clone();
            if dims.iter().product::<usize>() != a.len() {
                return Err(KernelError::eval(
                    &program.name,
                    span,
                    format!("sizes {dims:?} for {} elements", a.len()),
                ));
            }
            a.dims = dims;
            Ok(Arg::Array(a))
        }
    });
    let results = results.collect::<Result<Vec<_>>>()?;
    let args = program.params.iter().zip(args).map(|(p, a)| match &p.slot {
        Slot::ScalarMut(v) => Arg::Scalar(m.vars[v.0 as usize]),
        Slot::Array(id) => m.arrays[id.0 as usize].clone().map_or_else(|| a.clone(), Arg::Array),
        _ => a.clone(),
    });
    Ok(Outcome { results, args: args.collect() })
}

impl Machine<'_> {
    fn fail<T>(&self, span: Span, problem: impl Into<String>) -> Result<T> {
        Err(KernelError::eval(&self.program.name, span, problem))
    }

    fn array(&self, id: crate::program::ArrayId, span: Span) -> Result<&ArrayValue> {
        match &self.arrays[id.0 as usize] {
            Some(a) => Ok(a),
            None => self.fail(span, "an array is used before it is made"),
        }
    }

    fn run(&mut self, stmts: &[Stmt]) -> Result<()> {
        for s in stmts {
            match &s.kind {
                StmtKind::Assign(v, e) => self.vars[v.0 as usize] = self.eval(e)?,
                StmtKind::Store(a, e) => {
                    let value = self.eval(e)?;
                    let at = self.locate(a)?;
                    if let Some(array) = &mut self.arrays[a.array.0 as usize] {
                        array.set(at, value);
                    }
                }
                StmtKind::Alloc(id, dims, fill) => {
                    let dims = dims.iter().map(|d| self.usize(d)).collect::<Result<Vec<_>>>()?;
                    let n = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).unwrap_or(usize::MAX);
                    let before = self.arrays[id.0 as usize].as_ref().map_or(0, ArrayValue::len);
                    self.elements = (self.elements - before.min(self.elements)).saturating_add(n);
                    if self.elements > MOST_ELEMENTS {
                        return self
                            .fail(s.span, format!("the arrays hold more than {MOST_ELEMENTS} elements"));
                    }
                    let fill = self.eval(fill)?;
                    self.arrays[id.0 as usize] = Some(ArrayValue::filled(dims, fill));
                }
                StmtKind::For(v, n, body) => {
                    let n = self.usize(n)?;
                    for i in 0..n {
                        self.vars[v.0 as usize] = Value::Int(i as i128, Scalar::Usize);
                        self.run(body)?;
                    }
                }
                StmtKind::If(c, a, b) => {
                    let taken = if self.bool(c)? { a } else { b };
                    self.run(taken)?;
                }
                StmtKind::Require(c, problem) => {
                    if !self.bool(c)? {
                        return self.fail(s.span, problem.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn usize(&self, e: &Expr) -> Result<usize> {
        match self.eval(e)? {
            Value::Int(i, _) if i >= 0 => Ok(i as usize),
            other => self.fail(e.span, format!("expected a size, found {}", other.to_f64())),
        }
    }

    fn bool(&self, e: &Expr) -> Result<bool> {
        match self.eval(e)? {
            Value::Bool(b) => Ok(b),
            _ => self.fail(e.span, "expected a truth value"),
        }
    }

    fn locate(&self, a: &Access) -> Result<usize> {
        for (i, n) in &a.checks {
            let (i, n) = (self.usize(i)?, self.usize(n)?);
            if i >= n {
                let name = &self.program.array(a.array).name;
                return self.fail(a.span, format!("index {i} is out of range for `{name}`, which has {n}"));
            }
        }
        let at = self.usize(&a.index)?;
        let n = self.array(a.array, a.span)?.len();
        if at >= n {
            let name = &self.program.array(a.array).name;
            return self
                .fail(a.span, format!("index {at} is out of range for `{name}`, which has {n} elements"));
        }
        Ok(at)
    }

    fn eval(&self, e: &Expr) -> Result<Value> {
        let ty = e.scalar();
        Ok(match &e.kind {
            ExprKind::Float(x) => Value::of(*x, ty),
            ExprKind::Int(i) => match ty.is_int() {
                true => match ty.range() {
                    Some((low, high)) if !(low..=high).contains(i) => {
                        return self.fail(e.span, format!("{i} does not fit {}", ty.name()));
                    }
                    _ => Value::Int(*i, ty),
                },
                false => Value::of(*i as f64, ty),
            },
            ExprKind::Bool(b) => Value::Bool(*b),
            ExprKind::Var(v) => self.vars[v.0 as usize],
            ExprKind::Size(a, k) => {
                let n = self.array(*a, e.span)?.dims.get(*k).copied().unwrap_or(0);
                Value::Int(n as i128, Scalar::Usize)
            }
            ExprKind::Load(a) => {
                let at = self.locate(a)?;
                match self.array(a.array, a.span)?.get(at) {
                    Some(v) => v,
                    None => return self.fail(a.span, "index out of range"),
                }
            }
            ExprKind::Negate(x) => match self.eval(x)? {
                Value::F32(x) => Value::F32(-x),
                Value::F64(x) => Value::F64(-x),
                Value::Bool(b) => Value::Bool(!b),
                Value::Int(i, s) => self.checked(Some(-i), s, "-", e.span)?,
            },
            ExprKind::Binary(BinaryOp::And, a, b) => Value::Bool(self.bool(a)? && self.bool(b)?),
            ExprKind::Binary(BinaryOp::Or, a, b) => Value::Bool(self.bool(a)? || self.bool(b)?),
            ExprKind::Binary(op, a, b) => {
                let (a, b) = (self.eval(a)?, self.eval(b)?);
                self.binary(*op, a, b, e.span)?
            }
            ExprKind::Cast(x) => self.eval(x)?.cast(ty),
            ExprKind::Call(f, args) => {
                let args = args.iter().map(|a| self.eval(a)).collect::<Result<Vec<_>>>()?;
                self.call(*f, &args, e.span)?
            }
        })
    }

    fn checked(&self, i: Option<i128>, s: Scalar, what: &str, span: Span) -> Result<Value> {
        match (i, s.range()) {
            (Some(i), Some((low, high))) if (low..=high).contains(&i) => Ok(Value::Int(i, s)),
            _ => self.fail(span, format!("`{what}` overflows {}", s.name())),
        }
    }

    fn binary(&self, op: BinaryOp, a: Value, b: Value, span: Span) -> Result<Value> {
        use BinaryOp::*;
        macro_rules! float {
            ($x:expr, $y:expr, $wrap:expr) => {{
                let (x, y) = ($x, $y);
                match op {
                    Add => $wrap(x + y),
                    Sub => $wrap(x - y),
                    Mul => $wrap(x * y),
                    Div => $wrap(x / y),
                    Rem => $wrap(x % y),
                    Eq => Value::Bool(x == y),
                    Ne => Value::Bool(x != y),
                    Lt => Value::Bool(x < y),
                    Le => Value::Bool(x <= y),
                    Gt => Value::Bool(x > y),
                    Ge => Value::Bool(x >= y),
                    _ => return self.fail(span, format!("`{}` of floats", op.symbol())),
                }
            }};
        }
        Ok(match (a, b) {
            (Value::F32(x), Value::F32(y)) => float!(x, y, Value::F32),
            (Value::F64(x), Value::F64(y)) => float!(x, y, Value::F64),
            (Value::Bool(x), Value::Bool(y)) => Value::Bool(match op {
                Eq => x == y,
                Ne | BitXor => x != y,
                BitAnd => x & y,
                BitOr => x | y,
                Lt => !x & y,
                Le => x <= y,
                Gt => x & !y,
                _ => x >= y,
            }),
            (Value::Int(x, s), Value::Int(y, _)) => {
                let bits = s.range().map_or(64, |(l, h)| 128 - (h - l).leading_zeros());
                let made = match op {
                    Add => x.checked_add(y),
                    Sub => x.checked_sub(y),
                    Mul => x.checked_mul(y),
                    Div | Rem if y == 0 => return self.fail(span, "division by zero"),
                    Div => x.checked_div(y),
                    // Rust counts the least number by −1 as an overflow, though the remainder is 0.
                    Rem if y == -1 && s.range().is_some_and(|(low, _)| x == low) => None,
                    Rem => x.checked_rem(y),
                    BitAnd => Some(x & y),
                    BitOr => Some(x | y),
                    BitXor => Some(x ^ y),
                    Shl | Shr if !(0..i128::from(bits)).contains(&y) => {
                        return self.fail(span, format!("`{}` by {y} bits", op.symbol()));
                    }
                    // What is shifted out is gone, without a panic.
                    Shl => return Ok(Value::Int(x << y, Scalar::I64).cast(s)),
                    Shr => Some(x >> y),
                    Eq => return Ok(Value::Bool(x == y)),
                    Ne => return Ok(Value::Bool(x != y)),
                    Lt => return Ok(Value::Bool(x < y)),
                    Le => return Ok(Value::Bool(x <= y)),
                    Gt => return Ok(Value::Bool(x > y)),
                    Ge => return Ok(Value::Bool(x >= y)),
                    And | Or => return self.fail(span, "`&&` of integers"),
                };
                self.checked(made, s, op.symbol(), span)?
            }
            _ => {
                return self.fail(
                    span,
                    format!("`{}` of {} and {}", op.symbol(), a.scalar().name(), b.scalar().name()),
                );
            }
        })
    }

    fn call(&self, f: Function, args: &[Value], span: Span) -> Result<Value> {
        use Function::*;
        macro_rules! float {
            ($x:expr, $get:expr, $wrap:expr) => {{
                let x = $x;
                let arg = |k: usize| args.get(k).copied().map_or(0.0, $get);
                Some($wrap(match f {
                    Abs => x.abs(),
                    AbsDiff => (x - arg(1)).abs(),
                    Ceil => x.ceil(),
                    // No order holds for NaN.
                    Clamp if arg(1) > arg(2) || arg(1).is_nan() || arg(2).is_nan() => {
                        return self.fail(span, "`clamp` with the ends the wrong way round");
                    }
                    Clamp => x.clamp(arg(1), arg(2)),
                    Cos => x.cos(),
                    Exp => x.exp(),
                    Exp2 => x.exp2(),
                    ExpM1 => x.exp_m1(),
                    Floor => x.floor(),
                    Ln => x.ln(),
                    Ln1p => x.ln_1p(),
                    Max => x.max(arg(1)),
                    Min => x.min(arg(1)),
                    MulAdd => x.mul_add(arg(1), arg(2)),
                    Powf => x.powf(arg(1)),
                    Powi => x.powi(args.get(1).map_or(0, |v| v.to_f64() as i32)),
                    Recip => x.recip(),
                    RemEuclid => x.rem_euclid(arg(1)),
                    DivEuclid => x.div_euclid(arg(1)),
                    Round => x.round(),
                    RoundTiesEven => x.round_ties_even(),
                    Signum => x.signum(),
                    Sin => x.sin(),
                    Sqrt => x.sqrt(),
                    Tanh => x.tanh(),
                    Trunc => x.trunc(),
                    DivCeil | SaturatingSub | WrappingAdd | WrappingMul | WrappingSub => {
                        return self.fail(span, format!("`{}` of a float", f.name()));
                    }
                }))
            }};
        }
        let made = match args.first().copied() {
            Some(Value::F32(x)) => {
                float!(x, |v| if let Value::F32(y) = v { y } else { v.to_f64() as f32 }, Value::F32)
            }
            Some(Value::F64(x)) => float!(x, Value::to_f64, Value::F64),
            Some(Value::Int(x, s)) => {
                let arg = |k: usize| match args.get(k) {
                    Some(Value::Int(i, _)) => *i,
                    _ => 0,
                };
                let y = arg(1);
                let (low, high) = s.range().unwrap_or((0, 0));
                let zero = matches!(f, DivCeil | DivEuclid | RemEuclid) && y == 0;
                if zero {
                    return self.fail(span, "division by zero");
                }
                if f == RemEuclid && y == -1 && x == low && low < 0 {
                    return self.checked(None, s, f.name(), span);
                }
                let i = match f {
                    Abs => x.abs(),
                    AbsDiff => (x - y).abs(),
                    Clamp if y > arg(2) => {
                        return self.fail(span, "`clamp` with the ends the wrong way round");
                    }
                    Clamp => x.clamp(y, arg(2)),
                    DivCeil => x.div_euclid(y) + i128::from(x.rem_euclid(y) != 0),
                    DivEuclid => x.div_euclid(y),
                    RemEuclid => x.rem_euclid(y),
                    Max => x.max(y),
                    Min => x.min(y),
                    SaturatingSub => (x - y).clamp(low, high),
                    Signum => x.signum(),
                    WrappingAdd => return Ok(Value::Int(x + y, s).cast(s)),
                    WrappingSub => return Ok(Value::Int(x - y, s).cast(s)),
                    WrappingMul => return Ok(Value::Int(x.wrapping_mul(y), s).cast(s)),
                    _ => return self.fail(span, format!("`{}` of an integer", f.name())),
                };
                Some(self.checked(Some(i), s, f.name(), span)?)
            }
            Some(Value::Bool(x)) => match (f, args.get(1)) {
                (Max, Some(Value::Bool(y))) => Some(Value::Bool(x | y)),
                (Min, Some(Value::Bool(y))) => Some(Value::Bool(x & y)),
                _ => None,
            },
            None => None,
        };
        match made {
            Some(v) => Ok(v),
            None => self.fail(span, format!("`{}` has no operands of that kind", f.name())),
        }
    }
}
