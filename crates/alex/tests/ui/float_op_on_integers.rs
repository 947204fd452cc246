use alex::ir::{I32, Module};

fn main() {
    let mut m = Module::new();
    m.function("f", (I32, I32), |b, (x, y)| b.addf(x, y));
}
