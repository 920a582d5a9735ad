//! Functions of several results with gradients of their own, against the same without any, and what is refused.

use arenagrad_graph::passes::optimise;
use arenagrad_graph::{Context, DType, Expr, Graph, GraphError, MultiFunction};

use crate::evaluate::{evaluate, given};

/// Of `x` `[n]` and `y` `[]`: `x^2 y` `[n]`, the sum of `x` times `e^y` `[1, 1]`, and whether `x > 0`.
fn results<'g>(x: Expr<'g>, y: Expr<'g>) -> Vec<Expr<'g>> {
    vec![x.square() * y, (x.sum(..) * y.exp()).reshape([1, 1]), x.greater(0.0)]
}

struct OfTwo;

impl MultiFunction for OfTwo {
    fn name(&self) -> &'static str {
        "of_two"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Vec<Expr<'g>> {
        let results = results(operands[0], operands[1]);
        context.save_for_backward(&[operands[0], operands[1], results[1].reshape([])]);
        results
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: &[Expr<'g>]) -> Vec<Option<Expr<'g>>> {
        let (saved, second) = (context.saved(), upstream[1].reshape([]));
        assert_eq!((upstream[2].shape().unwrap(), upstream[2].dtype()), (saved[0].shape().unwrap(), Ok(DType::F32)));
        let of_x = upstream[0] * saved[0] * saved[1] * 2.0 + second * saved[1].exp();
        let of_y = (upstream[0] * saved[0].square()).sum(..) + second * saved[2];
        vec![Some(of_x), Some(of_y)]
    }
}

/// A number that depends on all results, in ways that are not linear, or on those of the number alone.
fn combined<'g>(results: &[Expr<'g>], alone: Option<usize>) -> Expr<'g> {
    let of = |number: usize| results[number].square().sum(..);
    let positive = results[2].where_(results[0], 0.0).sum(..);
    alone.map_or_else(|| of(0) * of(1) + positive, of)
}

#[test]
fn derivatives_are_those_of_what_is_computed() {
    let g = Graph::new();
    let (x, y) = (g.input_of("x", [3], DType::F64), g.input_of("y", [], DType::F64));
    let direction = g.input_of("direction", [3], DType::F64);
    let mut found = Vec::new();
    for results in [g.apply_multi(&OfTwo, &[x, y]).unwrap(), results(x, y)] {
        let mut of_these: Vec<Expr<'_>> = results[..2].to_vec();
        of_these.push(results[2].cast(DType::F64));
        for alone in [None, Some(0), Some(1)] {
            let loss = combined(&results, alone);
            let [dx, dy] = loss.grad([x, y]).unwrap();
            let [second] = (dx.square().sum(..) + dy).grad([x]).unwrap();
            let [tangent] = g.jvp(&[loss], &[x], &[direction]).unwrap()[..] else { panic!("one output") };
            of_these.extend([loss, dx, dy, second, tangent]);
        }
        found.push(of_these);
    }
    let values = given([("x", vec![0.5, -1.25, 2.0]), ("y", vec![0.75]), ("direction", vec![1.0, -2.0, 0.5])]);
    let ids: Vec<_> = found.concat().iter().map(|result| result.id().unwrap()).collect();
    let values = evaluate(&g, &ids, &values);
    let (own, plain) = values.split_at(found[0].len());
    assert_eq!(own.len(), 18);
    for (number, (own, plain)) in own.iter().zip(plain).enumerate() {
        assert_eq!(own.len(), plain.len(), "{number}");
        for (own, plain) in own.iter().zip(plain) {
            assert!((own - plain).abs() <= 1e-12 * plain.abs().max(1.0), "{number}: {own} and {plain}");
        }
    }
}

/// Results of two dtypes, and one without elements; the gradient is limited where those of both are one.
struct OfTwoDtypes;

