//! The three kinds of recurrent networks over sequences.

use super::{Operands, RnnNonlinearity, Sequence, Stack, Unit, Weights};
use crate::compose::recurrent::{Cell, GRU, LSTM, RELU, TANH, kept_outside};
use crate::expr::Expr;
use crate::nn::{Layer, Phase};

/// Methods that set what the three kinds have in common.
macro_rules! settings {
    ($name:ident) => {
        impl $name {
            /// So many layers, each of which reads the outputs of that below. (PyTorch's `num_layers`.)
            #[must_use]
            pub fn layers(mut self, layers: usize) -> Self {
                self.stack.layers = layers;
                self
            }

            /// Each layer reads the sequence from both ends, and the next one the outputs of both beside one another.
            #[must_use]
            pub fn bidirectional(mut self) -> Self {
                self.stack.is_bidirectional = true;
                self
            }

            /// Sequences are `[batch, steps, features]`. States stay `[layers * directions, batch, hidden]`.
            #[must_use]
            pub fn batch_first(mut self) -> Self {
                self.stack.is_batch_first = true;
                self
            }

            /// The outputs of each layer but the last are dropped at that rate in training.
            #[must_use]
            pub fn dropout(mut self, dropout: f64) -> Self {
                self.stack.dropout = dropout;
                self
            }

            /// Without biases.
            #[must_use]
            pub fn without_bias(mut self) -> Self {
                self.stack.has_bias = false;
                self
            }

            /// Under another name.
            #[must_use]
            pub fn renamed(mut self, name: impl Into<String>) -> Self {
                self.stack.name = name.into();
                self
            }
        }

        /// The outputs for a sequence, from states of 0.
        impl Layer for $name {
            fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
                self.apply(x, None, phase).0
            }
        }
    };
}

/// Layers of the simplest recurrent unit (Elman 1990), whose step is [`Expr::rnn_cell`]. (PyTorch's `torch.nn.RNN`.)
///
/// A sequence is `[steps, batch, inputs]`, with [`Rnn::batch_first`] `[batch, steps, inputs]`, or `[steps, inputs]` without a
/// batch. The parameters of layer `k` are `NAME.weight_ih_lk`, `[hidden, inputs of the layer]`, `NAME.weight_hh_lk`, `[hidden,
/// hidden]`, `NAME.bias_ih_lk` and `NAME.bias_hh_lk`, `[hidden]`; those of the way back end in `_reverse`. First values are
/// uniform in `±1 / sqrt(hidden)`.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Phase, Rnn};
///
/// let rnn = Rnn::new("rnn", 12, 16).layers(2).batch_first();
/// let g = Graph::new();
/// let (outputs, last) = rnn.apply(g.input("x", [4, 20, 12]), None, Phase::Training);
/// assert_eq!((outputs.shape()?.dims(), last.shape()?.dims()), (&[4, 20, 16][..], &[2, 4, 16][..]));
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rnn {
    stack: Stack,
    nonlinearity: RnnNonlinearity,
}

/// Layers of gated recurrent units, whose step is [`Expr::gru_cell`]. (PyTorch's `torch.nn.GRU`.)
///
/// Sequences, states and names are those of [`Rnn`]; weights and biases have `3 hidden` rows, in the order reset, update, new.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Gru, Phase};
///
/// let gru = Gru::new("gru", 12, 16).bidirectional();
/// let g = Graph::new();
/// let (outputs, last) = gru.apply(g.input("x", [20, 4, 12]), None, Phase::Training);
/// assert_eq!((outputs.shape()?.dims(), last.shape()?.dims()), (&[20, 4, 32][..], &[2, 4, 16][..]));
/// let weight = g.declaration_named("gru.weight_ih_l0_reverse").map(|weight| weight.shape);
/// assert_eq!(weight.as_deref(), Some(&[48, 12][..]));
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gru {
    stack: Stack,
}

/// Layers of long short-term memories, whose step is [`Expr::lstm_cell`]. (PyTorch's `torch.nn.LSTM`.)
///
/// Sequences, states and names are those of [`Rnn`]; weights and biases have `4 hidden` rows, in the order input, forget, cell,
/// output. With [`Lstm::projection`] states are multiplied by `NAME.weight_hr_lk`, `[projection, hidden]` (Sak et al. 2014).
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Lstm, Phase};
///
/// let lstm = Lstm::new("lstm", 12, 16).layers(2).bidirectional().dropout(0.1);
/// let g = Graph::new();
/// let (outputs, (state, memory)) = lstm.apply(g.input("x", [20, 4, 12]), None, Phase::Training);
/// assert_eq!(outputs.shape()?.dims(), &[20, 4, 32]);
/// assert_eq!((state.shape()?.dims(), memory.shape()?.dims()), (&[4, 4, 16][..], &[4, 4, 16][..]));
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Lstm {
    stack: Stack,
}

settings!(Rnn);
settings!(Gru);
settings!(Lstm);

