//! Matrices in blocks: multiplied where they lie, moved byte for byte, and what one scale for a matrix of many would lose.

use super::peers::compare;
use super::{batch, bitnet, convert, logits, masters, pool, qwen3, trits};
use barewire::blocks::{decode, encode};
use barewire::gguf::{GgmlType, Gguf, GgufTensor, GgufWriter, TensorSpec};
use fidelity::convert::{Form, Model, write, write_one_scale};
use fidelity::eval::Cut;
use fidelity::loaded::Loaded;
use models::bundle::PackOptions;
use models::decoder::Activation;
use models::exchange::Exchange;
use models::gguf::{GgufModel, GgufOptions};
use models::safetensors::FloatType;
use std::path::Path;

const GGUF: Form = Form::Gguf(GgufOptions { ternary: None, embedding: None });

/// The file again, tensors as `change` gives them: nothing leaves one out.
fn edited(from: &Path, to: &Path, change: impl Fn(&Gguf, &GgufTensor<'_>) -> Option<(GgmlType, Vec<u8>)>) {
    let file = Gguf::open(from).unwrap();
    let pairs: Vec<_> = file.metadata().map(|(key, value)| (key.to_owned(), value)).collect();
    let tensors: Vec<_> = file.tensors().filter_map(|t| Some((t, change(&file, &t)?))).collect();
    let specs: Vec<_> =
        tensors.iter().map(|(t, (kind, _))| TensorSpec::new(t.name, *kind, t.shape)).collect();
    let mut writer = GgufWriter::new(Vec::new(), &pairs, &specs).unwrap();
    tensors.iter().for_each(|(t, (_, bytes))| writer.tensor(t.name, bytes).unwrap());
    std::fs::write(to, writer.finish().unwrap()).unwrap();
}

/// Type and bytes of every tensor of the layers, embedding and head that is a matrix.
fn matrices(path: &Path) -> Vec<(String, GgmlType, Vec<u8>)> {
    let file = Gguf::open(path).unwrap();
    let matrix = |t: &GgufTensor<'_>| t.shape.len() == 2;
    file.tensors().filter(matrix).map(|t| (t.name.to_owned(), t.kind, t.bytes.to_vec())).collect()
}

/// Scales of its own in the blocks of these tensors, other types for some: what other programs write.
fn uneven(from: &Path, to: &Path, factor: f32) {
    edited(from, to, |file, t| {
        if t.name.ends_with(".scale") {
            return None;
        }
        if t.kind != GgmlType::TQ2_0 {
            return Some((t.kind, t.bytes.to_vec()));
        }
        let [_, columns] = t.matrix();
        let beside = file.tensor(&models::gguf::names::scale_of(t.name)).unwrap().f32s().unwrap()[0];
        let mut numbers = decode(axes::BlockFormat::Tq2_0, columns, t.bytes).unwrap();
        // The first layer keeps one scale.
        let many = t.name.starts_with("blk.1.");
        for (n, block) in numbers.chunks_mut(256).enumerate() {
            block.iter_mut().for_each(|x| *x *= if many && n % 3 == 1 { factor * beside } else { beside });
        }
        let kind = if t.name.contains("ffn_up") { GgmlType::TQ1_0 } else { GgmlType::TQ2_0 };
        Some((kind, encode(kind.format().unwrap(), columns, &numbers).unwrap()))
    });
}

#[test]
fn scales_that_differ_within_a_matrix_are_kept_run_and_merged_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let (start, even, gguf, near) =
        (place("masters"), place("even.gguf"), place("uneven.gguf"), place("near.gguf"));
    masters(&start, &bitnet(Activation::Silu, 2, 512, 256, 0.1));
    convert(&start, &even, GGUF);
    uneven(&even, &gguf, 2.0);
    let batch = batch(60, 256);
    let model = Loaded::open(&gguf).unwrap();
    assert_eq!(model.warnings.len(), 1, "{:?}", model.warnings);
    assert!(model.warnings[0].contains("7 matrices have scales that differ"));
    assert_eq!((model.config.formats().len(), model.config.projections().len()), (7, 7));
    let file = model.gguf().unwrap();
    for name in model.config.formats().keys() {
        let lies = file.tensor(name).unwrap().bytes.as_ptr();
        assert_eq!(model.weight(name).unwrap().bytes().as_ptr(), lies, "{name}");
    }
    let cuts = [Cut::Sequence, Cut::Stream];
    let expected = cuts.clone().map(|cut| logits(&gguf, &batch, cut));
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let spread = expected[0].iter().copied().fold(0.0, |most: f64, x| most.max(x.abs()));
    let steps = apart(&expected[0], &expected[1]);
    assert!(steps < 0.1 * spread, "{steps} of {spread}");
    // With scales that hardly differ it is the model of one scale, but for the rounding of activations by blocks.
    uneven(&even, &near, 1.001);
    let (one, many) = (logits(&even, &batch, Cut::Sequence), logits(&near, &batch, Cut::Sequence));
    let (rounding, change) = (apart(&one, &many), apart(&one, &expected[0]));
    assert!(rounding < 0.1 * spread && rounding < 0.5 * change, "{rounding} {change} {spread}");
    if let Some(found) = compare(&gguf, dir.path(), &batch) {
        println!("scales that differ: {found}");
        assert!(found["mean_kl"].as_f64().unwrap() < 0.05);
    }

    // Through every form that keeps blocks: types, bytes and logits.
    let (fid, back, again) = (place("a.fid"), place("back.gguf"), place("again.fid"));
    convert(&gguf, &fid, Form::Bundle(PackOptions::default()));
    convert(&fid, &back, GGUF);
    convert(&back, &again, Form::Bundle(PackOptions::default()));
    assert_eq!(std::fs::read(&fid).unwrap(), std::fs::read(&again).unwrap());
    let copied = place("copied.gguf");
    convert(&gguf, &copied, GGUF);
    let own = |path: &Path| {
        let list = matrices(path).into_iter();
        list.filter(|(name, ..)| name.starts_with("blk.1.")).collect::<Vec<_>>()
    };
    let found = own(&gguf);
    assert!(found.len() == 7 && found.iter().any(|(_, kind, _)| *kind == GgmlType::TQ1_0));
    assert!(own(&back) == found && own(&copied) == found);
    assert!(matrices(&copied) == matrices(&gguf), "each matrix keeps its type and bytes");
    for path in [&fid, &back, &copied] {
        for (cut, expected) in cuts.iter().zip(&expected) {
            assert!(logits(path, &batch, cut.clone()) == *expected, "{} {cut:?}", path.display());
        }
        assert_eq!(trits(path), trits(&gguf));
    }

    // Forms with one scale.
    let packed = place("packed");
    let i2_s = Form::Gguf(GgufOptions { ternary: Some(GgmlType::I2_S), embedding: None });
    for from in [&gguf, &fid] {
        let model = Model::open(from).unwrap();
        for form in [Form::Packed(None), Form::Folder(FloatType::F32), i2_s] {
            let error = write(&model, &packed, form, &pool(), &mut |_| {}).unwrap_err();
            let text = format!("{error:?}");
            assert!(
                text.contains("7 matrices") && text.contains(" %") && text.contains("--one-scale"),
                "{text}"
            );
            assert!(!packed.exists());
            let to = place(if form == i2_s { "one.gguf" } else { "one" });
            let notes = write_one_scale(&model, &to, form, &pool(), &mut |_| {}).unwrap();
            assert!(notes[0].contains("root mean square"), "{notes:?}");
            let signs =
                |numbers: &[f32]| numbers.iter().map(|x| (*x > 0.0) as i8 - (*x < 0.0) as i8).collect();
            let mut source = GgufModel::open(&gguf).unwrap();
            let wanted: Vec<Vec<i8>> = Model::open(&even)
                .unwrap()
                .config()
                .projections()
                .iter()
                .map(|name| signs(&source.numbers(name).unwrap()))
                .collect();
            let got: Vec<Vec<i8>> = trits(&to).into_iter().map(|(trits, _)| trits).collect();
            assert!(got == wanted, "{} {form:?}", from.display());
            assert!(logits(&to, &batch, Cut::Sequence).iter().all(|x| x.is_finite()));
        }
    }
    // One scale already: nothing is lost and nothing told.
    let even = Model::open(&even).unwrap();
    let told = write_one_scale(&even, &place("two"), Form::Packed(None), &pool(), &mut |_| {}).unwrap();
    assert!(told.is_empty(), "{told:?}");
}

