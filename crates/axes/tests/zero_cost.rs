//! The typed layer costs nothing: typed functions and their untyped twins compile to the same instructions.
//!
//! `zero_cost/typed.rs` and `zero_cost/plain.rs` are compiled as one crate name each, so that equal callees have
//! equal symbols; then the functions' instructions are compared with labels renumbered and directives dropped.
//!
//! What is not claimed: in a function with other values to drop on unwinding, LLVM may move a freshly made owned
//! tensor's handle (its pointer and sizes, never its elements) once more than the bare storage's.

#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const FUNCTIONS: [&str; 9] = [
    "add_run_time",
    "add_declared",
    "map",
    "multiply_vector",
    "contract",
    "gate",
    "complement",
    "sigmoid",
    "unwrap",
];

#[test]
fn typed_functions_and_their_twins_have_the_same_instructions() {
    let library = release_library();
    let typed = assembly("typed", &library);
    let plain = assembly("plain", &library);
    for name in FUNCTIONS {
        let (typed, plain) = (instructions(&typed, name), instructions(&plain, name));
        assert!(!plain.is_empty(), "{name} has no instructions");
        assert!(
            typed == plain,
            "{name}: {} typed and {} plain instructions\n--- typed\n{}\n--- plain\n{}",
            typed.len(),
            plain.len(),
            typed.join("\n"),
            plain.join("\n"),
        );
        println!("{name}: {} instructions in both", plain.len());
    }
}

/// A typed function with one multiplication more is told apart.
#[test]
fn the_comparison_sees_a_difference() {
    let one = "_RNv4twin3map:\n\tmovss xmm0, dword ptr [rdi]\n.LBB7_2:\n\tjne .LBB7_2\n\tret\n.Lfunc_end7:\n";
    let same = one.replace("LBB7_2", "LBB1_9");
    let other = one.replace("\tret", "\tmulss xmm0, xmm0\n\tret");
    assert_eq!(instructions(one, "map"), instructions(&same, "map"));
    assert_eq!(instructions(one, "map").len(), 4);
    assert_ne!(instructions(one, "map"), instructions(&other, "map"));
}

/// Builds the library with optimisation and returns the path of its rlib.
fn release_library() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--lib", "--message-format=json", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let path = messages.split('"').find(|text| text.ends_with("libaxes.rlib"));
    PathBuf::from(path.expect("cargo names the library"))
}

/// The assembly of one fixture.
fn assembly(fixture: &str, library: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/zero_cost/{fixture}.rs"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{fixture}.s"));
    let dependencies = library.parent().expect("the library is in a folder").join("deps");
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-name=twin", "--crate-type=lib", "--emit=asm"])
        .args(["-Copt-level=3", "-Ccodegen-units=1", "-Cdebuginfo=0", "-o"])
        .arg(&out)
        .arg(format!("--extern=axes={}", library.display()))
        .arg(format!("-Ldependency={}", dependencies.display()))
        .arg(&source)
        .output()
        .expect("rustc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(&out).expect("rustc wrote the assembly")
}

/// The instructions and jump labels of function `name`, with local labels numbered in the order they appear.
fn instructions(assembly: &str, name: &str) -> Vec<String> {
    let is_start = |line: &str| {
        line.strip_suffix(':').is_some_and(|symbol| {
            // Both manglings write an identifier as its length and its text.
            !symbol.starts_with('.') && symbol.contains(&format!("4twin{}{name}", name.len()))
        })
    };
    let mut numbers = HashMap::new();
    assembly
        .lines()
        .skip_while(|line| !is_start(line))
        .skip(1)
        .take_while(|line| !line.starts_with(".Lfunc_end"))
        .filter(|line| !line.trim_start().starts_with(['.', '#']) || is_label(line))
        .map(|line| renumber(line.trim(), &mut numbers))
        .collect()
}

fn is_label(line: &str) -> bool {
    line.starts_with(".L") && line.ends_with(':')
}

/// Replaces each local label (`.LBB3_4`, `.Lanon.0123.5`) by `.L` and its number of first appearance.
fn renumber(line: &str, numbers: &mut HashMap<String, usize>) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(".L") {
        let label = &rest[start..];
        let end =
            label.find(|c: char| !(c.is_ascii_alphanumeric() || "._$".contains(c))).unwrap_or(label.len());
        let next = numbers.len();
        let number = *numbers.entry(label[..end].to_owned()).or_insert(next);
        out += &rest[..start];
        out += &format!(".L{number}");
        rest = &label[end..];
    }
    out + rest
}
