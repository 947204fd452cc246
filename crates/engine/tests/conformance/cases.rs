//! Cases for every op of the table: graphs with inputs, and nothing of the backend that runs them.
//!
//! A backend's suite includes this file and compares its results with `graph::interp::run::<f32>(…, true)`.

use axes::DType;
use graph::{Array, Attrs, Cx, Dim, Graph, Op, Type, Var, attrs};

/// A graph with inputs.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) graph: Graph,
    pub(crate) inputs: Vec<Array<f32>>,
}

/// Seeded numbers (an LCG: the cases need variety, not quality).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
    pub(crate) fn float(&mut self, low: f64, high: f64) -> f64 {
        // Multiples of 2^-12: exact in every floating dtype's neighbourhood, and far from denormals.
        low + (high - low) * (self.below(4096) as f64 / 4096.0)
    }
    pub(crate) fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// Builds a case: every input that is asked for gets numbers at once.
pub(crate) struct Maker {
    pub(crate) cx: Cx,
    pub(crate) inputs: Vec<Array<f32>>,
    pub(crate) random: Random,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Maker {
        Maker { cx: Cx::abstract_(), inputs: vec![], random: Random::new(seed) }
    }

    /// An input of numbers in `low..high`, integers for integer dtypes.
    pub(crate) fn input(&mut self, dtype: DType, shape: &[usize], low: f64, high: f64) -> Var {
        let n: usize = shape.iter().product();
        let values: Vec<f64> = (0..n)
            .map(|_| match dtype.is_float() {
                true => self.random.float(low, high),
                false => low + self.random.below((high - low) as usize) as f64,
            })
            .collect();
        let rounded = match dtype {
            DType::BF16 => values.iter().map(|x| half::bf16::from_f64(*x).to_f64()).collect(),
            DType::F16 => values.iter().map(|x| half::f16::from_f64(*x).to_f64()).collect(),
            _ => values,
        };
        self.given(Array::from_f64(dtype, shape, &rounded))
    }

    /// An input with these values.
    pub(crate) fn given(&mut self, a: Array<f32>) -> Var {
        let v = self.cx.input(&format!("in.{}", self.inputs.len()), a.ty());
        self.inputs.push(a);
        v
    }

    /// f32 in -1..1.
    pub(crate) fn f(&mut self, shape: &[usize]) -> Var {
        self.input(DType::F32, shape, -1.0, 1.0)
    }

    pub(crate) fn ids(&mut self, shape: &[usize], below: usize) -> Var {
        self.input(DType::I64, shape, 0.0, below as f64)
    }

    pub(crate) fn labels(&mut self, values: &[i64]) -> Var {
        self.given(Array::int(DType::I64, [values.len()], values.to_vec()))
    }

    pub(crate) fn finish(self, name: &str, outputs: &[Var]) -> Case {
        let named: Vec<(String, &Var)> =
            outputs.iter().enumerate().map(|(i, v)| (format!("out.{i}"), v)).collect();
        let named: Vec<(&str, &Var)> = named.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let graph = self.cx.finish(&named).unwrap_or_else(|e| panic!("{name}: {e}"));
        Case { name: name.into(), graph, inputs: self.inputs }
    }
}

/// Collects cases.
#[derive(Default)]
pub(crate) struct Cases(pub(crate) Vec<Case>);

impl Cases {
    pub(crate) fn add(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Maker) -> Vec<Var>) {
        let mut m = Maker::new(self.0.len() as u64 + 1);
        let outputs = build(&mut m);
        self.0.push(m.finish(&name.into(), &outputs));
    }
}

pub(crate) fn dims(sizes: &[usize]) -> Vec<Dim> {
    sizes.iter().map(|n| Dim::from(*n)).collect()
}

const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::BF16, DType::F16];
const INTS: [DType; 4] = [DType::I64, DType::I32, DType::I8, DType::U8];
const ALL: [DType; 10] = [
    DType::F32,
    DType::F64,
    DType::BF16,
    DType::F16,
    DType::I64,
    DType::I32,
    DType::I8,
    DType::U8,
    DType::Bool,
    DType::Trit,
];

/// Any numbers that the dtype holds.
pub(crate) fn range(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::Bool => (0.0, 2.0),
        DType::Trit => (-1.0, 2.0),
        DType::U8 => (0.0, 200.0),
        DType::I8 => (-100.0, 100.0),
        DType::I32 | DType::I64 => (-5000.0, 5000.0),
        _ => (-2.0, 2.0),
    }
}

