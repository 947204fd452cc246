//! What opening costs on the heap: little, whatever the file says of itself.
#![allow(missing_docs, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::BufWriter;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axes::{DType, TritLayout};
use barewire::{Bundle, BundleWriter, Spec, trits};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);
/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: every call is passed on to the system's allocator unchanged; the counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promises are those that `System` asks for.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        TOTAL.fetch_add(layout.size(), Ordering::Relaxed);
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

/// Peak above what was there before, and all that was ever asked for.
fn measured<T>(run: impl FnOnce() -> T) -> (T, usize, usize) {
    let (before, total) = (NOW.load(Ordering::Relaxed), TOTAL.load(Ordering::Relaxed));
    PEAK.store(before, Ordering::Relaxed);
    let result = run();
    (result, PEAK.load(Ordering::Relaxed) - before, TOTAL.load(Ordering::Relaxed) - total)
}

#[test]
fn a_large_bundle_is_used_in_place() {
    let _alone = ALONE.lock();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.fid");
    let layouts = [TritLayout::Compute, TritLayout::Interchange, TritLayout::Storage];
    let names: Vec<String> = (0..72).map(|n| format!("model.layers.{n}.mlp.gate_proj.weight")).collect();
    let mut specs: Vec<Spec> =
        names.iter().enumerate().map(|(n, name)| Spec::trits(name, layouts[n % 3], 2048, 2050)).collect();
    specs.push(Spec::tensor("model.embeddings.weight", DType::BF16, &[4096, 512]));
    let values: Vec<i8> = (0..2048 * 2050).map(|i: usize| (i * i % 3) as i8 - 1).collect();
    let mut writer = BundleWriter::new(BufWriter::new(File::create(&path).unwrap()), &specs).unwrap();
    for (n, name) in names.iter().enumerate() {
        let packed = trits::encode(layouts[n % 3], 2048, 2050, &values).unwrap();
        writer.trits(name, 1.0, &packed).unwrap();
    }
    writer.section("model.embeddings.weight", &vec![0x3F; 4096 * 512 * 2]).unwrap();
    writer.finish().unwrap().into_inner().unwrap();
    let size = std::fs::metadata(&path).unwrap().len() as usize;
    assert!(size >= 64 << 20, "{size}");
    let start = Instant::now();
    let (bundle, peak, total) = measured(|| Bundle::open(&path).unwrap());
    println!("{size} bytes opened in {:?}; heap: {peak} at once, {total} in all", start.elapsed());
    assert!(total < size / 100, "{total} of {size}");
    let (view, _, total) = measured(|| bundle.tensor(&names[5]).unwrap());
    assert_eq!(total, 0);
    assert_eq!(trits::decode(view.layout.unwrap(), 2048, 2050, view.bytes).unwrap(), values);
}

/// A file that claims more sections than it has, or has very many, costs no more than a small multiple of itself.
#[test]
fn hostile_tables_cost_little() {
    let _alone = ALONE.lock();
    // The densest table there is: entries of 40 bytes for sections of nothing.
    let specs: Vec<Spec> = (0..40_000).map(|n| Spec::bytes(format!("{n:x}"), 0)).collect();
    let mut writer = BundleWriter::new(Vec::new(), &specs).unwrap();
    for spec in &specs {
        writer.section(&spec.name, b"").unwrap();
    }
    let good = writer.finish().unwrap();
    let (opened, peak, _) = measured(|| Bundle::from_bytes(&good));
    assert_eq!(opened.unwrap().entries().len(), 40_000);
    assert!(peak < 12 * good.len(), "{peak} for {}", good.len());
    for sections in [40_001_u32, 1 << 20, u32::MAX] {
        let mut bytes = good.clone();
        bytes[40..44].copy_from_slice(&sections.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        let (opened, peak, _) = measured(|| Bundle::from_bytes(&bytes));
        assert!(opened.is_err() && peak < 12 * good.len(), "{sections}: {peak}");
    }
}
