//! Which next values of parameters are written over the old ones.
//!
//! It is decided in two steps. Before clusters are divided, those updates are found that are certain: a parameter and its next value
//! then count as one binding. When kernels are made, those are added that turn out to be possible; they save a copy, and nothing
//! was counted on them. What is left is copied at the end of the plan.

use std::collections::{HashMap, HashSet};

use arenagrad_kernels::{Kernel, Program, Space};

use crate::plan::cluster::{Clusters, is_in_order};
use crate::plan::entries::{Entry, Work};
use crate::plan::recompute::Storage;
use crate::plan::step::{self, Task};

/// Which entries are the next values of parameters, and whether each is written over the old one.
pub(crate) struct Updates {
    /// For each update: the entry of the parameter and the entry of its next value.
    pub(crate) pairs: Vec<(u32, u32)>,
    /// For each update: whether the step that computes it writes the parameter's buffer; otherwise a copy does at the end.
    pub(crate) direct: Vec<bool>,
    /// For each update whether that was certain from the beginning.
    pub(crate) certain: Vec<bool>,
}

impl Updates {
    /// The updates that are certain to be written in place: the cluster of the next value reads the parameter once, element by
    /// element, if at all, and every other reader can run before it. `outputs` are read after the run.
    pub(crate) fn new(
        entries: &[Entry],
        clusters: &Clusters,
        storage: &Storage,
        pairs: Vec<(u32, u32)>,
        outputs: &HashSet<u32>,
    ) -> Self {
        let update_of: HashMap<u32, usize> =
            pairs.iter().enumerate().map(|(number, (parameter, _))| (*parameter, number)).collect();
        let narrows = Narrowing::new(entries, &pairs, outputs);
        let mut certain: Vec<bool> = pairs
            .iter()
            .map(|(parameter, next)| {
                entries[*parameter as usize].shape.elements() > 0
                    && entries[*next as usize].work.is_computed()
                    && !outputs.contains(parameter)
                    && narrows.may_be_stored_in(*next, *parameter)
            })
            .collect();
        // Readers that come earlier by rank and number come before all that are later by it: such orders cannot contradict each other.
        let key = |cluster: u32| (clusters.list[cluster as usize].rank, cluster);
        for (number, cluster) in clusters.list.iter().enumerate() {
            for &member in &cluster.members {
                storage.for_each_read(entries, member, &mut |read| {
                    let Some(&update) = update_of.get(&read.base) else { return };
                    let home = clusters.home[pairs[update].1 as usize];
                    let is_element_by_element = matches!(entries[member as usize].work, Work::Elementwise(_))
                        && is_in_order(entries, read)
                        && clusters.spaces[member as usize] == clusters.spaces[pairs[update].1 as usize];
                    certain[update] &= match home == number as u32 {
                        true => is_element_by_element,
                        false => home != crate::plan::NONE && key(number as u32) < key(home),
                    };
                });
            }
        }
        let is_fold = |&member: &u32| matches!(entries[member as usize].work, Work::Reduce { .. });
        let mut has_folds: HashMap<u32, bool> = HashMap::new();
        for ((_, next), certain) in pairs.iter().zip(&mut certain) {
            let home = clusters.home[*next as usize];
            // Elements that a row is summed over are read in several passes; what is known of rows, columns or the whole is not.
            let is_read_once = clusters.spaces[*next as usize] != Space::Element;
            let mut has_folds =
                || *has_folds.entry(home).or_insert_with(|| clusters.list[home as usize].members.iter().any(is_fold));
            *certain = *certain && (is_read_once || !has_folds());
        }
        Updates { pairs, direct: certain.clone(), certain }
    }

    /// Counts on the updates with these next values no more. They may turn out to be possible still.
    pub(crate) fn make_uncertain(&mut self, next_values: &HashSet<u32>) {
        for (number, (_, next)) in self.pairs.iter().enumerate() {
            if next_values.contains(next) {
                self.certain[number] = false;
                self.direct[number] = false;
            }
        }
    }

    /// Adds the updates that the steps make possible.
    pub(crate) fn add_possible(&mut self, entries: &[Entry], steps: &[step::Step], outputs: &HashSet<u32>) {
        let (writer, _) = step::dependencies(steps, entries.len());
        let narrows = Narrowing::new(entries, &self.pairs, outputs);
        for ((parameter, next), direct) in self.pairs.iter().zip(&mut self.direct) {
            let step = steps.get(writer[*next as usize] as usize);
            *direct = entries[*parameter as usize].shape.elements() > 0
                && !outputs.contains(parameter)
                && narrows.may_be_stored_in(*next, *parameter)
                && step.is_some_and(|step| may_overwrite(entries, step, *next, *parameter));
        }
    }

