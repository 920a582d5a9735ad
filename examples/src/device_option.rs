//! The one option of the examples that need no other: `--device`.

use arenagrad::Device;

/// The device that `--device auto|cpu|gpu|ADAPTER` names, `default` where it is not given, or nothing after `--help`, which
/// prints `about`. Everything else is an error.
pub fn device_from_options(name: &str, about: &str, default: &str) -> Result<Option<Device>, String> {
    use lexopt::prelude::*;
    let usage = format!("usage: {name} [--device auto|cpu|gpu|ADAPTER]");
    let wrong = |error: lexopt::Error| format!("{error}\n{usage}");
    let mut chosen = default.to_owned();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Long("device") => chosen = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Short('h') | Long("help") => {
                println!("{about}\n\n{usage}");
                return Ok(None);
            }
            other => return Err(wrong(other.unexpected())),
        }
    }
    let device = Device::named(&chosen).map_err(|error| error.to_string())?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    println!("device: {device}");
    Ok(Some(device))
}
