//! Tensors taken apart along an axis, and with a part replaced.
//!
//! Parts are slices, so they are views, and what flows back to them is put together as one gradient. A part that is replaced stands
//! between what is left before and behind it, in one concatenation; elements that are no neighbours are scattered to their places. A plan makes
//! either cost what it writes, where nothing else needs the tensor any more.

use crate::error::GraphError;
use crate::expr::{Expr, Position};
use crate::method::Method;
use crate::node::Origin;

impl<'g> Expr<'g> {
    /// The slices at all positions along an axis, which falls away: `[a, n, b]` is `n` times `[a, b]`. (PyTorch's `unbind`.)
    ///
    /// Errors, to the caller alone: an axis that there is not.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let rows = g.input("x", [3, 4]).unbind(0)?;
    /// assert_eq!((rows.len(), rows[2].shape()?.dims()), (3, &[4][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn unbind(self, axis: isize) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter("unbind");
        let parts = self.parts_along("unbind", axis, &method, |extent, _| {
            Ok((0..extent).map(|index| (index, index + 1)).collect())
        })?;
        let squeezed = |part: Expr<'g>| self.graph().at(method.origin(), || part.squeeze(axis)).check();
        let parts = parts.into_iter().map(squeezed).collect::<Result<Vec<_>, _>>()?;
        method.gives(&parts);
        Ok(parts)
    }

    /// Parts of `size` elements along an axis, the last of what is left: `[7]` is `[3], [3], [1]` by `split(3, 0)`. (PyTorch's `split` with a
    /// number.) An empty axis is one empty part.
    ///
    /// Errors, to the caller alone: an axis that there is not; a size of 0 of an axis that is not empty.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [7]).split(3, 0)?[2].shape()?.dims(), [1]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn split(self, size: usize, axis: isize) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter("split");
        self.parts_along("split", axis, &method, |extent, origin| match (extent, size) {
            (0, _) => Ok(vec![(0, 0)]),
            (_, 0) => {
                let (op, what, expected) = ("split", "the size of a part", "at least 1");
                Err(GraphError::Argument { origin, op, what, value: 0.0, expected })
            }
            (extent, size) => pieces("split", extent, size, origin),
        })
    }

    /// Parts of `sizes[i]` elements each along an axis. (PyTorch's `split` with a list, and `split_with_sizes`.)
    ///
    /// Errors, to the caller alone: an axis that there is not; sizes that do not add up to its extent.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [7]).split_sizes([5, 2], 0)?[0].shape()?.dims(), [5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn split_sizes(self, sizes: impl AsRef<[usize]>, axis: isize) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter("split_sizes");
        let sizes = sizes.as_ref();
        self.parts_along("split_sizes", axis, &method, |extent, origin| {
            let total = sizes.iter().fold(0usize, |total, &size| total.saturating_add(size));
            if total != extent {
                let (op, operand, shape) = ("split_sizes", self.describe(), self.shape()?);
                let axis = self.resolve_axis(op, &shape, axis, origin)?;
                return Err(GraphError::Sizes { origin, op, operand, shape, axis, extent, total });
            }
            let mut start = 0;
            let part = |&size: &usize| {
                start += size;
                (start - size, start)
            };
            Ok(sizes.iter().map(part).collect())
        })
    }

    /// At most `chunks` parts of equal size along an axis, rounded up; the last has what is left, and there may be fewer. (PyTorch's
    /// `chunk`.) An empty axis is as many empty parts as were asked for.
    ///
    /// Errors, to the caller alone: an axis that there is not; 0 chunks.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [5, 6]).chunk(4, 1)?.len(), 3);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn chunk(self, chunks: usize, axis: isize) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter("chunk");
        self.parts_along("chunk", axis, &method, |extent, origin| match (extent, chunks) {
            (_, 0) => {
                let (op, what, expected) = ("chunk", "the number of chunks", "at least 1");
                Err(GraphError::Argument { origin, op, what, value: 0.0, expected })
            }
            (0, chunks) => {
                let chunks = few_parts("chunk", chunks, origin)?;
                Ok(vec![(0, 0); chunks])
            }
            (extent, chunks) => pieces("chunk", extent, extent.div_ceil(chunks), origin),
        })
    }

    /// Exactly `sections` parts along an axis, of sizes that differ by one at most, the larger ones first. (PyTorch's `tensor_split` with a
    /// number.)
    ///
    /// Errors, to the caller alone: an axis that there is not; 0 sections.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [5]).tensor_split(3, 0)?[2].shape()?.dims(), [1]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn tensor_split(self, sections: usize, axis: isize) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter("tensor_split");
        self.parts_along("tensor_split", axis, &method, |extent, origin| {
            if sections == 0 {
                let (op, what, expected) = ("tensor_split", "the number of sections", "at least 1");
                return Err(GraphError::Argument { origin, op, what, value: 0.0, expected });
            }
            let sections = few_parts("tensor_split", sections, origin)?;
            let (size, larger) = (extent / sections, extent % sections);
            let start = |section: usize| section * size + section.min(larger);
            Ok((0..sections).map(|section| (start(section), start(section + 1))).collect())
        })
    }

    /// The parts of an axis before, between and behind the positions `indices`, which count from the end where they are negative, and stop at
    /// either end of the axis: `[0..i0], [i0..i1], .., [ik..n]`, one part more than there are indices. A part whose end comes before its
    /// start is empty. (PyTorch's `tensor_split` with indices.)
    ///
    /// Errors, to the caller alone: an axis that there is not.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [5]).tensor_split_at([1, -1], 0)?[1].shape()?.dims(), [3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn tensor_split_at(self, indices: impl AsRef<[isize]>, axis: isize) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter("tensor_split_at");
        let indices = indices.as_ref();
        self.parts_along("tensor_split_at", axis, &method, |extent, _| {
            let counted = |&index: &isize| match index {
                ..0 => extent.saturating_sub(index.unsigned_abs()),
                0.. => extent.min(index as usize),
            };
            let starts = std::iter::once(0).chain(indices.iter().map(counted));
            let ends = indices.iter().map(counted).chain([extent]);
            Ok(starts.zip(ends).map(|(start, end)| (start, end.max(start))).collect())
        })
    }

    /// The slices of an axis from the first to before the second number of each pair that `ranges` gives for its extent.
    fn parts_along(
        self,
        op: &'static str,
        axis: isize,
        method: &Method<'g>,
        ranges: impl FnOnce(usize, Origin) -> Result<Vec<(usize, usize)>, GraphError>,
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let (graph, origin) = (self.graph(), method.origin());
        let shape = self.shape()?;
        let parts: Result<Vec<Expr<'g>>, GraphError> = graph.attempt(|| {
            let axis = self.resolve_axis(op, &shape, axis, origin).map_err(|error| graph.in_method(error))?;
            let ranges = ranges(shape[axis], origin).map_err(|error| graph.in_method(error))?;
            let part = |(start, end)| self.slice_node(axis as isize, start, end, 1, origin).check();
            ranges.into_iter().map(part).collect()
        });
        if let Ok(parts) = &parts {
            method.gives(parts);
        }
        parts
    }

    /// This with `source` in the place of the slice at one position along an axis, `source` being without that axis:
    /// what [`Expr::select_index`] with the same numbers would take of the result is `source`. (PyTorch's `select_scatter`.) Any dtype,
    /// the same of both. The gradient of the elements that were replaced is 0.
    ///
    /// Errors: an axis that there is not; a position outside `-n..n`; a source of another shape or dtype than the slice.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let x = g.input("x", [3, 4]);
    /// assert_eq!(x.select_scatter(g.input("row", [4]), 0, -1).shape()?.dims(), [3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn select_scatter(self, source: Expr<'g>, axis: isize, index: impl Position) -> Expr<'g> {
        let method = self.enter("select_scatter");
        let (origin, op) = (method.origin(), "select_scatter");
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(source, op, origin).is_none() {
            return poisoned;
        }
        let index = index.position();
        self.graph().at(origin, || {
            let slice = self.select_index(axis, index);
            let shapes = [self, slice, source].map(|expr| expr.read(op, origin, |_, node| node.shape.clone()));
            let [Some(shape), Some(lhs_shape), Some(rhs_shape)] = shapes else { return poisoned };
            if lhs_shape != rhs_shape {
                let (lhs, rhs) = (format!("the slice of {}", self.describe()), source.describe());
                return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
            }
            let axis = if axis < 0 { axis + shape.rank() as isize } else { axis };
            let extent = shape[axis as usize];
            let index = if index < 0 { extent - index.unsigned_abs() } else { index as usize };
            let replaced = source.unsqueeze(axis);
            self.graph().concat(&[self.slice(axis, 0, index), replaced, self.slice(axis, index + 1, extent)], axis)
        })
    }

    /// This with `source` in the place of every `step`-th element of `start..end` along an axis: what [`Expr::slice_step`] with the same
    /// numbers would take of the result is `source`. (PyTorch's `slice_scatter`.) Any dtype, the same of both. The gradient of the
    /// elements that were replaced is 0.
    ///
    /// Errors: an axis that there is not; a range outside it; a step of 0, or of more than 1 along an axis of more than 2147483647 elements; a source
    /// of another shape or dtype than the slice.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let x = g.input("x", [5]);
    /// assert_eq!(x.slice_scatter(g.input("s", [3]), 0, 0, 5, 2).shape()?.dims(), [5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn slice_scatter(self, source: Expr<'g>, axis: isize, start: usize, end: usize, step: usize) -> Expr<'g> {
        let method = self.enter("slice_scatter");
        let (origin, op) = (method.origin(), "slice_scatter");
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(source, op, origin).is_none() {
            return poisoned;
        }
        let slice = self.slice_node(axis, start, end, step, origin);
        let shapes = [self, slice, source].map(|expr| expr.read(op, origin, |_, node| node.shape.clone()));
        let [Some(shape), Some(lhs_shape), Some(rhs_shape)] = shapes else { return poisoned };
        if lhs_shape != rhs_shape {
            let (lhs, rhs) = (format!("the slice of {}", self.describe()), source.describe());
            return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        let axis = if axis < 0 { axis + shape.rank() as isize } else { axis };
        let (along, extent) = (axis as usize, shape[axis as usize]);
        self.graph().at(origin, || {
            if step == 1 || rhs_shape[along] <= 1 {
                let end = start + rhs_shape[along];
                return self.graph().concat(&[self.slice(axis, 0, start), source, self.slice(axis, end, extent)], axis);
            }
            if rhs_shape.contains(&0) {
                return self;
            }
            if i32::try_from(extent).is_err() {
                let (what, value, expected) = ("the extent of the axis", extent as f64, "at most 2147483647");
                return self.fail(GraphError::Argument { origin, op, what, value, expected });
            }
            let mut aligned = vec![1; shape.rank()];
            aligned[along] = rhs_shape[along];
            let places: Vec<i32> = (start..end).step_by(step).map(|place| place as i32).collect();
            let places = self.graph().literal(aligned, places).broadcast_node(&rhs_shape, origin);
            self.with_replaced(places, source, along, origin)
        })
    }
}

/// The ranges of parts of `size` of an axis, the last of what is left.
fn pieces(op: &'static str, extent: usize, size: usize, origin: Origin) -> Result<Vec<(usize, usize)>, GraphError> {
    let parts = few_parts(op, extent.div_ceil(size), origin)?;
    Ok((0..parts).map(|part| (part * size, extent.min((part + 1).saturating_mul(size)))).collect())
}

/// A number of parts, each of which is a node.
fn few_parts(op: &'static str, parts: usize, origin: Origin) -> Result<usize, GraphError> {
    if parts <= MOST_PARTS {
        return Ok(parts);
    }
    let (what, value, expected) = ("the number of parts", parts as f64, "at most 16777216");
    Err(GraphError::Argument { origin, op, what, value, expected })
}

/// More parts of a tensor than anybody reads one by one.
const MOST_PARTS: usize = 1 << 24;
