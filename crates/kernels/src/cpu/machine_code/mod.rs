//! Runs of code over registers, compiled for the processor that runs them.
//!
//! The interpreter makes one loop over a block's registers for each instruction, so each value is written to the nearest cache and read from it again. Where
//! instructions of f32 follow one another, a [`Body`](super::body::Body) has them as *fragments*: one loop over the block each, in which values stay in the
//! processor's registers, as machine code that is written when a kernel is made ready. Only what other code reads is written to the block's registers, or to
//! outputs.
//!
//! A fragment gives the bits that the interpreter gives, so which of both computes something is nobody's business: the interpreter has all that fragments
//! do not know (other dtypes, seldom functions, other processors, systems that let no process write code). Fragments are for x86-64 with AVX-512, or with AVX2
//! and FMA.

mod assembler;
mod emit;
mod fragment;
mod functions;
mod general;
mod lower;
mod masks;
mod memory;
#[cfg(test)]
mod tests;
mod values;

use std::ops::Range;

use arenagrad_graph::DType;

use super::body::{Beside, BlockPlace, FOLDED_CHUNKS, FoldPlace, FoldTarget, Named, Repeated, Run};
use super::interpret::{Outputs, Sources, is_written_in_place};
use super::processor::Arch;
use super::registers::{BLOCK, Bank, Borrowed, LANES, Lane, Lanes, Register};
pub(in crate::cpu) use assembler::Vectors;
pub(in crate::cpu) use lower::is_lowered;
use lower::{Lowering, SlotUse};
use memory::Function;

/// Where a slot of a fragment stands: the address of its first element, and whether it goes on from there (all bits) or is one vector (none). Over rows a last
/// one has how many bytes of lanes the first chunk stands behind the beginning of its row, and of one lane the first row behind the first whose values stand.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Entry {
    address: *mut u8,
    step: usize,
}

/// The most slots of a fragment: their entries are written at each call, and one more.
const MOST_SLOTS: usize = 31;

/// A fragment as machine code.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    function: Function,
    slots: Vec<CompiledSlot>,
    /// The elements of a row, if it goes over rows.
    width: Option<usize>,
    /// As [`RowsOfChunks::period`](super::body::RowsOfChunks::period).
    period: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct CompiledSlot {
    what: SlotUse,
    may_repeat: bool,
}

/// The vectors that fragments would be compiled for here, if any.
pub(super) fn vectors(arch: Arch) -> Option<Vectors> {
    if let Arch::V4(_) = arch {
        return Some(Vectors::Evex);
    }
    if let Arch::V3(_) = arch { Some(Vectors::Vex) } else { None }
}

impl Compiled {
    /// The function of some code, if it has few enough values and slots and may be written.
    pub(super) fn new(vectors: Vectors, run: &Run<'_>) -> Option<Compiled> {
        // What is read behind the run is the last value of a register.
        let mut wanted = run.live.to_vec();
        let mut is_read = Vec::with_capacity(run.code.len());
        for code in run.code.iter().rev() {
            is_read.push(wanted.contains(&code.target()));
            wanted.retain(|&named| named != code.target());
        }
        is_read.reverse();
        let mut lowering = Lowering::new(vectors, run.may_repeat, run.rows);
        for (code, is_read) in run.code.iter().zip(is_read) {
            lowering.push(code, is_read);
        }
        run.ahead.iter().for_each(|&asked| lowering.push_ahead(asked));
        for (number, fold) in (0..).zip(run.folds) {
            lowering.push_fold(number, fold);
        }
        if lowering.uses.len() > MOST_SLOTS {
            return None;
        }
        let emitted = emit::emit(&lowering.fragment, &lowering.layouts, run.rows).ok()?;
        let goes_by_rows = lowering.layouts.iter().any(|layout| layout.goes_by_rows());
        let slots = lowering.uses.iter().zip(&lowering.layouts);
        let slots = slots.map(|(&what, layout)| CompiledSlot { what, may_repeat: layout.may_repeat }).collect();
        let function = Function::new(&emitted.bytes, emitted.start)?;
        Some(Compiled { function, slots, width: goes_by_rows.then_some(run.rows.width), period: run.rows.period })
    }

