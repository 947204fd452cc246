//! `vector`: what moves between memory and registers.

use crate::ir::{AnyType, Builder, Element, I1, Indices, Int, Integral, MemRef, Type, Value, Vector};

impl Builder {
    /// `vector.load`: neighbours along the last axes, from a position on.
    #[track_caller]
    pub fn vector_load<E: Element, const R: usize, const V: usize>(
        &mut self,
        from: Value<MemRef<E, R>>,
        at: impl Indices<R>,
        sizes: [usize; V],
    ) -> Value<Vector<E, V>> {
        let op = "vector.load";
        let ty = Vector::new(from.ty.elem, sizes);
        let at = self.span(op, from.ty.any(), at, &sizes);
        let text = format!("{op} {}[{at}] : {}, {}", self.of(from, op), from.ty.any(), ty.any());
        self.result(ty, &text)
    }

    /// `vector.store`: writes neighbours along the last axes, from a position on.
    #[track_caller]
    pub fn vector_store<E: Element, const R: usize, const V: usize>(
        &mut self,
        value: Value<Vector<E, V>>,
        into: Value<MemRef<E, R>>,
        at: impl Indices<R>,
    ) {
        let op = "vector.store";
        let at = self.span(op, into.ty.any(), at, &value.ty.sizes.map(|n| n as usize));
        let text = format!(
            "{op} {}, {}[{at}] : {}, {}",
            self.of(value, op),
            self.of(into, op),
            into.ty.any(),
            value.ty.any()
        );
        self.effect(&text);
    }

    /// `vector.maskedload`: where the mask is false, the element of `otherwise`, and memory is not touched.
    #[track_caller]
    pub fn maskedload<E: Element, const R: usize>(
        &mut self,
        from: Value<MemRef<E, R>>,
        at: impl Indices<R>,
        mask: Value<Vector<I1>>,
        otherwise: Value<Vector<E>>,
    ) -> Value<Vector<E>> {
        let op = "vector.maskedload";
        self.lanes(op, mask.ty, otherwise.ty);
        let at = self.positions(at, op);
        let names = format!("{}[{at}], {}, {}", self.of(from, op), self.of(mask, op), self.of(otherwise, op));
        let list = format!("{}, {}, {}", from.ty.any(), mask.ty.any(), otherwise.ty.any());
        self.result(otherwise.ty, &format!("{op} {names} : {list} into {}", otherwise.ty.any()))
    }

    /// `vector.maskedstore`: writes where the mask is true.
    #[track_caller]
    pub fn maskedstore<E: Element, const R: usize>(
        &mut self,
        value: Value<Vector<E>>,
        into: Value<MemRef<E, R>>,
        at: impl Indices<R>,
        mask: Value<Vector<I1>>,
    ) {
        let op = "vector.maskedstore";
        self.lanes(op, mask.ty, value.ty);
        let at = self.positions(at, op);
        let names = format!("{}[{at}], {}, {}", self.of(into, op), self.of(mask, op), self.of(value, op));
        let list = format!("{}, {}, {}", into.ty.any(), mask.ty.any(), value.ty.any());
        self.effect(&format!("{op} {names} : {list}"));
    }

    /// `vector.transfer_read`: like a load, with `padding` beyond the memref's end unless `in_bounds`.
    #[track_caller]
    pub fn transfer_read<E: Element, const R: usize, const V: usize>(
        &mut self,
        from: Value<MemRef<E, R>>,
        at: impl Indices<R>,
        padding: Value<E>,
        sizes: [usize; V],
        in_bounds: bool,
    ) -> Value<Vector<E, V>> {
        let op = "vector.transfer_read";
        let ty = Vector::new(from.ty.elem, sizes);
        let at = self.positions(at, op);
        let text = format!(
            "{op} {}[{at}], {} {{in_bounds = {:?}}} : {}, {}",
            self.of(from, op),
            self.of(padding, op),
            [in_bounds; V],
            from.ty.any(),
            ty.any()
        );
        self.result(ty, &text)
    }

