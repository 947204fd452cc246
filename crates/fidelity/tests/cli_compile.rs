//! `fidelity compile` through the binary, and what it makes through C compilers: tokens of the published model, on this
//! machine and on others under emulation.

mod cli_support;
mod common;

use cli_support::{Tiny, fidelity};
use common::golden;
use models::safetensors::TensorFile;
use std::path::Path;
use std::process::Command;

/// Whether a program is there; says what is skipped where it is not.
fn there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !there {
        println!("skipped: no {program}");
    }
    there
}

fn tools() -> bool {
    ["mlir-opt-22", "mlir-translate-22", "opt-22", "llc-22", "llvm-ar-22"].into_iter().all(there)
}

fn succeed(command: &mut Command) -> String {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Prompts of a golden case and the tokens that the published code goes on with.
fn prompts(case: &Path) -> Vec<(Vec<i64>, Vec<i64>)> {
    let inputs = TensorFile::open(case.join("inputs.safetensors")).unwrap();
    let ids = inputs.to_i64("input_ids").unwrap();
    let mask = inputs.to_i64("attention_mask").unwrap_or_else(|_| vec![1; ids.len()]);
    let length = inputs.tensor("input_ids").unwrap().shape[1];
    let wanted = TensorFile::open(case.join("generation.safetensors")).unwrap();
    let wanted = wanted.to_i64("generated").unwrap();
    let rows = ids.len() / length;
    let steps = wanted.len() / rows;
    let row = |r: usize| {
        let real = (r * length..(r + 1) * length).filter(|i| mask[*i] == 1).map(|i| ids[i]).collect();
        (real, wanted[r * steps..(r + 1) * steps].to_vec())
    };
    (0..rows).map(row).collect()
}

/// Compiles a case for a machine, builds `main.c` against the static library with every warning an error, and compares.
fn generates(case: &Path, machine: &[&str], cc: &[&str], runner: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut run = args!["compile", case, "--target", "cpu", "--out", folder.path(), "--json"].to_vec();
    run.extend(machine.iter().map(std::ffi::OsString::from));
    let made = fidelity(&run).json();
    assert!(
        made["calls"].as_u64().unwrap() > made["kernels"].as_u64().unwrap(),
        "layers share kernels: {made}"
    );
    let flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "main.c", "model.a", "-o", "main"];
    succeed(Command::new(cc[0]).args(&cc[1..]).args(flags).current_dir(folder.path()));
    for (prompt, wanted) in prompts(case) {
        let list = prompt.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let main = folder.path().join("main").display().to_string();
        let mut line: Vec<&str> = runner.to_vec();
        let count = wanted.len().to_string();
        line.extend([main.as_str(), "--tokens", "--ignore-eos", "model.fid", &list, &count]);
        let said = succeed(Command::new(line[0]).args(&line[1..]).current_dir(folder.path()));
        let tokens: Vec<i64> = said.lines().map(|l| l.parse().unwrap()).collect();
        assert_eq!(tokens, wanted, "{} {machine:?}", case.display());
    }
}

const CASES: [&str; 3] = ["case_a", "case_b", "case_c_shortconv_patched"];

#[test]
fn golden_tokens_are_exact_from_c() {
    if !tools() || !there("cc") {
        return;
    }
    for case in CASES {
        let Some(case) = golden(&format!("matmulfree/{case}")) else { continue };
        generates(&case, &[], &["cc"], &[]);
    }
}

#[test]
fn golden_tokens_are_exact_on_aarch64() {
    if !tools() || !there("aarch64-linux-gnu-gcc") || !there("qemu-aarch64") {
        return;
    }
    let Some(case) = golden("matmulfree/case_b") else { return };
    for (cpu, emulated) in [("cortex-a76", "max"), ("cortex-a53", "cortex-a53")] {
        let machine = ["--triple", "aarch64-linux-gnu", "--cpu", cpu];
        let runner = ["qemu-aarch64", "-cpu", emulated, "-L", "/usr/aarch64-linux-gnu"];
        generates(&case, &machine, &["aarch64-linux-gnu-gcc"], &runner);
    }
}

