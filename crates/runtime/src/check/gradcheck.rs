//! gradcheck and gradgradcheck: the engine's derivatives held against finite differences, element by element, in f64.

use arenagrad_graph::{DType, Expr, Graph, Mode, Origin};

use crate::check::error::require_tolerances;
use crate::check::evaluation::Evaluation;
use crate::check::function::{CheckedFunction, normal, shapes};
use crate::check::jacobian::{Columns, Rows};
use crate::check::{Differences, GradientReport, JacobianPair, Order};
use crate::device::Device;
use crate::error::Error;
use crate::tensor::Tensor;

/// Checks the gradients of a function of tensors against finite differences, with PyTorch's settings: see [`GradCheck`].
///
/// ```
/// use arenagrad::check::gradcheck;
/// use arenagrad::{Expr, Tensor};
///
/// let x = Tensor::new([2, 2], vec![0.1, 0.2, 0.3, 0.4])?;
/// let w = Tensor::new([2], vec![-1.0, 1.5])?;
/// let report = gradcheck(|x: &[Expr]| (x[0] * x[1]).tanh(), &[x, w])?;
/// assert!(report.passed());
/// assert_eq!(report.compared, 4 * 4 + 4 * 2);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[track_caller]
pub fn gradcheck(
    function: impl for<'g> Fn(&[Expr<'g>]) -> Expr<'g>,
    inputs: &[Tensor],
) -> Result<GradientReport, Error> {
    GradCheck::new().function(function, inputs)
}

/// Checks the gradients of gradients, as [`gradcheck`] checks gradients: see [`GradCheck::second`].
#[track_caller]
pub fn gradgradcheck(
    function: impl for<'g> Fn(&[Expr<'g>]) -> Expr<'g>,
    inputs: &[Tensor],
) -> Result<GradientReport, Error> {
    GradCheck::new().second().function(function, inputs)
}

/// A check of derivatives, with its settings.
///
/// Every partial derivative of every element of every output by every element of every input is compared. It passes if
/// `|analytic - numerical| <= absolute + relative |numerical|`. The defaults are those of `torch.autograd.gradcheck`:
/// central differences with a step of 1e-6, absolute 1e-5, relative 1e-3.
///
/// The check runs on the CPU in f64, whatever the graph declares: see [`arenagrad_graph::passes::widen`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a check does nothing until it is given a function or a graph"]
pub struct GradCheck {
    differences: Differences,
    absolute: f64,
    relative: f64,
    seed: u64,
    order: Order,
    mode: Mode,
}

impl GradCheck {
    /// A check of first derivatives with PyTorch's settings.
    pub fn new() -> Self {
        let differences = Differences::central().step(1e-6);
        GradCheck { differences, absolute: 1e-5, relative: 1e-3, seed: 0, order: Order::First, mode: Mode::Reverse }
    }

    /// With other differences.
    pub fn differences(self, differences: Differences) -> Self {
        GradCheck { differences, ..self }
    }

    /// With other tolerances, both finite and not below 0.
    pub fn tolerances(self, absolute: f64, relative: f64) -> Self {
        GradCheck { absolute, relative, ..self }
    }

    /// The seed of parameters that are given no value, and of the random upstream gradients of [`GradCheck::second`].
    pub fn seed(self, seed: u64) -> Self {
        GradCheck { seed, ..self }
    }

    /// A check of second derivatives: what is differentiated is the gradient of the outputs under random upstream
    /// gradients, standard normal, and it is differentiated by the inputs and by the upstream gradients.
    pub fn second(self) -> Self {
        GradCheck { order: Order::Second, ..self }
    }

    /// A check of what the engine derives in that mode: reverse, which is the default, or forward.
    pub fn mode(self, mode: Mode) -> Self {
        GradCheck { mode, ..self }
    }

