//! Least squares: NIST's certified values, Rosenbrock's valley, what cannot be told apart, and what is refused.

use crate::suite::devices::devices;
use arenagrad::least_squares::{
    Fit, GaussNewton, GradientDescent, LeastSquares, LeastSquaresError, LevenbergMarquardt, Limits, Linearised, Method,
    Outcome, Problem, minimise,
};
use arenagrad::{DType, Device, Error, Expr, Graph, Init, Tensor};

/// A data set of NIST's Statistical Reference Datasets for nonlinear regression (public domain), with a model of two
/// parameters.
struct Reference {
    x: &'static [f64],
    y: &'static [f64],
    model: for<'g> fn(Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>,
    starts: [[f64; 2]; 2],
    certified: [f64; 2],
    standard_errors: [f64; 2],
    cost: f64,
}

/// Misra (1978), dental research: monomolecular adsorption. Of lower difficulty.
const MISRA1A: Reference = Reference {
    x: &[77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0],
    y: &[10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78],
    model: |b1, b2, x| b1 * (1.0 - (-b2 * x).exp()),
    starts: [[500.0, 0.0001], [250.0, 0.0005]],
    certified: [2.3894212918e2, 5.5015643181e-4],
    standard_errors: [2.7070075241, 7.2668688436e-6],
    cost: 1.2455138894e-1,
};

/// Box, Hunter, Hunter (1978): biochemical oxygen demand. Of higher difficulty.
const BOX_BOD: Reference = Reference {
    x: &[1.0, 2.0, 3.0, 5.0, 7.0, 10.0],
    y: &[109.0, 149.0, 149.0, 191.0, 213.0, 224.0],
    model: |b1, b2, x| b1 * (1.0 - (-b2 * x).exp()),
    starts: [[1.0, 1.0], [100.0, 0.75]],
    certified: [2.1380940889e2, 5.4723748542e-1],
    standard_errors: [1.2354515176e1, 1.0455993237e-1],
    cost: 1.1680088766e3,
};

fn fit(
    reference: &Reference,
    start: [f64; 2],
    dtype: DType,
    device: &Device,
    method: &dyn Method,
) -> Result<Fit, Error> {
    let g = Graph::new();
    let n = reference.x.len();
    let (x, y) = (g.input_of("x", [n], dtype), g.input_of("y", [n], dtype));
    let b1 = g.parameter_of("b1", [], dtype, Init::Constant(start[0]));
    let b2 = g.parameter_of("b2", [], dtype, Init::Constant(start[1]));
    let residuals = (reference.model)(b1, b2, x) - y;
    let tensor = |values: &[f64]| Tensor::new([n], values.to_vec()).map(|tensor| tensor.cast(dtype));
    let (given_x, given_y) = (tensor(reference.x)?, tensor(reference.y)?);
    let before = g.len();
    let mut problem = LeastSquares::new(&g, residuals, &[("x", &given_x), ("y", &given_y)], device)?;
    assert_eq!(g.len(), before, "the graph is left as it was");
    problem.fit(method)
}

/// Digits to which two numbers agree.
fn digits(found: f64, certified: f64) -> f64 {
    -((found - certified).abs() / certified.abs()).max(1e-17).log10()
}

#[test]
fn certified_values_from_every_start() {
    for (name, reference) in [("Misra1a", &MISRA1A), ("BoxBOD", &BOX_BOD)] {
        for start in reference.starts {
            // From the first start of BoxBOD an early long step ends on a plateau, where b2 no longer matters: a cautious
            // first step does not.
            let method = LevenbergMarquardt::new().damping(if start == [1.0, 1.0] { 100.0 } else { 1e-3 });
            let fit = fit(reference, start, DType::F64, &Device::cpu(), &method).unwrap();
            assert!(fit.converged(), "{name} from {start:?}: {fit}");
            let values: Vec<f64> = fit.parameters.iter().map(|(_, value)| value.item().unwrap()).collect();
            let errors = fit.standard_errors.clone().unwrap();
            for (found, certified) in values.iter().zip(reference.certified) {
                assert!(digits(*found, certified) > 7.0, "{name} from {start:?}: {found}, not {certified}");
            }
            for (found, certified) in errors.iter().zip(reference.standard_errors) {
                assert!(digits(*found, certified) > 6.0, "{name} from {start:?}: {found}, not {certified}");
            }
            assert!(digits(fit.cost, reference.cost) > 9.0, "{name}: {}, not {}", fit.cost, reference.cost);
            let deviation = (reference.cost / (reference.x.len() - 2) as f64).sqrt();
            assert!(digits(fit.deviation().unwrap(), deviation) > 9.0);
        }
    }
}

