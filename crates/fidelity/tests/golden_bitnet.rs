//! BitNet b1.58 against the data made by the published implementation.

mod common;
use axes::{BlockFormat, TritLayout};
use common::golden;
use engine::pool::Pool;
use fidelity::convert::{Form as Target, Model, write};
use fidelity::eval::{Arithmetic, Batch, Cut, Request};
use fidelity::generate::{Generator, Options};
use fidelity::loaded::Loaded;
use models::bundle::{EmbeddingType, PackOptions};
use models::forms::{CacheType, Form};
use models::generation::Sampling;
use models::safetensors::{FloatType, TensorFile};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> Option<PathBuf> {
    golden("bitnet_b158")
}

fn batch(dir: &Path) -> Batch {
    let f = TensorFile::open(dir.join("io.safetensors")).unwrap();
    let shape = f.tensor("input_ids").unwrap().shape.to_vec();
    let input_ids = f.to_i64("input_ids").unwrap();
    Batch {
        batch: shape[0],
        length: shape[1],
        labels: Some(input_ids.clone()),
        input_ids,
        ..Batch::default()
    }
}

/// The float tensors of a file.
fn read(dir: &Path, name: &str) -> BTreeMap<String, Vec<f64>> {
    let file = TensorFile::open(dir.join(name)).unwrap();
    file.names().filter_map(|name| Some((name.to_string(), file.to_f64(name).ok()?))).collect()
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d.is_nan() { f64::NAN } else { m.max(d) })
}

/// The largest difference that the bar allows.
fn bar(want: &[f64]) -> f64 {
    (1e-5 * want.iter().fold(0f64, |m, x| m.max(x.abs()))).max(2e-5)
}

#[test]
fn logits_loss_hidden_states_and_gradients() {
    let Some(dir) = folder() else { return };
    let model = Loaded::open(&dir).unwrap();
    let request = Request { hidden: true, grads: true, ..Default::default() };
    let got = model.eval(&batch(&dir), &request, &Arc::new(Pool::new(2))).unwrap().values;
    let want = read(&dir, "io.safetensors");
    for name in ["logits", "hidden_states.0", "hidden_states.1", "hidden_states.2"] {
        let d = worst(&got[name].to_f64(), &want[name]);
        println!("{name}: {d:e}");
        assert!(d <= bar(&want[name]), "{name}: {d:e}");
    }
    let d = (got["loss"].to_f64()[0] - want["loss"][0]).abs();
    println!("loss: {d:e}");
    assert!(d <= 1e-5, "loss: {d:e}");
    let grads = read(&dir, "grads.safetensors");
    assert_eq!(grads.len(), model.parameters.len());
    let mut most = 0.0f64;
    for (name, want) in &grads {
        let found = got[&format!("grad.{name}")].to_f64();
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let error = norm(&mut found.iter().zip(want).map(|(a, b)| a - b));
        let relative = error / norm(&mut want.iter().copied()).max(1e-30);
        most = most.max(relative);
        assert!(relative <= 3e-5, "grad.{name}: {relative:e}");
    }
    println!("gradients: {most:e} relative L2 at most");
}

#[test]
fn every_form_and_precision() {
    let Some(dir) = folder() else { return };
    let model = Loaded::open(&dir).unwrap();
    let (batch, pool) = (batch(&dir), Arc::new(Pool::new(2)));
    let want = read(&dir, "io.safetensors");
    for integer in [false, true] {
        for cut in [Cut::Sequence, Cut::Stream, Cut::Chunks(vec![5, 1, 8])] {
            let request = Request { cut: cut.clone(), integer, ..Default::default() };
            let got = model.eval(&batch, &request, &pool).unwrap().values;
            let logits = got["logits"].to_f64();
            for name in ["logits", "logits_step"] {
                let d = worst(&logits, &want[name]);
                assert!(d <= bar(&want[name]), "{cut:?}, integer {integer}, {name}: {d:e}");
            }
            assert!((got["loss"].to_f64()[0] - want["loss"][0]).abs() <= 1e-5);
        }
    }
    let request = Request { arithmetic: Arithmetic::F64, cut: Cut::Chunks(vec![9]), ..Default::default() };
    let got = model.eval(&batch, &request, &pool).unwrap().values;
    let d = worst(&got["logits"].to_f64(), &want["logits_f64"]);
    println!("f64: {d:e}");
    assert!(d <= bar(&want["logits"]), "f64: {d:e}");
}

