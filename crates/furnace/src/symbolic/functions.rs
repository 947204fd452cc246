//! The functions and constants of the expression language, as a table.

use graph::{Attrs, Op, Type, Var};

/// A function by its name.
pub(super) struct Function {
    /// What it is called in an expression.
    pub(super) name: &'static str,
    /// How many arguments it takes, at least and at most.
    pub(super) arity: (usize, usize),
    /// Its graph; `None` where the op table lacks what it needs.
    pub(super) build: fn(&[Var]) -> Option<Var>,
}

/// An op of the table by its name, on one operand.
fn op(name: &str, x: &Var) -> Option<Var> {
    Some(x.cx().push1(Op::from_name(name)?, Attrs::new(), &[x]))
}

fn fold(list: &[Var], f: fn(&Var, &Var) -> Var) -> Option<Var> {
    let (first, rest) = list.split_first()?;
    Some(rest.iter().fold(first.clone(), |a, b| f(&a, b)))
}

fn decimal(like: &Var, text: &str) -> Var {
    like.cx().decimal(&like.ty(), text)
}

macro_rules! functions {
    ($($name:literal, $low:literal ..= $high:literal, |$a:ident| $build:expr;)*) => {
        /// Every function, in the order of the documentation.
        pub(super) const FUNCTIONS: &[Function] = &[$(
            Function { name: $name, arity: ($low, $high), build: |$a: &[Var]| $build }
        ),*];
    };
}

functions! {
    "exp", 1..=1, |a| Some(a[0].exp());
    "log", 1..=1, |a| Some(a[0].log());
    "ln", 1..=1, |a| Some(a[0].log());
    "log2", 1..=1, |a| Some(a[0].log() / a[0].full_like(2.0).log());
    "log10", 1..=1, |a| Some(a[0].log() / a[0].full_like(10.0).log());
    "sqrt", 1..=1, |a| Some(a[0].sqrt());
    "pow", 2..=2, |a| Some(a[0].pow(&a[1]));
    "sin", 1..=1, |a| Some(a[0].sin());
    "cos", 1..=1, |a| Some(a[0].cos());
    "tan", 1..=1, |a| op("tan", &a[0]).or_else(|| Some(a[0].sin() / a[0].cos()));
    "asin", 1..=1, |a| op("asin", &a[0]);
    "acos", 1..=1, |a| op("acos", &a[0]);
    "atan", 1..=1, |a| op("atan", &a[0]);
    "sinh", 1..=1, |a| op("sinh", &a[0]).or_else(|| Some((a[0].exp() - (-&a[0]).exp()) * 0.5));
    "cosh", 1..=1, |a| op("cosh", &a[0]).or_else(|| Some((a[0].exp() + (-&a[0]).exp()) * 0.5));
    "tanh", 1..=1, |a| Some(a[0].tanh());
    "erf", 1..=1, |a| op("erf", &a[0]);
    "abs", 1..=1, |a| Some(a[0].abs());
    "sign", 1..=1, |a| Some(a[0].sign());
    "max", 2..=64, |a| fold(a, Var::max);
    "min", 2..=64, |a| fold(a, Var::min);
    "clamp", 3..=3, |a| Some(a[0].max(&a[1]).min(&a[2]));
    "floor", 1..=1, |a| Some(a[0].floor());
    "ceil", 1..=1, |a| Some(-(-&a[0]).floor());
    "round", 1..=1, |a| Some(a[0].round_half_even());
    "round_away", 1..=1, |a| Some(a[0].round_half_away());
    "relu", 1..=1, |a| Some(a[0].relu());
    "leaky_relu", 2..=2, |a| {
        let zero = a[0].full_like(0.0);
        Some(a[0].lt(&zero).select(&(&a[1] * &a[0]), &a[0]))
    };
    "elu", 1..=1, |a| {
        let zero = a[0].full_like(0.0);
        Some(a[0].lt(&zero).select(&(a[0].exp() - 1.0), &a[0]))
    };
    "sigmoid", 1..=1, |a| Some(a[0].sigmoid());
    "silu", 1..=1, |a| Some(a[0].silu());
    "softplus", 1..=1, |a| op("softplus", &a[0]).or_else(|| Some((a[0].exp() + 1.0).log()));
    "gelu", 1..=1, |a| {
        // The exact form where there is an error function, else the usual one by tanh.
        let half = &a[0] * 0.5;
        Some(match op("erf", &(&a[0] / &a[0].full_like(2.0).sqrt())) {
            Some(e) => half * (e + 1.0),
            None => gelu_tanh(&a[0])?,
        })
    };
    "gelu_tanh", 1..=1, |a| gelu_tanh(&a[0]);
}

/// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), Hendrycks and Gimpel 2016.
fn gelu_tanh(x: &Var) -> Option<Var> {
    let cube = x.powf(3.0) * decimal(x, "0.044715");
    let slope = (2.0 / pi(x)).sqrt();
    Some(x * 0.5 * ((slope * (x + &cube)).tanh() + 1.0))
}

/// π to as many digits as the arithmetic has.
fn pi(like: &Var) -> Var {
    let minus_one = like.full_like(-1.0);
    op("acos", &minus_one).unwrap_or_else(|| decimal(like, PI))
}

/// π where the op table has no inverse cosine.
pub(super) const PI: &str = "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651328230664709384460955058223172535940812848111745028410270193852110555964462294895493038196";

/// A constant by its name.
pub(super) fn constant(cx: &graph::Cx, name: &str) -> Option<Var> {
    let one = || cx.full(&Type::scalar(axes::DType::F64), 1.0);
    match name {
        "pi" | "π" => Some(pi(&one())),
        // By the function rather than by digits: right in every precision.
        "e" => Some(one().exp()),
        _ => None,
    }
}

/// The name nearest to one that does not exist, if it is near.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let close = |f: &&Function| distance(&lower, f.name) <= 1 + usize::from(name.len() > 5);
    FUNCTIONS.iter().filter(close).min_by_key(|f| distance(&lower, f.name)).map(|f| f.name)
}

/// How many letters have to change, two neighbours that changed places being one change (Damerau 1964).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = rows[i][j] + usize::from(a[i] != b[j]);
            let mut least = change.min(row[j] + 1).min(rows[i][j + 1] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
