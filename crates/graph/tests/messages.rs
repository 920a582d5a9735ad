//! Every public method, called with something wrong: the message names the method that the caller wrote, the caller's line,
//! and what to do.

use arenagrad_graph::nn::{BatchNorm, Embedding, GroupNorm, InstanceNorm, LayerNorm, Phase, RmsNorm};
use arenagrad_graph::{
    Assembly, CrossEntropy, DType, Expr, Graph, GraphError, Init, Leaf, Op, Origin, Reduction, Shape,
};

use crate::told::says;

const WHOLE: &str =
    "whole numbers in -2147483648..=2147483647 alone; a float would hold it: .cast(DType::F32) makes one";
const TRUTH: &str = "0 and 1 alone; a float would hold it: .cast(DType::F32) makes one";

#[test]
fn numbers_that_a_dtype_does_not_hold() {
    let g = Graph::new();
    let (i, b) = (g.input_of("i", [2], DType::I32), g.input_of("b", [2], DType::Bool));
    let _ = b * 2.0;
    says(&g, &format!("mul: the number is 2, but \"b\" is bool, which holds {TRUTH}"));
    let _ = 2.0 * b;
    says(&g, &format!("mul: the number is 2, but \"b\" is bool, which holds {TRUTH}"));
    let _ = i.less(0.5);
    says(&g, &format!("less: the number is 0.5, but \"i\" is i32, which holds {WHOLE}"));
    let _ = b.where_(i, f64::INFINITY);
    says(&g, &format!("where: the number is inf, but \"i\" is i32, which holds {WHOLE}"));
    let _ = i.pad([(1, 1)], 2.5);
    says(&g, &format!("pad: the value is 2.5, but \"i\" is i32, which holds {WHOLE}"));
    let _ = i.pad([(1, 1)], f64::NAN);
    says(&g, &format!("pad: the value is NaN, but \"i\" is i32, which holds {WHOLE}"));
    let _ = b.pad([(1, 1)], 2.0);
    says(&g, &format!("pad: the value is 2, but \"b\" is bool, which holds {TRUTH}"));
    let _ = i.clamp(Some(0.5), None);
    says(&g, &format!("clamp: the number is 0.5, but \"i\" is i32, which holds {WHOLE}"));
    let _ = i.leaky_relu(0.1);
    says(&g, &format!("leaky_relu: the number is 0.1, but \"i\" is i32, which holds {WHOLE}"));
    for value in [2.5, f64::NAN, f64::NEG_INFINITY, 2147483648.0] {
        let _ = g.full([2], value, DType::I32);
        says(&g, &format!("full: the value is {value}, but the result is i32, which holds {WHOLE}"));
    }
    let _ = g.full([2], 0.5, DType::Bool);
    says(&g, &format!("full: the value is 0.5, but the result is bool, which holds {TRUTH}"));
    for (value, expected) in
        [(2.5, "a 32-bit integer"), (f64::NAN, "a 32-bit integer"), (2147483648.0, "a 32-bit integer")]
    {
        let _ = g.parameter_of("p", [2], DType::I32, Init::Constant(value));
        says(&g, &format!("parameter \"p\": the initial value is {value:?}, but {expected} is needed"));
        let _ = g.state("s", [2], DType::I32, Init::Values(vec![1.0, value]));
        says(&g, &format!("parameter \"s\": an initial value is {value:?}, but {expected} is needed"));
    }
    let bound = "the upper bound of the initial values is 10000000000.0";
    let _ = g.state("s", [2], DType::I32, Init::Uniform { low: 0.0, high: 1e10 });
    says(&g, &format!("parameter \"s\": {bound}, but a number that i32 holds is needed"));
    let insert = |op: Op, dtype: Option<DType>| g.insert(op, Some(&Shape::from([2])), dtype, Origin::here());
    let refused = insert(Op::Leaf(Leaf::Constant { value: 2.5 }), Some(DType::I32));
    assert!(matches!(refused, Err(GraphError::Number { dtype: DType::I32, .. })), "{refused:?}");
    let (lows, interiors) = ([0].into_iter().collect(), [0].into_iter().collect());
    let refused = insert(Op::Assembly(Assembly::Pad { operand: b.id().unwrap(), lows, interiors, value: 0.5 }), None);
    assert!(matches!(refused, Err(GraphError::Number { dtype: DType::Bool, .. })), "{refused:?}");
    // What a dtype holds is taken.
    let taken = [i.pad([(1, 1)], -7.0), g.full([2], 1.0, DType::Bool), b.pad([(0, 1)], 1.0), i * -3];
    assert!(taken.iter().all(|expr| expr.check().is_ok()));
    assert_eq!(g.check(), Ok(()));
}

