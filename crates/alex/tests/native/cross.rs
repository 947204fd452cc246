//! Kernels for other processors, linked with a small C program by the cross compiler and run by qemu's user emulation. They
//! give the bits that the engine gives here.

use crate::reference::{Operands, Planned};
use crate::support::{Memory, bits, compiler, floats, numbers};
use alex::Options;
use alex::cpu::block::{Fusion, MlgruBlock};
use alex::cpu::math::{self, Function};
use alex::cpu::norm::{self, Rounding};
use alex::cpu::ternary::{self, Shape};
use alex::cpu::{Isa, export, scan};
use alex::ir::Module;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A machine: triple, processor, features, further arguments for LLVM, emulator, its arguments, C compiler.
struct Machine {
    triple: &'static str,
    cpu: &'static str,
    features: &'static str,
    extra: &'static [&'static str],
    emulator: [&'static str; 3],
    cc: &'static str,
}

const ARM: Machine = Machine {
    triple: "aarch64-linux-gnu",
    cpu: "generic",
    features: "+dotprod",
    extra: &[],
    emulator: ["qemu-aarch64", "-cpu", "max"],
    cc: "aarch64-linux-gnu-gcc",
};
const MACHINES: [Machine; 4] = [
    ARM,
    Machine { features: "", emulator: ["qemu-aarch64", "-cpu", "cortex-a53"], ..ARM },
    Machine {
        triple: "riscv64-linux-gnu",
        cpu: "generic-rv64",
        features: "+m,+a,+f,+d,+c",
        extra: &["-target-abi=lp64d"],
        emulator: ["qemu-riscv64", "-cpu", "rv64"],
        cc: "riscv64-linux-gnu-gcc",
    },
    Machine {
        triple: "riscv64-linux-gnu",
        cpu: "generic-rv64",
        features: "+m,+a,+f,+d,+c,+v",
        extra: &["-target-abi=lp64d"],
        emulator: ["qemu-riscv64", "-cpu", "rv64,v=true,vext_spec=v1.0,vlen=256"],
        cc: "riscv64-linux-gnu-gcc",
    },
];

fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        eprintln!("skipped: {program} is not on PATH");
    }
    found
}

/// A kernel with its arguments; those from `outputs` on are compared with `wanted`, as f32 or as bytes.
struct Case {
    name: String,
    arguments: Vec<Memory>,
    outputs: Vec<(usize, Wanted)>,
}

enum Wanted {
    Floats(Vec<f32>),
    Bytes(Vec<u8>),
}

const SHAPES: [(usize, usize, usize); 4] = [(1, 9, 300), (3, 6, 511), (5, 4, 64), (11, 13, 261)];

