//! One formula in ops: every subterm as an array over the indices that it depends on.

use crate::term::{Atom, Fun, Mono, Rat, Rec, Term, open, open_rec, with_tanh};
use axes::DType;
use graph::{Cx, Dim, Type, Var};
use std::cell::RefCell;
use std::collections::BTreeMap;

type Made<T> = Result<T, String>;

/// A size as the graph's, where it is a polynomial of known sizes.
pub(super) fn dim(t: &Term, sizes: &BTreeMap<String, Dim>) -> Option<Dim> {
    let mut total = Dim::from(0);
    for (m, c) in t.monos() {
        let mut d = Dim::from(1);
        for (a, e) in &m.0 {
            let factor = match a {
                Atom::Size(n) => sizes.get(&**n)?.clone(),
                Atom::Fn(f @ (Fun::Div | Fun::Min | Fun::Max | Fun::SatSub), args) => {
                    let (x, y) = (dim(&args[0], sizes)?.fixed()?, dim(&args[1], sizes)?.fixed()?);
                    Dim::from(match f {
                        Fun::Div => x.checked_div(y)?,
                        Fun::Min => x.min(y),
                        Fun::Max => x.max(y),
                        _ => x.saturating_sub(y),
                    })
                }
                _ => return None,
            };
            for _ in 0..u32::try_from(*e).ok()? {
                d = &d * &factor;
            }
        }
        let c = c.as_int()?;
        let scaled = &Dim::from(usize::try_from(c.abs()).ok()?) * &d;
        total = if c < 0 { &total - &scaled } else { &total + &scaled };
    }
    Some(total)
}

/// An array over indices, in the order of its axes.
#[derive(Clone)]
struct Over {
    var: Var,
    axes: Vec<u32>,
}

pub(super) struct Lower<'a> {
    cx: &'a Cx,
    inputs: &'a BTreeMap<String, Var>,
    sizes: &'a BTreeMap<String, Dim>,
    dtype: DType,
    /// The ranges of indices; of one that runs up to another the range of that one.
    ranges: RefCell<BTreeMap<u32, Dim>>,
}

impl<'a> Lower<'a> {
    pub(super) fn new(
        cx: &'a Cx,
        inputs: &'a BTreeMap<String, Var>,
        sizes: &'a BTreeMap<String, Dim>,
        dtype: DType,
    ) -> Self {
        Lower { cx, inputs, sizes, dtype, ranges: RefCell::default() }
    }

    fn dim(&self, t: &Term) -> Made<Dim> {
        dim(t, self.sizes).ok_or_else(|| {
            format!("the size {} is not known from the operands", crate::term::Names::default().show(t))
        })
    }

    fn range(&self, i: u32) -> Made<Dim> {
        self.ranges.borrow().get(&i).cloned().ok_or_else(|| "an index without a range".to_string())
    }

    /// The formula over the axes of an output.
    pub(super) fn output(&self, t: &Term, axes: &[(u32, Term)]) -> Made<Var> {
        for (i, n) in axes {
            let n = self.dim(n)?;
            self.ranges.borrow_mut().insert(*i, n);
        }
        let order: Vec<u32> = axes.iter().map(|(i, _)| *i).collect();
        let made = self.term(t)?;
        Ok(self.spread(&made, &order)?.var)
    }

    /// The array over exactly these indices, in this order.
    fn spread(&self, x: &Over, order: &[u32]) -> Made<Over> {
        if x.axes == order {
            return Ok(x.clone());
        }
        // In the order of the target, then repeated along what is missing.
        let mut have: Vec<u32> = order.iter().copied().filter(|i| x.axes.contains(i)).collect();
        have.extend(x.axes.iter().copied().filter(|i| !order.contains(i)));
        if have.len() > order.len() {
            return Err("an index is left over".into());
        }
        let perm: Vec<usize> = have.iter().filter_map(|i| x.axes.iter().position(|j| j == i)).collect();
        let var = if perm.iter().enumerate().all(|(k, p)| k == *p) {
            x.var.clone()
        } else {
            x.var.transpose(&perm)
        };
        let dims = order.iter().map(|i| self.range(*i)).collect::<Made<Vec<_>>>()?;
        let map: Vec<usize> = have.iter().filter_map(|i| order.iter().position(|j| j == i)).collect();
        let var = if have.len() == order.len() { var } else { var.broadcast(&dims, &map) };
        Ok(Over { var, axes: order.to_vec() })
    }

