//! Cases for the composite ops: quantisers, ternary products, norms, recurrences, the loss.

use crate::cases::{Cases, Maker, dims};
use axes::DType;
use graph::{Array, Attrs, Dim, Op, Var};

pub(crate) fn add(c: &mut Cases) {
    quantisers(c);
    products(c);
    norms(c);
    recurrences(c);
    losses(c);
    attention(c);
    blocks(c);
}

/// Weights in the block formats: products, and rows of a table that is a product's matrix too.
fn blocks(c: &mut Cases) {
    for format in axes::BlockFormat::ALL {
        for (n, rows, columns) in [(1, 5, 256), (3, 2, 768), (35, 1, format.block().next_multiple_of(64))] {
            c.add(format!("{format} {n} x {rows} x {columns}"), |m| {
                let x = m.f(&[n, columns]);
                let numbers: Vec<f32> =
                    (0..rows * columns).map(|_| m.random.float(-1.0, 1.0) as f32).collect();
                let bytes = barewire::blocks::encode(format, columns, &numbers).expect("finite numbers");
                let shape = [rows, bytes.len() / rows];
                let w = m.given(Array::int(DType::U8, shape, bytes.into_iter().map(i64::from).collect()));
                let ids = m.ids(&[2, 3], rows);
                let few = m.input(DType::I32, &[2], 0.0, rows as f64);
                vec![
                    x.block_linear(&w, format),
                    ids.block_rows(&w, format, columns),
                    few.block_rows(&w, format, columns).block_linear(&w, format),
                ]
            });
        }
    }
}

fn quantisers(c: &mut Cases) {
    for (rows, cols) in [(1, 1), (5, 7), (33, 64), (3, 352)] {
        for rounding in ["half_away", "half_even"] {
            c.add(format!("quantize {rows} x {cols} {rounding}"), |m| {
                let x = m.f(&[rows, cols]);
                let (q, s) = x.quantize_activations(rounding);
                let fake = q.convert(DType::F32) / s.broadcast_last(&Dim::from(cols));
                vec![q, s, fake.surrogate(&x)]
            });
        }
        c.add(format!("quantize weights {rows} x {cols}"), |m| {
            let w = m.f(&[rows, cols]);
            let (t, s) = w.quantize_weights();
            let fake = t.convert(DType::F32) / &s;
            vec![t, s, fake]
        });
        c.add(format!("ternary {rows} x {cols}"), |m| {
            let x = m.f(&[2, rows, cols]);
            let w = m.f(&[9, cols]);
            let (q, sx) = x.quantize_activations("half_even");
            let (t, sw) = w.quantize_weights();
            let given = m.input(DType::Trit, &[9, cols], -1.0, 2.0);
            vec![q.ternary_linear(&sx, &t, &sw), q.ternary_linear(&sx, &given, &sw)]
        });
    }
    c.add("quantize rows without a direction", |m| {
        // All zeros (the floor of the scale), one spike, ties in both directions.
        let x = m.given(Array::from_f64(
            DType::F32,
            [4, 4],
            &[0.0, 0.0, 0.0, 0.0, 100.0, 1e-7, 0.0, -1e-7, 127.0, 0.5, 1.5, -2.5, -127.0, -0.5, 2.5, 63.5],
        ));
        let (a, sa) = x.quantize_activations("half_away");
        let (b, sb) = x.quantize_activations("half_even");
        let zero = m.cx.full(&x.ty(), 0.0).quantize_weights();
        let (t, s) = x.quantize_weights();
        vec![a, sa, b, sb, t, s, zero.0, zero.1]
    });
    c.add("quantize other dtypes", |m| {
        let x = m.input(DType::F64, &[3, 8], -1.0, 1.0);
        let y = m.input(DType::BF16, &[3, 8], -1.0, 1.0);
        let (a, sa) = x.quantize_activations("half_even");
        let (b, _) = y.quantize_activations("half_away");
        vec![a, sa, b]
    });
}

