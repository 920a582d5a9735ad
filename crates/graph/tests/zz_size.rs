fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}
#[test]
fn size() {
    println!("op {} node {} shape {} id {}", size_of::<arenagrad_graph::Op>(), size_of::<arenagrad_graph::Node>(), size_of::<arenagrad_graph::Shape>(), size_of::<arenagrad_graph::NodeId>());
    for _ in 0..3 {
    let g = arenagrad_graph::Graph::new();
    let x = g.input("x", [8]);
    let t = cpu();
    let y = (1..1_000_000).fold(x, |y, _| y.sin());
    let b = cpu() - t;
    let t = cpu();
    let _ = arenagrad_graph::passes::dce(&g, &[y.id().unwrap()]).unwrap();
    let d = cpu() - t;
    let t = cpu();
    let _ = arenagrad_graph::passes::simplify(&g, &[y.id().unwrap()]).unwrap();
    let s = cpu() - t;
    let t = cpu();
    let _ = arenagrad_graph::passes::optimise(&g, &[y.id().unwrap()]).unwrap();
    let o = cpu() - t;
    let t = cpu();
    let _ = y.sum(..).grad([x]).unwrap();
    println!("CPU ms: build {b} dce {d} simplify {s} optimise {o} grad {}", cpu() - t);
    }
}