    /// Checks a function of inputs named `x0`, `x1` and so on, by every one that holds floats. The others, such as labels,
    /// are only passed on.
    ///
    /// Errors: a mistake in the function, and what keeps the check from being made. A check that fails is no error but a
    /// report that says so.
    #[track_caller]
    pub fn function(
        &self,
        function: impl for<'g> Fn(&[Expr<'g>]) -> Expr<'g>,
        inputs: &[Tensor],
    ) -> Result<GradientReport, Error> {
        self.functions(|x| vec![function(x)], inputs)
    }

    /// Checks a function with several outputs. See [`GradCheck::function`].
    #[track_caller]
    pub fn functions(
        &self,
        function: impl for<'g> Fn(&[Expr<'g>]) -> Vec<Expr<'g>>,
        inputs: &[Tensor],
    ) -> Result<GradientReport, Error> {
        let called = ("gradcheck", Origin::here());
        CheckedFunction::of_closure(function, inputs, called, |function| self.check(function))
    }

    /// Checks expressions of a graph by the inputs and parameters that `wrt` names; by all floats that the outputs need, in
    /// the order of their declarations, if it names none. The graph is left as it was.
    ///
    /// `values` holds every input that the outputs need, and any parameters; other parameters have their first values of the
    /// check's seed. Floats may be of either dtype.
    ///
    /// ```
    /// use arenagrad::check::GradCheck;
    /// use arenagrad::{Graph, Init, Tensor};
    ///
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 3]);
    /// let w = g.parameter("w", [3, 1], Init::XavierUniform);
    /// let loss = x.matmul(w).sigmoid().square().mean(..).named("loss");
    /// let x = Tensor::new([2, 3], vec![0.5f32, -1.0, 2.0, 1.5, 0.0, -0.5])?;
    /// let report = GradCheck::new().graph(&g, &[loss], &["w"], &[("x", &x)])?.into_result()?;
    /// assert_eq!(report.compared, 3);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn graph(
        &self,
        graph: &Graph,
        outputs: &[Expr<'_>],
        wrt: &[&str],
        values: &[(&str, &Tensor)],
    ) -> Result<GradientReport, Error> {
        let called = ("gradcheck", Origin::here());
        CheckedFunction::of_graph(graph, outputs, wrt, values, called, |function| self.check(function))
    }

    fn check(&self, function: CheckedFunction<'_>) -> Result<GradientReport, Error> {
        require_tolerances(self.absolute, self.relative)?;
        match self.order {
            Order::First => self.compare(function),
            Order::Second => self.compare(self.gradients_of(function)?),
        }
    }

    /// The gradients of a function under random upstream gradients, as a function of its inputs and of those.
    fn gradients_of<'g>(&self, mut function: CheckedFunction<'g>) -> Result<CheckedFunction<'g>, Error> {
        let upstreams = function.upstreams()?;
        let inputs = function.inputs()?;
        let seeds: Vec<Expr<'g>> = upstreams.iter().map(|(_, upstream)| *upstream).collect();
        function.outputs = function.graph.gradients(&function.outputs, &seeds, &inputs)?;
        function.names = function.wrt.iter().map(|input| format!("gradient by {input}")).collect();
        for (number, (name, upstream)) in upstreams.into_iter().enumerate() {
            function.values.push((name.clone(), normal(&upstream.shape()?, self.seed, number)?));
            function.wrt.push(name);
        }
        Ok(function)
    }

    fn compare(&self, mut function: CheckedFunction<'_>) -> Result<GradientReport, Error> {
        let graph = function.graph;
        let inputs = function.inputs()?;
        let directions = match self.mode {
            Mode::Reverse => function.upstreams()?,
            Mode::Forward => function.tangents()?,
        };
        for (name, direction) in &directions {
            function.values.push((name.clone(), Tensor::zeros(direction.shape()?, DType::F64)?));
        }
        let CheckedFunction { names, outputs, wrt, .. } = &function;
        let (mut evaluation, plan) = Evaluation::new(graph, outputs, &function.borrowed(), &Device::cpu(), self.seed)?;
        let output_shapes = shapes(outputs)?;
        let input_shapes = shapes(&inputs)?;
        let analytic = match self.mode {
            Mode::Reverse => Rows::append(graph, &mut evaluation, outputs, &directions, &inputs)?.jacobians(
                &mut evaluation,
                &output_shapes,
                &input_shapes,
            )?,
            Mode::Forward => Columns::append(graph, &mut evaluation, outputs, &directions, &inputs)?.jacobians(
                &mut evaluation,
                &output_shapes,
                &input_shapes,
            )?,
        };
        let wrt: Vec<&str> = wrt.iter().map(String::as_str).collect();
        let numerical = self.differences.jacobians(&mut evaluation, plan, &output_shapes, &wrt, &mut |_| {})?;
        let mut pairs = Vec::with_capacity(output_shapes.len() * wrt.len());
        let outputs = names.iter().zip(&output_shapes).zip(analytic.into_iter().zip(numerical));
        for ((output, output_shape), (analytic, numerical)) in outputs {
            let inputs = wrt.iter().zip(&input_shapes).zip(analytic.into_iter().zip(numerical));
            pairs.extend(inputs.map(|((input, input_shape), (analytic, numerical))| JacobianPair {
                output: output.clone(),
                output_shape: output_shape.clone(),
                input: (*input).to_owned(),
                input_shape: input_shape.clone(),
                analytic,
                numerical,
            }));
        }
        Ok(GradientReport::new(self.order, pairs, self.absolute, self.relative))
    }
}

impl Default for GradCheck {
    fn default() -> Self {
        GradCheck::new()
    }
}
