//! Layers that stand for operators, and tables and products that have operators of their own: against what PyTorch's modules of the same
//! name gave in f64 for the same numbers.

use arenagrad::check::GradCheck;
use arenagrad::nn::{
    Activation, AdaptiveLogSoftmaxWithLoss, Bilinear, ChannelShuffle, EmbeddingBag, Fold, Layer, LocalResponseNorm,
    LpPool1d, LpPool2d, Pad1d, Pad2d, Pad3d, Phase, PixelShuffle, PixelUnshuffle, RRelu, Unfold,
};
use arenagrad::{BagMode, DType, Device, Graph, Init, Session, Sgd, Tape, Tensor};

use crate::suite::devices::devices;
use crate::suite::layers::{applied, assert_near, computed, given};

/// A layer, the shape and the shift of what it is applied to, and what PyTorch gives.
type Case<'a> = (Box<dyn Layer>, &'a [usize], f64, Vec<f64>);

#[test]
fn layers_without_parameters_are_those_of_pytorch() {
    let cases: Vec<Case<'_>> = vec![
        (
            Box::new(PixelShuffle::new(2)),
            &[1, 4, 1, 2],
            1.0,
            vec![0.375, 1.0, -0.75, -0.125, 1.625, -0.625, 0.5, 1.125],
        ),
        (
            Box::new(PixelUnshuffle::new(2)),
            &[1, 1, 2, 4],
            1.0,
            vec![0.375, 1.0, -0.75, -0.125, 1.625, -0.625, 0.5, 1.125],
        ),
        (Box::new(ChannelShuffle::new(2)), &[1, 4, 2], 1.0, vec![0.375, -0.75, 1.625, 0.5, 1.0, -0.125, -0.625, 1.125]),
        (
            Box::new(Unfold::new(2).stride(2).padding(1)),
            &[1, 1, 2, 3],
            1.0,
            vec![0.0, 0.0, 0.0, 1.625, 0.0, 0.0, -0.125, 0.5, 0.0, -0.75, 0.0, 0.0, 0.375, 1.0, 0.0, 0.0],
        ),
        (Box::new(Fold::new([2, 3], 2)), &[1, 4, 2], 1.0, vec![0.375, 0.25, -0.125, 1.625, -0.125, 1.125]),
        (
            Box::new(Pad1d::reflection([(2, 1)])),
            &[1, 2, 3],
            1.0,
            vec![1.0, -0.75, 0.375, -0.75, 1.0, -0.75, 0.5, 1.625, -0.125, 1.625, 0.5, 1.625],
        ),
        (
            Box::new(Pad2d::replication([(0, 2), (1, 0)])),
            &[1, 2, 3],
            1.0,
            vec![
                0.375, 0.375, -0.75, 1.0, -0.125, -0.125, 1.625, 0.5, -0.125, -0.125, 1.625, 0.5, -0.125, -0.125,
                1.625, 0.5,
            ],
        ),
        (
            Box::new(Pad1d::circular([(1, 2)])),
            &[1, 2, 3],
            1.0,
            vec![1.0, 0.375, -0.75, 1.0, 0.375, -0.75, 0.5, -0.125, 1.625, 0.5, -0.125, 1.625],
        ),
        (
            Box::new(Pad2d::constant([(0, 1), (1, -1)], 7.0)),
            &[1, 2, 3],
            1.0,
            vec![7.0, 0.375, -0.75, 7.0, -0.125, 1.625, 7.0, 7.0, 7.0],
        ),
        (Box::new(Pad3d::zero([(0, 0), (1, 0), (0, 1)])), &[1, 1, 1, 2], 1.0, vec![0.0, 0.0, 0.0, 0.375, -0.75, 0.0]),
        (
            Box::new(LpPool2d::new(2.0, [2, 1])),
            &[1, 1, 4, 2],
            0.0,
            vec![2.42706097986845, 0.9100137361600648, 2.6516504294495533, 2.6010815058356016],
        ),
        (
            Box::new(LpPool1d::new(3.0, 2).stride(1)),
            &[1, 1, 4],
            0.0,
            vec![1.377749319992386, 2.0013012365414586, 2.0543371885389696],
        ),
        (
            Box::new(LocalResponseNorm::new(3).alpha(0.5).k(1.5)),
            &[1, 4, 2],
            1.0,
            vec![
                0.25298581067928516,
                -0.5280977604943027,
                0.5671310699638404,
                -0.0863317306722963,
                0.9082956737114652,
                0.3278864730360755,
                -0.37090303899860744,
                0.73856656391185,
            ],
        ),
        (
            // More channels than there are.
            Box::new(LocalResponseNorm::new(9).alpha(2.0)),
            &[1, 2, 2],
            1.0,
            vec![0.31655212416290324, -0.6850040015232969, 0.8441389977677419, -0.11416733358721615],
        ),
        (
            Box::new(Activation::softmin(-1)),
            &[2, 3],
            1.0,
            vec![
                0.21666226984287765,
                0.6673667740948568,
                0.11597095606226562,
                0.5851253967012008,
                0.10167954759777373,
                0.3131950557010256,
            ],
        ),
        (Box::new(Activation::hardshrink(0.5)), &[2, 3], 1.0, vec![0.0, -0.75, 1.0, 0.0, 1.625, 0.0]),
        (Box::new(Activation::softshrink(0.5)), &[2, 3], 1.0, vec![0.0, -0.25, 0.5, 0.0, 1.125, 0.0]),
        (
            Box::new(Activation::tanhshrink()),
            &[2, 3],
            1.0,
            vec![
                0.01664260164921405,
                -0.1148510476127127,
                0.23840584404423515,
                -0.0006469982284037917,
                0.699653774688259,
                0.03788284273999026,
            ],
        ),
        (Box::new(Activation::threshold(0.1, 20.0)), &[2, 3], 1.0, vec![0.375, 20.0, 1.0, 20.0, 1.625, 0.5]),
        (
            // Softmax2d.
            Box::new(Activation::softmax(-3)),
            &[1, 3, 1, 2],
            1.0,
            vec![
                0.15726759716415167,
                0.15726759716415167,
                0.2938145526370056,
                0.2938145526370056,
                0.5489178501988426,
                0.5489178501988426,
            ],
        ),
    ];
    for (layer, shape, shift, expected) in cases {
        let x = given(shape, shift);
        let g = Graph::new();
        let y = layer.forward(g.input_of("x", shape.to_vec(), DType::F64), Phase::Training);
        let kind = g.layers()[0].kind.clone();
        // Away from the corners that some have at eighths.
        let beside = x.to_f64_vec().iter().map(|element| element + 0.01).collect::<Vec<f64>>();
        let beside = Tensor::new(shape.to_vec(), beside).unwrap();
        let report = GradCheck::new().graph(&g, &[y], &["x"], &[("x", &beside)]).unwrap();
        assert!(report.passed(), "{kind}: {report}");
        for phase in [Phase::Training, Phase::Evaluation] {
            assert_near(&applied(&*layer, phase, &x, &[]), &expected, 1e-12, &kind);
            let tape = Tape::new(Device::cpu());
            let y = tape.leaf(x.clone()).map(|x| layer.forward(x, phase));
            assert_near(&y.data().unwrap().to_f64_vec(), &expected, 1e-12, &kind);
        }
    }
}

