//! The page's training as a program: it learns, and what is asked in between changes nothing of it.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use arenagrad::{Device, Tensor, U8};
use arenagrad_web::digits::{self, Digits};
use arenagrad_web::{Settings, Training, WebError};

/// What a future gives that is ready at once, as all are on the CPU.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the CPU lets nobody wait"),
    }
}

/// An IDX file of the repository's digits, unpacked.
fn unpacked(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    let tensor = arenagrad::data::read_idx(folder.join(format!("{name}.gz"))).expect("it is part of the repository");
    let mut file = vec![0, 0, 8, tensor.shape().rank() as u8];
    for &extent in tensor.shape().dims() {
        file.extend((extent as u32).to_be_bytes());
    }
    file.extend(tensor.as_slice::<U8>().expect("the files are of bytes").iter().map(|byte| byte.get()));
    file
}

fn files(which: &str) -> Digits {
    let (images, labels) =
        (unpacked(&format!("{which}-images-idx3-ubyte")), unpacked(&format!("{which}-labels-idx1-ubyte")));
    Digits::from_idx(&images, &labels).expect("they are digits")
}

fn training(settings: Settings) -> Training {
    let tests = files("t10k").spread(100).expect("there are more");
    Training::new(Device::cpu(), &files("train"), tests, settings).expect("a training begins")
}

const QUICK: Settings = Settings { seed: 3, batch: 16, learning_rate: 2e-3 };

#[test]
fn a_few_steps_learn_and_questions_in_between_change_nothing() -> Result<(), WebError> {
    let (mut one, mut other) = (training(QUICK), training(QUICK));
    let untrained = ready(one.test())?;
    let mut losses = Vec::new();
    for step in 0..30 {
        losses.push(ready(one.step())?);
        if step % 10 == 0 {
            ready(one.test())?;
            let image = digits::centred(&[1.0; 49], 7)?.expect("all of it is ink");
            let probabilities = ready(one.probabilities(image))?;
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{probabilities:?}");
        }
        assert_eq!(ready(other.step())?, losses[step]);
    }
    let (tested, alone) = (ready(one.test())?, ready(other.test())?);
    assert_eq!(tested, alone);
    assert!(losses[25..].iter().sum::<f64>() < 0.75 * losses[..5].iter().sum::<f64>(), "{losses:?}");
    assert!(tested.accuracy() > untrained.accuracy() + 0.2 && tested.loss < untrained.loss, "{untrained:?} {tested:?}");
    assert_eq!((one.steps(), one.steps_of_an_epoch(), one.position().batch), (30, 500, 30));
    Ok(())
}

#[test]
fn steps_that_are_under_way_together_are_those_that_come_one_by_one() -> Result<(), WebError> {
    let (mut one, mut other) = (training(QUICK), training(QUICK));
    let together = ready(one.steps_together(5))?;
    let single = (0..5).map(|_| ready(other.step())).collect::<Result<Vec<f64>, _>>()?;
    assert_eq!(together, single);
    assert_eq!(one.steps(), 5);
    Ok(())
}

#[test]
fn a_saved_file_brings_the_network_back() -> Result<(), WebError> {
    let mut trained = training(QUICK);
    ready(trained.steps_together(3))?;
    let file = ready(trained.save())?;
    let image =
        || Tensor::new([1, 1, digits::SIDE, digits::SIDE], vec![0.5_f32; digits::PIXELS]).map_err(WebError::from);
    let expected = ready(trained.probabilities(image()?))?;

    let mut fresh = training(Settings { seed: 4, ..QUICK });
    assert_ne!(ready(fresh.probabilities(image()?))?, expected);
    let report = ready(fresh.load(file.clone()))?;
    assert_eq!((report.loaded.len(), report.missing.len(), report.unused.len()), (8, 0, 0));
    assert_eq!(ready(fresh.probabilities(image()?))?, expected);

    let refused = ready(fresh.load(file[..file.len() / 2].to_vec()));
    assert!(matches!(refused, Err(WebError::Engine(_))));
    assert_eq!(ready(fresh.probabilities(image()?))?, expected, "what was refused changed nothing");
    Ok(())
}

#[test]
fn an_epoch_has_every_image_and_the_next_one_another_order() -> Result<(), WebError> {
    let mut training = training(Settings { batch: 4000, ..QUICK });
    assert_eq!(training.steps_of_an_epoch(), 2);
    assert_eq!(training.position().to_numbers(), [0, 0]);
    ready(training.steps_together(2))?;
    assert_eq!(training.position().to_numbers(), [1, 0]);
    ready(training.step())?;
    assert_eq!(training.position().to_numbers(), [1, 1]);
    Ok(())
}

#[test]
fn the_network_and_the_plan_can_be_looked_at() -> Result<(), WebError> {
    let summary = arenagrad_web::network::summary(64)?;
    assert_eq!(summary.trainable(), 72 + 8 + 1152 + 16 + 784 * 64 + 64 + 640 + 10);
    assert!(summary.to_svg().starts_with("<svg"));
    let mut training = training(QUICK);
    assert!(training.plan()?.contains("parameter \"0.weight\""), "{}", training.plan()?);
    assert!(training.explanation()?.contains("begins here"));
    Ok(())
}
