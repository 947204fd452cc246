use std::fs;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::data::SamplerState;
use crate::error::TrainError;
use crate::random::Rng;

fn tensors(seed: f32) -> Vec<NamedTensor> {
    vec![
        (
            "param.embed".into(),
            vec![3, 2],
            vec![seed, -0.0, f32::MIN_POSITIVE / 8.0, f32::MAX, 1.0 / 3.0, -7.5],
        ),
        ("adam_m.embed".into(), vec![3, 2], vec![0.0; 6]),
        ("param.norm".into(), vec![], vec![2.5]),
        ("empty".into(), vec![0, 4], vec![]),
    ]
}

fn refs(tensors: &[NamedTensor]) -> Vec<TensorRef<'_>> {
    tensors.iter().map(TensorRef::from).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_checkpoint_comes_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ckpt");
    let state = json!({"rng": u64::MAX, "loss": 0.1, "text": "ü \"quoted\"", "list": [1, null]});
    let mut written = tensors(0.1);
    written[0].2[5] = f32::from_bits(0x7fc0_1234); // a NaN with a payload
    let packed: [(String, &[u8]); 2] = [("trits.b".into(), &[7, 255, 0]), ("trits.a".into(), &[])];
    write_checkpoint(&path, 400, &refs(&written), &packed, &state).unwrap();
    let read = read_checkpoint(&path).unwrap();
    assert_eq!((read.step, &read.state), (400, &state));
    let bits = |list: &[NamedTensor]| -> Vec<(String, Vec<usize>, Vec<u32>)> {
        let mut list: Vec<_> = list
            .iter()
            .map(|(n, s, d)| (n.clone(), s.clone(), d.iter().map(|x| x.to_bits()).collect::<Vec<_>>()))
            .collect();
        list.sort();
        list
    };
    assert_eq!(bits(&read.tensors), bits(&written));
    let mut bytes = read.bytes.clone();
    bytes.sort();
    assert_eq!(bytes, [("trits.a".to_owned(), vec![]), ("trits.b".to_owned(), vec![7, 255, 0])]);

    let again = dir.path().join("b.ckpt");
    write_checkpoint(&again, 400, &refs(&written), &packed, &state).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&again).unwrap(), "equal runs write equal files");
    // The published layout: header length, then JSON, then data that start at a multiple of eight.
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    assert!(serde_json::from_slice::<Value>(&bytes[8..8 + length]).is_ok());
}

#[test]
fn take_checks_name_and_shape() {
    let mut checkpoint = Checkpoint { step: 1, tensors: tensors(1.0), bytes: vec![], state: Value::Null };
    let message = checkpoint.take("param.embed", &[2, 3]).unwrap_err().to_string();
    assert!(message.contains("[3, 2]") && message.contains("expected [2, 3]"), "{message}");
    assert!(checkpoint.take("absent", &[1]).unwrap_err().to_string().contains("no tensor `absent`"));
    assert_eq!(checkpoint.take("param.norm", &[]).unwrap(), [2.5]);
    assert!(checkpoint.take("param.norm", &[]).is_err());
}

#[test]
fn values_that_do_not_fill_their_shape_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ckpt");
    let short = TensorRef { name: "w", shape: &[3], data: &[1.0] };
    let w = TensorRef { name: "w", shape: &[1], data: &[1.0] };
    let packed: [(String, &[u8]); 1] = [("w".into(), &[1])];
    for (tensors, bytes) in [(&[short][..], &[][..]), (&[w, w], &[]), (&[w], &packed)] {
        let refused = write_checkpoint(&path, 1, tensors, bytes, &Value::Null);
        assert!(matches!(refused, Err(TrainError::Mismatch { .. })));
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn the_last_k_and_the_best_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".step-000007.ckpt.1.partial"), b"half").unwrap();
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    assert!(names(dir.path()).is_empty(), "what a killed process left is cleared away");
    let t = tensors(1.0);
    for step in [50, 100, 150, 200] {
        store.save(step, &refs(&t), &[], &json!({ "step": step })).unwrap();
        if step == 50 {
            store.save_best(step, &refs(&t), &Value::Null).unwrap();
        }
    }
    assert_eq!(names(dir.path()), ["best.ckpt", "step-000150.ckpt", "step-000200.ckpt"]);
    assert_eq!(store.latest().unwrap().checkpoint.step, 200);
    assert_eq!(store.best().unwrap().unwrap().step, 50);
    assert_eq!(store.clear().unwrap(), 3);
    let message = store.latest().unwrap_err().to_string();
    assert!(message.contains("no usable checkpoint") && message.contains("--resume"), "{message}");
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 3).unwrap();
    let t = tensors(1.0);
    for step in [1, 2, 3] {
        store.save(step, &refs(&t), &[], &Value::Null).unwrap();
    }
    let whole = fs::read(store.path(3)).unwrap();
    fs::write(store.path(3), &whole[..whole.len() - 5]).unwrap();
    let mut flipped = fs::read(store.path(2)).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(store.path(2), flipped).unwrap();
    let restored = store.latest().unwrap();
    assert_eq!(restored.checkpoint.step, 1);
    assert_eq!(restored.notes.len(), 2);
    assert!(restored.notes[0].contains("step-000003.ckpt"), "{:?}", restored.notes);
    assert!(restored.notes[1].contains("checksum"), "{:?}", restored.notes);
    // A good file under another step's name would restart the schedule at the wrong place.
    fs::copy(store.path(1), store.path(9)).unwrap();
    assert_eq!(store.latest().unwrap().checkpoint.step, 1);
    fs::write(store.path(1), b"").unwrap();
    fs::remove_file(store.path(9)).unwrap();
    assert!(matches!(store.latest(), Err(TrainError::NoCheckpoint { .. })));
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_temporary() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    atomic_write(&path, |out| out.write_all(b"old")).unwrap();
    let error = atomic_write(&path, |out| {
        out.write_all(&[0; 1 << 21])?;
        Err(std::io::ErrorKind::StorageFull.into())
    })
    .unwrap_err();
    assert!(error.is_full_disk());
    let message = error.to_string();
    assert!(
        message.contains("the disk is full") && message.contains("previous checkpoint is intact"),
        "{message}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["f"]);
    let nowhere = atomic_write(&dir.path().join("no/such/f"), |_| Ok(())).unwrap_err();
    assert!(nowhere.to_string().contains("cannot write"), "{nowhere}");
}