#[test]
fn gauss_newton_needs_few_steps_near_the_end() {
    for method in [GaussNewton::new(), GaussNewton::new().full_steps()] {
        let fit = fit(&MISRA1A, MISRA1A.starts[1], DType::F64, &Device::cpu(), &method).unwrap();
        assert!(fit.converged() && fit.iterations < 15, "{fit}");
        assert!(digits(fit.parameter("b1").unwrap().item().unwrap(), MISRA1A.certified[0]) > 8.0, "{fit}");
    }
}

#[test]
fn single_precision_on_every_device() {
    for device in devices() {
        let fit = fit(&BOX_BOD, BOX_BOD.starts[1], DType::F32, &device, &LevenbergMarquardt::new()).unwrap();
        for ((name, value), certified) in fit.parameters.iter().zip(BOX_BOD.certified) {
            assert!(digits(value.item().unwrap(), certified) > 3.0, "{device}: {name} = {value:?}");
        }
    }
}

/// `(10 (y - x^2), 1 - x)`, whose sum of squares is Rosenbrock's function: least at (1, 1), along a bent valley.
fn rosenbrock(g: &Graph) -> Expr<'_> {
    let p = g.parameter_of("p", [2], DType::F64, Init::Values(vec![-1.2, 1.0]));
    let (x, y) = (p.select_index(0, 0), p.select_index(0, 1));
    g.stack(&[(y - x.square()) * 10.0, 1.0 - x], 0)
}

#[test]
fn rosenbrocks_valley() {
    let g = Graph::new();
    let mut problem = LeastSquares::new(&g, rosenbrock(&g), &[], &Device::cpu()).unwrap();
    let mut costs = Vec::new();
    let fit = problem.fit_observed(&LevenbergMarquardt::new(), &mut |iteration| {
        if iteration.accepted {
            assert!(iteration.cost < iteration.cost_before);
            costs.push(iteration.cost);
        }
    });
    let fit = fit.unwrap();
    assert!(fit.converged() && fit.iterations < 60, "{fit}");
    assert!((problem.parameter("p").unwrap().to_f64_vec()[1] - 1.0).abs() < 1e-9);
    assert!(costs.len() > 3 && costs.last().unwrap() < &1e-20, "{costs:?}");
    assert_eq!(fit.standard_errors, None, "there are no degrees of freedom");

    // Undamped it takes the bend in one leap, upwards, and is there at the next.
    problem.set_parameter("p", &Tensor::new([2], vec![-1.2, 1.0]).unwrap()).unwrap();
    let full = problem.fit(&GaussNewton::new().full_steps()).unwrap();
    assert!(full.iterations <= 5 && full.cost < 1e-20, "{full}");

    // Down the gradient the valley is long.
    problem.set_parameter("p", &Tensor::new([2], vec![-1.2, 1.0]).unwrap()).unwrap();
    let slow = problem.fit(&GradientDescent::new(5e-4)).unwrap();
    assert_eq!((slow.outcome, slow.iterations), (Outcome::IterationLimit, 1000));
    assert!(slow.cost < 4.0 && slow.cost > 1e-3, "{slow}");
}