fn any(m: &mut Maker, dtype: DType, shape: &[usize]) -> Var {
    let (low, high) = range(dtype);
    m.input(dtype, shape, low, high)
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut c = Cases::default();
    sources(&mut c);
    elementwise(&mut c);
    broadcasts(&mut c);
    rearranging(&mut c);
    reductions(&mut c);
    products(&mut c);
    indexing(&mut c);
    crate::composites::add(&mut c);
    crate::regions::add(&mut c);
    crate::differentiable::add(&mut c);
    // Last: a case is seeded by its place.
    crate::composites::memories(&mut c);
    c.0
}

fn sources(c: &mut Cases) {
    for dtype in ALL {
        c.add(format!("constant {dtype:?}"), |m| {
            let x = any(m, dtype, &[3]);
            let dense = match dtype {
                DType::Bool => m.cx.array(dtype, &[3], &[1.0, 0.0, 1.0]),
                _ => m.cx.array(
                    dtype,
                    &[3],
                    &[1.0, 0.0, -1.0].map(|v: f64| if dtype == DType::U8 { v.abs() } else { v }),
                ),
            };
            // Dense constants as outputs, as operands, and a repeated number.
            vec![dense.clone(), Var::concatenate(&[&x, &dense], 0), m.cx.full(&x.ty(), 1.0)]
        });
    }
    c.add("iota", |m| {
        let make = |d: DType, axis: i64| {
            let attrs = attrs! { dtype: DType(d), dims: Dims(dims(&[2, 3, 1, 5])), axis: Int(axis) };
            m.cx.push1(Op::Iota, attrs, &[])
        };
        vec![make(DType::I64, 1), make(DType::F32, 3), make(DType::I32, 0), make(DType::F32, 1).sin()]
    });
    c.add("random bits", |m| {
        let key = m.given(Array::int(DType::I64, [], vec![77]));
        vec![m.cx.push1(Op::RandomBits, attrs! { dims: Dims(dims(&[5, 7])) }, &[&key])]
    });
}

const UNARY: [Op; 16] = [
    Op::Negate,
    Op::Exp,
    Op::Log,
    Op::Sqrt,
    Op::Tanh,
    Op::Sine,
    Op::Cosine,
    Op::Abs,
    Op::Sign,
    Op::Floor,
    Op::RoundHalfEven,
    Op::RoundHalfAway,
    Op::Sigmoid,
    Op::Silu,
    Op::Relu,
    Op::Identity,
];

const BINARY: [Op; 7] =
    [Op::Add, Op::Subtract, Op::Multiply, Op::Divide, Op::Power, Op::Maximum, Op::Minimum];

