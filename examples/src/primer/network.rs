//! The network as nodes of the engine's graph: a forward pass over columns of samples, and the partial derivatives of each
//! variable along its arcs.
//!
//! Everything is a column: one element for each sample, `[rows]`, also a parameter, which is repeated. So the derivative of
//! a column's sum holds the derivatives of all samples at once.
//!
//! With [`Partials::FiniteDifference`] a variable's derivatives come from evaluations of its formula alone. They enter the
//! graph as slopes of a tangent: the variable has its value, and changes with each operand at that slope. The engine's
//! reverse mode over such variables then adds the products of partials over *all* paths, so there is one differentiator
//! whichever partials it is given.
//!
//! Inputs and parameters are declared as `variable xa` and `parameter ab`. A name in an expression has no space, so none of
//! them meets a name that an optimiser takes for its state.

use arenagrad::{DType, Device, Error, Expr, Graph, Init, Session, Tensor};

use super::dag::{Dag, Expression, Symbol};
use super::error::PrimerError;

/// How the partial derivative of a variable with respect to one operand of its expression is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Partials {
    /// `(f(u + delta) - f(u)) / delta`, the other operands held.
    FiniteDifference {
        /// The step, above 0.
        delta: f64,
    },
    /// The engine's derivative of the formula.
    Engine,
}

/// The partial derivative of a variable with respect to an operand of its expression, the other operands held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalPartial<T> {
    /// The variable on the left of the expression.
    pub variable: usize,
    /// The operand on the right.
    pub operand: Symbol,
    /// The derivative.
    pub value: T,
}

/// A network of a certain number of samples in a graph.
#[derive(Clone, Debug)]
pub struct Network<'g, 'd> {
    graph: &'g Graph,
    dag: &'d Dag,
    rows: usize,
    dtype: DType,
    inputs: Vec<Expr<'g>>,
    /// The true values of the outputs.
    targets: Vec<Expr<'g>>,
    /// `[]` each.
    parameters: Vec<Expr<'g>>,
    /// The parameters repeated, `[rows]` each.
    parameter_columns: Vec<Expr<'g>>,
}

impl<'g, 'd> Network<'g, 'd> {
    /// Declares the independent variables and the true outputs, `[rows]` each, and the parameters, scalars that are 0 until
    /// they are set.
    pub fn declare(graph: &'g Graph, dag: &'d Dag, rows: usize, dtype: DType) -> Network<'g, 'd> {
        let independent = &dag.variables()[..dag.independent()];
        let inputs = independent.iter().map(|name| graph.input_of(input_name(name), [rows], dtype)).collect();
        let output_names = dag.outputs().iter().map(|output| target_name(&dag.variables()[*output]));
        let targets = output_names.map(|name| graph.input_of(name, [rows], dtype)).collect();
        let parameters: Vec<Expr<'g>> = dag
            .parameters()
            .iter()
            .map(|name| graph.parameter_of(parameter_name(name), [], dtype, Init::Constant(0.0)))
            .collect();
        let parameter_columns = parameters.iter().map(|parameter| parameter.broadcast_to([rows])).collect();
        Network { graph, dag, rows, dtype, inputs, targets, parameters, parameter_columns }
    }

    /// The parameters, scalars, by number.
    pub fn parameters(&self) -> &[Expr<'g>] {
        &self.parameters
    }

