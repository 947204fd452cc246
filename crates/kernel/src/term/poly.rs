//! Terms: polynomials over atoms.

use super::rat::Rat;
use super::sum;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

thread_local! {
    static NEXT: Cell<u32> = const { Cell::new(0) };
}

/// An index or unknown that no other has the number of.
pub(crate) fn fresh() -> u32 {
    NEXT.replace(NEXT.get() + 1)
}

/// Starts the numbers again: between kernels, so that reports do not depend on what ran before.
pub(crate) fn reset() {
    NEXT.set(0);
    sum::forget();
}

/// A function that the algebra knows by name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fun {
    Exp,
    Sigmoid,
    Sqrt,
    Ln,
    Sin,
    Cos,
    Floor,
    Ceil,
    Round,
    RoundTiesEven,
    Trunc,
    Pow,
    /// Integers: quotient (rounded down; operands are not negative), smaller, larger, difference that stops at 0.
    Div,
    Min,
    Max,
    SatSub,
    /// Something that has no rule: bits, wrapping, conversions that lose.
    Opaque(&'static str),
}

/// What a term is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Atom {
    /// The size of an axis or of an array: at least 1.
    Size(Rc<str>),
    /// A parameter.
    Param(Rc<str>),
    /// A constant that is no small fraction, as bits of a double.
    Const(u64),
    /// An index of a loop around.
    Index(u32),
    /// An index that a sum or recurrence binds: how deep sums are nested inside it, and which of its indices.
    Bound(u32, u32),
    /// The content of a parameter at the start; whether it is a trit.
    Load(Rc<str>, Term, bool),
    /// A variable before the round of a loop.
    Phi(u32),
    /// An element of an array before the round of a loop.
    PhiLoad(u32, Term),
    /// A sum.
    Sum(Rc<Sum>),
    /// A linear recurrence.
    Rec(Rc<Rec>),
    /// A function.
    Fn(Fun, Vec<Term>),
    /// A choice: the condition is a polynomial that is 0 or 1.
    Ite(Term, Term, Term),
    /// 1 where the term is greater than 0.
    Pos(Term),
    /// 1 where the term is 0.
    Zero(Term),
    /// A polynomial that something is divided by; stands with negative exponents only.
    Group(Term),
}

/// A product over every index below its range.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sum {
    pub level: u32,
    pub ranges: Vec<Term>,
    pub body: Mono,
}

/// x_0 = init, x_{i+1} = gate(i) x_i + drive(i): the value after `count` rounds. The index is `Bound(level, 0)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Rec {
    pub level: u32,
    pub init: Term,
    pub gate: Term,
    pub drive: Term,
    pub count: Term,
}

/// A product of powers, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Mono(pub Vec<(Atom, i32)>);

/// A polynomial.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Term(pub Rc<BTreeMap<Mono, Rat>>);

impl Term {
    pub(crate) fn zero() -> Term {
        Term::default()
    }

    pub(crate) fn one() -> Term {
        Term::int(1)
    }

    pub(crate) fn int(n: i128) -> Term {
        Term::rat(Rat::int(n))
    }

    pub(crate) fn rat(r: Rat) -> Term {
        Term::monomial(Mono::default(), r)
    }

    pub(crate) fn constant(x: f64) -> Term {
        match Rat::of(x) {
            Some(r) => Term::rat(r),
            None if x.is_nan() => Term::atom(Atom::Const(f64::NAN.to_bits())),
            None => Term::monomial(
                Mono(vec![(Atom::Const(x.abs().to_bits()), 1)]),
                Rat::int(if x < 0.0 { -1 } else { 1 }),
            ),
        }
    }

    pub(crate) fn monomial(m: Mono, c: Rat) -> Term {
        Term(Rc::new(if c.is_zero() { BTreeMap::new() } else { BTreeMap::from([(m, c)]) }))
    }

    pub(crate) fn atom(a: Atom) -> Term {
        Term::monomial(Mono(vec![(a, 1)]), Rat::ONE)
    }

    pub(crate) fn index(i: u32) -> Term {
        Term::atom(Atom::Index(i))
    }

