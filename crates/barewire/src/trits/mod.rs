//! Matrices of trits in the layouts of [`TritLayout`]: encoding, decoding, conversion, checking, counting.
//!
//! The layouts are specified in [`axes::TritLayout`]'s page. The code here works on whole bytes, one group of rows at
//! a time (`rows.rs`); the plain loops that say the same trit by trit are [`PackedTrits::get`] and the tests', and
//! property tests hold the two to each other. A matrix is (rows, columns), row-major as `i8`.
//!
//! Every matrix has exactly one encoding: padding trits are 0 (which the compute layout and the storage layout write
//! as code 1, since their code is t + 1), and [`check()`] refuses all else.

pub(crate) mod check;
mod packed;
mod rows;

use std::io::{self, Write};

use axes::TritLayout;

pub use self::packed::PackedTrits;
use crate::error::{Result, WireError};

/// Sizes whose product was checked, with the layout they are in.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    pub(crate) layout: TritLayout,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Form {
    /// The form, if its sizes are at least 1 and both its trits and its bytes can be counted.
    pub(crate) fn new(layout: TritLayout, rows: usize, columns: usize) -> Result<Self> {
        let form = Self { layout, rows, columns };
        if rows == 0 || columns == 0 {
            return Err(form.fault(
                "sizes",
                "at least one row and one column",
                "none",
                "leave the matrix out",
            ));
        }
        if rows.checked_mul(columns).is_none() || layout.bytes(rows, columns).is_none() {
            return Err(form.fault(
                "sizes",
                "a matrix that fits the address space",
                "a larger one",
                "cut it",
            ));
        }
        Ok(form)
    }

    /// Bytes of the packed matrix.
    pub(crate) fn bytes(self) -> usize {
        self.rows * self.layout.row_bytes(self.columns)
    }

    fn trits(self) -> usize {
        self.rows * self.columns
    }

    fn fault(
        self,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: &'static str,
    ) -> WireError {
        let Self { layout, rows, columns } = self;
        let (what, expected, found) = (what.into(), expected.into(), found.into());
        WireError::Trits { layout: layout.name(), rows, columns, what, expected, found, remedy }
    }

    fn expect(self, what: &str, unit: &str, expected: usize, found: usize) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        let remedy = "pass the whole matrix, and the sizes that belong to it";
        Err(self.fault(what, format!("{expected} {unit}"), found.to_string(), remedy))
    }

    /// The groups of rows: first row, number of rows.
    fn groups(self) -> impl Iterator<Item = (usize, usize)> {
        let Self { rows, .. } = self;
        (0..rows).step_by(TritLayout::GROUP).map(move |first| (first, TritLayout::GROUP.min(rows - first)))
    }

    fn check_trits(self, trits: &[i8]) -> Result<()> {
        self.expect("trits", "trits", self.trits(), trits.len())?;
        let Some(at) = check::illegal_trit(trits) else { return Ok(()) };
        let place = format!("row {}, column {}", at / self.columns, at % self.columns);
        Err(self.fault(place, "-1, 0 or 1", trits[at].to_string(), "quantise the weights first"))
    }

    fn check_bytes(self, bytes: &[u8]) -> Result<()> {
        self.expect("packed bytes", "bytes", self.bytes(), bytes.len())?;
        let Some(fault) = check::first_fault(self, bytes) else { return Ok(()) };
        Err(self.fault(
            fault.place,
            fault.expected,
            fault.found,
            "the bytes are damaged: pack the matrix again",
        ))
    }
}

/// Packs a row-major matrix of trits.
///
/// # Errors
/// [`WireError::Trits`] for a number of trits other than rows × columns, for sizes of 0, and for a value other than
/// −1, 0 and 1.
///
/// ```
/// use axes::TritLayout;
/// use barewire::trits;
/// let packed = trits::encode(TritLayout::Interchange, 1, 5, &[1, -1, 0, 0, 1])?;
/// assert_eq!(packed, [0b00_00_01_10, 0b00_00_00_10]);
/// # Ok::<(), barewire::WireError>(())
/// ```
pub fn encode(layout: TritLayout, rows: usize, columns: usize, trits: &[i8]) -> Result<Vec<u8>> {
    let form = Form::new(layout, rows, columns)?;
    form.check_trits(trits)?;
    let mut bytes = vec![0; form.bytes()];
    encode_checked(form, trits, &mut bytes);
    Ok(bytes)
}

/// [`encode`] into given memory of [`TritLayout::bytes`] bytes.
///
/// # Errors
/// As [`encode`], and for memory of another length.
pub fn encode_into(
    layout: TritLayout,
    rows: usize,
    columns: usize,
    trits: &[i8],
    bytes: &mut [u8],
) -> Result<()> {
    let form = Form::new(layout, rows, columns)?;
    form.check_trits(trits)?;
    form.expect("packed bytes", "bytes", form.bytes(), bytes.len())?;
    encode_checked(form, trits, bytes);
    Ok(())
}

fn encode_checked(form: Form, trits: &[i8], bytes: &mut [u8]) {
    let row_bytes = form.layout.row_bytes(form.columns);
    for (first, count) in form.groups() {
        let trits = &trits[first * form.columns..][..count * form.columns];
        rows::encode(form.layout, form.columns, trits, &mut bytes[first * row_bytes..][..count * row_bytes]);
    }
}

