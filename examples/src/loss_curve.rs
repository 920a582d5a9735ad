//! Loss curves as SVG files.

use std::path::Path;

use plotters::prelude::*;

use crate::axis::Axis;

/// Draws the loss of every step and, where an epoch has several steps, its mean over each epoch. `name` is what the loss is,
/// such as cross-entropy. The scale is logarithmic, unless a loss is below 0 or none is above. The curve has a gap where a
/// loss cannot be shown: where it is not finite, or 0 on a logarithmic scale.
pub fn draw(path: &Path, title: &str, name: &str, losses: &[f64], steps_per_epoch: usize) -> Result<(), String> {
    let drawn = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if !losses.iter().any(|loss| loss.is_finite()) {
        return Err(format!("{}: there is no loss to draw", path.display()));
    }
    let finite = || losses.iter().copied().filter(|loss| loss.is_finite());
    let logarithmic = finite().all(|loss| loss >= 0.0) && finite().any(|loss| loss > 0.0);
    // The axis holds logarithms: plotters' own logarithmic scale marks no more than about twenty decades.
    let scaled = |loss: f64| if logarithmic { loss.log10() } else { loss };
    let steps: Vec<(f64, f64)> = losses.iter().enumerate().map(|(step, &loss)| (step as f64, scaled(loss))).collect();
    let mean = |(epoch, chunk): (usize, &[f64])| {
        let middle = epoch as f64 * steps_per_epoch as f64 + chunk.len() as f64 / 2.0;
        (middle, scaled(chunk.iter().sum::<f64>() / chunk.len() as f64))
    };
    let means: Vec<(f64, f64)> = losses.chunks(steps_per_epoch.max(1)).enumerate().map(mean).collect();
    let horizontal = Axis::counting(losses.len());
    let vertical =
        if logarithmic { Axis::logarithmic(finite().filter(|loss| *loss > 0.0)) } else { Axis::linear(finite()) };

    let root = SVGBackend::new(path, (800, 480)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| drawn(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(72)
        .build_cartesian_2d(horizontal.coordinates(), vertical.coordinates())
        .map_err(|error| drawn(&error))?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc(name)
        .x_label_formatter(&|step| horizontal.label(step))
        .y_label_formatter(&|loss| vertical.label(loss))
        .light_line_style(WHITE)
        .draw()
        .map_err(|error| drawn(&error))?;
    let pale = RGBColor(150, 180, 220);
    let strong = RGBColor(20, 60, 140);
    if steps_per_epoch <= 1 {
        chart.draw_series(lines(&steps, strong.stroke_width(2))).map_err(|error| drawn(&error))?;
        return root.present().map_err(|error| drawn(&error));
    }
    chart
        .draw_series(lines(&steps, pale.into()))
        .map_err(|error| drawn(&error))?
        .label("each step")
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], pale));
    chart
        .draw_series(lines(&means, strong.stroke_width(2)))
        .map_err(|error| drawn(&error))?
        .label("mean of an epoch")
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], strong.stroke_width(2)));
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .draw()
        .map_err(|error| drawn(&error))?;
    root.present().map_err(|error| drawn(&error))
}

/// The lines between neighbouring points that can be shown. One without such a neighbour is a short line of its own.
fn lines(points: &[(f64, f64)], style: ShapeStyle) -> impl Iterator<Item = PathElement<(f64, f64)>> {
    points.split(|(_, loss)| !loss.is_finite()).filter(|piece| !piece.is_empty()).map(move |piece| {
        let piece =
            if let [(step, loss)] = *piece { vec![(step - 0.2, loss), (step + 0.2, loss)] } else { piece.to_vec() };
        PathElement::new(piece, style)
    })
}
