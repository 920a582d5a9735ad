//! From a case to a graph: PyTorch's operators, argument by argument, as expressions of this engine.
//!
//! An adapter goes by what a case says and by PyTorch's documented signature, its defaults included; it never looks at the
//! case's name or at the expected values. What the engine has no operator for is refused as unsupported. Where PyTorch's
//! operator is a composition of this engine's operators, the composition stands here.

mod activations;
mod arguments;
mod arrange;
mod attention;
mod convolution;
mod division;
mod einsum;
mod elementwise;
mod functions;
mod indexing;
mod linear_algebra;
mod losses;
mod margin_losses;
mod norms;
mod order;
mod pooling;
mod products;
mod reductions;
mod sampling;
mod scatter;
mod shapes;

use arenagrad::{DType, Elements, Expr, Graph, GraphError, Tensor};

use self::arguments::{Call, Value};
use super::case::{Argument, Case, Element, Values};

/// Why there is no graph for a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The engine has no such operator, or not with these arguments.
    Unsupported(String),
    /// The case should work, or its arguments contradict the operator's signature.
    Failed(String),
}

impl Refusal {
    fn unsupported(reason: impl Into<String>) -> Refusal {
        Refusal::Unsupported(reason.into())
    }

    fn failed(reason: impl Into<String>) -> Refusal {
        Refusal::Failed(reason.into())
    }
}

impl From<GraphError> for Refusal {
    fn from(error: GraphError) -> Refusal {
        Refusal::Failed(error.to_string())
    }
}

/// A case as a graph.
pub(crate) struct Built<'g> {
    pub(crate) outputs: Vec<Expr<'g>>,
    /// The gradient with respect to each argument that requires one; empty if the case has no cotangents.
    pub(crate) gradients: Vec<Expr<'g>>,
    /// What a run is given: every tensor argument and cotangent.
    pub(crate) inputs: Vec<(String, Tensor)>,
}

/// The parameters of an operator by PyTorch's names, in order; those after `"*"` are given by name only.
type Signature = &'static [&'static str];

/// How an operator is built, by how many results it has.
#[derive(Clone, Copy)]
enum Build {
    One(for<'c, 'g> fn(&Call<'c, 'g>) -> Result<Expr<'g>, Refusal>),
    Several(for<'c, 'g> fn(&Call<'c, 'g>) -> Result<Vec<Expr<'g>>, Refusal>),
}

/// An operator: its signatures, of which the first that the arguments fit counts, and how it is built.
struct Operator {
    signature: Signature,
    alternatives: [Option<Signature>; 2],
    build: Build,
}

impl Operator {
    const fn new(signature: Signature, build: for<'c, 'g> fn(&Call<'c, 'g>) -> Result<Expr<'g>, Refusal>) -> Operator {
        Operator { signature, alternatives: [None, None], build: Build::One(build) }
    }

    /// An operator of several results, in PyTorch's order.
    const fn several(
        signature: Signature,
        build: for<'c, 'g> fn(&Call<'c, 'g>) -> Result<Vec<Expr<'g>>, Refusal>,
    ) -> Operator {
        Operator { signature, alternatives: [None, None], build: Build::Several(build) }
    }

    /// The same operator with a further signature, of which there are three at most.
    const fn or(self, alternative: Signature) -> Operator {
        let [first, _] = self.alternatives;
        let alternatives = if first.is_none() { [Some(alternative), None] } else { [first, Some(alternative)] };
        Operator { alternatives, ..self }
    }

    fn bind<'c, 'g>(
        &self,
        graph: &'g Graph,
        dtype: DType,
        positional: Vec<Value<'c, 'g>>,
        keywords: Vec<(&'c str, Value<'c, 'g>)>,
    ) -> Result<Call<'c, 'g>, Refusal> {
        let given = || (positional.clone(), keywords.clone());
        let bind = |signature: Signature| {
            let (positional, keywords) = given();
            Call::bind(graph, dtype, signature, positional, keywords)
        };
        bind(self.signature).or_else(|refusal| {
            let others = self.alternatives.into_iter().flatten();
            others.map(bind).find_map(Result::ok).ok_or(refusal)
        })
    }
}

/// Builds the case in `graph` with floats in `dtype`.
pub(crate) fn build<'g>(graph: &'g Graph, case: &Case, dtype: DType) -> Result<Built<'g>, Refusal> {
    let name = case.operator.strip_prefix("torch.").unwrap_or(&case.operator);
    let name = name.strip_prefix("Tensor.").unwrap_or(name);
    let functional = name.strip_prefix("nn.functional.").or_else(|| name.strip_prefix("nn."));
    let operator = match functional {
        Some(name) => find_functional(name),
        None => find(name),
    };
    let Some(operator) = operator else {
        return Err(Refusal::unsupported("the engine has no such operator"));
    };

    let mut arguments = Arguments { graph, dtype, inputs: Vec::new(), differentiable: Vec::new(), floats: false };
    let positional = case.positional.iter().map(|a| arguments.value(a)).collect::<Result<Vec<_>, _>>()?;
    let keywords = case
        .keywords
        .iter()
        .map(|(name, argument)| Ok((name.as_str(), arguments.value(argument)?)))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let Arguments { mut inputs, differentiable, floats, .. } = arguments;

    let call = operator.bind(graph, dtype, positional, keywords)?;
    let outputs = match operator.build {
        Build::One(build) => build(&call).map(|output| vec![output]),
        Build::Several(build) => build(&call),
    };
    if let Err(error) = graph.check() {
        let of_dtypes = matches!(error, GraphError::DType { .. } | GraphError::DTypesDiffer { .. });
        return Err(if of_dtypes && !floats {
            Refusal::unsupported("the engine has no form of this operator for integers")
        } else {
            error.into()
        });
    }
    let outputs = outputs?;

    // PyTorch's samples have a cotangent for each result through which gradients flow: those that are floats.
    let mut gradients = Vec::new();
    if !case.cotangents.is_empty() {
        let mut differentiated = Vec::new();
        for output in &outputs {
            if output.dtype()?.is_float() {
                differentiated.push(*output);
            }
        }
        if differentiated.len() != case.cotangents.len() {
            let (cotangents, floats) = (case.cotangents.len(), differentiated.len());
            return Err(Refusal::failed(format!("{cotangents} cotangents for {floats} results that are floats")));
        }
        let mut upstream = Vec::new();
        for (number, cotangent) in case.cotangents.iter().enumerate() {
            let name = format!("cotangent{number}");
            upstream.push(graph.input_of(name.as_str(), cotangent.shape.clone(), dtype));
            inputs.push((name, tensor(cotangent, dtype)?));
        }
        gradients = graph.gradients(&differentiated, &upstream, &differentiable)?;
        graph.check()?;
    }
    Ok(Built { outputs, gradients, inputs })
}

fn find(name: &str) -> Option<Operator> {
    elementwise::find(name)
        .or_else(|| functions::find(name))
        .or_else(|| margin_losses::find(name))
        .or_else(|| reductions::find(name))
        .or_else(|| shapes::find(name))
        .or_else(|| products::find(name))
        .or_else(|| indexing::find(name))
        .or_else(|| linear_algebra::find(name))
        .or_else(|| order::find(name))
        .or_else(|| convolution::find(name))
        .or_else(|| arrange::find(name))
        .or_else(|| einsum::find(name))
        .or_else(|| scatter::find(name))
}

fn find_functional(name: &str) -> Option<Operator> {
    elementwise::find_functional(name)
        .or_else(|| activations::find_functional(name))
        .or_else(|| margin_losses::find_functional(name))
        .or_else(|| reductions::find_functional(name))
        .or_else(|| products::find_functional(name))
        .or_else(|| indexing::find_functional(name))
        .or_else(|| losses::find_functional(name))
        .or_else(|| norms::find_functional(name))
        .or_else(|| pooling::find_functional(name))
        .or_else(|| sampling::find_functional(name))
        .or_else(|| attention::find_functional(name))
        .or_else(|| linear_algebra::find_functional(name))
        .or_else(|| convolution::find_functional(name))
}

/// Makes inputs of the graph out of a case's tensors.
struct Arguments<'g> {
    graph: &'g Graph,
    dtype: DType,
    inputs: Vec<(String, Tensor)>,
    differentiable: Vec<Expr<'g>>,
    /// Whether there was a tensor of floats.
    floats: bool,
}

