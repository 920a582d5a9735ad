//! The optimisers of [`crate::train`] for the leaves of a tape: leaves, gradients and the optimiser's state stay on the device, and a step
//! is one plan with the forward and the backward pass that it waits for.
//!
//! A leaf without a gradient is left alone, and so is its state: its moments, and the count of its updates. Leaves that every step has
//! updated share one count, and a leaf that had no gradient at some step has counts of its own from then on.

mod checkpoint;
mod joining;
mod members;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use arenagrad_graph::{GraphError, Origin};

use crate::error::{Error, Given};
use crate::tape::record::Gradient;
use crate::tape::step::{Member, Update};
use crate::tape::{Inner, Tape, Variable};
use crate::tensor::Tensor;
use crate::train::{Hyperparameters, LEARNING_RATE, Optimizer, initial_value, listed, near_names};
use members::{Leaf, Members, Own, State, described};

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
///
/// Backward passes that reach a leaf of an optimiser compute nothing by themselves: [`TapeOptimizer::step`] computes them with the update,
/// and so does whoever asks for a gradient before. What is wrong with the values of a run, an index outside of its axis, is reported
/// there.
pub struct TapeOptimizer {
    tape: Rc<Inner>,
    members: Members,
    /// Whether the parameters of the tape join that appear later.
    joins: bool,
    optimizer: Box<dyn Optimizer>,
    /// Where it was made.
    origin: Origin,
    number: u64,
    /// The learning rate that was set, where no leaf was there whose optimiser has one.
    rate: Option<f64>,
    /// States of leaves that have not joined yet.
    given: BTreeMap<String, Tensor>,
    /// Whether something was given, or has joined, since what was given was last looked at.
    is_given_new: bool,
    /// The counts that leaves share as they were given, before the first step behind that: those of leaves that join later and have states
    /// among what was given.
    given_counts: BTreeMap<String, Tensor>,
    /// Whether every pattern by which leaves were named around the optimiser has been found to be some leaf's name.
    is_matched: bool,
}

/// Counts that go on from others, by their names on the device.
type Begun = BTreeMap<String, Tensor>;

