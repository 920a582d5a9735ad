//! The closed list of what a backend must run.

use arenagrad_graph::{CumulativeFunction, DType, MatrixFunction, ReduceFunction, ScatterFunction, Shape, StorageType};

use crate::attention::Attention;
use crate::nest::Nest;
use crate::padding::Padding;
use crate::program::Program;
use crate::view::{Axes, Axis, View};

/// In what storage types the buffers of a step hold their values, in the order of a kernel's inputs and outputs. What is past the
/// end of a list holds them as they are.
///
/// A kernel says what is computed of values and knows no storage type. Buffers of its step may hold values narrower, integers wider too: the inputs of
/// programs and nests, both operands of a product, what a gather reads by its indices, and the pieces of an assembly, all of which are
/// widened as they are loaded; and the outputs of programs (epilogues included) and nests, which are narrowed as they are stored. What is
/// assembled may hold floats of 16 bits where all pieces do, which are moved as they stand. All other buffers hold values as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Of the inputs.
    pub inputs: &'a [StorageType],
    /// Of the outputs.
    pub outputs: &'a [StorageType],
}

/// What one step of a plan computes. Buffers are not named here: a step lists its inputs and outputs in the order that each
/// variant documents. All extents are static and no domain is empty (the planner drops empty steps, and turns a matrix
/// product or a sum over nothing into a fill); buffers may be longer than what a kernel touches.
#[derive(Clone, Debug, PartialEq)]
pub enum Kernel {
    /// A fused elementwise kernel. Inputs and outputs are the program's.
    Elementwise(Program),
    /// A reduction of the one output of `program`, whose domain is the operand's, to the product of the `kept` extents.
    ///
    /// `kept` and `reduced` are axes over the program's domain: result `o` (row-major over `kept`) reduces the domain
    /// indices `position_kept(o) + position_reduced(r)` over all `r`. Both are collapsed and non-empty lists of
    /// non-trivial axes, or empty for extent 1. Inputs: the program's, then the epilogue's. Outputs: the epilogue's, or
    /// without one the contiguous result.
    Reduce {
        /// How two elements combine.
        function: ReduceFunction,
        /// What is reduced.
        program: Program,
        /// The axes of the result, outermost first, with their strides in the program's domain.
        kept: Vec<Axis>,
        /// The axes that are reduced, outermost first, with their strides in the program's domain.
        reduced: Vec<Axis>,
        /// What is done to each result before it is written; its domain is the result's.
        epilogue: Option<Program>,
    },
    /// Elementwise work with reductions along rows and columns in between. Inputs and outputs are the nest's.
    Nest(Nest),
    /// i32: the first index of the largest element (NaN counts as the largest) along the middle axis of the contiguous
    /// `[outer, extent, inner]`. Inputs: the operand. Outputs: `[outer, inner]`.
    ArgMax {
        /// The dtype of the operand.
        dtype: DType,
        /// The product of the extents before the axis.
        outer: usize,
        /// The extent of the axis, at least 1.
        extent: usize,
        /// The product of the extents after the axis.
        inner: usize,
    },
    /// `[batch.., m, k] x [batch.., k, n] -> [batch.., m, n]`, summed over `k` by a fixed tree, so that the error hardly grows
    /// with it. Each of `batch`, `m`, `k` and `n` may be several axes as one, which lie in either operand as they like: so it is any contraction
    /// of two tensors. Inputs: lhs, rhs, then the epilogue's. Outputs: the
    /// epilogue's, or without one the contiguous result.
    MatMul {
        /// The dtype of operands and result, f32 or f64.
        dtype: DType,
        /// How `[batch, m, k]` lies in the first input.
        lhs: Matrices,
        /// How `[batch, k, n]` lies in the second input: as many matrices, and as many rows as those of lhs have columns.
        rhs: Matrices,
        /// How lhs and rhs are made of their inputs where they are padded, on the CPU alone: a left operand that [suits](Padding::suits_lhs), and
        /// a right operand that [does](Padding::suits_rhs). They lie in the padded tensor then, and not in the input.
        padding: [Option<Box<Padding>>; 2],
        /// What is done to each element of the result before it is written; its domain is the result's.
        epilogue: Option<Program>,
    },
    /// Attention without a stored table of scores, forward or backward. Inputs and outputs are those that [`Attention`] says.
    Attention(Box<Attention>),
    /// `result[.., j, ..] = operand[.., indices[.., j, ..], ..]` along `axis`. Inputs: the contiguous operand, the i32
    /// indices. Outputs: the contiguous result, of the indices' shape. An index outside `0..operand_shape[axis]` gives
    /// NaN for floats, 0 for i32, false for bool.
    Gather {
        /// The dtype of operand and result.
        dtype: DType,
        /// The shape of the operand: the rank is that of the indices, extents other than `axis` no smaller than theirs.
        operand_shape: Shape,
        /// The shape of indices and result.
        indices_shape: Shape,
        /// The axis that is indexed.
        axis: usize,
        /// Where the indices lie in the second input, over their row-major domain.
        indices: View,
    },
    /// `result = operand`, then `result[.., indices[.., j, ..], ..] += updates[.., j, ..]` along `axis`, for each element of
    /// the result by a tree that depends on the number of its updates alone, or on where they stand among all. The error of
    /// the sum does not grow with that number. Inputs: the contiguous operand, indices, updates. Outputs: the
    /// contiguous result. An index outside the axis adds nothing.
    ///
    /// With a factor, `result[p] = operand[p] + factor * total[p]`: the updates of a place are summed from 0, the total is rounded, then the
    /// product, then the sum, as if each stood in a tensor of its own. A fourth input is the factor, if it is none of the kernel's
    /// constants. A place without updates keeps its element, the sign of a zero included or not; but a factor that is infinite or
    /// NaN makes NaN of it, as the formula does. In place the cost is that of the updates, however large the operand is.
    ScatterAdd {
        /// The dtype of operand, updates and result: a float or i32.
        dtype: DType,
        /// The shape of operand and result.
        operand_shape: Shape,
        /// The shape of indices and updates: the rank is that of the operand, extents other than `axis` no larger.
        updates_shape: Shape,
        /// The axis that is indexed.
        axis: usize,
        /// Where the indices lie in the second input, over the updates' row-major domain.
        indices: View,
        /// Where the updates lie in the third input, over the updates' row-major domain.
        updates: View,
        /// Whether result and operand share one buffer, so that the copy falls away.
        in_place: bool,
        /// What the total of each place is multiplied by before it is added; none if the updates are added to the operand as they are.
        factor: Option<Factor>,
    },
    /// `result = operand`, then `result[.., indices[.., j, ..], ..] = function(result[..], updates[.., j, ..])` along `axis`, for each
    /// element of the result by a tree that depends on the number of its updates alone, or on where they stand among all; a function that
    /// replaces gives the last update. Inputs: the contiguous operand, indices, updates. Outputs: the contiguous result. An update whose
    /// index is outside the axis is left out. In place the cost is that of the updates, however large the operand is.
    ScatterReduce {
        /// The dtype of operand, updates and result: one that the function takes.
        dtype: DType,
        /// By what updates are combined with what stands at their places, or that they replace it.
        function: ScatterFunction,
        /// The shape of operand and result.
        operand_shape: Shape,
        /// The shape of indices and updates: the rank is that of the operand, extents other than `axis` no larger.
        updates_shape: Shape,
        /// The axis that is indexed.
        axis: usize,
        /// Where the indices lie in the second input, over the updates' row-major domain.
        indices: View,
        /// Where the updates lie in the third input, over the updates' row-major domain.
        updates: View,
        /// Whether result and operand share one buffer, so that the copy falls away.
        in_place: bool,
    },
    /// Regions of one result, each copied from a step's input of its own: what concatenation and padding lower to.
    /// Inputs: one a piece. Outputs: the result. The pieces do not overlap; without `fill`, elements that they do not cover stay what the result's buffer
    /// holds.
    Assemble {
        /// The dtype of all.
        dtype: DType,
        /// The number of elements of the result.
        elements: usize,
        /// The value of elements that no piece covers.
        fill: Option<f64>,
        /// What goes where.
        pieces: Vec<Piece>,
    },
    /// A function of each matrix of a batch, on the CPU alone. Inputs: the contiguous matrices, then the contiguous right-hand sides of a
    /// function that has some. Outputs: the contiguous results. It may fail: see [`crate::cpu::Failure`].
    LinearAlgebra {
        /// The function.
        function: MatrixFunction,
        /// The dtype of operands and result, f32 or f64.
        dtype: DType,
        /// The extents of the operands.
        extents: MatrixExtents,
    },
    /// What a function makes of each element and all before it along the middle axis of the contiguous `[outer, extent, inner]`, or of all
    /// behind it. Sums, and what a run makes of what is before it, are computed in parts that the extents alone decide. Inputs: the operand,
    /// and for a recurrence the factors, of the same shape. Outputs: as many elements.
    Cumulative {
        /// Which function.
        function: Cumulation,
        /// The dtype of the operands; the result is i32 where the function gives indices.
        dtype: DType,
        /// The product of the extents before the axis.
        outer: usize,
        /// The extent of the axis.
        extent: usize,
        /// The product of the extents after the axis.
        inner: usize,
        /// Whether it goes from the last element to the first.
        is_reversed: bool,
    },
    /// i32: the indices of the first `count` elements in order of each row of the contiguous `[rows, extent]`. Equal elements keep their order,
    /// both zeros are equal, and NaN is above all. Inputs: the operand. Outputs: `[rows, count]`.
    ArgSort {
        /// The dtype of the operand: a float or i32.
        dtype: DType,
        /// How many rows there are.
        rows: usize,
        /// The elements of a row.
        extent: usize,
        /// How many indices of each are wanted: from 1 to all.
        count: usize,
        /// Whether the largest comes first.
        is_descending: bool,
    },
    /// i32: for each value the first place of a sorted sequence whose element is not below it, or, if `is_right`, above it. Inputs: the
    /// sequences, one for each `row` neighbouring values, and the values, both contiguous. Outputs: as many as values. A value that
    /// is NaN belongs at the end.
    SearchSorted {
        /// The dtype of sequences and values: a float or i32.
        dtype: DType,
        /// The elements of a sequence, at least 1.
        length: usize,
        /// How many values there are.
        values: usize,
        /// How many values one sequence serves.
        row: usize,
        /// Whether a value goes behind elements that are equal to it.
        is_right: bool,
    },
}

