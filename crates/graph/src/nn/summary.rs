//! A network as a table: the layers that were applied, what each gives, and what it declares.
//!
//! Invariant: every parameter and state is counted once, at the layer that declared it or, if none did, at the first that reads it, and
//! else among those of no layer; so the columns add up to the totals. This does not know values.

use std::fmt;

use crate::arena::Graph;
use crate::declaration::{Declaration, DeclarationKind};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::layers::AppliedLayer;
use crate::nn::drawing::Drawing;
use crate::node::Origin;
use crate::shape::Shape;
use crate::storage::StorageType;

/// A network as a table and a drawing: a row for each layer that is applied, with what it gives and how much it declares.
///
/// ```
/// use arenagrad_graph::nn::{Activation, Linear, Phase, Sequential, Summary};
///
/// let net = Sequential::new("net")
///     .layer(|name| Linear::new(name, 784, 64))
///     .then(Activation::relu())
///     .layer(|name| Linear::new(name, 64, 10));
/// let summary = Summary::of(|g| net.apply(g.input("x", [32, 784]), Phase::Training))?;
/// assert_eq!(summary.trainable(), 784 * 64 + 64 + 64 * 10 + 10);
/// let table = "\
/// layer    kind             output    parameters  states
/// net      Sequential       [32, 10]
///   net.0  Linear(784, 64)  [32, 64]      50,240
///          ReLU             [32, 64]
///   net.2  Linear(64, 10)   [32, 10]         650
/// 50,890 trainable numbers, 0 of states: 203,560 bytes
/// ";
/// assert_eq!(summary.to_string(), table);
/// assert!(summary.to_svg().starts_with("<svg"));
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Summary {
    layers: Vec<SummaryLayer>,
    parameters: Vec<SummaryParameter>,
    drawing: Drawing,
}

/// A layer of a [`Summary`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SummaryLayer {
    /// The name under which it declares; empty for one that declares nothing.
    pub name: String,
    /// What it is: `Linear(64, 10)`.
    pub kind: String,
    /// How many layers it is part of.
    pub depth: usize,
    /// The extents of what it gives.
    pub output: Shape,
    /// The trained numbers that it declares itself, without those of its parts.
    pub trainable: usize,
    /// The numbers of states that it declares itself, without those of its parts.
    pub states: usize,
    /// Whether it reads a parameter that an earlier layer has.
    pub shares: bool,
}

/// A parameter or state of a [`Summary`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SummaryParameter {
    /// The name.
    pub name: String,
    /// The extents.
    pub shape: Shape,
    /// In what it is held.
    pub storage: StorageType,
    /// Whether optimisers change it; a state is changed by updates alone.
    pub trainable: bool,
    /// The place of its layer among [`Summary::layers`]; none of a parameter that belongs to no layer.
    pub layer: Option<usize>,
}

impl SummaryParameter {
    /// How many numbers it holds.
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }
}

