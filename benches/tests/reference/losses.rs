//! The losses of the workloads. Sizes that values do not tell are written down a second time, from the programs of the other systems.

use super::layers::{
    causal_attention, cross_entropy, gelu, layer_norm as normalised, linear, mean_squared_error, product, sigmoid,
    transposed,
};
use super::{Values, dot};

/// Two layers.
pub(crate) fn perceptron(values: &Values, inputs: usize, outputs: usize) -> f64 {
    let (first, second) = (values.get("w0"), values.get("w1"));
    let hidden: Vec<f64> =
        product(values.get("x"), first, inputs, first.len() / inputs).iter().map(|x| x.max(0.0)).collect();
    mean_squared_error(&product(&hidden, second, second.len() / outputs, outputs), values.get("t"))
}

pub(crate) fn layer_norm(values: &Values) -> f64 {
    dot(&normalised(values.get("x"), values.get("scale"), values.get("shift")), values.get("weights"))
}

pub(crate) fn attention(values: &Values) -> f64 {
    const HEAD: usize = 256 * 64;
    let [q, k, v, weights] = ["q", "k", "v", "weights"].map(|name| values.get(name).chunks_exact(HEAD));
    let heads = q.zip(k).zip(v).zip(weights);
    heads.map(|(((q, k), v), weights)| dot(&causal_attention(q, k, v, 64), weights)).sum()
}

pub(crate) fn embedding(values: &Values) -> f64 {
    let (table, rows) = (values.get("table"), values.indices("rows"));
    let squares = rows.iter().map(|row| table[row * 128..][..128].iter().map(|x| x * x).sum::<f64>());
    squares.sum::<f64>() / (rows.len() * 128) as f64
}

pub(crate) fn gru(values: &Values) -> f64 {
    const UNITS: usize = 128;
    let mut state = vec![0.0; 32 * UNITS];
    for x in values.get("x").chunks_exact(32 * 64) {
        let of_input = linear(x, values.get("of_input"), values.get("bias"));
        let of_state = product(&state, values.get("of_state"), UNITS, 3 * UNITS);
        let gates = of_input.chunks_exact(3 * UNITS).zip(of_state.chunks_exact(3 * UNITS));
        for (state, (x, h)) in state.chunks_exact_mut(UNITS).zip(gates) {
            for (unit, state) in state.iter_mut().enumerate() {
                let reset = sigmoid(x[unit] + h[unit]);
                let update = sigmoid(x[UNITS + unit] + h[UNITS + unit]);
                let new = (x[2 * UNITS + unit] + reset * h[2 * UNITS + unit]).tanh();
                *state = (1.0 - update) * new + update * *state;
            }
        }
    }
    mean_squared_error(&state, values.get("t"))
}

pub(crate) fn gpt(values: &Values) -> f64 {
    const WIDTH: usize = 128;
    let table = values.get("token_embedding");
    let positions = values.get("position_embedding").chunks_exact(WIDTH);
    let rows = values.indices("tokens").into_iter().map(|token| &table[token * WIDTH..][..WIDTH]);
    let mut h: Vec<f64> =
        rows.zip(positions.cycle()).flat_map(|(token, place)| token.iter().zip(place).map(|(a, b)| a + b)).collect();
    for layer in 0..4 {
        let get = |name: &str| values.get(&format!("layer{layer}.{name}"));
        let layer_of = |name: &str, x: &[f64]| linear(x, get(&format!("{name}.weight")), get(&format!("{name}.bias")));
        let norm = |name: &str, x: &[f64]| normalised(x, get(&format!("{name}.scale")), get(&format!("{name}.shift")));

        let projected = layer_of("attention.in", &norm("attention_norm", &h));
        add(&mut h, &layer_of("attention.out", &heads(&projected, WIDTH)));
        let widened: Vec<f64> = layer_of("widen", &norm("perceptron_norm", &h)).into_iter().map(gelu).collect();
        add(&mut h, &layer_of("narrow", &widened));
    }
    let h = normalised(&h, values.get("norm.scale"), values.get("norm.shift"));
    let logits = product(&h, &transposed(table, WIDTH), WIDTH, table.len() / WIDTH);
    cross_entropy(&logits, &values.indices("targets"))
}

/// The results of 4 heads side by side, from rows of queries, keys and values side by side, of 64 positions a sample.
fn heads(projected: &[f64], width: usize) -> Vec<f64> {
    const POSITIONS: usize = 64;
    let size = width / 4;
    let mut result = vec![0.0; projected.len() / 3];
    for (sample, result) in
        projected.chunks_exact(POSITIONS * 3 * width).zip(result.chunks_exact_mut(POSITIONS * width))
    {
        for head in 0..4 {
            let part = |part: usize| -> Vec<f64> {
                let rows = sample.chunks_exact(3 * width);
                rows.flat_map(|row| &row[part * width + head * size..][..size]).copied().collect()
            };
            let attended = causal_attention(&part(0), &part(1), &part(2), size);
            for (row, attended) in result.chunks_exact_mut(width).zip(attended.chunks_exact(size)) {
                row[head * size..][..size].copy_from_slice(attended);
            }
        }
    }
    result
}

fn add(h: &mut [f64], more: &[f64]) {
    h.iter_mut().zip(more).for_each(|(h, more)| *h += more);
}
