//! Residuals and their Jacobian, compiled once.

use arenagrad_graph::{DeclarationKind, Elements, Expr, Graph, GraphError, NodeId, Origin, Shape};

use crate::device::Device;
use crate::error::Error;
use crate::least_squares::LeastSquaresError;
use crate::session::{PlanId, Session};
use crate::tensor::Tensor;

/// Residuals over a graph's trainable parameters, and the data that they are of.
///
/// ```
/// use arenagrad::least_squares::{LeastSquares, LevenbergMarquardt};
/// use arenagrad::{DType, Device, Graph, Init, Tensor};
///
/// // y = a e^(b x) through points of 2 e^(0.5 x).
/// let g = Graph::new();
/// let (x, y) = (g.input_of("x", [4], DType::F64), g.input_of("y", [4], DType::F64));
/// let a = g.parameter_of("a", [], DType::F64, Init::Constant(1.0));
/// let b = g.parameter_of("b", [], DType::F64, Init::Constant(0.0));
/// let residuals = y - a * (b * x).exp();
///
/// let x = Tensor::new([4], vec![0.0, 1.0, 2.0, 3.0])?;
/// let y = Tensor::new([4], [0.0f64, 1.0, 2.0, 3.0].map(|x| 2.0 * (0.5 * x).exp()).to_vec())?;
/// let mut problem = LeastSquares::new(&g, residuals, &[("x", &x), ("y", &y)], &Device::cpu())?;
/// let fit = problem.fit(&LevenbergMarquardt::new())?;
/// assert!((fit.parameter("a").unwrap().item()? - 2.0).abs() < 1e-9);
/// assert!((fit.parameter("b").unwrap().item()? - 0.5).abs() < 1e-9);
/// # Ok::<(), arenagrad::Error>(())
/// ```
pub struct LeastSquares {
    session: Session,
    /// Computes the residuals, and their Jacobian with respect to each parameter.
    linearised: PlanId,
    /// Computes the residuals alone.
    residuals: PlanId,
    inputs: Vec<(String, Tensor)>,
    parameters: Vec<Parameter>,
    count: usize,
}

struct Parameter {
    name: String,
    shape: Shape,
}

/// Residuals that depend on numbers, as a [`Method`](crate::least_squares::Method) sees them. [`LeastSquares`] is one over a graph
/// with the engine's Jacobian; implement it for residuals that come from elsewhere, or a Jacobian by finite differences.
pub trait Problem {
    /// The numbers where the problem is now.
    fn point(&self) -> Result<Vec<f64>, Error>;

    /// Sets the numbers, as many as [`Problem::point`] gives.
    fn move_to(&mut self, point: &[f64]) -> Result<(), Error>;

    /// The residuals at the present point: the same number at every point. Their sign does not matter.
    fn residuals(&mut self) -> Result<Vec<f64>, Error>;

    /// The residuals at the present point, and their Jacobian.
    fn linearise(&mut self) -> Result<Linearised, Error>;

    /// How errors call the number at that place.
    fn element_name(&self, place: usize) -> String;
}

/// A problem linearised at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Linearised {
    /// The residuals.
    pub residuals: Vec<f64>,
    /// Row-major, a row for each residual and a column for each number that they depend on.
    pub jacobian: Vec<f64>,
}

impl LeastSquares {
    /// The problem of `residuals`, of any shape, over all trainable parameters of their graph, which start as they are
    /// declared. Their sign does not matter. The graph is left as it was.
    ///
    /// Errors, after which the graph is as it was too: residuals that are stale, of another graph, or no floats; no parameters, fewer
    /// residuals than elements of parameters, inputs that are missing or do not fit, and what planning reports.
    #[track_caller]
    pub fn new(
        graph: &Graph,
        residuals: Expr<'_>,
        inputs: &[(&str, &Tensor)],
        device: &Device,
    ) -> Result<LeastSquares, Error> {
        let (op, origin) = ("LeastSquares::new", Origin::here());
        let residuals = graph.require(residuals, op)?;
        let (count, dtype) = (residuals.shape()?.elements(), residuals.dtype()?);
        if !dtype.is_float() {
            let operand = format!("{residuals:?}");
            return Err(GraphError::NotDifferentiable { origin, op, operand, dtype }.into());
        }
        let declared: Vec<(String, NodeId, Shape)> = graph
            .declarations()
            .into_iter()
            .filter(|declaration| graph.ordinal(declaration.node).is_ok())
            .filter(|declaration| matches!(declaration.kind, DeclarationKind::Parameter { trainable: true, .. }))
            .map(|declaration| (declaration.name, declaration.node, declaration.shape))
            .collect();
        let elements: usize = declared.iter().map(|(.., shape)| shape.elements()).sum();
        if elements == 0 {
            return Err(LeastSquaresError::NoParameters.into());
        }
        if count < elements {
            return Err(LeastSquaresError::TooFewResiduals { residuals: count, parameters: elements }.into());
        }
        let wrt: Vec<Expr<'_>> = declared.iter().map(|(_, node, _)| graph.expr(*node)).collect();
        let (session, linearised) = graph.temporarily(|| {
            let jacobians = graph.at(origin, || graph.jacobians(residuals, &wrt, None))?;
            let outputs: Vec<Expr<'_>> = std::iter::once(residuals).chain(jacobians).collect();
            let mut session = Session::builder(device.clone()).evaluate(graph, &[residuals])?;
            let linearised = session.add(graph, &outputs)?;
            Ok::<_, Error>((session, linearised))
        })?;
        let residuals = session.first_plan();
        let mut problem = LeastSquares {
            session,
            linearised,
            residuals,
            inputs: inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect(),
            parameters: declared.into_iter().map(|(name, _, shape)| Parameter { name, shape }).collect(),
            count,
        };
        // Inputs that do not fit are found here, not in the midst of a fit.
        problem.residuals()?;
        Ok(problem)
    }

