//! The kernels of the article on random sizes, in every way that there is: run as rustc made them, interpreted, lowered to
//! loops and compiled, raised and evaluated as graph, raised and compiled through a plan.
//!
//! The loops give rustc's bits. A graph takes sums in its own order, which in f32 alone moves a result by more than 1e-6
//! where terms cancel; so graphs are evaluated and compiled in f64, and compared with the kernel to 1e-6 of the larger of
//! the number and the sum of the magnitudes that it is made of; integers are equal.

use crate::{compiled, compiler};
use alex::Compiler;
use alex::kernels::{Compiled, Raised};
use axes::{Axis, DType, Tensor, TernaryMatrix, axes};
use graph::{Array, interp};
use kernel::article::*;
use kernel::{Arg, ArrayValue, Kernel, Outcome, Vector};

axes! { In; Out; State; Seq; Dim; Val; Hidden; }

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 20
    }
    fn size(&mut self) -> usize {
        1 + self.next() as usize % 24
    }
    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() % (1 << 24)) as f32 / (1 << 22) as f32 - 2.0).collect()
    }
    /// Positive ones, so that a normaliser is not near zero.
    fn positive(&mut self, n: usize) -> Vec<f32> {
        self.floats(n).iter().map(|x| x.abs() + 0.125).collect()
    }
    fn vector<A: Axis>(&mut self, n: usize) -> Vector<A> {
        Tensor::vector(self.floats(n)).unwrap()
    }
    fn trits<I: Axis, O: Axis>(&mut self, m: usize, k: usize) -> TernaryMatrix<I, O> {
        let trits = (0..m * k).map(|_| (self.next() % 3) as i8 - 1).collect();
        TernaryMatrix::new([m, k], trits, 1.75).unwrap()
    }
}

/// A kernel, its arguments, and what the Rust function makes of them.
type Case = (Kernel, Vec<Arg>, Outcome);

fn case(kernel: Kernel, args: Vec<Arg>, results: Vec<Arg>, changed: &[(usize, Arg)]) -> Case {
    let mut after = args.clone();
    changed.iter().for_each(|(k, a)| after[*k] = a.clone());
    (kernel, args, Outcome { results, args: after })
}

