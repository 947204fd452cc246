use crate::support::{Kernels, Memory, bits, floats};
use alex::Options;
use alex::cpu::math::Function;
use alex::cpu::scan::{self, Shape};
use alex::cpu::{Isa, export};
use engine::kernels::math;
use engine::kernels::scan::{ScanShape, linear_scan, linear_scan_chunked, linear_scan_chunked_scratch};
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
