//! `cargo xtask device`: what a device can do and what the engine makes of it, in a few figures: products in f32 and of operands held in f16 as a share of the peak,
//! elementwise work as a share of copy bandwidth, the steps of two workloads. Whoever has a GPU runs this one command.

use std::process::ExitCode;

use arenagrad::profile::Peaks;
use arenagrad::{AdapterKind, DType, Device, Error, Expr, Graph, Init, ProfileOptions, Session, StorageType, Tensor};
use arenagrad_benches::{Phase, workload};

use crate::profile::device;

/// What the command line asks for.
pub(crate) struct Options {
    on_gpu: bool,
    size: Option<usize>,
}

impl Options {
    /// Reads `[--gpu] [--size N]`.
    pub(crate) fn parse(arguments: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
        use lexopt::prelude::*;

        let mut options = Options { on_gpu: false, size: None };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("gpu") => options.on_gpu = true,
                Long("size") => {
                    let size: usize = arguments.value()?.parse()?;
                    if size == 0 {
                        return Err("--size must be at least 1".into());
                    }
                    options.size = Some(size);
                }
                argument @ (Long(_) | Short(_) | Value(_)) => return Err(argument.unexpected()),
            }
        }
        Ok(options)
    }
}

/// Measures and prints the figures.
pub(crate) fn run(options: Options) -> ExitCode {
    match device(options.on_gpu).and_then(|device| figures(&options, &device).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("device: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The rows and columns of the product unless they are given: what keeps a graphics card busy, and what a processor does in seconds.
fn usual_size(device: &Device) -> usize {
    match device.adapter().map(|adapter| adapter.kind) {
        None => 2048,
        Some(AdapterKind::Software) => 512,
        Some(_) => 4096,
    }
}

fn figures(options: &Options, device: &Device) -> Result<(), Error> {
    println!("{device}");
    if let Some(adapter) = device.adapter() {
        println!("driver {}, {}", adapter.driver, adapter.arithmetic);
    }
    if let Some(support) = device.f16_support() {
        println!("{support}");
    }
    if let Some(support) = device.cooperative_support() {
        println!("{support}");
    }
    let peaks = Peaks::of(device)?;
    println!("at most {peaks}");
    let n = options.size.unwrap_or_else(|| usual_size(device));
    for storage in [StorageType::F32, StorageType::F16] {
        let (flops, share) = product(device, &peaks, n, storage)?;
        println!("product of {n} x {n}, operands held in {storage}: {flops:.1} GFLOP/s, {share:.1} % of the f32 peak");
    }
    let (bandwidth, share) = elementwise(device, &peaks)?;
    println!("elementwise work, x * y + x over 2^24 elements: {bandwidth:.1} GB/s, {share:.1} % of copies");
    for name in ["gaussians", "gpt"] {
        let Some(found) = workload(name) else { continue };
        let phase = found.compared_phase();
        let mut phases = vec![phase];
        if found.phases(!device.is_cpu()).contains(&Phase::QueuedSteps) {
            phases.push(Phase::QueuedSteps);
        }
        for phase in phases {
            let mut program = found.program(phase, device)?;
            program.time(3)?;
            let calls = 10;
            let time = (0..3).map(|_| program.time(calls)).collect::<Result<Vec<_>, Error>>()?;
            let least = time.into_iter().min().unwrap_or_default() / calls as u32;
            println!("{name}, {}: {:.1} us", phase.title(), least.as_secs_f64() * 1e6);
        }
    }
    Ok(())
}

/// The rate of a product of square matrices in GFLOP/s, and in hundredths of the peak.
fn product(device: &Device, peaks: &Peaks, n: usize, storage: StorageType) -> Result<(f64, f64), Error> {
    let graph = Graph::new();
    let matrix = |name: &str| graph.state(name, [n, n], storage, Init::Uniform { low: -1.0, high: 1.0 });
    let profile = timed(device, peaks, &graph, matrix("a").matmul(matrix("b")))?;
    let rate = profile.0 as f64 / profile.2;
    Ok((rate / 1e9, 100.0 * rate / peaks.flops_per_second))
}

/// The bandwidth of elementwise work in GB/s, and in hundredths of that of copies.
fn elementwise(device: &Device, peaks: &Peaks) -> Result<(f64, f64), Error> {
    let graph = Graph::new();
    let held = |name: &str| graph.state(name, [1 << 24], DType::F32, Init::Uniform { low: -1.0, high: 1.0 });
    let (x, y) = (held("x"), held("y"));
    let profile = timed(device, peaks, &graph, x * y + x)?;
    let rate = profile.1 as f64 / profile.2;
    Ok((rate / 1e9, 100.0 * rate / peaks.bytes_per_second))
}

/// The operations, bytes and seconds of an expression's steps.
fn timed(device: &Device, peaks: &Peaks, graph: &Graph, wanted: Expr<'_>) -> Result<(u64, u64, f64), Error> {
    let mut session = Session::evaluate(graph, &[wanted], device)?;
    let options = ProfileOptions { runs: 10, peaks: Some(*peaks), ..ProfileOptions::default() };
    let inputs: &[(&str, &Tensor)] = &[];
    let profile = session.profile_plan(session.first_plan(), inputs, &options)?;
    let least: f64 = profile.steps.iter().map(|step| step.time.least.as_secs_f64()).sum();
    Ok((profile.flops(), profile.bytes(), least))
}