/// The backward products of a projection: gradients times trits, and times int8 activations.
fn products(c: &mut Cases) {
    for (m, k) in [(1, 1), (9, 7), (4, 256), (130, 33)] {
        c.add(format!("gradient times trits {m} x {k}"), |maker| {
            let (dy, w) = (maker.f(&[2, 5, m]), maker.f(&[m, k]));
            let (t, s) = w.quantize_weights();
            let (q, sx) = maker.f(&[3, k]).quantize_activations("half_even");
            let w_q = t.convert(DType::F32) / &s;
            vec![dy.dot_general(&w_q, (&[2], &[0]), (&[], &[])), q.ternary_linear(&sx, &t, &s)]
        });
        c.add(format!("gradient times activations {m} x {k}"), |maker| {
            let (dy, x) = (maker.f(&[2, 5, m]), maker.f(&[2, 5, k]));
            let (q, s) = x.quantize_activations("half_away");
            let y_q = q.convert(DType::F32) / s.broadcast_last(&Dim::from(k));
            vec![dy.dot_general(&y_q, (&[0, 1], &[0, 1]), (&[], &[])), q, s]
        });
    }
    c.add("products that are not of that kind", |m| {
        let (dy, w) = (m.f(&[4, 6]), m.f(&[6, 3]));
        let (t, s) = w.quantize_weights();
        let w_q = t.convert(DType::F32) / &s;
        // Read twice, contracted over the columns, from the left.
        let (dz, other) = (m.f(&[4, 3]), m.f(&[6, 3]).quantize_weights());
        let other = other.0.convert(DType::F32) / &other.1;
        let left = m.f(&[6, 3]).quantize_weights();
        let left = left.0.convert(DType::F32) / &left.1;
        vec![
            dy.dot_general(&w_q, (&[1], &[0]), (&[], &[])),
            w_q,
            dz.dot_general(&other, (&[1], &[1]), (&[], &[])),
            left.dot_general(&dy, (&[0], &[1]), (&[], &[])),
        ]
    });
}

fn norm_all(m: &mut Maker, shape: &[usize], dtype: DType) -> Vec<Var> {
    let d = shape[shape.len() - 1];
    // Over one feature the gradient is what eps leaves of it.
    let eps = if d == 1 { 0.5 } else { 1e-6 };
    let x = m.input(dtype, shape, -2.0, 2.0);
    let w = m.input(dtype, &[d], 0.5, 1.5);
    let dy = m.input(dtype, shape, -1.0, 1.0);
    let y = m.cx.push(Op::RmsNorm, graph::attrs! { eps: Float(eps) }, &[&x, &w]);
    let g = m.cx.push(Op::RmsNormGrad, Attrs::new(), &[&x, &w, &y[1], &dy]);
    vec![y[0].clone(), y[1].clone(), g[0].clone(), g[1].clone()]
}

fn norms(c: &mut Cases) {
    for shape in [&[5][..], &[4, 1], &[33, 8], &[2, 3, 130], &[1, 1, 352]] {
        c.add(format!("rms_norm {shape:?}"), |m| norm_all(m, shape, DType::F32));
    }
    for dtype in [DType::F64, DType::BF16] {
        c.add(format!("rms_norm {dtype:?}"), |m| norm_all(m, &[3, 6], dtype));
    }
    c.add("rms_norm then quantize", |m| {
        let (x, w) = (m.f(&[2, 17, 24]), m.input(DType::F32, &[24], 0.5, 1.5));
        let y = x.rms_norm(&w, 1e-5);
        let both: Vec<(Var, Var)> = ["half_away", "half_even"].map(|r| y.quantize_activations(r)).to_vec();
        let last = Dim::from(24);
        let fake = |q: &Var, s: &Var| q.convert(DType::F32) / s.broadcast_last(&last);
        let mut out: Vec<Var> = both.iter().map(|(q, s)| fake(q, s)).collect();
        // Once with the normalised value used elsewhere, once without.
        let z = (&x * 0.5).rms_norm(&w, 1e-6);
        let (q, s) = z.quantize_activations("half_away");
        out.push(fake(&q, &s));
        out.push(q);
        out.push(&y * 2.0);
        out
    });
}

