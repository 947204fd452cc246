//! Cases for the ops that came with differentiation: inverse functions, indices along an axis, windows, convolutions and
//! pools, linear algebra, Fourier transforms, and the gradients of some.

use crate::cases::{Cases, Maker, dims};
use axes::DType;
use graph::ops::windows::Geometry;
use graph::{Attrs, Complex, Dim, Op, Var, attrs};

pub(crate) fn add(c: &mut Cases) {
    functions(c);
    along(c);
    windows(c);
    convolutions(c);
    linear_algebra(c);
    transforms(c);
    losses(c);
}

fn functions(c: &mut Cases) {
    for shape in [&[][..], &[0, 3], &[7, 5], &[257], &[130, 517]] {
        c.add(format!("inverse functions {shape:?}"), |m| {
            let (x, wide) = (m.f(shape), m.input(DType::F32, shape, -5.0, 5.0));
            let ops = [Op::Asin, Op::Acos, Op::Atan, Op::Erf, Op::Log1p, Op::Expm1, Op::Softplus];
            let mut out: Vec<Var> = ops.iter().map(|op| m.cx.push1(*op, Attrs::new(), &[&x])).collect();
            out.extend([wide.atan(), wide.erf(), wide.expm1(), wide.softplus(), wide.gelu(), wide.mish()]);
            // Among members of a group.
            out.push((&x * 0.5).asin() * &wide + x.square().log1p());
            out
        });
    }
    for dtype in [DType::F64, DType::BF16] {
        c.add(format!("inverse functions {dtype:?}"), |m| {
            let x = m.input(dtype, &[5, 3], -0.9, 0.9);
            let mut out = vec![x.asin(), x.acos(), x.atan(), x.erf()];
            // What is decomposed is rounded at every step.
            if dtype == DType::F64 {
                out.extend([x.log1p(), x.expm1(), x.softplus()]);
            }
            out
        });
    }
    c.add("small numbers", |m| {
        let x = m.f(&[40]) * 1e-6;
        let far = m.input(DType::F32, &[40], -100.0, 100.0);
        vec![x.log1p(), x.expm1(), x.sinh(), far.softplus(), far.log_sigmoid(), far.expm1(), far.tan()]
    });
    c.add("functions of two", |m| {
        let (x, y) = (m.f(&[9, 4]), m.f(&[9, 4]));
        vec![x.atan2(&y), x.hypot(&y), x.log_add_exp(&y), x.leaky_relu(0.1), x.elu(1.0), x.gelu_tanh()]
    });
}

fn along(c: &mut Cases) {
    for (shape, axis) in
        [(&[7][..], 0), (&[5, 9], 1), (&[5, 9], 0), (&[2, 6, 3], 1), (&[1, 1], 1), (&[0, 3], 1)]
    {
        for dtype in [DType::F32, DType::F64, DType::BF16, DType::I64, DType::I8] {
            c.add(format!("along axis {axis} of {shape:?} {dtype:?}"), |m| {
                let (low, high) = if dtype.is_float() { (-1.0, 1.0) } else { (-9.0, 9.0) };
                let x = m.input(dtype, shape, low, high);
                let mut wide = shape.to_vec();
                wide[axis] = 4;
                let (ids, narrow) =
                    (m.ids(&wide, shape[axis]), m.input(DType::I32, &wide, 0.0, shape[axis] as f64));
                let mut out = vec![
                    x.argsort(axis, false),
                    x.argsort(axis, true),
                    x.sort(axis, false),
                    x.cumulative_argmax(axis),
                    x.take_along(&ids, axis),
                    x.take_along(&narrow, axis),
                    x.top_k(1, axis).0,
                    x.argmin(axis),
                ];
                let updates = m.input(dtype, &wide, low, high);
                out.push(x.scatter_set_along(&ids, &updates, axis));
                if dtype.is_float() {
                    out.push(ids.scatter_add_along(&updates, axis, &Dim::from(shape[axis])));
                    out.push(narrow.scatter_add_along(&updates, axis, &Dim::from(shape[axis] + 2)));
                    out.push(x.cumulative_max(axis));
                }
                out
            });
        }
    }
    c.add("running sums and products", |m| {
        let x = m.f(&[3, 11, 4]);
        let mut out = vec![];
        for axis in 0..3 {
            out.extend([
                x.cumulative_sum(axis),
                x.cumulative_product(axis),
                x.product(&[axis]),
                x.median(axis),
            ]);
        }
        out
    });
    c.add("statistics", |m| {
        let x = m.f(&[4, 6, 5]);
        let a = [0, 2];
        vec![
            x.mean(&a),
            x.variance(&a, 1),
            x.std(&a, 0),
            x.norm(&[1]),
            x.logsumexp(&a),
            x.softmax(&[1]),
            x.log_softmax(&[1]),
            x.norm1(&a),
        ]
    });
}

