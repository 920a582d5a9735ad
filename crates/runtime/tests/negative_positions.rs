//! Positions that count from the end where they are negative, where PyTorch counts so: in the graph, from an input, which each run checks, and
//! computed. Everywhere else they are out of range.

use crate::suite::devices::devices;
use arenagrad::graph::GraphError;
use arenagrad::{DType, Error, Expr, Graph, Session, Tensor};

type Function = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;

/// What counts from the end, of `0 ..= 4` and positions `[-1, 1]`.
const COUNTED: &[(&str, Function, &[f32])] = &[
    ("index_fill", |x, i| x.index_fill(0, i, 9.0), &[0.0, 9.0, 2.0, 3.0, 9.0]),
    ("index_fill by a row", |x, i| x.index_fill(0, i, x * 2.0), &[0.0, 2.0, 2.0, 3.0, 8.0]),
    ("take", |x, i| x.take(i), &[4.0, 1.0]),
    ("take_along_dim", |x, i| x.take_along_dim(0, i), &[4.0, 1.0]),
    ("put", |x, i| x.put(i, i.cast(DType::F32), false), &[0.0, 1.0, 2.0, 3.0, -1.0]),
    ("index_put", |x, i| x.index_put(&[Some(i)], 9.0, true), &[0.0, 10.0, 2.0, 3.0, 13.0]),
];

/// What does not.
const FROM_THE_START: &[(&str, Function)] = &[
    ("index_select", |x, i| x.index_select(0, i)),
    ("gather", |x, i| x.gather(0, i)),
    ("scatter", |x, i| x.scatter(0, i, 1.0)),
    ("scatter_add", |x, i| x.scatter_add(0, i, x.slice(0, 0, 2))),
    ("index_add", |x, i| x.index_add(0, i, x.slice(0, 0, 2), 1.0)),
    ("index_copy", |x, i| x.index_copy(0, i, x.slice(0, 0, 2))),
];

fn x(g: &Graph) -> Expr<'_> {
    g.literal([5], [0.0f32, 1.0, 2.0, 3.0, 4.0])
}

fn positions(values: [i32; 2]) -> Tensor {
    Tensor::new([2], values.to_vec()).unwrap()
}

#[test]
fn negative_positions_count_from_the_end() {
    for device in devices() {
        for (name, function, expected) in COUNTED {
            let g = Graph::new();
            let (x, input) = (x(&g), g.input_of("i", [2], DType::I32));
            let results = [g.literal([2], [-1, 1]), input, input.maximum(-5)].map(|i| function(x, i));
            let mut session = Session::evaluate(&g, &results, &device).unwrap();
            for (which, found) in session.run(&[("i", &positions([-1, 1]))]).unwrap().iter().enumerate() {
                assert_eq!(found.as_slice::<f32>().unwrap(), *expected, "{device}: {name}, {which}");
            }
        }
    }
}

#[test]
fn positions_of_inputs_are_checked_at_each_run() {
    for device in devices() {
        for (name, function, _) in COUNTED {
            let g = Graph::new();
            let result = function(x(&g), g.input_of("i", [2], DType::I32));
            let mut session = Session::evaluate(&g, &[result], &device).unwrap();
            for value in [-6, 5] {
                let error = session.run(&[("i", &positions([0, value]))]).unwrap_err();
                let text = error.to_string();
                let is_told = matches!(error, Error::IndexOutOfRange { position: 1, value: told, .. } if told == value);
                assert!(is_told && text.contains("outside -5..5"), "{device}: {name}: {text}");
            }
            session.run(&[("i", &positions([-5, 4]))]).unwrap();
        }
        for (name, function) in FROM_THE_START {
            let g = Graph::new();
            let result = function(x(&g), g.input_of("i", [2], DType::I32));
            let mut session = Session::evaluate(&g, &[result], &device).unwrap();
            let error = session.run(&[("i", &positions([0, -1]))]).unwrap_err().to_string();
            assert!(error.contains("element 1 is -1, outside 0..5"), "{device}: {name}: {error}");
        }
    }
}

#[test]
fn positions_in_the_graph_are_checked_where_they_are_used() {
    for (name, function, _) in COUNTED {
        let g = Graph::new();
        let _ = function(x(&g), g.literal([2], [-5, -6]));
        let error = g.take_error().unwrap();
        let is_told = matches!(error, GraphError::Index { position: 1, value: -6, least: -5, bound: 5, .. });
        assert!(is_told && error.to_string().contains("outside -5..5"), "{name}: {error}");
    }
    for (name, function) in FROM_THE_START {
        let g = Graph::new();
        let _ = function(x(&g), g.literal([2], [0, -1]));
        let error = g.take_error().unwrap();
        assert!(matches!(error, GraphError::Index { position: 1, value: -1, least: 0, .. }), "{name}: {error}");
    }
}
