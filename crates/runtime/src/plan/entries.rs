//! The graph as the planner sees it: the live nodes in a dense table, views resolved to layouts, and a copy inserted
//! wherever a kernel needs elements in another order than they stand, or reads each many times in another order.
//!
//! Invariants: entries are in topological order; every operand of an entry is a [`Layout`] whose base is an entry with a
//! buffer (a leaf or something computed), a constant, or empty; operands of kernels that are not elementwise are laid out
//! as those kernels need them.

mod builder;

use std::sync::Arc;

use arenagrad_graph::{
    AxisSet, Body, DType, Elements, Elementwise, Extents, Graph, GraphError, MatrixFunction, NodeId, OpKind,
    ReduceFunction, ScanResult, ScatterFunction, Shape, StorageType,
};
use arenagrad_kernels::{Factor, Instruction};
use smallvec::SmallVec;

pub(super) use builder::Builder;

use crate::plan::attention::AttentionWork;
use crate::plan::layout::Layout;
use crate::plan::nodes::Nodes;
use crate::plan::ordered::Along;

/// One thing to have or to compute.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) work: Work,
    pub(crate) operands: SmallVec<[Layout; 1]>,
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
    /// In what its buffer holds its elements: what is declared, stands in the graph or is rounded to 16 bits may be narrower than its
    /// dtype.
    pub(crate) storage: StorageType,
    /// The ordinal of the node that this computes, for names and stages.
    pub(crate) node: u32,
    pub(crate) stage: u8,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    /// Given at each run: the number of its declaration.
    Input(u32),
    /// Stays on the device: the number of its declaration.
    Parameter(u32),
    /// Stands in the graph.
    Literal(Arc<Elements>),
    /// Every element has that value; it becomes part of the kernels that use it.
    Constant(f64),
    /// Has no elements, so nothing is computed.
    Empty,
    /// A coordinate; it becomes part of the kernels that use it.
    Iota {
        inner: usize,
        extent: usize,
    },
    /// Elementwise work: the op, whose operands are this entry's, or a copy of one operand if there is none.
    Elementwise(Option<ElementOp>),
    Reduce {
        function: ReduceFunction,
        axes: AxisSet,
    },
    ArgMax {
        axis: usize,
    },
    Ordered(Along),
    /// Operands are matrices after transposition, whose axes may each be several of a buffer.
    MatMul,
    /// Query, key and value, the mask if there is one, and for gradients the upstream gradient and two numbers a row.
    Attention(AttentionWork),
    Gather {
        axis: usize,
    },
    /// The operand, indices, updates, and the factor if that is no constant.
    ScatterAdd {
        axis: usize,
        factor: Option<Factor>,
    },
    /// The operand, indices and updates.
    ScatterReduce {
        function: ScatterFunction,
        axis: usize,
    },
    Pad {
        lows: Extents,
        interiors: Extents,
        value: f64,
    },
    /// Which region of the result each operand is, its elements in their order. Operands that are constants are all the same
    /// one.
    Concat {
        regions: Vec<Region>,
    },
    /// A result of the loop of that number, whose operands are this entry's.
    Scan {
        number: u32,
        result: ScanResult,
    },
    /// Matrices, one after the other, and right-hand sides of a function that has some.
    LinearAlgebra {
        function: MatrixFunction,
    },
    /// The sum of the operand over the processes of a group. On its own a process copies it.
    AllReduce,
}

/// What is computed of each element of an entry's operands. It is said without an [`Op`], which has room for what any node may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ElementOp {
    /// A random number under that key; the operand is the step.
    Uniform { seed: u64 },
    /// A function of operands, which are told by their places among the entry's.
    Function(Elementwise<u32>),
}

impl ElementOp {
    pub(crate) fn of(elementwise: &Elementwise<NodeId>) -> Self {
        let mut places = 0..;
        ElementOp::Function(elementwise.map(|_| places.next().unwrap_or_default()))
    }

