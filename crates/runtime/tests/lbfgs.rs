//! L-BFGS against PyTorch's, on Rosenbrock's function and a small network, and what ends it.

use crate::optimisers::{PARAMETERS, lines, network, numbers};
use crate::suite::devices::devices;
use arenagrad::graph::StorageType;
use arenagrad::train::{Lbfgs, LbfgsEnd, Objective};
use arenagrad::{DType, Device, Error, Graph, Init, Session, Tensor};

/// Rosenbrock's function and its gradient.
fn rosenbrock(x: &[f64], gradient: &mut [f64]) -> Result<f64, Error> {
    gradient.fill(0.0);
    let mut loss = 0.0;
    for k in 0..x.len() - 1 {
        let (a, b) = (1.0 - x[k], x[k + 1] - x[k] * x[k]);
        loss += a * a + 100.0 * b * b;
        gradient[k] += -2.0 * a - 400.0 * b * x[k];
        gradient[k + 1] += 200.0 * b;
    }
    Ok(loss)
}

/// The lines of a case: at each step the loss before it, the parameters after it, and the evaluations until then.
fn steps(case: &str) -> Vec<(f64, Vec<f64>, usize)> {
    let all = lines(include_str!("optimisers/lbfgs.jsonl"));
    let line = all.iter().find(|line| line["case"] == case).unwrap_or_else(|| panic!("no case {case}"));
    let evaluations = numbers(&line["evaluations"]);
    let steps = line["steps"].as_array().unwrap().iter().map(numbers);
    steps.zip(evaluations).map(|(step, count)| (step[0], step[1..].to_vec(), count as usize)).collect()
}

/// Chains of interpolated steps double what rounding makes of them several times over.
const CLOSE: f64 = 1e-9;

fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance * expected.abs().max(1.0)
}

