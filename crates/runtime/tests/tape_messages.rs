//! What the mistakes of a tape say: what a caller wrote, where a variable was made, what the tape knows, and what to do.

use arenagrad::nn::Linear;
use arenagrad::{Adam, CheckpointError, Device, Error, Tape, TapeOptimizer, Tensor, Variable};

/// What poisoned a variable, without the place at which it was made.
#[track_caller]
fn mistake(poisoned: &Variable) -> String {
    poisoned.check().unwrap_err().to_string().split_once(": ").unwrap().1.to_owned()
}

#[test]
fn operands_are_called_by_what_made_them_before_and_after_they_are_computed() {
    let tape = Tape::new(Device::cpu());
    let (x, four) = (tape.leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), tape.leaf([0.0; 4]).named("four"));
    let made = [
        ("softmax", x.softmax(-1)),
        ("sum_keepdims", x.sum_keepdims(1).broadcast_to([2, 3])),
        ("spread", tape.record("spread", &[&x], |x| x[0].max_keepdims(1) - x[0])),
        ("Linear \"enc\"", x.map(|x| Linear::new("enc", 3, 3).apply(x))),
    ];
    for computed in [false, true] {
        for (name, variable) in &made {
            if computed {
                variable.data().unwrap();
            }
            let told = mistake(&(variable + &four));
            assert!(told.starts_with("add: shapes do not broadcast: "), "{told}");
            // A value that nothing needs the graph of any more stands as a leaf of its own.
            assert!(computed || told.contains(&format!("{name} (node ")), "{name}: {told}");
        }
    }
}

#[test]
fn variables_without_gradients_are_told_with_the_place_where_they_were_made() {
    let tape = Tape::new(Device::cpu());
    let (leaf, line) = (tape.leaf(2.0), line!());
    let here = |line: u32| format!("(made at {}:{line})", file!());
    assert_eq!(leaf.grad().unwrap_err().to_string(), {
        format!(
            "no gradient has reached a leaf of shape [] {}: call backward on something that was made of it",
            here(line)
        )
    });
    let (made, line) = (&leaf * 3.0, line!());
    let error = made.backward().unwrap_err().to_string();
    let rest = "requires no gradient, nor does anything that it was made of";
    assert_eq!(error, format!("a variable {} {rest}", here(line)));
    let (mapped, line) = (leaf.map(|x| x.exp()), line!());
    assert_eq!(mapped.backward().unwrap_err().to_string(), format!("a variable {} {rest}", here(line)));
    // A name says more.
    assert_eq!(leaf.named("w").backward().unwrap_err().to_string(), format!("\"w\" {rest}"));
    let w = tape.leaf(1.0).requires_grad();
    let (square, line) = (w.square(), line!());
    square.backward().unwrap();
    let error = square.backward().unwrap_err().to_string();
    assert!(error.contains(&format!("the result of square {}", here(line))), "{error}");
}

#[test]
fn a_parameter_that_is_asked_for_by_a_wrong_name_is_told_with_the_right_one() {
    let tape = Tape::new(Device::cpu());
    let told = |name: &str| tape.parameter(name).unwrap_err().to_string();
    assert_eq!(
        told("head.weight"),
        "no layer of the tape has asked for a parameter \"head.weight\"; the tape has none. A layer's are there once it was applied"
    );
    tape.leaf([[1.0, 2.0]]).map(|x| Linear::new("head", 2, 1).apply(x)).check().unwrap();
    assert_eq!(
        told("haed.weight"),
        "no layer of the tape has asked for a parameter \"haed.weight\" (did you mean \"head.weight\"?); the tape has \"head.weight\", \
         \"head.bias\". A layer's are there once it was applied"
    );
    let wide = Tensor::new([1, 2], vec![0.5f64, 0.25]).unwrap();
    assert_eq!(
        tape.set_parameter("head.weight", &wide).unwrap_err().to_string(),
        "parameter \"head.weight\" holds f32 but was given f64 (cast it: .cast(DType::F32))"
    );
}

#[test]
fn a_checkpoint_that_comes_before_the_network_says_to_apply_it_first() {
    let layer = Linear::new("G", 2, 1);
    let begun = || {
        let tape = Tape::new(Device::cpu());
        let optimizer = TapeOptimizer::of_parameters(&tape, Adam::new(0.1)).unwrap();
        (tape, optimizer)
    };
    let (tape, mut optimizer) = begun();
    tape.leaf([[1.0, 2.0]]).map(|x| layer.apply(x)).sum(..).backward().unwrap();
    optimizer.step().unwrap();
    let checkpoint = optimizer.checkpoint().unwrap();
    let (tape, mut optimizer) = begun();
    let error = optimizer.restore(&checkpoint).unwrap_err();
    assert!(matches!(&error, Error::Checkpoint(CheckpointError::NotAskedFor { .. })), "{error}");
    assert!(error.to_string().contains("apply the network to any input before"), "{error}");
    tape.leaf([[0.0, 0.0]]).map(|x| layer.apply(x)).check().unwrap();
    optimizer.restore(&checkpoint).unwrap();
    assert_eq!(tape.parameter("G.weight").unwrap().data().unwrap(), checkpoint.weights().get("G.weight").unwrap());
}
