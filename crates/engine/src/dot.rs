//! `dot_general` as matrix products: which strides describe the factors, and which factors must be laid out anew first.
#![allow(unsafe_code)]

use crate::copy::{Copy, Layout};
use crate::kernels::gemm::{MatMut, MatRef, gemm_parallel};
use crate::kernels::sums;
use crate::pool::Pool;
use graph::array::strides;
use graph::ops::dot::DotAxes;
use graph::{Accumulator, Node};

/// One factor: an offset per product of the batch, and two strides.
pub(crate) struct Factor {
    offsets: Vec<usize>,
    /// Along the axes that stay.
    pub free: usize,
    /// Along the contracted axes.
    pub contract: usize,
    /// The copy to (batch, free, contracted), where no strides describe the factor as it lies.
    pack: Option<(Copy, usize)>,
}

/// A product ready to run.
pub(crate) struct Dot {
    m: usize,
    n: usize,
    k: usize,
    a: Factor,
    b: Factor,
    /// Where the product is made column by column: the copy of its (batch, n, m) to (batch, m, n), and its elements.
    turned: Option<(Copy, usize)>,
    /// Sums row by row in an accumulator that the node names.
    how: Option<Accumulator>,
}

/// Rows of the left factor from which on it pays to lay the right one out anew.
const MANY: usize = 48;
/// Whether (m, k) times weights that lie as (n, k) is made column by column, with the left factor and the product turned
/// instead of the weights. Against the better of the two other ways on a Zen 5, one thread: (64, 512) x (512, 512) 151
/// against 229 us, (64, 1024) x (1024, 4096) 2.4 against 5.9 ms, (16, 2048) x (2048, 8192) 4.6 against 21.5 ms; what
/// is excluded here lost up to 30 %, and by far where the product is narrow, for which the crate has kernels.
fn by_output(m: usize, n: usize, k: usize) -> bool {
    let rows = if k < 256 { 8..=256 } else { 3..=256 };
    let (turned, weights) = (m.saturating_mul(n.saturating_add(k)), n.saturating_mul(k));
    rows.contains(&m) && n >= 128 && k >= 128 && weights >= 1 << 16 && turned / 3 <= weights / 4
}

/// The stride that one index over several axes has, when there is one.
fn merged(shape: &[usize], strides: &[usize], axes: &[usize]) -> Option<usize> {
    let axes: Vec<usize> = axes.iter().copied().filter(|a| shape[*a] != 1).collect();
    let fits = axes.windows(2).all(|w| strides[w[0]] == strides[w[1]] * shape[w[1]]);
    fits.then(|| axes.last().map_or(1, |a| strides[*a]))
}

pub(crate) fn product(shape: &[usize], axes: &[usize]) -> usize {
    axes.iter().map(|a| shape[*a]).product()
}

impl Factor {
    pub(crate) fn new(shape: &[usize], batch: &[usize], free: &[usize], contract: &[usize]) -> Factor {
        Factor::lying(shape, batch, free, contract, false)
    }

    /// As [`Factor::new`]; with `rows`, contracted axes lie side by side.
    fn lying(shape: &[usize], batch: &[usize], free: &[usize], contract: &[usize], rows: bool) -> Factor {
        let own = strides(shape);
        let count = product(shape, batch);
        let strides_of = |axes: &[usize]| merged(shape, &own, axes);
        let lies = |c: &usize| !rows || *c == 1 || product(shape, contract) == 1;
        if let (Some(f), Some(c)) = (strides_of(free), strides_of(contract).filter(lies)) {
            let sizes: Vec<usize> = batch.iter().map(|a| shape[*a]).collect();
            let offsets = (0..count).map(|i| {
                let index = graph::array::unravel(i, &sizes);
                index.iter().zip(batch).map(|(i, a)| i * own[*a]).sum()
            });
            return Factor { offsets: offsets.collect(), free: f, contract: c, pack: None };
        }
        Factor { free: product(shape, contract), contract: 1, ..Factor::packed(shape, batch, free, contract) }
    }

