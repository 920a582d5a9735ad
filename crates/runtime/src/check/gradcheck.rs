//! gradcheck and gradgradcheck: the engine's derivatives held against finite differences, element by element, in f64.

use arenagrad_graph::{DType, DeclarationKind, Expr, Graph, GraphError, Init, NodeId, Shape, passes};

use crate::check::evaluation::{Evaluation, declared};
use crate::check::jacobian::{Rows, require_float};
use crate::check::{CheckError, Differences, GradientReport, JacobianPair, Order};
use crate::device::Device;
use crate::error::Error;
use crate::tensor::Tensor;
use crate::train::initial_value;

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
pub fn gradcheck(
    function: impl for<'g> Fn(&[Expr<'g>]) -> Expr<'g>,
    inputs: &[Tensor],
) -> Result<GradientReport, Error> {
    GradCheck::new().function(function, inputs)
}

/// Checks the gradients of gradients, as [`gradcheck`] checks gradients: see [`GradCheck::second`].
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
pub struct GradCheck {
    differences: Differences,
    absolute: f64,
    relative: f64,
    seed: u64,
    order: Order,
}

impl GradCheck {
    /// A check of first derivatives with PyTorch's settings.
    pub fn new() -> Self {
        let differences = Differences::central().step(1e-6);
        GradCheck { differences, absolute: 1e-5, relative: 1e-3, seed: 0, order: Order::First }
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

    /// Checks a function of inputs named `x0`, `x1` and so on, by every one that holds floats. The others, such as labels,
    /// are only passed on.
    ///
    /// Errors: a mistake in the function, and what keeps the check from being made. A check that fails is no error but a
    /// report that says so.
    pub fn function(
        &self,
        function: impl for<'g> Fn(&[Expr<'g>]) -> Expr<'g>,
        inputs: &[Tensor],
    ) -> Result<GradientReport, Error> {
        self.functions(|x| vec![function(x)], inputs)
    }

    /// Checks a function with several outputs. See [`GradCheck::function`].
    pub fn functions(
        &self,
        function: impl for<'g> Fn(&[Expr<'g>]) -> Vec<Expr<'g>>,
        inputs: &[Tensor],
    ) -> Result<GradientReport, Error> {
        let graph = Graph::new();
        let names: Vec<String> = (0..inputs.len()).map(|number| format!("x{number}")).collect();
        let declare = |(name, input): (&String, &Tensor)| graph.input_of(name, input.shape(), input.dtype());
        let declared: Vec<Expr<'_>> = names.iter().zip(inputs).map(declare).collect();
        let outputs = function(&declared);
        graph.check()?;
        let floats = names.iter().zip(inputs).filter(|(_, input)| input.dtype().is_float());
        let wrt: Vec<&str> = floats.map(|(name, _)| name.as_str()).collect();
        if wrt.is_empty() {
            return Err(CheckError::NothingToCheck.into());
        }
        let values: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(inputs).collect();
        self.graph(&graph, &outputs, &wrt, &values)
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
    pub fn graph(
        &self,
        graph: &Graph,
        outputs: &[Expr<'_>],
        wrt: &[&str],
        values: &[(&str, &Tensor)],
    ) -> Result<GradientReport, Error> {
        for (what, value) in [("absolute", self.absolute), ("relative", self.relative)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(CheckError::Tolerance { what, value }.into());
            }
        }
        let ids = outputs.iter().map(|output| output.check()?.id()).collect::<Result<Vec<NodeId>, GraphError>>()?;
        let wide = passes::widen(graph, &ids)?;
        let named = |(number, id): (usize, &NodeId)| match wide.graph.label(*id) {
            Some(label) => label,
            None if ids.len() == 1 => "output".to_owned(),
            None => format!("output {number}"),
        };
        let names: Vec<String> = wide.outputs.iter().enumerate().map(named).collect();
        let outputs: Vec<Expr<'_>> = wide.outputs.iter().map(|id| wide.graph.expr(*id)).collect();
        let wrt = match wrt {
            [] => differentiable(&wide.graph, &wide.outputs)?,
            names => names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let function = Function { graph: &wide.graph, names, outputs, wrt };
        let values: Vec<(String, Tensor)> =
            values.iter().map(|(name, tensor)| ((*name).to_owned(), (*tensor).clone())).collect();
        match self.order {
            Order::First => self.compare(&function, values),
            Order::Second => {
                let (gradients, values) = self.gradients_of(function, values)?;
                self.compare(&gradients, values)
            }
        }
    }

    /// The gradients of a function under random upstream gradients, as a function of its inputs and of those.
    fn gradients_of<'g>(
        &self,
        function: Function<'g>,
        mut values: Vec<(String, Tensor)>,
    ) -> Result<(Function<'g>, Vec<(String, Tensor)>), Error> {
        let graph = function.graph;
        let upstreams = function.upstreams()?;
        for (number, (name, upstream)) in upstreams.iter().enumerate() {
            let normal = Init::Normal { mean: 0.0, deviation: 1.0 };
            let value = initial_value(&normal, &upstream.shape()?, DType::F64, self.seed, number as u32)?;
            values.push((name.clone(), value));
        }
        let seeds: Vec<Expr<'g>> = upstreams.iter().map(|(_, upstream)| *upstream).collect();
        let inputs = function.inputs()?;
        let outputs = graph.gradients(&function.outputs, &seeds, &inputs)?;
        let names = function.wrt.iter().map(|input| format!("gradient by {input}")).collect();
        let wrt = function.wrt.into_iter().chain(upstreams.into_iter().map(|(name, _)| name)).collect();
        Ok((Function { graph, names, outputs, wrt }, values))
    }

    fn compare(&self, function: &Function<'_>, mut values: Vec<(String, Tensor)>) -> Result<GradientReport, Error> {
        let graph = function.graph;
        let inputs = function.inputs()?;
        let upstreams = function.upstreams()?;
        for (name, upstream) in &upstreams {
            values.push((name.clone(), Tensor::zeros(upstream.shape()?, DType::F64)?));
        }
        let values: Vec<(&str, &Tensor)> = values.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let (mut evaluation, plan) = Evaluation::new(graph, &function.outputs, &values, &Device::cpu(), self.seed)?;
        let output_shapes = shapes(&function.outputs)?;
        let input_shapes = shapes(&inputs)?;
        let wrt: Vec<&str> = function.wrt.iter().map(String::as_str).collect();
        let rows = Rows::append(graph, &mut evaluation, &function.outputs, &upstreams, &inputs)?;
        let analytic = rows.jacobians(&mut evaluation, &output_shapes, &input_shapes)?;
        let numerical = self.differences.jacobians(&mut evaluation, plan, &output_shapes, &wrt, &mut |_| {})?;
        let mut pairs = Vec::with_capacity(output_shapes.len() * wrt.len());
        let outputs = function.names.iter().zip(&output_shapes).zip(analytic.into_iter().zip(numerical));
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

/// Outputs as a function of named inputs and parameters, all in f64.
struct Function<'g> {
    graph: &'g Graph,
    /// The outputs' names in reports.
    names: Vec<String>,
    outputs: Vec<Expr<'g>>,
    wrt: Vec<String>,
}

impl<'g> Function<'g> {
    /// The nodes of what the function is differentiated by.
    fn inputs(&self) -> Result<Vec<Expr<'g>>, Error> {
        let graph = self.graph;
        let node = |name: &String| {
            require_float(graph, name)?;
            Ok(graph.expr(declared(graph, name)?.node))
        };
        self.wrt.iter().map(node).collect()
    }

    /// Declares an upstream gradient for each output, under a name that is free.
    fn upstreams(&self) -> Result<Vec<(String, Expr<'g>)>, Error> {
        let mut upstreams = Vec::with_capacity(self.outputs.len());
        for (name, output) in self.names.iter().zip(&self.outputs) {
            let mut name = format!("upstream of {name}");
            while declared(self.graph, &name).is_ok() {
                name.push('\'');
            }
            let upstream = self.graph.input_of(&name, output.shape()?, DType::F64);
            upstreams.push((name, upstream.check()?));
        }
        Ok(upstreams)
    }
}

/// The floats among the declarations that the outputs need: inputs and trainable parameters.
fn differentiable(graph: &Graph, outputs: &[NodeId]) -> Result<Vec<String>, Error> {
    let needed = graph.needed(outputs)?;
    let names: Vec<String> = graph
        .declarations()
        .into_iter()
        .filter(|declaration| declaration.dtype.is_float() && needed.contains(&declaration.node))
        .filter(|declaration| match declaration.kind {
            DeclarationKind::Input => true,
            DeclarationKind::Parameter { trainable, .. } => trainable,
        })
        .map(|declaration| declaration.name)
        .collect();
    if names.is_empty() { Err(CheckError::NothingToCheck.into()) } else { Ok(names) }
}

fn shapes(exprs: &[Expr<'_>]) -> Result<Vec<Shape>, Error> {
    Ok(exprs.iter().map(|expr| expr.shape()).collect::<Result<Vec<_>, _>>()?)
}
