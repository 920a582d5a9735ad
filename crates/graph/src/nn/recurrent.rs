//! Recurrent networks: layers over one another, in one or both directions, on the loops of [`Expr::rnn_tanh`], [`Expr::gru`]
//! and [`Expr::lstm`].
//!
//! What the three kinds share stands here: parameters under PyTorch's keys, layouts of sequences and states, directions,
//! dropout between layers. A kind adds what a loop of it is.

mod cells;
mod lengths;
mod sequences;

pub use cells::{GruCell, LstmCell, RnnCell};
pub use sequences::{Gru, Lstm, Rnn};

use lengths::Ends;

use crate::declaration::Init;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::{Parameter, Phase, within};
use crate::shape::Shape;

/// The most layers of a stack: each is built by itself.
const MOST_LAYERS: usize = 65_536;

/// What makes the next state, where there is a choice. (PyTorch's `nonlinearity`.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RnnNonlinearity {
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

/// Layers of one kind of recurrent unit.
#[derive(Clone, Debug, PartialEq)]
struct Stack {
    name: String,
    inputs: usize,
    hidden: usize,
    layers: usize,
    has_bias: bool,
    is_bidirectional: bool,
    is_batch_first: bool,
    dropout: f64,
    /// What states are projected to, of a kind that can; 0: they are not.
    projection: usize,
}

/// What a kind of unit is.
struct Unit {
    /// Its name in errors and tables.
    op: &'static str,
    /// How many times its weights have as many rows as there are hidden numbers.
    gates: usize,
    /// The features of each of its states.
    widths: Vec<usize>,
}

/// The parameters of one layer in one direction.
struct Weights<'g> {
    of_inputs: Expr<'g>,
    of_states: Expr<'g>,
    biases: Option<[Expr<'g>; 2]>,
    projection: Option<Expr<'g>>,
}

/// What one layer reads in one direction.
#[derive(Clone, Copy)]
struct Sequence<'g> {
    /// `[steps, batch, features]`.
    x: Expr<'g>,
    /// Which steps belong to each sequence of the batch, bool `[steps, batch, 1]`; none: all do.
    inside: Option<Expr<'g>>,
}

/// What a network is applied to.
struct Operands<'a, 'g> {
    x: Expr<'g>,
    /// How many steps each sequence of the batch has, if not all.
    lengths: Option<Expr<'g>>,
    /// The first states, if not 0.
    states: Option<&'a [Expr<'g>]>,
}

/// One layer in one direction: from a sequence and first states `[batch, ..]` to the states of all steps and the last states.
type Loop<'a, 'g> = &'a dyn Fn(Sequence<'g>, &[Expr<'g>], Weights<'g>) -> Option<(Expr<'g>, Vec<Expr<'g>>)>;

impl Stack {
    fn new(name: String, inputs: usize, hidden: usize) -> Stack {
        let (layers, has_bias, is_bidirectional, is_batch_first) = (1, true, false, false);
        let (dropout, projection) = (0.0, 0);
        Stack { name, inputs, hidden, layers, has_bias, is_bidirectional, is_batch_first, dropout, projection }
    }

    /// The features of a state that is passed on.
    fn outputs(&self) -> usize {
        if self.projection == 0 { self.hidden } else { self.projection }
    }

    fn directions(&self) -> usize {
        if self.is_bidirectional { 2 } else { 1 }
    }

    /// As a table prints it.
    fn kind(&self, op: &str) -> String {
        let mut kind = format!("{op}({}, {}", self.inputs, self.hidden);
        if self.layers != 1 {
            kind += &format!(", {} layers", self.layers);
        }
        if self.is_bidirectional {
            kind += ", bidirectional";
        }
        kind + ")"
    }

