//! What a page calls: cases as text, outcomes as text.

use arenagrad::Device;
use wasm_bindgen::prelude::*;

use crate::case::Case;
use crate::run::{Outcome, Setting, run_async};

#[wasm_bindgen]
unsafe extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
}

/// Makes the console say what a panic says: without it there would be a bare trap.
#[wasm_bindgen(start)]
fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}

/// A device that cases run on.
#[wasm_bindgen]
pub struct CaseDevice {
    setting: Setting,
}

#[wasm_bindgen]
impl CaseDevice {
    /// The adapter that the browser offers. Rejected, with the reason, if it offers none.
    #[wasm_bindgen(js_name = openGpu)]
    pub async fn open_gpu() -> Result<CaseDevice, JsError> {
        Ok(CaseDevice { setting: Setting::on_gpu(Device::gpu_async().await?) })
    }

    /// The CPU, in floats of 32 bits.
    #[wasm_bindgen(js_name = openCpu)]
    pub fn open_cpu() -> CaseDevice {
        let [_, setting] = Setting::on_cpu();
        CaseDevice { setting }
    }

    /// What it is.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.setting.to_string()
    }

    /// Runs the case of one line. Returns `passed`, `unsupported: REASON` or `failed: CASE: REASON`.
    pub async fn run(&self, line: String) -> String {
        let case = match Case::parse(&line) {
            Ok(case) => case,
            Err(reason) => return format!("failed: {reason}"),
        };
        match run_async(&case, std::slice::from_ref(&self.setting)).await {
            Outcome::Passed | Outcome::PassedOnCpu => "passed".to_owned(),
            Outcome::Unsupported(reason) => format!("unsupported: {reason}"),
            Outcome::Failed(reason) => format!("failed: {}: {reason}", case.id),
        }
    }
}
