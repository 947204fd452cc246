//! The untrusted header of a safetensors file.
//!
//! Every tensor's place is checked here once, so that [`super::TensorFile::tensor`] can slice without a check
//! that fails. Tensors must lie one after another without gap or overlap and fill the file to its last byte: the
//! format asks for it, and it leaves no room to hide data.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use ::safetensors::tensor::TensorInfo;
use ::safetensors::{Dtype, SafeTensors};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{ModelError, Result};

/// The limit of the reference implementation: a larger header is an attack or a damaged length.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes of the header's length.
const LENGTH: usize = 8;
const METADATA: &str = "__metadata__";
const DAMAGED: &str = "the file is damaged or was not downloaded in full: fetch or write it again";

/// A tensor's type and its place in the whole file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

type Parsed = (BTreeMap<String, Entry>, BTreeMap<String, String>);

/// Reads and checks the header of a whole file.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Parsed> {
    let fault =
        |what: &str, expected: String, found: String| ModelError::file(path, what, expected, found, DAMAGED);
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Err(fault(
            "header length",
            "a file of 8 bytes or more".into(),
            format!("{} bytes", bytes.len()),
        ));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(fault("header length", format!("at most {MAX_HEADER} bytes"), format!("{length}")));
    }
    let Some((text, data)) = rest.split_at_checked(length as usize) else {
        let expected = format!("at most the {} bytes that follow it", rest.len());
        return Err(fault("header length", expected, format!("{length}")));
    };
    let text = std::str::from_utf8(text).map_err(|error| {
        fault("header", "UTF-8 text".into(), format!("byte {} is not", error.valid_up_to()))
    })?;
    let (tensors, metadata) = parse(path, text)?;
    let base = LENGTH + length as usize;
    let entries = place(path, tensors, base, data.len())?;
    // The format's own crate has the last word; what it would refuse beyond the above has no better name.
    SafeTensors::read_metadata(bytes).map_err(|error| {
        fault("header", "one that the safetensors format allows".into(), error.to_string())
    })?;
    Ok((entries, metadata))
}

/// The header's JSON as a list in the file's own order.
fn parse(path: &Path, text: &str) -> Result<(Vec<(String, TensorInfo)>, BTreeMap<String, String>)> {
    let fault = |expected: &str, found: String| ModelError::file(path, "header", expected, found, DAMAGED);
    let Members(members) =
        serde_json::from_str(text).map_err(|error| fault("a JSON object", error.to_string()))?;
    let mut seen = HashSet::new();
    let mut tensors = Vec::with_capacity(members.len());
    let mut metadata = BTreeMap::new();
    for (name, value) in members {
        if !seen.insert(name.clone()) {
            return Err(ModelError::tensor(
                path,
                name,
                "one tensor of this name",
                "two",
                "write the file again",
            ));
        }
        if name == METADATA {
            metadata = serde_json::from_value(value)
                .map_err(|error| fault("`__metadata__` that maps text to text", error.to_string()))?;
            continue;
        }
        let info = TensorInfo::deserialize(&value).map_err(|error| {
            let expected = "an object with dtype, shape and data_offsets";
            ModelError::tensor(
                path,
                &name,
                expected,
                format!("{} ({error})", excerpt(&value.to_string())),
                DAMAGED,
            )
        })?;
        tensors.push((name, info));
    }
    Ok((tensors, metadata))
}

/// Checks sizes and offsets, and turns offsets into places in the whole file.
fn place(
    path: &Path,
    mut tensors: Vec<(String, TensorInfo)>,
    base: usize,
    available: usize,
) -> Result<BTreeMap<String, Entry>> {
    let fault = |name: &str, expected: String, found: String| {
        ModelError::tensor(path, name, expected, found, DAMAGED)
    };
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut next = 0;
    let mut entries = BTreeMap::new();
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        let found = format!("data_offsets [{start}, {end}]");
        if end < start {
            return Err(fault(&name, "a start that is not behind the end".into(), found));
        }
        if end > available {
            return Err(fault(&name, format!("an end within the {available} bytes of data"), found));
        }
        if start != next {
            let kind = if start < next { "overlaps the tensor before it" } else { "leaves a gap before it" };
            return Err(fault(
                &name,
                format!("a start at byte {next} of the data"),
                format!("{found}, which {kind}"),
            ));
        }
        let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |bits, size| bits.checked_mul(*size));
        let Some(bits) = bits.filter(|bits| bits % 8 == 0) else {
            let found = format!("shape {:?} of {:?}", info.shape, info.dtype);
            return Err(fault(
                &name,
                "a size that is a whole number of bytes and fits the address space".into(),
                found,
            ));
        };
        if bits / 8 != end - start {
            let expected = format!("{} bytes, as shape {:?} of {:?} needs", bits / 8, info.shape, info.dtype);
            return Err(fault(&name, expected, format!("{} bytes, {found}", end - start)));
        }
        next = end;
        let entry = Entry { dtype: info.dtype, shape: info.shape, start: base + start, end: base + end };
        entries.insert(name, entry);
    }
    if next != available {
        let expected = format!("{next} bytes of data, as the header says");
        let found = format!("{available} bytes, {} of them after the last tensor", available - next);
        return Err(ModelError::file(path, "data", expected, found, DAMAGED));
    }
    Ok(entries)
}

fn excerpt(text: &str) -> String {
    let mut short = text.chars().take(80).collect::<String>();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// An object's members with repeated names kept: `serde_json::Map` would silently keep the last.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
