//! The public face under arguments that nobody means: whatever a caller passes, the answer is a value or a typed error. A run
//! that would need more memory than there is says so.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::suite::devices::devices;
use arenagrad::check::{self, Differences, GradCheck, Parity};
use arenagrad::plan::BufferRole;
use arenagrad::train::shuffled;
use arenagrad::{
    Adam, AdamW, DType, Device, Elements, Error, Expr, GradientTape, Graph, Init, Lambdified, Reduction, Session, Sgd,
    Shape, Tape, TapeOptimizer, Tensor, Variable, parse,
};

/// What a call gave, or that it panicked.
pub(crate) fn caught<T>(what: &str, call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| panic!("{what} panicked"))
}

fn is_out_of_memory<T: std::fmt::Debug>(what: &str, call: impl FnOnce() -> Result<T, Error>) {
    let result = caught(what, call);
    assert!(matches!(result, Err(Error::OutOfMemory { .. })), "{what}: {result:?}");
}

#[test]
fn what_no_memory_holds_is_refused() {
    for elements in [1 << 46, usize::MAX / 8, usize::MAX / 4 + 1, usize::MAX] {
        for dtype in [DType::F32, DType::F64, DType::I32, DType::Bool] {
            assert!(Elements::zeros(dtype, elements).is_err());
            is_out_of_memory("a tensor", || Tensor::zeros([elements], dtype));
        }
        is_out_of_memory("an order", || shuffled(elements, u64::MAX, u64::MAX));
    }
    is_out_of_memory("a shape that overflows", || Tensor::zeros([usize::MAX, 2], DType::Bool));
    assert_eq!(Elements::zeros(DType::Bool, 3).unwrap(), Elements::Bool(vec![0; 3].into()));
    assert_eq!(Tensor::zeros([0, usize::MAX], DType::F32).unwrap().data().len(), 0);
    assert_eq!(shuffled(0, 0, 0).unwrap(), [0; 0]);
}

#[test]
fn tensors_take_what_fits_and_refuse_the_rest() {
    let shapes: [&[usize]; 7] =
        [&[], &[0], &[usize::MAX], &[usize::MAX, usize::MAX], &[0, usize::MAX], &[1; 17], &[1 << 32, 1 << 32]];
    for shape in shapes {
        for count in [0, 1, 2] {
            let what = format!("{shape:?} of {count}");
            let shape = Shape::from(shape);
            let made = caught(&what, || Tensor::new(shape.clone(), vec![f64::NAN; count]));
            let fits = shape.checked_elements() == Some(count);
            assert_eq!(made.is_ok(), fits, "{what}");
            if let Ok(mut tensor) = made {
                caught(&what, || {
                    let _ = (tensor.item(), tensor.as_mut_slice::<i32>().is_err(), tensor.as_slice::<f64>().is_ok());
                    [DType::F32, DType::I32, DType::Bool].map(|dtype| tensor.cast(dtype))
                });
            }
        }
    }
    let wide = Tensor::new([3], vec![f64::INFINITY, -1e300, f64::NAN]).unwrap();
    assert_eq!(wide.cast(DType::I32).as_slice::<i32>().unwrap(), [i32::MAX, i32::MIN, 0]);
}

type Build = for<'g> fn(&'g Graph) -> Vec<Expr<'g>>;

