//! Methods that arrange, take apart, put together, contract and index.

use arenagrad_graph::{
    Arrangement, AxisIndices, Expr, Graph, GraphError, GridOrder, Op, Origin, Position, ScatterReduction, Shape,
};

use crate::error::Error;
use crate::tape::{Tape, Variable};

methods! {
    /// Rolled along axes.
    roll(; shifts: impl AsRef<[isize]>, axes: impl AsRef<[isize]>);
    /// Turned by quarters in a plane.
    rot90(; quarters: isize, axes: [isize; 2]);
    /// The columns from the last to the first.
    fliplr(;);
    /// The rows from the last to the first.
    flipud(;);
    /// Axes moved to other places.
    movedim(; sources: impl AsRef<[isize]>, destinations: impl AsRef<[isize]>);
    /// At least one axis.
    atleast_1d(;);
    /// At least two axes.
    atleast_2d(;);
    /// At least three axes.
    atleast_3d(;);
    /// One axis as several.
    unflatten(; axis: isize, extents: impl Into<Shape>);
    /// Several axes as one.
    flatten_axes(; first: isize, last: isize);
    /// Repeated as a whole along axes.
    tile(; repeats: impl AsRef<[usize]>);
    /// Each element along an axis several times.
    repeat_interleave(; repeats: usize, axis: isize);
    /// Each element along an axis as often as its count says.
    repeat_interleave_counts(; counts: &[usize], axis: isize);
    /// A diagonal.
    diagonal(; offset: isize, first: isize, second: isize);
    /// A matrix with these elements on a diagonal.
    diag_embed(; offset: isize, first: isize, second: isize);
    /// The diagonal of a matrix, or the matrix of one.
    diag(; offset: isize);
    /// Another diagonal in the place of one.
    diagonal_scatter(source; offset: isize, first: isize, second: isize);
    /// Basic indexing by positions and ranges.
    index(; indices: impl AxisIndices);
    /// Another slice in the place of one.
    select_scatter(source; axis: isize, index: impl Position);
    /// Others in the place of the elements of a range.
    slice_scatter(source; axis: isize, start: usize, end: usize, step: usize);
    /// A constant of this shape and dtype.
    full_like(; value: f64);
    /// Zeros of this shape and dtype.
    zeros_like(;);
    /// Ones of this shape and dtype.
    ones_like(;);
    /// The sum of products over axes of both.
    tensordot(other; own: impl AsRef<[isize]>, others: impl AsRef<[isize]>);
    /// The products of all pairs of elements of two vectors.
    outer(other;);
    /// The scalar product of two vectors.
    dot(other;);
    /// The sum of products over the last axes.
    inner(other;);
    /// Kronecker's product.
    kron(other;);
    /// The vector product along an axis of three.
    cross(other; axis: isize);
    /// The elements at positions in row-major order.
    take(indices;);
    /// Values put at, or added to, positions in row-major order.
    put(indices, values; accumulate: bool);
}

impl Variable {
    /// `updates` in the place of elements at indices along an axis; of several the last wins. See
    /// [`Expr::scatter`](crate::Expr::scatter).
    #[track_caller]
    pub fn scatter(&self, axis: isize, indices: &Variable, updates: &Variable) -> Variable {
        self.of_three("scatter", indices, updates, Origin::here(), |x, indices, updates| {
            x.scatter(axis, indices, updates)
        })
    }

    /// `value` in the place of elements at indices along an axis. See [`Expr::scatter`](crate::Expr::scatter).
    #[track_caller]
    pub fn scatter_value(&self, axis: isize, indices: &Variable, value: f64) -> Variable {
        self.binary("scatter", indices, Origin::here(), |x, indices| x.scatter(axis, indices, value))
    }

    /// Elements combined with updates at indices along an axis. See [`Expr::scatter_reduce`](crate::Expr::scatter_reduce).
    #[track_caller]
    pub fn scatter_reduce(
        &self,
        axis: isize,
        indices: &Variable,
        updates: &Variable,
        reduction: ScatterReduction,
        include_self: bool,
    ) -> Variable {
        self.of_three("scatter_reduce", indices, updates, Origin::here(), |x, indices, updates| {
            x.scatter_reduce(axis, indices, updates, reduction, include_self)
        })
    }

    /// Slices added at indices along an axis. See [`Expr::index_add`](crate::Expr::index_add).
    #[track_caller]
    pub fn index_add(&self, axis: isize, indices: &Variable, source: &Variable, alpha: f64) -> Variable {
        self.of_three("index_add", indices, source, Origin::here(), |x, indices, source| {
            x.index_add(axis, indices, source, alpha)
        })
    }

