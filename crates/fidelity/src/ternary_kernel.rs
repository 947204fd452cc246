//! A kernel with named axes: the ternary accumulation for one target, with its derivative, its MLIR and its memory pattern.
//!
//! The axes are types, so an input and weights that do not belong together do not compile. The mathematics is one graph; the
//! backward is furnace's derivative of it; what runs is that graph compiled through MLIR. Targets that this computer cannot
//! run have their pattern and their `fidelity` module, and [`Kernel::execute`] says what they lack.
//!
//! ```
//! use fidelity::prelude::*;
//! axes! { N8 = 8; N4 = 4; }
//!
//! match Kernel::<N8, N4>::build(HardwareTarget::Cpu, &Default::default()) {
//!     Ok(kernel) => {
//!         let input = Tensor::<(N8,)>::from_vec([8], (0..8).map(|i| i as f32).collect())?;
//!         let trits = (0..32).map(|k| [1, 0, -1][k % 3]).collect();
//!         let weights = TernaryMatrix::<N8, N4>::new([4, 8], trits, 2.0)?;
//!         let output = kernel.execute(&input, &weights)?;
//!         assert_eq!(output.as_slice(), kernel.forward(&input, &weights).as_slice());
//!     }
//!     // Without MLIR's tools, the error says how to install them.
//!     Err(e) => assert!(e.to_string().contains("apt install"), "{e}"),
//! }
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! Weights that go the other way are a compile error:
//!
//! ```compile_fail,E0308
//! use fidelity::prelude::*;
//! axes! { N8 = 8; N4 = 4; }
//! fn wrong(kernel: &Kernel<N8, N4>, input: &Tensor<(N8,)>, weights: &TernaryMatrix<N4, N8>) {
//!     let _ = kernel.execute(input, weights);
//! }
//! ```
//!
//! So is an input of another axis, even of the same size:
//!
//! ```compile_fail,E0308
//! use fidelity::prelude::*;
//! axes! { In = 8; Other = 8; Out = 4; }
//! fn wrong(kernel: &Kernel<In, Out>, input: &Tensor<(Other,)>, weights: &TernaryMatrix<In, Out>) {
//!     let _ = kernel.execute(input, weights);
//! }
//! ```

mod pattern;

pub use pattern::{HardwareTarget, MemoryPattern};

use crate::compiled::Native;
use crate::error::fault;
use alex::dialect::typed::{Build, Ternary, Vector};
use alex::ir::F32;
use alex::{Compiler, Stage, lower};
use anyhow::Result;
use axes::{Axis, DType, Tensor, TernaryMatrix, Unitless};
use engine::{Executable, pool::Pool};
use graph::{Cx, Graph, Type, Var};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

/// What a kernel is built with.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// Threads, lanes, tiles or banks of a block, as the target understands it; processors choose for themselves.
    pub block_size: usize,
    /// The size of `In`, where the axis declares none.
    pub inputs: Option<usize>,
    /// The size of `Out`, where the axis declares none.
    pub outputs: Option<usize>,
}

impl Default for KernelOptions {
    fn default() -> KernelOptions {
        KernelOptions { block_size: 256, inputs: None, outputs: None }
    }
}

/// A stage on the way from the mathematics to machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelStage {
    /// The `fidelity` dialect.
    Fidelity,
    /// MLIR's stock dialects.
    Stock,
    /// MLIR's LLVM dialect.
    LlvmDialect,
    /// LLVM IR, optimised.
    LlvmIr,
    /// Assembly.
    Assembly,
}

/// The derivatives of a kernel's output, weighted with a cotangent.
#[derive(Clone, Debug)]
pub struct Gradients<In: Axis, Out: Axis> {
    /// By the input.
    pub input: Tensor<(In,)>,
    /// By the weights as if they were real numbers, t / s differentiated by t: what a straight-through estimator passes on.
    pub weights: Tensor<(Out, In)>,
    /// By the scale.
    pub scale: f32,
}

/// A ternary accumulation from `In` to `Out`: y = (Σ ±x) / s, for one target.
pub struct Kernel<In, Out> {
    target: HardwareTarget,
    inputs: usize,
    outputs: usize,
    pattern: MemoryPattern,
    graph: Graph,
    derivative: Graph,
    /// Forward and backward, where they run on this computer.
    code: Option<(Mutex<Executable>, Mutex<Executable>, Compiler)>,
    axes: PhantomData<fn() -> (In, Out)>,
}

/// y (O) of x (I), trits (O, I) as numbers, and the scale.
fn accumulate(x: &Var, trits: &Var, scale: &Var) -> Var {
    let sums = trits.matvec(x);
    let scale = scale.broadcast_like(&sums);
    &sums / &scale
}

