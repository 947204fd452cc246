//! Packed models hold the numbers that the engine computes with, and unpack to weights that quantise to the same.

mod common;

use axes::TritLayout;
use barewire::trits;
use common::golden;
use engine::pool::Pool;
use fidelity::convert::{Form, Model, write};
use fidelity::loaded::Loaded;
use half::{bf16, f16};
use models::bundle::{EmbeddingType, ModelBundle, PackOptions};
use models::config::{MatMulFreeConfig, MlgruForm};
use models::folder::{ModelFolder, SaveOptions, save_folder};
use models::matmulfree::projections;
use models::safetensors::{FloatType, NamedTensor, TensorFile};
use models::shapes::Shape;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const LAYOUTS: [TritLayout; 3] = [TritLayout::Compute, TritLayout::Interchange, TritLayout::Storage];
const FLOATS: [FloatType; 4] = [FloatType::F32, FloatType::Bf16, FloatType::F16, FloatType::F64];

fn pool() -> Arc<Pool> {
    Arc::new(Pool::new(2))
}

/// Widths that no block, group or byte divides.
fn config() -> MatMulFreeConfig {
    MatMulFreeConfig {
        vocab_size: 259,
        hidden_size: 34,
        num_hidden_layers: 3,
        num_heads: 2,
        intermediate_size: Some(301),
        initializer_range: 0.5,
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    }
}

fn variants() -> Vec<MatMulFreeConfig> {
    vec![
        config(),
        MatMulFreeConfig { tie_word_embeddings: true, ..config() },
        MatMulFreeConfig { use_lower_bound: false, expand_ratio: 1.5, num_heads: 1, ..config() },
        MatMulFreeConfig { use_short_conv: true, share_conv_kernel: false, ..config() },
        MatMulFreeConfig { use_short_conv: true, mlgru_form: MlgruForm::Article, ..config() },
    ]
}

/// A folder with weights that are not as they start: lower bounds differ, and one matrix is all zeros.
fn folder(config: &MatMulFreeConfig) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut tensors = config.init(11);
    for tensor in &mut tensors {
        let count = tensor.shape.iter().product::<usize>();
        let wave = |i: usize, step: f32| (i as f32 * step).sin();
        let values = match tensor.name.as_str() {
            "model.lower_bounds" => (0..count).map(|i| wave(i, 0.7)).collect(),
            "model.layers.1.attn.g_proj.weight" => vec![0.0; count],
            name if name.ends_with("norm.weight") => (0..count).map(|i| 1.0 + 0.3 * wave(i, 1.3)).collect(),
            _ => continue,
        };
        *tensor = NamedTensor::f32(tensor.name.clone(), &tensor.shape, values);
    }
    let path = dir.path().join("model");
    save_folder(&path, &config.to_json(), &tensors, SaveOptions::default()).unwrap();
    (dir, path)
}

fn convert(from: &Path, to: &Path, form: Form) -> Vec<String> {
    write(&Model::open(from).unwrap(), to, form, &pool(), &mut |_| {}).unwrap()
}

fn packed(from: &Path, layout: TritLayout, embedding: EmbeddingType) -> (TempDir, ModelBundle) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.fid");
    convert(
        from,
        &path,
        Form::Bundle(PackOptions { layout, embedding: Some(embedding), ..Default::default() }),
    );
    (dir, ModelBundle::open(path).unwrap())
}

fn trits_of(bundle: &ModelBundle, name: &str) -> (Vec<i8>, f32) {
    let view = bundle.bundle().tensor(name).unwrap();
    let trits = trits::decode(view.layout.unwrap(), view.shape[0], view.shape[1], view.bytes).unwrap();
    (trits, view.scale.unwrap())
}

/// The trits that a loaded model computes with.
fn engine_trits(model: &Loaded, name: &str) -> Vec<i8> {
    let array = model.weight(&format!("{name}.trits")).unwrap().to_array::<f64>().unwrap();
    array.ints().iter().map(|t| *t as i8).collect()
}

fn engine_f32s(model: &Loaded, name: &str) -> Vec<f32> {
    let array = model.weight(name).unwrap().to_array::<f64>().unwrap();
    array.to_f64().iter().map(|x| *x as f32).collect()
}

fn f32s(bundle: &ModelBundle, name: &str) -> Vec<f32> {
    bundle.bundle().tensor(name).unwrap().f32s().unwrap().to_vec()
}

