//! Code over registers as the interpreter runs it, with runs of it compiled where the processor is one that is known how to write for.
//!
//! Instructions that follow one another become *fragments*, and what loads for them comes before them. What a fragment computes is written to a register only
//! if something else reads it; so who makes a body says what is read behind it.

// Only machine code reads what folds are made into, and what is asked for ahead.
#![cfg_attr(not(all(target_arch = "x86_64", target_pointer_width = "64", any(unix, windows))), allow(dead_code))]

use arenagrad_graph::{DType, ReduceFunction, StorageType};

use super::cache_lines::AtLine;
use super::code::Code;
use super::interpret::{Outputs, Sources};
use super::machine_code::{self, Compiled, Vectors, is_lowered};
use super::processor::detect;
#[cfg(doc)]
use super::registers::BLOCK;
use super::registers::{Bank, LANES, Register};
use crate::program::{Program, ProgramInput};
use crate::view::Axis;

/// Code, some of it in fragments.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    pub(super) code: Vec<Code>,
    fragments: Vec<Compiled>,
}

/// The fewest instructions of a fragment without folds: the interpreter is as good at one.
const LEAST: usize = 2;

/// A register of a dtype.
pub(super) type Named = (DType, Register);

/// Whether this processor has fragments. Then no register of a load is given to another value, so that loads can be done before their fragment.
pub(super) fn is_available() -> bool {
    machine_code::vectors(detect()).is_some()
}

/// The registers that loads may leave with one value for a whole block; see [`Code::Load`].
pub(super) fn repeating(code: &[Code], inputs: &[ProgramInput]) -> Vec<Named> {
    let repeats = |input: u32| inputs[input as usize].view.axes().iter().any(|axis| axis.stride == 0);
    let loads = code.iter().filter_map(|code| {
        let Code::Load { dtype, input, target, borrows: true } = *code else { return None };
        repeats(input).then_some((dtype, target))
    });
    loads.collect()
}

/// What is read behind some code, given what is read behind it and what follows.
pub(super) fn live_before(code: &[Code], live: &mut Vec<Named>) {
    for code in code.iter().rev() {
        let target = code.target();
        live.retain(|&named| named != target);
        for named in code.operands() {
            if !live.contains(&named) {
                live.push(named);
            }
        }
    }
}

/// A fold that a body makes of a register of f32 behind its code, as part of its last fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoldCode {
    pub(super) function: ReduceFunction,
    pub(super) operand: Register,
    pub(super) place: FoldPlace,
}

/// What the elements of a block are combined with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoldPlace {
    /// Each with one of its own.
    Columns,
    /// Those of each of several rows with the same, one a column.
    ShortColumns,
    /// All with those of [`FOLDED_CHUNKS`], in turn; if `long`, a block may have more elements than a [`BLOCK`], for each of which there are chunks then.
    Chunks { long: bool },
    /// Those of each of several rows with chunks of the row's own.
    ShortRows,
}

/// What each row of a block of several has one value of, or each column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// What stands at [`Beside::rows`].
    RowRegister { number: u32 },
    /// An input that has an element for each row, or for each of a [period](RowsOfChunks::period) of rows.
    RowsOf { input: u32 },
    /// An input that has an element for each column.
    ColumnsOf { input: u32 },
}

impl Repeated {
    pub(super) fn is_of_rows(self) -> bool {
        match self {
            Repeated::RowRegister { .. } | Repeated::RowsOf { .. } => true,
            Repeated::ColumnsOf { .. } => false,
        }
    }
}

/// The widest rows that fragments go over: 31 bits count their bytes.
const WIDEST: usize = 1 << 28;

/// Rows that are whole chunks, and what is read there without being repeated over a register.
#[derive(Clone, Debug, Default)]
pub(super) struct RowsOfChunks {
    /// The elements of a row; 0 where there are no such rows.
    pub(super) width: usize,
    /// After how many rows the values of inputs that have one for each begin again, if they do.
    pub(super) period: Option<usize>,
    /// What stands for the values of which registers.
    pub(super) repeated: Vec<(Named, Repeated)>,
}

