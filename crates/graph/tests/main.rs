//! The tests of the graph crate in one program, which is quicker to build than one for each file. Those that need a process of
//! their own stand in `Cargo.toml`.

mod arena;
mod compositions;
mod described;
mod differences;
mod errors;
mod evaluate;
mod extremes;
mod formulas;
mod functions;
mod gradients;
mod indexing;
mod inference;
mod initial;
mod large;
mod layers;
mod lender;
mod linear_algebra;
mod listed;
mod messages;
mod messages_attention;
mod messages_convolution;
mod messages_floats;
mod messages_functions;
mod messages_indexing;
mod messages_integers;
mod messages_linear_algebra;
mod messages_loops;
mod messages_order;
mod messages_pooling;
mod messages_views;
mod multi_functions;
mod nn;
mod nn_operators;
mod origins;
mod parametrizations;
mod passes;
mod precision;
mod products;
mod reached;
mod refused;
mod scan;
mod sequences;
mod storage;
mod structure;
mod summary;
mod symbolic;
mod symbolic_parse;
mod symbolic_simplify;
mod symbolic_values;
mod text;
mod told;
mod widen;
mod with_respect_to;
mod with_values;

#[test]
fn every_test_file_is_listed() {
    listed::assert_every_file_is_listed(env!("CARGO_MANIFEST_DIR"));
}
