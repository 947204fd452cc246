//! Plans in the arithmetics of 80 and 128 bits: against furnace's numbers, sums and products bit for bit, functions within
//! two units in the last place.
#![allow(missing_docs, unsafe_code)]

use alex::lower::{self, Wide};
use alex::toolchain::Toolchain;
use alex::{Compiler, Options};
use axes::DType;
use furnace::precision::{F80, F128};
use graph::{Cx, Graph, Scalar, Type, Var};

/// A number of 16 bytes.
trait Number: Scalar {
    const WIDE: Wide;
    fn bytes(&self) -> [u8; 16];
    fn of(bytes: [u8; 16]) -> Self;
    /// The magnitude's place among all numbers of this kind.
    fn place(&self) -> u128;
}

impl Number for F80 {
    const WIDE: Wide = Wide::F80;
    fn bytes(&self) -> [u8; 16] {
        let (mantissa, head) = self.to_bits();
        (u128::from(head) << 64 | u128::from(mantissa)).to_le_bytes()
    }
    fn of(bytes: [u8; 16]) -> F80 {
        let bits = u128::from_le_bytes(bytes);
        F80::from_bits(bits as u64, (bits >> 64) as u16)
    }
    fn place(&self) -> u128 {
        let (mantissa, head) = self.to_bits();
        u128::from(head & 0x7fff) << 63 | u128::from(mantissa & (u64::MAX >> 1))
    }
}

impl Number for F128 {
    const WIDE: Wide = Wide::F128;
    fn bytes(&self) -> [u8; 16] {
        self.to_bits().to_le_bytes()
    }
    fn of(bytes: [u8; 16]) -> F128 {
        F128::from_bits(u128::from_le_bytes(bytes))
    }
    fn place(&self) -> u128 {
        self.to_bits() & (u128::MAX >> 1)
    }
}

/// Aligned as compiled code may ask.
#[repr(align(64))]
#[derive(Clone)]
struct Line([u8; 64]);

fn lines(bytes: usize) -> Vec<Line> {
    vec![Line([0; 64]); bytes.div_ceil(64).max(1)]
}

/// Runs a graph of f32 inputs and outputs in that arithmetic.
fn run<N: Number>(g: &Graph, inputs: &[Vec<N>]) -> Vec<Vec<N>> {
    let plan = premap::plan(g, &alex::plain_target(), &premap::Options::default()).unwrap();
    let lowered =
        lower::plan(&plan, &lower::Options { wide: Some(N::WIDE), ..lower::Options::default() }).unwrap();
    let library = Compiler::new(Options::default()).unwrap().load(&lowered.text).unwrap();
    let mut memory: Vec<Vec<Line>> = vec![];
    for binding in plan.bindings() {
        let (ty, given) = match binding {
            premap::Binding::Input(i) => (g.ty(g.inputs[i].value), Some(&inputs[i])),
            premap::Binding::Output(o) => (plan.graph.ty(plan.graph.outputs[o].value), None),
            premap::Binding::Constant(_) => panic!("no dense constants here"),
        };
        let mut block = lines(16 * ty.elements().unwrap());
        for (k, x) in given.into_iter().flatten().enumerate() {
            block[k / 4].0[16 * (k % 4)..][..16].copy_from_slice(&x.bytes());
        }
        memory.push(block);
    }
    let mut arena = lines(lowered.arena);
    let bindings: Vec<*mut u8> = memory.iter_mut().map(|m| m.as_mut_ptr().cast()).collect();
    // SAFETY: the arena and the bindings have the sizes that the module was lowered for, 16 bytes an element.
    let status = unsafe { library.entry("run").unwrap()(arena.as_mut_ptr().cast(), bindings.as_ptr()) };
    assert_eq!(status, 0);
    let outputs = plan.bindings().into_iter().zip(&memory).filter_map(|(b, m)| match b {
        premap::Binding::Output(o) => Some((o, m)),
        _ => None,
    });
    let mut made: Vec<(usize, Vec<N>)> = outputs
        .map(|(o, m)| {
            let n = plan.graph.ty(plan.graph.outputs[o].value).elements().unwrap();
            let read = |k: usize| N::of(m[k / 4].0[16 * (k % 4)..][..16].try_into().unwrap());
            (o, (0..n).map(read).collect())
        })
        .collect();
    made.sort_by_key(|m| m.0);
    made.into_iter().map(|m| m.1).collect()
}

fn graph(inputs: usize, n: usize, f: impl FnOnce(&[Var]) -> Vec<Var>) -> Graph {
    let cx = Cx::abstract_();
    let x: Vec<Var> = (0..inputs).map(|k| cx.input(&format!("x{k}"), Type::new(DType::F32, [n]))).collect();
    let out = f(&x);
    let named: Vec<(String, &Var)> = out.iter().enumerate().map(|(k, v)| (format!("y{k}"), v)).collect();
    cx.finish(&named.iter().map(|(n, v)| (n.as_str(), *v)).collect::<Vec<_>>()).unwrap()
}

