//! The kernel of elementwise work with reductions in between: a nest over rows and columns.
//!
//! A softmax needs the largest element of each row before it can take exponentials, and their sum before it can divide. A
//! [`Nest`] says all of this in one kernel: its domain is `[rows, columns]`, its values are those of an element, of a row, of
//! a column or of the whole, and a *fold* reduces values of one kind to values of a smaller one. A row's folds are complete as soon
//! as the row has been passed over, so later elements of the same row may use them; the row is then still in the nearest cache.
//! Folds over the rows are complete at the end, and what is computed from them comes last.
//!
//! The nest says what is computed and not how: in which pass over a row a value is computed, whether it is kept until a
//! later pass or computed again, and who works on which rows, is the business of each backend.

use arenagrad_graph::{DType, ReduceFunction};

use crate::program::{Instruction, ProgramInput};

/// What happens to each element, row, column and the whole of a domain `[rows, columns]`, in SSA form.
///
/// Value `i` is computed from values with smaller numbers. An instruction's operands are of the value's own [`Space`] or of one that is
/// repeated over it ([`Space::reaches`]). Reductions are written as [`NestInstruction::Fold`].
#[derive(Clone, Debug, PartialEq)]
pub struct Nest {
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub columns: usize,
    /// The buffers that are read, in the order of the step's inputs. A view's domain is that of the values that load it: all
    /// loads of an input are of one space.
    pub inputs: Vec<ProgramInput>,
    /// The code.
    pub values: Vec<NestValue>,
    /// The values that are written, one for each output of the step: contiguously over the domain of their space.
    pub outputs: Vec<u32>,
}

/// One value of a [`Nest`].
#[derive(Clone, Debug, PartialEq)]
pub struct NestValue {
    /// Over what it has elements.
    pub space: Space,
    /// The dtype of its elements.
    pub dtype: DType,
    /// How it comes about.
    pub instruction: NestInstruction,
}

/// How a value of a [`Nest`] comes about.
#[derive(Clone, Debug, PartialEq)]
pub enum NestInstruction {
    /// Element by element, at each position of the value's space. An [`Instruction::Accumulator`] has no meaning here; the
    /// domain index of an iota or a random number is the flat index in the value's space.
    Compute(Instruction),
    /// The combination of all elements of `operand` that lie over each element of this value: those of a row for a value of
    /// [`Space::Row`], of a column for [`Space::Column`], all for [`Space::Whole`]. The operand is a value of an element, or for the
    /// whole also of a row.
    Fold {
        /// How two elements combine.
        function: ReduceFunction,
        /// The value that is reduced.
        operand: u32,
    },
}

/// Over what a value of a [`Nest`] has elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// `[rows, columns]`.
    Element,
    /// `[rows]`.
    Row,
    /// `[columns]`; computed after all rows.
    Column,
    /// One; computed after all rows.
    Whole,
}

impl Space {
    /// Whether a value of this space can be an operand of one of `other`: it is the same, or is repeated over it.
    pub fn reaches(self, other: Space) -> bool {
        match self {
            Space::Element => other == Space::Element,
            Space::Row => matches!(other, Space::Element | Space::Row),
            Space::Column => other == Space::Column,
            Space::Whole => matches!(other, Space::Column | Space::Whole),
        }
    }

    /// Whether values of the space are computed after all rows.
    pub fn is_after(self) -> bool {
        matches!(self, Space::Column | Space::Whole)
    }
}

impl Nest {
    /// How many elements a value of a space has.
    pub fn extent(&self, space: Space) -> usize {
        match space {
            Space::Element => self.rows * self.columns,
            Space::Row => self.rows,
            Space::Column => self.columns,
            Space::Whole => 1,
        }
    }

    /// The pass over a row in which each value of an element or row is first known: one more than those of a fold's operand for the
    /// fold's result, else the last of its operands'. Values of [`Space::Column`] and [`Space::Whole`] have the number
    /// of passes.
    pub fn levels(&self) -> Vec<u32> {
        let mut levels: Vec<u32> = Vec::with_capacity(self.values.len());
        for value in &self.values {
            levels.push(match value.instruction {
                NestInstruction::Fold { operand, .. } => {
                    levels[operand as usize] + u32::from(value.space == Space::Row)
                }
                NestInstruction::Compute(instruction) => {
                    let (operands, count) = instruction.operands();
                    operands[..count].iter().map(|&operand| levels[operand as usize]).max().unwrap_or(0)
                }
            });
        }
        let passes = self.passes_of(&levels);
        for (level, value) in levels.iter_mut().zip(&self.values) {
            if value.space.is_after() {
                *level = passes;
            }
        }
        levels
    }

    /// How often a row is passed over: elements are computed at the levels `0..passes`.
    pub fn passes(&self) -> u32 {
        self.passes_of(&self.levels())
    }

    fn passes_of(&self, levels: &[u32]) -> u32 {
        let elements = self.values.iter().zip(levels).filter(|(value, _)| value.space == Space::Element);
        elements.map(|(_, &level)| level + 1).max().unwrap_or(0)
    }