    /// A copy whose free axes lie innermost. The crate packs a factor for every tile of the output, and where the contracted
    /// axis is the inner one its packing takes as long as the products: 9.6 ms against 6.3 for (2048, 256) x (256, 1408) on
    /// a Zen 5.
    fn by_columns(shape: &[usize], batch: &[usize], free: &[usize], contract: &[usize]) -> Factor {
        Factor { free: 1, contract: product(shape, free), ..Factor::packed(shape, batch, contract, free) }
    }

    /// The copy to (batch, outer, inner).
    fn packed(shape: &[usize], batch: &[usize], outer: &[usize], inner: &[usize]) -> Factor {
        let own = strides(shape);
        let count = product(shape, batch);
        let order: Vec<usize> = batch.iter().chain(outer).chain(inner).copied().collect();
        let dims: Vec<usize> = order.iter().map(|a| shape[*a]).collect();
        let plain = |s: Vec<usize>| s.into_iter().map(|s| s as isize).collect();
        let from = Layout { offset: 0, strides: order.iter().map(|a| own[*a] as isize).collect() };
        let to = Layout { offset: 0, strides: plain(strides(&dims)) };
        let size = product(shape, outer) * product(shape, inner);
        Factor {
            offsets: (0..count).map(|i| i * size).collect(),
            free: 1,
            contract: 1,
            pack: Some((Copy::new(&dims, from, to), size * count)),
        }
    }

    pub(crate) fn scratch(&self) -> usize {
        self.pack.as_ref().map_or(0, |p| p.1)
    }

    /// The factor's elements, laid out anew in `scratch` where that is needed.
    pub(crate) fn elements<'a>(&self, x: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
        match &self.pack {
            None => x,
            Some((copy, len)) => {
                let target = &mut scratch[..*len];
                // SAFETY: the copy was made for the shape of `x` and a dense target of `len` elements.
                unsafe { copy.run(4, x.as_ptr().cast(), target.as_mut_ptr().cast()) };
                target
            }
        }
    }
}

impl Dot {
    pub(crate) fn new(n: &Node, sa: &[usize], sb: &[usize]) -> Dot {
        let mut d = DotAxes::new(&n.attrs, sa.len(), sb.len());
        let how = n.attrs.str("accumulator").parse().ok();
        if how.is_some() {
            // In the node's own order of the contracted pairs, which is the order of the terms.
            return Dot {
                m: product(sa, &d.lhs_free),
                n: product(sb, &d.rhs_free),
                k: product(sa, &d.lhs_contract),
                a: Factor::lying(sa, &d.lhs_batch, &d.lhs_free, &d.lhs_contract, true),
                b: Factor::lying(sb, &d.rhs_batch, &d.rhs_free, &d.rhs_contract, true),
                turned: None,
                how,
            };
        }
        // The order of the contracted pairs is free: the left factor's own.
        let mut pairs: Vec<(usize, usize)> = d.lhs_contract.iter().copied().zip(d.rhs_contract).collect();
        pairs.sort_unstable();
        (d.lhs_contract, d.rhs_contract) = pairs.into_iter().unzip();
        let (m, n, k) = (product(sa, &d.lhs_free), product(sb, &d.rhs_free), product(sa, &d.lhs_contract));
        let mut a = Factor::new(sa, &d.lhs_batch, &d.lhs_free, &d.lhs_contract);
        let mut b = Factor::new(sb, &d.rhs_batch, &d.rhs_free, &d.rhs_contract);
        let mut turned = None;
        if b.contract == 1 && b.free != 1 && n >= 16 && k >= 16 {
            if by_output(m, n, k) {
                // Few rows times weights: the left factor and the product are turned, which are smaller than the weights.
                if a.free != 1 {
                    a = Factor::by_columns(sa, &d.lhs_batch, &d.lhs_free, &d.lhs_contract);
                }
                let count = product(sa, &d.lhs_batch);
                let layout =
                    |strides: [usize; 3]| Layout { offset: 0, strides: strides.map(|s| s as isize).to_vec() };
                let back = Copy::new(&[count, m, n], layout([m * n, 1, m]), layout([m * n, n, 1]));
                turned = Some((back, count * m * n));
            } else if m >= MANY {
                b = Factor::by_columns(sb, &d.rhs_batch, &d.rhs_free, &d.rhs_contract);
            }
        }
        Dot { m, n, k, a, b, turned, how }
    }

