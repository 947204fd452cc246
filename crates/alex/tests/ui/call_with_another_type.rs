use alex::ir::{F32, I32, Module};

fn main() {
    let mut m = Module::new();
    let f = m.function("f", F32, |_, x| x);
    m.function("g", I32, |b, i| b.call(&f, i));
}
