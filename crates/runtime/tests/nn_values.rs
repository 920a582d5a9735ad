//! What layers compute, against what PyTorch's modules of the same name gave in f64 for the same numbers.

use arenagrad::nn::{
    BatchNorm, Conv1d, Dropout1d, Dropout2d, Dropout3d, Embedding, InstanceNorm1d, Layer, Linear, PRelu, Phase, RmsNorm,
};
use arenagrad::{ConvolutionPadding, DType, Device, Expr, Graph, PadMode, Session, Sgd, Tensor};

use crate::suite::devices::devices;
use crate::suite::layers::{applied, assert_near, given};

/// Mean, variance and count after one step in which the layer is applied twice, and what evaluation then gives.
fn two_applications(norm: &BatchNorm, dtype: DType, device: Device) -> ([Vec<f64>; 3], Vec<f64>) {
    let g = Graph::new();
    let (a, b) = (g.input_of("a", [3, 2, 4], dtype), g.input_of("b", [2, 2, 3], dtype));
    let loss = norm.apply(a, Phase::Training).square().sum(..) + norm.apply(b, Phase::Training).sum(..);
    let mut session = Session::train(&g, loss, Sgd::new(0.0), device).unwrap_or_else(|error| panic!("{error}"));
    let evaluation = Graph::new();
    let y = norm.apply(evaluation.input_of("x", [1, 2, 2], dtype), Phase::Evaluation);
    let predict = session.add(&evaluation, &[y]).unwrap();
    let [a, b, x] = [given(&[3, 2, 4], 1.0), given(&[2, 2, 3], 2.0), given(&[1, 2, 2], 1.0)].map(|one| one.cast(dtype));
    session.step(&[("a", &a), ("b", &b)]).unwrap();
    let states = ["running_mean", "running_var", "num_batches_tracked"]
        .map(|part| session.parameter(&format!("bn.{part}")).unwrap().to_f64_vec());
    (states, session.run_plan(predict, &[("x", &x)]).unwrap()[0].to_f64_vec())
}

#[test]
fn running_statistics_follow_two_applications_in_one_step() {
    let tenth = ([-0.060625, 0.011458333333333334], [0.9355681818181819, 0.9547348484848486]);
    let third = ([-0.195625, 0.003125], [0.8249715909090908, 0.8824715909090908]);
    let mean = ([-0.2916666666666667, 0.08333333333333334], [0.6626183712121212, 0.7584517045454544]);
    let evaluated = [
        [0.450373421309181, -0.712714323822133, 1.011698992548087, -0.13965497157407733],
        [0.6282444578533243, -0.6103535970601299, 1.0611771196981712, -0.13638953576058],
        [0.8189808135390886, -0.5630493093081232, 1.0525545434073913, -0.23921694168349805],
    ];
    let norm = BatchNorm::new("bn", 2);
    let layers = [(norm.clone(), tenth), (norm.clone().momentum(0.3), third), (norm.cumulative(), mean)];
    for ((norm, (mean, variance)), evaluated) in layers.into_iter().zip(evaluated) {
        let mut runs = vec![(DType::F64, Device::cpu(), 1e-12)];
        runs.extend(devices().into_iter().map(|device| (DType::F32, device, 2e-6)));
        for (dtype, device, tolerance) in runs {
            let what = format!("{norm:?}, {device}, {dtype}");
            let (states, y) = two_applications(&norm, dtype, device);
            assert_near(&states[0], &mean, tolerance, &what);
            assert_near(&states[1], &variance, tolerance, &what);
            assert_eq!(states[2], [2.0], "{what}");
            assert_near(&y, &evaluated, tolerance, &what);
        }
    }
}