impl RowsOfChunks {
    /// What stands for the value of a register.
    pub(super) fn repeated(&self, named: Named) -> Option<Repeated> {
        self.repeated.iter().find(|(register, _)| *register == named).map(|&(_, what)| what)
    }

    /// Those of a program: where inputs have an element for each row or column, the rows of the first. The rows may be of several images, one for each channel
    /// that they have, of which an input has one for all images.
    pub(super) fn of_program(program: &Program, code: &[Code], stored: &[StorageType]) -> RowsOfChunks {
        let width = program.inputs.iter().find_map(|input| match *input.view.axes() {
            [.., Axis { stride: 1, .. }, Axis { stride: 0, extent }] => Some(extent),
            [Axis { stride: 0, .. }, Axis { stride: 1, extent }] => Some(extent),
            _ => None,
        });
        let period = program.inputs.iter().find_map(|input| match *input.view.axes() {
            [Axis { stride: 1, extent }, Axis { stride: 0, extent: last }]
            | [Axis { stride: 0, .. }, Axis { stride: 1, extent }, Axis { stride: 0, extent: last }] => {
                (Some(last) == width).then_some(extent)
            }
            _ => None,
        });
        let mut short = RowsOfChunks { period, ..RowsOfChunks::default() };
        if let Some(width) = width.filter(|&width| width.is_multiple_of(LANES) && width <= WIDEST)
            && period.is_none_or(|period| period <= WIDEST)
        {
            short.width = width;
            short.add_loads(code, (&program.inputs, stored), program.elements / width);
        }
        short
    }

    /// What stands for the values that code loads: those of inputs that have an element for each of `rows`, or for each column, where elements are values.
    pub(super) fn add_loads(
        &mut self,
        code: &[Code],
        (inputs, stored): (&[ProgramInput], &[StorageType]),
        rows: usize,
    ) {
        for code in code {
            let Code::Load { dtype: dtype @ (DType::F32 | DType::I32), input, target, borrows: true } = *code else {
                continue;
            };
            let ProgramInput { view, in_place: None, .. } = &inputs[input as usize] else { continue };
            if stored.get(input as usize).is_some_and(|stored| !stored.is_native()) {
                continue;
            }
            let period = self.period.unwrap_or(rows);
            let what = match *view.axes() {
                [Axis { stride: 0, extent }, Axis { stride: 1, extent: last }]
                    if (extent, last) == (rows, self.width) =>
                {
                    Repeated::ColumnsOf { input }
                }
                [Axis { stride: 1, extent }, Axis { stride: 0, extent: last }]
                    if (extent, last) == (rows, self.width) && period == rows =>
                {
                    Repeated::RowsOf { input }
                }
                [Axis { stride: 0, .. }, Axis { stride: 1, extent }, Axis { stride: 0, extent: last }]
                    if (extent, last) == (period, self.width) =>
                {
                    Repeated::RowsOf { input }
                }
                _ => continue,
            };
            self.repeated.push(((dtype, target), what));
        }
    }
}

/// Chunks that elements are folded into in turn, so that no addition waits for the one before.
pub(super) const FOLDED_CHUNKS: usize = 4;

/// What a block's elements are combined with in a fold of its body, as its [`FoldPlace`] says: [`FOLDED_CHUNKS`] for each [`BLOCK`] of them or for each row, or
/// an element for each column.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoldTarget {
    pub(super) address: *mut f32,
    pub(super) elements: usize,
}

/// The most folds of a body.
pub(super) const MOST_FOLDS: usize = 8;

impl FoldTarget {
    pub(super) const fn none() -> FoldTarget {
        FoldTarget { address: std::ptr::null_mut(), elements: 0 }
    }

