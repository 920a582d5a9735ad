//! Causal attention of 4 samples and 8 heads over 256 positions of 64 numbers, and a weighted sum of it.

use arenagrad::{Attention, DType, Error, Expr, Graph};

use crate::data::normal_parameter;
use crate::program::Model;
use crate::{Kind, Workload};

/// Samples, heads, positions, numbers at each.
const SHAPE: [usize; 4] = [4, 8, 256, 64];

pub(crate) const ATTENTION: Workload = Workload {
    name: "attention",
    about: "causal attention, batch 4, 8 heads, 256 positions of 64",
    kind: Kind::Model { define, update: None },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let [q, k, v] = ["q", "k", "v"].map(|name| graph.parameter(name, SHAPE, normal_parameter(1.0)));
    // A state is not differentiated and stays on the device, as queries, keys and values do.
    let weights = graph.state("weights", SHAPE, DType::F32, normal_parameter(1.0));
    Ok(Model { loss: (causal_attention(q, k, v) * weights).sum(..), inputs: Vec::new() })
}

/// Attention where a position sees itself and what stands before it: three times `[.., t, d] -> [.., t, d]`.
pub(super) fn causal_attention<'g>(q: Expr<'g>, k: Expr<'g>, v: Expr<'g>) -> Expr<'g> {
    q.scaled_dot_product_attention(k, v, None, Attention { is_causal: true, ..Attention::default() })
}
