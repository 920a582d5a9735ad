//! The sweep that all passes share: every needed node is built anew over its operands' replacements.

use std::collections::HashMap;
use std::sync::Arc;

use crate::arena::{Arena, Graph};
use crate::declaration::{Declaration, Requirement};
use crate::error::GraphError;
use crate::node::{Node, NodeId, Origin};
use crate::op::{Arrangement, Leaf, Op};
use crate::passes::Optimised;
use crate::passes::loops::Loops;
use crate::passes::narrow::{self, Regions};
use crate::passes::precision::Roundings;
use crate::passes::products::Joins;
use crate::passes::rebuild::{Rebuild, Rewrites};
use crate::passes::widen;
use crate::region::Region;

/// Builds every needed node anew over its operands' replacements.
#[track_caller]
pub(super) fn sweep(old: &Graph, outputs: &[NodeId], rewrites: Rewrites) -> Result<Optimised, GraphError> {
    sweep_with(old, outputs, rewrites, None, None)
}

/// [`sweep`], in which values are rounded as `roundings` says.
#[track_caller]
pub(super) fn sweep_rounded(
    old: &Graph,
    outputs: &[NodeId],
    rewrites: Rewrites,
    roundings: Roundings<'_>,
) -> Result<Optimised, GraphError> {
    sweep_through(old, outputs, rewrites, None, None, Some(roundings))
}

/// [`sweep`], in which products are joined as `joins` says, and loops taken apart as `loops` says.
#[track_caller]
pub(super) fn sweep_with(
    old: &Graph,
    outputs: &[NodeId],
    rewrites: Rewrites,
    joins: Option<Joins>,
    loops: Option<Loops>,
) -> Result<Optimised, GraphError> {
    sweep_through(old, outputs, rewrites, joins, loops, None)
}

