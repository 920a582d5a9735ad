//! Which values of a graph are rounded in mixed precision.

use arenagrad_graph::passes::{self, MixedPrecision};
use arenagrad_graph::{Attention, DType, Elementwise, Expr, Graph, Half, Init, NodeId, Op, OpKind, verify};

/// A graph with a backward pass and an update behind it.
struct Step {
    graph: Graph,
    outputs: Vec<NodeId>,
    backward: usize,
    update: usize,
}

/// The loss that `build` makes of inputs and of the parameter `w`, its gradient, and what the parameter becomes.
fn step(build: impl for<'g> Fn(&'g Graph) -> Expr<'g>) -> Step {
    let graph = Graph::new();
    let (outputs, backward, update) = {
        let loss = build(&graph).check().unwrap();
        let backward = graph.ordinal_bound();
        let w = graph.expr(graph.declaration_named("w").unwrap().node);
        let [gradient] = loss.grad([w]).unwrap();
        let update = graph.ordinal_bound();
        let next = w - gradient * 0.1;
        (vec![loss.id().unwrap(), next.id().unwrap()], backward, update)
    };
    Step { graph, outputs, backward, update }
}

impl Step {
    fn mixed(&self, keeps_f32: &dyn Fn(usize) -> bool) -> passes::Optimised {
        let (half, backward, update) = (Half::F16, self.backward, self.update);
        let precision = MixedPrecision { half, backward, update, keeps_f32, keeps_f32_in_loops: &|_| false };
        let mixed = passes::mixed_precision(&self.graph, &self.outputs, &precision).unwrap();
        verify(&mixed.graph).unwrap();
        mixed
    }
}

/// What is rounded: the kinds of the operands of roundings, in order.
fn rounded(graph: &Graph) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for id in graph.ids() {
        if let Op::Elementwise(Elementwise::RoundTo { operand, .. }) = graph.node(id).unwrap().op {
            kinds.push(graph.node(operand).unwrap().op.name());
        }
    }
    kinds
}

fn count(graph: &Graph) -> usize {
    rounded(graph).len()
}

#[test]
fn operands_are_rounded_beneath_their_views_and_once() {
    let step = step(|g| {
        let (x, w) = (g.input("x", [4, 3]), g.parameter("w", [5, 3], Init::KaimingUniform));
        // The parameter's transpose, and the input twice.
        x.matmul(w.t()).relu().matmul(w).sum(..) + x.matmul(w.t()).sum(..)
    });
    let mixed = step.mixed(&|_| false);
    // x, w, the relu, and of the backward pass three upstream gradients, each of which two products read, and one a single one.
    let kinds = rounded(&mixed.graph);
    assert_eq!(kinds[..3], ["input", "parameter", "relu"], "{}", mixed.graph);
    for id in mixed.graph.ids() {
        let node = mixed.graph.node(id).unwrap();
        if let Op::MatMul { lhs, rhs, .. } = node.op {
            for mut operand in [lhs, rhs] {
                while let Op::View { operand: shown, .. } = mixed.graph.node(operand).unwrap().op {
                    operand = shown;
                }
                let is_rounded =
                    matches!(mixed.graph.node(operand).unwrap().op, Op::Elementwise(Elementwise::RoundTo { .. }));
                assert!(is_rounded, "{}", mixed.graph);
            }
        }
    }
}

#[test]
fn nothing_is_rounded_where_f32_is_kept_nor_of_other_dtypes() {
    let build = |dtype: DType| {
        step(move |g| {
            let (x, w) = (g.input_of("x", [4, 3], dtype), g.parameter_of("w", [5, 3], dtype, Init::KaimingUniform));
            x.matmul(w.t()).tanh().matmul(w).sum(..)
        })
    };
    assert_eq!(count(&build(DType::F64).mixed(&|_| false).graph), 0);
    assert_eq!(count(&build(DType::F32).mixed(&|_| true).graph), 0);
    assert!(count(&build(DType::F32).mixed(&|_| false).graph) > 4);
}

