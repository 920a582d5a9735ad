//! The graph as the planner sees it: the live nodes in a dense table, views resolved to layouts, and a copy inserted
//! wherever a kernel needs elements in another order than they stand.
//!
//! Invariants: entries are in topological order; every operand of an entry is a [`Layout`] whose base is an entry with a
//! buffer (a leaf or something computed), a constant, or empty; operands of kernels that are not elementwise are laid out
//! as those kernels need them.

use std::collections::HashMap;
use std::sync::Arc;

use arenagrad_graph::{
    Arrangement, Assembly, AxisSet, Body, DType, Elements, Graph, GraphError, Indexing, Leaf, MatrixFunction, Node,
    NodeId, Op, ReduceFunction, ScanResult, ScatterFunction, Shape, StorageType,
};
use arenagrad_kernels::Factor;
use smallvec::SmallVec;

use crate::plan::attention::{self, AttentionWork, Computations};
use crate::plan::layout::Layout;
use crate::plan::ordered::Along;
use crate::plan::stored;

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
    Elementwise(Option<Op>),
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
        lows: SmallVec<[usize; 4]>,
        interiors: SmallVec<[usize; 4]>,
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

/// A region of a concatenation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Region {
    /// Where it begins along each axis.
    pub(crate) start: SmallVec<[usize; 4]>,
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
/// `stages[i]` lists the nodes up to which stage `i` reaches: an entry belongs to the first stage one of whose nodes needs it.
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

    let needed = |ordinal: usize| stage_of[ordinal] != u8::MAX;
    let mut builder = Builder {
        entries: Vec::new(),
        is_for_products: for_products_alone(graph, &ids, roots, &needed)?,
        computations: Computations::default(),
        brought: HashMap::new(),
        storage: graph.declarations().iter().map(|declaration| declaration.storage).collect(),
        loops: Vec::new(),
        first_results: HashMap::new(),
    };
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

/// The distance of neighbours, in elements, up to which a line of the cache holds several of them.
const NEAR: usize = 4;

pub(super) struct Builder {
    pub(super) entries: Vec<Entry>,
    /// By ordinal, which nodes nothing but matrix products read.
    is_for_products: Vec<bool>,
    /// The storage type of each declaration.
    storage: Vec<StorageType>,
    /// The bodies of the loops so far.
    loops: Vec<Arc<Body>>,
    /// The entries of the first results of the loops over these operands.
    first_results: HashMap<Box<[NodeId]>, Vec<u32>>,
    /// The computations of attention so far.
    computations: Computations,
    /// The operands of each, where its kernel can read them.
    brought: HashMap<u32, SmallVec<[Layout; 1]>>,
}

