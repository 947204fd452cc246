//! `memref`: memory, and views of it.

use crate::ir::shaped::{plus, times};
use crate::ir::{
    AnyType, Builder, DYN, Element, Fold, Global, I8, Index, Indices, IntoIndex, Layout, MemRef, Type, Value,
};

/// Numbers as MLIR's mixed lists want them: constants as they are, values by name.
fn mixed<const R: usize>(b: &mut Builder, folds: [Fold; R], op: &str) -> String {
    let parts: Vec<String> = folds
        .iter()
        .map(|fold| match fold {
            Fold::Static(n) => n.to_string(),
            Fold::Dynamic(value) => b.of(*value, op),
        })
        .collect();
    parts.join(", ")
}

fn size(fold: Fold) -> i64 {
    match fold {
        Fold::Static(n) => n,
        Fold::Dynamic(_) => DYN,
    }
}

impl Builder {
    /// `memref.load`: one element.
    #[track_caller]
    pub fn load<E: Element, const R: usize>(
        &mut self,
        from: Value<MemRef<E, R>>,
        at: impl Indices<R>,
    ) -> Value<E> {
        let folds = at.folds();
        for (axis, fold) in folds.iter().enumerate() {
            self.fits("memref.load", from.ty.any(), size(*fold), axis, 1);
        }
        let at = self.positions(folds, "memref.load");
        let text = format!("memref.load {}[{at}] : {}", self.of(from, "memref.load"), from.ty.any());
        self.result(E::default(), &text)
    }

    /// `memref.store`: writes one element.
    #[track_caller]
    pub fn store<E: Element, const R: usize>(
        &mut self,
        value: Value<E>,
        into: Value<MemRef<E, R>>,
        at: impl Indices<R>,
    ) {
        let op = "memref.store";
        let folds = at.folds();
        for (axis, fold) in folds.iter().enumerate() {
            self.fits(op, into.ty.any(), size(*fold), axis, 1);
        }
        let at = self.positions(folds, op);
        let text = format!("{op} {}, {}[{at}] : {}", self.of(value, op), self.of(into, op), into.ty.any());
        self.effect(&text);
    }

    /// `memref.dim`: a size; a constant where the type has it.
    #[track_caller]
    pub fn dim<E: Element, const R: usize>(&mut self, of: Value<MemRef<E, R>>, axis: usize) -> Value<Index> {
        let op = "memref.dim";
        match of.ty.sizes.get(axis) {
            None => {
                self.mistake(op, format!("{} has no axis {axis}", of.ty.any()));
                self.index(0)
            }
            Some(&known) if known != DYN => self.index(known),
            Some(_) => {
                let axis = self.to_index(axis);
                let text = format!("{op} {}, {} : {}", self.of(of, op), self.of(axis, op), of.ty.any());
                self.result(Index, &text)
            }
        }
    }

    /// `memref.alloca`: memory on the stack until the function returns, aligned to 64 bytes. `sizes` are those that the type
    /// leaves open. In a loop it grows the stack with each round: allocate outside.
    #[track_caller]
    pub fn alloca<E: Element, const R: usize>(
        &mut self,
        ty: MemRef<E, R>,
        sizes: &[Value<Index>],
    ) -> Value<MemRef<E, R>> {
        self.allocate("memref.alloca", ty, sizes)
    }

    /// `memref.alloc`: memory on the heap, aligned to 64 bytes, until [`Builder::dealloc`].
    #[track_caller]
    pub fn alloc<E: Element, const R: usize>(
        &mut self,
        ty: MemRef<E, R>,
        sizes: &[Value<Index>],
    ) -> Value<MemRef<E, R>> {
        self.allocate("memref.alloc", ty, sizes)
    }

