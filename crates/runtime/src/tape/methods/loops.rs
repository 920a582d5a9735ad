//! Loops over sequences of variables, and recurrent layers.

use std::cell::Cell;

use arenagrad_graph::{Expr, GraphError, Origin, ScanOptions, Scanned};

use crate::tape::{Tape, Variable};

/// The next carries and the outputs of a step.
type Step<'g> = (Vec<Expr<'g>>, Vec<Expr<'g>>);

impl Tape {
    /// Applies `body` to the elements of `sequences` one after the other: see [`Graph::scan`](crate::Graph::scan). The body is a function of the carries, the elements, and
    /// the values of `captured`, which are the same in each step: a function of expressions cannot use variables otherwise. It is called once for
    /// each result. Returned are the last carries, and the outputs of all steps.
    ///
    /// ```
    /// use arenagrad::{Device, ScanOptions, Tape, Tensor};
    ///
    /// let tape = Tape::new(Device::cpu());
    /// let x = tape.leaf(Tensor::new([3], vec![1.0f32, 2.0, 3.0])?);
    /// let (w, first) = (tape.leaf(0.5).requires_grad(), tape.leaf(0.0));
    /// let (last, sums) = tape.scan(ScanOptions::default(), &[&first], &[&x], &[&w], |carries, elements, captured| {
    ///     let sum = carries[0] * captured[0] + elements[0];
    ///     (vec![sum], vec![sum])
    /// });
    /// assert_eq!(sums[0].data()?.to_f64_vec(), [1.0, 2.5, 4.25]);
    /// last[0].backward()?;
    /// assert_eq!(w.grad()?.to_f64_vec(), [3.0]); // of w (w + 2) + 3
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn scan(
        &self,
        options: ScanOptions,
        initial: &[&Variable],
        sequences: &[&Variable],
        captured: &[&Variable],
        body: impl for<'g> Fn(&[Expr<'g>], &[Expr<'g>], &[Expr<'g>]) -> Step<'g>,
    ) -> (Vec<Variable>, Vec<Variable>) {
        let origin = Origin::here();
        let operands: Vec<&Variable> = [initial, sequences, captured].concat();
        // How many results there are is known when the body was called.
        let count = Cell::new(initial.len());
        let result = |number: usize| {
            Variable::new(self.inner.record("scan", &operands, origin, |graph, operands| {
                let (carries, rest) = operands.split_at(initial.len());
                let (elements, captured) = rest.split_at(sequences.len());
                let Scanned { carries, outputs } =
                    graph
                        .scan_with(options, carries, elements, |carries, elements| body(carries, elements, captured))?;
                count.set(carries.len() + outputs.len());
                let found = carries.into_iter().chain(outputs).nth(number);
                Ok(found.ok_or(GraphError::NoOperands { origin, op: "scan" })?)
            }))
        };
        let mut results: Vec<Variable> = Vec::new();
        while results.len() < count.get() || results.is_empty() {
            results.push(result(results.len()));
        }
        let outputs = results.split_off(initial.len().min(results.len()));
        (results, outputs)
    }
}

impl Variable {
    /// One step of a recurrent unit with tanh. See [`Expr::rnn_cell`].
    #[track_caller]
    pub fn rnn_cell(
        &self,
        state: &Variable,
        weight_ih: &Variable,
        weight_hh: &Variable,
        biases: Option<[&Variable; 2]>,
    ) -> Variable {
        let operands = Operands { input: self, states: &[state], weights: [weight_ih, weight_hh], biases };
        operands.record("rnn_cell", Origin::here(), |x, s, [ih, hh], biases| x.rnn_cell(s[0], ih, hh, biases))
    }

    /// One step of a gated recurrent unit. See [`Expr::gru_cell`].
    #[track_caller]
    pub fn gru_cell(
        &self,
        state: &Variable,
        weight_ih: &Variable,
        weight_hh: &Variable,
        biases: Option<[&Variable; 2]>,
    ) -> Variable {
        let operands = Operands { input: self, states: &[state], weights: [weight_ih, weight_hh], biases };
        operands.record("gru_cell", Origin::here(), |x, s, [ih, hh], biases| x.gru_cell(s[0], ih, hh, biases))
    }

    /// One step of a long short-term memory: the next state and memory. See [`Expr::lstm_cell`].
    #[track_caller]
    pub fn lstm_cell(
        &self,
        state: &Variable,
        memory: &Variable,
        weight_ih: &Variable,
        weight_hh: &Variable,
        biases: Option<[&Variable; 2]>,
    ) -> (Variable, Variable) {
        let (origin, states) = (Origin::here(), [state, memory]);
        let operands = Operands { input: self, states: &states, weights: [weight_ih, weight_hh], biases };
        (
            operands.record("lstm_cell", origin, |x, s, [ih, hh], biases| x.lstm_cell(s[0], s[1], ih, hh, biases).0),
            operands.record("lstm_cell", origin, |x, s, [ih, hh], biases| x.lstm_cell(s[0], s[1], ih, hh, biases).1),
        )
    }

