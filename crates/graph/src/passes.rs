//! Passes: a graph and the outputs wanted from it, rewritten into a smaller graph that computes the same.
//!
//! | pass | what goes |
//! |---|---|
//! | [`dce()`] | nodes that no output needs |
//! | [`cse()`] | nodes that compute what an earlier one computes |
//! | [`simplify()`] | operations that are the identity, or whose result is known: see [`mod@simplify`] |
//! | [`optimise`] | all three, what only derivatives heed (`stop_gradient`, and gradients of a function's own), and products that others can be part of |
//! | [`mixed_precision`] | what no output needs, and bits: operands of products are rounded to 16 bits, and what waits for the backward pass |
//! | [`widen()`] | what no output needs, and f32: every such tensor is held in f64 |
//!
//! Each builds a fresh [`Graph`] in one sweep over the nodes in insertion order, without recursion. Declarations keep
//! their numbers and names, and their nodes stay even if no output needs them; index bounds, labels and origins come along.
//! The old graph is left as it was.
//!
//! Products that are joined: a sum of matrix products is one longer product, and products that share an operand and whose other
//! operands are parts of one tensor are parts of one product; where nothing is copied, or less than that saves. Only the order in which a
//! product's sums are added up is another then.
//!
//! Results are the same up to rounding and the sign of zero; each module says where even the last bit may differ.

mod convolution;
pub(crate) mod cse;
mod dce;
mod loops;
mod narrow;
pub mod precision;
mod products;
mod rebuild;
pub mod simplify;
mod sweep;
mod widen;

use crate::arena::Graph;
use crate::error::GraphError;
use crate::node::NodeId;
use loops::Loops;
pub use precision::{MixedPrecision, mixed_precision};
use products::Joins;
use rebuild::Rewrites;
use sweep::{sweep, sweep_with};

/// How often loops are taken apart that came out of loops.
const MOST_ROUNDS: usize = 2;

/// What convolutions become: which of equal forms is the faster depends on what the graph is run by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConvolutionForms {
    /// What those become that are depthwise.
    pub depthwise: Depthwise,
    /// How the channels of an input stand that is copied, which one that is padded is.
    pub channels: ChannelOrder,
}

/// What a depthwise convolution becomes, each of whose features is a sum over windows of a single channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Depthwise {
    /// A sum of elementwise products, term by term where it has few.
    #[default]
    Sums,
    /// A matrix product with a single row.
    Products,
}

/// How the channels stand of what a convolution reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChannelOrder {
    /// An image a channel.
    #[default]
    Apart,
    /// Four channels of an element side by side, where four divide them: what reads a vector as fast as an element reads four depths of the product at once.
    Fours,
}

impl ConvolutionForms {
    /// These.
    pub const fn new(depthwise: Depthwise, channels: ChannelOrder) -> Self {
        ConvolutionForms { depthwise, channels }
    }
}

/// A rewritten graph.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "passes leave the graph as it is and return another"]
pub struct Optimised {
    /// The graph. Its ordinals have no gaps.
    pub graph: Graph,
    /// The outputs in it, in the order in which they were asked for.
    pub outputs: Vec<NodeId>,
    /// For each node of the graph, by its ordinal, the ordinal in the graph that it was made of of the node that it was first built for. By
    /// it, what belongs to places in that graph, such as layers ([`Graph::layers`]), is found again.
    pub sources: Vec<u32>,
}

impl Optimised {
    /// This, made of what another pass made: its sources are those of the first graph.
    pub fn after(mut self, first: &[u32]) -> Optimised {
        self.sources.iter_mut().for_each(|source| *source = first[*source as usize]);
        self
    }
}

/// Refuses a graph that holds a mistake, and outputs that are stale or of another graph, for a pass of that name.
#[track_caller]
fn require(graph: &Graph, outputs: &[NodeId], pass: &'static str) -> Result<(), GraphError> {
    graph.check()?;
    graph.require_nodes(outputs, pass)
}

