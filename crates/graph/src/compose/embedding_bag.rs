//! Sums, means and largest elements of bags of rows of a table.
//!
//! Rows are gathered once. Bags of one length are an axis; bags of several lengths stand one after the other, and are added up by a
//! scatter, or compared over twice as many rows at each step, so that a long bag beside many short ones costs no more than its rows.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::function::{Context, Function};
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::AxisSet;

use super::embedding::EmbeddingOptions;
use super::pooling::first_place;

/// What is made of the rows of a bag; of a bag without rows zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum BagMode {
    /// Their sum, each times a weight of its own if weights are given.
    Sum,
    /// Their mean.
    #[default]
    Mean,
    /// The largest of each column; the first of equal ones takes the gradient, and NaN is the largest.
    Max,
}

/// Which rows are a bag, and what is made of them: PyTorch's arguments of `embedding_bag`, with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingBagOptions {
    /// What is made of the rows of a bag.
    pub mode: BagMode,
    /// Where each bag begins among indices of one axis: the first at 0, none before the one in front of it. None for indices of two axes,
    /// whose rows are the bags.
    pub offsets: Option<Vec<usize>>,
    /// Whether the last offset is the end of the last bag instead of the beginning of another one.
    pub include_last_offset: bool,
    /// A row of the table that is no part of any bag.
    pub padding_index: Option<usize>,
    /// The norm from which on a row is shortened to it, as [`Expr::embedding`] has it.
    pub max_norm: Option<f64>,
    /// The order of that norm.
    pub norm_type: f64,
    /// Whether a row's gradient is divided by how often the row is read. Not for [`BagMode::Max`].
    pub scale_grad_by_freq: bool,
}

impl Default for EmbeddingBagOptions {
    fn default() -> Self {
        let EmbeddingOptions { padding_index, max_norm, norm_type, scale_grad_by_freq } = EmbeddingOptions::default();
        EmbeddingBagOptions {
            mode: BagMode::default(),
            offsets: None,
            include_last_offset: false,
            padding_index,
            max_norm,
            norm_type,
            scale_grad_by_freq,
        }
    }
}

/// The bags of a call.
struct Bags<'g> {
    /// The rows at the indices: `[bags, length, columns]`, or `[indices, columns]`.
    rows: Expr<'g>,
    /// bool, of the indices' shape: whether a row counts; none if all do.
    is_counted: Option<Expr<'g>>,
    kind: Lengths,
    dtype: DType,
}

enum Lengths {
    /// All bags are equally long.
    One { count: usize, length: usize },
    /// Bags begin and end here.
    Several { bounds: Vec<(usize, usize)> },
}

