//! What an array holds: what it began with, and the regions that were written since.

use crate::term::{Atom, Ranges, Rat, Term, fresh};
use kernel_syntax::Span;
use std::rc::Rc;

/// What was there before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Base {
    /// A parameter's content; whether it is trits.
    Param(Rc<str>, bool),
    /// One value everywhere.
    Fill(Term),
    /// Whatever it was before the round of a loop.
    Before(u32),
}

/// For all values of the indices below their bounds, the element at `index` is `value`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Region {
    pub vars: Vec<(u32, Term)>,
    pub index: Term,
    pub value: Term,
    pub span: Span,
}

/// The content of an array; later regions lie over earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Memory {
    pub base: Base,
    pub writes: Vec<Region>,
}

/// Whether an element is one of a region's.
pub(crate) enum Hit {
    /// The one with these values of the indices.
    Yes(Vec<(u32, Term)>),
    No,
    Unknown,
}

impl Memory {
    pub(crate) fn param(name: Rc<str>, trits: bool) -> Memory {
        Memory { base: Base::Param(name, trits), writes: vec![] }
    }

    fn before(&self, at: &Term) -> Term {
        match &self.base {
            Base::Param(name, trits) => Term::atom(Atom::Load(name.clone(), at.clone(), *trits)),
            Base::Fill(t) => t.clone(),
            Base::Before(id) => Term::atom(Atom::PhiLoad(*id, at.clone())),
        }
    }

    /// The element at a place.
    pub(crate) fn read(&self, at: &Term, ranges: &Ranges) -> Result<Term, String> {
        for r in self.writes.iter().rev() {
            match r.hit(at, ranges) {
                Hit::Yes(values) => return Ok(put_all(&r.value, &values)),
                Hit::No => {}
                Hit::Unknown => {
                    return Err(format!(
                        "line {} writes a part of it, and whether this element is in it cannot be decided",
                        r.span.line
                    ));
                }
            }
        }
        Ok(self.before(at))
    }

    pub(crate) fn write(&mut self, r: Region) {
        if r.vars.is_empty()
            && let Some(last) = self.writes.iter_mut().rev().find(|w| w.vars.is_empty() && w.index == r.index)
        {
            *last = r;
            return;
        }
        let r = r.upward().0;
        // What is written over as a whole is gone.
        self.writes.retain(|w| !r.covers(w));
        self.writes.push(r);
        self.tidy();
    }

    /// The content where `c` holds, else the other's.
    pub(crate) fn join(&self, other: &Memory, c: &Term, ranges: &Ranges) -> Result<Memory, String> {
        if self == other {
            return Ok(self.clone());
        }
        let same = self.writes.iter().zip(&other.writes).take_while(|(a, b)| a == b).count();
        let mut joined = Memory { base: self.base.clone(), writes: self.writes[..same].to_vec() };
        let mut done: Vec<Term> = vec![];
        for r in self.writes[same..].iter().chain(&other.writes[same..]) {
            if done.contains(&r.index) {
                continue;
            }
            done.push(r.index.clone());
            let mut inner = ranges.clone();
            r.vars.iter().for_each(|(v, n)| inner.set(*v, n.clone()));
            let value = Term::ite(c, &self.read(&r.index, &inner)?, &other.read(&r.index, &inner)?);
            joined.writes.push(Region { value, ..r.clone() });
        }
        Ok(joined)
    }

    /// Neighbouring regions made one: what is written in blocks, by unrolled loops, or in two parts.
    pub(crate) fn tidy(&mut self) {
        while self.merge() {}
    }

    fn merge(&mut self) -> bool {
        for a in 0..self.writes.len() {
            if let Some(r) = self.writes[a].unblocked() {
                self.writes[a] = r;
                return true;
            }
            if (a + 1..self.writes.len()).any(|b| self.writes[b].covers(&self.writes[a])) {
                self.writes.remove(a);
                return true;
            }
            // Only neighbours in time, so that nothing written between them is passed.
            for b in a + 1..self.writes.len() {
                let (x, y) = (&self.writes[a], &self.writes[b]);
                if b > a + 1 && self.writes[a + 1..b].iter().any(|w| w.vars.len() != x.vars.len()) {
                    break;
                }
                if let Some(r) = x.adjoined(y).or_else(|| y.adjoined(x)) {
                    self.writes[a] = r;
                    self.writes.remove(b);
                    return true;
                }
            }
        }
        // As many regions as the step of the index.
        for a in 0..self.writes.len() {
            if let Some((r, used)) = self.interleaved(a) {
                self.writes[a] = r;
                let mut k = 0;
                self.writes.retain(|_| {
                    k += 1;
                    k - 1 == a || !used.contains(&(k - 1))
                });
                return true;
            }
        }
        false
    }

