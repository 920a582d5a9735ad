use super::*;
use arenagrad_graph::{BinaryFunction, UnaryFunction};

/// The distance of a number from another, in units of the other's last place.
fn ulps(found: f64, expected: f64) -> f64 {
    if found.is_nan() && expected.is_nan() || found == expected {
        return 0.0;
    }
    let size = expected.abs();
    (found - expected).abs() / (f64::from_bits(size.to_bits() + 1) - size)
}

/// Numbers of several orders from a recurrence, the same in every run.
fn numbers(count: usize) -> impl Iterator<Item = f64> {
    let mut state = 1u64;
    (0..count).map(move |i| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let fraction = (state >> 11) as f64 / 2f64.powi(52) - 1.0;
        fraction * [1.0, 5.0, 30.0, 700.0, 1e-4, 1e-200, 1e200][i % 7]
    })
}

/// Processors without the instruction compute in the same way, but for the rounding of products.
#[test]
fn values_without_fused_multiplication_are_right_too() {
    macro_rules! each {
        ($run:ident: $($function:ident = $name:ident),*) => {
            $($run(UnaryFunction::$function, $name::<true>, $name::<false>);)*
        };
    }
    let run = |function: UnaryFunction, fused: fn(f64) -> f64, plain: fn(f64) -> f64| {
        for x in numbers(7000) {
            if matches!(function, UnaryFunction::Sin | UnaryFunction::Cos) && !in_trigonometric_range(x) {
                continue;
            }
            let expected = function.row().of(x, arenagrad_graph::DType::F64);
            for found in [fused(x), plain(x)] {
                assert!(ulps(found, expected) <= 6.0, "{}({x:e}) gave {found:e}, not {expected:e}", function.name());
            }
        }
    };
    each!(
        run: Exp = exp, Exp2 = exp2, Expm1 = expm1, Log = log, Log2 = log2, Log10 = log10, Log1p = log1p, Tanh = tanh, Sigmoid = sigmoid, Sinh = sinh,
        Cosh = cosh, Asinh = asinh, Acosh = acosh, Atanh = atanh, Sin = sin, Cos = cos, Asin = asin, Acos = acos, Atan = atan, Erf = erf, Erfc = erfc, Erfcx = erfcx,
        Erfinv = erfinv
    );
}

#[test]
fn values_of_two_without_fused_multiplication_are_right_too() {
    let operands: Vec<(f64, f64)> = numbers(7000).zip(numbers(8001).skip(1001)).collect();
    let run = |function: BinaryFunction, value: fn(f64, f64) -> f64, accepts: fn(f64, f64) -> bool, allowed: f64| {
        for &(a, b) in operands.iter().filter(|(a, b)| accepts(*a, *b)) {
            let (found, expected) = (value(a, b), function.row().of(a, b, arenagrad_graph::DType::F64));
            assert!(
                ulps(found, expected) <= allowed,
                "{}({a:e}, {b:e}) gave {found:e}, not {expected:e}",
                function.name()
            );
        }
    };
    let all = |_: f64, _: f64| true;
    run(BinaryFunction::Pow, pow::<true>, in_pow_range, 2.0);
    run(BinaryFunction::Pow, pow::<false>, in_pow_range, 2.0);
    run(BinaryFunction::Atan2, atan2::<true>, all, 3.0);
    run(BinaryFunction::Atan2, atan2::<false>, all, 3.0);
    run(BinaryFunction::Hypot, hypot::<true>, all, 2.0);
    run(BinaryFunction::Hypot, hypot::<false>, all, 2.0);
    run(BinaryFunction::Fmod, fmod::<true>, in_division_range::<true>, 0.0);
    run(BinaryFunction::Fmod, fmod::<false>, in_division_range::<false>, 0.0);
    run(BinaryFunction::Remainder, remainder::<true>, in_division_range::<true>, 0.0);
    run(BinaryFunction::Remainder, remainder::<false>, in_division_range::<false>, 0.0);
    run(BinaryFunction::FloorDivide, floor_divide::<true>, in_division_range::<true>, 0.0);
    run(BinaryFunction::FloorDivide, floor_divide::<false>, in_division_range::<false>, 0.0);
}
