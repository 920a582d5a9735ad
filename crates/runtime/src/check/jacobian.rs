//! Jacobians of graphs, twice over: by finite differences, and row by row from the engine's gradients.
//!
//! A Jacobian has the shape of the output followed by that of the input, as JAX lays it out: for a scalar output it is the
//! gradient, in the input's shape.

use arenagrad_graph::{Elements, Expr, Graph, Shape};

use crate::check::differences::Moved;
use crate::check::evaluation::Evaluation;
use crate::check::function::require_float;
use crate::check::{CheckError, Differences, Probe};
use crate::device::Device;
use crate::error::Error;
use crate::session::PlanId;
use crate::tensor::Tensor;

impl Differences {
    /// The Jacobians of an expression of any shape by the named inputs and parameters, in f64, from its values on a device.
    /// The graph runs in the dtypes that it declares; widen it first ([`crate::graph::passes::widen`]) where f32 is too
    /// coarse.
    ///
    /// `values` holds every input that the output needs, and any parameters; other parameters have their first values, of
    /// seed 0. Each Jacobian has the output's shape followed by the input's.
    ///
    /// Errors: a name that the graph does not have or that holds no float, a step that is unusable or too small, and what a
    /// run can refuse.
    ///
    /// ```
    /// use arenagrad::check::Differences;
    /// use arenagrad::{DType, Device, Graph, Tensor};
    ///
    /// let g = Graph::new();
    /// let x = g.input_of("x", [2], DType::F64);
    /// let x_value = Tensor::new([2], vec![1.0, 3.0])?;
    /// let jacobian = &Differences::central().jacobian(x * x, &["x"], &[("x", &x_value)], &Device::cpu())?[0];
    /// assert_eq!(jacobian.shape().dims(), [2, 2]);
    /// for (slope, exact) in jacobian.as_slice::<f64>()?.iter().zip([2.0, 0.0, 0.0, 6.0]) {
    ///     assert!((slope - exact).abs() < 1e-9);
    /// }
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn jacobian(
        &self,
        output: Expr<'_>,
        wrt: &[&str],
        values: &[(&str, &Tensor)],
        device: &Device,
    ) -> Result<Vec<Tensor>, Error> {
        self.jacobian_observed(output, wrt, values, device, |_| {})
    }

