//! Well-formed random graphs over most of the op table, with control flow, from a list of numbers.
//!
//! The numbers are choices: each step reads a few and picks an op and operands that fit. A shorter list gives a smaller
//! graph, so that proptest shrinks a failure by itself.

use axes::DType;
use graph::{Array, Attrs, Cx, Dim, Graph, Op, Type, Var, attrs, interp};
use proptest::prelude::*;
use std::sync::Arc;

/// Choices for some steps.
pub(crate) fn choices() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(any::<u16>(), 4..120)
}

struct Choices<'a>(std::slice::Iter<'a, u16>);

impl Choices<'_> {
    fn next(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |x| *x as usize % n.max(1))
    }
    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.next(list.len())].clone()
    }
}

const INPUTS: [(&str, DType, &[&str]); 6] = [
    ("a", DType::F32, &["B", "3"]),
    ("b", DType::F32, &["B", "3"]),
    ("m", DType::F32, &["3", "4"]),
    ("h", DType::BF16, &["4"]),
    ("i", DType::I64, &["B"]),
    ("weird name\n\"x\"", DType::F64, &["B", "2", "3"]),
];

/// The graph of these choices.
pub(crate) fn graph(choices: &[u16]) -> Graph {
    let mut c = Choices(choices.iter());
    let cx = Cx::abstract_();
    let mut pool: Vec<Var> = INPUTS
        .iter()
        .map(|(name, dtype, dims)| {
            cx.input(name, Type { dtype: *dtype, shape: dims.iter().map(|d| dim(d)).collect() })
        })
        .collect();
    let mut step = 0;
    while c.0.len() > 0 {
        let scope = ["", "layers.0", "layers.1.attn", "a b\"c"][step % 4];
        let made = cx.scope(scope, || grow(&cx, &mut c, &pool, 0));
        pool.extend(made.into_iter().filter(|v| v.ty().rank() <= 4));
        if step % 5 == 4 {
            cx.tap(&format!("tap.{step}"), &pool[pool.len() - 1]);
        }
        step += 1;
    }
    let outputs: Vec<(String, Var)> =
        pool.iter().rev().take(4).enumerate().map(|(k, v)| (format!("y.{k}"), v.clone())).collect();
    let outputs: Vec<(&str, &Var)> = outputs.iter().map(|(n, v)| (n.as_str(), v)).collect();
    cx.finish(&outputs).expect("the generator makes well-formed graphs")
}

fn dim(text: &str) -> Dim {
    Dim::parse(text).unwrap()
}

/// Values for the inputs of [`graph`], B = 2.
pub(crate) fn inputs(seed: u64) -> Vec<Array<f64>> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64 * 4.0 - 2.0
    };
    INPUTS
        .iter()
        .map(|(_, dtype, dims)| {
            let shape: Vec<usize> = dims.iter().map(|d| d.parse().unwrap_or(2)).collect();
            let n: usize = shape.iter().product();
            let values: Vec<f64> =
                (0..n).map(|_| if dtype.is_float() { next() } else { (next() + 2.0) * 0.75 }).collect();
            Array::from_f64(*dtype, shape, &values)
        })
        .collect()
}

/// A value of the type of `x`: one of the pool, or a constant.
fn like(c: &mut Choices, pool: &[Var], x: &Var) -> Var {
    let fits: Vec<Var> = pool.iter().filter(|v| v.ty() == x.ty()).cloned().collect();
    let constant = [0.0, 1.0, -1.0, 2.0, -0.0, 0.1, f64::INFINITY, f64::NAN];
    if c.next(3) == 0 || fits.is_empty() { x.full_like(c.of(&constant)) } else { c.of(&fits) }
}

