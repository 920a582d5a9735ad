//! The picture of a network as SVG: arrows lowest, then boxes, then the parameters' names.

use std::fmt::Write;

use super::dag::Dag;
use super::drawing::{Arc, Node, Picture};
use super::layers::{Layout, layered};

const LETTER: f64 = 13.0;
const MARGIN: f64 = 24.0;

/// The network laid out from left to right, as the text of an SVG file.
pub fn svg(dag: &Dag) -> String {
    let picture = Picture::new(dag);
    let heights: Vec<f64> = picture.nodes.iter().map(Node::height).collect();
    let sources: Vec<Vec<usize>> =
        (0..dag.variables().len()).map(|variable| dag.depends_on(variable).to_vec()).collect();
    let layout = layered(&heights, &sources);
    let columns = Columns::new(&picture, &layout);

    let mut arrows = String::new();
    for node in 0..picture.nodes.len() {
        // Arcs that share a lane share its line too: drawn for each, lanes would grow with the square of a network's length.
        draw_line(&mut arrows, &columns.trunk(&picture, &layout, node), "");
    }
    let mut labels = Labels { text: String::new(), taken: vec![Vec::new(); columns.middle.len()] };
    for arcs in picture.arcs.chunk_by(|left, right| left.to == right.to) {
        let mut arriving: Vec<(&Arc, (f64, f64))> =
            arcs.iter().map(|arc| (arc, columns.departure(&picture, &layout, arc))).collect();
        arriving.sort_by(|(_, left), (_, right)| left.1.total_cmp(&right.1));
        let count = arriving.len() as f64;
        let apart = 14.0f64.min(heights[arcs[0].to] / (count + 1.0));
        for (place, (arc, from)) in arriving.into_iter().enumerate() {
            let layer = layout.layer[arc.to];
            let left = columns.middle[layer] - picture.nodes[arc.to].width() / 2.0;
            let offset = (place as f64 - (count - 1.0) / 2.0) * apart;
            let to = (left, MARGIN + layout.middle[arc.to] + offset);
            draw_line(&mut arrows, &[from, to], " marker-end=\"url(#head)\"");
            labels.add(&arc.label, layer, from, to);
        }
    }
    let mut boxes = String::new();
    for ((node, middle), layer) in picture.nodes.iter().zip(&layout.middle).zip(&layout.layer) {
        node.draw(&mut boxes, columns.middle[*layer], MARGIN + middle);
    }
    let (width, height) = (columns.width, layout.height + 2.0 * MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"Helvetica, Arial, sans-serif\" text-anchor=\"middle\">\n\
         <defs><marker id=\"head\" markerWidth=\"10\" markerHeight=\"8\" refX=\"9\" refY=\"4\" orient=\"auto\">\
         <polygon points=\"0 0, 10 4, 0 8\" fill=\"dimgray\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{arrows}{boxes}{}</svg>\n",
        labels.text
    )
}

/// The layers from left to right.
struct Columns {
    middle: Vec<f64>,
    /// The width of the widest box of each.
    widest: Vec<f64>,
    width: f64,
}

impl Columns {
    fn new(picture: &Picture, layout: &Layout) -> Columns {
        const SPACE: f64 = 56.0;
        let count = layout.layer.iter().max().map_or(0, |last| last + 1);
        let (mut widest, mut label) = (vec![0.0f64; count], vec![0.0f64; count]);
        for (node, layer) in picture.nodes.iter().zip(&layout.layer) {
            widest[*layer] = widest[*layer].max(node.width());
        }
        for arc in &picture.arcs {
            let layer = layout.layer[arc.to];
            label[layer] = label[layer].max(text_width(&arc.label));
        }
        let (mut middle, mut right) = (Vec::with_capacity(count), 0.0);
        for (place, (widest, label)) in widest.iter().zip(label).enumerate() {
            let left = right + if place == 0 { MARGIN } else { SPACE + label };
            middle.push(left + widest / 2.0);
            right = left + widest;
        }
        Columns { middle, widest, width: right + MARGIN }
    }

    /// Where the arcs of a node leave it, and both ends of its lane in each layer that it passes.
    fn trunk(&self, picture: &Picture, layout: &Layout, node: usize) -> Vec<(f64, f64)> {
        let layer = layout.layer[node];
        let right = self.middle[layer] + picture.nodes[node].width() / 2.0;
        let mut trunk = vec![(right, MARGIN + layout.middle[node])];
        for (layer, height) in (layer + 1..).zip(&layout.lanes[node]) {
            let half = self.widest[layer] / 2.0;
            trunk.push((self.middle[layer] - half, MARGIN + height));
            trunk.push((self.middle[layer] + half, MARGIN + height));
        }
        trunk
    }

