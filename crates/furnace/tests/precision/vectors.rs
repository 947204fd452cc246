//! Sums, differences, products, quotients and roots equal the correctly rounded result to the bit; functions lie within
//! 2 units in the last place of it.

use furnace::precision::{Digits, F128};
use graph::Scalar;

/// Enough digits to hold every operand and difference exactly.
const WIDE: usize = 600;

/// `[-]HEX@E` as a number of [`WIDE`] digits, and the exponent of its leading bit plus one.
fn read(text: &str) -> (Digits, i64) {
    let (sign, body) = text.strip_prefix('-').map_or((1.0, text), |t| (-1.0, t));
    match body {
        "inf" => return (Digits::from_f64(sign * f64::INFINITY), 0),
        "nan" => return (Digits::from_f64(f64::NAN), 0),
        _ => {}
    }
    let (hex, exponent) = body.split_once('@').expect("HEX@E");
    let exponent: i64 = exponent.parse().expect("an exponent");
    let mut m = Digits::from_f64(0.0);
    let mut bits = 0;
    for d in hex.chars() {
        let d = d.to_digit(16).expect("a digit");
        bits = if bits == 0 { 32 - i64::from(d.leading_zeros()) } else { bits + 4 };
        m = m * Digits::from_f64(16.0) + Digits::from_f64(f64::from(d));
    }
    let two = Digits::from_f64(2.0);
    let scale = two.powf(&Digits::from_f64(exponent as f64));
    (m * scale * Digits::from_f64(sign), bits + exponent)
}

/// How far `got` is from the correct result, in units in the last place of `bits`; `lowest` is the exponent of the last
/// bit of the format's subnormals.
fn ulps(got: &Digits, text: &str, bits: i64, lowest: i64) -> f64 {
    let (want, top) = read(text);
    if want.is_nan() || want.to_f64().is_infinite() || got.to_f64().is_infinite() {
        let both = got.is_nan() && want.is_nan() || *got == want;
        return if both { 0.0 } else { f64::INFINITY };
    }
    let ulp = Digits::from_f64(2.0).powf(&Digits::from_f64((top - bits).max(lowest) as f64));
    ((got.clone() - want).abs() / ulp).to_f64()
}

fn apply<S: Scalar>(op: &str, args: &[S]) -> S {
    let x = args[0].clone();
    match op {
        "add" => x + args[1].clone(),
        "sub" => x - args[1].clone(),
        "mul" => x * args[1].clone(),
        "div" => x / args[1].clone(),
        "pow" => x.powf(&args[1]),
        "sqrt" => x.sqrt(),
        "exp" => x.exp(),
        "ln" => x.ln(),
        "tanh" => x.tanh(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "asin" => x.asin(),
        "acos" => x.acos(),
        "atan" => x.atan(),
        _ => panic!("unknown op {op}"),
    }
}

/// Runs the vectors of one format; `make` rounds an exact operand into it, `wide` reads it back.
fn check<S: Scalar>(
    format: &str,
    bits: i64,
    lowest: i64,
    make: impl Fn(&Digits) -> S,
    wide: impl Fn(S) -> Digits,
) {
    let mut worst: std::collections::BTreeMap<&str, f64> = Default::default();
    let mut count = 0;
    for line in include_str!("vectors.txt").lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        if parts[0] != format {
            continue;
        }
        let (op, args, want) = (parts[1], &parts[2..parts.len() - 1], parts[parts.len() - 1]);
        let args: Vec<S> = args.iter().map(|a| Digits::with(WIDE, || make(&read(a).0))).collect();
        let got = apply(op, &args);
        let off = Digits::with(WIDE, || ulps(&wide(got), want, bits, lowest));
        let exact = ["add", "sub", "mul", "div", "sqrt"].contains(&op);
        assert!(off <= if exact { 0.0 } else { 2.0 }, "{line}: {off} ulp");
        let w = worst.entry(op).or_default();
        *w = w.max(off);
        count += 1;
    }
    println!("{format}: {count} vectors; furthest in units in the last place: {worst:?}");
    assert!(count > 300, "{count} vectors");
}

#[test]
fn binary128() {
    check("f128", 113, -16494, |x| F128::from(x), Digits::from);
}

#[test]
fn digits_of_two_and_three_words() {
    for (digits, bits) in [(37, 128), (50, 192)] {
        Digits::with(digits, || {
            assert_eq!(Digits::bits(), bits);
            check(&format!("d{bits}"), bits as i64, i64::MIN, Clone::clone, |x| x);
        });
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn x87() {
    use furnace::precision::F80;
    check("f80", 64, -16445, |x| F80::from(x), Digits::from);
}

/// Bounds in units of 2^-106 of the result: those of Joldes, Muller and Popescu for the arithmetic, for functions 2 units in
/// the last place of 106 bits.
#[test]
fn double_double() {
    use furnace::precision::DoubleDouble;
    let bounds = [("add", 3.01), ("sub", 3.01), ("mul", 4.01), ("div", 9.81), ("sqrt", 3.13)];
    let mut worst: std::collections::BTreeMap<&str, f64> = Default::default();
    let mut count = 0;
    for line in include_str!("vectors.txt").lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        if parts[0] != "dd" {
            continue;
        }
        let (op, args, want) = (parts[1], &parts[2..parts.len() - 1], parts[parts.len() - 1]);
        let args: Vec<DoubleDouble> = Digits::with(WIDE, || {
            let pair = |a: &&str| {
                let (hi, lo) = a.split_once(',').expect("two doubles");
                DoubleDouble::new(read(hi).0.to_f64(), read(lo).0.to_f64())
            };
            args.iter().map(pair).collect()
        });
        let got = apply(op, &args);
        let off = Digits::with(WIDE, || {
            let want = read(want).0;
            if want == Digits::from_f64(0.0) {
                return if got == DoubleDouble::ZERO { 0.0 } else { f64::INFINITY };
            }
            ((Digits::from(got) - want.clone()) / want * Digits::from_f64(2f64.powi(106))).abs().to_f64()
        });
        let bound = bounds.iter().find(|b| b.0 == op).map_or(4.0, |b| b.1);
        assert!(off <= bound, "{line}: {off} of 2^-106");
        let w = worst.entry(op).or_default();
        *w = w.max(off);
        count += 1;
    }
    println!("dd: {count} vectors; largest relative errors in 2^-106: {worst:.2?}");
    assert!(count > 200, "{count} vectors");
}
