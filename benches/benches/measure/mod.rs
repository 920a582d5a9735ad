//! What the benchmarks have in common: `WORKLOAD/PHASE/DEVICE` for each phase, on the CPU and on an adapter if there is one.

use std::time::Duration;

use arenagrad::{Device, Error};
use arenagrad_benches::{Phase, Program, Workload};
use criterion::{BenchmarkId, Criterion};

/// Times a workload. What goes wrong ends the process with a message: a benchmark that was left out would look like one
/// that was never asked for.
pub(crate) fn measure(name: &str) {
    // Fewer samples than criterion's hundred: on a software adapter one call may take half a second.
    let defaults = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1));
    let mut criterion = defaults.measurement_time(Duration::from_secs(3)).configure_from_args();
    if let Err(error) = measure_phases(&mut criterion, name) {
        eprintln!("{name}: {error}");
        std::process::exit(1);
    }
}

fn measure_phases(criterion: &mut Criterion, name: &str) -> Result<(), Error> {
    let Some(workload) = arenagrad_benches::workload(name) else { panic!("there is no workload {name:?}") };
    let gpu = arenagrad_benches::gpu()?;
    for (label, device) in [("cpu", Some(Device::cpu())), ("gpu", gpu)] {
        let Some(device) = device else { continue };
        for &phase in workload.phases(!device.is_cpu()) {
            measure_phase(criterion, workload, phase, label, &device)?;
        }
    }
    Ok(())
}

fn measure_phase(
    criterion: &mut Criterion,
    workload: &Workload,
    phase: Phase,
    label: &str,
    device: &Device,
) -> Result<(), Error> {
    let mut failure = None;
    // Made at the first call, so that a benchmark which the command line filters out costs nothing.
    let mut ready: Option<Program> = None;
    let mut time = |calls: u64| -> Result<Duration, Error> {
        match &mut ready {
            Some(program) => program.time(calls),
            None => ready.insert(workload.program(phase, device)?).time(calls),
        }
    };
    let mut group = criterion.benchmark_group(workload.name);
    group.bench_function(BenchmarkId::new(phase.name(), label), |bencher| {
        bencher.iter_custom(|calls| {
            time(calls).unwrap_or_else(|error| {
                failure = Some(error);
                // Criterion divides by what it is given, and goes on until its time is up.
                Duration::from_secs(1)
            })
        });
    });
    group.finish();
    failure.map_or(Ok(()), Err)
}