#[test]
fn targets_say_what_they_may_be() {
    let g = Graph::new();
    let logits = g.input("logits", [4, 3]);
    let rest = "but logits \"logits\" are [4, 3]: class labels are i32[4] (cast them: .cast(DType::I32)), and class \
                probabilities are [4, 3]";
    let _ = logits.cross_entropy(g.input("labels", [4]));
    says(&g, &format!("cross_entropy: targets \"labels\" are f32[4], {rest}"));
    let _ = logits.cross_entropy_with(g.input_of("doubles", [4, 1], DType::F64), CrossEntropy::default());
    says(&g, &format!("cross_entropy_with: targets \"doubles\" are f64[4, 1], {rest}"));
    let _ = logits.cross_entropy_probabilities(g.input_of("numbers", [4, 3], DType::I32), CrossEntropy::default());
    says(&g, &format!("cross_entropy_probabilities: targets \"numbers\" are i32[4, 3], {rest}"));
    let _ = logits.cross_entropy(g.input_of("truth", [4], DType::Bool));
    says(&g, "cross_entropy: \"truth\" is bool, but i32 is needed");
    let _ = logits.accuracy(g.input("guesses", [4]));
    says(&g, "accuracy: \"guesses\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    // Indices are called as the caller calls them, not by the views that are made of them.
    let _ = logits.index_select(0, g.input("tokens", [2]));
    says(&g, "index_select: \"tokens\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = Embedding::new("table", 4, 3).apply(g.input("floats", [2, 3]));
    says(&g, "Embedding: \"floats\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    // Indices that stand behind views are looked at, too.
    let _ = logits.index_select(0, g.literal([2], [0, 4]));
    says(&g, "index_select: index 4 at position 1 is outside 0..4");
    let _ = logits.gather(1, g.full([4, 1], 3.0, DType::I32));
    says(&g, "gather: index 3 at position 0 is outside 0..3");
}

/// A public method, its name, and a call with something wrong.
type Mistake = (&'static str, for<'g> fn(Wrong<'g>) -> Expr<'g>);

/// Operands that fit nothing: f32[2, 3], f32[5], i32[2, 3], bool[2, 3].
#[derive(Clone, Copy)]
struct Wrong<'g> {
    x: Expr<'g>,
    other: Expr<'g>,
    i: Expr<'g>,
    b: Expr<'g>,
}

#[test]
fn mistakes_are_told_in_the_words_of_the_method_that_was_called() {
    use arenagrad_graph::Gelu;
    let mut mistakes: Vec<Mistake> = Vec::new();
    macro_rules! unary {
        ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {
            let listed: &[Mistake] = &[$((stringify!($method), |w| w.b.$method())),*];
            mistakes.extend(listed);
        };
    }
    arenagrad_graph::unary_methods!(unary);
    macro_rules! binary {
        ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {
            let listed: &[Mistake] = &[$((stringify!($method), |w| w.x.$method(w.other))),*];
            mistakes.extend(listed);
        };
    }
    arenagrad_graph::binary_methods!(binary);
    arenagrad_graph::compare_methods!(binary);
    let written: &[Mistake] = &[
        ("add", |w| w.x + w.other),
        ("sub", |w| w.b - w.b),
        ("mul", |w| w.b * w.b),
        ("div", |w| w.i / w.i),
        ("neg", |w| -w.b),
        ("tan", |w| w.i.tan()),
        ("powf", |w| w.i.powf(0.5)),
        ("powf", |w| w.b.powf(2.0)),
        ("square", |w| w.b.square()),
        ("reciprocal", |w| w.b.reciprocal()),
        ("rsqrt", |w| w.i.rsqrt()),
        ("leaky_relu", |w| w.b.leaky_relu(0.5)),
        ("elu", |w| w.i.elu(1.0)),
        ("silu", |w| w.i.silu()),
        ("gelu", |w| w.i.gelu(Gelu::Erf)),
        ("gelu", |w| w.i.gelu(Gelu::Tanh)),
        ("softplus", |w| w.i.softplus(1.0, 20.0)),
        ("log_sigmoid", |w| w.i.log_sigmoid()),
        ("clamp", |w| w.b.clamp(Some(0.0), None)),
        ("clamp_between", |w| w.x.clamp_between(w.other, 1.0)),
        ("less", |w| w.b.less(w.b)),
        ("equal", |w| w.x.equal(w.i)),
        ("where", |w| w.b.where_(w.x, w.i)),
        ("not", |w| !w.x),
        ("and", |w| w.x & w.x),
        ("or", |w| w.b | w.x),
        ("sum", |w| w.x.sum(2)),
        ("sum_keepdims", |w| w.x.sum_keepdims(-3)),
        ("max", |w| w.x.max([0, 0])),
        ("max_keepdims", |w| w.x.max_keepdims(2)),
        ("min", |w| w.x.min(5)),
        ("min_keepdims", |w| w.x.min_keepdims(5)),
        ("mean", |w| w.x.mean(2)),
        ("mean", |w| w.i.mean(..)),
        ("mean_keepdims", |w| w.i.mean_keepdims(0)),
        ("var", |w| w.x.var(2, 1.0)),
        ("var", |w| w.i.var(.., 1.0)),
        ("var_keepdims", |w| w.b.var_keepdims(0, 1.0)),
        ("std", |w| w.x.std(2, 1.0)),
        ("std", |w| w.i.std(.., 1.0)),
        ("std_keepdims", |w| w.x.std_keepdims([1, -1], 1.0)),
        ("argmax", |w| w.x.argmax(2)),
        ("argmax", |w| w.b.argmax(0)),
        ("norm", |w| w.x.norm(2.0, 2)),
        ("norm", |w| w.i.norm(2.0, ..)),
        ("softmax", |w| w.x.softmax(2)),
        ("log_softmax", |w| w.i.log_softmax(0)),
        ("logsumexp", |w| w.x.logsumexp(2)),
        ("logsumexp", |w| w.i.logsumexp(..)),
        ("logsumexp_keepdims", |w| w.b.logsumexp_keepdims(..)),
        ("layer_norm", |w| w.x.layer_norm(2, None, None, 1e-5)),
        ("layer_norm", |w| w.i.layer_norm(1, None, None, 1e-5)),
        ("layer_norm", |w| w.x.layer_norm(1, Some(w.other), None, 1e-5)),
        ("rms_norm", |w| w.x.rms_norm(2, None, 1e-5)),
        ("rms_norm", |w| w.i.rms_norm(1, None, 1e-5)),
        ("group_norm", |w| w.other.group_norm(1, None, None, 1e-5)),
        ("group_norm", |w| w.i.group_norm(1, None, None, 1e-5)),
        ("batch_statistics", |w| w.other.batch_statistics().0),
        ("batch_statistics", |w| w.i.batch_statistics().1),
        ("batch_norm", |w| w.x.batch_norm((w.other, w.other), None, None, 1e-5)),
        ("reshape", |w| w.x.reshape([7])),
        ("view", |w| w.x.view([-1, 4])),
        ("view", |w| w.x.view([-1, -1])),
        ("view", |w| w.x.view([-2, 3])),
        ("view", |w| w.x.view([-1, 0])),
        ("permute", |w| w.x.permute([0])),
        ("transpose", |w| w.x.transpose(0, 2)),
        ("t", |w| w.other.t()),
        ("broadcast_to", |w| w.x.broadcast_to([3, 3])),
        ("unsqueeze", |w| w.x.unsqueeze(4)),
        ("squeeze", |w| w.x.squeeze(4)),
        ("slice", |w| w.x.slice(0, 1, 9)),
        ("slice_step", |w| w.x.slice_step(0, 1, 9, 2)),
        ("select_index", |w| w.x.select_index(0, 9)),
        ("pad", |w| w.x.pad([(1, 1)], 0.0)),
        ("concat", |w| w.x.graph().concat(&[w.x, w.i], 0)),
        ("stack", |w| w.x.graph().stack(&[w.x, w.other], 0)),
        ("stack", |w| w.x.graph().stack(&[w.x, w.x], 9)),
        ("matmul", |w| w.x.matmul(w.x)),
        ("matmul_with", |w| w.x.matmul_with(w.x, false, false)),
        ("linear", |w| w.x.linear(w.x, None)),
        ("linear", |w| w.x.linear(w.x.t(), Some(w.other))),
        ("gather", |w| w.x.gather(0, w.x)),
        ("gather", |w| w.x.gather(2, w.i)),
        ("scatter_add", |w| w.x.scatter_add(0, w.i, w.other)),
        ("scatter_add", |w| w.b.scatter_add(2, w.i, w.b)),
        ("index_select", |w| w.x.index_select(2, w.i)),
        ("index_select", |w| w.x.index_select(0, w.other)),
        ("tril", |w| w.other.tril(0)),
        ("triu", |w| w.other.triu(0)),
        ("one_hot", |w| w.x.one_hot(3)),
        ("accuracy", |w| w.x.accuracy(w.i)),
        ("cross_entropy", |w| w.i.cross_entropy(w.i)),
        ("cross_entropy", |w| w.x.cross_entropy(w.i)),
        ("nll_loss", |w| w.x.nll_loss(w.other)),
        ("mse_loss", |w| w.x.mse_loss(w.other, Reduction::Mean)),
        ("mse_loss", |w| w.x.mse_loss(w.i, Reduction::Mean)),
        ("mse_loss", |w| w.i.mse_loss(w.i, Reduction::Mean)),
        ("l1_loss", |w| w.b.l1_loss(w.b, Reduction::Sum)),
        ("huber_loss", |w| w.x.huber_loss(w.i, 1.0, Reduction::Sum)),
        ("smooth_l1_loss", |w| w.x.smooth_l1_loss(w.other, 1.0, Reduction::Sum)),
        ("binary_cross_entropy", |w| w.i.binary_cross_entropy(w.i, Reduction::Sum)),
        ("binary_cross_entropy_with_logits", |w| w.x.binary_cross_entropy_with_logits(w.i, Reduction::Sum)),
        ("kl_div", |w| w.i.kl_div(w.i, false, Reduction::Sum)),
        ("kl_div", |w| w.x.kl_div(w.other, true, Reduction::Sum)),
        ("dropout", |w| w.i.dropout(0.5, w.x.graph().step(), 1)),
        ("dropout", |w| w.x.dropout(0.5, w.other, 1)),
        ("dropout_in", |w| w.x.dropout_in(Phase::Training, 1.5)),
        ("dropout_in", |w| w.x.dropout_in(Phase::Evaluation, f64::NAN)),
        ("normal", |w| w.x.graph().normal([3], w.other, 1)),
        ("bernoulli", |w| w.x.graph().bernoulli([3], 0.5, w.other, 1)),
        ("uniform", |w| w.x.graph().uniform([3], w.other, 1)),
        ("iota", |w| w.x.graph().iota([3], 2)),
        ("literal", |w| w.x.graph().literal([3], [1, 2])),
        ("zeros", |w| w.x.graph().zeros(vec![1; 17], DType::F32)),
        ("ones", |w| w.x.graph().ones([usize::MAX, 2], DType::F32)),
        ("input", |w| w.x.graph().input("huge", [usize::MAX, 2])),
    ];
    mistakes.extend(written);
    for (name, mistake) in mistakes {
        let g = Graph::new();
        let wrong = Wrong {
            x: g.input("x", [2, 3]),
            other: g.input("other", [5]),
            i: g.input_of("i", [2, 3], DType::I32),
            b: g.input_of("b", [2, 3], DType::Bool),
        };
        let result = mistake(wrong);
        assert!(result.check().is_err(), "{name} was taken");
        let error = g.take_error().expect("a mistake").to_string();
        let (origin, text) = error.split_once(": ").expect("an origin");
        assert!(text.starts_with(&format!("{name}: ")), "{name} is told as {error}");
        assert!(origin.contains("messages.rs:"), "{error}");
        // The next mistake is not told in the words of this one.
        let _ = wrong.x.exp() + wrong.other;
        assert!(g.take_error().expect("a mistake").to_string().contains(": add: "));
    }
}

#[test]
fn numbers_that_no_norm_can_have() {
    let g = Graph::new();
    let x = g.input("x", [4, 6, 5]);
    for eps in [f64::NEG_INFINITY, f64::NAN, f64::INFINITY] {
        let refused = |op: &str| format!("{op}: eps is {eps}, but a finite number is needed");
        let _ = x.layer_norm([-1], None, None, eps);
        says(&g, &refused("layer_norm"));
        let _ = x.rms_norm([-1], None, eps);
        says(&g, &refused("rms_norm"));
        let _ = x.group_norm(2, None, None, eps);
        says(&g, &refused("group_norm"));
        let statistics = x.batch_statistics();
        let _ = x.batch_norm(statistics, None, None, eps);
        says(&g, &refused("batch_norm"));
        let _ = LayerNorm::new("a", [5]).eps(eps).apply(x);
        says(&g, &refused("LayerNorm"));
        let _ = RmsNorm::new("b", [5]).eps(eps).apply(x);
        says(&g, &refused("RmsNorm"));
        let _ = GroupNorm::new("c", 2, 6).eps(eps).apply(x);
        says(&g, &refused("GroupNorm"));
        let _ = BatchNorm::new("d", 6).eps(eps).apply(x, Phase::Training);
        says(&g, &refused("BatchNorm"));
        let _ = InstanceNorm::<1>::new("e", 6).running_statistics().eps(eps).apply(x, Phase::Training);
        says(&g, &refused("InstanceNorm1d"));
    }
    for momentum in [f64::INFINITY, f64::NAN] {
        let refused = |op: &str| format!("{op}: the momentum is {momentum}, but a finite number is needed");
        let _ = BatchNorm::new("d", 6).momentum(momentum).apply(x, Phase::Training);
        says(&g, &refused("BatchNorm"));
        let _ = InstanceNorm::<1>::new("e", 6).running_statistics().momentum(momentum).apply(x, Phase::Training);
        says(&g, &refused("InstanceNorm1d"));
    }
    // Nothing is left of them, and what PyTorch takes is allowed.
    assert!(g.updates().is_empty() && g.layers().is_empty());
    let batch_norm = BatchNorm::new("d", 6).eps(0.0).momentum(-1.5);
    let _ = (LayerNorm::new("a", [5]).eps(-0.5).apply(x), batch_norm.apply(x, Phase::Training));
    assert!(g.take_error().is_none());
}