    fn both(&self, a: &Over, b: &Over, f: impl Fn(&Var, &Var) -> Var) -> Made<Over> {
        let mut order = a.axes.clone();
        order.extend(b.axes.iter().filter(|i| !a.axes.contains(i)));
        let (x, y) = (self.spread(a, &order)?, self.spread(b, &order)?);
        Ok(Over { var: f(&x.var, &y.var), axes: order })
    }

    fn number(&self, x: f64) -> Over {
        Over { var: self.cx.full(&Type::scalar(self.dtype), x), axes: vec![] }
    }

    fn term(&self, t: &Term) -> Made<Over> {
        // Choices first: the chosen side alone, so that nothing that is not chosen spreads.
        let t = with_tanh(t);
        let mut total: Option<Over> = None;
        for (m, c) in t.monos() {
            let part = self.mono(m, c)?;
            total = Some(match total {
                None => part,
                Some(so_far) => self.both(&so_far, &part, |a, b| a + b)?,
            });
        }
        Ok(total.unwrap_or_else(|| self.number(0.0)))
    }

    fn mono(&self, m: &Mono, c: Rat) -> Made<Over> {
        let made = match &m.0[..] {
            [(Atom::Sum(s), 1)] => {
                let (vars, body) = open(s);
                self.sum(&vars, &body)?
            }
            _ => match self.product(m)? {
                Some(p) => p,
                None => return Ok(self.number(c.to_f64())),
            },
        };
        Ok(if c == Rat::ONE { made } else { Over { var: &made.var * c.to_f64(), axes: made.axes } })
    }

    fn product(&self, m: &Mono) -> Made<Option<Over>> {
        let mut total: Option<Over> = None;
        for (a, e) in &m.0 {
            let factor = self.power(a, *e)?;
            total = Some(match total {
                None => factor,
                Some(t) => self.both(&t, &factor, |a, b| a * b)?,
            });
        }
        Ok(total)
    }

    fn power(&self, a: &Atom, e: i32) -> Made<Over> {
        let x = self.atom(a)?;
        let mut var = x.var.clone();
        for _ in 1..e.abs() {
            var = &var * &x.var;
        }
        Ok(Over { var: if e < 0 { var.reciprocal() } else { var }, axes: x.axes })
    }

    /// Σ over the indices of a product.
    fn sum(&self, vars: &[(u32, Term)], body: &Mono) -> Made<Over> {
        let mut masks: Vec<Over> = vec![];
        for (v, n) in vars {
            // Up to another index: over all of that one's range, with a mask.
            let outer: Vec<u32> = self.ranges.borrow().keys().copied().filter(|i| n.has_index(*i)).collect();
            match &outer[..] {
                [] => {
                    let n = self.dim(n)?;
                    self.ranges.borrow_mut().insert(*v, n);
                }
                [i] => {
                    let range = self.range(*i)?;
                    self.ranges.borrow_mut().insert(*v, range);
                    let (last, own) = (self.place(&n.sub(&Term::one()))?, self.place(&Term::index(*v))?);
                    let below = self.both(&own, &last, |a, b| a.le(b).convert(self.dtype))?;
                    // Only n = i or n = i + 1 keeps the index within the other's range.
                    let ahead = n.sub(&Term::index(*i));
                    if !matches!(ahead.as_int(), Some(0 | 1)) {
                        return Err("a sum whose end depends on another index".into());
                    }
                    masks.push(below);
                }
                _ => return Err("a sum whose end depends on several indices".into()),
            }
        }
        if let Some(made) = self.ternary(vars, body, masks.is_empty())? {
            return Ok(made);
        }
        // Factors over the same indices together, so that few large arrays remain.
        let mut parts: Vec<Over> = masks;
        for (a, e) in &body.0 {
            let factor = self.power(a, *e)?;
            let same = |p: &Over| {
                p.axes.len() == factor.axes.len() && p.axes.iter().all(|i| factor.axes.contains(i))
            };
            match parts.iter().position(same) {
                Some(k) => parts[k] = self.both(&parts[k], &factor, |a, b| a * b)?,
                None => parts.push(factor),
            }
        }
        let mut open: Vec<u32> = vars.iter().map(|(v, _)| *v).collect();
        // An index of one factor alone is summed there.
        loop {
            let alone =
                open.iter().copied().find(|v| parts.iter().filter(|p| p.axes.contains(v)).count() == 1);
            if let Some(v) = alone {
                open.retain(|u| *u != v);
                for p in parts.iter_mut().filter(|p| p.axes.contains(&v)) {
                    let k = p.axes.iter().position(|u| *u == v).unwrap_or(0);
                    p.axes.remove(k);
                    p.var = p.var.sum(&[k]);
                }
                continue;
            }
            let Some(v) = open.first().copied() else { break };
            // Two of the factors that have it, contracted over whatever no other factor has.
            let holders: Vec<usize> = (0..parts.len()).filter(|k| parts[*k].axes.contains(&v)).collect();
            let (Some(a), Some(b)) = (holders.first().copied(), holders.get(1).copied()) else { break };
            let (right, left) = (parts.remove(b), parts.remove(a));
            let gone: Vec<u32> = (open.iter().copied())
                .filter(|u| {
                    left.axes.contains(u)
                        && right.axes.contains(u)
                        && !parts.iter().any(|p| p.axes.contains(u))
                })
                .collect();
            open.retain(|u| !gone.contains(u));
            parts.push(self.contract(&left, &right, &gone));
        }
        let mut total: Option<Over> = None;
        for p in parts {
            total = Some(match total {
                None => p,
                Some(t) => self.both(&t, &p, |a, b| a * b)?,
            });
        }
        Ok(total.unwrap_or_else(|| self.number(1.0)))
    }

