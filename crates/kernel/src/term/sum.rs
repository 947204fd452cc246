//! Sums and recurrences: products pushed into sums, nested sums made one, blocks put together, names made canonical.

use super::poly::{Atom, Fun, Mono, Rec, Sum, Term, fresh};
use super::rat::Rat;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

thread_local! {
    /// The ranges of indices that came out of sums, for proofs about places inside them.
    static OPENED: RefCell<HashMap<u32, Term>> = RefCell::new(HashMap::new());
}

/// The range of an index that came out of a sum.
pub(crate) fn opened_range(i: u32) -> Option<Term> {
    OPENED.with_borrow(|map| map.get(&i).cloned())
}

/// Forgets the ranges of all indices.
pub(crate) fn forget() {
    OPENED.with_borrow_mut(HashMap::clear);
}

/// Σ over v < n.
pub(crate) fn sum(v: u32, n: &Term, body: &Term) -> Term {
    match n.as_int() {
        Some(n) if n <= 0 => return Term::zero(),
        Some(1) => return body.put(v, &Term::zero()),
        _ => {}
    }
    let mut made = Term::zero();
    for (m, c) in body.monos() {
        let term = match &m.0[..] {
            [(Atom::Sum(s), 1)] => {
                let (mut vars, inner) = open(s);
                vars.insert(0, (v, n.clone()));
                make(vars, inner)
            }
            _ => make(vec![(v, n.clone())], m.clone()),
        };
        made = made.add(&term.scale(c));
    }
    made
}

/// The product of monomials that may hold sums: one sum over all indices.
pub(crate) fn product(a: &Mono, b: &Mono) -> Term {
    let mut vars = vec![];
    let mut rest = Term::one();
    for (atom, e) in a.0.iter().chain(&b.0) {
        match atom {
            Atom::Sum(s) if *e > 0 => {
                for _ in 0..*e {
                    let (v, body) = open(s);
                    vars.extend(v);
                    rest = rest.mul(&Term::monomial(body, Rat::ONE));
                }
            }
            _ => rest = rest.mul(&Term::monomial(Mono(vec![(atom.clone(), *e)]), Rat::ONE)),
        }
    }
    over(&vars, &rest)
}

/// The sum over all of these of a polynomial without sums.
pub(crate) fn over(vars: &[(u32, Term)], body: &Term) -> Term {
    let mut made = Term::zero();
    for (m, c) in body.monos() {
        made = made.add(&make(vars.to_vec(), m.clone()).scale(c));
    }
    made
}

/// The sum's indices under names of their own, with their ranges, and the body.
pub(crate) fn open(s: &Sum) -> (Vec<(u32, Term)>, Mono) {
    let names: Vec<u32> = s.ranges.iter().map(|_| fresh()).collect();
    let rename = |a: &Atom| match a {
        Atom::Bound(l, p) if *l == s.level => names.get(*p as usize).map(|n| Atom::Index(*n)),
        _ => None,
    };
    let vars: Vec<_> = names.iter().zip(&s.ranges).map(|(n, r)| (*n, r.rename(&rename))).collect();
    OPENED.with_borrow_mut(|map| map.extend(vars.iter().cloned()));
    (vars, s.body.rename(&rename))
}

/// The recurrence's index under a name of its own, its gate and its drive.
pub(crate) fn open_rec(r: &Rec) -> (u32, Term, Term) {
    let name = fresh();
    let rename = |a: &Atom| (*a == Atom::Bound(r.level, 0)).then_some(Atom::Index(name));
    OPENED.with_borrow_mut(|map| map.insert(name, r.count.clone()));
    (name, r.gate.rename(&rename), r.drive.rename(&rename))
}

/// The value of x ← gate(v) x + drive(v) after `count` rounds.
pub(crate) fn rec(v: u32, init: &Term, gate: &Term, drive: &Term, count: &Term) -> Term {
    if count.is_zero() {
        return init.clone();
    }
    if gate.as_int() == Some(1) {
        return init.add(&sum(v, count, drive));
    }
    if count.as_int() == Some(1) {
        let zero = Term::zero();
        return gate.put(v, &zero).mul(init).add(&drive.put(v, &zero));
    }
    let level = 1 + gate.level().max(drive.level());
    let rename = |a: &Atom| (*a == Atom::Index(v)).then_some(Atom::Bound(level, 0));
    Term::atom(Atom::Rec(Rc::new(Rec {
        level,
        init: init.clone(),
        gate: gate.rename(&rename),
        drive: drive.rename(&rename),
        count: count.clone(),
    })))
}

