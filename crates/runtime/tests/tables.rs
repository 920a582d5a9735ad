//! Tables that are updated by the rows that were used: one step in place, and the same bits as of the formula computed piece by piece.

use std::path::Path;

use crate::suite::devices::devices;
use crate::suite::random::Random;
use crate::suite::respawn::with_kernels_of_a_gpu;
use crate::suite::run::tensor;
use arenagrad::train::Trained;
use arenagrad::{DType, Device, Error, Expr, Graph, Init, Optimizer, Session, Sgd, Tensor};

/// How updates are added to a table.
#[derive(Clone, Copy, Debug)]
enum Form {
    MinusRateTimes,
    MinusTimesRate,
    PlusRateTimes,
    RateTimesPlus,
    MinusConstantTimes,
    Plus,
    PlusTable,
    Minus,
    MinusComputedTimes,
}

const FORMS: [Form; 9] = [
    Form::MinusRateTimes,
    Form::MinusTimesRate,
    Form::PlusRateTimes,
    Form::RateTimesPlus,
    Form::MinusConstantTimes,
    Form::Plus,
    Form::PlusTable,
    Form::Minus,
    Form::MinusComputedTimes,
];

impl Form {
    fn next<'g>(self, table: Expr<'g>, rate: Expr<'g>, total: Expr<'g>) -> Expr<'g> {
        match self {
            Form::MinusRateTimes => table - rate * total,
            Form::MinusTimesRate => table - total * rate,
            Form::PlusRateTimes => table + rate * total,
            Form::RateTimesPlus => rate * total + table,
            Form::MinusConstantTimes => table - 3.0 * total,
            Form::Plus => table + total,
            Form::PlusTable => total + table,
            Form::Minus => table - total,
            Form::MinusComputedTimes => table - (rate * rate - 1) * total,
        }
    }
}

/// Shapes of table and updates, the axis, and whether all elements of an update along the trailing axes have one index.
type Case = (&'static [usize], &'static [usize], usize, bool);

const CASES: [Case; 9] = [
    (&[9], &[4], 0, false),
    (&[3000], &[9000], 0, false),
    (&[9000], &[3000], 0, false),
    (&[400, 9, 11], &[300, 9, 11], 0, true),
    (&[400, 9, 11], &[300, 7, 8], 0, false),
    (&[6, 500, 12], &[6, 250, 12], 1, true),
    (&[6, 500, 12], &[4, 250, 10], 1, true),
    (&[5, 8, 900], &[5, 8, 130], 2, false),
    (&[2000, 300], &[700, 300], 0, true),
];

/// The graph of a table and of what is added to it, on a device.
struct Given {
    form: Form,
    case: Case,
    dtype: DType,
}

impl Given {
    /// The table, the rate, and the total of the updates at each place of it.
    fn define<'g>(&self, g: &'g Graph) -> [Expr<'g>; 3] {
        let (shape, updates_shape, axis, by_rows) = self.case;
        let table = g.parameter_of("table", shape, self.dtype, Init::Constant(0.0));
        let rate = g.input_of("rate", [], self.dtype);
        let index_shape: Vec<usize> =
            updates_shape.iter().enumerate().map(|(a, &n)| if by_rows && a > axis { 1 } else { n }).collect();
        // Computed on the device, so that what lies outside the table is no error.
        let index = g.input("index", &index_shape[..]).cast(DType::I32).broadcast_to(updates_shape);
        let updates = g.input_of("updates", updates_shape, self.dtype);
        [table, rate, g.zeros(shape, self.dtype).scatter_add(axis as isize, index, updates)]
    }

    fn inputs(&self, rate: f64, random: &mut Random) -> Vec<(&'static str, Tensor)> {
        let (shape, updates_shape, axis, by_rows) = self.case;
        let count: usize = updates_shape.iter().product();
        let inner: usize = if by_rows { updates_shape[axis + 1..].iter().product() } else { 1 };
        // Some lie outside; a third go to two places.
        let drawn = random.integers(count / inner, -2, shape[axis] as i64 + 1).into_iter().enumerate();
        let index: Vec<f64> = drawn.map(|(i, index)| if i % 3 == 0 { index.clamp(0.0, 1.0) } else { index }).collect();
        let index_shape: Vec<usize> =
            updates_shape.iter().enumerate().map(|(a, &n)| if by_rows && a > axis { 1 } else { n }).collect();
        let updates = self.numbers(count, random);
        vec![
            ("rate", tensor(&[].into(), self.dtype, &[rate])),
            ("index", tensor(&index_shape.into(), DType::F32, &index)),
            ("updates", tensor(&updates_shape.into(), self.dtype, &updates)),
        ]
    }

    fn numbers(&self, count: usize, random: &mut Random) -> Vec<f64> {
        if self.dtype.is_float() { random.floats(count, -3.0, 3.0) } else { random.integers(count, -1000, 1000) }
    }
}