    /// The instruction that computes it from the values of the operands.
    pub(crate) fn instruction(&self, values: &[u32]) -> Instruction {
        match self {
            ElementOp::Uniform { seed } => Instruction::Uniform { seed: *seed, step: values[0], first: 0 },
            ElementOp::Function(function) => Instruction::Elementwise(function.map(|place| values[place as usize])),
        }
    }
}

/// A region of a concatenation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Region {
    /// Where it begins along each axis.
    pub(crate) start: Extents,
    /// Its extents. What is put there may have the same elements under another shape.
    pub(crate) extents: Shape,
}

impl Work {
    /// Whether the entry is computed by a step (and so has a buffer that a step writes).
    pub(crate) fn is_computed(&self) -> bool {
        match self {
            Work::Input(_)
            | Work::Parameter(_)
            | Work::Literal(_)
            | Work::Constant(_)
            | Work::Empty
            | Work::Iota { .. } => false,
            Work::Elementwise(_)
            | Work::Reduce { .. }
            | Work::ArgMax { .. }
            | Work::Ordered(_)
            | Work::MatMul
            | Work::Attention(_)
            | Work::Gather { .. }
            | Work::ScatterAdd { .. }
            | Work::ScatterReduce { .. }
            | Work::Pad { .. }
            | Work::Concat { .. }
            | Work::Scan { .. }
            | Work::AllReduce
            | Work::LinearAlgebra { .. } => true,
        }
    }

    /// Whether the entry's kernel can work on each element of its result before it is stored.
    pub(crate) fn is_product(&self) -> bool {
        matches!(self, Work::MatMul)
    }

    /// Whether kernels compute the entry for themselves instead of reading it.
    pub(crate) fn is_inlined(&self) -> bool {
        matches!(self, Work::Constant(_) | Work::Iota { .. })
    }
}

/// The entries of a graph, and where the nodes that were asked for ended up.
pub(crate) struct Entries {
    pub(crate) entries: Vec<Entry>,
    /// For each root that was given, in order: its layout.
    pub(crate) roots: Vec<Layout>,
    /// The bodies of the loops.
    pub(crate) loops: Vec<Arc<Body>>,
}

/// The entries that `roots` need, each root contiguous in a buffer for which `owns_buffer` holds, by copying if need be.
/// `stages[i]` lists the nodes up to which stage `i` reaches: an entry belongs to the first stage one of whose nodes needs it. What is
/// rounded to 16 bits belongs to the stage of the value that it is the rounding of, whoever reads it: it is computed beside that.
pub(crate) fn collect(
    graph: &Graph,
    nodes: &Nodes,
    roots: &[NodeId],
    stages: &[Vec<NodeId>],
    owns_buffer: &mut dyn FnMut(usize, u32, &Work) -> bool,
) -> Result<Entries, GraphError> {
    let ids = graph.ids();
    let operands = OperandTable::new(graph, &ids)?;
    let mut stage_of: Vec<u8> = vec![u8::MAX; ids.len()];
    for (stage, list) in stages.iter().map(Vec::as_slice).chain([roots]).enumerate() {
        mark_needed(graph, &operands, list, stage as u8, &mut stage_of)?;
    }
    for node in 0..ids.len() {
        if matches!(nodes.kind(node as u32), OpKind::RoundTo(_)) && stage_of[node] != u8::MAX {
            let value = operands.of(node)[0];
            if !nodes.kind(value).is_leaf() {
                stage_of[node] = stage_of[value as usize];
            }
        }
    }

    let storage = nodes.declarations.iter().map(|declaration| declaration.storage).collect();
    let mut builder = Builder::new(storage, for_products_alone(graph, nodes, &operands, roots, &stage_of)?);
    let mut layouts: Vec<Option<Layout>> = vec![None; ids.len()];
    for (ordinal, &id) in ids.iter().enumerate() {
        let stage = stage_of[ordinal];
        if stage == u8::MAX {
            continue;
        }
        let read = operands.of(ordinal).iter().filter_map(|&operand| layouts[operand as usize].clone()).collect();
        let (layout, elements) = graph.read_node(id, |node| (builder.add(node, read, stage), node.shape.elements()))?;
        // A named view of an unnamed result names it: what a caller calls the loss is often a reshape of a sum.
        let (base, node) = (&mut builder.entries[layout.base as usize], ordinal as u32);
        let whole = base.shape.elements() == elements && base.work.is_computed();
        if base.node != node && whole && nodes.label(base.node).is_none() && nodes.label(node).is_some() {
            base.node = node;
        }
        layouts[ordinal] = Some(layout);
    }
    let mut resolved = Vec::with_capacity(roots.len());
    for (number, root) in roots.iter().enumerate() {
        let (node, dtype) = graph.read_node(*root, |node| (node.ordinal, node.dtype))?;
        let Some(layout) = layouts[node as usize].clone() else { continue };
        let stage = stage_of[node as usize];
        let layout = builder.contiguous(layout, dtype, node, stage);
        let base = &builder.entries[layout.base as usize];
        // A whole buffer is wanted, not the beginning of a longer one.
        let whole = base.shape.elements() == layout.shape.elements();
        let empty = layout.shape.elements() == 0;
        // What is computed is given as it is computed with, whatever else reads it in 16 bits.
        let is_narrowed = base.work.is_computed() && !base.storage.is_native();
        let owned = empty || (whole && !is_narrowed && owns_buffer(number, layout.base, &base.work));
        resolved.push(if owned { layout } else { builder.copy(layout, dtype, node, stage) });
    }
    Ok(Entries { entries: builder.entries, roots: resolved, loops: builder.loops })
}

