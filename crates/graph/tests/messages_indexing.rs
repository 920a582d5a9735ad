//! The mistakes of methods that arrange, contract and index: what each says, under the name that the caller wrote, and that nothing of
//! it is left in the graph.

use arenagrad_graph::{DType, Expr, Graph, GraphError, GridOrder, ScatterReduction};

/// What callers have at hand.
struct World<'g> {
    /// f32 `[2, 3]`.
    x: Expr<'g>,
    /// f32 `[3]`.
    v: Expr<'g>,
    /// i32 `[2]`.
    i: Expr<'g>,
    /// i32 `[2, 3]`.
    j: Expr<'g>,
    /// bool `[2, 3]`.
    b: Expr<'g>,
}

type Mistake = for<'g> fn(&World<'g>) -> Expr<'g>;

const MISTAKES: &[(&str, Mistake, &str)] = &[
    ("roll", |w| w.x.roll([1], [2]), "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)"),
    (
        "roll",
        |w| w.x.roll([1, 2], [0]),
        "the number of shifts is 2, but one for each axis, or one where there are no axes, is needed",
    ),
    ("rot90", |w| w.x.rot90(1, [0, -2]), "axis 0 is named twice"),
    ("fliplr", |w| w.v.fliplr(), "\"v\" of shape [3] has rank 1, but rank 2 or more is needed"),
    ("flipud", |w| w.v.sum(..).named("s").flipud(), "\"s\" of shape [] has rank 0, but rank 1 or more is needed"),
    ("movedim", |w| w.x.movedim([0, 0], [0, 1]), "axis 0 is named twice"),
    ("movedim", |w| w.x.movedim([0], [0, 1]), "the number of destinations is 2, but one for each source is needed"),
    ("unflatten", |w| w.x.unflatten(1, [2, 2]), "\"x\" of shape [3] has 3 elements, but [2, 2] has 4"),
    ("flatten_axes", |w| w.x.flatten_axes(1, 0), "the last axis is 0, but one not before the first is needed"),
    ("tile", |w| w.x.tile([usize::MAX, 2]), "shape [18446744073709551615, 6] has too many elements to count"),
    ("repeat_interleave", |w| w.x.repeat_interleave(2, 2), "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)"),
    ("repeat_interleave_counts", |w| w.x.repeat_interleave_counts(&[1], 0), "1 elements were given for shape [2]"),
    ("diagonal", |w| w.x.diagonal(0, 1, 1), "axis 1 is named twice"),
    ("diag_embed", |w| w.x.diag_embed(0, 0, 3), "axis 3 is out of range for \"x\" of shape [2, 3, 3] (rank 3)"),
    (
        "diag_embed",
        |w| w.x.diag_embed(isize::MIN, 0, 1),
        "shape [2, 9223372036854775811, 9223372036854775811] has too many elements to count",
    ),
    ("diag", |w| w.x.unsqueeze(0).named("y").diag(0), "\"y\" of shape [1, 2, 3] has rank 3, but rank 1 or 2 is needed"),
    (
        "diagonal_scatter",
        |w| w.x.diagonal_scatter(w.v, 0, 0, 1),
        "shapes differ: the diagonal of \"x\" is [2], \"v\" is [3]",
    ),
    (
        "select_index",
        |w| w.x.select_index(0, -3),
        "axis 0 of \"x\" has 2 elements, so position -3 is out of range (shape [2, 3])",
    ),
    ("index", |w| w.x.index((.., -5..2)), "axis 1 of \"x\" has 3 elements, so -5..2 is out of range (shape [2, 3])"),
    ("index", |w| w.x.index((.., 2..9)), "axis 1 of \"x\" has 3 elements, so 2..9 is out of range (shape [2, 3])"),
    (
        "index",
        |w| w.x.index((.., .., 0)),
        "\"x\" of shape [2, 3] has rank 2, but rank 3 or more, the number of indices, is needed",
    ),
    ("select_scatter", |w| w.x.select_scatter(w.x, 0, 0), "shapes differ: the slice of \"x\" is [3], \"x\" is [2, 3]"),
    (
        "slice_scatter",
        |w| w.x.slice_scatter(w.v, 0, 0, 1, 1),
        "shapes differ: the slice of \"x\" is [1, 3], \"v\" is [3]",
    ),
    (
        "full_like",
        |w| w.b.full_like(2.0),
        "the number is 2, but \"b\" is bool, which holds 0 and 1 alone; a float would hold it: .cast(DType::F32) makes one",
    ),
    (
        "arange",
        |w| w.x.graph().arange(0.0, 1.0, 0.0, DType::F32),
        "the step is 0, but one that leads from the start to the end is needed",
    ),
    (
        "arange",
        |w| w.x.graph().arange(0.0, 1.0, -1.0, DType::F32),
        "the step is -1, but one that leads from the start to the end is needed",
    ),
    ("arange", |w| w.x.graph().arange(0.0, f64::NAN, 1.0, DType::F32), "the end is NaN, but a finite number is needed"),
    (
        "linspace",
        |w| w.x.graph().linspace(0.0, 1.0, 3, DType::I32),
        "the result is i32, but a dtype of floats is needed",
    ),
    ("hstack", |w| w.x.graph().hstack(&[]), "no operands were given"),
    (
        "vstack",
        |w| w.x.graph().vstack(&[w.x, w.i]),
        "dtypes differ: \"x\" is f32, reshape (node 5) of \"i\" is i32; cast one of them",
    ),
    (
        "tensordot",
        |w| w.x.tensordot(w.v, [0], [0]),
        "extents differ along axis 0: \"x\" is [2, 3], \"v\" is [3] (2 != 3)",
    ),
    ("outer", |w| w.v.outer(w.x), "\"x\" of shape [2, 3] has rank 2, but rank 1 is needed"),
    ("dot", |w| w.v.dot(w.v.slice(0, 0, 2).named("u")), "shapes differ: \"v\" is [3], \"u\" is [2]"),
    ("inner", |w| w.x.inner(w.i), "dtypes differ: \"x\" is f32, \"i\" is i32; cast one of them"),
    ("kron", |w| w.b.kron(w.b), "\"b\" is bool, but a float or i32 is needed (cast it: .cast(DType::F32))"),
    ("cross", |w| w.x.cross(w.x, 0), "axis 0 of \"x\" has 2 elements, so 0..3 is out of range (shape [2, 3])"),
    ("scatter", |w| w.x.scatter(0, w.x, 1.0), "\"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))"),
    ("scatter", |w| w.x.scatter(0, w.i, 1.0), "\"i\" of shape [2] has rank 1, but rank 2 is needed"),
    ("scatter", |w| w.x.scatter(0, w.j, w.v), "shapes differ: \"j\" is [2, 3], \"v\" is [3]"),
    ("scatter", |w| w.v.scatter(0, w.x.graph().literal([1], [-1]), 1.0), "index -1 at position 0 is outside 0..3"),
    (
        "scatter_reduce",
        |w| w.b.scatter_reduce(0, w.j, w.b, ScatterReduction::Mean, true),
        "\"b\" is bool, but a float is needed (cast it: .cast(DType::F32))",
    ),
    (
        "scatter_reduce",
        |w| w.j.scatter_reduce(0, w.j, w.j, ScatterReduction::Mean, true),
        "\"j\" is i32, but a float is needed (cast it: .cast(DType::F32))",
    ),
    (
        "index_add",
        |w| w.x.index_add(0, w.i, w.v, 1.0),
        "shapes differ: the slices of \"x\" at the indices is [2, 3], \"v\" is [3]",
    ),
    ("index_copy", |w| w.x.index_copy(0, w.j, w.x), "\"j\" of shape [2, 3] has rank 2, but rank 0 or 1 is needed"),
    ("index_fill", |w| w.x.index_fill(2, w.i, 1.0), "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)"),
    (
        "index_reduce",
        |w| w.x.index_reduce(0, w.i, w.j, ScatterReduction::Prod, true),
        "dtypes differ: \"x\" is f32, \"j\" is i32; cast one of them",
    ),
    (
        "index_put",
        |w| w.v.index_put(&[Some(w.i), Some(w.i)], 1.0, false),
        "\"v\" of shape [3] has rank 1, but rank 2 or more, the number of indices, is needed",
    ),
    (
        "index_put",
        |w| w.x.index_put(&[Some(w.b)], 1.0, false),
        "\"b\" is bool, but i32, or bool that stands in the graph is needed",
    ),
    (
        "index_put",
        |w| w.v.index_put(&[Some(w.x.graph().literal([2], [0, -4]))], 1.0, false),
        "index -4 at position 1 is outside -3..3",
    ),
    (
        "index_put",
        |w| w.x.index_put(&[Some(w.i), Some(w.x.graph().literal([3], [0, 0, 0]))], 1.0, false),
        "shapes do not broadcast: lhs the indices before is [2], rhs literal (node 5) is [3] (2 != 3)",
    ),
    ("masked_fill", |w| w.x.masked_fill(w.x, 0.0), "\"x\" is f32, but bool is needed"),
    ("take", |w| w.x.take(w.v), "\"v\" is f32, but i32 is needed (cast it: .cast(DType::I32))"),
    ("put", |w| w.x.put(w.i, w.v, false), "\"v\" of shape [3] has 3 elements, but [2] has 2"),
    ("take_along_dim", |w| w.x.take_along_dim(0, w.i), "\"i\" of shape [2] has rank 1, but rank 2 is needed"),
];

