//! The comments that a printed configuration carries, one for every section and key.

/// Puts a comment above every section and key of a serialised configuration.
pub(super) fn write(toml: &str) -> String {
    let mut out =
        String::from("# Settings of a training run. Every key is optional; these are their values.\n");
    out.push_str(
        "# Relative paths are taken from the current folder; ${NAME} and ${NAME:-default} in a path\n",
    );
    out.push_str("# stand for environment variables.\n");
    let mut section = String::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            if let Some(text) = comment(name) {
                out.push_str(&format!("\n# {text}\n"));
            }
        } else if let Some((key, _)) = line.split_once(" = ") {
            let name = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            if let Some(text) = comment(&name) {
                out.push_str(&format!("# {text}\n"));
            }
        } else if line.is_empty() {
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// What a section or key means; `None` only for keys that do not exist (a test holds this).
pub(super) fn comment(key: &str) -> Option<&'static str> {
    Some(match key {
        "engine" => {
            "\"engine\" (its kernels, all threads) or \"compiled\" (native code by MLIR's tools, one thread)."
        }
        "model" => "What is trained.",
        "model.architecture" => {
            "\"matmulfree\" (MLGRU token mixer, GLU channel mixer, ternary weights), or another model_type: bitnet, mamba, xlstm, ..."
        }
        "model.linear" => {
            "Projections: \"full\", \"ternary\" or \"binary\"; \"\" are the architecture's own."
        }
        "model.blocks" => "Token mixers of architecture \"hybrid\", block by block; a shorter list repeats.",
        "model.options" => "Further keys of the architecture's config.json; they overrule those above.",
        "task" => "A built-in task that is trained on instead of text.",
        "task.name" => {
            "\"selective_copying\", \"induction\", \"mqar\", \"parity\", \"listops\" or \"digits\"; \"\" trains on data.train."
        }
        "task.length" => "Tokens of a row before its answers; 0 is the task's own.",
        "task.items" => "Tokens that are copied, pairs that are recalled; 0 is the task's own.",
        "task.vocabulary" => "Tokens of the vocabulary; 0 is the task's own.",
        "task.path" => "Table of digits: CSV (also .gz) or IDX; \"\" is where it is looked for.",
        "task.examples" => "Held-out examples of an evaluation; 0 is 512.",
        "task.eval_lengths" => "Lengths at which the trained model is evaluated at the end.",
        "task.until" => "The run ends once this share of the held-out answers is right; 0 is never.",
        "model.init_from" => {
            "A model folder to start from; its config.json overrules the sizes below. \"\" starts from random weights."
        }
        "model.init_seed" => "Seed of the random initial weights.",
        "model.initializer_range" => "Standard deviation of the random initial weights.",
        "model.vocab_size" => "Entries of the vocabulary; 0 takes the tokenizer's.",
        "model.hidden_size" => "Width of the residual stream.",
        "model.num_hidden_layers" => "Number of blocks.",
        "model.num_heads" => "Heads of the token mixer.",
        "model.expand_ratio" => "Width of the recurrent state, as a multiple of hidden_size.",
        "model.hidden_ratio" => {
            "Width of the channel mixer as a multiple of hidden_size, when intermediate_size is 0."
        }
        "model.intermediate_size" => "Width of the channel mixer; 0 derives it from hidden_ratio.",
        "model.use_lower_bound" => "Learned lower bounds of the forget gate that rise with depth.",
        "model.use_short_conv" => "A short causal convolution before the gates.",
        "model.conv_size" => "Length of that convolution.",
        "model.share_conv_kernel" => "One convolution for all gates instead of one for each.",
        "model.rms_norm_eps" => "Epsilon of the norms around each block.",
        "model.tie_word_embeddings" => "Whether the output head shares the embedding's weights.",
        "model.mlgru_form" => {
            "\"released\" (the published models), \"paper\" or \"article\" (tanh candidate, plain gate)."
        }
        "data" => "What it is trained on.",
        "data.train" => {
            "Files, folders (all files below, sorted) and patterns (\"src/**/*.rs\"), in this order."
        }
        "data.extensions" => "Endings that files found in folders must have; [] takes any file that is text.",
        "data.max_bytes" => "Read only this many bytes of the training text; 0 reads all of it.",
        "data.document_separator" => {
            "Text that separates documents within a file; \"\" makes each file one document."
        }
        "data.tokenizer" => "\"bytes\" (each byte is a token), a tokenizer.json, or a folder that holds one.",
        "data.eos_token_id" => "Id put after each document; -1 takes the tokenizer's own, if it has one.",
        "data.sampler" => {
            "\"shuffled-documents\" (epochs) or \"random-windows\" (offsets drawn by splitmix64)."
        }
        "data.seq_len" => "Tokens per sequence.",
        "data.seed" => "Seed of the order in which sequences come.",
        "data.cache" => "Whether tokenised text is kept on disk for the next run.",
        "data.cache_dir" => "Where it is kept; \"\" is the folder cache under output.dir.",
        "data.validation" => "What is held back to measure the loss on.",
        "data.validation.kind" => {
            "\"auto\" (documents if there are 20 or more, else blocks), \"documents\", \"blocks\", \"files\" or \"none\"."
        }
        "data.validation.fraction" => "documents: share of them, chosen by a hash of their text.",
        "data.validation.seed" => "documents: another seed chooses others.",
        "data.validation.block_bytes" => "blocks: the text is cut into blocks of this many bytes ...",
        "data.validation.every" => "blocks: ... and of this many blocks one is held back,",
        "data.validation.offset" => "blocks: ... this one, counted from 0.",
        "data.validation.files" => "files: files, folders and patterns.",
        "optimizer" => "How a gradient becomes an update.",
        "optimizer.kind" => {
            "\"adamw\", \"adam\", \"sgd\", \"lion\", \"muon\" (matrices of the blocks), \"bop\" (flips of trits) or \"schedule-free\"."
        }
        "optimizer.lr" => "Peak learning rate.",
        "optimizer.betas" => {
            "Decay rates of the first and the second moment (lion, schedule-free: their two betas)."
        }
        "optimizer.eps" => "Added to the root of the second moment.",
        "optimizer.weight_decay" => "Weight decay, decoupled from the gradient but for \"adam\".",
        "optimizer.momentum" => "sgd, muon: decay rate of the momentum; 0 (sgd) keeps none.",
        "optimizer.nesterov" => "sgd, muon: whether the step looks ahead along the momentum.",
        "optimizer.bop_gamma" => "bop: share of a new gradient in the average.",
        "optimizer.bop_threshold" => "bop: a trit moves where the average's magnitude reaches this.",
        "optimizer.no_decay" => "Patterns of the parameter names that are not decayed; [] decays all.",
        "optimizer.grad_clip" => "The gradient is scaled down to this global norm; 0 leaves it alone.",
        "quantizer" => "How gradients pass the quantiser of the ternary weights.",
        "quantizer.surrogate" => {
            "\"ste\", or clipped, hard-tanh, tanh, reste, trust (same forward, integer products), tequila (a bias), or dsq, softmax, lsq, ramp, stochastic, proximal (another forward, products of floats)."
        }
        "quantizer.from" => {
            "First value of the surrogate's parameter (λ of ramp, temperature of softmax, ...); \"auto\": its own."
        }
        "quantizer.to" => "Last value of the parameter; \"auto\": the surrogate's own.",
        "quantizer.until" => {
            "Share of the run after which it is reached; from there on a surrogate with another forward is \"ste\". \"auto\": its own."
        }
        "quantizer.transform" => {
            "What becomes of the gradients of ternary weights: \"none\", \"ewgs\", \"ags-bounded\", \"ags-flip-rate\" or, for ablation, \"ags-literal\". Not derivatives."
        }
        "quantizer.strength" => {
            "ewgs: δ (auto: 0.2); ags-bounded: the largest gain (auto: 4); ags-flip-rate: speed of the control (auto: 0.05)."
        }
        "quantizer.horizon" => "ags-bounded: steps in which a weight may be carried over its threshold.",
        "quantizer.flip_rate" => {
            "ags-flip-rate: share of the trits to flip per update at the peak learning rate."
        }
        "schedule" => "How the learning rate and the weight decay change over the run.",
        "schedule.kind" => {
            "\"constant\", \"linear\", \"cosine\", \"cosine-halve-midway\" (MatMul-free paper) or \"two-stage\" (BitNet)."
        }
        "schedule.warmup_steps" => "Steps in which the learning rate rises to its peak.",
        "schedule.final_fraction" => "Learning rate at the end as a share of the peak.",
        "schedule.switch_at" => {
            "cosine-halve-midway, two-stage: where the second stage begins, as a share of the run."
        }
        "schedule.second_lr_fraction" => "two-stage: the second stage's learning rate is multiplied by this.",
        "schedule.second_weight_decay" => "two-stage: the second stage's weight decay.",
        "train" => "The loop.",
        "train.steps" => "Number of updates.",
        "train.batch_size" => "Sequences per batch.",
        "train.accumulate" => "Batches whose gradients are averaged for one update.",
        "train.eval_every" => "Steps between evaluations; 0 evaluates only at the end.",
        "train.eval_windows" => "Windows of the validation text that are evaluated, evenly spread.",
        "train.eval_batch_size" => "Windows per evaluation batch.",
        "train.keep_best" => "Whether the weights with the lowest validation loss are kept.",
        "train.early_stopping_patience" => {
            "Stop after this many evaluations without improvement; 0 never stops."
        }
        "train.early_stopping_min_delta" => "How much lower the loss must be to count as an improvement.",
        "train.checkpoint_every" => "Steps between checkpoints; 0 writes one only at the end.",
        "train.keep_checkpoints" => "How many of the latest checkpoints are kept.",
        "train.products" => {
            "\"integer\" (int8 activations times trits, in integers) or \"float\" (fake-quantised floats)."
        }
        "train.gradients" => {
            "What gradients wait in for the update: \"f32\", or \"bf16\" in half of the memory."
        }
        "train.fuse" => {
            "Whether ops are fused; false runs them one by one and recomputes nothing, to see what fusion is worth."
        }
        "train.memory" => {
            "What weights, moments and plan may take, such as \"64MiB\"; values are then computed again. \"0\": no limit."
        }
        "train.threads" => "Threads; 0 is one per core.",
        "train.deterministic" => {
            "Whether the numbers must be the same on every run and any number of threads."
        }
        "train.log_every" => "Steps between lines of the log and points of the curve.",
        "train.trits_every" => {
            "Steps between looks at the trits (flip rate, zeros, dead weights); 0 never looks. A look takes less time than a step."
        }
        "train.sample_prompt" => {
            "Text that a sample is generated from at each evaluation; \"\" generates none."
        }
        "train.sample_tokens" => "Length of that sample in tokens.",
        "precision" => {
            "In which arithmetic a step is done, and how sums of gradients and of the optimiser are kept."
        }
        "precision.scalar" => {
            "\"f32\" (the engine), or in the reference interpreter, hundreds of times slower \"f64\" and \"dd\", and more so \"f80\", \"f128\", \
             \"digits:N\"; weights and states between steps stay f32."
        }
        "precision.accumulator" => {
            "\"fast\" (the kernels' own), \"plain\", \"pairwise\", \"compensated\", \"f64\", \"f80\", \"f128\", or \"exact\" (no order matters); \
             all but the first are slower."
        }
        "output" => "Where results go.",
        "output.dir" => "Folder of the run: checkpoints, metrics, the page report.html, the trained model.",
        "output.tensorboard" => "Whether TensorBoard event files are written.",
        "output.page" => "Whether the page report.html is written: curves, flip rates, memory, samples.",
        _ => return None,
    })
}
