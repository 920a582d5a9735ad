//! Rows of a table at indices, with the options that PyTorch's embeddings have.
//!
//! PyTorch shortens long rows in the table itself, whenever they are read. Here reading changes nothing: what is read is shortened, and the
//! gradient goes to the row as if it had been that short, as it does there.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;

/// What is added to a norm before it divides, as in PyTorch.
const BESIDE_NORM: f64 = 1e-7;

/// How rows of a table are read: PyTorch's arguments of `F.embedding`, with its defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmbeddingOptions {
    /// A row of the table that takes no gradient.
    pub padding_index: Option<usize>,
    /// The norm from which on a row is shortened to it. The table itself stays as it is.
    pub max_norm: Option<f64>,
    /// The order of that norm.
    pub norm_type: f64,
    /// Whether a row's gradient is divided by how often the row is read.
    pub scale_grad_by_freq: bool,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        EmbeddingOptions { padding_index: None, max_norm: None, norm_type: 2.0, scale_grad_by_freq: false }
    }
}

impl<'g> Expr<'g> {
    /// The rows of this table `[rows, columns]` at the i32 `indices`: `[..] -> [.., columns]`. (PyTorch's `F.embedding`; without
    /// options it is [`Expr::index_select`].) Any dtype; floats with a norm or gradients by frequency.
    ///
    /// A row whose norm is above [`EmbeddingOptions::max_norm`] is read as `row max_norm / (norm + 1e-7)`, and its gradient is that of what was read, in
    /// both as in PyTorch. There the table's own row is shortened too, each time that it is read; here it stays as it is, and an optimiser goes
    /// on from there. With [`EmbeddingOptions::scale_grad_by_freq`] the gradient of a row that the indices name `n` times is the `n`-th part of its sum.
    ///
    /// Errors: another rank of the table; no floats where they are needed; indices that are not i32; a padding index that is no row; a `max_norm` that is NaN or below
    /// 0, a `norm_type` that is NaN. Indices of an input are checked at each run.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, EmbeddingOptions, Graph};
    /// let g = Graph::new();
    /// let (table, tokens) = (g.input("table", [100, 16]), g.input_of("tokens", [8, 20], DType::I32));
    /// let vectors = table.embedding(tokens, EmbeddingOptions { max_norm: Some(1.0), ..EmbeddingOptions::default() });
    /// assert_eq!(vectors.shape()?.dims(), &[8, 20, 16]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn embedding(self, indices: Expr<'g>, options: EmbeddingOptions) -> Expr<'g> {
        const OP: &str = "embedding";
        let method = self.enter(OP);
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(indices, OP, origin).is_none() {
            return poisoned;
        }
        let Some((shape, dtype)) = self.read(OP, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return poisoned;
        };
        let rank = shape.rank();
        if rank != 2 {
            let (operand, expected) = (self.describe(), "rank 2".to_owned());
            return self.fail(GraphError::Rank { origin, op: OP, operand, shape, rank, expected });
        }
        // Elements of any kind can be read, but only floats have lengths and gradients.
        if !dtype.is_float() && (options.max_norm.is_some() || options.scale_grad_by_freq) {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail(GraphError::DType { origin, op: OP, operand, dtype, expected });
        }
        if let Some(padding) = options.padding_index.filter(|&padding| padding >= shape[0]) {
            return self.graph().refuse(OP, "the padding index", padding as f64, "a row of the table");
        }
        let Some(rows) = self.rows_of_table(OP, indices, &options, shape[0], origin) else { return poisoned };
        self.graph().at(origin, || match (options.padding_index, rows.shape()) {
            (Some(padding), Ok(shape)) => {
                let is_padding = indices.equal(padding as f64).unsqueeze(-1).broadcast_to(shape);
                is_padding.where_(rows.stop_gradient(), rows)
            }
            (_, _) => rows,
        })
    }

    /// The rows of this table, of which there are so many, at `indices`: `[..] -> [.., columns]`. What concerns padding is the caller's.
    pub(super) fn rows_of_table(
        self,
        op: &'static str,
        indices: Expr<'g>,
        options: &EmbeddingOptions,
        count: usize,
        origin: Origin,
    ) -> Option<Expr<'g>> {
        let refuse =
            |what, value, expected| self.fail_without(GraphError::Argument { origin, op, what, value, expected });
        match options.max_norm {
            Some(most) if most.is_nan() || most < 0.0 => return refuse("max_norm", most, "a number not below 0"),
            Some(_) if options.norm_type.is_nan() => return refuse("norm_type", options.norm_type, "a number"),
            Some(_) | None => {}
        }
        let rows = self.graph().at(origin, || self.index_select(0, indices));
        let dtype = rows.read(op, origin, |_, node| node.dtype)?;
        Some(self.graph().at(origin, || {
            let rows =
                if options.scale_grad_by_freq { rows.with_shared_slope(indices, count, dtype, origin) } else { rows };
            match options.max_norm {
                Some(most) => rows.shortened(most, options.norm_type, origin),
                None => rows,
            }
        }))
    }

    /// These rows, of which each that is longer than `most` has that length. The gradient is that of the result.
    #[track_caller]
    fn shortened(self, most: f64, norm_type: f64, origin: Origin) -> Expr<'g> {
        let norm = self.stop_gradient().norm(norm_type, -1).unsqueeze(-1);
        let value = norm.greater(most).where_(self * (most / (norm + BESIDE_NORM)), self);
        value.with_slope(self, self.ones_like(), origin)
    }

    /// These rows, which stand at `indices` in a table of `count`, where the gradient of each is divided by how often the table's row is read.
    #[track_caller]
    fn with_shared_slope(self, indices: Expr<'g>, count: usize, dtype: DType, origin: Origin) -> Expr<'g> {
        let graph = self.graph();
        let places = indices.flatten();
        // Counted as integers: a float of 24 bits would stop counting.
        let often = graph.zeros([count], DType::I32).scatter_add(0, places, places.ones_like());
        let share = often.index_select(0, indices).cast(dtype).reciprocal().unsqueeze(-1);
        match self.shape() {
            Ok(shape) => self.with_slope(self, share.broadcast_to(shape), origin),
            Err(_) => self,
        }
    }
}
