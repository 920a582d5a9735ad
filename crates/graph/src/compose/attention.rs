//! Scaled dot-product attention: what a caller may ask for, and the formula composed of products and exponentials.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::{AttentionNode, AttentionResult, Op};
use crate::shape::Shape;

/// The options of attention; the default attends every key, with a scale of `1 / sqrt(depth)`. More may come: write yours over the default,
/// `Attention { is_causal: true, ..Attention::default() }`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "options do nothing until attention takes them"]
pub struct Attention {
    /// Whether position `t` attends the keys `0..=t` alone. With fewer or more keys than positions it is so too: the lower triangle
    /// begins at the upper left corner.
    pub is_causal: bool,
    /// What the products of queries and keys are multiplied by; `None`: `1 / sqrt(depth)`.
    pub scale: Option<f64>,
    /// Whether heads stand along the third axis from the end, and each head of `key` and `value` serves as many neighbouring heads of the
    /// query as there are more of these (grouped-query attention). Otherwise that axis is one of the batch.
    pub enable_gqa: bool,
}

/// The largest depth or width of a head that has a kernel of its own: past that, products and a softmax are the better kernels.
const LARGEST_WIDTH: usize = 256;

const OP: &str = "scaled_dot_product_attention";

impl<'g> Expr<'g> {
    /// Attention (Vaswani et al., 2017): `softmax(scale * q k^T + mask) v`, for this expression as the queries
    /// `[.., positions, depth]`, keys `[.., keys, depth]` and values `[.., keys, width]`; the result is `[.., positions, width]`. Axes in
    /// front broadcast. Floats. (PyTorch's `scaled_dot_product_attention`.)
    ///
    /// The mask broadcasts to `[.., positions, keys]`. One of bool is true where a key is attended; one of floats is added to the scores, and
    /// has a gradient. A position that attends no key at all gives 0, and so does its gradient. An element of the values that is NaN
    /// or infinite may reach positions that give it no weight, for 0 times it is NaN.
    ///
    /// No whole table of scores or probabilities is stored, forward or backward: memory grows with the positions, not with their square (on a
    /// software adapter a block of scores of bounded size is). What does store tables are the gradient of a mask, forward mode,
    /// derivatives of derivatives, and heads without elements or wider than 256.
    ///
    /// Errors: operands of less than rank 2; depths, keys or axes in front that differ; with [`Attention::enable_gqa`] less than rank 3, or heads that
    /// are no multiple of the keys'; a mask that does not broadcast, or that is neither bool nor of the queries' dtype.
    ///
    /// ```
    /// use arenagrad_graph::{Attention, Graph};
    ///
    /// let g = Graph::new();
    /// let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, [2, 8, 128, 64]));
    /// let causal = Attention { is_causal: true, ..Attention::default() };
    /// let y = q.scaled_dot_product_attention(k, v, None, causal);
    /// assert_eq!(y.shape()?.dims(), &[2, 8, 128, 64]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn scaled_dot_product_attention(
        self,
        key: Expr<'g>,
        value: Expr<'g>,
        mask: Option<Expr<'g>>,
        options: Attention,
    ) -> Expr<'g> {
        let method = self.enter(OP);
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph_all(&[Some(key), Some(value), mask], OP, origin).is_none() {
            return poisoned;
        }
        let operands = [self, key, value];
        let mut shapes = Vec::with_capacity(3);
        for operand in operands {
            let Some(read) = operand.read(OP, origin, |_, node| (node.shape.clone(), node.dtype)) else {
                return poisoned;
            };
            shapes.push(read);
        }
        let mask_read = match mask.map(|mask| mask.read(OP, origin, |_, node| (node.shape.clone(), node.dtype))) {
            Some(None) => return poisoned,
            Some(Some(read)) => Some(read),
            None => None,
        };
        let asked = Asked { operands, shapes: &shapes, mask: mask.zip(mask_read), options, origin };
        match asked.shapes() {
            Ok(shapes) => asked.build(&shapes),
            Err(error) => self.fail(error),
        }
    }
}

