//! Intervals hold what exact arithmetic gives, are narrow, and say where there is no value.

use axes::DType;
use furnace::precision::{Digits, End, Function, Interval};
use graph::{Array, Cx, EvalCx, GraphError, Literals, Scalar, Type, interp};

/// Random doubles of many sizes (splitmix64).
struct Random(u64);
impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn number(&mut self, low: i32, high: i32) -> f64 {
        let e = low + (self.bits() % (high - low + 1) as u64) as i32;
        let m = 1.0 + (self.bits() >> 12) as f64 * 2f64.powi(-52);
        let short = if self.bits().is_multiple_of(4) { m.floor() } else { m };
        short * 2f64.powi(e) * if self.bits().is_multiple_of(2) { 1.0 } else { -1.0 }
    }
}

/// Whether an interval holds a number of many digits.
fn holds<E: End>(x: &Interval<E>, exact: &Digits) -> bool
where
    Digits: From<E>,
{
    Digits::from(x.lo.clone()) <= *exact && *exact <= Digits::from(x.hi.clone())
}

const FUNCTIONS: [(Function, i32, i32, bool); 9] = [
    (Function::Exp, -30, 8, true),
    (Function::Ln, -300, 300, false),
    (Function::Sqrt, -300, 300, false),
    (Function::Tanh, -30, 6, true),
    (Function::Sin, -30, 30, true),
    (Function::Cos, -30, 30, true),
    (Function::Asin, -30, -1, true),
    (Function::Acos, -30, -1, true),
    (Function::Atan, -30, 30, true),
];

fn of<S: Scalar>(f: Function, x: &S) -> S {
    match f {
        Function::Exp => x.exp(),
        Function::Ln => x.ln(),
        Function::Sqrt => x.sqrt(),
        Function::Tanh => x.tanh(),
        Function::Sin => x.sin(),
        Function::Cos => x.cos(),
        Function::Asin => x.asin(),
        Function::Acos => x.acos(),
        Function::Atan => x.atan(),
    }
}

#[test]
fn points_and_their_surroundings() {
    let mut r = Random(1);
    for i in 0..3000 {
        let (low, high) = if i % 10 == 0 { (-1022, 1023) } else { (-60, 60) };
        let (a, b) = (r.number(low, high), r.number(low, high));
        for k in 0..4 {
            let go = |x: Interval, y: Interval| match k {
                0 => x + y,
                1 => x - y,
                2 => x * y,
                _ => x / y,
            };
            let made = go(Interval::point(a), Interval::point(b));
            let exact = Digits::with(700, || {
                let (x, y) = (Digits::from_f64(a), Digits::from_f64(b));
                [x.clone() + y.clone(), x.clone() - y.clone(), x.clone() * y.clone(), x / y][k].clone()
            });
            assert!(holds(&made, &exact), "{a:e} {b:e} op {k}: {made:?}");
            assert!(made.hi <= made.lo.next_up().next_up(), "wide: {a:e} {b:e} op {k}: {made:?}");
            let wide = go(Interval::new(a.next_down(), a), Interval::new(b, b.next_up()));
            assert!(wide.lo <= made.lo && made.hi <= wide.hi || k == 3 && b < 0.0 && b.next_up() >= 0.0);
        }
    }
    for (f, low, high, signed) in FUNCTIONS {
        for _ in 0..60 {
            let x = r.number(low, high);
            let x = if signed { x } else { x.abs() };
            let made = of(f, &Interval::point(x));
            let exact = Digits::with(60, || of(f, &Digits::from_f64(x)));
            assert!(holds(&made, &exact), "{f:?} {x:e}: {made:?}");
            // Two steps where the exact result lies closer to a double than the widening.
            assert!(made.hi <= made.lo.next_up().next_up(), "wide: {f:?} {x:e}: {made:?}");
        }
    }
}

