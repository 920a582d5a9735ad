//! Regions of one result, copied from several inputs: concatenation and padding.
//!
//! The result is cut into stretches, which are tasks for threads where it is large: each fills its own and copies what of every
//! piece lies in it. That needs pieces whose elements stand in the result in the order in which they are read, as those of
//! concatenations and paddings do; others are copied one after the other, whole.

use std::ops::Range;

use arenagrad_graph::{DType, Elements};

use super::buffer::{Element, Operands, Part, part};
use super::narrow::{Source, of_storage};
use super::parallel;
use super::registers::BLOCK;
use super::walk::{self, PIECE, Walk};
use crate::cost;
use crate::kernel::Piece;
use crate::view::View;

/// How many elements are filled and copied over while they are in the nearest cache, where pieces are so few that looking each up costs nothing.
const FILLED_AT_ONCE: usize = 8 * BLOCK;

/// The most pieces that are looked up for each [`FILLED_AT_ONCE`] elements.
const FEW_PIECES: usize = 4;

/// How many elements are copied over while they are in a near cache, where pieces may lie beside one another in every line of the result.
const COPIED_AT_ONCE: usize = 64 * BLOCK;

/// The most pieces that are looked up for each [`COPIED_AT_ONCE`] elements.
const MANY_PIECES: usize = 64;

/// An assembly made ready; see [`crate::Kernel::Assemble`].
#[derive(Clone, Debug)]
pub(super) struct Assemble {
    elements: usize,
    fill: Option<f64>,
    pieces: Vec<Placed>,
    /// Into how many stretches the result is cut for threads.
    tasks: usize,
    /// Over how many elements fill and pieces alternate.
    at_once: usize,
    /// Whether what lies between lines of the one piece is filled as these are copied, so that nothing is written twice.
    fills_gaps: bool,
}

/// Where the elements of pieces are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs<'a> {
    pub(super) operands: Operands<'a>,
    /// Which input the first piece is of.
    pub(super) first: usize,
    /// Which element of each input the pieces call the first.
    pub(super) offset: usize,
}

/// A piece, and the stretch of the result from its first element to its last.
#[derive(Clone, Debug)]
struct Placed {
    piece: Piece,
    span: Range<usize>,
}

impl Assemble {
    pub(super) fn new(dtype: DType, elements: usize, fill: Option<f64>, pieces: &[Piece]) -> Self {
        let ascending = pieces.iter().all(|piece| is_ascending(&piece.destination));
        let cost = cost::assemble(dtype, elements, fill.is_some(), pieces);
        let tasks = if ascending { parallel::tasks(cost).min(elements.div_ceil(BLOCK)).max(1) } else { 1 };
        let fills_gaps = match pieces {
            [piece] => ascending && fill.is_some() && has_lines(&piece.source) && has_lines(&piece.destination),
            _ => false,
        };
        let at_once = match pieces.len() {
            _ if fills_gaps => usize::MAX,
            0..=FEW_PIECES if ascending && fill.is_some() => FILLED_AT_ONCE,
            2..=MANY_PIECES if ascending => COPIED_AT_ONCE,
            _ => usize::MAX,
        };
        let place = |piece: &Piece| {
            let (first, end) = (piece.destination.begin(), piece.destination.end());
            Placed { piece: piece.clone(), span: if first < end { first..end } else { 0..0 } }
        };
        let pieces = pieces.iter().map(place).collect();
        Assemble { elements, fill, pieces, tasks, at_once, fills_gaps }
    }

    /// How many tasks a run is.
    pub(super) fn tasks(&self) -> usize {
        self.tasks
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.tasks > 1
    }

    pub(super) fn run(&self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let inputs = Inputs { operands, first: 0, offset: 0 };
        self.divide(inputs, 0..self.elements, part(&mut outputs[0], self.elements), self.tasks);
    }

