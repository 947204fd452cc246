//! Products of f32 matrices, as a training step has them.

use crate::Race;
use crate::support::{Kernels, Memory, floats};
use alex::Options;
use alex::cpu::dense::{Shape, product};
use alex::cpu::{Isa, export};
use engine::kernels::gemm::{MatMut, MatRef, gemm};
use std::hint::black_box;

pub(crate) fn dense(rounds: usize) {
    let isa = Isa::host();
    for (n, inputs, outputs) in
        [(512, 128, 128), (512, 128, 704), (512, 352, 128), (512, 1024, 1024), (2048, 512, 512)]
    {
        let (x, w, dy) =
            (floats(n * inputs, 1, 1.0), floats(outputs * inputs, 2, 1.0), floats(n * outputs, 3, 1.0));
        let forms = [
            ("y = x wT", (n, inputs, outputs), (false, true), &x, &w),
            ("dx = dy w", (n, outputs, inputs), (false, false), &dy, &w),
            ("dw = dyT x", (outputs, n, inputs), (true, false), &dy, &x),
        ];
        for (name, (rows, depth, columns), (a_transposed, b_transposed), a, b) in forms {
            let shape = Shape { rows, depth, columns, a_transposed, b_transposed, add: false };
            let kernels = Kernels::new(Options::default(), |m| {
                let kernel = product(m, isa, shape);
                export(m, "run", &kernel);
            });
            let Some(kernels) = kernels else { return };
            let (left, right) = (Memory::of(a), Memory::of(b));
            let (made, scratch) = (Memory::zeros(4 * rows * columns), Memory::zeros(shape.scratch(isa)));
            let mut c = vec![0.0; rows * columns];
            let title = format!("{name}, {n} x {inputs} -> {outputs}");
            let mut race = Race::new(title, (2 * rows * depth * columns) as f64, "GFLOP/s");
            let view = |data, rows, columns, flip| match flip {
                true => MatRef::row_major(data, columns, rows).t(),
                false => MatRef::row_major(data, rows, columns),
            };
            race.add("engine (gemm crate)", || {
                let (a, b) =
                    (view(black_box(a), rows, depth, a_transposed), view(b, depth, columns, b_transposed));
                gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, rows, columns));
            });
            race.add("compiled", || kernels.call("run", &[&left, &right, &made, &scratch]));
            race.run(rounds);
        }
    }
}
