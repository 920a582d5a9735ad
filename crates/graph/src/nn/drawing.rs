//! A network as a drawing: which boxes and arrows it has, and the text of the SVG.
//!
//! A box is a layer, an input, or some operations between layers that run into one another. Operations are put together if there
//! are as many layers on the longest way to them, so that no arrow leads back. Where boxes stand is settled by `layout`.

mod layout;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use crate::arena::Graph;
use crate::error::GraphError;
use crate::layers::AppliedLayer;
use crate::nn::summary::{SummaryParameter, grouped};
use crate::node::NodeId;
use crate::op::{Leaf, Op, OpKind};
use layout::{Layout, Placed};

/// What a drawing is made of, to any depth.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    layers: Vec<DrawnLayer>,
    nodes: Vec<DrawnNode>,
}

#[derive(Clone, Debug)]
struct DrawnLayer {
    name: String,
    kind: String,
    depth: usize,
    /// The place of the layer that it is part of.
    outer: Option<usize>,
    has_parts: bool,
    extents: String,
    /// The trained numbers that it declares itself.
    trainable: usize,
}

/// A node that the outputs need.
#[derive(Clone, Debug)]
struct DrawnNode {
    what: What,
    /// The innermost layer that it belongs to.
    layer: Option<usize>,
    /// The places of its operands among the nodes.
    operands: Vec<usize>,
    extents: String,
}

#[derive(Clone, Debug)]
enum What {
    Input(String),
    Operation(OpKind),
    /// A parameter, or a number that stands in the graph: no data flows from it.
    Fixed,
}

/// A box.
#[derive(Clone, Debug)]
struct Unit {
    lines: Vec<String>,
    look: Look,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Look {
    Input,
    Trained,
    Plain,
    Between,
}

/// Where a node is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Layer(usize),
    /// Operations between layers, by the node that stands for all that they are put together with.
    Between(usize),
    Input(usize),
    Nowhere,
}

const LINE_HEIGHT: f64 = 16.0;
const CHARACTER_WIDTH: f64 = 7.0;
const MARGIN: f64 = 20.0;

impl Drawing {
    /// What the outputs need of a graph, with the layers that were applied.
    pub(super) fn of(
        graph: &Graph,
        outputs: &[NodeId],
        applied: &[AppliedLayer],
        parameters: &[SummaryParameter],
    ) -> Result<Drawing, GraphError> {
        let innermost = super::summary::innermost(graph.ordinal_bound(), applied);
        let declarations = graph.declarations();
        let (mut places, mut nodes) = (HashMap::new(), Vec::new());
        for id in graph.needed(outputs)? {
            let node = graph.node(id)?;
            places.insert(id, nodes.len());
            let what = if let Op::Leaf(Leaf::Input { declaration }) = &node.op {
                What::Input(declarations[*declaration as usize].name.clone())
            } else if matches!(node.op, Op::Leaf(_)) {
                What::Fixed
            } else {
                What::Operation(node.op.kind())
            };
            let operands = node.op.operands().iter().filter_map(|operand| places.get(operand).copied()).collect();
            let (layer, extents) = (innermost[node.ordinal as usize], node.shape.to_string());
            nodes.push(DrawnNode { what, layer, operands, extents });
        }
        let mut layers: Vec<DrawnLayer> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        for (place, layer) in applied.iter().enumerate() {
            open.truncate(layer.depth);
            let outer = open.last().copied();
            if let Some(outer) = outer {
                layers[outer].has_parts = true;
            }
            open.push(place);
            let own = parameters.iter().filter(|parameter| parameter.trainable && parameter.layer == Some(place));
            let output = layer.output.map(|output| graph.node(output)).transpose()?;
            layers.push(DrawnLayer {
                name: layer.name.clone(),
                kind: layer.kind.clone(),
                depth: layer.depth,
                outer,
                has_parts: false,
                extents: output.map_or(String::new(), |node| node.shape.to_string()),
                trainable: own.map(SummaryParameter::elements).sum(),
            });
        }
        Ok(Drawing { layers, nodes })
    }

