//! Conditions as polynomials that are 0 or 1, choices, and the integers' division and minimum.

use super::poly::{Atom, Fun, Mono, Term};
use super::rat::Rat;

impl Term {
    /// The trit that is the only thing the term depends on.
    fn only_trit(&self) -> Option<Atom> {
        let mut found: Option<&Atom> = None;
        for (m, _) in self.monos() {
            for (a, e) in &m.0 {
                match a {
                    Atom::Load(_, _, true) if *e > 0 && found.is_none_or(|f| f == a) => found = Some(a),
                    _ => return None,
                }
            }
        }
        found.cloned()
    }

    /// The polynomial of degree two in a trit with these values at −1, 0 and 1.
    fn by_values(trit: &Atom, values: [bool; 3]) -> Term {
        let [low, mid, high] = values.map(|v| Rat::int(v.into()));
        let half = Rat::new(1, 2);
        let t = Term::atom(trit.clone());
        let linear = (high + -low) * half;
        let square = (high + low) * half + -mid;
        Term::rat(mid).add(&t.scale(linear)).add(&t.mul(&t).scale(square))
    }

    fn at_trit(&self, trit: &Atom, value: i128) -> Rat {
        let value = Term::int(value);
        self.map(&|a| (a == trit).then(|| value.clone())).as_rat().unwrap_or(Rat::ZERO)
    }

    fn trit_condition(&self, test: &dyn Fn(Rat) -> bool) -> Option<Term> {
        let trit = self.only_trit()?;
        Some(Term::by_values(&trit, [-1, 0, 1].map(|v| test(self.at_trit(&trit, v)))))
    }

    /// Divided by the size of its first coefficient.
    fn normal(&self) -> Term {
        let lead = self.monos().find(|(m, _)| !m.0.is_empty()).map_or(Rat::ONE, |(_, c)| c);
        self.scale(if lead.sign() < 0 { -lead.recip() } else { lead.recip() })
    }

    /// 1 where the term, of floats, is greater than 0.
    pub(crate) fn positive(&self) -> Term {
        if let Some(r) = self.as_rat() {
            return Term::int((r.sign() > 0).into());
        }
        if let Some(t) = self.trit_condition(&|r| r.sign() > 0) {
            return t;
        }
        let p = self.normal();
        match p.leading_sign() > 0 {
            true => Term::atom(Atom::Pos(p)),
            false => {
                let q = p.neg();
                Term::one().sub(&Term::atom(Atom::Pos(q.clone()))).sub(&q.is_null())
            }
        }
    }

    /// 1 where the term is 0.
    pub(crate) fn is_null(&self) -> Term {
        if let Some(r) = self.as_rat() {
            return Term::int(r.is_zero().into());
        }
        if let Some(t) = self.trit_condition(&Rat::is_zero) {
            return t;
        }
        let p = self.normal();
        Term::atom(Atom::Zero(if p.leading_sign() > 0 { p } else { p.neg() }))
    }

    /// The same for integers, where p > 0 is p ≥ 1.
    pub(crate) fn positive_int(&self) -> Term {
        if self.as_rat().is_some() || self.only_trit().is_some() || self.leading_sign() > 0 {
            return self.positive();
        }
        Term::one().sub(&Term::one().sub(self).positive())
    }

    /// `a` where the condition is 1, else `b`.
    pub(crate) fn ite(c: &Term, a: &Term, b: &Term) -> Term {
        match c.as_rat() {
            Some(r) if r.is_zero() => return b.clone(),
            Some(_) => return a.clone(),
            None => {}
        }
        if a == b {
            return a.clone();
        }
        if c.only_trit().is_some() {
            return b.add(&c.mul(&a.sub(b)));
        }
        // A condition that begins with 1 − is the other way round.
        if c.constant_part() == Rat::ONE {
            return Term::ite(&Term::one().sub(c), b, a);
        }
        // Whatever both have comes out, and the constant of the second with it.
        let mut common: Term = Term::rat(b.constant_part());
        for (m, x) in a.monos().filter(|(m, _)| !m.0.is_empty()) {
            if b.0.get(m) == Some(&x) {
                common = common.add(&Term::monomial(m.clone(), x));
            }
        }
        let (a, b) = (a.sub(&common), b.sub(&common));
        // p ≥ 0 chooses as p > 0 does where both sides meet at p = 0.
        let mut c = c.clone();
        let zeros: Vec<Term> = c
            .monos()
            .filter_map(|(m, k)| match &m.0[..] {
                [(Atom::Zero(p), 1)] if k == Rat::ONE => Some(p.clone()),
                _ => None,
            })
            .collect();
        for p in zeros {
            if meets(&a.sub(&b), &p) {
                c = c.sub(&p.is_null());
            }
        }
        if c.is_zero() {
            return common.add(&b);
        }
        common.add(&Term::atom(Atom::Ite(c, a, b)))
    }