/// The extents of what a function of matrices is applied to: none of the matrices is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixExtents {
    /// How many matrices there are.
    pub batches: usize,
    /// The rows of each.
    pub rows: usize,
    /// The columns of each.
    pub columns: usize,
    /// The columns of each right-hand side; 0 if there is none.
    pub rhs_columns: usize,
}

impl MatrixExtents {
    /// The elements of the result of each matrix.
    pub fn results(&self, function: MatrixFunction) -> usize {
        let MatrixExtents { rows, columns, rhs_columns, .. } = *self;
        match function {
            MatrixFunction::Solve | MatrixFunction::SolveTriangular { .. } => rows * rhs_columns,
            MatrixFunction::Inverse
            | MatrixFunction::Cofactors
            | MatrixFunction::Cholesky
            | MatrixFunction::Orthonormal
            | MatrixFunction::Eigenvectors => rows * columns,
            MatrixFunction::Determinant => 1,
            MatrixFunction::SignLogDeterminant => 2,
            MatrixFunction::SingularVectors => (rows + columns) * rows.min(columns),
        }
    }
}

/// What is made of runs of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cumulation {
    /// A function of the elements.
    Function(CumulativeFunction),
    /// `y[i] = factors[i] * y[i - 1] + x[i]`, and `y[0] = x[0]`.
    Recurrence,
}