impl Rnn {
    /// One layer of that name from `inputs` features to states of `hidden`, with tanh and biases.
    pub fn new(name: impl Into<String>, inputs: usize, hidden: usize) -> Self {
        Rnn { stack: Stack::new(name.into(), inputs, hidden), nonlinearity: RnnNonlinearity::Tanh }
    }

    /// With another function in the place of tanh.
    #[must_use]
    pub fn nonlinearity(self, nonlinearity: RnnNonlinearity) -> Self {
        Rnn { nonlinearity, ..self }
    }

    /// The last layer's states in all steps, `[steps, batch, directions * hidden]` in the layout of `x`, and the last states of
    /// all layers, `[layers * directions, batch, hidden]`, from a first state of that shape, or of 0. Without a batch there is
    /// no axis for it.
    ///
    /// Errors: `x` of rank 1 or of more than 3; another number of features than the layer's; a state of another shape, dtype or
    /// graph; no layers; a rate of dropout outside `0..=1`.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, state: Option<Expr<'g>>, phase: Phase) -> (Expr<'g>, Expr<'g>) {
        self.run(x, None, state, phase)
    }

    /// [`Rnn::apply`] to sequences of unequal lengths, which stand in `x` one beside the other and are padded behind their ends:
    /// `lengths`, i32 `[batch]` (a scalar where `x` has no batch), says how many steps each has.
    ///
    /// A sequence gives what it would give without the padding: outputs behind its end are 0, the last state is that of its own
    /// last step, and the way back of a bidirectional network begins there. What stands in the padding is not read, and its
    /// gradient is 0. Sequences need no order. (PyTorch's `pack_padded_sequence(x, lengths, enforce_sorted=False)`, and
    /// `pad_packed_sequence` with `total_length` behind it.) A length of 0 leaves the first states as they are. Lengths that
    /// are an input, or a view of one, are held to `0..=steps` by each run; of others that are not within it outputs, last states and gradients are NaN.
    ///
    /// Errors: those of [`Rnn::apply`]; lengths of another shape, dtype or graph; lengths that stand in the graph and are not in `0..=steps`.
    ///
    /// ```
    /// use arenagrad_graph::nn::{Phase, Rnn};
    /// use arenagrad_graph::{DType, Graph};
    ///
    /// let rnn = Rnn::new("rnn", 12, 16).bidirectional().batch_first();
    /// let g = Graph::new();
    /// let (x, lengths) = (g.input("x", [4, 20, 12]), g.input_of("lengths", [4], DType::I32));
    /// let (outputs, last) = rnn.apply_padded(x, lengths, None, Phase::Training);
    /// assert_eq!((outputs.shape()?.dims(), last.shape()?.dims()), (&[4, 20, 32][..], &[2, 4, 16][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn apply_padded<'g>(
        &self,
        x: Expr<'g>,
        lengths: Expr<'g>,
        state: Option<Expr<'g>>,
        phase: Phase,
    ) -> (Expr<'g>, Expr<'g>) {
        self.run(x, Some(lengths), state, phase)
    }

    #[track_caller]
    fn run<'g>(
        &self,
        x: Expr<'g>,
        lengths: Option<Expr<'g>>,
        state: Option<Expr<'g>>,
        phase: Phase,
    ) -> (Expr<'g>, Expr<'g>) {
        let cell = match self.nonlinearity {
            RnnNonlinearity::Tanh => TANH,
            RnnNonlinearity::Relu => RELU,
        };
        let one = |sequence: Sequence<'g>, states: &[Expr<'g>], weights: Weights<'g>| {
            of_cell(&cell, sequence, states, &weights)
        };
        let unit = Unit { op: "Rnn", gates: 1, widths: vec![self.stack.hidden] };
        let operands = Operands { x, lengths, states: state.as_ref().map(std::slice::from_ref) };
        let (outputs, last) = self.stack.run(unit, operands, phase, &one);
        (outputs, last[0])
    }
}

impl Gru {
    /// One layer of that name from `inputs` features to states of `hidden`, with biases.
    pub fn new(name: impl Into<String>, inputs: usize, hidden: usize) -> Self {
        Gru { stack: Stack::new(name.into(), inputs, hidden) }
    }

    /// Outputs and last states as [`Rnn::apply`], errors too.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, state: Option<Expr<'g>>, phase: Phase) -> (Expr<'g>, Expr<'g>) {
        self.run(x, None, state, phase)
    }

    /// Outputs and last states of padded sequences as [`Rnn::apply_padded`], errors too.
    #[track_caller]
    pub fn apply_padded<'g>(
        &self,
        x: Expr<'g>,
        lengths: Expr<'g>,
        state: Option<Expr<'g>>,
        phase: Phase,
    ) -> (Expr<'g>, Expr<'g>) {
        self.run(x, Some(lengths), state, phase)
    }

    #[track_caller]
    fn run<'g>(
        &self,
        x: Expr<'g>,
        lengths: Option<Expr<'g>>,
        state: Option<Expr<'g>>,
        phase: Phase,
    ) -> (Expr<'g>, Expr<'g>) {
        let one = |sequence: Sequence<'g>, states: &[Expr<'g>], weights: Weights<'g>| {
            of_cell(&GRU, sequence, states, &weights)
        };
        let unit = Unit { op: "Gru", gates: 3, widths: vec![self.stack.hidden] };
        let operands = Operands { x, lengths, states: state.as_ref().map(std::slice::from_ref) };
        let (outputs, last) = self.stack.run(unit, operands, phase, &one);
        (outputs, last[0])
    }
}