    fn interleaved(&self, a: usize) -> Option<(Region, Vec<usize>)> {
        let r = &self.writes[a];
        for (k, (v, n)) in r.vars.iter().enumerate() {
            let (slope, _) = r.index.linear_in(&Atom::Index(*v))?;
            let (_, c) = slope.single()?;
            let Some(s) = c.as_int().filter(|c| (2..=32).contains(c)) else { continue };
            for s in (2..=s).filter(|d| s % d == 0) {
                let m = fresh();
                let by = |r: i128| Term::index(m).sub(&Term::int(r)).scale(Rat::new(1, s));
                let (index, value) = (r.index.put(*v, &by(0)), r.value.put(*v, &by(0)));
                let mut used = vec![a];
                for q in 1..s {
                    let next = (0..self.writes.len()).find(|b| {
                        let w = &self.writes[*b];
                        !used.contains(b)
                            && w.vars.len() == r.vars.len()
                            && w.vars[k].1 == *n
                            && (0..w.vars.len()).all(|j| j == k || w.vars[j].1 == r.vars[j].1)
                            && {
                                let same = |t: &Term| {
                                    let t = t.put(w.vars[k].0, &by(q));
                                    (0..w.vars.len())
                                        .filter(|j| *j != k)
                                        .fold(t, |t, j| t.put(w.vars[j].0, &Term::index(r.vars[j].0)))
                                };
                                same(&w.index) == index && same(&w.value) == value
                            }
                    });
                    used.extend(next);
                }
                if used.len() as i128 == s {
                    let mut vars = r.vars.clone();
                    vars[k] = (m, n.scale(Rat::int(s)));
                    return Some((Region { vars, index, value, span: r.span }, used));
                }
            }
        }
        None
    }
}

/// Several indices replaced at once.
pub(crate) fn put_all(t: &Term, values: &[(u32, Term)]) -> Term {
    if values.is_empty() {
        return t.clone();
    }
    t.map(&|a| match a {
        Atom::Index(i) => values.iter().find(|(v, _)| v == i).map(|(_, t)| t.clone()),
        _ => None,
    })
}

impl Region {
    /// The indices from the slowest to the fastest with their steps, where no two elements share a place.
    pub(crate) fn steps(&self, ranges: &Ranges) -> Option<Vec<(usize, Term)>> {
        let (up, turned) = self.upward();
        if !turned.is_empty() {
            return up.steps(ranges);
        }
        let mut all = ranges.clone();
        self.vars.iter().for_each(|(v, n)| all.set(*v, n.clone()));
        let mut steps = vec![];
        for (k, (v, _)) in self.vars.iter().enumerate() {
            let (slope, _) = self.index.linear_in(&Atom::Index(*v))?;
            if slope.is_zero() || self.vars.iter().any(|(u, _)| slope.has_index(*u)) {
                return None;
            }
            steps.push((k, slope));
        }
        // The fastest first: each step is more than all faster ones reach.
        let mut order: Vec<(usize, Term)> = vec![];
        let mut reach = Term::zero();
        while !steps.is_empty() {
            let next = steps.iter().position(|(k, c)| {
                // The smallest of those that are left.
                all.less(&reach, c) && steps.iter().all(|(j, d)| j == k || all.at_most(c, d))
            })?;
            let (k, c) = steps.remove(next);
            reach = reach.add(&c.mul(&self.vars[k].1.sub(&Term::one())));
            order.push((k, c));
        }
        order.reverse();
        Some(order)
    }

    /// The region with every index running up, and the indices that were turned round, with their ranges.
    fn upward(&self) -> (Region, Vec<(u32, Term)>) {
        let mut r = self.clone();
        let mut turned = vec![];
        for (v, n) in &self.vars {
            let Some((slope, _)) = r.index.linear_in(&Atom::Index(*v)) else { continue };
            let down = !slope.is_zero() && slope.monos().all(|(_, c)| c.sign() < 0);
            if down && !self.vars.iter().any(|(_, r)| r.has_index(*v)) {
                let by = n.sub(&Term::one()).sub(&Term::index(*v));
                (r.index, r.value) = (r.index.put(*v, &by), r.value.put(*v, &by));
                turned.push((*v, n.clone()));
            }
        }
        (r, turned)
    }

