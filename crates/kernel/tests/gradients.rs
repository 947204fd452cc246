//! Kernels in a graph are differentiated like everything else: the gradient of a ternary product is the product with the
//! transposed matrix.

use axes::DType;
use furnace::{Remat, vjp_graph};
use graph::{Array, Cx, Type, interp};
use kernel::article::ternary_matvec;

#[test]
fn the_gradient_of_a_ternary_product_is_the_transposed_product() {
    let cx = Cx::abstract_();
    let w = cx.input("w", Type::new(DType::Trit, [2, 3]));
    let scale = cx.input("scale", Type::scalar(DType::F32));
    let x = cx.input("x", Type::new(DType::F32, [3]));
    let y = ternary_matvec::kernel().call(&cx, &[&w, &scale, &x]).unwrap();
    let g = cx.finish(&[("y", &y[0])]).unwrap();
    let pulled = vjp_graph(&g, &["x"], Remat::default()).unwrap();
    let (trits, ct) = ([1.0, 0.0, -1.0, 1.0, 1.0, 1.0], [3.0, 0.5]);
    let inputs = vec![
        Array::<f64>::from_f64(DType::Trit, [2, 3], &trits),
        Array::from_f64(DType::F32, vec![], &[2.0]),
        Array::from_f64(DType::F32, [3], &[0.25, -1.0, 4.0]),
        Array::from_f64(DType::F32, [2], &ct),
    ];
    let out = interp::run(&pulled, inputs, false).unwrap();
    let expected: Vec<f64> = (0..3).map(|i| (trits[i] * ct[0] + trits[3 + i] * ct[1]) / 2.0).collect();
    let found = out.outputs.last().unwrap().1.to_f64();
    assert_eq!(found, expected);
}
