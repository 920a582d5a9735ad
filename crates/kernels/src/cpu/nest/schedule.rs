//! What of a nest is computed when: how rows form blocks, which values each pass computes, and which of them are kept.
//!
//! All of this depends on the nest alone, and never on the number of threads.

use arenagrad_graph::DType;

use super::fold::NARROW;
use crate::cost;
use crate::cpu::code::{Code, is_uniform};
use crate::cpu::machine_code::is_lowered;
use crate::cpu::registers::{BLOCK, LANES, LONG_BLOCK, Register};
use crate::{Instruction, Nest as NestKernel, NestInstruction, Space};

/// The widest rows of which several form a block.
const GROUPED: usize = BLOCK / 2;
/// The most rows of a block whose columns are folded in their order; more are folded by halves.
pub(super) const ROWS_IN_ORDER: usize = 16;
/// The least number of elements of a partition.
const PARTITION: usize = 4096;
/// The largest number of partitions.
const PARTITIONS: usize = 256;
/// The largest number of partitions that each hold a total for every column, and the least rows of one, which keeps
/// these totals few beside the elements.
const PARTITIONS_OF_COLUMNS: usize = 64;
const ROWS_OF_COLUMNS: usize = 16;
/// The bytes that one task keeps of a row from one pass to the next: what stays in the cache.
const KEPT: usize = 1 << 20;
/// Computing a value again costs more than keeping it beyond so many simple operations: where each writes its value to memory, and in fragments.
const DEAR: usize = 2;
const DEAR_IN_FRAGMENTS: usize = 6;

/// How rows form blocks, and groups of rows partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many rows.
    pub(super) rows: usize,
    /// The elements of a row.
    pub(super) width: usize,
    /// How many whole rows form a block; 1 where a row is a block or longer.
    pub(super) group: usize,
    /// How many rows form a [`BLOCK`]: blocks of more are computed as if they were several of these.
    pub(super) grain: usize,
    /// The most elements of a block.
    pub(super) longest: usize,
    /// How many blocks a row has; 1 where a block has several rows.
    pub(super) blocks: usize,
    /// How many rows form a partition, which has totals of its own: a multiple of the grain.
    pub(super) partition: usize,
    /// Whether what is cheap is computed anew in each pass instead of kept for it: where a row is several blocks, and where rows that are whole chunks are computed
    /// by fragments, for which an instruction costs less than memory does.
    pub(super) recomputes: bool,
}

/// Which values each pass over a row computes.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) layout: Layout,
    /// The pass of each value, as [`NestKernel::levels`] has it.
    pub(super) levels: Vec<u32>,
    /// How often a row is passed over.
    pub(super) passes: u32,
    /// Whether an output depends on the value.
    pub(super) live: Vec<bool>,
    /// Whether the value is the same at every position of its space, and known before the first.
    pub(super) uniform: Vec<bool>,
    /// Whether the element value is computed in one pass and kept for those after it.
    pub(super) kept: Vec<bool>,
    /// The varying element values that each pass computes, in the order of their numbers.
    pub(super) computed: Vec<Vec<u32>>,
}

impl Layout {
    fn new(nest: &NestKernel, live: &[bool], uniform: &[bool], in_fragments: bool) -> Layout {
        let (mut has_elements, mut has_rows, mut has_column_folds) = (false, false, false);
        let (mut has_whole_folds, mut folds_rows) = (false, false);
        let mut meet = |space: Space| match space {
            Space::Element => has_elements = true,
            Space::Row => has_rows = true,
            Space::Column | Space::Whole => {}
        };
        for (number, value) in nest.values.iter().enumerate().filter(|&(number, _)| live[number]) {
            if !uniform[number] {
                meet(value.space);
            }
            if let NestInstruction::Fold { operand, .. } = value.instruction {
                meet(nest.values[operand as usize].space);
                has_column_folds |= value.space == Space::Column;
                has_whole_folds |= value.space == Space::Whole;
                folds_rows |= nest.values[operand as usize].space == Space::Row;
            }
        }
        nest.outputs.iter().for_each(|&output| meet(nest.values[output as usize].space));
        // Without values of rows any division of the elements into blocks does: each is a row of its own.
        let (rows, width) = match (has_elements, has_rows || has_column_folds) {
            (false, _) => (nest.rows, 1),
            (true, false) => (nest.rows * nest.columns, 1),
            (true, true) => (nest.rows, nest.columns),
        };
        let grain = if width <= GROUPED { (BLOCK / width).min(rows) } else { 1 };
        let is_of_chunks = width > NARROW && width.is_multiple_of(LANES);
        let mut group = grain;
        if in_fragments && is_of_chunks && grain > 1 && !folds_rows && (!has_whole_folds || grain * width == BLOCK) {
            // The folds of columns are added to their totals behind the same rows.
            let period = if grain <= ROWS_IN_ORDER { ROWS_IN_ORDER.div_ceil(grain) } else { 1 };
            let most = (LONG_BLOCK / (grain * width)).min(rows.div_ceil(grain)).max(1);
            group *= (1..=most).rev().find(|&count| !has_column_folds || period.is_multiple_of(count)).unwrap_or(1);
        }
        // Nothing of a row is in registers but what is kept, which is the same however many blocks it is.
        let is_long = group > grain || (width > BLOCK && width.is_multiple_of(LANES) && in_fragments);
        let longest = if is_long { LONG_BLOCK } else { BLOCK };
        let blocks = width.div_ceil(longest);
        let most = if has_column_folds { PARTITIONS_OF_COLUMNS.min(rows / ROWS_OF_COLUMNS) } else { PARTITIONS };
        let count = (rows * width / PARTITION).min(most).max(1);
        let partition = rows.div_ceil(count).next_multiple_of(grain);
        let recomputes = blocks > 1 || (in_fragments && (width > GROUPED || is_of_chunks));
        Layout { rows, width, group, grain, longest, blocks, partition, recomputes }
    }