impl Summary {
    /// The network that `build` makes in a graph of its own, of inputs that it declares there. Errors: the mistakes of `build`.
    #[track_caller]
    pub fn of(build: impl for<'g> FnOnce(&'g Graph) -> Expr<'g>) -> Result<Summary, GraphError> {
        let (origin, graph) = (Origin::here(), Graph::new());
        let output = build(&graph);
        Summary::of_outputs(&graph, &[output], "Summary::of", origin)
    }

    /// The network in a graph, as far as it was built, drawn as far as these outputs need it. Errors: the graph's first mistake; outputs
    /// that are stale or of another graph.
    #[track_caller]
    pub fn of_graph(graph: &Graph, outputs: &[Expr<'_>]) -> Result<Summary, GraphError> {
        Summary::of_outputs(graph, outputs, "Summary::of_graph", Origin::here())
    }

    fn of_outputs(
        graph: &Graph,
        outputs: &[Expr<'_>],
        op: &'static str,
        origin: Origin,
    ) -> Result<Summary, GraphError> {
        graph.check()?;
        let outputs = outputs.iter().map(|output| output.id_in(graph, op, origin)).collect::<Result<Vec<_>, _>>()?;
        let applied = graph.layers();
        let innermost = innermost(graph.ordinal_bound(), &applied);
        let mut layers = Vec::with_capacity(applied.len());
        for layer in &applied {
            let output = layer.output.map(|output| graph.node(output)).transpose()?;
            layers.push(SummaryLayer {
                name: layer.name.clone(),
                kind: layer.kind.clone(),
                depth: layer.depth,
                output: output.map_or(Shape::from([]), |node| node.shape),
                trainable: 0,
                states: 0,
                shares: false,
            });
        }
        let parameters = owned_parameters(graph, &innermost, &mut layers)?;
        let drawing = Drawing::of(graph, &outputs, &applied, &parameters)?;
        Ok(Summary { layers, parameters, drawing })
    }

    /// The layers in the order in which they were applied, outer ones before their parts.
    pub fn layers(&self) -> &[SummaryLayer] {
        &self.layers
    }

    /// Parameters and states in the order in which they were declared.
    pub fn parameters(&self) -> &[SummaryParameter] {
        &self.parameters
    }

    /// How many numbers are trained.
    pub fn trainable(&self) -> usize {
        self.sum(|parameter| parameter.trainable, SummaryParameter::elements)
    }

    /// How many numbers are held as states.
    pub fn states(&self) -> usize {
        self.sum(|parameter| !parameter.trainable, SummaryParameter::elements)
    }

    /// How many bytes all of them take on a device.
    pub fn bytes(&self) -> usize {
        self.sum(|_| true, |parameter| parameter.elements().saturating_mul(parameter.storage.bytes()))
    }

    /// The parameters and states as a table: a row for each, with its type, extents and number of elements.
    pub fn parameter_table(&self) -> String {
        let mut rows = vec![["parameter", "type", "elements", ""].map(str::to_owned).to_vec()];
        rows.extend(self.parameters.iter().map(|parameter| {
            let state = if parameter.trainable { "" } else { "state" };
            let kind = format!("{}{}", parameter.storage, parameter.shape);
            vec![parameter.name.clone(), kind, grouped(parameter.elements()), state.to_owned()]
        }));
        aligned(&rows, &[false, false, true, false])
    }

    /// The network as a drawing, in SVG: a box for each layer that has no parts, with its name, kind, extents and number of parameters; a
    /// smaller one for what is computed between layers; and arrows along the data, past layers where it takes a way around them.
    pub fn to_svg(&self) -> String {
        self.drawing.to_svg(usize::MAX)
    }

    /// [`Summary::to_svg`] with layers drawn whole that are part of `depth` others: 0 draws the outermost alone.
    pub fn to_svg_of_depth(&self, depth: usize) -> String {
        self.drawing.to_svg(depth)
    }

    fn sum(&self, of: impl Fn(&SummaryParameter) -> bool, number: impl Fn(&SummaryParameter) -> usize) -> usize {
        self.parameters.iter().filter(|parameter| of(parameter)).fold(0, |sum, one| sum.saturating_add(number(one)))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: usize| if number == 0 { String::new() } else { grouped(number) };
        let mut rows = vec![["layer", "kind", "output", "parameters", "states"].map(str::to_owned).to_vec()];
        rows.extend(self.layers.iter().map(|layer| {
            let parameters = match (layer.trainable, layer.shares) {
                (0, true) => "shared".to_owned(),
                (trainable, _) => number(trainable),
            };
            let name = "  ".repeat(layer.depth) + &layer.name;
            vec![name, layer.kind.clone(), layer.output.to_string(), parameters, number(layer.states)]
        }));
        rows.extend(self.parameters.iter().filter(|parameter| parameter.layer.is_none()).map(|parameter| {
            let (elements, kind) = (number(parameter.elements()), format!("{}{}", parameter.storage, parameter.shape));
            let [trainable, state] =
                if parameter.trainable { [elements, String::new()] } else { [String::new(), elements] };
            vec![parameter.name.clone(), kind, "of no layer".to_owned(), trainable, state]
        }));
        f.write_str(&aligned(&rows, &[false, false, false, true, true]))?;
        let (trainable, states, bytes) = (grouped(self.trainable()), grouped(self.states()), grouped(self.bytes()));
        writeln!(f, "{trainable} trainable numbers, {states} of states: {bytes} bytes")
    }
}

/// For each ordinal the innermost layer that its node was inserted for.
pub(super) fn innermost(ordinals: usize, applied: &[AppliedLayer]) -> Vec<Option<usize>> {
    let mut innermost = vec![None; ordinals];
    // Outer layers come before their parts.
    for (place, layer) in applied.iter().enumerate() {
        let end = layer.nodes.end.min(ordinals);
        innermost[layer.nodes.start.min(end)..end].fill(Some(place));
    }
    innermost
}

/// The parameters and states, each with its layer, in whose row it is counted.
fn owned_parameters(
    graph: &Graph,
    innermost: &[Option<usize>],
    layers: &mut [SummaryLayer],
) -> Result<Vec<SummaryParameter>, GraphError> {
    let declarations = graph.declarations();
    let is_kept = |declaration: &&Declaration| matches!(declaration.kind, DeclarationKind::Parameter { .. });
    // The layers that read each declaration, in order.
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); innermost.len()];
    for id in graph.ids() {
        let node = graph.node(id)?;
        let Some(layer) = innermost[node.ordinal as usize] else { continue };
        for operand in node.op.operands() {
            readers[graph.ordinal(operand)?].push(layer);
        }
    }
    let mut parameters = Vec::new();
    for declaration in declarations.iter().filter(is_kept) {
        let DeclarationKind::Parameter { trainable, .. } = declaration.kind else { continue };
        let ordinal = graph.ordinal(declaration.node)?;
        let layer = innermost[ordinal].or(readers[ordinal].first().copied());
        let layer = layer.filter(|_| !declaration.is_of_training());
        if let Some(layer) = layer {
            let row = &mut layers[layer];
            let count = if trainable { &mut row.trainable } else { &mut row.states };
            *count = count.saturating_add(declaration.shape.elements());
            let others = readers[ordinal].iter().filter(|&&reader| trainable && reader != layer);
            others.for_each(|&reader| layers[reader].shares = true);
        }
        parameters.push(SummaryParameter {
            name: declaration.name.clone(),
            shape: declaration.shape.clone(),
            storage: declaration.storage,
            trainable,
            layer,
        });
    }
    Ok(parameters)
}

/// A number with its digits in threes: `1,234,567`.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Rows of cells as lines, each column as wide as its widest cell; those of numbers stand on the right.
fn aligned(rows: &[Vec<String>], on_the_right: &[bool]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..on_the_right.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).zip(on_the_right).map(|((cell, &width), &on_the_right)| {
            if on_the_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