impl TapeOptimizer {
    /// An optimiser that updates `leaves`. It knows them by their names ([`Variable::named`]); one without a name, or with another's, is
    /// `leaf` and its place in the list.
    ///
    /// Errors: no leaves; a leaf of another tape, that requires no gradient, that is no leaf, that holds no floats, or that is listed
    /// twice; each names the leaf by its place in the list, and by its name if it has one. What the
    /// optimiser reports of its hyperparameters; a pattern around it that is no leaf's name; a leaf of a name that the optimiser keeps for
    /// its own state ([`Error::ReservedName`]).
    #[track_caller]
    pub fn new(tape: &Tape, leaves: &[&Variable], optimizer: impl Optimizer + 'static) -> Result<TapeOptimizer, Error> {
        let origin = Origin::here();
        if leaves.is_empty() {
            let reason = "the optimiser was given no leaves".to_owned();
            return Err(Error::NothingToTrain { origin: origin.to_string(), reason });
        }
        let mut places = HashMap::new();
        for (place, leaf) in leaves.iter().enumerate() {
            let record = leaf.record();
            if !Rc::ptr_eq(leaf.tape_inner(), &tape.inner) {
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
        }
        let mut made = TapeOptimizer::empty(tape, false, Box::new(optimizer), origin);
        let new = made.members.named(leaves.iter().map(|leaf| leaf.record().clone()).collect());
        made.check_patterns(&new)?;
        made.join(new)?;
        Ok(made)
    }

    /// An optimiser of everything that layers train on the tape ([`Tape::parameters`]), under the names that they have there. Parameters
    /// that appear later, where a layer is first applied, join at the next step.
    ///
    /// ```
    /// use arenagrad::nn::Linear;
    /// use arenagrad::{AdamW, Device, Tape, TapeOptimizer, Tensor};
    ///
    /// let layer = Linear::new("layer", 1, 1);
    /// let tape = Tape::new(Device::cpu()).seed(1);
    /// let mut optimizer = TapeOptimizer::of_parameters(&tape, AdamW::new(0.1).weight_decay(0.0))?;
    /// for _ in 0..1000 {
    ///     let x = tape.leaf(Tensor::new([2, 1], vec![1.0f32, 2.0])?);
    ///     optimizer.zero_grad();
    ///     (x.map(|x| layer.apply(x)) - &x * 3.0).square().mean(..).backward()?; // least at y = 3 x
    ///     optimizer.step()?;
    /// }
    /// assert!((tape.parameter("layer.weight")?.item()? - 3.0).abs() < 0.05);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    ///
    /// Errors: what the optimiser reports of its hyperparameters. A pattern around it that no parameter has is the mistake of the first
    /// step, because layers may be applied until then; the network must have been applied as a whole before that, where patterns name
    /// parts of it.
    #[track_caller]
    pub fn of_parameters(tape: &Tape, optimizer: impl Optimizer + 'static) -> Result<TapeOptimizer, Error> {
        let mut made = TapeOptimizer::empty(tape, true, Box::new(optimizer), Origin::here());
        // An optimiser of nothing tells its mistakes as well.
        made.members.check_optimizer(&*made.optimizer, made.origin)?;
        made.join_new()?;
        Ok(made)
    }

    /// Updates the leaves from the gradients that have accumulated. A leaf that no gradient has reached is left alone, with its
    /// state: no momentum, no decay, no update counted, as in PyTorch; so is one that the optimiser does not train
    /// ([`Optimizer::trains`]). An optimiser that looks at all gradients together, to clip their
    /// norm, sees those that there are at this step; a schedule goes by the count of all steps.
    ///
    /// Errors, after which nothing is changed: [`Error::NoGradient`] if no leaf has a gradient at all; a leaf that was
    /// given a value of another shape or dtype since the optimiser was made; a pattern around an optimiser of a tape's parameters that none
    /// of them has; an input that the optimiser's update reads ([`Error::MissingInput`]): a tape has none; what planning and running the
    /// passes report.
    pub fn step(&mut self) -> Result<(), Error> {
        if self.joins {
            let new = self.new_parameters();
            // Before they join: the next step must find the same mistake.
            self.check_patterns(&new)?;
            self.join(new)?;
        }
        self.set_given()?;
        let mut active = Vec::with_capacity(self.members.leaves.len());
        for (place, Leaf { record, shape, dtype, is_trained, .. }) in self.members.leaves.iter().enumerate() {
            if !is_trained {
                active.push(false);
                continue;
            }
            let value = self.tape.value_of(record)?;
            let mut found = vec![(value.shape().clone(), value.dtype())];
            match record.gradient() {
                Some(Gradient::Value(gradient)) => found.push((gradient.shape().clone(), gradient.dtype())),
                Some(Gradient::Node(node)) => {
                    let node = self.tape.graph.node(node)?;
                    found.push((node.shape, node.dtype));
                }
                None => {}
            }
            active.push(found.len() > 1);
            if let Some(found) = found.into_iter().find(|(its, own)| its != shape || own != dtype) {
                let expected = (shape.clone(), *dtype);
                return Err(Error::LeafChanged { leaf: described(place, record), expected, found });
            }
        }
        if !active.contains(&true) {
            let trained = self.members.leaves.iter().enumerate().filter(|(_, leaf)| leaf.is_trained);
            let leaves: Vec<String> = trained.map(|(place, leaf)| described(place, &leaf.record)).collect();
            let variable = if leaves.is_empty() {
                "the tape, which has no parameters that are trained".to_owned()
            } else {
                leaves.join(", ")
            };
            return Err(Error::NoGradient { variable });
        }
        self.tape.sweep_if_grown();
        let Members { leaves, .. } = &self.members;
        let lags = |place: &usize| !active[*place] && leaves[*place].is_trained && !leaves[*place].counts_alone;
        let lagging = self.members.own((0..leaves.len()).filter(lags).collect(), &*self.optimizer, self.origin)?;
        // As they are before this update.
        let counts = self.begun_counts(&lagging)?;
        let given_counts = self.counts_to_be_kept()?;
        let updated = leaves.iter().zip(&active).filter(|(_, active)| **active).map(|(leaf, _)| leaf);
        let update = Update {
            members: updated
                .map(|leaf| Member { record: &leaf.record, name: &leaf.name, counts_alone: leaf.counts_alone })
                .collect(),
            optimizer: &*self.optimizer,
            number: self.number,
            leaves: leaves.len(),
            missed: &|| {
                let missed = leaves.iter().zip(&active).filter(|(leaf, active)| leaf.is_trained && !**active);
                missed.map(|(leaf, _)| leaf.described()).collect()
            },
            origin: self.origin,
            state_name: &|name| stored_name(self.number, name),
        };
        self.tape.advance(Some(&update), None)?;
        self.members.has_begun = true;
        self.given_counts.extend(given_counts);
        self.part(lagging, counts)
    }

    /// Clears the gradients of the leaves, and of the parameters of the tape that will join.
    pub fn zero_grad(&self) {
        self.members.leaves.iter().for_each(|leaf| leaf.record.clear_gradient());
        self.new_parameters().iter().for_each(|(record, _)| record.clear_gradient());
    }

    /// Sets the learning rate, from the next step on. Errors: a rate that is below 0 or not finite; an optimiser that has none.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        Hyperparameters::beside(self.members.dtypes(), Given::Argument).learning_rate(rate)?;
        if !self.members.states.is_empty() && self.members.state_named(LEARNING_RATE).is_none() {
            return Err(self.no_state(LEARNING_RATE));
        }
        self.rate = Some(rate);
        self.set_rate()
    }

