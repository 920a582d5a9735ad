//! Curves with certified fits: NIST's Statistical Reference Datasets for nonlinear regression, as `data/SOURCE.md` tells.

use arenagrad::{DType, Error, Expr, Graph, Init, Tensor};

/// A data set, its model, NIST's two starts and its certified values.
pub struct ReferenceFit {
    /// Its name.
    pub name: &'static str,
    /// What was measured.
    pub about: &'static str,
    /// The model as a reader writes it.
    pub formula: &'static str,
    /// The names of the axes.
    pub axes: [&'static str; 2],
    /// The model over its parameters and the predictor.
    model: for<'g> fn(&[Expr<'g>], Expr<'g>) -> Expr<'g>,
    /// The far start and the near one.
    pub starts: [&'static [f64]; 2],
    /// The certified parameters.
    pub certified: &'static [f64],
    /// The certified sum of squared residuals.
    pub cost: f64,
    csv: &'static str,
}

/// Of lower difficulty: two parameters.
pub const MISRA1A: ReferenceFit = ReferenceFit {
    name: "Misra1a",
    about: "monomolecular adsorption",
    formula: "y = b1 (1 - e^(-b2 x))",
    axes: ["pressure", "volume"],
    model: |b, x| b[0] * (1.0 - (-b[1] * x).exp()),
    starts: [&[500.0, 0.0001], &[250.0, 0.0005]],
    certified: &[2.3894212918e2, 5.5015643181e-4],
    cost: 1.2455138894e-1,
    csv: include_str!("../data/misra1a.csv"),
};

/// Of higher difficulty: seven parameters.
pub const THURBER: ReferenceFit = ReferenceFit {
    name: "Thurber",
    about: "electron mobility in a semiconductor",
    formula: "y = (b1 + b2 x + b3 x^2 + b4 x^3) / (1 + b5 x + b6 x^2 + b7 x^3)",
    axes: ["log of density", "electron mobility"],
    model: |b, x| {
        let numerator = ((b[3] * x + b[2]) * x + b[1]) * x + b[0];
        numerator / (((b[6] * x + b[5]) * x + b[4]) * x + 1.0)
    },
    starts: [&[1000.0, 1000.0, 400.0, 40.0, 0.7, 0.3, 0.03], &[1300.0, 1500.0, 500.0, 75.0, 1.0, 0.4, 0.05]],
    certified: &[
        1.2881396800e3,
        1.4910792535e3,
        5.8323836877e2,
        7.5416644291e1,
        9.6629502864e-1,
        3.9797285797e-1,
        4.9727297349e-2,
    ],
    cost: 5.6427082397e3,
    csv: include_str!("../data/thurber.csv"),
};

impl ReferenceFit {
    /// Predictor and response, in the order of the file.
    pub fn data(&self) -> Result<(Vec<f64>, Vec<f64>), String> {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for (number, line) in self.csv.lines().enumerate() {
            let wrong = || format!("{}: line {} is not two numbers", self.name, number + 1);
            let (left, right) = line.split_once(',').ok_or_else(wrong)?;
            x.push(left.trim().parse().map_err(|_| wrong())?);
            y.push(right.trim().parse().map_err(|_| wrong())?);
        }
        Ok((x, y))
    }

    /// The model of `n` predictors in a graph of its own: parameters `b1`, `b2`, … in f64 that start as given, the predictors as
    /// the input `x`. Gives the predicted responses.
    pub fn model<'g>(&self, graph: &'g Graph, start: &[f64], n: usize) -> Expr<'g> {
        let parameters: Vec<Expr<'g>> = start
            .iter()
            .enumerate()
            .map(|(number, &value)| {
                graph.parameter_of(format!("b{}", number + 1), [], DType::F64, Init::Constant(value))
            })
            .collect();
        (self.model)(&parameters, graph.input_of("x", [n], DType::F64))
    }

    /// A vector of f64 as a tensor.
    pub fn tensor(values: &[f64]) -> Result<Tensor, Error> {
        Tensor::new([values.len()], values.to_vec())
    }
}