    /// Elements of scratch.
    pub(crate) fn scratch(&self) -> usize {
        self.a.scratch() + self.b.scratch() + self.turned.as_ref().map_or(0, |t| t.1)
    }

    /// c (batch, m, n) = a b.
    pub(crate) fn run(&self, pool: &Pool, a: &[f32], b: &[f32], c: &mut [f32], scratch: &mut [f32]) {
        if c.is_empty() {
            return;
        }
        if self.k == 0 {
            c.fill(0.0);
            return;
        }
        let (left, rest) = scratch.split_at_mut(self.a.scratch());
        let (right, rest) = rest.split_at_mut(self.b.scratch());
        let (a, b) = (self.a.elements(a, left), self.b.elements(b, right));
        if let Some(how) = self.how {
            pool.chunks(c, self.n, |row, c| {
                let (i, row) = (row / self.m, row % self.m);
                let a = &a[self.a.offsets[i] + row * self.a.free..][..self.k];
                sums::dot_row(how, a, &b[self.b.offsets[i]..], self.b.free, c);
            });
            return;
        }
        let product = |i: usize, c: MatMut<'_, f32>| {
            let (a, b) = (&a[self.a.offsets[i]..], &b[self.b.offsets[i]..]);
            let lhs = MatRef::with_strides(a, self.m, self.k, self.a.free, self.a.contract);
            let rhs = MatRef::with_strides(b, self.k, self.n, self.b.contract, self.b.free);
            gemm_parallel(pool, 1.0, lhs, rhs, 0.0, c);
        };
        let (m, n) = (self.m, self.n);
        match &self.turned {
            None => pool.chunks(c, m * n, |i, c| product(i, MatMut::row_major(c, m, n))),
            Some((back, len)) => {
                let columns = &mut rest[..*len];
                pool.chunks(columns, m * n, |i, c| product(i, MatMut::with_strides(c, m, n, 1, m)));
                // SAFETY: the copy was made for `len` elements on both sides.
                unsafe { back.run(4, columns.as_ptr().cast(), c.as_mut_ptr().cast()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axes::DType;
    use graph::{Cx, Type};

    /// The product of x (m, k) and weights (n, k) as the engine would run it.
    fn linear(m: usize, n: usize, k: usize) -> Dot {
        let cx = Cx::abstract_();
        let x = cx.input("x", Type::new(DType::F32, [m, k]));
        let w = cx.input("w", Type::new(DType::F32, [n, k]));
        let d = x.linear(&w);
        let g = cx.finish(&[("d", &d)]).unwrap();
        let node = g.nodes.iter().rfind(|n| n.op == graph::Op::DotGeneral).unwrap();
        Dot::new(node, &[m, k], &[n, k])
    }

    fn numbers(len: usize, seed: u32) -> Vec<f32> {
        (0..len as u32)
            .map(|i| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5)
            .collect()
    }

    #[test]
    fn few_rows_times_weights() {
        let pools = [Pool::new(1), Pool::new(3)];
        for (m, n, k) in [(3, 256, 256), (8, 512, 128), (37, 401, 300), (64, 512, 512), (100, 1030, 257)] {
            let (x, w) = (numbers(m * k, 1), numbers(n * k, 2));
            let d = linear(m, n, k);
            assert!(d.turned.is_some(), "{m} x {n} x {k}");
            let [one, three] = pools.each_ref().map(|pool| {
                let (mut y, mut scratch) = (vec![0f32; m * n], vec![0f32; d.scratch()]);
                d.run(pool, &x, &w, &mut y, &mut scratch);
                y
            });
            assert_eq!(one, three, "{m} x {n} x {k}");
            for (at, y) in one.iter().enumerate() {
                let (x, w) = (&x[at / n * k..][..k], &w[at % n * k..][..k]);
                let exact: f64 = x.iter().zip(w).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                assert!((f64::from(*y) - exact).abs() < 2e-6 * k as f64, "{m} x {n} x {k} at {at}");
            }
        }
        assert!(linear(1, 512, 512).turned.is_none() && linear(300, 512, 512).turned.is_none());
    }
}
