//! Anomalies: the first node of a graph that makes a NaN or an infinity, and where it was written.
//!
//! A loss that is NaN says nothing of where it became so, for whatever is computed from a NaN is NaN. Here every node that
//! the outputs need is an output itself, and the nodes are looked at in insertion order: the operands of the first that is
//! not finite all are. Nodes of a derivative carry the line of the node that they differentiate, so an anomaly of a backward
//! pass names the line of the forward pass whose derivative it is.
//!
//! An infinity may be meant, as in a mask of -inf: it is reported beside the first NaN. Constants and literals, and views of them, are left
//! out: operators have a NaN there for what is never to be chosen. Where it is chosen all the same, that node is the first. What only a particular fusion makes is not found, for with every node an output nothing is fused.

use std::collections::HashSet;
use std::fmt;

use arenagrad_graph::{Expr, Graph, GraphError, Leaf, NodeId, Op, Origin, Shape};

use crate::check::CheckError;
use crate::check::differences::coordinates;
use crate::check::evaluation::Evaluation;
use crate::check::parity::computed;
use crate::device::Device;
use crate::error::Error;
use crate::session::required;
use crate::tensor::Tensor;

/// Runs what the outputs need on a device and looks at every node. `values` holds every input that the outputs need, and any
/// parameters; others have the first values of seed 0. To look into a backward pass, name gradients among the outputs.
///
/// ```
/// use arenagrad::check::anomaly;
/// use arenagrad::{Device, Graph, Tensor};
///
/// let g = Graph::new();
/// let x = g.input("x", [2]);
/// let loss = x.greater(0.0).where_(x.log(), 0.0).sum(..);
/// let [gradient] = loss.grad([x])?;
/// let x = Tensor::new([2], vec![0.0f32, 1.0])?;
/// let report = anomaly(&g, &[loss, gradient], &[("x", &x)], &Device::cpu())?;
/// assert!(report.nan.is_some_and(|first| first.name.starts_with("div"))); // 0 / 0, with the line of the logarithm
/// # Ok::<(), arenagrad::Error>(())
/// ```
///
/// Errors: outputs that are stale or of another graph; what the device refuses to run.
#[track_caller]
pub fn anomaly(
    graph: &Graph,
    outputs: &[Expr<'_>],
    values: &[(&str, &Tensor)],
    device: &Device,
) -> Result<AnomalyReport, Error> {
    let outputs = required(graph, outputs, "anomaly", Origin::here())?;
    let ids = outputs.iter().map(|output| output.id()).collect::<Result<Vec<NodeId>, GraphError>>()?;
    let search = Search::new(graph, &ids)?;
    let exprs: Vec<Expr<'_>> = search.nodes().map(|id| graph.expr(id)).collect();
    let (mut evaluation, plan) = Evaluation::new(graph, &exprs, values, device, 0)?;
    Ok(search.report(&evaluation.run(plan)?))
}

/// The nodes that a search looks at, and what is said of them when their values are known. It outlives the graph.
pub(crate) struct Search {
    looked_at: Vec<LookedAt>,
}

struct LookedAt {
    node: NodeId,
    name: String,
    origin: String,
    /// A constant or literal, or a view of one.
    is_constant: bool,
}

impl Search {
    /// Everything that these nodes need.
    pub(crate) fn new(graph: &Graph, outputs: &[NodeId]) -> Result<Search, GraphError> {
        // Of inputs and parameters only those that are needed are looked at, as they are given.
        let mut nodes = Vec::new();
        for id in graph.needed(outputs)? {
            if matches!(graph.node(id)?.op, Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. })) {
                nodes.push(id);
            }
        }
        nodes.extend(computed(graph, outputs)?);
        let mut constant = HashSet::new();
        let looked_at = nodes.into_iter().map(|node| {
            let inspected = graph.node(node)?;
            let is_view = matches!(&inspected.op, Op::View { operand, .. } if constant.contains(operand));
            let is_constant = is_view || matches!(inspected.op, Op::Leaf(Leaf::Constant { .. } | Leaf::Literal { .. }));
            if is_constant {
                constant.insert(node);
            }
            let (name, origin) = (format!("{:?}", graph.expr(node)), inspected.origin.to_string());
            Ok(LookedAt { node, name, origin, is_constant })
        });
        Ok(Search { looked_at: looked_at.collect::<Result<_, GraphError>>()? })
    }

    /// The nodes, whose values the report is made of.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.looked_at.iter().map(|looked_at| looked_at.node)
    }

    /// What their values come to, which are in the same order.
    pub(crate) fn report(&self, results: &[Tensor]) -> AnomalyReport {
        let mut report = AnomalyReport { nodes: self.looked_at.len(), nan: None, infinity: None };
        for (LookedAt { node, name, origin, is_constant }, result) in self.looked_at.iter().zip(results) {
            if *is_constant || !result.dtype().is_float() {
                continue;
            }
            let elements = result.to_f64_vec();
            let found = |matches: fn(f64) -> bool| {
                let element = elements.iter().position(|&x| matches(x))?;
                Some(Anomaly {
                    node: *node,
                    name: name.clone(),
                    origin: origin.clone(),
                    shape: result.shape().clone(),
                    index: coordinates(result.shape(), element),
                    value: elements[element],
                })
            };
            report.nan = report.nan.take().or_else(|| found(f64::is_nan));
            report.infinity = report.infinity.take().or_else(|| found(f64::is_infinite));
            if report.nan.is_some() && report.infinity.is_some() {
                break;
            }
        }
        report
    }
}

