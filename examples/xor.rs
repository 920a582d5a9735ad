//! Trains a network to compute the exclusive or of two bits.

use arenagrad::{Adam, Device, Error, Graph, Init, Session, Tensor};

fn main() -> Result<(), Error> {
    let g = Graph::new();
    let (x, t) = (g.input("x", [4, 2]), g.input("t", [4, 1]));
    let w1 = g.parameter("w1", [2, 8], Init::XavierUniform);
    let b1 = g.parameter("b1", [8], Init::Constant(0.0));
    let w2 = g.parameter("w2", [8, 1], Init::XavierUniform);
    let b2 = g.parameter("b2", [1], Init::Constant(0.0));
    let h = (x.matmul(w1) + b1).tanh();
    let y = (h.matmul(w2) + b2).sigmoid();
    let loss = (y - t).square().mean(..);

    let device = Device::auto()?;
    let mut session = Session::train(&g, loss, Adam::new(0.05), device)?;
    let predict = session.add(&g, &[y])?;
    let x = Tensor::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    let t = Tensor::new([4, 1], vec![0.0f32, 1.0, 1.0, 0.0])?;
    for step in 0..=400 {
        let loss = session.step(&[("x", &x), ("t", &t)])?;
        if step % 100 == 0 {
            println!("step {step:>3}: loss {loss:.5}");
        }
    }
    let y = &session.run_plan(predict, &[("x", &x)])?[0];
    for (bits, y) in x.as_slice::<f32>()?.chunks(2).zip(y.as_slice::<f32>()?) {
        println!("{} xor {} = {y:.3}", bits[0], bits[1]);
    }
    Ok(())
}
