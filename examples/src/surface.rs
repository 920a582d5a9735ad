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

/// Draws paths over the contours of a loss, whose levels are spread evenly on a logarithmic scale, every other one with its
/// value, and marks the start and the least loss of the grid. Earlier paths lie over later ones.
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
    let lowest = surface.lowest();
    const LEVELS: usize = 16;
    for number in 1..LEVELS {
        let level = low * (high / low).powf(number as f64 / LEVELS as f64);
        // Deep is dark.
        let shade = 90 + (130 * number / LEVELS) as u8;
        let colour = RGBColor(shade, shade, (shade as u16 + 20).min(255) as u8);
        let segments = surface.contour(level);
        chart
            .draw_series(segments.iter().map(|ends| PathElement::new(ends.to_vec(), colour.stroke_width(1))))
            .map_err(|error| drawn(&error))?;
        if number % 2 == 0
            && let Some(place) = lowest.and_then(|lowest| label_place(surface, &segments, lowest))
        {
            let style = ("sans-serif", 11).into_font().color(&RGBColor(90, 90, 110));
            let label = EmptyElement::at(place)
                + Rectangle::new([(-14, -7), (14, 7)], WHITE.filled())
                + Text::new(rounded(level), (-12, -5), style);
            chart.draw_series(std::iter::once(label)).map_err(|error| drawn(&error))?;
        }
    }
    let coloured = || descents.iter().zip(COLOURS.iter().cycle());
    for (descent, colour) in coloured() {
        // The legend in the order of the paths, though they are drawn in the other.
        chart
            .draw_series(LineSeries::new(std::iter::empty(), colour))
            .map_err(|error| drawn(&error))?
            .label(&descent.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    for (descent, colour) in coloured().collect::<Vec<_>>().into_iter().rev() {
        chart
            .draw_series(LineSeries::new(descent.points.iter().copied(), colour.mix(0.8).stroke_width(2)))
            .map_err(|error| drawn(&error))?;
        let dots = descent.points.iter().map(|point| Circle::new(*point, 2, colour.filled()));
        chart.draw_series(dots).map_err(|error| drawn(&error))?;
    }
    chart
        .draw_series(lowest.map(|point| Cross::new(point, 6, BLACK.stroke_width(2))))
        .map_err(|error| drawn(&error))?
        .label("least loss")
        .legend(|(x, y)| Cross::new((x + 10, y), 5, BLACK.stroke_width(2)));
    let start = descents.first().and_then(|descent| descent.points.first());
    chart
        .draw_series(start.map(|point| Circle::new(*point, 6, BLACK.stroke_width(2))))
        .map_err(|error| drawn(&error))?
        .label("start")
        .legend(|(x, y)| Circle::new((x + 10, y), 5, BLACK.stroke_width(2)));
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

/// Where a contour crosses the way from the lowest point to the lower left corner, where the labels of all contours stand
/// in a row; none if it does not.
fn label_place(surface: &Grid, segments: &[[(f64, f64); 2]], lowest: (f64, f64)) -> Option<(f64, f64)> {
    let corner = (*surface.x.first()?, *surface.y.first()?);
    let width = (surface.x.last()? - corner.0, surface.y.last()? - corner.1);
    // In shares of the picture's width and height, as the eye measures.
    let from_lowest = |point: (f64, f64)| ((point.0 - lowest.0) / width.0, (point.1 - lowest.1) / width.1);
    let way = from_lowest(corner);
    let length = way.0.hypot(way.1);
    let middles = segments.iter().map(|[a, b]| ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0));
    middles
        .filter_map(|middle| {
            let point = from_lowest(middle);
            let along = (point.0 * way.0 + point.1 * way.1) / (length * length);
            let aside = (point.0 * way.1 - point.1 * way.0).abs() / length;
            (0.1..0.95).contains(&along).then_some((aside, middle))
        })
        .filter(|(aside, _)| *aside < 0.02)
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, middle)| middle)
}

/// Two digits, as a label has room for.
fn rounded(level: f64) -> String {
    match level {
        level if level.abs() >= 10.0 => format!("{level:.0}"),
        level if level.abs() >= 1.0 => format!("{level:.1}"),
        level => format!("{level:.2}"),
    }
}
