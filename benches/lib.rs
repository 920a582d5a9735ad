//! The workloads that the engine's speed is measured by, as programs that use it as anyone would.
//!
//! Each stands in a file of `workloads/` and is known by name in [`WORKLOADS`]; the criterion benchmarks in `benches/` time
//! them, and `cargo xtask bench` makes a table of what criterion found. Shapes, losses and updates are those of the programs
//! in PyTorch and JAX that the figures are compared with.
//!
//! What is timed, in every phase but [`Phase::QueuedSteps`], is a call that is finished: its inputs are checked and copied to
//! the device, its loss has come back to the host, or the results of a single operator, which has no loss. Parameters and gradients stay on the
//! device. Making the session, its parameters and its data is not timed.

mod data;
mod program;
mod update;
mod workloads;

pub use program::Program;

use arenagrad::{Device, Error, Expr, Graph, GraphError};
use program::{Model, TapeModel};
use update::Update;

/// A program whose speed is measured.
pub struct Workload {
    /// Its name in benchmarks, tables and files.
    pub name: &'static str,
    /// What it computes, in a line.
    pub about: &'static str,
    kind: Kind,
}

/// What a workload does.
enum Kind {
    /// Evaluates a loss, its gradients with respect to all parameters and, where there is one, an update of them.
    Model { define: for<'g> fn(&'g Graph) -> Result<Model<'g>, Error>, update: Option<Update> },
    /// Records a loss on a tape, differentiates it and, where there is one, makes the update, all of it anew at each call.
    /// `compiled` is the workload that computes the same from a graph that is planned once.
    Tape { define: fn() -> Result<TapeModel, Error>, update: Option<Update>, compiled: &'static str },
    /// Computes the results of an operator, which are given as tensors, as other systems give theirs.
    Operator { define: for<'g> fn(&'g Graph) -> Result<Vec<Expr<'g>>, Error> },
    /// Builds a graph that is never run.
    Construction { build: fn() -> Result<Graph, GraphError> },
}

/// The part of a workload that one call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Building the graph; nothing runs.
    Build,
    /// The loss, or the results of an operator.
    Forward,
    /// The loss and the gradients of all parameters, without an update.
    ForwardBackward,
    /// A training step: loss, gradients and update.
    Step,
    /// Training steps of which only the last is waited for, and whose losses nobody reads; the time of one.
    QueuedSteps,
}

/// All workloads, in the order in which tables show them.
pub const WORKLOADS: &[Workload] = &[
    workloads::SCALAR,
    workloads::GAUSSIANS,
    workloads::MNIST_MLP,
    workloads::WIDE_MLP,
    workloads::CHAIN,
    workloads::SOFTMAX_XENT,
    workloads::LAYER_NORM,
    workloads::ATTENTION,
    workloads::EMBEDDING,
    workloads::CUMSUM,
    workloads::SORT,
    workloads::TOPK,
    workloads::LENET,
    workloads::RESNET,
    workloads::GPT,
    workloads::GRU,
    workloads::GRAPH_BUILD,
    workloads::TAPE_SCALAR,
    workloads::TAPE_GAUSSIANS,
    workloads::TAPE_MNIST_MLP,
    workloads::TAPE_GPT,
];

/// The workload of that name.
pub fn workload(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// The adapter that GPU figures are measured on: the one that the environment variable `ARENAGRAD_DEVICE` names, as
/// [`Device::named`] understands it, else the best of this machine. None if there is no adapter.
pub fn gpu() -> Result<Option<Device>, Error> {
    match std::env::var("ARENAGRAD_DEVICE") {
        // Neither of these names an adapter.
        Ok(name) if !["", "auto", "cpu"].contains(&name.to_ascii_lowercase().as_str()) => {
            Device::named(&name).map(Some)
        }
        Ok(_) | Err(_) => match Device::gpu() {
            Ok(device) => Ok(Some(device)),
            Err(Error::NoAdapter { .. }) => Ok(None),
            Err(error) => Err(error),
        },
    }
}

impl Workload {
    /// The phases that are measured on the CPU, or on a GPU. On the CPU there is no queue: a step is done when the call returns.
    pub fn phases(&self, on_gpu: bool) -> &'static [Phase] {
        match (&self.kind, on_gpu) {
            (Kind::Construction { .. }, false) => &[Phase::Build],
            (Kind::Construction { .. }, true) => &[],
            (Kind::Operator { .. }, _) => &[Phase::Forward],
            (Kind::Tape { update: None, .. }, _) => &[Phase::ForwardBackward],
            (Kind::Tape { update: Some(_), .. }, _) => &[Phase::ForwardBackward, Phase::Step],
            (Kind::Model { update: None, .. }, _) => &[Phase::Forward, Phase::ForwardBackward],
            (Kind::Model { update: Some(_), .. }, false) => &[Phase::Forward, Phase::ForwardBackward, Phase::Step],
            (Kind::Model { update: Some(_), .. }, true) => {
                &[Phase::Forward, Phase::ForwardBackward, Phase::Step, Phase::QueuedSteps]
            }
        }
    }

    /// The phase that other systems' figures are of: the training step, or without an update loss and gradients, or an operator's
    /// results.
    pub fn compared_phase(&self) -> Phase {
        match self.kind {
            Kind::Construction { .. } => Phase::Build,
            Kind::Operator { .. } => Phase::Forward,
            Kind::Model { update: None, .. } | Kind::Tape { update: None, .. } => Phase::ForwardBackward,
            Kind::Model { update: Some(_), .. } | Kind::Tape { update: Some(_), .. } => Phase::Step,
        }
    }

    /// For what is recorded on a tape, the name of the workload that computes the same from a graph that is planned once.
    pub fn compiled(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Tape { compiled, .. } => Some(compiled),
            Kind::Model { .. } | Kind::Operator { .. } | Kind::Construction { .. } => None,
        }
    }

    /// The workload made ready to run one of its phases on a device.
    pub fn program(&self, phase: Phase, device: &Device) -> Result<Program, Error> {
        match self.kind {
            Kind::Model { define, update } => Program::of_model(define, update, phase, device),
            Kind::Tape { define, update, .. } => {
                Program::of_tape(define, update.filter(|_| phase == Phase::Step), device)
            }
            Kind::Operator { define } => Program::of_operator(define, device),
            Kind::Construction { build } => Ok(Program::of_construction(build)),
        }
    }
}

impl Phase {
    /// Its name in benchmarks and files.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Build => "build",
            Phase::Forward => "forward",
            Phase::ForwardBackward => "forward_backward",
            Phase::Step => "step",
            Phase::QueuedSteps => "queued_steps",
        }
    }

    /// Its name for a reader.
    pub const fn title(self) -> &'static str {
        match self {
            Phase::Build => "build",
            Phase::Forward => "forward",
            Phase::ForwardBackward => "forward + backward",
            Phase::Step => "training step",
            Phase::QueuedSteps => "step, queued",
        }
    }

    /// The phase of that name.
    pub fn named(name: &str) -> Option<Phase> {
        [Phase::Build, Phase::Forward, Phase::ForwardBackward, Phase::Step, Phase::QueuedSteps]
            .into_iter()
            .find(|phase| phase.name() == name)
    }
}
