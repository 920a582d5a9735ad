//! The same training as a program: what a tab's losses are held to.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use arenagrad::Device;
use arenagrad_web::{Digits, Settings, Training};

use super::workspace;

/// The losses of the first epoch with the seed 0 on the CPU; computed once.
pub(super) fn losses_of_first_epoch() -> Result<&'static [f64], String> {
    static LOSSES: OnceLock<Result<Vec<f64>, String>> = OnceLock::new();
    LOSSES.get_or_init(compute).as_deref().map_err(Clone::clone)
}

fn compute() -> Result<Vec<f64>, String> {
    let train = digits("train")?;
    let tests = train.spread(1).map_err(|error| error.to_string())?;
    let training = Training::new(Device::cpu(), &train, tests, Settings::default());
    let mut training = training.map_err(|error| error.to_string())?;
    let steps = training.steps_of_an_epoch();
    ready(training.steps_together(steps))
}

/// What a future gives that is ready at once, as all are on the CPU.
fn ready<T>(future: impl Future<Output = Result<T, arenagrad_web::WebError>>) -> Result<T, String> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value.map_err(|error| error.to_string()),
        Poll::Pending => Err("the CPU has let a caller wait".to_owned()),
    }
}

/// Digits of the repository.
fn digits(which: &str) -> Result<Digits, String> {
    let folder = workspace().join("examples/data/mnist");
    let images = unpacked(&folder.join(format!("{which}-images-idx3-ubyte.gz")))?;
    let labels = unpacked(&folder.join(format!("{which}-labels-idx1-ubyte.gz")))?;
    Digits::from_idx(&images, &labels).map_err(|error| error.to_string())
}

/// A file, unpacked, as the page unpacks it.
fn unpacked(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut bytes).map_err(failed)?;
    Ok(bytes)
}
