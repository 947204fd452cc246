use crate::support::{Kernels, Memory, bits, floats};
use alex::Options;
use alex::cpu::math::Function;
use alex::cpu::scan::{self, Shape};
use alex::cpu::{Isa, export, selective};
use engine::kernels::math;
use engine::kernels::scan::{
    ScanShape, Selective, SelectiveShape, linear_scan, linear_scan_chunked, linear_scan_chunked_scratch,
    selective_scan,
};
use engine::pool::Pool;

/// (B, T, D); the last two are those that the engine scans in chunks.
const SIZES: [(usize, usize, usize); 6] =
    [(2, 5, 1), (1, 9, 45), (2, 3, 256), (1, 4, 600), (1, 1024, 19), (2, 1300, 48)];

fn engine(shape: Shape, f: &[f32], x: &[f32], h0: &[f32], reverse: bool) -> Vec<f32> {
    let s = ScanShape { batch: shape.batch, time: shape.time, channels: shape.channels };
    let (mut out, chunk) = (vec![0.0; s.len()], scan::chunk(shape));
    if chunk < shape.time {
        let mut scratch = vec![0.0; linear_scan_chunked_scratch(s, chunk)];
        linear_scan_chunked(&Pool::single(), s, f, x, Some(h0), &mut out, reverse, chunk, &mut scratch);
    } else {
        linear_scan(&Pool::single(), s, f, x, Some(h0), &mut out, reverse);
    }
    out
}

#[test]
fn scans_have_the_engines_bits() {
    let isa = Isa::host();
    let shapes = SIZES.map(|(batch, time, channels)| Shape { batch, time, channels });
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, shape) in shapes.into_iter().enumerate() {
            for reverse in [false, true] {
                let kernel = scan::linear_scan(m, isa, shape, reverse);
                export(m, &format!("scan{k}{reverse}"), &kernel);
            }
            let kernel = scan::mlgru_scan(m, isa, shape, Function::Silu);
            export(m, &format!("mlgru{k}"), &kernel);
        }
    });
    let Some(kernels) = kernels else { return };
    for (k, shape) in shapes.into_iter().enumerate() {
        let len = shape.batch * shape.time * shape.channels;
        let (f, x, h0) =
            (floats(len, 1, 1.0), floats(len, 2, 1.0), floats(shape.batch * shape.channels, 3, 1.0));
        let [given_f, given_x, given_h0] = [&f, &x, &h0].map(|v| Memory::of(v));
        let out = Memory::zeros(4 * len);
        for reverse in [false, true] {
            kernels.call(&format!("scan{k}{reverse}"), &[&given_f, &given_x, &given_h0, &out]);
            assert_eq!(bits(&out.read()), bits(&engine(shape, &f, &x, &h0, reverse)), "{shape:?}");
        }
        let (mut s, mut c) = (vec![0.0; len], vec![0.0; len]);
        math::sigmoid_slice(&f, &mut s);
        math::silu_slice(&x, &mut c);
        c.iter_mut().zip(&s).for_each(|(c, s)| *c *= 1.0 - s);
        kernels.call(&format!("mlgru{k}"), &[&given_f, &given_x, &given_h0, &out]);
        assert_eq!(bits(&out.read()), bits(&engine(shape, &s, &c, &h0, false)), "{shape:?}");
    }
}

#[test]
fn selective_scans_have_the_engines_bits() {
    let isa = Isa::host();
    let shapes = [(1, 5, 3, 2), (2, 33, 40, 16), (1, 40, 19, 20), (1, 3, 16, 4)]
        .map(|(batch, time, channels, states)| selective::Shape { batch, time, channels, states });
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, shape) in shapes.into_iter().enumerate() {
            let kernel = selective::selective_scan(m, isa, shape);
            export(m, &format!("run{k}"), &kernel);
        }
    });
    let Some(kernels) = kernels else { return };
    for (k, s) in shapes.into_iter().enumerate() {
        let selective::Shape { batch, time, channels, states } = s;
        let (wide, maps, state) = (batch * time * channels, batch * time * states, batch * channels * states);
        let x = floats(wide, 1, 1.0);
        let dt: Vec<f32> = floats(wide, 2, 0.5).into_iter().map(|v| v + 0.6).collect();
        let a: Vec<f32> = floats(channels * states, 3, 1.0).into_iter().map(|v| v - 1.5).collect();
        let (b, c, h0) = (floats(maps, 4, 1.0), floats(maps, 5, 1.0), floats(state, 6, 1.0));
        let shape = SelectiveShape { batch, time, channels, states };
        let rows = batch * (time + states) * channels;
        let (mut y, mut last, mut borders) = (vec![0.0; wide], vec![0.0; state], vec![9.0; rows]);
        let given = Selective { x: &x, dt: &dt, a: &a, b: &b, c: &c };
        selective_scan(&Pool::single(), shape, given, &h0, (&mut y, &mut last, &mut borders));
        let given = [&x, &dt, &a, &b, &c, &h0].map(|v| Memory::of(v));
        let found = [wide, state, rows].map(|len| Memory::of(&vec![7.0_f32; len]));
        kernels.call(&format!("run{k}"), &given.iter().chain(&found).collect::<Vec<_>>());
        for (found, wanted) in found.iter().zip([&y, &last, &borders]) {
            assert_eq!(bits(&found.read()), bits(wanted), "{s:?}");
        }
    }
}
