//! Attention layers: what all of them share, which is the way from queries, keys and values of several heads to what each
//! position takes from the positions that it attends.
//!
//! Masks mean what they mean in PyTorch's `MultiheadAttention`: true hides. (In [`Expr::scaled_dot_product_attention`] true
//! shows, as in PyTorch's function of that name.)
//!
//! Without probabilities that are asked for or dropped, no table of them is stored: the operator does the whole.

mod grouped_query;
mod multi_head;

pub use grouped_query::GroupedQueryAttention;
pub use multi_head::MultiHeadAttention;

use crate::compose::Attention;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::Phase;
use crate::shape::Shape;

/// Which positions a layer of attention may not attend; the default hides none.
///
/// ```
/// use arenagrad_graph::{DType, Graph};
/// use arenagrad_graph::nn::AttentionMasks;
///
/// let g = Graph::new();
/// let is_padding = g.input_of("is_padding", [8, 20], DType::Bool);
/// let masks = AttentionMasks::causal().key_padding(is_padding);
/// assert!(masks.is_causal && masks.attention.is_none());
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "masks do nothing until attention takes them"]
pub struct AttentionMasks<'g> {
    /// `[batch, keys]`, or `[keys]` where there is no batch: bool, true where a key is padding and is attended by none; or
    /// floats, added to the scores of the key. (PyTorch's `key_padding_mask`.)
    pub key_padding: Option<Expr<'g>>,
    /// `[positions, keys]` for all, `[batch * heads, positions, keys]`, or what broadcasts to `[batch, heads, positions,
    /// keys]`: bool, true where the position may not attend the key; or floats, added to the scores. (PyTorch's `attn_mask`.)
    pub attention: Option<Expr<'g>>,
    /// Whether position `t` attends the keys `0..=t` alone, beside what the masks say. (PyTorch's `is_causal`.)
    pub is_causal: bool,
}

impl<'g> AttentionMasks<'g> {
    /// Nothing is hidden.
    pub fn none() -> Self {
        AttentionMasks::default()
    }

    /// What comes later is hidden.
    pub fn causal() -> Self {
        AttentionMasks { is_causal: true, ..AttentionMasks::default() }
    }

    /// With [`AttentionMasks::key_padding`].
    pub fn key_padding(self, mask: Expr<'g>) -> Self {
        AttentionMasks { key_padding: Some(mask), ..self }
    }

    /// With [`AttentionMasks::attention`].
    pub fn attention(self, mask: Expr<'g>) -> Self {
        AttentionMasks { attention: Some(mask), ..self }
    }
}

/// In which form the probabilities come back with which positions attend keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AttentionWeights {
    /// Their mean over the heads: `[batch, positions, keys]`.
    #[default]
    Averaged,
    /// Those of each head: `[batch, heads, positions, keys]`.
    PerHead,
}

/// Attention of heads: queries `[batch, heads, positions, depth]`, keys and values `[batch, groups, keys, ..]`, where each
/// group serves as many neighbouring heads as there are more of these.
struct Heads<'g> {
    query: Expr<'g>,
    key: Expr<'g>,
    value: Expr<'g>,
    scale: Option<f64>,
    dropout: f64,
}

impl<'g> Heads<'g> {
    /// What each position takes, the heads merged: `[batch, positions, heads * width]`; and the probabilities of each head if
    /// they are asked for.
    #[track_caller]
    fn attended(
        self,
        masks: AttentionMasks<'g>,
        phase: Phase,
        wants_weights: bool,
        op: &'static str,
    ) -> Option<(Expr<'g>, Option<Expr<'g>>)> {
        let shapes = self.shapes(op)?;
        let mask = match (self.key_padding(masks.key_padding, &shapes, op)?, masks.attention) {
            (padding, None) => padding,
            (None, Some(mask)) => Some(self.attention_mask(mask, &shapes, op)?),
            (Some(padding), Some(mask)) => Some(self.both(padding, self.attention_mask(mask, &shapes, op)?, op)?),
        };
        let drops = phase.is_training() && self.dropout != 0.0;
        if !(wants_weights || drops) {
            // A rate that is none is refused in either phase.
            let query = self.query.dropout_in(phase, self.dropout);
            let options = Attention { is_causal: masks.is_causal, scale: self.scale, enable_gqa: true };
            let mask = mask.map(|mask| self.shown(mask));
            let attended = query.scaled_dot_product_attention(self.key, self.value, mask, options);
            return Some((attended.merge_heads(), None));
        }
        let weights = self.weights(mask, masks.is_causal, &shapes).dropout_in(phase, self.dropout);
        let rank_5 = weights.unflatten(1, [shapes.groups, shapes.heads / shapes.groups.max(1)]);
        let attended = rank_5.matmul(self.value.unsqueeze(2)).flatten_axes(1, 2);
        Some((attended.merge_heads(), Some(weights)))
    }

