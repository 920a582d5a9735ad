//! Values of files that wait in a trainer's session for parameters which are declared later: what of them is written again, and what is told.

use std::path::PathBuf;

use arenagrad::weights::{Weights, WeightsError};
use arenagrad::{Device, Error, Init, StorageType, Tensor, Trainer};

/// A file of those bytes.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("arenagrad-waiting-{}-{name}.safetensors", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A trainer with an evaluation that declares `head` of two elements, and computes with it or not.
fn evaluator(is_used: bool) -> (Trainer<'static>, arenagrad::train::FunctionId) {
    let mut trainer = Trainer::without_loss(Device::cpu());
    let evaluation = trainer.add_evaluation(move |inputs| {
        let head = inputs.graph().parameter("head", [2], Init::Constant(0.0));
        let x = inputs.get("x");
        vec![if is_used { x * head } else { x * 2.0 }]
    });
    (trainer, evaluation)
}

#[test]
fn a_value_that_did_not_fit_does_not_outlive_the_next_one() {
    let three = Weights::new().with("head", Tensor::from([1.0f32, 2.0, 3.0]));
    let path = file("unfit", &three.to_bytes().unwrap());
    let (x, two) = (Tensor::from([1.0f32, 1.0]), Tensor::from([4.0f32, 5.0]));
    // Set by hand, or loaded as another library's weights.
    for loads in [false, true] {
        let (mut trainer, evaluation) = evaluator(false);
        trainer.session_mut().load(&path).unwrap();
        trainer.evaluate(evaluation, &[("x", &x)]).unwrap();
        // Nobody has replaced it yet, and another trainer may need it.
        assert_eq!(trainer.checkpoint().unwrap().weights().shape("head").unwrap().dims(), [3]);
        if loads {
            trainer.session_mut().load_weights(Weights::new().with("head", two.clone())).unwrap();
        } else {
            trainer.session_mut().set_parameter("head", &two).unwrap();
        }
        let checkpoint = trainer.checkpoint().unwrap();
        assert_eq!(checkpoint.weights().get("head").unwrap(), two);
        assert_eq!(trainer.checkpoint_async().wait().unwrap().weights().get("head").unwrap(), two);
        assert_eq!(trainer.session().waiting_names().count(), 0);
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_tensor_that_nobody_asks_for_may_be_of_any_type() {
    let entries = [("large", "I64", 16), ("small", "F8_E4M3", 2), ("wide", "U64", 16), ("complex", "C64", 16)];
    let mut header = r#"{"head":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#.to_owned();
    let mut bytes: Vec<u8> = [2.0f32, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    for (name, dtype, size) in entries {
        let (begin, end) = (bytes.len(), bytes.len() + size);
        header += &format!(r#","{name}":{{"dtype":"{dtype}","shape":[2],"data_offsets":[{begin},{end}]}}"#);
        bytes.extend(vec![0x7f; size]);
    }
    header += "}";
    let whole = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat();
    let path = file("types", &whole);
    let x = Tensor::from([1.0f32, 1.0]);
    let (mut trainer, evaluation) = evaluator(true);
    trainer.session_mut().load(&path).unwrap();
    assert_eq!(trainer.evaluate(evaluation, &[("x", &x)]).unwrap()[0].to_f64_vec(), [2.0, 3.0]);
    // What could not be read is not written either.
    assert_eq!(trainer.checkpoint().unwrap().weights().names().collect::<Vec<_>>(), ["head"]);
    // Whoever asks for it is told.
    for (name, storage) in [("large", StorageType::I32), ("small", StorageType::F32), ("wide", StorageType::I64)] {
        let asking = trainer.add_evaluation(move |inputs| {
            let odd = inputs.graph().parameter_of(name, [2], storage, Init::Constant(0.0));
            vec![odd.cast(arenagrad::DType::F32) * inputs.get("x")]
        });
        for _ in 0..2 {
            let error = trainer.evaluate(asking, &[("x", &x)]).unwrap_err();
            match name {
                "large" => {
                    assert!(matches!(&error, Error::FileInteger { name: found, .. } if found == name), "{error}")
                }
                _ => assert!(matches!(&error, Error::Weights(WeightsError::UnsupportedType { .. })), "{error}"),
            }
        }
    }
    std::fs::remove_file(path).unwrap();
}
