//! The one option of the examples that need no other: `--device`.

use std::process::ExitCode;

use arenagrad::{Device, Error};

/// The whole of an example: `run` on the device that the options name, the CPU where they name none. An error is printed under
/// the example's name, and `--help` prints `about`.
pub fn run_on_device(name: &str, about: &str, run: impl FnOnce(&Device) -> Result<(), Error>) -> ExitCode {
    let done = device_from_options(name, about)
        .and_then(|device| device.map_or(Ok(()), |device| run(&device).map_err(|error| error.to_string())));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{name}: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The device that `--device auto|cpu|gpu|ADAPTER` names, or nothing after `--help`. Everything else is an error.
fn device_from_options(name: &str, about: &str) -> Result<Option<Device>, String> {
    use lexopt::prelude::*;
    let usage = format!("usage: {name} [--device auto|cpu|gpu|ADAPTER]");
    let wrong = |error: lexopt::Error| format!("{error}\n{usage}");
    let mut chosen = "cpu".to_owned();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Long("device") => chosen = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Short('h') | Long("help") => {
                println!("{about}\n\n{usage}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    let device = Device::named(&chosen).map_err(|error| error.to_string())?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    println!("device: {device}");
    Ok(Some(device))
}
