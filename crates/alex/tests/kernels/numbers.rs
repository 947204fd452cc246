//! Every operator, method and conversion of every number type, at the ends of their ranges: what the interpreter gives, or
//! its error.

use crate::{compiled, compiler};
use kernel::{Arg, Kernel, KernelError, Scalar, Value};

const INTS: [Scalar; 10] = [
    Scalar::I8,
    Scalar::I16,
    Scalar::I32,
    Scalar::I64,
    Scalar::Isize,
    Scalar::U8,
    Scalar::U16,
    Scalar::U32,
    Scalar::U64,
    Scalar::Usize,
];

fn values(s: Scalar) -> Vec<Value> {
    let floats = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        -0.75,
        3.7,
        127.0,
        128.0,
        -128.0,
        -129.0,
        255.5,
        32768.0,
        65535.9,
        2147483648.0,
        -2147483648.0,
        -2147483649.0,
        4294967296.0,
        9.3e18,
        -9.3e18,
        1.9e19,
        1e30,
        1e-30,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    match s {
        Scalar::F32 => floats.iter().map(|x| Value::F32(*x as f32)).collect(),
        Scalar::F64 => floats.iter().map(|x| Value::F64(*x)).collect(),
        Scalar::Bool => vec![Value::Bool(false), Value::Bool(true)],
        s => {
            let (low, high) = s.range().unwrap();
            let mut all: Vec<i128> = vec![
                low,
                low + 1,
                -7,
                -3,
                -2,
                -1,
                0,
                1,
                2,
                3,
                5,
                8,
                31,
                63,
                64,
                100,
                high / 2,
                high - 1,
                high,
            ];
            all.retain(|x| (low..=high).contains(x));
            all.dedup();
            all.into_iter().map(|x| Value::Int(x, s)).collect()
        }
    }
}

/// The same number, NaN included; the sign of zero of an extremum is nobody's.
fn same(a: &Arg, b: &Arg, close: bool) -> bool {
    let (x, y) = (a.to_f64(), b.to_f64());
    if let (Arg::Scalar(Value::Int(i, s)), Arg::Scalar(Value::Int(j, t))) = (a, b) {
        return (i, s) == (j, t);
    }
    let near = |a: f64, b: f64| close && (a - b).abs() <= 1e-6 * b.abs().max(1e-30);
    x.iter().zip(&y).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()) || near(*a, *b))
}

fn held(texts: &[String]) {
    let Some(compiler) = compiler() else { return };
    let kernels: Vec<Kernel> = texts
        .iter()
        .map(|t| Kernel::parse_one(t, "n.rs", "f").unwrap_or_else(|e| panic!("{e}\n{t}")))
        .collect();
    // Quarters, so that one library is not too long.
    let mut calls = 0;
    for part in kernels.chunks(kernels.len().div_ceil(4).max(1)) {
        for (kernel, code) in part.iter().zip(compiled(part, &compiler)) {
            let program = kernel.program().unwrap();
            let types: Vec<Scalar> = program
                .params
                .iter()
                .map(|p| {
                    if let kernel::program::Slot::Scalar(v) = p.slot {
                        program.var_ty(v)
                    } else {
                        Scalar::Bool
                    }
                })
                .collect();
            let mut lists: Vec<Vec<Arg>> = vec![vec![]];
            for t in types {
                let next = lists
                    .iter()
                    .flat_map(|l| values(t).into_iter().map(move |v| [&l[..], &[Arg::Scalar(v)]].concat()));
                lists = next.collect();
            }
            let powers = kernel.text().contains("powi");
            for args in lists {
                calls += 1;
                match (kernel.interpret(&args), code.call(&args)) {
                    (Ok(a), Ok(b)) => {
                        let fits = same(&b.results[0], &a.results[0], powers);
                        assert!(
                            fits,
                            "{}: {args:?}: {:?}, expected {:?}",
                            kernel.text(),
                            b.results,
                            a.results
                        );
                    }
                    (Err(a @ KernelError::Evaluation { .. }), Err(b)) => {
                        assert_eq!(a.to_string(), b.to_string(), "{}: {args:?}", kernel.text());
                    }
                    (a, b) => panic!("{}: {args:?}: {b:?}, expected {a:?}", kernel.text()),
                }
            }
        }
    }
    println!("{} functions, {calls} calls", texts.len());
}