#[test]
fn what_waits_is_rounded_for_the_backward_pass_alone() {
    let step = step(|g| {
        let (x, w) = (g.input("x", [4, 3]), g.parameter("w", [3, 3], Init::KaimingUniform));
        // The square's operand waits; it leads to a product.
        x.matmul(w).sin().matmul(w).sum(..)
    });
    let mixed = step.mixed(&|_| false);
    let text = mixed.graph.to_string();
    // The forward pass takes the sine of the product itself, the backward pass the cosine of the rounded one.
    let op_of_operand = |name: &str| {
        let id = mixed.graph.ids().into_iter().find(|id| mixed.graph.node(*id).unwrap().op.name() == name).expect(name);
        let operand = mixed.graph.node(id).unwrap().op.operands()[0];
        mixed.graph.node(operand).unwrap().op.name()
    };
    assert_eq!(op_of_operand("sin"), "matmul", "{text}");
    assert_eq!(op_of_operand("cos"), "round_to_f16", "{text}");
}

#[test]
fn what_is_compared_is_rounded_for_both_passes() {
    let step = step(|g| {
        let (x, w) = (g.input("x", [4, 3]), g.parameter("w", [3, 3], Init::KaimingUniform));
        x.matmul(w).max(1).unsqueeze(1).matmul(w.slice(0, 0, 1)).sum(..)
    });
    let mixed = step.mixed(&|_| false);
    for id in mixed.graph.ids() {
        let node = mixed.graph.node(id).unwrap();
        let name = node.op.name();
        if name == "max" {
            let operand = mixed.graph.node(node.op.operands()[0]).unwrap();
            assert_eq!(operand.op.name(), "round_to_f16", "{}", mixed.graph);
        }
    }
    assert!(mixed.graph.to_string().contains("equal"), "{}", mixed.graph);
}

#[test]
fn losses_statistics_and_steep_functions_wait_in_f32() {
    let behind = step(|g| {
        let (x, w) = (g.input("x", [4, 3]), g.parameter("w", [3, 3], Init::KaimingUniform));
        x.matmul(w).log_softmax(1).square().sum(..)
    });
    // x, w, and the upstream gradient of the one product: nothing behind it.
    let kinds = rounded(&behind.mixed(&|_| false).graph);
    assert_eq!(kinds[..2], ["input", "parameter"]);
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    let steep = step(|g| {
        let (x, w) = (g.input("x", [4, 3]), g.parameter("w", [3, 3], Init::KaimingUniform));
        (x.matmul(w).exp() / x.sum(1).unsqueeze(1)).matmul(w).sum(..)
    });
    let kinds = rounded(&steep.mixed(&|_| false).graph);
    assert!(!kinds.contains(&"exp") && !kinds.contains(&"sum"), "{kinds:?}");
}

#[test]
fn masks_and_numbers_a_row_of_attention_stay() {
    let step = step(|g| {
        let (x, w) = (g.input("x", [1, 2, 5, 4]), g.parameter("w", [4, 4], Init::KaimingUniform));
        let mask = g.input("mask", [1, 1, 5, 5]);
        let y = x.matmul(w).scaled_dot_product_attention(x, x, Some(mask), Attention::default());
        y.matmul(w).sum(..)
    });
    let mixed = step.mixed(&|_| false);
    let mut seen = 0;
    for id in mixed.graph.ids() {
        let node = mixed.graph.node(id).unwrap();
        let Op::Attention(attention) = &node.op else { continue };
        seen += 1;
        let name = |mut id: NodeId| {
            while let Op::View { operand, .. } = mixed.graph.node(id).unwrap().op {
                id = operand;
            }
            mixed.graph.node(id).unwrap().op.name()
        };
        for operand in [attention.query, attention.key, attention.value] {
            assert_eq!(name(operand), "round_to_f16", "{}", mixed.graph);
        }
        assert_ne!(attention.mask.map(name), Some("round_to_f16"));
        if let Some(backward) = attention.backward {
            assert_eq!(name(backward.upstream), "round_to_f16");
            assert_ne!(name(backward.statistics), "round_to_f16");
            assert_ne!(name(backward.weighted), "round_to_f16");
        }
    }
    assert!(seen >= 3, "{seen} results of attention");
}

