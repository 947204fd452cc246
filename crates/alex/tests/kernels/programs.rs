//! Whole programs: the listings' rewritings, and random statements that nobody thought of.

#[path = "../../../kernel/tests/common/rewritings.rs"]
mod rewritings;
#[path = "../../../kernel/tests/common/unseen.rs"]
mod unseen;

use crate::{compiled, compiler};
use kernel::{Arg, ArrayValue, Kernel, KernelError, Scalar, Value};
use rewritings::{Dice, arguments, attention, dice, gated, kernel, state_space, ternary};

/// Compiled code gives the interpreter's bits, or its error.
fn agree(kernel: &Kernel, code: &alex::kernels::Compiled, args: &[Arg]) -> bool {
    match (kernel.interpret(args), code.call(args)) {
        (Ok(a), Ok(b)) => {
            let pairs = a.results.iter().zip(&b.results).chain(a.args.iter().zip(&b.args));
            for (x, y) in pairs {
                let (p, q) = (x.to_f64(), y.to_f64());
                let same =
                    p.len() == q.len() && p.iter().zip(&q).all(|(p, q)| p == q || (p.is_nan() && q.is_nan()));
                assert!(same, "{y:?}, expected {x:?}\n{}", kernel.text());
            }
            true
        }
        (Err(a @ KernelError::Evaluation { .. }), Err(b)) => {
            assert_eq!(a.to_string(), b.to_string(), "{}", kernel.text());
            false
        }
        (a, b) => panic!("{b:?}, expected {a:?}\n{}", kernel.text()),
    }
}

#[test]
fn rewritings_of_the_listings() {
    let Some(compiler) = compiler() else { return };
    let mut d = dice(0x5EED);
    let mut texts: Vec<String> = vec![];
    for _ in 0..20 {
        texts.extend([ternary(&mut d).0, state_space(&mut d), gated(&mut d), attention(&mut d)]);
    }
    let kernels: Vec<Kernel> = texts.iter().map(|t| kernel(t)).collect();
    let mut calls = 0;
    for part in kernels.chunks(20) {
        for (k, code) in part.iter().zip(compiled(part, &compiler)) {
            for _ in 0..5 {
                let args = arguments(&mut d, k);
                agree(k, &code, &args);
                calls += 1;
            }
        }
    }
    println!("{} programs, {calls} calls", kernels.len());
}

#[test]
fn rewritings_that_were_not_looked_at() {
    let Some(compiler) = compiler() else { return };
    let same = unseen::SAME.iter().map(|(_, a, body, helpers)| (*a, *body, *helpers));
    let all = same.chain(unseen::OTHER.iter().map(|(_, a, body)| (*a, *body, "")));
    let kernels: Vec<Kernel> = all
        .map(|(a, body, helpers)| kernel(&format!("{helpers}\n#[kernel]\nfn f({a}) {{ {body} }}")))
        .collect();
    let mut d = dice(7);
    for (k, code) in kernels.iter().zip(compiled(&kernels, &compiler)) {
        for _ in 0..5 {
            let mut args = arguments(&mut d, k);
            for (p, a) in k.function().params.iter().zip(&mut args) {
                let inner = if let kernel_syntax::Type::Ref(_, t) = &p.ty { t } else { &p.ty };
                // The listings of integers; lengths of the others' axes.
                if let (kernel_syntax::Type::Tensor { element, .. }, Arg::Array(v)) = (inner, &mut *a)
                    && let kernel_syntax::Type::Scalar(s) = **element
                    && s.is_int()
                {
                    let made: Vec<f64> = v.to_f64().iter().map(|x| (x * 60.0).round()).collect();
                    *a = Arg::Array(ArrayValue::from_f64(s, v.dims.clone(), &made));
                }
            }
            agree(k, &code, &args);
        }
    }
}

/// Statements that use whatever is in sight, right or wrong.
struct Writer<'d> {
    d: &'d mut Dice,
    next: usize,
    left: usize,
}