    #[track_caller]
    fn allocate<E: Element, const R: usize>(
        &mut self,
        op: &str,
        ty: MemRef<E, R>,
        sizes: &[Value<Index>],
    ) -> Value<MemRef<E, R>> {
        self.open_sizes(op, ty.any(), ty.unknown(), sizes);
        let sizes: Vec<_> = sizes.iter().map(|v| v.any()).collect();
        let text = format!("{op}({}) {{alignment = 64 : i64}} : {}", self.names_of(&sizes, op), ty.any());
        self.result(ty, &text)
    }

    /// `memref.dealloc`.
    #[track_caller]
    pub fn dealloc<E: Element, const R: usize>(&mut self, memory: Value<MemRef<E, R>>) {
        let text = format!("memref.dealloc {} : {}", self.of(memory, "memref.dealloc"), memory.ty.any());
        self.effect(&text);
    }

    /// `memref.view`: bytes from `shift` on, as a row-major memref of another element type. `sizes` are those that the type
    /// leaves open.
    ///
    /// ```
    /// use alex::ir::{DYN, F32, I8, MemRef, Module};
    /// let mut m = Module::new();
    /// m.function("f", ("arena", MemRef::new(I8, [DYN])), |b, arena| {
    ///     let x = b.name("x").view(arena, 4096, MemRef::new(F32, [64]), &[]);
    ///     b.load(x, 0)
    /// });
    /// assert!(m.finish().unwrap().contains("memref.view %arena[%c4096][] : memref<?xi8> to memref<64xf32>"));
    /// ```
    #[track_caller]
    pub fn view<E: Element, const R: usize>(
        &mut self,
        bytes: Value<MemRef<I8, 1>>,
        shift: impl IntoIndex,
        ty: MemRef<E, R>,
        sizes: &[Value<Index>],
    ) -> Value<MemRef<E, R>> {
        let op = "memref.view";
        self.open_sizes(op, ty.any(), ty.unknown(), sizes);
        let needed = ty.sizes.iter().fold(E::KIND.bytes() as i64, |n, &size| times(n, size));
        self.fits(op, bytes.ty.any(), size(shift.fold()), 0, needed);
        if ty.layout != Layout::Identity || bytes.ty.layout != Layout::Identity {
            self.mistake(op, "a view is row-major and of row-major bytes; use reinterpret_cast for strides");
        }
        let shift = self.to_index(shift);
        let sizes: Vec<_> = sizes.iter().map(|v| v.any()).collect();
        let text = format!(
            "{op} {}[{}][{}] : {} to {}",
            self.of(bytes, op),
            self.of(shift, op),
            self.names_of(&sizes, op),
            bytes.ty.any(),
            ty.any()
        );
        self.result(ty, &text)
    }

    /// The type of a [`Builder::subview`]: sizes that are numbers stay known.
    #[track_caller]
    fn subview_type<E: Element, const R: usize>(
        &mut self,
        of: MemRef<E, R>,
        offsets: [Fold; R],
        sizes: [Fold; R],
        steps: [Fold; R],
    ) -> MemRef<E, R> {
        let (mut offset, mut strides) = of.strides();
        for k in 0..R {
            if let (Fold::Static(from), Fold::Static(count), Fold::Static(step)) =
                (offsets[k], sizes[k], steps[k])
            {
                let span = if count > 0 { (count - 1).saturating_mul(step).saturating_add(1) } else { 0 };
                self.fits("memref.subview", of.any(), from, k, span);
            }
            offset = plus(
                offset,
                if offsets[k] == Fold::Static(0) { 0 } else { times(size(offsets[k]), strides[k]) },
            );
            strides[k] =
                if steps[k] == Fold::Static(1) { strides[k] } else { times(strides[k], size(steps[k])) };
        }
        MemRef { sizes: sizes.map(size), layout: Layout::Strided { offset, strides }, ..of }
    }

