//! Curves over the steps of a run, as one SVG picture in light and dark.
//!
//! A picture is text of lines, circles and labels that any browser shows, without a script or a file beside it. A curve of more points
//! than a picture has pixels is drawn by the least and the largest of what falls on a pixel, so a million steps make no larger file than a
//! thousand, and no peak is lost. A curve has a gap where a value cannot be shown: where it is not finite, or not above 0 on a logarithmic
//! scale.

use std::fmt::Write;
use std::path::Path;

use crate::error::Error;
use crate::file::replace_file;
use crate::train::fit::axis::Axis;
use crate::train::fit::text::escaped;

const WIDTH: f64 = 800.0;
const TITLE: f64 = 40.0;
const PANEL: f64 = 300.0;
/// Where the lines stand within a panel.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 776.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 250.0;
/// Colours of lines, told apart by most who see colours differently, and on dark ground.
const LIGHT: [&str; 6] = ["#1f5fa8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be185d"];
const DARK: [&str; 6] = ["#7db4f0", "#fb923c", "#4ade80", "#c084fc", "#facc15", "#f472b6"];

/// A picture of one or several panels beneath each other.
///
/// ```
/// use arenagrad::fit::{Curves, Panel};
///
/// let losses = [2.3, 1.1, 0.6, 0.4];
/// let panel = Panel::new("cross-entropy").logarithmic().steps("training", &losses);
/// let svg = Curves::new("digits").panel(panel).svg();
/// assert!(svg.starts_with("<svg") && svg.contains(">cross-entropy</text>"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    title: String,
    panels: Vec<Panel>,
}

/// Curves over one pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    name: String,
    over: String,
    logarithmic: bool,
    curves: Vec<Curve>,
}

#[derive(Clone, Debug, PartialEq)]
struct Curve {
    name: String,
    /// Ascending abscissas with their values.
    points: Vec<(f64, f64)>,
    /// Drawn thin and pale, behind the others, in the colour of the next curve.
    is_background: bool,
}

