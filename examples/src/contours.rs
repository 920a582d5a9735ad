//! Contour lines of a function on a grid, by marching squares: in each cell the level crosses the edges whose ends lie on
//! different sides of it, at the point where a straight line between them would.

/// A function's values on a grid, row by row from the lowest y.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The coordinates of the columns, ascending.
    pub x: Vec<f64>,
    /// The coordinates of the rows, ascending.
    pub y: Vec<f64>,
    /// A value for each row and column.
    pub values: Vec<f64>,
}

impl Grid {
    /// `count` numbers from `low` to `high`, evenly spread.
    pub fn axis(low: f64, high: f64, count: usize) -> Vec<f64> {
        (0..count).map(|i| low + (high - low) * i as f64 / (count.max(2) - 1) as f64).collect()
    }

    /// Where the function is least on the grid; none if it is nowhere finite.
    pub fn lowest(&self) -> Option<(f64, f64)> {
        let finite = self.values.iter().enumerate().filter(|(_, value)| value.is_finite());
        let (place, _) = finite.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        Some((*self.x.get(place % self.x.len())?, *self.y.get(place / self.x.len())?))
    }

    /// The pieces of the line on which the function has that value, each a pair of points.
    pub fn contour(&self, level: f64) -> Vec<[(f64, f64); 2]> {
        let mut segments = Vec::new();
        for row in 0..self.y.len().saturating_sub(1) {
            for column in 0..self.x.len().saturating_sub(1) {
                self.cell(row, column, level, &mut segments);
            }
        }
        segments
    }

    fn cell(&self, row: usize, column: usize, level: f64, segments: &mut Vec<[(f64, f64); 2]>) {
        // The corners in turn around the cell, so that neighbours share an edge.
        let corners = [(0, 0), (0, 1), (1, 1), (1, 0)].map(|(up, right)| {
            let value = self.values[(row + up) * self.x.len() + column + right];
            (self.x[column + right], self.y[row + up], value)
        });
        if corners.iter().any(|(.., value)| !value.is_finite()) {
            return;
        }
        let mut crossings = Vec::with_capacity(4);
        for edge in 0..4 {
            let ((x0, y0, a), (x1, y1, b)) = (corners[edge], corners[(edge + 1) % 4]);
            if (a < level) != (b < level) {
                let share = (level - a) / (b - a);
                crossings.push((x0 + share * (x1 - x0), y0 + share * (y1 - y0)));
            }
        }
        match crossings[..] {
            [a, b] => segments.push([a, b]),
            [a, b, c, d] => {
                // A saddle: the mean of the corners decides which pairs of edges belong together.
                let middle_is_below = corners.iter().map(|(.., value)| value).sum::<f64>() / 4.0 < level;
                let first_is_below = corners[0].2 < level;
                segments.extend(if middle_is_below == first_is_below { [[a, b], [c, d]] } else { [[a, d], [b, c]] });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(f: impl Fn(f64, f64) -> f64) -> Grid {
        let (x, y) = (Grid::axis(-2.0, 2.0, 81), Grid::axis(-2.0, 2.0, 81));
        let values = y.iter().flat_map(|y| x.iter().map(|x| f(*x, *y)).collect::<Vec<_>>()).collect();
        Grid { x, y, values }
    }

    #[test]
    fn the_contour_of_a_paraboloid_is_a_circle() {
        let segments = grid(|x, y| x * x + y * y).contour(1.0);
        let length: f64 = segments.iter().map(|[a, b]| (a.0 - b.0).hypot(a.1 - b.1)).sum();
        assert!((length - std::f64::consts::TAU).abs() < 0.01, "{length}");
        assert!(segments.iter().flatten().all(|(x, y)| (x.hypot(*y) - 1.0).abs() < 1e-3));
    }

    #[test]
    fn a_saddle_has_two_branches_that_do_not_cross() {
        let segments = grid(|x, y| x * y).contour(0.0025);
        assert!(segments.iter().all(|[a, b]| (a.0 > 0.0) == (b.0 > 0.0)), "a piece joins both branches");
    }

    #[test]
    fn nothing_is_drawn_where_there_is_nothing() {
        assert!(grid(|x, y| x + y).contour(10.0).is_empty());
        assert!(grid(|_, _| f64::NAN).contour(0.0).is_empty());
        assert_eq!(grid(|_, _| f64::NAN).lowest(), None);
    }

    #[test]
    fn the_lowest_point_is_found() {
        let (x, y) = grid(|x, y| (x - 1.0).powi(2) + (y + 0.5).powi(2)).lowest().expect("a finite value");
        assert!((x - 1.0).abs() < 1e-12 && (y + 0.5).abs() < 1e-12, "({x}, {y})");
    }
}
