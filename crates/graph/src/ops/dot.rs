//! Sums of products over paired axes.

use super::{arity, float};
use crate::array::{Array, ravel, unravel};
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// The axes of a `dot_general`, as its users need them.
pub struct DotAxes {
    /// Contracted axes of the left operand.
    pub lhs_contract: Vec<usize>,
    /// Contracted axes of the right operand.
    pub rhs_contract: Vec<usize>,
    /// Batch axes of the left operand.
    pub lhs_batch: Vec<usize>,
    /// Batch axes of the right operand.
    pub rhs_batch: Vec<usize>,
    /// The left operand's remaining axes.
    pub lhs_free: Vec<usize>,
    /// The right operand's remaining axes.
    pub rhs_free: Vec<usize>,
}

impl DotAxes {
    /// Reads a node's attributes.
    pub fn new(attrs: &Attrs, lhs_rank: usize, rhs_rank: usize) -> DotAxes {
        let (lhs_contract, rhs_contract) = (attrs.ints("lhs_contract"), attrs.ints("rhs_contract"));
        let (lhs_batch, rhs_batch) = (attrs.ints("lhs_batch"), attrs.ints("rhs_batch"));
        let free = |rank: usize, used: [&Vec<usize>; 2]| {
            (0..rank).filter(|a| !used.iter().any(|u| u.contains(a))).collect::<Vec<_>>()
        };
        DotAxes {
            lhs_free: free(lhs_rank, [&lhs_contract, &lhs_batch]),
            rhs_free: free(rhs_rank, [&rhs_contract, &rhs_batch]),
            lhs_contract,
            rhs_contract,
            lhs_batch,
            rhs_batch,
        }
    }
}

