//! The text that is printed.

use alex::ir::{
    CmpI, DYN, F16, F32, F64, F80, F128, FastMath, FuncOptions, I1, I8, I32, Index, MemRef, Module, Vector,
};

use crate::tools::verified;

#[test]
fn a_product_reads_as_it_is_built() {
    let mut m = Module::new();
    let args = (
        ("w", MemRef::new(I8, [DYN, DYN])),
        ("x", MemRef::new(I8, [DYN])),
        ("sum_x", I32),
        ("y", MemRef::new(I32, [DYN])),
    );
    m.function(FuncOptions::new("ternary_gemv").c_interface(), args, |b, (w, x, sum_x, y)| {
        let rows = b.name("rows").dim(w, 0);
        let bytes = b.name("bytes").dim(w, 1);
        let low = b.int(Vector::new(I8, [64]), 3);
        b.name("row").for_(0, rows, 1, (), |b, i, ()| {
            let zero = b.constant(I32, 0);
            let acc = b.name("acc").for_(0, bytes, 64, zero, |b, j, acc| {
                let packed = b.name("packed").vector_load(w, (i, j), [64]);
                let codes = b.name("codes").andi(packed, low);
                let xs = b.name("xs").vector_load(x, j, [64]);
                let codes = b.extui(codes, I32);
                let xs = b.extsi(xs, I32);
                b.dot_from(codes, xs, acc)
            });
            b.comment("codes are w + 1");
            let r = b.name("r").subi(acc, sum_x);
            b.store(r, y, i);
        });
    });
    let text = m.finish().unwrap();
    verified(&text);
    assert_eq!(
        text,
        "\
module {
  func.func @ternary_gemv(%w: memref<?x?xi8>, %x: memref<?xi8>, %sum_x: i32, %y: memref<?xi32>) attributes {llvm.emit_c_interface} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c3_64xi8 = arith.constant dense<3> : vector<64xi8>
    %c0_i32 = arith.constant 0 : i32
    %c64 = arith.constant 64 : index
    %rows = memref.dim %w, %c0 : memref<?x?xi8>
    %bytes = memref.dim %w, %c1 : memref<?x?xi8>
    scf.for %i = %c0 to %rows step %c1 {
      %acc = scf.for %i_1 = %c0 to %bytes step %c64 iter_args(%acc_1 = %c0_i32) -> (i32) {
        %packed = vector.load %w[%i, %i_1] : memref<?x?xi8>, vector<64xi8>
        %codes = arith.andi %packed, %c3_64xi8 : vector<64xi8>
        %xs = vector.load %x[%i_1] : memref<?xi8>, vector<64xi8>
        %0 = arith.extui %codes : vector<64xi8> to vector<64xi32>
        %1 = arith.extsi %xs : vector<64xi8> to vector<64xi32>
        %2 = arith.muli %0, %1 : vector<64xi32>
        %3 = vector.reduction <add>, %2, %acc_1 : vector<64xi32> into i32
        scf.yield %3 : i32
      }
      // codes are w + 1
      %r = arith.subi %acc, %sum_x : i32
      memref.store %r, %y[%i] : memref<?xi32>
    }
    return
  }
}
"
    );
}

#[test]
fn constants_are_exact_and_written_once() {
    let mut m = Module::new();
    m.function("f", (), |b, ()| {
        let a = b.constant(F32, 0.1);
        let b_ = b.constant(F64, -1e16);
        let c = b.constant(F80, 1.5);
        let d = b.bits(F128, 0x3fff << 112);
        let e = b.constant(F32, f32::INFINITY);
        let f = b.float(Vector::new(F16, [4]), f64::NAN);
        let g = b.constant(I1, true);
        let h = b.int(I8, 255);
        let again = b.constant(F32, 0.1);
        assert_eq!(a, again);
        let i = b.dense(Vector::new(F32, [2, 2]), &[1.0, 2.0, 3.0, 4.5]);
        let j = b.int(Vector::new(I1, [4]), 1);
        let k = b.float(F64, 5e-324);
        (a, b_, c, d, e, f, g, h, i, j, k)
    });
    let text = m.finish().unwrap();
    verified(&text);
    for line in [
        "arith.constant 1.0000000149011612e-1 : f32",
        "%cm1_0e16_f64 = arith.constant -1.0e16 : f64",
        "%c1_5_f80 = arith.constant 1.5 : f80",
        "arith.constant 0x3FFF0000000000000000000000000000 : f128",
        "%c0x7F800000_f32 = arith.constant 0x7F800000 : f32",
        "%c0x7E00_4xf16 = arith.constant dense<0x7E00> : vector<4xf16>",
        "%true = arith.constant true",
        "%cm1_i8 = arith.constant -1 : i8",
        "arith.constant dense<[[1.0, 2.0], [3.0, 4.5]]> : vector<2x2xf32>",
        "arith.constant dense<true> : vector<4xi1>",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(text.matches("1.0000000149011612e-1").count(), 1);
}

#[test]
fn fast_math_is_a_scope() {
    let mut m = Module::new();
    m.function("f", (F32, F32), |b, (x, y)| {
        let s = b.with_fastmath(FastMath::CONTRACT | FastMath::REASSOC, |b| b.addf(x, y));
        b.addf(s, y)
    });
    let text = m.finish().unwrap();
    verified(&text);
    assert!(
        text.contains("arith.addf %x")
            || text.contains("%0 = arith.addf %arg0, %arg1 fastmath<reassoc,contract> : f32")
    );
    assert!(text.contains("%1 = arith.addf %0, %arg1 : f32"), "{text}");
}

#[test]
fn locations_are_the_lines_of_the_source() {
    let mut m = Module::new().with_locations();
    let line = line!() + 1;
    m.function("f", F32, |b, x| b.addf(x, x));
    let text = m.finish().unwrap();
    verified(&text);
    assert!(text.contains(&format!("printing.rs\":{line}:")), "{text}");
}

#[test]
fn functions_data_and_attributes() {
    let mut m = Module::new();
    m.attribute("fidelity.bindings = 3 : i64");
    let expf = m.declare("expf", F32, F32);
    let table = m.global("table", MemRef::new(I8, [100]), &std::array::from_fn::<i8, 100, _>(|k| k as i8));
    let small = m.global("small", MemRef::new(F32, [2, 2]), &[0.0, 1.0, 2.0, 3.0]);
    let options = FuncOptions::new("helper").private().attribute("no_inline");
    let helper = m.function(options, (("x", F32), ("i", Index)), |b, (x, i)| {
        let t = b.get_global(&table);
        let byte = b.load(t, i);
        let s = b.get_global(&small);
        let first = b.load(s, (0, 1));
        let y = b.sitofp(byte, F32);
        let y = b.addf(y, first);
        (b.addf(x, y), b.cmpi(CmpI::Ult, i, i))
    });
    m.function("main", F32, |b, x| {
        let e = b.call(&expf, x);
        let i = b.index(7);
        let (y, _) = b.call(&helper, (e, i));
        y
    });
    let text = m.finish().unwrap();
    verified(&text);
    assert!(text.starts_with("module attributes {fidelity.bindings = 3 : i64} {"));
    assert!(text.contains("func.func private @expf(f32) -> f32\n"), "{text}");
    assert!(
        text.contains("func.func private @helper(%x: f32, %i: index) -> (f32, i1) attributes {no_inline} {")
    );
    assert!(text.contains("dense<\"0x000102"), "{text}");
    assert!(text.contains("%1:2 = func.call @helper(%0, %c7) : (f32, index) -> (f32, i1)"), "{text}");
    assert!(text.contains("return %1#0 : f32"), "{text}");
}
