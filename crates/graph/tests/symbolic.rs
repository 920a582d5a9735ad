//! Formulas: derivatives, application to tensors, LaTeX.

use crate::evaluate::{evaluate, given};
use crate::formulas::{Random, random_text, values};
use arenagrad_graph::symbolic::{ApplyError, parse};
use arenagrad_graph::{DType, Graph, GraphError, verify};

#[test]
fn a_derivative_is_the_engines_own() {
    let f = parse("(x + y)*z").unwrap();
    // Reverse mode multiplies what comes from above, which is 1, by the other factor.
    assert_eq!(f.diff("x").to_string(), "1*z");
    assert_eq!(f.diff("z").simplify().to_string(), "x + y");
    assert_eq!(f.diff("w").to_string(), "0");
    let at = [("x", -2.0), ("y", 5.0), ("z", -4.0)];
    assert_eq!(values(&[&f.diff("x"), &f.diff("y"), &f.diff("z")], at), [-4.0, -4.0, 3.0]);
}

#[test]
fn derivatives_agree_with_central_differences() {
    const STEP: f64 = 1e-5;
    let mut random = Random(5);
    let mut compared = 0;
    for round in 0..400 {
        let text = random_text(&mut random, 2 + round % 8);
        let formula = parse(&text).unwrap();
        let at = [0.83, 1.37, -0.52];
        for (place, name) in ["x", "y", "z"].into_iter().enumerate() {
            let point = |by: f64| {
                let mut at = at;
                at[place] += by;
                [("x", at[0]), ("y", at[1]), ("z", at[2])]
            };
            let slope = |by: f64| (values(&[&formula], point(by))[0] - values(&[&formula], point(-by))[0]) / (2.0 * by);
            let (near, far) = (slope(STEP), slope(2.0 * STEP));
            // Where two steps disagree a kink or a pole is near, or the function bends too much for differences.
            if !near.is_finite() || (near - far).abs() > 1e-7 * near.abs().max(1e-2) || near.abs() > 1e6 {
                continue;
            }
            let found = values(&[&formula.diff(name)], point(0.0))[0];
            assert!(
                (found - near).abs() <= 1e-6 * near.abs().max(1.0),
                "d/d{name} {text}: {found}, but differences {near}"
            );
            compared += 1;
        }
    }
    assert!(compared > 500, "{compared} were compared");
}

#[test]
fn a_powers_derivative_is_right_where_its_exponent_is_zero() {
    let f = parse("x^y").unwrap();
    let at = |x: f64, y: f64| [("x", x), ("y", y), ("z", 0.0)];
    assert_eq!(values(&[&f.diff("x"), &f.diff("x").diff("y"), &f.diff("y").diff("x")], at(2.0, 0.0)), [0.0, 0.5, 0.5]);
    assert_eq!(values(&[&f.diff("x"), &f.diff("y")], at(0.0, 0.0)), [0.0, 0.0]);
    assert_eq!(values(&[&f.diff("x"), &f.diff("y")], at(0.0, 2.0)), [0.0, 0.0]);
    assert_eq!(values(&[&f.diff("x")], at(-2.0, 0.0)), [0.0]);
    let third = f.diff("x").diff("x").diff("x");
    assert_eq!(values(&[&third], at(2.0, 2.0)), [0.0]);
}

#[test]
fn a_formula_is_applied_to_tensors_elementwise() {
    let f = parse("a*x^2 + b").unwrap();
    let g = Graph::new();
    let (x, a) = (g.input("x", [2, 3]), g.input("a", [3]));
    let y = f.apply(&g, &[("x", x), ("a", a), ("b", g.scalar(0.5))]).unwrap();
    assert_eq!((y.shape().unwrap().dims(), y.dtype().unwrap()), (&[2, 3][..], DType::F32));
    let [slope] = y.sum(..).grad([x]).unwrap();
    verify(&g).unwrap();
    let given = given([("x", vec![1.0, 2.0, 3.0, -1.0, 0.0, 0.5]), ("a", vec![1.0, 10.0, 100.0])]);
    let found = evaluate(&g, &[y.id().unwrap(), slope.id().unwrap()], &given);
    assert_eq!(found[0], [1.5, 40.5, 900.5, 1.5, 0.5, 25.5]);
    assert_eq!(found[1], [2.0, 40.0, 600.0, -2.0, 0.0, 100.0]);
}

#[test]
fn the_result_has_the_common_shape_and_dtype_of_the_arguments() {
    let f = parse("x + y").unwrap();
    let slope = f.diff("x");
    let g = Graph::new();
    let (x, y) = (g.input_of("x", [4, 1], DType::F64), g.input_of("y", [5], DType::F64));
    for formula in [&f, &slope] {
        let result = formula.apply(&g, &[("x", x), ("y", y)]).unwrap();
        assert_eq!((result.shape().unwrap().dims(), result.dtype().unwrap()), (&[4, 5][..], DType::F64));
    }
    // The derivative needs neither, so both may be left out.
    let constant = slope.apply(&g, &[]).unwrap();
    assert_eq!((constant.shape().unwrap().rank(), constant.dtype().unwrap()), (0, DType::F64));
    assert_eq!(slope.apply(&g, &[("y", y)]).unwrap().shape().unwrap().dims(), [5]);
}

