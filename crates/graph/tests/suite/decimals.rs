//! Decimal constants are that decimal in every arithmetic.

use axes::DType;
use graph::{Cx, Graph, Op, Type, interp, passes, splat};

fn tenths() -> Graph {
    let cx = Cx::abstract_();
    let ty = Type::scalar(DType::F64);
    let sum = cx.decimal(&ty, "0.1") + cx.decimal(&ty, "2.5e-1");
    cx.finish(&[("y", &sum)]).unwrap()
}

#[test]
fn only_what_no_double_is_keeps_its_text() {
    let cx = Cx::abstract_();
    let ty = Type::scalar(DType::F64);
    let (half, tenth) = (cx.decimal(&ty, "0.5"), cx.decimal(&ty, "0.1"));
    assert_eq!((splat(&half), splat(&tenth)), (Some(0.5), None));
    assert!(cx.decimal(&ty, "1.2.3").is_poison());
    let near = Cx::abstract_();
    let one = near.decimal(&ty, "1.0000000000000000000000001");
    let x = near.input("x", ty.clone());
    assert_ne!((&x * &one).id(), x.id(), "nearly one is not one");
}

#[test]
fn folding_leaves_them_and_the_text_form_keeps_them() {
    let g = tenths();
    assert_eq!(passes::standard(&g).nodes.iter().filter(|n| n.op == Op::Constant).count(), 2);
    let again = Graph::parse(&g.to_string()).unwrap();
    assert_eq!(again, g);
    assert_eq!(again.verify().map_err(|e| e.to_string()), Ok(()));
    assert_eq!(interp::run::<f64>(&again, vec![], false).unwrap().outputs[0].1.to_f64(), [0.35]);
    let broken = g.to_string().replace("\"0.1\"", "\"0.2\"");
    assert!(Graph::parse(&broken).is_err() || Graph::parse(&broken).unwrap().verify().is_err());
}
