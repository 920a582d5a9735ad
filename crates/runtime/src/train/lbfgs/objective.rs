//! Loss and gradients of a session's parameters, for L-BFGS.

use arenagrad_graph::{Elements, Expr, Graph, Origin, StorageType};

use crate::error::Error;
use crate::session::{PlanId, Session, required};
use crate::tensor::Tensor;
use crate::train::lbfgs::{Evaluate, Lbfgs, LbfgsOutcome};
use crate::train::loss_scale::{LOSS_SCALE, LossScale};
use crate::train::request::{RoundedGradients, append_rounded_gradients};
use crate::train::{Optimizer, Trained};

/// A loss of a session with its gradients by some of the session's parameters: what [`Lbfgs::minimise`] minimises.
#[derive(Clone, Debug)]
pub struct Objective {
    plan: PlanId,
    /// The names of the parameters, in the order of their gradients.
    parameters: Vec<String>,
    /// The scale of the loss, if it is given to the plan: the session has no state of it.
    given_scale: Option<LossScale>,
}

/// All parameters whose names a caller takes.
struct Those<F>(F);

/// Whoever computes a loss and its gradients over a session's parameters.
pub(crate) trait Gradients {
    /// The session that has the parameters.
    fn session(&mut self) -> &mut Session;

    /// The loss, and then the gradients in the order of their parameters.
    fn compute(&mut self) -> Result<Vec<Tensor>, Error>;

    /// Shrinks the scale of the loss after gradients that overflowed, as a training step would. Says whether that was possible.
    fn lower_scale(&mut self) -> Result<bool, Error>;
}

/// An objective at the values of its inputs.
struct AtInputs<'s> {
    session: &'s mut Session,
    objective: &'s Objective,
    inputs: &'s [(&'s str, &'s Tensor)],
    /// The present scale of the loss, if it is given.
    scale: Option<f64>,
}

/// Parameters one behind the other, at which loss and gradients are computed.
struct Placed<'s> {
    gradients: &'s mut dyn Gradients,
    names: Vec<String>,
    first: Vec<Tensor>,
    /// The types that the device holds them in.
    held: Vec<StorageType>,
}

impl Objective {
    /// Plans `loss` and its gradients by all trainable parameters that it depends on, over the session's parameters. The graph is as
    /// it was afterwards. In mixed precision what is rounded is what a training step rounds, and the session's scale of the loss is used.
    ///
    /// Errors, after which graph and session are as they were: a loss that is stale or of another graph, that is not one float, or that
    /// depends on no trainable parameter; what [`Session::add`] reports.
    #[track_caller]
    pub fn new(session: &mut Session, graph: &Graph, loss: Expr<'_>) -> Result<Objective, Error> {
        Objective::at(session, graph, loss, &Those(|_: &str| true), ("Objective::new", Origin::here()))
    }

    /// The same by those parameters alone for whose names `is_moved` holds.
    #[track_caller]
    pub fn by(
        session: &mut Session,
        graph: &Graph,
        loss: Expr<'_>,
        is_moved: impl Fn(&str) -> bool,
    ) -> Result<Objective, Error> {
        Objective::at(session, graph, loss, &Those(is_moved), ("Objective::by", Origin::here()))
    }

    fn at(
        session: &mut Session,
        graph: &Graph,
        loss: Expr<'_>,
        optimizer: &dyn Optimizer,
        (method, origin): (&'static str, Origin),
    ) -> Result<Objective, Error> {
        let loss = required(graph, &[loss], method, origin)?[0];
        graph.temporarily(|| planned(session, graph, loss, optimizer))
    }

    /// The names of the parameters that are moved.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(String::as_str)
    }
}

/// Plans a loss and its gradients by what the optimiser trains, in the session's precision and as its training steps have them.
fn planned(
    session: &mut Session,
    graph: &Graph,
    loss: Expr<'_>,
    optimizer: &dyn Optimizer,
) -> Result<Objective, Error> {
    let given_scale = session.precision().scale().filter(|_| !session.has_loss_scale());
    let scale = session.scale_of_gradients(graph)?;
    let gradients = append_rounded_gradients(loss, optimizer, session.precision(), (scale, None))?;
    let trained = gradients.unscaled(&gradients.trained)?;
    let RoundedGradients { rounding, .. } = gradients;
    let outputs: Vec<Expr<'_>> = std::iter::once(loss).chain(trained.iter().map(|one| one.gradient)).collect();
    let parameters = trained.into_iter().map(|one| one.name).collect();
    Ok(Objective { plan: session.add_rounded(graph, &outputs, rounding, None)?, parameters, given_scale })
}

