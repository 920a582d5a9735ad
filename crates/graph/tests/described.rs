//! What errors call expressions: by the method, layer or function that the caller wrote, and never by what it ended in.

use arenagrad_graph::nn::{BatchNorm, Dropout, Layer, Linear, Lstm, Phase, Sequential};
use arenagrad_graph::{
    Context, DType, Expr, Function, Gelu, Graph, Interpolation, InterpolationMode, QuantileInterpolation, Reduction,
};

use crate::told::says;

/// What expressions are made of.
#[derive(Clone, Copy)]
struct Of<'g> {
    g: &'g Graph,
    /// f32 of shape [2, 3], and what is computed from it.
    x: Expr<'g>,
    /// f32 of shape [3, 3].
    square: Expr<'g>,
    /// f32 of shape [1, 2, 4, 4].
    image: Expr<'g>,
    /// i32 of shape [2].
    i: Expr<'g>,
}

type Made = for<'g> fn(Of<'g>) -> Expr<'g>;

const METHODS: &[(&str, Made)] = &[
    ("softmax", |of| of.x.softmax(-1)),
    ("log_softmax", |of| of.x.log_softmax(-1)),
    ("logsumexp", |of| of.x.logsumexp(1)),
    ("sum", |of| of.x.sum(1)),
    ("sum", |of| of.x.greater(0.0).sum(1)),
    ("sum_keepdims", |of| of.x.sum_keepdims(1)),
    ("mean", |of| of.x.mean(1)),
    ("var", |of| of.x.var(1, 1.0)),
    ("std", |of| of.x.std(.., 1.0)),
    ("norm", |of| of.x.norm(2.0, ..)),
    ("max", |of| of.x.max(0)),
    ("prod", |of| of.x.prod(..)),
    ("argmax", |of| of.x.argmax(1)),
    ("all", |of| of.x.greater(0.0).all(1)),
    ("cumsum", |of| of.x.cumsum(1)),
    ("cummax", |of| of.x.cummax(1).0),
    ("sort", |of| of.x.sort(1, true).0),
    ("topk", |of| of.x.topk(2, 1, true).0),
    ("topk", |of| of.x.topk(2, 1, true).1),
    ("median", |of| of.x.median(1).0),
    ("median", |of| of.x.median(..).1),
    ("max_with_indices", |of| of.x.max_with_indices(1).0),
    ("aminmax", |of| of.x.aminmax(1).0),
    ("var_mean", |of| of.x.var_mean(1, 1.0).0),
    ("slogdet", |of| of.square.slogdet().0),
    ("qr", |of| of.square.qr().0),
    ("svd", |of| of.square.svd().0),
    ("eigh", |of| of.square.eigh().1),
    ("max_pool2d_with_indices", |of| of.image.max_pool2d_with_indices(2).0),
    ("split_sizes", |of| of.x.split_sizes([1, 2], 1).unwrap()[0]),
    ("unbind", |of| of.x.unbind(0).unwrap()[0]),
    ("quantile", |of| of.x.quantile(0.5, 1, QuantileInterpolation::Linear)),
    ("gelu", |of| of.x.gelu(Gelu::Erf)),
    ("gelu", |of| of.x.gelu(Gelu::Tanh)),
    ("silu", |of| of.x.silu()),
    ("softplus", |of| of.x.softplus(1.0, 20.0)),
    ("sin", |of| of.x.sin()),
    ("square", |of| of.x.square()),
    ("add", |of| of.x + 1.0),
    ("sub", |of| of.x - 1.0),
    ("div", |of| of.x / of.x.exp()),
    ("clamp", |of| of.x.clamp(Some(0.0), Some(1.0))),
    ("cast", |of| of.x.cast(DType::I32)),
    ("matmul", |of| of.square.matmul(of.x.permute([1, 0]))),
    ("einsum", |of| of.g.einsum("ij,kj->ik", &[of.x, of.x])),
    ("inv", |of| of.square.inv()),
    ("det", |of| of.square.det()),
    ("cholesky", |of| of.square.cholesky()),
    ("solve", |of| of.square.solve(of.square)),
    ("interpolate", |of| of.image.interpolate(Interpolation::to_size(7).mode(InterpolationMode::Linear))),
    ("roll", |of| of.x.roll([1], [0])),
    ("one_hot", |of| of.i.one_hot(4)),
    ("index_select", |of| of.x.index_select(0, of.i)),
    ("mse_loss", |of| of.x.mse_loss(of.x + 1.0, Reduction::Mean)),
    ("cross_entropy", |of| of.x.cross_entropy(of.i)),
    ("linspace", |of| of.g.linspace(0.0, 1.0, 5, DType::F32)),
    ("zeros", |of| of.g.zeros([2], DType::F32)),
];

