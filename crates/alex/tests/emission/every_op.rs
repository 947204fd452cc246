//! Every op once, read by MLIR's verifier and lowered to LLVM.

use alex::ir::{
    BF16, Builder, CmpF, CmpI, Combine, DYN, F16, F32, F64, F80, F128, Float, FuncOptions, I1, I8, I16, I32,
    I64, Index, MemRef, Module, Ptr, Tensor, Value, Vector,
};

use crate::tools::{lowered, verified};

fn floats<T: alex::ir::FloatLike>(b: &mut Builder, x: Value<T>, y: Value<T>) -> Value<T> {
    let binary = [
        Builder::addf,
        Builder::subf,
        Builder::mulf,
        Builder::divf,
        Builder::remf,
        Builder::maximumf,
        Builder::minimumf,
        Builder::maxnumf,
        Builder::minnumf,
        Builder::powf,
        Builder::copysign,
        Builder::atan2,
    ];
    let mut r = x;
    for op in binary {
        r = op(b, r, y);
    }
    let unary = [
        Builder::negf,
        Builder::absf,
        Builder::ceil,
        Builder::cos,
        Builder::erf,
        Builder::exp,
        Builder::exp2,
        Builder::expm1,
        Builder::floor,
        Builder::log,
        Builder::log10,
        Builder::log1p,
        Builder::log2,
        Builder::round,
        Builder::roundeven,
        Builder::rsqrt,
        Builder::sin,
        Builder::sqrt,
        Builder::tanh,
        Builder::trunc,
        Builder::tan,
        Builder::atan,
        Builder::asin,
        Builder::acos,
        Builder::sinh,
        Builder::cosh,
        Builder::cbrt,
    ];
    for op in unary {
        r = op(b, r);
    }
    let r = b.fma(r, x, y);
    let c = b.cmpf(CmpF::Olt, r, y);
    let d = b.cmpf(CmpF::Uno, r, y);
    let _ = d;
    b.select(c, r, y)
}

fn integers<T: alex::ir::IntLike>(b: &mut Builder, x: Value<T>, y: Value<T>) -> Value<T> {
    let binary = [
        Builder::addi,
        Builder::subi,
        Builder::muli,
        Builder::divsi,
        Builder::divui,
        Builder::ceildivsi,
        Builder::ceildivui,
        Builder::floordivsi,
        Builder::remsi,
        Builder::remui,
        Builder::andi,
        Builder::ori,
        Builder::xori,
        Builder::shli,
        Builder::shrui,
        Builder::shrsi,
        Builder::maxsi,
        Builder::maxui,
        Builder::minsi,
        Builder::minui,
    ];
    let mut r = x;
    for op in binary {
        r = op(b, r, y);
    }
    let c = b.cmpi(CmpI::Sge, r, y);
    b.select(c, r, y)
}

#[test]
fn arith_and_math_on_scalars_and_vectors() {
    let mut m = Module::new();
    m.function("f32", (F32, F32), |b, (x, y)| floats(b, x, y));
    m.function("f64", (F64, F64), |b, (x, y)| floats(b, x, y));
    let v = Vector::new(F32, [8]);
    m.function("v", (v, v), |b, (x, y)| floats(b, x, y));
    m.function("i8", (I8, I8), |b, (x, y)| integers(b, x, y));
    m.function("i64", (I64, I64), |b, (x, y)| integers(b, x, y));
    m.function("index", (Index, Index), |b, (x, y)| integers(b, x, y));
    let v = Vector::new(I16, [8]);
    m.function("vi", (v, v), |b, (x, y)| integers(b, x, y));
    m.function("bits", (I32, I32), |b, (x, y)| {
        let (low, high) = b.mulsi_extended(x, y);
        let (low, high) = b.mului_extended(low, high);
        let r = b.absi(low);
        let r = b.ctpop(r);
        let r = b.ctlz(r);
        let r = b.cttz(r);
        b.addi(r, high)
    });
    let text = m.finish().unwrap();
    verified(&text);
    lowered(&text);
}

#[test]
fn conversions() {
    let mut m = Module::new();
    m.function("floats", (F16, BF16, F32), |b, (h, g, s)| {
        let h = b.extf(h, F32);
        let g = b.extf(g, F64);
        let s = b.extf(s, F80);
        let wide = b.extf(g, F128);
        let back = b.truncf(wide, F64);
        let half = b.truncf(back, F16);
        let same = b.convertf(half, F16);
        let other = b.convertf(same, BF16);
        let up = b.convertf(other, F64);
        let s = b.convertf(s, F32);
        (h, up, s)
    });
    m.function("integers", (Vector::new(I8, [4]), I64), |b, (v, n)| {
        let s = b.extsi(v, I32);
        let u = b.extui(v, I64);
        let t = b.trunci(u, I16);
        let c = b.convertsi(t, I32);
        let x = b.sitofp(s, F32);
        let y = b.uitofp(c, F32);
        let z = b.addf(x, y);
        let i = b.fptosi(z, I32);
        let j = b.fptoui(z, I8);
        let k = b.bitcast(i, F32);
        let p = b.index_cast(n, Index);
        let q = b.index_castui(p, I32);
        let w = b.index_cast(v, Index);
        (j, k, q, w)
    });
    let text = m.finish().unwrap();
    verified(&text);
    lowered(&text);
}

