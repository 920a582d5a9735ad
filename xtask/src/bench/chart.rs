//! The comparison as a picture: an SVG of one bar a workload, on a logarithmic axis around 1.
//!
//! A bar begins at the line of 1, where both take the same time; it goes right if this engine is faster and left if it is slower, so
//! twice as fast and half as fast are equally long. What the bars stand for is written beside them. The picture has a background of
//! its own, and colours for light and dark surroundings of which the viewer chooses.

use std::fmt;

use super::comparison::{Comparison, Row};
use super::figures::{ratio, time};
use super::machine::Machine;

/// What is drawn.
pub(super) struct Chart<'a> {
    pub(super) comparison: &'a Comparison<'a>,
    pub(super) machine: &'a Machine,
}

/// All measures are in pixels.
const WIDTH: f64 = 920.0;
const MARGIN: f64 = 24.0;
const ROW: f64 = 26.0;
const BAR: f64 = 14.0;
/// Where the first row begins.
const TOP: f64 = 116.0;
/// What is below the last row: the axis and its captions.
const BOTTOM: f64 = 64.0;
/// Between these the bars are drawn.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 560.0;
/// The right edges of the columns of ratios, of our times and of the best peer's times; and the left edge of its name.
const RATIO_COLUMN: f64 = 624.0;
const OWN_COLUMN: f64 = 710.0;
const PEER_COLUMN: f64 = 802.0;
const NAME_COLUMN: f64 = 814.0;

/// Axes that span more decades than this have ticks at powers of ten alone.
const DECADES_WITH_STEPS: f64 = 2.0;

