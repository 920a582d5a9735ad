//! What a person would write instead: a normal form over a formula's nodes, and the shortest of the forms equal to it.
//!
//! Nodes are read in insertion order into terms ([`term`]), each kept once: sums with their like terms collected, products
//! with the powers of each base merged, numbers as exact fractions. Then [`choose`] looks for something shorter, [`order`]
//! puts summands and factors as they are usually written, and [`emit`] appends the nodes of the result to the same arena.
//!
//! A simplified formula has the value of the original wherever that is defined and finite, up to rounding. It may be defined
//! where the original is not: `x/x` becomes 1. So nothing is rewritten that holds for some signs of its operands alone:
//! `sqrt(x^2)` becomes `abs(x)`, and `log(x^2)` stays.
//!
//! The work is bounded: reading is linear in the number of nodes up to sorting, except where many large sums or products share
//! their parts; looking for shorter forms takes a fixed amount of work for each node, and a fixed amount in all.

mod call;
mod choose;
mod cost;
mod divide;
mod emit;
mod factor;
mod number;
mod order;
mod product;
mod read;
mod roots;
mod sum;
mod tangents;
mod term;

use crate::arena::Graph;
use crate::node::NodeId;
use term::Terms;

/// How many factors and entries may be looked at in the search for shorter forms.
const FUEL: u64 = 4_000_000;

/// The node of a simpler formula with the same value, appended to the graph. It is the node itself where the numbers of the
/// formula multiply to more than a float holds, so that nothing shorter could be written.
pub(super) fn simplify(graph: &Graph, output: NodeId) -> NodeId {
    let mut terms = Terms::new(FUEL);
    let term = read::term_of(&mut terms, graph, output);
    emit::emit(&mut terms, graph, term).unwrap_or(output)
}