/// One step of `p + 2 a J^T e`, by hand.
#[test]
fn gradient_descent_is_the_lectures_update() {
    let g = Graph::new();
    let x = g.input_of("x", [3], DType::F64);
    let (a, b) = (
        g.parameter_of("a", [], DType::F64, Init::Constant(1.0)),
        g.parameter_of("b", [], DType::F64, Init::Constant(-1.0)),
    );
    let y = g.literal([3], [2.0f64, 3.0, 5.0]);
    let given = Tensor::new([3], vec![1.0, 2.0, 3.0]).unwrap();
    let mut problem = LeastSquares::new(&g, a * x + b - y, &[("x", &given)], &Device::cpu()).unwrap();
    let once = GradientDescent::new(0.01).with_limits(Limits { iterations: 1, ..Limits::default() });
    problem.fit(&once).unwrap();
    // e = y - (x - 1) = (2, 2, 3); J^T e = (2 + 4 + 9, 7).
    let [a, b] = ["a", "b"].map(|name| problem.parameter(name).unwrap().item().unwrap());
    assert!((a - 1.3).abs() < 1e-14 && (b + 0.86).abs() < 1e-14, "{a}, {b}");
}

/// `a + b` alone is determined: Gauss-Newton says which direction is not, Levenberg-Marquardt finds one of the solutions.
#[test]
fn parameters_that_cannot_be_told_apart() {
    let g = Graph::new();
    let x = g.input_of("x", [4], DType::F64);
    let (a, b) = (
        g.parameter_of("a", [], DType::F64, Init::Constant(0.0)),
        g.parameter_of("b", [], DType::F64, Init::Constant(1.0)),
    );
    let scale = g.parameter_of("scale", [2], DType::F64, Init::Values(vec![1.0, 2.0]));
    let model = (a + b) * x + scale.select_index(0, 1) * x.square() + scale.select_index(0, 0);
    let given = Tensor::new([4], vec![-1.0, 0.5, 1.0, 2.0]).unwrap();
    let mut problem = LeastSquares::new(&g, model - (x * 3.0 + 0.5), &[("x", &given)], &Device::cpu()).unwrap();
    let error = problem.fit(&GaussNewton::new()).unwrap_err();
    let Error::LeastSquares(LeastSquaresError::Singular { iteration: 1, direction }) = &error else {
        panic!("{error}")
    };
    assert!(direction.contains("1.000 a") && direction.contains("1.000 b") && !direction.contains("scale"), "{error}");
    let fit = problem.fit(&LevenbergMarquardt::new()).unwrap();
    assert!(fit.cost < 1e-18, "{fit}");
    let value = |name: &str| fit.parameter(name).unwrap().to_f64_vec();
    assert!((value("a")[0] + value("b")[0] - 3.0).abs() < 1e-8);
    assert!((value("scale")[0] - 0.5).abs() < 1e-8 && value("scale")[1].abs() < 1e-8);
    assert_eq!(fit.standard_errors, None);
}

#[test]
fn what_cannot_be_fitted_is_a_typed_error() {
    let g = Graph::new();
    let x = g.input_of("x", [2], DType::F64);
    let given = Tensor::new([2], vec![1.0, -1.0]).unwrap();
    let refused = |residuals: Expr<'_>, inputs: &[(&str, &Tensor)]| {
        LeastSquares::new(&g, residuals, inputs, &Device::cpu()).err().unwrap()
    };
    assert_eq!(refused(x, &[("x", &given)]), LeastSquaresError::NoParameters.into());
    let p = g.parameter_of("p", [3], DType::F64, Init::Constant(0.0));
    let two = x * p.sum(..);
    assert_eq!(
        refused(two, &[("x", &given)]),
        LeastSquaresError::TooFewResiduals { residuals: 2, parameters: 3 }.into()
    );
    g.remove(two.id().unwrap()).ok();

    let g = Graph::new();
    let x = g.input_of("x", [2], DType::F64);
    let p = g.parameter_of("p", [], DType::F64, Init::Constant(0.0));
    assert!(matches!(LeastSquares::new(&g, x * p, &[], &Device::cpu()), Err(Error::MissingInput { .. })));
    let mut problem = LeastSquares::new(&g, (x * p).log(), &[("x", &given)], &Device::cpu()).unwrap();
    let not_finite = problem.fit(&LevenbergMarquardt::new()).unwrap_err();
    assert!(
        matches!(not_finite, Error::LeastSquares(LeastSquaresError::NotFinite { iteration: 1, .. })),
        "{not_finite}"
    );
    let refused = problem.fit(&LevenbergMarquardt::new().damping(-1.0)).unwrap_err().to_string();
    assert_eq!(refused, "the damping of a fit is -1, which is not finite and above 0");
    assert!(problem.fit(&GradientDescent::new(f64::NAN)).is_err());
}