    pub(crate) fn monos(&self) -> impl DoubleEndedIterator<Item = (&Mono, Rat)> {
        self.0.iter().map(|(m, c)| (m, *c))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number, where it is one.
    pub(crate) fn as_rat(&self) -> Option<Rat> {
        match self.0.len() {
            0 => Some(Rat::ZERO),
            1 => self.0.get(&Mono::default()).copied(),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i128> {
        self.as_rat()?.as_int()
    }

    /// The only atom, where it is one with coefficient and exponent 1.
    pub(crate) fn as_atom(&self) -> Option<&Atom> {
        match self.single()? {
            (Mono(list), Rat::ONE) => match &list[..] {
                [(a, 1)] => Some(a),
                _ => None,
            },
            _ => None,
        }
    }

    /// The only monomial.
    pub(crate) fn single(&self) -> Option<(&Mono, Rat)> {
        match self.0.len() {
            1 => self.monos().next(),
            _ => None,
        }
    }

    pub(crate) fn constant_part(&self) -> Rat {
        self.0.get(&Mono::default()).copied().unwrap_or(Rat::ZERO)
    }

    pub(crate) fn add(&self, o: &Term) -> Term {
        if self.is_zero() {
            return o.clone();
        }
        let mut map = (*self.0).clone();
        for (m, c) in o.monos() {
            let sum = map.get(m).copied().unwrap_or(Rat::ZERO) + c;
            if sum.is_zero() {
                map.remove(m);
            } else {
                map.insert(m.clone(), sum);
            }
        }
        Term(Rc::new(map))
    }

    pub(crate) fn neg(&self) -> Term {
        self.scale(-Rat::ONE)
    }

    pub(crate) fn sub(&self, o: &Term) -> Term {
        self.add(&o.neg())
    }

    pub(crate) fn scale(&self, r: Rat) -> Term {
        if r.is_zero() {
            return Term::zero();
        }
        Term(Rc::new(self.monos().map(|(m, c)| (m.clone(), c * r)).collect()))
    }

    pub(crate) fn mul(&self, o: &Term) -> Term {
        if let Some(r) = self.as_rat() {
            return o.scale(r);
        }
        if let Some(r) = o.as_rat() {
            return self.scale(r);
        }
        let mut made = Term::zero();
        for (a, x) in self.monos() {
            for (b, y) in o.monos() {
                made = made.add(&a.mul(b).scale(x * y));
            }
        }
        made
    }

    pub(crate) fn pow(&self, n: u32) -> Term {
        (0..n).fold(Term::one(), |t, _| t.mul(self))
    }

    /// 1 / self.
    pub(crate) fn recip(&self) -> Term {
        if let Some(s) = self.logistic() {
            return s;
        }
        match self.single() {
            Some((m, c)) if !m.0.iter().any(|(a, _)| matches!(a, Atom::Sum(_))) => {
                let mut made = Term::rat(c.recip());
                for (a, e) in &m.0 {
                    let inverse = match a {
                        Atom::Fn(Fun::Exp, args) => Term::exp(&args[0].neg()),
                        Atom::Group(t) if *e < 0 => t.pow(e.unsigned_abs()),
                        a => Term::monomial(Mono(vec![(a.clone(), -e)]), Rat::ONE),
                    };
                    made = made.mul(&inverse);
                }
                made
            }
            _ => {
                // The first coefficient is 1, so that multiples meet.
                let lead = self.monos().next().map_or(Rat::ONE, |(_, c)| c);
                let group = Atom::Group(self.scale(lead.recip()));
                Term::monomial(Mono(vec![(group, -1)]), lead.recip())
            }
        }
    }

    /// 1 / (m + m exp(q)) = σ(−q) / m.
    fn logistic(&self) -> Option<Term> {
        let mut two = self.monos();
        let (Some((a, x)), Some((b, y)), None) = (two.next(), two.next(), two.next()) else { return None };
        if x != y {
            return None;
        }
        let (a, b) = (Term::monomial(a.clone(), x), Term::monomial(b.clone(), y));
        let ratio = if a.monos().next()?.0.0.is_empty() { b.scale(x.recip()) } else { b.mul(&a.recip()) };
        match ratio.as_atom()? {
            Atom::Fn(Fun::Exp, args) => Some(a.recip().mul(&Term::sigmoid(&args[0].neg()))),
            _ => None,
        }
    }

    pub(crate) fn exp(&self) -> Term {
        match self.as_rat() {
            Some(r) if r.is_zero() => Term::one(),
            _ => Term::atom(Atom::Fn(Fun::Exp, vec![self.clone()])),
        }
    }

    pub(crate) fn sigmoid(&self) -> Term {
        if self.leading_sign() < 0 {
            return Term::one().sub(&self.neg().sigmoid());
        }
        if self.is_zero() {
            return Term::rat(Rat::new(1, 2));
        }
        Term::atom(Atom::Fn(Fun::Sigmoid, vec![self.clone()]))
    }

    /// tanh(x) = 2 σ(2 x) − 1.
    pub(crate) fn tanh(&self) -> Term {
        self.scale(Rat::int(2)).sigmoid().scale(Rat::int(2)).sub(&Term::one())
    }

    pub(crate) fn fun(f: Fun, args: Vec<Term>) -> Term {
        Term::atom(Atom::Fn(f, args))
    }

    /// The sign of the first coefficient that belongs to no constant; 0 for a number that is 0.
    pub(crate) fn leading_sign(&self) -> i128 {
        let first = self.monos().find(|(m, _)| !m.0.is_empty()).or_else(|| self.monos().next());
        first.map_or(0, |(_, c)| c.sign())
    }

    /// Whether the test holds for an atom anywhere in it.
    pub(crate) fn any(&self, test: &dyn Fn(&Atom) -> bool) -> bool {
        self.monos().any(|(m, _)| m.any(test))
    }

    pub(crate) fn has_index(&self, i: u32) -> bool {
        self.any(&|a| *a == Atom::Index(i))
    }

    /// The term with atoms replaced, from the inside out.
    pub(crate) fn map(&self, f: &dyn Fn(&Atom) -> Option<Term>) -> Term {
        let mut made = Term::zero();
        for (m, c) in self.monos() {
            made = made.add(&m.map(f).scale(c));
        }
        made
    }

    /// The term with indices replaced.
    pub(crate) fn put(&self, i: u32, by: &Term) -> Term {
        self.map(&|a| (*a == Atom::Index(i)).then(|| by.clone()))
    }

    /// A and B with self = A x + B, where x is in neither; `None` where it is not linear in x.
    pub(crate) fn linear_in(&self, x: &Atom) -> Option<(Term, Term)> {
        let (mut a, mut b) = (Term::zero(), Term::zero());
        for (m, c) in self.monos() {
            if !m.any(&|y| y == x) {
                b = b.add(&Term::monomial(m.clone(), c));
                continue;
            }
            match &m.0[..] {
                [(Atom::Sum(s), 1)] => {
                    // x does not depend on the sum's indices: it comes out of every term or of none.
                    let (vars, body) = sum::open(s);
                    let (inner_a, inner_b) = Term::monomial(body, Rat::ONE).linear_in(x)?;
                    let back = |t: Term| vars.iter().rev().fold(t, |t, (v, n)| sum::sum(*v, n, &t)).scale(c);
                    a = a.add(&back(inner_a));
                    b = b.add(&back(inner_b));
                }
                _ => {
                    let mut rest = m.clone();
                    let at = rest.0.iter().position(|(y, e)| y == x && *e == 1)?;
                    rest.0.remove(at);
                    if rest.any(&|y| y == x) {
                        return None;
                    }
                    a = a.add(&Term::monomial(rest, c));
                }
            }
        }
        Some((a, b))
    }
}

impl Mono {
    pub(crate) fn any(&self, test: &dyn Fn(&Atom) -> bool) -> bool {
        self.0.iter().any(|(a, _)| a.any(test))
    }

    pub(crate) fn map(&self, f: &dyn Fn(&Atom) -> Option<Term>) -> Term {
        let mut made = Term::one();
        for (a, e) in &self.0 {
            let t = a.map(f);
            let t = if *e >= 0 { t.pow(*e as u32) } else { t.recip().pow(e.unsigned_abs()) };
            made = made.mul(&t);
        }
        made
    }

    /// The product, by every rule that two factors have together.
    pub(crate) fn mul(&self, o: &Mono) -> Term {
        if self.0.is_empty() {
            return Term::monomial(o.clone(), Rat::ONE);
        }
        if o.0.is_empty() {
            return Term::monomial(self.clone(), Rat::ONE);
        }
        if self.0.iter().chain(&o.0).any(|(a, _)| matches!(a, Atom::Sum(_))) {
            return sum::product(self, o);
        }
        let mut powers: BTreeMap<Atom, i32> = BTreeMap::new();
        let mut exponent = Term::zero();
        for (a, e) in self.0.iter().chain(&o.0) {
            match a {
                Atom::Fn(Fun::Exp, args) => exponent = exponent.add(&args[0].scale(Rat::int((*e).into()))),
                _ => *powers.entry(a.clone()).or_insert(0) += e,
            }
        }
        for (a, e) in &mut powers {
            match a {
                Atom::Load(_, _, true) if *e > 2 => *e = if *e % 2 == 0 { 2 } else { 1 },
                Atom::Pos(_) | Atom::Zero(_) if *e > 1 => *e = 1,
                _ => {}
            }
        }
        powers.retain(|_, e| *e != 0);
        // Where p is 0, so is a product with p.
        if powers.keys().any(|a| matches!(a, Atom::Zero(p) if divides(p, &powers))) {
            return Term::zero();
        }
        // A power of a sum of several has no place in a product.
        if let Some((Atom::Group(t), e)) =
            powers.iter().find(|(a, e)| matches!(a, Atom::Group(_)) && **e > 0).map(|(a, e)| (a.clone(), *e))
        {
            powers.remove(&Atom::Group(t.clone()));
            return Term::monomial(Mono(powers.into_iter().collect()), Rat::ONE)
                .mul(&t.pow(e as u32))
                .mul(&exponent.exp());
        }
        if exponent.is_zero() {
            return Term::monomial(Mono(powers.into_iter().collect()), Rat::ONE);
        }
        // e^−p σ(p) = 1 − σ(p), and e^p σ(p) = e^p − σ(p).
        let logistic = powers.keys().find_map(|a| match a {
            Atom::Fn(Fun::Sigmoid, args) if args[0] == exponent.neg() => Some((a.clone(), false)),
            Atom::Fn(Fun::Sigmoid, args) if args[0] == exponent => Some((a.clone(), true)),
            _ => None,
        });
        if let Some((s, same)) = logistic {
            let e = powers.remove(&s).unwrap_or(1);
            let left = Term::monomial(Mono(vec![(s.clone(), 1)]), Rat::ONE);
            let reduced = if same { exponent.exp().sub(&left) } else { Term::one().sub(&left) };
            if e >= 1 {
                let rest =
                    Term::monomial(Mono(powers.into_iter().collect()), Rat::ONE).mul(&left.pow(e as u32 - 1));
                return rest.mul(&reduced);
            }
            powers.insert(s, e);
        }
        powers.insert(Atom::Fn(Fun::Exp, vec![exponent]), 1);
        Term::monomial(Mono(powers.into_iter().collect()), Rat::ONE)
    }
}

/// Whether a product of these has the factor p, a single product itself.
fn divides(p: &Term, powers: &BTreeMap<Atom, i32>) -> bool {
    match p.single() {
        Some((m, _)) if !m.0.is_empty() => {
            m.0.iter().all(|(a, e)| *e > 0 && powers.get(a).is_some_and(|have| have >= e))
        }
        _ => false,
    }
}

impl Atom {
    pub(crate) fn any(&self, test: &dyn Fn(&Atom) -> bool) -> bool {
        if test(self) {
            return true;
        }
        match self {
            Atom::Load(_, t, _) | Atom::PhiLoad(_, t) | Atom::Pos(t) | Atom::Zero(t) | Atom::Group(t) => {
                t.any(test)
            }
            Atom::Sum(s) => s.ranges.iter().any(|r| r.any(test)) || s.body.any(test),
            Atom::Rec(r) => [&r.init, &r.gate, &r.drive, &r.count].iter().any(|t| t.any(test)),
            Atom::Fn(_, args) => args.iter().any(|t| t.any(test)),
            Atom::Ite(c, a, b) => [c, a, b].iter().any(|t| t.any(test)),
            Atom::Size(_)
            | Atom::Param(_)
            | Atom::Const(_)
            | Atom::Index(_)
            | Atom::Bound(..)
            | Atom::Phi(_) => false,
        }
    }

    fn map(&self, f: &dyn Fn(&Atom) -> Option<Term>) -> Term {
        let rebuilt = match self {
            Atom::Load(n, t, trit) => Atom::Load(n.clone(), t.map(f), *trit),
            Atom::PhiLoad(u, t) => Atom::PhiLoad(*u, t.map(f)),
            Atom::Pos(t) => return f(self).unwrap_or_else(|| Term::positive(&t.map(f))),
            Atom::Zero(t) => return f(self).unwrap_or_else(|| Term::is_null(&t.map(f))),
            // Stands with a negative exponent, which its user applies.
            Atom::Group(t) => return f(self).unwrap_or_else(|| t.map(f)),
            Atom::Sum(s) => {
                if let Some(t) = f(self) {
                    return t;
                }
                let (vars, body) = sum::open(s);
                let body = body.map(f);
                return vars.iter().rev().fold(body, |t, (v, n)| sum::sum(*v, &n.map(f), &t));
            }
            Atom::Rec(r) => {
                if let Some(t) = f(self) {
                    return t;
                }
                let (v, gate, drive) = sum::open_rec(r);
                return sum::rec(v, &r.init.map(f), &gate.map(f), &drive.map(f), &r.count.map(f));
            }
            Atom::Fn(fun, args) => {
                let args: Vec<Term> = args.iter().map(|t| t.map(f)).collect();
                if let Some(t) = f(&Atom::Fn(*fun, args.clone())) {
                    return t;
                }
                return match fun {
                    Fun::Exp => args[0].exp(),
                    Fun::Sigmoid => args[0].sigmoid(),
                    Fun::Div => Term::int_div(&args[0], &args[1]),
                    Fun::Min => Term::min_int(&args[0], &args[1]),
                    Fun::Max => Term::max_int(&args[0], &args[1]),
                    _ => Term::fun(*fun, args),
                };
            }
            Atom::Ite(c, a, b) => {
                return f(self).unwrap_or_else(|| Term::ite(&c.map(f), &a.map(f), &b.map(f)));
            }
            other => other.clone(),
        };
        f(&rebuilt).unwrap_or_else(|| Term::atom(rebuilt))
    }
}
