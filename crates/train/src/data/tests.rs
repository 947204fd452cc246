use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::*;
use crate::TrainConfig;
use crate::config::{SamplerKind, SplitKind};
use crate::error::TrainError;
use crate::schedule::Schedule;

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A configuration that reads `sources` and caches below `dir`.
fn config(dir: &Path, sources: &[&str]) -> TrainConfig {
    let mut config = TrainConfig::default();
    config.data.train = sources.iter().map(|s| (*s).to_owned()).collect();
    config.data.seq_len = 8;
    config.data.validation.kind = SplitKind::None;
    config.output.dir = dir.join("run");
    config
}

fn all_ids(set: &TokenSet) -> Vec<u32> {
    let mut ids = Vec::new();
    set.ids.copy(0..set.len(), &mut ids);
    ids
}

fn text(set: &TokenSet) -> String {
    String::from_utf8(all_ids(set).into_iter().map(|id| id as u8).collect()).unwrap()
}

fn golden() -> Option<PathBuf> {
    let root = std::env::var_os("FIDELITY_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden"), PathBuf::from);
    let found = root.join("matmulfree/train/corpus.bin").exists().then_some(root);
    if found.is_none() {
        eprintln!("skipped: no golden data; set FIDELITY_GOLDEN to their folder");
    }
    found
}

#[test]
fn the_golden_configuration_gives_the_reference_data() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/golden.toml");
    let mut config = TrainConfig::from_toml(&fs::read_to_string(example).unwrap(), "golden.toml").unwrap();
    config.validate().unwrap();
    let schedule = Schedule::new(&config);
    assert_eq!((schedule.learning_rate(0), schedule.weight_decay(0)), (2e-4, 0.0));
    assert!(config.optimizer.decays("model.norm.weight"), "the reference decays (by 0) every parameter");
    let Some(root) = golden() else { return };
    config.expand_paths(&|_| Some(root.to_str().unwrap().to_owned())).unwrap();
    config.data.cache = false;
    let corpus = Corpus::load(&config).unwrap();
    let digest = |set: &TokenSet| {
        let bytes: Vec<u8> = all_ids(set).into_iter().map(|id| id as u8).collect();
        Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    assert_eq!((corpus.train.len(), corpus.validation.len()), (666_310, 73_728));
    assert_eq!(digest(&corpus.train), "63c9cfda1350e0b1e95d8403678652d5c2b96ee709a5fefe98836da2d91dad9b");
    assert_eq!(
        digest(&corpus.validation),
        "9c175a4f47b5358e4175c336a3ceec6e962b482e610c026313af88164f039d7a"
    );

    let mut sampler = corpus.sampler(&config.data).unwrap();
    for offsets in [
        [592303, 311869, 406980, 171264, 45226, 65874, 373039, 263696],
        [24331, 85118, 232433, 15658, 614384, 93811, 652820, 251102],
    ] {
        let batch = sampler.next_batch(config.train.batch_size);
        for (row, offset) in batch.rows().zip(offsets) {
            let mut expected = Vec::new();
            corpus.train.ids.copy(offset..offset + 64, &mut expected);
            assert_eq!(row, expected);
        }
    }
    let batches =
        validation_batches(&corpus.validation, 64, config.train.eval_windows, config.train.eval_batch_size)
            .unwrap();
    assert_eq!(batches.iter().map(|b| b.batch_size).collect::<Vec<_>>(), [16; 4]);
    assert_eq!(corpus.check_vocab(256).map_err(|e| e.to_string()), Ok(()));
}

#[test]
fn validation_windows_reach_from_end_to_end() {
    let offsets = validation_offsets(73_728, 64, 64);
    let expected: Vec<usize> = (0..64).map(|k| k * (73_728 - 64) / 63).collect();
    assert_eq!(offsets, expected);
    assert_eq!(offsets[63], 73_664);
    assert_eq!(validation_offsets(10, 10, 3), [0, 0, 0]);
    assert_eq!(validation_offsets(9, 10, 3), [0; 0]);
    assert_eq!(validation_offsets(100, 10, 1), [0]);
}