    /// Whether a fold that gives values of `space` meets whole chunks of elements alone, all of which belong to one of them, or each to one column.
    pub(super) fn folds_whole_chunks(&self, space: Space) -> bool {
        let has_whole_rows = self.width.is_multiple_of(LANES);
        match space {
            Space::Row => self.recomputes && has_whole_rows && self.width > NARROW,
            Space::Column => self.folds_columns_in_order(),
            Space::Whole if self.group == 1 => has_whole_rows,
            Space::Whole => {
                [self.group * self.width, self.rows * self.width].iter().all(|count| count.is_multiple_of(LANES))
            }
            Space::Element => false,
        }
    }

    /// Whether the rows of a block are added to the folds of columns one after the other.
    pub(super) fn folds_columns_in_order(&self) -> bool {
        self.grain <= ROWS_IN_ORDER && self.width.is_multiple_of(LANES)
    }

    /// Whether folds of a row are totals of its own until it ends, and else of whole rows at a time.
    pub(super) fn has_totals_of_rows(&self) -> bool {
        self.recomputes && self.group == 1
    }

    /// The most chunks of chunks that a block is folded into by code: one a row, or one for each [`BLOCK`].
    pub(super) fn folded(&self) -> usize {
        let rows = if self.group > 1 && self.folds_whole_chunks(Space::Row) { self.group } else { 1 };
        self.block().div_ceil(BLOCK).max(rows)
    }

    /// The most elements of a block.
    pub(super) fn block(&self) -> usize {
        (self.group * self.width).min(self.longest)
    }
}

impl Schedule {
    /// The schedule of a nest; `has_fragments` if there are vectors to compile them for.
    pub(super) fn new(nest: &NestKernel, has_fragments: bool) -> Schedule {
        let values = nest.values.len();
        let levels = nest.levels();
        let passes = nest.passes();
        let mut live = vec![false; values];
        nest.outputs.iter().for_each(|&output| live[output as usize] = true);
        for number in (0..values).rev() {
            if live[number] {
                for_each_operand(&nest.values[number].instruction, |operand| live[operand] = true);
            }
        }
        let mut uniform: Vec<bool> = Vec::with_capacity(values);
        for value in &nest.values {
            uniform.push(match &value.instruction {
                NestInstruction::Compute(instruction) => is_uniform(instruction, &nest.inputs, &uniform),
                NestInstruction::Fold { .. } => false,
            });
        }
        let in_fragments = has_fragments && is_in_fragments(nest, &uniform);
        let layout = Layout::new(nest, &live, &uniform, in_fragments);
        let kept = vec![true; values];
        let mut schedule = Schedule { layout, levels, passes, live, uniform, kept, computed: Vec::new() };
        if layout.recomputes {
            schedule.kept = schedule.choose_kept(nest, if in_fragments { DEAR_IN_FRAGMENTS } else { DEAR });
        }
        schedule.computed = schedule.choose_computed(nest);
        schedule
    }

    /// Whether the value is a live one of an element that varies.
    fn is_varying_element(&self, nest: &NestKernel, number: usize) -> bool {
        self.live[number] && !self.uniform[number] && nest.values[number].space == Space::Element
    }