fn world(g: &Graph) -> World<'_> {
    World {
        x: g.input("x", [2, 3]),
        v: g.input("v", [3]),
        i: g.input_of("i", [2], DType::I32),
        j: g.input_of("j", [2, 3], DType::I32),
        b: g.input_of("b", [2, 3], DType::Bool),
    }
}

#[test]
fn each_mistake_is_told_by_the_method_that_was_called() {
    for (method, mistake, message) in MISTAKES {
        let g = Graph::new();
        let world = world(&g);
        let refused = mistake(&world);
        let error = g.take_error().unwrap_or_else(|| panic!("{method}: a mistake")).to_string();
        let (origin, text) = error.split_once(": ").expect("an origin");
        assert_eq!(text, format!("{method}: {message}"));
        assert!(origin.contains("messages_indexing.rs"), "{error}");
        assert!(refused.id().is_err(), "{method}");
        // What the caller made on the way stays; the refused method leaves nothing behind it.
        assert!(g.len() <= 8, "{method} left {} nodes", g.len());
    }
}

#[test]
fn methods_of_several_results_return_their_mistakes() {
    type Several = for<'g> fn(&World<'g>) -> Result<Vec<Expr<'g>>, GraphError>;
    let mistakes: &[(Several, &str)] = &[
        (|w| w.x.unbind(2), "unbind: axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)"),
        (|w| w.x.split(0, 0), "split: the size of a part is 0, but at least 1 is needed"),
        (
            |w| w.x.split_sizes([1], -2),
            "split_sizes: the sizes add up to 1, but axis 0 of \"x\" has 2 elements (shape [2, 3])",
        ),
        (
            |w| w.x.split_sizes([1, 3], 1),
            "split_sizes: the sizes add up to 4, but axis 1 of \"x\" has 3 elements (shape [2, 3])",
        ),
        (|w| w.x.chunk(0, 0), "chunk: the number of chunks is 0, but at least 1 is needed"),
        (|w| w.x.tensor_split(0, 0), "tensor_split: the number of sections is 0, but at least 1 is needed"),
        (
            |w| w.x.tensor_split_at([1], -3),
            "tensor_split_at: axis -3 is out of range for \"x\" of shape [2, 3] (rank 2)",
        ),
        (
            |w| w.x.graph().meshgrid(&[w.x], GridOrder::Ij),
            "meshgrid: \"x\" of shape [2, 3] has rank 2, but rank 0 or 1 is needed",
        ),
        (
            |w| w.x.graph().meshgrid(&[w.v, w.i], GridOrder::Ij),
            "meshgrid: dtypes differ: \"v\" is f32, \"i\" is i32; cast one of them",
        ),
        (|w| w.x.graph().meshgrid(&[], GridOrder::Ij), "meshgrid: no operands were given"),
    ];
    for (mistake, message) in mistakes {
        let g = Graph::new();
        let error = mistake(&world(&g)).expect_err(message).to_string();
        assert_eq!(error.split_once(": ").expect("an origin").1, *message);
        assert_eq!((g.check(), g.len()), (Ok(()), 5), "{message}");
    }
}