#[test]
fn packed_numbers_are_those_of_the_engine() {
    for config in variants() {
        let (_dir, path) = folder(&config);
        let mut model = Loaded::open(&path).unwrap();
        model.prepare(&pool()).unwrap();
        for layout in LAYOUTS {
            for embedding in EmbeddingType::ALL {
                let (_dir, bundle) = packed(&path, layout, embedding);
                assert_eq!(bundle.config(), &model.config);
                assert_eq!((bundle.layout(), bundle.embedding_type()), (Some(layout), embedding));
                assert!(bundle.warnings().is_empty());
                let file = std::fs::read(path.join("config.json")).unwrap();
                assert_eq!(bundle.bundle().bytes("config.json").unwrap(), file);
                for name in projections(&config) {
                    let (trits, scale) = trits_of(&bundle, &name);
                    assert_eq!(trits, engine_trits(&model, &name), "{name}");
                    let expected = engine_f32s(&model, &format!("{name}.scale"))[0];
                    assert_eq!(scale.to_bits(), expected.to_bits(), "{name}");
                }
                let exact = |name: &str, expected: &[f32]| {
                    let bits = |list: &[f32]| list.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&f32s(&bundle, name)), bits(expected), "{name}");
                };
                if config.use_lower_bound {
                    exact("lower_bounds_eff", &engine_f32s(&model, "lower_bounds_eff"));
                }
                for (name, _) in config.expected_tensors() {
                    if !projections(&config).contains(&name) && name != "model.embeddings.weight" {
                        exact(&name, model.parameters[&name].f32());
                    }
                }
            }
        }
    }
}

#[test]
fn embeddings_are_rounded_as_documented() {
    let (_dir, path) = folder(&config());
    let master = Loaded::open(&path).unwrap().parameters["model.embeddings.weight"].f32().to_vec();
    let name = "model.embeddings.weight";
    let (_a, f32_bundle) = packed(&path, TritLayout::Compute, EmbeddingType::F32);
    assert_eq!(f32s(&f32_bundle, name), master);
    let (_b, bf16_bundle) = packed(&path, TritLayout::Compute, EmbeddingType::Bf16);
    let expected: Vec<bf16> = master.iter().map(|x| bf16::from_f32(*x)).collect();
    assert_eq!(bf16_bundle.bundle().tensor(name).unwrap().bf16s().unwrap(), expected);
    let (_c, i8_bundle) = packed(&path, TritLayout::Compute, EmbeddingType::I8);
    let q = i8_bundle.bundle().tensor(name).unwrap().i8s().unwrap();
    let scales = f32s(&i8_bundle, "model.embeddings.weight.scale");
    for (r, row) in master.chunks(34).enumerate() {
        let absmax = row.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        assert_eq!(scales[r], absmax / 127.0);
        for (c, w) in row.iter().enumerate() {
            let q = q[34 * r + c];
            let exact = f64::from(*w) * 127.0 / f64::from(absmax);
            assert!((f64::from(q) - exact).abs() <= 0.5, "{q} for {exact}");
            assert!((f32::from(q) * scales[r] - w).abs() <= 0.5001 * scales[r]);
        }
    }
}

#[test]
fn golden_trits_are_exact_and_scales_agree() {
    for case in ["case_a", "case_b", "case_c_shortconv_patched"] {
        let Some(dir) = golden(&format!("matmulfree/{case}")) else { continue };
        let golden = TensorFile::open(dir.join("quant_weights.safetensors")).unwrap();
        let master = TensorFile::open(dir.join("model.safetensors")).unwrap();
        for layout in LAYOUTS {
            let (_dir, bundle) = packed(&dir, layout, EmbeddingType::F32);
            let names = bundle.config().projections();
            assert_eq!(golden.names().count(), 2 * names.len(), "{case}");
            for name in names {
                let (trits, scale) = trits_of(&bundle, &name);
                let expected = golden.to_i64(&format!("{name}.trits")).unwrap();
                assert_eq!(
                    trits.iter().map(|t| i64::from(*t)).collect::<Vec<_>>(),
                    expected,
                    "{case} {name}"
                );
                // Both round |W| sums to f32, in different orders: each is as near to the true quotient as the engine's
                // quantiser is held to be.
                let weights = master.to_f64(&name).unwrap();
                let exact = weights.len() as f64 / weights.iter().map(|w| w.abs()).sum::<f64>();
                let off = |scale: f32| (f64::from(scale) / exact - 1.0).abs();
                let reference = golden.to_f32(&format!("{name}.scale")).unwrap()[0];
                assert!(
                    off(scale) <= 2e-7 && off(reference) <= 2e-7,
                    "{case} {name}: {scale} {reference} {exact}"
                );
            }
        }
    }
}

