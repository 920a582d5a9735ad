//! File tests of the planner: in each file of `tests/plans` a graph as text, and beneath it what every pass decided and the plan.
//!
//! `ARENAGRAD_UPDATE_SNAPSHOTS=1` writes the files anew; what has changed in them is then to be read.

use std::fmt::Write;
use std::path::Path;

use arenagrad_graph::{Convolution, DType, Expr, Gelu, Graph, Init, NodeId, passes};

use crate::plan::target::Target;
use crate::plan::{Collected, Nodes, Passes, Plan, Request, trace};
use crate::train::{Optimizer, Sgd, append_step};

/// What a case asks for: outputs, and updates of parameters by the number of their declaration.
struct Wanted<'g> {
    outputs: Vec<Expr<'g>>,
    updates: Vec<(u32, NodeId)>,
}

impl<'g> From<Vec<Expr<'g>>> for Wanted<'g> {
    fn from(outputs: Vec<Expr<'g>>) -> Self {
        Wanted { outputs, updates: Vec::new() }
    }
}

fn check(name: &str, build: impl for<'g> Fn(&'g Graph) -> Wanted<'g>) {
    check_for(Target::default(), name, build);
}

fn check_for(target: Target, name: &str, build: impl for<'g> Fn(&'g Graph) -> Wanted<'g>) {
    let request = Request { target, ..Request::default() };
    let graph = Graph::new();
    let Wanted { outputs, updates } = build(&graph);
    let outputs: Vec<NodeId> = outputs.iter().map(|output| output.id().unwrap()).collect();
    let wanted: Vec<NodeId> = outputs.iter().chain(updates.iter().map(|(_, next)| next)).copied().collect();
    let optimised = passes::optimise_with(&graph, &wanted, target.convolutions).unwrap();
    let (of_outputs, of_updates) = optimised.outputs.split_at(outputs.len());
    let next_values: Vec<(u32, NodeId)> =
        updates.iter().map(|(declaration, _)| *declaration).zip(of_updates.iter().copied()).collect();
    let nodes = &Nodes::of(&optimised.graph);
    let collected = Collected::of(&optimised.graph, nodes, of_outputs, &next_values, &[], &[], &request).unwrap();
    let passes = Passes::run(collected, &request).unwrap();
    let entries = &passes.entries[..];

    let mut text = String::new();
    let _ = writeln!(text, "{}", optimised.graph.to_string().trim_end());
    let _ = writeln!(text, "\n-- cluster\n{}", trace::clusters(nodes, entries, &passes.clusters).trim_end());
    let storage = trace::storage(nodes, entries, &passes.clusters, &passes.storage);
    let _ = writeln!(text, "\n-- recompute, merge\n{}", storage.trim_end());
    let _ = writeln!(text, "\n-- divide\n{}", trace::parts(nodes, entries, &passes.parts).trim_end());
    if !passes.updates.pairs.is_empty() {
        let _ = writeln!(text, "\n-- update\n{}", trace::updates(nodes, entries, &passes.updates).trim_end());
    }
    let plan = Plan::new(&graph, &Request { outputs, updates, ..request }).unwrap();
    let _ = writeln!(text, "\n-- plan\n{}\n\n-- explain\n{}", plan.to_string().trim_end(), plan.explain().trim_end());

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(format!("{name}.txt"));
    if std::env::var("ARENAGRAD_UPDATE_SNAPSHOTS").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert_eq!(kept, text, "{name} has changed; ARENAGRAD_UPDATE_SNAPSHOTS=1 accepts it");
}

fn parameter<'g, const N: usize>(g: &'g Graph, name: &str, shape: [usize; N]) -> Expr<'g> {
    g.parameter(name, shape, Init::Constant(0.5))
}

/// The loss and its gradients, as outputs.
fn with_gradients<'g, const N: usize>(loss: Expr<'g>, wrt: [Expr<'g>; N]) -> Wanted<'g> {
    let mut outputs = vec![loss];
    outputs.extend(loss.grad(wrt).unwrap());
    outputs.into()
}

/// A training step by `optimizer`.
fn trained<'g>(loss: Expr<'g>, optimizer: &dyn Optimizer) -> Wanted<'g> {
    let step = append_step(loss, optimizer).unwrap();
    Wanted { outputs: vec![loss], updates: step.updates }
}

