//! The op table: each op exists once.
//!
//! A row of `table!` names a type that implements [`OpDef`]; the type's file holds everything that the framework
//! knows of the op: type inference, the plain-loop evaluation that is its specification, its derivative rules written
//! as graph builders, its decomposition into core ops and its cost.

use crate::accumulate::Accumulator;
use crate::array::Array;
use crate::attrs::Attrs;
use crate::cx::Cx;
use crate::dim::{Bindings, Dim};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// What kind of work an op is; decides how the mapping onto a target may group it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Inputs, constants, `iota`.
    Source,
    /// Element i of the result depends on element i of the operands only.
    Elementwise,
    /// Rearranges, repeats or drops elements.
    Shape,
    /// Folds axes away.
    Reduce,
    /// Sums of products.
    Contract,
    /// Reads or writes by index.
    Index,
    /// Has regions.
    Control,
    /// Has a decomposition; a backend may know a fused form.
    Composite,
}

/// Work of a node, for cost models.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Additions, multiplications, comparisons and the like.
    pub operations: f64,
    /// Transcendental functions.
    pub transcendental: f64,
    /// Bytes read and written when nothing is fused.
    pub bytes: f64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, o: Cost) {
        self.operations += o.operations;
        self.transcendental += o.transcendental;
        self.bytes += o.bytes;
    }
}

/// What a number written in a graph means in an arithmetic wider than f64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Literals {
    /// The double itself: 0.1 is 0.1000000000000000055511151231257827….
    #[default]
    Binary,
    /// The shortest decimal that reads as the double: 0.1 is a tenth.
    Decimal,
}

impl Literals {
    /// The number that the double `x`, written in a graph, stands for.
    pub fn read<S: Scalar>(self, x: f64) -> S {
        match self {
            Literals::Decimal if x.is_finite() && x.fract() != 0.0 => {
                S::from_decimal(&format!("{x:e}")).unwrap_or_else(|| S::from_f64(x))
            }
            _ => S::from_f64(x),
        }
    }
}

/// The circumstances of one evaluation.
#[derive(Clone, Debug, Default)]
pub struct EvalCx {
    /// Sizes by symbol.
    pub bindings: Bindings,
    /// Round every result to the node's dtype (as the engine would store it) instead of keeping the scalar's precision.
    pub round: bool,
    /// What constants and attributes of the graph mean.
    pub literals: Literals,
    /// How `reduce_sum` and `dot_general` keep their sums, where the node does not say; `None`: as each op's
    /// specification does, in pairs and plainly.
    pub accumulator: Option<Accumulator>,
}

impl EvalCx {
    /// How a node with these attributes keeps its sums.
    pub fn accumulator(&self, attrs: &Attrs) -> Result<Option<Accumulator>, String> {
        match attrs.str("accumulator") {
            "" => Ok(self.accumulator),
            name => name.parse().map(Some),
        }
    }

    /// The number that a double written in the graph stands for.
    pub fn literal<S: Scalar>(&self, x: f64) -> S {
        self.literals.read(x)
    }
}

/// A node as its derivative rules and its decomposition see it.
pub struct NodeCx<'a> {
    /// The graph under construction.
    pub cx: &'a Cx,
    /// The node's attributes.
    pub attrs: &'a Attrs,
    /// Its operands.
    pub inputs: &'a [Var],
    /// Its results (empty while a decomposition is being built).
    pub outputs: &'a [Var],
}

/// A tangent or cotangent; `None` is an exact zero.
pub type Tangent = Option<Var>;

