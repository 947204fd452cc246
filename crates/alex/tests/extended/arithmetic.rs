//! Operations that are correctly rounded: equal bits.

use super::kernels;
use super::number::{Number, Random, masked, specials};
use alex::AlexError;
use alex::extended::{Format, Function, Kernels};
use furnace::precision::{Digits, F128};

/// The same number: of NaN, which one is the platform's choice.
fn same<N: Number>(got: u128, want: N) -> bool {
    masked(N::FORMAT, got) == want.bits() || N::of(masked(N::FORMAT, got)).is_nan() && want.is_nan()
}

/// Pairs that try every case of rounding: each special with each, full mantissas at all distances of exponents, ties.
fn pairs<N: Number>() -> Vec<(N, N)> {
    let specials = specials::<N>();
    let mut out: Vec<(N, N)> = vec![];
    for x in &specials {
        out.extend(specials.iter().map(|y| (*x, *y)));
    }
    let mut random = Random(7);
    for k in 0..6000i32 {
        let x: N = random.number(-16383, 16383);
        let near: N = match k % 6 {
            // Cancellation, and sums that round at each distance.
            0 | 1 => {
                let e = (exponent(x) + (random.next() % 260) as i32 - 130).clamp(-16383, 16383);
                random.with_exponent(e)
            }
            // Subnormal operands.
            2 => random.with_exponent(-16383),
            // Products and quotients near the ends of the range.
            3 => random.with_exponent((16383 - exponent(x)).clamp(-16383, 16383)),
            4 => {
                let e = -16383 - exponent(x) + (random.next() % 120) as i32 - 60;
                random.with_exponent(e.clamp(-16383, 16383))
            }
            _ => random.number(-16383, 16383),
        };
        out.push((x, near));
        // Neighbours: differences of one unit.
        out.push((x, N::of(x.bits() ^ 1)));
        // Short mantissas: exact ties.
        let (a, b) = (random.next() >> 40, random.next() >> (random.next() % 62));
        let tie = N::from_f64((a | 1) as f64) * N::from_f64(2f64.powi((random.next() % 140) as i32 - 70));
        out.push((tie, N::from_f64(b as f64)));
    }
    out
}

fn exponent<N: Number>(x: N) -> i32 {
    let shift = if N::FORMAT == Format::F80 { 64 } else { 112 };
    (x.bits() >> shift & 0x7fff) as i32 - 16383
}

fn check_arithmetic<N: Number>(k: &Kernels) {
    let pairs = pairs::<N>();
    let bits = |f: &dyn Fn(&(N, N)) -> N| pairs.iter().map(|p| f(p).bits()).collect::<Vec<_>>();
    let (x, y) = (bits(&|p| p.0), bits(&|p| p.1));
    let mut out = vec![0u128; pairs.len()];
    let binary: [(Function, fn(N, N) -> N); 6] = [
        (Function::Add, |x, y| x + y),
        (Function::Subtract, |x, y| x - y),
        (Function::Multiply, |x, y| x * y),
        (Function::Divide, |x, y| x / y),
        (Function::Maximum, |x, y| x.maximum(&y)),
        (Function::Minimum, |x, y| x.minimum(&y)),
    ];
    for (f, want) in binary {
        k.apply(f, &[&x, &y], &mut out).unwrap();
        for ((a, b), got) in pairs.iter().zip(&out) {
            let want = want(*a, *b);
            assert!(
                same(*got, want),
                "{} {} of {:x} and {:x}: {got:x}, expected {:x}",
                k.format().name(),
                f.name(),
                a.bits(),
                b.bits(),
                want.bits()
            );
        }
    }
    let unary: [(Function, fn(&N) -> N); 6] = [
        (Function::Sqrt, N::sqrt),
        (Function::Negate, |x| -*x),
        (Function::Abs, N::abs),
        (Function::Floor, N::floor),
        (Function::RoundHalfEven, N::round_half_even),
        (Function::RoundHalfAway, N::round_half_away),
    ];
    let mut random = Random(11);
    let mut more: Vec<N> = pairs.iter().map(|p| p.0).collect();
    // Where roundings to whole numbers happen: halves and what lies beside them.
    for _ in 0..2000 {
        let e = random.next() as i64 >> (random.next() % 63);
        let half = N::from_f64(e as f64) + N::from_f64(0.5);
        more.extend([half, N::of(half.bits() + 1), N::of(half.bits() - 1)]);
        more.push(random.number(-3, 116));
    }
    more.retain(|x| N::of(x.bits()).bits() == x.bits());
    let x: Vec<u128> = more.iter().map(|x| x.bits()).collect();
    let mut out = vec![0u128; x.len()];
    for (f, want) in unary {
        k.apply(f, &[&x], &mut out).unwrap();
        for (a, got) in more.iter().zip(&out) {
            let want = want(a);
            // Furnace gives rounded zeros no sign.
            let zero =
                want == N::from_f64(0.0) && N::of(masked(N::FORMAT, *got)) == want && f != Function::Sqrt;
            assert!(
                same(*got, want) || zero,
                "{} {} of {:x}: {got:x}, expected {:x}",
                k.format().name(),
                f.name(),
                a.bits(),
                want.bits()
            );
        }
    }
}

