use kernel::kernel;

#[kernel]
fn count(n: usize) -> usize {
    let mut i = 0;
    while i < n {
        i += 1;
    }
    i
}

fn main() {}