    /// Computes the elements `range` of the result in so many tasks: more than one where [it says so](Assemble::divides).
    pub(super) fn divide(&self, inputs: Inputs<'_>, range: Range<usize>, mut result: Part<'_>, tasks: usize) {
        if tasks > 1 {
            let half = tasks / 2;
            let cut = parallel::cut(range.clone(), half, tasks, BLOCK);
            let (head, tail) = result.split_at(cut - range.start);
            parallel::join(
                || self.divide(inputs, range.start..cut, head, half),
                || self.divide(inputs, cut..range.end, tail, tasks - half),
            );
            return;
        }
        let at_once = self.at_once.min(range.len()).max(1);
        for start in range.clone().step_by(at_once) {
            let stretch = start..range.end.min(start + at_once);
            let within = stretch.start - range.start..stretch.end - range.start;
            let is_in = |placed: &Placed| placed.span.start < stretch.end && stretch.start < placed.span.end;
            let gaps = self.fill.filter(|_| self.fills_gaps && self.pieces.iter().all(is_in));
            if gaps.is_none() {
                self.fill(&mut result, within.clone());
            }
            for (input, placed) in self.pieces.iter().enumerate().filter(|(_, placed)| is_in(placed)) {
                placed.copy((inputs, input), stretch.clone(), &mut result, within.clone(), gaps);
            }
        }
    }

    fn fill(&self, result: &mut Part<'_>, within: Range<usize>) {
        let Some(value) = self.fill else { return };
        of_storage!(result.storage(), E => result.typed_mut::<E>()[within].fill(E::from_f64(value)));
    }
}

