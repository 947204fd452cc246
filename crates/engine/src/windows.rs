//! Sliding windows as strided copies: one copy per element of a window moves that element of every window that has it, and
//! the transpose adds the same elements back.

use crate::copy::{Copy, Layout};
use crate::pool::Pool;
use graph::Node;
use graph::array::{strides, unravel};
use graph::ops::windows::Geometry;

/// More elements per window than this are left to the plain loop: there is a copy for each.
const MOST: usize = 4096;

/// One element of the windows: the windows that stand on an element of the operand with it.
struct Tap {
    /// How many windows along each axis.
    count: Vec<usize>,
    /// The first of them, in the space.
    narrow: usize,
    /// The first of them, among the windows laid out.
    wide: usize,
}

/// The elements of a window in order, for sizes of the space and numbers of windows.
fn taps(g: &Geometry, space: &[usize], counts: &[usize]) -> Vec<Tap> {
    let (d, own) = (g.rank(), strides(space));
    let laid = strides(&[&g.kernel[..], counts].concat());
    (0..g.kernel.iter().product())
        .map(|i| {
            let tap = unravel(i, &g.kernel);
            let mut t = Tap { count: vec![], narrow: 0, wide: 0 };
            for k in 0..d {
                let ahead = tap[k] * g.dilation[k];
                let first = g.low[k].saturating_sub(ahead).div_ceil(g.stride[k]);
                // Windows up to the last whose element stands before the end of the axis.
                let end = (space[k] + g.low[k]).saturating_sub(ahead).div_ceil(g.stride[k]).min(counts[k]);
                t.count.push(end.saturating_sub(first));
                t.wide += tap[k] * laid[k] + first * laid[d + k];
                t.narrow += (first * g.stride[k] + ahead).saturating_sub(g.low[k]) * own[k];
            }
            t
        })
        .collect()
}

fn signed(s: &[usize]) -> impl Iterator<Item = isize> + '_ {
    s.iter().map(|s| *s as isize)
}

/// The copies that lay the windows of a value of sizes `from` out in one of sizes `to`, which holds zeros.
pub(crate) fn copies(n: &Node, from: &[usize], to: &[usize]) -> Option<Vec<Copy>> {
    let g = Geometry::read(&n.attrs);
    let d = g.rank();
    let (lead, space) = from.split_at(from.len() - d);
    let counts = &to[to.len() - d..];
    if g.kernel.iter().product::<usize>() > MOST || space.contains(&0) {
        return None;
    }
    let (own, laid) = (strides(from), strides(to));
    let steps: Vec<usize> = own[lead.len()..].iter().zip(&g.stride).map(|(o, s)| o * s).collect();
    let each = taps(&g, space, counts).into_iter().filter(|t| !t.count.contains(&0)).map(|t| {
        let dims = [lead, &t.count].concat();
        let source = signed(&own[..lead.len()]).chain(signed(&steps)).collect();
        let target = signed(&laid[..lead.len()]).chain(signed(&laid[laid.len() - d..])).collect();
        Copy::new(
            &dims,
            Layout { offset: t.narrow, strides: source },
            Layout { offset: t.wide, strides: target },
        )
    });
    Some(each.collect())
}

/// Windows of f32 added back to where they stood.
pub(crate) struct AddWindows {
    taps: Vec<Tap>,
    /// From one window to the next, in the space.
    steps: Vec<usize>,
    /// From one window to the next, laid out.
    laid: Vec<usize>,
    narrow: usize,
    wide: usize,
}

impl AddWindows {
    pub(crate) fn new(n: &Node, from: &[usize], to: &[usize]) -> Option<AddWindows> {
        let g = Geometry::read(&n.attrs);
        let d = g.rank();
        let (space, counts) = (&to[to.len() - d..], &from[from.len() - d..]);
        if d == 0 || g.kernel.iter().product::<usize>() > MOST {
            return None;
        }
        Some(AddWindows {
            taps: taps(&g, space, counts),
            steps: strides(space).iter().zip(&g.stride).map(|(o, s)| o * s).collect(),
            laid: strides(counts),
            narrow: space.iter().product(),
            wide: g.kernel.iter().chain(counts).product(),
        })
    }

    /// Each element of the result takes what is added to it in the order of the window's elements, as the plain loop does.
    pub(crate) fn run(&self, pool: &Pool, x: &[f32], out: &mut [f32]) {
        if self.narrow == 0 {
            return;
        }
        pool.chunks(out, self.narrow, |i, out| {
            out.fill(0.0);
            let x = &x[i * self.wide..(i + 1) * self.wide];
            for t in self.taps.iter().filter(|t| !t.count.contains(&0)) {
                add(&t.count, &x[t.wide..], &self.laid, &mut out[t.narrow..], &self.steps);
            }
        });
    }
}

/// out += x over `count` elements along each axis.
fn add(count: &[usize], x: &[f32], from: &[usize], out: &mut [f32], to: &[usize]) {
    match (count, to) {
        ([n], [1]) => out[..*n].iter_mut().zip(x).for_each(|(o, x)| *o += x),
        ([n], [step]) => out.iter_mut().step_by(*step).zip(&x[..*n]).for_each(|(o, x)| *o += x),
        ([n, rest @ ..], [step, inner @ ..]) => {
            (0..*n).for_each(|i| add(rest, &x[i * from[0]..], &from[1..], &mut out[i * step..], inner));
        }
        _ => {}
    }
}
