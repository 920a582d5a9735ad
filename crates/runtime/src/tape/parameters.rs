//! Parameters and states that a tape keeps by name, for the layers that are applied on it.
//!
//! A layer asks the tape's graph for what it needs, and the graph asks its owner (see [`Lender`]): a leaf of that name, made at the first
//! application and found at the next. First values are those of a session with the same seed. What a layer says that a
//! state becomes is the leaf's value from then on, without a gradient, and is computed when somebody asks, with the next backward pass or with
//! the next step of an optimiser. One that cannot be computed, because its batch is refused, is dropped: the state keeps the value that it
//! had before, so that nothing that follows is refused for that batch.
//!
//! The state `step` counts the recorded operations that drew random numbers: each draws others.
//!
//! Invariants: what a refused operation asked for anew is not kept; a state is never computed from more than a few
//! applications that were not computed themselves.

use std::collections::{BTreeSet, HashMap};
use std::rc::{Rc, Weak};

use arenagrad_graph::{Declaration, GraphError, Lender, NodeId, Origin, Wanted};

use crate::error::{Error, Given};
use crate::tape::record::{Place, Record};
use crate::tape::value::Value;
use crate::tape::{Inner, Tape, Variable};
use crate::tensor::Tensor;
use crate::train::{initial_value, listed, near_names};

/// How many updates of a state may wait to be computed.
const MOST_WAITING: u32 = 8;

/// The name of the state that counts the operations that drew.
const STEP: &str = "step";

/// What a tape keeps by name, in the order in which it was first asked for.
#[derive(Default)]
pub(crate) struct Parameters {
    list: Vec<Parameter>,
    by_name: HashMap<String, usize>,
    by_record: HashMap<*const Record, usize>,
    seed: u64,
    /// Values of what no layer has asked for yet.
    given: HashMap<String, Tensor>,
}

/// A parameter or state.
struct Parameter {
    record: Rc<Record>,
    wanted: Wanted,
    /// The tape's epoch at its last update, and how many updates wait to be computed.
    updated_at: u64,
    waiting: u32,
    /// Its value before the updates that wait.
    before: Option<Rc<Value>>,
}

/// States whose updates wait, and the nodes of their next values.
pub(crate) type Waiting = Vec<(Rc<Record>, NodeId)>;

/// What an operation that is being built has asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) records: Vec<Rc<Record>>,
    made: Vec<String>,
}

/// The tape as its graph knows it.
pub(crate) struct TapeLender {
    pub(crate) tape: Weak<Inner>,
}

impl Tape {
    /// The seed of the first values of what layers ask for, and of their random draws; 0 unless set. The same seed gives the values
    /// that a session of that seed starts with. It holds for what is asked for from now on.
    ///
    /// ```
    /// use arenagrad::nn::Linear;
    /// use arenagrad::{Device, Tape, Tensor};
    ///
    /// let head = Linear::new("head", 2, 1);
    /// let tape = Tape::new(Device::cpu()).seed(1);
    /// let x = tape.leaf(Tensor::new([1, 2], vec![1.0f32, 2.0])?);
    /// x.map(|x| head.apply(x)).sum(..).backward()?;
    /// assert_eq!(tape.parameter("head.weight")?.grad()?.to_f64_vec(), [1.0, 2.0]);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[must_use = "the tape itself is returned"]
    pub fn seed(self, seed: u64) -> Tape {
        self.inner.parameters.borrow_mut().seed = seed;
        self
    }

    /// The parameters that layers have asked for so far, by name, in the order in which they did: leaves that require gradients.
    pub fn parameters(&self) -> Vec<(String, Variable)> {
        self.kept(true)
    }

    /// The states that layers have asked for so far, by name, in the order in which they did: running statistics, `random_seed`, and
    /// `step`, which counts the operations that drew random numbers. No optimiser touches them.
    pub fn states(&self) -> Vec<(String, Variable)> {
        self.kept(false)
    }

    /// The parameter or state of that name that a layer has asked for. [`Variable::set_data`] gives it another value.
    ///
    /// Errors: [`Error::UnknownParameter`], also before the layer was first applied.
    pub fn parameter(&self, name: &str) -> Result<Variable, Error> {
        let parameters = self.inner.parameters.borrow();
        match parameters.by_name.get(name) {
            Some(&place) => Ok(Variable::of(&self.inner, parameters.list[place].record.clone())),
            None => {
                let known = listed(parameters.list.iter().map(|parameter| parameter.wanted.name.as_str()));
                Err(Error::UnknownParameter { name: name.to_owned(), known })
            }
        }
    }

