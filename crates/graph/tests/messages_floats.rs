//! Methods that are of floats, called with integers and truth values: the error names the method and the operand as the caller wrote them, and
//! says that a cast helps, whatever the method is composed of.

use arenagrad_graph::nn::Phase;
use arenagrad_graph::{
    Attention, CrossEntropy, DType, Expr, Gelu, Graph, MatrixNorm, PoissonNll, QuantileInterpolation, Reduction,
    TripletMargin,
};

/// A method, and a call of it.
type Call = (&'static str, for<'g> fn(Operands<'g>) -> Expr<'g>);

/// What is wrong, `[2, 3]` of integers or truth values, and floats of that shape.
#[derive(Clone, Copy)]
struct Operands<'g> {
    wrong: Expr<'g>,
    x: Expr<'g>,
}

const MEAN: Reduction = Reduction::Mean;

const CALLS: &[Call] = &[
    ("acos", |o| o.wrong.acos()),
    ("celu", |o| o.wrong.celu(0.5)),
    ("elu", |o| o.wrong.elu(0.5)),
    ("erf", |o| o.wrong.erf()),
    ("exp", |o| o.wrong.exp()),
    ("gelu", |o| o.wrong.gelu(Gelu::Erf)),
    ("gelu", |o| o.wrong.gelu(Gelu::Tanh)),
    ("glu", |o| o.wrong.transpose(0, 1).glu(1)),
    ("hardshrink", |o| o.wrong.hardshrink(0.5)),
    ("hardsigmoid", |o| o.wrong.hardsigmoid()),
    ("hardswish", |o| o.wrong.hardswish()),
    ("leaky_relu", |o| o.wrong.leaky_relu(0.1)),
    ("log", |o| o.wrong.log()),
    ("log_sigmoid", |o| o.wrong.log_sigmoid()),
    ("log_softmax", |o| o.wrong.log_softmax(1)),
    ("mish", |o| o.wrong.mish()),
    ("prelu", |o| o.wrong.prelu(o.x.select_index(0, 0))),
    ("rsqrt", |o| o.wrong.rsqrt()),
    ("selu", |o| o.wrong.selu()),
    ("sigmoid", |o| o.wrong.sigmoid()),
    ("silu", |o| o.wrong.silu()),
    ("softmax", |o| o.wrong.softmax(1)),
    ("softmin", |o| o.wrong.softmin(1)),
    ("softplus", |o| o.wrong.softplus(1.0, 20.0)),
    ("softplus", |o| o.wrong.softplus(2.0, 20.0)),
    ("softshrink", |o| o.wrong.softshrink(0.5)),
    ("softsign", |o| o.wrong.softsign()),
    ("tan", |o| o.wrong.tan()),
    ("gumbel_softmax_in", |o| o.wrong.gumbel_softmax_in(Phase::Training, 1.0, true, 1)),
    ("categorical_in", |o| o.wrong.categorical_in(Phase::Training, 1)),
    ("multinomial_in", |o| o.wrong.multinomial_in(Phase::Training, 1, true)),
    ("histc", |o| o.wrong.histc(3, 0.0, 1.0)),
    ("pinv", |o| o.wrong.pinv(None)),
    ("lstsq", |o| o.x.lstsq(o.wrong, None)),
    ("tanh", |o| o.wrong.tanh()),
    ("tanhshrink", |o| o.wrong.tanhshrink()),
    ("frac", |o| o.wrong.frac()),
    ("lerp", |o| o.wrong.lerp(o.wrong, 0.5)),
    ("lerp", |o| o.x.lerp(o.wrong, 0.5)),
    ("lerp", |o| o.x.lerp(o.x, o.wrong)),
    ("logaddexp", |o| o.wrong.logaddexp(o.wrong)),
    ("logaddexp", |o| o.x.logaddexp(o.wrong)),
    ("logaddexp2", |o| o.wrong.logaddexp2(1.0)),
    ("logcumsumexp", |o| o.wrong.logcumsumexp(1)),
    ("logit", |o| o.wrong.logit(None)),
    ("logit", |o| o.wrong.logit(Some(0.25))),
    ("logsumexp", |o| o.wrong.logsumexp(1)),
    ("logsumexp_keepdims", |o| o.wrong.logsumexp_keepdims(..)),
    ("log_ndtr", |o| o.wrong.log_ndtr()),
    ("ndtr", |o| o.wrong.ndtr()),
    ("sinc", |o| o.wrong.sinc()),
    ("xlogy", |o| o.wrong.xlogy(o.wrong)),
    ("xlogy", |o| o.wrong.xlogy(2.5)),
    ("xlogy", |o| o.x.xlogy(o.wrong)),
    ("binary_cross_entropy", |o| o.wrong.binary_cross_entropy(o.wrong, MEAN)),
    ("binary_cross_entropy_with_logits", |o| o.wrong.binary_cross_entropy_with_logits(o.wrong, MEAN)),
    ("binary_cross_entropy_with_logits_weighted", |o| {
        o.x.binary_cross_entropy_with_logits_weighted(o.x, Some(o.wrong), None, MEAN)
    }),
    ("binary_cross_entropy_with_logits_weighted", |o| {
        o.x.binary_cross_entropy_with_logits_weighted(o.x, None, Some(o.wrong), MEAN)
    }),
    ("cosine_embedding_loss", |o| o.wrong.cosine_embedding_loss(o.wrong, o.x.select_index(1, 0), 0.0, MEAN)),
    ("cross_entropy", |o| o.wrong.cross_entropy(o.wrong.select_index(1, 0))),
    ("cross_entropy_with", |o| o.wrong.cross_entropy_with(o.wrong.select_index(1, 0), CrossEntropy::default())),
    ("gaussian_nll_loss", |o| o.wrong.gaussian_nll_loss(o.wrong, o.wrong, true, 1e-6, MEAN)),
    ("gaussian_nll_loss", |o| o.x.gaussian_nll_loss(o.x, o.wrong, true, 1e-6, MEAN)),
    ("hinge_embedding_loss", |o| o.wrong.hinge_embedding_loss(o.wrong, 1.0, MEAN)),
    ("huber_loss", |o| o.wrong.huber_loss(o.wrong, 1.0, MEAN)),
    ("kl_div", |o| o.wrong.kl_div(o.wrong, false, MEAN)),
    ("kl_div", |o| o.wrong.kl_div(o.wrong, true, MEAN)),
    ("l1_loss", |o| o.wrong.l1_loss(o.wrong, MEAN)),
    ("margin_ranking_loss", |o| o.wrong.margin_ranking_loss(o.wrong, o.wrong, 0.0, MEAN)),
    ("mse_loss", |o| o.wrong.mse_loss(o.wrong, MEAN)),
    ("multi_margin_loss", |o| o.wrong.multi_margin_loss(o.wrong.select_index(1, 0), 1, 1.0, None, MEAN)),
    ("multilabel_margin_loss", |o| o.wrong.multilabel_margin_loss(o.wrong, MEAN)),
    ("multilabel_soft_margin_loss", |o| o.wrong.multilabel_soft_margin_loss(o.wrong, None, MEAN)),
    ("nll_loss", |o| o.wrong.nll_loss(o.wrong.select_index(1, 0))),
    ("poisson_nll_loss", |o| o.wrong.poisson_nll_loss(o.wrong, PoissonNll::default())),
    ("poisson_nll_loss", |o| {
        o.wrong.poisson_nll_loss(o.wrong, PoissonNll { log_input: false, ..PoissonNll::default() })
    }),
    ("smooth_l1_loss", |o| o.wrong.smooth_l1_loss(o.wrong, 1.0, MEAN)),
    ("smooth_l1_loss", |o| o.wrong.smooth_l1_loss(o.wrong, 0.0, MEAN)),
    ("soft_margin_loss", |o| o.wrong.soft_margin_loss(o.wrong, MEAN)),
    ("triplet_margin_loss", |o| o.wrong.triplet_margin_loss(o.wrong, o.wrong, TripletMargin::default())),
    ("triplet_margin_with_distance_loss", |o| {
        o.wrong.triplet_margin_with_distance_loss(o.wrong, o.wrong, |x, y| x - y, 1.0, false, MEAN)
    }),
    ("cdist", |o| o.wrong.cdist(o.wrong, 2.0)),
    ("corrcoef", |o| o.wrong.corrcoef()),
    ("cosine_similarity", |o| o.wrong.cosine_similarity(o.wrong, 1, 1e-8)),
    ("cosine_similarity", |o| o.x.cosine_similarity(o.wrong, 1, 1e-8)),
    ("cov", |o| o.wrong.cov(1.0, None, None)),
    ("matrix_norm", |o| o.wrong.matrix_norm(MatrixNorm::Frobenius, [0, 1])),
    ("norm", |o| o.wrong.norm(2.0, 1)),
    ("normalize", |o| o.wrong.normalize(2.0, 1, 1e-12)),
    ("pairwise_distance", |o| o.wrong.pairwise_distance(o.wrong, 2.0, 1e-6)),
    ("pdist", |o| o.wrong.pdist(2.0)),
    ("vector_norm", |o| o.wrong.vector_norm(2.0, ..)),
    ("mean", |o| o.wrong.mean(1)),
    ("var", |o| o.wrong.var(1, 1.0)),
    ("std", |o| o.wrong.std(1, 1.0)),
    ("quantile", |o| o.wrong.quantile(0.5, 1, QuantileInterpolation::Linear)),
    ("layer_norm", |o| o.wrong.layer_norm(1, None, None, 1e-5)),
    ("rms_norm", |o| o.wrong.rms_norm(1, None, 1e-5)),
    ("group_norm", |o| o.wrong.group_norm(1, None, None, 1e-5)),
    ("batch_statistics", |o| o.wrong.batch_statistics().0),
    ("batch_norm", |o| {
        let row = o.wrong.select_index(0, 0);
        o.wrong.batch_norm((row, row), None, None, 1e-5)
    }),
    ("local_response_norm", |o| o.wrong.unsqueeze(-1).local_response_norm(3, 1e-4, 0.75, 1.0)),
    ("scaled_dot_product_attention", |o| {
        o.wrong.scaled_dot_product_attention(o.wrong, o.wrong, None, Attention::default())
    }),
];

#[test]
fn what_needs_floats_says_so_of_the_operand_that_has_none() {
    let mut bad = Vec::new();
    for dtype in [DType::I32, DType::Bool] {
        for (place, (name, call)) in CALLS.iter().enumerate() {
            let g = Graph::new();
            let operands = Operands { wrong: g.input_of("wrong", [2, 3], dtype), x: g.input("x", [2, 3]) };
            if call(operands).check().is_ok() {
                bad.push(format!("{place} {name} takes {dtype}"));
                continue;
            }
            let error = g.take_error().expect("a mistake").to_string();
            let text = error.split_once(": ").expect("an origin").1;
            let is_named = text.contains("\"wrong\"") && text.contains(&format!("is {dtype}")) && text.contains("cast");
            if !text.starts_with(&format!("{name}: ")) || !is_named {
                bad.push(format!("{place} {name}: {error}"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