    /// The larger of two floats.
    pub(crate) fn max_float(&self, o: &Term) -> Term {
        Term::ite(&self.sub(o).positive(), self, o)
    }

    /// The quotient of integers that are not negative, rounded down.
    pub(crate) fn int_div(&self, o: &Term) -> Term {
        let Some(k) = o.as_int().filter(|k| *k > 0) else {
            // ⌊(q o + o − 1) / o⌋ is q, as in a quotient that is rounded up.
            let short = self.sub(o).add(&Term::one());
            return divide_exactly(self, o)
                .or_else(|| divide_exactly(&short, o))
                .unwrap_or_else(|| Term::fun(Fun::Div, vec![self.clone(), o.clone()]));
        };
        if let Some(n) = self.as_int() {
            return Term::int(n.div_euclid(k));
        }
        // What k divides comes out.
        let (mut out, mut rest) = (Term::zero(), Term::zero());
        for (m, c) in self.monos() {
            match c.as_int() {
                Some(c) if c % k == 0 && (c > 0 || !m.0.is_empty()) => {
                    out = out.add(&Term::monomial(m.clone(), Rat::int(c / k)))
                }
                Some(c) if m.0.is_empty() => {
                    out = out.add(&Term::int(c.div_euclid(k)));
                    rest = rest.add(&Term::int(c.rem_euclid(k)));
                }
                _ => rest = rest.add(&Term::monomial(m.clone(), c)),
            }
        }
        match rest.as_int() {
            Some(r) => out.add(&Term::int(r.div_euclid(k))),
            None => out.add(&Term::fun(Fun::Div, vec![rest, o.clone()])),
        }
    }

    pub(crate) fn min_int(&self, o: &Term) -> Term {
        match self.sub(o).as_rat() {
            Some(d) if d.sign() <= 0 => self.clone(),
            Some(_) => o.clone(),
            None => {
                // The smaller of two with something added to both.
                let common = Term::zero();
                let mut args = [self.sub(&common), o.sub(&common)];
                args.sort();
                Term::fun(Fun::Min, args.to_vec()).add(&common)
            }
        }
    }

    pub(crate) fn max_int(&self, o: &Term) -> Term {
        match self.sub(o).as_rat() {
            Some(d) if d.sign() >= 0 => self.clone(),
            Some(_) => o.clone(),
            None => {
                let mut args = [self.clone(), o.clone()];
                args.sort();
                Term::fun(Fun::Max, args.to_vec())
            }
        }
    }
}

/// Whether the difference is 0 where p, a single product, is.
fn meets(difference: &Term, p: &Term) -> bool {
    match p.single() {
        Some((m, _)) => difference
            .monos()
            .all(|(d, _)| m.0.iter().all(|(a, e)| d.0.iter().any(|(b, f)| a == b && f >= e))),
        None => {
            difference.scale(difference.monos().next().map_or(Rat::ONE, |(_, c)| c.recip()))
                == p.scale(p.monos().next().map_or(Rat::ONE, |(_, c)| c.recip()))
        }
    }
}

/// a / b where b is a single product that divides every product of a.
fn divide_exactly(a: &Term, b: &Term) -> Option<Term> {
    let (m, c) = b.single()?;
    let mut made = Term::zero();
    for (n, x) in a.monos() {
        let mut rest = n.clone();
        for (atom, e) in &m.0 {
            let at = rest.0.iter().position(|(y, f)| y == atom && f >= e)?;
            rest.0[at].1 -= e;
            if rest.0[at].1 == 0 {
                rest.0.remove(at);
            }
        }
        made = made.add(&Term::monomial(Mono(rest.0), x * c.recip()));
    }
    Some(made)
}
