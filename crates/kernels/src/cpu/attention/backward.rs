//! The backward pass: the gradients of queries, keys and values.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::product::{BLOCK, Columns, LINE, Part, Product, Rows};
use super::scores::{Attended, Place};
use super::{Inputs, Over, Own, RUN, Scheme, add_run, pack, queries_of_a_run, row_stride, split_result};
use crate::kernel::Matrices;

/// What the gradients are computed from beside the operands of the forward pass.
#[derive(Clone, Copy)]
pub(super) struct Upstream<'a, T> {
    pub(super) layout: &'a Matrices,
    pub(super) upstream: &'a [T],
    pub(super) statistics: &'a [[T; 2]],
    pub(super) weighted: &'a [T],
}

/// Parts of the gradients; what is not asked for is empty.
pub(super) struct Results<'a, T> {
    pub(super) query: &'a mut [T],
    pub(super) key: &'a mut [T],
    pub(super) value: &'a mut [T],
}

impl<'a, T> Results<'a, T> {
    /// Those of the first `count` of what a pass goes over, and those of the rest.
    pub(super) fn split(self, count: usize, over: Over, scheme: &Scheme) -> (Self, Self) {
        let (queries, keys) = match over {
            Over::Groups => (count * scheme.heads_of_a_group() * scheme.positions(), count * scheme.keys()),
            Over::Keys => (0, count),
            Over::Queries => (count, 0),
        };
        let (query, query_tail) = split_result(self.query, queries * scheme.depth());
        let (key, key_tail) = split_result(self.key, keys * scheme.depth());
        let (value, value_tail) = split_result(self.value, keys * scheme.width());
        let tail = Results { query: query_tail, key: key_tail, value: value_tail };
        (Results { query, key, value }, tail)
    }
}

/// A part of what a pass goes over, and its results.
pub(super) struct Backward<'a, 'b, T> {
    pub(super) inputs: &'a Inputs<'b, T>,
    pub(super) gradient: &'a Upstream<'b, T>,
    pub(super) own: &'a mut Own<T>,
    pub(super) over: Over,
    pub(super) range: Range<usize>,
    pub(super) results: Results<'a, T>,
}

impl<T: Attended> WithSimd for Backward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Backward { inputs, gradient, own, over, mut range, mut results } = self;
        let scheme = inputs.scheme;
        let (heads, positions, keys) = (scheme.heads_of_a_group(), scheme.positions(), scheme.keys());
        while !range.is_empty() {
            let (count, of_group) = match over {
                Over::Groups => {
                    let group = range.start;
                    (
                        1,
                        OfGroup {
                            group,
                            heads: group * heads..(group + 1) * heads,
                            queries: 0..positions,
                            keys: 0..keys,
                        },
                    )
                }
                Over::Keys => {
                    let (group, key) = (range.start / keys, range.start % keys);
                    let count = range.len().min(keys - key);
                    let heads = group * heads..(group + 1) * heads;
                    (count, OfGroup { group, heads, queries: 0..positions, keys: key..key + count })
                }
                Over::Queries => {
                    let (head, query) = (range.start / positions, range.start % positions);
                    let count = range.len().min(positions - query);
                    let queries = query..query + count;
                    (count, OfGroup { group: head / heads, heads: head..head + 1, queries, keys: 0..keys })
                }
            };
            let (head, tail) = results.split(count, over, scheme);
            results = tail;
            range.start += count;
            if S::IS_SCALAR {
                of_group.compute::<T, S, false>(simd, inputs, gradient, own, head);
            } else {
                of_group.compute::<T, S, true>(simd, inputs, gradient, own, head);
            }
        }
    }
}

/// Pairs of queries and keys of one group.
struct OfGroup {
    group: usize,
    heads: Range<usize>,
    queries: Range<usize>,
    keys: Range<usize>,
}

