//! A network that learns to solve `u'' + u = 0`, `u(0) = 0`, `u'(0) = 1` from the equation alone.
use arenagrad::nn::{Activation, Linear, Phase, Sequential};
use arenagrad::train::Lbfgs;
use arenagrad::{Adam, Device, Error, Expr, Tensor, Trainer};

/// How far `u` is from the equation and from what is known of it at 0.
fn residual<'g>(net: &Sequential, t: Expr<'g>) -> Expr<'g> {
    let u = net.apply(t, Phase::Training);
    // Each row depends on its own time alone, so the gradient of the sum has all derivatives.
    let [first] = u.sum(..).grad([t]).expect("u is made of t");
    let [second] = first.sum(..).grad([t]).expect("so is its derivative");
    let start = u.slice(0, 0, 1).square() + (first.slice(0, 0, 1) - 1.0).square();
    (second + u).square().mean(..) + start.sum(..)
}

pub(super) fn main() -> Result<(), Error> {
    let net = Sequential::new("net")
        .layer(|name| Linear::new(name, 1, 16))
        .then(Activation::tanh())
        .layer(|name| Linear::new(name, 16, 16))
        .then(Activation::tanh())
        .layer(|name| Linear::new(name, 16, 1));
    let mut trainer = Trainer::new(Device::auto()?, Adam::new(5e-3), |inputs| residual(&net, inputs.get("t")));
    let solution = trainer.add_evaluation(|inputs| vec![net.apply(inputs.get("t"), Phase::Evaluation)]);
    let t = Tensor::new([40, 1], (0..40).map(|place| place as f32 * 0.1).collect())?;
    for _ in 0..100 {
        trainer.step(&[("t", &t)])?;
    }
    let mut lbfgs = Lbfgs::new(1.0).strong_wolfe().max_iterations(200);
    let outcome = trainer.minimise(&mut lbfgs, &[("t", &t)])?;
    let found = &trainer.evaluate(solution, &[("t", &t)])?[0];
    let exact = Tensor::new([40, 1], t.as_slice::<f32>()?.iter().map(|t| t.sin()).collect())?;
    println!("loss {:.1e}; {}", outcome.loss, found.compare(&exact, 0.0, 0.05)?);
    assert!(found.allclose(&exact, 0.0, 0.05)?);
    Ok(())
}
