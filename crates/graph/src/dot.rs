//! Graphviz: a graph in the DOT language, to be drawn by `dot -Tsvg`.

use std::collections::HashSet;
use std::fmt;

use crate::arena::Graph;
use crate::display::attributes;
use crate::expr::Expr;
use crate::node::{Node, NodeId};
use crate::op::{Leaf, Op};

/// A graph, or the part of one that some outputs need, in the DOT language: `format!("{}", Dot::new(&graph))`.
///
/// Inputs, parameters, constants and outputs are told apart by colour; an arrow runs from each operand to its user, with
/// the operand's position where an op has several.
#[derive(Clone)]
#[must_use = "a drawing is only text once it is printed"]
pub struct Dot<'g> {
    graph: &'g Graph,
    outputs: Option<Vec<NodeId>>,
}

impl<'g> Dot<'g> {
    /// The whole graph.
    pub fn new(graph: &'g Graph) -> Self {
        Dot { graph, outputs: None }
    }

    /// The nodes that `outputs` need; what is poisoned, stale or of another graph among the outputs is left out, also if it became
    /// stale only before the text is made.
    pub fn of(graph: &'g Graph, outputs: &[Expr<'g>]) -> Self {
        let outputs = outputs.iter().filter_map(|output| output.raw()).collect();
        Dot { graph, outputs: Some(outputs) }
    }
}

impl fmt::Display for Dot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An error of formatting would be a panic in `to_string`; what is alive has no other.
        let alive = self.outputs.as_ref().map(|outputs| self.graph.alive_of(outputs));
        let nodes = match &alive {
            Some(outputs) => self.graph.needed(outputs).unwrap_or_default(),
            None => self.graph.ids(),
        };
        let outputs: HashSet<NodeId> = alive.into_iter().flatten().collect();
        let arena = self.graph.arena();
        let ordinal = |id: &NodeId| arena.nodes[id.key].ordinal as usize;
        let mut positions = vec![0; self.graph.ordinal_bound()];
        nodes.iter().enumerate().for_each(|(position, id)| positions[ordinal(id)] = position);
        writeln!(f, "digraph arenagrad {{")?;
        writeln!(f, "  rankdir = TB;")?;
        writeln!(f, "  node [shape = box, style = \"rounded,filled\", fontname = \"Helvetica\", fontsize = 10];")?;
        writeln!(f, "  edge [fontname = \"Helvetica\", fontsize = 8];")?;
        for (position, id) in nodes.iter().enumerate() {
            let node = &arena.nodes[id.key];
            let mut lines = Vec::new();
            lines.extend(arena.label(id.key).map(str::to_owned));
            lines.push(operation(node));
            lines.push(format!("{}{}", node.dtype, node.shape));
            let label: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
            let outline = if outputs.contains(id) { ", penwidth = 2.5" } else { "" };
            writeln!(
                f,
                "  n{position} [label = \"{}\", fillcolor = \"{}\"{outline}];",
                label.join("\\n"),
                colour(node)
            )?;
        }
        for (position, id) in nodes.iter().enumerate() {
            let operands = arena.nodes[id.key].op.operands();
            for (place, operand) in operands.iter().enumerate() {
                write!(f, "  n{} -> n{position}", positions[ordinal(operand)])?;
                if operands.len() > 1 {
                    write!(f, " [label = \"{place}\"]")?;
                }
                writeln!(f, ";")?;
            }
        }
        writeln!(f, "}}")
    }
}

/// The op and its attributes.
fn operation(node: &Node) -> String {
    let attributes = attributes(&node.op);
    if attributes.is_empty() {
        return node.op.name().to_owned();
    }
    format!("{}({})", node.op.name(), attributes.join(", "))
}

fn colour(node: &Node) -> &'static str {
    match node.op {
        Op::Leaf(Leaf::Input { .. }) => "#cfe8ff",
        Op::Leaf(Leaf::Parameter { .. }) => "#d9f2d0",
        Op::Leaf(_) | Op::Uniform { .. } => "#eeeeee",
        Op::View { .. } | Op::StopGradient { .. } | Op::CustomGradient { .. } => "#fff7d6",
        Op::Elementwise(_)
        | Op::AllReduce { .. }
        | Op::Assembly(_)
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::MatMul { .. }
        | Op::Attention(_)
        | Op::Convolution { .. }
        | Op::Indexing(_)
        | Op::Scan { .. }
        | Op::LinearAlgebra { .. }
        | Op::Ordered(_) => "#ffffff",
    }
}

/// Text as it stands between quotes in DOT, where a backslash would start an escape of its own.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ")
}
