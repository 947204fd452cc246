use proptest::prelude::*;

use super::*;

crate::axes! { Batch; In; Out; Fixed = 2; }

fn vector(data: Vec<f32>) -> Tensor<(In,)> {
    Tensor::vector(data).unwrap()
}

#[test]
fn constructors_reject_what_is_not_ternary() {
    let error = TernaryMatrix::<In, Out>::new([1, 3], vec![0, 2, -2], 1.0).unwrap_err();
    assert_eq!(error, AxesError::IllegalTrit { index: 1, found: 2 });
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let result = TernaryMatrix::<In, Out>::new([1, 1], vec![1], scale);
        assert!(matches!(result, Err(AxesError::IllegalScale { .. })), "{scale}");
    }
    let error = TernaryMatrix::<In, Out>::new([2, 2], vec![0; 3], 1.0).unwrap_err();
    assert_eq!(error.to_string(), "ternary matrix: axes (Out = 2, In = 2) hold 4 elements, found 3");
    assert!(matches!(
        TernaryMatrix::<In, Fixed>::new([3, 1], vec![0; 3], 1.0),
        Err(AxesError::DeclaredSize { axis: "Fixed", expected: 2, found: 3, .. })
    ));
}

#[test]
fn absmean_rounds_half_to_even() {
    // mean|W| = 1, so W s = W: 0.5 → 0, 1.5 → 2 → 1, −0.5 → 0, −1.5 → −1.
    let w = Tensor::<(Out, In)>::from_vec([1, 4], vec![0.5, 1.5, -0.5, -1.5]).unwrap();
    let t = TernaryMatrix::from_weights(&w).unwrap();
    assert_eq!((t.scale(), t.trits().as_slice()), (1.0, &[0, 1, 0, -1][..]));
}

#[test]
fn absmean_has_a_floor_and_refuses_nan() {
    let zeros = Tensor::<(Out, In)>::zeros([2, 2]).unwrap();
    let t = TernaryMatrix::from_weights(&zeros).unwrap();
    assert_eq!((t.scale(), t.trits().as_slice()), (1.0 / 1e-5, &[0i8; 4][..]));
    let bad = Tensor::<(Out, In)>::from_vec([1, 2], vec![1.0, f32::NAN]).unwrap();
    assert!(matches!(TernaryMatrix::from_weights(&bad), Err(AxesError::NotFinite { index: 1, .. })));
    let empty = Tensor::<(Out, In)>::zeros([0, 3]).unwrap();
    assert_eq!(TernaryMatrix::from_weights(&empty).unwrap().outputs(), 0);
}

#[test]
fn run_time_sizes_are_checked() {
    let m = TernaryMatrix::<In, Out>::new([1, 3], vec![1, 0, -1], 1.0).unwrap();
    let error = m.try_multiply_vector(&vector(vec![1.0; 2])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "multiply_vector: axis `In`: expected size 3 (left operand), found 2 (right operand)"
    );
    assert!(m.try_multiply_batch(&Tensor::<(Batch, In)>::zeros([2, 4]).unwrap()).is_err());
}

#[test]
fn zero_trits_add_nothing() {
    let m = TernaryMatrix::<In, Out>::new([1, 2], vec![1, 0], 1.0).unwrap();
    assert_eq!(m.multiply_vector(&vector(vec![3.0, f32::INFINITY])).as_slice(), [3.0]);
}

#[test]
fn a_view_borrows_any_storage() {
    let trits = [1i8, -1, 0, 1];
    let m = TernaryMatrix::<In, Out, &[i8]>::new([2, 2], &trits, 4.0).unwrap();
    assert_eq!((m.trit(1, 1), m.view().trit(0, 1), m.scale_factor()), (1, -1, 0.25));
    assert_eq!(m.dequantize().as_slice(), [0.25, -0.25, 0.0, 0.25]);
    assert_eq!(format!("{:?}", m.clone()), "TernaryMatrix(In = 2 -> Out = 2, scale 4)");
}

fn cases() -> impl Strategy<Value = (usize, usize, usize, Vec<i8>, Vec<i8>)> {
    (0usize..5, 0usize..7, 0usize..9).prop_flat_map(|(b, o, i)| {
        let trits = prop::collection::vec(-1i8..=1, o * i);
        let x = prop::collection::vec(any::<i8>(), b * i);
        (Just(b), Just(o), Just(i), trits, x)
    })
}

proptest! {
    /// Integers below 2²⁴ and a scale that is a power of two: every form is exact, so equal to the dense product.
    #[test]
    fn products_equal_the_dense_product((b, o, i, trits, x) in cases()) {
        let m = TernaryMatrix::<In, Out>::new([o, i], trits, 0.5).unwrap();
        let batch = Tensor::<(Batch, In), i8>::from_vec([b, i], x).unwrap();
        let real: Tensor<(Batch, In)> = batch.map(f32::from);
        let y: Tensor<(Batch, Out)> = m.multiply_batch(&real);
        prop_assert_eq!(&y, &real.linear(&m.dequantize()));
        for row in 0..b {
            let x = real.row(row).unwrap();
            let one = m.multiply_vector(&x);
            let expected = y.row(row).unwrap();
            prop_assert_eq!(one.as_slice(), expected.as_slice());
            let sums = m.accumulate(&batch.row(row).unwrap()).map(|sum| sum as f32 / 0.5);
            prop_assert_eq!(sums.as_slice(), one.as_slice());
            let mut into = Tensor::<(Out,)>::filled([o], f32::NAN).unwrap();
            m.multiply_vector_into(&x, &mut into);
            prop_assert_eq!(into, one);
        }
    }

    /// The stored weight is the nearest of −1/s, 0 and 1/s, up to the rounding of w · s at a tie.
    #[test]
    fn quantisation_takes_the_nearest_trit(w in prop::collection::vec(-4.0f32..4.0, 1..40)) {
        let weights = Tensor::<(Out, In)>::from_vec([1, w.len()], w.clone()).unwrap();
        let m = TernaryMatrix::from_weights(&weights).unwrap();
        let back = m.dequantize();
        for (&w, &q) in w.iter().zip(back.as_slice()) {
            let best = [-1.0, 0.0, 1.0].map(|t: f32| (w - t / m.scale()).abs()).into_iter().fold(f32::MAX, f32::min);
            prop_assert!((w - q).abs() <= best + 1e-6);
        }
        // Quantising is a projection onto trits: the trits of the quantised weights are the same.
        let again: Vec<i8> = back.as_slice().iter().map(|&q| quantize(q, m.scale())).collect();
        prop_assert_eq!(&again, m.trits());
    }
}
