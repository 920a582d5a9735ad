//! Functions, activations and losses, called with something wrong: the error names the method and the caller's line, and nothing stays
//! behind.

use arenagrad_graph::{Ctc, DType, Expr, Graph, Half, PoissonNll, Reduction, TripletMargin};

/// A public method, its name, and a call with something wrong.
type Mistake = (&'static str, for<'g> fn(Wrong<'g>) -> Expr<'g>);

/// Operands that fit nothing: f32[2, 3], f32[5], i32[2, 3], bool[2, 3], f32[4, 2, 3], f32[7, 7].
#[derive(Clone, Copy)]
struct Wrong<'g> {
    x: Expr<'g>,
    other: Expr<'g>,
    i: Expr<'g>,
    b: Expr<'g>,
    cube: Expr<'g>,
    unlike: Expr<'g>,
}

const MEAN: Reduction = Reduction::Mean;

const MISTAKES: &[Mistake] = &[
    ("rounded_to", |w| w.i.rounded_to(Half::F16)),
    ("rounded_to", |w| w.b.rounded_to(Half::Bf16)),
    ("frac", |w| w.i.frac()),
    ("lerp", |w| w.x.lerp(w.other, 0.5)),
    ("lerp", |w| w.x.lerp(w.x, w.unlike)),
    ("lerp", |w| w.i.lerp(w.x, 0.5)),
    ("sinc", |w| w.i.sinc()),
    ("xlogy", |w| w.x.xlogy(w.other)),
    ("xlogy", |w| w.i.xlogy(w.i)),
    ("logit", |w| w.i.logit(None)),
    ("logit", |w| w.x.logit(Some(f64::NAN))),
    ("logaddexp", |w| w.x.logaddexp(w.other)),
    ("logaddexp", |w| w.i.logaddexp(w.i)),
    ("logaddexp", |w| w.x.logaddexp(w.unlike)),
    ("logaddexp2", |w| w.x.logaddexp2(w.i)),
    ("ndtr", |w| w.i.ndtr()),
    ("log_ndtr", |w| w.b.log_ndtr()),
    ("hardtanh", |w| w.x.hardtanh(1.0, -1.0)),
    ("hardtanh", |w| w.x.hardtanh(f64::NAN, 1.0)),
    ("hardtanh", |w| w.b.hardtanh(-1.0, 1.0)),
    ("relu6", |w| w.b.relu6()),
    ("hardsigmoid", |w| w.i.hardsigmoid()),
    ("hardswish", |w| w.i.hardswish()),
    ("hardshrink", |w| w.x.hardshrink(f64::NAN)),
    ("softshrink", |w| w.x.softshrink(-1.0)),
    ("threshold", |w| w.x.threshold(f64::NAN, 0.0)),
    ("threshold", |w| w.b.threshold(0.0, 0.0)),
    ("prelu", |w| w.x.prelu(w.other)),
    ("prelu", |w| w.other.prelu(w.other)),
    ("prelu", |w| w.x.prelu(w.unlike)),
    ("mish", |w| w.i.mish()),
    ("selu", |w| w.i.selu()),
    ("celu", |w| w.x.celu(0.0)),
    ("softsign", |w| w.i.softsign()),
    ("tanhshrink", |w| w.i.tanhshrink()),
    ("glu", |w| w.x.glu(1)),
    ("glu", |w| w.x.glu(2)),
    ("softmin", |w| w.x.softmin(2)),
    ("softmin", |w| w.i.softmin(0)),
    ("normalize", |w| w.x.normalize(2.0, 2, 1e-12)),
    ("normalize", |w| w.x.normalize(f64::NAN, 0, 1e-12)),
    ("normalize", |w| w.x.normalize(2.0, 0, f64::NAN)),
    ("local_response_norm", |w| w.x.local_response_norm(3, 1e-4, 0.75, 1.0)),
    ("local_response_norm", |w| w.i.local_response_norm(3, 1e-4, 0.75, 1.0)),
    ("local_response_norm", |w| w.cube.local_response_norm(0, 1e-4, 0.75, 1.0)),
    ("local_response_norm", |w| w.cube.local_response_norm(3, f64::NAN, 0.75, 1.0)),
    ("local_response_norm", |w| w.cube.local_response_norm(3, 1e-4, f64::INFINITY, 1.0)),
    ("local_response_norm", |w| w.cube.local_response_norm(3, 1e-4, 0.75, f64::NAN)),
    ("pairwise_distance", |w| w.x.pairwise_distance(w.other, 2.0, 1e-6)),
    ("pairwise_distance", |w| w.x.pairwise_distance(w.x, f64::NAN, 1e-6)),
    ("cosine_similarity", |w| w.x.cosine_similarity(w.other, 1, 1e-8)),
    ("cosine_similarity", |w| w.x.cosine_similarity(w.x, 2, 1e-8)),
    ("margin_ranking_loss", |w| w.x.margin_ranking_loss(w.x, w.other, 0.0, MEAN)),
    ("hinge_embedding_loss", |w| w.x.hinge_embedding_loss(w.other, 1.0, MEAN)),
    ("soft_margin_loss", |w| w.x.soft_margin_loss(w.other, MEAN)),
    ("cosine_embedding_loss", |w| w.x.cosine_embedding_loss(w.x, w.x, 0.0, MEAN)),
    ("cosine_embedding_loss", |w| w.cube.cosine_embedding_loss(w.cube, w.x, 0.0, MEAN)),
    ("triplet_margin_loss", |w| w.x.triplet_margin_loss(w.x, w.other, TripletMargin::default())),
    ("triplet_margin_with_distance_loss", |w| {
        w.x.triplet_margin_with_distance_loss(w.x, w.other, |x, y| x - y, 1.0, false, MEAN)
    }),
    ("triplet_margin_with_distance_loss", |w| {
        w.x.triplet_margin_with_distance_loss(w.x, w.x, |x, y| x.matmul(y), 1.0, true, MEAN)
    }),
    ("multi_margin_loss", |w| w.x.multi_margin_loss(w.i, 1, 1.0, None, MEAN)),
    ("multi_margin_loss", |w| w.x.multi_margin_loss(w.i.select_index(1, 0), 3, 1.0, None, MEAN)),
    ("multi_margin_loss", |w| w.x.multi_margin_loss(w.i.select_index(1, 0), 1, 1.0, Some(w.other), MEAN)),
    ("multi_margin_loss", |w| w.cube.multi_margin_loss(w.i, 1, 1.0, None, MEAN)),
    ("multilabel_margin_loss", |w| w.x.multilabel_margin_loss(w.x, MEAN)),
    ("multilabel_margin_loss", |w| w.other.multilabel_margin_loss(w.i, MEAN)),
    ("multilabel_soft_margin_loss", |w| w.x.multilabel_soft_margin_loss(w.other, None, MEAN)),
    ("multilabel_soft_margin_loss", |w| w.x.multilabel_soft_margin_loss(w.x, Some(w.other), MEAN)),
    ("poisson_nll_loss", |w| w.x.poisson_nll_loss(w.other, PoissonNll::default())),
    ("gaussian_nll_loss", |w| w.x.gaussian_nll_loss(w.x, w.other, false, 1e-6, MEAN)),
    ("gaussian_nll_loss", |w| w.x.gaussian_nll_loss(w.x, w.x, false, 0.0, MEAN)),
    // PyTorch refuses these too: a variance that is shared along two axes, or that would broadcast from the left.
    ("gaussian_nll_loss", |w| w.x.gaussian_nll_loss(w.x, w.x.slice(0, 0, 1).slice(1, 0, 1), false, 1e-6, MEAN)),
    ("gaussian_nll_loss", |w| w.x.gaussian_nll_loss(w.x, w.x.select_index(0, 0), false, 1e-6, MEAN)),
    ("ctc_loss", |w| w.x.ctc_loss(w.i, w.i, w.i, Ctc::default())),
    ("ctc_loss", |w| {
        let length = w.i.select_index(1, 0);
        w.cube.ctc_loss(w.i, length, length, Ctc { blank: 3, ..Ctc::default() })
    }),
    ("ctc_loss", |w| {
        let length = w.i.select_index(1, 0);
        w.cube.ctc_loss(w.x, length, length, Ctc::default())
    }),
    ("ctc_loss", |w| {
        let length = w.i.select_index(1, 0);
        w.cube.ctc_loss(w.i, w.i, length, Ctc::default())
    }),
    ("ctc_loss", |w| {
        let length = w.i.select_index(1, 0);
        w.cube.slice(0, 0, 0).ctc_loss(w.i, length, length, Ctc::default())
    }),
];

