//! Configurations: `config.json` of a model, and the TOML file of a training run.

use std::hint::black_box;
use std::path::Path;

use models::config::MatMulFreeConfig;
use train::TrainConfig;

/// Reads `data` as either; what is accepted must be written so that it reads back equal.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    model(text);
    training(text);
}

fn model(text: &str) {
    let path = Path::new("config.json");
    let value = match models::json::parse(path, text) {
        Ok(value) => value,
        Err(error) => return drop(black_box(error.to_string())),
    };
    let config = match MatMulFreeConfig::from_json(path, &value) {
        Ok(parsed) => parsed.config,
        Err(error) => return drop(black_box(error.to_string())),
    };
    config.validate(path).expect("`from_json` validates");
    black_box((config.head_dim(), config.intermediate_size(), config.parameter_count()));
    let written = config.to_json().to_string();
    let value = models::json::parse(path, &written).expect("what it writes is JSON");
    let back = MatMulFreeConfig::from_json(path, &value).expect("what it writes is accepted").config;
    assert_eq!(back, config);
}

fn training(text: &str) {
    let mut config = match TrainConfig::from_toml(text, "train.toml") {
        Ok(config) => config,
        Err(error) => return drop(black_box(error.to_string())),
    };
    if let Err(error) = config.expand_paths(&|name| (name == "HOME").then(|| "/home".to_owned())) {
        black_box(error.to_string());
    }
    if let Err(error) = config.validate() {
        return drop(black_box(error.to_string()));
    }
    black_box(config.fingerprint());
    for written in [config.to_toml(), config.to_commented_toml()] {
        let back = TrainConfig::from_toml(&written, "written").expect("what it writes is accepted");
        assert_eq!(back, config);
    }
    let mut back = TrainConfig::default();
    if back.apply_overrides(&[format!("data.tokenizer={}", config.data.tokenizer)]).is_ok() {
        black_box(back.differences(&config));
    }
}
