//! Transforms of lengths with a large prime factor, as a convolution that transforms of another length compute (Bluestein 1970).
//!
//! With `j k = (j^2 + k^2 - (k - j)^2) / 2` the transform is `c[k] sum_j (x[j] c[j]) / c[k - j]` of the chirp `c[j] = e^(-pi i j^2 / n)`.

use crate::expr::Expr;

use super::roots::Direction;
use super::rows::Rows;

impl<'g> Rows<'g> {
    pub(super) fn transformed_by_chirp(self, direction: Direction) -> Self {
        let (n, length) = (self.length, (2 * self.length - 1).next_power_of_two());
        let chirp: Vec<(f64, f64)> = (0..n).map(|place| chirp(place, n, direction)).collect();
        let [real, imaginary] = self.complex_table(&chirp);
        let padded = self.times(real, imaginary).map(|part| part.pad([(0, 0), (0, length - n)], 0.0));
        // What is convolved with stands at the places 0, 1, .. and -1, -2, .., which come from the end.
        let mut filter = vec![(0.0, 0.0); length];
        for (place, (real, imaginary)) in chirp.iter().enumerate() {
            filter[place] = (*real, -imaginary);
            filter[(length - place) % length] = (*real, -imaginary);
        }
        let scale = 1.0 / length as f64;
        let spectrum: Vec<(f64, f64)> =
            transformed(&filter).into_iter().map(|(real, imaginary)| (real * scale, imaginary * scale)).collect();
        let [filter_real, filter_imaginary] = self.complex_table(&spectrum);
        let convolved = Rows { length, ..padded }
            .transformed(Direction::Forward)
            .times(filter_real, filter_imaginary)
            .transformed(Direction::Inverse)
            .map(|part| part.slice(-1, 0, n));
        Rows { length: n, ..convolved }.times(real, imaginary)
    }

    fn complex_table(self, numbers: &[(f64, f64)]) -> [Expr<'g>; 2] {
        let shape = [numbers.len()];
        [self.table(&shape, |number| numbers[number].0), self.table(&shape, |number| numbers[number].1)]
    }
}

/// `e^(± pi i place^2 / n)`.
fn chirp(place: usize, n: usize, direction: Direction) -> (f64, f64) {
    let (square, period) = ((place as u128).pow(2), 2 * n as u128);
    direction.root((square % period) as u64, period as u64)
}

/// The transform of constants, as many as a power of two, in f64.
fn transformed(numbers: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let length = numbers.len();
    let bits = length.trailing_zeros();
    let reversed = |place: usize| if bits == 0 { place } else { place.reverse_bits() >> (usize::BITS - bits) };
    let mut values: Vec<(f64, f64)> = (0..length).map(|place| numbers[reversed(place)]).collect();
    let mut half = 1;
    while half < length {
        let roots: Vec<(f64, f64)> =
            (0..half).map(|place| Direction::Forward.root(place as u64, 2 * half as u64)).collect();
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for ((low, high), root) in low.iter_mut().zip(high).zip(&roots) {
                let turned = (high.0 * root.0 - high.1 * root.1, high.0 * root.1 + high.1 * root.0);
                *high = (low.0 - turned.0, low.1 - turned.1);
                *low = (low.0 + turned.0, low.1 + turned.1);
            }
        }
        half *= 2;
    }
    values
}
