//! A network as a picture: in the DOT language, and laid out as SVG.
//!
//! Independent variables, the others and outputs are told apart by colour and outline. A parameter stands on each arc whose partial
//! derivative depends on it; one that stands on no arc, such as an added constant, stands in the node of its variable.

use std::collections::HashSet;
use std::fmt::Write;

use layout::backends::svg::SVGWriter;
use layout::core::base::Orientation;
use layout::core::color::Color;
use layout::core::geometry::Point;
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;

use super::dag::{Dag, Symbol};

const INDEPENDENT: u32 = 0xcfe8ff;
const INTERMEDIATE: u32 = 0xf4f4f4;
const OUTPUT: u32 = 0xffe2b8;

/// The network in the DOT language, to be drawn by `dot -Tsvg`.
pub fn dot(dag: &Dag) -> String {
    let picture = Picture::new(dag);
    let mut text = String::from("digraph primer {\n  rankdir = LR;\n");
    text += "  node [shape = box, style = \"rounded,filled\", fontname = \"Helvetica\", fontsize = 12];\n";
    text += "  edge [fontname = \"Helvetica\", fontsize = 11, fontcolor = \"#8a3b12\"];\n";
    for (name, node) in dag.variables().iter().zip(&picture.nodes) {
        let outline = if node.output { ", peripheries = 2" } else { "" };
        let label = node.lines.join("\\n");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name} [label = \"{label}\", fillcolor = \"#{:06x}\"{outline}];", node.colour);
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

/// The network laid out as an SVG file's text, from left to right.
pub fn svg(dag: &Dag) -> String {
    const LETTER: f64 = 9.0;
    const LINE: f64 = 20.0;
    let picture = Picture::new(dag);
    let mut graph = VisualGraph::new(Orientation::LeftToRight);
    let handles: Vec<_> = picture
        .nodes
        .iter()
        .map(|node| {
            let longest = node.lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
            let size = Point::new(longest as f64 * LETTER + 24.0, node.lines.len() as f64 * LINE + 20.0);
            let width = if node.output { 3 } else { 1 };
            let fill = Color::new(node.colour << 8 | 0xff);
            let look = StyleAttr::new(Color::fast("black"), width, Some(fill), 8, 15);
            graph.add_node(Element::create(
                ShapeKind::new_box(&node.lines.join("\n")),
                look,
                Orientation::LeftToRight,
                size,
            ))
        })
        .collect();
    for arc in &picture.arcs {
        let mut arrow = Arrow::simple(&arc.label);
        arrow.look = StyleAttr::new(Color::fast("dimgray"), 1, None, 0, 14);
        graph.add_edge(arrow, handles[arc.from], handles[arc.to]);
    }
    let mut writer = SVGWriter::new();
    graph.do_it(false, false, false, &mut writer);
    writer.finalize()
}

/// What both pictures show.
struct Picture {
    nodes: Vec<Node>,
    arcs: Vec<Arc>,
}

struct Node {
    lines: Vec<String>,
    colour: u32,
    output: bool,
}

struct Arc {
    from: usize,
    to: usize,
    /// The names of the parameters on the arc.
    label: String,
}

impl Picture {
    fn new(dag: &Dag) -> Picture {
        let mut nodes: Vec<Node> = dag
            .variables()
            .iter()
            .map(|name| Node { lines: vec![name.clone()], colour: INDEPENDENT, output: false })
            .collect();
        let mut arcs = Vec::new();
        for expression in dag.evaluation_order() {
            let names = expression.formula.symbols();
            let mut placed = HashSet::new();
            for (name, symbol) in names.iter().zip(&expression.symbols) {
                let Symbol::Variable(from) = *symbol else { continue };
                let needed: HashSet<String> = expression.formula.diff(name).symbols().into_iter().collect();
                let on_arc: Vec<&str> = names
                    .iter()
                    .zip(&expression.symbols)
                    .filter(|(name, symbol)| symbol.parameter().is_some() && needed.contains(*name))
                    .map(|(name, _)| name.as_str())
                    .collect();
                placed.extend(on_arc.iter().copied().map(str::to_owned));
                arcs.push(Arc { from, to: expression.variable, label: on_arc.join(", ") });
            }
            let node = &mut nodes[expression.variable];
            node.output = dag.outputs().contains(&expression.variable);
            node.colour = if node.output { OUTPUT } else { INTERMEDIATE };
            let left_over = names.iter().zip(&expression.symbols).filter(|(_, symbol)| symbol.parameter().is_some());
            let left_over: Vec<&str> =
                left_over.map(|(name, _)| name.as_str()).filter(|name| !placed.contains(*name)).collect();
            if !left_over.is_empty() {
                node.lines.push(format!("+ {}", left_over.join(", ")));
            }
        }
        Picture { nodes, arcs }
    }
}
