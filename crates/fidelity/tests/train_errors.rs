//! What can be wrong with a configuration, its text and its folder: each with its cause, its remedy and exit code 1.

mod common;

use common::training::{Workshop, names};
use std::fs;

#[test]
fn texts_that_are_none() {
    let shop = Workshop::new();
    shop.write("empty.txt", "");
    shop.write("tiny.txt", "ten bytes.");
    fs::create_dir(shop.path("folder")).unwrap();
    shop.write("folder/picture.png", [0u8; 64]);
    let train = |source: &str| shop.train("run", &[&format!("data.train={source}")]);
    train("[]").fails(&["`data.train` is empty", "data.train=["]);
    train("empty.txt").fails(&["training text is empty", "1 file(s)", "name files that hold text"]);
    train("nowhere.txt").fails(&["`nowhere.txt` does not exist", "data.train"]);
    train("folder").fails(&[
        "`folder` matches no text file",
        "1 file(s) have other endings",
        "data.extensions",
    ]);
    train("**/*.nothing").fails(&["matches no text file"]);
    let short = train("tiny.txt").fails(&["data.validation"]);
    assert!(short.contains("none"), "{short}");
    shop.train("run", &["data.train=tiny.txt", "data.validation.kind=none"]).fails(&[
        "training text has 10 tokens",
        "32",
        "data.seq_len",
    ]);
    shop.train("run", &["data.validation.kind=files", "data.validation.files=tiny.txt"])
        .fails(&["validation text has 10 tokens", "data.validation"]);
    shop.train("run", &["data.validation.kind=files", "data.validation.files=empty.txt"])
        .fails(&["validation text is empty"]);
    assert!(!shop.path("run/config.toml").exists() && !shop.path("run/metrics.jsonl").exists());
}

#[test]
fn files_of_settings_that_are_none() {
    let shop = Workshop::new();
    shop.write("bytes.toml", [0xff, 0xfe, 0x00, 0x41]);
    shop.run(&["train", "bytes.toml"]).fails(&["bytes.toml", "UTF-8"]);
    shop.write("broken.toml", "[train]\nsteps = \n");
    shop.run(&["train", "broken.toml"]).fails(&["broken.toml", "line 2", "--print-config"]);
    shop.write("typo.toml", "[train]\nstepz = 3\n");
    shop.run(&["train", "typo.toml"]).fails(&[
        "typo.toml",
        "unknown key `train.stepz`",
        "did you mean `train.steps`",
    ]);
    shop.write("section.toml", "[trian]\nsteps = 3\n");
    shop.run(&["train", "section.toml"]).fails(&["unknown key `trian", "--print-config"]);
    shop.run(&["train", "missing.toml"]).fails(&["missing.toml", "check the path"]);
    shop.run(&["train", "."]).fails(&["directory"]);
}

#[test]
fn values_that_cannot_be() {
    let shop = Workshop::new();
    for (setting, parts) in [
        ("train.steps=0", ["`train.steps` is 0", "at least 1"]),
        ("train.batch_size=0", ["`train.batch_size` is 0", "at least 1"]),
        ("train.accumulate=0", ["`train.accumulate` is 0", "at least 1"]),
        ("train.keep_checkpoints=0", ["`train.keep_checkpoints` is 0", "at least 1"]),
        ("data.seq_len=1", ["`data.seq_len` is 1", "at least 2"]),
        ("optimizer.lr=-1", ["`optimizer.lr` is -1", "above 0"]),
        ("optimizer.lr=nan", ["`optimizer.lr` is NaN", "above 0"]),
        ("optimizer.betas=[0.9, 1.0]", ["`optimizer.betas` is 1", "below 1"]),
        ("schedule.switch_at=2", ["`schedule.switch_at` is 2", "between 0 and 1"]),
        ("schedule.kind=stairs", ["stairs", "two-stage"]),
        ("model.num_heads=5", ["`model.num_heads` is 5", "divisor"]),
        ("model.mlgru_form=new", ["`new`", "article"]),
        ("model.architecture=rwkv", ["`model.architecture` is rwkv", "matmulfree"]),
        ("model.vocab_size=100", ["outside the vocabulary", "model.vocab_size"]),
        ("data.tokenizer=nowhere.json", ["nowhere.json", "data.tokenizer"]),
        ("train.stepz=1", ["unknown key `train.stepz`", "`train.steps`"]),
        ("output.dir=${FIDELITY_UNSET_VARIABLE}", ["FIDELITY_UNSET_VARIABLE", "not set"]),
    ] {
        shop.train("run", &[setting]).fails(&parts);
    }
}

#[test]
fn folders_that_cannot_be_written_to() {
    let shop = Workshop::new();
    // A file where the folder should be, itself or on the way.
    for dir in ["text.txt", "text.txt/run"] {
        shop.train(dir, &[]).fails(&["cannot write `text.txt", "output.dir", "another folder"]);
    }
    assert!(fs::metadata(shop.path("text.txt")).unwrap().is_file());
    // A folder in the place of a file that the run writes.
    fs::create_dir_all(shop.path("taken/metrics.jsonl")).unwrap();
    shop.train("taken", &[]).fails(&["metrics.jsonl", "output.dir"]);
    // An empty name.
    shop.train("", &[]).fails(&["`output.dir`", "the folder that the run writes to"]);
}

/// Rights bind everyone but the superuser.
#[cfg(unix)]
#[test]
fn a_folder_without_the_right_to_write() {
    use std::os::unix::fs::PermissionsExt;
    let shop = Workshop::new();
    fs::create_dir(shop.path("locked")).unwrap();
    fs::set_permissions(shop.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(shop.path("locked/probe"), "").is_ok() {
        return;
    }
    shop.train("locked/run", &[]).fails(&["cannot write `locked/run`", "a folder that you may write to"]);
}

#[test]
fn a_cache_that_cannot_be_kept_or_read_stops_nothing() {
    let shop = Workshop::new();
    shop.write("file", "in the way");
    let done = shop.train("run", &["train.steps=2", "data.cache_dir=file"]);
    assert!(done.err.contains("was not cached"), "{}", done.err);
    done.ok();
    shop.train("other", &["train.steps=2"]).ok();
    let cached = names(&shop.path("other/cache"));
    assert_eq!(cached.len(), 1, "{cached:?}");
    shop.write(&format!("other/cache/{}", cached[0]), "FIDTOK01 and nonsense");
    let done = shop.train("third", &["train.steps=2", "data.cache_dir=other/cache"]);
    assert!(done.err.contains("damaged") && done.err.contains("rebuilt"), "{}", done.err);
    done.ok();
    assert_eq!(common::training::log(&shop.path("third")), common::training::log(&shop.path("other")));
}
