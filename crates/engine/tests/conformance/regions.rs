//! Cases for control flow: scan, cond, while, call, nested and with captured values.

use crate::cases::{Cases, dims};
use axes::DType;
use graph::{Array, Cx, Dim, Type, Var};
use std::sync::Arc;

pub(crate) fn add(c: &mut Cases) {
    scans(c);
    branches(c);
    gradients(c);
}

fn scans(c: &mut Cases) {
    for reverse in [false, true] {
        for t in [0, 1, 2, 9] {
            c.add(format!("scan of {t} reverse {reverse}"), |m| {
                let (h0, xs, w) = (m.f(&[3, 4]), m.f(&[t, 3, 4]), m.f(&[4, 4]));
                let cx = m.cx.clone();
                let (last, ys) = cx.scan(&[&h0], &[&xs], reverse, |h, x| {
                    let next = (h[0].matmul(&w) + &x[0]).tanh();
                    (vec![next.clone()], vec![next.sum(&[1]), h[0].clone(), &x[0] * 2.0])
                });
                last.into_iter().chain(ys).collect()
            });
        }
        c.add(format!("scan of integers and truth values reverse {reverse}"), |m| {
            let count = m.given(Array::int(DType::I64, [], vec![3]));
            let ids = m.ids(&[6], 5);
            let table = m.f(&[5, 2]);
            let flags = m.input(DType::Bool, &[6], 0.0, 2.0);
            let cx = m.cx.clone();
            let (last, ys) = cx.scan(&[&count], &[&ids, &flags], reverse, |c, x| {
                let next = &c[0] + &x[0];
                (vec![next.clone()], vec![table.gather(&x[0]), x[1].not(), next])
            });
            last.into_iter().chain(ys).collect()
        });
    }
    c.add("scan that carries through and returns one value twice", |m| {
        let (a, b, xs) = (m.f(&[3]), m.f(&[3]), m.f(&[5, 3]));
        let cx = m.cx.clone();
        let (last, ys) = cx.scan(&[&a, &b], &[&xs], false, |c, x| {
            let sum = &c[0] + &x[0];
            // One carried value stays, one is both carried and stacked, a constant is stacked.
            (
                vec![sum.clone(), c[1].clone()],
                vec![sum.clone(), sum, c[1].clone(), x[0].clone(), c[0].full_like(2.5)],
            )
        });
        last.into_iter().chain(ys).collect()
    });
    c.add("scan that swaps", |m| {
        let (a, b) = (m.f(&[3]), m.f(&[3]));
        let cx = m.cx.clone();
        let (last, _) = cx
            .scan_n(&Dim::from(5), &[&a, &b], &[], false, |c, _| (vec![c[1].clone(), c[0].clone()], vec![]));
        last
    });
    c.add("scan without carried values", |m| {
        let (xs, w) = (m.f(&[4, 3]), m.f(&[3]));
        let cx = m.cx.clone();
        let (_, ys) = cx.scan(&[], &[&xs], false, |_, x| (vec![], vec![&x[0] * &w, x[0].sum_all()]));
        ys
    });
    c.add("scan in a scan in a scan", |m| {
        let (h0, xs, w) = (m.f(&[2]), m.f(&[3, 4, 5, 2]), m.f(&[2, 2]));
        let cx = m.cx.clone();
        let (last, ys) = cx.scan(&[&h0], &[&xs], false, |h, x| {
            let inner = h[0].cx().clone();
            let (h1, y1) = inner.scan(&[&h[0]], &[&x[0]], true, |h, x| {
                let inner = h[0].cx().clone();
                let (h2, y2) = inner.scan(&[&h[0]], &[&x[0]], false, |h, x| {
                    let next = (h[0].reshape(&dims(&[1, 2])).matmul(&w).reshape(&dims(&[2])) + &x[0]).tanh();
                    (vec![next.clone()], vec![&next * &w.slice_axis(0, 0, 1).reshape(&dims(&[2]))])
                });
                (h2, y2)
            });
            (h1, y1)
        });
        last.into_iter().chain(ys).collect()
    });
    c.add("scan whose body captures views and constants", |m| {
        let (x, xs) = (m.f(&[4, 3]), m.f(&[3, 3]));
        let row = x.slice_axis(0, 2, 3).reshape(&dims(&[3]));
        let fixed = m.cx.array(DType::F32, &[3], &[1.0, -2.0, 0.5]);
        let hidden = &row * 3.0;
        let cx = m.cx.clone();
        let (last, ys) = cx.scan(&[&hidden], &[&xs], false, |c, x| {
            let y = &c[0] * &row + &fixed * &x[0];
            (vec![y.clone()], vec![y + &hidden])
        });
        // Operands of the scan are used again behind it.
        vec![last[0].clone(), ys[0].clone(), &hidden + &last[0], row]
    });
    c.add("sequence that is a view", |m| {
        let x = m.f(&[6, 2, 3]);
        let part = x.slice_axis(0, 2, 5);
        let cx = m.cx.clone();
        let zero = m.cx.full(&Type::new(DType::F32, [2, 3]), 0.0);
        let (last, ys) = cx.scan(&[&zero], &[&part], true, |c, x| {
            let s = &c[0] + &x[0];
            (vec![s.clone()], vec![s])
        });
        vec![last[0].clone(), ys[0].slice_axis(0, 1, 2), ys[0].reshape(&dims(&[18]))]
    });
}