    /// Slices put at indices along an axis. See [`Expr::index_copy`](crate::Expr::index_copy).
    #[track_caller]
    pub fn index_copy(&self, axis: isize, indices: &Variable, source: &Variable) -> Variable {
        self.of_three("index_copy", indices, source, Origin::here(), |x, indices, source| {
            x.index_copy(axis, indices, source)
        })
    }

    /// Slices combined with others at indices along an axis. See [`Expr::index_reduce`](crate::Expr::index_reduce).
    #[track_caller]
    pub fn index_reduce(
        &self,
        axis: isize,
        indices: &Variable,
        source: &Variable,
        reduction: ScatterReduction,
        include_self: bool,
    ) -> Variable {
        self.of_three("index_reduce", indices, source, Origin::here(), |x, indices, source| {
            x.index_reduce(axis, indices, source, reduction, include_self)
        })
    }

    /// Gathered along an axis where the others broadcast. See [`Expr::take_along_dim`](crate::Expr::take_along_dim).
    #[track_caller]
    pub fn take_along_dim(&self, axis: isize, indices: &Variable) -> Variable {
        self.binary("take_along_dim", indices, Origin::here(), |x, indices| x.take_along_dim(axis, indices))
    }

    /// `value` in the slices at indices along an axis. See [`Expr::index_fill`](crate::Expr::index_fill).
    #[track_caller]
    pub fn index_fill(&self, axis: isize, indices: &Variable, value: f64) -> Variable {
        self.binary("index_fill", indices, Origin::here(), |x, indices| x.index_fill(axis, indices, value))
    }

    /// `value` where `mask` holds. See [`Expr::masked_fill`](crate::Expr::masked_fill).
    #[track_caller]
    pub fn masked_fill(&self, mask: &Variable, value: f64) -> Variable {
        self.binary("masked_fill", mask, Origin::here(), |x, mask| x.masked_fill(mask, value))
    }

    /// `values` put at, or added to, the positions that tensors say along the axes. See [`Expr::index_put`](crate::Expr::index_put).
    #[track_caller]
    pub fn index_put(&self, indices: &[Option<&Variable>], values: &Variable, accumulate: bool) -> Variable {
        let origin = Origin::here();
        let given: Vec<&Variable> = [self, values].into_iter().chain(indices.iter().copied().flatten()).collect();
        Variable::new(self.tape_inner().record("index_put", &given, origin, |_, x| {
            let mut rest = x[2..].iter().copied();
            let indices: Vec<Option<Expr<'_>>> = indices.iter().map(|index| index.and_then(|_| rest.next())).collect();
            Ok(x[0].index_put(&indices, x[1], accumulate))
        }))
    }

    /// The slices at all positions along an axis. See [`Expr::unbind`](crate::Expr::unbind).
    #[track_caller]
    pub fn unbind(&self, axis: isize) -> Result<Vec<Variable>, Error> {
        let origin = Origin::here();
        let count = self.ranges(origin, axis, |x| x.unbind(axis))?.len();
        let slice = |place: usize| self.unary("unbind", origin, |x| x.select_index(axis, place));
        Ok((0..count).map(slice).collect())
    }

    /// Parts of one size along an axis. See [`Expr::split`](crate::Expr::split).
    #[track_caller]
    pub fn split(&self, size: usize, axis: isize) -> Result<Vec<Variable>, Error> {
        self.parts("split", Origin::here(), axis, |x| x.split(size, axis))
    }

    /// Parts of given sizes along an axis. See [`Expr::split_sizes`](crate::Expr::split_sizes).
    #[track_caller]
    pub fn split_sizes(&self, sizes: impl AsRef<[usize]>, axis: isize) -> Result<Vec<Variable>, Error> {
        self.parts("split_sizes", Origin::here(), axis, |x| x.split_sizes(sizes, axis))
    }

    /// So many parts along an axis at most. See [`Expr::chunk`](crate::Expr::chunk).
    #[track_caller]
    pub fn chunk(&self, chunks: usize, axis: isize) -> Result<Vec<Variable>, Error> {
        self.parts("chunk", Origin::here(), axis, |x| x.chunk(chunks, axis))
    }

    /// Exactly so many parts along an axis. See [`Expr::tensor_split`](crate::Expr::tensor_split).
    #[track_caller]
    pub fn tensor_split(&self, sections: usize, axis: isize) -> Result<Vec<Variable>, Error> {
        self.parts("tensor_split", Origin::here(), axis, |x| x.tensor_split(sections, axis))
    }

    /// The parts between positions along an axis. See [`Expr::tensor_split_at`](crate::Expr::tensor_split_at).
    #[track_caller]
    pub fn tensor_split_at(&self, indices: impl AsRef<[isize]>, axis: isize) -> Result<Vec<Variable>, Error> {
        self.parts("tensor_split_at", Origin::here(), axis, |x| x.tensor_split_at(indices, axis))
    }