/// Adds the kernels to a module, and says what they must give.
fn cases(m: &mut Module, isa: Isa) -> Vec<Case> {
    let mut out = vec![];
    for (k, (n, rows, columns)) in SHAPES.into_iter().enumerate() {
        let shape = Shape::new(n, rows, columns);
        let kernel = ternary::sums(m, isa, shape);
        export(m, &format!("sums{k}"), &kernel);
        let trits: Vec<f32> = numbers(rows * columns, 1).map(|n| (n % 3) as f32 - 1.0).collect();
        let mut bytes = vec![0; shape.bytes()];
        engine::kernels::packed::pack_weights(
            &engine::pool::Pool::single(),
            &trits,
            rows,
            columns,
            1.0,
            &mut bytes,
        );
        let x: Vec<i8> = numbers(n * columns, 2).map(|n| n as i8).collect();
        let sum = |i: usize| -> i32 {
            let (x, w) = (&x[i / rows * columns..][..columns], &trits[i % rows * columns..][..columns]);
            x.iter().zip(w).map(|(x, w)| i32::from(*x) * *w as i32).sum()
        };
        let wanted = (0..n * rows).flat_map(|i| sum(i).to_le_bytes()).collect();
        let scratch = Memory::zeros(ternary::scratch(isa, shape));
        out.push(Case {
            name: format!("sums{k}"),
            arguments: vec![Memory::of(&x), Memory::of(&bytes), Memory::zeros(4 * n * rows), scratch],
            outputs: vec![(2, Wanted::Bytes(wanted))],
        });
    }
    let x: Vec<f32> =
        floats(301, 3, 100.0).into_iter().chain([0.0, -0.0, f32::INFINITY, f32::NAN, 1e-40]).collect();
    for function in
        [Function::Exp, Function::Log, Function::Tanh, Function::Silu, Function::Erf, Function::Cos]
    {
        let kernel = math::map(m, isa.lanes(), function, x.len());
        // A kernel called `cos` would be what it calls itself for large arguments.
        let name = format!("map_{}", function.name());
        export(m, &name, &kernel);
        let mut y = vec![0.0; x.len()];
        use engine::kernels::math as own;
        match function {
            Function::Exp => own::exp_slice(&x, &mut y),
            Function::Log => own::log_slice(&x, &mut y),
            Function::Tanh => own::tanh_slice(&x, &mut y),
            Function::Silu => own::silu_slice(&x, &mut y),
            Function::Erf => own::erf_slice(&x, &mut y),
            _ => own::cos_slice(&x, &mut y),
        }
        out.push(Case {
            name,
            arguments: vec![Memory::of(&x), Memory::zeros(4 * x.len())],
            outputs: vec![(1, Wanted::Floats(y))],
        });
    }
    let (rows, cols) = (3, 1100);
    let kernel = norm::rms_norm_quantize(m, isa, rows, cols, 1e-6, Rounding::HalfAway);
    export(m, "quantise", &kernel);
    let (x, w) = (floats(rows * cols, 4, 2.0), floats(cols, 5, 2.0));
    let (mut q, mut rstd, mut scale) = (vec![0_i8; rows * cols], vec![0.0; rows], vec![0.0; rows]);
    let away = engine::kernels::rows::Rounding::HalfAway;
    let pool = engine::pool::Pool::single();
    engine::kernels::rows::rms_norm_quantize(&pool, &x, &w, 1e-6, away, &mut q, &mut rstd, &mut scale);
    let [small, other] = [0; 2].map(|_| Memory::zeros(4 * rows));
    out.push(Case {
        name: "quantise".into(),
        arguments: vec![Memory::of(&x), Memory::of(&w), Memory::zeros(rows * cols), small, other],
        outputs: vec![
            (2, Wanted::Bytes(q.iter().map(|q| *q as u8).collect())),
            (3, Wanted::Floats(rstd)),
            (4, Wanted::Floats(scale)),
        ],
    });
    let shape = scan::Shape { batch: 1, time: 7, channels: 45 };
    let kernel = scan::linear_scan(m, isa, shape, false);
    export(m, "scan", &kernel);
    let (f, x, h0) = (floats(315, 6, 1.0), floats(315, 7, 1.0), floats(45, 8, 1.0));
    let mut y = vec![0.0; 315];
    let engine_shape = engine::kernels::scan::ScanShape { batch: 1, time: 7, channels: 45 };
    engine::kernels::scan::linear_scan(&pool, engine_shape, &f, &x, Some(&h0), &mut y, false);
    out.push(Case {
        name: "scan".into(),
        arguments: vec![Memory::of(&f), Memory::of(&x), Memory::of(&h0), Memory::zeros(4 * 315)],
        outputs: vec![(3, Wanted::Floats(y))],
    });
    let block = MlgruBlock {
        batch: 1,
        time: 11,
        hidden: 40,
        inner: 36,
        eps: 1e-6,
        inner_eps: 1e-8,
        rounding: Rounding::HalfAway,
        candidate: Function::Silu,
        fusion: Fusion { tile: 4, ..Fusion::default() },
    };
    let kernel = block.emit(m, isa);
    export(m, "mlgru", &kernel);
    let operands = Operands::mlgru(&block);
    let graph = operands.mlgru_graph(&block);
    let mut planned = Planned::new(&graph, &operands, true);
    planned.run();
    let mut arguments: Vec<Memory> = operands.0.iter().map(|(_, o)| o.memory()).collect();
    let at = arguments.len();
    arguments.extend([4 * 11 * 40, 4 * 36, block.scratch(isa)].map(Memory::zeros));
    out.push(Case {
        name: "mlgru".into(),
        arguments,
        outputs: vec![
            (at, Wanted::Floats(planned.output(0).to_vec())),
            (at + 1, Wanted::Floats(planned.output(1).to_vec())),
        ],
    });
    out
}

