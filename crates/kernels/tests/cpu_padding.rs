//! Products that pad an operand themselves, against the same products of an operand that was padded before.

use arenagrad_kernels::{Axes, Axis, DType, Kernel, Matrices, Padding, Piece, ProductExtents, StorageType, View};

use crate::reference::{Builder, buffer, run, values};

/// Images, what is around them, and the windows that slide over them.
#[derive(Clone, Copy, Debug)]
struct Windows {
    images: usize,
    channels: usize,
    extents: [usize; 2],
    /// Before and behind each axis.
    padding: [[usize; 2]; 2],
    /// How many elements stand between those of an image.
    interior: usize,
    kernel: [usize; 2],
    step: usize,
    /// Whether the images stand in the input channel by channel.
    channels_first: bool,
    features: usize,
}

const WINDOWS: &[Windows] = &[
    Windows {
        images: 5,
        channels: 3,
        extents: [8, 8],
        padding: [[1, 1], [1, 1]],
        interior: 0,
        kernel: [3, 3],
        step: 1,
        channels_first: false,
        features: 7,
    },
    // More images than are padded at once, of which the last are fewer.
    Windows {
        images: 37,
        channels: 2,
        extents: [5, 6],
        padding: [[1, 0], [2, 1]],
        interior: 0,
        kernel: [2, 3],
        step: 1,
        channels_first: true,
        features: 20,
    },
    // An image of more depth than a block of it, strides, and one image alone.
    Windows {
        images: 3,
        channels: 4,
        extents: [33, 40],
        padding: [[2, 2], [1, 3]],
        interior: 0,
        kernel: [5, 3],
        step: 2,
        channels_first: true,
        features: 33,
    },
    Windows {
        images: 1,
        channels: 9,
        extents: [30, 32],
        padding: [[1, 1], [1, 1]],
        interior: 0,
        kernel: [3, 3],
        step: 1,
        channels_first: false,
        features: 70,
    },
    // Elements apart, as in the gradient of a strided convolution, and sums of several sections.
    Windows {
        images: 9,
        channels: 2,
        extents: [16, 17],
        padding: [[1, 2], [0, 0]],
        interior: 1,
        kernel: [3, 2],
        step: 1,
        channels_first: false,
        features: 65,
    },
    // A single line, whose windows are neighbours along the depth.
    Windows {
        images: 1,
        channels: 6,
        extents: [1, 90],
        padding: [[0, 0], [2, 2]],
        interior: 0,
        kernel: [1, 5],
        step: 1,
        channels_first: false,
        features: 9,
    },
    // Lines, and a single feature.
    Windows {
        images: 4,
        channels: 6,
        extents: [1, 50],
        padding: [[0, 0], [2, 2]],
        interior: 0,
        kernel: [1, 5],
        step: 1,
        channels_first: true,
        features: 1,
    },
];

impl Windows {
    /// The extents of a padded image.
    fn padded(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let [before, behind] = self.padding[axis];
            before + (self.extents[axis] - 1) * (self.interior + 1) + 1 + behind
        })
    }

    /// How many windows there are along each axis.
    fn results(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.padded()[axis] - self.kernel[axis]) / self.step + 1)
    }

    fn padding(&self) -> Padding {
        let [height, width] = self.padded();
        let [images, channels] = [self.images, self.channels];
        let image: usize = self.extents.iter().product();
        let (stride, channel) = if self.channels_first { (image, images * image) } else { (channels * image, image) };
        let apart = self.interior + 1;
        let axes = |strides: [usize; 3]| {
            let extents = [channels, self.extents[0], self.extents[1]];
            (0..3).map(move |axis| Axis { extent: extents[axis], stride: strides[axis] as isize })
        };
        let [[top, _], [left, _]] = self.padding;
        let piece = Piece {
            source: View::new(axes([channel, self.extents[1], 1]), 0),
            destination: View::new(axes([height * width, width * apart, apart]), top * width + left),
        };
        Padding { blocks: images, elements: channels * height * width, stride, piece, fill: 0.25 }
    }

    /// The axes of all windows of an image, of all elements of a window, and of the images.
    fn axes(&self) -> [Vec<Axis>; 3] {
        let [height, width] = self.padded();
        let axis = |extent, stride: usize| Axis { extent, stride: stride as isize };
        let [rows, columns] = self.results();
        [
            vec![axis(rows, width * self.step), axis(columns, self.step)],
            vec![axis(self.channels, height * width), axis(self.kernel[0], width), axis(self.kernel[1], 1)],
            vec![axis(self.images, self.channels * height * width)],
        ]
    }

    /// Weights and windows, `[features, depth] x [images, depth, results]`.
    fn forward(&self) -> (Matrices, Matrices) {
        let [results, within, images] = self.axes().map(Axes::new);
        let depth = within.count();
        let batch = Axes::strided(self.images, 0);
        let (rows, columns) = (Axes::strided(self.features, depth as isize), Axes::strided(depth, 1));
        (
            Matrices { offset: 0, batch, rows, columns },
            Matrices { offset: 0, batch: images, rows: within, columns: results },
        )
    }

    /// Windows and the gradients of what they gave, `[depth, images results] x [images results, features]`.
    fn by_weight(&self) -> (Matrices, Matrices) {
        let [results, within, images] = self.axes();
        let count: usize = self.results().iter().product();
        let gradients =
            [Axis { extent: self.images, stride: (self.features * count) as isize }, Axis { extent: count, stride: 1 }];
        let lhs = Matrices::single(0, Axes::new(within), Axes::new(images.into_iter().chain(results)));
        (lhs, Matrices::single(0, Axes::new(gradients), Axes::strided(self.features, count as isize)))
    }
}

