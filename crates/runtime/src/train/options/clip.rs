//! Gradients that are kept from becoming too large.

use arenagrad_graph::{DType, Expr, Graph, Init};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Trained, scalar_dtype};

/// The name of the state that holds the norm of the last gradients, before they were clipped.
const GRADIENT_NORM: &str = "gradient_norm";

/// An optimiser whose gradients have no norm above a bound: see [`Optimizer::clip_norm`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct NormClipped<O> {
    inner: O,
    bound: f64,
}

/// An optimiser whose gradients have no element beyond a bound: see [`Optimizer::clip_value`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct ValueClipped<O> {
    inner: O,
    bound: f64,
}

impl<O> NormClipped<O> {
    pub(crate) fn new(inner: O, bound: f64) -> Self {
        NormClipped { inner, bound }
    }
}

impl<O> ValueClipped<O> {
    pub(crate) fn new(inner: O, bound: f64) -> Self {
        ValueClipped { inner, bound }
    }
}

impl<O: Optimizer> Optimizer for NormClipped<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        Hyperparameters::of(trained)?.not_negative("largest gradient norm", self.bound)?;
        let Some(first) = trained.first() else { return self.inner.update(graph, trained) };
        let dtype = scalar_dtype(trained)?;
        let name = first.settings.scalar_name(GRADIENT_NORM);
        let gradients: Vec<Expr<'g>> = trained.iter().map(|one| one.gradient).collect();
        let norm = global_norm(&gradients, dtype)?.named(format!("{name}.next"));
        // The small number is PyTorch's. A norm that is NaN makes NaN of all, as there.
        let share = (self.bound / (norm + 1e-6)).minimum(1.0).named("clipped_share");
        let clipped = trained
            .iter()
            .map(|one| Ok(one.with_gradient(one.gradient * share.cast(one.gradient.dtype()?))))
            .collect::<Result<Vec<_>, Error>>()?;
        let last = graph.state(name, [], dtype, Init::Constant(0.0));
        let mut pairs = self.inner.update(graph, &clipped)?;
        pairs.push((last, norm));
        Ok(pairs)
    }

    fn trains(&self, name: &str) -> bool {
        self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.inner.patterns()
    }
}

impl<O: Optimizer> Optimizer for ValueClipped<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        Hyperparameters::of(trained)?.not_negative("largest gradient element", self.bound)?;
        let clipped: Vec<Trained<'g>> = trained
            .iter()
            .map(|one| one.with_gradient(one.gradient.clamp(Some(-self.bound), Some(self.bound))))
            .collect();
        self.inner.update(graph, &clipped)
    }

    fn trains(&self, name: &str) -> bool {
        self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.inner.patterns()
    }
}

/// The Euclidean norm of all elements of all tensors as one vector, in that dtype.
///
/// Three sums of squares are taken at once, of elements as they are, made smaller and made larger by powers of two, and so exactly; the
/// result comes of the first that has neither overflowed nor lost its digits. So each gradient is read once, and not a second
/// time for its largest element.
fn global_norm<'g>(tensors: &[Expr<'g>], dtype: DType) -> Result<Expr<'g>, Error> {
    let Scales { shrink, grow, least } = Scales::of(dtype);
    let sum_scaled = |scale: f64| -> Result<Expr<'g>, Error> {
        let mut sums = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            // The scales are of the wider dtype; a narrower tensor is widened before it is squared.
            let tensor = tensor.cast(dtype);
            let scaled = if scale == 1.0 { tensor } else { tensor * scale };
            sums.push(scaled.square().sum(..));
        }
        let total = sums.into_iter().reduce(|sum, next| sum + next);
        total.ok_or_else(|| Error::NothingToTrain { reason: "there is no gradient to clip".to_owned() })
    };
    let (plain, shrunk, grown) = (sum_scaled(1.0)?, sum_scaled(shrink)?, sum_scaled(grow)?);
    let small = plain.less(least).where_(grown.sqrt() / grow, plain.sqrt());
    Ok(plain.equal(f64::INFINITY).where_(shrunk.sqrt() / shrink, small))
}

/// By what elements are scaled before they are squared.
struct Scales {
    /// For elements whose squares overflow.
    shrink: f64,
    /// For elements whose squares lose digits.
    grow: f64,
    /// A sum of squares below this may have lost digits.
    least: f64,
}

impl Scales {
    fn of(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Scales { shrink: 2f64.powi(-600), grow: 2f64.powi(600), least: 2f64.powi(-900) },
            // No optimiser has scalars of another dtype than a float.
            DType::F32 | DType::I32 | DType::Bool => {
                Scales { shrink: 2f64.powi(-96), grow: 2f64.powi(96), least: 2f64.powi(-80) }
            }
        }
    }
}