/// The arguments as the kernel left them.
fn run(machine: &Machine, program: &Path, index: usize, case: &Case) -> Vec<Vec<u8>> {
    let mut input = (case.arguments.len() as u64).to_le_bytes().to_vec();
    for memory in &case.arguments {
        input.extend((memory.bytes().len() as u64).to_le_bytes());
        input.extend(memory.bytes());
    }
    let mut child = Command::new(machine.emulator[0])
        .args(&machine.emulator[1..])
        .arg(program)
        .arg(index.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the emulator starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || pipe.write_all(&input));
    let out = child.wait_with_output().expect("it ends");
    writer.join().expect("the thread ends").expect("the program reads it all");
    assert!(out.status.success(), "{} on {}: {}", case.name, machine.triple, out.status);
    let mut rest = &out.stdout[..];
    let mut take = |len: usize| {
        let (own, others) = rest.split_at(len);
        rest = others;
        own.to_vec()
    };
    case.arguments.iter().map(|m| take(m.bytes().len())).collect()
}

#[test]
fn other_processors_give_the_same_bits() {
    for machine in &MACHINES {
        if !there(machine.emulator[0]) || !there(machine.cc) {
            continue;
        }
        let options = Options {
            features: machine.features.into(),
            extra: machine.extra.iter().map(ToString::to_string).collect(),
            ..Options::target(machine.triple, machine.cpu)
        };
        let Some(compiler) = compiler(options) else { return };
        let isa = Isa::of(Some(machine.triple), machine.cpu, machine.features);
        assert_eq!(isa == Isa::NeonDot, machine.features == "+dotprod");
        let mut m = Module::new();
        let cases = cases(&mut m, isa);
        let object = compiler.object(&m.finish().expect("a well-formed module")).expect("it compiles");
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("kernels.o"), object).expect("written");
        let declared: String = cases
            .iter()
            .map(|c| format!("extern int k_{0}(void *, void *const *) __asm__(\"{0}\");\n", c.name))
            .collect();
        let listed: Vec<String> = cases.iter().map(|c| format!("k_{}", c.name)).collect();
        let table =
            format!("{declared}int (*const kernels[])(void *, void *const *) = {{{}}};\n", listed.join(", "));
        std::fs::write(at("kernels.c"), table).expect("written");
        std::fs::write(at("driver.c"), include_str!("driver.c")).expect("written");
        let status = Command::new(machine.cc)
            .args(["-O1", "-static", "-o"])
            .args(["program", "driver.c", "kernels.c", "kernels.o"].map(at))
            .arg("-lm")
            .status()
            .expect("the C compiler starts");
        assert!(status.success(), "linked for {}", machine.triple);
        for (k, case) in cases.iter().enumerate() {
            let found = run(machine, &at("program"), k, case);
            for (at, wanted) in &case.outputs {
                let what = format!("{} on {} {}", case.name, machine.triple, machine.features);
                match wanted {
                    Wanted::Bytes(bytes) => assert_eq!(&found[*at], bytes, "{what}"),
                    Wanted::Floats(values) => {
                        let found: Vec<f32> = found[*at]
                            .chunks_exact(4)
                            .map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")))
                            .collect();
                        assert_eq!(bits(&found), bits(values), "{what}");
                    }
                }
            }
        }
    }
}
