//! From a part of a cluster to the nest that computes it.

use std::collections::HashMap;

use arenagrad_kernels::{
    Axis, DType, Elementwise, Instruction, Nest, NestInstruction, NestValue, ProgramInput, Space, View,
};

use crate::plan::channels::Channels;
use crate::plan::cluster::{Clusters, Domain};
use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;

/// A nest, and the entries whose buffers it reads, in the order of its inputs.
pub(crate) struct BuiltNest {
    pub(crate) nest: Nest,
    pub(crate) reads: Vec<u32>,
}

/// Whether a nest computes an entry for itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// It reads it.
    No,
    /// It computes it over that space.
    Member(Space),
    /// It computes it again, over the space of whatever reads it.
    Pulled,
}

/// The nest over `domain` that computes `outputs` from what is not `inside`.
pub(crate) fn build(
    entries: &[Entry],
    clusters: &Clusters,
    inside: &dyn Fn(u32) -> Inside,
    domain: &Domain,
    outputs: &[u32],
) -> BuiltNest {
    let rows = domain.channels.map(|channels| channels.count).or(domain.rows).unwrap_or(1);
    let nest =
        Nest { rows, columns: domain.elements / rows, inputs: Vec::new(), values: Vec::new(), outputs: Vec::new() };
    let mut builder = Builder {
        entries,
        inside,
        nest,
        reads: Vec::new(),
        values: HashMap::new(),
        constants: HashMap::new(),
        loads: HashMap::new(),
        has_rows: false,
        channels: domain.channels,
    };
    let members = builder.members(outputs);
    builder.has_rows = members.iter().any(|&(_, space)| matches!(space, Space::Row | Space::Column));
    for (member, space) in members {
        builder.compute(clusters, member, space);
    }
    let space = |output: u32| match inside(output) {
        Inside::Member(space) => space,
        Inside::No | Inside::Pulled => unreachable!("a nest's outputs are its members"),
    };
    builder.nest.outputs = outputs.iter().map(|&output| builder.values[&(output, space(output))]).collect();
    BuiltNest { nest: builder.nest, reads: builder.reads }
}

struct Builder<'a> {
    entries: &'a [Entry],
    inside: &'a dyn Fn(u32) -> Inside,
    nest: Nest,
    reads: Vec<u32>,
    /// The value of each entry computed so far, over each space that it is computed over.
    values: HashMap<(u32, Space), u32>,
    constants: HashMap<(u32, Space), u32>,
    loads: HashMap<(u32, View, Space), u32>,
    /// Whether anything is computed for rows or columns: else the nest is flat, and stays so.
    has_rows: bool,
    /// The channels whose elements are the rows, where these are not rows of the elements in their order.
    channels: Option<Channels>,
}

