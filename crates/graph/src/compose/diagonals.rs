//! Diagonals of matrices: taken, made and replaced, of elements and of blocks.
//!
//! Over the two axes as one, in row-major order, a diagonal is every `columns + 1`-th element. So taking one is a slice with a step, which
//! is a view of a tensor whose two axes stand side by side in memory, and making a matrix of one is padding with zeros between neighbours.
//! Each is the other's gradient. No element is multiplied, so an infinite one does no harm beside the zeros.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::Extents;
use crate::shape::Shape;

/// Where a diagonal of a matrix lies.
#[derive(Clone, Copy)]
struct Line {
    /// Its first element.
    row: usize,
    column: usize,
    length: usize,
}

impl Line {
    /// The diagonal `offset` places above the main one of a matrix, or below it if negative.
    fn new(rows: usize, columns: usize, offset: isize) -> Line {
        let distance = offset.unsigned_abs();
        let (row, column) = if offset < 0 { (distance, 0) } else { (0, distance) };
        Line { row, column, length: rows.saturating_sub(row).min(columns.saturating_sub(column)) }
    }
}

impl<'g> Expr<'g> {
    /// A diagonal of the plane of two axes, which fall away; it is along a new last axis: `y[.., i] = x[.., i, i + offset, ..]`.
    /// A negative offset is below the main diagonal: `y[.., i] = x[.., i - offset, i, ..]`. (PyTorch's `diagonal`, whose axes are 0 and 1
    /// unless said otherwise.) A diagonal outside the matrix is empty. Any dtype. The gradient of the other elements is 0.
    ///
    /// Nothing is copied where the two axes are neighbours in memory; others are brought together first.
    ///
    /// Errors: an axis that there is not; the same axis twice.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [3, 4, 5]);
    /// assert_eq!(x.diagonal(1, -2, -1).shape()?.dims(), [3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn diagonal(self, offset: isize, first: isize, second: isize) -> Expr<'g> {
        let method = self.enter("diagonal");
        let origin = method.origin();
        let Some(shape) = self.read("diagonal", origin, |_, node| node.shape.clone()) else { return self };
        match self.resolve_pair("diagonal", &shape, [first, second], origin) {
            Ok(pair) => self.graph().at(origin, || self.diagonal_of(offset, pair, &shape, origin)),
            Err(error) => self.fail(error),
        }
    }

    fn diagonal_of(self, offset: isize, [first, second]: [usize; 2], shape: &Shape, origin: Origin) -> Expr<'g> {
        let line = Line::new(shape[first], shape[second], offset);
        let others = shape.without([first, second].into_iter().collect());
        let result: Shape = others.iter().copied().chain([line.length]).collect();
        if line.length == 0 || others.contains(&0) {
            return self.slice(first as isize, 0, 0).reshape_node(&result, origin);
        }
        // The two axes stay in the place of the first, so that neighbours need no other order; the diagonal moves to the end afterwards.
        let (low, high) = (first.min(second), first.max(second));
        let order = (0..low).chain([first, second]).chain((low + 1..shape.rank()).filter(|&axis| axis != high));
        let paired = self.permute(order.map(|axis| axis as isize).collect::<Vec<isize>>());
        let (before, after) = (&others[..low], &others[low..]);
        let plane = shape[first].saturating_mul(shape[second]);
        let joined: Shape = before.iter().copied().chain([plane]).chain(after.iter().copied()).collect();
        let step = shape[second] + 1;
        let start = line.row * shape[second] + line.column;
        let end = start + (line.length - 1) * step + 1;
        let taken = paired.reshape_node(&joined, origin).slice_node(low as isize, start, end, step, origin);
        taken.movedim([low as isize], [-1])
    }

    /// A matrix with these elements on a diagonal and 0 elsewhere: `[.., n] -> [.., n + |offset|, n + |offset|]`, whose rows and columns are
    /// the axes `first` and `second` of the result. (PyTorch's `diag_embed`, whose axes are -2 and -1 unless said otherwise.) Any dtype.
    /// The gradient is the diagonal of the upstream gradient.
    ///
    /// Errors: a scalar; an axis that the result has not; the same axis twice; more elements than can be counted.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [3, 4]);
    /// assert_eq!(x.diag_embed(-1, -2, -1).shape()?.dims(), [3, 5, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn diag_embed(self, offset: isize, first: isize, second: isize) -> Expr<'g> {
        let method = self.enter("diag_embed");
        let (origin, op) = (method.origin(), "diag_embed");
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        let rank = shape.rank();
        let Some((&length, others)) = shape.split_last() else {
            let (operand, expected) = (self.describe(), "rank 1 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        };
        let side = length.saturating_add(offset.unsigned_abs());
        let result: Shape = others.iter().copied().chain([side, side]).collect();
        let pair = match self.resolve_pair(op, &result, [first, second], origin) {
            Ok([first, second]) => [first as isize, second as isize],
            Err(error) => return self.fail(error),
        };
        if result.checked_elements().is_none() || side.checked_mul(side).is_none() {
            return self.fail(GraphError::TooManyElements { origin, op, shape: result });
        }
        self.graph().at(origin, || {
            let matrix = self.on_line(Line::new(side, side, offset), [side, side], others, origin);
            matrix.movedim([-2, -1], pair)
        })
    }

    /// `[.., length]` on a line of a matrix `[.., rows, columns]` of zeros.
    fn on_line(self, line: Line, [rows, columns]: [usize; 2], others: &[usize], origin: Origin) -> Expr<'g> {
        let rank = others.len() + 1;
        let (mut lows, mut interiors): (Extents, Extents) =
            (thin_vec::thin_vec![0; rank], thin_vec::thin_vec![0; rank]);
        if line.length > 0 {
            lows[rank - 1] = line.row * columns + line.column;
            interiors[rank - 1] = columns;
        }
        let flat: Shape = others.iter().copied().chain([rows * columns]).collect();
        let matrix: Shape = others.iter().copied().chain([rows, columns]).collect();
        self.pad_node(lows, interiors, 0.0, &flat, origin).reshape_node(&matrix, origin)
    }

    /// Of a vector the matrix that has it on a diagonal, of a matrix its diagonal: `[n] -> [n + |offset|, n + |offset|]`, as
    /// [`Expr::diag_embed`], and `[m, n] -> [length]`, as [`Expr::diagonal`]. (PyTorch's `diag`.) Errors: another rank than 1 or 2.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [3]).diag(1).diag(1).shape()?.dims(), [3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn diag(self, offset: isize) -> Expr<'g> {
        let method = self.enter("diag");
        let (origin, op) = (method.origin(), "diag");
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        match shape.rank() {
            1 => self.diag_embed(offset, -2, -1),
            2 => self.diagonal(offset, 0, 1),
            rank => {
                let (operand, expected) = (self.describe(), "rank 1 or 2".to_owned());
                self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected })
            }
        }
    }

    /// This with `source` in the place of a diagonal: what [`Expr::diagonal`] with the same numbers would take of the result is `source`.
    /// (PyTorch's `diagonal_scatter`.) Any dtype, the same of both. The gradient of the elements that were replaced is 0, that of `source`
    /// the diagonal of the upstream gradient.
    ///
    /// Errors: an axis that there is not; the same axis twice; a source of another shape or dtype than the diagonal.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let x = g.input("x", [3, 4]);
    /// assert_eq!(x.diagonal_scatter(g.input("d", [3]), 0, 0, 1).shape()?.dims(), [3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn diagonal_scatter(self, source: Expr<'g>, offset: isize, first: isize, second: isize) -> Expr<'g> {
        let method = self.enter("diagonal_scatter");
        let (origin, op) = (method.origin(), "diagonal_scatter");
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(source, op, origin).is_none() {
            return poisoned;
        }
        let shapes = [self, source].map(|expr| expr.read(op, origin, |_, node| node.shape.clone()));
        let [Some(shape), Some(source_shape)] = shapes else { return poisoned };
        let pair = match self.resolve_pair(op, &shape, [first, second], origin) {
            Ok(pair) => pair,
            Err(error) => return self.fail(error),
        };
        let [rows, columns] = pair.map(|axis| shape[axis]);
        let line = Line::new(rows, columns, offset);
        let others = shape.without(pair.into_iter().collect());
        let diagonal: Shape = others.iter().copied().chain([line.length]).collect();
        if source_shape != diagonal {
            let (lhs, rhs) = (format!("the diagonal of {}", self.describe()), source.describe());
            let (lhs_shape, rhs_shape) = (diagonal, source_shape);
            return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        if shape.contains(&0) || line.length == 0 {
            return self;
        }
        self.graph().at(origin, || {
            let [first, second] = pair.map(|axis| axis as isize);
            let matrix = source.on_line(line, [rows, columns], &others, origin).movedim([-2, -1], [first, second]);
            let plane = Shape::from([rows, columns]);
            let [row, column] = [0, 1].map(|axis| self.graph().iota(&plane, axis));
            // The line lies inside the matrix, so its offset is an i32 where coordinates are.
            let is_replaced = column.equal(row + row.constant_beside(offset as f64, origin));
            let ones = std::iter::repeat_n(1, others.rank()).chain([rows, columns]).collect();
            let is_replaced = is_replaced.reshape_node(&ones, origin).movedim([-2, -1], [first, second]);
            is_replaced.where_(matrix, self)
        })
    }
}

