//! How a node becomes an entry: where its elements stand, and which copies its kernel needs.
//!
//! Invariant: entries are only added, each after what it reads. Which nodes are needed, and in which stage, others know.

use std::collections::HashMap;
use std::sync::Arc;

use arenagrad_graph::{
    Arrangement, Assembly, Body, DType, Indexing, Leaf, Node, NodeId, Op, ReduceFunction, Shape, StorageType, Windows,
};
use smallvec::SmallVec;

use crate::plan::attention::{self, AttentionWork, Computations};
use crate::plan::entries::{ElementOp, Entry, Region, Work};
use crate::plan::layout::Layout;
use crate::plan::stored;

/// The distance of neighbours, in elements, up to which a line of the cache holds several of them.
const NEAR: usize = 4;

/// How often each element is read by one kernel from which on a copy in the order of reading costs less, where neighbours are farther apart.
const OFTEN: usize = 8;

/// The fewest elements of such a kernel.
const MANY: usize = 1 << 16;

/// The entries so far, and what is known of them.
pub(in crate::plan) struct Builder {
    pub(in crate::plan) entries: Vec<Entry>,
    /// By ordinal, which nodes nothing but matrix products read.
    is_for_products: Vec<bool>,
    /// The storage type of each declaration.
    storage: Vec<StorageType>,
    /// The bodies of the loops so far.
    pub(super) loops: Vec<Arc<Body>>,
    /// The entries of the first results of the loops over these operands.
    first_results: HashMap<Box<[NodeId]>, Vec<u32>>,
    /// The computations of attention so far.
    computations: Computations,
    /// The operands of each, where its kernel can read them.
    brought: HashMap<u32, SmallVec<[Layout; 1]>>,
    /// A layout of each shape of an entry, whose form the others have too.
    row_major: HashMap<Shape, Layout>,
    /// Copies of what is read often: of which entry in which stage, and of which elements.
    ordered: HashMap<(u32, u8), Vec<(Layout, Layout)>>,
}

impl Builder {
    /// No entries yet, of a graph whose declarations have these storage types.
    pub(super) fn new(storage: Vec<StorageType>, is_for_products: Vec<bool>) -> Self {
        Builder {
            entries: Vec::new(),
            is_for_products,
            storage,
            loops: Vec::new(),
            first_results: HashMap::new(),
            computations: Computations::default(),
            brought: HashMap::new(),
            row_major: HashMap::new(),
            ordered: HashMap::new(),
        }
    }

