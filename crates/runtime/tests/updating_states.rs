//! Plans that train nothing and update states: what is carried on from run to run.

use arenagrad::nn::Phase;
use arenagrad::{DType, Error, Graph, Init, Session, Tensor};

use crate::suite::devices::devices;

/// Outputs are of the states as they were, also where the next value takes the place of the one before.
#[test]
fn outputs_are_computed_from_what_states_were() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [3]);
        let (sum, count) = (
            g.state("sum", [3], DType::F32, Init::Constant(0.0)),
            g.state("count", [], DType::I32, Init::Constant(0.0)),
        );
        g.update(sum, sum + x);
        g.update(count, g.latest(count) + 1);
        g.update(count, g.latest(count) + 1);
        let outputs = [sum, g.latest(sum), count, x * 2.0];
        let mut plain = Session::evaluate(&g, &outputs, &device).unwrap();
        let mut session = Session::builder(device).updating_states().evaluate(&g, &outputs).unwrap();
        let (total, nodes) = (sum.sum(..), g.len());
        let later = session.add(&g, &[total]).unwrap();
        assert_eq!(g.len(), nodes, "what counts and updates is taken back");
        for run in 0..3 {
            let x = Tensor::from([1.0f32, 2.0, -1.0]);
            let found = session.run(&[("x", &x)]).unwrap();
            let before = [1.0, 2.0, -1.0].map(|x| x * f64::from(2 * run));
            assert_eq!(found[0].to_f64_vec(), before);
            assert_eq!(found[1].to_f64_vec(), [before[0] + 1.0, before[1] + 2.0, before[2] - 1.0]);
            assert_eq!(
                (found[2].to_f64_vec(), found[3].to_f64_vec()),
                (vec![f64::from(4 * run)], vec![2.0, 4.0, -2.0])
            );
            // Another plan of the session goes on from there.
            let found = session.run_plan(later, &[("x", &x)]).unwrap();
            assert_eq!(found[0].item().unwrap(), f64::from(2 * (2 * run + 1)));
            assert_eq!(plain.run(&[("x", &x)]).unwrap()[0].to_f64_vec(), [0.0; 3]);
        }
        assert_eq!(session.parameter("count").unwrap().item().unwrap(), 12.0);
    }
}

#[test]
fn each_run_draws_other_numbers() {
    for device in devices() {
        let g = Graph::new();
        let draws = g.uniform_in(Phase::Training, [4]);
        let mut session = Session::builder(device.clone()).seed(3).updating_states().evaluate(&g, &[draws]).unwrap();
        let runs: Vec<Vec<f64>> = (0..3).map(|_| session.run(&[]).unwrap()[0].to_f64_vec()).collect();
        assert!(runs[0] != runs[1] && runs[1] != runs[2], "{runs:?}");
        assert_eq!(session.parameter("step").unwrap().item().unwrap(), 3.0);
        let mut again = Session::builder(device).seed(3).updating_states().evaluate(&g, &[draws]).unwrap();
        assert_eq!(again.run(&[]).unwrap()[0].to_f64_vec(), runs[0]);
    }
}

#[test]
fn a_refused_run_leaves_states_as_they_were() {
    for device in devices() {
        let g = Graph::new();
        let (row, place) = (g.input("row", [1, 2]), g.input_of("place", [1], DType::I32));
        let rows = g.state("rows", [4, 2], DType::F32, Init::Constant(0.0));
        let next = rows.index_copy(0, place, row);
        g.update(rows, next);
        let mut session = Session::builder(device).updating_states().evaluate(&g, &[next.sum(..)]).unwrap();
        let row = Tensor::from([[1.0f32, 2.0]]);
        assert_eq!(session.run(&[("row", &row), ("place", &Tensor::from([3]))]).unwrap()[0].item().unwrap(), 3.0);
        let error = session.run(&[("row", &row), ("place", &Tensor::from([4]))]).unwrap_err();
        assert!(matches!(error, Error::IndexOutOfRange { value: 4, .. }), "{error}");
        assert!(session.run(&[("row", &row)]).is_err());
        let rows = session.parameter("rows").unwrap().to_f64_vec();
        assert_eq!(rows, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
    }
}