/// Replaces the table by what a form makes of it, beside a loss that knows nothing of it.
impl Optimizer for Given {
    fn update<'g>(&self, graph: &'g Graph, _: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let [table, rate, total] = self.define(graph);
        Ok(vec![(table, self.form.next(table, rate, total))])
    }
}

/// Equal numbers, or both none. Which of the zeros one is may differ where there are no updates.
fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// The table after one update in a plan of its own, and the same computed with the totals as an output of their own.
fn both(given: &Given, rate: f64, device: &Device, table: &[f64], seed: u64) -> [Vec<f64>; 2] {
    let shape = given.case.0;
    let inputs = given.inputs(rate, &mut Random(seed));
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, value)| (*name, value)).collect();
    let value = tensor(&shape.into(), given.dtype, table);

    let g = Graph::new();
    let [t, r, total] = given.define(&g);
    let mut apart = Session::evaluate(&g, &[total, given.form.next(t, r, total)], device).unwrap();
    apart.set_parameter("table", &value).unwrap();
    let expected = apart.run(&inputs).unwrap().swap_remove(1).to_f64_vec();

    let g = Graph::new();
    let loss = g.parameter("other", [3], Init::Constant(1.0)).sum(..);
    let mut session = Session::builder(device.clone()).train(&g, loss, given).unwrap();
    let plan = session.plan();
    let scatters: Vec<_> = plan.steps().iter().filter(|step| step.kernel.starts_with("scatter_add")).collect();
    assert!(scatters.len() == 1 && !scatters[0].in_place.is_empty(), "{:?}\n{plan}", given.form);
    let elements: usize = shape.iter().product();
    let updates: usize = given.case.1.iter().product();
    for step in plan.steps() {
        let most = 2 * (updates + 100);
        assert!(
            step.cost.operations <= 20 * most,
            "{:?}: a step of the table's {elements} elements\n{plan}",
            given.form
        );
        assert_ne!(step.kernel, format!("elementwise {elements}"), "{:?}\n{plan}", given.form);
    }
    session.set_parameter("table", &value).unwrap();
    session.step(&inputs).unwrap();
    [session.parameter("table").unwrap().to_f64_vec(), expected]
}

#[test]
fn a_table_is_updated_in_place_with_the_bits_of_the_formula() {
    for (number, case) in CASES.into_iter().enumerate() {
        for (place, form) in FORMS.into_iter().enumerate() {
            // Every form meets small and large tables; not all meet all.
            if number > 1 && (number + place) % 3 > 0 {
                continue;
            }
            for dtype in [DType::F32, DType::I32, DType::F64] {
                for device in devices().into_iter().filter(|device| device.is_cpu() || dtype != DType::F64) {
                    let given = Given { form, case, dtype };
                    let mut random = Random(number as u64 + 100);
                    let table = given.numbers(case.0.iter().product(), &mut random);
                    let rate = if dtype.is_float() { 0.37 } else { 7.0 };
                    let [found, expected] = both(&given, rate, &device, &table, number as u64);
                    let differing = (0..table.len()).find(|&at| !is_same(found[at], expected[at]));
                    let differing = differing.map(|at| (at, table[at], found[at], expected[at]));
                    assert_eq!(differing, None, "{device}, {dtype}, {form:?}, {case:?}");
                }
            }
        }
    }
}

#[test]
fn a_rate_that_is_not_finite_reaches_what_has_no_updates() {
    for case in [CASES[1], CASES[2], CASES[4], CASES[6], CASES[8]] {
        for rate in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for device in devices() {
                let given = Given { form: Form::MinusRateTimes, case, dtype: DType::F32 };
                let table = given.numbers(case.0.iter().product(), &mut Random(3));
                let [found, expected] = both(&given, rate, &device, &table, 4);
                let differing = (0..table.len()).find(|&at| !is_same(found[at], expected[at]));
                let differing = differing.map(|at| (at, table[at], found[at], expected[at]));
                assert_eq!(differing, None, "{device}, {rate}, {case:?}");
                assert!(found.iter().any(|x| x.is_nan()));
            }
        }
    }
}

#[test]
fn zeros_and_what_is_not_finite_in_a_table_stay_as_the_formula_has_them() {
    for case in [CASES[1], CASES[8]] {
        for device in devices() {
            let given = Given { form: Form::MinusRateTimes, case, dtype: DType::F32 };
            let elements = case.0.iter().product::<usize>();
            let table: Vec<f64> =
                [-0.0, 0.0, f64::INFINITY, f64::NAN, 1.5].into_iter().cycle().take(elements).collect();
            let [found, expected] = both(&given, 0.5, &device, &table, 5);
            for at in 0..elements {
                // Gradient descent keeps even the sign of a zero: -0 - 0 is -0.
                let same = found[at].to_bits() == expected[at].to_bits()
                    || is_same(found[at], expected[at]) && found[at].is_nan();
                assert!(same, "{device}, {case:?}, {at}: {} and {}, once {}", found[at], expected[at], table[at]);
            }
        }
    }
}

