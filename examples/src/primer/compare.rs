//! Finite differences beside the engine's derivatives: along every arc for one sample, and for the gradient of the loss.

use arenagrad::{Device, Graph, PlanId, Session, Tensor};

use super::dag::{Dag, Symbol};
use super::data::{DataSet, borrowed};
use super::error::PrimerError;
use super::network::{LocalPartial, Network, Partials, dtype_on, set_parameters};

/// A derivative found both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BothWays {
    /// By finite differences.
    pub finite_difference: f64,
    /// The engine's.
    pub engine: f64,
}

impl BothWays {
    /// How far apart the two are.
    pub fn difference(self) -> f64 {
        (self.finite_difference - self.engine).abs()
    }
}

/// The values and partial derivatives of a network for one sample at a time.
pub struct SampleTable<'d> {
    dag: &'d Dag,
    session: Session,
    /// The variable and the operand of each derivative.
    operands: Vec<(usize, Symbol)>,
}

/// What a [`SampleTable`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleDerivatives {
    /// The value of each variable, by number.
    pub values: Vec<f64>,
    /// The partial derivatives of each expression with respect to its variables and parameters, in topological order.
    pub partials: Vec<LocalPartial<BothWays>>,
}

impl<'d> SampleTable<'d> {
    /// Plans the derivatives, with `delta` as the step of finite differences.
    pub fn new(dag: &'d Dag, delta: f64, device: &Device) -> Result<Self, PrimerError> {
        let graph = Graph::new();
        let network = Network::declare(&graph, dag, 1, dtype_on(device));
        let variables = network.forward(Partials::Engine)?;
        let mut outputs = variables.clone();
        let mut operands = Vec::new();
        for partials in [Partials::FiniteDifference { delta }, Partials::Engine] {
            let found = network.local_partials(&variables, partials)?;
            operands = found.iter().map(|found| (found.variable, found.operand)).collect();
            outputs.extend(found.iter().map(|found| found.value));
        }
        Ok(SampleTable { dag, session: Session::evaluate(&graph, &outputs, device)?, operands })
    }

    /// The values and derivatives for a sample with those parameters.
    ///
    /// Errors: a sample past the data set.
    pub fn at(&mut self, data: &DataSet, sample: usize, parameters: &[f64]) -> Result<SampleDerivatives, PrimerError> {
        let dtype = dtype_on(self.session.device());
        set_parameters(&mut self.session, self.dag, parameters)?;
        let columns = data.tensors(self.dag, &[sample], dtype)?;
        let results = self.session.run(&borrowed(&columns))?;
        let numbers = results.iter().map(Tensor::item).collect::<Result<Vec<_>, _>>()?;
        let (values, partials) = numbers.split_at(self.dag.variables().len());
        let (differences, engine) = partials.split_at(self.operands.len());
        let both = differences.iter().zip(engine);
        let both = both.map(|(&finite_difference, &engine)| BothWays { finite_difference, engine });
        let partials = self.operands.iter().zip(both);
        let partials = partials.map(|(&(variable, operand), value)| LocalPartial { variable, operand, value });
        Ok(SampleDerivatives { values: values.to_vec(), partials: partials.collect() })
    }
}

/// The gradient of the loss over a data set with respect to each parameter, by number, at certain parameters.
pub struct LossGradient<'d> {
    dag: &'d Dag,
    session: Session,
    gradients: PlanId,
    samples: Vec<(String, Tensor)>,
}

impl<'d> LossGradient<'d> {
    /// Plans the gradients, with `delta` as the step of finite differences.
    pub fn new(dag: &'d Dag, data: &DataSet, delta: f64, device: &Device) -> Result<Self, PrimerError> {
        let dtype = dtype_on(device);
        let all: Vec<usize> = (0..data.len()).collect();
        let graph = Graph::new();
        let network = Network::declare(&graph, dag, data.len(), dtype);
        let one = graph.ones([], dtype);
        let (mut losses, mut gradients) = (Vec::new(), Vec::new());
        for partials in [Partials::FiniteDifference { delta }, Partials::Engine] {
            let loss = network.loss(&network.forward(partials)?);
            losses.push(loss);
            gradients.extend(graph.gradients(&[loss], &[one], network.parameters())?);
        }
        let mut session = Session::evaluate(&graph, &losses[1..], device)?;
        let gradients = session.add(&graph, &gradients)?;
        Ok(LossGradient { dag, session, gradients, samples: data.tensors(dag, &all, dtype)? })
    }

    /// The loss with those parameters.
    pub fn loss(&mut self, parameters: &[f64]) -> Result<f64, PrimerError> {
        set_parameters(&mut self.session, self.dag, parameters)?;
        Ok(self.session.run(&borrowed(&self.samples))?[0].item()?)
    }

    /// The gradient with those parameters.
    pub fn at(&mut self, parameters: &[f64]) -> Result<Vec<BothWays>, PrimerError> {
        set_parameters(&mut self.session, self.dag, parameters)?;
        let results = self.session.run_plan(self.gradients, &borrowed(&self.samples))?;
        let numbers = results.iter().map(Tensor::item).collect::<Result<Vec<_>, _>>()?;
        let (differences, engine) = numbers.split_at(self.dag.parameters().len());
        let both = differences.iter().zip(engine);
        Ok(both.map(|(&finite_difference, &engine)| BothWays { finite_difference, engine }).collect())
    }
}
