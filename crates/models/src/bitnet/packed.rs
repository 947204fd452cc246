//! Packed matrices as the published folders hold them: four trits in a byte, and one scale.
//!
//! A matrix of M × K is u8 [M/4, K]: row r + i · M/4 of the matrix lies in bits 2i and 2i + 1 of byte row r, each trit as
//! t + 1. The scale is mean|W| or its inverse, see [`ScaleMeaning`]; here it always becomes s = 1/mean|W|, W = t / s.

use super::{BitNetConfig, ScaleMeaning};
use crate::error::{ModelError, Result};
use crate::folder::Weights;

const REMEDY: &str = "fetch the weights again, from one revision with their config.json";

/// The trits (M, K) and the scale s of the projection `name`.
///
/// # Errors
/// [`ModelError::Tensor`] for a code that is no trit, sizes that do not fit, and a scale that is no positive number.
pub fn unpack(config: &BitNetConfig, weights: &Weights, name: &str) -> Result<(Vec<i8>, f32)> {
    let view = weights.tensor(name)?;
    let path = weights.path();
    let wrong = |name: &str, expected: &str, found: String| {
        Err(ModelError::tensor(path, name, expected, found, REMEDY))
    };
    let [bytes, columns] = *view.shape else {
        return wrong(name, "a matrix of u8", format!("{:?}", view.shape));
    };
    let shape = config.shape_of(name).filter(|[rows, _]| rows % 4 == 0 && rows / 4 == bytes);
    let Some([rows, _]) = shape.filter(|[_, width]| *width == columns) else {
        return wrong(
            name,
            "a quarter of the rows of a matrix, which are a multiple of 4",
            format!("{:?}", view.shape),
        );
    };
    let mut trits = vec![0i8; rows * columns];
    for (i, part) in trits.chunks_exact_mut((bytes * columns).max(1)).enumerate() {
        for (at, (t, byte)) in part.iter_mut().zip(view.bytes).enumerate() {
            let code = byte >> (2 * i) & 3;
            if code == 3 {
                let (row, column) = (i * bytes + at / columns, at % columns);
                return wrong(name, "codes 0, 1 and 2", format!("3 at row {row}, column {column}"));
            }
            *t = code as i8 - 1;
        }
    }
    let stored = weights.to_f32(&format!("{name}_scale"))?;
    let scale = match config.quantization.scale {
        ScaleMeaning::Divide => stored[0],
        ScaleMeaning::Multiply => 1.0 / stored[0],
    };
    if !(scale.is_finite() && scale > 0.0) {
        return wrong(&format!("{name}_scale"), "a positive number", stored[0].to_string());
    }
    Ok((trits, scale))
}

/// The same the other way round: bytes u8 [M/4, K].
///
/// # Errors
/// [`ModelError::Value`] for rows that are no multiple of 4.
pub fn pack(trits: &[i8], rows: usize, columns: usize) -> Result<Vec<u8>> {
    if !rows.is_multiple_of(4) || trits.len() != rows * columns {
        return Err(ModelError::Value {
            what: "matrix".into(),
            expected: "rows that are a multiple of 4".into(),
            found: format!("{} trits in {rows} rows", trits.len()),
            remedy: "store this model as master weights".into(),
        });
    }
    let mut bytes = vec![0; trits.len() / 4];
    let part = bytes.len().max(1);
    for (i, trits) in trits.chunks_exact(part).enumerate() {
        bytes.iter_mut().zip(trits).for_each(|(byte, t)| *byte |= ((t + 1) as u8) << (2 * i));
    }
    Ok(bytes)
}
