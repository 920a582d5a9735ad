//! What the suites share: the devices to test, the reference evaluator, running a graph, random numbers and random graphs.
//!
//! Nothing here asserts anything about the engine; the suites do.
#![allow(dead_code, unreachable_pub)] // Each suite uses a part of it.

pub mod devices;
#[path = "../../../graph/tests/evaluate/mod.rs"]
pub mod evaluate;
pub mod exact;
pub mod layers;
pub mod members;
pub mod random;
pub mod random_graph;
pub mod respawn;
pub mod run;