impl Lbfgs {
    /// One step of a session's parameters: loss and gradients are evaluated several times, all with these inputs. The session's
    /// parameters are where it ended.
    ///
    /// Errors: an objective of another session; inputs as [`Session::step`]; a hyperparameter out of range; other parameters than
    /// in the step before. The parameters are as they were then.
    ///
    /// ```
    /// use arenagrad::train::{Lbfgs, Objective};
    /// use arenagrad::{Device, Graph, Init, Session, Tensor};
    ///
    /// let g = Graph::new();
    /// let x = g.input("x", [4]);
    /// let (w, b) = (g.parameter("w", [], Init::Constant(3.0)), g.parameter("b", [], Init::Constant(0.0)));
    /// let loss = (w * x + b - x * 2.0 + 1.0).square().mean(..); // least at w = 2, b = -1
    /// let mut session = Session::evaluate(&g, &[loss], &Device::cpu())?;
    /// let objective = Objective::new(&mut session, &g, loss)?;
    /// let x = Tensor::new([4], vec![1.0f32, 2.0, 3.0, 4.0])?;
    /// Lbfgs::new(1.0).strong_wolfe().minimise(&mut session, &objective, &[("x", &x)])?;
    /// assert!((session.parameter("w")?.item()? - 2.0).abs() < 1e-4);
    /// assert!((session.parameter("b")?.item()? + 1.0).abs() < 1e-4);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn minimise(
        &mut self,
        session: &mut Session,
        objective: &Objective,
        inputs: &[(&str, &Tensor)],
    ) -> Result<LbfgsOutcome, Error> {
        let names = objective.parameters().map(str::to_owned).collect();
        let scale = objective.given_scale.map(|settings| settings.first());
        self.minimise_over(&mut AtInputs { session, objective, inputs, scale }, names)
    }

    /// One step of those parameters of a session. They are as they were after an error.
    pub(crate) fn minimise_over(
        &mut self,
        gradients: &mut dyn Gradients,
        names: Vec<String>,
    ) -> Result<LbfgsOutcome, Error> {
        let session = gradients.session();
        let first = names.iter().map(|name| session.parameter(name)).collect::<Result<Vec<_>, _>>()?;
        let mut point: Vec<f64> = first.iter().flat_map(Tensor::to_f64_vec).collect();
        let held = names.iter().map(|name| session.storage_of(name)).collect::<Result<Vec<_>, _>>()?;
        let mut placed = Placed { gradients, names, first, held };
        let outcome = self.step(&mut point, &mut placed);
        if outcome.is_err() {
            placed.restore()?;
        } else {
            placed.set(&point)?;
        }
        outcome
    }
}

impl Gradients for AtInputs<'_> {
    fn session(&mut self) -> &mut Session {
        self.session
    }

    fn compute(&mut self) -> Result<Vec<Tensor>, Error> {
        let scale = self.scale.map(|scale| Tensor::scalar(scale as f32));
        let scale = scale.iter().map(|scale| (LOSS_SCALE, scale));
        let inputs: Vec<(&str, &Tensor)> = self.inputs.iter().copied().chain(scale).collect();
        self.session.run_plan(self.objective.plan, &inputs)
    }

    fn lower_scale(&mut self) -> Result<bool, Error> {
        let Some(settings) = self.objective.given_scale else {
            let Some(settings) = self.session.precision().scale() else { return Ok(false) };
            return lower_state(self.session, LOSS_SCALE, settings);
        };
        let lowered = self.scale.and_then(|scale| settings.lowered(scale));
        self.scale = lowered.or(self.scale);
        Ok(lowered.is_some())
    }
}

/// Shrinks the scale of the loss that a session has as a state of that name.
pub(crate) fn lower_state(session: &mut Session, name: &str, settings: LossScale) -> Result<bool, Error> {
    let Some(lowered) = settings.lowered(session.parameter(name)?.item()?) else { return Ok(false) };
    session.set_parameter(name, &Tensor::scalar(lowered as f32))?;
    Ok(true)
}

impl Placed<'_> {
    /// Sets the parameters to those one behind the other.
    fn set(&mut self, point: &[f64]) -> Result<(), Error> {
        let mut rest = point;
        let session = self.gradients.session();
        for (name, first) in self.names.iter().zip(&self.first) {
            let (elements, others) = rest.split_at(first.shape().elements());
            rest = others;
            let value = Tensor::new(first.shape(), elements.to_vec())?.cast(first.dtype());
            session.set_parameter(name, &value)?;
        }
        Ok(())
    }

    /// Sets the parameters to what they were at first.
    fn restore(&mut self) -> Result<(), Error> {
        let session = self.gradients.session();
        self.names.iter().zip(&self.first).try_for_each(|(name, first)| session.set_parameter(name, first))
    }
}

impl Evaluate for Placed<'_> {
    fn round(&self, point: &mut [f64]) {
        let mut rest = point;
        for (first, held) in self.first.iter().zip(&self.held) {
            let (elements, others) = rest.split_at_mut(first.shape().elements());
            rest = others;
            // First to the dtype, as the session is given them: the two roundings may differ from one.
            let stored = Elements::F64(elements[..].into()).converted(first.dtype()).converted(*held);
            elements.copy_from_slice(&stored.to_f64_vec());
        }
    }

    fn evaluate(&mut self, point: &[f64], gradient: &mut [f64]) -> Result<f64, Error> {
        self.set(point)?;
        loop {
            let results = self.gradients.compute()?;
            let mut elements = results.iter().flat_map(Tensor::to_f64_vec);
            let loss = elements.next().ok_or(Error::NothingToRun)?;
            gradient.iter_mut().zip(elements).for_each(|(to, element)| *to = element);
            // In 16 bits gradients of a loss that is scaled up overflow where those of the loss itself do not.
            let overflows = loss.is_finite() && !gradient.iter().all(|element| element.is_finite());
            if !overflows || !self.gradients.lower_scale()? {
                return Ok(loss);
            }
        }
    }
}

impl<F: Fn(&str) -> bool> Optimizer for Those<F> {
    fn update<'g>(&self, _: &'g Graph, _: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        Ok(Vec::new())
    }

    fn trains(&self, name: &str) -> bool {
        (self.0)(name)
    }
}
