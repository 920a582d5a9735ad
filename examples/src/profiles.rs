//! Curves with points on them as SVG files: what should come out, and what did.

use std::path::Path;

use arenagrad::fit;
use plotters::prelude::*;

use crate::axis::Axis;
use crate::picture;

/// A curve, and points that should lie on it.
pub struct Profile {
    /// What stands beside it in the legend.
    pub name: String,
    /// The curve, from left to right.
    pub curve: Vec<(f64, f64)>,
    /// The points.
    pub points: Vec<(f64, f64)>,
}

/// Draws profiles in a colour each: the curves as lines, and the points as circles.
pub fn draw(path: &Path, title: &str, axes: [&str; 2], profiles: &[Profile]) -> Result<(), String> {
    let drawn = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let all = || profiles.iter().flat_map(|profile| profile.curve.iter().chain(&profile.points));
    let vertical = all().map(|point| point.1).filter(|height| height.is_finite()).map(|height| height * 1.05);
    let (horizontal, vertical) =
        (Axis(fit::Axis::linear(all().map(|point| point.0))), Axis(fit::Axis::linear(vertical)));
    picture::draw(path, (800, 480), |root| {
        root.fill(&WHITE).map_err(|error| drawn(&error))?;
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(horizontal, vertical)
            .map_err(|error| drawn(&error))?;
        chart
            .configure_mesh()
            .x_desc(axes[0])
            .y_desc(axes[1])
            .light_line_style(WHITE)
            .draw()
            .map_err(|error| drawn(&error))?;
        for (number, profile) in profiles.iter().enumerate() {
            // From blue to red.
            let share = number as f64 / (profiles.len().max(2) - 1) as f64;
            let colour = HSLColor(0.6 * (1.0 - share), 0.75, 0.42).to_rgba();
            chart
                .draw_series(LineSeries::new(profile.curve.iter().copied(), colour.stroke_width(2)))
                .map_err(|error| drawn(&error))?
                .label(&profile.name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], colour.stroke_width(2)));
            let seen = profile.points.iter().filter(|point| point.0.is_finite() && point.1.is_finite());
            chart
                .draw_series(seen.map(|point| Circle::new(*point, 3, colour.stroke_width(1))))
                .map_err(|error| drawn(&error))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE)
            .border_style(RGBColor(200, 200, 200))
            .draw()
            .map_err(|error| drawn(&error))?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_drawn_with_their_names() {
        let path = std::env::temp_dir().join(format!("arenagrad-profiles-{}.svg", std::process::id()));
        let profile = |name: &str, height: f64| Profile {
            name: name.to_owned(),
            curve: vec![(0.0, 0.0), (1.0, height)],
            points: vec![(0.5, height / 2.0), (0.75, f64::NAN)],
        };
        draw(&path, "heights", ["place", "height"], &[profile("low", 1.0), profile("high", 2.0)]).unwrap();
        let picture = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for text in ["heights", "place", "height", "low", "high"] {
            assert!(picture.lines().any(|line| line == text), "{text}");
        }
        assert_eq!(picture.matches("<circle").count(), 2, "a point that is no number is left out");
        assert!(!picture.contains("NaN"));
    }
}
