//! The library's axes on plotters' charts.

use std::ops::Range;

use arenagrad::fit;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

/// The range of an axis and its marks.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis(pub fit::Axis);

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, coordinate: &f64, pixels: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.0.range()).map(coordinate, pixels)
    }

    /// All marks bear labels: there are no lighter ones between them.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let bold = !hint.weight().allow_light_points();
        self.0.marks().iter().filter(|_| bold).map(|(coordinate, _)| *coordinate).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.range()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, coordinate: &f64) -> String {
        let found = self.0.marks().iter().find(|(mark, _)| mark == coordinate);
        found.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}