fn sized<A: Axis>(given: Option<usize>) -> Result<usize> {
    match (A::SIZE, given) {
        (Some(n), Some(m)) if n != m => fault(
            format!("axis `{}` is declared with size {n}, the options say {m}", A::NAME),
            "leave the size out of the options",
        ),
        (Some(n), _) | (None, Some(n)) => Ok(n),
        (None, None) => fault(
            format!("axis `{}` declares no size", A::NAME),
            "give one in `KernelOptions`, or declare it: `axes! { In = 1024; }`",
        ),
    }
}

impl<In: Axis, Out: Axis> Kernel<In, Out> {
    /// Builds the kernel for a target; for the processor it is compiled, for the others it is described.
    ///
    /// # Errors
    /// An axis without a size, and MLIR's tools missing, with the command that installs them.
    pub fn build(target: HardwareTarget, options: &KernelOptions) -> Result<Kernel<In, Out>> {
        let (inputs, outputs) = (sized::<In>(options.inputs)?, sized::<Out>(options.outputs)?);
        let cx = Cx::abstract_();
        let arguments = |cx: &Cx| {
            let x = cx.input("x", Type::new(DType::F32, [inputs]));
            let trits = cx.input("trits", Type::new(DType::Trit, [outputs, inputs]));
            (x, trits.convert(DType::F32), cx.input("scale", Type::scalar(DType::F32)))
        };
        let (x, trits, scale) = arguments(&cx);
        let graph = cx.finish(&[("y", &accumulate(&x, &trits, &scale))])?;
        let cx = Cx::abstract_();
        let (x, trits, scale) = arguments(&cx);
        let ct = cx.input("cotangent", Type::new(DType::F32, [outputs]));
        let (_, pull) =
            furnace::vjp(|v: &[Var]| vec![accumulate(&v[0], &v[1], &v[2])], &[&x, &trits, &scale]);
        let made = pull(&[ct]);
        let names = ["grad.x", "grad.weights", "grad.scale"];
        let named: Vec<(&str, &Var)> = names.into_iter().zip(&made).collect();
        let derivative = cx.finish(&named)?;
        let code = match target {
            HardwareTarget::Cpu => {
                let pool = Arc::new(Pool::single().with_compiler(Native::shared()?));
                let made = |g: &Graph| Executable::new(g, &premap::Options::default(), pool.clone());
                let compiler = Compiler::new(alex::Options::default())?;
                Some((Mutex::new(made(&graph)?), Mutex::new(made(&derivative)?), compiler))
            }
            _ => None,
        };
        let pattern = MemoryPattern::choose(target, inputs, outputs, options.block_size);
        Ok(Kernel { target, inputs, outputs, pattern, graph, derivative, code, axes: PhantomData })
    }

    /// The target.
    pub fn target(&self) -> HardwareTarget {
        self.target
    }

    /// The memory pattern that was chosen for the target.
    pub fn memory_pattern(&self) -> MemoryPattern {
        self.pattern
    }

    /// The mathematics: y of x, trits and scale.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The derivative that furnace makes of it.
    pub fn derivative(&self) -> &Graph {
        &self.derivative
    }

    /// The specification, as plain loops on this computer whatever the target is.
    ///
    /// # Panics
    /// Where run-time sizes differ.
    #[track_caller]
    pub fn forward(&self, input: &Tensor<(In,)>, weights: &TernaryMatrix<In, Out>) -> Tensor<(Out,)> {
        weights.multiply_vector(input)
    }

    fn code(&self) -> Result<&(Mutex<Executable>, Mutex<Executable>, Compiler)> {
        if let Some(code) = &self.code {
            return Ok(code);
        }
        let missing = match self.target {
            HardwareTarget::Nvidia => "an NVIDIA GPU with its driver (libcuda.so)",
            HardwareTarget::Amd => "an AMD GPU with ROCm (libamdhip64.so)",
            HardwareTarget::Tenstorrent => "a Tenstorrent card with TT-Metalium",
            _ => "an FPGA board with its bitstream loader",
        };
        fault(
            format!("this kernel is built for {}, and running it takes {missing}", self.target),
            "build it for `HardwareTarget::Cpu` to run it here; its pattern and its `fidelity` module are there for any target",
        )
    }

    fn check(&self, weights: &TernaryMatrix<In, Out>, input: &Tensor<(In,)>) -> Result<()> {
        let found = [weights.outputs(), weights.inputs(), input.as_slice().len()];
        let expected = [self.outputs, self.inputs, self.inputs];
        if found != expected {
            return fault(
                format!(
                    "the kernel takes weights ({}, {}) and {} inputs, found ({}, {}) and {}",
                    expected[0], expected[1], expected[2], found[0], found[1], found[2]
                ),
                "build the kernel for these sizes",
            );
        }
        Ok(())
    }