/// The outcome of a search for what is not finite. It prints as one line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use = "what was found is no error but a report: see `into_result`"]
pub struct AnomalyReport {
    /// How many nodes were computed, constants among them.
    pub nodes: usize,
    /// The first node with a NaN, if one has any, constants and literals left out.
    pub nan: Option<Anomaly>,
    /// The first node with an infinity, if one has any, constants and literals left out.
    pub infinity: Option<Anomaly>,
}

/// A node with an element that is not finite.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Anomaly {
    /// The node. Of a trainer's function it is one of a graph that is gone.
    pub node: NodeId,
    /// Its name, or its op and place in the graph.
    pub name: String,
    /// Where in the caller's source it was made, or what it is the derivative of.
    pub origin: String,
    /// The shape of its result.
    pub shape: Shape,
    /// The place of its first such element along each axis.
    pub index: Vec<usize>,
    /// The element.
    pub value: f64,
}

impl AnomalyReport {
    /// Whether every element of every node is finite, constants and literals left out.
    pub fn is_finite(&self) -> bool {
        self.nan.is_none() && self.infinity.is_none()
    }

    /// The report, or the error that names the first node with a NaN. Infinities are no error: they may be meant.
    pub fn into_result(self) -> Result<AnomalyReport, Error> {
        if self.nan.is_some() { Err(CheckError::Anomaly(Box::new(self)).into()) } else { Ok(self) }
    }
}

impl fmt::Display for AnomalyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.nan, &self.infinity) {
            (None, None) => write!(f, "{} nodes are finite", self.nodes),
            (Some(nan), None) => write!(f, "of {} nodes the first with a NaN is {nan}", self.nodes),
            (None, Some(infinity)) => write!(f, "of {} nodes the first with an infinity is {infinity}", self.nodes),
            (Some(nan), Some(infinity)) => {
                write!(
                    f,
                    "of {} nodes the first with a NaN is {nan}; the first with an infinity is {infinity}",
                    self.nodes
                )
            }
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Anomaly { name, origin, shape, index, value, .. } = self;
        write!(f, "{name} ({origin}, {shape})")?;
        if !index.is_empty() {
            write!(f, ", element {index:?}")?;
        }
        write!(f, ": {value}")
    }
}
