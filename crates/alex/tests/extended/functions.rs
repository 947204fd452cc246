//! Functions: the distance to the exact value, in units in the last place, over ranges where each of them is hard.

use super::kernels;
use super::number::{Number, Random, masked, place, specials};
use alex::extended::{Format, Function, Kernels};
use furnace::precision::{Digits, F128};
use graph::Scalar;

/// Digits of the reference: enough for 2^-16494 beside 1 where a function needs it, set function by function.
const DIGITS: usize = 90;

/// The exact value to `DIGITS` digits, where furnace has no such function made of those it has.
fn reference(f: Function, x: &[Digits]) -> Digits {
    let c = Digits::from_f64;
    let (one, two) = (c(1.0), c(2.0));
    let a = x[0].clone();
    let up = || a.exp();
    let down = || (-a.clone()).exp();
    match f {
        Function::Exp => up(),
        Function::Exp2 => (a * two.ln()).exp(),
        Function::Expm1 => up() - one,
        Function::Log => a.ln(),
        Function::Log1p => (one + a).ln(),
        Function::Sine => a.sin(),
        Function::Cosine => a.cos(),
        Function::Tangent => a.sin() / a.cos(),
        Function::Asin => a.asin(),
        Function::Acos => a.acos(),
        Function::Atan => a.atan(),
        Function::Sinh => (up() - down()) / two,
        Function::Cosh => (up() + down()) / two,
        Function::Tanh => {
            let (p, m) = (up(), down());
            (p.clone() - m.clone()) / (p + m)
        }
        Function::Erf => erf(a),
        Function::Power => a.powf(&x[1]),
        Function::Sigmoid => one.clone() / (one + down()),
        Function::Silu => a.clone() / (one + down()),
        _ => unreachable!(),
    }
}

/// 2/√π e^-x² Σ 2^n x^(2n+1) / (2n+1)!!.
fn erf(x: Digits) -> Digits {
    let c = Digits::from_f64;
    let square = x.clone() * x.clone();
    let (mut term, mut sum) = (x.clone(), x);
    for n in 1..4000 {
        term = term * square.clone() * c(2.0) / c(2.0 * f64::from(n) + 1.0);
        let next = sum.clone() + term.clone();
        if next == sum {
            break;
        }
        sum = next;
    }
    sum * (-square).exp() / c(1.0).atan().sqrt()
}

/// Arguments: exponents of 2 that they are drawn from, a lower and an upper bound, and whether only positive ones are.
fn ranges(f: Function) -> &'static [(i32, i32, f64)] {
    match f {
        Function::Exp => &[(-20, 13, 11355.0), (-2, 4, 1e9)],
        Function::Exp2 => &[(-20, 13, 16380.0), (-2, 4, 1e9)],
        Function::Expm1 | Function::Sinh | Function::Cosh => {
            &[(-130, -1, 1e9), (-4, 4, 1e9), (2, 13, 11355.0)]
        }
        Function::Tanh => &[(-130, -1, 1e9), (-4, 5, 1e9)],
        Function::Sigmoid | Function::Silu => &[(-60, -1, 1e9), (-3, 6, 1e9), (5, 13, 11000.0)],
        Function::Log => &[(-16000, 16000, f64::INFINITY), (-3, 3, 1e9)],
        Function::Log1p => &[(-130, -1, 1e9), (-8, 4, 1e9), (3, 16000, f64::INFINITY)],
        Function::Sine | Function::Cosine | Function::Tangent => {
            &[(-60, 2, 1e9), (-3, 12, 1e9), (20, 100, f64::INFINITY)]
        }
        Function::Asin | Function::Acos => &[(-60, -1, 1.0), (-4, -1, 1.0)],
        Function::Atan => &[(-60, 60, f64::INFINITY), (-4, 5, 1e9)],
        Function::Erf => &[(-60, 2, 1e9), (-4, 3, 8.0)],
        _ => &[(-1, 1, 1e9)],
    }
}

fn arguments<N: Number>(f: Function, n: usize) -> Vec<Vec<N>> {
    let mut random = Random(17 + f as u64);
    let mut out: Vec<Vec<N>> = vec![];
    if f == Function::Power {
        while out.len() < n {
            let x = match random.next() % 3 {
                0 => random.number::<N>(-3, 3),
                1 => random.number::<N>(-100, 100),
                _ => N::from_f64(1.0) + random.number::<N>(-30, -5),
            }
            .abs();
            // Of a size at which the power is in range.
            let most = (11300.0 / x.to_f64().ln().abs()).log2().floor() as i32 - 1;
            let low = most - if random.next() % 2 == 0 { 2 } else { 40 };
            let y = random.number::<N>(low.max(-16000), most.min(16000));
            out.push(vec![x, y]);
        }
        return out;
    }
    let ranges = ranges(f);
    while out.len() < n {
        let (low, high, most) = ranges[out.len() % ranges.len()];
        let x: N = random.number(low, high);
        let x = if f == Function::Log || f == Function::Log1p && x.to_f64() <= -1.0 { x.abs() } else { x };
        if x.abs().to_f64() < most {
            out.push(vec![x]);
        }
    }
    out
}

