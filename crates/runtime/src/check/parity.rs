//! Parity: the first node of a graph at which two devices part.
//!
//! Every node that the outputs need is an output itself on both devices, so that nothing stays hidden in a fused kernel, and
//! the nodes are compared in insertion order. The first that differs is where a difference begins: all its operands agree.
//!
//! Fusion is not what it would be without the extra outputs. A difference that only a particular fusion makes is found by
//! comparing the outputs alone.

use std::collections::HashSet;
use std::fmt;

use arenagrad_graph::{Expr, Graph, GraphError, Leaf, NodeId, Op, Origin, Shape};

use crate::check::CheckError;
use crate::check::differences::coordinates;
use crate::check::error::require_tolerances;
use crate::check::evaluation::Evaluation;
use crate::device::Device;
use crate::error::Error;
use crate::session::required;
use crate::tensor::Tensor;

/// Runs a graph on two devices and compares every node, with the default settings of [`Parity`].
#[track_caller]
pub fn parity(
    graph: &Graph,
    outputs: &[Expr<'_>],
    values: &[(&str, &Tensor)],
    devices: [&Device; 2],
) -> Result<ParityReport, Error> {
    Parity::new().compare(graph, outputs, values, devices)
}

/// A comparison of two devices, with its settings.
///
/// Two elements agree if `|left - right| <= absolute + relative max(|left|, |right|)`, or if both are NaN, or equal. The
/// defaults are those of `torch.testing.assert_close` for f32: absolute 1e-5, relative 1.3e-6. Integers and truth values
/// must be equal.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a check does nothing until it compares"]
pub struct Parity {
    absolute: f64,
    relative: f64,
    seed: u64,
}

/// The outcome of a comparison. It prints as one line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use = "a check that failed is no error but a report: see `into_result`"]
pub struct ParityReport {
    /// How many nodes were compared.
    pub nodes: usize,
    /// The first node that differs, if one does.
    pub first: Option<Divergence>,
    /// The largest difference among the elements of floats, over all nodes.
    pub largest: f64,
}

/// A node at which two devices part, and its element that differs most.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Divergence {
    /// The node.
    pub node: NodeId,
    /// Its name, or its op and place in the graph.
    pub name: String,
    /// Where in the caller's source it was made.
    pub origin: String,
    /// The shape of its result.
    pub shape: Shape,
    /// The element's place along each axis.
    pub index: Vec<usize>,
    /// The element on the first device.
    pub left: f64,
    /// The element on the second device.
    pub right: f64,
}

impl Parity {
    /// The defaults.
    pub fn new() -> Self {
        Parity { absolute: 1e-5, relative: 1.3e-6, seed: 0 }
    }

    /// With other tolerances, both finite and not below 0.
    pub fn tolerances(self, absolute: f64, relative: f64) -> Self {
        Parity { absolute, relative, ..self }
    }

    /// The seed of parameters that are given no value.
    pub fn seed(self, seed: u64) -> Self {
        Parity { seed, ..self }
    }

    /// Runs what the outputs need on both devices. `values` holds every input that the outputs need, and any parameters.
    ///
    /// Errors: outputs that are stale or of another graph; what either device refuses to run.
    #[track_caller]
    pub fn compare(
        &self,
        graph: &Graph,
        outputs: &[Expr<'_>],
        values: &[(&str, &Tensor)],
        devices: [&Device; 2],
    ) -> Result<ParityReport, Error> {
        require_tolerances(self.absolute, self.relative)?;
        let outputs = required(graph, outputs, "parity", Origin::here())?;
        let ids = outputs.iter().map(|output| output.id()).collect::<Result<Vec<NodeId>, GraphError>>()?;
        let nodes = computed(graph, &ids)?;
        let exprs: Vec<Expr<'_>> = nodes.iter().map(|id| graph.expr(*id)).collect();
        let run = |device: &Device| {
            let (mut evaluation, plan) = Evaluation::new(graph, &exprs, values, device, self.seed)?;
            evaluation.run(plan)
        };
        let (left, right) = (run(devices[0])?, run(devices[1])?);

        let mut report = ParityReport { nodes: nodes.len(), first: None, largest: 0.0 };
        for ((id, expr), (left, right)) in nodes.iter().zip(&exprs).zip(left.iter().zip(&right)) {
            let is_float = left.dtype().is_float();
            let (absolute, relative) = if is_float { (self.absolute, self.relative) } else { (0.0, 0.0) };
            let mut worst: Option<(f64, usize, f64, f64)> = None;
            for (element, (left, right)) in left.to_f64_vec().into_iter().zip(right.to_f64_vec()).enumerate() {
                if left == right || (left.is_nan() && right.is_nan()) {
                    continue;
                }
                let difference = (left - right).abs();
                if is_float && (difference > report.largest || difference.is_nan()) {
                    report.largest = difference;
                }
                let ratio = difference / (absolute + relative * left.abs().max(right.abs()));
                // One of them NaN, or an infinity beside a finite number, is as far apart as can be.
                let ratio = if difference.is_finite() { ratio } else { f64::INFINITY };
                if ratio > worst.map_or(1.0, |(ratio, ..)| ratio) {
                    worst = Some((ratio, element, left, right));
                }
            }
            if let (None, Some((_, element, left_element, right_element))) = (&report.first, worst) {
                let shape = left.shape().clone();
                report.first = Some(Divergence {
                    node: *id,
                    name: format!("{expr:?}"),
                    origin: graph.node(*id)?.origin.to_string(),
                    index: coordinates(&shape, element),
                    shape,
                    left: left_element,
                    right: right_element,
                });
            }
        }
        Ok(report)
    }
}

impl Default for Parity {
    fn default() -> Self {
        Parity::new()
    }
}

impl ParityReport {
    /// Whether every node agrees.
    pub fn agrees(&self) -> bool {
        self.first.is_none()
    }

    /// The report, or the error that names the first node that differs.
    pub fn into_result(self) -> Result<ParityReport, Error> {
        match self.first {
            Some(first) => Err(CheckError::Parity(Box::new(first)).into()),
            None => Ok(self),
        }
    }
}

impl fmt::Display for ParityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.first {
            None => write!(f, "{} nodes agree, largest difference {:.1e}", self.nodes, self.largest),
            Some(first) => write!(f, "of {} nodes the first to differ is {first}", self.nodes),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Divergence { name, origin, shape, index, left, right, .. } = self;
        write!(f, "{name} ({origin}, {shape})")?;
        if !index.is_empty() {
            write!(f, ", element {index:?}")?;
        }
        write!(f, ": {left} on the first device, {right} on the second")
    }
}

/// The nodes that the outputs need and that a device computes, in insertion order: no declarations, and nothing that stands
/// over a placeholder, as the gradients of a function's own do.
pub(super) fn computed(graph: &Graph, outputs: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
    let mut abstract_nodes = HashSet::new();
    let mut nodes = Vec::new();
    for id in graph.needed(outputs)? {
        let op = graph.node(id)?.op;
        let is_abstract = if let Op::CustomGradient { value, .. } = &op {
            abstract_nodes.contains(value)
        } else {
            op == Op::Leaf(Leaf::Placeholder) || op.operands().iter().any(|operand| abstract_nodes.contains(operand))
        };
        if is_abstract {
            abstract_nodes.insert(id);
        } else if !matches!(op, Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. })) {
            nodes.push(id);
        }
    }
    Ok(nodes)
}
