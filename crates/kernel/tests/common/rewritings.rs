//! Rewritings composed at random: texts of kernels that keep the meaning of a listing, and arguments for them.
#![allow(dead_code, missing_docs, unreachable_pub)]

use kernel::{Arg, ArrayValue, Kernel, Scalar, Value};

/// Random choices that a seed repeats.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }

    pub fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len())]
    }

    pub fn number(&mut self) -> f64 {
        self.roll(4001) as f64 / 1000.0 - 2.0
    }
}

/// A loop over `0..n` in some form; `body` is given the name of the index.
fn loop_over(d: &mut Dice, n: &str, i: &str, body: &dyn Fn(&mut Dice, &str) -> String) -> String {
    match d.roll(8) {
        0 => format!("for {i} in 0..{n} {{ {} }}", body(d, i)),
        1 => format!("for {i} in (0..{n}).rev() {{ {} }}", body(d, i)),
        2 => format!(
            "for {i}b in (0..{n}).step_by(4) {{ for {i} in {i}b..({i}b + 4).min({n}) {{ {} }} }}",
            body(d, i)
        ),
        3 => format!(
            "for {i}b in 0..{n} / 2 {{ for {i}r in 0..2 {{ let {i} = {i}b * 2 + {i}r; {} }} }}",
            body(d, i)
        ),
        4 => format!("(0..{n}).for_each(|{i}| {{ {} }});", body(d, i)),
        5 => {
            let (a, b) = (format!("{i}b * 2"), format!("1 + 2 * {i}b"));
            format!(
                "for {i}b in 0..{n} / 2 {{ {{ let {i} = {a}; {} }} {{ let {i} = {b}; {} }} }}",
                body(d, i),
                body(d, i)
            )
        }
        6 => {
            format!("for {i} in 0..{n} / 2 {{ {} }} for {i} in {n} / 2..{n} {{ {} }}", body(d, i), body(d, i))
        }
        _ => format!("for {i} in 1..{n} + 1 {{ let {i} = {i} - 1; {} }}", body(d, i)),
    }
}

/// `place += t · x` for a trit.
fn accumulate(d: &mut Dice, place: &str, t: &str, x: &str) -> String {
    let (plus, minus) = match d.roll(3) {
        0 => (format!("{place} += {x}"), format!("{place} -= {x}")),
        1 => (format!("{place} = {place} + {x}"), format!("{place} = {place} - {x}")),
        _ => (format!("{place} = {x} + {place}"), format!("{place} += -{x}")),
    };
    match d.roll(8) {
        0 => format!("match {t} {{ 1 => {plus}, -1 => {minus}, _ => {{}} }}"),
        1 => format!("match {t} {{ -1 => {{ {minus}; }} 0 => {{}} _ => {{ {plus}; }} }}"),
        2 => format!("if {t} == 1 {{ {plus}; }} else if {t} == -1 {{ {minus}; }}"),
        3 => format!("if 0 > {t} {{ {minus}; }} if {t} > 0 {{ {plus}; }}"),
        4 => format!("{place} += {t} as f32 * {x};"),
        5 => format!("if {t} != 0 {{ if {t} > 0 {{ {plus}; }} else {{ {minus}; }} }}"),
        6 => format!(
            "let z = if {t} == 1 {{ {x} }} else if {t} == -1 {{ -{x} }} else {{ 0.0 }}; {place} += z;"
        ),
        _ => format!("{place} = f32::from({t}).mul_add({x}, {place});"),
    }
}

