//! Kernels that read through flipped and overlapping views, against the naive reference.

use arenagrad_kernels::DType;

use crate::reference::{assert_close, buffer, run, values};
use crate::view_cases::random::random_views;
use crate::view_cases::{Case, cases, views};

fn check(case: &Case) {
    let inputs: Vec<_> = case.inputs.iter().map(|(dtype, values)| buffer(*dtype, values)).collect();
    let outputs: Vec<_> = case.outputs.iter().map(|(dtype, values)| (*dtype, values.len())).collect();
    let found = run(&case.kernel, &inputs, &outputs);
    for (found, (_, expected)) in found.iter().zip(&case.outputs) {
        assert_close(&values(found), expected, 1e-6, &case.name);
    }
}

#[test]
fn flips_and_windows() {
    for dtype in DType::ALL {
        cases(dtype, &views()).iter().for_each(check);
    }
}

#[test]
fn views_at_random() {
    for dtype in DType::ALL {
        cases(dtype, &random_views(dtype as u64, 60)).iter().for_each(check);
    }
}
