//! Pictures of descents: paths over the contours of a loss, and a curve through its data.

use std::ops::Range;
use std::path::Path;

use arenagrad::fit::{self, distinct_labels};
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;

use crate::axis::Axis;
use crate::contours::Grid;
use crate::picture;

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
/// value, and marks the start and the least loss of the grid. Earlier paths lie over later ones. What
/// lies outside the grid is not drawn, so that a descent that diverges leaves the picture.
pub fn draw_descents(
    path: &Path,
    title: &str,
    axes: [&str; 2],
    surface: &Grid,
    descents: &[Descent],
) -> Result<(), String> {
    let drawn = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let [horizontal, vertical] = [&surface.x, &surface.y].map(|axis| Axis(fit::Axis::linear(axis.iter().copied())));
    picture::draw(path, (800, 640), |root| {
        root.fill(&WHITE).map_err(|error| drawn(&error))?;
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(horizontal.clone(), vertical.clone())
            .map_err(|error| drawn(&error))?;
        chart.configure_mesh().x_desc(axes[0]).y_desc(axes[1]).disable_mesh().draw().map_err(|error| drawn(&error))?;
        let finite = || surface.values.iter().copied().filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(0.0, f64::max));
        let lowest = surface.lowest();
        const LEVELS: usize = 16;
        let levels: Vec<f64> =
            (1..LEVELS).map(|number| low * (high / low).powf(number as f64 / LEVELS as f64)).collect();
        for ((number, level), label) in (1..LEVELS).zip(&levels).zip(distinct_labels(&levels)) {
            // Deep is dark.
            let shade = 90 + (130 * number / LEVELS) as u8;
            let colour = RGBColor(shade, shade, (shade as u16 + 20).min(255) as u8);
            let segments = surface.contour(*level);
            chart
                .draw_series(segments.iter().map(|ends| PathElement::new(ends.to_vec(), colour.stroke_width(1))))
                .map_err(|error| drawn(&error))?;
            if number % 2 == 0
                && let Some(place) = lowest.and_then(|lowest| label_place(surface, &segments, lowest))
            {
                let style = ("sans-serif", 11).into_font().color(&RGBColor(90, 90, 110));
                let half = 3 * label.len() as i32;
                let label = EmptyElement::at(place)
                    + Rectangle::new([(-half - 2, -7), (half + 2, 7)], WHITE.filled())
                    + Text::new(label, (-half, -5), style);
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
            let pieces = inside(&descent.points, horizontal.range(), vertical.range());
            let style = colour.mix(0.8).stroke_width(2);
            chart
                .draw_series(pieces.iter().map(|piece| PathElement::new(piece.clone(), style)))
                .map_err(|error| drawn(&error))?;
            let (x, y) = (horizontal.range(), vertical.range());
            let visible = descent.points.iter().filter(|point| x.contains(&point.0) && y.contains(&point.1));
            let dots = visible.map(|point| Circle::new(*point, 2, colour.filled()));
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
        Ok(())
    })
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
    let axis = |value: fn(&(f64, f64)) -> f64| {
        let finite = || points.iter().map(value).filter(|number| number.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let margin = 0.06 * (high - low);
        Axis(fit::Axis::linear([low - margin, high + margin]))
    };
    let (horizontal, vertical) = (axis(|point| point.0), axis(|point| point.1));
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
        Ok(())
    })
}

/// The pieces of a path that lie in a rectangle, cut at its border. Points that are no numbers end a piece.
fn inside(points: &[(f64, f64)], x: Range<f64>, y: Range<f64>) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut continues = false;
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        // The shares of the way at which it enters and leaves: Liang and Barsky 1984. One that is not finite is not entered.
        let (mut enter, mut leave) = (0.0f64, 1.0f64);
        let borders = [(-dx, from.0 - x.start), (dx, x.end - from.0), (-dy, from.1 - y.start), (dy, y.end - from.1)];
        for (outward, distance) in borders {
            if outward < 0.0 {
                enter = enter.max(distance / outward);
            } else if outward > 0.0 {
                leave = leave.min(distance / outward);
            } else if outward.is_nan() || distance < 0.0 {
                leave = f64::NEG_INFINITY;
            }
        }
        let seen = enter <= leave && dx.is_finite() && dy.is_finite();
        if seen {
            let at = |share: f64| (from.0 + share * dx, from.1 + share * dy);
            match pieces.last_mut() {
                Some(piece) if continues => piece.push(at(leave)),
                Some(_) | None => pieces.push(vec![at(enter), at(leave)]),
            }
        }
        continues = seen && leave == 1.0;
    }
    pieces
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_at_the_border() {
        let cut = |points: &[(f64, f64)]| inside(points, 0.0..2.0, 0.0..1.0);
        assert_eq!(cut(&[(0.5, 0.5), (1.0, 0.5), (1.5, 0.75)]), [[(0.5, 0.5), (1.0, 0.5), (1.5, 0.75)]]);
        assert_eq!(cut(&[(1.0, 0.5), (3.0, 0.5), (1.0, 0.5)]), [[(1.0, 0.5), (2.0, 0.5)], [(2.0, 0.5), (1.0, 0.5)]]);
        assert_eq!(cut(&[(-1.0, 0.5), (3.0, 0.5)]), [[(0.0, 0.5), (2.0, 0.5)]]);
        assert!(cut(&[(-1.0, 2.0), (3.0, 2.0)]).is_empty());
        assert!(cut(&[(0.5, 0.5)]).is_empty());
    }

    #[test]
    fn a_path_that_diverges_leaves_the_picture() {
        let far = [(1.0, 0.5), (1e200, 0.5), (-f64::INFINITY, 1e300), (f64::NAN, f64::NAN), (1.0, f64::NAN)];
        assert_eq!(inside(&far, 0.0..2.0, 0.0..1.0), [[(1.0, 0.5), (2.0, 0.5)]]);
    }
}
