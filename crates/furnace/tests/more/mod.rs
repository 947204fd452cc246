//! Cases of the ops that came with differentiation, at random shapes: each asks a generator for sizes and numbers, so that
//! another seed is another shape. Single nodes come first (their rows are tested one by one), then the compositions.

use crate::common::{Random, dims};
use axes::DType;
use graph::ops::windows::Geometry;
use graph::{Array, Attr, Attrs, Complex, Op, Var, attrs};

pub(crate) mod composites;
mod rows;
pub(crate) mod step;

type F = Box<dyn Fn(&[Var]) -> Vec<Var>>;
type Add<'a> = &'a mut dyn FnMut(&[Op], Vec<Array<f64>>, F);

/// One node of an op with these attributes.
fn node(op: Op, attrs: Attrs) -> F {
    Box::new(move |v| {
        let n = op.infer(&attrs, &v.iter().map(Var::ty).collect::<Vec<_>>()).map_or(1, |t| t.len());
        let made = v[0].cx().push(op, attrs.clone(), &v.iter().collect::<Vec<_>>());
        made.into_iter().take(n).collect()
    })
}

fn sizes(r: &mut Random, rank: usize, most: usize) -> Vec<usize> {
    (0..rank).map(|_| 1 + r.below(most)).collect()
}

fn indices(r: &mut Random, shape: &[usize], below: usize) -> Vec<f64> {
    (0..shape.iter().product()).map(|_| r.below(below) as f64).collect()
}

fn i64s(v: &Var, shape: &[usize], data: &[f64]) -> Var {
    v.cx().array(DType::I64, shape, data)
}

/// Numbers in -1..1 of which no two are close: no direction exchanges their order.
fn distinct(r: &mut Random, shape: &[usize]) -> Array<f64> {
    let n: usize = shape.iter().product();
    let mut x: Vec<f64> =
        (0..n).map(|i| (2 * i) as f64 / n as f64 - 1.0 + r.float(0.0, 1.0 / n as f64)).collect();
    (1..n).for_each(|i| x.swap(i, r.below(i + 1)));
    Array::from_f64(DType::F64, shape, &x)
}

/// Well conditioned matrices: with large numbers on the diagonals of the last two axes, distinct ones where `rising`.
fn dominant(r: &mut Random, lead: &[usize], n: usize, spread: f64, rising: bool) -> Array<f64> {
    let shape = [lead, &[n, n]].concat();
    let mut x: Vec<f64> = r.array(&shape, -spread, spread).to_f64();
    for (k, x) in x.iter_mut().enumerate() {
        let (i, j) = (k / n % n, k % n);
        if i == j {
            // Above the sum of the others of its row, or 1.5 apart.
            *x += if rising { 1.5 * (i + 1) as f64 } else { n as f64 + 1.5 };
        }
    }
    Array::from_f64(DType::F64, shape, &x)
}

/// Cases of one node each.
pub(crate) fn nodes(r: &mut Random, add: Add) {
    for op in [Op::Asin, Op::Acos, Op::Atan, Op::Erf, Op::Log1p, Op::Expm1, Op::Softplus] {
        let rank = r.below(4);
        let shape = sizes(r, rank, 4);
        add(&[op], vec![r.array(&shape, -0.85, 0.85)], node(op, Attrs::new()));
    }
    along(r, add);
    for _ in 0..2 {
        let (g, space) = geometry(r);
        let lead_rank = r.below(3);
        let lead = sizes(r, lead_rank, 3);
        let shape = [&lead[..], &space].concat();
        add(&[Op::Windows], vec![r.array(&shape, -1.0, 1.0)], node(Op::Windows, g.attrs()));
        let counts = counts(&g, &space);
        let laid = [&lead[..], &g.kernel, &counts].concat();
        let attrs = g.attrs().with("dims", Attr::Dims(dims(&space)));
        add(&[Op::WindowsAdd], vec![r.array(&laid, -1.0, 1.0)], node(Op::WindowsAdd, attrs));
        convolutions(r, add, &g, &space, &counts);
    }
    linear_algebra(r, add);
    for n in [1 + r.below(20), 8, 67] {
        let lead_rank = r.below(3);
        let shape = [sizes(r, lead_rank, 2), vec![n]].concat();
        let at = vec![r.array(&shape, -1.0, 1.0), r.array(&shape, -1.0, 1.0)];
        let inverse = r.below(2) == 0;
        add(&[Op::Fourier], at, node(Op::Fourier, attrs! { inverse: Bool(inverse) }));
    }
}

