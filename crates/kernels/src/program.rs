//! The small SSA program of a fused elementwise kernel.

use arenagrad_graph::{DType, Elementwise};

use crate::view::View;

/// What happens to each element of a domain of `elements` positions, as straight-line code in SSA form.
///
/// Instruction `i` defines value `i`, of dtype `dtypes[i]`, from values with smaller numbers. Values listed in `outputs` are
/// written to the step's outputs, contiguously over the domain, in that order. Each input is read at its view's position of
/// the domain index.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The number of domain positions.
    pub elements: usize,
    /// The buffers that are read, in the order of the step's inputs.
    pub inputs: Vec<ProgramInput>,
    /// The code.
    pub instructions: Vec<Instruction>,
    /// The dtype of each instruction's value.
    pub dtypes: Vec<DType>,
    /// The values that are written, one for each output of the step.
    pub outputs: Vec<u32>,
}

/// A buffer that a program reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramInput {
    /// The dtype of the buffer's elements.
    pub dtype: DType,
    /// Where each domain position reads.
    pub view: View,
    /// The output of the same step that shares this input's buffer, if memory planning put both in one place. Only an
    /// input whose view is contiguous has one. A backend then reads the element through the output's buffer, and must
    /// read all elements of a position (or block of positions) before it writes any.
    pub in_place: Option<u32>,
}

/// One instruction. Operands are numbers of earlier values, all at the same domain position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instruction {
    /// The element of input `input` at this position.
    Load {
        /// Which of the program's inputs.
        input: u32,
    },
    /// In an epilogue alone: the value that the kernel computed for this position of its result.
    Accumulator,
    /// A value known when the plan was made, exact in the value's dtype.
    Constant {
        /// The value.
        value: f64,
    },
    /// i32: the coordinate along an axis, `((first + index) / inner) % extent`.
    Iota {
        /// The number of elements that one step along the axis covers.
        inner: usize,
        /// The extent of the axis.
        extent: usize,
        /// Where the domain begins in the one that is meant: 0 but for a part of a program.
        first: usize,
    },
    /// f32 in [0, 1): Threefry-2x32 under `seed` of `first` and the domain index together and of the i32 value `step`, as
    /// `cpu::random::uniform` defines it bit for bit.
    Uniform {
        /// The key.
        seed: u64,
        /// A value of dtype i32.
        step: u32,
        /// As of a coordinate.
        first: usize,
    },
    /// An elementwise operation over values.
    Elementwise(Elementwise<u32>),
}

impl Program {
    /// The dtype of output `output`.
    pub fn output_dtype(&self, output: usize) -> DType {
        self.dtypes[self.outputs[output] as usize]
    }
}

impl Instruction {
    /// The values that it reads: the first so many of three.
    pub(crate) fn operands(&self) -> ([u32; 3], usize) {
        match *self {
            Instruction::Load { .. }
            | Instruction::Accumulator
            | Instruction::Constant { .. }
            | Instruction::Iota { .. } => ([0; 3], 0),
            Instruction::Uniform { step, .. } => ([step, 0, 0], 1),
            Instruction::Elementwise(elementwise) => {
                let (mut operands, mut count) = ([0; 3], 0);
                elementwise.for_each_operand(|operand| {
                    operands[count] = operand;
                    count += 1;
                });
                (operands, count)
            }
        }
    }
}