impl<'g> Expr<'g> {
    /// What is made of bags of rows of this table: `[rows, columns]` at i32 indices `[bags, length]`, or at indices `[n]` of bags that begin
    /// at [`EmbeddingBagOptions::offsets`], give `[bags, columns]`. With weights, of the indices' shape, each row counts as often in a sum.
    ///
    /// The gradient goes to the rows that were used, as often as they were, and to the weights. Indices of an input are checked before each
    /// run.
    ///
    /// Errors: another rank; no offsets beside indices of one axis, or offsets beside others; offsets that do not begin at 0, decrease, or
    /// pass the end; weights of another shape, dtype or mode than [`BagMode::Sum`]; a padding index that is no row; a table that holds no
    /// floats; a `max_norm` or `norm_type` that [`Expr::embedding`] refuses; gradients by frequency of the largest. PyTorch's `F.embedding_bag`.
    ///
    /// ```
    /// # use arenagrad_graph::{BagMode, DType, EmbeddingBagOptions, Graph};
    /// let g = Graph::new();
    /// let table = g.input("table", [100, 16]);
    /// let tokens = g.input_of("tokens", [7], DType::I32);
    /// let bags = EmbeddingBagOptions { mode: BagMode::Sum, offsets: Some(vec![0, 3, 3]), ..EmbeddingBagOptions::default() };
    /// assert_eq!(table.embedding_bag(tokens, None, bags).shape()?.dims(), &[3, 16]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn embedding_bag(self, indices: Expr<'g>, weights: Option<Expr<'g>>, bags: EmbeddingBagOptions) -> Expr<'g> {
        let method = self.enter("embedding_bag");
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph_all(&[Some(indices), weights], "embedding_bag", origin).is_none() {
            return poisoned;
        }
        let Some(lengths) = self.check_bags(indices, weights, &bags, origin) else { return poisoned };
        self.graph().at(origin, || {
            let (Ok(dtype), Ok(shape)) = (self.dtype(), self.shape()) else { return self };
            let count = shape[0];
            let EmbeddingBagOptions { max_norm, norm_type, scale_grad_by_freq, .. } = bags;
            let options = EmbeddingOptions { padding_index: None, max_norm, norm_type, scale_grad_by_freq };
            let Some(mut rows) = self.rows_of_table("embedding_bag", indices, &options, count, origin) else {
                return poisoned;
            };
            if let Some(weights) = weights {
                rows = rows * weights.unsqueeze(-1);
            }
            let is_counted = bags.padding_index.map(|padding| indices.not_equal(padding as f64));
            if let Some(is_counted) = is_counted
                && bags.mode != BagMode::Max
            {
                rows = is_counted.unsqueeze(-1).where_(rows, 0.0);
            }
            let of = Bags { rows, is_counted, kind: lengths, dtype };
            match bags.mode {
                BagMode::Sum => of.sum(of.rows),
                BagMode::Mean => of.mean(),
                BagMode::Max => of.largest(),
            }
        })
    }

    /// The lengths of the bags, if all that was given fits together.
    fn check_bags(
        self,
        indices: Expr<'g>,
        weights: Option<Expr<'g>>,
        bags: &EmbeddingBagOptions,
        origin: Origin,
    ) -> Option<Lengths> {
        let op = "embedding_bag";
        let (table, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let (shape, index_dtype) = indices.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let argument =
            |what, value: usize, expected| GraphError::Argument { origin, op, what, value: value as f64, expected };
        if table.rank() != 2 {
            let (operand, rank, expected) = (self.describe(), table.rank(), "rank 2".to_owned());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape: table, rank, expected });
        }
        if !dtype.is_float() {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        if index_dtype != DType::I32 {
            let (operand, dtype, expected) = (indices.describe(), index_dtype, "i32");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let rank = if bags.offsets.is_some() { 1 } else { 2 };
        if shape.rank() != rank {
            let expected = match rank {
                1 => "rank 1 beside offsets".to_owned(),
                _ => "rank 2 without offsets".to_owned(),
            };
            let (operand, rank) = (indices.describe(), shape.rank());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        if let Some(weights) = weights {
            let (own, own_dtype) = weights.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
            if own != shape {
                let (lhs, rhs) = (weights.describe(), indices.describe());
                let error = GraphError::ShapesDiffer { origin, op, lhs, lhs_shape: own, rhs, rhs_shape: shape };
                return self.fail_without(error);
            }
            if own_dtype != dtype {
                let (lhs, rhs) = (self.describe(), weights.describe());
                return self.fail_without(GraphError::DTypesDiffer {
                    origin,
                    op,
                    lhs,
                    left: dtype,
                    rhs,
                    right: own_dtype,
                });
            }
            if bags.mode != BagMode::Sum {
                return self.fail_without(argument("the number of weights", own.elements(), "none but for a sum"));
            }
        }
        if bags.scale_grad_by_freq && bags.mode == BagMode::Max {
            return self.fail_without(argument("scale_grad_by_freq", 1, "0, which is false, for the largest"));
        }
        if let Some(padding) = bags.padding_index.filter(|&padding| padding >= table[0]) {
            return self.fail_without(argument("the padding index", padding, "a row of the table"));
        }
        let Some(offsets) = &bags.offsets else {
            return Some(Lengths::One { count: shape[0], length: shape[1] });
        };
        let count = shape[0];
        let mut ends = offsets.clone();
        if !bags.include_last_offset {
            ends.push(count);
        }
        let Some(&first) = ends.first() else {
            return self.fail_without(argument("the number of offsets", 0, "at least one, which ends the last bag"));
        };
        if first != 0 && (bags.include_last_offset || !offsets.is_empty()) {
            return self.fail_without(argument("the first offset", first, "0"));
        }
        if let Some(pair) = ends.windows(2).find(|pair| pair[0] > pair[1]) {
            let expected = "none above the next, or above the number of indices";
            return self.fail_without(argument("an offset", pair[0], expected));
        }
        if let Some(&last) = ends.last().filter(|&&last| last > count) {
            return self.fail_without(argument("the last offset", last, "at most the number of indices"));
        }
        Some(Lengths::Several { bounds: ends.windows(2).map(|pair| (pair[0], pair[1])).collect() })
    }
}

impl<'g> Bags<'g> {
    /// The sum of each bag's part of something that has a row for each index.
    fn sum(&self, elements: Expr<'g>) -> Expr<'g> {
        match &self.kind {
            Lengths::One { .. } => elements.sum(1),
            Lengths::Several { bounds } => {
                let graph = elements.graph();
                let (Ok(shape), Ok(dtype)) = (elements.shape(), elements.dtype()) else { return elements };
                let mut extents = vec![1; shape.rank()];
                extents[0] = shape[0];
                // What is behind the last bag belongs to none.
                let mut bag_of = vec![bounds.len() as i32; shape[0]];
                for (bag, &(start, end)) in bounds.iter().enumerate() {
                    bag_of[start..end].fill(bag as i32);
                }
                let inside = bounds.last().map_or(0, |&(_, end)| end);
                bag_of.truncate(inside);
                extents[0] = inside;
                let places = graph.literal(extents, bag_of).broadcast_to(shape.with_extent(0, inside));
                let zeros = graph.zeros(shape.with_extent(0, bounds.len()), dtype);
                zeros.scatter_add(0, places, elements.slice(0, 0, inside))
            }
        }
    }

    /// How many rows of each bag count, `[bags, 1]`.
    fn counts(&self) -> Expr<'g> {
        let graph = self.rows.graph();
        if let Some(is_counted) = self.is_counted {
            return self.sum(is_counted.cast(self.dtype)).unsqueeze(-1);
        }
        match &self.kind {
            Lengths::One { count, length } => graph.full([*count, 1], *length as f64, self.dtype),
            Lengths::Several { bounds } => {
                let counts = bounds.iter().map(|(start, end)| (end - start) as f64).collect();
                graph.literal([bounds.len(), 1], super::resample::floats(counts, self.dtype))
            }
        }
    }

    fn mean(&self) -> Expr<'g> {
        // The sum of no rows is 0, whatever it is divided by.
        self.sum(self.rows) / self.counts().maximum(1.0)
    }

    fn largest(&self) -> Expr<'g> {
        let graph = self.rows.graph();
        let rows = match self.is_counted {
            Some(is_counted) => is_counted.unsqueeze(-1).where_(self.rows, f64::NEG_INFINITY),
            None => self.rows,
        };
        let operands: Vec<Expr<'g>> =
            [rows].into_iter().chain(self.is_counted.map(|counted| counted.unsqueeze(-1))).collect();
        let (is_empty, value) = match &self.kind {
            Lengths::One { length: 0, .. } => return self.sum(rows),
            Lengths::One { .. } => (self.is_counted.is_some(), graph.apply(&LargestOfAxis, &operands)),
            Lengths::Several { bounds } => {
                if bounds.iter().all(|(start, end)| start == end) {
                    return self.sum(rows);
                }
                let is_any_empty = bounds.iter().any(|(start, end)| start == end);
                (self.is_counted.is_some() || is_any_empty, graph.apply(&LargestOfBags { bounds }, &operands))
            }
        };
        if is_empty { self.counts().greater(0.0).where_(value, 0.0) } else { value }
    }
}

