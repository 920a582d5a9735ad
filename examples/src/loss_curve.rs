//! Loss curves as SVG files.

use std::path::Path;

use plotters::prelude::*;

use crate::picture;

/// Draws the loss of every step on a logarithmic scale and, where an epoch has several steps, its mean over each epoch. `name` is
/// what the loss is, such as cross-entropy. A loss that such a scale cannot show, 0 or one that is not finite, is left out.
pub fn draw(path: &Path, title: &str, name: &str, losses: &[f64], steps_per_epoch: usize) -> Result<(), String> {
    let drawn = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let positive: Vec<(f64, f64)> = losses
        .iter()
        .enumerate()
        .filter(|(_, loss)| loss.is_finite() && **loss > 0.0)
        .map(|(step, &loss)| (step as f64, loss))
        .collect();
    let low = positive.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
    let high = positive.iter().map(|(_, loss)| *loss).fold(0.0, f64::max);
    if positive.is_empty() {
        return Err(format!("{}: there is no loss to draw", path.display()));
    }
    let means: Vec<(f64, f64)> = losses
        .chunks(steps_per_epoch.max(1))
        .enumerate()
        .map(|(epoch, chunk)| {
            let middle = epoch as f64 * steps_per_epoch as f64 + chunk.len() as f64 / 2.0;
            (middle, chunk.iter().sum::<f64>() / chunk.len() as f64)
        })
        .filter(|(_, mean)| mean.is_finite() && *mean > 0.0)
        .collect();

    // The axis holds logarithms: plotters' own logarithmic scale marks no more than about twenty decades.
    let logarithms = |points: Vec<(f64, f64)>| points.into_iter().map(|(step, loss)| (step, loss.log10()));
    picture::draw(path, (800, 480), |root| {
        root.fill(&WHITE).map_err(|error| drawn(&error))?;
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..losses.len() as f64, low.log10() - 0.1..high.log10() + 0.1)
            .map_err(|error| drawn(&error))?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc(name)
            .y_label_formatter(&|logarithm| format!("{:.0e}", 10f64.powf(*logarithm)))
            .x_label_formatter(&|step| format!("{step:.0}"))
            .light_line_style(WHITE)
            .draw()
            .map_err(|error| drawn(&error))?;
        let pale = RGBColor(150, 180, 220);
        let strong = RGBColor(20, 60, 140);
        if steps_per_epoch <= 1 {
            chart
                .draw_series(LineSeries::new(logarithms(positive), strong.stroke_width(2)))
                .map_err(|error| drawn(&error))?;
            return Ok(());
        }
        chart
            .draw_series(LineSeries::new(logarithms(positive), pale))
            .map_err(|error| drawn(&error))?
            .label("each step")
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], pale));
        chart
            .draw_series(LineSeries::new(logarithms(means), strong.stroke_width(2)))
            .map_err(|error| drawn(&error))?
            .label("mean of an epoch")
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], strong.stroke_width(2)));
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .border_style(RGBColor(200, 200, 200))
            .draw()
            .map_err(|error| drawn(&error))?;
        Ok(())
    })
}
