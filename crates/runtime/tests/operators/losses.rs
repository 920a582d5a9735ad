//! Losses.

use arenagrad::{Ctc, PoissonNll, Reduction, TripletMargin};

use super::table::{float, integer, operators};

operators! {
    "F.pairwise_distance" (g, x = float(&[4, 1, 3], -2.0, 2.0), y = float(&[2, 3], -2.0, 2.0)) => x.pairwise_distance(y, 2.0, 1e-6);
    "F.pairwise_distance" (g, x = float(&[4, 3], 1.0, 2.0), y = float(&[3], -1.0, 0.0)) => x.pairwise_distance(y, -1.0, 1e-6);
    "F.cosine_similarity" (g, x = float(&[4, 1, 3], -2.0, 2.0), y = float(&[2, 3], -2.0, 2.0)) => x.cosine_similarity(y, -1, 1e-8);
    "F.cosine_embedding_loss" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 3], -2.0, 2.0), t = integer(&[4], 0, 1)) =>
        x.cosine_embedding_loss(y, (t * 2 - 1).cast(x.dtype().unwrap()), 0.1, Reduction::Mean);
    "F.margin_ranking_loss" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 3], -2.0, 2.0), t = integer(&[4, 3], 0, 1)) =>
        x.margin_ranking_loss(y, (t * 2 - 1).cast(x.dtype().unwrap()), 0.5, Reduction::Sum);
    "F.hinge_embedding_loss" (g, x = float(&[4, 3], 0.0, 2.0), t = integer(&[4, 3], 0, 1)) =>
        x.hinge_embedding_loss((t * 2 - 1).cast(x.dtype().unwrap()), 1.0, Reduction::None);
    "F.soft_margin_loss" (g, x = float(&[4, 3], -2.0, 2.0), t = integer(&[4, 3], 0, 1)) =>
        x.soft_margin_loss((t * 2 - 1).cast(x.dtype().unwrap()), Reduction::Mean);
    "F.multi_margin_loss" (g, x = float(&[4, 5], -2.0, 2.0), t = integer(&[4], 0, 4)) =>
        x.multi_margin_loss(t, 1, 1.0, None, Reduction::Mean);
    "F.multi_margin_loss" (g, x = float(&[4, 5], -2.0, 2.0), t = integer(&[4], 0, 4), w = float(&[5], 0.5, 2.0)) =>
        x.multi_margin_loss(t, 2, 1.0, Some(w), Reduction::None);
    "F.multilabel_margin_loss" (g, x = float(&[4, 5], -2.0, 2.0), t = integer(&[4, 5], -1, 4)) =>
        x.multilabel_margin_loss(t, Reduction::Mean);
    "F.multilabel_soft_margin_loss" (g, x = float(&[4, 3], -2.0, 2.0), t = float(&[4, 3], 0.0, 1.0), w = float(&[3], 0.5, 2.0)) =>
        x.multilabel_soft_margin_loss(t, Some(w), Reduction::Mean);
    "F.triplet_margin_with_distance_loss" (g, a = float(&[4, 3], -2.0, 2.0), p = float(&[4, 3], -2.0, 2.0), n = float(&[4, 3], -2.0, 2.0)) =>
        a.triplet_margin_with_distance_loss(p, n, |x, y| (x - y).abs().sum(-1), 2.0, true, Reduction::Sum);
    "F.triplet_margin_loss" (g, a = float(&[4, 3], -2.0, 2.0), p = float(&[4, 3], -2.0, 2.0), n = float(&[4, 3], -2.0, 2.0)) =>
        a.triplet_margin_loss(p, n, TripletMargin { swap: true, margin: 2.0, ..TripletMargin::default() });
    "F.poisson_nll_loss" (g, x = float(&[4, 3], -2.0, 2.0), t = float(&[4, 3], 0.0, 5.0)) =>
        x.poisson_nll_loss(t, PoissonNll::default());
    "F.poisson_nll_loss" (g, x = float(&[4, 3], 0.5, 2.0), t = float(&[4, 3], 1.5, 5.0)) =>
        x.poisson_nll_loss(t, PoissonNll { log_input: false, full: true, ..PoissonNll::default() });
    "F.gaussian_nll_loss" (g, x = float(&[4, 3], -2.0, 2.0), t = float(&[4, 3], -2.0, 2.0), v = float(&[4, 1], 0.3, 2.0)) =>
        x.gaussian_nll_loss(t, v, true, 1e-6, Reduction::Mean);
    "F.ctc_loss" (g, x = float(&[6, 2, 4], -2.0, 2.0), t = integer(&[2, 2], 1, 3)) =>
        x.log_softmax(-1).ctc_loss(t, g.literal([2], [6, 5]), g.literal([2], [2, 1]), Ctc::default());
}
