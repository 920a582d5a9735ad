//! Padding, interpolation, shuffles, grids and bags: values that are known or counted out, and what must not spread or break.

use arenagrad::{
    BagMode, DType, Device, EmbeddingBagOptions, Expr, Graph, GridMode, GridPadding, GridSample, Interpolation,
    InterpolationMode, PadMode,
};

use crate::suite::devices::devices;
use crate::suite::evaluate::given;
use crate::suite::random::Random;
use crate::suite::run::numbers;

/// What `build` makes of f64 elements on the CPU.
fn of(shape: &[usize], elements: Vec<f64>, build: impl for<'g> Fn(Expr<'g>) -> Expr<'g>) -> Vec<f64> {
    let g = Graph::new();
    let x = g.input_of("x", shape, DType::F64);
    let result = build(x);
    numbers(&g, &[result], &given([("x", elements)]), &Device::cpu()).remove(0)
}

fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let is_same = found == expected || found.is_nan() && expected.is_nan();
        assert!(is_same || (found - expected).abs() <= 1e-12, "element {place} is {found}, expected {expected}");
    }
}

fn counted(count: usize) -> Vec<f64> {
    (0..count).map(|number| number as f64).collect()
}

#[test]
fn padding_repeats_mirrors_wraps_and_crops() {
    let padded = |amount, mode| of(&[4], counted(4), |x| x.pad_with([amount], mode));
    assert_eq!(padded((2, 3), PadMode::Reflect), [2.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0]);
    assert_eq!(padded((2, 1), PadMode::Replicate), [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 3.0]);
    assert_eq!(padded((3, 4), PadMode::Circular), [1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0]);
    assert_eq!(padded((1, -2), PadMode::Constant(9.0)), [9.0, 0.0, 1.0]);
    assert_eq!(padded((-4, 3), PadMode::Constant(9.0)), [9.0, 9.0, 9.0]);
    assert_eq!(padded((-1, 2), PadMode::Reflect), [1.0, 2.0, 3.0, 2.0, 1.0]);
    assert_eq!(padded((2, -1), PadMode::Circular), [1.0, 2.0, 0.0, 1.0, 2.0]);
    assert!(padded((-2, -2), PadMode::Replicate).is_empty());
    // The last axis has the last pair; those in front are left.
    let found = of(&[2, 2, 3], counted(12), |x| x.pad_with([(0, 1), (1, 0)], PadMode::Reflect));
    assert_eq!(found[..12], [1.0, 0.0, 1.0, 2.0, 4.0, 3.0, 4.0, 5.0, 1.0, 0.0, 1.0, 2.0]);
}

/// Each element gets what all places have where it stands, however pieces overlap; integers are padded too.
#[test]
fn gradients_of_padding_come_from_all_places() {
    let amounts: [&[(isize, isize)]; 7] = [
        &[(1, 1)],
        &[(3, 4)],
        &[(-1, 2)],
        &[(-3, -1)],
        &[(2, 1), (3, -2)],
        &[(0, 0), (4, 4)],
        &[(1, 2), (2, 1), (3, 3)],
    ];
    for mode in [PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        for amounts in amounts {
            let g = Graph::new();
            let (shape, count) = ([2, 5, 6, 5], 2 * 5 * 6 * 5);
            let (x, numbered) = (g.input("x", shape), g.input_of("numbered", shape, DType::I32));
            let places = numbered.pad_with(amounts, mode);
            let padded = x.pad_with(amounts, mode);
            let weights = g.iota([padded.shape().unwrap().elements()], 0).cast(DType::F32).remainder(7.0) - 2.0;
            let weights = weights.reshape(padded.shape().unwrap());
            let [gradient] = (padded.square() * weights).sum(..).grad([x]).unwrap();
            let [second] = gradient.square().sum(..).grad([x]).unwrap();
            let inputs = given([("x", counted(count)), ("numbered", counted(count))]);
            for device in devices() {
                let found = numbers(&g, &[padded, places, gradient, second, weights], &inputs, &device);
                assert_eq!(found[0], found[1], "{device}: {mode:?} {amounts:?}");
                let mut sums = vec![0.0; count];
                found[1].iter().zip(&found[4]).for_each(|(&place, weight)| sums[place as usize] += weight);
                let first: Vec<f64> = (0..count).map(|place| 2.0 * place as f64 * sums[place]).collect();
                let then: Vec<f64> = (0..count).map(|place| 4.0 * sums[place] * first[place]).collect();
                assert_eq!(found[2], first, "{device}: {mode:?} {amounts:?}");
                assert_eq!(found[3], then, "{device}: {mode:?} {amounts:?}");
            }
        }
    }
}