    /// The outputs of the last layer, and the last states of all layers, from first states, or from 0.
    #[track_caller]
    fn run<'g>(
        &self,
        unit: Unit,
        operands: Operands<'_, 'g>,
        phase: Phase,
        one: Loop<'_, 'g>,
    ) -> (Expr<'g>, Vec<Expr<'g>>) {
        let x = operands.x;
        let graph = x.graph();
        let _method = graph.enter(unit.op);
        let poisoned = Expr::poisoned(graph);
        let mut last = vec![poisoned; unit.widths.len()];
        let outputs = graph.layer(self.kind(unit.op), &self.name, x, || {
            let Some((outputs, states)) = self.build(&unit, &operands, phase, one) else {
                return poisoned;
            };
            last = states;
            outputs
        });
        (outputs, last)
    }

    #[track_caller]
    fn build<'g>(
        &self,
        unit: &Unit,
        operands: &Operands<'_, 'g>,
        phase: Phase,
        one: Loop<'_, 'g>,
    ) -> Option<(Expr<'g>, Vec<Expr<'g>>)> {
        let x = operands.x;
        let (graph, op) = (x.graph(), unit.op);
        let origin = graph.origin_or(crate::Origin::here());
        let (shape, dtype) = x.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let rank = shape.rank();
        if !(2..=3).contains(&rank) {
            let (operand, expected) = (x.describe(), "rank 2 or 3".to_owned());
            return x.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        check_float(x, op, dtype)?;
        check_features(x, op, &shape, self.inputs, &self.name)?;
        if !(1..=MOST_LAYERS).contains(&self.layers) {
            let (what, value, expected) = ("the number of layers", self.layers as f64, "a number in 1..=65536");
            return x.fail_without(GraphError::Argument { origin, op, what, value, expected });
        }
        let is_batched = rank == 3;
        let mut sequence = match (is_batched, self.is_batch_first) {
            (false, _) => x.unsqueeze(1),
            (true, true) => x.transpose(0, 1),
            (true, false) => x,
        };
        let batch = match (is_batched, self.is_batch_first) {
            (false, _) => None,
            (true, true) => Some(shape[0]),
            (true, false) => Some(shape[1]),
        };
        let loops = self.layers * self.directions();
        let first = match operands.states {
            Some(states) => self.first_states(unit, x, dtype, states, batch)?,
            None => {
                let zeros = |&width: &usize| graph.zeros([loops, batch.unwrap_or(1), width], dtype);
                unit.widths.iter().map(zeros).collect()
            }
        };
        let ends = match operands.lengths {
            Some(lengths) => Some(Ends::new(x, sequence, lengths, batch, op)?),
            None => None,
        };
        if let Some(ends) = &ends {
            sequence = ends.inputs(sequence);
        }
        let mut last: Vec<Vec<Expr<'g>>> = vec![Vec::with_capacity(loops); unit.widths.len()];
        for layer in 0..self.layers {
            let mut outputs = Vec::with_capacity(2);
            for direction in 0..self.directions() {
                let weights = self.weights(x, dtype, unit.gates, layer, direction);
                let place = layer * self.directions() + direction;
                let from: Vec<Expr<'g>> = first.iter().map(|states| states.select_index(0, place)).collect();
                let is_reversed = direction == 1;
                let turned = |x: Expr<'g>| if is_reversed { x.flip(0) } else { x };
                let inside = ends.as_ref().map(|ends| turned(ends.inside));
                let (states, after) = one(Sequence { x: turned(sequence), inside }, &from, weights)?;
                let states = turned(states);
                outputs.push(ends.as_ref().map_or(states, |ends| ends.outputs(states)));
                for (all, state) in last.iter_mut().zip(after) {
                    all.push(ends.as_ref().map_or(state, |ends| ends.last(state)));
                }
            }
            sequence = if outputs.len() == 1 { outputs[0] } else { graph.concat(&outputs, -1) };
            if layer + 1 < self.layers {
                sequence = sequence.dropout_in(phase, self.dropout);
            }
        }
        if self.layers == 1 {
            // A rate that is none is refused also where nothing is dropped.
            sequence = sequence.dropout_in(Phase::Evaluation, self.dropout);
        }
        let outputs = match (is_batched, self.is_batch_first) {
            (false, _) => sequence.squeeze(1),
            (true, true) => sequence.transpose(0, 1),
            (true, false) => sequence,
        };
        let last = last.iter().map(|states| graph.stack(states, 0));
        let last = last.map(|states| if is_batched { states } else { states.squeeze(1) }).collect();
        Some((outputs, last))
    }

    /// The first states as `[layers * directions, batch, width]`.
    #[track_caller]
    fn first_states<'g>(
        &self,
        unit: &Unit,
        x: Expr<'g>,
        dtype: DType,
        states: &[Expr<'g>],
        batch: Option<usize>,
    ) -> Option<Vec<Expr<'g>>> {
        let loops = self.layers * self.directions();
        let checked = states.iter().zip(&unit.widths).map(|(&state, &width)| {
            let expected = match batch {
                Some(batch) => Shape::from([loops, batch, width]),
                None => Shape::from([loops, width]),
            };
            check_state(x, unit.op, dtype, state, expected, &self.name)?;
            Some(if batch.is_some() { state } else { state.unsqueeze(1) })
        });
        checked.collect()
    }

    /// The parameters of one layer in one direction, of which there are 0 and 1.
    #[track_caller]
    fn weights<'g>(&self, x: Expr<'g>, dtype: DType, gates: usize, layer: usize, direction: usize) -> Weights<'g> {
        let inputs = if layer == 0 { self.inputs } else { self.outputs().saturating_mul(self.directions()) };
        let suffix = if direction == 1 { format!("_l{layer}_reverse") } else { format!("_l{layer}") };
        let init = uniform_by_hidden(self.hidden);
        let rows = gates.saturating_mul(self.hidden);
        let declare = |part: &str, shape: &[usize]| {
            let name = within(&self.name, &format!("{part}{suffix}"));
            Parameter::new(name, shape, init.clone()).of(x.graph(), dtype)
        };
        let of_inputs = declare("weight_ih", &[rows, inputs]);
        let of_states = declare("weight_hh", &[rows, self.outputs()]);
        let biases = self.has_bias.then(|| [declare("bias_ih", &[rows]), declare("bias_hh", &[rows])]);
        let projection = (self.projection != 0).then(|| declare("weight_hr", &[self.projection, self.hidden]));
        Weights { of_inputs, of_states, biases, projection }
    }
}

