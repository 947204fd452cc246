//! Sums of gradients over the batches of one update, and of the optimiser's norm, in a chosen accumulator.
//!
//! Fast and plain sums are carried in f32 from batch to batch. Compensated and f64 sums are carried as two f32, the sum
//! and what was lost (TwoSum, Knuth 1969), which hold 48 bits: with f32 gradients that is what an f64 would keep of some
//! thousand batches. In pairs, and exactly, the gradients of all batches are kept until the last (memory for each batch)
//! and summed by one op.

use axes::DType;
use graph::{Accumulator, Cx, Op, Type, Var, attrs};

/// Σ over the first axis, or over all axes for `axes` of all.
fn reduce(x: &Var, axes: &[usize], how: Option<Accumulator>) -> Var {
    match how {
        None => x.sum(axes),
        Some(how) => {
            let axes = axes.iter().map(|a| *a as i64).collect();
            let attrs = attrs! { axes: Ints(axes), accumulator: Str(how.name().into()) };
            x.cx().push1(Op::ReduceSum, attrs, &[x])
        }
    }
}

/// The sum of all elements.
pub(crate) fn sum_all(x: &Var, how: Option<Accumulator>) -> Var {
    let rank = x.ty().rank();
    if rank == 0 { x.clone() } else { reduce(x, &(0..rank).collect::<Vec<_>>(), how) }
}

/// The sum of numbers.
pub(crate) fn total(list: &[Var], how: Option<Accumulator>) -> Var {
    match how {
        None | Some(Accumulator::Plain) => list[1..].iter().fold(list[0].clone(), |a, b| a + b),
        Some(_) => {
            let one = [1usize.into()];
            let rows: Vec<Var> = list.iter().map(|x| x.reshape(&one)).collect();
            reduce(&Var::concatenate(&rows.iter().collect::<Vec<_>>(), 0), &[0], how)
        }
    }
}

/// `a + b` and its error.
fn two_sum(a: &Var, b: &Var) -> (Var, Var) {
    let s = a + b;
    let t = &s - a;
    let error = (a - &(&s - &t)) + (b - &t);
    (s, error)
}

/// Loss and gradients, summed over the batches that `ids` and `labels` hold along their first axis. `kinds` are the
/// parameters that have gradients; `each` gives loss and gradients of one batch.
pub(crate) fn sums(
    cx: &Cx,
    kinds: &[&Var],
    [ids, labels]: [&Var; 2],
    how: Option<Accumulator>,
    each: impl Fn(&Cx, &Var, &Var) -> Vec<Var>,
) -> Vec<Var> {
    let zero = cx.full(&Type::scalar(DType::F32), 0.0);
    let zeros: Vec<Var> = std::iter::once(zero).chain(kinds.iter().map(|p| p.full_like(0.0))).collect();
    let n = zeros.len();
    match how {
        None | Some(Accumulator::Plain) => {
            let init: Vec<&Var> = zeros.iter().collect();
            let (sums, _) = cx.scan(&init, &[ids, labels], false, |carry, x| {
                let made = each(carry[0].cx(), &x[0], &x[1]);
                (carry.iter().zip(&made).map(|(a, g)| a + g).collect(), vec![])
            });
            sums
        }
        Some(Accumulator::Compensated | Accumulator::Wider) => {
            let init: Vec<&Var> = zeros.iter().chain(&zeros).collect();
            let (sums, _) = cx.scan(&init, &[ids, labels], false, |carry, x| {
                let made = each(carry[0].cx(), &x[0], &x[1]);
                let (mut highs, mut lows) = (vec![], vec![]);
                for ((high, low), g) in carry[..n].iter().zip(&carry[n..]).zip(&made) {
                    let (s, lost) = two_sum(high, g);
                    highs.push(s);
                    lows.push(low + &lost);
                }
                (highs.into_iter().chain(lows).collect(), vec![])
            });
            sums[..n].iter().zip(&sums[n..]).map(|(high, low)| high + low).collect()
        }
        Some(Accumulator::Pairwise | Accumulator::Exact | Accumulator::F80 | Accumulator::F128) => {
            // The loss is carried, so that there is something that the steps hand on.
            let (_, stacked) = cx.scan(&[&zeros[0]], &[ids, labels], false, |carry, x| {
                let made = each(carry[0].cx(), &x[0], &x[1]);
                (vec![&carry[0] + &made[0]], made)
            });
            stacked.iter().map(|g| reduce(g, &[0], how)).collect()
        }
    }
}