/// What a caller asks for.
struct Asked<'g, 'a> {
    operands: [Expr<'g>; 3],
    shapes: &'a [(Shape, DType)],
    mask: Option<(Expr<'g>, (Shape, DType))>,
    options: Attention,
    origin: Origin,
}

/// The shapes that the operands are brought to, all of one rank, and that of the result.
struct Brought {
    query: Shape,
    key: Shape,
    value: Shape,
    mask: Option<Shape>,
    result: Shape,
}

impl<'g> Asked<'g, '_> {
    /// Checks the operands, and finds how they are brought to one rank with the heads along the third axis from the end.
    fn shapes(&self) -> Result<Brought, GraphError> {
        let Asked { operands: [query, key, value], shapes, options, origin, .. } = *self;
        let least = if options.enable_gqa { 3 } else { 2 };
        for (operand, (shape, dtype)) in self.operands.iter().zip(shapes) {
            if !dtype.is_float() {
                let (operand, dtype, expected) = (operand.describe(), *dtype, "a float");
                return Err(GraphError::DType { origin, op: OP, operand, dtype, expected });
            }
            if *dtype != shapes[0].1 {
                return Err(self.dtypes_differ(*operand, *dtype));
            }
            if shape.rank() < least {
                let (operand, rank, expected) = (operand.describe(), shape.rank(), format!("rank {least} or more"));
                return Err(GraphError::Rank { origin, op: OP, operand, shape: shape.clone(), rank, expected });
            }
        }
        let [q, k, v] = [0, 1, 2].map(|place| &shapes[place].0);
        let last = |shape: &Shape, from_end: usize| shape[shape.rank() - from_end];
        let extent = |lhs: Expr<'g>, lhs_shape: &Shape, rhs: Expr<'g>, rhs_shape: &Shape, from_end: usize| {
            let (left, right) = (last(lhs_shape, from_end), last(rhs_shape, from_end));
            if left == right {
                return Ok(());
            }
            Err(GraphError::Extent {
                origin,
                op: OP,
                axis: lhs_shape.rank() - from_end,
                lhs: lhs.describe(),
                lhs_shape: lhs_shape.clone(),
                rhs: rhs.describe(),
                rhs_shape: rhs_shape.clone(),
                left,
                right,
            })
        };
        extent(query, q, key, k, 1)?;
        extent(key, k, value, v, 2)?;
        // Heads that share their keys and values need not be grouped by the caller: one head of these serves all.
        let is_shared = [q, k, v].iter().all(|shape| shape.rank() >= 3) && last(k, 3) == 1 && last(v, 3) == 1;
        let own = if options.enable_gqa || is_shared { 3 } else { 2 };
        if options.enable_gqa {
            extent(key, k, value, v, 3)?;
            let (heads, groups) = (last(q, 3), last(k, 3));
            if !heads.is_multiple_of(groups) {
                return Err(GraphError::Heads {
                    origin,
                    op: OP,
                    query: query.describe(),
                    query_shape: q.clone(),
                    heads,
                    key: key.describe(),
                    key_shape: k.clone(),
                    groups,
                });
            }
        }
        let front = |shape: &Shape| Shape::from(&shape[..shape.rank() - own]);
        let broadcast = |lhs: Shape, rhs: &Shape, of: Expr<'g>| {
            lhs.broadcast(&front(rhs)).map_err(|(left, right)| GraphError::Broadcast {
                origin,
                op: OP,
                lhs: query.describe(),
                lhs_shape: q.clone(),
                rhs: of.describe(),
                rhs_shape: rhs.clone(),
                left,
                right,
            })
        };
        let batch = broadcast(broadcast(front(q), k, key)?, v, value)?;
        let with = |shape: &Shape| -> Shape {
            let heads = (own == 2 && batch.rank() == 0).then_some(1);
            batch.iter().copied().chain(heads).chain(shape[shape.rank() - own..].iter().copied()).collect()
        };
        let (query, key, value) = (with(q), with(k), with(v));
        let rank = query.rank();
        let scores = query.with_extent(rank - 1, key[rank - 2]);
        let wide = query.with_extent(rank - 1, value[rank - 1]);
        let result = if own == 2 && batch.rank() == 0 { Shape::from(&wide[1..]) } else { wide };
        let mask = match &self.mask {
            Some((mask, (shape, dtype))) => Some(self.mask_shape(*mask, shape, *dtype, &scores)?),
            None => None,
        };
        Ok(Brought { query, key, value, mask, result })
    }