/// Result axes: batch, the left operand's free axes, the right operand's free axes.
pub struct DotGeneral;
impl OpDef for DotGeneral {
    const NAME: &'static str = "dot_general";
    const ATTRS: &'static [&'static str] =
        &["lhs_contract", "rhs_contract", "lhs_batch", "rhs_batch", "accumulator"];
    const CLASS: Class = Class::Contract;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        float(inputs, 0)?;
        super::reduce::accumulator(attrs)?;
        if inputs[0].dtype != inputs[1].dtype {
            return Err(format!("the operands' dtypes differ: {} and {}", inputs[0], inputs[1]));
        }
        let d = DotAxes::new(attrs, inputs[0].rank(), inputs[1].rank());
        let pairs = d.lhs_contract.iter().zip(&d.rhs_contract).chain(d.lhs_batch.iter().zip(&d.rhs_batch));
        if d.lhs_contract.len() != d.rhs_contract.len() || d.lhs_batch.len() != d.rhs_batch.len() {
            return Err("contracted and batch axes must come in pairs".into());
        }
        for used in [[&d.lhs_contract, &d.lhs_batch], [&d.rhs_contract, &d.rhs_batch]] {
            let mut axes: Vec<usize> = used.into_iter().flatten().copied().collect();
            axes.sort_unstable();
            if axes.windows(2).any(|w| w[0] == w[1]) {
                return Err(format!("an axis of {axes:?} is used twice"));
            }
        }
        for (l, r) in pairs {
            match (inputs[0].shape.get(*l), inputs[1].shape.get(*r)) {
                (Some(a), Some(b)) if a == b => {}
                _ => {
                    return Err(format!(
                        "axis {l} of {} is paired with axis {r} of {}",
                        inputs[0], inputs[1]
                    ));
                }
            }
        }
        let left = d.lhs_batch.iter().chain(&d.lhs_free).map(|a| inputs[0].shape[*a].clone());
        let right = d.rhs_free.iter().map(|a| inputs[1].shape[*a].clone());
        Ok(vec![Type { dtype: inputs[0].dtype, shape: left.chain(right).collect() }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (a, b) = (&i[0], &i[1]);
        let d = DotAxes::new(attrs, a.shape.len(), b.shape.len());
        let sizes = |x: &Array<S>, axes: &[usize]| axes.iter().map(|k| x.shape[*k]).collect::<Vec<_>>();
        let (nb, nl, nr) = (sizes(a, &d.lhs_batch), sizes(a, &d.lhs_free), sizes(b, &d.rhs_free));
        let nk = sizes(a, &d.lhs_contract);
        let shape: Vec<usize> = nb.iter().chain(&nl).chain(&nr).copied().collect();
        let total: usize = shape.iter().product();
        let inner: usize = nk.iter().product();
        // Positions along the contracted axes are the same for every result element.
        let step = |x: &Array<S>, axes: &[usize]| -> Vec<usize> {
            (0..inner)
                .map(|k| {
                    let index = unravel(k, &nk);
                    let mut at = vec![0; x.shape.len()];
                    axes.iter().zip(&index).for_each(|(ax, v)| at[*ax] = *v);
                    ravel(&at, &x.shape)
                })
                .collect()
        };
        let (steps_a, steps_b) = (step(a, &d.lhs_contract), step(b, &d.rhs_contract));
        let (left, right) = (a.floats(), b.floats());
        let how = cx.accumulator(attrs)?;
        let mut out = Vec::with_capacity(total);
        for o in 0..total {
            let index = unravel(o, &shape);
            let (ib, rest) = index.split_at(nb.len());
            let (il, ir) = rest.split_at(nl.len());
            let (mut at_a, mut at_b) = (vec![0; a.shape.len()], vec![0; b.shape.len()]);
            d.lhs_batch.iter().zip(ib).for_each(|(ax, v)| at_a[*ax] = *v);
            d.rhs_batch.iter().zip(ib).for_each(|(ax, v)| at_b[*ax] = *v);
            d.lhs_free.iter().zip(il).for_each(|(ax, v)| at_a[*ax] = *v);
            d.rhs_free.iter().zip(ir).for_each(|(ax, v)| at_b[*ax] = *v);
            let (base_a, base_b) = (ravel(&at_a, &a.shape), ravel(&at_b, &b.shape));
            if let Some(how) = how {
                let row = |v: &[S], base: usize, steps: &[usize]| -> Vec<S> {
                    steps.iter().map(|k| v[base + k].clone()).collect()
                };
                out.push(S::dot_in(how, &row(left, base_a, &steps_a), &row(right, base_b, &steps_b)));
                continue;
            }
            let mut sum = S::from_f64(0.0);
            for k in 0..inner {
                sum = sum + left[base_a + steps_a[k]].clone() * right[base_b + steps_b[k]].clone();
            }
            out.push(sum);
        }
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        let again = |a: &Var, b: &Var| {
            let g = |k: &str| n.attrs.ints(k);
            let (lc, rc, lb, rb) = (g("lhs_contract"), g("rhs_contract"), g("lhs_batch"), g("rhs_batch"));
            a.dot_general(b, (&lc, &rc), (&lb, &rb))
        };
        Some(vec![super::plus(
            t[0].as_ref().map(|a| again(a, &n.inputs[1])),
            t[1].as_ref().map(|b| again(&n.inputs[0], b)),
        )])
    }
    fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        if linear[0] && linear[1] {
            return None;
        }
        let Some(ct) = &ct[0] else { return Some(vec![None, None]) };
        let (ra, rb) = (n.inputs[0].ty().rank(), n.inputs[1].ty().rank());
        let d = DotAxes::new(n.attrs, ra, rb);
        let nb = d.lhs_batch.len();
        let ct_batch: Vec<usize> = (0..nb).collect();
        let ct_left: Vec<usize> = (nb..nb + d.lhs_free.len()).collect();
        let ct_right: Vec<usize> =
            (nb + d.lhs_free.len()..nb + d.lhs_free.len() + d.rhs_free.len()).collect();
        // A dot of two factors lays its result out as (batch, free of first, free of second); `order` says which
        // axis of the wanted operand each of those is.
        let arrange = |y: Var, order: Vec<usize>| {
            let mut perm = vec![0; order.len()];
            order.iter().enumerate().for_each(|(i, o)| perm[*o] = i);
            y.transpose(&perm)
        };
        let left = linear[0].then(|| {
            // The contracted axes come out in the order in which the right operand has them.
            let mut pairs: Vec<_> = d.rhs_contract.iter().zip(&d.lhs_contract).collect();
            pairs.sort();
            let y = ct.dot_general(&n.inputs[1], (&ct_right, &d.rhs_free), (&ct_batch, &d.rhs_batch));
            let order =
                d.lhs_batch.iter().chain(&d.lhs_free).chain(pairs.iter().map(|p| p.1)).copied().collect();
            arrange(y, order)
        });
        let right = linear[1].then(|| {
            // Written as ct^T x so that a weight's gradient comes out (out, in) with no transposition.
            let mut pairs: Vec<_> = d.lhs_contract.iter().zip(&d.rhs_contract).collect();
            pairs.sort();
            let y = ct.dot_general(&n.inputs[0], (&ct_left, &d.lhs_free), (&ct_batch, &d.lhs_batch));
            let order =
                d.rhs_batch.iter().chain(&d.rhs_free).chain(pairs.iter().map(|p| p.1)).copied().collect();
            arrange(y, order)
        });
        Some(vec![left, right])
    }
    fn batch(n: &NodeCx, mapped: &[bool], _: &Dim) -> Option<Vec<Var>> {
        let up = |key: &str, mapped: bool| -> Vec<usize> {
            n.attrs.ints(key).into_iter().map(|a| a + usize::from(mapped)).collect()
        };
        let (lc, rc) = (up("lhs_contract", mapped[0]), up("rhs_contract", mapped[1]));
        let (mut lb, mut rb) = (up("lhs_batch", mapped[0]), up("rhs_batch", mapped[1]));
        let nb = lb.len();
        if mapped[0] && mapped[1] {
            lb.insert(0, 0);
            rb.insert(0, 0);
        }
        let left_free = n.inputs[0].ty().rank() - lc.len() - lb.len();
        let y = n.inputs[0].dot_general(&n.inputs[1], (&lc, &rc), (&lb, &rb));
        // The new axis is the first free one of the operand that has it.
        Some(vec![match mapped {
            [true, false] => super::move_axis(&y, nb, 0),
            [false, true] => super::move_axis(&y, nb + left_free, 0),
            _ => y,
        }])
    }
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        let (a, b) = (&n.inputs[0], &n.inputs[1]);
        Some(vec![super::taylor::bilinear((a, &s[0]), (b, &s[1]), |a, b| {
            n.cx.push1(crate::Op::DotGeneral, n.attrs.clone(), &[a, b])
        })])
    }
    fn cost(attrs: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let d = DotAxes::new(attrs, inputs[0].rank(), inputs[1].rank());
        let k: f64 = d.lhs_contract.iter().map(|a| inputs[0].shape[*a].fixed().unwrap_or(0) as f64).product();
        Cost { operations: 2.0 * k * elements(out), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}