#[test]
fn unpacked_weights_quantise_to_the_same() {
    for config in variants() {
        let (_dir, path) = folder(&config);
        for embedding in EmbeddingType::ALL {
            for dtype in FLOATS {
                let (_dir, bundle) = packed(&path, TritLayout::Compute, embedding);
                let out = tempfile::tempdir().unwrap();
                let unpacked = out.path().join("unpacked");
                let notes = convert(bundle.bundle().path(), &unpacked, Form::Folder(dtype));
                let mut model = Loaded::open(&unpacked).unwrap();
                model.prepare(&pool()).unwrap();
                let untied = config.tie_word_embeddings && !model.config.tie_word_embeddings();
                assert_eq!(untied, !notes.is_empty());
                // An embedding that was not rounded needs no head of its own.
                assert!(
                    !untied
                        || embedding != EmbeddingType::F32
                        || dtype == FloatType::Bf16
                        || dtype == FloatType::F16
                );
                for name in projections(&config) {
                    let (trits, scale) = trits_of(&bundle, &name);
                    assert_eq!(trits, engine_trits(&model, &name), "{name}");
                    let again = engine_f32s(&model, &format!("{name}.scale"))[0];
                    let nonzero = trits.iter().filter(|t| **t != 0).count();
                    // One step of the type on one weight of all; the matrix of zeros has a scale of its own.
                    let bound = match dtype {
                        FloatType::Bf16 => 2.0_f32.powi(-7) / nonzero.max(1) as f32 + 2.0_f32.powi(-22),
                        FloatType::F16 => 2.0_f32.powi(-10) / nonzero.max(1) as f32 + 2.0_f32.powi(-22),
                        FloatType::F32 | FloatType::F64 => 0.0,
                    };
                    assert!((again / scale - 1.0).abs() <= bound, "{name} {dtype:?}: {again} for {scale}");
                }
                for (name, _) in config.expected_tensors() {
                    if !projections(&config).contains(&name) && name != "model.embeddings.weight" {
                        let stored = f32s(&bundle, &name);
                        let expected: Vec<f32> = match dtype {
                            FloatType::Bf16 => stored.iter().map(|x| bf16::from_f32(*x).to_f32()).collect(),
                            FloatType::F16 => stored.iter().map(|x| f16::from_f32(*x).to_f32()).collect(),
                            _ => stored,
                        };
                        assert_eq!(model.parameters[&name].f32(), expected, "{name}");
                    }
                }
                // Packed again: the same numbers.
                let (_dir, again) = packed(&unpacked, TritLayout::Compute, EmbeddingType::F32);
                for name in projections(&config) {
                    assert_eq!(trits_of(&again, &name).0, trits_of(&bundle, &name).0);
                    if dtype == FloatType::F32 {
                        assert_eq!(trits_of(&again, &name).1, trits_of(&bundle, &name).1);
                    }
                }
            }
        }
    }
}

#[test]
fn bundles_convert_into_one_another() {
    let (_dir, path) = folder(&config());
    let bytes = |model: &ModelBundle| std::fs::read(model.bundle().path()).unwrap();
    for from in LAYOUTS {
        let (_from, source) = packed(&path, from, EmbeddingType::F32);
        for to in LAYOUTS {
            for embedding in EmbeddingType::ALL {
                // A bundle that is converted is the bundle that would have been packed.
                let (_a, converted) = packed(source.bundle().path(), to, embedding);
                let (_b, direct) = packed(&path, to, embedding);
                assert_eq!(bytes(&converted), bytes(&direct), "{from} to {to}");
            }
        }
    }
    let (_a, small) = packed(&path, TritLayout::Storage, EmbeddingType::I8);
    let (_b, wide) = packed(small.bundle().path(), TritLayout::Compute, EmbeddingType::F32);
    let (_c, again) = packed(wide.bundle().path(), TritLayout::Storage, EmbeddingType::I8);
    let name = "model.embeddings.weight";
    assert_eq!(again.bundle().tensor(name).unwrap().bytes, small.bundle().tensor(name).unwrap().bytes);
}