/// Simplification, sharing of equal nodes and removal of dead ones, for a graph that is to be run: what only derivatives
/// heed is taken out, so they must be built before.
///
/// Errors: the graph holds a mistake; an output is stale or of another graph.
#[track_caller]
pub fn optimise(graph: &Graph, outputs: &[NodeId]) -> Result<Optimised, GraphError> {
    optimise_with(graph, outputs, ConvolutionForms::default())
}

/// [`optimise`], where convolutions become what `convolutions` says.
#[track_caller]
pub fn optimise_with(
    graph: &Graph,
    outputs: &[NodeId],
    convolutions: ConvolutionForms,
) -> Result<Optimised, GraphError> {
    require(graph, outputs, "optimise")?;
    let rewrites = Rewrites { share: true, keep_derivatives: false, convolutions, ..Rewrites::simplifying() };
    let mut optimised = sweep(graph, outputs, rewrites)?;
    // What is taken out of a loop may hold loops itself.
    let mut rounds = 0;
    while let Some(loops) = Loops::find(&optimised).filter(|_| rounds < MOST_ROUNDS) {
        let apart = Rewrites { simplify: None, ..rewrites };
        let split =
            sweep_with(&optimised.graph, &optimised.outputs, apart, None, Some(loops))?.after(&optimised.sources);
        optimised = sweep(&split.graph, &split.outputs, rewrites)?.after(&split.sources);
        rounds += 1;
    }
    let Some(joins) = Joins::find(&optimised) else { return Ok(optimised) };
    let joined = sweep_with(&optimised.graph, &optimised.outputs, rewrites, Some(joins), None)?;
    Ok(joined.after(&optimised.sources))
}

/// Operations that are the identity, or whose result is known, are replaced: see [`mod@simplify`]. Errors as [`optimise`].
#[track_caller]
pub fn simplify(graph: &Graph, outputs: &[NodeId]) -> Result<Optimised, GraphError> {
    require(graph, outputs, "simplify")?;
    sweep(graph, outputs, Rewrites::simplifying())
}

/// Common subexpressions: of nodes with the same op, operands, shape and dtype only the first stays. The operands of an
/// addition, product, conjunction, disjunction or (in)equality may be exchanged, which changes no bit. Random draws of the
/// same seed, step and shape are the same draw. Errors as [`optimise`].
#[track_caller]
pub fn cse(graph: &Graph, outputs: &[NodeId]) -> Result<Optimised, GraphError> {
    require(graph, outputs, "cse")?;
    sweep(graph, outputs, Rewrites { share: true, ..Rewrites::none() })
}

/// Dead code: only what the outputs need stays, and the declarations. Errors as [`optimise`].
#[track_caller]
pub fn dce(graph: &Graph, outputs: &[NodeId]) -> Result<Optimised, GraphError> {
    require(graph, outputs, "dce")?;
    sweep(graph, outputs, Rewrites::none())
}

/// The same graph with every f32 tensor held in f64, declarations included: what a check against finite differences runs,
/// and what a fit of parameters to full precision needs. Names and other dtypes stay. Constants and literals keep their
/// values, and random draws are those of f32. What only derivatives heed is kept, so they can be built afterwards.
/// Errors as [`optimise`].
///
/// ```
/// use arenagrad_graph::{DType, Graph, passes};
///
/// let g = Graph::new();
/// let y = g.input("x", [3]).exp();
/// let wide = passes::widen(&g, &[y.id()?])?;
/// assert_eq!(wide.graph.node(wide.outputs[0])?.dtype, DType::F64);
/// assert_eq!(wide.graph.declarations()[0].dtype, DType::F64);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[track_caller]
pub fn widen(graph: &Graph, outputs: &[NodeId]) -> Result<Optimised, GraphError> {
    require(graph, outputs, "widen")?;
    sweep(graph, outputs, Rewrites { widen: true, ..Rewrites::none() })
}
