//! Print, parse, print.

use crate::generate;
use axes::DType;
use graph::{Attr, Cx, Dim, Graph, Op, Type, attrs};
use proptest::prelude::*;
use std::sync::Arc;

fn round_trip(g: &Graph) -> Graph {
    let text = g.to_string();
    let back = Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(back, *g, "{text}");
    assert_eq!(back.to_string(), text);
    for (a, b) in g.nodes.iter().zip(&back.nodes) {
        assert_eq!(g.scopes[a.scope as usize], back.scopes[b.scope as usize]);
    }
    back
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn random_graphs_read_back(choices in generate::choices()) {
        round_trip(&generate::graph(&choices));
    }

    #[test]
    fn damaged_text_is_an_error_and_never_a_panic(
        choices in generate::choices(),
        cuts in proptest::collection::vec((any::<u16>(), any::<u16>(), any::<u8>()), 1..4),
    ) {
        let mut text = generate::graph(&choices).to_string();
        for (at, len, by) in cuts {
            let find = |k: usize| (k..=text.len()).find(|k| text.is_char_boundary(*k)).unwrap();
            let from = find(at as usize % (text.len() + 1));
            let to = find((from + len as usize % 12).min(text.len()));
            let pieces = ["", "%", "9999999999999999999", "-", "#7", "graph", "\"", "@", "{", "<B>", "f32[", "\u{e9}"];
            text.replace_range(from..to, pieces[by as usize % pieces.len()]);
        }
        if let Ok(g) = Graph::parse(&text) {
            prop_assert!(g.verify().is_ok());
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(graph|\\(|\\)|->|\\{|\\}|%[0-9]|:|f32\\[B\\]|=|add|input|,|#|@|\"|\\\\|[ -~]|\\n){0,60}") {
        let _ = Graph::parse(&text);
    }
}

#[test]
fn every_kind_of_attribute_reads_back_to_the_bit() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [Dim::from("B"), &Dim::from("T") * &Dim::from(3)]));
    let odd =
        [0.1, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN, f64::MIN_POSITIVE, 5e-324, 1e300];
    let odd: Vec<f64> = odd.into_iter().chain([f64::from_bits(0x7ff0_0000_dead_beef)]).collect();
    let dense = cx.array(DType::F64, &[odd.len()], &odd);
    let half = cx.array(DType::BF16, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let big = Dim::from("B");
    let padded = x.pad(&[Dim::from(1), big], &[Dim::from(0), Dim::from(2)], -0.0);
    let inner = Cx::abstract_();
    let p = inner.input("", Type::scalar(DType::Trit));
    let callee = Arc::new(inner.finish(&[("line\nbreak\t\u{1}", &p)]).unwrap());
    let trit = cx.input("t", Type::scalar(DType::Trit));
    let called = cx.call("say \"\\hi\"", &callee, &[&trit]);
    cx.tap("tap-1", &called[0]);
    let wide =
        cx.push1(Op::RandomBits, attrs! { dims: Dims(vec![]) }, &[&cx.full(&Type::scalar(DType::I64), -5.0)]);
    let outs = [("a", &dense), ("b", &half), ("c", &padded), ("d", &called[0]), ("e", &wide)];
    let g = cx.finish(&outs).unwrap();
    let back = round_trip(&g);
    let values = |g: &Graph| match g.node(g.output("a").unwrap()).attrs.get("values") {
        Some(Attr::Floats(v)) => v.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        _ => panic!("the constant lost its values"),
    };
    assert_eq!(values(&g), values(&back));
    assert_eq!(values(&g), odd.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
}

#[test]
fn a_person_can_write_it() {
    let g = Graph::parse(
        "// labels need not be numbers\n\
         graph(x=%x, \"the weight\"=%w) -> (y=%z) taps(r=%n#1) {\n\
           %x : f32[B, 64] = input\n\
           %w : f32[64]    = input  // weight\n\
           %n:2 = rms_norm %x, %w {eps=1e-6} : f32[B,64], f32[B] @layers.0\n\
           %z:f32[B,64] = add %n#0, %x\n\
         }\n",
    )
    .unwrap();
    assert_eq!(g.tap("r").unwrap().out, 1);
    assert_eq!(g.scopes[g.nodes[2].scope as usize], "layers.0");
    assert!(g.to_string().contains("%2:2 = rms_norm %0, %1 {eps=1e-6} : f32[B,64], f32[B] @layers.0"), "{g}");
}

#[test]
fn errors_name_the_line_and_the_cause() {
    let cases = [
        ("", "line 1: expected `graph`"),
        ("graph() -> () {\n%0:f32[B] = inputs\n}", "line 2: unknown op `inputs`"),
        ("graph(x=%0) -> () {\n%0:f32[B] = input\n%1:f32[B] = exp %3\n}", "line 3: %3 is not defined"),
        ("graph(x=%0) -> () {\n%0:f32[B] = input\n%1:f32[B] = exp %0#4\n}", "line 3: %0 has no result 4"),
        (
            "graph(x=%0) -> () {\n%0:f32[B] = input\n%1:f32[B] = exp %0 {axis=1}\n}",
            "exp has no attribute `axis`",
        ),
        ("graph(x=%0) -> () {\n%0:f32[B] = input\n%1:f32[C] = exp %0\n}", "line 3: exp: has the types"),
        ("graph(x=%0) -> () {\n%0:g32[B] = input\n}", "line 2: `g32[B]` is not a type"),
        ("graph(x=%0) -> () {\n%0:f32[B] = input\n%0:f32[B] = exp %0\n}", "%0 is defined twice"),
        ("graph(x=%0) -> (y=%0) {\n%0:f32[B] = input\n} graph", "line 3: expected the end"),
        ("graph(\"x", "a string without its closing quote"),
        ("graph() -> () {\n%0:i64[9999999999999999999999] = input }", "is not a type"),
        // Two coefficients whose sum is below every number that could be read back.
        ("graph(x=%0) -> () {\n%0:f32[-9223372036854775807*B-B] = input }", "is not a size"),
        ("graph(x=%0) -> () {\n%0:f32[9223372036854775807*B+B] = input }", "is not a size"),
    ];
    for (text, expected) in cases {
        let error = Graph::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
    let deep = "graph() -> () { %0:0 = call {callee=".repeat(100_000);
    assert!(Graph::parse(&deep).unwrap_err().to_string().contains("nested deeper"));
}
