//! The part of the pickle protocol (Python's `pickletools`, protocols 2 to 4) that a saved dictionary of tensors needs.
//!
//! Values are numbers, texts of the file itself, or places in one list of containers: nothing is nested in memory, so neither
//! depth nor repetition costs more than the bytes that ask for it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use ::safetensors::Dtype;

use super::{CONVERT, DAMAGED};
use crate::error::{ModelError, Result};
use crate::safetensors::header::Entry;

/// Longest pickle that is read: hundreds of thousands of tensors.
pub(super) const MAX_LENGTH: usize = 16 << 20;
/// Most axes of a tensor.
const MAX_RANK: usize = 64;

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
}

/// The globals that are known, by module and name.
const GLOBALS: [(&str, &str, Global); 13] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2", Global::RebuildTensor),
    ("torch._utils", "_rebuild_parameter", Global::RebuildParameter),
    ("torch", "DoubleStorage", Global::Storage(Dtype::F64)),
    ("torch", "FloatStorage", Global::Storage(Dtype::F32)),
    ("torch", "HalfStorage", Global::Storage(Dtype::F16)),
    ("torch", "BFloat16Storage", Global::Storage(Dtype::BF16)),
    ("torch", "LongStorage", Global::Storage(Dtype::I64)),
    ("torch", "IntStorage", Global::Storage(Dtype::I32)),
    ("torch", "ShortStorage", Global::Storage(Dtype::I16)),
    ("torch", "CharStorage", Global::Storage(Dtype::I8)),
    ("torch", "ByteStorage", Global::Storage(Dtype::U8)),
    ("torch", "BoolStorage", Global::Storage(Dtype::BOOL)),
];

/// Bytes that tensors lie in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    dtype: Dtype,
    elements: u64,
}

/// A value on the stack; containers are places in [`Machine::containers`].
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    None,
    Bool,
    Int(i64),
    Float,
    Text(&'a str),
    Global(Global),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Storage(Storage<'a>),
    Tensor(usize),
}

impl Value<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool => "a bool",
            Self::Int(_) => "an integer",
            Self::Float => "a float",
            Self::Text(_) => "a text",
            Self::Global(_) => "a global",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// A tensor as the pickle describes it.
#[derive(Clone, Debug)]
struct Described<'a> {
    storage: Storage<'a>,
    offset: u64,
    /// Sizes and strides.
    axes: Vec<(u64, u64)>,
}

/// A tensor with its name.
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) storage: Storage<'a>,
    offset: u64,
    axes: Vec<(u64, u64)>,
}

impl Named<'_> {
    /// Its place in the file, given that of its storage.
    pub(super) fn place(&self, path: &Path, storage: Option<Range<usize>>) -> Result<Entry> {
        let fault = |expected: String, found: String, remedy: &str| {
            Err(ModelError::tensor(path, self.name, expected, found, remedy))
        };
        let Some(bytes) = storage else {
            return fault(
                format!("its bytes in entry data/{}", self.storage.key),
                "no such entry".into(),
                DAMAGED,
            );
        };
        let size = (self.storage.dtype.bitsize() / 8) as u64;
        let held = self.storage.elements.checked_mul(size);
        if held != Some(bytes.len() as u64) {
            let expected = format!("{} elements of {size} bytes", self.storage.elements);
            return fault(expected, format!("{} bytes", bytes.len()), DAMAGED);
        }
        let count = self.axes.iter().try_fold(1u64, |count, (n, _)| count.checked_mul(*n));
        let after = count.and_then(|count| self.offset.checked_add(count));
        let (Some(count), Some(_)) = (count, after.filter(|after| *after <= self.storage.elements)) else {
            let expected = format!("a part of {} elements", self.storage.elements);
            let sizes: Vec<u64> = self.axes.iter().map(|axis| axis.0).collect();
            return fault(expected, format!("{sizes:?} from element {}", self.offset), DAMAGED);
        };
        let mut stride = 1;
        for (n, found) in self.axes.iter().rev() {
            if *n > 1 && count > 0 && *found != stride {
                let strides: Vec<u64> = self.axes.iter().map(|axis| axis.1).collect();
                let remedy = "save it after `.contiguous()`";
                return fault("elements in row-major order".into(), format!("strides {strides:?}"), remedy);
            }
            stride *= (*n).max(1);
        }
        let start = bytes.start + (self.offset * size) as usize;
        Ok(Entry {
            dtype: self.storage.dtype,
            shape: self.axes.iter().map(|(n, _)| *n as usize).collect(),
            start,
            end: start + (count * size) as usize,
        })
    }
}

