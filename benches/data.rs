//! Random data for workloads, drawn by the engine's own generator: the same in every run and on every machine.

use arenagrad::{DType, Device, Error, Expr, Graph, Init, Session, Tensor};

/// f32 numbers from the normal distribution of mean 0 and that deviation.
pub(crate) fn normal(shape: &[usize], deviation: f64, seed: u64) -> Result<Tensor, Error> {
    let graph = Graph::new();
    evaluate(&graph, graph.normal(shape, graph.full([], 0.0, DType::I32), seed) * deviation)
}

/// i32 indices, uniform in `0..end`.
pub(crate) fn indices(shape: &[usize], end: usize, seed: u64) -> Result<Tensor, Error> {
    let graph = Graph::new();
    let draw = graph.uniform(shape, graph.full([], 0.0, DType::I32), seed);
    // The product of a number just below 1 may round up to the end.
    let scaled = (draw * end as f64).minimum(end as f64 - 1.0);
    evaluate(&graph, scaled.cast(DType::I32))
}

/// Parameters with a normal distribution of mean 0.
pub(crate) fn normal_parameter(deviation: f64) -> Init {
    Init::Normal { mean: 0.0, deviation }
}

fn evaluate(graph: &Graph, value: Expr<'_>) -> Result<Tensor, Error> {
    Ok(Session::evaluate(graph, &[value], &Device::cpu())?.run(&[])?.remove(0))
}
