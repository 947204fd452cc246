//! Rearranging nodes as strided copies.

use crate::copy::{Copy, Layout};
use crate::instr::sizes;
use graph::{Op, Value};
use premap::Plan;

fn isize_strides(shape: &[usize]) -> Vec<isize> {
    graph::array::strides(shape).into_iter().map(|s| s as isize).collect()
}

/// How a rearranging node copies each operand.
pub(crate) fn moves(plan: &Plan, i: u32) -> Option<(Option<f64>, Vec<(Value, Copy)>)> {
    let n = &plan.graph.nodes[i as usize];
    let from = sizes(plan, *n.inputs.first()?);
    let to = n.types[0].fixed_shape()?;
    let plain = |s: &[usize], offset| Layout { offset, strides: isize_strides(s) };
    let fixed = |key: &str| n.attrs.dims(key).iter().map(|d| d.fixed().unwrap_or(0)).collect::<Vec<_>>();
    let source = n.inputs[0];
    match n.op {
        Op::Identity => Some((None, vec![(source, Copy::new(&to, plain(&to, 0), plain(&to, 0)))])),
        Op::Broadcast => {
            let own = isize_strides(&from);
            let mut strides = vec![0; to.len()];
            n.attrs.ints("map").iter().zip(own).for_each(|(m, s)| strides[*m] = s);
            Some((None, vec![(source, Copy::new(&to, Layout { offset: 0, strides }, plain(&to, 0)))]))
        }
        Op::Transpose => {
            let own = isize_strides(&from);
            let strides = n.attrs.ints("perm").iter().map(|p| own[*p]).collect();
            Some((None, vec![(source, Copy::new(&to, Layout { offset: 0, strides }, plain(&to, 0)))]))
        }
        Op::Slice => {
            let offset = graph::array::ravel(&fixed("start"), &from);
            Some((None, vec![(source, Copy::new(&to, plain(&from, offset), plain(&to, 0)))]))
        }
        Op::Reverse => {
            let axis = n.attrs.int("axis", 0) as usize;
            let mut strides = isize_strides(&from);
            let offset = from[axis].saturating_sub(1) * strides[axis] as usize;
            strides[axis] = -strides[axis];
            Some((None, vec![(source, Copy::new(&to, Layout { offset, strides }, plain(&to, 0)))]))
        }
        Op::Pad => {
            let offset = graph::array::ravel(&fixed("low"), &to);
            let fill = Some(n.attrs.float("value", 0.0));
            Some((fill, vec![(source, Copy::new(&from, plain(&from, 0), plain(&to, offset)))]))
        }
        Op::Concatenate => {
            let axis = n.attrs.int("axis", 0) as usize;
            let strides = graph::array::strides(&to);
            let mut at = 0;
            let parts = n.inputs.iter().map(|v| {
                let s = sizes(plan, *v);
                let part = (*v, Copy::new(&s, plain(&s, 0), plain(&to, at * strides[axis])));
                at += s[axis];
                part
            });
            Some((None, parts.collect()))
        }
        Op::Windows => {
            let copies = crate::windows::copies(n, &from, &to)?;
            Some((Some(0.0), copies.into_iter().map(|c| (source, c)).collect()))
        }
        _ => None,
    }
}