    /// A recurrent layer with tanh: the states of all steps, and the last. See [`Expr::rnn_tanh`].
    #[track_caller]
    pub fn rnn_tanh(
        &self,
        state: &Variable,
        weight_ih: &Variable,
        weight_hh: &Variable,
        biases: Option<[&Variable; 2]>,
    ) -> (Variable, Variable) {
        let origin = Origin::here();
        let operands = Operands { input: self, states: &[state], weights: [weight_ih, weight_hh], biases };
        (
            operands.record("rnn_tanh", origin, |x, s, [ih, hh], biases| x.rnn_tanh(s[0], ih, hh, biases).0),
            operands.record("rnn_tanh", origin, |x, s, [ih, hh], biases| x.rnn_tanh(s[0], ih, hh, biases).1),
        )
    }

    /// A recurrent layer with `max(x, 0)`: the states of all steps, and the last. See [`Expr::rnn_relu`].
    #[track_caller]
    pub fn rnn_relu(
        &self,
        state: &Variable,
        weight_ih: &Variable,
        weight_hh: &Variable,
        biases: Option<[&Variable; 2]>,
    ) -> (Variable, Variable) {
        let origin = Origin::here();
        let operands = Operands { input: self, states: &[state], weights: [weight_ih, weight_hh], biases };
        (
            operands.record("rnn_relu", origin, |x, s, [ih, hh], biases| x.rnn_relu(s[0], ih, hh, biases).0),
            operands.record("rnn_relu", origin, |x, s, [ih, hh], biases| x.rnn_relu(s[0], ih, hh, biases).1),
        )
    }

    /// A layer of gated recurrent units: the states of all steps, and the last. See [`Expr::gru`].
    #[track_caller]
    pub fn gru(
        &self,
        state: &Variable,
        weight_ih: &Variable,
        weight_hh: &Variable,
        biases: Option<[&Variable; 2]>,
    ) -> (Variable, Variable) {
        let origin = Origin::here();
        let operands = Operands { input: self, states: &[state], weights: [weight_ih, weight_hh], biases };
        (
            operands.record("gru", origin, |x, s, [ih, hh], biases| x.gru(s[0], ih, hh, biases).0),
            operands.record("gru", origin, |x, s, [ih, hh], biases| x.gru(s[0], ih, hh, biases).1),
        )
    }

    /// A layer of long short-term memories: the states of all steps, the last state and the last memory. See [`Expr::lstm`].
    #[track_caller]
    pub fn lstm(
        &self,
        state: &Variable,
        memory: &Variable,
        weight_ih: &Variable,
        weight_hh: &Variable,
        biases: Option<[&Variable; 2]>,
    ) -> (Variable, Variable, Variable) {
        let (origin, states) = (Origin::here(), [state, memory]);
        let operands = Operands { input: self, states: &states, weights: [weight_ih, weight_hh], biases };
        (
            operands.record("lstm", origin, |x, s, [ih, hh], biases| x.lstm(s[0], s[1], ih, hh, biases).0),
            operands.record("lstm", origin, |x, s, [ih, hh], biases| x.lstm(s[0], s[1], ih, hh, biases).1),
            operands.record("lstm", origin, |x, s, [ih, hh], biases| x.lstm(s[0], s[1], ih, hh, biases).2),
        )
    }
}

/// What a recurrent layer is given.
struct Operands<'a> {
    input: &'a Variable,
    states: &'a [&'a Variable],
    weights: [&'a Variable; 2],
    biases: Option<[&'a Variable; 2]>,
}

impl Operands<'_> {
    /// Records one result. Others of the same operands are recorded on their own, and computed together.
    fn record(
        &self,
        name: &'static str,
        origin: Origin,
        build: impl for<'g> FnOnce(Expr<'g>, &[Expr<'g>], [Expr<'g>; 2], Option<[Expr<'g>; 2]>) -> Expr<'g>,
    ) -> Variable {
        let states = self.states.len();
        let operands: Vec<&Variable> = std::iter::once(self.input)
            .chain(self.states.iter().copied())
            .chain(self.weights)
            .chain(self.biases.into_iter().flatten())
            .collect();
        Variable::new(self.input.tape_inner().record(name, &operands, origin, |_, operands| {
            let (input, rest) = (operands[0], &operands[1..]);
            let (states, rest) = rest.split_at(states);
            let (weights, biases) = ([rest[0], rest[1]], rest.get(2).zip(rest.get(3)));
            Ok(build(input, states, weights, biases.map(|(input, state)| [*input, *state])))
        }))
    }
}