#[test]
fn rosenbrock_as_pytorch_goes() {
    let two = vec![-1.2, 1.0];
    let cases: [(&str, Lbfgs, Vec<f64>); 4] = [
        ("rosenbrock_wolfe", Lbfgs::new(1.0).max_iterations(10).strong_wolfe(), two.clone()),
        (
            "rosenbrock_wolfe_one",
            Lbfgs::new(1.0).max_iterations(1).max_evaluations(25).strong_wolfe().history(3),
            two.clone(),
        ),
        ("rosenbrock_fixed", Lbfgs::new(0.05).max_iterations(6), two),
        (
            "rosenbrock_five",
            Lbfgs::new(1.0).max_iterations(8).history(4).strong_wolfe(),
            vec![-1.2, 1.0, -0.5, 0.8, 1.5],
        ),
    ];
    for (case, mut lbfgs, mut x) in cases {
        let mut evaluations = 0;
        for (step, (loss, expected, count)) in steps(case).into_iter().enumerate() {
            let outcome = lbfgs.minimise_function(&mut x, rosenbrock).unwrap();
            evaluations += outcome.evaluations;
            assert!(close(outcome.first_loss, loss, CLOSE), "{case}, {step}: {}, not {loss}", outcome.first_loss);
            assert_eq!(evaluations, count, "{case}, {step}");
            for (found, expected) in x.iter().zip(&expected) {
                assert!(close(*found, *expected, CLOSE), "{case}, {step}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn a_network_as_pytorch_goes() {
    for (case, lbfgs) in [
        ("network_wolfe", Lbfgs::new(1.0).max_iterations(5).strong_wolfe()),
        ("network_fixed", Lbfgs::new(0.1).max_iterations(5)),
    ] {
        let runs = std::iter::once((Device::cpu(), DType::F64)).chain(devices().into_iter().map(|d| (d, DType::F32)));
        for (device, dtype) in runs {
            let g = Graph::new();
            let (loss, inputs) = network(&g, dtype);
            let length = g.len();
            let mut session = Session::evaluate(&g, &[loss], &device).unwrap();
            let objective = Objective::new(&mut session, &g, loss).unwrap();
            assert_eq!(g.len(), length, "the graph is as it was");
            let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
            let mut lbfgs = lbfgs.clone();
            let tolerance = if dtype == DType::F64 { CLOSE } else { 2e-3 };
            for (step, (loss, expected, _)) in steps(case).into_iter().enumerate() {
                let outcome = lbfgs.minimise(&mut session, &objective, &inputs).unwrap();
                let first = outcome.first_loss;
                assert!(close(first, loss, tolerance), "{case}, {device}, {dtype}, {step}: {first}, not {loss}");
                let names = PARAMETERS.map(|(name, _)| name);
                let found: Vec<f64> =
                    names.iter().flat_map(|name| session.parameter(name).unwrap().to_f64_vec()).collect();
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert!(
                        close(*found, *expected, tolerance),
                        "{case}, {device}, {dtype}, {step}: {found}, not {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_ends_a_step() {
    // At the least point nothing is done.
    let mut x = [1.0, 1.0];
    let outcome = Lbfgs::new(1.0).minimise_function(&mut x, rosenbrock).unwrap();
    assert_eq!((outcome.end, outcome.iterations, outcome.evaluations, x), (LbfgsEnd::Gradient, 0, 1, [1.0, 1.0]));
    let mut x = [-1.2f64, 1.0];
    let many = Lbfgs::new(1.0).strong_wolfe().max_iterations(200).gradient_tolerance(1e-10).change_tolerance(1e-14);
    let outcome = many.clone().minimise_function(&mut x, rosenbrock).unwrap();
    assert!(matches!(outcome.end, LbfgsEnd::Gradient | LbfgsEnd::Change), "{outcome:?}");
    assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-5), "{x:?}");
    let mut x = [-1.2f64, 1.0];
    let outcome = many.clone().max_evaluations(7).minimise_function(&mut x, rosenbrock).unwrap();
    assert_eq!(outcome.end, LbfgsEnd::Evaluations);
    let mut x = [-1.2f64, 1.0];
    let outcome = many.clone().max_iterations(3).max_evaluations(100).minimise_function(&mut x, rosenbrock).unwrap();
    assert_eq!((outcome.end, outcome.iterations), (LbfgsEnd::Iterations, 3));
    // Upwards.
    let mut x = [0.5f64];
    let outcome = many.clone().maximize().minimise_function(&mut x, |x, gradient| {
        gradient[0] = -2.0 * (x[0] - 3.0);
        Ok(1.0 - (x[0] - 3.0).powi(2))
    });
    assert!((x[0] - 3.0).abs() < 1e-6 && (outcome.unwrap().loss - 1.0).abs() < 1e-9);
    // A wall: beyond 1 the loss is no number, and the search stays before it.
    let mut x = [0.0f64];
    let outcome = many.clone().minimise_function(&mut x, |x, gradient| {
        gradient[0] = 4.0 / (1.0 - x[0]).powi(2) - 50.0;
        Ok(if x[0] < 1.0 { 4.0 / (1.0 - x[0]) - 50.0 * x[0] } else { f64::NAN })
    });
    let least = 1.0 - (4.0f64 / 50.0).sqrt();
    assert!((x[0] - least).abs() < 1e-5, "{x:?}, {outcome:?}");
    let mut x = [2.0f64];
    let outcome = many.clone().minimise_function(&mut x, |_, gradient| {
        gradient[0] = f64::NAN;
        Ok(f64::NAN)
    });
    assert_eq!((outcome.unwrap().end, x), (LbfgsEnd::NotFinite, [2.0]));
    // A step past the end of where the loss is a number, without a search that would notice.
    let mut x = [1.0f64];
    let outcome = Lbfgs::new(4.0).minimise_function(&mut x, |x, gradient| {
        gradient[0] = 1.0 + 0.5 / x[0].sqrt();
        Ok(x[0] + x[0].sqrt())
    });
    assert_eq!(outcome.unwrap().end, LbfgsEnd::NotFinite);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut lbfgs = Lbfgs::new(1.0).strong_wolfe();
    let mut x = [-1.2f64, 1.0];
    let mut evaluations = 0;
    let failed = lbfgs.minimise_function(&mut x, |point, gradient| {
        evaluations += 1;
        if evaluations == 4 { Err(Error::NothingToRun) } else { rosenbrock(point, gradient) }
    });
    assert_eq!((failed, x), (Err(Error::NothingToRun), [-1.2, 1.0]));
    let mut again = x;
    lbfgs.minimise_function(&mut x, rosenbrock).unwrap();
    Lbfgs::new(1.0).strong_wolfe().minimise_function(&mut again, rosenbrock).unwrap();
    assert_eq!(x, again, "nothing was learnt of what failed");
    let other = lbfgs.minimise_function(&mut [1.0; 3], rosenbrock);
    assert!(matches!(other, Err(Error::OptimizerParts { .. })), "{other:?}");
    for bad in [
        Lbfgs::new(-1.0),
        Lbfgs::new(1.0).history(0),
        Lbfgs::new(1.0).gradient_tolerance(f64::NAN),
        Lbfgs::new(1.0).change_tolerance(-1.0),
    ] {
        let refused = bad.clone().minimise_function(&mut x, rosenbrock);
        assert!(matches!(refused, Err(Error::Hyperparameter { .. })), "{bad:?}");
    }
    let g = Graph::new();
    let (a, b) = (g.parameter("a", [2], Init::Constant(1.0)), g.parameter("b", [], Init::Constant(1.0)));
    let x = g.input("x", [2]);
    let loss = (a * x - b).square().sum(..);
    let mut session = Session::evaluate(&g, &[loss], &Device::cpu()).unwrap();
    assert!(matches!(Objective::new(&mut session, &g, a), Err(Error::LossNotScalar { .. })));
    assert!(matches!(Objective::by(&mut session, &g, loss, |_| false), Err(Error::NothingToTrain { .. })));
    let objective = Objective::by(&mut session, &g, loss, |name| name == "a").unwrap();
    assert_eq!(objective.parameters().collect::<Vec<_>>(), ["a"]);
    let refused = Lbfgs::new(1.0).minimise(&mut session, &objective, &[]);
    assert!(matches!(refused, Err(Error::MissingInput { .. })), "{refused:?}");
    assert_eq!(session.parameter("a").unwrap().to_f64_vec(), [1.0; 2]);
    let x = Tensor::new([2], vec![2.0f32, 4.0]).unwrap();
    Lbfgs::new(1.0).strong_wolfe().minimise(&mut session, &objective, &[("x", &x)]).unwrap();
    let found = session.parameter("a").unwrap().to_f64_vec();
    assert!((found[0] - 0.5).abs() < 1e-4 && (found[1] - 0.25).abs() < 1e-4, "{found:?}");
    assert_eq!(session.parameter("b").unwrap().item().unwrap(), 1.0);
}

/// The numbers are those of PyTorch 2.15.
#[test]
fn a_search_evaluates_as_often_as_the_step_has_evaluations_left() {
    let roots = |x: &[f64], gradient: &mut [f64]| {
        gradient.iter_mut().zip(x).for_each(|(to, x)| *to = 0.5 * x.signum() / x.abs().sqrt());
        Ok(x.iter().map(|x| x.abs().sqrt()).sum())
    };
    let mut lbfgs = Lbfgs::new(0.1).max_iterations(7).max_evaluations(9).history(2).strong_wolfe();
    let mut x = [-1.2, 1.0];
    for (loss, expected) in [
        (2.095445115010332, [-0.004822770001211034, -0.27135027963659414]),
        (0.5903590952453377, [-5.692624853437203e-06, -0.27528499292770214]),
        (0.5270620060380842, [-5.692624853437203e-06, -0.27528499292770214]),
    ] {
        let outcome = lbfgs.minimise_function(&mut x, roots).unwrap();
        assert_eq!((outcome.evaluations, outcome.end), (10, LbfgsEnd::Evaluations));
        assert!(close(outcome.first_loss, loss, CLOSE), "{outcome:?}, not {loss}");
        assert!(x.iter().zip(expected).all(|(found, expected)| close(*found, expected, CLOSE)), "{x:?}, {expected:?}");
    }
    // Downhill without an end, lengths grow until there is no evaluation left.
    let mut x = [-1.2, 1.0];
    let downhill = |x: &[f64], gradient: &mut [f64]| {
        gradient.copy_from_slice(&[-1.0, 0.0]);
        Ok(-x[0])
    };
    let outcome = Lbfgs::new(1.0).strong_wolfe().minimise_function(&mut x, downhill).unwrap();
    assert_eq!(outcome.evaluations, 26);
    assert!((x[0] / 5.5045e23 - 1.0).abs() < CLOSE && x[1] == 1.0, "{x:?}");
    // Of 5/4 of one iteration nothing is left: the first length is evaluated, and is no better than staying.
    let one = Lbfgs::new(1.0).max_iterations(1).strong_wolfe();
    for (lbfgs, evaluations, expected) in [
        (one.clone(), 2, [-1.2, 1.0]),
        (one.clone().max_evaluations(0), 2, [-1.2, 1.0]),
        (one.clone().max_evaluations(2), 3, [-1.0245319303460325, 1.0716196202669255]),
        (one.clone().max_evaluations(3), 3, [-1.0245319303460325, 1.0716196202669255]),
    ] {
        let mut x = [-1.2, 1.0];
        let outcome = lbfgs.clone().minimise_function(&mut x, rosenbrock).unwrap();
        assert_eq!(outcome.evaluations, evaluations, "{lbfgs:?}");
        assert!(x.iter().zip(expected).all(|(found, expected)| close(*found, expected, CLOSE)), "{x:?}, {expected:?}");
    }
    let mut x = [1.5];
    let parabola = |x: &[f64], gradient: &mut [f64]| {
        gradient[0] = 2.0 * x[0];
        Ok(x[0] * x[0])
    };
    Lbfgs::new(1.0).max_iterations(usize::MAX).strong_wolfe().minimise_function(&mut x, parabola).unwrap();
    assert!(x[0].abs() < 1e-6, "{x:?}");
}

/// Every iteration begins where the device has rounded the parameters to, so one step of four is four steps of one.
#[test]
fn parameters_that_are_held_narrow_are_rounded_to_what_they_hold() {
    for storage in [StorageType::F16, StorageType::Bf16] {
        let moved = |iterations: usize, steps: usize| {
            let g = Graph::new();
            let w = g.parameter_of("w", [64], storage, Init::Constant(0.3));
            let away = w - g.arange(-32.0, 32.0, 1.0, DType::F32) * 0.03;
            let loss = (away.square() + away.square().square() * 0.3).sum(..);
            let mut session = Session::evaluate(&g, &[loss], &Device::cpu()).unwrap();
            let objective = Objective::new(&mut session, &g, loss).unwrap();
            let mut lbfgs = Lbfgs::new(0.7).max_iterations(iterations);
            for _ in 0..steps {
                lbfgs.minimise(&mut session, &objective, &[]).unwrap();
            }
            session.parameter("w").unwrap().to_f64_vec()
        };
        assert_eq!(moved(4, 1), moved(1, 4), "{}", storage.name());
    }
}
