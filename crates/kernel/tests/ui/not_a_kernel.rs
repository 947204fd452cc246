use kernel::kernel;

fn plain(x: f32) -> f32 {
    x
}

#[kernel]
fn calls(x: f32) -> f32 {
    plain(x)
}

#[kernel]
struct Nothing;

fn main() {}
