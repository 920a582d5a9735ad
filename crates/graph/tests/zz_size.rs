#[test]
fn size() {
    println!("op {} node {} shape {} id {}", size_of::<arenagrad_graph::Op>(), size_of::<arenagrad_graph::Node>(), size_of::<arenagrad_graph::Shape>(), size_of::<arenagrad_graph::NodeId>());
    for _ in 0..3 {
    let g = arenagrad_graph::Graph::new();
    let x = g.input("x", [8]);
    let t = std::time::Instant::now();
    let y = (1..1_000_000).fold(x, |y, _| y.sin());
    let b = t.elapsed();
    let t = std::time::Instant::now();
    let _ = arenagrad_graph::passes::dce(&g, &[y.id().unwrap()]).unwrap();
    let d = t.elapsed();
    let t = std::time::Instant::now();
    let _ = arenagrad_graph::passes::simplify(&g, &[y.id().unwrap()]).unwrap();
    let s = t.elapsed();
    let t = std::time::Instant::now();
    let _ = arenagrad_graph::passes::optimise(&g, &[y.id().unwrap()]).unwrap();
    println!("build {b:?} dce {d:?} simplify {s:?} optimise {:?}", t.elapsed());
    }
}