impl Builder {
    /// Adds what a node needs and returns where its elements stand.
    fn add(&mut self, id: NodeId, node: &Node, operands: SmallVec<[Layout; 1]>, stage: u8) -> Layout {
        let Node { op, shape, dtype, ordinal, .. } = node;
        let (node, dtype) = (id, *dtype);
        let entry = |work, operands| {
            let (shape, storage) = (shape.clone(), dtype.into());
            Entry { work, operands, shape, dtype, storage, node, stage }
        };
        let declared = |work, storage| Entry { storage, ..entry(work, SmallVec::new()) };
        let none = SmallVec::new;
        if shape.elements() == 0 {
            // An empty input still has to be given, and an empty parameter saved; nothing else is left of them.
            return match op {
                Op::Leaf(Leaf::Input { declaration }) => {
                    self.push(declared(Work::Input(*declaration), self.storage[*declaration as usize]))
                }
                Op::Leaf(Leaf::Parameter { declaration }) => {
                    self.push(declared(Work::Parameter(*declaration), self.storage[*declaration as usize]))
                }
                Op::Leaf(Leaf::Constant { .. } | Leaf::Literal { .. } | Leaf::Iota { .. })
                | Op::Uniform { .. }
                | Op::Elementwise(_)
                | Op::StopGradient { .. }
                | Op::CustomGradient { .. }
                | Op::Leaf(Leaf::Placeholder)
                | Op::View { .. }
                | Op::Assembly(_)
                | Op::Reduce { .. }
                | Op::ArgMax { .. }
                | Op::Ordered(_)
                | Op::MatMul { .. }
                | Op::Attention(_)
                | Op::Convolution { .. }
                | Op::Indexing(_)
                | Op::Scan { .. }
                | Op::AllReduce { .. }
                | Op::LinearAlgebra { .. } => self.push(entry(Work::Empty, none())),
            };
        }
        match op {
            Op::Leaf(Leaf::Input { declaration }) => {
                self.push(declared(Work::Input(*declaration), self.storage[*declaration as usize]))
            }
            Op::Leaf(Leaf::Parameter { declaration }) => {
                self.push(declared(Work::Parameter(*declaration), self.storage[*declaration as usize]))
            }
            Op::Leaf(Leaf::Constant { value }) => self.push(entry(Work::Constant(*value), none())),
            Op::Leaf(Leaf::Literal { data }) => self.push(declared(Work::Literal(data.clone()), data.storage())),
            Op::Leaf(Leaf::Iota { axis }) => {
                let work = Work::Iota { inner: shape.strides()[*axis], extent: shape[*axis] };
                self.push(entry(work, none()))
            }
            Op::Uniform { .. } => {
                // The step is one number for all elements, so a program reads it through a repeated view.
                let step = [operands[0].broadcast(shape)].into_iter().collect();
                let operands = self.readable(step, node, stage);
                self.push(entry(Work::Elementwise(Some(op.clone())), operands))
            }
            Op::Elementwise(elementwise) => {
                let operands = self.readable(operands, node, stage);
                let storage = stored::of_elementwise(elementwise, dtype);
                self.push(Entry { storage, ..entry(Work::Elementwise(Some(op.clone())), operands) })
            }
            Op::StopGradient { .. } | Op::CustomGradient { .. } => operands[0].clone(),
            Op::Leaf(Leaf::Placeholder) => unreachable!("a plan is refused where a placeholder is needed"),
            Op::View { arrangement: Arrangement::Permute { axes }, .. } => operands[0].permuted(axes),
            Op::View { arrangement: Arrangement::Broadcast, .. } => operands[0].broadcast(shape),
            Op::View { arrangement: Arrangement::Slice { starts, steps }, .. } => {
                let steps: SmallVec<[isize; 4]> = steps.iter().map(|&step| step as isize).collect();
                operands[0].sliced(starts, &steps, shape).unwrap_or_else(|| {
                    let copied = self.copy(operands[0].clone(), dtype, node, stage);
                    let sliced = copied.sliced(starts, &steps, shape);
                    sliced.unwrap_or_else(|| unreachable!("a copy has one axis for each of its shape"))
                })
            }
            Op::View { arrangement: Arrangement::Flip { axes }, .. } => operands[0].flipped(*axes),
            Op::View { arrangement: Arrangement::Windows { axes, extents, steps, dilations }, .. } => {
                let numbers = [&extents[..], steps, dilations];
                operands[0].windows(axes, numbers, shape).unwrap_or_else(|| {
                    let copied = self.copy(operands[0].clone(), dtype, node, stage);
                    let windows = copied.windows(axes, numbers, shape);
                    windows.unwrap_or_else(|| unreachable!("a copy has one axis for each of its shape"))
                })
            }
            Op::View { arrangement: Arrangement::Reshape, .. } => match operands[0].reshaped(shape) {
                Some(layout) if layout.is_plain() || self.is_for_products[*ordinal as usize] => layout,
                Some(_) | None => {
                    let operands = self.readable(operands, node, stage);
                    self.push(entry(Work::Elementwise(None), operands))
                }
            },
            Op::Reduce { function, axes, .. } => {
                if operands[0].shape.elements() == 0 {
                    // `simplify` has refused a largest or smallest element of none.
                    let value = if *function == ReduceFunction::Product { 1.0 } else { 0.0 };
                    return self.push(entry(Work::Constant(value), none()));
                }
                let operands = self.readable(operands, node, stage);
                self.push(entry(Work::Reduce { function: *function, axes: *axes }, operands))
            }
            Op::ArgMax { axis, .. } => {
                let operand_dtype = self.entries[operands[0].base as usize].dtype;
                let operand = self.contiguous(operands[0].clone(), operand_dtype, node, stage);
                let operand = self.widened(operand, operand_dtype, node, stage);
                self.push(entry(Work::ArgMax { axis: *axis }, [operand].into_iter().collect()))
            }
            Op::Ordered(ordered) => self.ordered(*ordered, operands, entry(Work::Empty, none())),
            Op::MatMul { transpose_lhs, transpose_rhs, .. } => {
                let shape = &operands[0].shape;
                if shape[shape.rank() - if *transpose_lhs { 2 } else { 1 }] == 0 {
                    return self.push(entry(Work::Constant(0.0), none()));
                }
                let lhs = self.matrix(operands[0].clone(), *transpose_lhs, dtype, node, stage);
                let rhs = self.matrix(operands[1].clone(), *transpose_rhs, dtype, node, stage);
                self.push(entry(Work::MatMul, [lhs, rhs].into_iter().collect()))
            }
            Op::Attention(_) => self.attention(op, operands, (id, shape, dtype), stage),
            Op::Convolution { .. } => unreachable!("optimised graphs hold no convolutions: they are products there"),
            Op::Indexing(Indexing::Gather { axis, .. }) => {
                if operands[0].shape.elements() == 0 {
                    // Every index is out of range.
                    let value = if dtype.is_float() { f64::NAN } else { 0.0 };
                    return self.push(entry(Work::Constant(value), none()));
                }
                let data = self.contiguous(operands[0].clone(), dtype, node, stage);
                let indices = self.buffered(operands[1].clone(), DType::I32, node, stage);
                let indices = self.widened(indices, DType::I32, node, stage);
                self.push(entry(Work::Gather { axis: *axis }, [data, indices].into_iter().collect()))
            }
            Op::Indexing(indexing @ (Indexing::ScatterAdd { axis, .. } | Indexing::ScatterReduce { axis, .. })) => {
                if operands[1].shape.elements() == 0 {
                    return operands[0].clone();
                }
                let data = self.contiguous(operands[0].clone(), dtype, node, stage);
                let data = self.widened(data, dtype, node, stage);
                let indices = self.buffered(operands[1].clone(), DType::I32, node, stage);
                let indices = self.widened(indices, DType::I32, node, stage);
                let updates = self.buffered(operands[2].clone(), dtype, node, stage);
                let updates = self.widened(updates, dtype, node, stage);
                let work = match indexing {
                    Indexing::ScatterReduce { function, .. } => {
                        Work::ScatterReduce { function: *function, axis: *axis }
                    }
                    Indexing::ScatterAdd { .. } | Indexing::Gather { .. } => {
                        Work::ScatterAdd { axis: *axis, factor: None }
                    }
                };
                self.push(entry(work, [data, indices, updates].into_iter().collect()))
            }
            Op::AllReduce { .. } => {
                let operand = self.contiguous(operands[0].clone(), dtype, node, stage);
                let operand = self.widened(operand, dtype, node, stage);
                self.push(entry(Work::AllReduce, [operand].into_iter().collect()))
            }
            Op::LinearAlgebra { function, .. } => {
                if operands[0].shape.elements() == 0 {
                    // The determinant of a matrix without rows is the product of nothing.
                    return self.push(entry(Work::Constant(1.0), none()));
                }
                let mut matrices = SmallVec::new();
                for operand in operands {
                    let operand = self.contiguous(operand, dtype, node, stage);
                    matrices.push(self.widened(operand, dtype, node, stage));
                }
                self.push(entry(Work::LinearAlgebra { function: *function }, matrices))
            }
            Op::Assembly(Assembly::Pad { lows, interiors, value, .. }) => {
                if operands[0].shape.elements() == 0 {
                    return self.push(entry(Work::Constant(*value), none()));
                }
                let operand = self.buffered(operands[0].clone(), dtype, node, stage);
                let work = Work::Pad { lows: lows.clone(), interiors: interiors.clone(), value: *value };
                let storage = stored::of_pieces(&self.entries, std::slice::from_ref(&operand), Some(*value), dtype);
                self.push(Entry { storage, ..entry(work, [operand].into_iter().collect()) })
            }
            Op::Assembly(Assembly::Concat { axis, .. }) => {
                // Where operands are one constant the result is filled with it, instead of copied from buffers of it.
                let constant = |operand: &Layout| {
                    let Work::Constant(value) = self.entries[operand.base as usize].work else { return None };
                    Some(value.to_bits())
                };
                let fill = operands.iter().find_map(constant);
                let is_filled: SmallVec<[bool; 4]> =
                    operands.iter().map(|operand| fill.is_some() && constant(operand) == fill).collect();
                if let Some(value) = fill.filter(|_| is_filled.iter().all(|&is_filled| is_filled)) {
                    return self.push(entry(Work::Constant(f64::from_bits(value)), none()));
                }
                let mut pieces = SmallVec::with_capacity(operands.len());
                for (operand, is_filled) in operands.into_iter().zip(is_filled) {
                    pieces.push(if is_filled { operand } else { self.buffered(operand, dtype, node, stage) });
                }
                let mut start = 0;
                let regions = pieces.iter().map(|piece: &Layout| {
                    let mut region =
                        Region { start: smallvec::smallvec![0; shape.rank()], extents: piece.shape.clone() };
                    region.start[*axis] = start;
                    start += piece.shape[*axis];
                    region
                });
                let regions = regions.collect();
                let storage = stored::of_pieces(&self.entries, &pieces, None, dtype);
                self.push(Entry { storage, ..entry(Work::Concat { regions }, pieces) })
            }
            Op::Scan { body, operands: ids, result } => {
                let known = self.first_results.get(ids).into_iter().flatten().find_map(|&first| {
                    let Work::Scan { number, .. } = self.entries[first as usize].work else { return None };
                    (*self.loops[number as usize] == **body).then_some((number, first))
                });
                let (number, operands) = match known {
                    Some((number, first)) => (number, self.entries[first as usize].operands.clone()),
                    None => {
                        let mut whole = SmallVec::new();
                        for operand in operands {
                            let dtype = self.entries[operand.base as usize].dtype;
                            let operand = self.contiguous(operand, dtype, node, stage);
                            whole.push(self.widened(operand, dtype, node, stage));
                        }
                        self.loops.push(Arc::clone(body));
                        self.first_results.entry(ids.clone()).or_default().push(self.entries.len() as u32);
                        (self.loops.len() as u32 - 1, whole)
                    }
                };
                self.push(entry(Work::Scan { number, result: *result }, operands))
            }
        }
    }