#[test]
fn products_in_loops_read_rounded_operands() {
    let g = Graph::new();
    let (x, w) = (g.input("x", [6, 2, 3]), g.parameter("w", [3, 3], Init::KaimingUniform));
    let first = g.zeros([2, 3], DType::F32);
    let scanned = g
        .scan(&[first], &[x], |carries, elements| {
            let next = (carries[0].matmul(w) + elements[0]).tanh();
            (vec![next], vec![next])
        })
        .unwrap();
    let output = scanned.carries[0].id().unwrap();
    let end = g.ordinal_bound();
    let mixed = |keeps_f32_in_loops: &dyn Fn(OpKind) -> bool| {
        let (half, keeps_f32) = (Half::Bf16, &|_| false);
        let precision = MixedPrecision { half, backward: end, update: end, keeps_f32, keeps_f32_in_loops };
        let mixed = passes::mixed_precision(&g, &[output], &precision).unwrap();
        verify(&mixed.graph).unwrap();
        mixed
    };
    let bodies = |graph: &Graph| {
        let ids = graph.ids();
        let of =
            |id: &NodeId| if let Op::Scan { body, .. } = graph.node(*id).unwrap().op { Some(body.len()) } else { None };
        ids.iter().find_map(of).expect("a loop")
    };
    assert_eq!(bodies(&mixed(&|_| false).graph), bodies(&g) + 2);
    assert_eq!(bodies(&mixed(&|kind| kind == OpKind::MatMul).graph), bodies(&g));
}

/// What a plan knows of a rounding is what it knows of the node that it was built for: so it is built beside the value, and has its name.
#[test]
fn roundings_are_built_beside_what_they_round() {
    let step = step(|g| {
        let (x, w) = (g.input("x", [3, 3]), g.parameter("w", [3, 3], Init::KaimingUniform));
        // The first product waits for the cosine; the sine is an operand, by a view of it.
        let h = x.matmul(w).named("product");
        let s = h.sin().named("sine");
        (s + 1.0).t().named("turned").matmul(w).sum(..)
    });
    let mixed = step.mixed(&|_| false);
    let mut names = Vec::new();
    for id in mixed.graph.ids() {
        let node = mixed.graph.node(id).unwrap();
        let Op::Elementwise(Elementwise::RoundTo { operand, .. }) = node.op else { continue };
        let source = |id: NodeId| mixed.sources[mixed.graph.ordinal(id).unwrap()];
        names.extend(mixed.graph.label(id));
        if !matches!(mixed.graph.node(operand).unwrap().op, Op::Leaf(_)) {
            assert_eq!(source(id), source(operand), "{}", mixed.graph);
            assert_eq!(mixed.graph.label(id), mixed.graph.label(operand), "{}", mixed.graph);
        }
    }
    assert_eq!(names, ["product"], "{}", mixed.graph);
}

#[test]
fn sources_of_gradients_are_told_in_order() {
    let g = Graph::new();
    let (x, w) = (g.input("x", [4, 3]), g.parameter("w", [3, 3], Init::KaimingUniform));
    let y = x.matmul(w).tanh();
    let loss = y.sum(..);
    let first = g.ordinal_bound();
    let mut sources: Vec<(usize, NodeId)> = Vec::new();
    let gradients = g
        .gradients_by_source(&[loss], &[g.scalar(1.0)], &[w], &mut |ordinal, source| sources.push((ordinal, source)))
        .unwrap();
    assert!(gradients[0].is_some() && sources[0].0 >= first);
    assert!(sources.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    let names: Vec<&str> = sources.iter().map(|(_, id)| g.node(*id).unwrap().op.name()).collect();
    let place = |name: &str| names.iter().position(|other| *other == name).expect(name);
    assert!(place("tanh") < place("matmul"), "{names:?}");
    let (start, end) = (sources[place("matmul")].0, g.ordinal_bound());
    let in_range = g.ids().into_iter().filter(|id| (start..end).contains(&g.ordinal(*id).unwrap()));
    assert!(in_range.into_iter().any(|id| g.node(id).unwrap().op.name() == "matmul"));
}

#[test]
fn cheap_functions_of_what_waits_are_computed_again() {
    let step = step(|g| {
        let (x, w) = (g.input("x", [4, 3]), g.parameter("w", [3, 3], Init::KaimingUniform));
        let h = x.matmul(w);
        (h * h * h).matmul(w).sum(..)
    });
    let mixed = step.mixed(&|_| false);
    let kinds = rounded(&mixed.graph);
    // The cube is an operand of the second product. The square, which the backward pass reads, is that of what waits.
    assert_eq!(kinds.iter().filter(|kind| **kind == "mul").count(), 1, "{}", mixed.graph);
    let rounded_squares = mixed.graph.ids().into_iter().filter(|id| {
        let node = mixed.graph.node(*id).unwrap();
        let operands = node.op.operands();
        let is_rounded = |id: &NodeId| mixed.graph.node(*id).unwrap().op.name() == "round_to_f16";
        node.op.name() == "mul" && operands[0] == operands[1] && operands.iter().all(is_rounded)
    });
    assert_eq!(rounded_squares.count(), 1, "{}", mixed.graph);
}
