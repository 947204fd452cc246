//! Any text is an expression or an error: the obligations of the fuzz target on random texts and on its corpus.

use proptest::prelude::*;
use std::path::Path;

// A library of its own, for which this function is public.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/expression.rs"]
mod expression;

#[test]
fn the_corpus_keeps_the_obligations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/expression");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        expression::check(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 10);
}

const WORDS: [&str; 44] = [
    "x", "y", "1", "0.1", "-2", "1e308", "1e-400", ".", "+", "-", "*", "/", "^", "**", "(", ")", ",", ";",
    "=", "==", "!=", "<", "<=", " and ", " or ", " not ", "!", "if ", " then ", " else ", " elif ",
    "let a = ", "a", "exp(", "log(", "max(", "sqrt(", "floor(", "sigmoid(", "pi", "e", "≤", "²", "\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn words_in_any_order(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..40)) {
        expression::check(words.concat().as_bytes());
    }

    #[test]
    fn any_text(text in ".{0,80}") {
        expression::check(text.as_bytes());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        expression::check(&bytes);
    }
}
