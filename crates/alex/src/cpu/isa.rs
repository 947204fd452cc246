//! What instructions the kernels may name, and the one op that differs between them: sums of products of bytes.
//!
//! Everything else is written in portable vector ops, which LLVM turns into the target's own. The product of bytes is not:
//! of the portable spellings, the one that LLVM recognises (`vector.reduction` of a widened product) adds across lanes in
//! every step and reaches two thirds of the speed of the instruction called by name.

use super::{Bytes, Ints};
use crate::ir::{Builder, I8, I16, I32, Vector};

/// A family of instruction sets, as far as the kernels tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// x86-64: AVX-512 with VNNI, 64 products of bytes an instruction.
    Avx512,
    /// x86-64: AVX2, FMA and AVX-VNNI, 32 products of bytes an instruction.
    AvxVnni,
    /// x86-64: AVX2 and FMA; products of bytes go through 16 bits.
    Avx2,
    /// aarch64 with the dot-product extension, 16 products of bytes an instruction.
    NeonDot,
    /// Anything else: vectors of 128 bits in portable ops.
    Portable,
}

impl Isa {
    /// Every family, the best one first.
    pub const ALL: [Isa; 5] = [Isa::Avx512, Isa::AvxVnni, Isa::Avx2, Isa::NeonDot, Isa::Portable];

    /// The family of a target: the triple (`None`: this computer), the processor as LLVM names it (`native`: this
    /// computer's) and LLVM's feature list (`+avx512vnni,-dotprod`).
    ///
    /// A processor that is not known by name has what its features say, and else nothing beyond its architecture.
    ///
    /// ```
    /// use alex::cpu::Isa;
    /// assert_eq!(Isa::of(Some("x86_64-unknown-linux-gnu"), "znver4", ""), Isa::Avx512);
    /// assert_eq!(Isa::of(Some("aarch64-unknown-linux-gnu"), "generic", "+dotprod"), Isa::NeonDot);
    /// assert_eq!(Isa::of(Some("riscv64-unknown-linux-gnu"), "generic-rv64", "+v"), Isa::Portable);
    /// ```
    pub fn of(triple: Option<&str>, cpu: &str, features: &str) -> Isa {
        let arch = triple.map_or(std::env::consts::ARCH, |t| t.split('-').next().unwrap_or(t));
        let here = arch == std::env::consts::ARCH && cpu == "native";
        let on = |name: &str| features.split(',').any(|f| f.strip_prefix('+') == Some(name));
        let off = |name: &str| features.split(',').any(|f| f.strip_prefix('-') == Some(name));
        let base = match arch {
            _ if here => Isa::host(),
            "x86_64" => by_name(cpu),
            "aarch64" => arm_by_name(cpu),
            _ => Isa::Portable,
        };
        match arch {
            "x86_64" => {
                let wide = base == Isa::Avx512 && !off("avx512f") && !off("avx512vnni") && !off("avx512vbmi");
                let avx2 = (base != Isa::Portable || on("avx2") && on("fma")) && !off("avx2") && !off("fma");
                match (wide || on("avx512vnni") && on("avx512bw"), avx2) {
                    (true, true) => Isa::Avx512,
                    (_, true) if on("avxvnni") || base == Isa::AvxVnni && !off("avxvnni") => Isa::AvxVnni,
                    (_, true) => Isa::Avx2,
                    _ => Isa::Portable,
                }
            }
            "aarch64" if on("dotprod") || base == Isa::NeonDot && !off("dotprod") => Isa::NeonDot,
            _ => Isa::Portable,
        }
    }

