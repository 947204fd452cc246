//! Compiled steps that threads share: the bits of one thread, whoever runs what, and cuts as the plan says.

use crate::reference::{Operands, Planned};
use crate::support::{bits, compiler};
use alex::Options;
use alex::cpu::block::{Fusion, GluBlock, MlgruBlock};
use alex::cpu::math::Function;
use alex::cpu::norm::Rounding;
use engine::pool::Pool;
use std::sync::Arc;

fn mlgru(time: usize, hidden: usize, inner: usize) -> MlgruBlock {
    MlgruBlock {
        batch: 1,
        time,
        hidden,
        inner,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfAway,
        candidate: Function::Silu,
        fusion: Fusion::default(),
    }
}

fn glu(tokens: usize, hidden: usize, intermediate: usize) -> GluBlock {
    GluBlock {
        tokens,
        hidden,
        intermediate,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfEven,
        gate: Function::Silu,
        fusion: Fusion::default(),
    }
}

/// Runs a graph on the engine, and dealt out to one, two and three threads.
fn hold(name: &str, graph: &graph::Graph, operands: &Operands, outputs: usize) {
    let Some(compiler) = compiler(Options { level: 1, ..Options::default() }) else { return };
    let mut reference = Planned::new(graph, operands, true);
    reference.run();
    for (blocks, patterns) in [(false, true), (false, false), (true, true)] {
        for threads in [1, 2, 3] {
            let pool = Arc::new(Pool::new(threads));
            let (mut planned, told) = Planned::dealt(&compiler, graph, operands, (blocks, patterns), &pool);
            let before = pool.dealt();
            planned.run();
            let after = pool.dealt();
            for k in 0..outputs {
                let (found, wanted) = (bits(planned.output(k)), bits(reference.output(k)));
                assert_eq!(found, wanted, "{name}: output {k}, {threads} threads, blocks {blocks}");
            }
            // A block by tiles is cut by no step of the plan, and is taken where there are several tiles.
            let dealt = (after.0 - before.0, after.1 - before.1);
            match threads {
                1 => assert_eq!(dealt, (0, 0), "{name}"),
                _ if !blocks => assert_eq!(dealt, told, "{name}, patterns {patterns}"),
                _ => assert!(dealt.0 > 0, "{name}"),
            }
        }
    }
}

#[test]
fn blocks_have_one_threads_bits() {
    // One token, few, more than a tile, and odd sizes: 130 rows are a whole cut and a rest that is no group of four.
    for (time, hidden, inner) in [(1, 1024, 1100), (7, 300, 1030), (40, 72, 130), (150, 260, 600)] {
        let block = mlgru(time, hidden, inner);
        let operands = Operands::mlgru(&block);
        hold(&format!("mlgru {time}"), &operands.mlgru_graph(&block), &operands, 2);
    }
    for (tokens, hidden, intermediate) in
        [(1, 1024, 2816), (8, 260, 1032), (33, 72, 132), (200, 300, 520), (257, 72, 132)]
    {
        let block = glu(tokens, hidden, intermediate);
        let operands = Operands::glu(&block);
        hold(&format!("glu {tokens}"), &operands.glu_graph(&block), &operands, 1);
    }
}
