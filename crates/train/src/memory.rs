//! The memory of this process, as the system tells it.

/// Resident and peak memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Bytes resident now.
    pub resident: u64,
    /// The most bytes that were ever resident.
    pub peak: u64,
}

impl ProcessMemory {
    /// What the system says of this process; `None` where it does not tell (only Linux does so far).
    ///
    /// ```
    /// if let Some(memory) = train::memory::ProcessMemory::now() {
    ///     assert!(memory.resident > 0);
    /// }
    /// ```
    pub fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    /// From the text of `/proc/PID/status`.
    fn parse(status: &str) -> Option<Self> {
        let bytes = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
        };
        let resident = bytes("VmRSS:")?;
        // The kernel updates the peak now and then; it is never below what is resident.
        Some(ProcessMemory { resident, peak: bytes("VmHWM:").unwrap_or(0).max(resident) })
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessMemory;

    #[test]
    fn reads_the_kernels_text() {
        let text = "Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\n";
        assert_eq!(ProcessMemory::parse(text), Some(ProcessMemory { resident: 1_024_000, peak: 2_048_000 }));
        let late = "VmHWM:\t 900 kB\nVmRSS:\t 1000 kB\n";
        assert_eq!(ProcessMemory::parse(late).unwrap().peak, 1_024_000);
        for broken in ["", "VmRSS:\n", "VmRSS: x kB\n", "VmRSS: 99999999999999999999 kB\n"] {
            assert_eq!(ProcessMemory::parse(broken), None, "{broken:?}");
        }
    }
}