impl<'g> Arguments<'g> {
    fn value<'c>(&mut self, argument: &'c Argument) -> Result<Value<'c, 'g>, Refusal> {
        Ok(match argument {
            Argument::Tensor { values, requires_gradient } => {
                let tensor = tensor(values, self.dtype)?;
                let name = format!("argument{}", self.inputs.len());
                let input = self.graph.input_of(name.as_str(), values.shape.clone(), tensor.dtype());
                self.floats |= values.element.is_float();
                self.inputs.push((name, tensor));
                if *requires_gradient {
                    self.differentiable.push(input);
                }
                Value::Tensor { expr: input, values }
            }
            Argument::Integer(integer) => Value::Integer(*integer),
            Argument::Float(float) => Value::Float(*float),
            Argument::Boolean(boolean) => Value::Boolean(*boolean),
            Argument::Text(text) => Value::Text(text),
            Argument::None => Value::None,
            Argument::List(items) => Value::List(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?),
        })
    }
}

/// A case's tensor as the engine holds it: floats in `dtype`, integers in i32.
fn tensor(values: &Values, dtype: DType) -> Result<Tensor, Refusal> {
    let data = match values.element {
        Element::F64 | Element::F32 => match dtype {
            DType::F32 => Elements::F32(values.data.iter().map(|&value| value as f32).collect()),
            DType::F64 => Elements::from(values.data.clone()),
            DType::I32 | DType::Bool => return Err(Refusal::failed(format!("floats cannot be run as {dtype}"))),
        },
        Element::I64 | Element::I32 | Element::U8 => {
            let integer = |&value: &f64| if value as i32 as f64 == value { Some(value as i32) } else { None };
            let data = values.data.iter().map(integer).collect::<Option<Vec<i32>>>();
            Elements::from(data.ok_or_else(|| Refusal::unsupported("an integer does not fit into 32 bits"))?)
        }
        Element::Bool => Elements::Bool(values.data.iter().map(|&value| u8::from(value != 0.0)).collect()),
    };
    Tensor::from_data(values.shape.clone().into(), data).map_err(|error| Refusal::failed(error.to_string()))
}