    /// Runs the compiled kernel.
    ///
    /// # Errors
    /// For targets that this computer cannot run, what is missing; run-time sizes that are not the kernel's.
    pub fn execute(&self, input: &Tensor<(In,)>, weights: &TernaryMatrix<In, Out>) -> Result<Tensor<(Out,)>> {
        let (forward, ..) = self.code()?;
        self.check(weights, input)?;
        let made = self.run(forward, input, weights, None)?;
        Ok(Tensor::from_vec([self.outputs], made[0].f32().to_vec())?)
    }

    /// The derivative's compiled form: what a cotangent of the output is worth for input, weights and scale.
    ///
    /// # Errors
    /// As [`Kernel::execute`].
    pub fn backward(
        &self,
        input: &Tensor<(In,)>,
        weights: &TernaryMatrix<In, Out>,
        cotangent: &Tensor<(Out,)>,
    ) -> Result<Gradients<In, Out>> {
        let (_, backward, _) = self.code()?;
        self.check(weights, input)?;
        let made = self.run(backward, input, weights, Some(cotangent))?;
        Ok(Gradients {
            input: Tensor::from_vec([self.inputs], made[0].f32().to_vec())?,
            weights: Tensor::from_vec([self.outputs, self.inputs], made[1].f32().to_vec())?,
            scale: made[2].f32()[0],
        })
    }

    fn run(
        &self,
        exe: &Mutex<Executable>,
        input: &Tensor<(In,)>,
        weights: &TernaryMatrix<In, Out>,
        cotangent: Option<&Tensor<(Out,)>>,
    ) -> Result<Vec<engine::Tensor>> {
        let mut exe = exe.lock().unwrap_or_else(PoisonError::into_inner);
        let x = engine::Tensor::from_f32([self.inputs], input.as_slice());
        let trits = engine::Tensor::from_i8(DType::Trit, [self.outputs, self.inputs], weights.trits());
        let scale = engine::Tensor::from_f32([], &[weights.scale()]);
        let ct = cotangent.map(|c| engine::Tensor::from_f32([self.outputs], c.as_slice()));
        let planned = &exe.plan().graph;
        let mut outputs: Vec<engine::Tensor> =
            planned.outputs.iter().map(|o| engine::Tensor::of(planned.ty(o.value))).collect();
        let mut io = exe.io();
        for (i, t) in [&x, &trits, &scale].into_iter().chain(&ct).enumerate() {
            io.input(i, t);
        }
        for (o, t) in outputs.iter_mut().enumerate() {
            io.output(o, t);
        }
        exe.run(&mut io)?;
        drop(io);
        Ok(outputs)
    }

    /// The module at a stage, as text.
    ///
    /// # Errors
    /// For targets other than the processor, every stage but the first; what a tool refuses.
    pub fn mlir(&self, stage: KernelStage) -> Result<String> {
        if stage == KernelStage::Fidelity {
            let mut b = Build::new("ternary_accumulate");
            let x = b.argument::<Vector<(), In, F32>>("x");
            let w = b.argument::<Ternary<Out, In>>("w");
            let zero = b.zero_vector::<(), Out, F32, Unitless>();
            let y = b.ternary_accumulate(x, w, zero);
            let mut module = b.finish(y);
            module.check()?;
            module.bind(&[(In::NAME, self.inputs as u64), (Out::NAME, self.outputs as u64)]);
            return Ok(module.to_string());
        }
        let Some((forward, _, compiler)) = &self.code else {
            return fault(
                format!("kernels for {} have the `fidelity` stage only", self.target),
                "`fidelity compile --target` makes a target's own modules",
            );
        };
        let stock = {
            let exe = forward.lock().unwrap_or_else(PoisonError::into_inner);
            lower::plan(exe.plan(), &lower::Options::default())?.text
        };
        let stage = match stage {
            KernelStage::LlvmDialect => Stage::LlvmDialect,
            KernelStage::LlvmIr => Stage::Optimised,
            KernelStage::Assembly => Stage::Assembly,
            KernelStage::Fidelity | KernelStage::Stock => return Ok(stock),
        };
        Ok(compiler.stage(&stock, stage)?)
    }
}

impl<In: Axis, Out: Axis> fmt::Debug for Kernel<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (i, o) = (In::NAME, Out::NAME);
        write!(f, "Kernel<{i} = {}, {o} = {}>({}: {})", self.inputs, self.outputs, self.target, self.pattern)
    }
}