const STYLE: &str = "\
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; font-variant-numeric: tabular-nums }
  .title { font-size: 16px; font-weight: 600 }
  .quiet { fill: #59636e; font-size: 12px }
  .strong { font-weight: 600 }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .background { fill: #ffffff }
  .grid { stroke: #d8dee4 }
  .even { stroke: #1f2328; stroke-width: 1.5 }
  .faster { fill: #2f6fdb }
  .slower { fill: #c8641b }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .quiet { fill: #9aa4af }
    .background { fill: #0d1117 }
    .grid { stroke: #30363d }
    .even { stroke: #e6edf3 }
    .faster { fill: #6aa5f8 }
    .slower { fill: #ee9350 }
  }";

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = &self.comparison.rows;
        let axis = Axis::over(rows.iter().map(Row::ratio));
        let bottom = TOP + ROW * rows.len() as f64;
        let height = bottom + BOTTOM;
        let Machine { processor, threads, .. } = self.machine;

        writeln!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">"#)?;
        writeln!(f, "<title>The fastest other system's time over arenagrad's, by workload</title>")?;
        writeln!(f, "<style>\n{STYLE}\n</style>")?;
        writeln!(f, r#"<rect class="background" width="{WIDTH}" height="{height}"/>"#)?;
        text(f, "title", MARGIN, 34.0, "The fastest other system's time over arenagrad's")?;
        let plural = if *threads == 1 { "" } else { "s" };
        text(f, "quiet", MARGIN, 56.0, &format!("Times of a call on the CPU: {processor}, {threads} thread{plural}"))?;

        for tick in axis.ticks() {
            let x = axis.place(tick);
            line(f, if tick == 1.0 { "even" } else { "grid" }, x, TOP - 6.0, bottom)?;
            text(f, "quiet middle", x, bottom + 18.0, &format!("{tick}"))?;
        }
        text(f, "quiet end", axis.place(1.0) - 10.0, bottom + 42.0, "\u{2190} arenagrad is slower")?;
        text(f, "quiet", axis.place(1.0) + 10.0, bottom + 42.0, "arenagrad is faster \u{2192}")?;
        for (x, head) in [(RATIO_COLUMN, "ratio"), (OWN_COLUMN, "arenagrad"), (PEER_COLUMN, "fastest other")] {
            text(f, "quiet end", x, TOP - 14.0, head)?;
        }
        for (number, row) in rows.iter().enumerate() {
            write_row(f, &axis, TOP + ROW * number as f64, row)?;
        }
        writeln!(f, "</svg>")
    }
}

/// One workload: its name, its bar, and what the bar stands for.
fn write_row(f: &mut fmt::Formatter<'_>, axis: &Axis, top: f64, row: &Row<'_>) -> fmt::Result {
    let faster = row.ratio() >= 1.0;
    let (even, end) = (axis.place(1.0), axis.place(row.ratio()));
    let (x, width, y) = (even.min(end), (end - even).abs(), top + (ROW - BAR) / 2.0);
    let class = if faster { "faster" } else { "slower" };
    writeln!(f, r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}"/>"#)?;

    let base = top + ROW / 2.0 + 4.5;
    text(f, "", MARGIN, base, row.workload)?;
    text(f, "strong end", RATIO_COLUMN, base, &ratio(row.ratio()))?;
    text(f, "end", OWN_COLUMN, base, time(row.ours).trim_end())?;
    text(f, "end", PEER_COLUMN, base, time(row.best_seconds).trim_end())?;
    text(f, "quiet", NAME_COLUMN, base, row.best)
}

fn text(f: &mut fmt::Formatter<'_>, class: &str, x: f64, y: f64, content: &str) -> fmt::Result {
    // Names of peers and processors come from elsewhere.
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(f, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{content}</text>"#)
}

fn line(f: &mut fmt::Formatter<'_>, class: &str, x: f64, from: f64, to: f64) -> fmt::Result {
    writeln!(f, r#"<line class="{class}" x1="{x:.1}" y1="{from:.1}" x2="{x:.1}" y2="{to:.1}"/>"#)
}

/// A logarithmic axis with 1 on it, that begins and ends at a round number.
#[derive(Debug)]
struct Axis {
    low: f64,
    high: f64,
}

/// The round numbers of a decade.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

impl Axis {
    /// An axis that has all these ratios on it, and something on both sides of 1.
    fn over(ratios: impl Iterator<Item = f64>) -> Axis {
        let (mut low, mut high) = (0.5f64, 2.0f64);
        for ratio in ratios {
            (low, high) = (low.min(ratio), high.max(ratio));
        }
        let decade = 10f64.powi(low.log10().floor() as i32);
        let low = STEPS.into_iter().map(|step| step * decade).rfind(|&round| round <= low).unwrap_or(low);
        let decade = 10f64.powi(high.log10().floor() as i32);
        let high =
            STEPS.into_iter().chain([10.0]).map(|step| step * decade).find(|&round| round >= high).unwrap_or(high);
        Axis { low, high }
    }

    fn decades(&self) -> f64 {
        (self.high / self.low).log10()
    }

    /// Where a ratio stands.
    fn place(&self, ratio: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (ratio / self.low).log10() / self.decades()
    }

    /// The round numbers on the axis, upwards; 1 is among them.
    fn ticks(&self) -> Vec<f64> {
        let steps = if self.decades() > DECADES_WITH_STEPS { &STEPS[..1] } else { &STEPS[..] };
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let numbers = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
        numbers.filter(|number| (self.low..=self.high).contains(number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use arenagrad_benches::Phase;

    use super::super::comparison::tests::{measured, peers};
    use super::super::criterion::Place;
    use super::*;

    fn machine(processor: &str) -> Machine {
        Machine { processor: processor.to_owned(), threads: 2, adapter: None }
    }

    #[test]
    fn bars_begin_at_one_and_are_as_long_as_the_logarithm() {
        let peers = peers(&[("jax", "chain", 3e-3), ("jax", "gaussians", 8e-6), ("jax", "scalar", 64e-9)]);
        let measurements = measured(&[
            ("chain", Phase::ForwardBackward, Place::Cpu, 6e-3),
            ("gaussians", Phase::Step, Place::Cpu, 1e-6),
            ("scalar", Phase::ForwardBackward, Place::Cpu, 1e-9),
        ]);
        let comparison = Comparison::new(&measurements, &peers);
        let drawn = Chart { comparison: &comparison, machine: &machine("a processor") }.to_string();
        // The axis goes from 0.5 to 100: 7.64 doublings on 410 pixels, 53.6 each, and 1 is one of them from the left.
        let bars: Vec<&str> = drawn.lines().filter(|line| line.contains(r#"height="14""#)).collect();
        assert_eq!(
            bars,
            [
                r#"<rect class="faster" x="203.6" y="122.0" width="321.8" height="14"/>"#,
                r#"<rect class="faster" x="203.6" y="148.0" width="160.9" height="14"/>"#,
                r#"<rect class="slower" x="150.0" y="174.0" width="53.6" height="14"/>"#,
            ]
        );
        assert!(drawn.contains(r#"<line class="even" x1="203.6""#), "{drawn}");
        for label in [">64.0<", ">1.00 ns<", ">64.0 ns<", ">0.50<", ">6.00 ms<", ">3.00 ms<", ">jax<", ">chain<"] {
            assert!(drawn.contains(label), "{label} in {drawn}");
        }
    }

    #[test]
    fn names_from_elsewhere_are_escaped() {
        let peers = peers(&[("a<b>&c", "chain", 1.0)]);
        let measurements = measured(&[("chain", Phase::ForwardBackward, Place::Cpu, 1.0)]);
        let comparison = Comparison::new(&measurements, &peers);
        let drawn = Chart { comparison: &comparison, machine: &machine("P & Q") }.to_string();
        assert!(drawn.contains(">a&lt;b&gt;&amp;c<") && drawn.contains("P &amp; Q,"), "{drawn}");
    }

    #[test]
    fn axes_end_at_round_numbers_around_all_ratios() {
        for (ratios, low, high, ticks) in [
            (&[1.0][..], 0.5, 2.0, &[0.5, 1.0, 2.0][..]),
            (&[0.14, 7.0], 0.1, 10.0, &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]),
            (&[0.03, 164.0], 0.02, 200.0, &[0.1, 1.0, 10.0, 100.0]),
            (&[5.0, 0.2], 0.2, 5.0, &[0.2, 0.5, 1.0, 2.0, 5.0]),
        ] {
            let axis = Axis::over(ratios.iter().copied());
            let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-12;
            assert!(close(axis.low, low) && close(axis.high, high), "{axis:?} over {ratios:?}");
            let found = axis.ticks();
            assert!(found.len() == ticks.len(), "{found:?} over {ratios:?}");
            assert!(found.iter().zip(ticks).all(|(&a, &b)| close(a, b)), "{found:?} over {ratios:?}");
            assert!(close(axis.place(axis.low), LEFT) && close(axis.place(axis.high), RIGHT));
        }
    }
}
