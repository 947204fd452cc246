//! What a kernel computes, as terms: each result as a formula over the parameters.
//!
//! A loop is summarised, not run: its body is executed once with an unknown state, and the recurrence that this gives
//! is solved for every variable and every cell of an array ([`solve`]). Writes are kept as regions, "for all o < M, j < K:
//! a\[o K + j\] is …" ([`memory`]), so that loops may be swapped, blocked, unrolled, cut and fused without a trace of it
//! in the result. Where something is not understood, the summary declines and says which statement and why.

pub(crate) mod memory;
mod solve;

use crate::program::{ArrayId, Expr, ExprKind, Function, Output, Program, Slot, Stmt, StmtKind, VarId};
use crate::term::{Atom, Fun, Ranges, Rat, Term};
use kernel_syntax::{BinaryOp, Scalar, Span};
use memory::{Base, Memory, Region};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Why something was not raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Decline {
    /// The statement.
    pub span: Span,
    /// The condition that does not hold.
    pub reason: String,
}

pub(crate) type Result<T> = std::result::Result<T, Decline>;

pub(crate) fn decline<T>(span: Span, reason: impl Into<String>) -> Result<T> {
    Err(Decline { span, reason: reason.into() })
}

/// What is taken for granted about the arguments; each is stated in the report and checked where a raised form is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Assumptions {
    /// Sizes that are given by others.
    pub sizes: BTreeMap<String, Term>,
    /// Integer arrays that hold −1, 0 and 1 only.
    pub trits: BTreeSet<String>,
    /// In words.
    pub words: Vec<String>,
}

/// Something to take for granted, found out on the way: the summary begins again with it.
pub(crate) enum Stop {
    Assume(String, Term, String),
    Trits(String),
}

/// The values of all variables and arrays at a point.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub vars: BTreeMap<VarId, Term>,
    pub arrays: BTreeMap<ArrayId, Memory>,
}

/// A result as a formula.
#[derive(Clone, Debug)]
pub(crate) struct Formula {
    pub name: String,
    pub output: Place,
    pub value: std::result::Result<Value, Decline>,
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// Result number so many.
    Result(usize),
    /// A parameter that is written.
    Param(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Term, Scalar),
    /// Element at `index` of the whole array is the value; the indices count its axes.
    Array {
        axes: Vec<(u32, Term)>,
        value: Term,
        element: Scalar,
    },
}

/// All results of a kernel.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub formulas: Vec<Formula>,
    pub assumptions: Assumptions,
    /// Sizes that the source divides by a number, which it may mean to divide them.
    pub divided: BTreeMap<String, i128>,
}

pub(crate) struct Symbolic<'a> {
    pub program: &'a Program,
    pub ranges: Ranges,
    pub assumptions: Assumptions,
    /// What the next attempt should take for granted.
    pub wish: Option<Stop>,
    dims: BTreeMap<ArrayId, Vec<Term>>,
    rounds: usize,
    divided: BTreeMap<String, i128>,
}

/// a − b; of the smaller of two the smaller difference, as in the last block of a row, which is shorter: min(s, n − s b).
fn less(a: &Term, b: &Term) -> Term {
    match a.as_atom() {
        Some(Atom::Fn(Fun::Min, args)) => args[0].sub(b).min_int(&args[1].sub(b)),
        _ => a.sub(b),
    }
}

/// How many statements a summary may execute.
const MOST_STEPS: usize = 20_000;

