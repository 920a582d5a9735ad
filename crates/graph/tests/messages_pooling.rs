//! Mistakes with pooling, padding, interpolation and sampling, told in the words of the method that was called.

use arenagrad_graph::{
    BagMode, DType, EmbeddingBagOptions, Expr, Graph, GridSample, Interpolation, InterpolationMode, PadMode, Pooling,
};

/// A method, what is wrong with a call of it, and what must stand in the message.
type Mistake = (&'static str, for<'g> fn(Given<'g>) -> Expr<'g>, &'static str);

/// f32[2, 3, 8, 8], f32[5, 4], i32[7], i32[2, 3, 8, 8], bool[2, 3, 8, 8], f32[2, 2, 3].
#[derive(Clone, Copy)]
struct Given<'g> {
    x: Expr<'g>,
    table: Expr<'g>,
    tokens: Expr<'g>,
    integers: Expr<'g>,
    truth: Expr<'g>,
    theta: Expr<'g>,
}

fn linear(size: usize) -> Interpolation {
    Interpolation::to_size(size).mode(InterpolationMode::Linear)
}

fn bags(offsets: &[usize]) -> EmbeddingBagOptions {
    EmbeddingBagOptions { offsets: Some(offsets.to_vec()), ..EmbeddingBagOptions::default() }
}

const MISTAKES: &[Mistake] = &[
    ("max_pool2d", |w| w.x.max_pool2d(9), "axis 2 of \"x\" has 8 elements, so 0..9 is out of range"),
    ("max_pool2d", |w| w.x.max_pool2d(Pooling::new(5).dilation(3).padding(2)), "has 12 elements, so 0..13"),
    ("max_pool2d", |w| w.x.max_pool2d(Pooling::new(3).padding(2)), "the padding is 2, but at most half of the kernel"),
    ("max_pool2d", |w| w.x.max_pool2d(0), "the kernel is 0"),
    ("max_pool2d", |w| w.x.max_pool2d(Pooling::new(2).stride(0)), "the stride is 0"),
    ("max_pool2d", |w| w.x.max_pool2d(Pooling::new(2).dilation(0)), "the dilation is 0"),
    ("max_pool2d", |w| w.x.max_pool2d([2, 2, 2]), "the number of kernel extents is 3"),
    ("max_pool2d", |w| w.x.max_pool2d(Pooling::new(2).stride([1, 1, 1])), "the number of strides is 3"),
    ("max_pool2d", |w| w.truth.max_pool2d(2), "\"truth\" is bool, but a float or i32"),
    ("max_pool2d", |w| w.x.max_pool2d(Pooling::new(usize::MAX).padding(usize::MAX / 2)), "what a window spans"),
    ("max_pool1d", |w| w.x.max_pool1d(2), "has rank 4, but rank 2 or 3"),
    ("max_pool3d", |w| w.table.max_pool3d(2), "has rank 2, but rank 4 or 5"),
    ("max_pool2d", |w| w.x.slice(3, 0, 0).max_pool2d(1), "axis 3"),
    ("max_pool1d_with_indices", |w| w.x.max_pool1d_with_indices(2).0, "has rank 4"),
    ("max_pool2d_with_indices", |w| w.x.max_pool2d_with_indices(9).1, "0..9"),
    ("max_pool3d_with_indices", |w| w.x.max_pool3d_with_indices([9, 1, 1]).1, "0..9"),
    ("avg_pool1d", |w| w.table.avg_pool1d(5), "0..5"),
    ("avg_pool2d", |w| w.x.avg_pool2d(Pooling::new(2).dilation(2)), "the dilation is 2, but a dilation of 1"),
    ("avg_pool2d", |w| w.x.avg_pool2d(Pooling::new(2).divisor(0.0)), "the divisor is 0"),
    ("avg_pool2d", |w| w.integers.avg_pool2d(2), "\"integers\" is i32, but a float"),
    ("avg_pool3d", |w| w.x.avg_pool3d([4, 1, 1]), "0..4"),
    ("lp_pool1d", |w| w.table.lp_pool1d(0.0, 2), "p is 0"),
    ("lp_pool2d", |w| w.x.lp_pool2d(f64::INFINITY, 2), "p is inf"),
    ("lp_pool2d", |w| w.x.lp_pool2d(2.0, Pooling::new(2).padding(1)), "the padding is 1, but a padding of 0"),
    ("lp_pool3d", |w| w.table.lp_pool3d(2.0, 2), "has rank 2"),
    ("adaptive_avg_pool1d", |w| w.x.adaptive_avg_pool1d(2), "has rank 4"),
    ("adaptive_avg_pool2d", |w| w.x.adaptive_avg_pool2d([1, 2, 3]), "the number of sizes is 3"),
    ("adaptive_avg_pool2d", |w| w.x.adaptive_avg_pool2d(usize::MAX), "the size of an axis"),
    ("adaptive_avg_pool3d", |w| w.integers.adaptive_avg_pool3d(2), "is i32, but a float"),
    ("adaptive_max_pool1d", |w| w.x.adaptive_max_pool1d(2), "has rank 4"),
    ("adaptive_max_pool2d", |w| w.x.slice(2, 0, 0).adaptive_max_pool2d(2), "axis 2"),
    ("adaptive_max_pool3d", |w| w.truth.adaptive_max_pool3d(2), "is bool"),
    ("adaptive_max_pool1d_with_indices", |w| w.x.adaptive_max_pool1d_with_indices(2).1, "has rank 4"),
    ("adaptive_max_pool2d_with_indices", |w| w.x.adaptive_max_pool2d_with_indices([1, 2, 3]).0, "the number of sizes"),
    ("adaptive_max_pool3d_with_indices", |w| w.table.adaptive_max_pool3d_with_indices(1).1, "has rank 2"),
    ("global_avg_pool", |w| w.table.global_avg_pool(), "has rank 2, but rank 3 or more"),
    ("global_max_pool", |w| w.table.global_max_pool(), "has rank 2, but rank 3 or more"),
    ("global_max_pool", |w| w.x.slice(2, 0, 0).global_max_pool(), "empty"),
    ("pad_with", |w| w.table.pad_with([(1, 1); 3], PadMode::Reflect), "has rank 2, but rank 3 or more"),
    ("pad_with", |w| w.table.pad_with([(4, 0)], PadMode::Reflect), "the padding is 4, but less than the elements"),
    ("pad_with", |w| w.table.pad_with([(0, 5)], PadMode::Circular), "the padding is 5, but at most the elements"),
    ("pad_with", |w| w.table.pad_with([(4, -1)], PadMode::Circular), "the padding is 4, but at most the elements"),
    (
        "pad_with",
        |w| w.table.pad_with([(-3, -2)], PadMode::Replicate),
        "the padding is -3, but a cut of no more elements",
    ),
    ("pad_with", |w| w.table.slice(1, 0, 0).pad_with([(1, 0)], PadMode::Replicate), "has no border"),
    ("pad_with", |w| w.tokens.pad_with([(1, 0)], PadMode::Constant(0.5)), "the value is 0.5"),
    ("pad_with", |w| w.tokens.pad_with([(isize::MAX, isize::MAX)], PadMode::Constant(0.0)), "too many elements"),
    ("pad_with", |w| w.tokens.pad_with([(isize::MIN, 0)], PadMode::Constant(0.0)), "a cut of no more elements"),
    ("interpolate", |w| w.table.interpolate(linear(2)), "has rank 2, but rank 3 or more"),
    ("interpolate", |w| w.integers.interpolate(linear(2)), "is i32, but a float"),
    ("interpolate", |w| w.x.interpolate(linear(0)), "the size of an axis is 0"),
    ("interpolate", |w| w.x.interpolate(Interpolation::to_size([1, 2, 3])), "the number of extents is 3"),
    ("interpolate", |w| w.x.interpolate(Interpolation::by_factors([1.0; 3])), "the number of factors is 3"),
    ("interpolate", |w| w.x.interpolate(Interpolation::by_factor(f64::NAN)), "a factor is NaN"),
    ("interpolate", |w| w.x.interpolate(Interpolation::by_factor(1e18)), "the size of an axis is"),
    ("interpolate", |w| w.x.interpolate(Interpolation::to_size(2).align_corners(true)), "align_corners is 1"),
    ("interpolate", |w| w.x.slice(2, 0, 0).interpolate(linear(2)), "axis 2"),
    ("upsample_nearest", |w| w.x.upsample_nearest(linear(0)), "the size of an axis is 0"),
    ("upsample_bilinear", |w| w.theta.upsample_bilinear(linear(2)), "has rank 3, but rank 4"),
    ("pixel_shuffle", |w| w.x.pixel_shuffle(2), "the factor is 2, but a number whose square divides"),
    ("pixel_shuffle", |w| w.x.pixel_shuffle(0), "the factor is 0"),
    ("pixel_shuffle", |w| w.x.pixel_shuffle(usize::MAX), "the factor is"),
    ("pixel_unshuffle", |w| w.x.pixel_unshuffle(3), "the factor is 3, but a number that divides"),
    ("pixel_unshuffle", |w| w.table.pixel_unshuffle(1), "has rank 2"),
    ("channel_shuffle", |w| w.x.channel_shuffle(2), "the number of groups is 2"),
    ("channel_shuffle", |w| w.tokens.channel_shuffle(1), "has rank 1"),
    ("affine_grid", |w| w.theta.affine_grid([2], false), "the number of extents is 1"),
    ("affine_grid", |w| w.theta.affine_grid([2, 2, 2], false), "is [2, 2, 3]"),
    ("affine_grid", |w| w.x.affine_grid([2, 2], false), "has rank 4"),
    ("grid_sample", |w| w.theta.grid_sample(w.theta, GridSample::default()), "has rank 3, but rank 4 or 5"),
    ("grid_sample", |w| w.x.grid_sample(w.theta, GridSample::default()), "has rank 3, but rank 4"),
    ("grid_sample", |w| w.x.grid_sample(w.x, GridSample::default()), "axis 3"),
    ("grid_sample", |w| w.x.grid_sample(w.integers, GridSample::default()), "is i32"),
    ("embedding_bag", |w| w.x.embedding_bag(w.tokens, None, bags(&[0])), "has rank 4, but rank 2"),
    (
        "embedding_bag",
        |w| w.table.embedding_bag(w.tokens, None, EmbeddingBagOptions::default()),
        "rank 2 without offsets",
    ),
    ("embedding_bag", |w| w.table.embedding_bag(w.table, None, bags(&[0])), "is f32, but i32"),
    ("embedding_bag", |w| w.table.embedding_bag(w.tokens, None, bags(&[1])), "the first offset is 1"),
    ("embedding_bag", |w| w.table.embedding_bag(w.tokens, None, bags(&[0, 5, 3])), "an offset is 5"),
    ("embedding_bag", |w| w.table.embedding_bag(w.tokens, None, bags(&[0, 9])), "an offset is 9"),
    ("embedding_bag", |w| w.table.embedding_bag(w.tokens, Some(w.table), bags(&[0])), "shapes differ"),
    (
        "embedding_bag",
        |w| {
            let weights = w.tokens.cast(DType::F32);
            w.table.embedding_bag(w.tokens, Some(weights), EmbeddingBagOptions { mode: BagMode::Max, ..bags(&[0]) })
        },
        "the number of weights is 7, but none",
    ),
    (
        "embedding_bag",
        |w| w.table.embedding_bag(w.tokens, None, EmbeddingBagOptions { padding_index: Some(5), ..bags(&[0]) }),
        "the padding index is 5",
    ),
];

#[test]
fn mistakes_with_pooling_and_sampling_are_told_in_the_words_of_the_method() {
    for (name, mistake, part) in MISTAKES {
        let g = Graph::new();
        let given = Given {
            x: g.input("x", [2, 3, 8, 8]),
            table: g.input("table", [5, 4]),
            tokens: g.input_of("tokens", [7], DType::I32),
            integers: g.input_of("integers", [2, 3, 8, 8], DType::I32),
            truth: g.input_of("truth", [2, 3, 8, 8], DType::Bool),
            theta: g.input("theta", [2, 2, 3]),
        };
        let before = g.len();
        let result = mistake(given);
        assert!(result.check().is_err(), "{name} was taken, without {part}");
        let error = g.take_error().expect("a mistake").to_string();
        let (origin, text) = error.split_once(": ").expect("an origin");
        assert!(text.starts_with(&format!("{name}: ")) && text.contains(part), "{error}, without {part}");
        assert!(origin.contains("messages_pooling.rs:"), "{error}");
        // What was built of good operands on the way to the mistake is the caller's; the refused call leaves nothing.
        assert!(g.len() <= before + 1, "{name} left {} nodes: {error}", g.len() - before);
    }
}
