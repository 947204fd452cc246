//! Recurrences: single steps, and sequences along the last leading axis.

use graph::{Dim, Var};

use super::{Call, Item, Made, ahead, behind, count, one};

pub(super) fn build(call: &Call<'_>) -> Made {
    match call.name {
        "ssm_state_update" => {
            let (h, u) = (call.var(0)?, call.var(1)?);
            let (a, b) = (ahead(&call.var(2)?, &h.shape()), ahead(&call.var(3)?, &h.shape()));
            one(&(&a * &h) + &(&b * &behind(&u, &h.shape())))
        }
        "ssm_output" => {
            let h = call.var(0)?;
            one((&ahead(&call.var(1)?, &h.shape()) * &h).sum(&[super::last(&h)?]))
        }
        "ssm_scan" => ssm_scan(call),
        "selective_scan" => {
            let (h, x) = (call.var(0)?, call.var(1)?);
            let flat = Flat::new(&x.shape(), 1)?;
            let rows = |k: usize| call.var(k).map(|v| flat.rows(&v));
            let state = h.reshape(&flat.state(&h.shape(), 2));
            let (y, end) = rows(1)?.selective_scan(&rows(2)?, &call.var(3)?, &rows(4)?, &rows(5)?, &state);
            Ok(vec![Item::One(y.reshape(&x.shape())), Item::One(end.reshape(&h.shape()))])
        }
        "linear_scan" => {
            let (h, f, x) = (call.var(0)?, call.var(1)?, call.var(2)?);
            let (states, end) = scan(&h, &f, &x)?;
            Ok(vec![Item::One(states), Item::One(end)])
        }
        "mlgru_step" => {
            let (h, f, c, g) = (call.var(0)?, call.var(1)?, call.var(2)?, call.var(3)?);
            let next = &(&f * &h) + &(&(1.0 - &f) * &c);
            Ok(vec![Item::One(&g * &next), Item::One(next)])
        }
        "mlgru_scan" => {
            let (h, f, c, g) = (call.var(0)?, call.var(1)?, call.var(2)?, call.var(3)?);
            let (states, end) = scan(&h, &f, &(&(1.0 - &f) * &c))?;
            Ok(vec![Item::One(&g * &states), Item::One(end)])
        }
        "linear_attention_state_update" => {
            let (s, z, k, v) = (call.var(0)?, call.var(1)?, call.var(2)?, call.var(3)?);
            let decay = if call.has(4) { Some(call.var(4)?) } else { None };
            let faded = |x: &Var| decay.as_ref().map_or(x.clone(), |d| x * &behind(d, &x.shape()));
            let (s, z) = learn(&faded(&s), &faded(&z), &k, &v);
            Ok(vec![Item::One(s), Item::One(z)])
        }
        "linear_attention_output" => {
            one(recall(&call.var(0)?, &call.var(1)?, &call.var(2)?, call.float("eps")?))
        }
        "linear_attention_scan" => attention_scan(call),
        "short_convolution" => convolution(call),
        _ => call.none(),
    }
}

/// A sequence `[…, T, x…]` as `[B, T, x…]`.
struct Flat {
    batch: Dim,
    time: Dim,
}

impl Flat {
    /// Of a sequence with so many axes behind time.
    fn new(shape: &[Dim], inner: usize) -> Result<Flat, String> {
        let lead = shape.len().checked_sub(inner).and_then(|n| shape[..n].split_last());
        let (time, batch) = lead.ok_or("there is no axis of time in front")?;
        Ok(Flat { batch: count(batch), time: time.clone() })
    }

    /// With one axis behind time.
    fn rows(&self, v: &Var) -> Var {
        let width = v.shape().pop().unwrap_or(Dim::from(1));
        v.reshape(&[self.batch.clone(), self.time.clone(), width])
    }

    /// The shape of a state with so many axes of its own.
    fn state(&self, shape: &[Dim], inner: usize) -> Vec<Dim> {
        let own = &shape[shape.len().saturating_sub(inner)..];
        [std::slice::from_ref(&self.batch), own].concat()
    }

    /// What stands last in `[B, T, x…]`.
    fn end(&self, v: &Var, like: &[Dim]) -> Var {
        v.slice_axis(1, &self.time - &Dim::from(1), self.time.clone()).reshape(like)
    }
}

