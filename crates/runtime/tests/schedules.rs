//! Learning-rate schedules against PyTorch's, and what a session makes of them.

use crate::optimisers::{lines, numbers};
use crate::suite::devices::devices;
use arenagrad::train::schedules::{
    Chained, Constant, Cosine, CosineRestarts, Exponential, LinearRamp, MultiStep, OneCycle, PlateauMode, Polynomial,
    ReduceOnPlateau, Schedule, Step, from_fn,
};
use arenagrad::{Adagrad, Adam, DType, Device, Error, Expr, Graph, Init, NAdam, Optimizer, Session, Sgd};

/// What a schedule gives at the counts 0, 1, .. in that dtype: rates, and momenta if it says any.
fn along(schedule: &dyn Schedule, base: f64, counts: usize, dtype: DType, device: &Device) -> Vec<Vec<f64>> {
    let g = Graph::new();
    let base = g.parameter_of("base", [], dtype, Init::Constant(base));
    let count = g.arange(0.0, counts as f64, 1.0, dtype);
    let rates = schedule.rate(base, count).unwrap();
    let outputs: Vec<Expr<'_>> = [Some(rates), schedule.momentum(count).unwrap()].into_iter().flatten().collect();
    let results = Session::evaluate(&g, &outputs, device).unwrap().run(&[]).unwrap();
    results.iter().map(|result| result.to_f64_vec()).collect()
}

