//! How plans and runs grow: steps are counted, and where only time shows it, one run over eight times as many of something may
//! take three times as long as eight runs. What is quadratic takes eight times as long.

#[path = "suite/devices.rs"]
#[allow(dead_code, unreachable_pub)]
mod devices;

use std::time::{Duration, Instant};

use arenagrad::train::Trained;
use arenagrad::{
    Adam, DType, Device, Error, Expr, Graph, Init, Optimizer, Session, Sgd, Tape, TapeOptimizer, Tensor, Variable,
};
use devices::devices;

/// Holds one run over `8 few` against eight over `few`, as long as each other if time is linear, so that a busy machine hinders
/// both alike. It is tried again where it hindered the one: what is quadratic exceeds the bound each time.
fn assert_near_linear<T>(what: &str, few: usize, prepare: impl Fn(usize) -> T, work: impl Fn(&mut T)) {
    let time_of = |runs: usize, n: usize| -> Duration {
        let mut prepared: Vec<T> = (0..runs).map(|_| prepare(n)).collect();
        let start = Instant::now();
        prepared.iter_mut().for_each(&work);
        start.elapsed()
    };
    let mut measured = Vec::new();
    for _ in 0..10 {
        let (eight, one) = (time_of(8, few), time_of(1, 8 * few));
        if one < 3 * eight {
            return;
        }
        measured.push((eight, one));
    }
    panic!("{what}: eight times {few}, and {}: {measured:?}", 8 * few);
}

/// The sum of `n` small functions of parameters.
fn loss_of(g: &Graph, n: usize) -> Expr<'_> {
    (0..n).fold(g.scalar(0.0), |sum, i| sum + g.parameter(format!("p{i}"), [2], Init::Constant(1.0)).tanh().sum(..))
}

#[test]
fn training_many_parameters_is_compiled_in_near_linear_time() {
    let train = |n: &mut usize| {
        let g = Graph::new();
        let session = Session::train(&g, loss_of(&g, *n), Adam::new(0.1), Device::cpu()).unwrap();
        assert_eq!(session.trainable_names().count(), *n);
    };
    assert_near_linear("parameters", 100, |n| n, train);
}

#[test]
fn many_inputs_are_fed_in_near_linear_time() {
    let prepare = |n: usize| {
        let g = Graph::new();
        let names: Vec<String> = (0..n).map(|i| format!("x{i}")).collect();
        let sum = names.iter().fold(g.scalar(0.0), |sum, name| sum + g.input(name, []));
        (Session::evaluate(&g, &[sum], &Device::cpu()).unwrap(), names)
    };
    let one = Tensor::scalar(1.0f32);
    assert_near_linear("inputs", 500, prepare, |(session, names)| {
        let inputs: Vec<(&str, &Tensor)> = names.iter().map(|name| (name.as_str(), &one)).collect();
        assert_eq!(session.run(&inputs).unwrap()[0].item().unwrap(), names.len() as f64);
    });
}

#[test]
fn many_inputs_and_literals_are_planned_in_near_linear_time() {
    let plan = |n: &mut usize| {
        let g = Graph::new();
        let table = g.input("table", [7]);
        let sum = (0..*n).fold(g.zeros([2], DType::F32), |sum, i| {
            let index = g.input_of(format!("i{i}"), [2], DType::I32);
            sum + table.gather(0, index) * g.literal([2], vec![i as f32, 1.0])
        });
        drop(Session::evaluate(&g, &[sum], &Device::cpu()).unwrap());
    };
    assert_near_linear("inputs and literals", 200, |n| n, plan);
}

#[test]
fn many_outputs_of_one_input_are_planned_in_near_linear_time() {
    let plan = |n: &mut usize| {
        let g = Graph::new();
        let x = g.input("x", [2]);
        let outputs: Vec<Expr<'_>> = (0..*n).map(|i| (x + i as f64).tanh()).collect();
        drop(Session::evaluate(&g, &outputs, &Device::cpu()).unwrap());
    };
    assert_near_linear("outputs", 200, |n| n, plan);
}

/// Each step reads the input beside what the step before gave in another order, so no two of them are of one rank.
#[test]
fn many_steps_that_read_one_input_are_planned_in_near_linear_time() {
    let plan = |n: &mut usize| {
        let g = Graph::new();
        let x = g.input("x", [64]);
        let last = (0..*n).fold(x, |h, _| h.flip(0) * x);
        drop(Session::evaluate(&g, &[last], &Device::cpu()).unwrap());
    };
    assert_near_linear("steps", 4000, |n| n, plan);
}