/// The numbers of rows along an axis of so many, and so much more of those that do not count: the operand after the rows, if there is one, says which.
/// These are -inf, as rows that count may be.
fn places<'g>(operands: &[Expr<'g>], axis: usize) -> Expr<'g> {
    let (rows, graph) = (operands[0], operands[0].graph());
    let Ok(shape) = rows.shape() else { return rows };
    let own = graph.iota(&shape, axis);
    match operands.get(1) {
        Some(is_counted) => is_counted.where_(own, own + shape[axis] as f64),
        None => own,
    }
}

/// The gradients of a function's operands, of which only the rows have one.
fn of_rows<'g>(context: &Context<'g>, gradient: Expr<'g>) -> Vec<Option<Expr<'g>>> {
    let mut gradients = vec![Some(gradient)];
    gradients.resize(context.operands().len(), None);
    gradients
}

/// The largest of each bag `[bags, length, columns]`, of which the first that counts takes the gradient.
struct LargestOfAxis;

impl Function for LargestOfAxis {
    fn name(&self) -> &'static str {
        "embedding_bag"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let rows = operands[0];
        let origin = rows.graph().origin_or(Origin::here());
        let axes: AxisSet = [1].into_iter().collect();
        let largest = rows.reduce_node(ReduceFunction::Max, axes, origin);
        let own = places(operands, 1);
        context.save_for_backward(&[first_place(rows, largest, own, axes), own]);
        largest.squeeze(1)
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (place, own) = (context.saved()[0], context.saved()[1]);
        of_rows(context, own.equal(place).where_(upstream.unsqueeze(1), 0.0))
    }
}