#[test]
fn enlarged_images_are_those_of_the_documentation() {
    let image = || vec![1.0, 2.0, 3.0, 4.0];
    let twice = Interpolation::by_factor(2.0).mode(InterpolationMode::Linear);
    let loose = of(&[1, 1, 2, 2], image(), |x| x.interpolate(twice.clone()));
    let row = |first: f64| [first, first + 0.25, first + 0.75, first + 1.0];
    assert_near(&loose, &[row(1.0), row(1.5), row(2.5), row(3.0)].concat());
    let aligned = of(&[1, 1, 2, 2], image(), |x| x.interpolate(twice.clone().align_corners(true)));
    let third = 1.0 / 3.0;
    let row = |first: f64| [first, first + third, first + 2.0 * third, first + 1.0];
    assert_near(&aligned, &[row(1.0), row(1.0 + 2.0 * third), row(1.0 + 4.0 * third), row(3.0)].concat());
    let nearest = of(&[1, 1, 2, 2], image(), |x| x.upsample_nearest(Interpolation::by_factor(2.0)));
    assert_eq!(nearest, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0]);
}

#[test]
fn smaller_images_take_what_lies_nearest_or_the_mean_of_what_they_cover() {
    let to = |size: usize, mode| of(&[1, 1, 7], counted(7), |x| x.interpolate(Interpolation::to_size(size).mode(mode)));
    assert_eq!(to(3, InterpolationMode::Nearest), [0.0, 2.0, 4.0]);
    assert_eq!(to(3, InterpolationMode::NearestExact), [1.0, 3.0, 5.0]);
    assert_near(&to(3, InterpolationMode::Area), &[1.0, 3.0, 5.0]);
    assert_near(&to(2, InterpolationMode::Linear), &[1.25, 4.75]);
    // A straight line stays one between the ends, whatever the curve through its elements is.
    let cubic = of(&[1, 1, 9, 1], counted(9), |x| {
        x.interpolate(Interpolation::to_size([17, 1]).mode(InterpolationMode::Cubic).align_corners(true))
    });
    assert_near(&cubic[2..15], &(2..15).map(|number| number as f64 / 2.0).collect::<Vec<f64>>());
    // The size alone says how far elements are apart, unless a factor does: 5 to 7 by 1.5 is no 7 / 5.
    let by = |recompute| {
        let by = Interpolation::by_factor(1.5).mode(InterpolationMode::Linear).recompute_scale_factor(recompute);
        of(&[1, 1, 5], counted(5), |x| x.interpolate(by.clone()))
    };
    assert_near(&[by(false)[6], by(true)[6]], &[6.5 / 1.5 - 0.5, 4.0]);
}