#[test]
fn cross_entropy_and_its_gradient_are_one_nest() {
    check("cross_entropy", |g| {
        let logits = parameter(g, "logits", [64, 1000]);
        let labels = g.input_of("labels", [64], DType::I32);
        with_gradients(logits.cross_entropy(labels), [logits])
    });
}

#[test]
fn layer_norm_and_its_gradients_are_one_nest() {
    check("layer_norm", |g| {
        let (x, w) = (parameter(g, "x", [64, 96]), g.input("w", [64, 96]));
        let (scale, shift) = (parameter(g, "scale", [96]), parameter(g, "shift", [96]));
        with_gradients((x.layer_norm(-1, Some(scale), Some(shift), 1e-5) * w).sum(..), [x, scale, shift])
    });
}

#[test]
fn a_sum_and_the_elements_that_it_sums_share_a_pass() {
    check("chain", |g| {
        let x = parameter(g, "x", [1 << 16]);
        with_gradients((x.tanh() * x).sum(..), [x])
    });
}

#[test]
fn products_work_on_their_results_and_nests_on_what_must_be_whole() {
    check("perceptron", |g| {
        let (x, labels) = (g.input("x", [32, 20]), g.input_of("labels", [32], DType::I32));
        let (w1, b1) = (parameter(g, "w1", [20, 16]), parameter(g, "b1", [16]));
        let (w2, b2) = (parameter(g, "w2", [16, 5]), parameter(g, "b2", [5]));
        let hidden = (x.matmul(w1) + b1).relu();
        trained((hidden.matmul(w2) + b2).cross_entropy(labels), &Sgd::new(0.1).momentum(0.9))
    });
}

#[test]
fn what_is_cheap_is_computed_again_and_what_is_dear_is_stored() {
    check("recompute", |g| {
        let (x, w) = (g.input("x", [32, 64]), parameter(g, "w", [64, 64]));
        let h = x.matmul(w).gelu(Gelu::Erf);
        with_gradients(h.square().mean(..), [w])
    });
}

#[test]
fn a_result_that_several_values_lead_back_to_is_stored_in_their_place() {
    check("common_source", |g| {
        let (x, w) = (g.input("x", [32, 64]), parameter(g, "w", [64, 48]));
        let z = x.matmul(w);
        vec![(z * 2.0 + 1.0).sum(0), (z * 3.0 - 1.0).sum(1)].into()
    });
}

/// Two formulas read the same two slices; a bias that is spread is no reason to go together.
#[test]
fn what_reads_the_same_slices_has_one_pass_over_them() {
    check("same_slices", |g| {
        let (x, w) = (g.input("x", [32, 64]), parameter(g, "w", [64, 48]));
        let z = x.matmul(w);
        let (a, b) = (z.slice(1, 0, 24), z.slice(1, 24, 48));
        let (y, v, bias) = (g.input("y", [32, 24]), g.input("v", [32, 24]), g.input("bias", [24]));
        vec![a.tanh() - b, a + b.tanh(), y + bias, v * bias].into()
    });
}

#[test]
fn more_than_a_kernel_can_bind_is_cut() {
    check("limits", |g| {
        let leaves: Vec<Expr<'_>> = (0..12).map(|n| g.input(format!("x{n}"), [40])).collect();
        vec![leaves.iter().fold(g.zeros([40], DType::F32), |sum, &leaf| sum + leaf.tanh())].into()
    });
}

#[test]
fn two_products_of_one_rank_are_added_by_the_later() {
    check("two_products", |g| {
        let (x, y) = (g.input("x", [8, 16]), g.input("y", [8, 24]));
        let (v, w) = (parameter(g, "v", [16, 8]), parameter(g, "w", [24, 8]));
        vec![(x.matmul(v) + y.matmul(w)).tanh()].into()
    });
}

#[test]
fn reductions_along_other_axes_end_a_kernel() {
    check("axes", |g| {
        let x = g.input("x", [4, 6, 8]);
        let centred = x - x.mean_keepdims(1);
        vec![centred.exp().sum([0, 2]), centred.max(2)].into()
    });
}

