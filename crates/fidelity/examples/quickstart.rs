//! A recurrent layer of one's own, with ternary weights and named axes, learns to hold the last value it took.
use engine::Tensor;
use fidelity::{fit::Fit, prelude::*};
use graph::typed::{input, linear_scan, typed};
axes! { Batch = 16; Seq = 32; In = 2; State = 16; Out = 1; }

/// The weights as -1, 0 or 1 times their mean size; the gradient passes as if they had not been rounded.
fn ternary<O: Axis, I: Axis>(w: &Traced<(O, I)>) -> Traced<(O, I)> {
    let (trits, scale) = w.var().quantize_weights();
    typed::<(O, I), f32>(trits.convert(DType::F32) / &scale).surrogate(w)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cx = Cx::abstract_();
    let x: Traced<(Batch, Seq, In)> = input(&cx, "x", &[16.into(), 32.into(), 2.into()]);
    let y: Traced<(Batch, Seq, Out)> = input(&cx, "y", &[16.into(), 32.into(), 1.into()]);
    let [forget, new] = ["forget", "new"].map(|n| input::<(State, In), f32>(&cx, n, &[16.into(), 2.into()]));
    let read: Traced<(Out, State)> = input(&cx, "read", &[1.into(), 16.into()]);
    // h_t = f_t h_{t-1} + (1 - f_t) c_t, read at every step. With `read` and `new` swapped it does not compile.
    let (f, c) = (x.linear(&ternary(&forget)).sigmoid(), x.linear(&ternary(&new)).tanh());
    let h = linear_scan(&f, &((1.0 - &f) * c), &typed(cx.full(&Type::new(DType::F32, [16, 16]), 0.0)));
    let graph = cx.finish(&[("loss", &(h.linear(&read) - y).var().square().mean_all())])?;
    // Two inputs per step: a value, and 1 to take it or -1 to hold the last one.
    let (mut rng, mut xs, mut ys) = (models::rng::Rng::new(1), vec![], vec![]);
    for t in 0..16 * 32 {
        let (value, take) = (rng.normal() as f32, t % 32 == 0 || rng.uniform() < 0.3);
        xs.extend([value, if take { 1.0 } else { -1.0 }]);
        ys.push(if take { value } else { ys[t - 1] });
    }
    let data = [("x", &Tensor::from_f32([16, 32, 2], &xs)), ("y", &Tensor::from_f32([16, 32, 1], &ys))];
    let mut init = |d, n| Tensor::from_f32(d, &(0..n).map(|_| rng.normal() as f32).collect::<Vec<_>>());
    let start = vec![("forget", init([16, 2], 32)), ("new", init([16, 2], 32)), ("read", init([1, 16], 16))];
    let mut fit = Fit::new(&graph, start, |w, gradient| w - &(gradient * 0.1), Pool::single().into())?;
    for step in 0..=2000 {
        let loss = fit.step(&data)?;
        (step % 400 == 0).then(|| println!("step {step:4}  loss {loss:.4}"));
    }
    Ok(())
}
