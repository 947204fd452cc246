//! Steps and scans of recurrences, and what is read off their states.

use super::products::{load, own_element};
use super::{Match, Subject};
use crate::symbolic::Place;
use crate::term::{Atom, Mono, Rat, Rec, Term, over, sum};
use std::rc::Rc;

type Found = Result<Option<Match>, String>;

/// A state of the kernel: its new value as gate · old + drive.
pub(crate) struct State {
    pub axes: Vec<(u32, Term)>,
    /// The old element, and the gate before it.
    pub old: Term,
    pub gate: Term,
    /// The new value.
    pub new: Term,
}

/// The element of a vector or matrix that a step updates, and (gate, drive).
fn linear(s: &Subject) -> Option<(Term, Term, Term)> {
    let mut at = Term::zero();
    for (i, n) in &s.axes {
        at = at.mul(n).add(&Term::index(*i));
    }
    if s.axes.is_empty() || s.value.any(&|a| matches!(a, Atom::Rec(_))) {
        return None;
    }
    // The old state is the array itself, or one that the kernel is given for it.
    let mut candidates: Vec<Term> = own_element(s).into_iter().collect();
    let changes_itself = candidates.first().is_some_and(|own| s.value.any(&|a| own.as_atom() == Some(a)));
    for (m, _) in s.value.monos() {
        for (a, e) in &m.0 {
            if let Atom::Load(_, place, false) = a
                && *e == 1
                && !changes_itself
                && *place == at
            {
                candidates.push(Term::atom(a.clone()));
            }
        }
    }
    // A name says more than the order: a result named after its state, or the parameter called so.
    let score = |t: &Term| {
        let name = load(t).map_or("", |(n, _)| n).to_lowercase();
        let own = own_element(s).as_ref() == Some(t);
        let called = ["state", "hidden", "prev", "h", "s"]
            .iter()
            .any(|n| name == *n || (n.len() > 1 && name.contains(n)));
        (own, called)
    };
    candidates.sort_by_key(|t| std::cmp::Reverse(score(t)));
    candidates.dedup();
    for old in candidates {
        let atom = old.as_atom()?.clone();
        if let Some((gate, drive)) = s.value.linear_in(&atom)
            && !gate.is_zero()
            && !drive.is_zero()
            && !s.value.any(&|a| matches!(a, Atom::Sum(_) | Atom::Rec(_)) && a.any(&|b| *b == atom))
            && (score(&old) != (false, false) || convex(&gate, &drive).is_some() || outer_driven(s, &drive))
        {
            return Some((old, gate, drive));
        }
    }
    None
}

/// Whether what drives the state has a factor that is one number for all channels, as the input of a state-space model.
fn outer_driven(s: &Subject, drive: &Term) -> bool {
    let free = |a: &Atom| s.axes.iter().all(|(i, _)| !a.any(&|b| *b == Atom::Index(*i)));
    drive.monos().all(|(m, _)| m.0.iter().any(|(a, _)| free(a)) && m.0.iter().any(|(a, _)| !free(a)))
}

/// c with drive = (1 − gate) c; the candidate is not turned round.
pub(crate) fn convex(gate: &Term, drive: &Term) -> Option<Term> {
    let left = Term::one().sub(gate);
    // One product of 1 − gate that occurs in the drive tells c.
    for (m, x) in left.monos() {
        let mut c = Term::zero();
        for (d, y) in drive.monos() {
            if let Some(rest) = divided(d, m) {
                c = c.add(&Term::monomial(rest, y * x.recip()));
            }
        }
        // With m = 1 every product is divided: those that the others cancel are taken out again.
        let c = if m.0.is_empty() {
            let mut found = Term::zero();
            for (d, y) in drive.monos() {
                let other = left.monos().any(|(l, _)| !l.0.is_empty() && divided(d, l).is_some());
                if !other {
                    found = found.add(&Term::monomial(d.clone(), y * x.recip()));
                }
            }
            found
        } else {
            c
        };
        if !c.is_zero() && left.mul(&c) == *drive {
            return Some(c);
        }
    }
    None
}

/// d / m where m divides d.
pub(crate) fn divided(d: &Mono, m: &Mono) -> Option<Mono> {
    let mut rest = d.clone();
    for (a, e) in &m.0 {
        let at = rest.0.iter().position(|(b, f)| a == b && f >= e)?;
        rest.0[at].1 -= e;
        if rest.0[at].1 == 0 {
            rest.0.remove(at);
        }
    }
    Some(rest)
}

fn positive(t: &Term) -> bool {
    let t = crate::term::with_tanh(t);
    t.monos().all(|(_, c)| c.sign() > 0) || (t.len() > 1 && t.leading_sign() > 0)
}

