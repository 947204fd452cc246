//! Accumulators: what each must give, and that the exact one depends on nothing but the terms.

use axes::DType;
use graph::accumulate::{ExactF32, ExactF64, dot_f32, dot_f64, sum_f32, sum_f64};
use graph::{Accumulator, Array, Cx, EvalCx, Type, interp};

/// splitmix64.
struct Random(u64);
impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn f32(&mut self, low: i32, high: i32) -> f32 {
        let e = low + (self.bits() % (high - low + 1) as u64) as i32;
        let m = (self.bits() >> 40) as f32 / (1u64 << 24) as f32 + 0.5;
        m * 2f32.powi(e) * if self.bits().is_multiple_of(2) { 1.0 } else { -1.0 }
    }
}

#[test]
fn each_keeps_what_it_should() {
    // 1, then small numbers that f32 loses one by one.
    let mut x = vec![1.0f32];
    x.resize(4097, 2f32.powi(-25));
    let sum = |how| sum_f32(how, &x);
    let truth = 1.0 + 2f32.powi(-13);
    assert_eq!(sum(Accumulator::Plain), 1.0);
    assert_ne!(sum(Accumulator::Pairwise), 1.0);
    for how in [Accumulator::Compensated, Accumulator::Wider, Accumulator::Exact] {
        assert_eq!(sum(how), truth, "{how}");
    }
    // Sizes so far apart that f64 loses the small one as well.
    let mut far = vec![0.0f32; 48];
    (far[0], far[16], far[32]) = (1e30, 1.0, -1e30);
    assert_eq!(sum_f32(Accumulator::Wider, &far), 0.0);
    assert_eq!(sum_f32(Accumulator::Exact, &far), 1.0);
    let pairs = [1e16, 1.0, -1e16].map(|x: f64| x);
    assert_eq!(sum_f64(Accumulator::Plain, &pairs), 0.0);
    assert_eq!(sum_f64(Accumulator::Wider, &pairs), 1.0);
    assert_eq!(sum_f64(Accumulator::Compensated, &pairs), 1.0);
    assert_eq!(dot_f64(Accumulator::Exact, &[100000001.0, 1e8], &[100000001.0, -1e8]), 200000001.0);
    assert_eq!(dot_f32(Accumulator::Exact, &[16777217.0, 3e38], &[2.0, 0.0]), 33554432.0);
}

/// f32 terms of few bits around one size sum exactly in i128: the reference.
#[test]
fn exact_against_whole_numbers() {
    let mut r = Random(3);
    for n in [0usize, 1, 2, 15, 16, 17, 33, 1000] {
        let x: Vec<f32> = (0..n).map(|_| r.f32(-20, 20)).collect();
        let y: Vec<f32> = (0..n).map(|_| r.f32(-20, 20)).collect();
        // Multiples of 2^-44 and products of 2^-88.
        let whole = |x: f32| (f64::from(x) * 2f64.powi(44)) as i128;
        let sum: i128 = x.iter().map(|x| whole(*x)).sum();
        let dot: i128 = x.iter().zip(&y).map(|(x, y)| whole(*x) * (whole(*y) >> 20)).sum();
        assert_eq!(sum_f32(Accumulator::Exact, &x), nearest(sum, -44), "{n}");
        let cut: Vec<f32> = y.iter().map(|y| ((whole(*y) >> 20) as f64 * 2f64.powi(-24)) as f32).collect();
        let exact_cut =
            y.iter().zip(&cut).all(|(y, c)| (whole(*y) >> 20) == (f64::from(*c) * 2f64.powi(24)) as i128);
        if exact_cut {
            assert_eq!(dot_f32(Accumulator::Exact, &x, &cut), nearest(dot, -68), "{n}");
        }
    }
}

/// The f32 nearest to n 2^e.
fn nearest(n: i128, e: i32) -> f32 {
    let size = n.unsigned_abs();
    let bits = 128 - size.leading_zeros() as i32;
    let drop = (bits - 24).max(0);
    let kept = size >> drop;
    let rest = size & ((1u128 << drop) - 1);
    let half = if drop == 0 { 1 } else { 1u128 << (drop - 1) };
    let up = drop > 0 && (rest > half || rest == half && kept & 1 == 1);
    let y = (kept + u128::from(up)) as f64 * 2f64.powi(drop + e);
    (if n < 0 { -y } else { y }) as f32
}

#[test]
fn exact_sums_do_not_depend_on_order_or_cuts() {
    let mut r = Random(4);
    let mut terms: Vec<f32> = (0..5000).map(|_| r.f32(-126, 120)).collect();
    terms.extend([f32::MIN_POSITIVE, 1e-45, -1e-45, 0.0, -0.0]);
    let first = sum_f32(Accumulator::Exact, &terms);
    for _ in 0..5 {
        for i in (1..terms.len()).rev() {
            terms.swap(i, (r.bits() % (i as u64 + 1)) as usize);
        }
        assert_eq!(sum_f32(Accumulator::Exact, &terms).to_bits(), first.to_bits());
        let cut = (r.bits() % terms.len() as u64) as usize;
        let part = |x: &[f32]| {
            let mut s = ExactF32::new();
            x.iter().for_each(|x| s.add(f64::from(*x)));
            s
        };
        let mut whole = part(&terms[..cut]);
        whole.merge(&part(&terms[cut..]));
        assert_eq!(whole.to_f32().to_bits(), first.to_bits());
    }
    // What cancels to nothing is nothing, and what is left after it is left whole.
    terms.extend(terms.clone().iter().map(|x| -x));
    assert_eq!(sum_f32(Accumulator::Exact, &terms), 0.0);
    terms.push(3e-45);
    assert_eq!(sum_f32(Accumulator::Exact, &terms), 3e-45);
}