impl Graph {
    /// The matrix with these blocks along its diagonal, each to the right of the one before and below it, and 0 elsewhere:
    /// `[a, b], [c, d], .. -> [a + c + .., b + d + ..]`. A vector is a block of one row, and a scalar of one element. (PyTorch's `block_diag`.)
    /// Any dtype, the same of all. The gradient of a block is the upstream gradient where it stands.
    ///
    /// Errors: no blocks; a block of rank 3 or more; dtypes that differ; more elements than can be counted.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (a, b) = (g.input("a", [2, 3]), g.input("b", [4]));
    /// assert_eq!(g.block_diag(&[a, b]).shape()?.dims(), &[3, 7]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn block_diag<'g>(&'g self, blocks: &[Expr<'g>]) -> Expr<'g> {
        let method = self.enter("block_diag");
        let (origin, op, poisoned) = (method.origin(), "block_diag", Expr::poisoned(self));
        let others: Vec<Option<Expr<'_>>> = blocks.iter().copied().map(Some).collect();
        if poisoned.same_graph_all(&others, op, origin).is_none() {
            return poisoned;
        }
        let Some(&first) = blocks.first() else {
            return self.refuse(op, "the number of blocks", 0.0, "at least 1");
        };
        let Some(left) = first.read(op, origin, |_, node| node.dtype) else { return poisoned };
        let mut sides = Vec::with_capacity(blocks.len());
        for block in blocks {
            let Some((shape, right)) = block.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
                return poisoned;
            };
            if right != left {
                let (lhs, rhs) = (first.describe(), block.describe());
                return self.finish(Err(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right }));
            }
            match shape[..] {
                [] => sides.push([1, 1]),
                [columns] => sides.push([1, columns]),
                [rows, columns] => sides.push([rows, columns]),
                _ => {
                    let (operand, rank, expected) = (block.describe(), shape.rank(), "rank 2 or less".to_owned());
                    return self.finish(Err(GraphError::Rank { origin, op, operand, shape, rank, expected }));
                }
            }
        }
        let [rows, columns] =
            [0, 1].map(|side| sides.iter().fold(0usize, |all, block| all.saturating_add(block[side])));
        let shape = Shape::from([rows, columns]);
        // An axis may be too long where another is empty.
        if shape.checked_elements().is_none() || shape.contains(&usize::MAX) {
            return self.finish(Err(GraphError::TooManyElements { origin, op, shape }));
        }
        let mut before = 0;
        let mut strips = Vec::with_capacity(blocks.len());
        for (block, side) in blocks.iter().zip(sides) {
            let behind = columns - before - side[1];
            strips.push(block.reshape(side).pad([(0, 0), (before, behind)], 0.0));
            before += side[1];
        }
        self.concat(&strips, 0)
    }
}
