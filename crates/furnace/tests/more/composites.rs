//! Cases of the composites and of control flow.

use super::F;
use crate::common::{Random, dims};
use axes::DType;
use graph::{Array, Attrs, Cx, Op, Type, Var, attrs};

/// Ops with a decomposition.
pub(crate) fn composites(r: &mut Random, add: &mut impl FnMut(&[Op], Vec<Array<f64>>, F)) {
    add(
        &[Op::RmsNorm],
        vec![r.array(&[3, 4], -1.0, 1.0), r.array(&[4], 0.5, 1.5)],
        Box::new(|v| v[0].cx().push(Op::RmsNorm, attrs! { eps: Float(1e-3) }, &[&v[0], &v[1]])),
    );
    let at = [
        r.array(&[3, 4], -1.0, 1.0),
        r.array(&[4], 0.5, 1.5),
        r.array(&[3], 0.5, 1.5),
        r.array(&[3, 4], -1.0, 1.0),
    ];
    add(
        &[Op::RmsNormGrad],
        at.to_vec(),
        Box::new(|v| v[0].cx().push(Op::RmsNormGrad, Attrs::new(), &v.iter().collect::<Vec<_>>())),
    );
    for reverse in [false, true] {
        let at = [r.array(&[2, 5, 3], 0.1, 0.9), r.array(&[2, 5, 3], -1.0, 1.0), r.array(&[2, 3], -1.0, 1.0)];
        add(&[Op::LinearScan], at.to_vec(), Box::new(move |v| vec![v[0].linear_scan(&v[1], &v[2], reverse)]));
        let wide = |r: &mut Random| r.array(&[2, 5, 3], -1.0, 1.0);
        let at = vec![r.array(&[2, 5, 3], 0.1, 0.9), r.array(&[2, 3], -1.0, 1.0), wide(r), wide(r)];
        add(
            &[Op::LinearScanGrad],
            at,
            Box::new(move |v| {
                let attrs = attrs! { reverse: Bool(reverse) };
                v[0].cx().push(Op::LinearScanGrad, attrs, &v.iter().collect::<Vec<_>>())
            }),
        );
    }
    for (reverse, taps) in [(false, 5), (true, 5), (false, 3), (true, 7)] {
        let at = vec![r.array(&[2, 5, 3], -1.0, 1.0), r.array(&[3, taps], -1.0, 1.0)];
        add(&[Op::LongConvolution], at, Box::new(move |v| vec![v[0].long_convolution(&v[1], reverse)]));
        let at = vec![r.array(&[2, 5, 3], -1.0, 1.0), r.array(&[2, 5, 3], -1.0, 1.0)];
        add(&[Op::LongCorrelation], at, Box::new(move |v| vec![v[0].long_correlation(&v[1], &taps.into())]));
    }
    let five = |r: &mut Random| {
        vec![
            r.array(&[2, 5, 3], -1.0, 1.0),
            r.array(&[2, 5, 3], 0.1, 0.7),
            r.array(&[3, 2], -1.5, -0.1),
            r.array(&[2, 5, 2], -1.0, 1.0),
            r.array(&[2, 5, 2], -1.0, 1.0),
        ]
    };
    let mut at = five(r);
    at.push(r.array(&[2, 3, 2], -1.0, 1.0));
    add(
        &[Op::SelectiveScan],
        at,
        Box::new(|v| {
            let (y, last) = v[0].selective_scan(&v[1], &v[2], &v[3], &v[4], &v[5]);
            vec![y, last]
        }),
    );
    let mut at = five(r);
    at.extend([
        r.array(&[2, 7, 3], -1.0, 1.0),
        r.array(&[2, 5, 3], -1.0, 1.0),
        r.array(&[2, 3, 2], -1.0, 1.0),
    ]);
    add(
        &[Op::SelectiveScanGrad],
        at,
        Box::new(|v| v[0].cx().push(Op::SelectiveScanGrad, Attrs::new(), &v.iter().collect::<Vec<_>>())),
    );
    memories(r, add);
    // Two heads of one group, and of a group each.
    for groups in [1, 2] {
        let six = |r: &mut Random| {
            vec![
                r.array(&[2, 4, 2, 3], -1.0, 1.0),
                r.array(&[2, 4, 2], 0.1, 0.7),
                r.array(&[2], -1.5, -0.1),
                r.array(&[2, 4, groups, 2], -1.0, 1.0),
                r.array(&[2, 4, groups, 2], -1.0, 1.0),
                r.array(&[2, 2, 3, 2], -1.0, 1.0),
            ]
        };
        let at = six(r);
        add(
            &[Op::Ssd],
            at,
            Box::new(|v| {
                let (y, last) = v[0].ssd(&v[1], &v[2], &v[3], &v[4], &v[5]);
                vec![y, last]
            }),
        );
        let mut at = six(r);
        at.extend([r.array(&[2, 4, 2, 3], -1.0, 1.0), r.array(&[2, 2, 3, 2], -1.0, 1.0)]);
        add(
            &[Op::SsdGrad],
            at,
            Box::new(|v| v[0].cx().push(Op::SsdGrad, Attrs::new(), &v.iter().collect::<Vec<_>>())),
        );
    }
    let four = |r: &mut Random| {
        let row = |r: &mut Random, width: usize| r.array(&[2, 3, 2, width], -1.0, 1.0);
        vec![row(r, 2), row(r, 2), row(r, 3), r.array(&[2, 2, 2, 3], -1.0, 1.0)]
    };
    let decay = |r: &mut Random| r.array(&[2, 3, 2], -1.5, -0.1);
    add(
        &[Op::LinearAttention],
        four(r),
        Box::new(|v| {
            let (y, last) = v[0].linear_attention(&v[1], &v[2], &v[3], None);
            vec![y, last]
        }),
    );
    let at = [four(r), vec![decay(r)]].concat();
    add(
        &[Op::LinearAttention],
        at,
        Box::new(|v| {
            let (y, last) = v[0].linear_attention(&v[1], &v[2], &v[3], Some(&v[4]));
            vec![y, last]
        }),
    );
    for decays in [false, true] {
        let mut at = four(r);
        at.extend([r.array(&[2, 3, 2, 3], -1.0, 1.0), r.array(&[2, 2, 2, 3], -1.0, 1.0)]);
        at.extend(decays.then(|| decay(r)));
        add(
            &[Op::LinearAttentionGrad],
            at,
            Box::new(|v| {
                v[0].cx().push(Op::LinearAttentionGrad, Attrs::new(), &v.iter().collect::<Vec<_>>())
            }),
        );
    }
    let labels = |v: &[Var]| v[0].cx().array(DType::I64, &[4], &[2.0, -100.0, 0.0, 1.0]);
    add(
        &[Op::CrossEntropy],
        vec![r.array(&[4, 3], -2.0, 2.0)],
        Box::new(move |v| v[0].cx().push(Op::CrossEntropy, Attrs::new(), &[&v[0], &labels(v)])),
    );
    let at = vec![r.array(&[4, 3], -2.0, 2.0), r.array(&[4], 1.0, 2.0), r.array(&[], 0.5, 1.0)];
    add(
        &[Op::CrossEntropyGrad],
        at,
        Box::new(move |v| {
            v[0].cx().push(Op::CrossEntropyGrad, Attrs::new(), &[&v[0], &labels(v), &v[1], &v[2]])
        }),
    );
    let heads = |r: &mut Random, t: usize, h: usize| r.array(&[1, t, h, 4], -1.0, 1.0);
    let (at, angles) = (heads(r, 3, 2), [r.array(&[3, 2], -1.0, 1.0), r.array(&[3, 2], -1.0, 1.0)]);
    add(&[Op::Rope], [vec![at], angles.to_vec()].concat(), Box::new(|v| vec![v[0].rope(&v[1], &v[2])]));
    let at = vec![heads(r, 2, 4), heads(r, 2, 2), heads(r, 2, 2), heads(r, 5, 2), heads(r, 5, 2)];
    add(
        &[Op::KvAttention],
        at,
        Box::new(|v| {
            let position = v[0].cx().array(DType::I64, &[], &[1.0]);
            v[0].kv_attention([&v[1], &v[2]], [&v[3], &v[4]], None, &position, 0.7)
        }),
    );
    // No derivative flows through the quantisers themselves; the scales that divide are differentiated as given numbers.
    add(
        &[Op::Surrogate, Op::QuantizeActivations, Op::QuantizeWeights, Op::TernaryLinear],
        vec![r.array(&[3, 4], -1.0, 1.0), r.array(&[5, 4], -1.0, 1.0)],
        Box::new(|v| {
            let (q, s) = v[0].quantize_activations("half_even");
            let (t, sw) = v[1].quantize_weights();
            vec![q.ternary_linear(&s, &t, &sw).surrogate(&v[0].linear(&v[1]))]
        }),
    );
}

