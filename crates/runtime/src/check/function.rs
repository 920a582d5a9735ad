//! What is checked: outputs as a function of named inputs and parameters, in a graph of its own that holds f64.

use arenagrad_graph::{
    DType, DeclarationKind, Expr, Graph, GraphError, Init, NodeId, Origin, Shape, StorageType, passes,
};

use crate::check::CheckError;
use crate::check::evaluation::declared;
use crate::error::Error;
use crate::session::required;
use crate::tensor::Tensor;
use crate::train::initial_value;

/// Outputs as a function of named inputs and parameters, and where it is checked.
pub(super) struct CheckedFunction<'g> {
    pub(super) graph: &'g Graph,
    /// The outputs' names in reports.
    pub(super) names: Vec<String>,
    pub(super) outputs: Vec<Expr<'g>>,
    /// The names of what the function is differentiated by.
    pub(super) wrt: Vec<String>,
    /// Inputs, and parameters that do not have their first values.
    pub(super) values: Vec<(String, Tensor)>,
}

impl CheckedFunction<'_> {
    /// Calls `examine` with the function that `outputs` are of what `wrt` names, or of all floats that they need if it names
    /// nothing. The graph of that function is widened and its own; the given one is left as it was. Outputs that are none of the graph's are
    /// told in the words of a method, at the place of its caller.
    pub(super) fn of_graph<T>(
        graph: &Graph,
        outputs: &[Expr<'_>],
        wrt: &[&str],
        values: &[(&str, &Tensor)],
        (method, origin): (&'static str, Origin),
        examine: impl for<'w> FnOnce(CheckedFunction<'w>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let outputs = required(graph, outputs, method, origin)?;
        let ids = outputs.iter().map(|output| output.id()).collect::<Result<Vec<NodeId>, GraphError>>()?;
        let wide = passes::widen(graph, &ids)?;
        let name = |(number, id): (usize, &NodeId)| match wide.graph.label(*id) {
            Some(label) => label,
            None if ids.len() == 1 => "output".to_owned(),
            None => format!("output {number}"),
        };
        let wrt = match wrt {
            [] => differentiable(&wide.graph, &wide.outputs)?,
            names => names.iter().map(|name| (*name).to_owned()).collect(),
        };
        examine(CheckedFunction {
            graph: &wide.graph,
            names: wide.outputs.iter().enumerate().map(name).collect(),
            outputs: wide.outputs.iter().map(|id| wide.graph.expr(*id)).collect(),
            wrt,
            values: values.iter().map(|(name, tensor)| ((*name).to_owned(), (*tensor).clone())).collect(),
        })
    }

    /// As [`CheckedFunction::of_graph`], for what a closure builds over inputs named `x0`, `x1` and so on, by all that hold floats.
    pub(super) fn of_closure<T>(
        closure: impl for<'g> Fn(&[Expr<'g>]) -> Vec<Expr<'g>>,
        inputs: &[Tensor],
        called: (&'static str, Origin),
        examine: impl for<'w> FnOnce(CheckedFunction<'w>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let graph = Graph::new();
        let names: Vec<String> = (0..inputs.len()).map(|number| format!("x{number}")).collect();
        let declare = |(name, input): (&String, &Tensor)| graph.input_of(name, input.shape(), input.dtype());
        let declared: Vec<Expr<'_>> = names.iter().zip(inputs).map(declare).collect();
        let outputs = closure(&declared);
        graph.check()?;
        let floats = names.iter().zip(inputs).filter(|(_, input)| input.dtype().is_float());
        let wrt: Vec<&str> = floats.map(|(name, _)| name.as_str()).collect();
        if wrt.is_empty() {
            return Err(CheckError::NothingToCheck.into());
        }
        let values: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(inputs).collect();
        CheckedFunction::of_graph(&graph, &outputs, &wrt, &values, called, examine)
    }
}

impl<'g> CheckedFunction<'g> {
    /// The nodes of what the function is differentiated by.
    pub(super) fn inputs(&self) -> Result<Vec<Expr<'g>>, Error> {
        let graph = self.graph;
        let node = |name: &String| {
            require_float(graph, name)?;
            Ok(graph.expr(declared(graph, name)?.node))
        };
        self.wrt.iter().map(node).collect()
    }

    /// Declares an upstream gradient for each output.
    pub(super) fn upstreams(&self) -> Result<Vec<(String, Expr<'g>)>, Error> {
        let named = |(name, output): (&String, &Expr<'g>)| self.beside("upstream of", name, *output);
        self.names.iter().zip(&self.outputs).map(named).collect()
    }

    /// Declares a tangent for each of what the function is differentiated by.
    pub(super) fn tangents(&self) -> Result<Vec<(String, Expr<'g>)>, Error> {
        let inputs = self.inputs()?;
        self.wrt.iter().zip(&inputs).map(|(name, input)| self.beside("tangent of", name, *input)).collect()
    }

    /// The values as runs take them.
    pub(super) fn borrowed(&self) -> Vec<(&str, &Tensor)> {
        self.values.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
    }

    /// An input of an expression's shape, under a name that is free.
    fn beside(&self, what: &str, name: &str, expr: Expr<'g>) -> Result<(String, Expr<'g>), Error> {
        let mut name = format!("{what} {name}");
        while self.graph.declaration_named(&name).is_some() {
            name.push('\'');
        }
        let declared = self.graph.input_of(&name, expr.shape()?, DType::F64).check()?;
        Ok((name, declared))
    }
}

/// The declaration of that name must hold floats.
pub(super) fn require_float(graph: &Graph, name: &str) -> Result<(), Error> {
    let dtype = declared(graph, name)?.dtype;
    if dtype.is_float() { Ok(()) } else { Err(CheckError::NotDifferentiable { name: name.to_owned(), dtype }.into()) }
}

/// Standard normal numbers; tensors of one seed need numbers of their own.
pub(super) fn normal(shape: &Shape, seed: u64, number: usize) -> Result<Tensor, Error> {
    let standard = Init::Normal { mean: 0.0, deviation: 1.0 };
    initial_value(&standard, &format!("direction {number}"), shape, StorageType::F64, seed)
}

/// The shapes of expressions.
pub(super) fn shapes(exprs: &[Expr<'_>]) -> Result<Vec<Shape>, Error> {
    Ok(exprs.iter().map(|expr| expr.shape()).collect::<Result<Vec<_>, _>>()?)
}

/// The floats among the declarations that the outputs need: inputs and trainable parameters.
fn differentiable(graph: &Graph, outputs: &[NodeId]) -> Result<Vec<String>, Error> {
    let needed: std::collections::HashSet<NodeId> = graph.needed(outputs)?.into_iter().collect();
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