fn recurrences(c: &mut Cases) {
    // The last shapes are cut over time, too.
    for (b, t, d) in [(1, 1, 1), (2, 7, 5), (3, 16, 600), (2, 33, 64), (1, 1024, 3), (2, 1500, 17)] {
        for reverse in [false, true] {
            c.add(format!("linear_scan {b} x {t} x {d} reverse {reverse}"), |m| {
                let f = m.input(DType::F32, &[b, t, d], 0.0, 1.0);
                let (x, h0) = (m.f(&[b, t, d]), m.f(&[b, d]));
                let h = f.linear_scan(&x, &h0, reverse);
                let last = h.slice_axis(1, t - 1, t).reshape(&dims(&[b, d]));
                let dh = m.f(&[b, t, d]);
                let attrs = graph::attrs! { reverse: Bool(reverse) };
                let g = m.cx.push(Op::LinearScanGrad, attrs, &[&f, &h0, &h, &dh]);
                vec![h.clone(), last, h.silu(), g[0].clone(), g[1].clone(), g[2].clone()]
            });
        }
    }
    // Whole and broken blocks of channels, more than one group of them, few and many states, ragged chunks.
    for (b, t, d, n) in
        [(1, 1, 1, 1), (2, 7, 5, 3), (1, 33, 16, 16), (2, 20, 150, 4), (1, 5, 40, 8), (3, 64, 17, 2)]
    {
        c.add(format!("selective_scan {b} x {t} x {d} x {n}"), |m| {
            let x = m.f(&[b, t, d]);
            let dt = m.input(DType::F32, &[b, t, d], 0.0, 0.7);
            let a = m.input(DType::F32, &[d, n], -2.0, 0.0);
            let (bb, cc, h0) = (m.f(&[b, t, n]), m.f(&[b, t, n]), m.f(&[b, d, n]));
            let y = m.cx.push(Op::SelectiveScan, Attrs::new(), &[&x, &dt, &a, &bb, &cc, &h0]);
            let (dy, dlast) = (m.f(&[b, t, d]), m.f(&[b, d, n]));
            let operands = [&x, &dt, &a, &bb, &cc, &y[2], &dy, &dlast];
            let g = m.cx.push(Op::SelectiveScanGrad, Attrs::new(), &operands);
            y[..3].iter().chain(&g[..6]).cloned().collect()
        });
    }
    // Heads in groups, states of whole and broken vectors, ragged chunks.
    for (b, t, h, p, g, n) in [
        (1, 1, 1, 1, 1, 1),
        (2, 7, 4, 3, 2, 5),
        (1, 33, 6, 4, 3, 16),
        (2, 20, 2, 8, 1, 24),
        (1, 5, 3, 2, 3, 40),
    ] {
        c.add(format!("ssd {b} x {t} x {h} x {p}, {g} groups of {n}"), |m| {
            let x = m.f(&[b, t, h, p]);
            let dt = m.input(DType::F32, &[b, t, h], 0.0, 0.7);
            let a = m.input(DType::F32, &[h], -2.0, 0.0);
            let (bb, cc, h0) = (m.f(&[b, t, g, n]), m.f(&[b, t, g, n]), m.f(&[b, h, p, n]));
            let y = m.cx.push(Op::Ssd, Attrs::new(), &[&x, &dt, &a, &bb, &cc, &h0]);
            let (dy, dlast) = (m.f(&[b, t, h, p]), m.f(&[b, h, p, n]));
            let grads = m.cx.push(Op::SsdGrad, Attrs::new(), &[&x, &dt, &a, &bb, &cc, &h0, &dy, &dlast]);
            y.iter().chain(&grads).cloned().collect()
        });
    }
    // Steps, a broken chunk, whole ones, more than one span of them; features and columns that are no multiples.
    for (b, t, h, n, d) in [
        (1, 1, 1, 1, 1),
        (2, 5, 3, 4, 7),
        (1, 33, 2, 8, 9),
        (2, 64, 1, 16, 17),
        (1, 330, 2, 5, 6),
        (2, 129, 2, 24, 33),
    ] {
        for decays in [false, true] {
            c.add(format!("linear_attention {b} x {t} x {h} x {n} x {d}, decays: {decays}"), |m| {
                let (q, k) = (m.f(&[b, t, h, n]), m.f(&[b, t, h, n]));
                let (v, s0) = (m.f(&[b, t, h, d]), m.f(&[b, h, n, d]));
                let decay = decays.then(|| m.input(DType::F32, &[b, t, h], -0.6, 0.0));
                let (y, last) = q.linear_attention(&k, &v, &s0, decay.as_ref());
                let (dy, dlast) = (m.f(&[b, t, h, d]), m.f(&[b, h, n, d]));
                let mut operands = vec![&q, &k, &v, &s0, &dy, &dlast];
                operands.extend(decay.as_ref());
                let made = m.cx.push(Op::LinearAttentionGrad, Attrs::new(), &operands);
                [vec![y, last], made].concat()
            });
        }
    }
    // Short kernels, one of the sequence's length, a longer one; broken blocks of channels; a prime length.
    for (b, t, d, taps) in [
        (1, 1, 1, 1),
        (2, 7, 5, 7),
        (1, 40, 9, 5),
        (2, 64, 8, 64),
        (1, 97, 17, 130),
        (3, 33, 3, 31),
        (1, 500, 2, 500),
    ] {
        for (reverse, dtype) in [(false, DType::F32), (true, DType::F32), (true, DType::F64)] {
            c.add(format!("long_convolution {b} x {t} x {d}, {taps} taps, {reverse}, {dtype:?}"), |m| {
                let shape = [b, t, d];
                let k = m.input(dtype, &[d, taps], -1.0, 1.0);
                let (x, z) = (m.input(dtype, &shape, -1.0, 1.0), m.input(dtype, &shape, -1.0, 1.0));
                vec![x.long_convolution(&k, reverse), x.long_correlation(&z, &taps.into())]
            });
        }
    }
    c.add("linear_scan F64", |m| {
        let f = m.input(DType::F64, &[2, 5, 3], 0.0, 1.0);
        let (x, h0) = (m.input(DType::F64, &[2, 5, 3], -1.0, 1.0), m.input(DType::F64, &[2, 3], -1.0, 1.0));
        vec![f.linear_scan(&x, &h0, false)]
    });
    c.add("linear_scan and its gradients", |m| {
        let (b, t, d) = (2, 9, 6);
        let f = m.input(DType::F32, &[b, t, d], 0.0, 1.0);
        let (x, h0, ct) = (m.f(&[b, t, d]), m.f(&[b, d]), m.f(&[b, t, d]));
        let mut out = vec![];
        for reverse in [false, true] {
            let (h, pull) = furnace::vjp(|v| vec![v[0].linear_scan(&v[1], &v[2], reverse)], &[&f, &x, &h0]);
            out.extend(h);
            out.extend(pull(std::slice::from_ref(&ct)));
            // The way a model uses it: zero state.
            let zero = h0.full_like(0.0);
            let (_, pull) = furnace::vjp(|v| vec![v[0].linear_scan(&v[1], &zero, reverse)], &[&f, &x]);
            out.extend(pull(std::slice::from_ref(&ct)));
        }
        out
    });
}