#[test]
fn golden_tokens_are_exact_on_riscv64() {
    if !tools() || !there("riscv64-linux-gnu-gcc") || !there("qemu-riscv64") {
        return;
    }
    let Some(case) = golden("matmulfree/case_b") else { return };
    let runner = ["qemu-riscv64", "-L", "/usr/riscv64-linux-gnu"];
    generates(&case, &["--triple", "riscv64-linux-gnu"], &["riscv64-linux-gnu-gcc"], &runner);
}

/// Text in, text out, and the same text as the engine's.
#[test]
fn a_byte_level_model_reads_and_writes_text() {
    if !tools() || !there("cc") {
        return;
    }
    let tiny = Tiny::new();
    let folder = tempfile::tempdir().unwrap();
    let emit = ["--name", "tiny", "--emit", "fidelity,mlir,llvm-dialect,llvm,asm"];
    let mut run = args!["compile", tiny.model, "--target", "cpu", "--out", folder.path()].to_vec();
    run.extend(emit.iter().map(std::ffi::OsString::from));
    fidelity(&run).ok();
    for (ending, part) in [
        ("fidelity.mlir", "\"fidelity.ternary"),
        ("mlir", "func.func"),
        ("llvm.mlir", "llvm.func"),
        ("ll", "define"),
        ("s", "plan"),
    ] {
        let text = std::fs::read_to_string(folder.path().join(format!("tiny.{ending}"))).unwrap();
        assert!(text.contains(part), "{ending}");
    }
    succeed(Command::new("cc").args(["main.c", "tiny.a", "-o", "main"]).current_dir(folder.path()));
    let main = || {
        let mut command = Command::new(folder.path().join("main"));
        command.current_dir(folder.path());
        command
    };
    let greedy = ["ab", "--greedy", "--max-tokens", "12", "--json"];
    let mut run = args!["generate", folder.path().join("tiny.fid")].to_vec();
    run.extend(greedy.iter().map(std::ffi::OsString::from));
    let wanted = fidelity(&run).json();
    let ids = succeed(main().args(["--tokens", "tiny.fid", "ab", "12"]));
    let ids: Vec<i64> = ids.lines().map(|l| l.parse().unwrap()).collect();
    assert_eq!(serde_json::json!(ids), wanted["tokens"]);
    // Another file is refused, and so is no prompt.
    std::fs::write(folder.path().join("other.fid"), b"not these weights").unwrap();
    for arguments in [vec!["other.fid", "ab"], vec!["tiny.fid", ""], vec!["tiny.fid"], vec!["--what"]] {
        let out = main().args(&arguments).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{arguments:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("remedy: "), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_compiled_is_told() {
    let tiny = Tiny::new();
    let folder = tempfile::tempdir().unwrap();
    for target in ["nvidia", "amd", "tenstorrent", "fpga"] {
        let run = fidelity(&args!["compile", tiny.model, "--target", target, "--out", folder.path()]);
        run.fails(1, &["no code generator", target]);
    }
    fidelity(&args!["compile", tiny.model, "--target", "cpu"]).fails(2, &["--out"]);
    if !tools() {
        let run = fidelity(&args!["compile", tiny.model, "--target", "cpu", "--out", folder.path()]);
        run.fails(1, &["was not found", "apt install"]);
        return;
    }
    let missing = folder.path().join("missing");
    fidelity(&args!["compile", missing, "--target", "cpu", "--out", folder.path()]).fails(1, &["missing"]);
    fidelity(&args!["compile", tiny.model, "--target", "cpu", "--out", folder.path(), "--name", "7b"])
        .fails(1, &["`7b`"]);
    // No tools in the folder that is named: how to get them is told, and nothing is written.
    let empty = tempfile::tempdir().unwrap();
    let out = folder.path().join("none");
    let run = Command::new(env!("CARGO_BIN_EXE_fidelity"))
        .args(args!["compile", tiny.model, "--target", "cpu", "--out", out])
        .env("FIDELITY_MLIR_BIN", empty.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1));
    assert!(said.contains("apt install mlir-22-tools llvm-22"), "{said}");
    assert!(!out.exists());
}
