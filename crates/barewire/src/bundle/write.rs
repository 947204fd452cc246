//! Writing a bundle from first byte to last, without going back and without holding it in memory.
//!
//! What a bundle will hold is declared first; that fixes every place in it, so the header can be written at once. What
//! is known only later, checksums and scales, is in the table, which comes last.

use std::collections::BTreeSet;
use std::io::{self, Write};

use axes::{DType, TritLayout};

use super::format::{
    Content, Entry, Header, MAX_NAME, MAX_RANK, entry_length, is_name, places, table_length, write_header,
    write_table,
};
use crate::error::{Result, WireError};
use crate::trits;

/// What a section will be: its name and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

impl Spec {
    /// A section of bytes.
    pub fn bytes(name: impl Into<String>, length: usize) -> Self {
        Self { name: name.into(), content: Content::Bytes { length: length as u64 } }
    }

    /// A section of numbers.
    pub fn tensor(name: impl Into<String>, dtype: DType, shape: &[usize]) -> Self {
        Self { name: name.into(), content: Content::Tensor { dtype, shape: shape.to_vec() } }
    }

    /// A section of packed trits with a scale.
    pub fn trits(name: impl Into<String>, layout: TritLayout, rows: usize, columns: usize) -> Self {
        Self { name: name.into(), content: Content::Trits { layout, shape: [rows, columns] } }
    }
}

/// Writes the sections of a bundle in the order in which they were declared.
///
/// See the crate's page for an example. A writer that is dropped before [`finish`](Self::finish) leaves a file that no
/// reader accepts.
#[derive(Debug)]
pub struct BundleWriter<W: Write> {
    out: W,
    entries: Vec<Entry>,
    next: usize,
    position: u64,
    table: u64,
}

impl<W: Write> BundleWriter<W> {
    /// Declares all sections and writes the header.
    ///
    /// # Errors
    /// [`WireError::Write`] for a name that is given twice, empty or too long, for sizes of 0 and for too many of them;
    /// [`WireError::Output`] if `out` fails.
    pub fn new(mut out: W, specs: &[Spec]) -> Result<Self> {
        let mut names = BTreeSet::new();
        for Spec { name, content } in specs {
            let fault = |expected: &str, found: String, remedy| {
                Err(WireError::Write {
                    part: format!("section `{name}`"),
                    expected: expected.into(),
                    found,
                    remedy,
                })
            };
            if !is_name(name) {
                let expected = format!("a name of 1 to {MAX_NAME} bytes without control characters");
                return fault(&expected, format!("{} bytes", name.len()), "rename the section");
            }
            if !names.insert(name) {
                return fault("a name that is given once", "it twice".into(), "rename one of the two");
            }
            if content.length().is_none() {
                let expected =
                    format!("at most {MAX_RANK} sizes, each at least 1, that fit the address space");
                return fault(
                    &expected,
                    format!("{:?}", content.shape()),
                    "correct the sizes, or leave the section out",
                );
            }
        }
        let counted = places(specs.iter().map(|spec| &spec.content));
        let length =
            table_length(specs.iter().map(|s| entry_length(&s.name, s.content.shape().len()))) as u64;
        let whole = counted.and_then(|(list, table)| Some((list, table, table.checked_add(length)?)));
        let (Some((list, table, file)), Ok(sections)) = (whole, u32::try_from(specs.len())) else {
            let (part, found) = ("sections".into(), specs.len().to_string());
            let expected = "a file of fewer than 2^64 bytes and 2^32 sections".into();
            return Err(WireError::Write { part, expected, found, remedy: "write several bundles" });
        };
        out.write_all(&write_header(&Header { file, table, table_length: length, sections }))?;
        let entries = specs.iter().zip(list).map(|(spec, (offset, length))| Entry {
            name: spec.name.clone(),
            content: spec.content.clone(),
            scale: None,
            offset,
            length,
            checksum: 0,
        });
        Ok(Self { out, entries: entries.collect(), next: 0, position: super::format::HEADER as u64, table })
    }

    /// Writes the next section, numbers or bytes, from memory.
    ///
    /// # Errors
    /// [`WireError::Write`] if it is not the next declared section or has another length; [`WireError::Output`].
    pub fn section(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.section_with(name, |out| out.write_all(bytes))
    }

    /// Writes the next section, numbers or bytes, through `fill`.
    ///
    /// # Errors
    /// As [`section`](Self::section), and [`WireError::Output`] with what `fill` returns.
    pub fn section_with(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        self.put(name, None, fill)
    }

