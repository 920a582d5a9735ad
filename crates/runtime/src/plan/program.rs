//! From elementwise entries to the program of one kernel.

use std::collections::HashMap;

use arenagrad_graph::DType;
use arenagrad_kernels::{Instruction, Program, ProgramInput, View};

use crate::plan::cluster::is_in_order;
use crate::plan::entries::{Entry, Work};

/// A program, and the entries whose buffers it reads, in the order of its inputs.
pub(crate) struct Built {
    pub(crate) program: Program,
    pub(crate) reads: Vec<u32>,
}

/// Which entries a program computes for itself, and which one the kernel around it does.
pub(crate) struct Scope<'a> {
    pub(crate) entries: &'a [Entry],
    /// Whether the program computes an entry, instead of reading it.
    pub(crate) inside: &'a dyn Fn(u32) -> bool,
    /// The entry whose value the kernel hands to the program as its accumulator.
    pub(crate) accumulator: Option<u32>,
}

/// The program that computes `outputs`, all over `elements` elements, from what is not inside the scope.
pub(crate) fn build(scope: &Scope<'_>, elements: usize, outputs: &[u32]) -> Built {
    let mut builder = Builder::new(scope, elements);
    for member in builder.members(outputs) {
        builder.compute(member);
    }
    let in_order = View::contiguous(elements);
    builder.program.outputs = outputs.iter().map(|&output| builder.value(output, &in_order)).collect();
    builder.built()
}

/// The program of a reduction: its operand, through whatever view, computed as far as the scope reaches.
pub(crate) fn build_operand(scope: &Scope<'_>, reduction: &Entry) -> Built {
    let operand = &reduction.operands[0];
    let elements = operand.shape.elements();
    let mut builder = Builder::new(scope, elements);
    if (scope.inside)(operand.base) {
        for member in builder.members(&[operand.base]) {
            builder.compute(member);
        }
    }
    let value = builder.value(operand.base, &operand.view());
    builder.program.outputs = vec![value];
    builder.built()
}

struct Builder<'a, 's> {
    scope: &'s Scope<'a>,
    program: Program,
    reads: Vec<u32>,
    /// The value of each entry computed so far.
    values: HashMap<u32, u32>,
    loads: HashMap<(u32, View), u32>,
}

impl<'a, 's> Builder<'a, 's> {
    fn new(scope: &'s Scope<'a>, elements: usize) -> Self {
        let program =
            Program { elements, inputs: Vec::new(), instructions: Vec::new(), dtypes: Vec::new(), outputs: Vec::new() };
        Builder { scope, program, reads: Vec::new(), values: HashMap::new(), loads: HashMap::new() }
    }

    /// The program, which lasts as long as its plan: without room for more.
    fn built(self) -> Built {
        let Builder { mut program, mut reads, .. } = self;
        program.inputs.shrink_to_fit();
        program.instructions.shrink_to_fit();
        program.dtypes.shrink_to_fit();
        reads.shrink_to_fit();
        Built { program, reads }
    }

    /// What is inside the scope and needed for `outputs`, in order.
    fn members(&self, outputs: &[u32]) -> Vec<u32> {
        // The accumulator may be an output; it is a value, not a member.
        let mut members: Vec<u32> = outputs.iter().copied().filter(|&o| self.scope.accumulator != Some(o)).collect();
        let mut next = 0;
        let mut seen: std::collections::HashSet<u32> = members.iter().copied().collect();
        while let Some(&member) = members.get(next) {
            next += 1;
            let entry = &self.scope.entries[member as usize];
            for operand in &entry.operands {
                let inside = (self.scope.inside)(operand.base) && is_in_order(self.scope.entries, operand);
                if inside && seen.insert(operand.base) {
                    members.push(operand.base);
                }
            }
        }
        members.sort_unstable();
        members
    }

    fn compute(&mut self, member: u32) {
        let entries = self.scope.entries;
        let entry = &entries[member as usize];
        let Work::Elementwise(op) = &entry.work else {
            unreachable!("only elementwise entries are members of a program")
        };
        let values: Vec<u32> = entry.operands.iter().map(|operand| self.value(operand.base, &operand.view())).collect();
        let value = match op {
            // A copy is the load itself.
            None => values[0],
            Some(op) => self.push(op.instruction(&values), entry.dtype),
        };
        self.values.insert(member, value);
    }

    /// The value of an entry's element at this position, seen through a view.
    fn value(&mut self, base: u32, view: &View) -> u32 {
        let entries = self.scope.entries;
        let entry = &entries[base as usize];
        let in_order = view.is_contiguous() && entry.shape.elements() == self.program.elements;
        if in_order {
            if let Some(&value) = self.values.get(&base) {
                return value;
            }
            if self.scope.accumulator == Some(base) {
                let value = self.push(Instruction::Accumulator, entry.dtype);
                self.values.insert(base, value);
                return value;
            }
        }
        let key = (base, view.clone());
        if let Some(&value) = self.loads.get(&key) {
            return value;
        }
        let value = match entry.work {
            Work::Constant(value) => self.push(Instruction::Constant { value }, entry.dtype),
            Work::Iota { inner, extent } => self.push(Instruction::Iota { inner, extent, first: 0 }, DType::I32),
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
            | Work::LinearAlgebra { .. } => {
                let input = self.program.inputs.len() as u32;
                self.program.inputs.push(ProgramInput { dtype: entry.dtype, view: view.clone(), in_place: None });
                self.reads.push(base);
                self.push(Instruction::Load { input }, entry.dtype)
            }
        };
        self.loads.insert(key, value);
        value
    }

    fn push(&mut self, instruction: Instruction, dtype: DType) -> u32 {
        self.program.instructions.push(instruction);
        self.program.dtypes.push(dtype);
        self.program.instructions.len() as u32 - 1
    }
}