    fn contract(&self, a: &Over, b: &Over, gone: &[u32]) -> Over {
        let at = |x: &Over, list: &[u32]| -> Vec<usize> {
            list.iter().filter_map(|v| x.axes.iter().position(|u| u == v)).collect()
        };
        let batch: Vec<u32> =
            a.axes.iter().copied().filter(|v| b.axes.contains(v) && !gone.contains(v)).collect();
        let free = |x: &Over| -> Vec<u32> {
            x.axes.iter().copied().filter(|v| !batch.contains(v) && !gone.contains(v)).collect()
        };
        let var = a.var.dot_general(&b.var, (&at(a, gone), &at(b, gone)), (&at(a, &batch), &at(b, &batch)));
        let axes = batch.iter().copied().chain(free(a)).chain(free(b)).collect();
        Over { var, axes }
    }

    /// Σ t · q of trits and int8 activations as the op that is made for it.
    fn ternary(&self, vars: &[(u32, Term)], body: &Mono, whole: bool) -> Made<Option<Over>> {
        let [(v, _)] = vars else { return Ok(None) };
        if !whole {
            return Ok(None);
        }
        let (mut trit, mut input, mut rest) = (None, None, vec![]);
        for (a, e) in &body.0 {
            match a {
                Atom::Load(name, at, true) if *e == 1 && trit.is_none() && at.has_index(*v) => {
                    trit = Some((name, at))
                }
                Atom::Load(name, at, false)
                    if *e == 1
                        && input.is_none()
                        && *at == Term::index(*v)
                        && self.inputs.get(&**name).is_some_and(|x| x.dtype() == DType::I8) =>
                {
                    input = Some(name);
                }
                _ if !a.any(&|b| *b == Atom::Index(*v)) => rest.push((a.clone(), *e)),
                _ => return Ok(None),
            }
        }
        let (Some((weights, at)), Some(input)) = (trit, input) else { return Ok(None) };
        let Some((rows, axes)) = self.structured(weights, at)? else { return Ok(None) };
        let [o, j] = axes[..] else { return Ok(None) };
        if j != *v || rows.dtype() != DType::Trit {
            return Ok(None);
        }
        let Some(q) = self.inputs.get(&**input) else { return Ok(None) };
        // With scales of 1: the kernel's own come after.
        let one = self.cx.full(&Type::scalar(self.dtype), 1.0);
        let made = Over { var: q.ternary_linear(&one, &rows, &one), axes: vec![o] };
        match self.product(&Mono(rest))? {
            None => Ok(Some(made)),
            Some(scale) => self.both(&made, &scale, |a, b| a * b).map(Some),
        }
    }