fn make(mut vars: Vec<(u32, Term)>, body: Mono) -> Term {
    // What no factor depends on is counted.
    for k in 0..vars.len() {
        let (v, n) = vars[k].clone();
        let used = body.any(&|a| *a == Atom::Index(v)) || vars.iter().any(|(_, r)| r.has_index(v));
        if !used {
            vars.remove(k);
            return over(&vars, &Term::monomial(body, Rat::ONE).mul(&n));
        }
        if n.as_int() == Some(1) {
            vars.remove(k);
            let zero = Term::zero();
            let vars: Vec<_> = vars.into_iter().map(|(u, r)| (u, r.put(v, &zero))).collect();
            return over(&vars, &Term::monomial(body, Rat::ONE).put(v, &zero));
        }
    }
    if vars.is_empty() {
        return Term::monomial(body, Rat::ONE);
    }
    // An index that runs down is turned round.
    for k in 0..vars.len() {
        let (v, n) = vars[k].clone();
        if runs_down(&body, v) && !vars.iter().any(|(_, r)| r.has_index(v)) {
            let by = n.sub(&Term::one()).sub(&Term::index(v));
            return over(&vars, &Term::monomial(body, Rat::ONE).put(v, &by));
        }
    }
    // An index cut into blocks is put together.
    for a in 0..vars.len() {
        for b in 0..vars.len() {
            if a != b
                && let Some(made) = unblock(&vars, a, b, &body)
            {
                return made;
            }
        }
    }
    canonical(&vars, &body)
}

/// Whether places of memory fall with the index, in all that depend on it.
fn runs_down(m: &Mono, v: u32) -> bool {
    let (up, down) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    m.any(&|a| {
        if let Atom::Load(_, at, _) | Atom::PhiLoad(_, at) = a
            && let Some((slope, _)) = at.linear_in(&Atom::Index(v))
            && !slope.is_zero()
        {
            let count = if slope.monos().all(|(_, c)| c.sign() < 0) { &down } else { &up };
            count.set(count.get() + 1);
        }
        false
    });
    up.get() == 0 && down.get() > 0
}

/// The range of s a + b where b < s: the number of values together.
pub(crate) fn blocked(outer: &(u32, Term), inner: &(u32, Term)) -> Option<(Term, Term)> {
    let ((a, rounds), (_, s)) = (outer, inner);
    if !s.has_index(*a) {
        return Some((s.clone(), s.mul(rounds)));
    }
    // The last block is shorter: b < min(s, n − s a), a < ⌈n / s⌉.
    let Some(Atom::Fn(Fun::Min, args)) = s.as_atom() else { return None };
    for (s, rest) in [(&args[0], &args[1]), (&args[1], &args[0])] {
        let n = rest.add(&s.mul(&Term::index(*a)));
        if s.has_index(*a) || n.has_index(*a) {
            continue;
        }
        if *rounds == n.add(s).sub(&Term::one()).int_div(s) {
            return Some((s.clone(), n));
        }
    }
    None
}

fn unblock(vars: &[(u32, Term)], a: usize, b: usize, body: &Mono) -> Option<Term> {
    let (s, n) = blocked(&vars[a], &vars[b])?;
    let m = fresh();
    let by = Term::index(m).sub(&s.mul(&Term::index(vars[a].0)));
    let body = Term::monomial(body.clone(), Rat::ONE).put(vars[b].0, &by);
    if body.has_index(vars[a].0) {
        return None;
    }
    let mut rest = vec![(m, n)];
    for (k, (v, r)) in vars.iter().enumerate() {
        if k != a && k != b {
            let r = r.put(vars[b].0, &by);
            if r.has_index(vars[a].0) {
                return None;
            }
            rest.push((*v, r));
        }
    }
    Some(over(&rest, &body))
}

/// The least of all orders of the indices.
fn canonical(vars: &[(u32, Term)], body: &Mono) -> Term {
    let level = 1 + vars.iter().map(|(_, r)| r.level()).max().unwrap_or(0).max(body.level());
    let mut best: Option<Sum> = None;
    let mut order: Vec<usize> = (0..vars.len()).collect();
    let mut consider = |order: &[usize]| {
        let place: BTreeMap<u32, u32> =
            order.iter().enumerate().map(|(p, k)| (vars[*k].0, p as u32)).collect();
        let rename = |a: &Atom| match a {
            Atom::Index(v) => place.get(v).map(|p| Atom::Bound(level, *p)),
            _ => None,
        };
        let made = Sum {
            level,
            ranges: order.iter().map(|k| vars[*k].1.rename(&rename)).collect(),
            body: body.rename(&rename),
        };
        if best.as_ref().is_none_or(|b| (&made.body, &made.ranges) < (&b.body, &b.ranges)) {
            best = Some(made);
        }
    };
    if vars.len() <= 5 {
        permutations(&mut order, 0, &mut consider)
    } else {
        consider(&order)
    }
    match best {
        Some(s) => Term::atom(Atom::Sum(Rc::new(s))),
        None => Term::zero(),
    }
}

