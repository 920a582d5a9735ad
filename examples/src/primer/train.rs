//! Training on a whole data set: parameters that make the mean squared error of the outputs small.
//!
//! The gradient is that of the loss: for each sample the error times the sum, over all paths from a parameter to an output, of
//! the products of partials. Where the partials come from is a choice ([`Partials`]); that they are multiplied and added is
//! the engine's reverse mode either way. So where the outputs are right the gradient is 0, also with finite differences.
//!
//! On the CPU everything is f64; on a GPU it is f32, and so is what it converges to.

use arenagrad::least_squares::{LeastSquaresError, LevenbergMarquardt, Limits, Linearised, Outcome, Problem, minimise};
use arenagrad::train::shuffled;
use arenagrad::{Adam, DType, Device, Error, Graph, Init, Optimizer, PlanId, Session, Sgd, Tensor};

use super::dag::Dag;
use super::data::{DataSet, borrowed};
use super::error::PrimerError;
use super::network::{Network, Partials, dtype_on, parameter_name, set_parameters, write_parameters};

/// How parameters are updated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Levenberg and Marquardt's method: steps from the Jacobian of all outputs over the whole data set.
    LevenbergMarquardt,
    /// Plain gradient descent, `p - learning_rate * gradient`.
    GradientDescent {
        /// A finite number above 0.
        learning_rate: f64,
    },
    /// Adam.
    Adam {
        /// A finite number above 0.
        learning_rate: f64,
    },
}

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How parameters are updated.
    pub method: Method,
    /// Where partial derivatives come from.
    pub partials: Partials,
    /// The most updates from one start.
    pub steps: usize,
    /// Samples of an update, from 1 to the size of the data set; none for all of them. Levenberg and Marquardt's method takes all.
    pub batch_size: Option<usize>,
    /// From how many starts Levenberg and Marquardt's method tries, until one explains the data. The others start once.
    pub starts: usize,
    /// Progress is told every so many updates, and of each start's end.
    pub display_every: usize,
    /// The first values of the parameters, by number; drawn uniformly from [0, 1) if there are none.
    pub first: Option<Vec<f64>>,
    /// The seed of what is drawn: the parameters' first values and the order of the samples.
    pub seed: u64,
}

/// Where training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'a> {
    /// The number of the start, from 0.
    pub start: usize,
    /// Updates since the start.
    pub step: usize,
    /// The loss over the whole data set.
    pub loss: f64,
    /// The parameters, by number.
    pub parameters: &'a [f64],
    /// Whether this is where the start has led.
    pub last: bool,
}

/// What training ended with.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The parameters, by number.
    pub parameters: Vec<f64>,
    /// The loss over the whole data set with these parameters.
    pub loss: f64,
    /// The loss before each update, over the samples of the update. With Levenberg and Marquardt's method that of the best start, and
    /// the last one as well.
    pub losses: Vec<f64>,
    /// Updates that make up one pass over the data set.
    pub steps_per_epoch: usize,
    /// Why it ended.
    pub end: End,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The outputs are those of the data set, as far as the dtype can tell.
    Explained,
    /// No step of Levenberg and Marquardt's method lessens the loss any more.
    Minimum,
    /// All updates were made.
    Steps,
    /// The Jacobian is not finite where training arrived.
    NotDifferentiable,
}

