//! One checkpoint: a safetensors file with named f32 tensors, named bytes and the run's state as JSON.
//!
//! The layout is the published one (u64 header length, JSON header, data), so any safetensors reader can look
//! inside. The header's `__metadata__` holds the step, the state, and a crc32c over names, shapes, state and the
//! tensors' bytes: safetensors itself cannot tell a flipped bit from a weight. The header is written here rather
//! than by the `safetensors` crate because that keeps metadata in a hash map, and equal runs shall write equal
//! files; reading goes through the crate, whose checks of hostile headers are well tested.

use std::io::{self, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::error::{Result, TrainError};

use super::atomic::atomic_write;

const FORMAT: &str = "fidelity-checkpoint-1";

/// A named tensor with its own data: name, shape, values in row-major order.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// A named tensor borrowed from whoever trains it.
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'a> {
    /// The name, unique in the checkpoint; by convention `param.…`, `adam_m.…`, `adam_v.…`.
    pub name: &'a str,
    /// The shape.
    pub shape: &'a [usize],
    /// The values, row-major.
    pub data: &'a [f32],
}

impl<'a> From<&'a NamedTensor> for TensorRef<'a> {
    fn from((name, shape, data): &'a NamedTensor) -> Self {
        TensorRef { name, shape, data }
    }
}

/// What a checkpoint file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// How many steps had been done.
    pub step: u64,
    /// The tensors, in the order in which they were written.
    pub tensors: Vec<NamedTensor>,
    /// What is not made of floats, under its name: packed trits.
    pub bytes: Vec<(String, Vec<u8>)>,
    /// The run's state: see [`RunState`](super::RunState).
    pub state: Value,
}

impl Checkpoint {
    /// Removes and returns the tensor `name`, checked against the shape that the model expects.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let remedy =
            "resume with the configuration of the run that wrote it, or start anew without `--resume`";
        let Some(at) = self.tensors.iter().position(|(n, _, _)| n == name) else {
            return Err(TrainError::Mismatch { problem: format!("it has no tensor `{name}`"), remedy });
        };
        if self.tensors[at].1 != shape {
            let found = &self.tensors[at].1;
            let problem = format!("tensor `{name}` has shape {found:?}, expected {shape:?}");
            return Err(TrainError::Mismatch { problem, remedy });
        }
        Ok(self.tensors.remove(at).2)
    }
}

/// Writes a checkpoint to `path`, whole or not at all.
///
/// # Errors
/// [`TrainError::Mismatch`] if a tensor's data do not fill its shape or two share a name, [`TrainError::Write`]
/// if the disk refuses; what stood at `path` is then as it was.
pub fn write_checkpoint(
    path: &Path,
    step: u64,
    tensors: &[TensorRef<'_>],
    bytes: &[(String, &[u8])],
    state: &Value,
) -> Result<()> {
    let state = state.to_string();
    let mut header = Map::new();
    let crc = checksum(step, &state, tensors.iter().copied(), bytes.iter().map(|(n, b)| (n.as_str(), *b)));
    header.insert(
        "__metadata__".to_owned(),
        json!({"format": FORMAT, "step": step.to_string(), "state": state, "crc32c": format!("{crc:08x}")}),
    );
    let mut offset = 0;
    for tensor in tensors {
        let elements: usize = tensor.shape.iter().product();
        if elements != tensor.data.len() || header.contains_key(tensor.name) {
            return Err(TrainError::Mismatch {
                problem: format!(
                    "tensor `{}` of shape {:?} comes with {} values, or comes twice",
                    tensor.name,
                    tensor.shape,
                    tensor.data.len()
                ),
                remedy: "give each tensor once, with as many values as its shape has",
            });
        }
        let end = offset + 4 * elements;
        header.insert(
            tensor.name.to_owned(),
            json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]}),
        );
        offset = end;
    }
    for (name, bytes) in bytes {
        let end = offset + bytes.len();
        let entry = json!({"dtype": "U8", "shape": [bytes.len()], "data_offsets": [offset, end]});
        if header.insert(name.clone(), entry).is_some() {
            return Err(TrainError::Mismatch {
                problem: format!("bytes `{name}` come twice, or have the name of a tensor"),
                remedy: "give each tensor once, under a name of its own",
            });
        }
        offset = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' '); // so that the data are aligned in a mapped file
    atomic_write(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        tensors.iter().try_for_each(|tensor| write_floats(out, tensor.data))?;
        bytes.iter().try_for_each(|(_, bytes)| out.write_all(bytes))
    })
}

