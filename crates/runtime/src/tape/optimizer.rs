//! The optimisers of [`crate::train`] for the leaves of a tape: the update is a plan over the leaves' values and gradients,
//! and the optimiser's state stays on the device between steps.

use std::collections::HashMap;
use std::rc::Rc;

use arenagrad_graph::{Expr, Graph, GraphError, Init, NodeId};

use crate::error::Error;
use crate::plan::{Plan, Request};
use crate::session::{PlanId, Session};
use crate::tape::record::{Place, Record};
use crate::tape::{Tape, Variable, backward};
use crate::tensor::Tensor;
use crate::train::{Optimizer, Trained, append_update};

/// An optimiser over leaves of a tape.
///
/// ```
/// use arenagrad::{Device, Sgd, Tape, TapeOptimizer};
///
/// let tape = Tape::new(Device::cpu());
/// let w = tape.leaf(3.0).requires_grad();
/// let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1))?;
/// for _ in 0..50 {
///     optimizer.zero_grad();
///     (&w - 2.0).square().backward()?;
///     optimizer.step()?;
/// }
/// assert!((w.item()? - 2.0).abs() < 1e-4);
/// # Ok::<(), arenagrad::Error>(())
/// ```
pub struct TapeOptimizer {
    leaves: Vec<Rc<Record>>,
    session: Session,
    plan: PlanId,
    /// The values that the session's parameters have.
    written: Vec<Rc<Tensor>>,
}

impl TapeOptimizer {
    /// An optimiser that updates `leaves`.
    ///
    /// Errors: a leaf of another tape, that requires no gradient or that is no leaf; what the optimiser reports of its
    /// hyperparameters.
    pub fn new(tape: &Tape, leaves: &[&Variable], optimizer: impl Optimizer) -> Result<TapeOptimizer, Error> {
        let graph = Graph::new();
        let (mut trained, mut written, mut records) = (Vec::new(), Vec::new(), Vec::new());
        for (number, leaf) in leaves.iter().enumerate() {
            let record = leaf.record();
            if !Rc::ptr_eq(record.tape(), &tape.inner) {
                let origin = arenagrad_graph::Origin::here();
                return Err(GraphError::ForeignNode { origin, op: "optimizer" }.into());
            }
            let value = tape.inner.value_of(record)?;
            if !record.requires_grad() || !record.is_leaf() {
                return Err(Error::NotALeaf { variable: record.describe() });
            }
            let (shape, dtype) = (value.shape(), value.dtype());
            let parameter = graph.parameter_of(name(number), shape, dtype, Init::Constant(0.0));
            let gradient = graph.input_of(format!("{}.gradient", name(number)), shape, dtype);
            trained.push(Trained { name: name(number), parameter, gradient });
            written.push(value);
            records.push(record.clone());
        }
        let updates = append_update(&graph, &trained, &optimizer)?;
        // The first next values are read after each step: those of the leaves.
        let outputs = next_values(&graph, &trained, &updates)?;
        let request = Request { outputs, updates, rest: "update", ..Request::default() };
        let (mut session, plan) = Session::of_plan(tape.device().clone(), Plan::new(&graph, &request)?)?;
        for (number, value) in written.iter().enumerate() {
            session.set_parameter(&name(number), value)?;
        }
        Ok(TapeOptimizer { leaves: records, session, plan, written })
    }

    /// Updates the leaves from the gradients that have accumulated. [`Error::NoGradient`] if one has none; nothing is changed
    /// then.
    pub fn step(&mut self) -> Result<(), Error> {
        let mut gradients = Vec::with_capacity(self.leaves.len());
        for leaf in &self.leaves {
            gradients.push(backward::gradient_of(leaf.tape(), leaf)?);
        }
        for (number, leaf) in self.leaves.iter().enumerate() {
            let value = leaf.tape().value_of(leaf)?;
            if !Rc::ptr_eq(&value, &self.written[number]) {
                self.session.set_parameter(&name(number), &value)?;
                self.written[number] = value;
            }
        }
        let names: Vec<String> = (0..gradients.len()).map(|number| format!("{}.gradient", name(number))).collect();
        let inputs: Vec<(&str, &Tensor)> =
            names.iter().map(String::as_str).zip(gradients.iter().map(|gradient| &**gradient)).collect();
        let next = self.session.run_plan(self.plan, &inputs)?;
        for ((leaf, written), value) in self.leaves.iter().zip(&mut self.written).zip(next) {
            *written = Rc::new(value);
            leaf.set_place(Place::Value(written.clone()));
        }
        Ok(())
    }

    /// Clears the gradients of the leaves.
    pub fn zero_grad(&self) {
        self.leaves.iter().for_each(|leaf| leaf.clear_gradient());
    }

    /// Sets the learning rate, from the next step on.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        self.session.set_learning_rate(rate)
    }
}

/// The name of a leaf among the parameters of the update.
fn name(number: usize) -> String {
    format!("leaf{number}")
}

/// The nodes of the next values of the trained parameters, in order; one that the optimiser leaves alone keeps its value.
fn next_values(graph: &Graph, trained: &[Trained<'_>], updates: &[(u32, NodeId)]) -> Result<Vec<NodeId>, Error> {
    let declarations = graph.declarations();
    let next_values: HashMap<NodeId, NodeId> =
        updates.iter().map(|(number, next)| (declarations[*number as usize].node, *next)).collect();
    let next = |parameter: Expr<'_>| {
        let id = parameter.id()?;
        Ok(next_values.get(&id).copied().unwrap_or(id))
    };
    trained.iter().map(|trained| next(trained.parameter)).collect()
}