/// Programs over tensors that are empty, or too large for any memory.
const PROGRAMS: &[(&str, Build)] = &[
    ("zeros", |g| vec![g.zeros([1 << 46], DType::F32)]),
    ("ones of two axes", |g| vec![g.ones([1 << 30, 1 << 29], DType::F64)]),
    ("bools", |g| vec![g.full([1 << 59], 1.0, DType::Bool)]),
    ("noise", |g| vec![g.uniform([1 << 46], g.iota([], 0), 0)]),
    ("coordinates", |g| vec![g.iota([1 << 20, 1 << 26], 0).cast(DType::F32)]),
    ("a product", |g| {
        let x = g.input("x", [1 << 23, 1]);
        vec![x.matmul(x.t()) + 1.0]
    }),
    ("an outer sum", |g| {
        let x = g.input("x", [1 << 23, 1]);
        vec![(x + x.t()).exp()]
    }),
    ("a sum of nothing", |g| {
        let x = g.input("x", [0, 1 << 40]);
        vec![x.sum(0)]
    }),
    ("a broadcast", |g| {
        let x = g.input("x", []);
        vec![x.broadcast_to([1 << 23, 1 << 23]).square()]
    }),
    ("padding", |g| {
        let x = g.input("x", [2]);
        vec![x.pad([(1 << 46, 0)], 0.0)]
    }),
];

/// The same, over tensors that are empty: these give values.
const EMPTY: &[(&str, Build)] = &[
    ("a sum over an empty axis", |g| vec![g.input("x", [3, 0]).sum(1), g.input("y", [0, 3]).mean(1)]),
    ("an empty product", |g| {
        let (x, y) = (g.input("x", [3, 0]), g.input("y", [0, 2]));
        vec![x.matmul(y), y.matmul(x.reshape([0, 3]).t().slice(0, 0, 2))]
    }),
    ("empty and wide", |g| {
        let x = g.input("x", [0, 1 << 40]);
        vec![x.exp(), x.sum(1), x.t(), x.reshape([1 << 40, 0]), x.slice(1, 5, 1 << 39)]
    }),
    ("empty gradients", |g| {
        let x = g.input("x", [0, 3]);
        let y = x.softmax(-1).sum(..);
        let [dx] = y.grad([x]).unwrap_or([x]);
        vec![y, dx]
    }),
    ("empty pieces", |g| {
        let x = g.input("x", [0]);
        vec![g.concat(&[x, x], 0), g.stack(&[x, x], 0), x.pad([(0, 2)], 7.0), x.index_select(0, x.cast(DType::I32))]
    }),
    ("rank sixteen", |g| {
        let x = g.input("x", vec![1; 16]);
        vec![x.sum(..), x + 1.0, x.permute((0..16).rev().collect::<Vec<isize>>()), x.matmul(x), x.softmax(15)]
    }),
    ("a scalar", |g| {
        let x = g.input("x", []);
        vec![x.sum(..), x.max([0_isize; 0]), x.reshape([1, 1, 1]), x.broadcast_to([2, 2])]
    }),
];

/// Compiles and runs a program with inputs of zeros.
fn run(build: Build, device: &Device) -> Result<Vec<Tensor>, Error> {
    let graph = Graph::new();
    let outputs = build(&graph);
    let mut session = Session::evaluate(&graph, &outputs, device)?;
    let mut inputs = Vec::new();
    for buffer in session.plan().buffers() {
        if let BufferRole::Input(number) = buffer.role {
            let declaration = &graph.declarations()[number as usize];
            inputs.push((declaration.name.clone(), Tensor::zeros(&declaration.shape, declaration.dtype)?));
        }
    }
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    session.run(&inputs)
}

#[test]
fn plans_past_any_memory_are_refused() {
    for device in devices() {
        for (name, build) in PROGRAMS {
            let what = format!("{name} on {device}");
            let result = caught(&what, || run(*build, &device));
            let refused = matches!(
                result,
                Err(Error::OutOfMemory { .. }
                    | Error::BufferTooLarge { .. }
                    | Error::Unsupported { .. }
                    | Error::Graph(_))
            );
            assert!(refused, "{what}: {:?}", result.map(|tensors| tensors.len()));
        }
        // The device is as it was.
        let ones = caught("afterwards", || run(|g| vec![g.ones([2], DType::F32)], &device)).unwrap();
        assert_eq!(ones[0].to_f64_vec(), [1.0, 1.0], "{device}");
    }
}