fn along(r: &mut Random, add: Add) {
    let rank = 1 + r.below(3);
    let shape = sizes(r, rank, 4);
    let axis = r.below(rank);
    let mut wide = shape.clone();
    wide[axis] = 1 + r.below(5);
    let ids = indices(r, &wide, shape[axis]);
    let (w, at) = (wide.clone(), ids.clone());
    add(
        &[Op::TakeAlong],
        vec![r.array(&shape, -1.0, 1.0)],
        Box::new(move |v| vec![v[0].take_along(&i64s(&v[0], &w, &at), axis)]),
    );
    let size = shape[axis].into();
    let (w, at) = (wide.clone(), ids.clone());
    add(
        &[Op::ScatterAddAlong],
        vec![r.array(&wide, -1.0, 1.0)],
        Box::new(move |v| vec![i64s(&v[0], &w, &at).scatter_add_along(&v[0], axis, &size)]),
    );
    let (w, at) = (wide.clone(), ids.clone());
    add(
        &[Op::LastWriter, Op::TakeAlong],
        vec![r.array(&shape, -1.0, 1.0), r.array(&wide, -1.0, 1.0)],
        Box::new(move |v| vec![v[0].scatter_set_along(&i64s(&v[0], &w, &at), &v[1], axis)]),
    );
    for down in [false, true] {
        add(
            &[Op::ArgSort, Op::TakeAlong],
            vec![distinct(r, &shape)],
            Box::new(move |v| vec![v[0].sort(axis, down).square()]),
        );
    }
    let k = 1 + r.below(shape[axis]);
    add(
        &[Op::ArgSort, Op::Slice],
        vec![distinct(r, &shape)],
        Box::new(move |v| vec![v[0].top_k(k, axis).0.square(), v[0].median(axis)]),
    );
    add(
        &[Op::CumulativeArgMax, Op::TakeAlong],
        vec![distinct(r, &shape)],
        Box::new(move |v| vec![v[0].cumulative_max(axis).square(), v[0].cumulative_min(axis).exp()]),
    );
}

/// Random windows over one to three axes, and sizes that hold some.
fn geometry(r: &mut Random) -> (Geometry, Vec<usize>) {
    let rank = 1 + r.below(3);
    let most = [4, 3, 2][rank - 1];
    let list =
        |r: &mut Random, from: usize, n: usize| (0..rank).map(|_| from + r.below(n)).collect::<Vec<_>>();
    let g = Geometry {
        kernel: list(r, 1, most),
        stride: list(r, 1, 3),
        dilation: list(r, 1, 2),
        low: list(r, 0, 3),
        high: list(r, 0, 3),
    };
    let space = (0..rank).map(|k| g.dilation[k] * (g.kernel[k] - 1) + 1 + r.below(most)).collect();
    (g, space)
}

fn counts(g: &Geometry, space: &[usize]) -> Vec<usize> {
    let counts = g.counts(&dims(space)).expect("windows that fit");
    counts.iter().map(|d| d.fixed().expect("fixed")).collect()
}

