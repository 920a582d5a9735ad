//! A workload made ready to be called, many times, on one device.
//!
//! It knows sessions, tapes and clocks, and no workload. Gradients that no optimiser consumes are kept on the device as state, as
//! a parameter's gradient is in other systems: reading them back is no part of computing them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use arenagrad::train::Trained;
use arenagrad::{
    Device, Error, Expr, Graph, GraphError, Init, Optimizer, Profile, ProfileOptions, Session, Tape, TapeOptimizer,
    Tensor, Variable,
};

use crate::Phase;
use crate::update::Update;

/// A loss, and the inputs that every run of it is given.
pub(crate) struct Model<'g> {
    pub(crate) loss: Expr<'g>,
    pub(crate) inputs: Vec<(&'static str, Tensor)>,
}

/// A loss that is recorded on a tape, and the values of what it is recorded from.
pub(crate) struct TapeModel {
    pub(crate) parameters: Vec<(&'static str, Tensor)>,
    pub(crate) inputs: Vec<(&'static str, Tensor)>,
    /// The loss of the parameters and the inputs. Parameters of layers are the tape's, and none of these.
    pub(crate) loss: fn(&Tape, &[Variable], &[Variable]) -> Variable,
}

/// A phase of a workload on a device, ready to be called.
pub struct Program {
    kind: Kind,
}

enum Kind {
    Session(Box<SessionCalls>),
    Tape(Box<TapeCalls>),
    Construction { build: fn() -> Result<Graph, GraphError> },
}

struct SessionCalls {
    session: Session,
    inputs: Vec<(&'static str, Tensor)>,
    call: Call,
}

struct TapeCalls {
    tape: Tape,
    model: TapeModel,
    parameters: Vec<Variable>,
    optimizer: Option<TapeOptimizer>,
}

/// How a session is called.
#[derive(Clone, Copy)]
enum Call {
    Run,
    Step,
    Advance,
    /// Runs an operator and takes its results.
    Apply,
}

impl Program {
    pub(crate) fn of_model(
        define: for<'g> fn(&'g Graph) -> Result<Model<'g>, Error>,
        update: Option<Update>,
        phase: Phase,
        device: &Device,
    ) -> Result<Program, Error> {
        let graph = Graph::new();
        let Model { loss, inputs } = define(&graph)?;
        let (session, call) = match phase {
            Phase::Build | Phase::Forward => (Session::evaluate(&graph, &[loss], device)?, Call::Run),
            Phase::ForwardBackward => (training_session(&graph, loss, None, device)?, Call::Step),
            Phase::Step => (training_session(&graph, loss, update, device)?, Call::Step),
            Phase::QueuedSteps => (training_session(&graph, loss, update, device)?, Call::Advance),
        };
        Ok(Program { kind: Kind::Session(Box::new(SessionCalls { session, inputs, call })) })
    }

    pub(crate) fn of_operator(
        define: for<'g> fn(&'g Graph) -> Result<Vec<Expr<'g>>, Error>,
        device: &Device,
    ) -> Result<Program, Error> {
        let graph = Graph::new();
        let session = Session::evaluate(&graph, &define(&graph)?, device)?;
        let calls = SessionCalls { session, inputs: Vec::new(), call: Call::Apply };
        Ok(Program { kind: Kind::Session(Box::new(calls)) })
    }

    pub(crate) fn of_tape(
        define: fn() -> Result<TapeModel, Error>,
        update: Option<Update>,
        device: &Device,
    ) -> Result<Program, Error> {
        let (tape, model) = (Tape::new(device.clone()), define()?);
        let leaf = |(name, value): &(&str, Tensor)| tape.leaf(value).requires_grad().named(*name);
        let parameters: Vec<Variable> = model.parameters.iter().map(leaf).collect();
        let leaves: Vec<&Variable> = parameters.iter().collect();
        let optimizer = |update| match leaves.as_slice() {
            [] => TapeOptimizer::of_parameters(&tape, update),
            leaves => TapeOptimizer::new(&tape, leaves, update),
        };
        let optimizer = update.map(optimizer).transpose()?;
        Ok(Program { kind: Kind::Tape(Box::new(TapeCalls { tape, model, parameters, optimizer })) })
    }

    pub(crate) fn of_construction(build: fn() -> Result<Graph, GraphError>) -> Program {
        Program { kind: Kind::Construction { build } }
    }

    /// Calls the phase that many times, and says how long that took. What a call leaves behind is dropped outside of
    /// that time where it is large.
    pub fn time(&mut self, calls: u64) -> Result<Duration, Error> {
        match &mut self.kind {
            Kind::Session(program) => program.time(calls),
            Kind::Tape(program) => {
                let start = Instant::now();
                for _ in 0..calls {
                    black_box(program.call()?);
                }
                Ok(start.elapsed())
            }
            Kind::Construction { build } => {
                let mut elapsed = Duration::ZERO;
                for _ in 0..calls {
                    let start = Instant::now();
                    let graph = black_box(build()?);
                    elapsed += start.elapsed();
                    drop(graph);
                }
                Ok(elapsed)
            }
        }
    }

    /// Calls the phase once. Returns its loss, for an operator the mean of its first result, or for a construction the number of
    /// nodes; for queued steps, which report none, NaN.
    pub fn call(&mut self) -> Result<f64, Error> {
        match &mut self.kind {
            Kind::Session(program) => {
                let inputs: Vec<(&str, &Tensor)> = program.inputs.iter().map(|(name, value)| (*name, value)).collect();
                match program.call {
                    Call::Run => program.session.run(&inputs)?[0].item(),
                    Call::Step => program.session.step(&inputs),
                    Call::Advance => {
                        program.session.advance(&inputs)?;
                        program.session.wait()?;
                        Ok(f64::NAN)
                    }
                    Call::Apply => {
                        let values = program.session.run(&inputs)?[0].to_f64_vec();
                        Ok(values.iter().sum::<f64>() / values.len() as f64)
                    }
                }
            }
            Kind::Tape(program) => program.call(),
            Kind::Construction { build } => Ok(build()?.len() as f64),
        }
    }

    /// The times of the steps of the phase's plan, and how near they come to what the device can do; none for tapes, which plan as they
    /// run, and constructions.
    pub fn profile(&mut self, options: &ProfileOptions) -> Result<Option<Profile>, Error> {
        match &mut self.kind {
            Kind::Session(program) => {
                let SessionCalls { session, inputs, .. } = &mut **program;
                let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, value)| (*name, value)).collect();
                session.profile_plan(session.first_plan(), &inputs, options).map(Some)
            }
            Kind::Tape(_) | Kind::Construction { .. } => Ok(None),
        }
    }

    /// The session, for all but tapes and constructions: its plan and its parameters can be read.
    pub fn session(&self) -> Option<&Session> {
        match &self.kind {
            Kind::Session(program) => Some(&program.session),
            Kind::Tape(_) | Kind::Construction { .. } => None,
        }
    }

    /// The session again, so that its parameters can be given other values.
    pub fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.kind {
            Kind::Session(program) => Some(&mut program.session),
            Kind::Tape(_) | Kind::Construction { .. } => None,
        }
    }

    /// The parameters on a tape by name, those of layers from the first call on; none for sessions and constructions.
    pub fn variables(&self) -> Vec<(String, Variable)> {
        match &self.kind {
            Kind::Tape(program) => {
                let leaves = program.model.parameters.iter().zip(&program.parameters);
                let leaves = leaves.map(|((name, _), leaf)| ((*name).to_owned(), leaf.clone()));
                leaves.chain(program.tape.parameters()).collect()
            }
            Kind::Session(_) | Kind::Construction { .. } => Vec::new(),
        }
    }

    /// The inputs that every call is given.
    pub fn inputs(&self) -> &[(&'static str, Tensor)] {
        match &self.kind {
            Kind::Session(program) => &program.inputs,
            Kind::Tape(program) => &program.model.inputs,
            Kind::Construction { .. } => &[],
        }
    }
}

