//! Recurrent layers against PyTorch's formulas, written out in f64.

use arenagrad::nn::{Gru, Lstm, Phase, Rnn};
use arenagrad::{Ctc, DType, Device, Expr, Graph, GraphError, Session, Tape, Tensor};

use crate::suite::devices::devices;
use crate::suite::evaluate::Given;
use crate::suite::random::Random;
use crate::suite::run::numbers;

const STEPS: usize = 7;
const BATCH: usize = 3;
const INPUTS: usize = 4;
const HIDDEN: usize = 5;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The weights of a layer of so many gates.
struct Layer {
    gates: usize,
    given: Given,
}

impl Layer {
    fn new(gates: usize) -> Layer {
        let mut random = Random(gates as u64);
        let mut given = Given::new();
        let rows = gates * HIDDEN;
        for (name, count) in [
            ("x", STEPS * BATCH * INPUTS),
            ("h", BATCH * HIDDEN),
            ("c", BATCH * HIDDEN),
            ("w_ih", rows * INPUTS),
            ("w_hh", rows * HIDDEN),
            ("b_ih", rows),
            ("b_hh", rows),
        ] {
            given.insert(name.to_owned(), random.floats(count, -1.0, 1.0));
        }
        Layer { gates, given }
    }

    fn element(&self, name: &str, index: usize) -> f64 {
        f64::from(self.given[name][index] as f32)
    }

    /// What input and state contribute to a row of the gates, in a step and for an element of the batch.
    fn parts(&self, step: usize, batch: usize, state: &[f64], row: usize) -> [f64; 2] {
        let of_input: f64 = (0..INPUTS)
            .map(|i| self.element("x", (step * BATCH + batch) * INPUTS + i) * self.element("w_ih", row * INPUTS + i))
            .sum();
        let of_state: f64 =
            (0..HIDDEN).map(|i| state[batch * HIDDEN + i] * self.element("w_hh", row * HIDDEN + i)).sum();
        [of_input + self.element("b_ih", row), of_state + self.element("b_hh", row)]
    }

    /// The states of all steps, the last state, and the last memory, where `cell` makes the next state and memory of an element from the two contributions
    /// to each gate, the state and the memory.
    fn run(&self, cell: impl Fn(&[[f64; 2]], f64, f64) -> [f64; 2]) -> [Vec<f64>; 3] {
        let first = |name: &str| (0..BATCH * HIDDEN).map(|i| self.element(name, i)).collect::<Vec<f64>>();
        let (mut state, mut memory, mut states) = (first("h"), first("c"), Vec::new());
        for step in 0..STEPS {
            let before = state.clone();
            for batch in 0..BATCH {
                for unit in 0..HIDDEN {
                    let parts: Vec<[f64; 2]> =
                        (0..self.gates).map(|gate| self.parts(step, batch, &before, gate * HIDDEN + unit)).collect();
                    let place = batch * HIDDEN + unit;
                    [state[place], memory[place]] = cell(&parts, before[place], memory[place]);
                }
            }
            states.extend_from_slice(&state);
        }
        [states, state, memory]
    }
}

#[track_caller]
fn assert_close(found: &[Vec<f64>], expected: &[Vec<f64>], device: &Device) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len());
        let is_close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6);
        assert!(is_close, "{device}: {found:?}\n{expected:?}");
    }
}