    /// The probabilities, `[batch, heads, positions, keys]`; 0 in a row that may attend nothing.
    #[track_caller]
    fn weights(&self, mask: Option<Expr<'g>>, is_causal: bool, shapes: &Extents) -> Expr<'g> {
        let scale = self.scale.unwrap_or_else(|| 1.0 / (shapes.depth.max(1) as f64).sqrt());
        let query = (self.query * scale).unflatten(1, [shapes.groups, shapes.heads / shapes.groups.max(1)]);
        let mut scores = query.matmul_with(self.key.unsqueeze(2), false, true).flatten_axes(1, 2);
        scores = match mask {
            Some(mask) if mask.dtype() == Ok(DType::Bool) => mask.where_(f64::NEG_INFINITY, scores),
            Some(mask) => scores + mask,
            None => scores,
        };
        if is_causal {
            let graph = scores.graph();
            let table = [shapes.positions, shapes.keys];
            let is_hidden = graph.iota(table, 1).greater(graph.iota(table, 0));
            scores = is_hidden.where_(f64::NEG_INFINITY, scores);
        }
        if shapes.keys == 0 {
            return scores;
        }
        let is_empty = scores.max_keepdims(-1).equal(f64::NEG_INFINITY);
        is_empty.where_(0.0, is_empty.where_(0.0, scores).softmax(-1))
    }

    #[track_caller]
    fn shapes(&self, op: &'static str) -> Option<Extents> {
        let graph = self.query.graph();
        let origin = graph.origin_or(crate::Origin::here());
        let read = |expr: Expr<'g>| expr.read(op, origin, |_, node| node.shape.clone());
        let (query, key, value) = (read(self.query)?, read(self.key)?, read(self.value)?);
        let (heads, groups) = (query[1], key[1]);
        if groups == 0 || heads % groups != 0 {
            let (query_shape, key_shape) = (query, key);
            let (query, key) = (self.query.describe(), self.key.describe());
            let error = GraphError::Heads { origin, op, query, query_shape, heads, key, key_shape, groups };
            return self.query.fail_without(error);
        }
        for axis in [0, 2] {
            if key[axis] != value[axis] {
                let (lhs, rhs, left, right) = (self.key.describe(), self.value.describe(), key[axis], value[axis]);
                let (lhs_shape, rhs_shape) = (key, value);
                let error = GraphError::Extent { origin, op, axis, lhs, lhs_shape, rhs, rhs_shape, left, right };
                return self.query.fail_without(error);
            }
        }
        if query[0] != key[0] {
            let (lhs, rhs, left, right) = (self.query.describe(), self.key.describe(), query[0], key[0]);
            let (lhs_shape, rhs_shape) = (query, key);
            let error = GraphError::Extent { origin, op, axis: 0, lhs, lhs_shape, rhs, rhs_shape, left, right };
            return self.query.fail_without(error);
        }
        let [batch, positions, keys, depth] = [query[0], query[2], key[2], query[3]];
        Some(Extents { batch, heads, groups, positions, keys, depth })
    }

    /// A mask of keys as `[batch, 1, 1, keys]`.
    #[track_caller]
    fn key_padding(&self, mask: Option<Expr<'g>>, extents: &Extents, op: &'static str) -> Option<Option<Expr<'g>>> {
        let Some(mask) = mask else { return Some(None) };
        let shape = self.mask_shape(mask, op)?;
        let (batch, keys) = (extents.batch, extents.keys);
        let is_whole = shape.dims() == [batch, keys] || batch == 1 && shape.dims() == [keys];
        if !is_whole {
            return self.does_not_broadcast(mask, shape, [batch, keys], op);
        }
        Some(Some(mask.reshape([batch, 1, 1, keys])))
    }

    /// A mask of positions and keys, of rank 2 or 4.
    #[track_caller]
    fn attention_mask(&self, mask: Expr<'g>, extents: &Extents, op: &'static str) -> Option<Expr<'g>> {
        let shape = self.mask_shape(mask, op)?;
        let Extents { batch, heads, positions, keys, .. } = *extents;
        let whole = Shape::from([batch, heads, positions, keys]);
        if shape.rank() == 3 {
            let by_heads = [batch * heads, positions, keys];
            if shape.dims() != by_heads {
                return self.does_not_broadcast(mask, shape, by_heads, op);
            }
            return Some(mask.reshape(whole));
        }
        if shape.broadcast(&whole).as_ref() != Ok(&whole) {
            return self.does_not_broadcast(mask, shape, whole, op);
        }
        Some(mask)
    }

    /// The shape of a mask that is of the queries' graph, and bool or of their dtype.
    #[track_caller]
    fn mask_shape(&self, mask: Expr<'g>, op: &'static str) -> Option<Shape> {
        let origin = self.query.graph().origin_or(crate::Origin::here());
        self.query.same_graph(mask, op, origin)?;
        let (shape, dtype) = mask.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let expected = self.query.read(op, origin, |_, node| node.dtype)?;
        if dtype != DType::Bool && dtype != expected {
            let (operand, expected) = (mask.describe(), "bool or the dtype of the queries");
            return self.query.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        Some(shape)
    }

    #[track_caller]
    fn does_not_broadcast<T>(&self, mask: Expr<'g>, from: Shape, to: impl Into<Shape>, op: &'static str) -> Option<T> {
        let (origin, operand) = (self.query.graph().origin_or(crate::Origin::here()), mask.describe());
        self.query.fail_without(GraphError::BroadcastTo { origin, op, operand, from, to: to.into() })
    }

    /// Two masks as one: what either hides, or the sum of what they add.
    #[track_caller]
    fn both(&self, first: Expr<'g>, second: Expr<'g>, op: &'static str) -> Option<Expr<'g>> {
        let origin = self.query.graph().origin_or(crate::Origin::here());
        let is_bool = |mask: Expr<'g>| Some(mask.read(op, origin, |_, node| node.dtype)? == DType::Bool);
        Some(match (is_bool(first)?, is_bool(second)?) {
            (true, true) => first.bitwise_or(second),
            (false, false) => first + second,
            (true, false) => first.where_(f64::NEG_INFINITY, second),
            (false, true) => second.where_(f64::NEG_INFINITY, first),
        })
    }

    /// A mask as the operator takes it: true where a key is attended.
    #[track_caller]
    fn shown(&self, mask: Expr<'g>) -> Expr<'g> {
        if mask.dtype() == Ok(DType::Bool) { mask.bitwise_not() } else { mask }
    }
}

/// The extents of attention of heads.
struct Extents {
    batch: usize,
    heads: usize,
    groups: usize,
    positions: usize,
    keys: usize,
    depth: usize,
}
