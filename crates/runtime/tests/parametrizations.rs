//! Weight and spectral normalisation: values, gradients, states and first values, against what PyTorch's parametrisations gave in f64 for
//! the same numbers.

use arenagrad::check::GradCheck;
use arenagrad::nn::{
    Conv1d, ConvTranspose1d, Layer, Linear, Parameter, Phase, Sequential, SpectralNorm, WeightNorm, Weighted,
};
use arenagrad::{Adam, DType, Device, Expr, Graph, Init, Session, Sgd, Tape, TapeOptimizer, Tensor};

use crate::suite::devices::devices;
use crate::suite::layers::{assert_near, computed, given, unit};

const LENGTHS: &str = "fc.parametrizations.weight.original0";
const DIRECTIONS: &str = "fc.parametrizations.weight.original1";

/// Output, and gradients of lengths, directions and input.
struct Normed {
    output: [f64; 4],
    lengths: &'static [f64],
    directions: [f64; 6],
    input: [f64; 6],
}

#[test]
fn weights_are_lengths_times_directions() {
    let layer = || WeightNorm::new(Linear::new("fc", 3, 2));
    let by_rows = Normed {
        output: [2.3729657668284956, -1.526771437378731, -1.1739846956310807, 0.08863818902836418],
        lengths: &[-0.366667874811222, 0.6576206564238812],
        directions: [
            -1.0833213002286244,
            0.5952088512662974,
            0.8526521260354571,
            0.014339486045434752,
            0.061053688007881926,
            -0.19483961451425774,
        ],
        input: [
            0.3642321374645648,
            -1.0309239496606708,
            0.7879768061288144,
            0.6665975232794962,
            -1.257580127876107,
            1.8234206188561624,
        ],
    };
    let by_columns = Normed {
        output: [1.6635533821396935, -0.9680790459340295, -1.0903185771362949, 0.38667014397323785],
        lengths: &[-0.8103336504181472, 0.4332450428445665, 0.16770509831248423],
        directions: [
            -0.42987211942913905,
            0.33799341721800347,
            0.36336104634371585,
            -1.2896163582874172,
            0.1559969617929247,
            -0.7267220926874317,
        ],
        input: [
            1.4082017705437315,
            -0.5369182898728633,
            0.8385254915624212,
            2.1493605971456953,
            -0.3077458490734704,
            2.934839220468474,
        ],
    };
    let whole = Normed {
        output: [1.5894797664099096, -2.2919799281384243, -0.5665629649694803, 0.9147924887866175],
        lengths: &[0.2992987589130039],
        directions: [
            -0.7961769468462144,
            0.6371450886509271,
            0.15116815374700374,
            0.0015727408896567124,
            0.4708046110272351,
            -0.2792077649990559,
        ],
        input: [
            0.25927096136840766,
            -1.1189588859057593,
            0.32750016172851487,
            0.3957293620886222,
            -0.6413544833850084,
            1.1462505660498021,
        ],
    };
    let layers =
        [(layer(), [2, 1].as_slice(), by_rows), (layer().axis(1), &[1, 3], by_columns), (layer().whole(), &[], whole)];
    for (layer, shape, expected) in layers {
        for phase in [Phase::Training, Phase::Evaluation] {
            let g = Graph::new();
            let x = g.input_of("x", [2, 3], DType::F64);
            let y = layer.forward(x, phase);
            let [lengths, directions] = [layer.lengths(), layer.directions()].map(|one| one.of(&g, DType::F64));
            let weights = g.input_of("weights", [2, 2], DType::F64);
            let gradients = (y * weights).sum(..).grad([lengths, directions, x]).unwrap();
            let outputs = [[y].as_slice(), &gradients].concat();
            let inputs = [("x", &given(&[2, 3], 1.5)), ("weights", &given(&[2, 2], 0.75))];
            let (lengths, directions) = (given(shape, -0.5), given(&[2, 3], 1.0));
            let parameters = [(LENGTHS, &lengths), (DIRECTIONS, &directions), ("fc.bias", &given(&[2], 1.0))];
            let found = computed(&g, &outputs, &inputs, &parameters);
            assert_near(&found[0], &expected.output, 1e-12, "output");
            assert_near(&found[1], expected.lengths, 1e-12, "lengths");
            assert_near(&found[2], &expected.directions, 1e-12, "directions");
            assert_near(&found[3], &expected.input, 1e-12, "input");
        }
    }
}