impl MultiFunction for OfTwoDtypes {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Vec<Expr<'g>> {
        let x = operands[0];
        vec![x * 2.0, x.slice(0, 1, 1), x.cast(DType::F64) * 3.0]
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: &[Expr<'g>]) -> Vec<Option<Expr<'g>>> {
        assert_eq!(
            upstream.iter().map(|one| one.dtype().unwrap()).collect::<Vec<_>>(),
            [DType::F32, DType::F32, DType::F64]
        );
        let whole = upstream[0] * 2.0 + upstream[2].cast(DType::F32) * 3.0;
        vec![Some(whole.clamp(Some(-4.0), Some(4.0)))]
    }
}

#[test]
fn a_backward_pass_sees_all_upstream_gradients_at_once() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let results = g.apply_multi(&OfTwoDtypes, &[x]).unwrap();
    assert_eq!(results[1].shape().unwrap().dims(), [0]);
    assert_eq!((results[0].dtype(), results[2].dtype()), (Ok(DType::F32), Ok(DType::F64)));
    let [dx] = (results[0].sum(..) + results[2].cast(DType::F32).sum(..)).grad([x]).unwrap();
    let ids = [results[0], results[2], dx].map(|result| result.id().unwrap());
    let values = evaluate(&g, &ids, &given([("x", vec![1.5, -2.0])]));
    // 2 + 3 is limited to 4, where each by itself would not be.
    assert_eq!(values, [vec![3.0, -4.0], vec![4.5, -6.0], vec![4.0, 4.0]]);
}

/// What a function does wrong, by number.
struct Wrong(usize);

impl MultiFunction for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Vec<Expr<'g>> {
        let x = operands[0];
        match self.0 {
            0 => vec![],
            1 => vec![x.greater(0.0)],
            2 => vec![x, x.matmul(x.reshape([1, 3]))],
            _ => vec![x.exp(), x],
        }
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: &[Expr<'g>]) -> Vec<Option<Expr<'g>>> {
        match self.0 {
            3 => vec![],
            4 => vec![Some(upstream[0].sum(..))],
            _ => vec![Some(upstream[0].reshape([7]))],
        }
    }
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let (g, other) = (Graph::new(), Graph::new());
    let (x, foreign) = (g.input("x", [3]), other.input("x", [3]));
    let before = g.len();
    for number in 0..6 {
        let error = g.apply_multi(&Wrong(number), &[x]).unwrap_err();
        let is_told = match number {
            0 | 1 => matches!(error, GraphError::Argument { op: "apply_multi", value: 0.0, .. }),
            2 => error.to_string().contains("matmul"),
            3 => matches!(&error, GraphError::GradientCount { function, .. } if function == "wrong"),
            4 => matches!(&error, GraphError::GradientShape { function, .. } if function == "wrong"),
            _ => matches!(error, GraphError::Reshape { .. }),
        };
        assert!(is_told, "{number}: {error}");
        assert!(error.to_string().contains("multi_functions.rs"), "{error}");
        assert_eq!((g.len(), g.check()), (before, Ok(())), "{number}");
    }
    assert!(matches!(g.apply_multi(&OfTwo, &[x, foreign]), Err(GraphError::ForeignNode { op: "apply", .. })));
    assert_eq!((g.len(), g.check()), (before, Ok(())));
    let _ = x.reshape([7]);
    assert!(matches!(g.apply_multi(&OfTwo, &[x, x]), Err(GraphError::Reshape { .. })));
}

/// Results and their upstream gradients are put together on paper alone.
#[test]
fn nothing_is_put_together_that_a_plan_computes() {
    let g = Graph::new();
    let (x, y) = (g.input_of("x", [3], DType::F64), g.input_of("y", [], DType::F64));
    let results = g.apply_multi(&OfTwo, &[x, y]).unwrap();
    let loss = combined(&results, None);
    let [dx, dy] = loss.grad([x, y]).unwrap();
    let outputs = [results[0], results[1], dx, dy].map(|output| output.id().unwrap());
    let simplified = optimise(&g, &outputs).unwrap().graph;
    let text = simplified.to_string();
    assert!(!["concat", "pad", "slice"].iter().any(|op| text.contains(op)), "{text}");
}
