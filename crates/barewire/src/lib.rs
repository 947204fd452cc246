//! Weights as bytes that are used where they lie: packed trits, and the bundle file that holds a model.
//!
//! - [`trits`] encodes and decodes matrices of −1, 0 and +1 in the layouts that [`axes::TritLayout`] specifies: two bits
//!   a weight for computing and for exchange, 1.6 bits for storage.
//! - [`blocks`] decodes and encodes rows of numbers in the block formats that [`axes::BlockFormat`] specifies.
//! - [`bundle`] is the file `.fid`: named sections, each aligned and checksummed, behind a header and before a table
//!   that describe all of it. [`Bundle::open`] maps a file, checks every byte of it, and lends views of the map.
//! - [`gguf`] reads and writes the files of llama.cpp and its kin: typed metadata, and tensors in named block formats
//!   that are used where they lie.
//! - [`pages`] is how either comes to lie on huge pages.
//!
//! ```
//! use axes::TritLayout;
//! use barewire::{Bundle, BundleWriter, Spec, trits};
//!
//! let weights = [1, 0, -1, 0, 0, 1, 1, -1];
//! let packed = trits::encode(TritLayout::Compute, 2, 4, &weights)?;
//! let specs = [Spec::trits("w", TritLayout::Compute, 2, 4), Spec::bytes("config.json", 2)];
//! let mut writer = BundleWriter::new(Vec::new(), &specs)?;
//! writer.trits("w", 1.5, &packed)?;
//! writer.section("config.json", b"{}")?;
//!
//! let bundle = Bundle::from_bytes(writer.finish()?)?;
//! let w = bundle.tensor("w")?;
//! assert_eq!((w.shape, w.layout, w.scale), (&[2, 4][..], Some(TritLayout::Compute), Some(1.5)));
//! assert_eq!(trits::decode(TritLayout::Compute, 2, 4, w.bytes)?, weights);
//! # Ok::<(), barewire::WireError>(())
//! ```
//!
//! Whatever comes from a file is untrusted: it is checked once, where it enters, and every fault is a [`WireError`] that
//! names the section, what was expected, what was found and the remedy.

pub mod blocks;
pub mod bundle;
mod error;
pub mod gguf;
pub mod pages;
mod storage;
pub mod trits;

pub use bundle::{Bundle, BundleWriter, Content, Entry, Section, Spec, TensorView};
pub use error::{Result, WireError};
pub use gguf::{Gguf, GgufWriter};
pub use trits::PackedTrits;
