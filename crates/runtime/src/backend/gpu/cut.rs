//! Kernels over tensors that are larger than what a dispatch binds, cut into kernels over parts of them.
//!
//! A tensor may be as large as a buffer, but a kernel sees no more than an adapter's binding limit of it. So a kernel is cut along the outermost
//! positions of its result, and each part is bound to that stretch of every tensor that it touches: elementwise work and copies, matrix products by
//! rows or by matrices, reductions and nests by the rows that are kept. Other reductions, and assemblies, are computed in one piece if the stretches that
//! they touch can be bound. What reads from all of a tensor wherever an index says, or goes along all of it, cannot be cut. What a kernel keeps in between is
//! bound too: a kernel that would keep too much is cut further.
//!
//! Invariants: parts write stretches that do not overlap, and begin where an adapter lets a binding begin; each element is computed by the same
//! formula as in one piece. The sum of a product may be grouped otherwise in a part of few rows.

use std::ops::Range;

use arenagrad_kernels::{
    Axes, Axis, Instruction, Kernel, Matrices, NestInstruction, Program, ProgramInput, Space, View,
};

/// Stretches of tensors begin at multiples of so many bytes, which every adapter allows.
const ALIGNMENT: u64 = 256;

/// The most parts of a kernel.
const MOST_PARTS: usize = 1 << 12;

/// What a part may bind.
#[derive(Clone, Copy)]
pub(crate) struct CutLimits<'a> {
    /// The most bytes of a tensor, or of what is kept in between.
    pub(crate) bytes: u64,
    /// The most buffers.
    pub(crate) buffers: usize,
    /// How many bytes a kernel keeps in between, of the largest.
    pub(crate) kept: &'a dyn Fn(&Kernel) -> u64,
}

/// A tensor that a kernel reads or writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bindable {
    /// Its number.
    pub(crate) tensor: u32,
    /// All its bytes.
    pub(crate) bytes: u64,
    /// Those of an element.
    pub(crate) element: u64,
}

/// A part of a kernel, with the stretch of elements that it sees of each tensor; none for all of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) kernel: Kernel,
    pub(crate) inputs: Vec<Option<Range<usize>>>,
    pub(crate) outputs: Vec<Option<Range<usize>>>,
}

