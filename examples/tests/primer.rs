//! The primer's data, derivatives and training, with the lecture's numbers and with others.

use arenagrad::{Device, Error};
use arenagrad_examples::primer::{
    Dag, DataSet, End, Identifiability, LossGradient, Method, Options, Partials, PrimerError, SampleTable, Symbol,
    Trained, parse_truth, train,
};

const LECTURE: [&str; 4] = ["xx=xa^2", "xy=ab*xx+ac*xa", "xz=bc*xx+xy", "xw=cd*xx+xz^3"];
const LECTURE_TRUTH: &str = "ab=1.0,bc=2.0,cd=3.0,ac=4.0";
const DELTA: f64 = 1e-4;

fn lecture() -> Dag {
    Dag::parse(&LECTURE).unwrap()
}

fn sampled(dag: &Dag, truth: &str, size: usize) -> (Vec<f64>, DataSet) {
    let truth = parse_truth(dag, truth).unwrap();
    let data = DataSet::generate(dag, &truth, size, 7).unwrap();
    (truth, data)
}

fn options(method: Method, partials: Partials, steps: usize) -> Options {
    Options { method, partials, steps, batch_size: None, starts: 32, display_every: 100, first: None, seed: 0 }
}

fn trained(dag: &Dag, data: &DataSet, options: &Options, device: &Device) -> Result<Trained, PrimerError> {
    train(dag, data, options, device, |_| Ok(()))
}

/// The CPU, and the first adapter if there is one; with `ARENAGRAD_REQUIRE_GPU=1` there must be.
fn devices() -> Vec<Device> {
    match Device::gpu() {
        Ok(gpu) => vec![Device::cpu(), gpu],
        Err(Error::NoAdapter { reason }) => {
            let required = std::env::var("ARENAGRAD_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "ARENAGRAD_REQUIRE_GPU is set, but no adapter was found: {reason}");
            vec![Device::cpu()]
        }
        Err(error) => panic!("the adapter does not open: {error}"),
    }
}

#[test]
fn names_of_functions_and_of_optimiser_state_do_not_disturb() {
    let dag = Dag::parse(&["xy=exp(learning_rate*xa)-step1*sin(updates)+pi*xexp"]).unwrap();
    assert_eq!(dag.parameters(), ["learning_rate", "step1", "updates"]);
    assert_eq!(dag.variables(), ["xa", "xexp", "xy"]);
    let (truth, data) = sampled(&dag, "learning_rate=1,step1=2,updates=0.5", 50);
    for method in [Method::Adam { learning_rate: 0.01 }, Method::GradientDescent { learning_rate: 0.01 }] {
        let trained = trained(&dag, &data, &options(method, Partials::Engine, 20), &Device::cpu()).unwrap();
        assert!(trained.loss < trained.losses[0], "{truth:?}");
    }
}

#[test]
fn data_are_those_of_the_formulas_and_of_the_seed() {
    let dag = Dag::parse(&["xs=a*xp^2-b*sin(xq)", "xt=xs/(1+xp)-a"]).unwrap().with_outputs(&["xs", "xt"]).unwrap();
    let truth = parse_truth(&dag, "a=1.5,b=-0.25").unwrap();
    let data = DataSet::generate(&dag, &truth, 1000, 3).unwrap();
    assert_eq!((data.len(), data.inputs.len(), data.outputs.len()), (1000, 2, 2));
    for sample in 0..1000 {
        let (p, q) = (data.inputs[0][sample], data.inputs[1][sample]);
        assert!((0.0..1.0).contains(&p) && (0.0..1.0).contains(&q));
        let s = 1.5 * p * p + 0.25 * q.sin();
        assert!((data.outputs[0][sample] - s).abs() < 1e-14);
        assert!((data.outputs[1][sample] - (s / (1.0 + p) - 1.5)).abs() < 1e-14);
    }
    // The columns are different draws, each of mean 1/2 within six standard deviations.
    for column in &data.inputs {
        let mean = column.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.5).abs() < 6.0 * (1.0f64 / 12.0 / 1000.0).sqrt(), "{mean}");
    }
    assert_ne!(data.inputs[0], data.inputs[1]);
    assert_eq!(data, DataSet::generate(&dag, &truth, 1000, 3).unwrap());
    assert_ne!(data.inputs, DataSet::generate(&dag, &truth, 1000, 4).unwrap().inputs);
    // More samples go on where fewer ended.
    assert_eq!(DataSet::generate(&dag, &truth, 10, 3).unwrap().inputs[1], data.inputs[1][..10]);
}

