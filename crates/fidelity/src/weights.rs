//! A weight as a running model reads it: in memory of its own, or where it lies in a mapped bundle.

use anyhow::Result;
use axes::{DType, TritLayout};
use engine::kernels::packed::quantize_weights_packed;
use engine::pages::Pages;
use engine::pool::Pool;
use engine::{Io, Tensor};
use graph::{Array, Graph, Scalar};
use std::ops::Range;
use std::sync::Arc;

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

/// Trits of the compute layout in memory.
pub(crate) struct Packed {
    shape: [usize; 2],
    bytes: Memory,
}

/// Where packed trits lie, at a multiple of 64.
enum Memory {
    Own(Tensor),
    /// A part of memory that several share.
    Part(Arc<Pages>, Range<usize>),
}

impl Packed {
    /// Quantises a matrix (rows, columns); returns the scale beside it.
    pub(crate) fn quantize(pool: &Pool, master: &Tensor) -> (Packed, Tensor) {
        let [rows, columns] = *master.shape() else { unreachable!("projections are matrices") };
        let size = TritLayout::Compute.bytes(rows, columns).unwrap_or(0);
        let mut bytes = vec![0; size];
        let scale = quantize_weights_packed(pool, master.f32(), rows, columns, &mut bytes);
        let bytes = Memory::Own(Tensor::from_bytes(DType::U8, [size], &bytes));
        (Packed { shape: [rows, columns], bytes }, Tensor::from_f32([], &[scale]))
    }

    /// Packs trits.
    ///
    /// # Errors
    /// Sizes that are not those of the trits.
    pub(crate) fn of_trits(trits: &[i8], rows: usize, columns: usize) -> Result<Packed> {
        let bytes = barewire::trits::encode(TritLayout::Compute, rows, columns, trits)?;
        let bytes = Memory::Own(Tensor::from_bytes(DType::U8, [bytes.len()], &bytes));
        Ok(Packed { shape: [rows, columns], bytes })
    }

    /// Matrices of these sizes, whose trits `fill` packs in the compute layout, in memory of each one's own or, `huge`, in
    /// memory on huge pages that they share; nothing for one of which `fill` says that it has none.
    pub(crate) fn filled<E>(
        shapes: &[[usize; 2]],
        huge: bool,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<bool, E>,
    ) -> Result<Vec<Option<Packed>>, E> {
        let size = |[rows, columns]: [usize; 2]| TritLayout::Compute.bytes(rows, columns).unwrap_or(0);
        if !huge {
            let make = |(number, shape): (usize, &[usize; 2])| {
                let mut bytes = Tensor::zeros(DType::U8, [size(*shape)]);
                let filled = fill(number, bytes.bytes_mut())?;
                Ok(filled.then_some(Packed { shape: *shape, bytes: Memory::Own(bytes) }))
            };
            return shapes.iter().enumerate().map(make).collect();
        }
        // A line of the cache for each row of four, whatever lies before.
        let step = |shape: &[usize; 2]| size(*shape).next_multiple_of(512);
        let mut memory = Pages::new(shapes.iter().map(step).sum(), true);
        let (mut at, mut places) = (0, vec![]);
        for (number, shape) in shapes.iter().enumerate() {
            let place = at..at + size(*shape);
            // The next one takes the place of one that is not there.
            let filled = fill(number, &mut memory[place.clone()])?;
            at += if filled { step(shape) } else { 0 };
            places.push(filled.then_some(place));
        }
        let memory = Arc::new(memory);
        let made = shapes.iter().zip(places).map(|(shape, place)| {
            place.map(|place| Packed { shape: *shape, bytes: Memory::Part(memory.clone(), place) })
        });
        Ok(made.collect())
    }

    /// The memory that it shares, if it does.
    pub(crate) fn shared(&self) -> Option<&Pages> {
        match &self.bytes {
            Memory::Own(_) => None,
            Memory::Part(memory, _) => Some(memory),
        }
    }

    pub(crate) fn view(&self) -> Weight<'_> {
        let bytes = match &self.bytes {
            Memory::Own(tensor) => tensor.bytes(),
            Memory::Part(memory, place) => &memory[place.clone()],
        };
        Weight::Packed { layout: TritLayout::Compute, shape: self.shape, bytes }
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
