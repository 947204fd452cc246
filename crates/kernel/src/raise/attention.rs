//! Linear attention (Katharopoulos et al. 2020, arXiv:2006.16236): the form over a whole sequence, causal or not, and what a
//! step reads off its state.

use super::recurrence::{State, divided};
use super::{Match, Subject};
use crate::term::{Atom, Fun, Mono, Rat, Term, open, over, sum};

type Found = Result<Option<Match>, String>;

pub(super) fn whole(s: &Subject, states: &[State]) -> Found {
    if let Some(m) = step_output(s, states)? {
        return Ok(Some(m));
    }
    sequence(s)
}

/// The factor 1/z that every product of a formula has.
fn normaliser(t: &Term) -> Option<Atom> {
    let (m, _) = t.monos().next()?;
    let body = match &m.0[..] {
        [(Atom::Sum(s), 1)] => open(s).1,
        _ => m.clone(),
    };
    body.0.iter().find(|(a, e)| *e == -1 && matches!(a, Atom::Group(_))).map(|(a, _)| a.clone())
}

/// Multiplied by z, where that leaves nothing of it.
fn without(t: &Term, z: &Atom) -> Term {
    let mut made = Term::zero();
    let lift = |m: &Mono| {
        let list: Vec<_> = m.0.iter().filter(|(a, _)| a != z).cloned().collect();
        Mono(list)
    };
    for (m, c) in t.monos() {
        let part = match &m.0[..] {
            [(Atom::Sum(s), 1)] => {
                let (vars, body) = open(s);
                over(&vars, &Term::monomial(lift(&body), Rat::ONE))
            }
            _ => Term::monomial(lift(m), Rat::ONE),
        };
        made = made.add(&part.scale(c));
    }
    made.tidy()
}

/// z, up to its first coefficient, and whatever is added to it that is no sum.
fn split_epsilon(z: &Term) -> (Term, Term) {
    let (mut sums, mut rest) = (Term::zero(), Term::zero());
    for (m, c) in z.monos() {
        let t = Term::monomial(m.clone(), c);
        if matches!(&m.0[..], [(Atom::Sum(_), 1)]) {
            sums = sums.add(&t);
        } else {
            rest = rest.add(&t);
        }
    }
    (sums, rest)
}

/// y = Σ q S over the first axis of a state of two, divided by Σ q z or by nothing.
fn step_output(s: &Subject, states: &[State]) -> Found {
    if s.axes.len() != 1 {
        return Ok(None);
    }
    let z = normaliser(&s.value);
    let value = z.as_ref().map_or_else(|| s.value.clone(), |z| without(&s.value, z));
    for st in states.iter().filter(|st| st.axes.len() == 2 && st.gate.as_int() == Some(1)) {
        let (d, e) = (&st.axes[0], &st.axes[1]);
        if e.1 != s.axes[0].1 {
            continue;
        }
        let e_here = |t: &Term| t.put(e.0, &Term::index(s.axes[0].0));
        for (m, c) in value.monos() {
            let [(Atom::Sum(inner), 1)] = &m.0[..] else { continue };
            let (vars, body) = open(inner);
            let [(v, _)] = &vars[..] else { continue };
            let here = |t: &Term| e_here(t).put(d.0, &Term::index(*v));
            let Some(old) = here(&st.old).as_atom().cloned() else { continue };
            let Some(q) = divided(&body, &Mono(vec![(old, 1)])) else { continue };
            let q = Term::monomial(q, c);
            if sum(*v, &d.1, &q.mul(&here(&st.new))).tidy() != value {
                continue;
            }
            let mut roles = vec![("query", q.clone()), ("state", here(&st.new))];
            match &z {
                None => roles.push(("normaliser", Term::one())),
                Some(Atom::Group(t)) => {
                    // Σ q z' over the same query, for a state z that is updated too.
                    let (sums, epsilon) = split_epsilon(t);
                    let fits =
                        states.iter().filter(|o| o.axes.len() == 1 && o.gate.as_int() == Some(1)).any(|o| {
                            let k = o.axes[0].0;
                            let built = sum(*v, &d.1, &q.mul(&o.new.put(k, &Term::index(*v)))).tidy();
                            proportional(&built, &sums)
                        });
                    if !fits {
                        return Err("the output is divided by something that is no sum of the query times the total of keys".into());
                    }
                    roles.push(("normaliser", sums));
                    if !epsilon.is_zero() {
                        roles.push(("epsilon", epsilon));
                    }
                }
                Some(_) => return Ok(None),
            }
            return Ok(Some(Match { op: "linear_attention.output", roles }));
        }
    }
    Ok(None)
}