    /// As [`Differences::jacobian`], with each probe shown to `observe`.
    #[track_caller]
    pub fn jacobian_observed(
        &self,
        output: Expr<'_>,
        wrt: &[&str],
        values: &[(&str, &Tensor)],
        device: &Device,
        mut observe: impl FnMut(&Probe<'_>),
    ) -> Result<Vec<Tensor>, Error> {
        let graph = output.graph();
        let output = graph.require(output, "jacobian")?;
        let shape = output.shape()?;
        for name in wrt {
            require_float(graph, name)?;
        }
        let (mut evaluation, plan) = Evaluation::new(graph, &[output], values, device, 0)?;
        let outputs = std::slice::from_ref(&shape);
        let mut jacobians = self.jacobians(&mut evaluation, plan, outputs, wrt, &mut observe)?;
        Ok(jacobians.pop().unwrap_or_default())
    }

    /// For each output, its Jacobians by each of `wrt`.
    pub(super) fn jacobians(
        &self,
        evaluation: &mut Evaluation,
        plan: PlanId,
        outputs: &[Shape],
        wrt: &[&str],
        observe: &mut dyn FnMut(&Probe<'_>),
    ) -> Result<Vec<Vec<Tensor>>, Error> {
        let mut jacobians: Vec<Vec<Tensor>> = outputs.iter().map(|_| Vec::with_capacity(wrt.len())).collect();
        for input in wrt {
            let place = given(evaluation, input)?;
            let (shape, dtype) = (evaluation.tensor(place).shape().clone(), evaluation.tensor(place).dtype());
            let moved = Moved { input, shape: &shape, step: self.step_for(dtype) };
            let rows = self.slopes(&mut evaluation.along(place, plan), &moved, observe)?;
            let mut first = 0;
            for (output, list) in outputs.iter().zip(&mut jacobians) {
                let count = output.elements();
                let elements = (first..first + count).flat_map(|value| rows.iter().map(move |row| row[value]));
                list.push(jacobian(output, &shape, elements.collect())?);
                first += count;
            }
        }
        Ok(jacobians)
    }
}

/// The engine's gradients of several outputs by several inputs, as a plan that gives one row of every Jacobian a run.
pub(super) struct Rows {
    plan: PlanId,
    /// The place in the evaluation of each output's upstream gradient.
    upstreams: Vec<usize>,
}

impl Rows {
    /// Appends the gradients to the graph, and their plan to the evaluation, which must have been made after the upstream
    /// gradients were declared and been given a value for each.
    pub(super) fn append<'g>(
        graph: &'g Graph,
        evaluation: &mut Evaluation,
        outputs: &[Expr<'g>],
        upstreams: &[(String, Expr<'g>)],
        wrt: &[Expr<'g>],
    ) -> Result<Self, Error> {
        let seeds: Vec<Expr<'g>> = upstreams.iter().map(|(_, upstream)| *upstream).collect();
        let gradients = graph.gradients(outputs, &seeds, wrt)?;
        let plan = evaluation.add(graph, &gradients)?;
        let places = upstreams.iter().map(|(name, _)| given(evaluation, name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Rows { plan, upstreams: places })
    }

    /// For each output, its Jacobians by each of `wrt`, from one run for every element of an output.
    pub(super) fn jacobians(
        &self,
        evaluation: &mut Evaluation,
        outputs: &[Shape],
        wrt: &[Shape],
    ) -> Result<Vec<Vec<Tensor>>, Error> {
        let mut all = Vec::with_capacity(outputs.len());
        for (output, &upstream) in outputs.iter().zip(&self.upstreams) {
            let mut rows: Vec<Vec<f64>> = vec![Vec::new(); wrt.len()];
            for element in 0..output.elements() {
                evaluation.set(upstream, element, 1.0)?;
                for (row, gradient) in rows.iter_mut().zip(evaluation.run(self.plan)?) {
                    row.extend(gradient.to_f64_vec());
                }
                evaluation.set(upstream, element, 0.0)?;
            }
            let jacobians = rows.into_iter().zip(wrt).map(|(elements, input)| jacobian(output, input, elements));
            all.push(jacobians.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(all)
    }
}

/// The engine's directional derivatives of several outputs along one input at a time, as a plan that gives one column of
/// every Jacobian a run.
pub(super) struct Columns {
    plan: PlanId,
    /// The place in the evaluation of each input's tangent.
    tangents: Vec<usize>,
}

impl Columns {
    /// Appends the tangents of the outputs to the graph, and their plan to the evaluation, which must have been made after
    /// the tangents of the inputs were declared and been given a value for each.
    pub(super) fn append<'g>(
        graph: &'g Graph,
        evaluation: &mut Evaluation,
        outputs: &[Expr<'g>],
        tangents: &[(String, Expr<'g>)],
        wrt: &[Expr<'g>],
    ) -> Result<Self, Error> {
        let seeds: Vec<Expr<'g>> = tangents.iter().map(|(_, tangent)| *tangent).collect();
        let pushed = graph.jvp(outputs, wrt, &seeds)?;
        let plan = evaluation.add(graph, &pushed)?;
        let places = tangents.iter().map(|(name, _)| given(evaluation, name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Columns { plan, tangents: places })
    }

    /// For each output, its Jacobians by each of `wrt`, from one run for every element of an input.
    pub(super) fn jacobians(
        &self,
        evaluation: &mut Evaluation,
        outputs: &[Shape],
        wrt: &[Shape],
    ) -> Result<Vec<Vec<Tensor>>, Error> {
        let mut all: Vec<Vec<Tensor>> = outputs.iter().map(|_| Vec::with_capacity(wrt.len())).collect();
        for (input, &tangent) in wrt.iter().zip(&self.tangents) {
            let mut columns: Vec<Vec<Vec<f64>>> = vec![Vec::new(); outputs.len()];
            for element in 0..input.elements() {
                evaluation.set(tangent, element, 1.0)?;
                for (columns, pushed) in columns.iter_mut().zip(evaluation.run(self.plan)?) {
                    columns.push(pushed.to_f64_vec());
                }
                evaluation.set(tangent, element, 0.0)?;
            }
            for ((output, columns), jacobians) in outputs.iter().zip(&columns).zip(&mut all) {
                let row = |row: usize| columns.iter().map(move |column| column[row]);
                jacobians.push(jacobian(output, input, (0..output.elements()).flat_map(row).collect())?);
            }
        }
        Ok(all)
    }
}

/// Where the evaluation holds the value of an input or parameter.
fn given(evaluation: &Evaluation, name: &str) -> Result<usize, Error> {
    let missing = || CheckError::MissingValue { name: name.to_owned() };
    Ok(evaluation.place(name).ok_or_else(missing)?)
}

/// The tensor of a Jacobian from its elements, row by row.
fn jacobian(output: &Shape, input: &Shape, elements: Vec<f64>) -> Result<Tensor, Error> {
    let shape: Shape = output.iter().chain(input.iter()).copied().collect();
    Tensor::from_data(shape, Elements::from(elements))
}
