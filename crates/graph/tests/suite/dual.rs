//! Evaluation in dual numbers against finite differences, for every op from floats to floats.

use crate::table::{cases, eval, randomized};
use graph::{Array, Class, Data, Dual, Op, Scalar};
use proptest::prelude::*;

fn moved(inputs: &[Array<f64>], along: &[Array<f64>], h: f64) -> Vec<Array<f64>> {
    inputs
        .iter()
        .zip(along)
        .map(|(x, d)| match &x.data {
            Data::Float(v) => Array::float(
                x.dtype,
                x.shape.clone(),
                v.iter().zip(d.floats()).map(|(x, d)| x + h * d).collect(),
            ),
            Data::Int(_) => x.clone(),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]

    #[test]
    fn dual_numbers_agree_with_finite_differences(seed in any::<u64>()) {
        let mut checked = 0;
        for c in cases() {
            // Random matrices may be nearly singular; `furnace` has cases with others.
            let matrices = matches!(c.op, Op::Solve | Op::TriangularSolve | Op::Determinant | Op::Cholesky | Op::Eigh);
            if c.op.class() == Class::Source || matrices {
                continue;
            }
            // Positive numbers, for logarithms, roots and powers; away from kinks with probability one.
            let end = if matches!(c.op, Op::Asin | Op::Acos) { 0.9 } else { 1.7 };
            let x = randomized(&c.inputs, seed, 0.3..end);
            let along = randomized(&c.inputs, seed ^ 0x5555, -1.0..1.0);
            let dual: Vec<Array<Dual<f64>>> = x
                .iter()
                .zip(&along)
                .map(|(x, d)| match &x.data {
                    Data::Float(v) => {
                        let pairs = v.iter().zip(d.floats()).map(|(v, d)| Dual { value: *v, tangent: *d });
                        Array::float(x.dtype, x.shape.clone(), pairs.collect())
                    }
                    Data::Int(v) => Array::int(x.dtype, x.shape.clone(), v.to_vec()),
                })
                .collect();
            let h = 1e-6;
            let [plus, minus] = [h, -h].map(|h| eval(c.op, &c.attrs, &moved(&x, &along, h)).unwrap());
            for (k, out) in eval(c.op, &c.attrs, &dual).unwrap().iter().enumerate() {
                for (i, y) in out.floats().iter().enumerate() {
                    let slope = (plus[k].floats()[i] - minus[k].floats()[i]) / (2.0 * h);
                    prop_assert!((y.tangent - slope).abs() < 1e-6 * slope.abs().max(1.0),
                        "{} {:?}: dual {}, differences {slope}", c.op.name(), c.attrs, y.tangent);
                    checked += 1;
                }
            }
        }
        prop_assert!(checked > 60);
    }
}

#[test]
fn duals_nest() {
    // d²/dx² x³ = 6x, and d/dx of x·d/dy(x·y) = 2x at equal seeds that must not be confused.
    let x = Dual { value: Dual { value: 2.0, tangent: 1.0 }, tangent: Dual { value: 1.0, tangent: 0.0 } };
    let cube = x.clone() * x.clone() * x.clone();
    assert_eq!((cube.value.value, cube.tangent.value, cube.tangent.tangent), (8.0, 12.0, 12.0));
    let power = x.powf(&Scalar::from_f64(3.0));
    assert_eq!((power.value.value, power.tangent.value, power.tangent.tangent), (8.0, 12.0, 12.0));
}

#[test]
fn zero_to_a_power_has_no_slope_in_the_exponent() {
    let at = |v: f64, t: f64| Array::float(axes::DType::F64, vec![], vec![Dual { value: v, tangent: t }]);
    let y = eval(Op::Power, &graph::Attrs::new(), &[at(0.0, 0.0), at(2.0, 1.0)]).unwrap();
    assert_eq!(y[0].floats()[0].tangent, 0.0);
}
