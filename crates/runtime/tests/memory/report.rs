//! What a report says is what the plan's steps and buffers say.

use super::networks;
use crate::suite::devices::gpu;
use arenagrad::plan::{BufferRole, MemoryRole};
use arenagrad::{Adam, DType, Device, Graph, Init, Session, StorageType};

#[test]
fn parts_of_a_report_fit_together() {
    for network in networks::ALL {
        let g = Graph::new();
        let loss = (network.loss)(&g, DType::F32);
        let session = Session::train(&g, loss, Adam::new(1e-3), Device::cpu()).unwrap();
        let (plan, memory) = (session.plan(), session.plan().memory());
        let name = network.name;
        assert_eq!(memory.step_bytes.len(), plan.steps().len(), "{name}");
        assert_eq!(memory.step_bytes.iter().max(), Some(&memory.peak_bytes), "{name}");
        assert_eq!(memory.step_bytes[memory.peak_step.unwrap()], memory.peak_bytes, "{name}");
        assert_eq!(memory.held.iter().map(|held| held.bytes).sum::<u64>(), memory.peak_bytes, "{name}");
        let by_role: u64 = MemoryRole::ALL.iter().map(|&role| memory.bytes_of(role)).sum();
        assert_eq!(by_role, memory.peak_bytes, "{name}");
        assert!(memory.peak_bytes <= memory.allocated_bytes, "{name}");
        assert!(memory.held.is_sorted_by(|a, b| a.bytes >= b.bytes), "{name}");
        assert!(memory.activation_bytes > 0 && memory.recomputation.is_none(), "{name}");
        // No slot holds two results at once, and each has room for what it holds.
        let mut slots = std::collections::HashSet::new();
        for held in memory.held.iter().filter(|held| held.role != MemoryRole::Loop) {
            let buffer = held.buffer.unwrap();
            assert!(slots.insert(buffer), "{name}: {held:?}");
            assert!(plan.buffers()[buffer as usize].elements >= held.shape.elements(), "{name}: {held:?}");
        }
        // What a step reads is held then.
        let peak = memory.peak_step.unwrap();
        for (read, buffer) in &plan.steps()[peak].reads {
            assert!(memory.held.iter().any(|held| held.buffer == Some(*buffer)), "{name}: {read} in b{buffer}");
        }
        let bytes = |wanted: fn(&BufferRole) -> bool| {
            let own = plan.buffers().iter().filter(|spec| wanted(&spec.role));
            own.map(|spec| (spec.elements * spec.storage.bytes()) as u64).sum::<u64>()
        };
        assert_eq!(memory.bytes_of(MemoryRole::Input), bytes(|role| matches!(role, BufferRole::Input(_))), "{name}");
        let own = memory.bytes_of(MemoryRole::Parameter) + memory.bytes_of(MemoryRole::State);
        assert_eq!(own, bytes(|role| matches!(role, BufferRole::Parameter(_))), "{name}");
        assert!(memory.to_string().lines().count() > 5, "{name}: {memory}");
    }
}

#[test]
fn a_small_step_by_hand() {
    let g = Graph::new();
    let x = g.input("x", [50, 20]);
    let w = g.parameter("w", [20, 30], Init::Constant(0.1));
    let v = g.parameter("v", [30, 5], Init::Constant(0.1));
    let hidden = x.matmul(w).tanh().named("hidden");
    let loss = hidden.matmul(v).square().mean(..);
    let session = Session::train(&g, loss, Adam::new(1e-3), Device::cpu()).unwrap();
    let memory = session.plan().memory();
    assert_eq!(memory.bytes_of(MemoryRole::Parameter), 4 * 750);
    assert_eq!(memory.bytes_of(MemoryRole::Input), 4 * 1000);
    // Two moments of each parameter's size, and scalars.
    let states = memory.bytes_of(MemoryRole::State);
    assert!((8 * 750..8 * 750 + 64).contains(&states), "{memory}");
    let held = memory.held.iter().find(|held| held.name == "hidden").unwrap_or_else(|| panic!("{memory}"));
    assert_eq!((held.bytes, held.shape.dims(), held.storage), (4 * 1500, &[50, 30][..], Some(StorageType::F32)));
    assert_eq!(held.role, MemoryRole::Activation, "{memory}");
    assert!(held.origin.unwrap().file().ends_with("report.rs"), "{memory}");
    let text = memory.to_string();
    for part in ["peak: ", "allocated: ", "parameter", "2,400", "hidden: f32[50, 30]", "report.rs:"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn storage_types_and_layers_are_told() {
    let g = Graph::new();
    let x = g.input_of("x", [10, 8], StorageType::Bf16);
    let mask = g.input_of("mask", [10, 8], DType::Bool);
    let layer = arenagrad::nn::Linear::new("head", 8, 4);
    let y = layer.apply(mask.where_(x, 0.0)).tanh();
    let loss = y.square().mean(..);
    let session = Session::train(&g, loss, Adam::new(1e-3), Device::cpu()).unwrap();
    let memory = session.plan().memory();
    let of = |name: &str| memory.held.iter().find(|held| held.name == name).map(|held| held.bytes);
    assert_eq!((of("x"), of("mask")), (Some(160), Some(80)));
    if let Some(device) = gpu() {
        let session = Session::train(&g, loss, Adam::new(1e-3), device).unwrap();
        let memory = session.plan().memory();
        let of = |name: &str| memory.held.iter().find(|held| held.name == name).map(|held| held.bytes);
        // There a bool is a word.
        assert_eq!((of("x"), of("mask")), (Some(160), Some(320)));
    }
}

#[test]
fn layers_that_made_what_is_held_are_named() {
    let g = Graph::new();
    let loss = (networks::ALL[0].loss)(&g, DType::F32);
    let session = Session::train(&g, loss, Adam::new(1e-3), Device::cpu()).unwrap();
    let memory = session.plan().memory();
    for block in 0..3 {
        let is_of = |layer: &String| layer.starts_with(&format!("blocks.{block}"));
        assert!(memory.held.iter().any(|held| held.layer.as_ref().is_some_and(is_of)), "{block}: {memory}");
    }
}

#[test]
fn loops_are_counted() {
    let g = Graph::new();
    let loss = (networks::ALL[2].loss)(&g, DType::F32);
    let session = Session::train(&g, loss, Adam::new(1e-3), Device::cpu()).unwrap();
    let memory = session.plan().memory();
    let loops = session.plan().steps().iter().filter(|step| step.body().is_some()).count();
    let held: Vec<_> = memory.held.iter().filter(|held| held.role == MemoryRole::Loop).collect();
    assert!(loops > 0 && held.len() == loops, "{memory}");
    for held in held {
        let body = session.plan().steps()[held.computed_in.unwrap()].body().unwrap();
        let all: u64 = body.buffers().iter().map(|spec| (spec.elements * spec.storage.bytes()) as u64).sum();
        assert!(held.bytes > 0 && held.bytes <= all, "{held:?}, {all}");
    }
}

#[test]
fn a_plan_without_steps_has_a_report() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    let session = Session::evaluate(&g, &[x], &Device::cpu()).unwrap();
    let memory = session.plan().memory();
    assert_eq!(memory.bytes_of(MemoryRole::Input), 12);
    assert!(memory.to_string().starts_with("peak: "), "{memory}");
}
