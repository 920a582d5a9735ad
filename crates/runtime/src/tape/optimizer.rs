//! The optimisers of [`crate::train`] for the leaves of a tape: leaves, gradients and the optimiser's state stay on the device, and a step
//! is one plan with the forward and the backward pass that it waits for.
//!
//! A leaf without a gradient is left alone, and so is its state: its moments, and the count of its updates. So leaves that
//! have had gradients at the same steps are updated together, and where some of them have none the group is split, with its state.

mod checkpoint;
mod members;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::HashMap;
use std::rc::Rc;

use arenagrad_graph::{GraphError, Origin};

use crate::error::{Error, Given};
use crate::tape::record::{Gradient, Record};
use crate::tape::step::Update;
use crate::tape::{Inner, Tape, Variable};
use crate::tensor::Tensor;
use crate::train::{Hyperparameters, LEARNING_RATE, Optimizer, initial_value, listed};
use crate::weights::matches_pattern;
use members::{Group, Leaf, Members, Names, State, described, shown_name};

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
    /// The learning rate that was set, for groups that come later.
    rate: Option<f64>,
    /// States of leaves that have not joined yet.
    given: HashMap<String, Tensor>,
    /// Whether every pattern by which leaves were named around the optimiser has been found to be some leaf's name.
    is_matched: bool,
}

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
        made.members.states(&[], &*made.optimizer, made.origin)?;
        made.join_new()?;
        Ok(made)
    }

    /// Updates the leaves from the gradients that have accumulated. A leaf that no gradient has reached is left alone, with its
    /// state: no momentum, no decay, no update counted, as in PyTorch; so is one that the optimiser does not train
    /// ([`Optimizer::trains`]). An optimiser that looks at all gradients together, to clip their
    /// norm, sees those of leaves that have had gradients at the same steps.
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
        self.split(&active)?;
        let Members { leaves, groups, .. } = &mut self.members;
        let is_active = |group: &Group| group.members.iter().any(|&member| active[member]);
        if groups.iter().filter(|group| is_active(group)).count() > 1 {
            // Each group reads what was computed once.
            self.tape.catch_up(None)?;
        }
        let leaves = &*leaves;
        // Only a new plan asks for them.
        let names = LazyCell::new(|| Names::of(leaves));
        for group in groups.iter_mut().filter(|group| is_active(group)) {
            let members = group.members.iter().map(|&place| &leaves[place]);
            let update = Update {
                members: members.map(|leaf| (&leaf.record, leaf.name.as_str())).collect(),
                optimizer: &*self.optimizer,
                key: [self.number, group.number],
                origin: self.origin,
                state_name: &|name| stored_name(self.number, group.number, names.are_in(name), name),
            };
            self.tape.advance(Some(&update), None)?;
            group.is_begun = true;
        }
        Ok(())
    }

    /// Clears the gradients of the leaves, and of the parameters of the tape that will join.
    pub fn zero_grad(&self) {
        self.members.leaves.iter().for_each(|leaf| leaf.record.clear_gradient());
        self.new_parameters().iter().for_each(|(record, _)| record.clear_gradient());
    }

    /// Sets the learning rate, from the next step on. Errors: a rate that is below 0 or not finite; an optimiser that has none.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        Hyperparameters::beside(self.members.dtypes(), Given::Argument).learning_rate(rate)?;
        if !self.members.groups.is_empty() && !self.members.named_states().any(|(_, state)| state.name == LEARNING_RATE)
        {
            let known: Vec<String> = self.members.named_states().map(|(_, state)| state.name.clone()).collect();
            let known = listed(known.iter().map(String::as_str));
            return Err(Error::UnknownParameter { name: LEARNING_RATE.to_owned(), known });
        }
        self.rate = Some(rate);
        self.members.groups.iter().try_for_each(|group| self.set_rate(group))
    }

    /// The state of the optimiser by name, as sessions name it: `w.first_moment` of the leaf `w`, `updates`, `learning_rate`. What is not one leaf's
    /// alone has a number in front where leaves have had gradients at different steps: `1.updates` is the count of the leaves that
    /// were the first to have none where others had.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>, Error> {
        self.state_of(&self.members, &HashMap::new())
    }

    /// Sets a state of [`TapeOptimizer::state`], from the next step on: what a file has kept of it. Where parameters may join later
    /// ([`TapeOptimizer::of_parameters`]) a name that is none yet waits for them, and a value that does not fit is the mistake of the
    /// step at which they do.
    ///
    /// Errors: a name that is none, a value of another shape or dtype, or one that the optimiser could not use.
    pub fn set_state(&mut self, name: &str, value: &Tensor) -> Result<(), Error> {
        self.set_states(&[(name.to_owned(), value.clone())])
    }

    /// Sets states in their order, up to the first that is refused.
    fn set_states(&mut self, values: &[(String, Tensor)]) -> Result<(), Error> {
        for (name, value) in values {
            match self.members.state_named(name) {
                Some((group, state)) => {
                    self.check_state(state, name, value)?;
                    self.tape.store.set_parameter(&self.stored_name(group, state), value.cast(state.storage))?;
                    // What waited under the name was given before.
                    self.given.remove(name);
                }
                None if self.joins => drop(self.given.insert(name.clone(), value.clone())),
                None => {
                    let known: Vec<String> =
                        self.members.named_states().map(|(group, state)| shown_name(group, state)).collect();
                    let known = listed(known.iter().map(String::as_str));
                    return Err(Error::UnknownParameter { name: name.clone(), known });
                }
            }
        }
        Ok(())
    }

    /// Refuses a value that a state cannot have.
    fn check_state(&self, state: &State, name: &str, value: &Tensor) -> Result<(), Error> {
        let (given, name) = (Given::Argument, name.to_owned());
        if state.shape != *value.shape() {
            let (expected, found) = (state.shape.clone(), value.shape().clone());
            return Err(Error::ParameterShape { name, expected, found, given });
        }
        if state.storage.value() != value.dtype() {
            return Err(Error::ParameterDType { name, expected: state.storage, found: value.storage(), given });
        }
        Hyperparameters::beside(self.members.dtypes(), given).state(&state.name, value)
    }

    /// The state of the optimiser, of these members, of which some may be about to join: then these values wait for them.
    fn state_of(&self, members: &Members, given: &HashMap<String, Tensor>) -> Result<Vec<(String, Tensor)>, Error> {
        let value = |(group, state): (&Group, &State)| {
            let (shown, stored) = (shown_name(group, state), self.stored_name(group, state));
            let value = match (given.get(&shown), self.tape.store.parameter(&stored)?, self.rate) {
                (Some(given), ..) => {
                    self.check_state(state, &shown, given)?;
                    given.cast(state.storage)
                }
                (None, Some(value), _) => value,
                (None, None, Some(rate)) if state.name == LEARNING_RATE => Tensor::scalar(rate).cast(state.storage),
                (None, None, _) => initial_value(&state.init, &stored, &state.shape, state.storage, 0)?,
            };
            Ok((shown, value.into_native()))
        };
        members.named_states().map(value).collect()
    }

    /// The members as they will be when the parameters of the tape have joined that are new.
    fn members_to_be(&self) -> Result<Cow<'_, Members>, Error> {
        let new = self.new_parameters();
        if new.is_empty() {
            return Ok(Cow::Borrowed(&self.members));
        }
        let mut members = self.members.clone();
        members.add(&self.tape, new, &*self.optimizer, self.origin)?;
        Ok(Cow::Owned(members))
    }

    fn empty(tape: &Tape, joins: bool, optimizer: Box<dyn Optimizer>, origin: Origin) -> TapeOptimizer {
        let (tape, members) = (tape.inner.clone(), Members::default());
        let number = tape.optimizers.get();
        tape.optimizers.set(number + 1);
        let (rate, given) = (None, HashMap::new());
        TapeOptimizer { tape, members, joins, optimizer, origin, number, rate, given, is_matched: false }
    }

    /// Takes the parameters of the tape in that are new, whatever patterns there are.
    fn join_new(&mut self) -> Result<(), Error> {
        let new = self.new_parameters();
        self.join(new)?;
        self.set_given()
    }

    /// The parameters of the tape that have not joined and will, and the names that they will have.
    fn new_parameters(&self) -> Vec<(Rc<Record>, String)> {
        // Every step asks, and seldom there are any.
        if !self.joins || self.tape.trainable_count() == self.members.leaves.len() {
            return Vec::new();
        }
        let kept = self.tape.trainable();
        self.members.named(kept.into_iter().filter(|record| !self.members.contains(record)).collect())
    }

    /// Refuses a pattern by which leaves were named around the optimiser, and that no leaf's name has, those that are to join among
    /// them: it is a typing error.
    fn check_patterns(&mut self, new: &[(Rc<Record>, String)]) -> Result<(), Error> {
        if self.is_matched {
            return Ok(());
        }
        let names = || {
            self.members.leaves.iter().map(|leaf| leaf.name.as_str()).chain(new.iter().map(|(_, name)| name.as_str()))
        };
        let has_none = |pattern: &String| !names().any(|name| matches_pattern(pattern, name));
        match self.optimizer.patterns().into_iter().find(has_none) {
            Some(pattern) => Err(Error::UnmatchedPattern { pattern, known: listed(names()) }),
            None => {
                self.is_matched = true;
                Ok(())
            }
        }
    }

    /// Takes leaves in.
    fn join(&mut self, new: Vec<(Rc<Record>, String)>) -> Result<(), Error> {
        let first = self.members.leaves.len();
        let Some(group) = self.members.add(&self.tape, new, &*self.optimizer, self.origin)? else { return Ok(()) };
        self.set_rate(&self.members.groups[group])?;
        // From now on the leaves' values have places on the device.
        for Leaf { record, shape, dtype, .. } in self.members.leaves[first..].iter().filter(|leaf| leaf.is_trained) {
            let mut residents = record.residents();
            residents.value = Some(self.tape.store.resident(residents.value, shape, *dtype));
            record.set_residents(residents);
        }
        Ok(())
    }

    /// Sets the states that waited for leaves which have joined. One that does not fit goes on waiting, so that no step is taken
    /// without it.
    fn set_given(&mut self) -> Result<(), Error> {
        if self.given.is_empty() {
            return Ok(());
        }
        let named = self.members.named_states().map(|(group, state)| shown_name(group, state));
        let given = named.filter_map(|name| self.given.get(&name).cloned().map(|value| (name, value)));
        let given: Vec<(String, Tensor)> = given.collect();
        self.set_states(&given)
    }

    /// Gives a group the learning rate that was set, if one was.
    fn set_rate(&self, group: &Group) -> Result<(), Error> {
        let state = group.states.iter().find(|state| state.name == LEARNING_RATE);
        let (Some(rate), Some(state)) = (self.rate, state) else { return Ok(()) };
        self.tape.store.set_parameter(&self.stored_name(group, state), Tensor::scalar(rate).cast(state.storage))
    }

    /// What a state is called on the device.
    fn stored_name(&self, group: &Group, state: &State) -> String {
        stored_name(self.number, group.number, state.is_of_leaf, &state.name)
    }

    /// Splits the groups of which some leaves are active now and others are not.
    fn split(&mut self, is_active: &[bool]) -> Result<(), Error> {
        let mut place = 0;
        while let Some(group) = self.members.groups.get(place) {
            let (active, passive): (Vec<usize>, Vec<usize>) =
                group.members.iter().partition(|&&member| is_active[member]);
            if !active.is_empty() && !passive.is_empty() {
                let states = |members: &[usize]| self.members.states(members, &*self.optimizer, self.origin);
                let (own, other) = (states(&active)?, states(&passive)?);
                let (number, is_begun) = (self.members.grouped, group.is_begun);
                let new = Group { number, members: passive, states: other, is_begun };
                // What is one leaf's alone goes with it by its name.
                for state in new.states.iter().filter(|state| !state.is_of_leaf) {
                    let [from, to] = [group, &new].map(|group| self.stored_name(group, state));
                    if let Some(value) = self.tape.store.parameter(&from)? {
                        self.tape.store.set_parameter(&to, value)?;
                    }
                }
                self.members.grouped += 1;
                self.members.forget_names();
                let group = &mut self.members.groups[place];
                (group.members, group.states) = (active, own);
                self.members.groups.push(new);
            }
            place += 1;
        }
        Ok(())
    }
}

/// What a state is called on the device, where those of other optimisers and groups are too.
fn stored_name(optimizer: u64, group: u64, is_of_leaf: bool, name: &str) -> String {
    if is_of_leaf {
        format!("optimiser {optimizer}: {name}")
    } else {
        format!("optimiser {optimizer}, group {group}: {name}")
    }
}

/// Whether that is what a state of an optimiser is called.
fn is_stored_of(optimizer: u64, name: &str) -> bool {
    name.strip_prefix(&format!("optimiser {optimizer}")).is_some_and(|rest| rest.starts_with([':', ',']))
}

/// Its state goes with it.
impl Drop for TapeOptimizer {
    fn drop(&mut self) {
        self.tape.store.forget(|name| is_stored_of(self.number, name));
    }
}
