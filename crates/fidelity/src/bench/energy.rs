//! Energy from the processor's own counters, where the system lets a user read them: Linux's powercap folders, whose
//! counters are of whole packages. They count what everything on the machine uses, and are not there in most virtual
//! machines; then joules are left out, never estimated.

use std::path::{Path, PathBuf};

/// The counters of all packages.
#[derive(Clone, Debug)]
pub struct Counter {
    /// Counter and the value behind which it begins again, in microjoules.
    packages: Vec<(PathBuf, u64)>,
}

/// A reading.
#[derive(Clone, Debug)]
pub struct Reading(Vec<u64>);

impl Counter {
    /// The counters of this machine.
    ///
    /// # Errors
    /// Why there are none, as a line for the reader.
    pub fn open() -> Result<Counter, String> {
        Counter::open_in(Path::new("/sys/class/powercap"))
    }

    fn open_in(folder: &Path) -> Result<Counter, String> {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Err("joules are left out: this system shows no energy counters (powercap)".into());
        };
        let mut packages = vec![];
        let mut refused = false;
        for zone in entries.flatten().map(|entry| entry.path()) {
            let name = std::fs::read_to_string(zone.join("name")).unwrap_or_default();
            // Zones below a package, such as its cores, are part of it; the platform's counts the packages again.
            if !name.trim().starts_with("package") {
                continue;
            }
            let range = number(&zone.join("max_energy_range_uj")).unwrap_or(u64::MAX);
            let counter = zone.join("energy_uj");
            match number(&counter) {
                Some(_) => packages.push((counter, range)),
                None => refused = true,
            }
        }
        packages.sort();
        if packages.is_empty() {
            let reason = if refused {
                "the energy counters may not be read by this user"
            } else {
                "there are no energy counters of a package"
            };
            return Err(format!("joules are left out: {reason}"));
        }
        Ok(Counter { packages })
    }

    /// Now.
    pub fn read(&self) -> Option<Reading> {
        self.packages.iter().map(|(path, _)| number(path)).collect::<Option<Vec<u64>>>().map(Reading)
    }

    /// Joules since a reading.
    pub fn since(&self, before: &Reading) -> Option<f64> {
        let now = self.read()?;
        let each = now.0.iter().zip(&before.0).zip(&self.packages);
        let used = each.map(|((now, before), (_, range))| {
            if now >= before { now - before } else { range.saturating_sub(*before).saturating_add(*now) }
        });
        Some(used.sum::<u64>() as f64 / 1e6)
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_added_up_and_counters_begin_again() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Counter::open_in(&dir.path().join("none")).unwrap_err().contains("powercap"));
        assert!(Counter::open_in(dir.path()).is_err());
        let zone = |name: &str, kind: &str, energy: u64| {
            let zone = dir.path().join(name);
            std::fs::create_dir_all(&zone).unwrap();
            for (file, text) in
                [("name", kind), ("energy_uj", &energy.to_string()), ("max_energy_range_uj", "10000000")]
            {
                std::fs::write(zone.join(file), format!("{text}\n")).unwrap();
            }
        };
        zone("a", "package-0", 9_000_000);
        zone("b", "package-1", 1_000_000);
        zone("c", "core", 5);
        let counter = Counter::open_in(dir.path()).unwrap();
        let before = counter.read().unwrap();
        zone("a", "package-0", 1_000_000);
        zone("b", "package-1", 1_500_000);
        zone("c", "core", 999);
        assert_eq!(counter.since(&before), Some(2.5));
    }
}
