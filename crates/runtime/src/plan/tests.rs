use super::*;
use arenagrad_graph::{Expr, Init};

fn planned(build: impl for<'g> Fn(&'g Graph) -> Vec<Expr<'g>>) -> Plan {
    let g = Graph::new();
    let outputs: Vec<NodeId> = build(&g).iter().map(|e| e.id().unwrap()).collect();
    Plan::new(&g, &Request { outputs, ..Request::default() }).unwrap()
}

#[test]
fn explore() {
    let plan = planned(|g| {
        let x = g.parameter("logits", [2048, 2048], Init::XavierUniform);
        let labels = g.input_of("labels", [2048], DType::I32);
        let loss = x.cross_entropy(labels);
        let gx = loss.grad([x]).unwrap();
        vec![loss, gx[0]]
    });
    println!("SOFTMAX {plan}");
    let plan = planned(|g| {
        let x = g.parameter("x", [4096, 1024], Init::XavierUniform);
        let w = g.input("w", [4096, 1024]);
        let s = g.parameter("scale", [1024], Init::XavierUniform);
        let b = g.parameter("shift", [1024], Init::XavierUniform);
        let loss = (x.layer_norm(-1, Some(s), Some(b), 1e-5) * w).sum(..);
        let mut v = vec![loss];
        v.extend(loss.grad([x, s, b]).unwrap());
        v
    });
    println!("LAYERNORM {plan}");
    let plan = planned(|g| {
        let x = g.parameter("x", [1 << 22], Init::XavierUniform);
        let y = (x * 1.5 + 0.25).relu() - x * 0.5;
        let y = (y * 0.7).tanh() + x * x;
        let y = (y * -0.1).exp() * y - x;
        let loss = y.sum(..);
        let mut v = vec![loss];
        v.extend(loss.grad([x]).unwrap());
        v
    });
    println!("CHAIN {plan}");
    let plan = planned(|g| {
        let (t, d) = (32, 16);
        let x = g.input("x", [t, d]);
        let mut ps = vec![];
        let mut p = |name: &str, shape: &[usize]| {
            let e = g.parameter(name, shape, Init::XavierUniform);
            ps.push(e);
            e
        };
        let (s1, b1, wq, wk, wv, wo) =
            (p("s1", &[d]), p("b1", &[d]), p("wq", &[d, d]), p("wk", &[d, d]), p("wv", &[d, d]), p("wo", &[d, d]));
        let (s2, b2, w1, c1, w2, c2) = (
            p("s2", &[d]),
            p("b2", &[d]),
            p("w1", &[d, 4 * d]),
            p("c1", &[4 * d]),
            p("w2", &[4 * d, d]),
            p("c2", &[d]),
        );
        let h = x.layer_norm(-1, Some(s1), Some(b1), 1e-5);
        let (q, k, v) = (h.matmul(wq), h.matmul(wk), h.matmul(wv));
        let a = (q.matmul(k.transpose(0, 1)) * 0.25).softmax(1).matmul(v);
        let h = x + a.matmul(wo);
        let h = h
            + (h.layer_norm(-1, Some(s2), Some(b2), 1e-5).matmul(w1) + c1).gelu(arenagrad_graph::Gelu::Erf).matmul(w2)
            + c2;
        let loss = h.square().mean(..);
        let mut v = vec![loss];
        v.extend(g.gradients(&[loss], &[g.ones([], DType::F32)], &ps).unwrap());
        v
    });
    println!("BLOCK {plan}");
}
