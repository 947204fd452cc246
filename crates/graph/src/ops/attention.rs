//! Attention with rotary positions and a cache of keys and values.
//!
//! Heads are grouped: H heads of queries share G heads of keys and values, H / G to one (Ainslie et al. 2023, "GQA").
//! Rotations follow Su et al. 2021 ("RoFormer") in the form that turns element i against element i + D/2.

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use axes::DType;

/// (x (B, T, H, D), cos (T, D/2), sin (T, D/2)) → x with each head turned by its position's angles.
pub struct Rope;
impl OpDef for Rope {
    const NAME: &'static str = "rope";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 3)?;
        float(inputs, 0)?;
        let [x, cos, sin] = inputs else { return Err("takes three operands".into()) };
        if x.rank() != 4 {
            return Err(format!("takes (batch, time, heads, width), found {x}"));
        }
        super::same(cos, sin)?;
        // Symbols of two sizes say nothing about their ratio.
        let fits = match (cos.shape.get(1).map(Dim::fixed), x.shape[3].fixed()) {
            (Some(Some(half)), Some(width)) => width == 2 * half,
            (Some(_), _) => true,
            (None, _) => false,
        };
        if cos.dtype != x.dtype || cos.rank() != 2 || cos.shape[0] != x.shape[1] || !fits {
            return Err(format!("the angles of {x} are a row of half the width per position, found {cos}"));
        }
        Ok(vec![x.clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (x, cos, sin) = (i[0].floats(), i[1].floats(), i[2].floats());
        let [_, time, heads, width] = i[0].shape[..] else { return Err("takes four axes".into()) };
        let half = width / 2;
        let mut out = x.to_vec();
        for (row, y) in out.chunks_mut(width.max(1)).enumerate() {
            let angles = row / heads % time * half;
            for k in 0..half {
                let (c, s) = (cos[angles + k].clone(), sin[angles + k].clone());
                let (a, b) = (y[k].clone(), y[k + half].clone());
                y[k] = a.clone() * c.clone() - b.clone() * s.clone();
                y[k + half] = b * c + a * s;
            }
        }
        Ok(vec![Array::float(types[0].dtype, i[0].shape.clone(), out)])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (x, cos, sin) = (&n.inputs[0], &n.inputs[1], &n.inputs[2]);
        let half = cos.shape()[1].clone();
        let (a, b) = (x.slice_axis(3, 0, half.clone()), x.slice_axis(3, half.clone(), &half + &half));
        let (c, s) = (cos.broadcast(&a.shape(), &[1, 3]), sin.broadcast(&a.shape(), &[1, 3]));
        Some(vec![Var::concatenate(&[&(&a * &c - &b * &s), &(&b * &c + &a * &s)], 3)])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost { operations: 3.0 * elements(out), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

/// Causal attention of T new tokens over a cache of S places.
///
/// (q (B, T, H, D), k and v (B, T, G, D), caches of keys and values (B, S, G, D), position i64) → (out (B, T, H, D), the
/// caches with k and v written to places position … position + T − 1). The query at place p sees places 0 … p; what the
/// caches hold behind position + T is not read. out = Σ softmax(scale · q · key) value.
///
/// With caches of i8, two more operands and results, (B, S, G), are the scales of their rows: scale = absmax / 127,
/// q = round_half_even(x / scale), zeros where absmax is 0. New tokens are read back from the cache too, so a cut into
/// chunks changes nothing.
pub struct KvAttention;

/// The operands by name.
struct Operands<'a, T> {
    q: &'a T,
    new: [&'a T; 2],
    caches: [&'a T; 2],
    position: &'a T,
    scales: Option<[&'a T; 2]>,
}

impl<'a, T> Operands<'a, T> {
    fn new(list: &'a [T]) -> Result<Self, String> {
        match list {
            [q, k, v, a, b, position] => {
                Ok(Operands { q, new: [k, v], caches: [a, b], position, scales: None })
            }
            [q, k, v, a, b, position, c, d] => {
                Ok(Operands { q, new: [k, v], caches: [a, b], position, scales: Some([c, d]) })
            }
            _ => Err(format!("takes 6 operands, or 8 with caches of i8, got {}", list.len())),
        }
    }
}

impl OpDef for KvAttention {
    const NAME: &'static str = "kv_attention";
    const ATTRS: &'static [&'static str] = &["scale"];
    const CLASS: Class = Class::Composite;
    const IN_PLACE: &'static [(usize, usize)] = &[(3, 1), (4, 2), (6, 3), (7, 4)];
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let o = Operands::new(inputs)?;
        float(inputs, 0)?;
        let (q, k, cache) = (o.q, o.new[0], o.caches[0]);
        if q.rank() != 4 || k.rank() != 4 || cache.rank() != 4 {
            return Err(format!("takes queries, keys and caches of four axes, found {q}, {k} and {cache}"));
        }
        super::same(k, o.new[1])?;
        super::same(cache, o.caches[1])?;
        let dtype = if o.scales.is_some() { DType::I8 } else { q.dtype };
        let at = |t: &Type, list: [usize; 3]| list.map(|axis| t.shape[axis].clone());
        if k.dtype != q.dtype || at(q, [0, 1, 3]) != at(k, [0, 1, 3]) {
            return Err(format!("the keys {k} do not fit the queries {q}"));
        }
        if cache.dtype != dtype || at(k, [0, 2, 3]) != at(cache, [0, 2, 3]) {
            return Err(format!("the cache {cache} does not fit the keys {k} ({dtype})"));
        }
        if let (Some(h), Some(g)) = (q.shape[2].fixed(), k.shape[2].fixed())
            && (g == 0 || h % g != 0)
        {
            return Err(format!("{h} heads of queries cannot share {g} heads of keys"));
        }
        if *o.position != Type::scalar(DType::I64) {
            return Err(format!("the position must be i64[], found {}", o.position));
        }
        let mut out = vec![q.clone(), cache.clone(), cache.clone()];
        for scale in o.scales.iter().flatten() {
            let expected = Type { dtype: q.dtype, shape: cache.shape[..3].to_vec() };
            if **scale != expected {
                return Err(format!("the scales of {cache} must be {expected}, found {scale}"));
            }
            out.push(expected);
        }
        Ok(out)
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let o = Operands::new(i)?;
        let [batch, time, heads, width] = o.q.shape[..] else { return Err("takes four axes".into()) };
        let (places, groups) = (o.caches[0].shape[1], o.caches[0].shape[2]);
        let first = check_position(o.position.ints()[0], time, places)?;
        let row = |b: usize, place: usize, g: usize| (b * places + place) * groups + g;
        let mut results = vec![];
        let mut scales = vec![];
        // Keys and values as the numbers that they stand for.
        let mut seen: Vec<Vec<S>> = vec![];
        for side in 0..2 {
            let new = o.new[side].floats();
            let rows = (0..batch * time * groups).map(|r| {
                let (b, t, g) = (r / groups / time, r / groups % time, r % groups);
                (row(b, first + t, g), &new[r * width..(r + 1) * width])
            });
            match o.scales {
                None => {
                    let mut cache = o.caches[side].floats().to_vec();
                    rows.for_each(|(at, x)| cache[at * width..(at + 1) * width].clone_from_slice(x));
                    results.push(Array::float(types[1].dtype, o.caches[side].shape.clone(), cache.clone()));
                    seen.push(cache);
                }
                Some(old) => {
                    let mut cache = o.caches[side].ints().to_vec();
                    let mut scale = old[side].floats().to_vec();
                    for (at, x) in rows {
                        let peak = x.iter().fold(S::from_f64(0.0), |m, v| m.maximum(&v.abs()));
                        let s = peak / S::from_f64(127.0);
                        for (c, v) in cache[at * width..].iter_mut().zip(x) {
                            let zero = s.to_f64() == 0.0;
                            let level = (v.clone() / s.clone()).round_half_even().to_f64();
                            *c = if zero { 0 } else { level.clamp(-127.0, 127.0) as i64 };
                        }
                        scale[at] = s;
                    }
                    let numbers = cache.iter().enumerate();
                    seen.push(
                        numbers.map(|(k, q)| S::from_f64(*q as f64) * scale[k / width].clone()).collect(),
                    );
                    results.push(Array::int(DType::I8, o.caches[side].shape.clone(), cache));
                    scales.push(Array::float(types[3].dtype, old[side].shape.clone(), scale));
                }
            }
        }
        let q = o.q.floats();
        let factor = cx.literal::<S>(attrs.float("scale", 1.0));
        let mut out = vec![S::from_f64(0.0); q.len()];
        for (r, y) in out.chunks_mut(width.max(1)).enumerate() {
            let (b, t, g) = (r / heads / time, r / heads % time, r % heads * groups / heads);
            let x = &q[r * width..];
            let mut scores: Vec<S> = vec![];
            for place in 0..=first + t {
                let mut sum = S::from_f64(0.0);
                let key = &seen[0][row(b, place, g) * width..];
                for d in 0..width {
                    sum = sum + x[d].clone() * key[d].clone();
                }
                scores.push(sum * factor.clone());
            }
            let peak = scores.iter().fold(S::from_f64(f64::NEG_INFINITY), |m, s| m.maximum(s));
            let mut total = S::from_f64(0.0);
            for (place, s) in scores.into_iter().enumerate() {
                let e = (s - peak.clone()).exp();
                let value = &seen[1][row(b, place, g) * width..];
                for d in 0..width {
                    y[d] = y[d].clone() + e.clone() * value[d].clone();
                }
                total = total + e;
            }
            y.iter_mut().for_each(|v| *v = v.clone() / total.clone());
        }
        let mut all = vec![Array::float(types[0].dtype, o.q.shape.clone(), out)];
        all.extend(results);
        all.extend(scales);
        Ok(all)
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let o = Operands::new(n.inputs).ok()?;
        let (time, places) = (o.q.shape()[1].clone(), o.caches[0].shape()[1].clone());
        // Which new token stands at each place.
        let ids = n.cx.iota(DType::I64, std::slice::from_ref(&places)) - o.position.broadcast(&[places], &[]);
        let last = n.cx.size_of(&time, DType::I64) - n.cx.full(&Type::scalar(DType::I64), 1.0);
        let token = ids.max(&ids.full_like(0.0)).min(&last.broadcast(&ids.shape(), &[]));
        let fresh = ids.equal(&token);
        let place = |new: &Var, cache: &Var| {
            let rank = new.ty().rank();
            let swap: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
            let rows = new.transpose(&swap).gather(&token).transpose(&swap);
            fresh.broadcast(&rows.shape(), &[1]).select(&rows, cache)
        };
        let mut seen = vec![];
        let (mut results, mut scales) = (vec![], vec![]);
        for side in 0..2 {
            let (new, cache) = (o.new[side], o.caches[side]);
            match o.scales {
                None => {
                    seen.push(place(new, cache));
                    results.push(seen[side].clone());
                }
                Some(old) => {
                    let peak = new.abs().max_over(&[3]);
                    let s = &peak / 127.0;
                    let safe = peak.equal(&peak.full_like(0.0)).select(&peak.full_like(1.0), &s);
                    let width = new.shape()[3].clone();
                    let level = (new / &safe.broadcast_last(&width)).round_half_even().clamp(-127.0, 127.0);
                    let (cache, scale) = (place(&level.convert(DType::I8), cache), place(&s, old[side]));
                    seen.push(cache.convert(new.dtype()) * scale.broadcast_last(&width));
                    results.push(cache);
                    scales.push(scale);
                }
            }
        }
        let y = o.q.causal_attention(&seen[0], &seen[1], Some(o.position), None, n.attrs.float("scale", 1.0));
        Some([vec![y], results, scales].concat())
    }
    /// What the causal mask leaves out of a first chunk is not counted.
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let places = inputs[3].shape[1].fixed().unwrap_or(0) as f64;
        let width = inputs[0].shape[3].fixed().unwrap_or(1).max(1) as f64;
        let queries = elements(&out[..1]);
        Cost {
            operations: 4.0 * places * queries,
            transcendental: places * queries / width,
            bytes: bytes(inputs) + bytes(&out[..1]),
        }
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        None
    }
}

/// The first place of `time` new tokens in a cache of `places`.
///
/// # Errors
/// A position before the first place, or one that leaves no room.
pub fn check_position(position: i64, time: usize, places: usize) -> Result<usize, String> {
    let first =
        usize::try_from(position).ok().filter(|p| p.checked_add(time).is_some_and(|end| end <= places));
    first.ok_or_else(|| format!("{time} tokens at position {position} do not fit a cache of {places} places"))
}

impl Var {
    /// Each head turned by the angles of its position; see [`Rope`].
    #[track_caller]
    pub fn rope(&self, cos: &Var, sin: &Var) -> Var {
        self.cx.push1(crate::Op::Rope, Attrs::new(), &[self, cos, sin])
    }

    /// Attention over a cache; `scales` are those of caches of i8. Gives the output, then the caches (keys, values), then
    /// their scales; see [`KvAttention`].
    #[track_caller]
    pub fn kv_attention(
        &self,
        [k, v]: [&Var; 2],
        [keys, values]: [&Var; 2],
        scales: Option<[&Var; 2]>,
        position: &Var,
        scale: f64,
    ) -> Vec<Var> {
        let mut operands = vec![self, k, v, keys, values, position];
        operands.extend(scales.into_iter().flatten());
        self.cx.push(crate::Op::KvAttention, crate::attrs! { scale: Float(scale) }, &operands)
    }

    /// These queries (B, T, H, D) over keys and values (B, S, G, D), in core ops: query t sees places 0 … position + t,
    /// position being 0 where none is given, of them those where `mask`, bool (B, S), is true.
    #[track_caller]
    pub fn causal_attention(
        &self,
        keys: &Var,
        values: &Var,
        position: Option<&Var>,
        mask: Option<&Var>,
        scale: f64,
    ) -> Var {
        let (q, k) = (self.shape(), keys.shape());
        let share = match (q.get(2).and_then(Dim::fixed), k.get(2).and_then(Dim::fixed)) {
            (Some(h), Some(g)) if g > 0 => h / g,
            _ => 1,
        };
        let [b, t, _, d] = &q[..] else { return self.clone() };
        let (places, groups) = (k[1].clone(), k[2].clone());
        let grouped = self.reshape(&[b.clone(), t.clone(), groups.clone(), share.into(), d.clone()]);
        // (B, G, T, H/G, S)
        let scores = grouped.dot_general(keys, (&[4], &[3]), (&[0, 2], &[0, 2])) * scale;
        let grid = [t.clone(), places.clone()];
        let rows = self.cx.iota(DType::I64, std::slice::from_ref(t));
        let rows = match position {
            Some(p) => rows + p.broadcast(std::slice::from_ref(t), &[]),
            None => rows,
        };
        let columns = self.cx.iota(DType::I64, &[places]).broadcast(&grid, &[1]);
        let mut seen = columns.le(&rows.broadcast(&grid, &[0])).broadcast(&scores.shape(), &[2, 4]);
        if let Some(mask) = mask {
            seen = seen.and(&mask.broadcast(&scores.shape(), &[0, 4]));
        }
        let weights = seen.select(&scores, &scores.full_like(-1e30)).softmax_last();
        let y = weights.dot_general(values, (&[4], &[1]), (&[0, 1], &[0, 2]));
        y.transpose(&[0, 2, 1, 3, 4]).reshape(&q)
    }
}
