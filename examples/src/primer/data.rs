//! The ground truth: values of the parameters, random inputs, and the outputs that the network gives for them.
//!
//! Inputs are uniform in [0, 1). They are a function of the seed, the variable's number and the sample's number alone, by the
//! engine's counter-based generator, so that a seed gives the same data on every machine. Outputs are computed in f64.

use arenagrad::{DType, Device, Graph, Session, Tensor};

use super::dag::Dag;
use super::error::PrimerError;
use super::network::{Network, Partials, input_name, set_parameters, target_name};

/// Samples of a network with known parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// The column of each independent variable, by number.
    pub inputs: Vec<Vec<f64>>,
    /// The column of each output, in the order of [`Dag::outputs`].
    pub outputs: Vec<Vec<f64>>,
}

impl DataSet {
    /// `size` samples of the network with the parameters `truth`, by number.
    ///
    /// Errors: a size outside 1 to 1,000,000; a number of parameters other than the network's; a true value that is not
    /// finite; an output that is not finite for a sample.
    pub fn generate(dag: &Dag, truth: &[f64], size: usize, seed: u64) -> Result<DataSet, PrimerError> {
        const MOST: usize = 1_000_000;
        if !(1..=MOST).contains(&size) {
            let (what, value) = ("the number of samples".to_owned(), size as f64);
            return Err(PrimerError::OutOfRange { what, value, expected: "in 1..=1000000" });
        }
        check_truth(dag, truth)?;
        let graph = Graph::new();
        let step = graph.literal([], vec![0i32]);
        let draws: Vec<_> = (0..dag.independent() as u64)
            .map(|number| graph.uniform([size], step, seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
            .collect();
        let mut session = Session::evaluate(&graph, &draws, &Device::cpu())?;
        let inputs: Vec<Vec<f64>> = session.run(&[])?.iter().map(Tensor::to_f64_vec).collect();

        let graph = Graph::new();
        let network = Network::declare(&graph, dag, size, DType::F64);
        let variables = network.forward(Partials::Engine)?;
        let outputs: Vec<_> = dag.outputs().iter().map(|output| variables[*output]).collect();
        let mut session = Session::evaluate(&graph, &outputs, &Device::cpu())?;
        set_parameters(&mut session, dag, truth)?;
        let columns = named_columns(dag, &inputs, &[], DType::F64)?;
        let outputs: Vec<Vec<f64>> = session.run(&borrowed(&columns))?.iter().map(Tensor::to_f64_vec).collect();
        let data = DataSet { inputs, outputs };
        data.require_finite(dag)?;
        Ok(data)
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.outputs.first().map_or(0, Vec::len)
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples at those positions, as the tensors that a [`Network`] of so many rows is given: inputs, then true outputs.
    /// Errors: a position past the samples.
    pub fn tensors(&self, dag: &Dag, positions: &[usize], dtype: DType) -> Result<Vec<(String, Tensor)>, PrimerError> {
        if let Some(position) = positions.iter().find(|position| **position >= self.len()) {
            let (what, value) = ("the number of a sample".to_owned(), *position as f64);
            return Err(PrimerError::OutOfRange { what, value, expected: "a sample of the data set" });
        }
        let select = |columns: &[Vec<f64>]| -> Vec<Vec<f64>> {
            columns.iter().map(|column| positions.iter().map(|position| column[*position]).collect()).collect()
        };
        named_columns(dag, &select(&self.inputs), &select(&self.outputs), dtype)
    }

    fn require_finite(&self, dag: &Dag) -> Result<(), PrimerError> {
        for (column, output) in self.outputs.iter().zip(dag.outputs()) {
            let Some(sample) = column.iter().position(|value| !value.is_finite()) else { continue };
            let inputs: Vec<String> = dag.variables()[..dag.independent()]
                .iter()
                .zip(&self.inputs)
                .map(|(name, column)| format!("{name} = {}", column[sample]))
                .collect();
            let inputs = if inputs.is_empty() { "there are no inputs".to_owned() } else { inputs.join(", ") };
            let (variable, value) = (dag.variables()[*output].clone(), column[sample]);
            return Err(PrimerError::DataNotFinite { variable, value, sample, inputs });
        }
        Ok(())
    }
}

/// Reads true values such as `ab=1.0,bc=2.0` and gives them in the order of the network's parameters.
///
/// Errors: a part that is not `NAME=NUMBER`; a number that is not finite; a name twice; a name that is no parameter; a
/// parameter without a value.
pub fn parse_truth(dag: &Dag, text: &str) -> Result<Vec<f64>, PrimerError> {
    let mut truth = vec![None; dag.parameters().len()];
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let form = || PrimerError::TruthForm { text: part.to_owned() };
        let (name, number) = part.split_once('=').ok_or_else(form)?;
        let name = name.trim();
        let value: f64 = number.trim().parse().map_err(|_| form())?;
        let Some(place) = dag.parameters().iter().position(|parameter| parameter == name) else {
            let known = match dag.parameters() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            return Err(PrimerError::UnknownTruth { name: name.to_owned(), known });
        };
        if truth[place].replace(value).is_some() {
            return Err(PrimerError::RepeatedTruth { name: name.to_owned() });
        }
    }
    let missing = dag.parameters().iter().zip(&truth).filter(|(_, value)| value.is_none());
    let names: Vec<String> = missing.map(|(name, _)| name.clone()).collect();
    if !names.is_empty() {
        return Err(PrimerError::MissingTruth { names });
    }
    let truth: Vec<f64> = truth.into_iter().flatten().collect();
    check_truth(dag, &truth)?;
    Ok(truth)
}

/// Tensors as a session takes them.
pub(super) fn borrowed(columns: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    columns.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

fn check_truth(dag: &Dag, truth: &[f64]) -> Result<(), PrimerError> {
    let names = dag.parameters();
    if truth.len() != names.len() {
        let (what, value) = ("the number of true values".to_owned(), truth.len() as f64);
        return Err(PrimerError::OutOfRange { what, value, expected: "that of the learnable parameters" });
    }
    match names.iter().zip(truth).find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((name, value)) => {
            let what = format!("the true value of {name}");
            Err(PrimerError::OutOfRange { what, value: *value, expected: "a finite number" })
        }
    }
}

fn named_columns(
    dag: &Dag,
    inputs: &[Vec<f64>],
    outputs: &[Vec<f64>],
    dtype: DType,
) -> Result<Vec<(String, Tensor)>, PrimerError> {
    let names = dag.variables()[..dag.independent()].iter().map(|name| input_name(name));
    let targets = dag.outputs().iter().map(|output| target_name(&dag.variables()[*output]));
    let columns = names.zip(inputs).chain(targets.zip(outputs));
    columns.map(|(name, column)| Ok((name, Tensor::new([column.len()], column.clone())?.cast(dtype)))).collect()
}