    /// The shape of the mask with as many axes as the scores have.
    fn mask_shape(&self, mask: Expr<'g>, shape: &Shape, dtype: DType, scores: &Shape) -> Result<Shape, GraphError> {
        if dtype != DType::Bool && dtype != self.shapes[0].1 {
            return Err(self.dtypes_differ(mask, dtype));
        }
        let rank = scores.rank();
        let missing = rank.checked_sub(shape.rank());
        let fits =
            |missing: usize| shape.iter().zip(&scores[missing..]).all(|(&own, &extent)| own == 1 || own == extent);
        match missing.filter(|&missing| fits(missing)) {
            Some(missing) => Ok(std::iter::repeat_n(1, missing).chain(shape.iter().copied()).collect()),
            None => Err(GraphError::BroadcastTo {
                origin: self.origin,
                op: OP,
                operand: mask.describe(),
                from: shape.clone(),
                to: scores.clone(),
            }),
        }
    }

    fn dtypes_differ(&self, operand: Expr<'g>, right: DType) -> GraphError {
        let (lhs, left, rhs) = (self.operands[0].describe(), self.shapes[0].1, operand.describe());
        GraphError::DTypesDiffer { origin: self.origin, op: OP, lhs, left, rhs, right }
    }

    fn build(&self, shapes: &Brought) -> Expr<'g> {
        let Asked { operands: [query, key, value], options, origin, .. } = *self;
        let graph = query.graph();
        let brought = |operand: Expr<'g>, to: &Shape| {
            let own = operand.read(OP, origin, |_, node| node.shape.clone());
            if own.as_ref() == Some(to) { operand } else { operand.broadcast_node(to, origin) }
        };
        let query = brought(query, &shapes.query);
        let key = brought(key, &shapes.key);
        let value = brought(value, &shapes.value);
        let mask = self.mask.as_ref().zip(shapes.mask.as_ref());
        let mask = mask.map(|((mask, _), to)| mask.reshape_node(to, origin));
        let rank = shapes.query.rank();
        let (depth, width) = (shapes.query[rank - 1], shapes.value[rank - 1]);
        // Scores of no depth are 0, whatever they are scaled by.
        let scale = options.scale.unwrap_or_else(|| 1.0 / (depth.max(1) as f64).sqrt());
        let (Some(query_id), Some(key_id), Some(value_id)) = (query.raw(), key.raw(), value.raw()) else {
            return Expr::poisoned(graph);
        };
        let node = AttentionNode {
            query: query_id,
            key: key_id,
            value: value_id,
            mask: mask.and_then(Expr::raw),
            is_causal: options.is_causal,
            scale,
            backward: None,
            result: AttentionResult::Output,
        };
        let has_kernel = (1..=LARGEST_WIDTH).contains(&depth) && (1..=LARGEST_WIDTH).contains(&width);
        let result = if has_kernel {
            query.insert(Op::Attention(Box::new(node)), None, None, origin)
        } else {
            let operands: Vec<Expr<'g>> = [Some(query), Some(key), Some(value), mask].into_iter().flatten().collect();
            graph.at(origin, || Composed::new(&node, &operands, origin).result(AttentionResult::Output))
        };
        result.reshape_node(&shapes.result, origin)
    }
}