fn convolutions(r: &mut Random, add: Add, g: &Geometry, space: &[usize], counts: &[usize]) {
    for groups in [1, 2] {
        let (n, c, o) = (1 + r.below(2), groups * (1 + r.below(2)), groups * (1 + r.below(2)));
        let attrs = g.attrs().with("groups", Attr::Int(groups as i64));
        let x = r.array(&[&[n, c], space].concat(), -1.0, 1.0);
        let w = r.array(&[&[o, c / groups], &g.kernel[..]].concat(), -1.0, 1.0);
        add(&[Op::Convolution], vec![x, w], node(Op::Convolution, attrs.clone()));
        let attrs = attrs.with("dims", Attr::Dims(dims(space)));
        let x = r.array(&[&[n, c], counts].concat(), -1.0, 1.0);
        let w = r.array(&[&[c, o / groups], &g.kernel[..]].concat(), -1.0, 1.0);
        add(&[Op::ConvolutionTransposed], vec![x, w], node(Op::ConvolutionTransposed, attrs));
    }
}

fn linear_algebra(r: &mut Random, add: Add) {
    let lead_rank = r.below(3);
    let lead = sizes(r, lead_rank, 2);
    let (n, m) = (1 + r.below(4), 1 + r.below(3));
    for turned in [false, true] {
        let at = vec![dominant(r, &lead, n, 1.0, false), r.array(&[&lead[..], &[n, m]].concat(), -1.0, 1.0)];
        add(&[Op::Solve], at, node(Op::Solve, attrs! { transposed: Bool(turned) }));
        for lower in [false, true] {
            let at =
                vec![dominant(r, &lead, n, 1.0, false), r.array(&[&lead[..], &[n, m]].concat(), -1.0, 1.0)];
            let attrs = attrs! { lower: Bool(lower), transposed: Bool(turned) };
            add(&[Op::TriangularSolve], at, node(Op::TriangularSolve, attrs));
        }
    }
    add(&[Op::Determinant], vec![dominant(r, &lead, n, 0.5, true)], node(Op::Determinant, Attrs::new()));
    let safe = dominant(r, &lead, n, 0.7, false);
    add(&[Op::Cholesky], vec![safe], node(Op::Cholesky, Attrs::new()));
    add(&[Op::Eigh], vec![dominant(r, &lead, n, 0.4, true)], node(Op::Eigh, Attrs::new()));
}

/// Cases of compositions.
pub(crate) fn functions(r: &mut Random, add: Add) {
    let shape = sizes(r, 2, 4);
    add(
        &[Op::Select, Op::Erf],
        vec![r.array(&shape, 0.4, 1.2)],
        Box::new(|v| {
            let x = &v[0];
            vec![
                x.tan(),
                x.sinh(),
                x.cosh(),
                x.log_sigmoid(),
                x.cube(),
                x.leaky_relu(0.1),
                (-x).leaky_relu(0.1),
                x.elu(0.7),
                (-x).elu(0.7),
                x.gelu(),
                x.gelu_tanh(),
                x.mish(),
                x.softsign(),
                x.safe_log(0.01),
                x.rsqrt(),
                x.reciprocal(),
                x.clamp(0.0, 2.0),
                x.ceil() + x.square(),
            ]
        }),
    );
    add(
        &[Op::Select, Op::Atan],
        vec![r.array(&shape, -1.0, 1.0), r.array(&shape, -1.0, 1.0)],
        Box::new(|v| vec![v[0].atan2(&v[1]), v[0].hypot(&v[1]), v[0].log_add_exp(&v[1])]),
    );
    reductions(r, add);
    arrangements(r, add);
    products(r, add);
    pools(r, add);
    losses(r, add);
    complex(r, add);
}