fn elementwise(c: &mut Cases) {
    // Odd sizes, one element, none, more than a block of the machine and more than a task.
    for shape in [&[][..], &[1], &[0, 3], &[7, 5], &[257], &[3, 1, 11], &[130, 517]] {
        for dtype in FLOATS {
            if dtype != DType::F32 && shape.iter().product::<usize>() > 1000 {
                continue;
            }
            c.add(format!("unary {dtype:?} {shape:?}"), |m| {
                let x = m.input(dtype, shape, -3.0, 3.0);
                let positive = m.input(dtype, shape, 0.25, 4.0);
                UNARY
                    .iter()
                    .map(|op| {
                        let x = if matches!(op, Op::Log | Op::Sqrt) { &positive } else { &x };
                        m.cx.push1(*op, Attrs::new(), &[x])
                    })
                    .collect()
            });
            c.add(format!("binary {dtype:?} {shape:?}"), |m| {
                let x = m.input(dtype, shape, 0.25, 3.0);
                let y = m.input(dtype, shape, -2.0, -0.5);
                let mut out: Vec<Var> =
                    BINARY.iter().map(|op| m.cx.push1(*op, Attrs::new(), &[&x, &y])).collect();
                out.extend(compare(m, &x, &y));
                let less = x.lt(&(-&y));
                out.extend([
                    less.select(&x, &y),
                    less.not(),
                    less.and(&x.gt(&x.full_like(1.0))),
                    less.or(&x.gt(&x.full_like(2.0))),
                    x.stop_gradient(),
                    (&x * 0.5).surrogate(&y),
                ]);
                out
            });
        }
    }
    for dtype in INTS {
        c.add(format!("integers {dtype:?}"), |m| {
            let (x, y) = (any(m, dtype, &[5, 9]), any(m, dtype, &[5, 9]));
            let small = m.input(dtype, &[5, 9], 0.0, 4.0);
            let mut out: Vec<Var> =
                [Op::Add, Op::Subtract, Op::Multiply, Op::Divide, Op::Maximum, Op::Minimum]
                    .iter()
                    .map(|op| m.cx.push1(*op, Attrs::new(), &[&x, &y]))
                    .collect();
            out.push(x.pow(&small));
            out.push(&x / &x.full_like(0.0));
            out.extend(
                [Op::Negate, Op::Abs, Op::Sign, Op::Floor]
                    .iter()
                    .map(|op| m.cx.push1(*op, Attrs::new(), &[&x])),
            );
            out.extend(compare(m, &x, &y));
            let pick = x.gt(&y);
            out.push(pick.select(&x, &y));
            out
        });
    }
    c.add("booleans", |m| {
        let (x, y) = (any(m, DType::Bool, &[33]), any(m, DType::Bool, &[33]));
        let a = m.f(&[33]);
        let both = x.and(&y).or(&x.not());
        let odd = x.not_equal(&y);
        vec![
            both.clone(),
            odd.clone(),
            both.select(&x, &odd),
            both.select(&a, &-&a),
            both.convert(DType::F32) * &a,
        ]
    });
    c.add("convert", |m| {
        let mut out = vec![];
        for from in ALL {
            let x = any(m, from, &[13]);
            out.extend(ALL.iter().map(|to| x.convert(*to)));
        }
        let odd = m.given(Array::from_f64(
            DType::F32,
            [8],
            &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, 0.5, -0.0, 300.0],
        ));
        out.extend(ALL.iter().map(|to| odd.convert(*to)));
        out.push(odd.convert(DType::I8).convert(DType::F32) * 0.5);
        out.push(odd.not_equal(&odd).convert(DType::F32));
        out
    });
    c.add("extreme numbers", |m| {
        let x = m.given(Array::from_f64(
            DType::F32,
            [9],
            &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-38, 88.0, -104.0, 3e38],
        ));
        let y = x.reverse(0);
        let pointwise =
            [x.exp(), x.tanh(), x.sigmoid(), x.abs(), x.sign(), x.floor(), x.relu(), x.log(), x.sqrt()];
        let mut out = pointwise.to_vec();
        out.extend([
            x.max(&y),
            x.min(&y),
            &x + &y,
            x.max_over(&[0]),
            x.min_over(&[0]),
            x.equal(&y),
            x.ge(&y),
        ]);
        out
    });
    c.add("long chain", |m| {
        // Longer than a group may be, with more constants than a program holds registers.
        let x = m.f(&[3, 40]);
        let mut y = x.clone();
        for k in 0..300 {
            let z = &y * (0.9 + 1e-4 * k as f64) + 1e-3 * (k % 17) as f64;
            y = y.gt(&y.full_like(0.7 + 1e-3 * k as f64)).select(&z.full_like(0.1 + 1e-3 * k as f64), &z);
            if k % 50 == 0 {
                y = y.relu();
            }
        }
        vec![y]
    });
    c.add("many operands", |m| {
        let xs: Vec<Var> = (0..60).map(|_| m.f(&[4, 6])).collect();
        let mut sum = xs[0].clone();
        let mut out = vec![];
        for (k, x) in xs.iter().enumerate().skip(1) {
            sum = &sum * 0.5 + x;
            if k % 4 == 0 {
                out.push(sum.clone());
            }
        }
        out
    });
}

fn compare(m: &Maker, x: &Var, y: &Var) -> Vec<Var> {
    ["lt", "le", "gt", "ge", "eq", "ne"]
        .iter()
        .map(|how| m.cx.push1(Op::Compare, attrs! { how: Str(how.to_string()) }, &[x, y]))
        .collect()
}