/// Trains the network's parameters on a data set of it. Further starts of Levenberg and Marquardt's method draw them from both
/// sides of 0, in turn at most 2, 4, 8 and 1 away from it.
///
/// Errors: no parameters; an option out of its range; a loss that is not finite at the start; one that grows a million times
/// or past all numbers, because the learning rate is too high; what the device reports, and what `observe` returns.
pub fn train(
    dag: &Dag,
    data: &DataSet,
    options: &Options,
    device: &Device,
    mut observe: impl FnMut(Progress<'_>) -> Result<(), PrimerError>,
) -> Result<Trained, PrimerError> {
    options.check(dag, data)?;
    let rate = match options.method {
        Method::LevenbergMarquardt => return search(dag, data, options, device, &mut observe),
        Method::GradientDescent { learning_rate } | Method::Adam { learning_rate } => learning_rate,
    };
    let (adam, sgd) = (Adam::new(rate), Sgd::new(rate));
    let optimizer: &dyn Optimizer = if matches!(options.method, Method::Adam { .. }) { &adam } else { &sgd };
    descend(dag, data, options, optimizer, device, &mut observe)
}

impl Options {
    fn check(&self, dag: &Dag, data: &DataSet) -> Result<(), PrimerError> {
        let require = |what: &str, value: f64, holds: bool, expected: &'static str| match holds {
            true => Ok(()),
            false => Err(PrimerError::OutOfRange { what: what.to_owned(), value, expected }),
        };
        if dag.parameters().is_empty() {
            return Err(PrimerError::NoParameters);
        }
        let above = |value: f64| value.is_finite() && value > 0.0;
        match self.method {
            Method::LevenbergMarquardt => {}
            Method::GradientDescent { learning_rate } | Method::Adam { learning_rate } => {
                require("the learning rate", learning_rate, above(learning_rate), "a finite number above 0")?;
            }
        }
        if let Partials::FiniteDifference { delta } = self.partials {
            require("the step of finite differences", delta, above(delta), "a finite number above 0")?;
        }
        if let Some(size) = self.batch_size {
            let fits = (1..=data.len()).contains(&size);
            require("the batch size", size as f64, fits, "in 1 to the number of samples")?;
            let fits = size == data.len() || !matches!(self.method, Method::LevenbergMarquardt);
            require(
                "the batch size",
                size as f64,
                fits,
                "the number of all samples, which Levenberg and Marquardt's method needs",
            )?;
        }
        if let Some(first) = &self.first {
            let (found, needed) = (first.len(), dag.parameters().len());
            require("the number of first values", found as f64, found == needed, "that of the learnable parameters")?;
        }
        require("the number of starts", self.starts as f64, self.starts > 0, "above 0")?;
        require("the distance of displays", self.display_every as f64, self.display_every > 0, "above 0")
    }
}