#[test]
fn data_that_are_not_finite_are_refused() {
    let dag = Dag::parse(&["xs=log(xp-a)"]).unwrap();
    let error = DataSet::generate(&dag, &[2.0], 10, 0).unwrap_err();
    assert!(matches!(&error, PrimerError::DataNotFinite { variable, sample: 0, .. } if variable == "xs"), "{error}");
    for size in [0, 1_000_001] {
        let error = DataSet::generate(&dag, &[-2.0], size, 0).unwrap_err();
        assert!(matches!(error, PrimerError::OutOfRange { .. }), "{error}");
    }
    let error = DataSet::generate(&dag, &[1.0, 2.0], 10, 0).unwrap_err();
    assert!(matches!(error, PrimerError::OutOfRange { .. }), "{error}");
}

#[test]
fn a_network_without_inputs_or_names_is_a_constant_column() {
    let dag = Dag::parse(&["xs=2*a", "xt=3", "xu=xs+xt"]).unwrap();
    let data = DataSet::generate(&dag, &[1.25], 4, 0).unwrap();
    assert_eq!(data.outputs, [[5.5; 4]]);
    let trained = trained(
        &dag,
        &data,
        &options(Method::LevenbergMarquardt, Partials::FiniteDifference { delta: DELTA }, 50),
        &Device::cpu(),
    )
    .unwrap();
    assert!((trained.parameters[0] - 1.25).abs() < 1e-12);
    assert_eq!(trained.end, End::Explained);
}

#[test]
fn partials_along_each_arc_are_those_of_its_own_expression() {
    let dag = lecture();
    let (_, data) = sampled(&dag, LECTURE_TRUTH, 20);
    let [ab, ac, bc, cd] = [0.3, -0.7, 1.1, 0.4];
    let mut table = SampleTable::new(&dag, DELTA, &Device::cpu()).unwrap();
    for sample in 0..20 {
        let found = table.at(&data, sample, &[ab, ac, bc, cd]).unwrap();
        let xa = data.inputs[0][sample];
        let xx = xa * xa;
        let xy = ab * xx + ac * xa;
        let xz = bc * xx + xy;
        // By variable and operand: xa, xx, xy, xz, xw are 0 to 4, and ab, ac, bc, cd are 0 to 3. Paths through other variables do
        // not count: xy has ac along its arc from xa, though xx leads there too. The last number is half the second derivative.
        let expected = [
            (1, Symbol::Variable(0), 2.0 * xa, 1.0),
            (2, Symbol::Parameter(0), xx, 0.0),
            (2, Symbol::Variable(1), ab, 0.0),
            (2, Symbol::Parameter(1), xa, 0.0),
            (2, Symbol::Variable(0), ac, 0.0),
            (3, Symbol::Parameter(2), xx, 0.0),
            (3, Symbol::Variable(1), bc, 0.0),
            (3, Symbol::Variable(2), 1.0, 0.0),
            (4, Symbol::Parameter(3), xx, 0.0),
            (4, Symbol::Variable(1), cd, 0.0),
            (4, Symbol::Variable(3), 3.0 * xz * xz, 3.0 * xz),
        ];
        assert_eq!(found.partials.len(), expected.len());
        for (partial, (variable, operand, derivative, half)) in found.partials.iter().zip(expected) {
            assert_eq!((partial.variable, partial.operand), (variable, operand));
            assert!((partial.value.engine - derivative).abs() < 1e-14, "{partial:?}");
            // A forward difference is off by the step times half the second derivative; what is left is of second order.
            let difference = partial.value.finite_difference - derivative - DELTA * half;
            assert!(difference.abs() < 2.0 * DELTA * DELTA, "{partial:?}");
        }
    }
    assert!(table.at(&data, 20, &[ab, ac, bc, cd]).is_err());
    assert!(table.at(&data, 0, &[ab, ac]).is_err());
}

/// The gradient of the loss, by central differences of the loss itself.
fn measured_gradient(loss: &mut LossGradient<'_>, at: &[f64]) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    (0..at.len())
        .map(|parameter| {
            let mut at_distance = |distance: f64| {
                let mut moved = at.to_vec();
                moved[parameter] += distance;
                loss.loss(&moved).unwrap()
            };
            (at_distance(STEP) - at_distance(-STEP)) / (2.0 * STEP)
        })
        .collect()
}