/// The mean square of some rows of a table.
fn embedding(g: &Graph) -> Expr<'_> {
    let table = g.parameter("table", [50, 4], Init::Uniform { low: -1.0, high: 1.0 });
    let rows = g.input_of("rows", [6], DType::I32);
    table.index_select(0, rows).square().mean(..).named("loss")
}

#[test]
fn gradient_descent_on_an_embedding_is_one_step_in_place() {
    let g = Graph::new();
    let loss = embedding(&g);
    for device in devices() {
        let mut session = Session::train(&g, loss, Sgd::new(0.5), device.clone()).unwrap();
        let before = session.parameter("table").unwrap().to_f64_vec();
        let rows = [7, 3, 7, 49, 0, 7];
        let given = Tensor::new([6], rows.to_vec()).unwrap();
        session.step(&[("rows", &given)]).unwrap();
        let after = session.parameter("table").unwrap().to_f64_vec();
        for row in 0..50 {
            let times = rows.iter().filter(|&&used| used == row as i32).count() as f64;
            for at in 4 * row..4 * row + 4 {
                let expected = before[at] - 0.5 * times * before[at] / 12.0;
                let is_close = (after[at] - expected).abs() <= 1e-6 && (times > 0.0 || after[at] == before[at]);
                assert!(is_close, "{device}: {at} was {} and is {}, not {expected}", before[at], after[at]);
            }
        }
        // An index outside the table is an error before anything runs.
        assert!(session.step(&[("rows", &Tensor::new([6], vec![0, 1, 2, 3, 4, 50]).unwrap())]).is_err());
        assert_eq!(session.parameter("table").unwrap().to_f64_vec(), after);
    }
    let session = Session::train(&g, loss, Sgd::new(0.5), Device::cpu()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/embedding_sgd.plan.txt");
    let text = session.plan().to_string();
    if std::env::var("ARENAGRAD_UPDATE_SNAPSHOTS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert_eq!(kept, text, "ARENAGRAD_UPDATE_SNAPSHOTS=1 accepts it");
}

#[test]
fn what_needs_the_whole_gradient_keeps_it() {
    let optimizers: [(&str, Sgd); 3] = [
        ("momentum", Sgd::new(0.5).momentum(0.9)),
        ("nesterov", Sgd::new(0.5).momentum(0.9).nesterov()),
        ("decay", Sgd::new(0.5).weight_decay(0.1)),
    ];
    for (name, optimizer) in optimizers {
        for device in devices() {
            let g = Graph::new();
            let loss = embedding(&g);
            let mut session = Session::train(&g, loss, optimizer.clone(), device.clone()).unwrap();
            let scatters: Vec<_> =
                session.plan().steps().iter().filter(|step| step.kernel.starts_with("scatter_add")).collect();
            assert!(scatters.len() == 1 && scatters[0].fused.is_empty(), "{name}\n{}", session.plan());
            // The rows that were not used move by momentum and decay alone: against a table that is computed whole.
            let before = session.parameter("table").unwrap().to_f64_vec();
            let rows = Tensor::new([6], vec![1, 1, 2, 3, 5, 8]).unwrap();
            session.step(&[("rows", &rows)]).unwrap();
            session.step(&[("rows", &rows)]).unwrap();
            let after = session.parameter("table").unwrap().to_f64_vec();
            let shrunk = if name == "decay" { (1.0 - 0.05) * (1.0 - 0.05) } else { 1.0 };
            for at in 9 * 4..50 * 4 {
                assert!((after[at] - shrunk * before[at]).abs() < 1e-6, "{device}, {name}: {at}");
            }
            assert!((4..12).all(|at| before[at] == 0.0 || after[at].abs() < before[at].abs()), "{device}, {name}");
        }
    }
}

#[test]
fn totals_that_others_need_are_computed() {
    let g = Graph::new();
    let given = Given { form: Form::Minus, case: CASES[0], dtype: DType::F32 };
    let [table, rate, total] = given.define(&g);
    let next = table - rate * total;
    let norm = total.square().sum(..);
    let session = Session::evaluate(&g, &[next, norm], &Device::cpu()).unwrap();
    let fused =
        session.plan().steps().iter().any(|step| step.kernel.starts_with("scatter_add") && !step.fused.is_empty());
    assert!(!fused, "{}", session.plan());
}

#[test]
fn with_the_kernels_of_a_gpu() {
    with_kernels_of_a_gpu(&[
        "tables::a_table_is_updated_in_place_with_the_bits_of_the_formula",
        "tables::a_rate_that_is_not_finite_reaches_what_has_no_updates",
        "tables::zeros_and_what_is_not_finite_in_a_table_stay_as_the_formula_has_them",
    ]);
}