#[test]
fn instances_are_normalised_and_followed() {
    let norm = InstanceNorm1d::new("in", 2).affine().running_statistics();
    let g = Graph::new();
    let y = norm.apply(g.input_of("x", [3, 2, 4], DType::F64), Phase::Training);
    let mut session = Session::train(&g, y.sum(..), Sgd::new(0.0), Device::cpu()).unwrap();
    let outputs = session.add(&g, &[y]).unwrap();
    session.set_parameter("in.weight", &Tensor::new([2], vec![0.5, 2.0]).unwrap()).unwrap();
    session.set_parameter("in.bias", &Tensor::new([2], vec![0.25, -1.0]).unwrap()).unwrap();
    let evaluation = Graph::new();
    let batched = norm.apply(evaluation.input_of("batched", [1, 2, 2], DType::F64), Phase::Evaluation);
    let alone = norm.apply(evaluation.input_of("alone", [2, 2], DType::F64), Phase::Evaluation);
    let predict = session.add(&evaluation, &[batched, alone]).unwrap();

    let x = given(&[3, 2, 4], 1.0);
    let first = session.run_plan(outputs, &[("x", &x)]).unwrap()[0].to_f64_vec();
    let expected = [
        0.44425482676695266,
        -0.42989189368433434,
        0.9298918936843343,
        0.05574517323304734,
        1.305788481623265,
        -1.3719013680037522,
        -4.049591217630769,
        0.1157041040112573,
    ];
    assert_near(&first[..8], &expected, 1e-12, "in training");
    session.step(&[("x", &x)]).unwrap();
    let state = |part: &str| session.parameter(&format!("in.{part}")).unwrap().to_f64_vec();
    assert_near(&state("running_mean"), &[0.02291666666666667, 0.052083333333333336], 1e-12, "mean");
    assert_near(&state("running_var"), &[0.9811631944444444, 0.9811631944444444], 1e-12, "variance");
    // PyTorch's instance normalisation does not count.
    assert_eq!(state("num_batches_tracked"), [0.0]);
    let expected = [0.4277225901881656, -0.14014840804620965, 0.9139355866417833, -1.3575484062957177];
    let results =
        session.run_plan(predict, &[("batched", &given(&[1, 2, 2], 1.0)), ("alone", &given(&[2, 2], 1.0))]).unwrap();
    assert_near(&results[0].to_f64_vec(), &expected, 1e-12, "in evaluation");
    assert_near(&results[1].to_f64_vec(), &expected, 1e-12, "in evaluation, without a batch");

    let without_batch = [
        0.23017194005266392,
        -1.3234886553028178,
        1.0933167152501537,
        -1.0933167152501537,
        1.3234886553028178,
        -0.23017194005266395,
    ];
    for phase in [Phase::Training, Phase::Evaluation] {
        let y = applied(&InstanceNorm1d::new("in", 2), phase, &given(&[2, 3], 1.0), &[]);
        assert_near(&y, &without_batch, 1e-12, "without a batch");
    }
}

#[test]
fn convolutions_pad_with_what_the_mode_says() {
    let numbers = [
        (PadMode::Reflect, [0.90625, 1.6875, 3.328125, 2.546875, -0.640625, -1.65625, -0.171875, 0.84375]),
        (PadMode::Replicate, [1.734375, 1.6875, 3.328125, 5.015625, 0.625, -1.65625, -0.171875, 3.59375]),
        (PadMode::Circular, [2.703125, 1.6875, 3.328125, 0.359375, 2.25, -1.65625, -0.171875, 2.59375]),
    ];
    let same = [
        [-0.046875, 2.015625, 0.65625, 3.34375, 1.125, -0.0625, -1.703125, 1.03125, 0.015625, 2.828125],
        [2.203125, 2.015625, 0.65625, 5.09375, 2.40625, 1.34375, -1.703125, 1.03125, 0.453125, 2.328125],
        [4.703125, 2.015625, 0.65625, 3.84375, -0.4375, 2.90625, -1.703125, 1.03125, 0.140625, 2.203125],
    ];
    let (x, bias) = (given(&[1, 2, 5], 1.0), Tensor::new([2], vec![0.5, -0.5]).unwrap());
    for ((mode, expected), same) in numbers.into_iter().zip(same) {
        let conv = Conv1d::new("c", 2, 2, 3).padding(2).stride(2).padding_mode(mode);
        let parameters = [("c.weight", &given(&[2, 2, 3], 1.0)), ("c.bias", &bias)];
        assert_near(&applied(&conv, Phase::Training, &x, &parameters), &expected, 1e-12, "numbers");
        let conv = Conv1d::new("c", 2, 2, 4).padding(ConvolutionPadding::Same).padding_mode(mode);
        let parameters = [("c.weight", &given(&[2, 2, 4], 1.0)), ("c.bias", &bias)];
        assert_near(&applied(&conv, Phase::Training, &x, &parameters), &same, 1e-12, "same");
    }
}

#[test]
fn the_vector_of_padding_is_read_and_gets_no_gradient() {
    let table = Embedding::new("e", 4, 2).padding(-3).dtype(DType::F64);
    let g = Graph::new();
    let indices = g.input_of("i", [2, 3], DType::I32);
    let vectors = table.apply(indices);
    let weight = table.weight().of(&g, DType::F64);
    let scale = g.input_of("scale", [2, 3, 2], DType::F64);
    let [gradient] = (vectors * scale).sum(..).grad([weight]).unwrap();
    let mut session = Session::evaluate(&g, &[vectors, gradient], &Device::cpu()).unwrap();
    // Its first value is 0, those of the others are not.
    let first = session.parameter("e.weight").unwrap().to_f64_vec();
    assert!(first[2..4] == [0.0, 0.0] && first.iter().filter(|value| **value == 0.0).count() == 2, "{first:?}");
    session.set_parameter("e.weight", &given(&[4, 2], 1.0)).unwrap();
    let (i, scale) = (Tensor::new([2, 3], vec![0, 1, 2, 1, 1, 3]).unwrap(), given(&[2, 3, 2], 1.0));
    let results = session.run(&[("i", &i), ("scale", &scale)]).unwrap();
    let expected = [0.375, -0.75, 1.0, -0.125, 1.625, 0.5, 1.0, -0.125, 1.0, -0.125, -0.625, 1.125];
    assert_eq!(results[0].to_f64_vec(), expected);
    assert_eq!(results[1].to_f64_vec(), [0.375, -0.75, 0.0, 0.0, 1.625, 0.5, 0.625, -0.5]);
}