/// Greedy tokens, also with a prompt read whole, in pieces, after a snapshot, with any number of threads.
fn greedy(model: &mut Loaded, prompt: &[u32], count: usize, threads: usize, restart: bool) -> Vec<u32> {
    greedy_with(model, prompt, count, threads, restart, CacheType::F32)
}

fn greedy_with(
    model: &mut Loaded,
    prompt: &[u32],
    count: usize,
    threads: usize,
    restart: bool,
    cache: CacheType,
) -> Vec<u32> {
    let sampling = Sampling { temperature: 0.0, ..Default::default() };
    let max_tokens = if restart { 7 } else { count };
    let options = Options { sampling, max_tokens, ignore_eos: true, cache, ..Default::default() };
    let pool = Arc::new(Pool::new(threads));
    let mut generator = Generator::new(model, &options, &pool).unwrap();
    generator.feed(prompt).unwrap();
    let mut tokens = generator.generate(&mut |_| Ok(())).unwrap().tokens;
    while tokens.len() < count {
        let dir = tempfile::tempdir().unwrap();
        generator.snapshot().unwrap().write(&dir.path().join("s")).unwrap();
        let snapshot = fidelity::state::Snapshot::read(&dir.path().join("s")).unwrap();
        assert_eq!(snapshot.cache, Some(cache));
        generator.reset();
        generator.restore(&snapshot, false).unwrap();
        tokens.extend(generator.generate(&mut |_| Ok(())).unwrap().tokens);
    }
    tokens.truncate(count);
    tokens
}

#[test]
fn greedy_tokens_are_those_of_the_reference() {
    let Some(dir) = folder() else { return };
    let mut model = Loaded::open(&dir).unwrap();
    let f = TensorFile::open(dir.join("io.safetensors")).unwrap();
    let ids = |name: &str| f.to_i64(name).unwrap().into_iter().map(|x| x as u32).collect::<Vec<u32>>();
    let (prompt, mut want) = (ids("gen_prompt"), ids("gen_tokens"));
    // The file has the prompt before them.
    assert_eq!(want[..prompt.len()], prompt);
    want.drain(..prompt.len());
    for cache in [CacheType::F32, CacheType::I8] {
        for (threads, restart) in [(1, false), (3, false), (1, true)] {
            let got = greedy_with(&mut model, &prompt, want.len(), threads, restart, cache);
            assert_eq!(got, want, "{threads} threads, {cache}, restart {restart}");
        }
    }
}

/// A state with caches of one type does not go on in caches of the other, and says what to do.
#[test]
fn states_name_the_type_of_their_caches() {
    let Some(dir) = folder() else { return };
    let pool = Arc::new(Pool::new(1));
    let mut model = Loaded::open(&dir).unwrap();
    let options = |cache| Options { cache, ..Default::default() };
    let snapshot = {
        let mut generator = Generator::new(&mut model, &options(CacheType::I8), &pool).unwrap();
        generator.feed(&[1, 2, 3]).unwrap();
        generator.snapshot().unwrap()
    };
    let mut generator = Generator::new(&mut model, &options(CacheType::F32), &pool).unwrap();
    let error = format!("{:#}", generator.restore(&snapshot, false).unwrap_err());
    assert!(error.contains("cached as int8"), "{error}");
}

