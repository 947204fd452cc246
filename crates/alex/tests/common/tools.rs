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

/// The dialect's text in a file of its own.
pub(crate) fn irdl_file() -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".irdl.mlir").tempfile().expect("a temporary file");
    file.write_all(alex::dialect::irdl::TEXT.as_bytes()).expect("the text is written");
    file
}

/// What MLIR's verifier complains of, case by case: one run for all of them.
pub(crate) fn verdicts(irdl: &std::path::Path, cases: &[&str]) -> Vec<Vec<String>> {
    let text = cases.join("\n// -----\n");
    let mut starts = Vec::new();
    let mut line = 1;
    for case in cases {
        starts.push(line);
        line += case.matches('\n').count() + 2;
    }
    let irdl = format!("--irdl-file={}", irdl.display());
    let found =
        run("mlir-opt", &[&irdl, "--split-input-file", "-o", "/dev/null"], &text).expect("the tool is there");
    let mut complaints = vec![Vec::new(); cases.len()];
    for message in found.err().unwrap_or_default().lines() {
        let Some((line, problem)) = message.strip_prefix("<stdin>:").and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        let Some((_, problem)) = problem.split_once(": error: ") else { continue };
        let line: usize = line.parse().expect("a line");
        let case = starts.partition_point(|&start| start <= line) - 1;
        complaints[case].push(problem.to_owned());
    }
    complaints
}

/// Runs the function `main` of a module and gives the numbers that it prints.
pub(crate) fn printed(text: &str) -> Option<Vec<f64>> {
    let runner = tool("mlir-runner")?;
    // The tool may be a link into LLVM's folder, where the libraries lie.
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(&runner))
        .find(|p| p.exists());
    let folder = std::fs::canonicalize(found.unwrap_or(runner)).ok()?.parent()?.parent()?.join("lib");
    let utils =
        std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path()).find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("libmlir_c_runner_utils.so"))
        });
    let Some(utils) = utils else {
        eprintln!("skipped: there is no libmlir_c_runner_utils of LLVM 22");
        return None;
    };
    let llvm = match run("mlir-opt", &[TO_LLVM], text)? {
        Ok(llvm) => llvm,
        Err(problem) => panic!("{problem}\n{text}"),
    };
    let libraries = format!("--shared-libs={}", utils.display());
    match run("mlir-runner", &["-e", "main", "--entry-point-result=void", &libraries], &llvm)? {
        Ok(output) => Some(output.split_whitespace().map(|word| word.parse().expect("a number")).collect()),
        Err(problem) => panic!("{problem}"),
    }
}