/// The parts of a kernel, each of which keeps within the limits; none if the kernel cannot be cut so.
pub(crate) fn cut(
    kernel: &Kernel,
    inputs: &[Bindable],
    outputs: &[Bindable],
    limits: CutLimits<'_>,
) -> Option<Vec<Part>> {
    let cutter = Cutter { inputs, outputs, limits };
    let unit = outputs.iter().map(aligned).max().unwrap_or(1);
    match kernel {
        Kernel::Elementwise(program) => {
            let step = step_of_program(program, 1, unit)?;
            cutter.parts(program.elements, step, |positions| {
                let mut windows = Vec::new();
                let mut program = cutter.program(program, positions.clone(), 0, &mut windows)?;
                cutter.share_windows(&mut program, &mut windows);
                let outputs = vec![Some(positions); program.outputs.len()];
                Some(Part { kernel: Kernel::Elementwise(program), inputs: windows, outputs })
            })
        }
        Kernel::Reduce { function, program, kept, reduced, epilogue } => {
            let count = epilogue.as_ref().map_or(1, |epilogue| epilogue.outputs.len());
            // Where the outermost axis of the operand is kept, its positions are stretches of the operand.
            let outer = kept.first().and_then(|&outer| Some((outer, usize::try_from(outer.stride).ok()?)));
            let outer = outer.filter(|(outer, length)| outer.extent.checked_mul(*length) == Some(program.elements));
            let Some((outer, length)) = outer else {
                let mut windows = Vec::new();
                let results = kept.iter().map(|axis| axis.extent).product();
                let program = cutter.program(program, 0..program.elements, 0, &mut windows)?;
                let epilogue = cutter.epilogue(epilogue.as_ref(), 0..results, &mut windows)?;
                let (kept, reduced) = (kept.clone(), reduced.clone());
                let kernel = Kernel::Reduce { function: *function, program, kept, reduced, epilogue };
                return cutter.whole(kernel, windows, count);
            };
            let results = kept[1..].iter().map(|axis| axis.extent).product::<usize>();
            let step = lcm(step_of_program(program, length, 1)?, step_of_epilogue(epilogue.as_ref(), results, unit)?)?;
            cutter.parts(outer.extent, step, |positions| {
                let mut windows = Vec::new();
                let operand = positions.start * length..positions.end * length;
                let program = cutter.program(program, operand, 0, &mut windows)?;
                let result = positions.start * results..positions.end * results;
                let epilogue = cutter.epilogue(epilogue.as_ref(), result.clone(), &mut windows)?;
                let axes = [Axis { extent: positions.len(), ..outer }].into_iter().chain(kept[1..].iter().copied());
                let kept = Axes::new(axes).as_slice().to_vec();
                let kernel = Kernel::Reduce { function: *function, program, kept, reduced: reduced.clone(), epilogue };
                Some(Part { kernel, inputs: windows, outputs: vec![Some(result); count] })
            })
        }
        Kernel::MatMul { dtype, lhs, rhs, padding: [None, None], epilogue } => {
            let (rows, columns) = (lhs.rows.count(), rhs.columns.count());
            let count = epilogue.as_ref().map_or(1, |epilogue| epilogue.outputs.len());
            let is_batch = lhs.batch.count() > 1;
            let (outer, results) = match is_batch {
                // Both operands' matrices must lie evenly.
                true if rhs.batch.as_slice().len() == 1 && lhs.batch.as_slice().len() == 1 => {
                    (lhs.batch.as_slice()[0], rows * columns)
                }
                true => return None,
                false => {
                    let outer = *lhs.rows.as_slice().first()?;
                    (outer, rows / outer.extent * columns)
                }
            };
            let step = step_of_epilogue(epilogue.as_ref(), results, unit)?;
            cutter.parts(outer.extent, step, |positions| {
                let (lhs, rhs) = match is_batch {
                    true => (of_batch(lhs, &positions)?, of_batch(rhs, &positions)?),
                    false => (of_rows(lhs, &positions)?, rhs.clone()),
                };
                let (lhs, lhs_window) = cutter.matrices(lhs, 0);
                let (rhs, rhs_window) = cutter.matrices(rhs, 1);
                let mut windows = vec![lhs_window, rhs_window];
                let result = positions.start * results..positions.end * results;
                let epilogue = cutter.epilogue(epilogue.as_ref(), result.clone(), &mut windows)?;
                let kernel = Kernel::MatMul { dtype: *dtype, lhs, rhs, padding: [None, None], epilogue };
                Some(Part { kernel, inputs: windows, outputs: vec![Some(result); count] })
            })
        }
        Kernel::Nest(nest) => {
            let mut spaces = vec![Space::Element; nest.inputs.len()];
            for value in &nest.values {
                if value.space.is_after() {
                    return None;
                }
                if let NestInstruction::Compute(Instruction::Load { input }) = &value.instruction {
                    spaces[*input as usize] = value.space;
                }
            }
            let length = |space: Space| if space == Space::Row { 1 } else { nest.columns };
            let mut step = 1;
            for (input, &space) in nest.inputs.iter().zip(&spaces) {
                step = lcm(step, multiple_for(inner(&input.view), length(space))?)?;
            }
            let written = nest.outputs.iter().map(|&output| nest.values[output as usize].space);
            let written: Vec<Space> = written.collect();
            for &space in &written {
                step = lcm(step, multiple_for(unit, length(space))?)?;
            }
            cutter.parts(nest.rows, step, |rows| {
                let of = |space: Space| rows.start * length(space)..rows.end * length(space);
                let mut part = nest.clone();
                part.rows = rows.len();
                for value in &mut part.values {
                    if let NestInstruction::Compute(instruction) = &mut value.instruction {
                        move_on(instruction, rows.start * length(value.space));
                    }
                }
                let mut windows = Vec::new();
                for (number, (input, &space)) in part.inputs.iter_mut().zip(&spaces).enumerate() {
                    let (sliced, window) = cutter.input(input, of(space), number)?;
                    *input = sliced;
                    windows.push(window);
                }
                let outputs = written.iter().map(|&space| Some(of(space))).collect();
                Some(Part { kernel: Kernel::Nest(part), inputs: windows, outputs })
            })
        }
        Kernel::Assemble { dtype, elements, fill, pieces } => {
            let mut windows = Vec::new();
            let mut parts = pieces.clone();
            for (number, piece) in parts.iter_mut().enumerate() {
                let (source, window) = cutter.window(piece.source.clone(), number);
                piece.source = source;
                windows.push(window);
            }
            let kernel = Kernel::Assemble { dtype: *dtype, elements: *elements, fill: *fill, pieces: parts };
            cutter.whole(kernel, windows, 1)
        }
        Kernel::ArgMax { .. }
        | Kernel::Attention(_)
        | Kernel::Gather { .. }
        | Kernel::ScatterAdd { .. }
        | Kernel::ScatterReduce { .. }
        | Kernel::LinearAlgebra { .. }
        | Kernel::Cumulative { .. }
        | Kernel::ArgSort { .. }
        | Kernel::SearchSorted { .. }
        // One that pads its operands is none of a GPU's.
        | Kernel::MatMul { padding: [Some(_), _] | [None, Some(_)], .. } => None,
    }
}

