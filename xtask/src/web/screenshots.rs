//! Pictures of the page: light and dark, wide and as on a phone.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::devtools::Browser;

/// Takes the pictures of the whole page as it is now, and leaves the browser as it was. Returns the files.
pub(super) fn take(browser: &mut Browser, folder: &Path, name: &str) -> Result<Vec<PathBuf>, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for scheme in ["light", "dark"] {
        for width in [1280, 390] {
            let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            browser.call("Emulation.setEmulatedMedia", json!({ "features": features }))?;
            // First as high as a window, then as high as the page is at that width.
            let mut height = 900;
            for _ in 0..2 {
                let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
                browser.call("Emulation.setDeviceMetricsOverride", size)?;
                let painted =
                    "new Promise((done) => setTimeout(() => done(document.documentElement.scrollHeight), 400))";
                height = browser.evaluate(painted)?.as_u64().unwrap_or(height);
            }
            // A page that is wider than its window would have to be pushed to and fro.
            let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
            if browser.evaluate(fits)? != serde_json::Value::Bool(true) {
                return Err(format!("the page is wider than a window of {width} pixels"));
            }
            let picture = browser.call("Page.captureScreenshot", json!({ "format": "png" }))?;
            let picture = STANDARD.decode(picture["data"].as_str().unwrap_or_default());
            let picture = picture.map_err(|error| format!("the picture cannot be read: {error}"))?;
            let file = folder.join(format!("{name}-{scheme}-{width}.png"));
            std::fs::write(&file, picture).map_err(|error| format!("{}: {error}", file.display()))?;
            files.push(file);
        }
    }
    browser.call("Emulation.setEmulatedMedia", json!({ "features": [] }))?;
    browser.call("Emulation.clearDeviceMetricsOverride", json!({}))?;
    Ok(files)
}
