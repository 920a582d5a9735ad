//! A line search by the strong Wolfe conditions: how far to go along a direction, so that the loss falls enough and its slope has
//! become small.
//!
//! First an interval is found that has such a point in it, then it is made smaller by cubic interpolation: algorithms 3.5 and 3.6 of
//! Nocedal and Wright, with the safeguards of PyTorch's `torch.optim.lbfgs`. A loss that is infinite or NaN counts as too large.

use std::cmp::Ordering;

use crate::error::Error;
use crate::train::lbfgs::{dot, largest};

/// By which part of what the slope promises the loss must fall.
const DECREASE: f64 = 1e-4;

/// To which part of itself the slope must fall.
const CURVATURE: f64 = 0.9;

/// Below this length an interval is not made smaller.
const SHORTEST: f64 = 1e-9;

/// What was found at a point.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) loss: f64,
    pub(super) gradient: Vec<f64>,
}

/// How far the search goes.
pub(super) struct Found {
    pub(super) length: f64,
    pub(super) point: Point,
}

/// A point along the direction.
#[derive(Clone)]
struct Trial {
    length: f64,
    point: Point,
    slope: f64,
}

impl Point {
    pub(super) fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.gradient.iter().all(|element| element.is_finite())
    }
}

impl Trial {
    /// Where an interval is better: NaN never is.
    fn is_no_better_than(&self, other: &Trial) -> bool {
        !matches!(self.point.loss.partial_cmp(&other.point.loss), Some(Ordering::Less))
    }

    /// Whether the loss has fallen too little, or grown.
    fn falls_too_little(&self, start: &Trial) -> bool {
        let bound = start.point.loss + DECREASE * self.length * start.slope;
        !matches!(self.point.loss.partial_cmp(&bound), Some(Ordering::Less | Ordering::Equal))
    }

    /// Whether the slope has become small.
    fn is_flat(&self, start: &Trial) -> bool {
        self.slope.abs() <= -CURVATURE * start.slope
    }
}

/// Searches along a direction from a point, first at that length, and then at no more than `most_rounds` others: PyTorch's `max_ls`.
pub(super) fn strong_wolfe(
    start: &Point,
    direction: &[f64],
    (first, most_rounds): (f64, usize),
    evaluate: &mut dyn FnMut(f64) -> Result<Point, Error>,
) -> Result<Found, Error> {
    let start = Trial { length: 0.0, point: start.clone(), slope: dot(&start.gradient, direction) };
    let mut at = |length: f64| -> Result<Trial, Error> {
        let point = evaluate(length)?;
        let slope = dot(&point.gradient, direction);
        Ok(Trial { length, point, slope })
    };
    let (mut before, mut new) = (start.clone(), at(first)?);
    let mut rounds = 0;
    // An interval that has such a point in it.
    let mut bracket = loop {
        if rounds == most_rounds {
            break [start.clone(), new];
        }
        if new.falls_too_little(&start) || (rounds > 1 && new.is_no_better_than(&before)) {
            break [before, new];
        }
        if new.is_flat(&start) {
            return Ok(Found { length: new.length, point: new.point });
        }
        if new.slope >= 0.0 {
            break [before, new];
        }
        let bounds = (new.length + 0.01 * (new.length - before.length), new.length * 10.0);
        let length = interpolate(&before, &new, bounds);
        before = std::mem::replace(&mut new, at(length)?);
        rounds += 1;
    };
    let size = largest(direction);
    let mut stuck = false;
    let mut low = lower(&bracket);
    while rounds < most_rounds {
        let (least, most) = ordered(bracket[0].length, bracket[1].length);
        if (most - least) * size < SHORTEST {
            break;
        }
        let mut length = interpolate(&bracket[0], &bracket[1], (least, most));
        // Next to an end of the interval little is gained: the second time in a row, or at the end itself, it is moved inwards.
        let margin = 0.1 * (most - least);
        if (most - length).min(length - least) < margin {
            if stuck || length >= most || length <= least {
                length = if (length - most).abs() < (length - least).abs() { most - margin } else { least + margin };
                stuck = false;
            } else {
                stuck = true;
            }
        } else {
            stuck = false;
        }
        let new = at(length)?;
        rounds += 1;
        let high = 1 - low;
        if new.falls_too_little(&start) || new.is_no_better_than(&bracket[low]) {
            bracket[high] = new;
            low = lower(&bracket);
        } else {
            let is_done = new.is_flat(&start);
            if !is_done && new.slope * (bracket[high].length - bracket[low].length) >= 0.0 {
                bracket[high] = bracket[low].clone();
            }
            bracket[low] = new;
            if is_done {
                break;
            }
        }
    }
    let [first, second] = bracket;
    let found = if low == 0 { first } else { second };
    Ok(Found { length: found.length, point: found.point })
}

/// The place of the lower end: the first, unless the second is below it. A loss that is no number is never the lower.
fn lower(bracket: &[Trial; 2]) -> usize {
    let [first, second] = bracket.each_ref().map(|end| end.point.loss);
    usize::from(second < first || first.is_nan())
}

/// Where the cubic polynomial through two points with their slopes is least, within bounds, be it at infinity; the middle of them where it
/// has no least.
fn interpolate(first: &Trial, second: &Trial, (least, most): (f64, f64)) -> f64 {
    let (a, b) = if first.length <= second.length { (first, second) } else { (second, first) };
    let rise = a.slope + b.slope - 3.0 * (a.point.loss - b.point.loss) / (a.length - b.length);
    let square = rise * rise - a.slope * b.slope;
    let root = square.sqrt();
    let place = b.length - (b.length - a.length) * ((b.slope + root - rise) / (b.slope - a.slope + 2.0 * root));
    if square >= 0.0 && !place.is_nan() { place.max(least).min(most) } else { (least + most) / 2.0 }
}

fn ordered(a: f64, b: f64) -> (f64, f64) {
    if a <= b { (a, b) } else { (b, a) }
}
