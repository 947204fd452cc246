//! The learning rate as something to be learned: `cargo run --release -p train --example hypergradient`.
//!
//! A small network is trained by twenty updates of each optimiser. The whole training is one function of the learning
//! rate, so reverse mode gives the derivative of the validation loss with respect to it; central differences are beside
//! it. Then the learning rate descends along its own gradient, on a logarithmic scale.

use axes::DType;
use furnace::value_and_grad;
use graph::{Cx, Var};
use train::optimizers::{Flat, Rule, unroll};

const STEPS: u64 = 20;

/// Inputs and targets of a fixed function, for one of two sets.
fn data(cx: &Cx, set: usize) -> [Var; 2] {
    let x: Vec<f64> = (0..48).map(|i| ((i * 37 + 11 * set) % 53) as f64 / 26.0 - 1.0).collect();
    let y: Vec<f64> = x.chunks(3).map(|r| (2.0 * r[0]).sin() - r[1] * r[2]).collect();
    [cx.array(DType::F64, &[16, 3], &x), cx.array(DType::F64, &[16, 1], &y)]
}

fn start(cx: &Cx) -> [Var; 2] {
    let values = |n: usize| (0..n).map(|i| ((i * 29 % 17) as f64 - 8.0) / 12.0).collect::<Vec<_>>();
    [cx.array(DType::F64, &[8, 3], &values(24)), cx.array(DType::F64, &[1, 8], &values(8))]
}

fn loss(flat: &Flat, vector: &Var, set: usize) -> Var {
    let p = flat.unflatten(vector);
    let [x, y] = data(vector.cx(), set);
    (x.linear(&p[0]).tanh().linear(&p[1]) - y).square().mean_all()
}

fn main() {
    let flat = Flat::of(&start(&Cx::eager()));
    println!("{} parameters as one vector, {STEPS} updates", flat.len());
    println!(
        "{:14} {:>10} {:>16} {:>16} {:>10}",
        "optimiser", "loss", "d loss / d lr", "difference", "apart"
    );
    let betas = [0.9, 0.95];
    let rules = [
        ("sgd", Rule::Sgd { momentum: 0.0, nesterov: false }),
        ("nesterov", Rule::Sgd { momentum: 0.9, nesterov: true }),
        ("adamw", Rule::Adam { betas, eps: 1e-8, decoupled: true }),
        ("schedule-free", Rule::ScheduleFree { betas, eps: 1e-8 }),
    ];
    for (name, rule) in &rules {
        let validation = |lr: &Var| {
            let begin = flat.flatten(&start(lr.cx()));
            let none = lr.full_like(0.0);
            let trained = unroll(rule, |p, _| loss(&flat, &p[0], 0), &[begin], lr, &none, STEPS);
            loss(&flat, &trained[0], 1)
        };
        let lr = 0.02;
        let (value, slope) = value_and_grad(validation)(&Cx::eager().scalar(lr));
        let at = |lr: f64| validation(&Cx::eager().scalar(lr)).val();
        let h = 1e-6;
        let difference = (at(lr + h) - at(lr - h)) / (2.0 * h);
        let (slope, apart) = (slope.val(), (slope.val() / difference - 1.0).abs());
        println!("{name:14} {:10.6} {slope:16.9} {difference:16.9} {apart:10.1e}", value.val());
    }
    let rule = rules[1].1;
    println!("\nthe learning rate of nesterov descends along its own gradient:");
    let mut log_lr = 0.002f64.ln();
    for round in 0..9 {
        let validation = |l: &Var| {
            let lr = l.exp();
            let begin = flat.flatten(&start(l.cx()));
            let none = l.full_like(0.0);
            let trained = unroll(&rule, |p, _| loss(&flat, &p[0], 0), &[begin], &lr, &none, STEPS);
            loss(&flat, &trained[0], 1)
        };
        let (value, slope) = value_and_grad(validation)(&Cx::eager().scalar(log_lr));
        println!("round {round}: learning rate {:.5}, validation loss {:.6}", log_lr.exp(), value.val());
        log_lr -= 2.0 * slope.val().clamp(-0.5, 0.5);
    }
}
