use crate::support::{Kernels, Memory, floats};
use alex::Options;
use alex::cpu::dense::{Shape, product};
use alex::cpu::{Isa, export};

#[test]
fn dense_products_are_close_to_the_plain_loop() {
    let isa = Isa::host();
    let mut shapes = vec![];
    for (k, (rows, depth, columns)) in
        [(1, 1, 1), (5, 3, 7), (12, 256, 32), (13, 300, 45), (250, 515, 70), (30, 4, 100), (2, 600, 33)]
            .into_iter()
            .enumerate()
    {
        for (a_transposed, b_transposed) in [(false, false), (false, true), (true, false), (true, true)] {
            let add = (k + usize::from(a_transposed)) % 2 == 1;
            shapes.push(Shape { rows, depth, columns, a_transposed, b_transposed, add });
        }
    }
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, shape) in shapes.iter().enumerate() {
            let kernel = product(m, isa, *shape);
            export(m, &format!("run{k}"), &kernel);
        }
    });
    let Some(kernels) = kernels else { return };
    for (i, s) in shapes.iter().enumerate() {
        let (a, b) = (floats(s.rows * s.depth, 1, 1.0), floats(s.depth * s.columns, 2, 1.0));
        let c = floats(s.rows * s.columns, 3, 1.0);
        let (found, scratch) = (Memory::of(&c), Memory::zeros(s.scratch(isa)));
        kernels.call(&format!("run{i}"), &[&Memory::of(&a), &Memory::of(&b), &found, &scratch]);
        for (at, found) in found.read::<f32>().into_iter().enumerate() {
            let (r, col) = (at / s.columns, at % s.columns);
            let a_at =
                |k: usize| f64::from(if s.a_transposed { a[k * s.rows + r] } else { a[r * s.depth + k] });
            let b_at = |k: usize| {
                f64::from(if s.b_transposed { b[col * s.depth + k] } else { b[k * s.columns + col] })
            };
            let exact: f64 = (0..s.depth).map(|k| a_at(k) * b_at(k)).sum();
            let exact = exact + if s.add { f64::from(c[at]) } else { 0.0 };
            assert!(
                (f64::from(found) - exact).abs() < 1e-5 * (1.0 + (s.depth as f64).sqrt()),
                "{s:?}: {found} for {exact}"
            );
        }
    }
}
