//! Sliding windows over the last axes: `windows` lays every window out, `windows_add` is its transpose.
//!
//! Convolutions and pools are products and reductions over windows (the im2col form of Chellapilla et al. 2006), so these two
//! linear ops are all that their derivatives need.

use super::{arity, float};
use crate::array::{Array, ravel, unravel};
use crate::attrs::{Attr, Attrs};
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// How windows lie over the last axes of a value, one number per axis each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Elements of a window.
    pub kernel: Vec<usize>,
    /// From one window to the next.
    pub stride: Vec<usize>,
    /// From one element of a window to the next.
    pub dilation: Vec<usize>,
    /// Zeros before the axis.
    pub low: Vec<usize>,
    /// Zeros after the axis.
    pub high: Vec<usize>,
}

impl Geometry {
    /// The attributes that every op of this kind takes.
    pub const ATTRS: [&'static str; 5] = ["kernel", "stride", "dilation", "low", "high"];

    /// Windows of these sizes, one element apart, without zeros around.
    pub fn new(kernel: &[usize]) -> Geometry {
        let (ones, none) = (vec![1; kernel.len()], vec![0; kernel.len()]);
        Geometry {
            kernel: kernel.to_vec(),
            stride: ones.clone(),
            dilation: ones,
            low: none.clone(),
            high: none,
        }
    }

    /// With this stride along every axis.
    pub fn stride(mut self, n: usize) -> Geometry {
        self.stride.fill(n);
        self
    }

    /// With this many zeros on both sides of every axis.
    pub fn padding(mut self, n: usize) -> Geometry {
        self.low.fill(n);
        self.high.fill(n);
        self
    }

    /// With this distance between the elements of a window along every axis.
    pub fn dilation(mut self, n: usize) -> Geometry {
        self.dilation.fill(n);
        self
    }

    /// Reads a node's attributes.
    pub fn read(attrs: &Attrs) -> Geometry {
        let get = |k: &str| attrs.ints(k);
        Geometry {
            kernel: get("kernel"),
            stride: get("stride"),
            dilation: get("dilation"),
            low: get("low"),
            high: get("high"),
        }
    }

    /// The attributes of a node.
    pub fn attrs(&self) -> Attrs {
        let lists = [&self.kernel, &self.stride, &self.dilation, &self.low, &self.high];
        Geometry::ATTRS.into_iter().zip(lists).fold(Attrs::new(), |a, (key, list)| {
            a.with(key, Attr::Ints(list.iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect()))
        })
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// What makes these numbers no windows.
    pub fn check(&self) -> Result<(), String> {
        let lists = [&self.stride, &self.dilation, &self.low, &self.high];
        if lists.iter().any(|l| l.len() != self.rank()) {
            return Err(format!(
                "kernel {:?}, stride {:?}, dilation {:?} and padding {:?}, {:?}: one number per axis",
                self.kernel, self.stride, self.dilation, self.low, self.high
            ));
        }
        // Far beyond any array, and far below where sums of such numbers leave the machine's integers.
        const MOST: usize = 1 << 31;
        let wild = lists.iter().copied().chain([&self.kernel]).flatten().any(|n| *n > MOST);
        match wild || self.kernel.iter().chain(&self.stride).chain(&self.dilation).any(|n| *n == 0) {
            true => Err(format!(
                "kernel {:?}, stride {:?} and dilation {:?} must be at least 1",
                self.kernel, self.stride, self.dilation
            )),
            false => Ok(()),
        }
    }

    /// From the first to the last element of a window along axis `k`.
    fn reach(&self, k: usize) -> usize {
        self.dilation[k].saturating_mul(self.kernel[k] - 1)
    }

    /// How many windows lie along axis `k` of size `n`; a size that is a symbol needs a stride of one.
    pub fn count(&self, k: usize, n: &Dim) -> Result<Dim, String> {
        let (around, reach) = (self.low[k] + self.high[k], self.reach(k));
        match n.fixed() {
            Some(n) => match n.checked_add(around).and_then(|n| n.checked_sub(reach + 1)) {
                Some(rest) => Ok(Dim::from(rest / self.stride[k] + 1)),
                None => Err(format!(
                    "a window that reaches over {} elements does not fit an axis of {n} with {around} around",
                    reach + 1
                )),
            },
            None if self.stride[k] == 1 => Ok(&(n + &Dim::from(around)) - &Dim::from(reach)),
            None => Err(format!("stride {} along an axis of {n}: needs a fixed size", self.stride[k])),
        }
    }

    /// [`Geometry::count`] of every axis.
    pub fn counts(&self, sizes: &[Dim]) -> Result<Vec<Dim>, String> {
        sizes.iter().enumerate().map(|(k, n)| self.count(k, n)).collect()
    }

    /// The element of an axis that element `j` of window `w` stands on; `None` in the zeros around.
    pub fn source(&self, axis: usize, w: usize, j: usize, n: usize) -> Option<usize> {
        (w * self.stride[axis] + j * self.dilation[axis]).checked_sub(self.low[axis]).filter(|p| *p < n)
    }
}

/// (…, S…) → (…, K…, W…): element j of window w along each of the last axes, zero where it stands beside the axis.
pub struct Windows;

/// (…, K…, W…) → (…, S…) of `dims`: every element of every window added to the place where it stood.
pub struct WindowsAdd;

/// Sizes before, and of, the last `d` axes.
fn outer(shape: &[Dim], d: usize) -> (&[Dim], &[Dim]) {
    shape.split_at(shape.len() - d)
}

/// For each position of (K…, W…) the position in (S…).
fn places(g: &Geometry, space: &[usize], counts: &[usize]) -> Vec<Option<usize>> {
    let laid: Vec<usize> = g.kernel.iter().chain(counts).copied().collect();
    let d = g.rank();
    (0..laid.iter().product())
        .map(|i| {
            let index = unravel(i, &laid);
            let at: Option<Vec<usize>> =
                (0..d).map(|k| g.source(k, index[d + k], index[k], space[k])).collect();
            at.map(|at| ravel(&at, space))
        })
        .collect()
}

impl OpDef for Windows {
    const NAME: &'static str = "windows";
    const ATTRS: &'static [&'static str] = &Geometry::ATTRS;
    // Not `Shape`: one number repeated does not stay so where zeros or sums come in.
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        let g = Geometry::read(attrs);
        g.check()?;
        if inputs[0].rank() < g.rank() {
            return Err(format!("windows over {} axes of {}", g.rank(), inputs[0]));
        }
        let (lead, space) = outer(&inputs[0].shape, g.rank());
        let kernel = g.kernel.iter().map(|k| Dim::from(*k));
        let shape = lead.iter().cloned().chain(kernel).chain(g.counts(space)?).collect();
        Ok(vec![Type { dtype: inputs[0].dtype, shape }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (g, shape) = (Geometry::read(attrs), super::shape::bind(cx, &types[0])?);
        let (d, rank) = (g.rank(), i[0].shape.len());
        let space = &i[0].shape[rank - d..];
        let from = places(&g, space, &shape[shape.len() - d..]);
        let (wide, narrow) = (from.len().max(1), space.iter().product::<usize>());
        Ok(vec![i[0].pick(shape, 0.0, |k| from[k % wide].map(|p| k / wide * narrow + p))])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[0].as_ref().map(|t| t.windows(&Geometry::read(n.attrs)))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let (g, shape) = (Geometry::read(n.attrs), n.inputs[0].shape());
        Some(vec![ct[0].as_ref().map(|c| c.windows_add(&g, outer(&shape, g.rank()).1))])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(Op::Windows, n.attrs.clone(), &[&n.inputs[0]]))
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost { bytes: bytes(inputs) + bytes(out), ..Cost::default() }
    }
}

impl OpDef for WindowsAdd {
    const NAME: &'static str = "windows_add";
    const ATTRS: &'static [&'static str] = &["kernel", "stride", "dilation", "low", "high", "dims"];
    const CLASS: Class = Class::Index;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        float(inputs, 0)?;
        let (g, dims) = (Geometry::read(attrs), attrs.dims("dims"));
        g.check()?;
        let d = g.rank();
        let expected: Vec<Dim> = g.kernel.iter().map(|k| Dim::from(*k)).chain(g.counts(&dims)?).collect();
        let fits =
            dims.len() == d && inputs[0].rank() >= 2 * d && outer(&inputs[0].shape, 2 * d).1 == expected;
        if !fits {
            return Err(format!("{} does not end with the windows {expected:?} of {dims:?}", inputs[0]));
        }
        let shape = outer(&inputs[0].shape, 2 * d).0.iter().cloned().chain(dims).collect();
        Ok(vec![Type { dtype: inputs[0].dtype, shape }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (g, shape) = (Geometry::read(attrs), super::shape::bind(cx, &types[0])?);
        let d = g.rank();
        let space = &shape[shape.len() - d..];
        let to = places(&g, space, &i[0].shape[i[0].shape.len() - d..]);
        let (wide, narrow) = (to.len().max(1), space.iter().product::<usize>());
        let mut out = vec![S::from_f64(0.0); shape.iter().product()];
        for (k, x) in i[0].floats().iter().enumerate() {
            if let Some(p) = to[k % wide] {
                let at = k / wide * narrow + p;
                out[at] = out[at].clone() + x.clone();
            }
        }
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        let (g, dims) = (Geometry::read(n.attrs), n.attrs.dims("dims"));
        Some(vec![t[0].as_ref().map(|t| t.windows_add(&g, &dims))])
    }
    fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![ct[0].as_ref().map(|c| c.windows(&Geometry::read(n.attrs)))])
    }
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(Op::WindowsAdd, n.attrs.clone(), &[&n.inputs[0]]))
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost { operations: elements(inputs), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

impl Var {
    /// Windows over the last axes: (…, S…) → (…, K…, W…).
    #[track_caller]
    pub fn windows(&self, g: &Geometry) -> Var {
        self.cx.push1(Op::Windows, g.attrs(), &[self])
    }
    /// The transpose of [`Var::windows`]: (…, K…, W…) → (…, S…), overlapping elements added.
    #[track_caller]
    pub fn windows_add(&self, g: &Geometry, space: &[Dim]) -> Var {
        self.cx.push1(Op::WindowsAdd, g.attrs().with("dims", Attr::Dims(space.to_vec())), &[self])
    }
}
