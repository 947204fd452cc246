//! Rewritings composed at random: each keeps the meaning, so the recogniser has to raise it, and the graph that is made of
//! it has to give the interpreter's numbers.

#[path = "common/rewritings.rs"]
mod rewritings;

use axes::DType;
use graph::{Array, Type, interp};
use kernel::{Arg, ArrayValue, Kernel, Scalar};
use rewritings::{Dice, arguments, attention, dice, gated, kernel, state_space, ternary};

/// The graph's numbers beside the interpreter's.
fn agree(k: &Kernel, args: &[Arg]) {
    let mut arrays = vec![];
    let requires = k.raise().map(|f| f.requires).unwrap_or_default();
    for (a, p) in args.iter().zip(&k.function().params) {
        let of = |a: &ArrayValue, trits: bool| {
            let dtype = match a.element {
                Scalar::F32 => DType::F32,
                Scalar::I32 => DType::I32,
                Scalar::I8 if trits => DType::Trit,
                _ => DType::I8,
            };
            Array::<f64>::from_f64(dtype, a.dims.clone(), &a.to_f64())
        };
        match a {
            Arg::Scalar(v) => arrays.push(Array::from_f64(DType::F32, vec![], &[v.to_f64()])),
            Arg::Array(a) => arrays
                .push(of(a, requires.iter().any(|r| *r == format!("`{}` holds -1, 0 and 1 only", p.name)))),
            Arg::Ternary(t, s) => {
                arrays.push(of(t, true));
                arrays.push(Array::from_f64(DType::F32, vec![], &[f64::from(*s)]));
            }
        }
    }
    let types: Vec<Type> = arrays.iter().map(Array::ty).collect();
    let text = k.text();
    let graph = k.graph(&types).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let made = interp::run(&graph, arrays, false).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let plain = k.interpret(args).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut results = plain.results.iter();
    for (name, value) in &made.outputs {
        let at = k.function().params.iter().position(|p| p.name == *name);
        let expected = match at {
            Some(i) => plain.args[i].to_f64(),
            None => results.next().expect("as many results").to_f64(),
        };
        let found = value.to_f64();
        assert_eq!(found.len(), expected.len(), "{name}\n{text}");
        for (a, b) in found.iter().zip(&expected) {
            let close = (a - b).abs() <= 1e-5 * (1.0 + b.abs()) || (!a.is_finite() && !b.is_finite());
            assert!(close, "{name}: {a} and {b}\n{text}");
        }
    }
}

/// Nearly all are raised, and whatever is raised has the interpreter's numbers. What is declined is safe; it is printed.
fn held(cases: u64, make: impl Fn(&mut Dice) -> (String, Vec<&'static str>)) {
    let mut declined = 0;
    for seed in 1..=cases {
        let mut d = dice(seed);
        let (text, ops) = make(&mut d);
        let k = kernel(&text);
        let found = k.raise().unwrap_or_else(|e| panic!("{e}\n{text}"));
        if let Some(op) = ops.iter().find(|op| !found.has(op)) {
            declined += 1;
            println!("seed {seed}: no {op} of\n{text}\n{:?}", found.declined);
        }
        let args = arguments(&mut d, &k);
        if found.declined.is_empty() {
            agree(&k, &args);
        }
    }
    println!("{declined} of {cases} declined");
    assert!(declined * 20 <= cases, "{declined} of {cases} rewritings were declined");
}

#[test]
fn ternary_products() {
    held(400, |d| {
        let (text, op) = ternary(d);
        (text, vec![op])
    });
}

#[test]
fn state_space_steps() {
    held(300, |d| (state_space(d), vec!["ssm.state_update", "ssm.output"]));
}

#[test]
fn gated_recurrences() {
    held(300, |d| (gated(d), vec!["mlgru.step"]));
}

#[test]
fn linear_attention() {
    held(60, |d| (attention(d), vec!["linear_attention"]));
}

#[test]
fn the_articles_kernels_as_graphs() {
    let mut d = Dice(77);
    for k in kernel::article::all() {
        let mut args = arguments(&mut d, &k);
        // The axes of these kernels have other names.
        let n = 4;
        for (p, a) in k.function().params.iter().zip(&mut args) {
            let inner = match &p.ty {
                kernel_syntax::Type::Ref(_, t) => t,
                t => t,
            };
            let fresh = |d: &mut Dice, element: Scalar, dims: Vec<usize>| {
                let size = if element == Scalar::F32 { 1.0 } else { 50.0 };
                let values: Vec<f64> = (0..dims.iter().product())
                    .map(|_| {
                        (d.number() * size).round_ties_even() / if element == Scalar::F32 { 4.0 } else { 1.0 }
                    })
                    .collect();
                Arg::Array(ArrayValue::from_f64(element, dims, &values))
            };
            match inner {
                kernel_syntax::Type::Tensor { axes, element, .. } => {
                    let s = if let kernel_syntax::Type::Scalar(s) = **element { s } else { Scalar::F32 };
                    *a = fresh(&mut d, s, vec![n; axes.len()]);
                }
                kernel_syntax::Type::Ternary { .. } => {
                    let values: Vec<f64> = (0..n * n).map(|_| d.roll(3) as f64 - 1.0).collect();
                    *a = Arg::Ternary(ArrayValue::from_f64(Scalar::I8, vec![n, n], &values), 1.5);
                }
                _ => {}
            }
        }
        agree(&k, &args);
    }
}
