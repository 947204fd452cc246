//! Intervals: a lower and an upper bound that hold what exact arithmetic would give.
//!
//! Every operation rounds outwards (Moore 1966). A point at which a function has no value makes an interval that says
//! what happened and in which node; it is an error when it reaches a result, so that the branch that a `select` leaves
//! alone does no harm. What cannot wait (a comparison or a rounding that the bounds do not decide) stops the evaluation.

use super::end::{End, Function, Toward};
use Toward::{Down, Up};
use graph::Scalar;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::Arc;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The op of the graph, where one was being evaluated.
    pub op: String,
    /// Operands and cause.
    pub problem: String,
    /// Whether more digits may help: the bounds do not decide, but narrower ones may.
    pub undecided: bool,
}

thread_local! {
    /// The node that is being evaluated.
    static NODE: RefCell<String> = const { RefCell::new(String::new()) };
    static STOP: RefCell<Option<Fault>> = const { RefCell::new(None) };
    static LAST_UNDECIDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the fault that stopped the last evaluation may go away with more digits.
pub(super) fn last_undecided() -> bool {
    LAST_UNDECIDED.get()
}

/// Forgets it.
pub(super) fn watch_undecided() {
    LAST_UNDECIDED.set(false);
    NODE.with_borrow_mut(String::clear);
}

fn fault(what: String, undecided: bool) -> Fault {
    Fault { op: NODE.with_borrow(String::clone), problem: what, undecided }
}

/// Stops the evaluation at the next chance.
fn stop(f: Fault) {
    STOP.with_borrow_mut(|s| {
        s.get_or_insert(f);
    });
}

/// Numbers from `lo` to `hi`.
///
/// ```
/// use furnace::precision::Interval;
/// use graph::Scalar;
///
/// let tenth = Interval::<f64>::from_decimal("0.1").unwrap();
/// let sum = (0..10).fold(Interval::from_f64(0.0), |s, _| s + tenth.clone());
/// assert!(sum.lo < 1.0 && sum.hi > 1.0 && sum.hi - sum.lo < 1e-14);
/// ```
#[derive(Clone, Debug)]
pub struct Interval<E = f64> {
    /// Not above any of the numbers.
    pub lo: E,
    /// Not below any of them.
    pub hi: E,
    fault: Option<Arc<Fault>>,
}

impl<E: End> Interval<E> {
    /// From bounds in order.
    pub fn new(lo: E, hi: E) -> Self {
        let infinite = |x: f64| E::from_f64(x);
        // An end without a value (∞ − ∞) bounds nothing.
        let lo = if lo.is_nan() { infinite(f64::NEG_INFINITY) } else { lo };
        let hi = if hi.is_nan() { infinite(f64::INFINITY) } else { hi };
        Interval { lo, hi, fault: None }
    }

    /// One number.
    pub fn point(x: E) -> Self {
        Interval { lo: x.clone(), hi: x, fault: None }
    }

    /// Why there is no value, if there is none.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_deref()
    }

    /// Half of the width, rounded upwards: how far the middle may be from the exact number.
    pub fn radius(&self) -> f64 {
        let middle = self.middle();
        let above = E::sum(&self.hi, &-middle.clone(), Up).outward(Up);
        let below = E::sum(&middle, &-self.lo.clone(), Up).outward(Up);
        above.max(below)
    }

    /// A number halfway, nearly.
    pub fn middle(&self) -> E {
        if self.lo == self.hi {
            return self.lo.clone();
        }
        (self.lo.clone() + self.hi.clone()) * E::from_f64(0.5)
    }

    fn is_point(&self) -> bool {
        self.lo == self.hi
    }

    fn bad(problem: String, undecided: bool) -> Self {
        let all = Interval::new(E::from_f64(f64::NEG_INFINITY), E::from_f64(f64::INFINITY));
        Interval { fault: Some(Arc::new(fault(problem, undecided))), ..all }
    }

    /// The fault of either operand.
    fn poisoned(&self, o: &Self) -> Option<Self> {
        [self, o].into_iter().find(|x| x.fault.is_some()).cloned()
    }

    fn text(&self) -> String {
        let show = |x: &E| super::decimal::shorten(&x.to_decimal(), 20);
        if self.is_point() { show(&self.lo) } else { format!("[{}, {}]", show(&self.lo), show(&self.hi)) }
    }

    fn zero() -> E {
        E::from_f64(0.0)
    }

    /// A function that rises everywhere.
    fn rising(&self, f: Function) -> Self {
        match self.fault {
            Some(_) => self.clone(),
            None => Interval::new(E::apply(f, &self.lo, Down), E::apply(f, &self.hi, Up)),
        }
    }

    /// Sine (`peak` = 1) or cosine (`peak` = 0): its maximum is at `peak` + 4 n quarters of a turn.
    fn wave(&self, f: Function, peak: i64) -> Self {
        if self.fault.is_some() {
            return self.clone();
        }
        let one = || E::from_f64(1.0);
        let Some((first, last)) = E::quarters(&self.lo, &self.hi) else {
            return Interval::new(-one(), one());
        };
        // Whether an integer k with k ≡ at (mod 4) lies between.
        let meets = |at: i64| first + (at - first).rem_euclid(4) <= last;
        let ends = [&self.lo, &self.hi];
        let least = |to| ends.map(|x| E::apply(f, x, to));
        let [a, b] = least(Down);
        let [c, d] = least(Up);
        let lo = if meets(peak + 2) { -one() } else { a.minimum(&b).maximum(&-one()) };
        let hi = if meets(peak) { one() } else { c.maximum(&d).minimum(&one()) };
        Interval::new(lo, hi)
    }

    /// Refuses what lies outside of `from` to `to`.
    fn domain(&self, f: Function, inside: bool, outside: bool) -> Option<Self> {
        if self.fault.is_some() {
            return Some(self.clone());
        }
        let x = self.text();
        if outside {
            return Some(Self::bad(format!("{} of {x} has no value", f.name()), false));
        }
        if !inside {
            let more = "use more digits, or an operand that keeps away from there";
            let what = format!("{} of {x}, part of which has no value; {more}", f.name());
            return Some(Self::bad(what, true));
        }
        None
    }

    /// Whole powers by squaring.
    fn whole(&self, n: u64) -> Self {
        let (mut result, mut base, mut n) = (Interval::point(E::from_f64(1.0)), self.clone(), n);
        while n > 0 {
            if n & 1 == 1 {
                result = result * base.clone();
            }
            n >>= 1;
            if n > 0 {
                base = base.square();
            }
        }
        result
    }

    /// x², which is not below 0.
    fn square(&self) -> Self {
        let a = self.abs();
        if a.fault.is_some() {
            return a;
        }
        Interval::new(E::product(&a.lo, &a.lo, Down), E::product(&a.hi, &a.hi, Up))
    }

    /// The nearest integer, when it is that of both ends.
    fn rounded(&self, nearest: fn(&E) -> E) -> Self {
        let (lo, hi) = (nearest(&self.lo), nearest(&self.hi));
        if lo != hi || self.fault.is_some() {
            let x = self.text();
            self.open(format!(
                "which integer is nearest to {x} is not decided by these bounds; use more digits"
            ));
        }
        Interval { lo, hi, fault: self.fault.clone() }
    }

    /// Reports a comparison or rounding that the bounds leave open.
    fn open(&self, what: String) {
        stop(match &self.fault {
            Some(f) => (**f).clone(),
            None => fault(what, true),
        });
    }

    fn compare(&self, o: &Self, holds: bool, fails: bool) -> bool {
        if self.poisoned(o).is_some() || !holds && !fails {
            let which = if self.fault.is_some() { self } else { o };
            let (a, b) = (self.text(), o.text());
            which.open(format!(
                "whether {a} or {b} is larger is not decided by these bounds; use more digits"
            ));
        }
        holds
    }
}

