//! A graph evaluated again and again at values by name, one element of which moves at a time.

use std::collections::HashMap;

use arenagrad_graph::{DType, Declaration, DeclarationKind, Expr, Graph, StorageType};

use crate::check::CheckError;
use crate::check::differences::Movable;
use crate::device::Device;
use crate::error::Error;
use crate::session::{PlanId, Session};
use crate::tensor::Tensor;

/// A session and what its next run is given. Inputs and parameters are treated alike.
pub(super) struct Evaluation {
    session: Session,
    values: Vec<Value>,
    /// Where among the values each name stands.
    places: HashMap<String, usize>,
}

struct Value {
    name: String,
    kind: ValueKind,
    /// In what a run holds the elements, which may be narrower than the tensor's.
    storage: StorageType,
    /// What a run holds of what was given.
    tensor: Tensor,
}

#[derive(Clone, Copy, PartialEq)]
enum ValueKind {
    Input,
    Parameter,
}

impl Evaluation {
    /// A session over the outputs. Floats among the values are brought to the dtype that the graph declares; parameters that
    /// are not given have the first values of that seed.
    pub(super) fn new(
        graph: &Graph,
        outputs: &[Expr<'_>],
        values: &[(&str, &Tensor)],
        device: &Device,
        seed: u64,
    ) -> Result<(Self, PlanId), Error> {
        let mut session = Session::builder(device.clone()).seed(seed).evaluate(graph, &[])?;
        let plan = session.add(graph, outputs)?;
        let mut evaluation = Evaluation { session, values: Vec::new(), places: HashMap::new() };
        for (name, tensor) in values {
            if evaluation.place(name).is_some() {
                return Err(Error::RepeatedInput { name: (*name).to_owned() });
            }
            let declaration = declared(graph, name)?;
            let both_float = declaration.dtype.is_float() && tensor.dtype().is_float();
            let tensor = if both_float { tensor.cast(declaration.dtype) } else { (*tensor).clone() };
            evaluation.keep(&declaration, tensor)?;
        }
        for declaration in graph.declarations() {
            if matches!(declaration.kind, DeclarationKind::Parameter { .. })
                && graph.ordinal(declaration.node).is_ok()
                && evaluation.place(&declaration.name).is_none()
            {
                let tensor = evaluation.session.parameter(&declaration.name)?;
                evaluation.keep(&declaration, tensor)?;
            }
        }
        Ok((evaluation, plan))
    }

    /// A second set of outputs over the same values.
    pub(super) fn add(&mut self, graph: &Graph, outputs: &[Expr<'_>]) -> Result<PlanId, Error> {
        self.session.add(graph, outputs)
    }

    /// The outputs of a plan.
    pub(super) fn run(&mut self, plan: PlanId) -> Result<Vec<Tensor>, Error> {
        let inputs: Vec<(&str, &Tensor)> = self
            .values
            .iter()
            .filter(|value| value.kind == ValueKind::Input)
            .map(|value| (value.name.as_str(), &value.tensor))
            .collect();
        self.session.run_plan(plan, &inputs)
    }

    /// Where in the evaluation the value of that name is, if it has one.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// A value's tensor.
    pub(super) fn tensor(&self, place: usize) -> &Tensor {
        &self.values[place].tensor
    }

    /// Sets one element of a float and returns what a run holds of the number.
    pub(super) fn set(&mut self, place: usize, element: usize, number: f64) -> Result<f64, Error> {
        let Value { name, kind, storage, tensor } = &mut self.values[place];
        let held = Tensor::scalar(number).cast(*storage).item()?;
        if tensor.dtype() == DType::F32 {
            tensor.as_mut_slice::<f32>()?[element] = held as f32;
        } else {
            tensor.as_mut_slice::<f64>()?[element] = held;
        }
        if *kind == ValueKind::Parameter {
            self.session.set_parameter(name, tensor)?;
        }
        Ok(held)
    }

    /// The evaluation as a point that moves along the elements of one value, under the outputs of a plan.
    pub(super) fn along(&mut self, place: usize, plan: PlanId) -> Along<'_> {
        Along { evaluation: self, place, plan }
    }

    fn keep(&mut self, declaration: &Declaration, tensor: Tensor) -> Result<(), Error> {
        let kind = match declaration.kind {
            DeclarationKind::Input => ValueKind::Input,
            DeclarationKind::Parameter { .. } => {
                self.session.set_parameter(&declaration.name, &tensor)?;
                ValueKind::Parameter
            }
        };
        self.places.insert(declaration.name.clone(), self.values.len());
        // What does not fit the declaration is the mistake of the run, and integers are not moved.
        let fits = tensor.dtype() == declaration.dtype && declaration.dtype.is_float();
        let storage = if fits { declaration.storage } else { tensor.storage() };
        let tensor = tensor.cast(storage).into_native();
        self.values.push(Value { name: declaration.name.clone(), kind, storage, tensor });
        Ok(())
    }
}

/// One value of an evaluation, whose elements are moved.
pub(super) struct Along<'e> {
    evaluation: &'e mut Evaluation,
    place: usize,
    plan: PlanId,
}

impl Movable for Along<'_> {
    type Error = Error;

    fn element(&self, element: usize) -> f64 {
        self.evaluation.tensor(self.place).data().get(element).expect("an element of the tensor is asked for")
    }

    fn move_element(&mut self, element: usize, value: f64) -> Result<f64, Error> {
        self.evaluation.set(self.place, element, value)
    }

    fn evaluate(&mut self) -> Result<Vec<f64>, Error> {
        Ok(self.evaluation.run(self.plan)?.iter().flat_map(Tensor::to_f64_vec).collect())
    }
}

/// The live declaration of that name.
pub(super) fn declared(graph: &Graph, name: &str) -> Result<Declaration, Error> {
    if let Some(declaration) = graph.declaration_named(name) {
        return Ok(declaration);
    }
    let mut alive = graph.declarations();
    alive.retain(|declaration| graph.ordinal(declaration.node).is_ok());
    let known: Vec<_> = alive.iter().map(|declaration| format!("{:?}", declaration.name)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(CheckError::UnknownName { name: name.to_owned(), known }.into())
}