fn geometry(n: [&[usize]; 5]) -> Geometry {
    let [kernel, stride, dilation, low, high] = n.map(<[usize]>::to_vec);
    Geometry { kernel, stride, dilation, low, high }
}

/// Windows over one, two and three axes, with the sizes of the axes.
fn geometries() -> Vec<(Geometry, Vec<usize>)> {
    vec![
        (geometry([&[1], &[1], &[1], &[0], &[0]]), vec![5]),
        (geometry([&[3], &[2], &[2], &[1], &[2]]), vec![11]),
        (geometry([&[4], &[1], &[1], &[3], &[0]]), vec![33]),
        (geometry([&[3, 3], &[1, 1], &[1, 1], &[1, 1], &[1, 1]]), vec![9, 17]),
        (geometry([&[2, 3], &[2, 3], &[1, 2], &[0, 2], &[1, 0]]), vec![6, 9]),
        (geometry([&[1, 5], &[3, 1], &[1, 1], &[0, 6], &[0, 6]]), vec![7, 2]),
        (geometry([&[2, 2, 2], &[1, 2, 1], &[1, 1, 2], &[1, 0, 0], &[0, 1, 2]]), vec![4, 5, 4]),
    ]
}

fn windows(c: &mut Cases) {
    for (g, space) in geometries() {
        for lead in [&[][..], &[2, 3]] {
            for dtype in [DType::F32, DType::F64] {
                c.add(format!("windows {g:?} of {lead:?} {space:?} {dtype:?}"), |m| {
                    let x = m.input(dtype, &[lead, &space].concat(), -1.0, 1.0);
                    let y = x.windows(&g);
                    vec![y.windows_add(&g, &dims(&space)), x.sum_pool(&g), y]
                });
            }
        }
        let shape = [&[2, 3][..], &space].concat();
        let narrow: Vec<usize> = g.kernel.iter().map(|k| k / 2).collect();
        let inside = Geometry { low: narrow.clone(), high: narrow, dilation: vec![1; g.rank()], ..g.clone() };
        c.add(format!("pools {inside:?}"), |m| {
            let x = m.f(&shape);
            let (y, at) = x.max_pool_indices(&inside);
            let back = y.max_unpool(&at, &space);
            vec![x.max_pool(&inside), x.avg_pool(&inside, true), x.avg_pool(&inside, false), y, at, back]
        });
    }
    c.add("windows of integers", |m| {
        vec![m.input(DType::I32, &[2, 9], -9.0, 9.0).windows(&Geometry::new(&[3]))]
    });
}

fn convolutions(c: &mut Cases) {
    for (g, space) in geometries() {
        for (n, i, o, groups) in [(1, 1, 1, 1), (2, 4, 6, 1), (2, 4, 6, 2), (3, 4, 4, 4)] {
            c.add(format!("convolution {g:?} {n} x {i} to {o}, {groups} groups"), |m| {
                let x = m.f(&[&[n, i], &space[..]].concat());
                let w = m.f(&[&[o, i / groups], &g.kernel[..]].concat());
                let (y, pull) = furnace::vjp(|v| vec![v[0].convolution(&v[1], &g, groups)], &[&x, &w]);
                let ct = m.f(&y[0].ty().fixed_shape().expect("fixed"));
                let mut out = y;
                out.extend(pull(std::slice::from_ref(&ct)));
                // The transposed form takes what came out back to channels of its own.
                let w = m.f(&[&[o, i / groups], &g.kernel[..]].concat());
                out.push(ct.convolution_transposed(&w, &g, groups, 0));
                out
            });
        }
    }
    c.add("convolution of an image", |m| {
        let (x, w) = (m.f(&[2, 8, 20, 20]), m.f(&[16, 8, 3, 3]));
        let y = x.convolution(&w, &Geometry::new(&[3, 3]).padding(1), 1).relu();
        vec![y.max_pool(&Geometry::new(&[2, 2]).stride(2)), y]
    });
}

