//! Execution of translated code over one block of elements.

use std::ops::Range;

use arenagrad_graph::{DType, Elementwise};

use super::ahead::Ahead;
use super::body::{Beside, BlockPlace, Body};
use super::buffer::{Operands, Part, Parts};
use super::code::{Code, Setup, StoredRegister, Translation};
use super::lanes::{self, Long, Long2};
use super::narrow::{Source, of_storage};
use super::processor::{Arch, Vectorise, dispatch};
use super::registers::{Bank, Borrowed, LANES, LONG_BLOCK, Lane, Lanes, Register};
use crate::program::ProgramInput;

/// What a kernel computed before its epilogue, from the epilogue's first domain position on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Accumulators<'a> {
    None,
    F32(&'a [f32]),
    F64(&'a [f64]),
    I32(&'a [i32]),
}

impl<'a> Accumulators<'a> {
    /// The values, if they are of type `T`.
    #[inline(always)]
    fn typed<T: Lane>(self) -> &'a [T] {
        match self {
            Accumulators::None => &[],
            Accumulators::F32(values) => T::of_f32(values),
            Accumulators::F64(values) => T::of_f64(values),
            Accumulators::I32(values) => T::of_i32(values),
        }
    }
}

/// The outputs of a task, from a domain index on.
pub(super) enum Outputs<'a, 'b> {
    /// Inputs that share their memory are read; nothing is written.
    Read(&'a Parts<'b>),
    /// Code that says so writes its values where they go.
    Written(&'a mut Parts<'b>),
}

impl<'b> Outputs<'_, 'b> {
    #[inline(always)]
    pub(super) fn parts(&self) -> &Parts<'b> {
        match self {
            Outputs::Read(parts) => parts,
            Outputs::Written(parts) => parts,
        }
    }
}

/// Where a program's values come from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    /// The step's inputs.
    pub(super) operands: Operands<'a>,
    /// Which of them is the program's first.
    pub(super) first: usize,
    /// The program's inputs.
    pub(super) inputs: &'a [ProgramInput],
    /// What `Code::Accumulator` reads, whose element 0 belongs to the domain index `accumulator_base`.
    pub(super) accumulators: Accumulators<'a>,
    /// The domain index of the accumulators' element 0.
    pub(super) accumulator_base: usize,
}

impl<'a> Sources<'a> {
    /// The elements of one of the program's inputs.
    #[inline(always)]
    pub(super) fn input<T: Lane>(&self, input: u32) -> &'a [T] {
        self.operands.typed::<T>(self.first + input as usize)
    }

    /// The value of a register in the first `chunks` chunks of a block.
    #[inline(always)]
    pub(super) fn lanes<'b, T: Lane>(&self, bank: &'b Bank, register: Register, chunks: usize) -> Lanes<'b, T>
    where
        'a: 'b,
    {
        match bank.borrowed::<T>(register) {
            None => bank.get(register, chunks),
            Some(borrowed) => {
                let (elements, position) = match borrowed {
                    Borrowed::Repeated => return bank.repeated(register),
                    Borrowed::Output { .. } => panic!("only fragments read what stands in an output"),
                    Borrowed::Input { input, position } => (self.input::<T>(input), position),
                    Borrowed::Accumulators { position } => (self.accumulators.typed::<T>(), position),
                };
                Lanes::Varying(elements[position..position + chunks * LANES].as_chunks().0)
            }
        }
    }
}

/// Computes the uniform values.
pub(super) fn run_prologue(arch: Arch, setup: &Setup, bank: &mut Bank, sources: &Sources<'_>) {
    let outputs = Outputs::Read(&Parts::new());
    run_code(arch, (&setup.prologue, None), bank, sources, outputs, (0, 0..1), &mut Ahead::none());
}

/// Computes values of the first `length` domain positions that are the same in every block.
pub(super) fn run_once(arch: Arch, code: &[Code], (bank, length): (&mut Bank, usize), sources: &Sources<'_>) {
    let outputs = Outputs::Read(&Parts::new());
    run_code(arch, (code, None), bank, sources, outputs, (0, 0..length), &mut Ahead::none());
}

