//! Recurrent cells, and sequences of them, on [`Graph::scan`](crate::Graph::scan).
//!
//! Weights lie as PyTorch's: `[gates * hidden, in]` for inputs and `[gates * hidden, hidden]` for states, the gates one below the
//! other, and each of the two products may have a bias. A sequence is `[steps, batch, in]`. Further layers take the outputs of
//! those below; the other direction of a bidirectional layer is that of `x.flip([0])`, with its outputs flipped back.
//!
//! What inputs contribute to the gates does not wait for states: it is one product over the whole sequence.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;

/// A kind of cell.
pub(crate) struct Cell {
    /// How many times its weights have as many rows as a state has elements.
    gates: usize,
    /// What it makes of what inputs contribute to its gates, and of its states: the next states.
    next: for<'g> fn(Expr<'g>, &[Expr<'g>], Expr<'g>, Option<Expr<'g>>) -> Vec<Expr<'g>>,
}

pub(crate) const TANH: Cell = Cell { gates: 1, next: tanh_cell };
pub(crate) const RELU: Cell = Cell { gates: 1, next: relu_cell };
pub(crate) const GRU: Cell = Cell { gates: 3, next: gru_cell };
pub(crate) const LSTM: Cell = Cell { gates: 4, next: lstm_cell };

impl<'g> Expr<'g> {
    /// One step of a recurrent unit: `tanh(x W_ih^T + b_ih + h W_hh^T + b_hh)` for an input `[batch, in]` and a state `[batch, hidden]`, with
    /// weights `[hidden, in]` and `[hidden, hidden]` and two biases `[hidden]`, or none. PyTorch's `RNNCell`.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (x, h) = (g.input("x", [4, 3]), g.input("h", [4, 5]));
    /// let (of_input, of_state) = (g.input("of_input", [5, 3]), g.input("of_state", [5, 5]));
    /// assert_eq!(x.rnn_cell(h, of_input, of_state, None).shape()?.dims(), &[4, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn rnn_cell(
        self,
        state: Expr<'g>,
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
    ) -> Expr<'g> {
        let _method = self.enter("rnn_cell");
        self.cell(&[state], weight_ih, weight_hh, biases, &TANH).map_or(Expr::poisoned(self.graph()), |next| next[0])
    }

    /// One step of a gated recurrent unit (Cho et al. 2014), in PyTorch's form, which resets behind the product: for an input `[batch, in]` and a
    /// state `[batch, hidden]` the next state `(1 - z) n + z h`, where, of the thirds of the weights `[3 hidden, in]` and `[3 hidden, hidden]` in order,
    /// `r = sigmoid(x W_ir^T + b_ir + h W_hr^T + b_hr)`, `z = sigmoid(x W_iz^T + b_iz + h W_hz^T + b_hz)`,
    /// `n = tanh(x W_in^T + b_in + r (h W_hn^T + b_hn))`. PyTorch's `GRUCell`.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (x, h) = (g.input("x", [4, 3]), g.input("h", [4, 5]));
    /// let (of_input, of_state) = (g.input("of_input", [15, 3]), g.input("of_state", [15, 5]));
    /// assert_eq!(x.gru_cell(h, of_input, of_state, None).shape()?.dims(), &[4, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn gru_cell(
        self,
        state: Expr<'g>,
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
    ) -> Expr<'g> {
        let _method = self.enter("gru_cell");
        self.cell(&[state], weight_ih, weight_hh, biases, &GRU).map_or(Expr::poisoned(self.graph()), |next| next[0])
    }

    /// One step of a long short-term memory (Hochreiter and Schmidhuber 1997): for an input `[batch, in]`, a state `h` and a memory `c` of shape `[batch, hidden]` the
    /// next `h = o tanh(c)` and `c = f c + i g`, where `i`, `f`, `g` and `o` are of the quarters, in this order, of `x W_ih^T + b_ih + h W_hh^T + b_hh`, with weights
    /// `[4 hidden, in]` and `[4 hidden, hidden]`: `g` their tanh, the others their sigmoid. PyTorch's `LSTMCell`.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (x, h, c) = (g.input("x", [4, 3]), g.input("h", [4, 5]), g.input("c", [4, 5]));
    /// let (of_input, of_state) = (g.input("of_input", [20, 3]), g.input("of_state", [20, 5]));
    /// let (h, c) = x.lstm_cell(h, c, of_input, of_state, None);
    /// assert_eq!((h.shape()?.dims(), c.shape()?.dims()), (&[4, 5][..], &[4, 5][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn lstm_cell(
        self,
        state: Expr<'g>,
        memory: Expr<'g>,
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
    ) -> (Expr<'g>, Expr<'g>) {
        let _method = self.enter("lstm_cell");
        let poisoned = Expr::poisoned(self.graph());
        let next = self.cell(&[state, memory], weight_ih, weight_hh, biases, &LSTM);
        next.map_or((poisoned, poisoned), |next| (next[0], next[1]))
    }

    /// A recurrent layer with tanh over a sequence `[steps, batch, in]`, from a state `[batch, hidden]` on: the states of all steps, `[steps, batch, hidden]`, and
    /// the last. A step is that of [`Expr::rnn_cell`]. PyTorch's `rnn_tanh`, and `RNN` of one layer.
    #[track_caller]
    pub fn rnn_tanh(
        self,
        state: Expr<'g>,
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
    ) -> (Expr<'g>, Expr<'g>) {
        let _method = self.enter("rnn_tanh");
        self.first_state(self.recurrent(&[state], weight_ih, weight_hh, biases, None, &TANH))
    }

    /// [`Expr::rnn_tanh`] with `max(x, 0)` in the place of tanh: PyTorch's `rnn_relu`.
    #[track_caller]
    pub fn rnn_relu(
        self,
        state: Expr<'g>,
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
    ) -> (Expr<'g>, Expr<'g>) {
        let _method = self.enter("rnn_relu");
        self.first_state(self.recurrent(&[state], weight_ih, weight_hh, biases, None, &RELU))
    }

    /// A layer of gated recurrent units over a sequence `[steps, batch, in]`, from a state `[batch, hidden]` on: the states of all steps, `[steps, batch, hidden]`, and the
    /// last. A step is that of [`Expr::gru_cell`]. PyTorch's `GRU` of one layer.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (x, h) = (g.input("x", [7, 4, 3]), g.input("h", [4, 5]));
    /// let (of_input, of_state) = (g.input("of_input", [15, 3]), g.input("of_state", [15, 5]));
    /// let biases = [g.input("input_bias", [15]), g.input("state_bias", [15])];
    /// let (states, last) = x.gru(h, of_input, of_state, Some(biases));
    /// assert_eq!((states.shape()?.dims(), last.shape()?.dims()), (&[7, 4, 5][..], &[4, 5][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn gru(
        self,
        state: Expr<'g>,
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
    ) -> (Expr<'g>, Expr<'g>) {
        let _method = self.enter("gru");
        self.first_state(self.recurrent(&[state], weight_ih, weight_hh, biases, None, &GRU))
    }

    /// A layer of long short-term memories over a sequence `[steps, batch, in]`, from a state and a memory `[batch, hidden]` on: the states of all steps, `[steps, batch,
    /// hidden]`, the last state and the last memory. A step is that of [`Expr::lstm_cell`]. PyTorch's `LSTM` of one layer.
    #[track_caller]
    pub fn lstm(
        self,
        state: Expr<'g>,
        memory: Expr<'g>,
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
    ) -> (Expr<'g>, Expr<'g>, Expr<'g>) {
        let _method = self.enter("lstm");
        let poisoned = Expr::poisoned(self.graph());
        let results = self.recurrent(&[state, memory], weight_ih, weight_hh, biases, None, &LSTM);
        results.map_or((poisoned, poisoned, poisoned), |(states, last)| (states, last[0], last[1]))
    }

    /// The next states of a cell.
    #[track_caller]
    fn cell(
        self,
        states: &[Expr<'g>],
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
        cell: &Cell,
    ) -> Option<Vec<Expr<'g>>> {
        self.check_cell(2, cell.gates, states, [weight_ih, weight_hh], biases)?;
        let [bias_ih, bias_hh] = biases.map_or([None, None], |biases| biases.map(Some));
        let origin = self.graph().origin_or(Origin::here());
        let build = || (cell.next)(self.times_transposed(weight_ih, bias_ih), states, weight_hh, bias_hh);
        Some(self.graph().at(origin, build))
    }

    /// The first states of a cell in all steps, and its last states. Where `inside`, a bool `[steps, batch, 1]`, is given and does not
    /// hold, states stay what they are.
    #[track_caller]
    pub(crate) fn recurrent(
        self,
        states: &[Expr<'g>],
        weight_ih: Expr<'g>,
        weight_hh: Expr<'g>,
        biases: Option<[Expr<'g>; 2]>,
        inside: Option<Expr<'g>>,
        cell: &Cell,
    ) -> Option<(Expr<'g>, Vec<Expr<'g>>)> {
        self.check_cell(3, cell.gates, states, [weight_ih, weight_hh], biases)?;
        let [bias_ih, bias_hh] = biases.map_or([None, None], |biases| biases.map(Some));
        let origin = self.graph().origin_or(Origin::here());
        let of_inputs = self.times_transposed(weight_ih, bias_ih);
        of_inputs.raw()?;
        let step = |states: &[Expr<'g>], elements: &[Expr<'g>]| {
            let next = (cell.next)(elements[0], states, weight_hh, bias_hh);
            let next = kept_outside(elements.get(1).copied(), next, states);
            let state = next[0];
            (next, vec![state])
        };
        let sequences: Vec<Expr<'g>> = [of_inputs].into_iter().chain(inside).collect();
        let scanned = self.graph().at(origin, || self.graph().scan(states, &sequences, step));
        match scanned {
            Ok(scanned) => Some((scanned.outputs[0], scanned.carries)),
            Err(error) => self.fail_without(error),
        }
    }

    fn first_state(self, results: Option<(Expr<'g>, Vec<Expr<'g>>)>) -> (Expr<'g>, Expr<'g>) {
        let poisoned = Expr::poisoned(self.graph());
        results.map_or((poisoned, poisoned), |(states, last)| (states, last[0]))
    }

    /// `x W^T + b`.
    #[track_caller]
    fn times_transposed(self, weight: Expr<'g>, bias: Option<Expr<'g>>) -> Expr<'g> {
        let product = self.matmul_with(weight, false, true);
        match bias {
            Some(bias) => product + bias,
            None => product,
        }
    }

    /// Whether everything that a cell is given is of this graph and has the axes that it needs, whether weights and biases have a row for each
    /// gate of each element of the first state, and whether states and samples are as many. What other extents must agree is found by
    /// the products.
    #[track_caller]
    fn check_cell(
        self,
        rank: usize,
        gates: usize,
        states: &[Expr<'g>],
        weights: [Expr<'g>; 2],
        biases: Option<[Expr<'g>; 2]>,
    ) -> Option<()> {
        let origin = self.graph().origin_or(Origin::here());
        let op = self.graph().method().unwrap_or("recurrent");
        let biases: Vec<Expr<'g>> = biases.into_iter().flatten().collect();
        let all = [(self, rank)].into_iter();
        let all = all.chain(states.iter().map(|state| (*state, 2))).chain(weights.map(|weight| (weight, 2)));
        for (expr, rank) in all.chain(biases.iter().map(|bias| (*bias, 1))) {
            self.same_graph(expr, op, origin)?;
            let shape = expr.read(op, origin, |_, node| node.shape.clone())?;
            if shape.rank() != rank {
                let (operand, expected, rank) = (expr.describe(), format!("rank {rank}"), shape.rank());
                return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
            }
        }
        let state = states[0];
        let rhs_shape = state.read(op, origin, |_, node| node.shape.clone())?;
        let right = rhs_shape[1].saturating_mul(gates);
        for weight in weights {
            let lhs_shape = weight.read(op, origin, |_, node| node.shape.clone())?;
            let left = lhs_shape[0];
            if left != right {
                let (lhs, rhs) = (weight.describe(), format!("{gates} gates for each element of {}", state.describe()));
                let error = GraphError::Extent { origin, op, axis: 0, lhs, lhs_shape, rhs, rhs_shape, left, right };
                return self.fail_without(error);
            }
        }
        for bias in biases {
            let lhs_shape = bias.read(op, origin, |_, node| node.shape.clone())?;
            if lhs_shape[0] != right {
                let (lhs, rhs) = (bias.describe(), format!("{gates} gates for each element of {}", state.describe()));
                let left = lhs_shape[0];
                let error = GraphError::Extent { origin, op, axis: 0, lhs, lhs_shape, rhs, rhs_shape, left, right };
                return self.fail_without(error);
            }
        }
        for memory in &states[1..] {
            let lhs_shape = memory.read(op, origin, |_, node| node.shape.clone())?;
            if lhs_shape != rhs_shape {
                let (lhs, rhs) = (memory.describe(), state.describe());
                return self.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
            }
        }
        let lhs_shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let (axis, left, right) = (rank - 2, lhs_shape[rank - 2], rhs_shape[0]);
        if left != right {
            let (lhs, rhs) = (self.describe(), format!("the samples of {}", state.describe()));
            return self.fail_without(GraphError::Extent {
                origin,
                op,
                axis,
                lhs,
                lhs_shape,
                rhs,
                rhs_shape,
                left,
                right,
            });
        }
        Some(())
    }
}

/// The next states where `inside` holds, and elsewhere those before: all next ones if nothing lies outside.
#[track_caller]
pub(crate) fn kept_outside<'g>(inside: Option<Expr<'g>>, next: Vec<Expr<'g>>, before: &[Expr<'g>]) -> Vec<Expr<'g>> {
    let Some(inside) = inside else { return next };
    next.into_iter().zip(before).map(|(next, before)| inside.where_(next, *before)).collect()
}