#[test]
fn layers_are_those_of_pytorch() {
    for device in devices() {
        for gates in [1, 3, 4] {
            let layer = Layer::new(gates);
            let rows = gates * HIDDEN;
            let g = Graph::new();
            let input = |name: &str, shape: &[usize]| g.input_of(name, shape, DType::F32);
            let x = input("x", &[STEPS, BATCH, INPUTS]);
            let (h, c) = (input("h", &[BATCH, HIDDEN]), input("c", &[BATCH, HIDDEN]));
            let (w_ih, w_hh) = (input("w_ih", &[rows, INPUTS]), input("w_hh", &[rows, HIDDEN]));
            let biases = Some([input("b_ih", &[rows]), input("b_hh", &[rows])]);
            let (results, expected) = match gates {
                1 => {
                    let (states, last) = x.rnn_tanh(h, w_ih, w_hh, biases);
                    let [expected, state, _] = layer.run(|gates, _, _| [(gates[0][0] + gates[0][1]).tanh(), 0.0]);
                    (vec![states, last], vec![expected, state])
                }
                3 => {
                    let (states, last) = x.gru(h, w_ih, w_hh, biases);
                    let [expected, state, _] = layer.run(|gates, state, _| {
                        let [r, z] = [0, 1].map(|gate| sigmoid(gates[gate][0] + gates[gate][1]));
                        let n = (gates[2][0] + r * gates[2][1]).tanh();
                        [(1.0 - z) * n + z * state, 0.0]
                    });
                    (vec![states, last], vec![expected, state])
                }
                _ => {
                    let (states, last, memory) = x.lstm(h, c, w_ih, w_hh, biases);
                    let expected = layer.run(|gates, _, memory| {
                        let [i, f, g, o] = [0, 1, 2, 3].map(|gate| gates[gate][0] + gates[gate][1]);
                        let memory = sigmoid(f) * memory + sigmoid(i) * g.tanh();
                        [sigmoid(o) * memory.tanh(), memory]
                    });
                    (vec![states, last, memory], expected.to_vec())
                }
            };
            assert_close(&numbers(&g, &results, &layer.given, &device), &expected, &device);
            // A cell is one step of its layer.
            let first = x.select_index(0, 0);
            let next = match gates {
                1 => first.rnn_cell(h, w_ih, w_hh, biases),
                3 => first.gru_cell(h, w_ih, w_hh, biases),
                _ => first.lstm_cell(h, c, w_ih, w_hh, biases).0,
            };
            let found = numbers(&g, &[next], &layer.given, &device);
            assert_close(&found, &[expected[0][..BATCH * HIDDEN].to_vec()], &device);
        }
    }
}

#[test]
fn a_tape_records_layers() {
    for device in devices() {
        let layer = Layer::new(4);
        let tape = Tape::new(device.clone());
        let rows = 4 * HIDDEN;
        let leaf = |name: &str, shape: &[usize]| {
            let elements: Vec<f32> = layer.given[name].iter().map(|&x| x as f32).collect();
            tape.leaf(Tensor::new(shape, elements).unwrap()).requires_grad()
        };
        let x = leaf("x", &[STEPS, BATCH, INPUTS]);
        let (h, c) = (leaf("h", &[BATCH, HIDDEN]), leaf("c", &[BATCH, HIDDEN]));
        let (w_ih, w_hh) = (leaf("w_ih", &[rows, INPUTS]), leaf("w_hh", &[rows, HIDDEN]));
        let (b_ih, b_hh) = (leaf("b_ih", &[rows]), leaf("b_hh", &[rows]));
        for _ in 0..3 {
            let (states, last, memory) = x.lstm(&h, &c, &w_ih, &w_hh, Some([&b_ih, &b_hh]));
            let loss = &(&states.sum(..) + &last.sum(..)) + &memory.sum(..);
            loss.backward().unwrap();
        }
        let gradient = w_hh.grad().unwrap().to_f64_vec();

        let g = Graph::new();
        let input = |name: &str, shape: &[usize]| g.input_of(name, shape, DType::F32);
        let w = input("w_hh", &[rows, HIDDEN]);
        let (states, last, memory) = input("x", &[STEPS, BATCH, INPUTS]).lstm(
            input("h", &[BATCH, HIDDEN]),
            input("c", &[BATCH, HIDDEN]),
            input("w_ih", &[rows, INPUTS]),
            w,
            Some([input("b_ih", &[rows]), input("b_hh", &[rows])]),
        );
        let [expected] = (states.sum(..) + last.sum(..) + memory.sum(..)).grad([w]).unwrap();
        let expected = numbers(&g, &[expected], &layer.given, &device).concat();
        let is_close = gradient.iter().zip(&expected).all(|(a, b)| (a - 3.0 * b).abs() < 1e-4);
        assert!(is_close, "{device}: {gradient:?}\n{expected:?}");
    }
}

