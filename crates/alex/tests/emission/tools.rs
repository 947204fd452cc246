//! MLIR's own tools, where they are installed.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A tool of LLVM 22, or a message that its test is skipped.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let file = match std::env::var_os("FIDELITY_MLIR_BIN") {
        Some(folder) => {
            let plain = PathBuf::from(&folder).join(name);
            if plain.exists() { plain } else { PathBuf::from(folder).join(format!("{name}-22")) }
        }
        None => PathBuf::from(format!("{name}-22")),
    };
    let found = Command::new(&file).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(file);
    }
    eprintln!("skipped: there is no {name} of LLVM 22; `apt install mlir-22-tools llvm-22`");
    None
}

/// Runs a tool on a text; its output or what it complains of.
pub(crate) fn run(name: &str, arguments: &[&str], input: &str) -> Option<Result<String, String>> {
    let mut child = Command::new(tool(name)?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = input.to_owned();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().expect("the tool ends");
    writer.join().expect("the writer ends");
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(if output.status.success() { Ok(read(&output.stdout)) } else { Err(read(&output.stderr)) })
}

/// The passes from the dialects that the API emits to LLVM's.
const TO_LLVM: &str = "--pass-pipeline=builtin.module(canonicalize,cse,convert-vector-to-scf,convert-scf-to-cf,\
expand-strided-metadata,lower-affine,convert-math-to-llvm,convert-math-to-libm,convert-vector-to-llvm,finalize-memref-to-llvm,\
convert-arith-to-llvm,arith-expand,convert-arith-to-llvm,convert-ub-to-llvm,convert-index-to-llvm,convert-cf-to-llvm,convert-func-to-llvm,\
reconcile-unrealized-casts,canonicalize,cse)";

/// MLIR accepts the text.
pub(crate) fn verified(text: &str) {
    if let Some(Err(problem)) = run("mlir-opt", &["-o", "/dev/null"], text) {
        panic!("{problem}\n{text}");
    }
}

/// MLIR accepts the text and turns it into LLVM's form.
pub(crate) fn lowered(text: &str) -> Option<String> {
    let llvm = match run("mlir-opt", &[TO_LLVM], text)? {
        Ok(llvm) => llvm,
        Err(problem) => panic!("{problem}\n{text}"),
    };
    match run("mlir-translate", &["--mlir-to-llvmir"], &llvm)? {
        Ok(ir) => Some(ir),
        Err(problem) => panic!("{problem}\n{llvm}"),
    }
}
