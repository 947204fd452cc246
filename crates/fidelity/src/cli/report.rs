//! How an error is told: its cause, then its remedy, then the exit code.

use super::print::{Closed, note};
use anyhow::{Error, Result};
use fidelity::error::Fault;
use models::ModelError;
use models::tokenizer::TokenizerError;
use std::process::ExitCode;
use train::TrainError;

/// Tells what went wrong, if anything did.
pub(super) fn finish(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.chain().any(|e| e.is::<Closed>()) => ExitCode::SUCCESS,
        Err(error) => {
            let (cause, remedy) = explain(&error);
            note(&format!("error: {cause}"));
            note(&format!("help: {remedy}"));
            ExitCode::FAILURE
        }
    }
}

/// Cause and remedy of an error, with what was being done put before the cause.
fn explain(error: &Error) -> (String, String) {
    let mut before = String::new();
    for e in error.chain() {
        let text = e.to_string();
        let known = if let Some(fault) = e.downcast_ref::<Fault>() {
            Some(fault.remedy().to_owned())
        } else if let Some(error) = e.downcast_ref::<ModelError>() {
            Some(error.remedy().to_owned())
        } else if let Some(error) = e.downcast_ref::<TrainError>() {
            Some(remedy_of_training(error, &text))
        } else {
            e.downcast_ref::<TokenizerError>().map(|_| last_part(&text))
        };
        if let Some(remedy) = known.filter(|r| !r.is_empty()) {
            let cause =
                text.strip_suffix(&remedy).map_or(text.as_str(), |t| t.trim_end_matches(['\n', ' ', ';']));
            return (format!("{before}{cause}"), remedy);
        }
        before.push_str(&text);
        before.push_str(": ");
    }
    // Errors without a remedy of their own: those of the library end in one by habit.
    let whole = before.trim_end_matches(": ").to_owned();
    match whole
        .rsplit_once("; ")
        .or_else(|| whole.rsplit_once(": use ").map(|(cause, _)| (cause, &whole[cause.len() + 2..])))
    {
        Some((cause, remedy)) => (cause.to_owned(), remedy.to_owned()),
        None => {
            (whole, "`fidelity help` and `fidelity <verb> --help` show the forms of every command".into())
        }
    }
}

fn remedy_of_training(error: &TrainError, text: &str) -> String {
    match error {
        TrainError::Missing { remedy, .. }
        | TrainError::Read { remedy, .. }
        | TrainError::Write { remedy, .. }
        | TrainError::TooShort { remedy, .. }
        | TrainError::Split { remedy, .. }
        | TrainError::Mismatch { remedy, .. } => (*remedy).to_owned(),
        TrainError::UnknownKey { hint, .. } => hint.clone(),
        _ => match last_part(text) {
            part if part.is_empty() => {
                "`fidelity train --print-config` shows every key with its default".to_owned()
            }
            part => part,
        },
    }
}

/// What follows the last semicolon: where the messages of these crates put the remedy.
fn last_part(text: &str) -> String {
    text.rsplit_once("; ").map_or(String::new(), |(_, remedy)| remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn cause_and_remedy_are_told_apart() {
        let fault: Error = Fault::new("no; really", "do this; then that").into();
        assert_eq!(explain(&fault), ("no; really".into(), "do this; then that".into()));
        let fault = fault.context("while reading");
        assert_eq!(explain(&fault).0, "while reading: no; really");
        let (cause, remedy) = explain(&anyhow!("gradients need the whole sequence: use --form sequence"));
        assert_eq!(cause, "gradients need the whole sequence");
        assert_eq!(remedy, "use --form sequence");
        assert!(explain(&anyhow!("plain")).1.contains("--help"));
    }

    #[test]
    fn errors_of_the_crates_keep_their_remedies() {
        let path = std::path::Path::new("nowhere/model");
        let error: Error = models::folder::ModelFolder::open(path).unwrap_err().into();
        let (cause, remedy) = explain(&error);
        assert!(cause.contains("nowhere/model") && !cause.ends_with(';'), "{cause}");
        assert_eq!(remedy, "check the path");
        let error: Error = train::TrainConfig::load(path, &[]).unwrap_err().into();
        assert!(explain(&error).1.contains("check the path"));
    }
}