struct Cutter<'a> {
    inputs: &'a [Bindable],
    outputs: &'a [Bindable],
    limits: CutLimits<'a>,
}

impl Cutter<'_> {
    /// The fewest parts of `count` outermost positions that fit, each beginning at a multiple of `step`.
    fn parts(&self, count: usize, step: usize, build: impl Fn(Range<usize>) -> Option<Part>) -> Option<Vec<Part>> {
        let mut parts = 1;
        while parts <= MOST_PARTS {
            let size = if parts == 1 { count } else { count.div_ceil(parts).checked_next_multiple_of(step)? };
            let ranges = (0..count).step_by(size).map(|start| start..count.min(start + size));
            let built = ranges.map(&build).collect::<Option<Vec<Part>>>()?;
            if built.iter().all(|part| self.fits(part)) {
                return Some(built);
            }
            if size <= step && parts > 1 {
                return None;
            }
            parts *= 2;
        }
        None
    }

    /// A kernel in one piece, of whose inputs stretches alone are bound; none if that is too much.
    fn whole(&self, kernel: Kernel, inputs: Vec<Option<Range<usize>>>, outputs: usize) -> Option<Vec<Part>> {
        let part = Part { kernel, inputs, outputs: vec![None; outputs] };
        self.fits(&part).then(|| vec![part])
    }

    fn fits(&self, part: &Part) -> bool {
        let fits = |(tensor, window): (&Bindable, &Option<Range<usize>>)| match window {
            Some(window) => window.len() as u64 * tensor.element <= self.limits.bytes,
            None => tensor.bytes <= self.limits.bytes,
        };
        let inputs = self.inputs.iter().zip(&part.inputs);
        // An input that shares an output's buffer is read through that.
        let is_bound = |number: usize| !reads_in_place(&part.kernel, number);
        inputs.enumerate().all(|(number, pair)| !is_bound(number) || fits(pair))
            && self.outputs.iter().zip(&part.outputs).all(fits)
            && self.bound(part) <= self.limits.buffers
            && (self.limits.kept)(&part.kernel) <= self.limits.bytes
    }

    /// How many buffers a part of elementwise work binds, in which inputs over one stretch of a tensor take one binding. Of other
    /// kernels each has one, whether they are cut or not.
    fn bound(&self, part: &Part) -> usize {
        if !matches!(part.kernel, Kernel::Elementwise(_)) {
            return 0;
        }
        let mut seen: Vec<(u32, &Option<Range<usize>>)> = Vec::new();
        for (number, (tensor, window)) in self.inputs.iter().zip(&part.inputs).enumerate() {
            if !reads_in_place(&part.kernel, number) && !seen.contains(&(tensor.tensor, window)) {
                seen.push((tensor.tensor, window));
            }
        }
        seen.len() + self.outputs.len()
    }

    /// Gives all inputs over one tensor the same stretch of it, where that can be bound: so that cut work binds no more buffers than whole.
    fn share_windows(&self, program: &mut Program, windows: &mut [Option<Range<usize>>]) {
        for first in 0..windows.len() {
            let Bindable { tensor, element, .. } = self.inputs[first];
            let same: Vec<usize> =
                (first..windows.len()).filter(|&number| self.inputs[number].tensor == tensor).collect();
            let own = || same.iter().filter_map(|&number| windows[number].clone());
            let (Some(begin), Some(end)) = (own().map(|own| own.start).min(), own().map(|own| own.end).max()) else {
                continue;
            };
            if (end - begin) as u64 * element > self.limits.bytes {
                continue;
            }
            for &number in &same {
                if let Some(window) = &mut windows[number] {
                    let input = &mut program.inputs[number];
                    let offset = input.view.offset() + (window.start - begin);
                    input.view = View::new(input.view.axes().iter().copied(), offset);
                    *window = begin..end;
                }
            }
        }
    }

    /// The program over a stretch of its domain, whose inputs are those of the step from `first` on.
    fn program(
        &self,
        program: &Program,
        positions: Range<usize>,
        first: usize,
        windows: &mut Vec<Option<Range<usize>>>,
    ) -> Option<Program> {
        let mut part = program.clone();
        part.elements = positions.len();
        for instruction in &mut part.instructions {
            move_on(instruction, positions.start);
        }
        for (number, input) in part.inputs.iter_mut().enumerate() {
            let (sliced, window) = self.input(input, positions.clone(), first + number)?;
            *input = sliced;
            windows.push(window);
        }
        Some(part)
    }

    /// The work on a stretch of results, whose inputs come after those that have windows already.
    #[expect(clippy::option_option, reason = "an epilogue that cannot be cut, or none")]
    fn epilogue(
        &self,
        epilogue: Option<&Program>,
        positions: Range<usize>,
        windows: &mut Vec<Option<Range<usize>>>,
    ) -> Option<Option<Program>> {
        match epilogue {
            None => Some(None),
            Some(epilogue) => {
                let first = windows.len();
                self.program(epilogue, positions, first, windows).map(Some)
            }
        }
    }

    /// An input over a stretch of its domain, and the stretch of its tensor that it then reads.
    fn input(
        &self,
        input: &ProgramInput,
        positions: Range<usize>,
        number: usize,
    ) -> Option<(ProgramInput, Option<Range<usize>>)> {
        if input.in_place.is_some() {
            let view = View::contiguous(positions.len());
            return Some((ProgramInput { view, ..input.clone() }, None));
        }
        let view = sliced(&input.view, positions)?;
        let (view, window) = self.window(view, number);
        Some((ProgramInput { view, ..input.clone() }, window))
    }

    /// A view of the stretch of a tensor that it touches, if the tensor is too large to be bound whole.
    fn window(&self, view: View, number: usize) -> (View, Option<Range<usize>>) {
        if self.inputs[number].bytes <= self.limits.bytes {
            return (view, None);
        }
        let unit = aligned(&self.inputs[number]);
        let begin = view.begin() / unit * unit;
        let window = begin..view.end();
        (View::new(view.axes().iter().copied(), view.offset() - begin), Some(window))
    }

    /// The same of matrices.
    fn matrices(&self, matrices: Matrices, number: usize) -> (Matrices, Option<Range<usize>>) {
        let (view, window) = self.window(matrices.view(), number);
        (Matrices { offset: view.offset(), ..matrices }, window)
    }
}

