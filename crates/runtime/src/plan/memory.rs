//! Which buffer holds which entry.
//!
//! Inputs, parameters and literals have buffers of their own. Results live in *slots*: a slot is free again after the last
//! step that reads its content, and the next result of its type takes it; where giving out slots once more, the largest results first, takes fewer
//! bytes, that is done (`slots`). An elementwise step writes over an operand that
//! nobody reads any more, element by element; scatters and concatenations write what is new into one. The next value of a parameter goes straight into the parameter's buffer where
//! the schedule allows it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arenagrad_graph::{Elements, StorageType};
use arenagrad_kernels::{Kernel, ProgramInput};

use crate::plan::cluster::NONE;
use crate::plan::entries::{Entry, Work};
use crate::plan::slots;
use crate::plan::step::{Step, Task};
use crate::plan::update::{self, Updates};

/// A buffer of a plan.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BufferSpec {
    /// What it is for.
    pub role: BufferRole,
    /// The type of its elements.
    pub storage: StorageType,
    /// How many elements it has room for.
    pub elements: usize,
}

/// What a buffer of a plan is for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BufferRole {
    /// An input, by the number of its declaration.
    Input(u32),
    /// A parameter, by the number of its declaration: shared by all plans of a session.
    Parameter(u32),
    /// Elements that stand in the graph.
    Literal(Arc<Elements>),
    /// Results, one after the other.
    Slot,
}

/// The buffers of a plan, and where each entry lives.
pub(crate) struct Memory {
    pub(crate) buffers: Vec<BufferSpec>,
    /// The buffer of each entry; `NONE` for entries without one.
    pub(crate) buffer_of: Vec<u32>,
    /// When each result is in its slot, in the order in which they are computed.
    pub(crate) held: Vec<HeldResult>,
}

/// A result in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldResult {
    pub(crate) entry: u32,
    pub(crate) slot: u32,
    /// The step that computes it.
    pub(crate) first: u32,
    /// The last step in which the slot is its own; none if it stays to the end. A step that writes over an operand has the slot for its result.
    pub(crate) last: Option<u32>,
    /// The result that it is written over, by its place among those that are held.
    pub(crate) over: Option<u32>,
}

/// Assigns buffers, and marks in the steps' kernels which inputs share one with an output.
pub(crate) fn assign(entries: &[Entry], steps: &mut [Step], required: &[bool], updates: &Updates) -> Memory {
    let mut memory = Memory { buffers: Vec::new(), buffer_of: vec![NONE; entries.len()], held: Vec::new() };
    leaves(entries, &mut memory);

    let mut last_use: Vec<u32> = vec![NONE; entries.len()];
    for (number, step) in steps.iter().enumerate() {
        for entry in step.reads.iter().chain(&step.writes) {
            last_use[*entry as usize] = number as u32;
        }
    }
    let overwrites = updates.overwrites();
    // Where each result stands in the list of those that are held.
    let mut place_of: Vec<u32> = vec![NONE; entries.len()];

    // By size, so that a long list is searched in no time.
    let mut free: HashMap<StorageType, BTreeSet<(usize, u32)>> = HashMap::new();
    for (number, step) in steps.iter_mut().enumerate() {
        let dies = |entry: u32| last_use[entry as usize] == number as u32 && !required[entry as usize];
        let mut taken: Vec<u32> = Vec::new();
        for output in 0..step.writes.len() {
            let entry = step.writes[output];
            let spec = &entries[entry as usize];
            if let Some(&parameter) = overwrites.get(&entry) {
                memory.buffer_of[entry as usize] = memory.buffer_of[parameter as usize];
                share(step, parameter, output);
                continue;
            }
            let operand = shareable(entries, step, output, &memory, &dies).filter(|operand| !taken.contains(operand));
            let over = operand.map(|operand| place_of[operand as usize]);
            memory.buffer_of[entry as usize] = match operand {
                Some(operand) => {
                    taken.push(operand);
                    memory.held[place_of[operand as usize] as usize].last = Some((number as u32).saturating_sub(1));
                    share(step, operand, output);
                    memory.buffer_of[operand as usize]
                }
                None => memory.slot(spec.storage, spec.shape.elements(), free.entry(spec.storage).or_default()),
            };
            place_of[entry as usize] = memory.held.len() as u32;
            let (slot, last) = (memory.buffer_of[entry as usize], last_use[entry as usize]);
            let last = (!required[entry as usize]).then_some(last);
            memory.held.push(HeldResult { entry, slot, first: number as u32, last, over });
        }
        let mut released: HashSet<u32> = HashSet::new();
        for &entry in step.reads.iter().chain(&step.writes) {
            let computed = entries[entry as usize].work.is_computed() && !overwrites.contains_key(&entry);
            if computed && dies(entry) && !taken.contains(&entry) && released.insert(entry) {
                let storage = entries[entry as usize].storage;
                let slot = memory.buffer_of[entry as usize];
                free.entry(storage).or_default().insert((memory.buffers[slot as usize].elements, slot));
            }
        }
    }
    slots::improve(entries, &mut memory);
    memory
}

impl Memory {
    /// A free slot for that many elements: the smallest that is large enough, else the largest, grown, else a new one.
    fn slot(&mut self, storage: StorageType, elements: usize, free: &mut BTreeSet<(usize, u32)>) -> u32 {
        let fitting = free.range((elements, 0)..).next().or_else(|| free.last()).copied();
        match fitting {
            Some((room, slot)) => {
                free.remove(&(room, slot));
                self.buffers[slot as usize].elements = room.max(elements);
                slot
            }
            None => self.add(BufferRole::Slot, storage, elements),
        }
    }

