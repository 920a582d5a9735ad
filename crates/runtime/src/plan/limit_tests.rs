//! Random graphs that change their parameters, planned for devices whose kernels bind few buffers: no kernel binds more, and what was
//! counted on to be written in place is.

use arenagrad_graph::{Expr, Graph, Init, NodeId};

use crate::plan::target::Target;
use crate::plan::{Plan, Request, exceeds_bindings};

/// Numbers that follow from the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Some parameters of one shape and of its rows, and what is computed of them and of inputs.
fn grown<'g>(g: &'g Graph, random: &mut Random) -> (Vec<Expr<'g>>, Vec<Expr<'g>>) {
    let [rows, columns] = random.pick(&[[1, 1], [3, 4], [20, 4], [1, 5], [16, 16]]);
    let of_elements = 1 + random.below(6);
    let parameters: Vec<Expr<'g>> = (0..of_elements + random.below(3))
        .map(|n| {
            let shape = if n < of_elements { [rows, columns] } else { [rows, 1] };
            g.parameter(format!("p{n}"), shape, Init::Constant(0.5))
        })
        .collect();
    let mut values = parameters.clone();
    values.extend((0..random.below(8)).map(|n| g.input(format!("x{n}"), [rows, columns])));
    for _ in 0..5 + random.below(60) {
        // What was computed last is read more often, so that there are long chains.
        let recent = values.len() - 1 - random.below(values.len());
        let (a, b) = (random.pick(&values[recent..]), random.pick(&values[recent..]));
        let is_square = |x: Expr<'g>| x.shape().is_ok_and(|shape| shape[..] == [rows, rows]);
        values.push(match random.below(16) {
            0 => a.sum_keepdims(1),
            1 => a.sum_keepdims(0) + b,
            2 if is_square(a) && is_square(b) => a.matmul(b),
            2..=4 => a.sin(),
            5..=9 => a * b,
            _ => a + b,
        });
    }
    let computed = values.split_off(parameters.len());
    (parameters, computed)
}

/// Plans a random graph. Says whether a cluster of it was cut.
fn check(seed: u64) -> bool {
    let random = &mut Random(seed);
    let g = Graph::new();
    let (parameters, computed) = grown(&g, random);
    let mut updates: Vec<(u32, NodeId)> = Vec::new();
    for (number, parameter) in (0..).zip(&parameters) {
        let next = random.pick(&computed);
        if next.shape().unwrap() == parameter.shape().unwrap() {
            updates.push((number, next.id().unwrap()));
        }
    }
    let outputs = (0..random.below(4)).map(|_| random.pick(&computed).id().unwrap()).collect();
    let bindings = random.pick(&[3, 4, 5, 6, 8]);
    let target = Target { bindings, ..Target::default() };
    println!("seed {seed}, {bindings} bindings");
    let (_, passes, _) = Plan::passes(&g, &Request { outputs, updates, target, ..Request::default() }).unwrap();
    assert!(!exceeds_bindings(&passes.steps, &passes.updates, bindings));
    let mut of_updates = passes.updates.certain.iter().zip(&passes.updates.direct);
    assert!(of_updates.all(|(&certain, &direct)| direct || !certain));
    passes.parts.len() > passes.clusters.list.iter().filter(|cluster| !cluster.members.is_empty()).count()
}

#[test]
fn kernels_of_random_graphs_bind_no_more_than_they_may() {
    let cut = (0..5000).filter(|&seed| check(seed)).count();
    assert!(cut > 2500, "only {cut} graphs were cut");
}
