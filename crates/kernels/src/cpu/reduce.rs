//! Reductions of a program's values.
//!
//! There are two ways. *In domain order*: the domain is cut into partitions of fixed sizes; each is computed block by
//! block, the runs of a block that belong to one result are reduced and combined with that result's accumulator, and at
//! last the partitions' accumulators are combined in order. *In strips*: where the innermost axis is kept and long, a strip
//! of at most a block of results is accumulated over all reduced positions. Which way and which partitions depends on
//! the kernel's extents alone, so a result has the same bits on any number of threads.

mod strips;

use std::ops::Range;

use arenagrad_graph::{AlignedVec, DType, Elements, ReduceFunction, StorageType};

use super::ahead::Ahead;
use super::buffer::{Operands, Parts, all_parts, typed_mut};
use super::code::{Code, StoredRegister, Translation};
use super::elementwise::Elementwise;
use super::interpret::{Accumulators, Outputs, Sources, run_block, run_prologue};
use super::parallel;
use super::processor::{Arch, Vectorise, detect, dispatch};
use super::reducible::{Folded, Reducible, accumulate, accumulate_columns, combine, fill_identity, reduce_run};
use super::registers::{BLOCK, Bank, Register};
use super::walk::{Walk, contiguous};
use crate::cost;
use crate::program::{Program, ProgramInput};
use crate::view::{Axis, View};

/// The least size of a partition.
const PARTITION: usize = 16 * 1024;
/// The least size of one that has accumulators of all results, where these are many: they are combined with those of all others.
const PARTITION_OF_ALL: usize = 64 * 1024;
/// The largest number of partitions.
const PARTITIONS: usize = 64;
/// The least extent of an innermost kept axis for the way in strips.
const STRIP: usize = 64;
/// The least size of a domain from which on there must be strips for several threads.
const LONG: usize = 256 * 1024;

/// A reduction made ready.
#[derive(Clone, Debug)]
pub(super) struct Reduce {
    scheme: ReduceScheme,
    state: State,
    banks: Vec<Bank>,
    epilogue: Option<Elementwise>,
}

/// What all tasks of a reduction share.
#[derive(Clone, Debug)]
struct ReduceScheme {
    arch: Arch,
    function: ReduceFunction,
    translation: Translation,
    inputs: Vec<ProgramInput>,
    value: Register,
    /// The input that is reduced, where nothing is computed of it before.
    plain: Option<u32>,
    results: usize,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// Where the result of each domain position stands.
    DomainOrder { result: View },
    /// The domain positions of all results whose innermost coordinate is 0, the innermost extent, and the domain
    /// positions, relative to a result's, that it reduces.
    Strips { outer: View, width: usize, reduced: View },
}

#[derive(Clone, Debug)]
enum State {
    F32(Typed<f32>),
    F64(Typed<f64>),
    I32(Typed<i32>),
}

/// Accumulators, and the results where an epilogue reads them.
#[derive(Clone, Debug)]
struct Typed<T: Reducible> {
    partitions: Vec<Partition<T>>,
    /// One strip for each task.
    strips: Vec<AlignedVec<T::Total>>,
    totals: AlignedVec<T::Total>,
    results: AlignedVec<T>,
}

/// A part of the domain, and the accumulators of the results from `first` on that it contributes to.
#[derive(Clone, Debug)]
struct Partition<T: Reducible> {
    range: Range<usize>,
    first: usize,
    accumulators: AlignedVec<T::Total>,
}

impl Reduce {
    /// A reduction made ready, whose inputs are stored so; see [`crate::Kernel::Reduce`].
    pub(super) fn new(
        function: ReduceFunction,
        program: &Program,
        [kept, reduced]: [&[Axis]; 2],
        epilogue: Option<&Program>,
        stored: &[StorageType],
    ) -> Self {
        let translation = Translation::new(program);
        let (dtype, StoredRegister { register: value, .. }) = translation.outputs[0];
        let results = kept.iter().map(|axis| axis.extent).product();
        let way = choose_way(program.elements, kept, reduced, results);
        let tasks = parallel::tasks(cost::reduce(program, results));
        let inputs = program.inputs.clone();
        let plain = plain_input(&translation, &inputs, value);
        let scheme = ReduceScheme { arch: detect(), function, inputs, value, plain, results, way, translation };
        let first = program.inputs.len();
        let epilogue =
            epilogue.map(|epilogue| Elementwise::new(epilogue, first, BLOCK, stored.get(first..).unwrap_or_default()));
        let (state, units) = match dtype {
            DType::F32 => {
                let (state, units) = Typed::new(&scheme, program.elements, tasks, epilogue.is_some());
                (State::F32(state), units)
            }
            DType::F64 => {
                let (state, units) = Typed::new(&scheme, program.elements, tasks, epilogue.is_some());
                (State::F64(state), units)
            }
            DType::I32 => {
                let (state, units) = Typed::new(&scheme, program.elements, tasks, epilogue.is_some());
                (State::I32(state), units)
            }
            DType::Bool => panic!("{} is not a reduction of bool", function.name()),
        };
        let banks = (0..tasks.min(units).max(1)).map(|_| scheme.translation.bank()).collect();
        Reduce { scheme, state, banks, epilogue }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.banks.len() > 1 || self.epilogue.as_ref().is_some_and(Elementwise::divides)
    }