/// Fused products: from exact ones, rounded once.
fn check_fused<N: Number>(k: &Kernels) {
    let mut random = Random(3);
    let mut list: Vec<[N; 3]> = vec![];
    for i in 0..3000 {
        let (x, y): (N, N) = (random.number(-200, 200), random.number(-200, 200));
        let z = match i % 3 {
            0 => -(x * y),
            1 => {
                let e = exponent(x) + exponent(y) + (random.next() % 250) as i32 - 125;
                random.with_exponent(e)
            }
            _ => random.number(-400, 400),
        };
        list.push([x, y, z]);
    }
    let bits = |i: usize| list.iter().map(|v| v[i].bits()).collect::<Vec<_>>();
    let mut out = vec![0u128; list.len()];
    k.apply(Function::Fma, &[&bits(0), &bits(1), &bits(2)], &mut out).unwrap();
    Digits::with(320, || {
        for (v, got) in list.iter().zip(&out) {
            let want = N::rounded(&(v[0].exact() * v[1].exact() + v[2].exact()));
            assert!(same(*got, want), "fma {:x?}: {got:x}, expected {:x}", v.map(N::bits), want.bits());
        }
    });
}

fn check_conversions<N: Number>(k: &Kernels) {
    let mut random = Random(5);
    let doubles: Vec<f64> = (0..4000)
        .map(|_| f64::from_bits(random.next()))
        .chain([0.0, -0.0, f64::INFINITY, f64::NAN, 5e-324])
        .collect();
    for (x, got) in doubles.iter().zip(k.from_f64(&doubles)) {
        assert!(same(got, N::from_f64(*x)), "{x:e}: {got:x}");
    }
    let singles: Vec<f32> = doubles.iter().map(|x| f32::from_bits(x.to_bits() as u32)).collect();
    for (x, got) in singles.iter().zip(k.from_f32(&singles)) {
        assert!(same(got, N::from_f64(f64::from(*x))), "{x:e}: {got:x}");
    }
    let mut wide: Vec<N> = specials();
    wide.extend((0..2000).map(|_| random.number::<N>(-1100, 1040)));
    wide.extend((0..2000).map(|_| random.number::<N>(-160, 130)));
    // Beside the ties of both.
    for _ in 0..500 {
        let (x, y) = (f64::from_bits(random.next() >> 2), f32::from_bits((random.next() >> 34) as u32));
        for (x, half) in [(x, (x.next_up() - x) / 2.0), (f64::from(y), f64::from(y.next_up() - y) / 2.0)] {
            let tie = N::from_f64(x) + N::from_f64(half);
            wide.extend([tie, N::of(tie.bits() + 1)]);
        }
    }
    let bits: Vec<u128> = wide.iter().map(|x| x.bits()).collect();
    for (x, got) in wide.iter().zip(k.to_f64(&bits)) {
        assert!(
            got.to_bits() == x.to_f64().to_bits() || got.is_nan() && x.is_nan(),
            "{:x}: {got:e}",
            x.bits()
        );
    }
    for (x, got) in wide.iter().zip(k.to_f32(&bits)) {
        let want = x.round_to(axes::DType::F32).to_f64() as f32;
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && x.is_nan(), "{:x}: {got:e}", x.bits());
    }
}

#[test]
fn f128_equals_furnace_bit_for_bit() {
    let Some(k) = kernels(Format::F128) else { return };
    check_arithmetic::<F128>(k);
    check_fused::<F128>(k);
    check_conversions::<F128>(k);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn f80_equals_furnace_bit_for_bit() {
    let Some(k) = kernels(Format::F80) else { return };
    check_arithmetic::<furnace::precision::F80>(k);
    check_fused::<furnace::precision::F80>(k);
    check_conversions::<furnace::precision::F80>(k);
}

#[test]
fn operands_are_checked() {
    let Some(k) = kernels(Format::F128) else { return };
    let error = k.apply(Function::Add, &[&[1, 2]], &mut [0, 0]).unwrap_err();
    assert!(matches!(error, AlexError::Operands { function: "add", .. }));
    let error = k.apply(Function::Add, &[&[1, 2], &[1]], &mut [0, 0]).unwrap_err().to_string();
    assert!(error.contains("2 of length 2") && error.contains("[2, 1]"), "{error}");
}
