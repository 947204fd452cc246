use crate::reference::{Operands, Planned};
use crate::support::{Kernels, Memory, bits, compiler};
use alex::Options;
use alex::cpu::block::{Fusion, GluBlock, MlgruBlock};
use alex::cpu::norm::Rounding;
use alex::cpu::{Isa, export, math::Function};

/// Everything, nothing, and each alone.
fn fusions() -> Vec<Fusion> {
    let none = Fusion::NONE;
    vec![
        Fusion::default(),
        none,
        Fusion { tile: 7, ..Fusion::default() },
        Fusion { quantise: true, ..none },
        Fusion { gates: true, tile: 20, ..none },
        Fusion { output: true, ..none },
    ]
}

#[test]
fn blocks_have_the_bits_of_their_ops() {
    let isa = Isa::host();
    let mlgru = |fusion| MlgruBlock {
        batch: 2,
        time: 53,
        hidden: 72,
        inner: 100,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfAway,
        candidate: Function::Silu,
        fusion,
    };
    let glu = |fusion| GluBlock {
        tokens: 53,
        hidden: 72,
        intermediate: 100,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfEven,
        gate: Function::Silu,
        fusion,
    };
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, fusion) in fusions().into_iter().enumerate() {
            let kernel = mlgru(fusion).emit(m, isa);
            export(m, &format!("mlgru{k}"), &kernel);
            let kernel = glu(fusion).emit(m, isa);
            export(m, &format!("glu{k}"), &kernel);
        }
    });
    let Some(kernels) = kernels else { return };

    let block = mlgru(Fusion::NONE);
    let operands = Operands::mlgru(&block);
    let graph = operands.mlgru_graph(&block);
    let mut planned = Planned::new(&graph, &operands, true);
    planned.run();
    for (k, fusion) in fusions().into_iter().enumerate() {
        let given: Vec<Memory> = operands.0.iter().map(|(_, o)| o.memory()).collect();
        let y = Memory::zeros(4 * block.batch * block.time * block.hidden);
        let last = Memory::zeros(4 * block.batch * block.inner);
        let scratch = Memory::zeros(mlgru(fusion).scratch(isa));
        let arguments: Vec<&Memory> = given.iter().chain([&y, &last, &scratch]).collect();
        kernels.call(&format!("mlgru{k}"), &arguments);
        assert_eq!(bits(&last.read()), bits(planned.output(1)), "{fusion:?}");
        assert_eq!(bits(&y.read()), bits(planned.output(0)), "{fusion:?}");
    }

    let block = glu(Fusion::NONE);
    let operands = Operands::glu(&block);
    let graph = operands.glu_graph(&block);
    let mut planned = Planned::new(&graph, &operands, false);
    planned.run();
    for (k, fusion) in fusions().into_iter().enumerate() {
        let given: Vec<Memory> = operands.0.iter().map(|(_, o)| o.memory()).collect();
        let y = Memory::zeros(4 * block.tokens * block.hidden);
        let scratch = Memory::zeros(glu(fusion).scratch(isa));
        let arguments: Vec<&Memory> = given.iter().chain([&y, &scratch]).collect();
        kernels.call(&format!("glu{k}"), &arguments);
        assert_eq!(bits(&y.read()), bits(planned.output(0)), "{fusion:?}");
    }
}

#[test]
fn plans_run_their_blocks_as_one_call() {
    let Some(compiler) = compiler(Options::default()) else { return };
    let block = MlgruBlock {
        batch: 1,
        time: 35,
        hidden: 68,
        inner: 100,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfAway,
        candidate: Function::Silu,
        fusion: Fusion::NONE,
    };
    let operands = Operands::mlgru(&block);
    let graph = operands.mlgru_graph(&block);
    let mut engine = Planned::new(&graph, &operands, true);
    engine.run();
    for (blocks, most) in [(true, 3), (false, usize::MAX)] {
        let (mut planned, calls) = Planned::compiled(&compiler, &graph, &operands, blocks);
        assert!(calls <= most, "{calls} calls");
        planned.run();
        for k in 0..2 {
            assert_eq!(bits(planned.output(k)), bits(engine.output(k)), "output {k}, blocks {blocks}");
        }
    }

    let block = GluBlock {
        tokens: 35,
        hidden: 68,
        intermediate: 100,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfEven,
        gate: Function::Silu,
        fusion: Fusion::NONE,
    };
    let operands = Operands::glu(&block);
    let graph = operands.glu_graph(&block);
    let mut engine = Planned::new(&graph, &operands, true);
    engine.run();
    for (blocks, most) in [(true, 1), (false, usize::MAX)] {
        let (mut planned, calls) = Planned::compiled(&compiler, &graph, &operands, blocks);
        assert!(calls <= most, "{calls} calls");
        planned.run();
        assert_eq!(bits(planned.output(0)), bits(engine.output(0)), "blocks {blocks}");
    }
}