    /// The drawing, with layers whole that are part of `depth` others.
    pub(super) fn to_svg(&self, depth: usize) -> String {
        let places = self.places(depth);
        let mut numbers: HashMap<Place, usize> = HashMap::new();
        let mut units: Vec<Unit> = Vec::new();
        let mut arrows: BTreeSet<(usize, usize)> = BTreeSet::new();
        for (node, &place) in self.nodes.iter().zip(&places) {
            if place == Place::Nowhere {
                continue;
            }
            let unit = *numbers.entry(place).or_insert_with(|| {
                units.push(self.unit(place));
                units.len() - 1
            });
            if matches!(place, Place::Between(_)) {
                between(&mut units[unit], node);
            }
            for &operand in &node.operands {
                if let Some(&from) = numbers.get(&places[operand])
                    && from != unit
                {
                    arrows.insert((from, unit));
                }
            }
        }
        for unit in &mut units {
            unit.lines.retain(|line| !line.is_empty());
        }
        let sizes: Vec<(f64, f64)> = units.iter().map(size).collect();
        svg(&units, &Layout::of(&sizes, &arrows.into_iter().collect::<Vec<_>>()))
    }

    /// Where each node is drawn.
    fn places(&self, depth: usize) -> Vec<Place> {
        let mut places = vec![Place::Nowhere; self.nodes.len()];
        // How many layers there are on the longest way to each node, and to each layer as a whole.
        let mut ranks = vec![0usize; self.nodes.len()];
        let mut layer_ranks: HashMap<usize, usize> = HashMap::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let sources = || node.operands.iter().copied().filter(|&operand| places[operand] != Place::Nowhere);
            let rank = sources().map(|operand| ranks[operand]).max();
            let (place, rank) = match (&node.what, self.drawn_whole(node.layer, depth), rank) {
                (What::Fixed, _, _) => continue,
                (What::Input(_), _, _) => (Place::Input(number), 0),
                // What is made of parameters alone belongs to what reads it.
                (What::Operation(_), _, None) => continue,
                (What::Operation(_), Some(layer), Some(rank)) => {
                    let whole = layer_ranks.entry(layer).or_insert(0);
                    *whole = (*whole).max(rank + 1);
                    (Place::Layer(layer), *whole)
                }
                (What::Operation(_), None, Some(rank)) => {
                    let joined = sources().filter(|&operand| ranks[operand] == rank);
                    let joined: Vec<usize> = joined
                        .filter_map(|operand| match places[operand] {
                            Place::Between(first) => Some(first),
                            Place::Layer(_) | Place::Input(_) | Place::Nowhere => None,
                        })
                        .collect();
                    let first = joined.iter().copied().min().unwrap_or(number);
                    // All that run together here are one from now on.
                    if joined.iter().any(|&other| other != first) {
                        for place in &mut places[first..number] {
                            if matches!(place, Place::Between(other) if joined.contains(other)) {
                                *place = Place::Between(first);
                            }
                        }
                    }
                    (Place::Between(first), rank)
                }
            };
            places[number] = place;
            ranks[number] = rank;
        }
        places
    }

    /// The layer as a part of which a node is drawn: the outermost of its layers that is drawn whole.
    fn drawn_whole(&self, innermost: Option<usize>, depth: usize) -> Option<usize> {
        let mut layer = innermost?;
        let mut whole = (!self.layers[layer].has_parts).then_some(layer);
        loop {
            if self.layers[layer].depth == depth {
                whole = Some(layer);
            }
            match self.layers[layer].outer {
                Some(outer) => layer = outer,
                None => return whole,
            }
        }
    }

    fn unit(&self, place: Place) -> Unit {
        match place {
            Place::Layer(layer) => {
                let DrawnLayer { name, kind, extents, .. } = &self.layers[layer];
                let is_part = |mut part: usize| loop {
                    match (part == layer, self.layers[part].outer) {
                        (true, _) => return true,
                        (false, Some(outer)) => part = outer,
                        (false, None) => return false,
                    }
                };
                let parts = (layer..self.layers.len()).filter(|&part| is_part(part));
                let trainable: usize = parts.map(|part| self.layers[part].trainable).sum();
                let (last, look) = match trainable {
                    0 => (extents.clone(), Look::Plain),
                    trainable => (format!("{extents} · {} parameters", grouped(trainable)), Look::Trained),
                };
                Unit { lines: vec![name.clone(), kind.clone(), last], look }
            }
            Place::Input(node) => {
                let node = &self.nodes[node];
                let name = match &node.what {
                    What::Input(name) => name.clone(),
                    What::Operation(_) | What::Fixed => String::new(),
                };
                Unit { lines: vec![name, node.extents.clone()], look: Look::Input }
            }
            Place::Between(_) | Place::Nowhere => Unit { lines: vec![String::new(); 2], look: Look::Between },
        }
    }
}