/// The layer as PyTorch's was made: the weight that is divided, and both vectors.
fn spectral(layer: &SpectralNorm<impl Weighted>, dtype: DType, session: &mut Session) {
    let shape = layer.original().shape().clone();
    let (left, right) = layer.vectors();
    let vectors = [(left.name(), unit(left.shape()[0], 0.25)), (right.name(), unit(right.shape()[0], -0.25))];
    session.set_parameter(layer.original().name(), &given(&shape, 1.0).cast(dtype)).unwrap();
    for (name, vector) in &vectors {
        session.set_parameter(name, &vector.cast(dtype)).unwrap();
    }
}

/// What a layer gives in evaluation, in a step that applies it to `x` and to `2 x`, and in evaluation behind that step.
struct Divided<'a> {
    before: &'a [f64],
    output: &'a [f64],
    gradient: &'a [f64],
    left: &'a [f64],
    right: &'a [f64],
    behind: &'a [f64],
}

fn is_divided<L: Weighted>(layer: &SpectralNorm<L>, x: &[usize], y: &[usize], expected: &Divided<'_>) {
    let mut runs = vec![(DType::F64, Device::cpu(), 1e-12)];
    runs.extend(devices().into_iter().map(|device| (DType::F32, device, 1e-5)));
    for (dtype, device, tolerance) in runs {
        let what = |part: &str| format!("{part} of {:?}, {device}, {dtype}", layer.original().name());
        let g = Graph::new();
        let input = g.input_of("x", x.to_vec(), dtype);
        let output = layer.apply(input, Phase::Training) + layer.apply(input * 2.0, Phase::Training);
        let weights = g.input_of("weights", y.to_vec(), dtype);
        let loss = (output * weights).sum(..);
        let [gradient] = loss.grad([layer.original().of(&g, dtype)]).unwrap();
        let mut session = Session::train(&g, loss, Sgd::new(0.0), device.clone()).unwrap();
        let outputs = session.add(&g, &[output, gradient]).unwrap();
        let evaluation = Graph::new();
        let divided = layer.apply(evaluation.input_of("x", x.to_vec(), dtype), Phase::Evaluation);
        assert_eq!(evaluation.updates(), []);
        let predict = session.add(&evaluation, &[divided]).unwrap();
        spectral(layer, dtype, &mut session);

        let [x, weights] = [given(x, 1.5), given(y, 0.75)].map(|one| one.cast(dtype));
        let predicted = |session: &mut Session| session.run_plan(predict, &[("x", &x)]).unwrap()[0].to_f64_vec();
        assert_near(&predicted(&mut session), expected.before, tolerance, &what("evaluation"));
        let found = session.run_plan(outputs, &[("x", &x), ("weights", &weights)]).unwrap();
        assert_near(&found[0].to_f64_vec(), expected.output, tolerance, &what("output"));
        assert_near(&found[1].to_f64_vec(), expected.gradient, tolerance, &what("gradient"));
        assert_near(&predicted(&mut session), expected.before, tolerance, &what("evaluation without a step"));
        session.step(&[("x", &x), ("weights", &weights)]).unwrap();
        let (left, right) = layer.vectors();
        for (state, expected) in [(left, expected.left), (right, expected.right)] {
            let value = session.parameter(state.name()).unwrap().to_f64_vec();
            assert_near(&value, expected, tolerance, &what(state.name()));
        }
        assert_near(&predicted(&mut session), expected.behind, tolerance, &what("evaluation behind a step"));
    }
}

