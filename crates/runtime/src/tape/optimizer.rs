//! The optimisers of [`crate::train`] for the leaves of a tape: the update is a plan over the leaves' values and gradients,
//! and the optimiser's state stays on the device between steps.
//!
//! A leaf without a gradient is left alone, and so is its state: its moments, and the count of its updates. So leaves that
//! have had gradients at the same steps share one plan, and where some of them have none the plan is split, with its state.

use std::collections::HashMap;
use std::rc::Rc;

use arenagrad_graph::{Expr, Graph, GraphError, Init, NodeId, Origin};

use crate::device::Device;
use crate::error::{Error, Given};
use crate::plan::{Plan, Request};
use crate::session::{PlanId, Session};
use crate::tape::record::{Place, Record};
use crate::tape::{Tape, Variable, backward};
use crate::tensor::Tensor;
use crate::train::{Hyperparameters, Optimizer, Trained, append_update};

/// An optimiser over leaves of a tape.
///
/// ```
/// use arenagrad::{Device, Sgd, Tape, TapeOptimizer};
///
/// let tape = Tape::new(Device::cpu());
/// let w = tape.leaf(3.0).requires_grad().named("w");
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
    optimizer: Box<dyn Optimizer>,
    device: Device,
    groups: Vec<Group>,
}

/// Leaves that have had gradients at the same steps, and their update.
struct Group {
    /// The leaves' places in the optimiser's list.
    members: Vec<usize>,
    session: Session,
    plan: PlanId,
    /// The values that the session's parameters have.
    written: Vec<Rc<Tensor>>,
}

impl TapeOptimizer {
    /// An optimiser that updates `leaves`.
    ///
    /// Errors: no leaves; a leaf of another tape, that requires no gradient, that is no leaf, that holds no floats, or that is listed
    /// twice; each names the leaf by its place in the list, and by its name if it has one ([`Variable::named`]). What the
    /// optimiser reports of its hyperparameters.
    #[track_caller]
    pub fn new(tape: &Tape, leaves: &[&Variable], optimizer: impl Optimizer + 'static) -> Result<TapeOptimizer, Error> {
        if leaves.is_empty() {
            return Err(Error::NothingToTrain { reason: "the optimiser was given no leaves".to_owned() });
        }
        let origin = Origin::here();
        let mut records: Vec<Rc<Record>> = Vec::with_capacity(leaves.len());
        let mut places = HashMap::new();
        let mut values = Vec::with_capacity(leaves.len());
        for (place, leaf) in leaves.iter().enumerate() {
            let record = leaf.record();
            if !Rc::ptr_eq(record.tape(), &tape.inner) {
                return Err(GraphError::ForeignNode { origin, op: "optimizer" }.into());
            }
            let value = tape.inner.value_of(record)?;
            if !record.requires_grad() || !record.is_leaf() {
                return Err(Error::NotALeaf { variable: described(place, record) });
            }
            if !value.dtype().is_float() {
                return Err(Error::LeafOfNoFloats { leaf: described(place, record), dtype: value.dtype() });
            }
            if let Some(first) = places.insert(Rc::as_ptr(record), place) {
                return Err(Error::RepeatedLeaf { leaf: described(place, record), first });
            }
            values.push(value);
            records.push(record.clone());
        }
        let (device, optimizer) = (tape.device().clone(), Box::new(optimizer));
        let group = Group::new((0..leaves.len()).collect(), values, &*optimizer, &device)?;
        Ok(TapeOptimizer { leaves: records, optimizer, device, groups: vec![group] })
    }

    /// Updates the leaves from the gradients that have accumulated. A leaf that no gradient has reached is left alone, with its
    /// state: no momentum, no decay, no update counted, as in PyTorch.
    ///
    /// Errors, after which nothing is changed: [`Error::NoGradient`] if no leaf has a gradient at all; a leaf that was
    /// given a value of another shape or dtype since the optimiser was made.
    pub fn step(&mut self) -> Result<(), Error> {
        let mut gradients: Vec<Option<Rc<Tensor>>> = Vec::with_capacity(self.leaves.len());
        let mut values = Vec::with_capacity(self.leaves.len());
        for leaf in &self.leaves {
            values.push(leaf.tape().value_of(leaf)?);
            let has_gradient = leaf.gradient().is_some();
            gradients.push(if has_gradient { Some(backward::gradient_of(leaf.tape(), leaf)?) } else { None });
        }
        if gradients.iter().all(Option::is_none) {
            let leaves: Vec<String> =
                self.leaves.iter().enumerate().map(|(place, leaf)| described(place, leaf)).collect();
            return Err(Error::NoGradient { variable: leaves.join(", ") });
        }
        for group in &self.groups {
            for (written, &place) in group.written.iter().zip(&group.members) {
                for given in [Some(&values[place]), gradients[place].as_ref()].into_iter().flatten() {
                    if given.shape() != written.shape() || given.dtype() != written.dtype() {
                        return Err(Error::LeafChanged {
                            leaf: described(place, &self.leaves[place]),
                            expected: (written.shape().clone(), written.dtype()),
                            found: (given.shape().clone(), given.dtype()),
                        });
                    }
                }
            }
        }
        self.split(|place| gradients[place].is_some())?;
        for group in &mut self.groups {
            let given: Option<Vec<&Tensor>> = group.members.iter().map(|&place| gradients[place].as_deref()).collect();
            let Some(given) = given else { continue };
            group.step(&values, &given)?;
            for (&place, written) in group.members.iter().zip(&group.written) {
                self.leaves[place].set_place(Place::Value(written.clone()));
            }
        }
        Ok(())
    }

