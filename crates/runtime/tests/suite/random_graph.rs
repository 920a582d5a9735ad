//! Random graphs whose arithmetic is exact in f32: integers that are brought back into a small range before they could
//! outgrow it. What a fused plan computes of them must equal the evaluator's result, to the last bit, on every device.

use arenagrad::{DType, Expr, Graph, Half, Init, Shape};

use super::evaluate::Given;
use super::random::Random;

/// Largest magnitude of leaves and of what was clamped.
const SMALL: f64 = 4.0;
/// No magnitude, partial sums included, may pass this.
const LARGE: f64 = (1 << 20) as f64;

/// How large the tensors of a graph are.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// The extents that shapes are drawn from, an extent as often as it stands here.
    extents: &'static [usize],
    /// The ranks that shapes are drawn from.
    ranks: &'static [usize],
    /// No node may have more elements.
    most_elements: usize,
    /// No matrix product may take more multiplications.
    most_multiplications: usize,
}

impl Sizes {
    /// So small that a graph of many operations is computed at once.
    pub const SMALL: Sizes = Sizes {
        extents: &[1, 2, 3, 3, 4, 5, 7],
        ranks: &[0, 1, 2, 2, 2, 3],
        most_elements: 240,
        most_multiplications: 240 * 240,
    };

    /// On both sides of where the CPU's kernels cut: 512 elements are a block of elementwise work and a strip of a
    /// reduction's columns, 65,536 a part of a long sum, 96 the rows of a product that an epilogue takes at once. One graph
    /// has few of these extents, so that its shapes meet.
    const LARGE: [&'static [usize]; 8] = [
        &[65_537, 65_537, 1],
        &[65_537, 65_537, 2],
        &[511, 97, 97],
        &[513, 97, 1],
        &[513, 96, 64],
        &[512, 511, 1],
        &[513, 192, 3],
        &[65_537, 513, 1],
    ];

    /// One choice of large extents.
    pub fn large(random: &mut Random) -> Sizes {
        let extents = *random.pick(&Sizes::LARGE);
        Sizes { extents, ranks: &[1, 1, 2, 2, 2], most_elements: 200_000, most_multiplications: 6_000_000 }
    }
}

/// A graph under construction.
pub struct Builder<'g, 'r> {
    pub graph: &'g Graph,
    pub random: &'r mut Random,
    pub dtype: DType,
    pub sizes: Sizes,
    pub given: Given,
    /// Float expressions, and a bound of their magnitude each.
    pub pool: Vec<(Expr<'g>, f64)>,
}

impl<'g, 'r> Builder<'g, 'r> {
    /// Some inputs and parameters.
    pub fn new(graph: &'g Graph, random: &'r mut Random, dtype: DType, sizes: Sizes) -> Self {
        let mut builder = Builder { graph, random, dtype, sizes, given: Given::new(), pool: Vec::new() };
        for number in 0..2 + builder.random.below(3) {
            let shape = builder.shape();
            let name = format!("leaf{number}");
            let elements = builder.random.integers(shape.elements(), -3, 3);
            let leaf = if builder.random.one_in(2) {
                graph.input_of(&name, &shape, dtype)
            } else {
                graph.parameter_of(&name, &shape, dtype, Init::Constant(0.0))
            };
            builder.given.insert(name, elements);
            builder.pool.push((leaf, 3.0));
        }
        builder
    }

    /// A shape of these sizes; now and then one that is empty.
    fn shape(&mut self) -> Shape {
        loop {
            let rank = *self.random.pick(self.sizes.ranks);
            let extents = if self.random.one_in(40) { &[0, 2] } else { self.sizes.extents };
            let shape: Shape = (0..rank).map(|_| *self.random.pick(extents)).collect();
            if shape.elements() <= self.sizes.most_elements {
                return shape;
            }
        }
    }