    /// An operand seen with one axis per index, where the place counts them without gaps.
    fn structured(&self, name: &str, at: &Term) -> Made<Option<(Var, Vec<u32>)>> {
        let Some(input) = self.inputs.get(name) else { return Err(format!("no operand `{name}`")) };
        let known: Vec<u32> = self.ranges.borrow().keys().copied().filter(|i| at.has_index(*i)).collect();
        let mut rest = at.clone();
        let mut steps: Vec<(u32, Dim, Dim)> = vec![];
        for i in known {
            let Some((slope, left)) = rest.linear_in(&Atom::Index(i)) else { return Ok(None) };
            let (Some(step), Ok(range)) = (dim(&slope, self.sizes), self.range(i)) else { return Ok(None) };
            steps.push((i, step, range));
            rest = left;
        }
        if !rest.is_zero() || steps.is_empty() {
            return Ok(None);
        }
        // From the fastest: each step is the number of elements below it.
        let mut order: Vec<(u32, Dim)> = vec![];
        let mut reach = Dim::from(1);
        while !steps.is_empty() {
            let Some(k) = steps.iter().position(|(_, step, _)| *step == reach) else { return Ok(None) };
            let (i, _, range) = steps.remove(k);
            reach = &reach * &range;
            order.insert(0, (i, range));
        }
        let all = input.shape().iter().fold(Dim::from(1), |n, d| &n * d);
        if reach != all {
            return Ok(None);
        }
        let dims: Vec<Dim> = order.iter().map(|(_, n)| n.clone()).collect();
        let var = if input.shape() == dims { input.clone() } else { input.reshape(&dims) };
        Ok(Some((var, order.into_iter().map(|(i, _)| i).collect())))
    }

    /// A place of memory as integers.
    fn place(&self, t: &Term) -> Made<Over> {
        let i64s = |v: Var| Over { var: v, axes: vec![] };
        let mut total: Option<Over> = None;
        for (m, c) in t.monos() {
            let mut part = i64s(self.cx.full(&Type::scalar(DType::I64), c.to_f64()));
            for (a, e) in &m.0 {
                let factor = match a {
                    Atom::Index(i) => {
                        let n = self.range(*i)?;
                        Over { var: self.cx.iota(DType::I64, &[n]), axes: vec![*i] }
                    }
                    Atom::Size(_) => {
                        let n = self.dim(&Term::atom(a.clone()))?;
                        i64s(self.cx.size_of(&n, DType::I64))
                    }
                    Atom::Fn(Fun::Div, args) => {
                        let k = args[1].as_int().filter(|k| *k > 0).ok_or("a quotient of sizes")?;
                        let x = self.place(&args[0])?;
                        let whole = x.var.convert(DType::F64) / k as f64;
                        Over { var: whole.floor().convert(DType::I64), axes: x.axes }
                    }
                    _ => return Err("a place that depends on data".into()),
                };
                for _ in 0..*e {
                    part = self.both(&part, &factor, |a, b| a * b)?;
                }
            }
            total = Some(match total {
                None => part,
                Some(so_far) => self.both(&so_far, &part, |a, b| a + b)?,
            });
        }
        Ok(total.unwrap_or_else(|| i64s(self.cx.full(&Type::scalar(DType::I64), 0.0))))
    }

    fn float(&self, x: Over) -> Over {
        if x.var.dtype() == self.dtype { x } else { Over { var: x.var.convert(self.dtype), axes: x.axes } }
    }

    fn atom(&self, a: &Atom) -> Made<Over> {
        Ok(match a {
            Atom::Size(_) => {
                let n = self.dim(&Term::atom(a.clone()))?;
                Over { var: self.cx.size_of(&n, self.dtype), axes: vec![] }
            }
            Atom::Param(n) => {
                let input = self.inputs.get(&**n).ok_or_else(|| format!("no operand `{n}`"))?;
                self.float(Over { var: input.clone(), axes: vec![] })
            }
            Atom::Const(b) => self.number(f64::from_bits(*b)),
            Atom::Index(_) => self.float(self.place(&Term::atom(a.clone()))?),
            Atom::Load(name, at, _) => match self.structured(name, at)? {
                Some((var, axes)) => self.float(Over { var, axes }),
                None => {
                    let input = self.inputs.get(&**name).ok_or_else(|| format!("no operand `{name}`"))?;
                    let all = input.shape().iter().fold(Dim::from(1), |n, d| &n * d);
                    let places = self.place(at)?;
                    let flat = self.float(Over { var: input.clone(), axes: vec![] }).var.reshape(&[all]);
                    Over { var: flat.gather(&places.var), axes: places.axes }
                }
            },
            Atom::Sum(s) => {
                let (vars, body) = open(s);
                self.sum(&vars, &body)?
            }
            Atom::Rec(r) => self.rec(r)?,
            Atom::Fn(f, args) => self.function(*f, args)?,
            Atom::Ite(c, a, b) => {
                let c = self.term(c)?;
                let (a, b) = (self.term(a)?, self.term(b)?);
                let half = Over { var: c.var.gt(&c.var.full_like(0.5)), axes: c.axes };
                let mut order = half.axes.clone();
                for x in [&a, &b] {
                    order.extend(x.axes.iter().filter(|i| !order.contains(i)).copied().collect::<Vec<_>>());
                }
                let (c, a, b) =
                    (self.spread(&half, &order)?, self.spread(&a, &order)?, self.spread(&b, &order)?);
                Over { var: c.var.select(&a.var, &b.var), axes: order }
            }
            Atom::Pos(t) => {
                let x = self.term(t)?;
                Over { var: x.var.gt(&x.var.full_like(0.0)).convert(self.dtype), axes: x.axes }
            }
            Atom::Zero(t) => {
                let x = self.term(t)?;
                Over { var: x.var.equal(&x.var.full_like(0.0)).convert(self.dtype), axes: x.axes }
            }
            Atom::Group(t) => self.term(t)?,
            Atom::Bound(..) | Atom::Phi(_) | Atom::PhiLoad(..) => {
                return Err("an unknown is left over".into());
            }
        })
    }