    /// Runs the reduction and its epilogue.
    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let Reduce { scheme, state, banks, epilogue } = self;
        match state {
            State::F32(state) => match epilogue {
                None => state.run_to_output(scheme, banks, operands, outputs),
                Some(epilogue) => {
                    let results = state.run_to_results(scheme, banks, operands, outputs);
                    epilogue.run(operands, Accumulators::F32(results), outputs);
                }
            },
            State::F64(state) => match epilogue {
                None => state.run_to_output(scheme, banks, operands, outputs),
                Some(epilogue) => {
                    let results = state.run_to_results(scheme, banks, operands, outputs);
                    epilogue.run(operands, Accumulators::F64(results), outputs);
                }
            },
            State::I32(state) => match epilogue {
                None => state.run_to_output(scheme, banks, operands, outputs),
                Some(epilogue) => {
                    let results = state.run_to_results(scheme, banks, operands, outputs);
                    epilogue.run(operands, Accumulators::I32(results), outputs);
                }
            },
        }
    }
}

/// The input whose elements are the program's values, if nothing else writes its memory meanwhile.
fn plain_input(translation: &Translation, inputs: &[ProgramInput], value: Register) -> Option<u32> {
    let [Code::Load { input, target, .. }] = translation.body.code[..] else { return None };
    let is_value = target == value && !value.is_uniform() && inputs[input as usize].in_place.is_none();
    is_value.then_some(input)
}

fn choose_way(elements: usize, kept: &[Axis], reduced: &[Axis], results: usize) -> Way {
    if let Some((inner, outer)) = kept.split_last()
        && inner.stride == 1
        && inner.extent >= STRIP
        && (elements < LONG || results / inner.extent * inner.extent.div_ceil(BLOCK) >= 8)
    {
        let outer = View::new(outer.iter().copied(), 0);
        return Way::Strips { outer, width: inner.extent, reduced: View::new(reduced.iter().copied(), 0) };
    }
    // The axes of the domain in its order, each with its stride in the result.
    let mut axes: Vec<(isize, Axis)> = reduced.iter().map(|axis| (axis.stride, Axis { stride: 0, ..*axis })).collect();
    let mut stride = 1;
    for axis in kept.iter().rev() {
        axes.push((axis.stride, Axis { extent: axis.extent, stride }));
        stride *= axis.extent as isize;
    }
    axes.sort_by_key(|&(stride, _)| std::cmp::Reverse(stride));
    let result = View::new(axes.into_iter().map(|(_, axis)| axis), 0);
    debug_assert_eq!(result.elements(), elements);
    Way::DomainOrder { result }
}

impl<T: Reducible> Typed<T> {
    /// The accumulators, and into how many units the work can be divided.
    fn new(scheme: &ReduceScheme, elements: usize, tasks: usize, has_epilogue: bool) -> (Self, usize) {
        let zero = T::default().total();
        let results = AlignedVec::zeros(if has_epilogue { scheme.results } else { 0 });
        match &scheme.way {
            Way::Strips { outer, width, .. } => {
                let units = outer.elements() * width.div_ceil(BLOCK);
                let strips =
                    (0..tasks.min(units).max(1)).map(|_| AlignedVec::repeated(zero, BLOCK.min(*width))).collect();
                (Typed { partitions: Vec::new(), strips, totals: AlignedVec::new(), results }, units)
            }
            Way::DomainOrder { result } => {
                let ranges = partition(elements, result, scheme.results);
                let partitions: Vec<Partition<T>> = ranges
                    .into_iter()
                    .map(|(range, touched)| Partition {
                        range,
                        first: touched.start,
                        accumulators: AlignedVec::repeated(zero, touched.len()),
                    })
                    .collect();
                let units = partitions.len();
                let totals = AlignedVec::repeated(zero, if units > 1 { scheme.results } else { 0 });
                (Typed { partitions, strips: Vec::new(), totals, results }, units)
            }
        }
    }