#[test]
fn wrong_arguments_are_typed_errors_at_the_callers_line() {
    let f = parse("x*y").unwrap();
    let g = Graph::new();
    let (x, y) = (g.input("x", [3]), g.input("y", [3]));
    let line = line!() + 1;
    let missing = f.apply(&g, &[("x", x)]).unwrap_err();
    assert!(matches!(&missing, ApplyError::MissingArgument { origin, name } if name == "y" && origin.line() == line));
    let repeated = f.apply(&g, &[("x", x), ("y", y), ("x", x)]).unwrap_err();
    assert!(matches!(repeated, ApplyError::RepeatedArgument { ref name, .. } if name == "x"));
    let unknown = f.apply(&g, &[("x", x), ("y", y), ("z", x)]).unwrap_err();
    assert!(matches!(&unknown, ApplyError::UnknownArgument { name, .. } if name == "z"));
    assert!(unknown.to_string().contains("it has \"x\", \"y\""), "{unknown}");
    let integers = g.input_of("n", [3], DType::I32);
    let dtype = f.apply(&g, &[("x", integers), ("y", integers)]).unwrap_err();
    assert!(matches!(dtype, ApplyError::Graph(GraphError::DType { .. })));
    let double = g.input_of("double", [3], DType::F64);
    let dtypes = f.apply(&g, &[("x", x), ("y", double)]).unwrap_err();
    assert!(matches!(dtypes, ApplyError::Graph(GraphError::DTypesDiffer { .. })));
    let shapes = f.apply(&g, &[("x", x), ("y", g.input("four", [4]))]).unwrap_err();
    assert!(matches!(shapes, ApplyError::Graph(GraphError::Broadcast { left: 3, right: 4, .. })));
    let other = Graph::new();
    let foreign = f.apply(&g, &[("x", x), ("y", other.input("y", [3]))]).unwrap_err();
    assert!(matches!(foreign, ApplyError::Graph(GraphError::ForeignNode { .. })));
    // None of this left a mistake in the graph.
    assert!(g.check().is_ok());
    assert!(f.apply(&g, &[("x", x), ("y", y)]).is_ok());
}

#[test]
fn latex_is_set_as_in_books() {
    let table = [
        ("x/y", r"\frac{x}{y}"),
        ("x^2", "x^{2}"),
        ("x^(y + 1)", "x^{y + 1}"),
        ("(x + 1)^2", r"\left(x + 1\right)^{2}"),
        ("(-x)^2", r"\left(-x\right)^{2}"),
        ("(x/y)^2", r"\left(\frac{x}{y}\right)^{2}"),
        ("sqrt(x)", r"\sqrt{x}"),
        ("sqrt(x)^3", r"\left(\sqrt{x}\right)^{3}"),
        ("exp(-(x^2/2))", r"e^{-\frac{x^{2}}{2}}"),
        ("exp(x)^2", r"\left(e^{x}\right)^{2}"),
        ("sin(x)", r"\sin\left(x\right)"),
        ("sin(x)^2", r"\sin^{2}\left(x\right)"),
        ("sin(x)^(-1)", r"\sin\left(x\right)^{-1}"),
        ("abs(x - 1)", r"\left|x - 1\right|"),
        ("log(x)*y", r"\log\left(x\right) y"),
        ("relu(x) + sigmoid(y)", r"\operatorname{relu}\left(x\right) + \operatorname{sigmoid}\left(y\right)"),
        ("2*x", "2 x"),
        ("x*2", r"x \cdot 2"),
        ("2*3^x", r"2 \cdot 3^{x}"),
        ("2*pi*x", r"2 \pi x"),
        ("(x + y)*z", r"\left(x + y\right) z"),
        ("x*(y + z)", r"x \left(y + z\right)"),
        ("x*(y/z)", r"x \frac{y}{z}"),
        ("-x/2", r"\frac{-x}{2}"),
        ("-(x/2)", r"-\frac{x}{2}"),
        ("x - (y - z)", r"x - \left(y - z\right)"),
        ("1e-7*x", r"1 \cdot 10^{-7} x"),
        ("alpha + Omega", r"\alpha + \Omega"),
        ("x_1 + x2 + w_in", r"x_{1} + x_{2} + w_{\mathrm{in}}"),
        ("beta_0*learning_rate", r"\beta_{0} \mathrm{learning}_{\mathrm{rate}}"),
        ("rate", r"\mathrm{rate}"),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text).unwrap().latex(), expected, "{text}");
    }
}

#[test]
fn latex_is_balanced() {
    let mut random = Random(6);
    for round in 0..300 {
        let text = random_text(&mut random, 3 + round % 10);
        let formula = parse(&text).unwrap();
        for formula in [&formula, &formula.diff("x"), &formula.diff("x").simplify()] {
            let latex = formula.latex();
            let mut depth = 0i32;
            for c in latex.chars() {
                depth += i32::from(c == '{') - i32::from(c == '}');
                assert!(depth >= 0, "{latex}");
            }
            assert_eq!(depth, 0, "{latex}");
            assert_eq!(latex.matches("\\left").count(), latex.matches("\\right").count(), "{latex}");
        }
    }
}