/// The largest error in units in the last place of the result, the argument of it, and the share of results that are the
/// nearest number.
fn worst<N: Number>(k: &Kernels, f: Function, n: usize) -> (f64, Vec<N>, f64) {
    let list = arguments::<N>(f, n);
    let bits = |i: usize| list.iter().map(|x| x[i].bits()).collect::<Vec<_>>();
    let inputs: Vec<Vec<u128>> = (0..f.operands()).map(bits).collect();
    let inputs: Vec<&[u128]> = inputs.iter().map(Vec::as_slice).collect();
    let mut out = vec![0u128; list.len()];
    k.apply(f, &inputs, &mut out).unwrap();
    let (mut most, mut at, mut nearest) = (0.0, list[0].clone(), 0);
    Digits::with(DIGITS, || {
        for (x, got) in list.iter().zip(&out) {
            let exact = reference(f, &x.iter().map(|x| x.exact()).collect::<Vec<_>>());
            let want = N::rounded(&exact);
            let got = N::of(masked(N::FORMAT, *got));
            nearest += usize::from(got.bits() == want.bits());
            // The unit: the distance of the rounded value to its neighbour away from zero.
            let next = N::of(want.bits() + 1);
            let unit = if N::FORMAT == Format::F80 && next.is_nan() {
                want.exact() - N::of(want.bits() - 1).exact()
            } else {
                next.exact() - want.exact()
            };
            let error = ((got.exact() - exact) / unit).to_f64().abs();
            let error = if error.is_nan() { f64::INFINITY } else { error };
            if error > most {
                (most, at) = (error, x.clone());
            }
        }
    });
    (most, at, nearest as f64 / list.len() as f64)
}

const FUNCTIONS: [Function; 18] = [
    Function::Exp,
    Function::Exp2,
    Function::Expm1,
    Function::Log,
    Function::Log1p,
    Function::Sine,
    Function::Cosine,
    Function::Tangent,
    Function::Asin,
    Function::Acos,
    Function::Atan,
    Function::Sinh,
    Function::Cosh,
    Function::Tanh,
    Function::Erf,
    Function::Power,
    Function::Sigmoid,
    Function::Silu,
];

