//! The roofline of a report: multiply-accumulates a byte of weights against multiply-accumulates a second.

use super::Report;
use train::plot::{Dot, Roof, Roofline};

pub(super) fn roofline(report: &Report) -> Roofline {
    let processor = report.processor.as_deref().unwrap_or("this machine");
    let title = format!("Products with trits and blocks on {processor}, {} kernels", report.simd);
    let mut picture = Roofline::new(title, "multiply-accumulates per byte of weights", "GMAC/s");
    let colour = |threads: usize| report.threads.iter().position(|n| *n == threads).unwrap_or(0);
    for threads in report.threads.iter().copied() {
        picture.roofs.push(Roof {
            name: if threads == 1 { "1 thread".into() } else { format!("{threads} threads") },
            bandwidth: report.machine.bandwidth_of(threads) / 1e9,
            peak: report.machine.macs_of(threads) / 1e9,
            colour: colour(threads),
        });
    }
    // A row of hot ones beside the cold says nothing about memory.
    for kernel in report.kernels.iter().filter(|k| k.cold || k.tokens > 8) {
        let macs = (kernel.rows * kernel.columns * kernel.tokens) as f64;
        picture.dots.push(Dot {
            name: kernel.name(),
            intensity: macs / kernel.bytes as f64,
            rate: kernel.gmacs,
            colour: colour(kernel.threads),
        });
    }
    if let Some(model) = &report.model {
        let macs = model.token_macs;
        for speed in &model.decode {
            picture.dots.push(Dot {
                name: format!("{}: decode, {} thr.", model.name, speed.threads),
                intensity: macs / model.token_bytes.max(1) as f64,
                rate: macs * speed.rate.median / 1e9,
                colour: colour(speed.threads),
            });
        }
    }
    picture
}