#[test]
fn neighbouring_channels_have_their_part_in_gradients() {
    let g = Graph::new();
    let x = g.input_of("x", [1, 4, 2], DType::F64);
    let weights = g.input_of("weights", [1, 4, 2], DType::F64);
    let y = LocalResponseNorm::new(3).alpha(0.5).k(1.5).apply(x);
    let [gradient] = (y * weights).sum(..).grad([x]).unwrap();
    let found = computed(&g, &[gradient], &[("x", &given(&[1, 4, 2], 1.0)), ("weights", &given(&[1, 4, 2], 0.5))], &[]);
    let expected = [
        0.5405822822084154,
        -0.16423145146817522,
        0.495942381895409,
        0.26679978927045805,
        0.6551115341844129,
        0.5492934264451973,
        0.06829023569518555,
        0.8216807305968432,
    ];
    assert_near(&found[0], &expected, 1e-12, "gradient");
    // An even number of channels has one more in front.
    let x =
        Tensor::new([1, 3, 1, 2], given(&[1, 3, 1, 2], 1.0).to_f64_vec().iter().map(|x| x * 10.0).collect::<Vec<_>>());
    let expected = [
        3.741999939189675,
        -7.491880385027954,
        9.92968296077671,
        -1.2480625913899142,
        16.135734811262154,
        4.992250365559657,
    ];
    let y = applied(&LocalResponseNorm::new(4), Phase::Training, &x.unwrap(), &[]);
    assert_near(&y, &expected, 1e-12, "four channels");
}