/// exp(a + b) as exp(a) exp(b), so that a product shows whose features they are.
fn split_exponents(m: &Mono) -> Mono {
    let mut list = vec![];
    for (a, e) in &m.0 {
        match a {
            Atom::Fn(Fun::Exp, args) => list.extend(
                args[0].monos().map(|(p, c)| (Atom::Fn(Fun::Exp, vec![Term::monomial(p.clone(), c)]), *e)),
            ),
            _ => list.push((a.clone(), *e)),
        }
    }
    Mono(list)
}

fn proportional(a: &Term, b: &Term) -> bool {
    match (a.monos().next(), b.monos().next()) {
        (Some((_, x)), Some((_, y))) => a.scale(x.recip()) == b.scale(y.recip()),
        _ => false,
    }
}

/// y[i, e] = Σ q[i, d] k[t, d] v[t, e] over d and t (all t, or those up to i), divided by Σ q k or by nothing.
fn sequence(s: &Subject) -> Found {
    let z = normaliser(&s.value);
    let value = z.as_ref().map_or_else(|| s.value.clone(), |z| without(&s.value, z));
    let [(i, n), (e, _)] = &s.axes[..] else { return Ok(None) };
    let mut found: Option<(Mono, Vec<(u32, Term)>)> = None;
    let mut carried = Term::zero();
    for (m, c) in value.monos() {
        if let [(Atom::Sum(inner), 1)] = &m.0[..]
            && c == Rat::ONE
        {
            let (vars, body) = open(inner);
            if vars.len() == 2 && found.is_none() {
                found = Some((body, vars));
                continue;
            }
        }
        carried = carried.add(&Term::monomial(m.clone(), c));
    }
    let Some((body, vars)) = found else { return Ok(None) };
    let uses = |a: &Atom, i: u32| a.any(&|b| *b == Atom::Index(i));
    let body = split_exponents(&body);
    for (d, t) in [(0, 1), (1, 0)] {
        let ((d, dn), (t, tn)) = (&vars[d], &vars[t]);
        let factors = |test: &dyn Fn(&Atom) -> bool| -> Vec<(Atom, i32)> {
            body.0.iter().filter(|(a, _)| test(a)).cloned().collect()
        };
        let q = factors(&|a| uses(a, *i) && uses(a, *d) && !uses(a, *t) && !uses(a, *e));
        let k = factors(&|a| uses(a, *t) && uses(a, *d) && !uses(a, *i) && !uses(a, *e));
        let v = factors(&|a| uses(a, *t) && uses(a, *e) && !uses(a, *i) && !uses(a, *d));
        if q.is_empty() || k.is_empty() || v.is_empty() || q.len() + k.len() + v.len() != body.0.len() {
            continue;
        }
        let causal = *tn == Term::index(*i).add(&Term::one());
        if !causal && tn != n && tn.has_index(*i) {
            return Err("the keys run up to a place that is neither the query's own nor the end".into());
        }
        // A state from before: Σ q S0.
        let state = !carried.is_zero();
        if state && !causal {
            return Ok(None);
        }
        let term = |list: &[(Atom, i32)]| {
            list.iter()
                .fold(Term::one(), |t, (a, e)| t.mul(&Term::monomial(Mono(vec![(a.clone(), *e)]), Rat::ONE)))
        };
        let (q, k, v) = (term(&q), term(&k), term(&v));
        let mut roles = vec![("query", q.clone()), ("key", k.clone()), ("value", v)];
        if let Some(Atom::Group(below)) = &z {
            let (sums, epsilon) = split_epsilon(below);
            let built = over(&[(*d, dn.clone()), (*t, tn.clone())], &q.mul(&k)).tidy();
            let first = sums.monos().find(|(m, _)| built.0.contains_key(m)).map(|(_, c)| c);
            let fits = first.is_some_and(|c| {
                let rest = sums.scale(c.recip()).sub(&built);
                rest.is_zero() || state
            });
            if !fits {
                return Err("the output is divided by something other than Σ query · key".into());
            }
            roles.push(("normaliser", built));
            if !epsilon.is_zero() {
                roles.push(("epsilon", epsilon));
            }
        }
        if state {
            roles.push(("state", carried.clone()));
        }
        let op = match (causal, z.is_some()) {
            (true, _) => "linear_attention.causal",
            (false, true) => "linear_attention",
            (false, false) => "linear_attention.unnormalised",
        };
        return Ok(Some(Match { op, roles }));
    }
    Ok(None)
}