/// Computes the varying values of the domain positions `range`, as many as the bank has room for. `outputs` are those from
/// domain index `base` on, which inputs may share. With each instruction some of what is `ahead` is asked for.
pub(super) fn run_block(
    arch: Arch,
    body: &Body,
    bank: &mut Bank,
    sources: &Sources<'_>,
    outputs: Outputs<'_, '_>,
    place: (usize, Range<usize>),
    ahead: &mut Ahead,
) {
    run_code(arch, (&body.code, Some((body, NOTHING))), bank, sources, outputs, place, ahead);
}

/// As [`run_block`], of a body that is told more than its block.
pub(super) fn run_block_beside(
    arch: Arch,
    (body, beside): (&Body, &Beside),
    bank: &mut Bank,
    sources: &Sources<'_>,
    outputs: Outputs<'_, '_>,
    place: (usize, Range<usize>),
    ahead: &mut Ahead,
) {
    run_code(arch, (&body.code, Some((body, beside))), bank, sources, outputs, place, ahead);
}

/// What most fragments are told.
const NOTHING: &Beside = &Beside::nothing();

/// Runs code, and the fragments that it names.
fn run_code(
    arch: Arch,
    (code, body): (&[Code], Option<(&Body, &Beside)>),
    bank: &mut Bank,
    sources: &Sources<'_>,
    outputs: Outputs<'_, '_>,
    (base, range): (usize, Range<usize>),
    ahead: &mut Ahead,
) {
    let (start, length) = (range.start, range.len());
    debug_assert!(length <= LONG_BLOCK);
    if !code.is_empty() {
        // By reference: a copy of it that was written piece by piece just before would be waited for, which is felt in blocks of a few elements.
        dispatch(arch, &mut Block { code, body, bank, sources, outputs, base, start, length, output: None, ahead });
    }
}

/// Whether code whose value goes to an output has written it there: to whole chunks of memory in which elements are values.
#[inline(always)]
pub(super) fn is_written_in_place(part: &Part<'_>, length: usize) -> bool {
    length.is_multiple_of(LANES) && part.storage().is_native()
}

/// Writes the outputs of the domain positions `range`, but for those that have been written where they go.
pub(super) fn store_block(
    translation: &Translation,
    bank: &Bank,
    parts: &mut Parts<'_>,
    base: usize,
    range: Range<usize>,
) {
    for (&(_, output), part) in translation.outputs.iter().zip(parts) {
        store(bank, output, part, range.start - base..range.end - base);
    }
}

/// Writes an output to `range` of its part, if it has not been written there.
pub(super) fn store(bank: &Bank, output: StoredRegister, part: &mut Part<'_>, range: Range<usize>) {
    fn store_typed<E: Source>(bank: &Bank, register: Register, target: &mut [E]) {
        match bank.get::<E::Value>(register, target.len().div_ceil(LANES)) {
            Lanes::Uniform(chunk) => target.fill(E::store(chunk[0])),
            Lanes::Varying(chunks) => E::store_all(&chunks.as_flattened()[..target.len()], target),
        }
    }
    if output.in_place && is_written_in_place(part, range.len()) {
        return;
    }
    of_storage!(part.storage(), E => store_typed::<E>(bank, output.register, &mut part.typed_mut()[range]));
}

/// Code that is being run over some positions of the domain.
pub(super) struct Block<'a, 'b> {
    pub(super) code: &'a [Code],
    /// What the code's fragments belong to, and what they are told.
    pub(super) body: Option<(&'a Body, &'a Beside)>,
    pub(super) bank: &'a mut Bank,
    /// By reference: what is written just before, piece by piece, is waited for where it is read as a whole.
    pub(super) sources: &'a Sources<'a>,
    pub(super) outputs: Outputs<'a, 'b>,
    pub(super) base: usize,
    pub(super) start: usize,
    pub(super) length: usize,
    /// The output to which the code that is being executed writes its value.
    output: Option<u32>,
    ahead: &'a mut Ahead,
}

impl Vectorise for &mut Block<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for &code in self.code {
            self.ahead.fetch();
            self.execute::<FUSED>(code);
        }
    }
}

