//! Matrix products whose rows, columns, depth and batches are several axes each, with a naive reference.

#![allow(dead_code)] // Each test file uses a part.

pub(crate) mod convolutions;

use arenagrad_kernels::{Axes, Axis, Matrices, ProductExtents};

use super::view_cases::random::Dice;

/// Two operands, named.
pub(crate) struct Product {
    pub(crate) name: String,
    pub(crate) lhs: Matrices,
    pub(crate) rhs: Matrices,
}

/// The products of the elements of both operands, and those of their absolute values.
pub(crate) fn products(lhs: &Matrices, rhs: &Matrices, operands: &[Vec<f64>; 2]) -> (Vec<f64>, Vec<f64>) {
    let ProductExtents { batches, m, k, n } = ProductExtents::new(lhs, rhs);
    let [left, right] = operands;
    // Where each row, column and depth stands, once.
    let distances = |axes: &Axes| (0..axes.count()).map(|index| axes.distance(index)).collect::<Vec<isize>>();
    let [rows, left_depth, right_depth, columns] = [&lhs.rows, &lhs.columns, &rhs.rows, &rhs.columns].map(distances);
    let (mut product, mut magnitude) = (Vec::with_capacity(batches * m * n), Vec::with_capacity(batches * m * n));
    for batch in 0..batches {
        let (left_start, right_start) = (lhs.start(batch), rhs.start(batch));
        for &row in &rows {
            for &column in &columns {
                let (mut sum, mut sum_of_magnitudes) = (0.0, 0.0);
                for p in 0..k {
                    let a = left[left_start.wrapping_add_signed(row + left_depth[p])];
                    let b = right[right_start.wrapping_add_signed(column + right_depth[p])];
                    sum += a * b;
                    sum_of_magnitudes += (a * b).abs();
                }
                product.push(sum);
                magnitude.push(sum_of_magnitudes);
            }
        }
    }
    (product, magnitude)
}

/// In which order the axes of an operand stand in its buffer, and which of them are walked from the end.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// As the operand has them.
    AsGiven,
    /// The last axis outermost.
    Reversed,
    /// Every second axis, and then the others.
    Interleaved,
    /// As the operand has them, every second one from its end.
    Flipped,
    /// The last axis outermost, all of them from their ends.
    AllFlipped,
}

const ORDERS: [Order; 5] = [Order::AsGiven, Order::Reversed, Order::Interleaved, Order::Flipped, Order::AllFlipped];

/// An operand whose axes are those of `groups`: batch, rows and columns. Batch axes in `repeated` stand nowhere.
fn operand(groups: [&[usize]; 3], order: Order, repeated: &[usize], padding: usize) -> Matrices {
    let extents: Vec<usize> = groups.concat();
    let count = extents.len();
    let places: Vec<usize> = match order {
        Order::AsGiven | Order::Flipped => (0..count).collect(),
        Order::Reversed | Order::AllFlipped => (0..count).rev().collect(),
        Order::Interleaved => (0..count).step_by(2).chain((1..count).step_by(2)).collect(),
    };
    let mut axes: Vec<Axis> = extents.iter().map(|&extent| Axis { extent, stride: 0 }).collect();
    let (mut stride, mut offset) = (1, padding);
    for &place in places.iter().rev().filter(|place| !repeated.contains(place)) {
        let is_flipped = match order {
            Order::AsGiven | Order::Reversed | Order::Interleaved => false,
            Order::Flipped => place % 2 == 1,
            Order::AllFlipped => true,
        };
        axes[place].stride = if is_flipped { -(stride as isize) } else { stride as isize };
        offset += if is_flipped { (extents[place] - 1) * stride } else { 0 };
        stride = stride * extents[place] + padding;
    }
    let mut rest = axes.into_iter();
    let [batch, rows, columns] = groups.map(|group| Axes::new(rest.by_ref().take(group.len())));
    Matrices { offset, batch, rows, columns }
}

