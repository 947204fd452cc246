//! An ordinary Rust function as a kernel: run by rustc, raised, differentiated, and compiled by MLIR.
//!
//! `cargo run --release -p fidelity --example kernel`

use fidelity::kernel::Arg;
use fidelity::prelude::*;

axes! { Hidden = 4; }

/// A step of a gated recurrence: h ← f h + (1 − f) c.
#[kernel]
fn step<H: Axis>(h: &mut Vector<H>, f: &Vector<H>, c: &Vector<H>) {
    for i in 0..h.len() {
        let gate = 1.0 / (1.0 + (-f[[i]]).exp());
        h[[i]] += (1.0 - gate) * (c[[i]].tanh() - h[[i]]);
    }
}

fn main() -> anyhow::Result<()> {
    let f = Vector::<Hidden>::vector(vec![0.5, -1.0, 2.0, 0.0])?;
    let c = Vector::<Hidden>::vector(vec![1.0, 0.25, -3.0, 0.5])?;
    let mut h = Vector::<Hidden>::vector(vec![0.1, 0.2, 0.3, 0.4])?;
    let args: [Arg; 3] = [(&h).into(), (&f).into(), (&c).into()];

    // What was found in it, and from which lines.
    println!("{}", step::kernel().explain()?);

    // The function itself.
    step(&mut h, &f, &c);
    println!("rustc    {:?}", h.as_slice());

    // As a graph, which furnace differentiates like any other.
    let v = Type::new(DType::F32, [4]);
    let graph = step::kernel().graph(&[v.clone(), v.clone(), v])?;
    println!("\n{graph}");

    // Its loops as native code; without MLIR's tools this says how to install them.
    match alex::Compiler::new(alex::Options::default()) {
        Ok(compiler) => {
            let code = alex::kernels::Compiled::new(&step::kernel(), &compiler)?;
            let made = code.call(&args)?;
            println!("compiled {:?}", made.args[0].to_f64());
            assert_eq!(made.args[0], Arg::from(&h));
        }
        Err(e) => println!("{e}"),
    }
    Ok(())
}