#[test]
fn many_parameters_are_read_and_set_in_near_linear_time() {
    let prepare = |n: usize| {
        let g = Graph::new();
        (Session::evaluate(&g, &[loss_of(&g, n)], &Device::cpu()).unwrap(), n)
    };
    assert_near_linear("parameters", 200, prepare, |(session, n)| {
        for i in 0..*n {
            let name = format!("p{i}");
            let value = session.parameter(&name).unwrap();
            session.set_parameter(&name, &value).unwrap();
        }
    });
}

/// Each parameter becomes the sum of the next value of the one before and the old value of the one after it.
struct Chained;

impl Optimizer for Chained {
    fn update<'g>(&self, _: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let mut before = trained[0].parameter * 0.0;
        let mut updates = Vec::new();
        for (number, Trained { parameter, .. }) in trained.iter().enumerate() {
            let after = trained[(number + 1) % trained.len()].parameter;
            // A reduction between them keeps each update a step of its own.
            let next = before.sum(..).broadcast_to([2]) * 0.5 + after;
            updates.push((*parameter, next));
            before = next;
        }
        Ok(updates)
    }
}

#[test]
fn updates_that_need_each_other_read_what_was_there_before() {
    for device in devices() {
        let g = Graph::new();
        let parameters: Vec<Expr<'_>> = (0..12)
            .map(|i| g.parameter(format!("p{i}"), [2], Init::Values(vec![f64::from(i), f64::from(2 * i)])))
            .collect();
        let loss = parameters.iter().fold(g.scalar(0.0), |sum, p| sum + p.sum(..));
        let mut session = Session::train(&g, loss, Chained, device).unwrap();
        let mut expected: Vec<[f64; 2]> = (0..12).map(|i| [f64::from(i), f64::from(2 * i)]).collect();
        for _ in 0..3 {
            session.step(&[]).unwrap();
            let old = expected.clone();
            let mut before = [0.0, 0.0];
            for (number, value) in expected.iter_mut().enumerate() {
                let after = old[(number + 1) % old.len()];
                let sum = (before[0] + before[1]) * 0.5;
                *value = [sum + after[0], sum + after[1]];
                before = *value;
            }
        }
        for (number, expected) in expected.iter().enumerate() {
            assert_eq!(session.parameter(&format!("p{number}")).unwrap().to_f64_vec(), expected, "p{number}");
        }
    }
}

#[test]
fn chained_updates_are_ordered_in_near_linear_time() {
    let train = |n: &mut usize| {
        let g = Graph::new();
        drop(Session::train(&g, loss_of(&g, *n), Chained, Device::cpu()).unwrap());
    };
    assert_near_linear("chained updates", 60, |n| n, train);
}

/// Functions of one leaf of a tape, recorded one after the other.
fn recorded(n: usize, with_gradients: bool) -> (Tape, Variable, Vec<Variable>) {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(0.5);
    w.set_requires_grad(with_gradients).unwrap();
    let values = (0..n).map(|number| (&w * &tape.leaf(number as f64)).tanh()).collect();
    (tape, w, values)
}

#[test]
fn many_values_of_a_tape_are_asked_in_near_linear_time() {
    // The arena of so many has grown far since it was swept.
    for with_gradients in [false, true] {
        let prepare = |n: usize| recorded(n, with_gradients);
        assert_near_linear("values", 1_050, prepare, |(_, _, values)| {
            for (number, value) in values.iter().enumerate() {
                let expected = (0.5 * number as f64).tanh();
                assert!((value.item().unwrap() - expected).abs() < 1e-5);
            }
        });
    }
}

#[test]
fn many_values_of_a_tape_are_differentiated_in_near_linear_time() {
    let prepare = |n: usize| recorded(n, true);
    assert_near_linear("losses", 500, prepare, |(_, w, losses)| {
        losses.iter().for_each(|loss| loss.backward().unwrap());
        let expected: f64 = (0..losses.len()).map(|n| n as f64 * (1.0 - (0.5 * n as f64).tanh().powi(2))).sum();
        assert!((w.grad().unwrap().item().unwrap() - expected).abs() < 1e-4);
    });
}

/// What a loop of an optimiser on a tape holds of each step.
#[derive(Clone, Copy, Debug)]
enum Held {
    Total,
    TotalThatIsAsked,
    /// A chain over another leaf, which the optimiser never sees.
    Beside,
    Squares,
    Losses,
    Leaves,
}