/// A session whose steps make the update, or where there is none keep the gradients.
fn training_session(graph: &Graph, loss: Expr<'_>, update: Option<Update>, device: &Device) -> Result<Session, Error> {
    match update {
        Some(update) => Session::train(graph, loss, update, device.clone()),
        None => Session::train(graph, loss, KeepGradients, device.clone()),
    }
}

impl TapeCalls {
    /// Records the loss, differentiates it, updates, clears the gradients. Returns the loss before the update.
    fn call(&mut self) -> Result<f64, Error> {
        let inputs: Vec<Variable> = self.model.inputs.iter().map(|(_, value)| self.tape.leaf(value)).collect();
        let loss = (self.model.loss)(&self.tape, &self.parameters, &inputs);
        loss.backward()?;
        if let Some(optimizer) = &mut self.optimizer {
            optimizer.step()?;
        }
        self.tape.zero_grad();
        loss.item()
    }
}

impl SessionCalls {
    fn time(&mut self, calls: u64) -> Result<Duration, Error> {
        let SessionCalls { session, inputs, call } = self;
        let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, value)| (*name, value)).collect();
        let start = Instant::now();
        match call {
            Call::Run | Call::Apply => {
                for _ in 0..calls {
                    black_box(session.run(&inputs)?);
                }
            }
            Call::Step => {
                for _ in 0..calls {
                    black_box(session.step(&inputs)?);
                }
            }
            Call::Advance => {
                for _ in 0..calls {
                    session.advance(&inputs)?;
                }
                session.wait()?;
            }
        }
        Ok(start.elapsed())
    }
}

/// No update: each parameter's gradient becomes the next value of a state of its own, and stays on the device.
struct KeepGradients;

impl Optimizer for KeepGradients {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        trained
            .iter()
            .map(|Trained { name, gradient, .. }| {
                let name = format!("{name}.gradient");
                let kept = graph.state(name, gradient.shape()?, gradient.dtype()?, Init::Constant(0.0));
                Ok((kept, *gradient))
            })
            .collect()
    }
}