fn reductions(r: &mut Random, add: Add) {
    let rank = 1 + r.below(3);
    let shape: Vec<usize> = sizes(r, rank, 3).iter().map(|n| n + 1).collect();
    let set = 1 + r.below((1 << rank) - 1);
    let axes: Vec<usize> = (0..rank).filter(|a| set >> a & 1 == 1).collect();
    add(
        &[Op::ReduceSum, Op::ReduceMax],
        vec![r.array(&shape, -1.0, 1.0)],
        Box::new(move |v| {
            let (x, a) = (&v[0], &axes[..]);
            vec![
                x.mean(a),
                x.variance(a, 1),
                x.variance(a, 0),
                x.std(a, 1),
                x.norm(a),
                x.norm1(a),
                x.logsumexp(a),
                x.softmax(a),
                x.log_softmax(a),
                x.product(a),
                x.mean(a).keep_axes(a),
            ]
        }),
    );
    let axis = r.below(rank);
    add(
        &[Op::LinearScan, Op::Reshape],
        vec![r.array(&shape, -1.0, 1.0)],
        Box::new(move |v| vec![v[0].cumulative_sum(axis).square(), v[0].cumulative_product(axis)]),
    );
}

fn arrangements(r: &mut Random, add: Add) {
    let rank = 2 + r.below(2);
    let shape: Vec<usize> = sizes(r, rank, 3).iter().map(|n| n + 1).collect();
    let (axis, step) = (r.below(rank), 1 + r.below(3));
    add(
        &[Op::Reshape, Op::Concatenate],
        vec![r.array(&shape, -1.0, 1.0), r.array(&shape, -1.0, 1.0)],
        Box::new(move |v| {
            let (x, y) = (&v[0], &v[1]);
            let mut out = vec![
                Var::stack(&[x, y], axis).square(),
                x.flip(&[0, axis]),
                x.tile(step, axis),
                x.repeat(step, axis),
                x.roll(1, axis),
                x.dilate(step, axis),
                x.undilate(step, axis),
                x.tril(),
                x.triu(),
                x.unsqueeze(axis).squeeze(axis),
                x.t(),
                x.diagonal_matrix(),
                x.index_select(&i64s(x, &[2], &[1.0, 0.0]), axis),
            ];
            out.extend(x.unstack(axis));
            out.extend(x.split(&[1, 1], axis));
            out
        }),
    );
    let n = 1 + r.below(3);
    add(
        &[Op::Reshape, Op::Select],
        vec![r.array(&[2, n, n], -1.0, 1.0), r.array(&[1, n, 1], -1.0, 1.0)],
        Box::new(move |v| {
            vec![v[0].diagonal().square(), v[0].trace(), v[0].add_slice(&[1, 0, n - 1], &v[1]).square()]
        }),
    );
}

fn products(r: &mut Random, add: Add) {
    let [b, n, k, m] = [0; 4].map(|_| 1 + r.below(3));
    let at =
        vec![r.array(&[b, n, k], -1.0, 1.0), r.array(&[b, k, m], -1.0, 1.0), r.array(&[b, k], -1.0, 1.0)];
    add(
        &[Op::DotGeneral, Op::Transpose],
        at,
        Box::new(|v| {
            vec![
                v[0].bmm(&v[1]),
                v[0].matvec(&v[2]),
                v[2].outer(&v[2]),
                v[0].einsum(&v[1], "bnk,bkm->mbn"),
                v[0].einsum(&v[1], "bnk,bkm->bm"),
                v[2].einsum(&v[2], "ij,kl->ikjl"),
            ]
        }),
    );
    let square = dominant(r, &[b], n, 0.7, false);
    add(
        &[Op::Solve, Op::Cholesky],
        vec![square, r.array(&[b, n], -1.0, 1.0)],
        Box::new(|v| {
            let a = &v[0];
            vec![
                a.solve(&v[1]),
                a.inverse(),
                a.determinant(),
                a.cholesky(),
                a.triangular_solve(&v[1], true, false),
                a.matrix_power(3),
                v[1].dot_general(&v[1], (&[0, 1], &[0, 1]), (&[], &[])),
            ]
        }),
    );
    let (lead, size) = (vec![b], 2 + r.below(3));
    add(
        &[Op::Eigh, Op::Transpose],
        vec![dominant(r, &lead, size, 0.4, true)],
        Box::new(|v| {
            let (w, q) = v[0].eigh();
            // A function of the matrix: e^A.
            let exp = q.bmm(&w.exp().diagonal_matrix()).bmm(&q.t());
            vec![w, exp]
        }),
    );
}

