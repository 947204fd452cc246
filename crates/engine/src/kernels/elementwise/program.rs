//! Programs of the elementwise machine: operations, checks, register allocation.

/// Elements that one pass over the program handles; a register is 1 KiB, so that thirty fit in 32 KiB.
pub const BLOCK: usize = 256;

/// Longest program.
pub const MAX_OPS: usize = 256;

/// One operation. Its value is the register of the same number; operands are numbers of earlier operations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EwOp {
    /// The same value for each element.
    Const(f32),
    /// Input number `0`, read as its access says.
    Load(usize),
    /// a + b
    Add(usize, usize),
    /// a - b
    Sub(usize, usize),
    /// a * b
    Mul(usize, usize),
    /// a / b
    Div(usize, usize),
    /// The larger one; NaN where either is NaN.
    Max(usize, usize),
    /// The smaller one; NaN where either is NaN.
    Min(usize, usize),
    /// a to the power b, as `f32::powf`.
    Pow(usize, usize),
    /// a * b + c, with one rounding where the machine fuses.
    Fma(usize, usize, usize),
    /// -a
    Neg(usize),
    /// |a|
    Abs(usize),
    /// -1, 0 or 1; zero and NaN stay as they are.
    Sign(usize),
    /// Square root.
    Sqrt(usize),
    /// 1 / sqrt(a), both correctly rounded.
    Rsqrt(usize),
    /// 1 / a
    Recip(usize),
    /// a * a
    Square(usize),
    /// e^a
    Exp(usize),
    /// Natural logarithm.
    Log(usize),
    /// Hyperbolic tangent.
    Tanh(usize),
    /// 1 / (1 + e^-a)
    Sigmoid(usize),
    /// a * sigmoid(a)
    Silu(usize),
    /// log(1 + e^a)
    Softplus(usize),
    /// Error function.
    Erf(usize),
    /// Largest integer not above a.
    Floor(usize),
    /// Smallest integer not below a.
    Ceil(usize),
    /// Nearest integer, ties to even.
    RoundEven(usize),
    /// Nearest integer, ties away from zero.
    RoundAway(usize),
    /// Sine.
    Sin(usize),
    /// Cosine.
    Cos(usize),
    /// a < b
    CmpLt(usize, usize),
    /// a <= b
    CmpLe(usize, usize),
    /// a == b
    CmpEq(usize, usize),
    /// a != b; true where either is NaN.
    CmpNe(usize, usize),
    /// a > b
    CmpGt(usize, usize),
    /// a >= b
    CmpGe(usize, usize),
    /// Both are not 0.
    And(usize, usize),
    /// One is not 0.
    Or(usize, usize),
    /// a is 0.
    Not(usize),
    /// Select(c, a, b): a where c is not 0, else b.
    Select(usize, usize, usize),
}

impl EwOp {
    /// The registers it reads; unused places repeat the last operand.
    fn operands(self) -> ([usize; 3], usize) {
        use EwOp::*;
        match self {
            Const(_) | Load(_) => ([0; 3], 0),
            Neg(a) | Abs(a) | Sign(a) | Sqrt(a) | Rsqrt(a) | Recip(a) | Square(a) | Exp(a) | Log(a)
            | Tanh(a) | Sigmoid(a) | Silu(a) | Softplus(a) | Erf(a) | Floor(a) | Ceil(a) | RoundEven(a)
            | RoundAway(a) | Sin(a) | Cos(a) | Not(a) => ([a; 3], 1),
            Add(a, b)
            | Sub(a, b)
            | Mul(a, b)
            | Div(a, b)
            | Max(a, b)
            | Min(a, b)
            | Pow(a, b)
            | CmpLt(a, b)
            | CmpLe(a, b)
            | CmpEq(a, b)
            | CmpNe(a, b)
            | CmpGt(a, b)
            | CmpGe(a, b)
            | And(a, b)
            | Or(a, b) => ([a, b, b], 2),
            Fma(a, b, c) | Select(a, b, c) => ([a, b, c], 3),
        }
    }
}

