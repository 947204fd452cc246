//! Loops as recurrences: the body is executed once with an unknown state, and each variable and each cell that it
//! changes is solved for: a sum where it is added to, a linear recurrence where it is multiplied as well, the last value
//! where it is overwritten.
//!
//! This is where order matters, and where an unsound step would be easiest: a cell may use what other cells held *before*
//! the round only if that is known for every round, and what it reads of an array that the same loop writes must be shown
//! to be written already, or not yet, or never.

use super::memory::{Base, Hit, Memory, Region, put_all};
use super::{Decline, Result, State, Symbolic, decline};
use crate::program::{ArrayId, Stmt, StmtKind, VarId};
use crate::term::{Atom, Term, blocked, fresh, rec};
use kernel_syntax::Span;
use std::collections::BTreeSet;

/// Something that a loop changes.
struct Unknown {
    name: String,
    span: Span,
    /// What stands for it in terms: its value before the round.
    atom: Atom,
    /// Its value after the round, over the unknowns.
    next: Term,
    /// Its value before the loop.
    init: Option<Term>,
    /// The cells of an array: which array, the region that one round writes, and whether each round writes other cells.
    cells: Option<(ArrayId, Region, bool)>,
    /// The value before round i (of cells that move: in round i), once it is known; and the one after the loop.
    solved: Option<(Term, Term)>,
}

