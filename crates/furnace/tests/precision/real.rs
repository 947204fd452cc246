//! The precisions are real: sums and differences that each format must get wrong in its own way.

use furnace::precision::{Digits, DoubleDouble, F128};
use graph::Scalar;

/// 10^16 + 1 + … + 1, a thousand times, from the left; less 10^16.
fn ones<S: Scalar>() -> f64 {
    let big = S::from_decimal("1e16").expect("a decimal");
    let sum = (0..1000).fold(big.clone(), |s, _| s + S::from_f64(1.0));
    (sum - big).to_f64()
}

/// 100000001² − 10^16; exactly 200000001.
fn square<S: Scalar>() -> f64 {
    let x = S::from_decimal("100000001").expect("a decimal");
    (x.clone() * x - S::from_decimal("1e16").expect("a decimal")).to_f64()
}

#[test]
fn sums_and_differences_that_tell_formats_apart() {
    // f32 knows 10^16 as 10000000272564224 and 100000001 as 10^8.
    assert_eq!((ones::<f32>(), square::<f32>()), (0.0, 0.0));
    // In f64 each 1 is half of the last place and ties to even; the square loses its last digit.
    assert_eq!((ones::<f64>(), square::<f64>()), (0.0, 2e8));
    #[cfg(target_arch = "x86_64")]
    {
        use furnace::precision::F80;
        assert_eq!((ones::<F80>(), square::<F80>()), (1000.0, 200_000_001.0));
        assert!(sees::<F80>("1e-19") && !sees::<F80>("1e-20"));
    }
    assert_eq!((ones::<DoubleDouble>(), square::<DoubleDouble>()), (1000.0, 200_000_001.0));
    assert!(sees::<DoubleDouble>("1e-32"));
    assert_eq!((ones::<F128>(), square::<F128>()), (1000.0, 200_000_001.0));
    assert_eq!((ones::<Digits>(), square::<Digits>()), (1000.0, 200_000_001.0));
}

/// (1 + 10^-d) − 1, which is 0 where d digits are too many.
fn sees<S: Scalar>(decimal: &str) -> bool {
    let one = S::from_f64(1.0);
    one.clone() + S::from_decimal(decimal).expect("a decimal") != one
}

#[test]
fn a_tenth_to_the_n_beside_one() {
    assert!(sees::<f32>("1e-7") && !sees::<f32>("1e-8"));
    assert!(sees::<f64>("1e-15") && !sees::<f64>("1e-17"));
    assert!(sees::<F128>("1e-34") && !sees::<F128>("1e-35"));
    for n in [10, 40, 100] {
        Digits::with(n, || {
            assert!(sees::<Digits>(&format!("1e-{}", n - 1)), "{n}");
            assert!(!sees::<Digits>(&format!("1e-{}", n + 25)), "{n}");
        });
    }
}

#[test]
fn rounding_to_narrow_types_happens_once() {
    use axes::DType::{BF16, F16, F32, F64};
    // Just above the middle between 1 and the next f32: through f64 it would tie and go down to 1.
    let text = "1.00000005960464477539062500000001";
    let up = f64::from(1.0f32.next_up());
    assert_eq!(Digits::from_decimal(text).expect("a decimal").round_to(F32).to_f64(), up);
    assert_eq!(F128::from_decimal(text).expect("a decimal").round_to(F32).to_f64(), up);
    assert_eq!(
        F128::from_decimal(text).expect("a decimal").round_to(F64),
        F128::from_decimal(text).expect("a decimal")
    );
    assert_eq!(DoubleDouble::from_decimal(text).expect("a decimal").round_to(F32).to_f64(), up);
    let digits = |t: &str| Digits::from_decimal(t).expect("a decimal");
    assert_eq!(digits("1.00390625000000000001").round_to(BF16).to_f64(), 1.0078125);
    assert_eq!(digits("65519.99999999999999999999").round_to(F16).to_f64(), 65504.0);
    assert_eq!(digits("65520").round_to(F16).to_f64(), f64::INFINITY);
    // Subnormals of f64 round once as well: 1.5 of the smallest goes to the even 2, just below it to 1.
    assert_eq!(digits("7.4109846876186982e-324").to_f64().to_bits(), 2);
    assert_eq!(digits("7.4109846876186981e-324").to_f64().to_bits(), 1);
    assert_eq!(digits("1.8e308").to_f64(), f64::INFINITY);
    assert_eq!(digits("1e-400").to_f64(), 0.0);
}

#[test]
fn decimals() {
    for bad in ["", "-", ".", "e5", "1.2.3", "1e", "1e1.5", "0x10", "1 2", "1e999999999999", "one"] {
        assert!(Digits::from_decimal(bad).is_none(), "{bad}");
        assert!(F128::from_decimal(bad).is_none(), "{bad}");
    }
    for (text, printed) in [("-2.50e-3", "-2.5e-3"), ("+7", "7"), ("0.1", "1e-1"), ("1E2", "1e2"), ("0", "0")]
    {
        assert_eq!(F128::from_decimal(text).expect("a decimal").to_decimal(), printed, "{text}");
        assert_eq!(Digits::from_decimal(text).expect("a decimal").to_decimal(), printed, "{text}");
    }
    let tenth = F128::from_decimal("0.1").expect("a decimal");
    assert_eq!(F128::from_decimal(&tenth.to_decimal()), Some(tenth));
    assert_ne!(tenth, F128::from_f64(0.1));
    assert_eq!(Digits::from_decimal("inf").expect("infinity").to_f64(), f64::INFINITY);
}

/// Whether 1 beside a large number is not lost.
fn holds<S: Scalar>(big: &str) -> bool {
    let big = S::from_decimal(big).expect("a decimal");
    big.clone() + S::from_f64(1.0) - big == S::from_f64(1.0)
}

#[test]
fn every_format_ends_somewhere_else() {
    let ladder = ["1e6", "1e15", "1e18", "1e31", "1e33", "1e60"];
    let reach = [
        ladder.map(holds::<f32>),
        ladder.map(holds::<f64>),
        #[cfg(target_arch = "x86_64")]
        ladder.map(holds::<furnace::precision::F80>),
        ladder.map(holds::<DoubleDouble>),
        ladder.map(holds::<F128>),
        Digits::with(61, || ladder.map(holds::<Digits>)),
    ];
    for pair in reach.windows(2) {
        assert!(pair[0].iter().zip(&pair[1]).all(|(a, b)| a <= b) && pair[0] != pair[1], "{reach:?}");
    }
}

#[test]
fn subnormal_doubles_are_read_as_what_they_are() {
    for x in [5e-324, 1.5e-310, -f64::MIN_POSITIVE / 3.0] {
        assert_eq!(Digits::from_f64(x).to_f64(), x);
        assert_eq!(F128::from_f64(x).to_f64(), x);
        let half = Digits::from_f64(x * 2f64.powi(100)) / Digits::from_f64(2f64.powi(100));
        assert_eq!(half, Digits::from_f64(x), "{x:e}");
    }
}

#[test]
fn powers_that_are_numbers_of_few_bits_end() {
    let pow = |x: f64, y: f64| Digits::from_f64(x).powf(&Digits::from_f64(y)).to_f64();
    for (x, y, z) in
        [(2.0, -5.0, 1.0 / 32.0), (2.5, 2.0, 6.25), (4.0, 0.5, 2.0), (-3.0, 3.0, -27.0), (16.0, 0.25, 2.0)]
    {
        assert_eq!(pow(x, y), z, "{x}^{y}");
    }
}