impl Writer<'_> {
    fn integer(&mut self, ints: &[String], deep: usize) -> String {
        if deep == 0 || self.d.roll(3) == 0 {
            return match self.d.roll(5) {
                0 => format!("{}", self.d.roll(7)),
                1 => format!("p[{} as usize % 9]", ints[self.d.roll(ints.len())]),
                _ => ints[self.d.roll(ints.len())].clone(),
            };
        }
        let (a, b) = (self.integer(ints, deep - 1), self.integer(ints, deep - 1));
        match self.d.roll(9) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            2 => format!("({a} * {b})"),
            3 => format!("({a} / ({b} + 11))"),
            4 => format!("({a} % ({b} * {b} + 1))"),
            5 => format!("{a}.min({b})"),
            6 => format!("{a}.wrapping_mul({b})"),
            7 => format!("(if {a} < {b} {{ {a} }} else {{ {b} }})"),
            _ => format!("({a} as i8 as i32)"),
        }
    }

    fn float(&mut self, ints: &[String], floats: &[String], deep: usize) -> String {
        if deep == 0 || self.d.roll(3) == 0 {
            let i = ints[self.d.roll(ints.len())].clone();
            return match self.d.roll(5) {
                0 => format!("({} as f32)", i),
                1 => format!("x[{i} as usize % x.len()]"),
                2 => "0.5".into(),
                _ => floats[self.d.roll(floats.len())].clone(),
            };
        }
        let (a, b) = (self.float(ints, floats, deep - 1), self.float(ints, floats, deep - 1));
        match self.d.roll(8) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            2 => format!("({a} * {b})"),
            3 => format!("({a} / ({b} * {b} + 1.0))"),
            4 => format!("{a}.tanh()"),
            5 => format!("{a}.max({b})"),
            6 => format!("(if {a} > {b} && {b} > 0.0 {{ {a} }} else {{ -{b} }})"),
            _ => format!("{a}.abs().sqrt()"),
        }
    }

    fn block(&mut self, ints: &[String], floats: &[String], deep: usize) -> String {
        let (mut ints, mut floats) = (ints.to_vec(), floats.to_vec());
        let mut out = String::new();
        for _ in 0..1 + self.d.roll(4) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            self.next += 1;
            let n = self.next;
            let line = match self.d.roll(if deep == 0 { 6 } else { 10 }) {
                0 => {
                    let e = self.integer(&ints, 2);
                    ints.push(format!("i{n}"));
                    format!("let i{n}: i32 = {e};")
                }
                1 => {
                    let e = self.float(&ints, &floats, 3);
                    floats.push(format!("f{n}"));
                    format!("let f{n}: f32 = {e};")
                }
                2 => format!("a = {};", self.integer(&ints, 3)),
                3 => format!("s += {};", self.float(&ints, &floats, 3)),
                4 => {
                    format!("y[{} as usize % 8] = {};", self.integer(&ints, 1), self.float(&ints, &floats, 2))
                }
                5 => format!("p[{} as usize % 9] += {};", self.integer(&ints, 1), self.integer(&ints, 2)),
                6 | 7 => {
                    let (c, e) = (self.integer(&ints, 1), self.integer(&ints, 1));
                    let (x, z) = (self.block(&ints, &floats, deep - 1), self.block(&ints, &floats, deep - 1));
                    format!("if {c} < {e} {{ {x} }} else {{ {z} }}")
                }
                8 => {
                    let mut inner = ints.clone();
                    inner.push(format!("(j{n} as i32)"));
                    let body = self.block(&inner, &floats, deep - 1);
                    format!("for j{n} in 0..({} as usize % 5) {{ {body} }}", self.integer(&ints, 1))
                }
                _ => {
                    let size = self.integer(&ints, 1);
                    let mut inner = floats.clone();
                    inner.push(format!("v{n}[({} as usize) % (v{n}.len() + {})]", ints[0], self.d.roll(2)));
                    let body = self.block(&ints, &inner, deep - 1);
                    format!(
                        "let mut v{n} = vec![0.25f32; {size} as usize % 6 + 1]; v{n}[0] = s; {body} s += v{n}[{} as usize % 7];",
                        ints[self.d.roll(ints.len())]
                    )
                }
            };
            out.push_str(&line);
            out.push('\n');
        }
        out
    }
}

