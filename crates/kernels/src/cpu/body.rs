//! Code over registers as the interpreter runs it, with runs of it compiled where the processor is one that is known how to write for.
//!
//! Instructions that follow one another become *fragments*, and what loads for them comes before them. What a fragment computes is written to a register only
//! if something else reads it; so who makes a body says what is read behind it.

// Only machine code reads what folds are made into, and what is asked for ahead.
#![cfg_attr(not(all(target_arch = "x86_64", target_pointer_width = "64", any(unix, windows))), allow(dead_code))]

use arenagrad_graph::{DType, ReduceFunction};

use super::cache_lines::AtLine;
use super::code::Code;
use super::interpret::{Outputs, Sources};
use super::machine_code::{self, Compiled, Vectors, is_lowered};
use super::processor::detect;
#[cfg(doc)]
use super::registers::BLOCK;
use super::registers::{Bank, LANES, Register};
use crate::program::ProgramInput;

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
    /// Whether each element is combined with one of its own, or all with those of a few chunks, in turn.
    pub(super) of_columns: bool,
    /// Whether blocks may have more elements than a [`BLOCK`], for each of which there are chunks then.
    pub(super) long: bool,
}

/// Chunks that elements are folded into in turn, so that no addition waits for the one before.
pub(super) const FOLDED_CHUNKS: usize = 4;

/// What a block's elements are combined with in a fold of its body: [`FOLDED_CHUNKS`] for each [`BLOCK`] of them, or for columns as many elements as it has.
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

/// The most streams that a body asks for.
pub(super) const MOST_AHEAD: usize = 4;

/// What fragments are told beside their block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// What the body's folds are made into.
    pub(super) folds: [FoldTarget; MOST_FOLDS],
    /// Where the elements stand that are asked for, as many as the block has: they are not read, and may be anywhere.
    pub(super) ahead: [usize; MOST_AHEAD],
}

impl Beside {
    pub(super) const fn nothing() -> Beside {
        Beside { folds: [FoldTarget::none(); MOST_FOLDS], ahead: [0; MOST_AHEAD] }
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
    /// The registers that may hold one value for a whole block.
    pub(super) repeating: &'a [Named],
    pub(super) folds: &'a [FoldCode],
    /// The streams that are asked for while it runs, by their numbers.
    pub(super) ahead: &'a [u32],
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
            let (folds, ahead) = if after.is_empty() { (wanted.folds, wanted.ahead) } else { (&[][..], &[][..]) };
            if !after.is_empty() {
                live.extend(wanted.folds.iter().map(|fold| (DType::F32, fold.operand)));
                live_before(after, &mut live);
            }
            has_folds |= after.is_empty();
            if !body.push_run(vectors, (&run, folds, ahead), live, &may_repeat) {
                return None;
            }
            rest = after;
        }
        body.borrow_outputs(inputs, &wanted);
        body.code.shrink_to_fit();
        Some(body)
    }

    /// Appends code of which a fragment can be made, with folds behind it; of two halves two, where one has too many values. Gives whether the folds are part
    /// of it.
    fn push_run(
        &mut self,
        vectors: Vectors,
        (run, folds, ahead): (&[Code], &[FoldCode], &[u32]),
        live: Vec<Named>,
        may_repeat: &dyn Fn(DType, Register) -> bool,
    ) -> bool {
        if run.len() >= LEAST || !folds.is_empty() {
            if let Some(compiled) = Compiled::new(vectors, (run, folds, ahead), &live, may_repeat) {
                self.code.push(Code::Fragment { number: self.fragments.len() as u32 });
                self.fragments.push(compiled);
                return true;
            }
            if run.len() >= LEAST {
                let (head, tail) = run.split_at(run.len() / 2);
                let mut live_between = live.clone();
                live_between.extend(folds.iter().map(|fold| (DType::F32, fold.operand)));
                live_before(tail, &mut live_between);
                self.push_run(vectors, (head, &[], &[]), live_between, may_repeat);
                return self.push_run(vectors, (tail, folds, ahead), live, may_repeat);
            }
        }
        self.code.extend(run);
        folds.is_empty()
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
        let reads = |code: &Code, named: Named| {
            if let Code::Fragment { number } = code {
                return fragments[*number as usize].reads(named);
            }
            code.operands().any(|operand| operand == named)
        };
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
            let Some(last) = rest.iter().rposition(|code| reads(code, named)) else { continue };
            let is_of_fragments = rest.iter().all(|code| matches!(code, Code::Fragment { .. }) || !reads(code, named));
            let is_written_before = rest[..last].iter().any(|code| writes(code, number));
            // A fragment reads where it needs the value first. If that is not the first time, it may have written the output by then.
            let is_written_there = writes(&rest[last], number) && rest[..last].iter().any(|code| reads(code, named));
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