/// Code that is generic over the element type.
fn generic<E: Float>(m: &mut Module, name: &str, elem: E) {
    m.function(name, (MemRef::new(elem, [DYN]), F64), |b, (x, scale)| {
        let scale = b.convertf(scale, elem);
        let n = b.dim(x, 0);
        b.for_(0, n, 1, (), |b, i, ()| {
            let v = b.load(x, i);
            let v = b.mulf(v, scale);
            b.store(v, x, i);
        });
    });
}

#[test]
fn one_lowering_for_all_floats() {
    let mut m = Module::new();
    generic(&mut m, "f32", F32);
    generic(&mut m, "f64", F64);
    generic(&mut m, "f80", F80);
    generic(&mut m, "f128", F128);
    generic(&mut m, "bf16", BF16);
    let text = m.finish().unwrap();
    verified(&text);
    lowered(&text);
}

#[test]
fn control_flow() {
    let mut m = Module::new();
    m.function("f", (Index, F32, I1), |b, (n, x, c)| {
        let (s, p) = b.name("r").for_(0, n, 2, (x, n), |b, i, (s, p)| {
            let p = b.addi(p, i);
            let s = b.if_(c, |b| b.addf(s, x), |b| b.subf(s, x));
            (s, p)
        });
        b.when(c, |b| b.comment("nothing"));
        let w = b.while_(
            (s, p),
            |b, (s, p)| {
                let more = b.cmpi(CmpI::Slt, p, n);
                (more, (s, p))
            },
            |b, (s, p)| (b.mulf(s, s), b.offset(p, 1)),
        );
        b.while_((), |_, ()| (c, ()), |_, ()| ());
        let d = b.not(c);
        let many =
            b.for_(0, 4, 1, vec![x, x, x], |b, _, v: Vec<Value<F32>>| v.iter().map(|&x| b.negf(x)).collect());
        let pair = b.for_(0, 4, 1, [x; 2], |_, _, [x, y]| [y, x]);
        (w, many[2], pair[1], d)
    });
    let text = m.finish().unwrap();
    verified(&text);
    lowered(&text);
}

#[test]
fn memory() {
    let mut m = Module::new();
    let args = (MemRef::new(I8, [DYN]), MemRef::new(F32, [DYN, 64]), Index);
    m.function("f", args, |b, (arena, x, n)| {
        let a = b.view(arena, 64, MemRef::new(F32, [16, 64]), &[]);
        let d = b.view(arena, n, MemRef::new(F32, [DYN, 64]), &[n]);
        let row = b.subview_axes(x, (n, 0), (1, 64), (1, 1), [1]);
        let part = b.subview(a, (0, 0), (4, n), (2, 1));
        let corner = b.subview(part, (1, n), (2, 2), (1, 1));
        let s = b.alloca(MemRef::new(F32, [64]), &[]);
        let t = b.alloca(MemRef::new(F32, [DYN]), &[n]);
        let h = b.alloc(MemRef::new(F32, [DYN, 8]), &[n]);
        b.copy(row, b_strided(s));
        let flat: Value<MemRef<F32, 1>> = b.reinterpret_cast(d, 0, 1024, 1);
        let tile: Value<MemRef<F32, 2>> = b.reinterpret_cast(flat, n, (n, 4), (n, 1));
        let cast = b.memref_cast(s, MemRef::new(F32, [DYN]));
        let p = b.extract_aligned_pointer_as_index(cast);
        b.prefetch(x, (n, 0), false, 3);
        let t = b.assume_alignment(t, 64);
        let v = b.load(t, p);
        b.store(v, corner, (0, 1));
        let w = b.load(tile, (0, 0));
        b.store(w, h, (n, 7));
        b.dealloc(h);
        b.dim(x, 0)
    });
    let text = m.finish().unwrap();
    verified(&text);
    lowered(&text);
}

/// A copy takes memrefs of one Rust type; the layout is a value.
fn b_strided<E: alex::ir::Element>(x: Value<MemRef<E, 1>>) -> Value<MemRef<E, 1>> {
    x
}

