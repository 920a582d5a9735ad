//! SVG files that appear whole or not at all: a picture that cannot be finished leaves the old one.

use std::path::Path;

use arenagrad::replace_file;
use plotters::coord::Shift;
use plotters::prelude::*;

/// The file at `path`, of that size, as `paint` paints it. Errors name the file.
pub(crate) fn draw(
    path: &Path,
    size: (u32, u32),
    paint: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), String>,
) -> Result<(), String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        paint(&area)?;
        area.present().map_err(|error| format!("{}: {error}", path.display()))?;
    }
    replace_file(path, text.as_bytes()).map_err(|error| error.to_string())
}
