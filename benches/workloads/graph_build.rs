//! A graph of a million nodes, through the same expressions that any program uses. The arena grows as it fills.

use arenagrad::{Graph, GraphError, Init};

use crate::{Kind, Workload};

const ROUNDS: usize = 333_332;

pub(crate) const GRAPH_BUILD: Workload =
    Workload { name: "graph_build", about: "a graph of 1,000,000 nodes", kind: Kind::Construction { build } };

/// Three parameters, a chain of three nodes a round, and one node more.
fn build() -> Result<Graph, GraphError> {
    let graph = Graph::new();
    {
        let [x, w, b] = ["x", "w", "b"].map(|name| graph.parameter(name, [64], Init::Constant(0.5)));
        let mut h = x;
        for _ in 0..ROUNDS {
            h = (h * w + b).tanh();
        }
        let _output = h.relu().check()?;
    }
    Ok(graph)
}
