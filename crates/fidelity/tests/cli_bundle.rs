//! Bundles through the real binary: the verbs, what they say when they fail, and what stands on the disk when they are
//! killed.

mod cli_support;

use cli_support::{Tiny, fidelity};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Every file of a folder, or the file itself under no name; nothing where there is neither.
fn content(path: &Path) -> BTreeMap<String, Vec<u8>> {
    if path.is_file() {
        return BTreeMap::from([(String::new(), fs::read(path).unwrap())]);
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn packed_and_unpacked_and_packed_again() {
    let tiny = Tiny::new();
    let (bundle, folder, again) = (tiny.path("a.fid"), tiny.path("unpacked"), tiny.path("b.fid"));
    for layout in ["compute", "interchange", "storage"] {
        for embedding in ["f32", "bf16", "int8"] {
            let pack = |from: &PathBuf, to: &PathBuf| {
                fidelity(&args!["pack", from, to, "--layout", layout, "--embedding", embedding]).ok()
            };
            assert_eq!(pack(&tiny.model, &bundle), "", "results only on standard output");
            fidelity(&args!["unpack", bundle, folder]).ok();
            pack(&folder, &again);
            let shown = |path: &PathBuf| fidelity(&args!["inspect", path, "--json"]).json();
            let (first, second) = (shown(&bundle), shown(&again));
            assert_eq!(first["totals"]["trits"], second["totals"]["trits"]);
            let sections = first["sections"].as_array().unwrap();
            let same = sections.iter().zip(second["sections"].as_array().unwrap());
            for (a, b) in same.filter(|(a, _)| a["dtype"] == "trit") {
                assert_eq!(a["checksum"], b["checksum"], "{layout} {embedding}: {}", a["name"]);
                assert_eq!(a["layout"], layout);
            }
            assert_eq!(content(&folder)["tokenizer.json"], content(&tiny.model)["tokenizer.json"]);
            fidelity(&args!["generate", folder, "ab", "--greedy", "--max-tokens", "3"]).ok();
        }
    }
}

#[test]
fn inspect_shows_a_bundle() {
    let tiny = Tiny::new();
    let bundle = tiny.path("model.fid");
    fidelity(&args!["pack", tiny.model, bundle, "--layout", "storage", "--embedding", "bf16"]).ok();
    let found = fidelity(&args!["inspect", bundle, "--json"]).json();
    let folder = fidelity(&args!["inspect", tiny.model, "--json", "--trits"]).json();
    assert_eq!(found["architecture"], "hgrn_bit");
    assert_eq!(found["config"], folder["config"]);
    assert_eq!(found["totals"]["file_bytes"], fs::metadata(&bundle).unwrap().len());
    assert_eq!(found["totals"]["ternary_weights"], folder["totals"]["ternary_parameters"]);
    let mut end = 64;
    let mut counted = [0; 3];
    for section in found["sections"].as_array().unwrap() {
        let offset = section["offset"].as_u64().unwrap();
        assert_eq!(offset % if section["dtype"] == "trit" { 512 } else { 64 }, 0);
        assert!(offset >= end);
        end = offset + section["length"].as_u64().unwrap();
        let parameters = folder["parameters"].as_array().unwrap();
        if let Some(parameter) =
            parameters.iter().find(|p| p["name"] == section["name"] && p["ternary"] == true)
        {
            assert_eq!(section["trits"], parameter["trits"], "{}", section["name"]);
            for (sum, n) in counted.iter_mut().zip(section["trits"].as_array().unwrap()) {
                *sum += n.as_u64().unwrap();
            }
        }
    }
    assert_eq!(found["totals"]["trits"], serde_json::json!(counted));
    let layers: Vec<&str> =
        found["layers"].as_array().unwrap().iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(layers, ["layers.0", "layers.1", "lm_head"]);
    let text = fidelity(&args!["inspect", bundle]).ok();
    for part in ["trit storage", "bf16", "bits each", "layers.1   -1", "---", "+++", "tokenizer.json"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let graph = fidelity(&args!["inspect", bundle, "--graph", "--step"]).ok();
    assert_eq!(graph, fidelity(&args!["inspect", tiny.model, "--graph", "--step"]).ok());
}

#[test]
fn convert_goes_by_name_and_type() {
    let tiny = Tiny::new();
    let [a, b, c, half, back] = ["a.fid", "b.fid", "c.FID", "half", "back"].map(|name| tiny.path(name));
    fidelity(&args!["convert", tiny.model, a, "--type", "interchange"]).ok();
    fidelity(&args!["convert", a, b, "--embedding", "int8"]).ok();
    fidelity(&args!["convert", b, c, "--type", "storage"]).ok();
    let layouts = |path: &PathBuf| {
        let found = fidelity(&args!["inspect", path, "--json"]).json();
        let sections = found["sections"].as_array().unwrap().clone();
        let of = |name: &str| sections.iter().find(|s| s["name"] == name).unwrap().clone();
        let (head, embedding) = (of("lm_head.weight"), of("model.embeddings.weight"));
        (head["layout"].as_str().unwrap().to_owned(), embedding["dtype"].as_str().unwrap().to_owned())
    };
    let pair = |layout: &str, dtype: &str| (layout.to_owned(), dtype.to_owned());
    assert_eq!(layouts(&a), pair("interchange", "f32"));
    assert_eq!(layouts(&b), pair("interchange", "i8"), "what is not named stays");
    assert_eq!(layouts(&c), pair("storage", "i8"));
    fidelity(&args!["convert", tiny.model, half, "--type", "bf16"]).ok();
    let config: serde_json::Value = serde_json::from_slice(&content(&half)["config.json"]).unwrap();
    assert_eq!(config["torch_dtype"], "bfloat16");
    fidelity(&args!["convert", c, back, "--type", "f64"]).ok();
    let shown = fidelity(&args!["inspect", back, "--json"]).json();
    assert_eq!(shown["parameters"][0]["dtype"], "f64");
    // A model over itself.
    let before = content(&tiny.model);
    fidelity(&args!["convert", tiny.model, tiny.model]).ok();
    assert_eq!(content(&tiny.model), before);
    let before = content(&a);
    fidelity(&args!["convert", a, a]).ok();
    assert!(content(&a) == before);
}

#[test]
fn synth_lists_and_makes() {
    let tiny = Tiny::new();
    let list = fidelity(&args!["synth", "--list"]).ok();
    for part in ["mmfree-1m ", "mmfree-30m ", "mmfree-370m ", "mmfree-1.3b ", "mmfree-2.7b ", "374108160"] {
        assert!(list.contains(part), "{list}");
    }
    let (folder, bundle) = (tiny.path("m"), tiny.path("m.fid"));
    fidelity(&args!["synth", "--shape", "mmfree-1m", folder, "--seed", "9"]).ok();
    fidelity(&args!["synth", "--shape", "mmfree-1m", bundle, "--seed", "9", "--layout", "storage"]).ok();
    let packed = tiny.path("packed.fid");
    fidelity(&args!["pack", folder, packed, "--layout", "storage"]).ok();
    assert!(content(&bundle) == content(&packed));
    let told = fidelity(&args!["generate", folder, "ab", "--greedy", "--max-tokens", "2", "--json"]).json();
    assert_eq!(told["tokens"].as_array().unwrap().len(), 2);
    fidelity(&args!["synth", "--shape", "mmfree-9z", folder]).fails(2, &["mmfree-370m"]);
    fidelity(&args!["synth", folder]).fails(2, &["--shape"]);
    fidelity(&args!["synth", "--shape", "mmfree-1m", folder, "--layout", "storage"]).fails(1, &["--dtype"]);
    fidelity(&args!["synth", "--shape", "mmfree-1m", bundle, "--dtype", "f16"]).fails(1, &["--layout"]);
}

#[test]
fn mistakes_are_told() {
    let tiny = Tiny::new();
    let bundle = tiny.path("a.fid");
    fidelity(&args!["pack", tiny.model, bundle, "--layout", "compute"]).ok();
    let gguf = tiny.text("m.gguf", "GGUF and more");
    let text = tiny.text("text.txt", "Once upon a time there was a text.");
    for (list, parts) in [
        (args!["pack", tiny.path("none"), bundle].to_vec(), &["none", "check the path"][..]),
        (args!["pack", tiny.model, tiny.model, "--layout", "compute"].to_vec(), &["it is a folder"]),
        (
            args!["pack", tiny.model, tiny.path("no/a.fid"), "--layout", "compute"].to_vec(),
            &["there is no folder"],
        ),
        (args!["pack", tiny.model, tiny.path("a.gguf")].to_vec(), &["name of a GGUF file", "convert"]),
        (args!["pack", gguf, bundle].to_vec(), &["m.gguf", "header, version"]),
        (args!["pack", text, bundle].to_vec(), &["magic", "fidelity pack"]),
        (args!["unpack", tiny.model, tiny.path("x")].to_vec(), &["is a folder", "convert"]),
        (args!["unpack", bundle, tiny.path("x.fid")].to_vec(), &["name of a file"]),
        (args!["unpack", bundle, text].to_vec(), &["it is a file"]),
        (args!["unpack", text, tiny.path("x")].to_vec(), &["magic"]),
        (args!["convert", bundle, tiny.path("x"), "--type", "compute"].to_vec(), &["compute", "f32, bf16"]),
        (args!["convert", bundle, tiny.path("x.fid"), "--type", "f16"].to_vec(), &["f16", "interchange"]),
        (args!["convert", bundle, tiny.path("x"), "--embedding", "int8"].to_vec(), &["--embedding"]),
        (args!["convert", bundle, tiny.path("x.gguf")].to_vec(), &["TQ2_0", "whole blocks", "f16"]),
        (args!["convert", bundle, tiny.path("x.gguf"), "--type", "q5_k"].to_vec(), &["q5_k", "tq2_0, tq1_0"]),
        (args!["convert", bundle, tiny.path("x.gguf"), "--embedding", "int8"].to_vec(), &["int8", "q6_k"]),
        (args!["convert", bundle, tiny.path("x"), "--type", "packed"].to_vec(), &["BitNet"]),
        (args!["inspect", text].to_vec(), &["magic"]),
    ] {
        fidelity(&list).fails(1, parts);
    }
    assert!(!tiny.path("x").exists() && !tiny.path("x.fid").exists() && !tiny.path("x.gguf").exists());
    // Any damage is refused by every verb that reads.
    let good = fs::read(&bundle).unwrap();
    for at in [3, 9, 61, 70, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&bundle, bad).unwrap();
        for list in [
            args!["unpack", bundle, tiny.path("x")],
            args!["convert", bundle, tiny.path("x")],
            args!["inspect", bundle, "--json"],
        ] {
            fidelity(&list).fails(1, &["a.fid", "expected", "found"]);
        }
    }
    for length in [0, 63, good.len() - 1] {
        fs::write(&bundle, &good[..length]).unwrap();
        fidelity(&args!["inspect", bundle]).fails(1, &["a.fid"]);
    }
}

#[test]
fn a_gguf_file_is_written_looked_at_and_run() {
    let tiny = Tiny::new();
    let (gguf, back) = (tiny.path("a.gguf"), tiny.path("back"));
    let told = fidelity(&args!["convert", tiny.model, gguf, "--type", "f16", "--json"]).json();
    assert_eq!(told["bytes"], fs::metadata(&gguf).unwrap().len());
    assert!(told["seconds"].is_number() && told["notes"].is_array());
    let found = fidelity(&args!["inspect", gguf, "--json"]).json();
    assert_eq!(
        (&found["architecture"], &found["unsupported"]),
        (&"matmulfree".into(), &serde_json::Value::Null)
    );
    let text = fidelity(&args!["inspect", gguf]).ok();
    assert!(text.contains("fidelity.config") && text.contains("F16"), "{text}");
    let run = |model: &PathBuf| {
        fidelity(&args!["generate", model, "ab", "--greedy", "--max-tokens", "9", "--json"]).json()
    };
    assert_eq!(run(&gguf), run(&tiny.model));
    fidelity(&args!["convert", gguf, back, "--type", "f32"]).ok();
    assert_eq!(run(&back), run(&tiny.model));
    fidelity(&args!["generate", gguf, "--chat", "hi"]).fails(1, &["no chat template", "PROMPT"]);
    fidelity(&args!["generate", gguf, "--system", "hi"]).fails(2, &["--chat"]);
}

/// A bundle that is sound as a file and no model.
#[test]
fn sections_have_to_be_those_of_the_configuration() {
    use axes::{DType, TritLayout};
    use barewire::{BundleWriter, Spec};
    let tiny = Tiny::new();
    let path = tiny.path("a.fid");
    let write = |specs: &[Spec], config: &str| {
        let mut writer = BundleWriter::new(Vec::new(), specs).unwrap();
        for spec in specs {
            if spec.name == "config.json" {
                writer.section("config.json", config.as_bytes()).unwrap();
            } else if spec.content.shape().len() == 2 && spec.name.ends_with("proj.weight") {
                writer.trits(&spec.name, 1.0, &vec![0; spec.content.length().unwrap() as usize]).unwrap();
            } else {
                writer.section(&spec.name, &vec![0; spec.content.length().unwrap() as usize]).unwrap();
            }
        }
        fs::write(&path, writer.finish().unwrap()).unwrap();
        fidelity(&args!["inspect", path])
    };
    let text = r#"{"model_type": "hgrn_bit", "hidden_size": 4, "vocab_size": 8, "num_hidden_layers": 1}"#;
    write(&[Spec::bytes("other", 3)], "").fails(1, &["config.json"]);
    write(&[Spec::bytes("config.json", 4)], "nope").fails(1, &["config.json", "JSON"]);
    let config = Spec::bytes("config.json", text.len());
    write(std::slice::from_ref(&config), text).fails(1, &["model.lower_bounds", "none"]);
    let bounds = Spec::tensor("model.lower_bounds", DType::F32, &[1, 4]);
    write(&[config.clone(), bounds.clone()], text).fails(1, &["lower_bounds_eff", "f32 [1, 4]", "none"]);
    let wrong = Spec::tensor("lower_bounds_eff", DType::F32, &[4]);
    write(&[config.clone(), bounds.clone(), wrong], text)
        .fails(1, &["lower_bounds_eff", "f32 [1, 4]", "f32 [4]"]);
    let eff = Spec::tensor("lower_bounds_eff", DType::F32, &[1, 4]);
    let embedding = |dtype| Spec::tensor("model.embeddings.weight", dtype, &[8, 4]);
    let list = |last: Spec| [config.clone(), bounds.clone(), eff.clone(), last];
    write(&list(embedding(DType::I8)), text).fails(1, &["model.embeddings.weight.scale"]);
    write(&list(embedding(DType::F64)), text).fails(1, &["model.embeddings.weight", "f64"]);
    let trits = Spec::trits("model.layers.0.attn.i_proj.weight", TritLayout::Interchange, 4, 5);
    let norm = Spec::tensor("model.layers.0.attn_norm.weight", DType::F32, &[4]);
    let specs = [&list(embedding(DType::F32))[..], &[norm, trits]].concat();
    write(&specs, text).fails(1, &["i_proj.weight", "trits (interchange) [4, 4]", "[4, 5]"]);
    let layers = text.replace("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 4096");
    let config = Spec::bytes("config.json", layers.len());
    write(&[config], &layers).fails(1, &["4096 layers"]);
}

/// Starts a verb, kills it after a while, and says whether it had finished.
fn killed(list: &[OsString], after: Duration) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fidelity"))
        .args(list)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let finished = child.try_wait().unwrap().is_some();
    let _ = child.kill();
    child.wait().unwrap();
    finished
}

/// Kills a verb at many moments; afterwards the target is what it was, or what it should become, file by file.
fn killed_at_random(tiny: &Tiny, list: &[OsString], target: &Path, old: &BTreeMap<String, Vec<u8>>) {
    let whole = |path: &Path| {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir_all(path);
        match old.iter().next() {
            None => {}
            Some((name, bytes)) if name.is_empty() => fs::write(path, bytes).unwrap(),
            Some(_) => {
                fs::create_dir(path).unwrap();
                old.iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).unwrap());
            }
        }
    };
    whole(target);
    let start = Instant::now();
    fidelity(list).ok();
    let span = start.elapsed();
    let new = content(target);
    let (mut early, mut late) = (0, 0);
    for round in 0..24_u32 {
        whole(target);
        // Over the whole run and a little beyond, denser towards the end, where the renames are.
        let part = 1.15 * (1.0 - (1.0 - f64::from(round) / 23.0).powi(2));
        let finished = killed(list, span.mul_f64(part));
        let found = content(target);
        if found == *old {
            early += 1;
        } else if found == new {
            late += 1;
        } else {
            assert!(
                !old.is_empty() && !old.contains_key(""),
                "{target:?} is neither as it was nor as it should be"
            );
            // A folder that was there is replaced file by file.
            for (name, bytes) in &found {
                let known = [old.get(name), new.get(name)].into_iter().flatten().any(|known| known == bytes);
                assert!(known, "{target:?}: {name} is neither the old file nor the new one");
            }
        }
        assert!(!finished || found == new, "a run that ended has written its target");
    }
    println!("{target:?}: {early} before, {late} after");
    assert!(early > 0, "no run was killed before it was done");
    // Nothing but the target and temporary names is left behind.
    for entry in fs::read_dir(tiny.dir.path()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            assert!(name.ends_with(".partial"), "{name}");
            let _ = fs::remove_file(entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[test]
fn killed_runs_leave_no_half_written_files() {
    let tiny = Tiny::new();
    let [model, other, bundle, old_bundle] = ["m", "o", "m.fid", "o.fid"].map(|name| tiny.path(name));
    fidelity(&args!["synth", "--shape", "mmfree-1m", model]).ok();
    fidelity(&args!["synth", "--shape", "mmfree-1m", other, "--seed", "1", "--dtype", "bf16"]).ok();
    fidelity(&args!["pack", model, bundle, "--layout", "compute"]).ok();
    fidelity(&args!["pack", other, old_bundle, "--layout", "compute"]).ok();
    let (none, old_file, old_folder) = (BTreeMap::new(), content(&old_bundle), content(&other));
    let (file, folder) = (tiny.path("target.fid"), tiny.path("target"));
    for old in [&none, &old_file] {
        killed_at_random(&tiny, &args!["pack", model, file, "--layout", "storage"], &file, old);
        killed_at_random(&tiny, &args!["convert", bundle, file, "--embedding", "int8"], &file, old);
    }
    for old in [&none, &old_folder] {
        killed_at_random(&tiny, &args!["unpack", bundle, folder], &folder, old);
        killed_at_random(&tiny, &args!["convert", model, folder, "--type", "f64"], &folder, old);
    }
}

#[cfg(unix)]
#[test]
fn runs_that_are_told_to_stop_clean_up() {
    let tiny = Tiny::new();
    let target = tiny.path("x.fid");
    let partial = || {
        let entries = fs::read_dir(tiny.dir.path()).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".partial")).count()
    };
    for signal in ["-INT", "-TERM"] {
        // Large enough to be caught in the middle.
        let mut child = Command::new(env!("CARGO_BIN_EXE_fidelity"))
            .args(args!["synth", "--shape", "mmfree-370m", target, "--layout", "compute"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while partial() == 0 && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(partial(), 1);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert_eq!(partial(), 0, "{signal}");
        assert!(!target.exists());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_leaves_what_was_there() {
    let tiny = Tiny::new();
    let (bundle, old, folder) = (tiny.path("m.fid"), tiny.path("old.fid"), tiny.path("x"));
    fidelity(&args!["synth", "--shape", "mmfree-1m", tiny.path("m")]).ok();
    fidelity(&args!["pack", tiny.path("m"), bundle, "--layout", "compute"]).ok();
    fs::write(&old, "what was there").unwrap();
    fidelity(&args!["pack", tiny.path("m"), "/dev/full", "--layout", "compute"])
        .fails(1, &["/dev/full", "space"]);
    // A limit on the size of files, in blocks of 512 bytes or 1 KiB.
    let limited = |script: &str, list: &[OsString]| {
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(env!("CARGO_BIN_EXE_fidelity"))
            .args(list)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for list in [
        args!["pack", tiny.path("m"), old, "--layout", "compute"].to_vec(),
        args!["convert", bundle, old].to_vec(),
        args!["unpack", bundle, folder].to_vec(),
    ] {
        let (code, err) = limited("ulimit -f 100; exec \"$0\" \"$@\"", &list);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("too large") && err.contains("ulimit -f") && err.contains("help: "), "{err}");
    }
    assert_eq!(fs::read_to_string(&old).unwrap(), "what was there");
    assert!(!folder.exists());
    let entries = fs::read_dir(tiny.dir.path()).unwrap().flatten();
    let left: Vec<_> =
        entries.map(|entry| entry.file_name()).filter(|name| name.as_encoded_bytes()[0] == b'.').collect();
    assert!(left.is_empty(), "{left:?}");
    // A real full disk, where one can be had.
    let disk = tiny.path("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = format!(
        "exec unshare -rm sh -c 'mount -t tmpfs -o size=200k none \"{}\" || exit 77; exec \"$0\" \"$@\"' \"$0\" \"$@\"",
        disk.display()
    );
    for list in [
        args!["pack", tiny.path("m"), disk.join("a.fid"), "--layout", "compute"].to_vec(),
        args!["unpack", bundle, disk.join("x")].to_vec(),
    ] {
        let (code, err) = limited(&mounted, &list);
        if code != Some(1) || !err.contains("error: ") {
            println!("skipped: no disk of our own ({err})");
            break;
        }
        assert!(err.contains("No space left") && err.contains("free some space"), "{err}");
    }
}
