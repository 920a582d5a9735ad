//! The forward pass: the output, and the softmax statistics of each row.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::product::{BLOCK, LINE, Part, Product, Rows};
use super::scores::{Attended, Place, Scale};
use super::{CHUNK, Inputs, Own, RUN, add_run, pack, row_stride, split_result};

/// What rows of queries give; what is not asked for is empty.
pub(super) struct Results<'a, T> {
    pub(super) output: &'a mut [T],
    /// Of each row the largest score, and the logarithm of the sum of exponentials less it.
    pub(super) statistics: &'a mut [[T; 2]],
}

impl<'a, T> Results<'a, T> {
    pub(super) fn split(self, rows: usize, width: usize) -> (Self, Self) {
        let (output, output_tail) = split_result(self.output, rows * width);
        let (statistics, statistics_tail) = split_result(self.statistics, rows);
        let tail = Results { output: output_tail, statistics: statistics_tail };
        (Results { output, statistics }, tail)
    }
}

/// Rows of queries, counted over all heads, and their results.
pub(super) struct Forward<'a, 'b, T> {
    pub(super) inputs: &'a Inputs<'b, T>,
    pub(super) own: &'a mut Own<T>,
    pub(super) rows: Range<usize>,
    pub(super) results: Results<'a, T>,
}

impl<T: Attended> WithSimd for Forward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Forward { inputs, own, rows, results: Results { output, statistics } } = self;
        let (positions, width) = (inputs.scheme.positions(), inputs.scheme.width());
        let mut row = rows.start;
        while row < rows.end {
            let (head, position) = (row / positions, row % positions);
            let count = CHUNK.min(rows.end - row).min(positions - position);
            let done = row - rows.start;
            let output = if output.is_empty() { &mut [][..] } else { &mut output[done * width..][..count * width] };
            let statistics = if statistics.is_empty() { &mut [][..] } else { &mut statistics[done..][..count] };
            let chunk = Chunk { inputs, head, first: position, count };
            if S::IS_SCALAR {
                chunk.compute::<S, false>(simd, own, output, statistics);
            } else {
                chunk.compute::<S, true>(simd, own, output, statistics);
            }
            row += count;
        }
    }
}

/// Some queries of a head.
struct Chunk<'a, 'b, T> {
    inputs: &'a Inputs<'b, T>,
    head: usize,
    first: usize,
    count: usize,
}

impl<T: Attended> Chunk<'_, '_, T> {
    #[inline(always)]
    fn compute<S: Simd, const FUSED: bool>(
        self,
        simd: S,
        own: &mut Own<T>,
        output: &mut [T],
        statistics: &mut [[T; 2]],
    ) {
        let Chunk { inputs, head, first, count } = self;
        let scheme = inputs.scheme;
        let (depth, width) = (scheme.depth(), scheme.width());
        let group = head / scheme.heads_of_a_group();
        let (key_start, value_start) = (scheme.key.start(group), scheme.value.start(group));
        let queries = &inputs.query[scheme.query.start(head)..];
        let stride = row_stride(&scheme.query);
        let Own { key_transposed, keys_across, values, tile, scales, sums, sums_before, of_queries, .. } = own;
        let (scales, sums, sums_before) = (&mut scales[..count], &mut sums[..count], &mut sums_before[..count]);
        scales.fill(Scale::NONE);
        sums.fill(T::default());
        sums_before.fill(T::default());
        for key in (0..scheme.keys()).step_by(BLOCK) {
            if scheme.is_causal && key >= first + count {
                break;
            }
            let keys = BLOCK.min(scheme.keys() - key);
            let begins_run = key.is_multiple_of(RUN);
            pack::<T, S>(simd, inputs.key, key_start, key_transposed, (key..key + keys, 0..depth), keys_across);
            if !output.is_empty() {
                pack::<T, S>(simd, inputs.value, value_start, &scheme.value, (0..width, key..key + keys), values);
            }
            for row in (0..count).step_by(BLOCK) {
                let rows = BLOCK.min(count - row);
                let position = first + row;
                if scheme.is_causal && key >= position + rows {
                    continue;
                }
                let ahead = position as isize - key as isize;
                let of_pairs = |part: fn(isize) -> Part| if scheme.is_causal { part(ahead) } else { Part::Whole };
                Product {
                    left: Rows { elements: &queries[position * stride..], stride, count: rows, depth },
                    packed: keys_across,
                    rows,
                    depth,
                    columns: keys,
                    target: tile,
                    stride: LINE,
                    add: false,
                    part: of_pairs(Part::Columns),
                }
                .run(simd);
                let place = Place {
                    mask: inputs.mask,
                    is_causal: scheme.is_causal,
                    scale: inputs.scale,
                    head,
                    position,
                    positions: rows,
                    key,
                    keys,
                };
                let mut factors = [T::ONE; BLOCK];
                let (scales, sums) = (&mut scales[row..row + rows], &mut sums[row..row + rows]);
                let sums_before = &mut sums_before[row..row + rows];
                if begins_run && key > 0 {
                    add_run(sums_before, sums);
                    sums.fill(T::default());
                }
                place.exponentials::<FUSED>(tile.as_chunks_mut().0, scales, sums, &mut factors);
                if key >= RUN {
                    sums_before.iter_mut().zip(&factors).for_each(|(sum, &factor)| *sum = *sum * factor);
                }
                if output.is_empty() {
                    continue;
                }
                let of_rows = row * width..(row + rows) * width;
                let output = &mut output[of_rows.clone()];
                let target = if key < RUN {
                    output
                } else {
                    let of_run = &mut of_queries[of_rows];
                    if begins_run && key > RUN {
                        add_run(output, of_run);
                    }
                    scale_rows(output, width, &factors);
                    of_run
                };
                if !begins_run {
                    scale_rows(target, width, &factors);
                }
                Product {
                    left: Rows { elements: tile, stride: LINE, count: rows, depth: keys },
                    packed: values,
                    rows,
                    depth: keys,
                    columns: width,
                    target,
                    stride: width,
                    add: !begins_run,
                    part: of_pairs(Part::DepthUpTo),
                }
                .run(simd);
            }
        }
        add_run(sums, sums_before);
        if !output.is_empty() {
            for row in (0..count).step_by(BLOCK) {
                let rows = row..count.min(row + BLOCK);
                let seen = if scheme.is_causal { scheme.keys().min(first + rows.end) } else { scheme.keys() };
                if seen > RUN {
                    let of_rows = rows.start * width..rows.end * width;
                    add_run(&mut output[of_rows.clone()], &of_queries[of_rows]);
                }
            }
            for (line, &sum) in output.chunks_exact_mut(width).zip(&*sums) {
                // A row that attends nothing is 0 already.
                let factor = if sum == T::default() { T::ONE } else { T::ONE / sum };
                line.iter_mut().for_each(|element| *element = *element * factor);
            }
        }
        for ((row, &scale), &sum) in statistics.iter_mut().zip(&*scales).zip(&*sums) {
            *row = if sum == T::default() { [T::default(); 2] } else { [scale.largest, scale.logarithm(sum)] };
        }
    }
}

/// Multiplies what was summed for rows by what it is worth now.
#[inline(always)]
fn scale_rows<T: Attended>(elements: &mut [T], width: usize, factors: &[T; BLOCK]) {
    for (line, &factor) in elements.chunks_exact_mut(width).zip(factors) {
        if factor != T::ONE {
            line.iter_mut().for_each(|element| *element = *element * factor);
        }
    }
}
