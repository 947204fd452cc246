//! `pack --layout auto` and `doctor --recalibrate` through the binary: measured once, remembered, never trusted blindly.

mod cli_support;

use cli_support::{Tiny, fidelity};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs the command with a cache folder of its own; standard output and error.
fn run<S: AsRef<std::ffi::OsStr>>(cache: &Path, args: &[S]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fidelity"));
    let output = command.args(args).env("XDG_CACHE_HOME", cache).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{err}");
    (out, err)
}

fn files(cache: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache.join("fidelity")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn auto_measures_once_and_survives_a_broken_cache() {
    let tiny = Tiny::new();
    let (cache, bundle) = (tiny.path("cache"), tiny.path("auto.fid"));
    let pack = |more: &[&str]| {
        let mut list = args!["pack", tiny.model, bundle, "--layout", "auto", "--threads", "1"].to_vec();
        list.extend(more.iter().map(std::ffi::OsString::from));
        run(&cache, &list).1
    };
    let first = pack(&[]);
    assert!(first.contains("layout ") && first.contains("on 1 thread:"), "{first}");
    let found = files(&cache);
    assert_eq!(found.len(), 1);
    let remembered = std::fs::read(&found[0]).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&remembered).unwrap();
    let layout = value["layout"].as_str().unwrap();
    assert!(["compute", "storage"].contains(&layout));
    let told = run(&cache, &args!["inspect", bundle, "--json"]).0;
    assert!(told.contains(layout), "{told}");
    // From the cache: not a byte of it changes.
    pack(&[]);
    assert_eq!(std::fs::read(&found[0]).unwrap(), remembered);
    for broken in [&b"{"[..], b"", b"[1,2]", &remembered[..remembered.len() / 2]] {
        std::fs::write(&found[0], broken).unwrap();
        pack(&[]);
        assert!(serde_json::from_slice::<serde_json::Value>(&std::fs::read(&found[0]).unwrap()).is_ok());
    }
    pack(&["--recalibrate"]);
    // A cache that cannot be made stops nothing.
    let file = tiny.text("file", "x");
    run(&file, &args!["pack", tiny.model, bundle, "--threads", "1"]);
    // What is not said is measured, too, and told; a bundle of a bundle keeps the layout, and a fixed one asks nobody.
    let again = tiny.path("again.fid");
    let told = run(&cache, &args!["convert", tiny.model, again, "--threads", "1"]).1;
    assert!(told.contains("layout ") && told.contains("measured before"), "{told}");
    for fixed in [
        args!["convert", again, bundle].to_vec(),
        args!["convert", tiny.model, bundle, "--type", "compute"].to_vec(),
    ] {
        assert!(!run(&cache, &fixed).1.contains("layout "), "{fixed:?}");
    }
    fidelity(&args!["pack", tiny.model, bundle, "--recalibrate", "--layout", "compute"])
        .fails(1, &["--layout auto"]);
}

#[test]
fn doctor_tells_what_is_remembered() {
    let tiny = Tiny::new();
    let cache = tiny.path("cache");
    assert!(run(&cache, &["doctor"]).0.contains("trit layout     not measured"));
    assert!(files(&cache).is_empty(), "looking measures nothing");
    let told = run(&cache, &["doctor", "--recalibrate"]).0;
    assert!(told.contains("weights/ns"), "{told}");
    let json: serde_json::Value = serde_json::from_str(&run(&cache, &["doctor", "--json"]).0).unwrap();
    assert!(json["layout"]["compute"]["weights"].as_f64().unwrap() > 0.0);
}