/// Every tensor of the dictionary that a pickle makes.
pub(super) fn read<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<Named<'a>>> {
    let mut machine = Machine {
        path,
        bytes,
        at: 0,
        stack: vec![],
        marks: vec![],
        memo: BTreeMap::new(),
        containers: vec![],
        tensors: vec![],
    };
    let root = machine.run()?;
    let Value::Dict(root) = root else {
        return Err(machine.fault("a dictionary of tensors", root.kind(), CONVERT));
    };
    let mut list: BTreeMap<&str, Named<'a>> = BTreeMap::new();
    for pair in machine.containers[root].chunks(2) {
        match *pair {
            [Value::Text(name), Value::Tensor(place)] => {
                let Described { storage, offset, axes } = machine.tensors[place].clone();
                list.insert(name, Named { name, storage, offset, axes });
            }
            [Value::Text(name), other] => {
                return Err(ModelError::tensor(path, name, "a tensor", other.kind(), CONVERT));
            }
            _ => return Err(machine.fault("names that are texts", "another key", CONVERT)),
        }
    }
    Ok(list.into_values().collect())
}

struct Machine<'p, 'a> {
    path: &'p Path,
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
    /// Elements of tuples and lists; keys and values of dictionaries in turn.
    containers: Vec<Vec<Value<'a>>>,
    tensors: Vec<Described<'a>>,
}

