//! The text form of a graph: one line a node, in insertion order.
//!
//! ```text
//! x = input : f32[64, 784]
//! w = parameter : f32[784, 10]
//! %2 = matmul(x, w) : f32[64, 10]
//! logits = relu(%2) : f32[64, 10]
//! return logits
//! ```
//!
//! A node is called by its label, or by its position among the nodes that are printed; a label that several of them bear, or
//! that does not read as one word, is quoted and followed by the position. The text depends on the structure and the names
//! alone, so it is the same in every run.

use std::collections::HashMap;
use std::fmt;

use crate::arena::{Arena, Graph};
use crate::body::ScanResult;
use crate::expr::Expr;
use crate::node::{Node, NodeId};
use crate::op::{Arrangement, Assembly, ConvolutionAxis, Indexing, Leaf, Op, Ordered, Windows};

/// A graph, or the part of one that some outputs need, to be printed.
#[derive(Clone)]
#[must_use = "a listing is only text once it is printed"]
pub struct Listing<'g> {
    graph: &'g Graph,
    outputs: Option<Vec<NodeId>>,
    origins: bool,
}

impl Graph {
    /// The nodes that `outputs` need, to be printed; what is poisoned, stale or of another graph among the outputs is left out, also
    /// if it became stale only before the text is made.
    pub fn display<'g>(&'g self, outputs: &[Expr<'g>]) -> Listing<'g> {
        let outputs: Vec<NodeId> = outputs.iter().filter_map(|output| output.raw()).collect();
        self.display_nodes(&outputs)
    }

    /// [`Graph::display`] for nodes that are known by their ids.
    pub fn display_nodes(&self, outputs: &[NodeId]) -> Listing<'_> {
        Listing { graph: self, outputs: Some(outputs.to_vec()), origins: false }
    }
}

impl Listing<'_> {
    /// Adds to each line the file name and line where the node was made.
    pub fn with_origins(mut self) -> Self {
        self.origins = true;
        self
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Listing { graph: self, outputs: None, origins: false }.fmt(f)
    }
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An error of formatting would be a panic in `to_string`; what is alive has no other.
        let outputs = self.outputs.as_ref().map(|outputs| self.graph.alive_of(outputs));
        let nodes = match &outputs {
            Some(outputs) => self.graph.needed(outputs).unwrap_or_default(),
            None => self.graph.ids(),
        };
        let names = names(self.graph, &nodes);
        let arena = self.graph.arena();
        for id in &nodes {
            let node = &arena.nodes[id.key];
            write!(f, "{} = ", names[node.ordinal as usize])?;
            write_op(f, node, &arena, &names)?;
            write!(f, " : {}{}", node.dtype, node.shape)?;
            if self.origins {
                let file = node.origin.file().rsplit(['/', '\\']).next().unwrap_or_default();
                write!(f, "  // {file}:{}", node.origin.line())?;
            }
            writeln!(f)?;
        }
        if let Some(outputs) = &outputs {
            let ordinal = |output: &NodeId| arena.nodes[output.key].ordinal as usize;
            let returned: Vec<&str> = outputs.iter().map(|output| names[ordinal(output)].as_str()).collect();
            writeln!(f, "return {}", returned.join(", "))?;
        }
        Ok(())
    }
}

/// What each of the nodes is called, by ordinal.
fn names(graph: &Graph, nodes: &[NodeId]) -> Vec<String> {
    let arena = graph.arena();
    let mut bearers: HashMap<&str, usize> = HashMap::new();
    for id in nodes {
        if let Some(label) = arena.label(id.key) {
            *bearers.entry(label).or_default() += 1;
        }
    }
    let mut names = vec![String::new(); graph.ordinal_bound()];
    for (position, id) in nodes.iter().enumerate() {
        names[arena.nodes[id.key].ordinal as usize] = match arena.label(id.key) {
            Some(label) if bearers[label] == 1 && is_word(label) => label.to_owned(),
            Some(label) => format!("{label:?}%{position}"),
            None => format!("%{position}"),
        };
    }
    names
}

/// Whether a label can stand in the text without quotes.
fn is_word(label: &str) -> bool {
    let starts_well = label.starts_with(|c: char| c.is_alphabetic() || c == '_');
    starts_well && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
}

/// The op with its operands, then its attributes.
fn write_op(f: &mut fmt::Formatter<'_>, node: &Node, arena: &Arena, names: &[String]) -> fmt::Result {
    f.write_str(node.op.name())?;
    let operands = node.op.operands();
    let operands = operands.iter().map(|operand| names[arena.nodes[operand.key].ordinal as usize].as_str());
    let attributes = attributes(&node.op);
    let mut opened = false;
    for argument in operands.chain(attributes.iter().map(String::as_str)) {
        f.write_str(if opened { ", " } else { "(" })?;
        f.write_str(argument)?;
        opened = true;
    }
    if opened { f.write_str(")") } else { Ok(()) }
}

