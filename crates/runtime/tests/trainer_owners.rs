//! Whose a state of an optimiser is, where names of functions, groups, layers and parameters are alike.

use arenagrad::data::Batch;
use arenagrad::nn::Linear;
use arenagrad::train::Trained;
use arenagrad::{
    Adam, Checkpoint, CheckpointError, DType, Device, Error, Expr, FunctionId, Graph, Inputs, Optimizer, Sgd, Tensor,
    Trainer,
};

fn batch() -> Batch {
    Batch::new().with("x", Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, -1.0, 0.5, 0.25]).unwrap())
}

/// A loss over the layers `backbone` and `head`.
fn loss<'g>(inputs: &Inputs<'g>) -> Expr<'g> {
    let h = Linear::new("backbone", 3, 2).apply(inputs.get("x")).tanh();
    Linear::new("head", 2, 1).apply(h).square().mean(..)
}

/// A trainer of both layers, and functions of these names that train the head alone.
fn trainer(names: &[&str]) -> (Trainer<'static>, Vec<FunctionId>) {
    let mut trainer = Trainer::new(Device::cpu(), Adam::new(1e-3), loss);
    let mut functions = vec![trainer.first_training().unwrap()];
    functions.extend(names.iter().map(|name| trainer.add_training(*name, Adam::new(1e-2).only("head.*"), loss)));
    (trainer, functions)
}

/// A file as an earlier version wrote it, which does not say whose its states are.
fn without_owners(checkpoint: &Checkpoint) -> Checkpoint {
    let bytes = checkpoint.to_bytes().unwrap();
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&rest[..length]).unwrap();
    let metadata = header["__metadata__"].as_object_mut().unwrap();
    assert!(metadata.remove("arenagrad.trainer.states").is_some());
    let header = header.to_string();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &rest[length..]].concat();
    Checkpoint::from_bytes(bytes).unwrap()
}

fn states(trainer: &Trainer<'_>) -> Vec<(String, Tensor)> {
    let session = trainer.session();
    let mut states: Vec<_> =
        session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap())).collect();
    states.sort_by(|(a, _), (b, _)| a.cmp(b));
    states
}

#[test]
fn a_function_may_be_called_as_a_layer_is() {
    for names in [&["head"][..], &["a", "a.b"], &["head", "head.weight"]] {
        let (mut first, functions) = trainer(names);
        for function in &functions {
            first.step_of(*function, &batch()).unwrap();
        }
        let checkpoint = first.checkpoint().unwrap();
        let checkpoint = Checkpoint::from_bytes(checkpoint.to_bytes().unwrap()).unwrap();
        let later = |function: &FunctionId, first: &mut Trainer<'_>| first.step_of(*function, &batch()).unwrap().loss;
        let expected: Vec<f64> = functions.iter().map(|function| later(function, &mut first)).collect();
        for checkpoint in [checkpoint.clone(), without_owners(&checkpoint)] {
            // A checkpoint of what waits says the same.
            let (mut between, _) = trainer(names);
            between.restore(&checkpoint).unwrap();
            let again = between.checkpoint().unwrap();
            let (mut second, functions) = trainer(names);
            second.restore(&again).unwrap();
            let found: Vec<f64> = functions.iter().map(|function| later(function, &mut second)).collect();
            assert_eq!(found, expected, "{names:?}");
            assert_eq!(states(&second), states(&first), "{names:?}");
        }
    }
}

#[test]
fn an_optimiser_that_lacks_a_state_is_told_whatever_functions_are_called() {
    let (mut first, functions) = trainer(&["head"]);
    functions.iter().for_each(|function| drop(first.step_of(*function, &batch()).unwrap()));
    let whole = first.checkpoint().unwrap();
    for checkpoint in [whole.clone(), without_owners(&whole)] {
        let mut other = Trainer::new(Device::cpu(), Adam::new(1e-3), loss);
        let head = other.add_training("head", Sgd::new(0.1).momentum(0.9).only("head.*"), loss);
        other.restore(&checkpoint).unwrap();
        let error = other.step_of(head, &batch()).unwrap_err();
        let Error::Checkpoint(CheckpointError::Missing { missing, .. }) = &error else { panic!("{error}") };
        assert!(missing.contains("head.head.weight.velocity"), "{missing}");
        other.step(&batch()).unwrap();
    }
    // One with a state too many: without a note it is told as soon as no other function could have it.
    for (checkpoint, waits) in [(whole.clone(), false), (without_owners(&whole), true)] {
        let mut other = Trainer::new(Device::cpu(), Adam::new(1e-3), loss);
        let head = other.add_training("head", Sgd::new(0.1).only("head.*"), loss);
        other.restore(&checkpoint).unwrap();
        let error = other.step_of(head, &batch()).and_then(|_| other.step(&batch())).unwrap_err();
        let Error::Checkpoint(CheckpointError::Unused { unused, .. }) = &error else { panic!("{error}") };
        assert!(unused.contains("head.head.weight.first_moment") && !unused.contains("\"head.weight."), "{unused}");
        assert_eq!(other.session().parameter("head.learning_rate").is_ok(), waits);
    }
}