fn cases(d: &mut Dice) -> Vec<Case> {
    let mut all = vec![];
    let (m, k, n) = (d.size(), d.size(), d.size());

    let w = d.trits::<In, Out>(m, k);
    let x = Tensor::<(In,), i8>::vector((0..k).map(|_| d.next() as i8).collect()).unwrap();
    let before = Tensor::<(Out,), i32>::vector((0..m).map(|_| d.next() as i16 as i32).collect()).unwrap();
    let mut y = before.clone();
    ternary_accumulate(&w, &x, &mut y);
    let args = vec![(&w).into(), (&x).into(), (&before).into()];
    all.push(case(ternary_accumulate::kernel(), args, vec![], &[(2, (&y).into())]));

    let x = d.vector::<In>(k);
    let y = ternary_matvec(&w, &x).unwrap();
    all.push(case(ternary_matvec::kernel(), vec![(&w).into(), (&x).into()], vec![(&y).into()], &[]));

    let [s, a, b, c] = [0; 4].map(|_| d.vector::<State>(n));
    let (next, y) = ssm_step(&s, 0.7, &a, &b, &c).unwrap();
    let args = vec![(&s).into(), 0.7f32.into(), (&a).into(), (&b).into(), (&c).into()];
    all.push(case(ssm_step::kernel(), args, vec![(&next).into(), y.into()], &[]));

    let (t, xs, ys) = (d.size(), d.vector::<Seq>(m), d.vector::<Seq>(m));
    let halves: Vec<f32> = d.floats(n).iter().map(|x| 0.5 * x).collect();
    let a = Tensor::<(State,)>::vector(halves).unwrap();
    let (mut after, mut out) = (s.clone(), ys.clone());
    ssm_scan(&mut after, &xs, &a, &b, &c, &mut out);
    let args = vec![(&s).into(), (&xs).into(), (&a).into(), (&b).into(), (&c).into(), (&ys).into()];
    all.push(case(ssm_scan::kernel(), args, vec![], &[(0, (&after).into()), (5, (&out).into())]));

    let q = Tensor::<(Seq, Dim)>::from_vec([t, k], d.floats(t * k)).unwrap();
    let keys = Tensor::<(Seq, Dim)>::from_vec([t, k], d.floats(t * k)).unwrap();
    let v = Tensor::<(Seq, Val)>::from_vec([t, n], d.floats(t * n)).unwrap();
    let y = linear_attention(&q, &keys, &v).unwrap();
    let args = vec![(&q).into(), (&keys).into(), (&v).into()];
    all.push(case(linear_attention::kernel(), args, vec![(&y).into()], &[]));

    let s = Tensor::<(Dim, Val)>::from_vec([k, n], d.floats(k * n)).unwrap();
    let [z, q, key] = [0; 3].map(|_| Tensor::<(Dim,)>::vector(d.positive(k)).unwrap());
    let v = d.vector::<Val>(n);
    let (mut s2, mut z2) = (s.clone(), z.clone());
    let y = linear_attention_step(&mut s2, &mut z2, &q, &key, &v).unwrap();
    let args = vec![(&s).into(), (&z).into(), (&q).into(), (&key).into(), (&v).into()];
    let changed = [(0, (&s2).into()), (1, (&z2).into())];
    all.push(case(linear_attention_step::kernel(), args, vec![(&y).into()], &changed));

    let [h, f, c, g] = [0; 4].map(|_| d.vector::<Hidden>(n));
    let mut h2 = h.clone();
    let y = mlgru_step(&mut h2, &f, &c, &g).unwrap();
    let args = vec![(&h).into(), (&f).into(), (&c).into(), (&g).into()];
    all.push(case(mlgru_step::kernel(), args, vec![(&y).into()], &[(0, (&h2).into())]));

    let gates: Vec<f32> = d.floats(t * n).iter().map(|x| x.abs() / 2.0).collect();
    let f = Tensor::<(Seq, Hidden)>::from_vec([t, n], gates).unwrap();
    let c = Tensor::<(Seq, Hidden)>::from_vec([t, n], d.floats(t * n)).unwrap();
    let out = Tensor::<(Seq, Hidden)>::from_vec([t, n], d.floats(t * n)).unwrap();
    let (mut h2, mut out2) = (h.clone(), out.clone());
    mlgru_scan(&mut h2, &f, &c, &mut out2);
    let args = vec![(&h).into(), (&f).into(), (&c).into(), (&out).into()];
    all.push(case(mlgru_scan::kernel(), args, vec![], &[(0, (&h2).into()), (3, (&out2).into())]));

    let x = d.vector::<In>(k);
    let [wf, wc, wg] = [0; 3].map(|_| d.trits::<In, Hidden>(n, k));
    let (y, next) = mlgru_forward(&x, &h, &wf, &wc, &wg).unwrap();
    let args = vec![(&x).into(), (&h).into(), (&wf).into(), (&wc).into(), (&wg).into()];
    all.push(case(mlgru_forward::kernel(), args, vec![(&y).into(), (&next).into()], &[]));
    all
}

/// The kernel's graph, evaluated in f64: its outputs as the interpreter leaves them.
fn evaluated(kernel: &Kernel, args: &[Arg]) -> Vec<(String, Vec<f64>)> {
    let mut arrays = vec![];
    for a in args {
        let of = |a: &ArrayValue, dtype| Array::<f64>::from_f64(dtype, a.dims.clone(), &a.to_f64());
        match a {
            Arg::Scalar(v) => arrays.push(Array::from_f64(DType::F32, vec![], &[v.to_f64()])),
            Arg::Array(a) => arrays.push(of(
                a,
                match a.element {
                    kernel::Scalar::I8 => DType::I8,
                    kernel::Scalar::I32 => DType::I32,
                    _ => DType::F32,
                },
            )),
            Arg::Ternary(t, s) => {
                arrays.push(of(t, DType::Trit));
                arrays.push(Array::from_f64(DType::F32, vec![], &[f64::from(*s)]));
            }
        }
    }
    let types: Vec<graph::Type> = arrays.iter().map(Array::ty).collect();
    let made = interp::run(&kernel.graph(&types).unwrap(), arrays, false).unwrap();
    made.outputs.into_iter().map(|(n, a)| (n, a.to_f64())).collect()
}

