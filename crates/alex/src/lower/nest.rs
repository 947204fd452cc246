//! Loops over a box of elements that several operands are read and written along, each with strides of its own.

use crate::ir::{Builder, Index, Value};

/// Sizes of a box and, for every operand, a stride per axis and the first element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nest {
    pub(crate) dims: Vec<usize>,
    pub(crate) strides: Vec<Vec<isize>>,
    pub(crate) offsets: Vec<usize>,
}

impl Nest {
    /// The same box without axes of one element, neighbouring axes joined where every operand runs through both with one
    /// stride. There is at least one axis.
    pub(crate) fn merged(mut self) -> Nest {
        for axis in (0..self.dims.len()).rev() {
            if self.dims[axis] == 1 {
                self.drop(axis);
            }
        }
        let mut axis = self.dims.len();
        while axis > 1 {
            axis -= 1;
            let (outer, inner) = (axis - 1, axis);
            let n = self.dims[inner] as isize;
            if self.strides.iter().all(|s| s[outer] == s[inner] * n) {
                self.dims[outer] *= self.dims[inner];
                self.strides.iter_mut().for_each(|s| s[outer] = s[inner]);
                self.drop(inner);
            }
        }
        if self.dims.is_empty() {
            self.dims.push(1);
            self.strides.iter_mut().for_each(|s| s.push(0));
        }
        self
    }

    /// The first `split` axes, and the others, from wherever the first have led.
    pub(crate) fn split(&self, split: usize) -> [Nest; 2] {
        let part = |axes: std::ops::Range<usize>, offsets: Vec<usize>| {
            let strides = self.strides.iter().map(|s| s[axes.clone()].to_vec()).collect();
            Nest { dims: self.dims[axes.clone()].to_vec(), strides, offsets }.merged()
        };
        let none = vec![0; self.offsets.len()];
        [part(0..split, self.offsets.clone()), part(split..self.dims.len(), none)]
    }

    fn drop(&mut self, axis: usize) {
        self.dims.remove(axis);
        self.strides.iter_mut().for_each(|s| {
            s.remove(axis);
        });
    }

    /// Elements of the box.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The innermost axis.
    pub(crate) fn inner(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// The stride of an operand along the innermost axis.
    pub(crate) fn step(&self, operand: usize) -> isize {
        self.strides[operand].last().copied().unwrap_or(0)
    }

    /// Runs `body` at each position of the axes but the innermost, with the place of each operand there.
    pub(crate) fn outer(&self, b: &mut Builder, body: &mut dyn FnMut(&mut Builder, &[Value<Index>])) {
        let places: Vec<Value<Index>> = self.offsets.iter().map(|o| b.index(*o as i64)).collect();
        self.level(b, 0, &places, self.dims.len() - 1, body);
    }

    /// The same from given places on.
    pub(crate) fn outer_from(
        &self,
        b: &mut Builder,
        places: &[Value<Index>],
        body: &mut dyn FnMut(&mut Builder, &[Value<Index>]),
    ) {
        self.level(b, 0, places, self.dims.len() - 1, body);
    }

    /// The place of each operand at position `at`, counted in row-major order.
    pub(crate) fn position(&self, b: &mut Builder, at: Value<Index>) -> Vec<Value<Index>> {
        let mut places: Vec<Value<Index>> = self.offsets.iter().map(|o| b.index(*o as i64)).collect();
        let mut left = at;
        for axis in (0..self.dims.len()).rev() {
            let here = match axis {
                0 => left,
                _ => {
                    let n = b.index(self.dims[axis] as i64);
                    let here = b.remui(left, n);
                    left = b.divui(left, n);
                    here
                }
            };
            for (p, s) in places.iter_mut().zip(&self.strides) {
                *p = moved(b, *p, here, s[axis]);
            }
        }
        places
    }

    /// Runs `body` at each position, with the place of each operand there.
    pub(crate) fn each(&self, b: &mut Builder, body: &mut dyn FnMut(&mut Builder, &[Value<Index>])) {
        let places: Vec<Value<Index>> = self.offsets.iter().map(|o| b.index(*o as i64)).collect();
        self.level(b, 0, &places, self.dims.len(), body);
    }

    fn level(
        &self,
        b: &mut Builder,
        axis: usize,
        places: &[Value<Index>],
        end: usize,
        body: &mut dyn FnMut(&mut Builder, &[Value<Index>]),
    ) {
        if axis == end {
            return body(b, places);
        }
        b.for_(0, self.dims[axis], 1, (), |b, i, ()| {
            let next: Vec<Value<Index>> =
                places.iter().zip(&self.strides).map(|(p, s)| moved(b, *p, i, s[axis])).collect();
            self.level(b, axis + 1, &next, end, body);
        });
    }
}

/// p + i · stride.
pub(crate) fn moved(b: &mut Builder, p: Value<Index>, i: Value<Index>, stride: isize) -> Value<Index> {
    match stride {
        0 => p,
        1 => b.addi(p, i),
        s => {
            let by = b.index(s as i64);
            let far = b.muli(i, by);
            b.addi(p, far)
        }
    }
}

/// Row-major strides.
pub(crate) fn dense(shape: &[usize]) -> Vec<isize> {
    graph::array::strides(shape).into_iter().map(|s| s as isize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_every_operand_runs_through_alike_are_one() {
        let nest = |dims: &[usize], strides: &[&[isize]]| {
            let strides: Vec<Vec<isize>> = strides.iter().map(|s| s.to_vec()).collect();
            Nest { dims: dims.to_vec(), offsets: vec![0; strides.len()], strides }.merged()
        };
        let whole = nest(&[2, 3, 4], &[&[12, 4, 1], &[12, 4, 1], &[0, 0, 0]]);
        assert_eq!((whole.dims, whole.strides), (vec![24], vec![vec![1], vec![1], vec![0]]));
        let rows = nest(&[2, 3, 4], &[&[12, 4, 1], &[0, 0, 1]]);
        assert_eq!((rows.dims, rows.strides), (vec![6, 4], vec![vec![4, 1], vec![0, 1]]));
        let turned = nest(&[2, 1, 3], &[&[1, 9, 2], &[3, 3, 1]]);
        assert_eq!((turned.dims, turned.strides), (vec![2, 3], vec![vec![1, 2], vec![3, 1]]));
        assert_eq!(nest(&[1, 1], &[&[5, 5]]).dims, vec![1]);
    }
}