/// What a padding makes of its input.
fn padded(padding: &Padding, input: &[f64]) -> Vec<f64> {
    let mut padded = vec![padding.fill; padding.blocks * padding.elements];
    for block in 0..padding.blocks {
        for i in 0..padding.piece.source.elements() {
            padded[block * padding.elements + padding.piece.destination.position(i)] =
                input[block * padding.stride + padding.piece.source.position(i)];
        }
    }
    padded
}

/// Quarters, so few that every sum of products of them is exact, whatever its order.
fn quarters(seed: usize, count: usize) -> Vec<f64> {
    (0..count).map(|i| ((i + seed) * 7919 % 17) as f64 / 4.0 - 2.0).collect()
}

#[test]
fn padded_operands_are_those_that_were_padded_before() {
    let pools = [1, 2, 5].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool"));
    for windows in WINDOWS {
        let padding = windows.padding();
        let input = quarters(3, windows.images * windows.channels * windows.extents.iter().product::<usize>());
        for (place, (lhs, rhs)) in [(1, windows.forward()), (0, windows.by_weight())] {
            let suits = if place == 0 { padding.suits_lhs(&lhs) } else { padding.suits_rhs(&rhs) };
            assert!(suits, "{windows:?} as operand {place}");
            let other = quarters(5, if place == 0 { rhs.view().end() } else { lhs.view().end() });
            let extents = ProductExtents::new(&lhs, &rhs);
            let types =
                [(DType::F32, StorageType::F32), (DType::F64, StorageType::F64), (DType::F32, StorageType::Bf16)];
            for (dtype, storage) in types {
                let mut b = Builder::new(extents.results());
                let accumulator = b.push(arenagrad_kernels::Instruction::Accumulator, dtype);
                let epilogue = Some(b.output(&[accumulator]));
                for epilogue in [None, epilogue] {
                    let stored = buffer(storage, &input);
                    let before = buffer(storage, &padded(&padding, &values(&stored)));
                    let other = buffer(dtype, &other);
                    let product = |own: [Option<Box<Padding>>; 2], operand| {
                        let (lhs, rhs, epilogue) = (lhs.clone(), rhs.clone(), epilogue.clone());
                        let kernel = Kernel::MatMul { dtype, lhs, rhs, padding: own, epilogue };
                        let other = other.clone();
                        let inputs = if place == 0 { [operand, other] } else { [other, operand] };
                        values(&run(&kernel, &inputs, &[(dtype, extents.results())])[0])
                    };
                    let expected = product([None, None], before);
                    let own = || {
                        if place == 0 {
                            [Some(Box::new(padding.clone())), None]
                        } else {
                            [None, Some(Box::new(padding.clone()))]
                        }
                    };
                    let found = pools[0].install(|| product(own(), stored.clone()));
                    assert!(found == expected, "{windows:?}, operand {place} of {storage}");
                    for pool in &pools[1..] {
                        let again = pool.install(|| product(own(), stored.clone()));
                        assert!(
                            again == found,
                            "{windows:?}, operand {place}: other bits on {} threads",
                            pool.current_num_threads()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn blocks_come_first() {
    let axes = |list: &[(usize, isize)]| Axes::new(list.iter().map(|&(extent, stride)| Axis { extent, stride }));
    // Windows of 2 over lines of 5, of 4 lines in each of 3 channels.
    let channels_first = Matrices::single(1, axes(&[(3, 20), (2, 1)]), axes(&[(4, 5), (3, 1)]));
    let blocks_first = Matrices::single(1, axes(&[(3, 5), (2, 1)]), axes(&[(4, 15), (3, 1)]));
    assert_eq!(channels_first.blocks_first([3, 4, 5]), Some(blocks_first));
    // An axis that goes through lines as one.
    let joined = Matrices::single(0, axes(&[(3, 20)]), axes(&[(20, 1)]));
    assert_eq!(joined.blocks_first([3, 4, 5]), None);
}

#[test]
fn what_leaves_its_block_does_not_suit() {
    let axes = |list: &[(usize, isize)]| Axes::new(list.iter().map(|&(extent, stride)| Axis { extent, stride }));
    let piece = Piece { source: View::contiguous(8), destination: View::new([Axis { extent: 8, stride: 1 }], 1) };
    let padding = Padding { blocks: 3, elements: 10, stride: 8, piece, fill: 0.0 };
    let batch = |columns| Matrices {
        offset: 0,
        batch: axes(&[(3, 10)]),
        rows: axes(&[(3, 1)]),
        columns: axes(&[(columns, 1)]),
    };
    assert!(padding.suits_rhs(&batch(8)) && !padding.suits_rhs(&batch(9)));
    assert!(!padding.suits_rhs(&Matrices { offset: 20, ..batch(8) }), "past the last block");
    let depth = |axis| Matrices::single(0, axes(&[(3, 1)]), axes(&[axis, (8, 1)]));
    assert!(padding.suits_lhs(&depth((3, 10))));
    assert!(!padding.suits_lhs(&depth((2, 10))) && !padding.suits_lhs(&depth((3, 8))));
    assert!(!padding.suits_lhs(&batch(8)), "several matrices");
    let large = Padding { elements: 1 << 20, ..padding };
    assert!(!large.suits_rhs(&Matrices::single(0, axes(&[(3, 1)]), axes(&[(8, 1)]))), "more than stays in a cache");
}
