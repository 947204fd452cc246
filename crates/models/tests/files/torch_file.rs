//! `pytorch_model.bin`: valid files, hostile ones, and random damage.

use std::fs;
use std::path::Path;

use models::architecture::ModelConfig;
use models::folder::ModelFolder;
use models::safetensors::{Dtype, TensorFile, Values};
use serde_json::json;

/// A zip archive of stored entries, as PyTorch writes them.
fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (vec![], vec![]);
    for (name, bytes) in entries {
        let offset = file.len() as u32;
        let size = bytes.len() as u32;
        file.extend(b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00");
        file.extend([0; 4].iter().chain(&size.to_le_bytes()).chain(&size.to_le_bytes()));
        file.extend((name.len() as u16).to_le_bytes().iter().chain(&5u16.to_le_bytes()));
        file.extend(name.as_bytes());
        // The padding of an extra field.
        file.extend(b"FB\x01\x00Z");
        file.extend(bytes);
        directory.extend(b"PK\x01\x02\x00\x00\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00");
        directory.extend([0; 4].iter().chain(&size.to_le_bytes()).chain(&size.to_le_bytes()));
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(&directory);
    file.extend(b"PK\x05\x06\x00\x00\x00\x00");
    file.extend(count.iter().chain(&count));
    file.extend((directory.len() as u32).to_le_bytes().iter().chain(&start.to_le_bytes()).chain(&[0; 2]));
    file
}

/// A short text.
fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn integer(pickle: &mut Vec<u8>, n: i64) {
    pickle.extend(b"\x8a\x08");
    pickle.extend(n.to_le_bytes());
}

/// A tensor of the storage `key`: what `_rebuild_tensor_v2` is called with.
struct Stored<'a> {
    name: &'a str,
    storage: &'a str,
    key: &'a str,
    elements: i64,
    offset: i64,
    sizes: &'a [i64],
    strides: &'a [i64],
}