    /// Gives a parameter or state another value by its name. Before the first layer is applied it waits for the layer that asks for it, so
    /// that a tape can be filled from a file before anything runs; [`Tape::waiting_names`] tells what none has asked for.
    ///
    /// Errors: a value of another shape or dtype than the layer's; where none has asked for it yet, that is the mistake of
    /// the operation that does. Once layers have been applied, a name that none has asked for is [`Error::UnknownTapeParameter`];
    /// [`Tape::set_later_parameter`] is for layers that come later.
    ///
    /// ```
    /// use arenagrad::nn::Linear;
    /// use arenagrad::{Device, Error, Tape, Tensor};
    ///
    /// let (head, tape) = (Linear::new("head", 2, 1), Tape::new(Device::cpu()));
    /// tape.leaf(Tensor::new([1, 2], vec![1.0f32, 2.0])?).map(|x| head.apply(x)).data()?;
    /// let weight = Tensor::new([1, 2], vec![0.5f32, 0.25])?;
    /// let error = tape.set_parameter("hed.weight", &weight).unwrap_err();
    /// assert!(error.to_string().contains("did you mean \"head.weight\"?"));
    /// tape.set_parameter("head.weight", &weight)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_parameter(&self, name: &str, value: &Tensor) -> Result<(), Error> {
        let parameters = self.inner.parameters.borrow();
        if parameters.get(name).is_none() && !parameters.list.is_empty() {
            let names = || parameters.list.iter().map(|parameter| parameter.wanted.name.as_str());
            let (near, known) = (near_names(name, names()), listed(names()));
            return Err(Error::UnknownTapeParameter { name: name.to_owned(), near, known });
        }
        drop(parameters);
        self.set_later_parameter(name, value)
    }

    /// [`Tape::set_parameter`], also for a name that no layer has asked for though others were applied: the value waits for the layer that
    /// does.
    pub fn set_later_parameter(&self, name: &str, value: &Tensor) -> Result<(), Error> {
        let kept = self.inner.parameters.borrow().get(name).map(|kept| (kept.record.clone(), kept.wanted.clone()));
        let Some((record, wanted)) = kept else {
            self.inner.parameters.borrow_mut().given.insert(name.to_owned(), value.clone());
            return Ok(());
        };
        let value = fitting(&wanted, value)?;
        Variable::of(&self.inner, record).set_data(value);
        Ok(())
    }

    /// The names of values that were given and that no layer has asked for yet, in alphabetical order: after the network was applied, what is
    /// misspelt or of another network.
    pub fn waiting_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.inner.parameters.borrow().given.keys().cloned().collect();
        names.sort();
        names
    }

    fn kept(&self, trainable: bool) -> Vec<(String, Variable)> {
        let parameters = self.inner.parameters.borrow();
        let of_kind = parameters.list.iter().filter(|parameter| parameter.wanted.trainable == trainable);
        let named = |parameter: &Parameter| {
            (parameter.wanted.name.clone(), Variable::of(&self.inner, parameter.record.clone()))
        };
        of_kind.map(named).collect()
    }
}

impl Parameters {
    fn get(&self, name: &str) -> Option<&Parameter> {
        self.by_name.get(name).map(|&place| &self.list[place])
    }

    fn get_mut(&mut self, record: &Rc<Record>) -> Option<&mut Parameter> {
        self.by_record.get(&Rc::as_ptr(record)).map(|&place| &mut self.list[place])
    }

    fn add(&mut self, wanted: Wanted, record: Rc<Record>) {
        self.by_name.insert(wanted.name.clone(), self.list.len());
        self.by_record.insert(Rc::as_ptr(&record), self.list.len());
        self.list.push(Parameter { record, wanted, updated_at: 0, waiting: 0, before: None });
    }

    fn forget(&mut self, names: &[String]) {
        self.list.retain(|parameter| !names.contains(&parameter.wanted.name));
        let places = || self.list.iter().zip(0..);
        self.by_name = places().map(|(parameter, place)| (parameter.wanted.name.clone(), place)).collect();
        self.by_record = places().map(|(parameter, place)| (Rc::as_ptr(&parameter.record), place)).collect();
    }

    /// Those of the states whose updates wait that `is_meant` says, and the nodes of their next values, in the order in which they were first
    /// asked for.
    fn waiting(&self, is_meant: impl Fn(&Parameter) -> bool) -> Waiting {
        let of_record = |record: &Rc<Record>| match record.place() {
            Place::Node(node, None) => Some((record.clone(), node)),
            Place::Node(_, Some(_)) | Place::Value(_) | Place::Poisoned(_) => None,
        };
        let waiting = self.list.iter().filter(|parameter| parameter.waiting > 0 && is_meant(parameter));
        waiting.filter_map(|parameter| of_record(&parameter.record)).collect()
    }
}

impl Parameter {
    /// That no update waits any more.
    fn is_computed(&mut self) {
        (self.waiting, self.before) = (0, None);
    }
}