#[test]
fn the_gradient_is_that_of_the_mean_squared_error_over_all_paths_and_signs() {
    let networks: [(&[&str], &str, &[f64]); 3] = [
        (&LECTURE, LECTURE_TRUTH, &[0.3, -0.7, 1.1, 0.4]),
        (
            &["xp=a*xa-b*xb", "xq=c-xp^2", "xr=tanh(d*xp)-xq*xb-a", "xs=exp(-b*xq)/(2+xp^2)-sqrt(1+c^2)*xa"],
            "a=1,b=0.5,c=-1,d=2",
            &[0.4, 0.9, 0.2, -0.6],
        ),
        (
            &["xp=sigmoid(a*xa-b)", "xq=xp-xp*xp-c*xp^3", "xr=sin(xq)-cos(xp)-relu(d-xa)"],
            "a=3,b=1,c=2,d=0.5",
            &[1.0, 0.2, 0.8, 0.7],
        ),
    ];
    for (expressions, truth, at) in networks {
        let dag = Dag::parse(expressions).unwrap();
        let (_, data) = sampled(&dag, truth, 400);
        let mut small = LossGradient::new(&dag, &data, 1e-7, &Device::cpu()).unwrap();
        let mut large = LossGradient::new(&dag, &data, 1e-3, &Device::cpu()).unwrap();
        let measured = measured_gradient(&mut small, at);
        let (small, large) = (small.at(at).unwrap(), large.at(at).unwrap());
        for ((small, large), measured) in small.iter().zip(&large).zip(measured) {
            let size = small.engine.abs().max(1.0);
            assert!((small.engine - measured).abs() < 1e-7 * size, "{expressions:?}: {small:?}, measured {measured}");
            assert!(small.difference() < 1e-5 * size, "{expressions:?}: {small:?}");
            assert!(large.difference() < 3e-2 * size, "{expressions:?}: {large:?}");
            assert_eq!(small.engine, large.engine);
        }
    }
}

#[test]
fn at_the_truth_both_gradients_vanish() {
    let dag = lecture();
    let (truth, data) = sampled(&dag, LECTURE_TRUTH, 300);
    let mut loss = LossGradient::new(&dag, &data, 0.1, &Device::cpu()).unwrap();
    assert!(loss.loss(&truth).unwrap() < 1e-25);
    // Values come through products of steps and zeros, so rounding is all that may be left of the error.
    for both in loss.at(&truth).unwrap() {
        assert!(both.finite_difference.abs() < 1e-10 && both.engine.abs() < 1e-10, "{both:?}");
    }
}

#[test]
fn the_lecture_s_parameters_are_found_again_on_every_device() {
    let dag = lecture();
    let (_, data) = sampled(&dag, LECTURE_TRUTH, 1000);
    for device in devices() {
        for partials in [Partials::Engine, Partials::FiniteDifference { delta: DELTA }] {
            let options = options(Method::LevenbergMarquardt, partials, 200);
            let trained = trained(&dag, &data, &options, &device).unwrap();
            let [ab, ac, bc, cd] = trained.parameters[..] else { panic!("{trained:?}") };
            // The outputs reach 350. In f32 they are known to a few units of 2e-5, and cd has a hundredth of their size.
            let (loss, tolerance) = if device.is_cpu() { (1e-20, 1e-8) } else { (1e-8, 2e-2) };
            assert!(trained.loss < loss, "{device}, {partials:?}: {trained:?}");
            for (found, truth) in [(ac, 4.0), (cd, 3.0), (ab + bc, 3.0)] {
                assert!((found - truth).abs() < tolerance, "{device}, {partials:?}: {trained:?}");
            }
            assert!((ab - 1.0).abs() > 0.01, "nothing but chance could tell ab from bc");
            assert_eq!(trained.end, End::Explained);
            assert!(trained.losses.windows(2).all(|pair| pair[1] < pair[0]));
        }
    }
}