/// The state that a result is.
pub(super) fn state(s: &Subject) -> Option<State> {
    let (old, gate, _) = linear(s)?;
    Some(State { axes: s.axes.clone(), old, gate, new: s.value.clone() })
}

/// One step of a diagonal recurrence.
pub(super) fn step(s: &Subject) -> Found {
    let Some((old, gate, drive)) = linear(s) else { return Ok(None) };
    if let Some(c) = convex(&gate, &drive)
        && gate.as_rat().is_none()
    {
        if !positive(&c) {
            return Err("the candidate has the wrong sign: a gated recurrence is f·h + (1 - f)·c".into());
        }
        return Ok(Some(Match {
            op: "mlgru.step",
            roles: vec![("state", old), ("gate", gate), ("candidate", c)],
        }));
    }
    if gate.as_int() == Some(1) {
        // S ← S + k vᵀ, z ← z + k: the state of linear attention.
        return outer_product(s, &drive, old);
    }
    // A gate that is also in the drive is meant as a convex combination and is none.
    let gates: Vec<&Atom> = gate.monos().flat_map(|(m, _)| &m.0).map(|(a, _)| a).collect();
    let data = |a: &Atom| matches!(a, Atom::Load(..) | Atom::Fn(..));
    if gates.iter().any(|a| data(a) && drive.any(&|b| b == *a)) {
        let mut names = super::names(s);
        return Err(format!(
            "the old state counts {} and the rest is {}, which is not (1 - gate) times a candidate",
            names.show(&gate),
            names.show(&drive)
        ));
    }
    let old_name = load(&old).map_or("", |(n, _)| n);
    if !positive(&gate) || !positive(&drive) {
        return Err(format!(
            "the new `{old_name}` has a term with the wrong sign: a state update is a·s + b·x"
        ));
    }
    if gate.any(&|a| matches!(a, Atom::Load(n, ..) if **n == *old_name))
        || drive.any(&|a| matches!(a, Atom::Load(n, ..) if **n == *old_name))
    {
        return Err(format!("the new `{old_name}` is not linear in the old one"));
    }
    Ok(Some(Match { op: "ssm.state_update", roles: vec![("state", old), ("a", gate), ("b_x", drive)] }))
}

fn outer_product(s: &Subject, drive: &Term, old: Term) -> Found {
    let Some((m, c)) = drive.single() else { return Ok(None) };
    if c.sign() < 0 {
        return Err("the new part of the state is subtracted: linear attention adds k·v".into());
    }
    if s.axes.len() == 2 {
        let uses = |a: &Atom, i: u32| a.any(&|b| *b == Atom::Index(i));
        let (d, e) = (s.axes[0].0, s.axes[1].0);
        let keys = m.0.iter().filter(|(a, _)| uses(a, d) && !uses(a, e)).count();
        let values = m.0.iter().filter(|(a, _)| uses(a, e) && !uses(a, d)).count();
        if keys >= 1 && values >= 1 && keys + values == m.0.len() {
            let part = |i: u32| {
                Term::monomial(Mono(m.0.iter().filter(|(a, _)| uses(a, i)).cloned().collect()), Rat::ONE)
            };
            let roles = vec![("state", old), ("key", part(d)), ("value", part(e))];
            return Ok(Some(Match { op: "linear_attention.state_update", roles }));
        }
        return Ok(None);
    }
    Ok(None)
}

/// The recurrences in a term.
fn recs(t: &Term) -> Vec<Rc<Rec>> {
    let found: std::cell::RefCell<Vec<Rc<Rec>>> = Default::default();
    t.any(&|a| {
        if let Atom::Rec(r) = a
            && !found.borrow().contains(r)
        {
            found.borrow_mut().push(r.clone());
        }
        false
    });
    found.into_inner()
}

/// The recurrence one round further.
fn next(r: &Rc<Rec>) -> Term {
    let (t, gate, drive) = crate::term::open_rec(r);
    let now = Term::atom(Atom::Rec(r.clone()));
    gate.put(t, &r.count).mul(&now).add(&drive.put(t, &r.count))
}

fn scan_roles(r: &Rc<Rec>) -> (&'static str, Vec<(&'static str, Term)>) {
    let (_, gate, drive) = crate::term::open_rec(r);
    match convex(&gate, &drive) {
        Some(c) if gate.as_rat().is_none() => {
            ("mlgru.scan", vec![("state", r.init.clone()), ("gate", gate), ("candidate", c)])
        }
        _ => ("ssm.scan", vec![("state", r.init.clone()), ("a", gate), ("b_x", drive)]),
    }
}