/// What an op says beside its operands and the shape and dtype of its result.
pub(crate) fn attributes(op: &Op) -> Vec<String> {
    let along = |axis: &usize| vec![format!("axis={axis}")];
    match op {
        Op::Leaf(leaf) => match leaf {
            Leaf::Input { .. } | Leaf::Parameter { .. } | Leaf::Placeholder => vec![],
            Leaf::Constant { value } => vec![number(*value)],
            Leaf::Literal { data } => vec![format!("{} elements", data.len())],
            Leaf::Iota { axis } => along(axis),
        },
        Op::Uniform { seed, .. } => vec![format!("seed={seed}")],
        Op::Elementwise(_) | Op::StopGradient { .. } | Op::CustomGradient { .. } | Op::AllReduce { .. } => vec![],
        Op::View { arrangement, .. } => match arrangement {
            Arrangement::Reshape | Arrangement::Broadcast => vec![],
            Arrangement::Permute { axes } => vec![format!("axes={axes:?}")],
            Arrangement::Slice { starts, steps } => vec![format!("starts={starts:?}"), format!("steps={steps:?}")],
            Arrangement::Flip { axes } => vec![format!("axes={axes}")],
            Arrangement::Windows(windows) => {
                let Windows { axes, extents, steps, dilations } = &**windows;
                vec![
                    format!("axes={axes:?}"),
                    format!("extents={extents:?}"),
                    format!("steps={steps:?}"),
                    format!("dilations={dilations:?}"),
                ]
            }
        },
        Op::Assembly(Assembly::Pad { lows, interiors, value, .. }) => {
            vec![format!("lows={lows:?}"), format!("interiors={interiors:?}"), format!("value={value}")]
        }
        Op::Assembly(Assembly::Concat { axis, .. }) => along(axis),
        Op::Reduce { axes, .. } => vec![format!("axes={axes}")],
        Op::ArgMax { axis, .. } => along(axis),
        Op::MatMul { transpose_lhs, transpose_rhs, .. } => {
            let flags = [(*transpose_lhs, "transpose_lhs"), (*transpose_rhs, "transpose_rhs")];
            flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()).collect()
        }
        Op::Attention(attention) => {
            let mut attributes = vec![format!("scale={}", number(attention.scale))];
            attributes.extend(attention.is_causal.then(|| "causal".to_owned()));
            attributes
        }
        Op::Convolution { axes, .. } => {
            let list = |number: fn(&ConvolutionAxis) -> isize| axes.iter().map(number).collect::<Vec<isize>>();
            vec![
                format!("strides={:?}", list(|axis| axis.stride as isize)),
                format!("dilations={:?}", list(|axis| axis.dilation as isize)),
                format!("input_dilations={:?}", list(|axis| axis.input_dilation as isize)),
                format!("lows={:?}", list(|axis| axis.low)),
            ]
        }
        Op::Indexing(
            Indexing::Gather { axis, .. } | Indexing::ScatterAdd { axis, .. } | Indexing::ScatterReduce { axis, .. },
        ) => along(axis),
        Op::Scan { body, result, .. } => {
            let result = match result {
                ScanResult::Final(carry) => format!("final={carry}"),
                ScanResult::Stacked(place) => format!("stacked=%{place}"),
            };
            let direction = body.is_reversed().then(|| String::from("reverse"));
            [format!("steps={}", body.length()), result].into_iter().chain(direction).collect()
        }
        Op::LinearAlgebra { .. } => vec![],
        Op::Ordered(ordered) => {
            let flagged = |axis: &usize, set: bool, name: &str| {
                along(axis).into_iter().chain(set.then(|| name.to_owned())).collect::<Vec<_>>()
            };
            match ordered {
                Ordered::Cumulative { axis, is_reversed, .. } | Ordered::Recurrence { axis, is_reversed, .. } => {
                    flagged(axis, *is_reversed, "reversed")
                }
                Ordered::ArgSort { axis, is_descending, count, .. } => {
                    let mut attributes = flagged(axis, *is_descending, "descending");
                    attributes.push(format!("count={count}"));
                    attributes
                }
                Ordered::SearchSorted { is_right, .. } => is_right.then(|| "right".to_owned()).into_iter().collect(),
            }
        }
    }
}

/// The shortest digits that give back the value: those of an f32 if it is one (other than a whole number, which an f32 may
/// round when it is printed), with an exponent where that is shorter.
fn number(value: f64) -> String {
    let single = value as f32;
    let is_single = f64::from(single) == value && value.fract() != 0.0;
    let plain = (1e-4..1e15).contains(&value.abs()) || value == 0.0 || !value.is_finite();
    match (is_single, plain) {
        (true, true) => format!("{single}"),
        (true, false) => format!("{single:e}"),
        (false, true) => format!("{value}"),
        (false, false) => format!("{value:e}"),
    }
}