    pub(super) fn new(elements: &mut [f32]) -> FoldTarget {
        FoldTarget { address: elements.as_mut_ptr(), elements: elements.len() }
    }

    /// Chunks that stand side by side, for they are whole lines.
    pub(super) fn of_chunks(blocks: &mut [AtLine<[[f32; LANES]; FOLDED_CHUNKS]>]) -> FoldTarget {
        const { assert!(size_of::<AtLine<[[f32; LANES]; FOLDED_CHUNKS]>>() == 4 * LANES * FOLDED_CHUNKS) };
        FoldTarget { address: blocks.as_mut_ptr().cast(), elements: blocks.len() * FOLDED_CHUNKS * LANES }
    }
}

/// The most registers of rows that fragments read.
pub(super) const MOST_ROWS: usize = 8;

/// A stream that a body asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedAhead {
    /// Its place in [`Beside::ahead`].
    pub(super) number: u32,
    /// Whether it is written: then other processors lose their copies before, and not when the first element is.
    pub(super) is_written: bool,
}

/// The most streams that a body asks for.
pub(super) const MOST_AHEAD: usize = 4;

/// What fragments are told beside their block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// What the body's folds are made into.
    pub(super) folds: [FoldTarget; MOST_FOLDS],
    /// Where values of rows stand, of which there is one for each row of the block.
    pub(super) rows: [*const u8; MOST_ROWS],
    /// Where the elements stand that are asked for, as many as the block has: they are not read, and may be anywhere.
    pub(super) ahead: [usize; MOST_AHEAD],
}

impl Beside {
    pub(super) const fn nothing() -> Beside {
        Beside { folds: [FoldTarget::none(); MOST_FOLDS], rows: [std::ptr::null(); MOST_ROWS], ahead: [0; MOST_AHEAD] }
    }
}

/// Which positions of the domain are computed.
pub(super) struct BlockPlace {
    /// The domain index of the first element of the outputs.
    pub(super) base: usize,
    pub(super) start: usize,
    pub(super) length: usize,
}

/// What is asked of a body, beside its code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The registers that are read behind it.
    pub(super) live: &'a [Named],
    /// The registers that are written to outputs behind it, of these numbers: fragments may write them there themselves.
    pub(super) stores: &'a [(Named, u32)],
    /// The registers that may hold one value for a whole block.
    pub(super) repeating: &'a [Named],
    pub(super) folds: &'a [FoldCode],
    /// The streams that are asked for while it runs.
    pub(super) ahead: &'a [AskedAhead],
    pub(super) rows: &'a RowsOfChunks,
}

/// Code that one fragment is made of.
pub(super) struct Run<'a> {
    pub(super) code: &'a [Code],
    pub(super) folds: &'a [FoldCode],
    pub(super) ahead: &'a [AskedAhead],
    /// The registers that are read behind it.
    pub(super) live: &'a [Named],
    /// Whether a register may hold one value for a whole block.
    pub(super) may_repeat: &'a dyn Fn(DType, Register) -> bool,
    pub(super) rows: &'a RowsOfChunks,
}