/// Summarises a program.
pub(crate) fn summarise(program: &Program, assumptions: &Assumptions) -> Summary {
    let mut assumptions = assumptions.clone();
    for _ in 0..24 {
        crate::term::reset();
        let mut s = Symbolic {
            program,
            ranges: Ranges::default(),
            assumptions: assumptions.clone(),
            wish: None,
            dims: BTreeMap::new(),
            rounds: 0,
            divided: BTreeMap::new(),
        };
        let formulas = s.run();
        match s.wish.take() {
            Some(Stop::Assume(size, by, words)) if !assumptions.sizes.contains_key(&size) => {
                assumptions.sizes.insert(size, by);
                assumptions.words.push(words);
            }
            Some(Stop::Trits(array)) if !assumptions.trits.contains(&array) => {
                assumptions.words.push(format!("`{array}` holds -1, 0 and 1 only"));
                assumptions.trits.insert(array);
            }
            _ => return Summary { formulas, assumptions: s.assumptions, divided: s.divided },
        }
    }
    Summary { formulas: vec![], assumptions, divided: BTreeMap::new() }
}

impl Symbolic<'_> {
    fn run(&mut self) -> Vec<Formula> {
        let mut state = State::default();
        for p in &self.program.params {
            let name: Rc<str> = p.name.as_str().into();
            match &p.slot {
                Slot::Scalar(v) | Slot::ScalarMut(v) => {
                    let atom = match self.program.var_ty(*v) {
                        // Integers that count are at least 1, as sizes are.
                        Scalar::Usize => self.size_named(&p.name),
                        _ => Term::atom(Atom::Param(name)),
                    };
                    state.vars.insert(*v, atom);
                }
                Slot::Array(a) => {
                    state.arrays.insert(*a, Memory::param(name, self.is_trits(*a)));
                }
                Slot::Ternary(a, s) => {
                    state.arrays.insert(*a, Memory::param(name.clone(), true));
                    state.vars.insert(*s, Term::atom(Atom::Param(format!("{name}.scale").into())));
                }
            }
        }
        let ran = self.exec(&self.program.body, &mut state);
        let mut formulas = vec![];
        let mut push = |name: String, output, value| formulas.push(Formula { name, output, value });
        for (k, p) in self.program.params.iter().enumerate() {
            match &p.slot {
                Slot::Array(a) if self.program.array(*a).mutable => {
                    let value = ran.clone().and_then(|()| self.whole(&state, *a, None));
                    push(p.name.clone(), Place::Param(k), value);
                }
                Slot::ScalarMut(v) => {
                    let value =
                        ran.clone().map(|()| Value::Scalar(state.vars[v].tidy(), self.program.var_ty(*v)));
                    push(p.name.clone(), Place::Param(k), value);
                }
                _ => {}
            }
        }
        for (k, r) in self.program.results.iter().enumerate() {
            let (name, value) = match r {
                Output::Scalar(v) => {
                    let value = ran.clone().and_then(|()| match state.vars.get(v) {
                        Some(t) => Ok(Value::Scalar(t.tidy(), self.program.var_ty(*v))),
                        None => decline(Span::default(), "the result has no value on every path"),
                    });
                    let many = self.program.results.len() > 1;
                    (if many { format!("result {k}") } else { "result".into() }, value)
                }
                Output::Array(a, dims) => {
                    let value = ran.clone().and_then(|()| self.whole(&state, *a, Some(dims)));
                    let name = self.program.array(*a).name.clone();
                    (if name.is_empty() { format!("result {k}") } else { name }, value)
                }
            };
            push(name, Place::Result(k), value);
        }
        formulas
    }

    /// The content of a whole array as one formula over its axes.
    fn whole(&mut self, state: &State, a: ArrayId, dims: Option<&[Expr]>) -> Result<Value> {
        let Some(memory) = state.arrays.get(&a) else {
            return decline(Span::default(), "the array is not made on every path");
        };
        let dims = match dims {
            Some(d) => d.iter().map(|d| self.eval(d, state)).collect::<Result<Vec<_>>>()?,
            None => (0..self.program.array(a).rank).map(|k| self.size(a, k)).collect(),
        };
        let mut at = Term::zero();
        let mut axes = vec![];
        for n in &dims {
            let i = crate::term::fresh();
            self.ranges.set(i, n.clone());
            at = at.mul(n).add(&Term::index(i));
            axes.push((i, n.clone()));
        }
        let value = match memory.read(&at, &self.ranges) {
            Ok(t) => t,
            Err(reason) => {
                self.equal_lengths(memory, &at);
                return decline(
                    memory.writes.last().map_or_else(Span::default, |r| r.span),
                    format!("`{}` is not written as a whole: {reason}", self.program.array(a).name),
                );
            }
        };
        Ok(Value::Array { axes, value: value.tidy(), element: self.program.element(a) })
    }

    fn size_named(&self, name: &str) -> Term {
        match self.assumptions.sizes.get(name) {
            Some(t) => self.substituted(t),
            None => Term::atom(Atom::Size(name.into())),
        }
    }

    /// An assumed size may hold sizes that are assumed themselves.
    fn substituted(&self, t: &Term) -> Term {
        let mut t = t.clone();
        for _ in 0..8 {
            let next = t.map(&|a| match a {
                Atom::Size(n) => self.assumptions.sizes.get(&**n).cloned(),
                _ => None,
            });
            if next == t {
                break;
            }
            t = next;
        }
        t
    }

    pub(crate) fn size_name(program: &Program, a: ArrayId, k: usize) -> String {
        let decl = program.array(a);
        match decl.axes.get(k).cloned().flatten() {
            Some(axis) => axis,
            None if decl.rank == 1 => format!("len({})", decl.name),
            None => format!("len({}, {k})", decl.name),
        }
    }

    fn size(&self, a: ArrayId, k: usize) -> Term {
        if let Some(n) = self.program.array(a).sizes.get(k).copied().flatten() {
            return Term::int(n as i128);
        }
        match self.dims.get(&a) {
            Some(d) => d[k].clone(),
            None => self.size_named(&Self::size_name(self.program, a, k)),
        }
    }

    fn is_trits(&self, a: ArrayId) -> bool {
        let decl = self.program.array(a);
        decl.trits || self.assumptions.trits.contains(&decl.name)
    }

    pub(crate) fn exec(&mut self, stmts: &[Stmt], state: &mut State) -> Result<()> {
        for s in stmts {
            self.rounds += 1;
            if self.rounds > MOST_STEPS {
                return decline(s.span, "the kernel is too long to be followed");
            }
            match &s.kind {
                StmtKind::Assign(v, e) => {
                    let t = self.eval(e, state)?;
                    self.small(&t, s.span)?;
                    state.vars.insert(*v, t);
                }
                StmtKind::Store(a, e) => {
                    let value = self.eval(e, state)?;
                    self.small(&value, s.span)?;
                    let index = self.eval(&a.index, state)?;
                    let Some(memory) = state.arrays.get_mut(&a.array) else {
                        return decline(s.span, "an array is written before it is made");
                    };
                    memory.write(Region { vars: vec![], index, value, span: s.span });
                }
                StmtKind::Alloc(a, dims, fill) => {
                    let dims = dims.iter().map(|d| self.eval(d, state)).collect::<Result<Vec<_>>>()?;
                    let fill = self.eval(fill, state)?;
                    self.dims.insert(*a, dims);
                    state.arrays.insert(*a, Memory { base: Base::Fill(fill), writes: vec![] });
                }
                StmtKind::For(v, n, body) => {
                    let n = self.eval(n, state)?;
                    let n = self.trip_count(&n, s.span)?;
                    self.for_(*v, &n, body, state, s.span)?;
                }
                StmtKind::If(c, a, b) => {
                    let c = self.eval(c, state)?;
                    match c.as_int() {
                        Some(0) => self.exec(b, state)?,
                        Some(_) => self.exec(a, state)?,
                        None => {
                            let mut other = state.clone();
                            self.exec(a, state)?;
                            self.exec(b, &mut other)?;
                            self.join(&c, state, &other, s.span)?;
                        }
                    }
                }
                StmtKind::Require(..) => {}
            }
            if Rat::take_overflow() {
                return decline(s.span, "a coefficient is too large to be followed exactly");
            }
        }
        Ok(())
    }

    fn small(&self, t: &Term, span: Span) -> Result<()> {
        if t.len() > 400 { decline(span, "the formula has too many terms to be followed") } else { Ok(()) }
    }

    /// The state after `if c`: `state` where it holds, else `other`.
    fn join(&mut self, c: &Term, state: &mut State, other: &State, span: Span) -> Result<()> {
        let vars = std::mem::take(&mut state.vars);
        for (v, a) in vars {
            // What one branch alone knows is nobody's afterwards.
            if let Some(b) = other.vars.get(&v) {
                state.vars.insert(v, Term::ite(c, &a, b));
            }
        }
        let ids: Vec<ArrayId> =
            state.arrays.keys().copied().filter(|a| other.arrays.contains_key(a)).collect();
        state.arrays.retain(|a, _| ids.contains(a));
        for id in ids {
            let (a, b) = (&state.arrays[&id], &other.arrays[&id]);
            let joined = a.join(b, c, &self.ranges).map_err(|reason| Decline {
                span,
                reason: format!("`{}` is written under a condition: {reason}", self.program.array(id).name),
            })?;
            state.arrays.insert(id, joined);
        }
        Ok(())
    }

    /// The number of rounds, without `min` and differences that may stop at 0 where that can be decided.
    fn trip_count(&mut self, n: &Term, span: Span) -> Result<Term> {
        if let Some(Atom::Fn(Fun::Div, args)) = n.as_atom()
            && args[1].as_int().is_none()
            && let Some(name) = self.is_loose(&args[0])
        {
            // So many rows as fit: there is nothing left over.
            let rows = Term::atom(Atom::Size(
                format!("{name}/{}", crate::term::Names::default().show(&args[1])).into(),
            ));
            let words = format!("{name} is a multiple of {}", crate::term::Names::default().show(&args[1]));
            self.wish.get_or_insert(Stop::Assume(name, rows.mul(&args[1]), words));
            return decline(span, "the number of rows is needed");
        }
        let Some(Atom::Fn(f @ (Fun::Min | Fun::SatSub), args)) = n.as_atom() else { return Ok(n.clone()) };
        let (a, b) = (self.trip_count(&args[0], span)?, self.trip_count(&args[1], span)?);
        if *f == Fun::SatSub {
            return Ok(if self.ranges.at_most(&b, &a) { less(&a, &b) } else { n.clone() });
        }
        if self.ranges.at_most(&a, &b) {
            return Ok(a);
        }
        if self.ranges.at_most(&b, &a) {
            return Ok(b);
        }
        // Both run side by side: their lengths are taken to be equal.
        let size = |t: &Term| match t.as_atom() {
            Some(Atom::Size(n)) => Some(n.to_string()),
            _ => None,
        };
        for (x, y) in [(&a, &b), (&b, &a)] {
            if let Some(Atom::Fn(Fun::Div, args)) = x.as_atom() {
                let k = &args[1];
                for whole in [args[0].clone(), args[0].sub(k).add(&Term::one())] {
                    if let Some(name) = size(&whole) {
                        return self.assume(&name, y.mul(k), span);
                    }
                }
            }
        }
        // Slices give way to axes with a name.
        let mut pairs = [(&a, &b), (&b, &a)];
        if size(&a).is_some_and(|n| !n.starts_with("len(")) {
            pairs.swap(0, 1);
        }
        for (x, y) in pairs {
            if let Some(name) = size(x)
                && !y.any(&|a| *a == Atom::Size(name.as_str().into()))
                && !y.any(&|a| matches!(a, Atom::Index(_)))
            {
                return self.assume(&name, y.clone(), span);
            }
        }
        Ok(n.clone())
    }

    /// Whether a size is no axis of a type: the length of a slice, or a number that is given.
    fn is_loose(&self, t: &Term) -> Option<String> {
        match t.as_atom()? {
            Atom::Size(n) if n.starts_with("len(") => Some(n.to_string()),
            Atom::Size(n) if self.program.params.iter().any(|p| p.name == **n) => Some(n.to_string()),
            _ => None,
        }
    }

    /// An element was looked for in a region that was written under another length: both lengths are taken to be one.
    fn equal_lengths(&mut self, memory: &Memory, at: &Term) {
        let mut asked: Vec<Term> = vec![];
        for (m, _) in at.monos() {
            for (a, _) in &m.0 {
                if let Atom::Index(i) = a {
                    asked.extend(self.ranges.get(*i));
                }
            }
        }
        let product = |t: &Term| {
            let plain = |a: &Atom| matches!(a, Atom::Size(_));
            t.single().is_some_and(|(m, c)| {
                c.as_int().is_some_and(|c| c > 0) && m.0.iter().all(|(a, e)| *e == 1 && plain(a))
            })
        };
        for region in memory.writes.iter().rev() {
            let all = region.vars.iter().fold(Term::one(), |t, (_, n)| t.mul(n));
            {
                let written = &all;
                for n in &asked {
                    if n == written || !product(n) || !product(written) {
                        continue;
                    }
                    // A number gives way to a length, a length to an axis.
                    let mut pairs = [(n, written), (written, n)];
                    if self.is_loose(written).is_some_and(|w| !w.starts_with("len(")) {
                        pairs.swap(0, 1);
                    }
                    for (loose, by) in pairs {
                        if let Some(name) = self.is_loose(loose)
                            && !by.any(&|a| *a == Atom::Size(name.as_str().into()))
                            && !asked.contains(by)
                        {
                            let words = format!("{name} = {}", crate::term::Names::default().show(by));
                            self.wish.get_or_insert(Stop::Assume(name, by.clone(), words));
                            return;
                        }
                    }
                }
            }
        }
    }

    fn assume<T>(&mut self, size: &str, by: Term, span: Span) -> Result<T> {
        let words = format!("{size} = {}", crate::term::Names::default().show(&by));
        self.wish.get_or_insert(Stop::Assume(size.to_string(), by, words));
        decline(span, format!("the length {size} is needed"))
    }

    /// The load of integers that a term is, where it is no trit yet.
    fn integer_load(&self, t: &Term) -> Option<String> {
        match t.as_atom()? {
            Atom::Load(name, _, false) => Some(name.to_string()),
            _ => None,
        }
    }

    pub(crate) fn eval(&mut self, e: &Expr, state: &State) -> Result<Term> {
        let ty = e.scalar();
        Ok(match &e.kind {
            ExprKind::Float(x) => Term::constant(*x),
            ExprKind::Int(i) => Term::int(*i),
            ExprKind::Bool(b) => Term::int((*b).into()),
            ExprKind::Var(v) => match state.vars.get(v) {
                Some(t) => t.clone(),
                None => {
                    return decline(
                        e.span,
                        format!("`{}` has no value on every path", self.program.var(*v).name),
                    );
                }
            },
            ExprKind::Size(a, k) => self.size(*a, *k),
            ExprKind::Load(a) => {
                let at = self.eval(&a.index, state)?;
                let Some(memory) = state.arrays.get(&a.array) else {
                    return decline(e.span, "an array is read before it is made");
                };
                match memory.read(&at, &self.ranges) {
                    Ok(t) => t,
                    Err(reason) => {
                        let memory = memory.clone();
                        self.equal_lengths(&memory, &at);
                        let name = &self.program.array(a.array).name;
                        return decline(e.span, format!("what `{name}` holds here is not known: {reason}"));
                    }
                }
            }
            ExprKind::Negate(x) => {
                let t = self.eval(x, state)?;
                if ty == Scalar::Bool { Term::one().sub(&t) } else { self.narrow(t.neg(), ty) }
            }
            ExprKind::Binary(op, a, b) => {
                let of = a.scalar();
                let (x, y) = (self.eval(a, state)?, self.eval(b, state)?);
                if let (BinaryOp::Div, Scalar::Usize, Some(Atom::Size(n)), Some(k @ 2..=4096)) =
                    (*op, of, x.as_atom(), y.as_int())
                {
                    let before = self.divided.get(&**n).copied().unwrap_or(1);
                    self.divided.insert(n.to_string(), if before % k == 0 { before } else { before * k });
                }
                self.binary(*op, &x, &y, of, e.span)?
            }
            ExprKind::Cast(x) => {
                let from = x.scalar();
                let t = self.eval(x, state)?;
                self.cast(t, from, ty)
            }
            ExprKind::Call(f, args) => {
                let of = args.first().map_or(ty, Expr::scalar);
                let args = args.iter().map(|a| self.eval(a, state)).collect::<Result<Vec<_>>>()?;
                self.call(*f, &args, of)
            }
        })
    }

    fn binary(&mut self, op: BinaryOp, x: &Term, y: &Term, of: Scalar, span: Span) -> Result<Term> {
        use BinaryOp::*;
        // An integer compared with −1, 0 or 1 is a trit, or the comparison says nothing to us.
        if op.is_comparison() && of.is_int() && !matches!(of, Scalar::Usize) {
            for (a, b) in [(x, y), (y, x)] {
                if let (Some(name), Some(-1..=1)) = (self.integer_load(a), b.as_int()) {
                    self.wish.get_or_insert(Stop::Trits(name.clone()));
                    return decline(span, format!("`{name}` is compared with a trit"));
                }
            }
        }
        let positive = |t: &Term| if of.is_int() { t.positive_int() } else { t.positive() };
        // Indices: what their ranges decide is decided.
        if op.is_comparison() && of == Scalar::Usize {
            let (below, above) = (self.ranges.less(x, y), self.ranges.less(y, x));
            let (most, least) = (self.ranges.at_most(x, y), self.ranges.at_most(y, x));
            let known = match op {
                Lt => {
                    if below {
                        Some(true)
                    } else if least {
                        Some(false)
                    } else {
                        None
                    }
                }
                Ge => {
                    if least {
                        Some(true)
                    } else if below {
                        Some(false)
                    } else {
                        None
                    }
                }
                Gt => {
                    if above {
                        Some(true)
                    } else if most {
                        Some(false)
                    } else {
                        None
                    }
                }
                Le => {
                    if most {
                        Some(true)
                    } else if above {
                        Some(false)
                    } else {
                        None
                    }
                }
                Eq => {
                    if below || above {
                        Some(false)
                    } else {
                        None
                    }
                }
                _ => {
                    if below || above {
                        Some(true)
                    } else {
                        None
                    }
                }
            };
            if let Some(k) = known {
                return Ok(Term::int(k.into()));
            }
        }
        let one = Term::one();
        let made = match op {
            Add => x.add(y),
            Sub => x.sub(y),
            Mul => x.mul(y),
            Div if of.is_float() => x.mul(&y.recip()),
            Div if matches!(of, Scalar::Usize | Scalar::U8 | Scalar::U16 | Scalar::U32 | Scalar::U64) => {
                x.int_div(y)
            }
            Rem if matches!(of, Scalar::Usize | Scalar::U8 | Scalar::U16 | Scalar::U32 | Scalar::U64) => {
                x.sub(&y.mul(&x.int_div(y)))
            }
            And => x.mul(y),
            Or => x.add(y).sub(&x.mul(y)),
            BitAnd if of == Scalar::Bool => x.mul(y),
            BitOr if of == Scalar::Bool => x.add(y).sub(&x.mul(y)),
            Lt => positive(&y.sub(x)),
            Gt => positive(&x.sub(y)),
            Le => one.sub(&positive(&x.sub(y))),
            Ge => one.sub(&positive(&y.sub(x))),
            Eq => x.sub(y).is_null(),
            Ne => one.sub(&x.sub(y).is_null()),
            Div => Term::fun(Fun::Opaque("integer_div"), vec![x.clone(), y.clone()]),
            Rem => Term::fun(Fun::Opaque("rem"), vec![x.clone(), y.clone()]),
            BitAnd => Term::fun(Fun::Opaque("bit_and"), vec![x.clone(), y.clone()]),
            BitOr => Term::fun(Fun::Opaque("bit_or"), vec![x.clone(), y.clone()]),
            BitXor => Term::fun(Fun::Opaque("bit_xor"), vec![x.clone(), y.clone()]),
            Shl => Term::fun(Fun::Opaque("shl"), vec![x.clone(), y.clone()]),
            Shr => Term::fun(Fun::Opaque("shr"), vec![x.clone(), y.clone()]),
        };
        Ok(match op {
            Add | Sub | Mul => self.narrow(made, of),
            _ => made,
        })
    }

    /// Arithmetic of bytes and 16 bits: exact where the values are known to fit, else a function of its own, because it
    /// may wrap or panic.
    fn narrow(&self, t: Term, ty: Scalar) -> Term {
        let small = matches!(ty, Scalar::I8 | Scalar::I16 | Scalar::U8 | Scalar::U16);
        let Some((low, high)) = ty.range().filter(|_| small) else { return t };
        match self.interval(&t) {
            Some((a, b)) if a >= Rat::int(low) && b <= Rat::int(high) => t,
            _ => Term::fun(Fun::Opaque("wrap"), vec![t]),
        }
    }

    /// The values that a term can have, from the element types of what it reads.
    fn interval(&self, t: &Term) -> Option<(Rat, Rat)> {
        let (mut low, mut high) = (Rat::ZERO, Rat::ZERO);
        for (m, c) in t.monos() {
            let mut range = (Rat::ONE, Rat::ONE);
            for (a, e) in &m.0 {
                let (x, y) = match a {
                    Atom::Load(_, _, true) => (-1, 1),
                    Atom::Load(n, ..) => {
                        let id = self.program.arrays.iter().position(|d| d.param && d.name == **n)?;
                        self.program.element(ArrayId(id as u32)).range()?
                    }
                    Atom::Pos(_) | Atom::Zero(_) => (0, 1),
                    _ => return None,
                };
                let (x, y) = (Rat::int(x), Rat::int(y));
                for _ in 0..(*e).max(0) {
                    let ends = [range.0 * x, range.0 * y, range.1 * x, range.1 * y];
                    range = (*ends.iter().min()?, *ends.iter().max()?);
                }
                if *e < 0 {
                    return None;
                }
                if e % 2 == 0 && range.0.sign() < 0 {
                    range.0 = Rat::ZERO;
                }
            }
            let (a, b) = (range.0 * c, range.1 * c);
            low = low + a.min(b);
            high = high + a.max(b);
        }
        Some((low, high))
    }

    fn cast(&self, t: Term, from: Scalar, to: Scalar) -> Term {
        let opaque = |t: Term, name| Term::fun(Fun::Opaque(name), vec![t]);
        match (from.is_float(), to.is_float()) {
            // f64 → f32 loses digits of what was f64; sums that were merely kept in f64 lose nothing to speak of.
            (true, true) => {
                let wide = |a: &Atom| match a {
                    Atom::Load(n, ..) | Atom::Param(n) => self.program.params.iter().any(|p| {
                        p.name == **n
                            && match p.slot {
                                Slot::Array(a) => self.program.element(a) == Scalar::F64,
                                Slot::Scalar(v) | Slot::ScalarMut(v) => self.program.var_ty(v) == Scalar::F64,
                                Slot::Ternary(..) => false,
                            }
                    }),
                    _ => false,
                };
                if from == Scalar::F64 && to == Scalar::F32 && t.any(&wide) { opaque(t, "as_f32") } else { t }
            }
            (true, false) => opaque(t, "as_integer"),
            (false, true) => t,
            (false, false) => {
                let (Some((low, high)), Some((l, h))) = (to.range(), from.range()) else { return t };
                let wider = low <= l && h <= high;
                let fits = self.interval(&t).is_some_and(|(a, b)| a >= Rat::int(low) && b <= Rat::int(high));
                // Between types of 32 bits and more nothing is taken to overflow, as in a debug build.
                let wide = |s: Scalar| s.range().is_some_and(|(_, h)| h >= i128::from(i32::MAX));
                if wider || fits || (wide(from) && wide(to)) { t } else { opaque(t, "as_narrower") }
            }
        }
    }

    fn call(&self, f: Function, args: &[Term], of: Scalar) -> Term {
        let x = &args[0];
        let plain = |f: Fun| Term::fun(f, vec![x.clone()]);
        let two = Term::int(2);
        match f {
            Function::Abs | Function::AbsDiff => {
                let d = if f == Function::Abs { x.clone() } else { x.sub(&args[1]) };
                Term::ite(&d.positive(), &d, &d.neg())
            }
            Function::Max if of == Scalar::Usize => match () {
                () if self.ranges.at_most(&args[1], x) => x.clone(),
                () if self.ranges.at_most(x, &args[1]) => args[1].clone(),
                () => x.max_int(&args[1]),
            },
            Function::Min if of == Scalar::Usize => match () {
                () if self.ranges.at_most(x, &args[1]) => x.clone(),
                () if self.ranges.at_most(&args[1], x) => args[1].clone(),
                () => x.min_int(&args[1]),
            },
            Function::Max => x.max_float(&args[1]),
            Function::Min => Term::ite(&x.sub(&args[1]).positive(), &args[1], x),
            Function::Clamp => {
                let low = x.max_float(&args[1]);
                Term::ite(&low.sub(&args[2]).positive(), &args[2], &low)
            }
            Function::Exp => x.exp(),
            Function::ExpM1 => x.exp().sub(&Term::one()),
            Function::Tanh => x.tanh(),
            Function::MulAdd => x.mul(&args[1]).add(&args[2]),
            Function::Recip => x.recip(),
            Function::Powi => match args[1].as_int() {
                Some(n @ 0..=4) => x.pow(n as u32),
                Some(-1) => x.recip(),
                _ => Term::fun(Fun::Pow, args.to_vec()),
            },
            Function::Powf if args[1] == two => x.mul(x),
            Function::Powf => Term::fun(Fun::Pow, args.to_vec()),
            Function::Sqrt => plain(Fun::Sqrt),
            Function::Ln => plain(Fun::Ln),
            Function::Ln1p => Term::fun(Fun::Ln, vec![x.add(&Term::one())]),
            Function::Sin => plain(Fun::Sin),
            Function::Cos => plain(Fun::Cos),
            Function::Floor => plain(Fun::Floor),
            Function::Ceil => plain(Fun::Ceil),
            Function::Round => plain(Fun::Round),
            Function::RoundTiesEven => plain(Fun::RoundTiesEven),
            Function::Trunc => plain(Fun::Trunc),
            Function::DivCeil if of == Scalar::Usize => x.add(&args[1]).sub(&Term::one()).int_div(&args[1]),
            Function::SaturatingSub if of == Scalar::Usize => match self.ranges.at_most(&args[1], x) {
                true => less(x, &args[1]),
                false => match x.sub(&args[1]).as_int() {
                    Some(n) => Term::int(n.max(0)),
                    None => Term::fun(Fun::SatSub, args.to_vec()),
                },
            },
            _ => Term::fun(Fun::Opaque(f.name()), args.to_vec()),
        }
    }
}