/// [`encode`] into a writer, a group of rows at a time.
///
/// # Errors
/// As [`encode`]; [`WireError::Output`] if the writer fails.
pub fn encode_to(
    layout: TritLayout,
    rows: usize,
    columns: usize,
    trits: &[i8],
    out: &mut dyn Write,
) -> Result<()> {
    let form = Form::new(layout, rows, columns)?;
    form.check_trits(trits)?;
    let mut packed = vec![0; layout.row_bytes(columns) * TritLayout::GROUP.min(rows)];
    for (first, count) in form.groups() {
        let packed = &mut packed[..count * layout.row_bytes(columns)];
        rows::encode(layout, columns, &trits[first * columns..][..count * columns], packed);
        out.write_all(packed)?;
    }
    Ok(())
}

/// Unpacks a matrix into row-major trits.
///
/// # Errors
/// [`WireError::Trits`] for another number of bytes than the sizes need, an illegal code, and padding that is not 0.
pub fn decode(layout: TritLayout, rows: usize, columns: usize, bytes: &[u8]) -> Result<Vec<i8>> {
    let form = Form::new(layout, rows, columns)?;
    form.check_bytes(bytes)?;
    let mut trits = vec![0; form.trits()];
    decode_checked(form, bytes, &mut trits);
    Ok(trits)
}

/// [`decode`] into given memory of rows × columns trits.
///
/// # Errors
/// As [`decode`], and for memory of another length.
pub fn decode_into(
    layout: TritLayout,
    rows: usize,
    columns: usize,
    bytes: &[u8],
    trits: &mut [i8],
) -> Result<()> {
    let form = Form::new(layout, rows, columns)?;
    form.check_bytes(bytes)?;
    form.expect("trits", "trits", form.trits(), trits.len())?;
    decode_checked(form, bytes, trits);
    Ok(())
}

fn decode_checked(form: Form, bytes: &[u8], trits: &mut [i8]) {
    let row_bytes = form.layout.row_bytes(form.columns);
    for (first, count) in form.groups() {
        let bytes = &bytes[first * row_bytes..][..count * row_bytes];
        rows::decode(
            form.layout,
            form.columns,
            bytes,
            &mut trits[first * form.columns..][..count * form.columns],
        );
    }
}

/// Repacks a matrix into another layout, a group of rows at a time: four rows are unpacked at once, never the matrix.
///
/// # Errors
/// As [`decode`]; [`WireError::Output`] if the writer fails.
pub fn convert(
    from: TritLayout,
    to: TritLayout,
    rows: usize,
    columns: usize,
    bytes: &[u8],
    out: &mut dyn Write,
) -> Result<()> {
    let form = Form::new(from, rows, columns)?;
    Form::new(to, rows, columns)?;
    form.check_bytes(bytes)?;
    if from == to {
        return Ok(out.write_all(bytes)?);
    }
    for_each_group(form, bytes, |_, trits| {
        let count = trits.len() / columns;
        let mut packed = vec![0; count * to.row_bytes(columns)];
        rows::encode(to, columns, trits, &mut packed);
        out.write_all(&packed)
    })?;
    Ok(())
}

/// Unpacks a matrix four rows at a time: `take` is called with the first row's number and the trits of up to four rows.
///
/// # Errors
/// As [`decode`]; [`WireError::Output`] with what `take` returns.
pub fn for_each_rows(
    layout: TritLayout,
    rows: usize,
    columns: usize,
    bytes: &[u8],
    take: impl FnMut(usize, &[i8]) -> io::Result<()>,
) -> Result<()> {
    let form = Form::new(layout, rows, columns)?;
    form.check_bytes(bytes)?;
    Ok(for_each_group(form, bytes, take)?)
}

fn for_each_group(
    form: Form,
    bytes: &[u8],
    mut take: impl FnMut(usize, &[i8]) -> io::Result<()>,
) -> io::Result<()> {
    let row_bytes = form.layout.row_bytes(form.columns);
    let mut trits = vec![0; form.columns * TritLayout::GROUP.min(form.rows)];
    for (first, count) in form.groups() {
        let trits = &mut trits[..count * form.columns];
        rows::decode(form.layout, form.columns, &bytes[first * row_bytes..][..count * row_bytes], trits);
        take(first, trits)?;
    }
    Ok(())
}

/// Checks that bytes are a matrix: their number, every code, every padding trit.
///
/// # Errors
/// [`WireError::Trits`] for the first fault.
pub fn check(layout: TritLayout, rows: usize, columns: usize, bytes: &[u8]) -> Result<()> {
    Form::new(layout, rows, columns)?.check_bytes(bytes)
}

/// How many trits are −1, 0 and 1, in that order; padding is not counted.
///
/// # Errors
/// As [`check()`].
pub fn histogram(layout: TritLayout, rows: usize, columns: usize, bytes: &[u8]) -> Result<[u64; 3]> {
    let form = Form::new(layout, rows, columns)?;
    form.check_bytes(bytes)?;
    let [minus, plus] = rows::count(layout, bytes);
    Ok([minus, form.trits() as u64 - minus - plus, plus])
}