/// Broadcasts along every set of axes, into groups and as values of their own.
fn broadcasts(c: &mut Cases) {
    for shape in [&[4, 6][..], &[3, 5, 7], &[2, 1, 3, 4], &[1, 9], &[9, 1], &[2, 3, 1, 17]] {
        c.add(format!("broadcast {shape:?}"), |m| {
            let x = m.f(shape);
            let mut out = vec![];
            let mut sum = x.clone();
            for set in 0..1usize << shape.len() {
                let map: Vec<usize> = (0..shape.len()).filter(|a| set >> a & 1 == 1).collect();
                let inner: Vec<usize> = map.iter().map(|a| shape[*a]).collect();
                let b = m.f(&inner);
                let wide = b.broadcast(&dims(shape), &map);
                sum = sum * 0.5 + &wide;
                if set % 3 == 0 {
                    out.push(wide.clone());
                }
                // Read by a group and by an op that needs it in memory.
                if set % 3 == 1 {
                    out.push(wide.sum_all() + (&wide * &x).sum_all());
                }
            }
            out.push(sum);
            out
        });
    }
    c.add("broadcast of a broadcast of a view", |m| {
        let x = m.f(&[3, 4]);
        let row = x.slice_axis(0, 1, 2).reshape(&dims(&[4]));
        let a = row.broadcast(&dims(&[3, 4]), &[1]);
        let b = a.broadcast(&dims(&[2, 3, 4]), &[1, 2]);
        let y = m.f(&[2, 3, 4]);
        let turned = b.reshape(&dims(&[6, 4]));
        vec![&b * &y, &a + &x, turned.exp(), b.reshape(&dims(&[24])).sum_all()]
    });
    c.add("broadcast of every dtype", |m| {
        ALL.iter().map(|d| any(m, *d, &[3]).broadcast(&dims(&[2, 3, 4]), &[1])).collect()
    });
}

fn rearranging(c: &mut Cases) {
    for dtype in ALL {
        c.add(format!("rearrange {dtype:?}"), |m| {
            let x = any(m, dtype, &[3, 4, 5]);
            let y = any(m, dtype, &[3, 2, 5]);
            let (low, high) = (dims(&[1, 0, 2]), dims(&[0, 3, 1]));
            let fill = if dtype == DType::U8 { 7.0 } else { 1.0 };
            vec![
                x.transpose(&[1, 0, 2]),
                x.transpose(&[2, 1, 0]),
                x.transpose(&[0, 2, 1]),
                x.transpose(&[2, 0, 1]),
                x.slice(&dims(&[1, 0, 2]), &dims(&[3, 4, 4])),
                x.slice_axis(0, 1, 2),
                x.slice_axis(1, 1, 3),
                x.slice_axis(2, 0, 1),
                x.slice_axis(2, 2, 2),
                x.pad(&low, &high, 0.0),
                x.pad(&low, &high, fill),
                Var::concatenate(&[&x, &y], 1),
                Var::concatenate(&[&y, &x, &y], 1),
                Var::concatenate(&[&x, &x], 0),
                Var::concatenate(&[&x, &x], 2),
                x.reverse(0),
                x.reverse(1),
                x.reverse(2),
                x.reshape(&dims(&[60])),
                x.reshape(&dims(&[5, 12])),
                x.reshape(&dims(&[5, 12])).transpose(&[1, 0]).reshape(&dims(&[2, 30])),
            ]
        });
    }
    c.add("views of views", |m| {
        let x = m.f(&[4, 6, 5]);
        let part = x.slice_axis(0, 1, 3);
        let inner = part.reshape(&dims(&[12, 5])).slice_axis(0, 3, 9);
        let one = inner.slice_axis(0, 2, 3);
        let tail = one.reshape(&dims(&[5])).slice_axis(0, 1, 4);
        vec![
            &inner * 2.0,
            one.exp(),
            tail.clone(),
            tail.sum_all(),
            inner.matmul(&inner.transpose(&[1, 0])),
            part.sum(&[0]),
            Var::concatenate(&[&tail, &tail], 0),
        ]
    });
    c.add("halves of the last axis", |m| {
        let x = m.f(&[6, 5, 14]);
        let (a, b) = (x.slice_axis(2, 0, 7), x.slice_axis(2, 7, 14));
        let y = a.silu() * &b;
        let c = x.slice_axis(1, 2, 4);
        vec![
            y.clone(),
            &y * &a,
            c.tanh(),
            Var::concatenate(&[&(&a * &y), &(&b + &y)], 2),
            a.sum(&[2]),
            b.max_over(&[2]),
        ]
    });
    c.add("sums of pads", |m| {
        let (a, b) = (m.f(&[4, 3]), m.f(&[4, 5]));
        let zero = |n: usize| dims(&[0, n]);
        let left = (&a * 2.0).pad(&zero(0), &zero(5), 0.0);
        let right = (&b + 1.0).pad(&zero(3), &zero(0), 0.0);
        let over = (&b + 2.0).pad(&zero(1), &zero(2), 0.0);
        let odd = a.pad(&zero(0), &zero(5), 1.0);
        vec![&left + &right, &right + &left, &left + &over, &odd + &right, (&left + &right).tanh()]
    });
    c.add("sizes of one and none", |m| {
        let x = m.f(&[1, 5, 1]);
        let none = m.f(&[0, 4]);
        vec![
            x.transpose(&[2, 0, 1]),
            x.reverse(0),
            x.sum(&[0]),
            x.sum(&[2]),
            x.sum(&[0, 2]),
            x.max_over(&[0, 1, 2]),
            none.exp(),
            none.sum(&[0]),
            none.sum_all(),
            Var::concatenate(&[&none, &none], 0),
            none.transpose(&[1, 0]),
            none.pad(&dims(&[1, 0]), &dims(&[1, 0]), 3.0),
        ]
    });
}