    /// Where an arc leaves its source, or its source's lane, for the layer that it leads to.
    fn departure(&self, picture: &Picture, layout: &Layout, arc: &Arc) -> (f64, f64) {
        let (from, before) = (layout.layer[arc.from], layout.layer[arc.to] - 1);
        if from == before {
            return (self.middle[from] + picture.nodes[arc.from].width() / 2.0, MARGIN + layout.middle[arc.from]);
        }
        let lane = layout.lanes[arc.from][before - from - 1];
        (self.middle[before] + self.widest[before] / 2.0, MARGIN + lane)
    }
}

impl Node {
    fn width(&self) -> f64 {
        self.lines.iter().map(|line| text_width(line)).fold(0.0, f64::max) + 22.0
    }

    fn height(&self) -> f64 {
        self.lines.len() as f64 * LETTER * 1.35 + 14.0
    }

    fn draw(&self, text: &mut String, x: f64, y: f64) {
        let (width, height) = (self.width(), self.height());
        let (left, top) = (x - width / 2.0, y - height / 2.0);
        let outline = if self.output { 2.5 } else { 1.0 };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"7\" fill=\"{}\" \
             stroke=\"black\" stroke-width=\"{outline}\"/>",
            self.colour
        );
        for (place, line) in self.lines.iter().enumerate() {
            let y = y + (place as f64 - (self.lines.len() as f64 - 1.0) / 2.0) * LETTER * 1.35 + LETTER * 0.35;
            let weight = if place == 0 { " font-weight=\"bold\"" } else { "" };
            let line = escaped(line);
            let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{LETTER}\"{weight}>{line}</text>");
        }
    }
}

/// A line through points: curves across the space between layers, straight through a lane. None through a single point.
fn draw_line(text: &mut String, way: &[(f64, f64)], end: &str) {
    let ([(x, y), _, ..], mut path) = (way, String::new()) else { return };
    // Writing to a string cannot fail.
    let _ = write!(path, "M {x:.1} {y:.1}");
    for (place, pair) in way.windows(2).enumerate() {
        let [(left, from), (right, to)] = [pair[0], pair[1]];
        let middle = (left + right) / 2.0;
        let _ = match place % 2 {
            0 => write!(path, " C {middle:.1} {from:.1}, {middle:.1} {to:.1}, {right:.1} {to:.1}"),
            _ => write!(path, " L {right:.1} {to:.1}"),
        };
    }
    let _ = writeln!(text, "<path d=\"{path}\" fill=\"none\" stroke=\"dimgray\"{end}/>");
}

/// The names on arcs, each where no other is yet if there is such a place.
struct Labels {
    text: String,
    /// For each layer that arcs lead to: the middles and widths of the labels before it.
    taken: Vec<Vec<(f64, f64, f64)>>,
}

impl Labels {
    /// A label on the curve between two points, the last before a layer.
    fn add(&mut self, label: &str, layer: usize, from: (f64, f64), to: (f64, f64)) {
        const PLACES: [f64; 7] = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8];
        if label.is_empty() {
            return;
        }
        let (width, height) = (text_width(label) + 4.0, LETTER * 1.3);
        let at = |place: f64| {
            // Both control points lie midway, at the height of the end that they belong to.
            let along = 1.5 * place * (1.0 - place) + place.powi(3);
            let across = place * place * (3.0 - 2.0 * place);
            (from.0 + (to.0 - from.0) * along, from.1 + (to.1 - from.1) * across)
        };
        let free = |&(x, y): &(f64, f64)| {
            self.taken[layer].iter().all(|(other_x, other_y, other_width)| {
                (x - other_x).abs() > (width + other_width) / 2.0 || (y - other_y).abs() > height
            })
        };
        let (x, y) = PLACES.into_iter().map(at).find(free).unwrap_or(at(0.5));
        self.taken[layer].push((x, y, width));
        let (left, top, label) = (x - width / 2.0, y - height / 2.0, escaped(label));
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.text,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"white\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"{LETTER}\" fill=\"#8a3b12\">{label}</text>",
            y + LETTER * 0.35
        );
    }
}

/// About how wide text is: the middle of what fonts without serifs take.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER * 0.58
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
