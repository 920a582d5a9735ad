//! Muon.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::moments::{Beta, Decay};
use crate::train::norm::global_norm;
use crate::train::options::parts;
use crate::train::{Optimizer, Scalars, Trained};

/// Muon (Jordan et al. 2024), for matrices: steps along the momentum made orthogonal, as PyTorch's `torch.optim.Muon` defines it.
///
/// `b = momentum b + (1 - momentum) g`, `u = momentum b + (1 - momentum) g` by Nesterov's variant, else `u = b`; `o` is `u` with its
/// singular values brought near 1, by five of Newton and Schulz's iterations `x = a x + (b x x^T + c (x x^T)^2) x` from `u / max(|u|, eps)`;
/// `p = p (1 - rate weight_decay) - rate sqrt(max(1, rows / columns)) o`. PyTorch iterates in bf16, this in the parameter's dtype.
///
/// It is meant for the matrices within a network. Embeddings, the last layer and everything that is no matrix want another optimiser,
/// which [`Muon::rest`] or [`Optimizer::group`] gives them:
///
/// ```
/// use arenagrad::train::optimisers::Muon;
/// use arenagrad::{AdamW, Optimizer};
///
/// let optimizer = Muon::new(0.02).rest(AdamW::new(3e-4)).group("embedding", "embedding.*", AdamW::new(3e-4));
/// # let _ = optimizer;
/// ```
///
/// The defaults are PyTorch's: a momentum of 0.95, Nesterov's variant, a weight decay of 0.1.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Muon {
    rate: f64,
    weight_decay: f64,
    momentum: f64,
    nesterov: bool,
    coefficients: (f64, f64, f64),
    eps: f64,
    iterations: usize,
    adjustment: MuonRate,
}

/// Muon for the matrices, and another optimiser for the rest: see [`Muon::rest`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct MuonWithRest<O> {
    muon: Muon,
    rest: O,
}

/// By what the learning rate is multiplied for a matrix of some rows and columns; PyTorch's `adjust_lr_fn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MuonRate {
    /// `sqrt(max(1, rows / columns))`: the author's.
    Original,
    /// `0.2 sqrt(max(rows, columns))`: steps as long as those of AdamW, whose rate can then be taken (Liu et al. 2025).
    MatchAdamW,
    /// `sqrt(rows / columns)`.
    Spectral,
}

impl Muon {
    /// Muon at that learning rate; PyTorch's default is 0.001, the author's 0.02.
    pub fn new(rate: f64) -> Self {
        Muon {
            rate,
            weight_decay: 0.1,
            momentum: 0.95,
            nesterov: true,
            coefficients: (3.4445, -4.775, 2.0315),
            eps: 1e-7,
            iterations: 5,
            adjustment: MuonRate::Original,
        }
    }

    /// With another weight decay beside the gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Muon { weight_decay, ..self }
    }

    /// With another momentum, in [0, 1).
    pub fn momentum(self, momentum: f64) -> Self {
        Muon { momentum, ..self }
    }

    /// With the momentum alone instead of Nesterov's variant.
    pub fn without_nesterov(self) -> Self {
        Muon { nesterov: false, ..self }
    }

    /// With other coefficients of the iteration.
    pub fn coefficients(self, a: f64, b: f64, c: f64) -> Self {
        Muon { coefficients: (a, b, c), ..self }
    }

    /// With another least norm to divide by.
    pub fn eps(self, eps: f64) -> Self {
        Muon { eps, ..self }
    }

    /// With another number of iterations, below 100.
    pub fn iterations(self, iterations: usize) -> Self {
        Muon { iterations, ..self }
    }

    /// With another factor of the learning rate.
    pub fn adjustment(self, adjustment: MuonRate) -> Self {
        Muon { adjustment, ..self }
    }

    /// With another optimiser for all parameters that are no matrices. The names of its scalars begin with `rest.`.
    ///
    /// To freeze parameters, say [`freeze`](crate::Optimizer::freeze) or [`only`](crate::Optimizer::only) around the whole: within `rest` they keep a
    /// parameter from being updated, but its gradient is computed and counts in what stands around.
    pub fn rest<O: Optimizer>(self, rest: O) -> MuonWithRest<O> {
        MuonWithRest { muon: self, rest }
    }

    /// The matrix with singular values near 1.
    fn orthogonal<'g>(&self, matrix: Expr<'g>, rows: usize, columns: usize) -> Result<Expr<'g>, Error> {
        let (a, b, c) = self.coefficients;
        let is_tall = rows > columns;
        let wide = if is_tall { matrix.transpose(0, 1) } else { matrix };
        let norm = global_norm(&[wide], matrix.dtype()?)?;
        let mut x = wide / norm.maximum(self.eps);
        for _ in 0..self.iterations {
            let gram = x.matmul_with(x, false, true);
            let polynomial = gram * b + gram.matmul(gram) * c;
            x = x * a + polynomial.matmul(x);
        }
        Ok(if is_tall { x.transpose(0, 1) } else { x })
    }
}