    /// The names of the parameters, in the order of their declarations.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|parameter| parameter.name.as_str())
    }

    /// The present value of a parameter.
    pub fn parameter(&self, name: &str) -> Result<Tensor, Error> {
        self.session.parameter(name)
    }

    /// Gives a parameter another value to start from.
    pub fn set_parameter(&mut self, name: &str, value: &Tensor) -> Result<(), Error> {
        self.session.set_parameter(name, value)
    }

    /// The number of residuals.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no residuals; a problem always has some.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The parameters as they are now.
    pub(super) fn present(&self) -> Result<Vec<(String, Tensor)>, Error> {
        self.parameters
            .iter()
            .map(|parameter| Ok((parameter.name.clone(), self.session.parameter(&parameter.name)?)))
            .collect()
    }

    fn run(&mut self, plan: PlanId) -> Result<Vec<Tensor>, Error> {
        let inputs: Vec<(&str, &Tensor)> = self.inputs.iter().map(|(name, value)| (name.as_str(), value)).collect();
        self.session.run_plan(plan, &inputs)
    }
}

impl Problem for LeastSquares {
    fn residuals(&mut self) -> Result<Vec<f64>, Error> {
        Ok(self.run(self.residuals)?.first().map(Tensor::to_f64_vec).unwrap_or_default())
    }

    fn linearise(&mut self) -> Result<Linearised, Error> {
        let results = self.run(self.linearised)?;
        let residuals = results.first().map(Tensor::to_f64_vec).unwrap_or_default();
        let blocks: Vec<(usize, Vec<f64>)> = self
            .parameters
            .iter()
            .zip(&results[1..])
            .map(|(parameter, block)| (parameter.shape.elements(), block.to_f64_vec()))
            .collect();
        let mut jacobian = Vec::with_capacity(blocks.iter().map(|(_, block)| block.len()).sum());
        for row in 0..self.count {
            for (width, block) in &blocks {
                jacobian.extend_from_slice(&block[row * width..(row + 1) * width]);
            }
        }
        Ok(Linearised { residuals, jacobian })
    }

    /// The elements of all parameters, one after the other.
    fn point(&self) -> Result<Vec<f64>, Error> {
        let mut point = Vec::new();
        for parameter in &self.parameters {
            point.extend(self.session.parameter(&parameter.name)?.to_f64_vec());
        }
        Ok(point)
    }

    /// What the parameters hold is rounded to their dtype.
    fn move_to(&mut self, point: &[f64]) -> Result<(), Error> {
        let mut rest = point;
        for parameter in &self.parameters {
            let (elements, others) = rest.split_at(parameter.shape.elements());
            rest = others;
            let dtype = self.session.parameter(&parameter.name)?.dtype();
            let value = Tensor::from_data(parameter.shape.clone(), Elements::F64(elements[..].into()))?.cast(dtype);
            self.session.set_parameter(&parameter.name, &value)?;
        }
        Ok(())
    }

    /// The parameter's name, and the element's place where it has several.
    fn element_name(&self, place: usize) -> String {
        let mut before = 0;
        for Parameter { name, shape } in &self.parameters {
            let elements = shape.elements();
            if place < before + elements {
                return if elements == 1 { name.clone() } else { format!("{name}[{}]", place - before) };
            }
            before += elements;
        }
        format!("element {place}")
    }
}
