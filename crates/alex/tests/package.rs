//! A package is used as its users use it: C compilers, another machine, no Rust.

#![allow(missing_docs)]

use alex::package::{Package, Source};
use alex::{AlexError, Compiler, Options};
use std::path::Path;
use std::process::Command;

/// The bindings are weights (f32 × 4), a state (i64), the token, the logits, a constant (f32). A logit is
/// weight × token + state + constant; the state counts steps. Token 9 is refused.
const MODULE: &str = r#"
llvm.func @plan(%arena: !llvm.ptr, %bindings: !llvm.ptr) -> i32 {
  %0 = llvm.mlir.constant(0 : i64) : i64
  %1 = llvm.mlir.constant(1 : i64) : i64
  %4 = llvm.mlir.constant(4 : i64) : i64
  %nine = llvm.mlir.constant(9 : i64) : i64
  %good = llvm.mlir.constant(0 : i32) : i32
  %bad = llvm.mlir.constant(1 : i32) : i32
  %weights = llvm.load %bindings : !llvm.ptr -> !llvm.ptr
  %p1 = llvm.getelementptr %bindings[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %state = llvm.load %p1 : !llvm.ptr -> !llvm.ptr
  %p2 = llvm.getelementptr %bindings[2] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %ids = llvm.load %p2 : !llvm.ptr -> !llvm.ptr
  %p3 = llvm.getelementptr %bindings[3] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %logits = llvm.load %p3 : !llvm.ptr -> !llvm.ptr
  %p4 = llvm.getelementptr %bindings[4] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
  %constant = llvm.load %p4 : !llvm.ptr -> !llvm.ptr
  %token = llvm.load %ids : !llvm.ptr -> i64
  %refused = llvm.icmp "eq" %token, %nine : i64
  llvm.cond_br %refused, ^no, ^loop(%0 : i64)
^no:
  llvm.return %bad : i32
^loop(%i: i64):
  %wp = llvm.getelementptr %weights[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
  %w = llvm.load %wp : !llvm.ptr -> f32
  %t = llvm.sitofp %token : i64 to f32
  %s = llvm.load %state : !llvm.ptr -> i64
  %sf = llvm.sitofp %s : i64 to f32
  %c = llvm.load %constant : !llvm.ptr -> f32
  %wt = llvm.fmul %w, %t : f32
  %a = llvm.fadd %wt, %sf : f32
  %b = llvm.fadd %a, %c : f32
  %lp = llvm.getelementptr %logits[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
  llvm.store %b, %lp : f32, !llvm.ptr
  %next = llvm.add %i, %1 : i64
  %more = llvm.icmp "slt" %next, %4 : i64
  llvm.cond_br %more, ^loop(%next : i64), ^done
^done:
  %old = llvm.load %state : !llvm.ptr -> i64
  %new = llvm.add %old, %1 : i64
  llvm.store %new, %state : i64, !llvm.ptr
  llvm.return %good : i32
}
"#;

/// The weights' file: a row of zeros, the weights, and eight bytes at the end.
fn weights() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes.extend([1.0f32, -2.0, 0.5, 3.0].iter().flat_map(|w| w.to_le_bytes()));
    bytes.extend(*b"checksum");
    bytes
}

fn package() -> Package {
    Package {
        name: "tiny".into(),
        module: MODULE.into(),
        entry: "plan".into(),
        bindings: vec![
            Source::Weights(64),
            Source::State(64),
            Source::Token,
            Source::Logits,
            Source::Data(0.25f32.to_le_bytes().to_vec()),
        ],
        dealt: false,
        arena: 0,
        state: 128,
        context: None,
        vocabulary: 4,
        pieces: vec![b"a\"".to_vec(), vec![], vec![0, 255], b"\n".to_vec()],
        bytes: false,
        eos: Some(3),
        weights: ("tiny.fid".into(), weights().len() as u64, *b"checksum"),
        title: "Four tokens */ and a comment".into(),
    }
}

const DRIVER: &str = r#"
#include "tiny.h"
#include <stdio.h>
#include <string.h>
_Alignas(64) static unsigned char state[TINY_STATE_BYTES], arena[TINY_ARENA_BYTES], weights[1024];
int main(int argc, char **argv) {
    FILE *f = fopen(argv[1], "rb");
    size_t n = fread(weights, 1, sizeof weights, f);
    float logits[TINY_VOCABULARY];
    printf("%d %d ", tiny_check(weights, n), tiny_check(weights, n - 1));
    weights[n - 1] ^= 1;
    printf("%d\n", tiny_check(weights, n));
    for (int t = 2; t < 4; t++) {
        int status = tiny_step(weights, state, arena, t, 0, logits);
        printf("%d %g %g %g %g\n", status, logits[0], logits[1], logits[2], logits[3]);
    }
    printf("%d\n", tiny_step(weights, state, arena, 9, 0, logits));
    for (int t = 0; t < 5; t++) {
        uint64_t n;
        const char *piece = tiny_piece(t, &n);
        printf("%d:%d", (int)n, piece != 0);
        for (uint64_t i = 0; i < n; i++) printf(" %02x", (unsigned char)piece[i]);
        printf("\n");
    }
    return argc == 1;
}
"#;

const EXPECTED: &str =
    "0 1 1\n0 2.25 -3.75 1.25 6.25\n0 4.25 -4.75 2.75 10.25\n1\n2:1 61 22\n0:1\n2:1 00 ff\n1:1 0a\n0:0\n";

/// A compiler for the target, or `None`, said, where a tool is missing.
fn compiler(options: Options) -> Option<Compiler> {
    match Compiler::new(options) {
        Ok(compiler) => Some(compiler.with_cache(None)),
        Err(e @ AlexError::Missing { .. }) => {
            println!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !there {
        println!("skipped: no {program}");
    }
    there
}

fn succeed(command: &mut Command) -> String {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Compiles the driver with `cc` against the static and the shared library, and runs it by `runner`.
fn used(folder: &Path, cc: &str, runner: &[&str]) {
    std::fs::write(folder.join("driver.c"), DRIVER).unwrap();
    std::fs::write(folder.join("tiny.fid"), weights()).unwrap();
    for (program, arguments) in [
        ("static", vec!["-static", "driver.c", "tiny.a"]),
        ("shared", vec!["driver.c", "tiny.so", "-Wl,-rpath,$ORIGIN"]),
    ] {
        let mut cc = Command::new(cc);
        succeed(
            cc.current_dir(folder)
                .args(["-Wall", "-Wextra", "-Werror", "-std=c11", "-o", program])
                .args(arguments),
        );
        let program = folder.join(program);
        let mut line = runner.to_vec();
        let path = program.to_string_lossy().into_owned();
        line.push(&path);
        let said = succeed(Command::new(line[0]).args(&line[1..]).arg("tiny.fid").current_dir(folder));
        assert_eq!(said, EXPECTED, "{line:?}");
    }
    let mut cc = Command::new(cc);
    let flags = ["-Wall", "-Wextra", "-Werror", "-std=gnu11", "-o", "main", "main.c", "tiny.a"];
    succeed(cc.current_dir(folder).args(flags));
    let main = folder.join("main").to_string_lossy().into_owned();
    let mut line = runner.to_vec();
    line.push(&main);
    let said = succeed(
        Command::new(line[0]).args(&line[1..]).args(["--tokens", "tiny.fid", "1,0", "4"]).current_dir(folder),
    );
    // After 0 the logits are 1.25 for all tokens: the first of them; then the state and the constant leave it at that.
    assert_eq!(said, "0\n0\n0\n0\n");
}

#[test]
fn a_package_runs_from_c() {
    let Some(compiler) = compiler(Options::default()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let written = package().write(&compiler, folder.path()).unwrap();
    assert!(written.needs.is_empty(), "{:?}", written.needs);
    used(folder.path(), "cc", &[]);
    let names = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(&written.shared));
    assert!(names.contains(" tiny_step") && !names.contains(" plan"), "{names}");
}

#[test]
fn a_package_runs_on_aarch64() {
    let Some(compiler) = compiler(Options::target("aarch64-linux-gnu", "cortex-a76")) else { return };
    if !there("aarch64-linux-gnu-gcc") || !there("qemu-aarch64") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    package().write(&compiler, folder.path()).unwrap();
    used(folder.path(), "aarch64-linux-gnu-gcc", &["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]);
}

#[test]
fn a_package_runs_on_riscv64() {
    let Some(compiler) = compiler(Options::riscv64()) else { return };
    if !there("riscv64-linux-gnu-gcc") || !there("qemu-riscv64") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    package().write(&compiler, folder.path()).unwrap();
    used(folder.path(), "riscv64-linux-gnu-gcc", &["qemu-riscv64", "-L", "/usr/riscv64-linux-gnu"]);
}

#[test]
fn a_name_that_c_does_not_take_is_refused() {
    let Some(compiler) = compiler(Options::default()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let error = Package { name: "7b".into(), ..package() }.write(&compiler, folder.path()).unwrap_err();
    assert!(error.to_string().contains("`7b`"), "{error}");
}
