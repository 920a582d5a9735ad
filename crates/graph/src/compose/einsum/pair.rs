//! The product of two labelled tensors, summed over the labels that nobody else needs.

use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

use super::Label;

/// A tensor with a label for each axis.
#[derive(Clone, Debug)]
pub(in crate::compose) struct Labelled<'g> {
    pub(in crate::compose) expr: Expr<'g>,
    pub(in crate::compose) labels: Vec<Label>,
}

/// The product of two in each of which a label stands once at most, summed over the labels that are not needed. `result` is the order of
/// labels that is wished for, if any.
///
/// A label of both that is needed is a batch, one that is not is depth, the others are rows and columns; each is one axis of a matrix product
/// after a permutation and a reshape. Where nothing is summed, or rows and columns are missing, a product of elements says the same and
/// fuses with what stands around it.
pub(super) fn product<'g>(
    lhs: Labelled<'g>,
    rhs: Labelled<'g>,
    is_needed: &dyn Fn(&Label) -> bool,
    result: &[Label],
    origin: Origin,
) -> Labelled<'g> {
    let lhs = lhs.clone().summed(&|label| rhs.labels.contains(label) || is_needed(label), origin);
    let rhs = rhs.clone().summed(&|label| lhs.labels.contains(label) || is_needed(label), origin);
    // What varies fastest in the result comes from the columns, so that its order needs no copy.
    let last = result.iter().rev().find(|label| lhs.labels.contains(label) != rhs.labels.contains(label));
    let (lhs, rhs) = if last.is_some_and(|label| lhs.labels.contains(label)) { (rhs, lhs) } else { (lhs, rhs) };
    let order = |labels: Vec<Label>| -> Vec<Label> {
        let (mut wished, others): (Vec<Label>, Vec<Label>) =
            labels.into_iter().partition(|label| result.contains(label));
        wished.sort_by_key(|label| result.iter().position(|other| other == label));
        wished.into_iter().chain(others).collect()
    };
    let of = |labels: &[Label], condition: &dyn Fn(&Label) -> bool| -> Vec<Label> {
        order(labels.iter().copied().filter(condition).collect())
    };
    let batch = of(&lhs.labels, &|label| rhs.labels.contains(label) && is_needed(label));
    let depth = of(&lhs.labels, &|label| rhs.labels.contains(label) && !is_needed(label));
    let rows = of(&lhs.labels, &|label| !rhs.labels.contains(label));
    let columns = of(&rhs.labels, &|label| !lhs.labels.contains(label));
    let is_float = lhs.expr.read("einsum", origin, |_, node| node.dtype.is_float()).unwrap_or(true);
    let labels: Vec<Label> = batch.iter().chain(&rows).chain(&columns).copied().collect();
    if depth.is_empty() || (rows.is_empty() && columns.is_empty()) || !is_float {
        // Where nothing is summed the result stands in the order that is wished for, or as the larger of both stands: another would have to be
        // put in order by a copy.
        let all: Vec<Label> = if depth.is_empty() {
            let (more, fewer) = if lhs.labels.len() > rhs.labels.len() { (&lhs, &rhs) } else { (&rhs, &lhs) };
            let others = fewer.labels.iter().filter(|label| !more.labels.contains(label));
            order(more.labels.iter().chain(others).copied().collect())
        } else {
            labels.iter().chain(&depth).copied().collect()
        };
        let product = lhs.aligned(&all, origin) * rhs.aligned(&all, origin);
        return Labelled { expr: product, labels: all }.summed(is_needed, origin);
    }
    let left = lhs.matrix([&batch, &rows, &depth], origin);
    let right = rhs.matrix([&batch, &depth, &columns], origin);
    let (Some((left, left_extents)), Some((right, right_extents))) = (left, right) else {
        return Labelled { expr: Expr::poisoned(lhs.expr.graph()), labels };
    };
    let shape: Shape = left_extents[..batch.len() + rows.len()]
        .iter()
        .chain(&right_extents[batch.len() + depth.len()..])
        .copied()
        .collect();
    let expr = left.matmul_node(right, false, false, origin).reshape_node(&shape, origin);
    Labelled { expr, labels }
}

impl<'g> Labelled<'g> {
    /// With an axis for each of `all`, of extent 1 for those that this has not.
    fn aligned(&self, all: &[Label], origin: Origin) -> Expr<'g> {
        let Some(shape) = self.expr.read("einsum", origin, |_, node| node.shape.clone()) else { return self.expr };
        let place = |label: &Label| self.labels.iter().position(|own| own == label);
        let axes: Vec<isize> = all.iter().filter_map(place).map(|axis| axis as isize).collect();
        let aligned: Shape = all.iter().map(|label| place(label).map_or(1, |axis| shape[axis])).collect();
        self.expr.permute(axes).reshape_node(&aligned, origin)
    }

    /// As `[batch, rows, columns]`, each of the labels of one group, without the batch where there is none; and the extents of all labels in
    /// that order.
    fn matrix(&self, groups: [&[Label]; 3], origin: Origin) -> Option<(Expr<'g>, Vec<usize>)> {
        let shape = self.expr.read("einsum", origin, |_, node| node.shape.clone())?;
        let place = |label: &Label| self.labels.iter().position(|own| own == label);
        let axes: Vec<usize> = groups.iter().copied().flatten().filter_map(place).collect();
        let extents: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        let group = |labels: &[Label]| -> usize {
            labels.iter().filter_map(place).fold(1, |product: usize, axis| product.saturating_mul(shape[axis]))
        };
        let joined: Shape = groups.iter().skip(usize::from(groups[0].is_empty())).map(|labels| group(labels)).collect();
        let permuted = self.expr.permute(axes.into_iter().map(|axis| axis as isize).collect::<Vec<isize>>());
        Some((permuted.reshape_node(&joined, origin), extents))
    }
}