    /// Adds a result of attention, whose operands are brought to where its kernel can read them.
    fn attention(
        &mut self,
        op: &Op,
        operands: SmallVec<[Layout; 1]>,
        (node, shape, dtype): (NodeId, &Shape, DType),
        stage: u8,
    ) -> Layout {
        let Op::Attention(attention) = op else { unreachable!("a result of attention") };
        let entry =
            |work, operands| Entry { work, operands, shape: shape.clone(), dtype, storage: dtype.into(), node, stage };
        if let Some(value) = attention::of_no_pairs(attention.result, &operands[0].shape, &operands[1].shape) {
            return self.push(entry(Work::Constant(value), SmallVec::new()));
        }
        let work = AttentionWork {
            result: attention.result,
            computation: self.computations.number(attention),
            is_causal: attention.is_causal,
            scale: attention.scale,
            has_mask: attention.mask.is_some(),
        };
        // Results of one computation read the same.
        if let Some(brought) = self.brought.get(&work.computation) {
            let brought = brought.clone();
            return self.push(entry(Work::Attention(work), brought));
        }
        let rank = operands[0].shape.rank();
        let scores: Shape =
            operands[0].shape[..rank - 1].iter().copied().chain([operands[1].shape[rank - 2]]).collect();
        let has_mask = attention.mask.is_some();
        let upstream = 3 + usize::from(has_mask);
        let mut brought: SmallVec<[Layout; 1]> = SmallVec::with_capacity(operands.len());
        for (place, operand) in operands.into_iter().enumerate() {
            let is_mask = has_mask && place == 3;
            let dtype = if is_mask { self.entries[operand.base as usize].dtype } else { dtype };
            let operand = self.buffered(operand, dtype, node, stage);
            let operand = self.widened(operand, dtype, node, stage);
            brought.push(if is_mask {
                let is_readable = attention::has_even_axes(&operand);
                let mask = if is_readable { operand } else { self.copy(operand, dtype, node, stage) };
                mask.broadcast(&scores)
            } else if place > upstream {
                self.contiguous(operand, dtype, node, stage)
            } else if attention::has_rows(&operand) {
                operand
            } else {
                self.copy(operand, dtype, node, stage)
            });
        }
        self.brought.insert(work.computation, brought.clone());
        self.push(entry(Work::Attention(work), brought))
    }