fn matrices(m: &mut Maker, dtype: DType, lead: &[usize], n: usize) -> Var {
    let x = m.input(dtype, &[lead, &[n, n]].concat(), -0.3, 0.3);
    let eye = m.cx.eye(&Dim::from(n), dtype);
    let rank = lead.len() + 2;
    &x + &(eye * n as f64).broadcast(&x.shape(), &[rank - 2, rank - 1])
}

fn linear_algebra(c: &mut Cases) {
    for (lead, n, k) in [(&[][..], 1, 1), (&[], 4, 3), (&[3], 5, 1), (&[2, 2], 3, 2), (&[0], 2, 2)] {
        for dtype in [DType::F32, DType::F64] {
            c.add(format!("linear algebra {lead:?} {n} {dtype:?}"), |m| {
                let a = matrices(m, dtype, lead, n);
                let b = m.input(dtype, &[lead, &[n, k]].concat(), -1.0, 1.0);
                let turned = m.cx.push1(Op::Solve, attrs! { transposed: Bool(true) }, &[&a, &b]);
                let mut out =
                    vec![a.solve(&b), turned, a.inverse(), a.determinant(), a.cholesky(), a.bmm(&b)];
                for (lower, transposed) in [(false, false), (false, true), (true, false), (true, true)] {
                    out.push(a.triangular_solve(&b, lower, transposed));
                }
                let (w, v) = a.eigh();
                out.extend([w, v, a.tril(), a.diagonal(), a.trace(), a.matrix_power(2)]);
                let (_, g) = furnace::grads(
                    |v| v[0].solve(&v[1]).square().sum_all() + v[0].determinant().sum_all(),
                    &[&a, &b],
                );
                out.extend(g);
                out
            });
        }
    }
}

fn transforms(c: &mut Cases) {
    for n in [1, 2, 8, 12, 61, 67, 128, 0] {
        for dtype in [DType::F32, DType::F64] {
            c.add(format!("fourier {n} {dtype:?}"), |m| {
                let z =
                    Complex::new(&m.input(dtype, &[3, n], -1.0, 1.0), &m.input(dtype, &[3, n], -1.0, 1.0));
                let (f, b) = (z.fft(), z.ifft());
                vec![f.re, f.im, b.re, b.im]
            });
        }
    }
    c.add("convolution by transforms", |m| {
        let (x, k) = (m.f(&[2, 3, 50]), m.f(&[50]));
        let (y, pull) = furnace::vjp(|v| vec![v[0].fft_convolution(&v[1])], &[&x, &k]);
        let mut out = pull(&y);
        out.extend(y);
        out
    });
    c.add("complex numbers", |m| {
        let (z, w) = (Complex::new(&m.f(&[6, 4]), &m.f(&[6, 4])), Complex::new(&m.f(&[6, 4]), &m.f(&[6, 4])));
        let start = Complex::new(&m.f(&[4]), &m.f(&[4]));
        let h = z.linear_scan(&w, &start);
        let all = [&z * &w, z.exp(), h, z.dot_general(&w, (&[0], &[0]), (&[], &[]))];
        all.into_iter().flat_map(|z| [z.re, z.im]).collect()
    });
}

fn losses(c: &mut Cases) {
    c.add("losses", |m| {
        let (p, q) = (m.input(DType::F32, &[6, 5], 0.05, 0.95), m.input(DType::F32, &[6, 5], 0.05, 0.95));
        let labels = m.ids(&[6], 5);
        vec![
            p.mse_loss(&q),
            p.l1_loss(&q),
            p.huber_loss(&q, 0.3),
            p.bce_loss(&q),
            p.bce_with_logits_loss(&q),
            p.log_softmax(&[1]).nll_loss(&labels),
            p.log_softmax(&[1]).kl_loss(&q),
        ]
    });
}
