//! What a person would write instead: a normal form over a formula's nodes, and the shortest of the forms equal to it.
//!
//! Nodes are read in insertion order into terms ([`term`]), each kept once: sums with their like terms collected, products
//! with the powers of each base merged, numbers as exact fractions. Then [`choose`] looks for something shorter, [`order`]
//! puts summands and factors as they are usually written, and [`emit`] writes the nodes of the result into an arena of its own.
//!
//! A simplified formula has the value of the original wherever that has one, up to rounding ([`Formula::simplify`] says where it
//! has). It may be defined where the original is not: `x/x` becomes 1; but what has no value anywhere, as `0/0`, makes a formula stand as
//! it is. So nothing is rewritten that holds for some signs of its
//! operands alone: `sqrt(x^2)` becomes `abs(x)`, and `log(x^2)` stays. Three things are looked after besides:
//!
//! * a step selects a whole product, so that its other factors need no value on the step's other side ([`selection`]);
//! * a sum has a value only where all its entries have, which says where their bases are not 0 and finite: a common factor or
//!   denominator comes out where that is known, and not where all entries may be selected away ([`total`]);
//! * in an exponential, below a fraction bar and wherever else an infinity may become a number again (`Terms::exposed`), what
//!   is infinite must stay infinite with the same sign.
//!
//! [`Formula::simplify`]: crate::symbolic::Formula::simplify
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
mod selection;
mod sum;
mod tangents;
mod term;
mod total;

use crate::arena::Graph;
use crate::node::NodeId;
use crate::symbolic::own;
use term::Terms;

/// How many factors and entries may be looked at in the search for shorter forms.
const FUEL: u64 = 4_000_000;

/// A simpler formula with the same value, in a graph of its own. None where the numbers of the formula multiply to more than a
/// float holds, so that nothing shorter could be written.
pub(super) fn simplify(source: &Graph, output: NodeId) -> Option<(Graph, NodeId)> {
    let mut terms = Terms::new(FUEL);
    let term = read::term_of(&mut terms, source, output);
    let graph = own::with_symbols_of(source, 0).ok()?;
    let output = emit::emit(&mut terms, &graph, term)?;
    Some((graph, output))
}
