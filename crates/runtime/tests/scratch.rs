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
    for i in 0..300 {
        let l = s.step(&[("x", &xs), ("t", &ts)]).unwrap();
        if i % 50 == 0 {
            println!("{i} {l}");
        }
    }
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
    for _ in 0..5 {
        let t0 = std::time::Instant::now();
        for _ in 0..100000 {
            s.step(&[("x", &xs), ("t", &ts)]).unwrap();
        }
        println!("{:?}/step", t0.elapsed() / 100000);
    }
}
#[test]
fn gpu_xor() {
    let run = |device: Device| {
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
        let mut s = Session::train(&g, loss, Adam::new(0.05), device).unwrap();
        let xs = Tensor::new([4, 2], vec![0f32, 0., 0., 1., 1., 0., 1., 1.]).unwrap();
        let ts = Tensor::new([4, 1], vec![0f32, 1., 1., 0.]).unwrap();
        let mut v = vec![];
        for _ in 0..100 {
            v.push(s.step(&[("x", &xs), ("t", &ts)]).unwrap());
        }
        v
    };
    let (a, b) = (run(Device::cpu()), run(Device::gpu().unwrap()));
    println!("{:?}\n{:?}", &a[90..], &b[90..]);
}
fn mlp(name: &str, batch: usize, dims: &[usize], device: Device, n: usize) {
    let g = Graph::new();
    let (x, t) = (g.input("x", [batch, dims[0]]), g.input("t", [batch, dims[dims.len() - 1]]));
    let mut h = x;
    for i in 0..dims.len() - 1 {
        let w = g.parameter(format!("w{i}"), [dims[i], dims[i + 1]], Init::Uniform { low: -0.05, high: 0.05 });
        h = h.matmul(w);
        if i + 2 < dims.len() {
            h = h.relu();
        }
    }
    let d = h - t;
    let loss = (d * d).mean(..).named("loss");
    let mut s = Session::train(&g, loss, Sgd::new(1e-3), device.clone()).unwrap();
    if name == "mnist" && device.is_cpu() {
        println!("{}", s.plan());
    }
    let xs =
        Tensor::new([batch, dims[0]], (0..batch * dims[0]).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect()).unwrap();
    let ts = Tensor::new([batch, dims[dims.len() - 1]], vec![0.3f32; batch * dims[dims.len() - 1]]).unwrap();
    for _ in 0..3 {
        s.step(&[("x", &xs), ("t", &ts)]).unwrap();
    }
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let t0 = std::time::Instant::now();
        for _ in 0..n {
            s.step(&[("x", &xs), ("t", &ts)]).unwrap();
        }
        best = best.min(t0.elapsed().as_secs_f64() / n as f64);
    }
    println!("{name} {device}: {:.1} us/step best of 7", best * 1e6);
}
#[test]
fn speed() {
    for d in [Device::cpu(), Device::gpu().unwrap()] {
        let f = if d.is_cpu() { 1 } else { 10 };
        mlp("gaussians", 1, &[2, 10, 2], d.clone(), 10000 / (f * f));
        mlp("mnist", 64, &[784, 256, 10], d.clone(), 100 / f);
        mlp("wide", 256, &[1024, 1024, 1024, 1024, 1024], d.clone(), 5.max(f) / f);
    }
}
#[test]
fn speed_cpu() {
    let d = Device::cpu();
    for _ in 0..2 {
        mlp("gaussians", 1, &[2, 10, 2], d.clone(), 10000);
        mlp("mnist", 64, &[784, 256, 10], d.clone(), 100);
        mlp("wide", 256, &[1024, 1024, 1024, 1024, 1024], d.clone(), 5);
    }
}
#[test]
fn million_plan() {
    let t = std::time::Instant::now();
    let g = Graph::new();
    let x = g.input("x", [8]);
    let mut y = x;
    for _ in 0..1_000_000 {
        y = y.sin();
    }
    let l = y.sum(..);
    let [d] = l.grad([x]).unwrap();
    println!("build+grad {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let mut s = Session::evaluate(&g, &[l, d], &Device::cpu()).unwrap();
    println!("plan {:?} steps {} buffers {}", t.elapsed(), s.plan().steps().len(), s.plan().buffers().len());
    let t = std::time::Instant::now();
    let r = s.run(&[("x", &Tensor::new([8], vec![0.5f32; 8]).unwrap())]).unwrap();
    println!("run {:?} {:?}", t.elapsed(), r);
}