fn grow(cx: &Cx, c: &mut Choices, pool: &[Var], depth: usize) -> Vec<Var> {
    let of = |c: &mut Choices, f: &dyn Fn(&Type) -> bool| {
        let fits: Vec<Var> = pool.iter().filter(|v| f(&v.ty())).cloned().collect();
        (!fits.is_empty()).then(|| c.of(&fits))
    };
    let float = |c: &mut Choices| of(c, &|t| t.dtype.is_float()).unwrap_or_else(|| cx.scalar(1.5));
    let ranked = |c: &mut Choices| of(c, &|t| t.dtype.is_float() && t.rank() > 0);
    let push = |op: Op, attrs: Attrs, inputs: &[&Var]| cx.push1(op, attrs, inputs);
    match c.next(24) {
        0..=3 => {
            use Op::*;
            let ops = [
                Negate,
                Exp,
                Log,
                Sqrt,
                Tanh,
                Sine,
                Cosine,
                Abs,
                Sign,
                Floor,
                RoundHalfEven,
                RoundHalfAway,
                Sigmoid,
                Silu,
                Relu,
                Negate,
                StopGradient,
            ];
            let op = c.of(&ops);
            vec![push(op, Attrs::new(), &[&float(c)])]
        }
        4..=7 => {
            use Op::*;
            let x = float(c);
            let y = like(c, pool, &x);
            let op = c.of(&[
                Add, Subtract, Multiply, Divide, Power, Maximum, Minimum, Surrogate, Add, Multiply, Multiply,
            ]);
            vec![push(op, Attrs::new(), if c.next(2) == 0 { [&x, &y] } else { [&y, &x] }.as_slice())]
        }
        8 => {
            let x = float(c);
            let (y, z) = (like(c, pool, &x), like(c, pool, &x));
            let how = c.of(&["lt", "le", "gt", "ge", "eq", "ne"]);
            let p = push(Op::Compare, attrs! { how: Str(how.to_string()) }, &[&x, &y]);
            let q = x.gt(&z);
            let p = c.of(&[p.and(&q), p.or(&q), p.not(), p.not().not(), p]);
            vec![p.select(&y, &z)]
        }
        9 => {
            let x = float(c);
            let to =
                c.of(&[DType::F32, DType::F64, DType::BF16, DType::F16, DType::I32, DType::I8, DType::Bool]);
            vec![x.convert(to), x.convert(to).convert(x.dtype())]
        }
        10 => {
            let Some(x) = ranked(c) else { return vec![] };
            let r = x.ty().rank();
            let by = c.next(r);
            let perm: Vec<usize> = (0..r).map(|a| (a + by) % r).collect();
            vec![x.transpose(&perm)]
        }
        11 => {
            let Some(x) = ranked(c) else { return vec![] };
            let axis = c.next(x.ty().rank());
            vec![
                c.of(&[x.sum(&[axis]), x.max_over(&[axis]), x.min_over(&[axis]), x.sum_all(), x.mean_all()]),
                x.argmax(axis),
            ]
        }
        12 => {
            let x = float(c);
            let wide = x.broadcast_last(&c.of(&[Dim::from(2), Dim::from("B"), Dim::from(3)]));
            let tall = Dim::from(2);
            let dims: Vec<Dim> = std::iter::once(tall).chain(wide.shape()).collect();
            let map: Vec<usize> = (1..dims.len()).collect();
            vec![wide.broadcast(&dims, &map), wide]
        }
        13 => {
            let Some(x) = ranked(c) else { return vec![] };
            let axis = c.next(x.ty().rank());
            let n = x.shape()[axis].clone();
            let end = &n - &Dim::from(c.next(2));
            let sizes: Vec<Dim> = x.shape().iter().map(|_| Dim::from(c.next(2))).collect();
            let none: Vec<Dim> = x.shape().iter().map(|_| Dim::from(0)).collect();
            vec![
                x.slice_axis(axis, 0, end),
                x.pad(&sizes, &none, c.of(&[0.0, 1.5])),
                x.reverse(axis).reverse(axis),
            ]
        }
        14 => {
            let Some(x) = ranked(c) else { return vec![] };
            let y = like(c, pool, &x);
            let axis = c.next(x.ty().rank());
            let total: Dim = x.shape().iter().fold(Dim::from(1), |a, d| &a * d);
            vec![Var::concatenate(&[&x, &y], axis), x.reshape(&[Dim::from(1), total]), x.reverse(axis)]
        }
        15 => {
            let values: Vec<f64> = (0..6).map(|k| c.next(9) as f64 * 0.3 - k as f64).collect();
            let dtype = c.of(&[DType::F32, DType::F64, DType::BF16]);
            let nan = cx.array(DType::F64, &[3], &[f64::NAN, -0.0, f64::NEG_INFINITY]);
            vec![cx.array(dtype, &[2, 3], &values), nan]
        }
        16 => {
            let Some(x) =
                of(c, &|t| t.dtype == DType::F32 && t.rank() > 0 && t.shape[t.rank() - 1] == Dim::from(3))
            else {
                return vec![];
            };
            let w = cx.array(DType::F32, &[3], &[1.0, 0.5, -2.0]);
            let trits = cx.array(DType::F32, &[2, 3], &[1.0, 0.2, -2.0, 0.0, 0.7, -0.1]);
            let (q, s) = x.quantize_activations(c.of(&["half_even", "half_away"]));
            let (t, sw) = trits.quantize_weights();
            let norm = cx.push(Op::RmsNorm, attrs! { eps: Float(1e-6) }, &[&x, &w]);
            vec![
                x.matmul(&pool_matrix(pool, cx)),
                q.ternary_linear(&s, &t, &sw),
                norm[0].clone(),
                norm[1].clone(),
            ]
        }
        17 => {
            let Some(i) = of(c, &|t| t.dtype == DType::I64 && t.rank() == 1 && t.shape[0] == Dim::from("B"))
            else {
                return vec![];
            };
            let i = i.max(&i.full_like(0.0)).min(&i.full_like(2.0));
            let rows = pool_matrix(pool, cx).gather(&i);
            vec![i.scatter_add(&rows, &Dim::from(3)), rows, i]
        }
        18 => {
            let Some(x) = of(c, &|t| t.dtype.is_float() && t.rank() == 3) else { return vec![] };
            let f = x.sigmoid();
            let h0 = x.sum(&[1]);
            vec![f.linear_scan(&x, &h0, c.next(2) == 0)]
        }
        19 | 20 if depth < 2 => {
            let Some(x) = ranked(c) else { return vec![] };
            let outer = float(c);
            let (reverse, kind) = (c.next(2) == 0, c.next(3));
            let init = x.max_over(&[0]);
            let spare = outer.sum_all();
            let (carry, ys) = cx.scan(&[&init, &spare], &[&x], reverse, |carry, xs| {
                let mixed = &xs[0] * 0.5 + &carry[0];
                let inner = [xs[0].clone(), carry[0].clone(), mixed.clone(), outer.clone()];
                let more = if kind == 0 { grow(xs[0].cx(), c, &inner, depth + 1) } else { vec![] };
                let tapped = xs[0].cx();
                if kind == 1 {
                    tapped.tap("inner", &mixed);
                }
                let spare = &carry[1] + 1.0;
                let mut ys = vec![mixed.clone(), mixed.sum_all()];
                ys.extend(more);
                (vec![mixed, spare], ys)
            });
            // Some of the results are left unused, for dead code to find.
            if kind == 0 { carry.into_iter().chain(ys).collect() } else { vec![ys[c.next(2)].clone()] }
        }
        21 if depth < 2 => {
            let (x, y) = (float(c), float(c));
            let p = x.sum_all().gt(&x.sum_all().full_like(0.3));
            let out = cx.cond(&p, |_| vec![&x * 2.0, y.exp()], |_| vec![-&x, y.clone()]);
            vec![out[c.next(2)].clone()]
        }
        22 if depth < 2 => {
            let x = float(c);
            let step = float(c).sum_all().convert(x.dtype());
            let (zero, limit) =
                (cx.full(&Type::scalar(DType::I64), 0.0), cx.full(&Type::scalar(DType::I64), 3.0));
            let out = cx.while_(
                &[&zero, &x, &x],
                |v| v[0].lt(&limit),
                |v| vec![&v[0] + 1.0, &v[1] * &step.tanh(), &v[2] + 1.0],
            );
            vec![out[1].clone()]
        }
        _ => {
            let x = float(c);
            let inner = Cx::abstract_();
            let p = inner.input("p", x.ty());
            let callee = inner.clone();
            callee.tap("squared", &p.square());
            let g = Arc::new(inner.finish(&[("q", &(p.square() * 1.0)), ("r", &p)]).unwrap());
            let out = cx.call("square", &g, &[&x]);
            vec![out[0].clone(), cx.variable(&x), cx.variable(&x)]
        }
    }
}