/// Whether an input of a kernel is read through an output.
fn reads_in_place(kernel: &Kernel, number: usize) -> bool {
    let in_list = |inputs: &[ProgramInput], first: usize| {
        number.checked_sub(first).and_then(|place| inputs.get(place)).is_some_and(|input| input.in_place.is_some())
    };
    match kernel {
        Kernel::Elementwise(program) => in_list(&program.inputs, 0),
        Kernel::Nest(nest) => in_list(&nest.inputs, 0),
        Kernel::Reduce { program, epilogue, .. } => {
            in_list(&program.inputs, 0)
                || epilogue.as_ref().is_some_and(|epilogue| in_list(&epilogue.inputs, program.inputs.len()))
        }
        Kernel::MatMul { epilogue, .. } => epilogue.as_ref().is_some_and(|epilogue| in_list(&epilogue.inputs, 2)),
        Kernel::ArgMax { .. }
        | Kernel::Attention(_)
        | Kernel::Gather { .. }
        | Kernel::ScatterAdd { .. }
        | Kernel::ScatterReduce { .. }
        | Kernel::Assemble { .. }
        | Kernel::LinearAlgebra { .. }
        | Kernel::Cumulative { .. }
        | Kernel::ArgSort { .. }
        | Kernel::SearchSorted { .. } => false,
    }
}