#[test]
fn plans_of_empty_tensors_run() {
    for device in devices() {
        for (name, build) in EMPTY {
            let what = format!("{name} on {device}");
            let tensors = caught(&what, || run(*build, &device)).unwrap_or_else(|error| panic!("{what}: {error}"));
            let graph = Graph::new();
            for (found, output) in tensors.iter().zip(build(&graph)) {
                assert_eq!(found.shape(), &output.shape().unwrap(), "{what}");
            }
        }
    }
}

#[test]
fn training_refuses_what_it_cannot_do() {
    let rates = [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX];
    for rate in rates {
        let graph = Graph::new();
        let w = graph.parameter("w", [2], Init::Constant(1e30));
        let loss = w.square().sum(..);
        caught("optimisers", || {
            let trained = |optimizer: &dyn arenagrad::Optimizer| {
                Session::builder(Device::cpu()).train(&graph, loss, optimizer).map(|_| ())
            };
            if !(0.0..=f64::MAX).contains(&rate) {
                let refused =
                    |result| assert!(matches!(result, Err(Error::Hyperparameter { .. })), "{rate}: {result:?}");
                refused(trained(&Sgd::new(rate)));
                refused(trained(&Sgd::new(0.1).momentum(rate)));
                refused(trained(&Sgd::new(0.1).weight_decay(rate)));
                refused(trained(&Adam::new(rate)));
                refused(trained(&Adam::new(0.1).betas(rate, 0.9)));
                refused(trained(&Adam::new(0.1).betas(0.9, rate)));
                refused(trained(&Adam::new(0.1).eps(rate)));
                refused(trained(&AdamW::new(0.1).weight_decay(rate)));
            }
            let _ = Session::train(&graph, loss, Sgd::new(rate).momentum(rate).weight_decay(rate), Device::cpu());
            let _ = Session::train(&graph, loss, Sgd::new(0.1).momentum(rate).nesterov(), Device::cpu());
            let _ = Session::train(&graph, loss, Adam::new(rate).betas(rate, rate).eps(rate), Device::cpu());
            let _ = Session::train(&graph, loss, AdamW::new(rate).betas(rate, 1.0).weight_decay(rate), Device::cpu());
            let mut session = Session::train(&graph, loss, Sgd::new(0.1), Device::cpu()).unwrap();
            let _ = (session.set_learning_rate(rate), session.step(&[]), session.step(&[]));
        });
    }
    let large = |init: Init| {
        let graph = Graph::new();
        let w = graph.parameter("w", [1 << 46], init);
        Session::train(&graph, w.sum(..), Sgd::new(0.1), Device::cpu()).map(|_| ())
    };
    is_out_of_memory("a large constant", || large(Init::Constant(0.0)));
    is_out_of_memory("large noise", || large(Init::KaimingUniform));
    let graph = Graph::new();
    let w = graph.parameter("w", [2], Init::Constant(0.0));
    let mut session = Session::train(&graph, w.sum(..), Sgd::new(0.1), Device::cpu()).unwrap();
    let other = Tensor::zeros([2], DType::F32).unwrap();
    assert!(matches!(session.step(&[("", &other)]), Err(Error::UnknownInput { .. })));
    assert!(matches!(session.step(&[("w", &other)]), Err(Error::UnknownInput { .. })));
    assert!(matches!(session.run(&[]), Err(Error::NothingToRun)));
    assert!(matches!(session.parameter(""), Err(Error::UnknownParameter { .. })));
    assert!(matches!(
        session.set_parameter("w", &Tensor::scalar(1)),
        Err(Error::ParameterShape { .. } | Error::ParameterDType { .. })
    ));
    for path in ["/nowhere/at/all", "\0"] {
        assert!(matches!(caught("save", || session.save(path)), Err(Error::File { .. })), "{path:?}");
    }
    for path in ["", "/", "/nowhere/at/all", "\0"] {
        assert!(matches!(caught("load", || session.load(path)), Err(Error::File { .. })), "{path:?}");
    }
}

