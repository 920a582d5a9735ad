//! Layers of networks: values that know their name and extents, hold no node and borrow no graph. A function can return a
//! network, a struct can hold one, and one network serves any batch size, graph, session and tape.
//!
//! A layer declares its parameters where it is first applied in a graph, under its name (`head.weight`, `head.bias`), and
//! finds them again at the next application. Names and layouts are those of PyTorch's modules. The dtype is that of what
//! it is applied to.
//!
//! Invariants: applying a layer has no effect but on the graph; the same layer in two graphs has the same parameters, because
//! they have the same names. This does not know values, optimisers or sessions.

mod attention;
mod linear;
mod parameter;
mod phase;
mod recurrent;

pub use attention::{AttentionMasks, AttentionWeights, GroupedQueryAttention, MultiHeadAttention};
pub use linear::Linear;
pub use parameter::{Parameter, State};
pub use phase::Phase;
pub use recurrent::{Gru, GruCell, Lstm, LstmCell, Nonlinearity, Rnn, RnnCell};

use crate::expr::Expr;

/// A layer of one operand and one result, or a network made of such: what [`Sequential`](crate::nn) chains. Every layer of this
/// module is one; those to which the phase makes no difference have a method `apply(x)` beside it.
pub trait Layer {
    /// The layer applied to `x`.
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g>;
}