impl Inner {
    /// What an operation that was built asked for: its updates hold from now on.
    pub(crate) fn apply_updates(
        &self,
        asked: &Asked,
        updates: &[(NodeId, NodeId)],
        origin: Origin,
    ) -> Result<(), Error> {
        let of_record = |record: &'_ Rc<Record>| Some((record.node()?, record.clone()));
        let asked_at: HashMap<NodeId, Rc<Record>> = match updates {
            [] => HashMap::new(),
            _ => asked.records.iter().filter_map(of_record).collect(),
        };
        for (state, next) in updates {
            let Some(record) = asked_at.get(state) else { continue };
            let next = self.graph.attempt(|| self.graph.at(origin, || self.graph.expr(*next).stop_gradient()).id())?;
            if let Some(parameter) = self.parameters.borrow_mut().get_mut(record) {
                if parameter.waiting == 0 {
                    parameter.before = record.value();
                }
                parameter.updated_at = self.epoch.get();
                parameter.waiting += 1;
            }
            record.set_place(Place::Node(next, None));
            self.records.borrow_mut().list_placed(record);
        }
        let counter = self.parameters.borrow().get(STEP).map(|step| step.record.clone());
        if let Some(counter) = counter.filter(|counter| asked.records.iter().any(|record| Rc::ptr_eq(record, counter)))
        {
            let count = self.value_of(&counter)?.tensor()?.item()?;
            // Counting goes on from the least number after the largest, as on a device.
            let next = (count as i32).wrapping_add(1);
            counter.set_place(Place::Value(Value::new(Tensor::scalar(next))));
        }
        Ok(())
    }

    /// The states whose updates wait to be computed, and the nodes of their next values, in the order in which they were first asked for.
    pub(crate) fn waiting_states(&self) -> Waiting {
        self.parameters.borrow().waiting(|_| true)
    }

    /// Those of them that were last updated since a backward pass released its graph: the next pass goes through what they are computed
    /// from.
    pub(crate) fn recent_states(&self) -> Waiting {
        self.parameters.borrow().waiting(|parameter| parameter.updated_at == self.epoch.get())
    }

    /// That no update of a state waits any more.
    pub(crate) fn states_are_computed(&self) {
        self.parameters.borrow_mut().list.iter_mut().for_each(Parameter::is_computed);
    }

    /// What states became.
    pub(crate) fn set_states(&self, states: &[(Rc<Record>, NodeId)], values: impl IntoIterator<Item = Rc<Value>>) {
        let mut parameters = self.parameters.borrow_mut();
        for ((record, _), value) in states.iter().zip(values) {
            record.set_place(Place::Value(value));
            if let Some(parameter) = parameters.get_mut(record) {
                parameter.is_computed();
            }
        }
    }

    /// After a run that failed: computes the updates that wait, so that nothing which follows fails for what this batch or an earlier one was.
    /// Where one cannot be computed, the states that were updated since the same backward pass keep the values that they had before: a batch that
    /// is refused counts for none of them.
    pub(crate) fn settle_states(&self, error: &Error) {
        if error.is_of_device() {
            return;
        }
        let epochs: BTreeSet<u64> = {
            let parameters = self.parameters.borrow();
            parameters.list.iter().filter(|one| one.waiting > 0).map(|one| one.updated_at).collect()
        };
        for epoch in epochs {
            let states = self.parameters.borrow().waiting(|parameter| parameter.updated_at == epoch);
            let nodes: Vec<NodeId> = states.iter().map(|(_, node)| *node).collect();
            if nodes.is_empty() {
                continue;
            }
            match self.run(&nodes) {
                Ok(values) => self.set_states(&states, values),
                Err(error) if error.is_of_device() => {}
                Err(_) => {
                    for state in states {
                        let before = self.parameters.borrow_mut().get_mut(&state.0).and_then(|one| one.before.clone());
                        self.set_states(&[state], before);
                    }
                }
            }
        }
    }

    /// Computes the updates that have waited for long enough, all in one run: what they are computed from is the same.
    fn compute_states(&self) -> Result<(), Error> {
        // What a backward pass left goes through what they are computed from. If it fails, whoever asks for its gradients is told.
        if self.waits.get() && self.catch_up(None).is_ok() {
            return Ok(());
        }
        let due = self.parameters.borrow().waiting(|parameter| self.is_due(parameter.updated_at, parameter.waiting));
        if due.is_empty() {
            return Ok(());
        }
        let nodes: Vec<NodeId> = due.iter().map(|(_, node)| *node).collect();
        let values = self.compute(&nodes, &nodes, true)?;
        self.set_states(&due, values);
        Ok(())
    }