impl Body {
    /// The body with what can be of it compiled for these vectors, and all of the folds; if these cannot, no body.
    pub(super) fn compiled(&self, vectors: Vectors, inputs: &[ProgramInput], wanted: Wanted<'_>) -> Option<Body> {
        if wanted.folds.len() > MOST_FOLDS {
            return None;
        }
        let mut body = Body::default();
        let may_repeat = |dtype, register| wanted.repeating.contains(&(dtype, register));
        let mut rest = &self.code[..];
        let mut has_folds = wanted.folds.is_empty();
        while !rest.is_empty() || !has_folds {
            let is_part = |code: &&Code| is_lowered(code) || code.is_source();
            let count = rest.iter().take_while(is_part).count();
            if count == 0
                && let Some(first) = rest.first()
            {
                body.code.push(*first);
                rest = &rest[1..];
                continue;
            }
            let (run, after) = rest.split_at(count);
            let (sources, run): (Vec<Code>, Vec<Code>) = run.iter().partition(|code| code.is_source());
            body.code.extend(sources);
            let mut live = wanted.live.to_vec();
            live.extend(wanted.stores.iter().map(|&(named, _)| named));
            let (folds, ahead) = if after.is_empty() { (wanted.folds, wanted.ahead) } else { (&[][..], &[][..]) };
            if !after.is_empty() {
                live.extend(wanted.folds.iter().map(|fold| (DType::F32, fold.operand)));
                live_before(after, &mut live);
            }
            has_folds |= after.is_empty();
            let run = Run { code: &run, folds, ahead, live: &live, may_repeat: &may_repeat, rows: wanted.rows };
            if !body.push_run(vectors, &run) {
                return None;
            }
            rest = after;
        }
        body.leave_out_loads(&wanted);
        body.write_outputs(inputs, &wanted);
        body.borrow_outputs(inputs, &wanted);
        body.code.shrink_to_fit();
        Some(body)
    }

    /// Appends code of which a fragment can be made, with folds behind it; of two halves two, where one has too many values. Gives whether the folds are part
    /// of it.
    fn push_run(&mut self, vectors: Vectors, run: &Run<'_>) -> bool {
        let &Run { code, folds, live, .. } = run;
        if code.len() >= LEAST || !folds.is_empty() {
            if let Some(compiled) = Compiled::new(vectors, run) {
                self.code.push(Code::Fragment { number: self.fragments.len() as u32 });
                self.fragments.push(compiled);
                return true;
            }
            if code.len() >= LEAST {
                let (head, tail) = code.split_at(code.len() / 2);
                let mut live_between = live.to_vec();
                live_between.extend(folds.iter().map(|fold| (DType::F32, fold.operand)));
                live_before(tail, &mut live_between);
                self.push_run(vectors, &Run { code: head, folds: &[], ahead: &[], live: &live_between, ..*run });
                return self.push_run(vectors, &Run { code: tail, ..*run });
            }
        }
        self.code.extend(code);
        folds.is_empty()
    }

    /// Whether other code than loads reads a register: the interpreter's, or a fragment's that does not know what stands for it.
    pub(super) fn reads(&self, named: Named) -> bool {
        self.code.iter().any(|code| self.is_read_by(code, named))
    }

    fn is_read_by(&self, code: &Code, named: Named) -> bool {
        if let Code::Fragment { number } = code {
            return self.fragments[*number as usize].reads(named);
        }
        code.operands().any(|operand| operand == named)
    }

    /// Leaves out what loads a register for which something else stands, if nothing reads the register.
    fn leave_out_loads(&mut self, wanted: &Wanted<'_>) {
        let is_needed = |code: &Code| {
            let Code::Load { dtype, target, .. } = *code else { return true };
            let named = (dtype, target);
            wanted.rows.repeated(named).is_none() || wanted.live.contains(&named) || self.reads(named)
        };
        self.code = self.code.iter().copied().filter(is_needed).collect();
    }

    /// Whether a fragment writes an output.
    pub(super) fn writes(&self, number: u32) -> bool {
        self.fragments.iter().any(|fragment| fragment.writes(number))
    }

