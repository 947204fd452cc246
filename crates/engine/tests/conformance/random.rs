//! Random graphs: mixed elementwise ops, broadcasts, rearrangements, reductions and products, with random outputs, taps,
//! in-place updates and early results.

use crate::cases::{Case, Maker, Random, dims};
use crate::memory::check_updates;
use crate::support::check;
use axes::DType;
use graph::Var;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Largest number of elements of a value.
const MOST: usize = 3000;

fn shape(v: &Var) -> Vec<usize> {
    v.ty().fixed_shape().unwrap_or_default()
}

/// A shape that the elements of `v` can also take.
fn reshaped(r: &mut Random, v: &Var) -> Vec<usize> {
    let mut sizes = shape(v);
    match r.below(3) {
        0 => vec![sizes.iter().product()],
        1 if sizes.len() > 1 => {
            let at = r.below(sizes.len() - 1);
            let next = sizes.remove(at + 1);
            sizes[at] *= next;
            sizes
        }
        _ => {
            let at = r.below(sizes.len() + 1);
            sizes.insert(at, 1);
            sizes
        }
    }
}

/// One more value from what there is.
fn grow(m: &mut Maker, pool: &[Var]) -> Var {
    let r = &mut m.random;
    let x = r.of(pool);
    let s = shape(&x);
    let rank = s.len();
    let same: Vec<Var> = pool.iter().filter(|v| v.ty() == x.ty()).cloned().collect();
    let y = r.of(&same);
    match r.below(27) {
        0 => x.tanh(),
        1 => x.silu(),
        2 => x.sigmoid(),
        3 => (&x * 0.5).exp(),
        4 => x.abs().sqrt(),
        5 => x.sin(),
        6 | 7 => &x * 0.5 + &y,
        8 => &x * &y,
        9 => &x / &(y.square() + 1.0),
        10 => x.max(&y),
        11 => x.relu() - y.cos(),
        12 => {
            // New axes around the old ones.
            let mut wide: Vec<usize> = s.clone();
            let mut map: Vec<usize> = (0..rank).collect();
            for _ in 0..1 + r.below(2) {
                let at = r.below(wide.len() + 1);
                wide.insert(at, 1 + r.below(4));
                map.iter_mut().filter(|k| **k >= at).for_each(|k| *k += 1);
            }
            x.broadcast(&dims(&wide), &map)
        }
        13 => {
            // Onto a shape that exists and ends, or begins, with this one.
            let fits: Vec<(Var, usize)> = pool
                .iter()
                .flat_map(|v| {
                    let w = shape(v);
                    let mut out = vec![];
                    if w.len() > rank && w[w.len() - rank..] == s[..] {
                        out.push((v.clone(), w.len() - rank));
                    }
                    if w.len() > rank && w[..rank] == s[..] {
                        out.push((v.clone(), 0));
                    }
                    out
                })
                .collect();
            match fits.is_empty() {
                true => x.cos(),
                false => {
                    let (v, at) = r.of(&fits);
                    &v - &x.broadcast(&v.shape(), &(at..at + rank).collect::<Vec<_>>())
                }
            }
        }
        14 => x.reshape(&dims(&reshaped(r, &x))),
        15 if rank > 1 => {
            let mut perm: Vec<usize> = (0..rank).collect();
            (0..rank).for_each(|i| perm.swap(i, r.below(rank)));
            x.transpose(&perm)
        }
        16 | 17 if rank > 0 => {
            let axis = r.below(rank);
            let from = r.below(s[axis]);
            x.slice_axis(axis, from, from + 1 + r.below(s[axis] - from))
        }
        18 if rank > 0 => {
            let (mut low, mut high) = (vec![0; rank], vec![0; rank]);
            (low[r.below(rank)], high[r.below(rank)]) = (r.below(3), r.below(3));
            x.pad(&dims(&low), &dims(&high), r.of(&[0.0, 0.5]))
        }
        19 if rank > 0 => {
            let axis = r.below(rank);
            Var::concatenate(&[&x, &y], axis)
        }
        20 | 21 if rank > 0 => {
            let axes: Vec<usize> = (0..rank).filter(|_| r.below(2) == 0).collect();
            let axes = if axes.is_empty() { vec![r.below(rank)] } else { axes };
            match r.below(4) {
                0 => x.max_over(&axes),
                1 => x.min_over(&axes),
                _ => x.sum(&axes) * 0.25,
            }
        }
        22 if rank > 0 => {
            let axis = r.below(rank);
            let mates: Vec<(Var, usize)> = pool
                .iter()
                .flat_map(|v| {
                    shape(v).into_iter().enumerate().map(|(a, n)| (v.clone(), a, n)).collect::<Vec<_>>()
                })
                .filter(|(_, _, n)| *n == s[axis])
                .map(|(v, a, _)| (v, a))
                .collect();
            let (v, a) = r.of(&mates);
            let batch: Vec<(usize, usize)> = (0..rank)
                .filter(|b| *b != axis)
                .flat_map(|b| {
                    let w = shape(&v);
                    let fits = (0..w.len()).find(|c| *c != a && w[*c] == s[b]);
                    fits.map(|c| (b, c))
                })
                .take(r.below(2))
                .collect();
            let (lb, rb): (Vec<usize>, Vec<usize>) = batch.into_iter().unzip();
            x.dot_general(&v, (&[axis], &[a]), (&lb, &rb)) * 0.3
        }
        23 if rank > 0 => x.reverse(r.below(rank)),
        // Sums of products along the last axes.
        24 if rank > 0 => (&x * &y).sum(&(r.below(rank)..rank).collect::<Vec<_>>()) * 0.25,
        25 if rank > 0 && s[rank - 1] > 1 => {
            // Two parts of the last axis, and the gradient that puts them together again.
            let half = s[rank - 1] / 2;
            let (a, b) = (x.slice_axis(rank - 1, 0, half), x.slice_axis(rank - 1, half, s[rank - 1]));
            let zero =
                |n: usize| dims(&(0..rank).map(|k| if k + 1 == rank { n } else { 0 }).collect::<Vec<_>>());
            let (a, b) = (a.tanh(), b.sin());
            a.pad(&zero(0), &zero(s[rank - 1] - half), 0.0) + b.pad(&zero(half), &zero(0), 0.0)
        }
        26 if rank > 0 => {
            let d = s[rank - 1];
            let weights: Vec<Var> = pool.iter().filter(|v| shape(v) == [d]).cloned().collect();
            match weights.is_empty() {
                true => x.softmax_last(),
                false => x.rms_norm(&r.of(&weights), 0.5),
            }
        }
        _ => {
            // A choice that hangs on given numbers, so that rounding cannot turn it.
            let first = pool[0].clone();
            let pick = first.gt(&first.full_like(0.1));
            pick.select(&first, &(&first * 0.25))
        }
    }
}

