//! A weight as a running model reads it: in memory of its own, or where it lies in a mapped bundle.

use anyhow::Result;
use axes::{DType, TritLayout};
use engine::kernels::packed::quantize_weights_packed;
use engine::pool::Pool;
use engine::{Io, Tensor};
use graph::{Array, Graph, Scalar};

/// Borrowed elements, sizes and type.
#[derive(Clone, Copy, Debug)]
pub enum Weight<'a> {
    /// A tensor in memory.
    Tensor(&'a Tensor),
    /// Numbers in the bytes of a mapped file.
    Mapped {
        /// Element type; not trits.
        dtype: DType,
        /// Sizes.
        shape: &'a [usize],
        /// The elements, little-endian.
        bytes: &'a [u8],
    },
    /// A matrix of packed trits, in memory or in a mapped file.
    Packed {
        /// How they lie.
        layout: TritLayout,
        /// Rows and columns.
        shape: [usize; 2],
        /// The codes.
        bytes: &'a [u8],
    },
}

impl<'a> Weight<'a> {
    /// Binds input `i` of a plan to these elements, without a copy.
    pub fn bind(self, io: &mut Io<'a>, i: usize) {
        match self {
            Weight::Tensor(tensor) => io.input(i, tensor),
            Weight::Mapped { bytes, .. } | Weight::Packed { bytes, .. } => io.bytes(i, bytes),
        };
    }

    /// The elements as they lie in memory.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Weight::Tensor(tensor) => tensor.bytes(),
            Weight::Mapped { bytes, .. } | Weight::Packed { bytes, .. } => bytes,
        }
    }

    /// How trits lie; one byte each unless they are packed.
    pub fn layout(self) -> TritLayout {
        match self {
            Weight::Packed { layout, .. } => layout,
            _ => TritLayout::Bytes,
        }
    }

    /// A copy in the interpreter's form.
    ///
    /// # Errors
    /// Illegal codes in packed trits; a bundle that is open has none.
    pub fn to_array<S: Scalar>(self) -> Result<Array<S>> {
        Ok(match self {
            Weight::Tensor(tensor) => tensor.to_array(),
            Weight::Mapped { dtype: DType::U8, shape: &[rows, _], bytes } if rows > 0 => {
                // A file may give the sizes of the numbers, where these are the bytes of blocks.
                Tensor::from_bytes(DType::U8, [rows, bytes.len() / rows], bytes).to_array()
            }
            Weight::Mapped { dtype, shape, bytes } => Tensor::from_bytes(dtype, shape, bytes).to_array(),
            Weight::Packed { layout, shape: [rows, columns], bytes } => {
                let trits = barewire::trits::decode(layout, rows, columns, bytes)?;
                Array::int(DType::Trit, [rows, columns], trits.into_iter().map(i64::from).collect())
            }
        })
    }
}

/// Trits of the compute layout in memory, made of master weights.
pub(crate) struct Packed {
    shape: [usize; 2],
    /// Bytes at a multiple of 64.
    bytes: Tensor,
}

impl Packed {
    /// Quantises a matrix (rows, columns); returns the scale beside it.
    pub(crate) fn quantize(pool: &Pool, master: &Tensor) -> (Packed, Tensor) {
        let [rows, columns] = *master.shape() else { unreachable!("projections are matrices") };
        let size = TritLayout::Compute.bytes(rows, columns).unwrap_or(0);
        let mut bytes = vec![0; size];
        let scale = quantize_weights_packed(pool, master.f32(), rows, columns, &mut bytes);
        let bytes = Tensor::from_bytes(DType::U8, [size], &bytes);
        (Packed { shape: [rows, columns], bytes }, Tensor::from_f32([], &[scale]))
    }

    /// Packs trits.
    ///
    /// # Errors
    /// Sizes that are not those of the trits.
    pub(crate) fn of_trits(trits: &[i8], rows: usize, columns: usize) -> Result<Packed> {
        let bytes = barewire::trits::encode(TritLayout::Compute, rows, columns, trits)?;
        Ok(Packed { shape: [rows, columns], bytes: Tensor::from_bytes(DType::U8, [bytes.len()], &bytes) })
    }

    /// Trits that `fill` packs in the compute layout; nothing where it says that there are none.
    pub(crate) fn filled<E>(
        [rows, columns]: [usize; 2],
        fill: impl FnOnce(&mut [u8]) -> Result<bool, E>,
    ) -> Result<Option<Packed>, E> {
        let size = TritLayout::Compute.bytes(rows, columns).unwrap_or(0);
        let mut bytes = Tensor::zeros(DType::U8, [size]);
        let filled = fill(bytes.bytes_mut())?;
        Ok(filled.then_some(Packed { shape: [rows, columns], bytes }))
    }

    pub(crate) fn view(&self) -> Weight<'_> {
        Weight::Packed { layout: TritLayout::Compute, shape: self.shape, bytes: self.bytes.bytes() }
    }
}

/// What feeds an input of a graph while tokens go by.
#[derive(Clone, Copy)]
pub(crate) enum Slot<'a> {
    /// The token ids.
    Ids,
    /// The number of tokens before them.
    Position,
    /// The recurrent state of this number.
    State(usize),
    /// A weight.
    Weight(Weight<'a>),
}

/// What feeds each input of `graph`: `names` are those of the states.
pub(crate) fn slots<'a>(
    graph: &Graph,
    names: &[String],
    weight: impl Fn(&str) -> Result<Weight<'a>>,
) -> Result<Vec<Slot<'a>>> {
    let slot = |input: &graph::Named| {
        Ok(match names.iter().position(|name| *name == input.name) {
            _ if input.name == "input_ids" => Slot::Ids,
            None if input.name == "position" => Slot::Position,
            Some(k) => Slot::State(k),
            None => Slot::Weight(weight(&input.name)?),
        })
    };
    graph.inputs.iter().map(slot).collect()
}

/// Binds the inputs of a plan that are no states.
pub(crate) fn bind<'a>(io: &mut Io<'a>, slots: &[Slot<'a>], ids: &'a Tensor, position: &'a Tensor) {
    for (i, slot) in slots.iter().enumerate() {
        match slot {
            Slot::Ids => {
                io.input(i, ids);
            }
            Slot::Position => {
                io.input(i, position);
            }
            Slot::State(_) => {}
            Slot::Weight(weight) => weight.bind(io, i),
        }
    }
}