/// The pickle of a state dict.
fn pickle(tensors: &[Stored<'_>]) -> Vec<u8> {
    let mut p = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(".to_vec();
    for t in tensors {
        text(&mut p, t.name);
        p.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut p, "storage");
        p.extend(format!("ctorch\n{}\n", t.storage).bytes());
        text(&mut p, t.key);
        text(&mut p, "cpu");
        integer(&mut p, t.elements);
        p.extend(b"tQ");
        integer(&mut p, t.offset);
        for list in [t.sizes, t.strides] {
            p.push(b'(');
            list.iter().for_each(|n| integer(&mut p, *n));
            p.push(b't');
        }
        p.extend(b"\x89h\x00)RtR");
    }
    // The attributes of the dictionary.
    p.extend(b"u}");
    text(&mut p, "_metadata");
    p.extend(b"h\x00)Rsb.");
    p
}

fn file(pickle: Vec<u8>, storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut entries =
        vec![("archive/data.pkl".to_owned(), pickle), ("archive/byteorder".into(), b"little".to_vec())];
    entries.extend(storages.iter().map(|(key, bytes)| (format!("archive/data/{key}"), bytes.clone())));
    entries.push(("archive/version".into(), b"3\n".to_vec()));
    zip(&entries)
}

fn example() -> Vec<u8> {
    let wide: Vec<u8> = (0..12).flat_map(|k| (k as f32).to_le_bytes()).collect();
    let half: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect();
    let brain: Vec<u8> = [0.5f32, 3.0].iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect();
    let stored = |name, storage, key, elements, offset, sizes, strides| Stored {
        name,
        storage,
        key,
        elements,
        offset,
        sizes,
        strides,
    };
    let tensors = [
        stored("a", "FloatStorage", "0", 12, 0, &[3, 4], &[4, 1]),
        stored("b", "FloatStorage", "0", 12, 4, &[2, 1, 4], &[4, 99, 1]),
        stored("h", "HalfStorage", "1", 2, 0, &[2], &[1]),
        stored("bf", "BFloat16Storage", "2", 2, 1, &[], &[]),
        stored("none", "FloatStorage", "0", 12, 12, &[0, 5], &[5, 1]),
    ];
    file(pickle(&tensors), &[("0", wide), ("1", half), ("2", brain)])
}

fn refused(bytes: Vec<u8>, parts: &[&str]) {
    let error = TensorFile::from_bytes("m.bin", bytes).unwrap_err().to_string();
    parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` is not in: {error}"));
}

#[test]
fn tensors_lie_where_the_pickle_says() {
    let file = TensorFile::from_bytes("m.bin", example()).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b", "bf", "h", "none"]);
    assert_eq!(file.tensor("a").unwrap().shape, [3, 4]);
    assert_eq!(file.to_f32("b").unwrap(), (4..12).map(|k| k as f32).collect::<Vec<_>>());
    assert_eq!(file.to_f32("h").unwrap(), [1.5, -2.0]);
    assert_eq!((file.tensor("bf").unwrap().dtype, file.to_f32("bf").unwrap()), (Dtype::BF16, vec![3.0]));
    assert!(file.tensor("none").unwrap().is_empty());
}

#[test]
fn functions_that_make_no_tensors_are_refused_by_name() {
    let calls: [(&[u8], &str); 4] = [
        (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.", "`os.system`"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", "`builtins.eval`"),
        (b"\x80\x02ctorch\nload\n)R.", "`torch.load`"),
        (b"\x80\x02cposix\nsystem\n", "`posix.system`"),
    ];
    for (pickle, name) in calls {
        refused(file(pickle.to_vec(), &[]), &[name, "data.pkl", "trust"]);
    }
    // INST, OBJ, NEWOBJ, EXT1, PERSID.
    for op in [b'i', b'o', 0x81, 0x82, b'P'] {
        refused(file(vec![0x80, 2, op, b'.'], &[]), &["opcode", &format!("{op:#04x}")]);
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let one = |elements, offset, sizes: &[i64], strides: &[i64], bytes: usize| {
        let t = Stored { name: "w", storage: "FloatStorage", key: "0", elements, offset, sizes, strides };
        file(pickle(&[t]), &[("0", vec![0; bytes])])
    };
    assert!(TensorFile::from_bytes("m.bin", one(4, 0, &[4], &[1], 16)).is_ok());
    refused(one(4, 1, &[4], &[1], 16), &["`w`", "a part of 4 elements", "[4] from element 1"]);
    refused(one(4, 0, &[i64::MAX, i64::MAX], &[1, 1], 16), &["`w`", "a part of 4 elements"]);
    refused(one(i64::MAX, 0, &[4], &[1], 16), &["`w`", "16 bytes"]);
    refused(one(4, -1, &[4], &[1], 16), &["sizes and strides"]);
    refused(one(4, 0, &[2, 2], &[1, 2], 16), &["`w`", "row-major", "[1, 2]", "contiguous"]);
    // One element everywhere: no more than the storage holds.
    refused(one(4, 0, &[4], &[0], 16), &["`w`", "strides [0]"]);
    let missing = Stored {
        name: "w",
        storage: "FloatStorage",
        key: "7",
        elements: 1,
        offset: 0,
        sizes: &[1],
        strides: &[1],
    };
    refused(file(pickle(&[missing]), &[]), &["`w`", "data/7"]);
}

#[test]
fn archives_that_are_none_are_refused() {
    let whole = example();
    for cut in [4, 30, whole.len() / 2, whole.len() - 30, whole.len() - 1] {
        refused(whole[..cut].to_vec(), &["m.bin"]);
    }
    let mut packed = whole.clone();
    let at = packed.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    packed[at + 10] = 8;
    refused(packed, &["stored as they are", "method 8"]);
    refused(zip(&[("archive/other".into(), vec![])]), &["data.pkl"]);
    let old = [&[0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20][..], &[0; 40]].concat();
    refused(old, &["before version 1.6"]);
    let big = [("a/data.pkl".to_owned(), pickle(&[])), ("a/byteorder".into(), b"big".to_vec())];
    refused(zip(&big), &["byteorder", "big"]);
    refused(file(b"\x80\x02K\x01.".to_vec(), &[]), &["a dictionary of tensors", "an integer"]);
    refused(file(b"\x80\x02}X\x01\x00\x00\x00aK\x01s.".to_vec(), &[]), &["`a`", "an integer"]);
}

/// Any damage gives a file whose tensors can be read, or an error.
#[test]
fn random_damage_is_no_panic() {
    let whole = example();
    let mut state = 7u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut good = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + below(4) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] ^= 1 << below(8),
                1 => bytes[at] = [0, 0xff, b'.', b'(', b't', b'R', 0x86, b'u'][below(8)],
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let from = below(bytes.len());
                    let count = below(9).min(bytes.len() - at.max(from));
                    bytes.copy_within(from..from + count, at);
                }
            }
        }
        if let Ok(file) = TensorFile::from_bytes("m.bin", bytes) {
            good += 1;
            for name in file.names() {
                let _ = file.to_f32(name);
            }
        }
    }
    assert!(good > 1000, "{good} of 20,000 could be read");
}

/// Deep and repeated containers cost what their bytes cost.
#[test]
fn nesting_and_repetition_are_cheap() {
    let mut deep = b"\x80\x02)".to_vec();
    deep.extend(std::iter::repeat_n(0x85, 3_000_000));
    deep.push(b'.');
    refused(file(deep, &[]), &["a tuple"]);
    let mut doubled = b"\x80\x02)q\x00".to_vec();
    (0..100_000).for_each(|_| doubled.extend(b"h\x00h\x00\x86q\x00"));
    doubled.push(b'.');
    refused(file(doubled, &[]), &["a tuple"]);
}

/// The authors' own layout: another configuration, another name for the embedding, the head beside it.
#[test]
fn original_checkpoints_are_read_as_the_published_layout() {
    let all = [
        json!({"d_model": 32, "n_layer": 1, "vocab_size": 50, "ssm_cfg": {}, "rms_norm": true, "residual_in_fp32": true,
               "fused_add_norm": true, "pad_vocab_size_multiple": 8}),
        json!({"d_model": 32, "n_layer": 1, "vocab_size": 50, "ssm_cfg": {"layer": "Mamba2", "headdim": 16, "d_state": 8},
               "d_intermediate": 0, "attn_layer_idx": [], "attn_cfg": {}, "rms_norm": true, "tie_embeddings": true}),
    ];
    for config in all {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let translated = models::mamba::original::config(Path::new("config.json"), &config).unwrap();
        let model = ModelConfig::from_json(Path::new("config.json"), &translated).unwrap().config;
        assert_eq!(model.vocab_size(), 56);
        let weights = model.init(3);
        let (mut storages, mut keys) = (vec![], vec![]);
        for tensor in &weights {
            let Values::F32(values) = &tensor.values else { panic!("f32") };
            storages.push(values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
            keys.push(keys.len().to_string());
        }
        let shapes: Vec<Vec<i64>> =
            weights.iter().map(|t| t.shape.iter().map(|n| *n as i64).collect()).collect();
        let strides: Vec<Vec<i64>> =
            shapes.iter().map(|s| (0..s.len()).map(|k| s[k + 1..].iter().product()).collect()).collect();
        let stored = |k: usize, name| Stored {
            name,
            storage: "FloatStorage",
            key: &keys[k],
            elements: storages[k].len() as i64 / 4,
            offset: 0,
            sizes: &shapes[k],
            strides: &strides[k],
        };
        let names: Vec<&str> = weights.iter().map(|t| t.name.as_ref()).collect();
        let old =
            |name| if name == "backbone.embeddings.weight" { "backbone.embedding.weight" } else { name };
        let mut tensors: Vec<Stored<'_>> = (0..names.len()).map(|k| stored(k, old(names[k]))).collect();
        tensors.push(stored(0, "lm_head.weight"));
        let parts: Vec<(&str, Vec<u8>)> =
            keys.iter().map(String::as_str).zip(storages.iter().cloned()).collect();
        fs::write(dir.path().join("pytorch_model.bin"), file(pickle(&tensors), &parts)).unwrap();
        let folder = ModelFolder::open(dir.path()).unwrap();
        let read = ModelConfig::from_folder(&folder).unwrap();
        assert_eq!((read.config.model_type(), read.warnings.len()), (model.model_type(), 0));
        for tensor in &weights {
            let Values::F32(values) = &tensor.values else { panic!("f32") };
            assert_eq!(folder.weights().to_f32(&tensor.name).unwrap(), values.to_vec());
        }
    }
    let attention = json!({"d_model": 32, "n_layer": 1, "attn_layer_idx": [0]});
    let error = models::mamba::original::config(Path::new("c.json"), &attention).unwrap_err().to_string();
    assert!(error.contains("attn_layer_idx"), "{error}");
}

/// A file that PyTorch itself wrote, where a Python with it is at hand.
#[test]
fn a_file_of_pytorchs_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pytorch_model.bin");
    let program = "import sys, torch, collections\n\
        m = torch.nn.Linear(5, 3)\n\
        m.weight.data = torch.arange(15.).reshape(3, 5)\n\
        d = m.state_dict()\n\
        d['h'] = torch.tensor([1.5, -2.]).half(); d['b'] = torch.tensor([0.5]).bfloat16()\n\
        d['p'] = torch.nn.Parameter(torch.tensor([7.])); d['tied'] = d['weight']; d['n'] = torch.tensor(3)\n\
        torch.save(d, sys.argv[1])";
    let done = std::process::Command::new("python3").args(["-c", program]).arg(&path).output();
    if !done.is_ok_and(|done| done.status.success()) {
        println!("skipped: no Python with PyTorch");
        return;
    }
    let file = TensorFile::open(&path).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["b", "bias", "h", "n", "p", "tied", "weight"]);
    assert_eq!(file.to_f32("weight").unwrap(), (0..15).map(|k| k as f32).collect::<Vec<_>>());
    assert_eq!(file.to_f32("tied").unwrap(), file.to_f32("weight").unwrap());
    assert_eq!((file.to_f32("h").unwrap(), file.to_f32("p").unwrap()), (vec![1.5, -2.0], vec![7.0]));
    assert_eq!((file.to_f32("b").unwrap(), file.to_i64("n").unwrap()), (vec![0.5], vec![3]));
}