/// That the second function is refused for a state of that name, and leaves nothing behind; the first goes on.
#[track_caller]
fn is_shared(trainer: &mut Trainer<'_>, second: FunctionId, state: &str) {
    trainer.step(&batch()).unwrap();
    let (before, plans) = (states(trainer), trainer.plans());
    for _ in 0..2 {
        let error = trainer.step_of(second, &batch()).unwrap_err();
        let Error::SharedState { name, first, .. } = &error else { panic!("{error}") };
        assert_eq!((name.as_str(), first.as_str()), (state, "the first training function"));
        assert_eq!((&states(trainer), trainer.plans()), (&before, plans));
    }
    trainer.step(&batch()).unwrap();
}

#[test]
fn states_of_one_name_are_not_shared() {
    let grouped = Sgd::new(0.1).group("head", "head.*", Sgd::new(0.5));
    let mut trainer = Trainer::new(Device::cpu(), grouped, loss);
    let head = trainer.add_training("head", Sgd::new(0.001).only("head.*"), loss);
    is_shared(&mut trainer, head, "head.learning_rate");

    // A copy of a layer under a name within the other function's.
    let mut trainer = Trainer::new(Device::cpu(), Adam::new(1e-3), |inputs| {
        Linear::new("teacher.fc", 3, 1).apply(inputs.get("x")).square().mean(..)
    });
    let teacher = trainer.add_training("teacher", Adam::new(1e-3), |inputs| {
        Linear::new("fc", 3, 1).apply(inputs.get("x")).square().mean(..)
    });
    is_shared(&mut trainer, teacher, "teacher.fc.weight.first_moment");
}

#[test]
fn a_state_is_not_a_parameter_that_is_trained() {
    fn odd<'g>(inputs: &Inputs<'g>) -> Expr<'g> {
        let rate = inputs.graph().parameter("head.learning_rate", [], arenagrad::Init::Constant(2.0));
        (inputs.get("x") * rate).square().mean(..)
    }
    for is_state_first in [false, true] {
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), odd);
        let head = trainer.add_training("head", Sgd::new(0.001), loss);
        let first = trainer.first_training().unwrap();
        let (good, refused) = if is_state_first { (head, first) } else { (first, head) };
        trainer.step_of(good, &batch()).unwrap();
        let error = trainer.step_of(refused, &batch()).unwrap_err();
        let Error::ReservedName { name, origin, purpose } = &error else { panic!("{error}") };
        assert_eq!(name, "head.learning_rate");
        assert!(origin.contains(file!()) && purpose.contains("\"head\""), "{error}");
        trainer.step_of(good, &batch()).unwrap();
    }
}

/// An optimiser of one's own that asks for the count of steps, which all functions share.
struct Slowing;

impl Optimizer for Slowing {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let rate = 0.1 / (graph.step().cast(DType::F32) + 1.0);
        Ok(trained.iter().map(|one| (one.parameter, one.parameter - one.gradient * rate)).collect())
    }
}

#[test]
fn what_all_functions_share_is_nobodys() {
    let mut trainer = Trainer::new(Device::cpu(), Slowing, loss);
    let second = trainer.add_training("second", Slowing, loss);
    trainer.step(&batch()).unwrap();
    trainer.step_of(second, &batch()).unwrap();
    let checkpoint = trainer.checkpoint().unwrap();
    let mut again = Trainer::new(Device::cpu(), Slowing, loss);
    let second = again.add_training("second", Slowing, loss);
    again.restore(&checkpoint).unwrap();
    again.step_of(second, &batch()).unwrap();
}
