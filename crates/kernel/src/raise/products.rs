//! Sums of products: ternary products, dot products, products with matrices.

use super::{Match, Subject};
use crate::program::Slot;
use crate::term::{Atom, Mono, Rat, Term, open};
use std::collections::BTreeMap;

type Found = Result<Option<Match>, String>;

/// A sum over one index of a trit times something.
pub(crate) struct Ternary {
    /// The trit.
    pub trit: Atom,
    /// What it is multiplied by, under the index.
    pub input: Term,
    /// What does not depend on the index.
    pub scale: Term,
    pub index: u32,
    pub range: Term,
}

/// A sum of a formula as a ternary product.
pub(crate) fn ternary(m: &Mono, c: Rat) -> Option<Ternary> {
    let [(Atom::Sum(s), 1)] = &m.0[..] else { return None };
    let (vars, body) = open(s);
    let [(v, n)] = &vars[..] else { return None };
    let trits: Vec<&(Atom, i32)> =
        body.0.iter().filter(|(a, _)| matches!(a, Atom::Load(_, _, true))).collect();
    let [(trit, 1)] = trits[..] else { return None };
    let (mut input, mut scale) = (Term::one(), Term::rat(c));
    for (a, e) in body.0.iter().filter(|(a, _)| a != trit) {
        let factor = Term::monomial(Mono(vec![(a.clone(), *e)]), Rat::ONE);
        if factor.has_index(*v) {
            input = input.mul(&factor);
        } else {
            scale = scale.mul(&factor);
        }
    }
    Some(Ternary { trit: trit.clone(), input, scale, index: *v, range: n.clone() })
}

/// The array that an atom reads, and where.
pub(crate) fn load(t: &Term) -> Option<(&str, &Term)> {
    match t.as_atom()? {
        Atom::Load(n, at, _) => Some((n, at)),
        _ => None,
    }
}

/// Sizes of a parameter, as terms.
pub(crate) fn sizes(s: &Subject, name: &str) -> Vec<Term> {
    for p in &s.program.params {
        if p.name != name {
            continue;
        }
        if let Slot::Array(a) | Slot::Ternary(a, _) = p.slot {
            let decl = s.program.array(a);
            return (0..decl.rank)
                .map(|k| match decl.sizes[k] {
                    Some(n) => Term::int(n as i128),
                    None => {
                        let name = crate::symbolic::Symbolic::size_name(s.program, a, k);
                        let assumed = s.summary.assumptions.sizes.get(&name).cloned();
                        assumed.unwrap_or_else(|| Term::atom(Atom::Size(name.as_str().into())))
                    }
                })
                .collect();
        }
    }
    vec![]
}

/// Whether an index runs over all of a typed axis or of a whole slice, not over a part of it.
fn whole_axis(s: &Subject, name: &str, k: usize, range: &Term) -> bool {
    let sizes = sizes(s, name);
    match &sizes[..] {
        [] => false,
        // A flat slice: its rows are as long as the source says, if that is one size.
        [_] => range.as_int().is_some() || range.single().is_some_and(|(_, c)| c.sign() > 0),
        all => all.get(k) == Some(range),
    }
}

