//! `vector`: registers of several elements.

use crate::ir::{
    AnyType, Builder, Element, FloatLike, I1, Index, Indices, IntLike, IntoIndex, Like, Type, Value, Vector,
};

/// How elements are combined by a reduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Combine {
    /// Sum.
    Add,
    /// Product.
    Mul,
    /// Larger float, NaN if any is.
    Maximumf,
    /// Smaller float, NaN if any is.
    Minimumf,
    /// Larger float, NaNs left out.
    Maxnumf,
    /// Smaller float, NaNs left out.
    Minnumf,
    /// Larger signed integer.
    Maxsi,
    /// Smaller signed integer.
    Minsi,
    /// Larger unsigned integer.
    Maxui,
    /// Smaller unsigned integer.
    Minui,
    /// Bits set in all.
    And,
    /// Bits set in any.
    Or,
    /// Parity of bits.
    Xor,
}

impl Combine {
    fn suits(self, float: bool) -> bool {
        match self {
            Combine::Add | Combine::Mul => true,
            Combine::Maximumf | Combine::Minimumf | Combine::Maxnumf | Combine::Minnumf => float,
            _ => !float,
        }
    }
}

/// A vector with at least one axis: what lies at one position of the outermost one.
pub trait Inner: Like {
    /// An element of a vector, a vector of a matrix.
    type Inner: Type;
    /// Its type.
    fn inner(self) -> Self::Inner;
}

impl<E: Element> Inner for Vector<E, 1> {
    type Inner = E;
    fn inner(self) -> E {
        self.elem
    }
}

macro_rules! inner {
    ($($rank:literal $less:literal)*) => {$(
        impl<E: Element> Inner for Vector<E, $rank> {
            type Inner = Vector<E, $less>;
            fn inner(self) -> Vector<E, $less> {
                Vector { elem: self.elem, sizes: std::array::from_fn(|k| self.sizes[k + 1]) }
            }
        }
    )*};
}
inner!(2 1 3 2 4 3);

/// What can be spread over a vector of `E`: an element, or a vector whose sizes are the last ones.
pub trait Chunk<E: Element>: Type {}
impl<E: Element> Chunk<E> for E {}
impl<E: Element, const R: usize> Chunk<E> for Vector<E, R> {}

impl Builder {
    /// `vector.broadcast`: the value at every position of the axes that it lacks.
    #[track_caller]
    pub fn broadcast<E: Element, C: Chunk<E>, const R: usize>(
        &mut self,
        x: Value<C>,
        to: Vector<E, R>,
    ) -> Value<Vector<E, R>> {
        let op = "vector.broadcast";
        if let AnyType::Vector(_, shape) = x.ty.any() {
            let own = shape.sizes();
            let fits =
                own.len() <= R && own.iter().rev().zip(to.sizes.iter().rev()).all(|(a, b)| a == b || *a == 1);
            if !fits {
                self.mistake(op, format!("{} does not spread over {}", x.ty.any(), to.any()));
            }
        }
        let text = format!("{op} {} : {} to {}", self.of(x, op), x.ty.any(), to.any());
        self.result(to, &text)
    }

    /// `vector.fma`: x · y + z, rounded once.
    #[track_caller]
    pub fn vector_fma<T: FloatLike + Inner>(&mut self, x: Value<T>, y: Value<T>, z: Value<T>) -> Value<T> {
        let op = "vector.fma";
        self.same(op, x.ty, y.ty);
        self.same(op, x.ty, z.ty);
        let names = [self.of(x, op), self.of(y, op), self.of(z, op)].join(", ");
        self.result(x.ty, &format!("{op} {names} : {}", x.ty.any()))
    }

    /// `vector.reduction`: all elements combined into one. A float sum goes from left to right unless `REASSOC` is allowed.
    #[track_caller]
    pub fn reduction<E: Element>(&mut self, how: Combine, x: Value<Vector<E>>) -> Value<E> {
        self.reduce(how, x, None)
    }

    /// `vector.reduction` that starts from a value.
    #[track_caller]
    pub fn reduction_from<E: Element>(
        &mut self,
        how: Combine,
        x: Value<Vector<E>>,
        start: Value<E>,
    ) -> Value<E> {
        self.reduce(how, x, Some(start))
    }

    #[track_caller]
    fn reduce<E: Element>(&mut self, how: Combine, x: Value<Vector<E>>, start: Option<Value<E>>) -> Value<E> {
        let op = "vector.reduction";
        if !how.suits(E::KIND.is_float()) {
            self.mistake(op, format!("{how:?} does not combine elements of type {}", E::KIND));
        }
        let flags = if E::KIND.is_float() { self.flags() } else { String::new() };
        let how = format!("{how:?}").to_lowercase();
        let start = start.map_or_else(String::new, |v| format!(", {}", self.of(v, op)));
        let text =
            format!("{op} <{how}>, {}{start}{flags} : {} into {}", self.of(x, op), x.ty.any(), E::KIND);
        self.result(E::default(), &text)
    }