#[test]
fn other_networks_with_minus_signs_and_functions_are_explained() {
    let networks: [(&[&str], &str); 4] = [
        (&["xy=sigmoid(a*xa-b)", "xz=c*xy-xa^2"], "a=2,b=1,c=-3"),
        (
            &["xh=sigmoid(a*xa-b*xb)", "xg=exp(-c*xa)", "xo=d*xh-e*xg*xb-xa/(1+f^2*xb)"],
            "a=1.5,b=-0.7,c=0.9,d=-2,e=1.2,f=0.6",
        ),
        (&["xp=h*xa-k*xa^2", "xq=xa^3-f*xb", "xr=c*xp-h*xq", "xs=c*xr^2-xq"], "h=-1.5,k=-2.8,f=-1.2,c=0.6"),
        (&["xy=-a*xa-b", "xz=1-xy-(c-xa)^2"], "a=-2,b=0.3,c=-1.1"),
    ];
    for (expressions, truth) in networks {
        let dag = Dag::parse(expressions).unwrap();
        let (truth, data) = sampled(&dag, truth, 500);
        let known = Identifiability::of(&dag, &data, &truth).unwrap();
        for partials in [Partials::Engine, Partials::FiniteDifference { delta: DELTA }] {
            let options = options(Method::LevenbergMarquardt, partials, 1000);
            let trained = trained(&dag, &data, &options, &Device::cpu()).unwrap();
            assert!(trained.loss < 1e-18, "{expressions:?}, {partials:?}: {trained:?}");
            assert_eq!(trained.end, End::Explained);
            for (parameter, truth) in truth.iter().enumerate() {
                // f stands squared, so its sign is free.
                let squared = dag.parameters()[parameter] == "f" && dag.parameters().len() == 6;
                let found = if squared { trained.parameters[parameter].abs() } else { trained.parameters[parameter] };
                let determined = known.group_of(parameter).is_none();
                assert!(!determined || (found - truth).abs() < 1e-6, "{expressions:?}: {trained:?}, {truth}");
            }
        }
    }
}

#[test]
fn first_order_methods_lower_the_loss_with_either_partials() {
    let dag = lecture();
    let (truth, data) = sampled(&dag, LECTURE_TRUTH, 200);
    let stable = 2.0 / Identifiability::of(&dag, &data, &truth).unwrap().curvature;
    let descent = |learning_rate| Method::GradientDescent { learning_rate };
    for partials in [Partials::Engine, Partials::FiniteDifference { delta: DELTA }] {
        let whole = trained(&dag, &data, &options(descent(0.5 * stable), partials, 3000), &Device::cpu()).unwrap();
        assert!(whole.loss < 1e-4 * whole.losses[0], "{}", whole.loss);
        assert_eq!((whole.losses.len(), whole.steps_per_epoch, whole.end), (3000, 1, End::Steps));
        let mut single = options(descent(0.02 * stable), partials, 4000);
        single.batch_size = Some(1);
        let single = trained(&dag, &data, &single, &Device::cpu()).unwrap();
        assert!(single.loss < 1e-2 * whole.losses[0], "{}", single.loss);
        assert_eq!(single.steps_per_epoch, 200);
        let adam = Method::Adam { learning_rate: 0.05 };
        let adam = trained(&dag, &data, &options(adam, partials, 3000), &Device::cpu()).unwrap();
        assert!(adam.loss < 1e-4 * adam.losses[0], "{}", adam.loss);
    }
}

#[test]
fn gradient_descent_is_plain_and_converges_where_the_data_are_well_conditioned() {
    let dag = Dag::parse(&["xy=a*xa-b"]).unwrap();
    let (_, data) = sampled(&dag, "a=2,b=-1", 100);
    let method = Method::GradientDescent { learning_rate: 0.5 };
    let mut options = options(method, Partials::Engine, 1);
    options.first = Some(vec![0.25, 0.75]);
    let mut loss = LossGradient::new(&dag, &data, DELTA, &Device::cpu()).unwrap();
    let gradient = loss.at(&[0.25, 0.75]).unwrap();
    let one_step = trained(&dag, &data, &options, &Device::cpu()).unwrap();
    for ((found, first), both) in one_step.parameters.iter().zip([0.25, 0.75]).zip(gradient) {
        assert!((found - (first - 0.5 * both.engine)).abs() < 1e-15);
    }
    options.steps = 2000;
    let trained = trained(&dag, &data, &options, &Device::cpu()).unwrap();
    assert!((trained.parameters[0] - 2.0).abs() < 1e-9 && (trained.parameters[1] + 1.0).abs() < 1e-9, "{trained:?}");
}

