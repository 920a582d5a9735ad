//! In what precision plans compute: which values are rounded to 16 bits, and which layers and operations keep f32.
//!
//! A [`Precision`] is a policy. What it makes of a graph is the pass [`crate::graph::passes::mixed_precision`]; this says which nodes that
//! pass leaves alone, by the names of layers and parameters and by operations. Nothing here knows a device or a plan.

use arenagrad_graph::passes::{self, MixedPrecision, Optimised};
use arenagrad_graph::{DeclarationKind, Graph, GraphError, Half, Leaf, NodeId, Op, OpKind};

use crate::error::Error;
use crate::train::{LossScale, listed, matches_pattern};

/// In what precision plans compute: all in f32, which is the default, or mixed.
///
/// In mixed precision parameters, their gradients and all that an optimiser keeps are f32. What matrix products, convolutions and attention
/// read is rounded to 16 bits, and they add up in f32; so are values of the forward pass that wait for the backward pass. Reductions,
/// norms, softmax, losses and metrics compute in f32, and so do functions of matrices (`matrix_exp`, `pinv`, ..) and distances (`cdist`),
/// products among them. The pass [`crate::graph::passes::mixed_precision`] says it exactly. A plan stores what is rounded in 16 bits.
///
/// f16 reaches from about 6e-8 to 65,504, so gradients are multiplied by a [`LossScale`], which comes with [`Half::F16`]; bf16 has the range
/// of f32 and needs none.
///
/// ```
/// use arenagrad::{Device, Graph, Half, Init, Precision, Session, Sgd, Tensor};
///
/// let g = Graph::new();
/// let x = g.input("x", [2, 3]);
/// let hidden = x.matmul(g.parameter("hidden.weight", [3, 4], Init::KaimingUniform)).relu();
/// let loss = hidden.matmul(g.parameter("head.weight", [4, 1], Init::KaimingUniform)).square().mean(..);
///
/// let precision = Precision::mixed(Half::Bf16).keep_f32("head.*");
/// let mut session = Session::builder(Device::cpu()).precision(precision).train(&g, loss, &Sgd::new(0.1))?;
/// session.step(&[("x", &Tensor::new([2, 3], vec![1.0f32; 6])?)])?;
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Precision {
    half: Option<Half>,
    kept: Vec<String>,
    kept_ops: Vec<OpKind>,
    loss_scale: Option<LossScale>,
    /// Patterns that another graph of the same function has matched: where this one has nothing of the name, that is no typing error.
    matched: Vec<String>,
}

impl Precision {
    /// All in the dtypes of the graph: the default.
    pub fn full() -> Self {
        Precision::default()
    }

    /// Operands of products, and what waits for the backward pass, in 16 bits; with [`LossScale::dynamic`] for [`Half::F16`].
    pub fn mixed(half: Half) -> Self {
        let loss_scale = match half {
            Half::F16 => Some(LossScale::dynamic()),
            Half::Bf16 => None,
        };
        Precision { half: Some(half), loss_scale, ..Precision::default() }
    }

    /// Leaves alone what layers of the pattern do, in which `*` stands for any text, and products that read a parameter of it, with their
    /// gradients: `"head.*"` is the layer `head` and all within. Their products read f32, and what they keep for the backward pass is
    /// f32.
    ///
    /// Errors, when a training is planned: no layer and no parameter has such a name ([`Error::UnmatchedPrecision`]). Of a trainer's function
    /// that builds the layer for some batches alone, one of these must come first: once a plan has had such a name, others need not.
    #[must_use]
    pub fn keep_f32(mut self, pattern: impl Into<String>) -> Self {
        self.kept.push(pattern.into());
        self
    }

    /// Leaves operations of a kind alone: the products of all [`OpKind::Convolution`], say, which then read f32, or all results of
    /// [`OpKind::Unary`] functions that wait for the backward pass. Of attention any of its results stands for all. In loops too.
    #[must_use]
    pub fn keep_f32_op(mut self, kind: OpKind) -> Self {
        self.kept_ops.push(kind);
        self
    }

    /// With another scale of the loss, or with one for bf16 or full precision.
    #[must_use]
    pub fn loss_scale(self, scale: LossScale) -> Self {
        Precision { loss_scale: Some(scale), ..self }
    }

    /// Without a scale of the loss. In f16 small gradients are then lost, and an overflow makes parameters infinite or NaN.
    #[must_use]
    pub fn without_loss_scale(self) -> Self {
        Precision { loss_scale: None, ..self }
    }

    /// The type that values are rounded to; none in full precision.
    pub fn half(&self) -> Option<Half> {
        self.half
    }

    /// What the loss is multiplied by.
    pub(crate) fn scale(&self) -> Option<LossScale> {
        self.loss_scale
    }

    /// What is rounded of a graph whose derivatives are not built.
    pub(crate) fn of_evaluation(&self, graph: &Graph) -> Result<Option<Rounding>, Error> {
        let end = graph.ordinal_bound();
        self.rounding(graph, end, end, &[])
    }

    /// What is rounded of a graph: `backward` and `update` are the ordinals of the first node of the backward pass and of the first
    /// behind it, and each of `sources` says of which node's derivative the nodes from an ordinal on are part.
    pub(crate) fn rounding(
        &self,
        graph: &Graph,
        backward: usize,
        update: usize,
        sources: &[(usize, NodeId)],
    ) -> Result<Option<Rounding>, Error> {
        let Some(half) = self.half else { return Ok(None) };
        let mut keeps_f32 = vec![false; update];
        if !self.kept.is_empty() || !self.kept_ops.is_empty() {
            self.mark_kept(graph, backward, &mut keeps_f32)?;
        }
        let ends = sources.iter().skip(1).map(|(first, _)| *first).chain([update]);
        for ((first, source), end) in sources.iter().zip(ends) {
            if keeps_f32[graph.ordinal(*source)?] || graph.has_full_derivative(*source)? {
                keeps_f32[*first..end].fill(true);
            }
        }
        Ok(Some(Rounding { half, backward, update, keeps_f32, kept_ops: self.kept_ops.clone() }))
    }

