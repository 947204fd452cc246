//! The tree: what a kernel may hold, with the place of each part in its source.

/// A place: where a part of the source begins and ends. Lines count from 1, columns from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first line.
    pub line: u32,
    /// The column on the first line.
    pub column: u32,
    /// The last line.
    pub end_line: u32,
}

impl Span {
    pub(crate) fn of(span: proc_macro2::Span) -> Span {
        let (start, end) = (span.start(), span.end());
        Span { line: start.line as u32, column: start.column as u32, end_line: end.line as u32 }
    }
}

/// The element types of Rust that kernels compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Scalar {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Isize,
    Usize,
    Bool,
}

impl Scalar {
    /// Every one, with its name in Rust.
    pub const ALL: [(Scalar, &'static str); 13] = [
        (Scalar::F32, "f32"),
        (Scalar::F64, "f64"),
        (Scalar::I8, "i8"),
        (Scalar::I16, "i16"),
        (Scalar::I32, "i32"),
        (Scalar::I64, "i64"),
        (Scalar::U8, "u8"),
        (Scalar::U16, "u16"),
        (Scalar::U32, "u32"),
        (Scalar::U64, "u64"),
        (Scalar::Isize, "isize"),
        (Scalar::Usize, "usize"),
        (Scalar::Bool, "bool"),
    ];

    /// The name in Rust.
    pub fn name(self) -> &'static str {
        Scalar::ALL.iter().find(|(s, _)| *s == self).map_or("?", |(_, n)| n)
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Scalar> {
        Scalar::ALL.iter().find(|(_, n)| *n == name).map(|(s, _)| *s)
    }

    /// Whether it is `f32` or `f64`.
    pub fn is_float(self) -> bool {
        matches!(self, Scalar::F32 | Scalar::F64)
    }

    /// Whether it is an integer.
    pub fn is_int(self) -> bool {
        !self.is_float() && self != Scalar::Bool
    }

    /// The smallest and the largest value of an integer type (`usize` and `isize` have 64 bits).
    pub fn range(self) -> Option<(i128, i128)> {
        Some(match self {
            Scalar::I8 => (i8::MIN.into(), i8::MAX.into()),
            Scalar::I16 => (i16::MIN.into(), i16::MAX.into()),
            Scalar::I32 => (i32::MIN.into(), i32::MAX.into()),
            Scalar::I64 | Scalar::Isize => (i64::MIN.into(), i64::MAX.into()),
            Scalar::U8 => (0, u8::MAX.into()),
            Scalar::U16 => (0, u16::MAX.into()),
            Scalar::U32 => (0, u32::MAX.into()),
            Scalar::U64 | Scalar::Usize => (0, u64::MAX.into()),
            Scalar::Bool => (0, 1),
            Scalar::F32 | Scalar::F64 => return None,
        })
    }
}

/// A type as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// A number or a truth value.
    Scalar(Scalar),
    /// A type parameter: a float scalar, or an axis.
    Named(String),
    /// `[T]`.
    Slice(Box<Type>),
    /// `[T; N]`.
    Array(Box<Type>, Box<Expr>),
    /// `Vec<T>`.
    Vec(Box<Type>),
    /// `Tensor<(A, B), T, U, S>`.
    Tensor {
        /// The names of the axes, slowest-varying first.
        axes: Vec<String>,
        /// The element type; `f32` where it is left out.
        element: Box<Type>,
        /// The unit; empty where there is none.
        unit: String,
    },
    /// `TernaryMatrix<In, Out>`.
    Ternary {
        /// The axis of inputs.
        input: String,
        /// The axis of outputs.
        output: String,
    },
    /// `&T` or `&mut T`.
    Ref(bool, Box<Type>),
    /// `(A, B)`; `()` when empty.
    Tuple(Vec<Type>),
    /// `Result<T, _>`, as functions that allocate tensors return.
    Result(Box<Type>),
    /// `_`, or a type that is not written.
    Infer,
}

/// A parameter of the function's generics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generic {
    /// Its name.
    pub name: String,
    /// The last segments of the traits it is bound by.
    pub bounds: Vec<String>,
    /// Whether it is `const N: usize`.
    pub constant: bool,
}

impl Generic {
    /// Whether it is an axis.
    pub fn is_axis(&self) -> bool {
        self.bounds.iter().any(|b| b == "Axis")
    }

    /// Whether it is a unit or a storage, of which nothing depends.
    pub fn is_marker(&self) -> bool {
        self.bounds
            .iter()
            .any(|b| ["Unit", "Host", "HostMut", "TritStorage", "UnitMul"].contains(&b.as_str()))
    }
}