    fn run_to_output(
        &mut self,
        scheme: &ReduceScheme,
        banks: &mut [Bank],
        operands: Operands<'_>,
        outputs: &mut [Elements],
    ) {
        match &scheme.way {
            Way::DomainOrder { .. } => {
                self.accumulate(scheme, banks, operands, outputs);
                self.write_results(scheme.function, &mut typed_mut(&mut outputs[0])[..scheme.results]);
            }
            Way::Strips { .. } => {
                let strips = &mut self.strips;
                // No input of a reduction shares the buffer of a result that is written while others are computed.
                let results = &mut typed_mut(&mut outputs[0])[..scheme.results];
                scheme.divide_strips::<T>(banks, strips, &scheme.sources(operands), &Parts::new(), results);
            }
        }
    }

    fn run_to_results(
        &mut self,
        scheme: &ReduceScheme,
        banks: &mut [Bank],
        operands: Operands<'_>,
        outputs: &mut [Elements],
    ) -> &[T] {
        match &scheme.way {
            Way::DomainOrder { .. } => {
                self.accumulate(scheme, banks, operands, outputs);
                let mut results = std::mem::take(&mut self.results);
                self.write_results(scheme.function, &mut results);
                self.results = results;
            }
            Way::Strips { .. } => {
                let parts = all_parts(outputs);
                scheme.divide_strips::<T>(
                    banks,
                    &mut self.strips,
                    &scheme.sources(operands),
                    &parts,
                    &mut self.results,
                );
            }
        }
        &self.results
    }

    fn accumulate(
        &mut self,
        scheme: &ReduceScheme,
        banks: &mut [Bank],
        operands: Operands<'_>,
        outputs: &mut [Elements],
    ) {
        scheme.divide_partitions(banks, &mut self.partitions, &scheme.sources(operands), &all_parts(outputs));
    }

    /// Combines the partitions' accumulators in order.
    fn write_results(&mut self, function: ReduceFunction, results: &mut [T]) {
        if let [partition] = &self.partitions[..] {
            for (result, &accumulator) in results.iter_mut().zip(&partition.accumulators) {
                *result = T::rounded(accumulator);
            }
            return;
        }
        fill_identity::<T>(function, &mut self.totals);
        for partition in &self.partitions {
            let totals = &mut self.totals[partition.first..partition.first + partition.accumulators.len()];
            for (total, &accumulator) in totals.iter_mut().zip(&partition.accumulators) {
                *total = combine::<T>(function, *total, accumulator);
            }
        }
        for (result, &total) in results.iter_mut().zip(&self.totals) {
            *result = T::rounded(total);
        }
    }
}

/// Parts of the domain, each with the results that it contributes to.
fn partition(elements: usize, result: &View, results: usize) -> Vec<(Range<usize>, Range<usize>)> {
    // Where the outermost axis is kept, a part of the domain meets few results; else it may meet all.
    let outermost = result.axes().first().filter(|axis| axis.stride > 0);
    let mut least = PARTITION;
    let mut most = PARTITIONS;
    if outermost.is_none() {
        least = results.saturating_mul(16).clamp(PARTITION, PARTITION_OF_ALL);
        most = most.min(elements / results / 4).max(1);
    }
    let count = (elements / least).clamp(1, most);
    let size = elements.div_ceil(count).next_multiple_of(BLOCK);
    (0..elements)
        .step_by(size)
        .map(|start| {
            let range = start..elements.min(start + size);
            let touched = match outermost {
                None => 0..results,
                Some(axis) => {
                    let inner = elements / axis.extent;
                    let stride = axis.stride as usize;
                    range.start / inner * stride..((range.end - 1) / inner + 1) * stride
                }
            };
            (range, touched)
        })
        .collect()
}

impl ReduceScheme {
    fn sources<'a>(&'a self, operands: Operands<'a>) -> Sources<'a> {
        let inputs = &self.inputs;
        Sources { operands, first: 0, inputs, accumulators: Accumulators::None, accumulator_base: 0 }
    }

