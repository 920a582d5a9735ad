//! Ten thousand steps, after which everything takes what it took after the first ones.

use serde_json::json;

use super::Visit;

/// Steps that are done before the first look: all plans are made by then, small steps are joined, and the browser has its caches.
const BEFORE: u64 = 2_000;
const STEPS: u64 = 10_000;
/// The most that the page's objects may grow by, in bytes: what it records of each step is eight bytes in a growing list.
const OBJECTS: f64 = 2e6;
/// The most that all processes of the browser may grow by, in bytes. What a step leaves behind, were it 16 kB, would be twice that.
const PROCESSES: f64 = 64e6;

/// What is taken at one time.
struct Taken {
    program: f64,
    objects: f64,
    processes: f64,
}

/// Trains by small batches, so that ten thousand steps are soon done.
pub(super) fn check(visit: &mut Visit<'_>, device: &str) -> Result<(), String> {
    visit.open_on(device, "batch=4")?;
    let first = after(visit, BEFORE)?;
    let last = after(visit, STEPS)?;
    println!(
        "web:   from step {BEFORE} to {STEPS}: program {:.1} to {:.1} MB, objects {:.2} to {:.2} MB, processes {:.0} to {:.0} MB",
        first.program / 1e6,
        last.program / 1e6,
        first.objects / 1e6,
        last.objects / 1e6,
        first.processes / 1e6,
        last.processes / 1e6
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
    Ok(())
}

/// What is taken after so many steps, with nothing left that nobody holds.
fn after(visit: &mut Visit<'_>, steps: u64) -> Result<Taken, String> {
    visit.click("run")?;
    visit.train_until(&format!("page.losses.length >= {steps}"))?;
    visit.pause()?;
    visit.browser.call("HeapProfiler.collectGarbage", json!({}))?;
    let objects = visit.browser.call("Runtime.getHeapUsage", json!({}))?["usedSize"].as_f64().unwrap_or(f64::NAN);
    let program = visit.number("page.memoryBytes()")?;
    let own = |number: u32| -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or(0.0) * 1024.0
    };
    let processes = visit.browser.processes().into_iter().map(own).sum();
    Ok(Taken { program, objects, processes })
}