fn pool_matrix(pool: &[Var], cx: &Cx) -> Var {
    let found = pool.iter().find(|v| v.ty() == Type::new(DType::F32, [3, 4]));
    found.cloned().unwrap_or_else(|| {
        cx.array(DType::F32, &[3, 4], &[0.5, 1.0, -1.0, 2.0, 0.0, 3.0, 0.1, 0.2, 0.3, 1.0, 1.5, 7.0])
    })
}

/// Fails unless both graphs compute the same, to the bit (all NaN count as one).
pub(crate) fn assert_same(what: &str, before: &Graph, after: &Graph) {
    for seed in 1..3 {
        let run = |g: &Graph| interp::run(g, inputs(seed), true).map(|e| [e.outputs, e.taps].concat());
        // What is refused (the maximum of nothing) has no meaning to keep.
        let Ok(a) = run(before) else { continue };
        let b = run(after).unwrap_or_else(|e| panic!("{what}: {e}\nbefore:\n{before}\nafter:\n{after}"));
        assert_eq!(a.len(), b.len());
        for ((n, x), (m, y)) in a.iter().zip(&b) {
            assert_eq!((n, x.dtype, &x.shape), (m, y.dtype, &y.shape), "{what}");
            for (u, v) in x.to_f64().iter().zip(y.to_f64()) {
                let same = u.to_bits() == v.to_bits() || u.is_nan() && v.is_nan();
                assert!(same, "{what}: `{n}` was {u}, is {v}\nbefore:\n{before}\nafter:\n{after}");
            }
        }
    }
}