/// Outputs and last states of a network of each kind, from first states `[2, batch, hidden]`, and the gradient of their sum by the
/// sequence.
fn of_each_kind<'g>(x: Expr<'g>, h: Expr<'g>, lengths: Option<Expr<'g>>) -> Vec<Expr<'g>> {
    let phase = Phase::Evaluation;
    let rnn = Rnn::new("rnn", INPUTS, HIDDEN).bidirectional();
    let gru = Gru::new("gru", INPUTS, HIDDEN).bidirectional();
    let lstm = Lstm::new("lstm", INPUTS, HIDDEN).bidirectional();
    let projected = Lstm::new("projected", INPUTS, HIDDEN).bidirectional().projection(2);
    let (states, narrow) = (Some((h, h)), Some((h.slice(-1, 0, 2), h)));
    let (of_rnn, of_gru, of_lstm, of_projected) = match lengths {
        Some(lengths) => (
            rnn.apply_padded(x, lengths, Some(h), phase),
            gru.apply_padded(x, lengths, Some(h), phase),
            lstm.apply_padded(x, lengths, states, phase),
            projected.apply_padded(x, lengths, narrow, phase),
        ),
        None => (
            rnn.apply(x, Some(h), phase),
            gru.apply(x, Some(h), phase),
            lstm.apply(x, states, phase),
            projected.apply(x, narrow, phase),
        ),
    };
    let mut results = vec![of_rnn.0, of_rnn.1, of_gru.0, of_gru.1];
    for (outputs, (state, memory)) in [of_lstm, of_projected] {
        results.extend([outputs, state, memory]);
    }
    let sum = results.iter().map(|result| result.sum(..)).reduce(|sum, part| sum + part).unwrap();
    results.extend(sum.grad([x]).unwrap());
    results
}

/// The results of [`of_each_kind`] for a sequence `[steps, batch, inputs]`, whose first states count up.
/// The results, of lengths that are computed of an input or are one.
fn results_of(device: &Device, x: &Tensor, lengths: Option<&Tensor>, is_computed: bool) -> Vec<Tensor> {
    let g = Graph::new();
    let batch = x.shape()[1];
    let h = g.iota([2, batch, HIDDEN], 2).cast(DType::F32) / 10.0;
    let read = lengths.map(|lengths| g.input_of("lengths", lengths.shape(), DType::I32));
    let read = read.map(|read| if is_computed { read + 0 } else { read });
    let results = of_each_kind(g.input("x", x.shape()), h, read);
    let mut session = Session::evaluate(&g, &results, device).unwrap();
    let given: Vec<(&str, &Tensor)> = [("x", x)].into_iter().chain(lengths.map(|given| ("lengths", given))).collect();
    session.run(&given).unwrap()
}

#[test]
fn what_stands_in_the_padding_is_not_read() {
    for device in devices() {
        let mut random = Random(11);
        let numbers: Vec<f32> = random.floats(STEPS * 4 * INPUTS, -1.0, 1.0).iter().map(|&x| x as f32).collect();
        let lengths = [3, STEPS, 0, 1];
        let padded = (0..numbers.len()).map(|place| {
            let (step, sample) = (place / (4 * INPUTS), place / INPUTS % 4);
            let padding = if place % 2 == 0 { f32::NAN } else { f32::INFINITY };
            if step < lengths[sample] { numbers[place] } else { padding }
        });
        let padded = Tensor::new([STEPS, 4, INPUTS], padded.collect::<Vec<f32>>()).unwrap();
        let found = results_of(&device, &padded, Some(&Tensor::indices(&lengths).unwrap()), false);
        for (sample, length) in lengths.into_iter().enumerate() {
            let alone = padded.slice(1, sample, sample + 1).unwrap().slice(0, 0, length).unwrap();
            for (number, (found, expected)) in found.iter().zip(results_of(&device, &alone, None, false)).enumerate() {
                // Outputs and the gradient by the sequence go over steps, and the others are states.
                let found = found.slice(1, sample, sample + 1).unwrap();
                let is_stepwise = [0, 2, 4, 7, 10].contains(&number);
                let own = if is_stepwise { found.slice(0, 0, length).unwrap() } else { found.clone() };
                assert!(
                    own.to_f64_vec().iter().zip(expected.to_f64_vec()).all(|(a, b)| (a - b).abs() < 2e-6),
                    "{device}: result {number} of length {length}: {own}\n{expected}"
                );
                assert_eq!(own.shape(), expected.shape());
                if is_stepwise {
                    let behind = found.slice(0, length, STEPS).unwrap();
                    assert!(behind.to_f64_vec().iter().all(|element| *element == 0.0), "{device}: {behind}");
                }
            }
        }
    }
}

