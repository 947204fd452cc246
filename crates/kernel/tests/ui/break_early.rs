use kernel::kernel;

#[kernel]
fn first_negative(x: &[f32]) -> f32 {
    let mut found = 0.0;
    for v in x {
        if *v < 0.0 {
            found = *v;
            break;
        }
    }
    found
}

fn main() {}