#[test]
fn steps_of_a_tape_take_near_linear_time_whatever_is_held() {
    let steps = |n: usize, held: Held| {
        let tape = Tape::new(Device::cpu());
        let (w, other) = (tape.leaf(0.5).requires_grad(), tape.leaf(0.999).requires_grad());
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(1e-4)).unwrap();
        let (mut total, mut kept): (Variable, Vec<Variable>) = (tape.leaf(0.0), Vec::new());
        let mut expected = (0.5f64, 0.0f64);
        for _ in 0..n {
            let loss = (&w - 2.0).square();
            tape.zero_grad();
            loss.backward().unwrap();
            optimizer.step().unwrap();
            match held {
                Held::Total => total = &total + &loss,
                Held::TotalThatIsAsked => {
                    total = &total + &loss;
                    assert!(total.item().is_ok());
                }
                Held::Beside => total = &total * &other + 1.0,
                Held::Squares => kept.push(loss.square()),
                Held::Losses => kept.push(loss),
                Held::Leaves => kept.push(tape.leaf(1.0)),
            }
            expected.1 += (expected.0 - 2.0).powi(2);
            expected.0 -= 2e-4 * (expected.0 - 2.0);
        }
        assert!((w.item().unwrap() - expected.0).abs() < 1e-4);
        if matches!(held, Held::Total | Held::TotalThatIsAsked) {
            assert!((total.item().unwrap() / expected.1 - 1.0).abs() < 1e-3);
        }
    };
    let all = [Held::Total, Held::TotalThatIsAsked, Held::Beside, Held::Squares, Held::Losses, Held::Leaves];
    for held in all {
        assert_near_linear(&format!("steps, {held:?}"), 500, |n| n, |n| steps(*n, held));
    }
}

#[test]
fn many_states_of_a_tape_are_set_in_near_linear_time() {
    let prepare = |n: usize| {
        let tape = Tape::new(Device::cpu());
        let leaf = |number: usize| tape.leaf(Tensor::scalar(number as f64)).requires_grad().named(format!("w{number}"));
        let leaves: Vec<Variable> = (0..n).map(leaf).collect();
        let leaves: Vec<&Variable> = leaves.iter().collect();
        (TapeOptimizer::new(&tape, &leaves, Sgd::new(0.1).momentum(0.5)).unwrap(), n)
    };
    let value = Tensor::scalar(0.25f64);
    assert_near_linear("states", 150, prepare, |(optimizer, n)| {
        for number in 0..*n {
            optimizer.set_state(&format!("w{number}.velocity"), &value).unwrap();
        }
    });
}

#[test]
fn a_concatenation_that_grows_is_planned_in_near_linear_time() {
    for is_in_front in [false, true] {
        let prepare = |n: usize| {
            let g = Graph::new();
            let x = g.input("x", [1]);
            let grown = (0..n).fold(x, |v, number| {
                let new = (x * number as f64).sin();
                g.concat(&if is_in_front { [new, v] } else { [v, new] }, 0)
            });
            let sum = grown.square().sum(..).id().unwrap();
            (g, sum)
        };
        assert_near_linear("concatenations", 500, prepare, |(g, sum)| {
            let session = Session::evaluate(g, &[g.expr(*sum)], &Device::cpu()).unwrap();
            let steps = session.plan().steps();
            let assembled = steps.iter().filter(|step| step.kernel.starts_with("assemble")).count();
            assert!(assembled <= 2, "{}", session.plan());
        });
    }
}

#[test]
fn many_plans_are_added_in_near_linear_time() {
    let prepare = |n: usize| {
        let g = Graph::new();
        let x = g.input("x", [2]);
        let sum = (x * g.literal([2], vec![1.0f32, 2.0])).sum(..).id().unwrap();
        let session = Session::evaluate(&g, &[x], &Device::cpu()).unwrap();
        (g, sum, session, n)
    };
    assert_near_linear("plans", 800, prepare, |(g, sum, session, n)| {
        for _ in 0..*n {
            session.add(g, &[g.expr(*sum)]).unwrap();
        }
    });
}

#[test]
fn parameters_are_frozen_by_many_patterns_in_near_linear_time() {
    let prepare = |n: usize| -> Option<Box<dyn Optimizer>> {
        let optimizer: Box<dyn Optimizer> = Box::new(Sgd::new(0.1));
        Some((0..n).fold(optimizer, |optimizer, _| Box::new(optimizer.freeze("p"))))
    };
    assert_near_linear("patterns", 400, prepare, |optimizer| {
        let g = Graph::new();
        let [p, q] = ["p", "q"].map(|name| g.parameter(name, [2], Init::Constant(1.0)));
        let mut session = Session::train(&g, (p * q).sum(..), optimizer.take().unwrap(), Device::cpu()).unwrap();
        session.step(&[]).unwrap();
        let first = |name: &str| session.parameter(name).unwrap().to_f64_vec()[0];
        assert!(first("p") == 1.0 && (first("q") - 0.9).abs() < 1e-6);
    });
}