#[test]
fn weights_are_divided_by_their_largest_singular_value() {
    let layer = || SpectralNorm::new(Linear::new("fc", 3, 2).without_bias());
    let before = [1.5785625178748184, -2.0042422979758934, -1.2238293677905894, 2.163872215513796];
    let once = Divided {
        before: &before,
        output: &[3.391339149571949, -4.30585757192843, -2.629240464274882, 4.648801980312111],
        gradient: &[
            -2.243597760193964,
            1.123524844177639,
            -0.054120302842013135,
            -0.16850032226008793,
            1.4733059899042025,
            -1.3541433556577227,
        ],
        left: &[0.6790766007913328, 0.7340674153357367],
        right: &[0.12926060693504354, 0.5424119671320524, 0.8301090009189886],
        behind: &[1.1034881504066447, -1.4010579887185493, -0.8555132851467245, 1.5126466780855132],
    };
    is_divided(&layer(), &[2, 3], &[2, 2], &once);
    let thrice = Divided {
        before: &before,
        output: &[2.4621566242949546, -3.126108972419437, -1.9088630008578864, 3.3750911029661177],
        gradient: &[
            -1.5431618036601427,
            1.169346731139437,
            0.5075310254569431,
            0.021791654879168953,
            0.7712894263042017,
            -0.6049133232284868,
        ],
        left: &[-0.37357917341380925, 0.9275982973202652],
        right: &[-0.14161391962221442, 0.9886635034133217, 0.04989964717039355],
        behind: &[0.7691389479643688, -0.9765472035952096, -0.5962987349386679, 1.0543252994567751],
    };
    is_divided(&layer().iterations(3), &[2, 3], &[2, 2], &thrice);
    let older = Divided {
        before: &before,
        output: &[2.6198017486410965, -3.3262651415330775, -2.0310822545644456, 3.59118891386757],
        gradient: &[
            -1.7804598435330565,
            1.613967389444656,
            0.2269307052456505,
            0.08772471338048371,
            1.093099811573412,
            -0.2282086529429926,
        ],
        left: &[0.7028371822328661, -0.7113507540383752],
        right: &[0.2498334458414804, -0.8578057940993381, 0.4491686419915978],
        behind: &[0.8239540385323365, -1.0461438916197079, -0.6387958276261935, 1.1294650865274722],
    };
    is_divided(&layer().older_keys(), &[2, 3], &[2, 2], &older);
    // Of a transposed convolution the features are along the second axis.
    let transposed = Divided {
        before: &[
            -0.3418415289973292,
            0.5499189814304861,
            0.2229401276069538,
            -0.11890140139037537,
            -0.3418415289973291,
            -0.8917605104278153,
            0.10403872621657845,
            -2.6009681554144612,
            -0.29725350347593843,
        ],
        output: &[
            -0.4895184181273864,
            0.7874861509005782,
            0.319251142256991,
            -0.1702672758703953,
            -0.4895184181273865,
            -1.2770045690279648,
            0.14898386638659586,
            -3.724596659664897,
            -0.42566818967598824,
        ],
        gradient: &[
            1.22989820532829,
            -2.0298961710705283,
            -1.1746331226572302,
            -1.4630761413136582,
            -0.3207303476435738,
            -0.5234800831646675,
            0.9170550447285353,
            -1.0918014113262116,
            -1.1661667101089959,
            1.8268859534433122,
            -1.0874285072159078,
            1.849860209246748,
        ],
        left: &[0.2561990182142893, 0.7170274334463649, 0.6482543657788609],
        right: &[0.8321206764336644, 0.018880040380472477, 0.10924011105304939, 0.5434016213298688],
        behind: &[
            -0.1602147866256512,
            0.25773683065865627,
            0.10448790432107685,
            -0.055726882304574336,
            -0.1602147866256512,
            -0.4179516172843075,
            0.04876102201650254,
            -1.2190255504125636,
            -0.13931720576143583,
        ],
    };
    let conv = SpectralNorm::new(ConvTranspose1d::new("conv", 2, 3, 2).without_bias());
    is_divided(&conv, &[1, 2, 2], &[1, 3, 3], &transposed);
}

