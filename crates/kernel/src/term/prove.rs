//! What is known of places of memory: whether one is never negative.

use super::poly::{Atom, Fun, Term};
use super::rat::Rat;
use std::collections::HashMap;

/// The ranges of indices: each is at least 0 and less than its bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(HashMap<u32, Term>);

impl Ranges {
    pub(crate) fn set(&mut self, index: u32, bound: Term) {
        self.0.insert(index, bound);
    }

    pub(crate) fn get(&self, index: u32) -> Option<Term> {
        self.0.get(&index).cloned().or_else(|| super::sum::opened_range(index))
    }

    /// Whether the term is at least 0 wherever its indices are in their ranges and its sizes at least 1. `false` may mean
    /// that nothing was found out.
    pub(crate) fn not_negative(&self, t: &Term) -> bool {
        self.prove(t, 24)
    }

    /// Whether a ≤ b.
    pub(crate) fn at_most(&self, a: &Term, b: &Term) -> bool {
        self.not_negative(&b.sub(a))
    }

    /// Whether a < b, of integers.
    pub(crate) fn less(&self, a: &Term, b: &Term) -> bool {
        self.not_negative(&b.sub(a).sub(&Term::one()))
    }

    fn prove(&self, t: &Term, depth: u32) -> bool {
        if depth == 0 {
            return false;
        }
        if let Some(r) = t.as_rat() {
            return r.sign() >= 0;
        }
        // The smaller (larger) of two is one of them.
        let pair = |a: &Atom| matches!(a, Atom::Fn(Fun::Min | Fun::Max | Fun::SatSub, _));
        if let Some(a) = find(t, &pair) {
            let Atom::Fn(f, args) = &a else { return false };
            let put = |by: &Term| t.map(&|b| (*b == a).then(|| by.clone()));
            let (first, second) = match f {
                Fun::SatSub => (args[0].sub(&args[1]), Term::zero()),
                _ => (args[0].clone(), args[1].clone()),
            };
            // Where the term falls with it, the smaller of two is at most each of them, so one proof is enough.
            let falls = t.linear_in(&a).is_some_and(|(slope, _)| match f {
                Fun::Min => self.prove(&slope.neg(), depth - 1),
                _ => self.prove(&slope, depth - 1),
            });
            let (x, y) = (self.prove(&put(&first), depth - 1), self.prove(&put(&second), depth - 1));
            return if falls { x || y } else { x && y };
        }
        // An index whose bound no other index here depends on: replaced by the end that makes the term smallest.
        let mut indices: Vec<(u32, Term)> = vec![];
        for (m, _) in t.monos() {
            for (a, _) in &m.0 {
                if let Atom::Index(i) = a
                    && !indices.iter().any(|(j, _)| j == i)
                {
                    let Some(bound) = self.get(*i) else { return false };
                    indices.push((*i, bound));
                }
            }
        }
        let inner = |i: u32| indices.iter().all(|(j, bound)| *j == i || !bound.has_index(i));
        let Some(i) = indices.iter().map(|(i, _)| *i).find(|i| inner(*i)) else {
            if let Some(a) = find(t, &|a| matches!(a, Atom::Fn(Fun::Div, _))) {
                return self.prove_division(t, &a, depth);
            }
            return self.prove_sizes(t);
        };
        let Some((slope, rest)) = t.linear_in(&Atom::Index(i)) else { return false };
        if self.prove(&slope, depth - 1) {
            return self.prove(&rest, depth - 1);
        }
        let last =
            indices.iter().find(|(j, _)| *j == i).map_or_else(Term::zero, |(_, n)| n.sub(&Term::one()));
        self.prove(&slope.neg(), depth - 1) && self.prove(&slope.mul(&last).add(&rest), depth - 1)
    }

    /// a/k − 1 + 1/k ≤ ⌊a/k⌋ ≤ a/k.
    fn prove_division(&self, t: &Term, a: &Atom, depth: u32) -> bool {
        let Atom::Fn(_, args) = a else { return false };
        let Some(k) = args[1].as_int().filter(|k| *k > 0) else { return false };
        let Some((slope, rest)) = t.linear_in(a) else { return false };
        let over = args[0].scale(Rat::new(1, k));
        let end = match (self.prove(&slope, depth - 1), self.prove(&slope.neg(), depth - 1)) {
            // At least 0 too, but the other bound is the sharper one where both hold.
            (true, _) => {
                let low = over.sub(&Term::rat(Rat::new(k - 1, k)));
                if self.prove(&slope.mul(&low).add(&rest), depth - 1) {
                    return true;
                }
                Term::zero()
            }
            (_, true) => over,
            _ => return false,
        };
        self.prove(&slope.mul(&end).add(&rest), depth - 1)
    }

    /// Only sizes are left: each is 1 more than something that is not negative.
    fn prove_sizes(&self, t: &Term) -> bool {
        let shifted = t.map(&|a| match a {
            Atom::Size(_) => Some(Term::atom(a.clone()).add(&Term::one())),
            _ => None,
        });
        let plain = |a: &Atom| matches!(a, Atom::Size(_) | Atom::Param(_));
        shifted.monos().all(|(m, c)| c.sign() >= 0 && m.0.iter().all(|(a, e)| plain(a) && *e > 0))
    }
}

fn find(t: &Term, test: &dyn Fn(&Atom) -> bool) -> Option<Atom> {
    t.monos().flat_map(|(m, _)| &m.0).map(|(a, _)| a).find(|a| test(a)).cloned()
}