/// Tells what depends on where in the whole domain an element is that a part begins so many positions later.
fn move_on(instruction: &mut Instruction, positions: usize) {
    match instruction {
        Instruction::Iota { first, .. } | Instruction::Uniform { first, .. } => *first += positions,
        Instruction::Load { .. }
        | Instruction::Accumulator
        | Instruction::Constant { .. }
        | Instruction::Elementwise(_) => {}
    }
}

/// The number of elements of a tensor at whose multiples a stretch may begin.
fn aligned(tensor: &Bindable) -> usize {
    (ALIGNMENT / tensor.element.clamp(1, ALIGNMENT)) as usize
}

/// Of how many outermost positions, of `length` elements of the domain each, a part of a program must be a multiple, if its elements are
/// to be a multiple of `unit`.
fn step_of_program(program: &Program, length: usize, unit: usize) -> Option<usize> {
    let steps = program.inputs.iter().map(|input| multiple_for(inner(&input.view), length));
    steps.into_iter().chain([multiple_for(unit, length)]).try_fold(1, |step, own| lcm(step, own?))
}

/// The same of the work on results.
fn step_of_epilogue(epilogue: Option<&Program>, length: usize, unit: usize) -> Option<usize> {
    match epilogue {
        None => multiple_for(unit, length),
        Some(epilogue) => step_of_program(epilogue, length, unit),
    }
}

/// How many elements of its domain a view goes over evenly: it can be cut at multiples of them.
fn inner(view: &View) -> usize {
    match view.axes() {
        [] | [_] => 1,
        [outer, ..] => view.elements() / outer.extent,
    }
}

/// The view of a stretch of the domain, which begins and ends at multiples of [`inner`].
fn sliced(view: &View, positions: Range<usize>) -> Option<View> {
    let Some(&outer) = view.axes().first() else { return Some(view.clone()) };
    let inner = inner(view);
    let (start, end) = (positions.start / inner, positions.end / inner);
    let offset = view.offset().checked_add_signed(outer.stride * start as isize)?;
    let axes = [Axis { extent: end - start, ..outer }].into_iter().chain(view.axes()[1..].iter().copied());
    Some(View::new(axes, offset))
}

/// Some of the matrices of a batch that lies evenly.
fn of_batch(matrices: &Matrices, positions: &Range<usize>) -> Option<Matrices> {
    let outer = *matrices.batch.as_slice().first()?;
    let offset = matrices.offset.checked_add_signed(outer.stride * positions.start as isize)?;
    let batch = Axes::strided(positions.len(), outer.stride);
    Some(Matrices { offset, batch, ..matrices.clone() })
}

/// Some positions of the outermost axis of the rows.
fn of_rows(matrices: &Matrices, positions: &Range<usize>) -> Option<Matrices> {
    let outer = *matrices.rows.as_slice().first()?;
    let offset = matrices.offset.checked_add_signed(outer.stride * positions.start as isize)?;
    let rest = matrices.rows.as_slice()[1..].iter().copied();
    let rows = Axes::new([Axis { extent: positions.len(), ..outer }].into_iter().chain(rest));
    Some(Matrices { offset, rows, ..matrices.clone() })
}

/// The least number of lengths that is a multiple of `unit`.
fn multiple_for(unit: usize, length: usize) -> Option<usize> {
    (length > 0).then(|| unit / gcd(unit, length))
}

fn gcd(mut a: usize, mut b: usize) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(a: usize, b: usize) -> Option<usize> {
    (a / gcd(a, b)).checked_mul(b)
}