/// The line that `docs/layers.md` has in the place of a layer.
#[test]
fn what_was_pooled_is_put_back_where_it_stood() {
    let g = Graph::new();
    let [n, c, h, w] = [1, 2, 2, 4];
    let x = g.input("x", [n, c, h, w]);
    let (values, indices) = x.max_pool2d_with_indices(2);
    let zeros = g.zeros([n, c, h * w], DType::F32);
    let y = zeros.scatter(2, indices.flatten_axes(2, -1), values.flatten_axes(2, -1)).reshape([n, c, h, w]);
    let x = given(&[n, c, h, w], 0.0).cast(DType::F32);
    let [first, second] = [0, 8].map(|plane| x.to_f64_vec()[plane..plane + 8].to_vec());
    let expected = [first, second].map(|plane| {
        let is_largest = |place: usize| {
            let corner = place % 4 / 2 * 2;
            [corner, corner + 1, corner + 4, corner + 5].iter().all(|other| plane[*other] <= plane[place])
        };
        (0..8).map(|place| if is_largest(place) { plane[place] } else { 0.0 }).collect::<Vec<f64>>()
    });
    assert_eq!(computed(&g, &[y], &[("x", &x)], &[])[0], expected.concat());
}

#[test]
fn two_operands_are_multiplied() {
    let layer = Bilinear::new("b", 3, 2, 2);
    let g = Graph::new();
    let (left, right) = (g.input_of("left", [2, 3], DType::F64), g.input_of("right", [2, 2], DType::F64));
    let y = layer.apply(left, right);
    let weight = layer.weight().of(&g, DType::F64);
    let gradients = (y * g.input_of("weights", [2, 2], DType::F64)).sum(..).grad([left, right, weight]).unwrap();
    let inputs = [("left", &given(&[2, 3], 1.5)), ("right", &given(&[2, 2], 0.5)), ("weights", &given(&[2, 2], 0.75))];
    let parameters = [("b.weight", &given(&[2, 3, 2], 1.0)), ("b.bias", &given(&[2], 1.0))];
    let found = computed(&g, &[[y].as_slice(), &gradients].concat(), &inputs, &parameters);
    assert_near(&found[0], &[-0.173828125, 0.236328125, 1.833984375, 0.310546875], 1e-14, "output");
    let left = [0.736328125, 0.78515625, 0.474609375, 0.287109375, 1.8984375, 3.375];
    assert_near(&found[1], &left, 1e-14, "left");
    assert_near(&found[2], &[-0.498046875, 1.6015625, 1.162109375, 0.568359375], 1e-14, "right");
    let weight = [
        -1.240234375,
        -0.2734375,
        1.42578125,
        0.72265625,
        0.2734375,
        -0.078125,
        -0.0625,
        -0.044921875,
        0.7578125,
        -0.103515625,
        -0.21875,
        0.0625,
    ];
    assert_near(&found[3], &weight, 1e-14, "weight");
    let values = [("left", &given(&[2, 3], 1.5)), ("right", &given(&[2, 2], 0.5))];
    let report = GradCheck::new().graph(&g, &[y], &["left", "right", "b.weight", "b.bias"], &values).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn bags_leave_padding_out() {
    let indices = Tensor::new([3, 3], vec![0, 1, 2, 1, 1, 4, 1, 1, 1]).unwrap();
    let cases = [
        (BagMode::Sum, [2.0, -0.25, 0.0, 1.75, 0.0, 0.0], [0.625, -0.5, 0.0, 0.0, 0.625, -0.5, 0.0, 0.0, 1.25, 0.125]),
        (
            BagMode::Mean,
            [1.0, -0.125, 0.0, 1.75, 0.0, 0.0],
            [0.3125, -0.25, 0.0, 0.0, 0.3125, -0.25, 0.0, 0.0, 1.25, 0.125],
        ),
        (BagMode::Max, [1.625, 0.5, 0.0, 1.75, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.625, -0.5, 0.0, 0.0, 1.25, 0.125]),
    ];
    for (mode, expected, gradients) in cases {
        let table = EmbeddingBag::new("bag", 5, 2).mode(mode).padding(-4).dtype(DType::F64);
        let g = Graph::new();
        let y = table.apply(g.input_of("i", [3, 3], DType::I32));
        let weights = g.input_of("weights", [3, 2], DType::F64);
        let [gradient] = (y * weights).sum(..).grad([table.weight().of(&g, DType::F64)]).unwrap();
        let inputs = [("i", &indices), ("weights", &given(&[3, 2], 0.75))];
        let found = computed(&g, &[y, gradient], &inputs, &[("bag.weight", &given(&[5, 2], 1.0))]);
        assert_near(&found[0], &expected, 1e-14, "output");
        assert_near(&found[1], &gradients, 1e-14, "gradient");
        // The vector of padding is 0 at first, those of the others are not.
        let session = Session::evaluate(&g, &[y], &Device::cpu()).unwrap();
        let first = session.parameter("bag.weight").unwrap().to_f64_vec();
        let zeros = first.iter().filter(|value| **value == 0.0).count();
        assert!(first[2..4] == [0.0, 0.0] && zeros == 2, "{first:?}");
    }
    let table = EmbeddingBag::new("bag", 5, 2).mode(BagMode::Sum).include_last_offset().dtype(DType::F64);
    let g = Graph::new();
    let (i, weights) = (g.input_of("i", [4], DType::I32), g.input_of("weights", [4], DType::F64));
    let y = table.apply_bags(i, Some(&[0, 2, 2, 4]), Some(weights));
    let inputs = [("i", &Tensor::new([4], vec![0, 3, 2, 4]).unwrap()), ("weights", &given(&[4], 1.0))];
    let found = computed(&g, &[y], &inputs, &[("bag.weight", &given(&[5, 2], 1.0))]);
    assert_near(&found[0], &[0.609375, -1.125, 0.0, 0.0, 1.625, 0.28125], 1e-14, "bags at offsets");
}

#[test]
fn rare_classes_share_their_probability() {
    let layer = AdaptiveLogSoftmaxWithLoss::new("s", 4, 7, [2, 4]).div_value(2.0).head_bias();
    let parameters = [
        ("s.head.weight", given(&[4, 4], 1.25)),
        ("s.head.bias", given(&[4], 1.25)),
        ("s.tail.0.0.weight", given(&[2, 4], 1.25)),
        ("s.tail.0.1.weight", given(&[2, 2], 1.25)),
        ("s.tail.1.0.weight", given(&[1, 4], 1.25)),
        ("s.tail.1.1.weight", given(&[3, 1], 1.25)),
    ];
    let parameters: Vec<(&str, &Tensor)> = parameters.iter().map(|(name, value)| (*name, value)).collect();
    let g = Graph::new();
    let x = g.input_of("x", [4, 4], DType::F64);
    let (chosen, loss) = layer.apply(x, g.input_of("labels", [4], DType::I32));
    let of = |name: &str| g.expr(g.declaration_named(name).expect("declared").node);
    let gradients = loss.grad([x, of("s.head.bias"), of("s.tail.1.0.weight"), of("s.tail.1.1.weight")]).unwrap();
    let all = layer.log_prob(x);
    let (given_x, labels) = (given(&[4, 4], 1.5), Tensor::new([4], vec![0, 3, 6, 1]).unwrap());
    let outputs = [[chosen, loss, all, all.argmax(-1)].as_slice(), &gradients].concat();
    let found = computed(&g, &outputs, &[("x", &given_x), ("labels", &labels)], &parameters);
    let expected = [-0.13168805112043933, -3.6944805627719233, -7.212415278959935, -1.3417602177602714];
    assert_near(&found[0], &expected, 1e-12, "of the labels");
    assert_near(&found[1], &[3.0950860276531422], 1e-12, "loss");
    let second = [
        -3.8520920147353306,
        -0.9614670147353307,
        -5.032371187771923,
        -3.6944805627719233,
        -2.0587136087973317,
        -1.0040261087973317,
        -2.6446511087973312,
    ];
    assert_near(&found[2][7..14], &second, 1e-12, "of all classes");
    assert_eq!(found[3], [0.0, 1.0, 2.0, 5.0]);
    let x = [0.003265824379248887, 0.060068051849920055, -0.028615340017690914, 0.0032658243792488767];
    assert_near(&found[4][..4], &x, 1e-12, "gradient of x");
    let bias = [-0.014050461546224708, -0.08581333634841933, 0.029304808892444502, 0.07055898900219956];
    assert_near(&found[5], &bias, 1e-12, "gradient of the bias");
    let narrow = [0.15412762508687777, -0.3853190627171944, -0.03853190627171944, 0.30825525017375555];
    assert_near(&found[6], &narrow, 1e-12, "gradient of a tail");
    assert_near(&found[7], &[-0.050537740819025505, -0.13057387389840874, 0.18111161471743423], 1e-12, "its classes");

    let values = [("x", &given_x), ("labels", &labels)];
    let report = GradCheck::new().graph(&g, &[loss], &[], &values).unwrap();
    assert!(report.passed(), "{report}");
    // Without a batch, and a label that is no class.
    let one = Graph::new();
    let labels = one.input_of("label", [], DType::I32);
    let (chosen, loss) = layer.apply(one.input_of("x", [4], DType::F64), labels);
    let mut session = Session::evaluate(&one, &[chosen, loss], &Device::cpu()).unwrap();
    let (x, label) = (given(&[4], 1.5), |label: i32| Tensor::new([], vec![label]).unwrap());
    let found = session.run(&[("x", &x), ("label", &label(6))]).unwrap();
    assert_eq!(found[0].to_f64_vec(), [-found[1].to_f64_vec()[0]]);
    assert!(session.run(&[("x", &x), ("label", &label(7))]).is_err());
}

#[test]
fn slopes_are_drawn_in_training_alone() {
    let layer = RRelu::new();
    let expected = [0.375, -0.171875, 1.0, -0.028645833333333332, 1.625, 0.5];
    assert_near(&applied(&layer, Phase::Evaluation, &given(&[2, 3], 1.0), &[]), &expected, 1e-15, "in evaluation");
    let x = Tensor::new([2, 500], (0..1000).map(|place| if place < 500 { -1.0f32 } else { 2.0 }).collect::<Vec<f32>>());
    let x = x.unwrap();
    for device in devices() {
        let g = Graph::new();
        let w = g.parameter("w", [], Init::Constant(1.0));
        let input = g.input("x", [2, 500]);
        let y = layer.bounds(0.25, 0.75).apply(input, Phase::Training);
        let [slope] = y.sum(..).grad([input]).unwrap();
        let builder = Session::builder(device).seed(1).metrics(&[y, slope]);
        let mut session = builder.train(&g, (y * w).sum(..), &Sgd::new(0.0)).unwrap();
        let steps: Vec<[Vec<f64>; 2]> = (0..2)
            .map(|_| {
                let step = session.step_with_metrics(&[("x", &x)]).unwrap();
                [0, 1].map(|metric| step.metrics[metric].to_f64_vec())
            })
            .collect();
        for [y, slope] in &steps {
            assert!(y[500..].iter().all(|y| *y == 2.0) && slope[500..].iter().all(|slope| *slope == 1.0));
            assert!(y[..500].iter().zip(slope).all(|(y, slope)| *y == -slope && (0.25..0.75).contains(slope)));
            // Of 500 draws the mean is within five deviations of its own.
            let mean = slope[..500].iter().sum::<f64>() / 500.0;
            assert!((mean - 0.5).abs() < 5.0 * 0.5 / 12.0f64.sqrt() / 500.0f64.sqrt(), "{mean}");
        }
        assert_ne!(steps[0], steps[1]);
    }
}
