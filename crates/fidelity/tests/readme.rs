//! What the README and the guide show is what is there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The contents of the code blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut list = vec![];
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(name)) => open = Some((name == language, String::new())),
            (Some(_), Some(_)) => list.extend(open.take().filter(|b| b.0).map(|b| b.1)),
            (Some((_, block)), None) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    list
}

#[test]
fn the_quickstart_is_shown_whole_and_short() {
    let example = read("crates/fidelity/examples/quickstart.rs");
    assert!(example.lines().count() < 40, "{} lines", example.lines().count());
    assert!(blocks(&read("README.md"), "rust").contains(&example), "the README shows another quickstart");
}

#[test]
fn the_compile_error_is_the_one_that_the_ui_test_pins() {
    let pinned = read("crates/axes/tests/ui/swapped_projections.stderr");
    let shown = blocks(&read("README.md"), "text");
    let shown: Vec<&String> = shown.iter().filter(|b| b.starts_with("error[")).collect();
    assert!(!shown.is_empty() && shown.iter().all(|b| pinned.contains(b.trim_end())), "{shown:?}");
}

/// Files that the pages link to exist.
#[test]
fn links_lead_somewhere() {
    let folder = |path: &str| {
        let names = fs::read_dir(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        names
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n.ends_with(".md"))
            .collect::<Vec<_>>()
    };
    let pages: Vec<String> =
        folder(".").into_iter().chain(folder("docs").into_iter().map(|n| format!("docs/{n}"))).collect();
    for needed in ["README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "docs/guide.md", "docs/furnace.md"] {
        assert!(pages.iter().any(|p| p == needed), "{needed} is not among {pages:?}");
    }
    for page in &pages {
        let text = read(page);
        let folder = root().join(page).parent().map(Path::to_path_buf).unwrap_or_default();
        let ends = [("](", ')'), ("src=\"", '"'), ("href=\"", '"')];
        let links = ends
            .iter()
            .flat_map(|(start, end)| text.split(start).skip(1).filter_map(|rest| rest.split(*end).next()));
        for link in links.filter(|l| !l.contains("://") && !l.starts_with('#')) {
            let file = link.split('#').next().unwrap_or_default();
            assert!(folder.join(file).exists(), "{page} links to {link}, which is not there");
        }
    }
}

/// The configurations in the README and the guide are read as they stand.
#[test]
fn the_configurations_are_valid() {
    for page in ["README.md", "docs/guide.md"] {
        let shown = blocks(&read(page), "toml");
        assert!(!shown.is_empty(), "{page} shows none");
        for toml in shown {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("run.toml");
            fs::write(&file, &toml).unwrap();
            train::TrainConfig::load(&file, &[]).unwrap_or_else(|e| panic!("{page}: {e}"));
        }
    }
}