#[test]
fn packed_folders_have_both_meanings_of_the_scale() {
    let Some(dir) = folder().map(|dir| dir.join("packed")) else { return };
    let (batch, pool) = (batch(dir.parent().unwrap()), Arc::new(Pool::new(1)));
    let want = read(&dir, "io_packed.safetensors");
    let name = want.keys().find(|name| name.contains("logits")).unwrap().clone();
    let check = |dir: &Path| {
        let model = Loaded::open(dir).unwrap();
        let got = model.eval(&batch, &Request::default(), &pool).unwrap().values;
        let d = worst(&got["logits"].to_f64(), &want[&name]);
        assert!(d <= bar(&want[&name]), "{}: {d:e}", dir.display());
    };
    check(&dir);
    // The other class: the same weights with the scales the other way round.
    let other = tempfile::tempdir().unwrap();
    let mut config = models::json::read(&dir.join("config.json")).unwrap();
    config["quantization_config"]["linear_class"] = "bitlinear".into();
    models::folder::write_json(&other.path().join("config.json"), &config).unwrap();
    let file = TensorFile::open(dir.join("model.safetensors")).unwrap();
    let tensors: Vec<_> = (file.names())
        .map(|name| {
            let view = file.tensor(name).unwrap();
            if view.dtype == models::safetensors::Dtype::U8 {
                let values = models::safetensors::Values::U8(view.bytes.to_vec().into());
                return models::safetensors::NamedTensor {
                    name: name.into(),
                    shape: view.shape.to_vec(),
                    values,
                };
            }
            let mut values = view.to_f32().unwrap();
            if name.ends_with("weight_scale") {
                values.iter_mut().for_each(|x| *x = 1.0 / *x);
            }
            models::safetensors::NamedTensor::f32(name, view.shape, values)
        })
        .collect();
    models::safetensors::write(&other.path().join("model.safetensors"), &tensors, &Default::default())
        .unwrap();
    check(other.path());
}

#[test]
fn bundles_give_the_same() {
    let Some(dir) = folder() else { return };
    let (inputs, pool) = (batch(&dir), Arc::new(Pool::new(2)));
    let want = read(&dir, "io.safetensors");
    let temporary = tempfile::tempdir().unwrap();
    let mut masters = Loaded::open(&dir).unwrap();
    for from in [dir.clone(), dir.join("packed")] {
        for layout in [TritLayout::Compute, TritLayout::Interchange, TritLayout::Storage] {
            let path = temporary.path().join("model.fid");
            let options = PackOptions { layout, ..Default::default() };
            write(&Model::open(&from).unwrap(), &path, Target::Bundle(options), &pool, &mut |_| {}).unwrap();
            let mut model = Loaded::open(&path).unwrap();
            let got = model.eval(&inputs, &Request::default(), &pool).unwrap().values;
            let d = worst(&got["logits"].to_f64(), &want["logits"]);
            assert!(d <= bar(&want["logits"]), "{layout}: {d:e}");
            assert_eq!(
                greedy(&mut model, &[1, 2, 3], 20, 1, false),
                greedy(&mut masters, &[1, 2, 3], 20, 2, false)
            );
            let back = temporary.path().join("back");
            let unpacked = Model::open(&path).unwrap();
            write(&unpacked, &back, Target::Folder(FloatType::F32), &pool, &mut |_| {}).unwrap();
            let got = Loaded::open(&back).unwrap().eval(&inputs, &Request::default(), &pool).unwrap().values;
            let d = worst(&got["logits"].to_f64(), &want["logits"]);
            assert!(d <= bar(&want["logits"]), "{layout}, unpacked: {d:e}");
        }
    }
    // Narrower heads and embeddings differ by their own rounding only: close, and the same from form to form.
    for embedding in [EmbeddingType::Bf16, EmbeddingType::I8, EmbeddingType::Block(BlockFormat::F16)] {
        let path = temporary.path().join("model.fid");
        let options = PackOptions { embedding: Some(embedding), ..Default::default() };
        write(&Model::open(&dir).unwrap(), &path, Target::Bundle(options), &pool, &mut |_| {}).unwrap();
        let model = Loaded::open(&path).unwrap();
        let logits = |cut: Cut| {
            let request = Request { cut, ..Default::default() };
            model.eval(&inputs, &request, &pool).unwrap().values["logits"].to_f64()
        };
        let whole = logits(Cut::Sequence);
        let d = worst(&whole, &want["logits"]);
        println!("{}: {d:e}", embedding.name());
        assert!(d <= 0.05, "{}: {d:e}", embedding.name());
        assert!(worst(&logits(Cut::Stream), &whole) <= 2e-5, "{}", embedding.name());
    }
}