/// Writes the value of the code that a block executes, of type `$value`: where it goes if it is an output, else to the register `$target`. `$compute`
/// writes `$chunks` chunks at `$out` of what it reads by `$reader`.
///
/// A macro, because a closure would be a function of its own, without the instruction set that the block is compiled for.
macro_rules! write_value {
    ($block:ident, $target:ident: $value:ty, |$reader:ident, $out:ident, $chunks:ident| $compute:expr) => {{
        let $chunks = $block.chunks();
        let Block { bank, sources, outputs, base, start, length, output, .. } = $block;
        let mut elements = None;
        if let (Outputs::Written(parts), Some(output)) = (&mut *outputs, *output) {
            let part = &mut parts[output as usize];
            if is_written_in_place(part, *length) {
                elements = Some(&mut part.typed_mut::<$value>()[*start - *base..][..*length]);
            }
        }
        let mut register = None;
        let $out = match elements {
            Some(elements) => elements.as_chunks_mut().0,
            None => register.insert(bank.take::<$value>($target)).chunks($chunks),
        };
        let $reader = Reader { bank: &*bank, sources };
        $compute;
        if let Some(register) = register {
            bank.put($target, register);
        }
    }};
}

impl Block<'_, '_> {
    #[inline(always)]
    pub(super) fn chunks(&self) -> usize {
        self.length.div_ceil(LANES)
    }

