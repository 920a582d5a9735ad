//! Loss curves as SVG files.

use std::path::Path;

use plotters::prelude::*;

use crate::axis::Axis;
use crate::picture;

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

    picture::draw(path, (800, 480), |root| {
        root.fill(&WHITE).map_err(|error| drawn(&error))?;
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(72)
            .build_cartesian_2d(horizontal, vertical)
            .map_err(|error| drawn(&error))?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc(name)
            .light_line_style(WHITE)
            .draw()
            .map_err(|error| drawn(&error))?;
        let pale = RGBColor(150, 180, 220);
        let strong = RGBColor(20, 60, 140);
        if steps_per_epoch <= 1 {
            chart.draw_series(lines(&steps, strong.stroke_width(2))).map_err(|error| drawn(&error))?;
            return Ok(());
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
        Ok(())
    })
}

/// The lines between neighbouring points that can be shown. One without such a neighbour is a short line of its own.
fn lines(points: &[(f64, f64)], style: ShapeStyle) -> impl Iterator<Item = PathElement<(f64, f64)>> {
    points.split(|(_, loss)| !loss.is_finite()).filter(|piece| !piece.is_empty()).map(move |piece| {
        let piece =
            if let [(step, loss)] = *piece { vec![(step - 0.2, loss), (step + 0.2, loss)] } else { piece.to_vec() };
        PathElement::new(piece, style)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a curve's picture, in the order in which they are drawn.
    fn texts(name: &str, losses: &[f64], steps_per_epoch: usize) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("arenagrad-loss-curve-{}-{name}.svg", std::process::id()));
        draw(&path, name, "loss", losses, steps_per_epoch).unwrap();
        let picture = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<&str> = picture.lines().collect();
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        // plotters writes a text on the line after its element.
        lines.windows(2).filter(|pair| pair[0].starts_with("<text")).map(|pair| pair[1].to_owned()).collect()
    }

    #[test]
    fn the_labels_of_a_curve_tell_its_losses_apart() {
        let losses: Vec<f64> = (0..40).map(|step| 1.9 + 0.8 * (-f64::from(step) / 10.0).exp()).collect();
        let texts = texts("falling", &losses, 1);
        for label in ["2.0", "2.2", "2.4", "2.6", "0", "5", "10", "40", "loss", "step"] {
            assert_eq!(texts.iter().filter(|text| *text == label).count(), 1, "{label}: {texts:?}");
        }
        assert!(texts.iter().all(|text| !text.contains("e0")), "{texts:?}");
    }

    #[test]
    fn every_curve_with_a_finite_loss_is_drawn() {
        let curves: [(&str, Vec<f64>); 8] = [
            ("one", vec![0.5]),
            ("constant", vec![3.0; 10]),
            ("zero", vec![0.0; 4]),
            ("negative", vec![-1.0, 2.0, -3.0]),
            ("holes", vec![f64::NAN, 1.0, f64::INFINITY, 0.5, 0.25, f64::NAN]),
            ("zeros among", vec![1.0, 0.0, 1e-3]),
            ("tiny", vec![5e-324, 1e-310, 1e-300]),
            ("large", vec![f64::MAX, 1e300, 1.0]),
        ];
        for (name, losses) in curves {
            for steps_per_epoch in [0, 1, 2, usize::MAX] {
                let texts = texts(name, &losses, steps_per_epoch);
                assert!(texts.len() >= 6, "{name}: {texts:?}");
                assert!(texts.iter().all(|text| text.len() <= 20), "{name}: {texts:?}");
            }
        }
        let path = std::env::temp_dir().join("never-drawn.svg");
        assert!(draw(&path, "none", "loss", &[f64::NAN], 1).unwrap_err().contains("no loss"));
        assert!(draw(&path, "none", "loss", &[], 1).is_err());
    }
}