    /// The state of the optimiser by name, as sessions name it: `w.first_moment` of the leaf `w`, `updates`, `learning_rate`. A leaf that some
    /// steps did not update counts its own, `w.updates`, and `updates` is the count of the steps. Parameters of the tape that join at the next step
    /// have their states here.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let (members, begun) = self.members_to_be()?;
        self.state_of(&members, &begun)
    }

    /// Sets a state of [`TapeOptimizer::state`], from the next step on: what a file has kept of it. Where parameters may join later
    /// ([`TapeOptimizer::of_parameters`]) a name that is none yet waits for them, and a value that does not fit is the mistake of the
    /// step at which they do. A leaf of which states are given has counts of its own if these are among them, and else those of all.
    ///
    /// Errors: a name that is none ([`Error::NoOptimizerState`]), a value of another shape or dtype, or one that the optimiser could not use.
    pub fn set_state(&mut self, name: &str, value: &Tensor) -> Result<(), Error> {
        self.set_states(&[(name.to_owned(), value.clone())])
    }

    /// Sets states in their order, up to the first that is refused.
    fn set_states(&mut self, values: &[(String, Tensor)]) -> Result<(), Error> {
        for (name, value) in values {
            self.part_for(name, value)?;
            match self.members.state_named(name) {
                Some(state) => {
                    self.check_state(state, value)?;
                    self.tape.store.set_parameter(&self.stored_name(state), value.cast(state.storage))?;
                    // What waited under the name was given before.
                    self.given.remove(name);
                }
                None if self.joins => {
                    self.given.insert(name.clone(), value.clone());
                    self.is_given_new = true;
                }
                None => return Err(self.no_state(name)),
            }
        }
        Ok(())
    }

    fn no_state(&self, name: &str) -> Error {
        let names = || self.members.states.iter().map(|state| state.name.as_str());
        Error::NoOptimizerState { name: name.to_owned(), near: near_names(name, names()), known: listed(names()) }
    }

    /// Refuses a value that a state cannot have.
    fn check_state(&self, state: &State, value: &Tensor) -> Result<(), Error> {
        let (given, name) = (Given::Argument, state.name.clone());
        if state.shape != *value.shape() {
            let (expected, found) = (state.shape.clone(), value.shape().clone());
            return Err(Error::ParameterShape { name, expected, found, given });
        }
        if state.storage.value() != value.dtype() {
            return Err(Error::ParameterDType { name, expected: state.storage, found: value.storage(), given });
        }
        Hyperparameters::beside(self.members.dtypes(), given).state(&state.name, value)
    }

    /// The state of the optimiser, of these members, of which some may be about to join, with counts that have begun: values may wait for them.
    fn state_of(&self, members: &Members, begun: &Begun) -> Result<Vec<(String, Tensor)>, Error> {
        let value = |state: &State| {
            let stored = self.stored_name(state);
            let present = match begun.get(&stored) {
                Some(begun) => Some(begun.clone()),
                None => self.tape.store.parameter(&stored)?,
            };
            let value = match (self.given.get(&state.name), present, self.rate) {
                (Some(given), ..) => {
                    self.check_state(state, given)?;
                    given.cast(state.storage)
                }
                (None, Some(value), _) => value,
                (None, None, Some(rate)) if state.name == LEARNING_RATE => Tensor::scalar(rate).cast(state.storage),
                (None, None, _) => initial_value(&state.init, &stored, &state.shape, state.storage, 0)?,
            };
            Ok((state.name.clone(), value.into_native()))
        };
        members.states.iter().map(value).collect()
    }

    fn empty(tape: &Tape, joins: bool, optimizer: Box<dyn Optimizer>, origin: Origin) -> TapeOptimizer {
        let (tape, members) = (tape.inner.clone(), Members::default());
        let number = tape.optimizers.get();
        tape.optimizers.set(number + 1);
        TapeOptimizer {
            tape,
            members,
            joins,
            optimizer,
            origin,
            number,
            rate: None,
            given: BTreeMap::new(),
            is_given_new: false,
            given_counts: BTreeMap::new(),
            is_matched: false,
        }
    }

    /// Sets the learning rate that was given, if one was, where the optimiser has one.
    fn set_rate(&self) -> Result<(), Error> {
        let (Some(rate), Some(state)) = (self.rate, self.members.state_named(LEARNING_RATE)) else { return Ok(()) };
        self.tape.store.set_parameter(&self.stored_name(state), Tensor::scalar(rate).cast(state.storage))
    }

    /// What a state is called on the device.
    fn stored_name(&self, state: &State) -> String {
        stored_name(self.number, &state.name)
    }

    /// Has a leaf count alone if the name is that of a count which it has only then, and this is a value of it.
    fn part_for(&mut self, name: &str, value: &Tensor) -> Result<(), Error> {
        if self.members.state_named(name).is_some() {
            return Ok(());
        }
        let Some(own) = self.members.own_with_count(name, &*self.optimizer, self.origin)? else { return Ok(()) };
        own.state_named(name).map_or(Ok(()), |state| self.check_state(state, value))?;
        let counts = self.begun_counts(&own)?;
        self.part(own, counts)
    }

    /// What counts begin with that are a leaf's own from now on, by their names on the device: what the shared ones are. One that is not there yet is
    /// what it is at first, and so is the other.
    fn begun_counts(&self, own: &Own) -> Result<Begun, Error> {
        let mut present: HashMap<&str, Option<Tensor>> = HashMap::new();
        let mut begun = Begun::new();
        for (shared, own) in &own.counts {
            let value = match present.entry(shared) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.tape.store.parameter(&stored_name(self.number, shared))?),
            };
            begun.extend(value.clone().map(|value| (stored_name(self.number, own), value)));
        }
        Ok(begun)
    }

    /// Has leaves count alone from now on, from these counts.
    fn part(&mut self, own: Own, counts: Begun) -> Result<(), Error> {
        self.members.part(own);
        counts.into_iter().try_for_each(|(name, value)| self.tape.store.set_parameter(&name, value))
    }
}

/// What a state is called on the device, where those of other optimisers are too.
fn stored_name(optimizer: u64, name: &str) -> String {
    format!("optimiser {optimizer}: {name}")
}

/// Whether that is what a state of an optimiser is called.
fn is_stored_of(optimizer: u64, name: &str) -> bool {
    name.starts_with(&stored_name(optimizer, ""))
}

/// Its state goes with it.
impl Drop for TapeOptimizer {
    fn drop(&mut self) {
        self.tape.store.forget(|name| is_stored_of(self.number, name));
    }
}
