//! The kernels and codecs on aarch64, on a machine that is none: cross-compiled, and run by qemu.
//!
//! What has another form there, or depends on the order of bytes or the size of a pointer, is tested as it is on
//! this machine; and the published numbers are reproduced end to end. Needed are a cross linker and qemu, from Debian
//! or Ubuntu, and Rust's standard library for the target: from rustup where rustup can fetch it, else from Debian's
//! packages, unpacked below `target/` and not installed. The second run needs no network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, cargo, output, root, succeed};
use crate::setup;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Whether this is a machine that the tests are cross-compiled on.
pub(crate) const POSSIBLE: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Packages of Debian and Ubuntu.
const PACKAGES: &[&str] = &["qemu-user", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];
/// Where those packages put the target's C library.
const LIBC: &str = "/usr/aarch64-linux-gnu";

/// Debian's compiler, its libraries, and its standard library for both machines; with the LLVM that it names.
const DEBIAN: &[&str] = &["rustc-web", "libstd-rust-web-dev", "libstd-rust-web-dev:arm64"];

/// Tests that run for every processor: the crates that hold kernels and codecs, and a model end to end.
const TESTS: &str = "-p axes -p barewire -p engine -p fidelity --lib --test trits --test blocks --test bundle --test kernels_* \
                     --test conformance --test golden_* --test bundle_runs";

/// What is repeated on a processor that lacks what the newest one has: products have other instructions there.
const OLDER: &str = "-p engine --test kernels_blocks --test kernels_packed --test kernels_products";

/// Installs what is missing, builds, and runs.
pub(crate) fn test() -> Result<(), Failure> {
    if cfg!(target_arch = "aarch64") {
        println!("this is an aarch64 machine: `cargo xtask test` has tested it");
        return Ok(());
    }
    if !POSSIBLE {
        return Err(Failure::new(
            "the aarch64 tests are cross-compiled on Linux on x86-64 only",
            "run them there, or `cargo xtask test` on an aarch64 machine",
        ));
    }
    if !has_tools() {
        setup::apt_packages(PACKAGES)?;
    }
    if !has_tools() {
        return Err(Failure::new(
            format!("qemu-aarch64, aarch64-linux-gnu-gcc or {LIBC}/lib is missing"),
            format!("install what your system has in place of {}", PACKAGES.join(", ")),
        ));
    }
    let toolchain = Toolchain::find()?;
    setup::crates()?;
    let tests = "correct the code or the test that failed; `cargo xtask arm` repeats it";
    let lints = "--release --locked --offline -p axes -p barewire -p engine --lib -- -D warnings";
    // Debian's compiler comes without clippy; the code that only this target has is linted where rustup's does.
    if toolchain.compiler.is_none() {
        succeed(toolchain.cargo("clippy", lints, "max"), "follow the hints above")?;
    }
    for (processor, tests_of_it) in [("max", TESTS), ("cortex-a53", OLDER)] {
        println!("\n== aarch64, {processor}");
        let options = format!("--release --locked --offline {tests_of_it}");
        succeed(toolchain.cargo("test", &options, processor), tests)?;
    }
    Ok(())
}

/// Whether linker, C library and qemu are here, from wherever.
fn has_tools() -> bool {
    setup::runs("qemu-aarch64")
        && setup::runs("aarch64-linux-gnu-gcc")
        && Path::new(LIBC).join("lib").is_dir()
}

/// What compiles for the target.
struct Toolchain {
    /// Instead of the one that cargo would take, with a folder for what it builds.
    compiler: Option<(PathBuf, PathBuf)>,
}

impl Toolchain {
    /// The one that is here, else from rustup, else from Debian.
    fn find() -> Result<Self, Failure> {
        if has_target(Path::new("rustc")) {
            return Ok(Self { compiler: None });
        }
        println!("installing: Rust's standard library for {TARGET}, by rustup");
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", TARGET]).current_dir(root());
        if succeed(rustup, "").is_ok() && has_target(Path::new("rustc")) {
            return Ok(Self { compiler: None });
        }
        let folder = root().join("target/arm-debian");
        let compiler = folder.join("rustc");
        if !has_target(&compiler) {
            println!("rustup cannot; taking Debian's compiler instead");
            unpack_debian(&folder, &compiler)?;
        }
        Ok(Self { compiler: Some((compiler, folder.join("target"))) })
    }