impl Ternary {
    /// Checks places and ranges: row o of the matrix, column the index, the input at the index.
    fn check(&self, s: &Subject) -> Result<&'static str, String> {
        let Atom::Load(weights, at, _) = &self.trit else { return Err("no trit".into()) };
        if self.scale.monos().any(|(_, c)| c.sign() < 0) {
            return Err(format!(
                "trits of `{weights}` have the signs exchanged: +1 subtracts and -1 adds, which is minus a ternary product"
            ));
        }
        if self.input == Term::one() {
            return Err(format!("what a trit of `{weights}` multiplies does not depend on the trit's place"));
        }
        let j = Term::index(self.index);
        let Some((column, rest)) = at.linear_in(&Atom::Index(self.index)) else {
            return Err(format!("`{weights}` is not read along a row or a column"));
        };
        if let Some((input, place)) = load(&self.input) {
            let Some((step, base)) = place.linear_in(&Atom::Index(self.index)) else {
                return Err(format!("`{input}` is not read in order"));
            };
            let row_of_input = base.is_zero() || s.axes.len() > 1;
            if step != Term::one() || !row_of_input {
                return Err(format!(
                    "`{input}` is read at {}, not at the place of the trit's input",
                    shown(place, &j)
                ));
            }
            if base.is_zero() && !whole_axis(s, input, 0, &self.range) && sizes(s, input)[0] != self.range {
                return Err(format!("the sum does not run over all of `{input}`"));
            }
            let known = sizes(s, input);
            if known.len() == 1
                && base.is_zero()
                && known[0] != self.range
                && known[0].as_int().is_none()
                && is_shortened(&self.range, &known[0])
            {
                return Err(format!("the sum runs over a part of `{input}`"));
            }
        }
        let row = s.axes.last();
        let row_index = row.map_or_else(Term::zero, |(i, _)| Term::index(*i));
        let row_major = column == Term::one() && rest == row_index.mul(&self.range);
        let rows = row.map_or_else(Term::one, |(_, n)| n.clone());
        let column_major = column == rows && rest == row_index;
        if row_major || (column_major && row.is_some()) {
            let k = if row_major { 1 } else { 0 };
            let sizes = sizes(s, weights);
            if sizes.len() == 2 && row.is_some() {
                let (n, m) = if row_major { (&sizes[1], &sizes[0]) } else { (&sizes[0], &sizes[1]) };
                if *n != self.range || *m != rows {
                    return Err(format!("the sum does not run over all of `{weights}`"));
                }
            } else if !whole_axis(s, weights, k, &self.range) {
                return Err(format!("the sum does not run over all of `{weights}`"));
            }
            return Ok(if row_major { "rows" } else { "columns" });
        }
        // One row, at a place that is given.
        if column == Term::one() && !rest.has_index(self.index) && s.axes.is_empty() {
            return Ok("row");
        }
        Err(format!("the trit of `{weights}` is not that of this output and this input"))
    }
}

/// n − 1 and its like: part of a size.
fn is_shortened(range: &Term, size: &Term) -> bool {
    let d = size.sub(range);
    d.as_rat().is_some_and(|r| !r.is_zero())
}

fn shown(t: &Term, _: &Term) -> String {
    crate::term::Names::default().show(t)
}

/// Ternary products anywhere in a formula, such as in the argument of a gate; the error says what is nearly one.
pub(super) fn parts(s: &Subject) -> Result<Vec<Match>, String> {
    near_misses(&s.value)?;
    let found: std::cell::RefCell<Vec<(Mono, Rat)>> = Default::default();
    let missed: std::cell::RefCell<Option<String>> = Default::default();
    // Inside functions a product has its own coefficient.
    let look = |t: &Term| {
        for (m, c) in t.monos() {
            if ternary(m, c).is_some() {
                found.borrow_mut().push((m.clone(), c));
            }
        }
    };
    look(&s.value);
    s.value.any(&|a| {
        match a {
            Atom::Fn(_, args) => args.iter().for_each(|t| {
                if let Err(e) = near_misses(t) {
                    missed.borrow_mut().get_or_insert(e);
                }
                look(t);
            }),
            Atom::Group(t) => look(t),
            _ => {}
        }
        false
    });
    if let Some(e) = missed.into_inner() {
        return Err(e);
    }
    let mut made: Vec<Match> = vec![];
    for (m, c) in found.into_inner() {
        let Some(t) = ternary(&m, c) else { continue };
        // The scale inside a function may have any sign: tanh(2 x) is made of it.
        let positive =
            Ternary { scale: if t.scale.leading_sign() < 0 { t.scale.neg() } else { t.scale.clone() }, ..t };
        positive.check(s)?;
        // Indices that sums bind have other names each time; here all have one.
        let named = |t: &Term| t.put(positive.index, &Term::index(u32::MAX));
        let trit = named(&Term::atom(positive.trit.clone()));
        if made.iter().any(|m| m.roles[0].1 == trit) {
            continue;
        }
        let lead = positive.scale.monos().next().map_or(Rat::ONE, |(_, c)| c);
        let scale = positive.scale.scale(lead.recip());
        made.push(Match {
            op: if scale.as_rat().is_some() { "ternary_accumulate" } else { "ternary_linear" },
            roles: vec![("weights", trit), ("input", named(&positive.input)), ("scale", scale)],
        });
    }
    Ok(made)
}