impl MuonRate {
    fn factor(self, rows: usize, columns: usize) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        match self {
            MuonRate::Original => (rows / columns).max(1.0).sqrt(),
            MuonRate::MatchAdamW => 0.2 * rows.max(columns).sqrt(),
            MuonRate::Spectral => (rows / columns).sqrt(),
        }
    }
}

impl Optimizer for Muon {
    /// Errors: a parameter that is no matrix ([`Error::NotAMatrix`]).
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &Muon { rate, weight_decay, momentum, nesterov, coefficients, eps, iterations, adjustment } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.not_negative("weight decay", weight_decay)?;
        numbers.fraction("momentum", momentum)?;
        numbers.not_negative("eps", eps)?;
        let (a, b, c) = coefficients;
        for coefficient in [a, b, c] {
            numbers.require("coefficient", coefficient, coefficient.is_finite(), "finite")?;
        }
        numbers.require("number of iterations", iterations as f64, iterations < 100, "below 100")?;
        let scalars = Scalars::new(graph, trained, rate)?;
        let momentum = scalars.momentum(trained).map_or(Beta::Number(momentum), Beta::Scheduled);
        let decay = Decay::Decoupled(weight_decay);
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let shape = parameter.shape()?;
            let &[rows, columns] = shape.dims() else {
                return Err(Error::NotAMatrix { name: name.clone(), shape });
            };
            let velocity = one.state(graph, "velocity", 0.0)?;
            let next_velocity = momentum.mix(velocity, one.gradient, dtype).named(format!("{name}.velocity.next"));
            pairs.push((velocity, next_velocity));
            if shape.elements() == 0 {
                continue;
            }
            let update = if nesterov { momentum.mix(next_velocity, one.gradient, dtype) } else { next_velocity };
            let direction = self.orthogonal(update, rows, columns)?;
            let rate = scalars.rate_with_factor(one.rate_factor());
            let step = (rate * adjustment.factor(rows, columns)).cast(dtype) * direction;
            pairs.push((parameter, (decay.kept(one, rate)? - step).named(format!("{name}.next"))));
        }
        Ok(pairs)
    }
}

impl<O: Optimizer> Optimizer for MuonWithRest<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let is_matrix = |one: &Trained<'g>| one.parameter.shape().is_ok_and(|shape| shape.rank() == 2);
        let [matrices, rest] = parts(trained, is_matrix, |missed| missed.shape.rank() == 2);
        let rest = rest.in_group("rest");
        let mut pairs = matrices.update(graph, |_| true, |trained| self.muon.update(graph, trained))?;
        pairs.extend(rest.update(graph, |name| self.rest.trains(name), |trained| self.rest.update(graph, trained))?);
        Ok(pairs)
    }

    // Which parameters are matrices is not known by their names, so all are differentiated, and what the rest's optimiser does not
    // train is left out when it updates.
    fn patterns(&self) -> Vec<String> {
        self.rest.patterns()
    }
}