    /// Writes the next section, a matrix of packed trits, from memory.
    ///
    /// # Errors
    /// As [`section`](Self::section); [`WireError::Trits`] for bytes that are not that matrix.
    pub fn trits(&mut self, name: &str, scale: f32, packed: &[u8]) -> Result<()> {
        self.expect(name, Some(scale))?;
        if let Content::Trits { layout, shape: [rows, columns] } = self.entries[self.next].content {
            trits::check(layout, rows, columns, packed)?;
        }
        self.put(name, Some(scale), |out| out.write_all(packed))
    }

    /// Writes the next section, a matrix of packed trits, through `fill`, whose bytes are not looked at:
    /// [`trits::encode_to`] and [`trits::convert`] write what a reader accepts.
    ///
    /// # Errors
    /// As [`section_with`](Self::section_with).
    pub fn trits_with(
        &mut self,
        name: &str,
        scale: f32,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        self.put(name, Some(scale), fill)
    }

    /// Refuses a section that is not the next, or is of another kind.
    fn expect(&self, name: &str, scale: Option<f32>) -> Result<()> {
        let fault = |expected: String, found: String, remedy| {
            Err(WireError::Write { part: format!("section `{name}`"), expected, found, remedy })
        };
        let Some(entry) = self.entries.get(self.next).filter(|entry| entry.name == name) else {
            let expected = match self.entries.get(self.next) {
                Some(entry) => format!("`{}`, which was declared to be next", entry.name),
                None => "no more sections".into(),
            };
            return fault(
                expected,
                format!("`{name}`"),
                "write the sections in the order of the declaration",
            );
        };
        match (&entry.content, scale) {
            (Content::Trits { .. }, Some(scale)) if !(scale.is_finite() && scale > 0.0) => fault(
                "a positive finite scale".into(),
                scale.to_string(),
                "check the weights for infinities and NaN",
            ),
            (Content::Trits { .. }, Some(_)) => Ok(()),
            (Content::Trits { .. }, None) => {
                fault("trits with a scale".into(), "none".into(), "write it with `trits`")
            }
            (_, Some(_)) => fault("no scale".into(), "one".into(), "write it with `section`"),
            _ => Ok(()),
        }
    }

    fn put(
        &mut self,
        name: &str,
        scale: Option<f32>,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        self.expect(name, scale)?;
        let (offset, length) = (self.entries[self.next].offset, self.entries[self.next].length);
        self.pad(offset)?;
        let mut counter =
            Counter { out: &mut self.out, left: length, over: false, checksum: crc32c::crc32c(&[]) };
        let filled = fill(&mut counter);
        let Counter { left, over, checksum, .. } = counter;
        if over || (filled.is_ok() && left > 0) {
            let found = if over { "more".into() } else { format!("{}", length - left) };
            let (part, expected) = (format!("section `{name}`"), format!("{length} bytes"));
            return Err(WireError::Write { part, expected, found, remedy: "write what was declared" });
        }
        filled?;
        self.position = offset + length;
        let entry = &mut self.entries[self.next];
        (entry.scale, entry.checksum) = (scale, checksum);
        self.next += 1;
        Ok(())
    }

    fn pad(&mut self, to: u64) -> Result<()> {
        const ZEROS: [u8; 512] = [0; 512];
        // Less than the largest alignment.
        self.out.write_all(&ZEROS[..(to - self.position) as usize])?;
        self.position = to;
        Ok(())
    }

    /// Writes the table and returns what was written to, which is not flushed.
    ///
    /// # Errors
    /// [`WireError::Write`] if a declared section was not written; [`WireError::Output`].
    pub fn finish(mut self) -> Result<W> {
        if let Some(entry) = self.entries.get(self.next) {
            return Err(WireError::Write {
                part: format!("section `{}`", entry.name),
                expected: "its bytes".into(),
                found: "the end".into(),
                remedy: "write every section that was declared",
            });
        }
        self.pad(self.table)?;
        self.out.write_all(&write_table(&self.entries))?;
        Ok(self.out)
    }
}

/// Passes on what fits the section, and sums it up.
struct Counter<'a, W> {
    out: &'a mut W,
    left: u64,
    over: bool,
    checksum: u32,
}

impl<W: Write> Write for Counter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            self.over = true;
            return Err(io::Error::other("the section is longer than declared"));
        }
        let count = self.out.write(bytes)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &bytes[..count]);
        self.left -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