impl Cumulation {
    /// The stem of the op.
    pub fn name(self) -> &'static str {
        match self {
            Cumulation::Function(function) => function.name(),
            Cumulation::Recurrence => "linear_recurrence",
        }
    }
}

/// What the totals of a scatter-add are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Factor {
    /// That number, exact in the dtype.
    Constant(f64),
    /// The first element of the fourth input, of the kernel's dtype.
    Input {
        /// Whether it is its negative, so that the products are subtracted.
        is_negated: bool,
    },
}

/// How the matrices of an operand lie in a buffer: the element in row `i` and column `j` of matrix `b` stands at
/// `offset + batch.distance(b) + rows.distance(i) + columns.distance(j)`.
///
/// A plain matrix has evenly spaced rows and columns, of which one are neighbours. Rows or columns may be several axes as one, walked backwards,
/// repeated, or share elements, as sliding windows do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrices {
    /// Where the first element of the first matrix stands.
    pub offset: usize,
    /// The matrices.
    pub batch: Axes,
    /// The rows of each.
    pub rows: Axes,
    /// The columns of each.
    pub columns: Axes,
}

impl Matrices {
    /// A single matrix.
    pub fn single(offset: usize, rows: Axes, columns: Axes) -> Self {
        Matrices { offset, batch: Axes::new([]), rows, columns }
    }

