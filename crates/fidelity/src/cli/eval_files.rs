//! The files of `eval`: inputs read and checked, results under the names of the golden data.

use super::eval::Want;
use anyhow::Result;
use fidelity::error::Fault;
use fidelity::eval::{Batch, Evaluation, Numbers};
use furnace::precision::Precision;
use graph::{Array, Data};
use models::safetensors::{NamedTensor, TensorFile, Values};
use std::path::Path;

/// `input_ids` [B, T] with `attention_mask` and `labels` of the same shape where the file has them.
pub(super) fn read_batch(path: &Path) -> Result<Batch> {
    let file = TensorFile::open(path)?;
    if !file.contains("input_ids") && file.contains("x") {
        return read_numbers(&file, path);
    }
    let ids = file.tensor("input_ids")?;
    let [batch, length] = ids.shape else {
        let cause =
            format!("{}: tensor `input_ids`: expected shape [B, T], found {:?}", path.display(), ids.shape);
        return Err(Fault::new(
            cause,
            "give one row of token ids per sequence, shape [1, T] for a single one",
        )
        .into());
    };
    let optional = |name: &str| -> Result<Option<Vec<i64>>> {
        Ok(match file.contains(name) {
            true => Some(file.tensor(name)?.expect_shape(ids.shape)?.to_i64()?),
            false => None,
        })
    };
    let attention_mask = optional("attention_mask")?;
    if let Some(value) = attention_mask.iter().flatten().find(|m| !(0..=1).contains(*m)) {
        let cause = format!("{}: tensor `attention_mask`: expected 0 and 1, found {value}", path.display());
        return Err(Fault::new(cause, "give 1 for a token and 0 for padding").into());
    }
    let labels = optional("labels")?;
    let input_ids = ids.to_i64()?;
    Ok(Batch { batch: *batch, length: *length, input_ids, attention_mask, labels, ..Batch::default() })
}

/// `x` [B, T, D] with `loss_weight` [B, T, H] where the file has it.
fn read_numbers(file: &TensorFile, path: &Path) -> Result<Batch> {
    let read = |name: &str| -> Result<([usize; 2], Numbers)> {
        let tensor = file.tensor(name)?;
        let [batch, length, width] = *tensor.shape else {
            let cause = format!(
                "{}: tensor `{name}`: expected shape [B, T, D], found {:?}",
                path.display(),
                tensor.shape
            );
            return Err(Fault::new(cause, "give one row of numbers for each position").into());
        };
        let values = match tensor.dtype {
            models::safetensors::Dtype::F64 => tensor.to_f64()?,
            _ => tensor.to_f32()?.iter().map(|x| f64::from(*x)).collect(),
        };
        Ok(([batch, length], Numbers { width, values }))
    };
    let ([batch, length], x) = read("x")?;
    let loss_weight = if file.contains("loss_weight") { Some(read("loss_weight")?) } else { None };
    if let Some((found, _)) = loss_weight.as_ref().filter(|(found, _)| *found != [batch, length]) {
        let cause = format!(
            "{}: `loss_weight` is for {} sequences of {}, `x` for {batch} of {length}",
            path.display(),
            found[0],
            found[1]
        );
        return Err(Fault::new(cause, "give both for the same positions").into());
    }
    let loss_weight = loss_weight.map(|(_, numbers)| numbers);
    Ok(Batch { batch, length, x: Some(x), loss_weight, ..Batch::default() })
}

/// Refuses ids and labels outside the vocabulary, naming the place.
pub(super) fn check_batch(batch: &Batch, vocab: usize, path: &Path) -> Result<()> {
    if batch.x.is_some() {
        return Ok(());
    }
    if batch.input_ids.is_empty() {
        let cause =
            format!("{}: tensor `input_ids` is empty ([{}, {}])", path.display(), batch.batch, batch.length);
        return Err(Fault::new(cause, "give at least one sequence of one token").into());
    }
    let check = |name: &str, values: &[i64], ignored: Option<i64>, remedy: &str| {
        let outside = |v: &i64| (*v < 0 || *v >= vocab as i64) && Some(*v) != ignored;
        match values.iter().position(outside) {
            None => Ok(()),
            Some(i) => Err(Fault::new(
                format!(
                    "{}: {name} {} at row {}, position {} is outside the vocabulary of {vocab} (0 to {})",
                    path.display(),
                    values[i],
                    i / batch.length,
                    i % batch.length,
                    vocab - 1
                ),
                remedy,
            )),
        }
    };
    check("token id", &batch.input_ids, None, "use the tokenizer that belongs to the model")?;
    let labels = batch.labels.as_deref().unwrap_or(&[]);
    check("label", labels, Some(-100), "use token ids, or -100 to leave a position out of the loss")?;
    Ok(())
}