#[test]
fn vectors() {
    let mut m = Module::new();
    let v = Vector::new(F32, [16]);
    let args = (MemRef::new(F32, [DYN, DYN]), v, F32, Index);
    m.function("f", args, |b, (x, v, s, n)| {
        let l = b.vector_load(x, (n, 0), [16]);
        let z = b.broadcast(s, v.ty());
        let l = b.vector_fma(l, v, z);
        b.vector_store(l, x, (n, 16));
        let mask = b.create_mask(n, [16]);
        let first = b.constant_mask([3], [16]);
        let l = b.maskedload(x, (n, 0), mask, l);
        b.maskedstore(l, x, (n, 0), first);
        let t = b.transfer_read(x, (0, n), s, [16], false);
        b.transfer_write(t, x, (0, n), true);
        let total = b.reduction(Combine::Add, t);
        let total = b.reduction_from(Combine::Add, l, total);
        let most = b.reduction(Combine::Maximumf, l);
        let grid = b.shape_cast(l, [4, 4]);
        let row = b.extract(grid, 1);
        let grid = b.insert(row, grid, 2);
        let one = b.extract(row, n);
        let row = b.insert(one, row, 3);
        let wide = b.broadcast(row, Vector::new(F32, [4, 4]));
        let grid = b.addf(grid, wide);
        let grid = b.transpose(grid);
        let cut = b.extract_strided_slice(grid, [1, 0], [2, 4]);
        let cut = b.insert_strided_slice(row, cut, [1, 0]);
        let flat = b.shape_cast(cut, [8]);
        let mixed = b.shuffle(flat, flat, &[0, 9, 2, 11]);
        let both = b.interleave(mixed, mixed);
        let (even, odd) = b.deinterleave(both);
        let bytes = b.vector_bitcast(even, I8);
        let order = b.step(16);
        let order = b.index_cast(order, I32);
        let picked = b.gather(x, (0, 0), order, mask, l);
        b.scatter(picked, x, (0, 0), order, mask);
        let lanes = b.select(mask, picked, v);
        (total, most, odd, bytes, lanes)
    });
    let text = m.finish().unwrap();
    verified(&text);
    lowered(&text);
}

#[test]
fn intrinsics_tensors_and_the_generic_form() {
    let mut m = Module::new();
    let acc = Vector::new(I32, [16]);
    let bytes = Vector::new(I8, [64]);
    m.function("dot", (acc, bytes, bytes), |b, (acc, u, s)| {
        b.name("acc").intrinsic("llvm.x86.avx512.vpdpbusd.512", (acc, u, s), acc.ty())
    });
    m.function("tensors", (Tensor::new(F32, [DYN]), Index), |b, (x, n)| {
        let n = b.offset(n, 1);
        let n = b.scaled(n, 2);
        let d = b.tensor_dim(x, 0);
        let e = b.tensor_empty(Tensor::new(F32, [DYN, 4]), &[d]);
        let v = b.tensor_extract(x, n);
        b.tensor_insert(v, e, (n, 3))
    });
    m.function("generic", (F32, F32), |b, (x, y)| {
        b.generic("arith.addf", (x, y), "fastmath = #arith.fastmath<none>", F32)
    });
    let text = m.finish().unwrap();
    verified(&text);
    assert!(
        text.contains(
            "\"arith.addf\"(%arg0, %arg1) {fastmath = #arith.fastmath<none>} : (f32, f32) -> (f32)"
        )
    );
    assert!(text.contains("llvm.call_intrinsic \"llvm.x86.avx512.vpdpbusd.512\"(%arg0, %arg1, %arg2)"));
}

#[test]
fn addresses_from_c() {
    let mut m = Module::new();
    let options = FuncOptions::new("step").argument(0, "llvm.noalias");
    m.function(options, (("arena", Ptr), ("bindings", Ptr)), |b, (arena, bindings)| {
        let slot = b.ptr_offset(bindings, 8);
        let second = b.name("second").load_ptr(slot, Ptr);
        let x = b.name("x").memref_from_ptr(second, MemRef::new(F32, [4, 16]), &[]);
        let memory = b.name("memory").memref_from_ptr(arena, MemRef::new(I8, [4096]), &[]);
        let y = b.view(memory, 256, MemRef::new(F32, [4, 16]), &[]);
        let n = b.load_ptr(bindings, I64);
        let n = b.index_cast(n, Index);
        let z = b.memref_from_ptr(second, MemRef::new(F32, [DYN, DYN]), &[n, n]);
        let v = b.load(x, (1, 2));
        b.store(v, y, (1, 2));
        b.store(v, z, (n, 1));
        let at = b.ptr_of(y);
        let at = b.ptr_offset(at, n);
        b.store_ptr(v, at);
    });
    let text = m.finish().unwrap();
    verified(&text);
    let Some(ir) = lowered(&text) else { return };
    assert!(ir.contains("define void @step(ptr noalias %0, ptr %1)"), "{ir}");
}