impl<'a> Machine<'_, 'a> {
    fn fault(&self, expected: impl Into<String>, found: impl Into<String>, remedy: &str) -> ModelError {
        ModelError::file(self.path, format!("data.pkl, byte {}", self.at), expected, found, remedy)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            let left = self.bytes.len() - self.at;
            return Err(self.fault(format!("{count} more bytes"), format!("{left}"), DAMAGED));
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian number of `count` ≤ 8 bytes.
    fn number(&mut self, count: usize) -> Result<u64> {
        Ok(self.take(count)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn text(&mut self, length: u64) -> Result<&'a str> {
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        std::str::from_utf8(bytes).map_err(|_| self.fault("a text in UTF-8", "other bytes", DAMAGED))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = self.text(length as u64)?;
        self.take(1)?;
        Ok(line)
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.fault("a value on the stack", "none", DAMAGED));
        }
        Ok(self.stack.remove(self.stack.len() - 1))
    }

    fn top(&mut self) -> Result<Value<'a>> {
        let value = self.pop()?;
        self.stack.push(value);
        Ok(value)
    }

    /// What lies above the last mark.
    fn marked(&mut self) -> Result<Vec<Value<'a>>> {
        match self.marks.pop() {
            Some(from) => Ok(self.stack.split_off(from)),
            None => Err(self.fault("a mark", "none", DAMAGED)),
        }
    }

    fn last(&mut self, count: usize) -> Result<Vec<Value<'a>>> {
        let mut values = vec![];
        for _ in 0..count {
            values.push(self.pop()?);
        }
        values.reverse();
        Ok(values)
    }

    fn container(&mut self, values: Vec<Value<'a>>) -> usize {
        self.containers.push(values);
        self.containers.len() - 1
    }

    fn tuple(&mut self, values: Vec<Value<'a>>) {
        let place = self.container(values);
        self.stack.push(Value::Tuple(place));
    }

    fn global(&self, module: &str, name: &str) -> Result<Value<'a>> {
        let found = GLOBALS.iter().find(|(m, n, _)| (*m, *n) == (module, name));
        match found {
            Some((_, _, global)) => Ok(Value::Global(*global)),
            None => {
                let short = |text: &str| text.chars().take(60).collect::<String>();
                let found = format!("`{}.{}`", short(module), short(name));
                let remedy = "do not load this file with Python unless you trust whoever made it; convert it there to \
                              safetensors if you do";
                Err(self.fault("functions that make tensors, and no others", found, remedy))
            }
        }
    }

    /// Extends the container under the values that were taken off.
    fn extend(&mut self, values: Vec<Value<'a>>, dictionary: bool) -> Result<()> {
        if dictionary && !values.len().is_multiple_of(2) {
            return Err(self.fault("keys and values in pairs", "a key without a value", DAMAGED));
        }
        match (self.top()?, dictionary) {
            (Value::Dict(place), true) | (Value::List(place), false) => {
                self.containers[place].extend(values);
                Ok(())
            }
            (other, _) => Err(self.fault("a dictionary or a list to add to", other.kind(), DAMAGED)),
        }
    }

    fn run(&mut self) -> Result<Value<'a>> {
        loop {
            let op = self.take(1)?[0];
            match op {
                // PROTO, FRAME
                0x80 => {
                    self.take(1)?;
                }
                0x95 => {
                    self.take(8)?;
                }
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Bool),
                b'J' => {
                    let number = self.number(4)? as u32 as i32;
                    self.stack.push(Value::Int(number.into()));
                }
                b'K' => {
                    let number = self.number(1)?;
                    self.stack.push(Value::Int(number as i64));
                }
                b'M' => {
                    let number = self.number(2)?;
                    self.stack.push(Value::Int(number as i64));
                }
                // LONG1: two's complement of a length of its own.
                0x8a => {
                    let length = self.number(1)? as usize;
                    if length > 8 {
                        return Err(self.fault(
                            "integers of 64 bits",
                            format!("one of {length} bytes"),
                            CONVERT,
                        ));
                    }
                    let bits = self.number(length)?;
                    let unused = 64 - 8 * length as u32;
                    let number = if length == 0 { 0 } else { (bits << unused) as i64 >> unused };
                    self.stack.push(Value::Int(number));
                }
                b'G' => {
                    self.take(8)?;
                    self.stack.push(Value::Float);
                }
                // BINUNICODE, SHORT_BINUNICODE, BINSTRING, SHORT_BINSTRING
                b'X' | 0x8c | b'T' | b'U' => {
                    let length = self.number(if matches!(op, b'X' | b'T') { 4 } else { 1 })?;
                    let text = self.text(length)?;
                    self.stack.push(Value::Text(text));
                }
                b'}' => {
                    let place = self.container(vec![]);
                    self.stack.push(Value::Dict(place));
                }
                b']' => {
                    let place = self.container(vec![]);
                    self.stack.push(Value::List(place));
                }
                b')' => self.tuple(vec![]),
                0x85..=0x87 => {
                    let values = self.last(usize::from(op - 0x84))?;
                    self.tuple(values);
                }
                b't' => {
                    let values = self.marked()?;
                    self.tuple(values);
                }
                b'q' | b'r' | 0x94 => {
                    let key = match op {
                        b'q' => self.number(1)? as u32,
                        b'r' => self.number(4)? as u32,
                        _ => self.memo.len() as u32,
                    };
                    let value = self.top()?;
                    self.memo.insert(key, value);
                }
                b'h' | b'j' => {
                    let key = self.number(if op == b'h' { 1 } else { 4 })? as u32;
                    let Some(value) = self.memo.get(&key) else {
                        return Err(self.fault(format!("a value remembered as {key}"), "none", DAMAGED));
                    };
                    self.stack.push(*value);
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let global = self.global(module, name)?;
                    self.stack.push(global);
                }
                0x93 => match (self.pop()?, self.pop()?) {
                    (Value::Text(name), Value::Text(module)) => {
                        let global = self.global(module, name)?;
                        self.stack.push(global);
                    }
                    (other, _) => return Err(self.fault("the name of a global", other.kind(), DAMAGED)),
                },
                b's' => {
                    let values = self.last(2)?;
                    self.extend(values, true)?;
                }
                b'u' => {
                    let values = self.marked()?;
                    self.extend(values, true)?;
                }
                b'a' => {
                    let values = self.last(1)?;
                    self.extend(values, false)?;
                }
                b'e' => {
                    let values = self.marked()?;
                    self.extend(values, false)?;
                }
                // BUILD: the attributes of a state dict, its `_metadata`, say nothing about tensors.
                b'b' => {
                    self.pop()?;
                    if !matches!(self.top()?, Value::Dict(_)) {
                        return Err(self.fault("attributes of a dictionary", "of another object", CONVERT));
                    }
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.stack.push(storage);
                }
                b'R' => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let made = self.reduce(function, arguments)?;
                    self.stack.push(made);
                }
                _ => {
                    let found = format!("opcode {op:#04x} ({:?})", char::from(op));
                    return Err(self.fault("the opcodes of a dictionary of tensors", found, CONVERT));
                }
            }
        }
    }

    /// ("storage", type, key, device, elements).
    fn storage(&self, id: Value<'a>) -> Result<Value<'a>> {
        if let Value::Tuple(place) = id
            && let [
                Value::Text("storage"),
                Value::Global(Global::Storage(dtype)),
                Value::Text(key),
                Value::Text(_),
                Value::Int(elements),
            ] = self.containers[place][..]
            && let Ok(elements) = u64::try_from(elements)
        {
            return Ok(Value::Storage(Storage { key, dtype, elements }));
        }
        Err(self.fault("a storage: its type, key, device and length", id.kind(), CONVERT))
    }

    fn reduce(&mut self, function: Value<'a>, arguments: Value<'a>) -> Result<Value<'a>> {
        let (Value::Global(global), Value::Tuple(place)) = (function, arguments) else {
            return Err(self.fault("a function and its arguments", function.kind(), CONVERT));
        };
        match (global, &self.containers[place][..]) {
            (Global::OrderedDict, []) => {
                let place = self.container(vec![]);
                Ok(Value::Dict(place))
            }
            (Global::RebuildParameter, [tensor @ Value::Tensor(_), ..]) => Ok(*tensor),
            (
                Global::RebuildTensor,
                [Value::Storage(storage), Value::Int(offset), Value::Tuple(sizes), Value::Tuple(strides), ..],
            ) => {
                let numbers = |place: &usize| -> Option<Vec<u64>> {
                    let list = self.containers[*place].iter();
                    let number = |value: &Value<'_>| match value {
                        Value::Int(n) => u64::try_from(*n).ok(),
                        _ => None,
                    };
                    list.map(number).collect()
                };
                let (offset, storage) = (u64::try_from(*offset).ok(), *storage);
                if let (Some(offset), Some(sizes), Some(strides)) = (offset, numbers(sizes), numbers(strides))
                    && sizes.len() == strides.len()
                    && sizes.len() <= MAX_RANK
                {
                    let axes = sizes.into_iter().zip(strides).collect();
                    self.tensors.push(Described { storage, offset, axes });
                    return Ok(Value::Tensor(self.tensors.len() - 1));
                }
                Err(self.fault("sizes and strides of a tensor", "others", DAMAGED))
            }
            _ => Err(self.fault(
                "the arguments of a function that makes tensors",
                format!("others for {global:?}"),
                CONVERT,
            )),
        }
    }
}