impl Placed {
    /// Copies what of the piece, which is input `input`, lies in `stretch` of the result: the elements `within` of its part. What it leaves of these gets
    /// the value `gaps`, if there is one.
    fn copy(
        &self,
        (inputs, input): (Inputs<'_>, usize),
        stretch: Range<usize>,
        result: &mut Part<'_>,
        within: Range<usize>,
        gaps: Option<f64>,
    ) {
        let Inputs { operands, first, offset } = inputs;
        let input = first + input;
        let storage = result.storage();
        if storage.is_native() {
            of_storage!(operands.buffer(input).storage(), E => {
                let target = &mut result.typed_mut::<<E as Source>::Value>()[within];
                let gaps = gaps.map(<<E as Source>::Value as Element>::from_f64);
                self.copy_typed(&operands.typed::<E>(input)[offset..], stretch, (target, gaps), E::load_all, E::read);
            });
        } else {
            // Pieces of the same type are moved as they stand.
            of_storage!(storage, E => {
                let target = &mut result.typed_mut::<E>()[within];
                let gaps = gaps.map(E::from_f64);
                self.copy_typed(&operands.typed::<E>(input)[offset..], stretch, (target, gaps), walk::copy, walk::read);
            });
        }
    }

    /// Copies elements, which `load` turns into those of the result, and `read` so from a view.
    fn copy_typed<E, V: Copy + Default>(
        &self,
        source: &[E],
        stretch: Range<usize>,
        (target, gaps): (&mut [V], Option<V>),
        load: impl Fn(&[E], &mut [V]),
        read: impl Fn(&[E], &View, usize, &mut [V]),
    ) {
        let Piece { source: view, destination } = &self.piece;
        // Where the piece lies whole in the stretch, its elements need not stand in order.
        let is_whole = stretch.start <= self.span.start && self.span.end <= stretch.end;
        let part = if is_whole {
            0..view.elements()
        } else {
            first_from(destination, stretch.start)..first_from(destination, stretch.end)
        };
        if has_lines(view) && has_lines(destination) {
            copy_lines(source, &self.piece, part, stretch.start, (target, gaps), load);
        } else {
            copy_elements(source, &self.piece, part, stretch.start, target, read);
        }
    }
}

/// Copies the elements `part` of a piece, both ends of which have neighbours along their last axes, to a stretch of the result from `origin` on. What lies
/// before, between and behind its lines gets the value `gaps`, if there is one.
fn copy_lines<E, V: Copy>(
    source: &[E],
    piece: &Piece,
    part: Range<usize>,
    origin: usize,
    (target, gaps): (&mut [V], Option<V>),
    load: impl Fn(&[E], &mut [V]),
) {
    let mut sources = Walk::new(&piece.source, part.start);
    let mut destinations = Walk::new(&piece.destination, part.start);
    let length = piece.destination.axes().last().map_or(1, |axis| axis.extent);
    let (mut left, mut written) = (part.len(), 0);
    while left > 0 {
        let to = destinations.lines(length, left / length);
        let from = sources.lines(length, to.count);
        if from.count > 0 {
            for i in 0..from.count {
                let (first, start) = (from.at(i), to.at(i) - origin);
                if let Some(value) = gaps {
                    fill_gap(target, written..start, length, value);
                    written = start + length;
                }
                load(&source[first..first + length], &mut target[start..start + length]);
            }
            destinations.skip_lines(length, from.count);
            sources.skip_lines(length, from.count);
            left -= from.count * length;
            continue;
        }
        let to = destinations.next(left);
        let start = to.position - origin;
        if let Some(value) = gaps {
            target[written..start].fill(value);
            written = start + to.length;
        }
        let mut done = 0;
        while done < to.length {
            let from = sources.next(to.length - done);
            let line = &mut target[start + done..][..from.length];
            load(&source[from.position..from.position + from.length], line);
            done += from.length;
        }
        left -= to.length;
    }
    if let Some(value) = gaps {
        target[written..].fill(value);
    }
}

/// Fills the elements `gap`, behind which a line of `length` elements is written next.
#[inline(always)]
fn fill_gap<V: Copy>(target: &mut [V], gap: Range<usize>, length: usize, value: V) {
    let is_short = gap.len() <= PIECE && length >= PIECE;
    match target[gap.start..].first_chunk_mut::<PIECE>() {
        // What is filled of the line is written over.
        Some(piece) if is_short => *piece = [value; PIECE],
        Some(_) | None => target[gap].fill(value),
    }
}

/// Copies the elements `part` of a piece to a stretch of the result from `origin` on.
fn copy_elements<E, V: Copy + Default>(
    source: &[E],
    piece: &Piece,
    part: Range<usize>,
    origin: usize,
    target: &mut [V],
    read: impl Fn(&[E], &View, usize, &mut [V]),
) {
    let mut block = [V::default(); BLOCK];
    let mut destinations = Walk::new(&piece.destination, part.start);
    let mut done = part.start;
    while done < part.end {
        // Runs of the destination that are contiguous are read into place, others by way of a block.
        let run = destinations.next(part.end - done);
        if run.stride == 1 {
            read(source, &piece.source, done, &mut target[run.position - origin..][..run.length]);
        } else {
            let mut at = 0;
            while at < run.length {
                let length = BLOCK.min(run.length - at);
                read(source, &piece.source, done + at, &mut block[..length]);
                let first = run.at(at) - origin;
                match usize::try_from(run.stride) {
                    Ok(stride) if stride > 0 => {
                        let places = target[first..].iter_mut().step_by(stride);
                        places.zip(&block[..length]).for_each(|(place, value)| *place = *value);
                    }
                    Ok(_) | Err(_) => {
                        for (i, &value) in block[..length].iter().enumerate() {
                            target[run.at(at + i) - origin] = value;
                        }
                    }
                }
                at += length;
            }
        }
        done += run.length;
    }
}

/// Whether elements along the last axis of a view are neighbours.
fn has_lines(view: &View) -> bool {
    view.axes().last().is_some_and(|axis| axis.stride == 1)
}

/// Whether elements of a view stand in the order of its domain, each behind the one before.
fn is_ascending(view: &View) -> bool {
    // From the last axis on: a step along an axis passes all that lies within.
    let mut within = 0;
    view.axes().iter().rev().all(|axis| {
        let is_ascending = axis.extent <= 1 || axis.stride > within;
        within += (axis.extent as isize - 1) * axis.stride;
        is_ascending
    })
}

/// The first domain index of an ascending view that stands at `position` or behind it.
fn first_from(view: &View, position: usize) -> usize {
    let (mut low, mut high) = (0, view.elements());
    while low < high {
        let middle = low + (high - low) / 2;
        if view.position(middle) < position {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::buffer::Buffer;
    use crate::view::Axis;

    /// The result as the kernel's description says it, element by element.
    fn expected(elements: usize, fill: f64, pieces: &[Piece], inputs: &[Elements]) -> Vec<f32> {
        let mut result = vec![fill as f32; elements];
        for (piece, input) in pieces.iter().zip(inputs) {
            let Elements::F32(input) = input else { panic!("inputs are f32") };
            for i in 0..piece.source.elements() {
                result[piece.destination.position(i)] = input[piece.source.position(i)];
            }
        }
        result
    }

    fn box_of(extents: [usize; 3], strides: [isize; 3], offset: usize) -> View {
        View::new([0, 1, 2].map(|axis| Axis { extent: extents[axis], stride: strides[axis] }), offset)
    }

    #[test]
    fn stretches_of_any_length_are_parts_of_the_whole() {
        // Padding on all sides, of images in their order and of images whose channels come first, two halves of a concatenation of which
        // one is transposed, every other element, and rows in reverse order.
        let padded = [Piece {
            source: View::contiguous(2 * 30 * 41),
            destination: box_of([2, 30, 41], [33 * 44, 44, 1], 2 * 44 + 1),
        }];
        let channels_first = |[height, width]: [usize; 2]| {
            let (lines, line, image) = (height as isize + 2, width as isize + 2, height * width);
            let axes = |outer: [isize; 2], line: isize| {
                let strides = [outer[0], outer[1], line, 1];
                let extents = [2, 5, height, width];
                (0..4).map(move |axis| Axis { extent: extents[axis], stride: strides[axis] })
            };
            let source = View::new(axes([image as isize, 2 * image as isize], width as isize), 0);
            let destination = View::new(axes([5 * lines * line, lines * line], line), line as usize + 1);
            ([Piece { source, destination }], 10 * (lines * line) as usize)
        };
        let (wide, narrow) = (channels_first([6, 9]), channels_first([4, 3]));
        let half = |offset| box_of([2, 30, 20], [30 * 40, 40, 1], offset);
        let halves = [
            Piece { source: View::contiguous(1200), destination: half(0) },
            Piece { source: box_of([2, 30, 20], [600, 1, 30], 0), destination: half(20) },
        ];
        let apart = [Piece { source: View::contiguous(1200), destination: box_of([2, 30, 20], [1300, 42, 2], 7) }];
        let reversed = [Piece { source: View::contiguous(1200), destination: box_of([2, 30, 20], [600, -20, 1], 580) }];
        for (pieces, elements, fill) in [
            (&padded[..], 2 * 33 * 44, Some(2.5)),
            (&wide.0[..], wide.1, Some(0.5)),
            (&narrow.0[..], narrow.1, Some(0.5)),
            (&halves[..], 2400, None),
            (&apart[..], 2700, Some(-1.0)),
            (&reversed[..], 1200, None),
        ] {
            let inputs: Vec<Elements> = pieces
                .iter()
                .map(|piece| Elements::F32((0..piece.source.end()).map(|i| i as f32 + 0.5).collect()))
                .collect();
            let slots: Vec<u32> = (0..inputs.len() as u32).collect();
            let buffers: Vec<Buffer> = inputs.iter().cloned().map(Buffer::from).collect();
            let operands = Operands { buffers: &buffers, slots: &slots };
            let expected = expected(elements, fill.unwrap_or(0.0), pieces, &inputs);
            let assemble = Assemble::new(DType::F32, elements, fill, pieces);
            let ascending = pieces.iter().all(|piece| is_ascending(&piece.destination));
            for tasks in if ascending { 1..9 } else { 1..2 } {
                let mut outputs = [Elements::F32(vec![f32::NAN; elements].into())];
                Assemble { tasks, ..assemble.clone() }.run(operands, &mut outputs);
                assert!(outputs[0] == Elements::from(expected.clone()), "{pieces:?} in {tasks} tasks");
            }
        }
    }

    #[test]
    fn large_assemblies_are_divided_where_pieces_stand_in_order() {
        let elements = 1 << 21;
        let piece = |stride: isize, offset| Piece {
            source: View::contiguous(elements / 2),
            destination: View::new([Axis { extent: elements / 2, stride }], offset),
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
        let divides =
            |piece: Piece| pool.install(|| Assemble::new(DType::F32, elements, Some(0.0), &[piece]).divides());
        assert!(divides(piece(1, 10)));
        assert!(divides(piece(2, 0)));
        assert!(!divides(piece(-1, elements - 1)));
    }
}