    pub(super) fn push(&mut self, entry: Entry) -> Layout {
        let layout = Layout::contiguous(self.entries.len() as u32, &entry.shape);
        self.entries.push(entry);
        layout
    }

    /// A layout whose base has a buffer: inlined bases (constants, coordinates) are computed into one.
    fn buffered(&mut self, layout: Layout, dtype: DType, node: NodeId, stage: u8) -> Layout {
        match self.entries[layout.base as usize].work {
            Work::Constant(_) => self.copy(layout, dtype, node, stage),
            Work::Iota { .. } => {
                let own = Layout::contiguous(layout.base, &self.entries[layout.base as usize].shape);
                let computed = self.copy(own, DType::I32, node, stage);
                layout.on(computed.base)
            }
            Work::Input(_)
            | Work::Parameter(_)
            | Work::Literal(_)
            | Work::Empty
            | Work::Elementwise(_)
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
            | Work::LinearAlgebra { .. } => layout,
        }
    }

    /// A layout that is contiguous in a buffer.
    pub(super) fn contiguous(&mut self, layout: Layout, dtype: DType, node: NodeId, stage: u8) -> Layout {
        let layout = self.buffered(layout, dtype, node, stage);
        if layout.is_contiguous() { layout } else { self.copy(layout, dtype, node, stage) }
    }