    /// Which values are kept of rows over which passes compute anew: those that a later pass needs and that are dear, the dearest first as long as
    /// they fit.
    fn choose_kept(&self, nest: &NestKernel, dear: usize) -> Vec<bool> {
        let values = nest.values.len();
        let mut refused = vec![false; values];
        loop {
            let costs = self.costs_of_recomputation(nest, &refused, dear);
            let mut kept = vec![false; values];
            // The last pass in which a value is needed, on the way back from its users.
            let mut needed = self.levels.clone();
            for number in (0..values).rev().filter(|&number| self.is_varying_element(nest, number)) {
                kept[number] = needed[number] > self.levels[number] && costs[number] > dear && !refused[number];
                let need = if kept[number] { self.levels[number] } else { needed[number] };
                for_each_operand(&nest.values[number].instruction, |operand| {
                    needed[operand] = needed[operand].max(need);
                });
            }
            let bytes = |number: usize| cost::size(nest.values[number].dtype) * self.layout.width;
            let all: usize = (0..values).filter(|&number| kept[number]).map(bytes).sum();
            if all <= KEPT {
                return kept;
            }
            // For each byte the cheapest goes first.
            let cheapest = (0..values)
                .filter(|&number| kept[number])
                .min_by(|&a, &b| (costs[a] as u128 * bytes(b) as u128).cmp(&(costs[b] as u128 * bytes(a) as u128)));
            match cheapest {
                Some(number) => refused[number] = true,
                None => return kept,
            }
        }
    }

    /// What computing each element value again costs, counted as if those that a later pass reads and that are dear were kept.
    fn costs_of_recomputation(&self, nest: &NestKernel, refused: &[bool], dear: usize) -> Vec<usize> {
        let mut is_read_later = vec![false; nest.values.len()];
        for number in (0..nest.values.len()).filter(|&number| self.is_varying_element(nest, number)) {
            for_each_operand(&nest.values[number].instruction, |operand| {
                is_read_later[operand] |= self.levels[operand] < self.levels[number];
            });
        }
        let mut costs: Vec<usize> = Vec::with_capacity(nest.values.len());
        for value in &nest.values {
            let NestInstruction::Compute(instruction) = &value.instruction else {
                costs.push(0);
                continue;
            };
            let is_walked = matches!(*instruction, Instruction::Load { input }
                if nest.inputs[input as usize].view.axes().len() > 1);
            let mut cost = if is_walked { 2 } else { cost::of_instruction(instruction, value.dtype) };
            for_each_operand(&value.instruction, |operand| {
                if self.is_varying_element(nest, operand) {
                    let is_kept = is_read_later[operand] && costs[operand] > dear && !refused[operand];
                    cost = cost.saturating_add(if is_kept { 1 } else { costs[operand] });
                }
            });
            costs.push(cost);
        }
        costs
    }

    /// The values that each pass must compute for its folds and outputs, without those that were kept before.
    fn choose_computed(&self, nest: &NestKernel) -> Vec<Vec<u32>> {
        let values = nest.values.len();
        let mut is_known = vec![false; values];
        let mut passes = Vec::new();
        for pass in 0..self.passes {
            let mut wanted = vec![false; values];
            let folded = nest.values.iter().enumerate().filter_map(|(number, value)| match value.instruction {
                NestInstruction::Fold { operand, .. } if self.live[number] => Some(operand),
                NestInstruction::Fold { .. } | NestInstruction::Compute(_) => None,
            });
            for value in folded.chain(nest.outputs.iter().copied()) {
                wanted[value as usize] |= self.levels[value as usize] == pass;
            }
            let mut computed = Vec::new();
            for number in (0..values).rev() {
                if wanted[number] && self.is_varying_element(nest, number) && !is_known[number] {
                    computed.push(number as u32);
                    is_known[number] = self.kept[number];
                    for_each_operand(&nest.values[number].instruction, |operand| wanted[operand] = true);
                }
            }
            computed.reverse();
            passes.push(computed);
        }
        passes
    }
}

/// Whether all that is computed of elements that vary, and folded of them, can be in fragments.
fn is_in_fragments(nest: &NestKernel, uniform: &[bool]) -> bool {
    nest.values.iter().enumerate().all(|(number, value)| match &value.instruction {
        NestInstruction::Fold { operand, .. } => {
            let operand = *operand as usize;
            nest.values[operand].space != Space::Element || (value.dtype == DType::F32 && !uniform[operand])
        }
        NestInstruction::Compute(instruction) => {
            if value.space != Space::Element || uniform[number] {
                return true;
            }
            let mut operands = [(DType::F32, Register::unused()); 3];
            let (read, count) = instruction.operands();
            for (operand, &read) in operands.iter_mut().zip(&read[..count]) {
                operand.0 = nest.values[read as usize].dtype;
            }
            match instruction {
                Instruction::Elementwise(_) => {
                    is_lowered(&Code::new(instruction, value.dtype, operands, Register::unused()))
                }
                Instruction::Load { .. } | Instruction::Iota { .. } => true,
                Instruction::Constant { .. } | Instruction::Uniform { .. } | Instruction::Accumulator => false,
            }
        }
    })
}

/// The values that an instruction of a nest reads.
pub(super) fn for_each_operand(instruction: &NestInstruction, mut visit: impl FnMut(usize)) {
    match instruction {
        NestInstruction::Compute(instruction) => {
            let (operands, count) = instruction.operands();
            operands[..count].iter().for_each(|&operand| visit(operand as usize));
        }
        NestInstruction::Fold { operand, .. } => visit(*operand as usize),
    }
}