/// What an expression is called, without the number of its node.
fn called(expr: Expr<'_>) -> String {
    let text = format!("{expr:?}");
    let (name, _) = text.split_once(" (node ").unwrap_or_else(|| panic!("{text} is of no node"));
    name.to_owned()
}

#[test]
fn what_a_method_gave_is_called_by_the_method() {
    let g = Graph::new();
    // Nothing here has a name, or views would be told of what has.
    let x = g.input("x", [2, 3]).exp();
    let square = g.input("square", [3, 3]).exp();
    let image = g.input("image", [1, 2, 4, 4]).exp();
    let i = g.input_of("i", [2], DType::I32) + 1.0;
    let of = Of { g: &g, x, square, image, i };
    for (name, make) in METHODS {
        let made = make(of);
        assert_eq!(g.check(), Ok(()), "{name}");
        assert_eq!(called(made), *name);
    }
    assert_eq!(x.split(3, 1).unwrap().len(), 1);
    assert_eq!(called(x), "exp", "what others are made of is called as it was");
}

#[test]
fn errors_name_the_method_whose_result_an_operand_is() {
    let g = Graph::new();
    let (x, four) = (g.input("x", [2, 3]), g.input("four", [4]));
    let softmax = x.softmax(-1);
    let number = g.ordinal(softmax.id().unwrap()).unwrap();
    let _ = softmax + four;
    says(
        &g,
        &format!("add: shapes do not broadcast: lhs softmax (node {number}) is [2, 3], rhs \"four\" is [4] (3 != 4)"),
    );
    let error = x.mean(1).grad([x]).unwrap_err().to_string();
    assert!(error.contains("the output mean (node "), "{error}");
    // What it was named since goes first, and a view says besides what it is a view of.
    assert_eq!(format!("{:?}", softmax.named("weights")), "\"weights\"");
    assert_eq!(format!("{:?}", x.unsqueeze(0)), format!("unsqueeze (node {}) of \"x\"", g.ordinal_bound() - 1));
    let of_method = format!("{:?}", x.sum(1).unsqueeze(0));
    assert!(of_method.contains(") of sum (node "), "{of_method}");
}

#[test]
fn layers_are_called_by_kind_and_name() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let encoder = Linear::new("enc", 3, 4);
    let y = encoder.apply(x);
    let last = |g: &Graph| g.ordinal_bound() - 1;
    assert_eq!(format!("{y:?}"), format!("Linear \"enc\" (node {})", last(&g)));
    assert_eq!(called(y.relu()), "relu");
    let _ = y + g.input("three", [3]);
    let error = g.take_error().unwrap().to_string();
    assert!(error.contains("lhs Linear \"enc\" (node "), "{error}");
    // A layer without parameters has no name, and in evaluation it passes on what it was given.
    let phase = Phase::Training;
    assert_eq!(called(Dropout::new(0.5).forward(x, phase)), "Dropout");
    assert_eq!(format!("{:?}", Dropout::new(0.5).forward(x, Phase::Evaluation)), "\"x\"");
    assert_eq!(called(BatchNorm::new("norm", 3).forward(x, phase)), "BatchNorm \"norm\"");
    let net = Sequential::new("net").then(Linear::new("a", 3, 3)).then(Linear::new("b", 3, 2));
    assert_eq!(called(net.forward(x, phase)), "Sequential \"net\"");
    let sequence = g.input("sequence", [5, 2, 3]);
    assert!(called(Lstm::new("lstm", 3, 4).forward(sequence, phase)).starts_with("Lstm \"lstm\""));
}

#[test]
fn derivatives_are_called_by_their_ops() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    let [gradient] = (x * 0.5).log().sum(..).grad([x]).unwrap();
    assert_eq!(called(gradient), "mul");
}

/// `2 x` with a derivative of its own.
struct Twice;

impl Function for Twice {
    fn name(&self) -> &'static str {
        "twice"
    }

    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0] * 2.0
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream * 2.0)]
    }
}

#[test]
fn functions_are_called_by_their_names() {
    let g = Graph::new();
    assert_eq!(called(g.apply(&Twice, &[g.input("x", [2])])), "twice");
}

#[test]
fn what_takes_the_place_of_a_removed_node_is_not_called_by_its_method() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let mark = g.mark();
    assert_eq!(called(x.sum(1)), "sum");
    g.rewind(mark).unwrap();
    let (first, second) = (x.exp(), x.sin());
    assert_eq!((called(first), called(second)), ("exp".to_owned(), "sin".to_owned()));
    // A method that is refused leaves no name either.
    assert!(x.softmax(7).id().is_err());
    g.take_error();
    assert_eq!(called(x.cos()), "cos");
}