/// The largest of each bag of `[indices, columns]`, of which the first that counts takes the gradient; anything of a bag without rows.
struct LargestOfBags<'b> {
    bounds: &'b [(usize, usize)],
}

impl Function for LargestOfBags<'_> {
    fn name(&self) -> &'static str {
        "embedding_bag"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let (rows, graph) = (operands[0], operands[0].graph());
        let Ok(shape) = rows.shape() else { return rows };
        let count = shape[0];
        let mut left = vec![1usize; count];
        for &(start, end) in self.bounds {
            (start..end).for_each(|row| left[row] = end - row);
        }
        let longest = left.iter().copied().max().unwrap_or(1);
        let (mut value, mut place) = (rows, places(operands, 0));
        // Each row knows the largest of as many rows from its own on as the shift is, and asks the one that knows of the next ones.
        let mut shift = 1;
        while shift < longest {
            let later = |x: Expr<'g>| x.slice(0, shift, count).pad([(0, shift), (0, 0)], 0.0);
            let (candidate, its_place) = (later(value), later(place));
            let is_same_bag: Vec<i32> = left.iter().map(|&left| i32::from(left > shift)).collect();
            let mut is_larger = candidate.greater(value) | candidate.not_equal(candidate);
            if operands.len() > 1 {
                // Beside one that does not count, one that does is the first of equal ones.
                let counts = place.greater_equal(count as f64) & its_place.less(count as f64);
                is_larger = is_larger | (counts & candidate.equal(value));
            }
            let is_taken = graph.literal([count, 1], is_same_bag).not_equal(0) & is_larger;
            (value, place) = (is_taken.where_(candidate, value), is_taken.where_(its_place, place));
            shift *= 2;
        }
        let last = count.saturating_sub(1);
        let starts: Vec<i32> = self.bounds.iter().map(|&(start, _)| start.min(last) as i32).collect();
        let starts = graph.literal([self.bounds.len()], starts);
        context.save_for_backward(&[place.index_select(0, starts), rows]);
        value.index_select(0, starts)
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (place, rows) = (context.saved()[0], context.saved()[1]);
        let (Ok(shape), Ok(dtype)) = (rows.shape(), rows.dtype()) else { return vec![Some(upstream)] };
        // Where no row of a bag counts, the place is none.
        of_rows(context, context.graph().zeros(shape, dtype).scatter_add(0, place, upstream))
    }
}
