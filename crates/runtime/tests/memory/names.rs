//! What is named to be kept stays, and what is named to be computed again is.

use super::budget::{borrowed, inputs, part_of, trained};
use super::networks::{self, Gpt};
use arenagrad::nn::Linear;
use arenagrad::plan::MemoryReport;
use arenagrad::{AdamW, DType, Device, Error, Graph, Half, Init, Precision, Session, SessionBuilder, Sgd, Trainer};

const SIZE: Gpt = Gpt { layers: 6, batch: 4, length: 16, width: 16, heads: 2, dropout: 0.1 };

fn session<'e>(options: impl FnOnce(SessionBuilder<'e>) -> SessionBuilder<'e>) -> Result<(Graph, Session), Error> {
    let graph = Graph::new();
    let session = {
        let loss = networks::gpt(&graph, DType::F32, SIZE);
        options(Session::builder(Device::cpu())).train(&graph, loss, &AdamW::new(1e-3))?
    };
    Ok((graph, session))
}

/// In which all that names do is tried.
fn precisions() -> [Precision; 2] {
    [Precision::full(), Precision::mixed(Half::Bf16)]
}

/// Whether a layer is one of this name, or in it: the activation has no name, and is told by what it is.
fn is_within(layer: &str, name: &str) -> bool {
    layer.starts_with(name) || layer == "GELU"
}

fn layers(memory: &MemoryReport) -> Vec<String> {
    let steps = memory.recomputation.iter().flat_map(|recomputation| &recomputation.steps);
    steps.filter_map(|step| step.layer.clone()).collect()
}

#[test]
fn layers_of_a_name_are_computed_again() {
    precisions().into_iter().for_each(layers_are_computed_again);
}

fn layers_are_computed_again(precision: Precision) {
    let (graph, mut once) = session(|builder| builder.precision(precision.clone())).unwrap();
    let (_, mut again) = session(|builder| builder.precision(precision).recompute("blocks.*")).unwrap();
    let (before, after) = (once.plan().memory(), again.plan().memory());
    let cost = after.recomputation.clone().expect("blocks are computed again");
    println!(
        "{} of {} bytes of results, {} of activations, {:.1} % more operations",
        after.result_bytes(),
        before.result_bytes(),
        after.activation_bytes,
        100.0 * cost.more_operations()
    );
    // Between the blocks one tensor each is kept, and little beside it; the last block is computed again at once.
    assert!(after.activation_bytes * 2 < before.activation_bytes, "{after}");
    assert!(after.peak_bytes < before.peak_bytes, "{after}");
    // A forward pass is a third of a step, and of so narrow a network attention is much of it.
    assert!(cost.more_operations() < 0.5, "{after}");
    for block in 0..SIZE.layers {
        assert!(
            layers(&after).iter().any(|layer| layer.starts_with(&format!("blocks.{block}"))),
            "{:?}",
            layers(&after)
        );
    }
    assert!(layers(&after).iter().all(|layer| is_within(layer, "blocks.")), "{:?}", layers(&after));
    assert!(trained(&mut once, &graph, 2) == trained(&mut again, &graph, 2), "other bits");
}

#[test]
fn one_layer_alone_is_computed_again() {
    for precision in precisions() {
        let (_, again) = session(|builder| builder.precision(precision).recompute("blocks.2")).unwrap();
        let after = again.plan().memory();
        assert!(!layers(&after).is_empty(), "{after}");
        assert!(layers(&after).iter().all(|layer| is_within(layer, "blocks.2")), "{:?}", layers(&after));
    }
}

#[test]
fn what_is_kept_is_not_computed_again() {
    precisions().into_iter().for_each(what_is_kept_stays);
}

