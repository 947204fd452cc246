use std::fs;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;

fn options(dir: &Path, resume_at: Option<u64>) -> MetricsOptions {
    MetricsOptions {
        dir: dir.into(),
        steps: 10,
        log_every: 1,
        tensorboard: true,
        progress: false,
        resume_at,
        page: None,
    }
}

fn point(step: u64) -> TrainPoint {
    let loss = f64::from(0.1f32 + step as f32);
    let elapsed = 0.05 * (step + 1) as f64;
    TrainPoint {
        step,
        loss,
        grad_norm: 1.5,
        lr: 1e-3,
        weight_decay: 0.0,
        tokens: 512,
        seconds: 0.05,
        elapsed,
    }
}

fn lines(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_resumed_run_has_each_step_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::open(options(dir.path(), None)).unwrap();
    metrics.event("run", 0, json!({"parameters": 3})).unwrap();
    for step in 0..6 {
        if step % 2 == 0 {
            let v = ValidationPoint { step, loss: 2.0, bytes_per_token: 1.0, best: true };
            metrics.validation(&v).unwrap();
        }
        metrics.train(&point(step)).unwrap();
    }
    drop(metrics);
    // Killed in the middle of a line, one that even happens to be JSON.
    let mut file = fs::File::options().append(true).open(dir.path().join("metrics.jsonl")).unwrap();
    file.write_all(b"{\"kind\":\"train\",\"step\":1}").unwrap();
    drop(file);

    let mut metrics = Metrics::open(options(dir.path(), Some(4))).unwrap();
    assert_eq!(metrics.train_curve().len(), 4);
    assert_eq!(metrics.validation_curve(), [(0.0, 2.0), (2.0, 2.0)]);
    for step in 4..10 {
        metrics.train(&point(step)).unwrap();
    }
    metrics.sample(10, "a \"text\"\n").unwrap();
    metrics.finish(None).unwrap();
    let all = lines(dir.path());
    let steps: Vec<u64> =
        all.iter().filter(|l| l["kind"] == "train").map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (0..10).collect::<Vec<_>>());
    assert_eq!(all.iter().filter(|l| l["kind"] == "run").count(), 1);
    assert_eq!(all.last().unwrap()["text"], "a \"text\"\n");
    let loss = all.iter().find(|l| l["kind"] == "train" && l["step"] == 3).unwrap()["loss"].as_f64().unwrap();
    assert_eq!((loss as f32).to_bits(), 3.1f32.to_bits(), "a loss survives bit for bit");
    assert!(fs::read_to_string(metrics.curve_path()).unwrap().contains("validation"));

    drop(Metrics::open(options(dir.path(), None)).unwrap());
    assert!(lines(dir.path()).is_empty(), "a new run begins a new file");
}

#[test]
fn log_every_thins_the_lines_and_keeps_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::open(MetricsOptions { log_every: 4, ..options(dir.path(), None) }).unwrap();
    (0..10).for_each(|step| metrics.train(&point(step)).unwrap());
    let steps: Vec<u64> = lines(dir.path()).iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 4, 8, 9]);
}

#[test]
fn bits_per_byte() {
    let v =
        ValidationPoint { step: 0, loss: 4.0 * std::f64::consts::LN_2, bytes_per_token: 4.0, best: false };
    assert!((v.bits_per_byte() - 1.0).abs() < 1e-15);
}

/// A bitwise crc32c, independent of the crate that the writer uses.
fn crc32c_by_hand(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 },
        )
    })
}

/// Reads protocol buffers without knowing the messages: (field, bytes of the value).
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                out.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("coding {other}"),
        };
        out.push((key >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    out
}

fn records(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut out = Vec::new();
    let masked = |bytes: &[u8]| {
        let crc = crc32c_by_hand(bytes);
        crc.rotate_left(17).wrapping_add(0xa282_ead8).to_le_bytes()
    };
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(rest[8..12], masked(&rest[..8]));
        let data = &rest[12..12 + length];
        assert_eq!(rest[12 + length..16 + length], masked(data));
        out.push(data.to_vec());
        rest = &rest[16 + length..];
    }
    out
}

fn u64_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

#[test]
fn event_files_parse_back() {
    assert_eq!(crc32c_by_hand(b"123456789"), 0xe306_9283, "the published check value");
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(dir.path(), None).unwrap();
    writer.scalars(300, &[("train/loss", 2.25), ("train/lr", 1e-3)]).unwrap();
    let all = records(writer.path());
    assert_eq!(all.len(), 3);
    let first = fields(&all[0]);
    assert_eq!(first.iter().find(|f| f.0 == 3).unwrap().1, b"brain.Event:2");
    let second = fields(&all[2]);
    let wall = f64::from_le_bytes(second[0].1.as_slice().try_into().unwrap());
    assert!(second[0].0 == 1 && wall > 1.5e9);
    assert_eq!((second[1].0, u64_of(&second[1].1)), (2, 300));
    let values: Vec<(String, f32)> = fields(&second[2].1)
        .into_iter()
        .map(|(field, entry)| {
            assert_eq!(field, 1);
            let entry = fields(&entry);
            assert_eq!((entry[0].0, entry[1].0), (1, 2));
            let value = f32::from_le_bytes(entry[1].1.as_slice().try_into().unwrap());
            (String::from_utf8(entry[0].1.clone()).unwrap(), value)
        })
        .collect();
    assert_eq!(values, [("train/loss".to_owned(), 2.25), ("train/lr".to_owned(), 1e-3)]);

    let resumed = EventWriter::create(dir.path(), Some(120)).unwrap();
    assert_ne!(resumed.path(), writer.path());
    assert!(resumed.path().file_name().unwrap().to_str().unwrap().contains("tfevents"));
    let start = fields(&records(resumed.path())[1]);
    assert_eq!(u64_of(&start[1].1), 120);
    assert_eq!((start[2].0, fields(&start[2].1)), (7, vec![(1, 1u64.to_le_bytes().to_vec())]));
}

#[test]
fn histograms_parse_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(dir.path(), None).unwrap();
    writer.histograms(9, &[-0.5, 0.0], 0.5, [("a", &[3u64, 1][..])].into_iter()).unwrap();
    let event = fields(&records(writer.path())[2]);
    let value = fields(&fields(&event[2].1)[0].1);
    assert_eq!((value[0].1.as_slice(), value[1].0), (&b"a"[..], 5));
    let numbers: Vec<(u64, Vec<f64>)> = fields(&value[1].1)
        .into_iter()
        .map(|(field, bytes)| {
            let list = bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()));
            (field, list.collect())
        })
        .collect();
    // min, max, number, sum, sum of squares, upper edges, counts.
    let expected = [vec![-0.5], vec![0.5], vec![4.0], vec![-0.5], vec![0.25], vec![0.0, 0.5], vec![3.0, 1.0]];
    for ((field, found), (i, expected)) in numbers.iter().zip(expected.iter().enumerate()) {
        assert_eq!((*field, found), (i as u64 + 1, expected));
    }
    assert_eq!(numbers.len(), 7);
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn progress_lines_say_loss_pace_and_time_left() {
    let out = Shared::default();
    let mut progress = Progress::lines(Box::new(out.clone()), 3, Duration::from_secs(3600));
    for step in 0..3 {
        progress.step(&TrainPoint { seconds: 100.0, ..point(step) });
    }
    progress.say("done");
    let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "step 1/3  loss 0.1000  lr 1.00e-3  5 tokens/s  3:20 left",
            "step 3/3  loss 2.1000  lr 1.00e-3  5 tokens/s  0:00 left",
            "done"
        ],
        "the first, the last, and none in the hour between"
    );
}