impl<E: End> PartialEq for Interval<E> {
    fn eq(&self, o: &Self) -> bool {
        let same = self.is_point() && o.is_point() && self.lo == o.lo;
        self.compare(o, same, self.hi < o.lo || o.hi < self.lo)
    }
}
impl<E: End> PartialOrd for Interval<E> {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        if self.poisoned(o).is_none() {
            if self.hi < o.lo {
                return Some(Ordering::Less);
            }
            if o.hi < self.lo {
                return Some(Ordering::Greater);
            }
            if self.is_point() && o.is_point() {
                return Some(Ordering::Equal);
            }
        }
        self.compare(o, false, false);
        None
    }
    fn lt(&self, o: &Self) -> bool {
        self.compare(o, self.hi < o.lo, self.lo >= o.hi)
    }
    fn le(&self, o: &Self) -> bool {
        self.compare(o, self.hi <= o.lo, self.lo > o.hi)
    }
    fn gt(&self, o: &Self) -> bool {
        o.lt(self)
    }
    fn ge(&self, o: &Self) -> bool {
        o.le(self)
    }
}

impl<E: End> Add for Interval<E> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        self.poisoned(&o)
            .unwrap_or_else(|| Interval::new(E::sum(&self.lo, &o.lo, Down), E::sum(&self.hi, &o.hi, Up)))
    }
}
impl<E: End> Neg for Interval<E> {
    type Output = Self;
    fn neg(self) -> Self {
        Interval { lo: -self.hi, hi: -self.lo, fault: self.fault }
    }
}
impl<E: End> Sub for Interval<E> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}
/// The least and the greatest of `f` over the four pairs of ends.
fn corners<E: End>(a: &Interval<E>, b: &Interval<E>, f: impl Fn(&E, &E, Toward) -> E) -> Interval<E> {
    let pairs = [(&a.lo, &b.lo), (&a.lo, &b.hi), (&a.hi, &b.lo), (&a.hi, &b.hi)];
    let pairs = if a.is_point() && b.is_point() { &pairs[..1] } else { &pairs[..] };
    let fold = |to, pick: fn(&E, &E) -> E| {
        let mut all = pairs.iter().map(|(x, y)| f(x, y, to));
        let first = all.next().unwrap_or_else(Interval::<E>::zero);
        all.fold(first, |m, x| pick(&m, &x))
    };
    Interval::new(fold(Down, E::minimum), fold(Up, E::maximum))
}
impl<E: End> Mul for Interval<E> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        self.poisoned(&o).unwrap_or_else(|| corners(&self, &o, E::product))
    }
}
impl<E: End> Div for Interval<E> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        if let Some(bad) = self.poisoned(&o) {
            return bad;
        }
        let zero = Self::zero();
        if o.lo > zero || o.hi < zero {
            return corners(&self, &o, E::quotient);
        }
        let (a, b) = (self.text(), o.text());
        if o.is_point() {
            return Self::bad(format!("{a} / {b} has no value"), false);
        }
        Self::bad(format!("{a} / {b}: the divisor may be 0; use more digits, or another divisor"), true)
    }
}