#[track_caller]
fn sweep_through(
    old: &Graph,
    outputs: &[NodeId],
    rewrites: Rewrites,
    mut joins: Option<Joins>,
    mut loops: Option<Loops>,
    mut roundings: Option<Roundings<'_>>,
) -> Result<Optimised, GraphError> {
    let origin = Origin::here();
    old.check()?;
    let needed = with_declarations(old, old.needed(outputs)?);
    let mut rebuild = Rebuild::new(needed.len(), rewrites, origin);
    let mut replacements: Vec<Option<NodeId>> = vec![None; old.ordinal_bound()];
    // For each new node, by its place, the ordinal of the old one that it was built for.
    let mut sources: Vec<u32> = Vec::with_capacity(needed.len());
    {
        let arena = old.arena();
        let replacement = |replacements: &[Option<NodeId>], id: NodeId| {
            // A node that was not rebuilt would be one that no output needs, and is never asked for.
            replacements[arena.nodes[id.key].ordinal as usize].unwrap_or(id)
        };
        let mut parts = Parts {
            regions: match rewrites.simplify {
                // Products that are joined are built of whole operands; the sweep before has left nothing to narrow.
                Some(_) if joins.is_none() => narrow::regions(&arena, &needed, outputs, !rewrites.keep_derivatives),
                Some(_) | None => Regions::new(),
            },
            built: HashMap::new(),
        };
        let mut source = 0;
        for id in needed {
            sources.resize(rebuild.graph.ordinal_bound(), source);
            let node = &arena.nodes[id.key];
            (rebuild.origin, source) = (node.origin, node.ordinal);
            if parts.regions.contains_key(&node.ordinal) {
                build_parts(&mut rebuild, &arena, node, &replacements, &mut parts)?;
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
            let joined = match &mut loops {
                Some(loops) => loops.replace(&mut rebuild, node, &|id| replacement(&replacements, id))?.or(joined),
                None => joined,
            };
            let joined = match &mut roundings {
                Some(roundings) => {
                    Some(roundings.replace(&mut rebuild, &arena, node, &|id| replacement(&replacements, id))?)
                }
                None => joined,
            };
            let op = || node.op.map_operands(|operand| replacement(&replacements, operand));
            let new = match joined {
                Some(joined) => joined,
                None if rewrites.widen => widen::node(&mut rebuild, op(), &node.shape, node.dtype)?,
                None => rebuild.node(op(), &node.shape, node.dtype)?,
            };
            replacements[node.ordinal as usize] = Some(new);
            if let Some(label) = arena.labels.get(&id.key) {
                // What is rounded is one value in two forms, of which a plan may store either.
                let rounding = roundings.as_ref().and_then(|roundings| roundings.rounding_of(new));
                for named in [Some(new), rounding].into_iter().flatten() {
                    if rebuild.graph.label(named).is_none() {
                        rebuild.graph.set_label(named, label.clone());
                    }
                }
            }
        }
        sources.resize(rebuild.graph.ordinal_bound(), source);
        let replacement = |id: NodeId| arena.nodes.get(id.key).and_then(|node| replacements[node.ordinal as usize]);
        adopt_declarations(&rebuild, &arena.declarations, &replacement);
        adopt_requirements(&rebuild.graph, old, &replacement);
    }
    let arena = old.arena();
    let ordinal = |id: &NodeId| arena.nodes[id.key].ordinal as usize;
    let outputs: Vec<NodeId> = outputs.iter().filter_map(|id| replacements[ordinal(id)]).collect();
    let built = rebuild.graph.arena().order.clone();
    rebuild.graph.prune(&outputs);
    let alive = |key| rebuild.graph.arena().nodes.contains_key(key);
    let sources = built.into_iter().zip(sources).filter(|&(key, _)| alive(key)).map(|(_, source)| source).collect();
    Ok(Optimised { graph: rebuild.graph, outputs, sources })
}

/// Builds each wanted region of a node that is computed in parts.
fn build_parts(
    rebuild: &mut Rebuild,
    arena: &Arena,
    node: &Node,
    replacements: &[Option<NodeId>],
    parts: &mut Parts,
) -> Result<(), GraphError> {
    let see_through = !rebuild.rewrites.keep_derivatives;
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
                    rebuild.node(slice, &shape, operand.dtype)?
                }
            };
            built.push(part);
        }
        let is_its_operand = matches!(
            node.op,
            Op::View { arrangement: Arrangement::Slice { .. }, .. }
                | Op::StopGradient { .. }
                | Op::CustomGradient { .. }
        );
        let part = if is_its_operand {
            built[0]
        } else if let Op::Leaf(Leaf::Literal { data }) = &node.op {
            let data = Arc::new(narrow::elements(data, &node.shape, &region));
            rebuild.node(Op::Leaf(Leaf::Literal { data }), &region.shape(), node.dtype)?
        } else {
            let mut operands = built.into_iter();
            let op = node.op.map_operands(|operand| operands.next().unwrap_or(operand));
            rebuild.node(op, &region.shape(), node.dtype)?
        };
        parts.built.insert((node.ordinal, region), part);
    }
    Ok(())
}

/// Takes over the declarations under their old numbers.
fn adopt_declarations(rebuild: &Rebuild, declarations: &[Declaration], replacement: &dyn Fn(NodeId) -> Option<NodeId>) {
    let mut arena = rebuild.graph.arena_mut();
    for (number, declaration) in declarations.iter().enumerate() {
        let mut adopted = declaration.clone();
        if rebuild.rewrites.widen {
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
fn adopt_requirements(graph: &Graph, old: &Graph, replacement: &dyn Fn(NodeId) -> Option<NodeId>) {
    let old_arena = old.arena();
    let mut arena = graph.arena_mut();
    if old_arena.requirements.is_empty() {
        return;
    }
    // In insertion order, for two nodes may have become one.
    for &key in &old_arena.order {
        let Some(owner) = replacement(NodeId { key, graph: old.tag() }) else { continue };
        for requirement in old_arena.requirements.get(&key).into_iter().flatten() {
            let Some((input, shown)) = old_arena.required_input(requirement) else { continue };
            if let Some(indices) = replacement(input) {
                arena.require(owner, Requirement { indices, shown, ..*requirement });
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