/// The results of attention composed of matrix products and functions of elements, over all scores at once.
pub(crate) struct Composed<'g> {
    query: Expr<'g>,
    key: Expr<'g>,
    value: Expr<'g>,
    mask: Option<Expr<'g>>,
    /// The upstream gradient, the softmax statistics, and the sums of upstream gradient times output.
    backward: Option<[Expr<'g>; 3]>,
    is_causal: bool,
    scale: f64,
    origin: Origin,
}

impl<'g> Composed<'g> {
    /// The results over `operands`, which stand in the order of the node's.
    pub(crate) fn new(attention: &AttentionNode, operands: &[Expr<'g>], origin: Origin) -> Self {
        let mut rest = operands[3..].iter().copied();
        Composed {
            query: operands[0],
            key: operands[1],
            value: operands[2],
            mask: attention.mask.and_then(|_| rest.next()),
            backward: attention.backward.map(|_| [(); 3].map(|()| rest.next().unwrap_or(operands[0]))),
            is_causal: attention.is_causal,
            scale: attention.scale,
            origin,
        }
    }

    pub(crate) fn result(&self, result: AttentionResult) -> Expr<'g> {
        let poisoned = Expr::poisoned(self.query.graph());
        match (result, self.backward) {
            (AttentionResult::Output, _) => self.output(),
            (AttentionResult::SoftmaxStatistics, _) => self.statistics(),
            (_, None) => poisoned,
            (AttentionResult::QueryGradient, Some(backward)) => self.query_gradient(backward),
            (AttentionResult::KeyGradient, Some(backward)) => self.key_gradient(backward),
            (AttentionResult::ValueGradient, Some(backward)) => self.value_gradient(backward),
        }
    }

    /// The gradient of the scores, which is that of a float mask repeated to their shape.
    pub(crate) fn mask_gradient(&self, upstream: Expr<'g>, statistics: Expr<'g>, weighted: Expr<'g>) -> Expr<'g> {
        self.probabilities(statistics) * self.difference(upstream, weighted)
    }

    fn output(&self) -> Expr<'g> {
        let scores = self.scores();
        if self.shape(scores).contains(&0) {
            return self.per_head(self.grouped(scores), self.value, false, self.query);
        }
        let (exponentials, sum, _) = self.exponentials(scores);
        let probabilities = exponentials / sum.equal(0.0).where_(1.0, sum);
        self.per_head(self.grouped(probabilities), self.value, false, self.query)
    }

