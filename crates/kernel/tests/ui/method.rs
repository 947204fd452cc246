use kernel::kernel;

#[kernel]
fn largest(x: &mut [f32]) -> f32 {
    x.sort_by(f32::total_cmp);
    x[0]
}

fn main() {}