pub fn ternary(d: &mut Dice) -> (String, &'static str) {
    let typed = d.roll(2) == 0;
    let (params, k, m) = match typed {
        true => (
            "w: &TernaryMatrix<In, Out>, x: &Tensor<(In,)>, y: &mut Tensor<(Out,)>",
            "w.inputs()",
            "w.outputs()",
        ),
        false => ("w: &[i8], x: &[f32], y: &mut [f32]", "x.len()", "y.len()"),
    };
    let trit = move |o: &str, j: &str| match typed {
        true => format!("w.trit({o}, {j})"),
        false => format!("w[{o} * x.len() + {j}]"),
    };
    let at = move |a: &str, i: &str| if typed { format!("{a}[[{i}]]") } else { format!("{a}[{i}]") };
    let scale = if typed { d.pick(&["", " * w.scale_factor()", " / w.scale()"]) } else { "" };
    let inside = d.roll(2) == 0;
    let input = move |j: &str| {
        if inside && !scale.is_empty() { format!("({}{scale})", at("x", j)) } else { at("x", j) }
    };
    let outside = if inside { "" } else { scale };
    let body = match d.roll(3) {
        // A local sum.
        0 => loop_over(d, m, "o", &|d, o| {
            let inner = loop_over(d, k, "j", &|d, j| accumulate(d, "sum", &trit(o, j), &input(j)));
            format!("let mut sum = 0.0; {inner} {} = sum{outside};", at("y", o))
        }),
        // Into the result.
        1 => loop_over(d, m, "o", &|d, o| {
            let place = at("y", o);
            let inner = loop_over(d, k, "j", &|d, j| accumulate(d, &place, &trit(o, j), &input(j)));
            let after =
                if outside.is_empty() { String::new() } else { format!("{place} = {place}{outside};") };
            format!("{place} = 0.0; {inner} {after}")
        }),
        // Zeroed first, the inputs outermost.
        _ => {
            let zero = loop_over(d, m, "o", &|_, o| format!("{} = 0.0;", at("y", o)));
            let sums = loop_over(d, k, "j", &|d, j| {
                loop_over(d, m, "o", &|d, o| accumulate(d, &at("y", o), &trit(o, j), &input(j)))
            });
            let after = match outside.is_empty() {
                true => String::new(),
                false => loop_over(d, m, "o", &|_, o| format!("{0} = {0}{outside};", at("y", o))),
            };
            format!("{zero} {sums} {after}")
        }
    };
    // Integers that are nowhere compared with a trit are any integers.
    let compares = ["match", "== ", "!= 0", "> 0 ", "0 > "].iter().any(|c| body.contains(c));
    let op = match (scale.is_empty(), typed || compares) {
        (_, false) => "linear",
        (true, true) => "ternary_accumulate",
        (false, true) => "ternary_linear",
    };
    (format!("fn f({params}) {{ {body} }}"), op)
}

/// a · b + c · d in some order.
fn sum_of(d: &mut Dice, a: &str, b: &str) -> String {
    match d.roll(4) {
        0 => format!("{a} + {b}"),
        1 => format!("{b} + {a}"),
        2 => format!("{b} - (-({a}))"),
        _ => format!("{{ let left = {a}; let right = {b}; left + right }}"),
    }
}

fn product_of(d: &mut Dice, a: &str, b: &str) -> String {
    match d.roll(3) {
        0 => format!("{a} * {b}"),
        1 => format!("{b} * {a}"),
        _ => format!("({a}) * ({b})"),
    }
}

pub fn state_space(d: &mut Dice) -> String {
    let next = |d: &mut Dice| {
        let (a, b) = (product_of(d, "a[i]", "s[i]"), product_of(d, "b[i]", "x"));
        sum_of(d, &a, &b)
    };
    let body = match d.roll(3) {
        0 => loop_over(d, "s.len()", "i", &|d, _| {
            let (n, y) = (next(d), product_of(d, "c[i]", "s[i]"));
            format!("s[i] = {n}; y += {y};")
        }),
        1 => {
            let first = loop_over(d, "s.len()", "i", &|d, _| format!("s[i] = {};", next(d)));
            let second =
                loop_over(d, "s.len()", "i", &|d, _| format!("y += {};", product_of(d, "c[i]", "s[i]")));
            format!("{first} {second}")
        }
        _ => {
            let first = loop_over(d, "s.len()", "i", &|d, _| format!("fresh[i] = {};", next(d)));
            let second = loop_over(d, "s.len()", "i", &|d, _| {
                format!("y += {}; s[i] = fresh[i];", product_of(d, "c[i]", "fresh[i]"))
            });
            format!("let mut fresh = vec![0.0; s.len()]; {first} {second}")
        }
    };
    format!(
        "fn f(s: &mut [f32], x: f32, a: &[f32], b: &[f32], c: &[f32]) -> f32 {{ let mut y = 0.0; {body} y }}"
    )
}

pub fn gated(d: &mut Dice) -> String {
    let squash = d.pick(&[
        "f[i]",
        "1.0 / (1.0 + (-f[i]).exp())",
        "f[i].exp() / (1.0 + f[i].exp())",
        "1.0 - 1.0 / (1.0 + f[i].exp())",
        "gate(f[i])",
    ]);
    let candidate = d.pick(&["c[i]", "c[i].tanh()", "2.0 / (1.0 + (-2.0 * c[i]).exp()) - 1.0"]);
    let body = loop_over(d, "h.len()", "i", &|d, _| {
        let step = d.pick(&[
            "h[i] = g * h[i] + (1.0 - g) * v;",
            "h[i] = (1.0 - g) * v + h[i] * g;",
            "h[i] += (1.0 - g) * (v - h[i]);",
            "h[i] = v + g * (h[i] - v);",
            "h[i] = v - g * (v - h[i]);",
            "h[i] *= g; h[i] += v; h[i] -= g * v;",
            "let keep = g * h[i]; let rest = 1.0 - g; h[i] = rest.mul_add(v, keep);",
        ]);
        format!("let g = {squash}; let v = {candidate}; {step}")
    });
    format!(
        "fn gate(x: f32) -> f32 {{ 1.0 / (1.0 + (-x).exp()) }}
         fn f(h: &mut [f32], f: &[f32], c: &[f32]) {{ {body} }}"
    )
}

