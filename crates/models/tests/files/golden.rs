//! Where the golden data is, and what the reference wrote read back and written again.

use std::path::{Path, PathBuf};

use models::config::MatMulFreeConfig;
use models::folder::{ModelFolder, SaveOptions, save_folder};
use models::safetensors::{NamedTensor, TensorFile, write};

pub(crate) const CASES: [&str; 4] = [
    "matmulfree/case_a",
    "matmulfree/case_b",
    "matmulfree/case_c_shortconv_patched",
    "matmulfree/train/init",
];

/// The folder of a case: committed, else in `FIDELITY_GOLDEN`, else beside the workspace.
pub(crate) fn golden(case: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let named = std::env::var_os("FIDELITY_GOLDEN").map(PathBuf::from);
    let folders =
        [workspace.join("tests/golden"), named.unwrap_or_else(|| workspace.join("../shared/golden"))];
    let found = folders.into_iter().map(|folder| folder.join(case)).find(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: no golden/{case}; name the folder of golden data in FIDELITY_GOLDEN");
    }
    found
}

fn tensors(file: &TensorFile) -> Vec<NamedTensor<'_>> {
    file.names()
        .map(|name| {
            let view = file.tensor(name).unwrap();
            NamedTensor::f32(name, view.shape, view.as_f32().unwrap())
        })
        .collect()
}

#[test]
fn every_case_loads_and_matches_its_configuration() {
    for case in CASES {
        let Some(dir) = golden(case) else { continue };
        let folder = ModelFolder::open(&dir).unwrap();
        let parsed = MatMulFreeConfig::from_folder(&folder).unwrap();
        assert_eq!(parsed.warnings, Vec::<String>::new(), "{case}");
        assert_eq!(&parsed.config.to_json(), &sorted(folder.config()), "{case}");
        let held = folder.weights().files()[0].data_len() / 4;
        assert_eq!(parsed.config.parameter_count(), Some(held), "{case}");
    }
}

fn sorted(value: &serde_json::Value) -> serde_json::Value {
    let mut value = value.clone();
    value.sort_all_objects();
    value
}

#[test]
fn the_reference_s_own_bytes_come_out_again() {
    for case in CASES {
        let Some(dir) = golden(case) else { continue };
        let source = TensorFile::open(dir.join("model.safetensors")).unwrap();
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("again.safetensors");
        write(&path, &tensors(&source), source.metadata()).unwrap();
        let (ours, theirs) = (std::fs::read(path).unwrap(), std::fs::read(source.path()).unwrap());
        assert!(ours == theirs, "{case}: {} against {} bytes", ours.len(), theirs.len());
    }
}

#[test]
fn a_saved_folder_holds_the_same_tensors_and_configuration() {
    for case in CASES {
        let Some(dir) = golden(case) else { continue };
        let source = ModelFolder::open(&dir).unwrap();
        let config = MatMulFreeConfig::from_folder(&source).unwrap().config;
        let all = tensors(&source.weights().files()[0]);
        for max_shard_size in [u64::MAX, 60_000] {
            let out = tempfile::tempdir().unwrap();
            let options = SaveOptions { max_shard_size, ..SaveOptions::default() };
            save_folder(out.path(), &config.to_json(), &all, options).unwrap();
            let again = ModelFolder::open(out.path()).unwrap();
            assert_eq!(again.warnings(), Vec::<String>::new());
            assert_eq!(again.weights().files().len() > 1, max_shard_size == 60_000);
            assert_eq!(MatMulFreeConfig::from_folder(&again).unwrap().config, config);
            for name in source.weights().names() {
                let (a, b) = (source.weights().tensor(name).unwrap(), again.weights().tensor(name).unwrap());
                assert_eq!((a.dtype, a.shape, a.bytes), (b.dtype, b.shape, b.bytes), "{case} {name}");
            }
            let theirs = source.generation_config().unwrap().unwrap();
            assert_eq!(again.generation_config().unwrap().unwrap(), sorted(&theirs));
        }
    }
}

/// The reference's constructor made `train/init`: ours must have its distribution, tensor by tensor.
#[test]
fn initial_weights_are_distributed_as_the_reference_s() {
    let Some(dir) = golden("matmulfree/train/init") else { return };
    let folder = ModelFolder::open(&dir).unwrap();
    let config = MatMulFreeConfig::from_folder(&folder).unwrap().config;
    let ours = tempfile::tempdir().unwrap();
    let path = ours.path().join("init.safetensors");
    write(&path, &config.init(0), &Default::default()).unwrap();
    let ours = TensorFile::open(path).unwrap();
    let spread = |values: &[f32]| {
        let n = values.len() as f64;
        let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let std = (values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n).sqrt();
        (mean, std, values.iter().fold(0.0_f64, |max, x| max.max(f64::from(x.abs()))))
    };
    for name in folder.weights().names() {
        let (a, b) = (spread(&folder.weights().to_f32(name).unwrap()), spread(&ours.to_f32(name).unwrap()));
        assert!((a.0 - b.0).abs() < 0.05 * a.1.max(b.1) + 1e-12, "{name}: means {a:?} {b:?}");
        assert!((a.1 - b.1).abs() <= 0.03 * a.1, "{name}: deviations {a:?} {b:?}");
        // A uniform's largest value is its bound, a normal's grows with the count: this tells them apart.
        assert!((a.2 - b.2).abs() <= 0.3 * a.2, "{name}: largest {a:?} {b:?}");
    }
}
