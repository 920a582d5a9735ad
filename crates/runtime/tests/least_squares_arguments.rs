//! Least squares under settings that make no sense, which are refused, and under problems that nobody means.

use arenagrad::least_squares::{
    GaussNewton, GradientDescent, LeastSquares, LevenbergMarquardt, Limits, Linearised, Method, Problem, minimise,
};
use arenagrad::{DType, Device, Error, Graph, Init, Tensor};

use crate::extremes::caught;

#[test]
fn settings_of_fits() {
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let fit = |method: &dyn Method| {
        let g = Graph::new();
        let a = g.parameter_of("a", [], DType::F64, Init::Constant(1.0));
        let residuals = g.input_of("y", [2], DType::F64) - a;
        let y = Tensor::new([2], vec![1.0f64, 3.0]).unwrap();
        LeastSquares::new(&g, residuals, &[("y", &y)], &Device::cpu()).unwrap().fit(method)
    };
    let wrong: Vec<Box<dyn Method>> = vec![
        Box::new(GradientDescent::new(0.0)),
        Box::new(GradientDescent::new(-0.1)),
        Box::new(GradientDescent::new(f64::NAN)),
        Box::new(GradientDescent::new(f64::INFINITY)),
        Box::new(GradientDescent::new(1e308)),
        Box::new(LevenbergMarquardt::new().damping(0.0)),
        Box::new(LevenbergMarquardt::new().damping(-1.0)),
        Box::new(LevenbergMarquardt::new().damping(f64::NAN)),
        Box::new(GaussNewton::new().with_limits(limits(|limits| limits.enough = f64::NAN))),
        Box::new(GaussNewton::new().with_limits(limits(|limits| limits.gradient = -1.0))),
        Box::new(GaussNewton::new().with_limits(limits(|limits| limits.step = f64::INFINITY))),
        Box::new(LevenbergMarquardt::new().with_limits(limits(|limits| limits.cost = f64::NAN))),
    ];
    for (number, method) in wrong.iter().enumerate() {
        let error = fit(&**method).unwrap_err();
        assert!(matches!(error, Error::LeastSquares(_)), "{number}: {error}");
    }
    fit(&GaussNewton::new()).unwrap();
}

/// Residuals that are whatever they are said to be.
struct Given {
    point: Vec<f64>,
    residuals: Vec<f64>,
    jacobian: Vec<f64>,
}

impl Problem for Given {
    fn point(&self) -> Result<Vec<f64>, Error> {
        Ok(self.point.clone())
    }

    fn move_to(&mut self, point: &[f64]) -> Result<(), Error> {
        self.point = point.to_vec();
        Ok(())
    }

    fn residuals(&mut self) -> Result<Vec<f64>, Error> {
        Ok(self.residuals.clone())
    }

    fn linearise(&mut self) -> Result<Linearised, Error> {
        Ok(Linearised { residuals: self.residuals.clone(), jacobian: self.jacobian.clone() })
    }

    fn element_name(&self, place: usize) -> String {
        place.to_string()
    }
}

#[test]
fn least_squares_take_any_problem() {
    let lengths = [0, 1, 2, 3, 6, 7];
    for number in [0.0, 1.0, 1e300, f64::MAX, f64::NAN, f64::INFINITY] {
        for point in lengths {
            for residuals in lengths {
                for jacobian in lengths {
                    let what =
                        format!("{point} numbers, {residuals} residuals, a Jacobian of {jacobian}, all {number}");
                    let mut problem = Given {
                        point: vec![number; point],
                        residuals: vec![number; residuals],
                        jacobian: vec![number; jacobian],
                    };
                    caught(&what, || {
                        let _ = minimise(&mut problem, &LevenbergMarquardt::new().damping(number), &mut |_| ());
                        let _ = minimise(&mut problem, &GaussNewton::new(), &mut |_| ());
                        let _ = minimise(&mut problem, &GradientDescent::new(number), &mut |_| ());
                    });
                }
            }
        }
    }
    for limit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let limits = Limits { iterations: 3, enough: limit, gradient: limit, step: limit, cost: limit };
        let mut problem = Given { point: vec![1.0], residuals: vec![1.0], jacobian: vec![1.0] };
        let method = GaussNewton::new().full_steps().with_limits(limits);
        let found = caught("limits", || minimise(&mut problem, &method, &mut |_| ()));
        assert_eq!(found.is_err(), limit < 0.0 || !limit.is_finite(), "{limit}: {found:?}");
    }
    let graph = Graph::new();
    let w = graph.parameter_of("w", [2], DType::F64, Init::Constant(1.0));
    assert!(caught("no residuals", || LeastSquares::new(&graph, w.slice(0, 0, 0), &[], &Device::cpu())).is_err());
    assert!(caught("too few", || LeastSquares::new(&graph, w.sum(..), &[], &Device::cpu())).is_err());
}
