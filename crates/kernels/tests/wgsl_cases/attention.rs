//! Attention in every variant: each set of results, masks of both kinds, causal or not, few and very many rows.

use arenagrad_kernels::{Attention, AttentionMask, AttentionResult, Axes, Axis, DType, Kernel, Matrices};

/// Contiguous matrices `[batch, rows, columns]`.
fn matrices([batch, rows, columns]: [usize; 3]) -> Matrices {
    Matrices {
        offset: 0,
        batch: Axes::strided(batch, (rows * columns) as isize),
        rows: Axes::strided(rows, columns as isize),
        columns: Axes::strided(columns, 1),
    }
}

/// Contiguous attention of `heads` heads, of which each group has two.
pub(crate) fn attention(
    dtype: DType,
    [heads, positions, keys, depth, width]: [usize; 5],
    mask: Option<bool>,
    is_causal: bool,
    results: &[AttentionResult],
) -> Kernel {
    let groups = heads.div_ceil(2);
    let repeated = |extent: usize| Axes::new([Axis { extent, stride: 0 }]);
    let mask = mask.map(|is_bool| AttentionMask {
        scores: Matrices {
            offset: 0,
            batch: repeated(heads),
            rows: Axes::strided(positions, keys as isize),
            columns: Axes::strided(keys, 1),
        },
        is_bool,
    });
    let is_backward = results.iter().any(|result| result.is_gradient());
    Kernel::Attention(Box::new(Attention {
        dtype,
        query: matrices([heads, positions, depth]),
        key: matrices([groups, keys, depth]),
        value: matrices([groups, keys, width]),
        mask,
        upstream: is_backward.then(|| matrices([heads, positions, width])),
        is_causal,
        scale: 0.25,
        results: results.to_vec(),
    }))
}

pub(crate) fn attentions() -> Vec<(String, Kernel)> {
    use AttentionResult::{KeyGradient, Output, QueryGradient, SoftmaxStatistics, ValueGradient};
    let mut all = Vec::new();
    let results: [&[AttentionResult]; 5] = [
        &[Output],
        &[SoftmaxStatistics],
        &[Output, SoftmaxStatistics],
        &[KeyGradient],
        &[QueryGradient, KeyGradient, ValueGradient],
    ];
    let extents = [
        [2, 3, 5, 4, 8],
        [4, 70, 65, 7, 3],
        // More keys, and more queries, than a loop may go over; and of both more scores than a block has.
        [2, 300, 30_000, 8, 4],
        [2, 20_000, 300, 8, 4],
        [2, 300, 200, 256, 256],
    ];
    for extents in extents {
        for mask in [None, Some(true), Some(false)] {
            for is_causal in [false, true] {
                // Long rows and wide heads once each, for their modules take long to check.
                let is_large = extents[1] > 100;
                if is_large && (mask.is_some() || is_causal) {
                    continue;
                }
                for results in results {
                    let name = format!("attention {extents:?} {mask:?} {is_causal} {results:?}");
                    all.push((name, attention(DType::F32, extents, mask, is_causal, results)));
                }
            }
        }
    }
    all
}
