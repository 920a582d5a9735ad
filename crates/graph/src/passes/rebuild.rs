//! The sweep that all passes share: every needed node is built anew over its operands' replacements.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::arena::{Arena, Graph};
use crate::declaration::{Declaration, Requirement};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{Node, NodeId, Origin};
use crate::op::{Arrangement, Assembly, Extents, Leaf, Op};
use crate::ops::{self, Rule};
use crate::passes::Optimised;
use crate::passes::cse::{self, Shared};
use crate::passes::narrow::{self, Regions};
use crate::passes::products::Joins;
use crate::passes::simplify::{self, Rewrite};
use crate::passes::widen;
use crate::region::Region;
use crate::shape::Shape;

/// What a sweep does beside leaving out what is not needed.
#[derive(Clone, Copy)]
pub(super) struct Rewrites {
    pub(super) simplify: bool,
    pub(super) share: bool,
    /// Whether what only derivatives heed stays: `stop_gradient` and gradients of a function's own.
    pub(super) keep_derivatives: bool,
    /// Whether f32 becomes f64.
    pub(super) widen: bool,
}

/// The graph that is being built, and what a rule may ask of it.
pub(super) struct Rebuild {
    graph: Graph,
    rewrites: Rewrites,
    shared: Shared,
    /// For each concatenation that was looked into, where each operand ends.
    ends: HashMap<NodeId, Rc<[usize]>>,
    /// The origin of the node that is being rebuilt, which its replacements take.
    origin: Origin,
}

impl Rebuild {
    #[track_caller]
    pub(super) fn run(old: &Graph, outputs: &[NodeId], rewrites: Rewrites) -> Result<Optimised, GraphError> {
        Rebuild::run_joining(old, outputs, rewrites, None)
    }

    /// The sweep, in which products are joined as `joins` says.
    #[track_caller]
    pub(super) fn run_joining(
        old: &Graph,
        outputs: &[NodeId],
        rewrites: Rewrites,
        mut joins: Option<Joins>,
    ) -> Result<Optimised, GraphError> {
        let origin = Origin::here();
        old.check()?;
        let needed = with_declarations(old, old.needed(outputs)?);
        let graph = Graph::with_capacity(needed.len());
        let mut rebuild = Rebuild { graph, rewrites, shared: Shared::default(), ends: HashMap::new(), origin };
        let mut replacements: Vec<Option<NodeId>> = vec![None; old.ordinal_bound()];
        {
            let arena = old.arena();
            let replacement = |replacements: &[Option<NodeId>], id: NodeId| {
                // A node that was not rebuilt would be one that no output needs, and is never asked for.
                replacements[arena.nodes[id.key].ordinal as usize].unwrap_or(id)
            };
            let mut parts = Parts {
                regions: match rewrites.simplify {
                    true => narrow::regions(&arena, &needed, outputs, !rewrites.keep_derivatives),
                    false => Regions::new(),
                },
                built: HashMap::new(),
            };
            for id in needed {
                let node = &arena.nodes[id.key];
                rebuild.origin = node.origin;
                if parts.regions.contains_key(&node.ordinal) {
                    rebuild.parts(&arena, node, &replacements, &mut parts)?;
                    continue;
                }
                if let Op::View { operand, arrangement: Arrangement::Slice { starts, steps } } = &node.op
                    && !node.shape.contains(&0)
                    && parts.regions.contains_key(&arena.nodes[operand.key].ordinal)
                {
                    let region = Region::of_slice(starts, steps, &node.shape);
                    replacements[node.ordinal as usize] =
                        parts.built.get(&(arena.nodes[operand.key].ordinal, region)).copied();
                    continue;
                }
                let joined = match &mut joins {
                    Some(joins) => joins.replace(&mut rebuild, &arena, node, &|id| replacement(&replacements, id))?,
                    None => None,
                };
                let op = || node.op.map_operands(|operand| replacement(&replacements, operand));
                let new = match joined {
                    Some(joined) => joined,
                    None if rewrites.widen => widen::node(&mut rebuild, op(), &node.shape, node.dtype)?,
                    None => rebuild.node(op(), &node.shape, node.dtype)?,
                };
                replacements[node.ordinal as usize] = Some(new);
                if let Some(label) = arena.labels.get(&id.key)
                    && rebuild.graph.label(new).is_none()
                {
                    rebuild.graph.set_label(new, label.clone());
                }
            }
            let replacement = |id: NodeId| arena.nodes.get(id.key).and_then(|node| replacements[node.ordinal as usize]);
            rebuild.adopt_declarations(&arena.declarations, &replacement);
            rebuild.adopt_requirements(old, &replacement);
        }
        let arena = old.arena();
        let ordinal = |id: &NodeId| arena.nodes[id.key].ordinal as usize;
        let outputs: Vec<NodeId> = outputs.iter().filter_map(|id| replacements[ordinal(id)]).collect();
        rebuild.graph.prune(&outputs);
        Ok(Optimised { graph: rebuild.graph, outputs })
    }

