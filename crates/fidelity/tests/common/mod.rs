//! Finding and reading golden data.
#![allow(dead_code, unreachable_pub)]

pub(crate) mod training;

use models::safetensors::TensorFile;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The part of the golden data named `path`: from `tests/golden`, else from the folder that `FIDELITY_GOLDEN` names.
pub fn golden(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let given = std::env::var_os("FIDELITY_GOLDEN").map(PathBuf::from);
    let places = [Some(root.join("tests/golden")), given, Some(root.join("../shared/golden"))];
    let found = places.into_iter().flatten().map(|p| p.join(path)).find(|p| p.exists());
    if found.is_none() {
        println!("skipped: no golden/{path} (set FIDELITY_GOLDEN)");
    }
    found
}

/// Every float tensor of a file.
pub fn read(dir: &Path, file: &str) -> BTreeMap<String, Vec<f64>> {
    let f = TensorFile::open(dir.join(file)).unwrap();
    f.names().map(|n| (n.to_string(), f.to_f64(n).unwrap())).collect()
}
