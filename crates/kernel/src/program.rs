//! The typed form of a kernel: loops over indices, scalars, flat arrays.
//!
//! Iterators, closures, `match`, views and calls of other kernels are gone (see `lower`): a
//! loop counts an index from 0, an array is row-major memory with sizes, an element is named by its place in that
//! memory together with the checks that Rust's indexing makes. The interpreter, the recogniser and the lowering to MLIR
//! all start here.

use kernel_syntax::{BinaryOp, Scalar, Span};

/// A scalar variable of a [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VarId(pub u32);

/// An array of a [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArrayId(pub u32);

/// A scalar variable.
#[derive(Clone, Debug, PartialEq)]
pub struct VarDecl {
    /// Its name in the source; temporaries are named for what they hold.
    pub name: String,
    /// Its type.
    pub ty: Ty,
}

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayDecl {
    /// Its name in the source.
    pub name: String,
    /// The element type.
    pub element: Ty,
    /// The number of axes.
    pub rank: usize,
    /// The names of its axes, where they have some.
    pub axes: Vec<Option<String>>,
    /// Sizes that are known from the types.
    pub sizes: Vec<Option<usize>>,
    /// Whether it is a parameter.
    pub param: bool,
    /// Whether it may be written.
    pub mutable: bool,
    /// Whether its elements are −1, 0 and +1 by type.
    pub trits: bool,
    /// The unit, empty where there is none.
    pub unit: String,
}

/// An element type: known, or a variable of the inference, which a finished [`Program`] holds no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    /// Known.
    Known(Scalar),
    /// Not known yet.
    Var(u32),
}

/// An expression and its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Ty,
    /// Where it stands.
    pub span: Span,
}

impl Expr {
    /// The type of an expression of a finished program.
    pub fn scalar(&self) -> Scalar {
        match self.ty {
            Ty::Known(s) => s,
            Ty::Var(_) => Scalar::F32,
        }
    }
}

/// What an expression is. Evaluating one changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A decimal.
    Float(f64),
    /// An integer.
    Int(i128),
    /// A truth value.
    Bool(bool),
    /// A variable.
    Var(VarId),
    /// The size of an array along an axis.
    Size(ArrayId, usize),
    /// An element.
    Load(Box<Access>),
    /// Negation, of numbers and of truth values.
    Negate(Box<Expr>),
    /// Two operands; `&&` and `||` evaluate the second only where needed.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// A conversion by `as` to the expression's type.
    Cast(Box<Expr>),
    /// A function of numbers.
    Call(Function, Vec<Expr>),
}

/// An element of an array: its place in memory, and what Rust's indexing checks.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The array.
    pub array: ArrayId,
    /// The place, counted from the first element.
    pub index: Expr,
    /// Pairs of which the first must be less than the second.
    pub checks: Vec<(Expr, Expr)>,
    /// Where it stands.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Where it stands.
    pub span: Span,
}

/// What a statement is.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// A variable takes a value.
    Assign(VarId, Expr),
    /// An element takes a value.
    Store(Access, Expr),
    /// A local array comes to life with these sizes, every element the value.
    Alloc(ArrayId, Vec<Expr>, Expr),
    /// The variable counts from 0 up to the number of rounds.
    For(VarId, Expr, Vec<Stmt>),
    /// One of two lists.
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// Two values must be equal, or the function panics.
    Require(Expr, String),
}

macro_rules! functions {
    ($($variant:ident $name:literal $arity:literal),* $(,)?) => {
        /// A function of numbers, with the meaning of the method of that name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Function { $($variant),* }

        impl Function {
            /// The name of the method.
            pub fn name(self) -> &'static str { match self { $(Function::$variant => $name),* } }
            /// The number of operands, the receiver included.
            pub fn arity(self) -> usize { match self { $(Function::$variant => $arity),* } }
            /// The function of that name.
            pub fn from_name(name: &str) -> Option<Function> {
                match name { $($name => Some(Function::$variant),)* _ => None }
            }
        }
    };
}
functions! {
    Abs "abs" 1, AbsDiff "abs_diff" 2, Ceil "ceil" 1, Clamp "clamp" 3, Cos "cos" 1, DivCeil "div_ceil" 2,
    DivEuclid "div_euclid" 2, Exp "exp" 1, Exp2 "exp2" 1, ExpM1 "exp_m1" 1, Floor "floor" 1, Ln "ln" 1, Ln1p "ln_1p" 1,
    Max "max" 2, Min "min" 2, MulAdd "mul_add" 3, Powf "powf" 2, Powi "powi" 2, Recip "recip" 1, RemEuclid "rem_euclid" 2,
    Round "round" 1, RoundTiesEven "round_ties_even" 1, SaturatingSub "saturating_sub" 2, Signum "signum" 1, Sin "sin" 1,
    Sqrt "sqrt" 1, Tanh "tanh" 1, Trunc "trunc" 1, WrappingAdd "wrapping_add" 2, WrappingMul "wrapping_mul" 2,
    WrappingSub "wrapping_sub" 2,
}

/// What a caller gives for a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// A number.
    Scalar(VarId),
    /// A number that is also given back.
    ScalarMut(VarId),
    /// An array; whether it is given back is in its declaration.
    Array(ArrayId),
    /// A ternary matrix: its trits (outputs, inputs) and its scale.
    Ternary(ArrayId, VarId),
}

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where its value goes.
    pub slot: Slot,
    /// As the source writes its type.
    pub ty: kernel_syntax::Type,
}

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A number.
    Scalar(VarId),
    /// An array and its sizes.
    Array(ArrayId, Vec<Expr>),
}

/// A kernel in typed form.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The kernel's name.
    pub name: String,
    /// Scalar variables.
    pub vars: Vec<VarDecl>,
    /// Arrays.
    pub arrays: Vec<ArrayDecl>,
    /// Parameters.
    pub params: Vec<Parameter>,
    /// Statements.
    pub body: Vec<Stmt>,
    /// Results, a tuple's one by one.
    pub results: Vec<Output>,
}

impl Program {
    /// The declaration of a variable.
    pub fn var(&self, v: VarId) -> &VarDecl {
        &self.vars[v.0 as usize]
    }

    /// The declaration of an array.
    pub fn array(&self, a: ArrayId) -> &ArrayDecl {
        &self.arrays[a.0 as usize]
    }

    /// The type of a variable.
    pub fn var_ty(&self, v: VarId) -> Scalar {
        match self.var(v).ty {
            Ty::Known(s) => s,
            Ty::Var(_) => Scalar::F32,
        }
    }

    /// The element type of an array.
    pub fn element(&self, a: ArrayId) -> Scalar {
        match self.array(a).element {
            Ty::Known(s) => s,
            Ty::Var(_) => Scalar::F32,
        }
    }
}