#[test]
fn mistakes_are_told_in_the_words_of_the_method_that_was_called() {
    for (name, mistake) in MISTAKES {
        let g = Graph::new();
        let wrong = Wrong {
            x: g.input("x", [2, 3]),
            other: g.input("other", [5]),
            i: g.input_of("i", [2, 3], DType::I32),
            b: g.input_of("b", [2, 3], DType::Bool),
            cube: g.input("cube", [4, 2, 3]),
            unlike: g.input("unlike", [7, 7]),
        };
        let result = mistake(wrong);
        assert!(result.check().is_err(), "{name} was taken");
        let error = g.take_error().expect("a mistake").to_string();
        let (origin, text) = error.split_once(": ").expect("an origin");
        assert!(text.starts_with(&format!("{name}: ")), "{name} is told as {error}");
        assert!(origin.contains("messages_functions.rs:"), "{error}");
        // The next mistake is not told in the words of this one.
        let _ = wrong.x.exp() + wrong.other;
        assert!(g.take_error().expect("a mistake").to_string().contains(": add: "));
    }
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let g = Graph::new();
    let (x, other) = (g.input("x", [2, 3]), g.input("other", [5]));
    let before = g.len();
    for refused in [
        x.lerp(other, 0.5),
        x.prelu(other),
        x.normalize(2.0, 2, 1e-12),
        x.local_response_norm(0, 1e-4, 0.75, 1.0),
        x.triplet_margin_loss(x, other, TripletMargin::default()),
        x.gaussian_nll_loss(x, other, true, 1e-6, MEAN),
    ] {
        assert!(refused.check().is_err());
        assert!(g.take_error().is_some() || refused.id().is_err());
        assert_eq!(g.len(), before);
    }
}