/// One row of the table.
pub trait OpDef {
    /// The name in the text form.
    const NAME: &'static str;
    /// The attributes that the op takes.
    const ATTRS: &'static [&'static str] = &[];
    /// What kind of work it is.
    const CLASS: Class;
    /// Pairs (operand, result) that may lie in one place: the result is the operand with parts of it written anew.
    const IN_PLACE: &'static [(usize, usize)] = &[];

    /// The result types, or what is wrong with the operands.
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String>;

    /// The specification: plain loops.
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        inputs: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String>;

    /// Tangents of the results from tangents of the operands. `None` for the whole: differentiate the decomposition.
    fn jvp(_n: &NodeCx, _tangents: &[Tangent]) -> Option<Vec<Tangent>> {
        None
    }

    /// For an op that is linear in the operands marked in `linear` (the others being constants): the cotangents of
    /// those operands. `None` for the whole: the op is not linear in them.
    fn transpose(_n: &NodeCx, _linear: &[bool], _cotangents: &[Tangent]) -> Option<Vec<Tangent>> {
        None
    }

    /// A shorter way than jvp and transpose, for ops whose reverse has a fused form; held to them by a test.
    fn vjp(_n: &NodeCx, _wanted: &[bool], _cotangents: &[Tangent]) -> Option<Vec<Tangent>> {
        None
    }

    /// The op on a batch: operands marked in `mapped` have one more axis of `size` in front, and so have all results.
    /// `None` for the whole: elementwise ops broadcast the others, the rest batch their decomposition.
    fn batch(_n: &NodeCx, _mapped: &[bool], _size: &Dim) -> Option<Vec<Var>> {
        None
    }

    /// Taylor coefficients of the results from those of the operands: `series[i][k - 1]` is x^(k)/k! of operand i,
    /// for k = 1 up to the order; coefficient 0 are the operands and results themselves. `None` for the whole: the
    /// op is linear, so its jvp rule serves each coefficient, or its decomposition has the rule.
    fn jet(_n: &NodeCx, _series: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        None
    }

    /// The same function in core ops; `None` for a core op.
    fn decompose(_n: &NodeCx) -> Option<Vec<Var>> {
        None
    }

    /// Work and traffic; sizes are fixed.
    fn cost(_attrs: &Attrs, inputs: &[Type], outputs: &[Type]) -> Cost {
        Cost { operations: elements(outputs), transcendental: 0.0, bytes: bytes(inputs) + bytes(outputs) }
    }
}

/// Number of elements of all the types.
pub fn elements(types: &[Type]) -> f64 {
    types.iter().map(|t| t.elements().unwrap_or(0) as f64).sum()
}

/// Bytes of all the types, unpacked.
pub fn bytes(types: &[Type]) -> f64 {
    types.iter().map(|t| t.elements().unwrap_or(0) as f64 * t.dtype.size().unwrap_or(1) as f64).sum()
}

macro_rules! table {
    ($($op:ident = $def:path),* $(,)?) => {
        /// An op of the table.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Op { $(#[doc = stringify!($op)] $op),* }

        impl Op {
            /// Every op.
            pub const ALL: &'static [Op] = &[$(Op::$op),*];

            /// The name in the text form.
            pub fn name(self) -> &'static str { match self { $(Op::$op => <$def>::NAME),* } }

            /// The op of that name.
            pub fn from_name(name: &str) -> Option<Op> {
                Op::ALL.iter().copied().find(|o| o.name() == name)
            }

            /// The attributes that it takes.
            pub fn attr_names(self) -> &'static [&'static str] { match self { $(Op::$op => <$def>::ATTRS),* } }

            /// What kind of work it is.
            pub fn class(self) -> Class { match self { $(Op::$op => <$def>::CLASS),* } }

            /// Pairs (operand, result) that may lie in one place.
            pub fn in_place(self) -> &'static [(usize, usize)] { match self { $(Op::$op => <$def>::IN_PLACE),* } }

            /// See [`OpDef::infer`].
            pub fn infer(self, attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
                match self { $(Op::$op => <$def>::infer(attrs, inputs)),* }
            }

            /// See [`OpDef::eval`].
            pub fn eval<S: Scalar>(
                self, cx: &EvalCx, attrs: &Attrs, inputs: &[Array<S>], types: &[Type],
            ) -> Result<Vec<Array<S>>, String> {
                match self { $(Op::$op => <$def>::eval(cx, attrs, inputs, types)),* }
            }

            /// See [`OpDef::jvp`].
            pub fn jvp(self, n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
                match self { $(Op::$op => <$def>::jvp(n, t)),* }
            }

            /// See [`OpDef::transpose`].
            pub fn transpose(self, n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
                match self { $(Op::$op => <$def>::transpose(n, linear, ct)),* }
            }

            /// See [`OpDef::vjp`].
            pub fn vjp(self, n: &NodeCx, wanted: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
                match self { $(Op::$op => <$def>::vjp(n, wanted, ct)),* }
            }

            /// See [`OpDef::batch`].
            pub fn batch(self, n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
                match self { $(Op::$op => <$def>::batch(n, mapped, size)),* }
            }

            /// See [`OpDef::jet`].
            pub fn jet(self, n: &NodeCx, series: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
                match self { $(Op::$op => <$def>::jet(n, series)),* }
            }

            /// See [`OpDef::decompose`].
            pub fn decompose(self, n: &NodeCx) -> Option<Vec<Var>> {
                match self { $(Op::$op => <$def>::decompose(n)),* }
            }

            /// See [`OpDef::cost`].
            pub fn cost(self, attrs: &Attrs, inputs: &[Type], outputs: &[Type]) -> Cost {
                match self { $(Op::$op => <$def>::cost(attrs, inputs, outputs)),* }
            }
        }
    };
}