/// Reads a checkpoint and checks every byte of it.
///
/// # Errors
/// [`TrainError::Read`] if the file cannot be read, [`TrainError::Damaged`] if it is not what was written.
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let bytes = std::fs::read(path).map_err(|source| TrainError::read(path, source))?;
    let damaged = |problem: String| TrainError::Damaged { path: path.into(), problem };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let empty = Default::default();
    let info = metadata.metadata().as_ref().unwrap_or(&empty);
    let field = |key: &str| info.get(key).ok_or_else(|| damaged(format!("its metadata have no `{key}`")));
    if field("format")? != FORMAT {
        return Err(damaged(format!("its format is `{}`, expected `{FORMAT}`", field("format")?)));
    }
    let step = field("step")?.parse::<u64>().map_err(|e| damaged(format!("its step number: {e}")))?;
    let crc = u32::from_str_radix(field("crc32c")?, 16).map_err(|e| damaged(format!("its checksum: {e}")))?;
    let state_text = field("state")?;
    let state = serde_json::from_str(state_text).map_err(|e| damaged(format!("its state: {e}")))?;

    let mut tensors: Vec<NamedTensor> = Vec::with_capacity(file.len());
    let mut bytes: Vec<(String, Vec<u8>)> = Vec::new();
    for name in metadata.offset_keys() {
        let view = file.tensor(&name).map_err(|e| damaged(e.to_string()))?;
        if view.dtype() == Dtype::U8 {
            bytes.push((name, view.data().to_vec()));
            continue;
        }
        if view.dtype() != Dtype::F32 {
            return Err(damaged(format!("tensor `{name}` is {:?}, expected F32 or U8", view.dtype())));
        }
        let data =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        tensors.push((name, view.shape().to_vec(), data));
    }
    let borrowed = bytes.iter().map(|(n, b)| (n.as_str(), b.as_slice()));
    let found = checksum(step, state_text, tensors.iter().map(TensorRef::from), borrowed);
    if found != crc {
        return Err(damaged(format!("its checksum is {found:08x}, expected {crc:08x}")));
    }
    Ok(Checkpoint { step, tensors, bytes, state })
}

fn checksum<'a>(
    step: u64,
    state: &str,
    tensors: impl Iterator<Item = TensorRef<'a>>,
    bytes: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> u32 {
    // By name, because tensors without elements have no order of their own in the file.
    let mut tensors: Vec<TensorRef<'a>> = tensors.collect();
    tensors.sort_by_key(|tensor| tensor.name);
    let mut crc = crc32c::crc32c(&step.to_le_bytes());
    crc = crc32c::crc32c_append(crc, state.as_bytes());
    for tensor in tensors {
        crc = crc32c::crc32c_append(crc, tensor.name.as_bytes());
        for &size in tensor.shape {
            crc = crc32c::crc32c_append(crc, &(size as u64).to_le_bytes());
        }
        for_each_block(tensor.data, |bytes| {
            crc = crc32c::crc32c_append(crc, bytes);
            Ok(())
        })
        .unwrap_or_default(); // the closure never fails
    }
    let mut bytes: Vec<(&str, &[u8])> = bytes.collect();
    bytes.sort_unstable();
    for (name, bytes) in bytes {
        crc = crc32c::crc32c_append(crc, name.as_bytes());
        crc = crc32c::crc32c_append(crc, &(bytes.len() as u64).to_le_bytes());
        crc = crc32c::crc32c_append(crc, bytes);
    }
    crc
}

fn write_floats(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    for_each_block(values, |bytes| out.write_all(bytes))
}

/// Hands out the little-endian bytes of `values` a page at a time. A cast of the slice would need `unsafe`, and
/// is no faster than the disk.
fn for_each_block(values: &[f32], mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut block = [0u8; 4096];
    for part in values.chunks(block.len() / 4) {
        for (bytes, value) in block.chunks_exact_mut(4).zip(part) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        take(&block[..4 * part.len()])?;
    }
    Ok(())
}
