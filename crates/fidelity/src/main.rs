//! The `fidelity` command.

mod cli;

fn main() -> std::process::ExitCode {
    keep_file_size_limits_quiet();
    cli::main()
}

/// A write beyond the limit on a file's size (`ulimit -f`) sends a signal that ends the process without a word.
/// Blocked, here and in every thread to come, the write fails as on a full disk, and the error names the remedy.
fn keep_file_size_limits_quiet() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGXFSZ);
        // Where this fails, all is as without it.
        let _ = signals.thread_block();
    }
}
