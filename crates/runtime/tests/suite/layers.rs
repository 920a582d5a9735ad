//! What tests of layers against PyTorch's values share: the numbers that both were given, and a layer in a session of its own.

use arenagrad::nn::{Layer, Phase};
use arenagrad::{Device, Expr, Graph, Session, Tensor};

/// The numbers that the reference was given: of elements in `-shift..2.875 - shift`.
pub fn given(shape: &[usize], shift: f64) -> Tensor {
    let elements: usize = shape.iter().product();
    let number = |place: usize| ((place * 37 + 11) % 23) as f64 / 8.0 - shift;
    Tensor::new(shape.to_vec(), (0..elements).map(number).collect::<Vec<f64>>()).expect("as many elements")
}

/// The same numbers as a vector of length 1.
pub fn unit(elements: usize, shift: f64) -> Tensor {
    let vector = given(&[elements], shift).to_f64_vec();
    let length = vector.iter().map(|element| element * element).sum::<f64>().sqrt();
    Tensor::new([elements], vector.iter().map(|element| element / length).collect::<Vec<f64>>())
        .expect("as many elements")
}

#[track_caller]
pub fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        assert!(error <= tolerance * (1.0 + expected.abs()), "{what}: {found}, but {expected} is expected");
    }
}

/// What a layer gives for the numbers of that shape, with these parameters set.
pub fn applied(layer: &dyn Layer, phase: Phase, x: &Tensor, parameters: &[(&str, &Tensor)]) -> Vec<f64> {
    let g = Graph::new();
    let y = layer.forward(g.input_of("x", x.shape(), x.dtype()), phase);
    computed(&g, &[y], &[("x", x)], parameters).remove(0)
}

/// What a graph computes with these parameters set.
pub fn computed(
    g: &Graph,
    outputs: &[Expr<'_>],
    inputs: &[(&str, &Tensor)],
    parameters: &[(&str, &Tensor)],
) -> Vec<Vec<f64>> {
    let mut session = Session::evaluate(g, outputs, &Device::cpu()).unwrap_or_else(|error| panic!("{error}"));
    for (name, value) in parameters {
        session.set_parameter(name, value).unwrap_or_else(|error| panic!("{error}"));
    }
    let results = session.run(inputs).unwrap_or_else(|error| panic!("{error}"));
    results.iter().map(Tensor::to_f64_vec).collect()
}