#[test]
fn what_is_not_in_a_sum_does_not_spoil_it() {
    // The last two of 14 elements are not finite; so many results are made of others alone.
    for (mode, size, finite) in [
        (InterpolationMode::Area, 3, 2),
        (InterpolationMode::Nearest, 4, 4),
        (InterpolationMode::Linear, 9, 7),
        (InterpolationMode::Cubic, 3, 2),
    ] {
        let mut elements = counted(14);
        (elements[12], elements[13]) = (f64::INFINITY, f64::NAN);
        let interpolation = Interpolation::to_size([size, 1]).mode(mode);
        let found = of(&[1, 1, 14, 1], elements, |x| x.interpolate(interpolation.clone()));
        assert!(found[..finite].iter().all(|x| x.is_finite()), "{mode:?}: {found:?}");
        assert!(found[finite..].iter().all(|x| !x.is_finite()), "{mode:?}: {found:?}");
    }
    // Nor does the gradient of one result reach what it is not made of.
    let g = Graph::new();
    let x = g.input_of("x", [1, 1, 8], DType::F64);
    let y = x.interpolate(Interpolation::to_size(3).mode(InterpolationMode::Linear));
    let upstream = g.literal([1, 1, 3], vec![1.0, 1.0, f64::INFINITY]);
    let gradient = g.gradients(&[y], &[upstream], &[x]).unwrap()[0];
    let found = numbers(&g, &[gradient], &given([("x", counted(8))]), &Device::cpu()).remove(0);
    assert!(found[..5].iter().all(|x| x.is_finite()) && found[6] == f64::INFINITY, "{found:?}");
}