/// The parts of the last axis, as many as there are gates.
#[track_caller]
fn gates<'g, const N: usize>(gates: Expr<'g>, state: Expr<'g>) -> [Expr<'g>; N] {
    let hidden = state.shape().map_or(0, |shape| shape.last().copied().unwrap_or(0));
    let mut parts = [gates; N];
    for (number, part) in parts.iter_mut().enumerate() {
        *part = gates.slice(-1, number * hidden, (number + 1) * hidden);
    }
    parts
}

fn tanh_cell<'g>(x: Expr<'g>, states: &[Expr<'g>], weight: Expr<'g>, bias: Option<Expr<'g>>) -> Vec<Expr<'g>> {
    vec![(x + states[0].times_transposed(weight, bias)).tanh()]
}

fn relu_cell<'g>(x: Expr<'g>, states: &[Expr<'g>], weight: Expr<'g>, bias: Option<Expr<'g>>) -> Vec<Expr<'g>> {
    vec![(x + states[0].times_transposed(weight, bias)).relu()]
}

fn gru_cell<'g>(x: Expr<'g>, states: &[Expr<'g>], weight: Expr<'g>, bias: Option<Expr<'g>>) -> Vec<Expr<'g>> {
    let state = states[0];
    let [reset_x, update_x, new_x] = gates(x, state);
    let [reset_h, update_h, new_h] = gates(state.times_transposed(weight, bias), state);
    let (reset, update) = ((reset_x + reset_h).sigmoid(), (update_x + update_h).sigmoid());
    let new = (new_x + reset * new_h).tanh();
    vec![(1.0 - update) * new + update * state]
}

fn lstm_cell<'g>(x: Expr<'g>, states: &[Expr<'g>], weight: Expr<'g>, bias: Option<Expr<'g>>) -> Vec<Expr<'g>> {
    let (state, memory) = (states[0], states[1]);
    let [input, forget, cell, output] = gates(x + state.times_transposed(weight, bias), state);
    let memory = forget.sigmoid() * memory + input.sigmoid() * cell.tanh();
    vec![output.sigmoid() * memory.tanh(), memory]
}
