//! What a page calls: cases as text, outcomes as text.

use arenagrad::Device;
use wasm_bindgen::prelude::*;

use crate::case::Case;
use crate::run::{Outcome, Setting, run_async};

/// Gives one of the variables `ARENAGRAD_ADAPTER_*` a value in this page, for devices that are opened afterwards.
#[wasm_bindgen(js_name = setAdapterVariable)]
pub fn set_adapter_variable(name: &str, value: &str) {
    Device::set_adapter_variable(name, value);
}

/// A device that cases run on, in every dtype that it has for floats.
#[wasm_bindgen]
pub struct CaseDevice {
    settings: Vec<Setting>,
}

#[wasm_bindgen]
impl CaseDevice {
    /// The adapter that the browser offers. Rejected, with the reason, if it offers none.
    #[wasm_bindgen(js_name = openGpu)]
    pub async fn open_gpu() -> Result<CaseDevice, JsError> {
        Ok(CaseDevice { settings: vec![Setting::on_gpu(Device::gpu_async().await?)] })
    }

    /// The CPU.
    #[wasm_bindgen(js_name = openCpu)]
    pub fn open_cpu() -> CaseDevice {
        CaseDevice { settings: Setting::on_cpu().into() }
    }

    /// What it is.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.settings.iter().map(Setting::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Runs the case of one line. Returns `passed`, `unsupported: REASON` or `failed: CASE: REASON`.
    pub async fn run(&self, line: String) -> String {
        let case = match Case::parse(&line) {
            Ok(case) => case,
            Err(reason) => return format!("failed: {reason}"),
        };
        match run_async(&case, &self.settings).await {
            Outcome::Passed | Outcome::PassedOnCpu => "passed".to_owned(),
            Outcome::Unsupported(reason) => format!("unsupported: {reason}"),
            Outcome::Failed(reason) => format!("failed: {}: {reason}", case.id),
        }
    }
}