/// The matrix and the scalar memory: from nothing and from a state, with gates that are larger than the stabiliser and smaller.
fn memories(r: &mut Random, add: &mut impl FnMut(&[Op], Vec<Array<f64>>, F)) {
    let (b, t, h, k, v) = (2, 4, 2, 3, 2);
    let matrix = |r: &mut Random| {
        vec![
            r.array(&[b, t, h, k], -2.0, 2.0),
            r.array(&[b, t, h, k], -2.0, 2.0),
            r.array(&[b, t, h, v], -1.0, 1.0),
            r.array(&[b, t, h], -2.0, 2.0),
            r.array(&[b, t, h], -1.0, 3.0),
            r.array(&[b, h, k, v], -1.0, 1.0),
            r.array(&[b, h, k], -1.0, 1.0),
            r.array(&[b, h], -1.0, 1.0),
        ]
    };
    add(
        &[Op::Mlstm],
        matrix(r),
        Box::new(|x| {
            let (y, [c, n, m]) = x[0].mlstm(&x[1], &x[2], [&x[3], &x[4]], [&x[5], &x[6], &x[7]], 1e-2);
            vec![y, c, n, m]
        }),
    );
    let mut at = matrix(r);
    at.extend([
        r.array(&[b, t, h, v], -1.0, 1.0),
        r.array(&[b, t, h, v], -1.0, 1.0),
        r.array(&[b, h, k, v], -1.0, 1.0),
        r.array(&[b, h, k], -1.0, 1.0),
        r.array(&[b, h], -1.0, 1.0),
    ]);
    let attrs = attrs! { eps: Float(1e-2) };
    add(
        &[Op::MlstmGrad],
        at,
        Box::new(move |x| x[0].cx().push(Op::MlstmGrad, attrs.clone(), &x.iter().collect::<Vec<_>>())),
    );
    let (b, t, h, d) = (2, 3, 2, 2);
    let scalar = |r: &mut Random| {
        let state = |r: &mut Random, low: f64| r.array(&[b, h, d], low, 1.0);
        let (x, kernel) = (r.array(&[b, t, 4, h, d], -2.0, 2.0), r.array(&[h, 4, d, d], -1.0, 1.0));
        vec![x, kernel, state(r, -1.0), state(r, 0.5), state(r, -1.0), state(r, -1.0)]
    };
    add(
        &[Op::Slstm],
        scalar(r),
        Box::new(|x| {
            let (y, [c, n, m]) = x[0].slstm(&x[1], [&x[2], &x[3], &x[4], &x[5]]);
            vec![y, c, n, m]
        }),
    );
    let at = scalar(r);
    add(
        &[Op::Slstm],
        at[..2].to_vec(),
        Box::new(|x| {
            let zero = x[0].cx().full(&Type::new(DType::F64, [2, 2, 2]), 0.0);
            vec![x[0].slstm(&x[1], [&zero; 4]).0]
        }),
    );
    let mut at = scalar(r);
    at.extend([r.array(&[b, t, h, d], -1.0, 1.0), r.array(&[b, t, h, d], -1.0, 1.0)]);
    at.extend((0..3).map(|_| r.array(&[b, h, d], -1.0, 1.0)));
    add(
        &[Op::SlstmGrad],
        at,
        Box::new(|x| x[0].cx().push(Op::SlstmGrad, Attrs::new(), &x.iter().collect::<Vec<_>>())),
    );
}