impl Lstm {
    /// One layer of that name from `inputs` features to states of `hidden`, with biases.
    pub fn new(name: impl Into<String>, inputs: usize, hidden: usize) -> Self {
        Lstm { stack: Stack::new(name.into(), inputs, hidden) }
    }

    /// States, and with them the outputs, have so many features, to which those of the memory are projected. (PyTorch's
    /// `proj_size`.) 0 is none.
    #[must_use]
    pub fn projection(mut self, projection: usize) -> Self {
        self.stack.projection = projection;
        self
    }

    /// The last layer's states in all steps, `[steps, batch, directions * outputs]` in the layout of `x`, and the last states
    /// `[layers * directions, batch, outputs]` and memories `[layers * directions, batch, hidden]` of all layers, from those
    /// given, or from 0. `outputs` is the projection, or `hidden`. Errors as [`Rnn::apply`].
    #[track_caller]
    pub fn apply<'g>(
        &self,
        x: Expr<'g>,
        states: Option<(Expr<'g>, Expr<'g>)>,
        phase: Phase,
    ) -> (Expr<'g>, (Expr<'g>, Expr<'g>)) {
        self.run(x, None, states, phase)
    }

    /// Outputs and last states and memories of padded sequences as [`Rnn::apply_padded`], errors too.
    #[track_caller]
    pub fn apply_padded<'g>(
        &self,
        x: Expr<'g>,
        lengths: Expr<'g>,
        states: Option<(Expr<'g>, Expr<'g>)>,
        phase: Phase,
    ) -> (Expr<'g>, (Expr<'g>, Expr<'g>)) {
        self.run(x, Some(lengths), states, phase)
    }

    #[track_caller]
    fn run<'g>(
        &self,
        x: Expr<'g>,
        lengths: Option<Expr<'g>>,
        states: Option<(Expr<'g>, Expr<'g>)>,
        phase: Phase,
    ) -> (Expr<'g>, (Expr<'g>, Expr<'g>)) {
        let one = |sequence: Sequence<'g>, states: &[Expr<'g>], weights: Weights<'g>| match weights.projection {
            Some(projection) => projected(sequence, states, &weights, projection),
            None => of_cell(&LSTM, sequence, states, &weights),
        };
        let states = states.map(|(state, memory)| [state, memory]);
        let unit = Unit { op: "Lstm", gates: 4, widths: vec![self.stack.outputs(), self.stack.hidden] };
        let operands = Operands { x, lengths, states: states.as_ref().map(|states| &states[..]) };
        let (outputs, last) = self.stack.run(unit, operands, phase, &one);
        (outputs, (last[0], last[1]))
    }
}

/// A loop of cells.
#[track_caller]
fn of_cell<'g>(
    cell: &Cell,
    sequence: Sequence<'g>,
    states: &[Expr<'g>],
    weights: &Weights<'g>,
) -> Option<(Expr<'g>, Vec<Expr<'g>>)> {
    let Weights { of_inputs, of_states, biases, .. } = *weights;
    sequence.x.recurrent(states, of_inputs, of_states, biases, sequence.inside, cell)
}

/// A loop of long short-term memories whose states are projected. What inputs contribute is computed for all steps at once.
#[track_caller]
fn projected<'g>(
    sequence: Sequence<'g>,
    states: &[Expr<'g>],
    weights: &Weights<'g>,
    projection: Expr<'g>,
) -> Option<(Expr<'g>, Vec<Expr<'g>>)> {
    let plus = |product: Expr<'g>, place: usize| match weights.biases {
        Some(biases) => product + biases[place],
        None => product,
    };
    let x = sequence.x;
    let hidden = states[1].shape().ok()?.last().copied().unwrap_or(0);
    let of_inputs = plus(x.matmul_with(weights.of_inputs, false, true), 0);
    of_inputs.raw()?;
    let step = |states: &[Expr<'g>], elements: &[Expr<'g>]| {
        let gates = elements[0] + plus(states[0].matmul_with(weights.of_states, false, true), 1);
        let [input, forget, cell, output] =
            [0, 1, 2, 3].map(|gate| gates.slice(-1, gate * hidden, (gate + 1) * hidden));
        let memory = forget.sigmoid() * states[1] + input.sigmoid() * cell.tanh();
        let state = (output.sigmoid() * memory.tanh()).matmul_with(projection, false, true);
        let next = kept_outside(elements.get(1).copied(), vec![state, memory], states);
        let state = next[0];
        (next, vec![state])
    };
    let sequences: Vec<Expr<'g>> = [of_inputs].into_iter().chain(sequence.inside).collect();
    match x.graph().scan(states, &sequences, step) {
        Ok(scanned) => Some((scanned.outputs[0], scanned.carries)),
        Err(error) => x.fail_without(error),
    }
}
