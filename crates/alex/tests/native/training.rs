use crate::support::{Kernels, Memory, bits, floats, numbers};
use alex::Options;
use alex::cpu::{Isa, export, scan, training};
use alex::ir::{F32, FuncOptions, I8, I64, MemRef};
use axes::TritLayout;
use engine::kernels::packed::{PackedMatrix, quantize_weights_packed, unpack_rows};
use engine::kernels::rows;
use engine::kernels::scan::{ScanShape, linear_scan, linear_scan_grad};
use engine::pool::Pool;

fn run<E>(elem: E, len: usize) -> MemRef<E, 1> {
    MemRef::new(elem, [len as i64])
}

fn matrix([rows, cols]: [usize; 2]) -> MemRef<F32, 2> {
    MemRef::new(F32, [rows as i64, cols as i64])
}

const SIZES: [[usize; 2]; 5] = [[1, 5], [7, 300], [33, 64], [70, 1029], [6, 256]];

#[test]
fn gradients_of_norms_and_losses_have_the_engines_bits() {
    let isa = Isa::host();
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, shape) in SIZES.into_iter().enumerate() {
            let [count, cols] = shape;
            let room = training::norm_scratch(cols);
            let (wide, row, each) = (matrix(shape), run(F32, cols), run(F32, count));
            let args = (wide, row, each, wide, wide, row, run(I8, room));
            let f = m.function(FuncOptions::new(format!("own_norm{k}")).private(), args, |b, v| {
                let (x, w, rstd, dy, dx, dw, room) = v;
                training::rms_norm_grad(b, isa, shape, (x, w, rstd, dy), (dx, dw), room);
            });
            export(m, &format!("norm{k}"), &f);
            let args = (wide, run(I64, count), run(F32, 1), each, run(F32, 1), wide);
            let f = m.function(FuncOptions::new(format!("own_loss{k}")).private(), args, |b, v| {
                let (x, labels, loss, lse, g, dx) = v;
                training::cross_entropy(b, isa, shape, (x, labels), (loss, lse));
                training::cross_entropy_grad(b, isa, shape, (x, labels, lse, g), dx);
            });
            export(m, &format!("loss{k}"), &f);
        }
    });
    let Some(kernels) = kernels else { return };
    let pool = Pool::single();
    for (k, [count, cols]) in SIZES.into_iter().enumerate() {
        let len = count * cols;
        let (x, dy, w) = (floats(len, 1, 3.0), floats(len, 2, 1.0), floats(cols, 3, 1.0));
        let rstd: Vec<f32> = floats(count, 4, 0.5).iter().map(|v| v + 1.0).collect();
        let (mut dx, mut dw) = (vec![0.0; len], vec![0.0; cols]);
        let mut scratch = vec![0.0; rows::rms_norm_grad_scratch(count, cols)];
        rows::rms_norm_grad(&pool, &x, &w, &rstd, &dy, &mut dx, &mut dw, &mut scratch);
        let given = [&x, &w, &rstd, &dy].map(|v| Memory::of(v));
        let made =
            [Memory::zeros(4 * len), Memory::zeros(4 * cols), Memory::zeros(training::norm_scratch(cols))];
        kernels.call(&format!("norm{k}"), &given.iter().chain(&made).collect::<Vec<_>>());
        assert_eq!(bits(&made[0].read()), bits(&dx), "{count} x {cols}");
        assert_eq!(bits(&made[1].read()), bits(&dw), "{count} x {cols}");

        let ignore = graph::ops::loss::IGNORE;
        let labels: Vec<i64> = numbers(count, 5)
            .enumerate()
            .map(|(i, n)| if i % 5 == 3 { ignore } else { (n % cols as u64) as i64 })
            .collect();
        let mut lse = vec![0.0; count];
        let found = rows::cross_entropy(&pool, &x, &labels, ignore, &mut lse).expect("labels inside");
        rows::cross_entropy_grad(&pool, &x, &labels, ignore, &lse, 0.7 / found.count as f32, &mut dx)
            .expect("labels inside");
        let (given, labels, g) = (Memory::of(&x), Memory::of(&labels), Memory::of(&[0.7_f32]));
        let [loss, sums, out] = [4, 4 * count, 4 * len].map(Memory::zeros);
        kernels.call(&format!("loss{k}"), &[&given, &labels, &loss, &sums, &g, &out]);
        assert_eq!(bits(&loss.read()), bits(&[found.loss]), "{count} x {cols}");
        assert_eq!(bits(&sums.read()), bits(&lse), "{count} x {cols}");
        assert_eq!(bits(&out.read()), bits(&dx), "{count} x {cols}");
    }
}