#[test]
fn devices_have_no_name_that_panics() {
    for name in ["", " ", "cuda", "CPU", "\0", "llvmpipe llvmpipe", "💥"] {
        let device = caught(name, || Device::named(name));
        assert_eq!(device.is_ok(), name == "CPU", "{name:?}: {device:?}");
    }
}

#[test]
fn checks_take_any_numbers() {
    for number in [0.0, -1.0, 1e-300, f64::MIN_POSITIVE, f64::MAX, f64::NAN, f64::INFINITY] {
        caught("differences", || {
            let differences = [Differences::central().step(number), Differences::forward().step(number)];
            for differences in differences {
                if number <= 0.0 || !number.is_finite() {
                    assert!(differences.gradient(|x| x[0], &[1.0]).is_err(), "{differences:?}");
                }
                let tolerant =
                    GradCheck::new().tolerances(number, 0.0).function(|x| x[0].sum(..), &[Tensor::scalar(1.0)]);
                assert_eq!(tolerant.is_err(), number < 0.0 || !number.is_finite(), "{number}: {tolerant:?}");
                let _ = differences.gradient(|x| x.iter().sum(), &[number, 1.0, f64::MAX]);
                let _ = differences.gradient(|_| number, &[]);
                let checked = GradCheck::new().differences(differences).tolerances(number, number);
                let _ = checked.function(|x| x[0].square().sum(..), &[Tensor::scalar(number)]);
            }
            let inputs = [Tensor::new([2], vec![number, 1.0]).unwrap()];
            let _ = check::gradgradcheck(|x| x[0].square().sum(..), &inputs);
            let _ = check::adjoint(|x| x[0].square(), &inputs);
            let _ = check::gradcheck(|x| x[0].sum(17), &inputs);
            let _ = Parity::new().tolerances(number, number);
        });
    }
    let empty = [Tensor::zeros([0], DType::F64).unwrap()];
    assert!(
        caught("empty", || check::gradcheck(|x| x[0].square().sum(..), &empty)).is_ok_and(|report| report.passed())
    );
    for inputs in [&empty[..], &[Tensor::scalar(i32::MIN)], &[Tensor::from_bools([1], &[true]).unwrap()]] {
        caught("odd inputs", || {
            let _ = check::adjoint(|x| x[0].sum(..), inputs);
            let _ = check::gradcheck(|x| x[0].sum(..), inputs);
            let _ = check::gradgradcheck(|x| x[0].graph().zeros([], DType::F64), inputs);
        });
    }
    caught("no inputs", || {
        let graph = Graph::new();
        let zero = graph.zeros([], DType::F64);
        let _ = GradCheck::new().graph(&graph, &[zero], &[], &[]);
        let _ = Parity::new().compare(&graph, &[zero], &[], [&Device::cpu(), &Device::cpu()]);
    });
}

#[test]
fn formulas_take_any_vectors() {
    let formula = parse("x*y").unwrap();
    let evaluated = |at: &[(&str, f64)]| caught("evaluate", || arenagrad::evaluate(&formula, at));
    // Errors name the caller's file, and not the one that calls the formula.
    let missing = evaluated(&[("x", 2.0)]).unwrap_err().to_string();
    assert!(missing.contains("extremes.rs"), "{missing}");
    let missing =
        Lambdified::new(&[&formula], &["x"], 2, DType::F64, &Device::cpu()).map(|_| ()).unwrap_err().to_string();
    assert!(missing.contains("extremes.rs"), "{missing}");
    assert!(evaluated(&[("x", 2.0), ("x", 3.0), ("y", 1.0)]).is_err());
    assert!(evaluated(&[("x", f64::NAN), ("y", 1.0)]).unwrap().is_nan());
    let mut function = Lambdified::new(&[&formula], &["x", "y"], 2, DType::F64, &Device::cpu()).unwrap();
    for vectors in [&[][..], &[&[1.0][..]], &[&[1.0, 2.0], &[1.0][..]], &[&[1.0][..]; 3]] {
        assert!(caught("call", || function.call(vectors)).is_err(), "{vectors:?}");
    }
    assert_eq!(function.call(&[&[1.0, 2.0], &[3.0, f64::NAN]]).unwrap()[0][0], 3.0);
    for length in [0, 1 << 46, usize::MAX] {
        for dtype in [DType::F64, DType::I32, DType::Bool] {
            caught("lengths", || {
                let _ = Lambdified::new(&[&formula], &["x", "y"], length, dtype, &Device::cpu())
                    .map(|mut f| f.call(&[&[], &[]]));
                let _ = Lambdified::new(&[&formula], &["x", "x"], length, dtype, &Device::cpu()).map(|_| ());
                let _ = Lambdified::new(&[], &[], length, dtype, &Device::cpu()).map(|mut f| f.call(&[]));
            });
        }
    }
}

