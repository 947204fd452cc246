//! From hand-written modules to functions that run: the tools, the stages, the cache.
#![allow(missing_docs, unsafe_code)]

use alex::cache::Cache;
use alex::toolchain::Toolchain;
use alex::{AlexError, Compiler, Options, Stage};

/// Doubles the first binding into the second, which begins 4 bytes into the arena.
const MODULE: &str = r#"
func.func private @double(%x: memref<4xf32> {llvm.noalias}, %y: memref<4xf32> {llvm.noalias})
    attributes {llvm.linkage = #llvm.linkage<internal>} {
  %zero = arith.constant 0 : index
  %v = vector.load %x[%zero] : memref<4xf32>, vector<4xf32>
  %w = arith.addf %v, %v : vector<4xf32>
  vector.store %w, %y[%zero] : memref<4xf32>, vector<4xf32>
  return
}
func.func @run(%arena: memref<5xf32>, %bindings: !llvm.ptr) -> i32 {
  %p = llvm.load %bindings : !llvm.ptr -> !llvm.ptr
  %empty = llvm.mlir.poison : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %half = llvm.insertvalue %p, %empty[0] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %whole = llvm.insertvalue %p, %half[1] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %x = builtin.unrealized_conversion_cast %whole
    : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)> to memref<4xf32>
  %one = arith.constant 1 : index
  %part = memref.subview %arena[1] [4] [1] : memref<5xf32> to memref<4xf32, strided<[1], offset: 1>>
  %y = memref.alloca() : memref<4xf32>
  call @double(%x, %y) : (memref<4xf32>, memref<4xf32>) -> ()
  memref.copy %y, %part : memref<4xf32> to memref<4xf32, strided<[1], offset: 1>>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
"#;

/// The tools, or a note that the test is left out.
fn compiler(options: Options) -> Option<Compiler> {
    match Toolchain::find() {
        Ok(_) => Compiler::new(options).ok(),
        Err(e) => {
            println!("skipped: {e}");
            None
        }
    }
}

#[test]
fn a_module_becomes_a_function_and_comes_from_the_cache_the_second_time() {
    let Some(compiler) = compiler(Options::default()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let compiler = compiler.with_cache(Some(Cache::new(folder.path())));
    for _ in 0..2 {
        let library = compiler.load(MODULE).unwrap();
        let run = library.entry("run").unwrap();
        let (x, mut arena) = ([1.0f32, 2.0, 3.0, 4.0], [0.0f32; 5]);
        let bindings = [x.as_ptr().cast_mut().cast::<u8>()];
        // SAFETY: the module reads four numbers of its binding and writes four of the arena.
        let status = unsafe { run(arena.as_mut_ptr().cast(), bindings.as_ptr()) };
        assert_eq!((status, arena), (0, [0.0, 2.0, 4.0, 6.0, 8.0]));
        assert!(library.entry("walk").is_err());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    let other = Compiler::new(Options { level: 1, ..Options::default() }).unwrap();
    assert_ne!(compiler.key(MODULE), other.key(MODULE));
    assert_ne!(compiler.key(MODULE), compiler.key("module {}"));
}

#[test]
fn every_stage_is_there_as_text() {
    let Some(compiler) = compiler(Options::default()) else { return };
    let text = |stage| compiler.stage(MODULE, stage).unwrap();
    assert!(text(Stage::LlvmDialect).contains("llvm.func @run"));
    assert!(text(Stage::LlvmIr).contains("define i32 @run("));
    assert!(text(Stage::Optimised).contains("fadd <4 x float>"));
    assert!(text(Stage::Assembly).contains("run:"));
}

#[test]
fn objects_are_made_for_other_machines() {
    for (triple, cpu, machine) in
        [("aarch64-linux-gnu", "neoverse-n2", 183), ("riscv64-linux-gnu", "generic-rv64", 243)]
    {
        let Some(compiler) = compiler(Options::target(triple, cpu)) else { return };
        let object = compiler.object(MODULE).unwrap();
        // The header of an ELF file holds the machine at byte 18.
        assert_eq!((&object[..4], u16::from(object[18])), (&b"\x7fELF"[..], machine));
    }
}

#[test]
fn a_refused_module_is_kept_and_the_tool_is_quoted() {
    let Some(compiler) = compiler(Options::default()) else { return };
    let wrong = MODULE.replace("arith.addf %v, %v", "arith.addi %v, %v");
    let Err(AlexError::Tool { stage, diagnostics, kept, .. }) = compiler.load(&wrong) else { panic!() };
    assert!(stage == "lower" && diagnostics.contains("addi"), "{diagnostics}");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), wrong);
    std::fs::remove_file(kept).unwrap();
}
