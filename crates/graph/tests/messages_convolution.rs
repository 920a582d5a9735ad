//! Convolutions and sliding blocks, called with something wrong: the message names the method that the caller wrote, the caller's line, and
//! the numbers at odds. Nothing is left of a refused call.

use arenagrad_graph::{Convolution, ConvolutionPadding, ConvolutionTranspose, DType, Expr, Graph, SlidingBlocks};

/// Asserts that the call made that mistake, in this file, and left no node behind.
#[track_caller]
fn says(g: &Graph, call: impl FnOnce() -> Expr<'static>, message: &str) {
    let before = g.ids().len();
    let _ = call();
    let error = g.take_error().expect("a mistake").to_string();
    let (origin, text) = error.split_once(": ").expect("an origin");
    assert_eq!(text, message);
    assert!(origin.contains("messages_convolution.rs:"), "{error}");
    assert_eq!(g.ids().len(), before, "{message}");
}

#[test]
fn convolutions() {
    let g: &'static Graph = Box::leak(Box::new(Graph::new()));
    let (x, w, b) = (g.input("x", [2, 4, 5, 6]), g.input("w", [6, 4, 3, 3]), g.input("b", [5]));
    let plain = Convolution::new();
    says(
        g,
        || x.conv1d(w, None, &Convolution::new()),
        "conv1d: \"x\" of shape [2, 4, 5, 6] has rank 4, but rank 3, or 2 without a batch, is needed",
    );
    says(g, || x.conv2d(b, None, &plain), "conv2d: \"b\" of shape [5] has rank 1, but rank 4 is needed");
    says(
        g,
        || x.conv2d(w, Some(b), &plain),
        "conv2d: bias \"b\" of shape [5] is not of shape [6]: weight \"w\" of shape [6, 4, 3, 3] makes so many channels",
    );
    says(
        g,
        || x.conv2d(w, None, &plain.groups(3)),
        "conv2d: 3 groups do not divide the 4 channels of \"x\" of shape [2, 4, 5, 6]",
    );
    says(
        g,
        || x.conv2d(w, None, &plain.groups(4)),
        "conv2d: 4 groups do not divide the 6 features of \"w\" of shape [6, 4, 3, 3]",
    );
    says(
        g,
        || x.conv2d(w, None, &plain.groups(2)),
        "conv2d: weight \"w\" of shape [6, 4, 3, 3] is for 8 channels (2 groups), but input \"x\" of shape [2, 4, 5, 6] has 4",
    );
    says(
        g,
        || x.conv2d(w, None, &plain.dilation([3, 1])),
        "conv2d: along axis 2 the kernel spans 7 elements (3, each 3 after the one before), but \"x\" of shape [2, 4, 5, 6] has 5 with its padding",
    );
    says(g, || x.conv2d(w, None, &plain.stride([1, 0])), "conv2d: the stride is 0, but at least 1 is needed");
    says(g, || x.conv2d(w, None, &plain.groups(0)), "conv2d: the number of groups is 0, but at least 1 is needed");
    says(
        g,
        || x.conv2d(w, None, &plain.stride(2).padding(ConvolutionPadding::Same)),
        "conv2d: the stride with padding `same` is 2, but 1 is needed",
    );
    let wide = g.input_of("wide", [6, 4, 3, 3], DType::F64);
    says(g, || x.conv2d(wide, None, &plain), "conv2d: dtypes differ: \"x\" is f32, \"wide\" is f64; cast one of them");
    // Numbers whose products have no room.
    says(
        g,
        || x.conv2d(w, None, &plain.dilation(usize::MAX)),
        &format!(
            "conv2d: along axis 2 the kernel spans {0} elements (3, each {0} after the one before), but \"x\" of shape [2, 4, 5, 6] has 5 with its padding",
            usize::MAX
        ),
    );
}

#[test]
fn transposed_convolutions_and_blocks() {
    let g: &'static Graph = Box::leak(Box::new(Graph::new()));
    let (x, w) = (g.input("x", [2, 4, 5, 6]), g.input("w", [4, 2, 3, 3]));
    let plain = ConvolutionTranspose::new();
    says(
        g,
        || x.conv_transpose2d(w, None, &plain.stride(2).output_padding(2)),
        "conv_transpose2d: the output padding along axis 2 is 2, but less than the stride 2 or the dilation 1 is needed",
    );
    says(
        g,
        || x.conv_transpose2d(w, None, &plain.padding([0, 4])),
        "conv_transpose2d: \"x\" of shape [2, 4, 5, 6] would give 0 elements along axis 3, but at least 1 is needed",
    );
    let narrow = g.input("narrow", [2, 2, 5, 6]);
    says(
        g,
        || narrow.conv_transpose2d(w, None, &plain),
        "conv_transpose2d: weight \"w\" of shape [4, 2, 3, 3] is for 4 channels (1 groups), but input \"narrow\" of shape [2, 2, 5, 6] has 2",
    );
    let (row, columns) = (g.input("row", [3]), g.input("columns", [2, 12, 11]));
    says(
        g,
        || row.im2col(&SlidingBlocks::new(2)),
        "im2col: \"row\" of shape [3] has rank 1, but rank 4, or 3 without a batch, is needed",
    );
    says(
        g,
        || columns.col2im([4, 5], &SlidingBlocks::new(2)),
        "col2im: \"columns\" of shape [2, 12, 11] has 11 columns, but 12 are needed for a result of [4, 5]",
    );
    says(
        g,
        || columns.col2im([4, 5], &SlidingBlocks::new([5, 1])),
        "col2im: along axis 0 the kernel spans 5 elements (5, each 1 after the one before), but \"columns\" of shape [4, 5] has 4 with its padding",
    );
    says(g, || row.unfold(0, 4, 1), "unfold: axis 0 of \"row\" has 3 elements, so 0..4 is out of range (shape [3])");
}
