//! The rules of the house: which crate may use which, how long a file may be, where `unsafe` may stand.
//!
//! The tables below are the design's own, as data. Whoever needs another edge or another place changes the table
//! in the same commit and says why; nothing is allowed by accident.

#![allow(missing_docs)]

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each crate may use; the right to use one gives the right to use what that one may use.
const HOUSE: &[(&str, &[&str])] = &[
    ("axes", &[]),
    ("barewire", &["axes"]),
    ("graph", &["axes"]),
    // The parser of kernels is a crate of its own: the attribute's crate can export nothing but the attribute.
    ("kernel-syntax", &[]),
    ("kernel-macros", &["kernel-syntax"]),
    ("kernel", &["graph", "kernel-macros", "kernel-syntax"]),
    ("furnace", &["graph"]),
    ("premap", &["graph"]),
    ("engine", &["premap", "graph", "barewire"]),
    ("alex", &["premap", "graph", "barewire", "kernel"]),
    ("models", &["axes", "graph", "kernel", "furnace", "barewire"]),
    ("train", &["models", "furnace", "engine"]),
    ("sensors", &["axes", "models", "furnace"]),
    ("orchestra", &["engine", "models", "train", "barewire"]),
    ("fidelity", &["train", "sensors", "orchestra", "alex", "engine", "models", "furnace", "kernel"]),
    ("xtask", &[]),
];

/// The only files that may contain `unsafe`, by the start of their path.
const UNSAFE_PLACES: &[&str] = &[
    "crates/engine/",
    "crates/barewire/",
    "crates/models/src/mapped.rs",
    "crates/furnace/src/precision/f80",
    "crates/alex/src/loader",
    // The plain loops that compiled code is measured against, built for what this machine has.
    "crates/alex/benches/native/",
    // Calls of compiled functions.
    "crates/alex/tests/",
    "crates/fidelity/src/compiled",
    // An allocator that counts, for the tests of the decoders.
    "fuzz/src/allocation.rs",
    // The same, for what running a bundle costs.
    "crates/fidelity/tests/bundle_memory.rs",
];

const LONGEST_FILE: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Dependencies between crates of the workspace.
#[derive(Debug, Default)]
struct Edges {
    /// Of the crate itself and of its build script.
    code: BTreeMap<String, BTreeSet<String>>,
    /// Of its tests, examples and benchmarks only.
    dev: BTreeMap<String, BTreeSet<String>>,
}

fn edges() -> Edges {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--offline", "--format-version", "1", "--no-deps"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names = packages.iter().map(|package| package["name"].as_str().unwrap()).collect::<BTreeSet<_>>();
    let mut edges = Edges::default();
    for package in packages {
        let name = package["name"].as_str().unwrap().to_owned();
        edges.code.entry(name.clone()).or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            if names.contains(used) {
                let list = if dependency["kind"] == "dev" { &mut edges.dev } else { &mut edges.code };
                list.entry(name.clone()).or_default().insert(used.to_owned());
            }
        }
    }
    edges
}

/// Everything a crate may use, directly or through its rights; nothing for a crate without a row.
fn rights(house: &[(&str, &[&str])], name: &str) -> Option<BTreeSet<String>> {
    let row = |name: &str| house.iter().find(|(other, _)| *other == name).map(|(_, used)| *used);
    let mut rights = BTreeSet::new();
    let mut open = row(name)?.to_vec();
    while let Some(used) = open.pop() {
        if rights.insert(used.to_owned()) {
            open.extend(row(used).unwrap_or_default());
        }
    }
    Some(rights)
}

/// One line for each edge that the house does not allow.
fn violations(house: &[(&str, &[&str])], code: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut list = Vec::new();
    for (name, used) in code {
        let Some(rights) = rights(house, name) else {
            list.push(format!("`{name}` has no row in the table"));
            continue;
        };
        list.extend(
            used.difference(&rights)
                .map(|used| format!("`{name}` uses `{used}`, which its row does not allow")),
        );
    }
    list
}

#[test]
fn crates_use_only_what_their_row_allows() {
    let edges = edges();
    for (name, used) in &edges.dev {
        let extra = used.difference(&edges.code[name]).cloned().collect::<Vec<_>>();
        let rights = rights(HOUSE, name).unwrap_or_default();
        let beyond = extra.iter().filter(|used| !rights.contains(*used)).count();
        if !extra.is_empty() {
            println!("tests of `{name}` also use {} ({beyond} beyond its row)", extra.join(", "));
        }
    }
    let found = violations(HOUSE, &edges.code);
    assert!(found.is_empty(), "\n{}\nchange the code, or the table and the design with it", found.join("\n"));
}

#[test]
fn the_check_itself_sees_violations() {
    let house: &[(&str, &[&str])] = &[("low", &[]), ("middle", &["low"]), ("high", &["middle"])];
    let code =
        |name: &str, used: &str| BTreeMap::from([(name.to_owned(), BTreeSet::from([used.to_owned()]))]);
    assert!(violations(house, &code("high", "low")).is_empty());
    assert_eq!(violations(house, &code("low", "high")).len(), 1);
    assert_eq!(violations(house, &code("unknown", "low")).len(), 1);
}

#[test]
fn the_house_has_no_cycle() {
    for (name, _) in HOUSE {
        assert!(!rights(HOUSE, name).unwrap().contains(*name), "`{name}` may use itself");
    }
}

#[test]
fn every_crate_has_its_paragraph() {
    let Ok(text) = fs::read_to_string(root().join("ARCHITECTURE.md")) else {
        println!("skipped: no ARCHITECTURE.md yet");
        return;
    };
    let starts = |name: &str| {
        let marks: &[char] = &['#', '*', '-', '|', ' '];
        text.lines().map(|line| line.trim_start_matches(marks)).any(|line| {
            line.starts_with(&format!("`{name}`")) || line.starts_with(&format!("`crates/{name}`"))
        })
    };
    let missing = edges().code.into_keys().filter(|name| !starts(name)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "ARCHITECTURE.md has no paragraph that starts with: {}", missing.join(", "));
}

/// Every Rust file of the crates, of xtask and of the fuzz targets: path below the root, content.
fn sources() -> Vec<(String, String)> {
    fn collect(root: &Path, folder: &Path, list: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    collect(root, &path, list);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(root).unwrap().display().to_string().replace('\\', "/");
                list.push((below, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = root();
    let mut list = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        collect(&root, &root.join(folder), &mut list);
    }
    list.sort();
    list
}

#[test]
fn files_are_short_enough_to_read() {
    let long = sources().into_iter().filter_map(|(path, text)| {
        let lines = text.lines().count();
        (lines > LONGEST_FILE).then(|| format!("{path}: {lines} lines"))
    });
    let long = long.collect::<Vec<_>>();
    assert!(long.is_empty(), "\n{}\nsplit them: {LONGEST_FILE} lines is the limit", long.join("\n"));
}

#[test]
fn unsafe_stands_where_it_may_and_says_why() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let allowed = UNSAFE_PLACES.iter().any(|place| path.starts_with(place));
        for fault in source::unsafe_faults(&text, allowed) {
            faults.push(format!("{path}:{fault}"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