/// Streaming, whole and broken chunks, more chunks than are kept at a time.
pub(crate) fn memories(c: &mut Cases) {
    for (b, t, h, k, v) in
        [(1, 1, 1, 1, 1), (2, 3, 2, 5, 3), (1, 37, 2, 16, 8), (2, 20, 1, 3, 9), (1, 600, 1, 4, 4)]
    {
        c.add(format!("mlstm {b} x {t} x {h} x {k} x {v}"), |m| {
            let (q, key, x) = (m.f(&[b, t, h, k]), m.f(&[b, t, h, k]), m.f(&[b, t, h, v]));
            let i = m.input(DType::F32, &[b, t, h], -2.0, 2.0);
            let f = m.input(DType::F32, &[b, t, h], -1.0, 4.0);
            let (cc, n, s) = (m.f(&[b, h, k, v]), m.f(&[b, h, k]), m.f(&[b, h]));
            let operands = [&q, &key, &x, &i, &f, &cc, &n, &s];
            let attrs = graph::attrs! { eps: Float(1e-3) };
            let y = m.cx.push(Op::Mlstm, attrs.clone(), &operands);
            let (dh, dc, dn, dm) = (m.f(&[b, t, h, v]), m.f(&[b, h, k, v]), m.f(&[b, h, k]), m.f(&[b, h]));
            let operands = [&operands[..], &[&y[0], &dh, &dc, &dn, &dm]].concat();
            let g = m.cx.push(Op::MlstmGrad, attrs, &operands);
            y[..4].iter().chain(&g[..8]).cloned().collect()
        });
    }
    for (b, t, h, d) in [(1, 1, 1, 1), (2, 7, 2, 5), (1, 33, 3, 16), (3, 12, 1, 24)] {
        for fresh in [false, true] {
            c.add(format!("slstm {b} x {t} x {h} x {d} fresh {fresh}"), |m| {
                let x = m.input(DType::F32, &[b, t, 4, h, d], -2.0, 2.0);
                let r = m.input(DType::F32, &[h, 4, d, d], -0.3, 0.3);
                let shape = [b, h, d];
                let mut state =
                    [m.f(&shape), m.input(DType::F32, &shape, 0.5, 1.0), m.f(&shape), m.f(&shape)];
                if fresh {
                    state = state.map(|v| v.full_like(0.0));
                }
                let operands = [&x, &r, &state[0], &state[1], &state[2], &state[3]];
                let y = m.cx.push(Op::Slstm, Attrs::new(), &operands);
                let (dh, dc, dn, dm) = (m.f(&[b, t, h, d]), m.f(&shape), m.f(&shape), m.f(&shape));
                let operands = [&operands[..], &[&y[0], &dh, &dc, &dn, &dm]].concat();
                let g = m.cx.push(Op::SlstmGrad, Attrs::new(), &operands);
                y[..4].iter().chain(&g[..6]).cloned().collect()
            });
        }
    }
}

