//! Products that pad an operand themselves, against the same products of an operand that was padded before.

use arenagrad_kernels::{
    Axes, Axis, Candidate, Elements, Instruction, Kernel, Matrices, Padding, Piece, ProductExtents, StorageType, View,
    choice,
};

use crate::reference::{Builder, buffer, run, run_by, values};

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
    /// How many groups of channels there are, of which each has as many features.
    groups: usize,
    features: usize,
}

/// A few small images, padded by one on all sides.
const PLAIN: Windows = Windows {
    images: 5,
    channels: 3,
    extents: [8, 8],
    padding: [[1, 1], [1, 1]],
    interior: 0,
    kernel: [3, 3],
    step: 1,
    channels_first: false,
    groups: 1,
    features: 7,
};

const WINDOWS: &[Windows] = &[
    PLAIN,
    // More images than are padded at once, of which the last are fewer.
    Windows {
        images: 37,
        channels: 2,
        extents: [5, 6],
        padding: [[1, 0], [2, 1]],
        kernel: [2, 3],
        channels_first: true,
        features: 20,
        ..PLAIN
    },
    // An image of more depth than a block of it, strides, and one image alone.
    Windows {
        images: 3,
        channels: 4,
        extents: [33, 40],
        padding: [[2, 2], [1, 3]],
        kernel: [5, 3],
        step: 2,
        channels_first: true,
        features: 33,
        ..PLAIN
    },
    Windows { images: 1, channels: 9, extents: [30, 32], features: 70, ..PLAIN },
    // Elements apart, as in the gradient of a strided convolution, and sums of several sections.
    Windows {
        images: 9,
        channels: 2,
        extents: [16, 17],
        padding: [[1, 2], [0, 0]],
        interior: 1,
        kernel: [3, 2],
        features: 65,
        ..PLAIN
    },
    // A single line, whose windows are neighbours along the depth.
    Windows {
        images: 1,
        channels: 6,
        extents: [1, 90],
        padding: [[0, 0], [2, 2]],
        kernel: [1, 5],
        features: 9,
        ..PLAIN
    },
    // Groups, of which each needs the padded image, of so few images and features that all threads work at one.
    Windows { images: 2, channels: 6, extents: [30, 32], groups: 3, features: 40, ..PLAIN },
    // Lines, and a single feature.
    Windows {
        images: 4,
        channels: 6,
        extents: [1, 50],
        padding: [[0, 0], [2, 2]],
        kernel: [1, 5],
        channels_first: true,
        features: 1,
        ..PLAIN
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

    /// Weights and windows, `[groups, features, depth] x [images, groups, depth, results]`.
    fn forward(&self) -> (Matrices, Matrices) {
        let [results, within, images] = self.axes();
        let channels = self.channels / self.groups;
        let [channel, rest @ ..] = &within[..] else { unreachable!("a window has channels") };
        let within = Axes::new([Axis { extent: channels, ..*channel }].into_iter().chain(rest.iter().copied()));
        let depth = within.count();
        let group = |stride: usize| Axis { extent: self.groups, stride: stride as isize };
        let weights = [Axis { extent: self.images, stride: 0 }, group(self.features * depth)];
        let batch = images.into_iter().chain([group(channels * channel.stride.unsigned_abs())]);
        let (rows, columns) = (Axes::strided(self.features, depth as isize), Axes::strided(depth, 1));
        (
            Matrices { offset: 0, batch: Axes::new(weights), rows, columns },
            Matrices { offset: 0, batch: Axes::new(batch), rows: within, columns: Axes::new(results) },
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

/// Every way of a product whose operand `place` is padded by itself, on any number of threads, gives the bits of one whose operand was padded before.
fn check(windows: &Windows, place: usize, (lhs, rhs): (Matrices, Matrices), [dtype, storage]: [StorageType; 2]) {
    let dtype = dtype.value();
    let padding = windows.padding();
    let suits = if place == 0 { padding.suits_lhs(&lhs) } else { padding.suits_rhs(&rhs) };
    assert!(suits, "{windows:?} as operand {place}");
    let pixels: usize = windows.extents.iter().product();
    let stored = buffer(storage, &quarters(3, windows.images * windows.channels * pixels));
    let before = buffer(storage, &padded(&padding, &values(&stored)));
    let other = buffer(dtype, &quarters(5, if place == 0 { rhs.view().end() } else { lhs.view().end() }));
    let inputs = |operand: Elements| if place == 0 { [operand, other.clone()] } else { [other.clone(), operand] };
    let extents = ProductExtents::new(&lhs, &rhs);
    let mut b = Builder::new(extents.results());
    let accumulator = b.push(Instruction::Accumulator, dtype);
    for epilogue in [None, Some(b.output(&[accumulator]))] {
        let product = |padding| {
            let (lhs, rhs, epilogue) = (lhs.clone(), rhs.clone(), epilogue.clone());
            Kernel::MatMul { dtype, lhs, rhs, padding, epilogue }
        };
        let results = [(dtype, extents.results())];
        let expected = values(&run(&product([None, None]), &inputs(before.clone()), &results)[0]);
        let own = Some(Box::new(padding.clone()));
        let kernel = product(if place == 0 { [own, None] } else { [None, own] });
        let inputs = inputs(stored.clone());
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            for Candidate { choice, .. } in pool.install(|| choice::on_cpu(&kernel)) {
                let found = pool.install(|| values(&run_by(&kernel, choice, &inputs, &results)[0]));
                assert!(found == expected, "{windows:?}, operand {place} of {storage}: {choice} on {threads} threads");
            }
        }
    }
}

#[test]
fn padded_operands_are_those_that_were_padded_before() {
    use StorageType::{Bf16, F32, F64};
    for windows in WINDOWS {
        for types in [[F32, F32], [F64, F64], [F32, Bf16]] {
            check(windows, 1, windows.forward(), types);
            if windows.groups == 1 {
                check(windows, 0, windows.by_weight(), types);
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
    // Rows that begin in one line and end in the next, of which none is past the last line.
    let across = Matrices::single(3, axes(&[(3, 20)]), axes(&[(4, 1)]));
    assert_eq!(across.blocks_first([3, 4, 5]), None);
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
    let shallow = Padding { blocks: 100, elements: 30_000, ..padding.clone() };
    let lhs = Matrices::single(0, axes(&[(3, 1)]), axes(&[(100, 30_000), (8, 1)]));
    assert!(!shallow.suits_lhs(&lhs), "little of the depth at once");
    let large = Padding { elements: 1 << 20, ..padding };
    assert!(!large.suits_rhs(&Matrices::single(0, axes(&[(3, 1)]), axes(&[(8, 1)]))), "more than stays in a cache");
}
