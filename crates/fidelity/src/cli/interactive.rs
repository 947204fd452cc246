//! The chat prompt of `fidelity generate --interactive`.
//!
//! The models are language models without a template of turns, so a conversation is one text: the lines as they are
//! typed, each followed by what the model makes of it, a line feed between a turn and the next line. The recurrent
//! state holds all of it, at the same cost per token however long it gets.

use super::generate::Shown;
use super::print;
use anyhow::Result;
use fidelity::generate::{Generator, Options, prompt_tokens};
use models::ModelError;
use models::tokenizer::Tokenizer;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

const HELP: &str =
    "a line is read and gone on with; an empty line goes on; /reset forgets everything, /quit ends";

/// A conversation.
pub(super) struct Chat<'a> {
    generator: Generator<'a>,
    tokenizer: Tokenizer,
    bos: Option<u32>,
    options: Options,
    terminal: bool,
}

impl<'a> Chat<'a> {
    pub(super) fn new(
        generator: Generator<'a>,
        tokenizer: Tokenizer,
        bos: Option<u32>,
        options: Options,
    ) -> Chat<'a> {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Chat { generator, tokenizer, bos, options, terminal }
    }

    /// Answers `first`, if given, then every line of standard input.
    pub(super) fn run(mut self, first: Option<Vec<u8>>) -> Result<()> {
        if self.terminal {
            print::note(HELP);
        }
        if let Some(text) = first {
            self.turn(&text)?;
        }
        let mut stdin = std::io::stdin().lock();
        let mut line = vec![];
        loop {
            if self.terminal {
                let mut out = std::io::stderr();
                let _ = write!(out, "> ").and_then(|()| out.flush());
            }
            line.clear();
            let read = stdin.read_until(b'\n', &mut line);
            if read.map_err(|e| ModelError::io("read", Path::new("standard input"), e))? == 0 {
                return Ok(());
            }
            while line.last().is_some_and(|b| b"\r\n".contains(b)) {
                line.pop();
            }
            match line.as_slice() {
                b"/quit" | b"/exit" => return Ok(()),
                b"/help" => print::note(HELP),
                b"/reset" => {
                    self.generator.reset();
                    print::note("forgotten: the next line begins a new text");
                }
                text => self.turn(text)?,
            }
        }
    }

    fn turn(&mut self, text: &[u8]) -> Result<()> {
        let tokens = match (self.generator.position() == 0, text) {
            (true, _) => prompt_tokens(Some(&self.tokenizer), self.bos, text)?,
            (false, []) => vec![],
            (false, _) => self.tokenizer.encode_bytes(&[b"\n", text].concat())?,
        };
        self.generator.feed(&tokens)?;
        let mut shown = Shown::new(Some(&self.tokenizer), &self.options, true)?;
        let turn = self.generator.generate_while(&mut |token| shown.token(token))?;
        shown.finish()?;
        print::text("\n")?;
        let seconds = turn.time.as_secs_f64();
        let speed = turn.tokens.len() as f64 / seconds.max(1e-9);
        if self.terminal {
            print::note(&format!(
                "{} tokens, {speed:.0} tokens/s, {}",
                turn.tokens.len(),
                turn.finish.name()
            ));
        }
        Ok(())
    }
}