fn what_is_kept_stays(precision: Precision) {
    let session = |options: &dyn Fn(SessionBuilder<'static>) -> SessionBuilder<'static>| {
        session(|builder| options(builder.precision(precision.clone())))
    };
    let (graph, mut once) = session(&|builder| builder).unwrap();
    let budget = part_of(&once.plan().memory(), 0.6);
    let (_, free) = session(&|builder| builder.memory_budget(budget)).unwrap();
    let is_kept = |layer: &String| layer.contains("linear1");
    assert!(layers(&free.plan().memory()).iter().any(is_kept), "{:?}", layers(&free.plan().memory()));
    let (_, mut again) = session(&|builder| builder.memory_budget(budget).keep("*.linear1")).unwrap_or_else(|error| {
        let Error::MemoryBudget { least, .. } = error else { panic!("{error}") };
        session(&|builder| builder.memory_budget(least).keep("*.linear1")).unwrap()
    });
    let after = again.plan().memory();
    assert!(!layers(&after).is_empty() && !layers(&after).iter().any(is_kept), "{:?}", layers(&after));
    assert!(trained(&mut once, &graph, 2) == trained(&mut again, &graph, 2), "other bits");
    // Of what has both, it is kept.
    let (_, both) = session(&|builder| builder.recompute("blocks.*").keep("*.linear1")).unwrap();
    assert!(!layers(&both.plan().memory()).iter().any(is_kept));
}

#[test]
fn expressions_of_a_name_are_computed_again() {
    let g = Graph::new();
    let x = g.input("x", [64, 32]);
    let w = g.parameter("w", [32, 256], Init::Normal { mean: 0.0, deviation: 0.1 });
    let u = g.parameter("u", [256, 32], Init::Normal { mean: 0.0, deviation: 0.1 });
    let v = g.parameter("v", [32, 512], Init::Normal { mean: 0.0, deviation: 0.1 });
    let wide = x.matmul(w).tanh().named("wide");
    let loss = wide.matmul(u).tanh().matmul(v).tanh().square().mean(..);
    for precision in precisions() {
        let builder = || Session::builder(Device::cpu()).precision(precision.clone());
        let mut once = builder().train(&g, loss, &Sgd::new(0.1)).unwrap();
        let mut again = builder().recompute("wide").train(&g, loss, &Sgd::new(0.1)).unwrap();
        let after = again.plan().memory();
        let cost = after.recomputation.clone().unwrap_or_else(|| panic!("{after}\n{}", once.plan()));
        assert_eq!(cost.steps.len(), 1, "{after}");
        assert!(cost.steps[0].computes.starts_with("wide"), "{after}");
        assert!(cost.steps[0].origin.file().ends_with("names.rs"), "{after}");
        assert!(again.plan().steps()[cost.steps[0].step].is_recomputed);
        assert!(again.plan().to_string().contains("(again)"));
        assert!(trained(&mut once, &g, 2) == trained(&mut again, &g, 2), "other bits");
    }
}

/// A view of a result stands for it, and of two names of one result each does.
#[test]
fn names_of_views_stand_for_what_is_viewed() {
    let g = Graph::new();
    let x = g.input("x", [64, 32]);
    let w = g.parameter("w", [32, 256], Init::Normal { mean: 0.0, deviation: 0.1 });
    let u = g.parameter("u", [256, 32], Init::Normal { mean: 0.0, deviation: 0.1 });
    let v = g.parameter("v", [32, 512], Init::Normal { mean: 0.0, deviation: 0.1 });
    let wide = x.matmul(w).tanh().named("wide");
    let heads = wide.reshape([64, 4, 64]).named("heads");
    // A name of what nothing needs is no mistake either.
    let _unused = x.exp().named("unused");
    let loss = heads.reshape([64, 256]).matmul(u).tanh().matmul(v).tanh().square().mean(..);
    let computed = |name: &str| {
        let builder = Session::builder(Device::cpu()).recompute(name);
        let memory = builder.train(&g, loss, &Sgd::new(0.1)).unwrap().plan().memory();
        memory.recomputation.map_or(Vec::new(), |cost| cost.steps.into_iter().map(|step| step.computes).collect())
    };
    let expected = computed("wide");
    assert_eq!(expected.len(), 1, "{expected:?}");
    assert_eq!(computed("heads"), expected);
    assert!(computed("unused").is_empty());
    let session =
        Session::builder(Device::cpu()).recompute("wide").keep("heads").train(&g, loss, &Sgd::new(0.1)).unwrap();
    assert!(session.plan().memory().recomputation.is_none());
}

/// A table that is updated in place costs no copy of itself, whether something is computed again or not.
#[test]
fn operations_are_counted_alike_with_a_table() {
    let g = Graph::new();
    let table = g.parameter("table", [10_000, 16], Init::Normal { mean: 0.0, deviation: 0.1 });
    let rows = table.index_select(0, g.input_of("i", [8], DType::I32));
    let w = g.parameter("w", [16, 256], Init::Normal { mean: 0.0, deviation: 0.1 });
    let u = g.parameter("u", [256, 16], Init::Normal { mean: 0.0, deviation: 0.1 });
    let v = g.parameter("v", [16, 512], Init::Normal { mean: 0.0, deviation: 0.1 });
    let wide = rows.matmul(w).tanh().named("wide");
    let loss = wide.matmul(u).tanh().matmul(v).tanh().square().mean(..);
    let session = Session::builder(Device::cpu()).recompute("wide").train(&g, loss, &Sgd::new(0.1)).unwrap();
    let cost = session.plan().memory().recomputation.expect("something is computed again");
    assert!(cost.operations > cost.operations_once && cost.more_operations() < 1.0, "{cost:?}");
}

/// A name of what is computed on the way to what a kernel stores stands for that.
#[test]
fn names_of_what_is_not_stored_stand_for_their_step() {
    let g = Graph::new();
    let x = g.input("x", [64, 32]);
    let u = g.parameter("u", [256, 32], Init::Normal { mean: 0.0, deviation: 0.1 });
    let v = g.parameter("v", [32, 512], Init::Normal { mean: 0.0, deviation: 0.1 });
    // The product and the sum with the bias end in the tangent, which its derivative reads.
    let inner = Linear::new("first", 32, 256).apply(x).named("inner");
    let loss = inner.tanh().named("wide").matmul(u).tanh().matmul(v).tanh().square().mean(..);
    for precision in precisions() {
        let recomputed = |options: &dyn Fn(SessionBuilder<'static>) -> SessionBuilder<'static>| {
            let builder = options(Session::builder(Device::cpu()).precision(precision.clone()));
            let session = builder.train(&g, loss, &Sgd::new(0.1)).unwrap();
            let recomputation = session.plan().memory().recomputation;
            recomputation.map_or(Vec::new(), |cost| cost.steps.into_iter().map(|step| step.computes).collect())
        };
        let wide = recomputed(&|builder| builder.recompute("wide"));
        assert!(wide.len() == 1 && wide[0].starts_with("wide"), "{wide:?}");
        assert_eq!(recomputed(&|builder| builder.recompute("inner")), wide);
        for kept in ["first", "inner", "wide"] {
            let computed = recomputed(&|builder| builder.recompute("wide").keep(kept));
            assert!(computed.is_empty(), "{kept}: {computed:?}");
        }
    }
}

#[test]
fn a_name_that_nothing_has_is_refused() {
    let error = session(|builder| builder.keep("blokcs.*")).err().unwrap();
    let Error::UnmatchedName { pattern, known } = &error else { panic!("{error}") };
    assert_eq!(pattern, "blokcs.*");
    assert!(known.contains("blocks.0"), "{known}");
    // What the optimiser calls its own is no name that anybody gave.
    let graph = Graph::new();
    let w = graph.parameter("w", [4, 4], Init::Constant(0.1));
    let loss = graph.input("x", [2, 4]).matmul(w).tanh().named("hidden").square().mean(..).named("loss");
    let error = Session::builder(Device::cpu()).keep("hiden").train(&graph, loss, &AdamW::new(1e-3)).err().unwrap();
    assert!(matches!(&error, Error::UnmatchedName { known, .. } if known == "\"hidden\", \"loss\""), "{error}");
    let error = session(|builder| builder.recompute("")).err().unwrap();
    assert!(matches!(error, Error::UnmatchedName { .. }), "{error}");
}

/// A trainer's evaluations need not have the names of its training function.
#[test]
fn an_evaluation_need_not_have_a_name() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        let g = inputs.graph();
        let w = g.parameter("w", [5, 4], Init::Constant(0.1));
        inputs.get("x").matmul(w).tanh().named("hidden").square().mean(..)
    })
    .keep("hidden");
    let sum = trainer.add_evaluation(|inputs| vec![inputs.get("x").sum(..)]);
    let g = Graph::new();
    let _ = g.input("x", [3, 5]);
    let given = inputs(&g, 1);
    trainer.step(&borrowed(&given)[..]).unwrap();
    trainer.evaluate(sum, &borrowed(&given)[..]).unwrap();
    let mut other = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        let w = inputs.graph().parameter("w", [5, 4], Init::Constant(0.1));
        inputs.get("x").matmul(w).square().mean(..)
    })
    .keep("hidden");
    let error = other.step(&borrowed(&given)[..]).err().unwrap();
    assert!(matches!(error, Error::UnmatchedName { .. }), "{error}");
}
