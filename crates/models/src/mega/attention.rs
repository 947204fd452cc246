//! Attention of one head with a bias for distances, over everything or in chunks.

use axes::DType;
use graph::{Cx, Dim, Type, Var};

use super::{MegaActivation, MegaConfig, RelativeBias};
use crate::forms::PLACES;
use crate::frame::Frame;

/// √½ and √(1/4π) in the library's six digits.
#[allow(clippy::approx_constant)]
const LAPLACE: [f64; 2] = [0.707107, 0.282095];

/// Where queries or keys stand: (B or 1, N) positions from the beginning, f32.
struct Positions {
    queries: Var,
    keys: Var,
    /// Keys that hold something, (B, S), or all.
    real: Option<Var>,
}

/// A sum or comparison over (B, T, S) of a value (B, T) and one (B, S).
fn grid(queries: &Var, keys: &Var) -> [Var; 2] {
    let dims = [queries.shape()[0].clone(), queries.shape()[1].clone(), keys.shape()[1].clone()];
    [queries.broadcast(&dims, &[0, 1]), keys.broadcast(&dims, &[0, 2])]
}

/// 0, 1, … along the last axis of (B, N).
fn count(cx: &Cx, batch: &Dim, n: &Dim) -> Var {
    let line = cx.iota(DType::I64, std::slice::from_ref(n)).convert(DType::F32);
    line.broadcast(&[batch.clone(), n.clone()], &[1])
}

/// x − m ⌊x / m⌋.
fn modulo(x: &Var, m: usize) -> Var {
    x - &((x / m as f64).floor() * m as f64)
}

impl MegaConfig {
    /// q and k (B, T, z), v (B, T, n) → (B, T, n), from the states of the layer to their successors.
    pub(super) fn attention(&self, frame: &Frame<'_>, at: &str, layer: usize, [q, k, v]: [&Var; 3]) -> Var {
        let (cx, o) = (frame.cx, frame.options);
        let (batch, time) = (&frame.batch, &frame.time);
        let fresh = count(cx, batch, time);
        let mask = self.mask(frame);
        let (positions, k, v) = match (o.states, self.chunk_size) {
            (false, _) => {
                let places = Positions { queries: fresh.clone(), keys: fresh, real: mask };
                (places, k.clone(), v.clone())
            }
            (true, Some(chunk)) => {
                let first = frame.state("chunk_position", &[1]).reshape(std::slice::from_ref(batch));
                let queries = &fresh + &first.broadcast_last(time);
                // What the chunk held before, then the new tokens. A place from `first` on holds another chunk's.
                let old = count(cx, batch, &chunk.into());
                let held = old.lt(&first.broadcast_last(&chunk.into())).convert(DType::F32);
                let all = &Dim::from(chunk) + time;
                let real = Var::concatenate(&[&held, &fresh.full_like(1.0)], 1);
                let keys = Var::concatenate(&[&old, &queries], 1);
                let made = [("key_state", k), ("value_state", v)].map(|(what, new)| {
                    let name = format!("{what}.{layer}");
                    let width = new.shape()[2].fixed().unwrap_or(0);
                    let state = frame.state(&name, &[chunk, width]);
                    let both = Var::concatenate(&[&state, new], 1);
                    frame.keep(&name, &self.running(frame, chunk, &first, &both));
                    both
                });
                let [k, v] = made;
                let end = &first + &cx.size_of(time, DType::F32).broadcast_like(&first);
                frame.keep("chunk_position", &modulo(&end, chunk).reshape(&[batch.clone(), 1.into()]));
                debug_assert_eq!(k.shape()[1], all);
                (Positions { queries, keys, real: Some(real) }, k, v)
            }
            (true, None) => {
                let position = frame.input("position", Type::scalar(DType::I64));
                let places = Dim::symbol(PLACES);
                let made = [("key_cache", k), ("value_cache", v)].map(|(what, new)| {
                    let name = format!("{what}.{layer}");
                    let shape = vec![batch.clone(), places.clone(), new.shape()[2].clone()];
                    let cache = frame.input(&name, Type { dtype: DType::F32, shape });
                    let all = placed(new, &cache, &position);
                    frame.keep(&name, &all);
                    all
                });
                let [k, v] = made;
                let first = position.convert(DType::F32);
                let queries = &fresh + &first.broadcast(&fresh.shape(), &[]);
                (Positions { queries, keys: count(cx, batch, &places), real: None }, k, v)
            }
        };
        self.weigh(frame, at, &positions, q, &k).matmul_batched(&v)
    }

