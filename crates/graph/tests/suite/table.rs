//! The rows of the op table: each op's evaluation against numbers that were found another way (by hand, or a formula
//! written here), and each composite against its decomposition.

use axes::DType;
use graph::{Array, Attrs, Class, Cx, Dim, EvalCx, NodeCx, Op, Type, Var, attrs, interp};
use proptest::prelude::*;

/// One evaluation with its expected results.
pub(crate) struct Case {
    pub(crate) op: Op,
    pub(crate) attrs: Attrs,
    pub(crate) inputs: Vec<Array<f64>>,
    pub(crate) expected: Vec<Array<f64>>,
}

pub(crate) fn f(shape: &[usize], v: &[f64]) -> Array<f64> {
    Array::from_f64(DType::F64, shape, v)
}
fn f32s(shape: &[usize], v: &[f64]) -> Array<f64> {
    Array::from_f64(DType::F32, shape, v)
}
pub(crate) fn ints(dtype: DType, shape: &[usize], v: &[i64]) -> Array<f64> {
    Array::int(dtype, shape, v.to_vec())
}
fn bools(v: &[i64]) -> Array<f64> {
    ints(DType::Bool, &[v.len()], v)
}
pub(crate) fn dims(v: &[usize]) -> Vec<Dim> {
    v.iter().map(|n| Dim::from(*n)).collect()
}

const E: f64 = std::f64::consts::E;
const TANH1: f64 = 0.761_594_155_955_764_9;
const SIN1: f64 = 0.841_470_984_807_896_5;
const COS1: f64 = 0.540_302_305_868_139_8;
/// 1/(1 + 1/e).
const SIGMOID1: f64 = 0.731_058_578_630_004_9;