    /// `memref.subview`: a box of the elements, every `steps`-th of them along each axis.
    #[track_caller]
    pub fn subview<E: Element, const R: usize>(
        &mut self,
        of: Value<MemRef<E, R>>,
        offsets: impl Indices<R>,
        sizes: impl Indices<R>,
        steps: impl Indices<R>,
    ) -> Value<MemRef<E, R>> {
        let (offsets, sizes, steps) = (offsets.folds(), sizes.folds(), steps.folds());
        let ty = self.subview_type(of.ty, offsets, sizes, steps);
        self.subview_as(of, offsets, sizes, steps, ty)
    }

    /// `memref.subview` that keeps only the given axes; the others must have size 1. `subview_axes(m, (i, 0), (1, 64), (1, 1), [1])`
    /// is row `i`.
    #[track_caller]
    pub fn subview_axes<E: Element, const R: usize, const S: usize>(
        &mut self,
        of: Value<MemRef<E, R>>,
        offsets: impl Indices<R>,
        sizes: impl Indices<R>,
        steps: impl Indices<R>,
        keep: [usize; S],
    ) -> Value<MemRef<E, S>> {
        let op = "memref.subview";
        let (offsets, sizes, steps) = (offsets.folds(), sizes.folds(), steps.folds());
        let full = self.subview_type(of.ty, offsets, sizes, steps);
        let (offset, strides) = full.strides();
        let ordered = keep.windows(2).all(|pair| pair[0] < pair[1]) && keep.iter().all(|&k| k < R);
        if !ordered || (0..R).any(|k| !keep.contains(&k) && full.sizes[k] != 1) {
            self.mistake(
                op,
                format!("cannot keep axes {keep:?} of {}: in order, and size 1 for the rest", full.any()),
            );
        }
        let pick = |all: &[i64; R]| keep.map(|k| all.get(k).copied().unwrap_or(1));
        let ty =
            MemRef { elem: full.elem, sizes: pick(&full.sizes), layout: Layout::Identity, space: full.space }
                .strided(offset, pick(&strides));
        self.subview_as(of, offsets, sizes, steps, ty)
    }

    #[track_caller]
    fn subview_as<E: Element, const R: usize, const S: usize>(
        &mut self,
        of: Value<MemRef<E, R>>,
        offsets: [Fold; R],
        sizes: [Fold; R],
        steps: [Fold; R],
        ty: MemRef<E, S>,
    ) -> Value<MemRef<E, S>> {
        let op = "memref.subview";
        let (offsets, sizes, steps) =
            (mixed(self, offsets, op), mixed(self, sizes, op), mixed(self, steps, op));
        let of_ty = of.ty.any();
        let text =
            format!("{op} {}[{offsets}] [{sizes}] [{steps}] : {of_ty} to {}", self.of(of, op), ty.any());
        self.result(ty, &text)
    }

    /// `memref.reinterpret_cast`: the same memory with another offset, other sizes and strides; nothing checks that they lie
    /// in it.
    #[track_caller]
    pub fn reinterpret_cast<E: Element, const R: usize, const S: usize>(
        &mut self,
        of: Value<MemRef<E, R>>,
        offset: impl IntoIndex,
        sizes: impl Indices<S>,
        strides: impl Indices<S>,
    ) -> Value<MemRef<E, S>> {
        let op = "memref.reinterpret_cast";
        let (offset, sizes, strides) = (offset.fold(), sizes.folds(), strides.folds());
        let ty =
            MemRef { elem: of.ty.elem, sizes: sizes.map(size), layout: Layout::Identity, space: of.ty.space }
                .strided(size(offset), strides.map(size));
        let (offset, sizes, strides) =
            (mixed(self, [offset], op), mixed(self, sizes, op), mixed(self, strides, op));
        let text = format!(
            "{op} {} to offset: [{offset}], sizes: [{sizes}], strides: [{strides}] : {} to {}",
            self.of(of, op),
            of.ty.any(),
            ty.any()
        );
        self.result(ty, &text)
    }