#[test]
fn gradients_are_those_of_central_differences() {
    let conv = || Conv1d::new("c", 2, 3, 2);
    let up = || ConvTranspose1d::new("c", 2, 3, 2);
    let normed = ["c.parametrizations.weight.original0", "c.parametrizations.weight.original1", "c.bias", "x"];
    // In training the vectors follow the weight, through which no gradient flows; in evaluation they stand.
    let divided = ["c.parametrizations.weight.original", "c.bias", "x"];
    let layers: [(&dyn Layer, &[&str]); 6] = [
        (&WeightNorm::new(conv()), &normed),
        (&WeightNorm::new(up()).axis(2), &normed),
        (&WeightNorm::new(up()).whole(), &normed),
        (&WeightNorm::new(conv()).older_keys(), &["c.weight_g", "c.weight_v", "c.bias", "x"]),
        (&SpectralNorm::new(conv()), &divided),
        (&SpectralNorm::new(up()).older_keys(), &["c.weight_orig", "c.bias", "x"]),
    ];
    for (layer, wrt) in layers {
        let g = Graph::new();
        let y = layer.forward(g.input_of("x", [2, 2, 4], DType::F64), Phase::Evaluation).tanh();
        for check in [GradCheck::new(), GradCheck::new().second()] {
            let report = check.graph(&g, &[y], wrt, &[("x", &given(&[2, 2, 4], 1.5))]).unwrap();
            assert!(report.passed(), "{wrt:?}: {report}");
        }
    }
}

#[test]
fn first_values_are_those_of_the_weight() {
    let g = Graph::new();
    let (conv, transposed) = (Conv1d::new("conv", 3, 4, 5), ConvTranspose1d::new("up", 4, 3, 2));
    let plain = Linear::new("plain", 6, 3);
    let x = g.input_of("x", [2, 3, 8], DType::F64);
    let h = WeightNorm::new(conv).apply(x);
    let h = SpectralNorm::new(transposed).apply(h, Phase::Evaluation);
    let whole = WeightNorm::new(plain).whole();
    let y = g.under_prefix("net", || whole.apply(h.slice(-1, 0, 5).pad([(0, 0), (0, 0), (0, 1)], 0.0)));
    let session = Session::builder(Device::cpu()).seed(3).evaluate(&g, &[y]).unwrap();
    let of = |name: &str| session.parameter(name).unwrap().to_f64_vec();
    let length = |vector: &[f64]| vector.iter().map(|element| element * element).sum::<f64>().sqrt();

    let directions = of("conv.parametrizations.weight.original1");
    let expected: Vec<f64> = directions.chunks(15).map(length).collect();
    assert_near(&of("conv.parametrizations.weight.original0"), &expected, 1e-14, "lengths");
    let directions = of("net.plain.parametrizations.weight.original1");
    let expected = [length(&directions)];
    assert_near(&of("net.plain.parametrizations.weight.original0"), &expected, 1e-14, "one length, under a prefix");

    // `[4, 3, 2]`, of which the features are along the second axis: a matrix of 3 x 8.
    let weight = of("up.parametrizations.weight.original");
    let matrix = |row: usize, column: usize| weight[(column / 2) * 6 + row * 2 + column % 2];
    let (left, right) = (of("up.parametrizations.weight.0._u"), of("up.parametrizations.weight.0._v"));
    let back: Vec<f64> = (0..8).map(|column| (0..3).map(|row| matrix(row, column) * left[row]).sum()).collect();
    let expected: Vec<f64> = back.iter().map(|element| element / length(&back)).collect();
    assert_near(&right, &expected, 1e-13, "right vector");
    let sigma: f64 =
        (0..3).map(|row| left[row] * (0..8).map(|column| matrix(row, column) * right[column]).sum::<f64>()).sum();
    // Many steps more find the same but for what the first ones left.
    let mut best = right.clone();
    for _ in 0..500 {
        let along: Vec<f64> = (0..3).map(|row| (0..8).map(|column| matrix(row, column) * best[column]).sum()).collect();
        let back: Vec<f64> = (0..8).map(|column| (0..3).map(|row| matrix(row, column) * along[row]).sum()).collect();
        best = back.iter().map(|element| element / length(&back)).collect();
    }
    let largest =
        length(&(0..3).map(|row| (0..8).map(|column| matrix(row, column) * best[column]).sum()).collect::<Vec<f64>>());
    assert!(
        (length(&left) - 1.0).abs() < 1e-14 && sigma <= largest * (1.0 + 1e-12) && sigma > 0.9 * largest,
        "{sigma} {largest}"
    );
}

/// `x` times a number for each feature, `NAME.scale`.
struct Scaled(Parameter);

impl Weighted for Scaled {
    fn weight(&self) -> Parameter {
        self.0.clone()
    }