#[test]
fn operators_of_integers() {
    let mut texts = vec![];
    for s in INTS.map(Scalar::name) {
        for op in ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"] {
            texts.push(format!("fn f(x: {s}, y: {s}) -> {s} {{\n    x {op} y\n}}"));
        }
        for op in ["==", "!=", "<", "<=", ">", ">="] {
            texts.push(format!("fn f(x: {s}, y: {s}) -> bool {{ x {op} y }}"));
        }
        texts.push(format!("fn f(x: {s}) -> {s} {{ -x }}"));
    }
    held(&texts);
}

#[test]
fn methods_of_integers() {
    let mut texts = vec![];
    for s in INTS {
        for f in [
            "max",
            "min",
            "wrapping_add",
            "wrapping_sub",
            "wrapping_mul",
            "saturating_sub",
            "div_euclid",
            "rem_euclid",
            "abs_diff",
        ] {
            texts.push(format!("fn f(x: {0}, y: {0}) -> {0} {{ x.{f}(y) }}", s.name()));
        }
        if s.range().unwrap().0 < 0 {
            for f in ["abs", "signum"] {
                texts.push(format!("fn f(x: {0}) -> {0} {{ x.{f}() }}", s.name()));
            }
        } else {
            texts.push(format!("fn f(x: {0}, y: {0}) -> {0} {{ x.div_ceil(y) }}", s.name()));
            texts.push(format!("fn f(x: {0}, y: {0}) -> bool {{ x.is_multiple_of(y) }}", s.name()));
        }
    }
    for s in ["i8", "u64"] {
        texts.push(format!("fn f(x: {s}, a: {s}, b: {s}) -> {s} {{ x.clamp(a, b) }}"));
    }
    held(&texts);
}

#[test]
fn conversions() {
    let mut texts = vec![];
    for (_, a) in Scalar::ALL {
        for (s, b) in Scalar::ALL {
            let float_of_truth = a == "bool" && s.is_float();
            if s != Scalar::Bool && !float_of_truth {
                texts.push(format!("fn f(x: {a}) -> {b} {{ x as {b} }}"));
            }
        }
    }
    held(&texts);
}

#[test]
fn floats_and_truths() {
    let mut texts = vec![];
    for s in ["f32", "f64"] {
        for op in ["+", "-", "*", "/", "%"] {
            texts.push(format!("fn f(x: {s}, y: {s}) -> {s} {{ x {op} y }}"));
        }
        for op in ["==", "!=", "<", "<=", ">", ">="] {
            texts.push(format!("fn f(x: {s}, y: {s}) -> bool {{ x {op} y }}"));
        }
        for f in ["max", "min", "powf", "div_euclid", "rem_euclid"] {
            texts.push(format!("fn f(x: {s}, y: {s}) -> {s} {{ x.{f}(y) }}"));
        }
        for f in [
            "abs",
            "ceil",
            "cos",
            "exp",
            "exp2",
            "exp_m1",
            "floor",
            "ln",
            "ln_1p",
            "recip",
            "round",
            "round_ties_even",
            "signum",
            "sin",
            "sqrt",
            "tanh",
            "trunc",
        ] {
            texts.push(format!("fn f(x: {s}) -> {s} {{ x.{f}() }}"));
        }
        texts.push(format!("fn f(x: {s}) -> {s} {{ -x }}"));
        texts.push(format!("fn f(x: {s}, n: i32) -> {s} {{ x.powi(n) }}"));
        texts.push(format!("fn f(x: {s}, y: {s}, z: {s}) -> {s} {{ x.mul_add(y, z) }}"));
        texts.push(format!("fn f(x: {s}, y: {s}, z: {s}) -> {s} {{ x.clamp(y, z) }}"));
    }
    for op in ["&", "|", "^", "==", "!=", "<", "<=", ">", ">=", "&&", "||"] {
        texts.push(format!("fn f(x: bool, y: bool) -> bool {{ x {op} y }}"));
    }
    texts.push("fn f(x: bool) -> bool { !x }".into());
    held(&texts);
}