    fn function(&self, f: Fun, args: &[Term]) -> Made<Over> {
        let x = self.term(&args[0])?;
        let v = &x.var;
        let var = match f {
            Fun::Exp => v.exp(),
            Fun::Sigmoid => v.sigmoid(),
            Fun::Sqrt => v.sqrt(),
            Fun::Ln => v.log(),
            Fun::Sin => v.sin(),
            Fun::Cos => v.cos(),
            Fun::Floor => v.floor(),
            Fun::Ceil => -(-v).floor(),
            Fun::Round => v.round_half_away(),
            Fun::RoundTiesEven => v.round_half_even(),
            Fun::Opaque("tanh") => v.tanh(),
            Fun::Opaque("signum") => v.sign(),
            Fun::Pow => {
                let y = self.term(&args[1])?;
                return self.both(&x, &y, |a, b| a.pow(b));
            }
            Fun::Trunc | Fun::Div | Fun::Min | Fun::Max | Fun::SatSub | Fun::Opaque(_) => {
                let name = match f {
                    Fun::Opaque(n) => n,
                    Fun::Trunc => "trunc",
                    _ => "arithmetic of places",
                };
                return Err(format!("`{name}` has no op"));
            }
        };
        Ok(Over { var, axes: x.axes })
    }

    /// A linear recurrence as `linear_scan` over (1, rounds, everything else).
    fn rec(&self, r: &Rec) -> Made<Over> {
        let (t, gate, drive) = open_rec(r);
        // All rounds, or as many as another index says.
        let upto: Option<(u32, i128)> = (self.ranges.borrow().keys().copied())
            .find_map(|i| r.count.sub(&Term::index(i)).as_int().map(|ahead| (i, ahead)));
        let rounds = match upto {
            Some((i, 0 | 1)) => self.range(i)?,
            Some(_) => return Err("a recurrence whose end is neither this round nor the next".into()),
            None => self.dim(&r.count)?,
        };
        self.ranges.borrow_mut().insert(t, rounds.clone());
        let (f, x, h0) = (self.term(&gate)?, self.term(&drive)?, self.term(&r.init)?);
        let mut others: Vec<u32> = vec![];
        for axes in [&f.axes, &x.axes, &h0.axes] {
            others
                .extend(axes.iter().filter(|i| **i != t && !others.contains(i)).copied().collect::<Vec<_>>());
        }
        let dims = others.iter().map(|i| self.range(*i)).collect::<Made<Vec<_>>>()?;
        let width = dims.iter().fold(Dim::from(1), |n, d| &n * d);
        let order: Vec<u32> = std::iter::once(t).chain(others.iter().copied()).collect();
        let one = Dim::from(1);
        let flat = |v: &Over| -> Made<Var> {
            Ok(self.spread(v, &order)?.var.reshape(&[one.clone(), rounds.clone(), width.clone()]))
        };
        let start = self.spread(&h0, &others)?.var.reshape(&[one.clone(), width.clone()]);
        let h = flat(&f)?.linear_scan(&flat(&x)?, &start, false);
        let states = |h: &Var, i: u32| -> Over {
            let all: Vec<Dim> = std::iter::once(rounds.clone()).chain(dims.iter().cloned()).collect();
            Over { var: h.reshape(&all), axes: std::iter::once(i).chain(others.iter().copied()).collect() }
        };
        Ok(match upto {
            Some((i, 1)) => states(&h, i),
            Some((i, _)) => {
                let before = h.slice_axis(1, 0, &rounds - &one);
                let first = start.reshape(&[one.clone(), one.clone(), width.clone()]);
                states(&Var::concatenate(&[&first, &before], 1), i)
            }
            None => {
                let last = h.slice_axis(1, &rounds - &one, rounds.clone());
                Over { var: last.reshape(&dims), axes: others }
            }
        })
    }
}
