use crate::support::{Kernels, Memory, numbers};
use alex::Options;
use alex::cpu::math::{Function, map};
use alex::cpu::{Isa, export};
use engine::kernels::math;

/// Every kind of number: all exponents, borders, infinities, NaN, denormals, zeros.
fn inputs(len: usize) -> Vec<f32> {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.625,
        -0.625,
        0.927_734_4,
        88.7,
        88.8,
        89.0,
        90.0,
        -87.3,
        -87.4,
        -103.9,
        -104.1,
        8192.0,
        -8192.0,
        8193.0,
        1e30,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        -f32::MIN_POSITIVE,
        1e-45,
        -1e-45,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        0.5,
        1.5,
        2.5,
        0.499_999_97,
    ];
    let random = numbers(len, 7).enumerate().map(|(k, n)| match k % 3 {
        0 => f32::from_bits(n as u32),
        1 => (n % 2_000_001) as f32 / 1e4 - 100.0,
        _ => (n % 2_000_001) as f32 / 1e6 - 1.0,
    });
    special.into_iter().chain(random).take(len).collect()
}

#[test]
fn functions_have_the_engines_bits() {
    let x = inputs(60_007);
    let kernels = Kernels::new(Options::default(), |m| {
        for function in Function::ALL {
            let kernel = map(m, Isa::host().lanes(), function, x.len());
            export(m, function.name(), &kernel);
        }
    });
    let Some(kernels) = kernels else { return };
    for function in Function::ALL {
        let y = Memory::zeros(4 * x.len());
        kernels.call(function.name(), &[&Memory::of(&x), &y]);
        let mut wanted = vec![0.0; x.len()];
        match function {
            Function::Exp => math::exp_slice(&x, &mut wanted),
            Function::Log => math::log_slice(&x, &mut wanted),
            Function::Tanh => math::tanh_slice(&x, &mut wanted),
            Function::Sigmoid => math::sigmoid_slice(&x, &mut wanted),
            Function::Silu => math::silu_slice(&x, &mut wanted),
            Function::Softplus => math::softplus_slice(&x, &mut wanted),
            Function::Erf => math::erf_slice(&x, &mut wanted),
            Function::Sin => math::sin_slice(&x, &mut wanted),
            Function::Cos => math::cos_slice(&x, &mut wanted),
            Function::SquaredRelu => {
                let relu = |x: &f32| if *x < 0.0 { 0.0 } else { *x };
                wanted = x.iter().map(|x| relu(x) * relu(x)).collect();
            }
        }
        for ((x, found), wanted) in x.iter().zip(y.read::<f32>()).zip(wanted) {
            // Which NaN it is does not matter.
            let same = found.to_bits() == wanted.to_bits() || found.is_nan() && wanted.is_nan();
            assert!(same, "{}({x:e}) = {found:e}, the engine's is {wanted:e}", function.name());
        }
    }
}
