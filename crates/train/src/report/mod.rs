//! The page of a run: one HTML file with every curve, the trits, memory, samples and the configuration.
//!
//! It is made from the log and the configuration alone ([`History`]), holds no script and loads nothing, so it works
//! from a folder, from an archive and in ten years. While the run goes on it asks the browser to read it again now and
//! then. Each writing replaces the file as a whole.

mod history;
mod panels;
mod samples;
mod settings;
mod style;
mod tiles;
mod units;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::checkpoint::atomic_write;
use crate::config::TrainConfig;
use crate::error::Result;
use crate::plot::{escape, style_sheet};

pub use history::{History, MemoryRow, RunFacts, TrainRow, ValidationRow};

/// The page's name in the folder of a run.
pub const PAGE: &str = "report.html";

/// How a run stands when its page is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Running,
    /// It has ended before its last update, for this reason.
    Ended(String),
    /// As far as this process knows it is not going on: it came to its end, or its page is made from its log.
    Over,
}

/// Writes the page, whole or not at all.
///
/// # Errors
/// [`TrainError::Write`](crate::TrainError::Write) if the disk refuses; the page that was there is then as it was.
pub fn write_page(path: &Path, config: &TrainConfig, history: &History, state: &State) -> Result<()> {
    let html = page(config, history, state);
    atomic_write(path, |out| out.write_all(html.as_bytes()))
}

/// Makes the page of the run in a folder anew from its log and its configuration. Returns the page's path.
///
/// # Errors
/// [`TrainError::Read`](crate::TrainError::Read) if the folder has no log or no configuration, those of
/// [`TrainConfig::from_toml`], and those of [`write_page`].
pub fn remake(dir: &Path) -> Result<PathBuf> {
    let history = History::read(&dir.join("metrics.jsonl"))?;
    let path = dir.join("config.toml");
    let text = std::fs::read_to_string(&path).map_err(|source| crate::TrainError::read(&path, source))?;
    let mut config = TrainConfig::from_toml(&text, &path.display().to_string())?;
    // The folder may have been moved since.
    config.output.dir = dir.into();
    let page = dir.join(PAGE);
    write_page(&page, &config, &history, &State::Over)?;
    Ok(page)
}

/// The page as text.
pub fn page(config: &TrainConfig, history: &History, state: &State) -> String {
    let dir = &config.output.dir;
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
    let name =
        full.file_name().map_or_else(|| dir.display().to_string(), |n| n.to_string_lossy().into_owned());
    let name = escape(&name);
    let refresh = match state {
        State::Running => "<meta http-equiv=\"refresh\" content=\"20\">\n",
        _ => "",
    };
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         {refresh}<title>{name}: training run</title>\n<style>\n{}\n{}</style>\n</head>\n<body>\n<main>\n",
        style_sheet(),
        style::css(),
    );
    tiles::header(&mut html, &name, config, history, state);
    section(&mut html, "Learning", "", |html| panels::learning(html, history));
    if history.run.as_ref().is_some_and(|run| !run.matrices.is_empty()) {
        let note = "What the model computes with: each weight is −1, 0 or +1, and learning means that some of them flip.";
        section(&mut html, "Ternary weights", note, |html| panels::ternary(html, history));
    }
    section(&mut html, "Speed and memory", "", |html| panels::resources(html, history));
    if !history.samples.is_empty() {
        section(&mut html, "What it writes", "", |html| samples::cards(html, config, history));
    }
    section(&mut html, "Configuration", "", |html| settings::table(html, config));
    let _ = write!(
        html,
        "<footer>Made by <code>fidelity train</code> from <code>metrics.jsonl</code> and <code>config.toml</code> in \
         <code>{}</code>. Written {}.</footer>\n</main>\n</body>\n</html>\n",
        escape(&dir.display().to_string()),
        units::now()
    );
    html
}

fn section(html: &mut String, title: &str, note: &str, content: impl FnOnce(&mut String)) {
    let _ = writeln!(html, "<section>\n<h2>{title}</h2>");
    if !note.is_empty() {
        let _ = writeln!(html, "<p class=\"note\">{note}</p>");
    }
    content(html);
    html.push_str("</section>\n");
}

/// Keeps the time spent on the page below a hundredth of the run's.
#[derive(Debug, Default)]
pub struct Budget {
    last: Option<Instant>,
    cost: Duration,
}

impl Budget {
    /// The share of the time that may go into the page, as its inverse.
    const SHARE: u32 = 100;

    /// Whether a page that costs as much as the last one is within the budget.
    pub fn allows(&self) -> bool {
        self.allows_at(Instant::now())
    }

    fn allows_at(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.cost * Self::SHARE)
    }

    /// Runs `write` and notes what it cost.
    pub fn spend<T>(&mut self, write: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let made = write();
        let end = Instant::now();
        (self.last, self.cost) = (Some(end), end - start);
        made
    }
}

#[cfg(test)]
mod tests;
