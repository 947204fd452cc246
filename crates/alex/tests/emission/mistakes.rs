//! What rustc cannot see: sizes, and values used where they are not visible.

use alex::ir::{
    AnyType, AnyValue, Combine, DYN, F32, F64, I8, I32, Index, MemRef, Mistakes, Module, Value, Vector,
};

fn only(module: Module) -> String {
    let Mistakes(mistakes) = module.finish().expect_err("a mistake");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].place.file().ends_with("mistakes.rs"), "{}", mistakes[0]);
    format!("{}: {}", mistakes[0].op, mistakes[0].problem)
}

#[test]
fn lanes_that_differ() {
    let mut m = Module::new();
    let args = (Vector::new(F32, [8]), Vector::new(F32, [16]));
    let line = line!() + 1;
    m.function("f", args, |b, (x, y)| b.addf(x, y));
    let message = m.finish().unwrap_err().to_string();
    assert!(
        message.contains("arith.addf: operands must have one type, found vector<8xf32> and vector<16xf32>")
    );
    assert!(message.contains(&format!("mistakes.rs:{line}:")), "{message}");
}

#[test]
fn a_value_of_another_function() {
    let mut m = Module::new();
    let mut kept = None;
    m.function("f", F32, |_, x| kept = Some(x));
    m.function("g", F32, |b, y| b.addf(kept.unwrap(), y));
    assert_eq!(only(m), "arith.addf: an operand belongs to another function; pass it as an argument");
}

#[test]
fn a_value_of_a_function_around_it() {
    let mut m = Module::new();
    m.function("outer", F32, |b, x| {
        b.module().function("inner", (), |b, ()| b.negf(x));
    });
    assert_eq!(only(m), "arith.negf: an operand belongs to another function; pass it as an argument");
}

#[test]
fn a_value_of_a_closed_region() {
    let mut m = Module::new();
    m.function("f", F32, |b, x| {
        let mut inner = None;
        b.for_(0, 4, 1, (), |b, _, ()| inner = Some(b.mulf(x, x)));
        b.addf(x, inner.unwrap())
    });
    assert_eq!(only(m), "arith.addf: %0 belongs to a region that is closed; yield it to the outside");
}

#[test]
fn carried_values_of_another_size() {
    let mut m = Module::new();
    m.function("f", (Vector::new(F32, [8]), Vector::new(F32, [4])), |b, (x, y)| {
        b.for_(0, 4, 1, x, |_, _, _| y)
    });
    assert_eq!(only(m), "scf.for: the region must yield (vector<8xf32>), it yields (vector<4xf32>)");

    let mut m = Module::new();
    m.function("f", F32, |b, x| {
        b.for_(0, 4, 1, vec![x], |_, _, mut all: Vec<Value<F32>>| {
            all.push(x);
            all
        });
    });
    assert_eq!(only(m), "scf.for: the region must yield (f32), it yields (f32, f32)");
}

#[test]
fn branches_of_different_sizes() {
    let mut m = Module::new();
    m.function("f", (alex::ir::I1, Vector::new(I32, [8]), Vector::new(I32, [4])), |b, (c, x, y)| {
        b.if_(c, |_| x, |_| y);
    });
    assert_eq!(only(m), "scf.if: the region must yield (vector<8xi32>), it yields (vector<4xi32>)");
}

#[test]
fn places_outside_of_memory() {
    let mut m = Module::new();
    m.function("f", MemRef::new(F32, [4, 8]), |b, x| {
        b.load(x, (3, 8));
    });
    assert_eq!(only(m), "memref.load: elements 8..9 of axis 1 do not lie in memref<4x8xf32>");

    let mut m = Module::new();
    m.function("f", MemRef::new(F32, [4, 8]), |b, x| {
        b.vector_load(x, (0, 4), [8]);
    });
    assert_eq!(only(m), "vector.load: elements 4..12 of axis 1 do not lie in memref<4x8xf32>");

    let mut m = Module::new();
    m.function("f", MemRef::new(I8, [64]), |b, x| {
        b.view(x, 32, MemRef::new(F64, [8]), &[]);
    });
    assert_eq!(only(m), "memref.view: elements 32..96 of axis 0 do not lie in memref<64xi8>");

    let mut m = Module::new();
    m.function("f", MemRef::new(F32, [4, 8]), |b, x| {
        b.subview(x, (2, 0), (3, 8), (1, 1));
    });
    assert_eq!(only(m), "memref.subview: elements 2..5 of axis 0 do not lie in memref<4x8xf32>");
}

#[test]
fn sizes_that_are_missing() {
    let mut m = Module::new();
    m.function("f", Index, |b, n| {
        b.alloca(MemRef::new(F32, [DYN, 4]), &[n, n]);
    });
    assert_eq!(only(m), "memref.alloca: memref<?x4xf32> leaves 1 sizes open, found 2");
}

#[test]
fn calls_with_other_sizes() {
    let mut m = Module::new();
    let f = m.function("f", MemRef::new(F32, [8]), |_, _| ());
    m.function("g", MemRef::new(F32, [4]), |b, x| b.call(&f, x));
    assert_eq!(only(m), "func.call: @f takes (memref<8xf32>), found (memref<4xf32>)");
}

#[test]
fn names_that_are_taken() {
    let mut m = Module::new();
    m.function("f", (), |_, ()| ());
    m.function("f", (), |_, ()| ());
    assert_eq!(only(m), "func.func: there is a `f` already; `Module::has` tells");
}

#[test]
fn types_found_at_run_time() {
    let mut m = Module::new();
    m.function("f", vec![AnyType::Scalar(alex::ir::Kind::F64)], |b, x: Vec<AnyValue>| {
        assert!(x[0].downcast::<F32>().is_none());
        let y = b.expect(x[0], F32);
        b.addf(y, y);
    });
    assert_eq!(only(m), "expect: expected a value of type f32, found f64");
}

#[test]
fn reductions_that_do_not_suit() {
    let mut m = Module::new();
    m.function("f", Vector::new(F32, [8]), |b, x| b.reduction(Combine::Maxsi, x));
    assert_eq!(only(m), "vector.reduction: Maxsi does not combine elements of type f32");
}

#[test]
fn constants_that_do_not_fit() {
    let mut m = Module::new();
    m.function("f", (), |b, ()| b.int(I8, 256));
    assert_eq!(only(m), "arith.constant: 256 does not fit i8");
}
