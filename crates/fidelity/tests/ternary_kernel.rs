//! Kernels with named axes: numbers beside plain loops, the derived backward beside its formula, patterns, refusals.
#![allow(missing_docs)]

use alex::toolchain::Toolchain;
use fidelity::prelude::*;
use fidelity::ternary_kernel::{KernelOptions, KernelStage};

axes! { In = 67; Out = 13; Free; Small = 5; }

fn there() -> bool {
    Toolchain::find().map_err(|e| println!("skipped: {e}")).is_ok()
}

/// Whole numbers, so that sums in any order are equal.
fn data(inputs: usize, outputs: usize) -> (Vec<f32>, Vec<i8>) {
    let x = (0..inputs).map(|i| (i * i % 17) as f32 - 8.0).collect();
    let trits = (0..inputs * outputs).map(|k| (k * k % 7 % 3) as i8 - 1).collect();
    (x, trits)
}

#[test]
fn compiled_kernels_equal_plain_loops_and_their_derivative_its_formula() {
    if !there() {
        return;
    }
    let kernel = Kernel::<In, Out>::build(HardwareTarget::Cpu, &KernelOptions::default()).unwrap();
    let (x, trits) = data(67, 13);
    let input = Tensor::<(In,)>::from_vec([67], x.clone()).unwrap();
    let weights = TernaryMatrix::<In, Out>::new([13, 67], trits.clone(), 2.0).unwrap();
    let output = kernel.execute(&input, &weights).unwrap();
    assert_eq!(output.as_slice(), kernel.forward(&input, &weights).as_slice());

    let ct: Vec<f32> = (0..13).map(|o| o as f32 - 6.0).collect();
    let g = kernel.backward(&input, &weights, &Tensor::from_vec([13], ct.clone()).unwrap()).unwrap();
    for i in 0..67 {
        let want: f32 = (0..13).map(|o| ct[o] * f32::from(trits[o * 67 + i])).sum::<f32>() / 2.0;
        assert_eq!(g.input[[i]], want);
        for o in 0..13 {
            assert_eq!(g.weights[[o, i]], ct[o] * x[i] / 2.0);
        }
    }
    let want: f32 = -ct.iter().zip(output.as_slice()).map(|(c, y)| c * y).sum::<f32>() / 2.0;
    assert!((g.scale - want).abs() <= 1e-5 * want.abs(), "{} {want}", g.scale);
}

#[test]
fn sizes_that_the_axes_leave_open_are_checked_once() {
    let error = Kernel::<Free, Small>::build(HardwareTarget::Fpga, &KernelOptions::default()).unwrap_err();
    assert!(error.to_string().contains("`Free` declares no size"), "{error}");
    let options = KernelOptions { outputs: Some(6), ..Default::default() };
    let error = Kernel::<Small, Small>::build(HardwareTarget::Fpga, &options).unwrap_err().to_string();
    assert!(error.contains("size 5") && error.contains("6"), "{error}");
    if !there() {
        return;
    }
    let options = KernelOptions { inputs: Some(9), ..Default::default() };
    let kernel = Kernel::<Free, Small>::build(HardwareTarget::Cpu, &options).unwrap();
    let (x, trits) = data(9, 5);
    let weights = TernaryMatrix::<Free, Small>::new([5, 9], trits, 1.0).unwrap();
    let input = Tensor::<(Free,)>::from_vec([9], x).unwrap();
    assert_eq!(
        kernel.execute(&input, &weights).unwrap().as_slice(),
        kernel.forward(&input, &weights).as_slice()
    );
    let short = Tensor::<(Free,)>::from_vec([8], vec![0.0; 8]).unwrap();
    assert!(kernel.execute(&short, &weights).unwrap_err().to_string().contains("(5, 9)"));
    assert!(kernel.mlir(KernelStage::Fidelity).unwrap().contains("9 : index"));
}

#[test]
fn every_stage_is_there() {
    if !there() {
        return;
    }
    let kernel = Kernel::<In, Out>::build(HardwareTarget::Cpu, &KernelOptions::default()).unwrap();
    assert_eq!(kernel.memory_pattern(), MemoryPattern::VectorTiles { rows: 4, lanes: 16, tail: 3 });
    let text = |stage| kernel.mlir(stage).unwrap();
    assert!(text(KernelStage::Fidelity).contains("fidelity.ternary_accumulate"));
    assert!(text(KernelStage::Stock).contains("vector<16xf32>"), "the pattern is the code's");
    assert!(text(KernelStage::LlvmDialect).contains("llvm.func @run"));
    assert!(text(KernelStage::LlvmIr).contains("<16 x float>"));
    assert!(text(KernelStage::Assembly).contains("run:"));
}

#[test]
fn other_targets_have_a_pattern_and_say_what_they_lack() {
    let (x, trits) = data(67, 13);
    let input = Tensor::<(In,)>::from_vec([67], x).unwrap();
    let weights = TernaryMatrix::<In, Out>::new([13, 67], trits, 2.0).unwrap();
    for (target, pattern, missing) in [
        (
            HardwareTarget::Nvidia,
            MemoryPattern::CacheOptimizedCoalesced { threads: 256, columns: 67 },
            "libcuda.so",
        ),
        (HardwareTarget::Amd, MemoryPattern::WavefrontOptimized { lanes: 64, wavefronts: 4 }, "ROCm"),
        (HardwareTarget::Tenstorrent, MemoryPattern::TensixVectorized { tile: 32, tiles: 8 }, "TT-Metalium"),
        (HardwareTarget::Fpga, MemoryPattern::BlockRamOptimized { banks: 256, trits: 36 }, "FPGA board"),
    ] {
        let kernel = Kernel::<In, Out>::build(target, &KernelOptions::default()).unwrap();
        assert_eq!(kernel.memory_pattern(), pattern);
        assert!(kernel.mlir(KernelStage::Fidelity).unwrap().contains("fidelity.ternary_accumulate"));
        let error = format!("{:#}", kernel.execute(&input, &weights).unwrap_err());
        assert!(error.contains(missing) && error.contains(&target.to_string()), "{error}");
        assert_eq!(kernel.forward(&input, &weights).dims(), [13]);
    }
}