#[test]
fn special_values_and_the_ends_of_the_range() {
    let inf = f32::INFINITY;
    for how in Accumulator::ALL {
        assert_eq!(sum_f32(how, &[1.0, inf, 2.0]), inf, "{how}");
        assert!(sum_f32(how, &[inf, -inf]).is_nan(), "{how}");
        assert!(sum_f32(how, &[f32::NAN, 1.0]).is_nan(), "{how}");
        assert_eq!(sum_f32(how, &[]), 0.0, "{how}");
        assert_eq!(dot_f32(how, &[], &[]), 0.0, "{how}");
        assert_eq!(sum_f64(how, &[1.0, f64::INFINITY]), f64::INFINITY, "{how}");
        assert_eq!(dot_f64(how, &[2.0, 3.0], &[5.0, -1.0]), 7.0, "{how}");
    }
    // Overflow on the way is none in the exact sum.
    assert_eq!(sum_f32(Accumulator::Exact, &[f32::MAX, f32::MAX, -f32::MAX]), f32::MAX);
    assert_eq!(sum_f32(Accumulator::Exact, &[f32::MAX, f32::MAX]), inf);
    assert_eq!(sum_f64(Accumulator::Exact, &[f64::MAX, f64::MAX, -f64::MAX, 5e-324, -f64::MAX]), 5e-324);
    assert_eq!(
        dot_f64(Accumulator::Exact, &[5e-324, 1.0], &[0.5, 5e-324]),
        1e-323,
        "one and a half ties to even"
    );
    let mut s = ExactF64::new();
    s.add_product(f64::MAX, f64::MAX);
    s.add_product(-f64::MAX, f64::MAX);
    s.add_product(1e-200, 1e-120);
    assert_eq!(s.to_f64(), 1e-200 * 1e-120);
}

#[test]
fn wider_and_compensated_are_close_to_exact() {
    let mut r = Random(5);
    for n in [1usize, 7, 16, 31, 100, 4097] {
        let (a, b): (Vec<f32>, Vec<f32>) = (0..n).map(|_| (r.f32(-4, 4), r.f32(-4, 4))).unzip();
        let size: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) * f64::from(*b)).abs()).sum();
        let exact = f64::from(dot_f32(Accumulator::Exact, &a, &b));
        for how in [Accumulator::Wider, Accumulator::Compensated] {
            let off = (f64::from(dot_f32(how, &a, &b)) - exact).abs();
            assert!(off <= 1.2e-7 * exact.abs() + 1e-12 * size, "{how} {n}: {off:e}");
        }
    }
}

#[test]
fn attributes_and_options_of_an_evaluation() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, ["N"]));
    let exact = cx.push1(
        graph::Op::ReduceSum,
        graph::attrs! { axes: Ints(vec![0]), accumulator: Str("exact".into()) },
        &[&x],
    );
    let plain = x.sum_all();
    let dot = x.dot_general(&x, (&[0], &[0]), (&[], &[]));
    let g = cx.finish(&[("exact", &exact), ("plain", &plain), ("dot", &dot)]).expect("a graph");
    assert!(g.to_string().contains("exact"));
    let again = graph::Graph::parse(&g.to_string()).expect("the text form");
    assert_eq!(again.to_string(), g.to_string());
    let terms = [1e8f32, 1.0, -1e8, 1.0];
    let run = |accumulator| {
        let cx = EvalCx { accumulator, ..EvalCx::default() };
        let x = Array::float(DType::F32, [4], terms.to_vec());
        let made = interp::run_in(&again, vec![x], cx).expect("values");
        ["exact", "plain", "dot"].map(|n| made.get(n).expect("an output").to_f64()[0])
    };
    assert_eq!(run(Some(Accumulator::Plain))[..2], [2.0, 1.0]);
    assert_eq!(run(Some(Accumulator::Exact))[..2], [2.0, 2.0]);
    assert_eq!(run(Some(Accumulator::Exact))[2], f64::from((2e16f64 + 2.0) as f32));
    let wrong = Cx::abstract_();
    let x = wrong.input("x", Type::new(DType::F32, ["N"]));
    wrong.push1(
        graph::Op::ReduceSum,
        graph::attrs! { axes: Ints(vec![0]), accumulator: Str("quadruple".into()) },
        &[&x],
    );
    let e = wrong.error().expect("an error").to_string();
    assert!(e.contains("quadruple") && e.contains("compensated"), "{e}");
}