    /// Whether the element at a place is one of these.
    pub(crate) fn hit(&self, at: &Term, ranges: &Ranges) -> Hit {
        let (up, turned) = self.upward();
        if !turned.is_empty() {
            return match up.hit(at, ranges) {
                Hit::Yes(mut values) => {
                    for (v, n) in &turned {
                        for (w, q) in &mut values {
                            if w == v {
                                *q = n.sub(&Term::one()).sub(q);
                            }
                        }
                    }
                    Hit::Yes(values)
                }
                other => other,
            };
        }
        let difference = at.sub(&self.index);
        if self.vars.is_empty() {
            return match difference.as_rat() {
                Some(r) if r.is_zero() => Hit::Yes(vec![]),
                Some(_) => Hit::No,
                None if ranges.less(at, &self.index) || ranges.less(&self.index, at) => Hit::No,
                None => Hit::Unknown,
            };
        }
        let Some(steps) = self.steps(ranges) else { return Hit::Unknown };
        let start =
            put_all(&self.index, &self.vars.iter().map(|(v, _)| (*v, Term::zero())).collect::<Vec<_>>());
        let mut rest = at.sub(&start);
        let mut values = vec![];
        for (k, step) in &steps {
            let q = quotient(&rest, step);
            rest = rest.sub(&q.mul(step));
            values.push((self.vars[*k].0, q));
        }
        if let Some(r) = rest.as_rat()
            && !r.is_zero()
        {
            // Between two elements of the fastest index, if every step is a multiple of its step.
            let fastest = &steps[steps.len() - 1].1;
            let multiples = steps.iter().all(|(_, step)| quotient(step, fastest).mul(fastest) == *step);
            return if multiples { Hit::No } else { Hit::Unknown };
        }
        if !rest.is_zero() {
            return Hit::Unknown;
        }
        let bound = |k: usize, values: &[(u32, Term)]| put_all(&self.vars[k].1, values);
        let within = |q: &Term, n: &Term| ranges.not_negative(q) && ranges.less(q, n);
        // A digit that left its range is carried into the next one.
        for d in (1..values.len()).rev() {
            let (k, step) = &steps[d];
            let n = bound(*k, &values);
            if within(&values[d].1, &n) || n.mul(step) != steps[d - 1].1 {
                continue;
            }
            for sign in [1, -1] {
                let carried = values[d].1.add(&n.scale(Rat::int(sign)));
                if within(&carried, &n) {
                    values[d].1 = carried;
                    values[d - 1].1 = values[d - 1].1.sub(&Term::int(sign));
                    break;
                }
            }
        }
        // The digits are unique only where all but the slowest are in their ranges.
        for d in (1..values.len()).rev() {
            let (q, n) = (&values[d].1, bound(steps[d].0, &values));
            if within(q, &n) {
                continue;
            }
            // In the gap between two rows that are further apart than they are long.
            let (step, above) = (&steps[d].1, &steps[d - 1].1);
            let room = quotient(above, step);
            let regular = steps[..d].iter().all(|(_, s)| quotient(s, above).mul(above) == *s);
            // One row down, counted from the row above.
            let up = q.add(&room);
            let between = |q: &Term| within(q, &room) && ranges.at_most(&n, q);
            let gap = room.mul(step) == *above && regular && (between(q) || between(&up));
            return if gap { Hit::No } else { Hit::Unknown };
        }
        let (q, n) = (&values[0].1, bound(steps[0].0, &values));
        if ranges.less(q, &Term::zero()) || ranges.at_most(&n, q) {
            return Hit::No;
        }
        let inside = within(q, &n);
        if inside { Hit::Yes(values) } else { Hit::Unknown }
    }

    /// Whether it has the same places as another.
    fn covers(&self, other: &Region) -> bool {
        fn orders(n: usize) -> Vec<Vec<usize>> {
            match n {
                0 => vec![vec![]],
                1 => vec![vec![0]],
                2 => vec![vec![0, 1], vec![1, 0]],
                3 => vec![
                    vec![0, 1, 2],
                    vec![0, 2, 1],
                    vec![1, 0, 2],
                    vec![1, 2, 0],
                    vec![2, 0, 1],
                    vec![2, 1, 0],
                ],
                n => vec![(0..n).collect()],
            }
        }
        self.vars.len() == other.vars.len()
            && orders(self.vars.len()).iter().any(|order| {
                let by: Vec<(u32, Term)> = (other.vars.iter().zip(order))
                    .map(|((v, _), k)| (*v, Term::index(self.vars[*k].0)))
                    .collect();
                put_all(&other.index, &by) == self.index
                    && other.vars.iter().zip(order).all(|((_, n), k)| put_all(n, &by) == self.vars[*k].1)
            })
    }