    /// Whether it reads a register that was not written in it.
    pub(super) fn reads(&self, named: Named) -> bool {
        self.slots
            .iter()
            .any(|slot| matches!(slot.what, SlotUse::Read { dtype, register } if (dtype, register) == named))
    }

    /// Whether it writes a register.
    pub(super) fn writes_register(&self, named: Named) -> bool {
        self.slots.iter().any(|slot| matches!(slot.what, SlotUse::Written { dtype, register, output: None } if (dtype, register) == named))
    }

    /// Lets it write to an output what it writes to a register.
    pub(super) fn write_output(&mut self, named: Named, number: u32) {
        for slot in &mut self.slots {
            if let SlotUse::Written { dtype, register, output: output @ None } = &mut slot.what
                && (*dtype, *register) == named
            {
                *output = Some(number);
            }
        }
    }

    /// Whether it reads a register, chunk by chunk, before it writes an output, if it does both. Slots are numbered as they are met.
    pub(super) fn reads_before_writing(&self, named: Named, number: u32) -> bool {
        let reads =
            |slot: &CompiledSlot| matches!(slot.what, SlotUse::Read { dtype, register } if (dtype, register) == named);
        let writes = |slot: &CompiledSlot| matches!(slot.what, SlotUse::Written { output: Some(output), .. } if output == number);
        match (self.slots.iter().position(reads), self.slots.iter().position(writes)) {
            (Some(read), Some(written)) => read < written,
            (None, _) | (_, None) => true,
        }
    }

    /// Whether it may write an output.
    pub(super) fn writes(&self, number: u32) -> bool {
        let is_this = |slot: &CompiledSlot| matches!(slot.what, SlotUse::Written { output: Some(output), .. } if output == number);
        self.slots.iter().any(is_this)
    }

    /// Runs it over the elements of a block.
    pub(super) fn run(
        &self,
        bank: &mut Bank,
        sources: &Sources<'_>,
        outputs: &mut Outputs<'_, '_>,
        beside: &Beside,
        &BlockPlace { base, start, length }: &BlockPlace,
    ) {
        let chunks = length.div_ceil(LANES);
        if chunks == 0 {
            return;
        }
        let width = self.width.unwrap_or(length);
        let (row, rows) = (start / width, (start + length).div_ceil(width) - start / width);
        let has_folds = self.slots.iter().any(|slot| matches!(slot.what, SlotUse::Fold { .. }));
        let unit = if has_folds { width } else { LANES };
        assert!(
            self.width.is_none() || [start, length].iter().all(|place| place.is_multiple_of(unit)),
            "rows are whole chunks"
        );
        let nowhere = Entry { address: std::ptr::null_mut(), step: usize::MAX };
        let mut entries = [nowhere; MOST_SLOTS + 1];
        let count = self.slots.len();
        if self.width.is_some() {
            entries[count].address = std::ptr::without_provenance_mut(start % width * size_of::<f32>());
            entries[count].step = self.period.map_or(0, |period| row % period * size_of::<f32>());
        }
        let entries = &mut entries[..count + 1];
        // What is written may be a register that is read: the old value is read before the new one is written, chunk by chunk.
        for (entry, slot) in entries.iter_mut().zip(&self.slots) {
            let SlotUse::Read { dtype, register } = slot.what else { continue };
            *entry = match dtype {
                DType::F32 => read::<f32>(bank, sources, outputs, register, (chunks, slot.may_repeat)),
                DType::I32 => read::<i32>(bank, sources, outputs, register, (chunks, slot.may_repeat)),
                DType::Bool => read::<u8>(bank, sources, outputs, register, (chunks, slot.may_repeat)),
                DType::F64 => not_of_fragments(),
            };
        }
        for (entry, slot) in entries.iter_mut().zip(&self.slots) {
            entry.address = match slot.what {
                SlotUse::Read { .. } => continue,
                SlotUse::Repeated { dtype, what } => {
                    let range = match what {
                        Repeated::RowRegister { number } => {
                            entry.address = beside.rows[number as usize].cast_mut();
                            continue;
                        }
                        Repeated::RowsOf { input } => (input, self.period.map_or(row..row + rows, |period| 0..period)),
                        Repeated::ColumnsOf { input } => (input, 0..width),
                    };
                    match dtype {
                        DType::F32 => repeated::<f32>(sources, range),
                        DType::I32 => repeated::<i32>(sources, range),
                        DType::Bool | DType::F64 => not_of_fragments(),
                    }
                }
                SlotUse::Ahead { number } => std::ptr::without_provenance_mut(beside.ahead[number as usize]),
                SlotUse::Written { dtype, register, output } => {
                    let place = (output, base, start, length);
                    match dtype {
                        DType::F32 => written::<f32>(bank, outputs, register, chunks, place),
                        DType::I32 => written::<i32>(bank, outputs, register, chunks, place),
                        DType::Bool => written::<u8>(bank, outputs, register, chunks, place),
                        DType::F64 => not_of_fragments(),
                    }
                }
                SlotUse::Fold { number, place } => {
                    let FoldTarget { address, elements } = beside.folds[number as usize];
                    let least = match place {
                        FoldPlace::Columns => chunks * LANES,
                        FoldPlace::ShortColumns => width,
                        FoldPlace::Chunks { .. } => FOLDED_CHUNKS * length.div_ceil(BLOCK) * LANES,
                        FoldPlace::ShortRows => FOLDED_CHUNKS * rows * LANES,
                    };
                    assert!(elements >= least && length.is_multiple_of(LANES), "folds are of whole chunks");
                    address.cast()
                }
            };
        }
        // SAFETY: the bytes are what `emit` made for the vectors that this processor has. Each entry is of memory that is borrowed here for so long, and that has as many
        // chunks, rows or columns as are computed: `read`, `written` and `repeated` have made sure of it, the assertions above for folds, and whoever filled
        // `beside` for rows.
        unsafe { self.function.call(entries, chunks * LANES * size_of::<f32>()) };
    }
}