    /// The same for another graph of a function of which one has matched these patterns.
    pub(crate) fn with_matched(&self, patterns: &[String]) -> Precision {
        Precision { matched: patterns.to_vec(), ..self.clone() }
    }

    /// The patterns of what keeps f32.
    pub(crate) fn patterns(&self) -> &[String] {
        &self.kept
    }

    /// Refuses a pattern that neither a layer nor a parameter has, here or in another graph of the function.
    pub(crate) fn check_patterns(&self, graph: &Graph) -> Result<(), Error> {
        let names: Vec<String> = graph.layers().into_iter().map(|layer| layer.name).chain(parameters(graph)).collect();
        for pattern in self.kept.iter().filter(|pattern| !self.matched.contains(pattern)) {
            if !names.iter().any(|name| is_like(pattern, name)) {
                let mut known: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
                known.dedup();
                return Err(Error::UnmatchedPrecision { pattern: pattern.clone(), known: listed(known.into_iter()) });
            }
        }
        Ok(())
    }

    /// Marks the nodes that keep f32, those of the backward pass by what they are alone.
    fn mark_kept(&self, graph: &Graph, backward: usize, keeps_f32: &mut [bool]) -> Result<(), Error> {
        let is_kept = |name: &str| self.kept.iter().any(|pattern| is_like(pattern, name));
        let end = backward.min(keeps_f32.len());
        for layer in graph.layers().iter().filter(|layer| is_kept(&layer.name)) {
            keeps_f32[layer.nodes.start.min(end)..layer.nodes.end.min(end)].fill(true);
        }
        let declarations = graph.declarations();
        // Whether each node shows a parameter that keeps f32.
        let mut shows_kept = vec![false; graph.ordinal_bound()];
        for id in graph.ids() {
            let node = graph.node(id)?;
            let place = node.ordinal as usize;
            if place >= keeps_f32.len() {
                break;
            }
            keeps_f32[place] |= is_among(&self.kept_ops, node.op.kind());
            match &node.op {
                Op::Leaf(Leaf::Parameter { declaration }) => {
                    shows_kept[place] = is_kept(&declarations[*declaration as usize].name);
                }
                Op::View { operand, .. } | Op::StopGradient { operand } => {
                    shows_kept[place] = shows_kept[graph.ordinal(*operand)?];
                }
                Op::MatMul { lhs, rhs, .. } => {
                    keeps_f32[place] |= shows_kept[graph.ordinal(*lhs)?] || shows_kept[graph.ordinal(*rhs)?];
                }
                Op::Convolution { weight, .. } => keeps_f32[place] |= shows_kept[graph.ordinal(*weight)?],
                Op::Scan { operands, .. } => {
                    for operand in operands {
                        keeps_f32[place] |= shows_kept[graph.ordinal(*operand)?];
                    }
                }
                Op::Leaf(_)
                | Op::Uniform { .. }
                | Op::Elementwise(_)
                | Op::CustomGradient { .. }
                | Op::Assembly(_)
                | Op::Reduce { .. }
                | Op::ArgMax { .. }
                | Op::AllReduce { .. }
                | Op::Attention(_)
                | Op::Indexing(_)
                | Op::LinearAlgebra { .. }
                | Op::Ordered(_) => {}
            }
        }
        Ok(())
    }
}

/// Whether a layer or parameter of that name is meant by a pattern: `head.*` is the layer `head` as well as what is in it.
fn is_like(pattern: &str, name: &str) -> bool {
    !name.is_empty() && (matches_pattern(pattern, name) || matches_pattern(pattern, &format!("{name}.")))
}

/// Whether a kind is one of these operations: attention is one, which computes several results.
fn is_among(kinds: &[OpKind], own: OpKind) -> bool {
    let is_same = |kind: &OpKind| *kind == own || matches!((kind, own), (OpKind::Attention(_), OpKind::Attention(_)));
    kinds.iter().any(is_same)
}

/// The names of the trainable parameters of a graph.
fn parameters(graph: &Graph) -> impl Iterator<Item = String> {
    let is_trainable = |kind: &DeclarationKind| matches!(kind, DeclarationKind::Parameter { trainable: true, .. });
    let declarations = graph.declarations().into_iter().filter(move |declaration| is_trainable(&declaration.kind));
    declarations.map(|declaration| declaration.name)
}

/// What is rounded of one graph.
#[derive(Clone, Debug)]
pub(crate) struct Rounding {
    half: Half,
    backward: usize,
    update: usize,
    /// By ordinal, which nodes keep f32.
    keeps_f32: Vec<bool>,
    /// Which operations keep f32 in loops.
    kept_ops: Vec<OpKind>,
}

impl Rounding {
    /// The graph with its values rounded, and `wanted` in it.
    pub(crate) fn apply(&self, graph: &Graph, wanted: &[NodeId]) -> Result<Optimised, GraphError> {
        let keeps_f32 = |ordinal: usize| self.keeps_f32.get(ordinal).copied().unwrap_or(false);
        let keeps_f32_in_loops = |kind: OpKind| is_among(&self.kept_ops, kind);
        let precision = MixedPrecision {
            half: self.half,
            backward: self.backward,
            update: self.update,
            keeps_f32: &keeps_f32,
            keeps_f32_in_loops: &keeps_f32_in_loops,
        };
        passes::mixed_precision(graph, wanted, &precision)
    }
}