    /// Builds each wanted region of a node that is computed in parts.
    fn parts(
        &mut self,
        arena: &Arena,
        node: &Node,
        replacements: &[Option<NodeId>],
        parts: &mut Parts,
    ) -> Result<(), GraphError> {
        let see_through = !self.rewrites.keep_derivatives;
        for region in parts.regions.get(&node.ordinal).cloned().unwrap_or_default() {
            let wanted = narrow::of_operands(arena, node, &region, see_through).unwrap_or_default();
            let mut operands = Vec::with_capacity(wanted.len());
            narrow::for_each_computed(&node.op, see_through, |operand| operands.push(operand));
            let mut built = Vec::with_capacity(wanted.len());
            for (operand, region) in operands.iter().zip(wanted) {
                let operand = &arena.nodes[operand.key];
                let part = match parts.built.get(&(operand.ordinal, region.clone())) {
                    Some(part) => *part,
                    None => {
                        let whole = replacements[operand.ordinal as usize];
                        let Some(whole) = whole else { unreachable!("an operand of which parts alone are built") };
                        let shape = region.shape();
                        let slice = Op::View {
                            operand: whole,
                            arrangement: Arrangement::Slice { starts: region.starts, steps: region.steps },
                        };
                        self.node(slice, &shape, operand.dtype)?
                    }
                };
                built.push(part);
            }
            let part = match &node.op {
                Op::View { arrangement: Arrangement::Slice { .. }, .. }
                | Op::StopGradient { .. }
                | Op::CustomGradient { .. } => built[0],
                Op::Leaf(Leaf::Literal { data }) => {
                    let data = Arc::new(narrow::elements(data, &node.shape, &region));
                    self.node(Op::Leaf(Leaf::Literal { data }), &region.shape(), node.dtype)?
                }
                op => {
                    let mut operands = built.into_iter();
                    let op = op.map_operands(|operand| operands.next().unwrap_or(operand));
                    self.node(op, &region.shape(), node.dtype)?
                }
            };
            parts.built.insert((node.ordinal, region), part);
        }
        Ok(())
    }

    /// The node that computes `op` after all the rewrites that apply.
    pub(super) fn node(&mut self, mut op: Op, shape: &Shape, dtype: DType) -> Result<NodeId, GraphError> {
        if let (Op::StopGradient { operand: value } | Op::CustomGradient { value, .. }, false) =
            (&op, self.rewrites.keep_derivatives)
        {
            return Ok(*value);
        }
        if self.rewrites.simplify {
            loop {
                match simplify::rewrite(&op, shape, dtype, self)? {
                    Rewrite::Keep => break,
                    Rewrite::Existing(id) => return Ok(id),
                    Rewrite::Op(simpler) => op = simpler,
                }
            }
        }
        self.unsimplified(op, shape, dtype)
    }

    /// [`Rebuild::node`] of an operation whose result's shape and dtype follow from its operands.
    pub(super) fn inferred(&mut self, op: Op) -> Result<NodeId, GraphError> {
        let inferred = {
            let arena = self.graph.arena();
            ops::infer(&Rule { arena: &arena, op: op.name(), origin: self.origin }, &op, None, None)
        };
        let (shape, dtype) = inferred?;
        self.node(op, &shape, dtype)
    }

