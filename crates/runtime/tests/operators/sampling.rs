//! Interpolation, padding, and sampling on grids.

use arenagrad::nn::Phase;
use arenagrad::{
    BagMode, EmbeddingBagOptions, EmbeddingOptions, GridMode, GridPadding, GridSample, Interpolation,
    InterpolationMode, PadMode,
};

use super::table::{float, integer, operators};

operators! {
    "F.pad(x, (1, -2), value=0.5)" (g, x = float(&[2, 3, 6], -2.0, 2.0)) =>
        x.pad_with([(1, -2)], PadMode::Constant(0.5));
    "F.pad(x, (2, 1, 1, 3), mode='reflect')" (g, x = float(&[2, 4, 5], -2.0, 2.0)) =>
        x.pad_with([(1, 3), (2, 1)], PadMode::Reflect);
    "F.pad(x, (2, 1, 1, 3), mode='replicate')" (g, x = float(&[2, 4, 5], -2.0, 2.0)) =>
        x.pad_with([(1, 3), (2, 1)], PadMode::Replicate);
    "F.pad(x, (2, 1, 1, 3), mode='circular')" (g, x = float(&[2, 4, 5], -2.0, 2.0)) =>
        x.pad_with([(1, 3), (2, 1)], PadMode::Circular);
    "F.interpolate(scale_factor=2)" (g, x = float(&[2, 2, 3, 4], -2.0, 2.0)) =>
        x.interpolate(Interpolation::by_factor(2.0));
    "F.interpolate(size, mode='nearest')" (g, x = float(&[2, 2, 5], -2.0, 2.0)) =>
        x.interpolate(Interpolation::to_size(7));
    "F.interpolate(mode='nearest-exact')" (g, x = float(&[1, 2, 3, 5, 2], -2.0, 2.0)) =>
        x.interpolate(Interpolation::to_size([2, 3, 5]).mode(InterpolationMode::NearestExact));
    "F.interpolate(mode='linear')" (g, x = float(&[2, 2, 5], -2.0, 2.0)) =>
        x.interpolate(Interpolation::to_size(8).mode(InterpolationMode::Linear));
    "F.interpolate(mode='bilinear')" (g, x = float(&[2, 2, 4, 5], -2.0, 2.0)) =>
        x.interpolate(Interpolation::by_factors([1.5, 0.7]).mode(InterpolationMode::Linear));
    "F.interpolate(mode='bilinear', align_corners=True)" (g, x = float(&[2, 2, 4, 5], -2.0, 2.0)) =>
        x.interpolate(Interpolation::to_size([7, 3]).mode(InterpolationMode::Linear).align_corners(true));
    "F.interpolate(mode='trilinear')" (g, x = float(&[1, 2, 3, 2, 4], -2.0, 2.0)) =>
        x.interpolate(Interpolation::by_factor(1.5).mode(InterpolationMode::Linear).recompute_scale_factor(true));
    "F.interpolate(mode='bicubic')" (g, x = float(&[1, 2, 4, 5], -2.0, 2.0)) =>
        x.interpolate(Interpolation::to_size([9, 3]).mode(InterpolationMode::Cubic));
    "F.interpolate(mode='area')" (g, x = float(&[1, 2, 4, 20], -2.0, 2.0)) =>
        x.interpolate(Interpolation::to_size([3, 2]).mode(InterpolationMode::Area));
    "F.upsample_nearest" (g, x = float(&[2, 2, 3, 4], -2.0, 2.0)) => x.upsample_nearest(Interpolation::to_size(6));
    "F.upsample_bilinear" (g, x = float(&[2, 2, 3, 4], -2.0, 2.0)) => x.upsample_bilinear(Interpolation::to_size(6));
    "F.gumbel_softmax(tau=0.5)" (g, logits = float(&[4, 5], -2.0, 2.0)) => logits.gumbel_softmax_in(Phase::Training, 0.5, false, -1);
    "torch.distributions.Categorical(logits).sample()" (g, logits = float(&[4, 5], -2.0, 2.0)) =>
        logits.categorical_in(Phase::Training, -1);
    "torch.multinomial" (g, weights = float(&[4, 5], 0.2, 2.0)) => weights.multinomial_in(Phase::Training, 3, false);
    "torch.multinomial(replacement=True)" (g, weights = float(&[5], 0.2, 2.0)) =>
        weights.multinomial_in(Phase::Training, 9, true);
    "F.pixel_shuffle" (g, x = float(&[2, 8, 2, 3], -2.0, 2.0)) => x.pixel_shuffle(2);
    "F.pixel_unshuffle" (g, x = float(&[2, 2, 4, 6], -2.0, 2.0)) => x.pixel_unshuffle(2);
    "F.channel_shuffle" (g, x = float(&[2, 6, 4], -2.0, 2.0)) => x.channel_shuffle(3);
    "F.affine_grid" (g, theta = float(&[2, 2, 3], -1.0, 1.0)) => theta.affine_grid([3, 4], false);
    "F.affine_grid(align_corners=True)" (g, theta = float(&[1, 3, 4], -1.0, 1.0)) => theta.affine_grid([2, 3, 1], true);
    "F.grid_sample" (g, x = float(&[2, 3, 4, 5], -2.0, 2.0), grid = float(&[2, 3, 2, 2], -1.3, 1.3)) =>
        x.grid_sample(grid, GridSample::default());
    "F.grid_sample(padding_mode='border')" (g, x = float(&[1, 2, 4, 5], -2.0, 2.0), grid = float(&[1, 3, 2, 2], -1.5, 1.5)) =>
        x.grid_sample(grid, GridSample { padding: GridPadding::Border, ..GridSample::default() });
    "F.grid_sample(mode='bicubic')" (g, x = float(&[1, 2, 4, 5], -2.0, 2.0), grid = float(&[1, 2, 2, 2], -1.5, 1.5)) =>
        x.grid_sample(grid, GridSample { mode: GridMode::Cubic, padding: GridPadding::Reflection, align_corners: true });
    "F.grid_sample(mode='nearest')" (g, x = float(&[1, 2, 4, 5], -2.0, 2.0), grid = float(&[1, 2, 2, 2], -1.0, 1.0)) =>
        x.grid_sample(grid, GridSample { mode: GridMode::Nearest, ..GridSample::default() });
    "F.grid_sample (volumes)" (g, x = float(&[1, 2, 3, 4, 2], -2.0, 2.0), grid = float(&[1, 2, 2, 2, 3], -1.4, 1.4)) =>
        x.grid_sample(grid, GridSample { padding: GridPadding::Reflection, ..GridSample::default() });
    "F.embedding(max_norm)"
        (g, table = float(&[5, 3], -1.0, 1.0), tokens = integer(&[1, 4], 0, 4)) =>
        table.embedding(tokens, EmbeddingOptions { max_norm: Some(9.0), ..EmbeddingOptions::default() });
    "F.embedding_bag" (g, table = float(&[5, 3], -1.0, 1.0), tokens = integer(&[2, 4], 0, 4)) =>
        table.embedding_bag(tokens, None, EmbeddingBagOptions::default());
    "F.embedding_bag(offsets, mode='sum', per_sample_weights)"
        (g, table = float(&[5, 3], -1.0, 1.0), tokens = integer(&[6], 0, 4), weights = float(&[6], 0.5, 2.0)) =>
        table.embedding_bag(tokens, Some(weights), EmbeddingBagOptions {
            mode: BagMode::Sum,
            offsets: Some(vec![0, 2, 2]),
            ..EmbeddingBagOptions::default()
        });
    "F.embedding_bag(offsets, mode='max')" (g, table = float(&[5, 3], -1.0, 1.0), tokens = integer(&[7], 0, 4)) =>
        table.embedding_bag(tokens, None, EmbeddingBagOptions {
            mode: BagMode::Max,
            offsets: Some(vec![0, 1, 1, 6]),
            ..EmbeddingBagOptions::default()
        });
    "F.embedding_bag(mode='max', padding_idx)" (g, table = float(&[5, 3], -1.0, 1.0), tokens = integer(&[3, 4], 0, 4)) =>
        table.embedding_bag(tokens, None, EmbeddingBagOptions {
            mode: BagMode::Max,
            padding_index: Some(2),
            ..EmbeddingBagOptions::default()
        });
}
