//! Layers over rows of numbers, as their definitions have them.

/// `[m, k] x [k, n] -> [m, n]`.
pub(super) fn product(a: &[f64], b: &[f64], k: usize, n: usize) -> Vec<f64> {
    let mut result = Vec::with_capacity(a.len() / k * n);
    let mut sums = vec![0.0; n];
    for row in a.chunks_exact(k) {
        sums.fill(0.0);
        for (&a, b) in row.iter().zip(b.chunks_exact(n)) {
            sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
        }
        result.extend_from_slice(&sums);
    }
    result
}

/// `[m, n] -> [n, m]`.
pub(super) fn transposed(a: &[f64], n: usize) -> Vec<f64> {
    (0..n).flat_map(|column| a.chunks_exact(n).map(move |row| row[column])).collect()
}

/// `x W + b` of rows.
pub(super) fn linear(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let columns = bias.len();
    let mut result = product(x, weight, weight.len() / columns, columns);
    for row in result.chunks_exact_mut(columns) {
        row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
    }
    result
}

/// Each row brought to a mean of 0 and a variance of 1, then scaled and shifted.
pub(super) fn layer_norm(x: &[f64], scale: &[f64], shift: &[f64]) -> Vec<f64> {
    let mut result = Vec::with_capacity(x.len());
    for row in x.chunks_exact(scale.len()) {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let deviation = (variance + 1e-5).sqrt();
        result
            .extend(row.iter().zip(scale).zip(shift).map(|((x, scale), shift)| (x - mean) / deviation * scale + shift));
    }
    result
}

/// Of one head, `[positions, width]` each: the mean of the values up to each position, weighted by how well its query fits their keys.
pub(super) fn causal_attention(q: &[f64], k: &[f64], v: &[f64], width: usize) -> Vec<f64> {
    let mut result = Vec::with_capacity(q.len());
    for (position, query) in q.chunks_exact(width).enumerate() {
        let keys = k.chunks_exact(width).take(position + 1);
        let scores: Vec<f64> = keys.map(|key| super::dot(query, key) / (width as f64).sqrt()).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let weights: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        result.extend(product(&weights, &v[..weights.len() * width], weights.len(), width));
    }
    result
}

/// The mean over rows of `ln(sum of e^x) - x[label]`.
pub(super) fn cross_entropy(logits: &[f64], labels: &[usize]) -> f64 {
    let rows = logits.chunks_exact(logits.len() / labels.len());
    let losses = rows.zip(labels).map(|(row, &label)| {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + row.iter().map(|x| (x - most).exp()).sum::<f64>().ln() - row[label]
    });
    losses.sum::<f64>() / labels.len() as f64
}

pub(super) fn mean_squared_error(x: &[f64], target: &[f64]) -> f64 {
    x.iter().zip(target).map(|(x, target)| (x - target).powi(2)).sum::<f64>() / x.len() as f64
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The Gaussian error linear unit in its form with tanh.
pub(super) fn gelu(x: f64) -> f64 {
    x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}