    /// Clears the gradients of the leaves.
    pub fn zero_grad(&self) {
        self.leaves.iter().for_each(|leaf| leaf.clear_gradient());
    }

    /// Sets the learning rate, from the next step on. Errors: a rate that is below 0 or not finite; an optimiser that has none.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        let dtypes = self.groups.iter().flat_map(|group| &group.written).map(|value| value.dtype());
        Hyperparameters::beside(dtypes, Given::Argument).learning_rate(rate)?;
        self.groups.iter_mut().try_for_each(|group| group.session.set_learning_rate(rate))
    }

    /// Splits the groups of which some leaves are active now and others are not.
    fn split(&mut self, is_active: impl Fn(usize) -> bool) -> Result<(), Error> {
        let mut number = 0;
        while let Some(group) = self.groups.get(number) {
            let (active, passive): (Vec<usize>, Vec<usize>) =
                (0..group.members.len()).partition(|&member| is_active(group.members[member]));
            if !active.is_empty() && !passive.is_empty() {
                let parts = [active, passive].map(|part| group.part(&part, &*self.optimizer, &self.device));
                let [active, passive] = parts;
                let (active, passive) = (active?, passive?);
                self.groups[number] = active;
                self.groups.push(passive);
            }
            number += 1;
        }
        Ok(())
    }
}

impl Group {
    fn new(
        members: Vec<usize>,
        values: Vec<Rc<Tensor>>,
        optimizer: &dyn Optimizer,
        device: &Device,
    ) -> Result<Group, Error> {
        let graph = Graph::new();
        let mut trained = Vec::with_capacity(members.len());
        for (&place, value) in members.iter().zip(&values) {
            let (shape, dtype) = (value.shape(), value.dtype());
            let parameter = graph.parameter_of(name(place), shape, dtype, Init::Constant(0.0));
            let gradient = graph.input_of(gradient_name(place), shape, dtype);
            trained.push(Trained::new(name(place), parameter, gradient));
        }
        let updates = append_update(&graph, &trained, optimizer)?;
        // The first next values are read after each step: those of the leaves.
        let outputs = next_values(&graph, &trained, &updates)?;
        let request = Request { outputs, updates, rest: "update", ..Request::default() };
        let (mut session, plan) = Session::of_plan(device.clone(), Plan::new(&graph, &request)?)?;
        for (&place, value) in members.iter().zip(&values) {
            session.set_parameter(&name(place), value)?;
        }
        Ok(Group { members, session, plan, written: values })
    }

    /// Some members as a group of their own, with the state that they have now.
    fn part(&self, part: &[usize], optimizer: &dyn Optimizer, device: &Device) -> Result<Group, Error> {
        let members = part.iter().map(|&member| self.members[member]).collect();
        let values = part.iter().map(|&member| self.written[member].clone()).collect();
        let mut group = Group::new(members, values, optimizer, device)?;
        let names: Vec<String> = group.session.parameter_names().map(str::to_owned).collect();
        for name in names {
            group.session.set_parameter(&name, &self.session.parameter(&name)?)?;
        }
        Ok(group)
    }

    /// One update of the members; `values` are those of all leaves.
    fn step(&mut self, values: &[Rc<Tensor>], gradients: &[&Tensor]) -> Result<(), Error> {
        for (written, &place) in self.written.iter_mut().zip(&self.members) {
            if !Rc::ptr_eq(written, &values[place]) {
                self.session.set_parameter(&name(place), &values[place])?;
                *written = values[place].clone();
            }
        }
        let names: Vec<String> = self.members.iter().map(|&place| gradient_name(place)).collect();
        let inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(gradients.iter().copied()).collect();
        let next = self.session.run_plan(self.plan, &inputs)?;
        self.written = next.into_iter().map(Rc::new).collect();
        Ok(())
    }
}

/// How errors refer to a leaf: by its place in the optimiser's list, and by its name if it has one.
fn described(place: usize, record: &Record) -> String {
    match record.name() {
        Some(name) => format!("leaf {place} of the optimiser, {name:?}"),
        None => format!("leaf {place} of the optimiser"),
    }
}

/// The name of a leaf among the parameters of the update.
fn name(place: usize) -> String {
    format!("leaf{place}")
}

/// The name of its gradient among the inputs.
fn gradient_name(place: usize) -> String {
    format!("{}.gradient", name(place))
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
