//! scratch
use arenagrad::*;
#[test]
fn xor() {
    let g = Graph::new();
    let (x, t) = (g.input("x", [4, 2]), g.input("t", [4, 1]));
    let w1 = g.parameter("w1", [2, 8], Init::XavierUniform);
    let b1 = g.parameter("b1", [8], Init::Constant(0.0));
    let w2 = g.parameter("w2", [8, 1], Init::XavierUniform);
    let b2 = g.parameter("b2", [1], Init::Constant(0.0));
    let h = (x.matmul(w1) + b1).tanh().named("h");
    let y = (h.matmul(w2) + b2).named("y");
    let d = y - t;
    let loss = (d * d).mean(..).named("loss");
    let mut s = Session::train(&g, loss, Adam::new(0.05), Device::cpu()).unwrap();
    println!("{}", s.plan());
    let p = s.add(&g, &[y.sigmoid()]).unwrap();
    let xs = Tensor::new([4, 2], vec![0f32, 0., 0., 1., 1., 0., 1., 1.]).unwrap();
    let ts = Tensor::new([4, 1], vec![0f32, 1., 1., 0.]).unwrap();
    for i in 0..300 { let l = s.step(&[("x", &xs), ("t", &ts)]).unwrap(); if i % 50 == 0 { println!("{i} {l}"); } }
    println!("{:?}", s.run_plan(p, &[("x", &xs)]));
}
#[test]
fn gaussians() {
    let g = Graph::new();
    let (x, t) = (g.input("x", [1, 2]), g.input("t", [1, 2]));
    let w1 = g.parameter("w1", [2, 10], Init::XavierUniform);
    let w2 = g.parameter("w2", [10, 2], Init::XavierUniform);
    let y = x.matmul(w1).relu().matmul(w2);
    let d = y - t;
    let loss = (d * d).mean(..).named("loss");
    let mut s = Session::train(&g, loss, Sgd::new(1e-3), Device::cpu()).unwrap();
    println!("{}", s.plan());
    let xs = Tensor::new([1, 2], vec![0.5f32, 0.2]).unwrap();
    let ts = Tensor::new([1, 2], vec![0.3f32, 1.]).unwrap();
    for _ in 0..5 { let t0 = std::time::Instant::now(); for _ in 0..100000 { s.step(&[("x", &xs), ("t", &ts)]).unwrap(); } println!("{:?}/step", t0.elapsed() / 100000); }
}