/// h ← f h + x along time: all states, and the last one.
fn scan(h: &Var, f: &Var, x: &Var) -> Result<(Var, Var), String> {
    let flat = Flat::new(&f.shape(), 1)?;
    let state = h.reshape(&flat.state(&h.shape(), 1));
    let states = flat.rows(f).linear_scan(&flat.rows(x), &state, false);
    let end = flat.end(&states, &h.shape());
    Ok((states.reshape(&f.shape()), end))
}

fn ssm_scan(call: &Call<'_>) -> Made {
    let (h, u) = (call.var(0)?, call.var(1)?);
    let flat = Flat::new(&u.shape(), 0)?;
    let state = h.reshape(&flat.state(&h.shape(), 1));
    let wide = [flat.batch.clone(), flat.time.clone(), state.shape()[1].clone()];
    let u_ = u.reshape(&[flat.batch.clone(), flat.time.clone()]);
    let wide_of = |k: usize| call.var(k).map(|v| ahead(&v, &wide));
    let driven = &wide_of(3)? * &behind(&u_, &wide);
    let states = wide_of(2)?.linear_scan(&driven, &state, false);
    let y = (&wide_of(4)? * &states).sum(&[2]);
    Ok(vec![Item::One(y.reshape(&u.shape())), Item::One(flat.end(&states, &h.shape()))])
}

/// S + key valueᵀ, z + key.
fn learn(s: &Var, z: &Var, key: &Var, value: &Var) -> (Var, Var) {
    let shape = s.shape();
    let rank = shape.len();
    let columns: Vec<usize> = (0..rank - 2).chain([rank - 1]).collect();
    (s + &(&behind(key, &shape) * &value.broadcast(&shape, &columns)), z + key)
}

/// Sᵀ query / max(z · query, eps).
fn recall(s: &Var, z: &Var, query: &Var, eps: f64) -> Var {
    let rank = query.ty().rank();
    let y = (s * &behind(query, &s.shape())).sum(&[rank - 1]);
    let size = (z * query).sum(&[rank - 1]);
    let size = size.max(&size.full_like(eps));
    &y / &behind(&size, &y.shape())
}

fn attention_scan(call: &Call<'_>) -> Made {
    let (s, z) = (call.var(0)?, call.var(1)?);
    let (q, eps) = (call.var(2)?, call.float("eps")?);
    let flat = Flat::new(&q.shape(), 1)?;
    // Time in front, where a loop takes its slices.
    let steps = |k: usize| call.var(k).map(|v| flat.rows(&v).transpose(&[1, 0, 2]));
    let (state, norm) = (s.reshape(&flat.state(&s.shape(), 2)), z.reshape(&flat.state(&z.shape(), 1)));
    let sequence = [steps(2)?, steps(3)?, steps(4)?];
    let (end, all) =
        call.cx.scan(&[&state, &norm], &[&sequence[0], &sequence[1], &sequence[2]], false, |c, x| {
            let (s, z) = learn(&c[0], &c[1], &x[1], &x[2]);
            let y = recall(&s, &z, &x[0], eps);
            (vec![s, z], vec![y])
        });
    let shape = call.var(4)?.shape();
    Ok(vec![
        Item::One(all[0].transpose(&[1, 0, 2]).reshape(&shape)),
        Item::One(end[0].reshape(&s.shape())),
        Item::One(end[1].reshape(&z.shape())),
    ])
}

/// Row k of the history holds the input k − K steps before the first.
fn convolution(call: &Call<'_>) -> Made {
    let (history, x, kernel) = (call.var(0)?, call.var(1)?, call.var(2)?);
    let flat = Flat::new(&x.shape(), 1)?;
    let past = history.reshape(&flat.state(&history.shape(), 2));
    let taps = past.shape()[1].fixed().ok_or("the number of taps must be known")?;
    let all = Var::concatenate(&[&past, &flat.rows(&x)], 1);
    let mut y: Option<Var> = None;
    for k in 0..taps {
        let start = Dim::from(k + 1);
        let part = all.slice_axis(1, start.clone(), &start + &flat.time);
        let channels = kernel.shape()[0].clone();
        let weight = kernel.slice_axis(1, k, k + 1).reshape(&[channels]);
        let term = &part * &ahead(&weight, &part.shape());
        y = Some(y.map_or(term.clone(), |y| &y + &term));
    }
    let y = y.ok_or("the kernel has no taps")?;
    let end = all.slice_axis(1, flat.time.clone(), &flat.time + &Dim::from(taps));
    Ok(vec![Item::One(y.reshape(&x.shape())), Item::One(end.reshape(&history.shape()))])
}
