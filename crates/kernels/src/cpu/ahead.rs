//! Memory that is asked for before it is needed.
//!
//! A processor fetches on its own what follows on what is read, but only within a page of 4 KiB, and not while other work is done. A block of
//! elements is such a page. So while one block is computed, the lines of the next one are asked for, those that will be written too, a few with
//! each instruction: many at once would be waited for.

use std::ops::Range;

use smallvec::SmallVec;

use super::buffer::Parts;
use super::cache_lines::LINE;
use super::interpret::Sources;
use crate::cost;
use crate::program::ProgramInput;

/// The bytes that a kernel reads and writes from which it asks for them before: more than the second cache is sure to have.
const LEAST_BYTES: usize = 1 << 20;

/// The most lines that are asked for at once.
const MOST_LINES: usize = 32;

/// The most lines that are asked for of a row of elements.
const MOST_OF_A_ROW: usize = 8;

/// The inputs and outputs of a kernel whose elements stand side by side in the order in which they are computed.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    inputs: Vec<usize>,
    has_outputs: bool,
    /// How often a block asks for lines.
    calls: usize,
}

impl Streams {
    /// Those of a kernel over so many elements, with outputs that take so many bytes for each of them, that asks so many times a block.
    pub(super) fn new(inputs: &[ProgramInput], output_bytes: usize, elements: usize, calls: usize) -> Streams {
        let is_streamed = |input: &ProgramInput| {
            let axes = input.view.axes();
            input.in_place.is_none() && axes.len() == 1 && axes[0].stride == 1 && axes[0].extent == elements
        };
        let numbers: Vec<usize> = (0..inputs.len()).filter(|&number| is_streamed(&inputs[number])).collect();
        let read: usize = numbers.iter().map(|&number| cost::size(inputs[number].dtype)).sum();
        if !cfg!(target_arch = "x86_64") || (read + output_bytes).saturating_mul(elements) < LEAST_BYTES {
            return Streams::default();
        }
        Streams { inputs: numbers, has_outputs: output_bytes > 0, calls: calls.max(1) }
    }

    /// Lets `ahead` have what to ask for while a block is computed, so that the elements `next` are there for the next one. `outputs` are those
    /// from element `base` on.
    #[inline]
    pub(super) fn look(
        &self,
        ahead: &mut Ahead,
        sources: &Sources<'_>,
        outputs: &Parts<'_>,
        (base, next): (usize, Range<usize>),
    ) {
        ahead.clear();
        if self.calls > 0 && !next.is_empty() {
            self.look_at(ahead, sources, outputs, (base, next));
        }
    }

    /// How many streams there are of elements of four bytes, of a kernel with so many outputs.
    pub(super) fn count(&self, outputs: usize) -> usize {
        self.inputs.len() + if self.has_outputs { outputs } else { 0 }
    }

    /// Writes where the elements `next` of each stream stand; leaves the addresses as they are if there are no such elements.
    pub(super) fn addresses(
        &self,
        addresses: &mut [usize],
        sources: &Sources<'_>,
        outputs: &Parts<'_>,
        (base, next): (usize, Range<usize>),
    ) {
        if next.is_empty() {
            return;
        }
        let inputs = self.inputs.iter().map(|&number| {
            let buffer = sources.operands.buffer(sources.first + number);
            buffer.address() + (sources.inputs[number].view.offset() + next.start) * buffer.storage().bytes()
        });
        let outputs = outputs.iter().map(|part| part.address() + (next.start - base) * part.storage().bytes());
        for (address, found) in addresses.iter_mut().zip(inputs.chain(outputs)) {
            *address = found;
        }
    }

    fn look_at(
        &self,
        ahead: &mut Ahead,
        sources: &Sources<'_>,
        outputs: &Parts<'_>,
        (base, next): (usize, Range<usize>),
    ) {
        for &number in &self.inputs {
            let buffer = sources.operands.buffer(sources.first + number);
            let bytes = buffer.storage().bytes();
            let first = buffer.address() + (sources.inputs[number].view.offset() + next.start) * bytes;
            ahead.add(Purpose::Read, first, next.len() * bytes);
        }
        if self.has_outputs {
            for part in outputs {
                let bytes = part.storage().bytes();
                ahead.add(Purpose::Write, part.address() + (next.start - base) * bytes, next.len() * bytes);
            }
        }
        ahead.at_once = ahead.lines.div_ceil(self.calls);
        if ahead.at_once > MOST_LINES {
            ahead.clear();
        }
    }
}

/// What is left to ask for. It is filled where it stands, block after block: to move it would cost as much as a small block does.
pub(super) struct Ahead {
    /// Addresses.
    streams: SmallVec<[(Purpose, Range<usize>); 8]>,
    lines: usize,
    at_once: usize,
}

impl Ahead {
    /// Nothing.
    pub(super) fn none() -> Ahead {
        Ahead { streams: SmallVec::new(), lines: 0, at_once: 0 }
    }

    fn clear(&mut self) {
        self.streams.clear();
        (self.lines, self.at_once) = (0, 0);
    }

    fn add(&mut self, purpose: Purpose, first: usize, bytes: usize) {
        if self.streams.len() < self.streams.inline_size() {
            self.streams.push((purpose, first..first + bytes));
            self.lines += bytes.div_ceil(LINE);
        }
    }

    /// Asks for the next few lines.
    #[inline(always)]
    pub(super) fn fetch(&mut self) {
        if self.at_once > 0 {
            self.fetch_some();
        }
    }