#[test]
fn random_programs() {
    let Some(compiler) = compiler() else { return };
    let mut d = dice(2026);
    let mut kernels = vec![];
    for _ in 0..60 {
        let mut w = Writer { d: &mut d, next: 0, left: 24 };
        let (ints, floats) = (vec!["a".to_string(), "b".into()], vec!["s".to_string(), "z".into()]);
        let body = w.block(&ints, &floats, 3) + &w.block(&ints, &floats, 2);
        kernels.push(kernel(&format!(
            "fn f(b: i32, z: f32, x: &[f32], p: &mut [i32], y: &mut [f32]) -> (f32, i32) {{\nlet mut a: i32 = 1;\nlet mut s: f32 = 0.0;\n{body}(s, a)\n}}"
        )));
    }
    let (mut fine, mut stopped) = (0, 0);
    for part in kernels.chunks(15) {
        for (k, code) in part.iter().zip(compiled(part, &compiler)) {
            for round in 0..12 {
                let floats = |d: &mut Dice, n: usize| {
                    let values: Vec<f64> = (0..n).map(|_| d.number()).collect();
                    Arg::Array(ArrayValue::from_f64(Scalar::F32, vec![n], &values))
                };
                let size = if round % 3 == 0 { 1 << 20 } else { 40 };
                let p: Vec<f64> = (0..9).map(|_| (d.number() * size as f64).round()).collect();
                let b = Value::Int((d.roll(2 * size) as i128) - size as i128, Scalar::I32);
                let n = 1 + d.roll(8);
                let args = [
                    Arg::Scalar(b),
                    Arg::Scalar(Value::F32(d.number() as f32)),
                    floats(&mut d, n),
                    Arg::Array(ArrayValue::from_f64(Scalar::I32, vec![9], &p)),
                    floats(&mut d, 8),
                ];
                if agree(k, &code, &args) { fine += 1 } else { stopped += 1 }
            }
        }
    }
    println!("{} programs: {fine} calls ended, {stopped} stopped where Rust would panic", kernels.len());
    assert!(fine > 100 && stopped > 20, "{fine} and {stopped}");
}

#[test]
fn what_stops_a_kernel_names_the_line() {
    let Some(compiler) = compiler() else { return };
    let ints = |v: &[i64]| {
        Arg::Array(ArrayValue::from_f64(
            Scalar::I32,
            vec![v.len()],
            &v.iter().map(|x| *x as f64).collect::<Vec<_>>(),
        ))
    };
    let list: [(&str, Vec<Arg>, &str); 9] = [
        (
            "fn f(x: &[f32]) -> f32 {\n    x[3]\n}",
            vec![(&[1.0f32; 3]).into()],
            "f, line 2: index 3 is out of range for `x`, which has 3",
        ),
        (
            "fn f(x: &[i32]) -> i32 {\n let mut s = 0;\n for i in 0..9 { s += x[i]; }\n s\n}",
            vec![ints(&[1, 2])],
            "f, line 3: index 2 is out of range for `x`, which has 2",
        ),
        (
            "fn f(x: &[i32]) -> i32 {\n let mut s = 0;\n for v in x { s += v; }\n s\n}",
            vec![ints(&[2147483647, 1])],
            "f, line 3: `+` overflows i32",
        ),
        (
            "fn f(n: usize, m: usize) -> f32 {\n let mut s = 0.0;\n for i in 0..n - m { s += 1.0; }\n s\n}",
            vec![3usize.into(), 5usize.into()],
            "f, line 3: `-` overflows usize",
        ),
        (
            "fn f(n: usize) -> f32 {\n let v = vec![0.0; n];\n v[0]\n}",
            vec![(1usize << 60).into()],
            "f, line 2: the arrays hold more than 268435456 elements",
        ),
        (
            "fn f(n: usize) -> Vec<f32> {\n let v = vec![0.5; n];\n let w = vec![0.0; n * n * n];\n let u = w[n];\n v\n}",
            vec![7usize.into()],
            "",
        ),
        (
            "fn f(x: &[f32], y: &mut [f32]) {\n y.copy_from_slice(x);\n}",
            vec![(&[1.0f32; 3]).into(), (&[1.0f32; 2]).into()],
            "f, line 2: the arrays have different lengths",
        ),
        ("fn f(x: i32) -> i32 {\n x % (x - x)\n}", vec![5.into()], "f, line 2: division by zero"),
        (
            "fn f(n: usize) -> Vec<f32> {\n let v = vec![0.5; n];\n let w = vec![0.0; n * 1000000000];\n v\n}",
            vec![7usize.into()],
            "f, line 3: the arrays hold more than 268435456 elements",
        ),
    ];
    let kernels: Vec<Kernel> = list.iter().map(|(t, ..)| kernel(t)).collect();
    for ((k, code), (_, args, problem)) in kernels.iter().zip(compiled(&kernels, &compiler)).zip(&list) {
        let ended = agree(k, &code, args);
        assert_eq!(ended, problem.is_empty(), "{}", k.text());
        if !ended {
            assert_eq!(code.call(args).unwrap_err().to_string(), *problem);
        }
    }
    let wrong = compiled(&kernels[..1], &compiler).remove(0).call(&[7.into()]).unwrap_err().to_string();
    assert!(wrong.contains("argument `x`: expected f32[_], found i32"), "{wrong}");
}