    /// Lets fragments write to outputs what only they read otherwise, and what nothing reads that is computed after it.
    fn write_outputs(&mut self, inputs: &[ProgramInput], wanted: &Wanted<'_>) {
        for &(named, number) in wanted.stores {
            let is_stored_twice = wanted.stores.iter().filter(|&&(other, _)| other == named).count() > 1;
            if is_stored_twice || wanted.live.contains(&named) {
                continue;
            }
            let writes = |code: &Code| match code {
                Code::Fragment { number } => self.fragments[*number as usize].writes_register(named),
                Code::Load { .. }
                | Code::Borrow { .. }
                | Code::Accumulator { .. }
                | Code::Iota { .. }
                | Code::Uniform { .. }
                | Code::Elementwise { .. } => code.target() == named,
            };
            let Some(last) = self.code.iter().rposition(writes) else { continue };
            let reads_old = |code: &Code| matches!(*code, Code::Load { input, .. } if inputs[input as usize].in_place == Some(number));
            let after = &self.code[last + 1..];
            if after.iter().any(|code| reads_old(code) || self.is_read_by(code, named)) {
                continue;
            }
            if let Code::Fragment { number: fragment } = self.code[last] {
                self.fragments[fragment as usize].write_output(named, number);
            }
        }
    }

    /// Whether all is fragments, of elements that are read where they stand.
    pub(super) fn needs_no_registers(&self, inputs: &[ProgramInput]) -> bool {
        let stands = |input: u32| {
            let axes = inputs[input as usize].view.axes();
            axes.len() == 1 && axes[0].stride == 1
        };
        let is_free = |code: &Code| match code {
            Code::Load { input, borrows, .. } => {
                *borrows && inputs[*input as usize].in_place.is_none() && stands(*input)
            }
            Code::Borrow { .. } | Code::Accumulator { borrows: true, .. } | Code::Fragment { .. } => true,
            Code::Accumulator { .. } | Code::Iota { .. } | Code::Uniform { .. } | Code::Elementwise { .. } => false,
        };
        !self.fragments.is_empty() && self.code.iter().all(is_free)
    }

    /// Leaves inputs where they stand that share the memory of an output, if only fragments read them and none behind the code that may write that output.
    fn borrow_outputs(&mut self, inputs: &[ProgramInput], wanted: &Wanted<'_>) {
        let fragments = &self.fragments;
        let writes = |code: &Code, number: u32| match code {
            Code::Fragment { number: fragment } => fragments[*fragment as usize].writes(number),
            Code::Elementwise { output, .. } => *output == Some(number),
            Code::Load { .. }
            | Code::Borrow { .. }
            | Code::Accumulator { .. }
            | Code::Iota { .. }
            | Code::Uniform { .. } => false,
        };
        for place in 0..self.code.len() {
            let Code::Load { dtype, input, target, borrows: true } = self.code[place] else { continue };
            let named = (dtype, target);
            let Some(number) = inputs[input as usize].in_place else { continue };
            let rest = &self.code[place + 1..];
            let reads = |code: &Code| self.is_read_by(code, named);
            let Some(last) = rest.iter().rposition(reads) else { continue };
            let is_of_fragments = rest.iter().all(|code| matches!(code, Code::Fragment { .. }) || !reads(code));
            let is_written_before = rest[..last].iter().any(|code| writes(code, number));
            // A fragment reads where it needs the value first. If that is not the first time, it may have written the output by then.
            let is_read_first = match rest[last] {
                Code::Fragment { number: fragment } => fragments[fragment as usize].reads_before_writing(named, number),
                Code::Load { .. }
                | Code::Borrow { .. }
                | Code::Accumulator { .. }
                | Code::Iota { .. }
                | Code::Uniform { .. }
                | Code::Elementwise { .. } => true,
            };
            let is_written_there = writes(&rest[last], number) && (!is_read_first || rest[..last].iter().any(reads));
            if is_of_fragments && !is_written_before && !is_written_there && !wanted.live.contains(&named) {
                self.code[place] = Code::Borrow { dtype, input, target };
            }
        }
    }

    /// Runs a fragment over the elements of a block; `beside` is what else it is told.
    pub(super) fn run(
        &self,
        number: u32,
        bank: &mut Bank,
        sources: &Sources<'_>,
        outputs: &mut Outputs<'_, '_>,
        beside: &Beside,
        place: &BlockPlace,
    ) {
        self.fragments[number as usize].run(bank, sources, outputs, beside, place);
    }
}
