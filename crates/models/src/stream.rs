//! Writing a model folder tensor by tensor: for models that are larger than memory, or that are made as they are written.
//!
//! The same files as [`save_folder`](crate::folder::save_folder) writes, but the folder as a whole appears at once
//! ([`atomic::write_folder`]), and one tensor is in memory at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::atomic;
use crate::error::{ModelError, Result};
use crate::folder::{
    CONFIG, GENERATION_CONFIG, INDEX, SaveOptions, WEIGHTS, generation_config, is_weight_file, split,
    write_json,
};
use crate::safetensors::{FloatType, Values, write_streamed};

/// Writes a folder of `config.json`, weights, and `files` (name, content) as they are.
///
/// `make` gives the values of each of `tensors` (name, sizes), in f32, or in f64 where the caller has them so; it is called
/// once for each, shard by shard and within a shard by name. `config` gets the `torch_dtype` of the options. Without a
/// `generation_config.json` among `files`, the one that `transformers` derives from `config` is written.
///
/// # Errors
/// [`ModelError::Tensor`] for a value that does not fit the type; what `make` returns; [`ModelError::Io`]. What was there
/// before is then untouched.
pub fn write_model(
    dir: &Path,
    config: &Value,
    files: &[(&str, &[u8])],
    tensors: &[(String, Vec<usize>)],
    options: SaveOptions,
    make: &mut dyn FnMut(&str) -> Result<Values<'static>>,
) -> Result<()> {
    let Some(fields) = config.as_object() else {
        let path = dir.join(CONFIG);
        return Err(ModelError::file(&path, "content", "a JSON object", "another value", "pass an object"));
    };
    let sizes: Vec<u64> =
        tensors.iter().map(|(_, shape)| elements(shape) * options.dtype.size() as u64).collect();
    let shards = split(sizes.iter().copied(), options.max_shard_size);
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    atomic::write_folder(dir, is_weight_file, |folder| {
        let mut make = |name: &str| fit(dir, name, make(name)?, options.dtype);
        if shards.len() == 1 {
            write_streamed(&folder.join(WEIGHTS), options.dtype, tensors, &metadata, &mut make)?;
        } else {
            let mut map = BTreeMap::new();
            for (number, range) in shards.iter().enumerate() {
                let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
                let shard = &tensors[range.clone()];
                write_streamed(&folder.join(&name), options.dtype, shard, &metadata, &mut make)?;
                map.extend(shard.iter().map(|(tensor, _)| (tensor.as_str(), name.clone())));
            }
            let total = sizes.iter().sum::<u64>();
            let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
            write_json(&folder.join(INDEX), &index)?;
        }
        let mut config = fields.clone();
        config.insert("torch_dtype".into(), json!(options.dtype.torch_name()));
        // Newer writers call it so.
        if config.contains_key("dtype") {
            config.insert("dtype".into(), json!(options.dtype.torch_name()));
        }
        write_json(&folder.join(CONFIG), &Value::Object(config))?;
        if !files.iter().any(|(name, _)| *name == GENERATION_CONFIG) {
            write_json(&folder.join(GENERATION_CONFIG), &generation_config(fields))?;
        }
        files.iter().try_for_each(|(name, bytes)| atomic::write_bytes(&folder.join(name), bytes))
    })
    .map_err(|error| rename(error, dir))
}

/// Errors name the folder that was asked for, not the temporary one.
fn rename(error: ModelError, dir: &Path) -> ModelError {
    match error {
        ModelError::Io { action, path, source, .. } => {
            let name = path.file_name().filter(|_| path.parent() != dir.parent());
            ModelError::io(action, &name.map_or(dir.to_owned(), |name| dir.join(name)), source)
        }
        other => other,
    }
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|size| *size as u64).product()
}

/// The values in the type of the file.
fn fit(dir: &Path, name: &str, values: Values<'static>, dtype: FloatType) -> Result<Values<'static>> {
    if values.dtype() == dtype.dtype() {
        return Ok(values);
    }
    values.cast(dtype).map(Values::into_owned).map_err(|index| {
        let expected = format!("values that {} can hold", dtype.torch_name());
        let found = format!("a larger one at element {index}");
        ModelError::tensor(dir, name, expected, found, "save as float32 or bfloat16")
    })
}

/// Values from f32, owned.
pub fn f32s(values: impl Into<Cow<'static, [f32]>>) -> Values<'static> {
    Values::F32(values.into())
}