pub fn attention(d: &mut Dice) -> String {
    let phi = d.pick(&["{}.exp()", "({} * {})", "feature({})", "{}.max(0.0)"]);
    let of = |x: &str| phi.replace("{}", x);
    let (q, k) = (of("q[[i, j]]"), of("k[[t, j]]"));
    let state = {
        let inner = loop_over(d, "d", "j", &|d, _| {
            let values = loop_over(d, "e", "c", &|d, _| {
                format!("kv[j * e + c] += {};", product_of(d, "key", "v[[t, c]]"))
            });
            format!("let key = {k}; z[j] += key; {values}")
        });
        format!("for t in 0..n {{ {inner} }}")
    };
    let read = {
        let below = loop_over(d, "d", "j", &|_, _| format!("below += {q} * z[j];"));
        let above = loop_over(d, "e", "c", &|d, _| {
            let sum =
                loop_over(d, "d", "j", &|d, _| format!("above += {};", product_of(d, &q, "kv[j * e + c]")));
            format!("let mut above = 0.0; {sum} y[[i, c]] = above / below;")
        });
        format!("for i in 0..n {{ let mut below = 0.0; {below} {above} }}")
    };
    format!(
        "fn feature(x: f32) -> f32 {{ if x > 0.0 {{ x + 1.0 }} else {{ x.exp() }} }}
         fn f(q: &Tensor<(Seq, Dim)>, k: &Tensor<(Seq, Dim)>, v: &Tensor<(Seq, Val)>, y: &mut Tensor<(Seq, Val)>) {{
             let [n, d] = q.dims(); let e = v.dims()[1];
             let mut kv = vec![0.0; d * e]; let mut z = vec![0.0; d];
             {state} {read}
         }}"
    )
}

pub fn kernel(text: &str) -> Kernel {
    let all = Kernel::parse(text, "random.rs").unwrap_or_else(|e| panic!("{e}\n{text}"));
    all.into_iter().find(|k| k.name() == "f").expect("a function f")
}

/// Arguments for a kernel, with even sizes where blocks have to fit.
pub fn arguments(d: &mut Dice, k: &Kernel) -> Vec<Arg> {
    let (m, n, e) = (2 * (1 + d.roll(3)), 2 * (1 + d.roll(4)), 2 + 2 * d.roll(2));
    let size = |axis: &str| match axis {
        "Out" | "Seq" => m,
        "In" | "Dim" => n,
        _ => e,
    };
    let slices = k.function().params.iter().any(|p| p.name == "w");
    let mut list = vec![];
    for p in &k.function().params {
        let inner = match &p.ty {
            kernel_syntax::Type::Ref(_, t) => t,
            t => t,
        };
        let floats = |d: &mut Dice, dims: Vec<usize>| {
            let values: Vec<f64> = (0..dims.iter().product()).map(|_| d.number()).collect();
            Arg::Array(ArrayValue::from_f64(Scalar::F32, dims, &values))
        };
        let trits = |d: &mut Dice, dims: Vec<usize>| {
            let values: Vec<f64> = (0..dims.iter().product()).map(|_| d.roll(3) as f64 - 1.0).collect();
            ArrayValue::from_f64(Scalar::I8, dims, &values)
        };
        list.push(match inner {
            kernel_syntax::Type::Ternary { .. } => Arg::Ternary(trits(d, vec![m, n]), 1.5),
            kernel_syntax::Type::Tensor { axes, .. } => floats(d, axes.iter().map(|a| size(a)).collect()),
            kernel_syntax::Type::Scalar(_) => Arg::Scalar(Value::F32(d.number() as f32)),
            _ if p.name == "w" => Arg::Array(trits(d, vec![m * n])),
            _ if p.name == "y" => floats(d, vec![m]),
            _ if slices => floats(d, vec![n]),
            _ => floats(d, vec![n]),
        });
    }
    list
}

/// A random number generator of its own for each case.
pub fn dice(seed: u64) -> Dice {
    let mut d = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..4 {
        d.roll(2);
    }
    d
}
