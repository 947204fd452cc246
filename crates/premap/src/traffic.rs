//! Which level of the memory holds what a step reads and writes.
//!
//! A plan runs again and again, so its places are touched in a fixed order. The distance of a touch is the number of
//! bytes of other places that were touched since the last touch of this one (Mattson et al. 1970, stack distance), plus its
//! own, since a run of bytes longer than a cache drives out its own beginning. A cache holds what is nearer than its size.
//! Hardware is no exact LRU and holds other things too, so the share that is found falls from all at half the size to
//! nothing at one and a half.

use crate::{Buffer, Plan};
use graph::Value;

/// Bytes that lie in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// The arena (0), or a buffer of its own.
    space: u32,
    from: usize,
    to: usize,
}

impl Piece {
    fn len(self) -> usize {
        self.to - self.from
    }
}

/// What was touched, the last first.
#[derive(Debug, Default)]
pub(crate) struct Recency {
    list: Vec<Piece>,
}

/// A share of a touch: bytes and their distance; `None` for what was never touched.
pub(crate) type Share = (usize, Option<usize>);

impl Recency {
    /// Touches a piece of memory.
    pub(crate) fn touch(&mut self, plan: &Plan, v: Value, bytes: usize) -> Vec<Share> {
        let Some(piece) = piece(plan, v, bytes).filter(|p| p.len() > 0) else { return vec![] };
        let mut shares = vec![];
        let mut between = 0;
        let mut rest = piece.len();
        let mut kept = Vec::with_capacity(self.list.len() + 2);
        kept.push(piece);
        let mut list = std::mem::take(&mut self.list).into_iter();
        for old in list.by_ref() {
            let (from, to) = (old.from.max(piece.from), old.to.min(piece.to));
            if old.space != piece.space || from >= to {
                between += old.len();
                kept.push(old);
                continue;
            }
            shares.push((to - from, Some(between + piece.len())));
            rest -= to - from;
            for part in [Piece { to: from, ..old }, Piece { from: to, ..old }] {
                if part.from < part.to {
                    between += part.len();
                    kept.push(part);
                }
            }
            if rest == 0 {
                break;
            }
        }
        kept.extend(list);
        self.list = kept;
        if rest > 0 {
            shares.push((rest, None));
        }
        shares
    }
}

/// The memory of a value, or of its first bytes.
fn piece(plan: &Plan, v: Value, bytes: usize) -> Option<Piece> {
    let place = plan.place(v)?;
    let (space, start) = match plan.buffers[place.buffer as usize] {
        Buffer::Arena { offset, .. } => (0, offset),
        // What replaces an input lies in its place.
        Buffer::Output(o) => {
            let source = plan.donated.iter().chain(&plan.copied).find(|(_, out)| *out == o);
            let buffer = source.and_then(|(i, _)| plan.buffers.iter().position(|b| *b == Buffer::Input(*i)));
            (1 + buffer.unwrap_or(place.buffer as usize) as u32, 0)
        }
        Buffer::Input(_) | Buffer::Constant(_) => (1 + place.buffer, 0),
    };
    let from = start + place.offset;
    Some(Piece { space, from, to: from + bytes })
}

/// The share of a touch at this distance that a cache of a size holds.
pub(crate) fn held(distance: Option<usize>, size: f64) -> f64 {
    distance.map_or(0.0, |d| (1.5 - d as f64 / size.max(1.0)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_held_and_what_is_far_is_not() {
        assert_eq!(held(Some(10), 100.0), 1.0);
        assert_eq!(held(Some(100), 100.0), 0.5);
        assert_eq!(held(Some(200), 100.0), 0.0);
        assert_eq!(held(None, 1e12), 0.0);
    }
}