/// Adds an operation to a box of such: its name, unless it only arranges elements beside others, and the extents of the last.
fn between(unit: &mut Unit, node: &DrawnNode) {
    const MOST: usize = 3;
    let What::Operation(kind) = node.what else { return };
    let name = kind.name();
    let names: Vec<&str> = unit.lines[0].split(", ").filter(|name| !name.is_empty()).collect();
    if name != "broadcast" && !names.contains(&name) && names.last() != Some(&"…") {
        let name = if names.len() == MOST { "…" } else { name };
        unit.lines[0] = names.into_iter().chain([name]).collect::<Vec<_>>().join(", ");
    }
    unit.lines[1].clone_from(&node.extents);
}

/// Width and height of a box.
fn size(unit: &Unit) -> (f64, f64) {
    let longest = unit.lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    (longest as f64 * CHARACTER_WIDTH + 20.0, unit.lines.len() as f64 * LINE_HEIGHT + 10.0)
}

fn svg(units: &[Unit], layout: &Layout) -> String {
    let (width, height) = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    // Writing to a string does not fail.
    for way in &layout.ways {
        let mut points = way.iter().map(|(x, y)| (x + MARGIN, y + MARGIN));
        let Some((x, y)) = points.next() else { continue };
        let mut path = format!("M{x:.1} {y:.1}");
        let mut from = (x, y);
        for (x, y) in points {
            let middle = (from.1 + y) / 2.0;
            let _ = write!(path, "C{:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}", from.0);
            from = (x, y);
        }
        let _ = writeln!(text, "<path d=\"{path}\" fill=\"none\" stroke=\"#555\" marker-end=\"url(#arrow)\"/>");
    }
    for (unit, Placed { x, y, width, height }) in units.iter().zip(&layout.boxes) {
        let (fill, round) = match unit.look {
            Look::Input => ("#cfe8ff", 4.0),
            Look::Trained => ("#d9f2d0", 4.0),
            Look::Plain => ("#fff7d6", 4.0),
            Look::Between => ("#eeeeee", height / 2.0),
        };
        let (left, top) = (x - width / 2.0 + MARGIN, y - height / 2.0 + MARGIN);
        let _ = writeln!(
            text,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round:.1}\" fill=\"{fill}\" stroke=\"#555\"/>"
        );
        for (place, line) in unit.lines.iter().enumerate() {
            let y = top + 5.0 + (place as f64 + 0.75) * LINE_HEIGHT;
            let weight = if place == 0 && unit.look != Look::Between { " font-weight=\"bold\"" } else { "" };
            let (x, line) = (x + MARGIN, escaped(line));
            let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\"{weight}>{line}</text>");
        }
    }
    text + "</svg>\n"
}

/// Text as it stands between tags.
fn escaped(text: &str) -> String {
    // Most control characters may not stand in XML.
    let shown: String =
        text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect();
    shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
