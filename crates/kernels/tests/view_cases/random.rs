//! Views made at random: any extents, strides of any sign, none of which ever leaves the buffer.

use arenagrad_kernels::cpu::random::uniform;
use arenagrad_kernels::{Axis, View};

/// Numbers from a seed, the same in every run.
pub(crate) struct Dice {
    seed: u64,
    drawn: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice { seed, drawn: 0 }
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.drawn += 1;
        ((f64::from(uniform(self.seed, 11, self.drawn)) * limit as f64) as usize).min(limit - 1)
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Axes whose extents multiply to `count`: a stride each, of any sign, that may repeat elements or overlap other axes.
    pub(crate) fn axes(&mut self, count: usize) -> Vec<Axis> {
        let mut rest = count;
        let mut axes = Vec::new();
        while rest > 1 || axes.is_empty() {
            let divisors: Vec<usize> = (1..=rest).filter(|divisor| rest.is_multiple_of(*divisor)).collect();
            let extent = if axes.len() == 3 { rest } else { self.pick(&divisors) };
            rest /= extent;
            let stride = self.pick(&[0, 1, 1, 1, 2, 3, 4, 5, 8, 12, 13]);
            axes.push(Axis { extent, stride: if self.below(3) == 0 { -stride } else { stride } });
        }
        axes
    }

    /// A view of `count` elements. It begins where its strides below 0 need it to, and perhaps a few elements further on.
    pub(crate) fn view(&mut self, count: usize) -> View {
        let axes = self.axes(count);
        let back: isize = axes.iter().map(|axis| (axis.extent as isize - 1) * axis.stride.min(0)).sum();
        let further = self.pick(&[0, 0, 1, 4]);
        View::new(axes, back.unsigned_abs() + further)
    }
}

/// Random views of 48 elements each.
pub(crate) fn random_views(seed: u64, count: usize) -> Vec<View> {
    let mut dice = Dice::new(seed);
    (0..count).map(|_| dice.view(48)).collect()
}
