//! Progress on standard error: a bar on a terminal, a line now and then elsewhere.
//!
//! Standard output belongs to results. Lines that are not for a terminal end up in files and services' logs,
//! where one line a second is plenty and a moving bar is noise.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::TrainPoint;

/// Time between lines where there is no bar.
const INTERVAL: Duration = Duration::from_secs(2);

/// Where progress goes.
pub struct Progress {
    sink: Sink,
    steps: u64,
    /// Smoothed seconds and tokens per step.
    pace: Option<(f64, f64)>,
}

enum Sink {
    Silent,
    Bar(ProgressBar),
    Lines { out: Box<dyn Write + Send>, last: Option<Instant>, every: Duration },
}

/// What a line of progress says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapshot {
    /// Updates done.
    pub done: u64,
    /// Updates of the whole run.
    pub steps: u64,
    /// The last loss.
    pub loss: f64,
    /// The last learning rate.
    pub lr: f64,
    /// Tokens per second, smoothed.
    pub tokens_per_second: f64,
    /// Seconds until the end at this pace.
    pub seconds_left: f64,
}

impl std::fmt::Display for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "step {}/{}  loss {:.4}  lr {:.2e}  {:.0} tokens/s  {} left",
            self.done,
            self.steps,
            self.loss,
            self.lr,
            self.tokens_per_second,
            clock(self.seconds_left)
        )
    }
}

impl Progress {
    /// A bar if standard error is a terminal, lines if not. `done` steps are done already.
    pub fn to_stderr(steps: u64, done: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self::lines(Box::new(io::stderr()), steps, INTERVAL);
        }
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(8));
        // A template that does not parse leaves the default style.
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_position(done);
        Progress { sink: Sink::Bar(bar), steps, pace: None }
    }

    /// Lines to a writer, at most one per `every`; the last step always gets one.
    pub fn lines(out: Box<dyn Write + Send>, steps: u64, every: Duration) -> Self {
        Progress { sink: Sink::Lines { out, last: None, every }, steps, pace: None }
    }

    /// No progress.
    pub fn silent() -> Self {
        Progress { sink: Sink::Silent, steps: 0, pace: None }
    }

    /// Takes note of one update.
    pub fn step(&mut self, point: &TrainPoint) {
        let (seconds, tokens) = (point.seconds, point.tokens as f64);
        // An exponential mean over some twenty steps: steady, and it follows a change of pace.
        let (mean_seconds, mean_tokens) =
            self.pace.map_or((seconds, tokens), |(s, t)| (s + (seconds - s) / 20.0, t + (tokens - t) / 20.0));
        self.pace = Some((mean_seconds, mean_tokens));
        let done = point.step + 1;
        let snapshot = Snapshot {
            done,
            steps: self.steps,
            loss: point.loss,
            lr: point.lr,
            tokens_per_second: if mean_seconds > 0.0 { mean_tokens / mean_seconds } else { 0.0 },
            seconds_left: self.steps.saturating_sub(done) as f64 * mean_seconds,
        };
        match &mut self.sink {
            Sink::Silent => {}
            Sink::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(snapshot.to_string());
            }
            Sink::Lines { out, last, every } => {
                if done == self.steps || last.is_none_or(|last| last.elapsed() >= *every) {
                    *last = Some(Instant::now());
                    let _ = writeln!(out, "{snapshot}"); // a closed pipe is no reason to stop training
                }
            }
        }
    }

    /// Shows a line that stays.
    pub fn say(&mut self, text: &str) {
        match &mut self.sink {
            Sink::Silent => {}
            Sink::Bar(bar) => bar.println(text),
            Sink::Lines { out, .. } => {
                let _ = writeln!(out, "{text}");
            }
        }
    }

    /// Leaves the bar as it stands.
    pub fn finish(&mut self) {
        if let Sink::Bar(bar) = &self.sink {
            bar.abandon();
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("steps", &self.steps)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

/// `1:02:03` or `2:03`.
fn clock(seconds: f64) -> String {
    let total = seconds.clamp(0.0, 3.6e9).round() as u64;
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}