#[test]
fn equations_that_cannot_be_read_are_told_with_the_column() {
    let problems = [
        ("ij,jk->ik", 4, "the equation has 2 terms, but there are 1 operands"),
        ("ij-k", 3, "an arrow is \"->\""),
        ("ij->i->j", 6, "there is one arrow at most"),
        ("ij->i,j", 6, "there is one result, so no comma may stand behind the arrow"),
        ("i1", 2, "'1' is no label: labels are the letters a to z and A to Z"),
        ("i..j", 2, "an ellipsis is three points"),
        ("...i...", 5, "a term has one ellipsis at most"),
        ("ijk", 1, "3 labels do not fit \"x\" of shape [2, 3] (rank 2)"),
        ("...ijk", 1, "3 labels do not fit \"x\" of shape [2, 3] (rank 2)"),
        ("ii", 2, "label 'i' is 2 before, but 3 along axis 1 of \"x\" of shape [2, 3]"),
        ("ij->ii", 6, "the result repeats label 'i'"),
        ("ij->ik", 6, "no operand has label 'k'"),
    ];
    for (equation, column, problem) in problems {
        let g = Graph::new();
        let x = g.input("x", [2, 3]);
        let _refused = g.einsum(equation, &[x]);
        let error = g.take_error().expect("a mistake").to_string();
        let expected = format!("einsum: column {column} of the equation {equation:?}: {problem}");
        assert_eq!(error.split_once(": ").expect("an origin").1, expected);
        assert_eq!(g.len(), 1);
    }
    let g = Graph::new();
    let (x, y) = (g.input("x", [2, 3]), g.input("y", [4, 5]));
    let _refused = g.einsum("ij,jk", &[x, y]);
    let error = g.take_error().expect("a mistake").to_string();
    assert!(error.ends_with(
        "column 4 of the equation \"ij,jk\": label 'j' is 3 before, but 4 along axis 0 of \"y\" of shape [4, 5]"
    ));
    let _refused = g.einsum("ij,jk", &[x, g.input_of("i", [3, 2], DType::I32)]);
    assert!(
        g.take_error()
            .expect("a mistake")
            .to_string()
            .ends_with("dtypes differ: \"x\" is f32, \"i\" is i32; cast one of them")
    );
    let _refused = g.einsum("", &[]);
    assert!(g.take_error().expect("a mistake").to_string().ends_with("einsum: no operands were given"));
}