/// A recurrence over a sequence: its last state, all its states, or sums of them.
pub(super) fn scan(s: &Subject) -> Found {
    for r in recs(&s.value) {
        if r.gate.is_zero() {
            continue;
        }
        let (op, mut roles) = scan_roles(&r);
        if roles.iter().any(|(role, t)| *role != "state" && !positive(t)) {
            return Err("the recurrence over the sequence has a term with the wrong sign".into());
        }
        let now = Term::atom(Atom::Rec(r.clone()));
        if now == s.value || next(&r) == s.value {
            return Ok(Some(Match { op, roles }));
        }
        // y_t = Σ c h_t.
        for (m, x) in s.value.monos() {
            let [(Atom::Sum(inner), 1)] = &m.0[..] else { continue };
            let (vars, body) = crate::term::open(inner);
            let Some((inside, _)) = body.0.iter().find_map(|(a, e)| match a {
                Atom::Rec(q) if *e == 1 => Some((q.clone(), *e)),
                _ => None,
            }) else {
                continue;
            };
            let after = next(&inside);
            let gate = after.linear_in(&Atom::Rec(inside.clone())).map_or_else(Term::zero, |(g, _)| g);
            for (g, y) in gate.monos() {
                let by = Mono(g.0.iter().cloned().chain([(Atom::Rec(inside.clone()), 1)]).collect());
                let Some(c) = divided(&body, &by) else { continue };
                let c = Term::monomial(c, x * y.recip());
                if over(&vars, &c.mul(&after)).tidy() == s.value {
                    roles.push(("c", c));
                    return Ok(Some(Match { op, roles }));
                }
            }
            // Read before the step: a scan with the output of the state before.
        }
        return Err(
            "the states of the recurrence are read before their step, or in a way that is no sum over them"
                .into(),
        );
    }
    Ok(None)
}

/// What is read off a state that the kernel has updated: a sum over it, or a gate times it.
pub(super) fn output(s: &Subject, states: &[State]) -> Found {
    for st in states {
        if s.value == st.new && matches!(s.place, Place::Result(_)) && s.axes.len() == st.axes.len() {
            continue;
        }
        if s.axes.len() == st.axes.len() && !s.axes.is_empty() {
            // Element by element: the state under this result's indices.
            let by = |t: &Term| {
                s.axes.iter().zip(&st.axes).fold(t.clone(), |t, (a, b)| t.put(b.0, &Term::index(a.0)))
            };
            let (new, gate, old) = (by(&st.new), by(&st.gate), by(&st.old));
            let (Some(old), Some((g, y))) = (old.as_atom().cloned(), gate.monos().next()) else { continue };
            for (m, x) in s.value.monos() {
                let factor = Mono(sorted(g.0.iter().cloned().chain([(old.clone(), 1)]).collect()));
                let Some(rest) = divided(m, &factor) else { continue };
                let q = Term::monomial(rest, x * y.recip());
                if q.mul(&new) == s.value && q.as_rat() != Some(Rat::ONE) {
                    return Ok(Some(Match { op: "gate", roles: vec![("gate", q), ("state", new)] }));
                }
            }
        }
        if st.axes.len() == 1 && s.axes.is_empty() {
            let (k, n) = &st.axes[0];
            for (m, x) in s.value.monos() {
                let [(Atom::Sum(inner), 1)] = &m.0[..] else { continue };
                let (vars, body) = crate::term::open(inner);
                let [(v, _)] = &vars[..] else { continue };
                let by = |t: &Term| t.put(*k, &Term::index(*v));
                for (g, y) in by(&st.gate).monos() {
                    let Some(old) = by(&st.old).as_atom().cloned() else { continue };
                    let factor = Mono(sorted(g.0.iter().cloned().chain([(old.clone(), 1)]).collect()));
                    let Some(c) = divided(&body, &factor) else { continue };
                    let c = Term::monomial(c, x * y.recip());
                    let built = sum(*v, n, &c.mul(&by(&st.new)));
                    let rest = s.value.sub(&built);
                    let direct = !rest.any(&|a| matches!(a, Atom::Sum(_) | Atom::Rec(_)) || *a == old);
                    if rest.is_zero() || (direct && !rest.is_zero()) {
                        let mut roles = vec![("c", c), ("state", by(&st.new))];
                        if !rest.is_zero() {
                            roles.push(("direct", rest));
                        }
                        return Ok(Some(Match { op: "ssm.output", roles }));
                    }
                }
            }
        }
    }
    Ok(None)
}

pub(super) fn sorted(mut list: Vec<(Atom, i32)>) -> Vec<(Atom, i32)> {
    list.sort();
    let mut made: Vec<(Atom, i32)> = vec![];
    for (a, e) in list {
        match made.last_mut() {
            Some((b, f)) if *b == a => *f += e,
            _ => made.push((a, e)),
        }
    }
    made
}