/// At least one case for every op that is neither an input nor control flow.
pub(crate) fn cases() -> Vec<Case> {
    let mut list = vec![];
    let mut case = |op, attrs, inputs: &[Array<f64>], expected: &[Array<f64>]| {
        list.push(Case { op, attrs, inputs: inputs.to_vec(), expected: expected.to_vec() });
    };
    let none = Attrs::new;
    let v = |x: &[f64]| f(&[x.len()], x);

    // Sources.
    let dense = std::sync::Arc::new(vec![1.0, -2.0]);
    case(
        Op::Constant,
        attrs! { dtype: DType(DType::F64), dims: Dims(dims(&[2])), values: Floats(dense) },
        &[],
        &[v(&[1.0, -2.0])],
    );
    let one = std::sync::Arc::new(vec![7.0]);
    case(
        Op::Constant,
        attrs! { dtype: DType(DType::I8), dims: Dims(dims(&[3])), values: Floats(one) },
        &[],
        &[ints(DType::I8, &[3], &[7; 3])],
    );
    case(
        Op::Iota,
        attrs! { dtype: DType(DType::I64), dims: Dims(dims(&[2, 3])), axis: Int(1) },
        &[],
        &[ints(DType::I64, &[2, 3], &[0, 1, 2, 0, 1, 2])],
    );
    // The first outputs of splitmix64 from state 0 (Vigna's reference), upper halves.
    let stream = [0xE220_A839u32, 0x6E78_9E6A, 0x06C4_5D18].map(i64::from);
    case(
        Op::RandomBits,
        attrs! { dims: Dims(dims(&[3])) },
        &[ints(DType::I64, &[], &[0])],
        &[ints(DType::I64, &[3], &stream)],
    );

    // Pointwise.
    case(Op::Negate, none(), &[v(&[1.5, -0.0])], &[v(&[-1.5, 0.0])]);
    case(Op::Exp, none(), &[v(&[0.0, 1.0])], &[v(&[1.0, E])]);
    case(Op::Log, none(), &[v(&[1.0, E])], &[v(&[0.0, 1.0])]);
    case(Op::Sqrt, none(), &[v(&[4.0, 2.0])], &[v(&[2.0, std::f64::consts::SQRT_2])]);
    case(Op::Tanh, none(), &[v(&[1.0, -1.0])], &[v(&[TANH1, -TANH1])]);
    case(Op::Sine, none(), &[v(&[1.0, 0.0])], &[v(&[SIN1, 0.0])]);
    case(Op::Cosine, none(), &[v(&[1.0, 0.0])], &[v(&[COS1, 1.0])]);
    case(Op::Abs, none(), &[v(&[-3.0, 2.0])], &[v(&[3.0, 2.0])]);
    case(Op::Sign, none(), &[v(&[-3.0, 0.0, 2.0])], &[v(&[-1.0, 0.0, 1.0])]);
    case(Op::Floor, none(), &[v(&[-1.5, 2.9])], &[v(&[-2.0, 2.0])]);
    case(Op::RoundHalfEven, none(), &[v(&[0.5, 1.5, 2.5, -0.6])], &[v(&[0.0, 2.0, 2.0, -1.0])]);
    case(
        Op::RoundHalfAway,
        none(),
        &[v(&[0.5, 1.5, 2.5, -2.5, 0.499_999_999_999_999_94])],
        &[v(&[1.0, 2.0, 3.0, -3.0, 0.0])],
    );
    case(Op::Sigmoid, none(), &[v(&[0.0, 1.0, -1.0])], &[v(&[0.5, SIGMOID1, 1.0 - SIGMOID1])]);
    case(Op::Silu, none(), &[v(&[0.0, 1.0, -1.0])], &[v(&[0.0, SIGMOID1, SIGMOID1 - 1.0])]);
    case(Op::Relu, none(), &[v(&[-1.0, 0.0, 2.0])], &[v(&[0.0, 0.0, 2.0])]);
    let (a, b) = (v(&[1.0, -2.0, 8.0]), v(&[3.0, 4.0, 2.0]));
    let pair = [a.clone(), b.clone()];
    case(Op::Add, none(), &pair, &[v(&[4.0, 2.0, 10.0])]);
    case(Op::Subtract, none(), &pair, &[v(&[-2.0, -6.0, 6.0])]);
    case(Op::Multiply, none(), &pair, &[v(&[3.0, -8.0, 16.0])]);
    case(Op::Divide, none(), &pair, &[v(&[1.0 / 3.0, -0.5, 4.0])]);
    case(Op::Power, none(), &pair, &[v(&[1.0, 16.0, 64.0])]);
    case(Op::Maximum, none(), &pair, &[v(&[3.0, 4.0, 8.0])]);
    case(Op::Minimum, none(), &pair, &[v(&[1.0, -2.0, 2.0])]);
    let i32s = |v: &[i64]| ints(DType::I32, &[v.len()], v);
    case(Op::Add, none(), &[i32s(&[i32::MAX as i64]), i32s(&[1])], &[i32s(&[i32::MIN as i64])]);
    case(Op::Divide, none(), &[i32s(&[7, -7, 3]), i32s(&[2, 2, 0])], &[i32s(&[3, -3, 0])]);
    case(Op::Power, none(), &[i32s(&[-1, -1, 2]), i32s(&[64, 65, 5])], &[i32s(&[1, -1, 32])]);
    let how = |h: &str| attrs! { how: Str(h.to_string()) };
    let odd = [v(&[1.0, 2.0, 3.0, f64::NAN]), v(&[2.0, 2.0, 2.0, 1.0])];
    for (h, holds) in [
        ("lt", [1, 0, 0, 0]),
        ("le", [1, 1, 0, 0]),
        ("gt", [0, 0, 1, 0]),
        ("ge", [0, 1, 1, 0]),
        ("eq", [0, 1, 0, 0]),
        ("ne", [1, 0, 1, 1]),
    ] {
        case(Op::Compare, how(h), &odd, &[bools(&holds)]);
    }
    let (p, q) = (bools(&[0, 0, 1, 1]), bools(&[0, 1, 0, 1]));
    case(Op::And, none(), &[p.clone(), q.clone()], &[bools(&[0, 0, 0, 1])]);
    case(Op::Or, none(), &[p.clone(), q.clone()], &[bools(&[0, 1, 1, 1])]);
    case(Op::Not, none(), std::slice::from_ref(&p), &[bools(&[1, 1, 0, 0])]);
    case(Op::Select, none(), &[bools(&[1, 0, 1]), a.clone(), b.clone()], &[v(&[1.0, 4.0, 8.0])]);
    let wild = v(&[1.9, -1.9, 300.0, -300.0, f64::NAN]);
    let to = |d| attrs! { dtype: DType(d) };
    case(
        Op::Convert,
        to(DType::I8),
        std::slice::from_ref(&wild),
        &[ints(DType::I8, &[5], &[1, -1, 127, -128, 0])],
    );
    case(
        Op::Convert,
        to(DType::U8),
        std::slice::from_ref(&wild),
        &[ints(DType::U8, &[5], &[1, 0, 255, 0, 0])],
    );
    case(Op::Convert, to(DType::Bool), &[v(&[0.0, -0.5])], &[bools(&[0, 1])]);
    case(Op::Convert, to(DType::Trit), &[i32s(&[5, 0, -7])], &[ints(DType::Trit, &[3], &[1, 0, -1])]);
    case(Op::Convert, to(DType::I8), &[i32s(&[130, -1])], &[ints(DType::I8, &[2], &[-126, -1])]);
    case(Op::Convert, to(DType::F64), &[ints(DType::Trit, &[2], &[-1, 1])], &[v(&[-1.0, 1.0])]);
    case(Op::Identity, attrs! { id: Int(1) }, std::slice::from_ref(&a), std::slice::from_ref(&a));
    case(Op::StopGradient, none(), std::slice::from_ref(&a), std::slice::from_ref(&a));
    case(Op::Surrogate, none(), &pair, std::slice::from_ref(&a));

    // Shape.
    let m = f(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let m1 = std::slice::from_ref(&m);
    case(
        Op::Reshape,
        attrs! { dims: Dims(dims(&[3, 2])) },
        m1,
        &[f(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])],
    );
    case(
        Op::Transpose,
        attrs! { perm: Ints(vec![1, 0]) },
        m1,
        &[f(&[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0])],
    );
    let cube: Vec<f64> = (0..24).map(f64::from).collect();
    let turned: Vec<f64> = (0..24).map(|i| (i % 2 * 12 + i / 8 * 4 + i / 2 % 4) as f64).collect();
    case(
        Op::Transpose,
        attrs! { perm: Ints(vec![1, 2, 0]) },
        &[f(&[2, 3, 4], &cube)],
        &[f(&[3, 4, 2], &turned)],
    );
    case(
        Op::Broadcast,
        attrs! { dims: Dims(dims(&[2, 3, 2])), map: Ints(vec![1]) },
        &[v(&[1.0, 2.0, 3.0])],
        &[f(&[2, 3, 2], &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0])],
    );
    case(
        Op::Slice,
        attrs! { start: Dims(dims(&[0, 1])), limit: Dims(dims(&[2, 3])) },
        m1,
        &[f(&[2, 2], &[2.0, 3.0, 5.0, 6.0])],
    );
    case(
        Op::Pad,
        attrs! { low: Dims(dims(&[0, 2])), high: Dims(dims(&[1, 0])), value: Float(9.0) },
        m1,
        &[f(&[3, 5], &[9.0, 9.0, 1.0, 2.0, 3.0, 9.0, 9.0, 4.0, 5.0, 6.0, 9.0, 9.0, 9.0, 9.0, 9.0])],
    );
    let column = f(&[2, 2], &[-1.0, -2.0, -3.0, -4.0]);
    case(
        Op::Concatenate,
        attrs! { axis: Int(1) },
        &[m.clone(), column],
        &[f(&[2, 5], &[1.0, 2.0, 3.0, -1.0, -2.0, 4.0, 5.0, 6.0, -3.0, -4.0])],
    );
    case(Op::Reverse, attrs! { axis: Int(1) }, m1, &[f(&[2, 3], &[3.0, 2.0, 1.0, 6.0, 5.0, 4.0])]);

    // Index.
    let at = ints(DType::I64, &[3], &[1, 0, 1]);
    let rows = f(&[3, 3], &[4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    case(Op::Gather, none(), &[m.clone(), at.clone()], std::slice::from_ref(&rows));
    case(
        Op::ScatterAdd,
        attrs! { rows: Dims(dims(&[2])) },
        &[at, rows],
        &[f(&[2, 3], &[1.0, 2.0, 3.0, 8.0, 10.0, 12.0])],
    );

    blocks(&mut case);

    // Contraction and reduction.
    let dot = |l: &[i64], r: &[i64], lb: &[i64], rb: &[i64]| {
        attrs! { lhs_contract: Ints(l.to_vec()), rhs_contract: Ints(r.to_vec()), lhs_batch: Ints(lb.to_vec()), rhs_batch: Ints(rb.to_vec()) }
    };
    case(
        Op::DotGeneral,
        dot(&[1], &[1], &[], &[]),
        &[m.clone(), m.clone()],
        &[f(&[2, 2], &[14.0, 32.0, 32.0, 77.0])],
    );
    case(Op::DotGeneral, dot(&[1], &[1], &[0], &[0]), &[m.clone(), m.clone()], &[v(&[14.0, 77.0])]);
    case(Op::DotGeneral, dot(&[0, 1], &[0, 1], &[], &[]), &[m.clone(), m.clone()], &[f(&[], &[91.0])]);
    case(Op::ReduceSum, attrs! { axes: Ints(vec![0]) }, m1, &[v(&[5.0, 7.0, 9.0])]);
    case(Op::ReduceSum, attrs! { axes: Ints(vec![0, 1]) }, m1, &[f(&[], &[21.0])]);
    case(
        Op::ReduceSum,
        attrs! { axes: Ints(vec![0]) },
        &[ints(DType::I8, &[2], &[100, 100])],
        &[ints(DType::I8, &[], &[-56])],
    );
    case(Op::ReduceMax, attrs! { axes: Ints(vec![1]) }, m1, &[v(&[3.0, 6.0])]);
    case(Op::ReduceMin, attrs! { axes: Ints(vec![0]) }, m1, &[v(&[1.0, 2.0, 3.0])]);
    case(
        Op::ArgMax,
        attrs! { axis: Int(1) },
        &[f(&[2, 3], &[1.0, 9.0, 9.0, 4.0, 3.0, 2.0])],
        &[ints(DType::I64, &[2], &[1, 0])],
    );

    composites(&mut case);
    crate::table_more::cases(&mut case);
    list
}

/// Weights in blocks: an f16 row, and a block of 32 int8 with d = 0.5.
fn blocks(case: &mut dyn FnMut(Op, Attrs, &[Array<f64>], &[Array<f64>])) {
    let attrs =
        |format: &str, columns: i64| attrs! { format: Str(format.to_string()), columns: Int(columns) };
    let halves = ints(DType::U8, &[2, 4], &[0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38, 0x00, 0x44]);
    let wide =
        |x: &[f64], n: usize| x.iter().copied().chain(std::iter::repeat(0.0)).take(n).collect::<Vec<_>>();
    case(
        Op::BlockLinear,
        attrs("f16", 2),
        &[f32s(&[1, 2], &[3.0, 0.5]), halves.clone()],
        &[f32s(&[1, 2], &[2.0, 3.5])],
    );
    let at = ints(DType::I64, &[3], &[1, 0, 1]);
    case(Op::BlockRows, attrs("f16", 2), &[at, halves], &[f32s(&[3, 2], &[0.5, 4.0, 1.0, -2.0, 0.5, 4.0])]);
    let block: Vec<i64> = [0x00, 0x38, 3, 0xfc].into_iter().chain(std::iter::repeat_n(0, 30)).collect();
    let block = ints(DType::U8, &[1, 34], &block);
    // A peak of 127 makes the scale 1; 2.5 is rounded to 2: 0.5 (3 · 127 - 4 · 2).
    case(
        Op::BlockLinear,
        attrs("q8_0", 32),
        &[f32s(&[1, 32], &wide(&[127.0, 2.5], 32)), block.clone()],
        &[f32s(&[1, 1], &[186.5])],
    );
    case(
        Op::BlockRows,
        attrs("q8_0", 32),
        &[ints(DType::I32, &[1], &[0]), block],
        &[f32s(&[1, 32], &wide(&[1.5, -2.0], 32))],
    );
}

fn composites(case: &mut dyn FnMut(Op, Attrs, &[Array<f64>], &[Array<f64>])) {
    let v = |x: &[f64]| f(&[x.len()], x);
    // mean(3², 4²) = 12.5; with eps = 12.5 the norm is 5.
    let (x, w) = (f(&[1, 2], &[3.0, 4.0]), v(&[10.0, -1.0]));
    case(
        Op::RmsNorm,
        attrs! { eps: Float(12.5) },
        &[x.clone(), w.clone()],
        &[f(&[1, 2], &[6.0, -0.8]), v(&[0.2])],
    );
    // x̂ = (0.6, 0.8), dy·w = (10, -2), mean(x̂·dy·w) = (6 - 1.6)/2 = 2.2.
    case(
        Op::RmsNormGrad,
        Attrs::new(),
        &[x, w, v(&[0.2]), f(&[1, 2], &[1.0, 2.0])],
        &[f(&[1, 2], &[(10.0 - 0.6 * 2.2) * 0.2, (-2.0 - 0.8 * 2.2) * 0.2]), v(&[0.6, 1.6])],
    );
    // 127/2 = 63.5; 0.015625·63.5 = 0.9921875, -0.25·63.5 = -15.875.
    let y = f(&[1, 3], &[2.0, 0.015_625, -0.25]);
    let even = attrs! { rounding: Str("half_even".to_string()) };
    case(Op::QuantizeActivations, even, &[y], &[ints(DType::I8, &[1, 3], &[127, 1, -16]), v(&[63.5])]);
    // A peak of 127 makes the scale 1, and 2.5 and -0.5 are ties.
    let ties = f(&[1, 4], &[127.0, 2.5, -0.5, 1.5]);
    for (rounding, q) in [("half_even", [127, 2, 0, 2]), ("half_away", [127, 3, -1, 2])] {
        let attrs = attrs! { rounding: Str(rounding.to_string()) };
        case(
            Op::QuantizeActivations,
            attrs,
            std::slice::from_ref(&ties),
            &[ints(DType::I8, &[1, 4], &q), v(&[1.0])],
        );
    }
    // mean|W| = 2, so 1 scales to the tie 0.5 (even: 0), 3 to 1.5 (clamped 1).
    let weights = f(&[2, 2], &[1.0, -3.0, 3.5, -0.5]);
    case(
        Op::QuantizeWeights,
        Attrs::new(),
        &[weights],
        &[ints(DType::Trit, &[2, 2], &[0, -1, 1, 0]), f(&[], &[0.5])],
    );
    case(
        Op::TernaryLinear,
        Attrs::new(),
        &[
            ints(DType::I8, &[1, 3], &[10, -20, 30]),
            v(&[2.0]),
            ints(DType::Trit, &[2, 3], &[1, 1, 0, -1, 0, 1]),
            f(&[], &[0.5]),
        ],
        &[f(&[1, 2], &[-10.0, 20.0])],
    );
    // h = 2, 0.5·2 + 1 = 2, 3·2 - 1 = 5; reversed: 3·1 - 1 = 2, 0.5·2 + 1 = 2, 1·2 + 1 = 3.
    let (gate, drive, start) =
        (f(&[1, 3, 1], &[1.0, 0.5, 3.0]), f(&[1, 3, 1], &[1.0, 1.0, -1.0]), f(&[1, 1], &[1.0]));
    let three = [gate, drive, start];
    case(Op::LinearScan, attrs! { reverse: Bool(false) }, &three, &[f(&[1, 3, 1], &[2.0, 2.0, 5.0])]);
    case(Op::LinearScan, attrs! { reverse: Bool(true) }, &three, &[f(&[1, 3, 1], &[3.0, 2.0, 2.0])]);
    // c = (3, 4, 1): 1, 1 + 3·1, 1 + 0.5·4; reversed c = (1, 2, 2): 1, 1 + 1·1, 1 + 0.5·2.
    let time = |x: &[f64]| f(&[1, 3, 1], x);
    let (gate, start, ones) = (time(&[1.0, 0.5, 3.0]), f(&[1, 1], &[1.0]), time(&[1.0; 3]));
    case(
        Op::LinearScanGrad,
        attrs! { reverse: Bool(false) },
        &[gate.clone(), start.clone(), time(&[2.0, 2.0, 5.0]), ones.clone()],
        &[time(&[3.0, 8.0, 2.0]), time(&[3.0, 4.0, 1.0]), f(&[1, 1], &[3.0])],
    );
    case(
        Op::LinearScanGrad,
        attrs! { reverse: Bool(true) },
        &[gate, start, time(&[3.0, 2.0, 2.0]), ones],
        &[time(&[2.0, 4.0, 2.0]), time(&[1.0, 2.0, 2.0]), f(&[1, 1], &[6.0])],
    );
    let seen = [time(&[1.0, 2.0, 3.0]), f(&[1, 2], &[1.0, 10.0])];
    let way = |reverse: bool| attrs! { reverse: Bool(reverse) };
    case(Op::LongConvolution, way(false), &seen, &[time(&[1.0, 12.0, 23.0])]);
    case(Op::LongConvolution, way(true), &seen, &[time(&[21.0, 32.0, 3.0])]);
    let pair = [time(&[1.0, 2.0, 3.0]), time(&[4.0, 5.0, 6.0])];
    let taps = attrs! { taps: Dims(dims(&[2])) };
    case(Op::LongCorrelation, taps, &pair, &[f(&[1, 2], &[32.0, 23.0])]);
    // The gate is 2: h = 2·1 + 2·1 = 4, 2·4 + 3·2 = 14.
    let ln2 = 2f64.ln();
    let time = |x: &[f64]| f(&[1, x.len(), 1], x);
    let (x, a) = (time(&[2.0, 3.0]), f(&[1, 1], &[ln2]));
    let one = f(&[1, 1, 1], &[1.0]);
    let five = [x, time(&[1.0, 1.0]), a, time(&[1.0, 2.0]), time(&[3.0, 1.0])];
    let borders = time(&[1.0, 4.0, 0.0]);
    case(
        Op::SelectiveScan,
        Attrs::new(),
        &[&five[..], std::slice::from_ref(&one)].concat(),
        &[time(&[12.0, 14.0]), f(&[1, 1, 1], &[14.0]), borders.clone()],
    );
    // g = 1 in the last step, 2 + 3 in the first; the exponents' cotangents are 2·4 and 10·1.
    case(
        Op::SelectiveScanGrad,
        Attrs::new(),
        &[&five[..], &[borders, time(&[1.0, 1.0]), f(&[1, 1, 1], &[0.0])]].concat(),
        &[
            time(&[5.0, 2.0]),
            time(&[10.0 + 10.0 * ln2, 6.0 + 8.0 * ln2]),
            f(&[1, 1], &[18.0]),
            time(&[10.0, 3.0]),
            time(&[4.0, 14.0]),
            f(&[1, 1, 1], &[10.0]),
        ],
    );
    // The same numbers with one head.
    let (heads, maps) = (|x: &[f64]| f(&[1, 2, 1, 1], x), |x: &[f64]| f(&[1, 2, 1, 1], x));
    let state = |x: f64| f(&[1, 1, 1, 1], &[x]);
    let steps = |x: &[f64]| f(&[1, 2, 1], x);
    let six = [
        heads(&[2.0, 3.0]),
        steps(&[1.0, 1.0]),
        f(&[1], &[ln2]),
        maps(&[1.0, 2.0]),
        maps(&[3.0, 1.0]),
        state(1.0),
    ];
    case(Op::Ssd, Attrs::new(), &six, &[heads(&[12.0, 14.0]), state(14.0)]);
    case(
        Op::SsdGrad,
        Attrs::new(),
        &[&six[..], &[heads(&[1.0, 1.0]), state(0.0)]].concat(),
        &[
            heads(&[5.0, 2.0]),
            steps(&[10.0 + 10.0 * ln2, 6.0 + 8.0 * ln2]),
            f(&[1], &[18.0]),
            maps(&[10.0, 3.0]),
            maps(&[4.0, 14.0]),
            state(10.0),
        ],
    );
    // One head of one feature and one column: S = 1 + 2·1 = 3, 3 + 3·(−1) = 0; halved before, it is 1/2 + 2, 5/4 − 3.
    let row = |x: &[f64]| f(&[1, 2, 1, 1], x);
    let three = [[1.0, 4.0], [2.0, 3.0], [1.0, -1.0]].map(|x| row(&x));
    let state = |x: f64| f(&[1, 1, 1, 1], &[x]);
    let halves = f(&[1, 2, 1], &[-ln2, -ln2]);
    let four = [&three[..], &[state(1.0)]].concat();
    case(Op::LinearAttention, Attrs::new(), &four, &[row(&[3.0, 0.0]), state(0.0)]);
    let with = |list: &[Array<f64>]| [&four[..], list].concat();
    case(
        Op::LinearAttention,
        Attrs::new(),
        &with(std::slice::from_ref(&halves)),
        &[row(&[2.5, -7.0]), state(-1.75)],
    );
    let ones = row(&[1.0, 1.0]);
    // R = 4, then 4 + 1 = 5; halved between, 4, then 2 + 1 = 3, which leaves 3/2.
    case(
        Op::LinearAttentionGrad,
        Attrs::new(),
        &with(&[ones.clone(), state(0.0)]),
        &[row(&[3.0, 0.0]), row(&[5.0, -4.0]), row(&[10.0, 12.0]), state(5.0)],
    );
    case(
        Op::LinearAttentionGrad,
        Attrs::new(),
        &with(&[ones, state(0.0), halves]),
        &[row(&[2.5, -1.75]), row(&[3.0, -4.0]), row(&[6.0, 12.0]), state(1.5), f(&[1, 2, 1], &[1.5, 5.0])],
    );
    // Softmax of (0, ln 3) is (1/4, 3/4); the middle row is left out.
    let (ln3, ln4) = (3f64.ln(), 4f64.ln());
    let logits = f(&[3, 2], &[0.0, ln3, 5.0, 6.0, 0.0, 0.0]);
    let labels = ints(DType::I64, &[3], &[0, -100, 1]);
    let ln2 = 2f64.ln();
    let lse = v(&[ln4, 6.0 + (1.0 + (-1f64).exp()).ln(), ln2]);
    case(
        Op::CrossEntropy,
        Attrs::new(),
        &[logits.clone(), labels.clone()],
        &[f(&[], &[(ln4 + ln2) / 2.0]), lse.clone()],
    );
    case(
        Op::CrossEntropyGrad,
        Attrs::new(),
        &[logits, labels, lse, f(&[], &[2.0])],
        &[f(&[3, 2], &[-0.75, 0.75, 0.0, 0.0, 0.5, -0.5])],
    );
    memories(case);
    attention(case);
}

/// Numbers whose exponentials are whole: gates of 0 forget half, and input and output gates are powers of two.
fn memories(case: &mut dyn FnMut(Op, Attrs, &[Array<f64>], &[Array<f64>])) {
    // m = max(ln ½ + ln 2, 0) = 0: f = i = 1. C = 2 + 3·5 = 17, n = 1 + 3 = 4, |q n| = 8 beats e^0, h = 34 / (8 + 2).
    let ln2 = 2f64.ln();
    let one = |x: f64| f(&[1, 1, 1, 1], &[x]);
    let gate = |x: f64| f(&[1, 1, 1], &[x]);
    let head = |x: f64| f(&[1, 1], &[x]);
    let state = [one(2.0), gate(1.0), head(ln2)];
    let operands = [&[one(2.0), one(3.0), one(5.0), gate(0.0), gate(0.0)][..], &state].concat();
    let eps = attrs! { eps: Float(2.0) };
    case(Op::Mlstm, eps.clone(), &operands, &[one(3.4), one(17.0), gate(4.0), head(0.0)]);
    // dh = 10: dnum = 1, the normaliser's is -3.4. dC = 2, dn = -6.8: dq = 17 - 3.4·4, dk = 2·5 - 6.8, dv = 3·2; of f 2·2 -
    // 6.8, of i 3·3.2. The larger of a and i is a, at the tie too: da = -2.8 + 2.8 - 9.6, times σ(0).
    let operands = [&operands[..], &[one(3.4), one(10.0), one(0.0), gate(0.0), head(0.0)]].concat();
    case(
        Op::MlstmGrad,
        eps,
        &operands,
        &[one(3.4), one(3.2), one(6.0), gate(9.6), gate(-4.8), one(2.0), gate(-6.8), head(-9.6)],
    );
    // a = ln ½ + ln 2 = 0 and i = 0 + 1·0: f = i = 1, z = tanh 0, o = ½: c = 6, n = 3, h = ½·6/3.
    let x = f(&[1, 1, 4, 1, 1], &[0.0; 4]);
    let cell = |x: f64| gate(x);
    let operands = [x, f(&[1, 4, 1, 1], &[1.0, 0.0, 0.0, 0.0]), cell(6.0), cell(2.0), cell(0.0), cell(ln2)];
    case(Op::Slstm, Attrs::new(), &operands, &[one(1.0), cell(6.0), cell(3.0), cell(0.0)]);
    // dh = 6: dc = ½·6/3, dn = -1·6/3; of o 2·6·¼, of z 1·1, of i -2, of f 1·6 - 2·2. The tie gives i what m has:
    // -2 + (-2 + 2).
    let operands = [&operands[..], &[one(1.0), one(6.0), cell(0.0), cell(0.0), cell(0.0)]].concat();
    case(
        Op::SlstmGrad,
        Attrs::new(),
        &operands,
        &[
            f(&[1, 1, 4, 1, 1], &[-2.0, 1.0, 1.0, 3.0]),
            f(&[1, 4, 1, 1], &[0.0; 4]),
            cell(1.0),
            cell(-2.0),
            cell(-2.0),
            cell(2.0),
        ],
    );
}

fn attention(case: &mut dyn FnMut(Op, Attrs, &[Array<f64>], &[Array<f64>])) {
    // A quarter turn at the second position: (1, 2, 3, 4) has the pairs (1, 3) and (2, 4).
    let x = f(&[1, 2, 1, 4], &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
    let (cos, sin) = (f(&[2, 2], &[1.0, 1.0, 0.0, 0.6]), f(&[2, 2], &[0.0, 0.0, 1.0, 0.8]));
    let turned = f(&[1, 2, 1, 4], &[1.0, 2.0, 3.0, 4.0, -3.0, 1.2 - 3.2, 1.0, 2.4 + 1.6]);
    case(Op::Rope, Attrs::new(), &[x, cos, sin], &[turned]);
    // Two heads share one of keys; scores (0, ln 3) weigh 1/4 and 3/4, scores (0, 0) a half each.
    let scale = || attrs! { scale: Float(0.5) };
    let ln3 = 2.0 * 3f64.ln();
    let position = ints(DType::I64, &[], &[1]);
    let row = |x: &[f64]| f(&[1, x.len() / 2, 1, 2], x);
    case(
        Op::KvAttention,
        scale(),
        &[
            f(&[1, 1, 2, 2], &[1.0, 0.0, 0.0, 0.0]),
            row(&[ln3, 0.0]),
            row(&[8.0, 4.0]),
            row(&[0.0, 0.0, 9.0, 9.0, 5.0, 5.0]),
            row(&[4.0, 0.0, 9.0, 9.0, 6.0, 6.0]),
            position.clone(),
        ],
        &[
            f(&[1, 1, 2, 2], &[7.0, 3.0, 6.0, 2.0]),
            row(&[0.0, 0.0, ln3, 0.0, 5.0, 5.0]),
            row(&[4.0, 0.0, 8.0, 4.0, 6.0, 6.0]),
        ],
    );
    // The first of two tokens does not see the second.
    case(
        Op::KvAttention,
        scale(),
        &[
            row(&[0.0; 4]),
            row(&[1.0; 4]),
            row(&[2.0, 4.0, 6.0, 8.0]),
            row(&[0.0; 4]),
            row(&[0.0; 4]),
            ints(DType::I64, &[], &[0]),
        ],
        &[row(&[2.0, 4.0, 4.0, 6.0]), row(&[1.0; 4]), row(&[2.0, 4.0, 6.0, 8.0])],
    );
    // A peak of 254 makes the scale 2, one of 127 makes it 1, and -63.5 is a tie.
    let bytes = |q: &[i64]| ints(DType::I8, &[1, 2, 1, 2], q);
    let scales = |x: &[f64]| f(&[1, 2, 1], x);
    case(
        Op::KvAttention,
        scale(),
        &[
            row(&[0.0, 0.0]),
            row(&[254.0, 2.0]),
            row(&[127.0, -63.5]),
            bytes(&[1, 2, 3, 4]),
            bytes(&[3, 0, 9, 9]),
            position,
            scales(&[1.0, 7.0]),
            scales(&[1.0, 7.0]),
        ],
        &[
            row(&[65.0, -32.0]),
            bytes(&[1, 2, 127, 1]),
            bytes(&[3, 0, 127, -64]),
            scales(&[1.0, 2.0]),
            scales(&[1.0, 1.0]),
        ],
    );
}

/// The op's own evaluation.
pub(crate) fn eval<S: graph::Scalar>(
    op: Op,
    attrs: &Attrs,
    inputs: &[Array<S>],
) -> Result<Vec<Array<S>>, String> {
    let types = op.infer(attrs, &inputs.iter().map(Array::ty).collect::<Vec<_>>())?;
    op.eval(&EvalCx::default(), attrs, inputs, &types)
}

fn assert_close(what: &str, found: &Array<f64>, expected: &Array<f64>, tolerance: f64) {
    assert_eq!((found.dtype, &found.shape), (expected.dtype, &expected.shape), "{what}");
    for (a, b) in found.to_f64().iter().zip(expected.to_f64()) {
        let near = (a - b).abs() <= tolerance * b.abs().max(1e-3) || a.is_nan() && b.is_nan() || *a == b;
        assert!(near, "{what}: expected {b}, found {a}");
    }
}

#[test]
fn every_op_has_a_case() {
    let cases = cases();
    for op in Op::ALL {
        let exempt = *op == Op::Input || op.class() == Class::Control;
        assert!(exempt || cases.iter().any(|c| c.op == *op), "{} has no case", op.name());
        assert_eq!(Op::from_name(op.name()), Some(*op));
    }
}

#[test]
fn evaluation_gives_the_expected_numbers() {
    for c in cases() {
        let what = format!("{} {:?}", c.op.name(), c.attrs);
        let found = eval(c.op, &c.attrs, &c.inputs).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(found.len(), c.expected.len(), "{what}");
        for (a, b) in found.iter().zip(&c.expected) {
            // What is computed in many steps, against numbers of size one to a hundred.
            let many = matches!(c.op, Op::Fourier | Op::Eigh | Op::Solve | Op::Determinant | Op::Erf);
            assert_close(&what, a, b, if many { 1e-10 } else { 1e-15 });
        }
    }
}

#[test]
fn evaluation_refuses_what_is_out_of_range() {
    let m = f(&[2, 3], &[1.0; 6]);
    let fails = |op, inputs: &[Array<f64>], text: &str| {
        let error = eval(op, &attrs! { rows: Dims(dims(&[2])) }, inputs).unwrap_err();
        assert!(error.contains(text), "{error}");
    };
    fails(Op::Gather, &[m.clone(), ints(DType::I64, &[1], &[2])], "index 2 is outside a table of 2 rows");
    fails(Op::Gather, &[m.clone(), ints(DType::I64, &[1], &[-1])], "index -1 is outside");
    fails(Op::ScatterAdd, &[ints(DType::I64, &[2], &[0, 5]), m.clone()], "index 5 is outside");
    fails(
        Op::CrossEntropy,
        &[m.clone(), ints(DType::I64, &[2], &[0, 3])],
        "label 3 is outside the vocabulary of 3",
    );
    let row = f(&[1, 1, 1, 2], &[1.0; 2]);
    for (position, problem) in [(1, "1 tokens at position 1 do not fit a cache of 1"), (-1, "position -1")] {
        let mut operands = vec![row.clone(); 5];
        operands.push(ints(DType::I64, &[], &[position]));
        fails(Op::KvAttention, &operands, problem);
    }
}

#[test]
fn inference_refuses_what_does_not_fit() {
    let t = |d, s: &[usize]| Type::new(d, s.iter().copied());
    let fails = |op: Op, attrs: Attrs, inputs: &[Type], text: &str| {
        let error = op.infer(&attrs, inputs).unwrap_err();
        assert!(error.contains(text), "{error}");
    };
    let none = Attrs::new;
    let m = t(DType::F32, &[2, 3]);
    fails(Op::Add, none(), &[m.clone(), t(DType::F64, &[2, 3])], "dtypes differ");
    fails(Op::Add, none(), &[t(DType::Bool, &[]), t(DType::Bool, &[])], "use `and`");
    fails(Op::Add, none(), &[t(DType::Trit, &[]), t(DType::Trit, &[])], "convert them first");
    fails(Op::Negate, none(), &[t(DType::Bool, &[])], "floating");
    fails(Op::Exp, none(), &[t(DType::I32, &[])], "floating");
    fails(Op::Transpose, attrs! { perm: Ints(vec![0, 0]) }, std::slice::from_ref(&m), "not a permutation");
    fails(Op::Reshape, attrs! { dims: Dims(dims(&[7])) }, std::slice::from_ref(&m), "has 6 elements");
    fails(
        Op::Slice,
        attrs! { start: Dims(dims(&[0, 2])), limit: Dims(dims(&[2, 4])) },
        std::slice::from_ref(&m),
        "outside axis 1",
    );
    fails(Op::ScatterAdd, none(), &[t(DType::I64, &[2]), m.clone()], "number of rows");
    fails(
        Op::ScatterAdd,
        attrs! { rows: Dims(dims(&[2])) },
        &[t(DType::I64, &[2]), t(DType::I32, &[2])],
        "floating",
    );
    let twice = attrs! { lhs_contract: Ints(vec![0]), rhs_contract: Ints(vec![0]), lhs_batch: Ints(vec![0]), rhs_batch: Ints(vec![0]) };
    fails(Op::DotGeneral, twice, &[m.clone(), m.clone()], "used twice");
    fails(Op::ReduceSum, attrs! { axes: Ints(vec![1, 0]) }, std::slice::from_ref(&m), "rising order");
    fails(Op::ReduceSum, attrs! { axes: Ints(vec![-1]) }, &[m], "existing axes");
    let (x, angles) = (t(DType::F32, &[1, 3, 2, 4]), t(DType::F32, &[2, 2]));
    fails(Op::Rope, none(), &[x.clone(), angles.clone(), angles], "half the width");
    let kv = t(DType::F32, &[1, 3, 3, 4]);
    let position = t(DType::I64, &[]);
    let caches = [kv.clone(), kv.clone(), kv.clone(), kv.clone()];
    let fails_attention = |list: Vec<Type>, text: &str| fails(Op::KvAttention, none(), &list, text);
    let operands = |q: &Type| [&[q.clone()][..], &caches, std::slice::from_ref(&position)].concat();
    fails_attention(operands(&x), "2 heads of queries cannot share 3");
    fails_attention(caches.to_vec(), "takes 6 operands");
    let mut wrong = operands(&kv);
    wrong[3] = t(DType::F32, &[1, 3, 1, 4]);
    wrong[4] = wrong[3].clone();
    fails_attention(wrong, "does not fit the keys");
    let mut wrong = operands(&kv);
    wrong[5] = t(DType::F32, &[]);
    fails_attention(wrong, "must be i64[]");
    let blocks =
        |format: &str, columns: i64| attrs! { format: Str(format.to_string()), columns: Int(columns) };
    let (x, w) = (t(DType::F32, &[5, 64]), t(DType::U8, &[7, 68]));
    let pair = [x.clone(), w.clone()];
    assert_eq!(Op::BlockLinear.infer(&blocks("q8_0", 64), &pair), Ok(vec![t(DType::F32, &[5, 7])]));
    fails(Op::BlockLinear, blocks("q9_0", 64), &pair, "q9_0");
    fails(Op::BlockLinear, blocks("q8_0", 65), &pair, "a multiple of 32");
    fails(Op::BlockLinear, blocks("q8_0", -32), &pair, "a multiple of 32");
    fails(Op::BlockLinear, blocks("q4_0", 64), &pair, "u8[M,36]");
    fails(Op::BlockLinear, blocks("q8_0", 64), &[t(DType::F32, &[32]), w.clone()], "f32[…,64]");
    fails(Op::BlockLinear, blocks("q8_0", 64), &[t(DType::F64, &[64]), w.clone()], "f32[…,64]");
    fails(Op::BlockRows, blocks("q8_0", 64), &[x, w], "indices must be integers");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]

    #[test]
    fn composites_equal_their_decomposition(seed in any::<u64>()) {
        let mut found = 0;
        for c in cases() {
            let inputs = randomized(&c.inputs, seed, -2.0..2.0);
            let cx = Cx::abstract_();
            let vars: Vec<Var> = inputs.iter().enumerate().map(|(i, a)| cx.input(&format!("i{i}"), a.ty())).collect();
            let node = NodeCx { cx: &cx, attrs: &c.attrs, inputs: &vars, outputs: &[] };
            let Some(outs) = c.op.decompose(&node) else { continue };
            found += 1;
            let names: Vec<String> = (0..outs.len()).map(|i| format!("o{i}")).collect();
            let outs: Vec<(&str, &Var)> = names.iter().map(String::as_str).zip(&outs).collect();
            let g = cx.finish(&outs).unwrap();
            g.verify().unwrap();
            let expected = eval(c.op, &c.attrs, &inputs).unwrap();
            let decomposed = interp::run(&g, inputs, false).unwrap();
            prop_assert_eq!(expected.len(), decomposed.outputs.len());
            for ((_, a), b) in decomposed.outputs.iter().zip(&expected) {
                assert_close(c.op.name(), a, b, 1e-12);
            }
        }
        prop_assert!(found >= 12);
    }
}

/// The same arrays with other floats.
pub(crate) fn randomized(inputs: &[Array<f64>], seed: u64, range: std::ops::Range<f64>) -> Vec<Array<f64>> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        range.start + (range.end - range.start) * (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let replace = |a: &Array<f64>| match a.dtype.is_float() {
        true => Array::from_f64(a.dtype, &a.shape[..], &(0..a.len()).map(|_| next()).collect::<Vec<_>>()),
        false => a.clone(),
    };
    inputs.iter().map(replace).collect()
}
