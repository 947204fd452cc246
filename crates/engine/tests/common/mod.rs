//! What the kernel tests share: seeded numbers, every instruction set, golden files.
#![allow(dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use engine::kernels::simd::{Level, force};
use safetensors::{Dtype, SafeTensors};

static LEVEL: Mutex<()> = Mutex::new(());

/// Runs `test` with each instruction set that this machine has. The choice is one for the process, so tests that
/// make it take turns.
pub fn each_level(test: impl Fn(Level)) {
    let _turn = LEVEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for level in Level::ALL {
        if force(level) {
            test(level);
        }
    }
}

/// Seeded uniform numbers (PCG-like; the tests need variety, not quality).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// In [low, high).
    pub fn f32(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.next() as f32 / (1u64 << 31) as f32)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    pub fn vec(&mut self, len: usize, low: f32, high: f32) -> Vec<f32> {
        (0..len).map(|_| self.f32(low, high)).collect()
    }
}

/// Largest difference, relative to the largest magnitude expected (at least `floor`).
pub fn error(found: &[f32], expected: &[f64], floor: f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(floor, |size, x| size.max(x.abs()));
    let worst = found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
    worst / size
}

#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    let error = error(found, expected, 1e-30);
    assert!(error <= tolerance, "error {error:e} > {tolerance:e}");
    assert!(found.iter().all(|x| !x.is_nan()), "NaN");
}

pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// One golden file.
pub struct Golden(HashMap<String, (Vec<usize>, Dtype, Vec<u8>)>);

impl Golden {
    /// Opens `matmulfree/ops/<name>` in the folder named by `FIDELITY_GOLDEN`; `None`, with a note, without it.
    pub fn open(name: &str) -> Option<Self> {
        let root = std::env::var_os("FIDELITY_GOLDEN").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden"),
            PathBuf::from,
        );
        let path = root.join("matmulfree/ops").join(name);
        let Ok(bytes) = std::fs::read(&path) else {
            println!("skipped: no golden file {}", path.display());
            return None;
        };
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let tensors = file
            .tensors()
            .into_iter()
            .map(|(name, view)| (name, (view.shape().to_vec(), view.dtype(), view.data().to_vec())));
        Some(Self(tensors.collect()))
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0[name].0
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        let (_, dtype, bytes) = &self.0[name];
        assert_eq!(*dtype, Dtype::F32, "{name}");
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    pub fn i8(&self, name: &str) -> Vec<i8> {
        let (_, dtype, bytes) = &self.0[name];
        assert_eq!(*dtype, Dtype::I8, "{name}");
        bytes.iter().map(|&b| b as i8).collect()
    }

    pub fn i64(&self, name: &str) -> Vec<i64> {
        let (_, dtype, bytes) = &self.0[name];
        assert_eq!(*dtype, Dtype::I64, "{name}");
        bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes"))).collect()
    }
}