/// `n` steps from a handful of inputs.
fn steps(m: &mut Maker, n: usize) -> Vec<Var> {
    let mut pool: Vec<Var> = [&[4, 18][..], &[4, 18], &[18], &[3, 4, 18], &[2, 3, 4], &[1, 5], &[]]
        .iter()
        .map(|s| m.f(s))
        .collect();
    pool.push(m.cx.array(DType::F32, &[3], &[0.5, -1.0, 0.25]));
    let keep = pool.len();
    while pool.len() < n + keep {
        let cx = m.cx.clone();
        let made = cx.scope(&format!("part.{}", pool.len() / 7), || grow(m, &pool));
        let fits = made.ty().elements().is_some_and(|e| e > 0 && e <= MOST) && made.ty().rank() <= 5;
        let instead = m.random.of(&pool);
        pool.push(if fits { made } else { instead.tanh() });
    }
    pool
}

/// A graph of `n` steps with outputs and taps drawn at random.
fn build(seed: u64, n: usize) -> Case {
    let mut m = Maker::new(seed);
    let pool = steps(&mut m, n);
    let mut outputs = vec![pool[pool.len() - 1].clone()];
    for _ in 0..1 + m.random.below(5) {
        outputs.push(m.random.of(&pool));
    }
    for k in 0..m.random.below(4) {
        let v = m.random.of(&pool);
        m.cx.tap(&format!("tap.{k}"), &v);
    }
    m.finish(&format!("graph {seed} of {n}"), &outputs)
}

/// The same with an update for most inputs, as outputs `out.0` and on; the other outputs come behind.
fn build_updates(seed: u64, n: usize) -> (Case, Vec<(usize, usize)>) {
    let mut m = Maker::new(seed);
    let pool = steps(&mut m, n);
    let (mut outputs, mut pairs) = (vec![], vec![]);
    for i in 0..m.inputs.len() {
        let same: Vec<Var> = pool.iter().filter(|v| v.ty() == pool[i].ty()).cloned().collect();
        let y = m.random.of(&same);
        let total = m.random.of(&pool).sum_all();
        outputs.push(match m.random.below(8) {
            0 => continue,
            // Any value of the type: another input, a view, something not elementwise.
            1 | 2 => y,
            3 => &y * &total,
            _ => &pool[i] * 0.9 + &y * 0.1,
        });
        pairs.push((i, outputs.len() - 1));
    }
    for _ in 0..1 + m.random.below(4) {
        outputs.push(m.random.of(&pool));
    }
    (m.finish(&format!("updates {seed} of {n}"), &outputs), pairs)
}

/// The same graphs in every run, unless `PROPTEST_RNG_SEED` asks for others.
fn fixed(cases: u32) -> ProptestConfig {
    let given = ProptestConfig::with_cases(cases);
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        seed => seed,
    };
    ProptestConfig { rng_seed, failure_persistence: None, ..given }
}

proptest! {
    #![proptest_config(fixed(160))]

    #[test]
    fn random_graphs_equal_the_interpreter(seed in any::<u64>(), n in 5usize..60) {
        let c = build(seed, n);
        // Sixty ops deep, a rounding may have grown.
        if let Err(e) = check(&c, 1e-4) {
            return Err(TestCaseError::fail(format!("{e}\n{}", c.graph)));
        }
    }

    #[test]
    fn random_in_place_updates_equal_the_interpreter(seed in any::<u64>(), n in 5usize..40) {
        let (c, pairs) = build_updates(seed, n);
        let early: Vec<usize> = (pairs.len()..c.graph.outputs.len()).filter(|o| (seed >> o) & 1 == 1).collect();
        if let Err(e) = check_updates(&c, &pairs, &early, 1e-4) {
            return Err(TestCaseError::fail(format!("{e}\n{}", c.graph)));
        }
    }
}