fn reductions(c: &mut Cases) {
    for shape in [&[7][..], &[6, 5], &[3, 4, 5], &[2, 3, 4, 5], &[2, 1, 3], &[1, 4, 1, 2], &[70, 3, 40]] {
        c.add(format!("reduce {shape:?}"), |m| {
            let x = m.f(shape);
            let ints = m.input(DType::I32, shape, -9.0, 9.0);
            let mut out = vec![];
            for set in 1..1usize << shape.len() {
                let axes: Vec<usize> = (0..shape.len()).filter(|a| set >> a & 1 == 1).collect();
                out.extend([x.sum(&axes), x.max_over(&axes), x.min_over(&axes)]);
                if set % 2 == 1 {
                    out.extend([ints.sum(&axes), ints.max_over(&axes), ints.min_over(&axes)]);
                }
            }
            out.extend((0..shape.len()).map(|a| x.argmax(a)));
            out.push(ints.argmax(0));
            out
        });
    }
    for dtype in [DType::F64, DType::BF16, DType::F16, DType::I64, DType::I8] {
        c.add(format!("reduce {dtype:?}"), |m| {
            let x = any(m, dtype, &[5, 3, 4]);
            vec![x.sum(&[0]), x.sum(&[1]), x.sum(&[2]), x.max_over(&[0, 2]), x.min_over(&[1]), x.argmax(2)]
        });
    }
    c.add("long sums", |m| {
        let x = m.f(&[3, 5000]);
        let y = m.f(&[5000, 3]);
        vec![x.sum(&[1]), x.sum_all(), y.sum(&[0]), y.sum_all(), x.mean_all(), x.softmax_last()]
    });
    c.add("ties", |m| {
        let x = m.given(Array::from_f64(
            DType::F32,
            [2, 5],
            &[1.0, 3.0, 3.0, 0.0, 3.0, -1.0, -1.0, -2.0, -1.0, -5.0],
        ));
        vec![x.argmax(1), x.argmax(0), x.max_over(&[1])]
    });
}