    /// An index that was cut into blocks put together, or one that runs down turned round.
    fn unblocked(&self) -> Option<Region> {
        for (k, (v, n)) in self.vars.iter().enumerate() {
            let (slope, _) = self.index.linear_in(&Atom::Index(*v))?;
            let down = !slope.is_zero() && slope.monos().all(|(_, c)| c.sign() < 0);
            if down && !self.vars.iter().any(|(_, r)| r.has_index(*v)) {
                let m = fresh();
                let by = n.sub(&Term::one()).sub(&Term::index(m));
                let mut vars = self.vars.clone();
                vars[k].0 = m;
                let (index, value) = (self.index.put(*v, &by), self.value.put(*v, &by));
                return Some(Region { vars, index, value, span: self.span });
            }
        }
        for (a, outer) in self.vars.iter().enumerate() {
            for (b, inner) in self.vars.iter().enumerate() {
                if a == b {
                    continue;
                }
                let Some((s, n)) = crate::term::blocked(outer, inner) else { continue };
                let m = fresh();
                let by = Term::index(m).sub(&s.mul(&Term::index(outer.0)));
                let (index, value) = (self.index.put(inner.0, &by), self.value.put(inner.0, &by));
                if index.has_index(outer.0) || value.has_index(outer.0) {
                    continue;
                }
                let mut vars: Vec<_> = (self.vars.iter().enumerate())
                    .filter(|(k, _)| *k != a && *k != b)
                    .map(|(_, v)| v.clone())
                    .collect();
                if vars.iter().any(|(_, n)| n.has_index(outer.0) || n.has_index(inner.0)) {
                    continue;
                }
                vars.push((m, n));
                return Some(Region { vars, index, value, span: self.span });
            }
        }
        None
    }

    /// This region and one that goes on where it ends.
    fn adjoined(&self, next: &Region) -> Option<Region> {
        // One element after the last, or before the first.
        if next.vars.len() + 1 == self.vars.len() {
            for (k, (v, n)) in self.vars.iter().enumerate() {
                let m = fresh();
                let names: Vec<_> =
                    (self.vars.iter().enumerate()).filter(|(j, _)| *j != k).map(|(_, x)| x).collect();
                if names.iter().zip(&next.vars).any(|(a, b)| a.1 != b.1) {
                    continue;
                }
                let rename = |t: &Term| {
                    let by: Vec<_> =
                        next.vars.iter().zip(&names).map(|(b, a)| (b.0, Term::index(a.0))).collect();
                    put_all(t, &by)
                };
                for (at, by) in
                    [(n.clone(), Term::index(m)), (Term::int(-1), Term::index(m).sub(&Term::one()))]
                {
                    if self.index.put(*v, &at) == rename(&next.index)
                        && self.value.put(*v, &at) == rename(&next.value)
                    {
                        let mut vars = self.vars.clone();
                        vars[k] = (m, n.add(&Term::one()));
                        let (index, value) = (self.index.put(*v, &by), self.value.put(*v, &by));
                        return Some(Region { vars, index, value, span: self.span });
                    }
                }
            }
            return None;
        }
        if next.vars.len() != self.vars.len() || self.vars.is_empty() {
            return None;
        }
        for (k, (v, n)) in self.vars.iter().enumerate() {
            for (j, (w, more)) in next.vars.iter().enumerate() {
                let others = |vars: &[(u32, Term)], skip: usize| -> Vec<(u32, Term)> {
                    vars.iter().enumerate().filter(|(i, _)| *i != skip).map(|(_, x)| x.clone()).collect()
                };
                let (mine, theirs) = (others(&self.vars, k), others(&next.vars, j));
                if mine.iter().zip(&theirs).any(|(a, b)| a.1 != b.1) {
                    continue;
                }
                let mut by: Vec<(u32, Term)> =
                    theirs.iter().zip(&mine).map(|(b, a)| (b.0, Term::index(a.0))).collect();
                by.push((*w, Term::index(*v).sub(n)));
                if put_all(&next.index, &by) == self.index && put_all(&next.value, &by) == self.value {
                    let mut vars = self.vars.clone();
                    vars[k].1 = n.add(more);
                    return Some(Region { vars, ..self.clone() });
                }
            }
        }
        None
    }
}

/// The part of a term that a step divides, divided by it.
fn quotient(t: &Term, step: &Term) -> Term {
    let Some((m, c)) = step.single() else { return Term::zero() };
    let mut made = Term::zero();
    for (n, x) in t.monos() {
        let mut rest = n.clone();
        let divided = m.0.iter().all(|(a, e)| match rest.0.iter().position(|(b, f)| a == b && f >= e) {
            Some(at) => {
                rest.0[at].1 -= e;
                if rest.0[at].1 == 0 {
                    rest.0.remove(at);
                }
                true
            }
            None => false,
        });
        if !divided {
            continue;
        }
        let ratio = x * c.recip();
        match (ratio.as_int(), n.0.is_empty(), x.as_int().zip(c.as_int())) {
            (Some(_), _, _) => made = made.add(&Term::monomial(rest, ratio)),
            // A constant leaves its rest to the faster indices.
            (None, true, Some((x, c))) => made = made.add(&Term::int(x.div_euclid(c))),
            _ => {}
        }
    }
    made
}
