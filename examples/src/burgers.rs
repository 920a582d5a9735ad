//! Burgers' equation `u_t + u u_x = viscosity u_xx` on `x` in [-1, 1] with `u(x, 0) = -sin(pi x)`: its solution, by the transform of Cole
//! and Hopf.

use std::f64::consts::PI;

/// The viscosity of the problem that physics-informed networks are commonly tried on: a front forms at `x = 0`.
pub const VISCOSITY: f64 = 0.01 / PI;

/// The solution at a place and time.
///
/// By the transform it is a quotient of two integrals over a bell curve `exp(-z^2)` times a function of period 2. Both are smooth and
/// vanish at both ends, so the sum over evenly spaced points has all digits.
pub fn solution(x: f64, t: f64) -> f64 {
    if t <= 0.0 {
        return -(PI * x).sin();
    }
    let spread = (4.0 * VISCOSITY * t).sqrt();
    let exponent = |z: f64| -(PI * (x - spread * z)).cos() / (2.0 * PI * VISCOSITY) - z * z;
    let points = || (-POINTS..=POINTS).map(|k| LIMIT * k as f64 / POINTS as f64);
    // The largest exponent is taken out, or the exponentials would overflow.
    let largest = points().map(exponent).fold(f64::NEG_INFINITY, f64::max);
    let (mut above, mut below) = (0.0, 0.0);
    for z in points() {
        let weight = (exponent(z) - largest).exp();
        above += (PI * (x - spread * z)).sin() * weight;
        below += weight;
    }
    -above / below
}

/// Beyond this many spreads the bell curve is lost beside anything that the other factor can be.
const LIMIT: f64 = 14.0;

/// Points on either side of the middle.
const POINTS: i32 = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_solves_the_equation() {
        let h = 1e-3;
        for (x, t) in [(-0.7, 0.1), (-0.3, 0.2), (0.25, 0.5), (0.6, 0.9), (0.1, 0.25)] {
            let u = solution(x, t);
            let u_t = (solution(x, t + h) - solution(x, t - h)) / (2.0 * h);
            let (left, right) = (solution(x - h, t), solution(x + h, t));
            let u_x = (right - left) / (2.0 * h);
            let u_xx = (right - 2.0 * u + left) / (h * h);
            let residual = u_t + u * u_x - VISCOSITY * u_xx;
            assert!(residual.abs() < 2e-3 * (1.0 + u_t.abs()), "{x}, {t}: {residual}");
        }
    }

    #[test]
    fn it_begins_and_ends_where_it_should() {
        for x in [-0.9, -0.2, 0.0, 0.4] {
            assert!((solution(x, 1e-9) + (PI * x).sin()).abs() < 1e-6, "{x}");
            assert!((solution(x, 0.7) + solution(-x, 0.7)).abs() < 1e-9, "{x}: it is odd");
        }
        for t in [0.1, 0.5, 1.0] {
            assert!(solution(1.0, t).abs() < 1e-9 && solution(-1.0, t).abs() < 1e-9, "{t}");
        }
    }
}
