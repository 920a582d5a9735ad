//! What lowering asks of a nest: which values are wanted, in which pass, and what they are computed from.

use crate::{Instruction, Nest, NestInstruction, NestValue, ReduceFunction, Space};

/// A nest, and what follows from it.
pub(super) struct Facts<'a> {
    pub(super) nest: &'a Nest,
    /// The pass of each value; see [`Nest::levels`].
    levels: Vec<u32>,
    /// Whether an output needs the value.
    live: Vec<bool>,
}

/// A fold of a nest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fold {
    /// The value that it defines.
    pub(super) value: u32,
    pub(super) function: ReduceFunction,
    /// The value that it reduces.
    pub(super) operand: u32,
}

impl<'a> Facts<'a> {
    pub(super) fn new(nest: &'a Nest) -> Self {
        let mut facts = Facts { nest, levels: nest.levels(), live: vec![false; nest.values.len()] };
        for &output in &nest.outputs {
            facts.live[output as usize] = true;
        }
        for number in (0..nest.values.len() as u32).rev() {
            if facts.live[number as usize] {
                for operand in facts.operands(number) {
                    facts.live[operand as usize] = true;
                }
            }
        }
        facts
    }

    /// The value of that number.
    pub(super) fn value(&self, number: u32) -> &'a NestValue {
        &self.nest.values[number as usize]
    }

    /// The pass in which a value is known.
    pub(super) fn level(&self, number: u32) -> u32 {
        self.levels[number as usize]
    }

    /// The values that an output needs, of one space.
    pub(super) fn live(&self, space: Space) -> impl Iterator<Item = u32> + '_ {
        (0..self.nest.values.len() as u32)
            .filter(move |&number| self.live[number as usize] && self.value(number).space == space)
    }

    /// The folds that an output needs, to values of one space.
    pub(super) fn folds(&self, space: Space) -> impl Iterator<Item = Fold> + '_ {
        self.live(space).filter_map(|value| match self.value(value).instruction {
            NestInstruction::Fold { function, operand } => Some(Fold { value, function, operand }),
            NestInstruction::Compute(_) => None,
        })
    }

    /// The outputs whose values are of one space.
    pub(super) fn outputs(&self, space: Space) -> Vec<usize> {
        let of_space = |output: &usize| self.value(self.nest.outputs[*output]).space == space;
        (0..self.nest.outputs.len()).filter(of_space).collect()
    }

    /// The values that a value is made from.
    pub(super) fn operands(&self, number: u32) -> impl Iterator<Item = u32> + use<> {
        let (operands, count) = match self.value(number).instruction {
            NestInstruction::Fold { operand, .. } => ([operand, 0, 0], 1),
            NestInstruction::Compute(instruction) => instruction.operands(),
        };
        operands.into_iter().take(count)
    }

    /// The input that a value loads, if it is a load.
    pub(super) fn loaded(&self, number: u32) -> Option<u32> {
        match self.value(number).instruction {
            NestInstruction::Compute(Instruction::Load { input }) => Some(input),
            NestInstruction::Compute(_) | NestInstruction::Fold { .. } => None,
        }
    }

    /// Whether a value can be had again at any time and over any space without being stored: it is a constant, or stands in an
    /// input over which nothing is written.
    pub(super) fn is_at_hand(&self, number: u32) -> bool {
        match self.value(number).instruction {
            NestInstruction::Compute(Instruction::Constant { .. }) => true,
            NestInstruction::Compute(Instruction::Load { input }) => {
                self.nest.inputs[input as usize].in_place.is_none()
            }
            NestInstruction::Compute(_) | NestInstruction::Fold { .. } => false,
        }
    }

    /// What `roots`, all of one space, are computed from, in order, the roots included: values of that space as far as they are
    /// not `known`, and those of others (or known ones) that they use at first hand.
    pub(super) fn cone(&self, roots: &[u32], known: impl Fn(u32) -> bool) -> Vec<u32> {
        let Some(space) = roots.first().map(|&root| self.value(root).space) else { return Vec::new() };
        let mut marked = vec![false; self.nest.values.len()];
        for &root in roots {
            marked[root as usize] = true;
        }
        for number in (0..marked.len() as u32).rev() {
            let value = self.value(number);
            let computed = match value.instruction {
                NestInstruction::Compute(_) => value.space == space && !known(number),
                NestInstruction::Fold { .. } => false,
            };
            if marked[number as usize] && computed {
                for operand in self.operands(number) {
                    marked[operand as usize] = true;
                }
            }
        }
        (0..marked.len() as u32).filter(|&number| marked[number as usize]).collect()
    }

    /// The values of `space` among what `roots` of another space are computed from.
    pub(super) fn needed(&self, roots: &[u32], space: Space) -> Vec<u32> {
        let cone = self.cone(roots, |_| false);
        cone.into_iter().filter(|&number| self.value(number).space == space && !self.is_at_hand(number)).collect()
    }
}