#[track_caller]
fn check_float(x: Expr<'_>, op: &'static str, dtype: DType) -> Option<()> {
    if dtype.is_float() {
        return Some(());
    }
    let (origin, operand) = (x.graph().origin_or(crate::Origin::here()), x.describe());
    x.fail_without(GraphError::DType { origin, op, operand, dtype, expected: "a float" })
}

/// Whether the last axis has as many features as a layer reads.
#[track_caller]
fn check_features(x: Expr<'_>, op: &'static str, shape: &Shape, inputs: usize, name: &str) -> Option<()> {
    let axis = shape.rank() - 1;
    if shape[axis] == inputs {
        return Some(());
    }
    let (origin, lhs, rhs) =
        (x.graph().origin_or(crate::Origin::here()), x.describe(), format!("the inputs of {name:?}"));
    let (lhs_shape, rhs_shape, left, right) = (shape.clone(), Shape::from([inputs]), shape[axis], inputs);
    x.fail_without(GraphError::Extent { origin, op, axis, lhs, lhs_shape, rhs, rhs_shape, left, right })
}

/// Whether a first state is of the sequence's graph and dtype, and of the shape that it must have.
#[track_caller]
fn check_state<'g>(
    x: Expr<'g>,
    op: &'static str,
    dtype: DType,
    state: Expr<'g>,
    expected: Shape,
    name: &str,
) -> Option<()> {
    let origin = x.graph().origin_or(crate::Origin::here());
    x.same_graph(state, op, origin)?;
    let (lhs_shape, left) = state.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
    let (lhs, rhs) = (state.describe(), format!("a first state of {name:?}"));
    if lhs_shape != expected {
        return x.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape: expected });
    }
    if left != dtype {
        let rhs = x.describe();
        return x.fail_without(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right: dtype });
    }
    Some(())
}

/// Uniform in `±1 / sqrt(hidden)`, PyTorch's first values of everything recurrent.
fn uniform_by_hidden(hidden: usize) -> Init {
    let bound = 1.0 / (hidden.max(1) as f64).sqrt();
    Init::Uniform { low: -bound, high: bound }
}