    /// The columns of all variables, by number. What differentiates them gets products of the partials that were asked for,
    /// added over all paths.
    pub fn forward(&self, partials: Partials) -> Result<Vec<Expr<'g>>, PrimerError> {
        let mut variables = self.inputs.clone();
        for expression in self.dag.evaluation_order() {
            let operands = self.operands(expression, &variables);
            let value = match partials {
                Partials::Engine => self.value(expression, &operands)?,
                Partials::FiniteDifference { .. } => {
                    let held: Vec<Expr<'g>> = operands.iter().map(|operand| operand.stop_gradient()).collect();
                    let slopes = self.partials_of(expression, &held, partials)?;
                    let mut tangent = self.value(expression, &held)?;
                    for ((operand, held), slope) in operands.iter().zip(&held).zip(slopes) {
                        // The difference is 0, so the value stays; its derivative is the slope.
                        tangent = tangent + slope * (*operand - *held);
                    }
                    tangent
                }
            };
            variables.push(value.named(self.dag.variables()[expression.variable].clone()));
        }
        Ok(variables)
    }

    /// The partial derivatives along every arc and with respect to every parameter of each expression, in topological
    /// order, `[rows]` each. `variables` are the columns of a forward pass.
    pub fn local_partials(
        &self,
        variables: &[Expr<'g>],
        partials: Partials,
    ) -> Result<Vec<LocalPartial<Expr<'g>>>, PrimerError> {
        let mut found = Vec::new();
        for expression in self.dag.evaluation_order() {
            let operands = self.operands(expression, variables);
            let values = self.partials_of(expression, &operands, partials)?;
            let variable = expression.variable;
            let operands = expression.symbols.iter().zip(values);
            found.extend(operands.map(|(&operand, value)| LocalPartial { variable, operand, value }));
        }
        Ok(found)
    }

    /// The Jacobian of the output columns with respect to the parameters: for each output the derivatives by each parameter,
    /// `[rows]` each. `variables` are the columns of a forward pass, whose partials decide the derivatives.
    pub fn jacobian(&self, variables: &[Expr<'g>]) -> Result<Vec<Vec<Expr<'g>>>, PrimerError> {
        let ones = self.graph.ones([self.rows], self.dtype);
        let by_output = self
            .dag
            .outputs()
            .iter()
            .map(|output| Ok(self.graph.gradients(&[variables[*output]], &[ones], &self.parameter_columns)?));
        by_output.collect()
    }

    /// The mean over samples and outputs of the squared error, a scalar. `variables` are the columns of a forward pass.
    pub fn loss(&self, variables: &[Expr<'g>]) -> Expr<'g> {
        let outputs = self.dag.outputs();
        let errors = outputs.iter().zip(&self.targets).map(|(output, target)| variables[*output] - *target);
        let sum = errors.map(|error| error.square().mean(..)).reduce(|sum, error| sum + error);
        (sum.unwrap_or_else(|| self.graph.zeros([], self.dtype)) / outputs.len() as f64).named("loss")
    }

    fn operands(&self, expression: &Expression, variables: &[Expr<'g>]) -> Vec<Expr<'g>> {
        let operand = |symbol: &Symbol| match symbol {
            Symbol::Variable(number) => variables[*number],
            Symbol::Parameter(number) => self.parameter_columns[*number],
        };
        expression.symbols.iter().map(operand).collect()
    }

    /// The column of an expression's value.
    fn value(&self, expression: &Expression, operands: &[Expr<'g>]) -> Result<Expr<'g>, PrimerError> {
        let names = expression.formula.symbols();
        let arguments: Vec<(&str, Expr<'g>)> = names.iter().map(String::as_str).zip(operands.iter().copied()).collect();
        let value = expression.formula.apply(self.graph, &arguments)?;
        // A formula without names is a constant, which says neither how many samples there are nor of which dtype.
        Ok(value.cast(self.dtype).broadcast_to([self.rows]))
    }

    /// The derivatives of an expression with respect to each of its operands, the others held.
    fn partials_of(
        &self,
        expression: &Expression,
        operands: &[Expr<'g>],
        partials: Partials,
    ) -> Result<Vec<Expr<'g>>, PrimerError> {
        match partials {
            Partials::FiniteDifference { delta } => {
                let value = self.value(expression, operands)?;
                let mut slopes = Vec::with_capacity(operands.len());
                for place in 0..operands.len() {
                    let mut moved = operands.to_vec();
                    moved[place] = moved[place] + delta;
                    slopes.push((self.value(expression, &moved)? - value) / delta);
                }
                Ok(slopes)
            }
            Partials::Engine => {
                // A stopped operand is a leaf to reverse mode: paths that lead to it through other operands do not count.
                let held: Vec<Expr<'g>> = operands.iter().map(|operand| operand.stop_gradient()).collect();
                let value = self.value(expression, &held)?;
                let ones = self.graph.ones([self.rows], self.dtype);
                Ok(self.graph.gradients(&[value], &[ones], &held)?)
            }
        }
    }
}

/// The name under which an independent variable is declared as an input.
pub(super) fn input_name(variable: &str) -> String {
    format!("variable {variable}")
}

/// The name under which the true values of an output are declared as an input.
pub(super) fn target_name(variable: &str) -> String {
    format!("true {variable}")
}

/// The name under which a parameter is declared.
pub(super) fn parameter_name(parameter: &str) -> String {
    format!("parameter {parameter}")
}

/// The dtype of training on a device: f64 on the CPU, f32 on a GPU.
pub(super) fn dtype_on(device: &Device) -> DType {
    if device.is_cpu() { DType::F64 } else { DType::F32 }
}

/// Gives the parameters of a network's session values, by number, in the dtype that they have there.
///
/// Errors: a number of values other than that of the parameters.
pub(super) fn set_parameters(session: &mut Session, dag: &Dag, values: &[f64]) -> Result<(), PrimerError> {
    if values.len() != dag.parameters().len() {
        let (what, value) = ("the number of parameters".to_owned(), values.len() as f64);
        return Err(PrimerError::OutOfRange { what, value, expected: "that of the network" });
    }
    Ok(write_parameters(session, dag, values)?)
}

/// As [`set_parameters`], of as many values as there are parameters.
pub(super) fn write_parameters(session: &mut Session, dag: &Dag, values: &[f64]) -> Result<(), Error> {
    for (name, value) in dag.parameters().iter().zip(values) {
        let name = parameter_name(name);
        let dtype = session.parameter(&name)?.dtype();
        session.set_parameter(&name, &Tensor::scalar(*value).cast(dtype))?;
    }
    Ok(())
}