    /// A layout over a buffer that holds values as they are, for kernels that do not widen what they read.
    pub(super) fn widened(&mut self, layout: Layout, dtype: DType, node: NodeId, stage: u8) -> Layout {
        let is_native = self.entries[layout.base as usize].storage.is_native();
        if is_native { layout } else { self.copy(layout, dtype, node, stage) }
    }

    /// Operands that a program can read: a coordinate that is not in its own order is computed into a buffer first.
    fn readable(&mut self, operands: SmallVec<[Layout; 1]>, node: NodeId, stage: u8) -> SmallVec<[Layout; 1]> {
        let mut readable = SmallVec::with_capacity(operands.len());
        for operand in operands {
            let base = &self.entries[operand.base as usize];
            let in_order = operand.is_contiguous() && operand.shape.elements() == base.shape.elements();
            let needs_buffer = matches!(base.work, Work::Iota { .. }) && !in_order;
            readable.push(if needs_buffer { self.buffered(operand, DType::I32, node, stage) } else { operand });
        }
        readable
    }

    /// A layout for a matrix product to read, after transposition. Products read any axes, each element about once, so a copy in their
    /// order would only be one more pass; unless neighbours along rows and columns are both far apart: then each element that
    /// is read brings a whole line of the cache with it.
    fn matrix(&mut self, layout: Layout, transposed: bool, dtype: DType, node: NodeId, stage: u8) -> Layout {
        let layout = self.buffered(layout, dtype, node, stage);
        let rank = layout.shape.rank();
        let layout = if transposed {
            let mut axes: SmallVec<[usize; 4]> = (0..rank).collect();
            axes.swap(rank - 1, rank - 2);
            layout.permuted(&axes)
        } else {
            layout
        };
        let is_near = |axis: usize| {
            let inner = layout.axes_of(axis).iter().rev().find(|axis| axis.extent > 1);
            inner.is_none_or(|inner| inner.stride.unsigned_abs() <= NEAR)
        };
        let view = layout.view();
        let shares_elements = view.distinct() < view.elements();
        if is_near(rank - 1) || is_near(rank - 2) || shares_elements {
            layout
        } else {
            self.copy(layout, dtype, node, stage)
        }
    }

    fn copy(&mut self, layout: Layout, dtype: DType, node: NodeId, stage: u8) -> Layout {
        let shape = layout.shape.clone();
        let operands = [layout].into_iter().collect();
        self.push(Entry { work: Work::Elementwise(None), operands, shape, dtype, storage: dtype.into(), node, stage })
    }
}
