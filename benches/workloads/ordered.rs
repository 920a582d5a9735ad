//! Operators that depend on the order of elements, on 4 Mi floats of one axis: cumulative sums, sorting, the largest few.

use arenagrad::{Error, Expr, Graph};

use crate::data::normal_parameter;
use crate::{Kind, Workload};

const ELEMENTS: usize = 4 << 20;

/// How many of the largest are wanted.
const LARGEST: usize = 64;

/// In PyTorch `torch.cumsum(x, 0)`, in JAX `jax.numpy.cumsum(x)`.
pub(crate) const CUMSUM: Workload =
    Workload { name: "cumsum", about: "cumulative sums of 4 Mi floats", kind: Kind::Operator { define: cumsum } };

/// In PyTorch `torch.sort(x, stable=True)`, in JAX `jax.lax.sort((x, jax.numpy.arange(x.size, dtype="int32")), num_keys=1)`.
pub(crate) const SORT: Workload =
    Workload { name: "sort", about: "4 Mi floats sorted, values and indices", kind: Kind::Operator { define: sort } };

/// In PyTorch `torch.topk(x, 64)`, in JAX `jax.lax.top_k(x, 64)`.
pub(crate) const TOPK: Workload = Workload {
    name: "topk",
    about: "the 64 largest of 4 Mi floats, values and indices",
    kind: Kind::Operator { define: topk },
};

fn floats(graph: &Graph) -> Expr<'_> {
    graph.parameter("x", [ELEMENTS], normal_parameter(1.0))
}

fn cumsum(graph: &Graph) -> Result<Vec<Expr<'_>>, Error> {
    Ok(vec![floats(graph).cumsum(0)])
}

fn sort(graph: &Graph) -> Result<Vec<Expr<'_>>, Error> {
    let (values, indices) = floats(graph).sort(0, false);
    Ok(vec![values, indices])
}

fn topk(graph: &Graph) -> Result<Vec<Expr<'_>>, Error> {
    let (values, indices) = floats(graph).topk(LARGEST, 0, true);
    Ok(vec![values, indices])
}
