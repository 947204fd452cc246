//! Tensors that PyTorch saved: `pytorch_model.bin`, a zip of stored entries with a pickle that says which bytes are which
//! tensor.
//!
//! A pickle is a program that may call anything. This reader knows the opcodes and the few functions that a dictionary of
//! tensors needs, and refuses every other by its name, so that nothing is ever called. Tensors are used where they lie in the
//! mapped file. What is held in memory is in proportion to the pickle, whose length has a limit.

mod pickle;
mod zip;

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{ModelError, Result};
use crate::safetensors::header::Entry;

/// What the damaged file's owner can do.
const DAMAGED: &str = "the file is damaged or was not downloaded in full: fetch or write it again";
const CONVERT: &str = "convert it in Python with `safetensors.torch.save_file`, from a source that you trust";

/// Whether a file that begins so is one of PyTorch's.
pub(crate) fn is_torch(bytes: &[u8]) -> bool {
    // The tenth byte of a safetensors file is the header's first, a brace.
    bytes.starts_with(b"PK\x03\x04") && bytes.get(8) != Some(&b'{') || is_old(bytes)
}

/// Files from before version 1.6: pickles one after the other, the first of which is a number.
fn is_old(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20])
}

/// The place of every tensor in a whole file.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Entry>> {
    let fault = |what: &str, expected: &str, found: String, remedy: &str| {
        Err(ModelError::file(path, what, expected, found, remedy))
    };
    if is_old(bytes) {
        let found = "the form from before version 1.6 of PyTorch".to_owned();
        return fault(
            "kind",
            "a zip archive",
            found,
            "save it again with a newer PyTorch, or as safetensors",
        );
    }
    let archive = zip::Archive::read(path, bytes)?;
    let mut pickles = archive.names().filter(|name| name.ends_with("/data.pkl"));
    let Some(name) = pickles.next().filter(|name| name.matches('/').count() == 1) else {
        return fault("archive", "a folder with data.pkl", "none".into(), CONVERT);
    };
    if pickles.next().is_some() {
        return fault("archive", "one data.pkl", "several".into(), CONVERT);
    }
    let folder = name.trim_end_matches("data.pkl");
    if let Some(range) = archive.get(&format!("{folder}byteorder"))
        && &bytes[range.clone()] != b"little"
    {
        let found =
            String::from_utf8_lossy(&bytes[range.start..range.end.min(range.start + 16)]).into_owned();
        return fault("byteorder", "little", found, CONVERT);
    }
    let place = archive.get(name).unwrap_or(0..0);
    if place.len() > pickle::MAX_LENGTH {
        let expected = format!("at most {} bytes", pickle::MAX_LENGTH);
        return fault("data.pkl", &expected, place.len().to_string(), CONVERT);
    }
    let mut entries = BTreeMap::new();
    for tensor in pickle::read(path, &bytes[place])? {
        let storage = archive.get(&format!("{folder}data/{}", tensor.storage.key));
        entries.insert(tensor.name.to_owned(), tensor.place(path, storage)?);
    }
    Ok(entries)
}