fn check<N: Number>(k: &Kernels) {
    let n = std::env::var("FIDELITY_ULP_SAMPLES").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    println!("| function | {} largest error, ulp | nearest number |", k.format().name());
    println!("|---|---|---|");
    let mut bad = vec![];
    for f in FUNCTIONS {
        let (most, at, nearest) = worst::<N>(k, f, n);
        println!("| {} | {most:.3} | {:.1} % |", f.name(), 100.0 * nearest);
        if most > 2.0 {
            let at: Vec<String> = at.iter().map(|x| format!("{:x} = {}", x.bits(), x.to_decimal())).collect();
            bad.push(format!("{} of {at:?}: {most}", f.name()));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

/// Values at the ends: what C's functions have there.
fn check_ends<N: Number>(k: &Kernels) {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let cases: &[(Function, f64, f64)] = &[
        (Function::Exp, -inf, 0.0),
        (Function::Exp, inf, inf),
        (Function::Exp, 12000.0, inf),
        (Function::Exp, -12000.0, 0.0),
        (Function::Expm1, inf, inf),
        (Function::Expm1, -inf, -1.0),
        (Function::Expm1, 1e300, inf),
        (Function::Expm1, -1e300, -1.0),
        (Function::Expm1, -0.0, -0.0),
        (Function::Log, 0.0, -inf),
        (Function::Log, 1.0, 0.0),
        (Function::Log, -1.0, nan),
        (Function::Log, inf, inf),
        (Function::Log1p, -1.0, -inf),
        (Function::Log1p, -2.0, nan),
        (Function::Log1p, -0.0, -0.0),
        (Function::Log1p, inf, inf),
        (Function::Log1p, -inf, nan),
        (Function::Sinh, -inf, -inf),
        (Function::Sinh, inf, inf),
        (Function::Sinh, 1e300, inf),
        (Function::Sinh, -0.0, -0.0),
        (Function::Cosh, -inf, inf),
        (Function::Cosh, 1e300, inf),
        (Function::Cosh, 0.0, 1.0),
        (Function::Tanh, inf, 1.0),
        (Function::Tanh, -inf, -1.0),
        (Function::Tanh, -1e300, -1.0),
        (Function::Tanh, -0.0, -0.0),
        (Function::Sigmoid, inf, 1.0),
        (Function::Sigmoid, -inf, 0.0),
        (Function::Sigmoid, -1e300, 0.0),
        (Function::Sigmoid, 0.0, 0.5),
        (Function::Silu, inf, inf),
        (Function::Silu, -inf, nan),
        (Function::Silu, -1e300, -0.0),
        (Function::Silu, 0.0, 0.0),
        (Function::Asin, 2.0, nan),
        (Function::Acos, 1.0, 0.0),
        (Function::Atan, -0.0, -0.0),
        (Function::Erf, inf, 1.0),
        (Function::Erf, -inf, -1.0),
        (Function::Sine, inf, nan),
    ];
    for (f, x, want) in cases {
        let mut out = [0u128];
        k.apply(*f, &[&[N::from_f64(*x).bits()]], &mut out).unwrap();
        let got = N::of(masked(N::FORMAT, out[0])).to_f64();
        assert!(
            got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
            "{} of {x}: {got}",
            f.name()
        );
    }
    for f in FUNCTIONS.into_iter().filter(|f| f.operands() == 1) {
        let mut out = [0u128];
        k.apply(f, &[&[N::from_f64(nan).bits()]], &mut out).unwrap();
        assert!(N::of(masked(N::FORMAT, out[0])).is_nan(), "{} of NaN", f.name());
    }
    // Results at the end of the range: subnormal, and just finite.
    let most: N = N::of(place_of_largest(N::FORMAT));
    let mut out = [0u128; 2];
    Digits::with(DIGITS, || {
        for (f, x) in [
            (Function::Exp, 11356.0),
            (Function::Sinh, 11357.0),
            (Function::Cosh, 11357.0),
            (Function::Expm1, 11356.5),
        ] {
            k.apply(f, &[&[N::from_f64(x).bits(), N::from_f64(-x).bits()]], &mut out).unwrap();
            for (x, got) in [x, -x].into_iter().zip(out) {
                let want = N::rounded(&reference(f, &[Digits::from_f64(x)]));
                let apart = place(N::FORMAT, got) - place(N::FORMAT, want.bits());
                assert!(
                    apart.abs() <= 2 && want <= most,
                    "{} of {x}: {got:x}, expected {:x}",
                    f.name(),
                    want.bits()
                );
            }
        }
        for x in [-11380.5, -11399.25, -11420.0] {
            for f in [Function::Exp, Function::Sigmoid, Function::Silu] {
                k.apply(f, &[&[N::from_f64(x).bits()]], &mut out[..1]).unwrap();
                let want = N::rounded(&reference(f, &[Digits::from_f64(x)]));
                let apart = place(N::FORMAT, out[0]) - place(N::FORMAT, want.bits());
                assert!(apart.abs() <= 2, "{} of {x}: {:x}, expected {:x}", f.name(), out[0], want.bits());
            }
        }
    });
    // Nothing of this hangs or traps on a number of any kind.
    let x: Vec<u128> = specials::<N>().iter().map(|x| x.bits()).collect();
    let mut out = vec![0u128; x.len()];
    for f in FUNCTIONS {
        let inputs = vec![x.as_slice(); f.operands()];
        k.apply(f, &inputs, &mut out).unwrap();
    }
}

fn place_of_largest(format: Format) -> u128 {
    match format {
        Format::F80 => 0x7ffe_ffff_ffff_ffff_ffff,
        Format::F128 => (0x7fff << 112) - 1,
    }
}

#[test]
fn f128_functions_are_within_two_units() {
    let Some(k) = kernels(Format::F128) else { return };
    check::<F128>(k);
}

#[test]
fn f128_functions_have_their_values_at_the_ends() {
    let Some(k) = kernels(Format::F128) else { return };
    check_ends::<F128>(k);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn f80_functions_are_within_two_units() {
    let Some(k) = kernels(Format::F80) else { return };
    check::<furnace::precision::F80>(k);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn f80_functions_have_their_values_at_the_ends() {
    let Some(k) = kernels(Format::F80) else { return };
    check_ends::<furnace::precision::F80>(k);
}