    /// The value of a register in the first `chunks` chunks.
    #[inline(always)]
    pub(super) fn lanes<T: Lane>(&self, register: Register, chunks: usize) -> Lanes<'_, T> {
        self.sources.lanes(self.bank, register, chunks)
    }

    #[inline(always)]
    fn execute<const FUSED: bool>(&mut self, code: Code) {
        match code {
            Code::Load { input, target, .. } if !self.stored(input).is_native() => self.load_narrow(input, target),
            Code::Borrow { input, target, .. } if !self.stored(input).is_native() => self.load_narrow(input, target),
            Code::Borrow { dtype, input, target } => match dtype {
                DType::F32 => self.borrow_output::<f32>(input, target),
                DType::F64 => self.borrow_output::<f64>(input, target),
                DType::I32 => self.borrow_output::<i32>(input, target),
                DType::Bool => self.borrow_output::<u8>(input, target),
            },
            Code::Load { dtype, input, target, borrows } => match dtype {
                DType::F32 => self.load::<f32>(input, target, borrows),
                DType::F64 => self.load::<f64>(input, target, borrows),
                DType::I32 => self.load::<i32>(input, target, borrows),
                DType::Bool => self.load::<u8>(input, target, borrows),
            },
            Code::Accumulator { target, borrows, .. } => match self.sources.accumulators {
                Accumulators::None => panic!("only an epilogue has an accumulator"),
                Accumulators::F32(values) => self.accumulator(values, target, borrows),
                Accumulators::F64(values) => self.accumulator(values, target, borrows),
                Accumulators::I32(values) => self.accumulator(values, target, borrows),
            },
            Code::Iota { inner, extent, first, target } => self.iota(inner, extent, first, target),
            Code::Uniform { seed, step, first, target } => self.uniform(seed, step, first, target),
            Code::Elementwise { operation, from, to, target, output } => {
                self.output = output;
                self.elementwise::<FUSED>(code, operation, from, to, target);
            }
            Code::Fragment { number } => self.fragment(number),
        }
    }

    #[inline(never)]
    fn fragment(&mut self, number: u32) {
        let (body, beside) = self.body.expect("only a body has fragments");
        let Block { bank, sources, outputs, base, start, length, .. } = self;
        let place = BlockPlace { base: *base, start: *start, length: *length };
        body.run(number, bank, sources, outputs, beside, &place);
    }

    #[inline(always)]
    fn elementwise<const FUSED: bool>(
        &mut self,
        code: Code,
        operation: Elementwise<Register>,
        from: DType,
        to: DType,
        target: Register,
    ) {
        match (operation, from) {
            (Elementwise::Unary { function, operand }, DType::F32) => {
                self.unary_f32::<FUSED>(function, operand, target);
            }
            (Elementwise::Binary { function, lhs, rhs }, DType::F32) => {
                self.binary_f32::<FUSED>(function, lhs, rhs, target);
            }
            (Elementwise::Compare { function, lhs, rhs }, DType::F32) => {
                self.compare::<f32>(function, lhs, rhs, target);
            }
            (Elementwise::Compare { function, lhs, rhs }, DType::I32) => {
                self.compare::<i32>(function, lhs, rhs, target);
            }
            (Elementwise::Where { condition, on_true, on_false }, _) if to == DType::F32 => {
                self.choose::<f32>(condition, on_true, on_false, target);
            }
            (Elementwise::RoundTo { half, operand }, DType::F32) => self.round_to_f32(half, operand, target),
            (
                Elementwise::Unary { .. }
                | Elementwise::Binary { .. }
                | Elementwise::Compare { .. }
                | Elementwise::Where { .. }
                | Elementwise::Cast { .. }
                | Elementwise::RoundTo { .. },
                _,
            ) => self.execute_seldom(code),
        }
    }

    #[inline(always)]
    pub(super) fn map<T: Lane, R: Lane>(&mut self, operand: Register, target: Register, f: impl Fn(T) -> R) {
        write_value!(self, target: R, |reader, out, chunks| lanes::map(out, reader.lanes::<T>(operand, chunks), f));
    }

    #[inline(always)]
    pub(super) fn map2<T: Lane, R: Lane>(
        &mut self,
        lhs: Register,
        rhs: Register,
        target: Register,
        f: impl Fn(T, T) -> R,
    ) {
        write_value!(self, target: R, |reader, out, chunks| {
            lanes::map2(out, reader.lanes::<T>(lhs, chunks), reader.lanes::<T>(rhs, chunks), f);
        });
    }

    /// As [`Block::map`], for functions that are long.
    #[inline(always)]
    pub(super) fn map_long<T: Lane>(&mut self, operand: Register, target: Register, f: impl Long<T>) {
        write_value!(self, target: T, |reader, out, chunks| lanes::map_long(out, reader.lanes::<T>(operand, chunks), f));
    }

    /// As [`Block::map2`], for functions that are long.
    #[inline(always)]
    pub(super) fn map2_long<T: Lane>(&mut self, (lhs, rhs): (Register, Register), target: Register, f: impl Long2<T>) {
        write_value!(self, target: T, |reader, out, chunks| {
            lanes::map2_long(out, reader.lanes::<T>(lhs, chunks), reader.lanes::<T>(rhs, chunks), f);
        });
    }

    #[inline(always)]
    pub(super) fn map_checked<T: Lane>(
        &mut self,
        operand: Register,
        target: Register,
        fast: impl Long<T>,
        accepts: impl Fn(T) -> bool,
        slow: fn(T) -> T,
    ) {
        write_value!(self, target: T, |reader, out, chunks| {
            lanes::map_checked(out, reader.lanes::<T>(operand, chunks), fast, accepts, slow);
        });
    }

    #[inline(always)]
    pub(super) fn map2_checked<T: Lane>(
        &mut self,
        (lhs, rhs): (Register, Register),
        target: Register,
        fast: impl Long2<T>,
        accepts: impl Fn(T, T) -> bool,
        slow: fn(T, T) -> T,
    ) {
        write_value!(self, target: T, |reader, out, chunks| {
            let (a, b) = (reader.lanes::<T>(lhs, chunks), reader.lanes::<T>(rhs, chunks));
            lanes::map2_checked(out, a, b, fast, accepts, slow);
        });
    }

    #[inline(always)]
    pub(super) fn choose<T: Lane>(
        &mut self,
        condition: Register,
        on_true: Register,
        on_false: Register,
        target: Register,
    ) {
        write_value!(self, target: T, |reader, out, chunks| {
            let condition = reader.lanes::<u8>(condition, chunks);
            let (on_true, on_false) = (reader.lanes::<T>(on_true, chunks), reader.lanes::<T>(on_false, chunks));
            lanes::select(out, condition, on_true, on_false);
        });
    }
}

/// What code reads while its value is written.
#[derive(Clone, Copy)]
struct Reader<'r, 'a> {
    bank: &'r Bank,
    sources: &'r Sources<'a>,
}

impl<'r, 'a: 'r> Reader<'r, 'a> {
    /// The value of a register in the first `chunks` chunks.
    #[inline(always)]
    fn lanes<T: Lane>(self, register: Register, chunks: usize) -> Lanes<'r, T> {
        self.sources.lanes(self.bank, register, chunks)
    }
}
