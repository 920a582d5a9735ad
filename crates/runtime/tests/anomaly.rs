//! Where a NaN comes from: the node that made it, and the line on which it was written; and deviations on the tape, which make
//! none.

use crate::suite::devices::devices;
use arenagrad::check::{CheckError, anomaly};
use arenagrad::{DType, Device, Error, Graph, Tape, Tensor};

#[test]
fn the_first_nan_of_a_backward_pass_names_the_line_of_the_forward_pass() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [3]);
        let line = line!() + 1;
        let logarithm = x.log();
        let loss = x.greater(0.0).where_(logarithm, 0.0).sum(..) * 2.0;
        let [gradient] = loss.grad([x]).unwrap();
        let given = Tensor::new([3], vec![1.0f32, 0.0, 2.0]).unwrap();
        let report = anomaly(&g, &[loss, gradient], &[("x", &given)], &device).unwrap();
        let nan = report.nan.clone().expect("0 / 0");
        assert!(nan.name.starts_with("div (node "), "{report}");
        assert!(nan.origin.ends_with(&format!("anomaly.rs:{line}")), "{report}");
        assert_eq!((nan.index.as_slice(), nan.value.is_nan()), ([1].as_slice(), true));
        let infinity = report.infinity.clone().expect("the logarithm of 0");
        assert_eq!(infinity.node, logarithm.id().unwrap());
        assert!(infinity.origin.ends_with(&format!("anomaly.rs:{line}")), "{report}");
        let error = report.into_result().unwrap_err();
        assert!(matches!(error, Error::Check(CheckError::Anomaly(_))));
        let text = error.to_string();
        assert!(
            text.contains("the first with a NaN is div (node ") && text.contains(&format!("anomaly.rs:{line}")),
            "{text}"
        );

        // The forward pass alone has an infinity, which is no error.
        let report = anomaly(&g, &[loss], &[("x", &given)], &device).unwrap();
        assert!(report.nan.is_none() && report.into_result().is_ok());
        let given = Tensor::new([3], vec![1.0f32, 4.0, 2.0]).unwrap();
        assert!(anomaly(&g, &[loss, gradient], &[("x", &given)], &device).unwrap().is_finite());
    }
}

#[test]
fn a_nan_that_was_given_is_the_inputs() {
    let g = Graph::new();
    let mask = g.full([2], f64::NEG_INFINITY, DType::F32);
    let x = g.input("x", [2]);
    let y = (x + mask).named("masked").softmax(0);
    let given = Tensor::new([2], vec![1.0f32, f32::NAN]).unwrap();
    let report = anomaly(&g, &[y], &[("x", &given)], &Device::cpu()).unwrap();
    assert_eq!(report.nan.unwrap().node, x.id().unwrap());
    let given = Tensor::new([2], vec![1.0f32, 2.0]).unwrap();
    let report = anomaly(&g, &[y], &[("x", &given)], &Device::cpu()).unwrap();
    // The mask was meant; what it made is told.
    assert_eq!(report.infinity.unwrap().name, "\"masked\"");
}

/// Operators have a NaN in store that is chosen for labels out of range alone; it is no anomaly where it is not chosen.
#[test]
fn constants_of_operators_are_no_anomalies() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [2, 3]);
        let given = Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 6.0, 5.0, 4.0]).unwrap();
        let [of_largest] = x.max(1).sum(..).grad([x]).unwrap();
        let hard = x.argmax(1).one_hot(3).cast(DType::F32);
        let of_labels = x.cross_entropy(x.argmax(1));
        let [of_loss] = of_labels.grad([x]).unwrap();
        let report = anomaly(&g, &[of_largest, hard, of_labels, of_loss], &[("x", &given)], &device).unwrap();
        assert!(report.is_finite(), "{report}");
        // What stands behind one is found.
        let line = line!() + 1;
        let loss = (hard * (x - 4.0).sqrt()).sum(..);
        let report = anomaly(&g, &[loss], &[("x", &given)], &device).unwrap();
        let nan = report.nan.clone().expect("the root of what is below 0");
        assert!(nan.name.starts_with("sqrt") && nan.origin.ends_with(&format!("anomaly.rs:{line}")), "{report}");
        // Where it is chosen, the node that chose it is the first, and no view of the constant.
        let outside = x.cross_entropy(x.argmax(1) + 2);
        let report = anomaly(&g, &[outside], &[("x", &given)], &device).unwrap();
        assert!(!report.nan.clone().expect("a label out of range").name.starts_with("constant"), "{report}");
    }
}

#[test]
fn deviations_and_norms_on_the_tape() {
    for device in devices() {
        let tape = Tape::new(device);
        let x = tape.leaf(Tensor::new([3], vec![2.0f32; 3]).unwrap()).requires_grad();
        (x.std(.., 1.0) + (&x - 2.0).norm(2.0, ..) + x.var(.., 1.0)).backward().unwrap();
        assert_eq!(x.grad().unwrap().to_f64_vec(), [0.0; 3]);
    }
}