    /// Whether an update has waited for long enough: what was said in this epoch is built on where it stands, and one step computes it all.
    fn is_due(&self, updated_at: u64, waiting: u32) -> bool {
        updated_at != self.epoch.get() || waiting >= MOST_WAITING
    }

    /// That what an operation asked for anew is kept: it has the values that were given before.
    pub(crate) fn keep_made(&self, asked: &Asked) {
        let mut parameters = self.parameters.borrow_mut();
        asked.made.iter().for_each(|name| drop(parameters.given.remove(name)));
    }

    /// Forgets what an operation asked for anew that was refused.
    pub(crate) fn forget_made(&self, asked: &Asked) {
        if !asked.made.is_empty() {
            self.parameters.borrow_mut().forget(&asked.made);
        }
    }

    /// The node of what is kept under a name.
    fn kept(self: &Rc<Self>, name: &str, origin: Origin) -> Result<Option<Declaration>, Error> {
        let found = {
            let parameters = self.parameters.borrow();
            parameters.get(name).map(|one| (one.record.clone(), one.wanted.clone(), one.updated_at, one.waiting))
        };
        let Some((record, wanted, updated_at, waiting)) = found else { return Ok(None) };
        if waiting > 0 && matches!(record.place(), Place::Node(_, None)) {
            if self.is_due(updated_at, waiting) {
                self.compute_states()?;
            }
        } else {
            self.settle_record(&record)?;
            if let Some(parameter) = self.parameters.borrow_mut().get_mut(&record) {
                parameter.is_computed();
            }
        }
        let node = self.node_of(&record, origin)?;
        self.ask(record);
        // Somebody may have given it another value since.
        let now = self.graph.node(node)?;
        let wanted = wanted.declaration(node);
        let storage = if wanted.dtype == now.dtype { wanted.storage } else { now.dtype.into() };
        Ok(Some(Declaration { shape: now.shape, dtype: now.dtype, storage, ..wanted }))
    }

    fn keep_parameter(self: &Rc<Self>, wanted: Wanted) -> Result<NodeId, Error> {
        let Wanted { name, shape, storage, init, trainable, origin, .. } = &wanted;
        let (seed, given) = {
            let parameters = self.parameters.borrow();
            (parameters.seed, parameters.given.get(name).cloned())
        };
        let value = match given {
            Some(given) => fitting(&wanted, &given)?,
            None => initial_value(init, name, shape, *storage, seed)?.into_native(),
        };
        let record = Record::leaf(self, value, *trainable);
        record.set_name(name.clone());
        let node = self.node_of(&record, *origin)?;
        if let Some(asked) = self.asked.borrow_mut().last_mut() {
            asked.made.push(name.clone());
        }
        self.ask(record.clone());
        self.parameters.borrow_mut().add(wanted, record);
        Ok(node)
    }

    fn ask(&self, record: Rc<Record>) {
        if let Some(asked) = self.asked.borrow_mut().last_mut() {
            asked.records.push(record);
        }
    }
}

/// A value that was given by name, if it is one of what has that name.
fn fitting(wanted: &Wanted, value: &Tensor) -> Result<Tensor, Error> {
    let (name, given) = (wanted.name.clone(), Given::Argument);
    if wanted.shape != *value.shape() {
        let (expected, found) = (wanted.shape.clone(), value.shape().clone());
        return Err(Error::ParameterShape { name, expected, found, given });
    }
    if wanted.storage.value() != value.dtype() {
        return Err(Error::ParameterDType { name, expected: wanted.storage, found: value.storage(), given });
    }
    Ok(value.clone().into_native())
}

impl TapeLender {
    fn answer<T>(&self, answer: impl FnOnce(&Rc<Inner>) -> Result<T, Error>) -> Result<T, GraphError> {
        let Some(tape) = self.tape.upgrade() else { unreachable!("a tape that is recording is alive") };
        answer(&tape).map_err(|error| {
            if let Error::Graph(error) = error {
                return error;
            }
            // What is no mistake of the graph's is told when the operation is.
            *tape.failed.borrow_mut() = Some(error);
            GraphError::StaleNode { origin: Origin::here(), op: "shared_parameter" }
        })
    }
}

impl Lender for TapeLender {
    fn kept(&self, name: &str, origin: Origin) -> Result<Option<Declaration>, GraphError> {
        self.answer(|tape| tape.kept(name, origin))
    }

    fn keep(&self, wanted: Wanted) -> Result<NodeId, GraphError> {
        self.answer(|tape| tape.keep_parameter(wanted))
    }

    fn is_kept(&self, node: NodeId) -> bool {
        let is_asked = |tape: Rc<Inner>| {
            let asked = tape.asked.borrow();
            asked.last().is_some_and(|asked| asked.records.iter().any(|record| record.node() == Some(node)))
        };
        self.tape.upgrade().is_some_and(is_asked)
    }
}