/// GGUF, bundle, GGUF: every matrix in the bytes and the type that it had, each its own; used in place in both.
#[test]
fn bundles_hold_blocks_as_files_do() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch(20, 512);
    for tied in [true, false] {
        let place = |name: &str| dir.path().join(format!("{tied}-{name}"));
        let (start, plain, mixed) = (place("masters"), place("plain.gguf"), place("mixed.gguf"));
        masters(&start, &qwen3(tied));
        let q2_0 = GgufOptions { ternary: Some(GgmlType::Q2_0), embedding: Some(GgmlType::Q6_K) };
        convert(&start, &plain, Form::Gguf(q2_0));
        let kinds = [GgmlType::Q4_K, GgmlType::Q8_0, GgmlType::BF16, GgmlType::F32];
        edited(&plain, &mixed, |_, t| {
            let kind = match t.name {
                "blk.0.attn_q.weight" => kinds[0],
                "blk.2.ffn_down.weight" => kinds[1],
                "blk.1.attn_v.weight" => kinds[2],
                "blk.1.attn_k.weight" => kinds[3],
                "output.weight" => kinds[1],
                _ => return Some((t.kind, t.bytes.to_vec())),
            };
            let [_, columns] = t.matrix();
            let numbers = decode(t.kind.format()?, columns, t.bytes).unwrap();
            Some(match kind.format() {
                Some(format) => (kind, encode(format, columns, &numbers).unwrap()),
                None => (kind, numbers.iter().flat_map(|x| x.to_le_bytes()).collect()),
            })
        });
        let (fid, back, copied) = (place("a.fid"), place("back.gguf"), place("copied.gguf"));
        convert(&mixed, &fid, Form::Bundle(PackOptions::default()));
        convert(&fid, &back, GGUF);
        convert(&mixed, &copied, GGUF);
        let wanted = matrices(&mixed);
        assert!(matrices(&copied) == wanted, "GGUF to GGUF");
        assert!(matrices(&back) == wanted, "GGUF to bundle to GGUF");
        let model = Loaded::open(&fid).unwrap();
        let bundle = model.bundle().unwrap();
        for (name, format) in model.config.formats() {
            let section = models::bundle::block_section(name, *format);
            let lies = bundle.bundle().tensor(&section).unwrap().bytes.as_ptr();
            assert_eq!(model.weight(name).unwrap().bytes().as_ptr(), lies, "{name}");
        }
        assert_eq!(model.config.formats().len(), if tied { 21 } else { 22 });
        for cut in [Cut::Sequence, Cut::Stream] {
            assert!(logits(&fid, &batch, cut.clone()) == logits(&mixed, &batch, cut));
        }
        // From master weights, in blocks of a kind that is named; and in another.
        let (named, other, floats) = (place("named.fid"), place("other.fid"), place("floats"));
        let q6 = Some(axes::BlockFormat::Q6K);
        let options = PackOptions { matrices: q6, ..Default::default() };
        convert(&start, &named, Form::Bundle(options));
        let opened = Loaded::open(&named).unwrap();
        assert_eq!(opened.config.formats().len(), 21);
        assert!(opened.config.formats().values().all(|format| Some(*format) == q6));
        convert(&fid, &other, Form::Bundle(options));
        assert!(logits(&other, &batch, Cut::Sequence).iter().all(|x| x.is_finite()));
        // The numbers of the blocks are master weights.
        convert(&named, &floats, Form::Folder(FloatType::F32));
        let (a, b) = (logits(&floats, &batch, Cut::Sequence), logits(&named, &batch, Cut::Sequence));
        let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 0.05, "{apart}");
    }
}