#[test]
fn weights_are_packed_and_unpacked_as_the_engine_does() {
    let isa = Isa::host();
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, shape) in SIZES.into_iter().enumerate() {
            let [count, cols] = shape;
            let bytes = TritLayout::Compute.bytes(count, cols).expect("small");
            let args = (matrix(shape), run(F32, count * cols), run(I8, bytes), run(F32, 1), matrix(shape));
            let f = m.function(FuncOptions::new(format!("own{k}")).private(), args, |b, v| {
                let (w, flat, trits, scale, out) = v;
                training::quantize_weights_packed(b, shape, (w, flat), (trits, scale));
                let first = b.index(0);
                training::dequantize_trits(b, isa, shape, (trits, first), (scale, true), out);
            });
            export(m, &format!("pack{k}"), &f);
        }
    });
    let Some(kernels) = kernels else { return };
    for (k, [count, cols]) in SIZES.into_iter().enumerate() {
        let w = floats(count * cols, 7, 1.0);
        let mut wanted = vec![0_u8; TritLayout::Compute.bytes(count, cols).expect("small")];
        let scale = quantize_weights_packed(&Pool::single(), &w, count, cols, &mut wanted);
        let (given, trits) = (Memory::of(&w), Memory::zeros(wanted.len()));
        let (found, out) = (Memory::zeros(4), Memory::zeros(4 * w.len()));
        kernels.call(&format!("pack{k}"), &[&given, &given, &trits, &found, &out]);
        assert_eq!(bits(&found.read()), bits(&[scale]));
        assert_eq!(trits.read::<u8>(), wanted, "{count} x {cols}");
        let packed = PackedMatrix::new(TritLayout::Compute, count, cols, &wanted).expect("its bytes");
        let mut plain = vec![0.0; w.len()];
        unpack_rows(packed, 0, 1.0 / scale, &mut plain);
        assert_eq!(out.read::<f32>(), plain, "{count} x {cols}");
    }
}

#[test]
fn gradients_of_recurrences_have_the_engines_bits() {
    let shapes = [(2, 5, 1), (1, 9, 45), (2, 3, 300), (1, 1, 7)].map(|(batch, time, channels)| scan::Shape {
        batch,
        time,
        channels,
    });
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, shape) in shapes.into_iter().enumerate() {
            for reverse in [false, true] {
                let f = scan::linear_scan_grad(m, Isa::host(), shape, reverse);
                export(m, &format!("run{k}{reverse}"), &f);
            }
        }
    });
    let Some(kernels) = kernels else { return };
    let pool = Pool::single();
    for (k, s) in shapes.into_iter().enumerate() {
        let own = ScanShape { batch: s.batch, time: s.time, channels: s.channels };
        let state = s.batch * s.channels;
        let (f, x, h0, dh) = (
            floats(own.len(), 1, 1.0),
            floats(own.len(), 2, 1.0),
            floats(state, 3, 1.0),
            floats(own.len(), 4, 1.0),
        );
        for reverse in [false, true] {
            let [mut h, mut dx, mut df] = [0, 1, 2].map(|_| vec![0.0; own.len()]);
            let mut dh0 = vec![0.0; state];
            linear_scan(&pool, own, &f, &x, Some(&h0), &mut h, reverse);
            let results = (&mut dx[..], &mut df[..], Some(&mut dh0[..]));
            linear_scan_grad(&pool, own, &f, &h, Some(&h0), &dh, None, reverse, results);
            let given = [&f, &h0, &h, &dh].map(|v| Memory::of(v));
            let made = [own.len(), own.len(), state].map(|len| Memory::zeros(4 * len));
            kernels.call(&format!("run{k}{reverse}"), &given.iter().chain(&made).collect::<Vec<_>>());
            for (found, wanted) in made.iter().zip([&df, &dx, &dh0]) {
                assert_eq!(bits(&found.read()), bits(wanted), "{s:?} {reverse}");
            }
        }
    }
}
