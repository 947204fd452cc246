//! Tensor files, whole and with the length of the header repaired.

use std::hint::black_box;

use models::safetensors::TensorFile;

/// Reads `data` as a file, and as a header's text followed by tensors: a mutation of the text hardly ever changes
/// the length before it, so most would end at that check.
pub fn check(data: &[u8]) {
    read(data.to_vec());
    let header = data.iter().rposition(|byte| *byte == b'}').map_or(data.len(), |last| last + 1);
    let mut framed = (header as u64).to_le_bytes().to_vec();
    framed.extend(data);
    read(framed);
}

fn read(bytes: Vec<u8>) {
    let size = bytes.len();
    let file = match TensorFile::from_bytes("input.safetensors", bytes) {
        Ok(file) => file,
        Err(error) => {
            black_box(error.to_string());
            return;
        }
    };
    assert!(file.data_len() <= size as u64, "more data than the file has bytes");
    black_box(file.metadata().len());
    let mut bits = 0;
    for name in file.names() {
        let tensor = file.tensor(name).expect("a name of the file's own list");
        bits += tensor.bytes.len() * 8;
        // Sub-byte types have no elements of their own here; for all others every byte belongs to one.
        assert_eq!(tensor.len() * tensor.dtype.bitsize(), tensor.bytes.len() * 8, "{name}");
        let lengths = [
            tensor.to_f32().map(|values| values.len()),
            tensor.as_f32().map(|values| values.len()),
            tensor.to_f64().map(|values| values.len()),
            tensor.to_i64().map(|values| values.len()),
        ];
        for length in lengths {
            match length {
                Ok(length) => assert_eq!(length, tensor.len(), "{name}"),
                Err(error) => drop(black_box(error.to_string())),
            }
        }
        black_box(tensor.expect_shape(&[1, 2]).is_ok());
    }
    assert_eq!(bits as u64, file.data_len() * 8, "the tensors are not all of the data");
    black_box(file.tensor("no such tensor").is_err());
}
