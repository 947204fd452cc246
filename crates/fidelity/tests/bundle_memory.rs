//! What opening and running a bundle costs on the heap: next to nothing, whatever the size of the weights.
#![allow(missing_docs, unsafe_code)]

use engine::pool::Pool;
use fidelity::convert::{Form as Target, Model, write};
use fidelity::loaded::Loaded;
use models::bundle::PackOptions;
use models::config::MatMulFreeConfig;
use models::folder::{SaveOptions, save_folder};
use models::matmulfree::Form;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes on the heap, and the most there were since the last look.
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; the counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promises are those that `System` asks for.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: `layout` is the caller's.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's promises are those that `System` asks for.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Peak above what was there before.
fn measured<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = run();
    (result, PEAK.load(Ordering::Relaxed) - before)
}

#[test]
fn weights_are_not_copied_to_the_heap() {
    let config =
        MatMulFreeConfig { vocab_size: 33_000, hidden_size: 512, num_hidden_layers: 2, ..Default::default() };
    let dir = tempfile::tempdir().unwrap();
    let (folder, path) = (dir.path().join("model"), dir.path().join("model.fid"));
    save_folder(&folder, &config.to_json(), &config.init(3), SaveOptions::default()).unwrap();
    let pool = Arc::new(Pool::new(2));
    let form = Target::Bundle(PackOptions::default());
    write(&Model::open(&folder).unwrap(), &path, form, &pool, &mut |_| {}).unwrap();
    let size = std::fs::metadata(&path).unwrap().len() as usize;
    assert!(size >= 64 << 20, "{size}");
    let (mut model, opening) = measured(|| Loaded::open(&path).unwrap());
    assert!(opening < size / 100, "opening {size} bytes took {opening}");
    // Plan, arena, states, logits: they grow with the widths of the model and not with its weights.
    let (_, running) = measured(|| {
        let mut stream = model.stream(1, Form::Prepared, &pool).unwrap();
        (0..20).map(|t| stream.step(&[t]).unwrap()[0]).sum::<f32>()
    });
    assert!(running < size / 50, "running took {running}");
    println!("bundle {size} bytes; heap: opening {opening}, twenty tokens {running}");
}
