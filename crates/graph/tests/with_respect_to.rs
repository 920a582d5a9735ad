//! Derivatives with respect to one expression, an array and a list: the same nodes, in the form that they are asked for.

use arenagrad_graph::{Expr, Graph, GraphError, NodeId};

use crate::evaluate::{evaluate, given};

/// A loss of three inputs, and these.
fn loss(g: &Graph) -> (Expr<'_>, [Expr<'_>; 3]) {
    let inputs = ["a", "b", "c"].map(|name| g.input(name, [2]));
    let [a, b, c] = inputs;
    ((a * b + b.exp() * c).sum(..), inputs)
}

/// The values at some point, all of which differ.
fn values(of: &[Expr<'_>]) -> Vec<Vec<f64>> {
    let Some(first) = of.first() else { return vec![] };
    let ids: Vec<NodeId> = of.iter().map(|expression| expression.id().unwrap()).collect();
    let point = given([("a", vec![0.5, -1.0]), ("b", vec![0.25, 2.0]), ("c", vec![3.0, -0.75])]);
    evaluate(first.graph(), &ids, &point)
}

#[test]
fn forms_differ_and_gradients_do_not() -> Result<(), GraphError> {
    let g = Graph::new();
    let (loss, inputs) = loss(&g);
    let array = loss.grad(inputs)?;
    let expected = values(&array);
    assert_eq!(values(&loss.grad(&inputs)?), expected);
    assert_eq!(values(&loss.grad(&inputs[..])?), expected);
    assert_eq!(values(&loss.grad(inputs.to_vec())?), expected);
    assert_eq!(values(&loss.grad(&inputs.to_vec())?), expected);
    assert_eq!(values(&[loss.grad(inputs[1])?]), expected[1..2]);
    assert!(loss.grad(&inputs[..0])?.is_empty());
    Ok(())
}

#[test]
fn products_take_as_many_directions_as_expressions() -> Result<(), GraphError> {
    let g = Graph::new();
    let (loss, inputs) = loss(&g);
    let directions = inputs.map(|input| input.full_like(2.0));
    let (expected, of_first) = (loss.hvp(inputs, directions)?, loss.hvp(inputs[0], directions[0])?);
    assert_eq!(values(&loss.hvp(&inputs[..], &directions[..])?), values(&expected));
    assert_eq!(values(&[of_first]), values(&loss.hvp([inputs[0]], [directions[0]])?));
    let along = loss.jvp(inputs.to_vec(), directions.to_vec())?;
    assert_eq!(values(&[along]), values(&[loss.jvp(inputs, directions)?]));
    let upstream = inputs[0].full_like(3.0);
    let by_list = inputs[1].exp().vjp(upstream, &inputs.to_vec())?;
    assert_eq!(values(&by_list), values(&inputs[1].exp().vjp(upstream, inputs)?));
    let before = g.len();
    let error = loss.jvp(&inputs[..], &directions[..2]).unwrap_err().to_string();
    assert!(error.contains('3') && error.contains('2'), "{error}");
    assert_eq!(g.len(), before);
    Ok(())
}
