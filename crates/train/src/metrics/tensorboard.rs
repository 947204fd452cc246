//! TensorBoard event files.
//!
//! A file is a TFRecord sequence: length u64, masked crc32c of the length, data, masked crc32c of the data. The
//! data are `tensorflow.Event` messages of protocol buffers, of which the few fields that scalars and histograms need
//! are written by hand; the format is frozen, and a code generator would be a larger dependency than this file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::checkpoint::create_folder;
use crate::error::{Result, TrainError};

/// Writes one event file.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Begins a file in a folder (made if need be). It says at which step it begins, on which TensorBoard
    /// forgets what earlier files of the folder have for that step and later ones.
    pub fn create(dir: &Path, resume_at: Option<u64>) -> Result<Self> {
        create_folder(dir)?;
        let seconds = now() as u64;
        let process = std::process::id();
        let mut number = 0;
        // TensorBoard reads the files of a folder by name, so the time comes first; a second writer within the
        // same second gets the next number.
        let (path, file) = loop {
            let path = dir.join(format!("events.out.tfevents.{seconds:010}.fidelity.{process}.{number}"));
            match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(source) => return Err(TrainError::write(&path, source)),
            }
        };
        let mut writer = EventWriter { path, file };
        writer.event(0, |message| bytes_field(message, FILE_VERSION, b"brain.Event:2"))?;
        let mut start = Vec::new();
        varint_field(&mut start, 1, 1); // SessionLog.status = START
        writer.event(resume_at.unwrap_or(0), |message| bytes_field(message, SESSION_LOG, &start))?;
        Ok(writer)
    }

    /// Appends one event with these scalars.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, tag.as_bytes()); // Summary.Value.tag
            key(&mut entry, 2, 5); // Summary.Value.simple_value
            entry.extend_from_slice(&(*value as f32).to_le_bytes());
            bytes_field(&mut summary, 1, &entry); // Summary.value
        }
        self.event(step, |message| bytes_field(message, SUMMARY, &summary))
    }

    /// Appends one event with histograms over common bins: their lower edges and their width.
    pub fn histograms<'a>(
        &mut self,
        step: u64,
        edges: &[f64],
        width: f64,
        values: impl Iterator<Item = (&'a str, &'a [u64])>,
    ) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, counts) in values {
            let middle = |i: usize| edges[i] + width / 2.0;
            let total: u64 = counts.iter().sum();
            let moment =
                |power: i32| counts.iter().enumerate().map(|(i, n)| *n as f64 * middle(i).powi(power)).sum();
            let mut histogram = Vec::new();
            // HistogramProto: min, max, num, sum, sum_squares, then packed upper edges and counts.
            let (first, last) = (edges.first().copied(), edges.last().map(|e| e + width));
            let numbers = [first.unwrap_or(0.0), last.unwrap_or(0.0), total as f64, moment(1), moment(2)];
            for (field, number) in (1..).zip(numbers) {
                key(&mut histogram, field, 1);
                histogram.extend_from_slice(&f64::to_le_bytes(number));
            }
            let packed =
                |numbers: &mut dyn Iterator<Item = f64>| numbers.flat_map(f64::to_le_bytes).collect();
            let limits: Vec<u8> = packed(&mut edges.iter().map(|e| e + width));
            let buckets: Vec<u8> = packed(&mut counts.iter().map(|n| *n as f64));
            bytes_field(&mut histogram, 6, &limits);
            bytes_field(&mut histogram, 7, &buckets);
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, tag.as_bytes()); // Summary.Value.tag
            bytes_field(&mut entry, 5, &histogram); // Summary.Value.histo
            bytes_field(&mut summary, 1, &entry);
        }
        self.event(step, |message| bytes_field(message, SUMMARY, &summary))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn event(&mut self, step: u64, content: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut message = Vec::new();
        key(&mut message, 1, 1); // Event.wall_time
        message.extend_from_slice(&now().to_le_bytes());
        varint_field(&mut message, 2, step); // Event.step
        content(&mut message);
        self.file.write_all(&frame(&message)).map_err(|source| TrainError::write(&self.path, source))
    }
}

const FILE_VERSION: u64 = 3;
const SUMMARY: u64 = 5;
const SESSION_LOG: u64 = 7;

/// One TFRecord.
fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc32c(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked_crc32c(data).to_le_bytes());
    record
}

/// crc32c, rotated and offset as TFRecord wants it, so that a checksum of data that hold checksums stays good.
///
/// ```
/// assert_eq!(train::metrics::masked_crc32c(b""), 0xa282_ead8);
/// ```
pub fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field's number and how its value is coded: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
fn key(out: &mut Vec<u8>, field: u64, coding: u64) {
    varint(out, field << 3 | coding);
}

fn varint_field(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, 0);
    varint(out, value);
}

fn bytes_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    key(out, field, 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