    /// Adds what a node needs and returns where its elements stand.
    pub(super) fn add(&mut self, node: &Node, operands: SmallVec<[Layout; 1]>, stage: u8) -> Layout {
        let Node { op, shape, dtype, ordinal, .. } = node;
        let (node, dtype) = (*ordinal, *dtype);
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
            Op::Uniform { seed, .. } => {
                // The step is one number for all elements, so a program reads it through a repeated view.
                let step = [operands[0].broadcast(shape)].into_iter().collect();
                let operands = self.readable(step, node, stage);
                self.push(entry(Work::Elementwise(Some(ElementOp::Uniform { seed: *seed })), operands))
            }
            Op::Elementwise(elementwise) => {
                let operands = self.readable(operands, node, stage);
                let storage = stored::of_elementwise(elementwise, dtype);
                let op = ElementOp::of(elementwise);
                self.push(Entry { storage, ..entry(Work::Elementwise(Some(op)), operands) })
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
            Op::View { arrangement: Arrangement::Windows(windows), .. } => {
                let Windows { axes, extents, steps, dilations } = &**windows;
                let numbers = [&extents[..], steps, dilations];
                operands[0].windows(axes, numbers, shape).unwrap_or_else(|| {
                    let copied = self.copy(operands[0].clone(), dtype, node, stage);
                    let windows = copied.windows(axes, numbers, shape);
                    windows.unwrap_or_else(|| unreachable!("a copy has one axis for each of its shape"))
                })
            }
            Op::View { arrangement: Arrangement::Reshape, .. } => match operands[0].reshaped(shape) {
                Some(layout) if layout.is_plain() || self.is_for_products[node as usize] => layout,
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
            Op::Attention(_) => self.attention(op, operands, (node, shape, dtype), stage),
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
                    let mut region = Region { start: vec![0; shape.rank()].into(), extents: piece.shape.clone() };
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
        (node, shape, dtype): (u32, &Shape, DType),
        stage: u8,
    ) -> Layout {
        let Op::Attention(attention) = op else { unreachable!("a result of attention") };
        let entry =
            |work, operands| Entry { work, operands, shape: shape.clone(), dtype, storage: dtype.into(), node, stage };
        if attention::has_no_pairs(&operands[0].shape, &operands[1].shape) {
            return self.push(entry(Work::Constant(0.0), SmallVec::new()));
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

    pub(in crate::plan) fn push(&mut self, entry: Entry) -> Layout {
        let number = self.entries.len() as u32;
        let layout = match self.row_major.get(&entry.shape) {
            Some(known) => known.clone().on(number),
            None => {
                let layout = Layout::contiguous(number, &entry.shape);
                self.row_major.insert(entry.shape.clone(), layout.clone());
                layout
            }
        };
        self.entries.push(entry);
        layout
    }

    /// A layout whose base has a buffer: inlined bases (constants, coordinates) are computed into one.
    fn buffered(&mut self, layout: Layout, dtype: DType, node: u32, stage: u8) -> Layout {
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
    pub(in crate::plan) fn contiguous(&mut self, layout: Layout, dtype: DType, node: u32, stage: u8) -> Layout {
        let layout = self.buffered(layout, dtype, node, stage);
        if layout.is_contiguous() { layout } else { self.copy(layout, dtype, node, stage) }
    }

    /// A layout over a buffer that holds values as they are, for kernels that do not widen what they read.
    pub(in crate::plan) fn widened(&mut self, layout: Layout, dtype: DType, node: u32, stage: u8) -> Layout {
        let is_native = self.entries[layout.base as usize].storage.is_native();
        if is_native { layout } else { self.copy(layout, dtype, node, stage) }
    }

    /// Operands that a program can read: a coordinate that is not in its own order is computed into a buffer first, and what is read again and again with
    /// each neighbour on a line of the cache of its own is brought in order.
    fn readable(&mut self, operands: SmallVec<[Layout; 1]>, node: u32, stage: u8) -> SmallVec<[Layout; 1]> {
        let mut readable = SmallVec::with_capacity(operands.len());
        for operand in operands {
            let base = &self.entries[operand.base as usize];
            let in_order = operand.is_contiguous() && operand.shape.elements() == base.shape.elements();
            let needs_buffer = matches!(base.work, Work::Iota { .. }) && !in_order;
            let operand = if needs_buffer { self.buffered(operand, DType::I32, node, stage) } else { operand };
            readable.push(self.near(operand, node, stage));
        }
        readable
    }

    /// A layout for a program to read: of a copy in order, if elements are repeated often and neighbours stand apart.
    fn near(&mut self, layout: Layout, node: u32, stage: u8) -> Layout {
        let view = layout.view();
        let is_apart = view.axes().last().is_some_and(|inner| inner.stride.unsigned_abs() > NEAR);
        if !is_apart || view.elements() < MANY || self.entries[layout.base as usize].work.is_inlined() {
            return layout;
        }
        let is_repeated = |axis: usize| matches!(layout.axes_of(axis), [own] if own.stride == 0);
        let rank = layout.shape.rank();
        let once: Shape = (0..rank).map(|axis| if is_repeated(axis) { 1 } else { layout.shape[axis] }).collect();
        let (starts, steps): (SmallVec<[usize; 8]>, SmallVec<[isize; 8]>) = (0..rank).map(|_| (0, 1)).unzip();
        let Some(elements) = layout.sliced(&starts, &steps, &once) else { return layout };
        if once.elements().saturating_mul(OFTEN) > view.elements() {
            return layout;
        }
        let key = (layout.base, stage);
        let known = self.ordered.get(&key).into_iter().flatten().find(|(of, _)| *of == elements);
        let copied = known.map(|(_, copied)| copied.clone()).unwrap_or_else(|| {
            let dtype = self.entries[layout.base as usize].dtype;
            let copied = self.copy(elements.clone(), dtype, node, stage);
            self.ordered.entry(key).or_default().push((elements, copied.clone()));
            copied
        });
        copied.broadcast(&layout.shape)
    }

    /// A layout for a matrix product to read, after transposition. Products read any axes, each element about once, so a copy in their
    /// order would only be one more pass; unless neighbours along rows and columns are both far apart: then each element that
    /// is read brings a whole line of the cache with it.
    fn matrix(&mut self, layout: Layout, transposed: bool, dtype: DType, node: u32, stage: u8) -> Layout {
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

    pub(super) fn copy(&mut self, layout: Layout, dtype: DType, node: u32, stage: u8) -> Layout {
        let shape = layout.shape.clone();
        let operands = [layout].into_iter().collect();
        self.push(Entry { work: Work::Elementwise(None), operands, shape, dtype, storage: dtype.into(), node, stage })
    }
}
