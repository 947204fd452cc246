//! What is printed reads back as the same module, and no text makes the parser panic.

use std::sync::Arc;

use alex::dialect::{Attr, Dense, Func, Module, Type, verify};
use proptest::prelude::*;

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["f32", "f64", "bf16", "f128", "i8", "i32", "i1", "index"])
        .prop_map(str::to_owned)
}

fn leaf() -> impl Strategy<Value = Attr> {
    prop_oneof![
        (any::<i64>(), prop::sample::select(vec!["i64", "index"]))
            .prop_map(|(n, ty)| Attr::Int(n, Type::word(ty))),
        any::<i8>().prop_map(|n| Attr::Int(n.into(), Type::word("i8"))),
        any::<bool>().prop_map(Attr::Bool),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |v| !v.is_nan())
            .prop_map(|v| Attr::Float(v, Type::word("f64"))),
        any::<f32>()
            .prop_filter("NaN is not equal to itself", |v| !v.is_nan())
            .prop_map(|v| Attr::Float(v.into(), Type::word("f32"))),
        any::<String>().prop_map(Attr::Str),
        word().prop_map(|w| Attr::Type(Type::Word(w))),
        "[a-z_][a-z0-9_.$]{0,8}".prop_map(Attr::Symbol),
        Just(Attr::Unit),
        Just(Attr::Other("affine_map<(d0) -> (d0)>".to_owned())),
        Just(Attr::Other("dense<[1, 2]> : tensor<2xi16>".to_owned())),
        Just(Attr::Dense(Dense {
            values: Arc::new(vec![1.0, -2.5]),
            sizes: vec![2],
            elem: "f32".to_owned()
        })),
    ]
}

fn attr() -> impl Strategy<Value = Attr> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let name = "[a-z][a-z0-9_]{0,6}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Attr::Array),
            prop::collection::btree_map(name, inner.clone(), 0..3)
                .prop_map(|map| Attr::Dict(map.into_iter().collect())),
            (name, prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(name, parameters)| Attr::Fidelity { name, parameters }),
            (name, prop::collection::vec(inner, 0..3))
                .prop_map(|(name, parameters)| Attr::Type(Type::Fidelity { name, parameters })),
        ]
    })
}

fn ty() -> impl Strategy<Value = Type> {
    prop_oneof![
        word().prop_map(Type::Word),
        (prop::collection::vec(prop::option::of(0_u64..5000), 0..4), word())
            .prop_map(|(sizes, elem)| Type::Tensor { sizes, elem: Box::new(Type::Word(elem)) }),
        ("[a-z][a-z0-9_]{0,8}", prop::collection::vec(attr(), 0..4))
            .prop_map(|(name, parameters)| Type::Fidelity { name, parameters }),
        Just(Type::Other("memref<4x?xf32, strided<[?, 1]>>".to_owned())),
        Just(Type::Other("!llvm.ptr".to_owned())),
    ]
}

fn module() -> impl Strategy<Value = Module> {
    let op = ("[a-z][a-z0-9_]{0,8}", any::<u64>(), 0_usize..4, prop::collection::vec(ty(), 0..3), attr());
    (prop::collection::vec(ty(), 0..4), prop::collection::vec(op, 0..6), any::<bool>()).prop_map(
        |(types, ops, private)| {
            let mut f = Func::new("f");
            f.private = private;
            let mut values: Vec<_> = types.into_iter().map(|ty| f.argument("x", ty)).collect();
            for (name, seed, count, results, attr) in ops {
                let pick = |k: usize| values[(seed as usize).wrapping_mul(k + 1) % values.len()];
                let operands: Vec<_> =
                    if values.is_empty() { Vec::new() } else { (0..count).map(pick).collect() };
                let results = results.into_iter().map(|ty| ("r".to_owned(), ty)).collect();
                values.extend(f.push(&name, &operands, vec![("a".to_owned(), attr)], results));
            }
            f.finish(&values[..values.len().min(2)]);
            Module { functions: vec![f] }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_reading_are_inverse(module in module()) {
        let text = module.to_string();
        let read = Module::parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&module), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = verify(&text);
    }

    #[test]
    fn no_damaged_module_makes_it_panic(module in module(), at in any::<usize>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = module.to_string().into_bytes();
        let at = at % bytes.len().max(1);
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        let _ = verify(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("func.func @f(%x: !fidelity.a<{}>) {{\n  return\n}}", "[".repeat(100_000));
    let error = Module::parse(&deep).unwrap_err();
    assert!(error.problem.contains("nest deeper"), "{error}");
    let deep = format!("func.func @f(%x: {}) {{\n  return\n}}", "tensor<".repeat(100_000));
    assert!(Module::parse(&deep).is_err());
    let deep = format!("func.func @f(%x: memref{}) {{\n  return\n}}", "<".repeat(100_000));
    assert!(Module::parse(&deep).is_err());
}

#[test]
fn messages_name_the_place() {
    for (text, wanted) in [
        (
            "func.func @f() {\n  \"fidelity.add\"(%x) : (f32) -> ()\n  return\n}",
            "line 2, column 18: %x is not defined",
        ),
        (
            "func.func @f(%x: f32) {\n  %y = arith.addf %x, %x : f32\n  return\n}",
            "line 2, column 8: `arith.addf` must be written in the generic form, as \"arith.addf\"(…) : (…) -> (…)",
        ),
        ("func.func @f(%x: f32) {\n}", "line 2, column 1: @f must end in `return`"),
        (
            "func.func @f(%x: f32) -> f64 {\n  return %x : f64\n}",
            "line 2, column 10: %x has type f32, it is used with type f64",
        ),
        (
            "func.func @f() {\n  \"fidelity.x\"() <{a}> : () -> ()\n  return\n}",
            "line 2, column 18: operations of this dialect have no properties: write attributes in `{…}`",
        ),
    ] {
        assert_eq!(Module::parse(text).unwrap_err().to_string(), wanted);
    }
}