type Observe<'o> = &'o mut dyn FnMut(Progress<'_>) -> Result<(), PrimerError>;

/// First-order training: every update is one step of a session.
fn descend(
    dag: &Dag,
    data: &DataSet,
    options: &Options,
    optimizer: &dyn Optimizer,
    device: &Device,
    observe: Observe<'_>,
) -> Result<Trained, PrimerError> {
    const GROWTH: f64 = 1e6;
    let dtype = dtype_on(device);
    let all: Vec<usize> = (0..data.len()).collect();
    let rows = options.batch_size.unwrap_or(data.len());
    let graph = Graph::new();
    let network = Network::declare(&graph, dag, rows, dtype);
    let loss = network.loss(&network.forward(options.partials)?);
    let mut session = Session::builder(device.clone()).train(&graph, loss, optimizer)?;
    let whole = Graph::new();
    let network = Network::declare(&whole, dag, data.len(), dtype);
    let whole_loss = session.add(&whole, &[network.loss(&network.forward(Partials::Engine)?)])?;
    let samples = data.tensors(dag, &all, dtype)?;
    set_parameters(&mut session, dag, &first_values(dag, options, 0)?)?;

    let steps_per_epoch = data.len() / rows;
    let (mut order, mut limit) = (Vec::new(), f64::INFINITY);
    let mut losses = Vec::with_capacity(options.steps);
    for step in 0..options.steps {
        if step % options.display_every == 0 {
            let (loss, parameters) = state(&mut session, whole_loss, &samples, dag)?;
            if step == 0 && !loss.is_finite() {
                return Err(PrimerError::StartNotFinite { loss });
            }
            if loss > limit {
                return Err(PrimerError::Diverged { loss, step });
            }
            if step == 0 {
                limit = loss.max(f64::MIN_POSITIVE) * GROWTH;
            }
            observe(Progress { start: 0, step, loss, parameters: &parameters, last: false })?;
        }
        let loss = if rows == data.len() {
            session.step(&borrowed(&samples))?
        } else {
            let place = step % steps_per_epoch;
            if place == 0 {
                order = shuffled(data.len(), options.seed, (step / steps_per_epoch) as u64)?;
            }
            let batch = data.tensors(dag, &order[place * rows..(place + 1) * rows], dtype)?;
            session.step(&borrowed(&batch))?
        };
        // A batch may have a far larger loss than the first one had, so growth is judged on the whole data set.
        if !loss.is_finite() || (rows == data.len() && loss > limit) {
            return Err(PrimerError::Diverged { loss, step });
        }
        losses.push(loss);
    }
    let (loss, parameters) = state(&mut session, whole_loss, &samples, dag)?;
    if !loss.is_finite() || loss > limit {
        return Err(PrimerError::Diverged { loss, step: options.steps });
    }
    observe(Progress { start: 0, step: options.steps, loss, parameters: &parameters, last: true })?;
    Ok(Trained { parameters, loss, losses, steps_per_epoch, end: End::Steps })
}

/// The loss over the whole data set, and the parameters.
fn state(
    session: &mut Session,
    loss: PlanId,
    samples: &[(String, Tensor)],
    dag: &Dag,
) -> Result<(f64, Vec<f64>), PrimerError> {
    let loss = session.run_plan(loss, &borrowed(samples))?[0].item()?;
    Ok((loss, read_parameters(session, dag)?))
}

fn read_parameters(session: &Session, dag: &Dag) -> Result<Vec<f64>, PrimerError> {
    dag.parameters().iter().map(|name| Ok(session.parameter(&parameter_name(name))?.item()?)).collect()
}

/// Levenberg and Marquardt's method from one start after the other, until one explains the data.
fn search(
    dag: &Dag,
    data: &DataSet,
    options: &Options,
    device: &Device,
    observe: Observe<'_>,
) -> Result<Trained, PrimerError> {
    let dtype = dtype_on(device);
    let (mean_square, variance) = moments(data);
    let (enough, share) = match dtype {
        DType::F64 => (1e-28 * mean_square, 1e-12),
        DType::F32 | DType::I32 | DType::Bool => (1e-14 * mean_square, 1e-10),
    };
    // Outputs that do not vary leave nothing to take a share of, but the loss at the start.
    let varies = variance > 1e-20 * mean_square;
    let explained = |first_loss: f64| share * if varies { variance } else { first_loss };
    let mut best: Option<Trained> = None;
    let mut problem = Misses::new(dag, data, options.partials, device)?;
    for start in 0..options.starts {
        let first = first_values(dag, options, start)?;
        let found = search_from(&mut problem, &first, options, start, enough, observe)?;
        let end = if found.loss <= explained(found.losses[0]) { End::Explained } else { found.end };
        let (loss, trained) = (found.loss, Trained { end, ..found });
        if best.as_ref().is_none_or(|best| loss < best.loss || !best.loss.is_finite()) {
            best = Some(trained);
        }
        if end == End::Explained {
            break;
        }
    }
    match best {
        Some(best) if best.loss.is_finite() => Ok(best),
        Some(Trained { loss, .. }) => Err(PrimerError::StartNotFinite { loss }),
        None => Err(PrimerError::NoParameters),
    }
}

/// Levenberg and Marquardt's method from one start; a mean squared residual of `enough` ends it.
fn search_from(
    problem: &mut Misses<'_>,
    first: &[f64],
    options: &Options,
    start: usize,
    enough: f64,
    observe: Observe<'_>,
) -> Result<Trained, PrimerError> {
    problem.move_to(first)?;
    let residuals = problem.residuals()?;
    let count = residuals.len().max(1) as f64;
    let mut losses = vec![residuals.iter().map(|residual| residual * residual).sum::<f64>() / count];
    let mut parameters = first.to_vec();
    observe(Progress { start, step: 0, loss: losses[0], parameters: first, last: false })?;
    let mut end = End::Minimum;
    if losses[0].is_finite() {
        let limits =
            Limits { iterations: options.steps, enough: enough * count, gradient: 0.0, step: 1e-15, cost: 0.0 };
        let method = LevenbergMarquardt::new().with_limits(limits);
        let mut told = Ok(());
        let found = minimise(problem, &method, &mut |iteration| {
            if !iteration.accepted {
                return;
            }
            losses.push(iteration.cost / count);
            parameters.clone_from(&iteration.point);
            let step = losses.len() - 1;
            if step % options.display_every == 0 && told.is_ok() {
                told = observe(Progress { start, step, loss: losses[step], parameters: &parameters, last: false });
            }
        });
        told?;
        end = match found {
            Ok(minimum) => match minimum.outcome {
                Outcome::Reached => End::Explained,
                Outcome::GradientVanished | Outcome::StepVanished | Outcome::CostSettled => End::Minimum,
                Outcome::IterationLimit => End::Steps,
            },
            Err(Error::LeastSquares(LeastSquaresError::NotFinite { .. })) => End::NotDifferentiable,
            Err(error) => return Err(error.into()),
        };
    }
    let (step, loss) = (losses.len() - 1, losses[losses.len() - 1]);
    observe(Progress { start, step, loss, parameters: &parameters, last: true })?;
    Ok(Trained { parameters, loss, losses, steps_per_epoch: 1, end })
}

/// The parameters' values at the beginning of a start: those that were given for the first one, or drawn by the engine's
/// counter-based generator, the same on every device.
fn first_values(dag: &Dag, options: &Options, start: usize) -> Result<Vec<f64>, PrimerError> {
    const REACHES: [f64; 4] = [2.0, 4.0, 8.0, 1.0];
    if let (Some(first), 0) = (&options.first, start) {
        return Ok(first.clone());
    }
    let (low, high) = match start.checked_sub(1) {
        None => (0.0, 1.0),
        Some(further) => (-REACHES[further % REACHES.len()], REACHES[further % REACHES.len()]),
    };
    let graph = Graph::new();
    let init = Init::Uniform { low, high };
    let drawn = graph.parameter_of("drawn", [dag.parameters().len()], DType::F64, init);
    let seed = options.seed.wrapping_add(start as u64);
    let session = Session::builder(Device::cpu()).seed(seed).evaluate(&graph, &[drawn])?;
    Ok(session.parameter("drawn")?.to_f64_vec())
}

/// By how much the outputs miss the true ones over all samples, and the Jacobian of that, as plans of one session.
struct Misses<'d> {
    dag: &'d Dag,
    session: Session,
    jacobian: PlanId,
    samples: Vec<(String, Tensor)>,
    /// The true outputs, one column after the other.
    targets: Vec<f64>,
    rows: usize,
}