    #[inline(never)]
    fn fetch_some(&mut self) {
        let mut left = self.at_once;
        while left > 0
            && let Some((purpose, stream)) = self.streams.last_mut()
        {
            let lines = stream.len().div_ceil(LINE).min(left);
            for line in 0..lines {
                fetch_line(*purpose, stream.start + line * LINE);
            }
            left -= lines;
            stream.start += lines * LINE;
            if stream.start >= stream.end {
                self.streams.pop();
            }
        }
        if self.streams.is_empty() {
            self.at_once = 0;
        }
    }
}

/// Asks for the first lines of elements that are read soon; the processor fetches those that follow.
#[inline(always)]
pub(super) fn fetch_elements<T>(elements: &[T]) {
    let first = elements.as_ptr().addr();
    for line in 0..size_of_val(elements).div_ceil(LINE).min(MOST_OF_A_ROW) {
        fetch_line(Purpose::Read, first + line * LINE);
    }
}

/// What memory is asked for to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    /// Other cores lose their copies when the line is asked for, and not when the first element is written, which would wait for that.
    Write,
}

/// Asks for the line at an address.
#[inline(always)]
fn fetch_line(purpose: Purpose, address: usize) {
    #[cfg(target_arch = "x86_64")]
    match purpose {
        Purpose::Read => {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: the instruction reads nothing that a program could see, and an address where nothing stands does no harm.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address)) };
        }
        Purpose::Write => {
            // SAFETY: it changes no memory and no register, and does no harm as above; processors that do not know it do nothing.
            unsafe { std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (purpose, address);
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::{DType, Elements};

    use super::*;
    use crate::cpu::buffer::{Buffer, Operands, parts};
    use crate::cpu::interpret::Accumulators;
    use crate::view::{Axis, View};

    const ELEMENTS: usize = 1 << 18;

    fn input(axes: &[Axis], offset: usize) -> ProgramInput {
        ProgramInput { dtype: DType::F32, view: View::new(axes.iter().copied(), offset), in_place: None }
    }

    /// The lines of `range` of a buffer, whose elements take four bytes.
    fn lines(buffer: &Elements, range: Range<usize>) -> Range<usize> {
        buffer.address() + 4 * range.start..buffer.address() + 4 * range.end
    }

    #[test]
    fn what_stands_in_order_is_asked_for_and_what_is_written() {
        let all = Axis { extent: ELEMENTS, stride: 1 };
        let rows = [Axis { extent: ELEMENTS / 64, stride: 0 }, Axis { extent: 64, stride: 1 }];
        let inputs = [input(&[all], 0), input(&rows, 0), input(&[all], 16)];
        let buffers = [vec![0.0f32; ELEMENTS], vec![0.0; 64], vec![0.0; ELEMENTS + 16]]
            .map(|list| Buffer::from(Elements::from(list)));
        let mut outputs = [Elements::from(vec![0.0f32; ELEMENTS])];
        let written = lines(&outputs[0], 2048..3072);
        let outputs = parts(&mut outputs, ELEMENTS);
        let operands = Operands { buffers: &buffers, slots: &[0, 1, 2] };
        let sources =
            Sources { operands, first: 0, inputs: &inputs, accumulators: Accumulators::None, accumulator_base: 0 };
        let streams = Streams::new(&inputs, 4, ELEMENTS, 10);
        let mut ahead = Ahead::none();
        streams.look(&mut ahead, &sources, &outputs, (0, 2048..3072));
        if !cfg!(target_arch = "x86_64") {
            assert!(ahead.streams.is_empty());
            return;
        }
        let read = [lines(&buffers[0], 2048..3072), lines(&buffers[2], 2064..3088)].map(|lines| (Purpose::Read, lines));
        assert_eq!(ahead.streams.to_vec(), [&read[..], &[(Purpose::Write, written)]].concat());
        // All of it in as many calls as a block has.
        for call in 0..10 {
            assert!(!ahead.streams.is_empty(), "nothing is left at call {call}");
            ahead.fetch();
        }
        assert!(ahead.streams.is_empty() && ahead.at_once == 0);
        streams.look(&mut ahead, &sources, &outputs, (0, ELEMENTS..ELEMENTS));
        assert!(ahead.streams.is_empty());
    }

    #[test]
    fn nothing_is_asked_for_where_little_is_moved_or_few_instructions_are() {
        let all = |elements| input(&[Axis { extent: elements, stride: 1 }], 0);
        assert_eq!(Streams::new(&[all(1024)], 4, 1024, 10).calls, 0);
        let buffers = [Buffer::from(Elements::from(vec![0.0f32; ELEMENTS]))];
        let (inputs, operands) = ([all(ELEMENTS)], Operands { buffers: &buffers, slots: &[0] });
        let sources =
            Sources { operands, first: 0, inputs: &inputs, accumulators: Accumulators::None, accumulator_base: 0 };
        let mut outputs = [Elements::from(vec![0.0f32; ELEMENTS])];
        let outputs = parts(&mut outputs, ELEMENTS);
        // A single instruction would ask for 128 lines at once.
        let streams = Streams::new(&inputs, 4, ELEMENTS, 1);
        let mut ahead = Ahead::none();
        streams.look(&mut ahead, &sources, &outputs, (0, 1024..2048));
        assert!(ahead.streams.is_empty());
    }
}