    /// Appends that many random operations.
    pub fn grow(&mut self, operations: usize) {
        let target = self.pool.len() + operations;
        while self.pool.len() < target {
            if let Some((expr, bound)) = self.operation() {
                let shape = expr.shape().unwrap_or_else(|error| panic!("{error}"));
                if shape.elements() > self.sizes.most_elements {
                    continue;
                }
                let kept = if bound > LARGE.sqrt() || self.random.one_in(12) {
                    self.clamped(expr, bound)
                } else {
                    (expr, bound)
                };
                self.pool.push(kept);
            }
        }
    }

    fn clamped(&mut self, expr: Expr<'g>, bound: f64) -> (Expr<'g>, f64) {
        (expr.minimum(SMALL).maximum(-SMALL), bound.min(SMALL))
    }

    /// A recent expression more often than an old one, so that graphs grow deep as well as wide.
    fn operand(&mut self) -> (Expr<'g>, f64) {
        let count = self.pool.len();
        let recent = count.min(6);
        if self.random.one_in(3) {
            self.pool[self.random.below(count)]
        } else {
            self.pool[count - 1 - self.random.below(recent)]
        }
    }

    /// An operand that broadcasts with `shape`: another of the pool, or anything fitted.
    fn partner(&mut self, shape: &Shape) -> (Expr<'g>, f64) {
        for _ in 0..6 {
            let (other, bound) = self.operand();
            let other_shape = other.shape().expect("a good expression");
            if shape.broadcast(&other_shape).is_ok() {
                return (other, bound);
            }
        }
        let (other, bound) = self.operand();
        let (fitted, bound) = self.fitted((other, bound), shape);
        (fitted, bound)
    }