/// Blocks with scales that differ, and what is beside them, are multiplied with where they lie.
#[test]
fn block_models_run_in_place_and_as_llama_cpp_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let named = |name: &str| barewire::gguf::GgmlType::named(name).unwrap();
    let batch = batch(200, 512);
    let mut peer = true;
    for (tied, kind, embedding) in [
        (true, "q2_0", Some("q6_k")),
        (false, "q2_0", Some("q8_0")),
        (true, "q4_0", Some("q4_0")),
        (true, "q8_0", None),
        (true, "q4_k", Some("q4_k")),
        (true, "q6_k", Some("q6_k")),
        (true, "q1_0", Some("q8_0")),
        (true, "tq2_0", Some("f16")),
        (true, "tq1_0", Some("f16")),
        (true, "f16", Some("bf16")),
        (true, "bf16", None),
        (true, "f32", None),
    ] {
        let start = dir.path().join(format!("masters-{tied}"));
        if !start.exists() {
            masters(&start, &qwen3(tied));
        }
        let gguf = dir.path().join(format!("{kind}-{tied}.gguf"));
        let options = GgufOptions { ternary: Some(named(kind)), embedding: embedding.map(named) };
        assert!(convert(&start, &gguf, Form::Gguf(options)).is_empty());
        let model = Loaded::open(&gguf).unwrap();
        let file = model.gguf().unwrap().file();
        for (name, shape) in model.config.expected_tensors() {
            if shape.len() == 2 {
                let theirs = models::gguf::names::to_gguf(&model.config, &name);
                let lies = file.tensor(&theirs).unwrap().bytes.as_ptr();
                let weight = model.weight(&name).unwrap();
                assert_eq!(weight.bytes().as_ptr(), lies, "{kind} {name}");
                // The reference interpreter takes bytes, too.
                let columns = weight.bytes().len() / shape[0] / if kind == "f32" { 4 } else { 1 };
                if embedding.is_some() {
                    assert_eq!(weight.to_array::<f64>().unwrap().shape, [shape[0], columns]);
                }
            }
        }
        // A token at a time is the same model to f32 sums; without a rounding of activations in between.
        let [whole, steps] = [Cut::Sequence, Cut::Stream].map(|cut| logits(&gguf, &batch, cut));
        let apart = whole.iter().zip(&steps).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 0.05, "{kind}: {apart}");
        if !peer {
            continue;
        }
        let Some(found) = compare(&gguf, dir.path(), &batch) else {
            peer = false;
            continue;
        };
        println!("{kind} {embedding:?}: {found}, sequence to steps {apart:e}");
        let mean = found["mean_kl"].as_f64().unwrap();
        assert!(mean <= 1e-3, "{kind}: {mean}");
    }
}