impl<'d> Misses<'d> {
    fn new(dag: &'d Dag, data: &DataSet, partials: Partials, device: &Device) -> Result<Self, PrimerError> {
        let (dtype, rows) = (dtype_on(device), data.len());
        let all: Vec<usize> = (0..rows).collect();
        let samples = data.tensors(dag, &all, dtype)?;
        let targets = samples[dag.independent()..].iter().flat_map(|(_, column)| column.to_f64_vec()).collect();
        let graph = Graph::new();
        let network = Network::declare(&graph, dag, rows, dtype);
        let variables = network.forward(partials)?;
        let outputs: Vec<_> = dag.outputs().iter().map(|output| variables[*output]).collect();
        let mut session = Session::evaluate(&graph, &outputs, device)?;
        let jacobian = session.add(&graph, &network.jacobian(&variables)?.concat())?;
        Ok(Misses { dag, session, jacobian, samples, targets, rows })
    }
}

impl Problem for Misses<'_> {
    fn point(&self) -> Result<Vec<f64>, Error> {
        self.dag.parameters().iter().map(|name| self.session.parameter(&parameter_name(name))?.item()).collect()
    }

    fn move_to(&mut self, point: &[f64]) -> Result<(), Error> {
        write_parameters(&mut self.session, self.dag, point)
    }

    fn residuals(&mut self) -> Result<Vec<f64>, Error> {
        let columns = self.session.run(&borrowed(&self.samples))?;
        let values = columns.iter().flat_map(Tensor::to_f64_vec);
        Ok(values.zip(&self.targets).map(|(value, target)| value - target).collect())
    }

    fn linearise(&mut self) -> Result<Linearised, Error> {
        let residuals = self.residuals()?;
        let columns = self.session.run_plan(self.jacobian, &borrowed(&self.samples))?;
        let columns: Vec<Vec<f64>> = columns.iter().map(Tensor::to_f64_vec).collect();
        let parameters = self.dag.parameters().len();
        let entry = |place: usize| {
            let (row, parameter) = (place / parameters, place % parameters);
            columns[row / self.rows * parameters + parameter][row % self.rows]
        };
        let jacobian = (0..residuals.len() * parameters).map(entry).collect();
        Ok(Linearised { residuals, jacobian })
    }

    fn element_name(&self, place: usize) -> String {
        self.dag.parameters()[place].clone()
    }
}

/// The mean square of the true outputs, and how much they vary about the mean of each.
fn moments(data: &DataSet) -> (f64, f64) {
    let count = (data.len() * data.outputs.len()) as f64;
    let square = |values: &[f64], about: f64| values.iter().map(|value| (value - about) * (value - about)).sum::<f64>();
    let mean_square = data.outputs.iter().map(|column| square(column, 0.0)).sum::<f64>() / count;
    let mean = |column: &[f64]| column.iter().sum::<f64>() / column.len() as f64;
    let variance = data.outputs.iter().map(|column| square(column, mean(column))).sum::<f64>() / count;
    (mean_square, variance)
}