#[test]
fn ends_of_any_digits() {
    let mut r = Random(2);
    for (f, low, high, signed) in FUNCTIONS {
        for _ in 0..8 {
            let x = r.number(low, high);
            let x = if signed { x } else { x.abs() };
            let exact = Digits::with(120, || of(f, &Digits::from_f64(x)));
            Digits::with(30, || {
                let made = of(f, &Interval::point(Digits::from_f64(x)));
                assert!(holds(&made, &exact), "{f:?} {x:e}");
                assert!(made.radius() <= made.middle().to_f64().abs() * 2f64.powi(-126), "{f:?} {x:e}");
            });
        }
    }
    let third = Digits::with(30, || Interval::<Digits>::from_f64(1.0) / Interval::from_f64(3.0));
    assert!(Digits::with(120, || holds(&third, &(Digits::from_f64(1.0) / Digits::from_f64(3.0)))));
    // A decimal that is a binary number is a point, another is not.
    let point = Interval::<Digits>::from_decimal("-2.375").expect("a decimal");
    assert!(point.lo == point.hi);
    let tenth = Interval::<Digits>::from_decimal("0.1").expect("a decimal");
    assert!(tenth.lo < tenth.hi);
}

#[test]
fn turning_points_and_powers() {
    let i = |a: f64, b: f64| Interval::new(a, b);
    let sin = i(1.0, 2.0).sin();
    assert!(sin.hi == 1.0 && sin.lo < 0.8415);
    assert_eq!((i(1.0, 5.0).sin().lo, i(-0.1, 0.1).cos().hi, i(3.0, 3.3).cos().lo), (-1.0, 1.0, -1.0));
    assert!(i(0.1, 0.2).cos().hi < 1.0);
    let square = i(-2.0, 1.0).powf(&Interval::from_f64(2.0));
    assert_eq!((square.lo, square.hi), (0.0, 4.0));
    let cube = i(-2.0, 1.0).powf(&Interval::from_f64(3.0));
    assert_eq!((cube.lo, cube.hi), (-8.0, 1.0 * 4.0));
    assert_eq!(i(-2.0, 1.0).abs().hi, 2.0);
    assert!(i(-1.0, 1.0).logistic().lo < 0.27 && i(-1.0, 1.0).logistic().hi > 0.73);
    // No overflow where the result is small.
    assert!(i(-1000.0, -900.0).logistic().hi < 1e-300);
}

fn graph(f: impl Fn(&graph::Var) -> graph::Var) -> graph::Graph {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    let y = f(&x);
    cx.finish(&[("y", &y)]).expect("a graph")
}

fn run(g: &graph::Graph, x: Interval) -> Result<Interval, GraphError> {
    let cx = EvalCx { literals: Literals::Decimal, ..EvalCx::default() };
    let made = interp::run_in(g, vec![Array::float(DType::F64, [], vec![x])], cx)?;
    Ok(made.outputs[0].1.floats()[0].clone())
}

#[test]
fn points_without_a_value() {
    let divided = graph(|x| x / x);
    let made = run(&divided, Interval::from_f64(0.0)).expect("a value that says what happened");
    let fault = made.fault().expect("a fault");
    assert!(
        fault.problem.contains("0 / 0") && fault.op.contains("divide") && fault.op.contains("intervals.rs"),
        "{fault:?}"
    );
    assert!(!fault.undecided);
    let made = run(&divided, Interval::new(-1.0, 1.0)).expect("a value");
    assert!(made.fault().expect("a fault").undecided);
    let made = run(&graph(|x| x.log()), Interval::from_f64(0.0)).expect("a value");
    let fault = made.fault().expect("a fault");
    assert!(fault.problem.contains("log of 0") && fault.op.contains("log"), "{fault:?}");
    assert!(made.is_nan());
    // The branch that is not taken may have none.
    let guarded = graph(|x| x.gt(&x.full_like(0.0)).select(&x.log(), &x.full_like(7.0)));
    assert_eq!(run(&guarded, Interval::from_f64(0.0)).expect("a value").hi, 7.0);
    // A comparison that the bounds leave open cannot wait.
    let e = run(&guarded, Interval::new(-1.0, 1.0)).expect_err("undecided").to_string();
    assert!(e.contains("compare") && e.contains("not decided"), "{e}");
}
