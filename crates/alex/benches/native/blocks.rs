//! The blocks: the engine's plans, unfused and fused, and compiled functions with each fusion switched off.

use crate::Race;
use crate::reference::{Operands, Planned};
use crate::support::{Kernels, Memory, compiler};
use alex::Options;
use alex::cpu::block::{Fusion, GluBlock, MlgruBlock};
use alex::cpu::norm::Rounding;
use alex::cpu::{Isa, export, math::Function};

fn fusions() -> Vec<(&'static str, Fusion)> {
    let all = Fusion::default();
    vec![
        ("compiled, nothing joined", Fusion::NONE),
        ("compiled, norm + quantise", Fusion { quantise: true, ..Fusion::NONE }),
        ("compiled, gates", Fusion { gates: true, ..Fusion::NONE }),
        ("compiled, scan + output norm", Fusion { output: true, ..Fusion::NONE }),
        ("compiled, these three", Fusion { tile: usize::MAX, ..all }),
        ("compiled, tiles of 48 alone", Fusion { tile: 48, ..Fusion::NONE }),
        ("compiled, all, tiles of 24", Fusion { tile: 24, ..all }),
        ("compiled, all, tiles of 48", Fusion { tile: 48, ..all }),
        ("compiled, all, tiles of 96", all),
    ]
}

pub(crate) fn blocks(rounds: usize) {
    for (time, hidden, intermediate) in [(2048, 512, 1408), (2048, 1024, 2816)] {
        mlgru(rounds, time, hidden);
        glu(rounds, time, hidden, intermediate);
    }
}

fn mlgru(rounds: usize, time: usize, hidden: usize) {
    let (isa, Some(compiler)) = (Isa::host(), compiler(Options::default())) else { return };
    let of = |fusion| MlgruBlock {
        batch: 1,
        time,
        hidden,
        inner: hidden,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfAway,
        candidate: Function::Silu,
        fusion,
    };
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, (_, fusion)) in fusions().into_iter().enumerate() {
            let kernel = of(fusion).emit(m, isa);
            export(m, &format!("run{k}"), &kernel);
        }
    });
    let Some(kernels) = kernels else { return };
    let block = of(Fusion::default());
    let operands = Operands::mlgru(&block);
    let graph = operands.mlgru_graph(&block);
    let mut plans = [false, true].map(|fuse| Planned::new(&graph, &operands, fuse));
    plans.iter_mut().for_each(Planned::run);
    let given: Vec<Memory> = operands.0.iter().map(|(_, o)| o.memory()).collect();
    let (y, last) = (Memory::zeros(4 * time * hidden), Memory::zeros(4 * hidden));
    let scratch: Vec<Memory> =
        fusions().into_iter().map(|(_, fusion)| Memory::zeros(of(fusion).scratch(isa))).collect();
    let run = |k: usize| {
        let arguments: Vec<&Memory> = given.iter().chain([&y, &last, &scratch[k]]).collect();
        kernels.call(&format!("run{k}"), &arguments);
    };
    run(0);
    assert_eq!(y.read::<f32>(), plans[1].output(0), "the same bits");
    let title = format!("MLGRU block, {time} tokens, width {hidden}");
    let compiled = [false, true].map(|blocks| Planned::compiled(&compiler, &graph, &operands, blocks).0);
    race(rounds, title, (4 * time * hidden * hidden) as f64, (plans, compiled), &run);
}

fn glu(rounds: usize, tokens: usize, hidden: usize, intermediate: usize) {
    let (isa, Some(compiler)) = (Isa::host(), compiler(Options::default())) else { return };
    let of = |fusion| GluBlock {
        tokens,
        hidden,
        intermediate,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfAway,
        gate: Function::Silu,
        fusion,
    };
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, (_, fusion)) in fusions().into_iter().enumerate() {
            let kernel = of(fusion).emit(m, isa);
            let name = format!("run{k}");
            export(m, &name, &kernel);
        }
    });
    let Some(kernels) = kernels else { return };
    let block = of(Fusion::default());
    let operands = Operands::glu(&block);
    let graph = operands.glu_graph(&block);
    let mut plans = [false, true].map(|fuse| Planned::new(&graph, &operands, fuse));
    plans.iter_mut().for_each(Planned::run);
    let given: Vec<Memory> = operands.0.iter().map(|(_, o)| o.memory()).collect();
    let y = Memory::zeros(4 * tokens * hidden);
    let scratch: Vec<Memory> =
        fusions().into_iter().map(|(_, fusion)| Memory::zeros(of(fusion).scratch(isa))).collect();
    let run = |k: usize| {
        let arguments: Vec<&Memory> = given.iter().chain([&y, &scratch[k]]).collect();
        kernels.call(&format!("run{k}"), &arguments);
    };
    run(0);
    assert_eq!(y.read::<f32>(), plans[1].output(0), "the same bits");
    let title = format!("GLU block, {tokens} tokens, width {hidden}, inside {intermediate}");
    let compiled = [false, true].map(|blocks| Planned::compiled(&compiler, &graph, &operands, blocks).0);
    race(rounds, title, (3 * tokens * hidden * intermediate) as f64, (plans, compiled), &run);
}

type Plans<'a> = [Planned<'a>; 2];

fn race(
    rounds: usize,
    title: String,
    work: f64,
    (plans, compiled): (Plans<'_>, Plans<'_>),
    run: &dyn Fn(usize),
) {
    let mut race = Race::new(title, work, "GMAC/s");
    let [mut plain, mut fused] = plans;
    race.add("engine, unfused plan", move || plain.run());
    race.add("engine, fused plan", move || fused.run());
    let [mut by_steps, mut by_blocks] = compiled;
    race.add("compiled plan, step by step", move || by_steps.run());
    race.add("compiled plan, blocks as one call", move || by_blocks.run());
    for (k, (name, _)) in fusions().into_iter().enumerate() {
        race.add(name, move || run(k));
    }
    race.run(rounds);
}
