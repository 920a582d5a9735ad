//! Pictures of descents: paths over the contours of a loss, and a curve through its data.

use std::path::Path;

use plotters::prelude::*;

use crate::contours::Grid;

/// A path over a loss surface.
#[derive(Clone, Debug)]
pub struct Descent {
    /// What the legend says of it.
    pub name: String,
    /// The points that it went through, from its start on.
    pub points: Vec<(f64, f64)>,
}

const COLOURS: [RGBColor; 4] =
    [RGBColor(200, 50, 40), RGBColor(30, 110, 190), RGBColor(40, 140, 70), RGBColor(150, 80, 170)];

/// Draws paths over the contours of a loss, whose levels are spread evenly on a logarithmic scale.
pub fn draw_descents(
    path: &Path,
    title: &str,
    axes: [&str; 2],
    surface: &Grid,
    descents: &[Descent],
) -> Result<(), String> {
    let drawn = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let ends = |axis: &[f64]| axis.first().copied().unwrap_or(0.0)..axis.last().copied().unwrap_or(1.0);
    let root = SVGBackend::new(path, (800, 640)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| drawn(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(ends(&surface.x), ends(&surface.y))
        .map_err(|error| drawn(&error))?;
    chart.configure_mesh().x_desc(axes[0]).y_desc(axes[1]).disable_mesh().draw().map_err(|error| drawn(&error))?;
    let finite = || surface.values.iter().copied().filter(|value| value.is_finite() && *value > 0.0);
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(0.0, f64::max));
    const LEVELS: usize = 16;
    for number in 1..LEVELS {
        let level = low * (high / low).powf(number as f64 / LEVELS as f64);
        // Deep is dark.
        let shade = 90 + (130 * number / LEVELS) as u8;
        let style = RGBColor(shade, shade, (shade as u16 + 20).min(255) as u8).stroke_width(1);
        let segments = surface.contour(level);
        chart
            .draw_series(segments.iter().map(|ends| PathElement::new(ends.to_vec(), style)))
            .map_err(|error| drawn(&error))?;
    }
    for (descent, colour) in descents.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(descent.points.iter().copied(), colour.stroke_width(2)))
            .map_err(|error| drawn(&error))?
            .label(&descent.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], colour.stroke_width(2)));
        let dots = descent.points.iter().map(|point| Circle::new(*point, 2, colour.filled()));
        chart.draw_series(dots).map_err(|error| drawn(&error))?;
    }
    let start = descents.first().and_then(|descent| descent.points.first());
    chart
        .draw_series(start.map(|point| Circle::new(*point, 6, BLACK.stroke_width(2))))
        .map_err(|error| drawn(&error))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .draw()
        .map_err(|error| drawn(&error))?;
    root.present().map_err(|error| drawn(&error))
}

/// Draws points, and named curves through them.
pub fn draw_fit(
    path: &Path,
    title: &str,
    axes: [&str; 2],
    points: &[(f64, f64)],
    curves: &[Descent],
) -> Result<(), String> {
    let drawn = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let span = |value: fn(&(f64, f64)) -> f64| {
        let low = points.iter().map(value).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
        let margin = 0.06 * (high - low);
        low - margin..high + margin
    };
    let root = SVGBackend::new(path, (800, 480)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| drawn(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(span(|point| point.0), span(|point| point.1))
        .map_err(|error| drawn(&error))?;
    chart
        .configure_mesh()
        .x_desc(axes[0])
        .y_desc(axes[1])
        .light_line_style(WHITE)
        .draw()
        .map_err(|error| drawn(&error))?;
    for (curve, colour) in curves.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)))
            .map_err(|error| drawn(&error))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .draw_series(points.iter().map(|point| Circle::new(*point, 3, BLACK.stroke_width(1))))
        .map_err(|error| drawn(&error))?
        .label("measured")
        .legend(|(x, y)| Circle::new((x + 10, y), 3, BLACK.stroke_width(1)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .draw()
        .map_err(|error| drawn(&error))?;
    root.present().map_err(|error| drawn(&error))
}
