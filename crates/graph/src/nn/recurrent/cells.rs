//! One step of each kind of recurrent unit, for loops of one's own.

use super::{RnnNonlinearity, check_features, check_float, check_state, uniform_by_hidden};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::{Parameter, within};
use crate::shape::Shape;

/// What the three kinds of cells share.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    name: String,
    inputs: usize,
    hidden: usize,
    has_bias: bool,
}

/// What a cell is given in one step: an input `[batch, inputs]`, states `[batch, hidden]`, and its parameters.
struct Step<'g> {
    x: Expr<'g>,
    states: Vec<Expr<'g>>,
    of_inputs: Expr<'g>,
    of_states: Expr<'g>,
    biases: Option<[Expr<'g>; 2]>,
}

impl Cell {
    fn new(name: String, inputs: usize, hidden: usize) -> Cell {
        Cell { name, inputs, hidden, has_bias: true }
    }

    /// The next states, `count` of them, as `next` makes them.
    #[track_caller]
    fn run<'g, const COUNT: usize>(
        &self,
        op: &'static str,
        gates: usize,
        x: Expr<'g>,
        states: Option<[Expr<'g>; COUNT]>,
        next: impl FnOnce(Step<'g>) -> [Expr<'g>; COUNT],
    ) -> [Expr<'g>; COUNT] {
        let graph = x.graph();
        let _method = graph.enter(op);
        let mut results = [Expr::poisoned(graph); COUNT];
        let kind = format!("{op}({}, {})", self.inputs, self.hidden);
        let _ = graph.layer(kind, &self.name, x, || {
            let Some((step, is_batched)) = self.step(op, gates, x, states) else { return Expr::poisoned(graph) };
            results = next(step).map(|state| if is_batched { state } else { state.squeeze(0) });
            results[0]
        });
        results
    }

    #[track_caller]
    fn step<'g, const COUNT: usize>(
        &self,
        op: &'static str,
        gates: usize,
        x: Expr<'g>,
        states: Option<[Expr<'g>; COUNT]>,
    ) -> Option<(Step<'g>, bool)> {
        let graph = x.graph();
        let origin = graph.origin_or(crate::Origin::here());
        let (shape, dtype) = x.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let rank = shape.rank();
        if !(1..=2).contains(&rank) {
            let (operand, expected) = (x.describe(), "rank 1 or 2".to_owned());
            return x.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        check_float(x, op, dtype)?;
        check_features(x, op, &shape, self.inputs, &self.name)?;
        let is_batched = rank == 2;
        let batch = if is_batched { shape[0] } else { 1 };
        let with_batch = |expr: Expr<'g>| if is_batched { expr } else { expr.unsqueeze(0) };
        let mut first = vec![graph.zeros([batch, self.hidden], dtype); if states.is_none() { COUNT } else { 0 }];
        for state in states.into_iter().flatten() {
            let expected = if is_batched { Shape::from([batch, self.hidden]) } else { Shape::from([self.hidden]) };
            check_state(x, op, dtype, state, expected, &self.name)?;
            first.push(with_batch(state));
        }
        let rows = gates.saturating_mul(self.hidden);
        let of_inputs = self.declare(x, dtype, "weight_ih", &[rows, self.inputs]);
        let of_states = self.declare(x, dtype, "weight_hh", &[rows, self.hidden]);
        let biases = self.has_bias.then(|| ["bias_ih", "bias_hh"].map(|part| self.declare(x, dtype, part, &[rows])));
        Some((Step { x: with_batch(x), states: first, of_inputs, of_states, biases }, is_batched))
    }

    #[track_caller]
    fn declare<'g>(&self, x: Expr<'g>, dtype: DType, part: &str, shape: &[usize]) -> Expr<'g> {
        let init = uniform_by_hidden(self.hidden);
        Parameter::new(within(&self.name, part), shape, init).of(x.graph(), dtype)
    }
}

/// Methods that set what the three kinds have in common.
macro_rules! settings {
    ($name:ident) => {
        impl $name {
            /// Without biases.
            #[must_use]
            pub fn without_bias(mut self) -> Self {
                self.cell.has_bias = false;
                self
            }
        }
    };
}

/// One step of the simplest recurrent unit, [`Expr::rnn_cell`], with the parameters `NAME.weight_ih`, `[hidden, inputs]`,
/// `NAME.weight_hh`, `[hidden, hidden]`, `NAME.bias_ih` and `NAME.bias_hh`, `[hidden]`. (PyTorch's `torch.nn.RNNCell`.) First
/// values are uniform in `±1 / sqrt(hidden)`.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::RnnCell;
///
/// let cell = RnnCell::new("cell", 3, 5);
/// let g = Graph::new();
/// let first = cell.apply(g.input("x0", [4, 3]), None);
/// let second = cell.apply(g.input("x1", [4, 3]), Some(first));
/// assert_eq!(second.shape()?.dims(), &[4, 5]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RnnCell {
    cell: Cell,
    nonlinearity: RnnNonlinearity,
}