/// The operands of every node of a graph whose ordinals have no gaps, by their ordinals.
struct OperandTable {
    /// Where those of each node begin in the list, and where the last node's end.
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl OperandTable {
    fn new(graph: &Graph, ids: &[NodeId]) -> Result<OperandTable, GraphError> {
        let (mut starts, mut list) = (Vec::with_capacity(ids.len() + 1), Vec::with_capacity(2 * ids.len()));
        let mut failed = None;
        starts.push(0);
        for &id in ids {
            graph.read_node(id, |node| {
                node.op.for_each_operand(|operand| match graph.ordinal(operand) {
                    Ok(ordinal) => list.push(ordinal as u32),
                    Err(error) => failed = Some(error),
                });
            })?;
            starts.push(list.len() as u32);
        }
        failed.map_or(Ok(OperandTable { starts, list }), Err)
    }

    /// The operands of a node.
    fn of(&self, node: usize) -> &[u32] {
        &self.list[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

/// Marks what `roots` need with `stage`, where no earlier stage has.
fn mark_needed(
    graph: &Graph,
    operands: &OperandTable,
    roots: &[NodeId],
    stage: u8,
    stage_of: &mut [u8],
) -> Result<(), GraphError> {
    let mut needed = vec![false; stage_of.len()];
    for root in roots {
        needed[graph.ordinal(*root)?] = true;
    }
    for node in (0..stage_of.len()).rev() {
        if needed[node] {
            stage_of[node] = stage_of[node].min(stage);
            operands.of(node).iter().for_each(|&operand| needed[operand as usize] = true);
        }
    }
    Ok(())
}

/// Which nodes nothing but matrix products read, perhaps through further views: these read any axes, so that no elements need be brought
/// in order. A copy that others need anyway is what products read as well.
fn for_products_alone(
    graph: &Graph,
    nodes: &Nodes,
    operands: &OperandTable,
    roots: &[NodeId],
    stage_of: &[u8],
) -> Result<Vec<bool>, GraphError> {
    let mut alone = vec![true; stage_of.len()];
    for root in roots {
        alone[graph.ordinal(*root)?] = false;
    }
    for node in (0..stage_of.len()).rev() {
        if stage_of[node] == u8::MAX {
            continue;
        }
        let kind = nodes.kind(node as u32);
        let passes = matches!(kind, OpKind::MatMul | OpKind::Convolution) || (kind.is_view() && alone[node]);
        operands.of(node).iter().for_each(|&operand| alone[operand as usize] &= passes);
    }
    Ok(alone)
}
