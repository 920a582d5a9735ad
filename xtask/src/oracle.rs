//! `cargo xtask oracle DIR ..`: holds the operators to what another system computed.
//!
//! A directory has cases of PyTorch's operators as JSON lines: arguments, outputs, upstream gradients and gradients. Each is
//! run ([`arenagrad_oracle`]) with floats as f64 and f32 on the CPU and as f32 on the GPU, and every
//! output and gradient is compared. A case passes if it passes everywhere; one that the engine has no operator for is unsupported, never passed. A list says of which operators every case
//! passes ([`passing`]): `--passing FILE` fails if that is not so any more, `--write-passing FILE` writes what the run found.

mod passing;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arenagrad::Device;
use arenagrad_oracle::{Case, Outcome, Setting};

use self::passing::Passing;
use self::report::Tally;

/// What the command line asks for.
pub(crate) struct Options {
    directories: Vec<PathBuf>,
    devices: Devices,
    /// The list that the run is held to.
    passing: Option<PathBuf>,
    /// The list that the run writes.
    write_passing: Option<PathBuf>,
}

/// Which devices the cases run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Devices {
    Cpu,
    Gpu,
    All,
    /// Both if there is an adapter, else the CPU alone, which is said.
    Present,
}

impl Options {
    pub(crate) fn parse(arguments: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
        use lexopt::prelude::*;

        let mut directories = Vec::new();
        let (mut passing, mut write_passing) = (None, None);
        let mut devices = Devices::Present;
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("device") => {
                    devices = match arguments.value()?.string()?.as_str() {
                        "cpu" => Devices::Cpu,
                        "gpu" => Devices::Gpu,
                        "all" => Devices::All,
                        other => return Err(format!("unknown device {other:?}: use cpu, gpu or all").into()),
                    }
                }
                Long("passing") => passing = Some(arguments.value()?.into()),
                Long("write-passing") => write_passing = Some(arguments.value()?.into()),
                Value(value) => directories.push(value.into()),
                other @ (Short(_) | Long(_)) => return Err(other.unexpected()),
            }
        }
        if directories.is_empty() {
            return Err("oracle needs the directory of the cases".into());
        }
        Ok(Options { directories, devices, passing, write_passing })
    }
}

/// Runs the cases and prints a line an operator; the code is 1 if any case failed or none could be run.
pub(crate) fn run(options: Options) -> ExitCode {
    let found = settings(options.devices).and_then(|settings| {
        let list = options.passing.as_deref().map(Passing::read).transpose()?;
        Ok((settings, read(&options.directories)?, list))
    });
    let (settings, operators, list) = match found {
        Ok(found) => found,
        Err(reason) => {
            eprintln!("oracle: {reason}");
            return ExitCode::FAILURE;
        }
    };
    println!("oracle: {}", settings.iter().map(Setting::to_string).collect::<Vec<_>>().join(", "));
    arenagrad_oracle::record_panics();
    let width = operators.iter().map(|(operator, _)| operator.len()).max().unwrap_or(0);
    let mut tallies = Vec::with_capacity(operators.len());
    for (operator, cases) in &operators {
        let mut tally = Tally::default();
        for (place, case) in cases {
            match case {
                Ok(case) => tally.add(&case.id, arenagrad_oracle::run(case, &settings)),
                Err(reason) => tally.add(place, Outcome::Failed(reason.clone())),
            }
        }
        print!("{}", tally.lines(operator, width));
        tallies.push(tally);
    }
    let (summary, failed) = report::summary(tallies.iter());
    println!("{summary}");
    let run = || operators.iter().map(|(operator, _)| operator.as_str()).zip(&tallies);
    let contradictions = list.map(|list| list.contradictions(run())).unwrap_or_default();
    for contradiction in &contradictions {
        eprintln!("oracle: {contradiction}");
    }
    if let Some(path) = &options.write_passing {
        let known = std::fs::read_to_string(path).unwrap_or_default();
        let text = Passing::read(path).unwrap_or_default().updated(run(), &known);
        if let Err(error) = std::fs::write(path, text) {
            eprintln!("oracle: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    if failed || !contradictions.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The devices and dtypes that each case runs on.
fn settings(devices: Devices) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    if devices != Devices::Gpu {
        settings.extend(Setting::on_cpu());
    }
    if devices != Devices::Cpu {
        match Device::gpu() {
            Ok(device) => settings.push(Setting::on_gpu(device)),
            Err(error) if devices == Devices::Present => eprintln!("oracle: the CPU alone: {error}"),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(settings)
}

/// The cases of one operator, each with its file and line; one that cannot be read is the reason why.
type OperatorCases = (String, Vec<(String, Result<Case, String>)>);

/// The files with cases in a directory, in the order of their names.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = directory.display();
    let entries = std::fs::read_dir(directory).map_err(|error| format!("{shown}: {error}"))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{shown}: {error}"))?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    if files.is_empty() {
        return Err(format!("{shown}: there are no .jsonl files"));
    }
    Ok(files)
}

/// All cases of the directories, by operator, in the order of the files and lines.
fn read(directories: &[PathBuf]) -> Result<Vec<OperatorCases>, String> {
    let files = directories.iter().map(|directory| files(directory)).collect::<Result<Vec<_>, _>>()?.concat();

    let mut operators: Vec<OperatorCases> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("{}:{}", file.display(), number + 1);
            let case = Case::parse(line);
            let operator = match &case {
                Ok(case) => case.operator.clone(),
                Err(_) => file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            };
            match operators.iter_mut().find(|(known, _)| *known == operator) {
                Some((_, cases)) => cases.push((place, case)),
                None => operators.push((operator, vec![(place, case)])),
            }
        }
    }
    Ok(operators)
}