#[test]
fn sources_keep_their_order_and_count_once() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let b = write(d, "b.txt", "B");
    write(d, "f/z.txt", "Z");
    write(d, "f/a/y.md", "Y");
    write(d, "f/.hidden.txt", "H");
    write(d, "f/image.png", "P");
    write(d, "f/zero.txt", [b'a', 0, b'b']);
    let folder = d.join("f").to_str().unwrap().to_owned();
    let pattern = d.join("*.txt").to_str().unwrap().to_owned();
    write(d, "a.txt", "A");
    let corpus = Corpus::load(&config(d, &[&b, &folder, &pattern])).map_err(|e| e.to_string());
    let mut short = config(d, &[&b, &folder, &pattern]);
    short.data.seq_len = 2;
    let corpus = corpus.or_else(|_| Corpus::load(&short).map_err(|e| e.to_string())).unwrap();
    assert_eq!(text(&corpus.train), "BYZA");
    assert_eq!((corpus.files, corpus.train.documents()), (5, 4));
    assert!(corpus.notes.iter().any(|n| n.contains("1 file(s) have endings")), "{:?}", corpus.notes);
    assert!(
        corpus.notes.iter().any(|n| n.contains("are not text") && n.contains("zero.txt")),
        "{:?}",
        corpus.notes
    );
}

#[test]
fn each_mistake_has_its_message() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let message = |config: &TrainConfig| match Corpus::load(config) {
        Ok(corpus) => match corpus.sampler(&config.data) {
            Ok(_) => panic!("no error"),
            Err(e) => e.to_string(),
        },
        Err(e) => e.to_string(),
    };
    let empty = write(d, "empty.txt", "");
    let short = write(d, "short.txt", "1234567");
    fs::create_dir(d.join("nothing")).unwrap();
    let nothing = d.join("nothing").to_str().unwrap().to_owned();
    for (sources, parts) in [
        (vec![], vec!["`data.train` is empty", "--set"]),
        (vec!["/no/such.txt"], vec!["/no/such.txt", "does not exist", "check the spelling"]),
        (vec!["/no/*.txt"], vec!["/no/*.txt", "matches no text file"]),
        (vec!["a[*.txt"], vec!["not a valid file pattern"]),
        (vec![nothing.as_str()], vec!["matches no text file", "data.extensions"]),
        (vec![empty.as_str()], vec!["the training text is empty", "1 file(s)"]),
        (vec![short.as_str()], vec!["7 tokens", "the 8 that one sequence needs", "data.seq_len"]),
    ] {
        let found = message(&config(d, &sources));
        assert!(parts.iter().all(|part| found.contains(part)), "{sources:?}: {found}");
    }
    let mut bad = config(d, &[&short]);
    bad.data.tokenizer = d.join("tok.json").to_str().unwrap().to_owned();
    assert!(message(&bad).contains("\"bytes\""), "{}", message(&bad));
    fs::write(d.join("tok.json"), "{}").unwrap();
    assert!(message(&bad).contains("expected a Hugging Face"), "{}", message(&bad));
    let mut files = config(d, &[&short]);
    files.data.validation.kind = SplitKind::Files;
    files.data.validation.files = vec![empty];
    assert!(message(&files).contains("the validation text is empty"));

    let corpus = Corpus::load(&config(d, &[&short])).unwrap();
    let found = corpus.check_vocab(50).unwrap_err();
    assert!(matches!(found, TrainError::TokenRange { id: 50, position: 1, vocab: 50, .. }), "{found}");
    assert!(
        validation_batches(&corpus.validation, 8, 64, 16)
            .unwrap_err()
            .to_string()
            .contains("[data.validation]")
    );
}

/// A superuser may read anything, so the test is for the others.
#[cfg(unix)]
#[test]
fn an_unreadable_file_is_an_error_when_named_and_a_note_when_found() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let locked = write(d, "f/locked.txt", "secret text");
    write(d, "f/open.txt", "open text");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&locked).is_ok() {
        return;
    }
    let message = Corpus::load(&config(d, &[&locked])).unwrap_err().to_string();
    assert!(message.contains("locked.txt") && message.contains("chmod"), "{message}");
    let corpus = Corpus::load(&config(d, &[d.join("f").to_str().unwrap()])).unwrap();
    assert_eq!(text(&corpus.train), "open text");
    assert!(corpus.notes.iter().any(|n| n.contains("cannot be read")));
}

#[test]
fn max_bytes_cuts_the_text_off() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (write(dir.path(), "a.txt", "12345"), write(dir.path(), "b.txt", "67é0"));
    let mut config = config(dir.path(), &[&a, &b]);
    for (limit, expected, noted) in
        [(8, "1234567", true), (3, "123", true), (5, "12345", true), (10, "1234567é0", false)]
    {
        config.data.max_bytes = limit;
        let corpus = Corpus::load(&config).unwrap();
        assert_eq!(text(&corpus.train), expected);
        assert_eq!(
            corpus.notes.iter().any(|n| n.contains("data.max_bytes")),
            noted,
            "{limit}: {:?}",
            corpus.notes
        );
    }
}