    /// The family of this computer.
    pub fn host() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            return match avx2 {
                true if has!("avx512vnni") && has!("avx512bw") && has!("avx512vl") && has!("avx512vbmi") => {
                    Isa::Avx512
                }
                true if has!("avxvnni") => Isa::AvxVnni,
                true => Isa::Avx2,
                false => Isa::Portable,
            };
        }
        #[cfg(target_arch = "aarch64")]
        {
            return if std::arch::is_aarch64_feature_detected!("dotprod") {
                Isa::NeonDot
            } else {
                Isa::Portable
            };
        }
        #[allow(unreachable_code, reason = "the other architectures")]
        Isa::Portable
    }

    /// Bytes of a vector.
    pub const fn bytes(self) -> usize {
        match self {
            Isa::Avx512 => 64,
            Isa::AvxVnni | Isa::Avx2 => 32,
            Isa::NeonDot | Isa::Portable => 16,
        }
    }

    /// Elements of a vector of f32.
    pub const fn lanes(self) -> usize {
        self.bytes() / 4
    }

    /// Vector registers.
    pub const fn registers(self) -> usize {
        match self {
            Isa::AvxVnni | Isa::Avx2 => 16,
            Isa::Avx512 | Isa::NeonDot | Isa::Portable => 32,
        }
    }

    /// `acc` plus products of `codes` (0 to 2) and `x` (any i8), so that the sum of all lanes grows by the sum of all
    /// products. With [`Isa::Avx512`], [`Isa::AvxVnni`], [`Isa::Avx2`] and [`Isa::NeonDot`] lane i takes bytes 4i to 4i + 3.
    pub(super) fn dot(self, b: &mut Builder, acc: Ints, codes: Bytes, x: Bytes) -> Ints {
        let ints = acc.ty();
        match self {
            Isa::Avx512 => b.intrinsic("llvm.x86.avx512.vpdpbusd.512", (acc, codes, x), ints),
            Isa::AvxVnni => b.intrinsic("llvm.x86.avx512.vpdpbusd.256", (acc, codes, x), ints),
            Isa::NeonDot => b.intrinsic("llvm.aarch64.neon.sdot.v4i32.v16i8", (acc, codes, x), ints),
            Isa::Avx2 => {
                // Two products of at most 2 · 128 each fit an i16.
                let pairs = Vector::new(I16, [self.bytes() / 2]);
                let pairs = b.intrinsic("llvm.x86.avx2.pmadd.ub.sw", (codes, x), pairs);
                let ones = b.int(pairs.ty(), 1);
                let fours = b.intrinsic("llvm.x86.avx2.pmadd.wd", (pairs, ones), ints);
                b.addi(acc, fours)
            }
            Isa::Portable => {
                let quarter = ints.lanes();
                (0..4).fold(acc, |acc, q| {
                    let [codes, x] = [codes, x].map(|v| {
                        let part = b.extract_strided_slice(v, [q * quarter], [quarter]);
                        b.extsi(part, I32)
                    });
                    let product = b.muli(codes, x);
                    b.addi(acc, product)
                })
            }
        }
    }

    /// A vector of bytes.
    pub(super) fn byte_vector(self) -> Vector<I8> {
        Vector::new(I8, [self.bytes()])
    }

    /// A vector of the sums that [`Isa::dot`] adds to.
    pub(super) fn int_vector(self) -> Vector<I32> {
        Vector::new(I32, [self.lanes()])
    }
}

fn by_name(cpu: &str) -> Isa {
    match cpu {
        "znver4" | "znver5" | "icelake-client" | "icelake-server" | "rocketlake" | "tigerlake"
        | "sapphirerapids" | "emeraldrapids" | "graniterapids" | "graniterapids-d" | "diamondrapids" => {
            Isa::Avx512
        }
        "alderlake" | "raptorlake" | "meteorlake" | "arrowlake" | "arrowlake-s" | "lunarlake"
        | "pantherlake" | "gracemont" | "sierraforest" | "grandridge" | "clearwaterforest" => Isa::AvxVnni,
        "x86-64-v3" | "x86-64-v4" | "haswell" | "broadwell" | "skylake" | "skylake-avx512"
        | "cascadelake" | "cooperlake" | "cannonlake" | "znver1" | "znver2" | "znver3" => Isa::Avx2,
        _ => Isa::Portable,
    }
}

fn arm_by_name(cpu: &str) -> Isa {
    let dot = ["neoverse-", "apple-m", "cortex-a7", "cortex-x", "ampere1", "oryon", "grace"];
    // The older ones of a family that lack it.
    let without = ["cortex-a72", "cortex-a73"];
    let has = dot.iter().any(|name| cpu.starts_with(name)) && !without.contains(&cpu);
    if has { Isa::NeonDot } else { Isa::Portable }
}