fn not_of_fragments() -> ! {
    panic!("fragments compute with 32 bits")
}

/// The entry of a register that is read.
fn read<T: Lane>(
    bank: &mut Bank,
    sources: &Sources<'_>,
    outputs: &Outputs<'_, '_>,
    register: Register,
    (chunks, may_repeat): (usize, bool),
) -> Entry {
    if let Some(Borrowed::Output { output, position }) = bank.borrowed::<T>(register) {
        let elements = &outputs.parts()[output as usize].typed::<T>()[position..][..chunks * LANES];
        return Entry { address: elements.as_ptr().cast_mut().cast(), step: usize::MAX };
    }
    match sources.lanes::<T>(bank, register, chunks) {
        Lanes::Varying(elements) => Entry { address: elements.as_ptr().cast_mut().cast(), step: usize::MAX },
        Lanes::Uniform(&[value, ..]) if !register.is_uniform() && !may_repeat => {
            // Such a view seldom repeats.
            let elements = &mut bank.varying_mut::<T>(register)[..chunks * LANES];
            elements.fill(value);
            Entry { address: elements.as_mut_ptr().cast(), step: usize::MAX }
        }
        Lanes::Uniform(chunk) => Entry { address: chunk.as_ptr().cast_mut().cast(), step: 0 },
    }
}

/// The address of elements of an input, of which each row has one or each column.
fn repeated<T: Lane>(sources: &Sources<'_>, (input, range): (u32, Range<usize>)) -> *mut u8 {
    let offset = sources.inputs[input as usize].view.offset();
    // They are values, as whoever made the kernel ready has said.
    sources.input::<T>(input)[range.start + offset..range.end + offset].as_ptr().cast_mut().cast()
}

/// The address of what is written: an output where it may be written in place, else the register.
fn written<T: Lane>(
    bank: &mut Bank,
    outputs: &mut Outputs<'_, '_>,
    register: Register,
    chunks: usize,
    (output, base, start, length): (Option<u32>, usize, usize, usize),
) -> *mut u8 {
    if let (Outputs::Written(parts), Some(output)) = (outputs, output) {
        let part = &mut parts[output as usize];
        if is_written_in_place(part, length) {
            return part.typed_mut::<T>()[start - base..][..length].as_mut_ptr().cast();
        }
    }
    bank.varying_mut::<T>(register)[..chunks * LANES].as_mut_ptr().cast()
}
