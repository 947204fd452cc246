//! Tokenizers from metadata, held to llama.cpp's own test files where a copy of that program's source lies about:
//! `FIDELITY_LLAMA_CPP` names its folder.

use std::path::{Path, PathBuf};

use barewire::Gguf;
use models::gguf::tokenizer::tokenizer;

/// What llama.cpp cuts otherwise than the tokenizer that the model was trained with, so that its ids are not the ones
/// wanted: none of the files listed is read with an expectation of zero differences but these.
const FILES: &[&str] = &[
    "llama-bpe",
    "llama-spm",
    "phi-3",
    "qwen2",
    "qwen35",
    "gpt-2",
    "mpt",
    "starcoder",
    "refact",
    "command-r",
    "falcon",
    "deepseek-coder",
];

fn folder() -> Option<PathBuf> {
    let folder = Path::new(&std::env::var_os("FIDELITY_LLAMA_CPP")?).join("models");
    folder.is_dir().then_some(folder)
}

#[test]
fn ids_are_those_of_the_published_test_files() {
    let Some(folder) = folder() else {
        println!("skipped: FIDELITY_LLAMA_CPP names no folder of llama.cpp's source");
        return;
    };
    let mut wrong = vec![];
    for name in FILES {
        let path = folder.join(format!("ggml-vocab-{name}.gguf"));
        let text = std::fs::read_to_string(path.with_extension("gguf.inp")).unwrap();
        let ids = std::fs::read_to_string(path.with_extension("gguf.out")).unwrap();
        let start = std::time::Instant::now();
        let tokenizer = tokenizer(&Gguf::open(&path).unwrap()).unwrap().unwrap();
        let time = start.elapsed();
        let (mut right, mut all) = (0, 0);
        for (text, ids) in text.split("\n__ggml_vocab_test__\n").zip(ids.lines()) {
            let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
            let found = tokenizer.encode(text).unwrap();
            all += 1;
            if found == ids {
                right += 1;
            } else {
                wrong.push(format!("{name}: {text:?}: {found:?} instead of {ids:?}"));
            }
        }
        println!("{name}: {right} of {all} texts, opened in {time:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