    /// The program's values at `start..start + length`.
    fn values<'b, T: Reducible>(
        &self,
        bank: &'b mut Bank,
        sources: &Sources<'_>,
        parts: &Parts<'_>,
        start: usize,
        length: usize,
    ) -> Values<'b, T> {
        let outputs = Outputs::Read(parts);
        run_block(
            self.arch,
            &self.translation.body,
            bank,
            sources,
            outputs,
            (0, start..start + length),
            &mut Ahead::none(),
        );
        if self.value.is_uniform() {
            Values::Uniform(bank.uniform::<T>(self.value))
        } else {
            Values::Varying(bank.varying::<T>(self.value, length))
        }
    }

    /// The program's values at `start..start + length` where they stand in the buffer of an input, if they do side by side.
    fn standing<'a, T: Reducible>(&self, sources: &Sources<'a>, start: usize, length: usize) -> Option<&'a [T]> {
        let input = self.plain?;
        if !sources.operands.buffer(input as usize).storage().is_native() {
            return None;
        }
        let position = contiguous(&self.inputs[input as usize].view, start, length)?;
        Some(&sources.input::<T>(input)[position..position + length])
    }

    fn divide_partitions<T: Reducible>(
        &self,
        banks: &mut [Bank],
        partitions: &mut [Partition<T>],
        sources: &Sources<'_>,
        parts: &Parts<'_>,
    ) {
        if let [bank] = banks {
            run_prologue(self.arch, &self.translation.setup, bank, sources);
            for partition in partitions {
                self.run_partition(bank, partition, sources, parts);
            }
            return;
        }
        let half = banks.len() / 2;
        let cut = parallel::cut(0..partitions.len(), half, banks.len(), 1);
        let (head_banks, tail_banks) = banks.split_at_mut(half);
        let (head, tail) = partitions.split_at_mut(cut);
        parallel::join(
            || self.divide_partitions(head_banks, head, sources, parts),
            || self.divide_partitions(tail_banks, tail, sources, parts),
        );
    }

    fn run_partition<T: Reducible>(
        &self,
        bank: &mut Bank,
        partition: &mut Partition<T>,
        sources: &Sources<'_>,
        parts: &Parts<'_>,
    ) {
        let Way::DomainOrder { result } = &self.way else { panic!("partitions belong to the way in domain order") };
        let Partition { range, first, accumulators } = partition;
        fill_identity::<T>(self.function, accumulators);
        let mut folded = [T::default(); BLOCK / 2];
        let mut walk = Walk::new(result, range.start);
        let has_columns = matches!(result.axes(), [rows, columns] if rows.stride == 0 && columns.stride == 1);
        let mut start = range.start;
        while start < range.end {
            let length = BLOCK.min(range.end - start);
            let values = match self.standing(sources, start, length) {
                Some(values) => Values::Varying(values),
                None => self.values::<T>(bank, sources, parts, start, length),
            };
            let column = has_columns.then(|| start % accumulators.len());
            let (function, first) = (self.function, *first);
            let (walk, folded) = (&mut walk, &mut folded);
            dispatch(self.arch, Accumulate { function, values, length, walk, column, first, accumulators, folded });
            start += length;
        }
    }
}

/// The values of a block.
enum Values<'a, T> {
    Uniform(T),
    Varying(&'a [T]),
}

/// Combines the values of a block with the accumulators of the results that they belong to.
struct Accumulate<'a, 'b, T: Reducible> {
    function: ReduceFunction,
    values: Values<'a, T>,
    length: usize,
    walk: &'a mut Walk<'b>,
    /// The column of the first value, where all results are columns of rows that follow one another.
    column: Option<usize>,
    first: usize,
    accumulators: &'a mut [T::Total],
    folded: &'a mut Folded<T>,
}

impl<T: Reducible> Vectorise for Accumulate<'_, '_, T> {
    type Output = ();
    const WIDEST: bool = matches!(T::DTYPE, DType::F32);

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Accumulate { function, values, length, walk, column, first, accumulators, folded } = self;
        let repeated;
        let values = match values {
            Values::Varying(values) => values,
            Values::Uniform(value) => {
                repeated = [value; BLOCK];
                &repeated[..length]
            }
        };
        if let Some(column) = column {
            accumulate_columns(function, (values, column), accumulators);
            return;
        }
        let mut done = 0;
        while done < length {
            let run = walk.next(length - done);
            let values = &values[done..done + run.length];
            let at = run.position - first;
            if run.stride == 0 {
                accumulators[at] = reduce_run(function, values, folded, accumulators[at]);
            } else {
                accumulate(function, values, &mut accumulators[at..at + run.length]);
            }
            done += run.length;
        }
    }
}