    /// `memref.cast`: the same memref, with sizes, offset and strides known or not known.
    #[track_caller]
    pub fn memref_cast<E: Element, const R: usize>(
        &mut self,
        of: Value<MemRef<E, R>>,
        to: MemRef<E, R>,
    ) -> Value<MemRef<E, R>> {
        let op = "memref.cast";
        let differ = |a: i64, b: i64| a != b && a != DYN && b != DYN;
        let ((o, s), (p, t)) = (of.ty.strides(), to.strides());
        let clash = differ(o, p)
            || (0..R).any(|k| differ(s[k], t[k]) || differ(of.ty.sizes[k], to.sizes[k]))
            || of.ty.space != to.space;
        if clash {
            self.mistake(op, format!("{} is no {}", of.ty.any(), to.any()));
        }
        let text = format!("{op} {} : {} to {}", self.of(of, op), of.ty.any(), to.any());
        self.result(to, &text)
    }

    /// `memref.copy`: the elements of one memref into another of the same sizes.
    #[track_caller]
    pub fn copy<E: Element, const R: usize>(&mut self, from: Value<MemRef<E, R>>, to: Value<MemRef<E, R>>) {
        let op = "memref.copy";
        if (0..R)
            .any(|k| from.ty.sizes[k] != to.ty.sizes[k] && from.ty.sizes[k] != DYN && to.ty.sizes[k] != DYN)
        {
            self.mistake(op, format!("sizes differ: {} and {}", from.ty.any(), to.ty.any()));
        }
        let text =
            format!("{op} {}, {} : {} to {}", self.of(from, op), self.of(to, op), from.ty.any(), to.ty.any());
        self.effect(&text);
    }

    /// `memref.extract_aligned_pointer_as_index`: the address, without the offset of a strided layout.
    #[track_caller]
    pub fn extract_aligned_pointer_as_index<E: Element, const R: usize>(
        &mut self,
        of: Value<MemRef<E, R>>,
    ) -> Value<Index> {
        let op = "memref.extract_aligned_pointer_as_index";
        let text = format!("{op} {} : {} -> index", self.of(of, op), of.ty.any());
        self.result(Index, &text)
    }

    /// `memref.prefetch`: asks for the cache line of an element. `locality` is 0 (used once) to 3 (keep).
    #[track_caller]
    pub fn prefetch<E: Element, const R: usize>(
        &mut self,
        of: Value<MemRef<E, R>>,
        at: impl Indices<R>,
        write: bool,
        locality: u8,
    ) {
        let op = "memref.prefetch";
        let at = self.positions(at, op);
        let way = if write { "write" } else { "read" };
        let text =
            format!("{op} {}[{at}], {way}, locality<{locality}>, data : {}", self.of(of, op), of.ty.any());
        self.effect(&text);
    }

    /// `memref.assume_alignment`: the same memref, whose address is a multiple of `bytes`.
    #[track_caller]
    pub fn assume_alignment<E: Element, const R: usize>(
        &mut self,
        of: Value<MemRef<E, R>>,
        bytes: u32,
    ) -> Value<MemRef<E, R>> {
        let op = "memref.assume_alignment";
        if !bytes.is_power_of_two() {
            self.mistake(op, format!("an alignment is a power of two, found {bytes}"));
        }
        let text = format!("{op} {}, {bytes} : {}", self.of(of, op), of.ty.any());
        self.result(of.ty, &text)
    }

    /// `memref.get_global`: constant data of the module.
    #[track_caller]
    pub fn get_global<E: Element, const R: usize>(&mut self, global: &Global<E, R>) -> Value<MemRef<E, R>> {
        let text =
            format!("memref.get_global @{} : {}", crate::ir::module::symbol(global.name()), global.ty.any());
        self.result(global.ty, &text)
    }

    #[track_caller]
    fn open_sizes(&mut self, op: &str, ty: AnyType, open: usize, sizes: &[Value<Index>]) {
        if open != sizes.len() {
            self.mistake(op, format!("{ty} leaves {open} sizes open, found {}", sizes.len()));
        }
    }
}
