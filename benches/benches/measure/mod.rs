//! What the benchmarks have in common: `WORKLOAD/PHASE/DEVICE` for each phase, on the CPU and on an adapter if there is one.

use std::time::Duration;

use arenagrad::{Device, Error};
use arenagrad_benches::{Phase, Workload};
use criterion::{BenchmarkId, Criterion};

/// A call that takes longer than this is measured with fewer samples.
const SLOW: Duration = Duration::from_millis(10);

/// Times a workload. What goes wrong ends the process with a message: a benchmark that was left out would look like one
/// that was never asked for.
pub(crate) fn measure(name: &str) {
    let mut criterion = Criterion::default().configure_from_args();
    if let Err(error) = measure_phases(&mut criterion, name) {
        eprintln!("{name}: {error}");
        std::process::exit(1);
    }
    criterion.final_summary();
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
    let mut group = criterion.benchmark_group(workload.name);
    // The program is made inside, so that one which the command line filters out costs nothing. The first call compiles
    // what a device compiles; the second says how many samples there is time for.
    let id = BenchmarkId::new(phase.name(), label);
    let program = workload.program(phase, device);
    match program.and_then(|mut program| program.time(1).and_then(|_| program.time(1)).map(|call| (program, call))) {
        Err(error) => failure = Some(error),
        Ok((mut program, call)) => {
            group.sample_size(if call > SLOW { 10 } else { 30 });
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|calls| match program.time(calls) {
                    Ok(elapsed) => elapsed,
                    Err(error) => {
                        failure = Some(error);
                        // Criterion divides by what it is given.
                        Duration::from_secs(1)
                    }
                });
            });
        }
    }
    group.finish();
    failure.map_or(Ok(()), Err)
}