fn pools(r: &mut Random, add: Add) {
    let (g, space) = geometry(r);
    // A window wholly in what lies around has no largest element.
    let narrow = g.low.iter().zip(&g.kernel).map(|(l, k)| (*l).min(k / 2)).collect::<Vec<_>>();
    let g = Geometry { dilation: vec![1; g.rank()], high: narrow.clone(), low: narrow, ..g };
    let shape = [&[1 + r.below(2), 2][..], &space].concat();
    let inner = space.clone();
    add(
        &[Op::Windows, Op::ReduceMax],
        vec![distinct(r, &shape)],
        Box::new(move |v| {
            let (y, at) = v[0].max_pool_indices(&g);
            vec![
                v[0].avg_pool(&g, true).square(),
                v[0].avg_pool(&g, false),
                v[0].sum_pool(&g),
                v[0].max_pool(&g).square(),
                v[0].min_pool(&g),
                y.max_unpool(&at, &inner).exp(),
                y,
            ]
        }),
    );
}

fn losses(r: &mut Random, add: Add) {
    let (n, c) = (1 + r.below(4), 2 + r.below(3));
    let labels: Vec<f64> = (0..n).map(|_| r.below(c) as f64).collect();
    add(
        &[Op::TakeAlong, Op::ReduceSum],
        vec![r.array(&[n, c], 0.1, 0.9), r.array(&[n, c], 0.1, 0.9)],
        Box::new(move |v| {
            let (x, y) = (&v[0], &v[1]);
            vec![
                x.mse_loss(y),
                x.l1_loss(y),
                x.huber_loss(y, 0.2),
                x.bce_loss(y),
                x.bce_with_logits_loss(y),
                x.log_softmax(&[1]).nll_loss(&i64s(x, &[n], &labels)),
                x.log_softmax(&[1]).kl_loss(y),
            ]
        }),
    );
}

fn complex(r: &mut Random, add: Add) {
    let (b, n) = (1 + r.below(2), 2 + r.below(9));
    let at: Vec<_> = (0..4).map(|_| r.array(&[n, b], 0.2, 1.0)).collect();
    add(
        &[Op::Multiply, Op::Scan],
        at,
        Box::new(|v| {
            let (z, w) = (Complex::new(&v[0], &v[1]), Complex::new(&v[2], &v[3]));
            let start =
                Complex::new(&v[0].slice_axis(0, 0, 1), &v[1].slice_axis(0, 0, 1)).each(|x| x.squeeze(0));
            let all = [
                &z * &w,
                &z / &w,
                &z - &w,
                z.exp(),
                z.log(),
                z.reciprocal(),
                -&z,
                (&z * &w).conjugate(),
                z.linear_scan(&w, &start),
                z.fft_axes(&[0, 1], false),
                z.fft().ifft(),
                z.dot_general(&w, (&[0], &[0]), (&[1], &[1])),
            ];
            let real = [z.abs(), z.angle(), z.abs_square()];
            all.into_iter().flat_map(|z| [z.re, z.im]).chain(real).collect()
        }),
    );
    // The kernel of a diagonal state-space model, and its convolution: 2 Re Σ c e^(k a).
    add(
        &[Op::Fourier, Op::Exp],
        vec![
            r.array(&[b], -0.5, -0.1),
            r.array(&[b], 0.1, 2.0),
            r.array(&[b], -1.0, 1.0),
            r.array(&[2, n], -1.0, 1.0),
        ],
        Box::new(move |v| {
            let a = Complex::new(&v[0], &v[1]);
            let powers = v[0].cx().powers(&a, &n.into(), DType::F64);
            let kernel = (powers.re * v[2].broadcast_last(&n.into())).sum(&[0]) * 2.0;
            vec![v[3].fft_convolution(&kernel), v[3].rfft().irfft(n), v[3].rfft().abs_square()]
        }),
    );
}