#[test]
fn a_learning_rate_past_the_stable_one_is_told() {
    let dag = lecture();
    let (_, data) = sampled(&dag, LECTURE_TRUTH, 200);
    for partials in [Partials::Engine, Partials::FiniteDifference { delta: DELTA }] {
        let options = options(Method::GradientDescent { learning_rate: 1e-2 }, partials, 1000);
        let error = trained(&dag, &data, &options, &Device::cpu()).unwrap_err();
        assert!(matches!(error, PrimerError::Diverged { step: 1..20, .. }), "{error}");
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let dag = lecture();
    let (_, data) = sampled(&dag, LECTURE_TRUTH, 10);
    let good = options(Method::GradientDescent { learning_rate: 1e-6 }, Partials::Engine, 1);
    let rate = |learning_rate| Options { method: Method::Adam { learning_rate }, ..good.clone() };
    let delta = |delta| Options { partials: Partials::FiniteDifference { delta }, ..good.clone() };
    let bad = [
        rate(0.0),
        rate(-1.0),
        rate(f64::NAN),
        delta(0.0),
        delta(f64::INFINITY),
        Options { batch_size: Some(0), ..good.clone() },
        Options { batch_size: Some(11), ..good.clone() },
        Options { method: Method::LevenbergMarquardt, batch_size: Some(3), ..good.clone() },
        Options { starts: 0, ..good.clone() },
        Options { display_every: 0, ..good.clone() },
        Options { first: Some(vec![1.0]), ..good.clone() },
    ];
    for options in bad {
        let error = trained(&dag, &data, &options, &Device::cpu()).unwrap_err();
        assert!(matches!(error, PrimerError::OutOfRange { .. }), "{options:?}: {error}");
    }
    let constant = Dag::parse(&["xx=xa+1"]).unwrap();
    let (_, data) = sampled(&constant, "", 10);
    assert_eq!(trained(&constant, &data, &good, &Device::cpu()).unwrap_err(), PrimerError::NoParameters);
}

#[test]
fn parameters_that_cannot_be_told_apart_are_named() {
    let known = |expressions: &[&str], truth: &str| {
        let dag = Dag::parse(expressions).unwrap();
        let (truth, data) = sampled(&dag, truth, 300);
        (Identifiability::of(&dag, &data, &truth).unwrap(), dag)
    };
    let (lecture, _) = known(&LECTURE, LECTURE_TRUTH);
    assert_eq!(lecture.rank, 3);
    let [group] = &lecture.groups[..] else { panic!("{lecture:?}") };
    assert_eq!((&group.parameters[..], &group.directions[..]), (&[0, 2][..], &[vec![1.0, -1.0]][..]));
    assert_eq!((&group.combinations[..], group.exact), (&[vec![1.0, 1.0]][..], true));

    // Weighted, over three parameters; a product, which trades along a curve; one that no output depends on.
    let (mixed, dag) = known(&["xy=(a-2*b)*xa+c*xa", "xz=d*e*xb+xy+0*f", "xu=g*xa"], "a=1,b=2,c=3,d=2,e=-4,f=1,g=5");
    assert_eq!(dag.parameters(), ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(mixed.rank, 3);
    let groups: Vec<&[usize]> = mixed.groups.iter().map(|group| &group.parameters[..]).collect();
    assert_eq!(groups, [&[0, 1, 2][..], &[3, 4], &[5]]);
    assert_eq!(mixed.groups[0].combinations, [[1.0, -2.0, 1.0]]);
    assert!(mixed.groups[0].exact && !mixed.groups[1].exact && mixed.groups[2].exact);
    // Along d : e = 2 : 4 the product d e = -8 stays to first order.
    assert_eq!(mixed.groups[1].directions, [[1.0, 2.0]]);
    assert_eq!(mixed.groups[2].combinations.len(), 0);

    let (apart, _) = known(&["xy=sigmoid(a*xa-b)", "xz=c*xy-xa^2"], "a=2,b=1,c=-3");
    assert_eq!((apart.rank, apart.groups.len()), (3, 0));
    // Two samples cannot determine three parameters.
    let dag = Dag::parse(&["xy=a*xa+b*xa^2+c"]).unwrap();
    let data = DataSet::generate(&dag, &[1.0, 2.0, 3.0], 2, 0).unwrap();
    let few = Identifiability::of(&dag, &data, &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!((few.rank, few.groups.len()), (2, 1));
    assert_eq!(few.groups[0].parameters, [0, 1, 2]);
}