    fn apply_with<'g>(&self, x: Expr<'g>, weight: &dyn Fn(DType) -> Expr<'g>) -> Expr<'g> {
        x * weight(DType::F64)
    }
}

#[test]
fn a_layer_of_ones_own_with_a_weight_of_one_axis() {
    let scaled = || Scaled(Parameter::new("s.scale", [2], Init::Values(vec![-3.0, 4.0])));
    let x = Tensor::new([1, 2], vec![2.0, 0.5]).unwrap();
    let applied = |layer: &dyn Layer, phase, names: &[&str]| {
        let g = Graph::new();
        let y = layer.forward(g.input_of("x", [1, 2], DType::F64), phase);
        let told: Vec<String> = g.declarations().into_iter().skip(1).map(|one| one.name).collect();
        assert_eq!(told, names);
        computed(&g, &[y], &[("x", &x)], &[]).remove(0)
    };
    let original = "s.parametrizations.scale.original";
    for phase in [Phase::Training, Phase::Evaluation] {
        let names = ["s.parametrizations.scale.original0", "s.parametrizations.scale.original1"];
        assert_near(&applied(&WeightNorm::new(scaled()), phase, &names), &[-6.0, 2.0], 1e-15, "by features");
        assert_near(&applied(&WeightNorm::new(scaled()).whole(), phase, &names), &[-6.0, 2.0], 1e-15, "as a whole");
        assert_near(&applied(&SpectralNorm::new(scaled()), phase, &[original]), &[-1.2, 0.4], 1e-15, "divided");
        let names = ["s.scale_orig", "s.scale_u", "s.scale_v"];
        let older = SpectralNorm::new(scaled()).older_keys();
        assert_near(&applied(&older, phase, &names), &[-1.2, 0.4], 1e-15, "older keys");
    }
}

#[test]
fn weights_of_nothing_are_taken() {
    let g = Graph::new();
    let x = g.input_of("x", [2, 0], DType::F64);
    let y = SpectralNorm::new(Linear::new("s", 0, 3)).apply(x, Phase::Training);
    let none = WeightNorm::new(Linear::new("w", 3, 0)).apply(y);
    let found = computed(&g, &[y, none], &[("x", &Tensor::zeros([2, 0], DType::F64).unwrap())], &[]);
    assert_eq!((found[0].len(), found[1].len()), (6, 0));
}

/// A network of both, as a discriminator has them.
fn network() -> Sequential {
    Sequential::new("net")
        .layer(|name| SpectralNorm::new(Conv1d::new(name, 2, 4, 3).padding(1)))
        .layer(|name| WeightNorm::new(Conv1d::new(name, 4, 4, 3)))
        .layer(|name| SpectralNorm::new(ConvTranspose1d::new(name, 4, 2, 2).stride(2)).iterations(2))
}

#[test]
fn a_tape_trains_as_a_session_does() {
    let batch = |step: usize| given(&[3, 2, 6], 1.0 + step as f64 / 8.0).cast(DType::F32);
    for device in devices() {
        let g = Graph::new();
        let loss = network().apply(g.input("x", [3, 2, 6]), Phase::Training).square().mean(..);
        let mut session = Session::builder(device.clone()).seed(5).train(&g, loss, &Adam::new(0.02)).unwrap();
        let tape = Tape::new(device).seed(5);
        let mut optimizer = TapeOptimizer::of_parameters(&tape, Adam::new(0.02)).unwrap();
        for step in 0..5 {
            let expected = session.step(&[("x", &batch(step))]).unwrap();
            let loss = tape.leaf(batch(step)).map(|x| network().apply(x, Phase::Training).square().mean(..));
            optimizer.zero_grad();
            loss.backward().unwrap();
            optimizer.step().unwrap();
            assert_eq!(loss.item().unwrap(), expected, "step {step}");
        }
        let names: Vec<String> = tape.parameters().into_iter().chain(tape.states()).map(|(name, _)| name).collect();
        assert!(names.iter().any(|name| name == "net.2.parametrizations.weight.0._u"), "{names:?}");
        for (name, value) in tape.parameters().into_iter().chain(tape.states()) {
            let expected = session.parameter(&name).unwrap().to_f64_vec();
            assert_eq!(value.data().unwrap().to_f64_vec(), expected, "{name}");
        }
    }
}