/// Products with t² in them: what is added for −1 is not minus what is added for +1.
fn near_misses(t: &Term) -> Result<(), String> {
    let mut by_trit: BTreeMap<String, (Rat, Rat)> = BTreeMap::new();
    for (m, c) in t.monos() {
        let body = match &m.0[..] {
            [(Atom::Sum(s), 1)] => open(s).1,
            _ => m.clone(),
        };
        for (a, e) in &body.0 {
            if let Atom::Load(name, _, true) = a {
                let entry = by_trit.entry(name.to_string()).or_insert((Rat::ZERO, Rat::ZERO));
                let slot = if *e == 2 { &mut entry.0 } else { &mut entry.1 };
                *slot = *slot + c;
            }
        }
    }
    for (name, (square, linear)) in by_trit {
        if !square.is_zero() {
            let (plus, minus) = (square + linear, square + -linear);
            return Err(format!(
                "a trit +1 of `{name}` counts {} times and -1 counts {} times: a ternary product adds for +1 and subtracts for -1",
                plus.to_f64(),
                minus.to_f64()
            ));
        }
    }
    Ok(())
}

/// y = s W x, or y += W x.
pub(super) fn whole(s: &Subject) -> Found {
    let mut found: Option<Ternary> = None;
    let mut rest = s.value.clone();
    for (m, c) in s.value.monos() {
        if let Some(t) = ternary(m, c) {
            if found.is_some() {
                return Ok(None);
            }
            rest = rest.sub(&Term::monomial(m.clone(), c));
            found = Some(t);
        }
    }
    let Some(t) = found else { return Ok(None) };
    t.check(s)?;
    if load(&t.input).is_none() && t.input.single().is_none() {
        return Ok(None);
    }
    let own = own_element(s);
    let accumulates = own.as_ref() == Some(&rest);
    if !rest.is_zero() && !accumulates {
        // Something is added to the product, such as a bias.
        return if rest.any(&|a| matches!(a, Atom::Sum(_) | Atom::Rec(_))) {
            Ok(None)
        } else {
            Ok(Some(Match {
                op: if t.scale.as_rat().is_some() { "ternary_accumulate" } else { "ternary_linear" },
                roles: roles(&t, Some(rest)),
            }))
        };
    }
    let plain = t.scale.as_rat() == Some(Rat::ONE);
    let op = if plain || accumulates { "ternary_accumulate" } else { "ternary_linear" };
    Ok(Some(Match { op, roles: roles(&t, Some(rest).filter(|r| !r.is_zero())) }))
}

fn roles(t: &Ternary, added: Option<Term>) -> Vec<(&'static str, Term)> {
    let mut roles =
        vec![("weights", Term::atom(t.trit.clone())), ("input", t.input.clone()), ("scale", t.scale.clone())];
    roles.extend(added.map(|a| ("added_to", a)));
    roles
}

/// What the result itself held at this element.
pub(crate) fn own_element(s: &Subject) -> Option<Term> {
    let mut at = Term::zero();
    for (i, n) in &s.axes {
        at = at.mul(n).add(&Term::index(*i));
    }
    match (s.place, s.axes.is_empty()) {
        (crate::symbolic::Place::Param(_), false) => Some(Term::atom(Atom::Load(s.name.into(), at, false))),
        (crate::symbolic::Place::Param(_), true) => Some(Term::atom(Atom::Param(s.name.into()))),
        _ => None,
    }
}

/// Sums without trits: dot, product with a matrix, reduction.
pub(super) fn contraction(s: &Subject) -> Found {
    let Some((m, c)) = s.value.single() else { return Ok(None) };
    let [(Atom::Sum(sum), 1)] = &m.0[..] else { return Ok(None) };
    let (vars, body) = open(sum);
    if body.any(&|a| matches!(a, Atom::Load(_, _, true) | Atom::Rec(_) | Atom::Group(_))) || vars.len() > 1 {
        return Ok(None);
    }
    let op = match (s.axes.len(), body.0.iter().map(|(_, e)| e.max(&1)).sum::<i32>()) {
        (_, 1) => "reduce_sum",
        (0, _) => "dot",
        _ => "linear",
    };
    Ok(Some(Match { op, roles: vec![("product", Term::monomial(body, c))] }))
}