impl Curves {
    /// A picture of no panels yet.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Curves { title: title.into(), panels: Vec::new() }
    }

    /// With one more panel beneath.
    #[must_use]
    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// Whether there is no panel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.panels.is_empty()
    }

    /// Writes the picture to an SVG file, which appears whole or not at all.
    ///
    /// [`Error::File`] if the path cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        replace_file(path, self.svg().as_bytes())
    }

    /// The picture as the text of an SVG file, which may stand in an HTML page as it is.
    #[must_use]
    pub fn svg(&self) -> String {
        let height = TITLE + PANEL * self.panels.len() as f64;
        let title = escaped(&self.title);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"curves\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n{}",
            style()
        );
        let _ = writeln!(svg, "<rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\"/>");
        let _ =
            writeln!(svg, "<text class=\"title\" x=\"{}\" y=\"27\" text-anchor=\"middle\">{title}</text>", WIDTH / 2.0);
        for (number, panel) in self.panels.iter().enumerate() {
            let _ = writeln!(svg, "<g transform=\"translate(0 {})\">", TITLE + PANEL * number as f64);
            panel.draw(&mut svg);
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Panel {
    /// A panel whose vertical axis shows what has that name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Panel { name: name.into(), over: "step".to_owned(), logarithmic: false, curves: Vec::new() }
    }

    /// What the horizontal axis counts: `step`, unless it is said here.
    #[must_use]
    pub fn over(mut self, counted: impl Into<String>) -> Self {
        self.over = counted.into();
        self
    }

    /// With a logarithmic scale, unless a value is below 0 or none is above.
    #[must_use]
    pub fn logarithmic(mut self) -> Self {
        self.logarithmic = true;
        self
    }

    /// With a curve through points of ascending abscissas.
    #[must_use]
    pub fn curve(mut self, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        self.curves.push(Curve { name: name.into(), points, is_background: false });
        self
    }

    /// With a thin, pale curve behind the one that is added next: what its points are means of.
    #[must_use]
    pub fn background(mut self, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        self.curves.push(Curve { name: name.into(), points, is_background: true });
        self
    }

    /// With a curve of one value for each step from 0 on.
    #[must_use]
    pub fn steps(self, name: impl Into<String>, values: &[f64]) -> Self {
        let points = values.iter().enumerate().map(|(step, value)| (step as f64, *value)).collect();
        self.curve(name, points)
    }

    /// With the losses of all steps, pale, and their mean over each epoch; only the former where an epoch is one step.
    #[must_use]
    pub fn steps_and_epochs(self, losses: &[f64], steps_per_epoch: usize) -> Self {
        if steps_per_epoch <= 1 {
            return self.steps("each step", losses);
        }
        let points = losses.iter().enumerate().map(|(step, loss)| (step as f64, *loss)).collect();
        let mean = |(epoch, chunk): (usize, &[f64])| {
            let middle = epoch as f64 * steps_per_epoch as f64 + chunk.len() as f64 / 2.0;
            (middle, chunk.iter().sum::<f64>() / chunk.len() as f64)
        };
        let means = losses.chunks(steps_per_epoch).enumerate().map(mean).collect();
        self.background("each step", points).curve("mean of an epoch", means)
    }

    fn draw(&self, svg: &mut String) {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let values = || points().map(|(_, value)| *value).filter(|value| value.is_finite());
        let is_logarithmic = self.logarithmic && values().all(|x| x >= 0.0) && values().any(|x| x > 0.0);
        let scaled = |value: f64| if is_logarithmic { value.log10() } else { value };
        let vertical =
            if is_logarithmic { Axis::logarithmic(values().filter(|x| *x > 0.0)) } else { Axis::linear(values()) };
        let last = points().map(|(at, _)| *at).filter(|at| at.is_finite()).fold(0.0f64, f64::max);
        let horizontal = Axis::counting(last.ceil() as usize);
        let x = |at: f64| LEFT + (RIGHT - LEFT) * horizontal.place(at);
        let y = |at: f64| BOTTOM - (BOTTOM - TOP) * vertical.place(at);
        self.draw_axes(svg, &horizontal, &vertical);

        let mut colour = 0;
        for curve in &self.curves {
            let shown: Vec<Option<(f64, f64)>> = curve
                .points
                .iter()
                .map(|&(at, value)| {
                    let value = scaled(value);
                    (at.is_finite() && value.is_finite()).then(|| (x(at), y(value)))
                })
                .collect();
            let class = if curve.is_background { "background" } else { "curve" };
            for piece in shown.split(Option::is_none) {
                let piece: Vec<(f64, f64)> = piece.iter().flatten().copied().collect();
                draw_piece(svg, class, colour, &piece);
            }
            if !curve.is_background {
                colour = (colour + 1) % LIGHT.len();
            }
        }
        self.draw_legend(svg);
    }

    fn draw_axes(&self, svg: &mut String, horizontal: &Axis, vertical: &Axis) {
        for (at, label) in vertical.marks() {
            let y = BOTTOM - (BOTTOM - TOP) * vertical.place(*at);
            let _ = writeln!(svg, "<path class=\"mesh\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, y + 4.0);
        }
        for (at, label) in horizontal.marks() {
            let x = LEFT + (RIGHT - LEFT) * horizontal.place(*at);
            let _ = writeln!(svg, "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v5\"/>");
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", BOTTOM + 19.0);
        }
        let _ = writeln!(svg, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\"/>");
        let (over, name) = (escaped(&self.over), escaped(&self.name));
        let middle = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{over}</text>", middle.0, BOTTOM + 38.0);
        let _ = writeln!(
            svg,
            "<text transform=\"translate(20 {}) rotate(-90)\" text-anchor=\"middle\">{name}</text>",
            middle.1
        );
    }

    /// The names of the curves above the lines, from the right; none where there is one curve.
    fn draw_legend(&self, svg: &mut String) {
        if self.curves.len() < 2 {
            return;
        }
        let mut colours = Vec::with_capacity(self.curves.len());
        let mut colour = 0;
        for curve in &self.curves {
            colours.push(colour);
            if !curve.is_background {
                colour = (colour + 1) % LIGHT.len();
            }
        }
        let mut right = RIGHT;
        for (curve, colour) in self.curves.iter().zip(colours).rev() {
            let class = if curve.is_background { "background" } else { "curve" };
            let name = escaped(&curve.name);
            let _ = writeln!(svg, "<text x=\"{right:.1}\" y=\"{}\" text-anchor=\"end\">{name}</text>", TOP - 12.0);
            // The width of a text is the viewer's matter; a sans-serif letter of 13 pixels takes about 7.
            right -= 7.0 * curve.name.chars().count() as f64 + 8.0;
            let _ = writeln!(svg, "<path class=\"{class} c{colour}\" d=\"M{:.1} {}h20\"/>", right - 20.0, TOP - 16.0);
            right -= 38.0;
        }
    }
}

/// A curve without gaps; a single point is a dot.
fn draw_piece(svg: &mut String, class: &str, colour: usize, piece: &[(f64, f64)]) {
    match piece {
        [] => {}
        [(x, y)] => {
            let _ = writeln!(svg, "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
        }
        _ => {
            let points: Vec<String> = thinned(piece).iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(svg, "<polyline class=\"{class} c{colour}\" points=\"{}\"/>", points.join(" "));
        }
    }
}

/// The points themselves if they are few; else of each half pixel the first, the least, the largest and the last.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const FEW: usize = 2000;
    if points.len() <= FEW {
        return points.to_vec();
    }
    let column = |point: &(f64, f64)| (point.0 * 2.0).floor();
    let mut thinned: Vec<(f64, f64)> = Vec::new();
    for pixel in points.chunk_by(|a, b| column(a) == column(b)) {
        let by_height = |a: &usize, b: &usize| pixel[*a].1.total_cmp(&pixel[*b].1);
        let places = || 0..pixel.len();
        let mut kept =
            [0, places().min_by(by_height).unwrap_or(0), places().max_by(by_height).unwrap_or(0), pixel.len() - 1];
        kept.sort_unstable();
        for (position, place) in kept.into_iter().enumerate() {
            if position == 0 || place != kept[position - 1] {
                thinned.push(pixel[place]);
            }
        }
    }
    thinned
}

/// The picture's colours, on light ground and where the reader prefers dark.
fn style() -> String {
    let rules = |colours: &[&str; 6], ground: &str, ink: &str, mesh: &str| {
        let mut rules = format!(
            ".curves .ground{{fill:{ground}}}.curves text{{fill:{ink}}}.curves .axis{{stroke:{ink}}}.curves .mesh{{stroke:{mesh}}}"
        );
        for (number, colour) in colours.iter().enumerate() {
            let _ = write!(rules, ".curves .c{number}{{stroke:{colour}}}.curves .dot.c{number}{{fill:{colour}}}");
        }
        rules
    };
    format!(
        "<style>.curves text{{font:13px system-ui,sans-serif}}.curves .title{{font-size:18px}}.curves path,.curves polyline{{fill:none}}\
         .curves .curve{{stroke-width:2}}.curves .background{{stroke-width:1;opacity:.4}}{}\
         @media (prefers-color-scheme:dark){{{}}}</style>\n",
        rules(&LIGHT, "#ffffff", "#222222", "#e3e3e3"),
        rules(&DARK, "#16181c", "#dddddd", "#33373d"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(svg: &str) -> Vec<&str> {
        let after = svg.split("<text").skip(1).filter_map(|rest| rest.split_once('>'));
        after.filter_map(|(_, rest)| rest.split("</text>").next()).collect()
    }

    #[test]
    fn the_labels_of_a_curve_tell_its_losses_apart() {
        let losses: Vec<f64> = (0..40).map(|step| 1.9 + 0.8 * (-f64::from(step) / 10.0).exp()).collect();
        let svg = Curves::new("falling").panel(Panel::new("loss").logarithmic().steps("training", &losses)).svg();
        let texts = texts(&svg);
        for label in ["2.0", "2.2", "2.4", "2.6", "0", "5", "10", "falling", "loss", "step"] {
            assert_eq!(texts.iter().filter(|text| **text == label).count(), 1, "{label}: {texts:?}");
        }
        assert!(texts.iter().all(|text| !text.contains("e0")), "{texts:?}");
    }

    #[test]
    fn every_curve_is_drawn_within_its_panel() {
        let curves: [(&str, Vec<f64>); 10] = [
            ("none", vec![]),
            ("nothing finite", vec![f64::NAN]),
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
                let panel = Panel::new("loss").logarithmic().steps_and_epochs(&losses, steps_per_epoch);
                let svg = Curves::new(name).panel(panel.clone()).panel(Panel { logarithmic: false, ..panel }).svg();
                assert!(texts(&svg).len() >= 8, "{name}: {svg}");
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}: {svg}");
                for points in svg.split("points=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                    for point in points.split(' ') {
                        let (x, y) = point.split_once(',').unwrap();
                        let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                        assert!(
                            (LEFT..=RIGHT).contains(&x) && (TOP - 1.0..=BOTTOM + 1.0).contains(&y),
                            "{name}: {point}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_curve_breaks_where_a_value_cannot_be_shown() {
        let values = [1.0, 2.0, f64::NAN, 3.0, f64::INFINITY, 4.0, 5.0, 6.0];
        let svg = Curves::new("broken").panel(Panel::new("loss").steps("training", &values)).svg();
        assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1, "{svg}");
    }

    #[test]
    fn many_steps_make_a_small_picture_that_keeps_the_peaks() {
        let mut values: Vec<f64> = (0..300_000).map(|step| 1.0 + 0.1 * f64::from(step % 7)).collect();
        values[123_456] = 9.0;
        let svg = Curves::new("long").panel(Panel::new("loss").steps("training", &values)).svg();
        assert!(svg.len() < 120_000, "{}", svg.len());
        // The axis ends at the peak, which is at the top.
        assert!(svg.contains(&format!(",{TOP:.1} ")), "no peak");
    }

    #[test]
    fn names_are_escaped() {
        let svg = Curves::new("<a> & \"b\"").panel(Panel::new("x < y").steps("a", &[1.0]).steps("b>c", &[2.0])).svg();
        assert!(
            svg.contains(">x &lt; y</text>") && svg.contains("aria-label=\"&lt;a&gt; &amp; &quot;b&quot;\""),
            "{svg}"
        );
        assert!(svg.contains(">b&gt;c</text>"));
    }
}