fn permutations(list: &mut Vec<usize>, from: usize, f: &mut impl FnMut(&[usize])) {
    if from == list.len() {
        return f(list);
    }
    for k in from..list.len() {
        list.swap(from, k);
        permutations(list, from + 1, f);
        list.swap(from, k);
    }
}

impl Term {
    /// Atoms renamed in place; nothing is computed anew.
    pub(crate) fn rename(&self, f: &dyn Fn(&Atom) -> Option<Atom>) -> Term {
        let mut map = BTreeMap::new();
        for (m, c) in self.monos() {
            *map.entry(m.rename(f)).or_insert(Rat::ZERO) = c;
        }
        Term(Rc::new(map))
    }

    /// How deep sums are nested.
    pub(crate) fn level(&self) -> u32 {
        self.monos().map(|(m, _)| m.level()).max().unwrap_or(0)
    }

    /// Sums that continue one another made one: unrolled loops, loops that are cut in two, rounds that stand alone.
    pub(crate) fn tidy(&self) -> Term {
        let inside = |a: &Atom| match a {
            Atom::Group(t) => Some(t.tidy()),
            Atom::Fn(Fun::Exp, args) => Some(args[0].tidy().exp()),
            Atom::Fn(Fun::Sigmoid, args) => Some(args[0].tidy().sigmoid()),
            Atom::Fn(f @ (Fun::Sqrt | Fun::Ln), args) => Some(Term::fun(*f, vec![args[0].tidy()])),
            _ => None,
        };
        let nested = |a: &Atom| {
            matches!(a, Atom::Group(_) | Atom::Fn(Fun::Exp | Fun::Sigmoid | Fun::Sqrt | Fun::Ln, _))
        };
        let mut t = if self.any(&nested) { self.map(&inside) } else { self.clone() };
        // Each step leaves fewer products.
        while let Some(next) = merge(&t) {
            t = next;
        }
        t
    }
}

impl Mono {
    pub(crate) fn rename(&self, f: &dyn Fn(&Atom) -> Option<Atom>) -> Mono {
        let mut list: Vec<(Atom, i32)> = self.0.iter().map(|(a, e)| (a.rename(f), *e)).collect();
        list.sort();
        Mono(list)
    }

    fn level(&self) -> u32 {
        self.0.iter().map(|(a, _)| a.level()).max().unwrap_or(0)
    }
}

impl Atom {
    fn rename(&self, f: &dyn Fn(&Atom) -> Option<Atom>) -> Atom {
        if let Some(a) = f(self) {
            return a;
        }
        match self {
            Atom::Load(n, t, trit) => Atom::Load(n.clone(), t.rename(f), *trit),
            Atom::PhiLoad(u, t) => Atom::PhiLoad(*u, t.rename(f)),
            Atom::Pos(t) => Atom::Pos(t.rename(f)),
            Atom::Zero(t) => Atom::Zero(t.rename(f)),
            Atom::Group(t) => Atom::Group(t.rename(f)),
            Atom::Sum(s) => Atom::Sum(Rc::new(Sum {
                level: s.level,
                ranges: s.ranges.iter().map(|r| r.rename(f)).collect(),
                body: s.body.rename(f),
            })),
            Atom::Rec(r) => Atom::Rec(Rc::new(Rec {
                level: r.level,
                init: r.init.rename(f),
                gate: r.gate.rename(f),
                drive: r.drive.rename(f),
                count: r.count.rename(f),
            })),
            Atom::Fn(fun, args) => Atom::Fn(*fun, args.iter().map(|t| t.rename(f)).collect()),
            Atom::Ite(c, a, b) => Atom::Ite(c.rename(f), a.rename(f), b.rename(f)),
            other => other.clone(),
        }
    }