    fn of_three(
        &self,
        name: &'static str,
        second: &Variable,
        third: &Variable,
        origin: Origin,
        function: impl for<'g> FnOnce(Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>,
    ) -> Variable {
        let operands = [self, second, third];
        Variable::new(self.tape_inner().record(name, &operands, origin, |_, x| Ok(function(x[0], x[1], x[2]))))
    }

    /// Parts along an axis, each recorded as a slice of its own.
    fn parts(
        &self,
        name: &'static str,
        origin: Origin,
        axis: isize,
        split: impl for<'g> FnOnce(Expr<'g>) -> Result<Vec<Expr<'g>>, GraphError>,
    ) -> Result<Vec<Variable>, Error> {
        let slice = |(start, end)| self.unary(name, origin, |x| x.slice(axis, start, end));
        Ok(self.ranges(origin, axis, split)?.into_iter().map(slice).collect())
    }

    /// Where the parts of a tensor of this shape begin and end along an axis: found in a graph of its own, so that the tape records no
    /// more than the parts.
    fn ranges(
        &self,
        origin: Origin,
        axis: isize,
        split: impl for<'g> FnOnce(Expr<'g>) -> Result<Vec<Expr<'g>>, GraphError>,
    ) -> Result<Vec<(usize, usize)>, Error> {
        let graph = Graph::new();
        let (shape, dtype) = (self.shape()?, self.dtype()?);
        let rank = shape.rank() as isize;
        let whole = graph.input_of("x", shape, dtype);
        let parts = graph.at(origin, || split(whole))?;
        let axis = if axis < 0 { axis + rank } else { axis } as usize;
        let mut ranges = Vec::with_capacity(parts.len());
        for part in parts {
            let node = graph.node(part.id()?)?;
            let extent = node.shape.get(axis).copied().unwrap_or(1);
            let start = if let Op::View { arrangement: Arrangement::Slice { starts, .. }, .. } = &node.op {
                starts[axis]
            } else {
                0
            };
            ranges.push((start, start + extent));
        }
        Ok(ranges)
    }
}

impl Tape {
    /// The sum of products that an equation says. See [`Graph::einsum`](crate::Graph::einsum).
    #[track_caller]
    pub fn einsum(&self, equation: &str, operands: &[&Variable]) -> Variable {
        self.of_all("einsum", operands, Origin::here(), |graph, operands| graph.einsum(equation, operands))
    }

    /// Side by side. See [`Graph::hstack`](crate::Graph::hstack).
    #[track_caller]
    pub fn hstack(&self, operands: &[&Variable]) -> Variable {
        self.of_all("hstack", operands, Origin::here(), |graph, operands| graph.hstack(operands))
    }

    /// One below the other. See [`Graph::vstack`](crate::Graph::vstack).
    #[track_caller]
    pub fn vstack(&self, operands: &[&Variable]) -> Variable {
        self.of_all("vstack", operands, Origin::here(), |graph, operands| graph.vstack(operands))
    }

    /// One behind the other. See [`Graph::dstack`](crate::Graph::dstack).
    #[track_caller]
    pub fn dstack(&self, operands: &[&Variable]) -> Variable {
        self.of_all("dstack", operands, Origin::here(), |graph, operands| graph.dstack(operands))
    }

    /// As columns of a matrix. See [`Graph::column_stack`](crate::Graph::column_stack).
    #[track_caller]
    pub fn column_stack(&self, operands: &[&Variable]) -> Variable {
        self.of_all("column_stack", operands, Origin::here(), |graph, operands| graph.column_stack(operands))
    }

    /// Blocks along the diagonal of a matrix. See [`Graph::block_diag`](crate::Graph::block_diag).
    #[track_caller]
    pub fn block_diag(&self, blocks: &[&Variable]) -> Variable {
        self.of_all("block_diag", blocks, Origin::here(), |graph, blocks| graph.block_diag(blocks))
    }

    /// A grid of the elements of some vectors. See [`Graph::meshgrid`](crate::Graph::meshgrid).
    #[track_caller]
    pub fn meshgrid(&self, vectors: &[&Variable], order: GridOrder) -> Vec<Variable> {
        let origin = Origin::here();
        let grid = |place: usize| {
            Variable::new(
                self.inner
                    .record("meshgrid", vectors, origin, |graph, operands| Ok(graph.meshgrid(operands, order)?[place])),
            )
        };
        (0..vectors.len()).map(grid).collect()
    }

    fn of_all(
        &self,
        name: &'static str,
        operands: &[&Variable],
        origin: Origin,
        function: impl for<'g> FnOnce(&'g Graph, &[Expr<'g>]) -> Expr<'g>,
    ) -> Variable {
        Variable::new(self.inner.record(name, operands, origin, |graph, operands| Ok(function(graph, operands))))
    }
}
