use alex::ir::{F32, I32, Module};

fn main() {
    let mut m = Module::new();
    m.function("f", (F32, I32), |b, (x, i)| b.addf(x, i));
}
