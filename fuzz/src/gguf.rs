//! GGUF files: the container, the model in it, and, as a target of its own, its vocabulary and chat template.

use std::hint::black_box;

use axes::TritLayout;
use barewire::gguf::{Array, Gguf, Value};
use models::chat::ChatTemplate;
use models::gguf::{GgufModel, tokenizer};

/// Reads `data` as a file, and what it accepts as a model.
pub fn check(data: &[u8]) {
    let file = match Gguf::from_bytes(data) {
        Ok(file) => file,
        Err(error) => return drop(black_box(error.to_string())),
    };
    for (key, value) in file.metadata() {
        assert_eq!(file.get(key).map(|value| value.kind()), Some(value.kind()), "{key}");
        look(&value);
    }
    let mut covered = 0;
    for tensor in file.tensors() {
        covered += tensor.bytes.len();
        assert_eq!(
            file.tensor(tensor.name).expect("a name of the file's own list").bytes.len(),
            tensor.bytes.len()
        );
        assert_eq!(tensor.kind.bytes(tensor.shape), Some(tensor.bytes.len() as u64));
        if let Some(ternary) = tensor.ternary() {
            let [rows, columns] = ternary.shape();
            if let Some(packed) = ternary.packed(TritLayout::Compute, 1) {
                barewire::trits::check(TritLayout::Compute, rows, columns, &packed)
                    .expect("packed trits are trits");
            }
        }
    }
    assert!(covered <= data.len(), "tensors lie over one another");
    let mut model = match GgufModel::new(file) {
        Ok(model) => model,
        Err(error) => return drop(black_box(error.to_string())),
    };
    let config = model.config();
    for (name, shape) in config.expected_tensors() {
        match model.values(&name) {
            Ok(values) => assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}"),
            Err(error) => drop(black_box(error.to_string())),
        }
    }
    for name in config.projections() {
        match model.trits(&name, TritLayout::Bytes, 1) {
            Ok(Some((_, scale))) => assert!(scale.divisor() > 0.0 && scale.divisor().is_finite(), "{name}"),
            Ok(None) => {}
            Err(error) => drop(black_box(error.to_string())),
        }
    }
    // Ternary matrices whose scales differ within them become matrices in blocks, and stay of the model's sizes.
    match model.find_blocks(1) {
        Ok(()) => {
            let config = model.config();
            assert_eq!(config.projections().iter().find(|name| config.formats().contains_key(*name)), None);
        }
        Err(error) => drop(black_box(error.to_string())),
    }
}

fn look(value: &Value<'_>) {
    black_box((value.as_i64(), value.as_f64(), value.as_bool(), value.as_str().map(str::len)));
    if let Some(array) = value.as_array() {
        walk(array);
    }
}

fn walk(array: &Array<'_>) {
    assert_eq!(array.iter().count(), array.len());
    black_box((array.iter_texts().map(<[u8]>::len).sum::<usize>(), array.integers(), array.numbers()));
    for value in array.iter() {
        if let Some(inner) = value.as_array() {
            walk(inner);
        }
    }
}

/// Reads `data` as a file, and what it accepts as a tokenizer and a template. The template is not run: its steps are
/// limited, what it prints is not.
pub fn vocabulary(data: &[u8]) {
    let Ok(file) = Gguf::from_bytes(data) else { return };
    if let Err(error) = tokenizer::special_tokens(&file, 1 << 16) {
        black_box(error.to_string());
    }
    if let Some(text) = file.get(tokenizer::CHAT_TEMPLATE).and_then(|value| value.as_str().map(str::to_owned))
        && let Err(error) = ChatTemplate::new(text, None, None)
    {
        black_box(error.to_string());
    }
    match tokenizer::tokenizer(&file) {
        Ok(None) => {}
        Ok(Some(tokenizer)) => {
            black_box(tokenizer.vocab_size());
            if let Ok(ids) = tokenizer.encode_prompt("Hello  wörld 123\n<s>") {
                black_box(tokenizer.decode(&ids));
            }
        }
        Err(error) => drop(black_box(error.to_string())),
    }
}