    /// `vector.extract`: what lies at a position of the outermost axis.
    #[track_caller]
    pub fn extract<V: Inner>(&mut self, from: Value<V>, at: impl IntoIndex) -> Value<V::Inner> {
        let op = "vector.extract";
        let at = self.lane(op, from.ty.any(), at);
        let inner = from.ty.inner();
        let text = format!("{op} {}[{at}] : {} from {}", self.of(from, op), inner.any(), from.ty.any());
        self.result(inner, &text)
    }

    /// `vector.insert`: the vector with what lies at a position of the outermost axis replaced.
    #[track_caller]
    pub fn insert<V: Inner>(&mut self, x: Value<V::Inner>, into: Value<V>, at: impl IntoIndex) -> Value<V> {
        let op = "vector.insert";
        self.same(op, x.ty, into.ty.inner());
        let at = self.lane(op, into.ty.any(), at);
        let text = format!(
            "{op} {}, {}[{at}] : {} into {}",
            self.of(x, op),
            self.of(into, op),
            x.ty.any(),
            into.ty.any()
        );
        self.result(into.ty, &text)
    }

    #[track_caller]
    fn lane(&mut self, op: &str, ty: AnyType, at: impl IntoIndex) -> String {
        match at.fold() {
            crate::ir::Fold::Static(n) => {
                self.fits(op, ty, n, 0, 1);
                n.to_string()
            }
            crate::ir::Fold::Dynamic(value) => self.of(value, op),
        }
    }

    /// `vector.extract_strided_slice`: a box of the elements.
    #[track_caller]
    pub fn extract_strided_slice<E: Element, const R: usize>(
        &mut self,
        x: Value<Vector<E, R>>,
        offsets: [usize; R],
        sizes: [usize; R],
    ) -> Value<Vector<E, R>> {
        let op = "vector.extract_strided_slice";
        for k in 0..R {
            self.fits(op, x.ty.any(), offsets[k] as i64, k, sizes[k] as i64);
        }
        let to = Vector::new(x.ty.elem, sizes);
        let text = format!(
            "{op} {} {{offsets = {offsets:?}, sizes = {sizes:?}, strides = {:?}}} : {} to {}",
            self.of(x, op),
            [1; R],
            x.ty.any(),
            to.any()
        );
        self.result(to, &text)
    }

    /// `vector.insert_strided_slice`: the vector `into` with a box of its elements replaced by `x`.
    #[track_caller]
    pub fn insert_strided_slice<E: Element, const R: usize, const S: usize>(
        &mut self,
        x: Value<Vector<E, S>>,
        into: Value<Vector<E, R>>,
        offsets: [usize; R],
    ) -> Value<Vector<E, R>> {
        let op = "vector.insert_strided_slice";
        for k in 0..R.min(S) {
            let axis = R - 1 - k;
            self.fits(op, into.ty.any(), offsets[axis] as i64, axis, x.ty.sizes[S - 1 - k]);
        }
        let text = format!(
            "{op} {}, {} {{offsets = {offsets:?}, strides = {:?}}} : {} into {}",
            self.of(x, op),
            self.of(into, op),
            [1; S],
            x.ty.any(),
            into.ty.any()
        );
        self.result(into.ty, &text)
    }

    /// `vector.shape_cast`: the same elements in the same order with other sizes.
    #[track_caller]
    pub fn shape_cast<E: Element, const R: usize, const S: usize>(
        &mut self,
        x: Value<Vector<E, R>>,
        sizes: [usize; S],
    ) -> Value<Vector<E, S>> {
        let op = "vector.shape_cast";
        let to = Vector::new(x.ty.elem, sizes);
        if to.lanes() != x.ty.lanes() {
            self.mistake(op, format!("{} and {} have different numbers of elements", x.ty.any(), to.any()));
        }
        let text = format!("{op} {} : {} to {}", self.of(x, op), x.ty.any(), to.any());
        self.result(to, &text)
    }

    /// `vector.shuffle`: elements of `x` and `y`, numbered one after the other, in the order of `mask`.
    #[track_caller]
    pub fn shuffle<E: Element>(
        &mut self,
        x: Value<Vector<E>>,
        y: Value<Vector<E>>,
        mask: &[usize],
    ) -> Value<Vector<E>> {
        let op = "vector.shuffle";
        let limit = x.ty.lanes() + y.ty.lanes();
        if let Some(bad) = mask.iter().find(|&&k| k >= limit) {
            self.mistake(op, format!("element {bad} of the {limit} of both operands"));
        }
        let to = Vector::new(x.ty.elem, [mask.len()]);
        let text =
            format!("{op} {}, {} {mask:?} : {}, {}", self.of(x, op), self.of(y, op), x.ty.any(), y.ty.any());
        self.result(to, &text)
    }