    /// A call of cargo for the target, whose programs run as on `processor`; `options` are words between spaces.
    fn cargo(&self, verb: &str, options: &str, processor: &str) -> Command {
        let mut command = cargo(&[verb, "--target", TARGET]);
        command.args(options.split_whitespace());
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc").env(
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
            format!("qemu-aarch64 -L {LIBC} -cpu {processor}"),
        );
        if let Some((compiler, target)) = &self.compiler {
            command.env("RUSTC", compiler).env("CARGO_TARGET_DIR", target);
        }
        command
    }
}

/// Whether a compiler runs and has the target's standard library.
fn has_target(compiler: &Path) -> bool {
    let mut command = Command::new(compiler);
    command.args(["--print", "target-libdir", "--target", TARGET]).current_dir(root());
    let Some(folder) = output(command) else { return false };
    let files = fs::read_dir(folder.trim()).into_iter().flatten().flatten();
    files.map(|file| file.file_name()).any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// Fetches Debian's packages and unpacks them into `folder`, with a script `compiler` that starts what is in them.
///
/// apt gets lists and a cache of its own there, so that the machine's are not touched and no rights are needed.
fn unpack_debian(folder: &Path, compiler: &Path) -> Result<(), Failure> {
    let remedy =
        "run `rustup target add aarch64-unknown-linux-gnu` where the network is, or do without these tests";
    let io = |error: std::io::Error| {
        Failure::new(format!("cannot write {}: {error}", folder.display()), "check its permissions")
    };
    let _ = fs::remove_dir_all(folder);
    for below in ["lists/partial", "cache/archives/partial", "root"] {
        fs::create_dir_all(folder.join(below)).map_err(io)?;
    }
    let apt = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        for architecture in ["amd64", "arm64"] {
            command.args(["-o", &format!("APT::Architectures::={architecture}")]);
        }
        command.args(["-o", &format!("Dir::State::Lists={}", folder.join("lists").display())]);
        command.args(["-o", &format!("Dir::Cache={}", folder.join("cache").display())]);
        command.args(["-o", "APT::Sandbox::User=", "-qq"]).args(arguments).current_dir(folder);
        command
    };
    succeed(apt("apt-get", &["update"]), remedy)?;
    // The version is part of these two names.
    let mut packages = DEBIAN.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (of, start) in [("libstd-rust-web-dev", "libstd-rust-web-"), ("", "libllvm")] {
        let of = if of.is_empty() { packages.last().cloned().unwrap_or_default() } else { of.to_owned() };
        let list = output(apt("apt-cache", &["depends", &of])).unwrap_or_default();
        let found = list.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let Some(name) = found.filter(|name| name.starts_with(start)).map(str::to_owned).next() else {
            return Err(Failure::new(format!("`{of}` is not among this system's packages"), remedy));
        };
        packages.push(name);
    }
    println!("fetching, and unpacking into {}: {}", folder.display(), packages.join(" "));
    let mut arguments = vec!["download"];
    arguments.extend(packages.iter().map(String::as_str));
    succeed(apt("apt-get", &arguments), remedy)?;
    for file in fs::read_dir(folder).map_err(io)?.flatten() {
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let mut dpkg = Command::new("dpkg");
            dpkg.arg("-x").arg(&path).arg(folder.join("root"));
            succeed(dpkg, remedy)?;
            fs::remove_file(&path).map_err(io)?;
        }
    }
    for below in ["lists", "cache"] {
        let _ = fs::remove_dir_all(folder.join(below));
    }
    // Its libraries are not where the system looks for them.
    let script = "#!/bin/sh\n\
                  here=$(cd \"$(dirname \"$0\")\" && pwd)/root/usr\n\
                  LD_LIBRARY_PATH=\"$here/lib/x86_64-linux-gnu\" exec \"$here/bin/rustc\" \"$@\"\n";
    fs::write(compiler, script).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(compiler, fs::Permissions::from_mode(0o755)).map_err(io)?;
    }
    if has_target(compiler) {
        return Ok(());
    }
    Err(Failure::new(format!("{} does not run, or lacks {TARGET}", compiler.display()), remedy))
}