#[test]
fn documents_are_cut_and_joined_by_the_end_token() {
    let dir = tempfile::tempdir().unwrap();
    let source = write(dir.path(), "t.txt", "one\n%\ntwo\n%\n\n%\n");
    let mut config = config(dir.path(), &[&source]);
    config.data.document_separator = "\n%\n".into();
    config.data.eos_token_id = 0;
    let corpus = Corpus::load(&config).unwrap();
    assert_eq!(text(&corpus.train), "one\0two\0");
    assert_eq!((corpus.train.documents(), corpus.train.bytes), (2, 6));
    assert_eq!(corpus.train.document(1), 4..8);
    assert_eq!(corpus.train.bytes_per_token(), 0.75);
}

#[test]
fn the_cache_gives_the_same_tokens_and_damage_is_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let source = write(d, "t.txt", "some text that is long enough for a sequence");
    write(d, "f/x.bin", [0u8; 9]);
    let mut config = config(d, &[&source]);
    config.data.validation.kind = SplitKind::Blocks;
    config.data.validation.block_bytes = 4;
    let first = Corpus::load(&config).unwrap();
    let second = Corpus::load(&config).unwrap();
    assert!(!first.cached && second.cached);
    assert_eq!(
        (&first.train, &first.validation, &first.notes),
        (&second.train, &second.validation, &second.notes)
    );

    let file = fs::read_dir(config.cache_dir().unwrap()).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    for damage in [&whole[..whole.len() - 1], &whole[..3], &[&whole[..40], b"?", &whole[41..]].concat()] {
        fs::write(&file, damage).unwrap();
        let rebuilt = Corpus::load(&config).unwrap();
        assert!(!rebuilt.cached && rebuilt.notes[0].contains("was rebuilt"), "{:?}", rebuilt.notes);
        assert_eq!(rebuilt.train, first.train);
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
    config.data.validation.every = 5;
    config.data.validation.offset = 1;
    assert!(!Corpus::load(&config).unwrap().cached, "another split is another cache");
    write(d, "t.txt", "some text that is long enough for a sequence, and more");
    assert!(!Corpus::load(&config).unwrap().cached, "changed text is another cache");
    config.data.cache_dir = "/dev/null/cache".into();
    let corpus = Corpus::load(&config).unwrap();
    assert!(corpus.notes[0].contains("was not cached"), "{:?}", corpus.notes);
}

#[test]
fn the_preview_shows_what_the_model_sees() {
    let dir = tempfile::tempdir().unwrap();
    let source = write(dir.path(), "t.txt", "abcdefgh\x1b[31m1234");
    let mut config = config(dir.path(), &[&source]);
    config.data.sampler = SamplerKind::RandomWindows;
    config.train.steps = 10;
    config.train.batch_size = 1;
    let corpus = Corpus::load(&config).unwrap();
    let preview = Preview::new(&corpus, &config, 2).unwrap();
    assert_eq!((preview.train_tokens, preview.documents, preview.vocab_size), (17, 1, 256));
    assert_eq!(preview.vocab_used, 15);
    assert_eq!((preview.sequences_per_epoch, preview.first.len()), (2, 2));
    assert!((preview.epochs - 80.0 / 17.0).abs() < 1e-12);
    assert_eq!(preview.first[0].len(), 8);
    let shown = preview.to_string();
    assert!(shown.contains("training tokens    17") && !shown.contains('\x1b'), "{shown}");
}

#[test]
fn a_tokenizer_file_is_used_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let source = write(d, "t.txt", b"the cat sat \xff the cat".as_slice());
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "the": 1, "cat": 2, "sat": 3}, "unk_token": "<unk>"},
    });
    let mut config = config(d, &[&source]);
    config.data.tokenizer = write(d, "m/tokenizer.json", tokenizer.to_string());
    write(d, "m/config.json", r#"{"eos_token_id": 3}"#);
    config.data.seq_len = 2;
    let corpus = Corpus::load(&config).unwrap();
    assert_eq!(all_ids(&corpus.train), [1, 2, 3, 0, 1, 2, 3]);
    assert!(corpus.notes.iter().any(|n| n.contains("not UTF-8")), "{:?}", corpus.notes);
    config.data.tokenizer = d.join("m").to_str().unwrap().to_owned();
    assert!(Corpus::load(&config).unwrap().cached, "the folder is the same tokenizer");
    config.data.tokenizer = "bytes".into();
    assert!(!Corpus::load(&config).unwrap().cached);
}