/// Gradients of parts, of which every element is known: how often it is used, and with what weight.
#[test]
fn gradients_of_parts_are_the_same_numbers_on_every_device() {
    let weight = |i: usize| (i % 5 + 1) as f64;
    for device in devices() {
        let check = |what: &str, part: &dyn for<'g> Fn(Expr<'g>, usize) -> Option<Expr<'g>>| {
            let g = Graph::new();
            let x = g.input("x", [3, 24, 2]);
            let numbers = g.literal([3, 24, 2], (0..144).map(|i| i as f32).collect::<Vec<f32>>());
            let mut loss = g.scalar(0.0);
            let mut expected = vec![0.0; 144];
            for i in 0..24 {
                let (Some(of_x), Some(of_numbers)) = (part(x, i), part(numbers, i)) else { continue };
                loss = loss + of_x.sum(..) * weight(i);
                let mut own = Session::evaluate(&g, &[of_numbers], &Device::cpu()).unwrap();
                let x = Tensor::zeros([3, 24, 2], DType::F32).unwrap();
                for number in own.run(&[("x", &x)]).unwrap()[0].to_f64_vec() {
                    expected[number as usize] += weight(i);
                }
            }
            let [gradient] = (loss + (x * 0.0).sum(..)).grad([x]).unwrap();
            let [alone] = loss.grad([x]).unwrap();
            let mut session = Session::evaluate(&g, &[gradient, alone], &device).unwrap();
            let x = Tensor::zeros([3, 24, 2], DType::F32).unwrap();
            for found in session.run(&[("x", &x)]).unwrap() {
                assert_eq!(found.to_f64_vec(), expected, "{what} on {device:?}");
            }
        };
        check("selects", &|x, i| Some(x.select_index(1, i)));
        check("some selects", &|x, i| (i % 3 == 1).then(|| x.select_index(1, i)));
        check("windows", &|x, i| (i < 20).then(|| x.slice(1, i, i + 5)));
        check("steps", &|x, i| (i < 7).then(|| x.slice_step(1, i, 24, 7)));
        check("cells", &|x, i| Some(x.select_index(0, i % 3).select_index(0, 23 - i)));
        check("of transposes", &|x, i| Some(x.permute([2, 1, 0]).select_index(1, i).slice(1, i % 3, i % 3 + 1)));
        check("of reshapes", &|x, i| Some(x.flatten().slice(0, 5 * i, 5 * i + 7)));
        check("gathers", &|x, i| Some(x.gather(1, x.graph().full([3, 2, 2], (i * 7 % 24) as f64, DType::I32))));
    }
}

#[test]
fn a_recurrence_over_slices_is_planned_with_one_concatenation() {
    let plan = |t: usize| {
        let g = Graph::new();
        let x = g.parameter("x", [4, t, 4], Init::Constant(0.1));
        let y = (0..t).fold(g.zeros([4, 4], DType::F32), |sum, i| (sum + x.select_index(1, i)).tanh());
        let session = Session::train(&g, y.sum(..), Sgd::new(0.1), Device::cpu()).unwrap();
        let steps = session.plan().steps();
        let assembled = steps.iter().filter(|step| step.kernel.starts_with("assemble")).count();
        (assembled, steps.len())
    };
    let (few, many) = (plan(16), plan(128));
    assert_eq!((few.0, many.0), (1, 1));
    assert!(many.1 <= 10 * few.1, "{} steps, then {}", few.1, many.1);
}

/// Neither time nor memory for the whole, which would have 2,116,000,000 elements.
#[test]
fn a_few_elements_of_something_vast_are_all_that_is_computed() {
    for device in devices() {
        let g = Graph::new();
        let n = 46_000;
        let (row, column) = (g.iota([n, n], 0), g.iota([n, n], 1));
        let window = |x: Expr<'_>| -> usize { x.shape().unwrap().elements() };
        let outputs = [
            row.slice(0, 40_000, 40_002).select_index(1, 5),
            column.t().slice(0, 40_000, 40_002).select_index(1, 5),
            (row * 2 + column).slice(0, 7, 9).slice_step(1, 10, 13, 2).flatten(),
            row.less_equal(column).slice(0, 30_000, 30_002).slice(1, 30_000, 30_002).cast(DType::I32).flatten(),
        ];
        assert_eq!(outputs.map(window), [2, 2, 4, 4]);
        let mut session = Session::evaluate(&g, &outputs, &device).unwrap();
        let elements: usize = session.plan().buffers().iter().map(|buffer| buffer.elements).sum();
        assert!(elements < 1_000, "{elements} elements\n{}", session.plan());
        let results: Vec<Vec<f64>> = session.run(&[]).unwrap().iter().map(Tensor::to_f64_vec).collect();
        let expected: [&[f64]; 4] =
            [&[40_000.0, 40_001.0], &[40_000.0, 40_001.0], &[24.0, 26.0, 26.0, 28.0], &[1.0, 1.0, 0.0, 1.0]];
        assert_eq!(results, expected);
    }
}