    fn add(&mut self, role: BufferRole, storage: StorageType, elements: usize) -> u32 {
        self.buffers.push(BufferSpec { role, storage, elements });
        self.buffers.len() as u32 - 1
    }
}

/// Gives inputs, parameters and literals their buffers.
fn leaves(entries: &[Entry], memory: &mut Memory) {
    for (index, entry) in entries.iter().enumerate() {
        let role = match &entry.work {
            Work::Input(declaration) => BufferRole::Input(*declaration),
            Work::Parameter(declaration) => BufferRole::Parameter(*declaration),
            Work::Literal(data) => BufferRole::Literal(data.clone()),
            Work::Constant(_)
            | Work::Empty
            | Work::Iota { .. }
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
            | Work::LinearAlgebra { .. } => continue,
        };
        memory.buffer_of[index] = memory.add(role, entry.storage, entry.shape.elements());
    }
}

/// An operand of an elementwise, scatter or concatenation step whose buffer output `output` may take over: nobody reads it after this
/// step, and this step reads it once, in order, or takes pieces of it that stay where they are.
fn shareable(
    entries: &[Entry],
    step: &Step,
    output: usize,
    memory: &Memory,
    dies: &dyn Fn(u32) -> bool,
) -> Option<u32> {
    let result = &entries[step.writes[output] as usize];
    let Task::Kernel(kernel) = &step.task else { return None };
    let candidates: Vec<u32> = match kernel {
        Kernel::Elementwise(program) => {
            let in_order = |place: &usize| program.inputs[*place].view.is_contiguous();
            (0..step.reads.len()).filter(in_order).map(|place| step.reads[place]).collect()
        }
        Kernel::Nest(nest) => {
            let may = |input: &usize| nest.may_overwrite(output, *input);
            (0..step.reads.len()).filter(may).map(|input| step.reads[input]).collect()
        }
        Kernel::ScatterAdd { .. } | Kernel::ScatterReduce { .. } => vec![step.reads[0]],
        Kernel::Assemble { .. } => {
            step.reads.iter().copied().filter(|&read| update::may_stay(entries, step, read)).collect()
        }
        Kernel::Reduce { .. }
        | Kernel::ArgMax { .. }
        | Kernel::MatMul { .. }
        | Kernel::Attention(_)
        | Kernel::Gather { .. }
        | Kernel::LinearAlgebra { .. }
        | Kernel::Cumulative { .. }
        | Kernel::ArgSort { .. }
        | Kernel::SearchSorted { .. } => Vec::new(),
    };
    // Of an assembly all pieces of the operand stay where they are.
    let is_assembly = matches!(kernel, Kernel::Assemble { .. });
    candidates.into_iter().find(|&operand| {
        let entry = &entries[operand as usize];
        let buffer = memory.buffer_of[operand as usize];
        entry.work.is_computed()
            && dies(operand)
            && entry.storage == result.storage
            && entry.shape.elements() == result.shape.elements()
            && memory.buffers[buffer as usize].role == BufferRole::Slot
            && (is_assembly
                || step.reads.iter().filter(|&&read| memory.buffer_of[read as usize] == buffer).count() == 1)
    })
}

/// Marks that output `output` is written over `operand`, where the step reads that.
fn share(step: &mut Step, operand: u32, output: usize) {
    let Task::Kernel(kernel) = &mut step.task else { return };
    match kernel {
        Kernel::Elementwise(program) => share_input(&mut program.inputs, &step.reads, operand, output),
        Kernel::Nest(nest) => share_input(&mut nest.inputs, &step.reads, operand, output),
        Kernel::Reduce { program, epilogue: Some(epilogue), .. } => {
            share_input(&mut epilogue.inputs, &step.reads[program.inputs.len()..], operand, output);
        }
        Kernel::MatMul { epilogue: Some(epilogue), .. } => {
            share_input(&mut epilogue.inputs, &step.reads[2..], operand, output)
        }
        Kernel::ScatterAdd { in_place, .. } | Kernel::ScatterReduce { in_place, .. } => {
            *in_place = step.reads[0] == operand;
        }
        // What stays where it is is neither read nor written.
        Kernel::Assemble { pieces, .. } if step.reads.contains(&operand) => {
            let stays: Vec<bool> = step.reads.iter().map(|read| *read == operand).collect();
            let mut own = stays.iter();
            pieces.retain(|_| own.next() != Some(&true));
            step.reads.retain(|read| *read != operand);
        }
        Kernel::Reduce { epilogue: None, .. }
        | Kernel::MatMul { epilogue: None, .. }
        | Kernel::ArgMax { .. }
        | Kernel::Attention(_)
        | Kernel::Gather { .. }
        | Kernel::Assemble { .. }
        | Kernel::LinearAlgebra { .. }
        | Kernel::Cumulative { .. }
        | Kernel::ArgSort { .. }
        | Kernel::SearchSorted { .. } => {}
    }
}

fn share_input(inputs: &mut [ProgramInput], reads: &[u32], operand: u32, output: usize) {
    for (input, read) in inputs.iter_mut().zip(reads) {
        if *read == operand {
            input.in_place = Some(output as u32);
        }
    }
}