#[test]
fn statistics_of_channels_are_one_nest() {
    check_for(Target::CPU, "channels", |g| {
        let (x, w) = (parameter(g, "x", [4, 6, 8, 8]), g.input("w", [4, 6, 8, 8]));
        let (scale, shift) = (parameter(g, "scale", [6]), parameter(g, "shift", [6]));
        let normal = x.batch_norm(x.batch_statistics(), Some(scale), Some(shift), 1e-5);
        let step = append_step((normal * w).sum(..), &Sgd::new(0.1)).unwrap();
        Wanted { outputs: Vec::new(), updates: step.updates }
    });
}

#[test]
fn products_pad_the_operands_of_convolutions() {
    check_for(Target::CPU, "padding", |g| {
        let x = g.input("x", [16, 3, 8, 8]);
        let (v, w) = (parameter(g, "v", [4, 3, 3, 3]), parameter(g, "w", [5, 4, 3, 3]));
        let padded = Convolution::new().padding(1);
        let hidden = x.conv2d(v, None, &padded).relu();
        with_gradients(hidden.conv2d(w, None, &padded).square().mean(..), [v, w])
    });
}

#[test]
fn depthwise_convolutions_are_products_of_single_rows() {
    check_for(Target::CPU, "depthwise", |g| {
        let (x, w) = (g.input("x", [4, 6, 8, 8]), parameter(g, "w", [6, 1, 3, 3]));
        let y = x.conv2d(w, None, &Convolution::new().padding(1).groups(6));
        with_gradients(y.square().mean(..), [w])
    });
}

#[cfg(feature = "gpu")]
#[test]
fn a_software_adapter_reads_four_channels_at_once() {
    check_for(Target::SOFTWARE_ADAPTER, "channels_in_fours", |g| {
        let (x, w) = (g.input("x", [4, 8, 16, 16]), parameter(g, "w", [16, 8, 3, 3]));
        let y = x.conv2d(w, None, &Convolution::new().padding(1));
        with_gradients(y.square().mean(..), [w])
    });
}

#[test]
fn what_others_read_as_well_is_padded_before() {
    check_for(Target::CPU, "padding_shared", |g| {
        let (x, w) = (g.input("x", [2, 3, 8, 8]), parameter(g, "w", [4, 3, 3, 3]));
        let padded = x.pad([(0, 0), (0, 0), (1, 1), (1, 1)], 0.0);
        vec![padded.conv2d(w, None, &Convolution::new()), padded.exp().sum([0, 1])].into()
    });
}

#[test]
fn a_parameter_that_is_still_read_is_copied_at_the_end() {
    check("update", |g| {
        let (v, w) = (parameter(g, "v", [16]), parameter(g, "w", [16]));
        // Each next value is computed from both old ones: one of them has to wait.
        let (next_v, next_w) = ((v + w).tanh(), (w * v).exp().sum(..) + w);
        Wanted { outputs: vec![v.sum(..)], updates: vec![(0, next_v.id().unwrap()), (1, next_w.id().unwrap())] }
    });
}

#[test]
fn a_next_value_that_is_cut_from_a_later_reader_of_its_parameter_is_not_counted_as_in_place() {
    check("update_cut", |g| {
        let carry = parameter(g, "carry", [16]);
        let leaves: Vec<Expr<'_>> = (0..8).map(|n| g.input(format!("x{n}"), [16])).collect();
        let sum = leaves[..6].iter().fold(carry, |sum, &leaf| sum + leaf);
        let next = sum.tanh();
        let last = leaves[6..].iter().fold(next * carry, |product, &leaf| product * leaf);
        Wanted { outputs: vec![sum, last], updates: vec![(0, next.id().unwrap())] }
    });
}

#[test]
fn a_loop() {
    check("loop", |g| {
        let (x, h) = (g.input("x", [6, 4, 3]), g.input("h", [4, 5]));
        let (of_input, of_state) = (parameter(g, "of_input", [3, 5]), parameter(g, "of_state", [5, 5]));
        let scanned = g.scan(&[h], &[x], |state, element| {
            let next = (element[0].matmul(of_input) + state[0].matmul(of_state)).tanh();
            (vec![next], vec![])
        });
        let last = scanned.unwrap().carries[0].named("last");
        let [gradient] = last.square().sum(..).grad([of_state]).unwrap();
        vec![last, gradient.named("gradient")].into()
    });
}