    /// The rows of the running chunk after T more tokens, at their places: what lies at place j is the last token whose
    /// position is j modulo the chunk.
    fn running(&self, frame: &Frame<'_>, chunk: usize, first: &Var, both: &Var) -> Var {
        let (cx, batch, time) = (frame.cx, &frame.batch, &frame.time);
        let place = count(cx, batch, &chunk.into());
        let end = first + &cx.size_of(time, DType::F32).broadcast_like(first);
        // The chunk that position `end` is in begins here.
        let start = &end - &modulo(&end, chunk);
        let all = chunk.into();
        let wanted = &place + &start.broadcast_last(&all);
        let begun = wanted.lt(&end.broadcast_last(&all));
        // A position p ≥ first is row chunk + p − first of `both`, an earlier one row p.
        let first = first.broadcast_last(&all);
        let new = wanted.ge(&first);
        let row = new.select(&(&wanted - &first + chunk as f64), &wanted);
        let row = begun.select(&row, &row.full_like(0.0)).convert(DType::I64);
        let wide = both.shape()[2].clone();
        let index = row.broadcast_last(&wide);
        both.take_along(&index, 1)
    }

    /// The weights (B, T, S) of keys for queries.
    fn weigh(&self, frame: &Frame<'_>, at: &str, places: &Positions, q: &Var, k: &Var) -> Var {
        let softmax = self.attention_activation == MegaActivation::Softmax;
        let chunked = |x: &Var| self.chunk_size.map_or_else(|| x.clone(), |chunk| modulo(x, chunk));
        let (inner_q, inner_k) = (chunked(&places.queries), chunked(&places.keys));
        let [ask, answer] = grid(&places.queries, &places.keys);
        // Which keys a query may see at all.
        let mut seen: Option<Var> = None;
        let mut and = |other: Var| {
            seen = Some(seen.take().map_or_else(|| other.clone(), |s| s.and(&other)));
        };
        if let Some(chunk) = self.chunk_size {
            let number = |x: &Var| (x / chunk as f64).floor();
            and(number(&ask).equal(&number(&answer)));
        }
        if self.is_decoder {
            and(answer.le(&ask));
        }
        let mut padded = None;
        if let Some(real) = &places.real {
            let real = real.broadcast(&ask.shape(), &[0, 2]);
            let real = real.gt(&real.full_like(0.0));
            match frame.options.states {
                true => and(real),
                false => padded = Some(real),
            }
        }
        let scores = q.dot_general(k, (&[2], &[2]), (&[0], &[0]));
        let bias = self.bias(frame, at, &inner_q, &inner_k, q, k);
        let number = |v: &Var| v.convert(DType::F32);
        if softmax {
            let z = self.shared_representation_size as f64;
            let scores = scores * z.powf(-0.5) + bias;
            let mut hidden = seen.as_ref().map(Var::not);
            if let Some(real) = padded {
                // A query whose chunk holds nothing real sees all of it, as the library has it.
                let last = real.ty().rank() - 1;
                let inside = seen.as_ref().map_or_else(|| real.clone(), |s| s.and(&real));
                let any = number(&self.whole_chunk(&ask, &answer).map_or(real.clone(), |c| c.and(&real)));
                let any = any.sum(&[last]);
                let some = any.gt(&any.full_like(0.0)).broadcast_last(&real.shape()[last]);
                let out = inside.not().and(&some);
                hidden = Some(hidden.map_or_else(|| out.clone(), |h| h.or(&out)));
            }
            let scores = match hidden {
                Some(hidden) => hidden.select(&scores.full_like(-1e30), &scores),
                None => scores,
            };
            return scores.softmax_last();
        }
        let lengths = if self.is_decoder {
            // The keys from the beginning of the chunk up to the query.
            (inner_q + 1.0).broadcast(&ask.shape(), &[0, 1])
        } else {
            let all = self.whole_chunk(&ask, &answer).map(|c| number(&c));
            let mut here = all.unwrap_or_else(|| ask.full_like(1.0));
            if let Some(real) = &padded {
                here = here * number(real);
            }
            let total = here.sum(&[2]);
            total.max(&total.full_like(1.0)).broadcast(&ask.shape(), &[0, 1])
        };
        let x = scores / lengths + bias;
        let weights = match self.attention_activation {
            MegaActivation::Relu2 => x.relu().square(),
            _ => (((x - LAPLACE[0]) / (LAPLACE[1] * std::f64::consts::SQRT_2)).erf() + 1.0) * 0.5,
        };
        let weights = match padded {
            Some(real) => weights * number(&real),
            None => weights,
        };
        match seen {
            Some(seen) => weights * number(&seen),
            None => weights,
        }
    }