/// Control flow.
pub(crate) fn regions(r: &mut Random, add: &mut impl FnMut(&[Op], Vec<Array<f64>>, F)) {
    for reverse in [false, true] {
        let at = vec![r.array(&[2], -1.0, 1.0), r.array(&[4, 2], -1.0, 1.0), r.array(&[2, 2], -1.0, 1.0)];
        add(
            &[Op::Scan],
            at,
            Box::new(move |v| {
                let (last, ys) = v[0].cx().scan(&[&v[0]], &[&v[1]], reverse, |h, x| {
                    let row = h[0].reshape(&dims(&[1, 2])).matmul(&v[2]).reshape(&dims(&[2]));
                    let next = (row + &x[0]).tanh();
                    (vec![next.clone()], vec![&next * &x[0]])
                });
                last.into_iter().chain(ys).collect()
            }),
        );
    }
    for flip in [1.0, -1.0] {
        add(
            &[Op::Cond],
            vec![r.array(&[3], 0.1, 1.0)],
            Box::new(move |v| {
                let total = v[0].sum_all() * flip;
                v[0].cx().cond(
                    &total.gt(&total.full_like(0.0)),
                    |_| vec![v[0].tanh(), v[0].sum_all()],
                    |_| vec![v[0].square(), v[0].sin().sum_all()],
                )
            }),
        );
    }
    add(
        &[Op::Call],
        vec![r.array(&[3], -1.0, 1.0), r.array(&[3], -1.0, 1.0)],
        Box::new(|v| {
            let cx = Cx::abstract_();
            let ty = Type::new(DType::F64, [3]);
            let (a, b) = (cx.input("a", ty.clone()), cx.input("b", ty));
            let (x, y) = ((&a * &b).sin(), a.exp());
            let callee = std::sync::Arc::new(cx.finish(&[("x", &x), ("y", &y)]).expect("a graph"));
            v[0].cx().call("f", &callee, &[&v[0], &v[1]])
        }),
    );
}
