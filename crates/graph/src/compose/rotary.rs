//! Rotary position embeddings: pairs of numbers turned by an angle that grows with the position.

use crate::compose::rotary_scaling::RotaryScaling;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::shape::Shape;

/// Which numbers of a vector are the two of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RotaryPairs {
    /// Number `i` of the first half and number `i` of the second, as in GPT-NeoX and Llama.
    #[default]
    Halves,
    /// Neighbours, as in the paper.
    Interleaved,
}

/// The options of rotary position embeddings; the default is that of Llama.
///
/// ```
/// use arenagrad_graph::{RotaryEmbedding, RotaryScaling};
///
/// // Llama 3.2, by its config.json:
/// let rotary = RotaryEmbedding {
///     theta: 500_000.0,
///     scaling: RotaryScaling::Llama3 {
///         factor: 32.0,
///         low_frequency_factor: 1.0,
///         high_frequency_factor: 4.0,
///         original_positions: 8192,
///     },
///     ..RotaryEmbedding::default()
/// };
/// # let g = arenagrad_graph::Graph::new();
/// # assert!(g.input("q", [2, 8, 64]).rotary_embedding(None, rotary).check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "options do nothing until an embedding takes them"]
pub struct RotaryEmbedding {
    /// Which numbers are turned together.
    pub pairs: RotaryPairs,
    /// Pair `i` of `n` turns by `theta^(-i / n)` radians a position.
    pub theta: f64,
    /// By what these frequencies are changed for more positions.
    pub scaling: RotaryScaling,
}

impl Default for RotaryEmbedding {
    fn default() -> Self {
        RotaryEmbedding { pairs: RotaryPairs::Halves, theta: 10_000.0, scaling: RotaryScaling::None }
    }
}

const OP: &str = "rotary_embedding";

impl<'g> Expr<'g> {
    /// Queries or keys `[.., positions, depth]` with pair `i` of the `depth / 2` pairs of each turned by the angle
    /// `position * theta^(-2 i / depth)`, so that products of them depend on the distance of their positions (Su et al., "RoFormer", 2021).
    ///
    /// `positions` are numbers `[.., positions]`, i32 or of this dtype, whose axes in front broadcast to those of this expression; `None` counts
    /// from 0. A pair `(a, b)` becomes `(a cos - b sin, a sin + b cos)`. The derivative turns back. [`RotaryScaling`] changes the angles. Floats.
    ///
    /// Errors: less than rank 2; a depth that is not even; positions that do not broadcast, or bool; a theta that is not positive and finite; a scaling
    /// with such a number.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, RotaryEmbedding};
    ///
    /// let g = Graph::new();
    /// let q = g.input("q", [2, 8, 128, 64]);
    /// let turned = q.rotary_embedding(None, RotaryEmbedding::default());
    /// assert_eq!(turned.shape()?.dims(), &[2, 8, 128, 64]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn rotary_embedding(self, positions: Option<Expr<'g>>, options: RotaryEmbedding) -> Expr<'g> {
        let method = self.enter(OP);
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph_all(&[positions], OP, origin).is_none() {
            return poisoned;
        }
        let Some((shape, dtype)) = self.read(OP, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return poisoned;
        };
        let rank = shape.rank();
        if !dtype.is_float() {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail(GraphError::DType { origin, op: OP, operand, dtype, expected });
        }
        if rank < 2 {
            let (operand, expected) = (self.describe(), "rank 2 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op: OP, operand, shape, rank, expected });
        }
        let depth = shape[rank - 1];
        if depth % 2 != 0 {
            return self.graph().refuse(OP, "the last extent", depth as f64, "an even number");
        }
        if !(options.theta > 0.0 && options.theta.is_finite()) {
            return self.graph().refuse(OP, "theta", options.theta, "a positive number");
        }
        let rows = Shape::from(&shape[..rank - 1]);
        let positions = match positions {
            None => self.graph().iota([shape[rank - 2]], 0).cast(dtype),
            Some(positions) => {
                let Some((own, of)) = positions.read(OP, origin, |_, node| (node.shape.clone(), node.dtype)) else {
                    return poisoned;
                };
                if of == DType::Bool {
                    let (operand, expected) = (positions.describe(), "a float or i32");
                    return self.fail(GraphError::DType { origin, op: OP, operand, dtype: of, expected });
                }
                if of != DType::I32 && of != dtype {
                    let (lhs, rhs) = (self.describe(), positions.describe());
                    return self.fail(GraphError::DTypesDiffer { origin, op: OP, lhs, left: dtype, rhs, right: of });
                }
                if own.broadcast(&rows).as_ref() != Ok(&rows) {
                    let operand = positions.describe();
                    return self.fail(GraphError::BroadcastTo { origin, op: OP, operand, from: own, to: rows });
                }
                positions.cast(dtype)
            }
        };
        let pairs = depth / 2;
        // Pair by pair on the host: exact to the last digit of the dtype, whatever a device's exponential gives.
        let (speeds, grows) = match options.scaling.frequencies(options.theta, pairs) {
            Ok(found) => found,
            Err((what, value, expected)) => return self.graph().refuse(OP, what, value, expected),
        };
        let speeds = match dtype {
            DType::F64 => self.graph().literal([pairs], speeds),
            DType::F32 | DType::I32 | DType::Bool => {
                self.graph().literal([pairs], speeds.iter().map(|&speed| speed as f32).collect::<Vec<f32>>())
            }
        };
        let angles = positions.unsqueeze(-1) * speeds;
        let grown = |turned: Expr<'g>| if grows == 1.0 { turned } else { turned * grows };
        let (cosines, sines) = (grown(angles.cos()), grown(angles.sin()));
        let in_pairs: [usize; 2] = match options.pairs {
            RotaryPairs::Halves => [2, pairs],
            RotaryPairs::Interleaved => [pairs, 2],
        };
        let split: Shape = shape[..rank - 1].iter().copied().chain(in_pairs).collect();
        let axis = match options.pairs {
            RotaryPairs::Halves => -2,
            RotaryPairs::Interleaved => -1,
        };
        let split = self.reshape_node(&split, origin);
        let (a, b) = (split.select_index(axis, 0), split.select_index(axis, 1));
        let turned = [a * cosines - b * sines, a * sines + b * cosines];
        self.graph().stack(&turned, axis).reshape_node(&shape, origin)
    }
}