fn losses(c: &mut Cases) {
    for (name, labels) in [
        ("all kept", vec![0, 3, 6, 2, 1]),
        ("some ignored", vec![-100, 3, -100, 2, 6]),
        ("one kept", vec![-100, -100, 5, -100, -100]),
        ("all ignored", vec![-100; 5]),
    ] {
        c.add(format!("cross_entropy {name}"), |m| {
            let x = m.input(DType::F32, &[5, 7], -6.0, 6.0);
            let l = m.labels(&labels);
            let g = m.f(&[]);
            let y = m.cx.push(Op::CrossEntropy, Attrs::new(), &[&x, &l]);
            let d = m.cx.push1(Op::CrossEntropyGrad, Attrs::new(), &[&x, &l, &y[1], &g]);
            vec![y[0].clone(), y[1].clone(), d]
        });
    }
    c.add("cross_entropy of many rows", |m| {
        let x = m.input(DType::F32, &[67, 259], -9.0, 9.0);
        let l = m.ids(&[67], 259);
        vec![x.cross_entropy(&l), x.softmax_last()]
    });
    c.add("cross_entropy F64", |m| {
        let x = m.input(DType::F64, &[4, 5], -2.0, 2.0);
        let l = m.ids(&[4], 5);
        vec![x.cross_entropy(&l)]
    });
}

/// Queries, new rows, caches and what the op gives, for caches of floats or of i8.
pub(crate) fn attention_of(
    m: &mut Maker,
    sizes: [usize; 6],
    position: i64,
    bytes: bool,
    dtype: DType,
) -> Vec<Var> {
    let [b, t, s, h, g, d] = sizes;
    let wide = |m: &mut Maker, shape: &[usize]| m.input(dtype, shape, -2.0, 2.0);
    let (q, k, v) = (wide(m, &[b, t, h, d]), wide(m, &[b, t, g, d]), wide(m, &[b, t, g, d]));
    let cache = [0; 2].map(|_| match bytes {
        true => m.input(DType::I8, &[b, s, g, d], -127.0, 128.0),
        false => wide(m, &[b, s, g, d]),
    });
    let at = m.given(Array::int(DType::I64, [], vec![position]));
    let scales = [0; 2].map(|_| m.input(dtype, &[b, s, g], 0.0, 0.01));
    let scales = bytes.then_some([&scales[0], &scales[1]]);
    q.kv_attention([&k, &v], [&cache[0], &cache[1]], scales, &at, 1.0 / (d as f64).sqrt())
}

fn attention(c: &mut Cases) {
    for (sizes, position) in [
        ([1, 1, 1, 1, 1, 2], 0),
        ([1, 1, 9, 4, 2, 6], 8),
        ([2, 3, 7, 4, 2, 16], 3),
        ([1, 5, 200, 6, 1, 32], 130),
        ([2, 37, 130, 4, 4, 34], 64),
        ([1, 130, 130, 2, 1, 64], 0),
    ] {
        for bytes in [false, true] {
            let name = format!("attention {sizes:?} at {position}, {}", if bytes { "i8" } else { "f32" });
            c.add(name, |m| attention_of(m, sizes, position, bytes, DType::F32));
        }
    }
    c.add("attention F64", |m| attention_of(m, [1, 2, 5, 4, 2, 4], 2, true, DType::F64));
    for (b, t, h, d) in [(1, 1, 1, 2), (2, 3, 5, 6), (1, 40, 4, 128)] {
        c.add(format!("rope {t} x {h} x {d}"), |m| {
            let (cos, sin) = (m.f(&[t, d / 2]), m.f(&[t, d / 2]));
            vec![m.f(&[b, t, h, d]).rope(&cos, &sin)]
        });
    }
}