use crate::ops::*;

table! {
    // Sources
    Input = source::Input, Constant = source::Constant, Iota = source::Iota, RandomBits = source::RandomBits,
    // Pointwise
    Negate = pointwise::Negate, Exp = pointwise::Exp, Log = pointwise::Log, Sqrt = pointwise::Sqrt,
    Tanh = pointwise::Tanh, Sine = pointwise::Sine, Cosine = pointwise::Cosine, Abs = pointwise::Abs,
    Sign = pointwise::Sign, Floor = pointwise::Floor, RoundHalfEven = pointwise::RoundHalfEven,
    Asin = transcendental::Asin, Acos = transcendental::Acos, Atan = transcendental::Atan, Erf = transcendental::Erf,
    Add = binary::Add, Subtract = binary::Subtract, Multiply = binary::Multiply, Divide = binary::Divide,
    Power = binary::Power, Maximum = binary::Maximum, Minimum = binary::Minimum,
    Compare = logic::Compare, And = logic::And, Or = logic::Or, Not = logic::Not, Select = logic::Select,
    Convert = logic::Convert,
    Identity = special::Identity, StopGradient = special::StopGradient, Surrogate = special::Surrogate,
    // Shape
    Reshape = shape::Reshape, Transpose = shape::Transpose, Broadcast = shape::Broadcast, Slice = slice::Slice,
    Pad = slice::Pad, Concatenate = slice::Concatenate, Reverse = slice::Reverse,
    Windows = windows::Windows, WindowsAdd = windows::WindowsAdd,
    // Index
    Gather = index::Gather, ScatterAdd = index::ScatterAdd, BlockRows = blocks::BlockRows,
    ArgSort = along::ArgSort, CumulativeArgMax = along::CumulativeArgMax, TakeAlong = along::TakeAlong,
    ScatterAddAlong = along::ScatterAddAlong, LastWriter = along::LastWriter,
    // Contraction and reduction
    DotGeneral = dot::DotGeneral, BlockLinear = blocks::BlockLinear,
    Solve = linalg::Solve, TriangularSolve = linalg::TriangularSolve, Determinant = linalg::Determinant,
    Cholesky = linalg::Cholesky, Eigh = eigen::Eigh, Fourier = fourier::Fourier,
    ReduceSum = reduce::ReduceSum, ReduceMax = reduce::ReduceMax, ReduceMin = reduce::ReduceMin,
    ArgMax = reduce::ArgMax,
    // Control
    Scan = control::Scan, Cond = control::Cond, While = control::While, Call = control::Call,
    // Composite
    Sigmoid = activation::Sigmoid, Silu = activation::Silu, Relu = activation::Relu,
    RoundHalfAway = activation::RoundHalfAway,
    RmsNorm = norm::RmsNorm, RmsNormGrad = norm::RmsNormGrad,
    QuantizeActivations = quantize::QuantizeActivations, QuantizeWeights = quantize::QuantizeWeights,
    TernaryLinear = quantize::TernaryLinear,
    LinearScan = linear_scan::LinearScan, LinearScanGrad = linear_scan::LinearScanGrad,
    SelectiveScan = selective_scan::SelectiveScan, SelectiveScanGrad = selective_scan::SelectiveScanGrad,
    Ssd = ssd::Ssd, SsdGrad = ssd::SsdGrad,
    LinearAttention = linear_attention::LinearAttention, LinearAttentionGrad = linear_attention::LinearAttentionGrad,
    CrossEntropy = loss::CrossEntropy, CrossEntropyGrad = loss::CrossEntropyGrad,
    Rope = attention::Rope, KvAttention = attention::KvAttention,
    Log1p = transcendental::Log1p, Expm1 = transcendental::Expm1, Softplus = transcendental::Softplus,
    Convolution = convolution::Convolution, ConvolutionTransposed = convolution::ConvolutionTransposed,
    Mlstm = mlstm::Mlstm, MlstmGrad = mlstm::MlstmGrad, Slstm = slstm::Slstm, SlstmGrad = slstm::SlstmGrad,
    LongConvolution = long_convolution::LongConvolution, LongCorrelation = long_convolution::LongCorrelation,
}