#[test]
fn a_tape_takes_any_operation() {
    let numbers = [0.0, -1.0, f64::NAN, f64::INFINITY];
    let axes = [0, 1, -1, 17, isize::MAX, isize::MIN];
    for shape in [vec![], vec![0], vec![2, 3], vec![1; 16], vec![0, 1 << 40]] {
        for dtype in [DType::F32, DType::I32, DType::Bool] {
            let tape = Tape::new(Device::cpu());
            let x = tape.leaf(Tensor::zeros(shape.clone(), dtype).unwrap()).requires_grad();
            let mut made: Vec<Variable> =
                vec![x.exp(), -&x, &x + &x, x.matmul(&x), x.sum(..), x.mse_loss(&x, Reduction::Mean)];
            for axis in axes {
                made.extend([x.sum(axis), x.mean(axis), x.softmax(axis), x.transpose(axis, 0), x.permute([axis])]);
                made.extend([x.slice(axis, 0, usize::MAX), x.slice(axis, 2, 1), x.select_index(axis, usize::MAX)]);
            }
            for number in numbers {
                made.extend([x.powf(number), x.clamp(Some(number), None), &x * number]);
            }
            made.extend([x.reshape([usize::MAX, 2]), x.broadcast_to([1 << 46]), x.broadcast_to(vec![1; 17])]);
            for (place, variable) in made.iter().enumerate() {
                let what = format!("{dtype}{shape:?}, number {place}");
                caught(&what, || {
                    let _ = (variable.shape(), variable.dtype(), variable.check());
                    let _ = (variable.data(), variable.item(), variable.grad());
                    let _ = (variable.backward(), variable.backward_with(Tensor::scalar(f64::NAN)));
                    let _ = tape.gradients(variable, &[&x, variable]);
                    let _ = tape.jacobian(variable, &x).data();
                });
            }
        }
    }
}

#[test]
fn tapes_do_not_mix() {
    let (one, two) = (Tape::new(Device::cpu()), Tape::new(Device::cpu()));
    let (x, y) = (one.leaf(1.0f32).requires_grad(), two.leaf(2.0f32).requires_grad());
    caught("a sum over two tapes", || assert!((&x + &y).data().is_err()));
    caught("gradients over two tapes", || assert!(one.gradients(&y, &[&x]).is_err()));
    caught("a gradient tape", || {
        let tape = GradientTape::on(&one);
        tape.watch(&y);
        let _ = (tape.gradient(&y, &[&x]), tape.jacobian(&y, &y));
    });
    caught("an optimiser", || assert!(TapeOptimizer::new(&one, &[&y], Sgd::new(0.1)).is_err()));
    caught("an optimiser of nothing", || TapeOptimizer::new(&one, &[], Sgd::new(0.1)).map(|mut o| o.step()).is_ok());
    caught("a foreign expression", || {
        let graph = Graph::new();
        let kept = graph.input("kept", []).id().unwrap();
        let _ = x.map(|x| x.graph().expr(kept)).data();
    });
    caught("a question inside", || {
        let _ = x.map(|expression| {
            let _ = (x.data(), y.data(), one.len());
            expression
        });
    });
}