/// Why a list of operations is not a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// More than [`MAX_OPS`] operations.
    TooLong(usize),
    /// Operation `op` reads register `operand`, which is not the value of an earlier operation.
    Operand {
        /// Number of the operation.
        op: usize,
        /// The register it reads.
        operand: usize,
    },
    /// An output names register `0`, which does not exist.
    Output(usize),
}

impl std::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(f, "elementwise program of {length} operations; at most {MAX_OPS} fit")
            }
            Self::Operand { op, operand } => {
                write!(
                    f,
                    "elementwise operation {op} reads register {operand}, which no earlier operation writes"
                )
            }
            Self::Output(register) => {
                write!(f, "elementwise output names register {register}, which does not exist")
            }
        }
    }
}

impl std::error::Error for ProgramError {}

/// A checked program with its registers allocated.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    ops: Vec<EwOp>,
    outputs: Vec<usize>,
    /// Scratch slot of each operation's value.
    slots: Vec<u16>,
    n_slots: usize,
    n_inputs: usize,
}

impl Program {
    /// Checks the operations and allocates registers; `outputs` are numbers of operations.
    ///
    /// Loads and constants keep a slot of their own, because those that do not change from block to block are
    /// filled once (and most loads read the input in place and never touch the slot). Other values take the slot of
    /// a value that is no longer needed; never that of their own operands, so that source and destination of a
    /// loop do not alias.
    ///
    /// # Errors
    /// [`ProgramError`] for a register that no earlier operation writes, or too long a program.
    pub fn new(ops: Vec<EwOp>, outputs: Vec<usize>) -> Result<Self, ProgramError> {
        if ops.len() > MAX_OPS {
            return Err(ProgramError::TooLong(ops.len()));
        }
        let mut last_use: Vec<usize> = (0..ops.len()).collect();
        let mut n_inputs = 0;
        for (index, op) in ops.iter().enumerate() {
            let (operands, count) = op.operands();
            for &operand in &operands[..count] {
                if operand >= index {
                    return Err(ProgramError::Operand { op: index, operand });
                }
                last_use[operand] = index;
            }
            if let EwOp::Load(input) = op {
                n_inputs = n_inputs.max(input + 1);
            }
        }
        for &output in &outputs {
            // An output is stored when the block is complete.
            *last_use.get_mut(output).ok_or(ProgramError::Output(output))? = ops.len();
        }
        let pinned = |op: &EwOp| matches!(op, EwOp::Load(_) | EwOp::Const(_));
        let mut slots = vec![0; ops.len()];
        let mut free: Vec<u16> = Vec::new();
        let mut n_slots = 0;
        for (index, op) in ops.iter().enumerate() {
            slots[index] = match free.pop() {
                Some(slot) if !pinned(op) => slot,
                other => {
                    free.extend(other);
                    n_slots += 1;
                    n_slots - 1
                }
            };
            let (operands, count) = op.operands();
            for (place, &operand) in operands[..count].iter().enumerate() {
                let repeated = operands[..place].contains(&operand);
                if last_use[operand] == index && !pinned(&ops[operand]) && !repeated {
                    free.push(slots[operand]);
                }
            }
            if last_use[index] == index && !pinned(op) {
                free.push(slots[index]);
            }
        }
        Ok(Self { ops, outputs, slots, n_slots: usize::from(n_slots), n_inputs })
    }

    /// The operations.
    pub fn ops(&self) -> &[EwOp] {
        &self.ops
    }

    /// The registers that are stored, in the order of the outputs.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Number of inputs that the loads name.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Registers after reuse.
    pub fn n_registers(&self) -> usize {
        self.n_slots
    }

    /// Scratch that [`run`](super::run) needs, in f32 elements.
    pub fn scratch_len(&self) -> usize {
        self.n_slots * BLOCK
    }

    pub(super) fn slot(&self, op: usize) -> usize {
        usize::from(self.slots[op])
    }
}