fn branches(c: &mut Cases) {
    for taken in [0, 1] {
        c.add(format!("cond {taken}"), |m| {
            let flag = m.given(Array::int(DType::Bool, [], vec![taken]));
            let (x, y) = (m.f(&[3, 4]), m.f(&[3, 4]));
            let cx = m.cx.clone();
            let out = cx.cond(
                &flag,
                |_| vec![x.exp(), y.clone(), x.sum(&[0])],
                |_| vec![&x * &y, x.clone(), (&y * 2.0).sum(&[0])],
            );
            let nested = cx.cond(
                &flag.not(),
                |inner| inner.cond(&flag, |_| vec![x.full_like(1.0)], |_| vec![x.tanh()]),
                |inner| inner.cond(&flag, |_| vec![&out[0] + 1.0], |_| vec![x.full_like(9.0)]),
            );
            out.into_iter().chain(nested).collect()
        });
    }
    c.add("cond inside a scan", |m| {
        let (xs, h0) = (m.f(&[7, 3]), m.f(&[3]));
        let cx = m.cx.clone();
        let (last, ys) = cx.scan(&[&h0], &[&xs], false, |h, x| {
            let inner = h[0].cx().clone();
            let positive = x[0].sum_all().gt(&x[0].sum_all().full_like(0.0));
            let next = inner.cond(&positive, |_| vec![&h[0] + &x[0]], |_| vec![&h[0] * 0.5]);
            (next.clone(), next)
        });
        last.into_iter().chain(ys).collect()
    });
    c.add("while", |m| {
        let (x, w) = (m.f(&[4]), m.f(&[4]));
        let count = m.given(Array::int(DType::I64, [], vec![0]));
        let limit = m.given(Array::int(DType::I64, [], vec![6]));
        let cx = m.cx.clone();
        let out = cx.while_(
            &[&count, &x],
            |c| c[0].lt(&limit),
            |c| vec![&c[0] + &c[0].full_like(1.0), (&c[1] * 0.5 + &w).tanh()],
        );
        let never =
            cx.while_(&[&x], |c| c[0].sum_all().gt(&c[0].sum_all().full_like(1e9)), |c| vec![&c[0] * 2.0]);
        let swap = cx.while_(
            &[&count, &x, &w],
            |c| c[0].lt(&limit),
            |c| vec![&c[0] + &c[0].full_like(2.0), c[2].clone(), c[1].clone()],
        );
        out.into_iter().chain(never).chain(swap).collect()
    });
    c.add("call", |m| {
        let inner = Cx::abstract_();
        let a = inner.input("a", Type::new(DType::F32, [3]));
        let b = inner.input("b", Type::new(DType::F32, [3]));
        let (sum, weighted) = (&a + &b, (&a * &b).silu());
        let callee =
            Arc::new(inner.finish(&[("sum", &sum), ("weighted", &weighted), ("a", &a)]).expect("a graph"));
        let (x, y) = (m.f(&[3]), m.f(&[3]));
        let cx = m.cx.clone();
        let one = cx.call("f", &callee, &[&x, &y]);
        let two = cx.call("f", &callee, &[&one[0], &x]);
        let (last, _) = cx.scan_n(&Dim::from(3), &[&x], &[], false, |c, _| {
            let made = c[0].cx().call("f", &callee, &[&c[0], &y]);
            (vec![made[1].clone()], vec![])
        });
        one.into_iter().chain(two).chain(last).collect()
    });
}

/// Derivatives of control flow, as training uses it.
fn gradients(c: &mut Cases) {
    for reverse in [false, true] {
        c.add(format!("gradient of a scan reverse {reverse}"), |m| {
            let (h0, xs, w) = (m.f(&[2, 3]), m.f(&[6, 2, 3]), m.f(&[3, 3]));
            let loss = |v: &[Var]| {
                let cx = v[0].cx().clone();
                let (last, ys) = cx.scan(&[&v[0]], &[&v[1]], reverse, |h, x| {
                    let next = (h[0].matmul(&v[2]) + &x[0]).tanh();
                    (vec![next.clone()], vec![next.square()])
                });
                ys[0].sum_all() + last[0].sum_all()
            };
            let (y, g) = furnace::grads(loss, &[&h0, &xs, &w]);
            std::iter::once(y).chain(g).collect()
        });
    }
    c.add("gradient of cond", |m| {
        let flag = m.given(Array::int(DType::Bool, [], vec![1]));
        let x = m.f(&[5]);
        let (y, g) = furnace::grads(
            |v| {
                v[0].cx().cond(&flag, |_| vec![v[0].tanh().sum_all()], |_| vec![v[0].square().sum_all()])[0]
                    .clone()
            },
            &[&x],
        );
        vec![y, g[0].clone()]
    });
    c.add("gradient of a quantised projection", |m| {
        let (x, w, n) = (m.f(&[2, 5, 8]), m.f(&[6, 8]), m.input(DType::F32, &[8], 0.5, 1.5));
        let loss = |v: &[Var]| {
            let y = v[0].rms_norm(&v[2], 1e-6);
            let (q, s) = y.quantize_activations("half_away");
            let y_q = (q.convert(DType::F32) / s.broadcast_last(&Dim::from(8))).surrogate(&y);
            let (t, s_w) = v[1].quantize_weights();
            let w_q = (t.convert(DType::F32) / &s_w).surrogate(&v[1]);
            y_q.linear(&w_q).square().sum_all()
        };
        let (y, g) = furnace::grads(loss, &[&x, &w, &n]);
        std::iter::once(y).chain(g).collect()
    });
}