/// One step of a gated recurrent unit, [`Expr::gru_cell`], with the parameters of [`RnnCell`], of `3 hidden` rows. (PyTorch's
/// `torch.nn.GRUCell`.)
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::GruCell;
///
/// let g = Graph::new();
/// let state = GruCell::new("cell", 3, 5).apply(g.input("x", [4, 3]), None);
/// assert_eq!(state.shape()?.dims(), &[4, 5]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GruCell {
    cell: Cell,
}

/// One step of a long short-term memory, [`Expr::lstm_cell`], with the parameters of [`RnnCell`], of `4 hidden` rows.
/// (PyTorch's `torch.nn.LSTMCell`.)
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::LstmCell;
///
/// let g = Graph::new();
/// let (state, memory) = LstmCell::new("cell", 3, 5).apply(g.input("x", [4, 3]), None);
/// assert_eq!((state.shape()?.dims(), memory.shape()?.dims()), (&[4, 5][..], &[4, 5][..]));
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LstmCell {
    cell: Cell,
}

settings!(RnnCell);
settings!(GruCell);
settings!(LstmCell);

impl RnnCell {
    /// A cell of that name from `inputs` features to states of `hidden`, with tanh and biases.
    pub fn new(name: impl Into<String>, inputs: usize, hidden: usize) -> Self {
        RnnCell { cell: Cell::new(name.into(), inputs, hidden), nonlinearity: RnnNonlinearity::Tanh }
    }

    /// With another function in the place of tanh.
    #[must_use]
    pub fn nonlinearity(self, nonlinearity: RnnNonlinearity) -> Self {
        RnnCell { nonlinearity, ..self }
    }

    /// The next state, `[batch, hidden]`, for an input `[batch, inputs]` and a state, or 0; `[hidden]` and `[inputs]` without a batch.
    ///
    /// Errors: `x` of rank 0 or of more than 2; another number of features than the layer's; a state of another shape, dtype or graph.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, state: Option<Expr<'g>>) -> Expr<'g> {
        let [next] = self.cell.run("RnnCell", 1, x, state.map(|state| [state]), |step| {
            [match self.nonlinearity {
                RnnNonlinearity::Tanh => step.x.rnn_cell(step.states[0], step.of_inputs, step.of_states, step.biases),
                RnnNonlinearity::Relu => {
                    let [of_input, of_state] = [(step.x, step.of_inputs, 0), (step.states[0], step.of_states, 1)].map(
                        |(operand, weight, place)| {
                            let product = operand.matmul_with(weight, false, true);
                            step.biases.map_or(product, |biases| product + biases[place])
                        },
                    );
                    (of_input + of_state).relu()
                }
            }]
        });
        next
    }
}

impl GruCell {
    /// A cell of that name from `inputs` features to states of `hidden`, with biases.
    pub fn new(name: impl Into<String>, inputs: usize, hidden: usize) -> Self {
        GruCell { cell: Cell::new(name.into(), inputs, hidden) }
    }

    /// The next state, as [`RnnCell::apply`]; errors too.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, state: Option<Expr<'g>>) -> Expr<'g> {
        let [next] = self.cell.run("GruCell", 3, x, state.map(|state| [state]), |step| {
            [step.x.gru_cell(step.states[0], step.of_inputs, step.of_states, step.biases)]
        });
        next
    }
}

impl LstmCell {
    /// A cell of that name from `inputs` features to states of `hidden`, with biases.
    pub fn new(name: impl Into<String>, inputs: usize, hidden: usize) -> Self {
        LstmCell { cell: Cell::new(name.into(), inputs, hidden) }
    }

    /// The next state and memory, of shapes as [`RnnCell::apply`]'s; errors too.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, states: Option<(Expr<'g>, Expr<'g>)>) -> (Expr<'g>, Expr<'g>) {
        let states = states.map(|(state, memory)| [state, memory]);
        let [state, memory] = self.cell.run("LstmCell", 4, x, states, |step| {
            let (of_inputs, of_states, biases) = (step.of_inputs, step.of_states, step.biases);
            let (state, memory) = step.x.lstm_cell(step.states[0], step.states[1], of_inputs, of_states, biases);
            [state, memory]
        });
        (state, memory)
    }
}
