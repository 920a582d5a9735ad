//! Every shader of the suites, compiled by the browser: its compiler takes another WGSL than naga, and where one says that a program is
//! wrong, the other may be silent.

use std::path::PathBuf;
use std::process::Command;

use super::Visit;
use crate::web::{toolchain, workspace};

/// Fewer modules than this would say that most were not written down.
const LEAST: usize = 1_000;

/// Has the kernels' tests write their modules down beside the page, and the page's browser compile each.
pub(super) fn check(visit: &mut Visit<'_>) -> Result<(), String> {
    let kernels = workspace().join("crates/kernels/tests");
    let copied = |error: std::io::Error| format!("the modules cannot be put beside the page: {error}");
    let folder = std::path::absolute(visit.folder.join("shaders")).map_err(copied)?;
    std::fs::create_dir_all(&folder).map_err(copied)?;
    std::fs::copy(kernels.join("wgsl_in_browser.mjs"), folder.join("wgsl_in_browser.js")).map_err(copied)?;
    let page = b"<!doctype html><meta charset=\"utf-8\"><title>Shaders</title><link rel=\"icon\" href=\"data:,\">";
    std::fs::write(folder.join("index.html"), page).map_err(copied)?;
    let mut cargo = Command::new(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
    // With the features that the tests are built with elsewhere, so that nothing is built twice.
    cargo
        .current_dir(workspace())
        .args(["test", "--workspace", "--test", "all", "--", "--quiet", "every_module_keeps_what_each_page_may_have"])
        .env("ARENAGRAD_WGSL_MODULES", folder.join("modules.json"));
    toolchain::run(&mut cargo)?;
    visit.browser.go(&format!("http://localhost:{}/shaders/", visit.server.port()))?;
    // In the page's own time, for it is longer than an answer may take.
    visit.browser.evaluate(
        "globalThis.compiled = 0;
        (async () => {
            const { refusedModules } = await import('./wgsl_in_browser.js');
            const modules = await (await fetch('modules.json')).json();
            globalThis.refused = await refusedModules(modules, (count) => { globalThis.compiled = count; }, false);
        })().catch((error) => { globalThis.refused = [String(error)]; });
        0",
    )?;
    visit.browser.wait_until("globalThis.refused !== undefined", super::LONG)?;
    let compiled = visit.number("compiled")? as usize;
    let refused = visit.browser.evaluate("refused")?;
    let refused: Vec<&str> = refused.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    println!("web:   {compiled} modules compiled, {} refused", refused.len());
    for reason in refused.iter().take(20) {
        println!("web:   {reason}");
    }
    match refused.len() {
        0 if compiled >= LEAST => Ok(()),
        0 => Err(format!("only {compiled} modules were compiled")),
        count => Err(format!("{count} modules were refused")),
    }
}