/// Products of every kind: axes in each group, in any order, flipped, repeated, of extent 1, or none.
pub(crate) fn tables() -> Vec<Product> {
    let groups: [[&[usize]; 4]; 12] = [
        [&[], &[2, 3], &[2, 4], &[3, 2]],
        [&[2, 3], &[4, 5], &[3, 4], &[2, 7]],
        [&[3], &[5, 1, 3], &[4, 4], &[4, 8]],
        [&[], &[], &[3, 5], &[4, 9]],
        [&[2], &[6, 6], &[5, 3], &[]],
        [&[4], &[], &[7, 6], &[]],
        [&[], &[3, 7], &[], &[5, 3]],
        [&[], &[5, 13], &[7, 43], &[3, 23]],
        [&[2], &[9, 17], &[3, 100], &[5, 26]],
        [&[], &[12, 8], &[4, 8, 4], &[16, 12]],
        [&[1, 2], &[1, 33], &[1, 70], &[35, 2]],
        [&[5], &[3], &[8, 20], &[10, 10]],
    ];
    let mut all = Vec::new();
    for [batch, m, k, n] in groups {
        for (number, left) in ORDERS.into_iter().enumerate() {
            let right = ORDERS[(number * 3 + batch.len() + m.len()) % ORDERS.len()];
            let work: usize = [batch, m, k, n].concat().iter().product();
            for padding in [0, 3] {
                // Two of the large ones are enough, for the naive sum takes its time.
                if work > 1 << 18 && (padding, number) != (0, 2) && (padding, number) != (3, 3) {
                    continue;
                }
                // The first batch axis is repeated in one operand, and the second in the other.
                let repeats: &[[&[usize]; 2]] =
                    if batch.is_empty() { &[[&[], &[]]] } else { &[[&[], &[]], [&[0], &[1]]] };
                for [repeated_left, repeated_right] in repeats {
                    let within = |repeated: &[usize]| {
                        repeated.iter().copied().filter(|&axis| axis < batch.len()).collect::<Vec<usize>>()
                    };
                    all.push(Product {
                        name: format!("{batch:?} {m:?} x {k:?} x {n:?} {left:?} {right:?} {padding} {repeated_left:?}"),
                        lhs: operand([batch, m, k], left, &within(repeated_left), padding),
                        rhs: operand([batch, k, n], right, &within(repeated_right), padding),
                    });
                }
            }
        }
    }
    all
}

/// Products of windows that slide over a sequence of `channels`, with steps and dilations: as rows and depth of lhs, or as depth and
/// columns of rhs, the depth by channels and offsets in either order.
pub(crate) fn sliding() -> Vec<Product> {
    let mut all = Vec::new();
    for (channels, count, window, step, dilation, others) in [
        (1, 12, 3, 1, 1, 4),
        (3, 40, 5, 1, 1, 7),
        (3, 33, 4, 2, 1, 16),
        (4, 31, 3, 1, 2, 33),
        (8, 64, 8, 1, 1, 20),
        (2, 100, 7, 3, 2, 3),
        (16, 50, 2, 2, 3, 40),
        (5, 70, 1, 1, 1, 9),
        (5, 1, 9, 1, 1, 9),
    ] {
        let length = (count - 1) * step + (window - 1) * dilation + 1;
        let depth = channels * window;
        for is_flipped in [false, true] {
            for by_channels in [true, false] {
                let sign = if is_flipped { -1 } else { 1 };
                let of_channels = Axis { extent: channels, stride: length as isize };
                let of_window = Axis { extent: window, stride: sign * dilation as isize };
                let along = Axes::new(if by_channels { [of_channels, of_window] } else { [of_window, of_channels] });
                let windows = Matrices {
                    offset: if is_flipped { length - 1 } else { 0 },
                    batch: Axes::new([]),
                    rows: Axes::strided(count, sign * step as isize),
                    columns: along,
                };
                let weights = Matrices::single(2, Axes::strided(depth, others as isize), Axes::strided(others, 1));
                let name = format!(
                    "windows {channels}x{count} of {window} by {step} and {dilation}, {others} {is_flipped} {by_channels}"
                );
                let (lhs, rhs) = (weights.clone().transposed(), windows.clone().transposed());
                all.push(Product { name: format!("{name} right"), lhs, rhs });
                all.push(Product { name: format!("{name} left"), lhs: windows, rhs: weights });
            }
        }
    }
    all
}

/// Products of operands whose axes are made at random.
pub(crate) fn at_random(seed: u64, count: usize) -> Vec<Product> {
    let mut dice = Dice::new(seed);
    let mut axes = |count: usize| dice.axes(count);
    let mut sizes = Dice::new(seed + 1000);
    (0..count)
        .map(|number| {
            let batches = sizes.pick(&[1, 1, 2, 3, 6]);
            let [m, k, n] = [0; 3].map(|_| sizes.pick(&[1, 2, 4, 8, 9, 12, 15, 24, 30, 36, 49, 64, 70]));
            let mut operand = |rows: usize, columns: usize| {
                let groups = [axes(batches), axes(rows), axes(columns)];
                let back: isize =
                    groups.iter().flatten().map(|axis| (axis.extent as isize - 1) * axis.stride.min(0)).sum();
                let [batch, rows, columns] = groups.map(Axes::new);
                Matrices { offset: back.unsigned_abs() + number % 2 * 4, batch, rows, columns }
            };
            let (lhs, rhs) = (operand(m, k), operand(k, n));
            Product { name: format!("random {number} {batches} of {m}x{k}x{n} {lhs:?} {rhs:?}"), lhs, rhs }
        })
        .collect()
}