/// The device that is always full gives the system's own ENOSPC.
#[cfg(target_os = "linux")]
#[test]
fn the_systems_full_disk_error_is_recognised() {
    let mut full = fs::File::options().write(true).open("/dev/full").unwrap();
    let error = full.write_all(b"x").unwrap_err();
    assert!(TrainError::write(Path::new("x.ckpt"), error).is_full_disk());
}

/// Runs this test binary again under a file-size limit, where a checkpoint of 400 kB cannot be written.
#[cfg(target_os = "linux")]
#[test]
fn a_reached_limit_keeps_the_previous_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 1).unwrap();
    store.save(1, &refs(&tensors(1.0)), &[], &Value::Null).unwrap();
    let binary = std::env::current_exe().unwrap();
    let output = std::process::Command::new("bash")
        // The signal's default is to kill; ignored, the write fails with EFBIG.
        .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" --exact \"$1\" --ignored --nocapture"])
        .arg(binary)
        .arg("checkpoint::tests::write_under_a_limit")
        .env("FIDELITY_TEST_DIR", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("ulimit -f"), "{text}");
    assert_eq!(names(dir.path()), ["step-000001.ckpt"]);
    assert_eq!(store.latest().unwrap().checkpoint.step, 1);
}

#[test]
#[ignore = "run by a_reached_limit_keeps_the_previous_checkpoint, in a process with a file-size limit"]
fn write_under_a_limit() {
    let Some(dir) = std::env::var_os("FIDELITY_TEST_DIR") else { return };
    let store = CheckpointStore::open(dir, 1).unwrap();
    let large = vec![("w".to_owned(), vec![100_000], vec![1.0f32; 100_000])];
    let error = store.save(2, &refs(&large), &[], &Value::Null).unwrap_err();
    assert!(error.is_full_disk(), "{error:?}");
    println!("{error}");
}

#[test]
fn a_folder_is_locked_for_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let first = FolderLock::acquire(&dir.path().join("run")).unwrap();
    let second = FolderLock::acquire(&dir.path().join("run"));
    assert!(matches!(&second, Err(TrainError::Locked { .. })), "{second:?}");
    drop(first);
    FolderLock::acquire(&dir.path().join("run")).unwrap();
}

#[test]
fn run_state_survives_json() {
    let mut early = EarlyStopping::new(3, 0.01);
    assert_eq!(early.observe(0, f64::NAN), Verdict::Worse);
    assert_eq!(early.best, None);
    assert_eq!(early.observe(50, 2.0), Verdict::Best);
    assert_eq!(early.observe(100, 1.995), Verdict::Worse, "an improvement below min_delta does not count");
    let state = RunState {
        step: 100,
        tokens: 1 << 40,
        seconds: 0.1 + 0.2,
        sampler: SamplerState::RandomWindows { random: u64::MAX - 1, drawn: 800, data: 7 },
        rng: Rng::new(3),
        early_stopping: early,
        config_hash: "abc".into(),
        config: "a = 1\n".into(),
        extra: json!({"x": [1.5]}),
    };
    let text = state.to_value().to_string();
    let back = RunState::from_value(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(back, state);
    assert!(RunState::from_value(&json!({"step": 1})).unwrap_err().to_string().contains("missing field"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_flipped_byte_is_noticed(at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ckpt");
        let packed: [(String, &[u8]); 1] = [("trits".into(), &[1, 2, 3])];
        write_checkpoint(&path, 7, &refs(&tensors(0.5)), &packed, &json!({"a": 1})).unwrap();
        let whole = read_checkpoint(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        // White space in the header's padding may change without changing anything that is read.
        if let Ok(read) = read_checkpoint(&path) {
            prop_assert_eq!(read, whole);
        }
    }
}
