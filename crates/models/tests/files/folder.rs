//! Model folders: what is missing or disagrees is told, and saving leaves no stale files.

use std::fs;
use std::path::Path;

use models::folder::{ModelFolder, SaveOptions, save_folder};
use models::safetensors::{Dtype, FloatType, NamedTensor};
use serde_json::json;

fn tensors() -> Vec<NamedTensor<'static>> {
    (0..4).map(|n| NamedTensor::f32(format!("w{n}"), &[4], vec![n as f32; 4])).collect()
}

fn save(dir: &Path, max_shard_size: u64) {
    let config = json!({"model_type": "hgrn_bit", "eos_token_id": 2});
    save_folder(dir, &config, &tensors(), SaveOptions { dtype: FloatType::F32, max_shard_size }).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
    names.sort();
    names
}

fn refused(dir: &Path, parts: &[&str]) {
    let error = ModelFolder::open(dir).unwrap_err();
    let text = error.to_string();
    assert!(!error.remedy().is_empty());
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn shards_read_as_one_and_stale_files_go() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
    save(dir.path(), 40);
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let common = ["config.json", "generation_config.json"];
    let expected = [&common[..], &shards, &["model.safetensors.index.json", "tokenizer.json"]].concat();
    assert_eq!(names(dir.path()), expected);
    let folder = ModelFolder::open(dir.path()).unwrap();
    assert_eq!(folder.weights().names().collect::<Vec<_>>(), ["w0", "w1", "w2", "w3"]);
    assert_eq!(folder.weights().to_f32("w3").unwrap(), [3.0; 4]);
    assert!(folder.tokenizer_path().is_some());
    drop(folder);
    save(dir.path(), 1000);
    assert_eq!(names(dir.path()), [&common[..], &["model.safetensors", "tokenizer.json"]].concat());
    save(dir.path(), 16);
    assert_eq!(ModelFolder::open(dir.path()).unwrap().weights().files().len(), 4);
}

#[test]
fn folders_without_the_files_say_which() {
    let dir = tempfile::tempdir().unwrap();
    refused(&dir.path().join("absent"), &["absent"]);
    refused(dir.path(), &["config.json"]);
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    refused(&dir.path().join("config.json"), &["a folder"]);
    refused(dir.path(), &["model.safetensors", "none of them"]);
    fs::write(dir.path().join("pytorch_model.bin"), "x").unwrap();
    refused(dir.path(), &["pytorch_model.bin", "header length"]);
    fs::write(dir.path().join("config.json"), "{\"a\": }").unwrap();
    refused(dir.path(), &["config.json", "line 1"]);
}

#[test]
fn an_index_that_disagrees_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    let put = |map: serde_json::Value| fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    save(dir.path(), 40);
    put(json!({"w0": one, "w1": one, "w2": two, "w3": two, "w4": two}));
    refused(dir.path(), &["lacks `w4`"]);
    put(json!({"w0": one, "w1": one, "w2": two}));
    refused(dir.path(), &["does not list", "`w3`"]);
    put(json!({"w0": "../../secret.safetensors"}));
    refused(dir.path(), &["`w0`", "in this folder"]);
    put(json!({"w0": 3}));
    refused(dir.path(), &["`w0`"]);
    fs::write(&index, "{}").unwrap();
    refused(dir.path(), &["weight_map"]);
    save(dir.path(), 40);
    fs::remove_file(dir.path().join(two)).unwrap();
    refused(dir.path(), &["1 of them missing", two]);
}

#[test]
fn half_precision_is_stored_and_overflow_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = json!({"model_type": "hgrn_bit", "torch_dtype": "float32"});
    let mut list = tensors();
    list.push(NamedTensor::i64("steps", &[1], vec![7]));
    let options = SaveOptions { dtype: FloatType::F16, ..SaveOptions::default() };
    save_folder(dir.path(), &config, &list, options).unwrap();
    let folder = ModelFolder::open(dir.path()).unwrap();
    assert_eq!(folder.config()["torch_dtype"], "float16");
    assert_eq!(folder.weights().tensor("w2").unwrap().dtype, Dtype::F16);
    assert_eq!(folder.weights().to_f32("w2").unwrap(), [2.0; 4]);
    assert_eq!(folder.weights().tensor("steps").unwrap().to_i64().unwrap(), [7]);
    drop(folder);
    list.push(NamedTensor::f32("large", &[1], vec![1e6]));
    let error = save_folder(dir.path(), &config, &list, options).unwrap_err().to_string();
    assert!(error.contains("`large`") && error.contains("float16"), "{error}");
    assert_eq!(ModelFolder::open(dir.path()).unwrap().weights().names().len(), 5);
}