/// A prompt of several chunks gives the bits of its tokens one by one, and caches of int8 stay close to those of floats.
#[test]
fn prompts_in_chunks_and_narrow_caches() {
    let shape = models::shapes::Shape::find("bitnet-1m").unwrap();
    let parameters = shape.config().init(3).into_iter().map(|t| {
        let models::safetensors::Values::F32(values) = t.values else { panic!("floats") };
        (t.name, engine::Tensor::from_f32(t.shape, &values))
    });
    let mut model = Loaded::from_parts(shape.config(), parameters.collect(), None);
    let tokens: Vec<u32> = (0..700).map(|k| (k * k * 7 + 13 * k) as u32 % 256).collect();
    let mut made: Vec<Vec<f32>> = vec![];
    for cache in [CacheType::F32, CacheType::I8] {
        for threads in [1, 2] {
            let pool = Arc::new(Pool::new(threads));
            let mut stream = model.stream_with(1, Form::Prepared, cache, &pool).unwrap();
            made.push(stream.feed(&tokens).unwrap().to_vec());
            if threads == 1 {
                stream.reset();
                tokens.iter().for_each(|token| {
                    stream.step(&[*token]).unwrap();
                });
                assert!(stream.logits() == made[made.len() - 1], "{cache}: chunks and steps differ");
            }
        }
    }
    assert!(made[0] == made[1] && made[2] == made[3], "threads change the result");
    let wide: Vec<f64> = made[0].iter().map(|x| f64::from(*x)).collect();
    let narrow: Vec<f64> = made[2].iter().map(|x| f64::from(*x)).collect();
    let peak = wide.iter().fold(0f64, |m, x| m.max(x.abs()));
    println!("int8 cache: {:e} of {peak:e}", worst(&narrow, &wide));
    assert!(worst(&narrow, &wide) <= 0.1 * peak);
}

/// Qwen3 on the same parts: a folder's sequence form, its steps through the cache, f64 and generation agree.
#[test]
fn qwen3_has_two_forms_that_agree() {
    use models::qwen3::Qwen3Config;
    let config = Qwen3Config {
        vocab_size: 256,
        hidden_size: 48,
        intermediate_size: 80,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 16,
        initializer_range: 0.2,
        ..Default::default()
    };
    let config: models::architecture::ModelConfig = config.into();
    let dir = tempfile::tempdir().unwrap();
    models::folder::save_folder(dir.path(), &config.to_json(), &config.init(5), Default::default()).unwrap();
    let mut model = Loaded::open(dir.path()).unwrap();
    let pool = Arc::new(Pool::new(2));
    let input_ids: Vec<i64> = (0..2 * 21).map(|k| (k * 37 + 5) % 256).collect();
    let inputs =
        Batch { batch: 2, length: 21, labels: Some(input_ids.clone()), input_ids, ..Batch::default() };
    let run = |cut: Cut, arithmetic| {
        let request = Request { cut, arithmetic, ..Default::default() };
        model.eval(&inputs, &request, &pool).unwrap().values["logits"].to_f64()
    };
    let whole = run(Cut::Sequence, Arithmetic::F32);
    assert!(whole.iter().any(|x| x.abs() > 0.1));
    assert!(worst(&run(Cut::Sequence, Arithmetic::F64), &whole) <= 2e-5);
    assert!(worst(&run(Cut::Stream, Arithmetic::F32), &whole) <= 2e-5);
    assert!(worst(&run(Cut::Chunks(vec![8, 3]), Arithmetic::F64), &whole) <= 2e-5);
    let request = Request { grads: true, ..Default::default() };
    let made = model.eval(&inputs, &request, &pool).unwrap().values;
    assert!(made["grad.model.layers.0.self_attn.q_norm.weight"].to_f64().iter().any(|x| *x != 0.0));
    let tokens = greedy(&mut model, &[1, 2, 3], 90, 1, false);
    assert_eq!(greedy(&mut model, &[1, 2, 3], 90, 3, true), tokens);
}
