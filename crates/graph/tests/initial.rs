//! What a parameter may start with: numbers that it cannot hold are errors at its declaration.

use arenagrad_graph::nn::init::{
    Side, Source, dirac, eye, orthogonal, sparse, trunc_normal, xavier_normal, xavier_uniform,
};
use arenagrad_graph::{DType, Graph, GraphError, Init};

/// The line at which `declared` declares.
const LINE: u32 = line!() + 6;

/// What declaring a parameter, or state, of two elements reports.
fn declared(dtype: DType, trainable: bool, init: Init) -> Result<(), GraphError> {
    let g = Graph::new();
    let shape = if needs_matrix(&init) { vec![2, 1] } else { vec![2] };
    let _ = if trainable { g.parameter_of("w", shape, dtype, init) } else { g.state("w", shape, dtype, init) };
    g.check()
}

#[test]
fn numbers_that_a_parameter_cannot_start_with() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let uniform = |low, high| Init::Uniform { low, high };
    let normal = |mean, deviation| Init::Normal { mean, deviation };
    let of = |init| Box::new(Source { name: "v".to_owned(), shape: [2, 3].into(), init });
    let norms = |init| Init::Norms { of: of(init), axis: Some(0) };
    let vector = |init, eps| Init::SingularVector { of: of(init), axis: 0, side: Side::Left, eps };
    let refused = [
        (DType::F32, Init::Constant(nan), "initial value is NaN", "finite"),
        (DType::F32, Init::Constant(inf), "initial value is inf", "finite"),
        (DType::F32, Init::Constant(-1e39), "initial value is -1e39", "f32 holds"),
        (DType::F64, Init::Constant(nan), "NaN", "finite"),
        (DType::F32, Init::Values(vec![0.0, nan]), "NaN", "finite"),
        (DType::F32, Init::Values(vec![inf, 1.0]), "inf", "finite"),
        (DType::F32, Init::Values(vec![0.0, 1e300]), "1e300", "f32 holds"),
        (DType::F32, uniform(1.0, -1.0), "upper bound of the initial values is -1", "not below"),
        (DType::F32, uniform(nan, 1.0), "lower bound of the initial values is NaN", "finite"),
        (DType::F32, uniform(0.0, nan), "upper bound of the initial values is NaN", "finite"),
        (DType::F32, uniform(0.0, inf), "upper bound of the initial values is inf", "finite"),
        (DType::F32, uniform(-1e300, 0.0), "lower bound", "f32 holds"),
        (DType::F64, uniform(-1.5e308, 1.5e308), "range of the initial values is inf", "finite"),
        (DType::F32, normal(nan, 1.0), "mean of the initial values is NaN", "finite"),
        (DType::F32, normal(0.0, -0.5), "standard deviation of the initial values is -0.5", "0 or more"),
        (DType::F32, normal(0.0, nan), "standard deviation of the initial values is NaN", "finite"),
        (DType::F32, normal(0.0, inf), "standard deviation of the initial values is inf", "finite"),
        (DType::F32, normal(3e38, 1e38), "six standard deviations", "f32 holds"),
        (DType::F64, normal(0.0, 1e308), "six standard deviations", "finite"),
        (DType::I32, Init::Constant(2.5), "2.5", "32-bit integer"),
        (DType::I32, Init::Constant(nan), "NaN", "32-bit integer"),
        (DType::I32, Init::Constant(3e9), "3000000000", "32-bit integer"),
        (DType::I32, uniform(0.0, 3e9), "3000000000", "i32 holds"),
        (DType::Bool, Init::Values(vec![0.0, 2.0]), "2", "0 or 1"),
        (DType::F32, trunc_normal(0.0, 0.0, -1.0, 1.0), "standard deviation of the initial values is 0", "above 0"),
        (DType::F32, trunc_normal(nan, 1.0, -1.0, 1.0), "mean of the initial values is NaN", "finite"),
        (DType::F32, trunc_normal(0.0, 1.0, 2.0, 1.0), "upper bound of the initial values is 1", "not below"),
        (DType::F32, xavier_normal(-1.0), "gain of the initial values is -1", "0 or more"),
        (DType::F32, xavier_uniform(nan), "gain of the initial values is NaN", "finite"),
        (DType::F32, xavier_normal(1e38), "gain of the initial values times six", "f32 holds"),
        (DType::F32, orthogonal(1e39), "gain of the initial values is 1e39", "f32 holds"),
        (DType::F32, norms(xavier_normal(-1.0)), "gain of the initial values is -1", "0 or more"),
        (DType::F32, vector(xavier_normal(-1.0), 1.0), "gain of the initial values is -1", "0 or more"),
        (DType::F32, vector(xavier_normal(1.0), 0.0), "what shorter initial values are divided by is 0", "above 0"),
        (DType::F32, vector(xavier_normal(1.0), nan), "what shorter initial values are divided by is NaN", "finite"),
        (DType::F32, sparse(1.5, 1.0), "share of zeros in the initial values is 1.5", "0..=1"),
        (DType::F32, sparse(nan, 1.0), "share of zeros in the initial values is NaN", "0..=1"),
        (DType::F32, sparse(0.5, -1.0), "standard deviation of the initial values is -1", "0 or more"),
    ];
    for (dtype, init, says, expects) in refused {
        for trainable in [true, false] {
            let place = format!("initial.rs:{LINE}:");
            // State may start at an infinity.
            if !trainable && (says == "inf" || says.contains("initial value is inf")) {
                continue;
            }
            let error = declared(dtype, trainable, init.clone()).expect_err(says);
            let text = error.to_string();
            assert!(matches!(error, GraphError::InitialValue { .. }), "{text}");
            for part in [says, expects, "\"w\"", &place] {
                assert!(text.contains(part), "{text:?} does not say {part:?}");
            }
        }
    }
}