impl Symbolic<'_> {
    pub(super) fn for_(
        &mut self,
        v: VarId,
        n: &Term,
        body: &[Stmt],
        state: &mut State,
        span: Span,
    ) -> Result<()> {
        let fixed = n.as_int();
        let mut after = state.clone();
        let summary = match fixed {
            Some(n) if n <= 0 => return Ok(()),
            Some(1) => decline(span, "one round"),
            _ => self.summary(v, n, body, &mut after, span),
        };
        match (summary, fixed) {
            (Ok(()), _) => *state = after,
            // A few rounds can be written out; whatever they leave is then known one by one.
            (Err(_), Some(n)) if n <= 16 && self.wish.is_none() => {
                for k in 0..n {
                    state.vars.insert(v, Term::int(k));
                    self.exec(body, state)?;
                }
            }
            (Err(e), _) => return Err(e),
        }
        state.vars.remove(&v);
        Ok(())
    }

    fn summary(&mut self, v: VarId, n: &Term, body: &[Stmt], state: &mut State, span: Span) -> Result<()> {
        let (mut vars, mut arrays, mut made) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        changed(body, &mut vars, &mut arrays, &mut made);
        vars.retain(|x| state.vars.contains_key(x));
        arrays.retain(|a| !made.contains(a) && state.arrays.contains_key(a));
        let i = fresh();
        self.ranges.set(i, n.clone());
        let mut inner = state.clone();
        inner.vars.insert(v, Term::index(i));
        let ids: Vec<(VarId, u32)> = vars.iter().map(|x| (*x, fresh())).collect();
        for (x, id) in &ids {
            inner.vars.insert(*x, Term::atom(Atom::Phi(*id)));
        }
        let array_ids: Vec<(ArrayId, u32)> = arrays.iter().map(|a| (*a, fresh())).collect();
        for (a, id) in &array_ids {
            inner.arrays.insert(*a, Memory { base: Base::Before(*id), writes: vec![] });
        }
        self.exec(body, &mut inner)?;

        let mut unknowns: Vec<Unknown> = vec![];
        for (x, id) in &ids {
            let name = self.program.var(*x).name.clone();
            let atom = Atom::Phi(*id);
            match inner.vars.get(x) {
                Some(next) => unknowns.push(Unknown {
                    name,
                    span,
                    atom,
                    next: next.tidy(),
                    init: Some(state.vars[x].clone()),
                    cells: None,
                    solved: None,
                }),
                None => return decline(span, format!("`{name}` has no value on every path of the loop")),
            }
        }
        for (a, id) in &array_ids {
            let name = self.program.array(*a).name.clone();
            let memory = &inner.arrays[a];
            if memory.base != Base::Before(*id) {
                return decline(span, format!("`{name}` is made anew inside the loop"));
            }
            for r in &memory.writes {
                let moving = r.index.has_index(i);
                let mut r = r.clone();
                r.value = r.value.tidy();
                unknowns.push(Unknown {
                    name: name.clone(),
                    span: r.span,
                    atom: Atom::PhiLoad(*id, r.index.clone()),
                    next: r.value.clone(),
                    init: None,
                    cells: Some((*a, r, moving)),
                    solved: None,
                });
            }
        }
        self.check_cells(&unknowns, i, n)?;
        // What the cells held before the loop, seen from inside it.
        for k in 0..unknowns.len() {
            let Some((a, r, moving)) = unknowns[k].cells.clone() else { continue };
            let mut ranges = self.ranges.clone();
            r.vars.iter().for_each(|(v, n)| ranges.set(*v, n.clone()));
            let at = if moving { r.index.put(i, &Term::int(-1)) } else { r.index.clone() };
            // Of cells that move, only a recurrence along the array needs it.
            match state.arrays[&a].read(&at, &ranges) {
                Ok(t) => unknowns[k].init = Some(t),
                Err(reason) if !moving => {
                    return decline(
                        r.span,
                        format!("what `{}` held before is not known: {reason}", unknowns[k].name),
                    );
                }
                Err(_) => {}
            }
        }
        self.settle(&mut unknowns, i, n, state, &array_ids)?;

        for (k, (x, _)) in ids.iter().enumerate() {
            if let Some((_, after)) = &unknowns[k].solved {
                state.vars.insert(*x, after.tidy());
            }
        }
        for u in &unknowns {
            let (Some((a, r, moving)), Some((at_i, after))) = (&u.cells, &u.solved) else { continue };
            let mut vars = r.vars.clone();
            let value = if *moving {
                vars.push((i, n.clone()));
                at_i
            } else {
                after
            };
            let region = Region { vars, index: r.index.clone(), value: value.tidy(), span: r.span };
            if let Some(memory) = state.arrays.get_mut(a) {
                memory.write(region);
            }
        }
        // What was made inside is gone; variables that were born inside too.
        state.arrays.retain(|a, _| !made.contains(a) || !arrays.contains(a));
        Ok(())
    }

    /// The cells of each round are different ones, or the same in every round.
    fn check_cells(&self, unknowns: &[Unknown], i: u32, n: &Term) -> Result<()> {
        for u in unknowns {
            let Some((a, r, moving)) = &u.cells else { continue };
            let name = &u.name;
            let others = unknowns.iter().filter_map(|o| o.cells.as_ref()).filter(|(b, ..)| a == b);
            if others.clone().any(|(.., m)| m != moving) {
                return decline(
                    r.span,
                    format!("`{name}` is written both at places that move with the loop and at others"),
                );
            }
            if r.vars.iter().any(|(_, bound)| bound.has_index(i)) && !*moving {
                return decline(r.span, format!("which cells of `{name}` are written depends on the round"));
            }
            let mut whole = r.clone();
            if *moving {
                whole.vars.push((i, n.clone()));
            }
            if !whole.vars.is_empty() && whole.steps(&self.ranges).is_none() {
                return decline(
                    r.span,
                    format!(
                        "whether `{name}` is written twice at one place cannot be decided from the indices"
                    ),
                );
            }
            // Two regions of one round must not meet in another.
            for (_, other, _) in others.filter(|(_, o, _)| o.index != r.index) {
                let mut ranges = self.ranges.clone();
                other.vars.iter().for_each(|(v, n)| ranges.set(*v, n.clone()));
                if *moving && !matches!(whole.hit(&other.index, &ranges), Hit::No) {
                    return decline(
                        other.span,
                        format!("two statements write `{name}`, and which comes last depends on the round"),
                    );
                }
            }
        }
        Ok(())
    }

    fn settle(
        &self,
        unknowns: &mut [Unknown],
        i: u32,
        n: &Term,
        outer: &State,
        arrays: &[(ArrayId, u32)],
    ) -> Result<()> {
        loop {
            let mut progress = false;
            let mut why: Option<Decline> = None;
            for k in 0..unknowns.len() {
                if unknowns[k].solved.is_some() {
                    continue;
                }
                match self.solve_one(unknowns, k, i, n, outer, arrays) {
                    Ok(Some(s)) => {
                        unknowns[k].solved = Some(s);
                        progress = true;
                    }
                    Ok(None) => {}
                    Err(e) => why = why.or(Some(e)),
                }
            }
            if unknowns.iter().all(|u| u.solved.is_some()) {
                return Ok(());
            }
            if !progress {
                return Err(why.unwrap_or_else(|| {
                    let open: Vec<&str> =
                        unknowns.iter().filter(|u| u.solved.is_none()).map(|u| u.name.as_str()).collect();
                    let span =
                        unknowns.iter().find(|u| u.solved.is_none()).map_or_else(Span::default, |u| u.span);
                    Decline {
                        span,
                        reason: format!("`{}` depend on one another from round to round", open.join("`, `")),
                    }
                }));
            }
        }
    }

    /// The solution for one unknown; `None` where it waits for another.
    fn solve_one(
        &self,
        unknowns: &[Unknown],
        k: usize,
        i: u32,
        n: &Term,
        outer: &State,
        arrays: &[(ArrayId, u32)],
    ) -> Result<Option<(Term, Term)>> {
        let u = &unknowns[k];
        let mut ranges = self.ranges.clone();
        if let Some((_, r, _)) = &u.cells {
            r.vars.iter().for_each(|(v, n)| ranges.set(*v, n.clone()));
        }
        let me = Atom::Phi(u32::MAX);
        let trouble: std::cell::RefCell<Option<Decline>> = Default::default();
        let waits = std::cell::Cell::new(false);
        let resolve = |a: &Atom| -> Option<Term> {
            match a {
                Atom::Phi(_) if *a == me => None,
                Atom::Phi(_) => {
                    let (j, other) = unknowns.iter().enumerate().find(|(_, o)| o.atom == *a)?;
                    if j == k {
                        return Some(Term::atom(me.clone()));
                    }
                    if other.solved.is_none() {
                        waits.set(true);
                    }
                    other.solved.as_ref().map(|(before, _)| before.clone())
                }
                Atom::PhiLoad(id, at) => {
                    let array = arrays.iter().find(|(_, b)| b == id)?.0;
                    match self.element_before(unknowns, k, array, at, i, n, outer, &me) {
                        Ok(Some(t)) => Some(t),
                        Ok(None) => {
                            waits.set(true);
                            None
                        }
                        Err(e) => {
                            trouble.borrow_mut().get_or_insert(e);
                            None
                        }
                    }
                }
                _ => None,
            }
        };
        let next = u.next.map(&resolve);
        if let Some(e) = trouble.into_inner() {
            return Err(e);
        }
        if waits.get() {
            return Ok(None);
        }
        let moving = u.cells.as_ref().is_some_and(|(.., m)| *m);
        if !next.any(&|a| *a == me) {
            let last = n.sub(&Term::one());
            let after = next.put(i, &last);
            if moving {
                return Ok(Some((next.clone(), after)));
            }
            let after = match (&u.init, self.ranges.not_negative(&last)) {
                (Some(init), false) => Term::ite(&n.positive_int(), &after, init),
                _ => after,
            };
            // Before round i it is what round i − 1 left.
            let before = match &u.init {
                Some(init) => {
                    let t = fresh();
                    rec(t, init, &Term::zero(), &next.put(i, &Term::index(t)), &Term::index(i))
                }
                None => next,
            };
            return Ok(Some((before, after)));
        }
        let Some(init) = u.init.clone() else {
            return decline(u.span, format!("what `{}` holds before the first round is not known", u.name));
        };
        let Some((gate, drive)) = next.linear_in(&me) else {
            if !moving && let Some(found) = self.nested_recurrence(&next, &me, &init, i, n) {
                return Ok(Some(found));
            }
            return decline(
                u.span,
                format!("`{}` is not a linear function of what it was in the round before", u.name),
            );
        };
        let t = fresh();
        let (gate, drive) = (gate.put(i, &Term::index(t)), drive.put(i, &Term::index(t)).tidy());
        let count = if moving { Term::index(i).add(&Term::one()) } else { Term::index(i) };
        let before = rec(t, &init, &gate, &drive, &count);
        let after = rec(t, &init, &gate, &drive, n);
        Ok(Some((before, after)))
    }

    /// A recurrence over blocks: the round is itself a recurrence that begins with the unknown.
    fn nested_recurrence(
        &self,
        next: &Term,
        me: &Atom,
        init: &Term,
        i: u32,
        n: &Term,
    ) -> Option<(Term, Term)> {
        let Atom::Rec(r) = next.as_atom()? else { return None };
        if r.init.as_atom() != Some(me) {
            return None;
        }
        let (t, gate, drive) = crate::term::open_rec(r);
        if [&gate, &drive].iter().any(|x| x.any(&|a| a == me)) {
            return None;
        }
        let (s, total) = blocked(&(i, n.clone()), &(t, r.count.clone()))?;
        let m = fresh();
        let by = Term::index(m).sub(&s.mul(&Term::index(i)));
        let (gate, drive) = (gate.put(t, &by), drive.put(t, &by));
        if gate.has_index(i) || drive.has_index(i) {
            return None;
        }
        let before = rec(m, init, &gate, &drive, &s.mul(&Term::index(i)));
        let after = rec(m, init, &gate, &drive, &total);
        Some((before, after))
    }

    /// What an element of an array that the loop writes was before the round: solved, or the unknown itself, or what it
    /// was before the loop. `None` where it waits for another unknown.
    #[allow(clippy::too_many_arguments)]
    fn element_before(
        &self,
        unknowns: &[Unknown],
        me: usize,
        array: ArrayId,
        at: &Term,
        i: u32,
        n: &Term,
        outer: &State,
        my_atom: &Atom,
    ) -> Result<Option<Term>> {
        let mut ranges = self.ranges.clone();
        if let Some((_, r, _)) = &unknowns[me].cells {
            r.vars.iter().for_each(|(v, n)| ranges.set(*v, n.clone()));
        }
        let name = &self.program.array(array).name;
        let span = unknowns[me].span;
        for (j, u) in unknowns.iter().enumerate() {
            let Some((b, r, moving)) = &u.cells else { continue };
            if *b != array {
                continue;
            }
            let mut r = r.clone();
            if *moving {
                r.vars.push((i, n.clone()));
            }
            // The region's own indices under other names, so that they do not meet those of the element asked for.
            let names: Vec<(u32, u32)> = r.vars.iter().map(|(v, _)| (*v, fresh())).collect();
            let by: Vec<(u32, Term)> = names.iter().map(|(v, w)| (*v, Term::index(*w))).collect();
            let renamed = Region {
                vars: r.vars.iter().zip(&names).map(|((_, n), (_, w))| (*w, put_all(n, &by))).collect(),
                index: put_all(&r.index, &by),
                value: Term::zero(),
                span: r.span,
            };
            // One round before the first, for recurrences along the array.
            let hit = match renamed.hit(at, &ranges) {
                Hit::Unknown if *moving => {
                    let shifted = Region {
                        vars: renamed
                            .vars
                            .iter()
                            .map(|(w, n)| {
                                if Some(*w) == names.last().map(|x| x.1) {
                                    (*w, n.add(&Term::one()))
                                } else {
                                    (*w, n.clone())
                                }
                            })
                            .collect(),
                        index: renamed.index.put(
                            names[names.len() - 1].1,
                            &Term::index(names[names.len() - 1].1).sub(&Term::one()),
                        ),
                        ..renamed.clone()
                    };
                    match shifted.hit(at, &ranges) {
                        Hit::Yes(mut values) => {
                            let last = names[names.len() - 1].1;
                            for (w, t) in &mut values {
                                if *w == last {
                                    *t = t.sub(&Term::one());
                                }
                            }
                            Hit::Yes(values)
                        }
                        other => other,
                    }
                }
                other => other,
            };
            let values: Vec<(u32, Term)> = match hit {
                Hit::No => continue,
                Hit::Unknown => {
                    return decline(
                        span,
                        format!("which element of `{name}` is read cannot be decided from the indices"),
                    );
                }
                Hit::Yes(values) => {
                    let of = |w: u32| {
                        values.iter().find(|(x, _)| *x == w).map_or_else(Term::zero, |(_, t)| t.clone())
                    };
                    names.iter().map(|(v, w)| (*v, of(*w))).collect()
                }
            };
            if !moving {
                let own = j == me && values.iter().all(|(v, t)| *t == Term::index(*v));
                if own {
                    return Ok(Some(Term::atom(my_atom.clone())));
                }
                if j == me {
                    return decline(
                        span,
                        format!(
                            "a cell of `{name}` is made of other cells of the round before: no diagonal recurrence"
                        ),
                    );
                }
                return Ok(u.solved.as_ref().map(|(before, _)| put_all(before, &values)));
            }
            // Cells that move: written in the round that `values` says.
            let round = values.iter().find(|(v, _)| *v == i).map_or_else(Term::zero, |(_, t)| t.clone());
            let ahead = round.sub(&Term::index(i));
            if self.ranges.not_negative(&ahead) {
                break;
            }
            let same = values.iter().all(|(v, t)| *v == i || *t == Term::index(*v));
            if ahead.as_int() == Some(-1) && j == me && same {
                return Ok(Some(Term::atom(my_atom.clone())));
            }
            if ahead.as_int().is_some_and(|d| d < 0) && j != me && u.solved.is_some() {
                return decline(
                    span,
                    format!("`{name}` is read where an earlier round wrote it by another statement"),
                );
            }
            return decline(
                span,
                format!(
                    "`{name}` is read where an earlier round wrote it, not the round before at the same place"
                ),
            );
        }
        let memory = &outer.arrays[&array];
        let before = memory.read(at, &ranges).map_err(|reason| Decline {
            span,
            reason: format!("what `{name}` held before the loop is not known: {reason}"),
        })?;
        Ok(Some(before))
    }
}

/// The variables and arrays that statements change, and the arrays that they make.
fn changed(
    stmts: &[Stmt],
    vars: &mut BTreeSet<VarId>,
    arrays: &mut BTreeSet<ArrayId>,
    made: &mut BTreeSet<ArrayId>,
) {
    for s in stmts {
        match &s.kind {
            StmtKind::Assign(v, _) => {
                vars.insert(*v);
            }
            StmtKind::Store(a, _) => {
                arrays.insert(a.array);
            }
            StmtKind::Alloc(a, ..) => {
                arrays.insert(*a);
                made.insert(*a);
            }
            StmtKind::For(_, _, body) => changed(body, vars, arrays, made),
            StmtKind::If(_, a, b) => {
                changed(a, vars, arrays, made);
                changed(b, vars, arrays, made);
            }
            StmtKind::Require(..) => {}
        }
    }
}