/// A parameter of the function.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether it is bound as `mut`.
    pub mutable: bool,
    /// Where it stands.
    pub span: Span,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Type parameters; lifetimes are left out.
    pub generics: Vec<Generic>,
    /// Parameters.
    pub params: Vec<Param>,
    /// What it returns.
    pub result: Type,
    /// Its body.
    pub body: Block,
    /// Where it stands.
    pub span: Span,
    /// The doc comment, one line each.
    pub docs: Vec<String>,
}

/// Statements and the value at the end.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Block {
    /// In order.
    pub stmts: Vec<Stmt>,
    /// The value, where the last expression has no semicolon.
    pub value: Option<Box<Expr>>,
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
    /// `let pattern: type = value;`, also `const NAME: type = value;`.
    Let(Pat, Type, Option<Expr>),
    /// `place = value;` or `place += value;`.
    Assign(Expr, Option<BinaryOp>, Expr),
    /// `for pattern in iterator { … }`.
    For(Pat, Expr, Block),
    /// An expression for its effect.
    Expr(Expr),
    /// `continue;`.
    Continue,
    /// `return value;`, at the end of the function only.
    Return(Option<Expr>),
}

/// A pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Pat {
    /// What it is.
    pub kind: PatKind,
    /// Where it stands.
    pub span: Span,
}

/// What a pattern is.
#[derive(Clone, Debug, PartialEq)]
pub enum PatKind {
    /// A name; `mut` or not.
    Name(String, bool),
    /// `&pattern`.
    Ref(Box<Pat>),
    /// `(a, b)` or `[a, b]`.
    Tuple(Vec<Pat>),
    /// `_`.
    Wild,
    /// A literal.
    Value(Box<Expr>),
    /// `a | b`.
    Or(Vec<Pat>),
    /// `a..b` (false) or `a..=b` (true), either end left out.
    Range(Option<Box<Expr>>, Option<Box<Expr>>, bool),
}

/// An operator of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnaryOp {
    /// `-x`.
    Neg,
    /// `!x`.
    Not,
    /// `*x`.
    Deref,
}

/// An operator of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    And,
    Or,
    BitAnd,
    BitOr,
    BitXor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl BinaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            Rem => "%",
            And => "&&",
            Or => "||",
            BitAnd => "&",
            BitOr => "|",
            BitXor => "^",
            Shl => "<<",
            Shr => ">>",
            Eq => "==",
            Ne => "!=",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
        }
    }

    /// Whether its result is a truth value made of two numbers.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge
        )
    }
}

/// An arm of a `match`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// What it takes.
    pub pat: Pat,
    /// A condition beside.
    pub guard: Option<Expr>,
    /// What it does.
    pub body: Block,
    /// Where it stands.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// An integer, with its suffix.
    Int(i128, Option<Scalar>),
    /// A decimal as it is written, with its suffix.
    Float(String, Option<Scalar>),
    /// A truth value.
    Bool(bool),
    /// A name, or a path such as `f32::MAX`.
    Path(Vec<String>),
    /// An operator before its operand.
    Unary(UnaryOp, Box<Expr>),
    /// An operator between its operands.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `x[i]`; a tensor's `x[[i, j]]` has an array as index.
    Index(Box<Expr>, Box<Expr>),
    /// `a..b` (false) or `a..=b` (true), either end left out.
    Range(Option<Box<Expr>>, Option<Box<Expr>>, bool),
    /// `t.0`.
    Field(Box<Expr>, usize),
    /// `x as T`.
    Cast(Box<Expr>, Type),
    /// A function's name, its type arguments and arguments.
    Call(Vec<String>, Vec<Type>, Vec<Expr>),
    /// Receiver, method, type arguments, arguments.
    Method(Box<Expr>, String, Vec<Type>, Vec<Expr>),
    /// `if c { a } else { b }`.
    If(Box<Expr>, Block, Option<Block>),
    /// `match x { … }`.
    Match(Box<Expr>, Vec<Arm>),
    /// `{ … }`.
    Block(Block),
    /// `(a, b)`.
    Tuple(Vec<Expr>),
    /// `[a, b]` and `vec![a, b]` (true).
    Array(Vec<Expr>, bool),
    /// `[x; n]` and `vec![x; n]` (true).
    Repeat(Box<Expr>, Box<Expr>, bool),
    /// `|a, b| x`.
    Closure(Vec<Pat>, Box<Expr>),
    /// `&x` or `&mut x`.
    Ref(bool, Box<Expr>),
    /// `x?`.
    Try(Box<Expr>),
}