/// The largest difference beside the larger of the number and the mean magnitude.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let mean = expected.iter().map(|x| x.abs()).sum::<f64>() / expected.len().max(1) as f64;
    let off = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { (a - b).abs() / b.abs().max(mean) };
    found.iter().zip(expected).map(off).fold(0.0, f64::max)
}

fn compare(found: &Outcome, expected: &Outcome, kernel: &Kernel, what: &str, most: f64) -> f64 {
    let mut worst = 0.0f64;
    let pairs = found.results.iter().zip(&expected.results).chain(found.args.iter().zip(&expected.args));
    for (a, b) in pairs {
        let off = apart(&a.to_f64(), &b.to_f64());
        let exact = matches!(b, Arg::Array(b) if !b.element.is_float());
        assert!(off <= if exact { 0.0 } else { most }, "{} {what}: {off}", kernel.name());
        worst = worst.max(off);
    }
    worst
}

fn check((kernel, args, rust): &Case, loops: &Compiled, compiler: &Compiler, worst: &mut [f64; 3]) {
    let name = kernel.name();
    assert_eq!(kernel.interpret(args).unwrap(), *rust, "{name} interpreted");
    assert_eq!(loops.call(args).unwrap(), *rust, "{name} compiled as loops");
    assert_eq!(Compiled::why(kernel, args), None, "{name} is raised");
    let mut results = rust.results.iter();
    for (output, values) in evaluated(kernel, args) {
        let at = kernel.function().params.iter().position(|p| p.name == output);
        let expected = at.map_or_else(|| results.next().unwrap(), |k| &rust.args[k]);
        let off = apart(&values, &expected.to_f64());
        assert!(off <= 1e-6, "{name} as graph, {output}: {off}");
        worst[0] = worst[0].max(off);
    }
    for (k, wide) in [(1, true), (2, false)] {
        let raised = Raised::new(kernel, args, compiler, wide).unwrap_or_else(|e| panic!("{name}: {e}"));
        let made = raised.call(args).unwrap_or_else(|e| panic!("{name}: {e}"));
        let what = if wide { "raised, compiled in f64" } else { "raised, compiled in f32" };
        worst[k] = worst[k].max(compare(&made, rust, kernel, what, if wide { 1e-6 } else { 1e-5 }));
    }
}

#[test]
fn all_ways_agree() {
    let Some(compiler) = compiler() else { return };
    let kernels = all();
    let loops = compiled(&kernels, &compiler);
    let mut d = Dice(0x2545_F491_4F6C_DD1D);
    let mut worst = [0.0; 3];
    for _ in 0..2 {
        for c in cases(&mut d) {
            let k = kernels.iter().position(|k| k.name() == c.0.name()).unwrap();
            check(&c, &loops[k], &compiler, &mut worst);
        }
    }
    // Loops alone take any size without another compile.
    for _ in 0..100 {
        for (kernel, args, rust) in cases(&mut d) {
            let k = kernels.iter().position(|k| k.name() == kernel.name()).unwrap();
            assert_eq!(loops[k].call(&args).unwrap(), rust, "{}", kernel.name());
            for (output, values) in evaluated(&kernel, &args) {
                if let Some(at) = kernel.function().params.iter().position(|p| p.name == output) {
                    worst[0] = worst[0].max(apart(&values, &rust.args[at].to_f64()));
                }
            }
        }
    }
    let [graph, wide, narrow] = worst;
    println!("largest difference: graph {graph:.1e}, compiled plan in f64 {wide:.1e}, in f32 {narrow:.1e}");
}