    /// The node that computes `op` as it stands.
    pub(super) fn unsimplified(&mut self, op: Op, shape: &Shape, dtype: DType) -> Result<NodeId, GraphError> {
        let is_one_of_a_kind = matches!(op, Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. } | Leaf::Placeholder));
        if !self.rewrites.share || is_one_of_a_kind {
            return self.graph.insert_unrequired(op, Some(shape), Some(dtype), self.origin);
        }
        let hash = cse::hash(&op, shape, dtype);
        if let Some(id) = self.shared.find(hash, &self.graph.arena(), &op, shape, dtype) {
            return Ok(id);
        }
        let id = self.graph.insert_unrequired(op, Some(shape), Some(dtype), self.origin)?;
        self.shared.add(hash, id);
        Ok(id)
    }

    /// The operand of a concatenation along `axis` that the places from `start` to `last` are of, and where it begins; `None` if
    /// they are of several.
    pub(super) fn concatenated(
        &mut self,
        id: NodeId,
        axis: usize,
        start: usize,
        last: usize,
    ) -> Option<(NodeId, usize)> {
        let arena = self.graph.arena();
        let Op::Assembly(Assembly::Concat { operands, .. }) = &arena.nodes[id.key].op else { return None };
        let ends = self.ends.entry(id).or_insert_with(|| {
            let extents = operands.iter().map(|operand| arena.nodes[operand.key].shape[axis]);
            extents.scan(0, |end, extent| Some(*end + extent).inspect(|next| *end = *next)).collect()
        });
        let place = ends.partition_point(|&end| end <= start);
        let first = place.checked_sub(1).map_or(0, |before| ends[before]);
        (last < *ends.get(place)?).then(|| (operands[place], first))
    }

    /// Reads a node of the new graph.
    pub(super) fn read<T>(&self, id: NodeId, read: impl FnOnce(&Op, &Shape, DType) -> T) -> T {
        let arena = self.graph.arena();
        let node = &arena.nodes[id.key];
        read(&node.op, &node.shape, node.dtype)
    }

    /// The op of a node of the new graph.
    pub(super) fn op(&self, id: NodeId) -> Op {
        self.read(id, |op, _, _| op.clone())
    }

    /// The value of every element, if that is one known now.
    pub(super) fn constant(&self, id: NodeId) -> Option<f64> {
        self.read(id, |op, _, _| if let Op::Leaf(Leaf::Constant { value }) = op { Some(*value) } else { None })
    }

    /// The shape of a node of the new graph.
    pub(super) fn shape(&self, id: NodeId) -> Shape {
        self.read(id, |_, shape, _| shape.clone())
    }

    /// The dtype of a node of the new graph.
    pub(super) fn dtype(&self, id: NodeId) -> DType {
        self.read(id, |_, _, dtype| dtype)
    }

    /// The operand and axes of a permutation.
    pub(super) fn permuted(&self, id: NodeId) -> Option<(NodeId, Extents)> {
        self.read(id, |op, _, _| {
            if let Op::View { operand, arrangement: Arrangement::Permute { axes } } = op {
                Some((*operand, axes.clone()))
            } else {
                None
            }
        })
    }

    /// Takes over the declarations under their old numbers.
    fn adopt_declarations(&self, declarations: &[Declaration], replacement: &dyn Fn(NodeId) -> Option<NodeId>) {
        let mut arena = self.graph.arena_mut();
        for (number, declaration) in declarations.iter().enumerate() {
            let mut adopted = declaration.clone();
            if self.rewrites.widen {
                adopted.dtype = widen::widened(adopted.dtype);
                adopted.storage = adopted.dtype.into();
            }
            // A declaration whose node was removed keeps its number, and an id that is stale everywhere.
            if let Some(node) = replacement(declaration.node) {
                adopted.node = node;
                arena.names.insert(adopted.name.clone(), number as u32);
            }
            arena.declarations.push(adopted);
        }
    }

    /// Takes over what the rebuilt nodes require of inputs, whatever became of the views between.
    fn adopt_requirements(&self, old: &Graph, replacement: &dyn Fn(NodeId) -> Option<NodeId>) {
        let old_arena = old.arena();
        let mut arena = self.graph.arena_mut();
        if old_arena.requirements.is_empty() {
            return;
        }
        // In insertion order, for two nodes may have become one.
        for &key in &old_arena.order {
            let Some(owner) = replacement(NodeId { key, graph: old.tag() }) else { continue };
            for requirement in old_arena.requirements.get(&key).into_iter().flatten() {
                let source = old_arena.viewed_input(requirement.indices).and_then(replacement);
                if let Some(indices) = source {
                    arena.require(owner, Requirement { indices, ..requirement.clone() });
                }
            }
        }
    }
}

/// Nodes that are computed in parts.
struct Parts {
    regions: Regions,
    /// The part that computes each region, by the ordinal of its node.
    built: HashMap<(u32, Region), NodeId>,
}

/// The needed nodes and the nodes of all live declarations, in insertion order.
fn with_declarations(graph: &Graph, needed: Vec<NodeId>) -> Vec<NodeId> {
    let arena = graph.arena();
    let ordinal = |id: &NodeId| arena.nodes[id.key].ordinal;
    let mut declared: Vec<NodeId> = arena
        .declarations
        .iter()
        .map(|declaration| declaration.node)
        .filter(|id| arena.nodes.contains_key(id.key))
        .collect();
    declared.retain(|id| needed.binary_search_by_key(&ordinal(id), ordinal).is_err());
    if declared.is_empty() {
        return needed;
    }
    let mut all = needed;
    all.append(&mut declared);
    // Two ascending runs one after the other: the stable sort merges them in linear time.
    all.sort_by_key(ordinal);
    all
}
