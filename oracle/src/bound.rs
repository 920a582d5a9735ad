//! How far rounding may carry a sum: for each result of a graph, the length of the sums behind it and the sum of their
//! terms' absolute values.
//!
//! The oracle's format allows a sum of `k` terms an error of `4 * sqrt(k) * 2^-24 * |A||B|`. Here both numbers come from
//! the graph that computes the value. Every node of it has a magnitude, a graph of its own, and a length:
//!
//! - a matrix product, sum, cumulative sum, linear recurrence or scatter-add has the same operation over its operands' magnitudes, and a length that is its
//!   own number of terms more (one less, strictly) than the longest of its operands';
//! - attention has those of its formula, as [`attention`] says;
//! - what is linear in an operand (moving, adding, multiplying, dividing, choosing) carries both on;
//! - everything else starts anew with its own absolute value and the length 1.
//!
//! So `|A||B|` of a matrix product's gradient is `|upstream||B|`, and of a variance `sum((|x| + mean|x|)^2) / n`. A length
//! of 1 means that nothing was summed: such a value has no bound.

mod attention;

use arenagrad::graph::{
    Assembly, BinaryFunction, CumulativeFunction, Elementwise, Expr, Graph, GraphError, Indexing, Node, NodeId, Op,
    Ordered, ReduceFunction, UnaryFunction,
};

/// The magnitude of one result.
#[derive(Clone, Copy)]
pub(crate) struct Magnitude<'g> {
    /// The length of the longest sum, at least 1.
    pub(crate) terms: usize,
    /// The sum of the absolute values of the terms, one element for each of the result.
    pub(crate) absolute: Expr<'g>,
}