#[test]
fn numbers_at_the_edges_are_taken() {
    let taken = [
        (DType::F32, Init::Constant(f64::from(f32::MAX))),
        (DType::F32, Init::Constant(1e-300)),
        (DType::F64, Init::Constant(1e300)),
        (DType::F32, Init::Uniform { low: 0.5, high: 0.5 }),
        (DType::F32, Init::Uniform { low: -3e38, high: 3e38 }),
        (DType::F32, Init::Normal { mean: -1.0, deviation: 0.0 }),
        (DType::I32, Init::Constant(f64::from(i32::MIN))),
        (DType::I32, Init::Uniform { low: -0.5, high: 10.0 }),
        (DType::Bool, Init::Values(vec![0.0, 1.0])),
    ];
    for (dtype, init) in taken {
        assert_eq!(declared(dtype, true, init.clone()), Ok(()), "{init:?}");
        assert_eq!(declared(dtype, false, init.clone()), Ok(()), "{init:?}");
    }
    for value in [f64::INFINITY, f64::NEG_INFINITY] {
        // A running maximum or minimum starts there.
        assert_eq!(declared(DType::F32, false, Init::Constant(value)), Ok(()));
        assert_eq!(declared(DType::F64, false, Init::Values(vec![value, 0.0])), Ok(()));
    }
}

#[test]
fn the_name_of_the_step_counter_is_reserved() {
    let g = Graph::new();
    let _ = g.parameter("step", [3], Init::Constant(0.0));
    let _ = g.step();
    let (declared, asked) = (format!("initial.rs:{}", line!() - 2), format!("initial.rs:{}", line!() - 1));
    let error = g.check().unwrap_err();
    assert!(matches!(&error, GraphError::ReservedName { name, .. } if name == "step"), "{error}");
    let text = error.to_string();
    for part in [declared.as_str(), &asked, "\"step\"", "reserved", "counts training steps"] {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
    // Asked for twice, the counter is one.
    let g = Graph::new();
    assert_eq!(g.step().id(), g.step().id());
    assert_eq!(
        g.declaration_named("step").map(|declaration| declaration.origin.to_string().contains("initial.rs")),
        Some(true)
    );
    assert!(g.declaration_named("stop").is_none());
}

fn needs_matrix(init: &Init) -> bool {
    matches!(init, Init::VarianceScaling { .. } | Init::Orthogonal { .. } | Init::Sparse { .. })
}

#[test]
fn shapes_that_cannot_start_so() {
    let zero_row = |row| Init::ZeroRow { row, others: Box::new(xavier_uniform(1.0)) };
    let of =
        |shape: &[usize], init: Init| Box::new(Source { name: "v".to_owned(), shape: shape.to_vec().into(), init });
    let norms = |shape: &[usize], axis| Init::Norms { of: of(shape, xavier_uniform(1.0)), axis };
    let vector = |axis, side| Init::SingularVector { of: of(&[3, 4, 2], xavier_uniform(1.0)), axis, side, eps: 1e-12 };
    let refused: [(&[usize], Init, &str); 17] = [
        (&[4], norms(&[3, 4], Some(0)), "[4]"),
        (&[2], norms(&[3, 4], None), "[2]"),
        (&[3], norms(&[3, 4], Some(2)), "the axis of the initial values is 2"),
        (&[3], norms(&[3], Some(0)), "which has fans"),
        (&[4], vector(0, Side::Left), "[4]"),
        (&[3], vector(0, Side::Right), "[3]"),
        (&[3], xavier_uniform(1.0), "\"w\" of shape [3] has rank 1, but rank 2 or more, which has fans, is needed"),
        (&[3], orthogonal(1.0), "rank 2 or more, for orthogonal initial values, is needed"),
        (&[3, 2, 2], sparse(0.5, 1.0), "rank 2, for sparse initial values, is needed"),
        (&[3], eye(), "rank 2, for an identity as initial values, is needed"),
        (&[3, 2], dirac(1), "rank 3 to 5, for an identity of channels as initial values, is needed"),
        (&[3, 2, 2], dirac(2), "2"),
        (&[3, 2, 2], dirac(0), "0"),
        (&[3], zero_row(0), "which has fans"),
        (&[3, 2], zero_row(3), "axis 0 of \"w\" has 3 elements"),
        (&[], Init::ZeroRow { row: 0, others: Box::new(Init::Constant(1.0)) }, "rank 1 or more"),
        (&[3, 2], Init::Values(vec![1.0]), "[3, 2]"),
    ];
    for (shape, init, says) in refused {
        let g = Graph::new();
        let _ = g.parameter("w", shape.to_vec(), init.clone());
        let text = g.check().expect_err(says).to_string();
        assert!(text.contains(says) && text.contains("initial.rs:"), "{text:?} does not say {says:?}");
        assert!(g.declarations().is_empty(), "a refused parameter was declared");
    }
    let taken: [(&[usize], Init); 10] = [
        (&[3, 1], norms(&[3, 4], Some(0))),
        (&[], norms(&[3, 4], None)),
        (&[4], vector(1, Side::Left)),
        (&[6], vector(1, Side::Right)),
        (&[3, 2], xavier_uniform(0.0)),
        (&[3, 2, 2], orthogonal(-1.0)),
        (&[3, 2], sparse(1.0, 0.0)),
        (&[0, 2], eye()),
        (&[4, 2, 2], dirac(2)),
        (&[3, 2], zero_row(2)),
    ];
    for (shape, init) in taken {
        let g = Graph::new();
        let _ = g.parameter("w", shape.to_vec(), init);
        assert_eq!(g.check(), Ok(()));
    }
}
