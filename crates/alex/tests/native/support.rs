//! Compiling a kernel and calling it.
#![allow(unsafe_code)]

use alex::ir::Module;
use alex::{Compiler, Library, Options};
use std::sync::OnceLock;

/// The compiler for this computer, `None` (and a word about it) where the tools are missing.
pub(crate) fn compiler(options: Options) -> Option<Compiler> {
    static SAID: OnceLock<()> = OnceLock::new();
    match Compiler::new(options) {
        Ok(compiler) => Some(compiler),
        Err(why) => {
            SAID.get_or_init(|| eprintln!("skipped: {why}"));
            None
        }
    }
}

/// Kernels in memory.
pub(crate) struct Kernels {
    library: Library,
}

impl Kernels {
    /// Compiles what `make` exports to a module; `None` where the tools are missing.
    pub(crate) fn new(options: Options, make: impl FnOnce(&mut Module)) -> Option<Kernels> {
        let compiler = compiler(options)?;
        let mut m = Module::new();
        make(&mut m);
        let text = m.finish().expect("a well-formed module");
        Some(Kernels { library: compiler.load(&text).expect("it compiles") })
    }

    /// Calls one with these arguments, which must be as long as the kernel's types say.
    pub(crate) fn call(&self, name: &str, arguments: &[&Memory]) {
        let table: Vec<*mut u8> = arguments.iter().map(|m| m.address()).collect();
        let entry = self.library.entry(name).expect("the function is there");
        // SAFETY: the memory is as long as the kernel's types say, which the test has checked, and nothing else uses it.
        let status = unsafe { entry(std::ptr::null_mut(), table.as_ptr()) };
        assert_eq!(status, 0);
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes aligned to 64, with a line behind them that must not change.
pub(crate) struct Memory {
    lines: std::cell::UnsafeCell<Vec<Line>>,
    len: usize,
}

const GUARD: u8 = 0xa5;

/// Plain numbers.
pub(crate) trait Plain: Copy {}
impl Plain for i8 {}
impl Plain for u8 {}
impl Plain for i32 {}
impl Plain for i64 {}
impl Plain for f32 {}
impl Plain for f64 {}

impl Memory {
    pub(crate) fn of<T: Plain>(values: &[T]) -> Memory {
        let len = size_of_val(values);
        let mut lines = vec![Line([GUARD; 64]); len.div_ceil(64) + 1];
        // SAFETY: plain numbers, and the lines hold that many bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr().cast(), lines.as_mut_ptr().cast::<u8>(), len)
        };
        Memory { lines: lines.into(), len }
    }

    pub(crate) fn zeros(bytes: usize) -> Memory {
        Memory::of(&vec![0_u8; bytes])
    }

    fn address(&self) -> *mut u8 {
        // SAFETY: nothing else looks at the lines now.
        unsafe { (*self.lines.get()).as_mut_ptr().cast() }
    }

    /// The bytes as they lie.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: callers only read while no call that writes here is running.
        unsafe { std::slice::from_raw_parts(self.address(), self.len) }
    }

    /// The numbers, after a look at what lies behind them.
    pub(crate) fn read<T: Plain>(&self) -> Vec<T> {
        // SAFETY: no call is running, and the lines behind the bytes are ours.
        let behind = unsafe { std::slice::from_raw_parts(self.address().add(self.len), 64) };
        assert!(behind.iter().all(|b| *b == GUARD), "bytes behind the end were written");
        let bytes = self.bytes();
        // SAFETY: aligned to 64 for any plain number, of which any bits are one.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), self.len / size_of::<T>()) }.to_vec()
    }
}

/// Seeded numbers.
pub(crate) fn numbers(len: usize, seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    })
    .take(len)
}

/// The bits of floats, all NaN alike.
pub(crate) fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// Seeded numbers between −`size` and `size`.
pub(crate) fn floats(len: usize, seed: u64, size: f32) -> Vec<f32> {
    numbers(len, seed).map(|n| ((n % 65_536) as f32 / 32_768.0 - 1.0) * size).collect()
}
