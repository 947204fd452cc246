//! `tensor`: the few ops that code over tensors needs before it is bufferised.

use crate::ir::{AnyType, Builder, Element, Index, Indices, Tensor, Type, Value};

impl Builder {
    /// `tensor.empty`: a tensor whose elements are not yet known. `sizes` are those that the type leaves open.
    #[track_caller]
    pub fn tensor_empty<E: Element, const R: usize>(
        &mut self,
        ty: Tensor<E, R>,
        sizes: &[Value<Index>],
    ) -> Value<Tensor<E, R>> {
        let open = ty.sizes.iter().filter(|&&d| d == crate::ir::DYN).count();
        if open != sizes.len() {
            self.mistake(
                "tensor.empty",
                format!("{} leaves {open} sizes open, found {}", ty.any(), sizes.len()),
            );
        }
        let sizes: Vec<_> = sizes.iter().map(|v| v.any()).collect();
        let text = format!("tensor.empty({}) : {}", self.names_of(&sizes, "tensor.empty"), ty.any());
        self.result(ty, &text)
    }

    /// `tensor.dim`: a size.
    #[track_caller]
    pub fn tensor_dim<E: Element, const R: usize>(
        &mut self,
        x: Value<Tensor<E, R>>,
        axis: usize,
    ) -> Value<Index> {
        let op = "tensor.dim";
        if axis >= R {
            self.mistake(op, format!("{} has no axis {axis}", x.ty.any()));
        }
        let axis = self.to_index(axis);
        let text = format!("{op} {}, {} : {}", self.of(x, op), self.of(axis, op), x.ty.any());
        self.result(Index, &text)
    }

    /// `tensor.extract`: one element.
    #[track_caller]
    pub fn tensor_extract<E: Element, const R: usize>(
        &mut self,
        x: Value<Tensor<E, R>>,
        at: impl Indices<R>,
    ) -> Value<E> {
        let at = self.positions(at, "tensor.extract");
        let text = format!("tensor.extract {}[{at}] : {}", self.of(x, "tensor.extract"), x.ty.any());
        self.result(E::default(), &text)
    }

    /// `tensor.insert`: the tensor with one element replaced.
    #[track_caller]
    pub fn tensor_insert<E: Element, const R: usize>(
        &mut self,
        element: Value<E>,
        into: Value<Tensor<E, R>>,
        at: impl Indices<R>,
    ) -> Value<Tensor<E, R>> {
        let op = "tensor.insert";
        let at = self.positions(at, op);
        let text =
            format!("{op} {} into {}[{at}] : {}", self.of(element, op), self.of(into, op), into.ty.any());
        self.result(into.ty, &text)
    }

    /// Positions as values, with commas between.
    #[track_caller]
    pub(super) fn positions<const R: usize>(&mut self, at: impl Indices<R>, op: &str) -> String {
        let values: Vec<crate::ir::AnyValue> = at.folds().map(|fold| self.to_index(fold).any()).to_vec();
        self.names_of(&values, op)
    }

    /// Records a mistake where an axis of `ty` is shorter than what is taken from it.
    #[track_caller]
    pub(super) fn fits(&mut self, op: &str, ty: AnyType, from: i64, axis: usize, count: i64) {
        let size = ty.shape().and_then(|s| s.sizes().get(axis).copied()).unwrap_or(crate::ir::DYN);
        let known = [from, count, size].iter().all(|&n| n != crate::ir::DYN);
        if known && (from < 0 || from.saturating_add(count) > size) {
            self.mistake(
                op,
                format!("elements {from}..{} of axis {axis} do not lie in {ty}", from.saturating_add(count)),
            );
        }
    }
}