impl OfGroup {
    /// Computes the results, which have a row for each query of each head, and for each key.
    #[inline(always)]
    fn compute<T: Attended, S: Simd, const FUSED: bool>(
        self,
        simd: S,
        inputs: &Inputs<'_, T>,
        gradient: &Upstream<'_, T>,
        own: &mut Own<T>,
        results: Results<'_, T>,
    ) {
        let OfGroup { group, heads, queries, keys } = self;
        let scheme = inputs.scheme;
        let Results { query: query_gradient, key: key_gradient, value: value_gradient } = results;
        let (depth, width) = (scheme.depth(), scheme.width());
        let (key_start, value_start) = (scheme.key.start(group), scheme.value.start(group));
        let Upstream { layout, upstream, statistics, weighted } = *gradient;
        let (query_stride, upstream_stride) = (row_stride(&scheme.query), row_stride(layout));
        let of_scores = !query_gradient.is_empty() || !key_gradient.is_empty();
        let run = queries_of_a_run(scheme.heads_of_a_group());
        for first_of_run in queries.clone().step_by(run) {
            let of_run = first_of_run..queries.end.min(first_of_run + run);
            for key in keys.clone().step_by(BLOCK) {
                if scheme.is_causal && key >= of_run.end {
                    break;
                }
                let count = BLOCK.min(keys.end - key);
                let of_keys = key..key + count;
                let places = (of_keys.clone(), 0..depth);
                pack::<T, S>(simd, inputs.key, key_start, &own.key_transposed, places, &mut own.keys_across);
                if of_scores {
                    let places = (of_keys.clone(), 0..width);
                    pack::<T, S>(
                        simd,
                        inputs.value,
                        value_start,
                        &own.value_transposed,
                        places,
                        &mut own.values_across,
                    );
                }
                if !query_gradient.is_empty() {
                    pack::<T, S>(simd, inputs.key, key_start, &scheme.key, (0..depth, of_keys), &mut own.keys);
                }
                let first = key - keys.start;
                // What runs before came to stands in the results.
                let is_in_results = of_run.start > queries.start && (!scheme.is_causal || key < of_run.start);
                let mut is_first = true;
                for head in heads.clone() {
                    let (query_start, upstream_start) = (scheme.query.start(head), layout.start(head));
                    for query in of_run.clone().step_by(BLOCK) {
                        let rows = BLOCK.min(of_run.end - query);
                        if scheme.is_causal && key >= query + rows {
                            continue;
                        }
                        let of_rows = query..query + rows;
                        let row = head * scheme.positions() + query;
                        let ahead = query as isize - key as isize;
                        let of_pairs =
                            |part: fn(isize) -> Part| if scheme.is_causal { part(ahead) } else { Part::Whole };
                        Product {
                            left: Rows {
                                elements: &inputs.query[query_start + query * query_stride..],
                                stride: query_stride,
                                count: rows,
                                depth,
                            },
                            packed: &own.keys_across,
                            rows,
                            depth,
                            columns: count,
                            target: &mut own.tile,
                            stride: LINE,
                            add: false,
                            part: of_pairs(Part::Columns),
                        }
                        .run(simd);
                        if of_scores {
                            Product {
                                left: Rows {
                                    elements: &upstream[upstream_start + query * upstream_stride..],
                                    stride: upstream_stride,
                                    count: rows,
                                    depth: width,
                                },
                                packed: &own.values_across,
                                rows,
                                depth: width,
                                columns: count,
                                target: &mut own.differences,
                                stride: LINE,
                                add: false,
                                part: of_pairs(Part::Columns),
                            }
                            .run(simd);
                        }
                        let place = Place {
                            mask: inputs.mask,
                            is_causal: scheme.is_causal,
                            scale: inputs.scale,
                            head,
                            position: query,
                            positions: rows,
                            key,
                            keys: count,
                        };
                        place.gradients::<FUSED>(
                            own.tile.as_chunks_mut().0,
                            of_scores.then_some(own.differences.as_chunks_mut().0),
                            &statistics[row..row + rows],
                            &weighted[row..row + rows],
                        );
                        if !value_gradient.is_empty() {
                            let target = if is_in_results {
                                &mut own.of_values[..]
                            } else {
                                &mut value_gradient[first * width..]
                            };
                            let packed = &mut own.upstream;
                            pack::<T, S>(simd, upstream, upstream_start, layout, (0..width, of_rows.clone()), packed);
                            Product {
                                left: Columns(&own.tile.as_chunks().0[..rows]),
                                packed: &own.upstream,
                                rows: count,
                                depth: rows,
                                columns: width,
                                target: &mut target[..count * width],
                                stride: width,
                                add: !is_first,
                                part: of_pairs(Part::DepthFrom),
                            }
                            .run(simd);
                        }
                        if !key_gradient.is_empty() {
                            let target =
                                if is_in_results { &mut own.of_keys[..] } else { &mut key_gradient[first * depth..] };
                            let packed = &mut own.queries;
                            pack::<T, S>(simd, inputs.query, query_start, &scheme.query, (0..depth, of_rows), packed);
                            Product {
                                left: Columns(&own.differences.as_chunks().0[..rows]),
                                packed: &own.queries,
                                rows: count,
                                depth: rows,
                                columns: depth,
                                target: &mut target[..count * depth],
                                stride: depth,
                                add: !is_first,
                                part: of_pairs(Part::DepthFrom),
                            }
                            .run(simd);
                        }
                        if !query_gradient.is_empty() {
                            let place = (head - heads.start) * queries.len() + query - queries.start;
                            let result = &mut query_gradient[place * depth..][..rows * depth];
                            let target = if key < RUN {
                                result
                            } else {
                                let place = (head - heads.start) * of_run.len() + query - of_run.start;
                                let of_block = &mut own.of_queries[place * depth..][..rows * depth];
                                if key.is_multiple_of(RUN) && key > RUN {
                                    add_run(result, of_block);
                                }
                                of_block
                            };
                            Product {
                                left: Rows { elements: &own.differences, stride: LINE, count: rows, depth: count },
                                packed: &own.keys,
                                rows,
                                depth: count,
                                columns: depth,
                                target,
                                stride: depth,
                                add: !key.is_multiple_of(RUN),
                                part: of_pairs(Part::DepthUpTo),
                            }
                            .run(simd);
                        }
                        is_first = false;
                    }
                }
                if is_in_results {
                    for (result, of_run, extent) in
                        [(&mut *key_gradient, &own.of_keys, depth), (&mut *value_gradient, &own.of_values, width)]
                    {
                        if !result.is_empty() {
                            add_run(&mut result[first * extent..][..count * extent], of_run);
                        }
                    }
                }
            }
            if query_gradient.is_empty() {
                continue;
            }
            for head in 0..heads.len() {
                for query in of_run.clone().step_by(BLOCK) {
                    let end = of_run.end.min(query + BLOCK);
                    let seen = if scheme.is_causal { keys.end.min(end) } else { keys.end };
                    if seen > RUN {
                        let place = head * queries.len() + query - queries.start;
                        let result = &mut query_gradient[place * depth..][..(end - query) * depth];
                        let place = head * of_run.len() + query - of_run.start;
                        add_run(result, &own.of_queries[place * depth..]);
                    }
                }
            }
        }
        // Keys that no query attends.
        let attended = match (queries.is_empty(), scheme.is_causal) {
            (true, _) => keys.start,
            (false, true) => queries.end.clamp(keys.start, keys.end),
            (false, false) => keys.end,
        };
        for (result, extent) in [(key_gradient, depth), (value_gradient, width)] {
            if !result.is_empty() {
                result[(attended - keys.start) * extent..].fill(T::default());
            }
        }
    }
}