    fn level(&self) -> u32 {
        match self {
            Atom::Load(_, t, _) | Atom::PhiLoad(_, t) | Atom::Pos(t) | Atom::Zero(t) | Atom::Group(t) => {
                t.level()
            }
            Atom::Sum(s) => s.level,
            Atom::Rec(r) => r.level.max(r.init.level()).max(r.count.level()),
            Atom::Fn(_, args) => args.iter().map(Term::level).max().unwrap_or(0),
            Atom::Ite(c, a, b) => c.level().max(a.level()).max(b.level()),
            _ => 0,
        }
    }
}

/// A sum of a polynomial, taken apart at one of its indices.
struct Part {
    mono: Mono,
    coefficient: Rat,
    vars: Vec<(u32, Term)>,
    body: Term,
}

impl Part {
    /// The sum over the other indices with this one replaced.
    fn at(&self, k: usize, by: &Term) -> Term {
        let v = self.vars[k].0;
        let rest = self.vars.iter().enumerate().filter(|(i, _)| *i != k);
        let rest: Vec<_> = rest.map(|(_, (u, r))| (*u, r.put(v, by))).collect();
        over(&rest, &self.body.put(v, by)).scale(self.coefficient)
    }

    /// With index `k` named m and a longer range.
    fn extended(&self, k: usize, m: u32, by: &Term, n: Term) -> Term {
        sum(m, &n, &self.at(k, by))
    }
}

/// One step of [`Term::tidy`].
fn merge(t: &Term) -> Option<Term> {
    let parts: Vec<Part> = t
        .monos()
        .filter_map(|(m, c)| match &m.0[..] {
            [(Atom::Sum(s), 1)] => {
                let (vars, body) = open(s);
                Some(Part { mono: m.clone(), coefficient: c, vars, body: Term::monomial(body, Rat::ONE) })
            }
            _ => None,
        })
        .collect();
    let without = |list: &[&Part]| {
        list.iter().fold(t.clone(), |t, p| t.sub(&Term::monomial(p.mono.clone(), p.coefficient)))
    };
    let m = fresh();
    let here = Term::index(m);
    for p in &parts {
        for k in 0..p.vars.len() {
            let n = &p.vars[k].1;
            let alone = || without(&[p]);
            // A round that stands alone, after the last or before the first.
            for (at, by) in [(n.clone(), here.clone()), (Term::int(-1), here.sub(&Term::one()))] {
                let round = p.at(k, &at);
                if let Some((mono, c)) = round.single()
                    && alone().0.get(mono) == Some(&c)
                {
                    let rest = alone().sub(&round);
                    return Some(rest.add(&p.extended(k, m, &by, n.add(&Term::one()))));
                }
            }
            let mine = p.at(k, &here);
            // Another sum that goes on where this one ends.
            for q in &parts {
                for j in 0..q.vars.len() {
                    if std::ptr::eq(p, q) || q.coefficient != p.coefficient {
                        continue;
                    }
                    if q.at(j, &here.sub(n)) == mine {
                        let n = n.add(&q.vars[j].1);
                        return Some(without(&[p, q]).add(&p.extended(k, m, &here, n)));
                    }
                }
            }
            // As many sums as the step of the index, each one further.
            let step = stride(&p.body, p.vars[k].0);
            for s in (2..=step.min(32)).filter(|s| step % s == 0) {
                let part =
                    |q: &Part, j: usize, r: i128| q.at(j, &here.sub(&Term::int(r)).scale(Rat::new(1, s)));
                let key = part(p, k, 0);
                let mut found = vec![p];
                for r in 1..s {
                    let next = parts.iter().find(|q| {
                        !found.iter().any(|f| std::ptr::eq(*f, *q))
                            && (0..q.vars.len()).any(|j| q.vars[j].1 == *n && part(q, j, r) == key)
                    });
                    found.extend(next);
                }
                if found.len() as i128 == s {
                    let n = n.scale(Rat::int(s));
                    return Some(without(&found).add(&sum(m, &n, &key)));
                }
            }
        }
    }
    None
}

/// The greatest number that divides every coefficient of the index in places of memory.
pub(crate) fn stride(t: &Term, v: u32) -> i128 {
    fn gcd(a: i128, b: i128) -> i128 {
        if b == 0 { a.abs() } else { gcd(b, a % b) }
    }
    let found = std::cell::Cell::new(0i128);
    t.any(&|a| {
        if let Atom::Load(_, at, _) | Atom::PhiLoad(_, at) = a {
            for (m, c) in at.monos().filter(|(m, _)| m.0.iter().any(|(a, _)| *a == Atom::Index(v))) {
                let _ = m;
                found.set(gcd(found.get(), c.as_int().unwrap_or(1)));
            }
        }
        false
    });
    found.get()
}
