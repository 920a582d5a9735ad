//! Functions of several results on a tape.

use arenagrad::nn::Phase;
use arenagrad::{Context, DType, Device, Error, Expr, GraphError, Init, MultiFunction, Tape};

use crate::suite::devices::devices;

/// The largest element, where it stands, and the sum of the squares.
struct LargestAndSquares;

impl MultiFunction for LargestAndSquares {
    fn name(&self) -> &'static str {
        "largest_and_squares"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Vec<Expr<'g>> {
        let (largest, place) = operands[0].max_with_indices(0);
        context.save_for_backward(&[operands[0], place]);
        vec![largest, place, operands[0].square().sum(..)]
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: &[Expr<'g>]) -> Vec<Option<Expr<'g>>> {
        let &[x, place] = context.saved() else { return Vec::new() };
        vec![Some(upstream[0] * place.one_hot(3) + upstream[2] * x * 2.0)]
    }
}

#[test]
fn functions_of_several_results() {
    for device in devices() {
        let tape = Tape::new(device);
        let x = tape.leaf([1.0, 4.0, -2.0]).requires_grad();
        let results = tape.apply_multi(&LargestAndSquares, &[&x]).unwrap();
        let found: Vec<f64> = results.iter().map(|result| result.item().unwrap()).collect();
        assert_eq!((found, results[1].dtype()), (vec![4.0, 1.0, 21.0], Ok(DType::I32)));
        let name = Some("largest_and_squares");
        assert_eq!(results.iter().map(|result| result.grad_fn()).collect::<Vec<_>>(), [name, None, name]);
        (&results[0] * &results[2]).backward().unwrap();
        assert_eq!(x.grad().unwrap().to_f64_vec(), [8.0, 21.0 + 32.0, -16.0]);
        // Its gradient is for three elements.
        let error = tape.apply_multi(&LargestAndSquares, &[&tape.leaf([1.0, 2.0])]).unwrap_err();
        assert!(matches!(error, Error::Graph(GraphError::Broadcast { .. })), "{error}");
    }
}

/// What a forward pass draws and counts: the elements that are left, and which those are.
struct Dropped;

impl MultiFunction for Dropped {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Vec<Expr<'g>> {
        let (x, g) = (operands[0], context.graph());
        let kept = g.uniform_in(Phase::Training, x.shape().unwrap()).less(0.5);
        let count = g.shared_state("count", [], DType::I32, Init::Constant(0.0));
        g.update(count, g.latest(count) + 1);
        context.save_for_backward(&[kept]);
        vec![kept, kept.where_(x, 0.0), kept.cast(DType::I32).sum(..)]
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: &[Expr<'g>]) -> Vec<Option<Expr<'g>>> {
        vec![Some(context.saved()[0].where_(upstream[1], 0.0))]
    }
}

#[test]
fn results_are_of_one_forward_pass() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(vec![1.0f32; 64]).requires_grad();
    for step in 1..4 {
        x.zero_grad();
        let results = tape.apply_multi(&Dropped, &[&x]).unwrap();
        results[1].sum(..).backward().unwrap();
        let kept = results[0].data().unwrap().to_f64_vec();
        assert_eq!(results[1].data().unwrap().to_f64_vec(), kept);
        assert_eq!(x.grad().unwrap().to_f64_vec(), kept);
        assert_eq!(results[2].item().unwrap(), kept.iter().sum::<f64>());
        let (_, count) = tape.states().into_iter().find(|(name, _)| name == "count").unwrap();
        assert_eq!(count.item().unwrap(), f64::from(step));
    }
}