    /// `vector.interleave`: elements of `x` and `y` by turns.
    #[track_caller]
    pub fn interleave<E: Element>(&mut self, x: Value<Vector<E>>, y: Value<Vector<E>>) -> Value<Vector<E>> {
        let op = "vector.interleave";
        self.same(op, x.ty, y.ty);
        let to = Vector::new(x.ty.elem, [2 * x.ty.lanes()]);
        let text = format!("{op} {}, {} : {} -> {}", self.of(x, op), self.of(y, op), x.ty.any(), to.any());
        self.result(to, &text)
    }

    /// `vector.deinterleave`: the elements at even and at odd places.
    #[track_caller]
    pub fn deinterleave<E: Element>(&mut self, x: Value<Vector<E>>) -> (Value<Vector<E>>, Value<Vector<E>>) {
        let op = "vector.deinterleave";
        if x.ty.lanes() % 2 == 1 {
            self.mistake(op, format!("{} has an odd number of elements", x.ty.any()));
        }
        let to = Vector::new(x.ty.elem, [x.ty.lanes() / 2]);
        let text = format!("{op} {} : {} -> {}", self.of(x, op), x.ty.any(), to.any());
        self.results(&(to, to), &text)
    }

    /// `vector.bitcast`: the same bits as elements of another width; the last size changes with it.
    #[track_caller]
    pub fn vector_bitcast<E: Element, F: Element, const R: usize>(
        &mut self,
        x: Value<Vector<E, R>>,
        elem: F,
    ) -> Value<Vector<F, R>> {
        let op = "vector.bitcast";
        let mut sizes = x.ty.sizes;
        if let Some(last) = sizes.last_mut() {
            let bits = *last * i64::from(E::KIND.bits());
            let width = i64::from(F::KIND.bits());
            if bits % width != 0 {
                self.mistake(
                    op,
                    format!("the last axis of {} has no whole number of {}", x.ty.any(), F::KIND),
                );
            }
            *last = bits / width;
        }
        let to = Vector { elem, sizes };
        let text = format!("{op} {} : {} to {}", self.of(x, op), x.ty.any(), to.any());
        self.result(to, &text)
    }

    /// `vector.step`: 0, 1, 2, …
    #[track_caller]
    pub fn step(&mut self, lanes: usize) -> Value<Vector<Index>> {
        let ty = Vector::new(Index, [lanes]);
        self.result(ty, &format!("vector.step : {}", ty.any()))
    }

    /// `vector.create_mask`: true at the first elements, as many along each axis as given.
    #[track_caller]
    pub fn create_mask<const R: usize>(
        &mut self,
        counts: impl Indices<R>,
        sizes: [usize; R],
    ) -> Value<Vector<I1, R>> {
        let op = "vector.create_mask";
        let ty = Vector::new(I1, sizes);
        let counts = self.positions(counts, op);
        self.result(ty, &format!("{op} {counts} : {}", ty.any()))
    }

    /// `vector.constant_mask`: the same with numbers that are known.
    #[track_caller]
    pub fn constant_mask<const R: usize>(
        &mut self,
        counts: [usize; R],
        sizes: [usize; R],
    ) -> Value<Vector<I1, R>> {
        let ty = Vector::new(I1, sizes);
        for k in 0..R {
            self.fits("vector.constant_mask", ty.any(), 0, k, counts[k] as i64);
        }
        self.result(ty, &format!("vector.constant_mask {counts:?} : {}", ty.any()))
    }

    /// `vector.transpose` of a matrix.
    #[track_caller]
    pub fn transpose<E: Element>(&mut self, x: Value<Vector<E, 2>>) -> Value<Vector<E, 2>> {
        let op = "vector.transpose";
        let to = Vector { elem: x.ty.elem, sizes: [x.ty.sizes[1], x.ty.sizes[0]] };
        let text = format!("{op} {}, [1, 0] : {} to {}", self.of(x, op), x.ty.any(), to.any());
        self.result(to, &text)
    }

    /// The sum of an integer product: `Σ x·y + start`, which LLVM turns into a dot-product instruction where `x` and `y` are
    /// extended from bytes.
    #[track_caller]
    pub fn dot_from<E: Element>(
        &mut self,
        x: Value<Vector<E>>,
        y: Value<Vector<E>>,
        start: Value<E>,
    ) -> Value<E>
    where
        Vector<E>: IntLike,
    {
        let product = self.muli(x, y);
        self.reduction_from(Combine::Add, product, start)
    }
}