    /// Whether output `output` may be written over the buffer of input `input`: both are contiguous over one space, and no backend reads
    /// the input at a position after it has written there. A backend writes an element or row in the pass of its level, and
    /// may compute a value again in each pass that uses it.
    pub fn may_overwrite(&self, output: usize, input: usize) -> bool {
        let value = self.outputs[output] as usize;
        let space = self.values[value].space;
        let view = &self.inputs[input].view;
        if !view.is_contiguous() || view.elements() != self.extent(space) {
            return false;
        }
        let levels = self.levels();
        // The last pass in which an element is needed, on the way back from its users.
        let mut needed: Vec<u32> = levels.clone();
        for (number, user) in self.values.iter().enumerate().rev() {
            let mut need = |operand: u32| {
                if self.values[operand as usize].space == Space::Element && user.space == Space::Element {
                    needed[operand as usize] = needed[operand as usize].max(needed[number]);
                }
            };
            match user.instruction {
                NestInstruction::Fold { .. } => {}
                NestInstruction::Compute(instruction) => {
                    let (operands, count) = instruction.operands();
                    operands[..count].iter().for_each(|&operand| need(operand));
                }
            }
        }
        self.values.iter().enumerate().all(|(number, load)| match load.instruction {
            NestInstruction::Compute(Instruction::Load { input: read }) if read as usize == input => {
                load.space == space && needed[number] <= levels[value]
            }
            NestInstruction::Compute(_) | NestInstruction::Fold { .. } => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::{BinaryFunction, Elementwise, UnaryFunction};

    use super::*;
    use crate::view::{Axis, View};

    const ROWS: usize = 4;
    const COLUMNS: usize = 6;

    fn nest(inputs: Vec<View>, values: Vec<(Space, NestInstruction)>, outputs: Vec<u32>) -> Nest {
        let input = |view| ProgramInput { dtype: DType::F32, view, in_place: None };
        let value = |(space, instruction)| NestValue { space, dtype: DType::F32, instruction };
        Nest {
            rows: ROWS,
            columns: COLUMNS,
            inputs: inputs.into_iter().map(input).collect(),
            values: values.into_iter().map(value).collect(),
            outputs,
        }
    }

    fn load(input: u32) -> NestInstruction {
        NestInstruction::Compute(Instruction::Load { input })
    }

    fn exp(operand: u32) -> NestInstruction {
        NestInstruction::Compute(Instruction::Elementwise(Elementwise::Unary { function: UnaryFunction::Exp, operand }))
    }

    fn sub(lhs: u32, rhs: u32) -> NestInstruction {
        NestInstruction::Compute(Instruction::Elementwise(Elementwise::Binary {
            function: BinaryFunction::Sub,
            lhs,
            rhs,
        }))
    }

    fn sum(operand: u32) -> NestInstruction {
        NestInstruction::Fold { function: ReduceFunction::Sum, operand }
    }

    /// `x - sum(x)` along rows, its exponential, the sum of that along columns and of all.
    fn two_passes() -> Nest {
        use Space::{Column, Element, Row, Whole};
        let values = vec![
            (Element, load(0)),
            (Row, sum(0)),
            (Row, exp(1)),
            (Element, sub(0, 2)),
            (Element, exp(3)),
            (Element, exp(0)),
            (Row, sum(4)),
            (Column, sum(5)),
            (Whole, sum(6)),
            (Whole, exp(8)),
        ];
        nest(vec![View::contiguous(ROWS * COLUMNS)], values, vec![4, 5, 7, 9])
    }

    #[test]
    fn a_row_fold_ends_a_pass() {
        let nest = two_passes();
        assert_eq!(nest.levels(), [0, 1, 1, 1, 1, 0, 2, 2, 2, 2]);
        assert_eq!(nest.passes(), 2);
    }

    #[test]
    fn without_elements_there_is_no_pass() {
        let nest = nest(vec![View::contiguous(ROWS)], vec![(Space::Row, load(0)), (Space::Whole, sum(0))], vec![0, 1]);
        assert_eq!((nest.levels(), nest.passes()), (vec![0, 0], 0));
        assert!(nest.may_overwrite(0, 0) && !nest.may_overwrite(1, 0));
    }

    #[test]
    fn an_element_is_overwritten_in_the_last_pass_that_reads_it() {
        let nest = two_passes();
        // The second pass reads the input for the first output, and the first pass writes the second one.
        assert!(nest.may_overwrite(0, 0));
        assert!(!nest.may_overwrite(1, 0));
    }

    #[test]
    fn only_what_lies_alike_is_overwritten() {
        use Space::{Element, Row};
        let transposed = View::new([Axis { extent: ROWS, stride: 1 }, Axis { extent: COLUMNS, stride: ROWS }], 0);
        let shifted = View::new([Axis { extent: ROWS * COLUMNS, stride: 1 }], 1);
        let repeated = View::new([Axis { extent: ROWS, stride: 1 }, Axis { extent: COLUMNS, stride: 0 }], 0);
        for view in [transposed, shifted, repeated] {
            assert!(!nest(vec![view], vec![(Element, load(0)), (Element, exp(0))], vec![1]).may_overwrite(0, 0));
        }
        // An input of rows has another space than an output of elements, in whatever pass it is read.
        let of_rows = |output| {
            let values =
                vec![(Element, load(0)), (Row, load(1)), (Row, sum(0)), (Row, sub(2, 1)), (Element, sub(0, 1))];
            nest(vec![View::contiguous(ROWS * COLUMNS), View::contiguous(ROWS)], values, vec![output])
        };
        assert!(of_rows(3).may_overwrite(0, 1) && !of_rows(3).may_overwrite(0, 0));
        assert!(of_rows(4).may_overwrite(0, 0) && !of_rows(4).may_overwrite(0, 1));
    }

    #[test]
    fn spaces_reach_what_they_are_repeated_over() {
        use Space::{Column, Element, Row, Whole};
        let reached =
            [(Element, vec![Element]), (Row, vec![Element, Row]), (Column, vec![Column]), (Whole, vec![Column, Whole])];
        for (space, others) in reached {
            for other in [Element, Row, Column, Whole] {
                assert_eq!(space.reaches(other), others.contains(&other), "{space:?} to {other:?}");
            }
        }
    }
}
