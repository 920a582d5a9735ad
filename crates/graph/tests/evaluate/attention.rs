//! Attention by its formula, one pair of a query and a key after the other.

use arenagrad_graph::{AttentionNode, AttentionResult, DType, Graph, NodeId, Shape};

/// The elements of an operand under its shape, whose last two axes are a matrix.
struct Operand<'a> {
    shape: Shape,
    elements: &'a [f64],
}

impl Operand<'_> {
    /// The element of a matrix; axes of extent 1 are repeated.
    fn at(&self, batch: &[usize], row: usize, column: usize) -> f64 {
        let at = batch.iter().copied().chain([row, column]);
        let place = at.zip(self.shape.iter()).fold(0, |place, (at, &extent)| place * extent + at % extent.max(1));
        self.elements[place]
    }
}

pub(super) fn attention<'a>(
    graph: &Graph,
    attention: &AttentionNode,
    elements: &dyn Fn(&NodeId) -> &'a [f64],
) -> Vec<f64> {
    let of = |id: NodeId| Operand { shape: graph.node(id).unwrap().shape.clone(), elements: elements(&id) };
    let [query, key, value] = [attention.query, attention.key, attention.value].map(of);
    let mask = attention.mask.map(|mask| (of(mask), graph.node(mask).unwrap().dtype == DType::Bool));
    let rank = query.shape.rank();
    let [positions, depth] = [query.shape[rank - 2], query.shape[rank - 1]];
    let [keys, width] = [key.shape[rank - 2], value.shape[rank - 1]];
    let [heads, groups] = [query.shape[rank - 3], key.shape[rank - 3]];
    let samples: usize = query.shape[..rank - 3].iter().product();
    let backward = attention
        .backward
        .map(|backward| (of(backward.upstream), elements(&backward.statistics), elements(&backward.weighted)));
    let mut output = vec![0.0; samples * heads * positions * width];
    let mut statistics = vec![0.0; samples * heads * positions * 2];
    let mut query_gradient = vec![0.0; samples * heads * positions * depth];
    let mut key_gradient = vec![0.0; samples * groups * keys * depth];
    let mut value_gradient = vec![0.0; samples * groups * keys * width];
    for row in 0..samples * heads * positions {
        let (position, head, sample) = (row % positions, row / positions % heads, row / positions / heads);
        let mut rest = sample;
        let mut batch: Vec<usize> = query.shape[..rank - 3]
            .iter()
            .rev()
            .map(|&n| {
                let at = rest % n;
                rest /= n;
                at
            })
            .collect();
        batch.reverse();
        let (mut of_head, mut of_group) = (batch.clone(), batch);
        of_head.push(head);
        of_group.push(head / (heads / groups));
        let group = sample * groups + head / (heads / groups);
        let score = |j: usize| {
            let product: f64 = (0..depth).map(|c| query.at(&of_head, position, c) * key.at(&of_group, j, c)).sum();
            let mut score = product * attention.scale;
            if let Some((mask, is_bool)) = &mask {
                let mask = mask.at(&of_head, position, j);
                score += match (is_bool, mask != 0.0) {
                    (true, true) => 0.0,
                    (true, false) => f64::NEG_INFINITY,
                    (false, _) => mask,
                };
            }
            if attention.is_causal && j > position { f64::NEG_INFINITY } else { score }
        };
        let scores: Vec<f64> = (0..keys).map(score).collect();
        let Some((upstream, given, weighted)) = &backward else {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let shift = if largest == f64::NEG_INFINITY { 0.0 } else { largest };
            let exponentials: Vec<f64> = scores.iter().map(|score| (score - shift).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            if sum != 0.0 {
                statistics[2 * row..][..2].copy_from_slice(&[shift, sum.ln()]);
                for c in 0..width {
                    let total: f64 = (0..keys).map(|j| exponentials[j] * value.at(&of_group, j, c)).sum();
                    output[row * width + c] = total / sum;
                }
            }
            continue;
        };
        let [largest, logarithm] = [given[2 * row], given[2 * row + 1]];
        for (j, score) in scores.iter().enumerate() {
            let probability = ((score - largest) - logarithm).exp();
            let product: f64 = (0..width).map(|c| upstream.at(&of_head, position, c) * value.at(&of_group, j, c)).sum();
            let gradient = probability * (product - weighted[row]) * attention.scale;
            for c in 0..depth {
                query_gradient[row * depth + c] += gradient * key.at(&of_group, j, c);
                key_gradient[(group * keys + j) * depth + c] += gradient * query.at(&of_head, position, c);
            }
            for c in 0..width {
                value_gradient[(group * keys + j) * width + c] += probability * upstream.at(&of_head, position, c);
            }
        }
    }
    match attention.result {
        AttentionResult::Output => output,
        AttentionResult::SoftmaxStatistics => statistics,
        AttentionResult::QueryGradient => query_gradient,
        AttentionResult::KeyGradient => key_gradient,
        AttentionResult::ValueGradient => value_gradient,
    }
}
