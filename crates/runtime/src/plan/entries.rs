//! The graph as the planner sees it: the live nodes in a dense table, views resolved to layouts, and a copy inserted
//! wherever a kernel needs elements in another order than they stand, or reads each many times in another order.
//!
//! Invariants: entries are in topological order; every operand of an entry is a [`Layout`] whose base is an entry with a
//! buffer (a leaf or something computed), a constant, or empty; operands of kernels that are not elementwise are laid out
//! as those kernels need them.

mod builder;

use std::sync::Arc;

use arenagrad_graph::{
    AxisSet, Body, DType, Elements, Elementwise, Extents, Graph, GraphError, MatrixFunction, NodeId, Op,
    ReduceFunction, ScanResult, ScatterFunction, Shape, StorageType,
};
use arenagrad_kernels::{Factor, Instruction};
use smallvec::SmallVec;

pub(super) use builder::Builder;

use crate::plan::attention::AttentionWork;
use crate::plan::layout::Layout;
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
    /// The node that this computes, for names and stages.
    pub(crate) node: NodeId,
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
    roots: &[NodeId],
    stages: &[Vec<NodeId>],
    owns_buffer: &mut dyn FnMut(usize, u32, &Work) -> bool,
) -> Result<Entries, GraphError> {
    let bound = graph.ordinal_bound();
    let mut stage_of: Vec<u8> = vec![u8::MAX; bound];
    let ids = graph.ids();
    for (stage, nodes) in stages.iter().map(Vec::as_slice).chain([roots]).enumerate() {
        mark_needed(graph, &ids, nodes, stage as u8, &mut stage_of)?;
    }
    for &id in &ids {
        let node = graph.node(id)?;
        let Op::Elementwise(Elementwise::RoundTo { operand, .. }) = node.op else { continue };
        let value = graph.node(operand)?;
        if stage_of[node.ordinal as usize] != u8::MAX && !matches!(value.op, Op::Leaf(_)) {
            stage_of[node.ordinal as usize] = stage_of[value.ordinal as usize];
        }
    }

    let needed = |ordinal: usize| stage_of[ordinal] != u8::MAX;
    let storage = graph.declarations().iter().map(|declaration| declaration.storage).collect();
    let mut builder = Builder::new(storage, for_products_alone(graph, &ids, roots, &needed)?);
    let mut layouts: Vec<Option<Layout>> = vec![None; bound];
    for &id in &ids {
        let node = graph.node(id)?;
        let stage = stage_of[node.ordinal as usize];
        if stage == u8::MAX {
            continue;
        }
        let mut operands: SmallVec<[Layout; 1]> = SmallVec::new();
        let mut failed = None;
        node.op.for_each_operand(|operand| match graph.ordinal(operand) {
            Ok(ordinal) => operands.extend(layouts[ordinal].clone()),
            Err(error) => failed = Some(error),
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let layout = builder.add(id, &node, operands, stage);
        // A named view of an unnamed result names it: what a caller calls the loss is often a reshape of a sum.
        let base = &mut builder.entries[layout.base as usize];
        let whole = base.shape.elements() == node.shape.elements() && base.work.is_computed();
        if base.node != id && whole && graph.label(base.node).is_none() && graph.label(id).is_some() {
            base.node = id;
        }
        layouts[node.ordinal as usize] = Some(layout);
    }
    let mut resolved = Vec::with_capacity(roots.len());
    for (number, root) in roots.iter().enumerate() {
        let node = graph.node(*root)?;
        let Some(layout) = layouts[node.ordinal as usize].clone() else { continue };
        let stage = stage_of[node.ordinal as usize];
        let layout = builder.contiguous(layout, node.dtype, *root, stage);
        let base = &builder.entries[layout.base as usize];
        // A whole buffer is wanted, not the beginning of a longer one.
        let whole = base.shape.elements() == layout.shape.elements();
        let empty = layout.shape.elements() == 0;
        // What is computed is given as it is computed with, whatever else reads it in 16 bits.
        let is_narrowed = base.work.is_computed() && !base.storage.is_native();
        let owned = empty || (whole && !is_narrowed && owns_buffer(number, layout.base, &base.work));
        resolved.push(if owned { layout } else { builder.copy(layout, node.dtype, *root, stage) });
    }
    Ok(Entries { entries: builder.entries, roots: resolved, loops: builder.loops })
}

/// Marks what `roots` need with `stage`, where no earlier stage has.
fn mark_needed(
    graph: &Graph,
    ids: &[NodeId],
    roots: &[NodeId],
    stage: u8,
    stage_of: &mut [u8],
) -> Result<(), GraphError> {
    let mut needed = vec![false; stage_of.len()];
    for root in roots {
        needed[graph.ordinal(*root)?] = true;
    }
    for &id in ids.iter().rev() {
        let ordinal = graph.ordinal(id)?;
        if !needed[ordinal] {
            continue;
        }
        let node = graph.node(id)?;
        stage_of[ordinal] = stage_of[ordinal].min(stage);
        let mut failed = None;
        node.op.for_each_operand(|operand| match graph.ordinal(operand) {
            Ok(ordinal) => needed[ordinal] = true,
            Err(error) => failed = Some(error),
        });
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

/// Which nodes nothing but matrix products read, perhaps through further views: these read any axes, so that no elements need be brought
/// in order. A copy that others need anyway is what products read as well.
fn for_products_alone(
    graph: &Graph,
    ids: &[NodeId],
    roots: &[NodeId],
    needed: &dyn Fn(usize) -> bool,
) -> Result<Vec<bool>, GraphError> {
    let mut alone = vec![true; graph.ordinal_bound()];
    for root in roots {
        alone[graph.ordinal(*root)?] = false;
    }
    for &id in ids.iter().rev() {
        let node = graph.node(id)?;
        let ordinal = node.ordinal as usize;
        if !needed(ordinal) {
            continue;
        }
        let passes = match node.op {
            Op::MatMul { .. } | Op::Convolution { .. } => true,
            Op::View { .. } => alone[ordinal],
            Op::Leaf(_)
            | Op::Uniform { .. }
            | Op::Elementwise(_)
            | Op::StopGradient { .. }
            | Op::CustomGradient { .. }
            | Op::Assembly(_)
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::Attention(_)
            | Op::Ordered(_)
            | Op::Indexing(_)
            | Op::Scan { .. }
            | Op::AllReduce { .. }
            | Op::LinearAlgebra { .. } => false,
        };
        let mut failed = None;
        node.op.for_each_operand(|operand| match graph.ordinal(operand) {
            Ok(ordinal) => alone[ordinal] &= passes,
            Err(error) => failed = Some(error),
        });
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(alone)
}