impl<E: End> Scalar for Interval<E> {
    fn from_f64(x: f64) -> Self {
        if x.is_nan() {
            return Self::bad("NaN was written in the graph or given as an input".into(), false);
        }
        Interval::point(E::from_f64(x))
    }
    fn to_f64(&self) -> f64 {
        if self.fault.is_some() { f64::NAN } else { self.middle().to_f64() }
    }
    fn from_decimal(text: &str) -> Option<Self> {
        Some(Interval::new(E::decimal(text, Down)?, E::decimal(text, Up)?))
    }
    fn to_decimal(&self) -> String {
        self.middle().to_decimal()
    }
    fn take_fault() -> Option<String> {
        let f = STOP.with_borrow_mut(Option::take)?;
        LAST_UNDECIDED.set(f.undecided);
        Some(if f.op.is_empty() { f.problem } else { format!("{} (in {})", f.problem, f.op) })
    }
    fn entering(node: &dyn Fn() -> String) {
        NODE.with_borrow_mut(|n| *n = node());
    }
    fn exp(&self) -> Self {
        self.rising(Function::Exp)
    }
    fn ln(&self) -> Self {
        let zero = Self::zero();
        self.domain(Function::Ln, self.lo > zero, self.hi <= zero)
            .unwrap_or_else(|| self.rising(Function::Ln))
    }
    fn sqrt(&self) -> Self {
        let zero = Self::zero();
        self.domain(Function::Sqrt, self.lo >= zero, self.hi < zero)
            .unwrap_or_else(|| self.rising(Function::Sqrt))
    }
    fn tanh(&self) -> Self {
        self.rising(Function::Tanh)
    }
    fn sin(&self) -> Self {
        self.wave(Function::Sin, 1)
    }
    fn cos(&self) -> Self {
        self.wave(Function::Cos, 0)
    }
    fn asin(&self) -> Self {
        let one = E::from_f64(1.0);
        let out = self.lo > one || self.hi < -one.clone();
        self.domain(Function::Asin, self.lo >= -one.clone() && self.hi <= one, out)
            .unwrap_or_else(|| self.rising(Function::Asin))
    }
    fn acos(&self) -> Self {
        let one = E::from_f64(1.0);
        let out = self.lo > one || self.hi < -one.clone();
        self.domain(Function::Acos, self.lo >= -one.clone() && self.hi <= one, out).unwrap_or_else(|| {
            Interval::new(E::apply(Function::Acos, &self.hi, Down), E::apply(Function::Acos, &self.lo, Up))
        })
    }
    fn atan(&self) -> Self {
        self.rising(Function::Atan)
    }
    fn powf(&self, y: &Self) -> Self {
        if let Some(bad) = self.poisoned(y) {
            return bad;
        }
        let n = y.lo.to_f64();
        if y.is_point() && n.fract() == 0.0 && n.abs() < 1e9 && E::from_f64(n) == y.lo {
            let size = self.whole(n.abs() as u64);
            return if n < 0.0 { Interval::point(E::from_f64(1.0)) / size } else { size };
        }
        let zero = Self::zero();
        if self.lo == zero && y.lo > zero {
            let top = if self.hi == zero {
                zero.clone()
            } else {
                (y.clone() * Self::point(self.hi.clone()).ln()).exp().hi
            };
            return Interval::new(zero, top);
        }
        if self.hi < zero {
            let what =
                format!("{} to the power {} has no value: the base is negative", self.text(), y.text());
            return Self::bad(what, false);
        }
        (y.clone() * self.ln()).exp()
    }
    fn floor(&self) -> Self {
        let (lo, hi) = (self.lo.floor(), self.hi.floor());
        if lo != hi || self.fault.is_some() {
            self.open(format!("floor of {} is not decided by these bounds; use more digits", self.text()));
        }
        Interval { lo, hi, fault: self.fault.clone() }
    }
    fn round_half_even(&self) -> Self {
        self.rounded(E::round_half_even)
    }
    fn round_half_away(&self) -> Self {
        self.rounded(E::round_half_away)
    }
    fn abs(&self) -> Self {
        let zero = Self::zero();
        if self.fault.is_some() || self.lo >= zero {
            return self.clone();
        }
        if self.hi <= zero {
            return -self.clone();
        }
        Interval::new(zero, (-self.lo.clone()).maximum(&self.hi))
    }
    fn sign(&self) -> Self {
        let zero = Self::zero();
        let of = |x: f64| Interval::point(E::from_f64(x));
        match &self.fault {
            Some(_) => self.clone(),
            None if self.lo > zero => of(1.0),
            None if self.hi < zero => of(-1.0),
            None if self.is_point() => of(0.0),
            None => {
                self.open(format!(
                    "the sign of {} is not decided by these bounds; use more digits",
                    self.text()
                ));
                self.clone()
            }
        }
    }
    fn logistic(&self) -> Self {
        if self.fault.is_some() {
            return self.clone();
        }
        // It rises, so each end is a point of its own.
        let end = |x: &E| {
            let one = || Interval::point(E::from_f64(1.0));
            let e = Interval::point(-x.abs()).exp();
            if *x >= Self::zero() { one() / (one() + e) } else { e.clone() / (one() + e) }
        };
        Interval::new(end(&self.lo).lo, end(&self.hi).hi)
    }
    fn is_nan(&self) -> bool {
        self.fault.is_some()
    }
    fn maximum(&self, o: &Self) -> Self {
        self.poisoned(o).unwrap_or_else(|| Interval::new(self.lo.maximum(&o.lo), self.hi.maximum(&o.hi)))
    }
    fn minimum(&self, o: &Self) -> Self {
        self.poisoned(o).unwrap_or_else(|| Interval::new(self.lo.minimum(&o.lo), self.hi.minimum(&o.hi)))
    }
    fn round_to(&self, dtype: axes::DType) -> Self {
        // Rounding rises, so the rounded ends hold whatever was rounded.
        Interval { lo: self.lo.round_to(dtype), hi: self.hi.round_to(dtype), fault: self.fault.clone() }
    }
}
