//! Differentiation: transforms that append nodes to the same graph.

mod reverse;
