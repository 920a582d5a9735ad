//! Parameters and states that a tape keeps by name, for the layers that are applied on it.
//!
//! A layer asks the tape's graph for what it needs, and the graph asks its owner (see [`Lender`]): a leaf of that name, made at the first
//! application and found at the next. First values are those of a session with the same seed. What a layer says that a
//! state becomes is the leaf's value from then on (`updates`).
//!
//! Invariant: what a refused operation asked for anew is not kept.

mod updates;

use std::collections::HashMap;
use std::rc::{Rc, Weak};

use arenagrad_graph::{Declaration, GraphError, Lender, NodeId, Origin, Wanted};

use crate::error::{Error, Given};
use crate::tape::record::Record;
use crate::tape::{Inner, Tape, Variable};
use crate::tensor::Tensor;
use crate::train::{initial_value, listed, near_names};
use updates::Updates;

/// What a tape keeps by name, in the order in which it was first asked for.
#[derive(Default)]
pub(crate) struct Parameters {
    list: Vec<Parameter>,
    by_name: HashMap<String, usize>,
    by_record: HashMap<*const Record, usize>,
    seed: u64,
    /// Values of what no layer has asked for yet.
    given: HashMap<String, Tensor>,
    /// The number of the batch that was recorded last, and the tape's epoch then.
    batch: u64,
    batch_epoch: u64,
}

/// A parameter or state.
struct Parameter {
    record: Rc<Record>,
    wanted: Wanted,
    updates: Updates,
}

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
    /// Errors: [`Error::NoTapeParameter`], also before the layer was first applied.
    pub fn parameter(&self, name: &str) -> Result<Variable, Error> {
        let parameters = self.inner.parameters.borrow();
        match parameters.by_name.get(name) {
            Some(&place) => Ok(Variable::of(&self.inner, parameters.list[place].record.clone())),
            None => {
                let names = || parameters.list.iter().map(|parameter| parameter.wanted.name.as_str());
                let (near, known) = (near_names(name, names()), listed(names()));
                Err(Error::NoTapeParameter { name: name.to_owned(), near, known })
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
        let named = |parameter: &Parameter| {
            (parameter.wanted.name.clone(), Variable::of(&self.inner, parameter.record.clone()))
        };
        self.inner.parameters.borrow().of_kind(trainable).map(named).collect()
    }
}

impl Parameters {
    fn get(&self, name: &str) -> Option<&Parameter> {
        self.by_name.get(name).map(|&place| &self.list[place])
    }

    fn get_mut(&mut self, record: &Rc<Record>) -> Option<&mut Parameter> {
        self.by_record.get(&Rc::as_ptr(record)).map(|&place| &mut self.list[place])
    }

    /// The parameters, or the states.
    fn of_kind(&self, trainable: bool) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(move |parameter| parameter.wanted.trainable == trainable)
    }

    fn add(&mut self, wanted: Wanted, record: Rc<Record>) {
        self.by_name.insert(wanted.name.clone(), self.list.len());
        self.by_record.insert(Rc::as_ptr(&record), self.list.len());
        self.list.push(Parameter { record, wanted, updates: Updates::default() });
    }

    fn forget(&mut self, names: &[String]) {
        self.list.retain(|parameter| !names.contains(&parameter.wanted.name));
        let places = || self.list.iter().zip(0..);
        self.by_name = places().map(|(parameter, place)| (parameter.wanted.name.clone(), place)).collect();
        self.by_record = places().map(|(parameter, place)| (Rc::as_ptr(&parameter.record), place)).collect();
    }
}

impl Inner {
    /// How many parameters layers have asked for so far.
    pub(crate) fn trainable_count(&self) -> usize {
        self.parameters.borrow().of_kind(true).count()
    }

    /// The parameters that layers have asked for so far.
    pub(crate) fn trainable(&self) -> Vec<Rc<Record>> {
        self.parameters.borrow().of_kind(true).map(|parameter| parameter.record.clone()).collect()
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
            parameters.get(name).map(|one| (one.record.clone(), one.wanted.clone()))
        };
        let Some((record, wanted)) = found else { return Ok(None) };
        self.settle_updates(&record)?;
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
        let record = Record::leaf(self, value, *trainable, *origin);
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
    /// What the tape answers a caller at `origin`.
    fn answer<T>(&self, origin: Origin, answer: impl FnOnce(&Rc<Inner>) -> Result<T, Error>) -> Result<T, GraphError> {
        let Some(tape) = self.tape.upgrade() else { unreachable!("a tape that is recording is alive") };
        answer(&tape).map_err(|error| {
            if let Error::Graph(error) = error {
                return error;
            }
            // What is no mistake of the graph's is told when the operation is.
            *tape.failed.borrow_mut() = Some(error);
            GraphError::StaleNode { origin, op: "shared_parameter" }
        })
    }
}

impl Lender for TapeLender {
    fn kept(&self, name: &str, origin: Origin) -> Result<Option<Declaration>, GraphError> {
        self.answer(origin, |tape| tape.kept(name, origin))
    }

    fn keep(&self, wanted: Wanted) -> Result<NodeId, GraphError> {
        self.answer(wanted.origin, |tape| tape.keep_parameter(wanted))
    }

    fn is_kept(&self, node: NodeId) -> bool {
        let is_asked = |tape: Rc<Inner>| {
            let asked = tape.asked.borrow();
            asked.last().is_some_and(|asked| asked.records.iter().any(|record| record.node() == Some(node)))
        };
        self.tape.upgrade().is_some_and(is_asked)
    }
}