/// The wanted results as tensors of a file.
pub(super) fn tensors(evaluation: &Evaluation, want: &[Want], wide: bool) -> Vec<NamedTensor<'static>> {
    let chosen = evaluation.values.iter().filter(|(name, _)| wanted(want, name));
    chosen.map(|(name, value)| tensor(file_name(name), value, wide)).collect()
}

/// Whether a value is one of those that were asked for.
fn wanted(want: &[Want], name: &str) -> bool {
    want.contains(&match name {
        "logits" | "y" => Want::Logits,
        "loss" => Want::Loss,
        _ if name.starts_with("hidden_states.") => Want::Hidden,
        _ if name.starts_with("grad.") => Want::Grads,
        _ => Want::Trace,
    })
}

/// Every number as a decimal: `{"dtype": …, "tensors": {NAME: {"shape": […], "values": ["…"], "bound": …}}}`.
pub(super) fn write_decimals(path: &Path, e: &Evaluation, want: &[Want], dtype: Precision) -> Result<()> {
    let chosen = e.values.iter().filter(|(name, _)| wanted(want, name));
    let tensors: serde_json::Map<String, serde_json::Value> = chosen
        .filter_map(|(name, value)| {
            let shape = if value.shape.is_empty() { vec![1] } else { value.shape.clone() };
            let values = e.decimals.get(name)?;
            let made = serde_json::json!({ "shape": shape, "values": values, "bound": e.bounds.get(name) });
            Some((file_name(name), made))
        })
        .collect();
    let text = serde_json::to_vec(&serde_json::json!({ "dtype": dtype.to_string(), "tensors": tensors }))?;
    models::atomic::write_bytes(path, &text)?;
    Ok(())
}

/// Taps of quantised weights under the names that the golden data has for them.
fn file_name(name: &str) -> String {
    let renamed = [(".trits", ".weight.trits"), (".w_scale", ".weight.scale")];
    for (tap, file) in renamed {
        if let Some(path) = name.strip_suffix(tap) {
            let model = if path.starts_with("lm_head") { "" } else { "model." };
            return format!("{model}{path}{file}");
        }
    }
    name.to_owned()
}

fn tensor(name: String, value: &Array<f64>, wide: bool) -> NamedTensor<'static> {
    use axes::DType::{Bool, I8, I32, Trit, U8};
    let values = match (&value.data, value.dtype) {
        (Data::Int(v), I8 | Trit) => Values::I8(v.iter().map(|x| *x as i8).collect()),
        (Data::Int(v), U8 | Bool) => Values::U8(v.iter().map(|x| *x as u8).collect()),
        (Data::Int(v), I32) => Values::I32(v.iter().map(|x| *x as i32).collect()),
        (Data::Int(v), _) => Values::I64(v.to_vec().into()),
        (Data::Float(v), _) if wide => Values::F64(v.to_vec().into()),
        (Data::Float(v), _) => Values::F32(v.iter().map(|x| *x as f32).collect()),
    };
    // A single number is stored as [1], as the reference stores it.
    let shape = if value.shape.is_empty() { vec![1] } else { value.shape.clone() };
    NamedTensor { name, shape, values }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn taps_get_the_names_of_the_state_dict() {
        assert_eq!(file_name("layers.0.attn.i_proj.trits"), "model.layers.0.attn.i_proj.weight.trits");
        assert_eq!(file_name("lm_head.w_scale"), "lm_head.weight.scale");
        assert_eq!(file_name("layers.1.mlp.gate_proj.xq"), "layers.1.mlp.gate_proj.xq");
    }
}