    /// The same elements with rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Matrices { rows: self.columns, columns: self.rows, ..self }
    }

    /// Where an element stands.
    pub fn position(&self, matrix: usize, row: usize, column: usize) -> usize {
        self.start(matrix).wrapping_add_signed(self.rows.distance(row) + self.columns.distance(column))
    }

    /// Where the first element of a matrix stands.
    pub fn start(&self, matrix: usize) -> usize {
        self.offset.wrapping_add_signed(self.batch.distance(matrix))
    }

    /// All elements, over the domain `[batch, rows, columns]`.
    pub fn view(&self) -> View {
        let axes = [&self.batch, &self.rows, &self.columns];
        View::new(axes.into_iter().flat_map(|axes| axes.as_slice().iter().copied()), self.offset)
    }
}

/// The extents of the matrix product of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductExtents {
    /// How many products there are.
    pub batches: usize,
    /// The rows of each result.
    pub m: usize,
    /// The length of each sum, at least 1.
    pub k: usize,
    /// The columns of each result.
    pub n: usize,
}

impl ProductExtents {
    /// The extents of `lhs x rhs`.
    pub fn new(lhs: &Matrices, rhs: &Matrices) -> Self {
        let [batches, m, k, n] = [&lhs.batch, &lhs.rows, &lhs.columns, &rhs.columns].map(Axes::count);
        debug_assert_eq!((batches, k), (rhs.batch.count(), rhs.rows.count()), "operands of different products");
        ProductExtents { batches, m, k, n }
    }

    /// The elements of all results.
    pub fn results(&self) -> usize {
        self.batches.saturating_mul(self.m).saturating_mul(self.n)
    }
}

/// A region of an assembled result.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Where the region's elements are read, over its own row-major domain.
    pub source: View,
    /// Where they are written, over the same domain.
    pub destination: View,
}

impl Kernel {
    /// The stem used in printed plans, shaders, CPU kernels, tests and benches.
    pub fn name(&self) -> &'static str {
        match self {
            Kernel::Elementwise(_) => "elementwise",
            Kernel::Reduce { .. } => "reduce",
            Kernel::Nest(_) => "nest",
            Kernel::ArgMax { .. } => "argmax",
            Kernel::MatMul { .. } => "matmul",
            Kernel::Attention(attention) if attention.is_backward() => "attention_backward",
            Kernel::Attention(_) => "attention",
            Kernel::Gather { .. } => "gather",
            Kernel::ScatterAdd { .. } => "scatter_add",
            Kernel::ScatterReduce { function, .. } => function.name(),
            Kernel::Assemble { .. } => "assemble",
            Kernel::LinearAlgebra { function, .. } => function.name(),
            Kernel::Cumulative { .. } => "cumulative",
            Kernel::ArgSort { .. } => "argsort",
            Kernel::SearchSorted { .. } => "searchsorted",
        }
    }
}