/// Appends to the graph the magnitudes of some of its results.
pub(crate) fn magnitudes<'g>(graph: &'g Graph, results: &[Expr<'g>]) -> Result<Vec<Magnitude<'g>>, GraphError> {
    let mut table: Vec<Option<Magnitude<'g>>> = vec![None; graph.ordinal_bound()];
    // The order of insertion is a topological one, so operands come before their users.
    for id in graph.ids() {
        let node = graph.node(id)?.clone();
        if node.dtype.is_float() {
            table[node.ordinal as usize] = Some(magnitude(graph, id, &node, &table)?);
        }
    }
    let of = |result: &Expr<'g>| find(graph, result.id()?, &table);
    results.iter().map(of).collect()
}

/// The magnitude of an operand. One that is no float counts as it stands.
fn find<'g>(graph: &'g Graph, id: NodeId, table: &[Option<Magnitude<'g>>]) -> Result<Magnitude<'g>, GraphError> {
    let ordinal = graph.node(id)?.ordinal as usize;
    Ok(table[ordinal].unwrap_or(Magnitude { terms: 1, absolute: graph.expr(id) }))
}

fn magnitude<'g>(
    graph: &'g Graph,
    id: NodeId,
    node: &Node,
    table: &[Option<Magnitude<'g>>],
) -> Result<Magnitude<'g>, GraphError> {
    let operands = node.op.operands();
    let found = operands.iter().map(|&operand| find(graph, operand, table)).collect::<Result<Vec<_>, _>>()?;
    let longest = found.iter().map(|magnitude| magnitude.terms).max().unwrap_or(1);
    let extent = |operand: NodeId, axis: usize| Ok::<usize, GraphError>(graph.node(operand)?.shape[axis]);

    // The same operation over the operands' magnitudes.
    let same = |terms: usize| {
        let mut over = found.iter();
        let mut op = node.op.clone();
        let mut failed = None;
        op = op.map_operands(|operand| match over.next().map(|magnitude| magnitude.absolute.id()) {
            Some(Ok(id)) => id,
            Some(Err(error)) => {
                failed = Some(error);
                operand
            }
            None => operand,
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if let Op::Assembly(Assembly::Pad { value, .. }) = &mut op {
            *value = value.abs();
        }
        let id = graph.insert(op, Some(&node.shape), Some(node.dtype), node.origin)?;
        Ok(Magnitude { terms: terms.max(1), absolute: graph.expr(id) })
    };
    let fresh = || Ok(Magnitude { terms: 1, absolute: graph.expr(id).abs() });
    let carried = |absolute: Expr<'g>| Ok(Magnitude { terms: longest, absolute });

    match &node.op {
        // On its own a process has the operand itself.
        Op::AllReduce { .. } => carried(found[0].absolute),
        Op::Reduce { function: ReduceFunction::Sum, operand, axes } => {
            let mut summed = 1;
            for axis in axes.iter() {
                summed *= extent(*operand, axis)?;
            }
            same((summed + longest).saturating_sub(1))
        }
        Op::MatMul { lhs, transpose_lhs, .. } => {
            let rank = graph.node(*lhs)?.shape.rank();
            let inner = extent(*lhs, if *transpose_lhs { rank - 2 } else { rank - 1 })?;
            same((inner + longest).saturating_sub(1))
        }
        Op::Attention(attention) => attention::magnitude(graph, id, attention, node, &found),
        Op::Convolution { weight, .. } => {
            let terms: usize = graph.node(*weight)?.shape[2..].iter().product();
            same((terms + longest).saturating_sub(1))
        }
        Op::Indexing(Indexing::ScatterAdd { updates, axis, .. }) => same(longest + extent(*updates, *axis)?),
        // What is added up from round to round is not known here.
        Op::Scan { .. } => fresh(),
        Op::Ordered(
            Ordered::Cumulative { function: CumulativeFunction::Sum, operand, axis, .. }
            | Ordered::Recurrence { operand, axis, .. },
        ) => same((extent(*operand, *axis)? + longest).saturating_sub(1)),
        Op::View { .. }
        | Op::Assembly(_)
        | Op::Elementwise(Elementwise::Where { .. })
        | Op::Indexing(Indexing::Gather { .. })
        | Op::StopGradient { .. }
        | Op::CustomGradient { .. } => same(longest),
        Op::Elementwise(Elementwise::Cast { operand }) => {
            let from = graph.node(*operand)?.dtype;
            if from.is_float() { same(longest) } else { fresh() }
        }
        Op::Elementwise(Elementwise::RoundTo { .. }) => fresh(),
        Op::Elementwise(Elementwise::Unary { function: UnaryFunction::Neg, .. }) => carried(found[0].absolute),
        Op::Elementwise(Elementwise::Binary { function, rhs, .. }) => {
            if matches!(function, BinaryFunction::Add | BinaryFunction::Sub) {
                carried(found[0].absolute + found[1].absolute)
            } else if *function == BinaryFunction::Mul {
                carried(found[0].absolute * found[1].absolute)
            } else if *function == BinaryFunction::Div {
                let divisor = graph.expr(*rhs);
                carried(found[0].absolute * found[1].absolute / (divisor * divisor))
            } else if *function == BinaryFunction::ReluBackward {
                Ok(Magnitude { terms: found[0].terms, absolute: found[0].absolute.relu_backward(graph.expr(*rhs)) })
            } else {
                fresh()
            }
        }
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::Elementwise(Elementwise::Unary { .. })
        | Op::Elementwise(Elementwise::Compare { .. })
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::LinearAlgebra { .. }
        | Op::Ordered(
            Ordered::Cumulative {
                function: CumulativeFunction::Product | CumulativeFunction::ArgMax | CumulativeFunction::ArgMin,
                ..
            }
            | Ordered::ArgSort { .. }
            | Ordered::SearchSorted { .. },
        )
        | Op::Indexing(Indexing::ScatterReduce { .. }) => fresh(),
    }
}

#[cfg(test)]
mod tests {
    use arenagrad::{DType, Device, Session, Tensor};

    use super::*;

    /// The length and the magnitude's elements of one result.
    fn bound(graph: &Graph, result: Expr<'_>, inputs: &[(&str, &Tensor)]) -> (usize, Vec<f64>) {
        let magnitude = magnitudes(graph, &[result]).unwrap()[0];
        let mut session = Session::evaluate(graph, &[magnitude.absolute], &Device::cpu()).unwrap();
        (magnitude.terms, session.run(inputs).unwrap()[0].to_f64_vec())
    }

    #[test]
    fn a_product_and_its_gradient_are_bounded_by_the_absolute_factors() {
        let g = Graph::new();
        let a = g.input_of("a", [1, 3], DType::F64);
        let b = g.input_of("b", [3, 2], DType::F64);
        let product = a.matmul(b);
        let values_a = Tensor::new([1, 3], vec![1.0, -2.0, 3.0]).unwrap();
        let values_b = Tensor::new([3, 2], vec![1.0, -1.0, 1.0, -1.0, -1.0, 1.0]).unwrap();
        assert_eq!(bound(&g, product, &[("a", &values_a), ("b", &values_b)]), (3, vec![6.0, 6.0]));
        // The gradient of the sum with respect to a is the sum of each row of b: two terms.
        let [gradient] = product.sum(..).grad([a]).unwrap();
        assert_eq!(bound(&g, gradient, &[("b", &values_b)]), (2, vec![2.0, 2.0, 2.0]));
    }

    #[test]
    fn a_sum_carries_through_what_is_linear() {
        let g = Graph::new();
        let x = g.input_of("x", [4], DType::F64);
        let values = Tensor::new([4], vec![1.0, -1.0, 2.0, -2.0]).unwrap();
        let inputs = [("x", &values)];
        assert_eq!(bound(&g, -(x.sum(..) * 3.0), &inputs), (4, vec![18.0]));
        assert_eq!(bound(&g, x - x.mean(..), &inputs), (4, vec![2.5, 2.5, 3.5, 3.5]));
    }

    #[test]
    fn what_sums_nothing_has_the_length_one() {
        let g = Graph::new();
        let x = g.input_of("x", [2], DType::F64);
        let values = Tensor::new([2], vec![1.0, -2.0]).unwrap();
        assert_eq!(bound(&g, x + x * 2.0, &[("x", &values)]), (1, vec![3.0, 6.0]));
        assert_eq!(bound(&g, x.sum(..).exp(), &[("x", &values)]).0, 1);
    }
}