/// Positive numbers with all their digits.
fn numbers<N: Number>(n: usize, seed: u64) -> Vec<N> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        N::from_f64((state >> 11) as f64 / (1u64 << 53) as f64)
    };
    (0..n)
        .map(|_| {
            next() * N::from_f64(3.0) / N::from_f64(7.0) + next() / N::from_f64(11.0) + N::from_f64(0.01)
        })
        .collect()
}

fn arithmetic<N: Number>() {
    let n = 257;
    let g = graph(2, n, |x| vec![&x[0] + &x[1], &x[0] - &x[1], &x[0] * &x[1], &x[0] / &x[1], x[0].sqrt()]);
    let (x, y) = (numbers::<N>(n, 1), numbers::<N>(n, 2));
    let made = run(&g, &[x.clone(), y.clone()]);
    for k in 0..n {
        let (a, b) = (x[k].clone(), y[k].clone());
        let expected = [
            a.clone() + b.clone(),
            a.clone() - b.clone(),
            a.clone() * b.clone(),
            a.clone() / b.clone(),
            a.sqrt(),
        ];
        for (op, e) in expected.iter().enumerate() {
            assert_eq!(made[op][k].bytes(), e.bytes(), "{:?}: op {op} of number {k}", N::WIDE);
        }
    }
}

fn functions<N: Number>() {
    let n = 65;
    let g = graph(1, n, |x| {
        let x = &x[0];
        vec![x.exp(), x.log(), x.tanh(), x.sin(), x.cos(), x.sigmoid()]
    });
    let x = numbers::<N>(n, 3);
    let made = run(&g, std::slice::from_ref(&x));
    for k in 0..n {
        let v = &x[k];
        for (op, e) in [v.exp(), v.ln(), v.tanh(), v.sin(), v.cos(), v.logistic()].iter().enumerate() {
            let far = made[op][k].place().abs_diff(e.place());
            assert!(far <= 2, "{:?}: function {op} of {v:?} is {far} units away", N::WIDE);
        }
    }
}

/// 1e16 + 1000 × 1, which a double does not hold, and 100000001² − 1e16.
fn sums<N: Number>() {
    let g = graph(2, 1001, |x| vec![x[0].sum_all(), (&x[0] * &x[1]).sum_all()]);
    let mut x = vec![N::from_f64(1.0); 1001];
    x[0] = N::from_f64(1e16);
    let mut y = vec![N::from_f64(0.0); 1001];
    (y[0], y[1]) = (N::from_f64(-1.0), N::from_f64(1.0));
    let mut z = x.clone();
    z[1] = N::from_f64(100_000_001.0) * N::from_f64(100_000_001.0);
    assert_eq!(run(&g, &[x, y.clone()])[0][0].to_f64(), 10_000_000_000_001_000.0);
    assert_eq!(run(&g, &[z, y])[1][0].to_f64(), 200_000_001.0);
}

/// A quantised product: int8 activations, trits, the largest of each row, against the interpreter in the same arithmetic.
fn quantised<N: Number>() {
    let n = 96;
    let g = graph(2, n, |x| {
        let rows = |v: &Var, r: usize| v.reshape(&[graph::Dim::from(r), graph::Dim::from(n / r)]);
        let (q, s) = rows(&x[0], 2).quantize_activations("half_even");
        let (t, w) = rows(&(&x[1] - 0.25), 2).quantize_weights();
        vec![
            q.ternary_linear(&s, &t, &w),
            x[0].max(&x[1]),
            s,
            x[0].reshape(&[graph::Dim::from(n)]).max_over(&[0]),
        ]
    });
    let (x, y) = (numbers::<N>(n, 5), numbers::<N>(n, 6));
    let made = run(&g, &[x.clone(), y.clone()]);
    let inputs = [x, y].map(|v| graph::Array::float(DType::F32, [n], v)).to_vec();
    let expected = graph::interp::run::<N>(&g, inputs, false).unwrap();
    for (k, (name, e)) in expected.outputs.iter().enumerate() {
        for (a, b) in made[k].iter().zip(e.floats()) {
            assert!(a.place().abs_diff(b.place()) <= 64, "{:?} {name}: {a:?} and {b:?}", N::WIDE);
        }
    }
}

#[test]
fn eighty_and_a_hundred_and_twenty_eight_bits() {
    if let Err(e) = Toolchain::find() {
        println!("skipped: {e}");
        return;
    }
    arithmetic::<F128>();
    functions::<F128>();
    sums::<F128>();
    quantised::<F128>();
    if cfg!(target_arch = "x86_64") {
        arithmetic::<F80>();
        functions::<F80>();
        sums::<F80>();
        quantised::<F80>();
    }
}