#[test]
fn other_layers_are_those_of_pytorch() {
    let small = given(&[2, 3], 1.0).to_f64_vec().iter().map(|element| element * 1e-4).collect::<Vec<f64>>();
    let y = applied(&RmsNorm::new("n", [3]), Phase::Training, &Tensor::new([2, 3], small).unwrap(), &[]);
    let expected = [
        0.49770112751524426,
        -0.9954022550304885,
        1.327203006707318,
        -0.1270001255447225,
        1.6510016320813927,
        0.50800050217889,
    ];
    assert_near(&y, &expected, 1e-12, "rms");
    let y = applied(&PRelu::new("p", 2), Phase::Training, &given(&[2, 2, 2], 1.0), &[]);
    assert_eq!(y, [0.375, -0.1875, 1.0, -0.03125, 1.625, 0.5, -0.15625, 1.125]);
}

/// The masked tensor of ones for each step of a session with that seed.
fn masks(layer: &dyn Layer, shape: &[usize], seed: u64, device: Device) -> Vec<Vec<f64>> {
    let g = Graph::new();
    let y: Expr<'_> = layer.forward(g.input("x", shape.to_vec()), Phase::Training);
    let w = g.parameter("w", [], arenagrad::Init::Constant(1.0));
    let mut session = Session::builder(device)
        .seed(seed)
        .metrics(&[y])
        .train(&g, (y * w).sum(..), &Sgd::new(0.0))
        .unwrap_or_else(|error| panic!("{error}"));
    let ones = Tensor::new(shape.to_vec(), vec![1.0f32; shape.iter().product()]).unwrap();
    (0..3).map(|_| session.step_with_metrics(&[("x", &ones)]).unwrap().metrics[0].to_f64_vec()).collect()
}

#[test]
fn whole_channels_are_dropped_anew_in_each_step() {
    let layers: [(&dyn Layer, &[usize], usize); 5] = [
        (&Dropout1d::new(0.25), &[40, 5, 6], 6),
        (&Dropout1d::new(0.25), &[200, 6], 6),
        (&Dropout2d::new(0.25), &[40, 5, 2, 3], 6),
        (&Dropout2d::new(0.25), &[40, 5, 6], 6),
        (&Dropout3d::new(0.25), &[200, 2, 3, 1], 6),
    ];
    for device in devices() {
        for (layer, shape, channel) in layers {
            let steps = masks(layer, shape, 1, device.clone());
            for step in &steps {
                let mut dropped = 0;
                for channel in step.chunks_exact(channel) {
                    let is_kept = (channel[0] - 4.0 / 3.0).abs() < 1e-6;
                    assert!(
                        (is_kept || channel[0] == 0.0) && channel.iter().all(|one| *one == channel[0]),
                        "{channel:?}"
                    );
                    dropped += usize::from(!is_kept);
                }
                // 200 channels: 50 within five deviations of 6.1.
                assert!((20..80).contains(&dropped), "{dropped}");
            }
            assert!(steps[0] != steps[1] && steps[1] != steps[2]);
            assert_eq!(masks(layer, shape, 1, device.clone()), steps);
            assert_ne!(masks(layer, shape, 2, device.clone()), steps);
        }
    }
}

#[test]
fn nothing_is_learned_from_nothing() {
    let g = Graph::new();
    let (norm, dense) = (BatchNorm::new("bn", 2), Linear::new("fc", 0, 3));
    let empty = norm.apply(g.input("x", [0, 2, 4]), Phase::Training).sum(..);
    let loss = empty + dense.apply(g.input("none", [2, 0])).square().sum(..);
    let mut session = Session::train(&g, loss, Sgd::new(0.1), Device::cpu()).unwrap();
    let (x, none) = (Tensor::zeros([0, 2, 4], DType::F32).unwrap(), Tensor::zeros([2, 0], DType::F32).unwrap());
    assert_eq!(session.step(&[("x", &x), ("none", &none)]).unwrap(), 0.0);
    let of = |name: &str| session.parameter(name).unwrap().to_f64_vec();
    assert_eq!([of("bn.running_mean"), of("bn.running_var")], [[0.0; 2], [1.0; 2]]);
    assert_eq!((of("bn.num_batches_tracked"), of("fc.bias")), (vec![1.0], vec![0.0; 3]));
}
