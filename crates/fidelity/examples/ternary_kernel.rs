//! One ternary accumulation for several targets: what is checked by the compiler, what is derived, what is emitted, what runs.
//!
//! `cargo run --release -p fidelity --example ternary_kernel`

use fidelity::prelude::*;
use fidelity::ternary_kernel::{KernelOptions, KernelStage};

axes! { N1024 = 1024; N4096 = 4096; }

fn main() -> anyhow::Result<()> {
    let blocks = |block_size| KernelOptions { block_size, ..Default::default() };
    let nvidia = Kernel::<N1024, N4096>::build(HardwareTarget::Nvidia, &blocks(256))?;
    let tenstorrent = Kernel::<N1024, N4096>::build(HardwareTarget::Tenstorrent, &blocks(64))?;
    // Without MLIR's tools this is an error that says how to install them.
    let cpu = Kernel::<N1024, N4096>::build(HardwareTarget::Cpu, &blocks(256))?;

    let input = Tensor::<(N1024,)>::from_vec([1024], (0..1024).map(|i| (i as f32 * 0.37).sin()).collect())?;
    let trits = (0..1024 * 4096).map(|k: i64| (k * k % 7 % 3 - 1) as i8).collect();
    let weights = TernaryMatrix::<N1024, N4096>::new([4096, 1024], trits, 12.5)?;

    let output = cpu.execute(&input, &weights)?;
    let plain = cpu.forward(&input, &weights);
    let far = output.as_slice().iter().zip(plain.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{cpu:?}\n  differs from plain loops by at most {far:e}");

    let cotangent = Tensor::<(N4096,)>::from_vec([4096], vec![1.0; 4096])?;
    let gradients = cpu.backward(&input, &weights, &cotangent)?;
    println!("  derivative by input 0: {}, by the scale: {}", gradients.input[[0]], gradients.scale);

    for stage in [KernelStage::Fidelity, KernelStage::Stock, KernelStage::LlvmIr, KernelStage::Assembly] {
        let text = cpu.mlir(stage)?;
        println!("  {stage:?}: {} lines", text.lines().count());
    }
    println!("{}", cpu.mlir(KernelStage::Fidelity)?);

    for kernel in [&nvidia, &tenstorrent] {
        println!("{kernel:?}");
        if let Err(e) = kernel.execute(&input, &weights) {
            println!("  {e}");
        }
    }
    Ok(())
}