    /// The pairs whose next value is computed elsewhere and copied over the parameter at the end.
    pub(crate) fn copied_back(&self, entries: &[Entry]) -> impl Iterator<Item = (u32, u32)> {
        let pairs = self.pairs.iter().zip(&self.direct).filter(|(_, direct)| !**direct).map(|(pair, _)| *pair);
        pairs.filter(|(parameter, _)| entries[*parameter as usize].shape.elements() > 0)
    }

    /// The parameter that each next value is written over.
    pub(crate) fn overwrites(&self) -> HashMap<u32, u32> {
        let direct = self.pairs.iter().zip(&self.direct).filter(|(_, direct)| **direct);
        direct.map(|((parameter, next), _)| (*next, *parameter)).collect()
    }
}

/// Which next values may be rounded to the narrower elements of a parameter as they are stored.
struct Narrowing<'a> {
    entries: &'a [Entry],
    /// The next values that something else reads too, which must find them as they were computed.
    is_read: HashSet<u32>,
}

impl<'a> Narrowing<'a> {
    fn new(entries: &'a [Entry], pairs: &[(u32, u32)], outputs: &HashSet<u32>) -> Self {
        let mut narrowed = pairs.iter().filter(|(parameter, _)| !entries[*parameter as usize].storage.is_native());
        let mut is_read = HashSet::new();
        if narrowed.next().is_some() {
            is_read.extend(outputs.iter().copied());
            is_read.extend(entries.iter().flat_map(|entry| &entry.operands).map(|operand| operand.base));
        }
        Narrowing { entries, is_read }
    }

    /// Whether the kernel that computes `next` may store it in the buffer of `parameter`: programs alone narrow what they store.
    fn may_be_stored_in(&self, next: u32, parameter: u32) -> bool {
        let is_elementwise = matches!(self.entries[next as usize].work, Work::Elementwise(_));
        self.entries[parameter as usize].storage.is_native() || (is_elementwise && !self.is_read.contains(&next))
    }
}

/// Whether all that a concatenation takes of `operand`, which is as large as the result, stands there where it stood in the operand. Written over
/// that, these pieces need not be moved.
pub(crate) fn may_stay(entries: &[Entry], step: &step::Step, operand: u32) -> bool {
    let Task::Kernel(Kernel::Assemble { elements, fill: None, pieces, .. }) = &step.task else { return false };
    // What processes exchange is read from its operand, wherever it stands.
    let [write] = step.writes[..] else { return false };
    let is_concatenation = matches!(entries[write as usize].work, Work::Concat { .. });
    is_concatenation
        && entries[operand as usize].shape.elements() == *elements
        && pieces.iter().zip(&step.reads).all(|(piece, read)| *read != operand || piece.source == piece.destination)
}

/// Whether a step that computes `next` may write it over `parameter`: it reads that not at all, or once, at the element that it writes.
fn may_overwrite(entries: &[Entry], step: &step::Step, next: u32, parameter: u32) -> bool {
    let in_program = |program: &Program, reads: &[u32]| {
        reads.iter().zip(&program.inputs).all(|(read, input)| *read != parameter || input.view.is_contiguous())
    };
    let Task::Kernel(kernel) = &step.task else { return !step.reads.contains(&parameter) };
    match kernel {
        Kernel::Elementwise(program) => in_program(program, &step.reads),
        Kernel::Reduce { program, epilogue, .. } => {
            let (own, rest) = step.reads.split_at(program.inputs.len());
            !own.contains(&parameter) && epilogue.as_ref().is_none_or(|epilogue| in_program(epilogue, rest))
        }
        Kernel::Nest(nest) => {
            let output = step.writes.iter().position(|&write| write == next);
            let mut reads = (0..step.reads.len()).filter(|&input| step.reads[input] == parameter);
            match (reads.next(), reads.next()) {
                (None, _) => true,
                (Some(input), None) => output.is_some_and(|output| nest.may_overwrite(output, input)),
                (Some(_), Some(_)) => false,
            }
        }
        Kernel::MatMul { epilogue, .. } => {
            let (own, rest) = step.reads.split_at(2);
            !own.contains(&parameter) && epilogue.as_ref().is_none_or(|epilogue| in_program(epilogue, rest))
        }
        // The operand is read at the element that is written, and nowhere else.
        Kernel::ScatterAdd { .. } | Kernel::ScatterReduce { .. } => !step.reads[1..].contains(&parameter),
        Kernel::Assemble { .. } => !step.reads.contains(&parameter) || may_stay(entries, step, parameter),
        Kernel::ArgMax { .. }
        | Kernel::Attention(_)
        | Kernel::Gather { .. }
        | Kernel::LinearAlgebra { .. }
        | Kernel::Cumulative { .. }
        | Kernel::ArgSort { .. }
        | Kernel::SearchSorted { .. } => !step.reads.contains(&parameter),
    }
}
