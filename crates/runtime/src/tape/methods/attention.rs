//! Attention and rotary positions of variables, whose mask and positions may be left out.

#[allow(unused_imports)]
use arenagrad_graph::Expr;
use arenagrad_graph::{Attention, Origin, RotaryEmbedding};

use crate::tape::Variable;

impl Variable {
    /// Attention of these queries over keys and values, whose scores a mask may change. See
    /// [`Expr::scaled_dot_product_attention`](crate::Expr::scaled_dot_product_attention).
    #[track_caller]
    pub fn scaled_dot_product_attention(
        &self,
        key: &Variable,
        value: &Variable,
        mask: Option<&Variable>,
        options: Attention,
    ) -> Variable {
        let mut operands = vec![self, key, value];
        operands.extend(mask);
        let origin = Origin::here();
        Variable::new(self.tape_inner().record("scaled_dot_product_attention", &operands, origin, |_, x| {
            Ok(x[0].scaled_dot_product_attention(x[1], x[2], x.get(3).copied(), options))
        }))
    }

    /// Queries or keys turned by their positions, which count from 0 if they are not given. See
    /// [`Expr::rotary_embedding`](crate::Expr::rotary_embedding).
    #[track_caller]
    pub fn rotary_embedding(&self, positions: Option<&Variable>, options: RotaryEmbedding) -> Variable {
        let mut operands = vec![self];
        operands.extend(positions);
        let origin = Origin::here();
        Variable::new(self.tape_inner().record("rotary_embedding", &operands, origin, |_, x| {
            Ok(x[0].rotary_embedding(x.get(1).copied(), options))
        }))
    }
}

methods! {
    /// The features of each position as so many heads beside one another.
    split_heads(; heads: usize);
    /// Heads as the features of each position.
    merge_heads(;);
}