#[test]
fn shuffles_are_permutations() {
    let (r, c, h, w) = (3, 2, 2, 4);
    let shuffled = of(&[c * r * r, h, w], counted(c * r * r * h * w), |x| x.pixel_shuffle(r));
    for (place, &found) in shuffled.iter().enumerate() {
        let (channel, y, x) = (place / (h * r * w * r), place / (w * r) % (h * r), place % (w * r));
        let source = ((channel * r * r + y % r * r + x % r) * h + y / r) * w + x / r;
        assert_eq!(found, source as f64);
    }
    let back = of(&[c, h * r, w * r], shuffled, |x| x.pixel_unshuffle(r));
    assert_eq!(back, counted(c * r * r * h * w));
    assert_eq!(of(&[1, 6], counted(6), |x| x.channel_shuffle(2)), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn the_grid_of_the_identity_gives_the_image() {
    for align_corners in [false, true] {
        for mode in [GridMode::Linear, GridMode::Nearest, GridMode::Cubic] {
            for padding in [GridPadding::Zeros, GridPadding::Border, GridPadding::Reflection] {
                let found = of(&[1, 2, 4, 5], counted(40), |x| {
                    let theta = x.graph().literal([1, 2, 3], vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
                    let grid = theta.affine_grid([4, 5], align_corners);
                    x.grid_sample(grid, GridSample { mode, padding, align_corners })
                });
                assert_near(&found, &counted(40));
            }
        }
    }
}

/// Where points are far outside, at the border and in between, by all three ways to go on outside.
#[test]
fn points_outside_are_zeros_the_border_or_mirrored() {
    let at = |padding, x: f64| {
        of(&[1, 1, 1, 4], vec![1.0, 2.0, 4.0, 8.0], |image| {
            let grid = image.graph().literal([1, 1, 1, 2], vec![x, 0.0]);
            image.grid_sample(grid, GridSample { padding, ..GridSample::default() })
        })[0]
    };
    // Elements are half a unit wide, the first from -1 to -1/2.
    for (padding, expected) in [
        (GridPadding::Zeros, [0.5, 1.5, 6.0, 4.0, 0.0]),
        (GridPadding::Border, [1.0, 1.5, 6.0, 8.0, 8.0]),
        (GridPadding::Reflection, [1.0, 1.5, 6.0, 8.0, 4.0]),
    ] {
        let found = [-1.0, -0.5, 0.5, 1.0, 1.75].map(|x| at(padding, x));
        assert_near(&found, &expected);
    }
    for padding in [GridPadding::Zeros, GridPadding::Border, GridPadding::Reflection] {
        let found = at(padding, 1e30);
        assert!((0.0..=8.0).contains(&found), "{padding:?}: {found}");
    }
}

#[test]
fn bags_are_those_of_direct_loops() {
    const ROWS: usize = 6;
    const COLUMNS: usize = 3;
    let mut random = Random(21);
    for round in 0..60 {
        let count = 1 + random.below(12);
        let mut offsets: Vec<usize> = (0..random.below(5)).map(|_| random.below(count + 1)).collect();
        offsets.push(0);
        offsets.sort_unstable();
        let mut include_last_offset = random.one_in(3);
        let mut count = count;
        // Bags of one length are the rows of indices of two axes.
        let length = random.one_in(3).then(|| 1 + random.below(4));
        if let Some(length) = length {
            count = length * offsets.len();
            offsets = (0..offsets.len()).map(|bag| bag * length).collect();
            include_last_offset = false;
        }
        let padding_index = random.one_in(2).then(|| random.below(ROWS));
        let mode = *random.pick(&[BagMode::Sum, BagMode::Mean, BagMode::Max]);
        let mut ends = offsets.clone();
        if !include_last_offset {
            ends.push(count);
        }
        let mut table = random.integers(ROWS * COLUMNS, -2, 2);
        if mode == BagMode::Max && random.one_in(2) {
            // A bag may have nothing larger, which takes the gradient all the same.
            table.iter_mut().filter(|value| **value < 1.0).for_each(|value| *value = f64::NEG_INFINITY);
        }
        let tokens = random.integers(count, 0, ROWS as i64 - 1);
        let weights = random.integers(count, 1, 3);
        let is_weighted = mode == BagMode::Sum && random.one_in(2);
        let bags = ends.len() - 1;
        let upstream = random.integers(bags * COLUMNS, 1, 9);
        let (mut expected, mut gradient) = (vec![0.0; bags * COLUMNS], vec![0.0; ROWS * COLUMNS]);
        for (bag, pair) in ends.windows(2).enumerate() {
            let is_counted = |&place: &usize| Some(tokens[place] as usize) != padding_index;
            let places: Vec<usize> = (pair[0]..pair[1]).filter(is_counted).collect();
            for column in 0..COLUMNS {
                let (out, of) = (bag * COLUMNS + column, |place: usize| tokens[place] as usize * COLUMNS + column);
                let mut best: Option<usize> = None;
                for &place in &places {
                    let share = match mode {
                        BagMode::Sum if is_weighted => weights[place],
                        BagMode::Sum => 1.0,
                        BagMode::Mean => 1.0 / places.len() as f64,
                        BagMode::Max => 0.0,
                    };
                    expected[out] += share * table[of(place)];
                    gradient[of(place)] += share * upstream[out];
                    if best.is_none_or(|best| table[of(place)] > table[of(best)]) {
                        best = Some(place);
                    }
                }
                if let (BagMode::Max, Some(best)) = (mode, best) {
                    expected[out] = table[of(best)];
                    gradient[of(best)] += upstream[out];
                }
            }
        }
        let what = format!(
            "round {round}: {mode:?} {offsets:?} of {count} ({length:?} each), last {include_last_offset}, without {padding_index:?}"
        );
        for device in devices() {
            let g = Graph::new();
            let rows = g.input("table", [ROWS, COLUMNS]);
            let shape = length.map_or(vec![count], |length| vec![count / length, length]);
            let indices = g.input_of("tokens", &shape[..], DType::I32);
            let own = is_weighted.then(|| g.input("weights", &shape[..]));
            let options = EmbeddingBagOptions {
                mode,
                offsets: length.is_none().then(|| offsets.clone()),
                include_last_offset,
                padding_index,
                ..EmbeddingBagOptions::default()
            };
            let result = rows.embedding_bag(indices, own, options);
            let direction = g.input("upstream", [bags, COLUMNS]);
            let derived =
                g.gradients(&[result], &[direction], &[rows]).unwrap_or_else(|error| panic!("{what}: {error}"));
            let given = given([
                ("table", table.clone()),
                ("tokens", tokens.clone()),
                ("weights", weights.clone()),
                ("upstream", upstream.clone()),
            ]);
            let found = numbers(&g, &[result, derived[0]], &given, &device);
            for (found, expected) in found.iter().zip([&expected, &gradient]) {
                for (found, expected) in found.iter().zip(expected) {
                    let is_same = found == expected || (found - expected).abs() <= 1e-5;
                    assert!(is_same, "{what} on {device}: {found}, expected {expected}");
                }
            }
        }
    }
}