/// Those that are given are held to their bounds, wherever they come from.
#[test]
fn lengths_that_are_none_are_told() {
    for device in devices() {
        let rnn = Rnn::new("rnn", INPUTS, 2);
        for lengths in [[2, -1, 1], [0, 1, STEPS as i32 + 1]] {
            let g = Graph::new();
            let x = g.input("x", [STEPS, 3, INPUTS]);
            let (_, last) = rnn.apply_padded(x, g.input_of("lengths", [3], DType::I32), None, Phase::Training);
            let mut session = Session::evaluate(&g, &[last], &device).unwrap();
            let given = Tensor::new([3], lengths.to_vec()).unwrap();
            let x = Tensor::zeros([STEPS, 3, INPUTS], DType::F32).unwrap();
            let error = session.run(&[("x", &x), ("lengths", &given)]).unwrap_err();
            let text = error.to_string();
            let bounds = format!("outside 0..{} that ", STEPS + 1);
            assert!(text.starts_with("input \"lengths\": element ") && text.contains(&bounds), "{text}");

            let g = Graph::new();
            let (x, lengths) = (g.input("x", [STEPS, 3, INPUTS]), g.literal([3], lengths));
            let (_, last) = rnn.apply_padded(x, lengths, None, Phase::Training);
            assert!(matches!(last.check(), Err(GraphError::Index { op: "Rnn", .. })), "{:?}", last.check());

            let g = Graph::new();
            let (x, targets) = (g.input("x", [STEPS, 3, 4]), g.literal([3, STEPS], vec![1; 3 * STEPS]));
            let [steps, labels] = ["steps", "labels"].map(|name| g.input_of(name, [3], DType::I32));
            let loss = x.ctc_loss(targets, steps, labels, Ctc::default());
            let mut session = Session::evaluate(&g, &[loss], &device).unwrap();
            let x = Tensor::zeros([STEPS, 3, 4], DType::F32).unwrap();
            let fits = Tensor::new([3], vec![1, 1, 1]).unwrap();
            for (steps, labels, name) in [(&given, &fits, "steps"), (&fits, &given, "labels")] {
                let error = session.run(&[("x", &x), ("steps", steps), ("labels", labels)]).unwrap_err();
                assert!(error.to_string().starts_with(&format!("input {name:?}: element ")), "{error}");
            }
        }
    }
}

#[test]
fn computed_lengths_that_are_none_make_their_sequences_nan() {
    for device in devices() {
        let x = Tensor::new([STEPS, 3, INPUTS], vec![0.5f32; STEPS * 3 * INPUTS]).unwrap();
        let lengths = Tensor::new([3], vec![-1, 2, STEPS as i32 + 1]).unwrap();
        for result in results_of(&device, &x, Some(&lengths), true) {
            let of_sample = |sample: usize| result.slice(1, sample, sample + 1).unwrap().to_f64_vec();
            for sample in [0, 2] {
                assert!(of_sample(sample).iter().any(|element| element.is_nan()), "{device}: {result}");
            }
            assert!(of_sample(1).iter().all(|element| element.is_finite()), "{device}: {result}");
        }
    }
}
