//! What a picture of a network shows, and the network in the DOT language.
//!
//! Independent variables, the others and outputs are told apart by colour and outline, and a node shows the right side of its
//! expression. A parameter stands on each arc whose partial derivative depends on it.

use std::collections::HashSet;
use std::fmt::Write;

use super::dag::{Dag, Symbol};

/// The network in the DOT language, to be drawn by `dot -Tsvg`.
pub fn dot(dag: &Dag) -> String {
    let picture = Picture::new(dag);
    let mut text = String::from("digraph primer {\n  rankdir = LR;\n");
    text += "  node [shape = box, style = \"rounded,filled\", fontname = \"Helvetica\", fontsize = 12];\n";
    text += "  edge [fontname = \"Helvetica\", fontsize = 11, fontcolor = \"#8a3b12\"];\n";
    for (name, node) in dag.variables().iter().zip(&picture.nodes) {
        let outline = if node.output { ", penwidth = 2.5" } else { "" };
        let lines: Vec<String> = node.lines.iter().map(|line| escaped(line)).collect();
        let label = lines.join("\\n");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name} [label = \"{label}\", fillcolor = \"{}\"{outline}];", node.colour);
    }
    for arc in &picture.arcs {
        let (from, to) = (&dag.variables()[arc.from], &dag.variables()[arc.to]);
        let _ = match arc.label.as_str() {
            "" => writeln!(text, "  {from} -> {to};"),
            label => writeln!(text, "  {from} -> {to} [label = \"{label}\"];"),
        };
    }
    text + "}\n"
}

/// The nodes and arcs of a network as pictures show them.
pub(super) struct Picture {
    /// By the number of the variable.
    pub(super) nodes: Vec<Node>,
    /// Grouped by the variable that they lead to, in topological order.
    pub(super) arcs: Vec<Arc>,
}

/// A variable in a picture.
pub(super) struct Node {
    /// The name, and the right side of its expression if it has one.
    pub(super) lines: Vec<String>,
    /// The colour that its box is filled with.
    pub(super) colour: &'static str,
    /// Whether the box has a bold outline.
    pub(super) output: bool,
}

/// An arc in a picture.
pub(super) struct Arc {
    /// The variable that it leaves.
    pub(super) from: usize,
    /// The variable that it leads to.
    pub(super) to: usize,
    /// The names of the parameters on it.
    pub(super) label: String,
}

impl Picture {
    pub(super) fn new(dag: &Dag) -> Picture {
        let independent = |name: &String| Node { lines: vec![name.clone()], colour: "#cfe8ff", output: false };
        let mut nodes: Vec<Node> = dag.variables().iter().map(independent).collect();
        let mut arcs = Vec::new();
        for expression in dag.evaluation_order() {
            let names = expression.formula.symbols();
            let parameters: Vec<&String> = names
                .iter()
                .zip(&expression.symbols)
                .filter(|(_, of)| of.parameter().is_some())
                .map(|(n, _)| n)
                .collect();
            for (name, symbol) in names.iter().zip(&expression.symbols) {
                let Symbol::Variable(from) = *symbol else { continue };
                let needed: HashSet<String> = expression.formula.diff(name).symbols().into_iter().collect();
                let on_arc = parameters.iter().filter(|parameter| needed.contains(**parameter));
                let on_arc: Vec<&str> = on_arc.map(|parameter| parameter.as_str()).collect();
                arcs.push(Arc { from, to: expression.variable, label: on_arc.join(", ") });
            }
            let node = &mut nodes[expression.variable];
            node.lines.push(right_side(&expression.text));
            node.output = dag.outputs().contains(&expression.variable);
            node.colour = if node.output { "#ffe2b8" } else { "#f4f4f4" };
        }
        Picture { nodes, arcs }
    }
}

/// What stands right of the equals sign, shortened where it is long.
fn right_side(expression: &str) -> String {
    const LONGEST: usize = 40;
    let right = expression.split_once('=').map_or(expression, |(_, right)| right).trim();
    match right.char_indices().nth(LONGEST) {
        None => right.to_owned(),
        Some((end, _)) => format!("{}…", &right[..end]),
    }
}

/// Text as it stands between quotes in DOT, where a backslash would start an escape of its own.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