fn products(c: &mut Cases) {
    c.add("dot plain and transposed", |m| {
        let (a, b) = (m.f(&[7, 5]), m.f(&[5, 9]));
        let (at, bt) = (m.f(&[5, 7]), m.f(&[9, 5]));
        let dot = |x: &Var, y: &Var, l: usize, r: usize| x.dot_general(y, (&[l], &[r]), (&[], &[]));
        vec![
            dot(&a, &b, 1, 0),
            dot(&at, &b, 0, 0),
            dot(&a, &bt, 1, 1),
            dot(&at, &bt, 0, 1),
            a.dot_general(&b, (&[], &[]), (&[], &[])),
            a.dot_general(&a, (&[0, 1], &[0, 1]), (&[], &[])),
            at.dot_general(&a, (&[0, 1], &[1, 0]), (&[], &[])),
        ]
    });
    c.add("dot of larger sizes", |m| {
        let (x, w) = (m.f(&[4, 33, 65]), m.f(&[130, 65]));
        let y = x.linear(&w);
        let back = y.dot_general(&x, (&[0, 1], &[0, 1]), (&[], &[]));
        vec![y, back]
    });
    c.add("dot with vectors and numbers", |m| {
        let (x, v, s) = (m.f(&[6, 4]), m.f(&[4]), m.f(&[]));
        vec![
            x.dot_general(&v, (&[1], &[0]), (&[], &[])),
            v.dot_general(&x, (&[0], &[1]), (&[], &[])),
            v.dot_general(&v, (&[0], &[0]), (&[], &[])),
            s.dot_general(&v, (&[], &[]), (&[], &[])),
            s.dot_general(&s, (&[], &[]), (&[], &[])),
            v.dot_general(&v, (&[], &[]), (&[0], &[0])),
        ]
    });
    // Every placement of batch, free and contracted axes of two rank-3 operands, and the heads of attention.
    let axes = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for l in axes {
        c.add(format!("dot batched {l:?}"), |m| {
            let mut shape = [0; 3];
            l.iter().zip([3, 4, 5]).for_each(|(a, n)| shape[*a] = n);
            let x = m.f(&shape);
            axes.iter()
                .map(|r| {
                    let mut shape = [0; 3];
                    r.iter().zip([3, 6, 5]).for_each(|(a, n)| shape[*a] = n);
                    let y = m.f(&shape);
                    x.dot_general(&y, (&[l[2]], &[r[2]]), (&[l[0]], &[r[0]]))
                })
                .collect()
        });
    }
    c.add("dot that no stride describes", |m| {
        let (q, k) = (m.f(&[2, 5, 3, 4]), m.f(&[2, 6, 3, 4]));
        let x = m.f(&[2, 3, 4]);
        let y = m.f(&[4, 3, 5]);
        vec![
            // Heads: batch over axes 0 and 2.
            q.dot_general(&k, (&[3], &[3]), (&[0, 2], &[0, 2])),
            // Free axes around the contracted one.
            q.dot_general(&k, (&[2], &[2]), (&[], &[])),
            // Contracted axes in another order.
            x.dot_general(&y, (&[1, 2], &[1, 0]), (&[], &[])),
            x.dot_general(&y, (&[2, 1], &[0, 1]), (&[], &[])),
            q.dot_general(&k, (&[2], &[2]), (&[3, 0], &[3, 0])),
        ]
    });
    c.add("dot with sizes of one and none", |m| {
        let (a, b) = (m.f(&[1, 4, 1]), m.f(&[1, 4, 3]));
        let (none, some) = (m.f(&[3, 0]), m.f(&[0, 2]));
        let empty = m.f(&[0, 3]);
        vec![
            a.dot_general(&b, (&[1], &[1]), (&[0], &[0])),
            a.dot_general(&b, (&[0, 1], &[0, 1]), (&[], &[])),
            none.matmul(&some),
            empty.matmul(&none),
        ]
    });
    for dtype in [DType::F64, DType::BF16, DType::F16] {
        c.add(format!("dot {dtype:?}"), |m| {
            let (a, b) = (m.input(dtype, &[3, 4], -1.0, 1.0), m.input(dtype, &[5, 4], -1.0, 1.0));
            vec![a.linear(&b)]
        });
    }
    c.add("dot of views", |m| {
        let x = m.f(&[4, 6, 5]);
        let w = m.f(&[3, 10]);
        let flat = x.reshape(&dims(&[12, 10]));
        let part = x.slice_axis(0, 1, 2).reshape(&dims(&[6, 5]));
        vec![
            flat.linear(&w),
            part.matmul(&part.transpose(&[1, 0])),
            x.slice_axis(2, 1, 3).dot_general(&x, (&[1], &[1]), (&[0], &[0])),
        ]
    });
}

fn indexing(c: &mut Cases) {
    for dtype in ALL {
        c.add(format!("gather {dtype:?}"), |m| {
            let table = any(m, dtype, &[6, 3]);
            let ids = m.ids(&[2, 4], 6);
            let narrow = m.input(DType::I32, &[5], 0.0, 6.0);
            let bytes = m.input(DType::U8, &[5], 0.0, 6.0);
            vec![table.gather(&ids), table.gather(&narrow), table.gather(&bytes)]
        });
    }
    c.add("gather shapes", |m| {
        let (flat, cube) = (m.f(&[9]), m.f(&[5, 2, 3]));
        let (one, many, none) = (m.ids(&[], 5), m.ids(&[40], 5), m.ids(&[0], 5));
        vec![flat.gather(&many), cube.gather(&one), cube.gather(&many), cube.gather(&none)]
    });
    for dtype in FLOATS {
        c.add(format!("scatter {dtype:?}"), |m| {
            let ids = m.ids(&[3, 4], 5);
            let short = m.input(DType::I32, &[3], 0.0, 5.0);
            let updates = m.input(dtype, &[3, 4, 2], -1.0, 1.0);
            let thin = m.input(dtype, &[3, 4], -1.0, 1.0);
            let rows = Dim::from(5);
            vec![
                ids.scatter_add(&updates, &rows),
                ids.scatter_add(&thin, &rows),
                short.scatter_add(&updates, &rows),
                m.cx.full(&Type::scalar(DType::I64), 2.0).scatter_add(&updates, &rows),
            ]
        });
    }
}
