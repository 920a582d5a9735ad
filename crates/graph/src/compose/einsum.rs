//! Sums of products over labelled axes, by Einstein's convention: `einsum("bij,bjk->bik", [a, b])`.
//!
//! An equation is read into labels for each operand and for the result (`equation`). Then it is done two operands at a time, in an order
//! that is cheap (`order`), each pair as one matrix product whose rows, columns, depth and batch may be several axes (`pair`). Before and
//! after stand views alone: diagonals for labels that an operand repeats, and the order of the axes.
//!
//! Nothing here knows what a plan makes of the views.

mod equation;
mod order;
mod pair;

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::{AxisSet, Shape};
use equation::Equation;
pub(super) use pair::Labelled;

/// A label of an axis: a letter, or one of the axes that an ellipsis stands for.
pub(super) type Label = u32;

impl Graph {
    /// The sum of products that `equation` says: each operand's axes are labelled by letters, and `result[..] = sum over the labels that
    /// the result has not of the product of the operands' elements`. (PyTorch's and NumPy's `einsum`.) All operands have one dtype, a
    /// float or i32.
    ///
    /// - `"ij,jk->ik"` is a matrix product, `"bij,bjk->bik"` a batch of them, `"i,j->ij"` an outer product, `"ij->j"` a sum, `"ij->ji"` a
    ///   transpose. Spaces mean nothing; upper and lower case are different labels.
    /// - A label that an operand repeats takes its diagonal: `"ii->i"`, and `"ii->"` is the trace.
    /// - `...` stands for any further axes of an operand, aligned at the last; they broadcast. Of a result that has none they are summed.
    /// - Without `->` the result has the ellipsis and then the labels that stand once in the equation, upper case first, in the order of the
    ///   alphabet.
    /// - An axis of extent 1 broadcasts to the others of its label.
    ///
    /// It is done two operands at a time, each pair as one matrix product where a sum is over both. Of up to eight operands the cheapest order
    /// is taken, of more the pair with the smallest result each time. The gradient of an operand is the like sum over the others and
    /// the upstream gradient.
    ///
    /// Errors: no operands; an equation that cannot be read, with the column; another number of terms than of operands; a label whose axes
    /// have different extents; an operand with another number of axes than labels; different dtypes, or bool; a result that
    /// repeats a label or has one that no operand has.
    ///
    /// ```
    /// use arenagrad_graph::Graph;
    ///
    /// let g = Graph::new();
    /// let (q, k) = (g.input("q", [2, 8, 10, 64]), g.input("k", [2, 8, 12, 64]));
    /// assert_eq!(g.einsum("bhqd,bhkd->bhqk", &[q, k]).shape()?.dims(), [2, 8, 10, 12]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn einsum<'g>(&'g self, equation: &str, operands: &[Expr<'g>]) -> Expr<'g> {
        let method = self.enter("einsum");
        let (origin, op) = (method.origin(), "einsum");
        let poisoned = Expr::poisoned(self);
        if operands.is_empty() {
            return self.finish(Err(GraphError::NoOperands { origin, op }));
        }
        let mut shapes = Vec::with_capacity(operands.len());
        for operand in operands {
            if poisoned.same_graph(*operand, op, origin).is_none() {
                return poisoned;
            }
            match operand.read(op, origin, |_, node| node.shape.clone()) {
                Some(shape) => shapes.push(shape),
                None => return poisoned,
            }
        }
        if let Err(error) = alike(op, operands, origin) {
            return self.finish(Err(error));
        }
        let read = match Equation::read(equation, operands, &shapes, origin) {
            Ok(read) => read,
            Err(error) => return self.finish(Err(error)),
        };
        self.at(origin, || {
            let terms = operands.iter().zip(&read.operands).map(|(&expr, labels)| {
                let labelled = Labelled { expr, labels: labels.clone() };
                labelled.with_diagonals().without_ones(&read, origin)
            });
            contract(terms.collect(), &read.result, &read.extents(), origin)
        })
    }
}