impl Builder<'_> {
    /// What is inside and needed for `outputs`, in order.
    fn members(&self, outputs: &[u32]) -> Vec<(u32, Space)> {
        let mut members: Vec<(u32, Space)> = Vec::new();
        let mut seen: std::collections::HashSet<(u32, Space)> = std::collections::HashSet::new();
        for &output in outputs {
            if let Inside::Member(space) = (self.inside)(output)
                && seen.insert((output, space))
            {
                members.push((output, space));
            }
        }
        let mut next = 0;
        while let Some(&(member, space)) = members.get(next) {
            next += 1;
            // A reduction that reads a value that it computes again reads it over the elements.
            let space =
                if matches!(self.entries[member as usize].work, Work::Reduce { .. }) { Space::Element } else { space };
            for operand in &self.entries[member as usize].operands {
                let of_operand = match (self.inside)(operand.base) {
                    Inside::No => continue,
                    Inside::Member(space) => space,
                    Inside::Pulled => space,
                };
                if seen.insert((operand.base, of_operand)) {
                    members.push((operand.base, of_operand));
                }
            }
        }
        members.sort_unstable_by_key(|&(member, space)| (member, space));
        members
    }

    fn compute(&mut self, clusters: &Clusters, member: u32, space: Space) {
        let entries = self.entries;
        let entry = &entries[member as usize];
        let value = match &entry.work {
            Work::Elementwise(op) => {
                let operands: Vec<u32> = entry.operands.iter().map(|operand| self.value(operand, space)).collect();
                match op {
                    // A copy is the load itself.
                    None => self.over(operands[0], space),
                    Some(op) => self.push(space, entry.dtype, NestInstruction::Compute(op.instruction(&operands))),
                }
            }
            Work::Reduce { function, .. } => {
                let operand = &entry.operands[0];
                let over = match (self.inside)(operand.base) {
                    Inside::Member(over) => over,
                    Inside::Pulled => Space::Element,
                    // A row's value that was stored is folded over the rows; all else is over the elements.
                    Inside::No
                        if space == Space::Whole
                            && operand.shape.elements() != self.nest.rows * self.nest.columns
                            && clusters.spaces[operand.base as usize] == Space::Row =>
                    {
                        Space::Row
                    }
                    Inside::No => Space::Element,
                };
                let operand = self.value(operand, over);
                let operand = self.over(operand, over);
                self.push(space, entry.dtype, NestInstruction::Fold { function: *function, operand })
            }
            Work::Input(_)
            | Work::Parameter(_)
            | Work::Literal(_)
            | Work::Constant(_)
            | Work::Empty
            | Work::Iota { .. }
            | Work::ArgMax { .. }
            | Work::Ordered(_)
            | Work::MatMul
            | Work::Attention(_)
            | Work::Gather { .. }
            | Work::ScatterAdd { .. }
            | Work::ScatterReduce { .. }
            | Work::Pad { .. }
            | Work::Concat { .. }
            | Work::Scan { .. }
            | Work::AllReduce
            | Work::LinearAlgebra { .. } => {
                unreachable!("only elementwise entries and reductions are members of a nest")
            }
        };
        self.values.insert((member, space), value);
    }

    /// The value of an operand for a value of `space`.
    fn value(&mut self, operand: &Layout, space: Space) -> u32 {
        let known = match (self.inside)(operand.base) {
            Inside::No => None,
            Inside::Member(own) => self.values.get(&(operand.base, own)),
            Inside::Pulled => self.values.get(&(operand.base, space)),
        };
        if let Some(&value) = known {
            return value;
        }
        let entries = self.entries;
        let entry = &entries[operand.base as usize];
        match entry.work {
            Work::Constant(value) => self.inlined(operand.base, space, entry.dtype, Instruction::Constant { value }),
            Work::Iota { inner, extent } => {
                self.inlined(operand.base, space, DType::I32, Instruction::Iota { inner, extent, first: 0 })
            }
            Work::Input(_)
            | Work::Parameter(_)
            | Work::Literal(_)
            | Work::Empty
            | Work::Elementwise(_)
            | Work::Reduce { .. }
            | Work::ArgMax { .. }
            | Work::Ordered(_)
            | Work::MatMul
            | Work::Attention(_)
            | Work::Gather { .. }
            | Work::ScatterAdd { .. }
            | Work::ScatterReduce { .. }
            | Work::Pad { .. }
            | Work::Concat { .. }
            | Work::Scan { .. }
            | Work::AllReduce
            | Work::LinearAlgebra { .. } => self.load(operand.base, operand.view(), space),
        }
    }

    /// A value over `space`: itself, or what a row has repeated along it.
    fn over(&mut self, value: u32, space: Space) -> u32 {
        if self.nest.values[value as usize].space == space {
            return value;
        }
        let dtype = self.nest.values[value as usize].dtype;
        self.push(
            space,
            dtype,
            NestInstruction::Compute(Instruction::Elementwise(Elementwise::Cast { operand: value })),
        )
    }

    fn inlined(&mut self, base: u32, space: Space, dtype: DType, instruction: Instruction) -> u32 {
        if let Some(&value) = self.constants.get(&(base, space)) {
            return value;
        }
        let value = self.push(space, dtype, NestInstruction::Compute(instruction));
        self.constants.insert((base, space), value);
        value
    }

    fn load(&mut self, base: u32, view: View, space: Space) -> u32 {
        let view = match self.channels.filter(|_| space == Space::Element) {
            Some(channels) => channels.gathered(&view).expect("clusters of channels read what can be gathered"),
            None => view,
        };
        // What is the same for all elements of a row is loaded once for the row.
        let (view, space) = match self.of_rows(&view).filter(|_| space == Space::Element && self.has_rows) {
            Some(of_rows) => (of_rows, Space::Row),
            None => (view, space),
        };
        let key = (base, view, space);
        if let Some(&value) = self.loads.get(&key) {
            return value;
        }
        let dtype = self.entries[base as usize].dtype;
        let input = self.nest.inputs.len() as u32;
        self.nest.inputs.push(ProgramInput { dtype, view: key.1.clone(), in_place: None });
        self.reads.push(base);
        let value = self.push(space, dtype, NestInstruction::Compute(Instruction::Load { input }));
        self.loads.insert(key, value);
        value
    }

    /// A view over the elements as one over the rows, if all elements of a row stand at one place; not if all elements do.
    fn of_rows(&self, view: &View) -> Option<View> {
        let (inner, outer) = view.axes().split_last()?;
        let columns = self.nest.columns;
        (inner.stride == 0 && inner.extent.is_multiple_of(columns) && !view.is_scalar()).then(|| {
            let repeated = Axis { extent: inner.extent / columns, stride: 0 };
            View::new(outer.iter().copied().chain([repeated]), view.offset())
        })
    }

    fn push(&mut self, space: Space, dtype: DType, instruction: NestInstruction) -> u32 {
        self.nest.values.push(NestValue { space, dtype, instruction });
        self.nest.values.len() as u32 - 1
    }
}
