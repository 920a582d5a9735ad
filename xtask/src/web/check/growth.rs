//! Ten thousand steps, after which everything takes what it took after the first ones.

use std::time::Duration;

use serde_json::json;

use super::Visit;

/// Steps that are done before the first look: all plans are made by then, small steps are joined, and the browser has its caches.
const BEFORE: u64 = 2_000;
/// A look on the way, so that what still settles is told from what grows with every step.
const BETWEEN: u64 = 6_000;
const STEPS: u64 = 10_000;
/// How long the steps between two looks may take: a GPU in software does about nine and a half a second.
const PATIENCE: Duration = Duration::from_secs(3_000);
/// The most that the page's objects may grow by, in bytes: what it records of each step is eight bytes in a growing list.
const OBJECTS: f64 = 2e6;
/// The most that all processes of the browser may grow by, in bytes. What a step leaves behind, were it 16 kB, would be twice that.
const PROCESSES: f64 = 64e6;
/// The most that all processes may grow by in the second half beyond what they have in the first, in bytes: what settles grows less and less, and
/// collections of garbage come when they will. What grows alike in both is held by [`PROCESSES`].
const SLACK: f64 = 16e6;

/// What is taken at one time.
struct Taken {
    program: f64,
    objects: f64,
    processes: f64,
}

/// Trains by small batches, so that ten thousand steps are soon done.
pub(super) fn check(visit: &mut Visit<'_>, device: &str) -> Result<(), String> {
    visit.open_on(device, "batch=4")?;
    let (first, between, last) = (after(visit, BEFORE)?, after(visit, BETWEEN)?, after(visit, STEPS)?);
    let shown =
        |of: fn(&Taken) -> f64| [&first, &between, &last].map(|taken| format!("{:.1}", of(taken) / 1e6)).join(", ");
    println!(
        "web:   MB after {BEFORE}, {BETWEEN} and {STEPS} steps: program {}; objects {}; processes {}",
        shown(|taken| taken.program),
        shown(|taken| taken.objects),
        shown(|taken| taken.processes)
    );
    if last.program > first.program {
        return Err(format!("the program's memory grew from {} to {} bytes", first.program, last.program));
    }
    if last.objects - first.objects > OBJECTS {
        return Err(format!("the page's objects grew from {} to {} bytes", first.objects, last.objects));
    }
    if last.processes - first.processes > PROCESSES {
        return Err(format!("the browser grew from {} to {} bytes", first.processes, last.processes));
    }
    let (early, late) = (between.processes - first.processes, last.processes - between.processes);
    if late > early.max(0.0) + SLACK {
        return Err(format!("the browser grew by {early} bytes up to step {BETWEEN}, and by {late} behind it"));
    }
    Ok(())
}

/// What is taken after so many steps, with nothing left that nobody holds.
fn after(visit: &mut Visit<'_>, steps: u64) -> Result<Taken, String> {
    visit.click("run")?;
    visit.train_until_within(&format!("page.losses.length >= {steps}"), PATIENCE)?;
    visit.pause()?;
    visit.browser.call("HeapProfiler.collectGarbage", json!({}))?;
    let objects = visit.browser.call("Runtime.getHeapUsage", json!({}))?["usedSize"].as_f64().unwrap_or(f64::NAN);
    let program = visit.number("page.memoryBytes()")?;
    let own = |number: u32| -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        // What is shared is counted too: a GPU in software has its buffers there, and pages what they tell it.
        let part = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
        };
        (part("RssAnon:") + part("RssShmem:")) * 1024.0
    };
    let processes = visit.browser.processes().into_iter().map(own).sum();
    Ok(Taken { program, objects, processes })
}
