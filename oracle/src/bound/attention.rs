//! The magnitudes of attention: those of its formula, composed of products and a softmax.
//!
//! A score is a product, so that its magnitude is `A = |scale| |q| . |k|`, and what is added to it. A probability `p_j` moves by
//! `p_j (ds_j - sum over l of p_l ds_l)` where scores move by `ds`, so that its own magnitude is `p_j (1 + (1 - p_j) A_j + sum over l other than j of p_l A_l)`: a score is the
//! argument of an exponential, which makes a relative error of its absolute one. The results are products of probabilities and carry that on.

use arenagrad::graph::{AttentionNode, AttentionResult, Expr, Graph, GraphError, Node, NodeId, Op};

use super::Magnitude;

/// The magnitude of a result of attention; `found` are those of its operands.
pub(super) fn magnitude<'g>(
    graph: &'g Graph,
    id: NodeId,
    attention: &AttentionNode,
    node: &Node,
    found: &[Magnitude<'g>],
) -> Result<Magnitude<'g>, GraphError> {
    let [query, key, value] = [0, 1, 2].map(|operand| found[operand].absolute);
    let (query_shape, key_shape) = (query.shape()?, key.shape()?);
    let rank = query_shape.rank();
    let (positions, keys, depth) = (query_shape[rank - 2], key_shape[rank - 2], query_shape[rank - 1]);
    let width = value.shape()?[rank - 1];
    let (heads, groups) = (query_shape[rank - 3], key_shape[rank - 3]);
    // A matrix of each group once for each of its heads.
    let of_heads = |matrices: Expr<'g>| -> Result<Expr<'g>, GraphError> {
        let shape = matrices.shape()?;
        let mut repeated = shape.to_vec();
        repeated.insert(rank - 2, heads / groups);
        let mut whole = shape.to_vec();
        whole[rank - 3] = heads;
        Ok(matrices.unsqueeze(rank as isize - 2).broadcast_to(repeated).reshape(whole))
    };
    // And the sum over the heads of a group.
    let of_groups = |matrices: Expr<'g>| -> Result<Expr<'g>, GraphError> {
        let mut split = matrices.shape()?.to_vec();
        split[rank - 3] = groups;
        split.insert(rank - 2, heads / groups);
        Ok(matrices.reshape(split).sum(rank as isize - 2))
    };
    let probabilities = probabilities(graph, attention, node, keys)?;
    let mut scores = query.matmul_with(of_heads(key)?, false, true) * attention.scale.abs();
    if let (Some(mask), Some(added)) = (attention.mask, found.get(3))
        && graph.node(mask)?.dtype.is_float()
    {
        scores = scores + added.absolute;
    }
    // A mask of -inf is no number to multiply by.
    let moved = probabilities.equal(0.0).where_(0.0, probabilities * scores);
    let together = moved.sum_keepdims(-1);
    // Of `p_j (ds_j - sum over l of p_l ds_l)` the score's own share is `p_j (1 - p_j)`.
    let weights = probabilities + moved + probabilities * (together - moved * 2.0);
    let longest = found.iter().map(|magnitude| magnitude.terms).max().unwrap_or(1);
    let upstream = found.len().checked_sub(3).filter(|_| attention.backward.is_some());
    let (upstream, weighted) = match upstream {
        Some(place) => (found[place].absolute, found[place + 2].absolute),
        None => (query, query),
    };
    let difference = || -> Result<Expr<'g>, GraphError> {
        let products = upstream.matmul_with(of_heads(value)?, false, true);
        Ok((products + weighted.unsqueeze(-1)) * weights * attention.scale.abs())
    };
    let (absolute, own) = match attention.result {
        AttentionResult::Output => (weights.matmul(of_heads(value)?), depth + 2 * keys),
        // What the largest score is off by, the logarithm makes up for: they are read by their sum.
        AttentionResult::SoftmaxStatistics => (
            graph.expr(id).abs() + graph.concat(&[graph.zeros(together.shape()?, node.dtype), together], -1),
            depth + keys,
        ),
        AttentionResult::QueryGradient => (difference()?.matmul(of_heads(key)?), depth + width + keys),
        AttentionResult::KeyGradient => {
            (of_groups(difference()?.matmul_with(query, true, false))?, depth + width + positions * heads / groups)
        }
        AttentionResult::ValueGradient => {
            (of_groups(weights.matmul_with(upstream, true, false))?, depth + positions * heads / groups)
        }
    };
    Ok(Magnitude { terms: own + longest - 1, absolute })
}

/// The probabilities `[.., heads, positions, keys]`: what attention gives for values that are rows of the identity.
fn probabilities<'g>(
    graph: &'g Graph,
    attention: &AttentionNode,
    node: &Node,
    keys: usize,
) -> Result<Expr<'g>, GraphError> {
    let ones = graph.ones([keys, keys], node.dtype);
    let mut shape = graph.node(attention.key)?.shape.to_vec();
    let rank = shape.len();
    shape[rank - 1] = keys;
    let identity = (ones.tril(0) - ones.tril(-1)).broadcast_to(shape).id()?;
    let op = Op::Attention(Box::new(AttentionNode {
        value: identity,
        backward: None,
        result: AttentionResult::Output,
        ..*attention
    }));
    Ok(graph.expr(graph.insert(op, None, None, node.origin)?))
}
