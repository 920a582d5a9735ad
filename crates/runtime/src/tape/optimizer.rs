//! The optimisers of [`crate::train`] for the leaves of a tape: the update is a plan over the leaves' values and gradients,
//! and the optimiser's state stays on the device between steps.
//!
//! Backward passes need not reach every leaf. The plan is one all the same: it is told which leaves have a gradient, and
//! selects for the others the values that they and their state had. It counts the updates of each leaf by itself.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use arenagrad_graph::{DType, Declaration, Expr, Graph, GraphError, Init, NodeId};

use crate::error::Error;
use crate::plan::{Plan, Request};
use crate::session::{PlanId, Session};
use crate::tape::record::{Place, Record};
use crate::tape::{Tape, Variable, backward};
use crate::tensor::Tensor;
use crate::train::{Optimizer, Trained, append_update, scalar_dtype};

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
    /// Errors: no leaves; a leaf of another tape, that requires no gradient, that is no leaf, or that is given twice; what
    /// the optimiser reports of its hyperparameters.
    pub fn new(tape: &Tape, leaves: &[&Variable], optimizer: impl Optimizer) -> Result<TapeOptimizer, Error> {
        if leaves.is_empty() {
            return Err(Error::NothingToTrain { reason: "the optimiser was given no leaves".to_owned() });
        }
        let graph = Graph::new();
        let reached = graph.input_of(REACHED, [leaves.len()], DType::Bool);
        let count = graph.state(COUNTS, [leaves.len()], DType::I32, Init::Constant(0.0));
        let next_count = count + reached.cast(DType::I32);
        let (mut trained, mut written, mut records) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = HashSet::new();
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
            if !seen.insert(Rc::as_ptr(record)) {
                return Err(Error::RepeatedUpdate { target: record.describe() });
            }
            let (shape, dtype) = (value.shape(), value.dtype());
            let parameter = graph.parameter_of(name(number), shape, dtype, Init::Constant(0.0));
            let gradient = graph.input_of(format!("{}.gradient", name(number)), shape, dtype);
            trained.push(Trained { name: name(number), parameter, gradient, update_number: None });
            written.push(value);
            records.push(record.clone());
        }
        let update_numbers = next_count.cast(scalar_dtype(&trained)?);
        for (number, trained) in trained.iter_mut().enumerate() {
            trained.update_number = Some(update_numbers.select_index(0, number));
        }
        let mut updates = append_update(&graph, &trained, &optimizer)?;
        keep_unreached(&graph, reached, trained.len(), &mut updates)?;
        // Only some optimisers ask how many updates there were.
        let is_read = |number: &Expr<'_>| number.id().and_then(|id| graph.node(id)).is_ok_and(|node| node.users > 0);
        if trained.iter().filter_map(|trained| trained.update_number.as_ref()).any(is_read)
            && let Some(number) = declaration_number(&graph, COUNTS)
        {
            updates.push((number, next_count.id()?));
        }
        // The first next values are read after each step: those of the leaves.
        let outputs = next_values(&graph, &trained, &updates)?;
        let request = Request { outputs, updates, rest: "update", ..Request::default() };
        let (mut session, plan) = Session::of_plan(tape.device().clone(), Plan::new(&graph, &request)?)?;
        for (number, value) in written.iter().enumerate() {
            session.set_parameter(&name(number), value)?;
        }
        Ok(TapeOptimizer { leaves: records, session, plan, written })
    }

    /// Updates the leaves from the gradients that have accumulated. A leaf without a gradient is left alone, and so is the
    /// optimiser's state for it. [`Error::NoGradient`] if none has one; nothing is changed then.
    pub fn step(&mut self) -> Result<(), Error> {
        let mut gradients = Vec::with_capacity(self.leaves.len());
        let mut missing = None;
        for leaf in &self.leaves {
            gradients.push(match backward::gradient_of(leaf.tape(), leaf) {
                Ok(gradient) => Some(gradient),
                Err(error @ Error::NoGradient { .. }) => {
                    missing.get_or_insert(error);
                    None
                }
                Err(error) => return Err(error),
            });
        }
        if let (true, Some(error)) = (gradients.iter().all(Option::is_none), missing) {
            return Err(error);
        }
        for (number, leaf) in self.leaves.iter().enumerate() {
            let value = leaf.tape().value_of(leaf)?;
            if !Rc::ptr_eq(&value, &self.written[number]) {
                self.session.set_parameter(&name(number), &value)?;
                self.written[number] = value;
            }
        }
        let reached: Vec<bool> = gradients.iter().map(Option::is_some).collect();
        let mask = Tensor::from_bools([reached.len()], &reached)?;
        let mut values = Vec::with_capacity(gradients.len());
        for (gradient, value) in gradients.into_iter().zip(&self.written) {
            values.push(match gradient {
                Some(gradient) => gradient,
                None => Rc::new(Tensor::zeros(value.shape(), value.dtype())?),
            });
        }
        let names: Vec<String> = (0..values.len()).map(|number| format!("{}.gradient", name(number))).collect();
        let gradients = names.iter().map(String::as_str).zip(values.iter().map(|value| &**value));
        let inputs: Vec<(&str, &Tensor)> = gradients.chain([(REACHED, &mask)]).collect();
        let next = self.session.run_plan(self.plan, &inputs)?;
        for (((leaf, written), value), reached) in self.leaves.iter().zip(&mut self.written).zip(next).zip(reached) {
            if reached {
                *written = Rc::new(value);
                leaf.set_place(Place::Value(written.clone()));
            }
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

/// The input that says which leaves have a gradient.
const REACHED: &str = "leaves.reached";

/// The state that counts the updates of each leaf.
const COUNTS: &str = "leaves.updates";

/// Makes the next value of every leaf without a gradient, and of every state of its own, the present one. What belongs to a
/// leaf bears its name, or one that begins with it and a point.
fn keep_unreached(graph: &Graph, reached: Expr<'_>, leaves: usize, updates: &mut [(u32, NodeId)]) -> Result<(), Error> {
    let numbers: HashMap<String, usize> = (0..leaves).map(|number| (name(number), number)).collect();
    let declarations = graph.declarations();
    for (declaration, next) in updates {
        let Declaration { name, node, .. } = &declarations[*declaration as usize];
        let owner = name.split_once('.').map_or(name.as_str(), |(owner, _)| owner);
        if let Some(&number) = numbers.get(owner) {
            let reached = reached.select_index(0, number);
            *next = reached.where_(graph.expr(*next), graph.expr(*node)).id()?;
        }
    }
    Ok(())
}

/// The number of a live declaration.
fn declaration_number(graph: &Graph, name: &str) -> Option<u32> {
    graph.declarations().iter().zip(0..).find(|(declaration, _)| declaration.name == name).map(|(_, number)| number)
}

/// The name of a leaf among the parameters of the update.
fn name(number: usize) -> String {
    format!("leaf{number}")
}

/// The nodes of the next values of the trained parameters, in order; one that the optimiser leaves alone keeps its value.
fn next_values(graph: &Graph, trained: &[Trained<'_>], updates: &[(u32, NodeId)]) -> Result<Vec<NodeId>, Error> {
    let declarations = graph.declarations();
    let next_of: HashMap<NodeId, NodeId> =
        updates.iter().map(|(number, next)| (declarations[*number as usize].node, *next)).collect();
    let next = |parameter: Expr<'_>| {
        let id = parameter.id()?;
        Ok(next_of.get(&id).copied().unwrap_or(id))
    };
    trained.iter().map(|trained| next(trained.parameter)).collect()
}