/// A step into a region where the model is not defined is refused, and a shorter one taken.
#[test]
fn steps_out_of_the_domain_are_shortened() {
    let g = Graph::new();
    let x = g.literal([3], [1.0f64, 2.0, 4.0]);
    let p = g.parameter_of("p", [], DType::F64, Init::Constant(20.0));
    // sqrt(p) - 1 from far away: the first step of Gauss and Newton leads below zero, where there is no root.
    let residuals = (p.sqrt() - 1.0) * x + p.log();
    for method in [&GaussNewton::new() as &dyn Method, &LevenbergMarquardt::new()] {
        let mut problem = LeastSquares::new(&g, residuals, &[], &Device::cpu()).unwrap();
        problem.set_parameter("p", &Tensor::scalar(20.0)).unwrap();
        let fit = problem.fit(method).unwrap();
        assert!(fit.cost < 1e-18 && (fit.parameters[0].1.item().unwrap() - 1.0).abs() < 1e-9, "{fit}");
    }
}

/// A circle through points, without a graph: residuals and Jacobian by hand.
struct Circle {
    center_and_radius: Vec<f64>,
    points: Vec<[f64; 2]>,
}

impl Problem for Circle {
    fn point(&self) -> Result<Vec<f64>, Error> {
        Ok(self.center_and_radius.clone())
    }

    fn move_to(&mut self, point: &[f64]) -> Result<(), Error> {
        self.center_and_radius = point.to_vec();
        Ok(())
    }

    fn residuals(&mut self) -> Result<Vec<f64>, Error> {
        Ok(self.linearise()?.residuals)
    }

    fn linearise(&mut self) -> Result<Linearised, Error> {
        let (x, y, r) = (self.center_and_radius[0], self.center_and_radius[1], self.center_and_radius[2]);
        let mut linearised = Linearised { residuals: Vec::new(), jacobian: Vec::new() };
        for [px, py] in &self.points {
            let distance = (px - x).hypot(py - y);
            linearised.residuals.push(distance - r);
            linearised.jacobian.extend([(x - px) / distance, (y - py) / distance, -1.0]);
        }
        Ok(linearised)
    }

    fn element_name(&self, place: usize) -> String {
        ["x", "y", "radius"][place].to_owned()
    }
}

#[test]
fn residuals_that_come_from_elsewhere() {
    let points = [0.1f64, 0.9, 2.0, 3.5, 5.0].map(|angle| [4.0 + 2.5 * angle.cos(), -1.0 + 2.5 * angle.sin()]).to_vec();
    let mut circle = Circle { center_and_radius: vec![0.0, 0.0, 1.0], points };
    let mut iterations = 0;
    let minimum = minimise(&mut circle, &LevenbergMarquardt::new(), &mut |_| iterations += 1).unwrap();
    assert_eq!(minimum.iterations, iterations);
    for (found, expected) in minimum.point.iter().zip([4.0, -1.0, 2.5]) {
        assert!((found - expected).abs() < 1e-9, "{minimum:?}");
    }
    assert_eq!(circle.center_and_radius, minimum.point);
    // Points on a line leave the centre undetermined across it: at the start, already.
    circle.points = vec![[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]];
    circle.center_and_radius = vec![0.0, 0.0, 1.0];
    let error = minimise(&mut circle, &GaussNewton::new(), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("singular") && error.contains("+1.000 y"), "{error}");
}