#[test]
fn folders_convert_into_one_another() {
    let (_dir, path) = folder(&config());
    let out = tempfile::tempdir().unwrap();
    let read = |dir: &Path| std::fs::read(dir.join("model.safetensors")).unwrap();
    std::fs::write(path.join("tokenizer.json"), models::tokenizer::byte_level_json()).unwrap();
    for dtype in FLOATS {
        let to = out.path().join(dtype.torch_name());
        convert(&path, &to, Form::Folder(dtype));
        let folder = ModelFolder::open(&to).unwrap();
        assert_eq!(folder.config()["torch_dtype"], dtype.torch_name());
        assert!(folder.tokenizer_path().is_some());
        // The same bytes as the saver that has all tensors in memory.
        let reference = out.path().join("reference");
        let tensors: Vec<NamedTensor<'_>> = {
            let source = ModelFolder::open(&path).unwrap();
            let names = config().expected_tensors();
            names
                .into_iter()
                .map(|(name, shape)| {
                    let values = source.weights().to_f32(&name).unwrap();
                    NamedTensor::f32(name, &shape, values)
                })
                .collect()
        };
        save_folder(&reference, &config().to_json(), &tensors, SaveOptions { dtype, ..Default::default() })
            .unwrap();
        assert!(read(&to) == read(&reference), "{dtype:?}");
        let back = out.path().join("back");
        convert(&to, &back, Form::Folder(dtype));
        assert!(read(&to) == read(&back), "{dtype:?} to itself");
    }
    // f64 keeps what f32 would lose.
    let tensors: Vec<NamedTensor<'_>> = config()
        .init(3)
        .into_iter()
        .map(|t| {
            let count = t.shape.iter().product::<usize>();
            NamedTensor::f64(
                t.name.clone(),
                &t.shape,
                (0..count).map(|i| 1.0 / (i as f64 + 3.0)).collect::<Vec<_>>(),
            )
        })
        .collect();
    let double = out.path().join("double");
    save_folder(
        &double,
        &config().to_json(),
        &tensors,
        SaveOptions { dtype: FloatType::F64, ..Default::default() },
    )
    .unwrap();
    let to = out.path().join("double-again");
    convert(&double, &to, Form::Folder(FloatType::F64));
    assert!(read(&double) == read(&to));
}

#[test]
fn synthetic_models_are_the_same_packed_or_not() {
    let shape = Shape::find("mmfree-1m").unwrap();
    let out = tempfile::tempdir().unwrap();
    let at = |name: &str| out.path().join(name);
    let options = PackOptions::default();
    let model = Model::synthetic(shape, 5);
    write(&model, &at("model"), Form::Folder(FloatType::F32), &pool(), &mut |_| {}).unwrap();
    write(&model, &at("direct.fid"), Form::Bundle(options), &pool(), &mut |_| {}).unwrap();
    convert(&at("model"), &at("packed.fid"), Form::Bundle(options));
    let read = |name: &str| std::fs::read(at(name)).unwrap();
    assert!(read("direct.fid") == read("packed.fid"));
    // Unpacked in f32 and packed again: the same file to the last byte.
    convert(&at("direct.fid"), &at("unpacked"), Form::Folder(FloatType::F32));
    convert(&at("unpacked"), &at("again.fid"), Form::Bundle(options));
    assert!(read("direct.fid") == read("again.fid"));
    let loaded = Loaded::open(at("model")).unwrap();
    assert!(loaded.tokenizer.is_some());
    for tensor in shape.config().init(5) {
        let models::safetensors::Values::F32(values) = &tensor.values else { panic!() };
        assert!(loaded.parameters[&tensor.name].f32() == &values[..], "{}", tensor.name);
    }
    write(&Model::synthetic(shape, 6), &at("other.fid"), Form::Bundle(options), &pool(), &mut |_| {})
        .unwrap();
    assert!(read("direct.fid") != read("other.fid"));
}

#[test]
fn what_a_form_cannot_hold_is_told() {
    let (dir, path) = folder(&config());
    let fails = |tensors: &[NamedTensor<'_>], form: Form, parts: &[&str]| {
        let broken = dir.path().join("broken");
        save_folder(&broken, &config().to_json(), tensors, SaveOptions::default()).unwrap();
        let to = dir.path().join("out.fid");
        let error = write(&Model::open(&broken).unwrap(), &to, form, &pool(), &mut |_| {}).unwrap_err();
        let text = format!("{error:#}");
        parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text}"));
        assert!(!to.exists());
    };
    let with = |name: &str, value: f32| {
        let mut tensors = config().init(1);
        let tensor = tensors.iter_mut().find(|t| t.name == name).unwrap();
        let mut values = vec![0.25; tensor.shape.iter().product()];
        values[7] = value;
        *tensor = NamedTensor::f32(name, &tensor.shape, values);
        tensors
    };
    let bundle = |embedding| Form::Bundle(PackOptions { embedding: Some(embedding), ..Default::default() });
    let (projection, embedding) = ("model.layers.0.mlp.down_proj.weight", "model.embeddings.weight");
    fails(
        &with(projection, f32::NAN),
        bundle(EmbeddingType::F32),
        &[projection, "finite", "NaN at element 7"],
    );
    fails(&with(projection, f32::INFINITY), bundle(EmbeddingType::F32), &[projection, "inf at element 7"]);
    fails(&with(embedding, f32::MAX), bundle(EmbeddingType::Bf16), &[embedding, "bf16", "element 7", "f32"]);
    fails(&with(embedding, f32::NAN), bundle(EmbeddingType::I8), &[embedding, "i8", "element 7"]);
    fails(&with(embedding, 1e6), Form::Folder(FloatType::F16), &[embedding, "float16", "element 7"]);
    drop(path);
}