/// Whether operands of a contraction have one dtype, which holds numbers.
pub(super) fn alike(op: &'static str, operands: &[Expr<'_>], origin: Origin) -> Result<(), GraphError> {
    let Some(first) = operands.first() else { return Ok(()) };
    let left = first.dtype()?;
    for operand in operands {
        let right = operand.dtype()?;
        if right == crate::dtype::DType::Bool {
            let (operand, expected) = (operand.describe(), "a float or i32");
            return Err(GraphError::DType { origin, op, operand, dtype: right, expected });
        }
        if left != right {
            let (lhs, rhs) = (first.describe(), operand.describe());
            return Err(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right });
        }
    }
    Ok(())
}

/// The sum of products of terms, in each of which a label stands once at most, with the axes that `result` says. `extents[label]` is the
/// extent of a label.
pub(super) fn contract<'g>(
    mut terms: Vec<Labelled<'g>>,
    result: &[Label],
    extents: &dyn Fn(Label) -> usize,
    origin: Origin,
) -> Expr<'g> {
    let sets: Vec<Vec<Label>> = terms.iter().map(|term| term.labels.clone()).collect();
    for (first, second) in order::order(sets, result, extents) {
        // The later one goes first, so that the other keeps its place.
        let rhs = terms.remove(second);
        let lhs = terms.remove(first);
        let is_needed = |label: &Label| result.contains(label) || terms.iter().any(|term| term.labels.contains(label));
        let is_last = terms.is_empty();
        let product = pair::product(lhs, rhs, &is_needed, if is_last { result } else { &[] }, origin);
        terms.push(product);
    }
    match terms.pop() {
        Some(term) => term.summed(&|label| result.contains(label), origin).arranged(result, extents, origin),
        None => unreachable!("a contraction has an operand"),
    }
}

impl<'g> Labelled<'g> {
    /// The diagonal of axes that have one label.
    fn with_diagonals(mut self) -> Self {
        let mut at = 0;
        while at < self.labels.len() {
            let label = self.labels[at];
            match self.labels[at + 1..].iter().position(|&other| other == label) {
                Some(behind) => {
                    let second = at + 1 + behind;
                    self.expr = self.expr.diagonal(0, at as isize, second as isize);
                    self.labels.remove(second);
                    self.labels.remove(at);
                    self.labels.push(label);
                }
                None => at += 1,
            }
        }
        self
    }

    /// Without axes of extent 1 whose label has more elsewhere: their element is the same for all.
    fn without_ones(self, read: &Equation, origin: Origin) -> Self {
        let Some(shape) = self.expr.read("einsum", origin, |_, node| node.shape.clone()) else { return self };
        let ones: AxisSet =
            (0..shape.rank()).filter(|&axis| shape[axis] == 1 && read.extents()(self.labels[axis]) != 1).collect();
        if ones.is_empty() {
            return self;
        }
        let labels = (0..shape.rank()).filter(|&axis| !ones.contains(axis)).map(|axis| self.labels[axis]).collect();
        Labelled { expr: self.expr.reshape_node(&shape.without(ones), origin), labels }
    }

    /// Summed over the labels that are not needed.
    pub(super) fn summed(self, is_needed: &dyn Fn(&Label) -> bool, origin: Origin) -> Self {
        let axes: AxisSet = (0..self.labels.len()).filter(|&axis| !is_needed(&self.labels[axis])).collect();
        if axes.is_empty() {
            return self;
        }
        let Some(shape) = self.expr.read("einsum", origin, |_, node| node.shape.clone()) else { return self };
        let sum = self.expr.reduce_node(ReduceFunction::Sum, axes, origin).reshape_node(&shape.without(axes), origin);
        Labelled { expr: sum, labels: self.labels.into_iter().filter(|label| is_needed(label)).collect() }
    }

    /// With the axes in the order of `result`; labels that this has not are repeated.
    fn arranged(self, result: &[Label], extents: &dyn Fn(Label) -> usize, origin: Origin) -> Expr<'g> {
        let place = |label: &Label| self.labels.iter().position(|own| own == label);
        let axes: Vec<isize> = result.iter().filter_map(place).map(|axis| axis as isize).collect();
        let whole: Shape = result.iter().map(|&label| extents(label)).collect();
        let aligned: Shape =
            result.iter().map(|label| if place(label).is_some() { extents(*label) } else { 1 }).collect();
        self.expr.permute(axes).reshape_node(&aligned, origin).broadcast_node(&whole, origin)
    }
}
