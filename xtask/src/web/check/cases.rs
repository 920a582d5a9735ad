//! The operators' cases in the browser, on its WebGPU and on its CPU.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Visit;

/// Fewer cases than this would say that most were not run.
const LEAST: usize = 400;
/// How many are run between two looks.
const TOGETHER: usize = 10;

/// What they run on.
pub(super) enum On {
    Cpu,
    /// The browser's adapter, with the kernels that are chosen for what it says of itself.
    Gpu,
    /// The same adapter, with the kernels of a GPU of hardware, whatever it says of itself.
    GpuAsHardware,
}

/// Runs the cases of crates/runtime/tests/oracle, which must all pass but the functions of matrices: a GPU has no kernel for them, and the
/// program of a page not their code. The page that runs them is in the folder of that name.
pub(super) fn check(visit: &mut Visit<'_>, folder: &str, on: On) -> Result<(), String> {
    visit.browser.go(&format!("http://localhost:{}/{folder}/", visit.server.port()))?;
    let open = match on {
        On::Cpu => "program.CaseDevice.openCpu()",
        On::Gpu => "program.CaseDevice.openGpu()",
        // A class that there is not is refused, which shows that the adapter is taken for what is set.
        On::GpuAsHardware => {
            "(async () => {
                program.setAdapterVariable('ARENAGRAD_ADAPTER_CLASS', 'tpu');
                const refused = await program.CaseDevice.openGpu().then(() => 'nothing', String);
                if (!refused.includes('tpu')) throw new Error(`of the class tpu is refused: ${refused}`);
                program.setAdapterVariable('ARENAGRAD_ADAPTER_CLASS', 'gpu');
                return program.CaseDevice.openGpu();
            })()"
        }
    };
    let count = visit.browser.evaluate(&format!(
        "(async () => {{
            const program = await import('./arenagrad_oracle.js');
            await program.default();
            globalThis.device = await {open};
            globalThis.lines = (await (await fetch('cases.jsonl')).text()).split('\\n').filter((line) => line.trim());
            return lines.length;
        }})()"
    ))?;
    let count = count.as_u64().unwrap_or_default() as usize;
    println!("web:   {count} cases on {}", visit.browser.evaluate("device.name")?);
    let mut passed = 0;
    let mut unsupported: BTreeMap<String, usize> = BTreeMap::new();
    let mut failed = Vec::new();
    for start in (0..count).step_by(TOGETHER) {
        let outcomes = visit.browser.evaluate(&format!(
            "(async () => {{ const outcomes = [];
                for (const line of lines.slice({start}, {start} + {TOGETHER})) outcomes.push(await device.run(line));
                return outcomes; }})()"
        ))?;
        for outcome in outcomes.as_array().into_iter().flatten().filter_map(Value::as_str) {
            match outcome.split_once(": ") {
                None if outcome == "passed" => passed += 1,
                Some(("unsupported", reason)) => *unsupported.entry(reason.to_owned()).or_default() += 1,
                Some(_) | None => failed.push(outcome.to_owned()),
            }
        }
    }
    println!("web:   {passed} passed, {} failed", failed.len());
    for (reason, count) in &unsupported {
        println!("web:   {count} were not run: {reason}");
    }
    for outcome in &failed {
        println!("web:   {outcome}");
    }
    if !failed.is_empty() {
        return Err(format!("{} of {count} cases failed", failed.len()));
    }
    if passed < LEAST {
        return Err(format!("only {passed} of {count} cases were computed"));
    }
    Ok(())
}
