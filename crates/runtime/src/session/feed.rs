//! Inputs on their way into a run: checked whole before the first is written.
//!
//! Any input that the graph declares may be given, so that plans over one graph can be fed alike; those that a plan reads
//! must be. What a plan does not read is checked like the rest and then left.

use std::collections::HashMap;

use arenagrad_graph::{DeclarationKind, IndexBound, NodeId, Shape, StorageType};

use crate::error::Error;
use crate::plan::{BufferRole, Plan};
use crate::session::store::Memory;
use crate::tensor::Tensor;
use crate::train::listed;

/// The inputs of a plan.
pub(crate) struct Feed {
    inputs: Vec<Input>,
    by_name: HashMap<String, usize>,
    /// For each input: the run that it was last given for.
    given: Vec<u64>,
    run: u64,
}

struct Input {
    name: String,
    shape: Shape,
    storage: StorageType,
    origin: String,
    /// The session's buffer; none if the plan does not read the input.
    buffer: Option<u32>,
    /// What its elements must be.
    bounds: Vec<IndexBound>,
}

impl Feed {
    /// The inputs that the plan's graph declares, at the session's buffers that `place` gives its own.
    pub(crate) fn new(plan: &Plan, place: &[u32]) -> Self {
        let mut buffers: HashMap<u32, u32> = HashMap::new();
        for (spec, place) in plan.buffers.iter().zip(place) {
            match spec.role {
                BufferRole::Input(declaration) => drop(buffers.insert(declaration, *place)),
                BufferRole::Parameter(_) | BufferRole::Literal(_) | BufferRole::Slot => {}
            }
        }
        let mut bounds: HashMap<NodeId, Vec<IndexBound>> = HashMap::new();
        for bound in &plan.bounds {
            bounds.entry(bound.node).or_default().push(bound.clone());
        }
        let mut inputs = Vec::new();
        for ((declaration, number), alive) in plan.declarations.iter().zip(0..).zip(&plan.alive) {
            if declaration.kind != DeclarationKind::Input || !alive {
                continue;
            }
            inputs.push(Input {
                name: declaration.name.clone(),
                shape: declaration.shape.clone(),
                storage: declaration.storage,
                origin: declaration.origin.to_string(),
                buffer: buffers.get(&number).copied(),
                bounds: bounds.remove(&declaration.node).unwrap_or_default(),
            });
        }
        let by_name = inputs.iter().zip(0..).map(|(input, place)| (input.name.clone(), place)).collect();
        Feed { given: vec![0; inputs.len()], inputs, by_name, run: 0 }
    }

    /// Refuses what a run of a plan that has no buffers yet would refuse of its inputs.
    pub(crate) fn check(plan: &Plan, tensors: &[(&str, &Tensor)]) -> Result<(), Error> {
        Feed::new(plan, &vec![0; plan.buffers.len()]).admit(tensors)
    }

    /// Checks all inputs, then writes them: they stand in their buffers for as many runs as follow.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn write(&mut self, tensors: &[(&str, &Tensor)], memory: &mut Memory) -> Result<(), Error> {
        self.bring(tensors, |buffer, storage, tensor| memory.write(buffer, storage, tensor.data()))
    }

    /// Checks all inputs of one run, then lends them to the memory, which gives them back after it.
    pub(crate) fn lend(&mut self, tensors: &[(&str, &Tensor)], memory: &mut Memory) -> Result<(), Error> {
        self.bring(tensors, |buffer, storage, tensor| memory.lend(buffer, storage, tensor.shared()))
    }

    fn bring(
        &mut self,
        tensors: &[(&str, &Tensor)],
        mut bring: impl FnMut(u32, StorageType, &Tensor) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.admit(tensors)?;
        for (name, tensor) in tensors {
            let place = self.find(name)?;
            let Input { buffer, storage, .. } = self.inputs[place];
            if let (Some(buffer), false) = (buffer, tensor.data().is_empty()) {
                bring(buffer, storage, tensor)?;
            }
        }
        Ok(())
    }

    /// Checks all inputs of a run.
    fn admit(&mut self, tensors: &[(&str, &Tensor)]) -> Result<(), Error> {
        self.run += 1;
        for (name, tensor) in tensors {
            let place = self.find(name)?;
            if std::mem::replace(&mut self.given[place], self.run) == self.run {
                return Err(Error::RepeatedInput { name: (*name).to_owned() });
            }
            self.inputs[place].check(tensor)?;
        }
        let mut read = self.inputs.iter().zip(&self.given).filter(|(input, _)| input.buffer.is_some());
        if let Some((missing, _)) = read.find(|(_, run)| **run != self.run) {
            let Input { name, shape, origin, .. } = missing;
            let (name, shape, origin) = (name.clone(), shape.clone(), origin.clone());
            return Err(Error::MissingInput { name, shape, origin });
        }
        Ok(())
    }

    /// Checks values for all inputs, in the order of their declarations, then writes those that are not unchanged.
    pub(crate) fn write_in_order<T: AsRef<Tensor>>(
        &mut self,
        values: &[T],
        unchanged: impl Fn(usize) -> bool,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        debug_assert_eq!(values.len(), self.inputs.len());
        let changed = || self.inputs.iter().zip(values).enumerate().filter(|(number, _)| !unchanged(*number));
        for (_, (input, value)) in changed() {
            input.check(value.as_ref())?;
        }
        for (_, (input, value)) in changed() {
            if let (Some(buffer), false) = (input.buffer, value.as_ref().data().is_empty()) {
                memory.write(buffer, input.storage, value.as_ref().data())?;
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, Error> {
        self.by_name.get(name).copied().ok_or_else(|| {
            let known = match self.inputs.as_slice() {
                [] => "no inputs".to_owned(),
                inputs => listed(inputs.iter().map(|input| input.name.as_str())),
            };
            Error::UnknownInput { name: name.to_owned(), known }
        })
    }
}

impl Input {
    fn check(&self, tensor: &Tensor) -> Result<(), Error> {
        if tensor.shape() != &self.shape {
            let (expected, found) = (self.shape.clone(), tensor.shape().clone());
            return Err(Error::InputShape { name: self.name.clone(), expected, found, origin: self.origin.clone() });
        }
        if tensor.dtype() != self.storage.value() {
            let (expected, found) = (self.storage, tensor.storage());
            return Err(Error::InputDType { name: self.name.clone(), expected, found, origin: self.origin.clone() });
        }
        for bound in &self.bounds {
            if let Some((position, value)) = bound.find_outside(tensor.data()) {
                return Err(Error::IndexOutOfRange {
                    name: self.name.clone(),
                    position,
                    value,
                    least: bound.least,
                    bound: bound.bound,
                    origin: bound.origin.to_string(),
                });
            }
        }
        Ok(())
    }
}