    /// Pairs that share a chunk; nothing where there are no chunks.
    fn whole_chunk(&self, ask: &Var, answer: &Var) -> Option<Var> {
        let number = |x: &Var, chunk: usize| (x / chunk as f64).floor();
        self.chunk_size.map(|chunk| number(ask, chunk).equal(&number(answer, chunk)))
    }

    /// What is added to the scores of queries and keys at these positions (B, T) and (B, S): (B, T, S).
    fn bias(&self, frame: &Frame<'_>, at: &str, asks: &Var, keys: &Var, q: &Var, k: &Var) -> Var {
        let z = self.shared_representation_size;
        match self.relative_positional_bias {
            RelativeBias::Rotary => {
                let turned = |name: &str, places: &Var, like: &Var| {
                    let vector = frame.parameter(&format!("{at}.{name}"), &[1, z]);
                    self.turn(&vector.reshape(&[z.into()]), places, like)
                };
                let (a, b) = (turned("alpha", asks, q), turned("b_param", keys, k));
                a.dot_general(&b, (&[2], &[2]), (&[0], &[0]))
            }
            RelativeBias::Simple => {
                let rows = 2 * self.max_positions - 1;
                let table = frame.parameter(&format!("{at}.rel_pos_bias"), &[rows]);
                let middle = self.chunk_size.unwrap_or(self.max_positions) as f64 - 1.0;
                let [ask, answer] = grid(asks, keys);
                // What is further apart than the table reaches takes its end.
                let row = (answer - ask + middle).clamp(0.0, rows as f64 - 1.0).convert(DType::I64);
                table.gather(&row)
            }
        }
    }

    /// A vector (z) turned by the angles of positions (B, N): (B, N, z).
    fn turn(&self, vector: &Var, places: &Var, like: &Var) -> Var {
        let half = self.shared_representation_size / 2;
        let dims = [places.shape()[0].clone(), places.shape()[1].clone(), half.into()];
        let numbers: Vec<f64> = frequencies(half).into_iter().map(f64::from).collect();
        let line = like.cx().array(DType::F32, &[half], &numbers).broadcast(&dims, &[2]);
        let angles = places.broadcast(&dims, &[0, 1]) * line;
        let (cos, sin) = (angles.cos(), angles.sin());
        let part = |from: usize| vector.slice_axis(0, from, from + half).broadcast(&dims, &[2]);
        let (a, b) = (part(0), part(half));
        Var::concatenate(&[&(&a * &cos - &b * &sin), &(&b * &cos + &a * &sin)], 2)
    }
}

/// 10000^(-k / half) in f32, step by step as the library computes it.
fn frequencies(half: usize) -> Vec<f32> {
    let step = -((10_000.0_f64).ln() / half as f64) as f32;
    (0..half).map(|k| f64::from(k as f32 * step).exp() as f32).collect()
}

/// A cache (B, S, n) with new rows (B, T, n) at places position, position + 1, ….
fn placed(new: &Var, cache: &Var, position: &Var) -> Var {
    let cx = cache.cx();
    let (time, places) = (new.shape()[1].clone(), cache.shape()[1].clone());
    let ids = cx.iota(DType::I64, std::slice::from_ref(&places)) - position.broadcast(&[places], &[]);
    let last = cx.size_of(&time, DType::I64) - cx.full(&Type::scalar(DType::I64), 1.0);
    let token = ids.max(&ids.full_like(0.0)).min(&last.broadcast(&ids.shape(), &[]));
    let fresh = ids.equal(&token);
    let rows = new.transpose(&[1, 0, 2]).gather(&token).transpose(&[1, 0, 2]);
    fresh.broadcast(&rows.shape(), &[1]).select(&rows, cache)
}

/// Products of batches of matrices.
trait Batched {
    /// (B, T, S) times (B, S, n): (B, T, n).
    fn matmul_batched(&self, values: &Var) -> Var;
}

impl Batched for Var {
    fn matmul_batched(&self, values: &Var) -> Var {
        self.dot_general(values, (&[2], &[1]), (&[0], &[0]))
    }
}