    /// `vector.transfer_write`: like a store; what lies beyond the memref's end is dropped unless `in_bounds`.
    #[track_caller]
    pub fn transfer_write<E: Element, const R: usize, const V: usize>(
        &mut self,
        value: Value<Vector<E, V>>,
        into: Value<MemRef<E, R>>,
        at: impl Indices<R>,
        in_bounds: bool,
    ) {
        let op = "vector.transfer_write";
        let at = self.positions(at, op);
        let text = format!(
            "{op} {}, {}[{at}] {{in_bounds = {:?}}} : {}, {}",
            self.of(value, op),
            self.of(into, op),
            [in_bounds; V],
            value.ty.any(),
            into.ty.any()
        );
        self.effect(&text);
    }

    /// `vector.gather`: elements at positions `offsets` along the last axis from `at`, where the mask is true, else those of
    /// `otherwise`.
    #[track_caller]
    pub fn gather<E: Element, I: Integral, const R: usize>(
        &mut self,
        from: Value<MemRef<E, R>>,
        at: impl Indices<R>,
        offsets: Value<Vector<I>>,
        mask: Value<Vector<I1>>,
        otherwise: Value<Vector<E>>,
    ) -> Value<Vector<E>> {
        let op = "vector.gather";
        self.lanes(op, mask.ty, otherwise.ty);
        self.lanes(op, mask.ty, offsets.ty);
        let at = self.positions(at, op);
        let names = format!(
            "{}[{at}] [{}], {}, {}",
            self.of(from, op),
            self.of(offsets, op),
            self.of(mask, op),
            self.of(otherwise, op)
        );
        let list =
            format!("{}, {}, {}, {}", from.ty.any(), offsets.ty.any(), mask.ty.any(), otherwise.ty.any());
        self.result(otherwise.ty, &format!("{op} {names} : {list} into {}", otherwise.ty.any()))
    }

    /// `vector.scatter`: writes elements at positions `offsets` along the last axis from `at`, where the mask is true, in
    /// order.
    #[track_caller]
    pub fn scatter<E: Element, I: Int, const R: usize>(
        &mut self,
        value: Value<Vector<E>>,
        into: Value<MemRef<E, R>>,
        at: impl Indices<R>,
        offsets: Value<Vector<I>>,
        mask: Value<Vector<I1>>,
    ) {
        let op = "vector.scatter";
        self.lanes(op, mask.ty, value.ty);
        self.lanes(op, mask.ty, offsets.ty);
        let at = self.positions(at, op);
        let names = format!(
            "{}[{at}] [{}], {}, {}",
            self.of(into, op),
            self.of(offsets, op),
            self.of(mask, op),
            self.of(value, op)
        );
        let list = format!("{}, {}, {}, {}", into.ty.any(), offsets.ty.any(), mask.ty.any(), value.ty.any());
        self.effect(&format!("{op} {names} : {list}"));
    }

    #[track_caller]
    fn lanes<E: Element, F: Element>(&mut self, op: &str, x: Vector<E>, y: Vector<F>) {
        if x.sizes != y.sizes {
            self.mistake(op, format!("{} and {} must have one number of elements", x.any(), y.any()));
        }
    }

    /// Positions as values, after checking that a box from there lies in the memref, as far as sizes are known.
    #[track_caller]
    fn span<const R: usize>(
        &mut self,
        op: &str,
        ty: AnyType,
        at: impl Indices<R>,
        sizes: &[usize],
    ) -> String {
        let folds = at.folds();
        if sizes.len() > R {
            self.mistake(op, format!("a vector of rank {} from {ty}", sizes.len()));
        }
        for (k, &count) in sizes.iter().rev().enumerate().take(R) {
            let from = match folds[R - 1 - k] {
                crate::ir::Fold::Static(n) => n,
                crate::ir::Fold::Dynamic(_) => crate::ir::DYN,
            };
            self.fits(op, ty, from, R - 1 - k, count as i64);
        }
        self.positions(folds, op)
    }
}
