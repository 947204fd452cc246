//! Writing BitNet's packed folder: the form of the published 2B4T weights. Exact for trits; the scale divides
//! (`"linear_class": "bitlinear"`) or multiplies (`"autobitlinear"`), whichever the source has, so that it is exact too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use barewire::gguf::GgmlType;
use serde_json::json;

use super::Exchange;
use crate::architecture::{Architecture, ModelConfig};
use crate::atomic;
use crate::bitnet::packed::pack;
use crate::bitnet::{Quantization, ScaleMeaning};
use crate::error::{ModelError, Result};
use crate::folder::{CONFIG, GENERATION_CONFIG, WEIGHTS, generation_config, is_weight_file, write_json};
use crate::gguf::Scale;
use crate::safetensors::{FloatType, NamedTensor, Values, write};

/// Writes a folder of `config.json`, packed weights and files. Numbers are stored as `dtype`, or in the type that they have.
///
/// The whole of a packed model is held in memory while it is written: a quarter of a byte a weight.
///
/// # Errors
/// [`ModelError::Value`] for an architecture without this form, rows that are no multiple of four;
/// [`ModelError::Tensor`] for numbers that do not fit `dtype`; those of the source.
pub fn write_packed_folder(
    path: &Path,
    source: &mut dyn Exchange,
    dtype: Option<FloatType>,
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    let ModelConfig::BitNet(config) = source.config().clone() else {
        return Err(ModelError::Value {
            what: "packed folder".into(),
            expected: "a BitNet model".into(),
            found: source.config().model_type().into(),
            remedy: "write master weights (--type f32)".into(),
        });
    };
    let projections = config.projections();
    let scales = projections.iter().map(|name| source.scale(name)).collect::<Result<Vec<_>>>()?;
    // One meaning for the file: division where any scale is stored so, for each has an f32 divisor.
    let divide = scales.iter().any(|scale| matches!(scale, Scale::Divide(_)));
    let ternary: BTreeMap<&str, Scale> = projections.iter().map(String::as_str).zip(scales).collect();
    let mut tensors = vec![];
    for (name, shape) in config.expected_tensors() {
        progress(&name);
        if let (Some(scale), &[rows, columns]) = (ternary.get(name.as_str()), shape.as_slice()) {
            let (trits, _) = source.trits(&name)?;
            let packed = pack(&trits, rows, columns)?;
            let scale = if divide { scale.divisor() } else { scale.factor() };
            tensors.push(NamedTensor {
                name: name.clone(),
                shape: vec![rows / 4, columns],
                values: Values::U8(packed.into()),
            });
            tensors.push(NamedTensor::f32(format!("{name}_scale"), &[1], vec![scale]));
            continue;
        }
        let dtype = dtype.map_or_else(|| source.stored(&name).map(float), Ok)?;
        let values = Values::F32(Cow::Owned(source.numbers(&name)?.into_owned()));
        let values = match values.cast(dtype) {
            Ok(values) => values.into_owned(),
            Err(at) => {
                let expected = format!("values that {} can hold", dtype.torch_name());
                let found = format!("a larger one at element {at}");
                return Err(ModelError::tensor(path, name, expected, found, "write f32 or bf16"));
            }
        };
        tensors.push(NamedTensor { name, shape, values });
    }
    let mut config = config.as_ref().clone();
    let scale = if divide { ScaleMeaning::Divide } else { ScaleMeaning::Multiply };
    config.quantization = Quantization { scale, packed: true };
    let dtype = dtype.map_or_else(|| source.stored(crate::bitnet::EMBEDDING).map(float), Ok)?;
    config.extra.insert("torch_dtype".into(), json!(dtype.torch_name()));
    let value = config.to_json();
    let files = source.files()?;
    atomic::write_folder(path, is_weight_file, |folder| {
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        write(&folder.join(WEIGHTS), &tensors, &metadata)?;
        write_json(&folder.join(CONFIG), &value)?;
        if let (Some(fields), false) =
            (value.as_object(), files.iter().any(|(name, _)| name == GENERATION_CONFIG))
        {
            write_json(&folder.join(GENERATION_CONFIG), &generation_config(fields))?;
        }
        files.iter().try_for_each(|(name, bytes)| atomic::write_bytes(&folder.join(name), bytes))
    })
}

/// The type that holds the numbers of a stored one.
fn float(kind: GgmlType) -> FloatType {
    match kind {
        GgmlType::F16 => FloatType::F16,
        GgmlType::BF16 => FloatType::Bf16,
        _ => FloatType::F32,
    }
}
