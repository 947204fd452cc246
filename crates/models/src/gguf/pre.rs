//! How a byte-pair-encoding tokenizer cuts a text before it merges: the regular expressions that belong to the names under
//! `tokenizer.ggml.pre`.
//!
//! A GGUF file names its cutting by the model that had it first. The expressions are those of the `tokenizer.json` files
//! of these models; several are applied one after the other, each to the pieces that the one before left.

/// A cutting with its names.
#[derive(Debug)]
pub(super) struct Pre {
    /// Names in files; the first is the one that is written.
    pub(super) names: &'static [&'static str],
    /// What to cut at, in turn; matches are pieces of their own.
    pub(super) patterns: &'static [&'static str],
    /// Whether a piece that is a token is taken as it is, whatever its merges give.
    pub(super) whole_pieces: bool,
    /// Whether texts begin with the first token, where no key says so.
    pub(super) add_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// The cuttings that are known.
pub(super) const KNOWN: &[Pre] = &[
    Pre {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        patterns: &[LLAMA3],
        whole_pieces: true,
        add_bos: true,
    },
    Pre {
        names: &["smaug-bpe", "dbrx", "chatglm-bpe"],
        patterns: &[LLAMA3],
        whole_pieces: false,
        add_bos: false,
    },
    Pre { names: &["glm4"], patterns: &[LLAMA3], whole_pieces: true, add_bos: false },
    Pre {
        names: &[
            "qwen2",
            "deepseek-r1-qwen",
            "stablelm2",
            "hunyuan",
            "megrez",
            "grok-2",
            "solar-open",
            "kormo",
        ],
        patterns: &[QWEN2],
        whole_pieces: false,
        add_bos: false,
    },
    Pre { names: &["qwen35"], patterns: &[QWEN35], whole_pieces: false, add_bos: false },
    Pre {
        names: &[
            "gpt-2",
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "exaone4",
            "roberta-bpe",
            "jina-v1-en",
            "jina-v2-code",
            "jina-v2-es",
            "jina-v2-de",
            "jina-es",
            "jina-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "granite-docling",
        ],
        patterns: &[GPT2],
        whole_pieces: false,
        add_bos: false,
    },
    Pre {
        names: &[
            "starcoder",
            "refact",
            "command-r",
            "smollm",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        patterns: &[r"\p{N}", GPT2],
        whole_pieces: false,
        add_bos: false,
    },
    Pre {
        names: &["falcon"],
        patterns: &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
        whole_pieces: false,
        add_bos: false,
    },
    Pre {
        names: &["deepseek-coder"],
        patterns: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
        whole_pieces: false,
        add_bos: false,
    },
    Pre {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm"],
        patterns: &[r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3],
        whole_pieces: false,
        add_bos: false,
    },
    Pre {
        names: &["gpt-4o", "llama4", "kanana2", "minimax-m2"],
        patterns: &[GPT4O],
        whole_pieces: false,
        add_bos: false,
    },
    Pre { names: &["tekken"], patterns: &[TEKKEN], whole_pieces: true, add_bos: true },
    Pre {
        names: &["bloom", "poro-chat", "gpt3-finnish"],
        patterns: &[r" ?[^(\s|.,!?…。，、।۔،)]+"],
        whole_pieces: false,
        add_bos: false,
    },
    Pre {
        names: &["viking"],
        patterns: &[r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"],
        whole_pieces: false,
        add_bos: false,
    },
    Pre {
        names: &["default"],
        patterns: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        whole_pieces: false,
        add_bos: false,
    },
];

/// The cutting of that name.
pub(super) fn named(name: &str) -> Option<&'static Pre> {
    KNOWN.iter().find(|pre| pre.names.contains(&name))
}

/// The cutting that has these expressions.
pub(super) fn matching(patterns: &[&str], whole_pieces: bool) -> Option<&'static Pre> {
    let mut list = KNOWN.iter().filter(|pre| pre.patterns == patterns);
    list.find(|pre| pre.whole_pieces == whole_pieces)
}