    /// Any expression brought to a shape.
    pub fn fitted(&mut self, (expr, bound): (Expr<'g>, f64), shape: &Shape) -> (Expr<'g>, f64) {
        let own = expr.shape().expect("a good expression");
        if own.elements() == shape.elements() {
            return (expr.reshape(shape), bound);
        }
        if own.broadcast(shape).as_ref() == Ok(shape) {
            return (expr.broadcast_to(shape), bound);
        }
        let (sum, bound) = (expr.sum(..), bound * own.elements().max(1) as f64);
        (sum.broadcast_to(shape), bound)
    }

    fn axes(&mut self, rank: usize) -> Vec<isize> {
        (0..rank as isize).filter(|_| self.random.one_in(2)).collect()
    }

    /// One operation on operands of the pool, with a bound; none where what was drawn does not apply.
    fn operation(&mut self) -> Option<(Expr<'g>, f64)> {
        let (x, bound) = self.operand();
        let shape = x.shape().expect("a good expression");
        let rank = shape.rank();
        match self.random.below(27) {
            25 | 26 => {
                let half = *self.random.pick(&Half::ALL);
                // Past the largest number it would be infinite.
                let fits = half == Half::Bf16 || bound < 60_000.0;
                fits.then(|| (x.rounded_to(half), bound * (1.0 + 1.0 / 256.0)))
            }
            24 => self.diamond(x, &shape, bound),
            0 => Some(match self.random.below(5) {
                0 => (-x, bound),
                1 => (x.abs(), bound),
                2 => (x.sign(), 1.0),
                3 => (x.floor().round().ceil(), bound),
                _ => (x.stop_gradient(), bound),
            }),
            1 | 2 => Some((x.relu(), bound)),
            3..=9 => {
                let (y, other) = self.partner(&shape);
                Some(match self.random.below(8) {
                    0 | 1 => (x + y, bound + other),
                    2 => (x - y, bound + other),
                    3 | 4 if bound * other < LARGE => (x * y, bound * other),
                    5 => (x.maximum(y), bound.max(other)),
                    6 => (x.minimum(y), bound.max(other)),
                    7 if y.shape() == x.shape() => (x.relu_backward(y), bound),
                    _ => (2.0 * x + 1.0 - y, 2.0 * bound + 1.0 + other),
                })
            }
            10 => {
                let (y, other) = self.partner(&shape);
                let common = shape.broadcast(&y.shape().ok()?).ok()?;
                let (z, third) = self.partner(&common);
                let condition = match self.random.below(4) {
                    0 => x.less(y),
                    1 => x.equal(y) | x.greater_equal(2.0),
                    2 => !x.greater(y),
                    _ => x.not_equal(y) & y.less_equal(1.0),
                };
                let _ = other;
                Some((condition.where_(z, x), bound.max(third)))
            }
            11 => Some((x.cast(DType::I32).cast(self.dtype) + x.greater(0.0).cast(self.dtype), bound + 1.0)),
            12 => self.reshaped(x, &shape).map(|y| (y, bound)),
            13 | 14 => {
                let mut axes: Vec<isize> = (0..rank as isize).collect();
                for place in (1..rank).rev() {
                    axes.swap(place, self.random.below(place + 1));
                }
                Some((x.permute(axes), bound))
            }
            15 => {
                let extent = 1 + self.random.below(3);
                let wide: Shape = std::iter::once(extent).chain(shape.iter().copied()).collect();
                Some((x.broadcast_to(wide), bound))
            }
            16 | 17 => self.sliced(x, &shape).map(|y| (y, bound)),
            18 => self.assembled(x, &shape, bound),
            19 | 20 => self.reduced(x, &shape, bound),
            21 | 22 => self.product(x, &shape, bound),
            _ => self.indexed(x, &shape, bound),
        }
    }

    fn reshaped(&mut self, x: Expr<'g>, shape: &Shape) -> Option<Expr<'g>> {
        let rank = shape.rank();
        if rank == 0 {
            return Some(x.reshape([1, 1]));
        }
        let axis = self.random.below(rank);
        let mut dims = shape.to_vec();
        if axis + 1 < rank && self.random.one_in(2) {
            let inner = dims.remove(axis + 1);
            dims[axis] *= inner;
        } else {
            let divisor = *self.random.pick(&[1, 2, 3, 5, 7]);
            if !dims[axis].is_multiple_of(divisor) {
                return None;
            }
            dims[axis] /= divisor;
            dims.insert(axis, divisor);
        }
        (dims.len() <= 5).then(|| x.reshape(dims))
    }

    fn sliced(&mut self, x: Expr<'g>, shape: &Shape) -> Option<Expr<'g>> {
        if shape.rank() == 0 {
            return None;
        }
        let axis = self.random.below(shape.rank());
        let extent = shape[axis];
        let start = self.random.below(extent + 1);
        let end = start + self.random.below(extent - start + 1);
        if start == end && !self.random.one_in(20) {
            return None;
        }
        Some(x.slice_step(axis as isize, start, end, 1 + self.random.below(3)))
    }

    fn assembled(&mut self, x: Expr<'g>, shape: &Shape, bound: f64) -> Option<(Expr<'g>, f64)> {
        if shape.rank() == 0 {
            return None;
        }
        if self.random.one_in(2) {
            let amounts: Vec<(usize, usize)> =
                shape.iter().map(|_| (self.random.below(2), self.random.below(3))).collect();
            return Some((x.pad(amounts, 2.0), bound.max(2.0)));
        }
        let axis = self.random.below(shape.rank()) as isize;
        let (other, other_bound) = self.operand();
        let (other, other_bound) = self.fitted((other, other_bound), shape);
        Some((self.graph.concat(&[x, other, x], axis), bound.max(other_bound)))
    }

    fn reduced(&mut self, x: Expr<'g>, shape: &Shape, bound: f64) -> Option<(Expr<'g>, f64)> {
        let axes = self.axes(shape.rank());
        let count: usize = axes.iter().map(|&axis| shape[axis as usize]).product();
        let keep = self.random.one_in(2);
        let choice = self.random.below(5);
        if choice >= 3 && shape.elements() == 0 {
            return None;
        }
        Some(match (choice, keep) {
            (0..=2, _) if bound * count as f64 > LARGE => return None,
            (0..=2, true) => (x.sum_keepdims(&axes[..]), bound * count as f64),
            (0..=2, false) => (x.sum(&axes[..]), bound * count as f64),
            (3, true) => (x.max_keepdims(&axes[..]), bound),
            (3, false) => (x.min(&axes[..]), bound),
            (_, _) if shape.rank() > 0 => {
                let axis = self.random.below(shape.rank());
                (x.argmax(axis as isize).cast(self.dtype), shape[axis] as f64)
            }
            (_, _) => return None,
        })
    }

    fn product(&mut self, x: Expr<'g>, shape: &Shape, bound: f64) -> Option<(Expr<'g>, f64)> {
        if shape.rank() < 2 {
            return None;
        }
        let (x, bound) = if bound > 32.0 { self.clamped(x, bound) } else { (x, bound) };
        let inner = shape[shape.rank() - 1];
        let (y, other) = self.operand();
        let y_shape = y.shape().expect("a good expression");
        let (y, other) = if y_shape.rank() == 2 && y_shape[0] == inner {
            (y, other)
        } else if y_shape.rank() == 2 && y_shape[1] == inner {
            (y.t(), other)
        } else if self.random.one_in(2) {
            (x.t(), bound)
        } else {
            let columns = 1 + self.random.below(5);
            self.fitted((y, other), &Shape::from([inner, columns]))
        };
        let columns = y.shape().ok()?.last().copied().unwrap_or(1);
        if !self.affordable(shape.elements() / inner.max(1), inner, columns) {
            return None;
        }
        let (y, other) = if other > 32.0 { self.clamped(y, other) } else { (y, other) };
        Some((x.matmul(y), bound * other * inner.max(1) as f64))
    }

    /// Whether a product of these extents is within the sizes.
    fn affordable(&self, rows: usize, inner: usize, columns: usize) -> bool {
        rows * columns <= self.sizes.most_elements && rows * inner * columns <= self.sizes.most_multiplications
    }

    /// Two products or two sums that two functions read both: what tempts a planner into a cycle.
    fn diamond(&mut self, x: Expr<'g>, shape: &Shape, bound: f64) -> Option<(Expr<'g>, f64)> {
        let reduced = |x: Expr<'g>| if shape.rank() == 0 { x } else { x.sum_keepdims([0]) };
        let (y, other) = self.partner(shape);
        let (y, other) = self.fitted((y, other), shape);
        let extent = shape.first().copied().unwrap_or(1).max(1) as f64;
        let square = shape.rank() == 2 && self.affordable(shape[0], shape[1], shape[0]);
        let (p, q, largest) = if square && self.random.one_in(2) {
            let ((x, a), (y, b)) = (self.clamped(x, bound), self.clamped(y, other));
            let inner = shape[1].max(1) as f64;
            (x.matmul(x.t()), y.matmul(y.t()), a.max(b).powi(2) * inner)
        } else {
            (reduced(x), reduced(y), bound.max(other) * extent)
        };
        if largest > 1000.0 {
            return None;
        }
        // The functions go into the pool apart, so that others read one or both.
        self.pool.push((p + q, 2.0 * largest));
        self.pool.push((p - q, 2.0 * largest));
        Some((p * q, largest * largest))
    }

    fn indexed(&mut self, x: Expr<'g>, shape: &Shape, bound: f64) -> Option<(Expr<'g>, f64)> {
        if shape.rank() == 0 || shape.elements() == 0 {
            return None;
        }
        let axis = self.random.below(shape.rank());
        let count = 1 + self.random.below(4);
        let wide: Shape = shape.iter().enumerate().map(|(at, &n)| if at == axis { count } else { n }).collect();
        if wide.elements() > self.sizes.most_elements {
            return None;
        }
        let indices: Vec<i32> = (0..wide.elements()).map(|_| self.random.below(shape[axis]) as i32).collect();
        let indices = self.graph.literal(&wide, indices);
        if self.random.one_in(2) {
            return Some((x.gather(axis as isize, indices), bound));
        }
        let (updates, other) = self.operand();
        let (updates, other) = self.fitted((updates, other), &wide);
        let total = bound + other * count as f64;
        (total < LARGE).then(|| (x.scatter_add(axis as isize, indices, updates), total))
    }
}