    /// The largest score of each row, for a constant, and the logarithm of the sum of exponentials less it.
    fn statistics(&self) -> Expr<'g> {
        let scores = self.scores();
        if self.shape(scores).contains(&0) {
            let none = scores.sum_keepdims(-1);
            return scores.graph().concat(&[none, none], -1);
        }
        let (_, sum, shift) = self.exponentials(scores);
        // Of a row that attends nothing the sum is 0; the logarithm that is not taken must not have an infinite derivative.
        let logarithm = sum.equal(0.0).where_(1.0, sum).log();
        scores.graph().concat(&[shift, logarithm], -1)
    }

    fn query_gradient(&self, [upstream, statistics, weighted]: [Expr<'g>; 3]) -> Expr<'g> {
        let gradient = self.mask_gradient(upstream, statistics, weighted) * self.scale;
        self.per_head(self.grouped(gradient), self.key, false, self.query)
    }

    fn key_gradient(&self, [upstream, statistics, weighted]: [Expr<'g>; 3]) -> Expr<'g> {
        let gradient = self.mask_gradient(upstream, statistics, weighted) * self.scale;
        self.grouped(gradient).matmul_node(self.grouped(self.query), true, false, self.origin)
    }

    fn value_gradient(&self, [upstream, statistics, _]: [Expr<'g>; 3]) -> Expr<'g> {
        let probabilities = self.probabilities(statistics);
        self.grouped(probabilities).matmul_node(self.grouped(upstream), true, false, self.origin)
    }

    /// `[.., heads, positions, keys]`: what the exponentials are taken of.
    fn scores(&self) -> Expr<'g> {
        let products = self.per_head(self.grouped(self.query), self.key, true, self.query);
        let mut scores = products * self.scale;
        match self.mask {
            Some(mask) if mask.read(OP, self.origin, |_, node| node.dtype) == Some(DType::Bool) => {
                let allowed = mask.select(self.constant(0.0), self.constant(f64::NEG_INFINITY), self.origin);
                scores = scores + allowed;
            }
            Some(mask) => scores = scores + mask,
            None => {}
        }
        if self.is_causal {
            let shape = self.shape(scores);
            let rank = shape.rank();
            let graph = scores.graph();
            let is_seen = graph.iota(&shape, rank - 1).less_equal(graph.iota(&shape, rank - 2));
            scores = is_seen.where_(scores, f64::NEG_INFINITY);
        }
        scores
    }

    /// The exponentials of the scores less the largest of their row, the sum of each row of them, and what they were lessened by.
    fn exponentials(&self, scores: Expr<'g>) -> (Expr<'g>, Expr<'g>, Expr<'g>) {
        let largest = scores.max_keepdims(-1).stop_gradient();
        let shift = largest.equal(f64::NEG_INFINITY).where_(0.0, largest);
        let exponentials = (scores - shift).exp();
        (exponentials, exponentials.sum_keepdims(-1), shift)
    }

    /// The probabilities, from the softmax statistics. The largest score is subtracted first, for beside it the logarithm would lose its digits.
    fn probabilities(&self, statistics: Expr<'g>) -> Expr<'g> {
        let [largest, logarithm] = [0, 1].map(|place| statistics.slice(-1, place, place + 1));
        ((self.scores() - largest) - logarithm).exp()
    }

    /// How much better each key's value is than the mean, by the upstream gradient.
    fn difference(&self, upstream: Expr<'g>, weighted: Expr<'g>) -> Expr<'g> {
        self.per_head(self.grouped(upstream), self.value, true, self.query) - weighted.unsqueeze(-1)
    }

    /// `[.., heads, n, m]` as `[.., groups, n of all heads of the group, m]`, which meets keys and values as one matrix.
    fn grouped(&self, of_heads: Expr<'g>) -> Expr<'g> {
        let (shape, groups) = (self.shape(of_heads), self.shape(self.key));
        let rank = shape.rank();
        if groups.rank() != rank || rank < 3 || groups[rank - 3] == shape[rank - 3] {
            return of_heads;
        }
        let heads = shape[rank - 3] / groups[rank - 3];
        let grouped: Shape =
            groups[..rank - 2].iter().copied().chain([heads * shape[rank - 2], shape[rank - 1]]).collect();
        of_heads.reshape_node(&grouped, self.origin)
    }

    /// The product of a grouped matrix and one of the groups', its rows again by heads as those of `like` are.
    fn per_head(&self, grouped: Expr<'g>, of_groups: Expr<'g>, is_transposed: bool, like: Expr<'g>) -> Expr<'g> {
        let product = grouped.matmul_node(of_groups, false, is_transposed, self.origin);
        let (shape, like) = (self.shape(product), self.shape(like));
        let rank = shape.rank();
        if rank == 0 || like.rank() != rank {
            return product;
        }
        product.reshape_node(&like.with_extent(rank - 1, shape[rank - 1]), self.origin)
    }

    fn constant(&self, value: f64) -> Expr<'g> {
        let dtype = self.query.read(OP, self.origin, |_, node| node.dtype).unwrap_or(DType::F32);
        let shape = self.mask.map(|mask| self.shape(mask)).unwrap_or_default();
        self.query.graph().full(shape, value, dtype)
    }

    fn shape(&self, expr: Expr<'g>) -> Shape {
        expr.read(OP, self.origin, |_, node| node.shape.clone()).unwrap_or_default()
    }
}