#[test]
fn schedules_give_what_pytorch_gives() {
    let chained: Chained = Exponential::new(0.95).chain(Step::new(10).factor(0.5)).chain(Constant::new(0.5, 4));
    let schedules: [(&str, &dyn Schedule); 20] = [
        ("constant", &Constant::new(1.0 / 3.0, 5)),
        ("step", &Step::new(7)),
        ("step_factor", &Step::new(3).factor(0.7)),
        ("multi_step", &MultiStep::new([4, 9, 9, 30]).factor(0.5)),
        ("exponential", &Exponential::new(0.93)),
        ("linear", &LinearRamp::new(1.0 / 3.0, 1.0, 5)),
        ("linear_down", &LinearRamp::new(1.0, 0.25, 17)),
        ("polynomial", &Polynomial::new(20)),
        ("polynomial_power", &Polynomial::new(30).power(2.5)),
        ("cosine", &Cosine::new(15)),
        ("cosine_floor", &Cosine::new(39).floor(0.004)),
        ("restarts", &CosineRestarts::new(9).floor(0.01)),
        ("restarts_growth", &CosineRestarts::new(5).growth(2).floor(0.001)),
        ("one_cycle", &OneCycle::new(40)),
        (
            "one_cycle_linear",
            &OneCycle::new(40).rise(0.4).linear().first_divisor(10.0).last_divisor(100.0).momentum(0.7, 0.9),
        ),
        ("one_cycle_three", &OneCycle::new(40).three_phases()),
        ("warm_up_cosine", &LinearRamp::new(0.1, 1.0, 10).then(10, Cosine::new(30).floor(0.01))),
        ("sequence", &Constant::new(0.5, 3).then(6, Exponential::new(0.9)).then(20, Step::new(4).factor(0.5))),
        ("chained", &chained),
        ("inverse_root", &from_fn(|rate, count| rate / (count + 1.0).sqrt())),
    ];
    let reference = lines(include_str!("optimisers/schedules.jsonl"));
    assert_eq!(reference.len(), schedules.len());
    for (case, schedule) in schedules {
        let line = reference.iter().find(|line| line["case"] == case).unwrap_or_else(|| panic!("no case {case}"));
        let mut expected = vec![numbers(&line["rates"])];
        if line["momenta"].is_array() {
            expected.push(numbers(&line["momenta"]));
        }
        let runs = std::iter::once((Device::cpu(), DType::F64)).chain(devices().into_iter().map(|d| (d, DType::F32)));
        for (device, dtype) in runs {
            let found = along(schedule, line["base"].as_f64().unwrap(), expected[0].len(), dtype, &device);
            assert_eq!(found.len(), expected.len(), "{case}");
            for (found, expected) in found.iter().zip(&expected) {
                for (count, (found, expected)) in found.iter().zip(expected).enumerate() {
                    // PyTorch multiplies the rate before, which rounds once an update.
                    let (relative, absolute) = match dtype {
                        DType::F64 => (1e-12, 1e-17),
                        DType::F32 | DType::I32 | DType::Bool => (4e-6, 1e-9),
                    };
                    assert!(
                        (found - expected).abs() <= relative * expected.abs() + absolute,
                        "{case}, {device}, {dtype}, {count}: {found}, not {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn sequences_of_three_count_from_their_own_beginning() {
    // `then` of a sequence: the first two stand within, and the third begins at the whole count.
    let three = Constant::new(0.5, 100).then(2, Constant::new(0.25, 100)).then(4, LinearRamp::new(1.0, 0.0, 2));
    let rates = &along(&three, 8.0, 8, DType::F64, &Device::cpu())[0];
    assert_eq!(rates, &[4.0, 4.0, 2.0, 2.0, 8.0, 4.0, 0.0, 0.0]);
    let warm = Constant::new(1.0, 1).after_warm_up(4);
    assert_eq!(along(&warm, 8.0, 6, DType::F64, &Device::cpu())[0], [0.0, 2.0, 4.0, 6.0, 8.0, 8.0]);
    let none = Constant::new(0.5, 1).after_warm_up(0);
    assert_eq!(along(&none, 8.0, 2, DType::F64, &Device::cpu())[0], [4.0, 8.0]);
}

/// Counts far beyond the tables: f32 still tells the steps apart, and nothing overflows.
#[test]
fn long_runs() {
    for device in devices() {
        let g = Graph::new();
        let base = g.parameter("base", [], Init::Constant(1.0));
        let counts: Vec<f32> = (1..=8u32).flat_map(|k| [1_000_000 * k - 1, 1_000_000 * k]).map(|c| c as f32).collect();
        let count = g.literal([16], counts);
        let rate = Step::new(1_000_000).factor(0.5).rate(base, count).unwrap();
        let found = Session::evaluate(&g, &[rate], &device).unwrap().run(&[]).unwrap()[0].to_f64_vec();
        let expected: Vec<f64> = (1..=8).flat_map(|k| [0.5f64.powi(k - 1), 0.5f64.powi(k)]).collect();
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-6 * expected, "{device}: {found}, not {expected}");
        }
        // A factor that f32 rounds: to the power of a million the rounding would be a percent.
        let rate = Exponential::new(0.999_999).rate(base, g.literal([1], [1_000_000.0f32])).unwrap();
        let found = Session::evaluate(&g, &[rate], &device).unwrap().run(&[]).unwrap()[0].to_f64_vec()[0];
        assert!((found - 0.999_999f64.powi(1_000_000)).abs() < 1e-6, "{device}: {found}");
    }
}

#[test]
fn the_present_rate_is_a_state_and_the_base_rate_can_be_set() {
    for device in devices() {
        let g = Graph::new();
        let p = g.parameter("p", [], Init::Constant(0.0));
        let optimizer = Sgd::new(1.0).schedule(Exponential::new(0.5));
        let mut session = Session::train(&g, p * -1.0, optimizer, device.clone()).unwrap();
        let mut value = 0.0;
        for (count, base) in [(0, 1.0), (1, 1.0), (2, 8.0), (3, 8.0)] {
            session.set_learning_rate(base).unwrap();
            session.step(&[]).unwrap();
            let rate = base * 0.5f64.powi(count);
            value += rate;
            let found = session.parameter("learning_rate.scheduled").unwrap().item().unwrap();
            assert!((found - rate).abs() < 1e-6, "{device}: {found}, not {rate}");
            assert!((session.parameter("p").unwrap().item().unwrap() - value).abs() < 1e-5, "{device}");
            assert_eq!(session.parameter("learning_rate").unwrap().item().unwrap(), base, "{device}");
        }
        assert_eq!(session.parameter("updates").unwrap().item().unwrap(), 4.0);
    }
}

#[test]
fn a_schedule_goes_on_from_a_file() {
    let g = Graph::new();
    let loss = g.parameter("p", [3], Init::Constant(1.0)).square().sum(..);
    let make = || {
        let optimizer = Adam::new(0.1).schedule(Cosine::new(20).after_warm_up(4));
        Session::train(&g, loss, optimizer, Device::cpu()).unwrap()
    };
    let mut whole = make();
    for _ in 0..7 {
        whole.step(&[]).unwrap();
    }
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scheduled.safetensors");
    whole.save(&path).unwrap();
    let mut resumed = make();
    resumed.load(&path).unwrap();
    for _ in 0..9 {
        assert_eq!(whole.step(&[]).unwrap(), resumed.step(&[]).unwrap());
    }
}

#[test]
fn numbers_out_of_range() {
    type Made<'a> = &'a dyn Fn() -> Box<dyn Schedule>;
    let schedules: [(Made<'_>, &str); 12] = [
        (&|| Box::new(Constant::new(-1.0, 3)), "factor"),
        (&|| Box::new(Step::new(0)), "number of updates"),
        (&|| Box::new(Step::new(2).factor(f64::NAN)), "factor"),
        (&|| Box::new(MultiStep::new([1]).factor(f64::INFINITY)), "factor"),
        (&|| Box::new(Exponential::new(-0.5)), "factor"),
        (&|| Box::new(LinearRamp::new(1.0, 0.0, 0)), "number of updates"),
        (&|| Box::new(Polynomial::new(3).power(-1.0)), "power"),
        (&|| Box::new(Cosine::new(0)), "number of updates"),
        (&|| Box::new(Cosine::new(5).floor(-0.1)), "floor"),
        (&|| Box::new(CosineRestarts::new(5).growth(0)), "growth"),
        (&|| Box::new(OneCycle::new(5).rise(1.5)), "rise"),
        (&|| Box::new(OneCycle::new(5).momentum(0.5, 1.0)), "momentum"),
    ];
    for (schedule, what) in schedules {
        let g = Graph::new();
        let (base, count) = (g.ones([], DType::F32), g.zeros([], DType::F32));
        let schedule = schedule();
        let error = schedule.rate(base, count).err().unwrap_or_else(|| panic!("{what} was taken"));
        assert!(matches!(error, Error::Hyperparameter { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    assert!(ReduceOnPlateau::new(f64::NAN).is_err());
    assert!(ReduceOnPlateau::new(0.1).unwrap().factor(1.0).is_err());
    assert!(ReduceOnPlateau::new(0.1).unwrap().least_rate(-1.0).is_err());
    // A refused optimiser leaves nothing in the graph.
    let g = Graph::new();
    let loss = g.parameter("p", [2], Init::Constant(1.0)).square().sum(..);
    let length = g.len();
    let refused = Session::train(&g, loss, Sgd::new(0.1).schedule(Step::new(0)), Device::cpu());
    assert!(matches!(refused.err(), Some(Error::Hyperparameter { .. })));
    let refused = Session::train(&g, loss, Adagrad::new(0.1).schedule(OneCycle::new(9)), Device::cpu());
    assert!(matches!(refused.err(), Some(Error::OptimizerParts { .. })), "Adagrad has no momentum");
    let mixed = OneCycle::new(9).then(9, Constant::new(0.1, 9));
    let refused = Session::train(&g, loss, Adam::new(0.1).schedule(mixed), Device::cpu());
    assert!(matches!(refused.err(), Some(Error::OptimizerParts { .. })));
    assert_eq!(g.len(), length);
    Session::train(&g, loss, Adagrad::new(0.1).schedule(OneCycle::new(9).constant_momentum()), Device::cpu()).unwrap();
}

/// One update, and parts of no length.
#[test]
fn the_shortest_cycles() {
    for (updates, rise) in [(1, 0.3), (2, 0.5), (3, 0.0), (3, 1.0), (10, 0.1)] {
        let rates = &along(&OneCycle::new(updates).rise(rise), 1.0, 12, DType::F64, &Device::cpu())[0];
        assert!(
            rates.iter().all(|rate| rate.is_finite() && (0.0..=1.0 + 1e-12).contains(rate)),
            "{updates}, {rise}: {rates:?}"
        );
        assert!(
            rates[..updates.min(rates.len() as u64) as usize].iter().any(|rate| *rate > 0.0),
            "{updates}, {rise}: {rates:?}"
        );
    }
}

#[test]
fn plateaus() {
    let new = |line: &serde_json::Value| ReduceOnPlateau::new(line["base"].as_f64().unwrap()).unwrap();
    assert_eq!(lines(include_str!("optimisers/plateau.jsonl")).len(), 6);
    for line in lines(include_str!("optimisers/plateau.jsonl")) {
        let case = line["case"].as_str().unwrap().to_owned();
        let mut plateau = match case.as_str() {
            "default" => new(&line),
            "patience" => new(&line)
                .patience(3)
                .factor(0.5)
                .and_then(|plateau| plateau.threshold(1e-2)?.cooldown(2).least_rate(0.002))
                .unwrap(),
            "absolute" => new(&line).patience(2).factor(0.5).unwrap().absolute_threshold(0.005).unwrap(),
            "most" => new(&line).mode(PlateauMode::Most).patience(2).factor(0.3).unwrap().threshold(0.001).unwrap(),
            "most_absolute" => new(&line)
                .mode(PlateauMode::Most)
                .patience(2)
                .factor(0.3)
                .unwrap()
                .absolute_threshold(0.001)
                .and_then(|plateau| plateau.least_change(1e-3))
                .unwrap(),
            "not_a_number" => new(&line).patience(1).factor(0.5).unwrap(),
            other => panic!("no such case: {other}"),
        };
        let values = line["values"].as_array().unwrap();
        let mut changes = 0;
        for (place, (value, expected)) in values.iter().zip(numbers(&line["rates"])).enumerate() {
            let before = plateau.rate();
            let changed = plateau.observe(value.as_str().unwrap().parse().unwrap());
            assert!((plateau.rate() - expected).abs() <= 1e-15, "{case}, {place}: {}, not {expected}", plateau.rate());
            assert_eq!(changed.is_some(), plateau.rate() != before, "{case}, {place}");
            changes += u32::from(changed.is_some());
        }
        assert!(changes > 0, "{case} changes nothing");
    }
}

#[test]
fn numbers_that_no_plateau_can_have() {
    let new = || ReduceOnPlateau::new(0.1).unwrap();
    for wrong in [-1e-300, -1.0, f64::NAN, f64::INFINITY] {
        for refused in [new().threshold(wrong), new().absolute_threshold(wrong), new().least_change(wrong)] {
            let error = refused.unwrap_err();
            assert!(matches!(&error, Error::Hyperparameter { .. }), "{error}");
            assert!(error.to_string().len() < 100, "{error}");
        }
    }
    assert!(new().threshold(0.0).and_then(|plateau| plateau.least_change(0.0)).is_ok());
}

/// A schedule of the caller's own that gives no rate is named with its line, whatever stands around it.
#[test]
fn a_schedule_that_gives_no_rate_is_refused() {
    fn train(optimizer: impl Optimizer) -> Error {
        let g = Graph::new();
        let loss = g.parameter("w", [2], Init::Constant(1.0)).square().sum(..);
        Session::train(&g, loss, optimizer, Device::cpu()).map(|_| ()).unwrap_err()
    }
    let vector = || from_fn(|rate, _| rate.unsqueeze(0));
    for (error, found) in [
        (train(Sgd::new(0.1).schedule(vector())), "f32[1]"),
        (train(Sgd::new(0.1).schedule(vector().after_warm_up(3))), "f32[1]"),
        (train(Sgd::new(0.1).schedule(from_fn(|_, count| count.cast(DType::I32)))), "i32[]"),
    ] {
        let Error::ScheduleResult { origin, what: "rate", .. } = &error else { panic!("{error}") };
        assert!(origin.to_string().contains("schedules.rs"), "{error}");
        assert!(
            error.to_string().ends_with(&format!("the rate of a schedule is one f32, but is {found} here")),
            "{error}"
        );
    }
}

#[test]
fn a_plateau_goes_on_from_its_state() {
    let make = || ReduceOnPlateau::new(0.1).unwrap().patience(1).cooldown(2).mode(PlateauMode::Most);
    let mut plateau = make();
    for cut in 0..12 {
        let mut resumed = make();
        let state = plateau.state();
        let number = |name: &str| Ok(state.iter().find(|(known, _)| *known == name).unwrap().1);
        resumed.set_state(number).unwrap();
        assert_eq!(resumed, plateau, "{cut}");
        plateau.observe(if cut == 5 { 2.0 } else { 1.0 });
    }
    let before = plateau.clone();
    for (wrong, value) in [("rate", -1.0), ("best", f64::NAN), ("cooling", 0.5), ("bad_observations", 1e300)] {
        let number = |name: &str| Ok(if name == wrong { value } else { 1.0 });
        assert!(matches!(plateau.set_state(number), Err(Error::Hyperparameter { .. })), "{wrong}");
    }
    assert_eq!(plateau, before);
}

/// A parameter with another rate is one of a parameter group in PyTorch, whose schedules begin from its rate and whose floors are the same.
#[test]
fn a_floor_is_the_same_for_rates_of_ones_own() {
    for device in devices() {
        let g = Graph::new();
        let (a, b) = (g.parameter("a", [], Init::Constant(1.0)), g.parameter("b", [], Init::Constant(1.0)));
        let optimizer = Sgd::new(0.1).scale_rate("b", 0.25).schedule(Cosine::new(4).floor(0.01));
        let mut session = Session::train(&g, a + b, optimizer, device).unwrap();
        let half_cosines = [1.0, 0.853_553_390_593, 0.5, 0.146_446_609_407, 0.0];
        for half_cosine in half_cosines {
            let before = ["a", "b"].map(|name| session.parameter(name).unwrap().item().unwrap());
            session.advance(&[]).unwrap();
            for ((name, before), base) in ["a", "b"].into_iter().zip(before).zip([0.1, 0.025]) {
                let step = before - session.parameter(name).unwrap().item().unwrap();
                let expected = 0.01 + (base - 0.01) * half_cosine;
                assert!((step - expected).abs() < 1e-6, "{name}: {step}, and not {expected}");
            }
        }
    }
}

/// The numbers are those of PyTorch 2.15's `NAdam` under `OneCycleLR`, whose momentum is NAdam's first beta.
#[test]
fn a_cycle_moves_the_first_beta_of_nadam() {
    let plain = [
        [0.995877262858136, -2.0041227371521706],
        [0.9559070102350559, -2.04432709172865],
        [0.88444972792043, -2.1215147323892856],
        [0.8216630086048398, -2.1984074304778147],
        [0.7705867579303739, -2.2673938028725606],
        [0.7333131710314402, -2.3212880616695473],
    ];
    let decayed = [
        [0.9954772628581361, -2.0033227371521707],
        [0.9503457732799746, -2.033094761493589],
        [0.8698891926582918, -2.089476830715749],
        [0.8000815715539508, -2.1453026860736415],
        [0.74404603099988, -2.1953317086292805],
        [0.703614346803587, -2.2343976624770283],
    ];
    let optimizers = [(NAdam::new(0.1), plain), (NAdam::new(0.1).decoupled_weight_decay(0.1), decayed)];
    for (optimizer, expected) in optimizers {
        let g = Graph::new();
        let w = g.parameter_of("w", [2], DType::F64, Init::Values(vec![1.0, -2.0]));
        let optimizer = optimizer.schedule(OneCycle::new(10));
        let mut session = Session::train(&g, (w * w * w).sum(..), optimizer, Device::cpu()).unwrap();
        for (step, expected) in expected.into_iter().enumerate() {
            session.advance(&[]).unwrap();
            let found = session.parameter("w").unwrap().to_f64_vec();
            let is_near = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-12;
            assert!(found.iter().zip(&expected).all(is_near), "step {step}: {found:?}, and not {expected:?}");
        }
    }
}
