//! Buffers that hold values narrower than their dtype, on every device: what is loaded, what is stored, and what files make of them.
//!
//! A widened load is exact. So a graph over narrow inputs must give what the same graph gives over f32 inputs of the same values, and
//! the only rounding to be found anywhere is that of a store.

use std::fs;
use std::path::PathBuf;

use arenagrad::{
    Adam, Bf16, DType, Device, Elements, Error, Expr, F16, Graph, Init, Session, Sgd, Shape, StorageType, Tensor, plan,
};

use crate::suite::devices::{devices, flushes_subnormals, uses_matrix_units};
use crate::suite::random::Random;

/// The types of floating-point numbers that are narrower than their values.
fn narrow() -> impl Iterator<Item = StorageType> {
    StorageType::ALL.into_iter().filter(|storage| !storage.is_native() && storage.value() == DType::F32)
}

/// f32 values of all sizes that the type holds, drawn anew for each name.
fn drawn(seed: u64, shape: impl Into<Shape>, storage: StorageType) -> Tensor {
    let shape = shape.into();
    let mut random = Random(seed);
    let values: Vec<f64> = (0..shape.elements()).map(|_| 4.0 * random.unit() - 2.0).collect();
    Tensor::from_data(shape, Elements::from_f64(storage, &values)).unwrap()
}

fn f32s(tensor: &Tensor) -> Vec<f32> {
    tensor.as_slice::<f32>().unwrap().to_vec()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    match tensor.as_slice::<f32>() {
        Ok(data) => data.iter().map(|x| x.to_bits()).collect(),
        Err(_) => tensor.to_f64_vec().iter().map(|&x| x as i32 as u32).collect(),
    }
}

/// What a case reads, and what it computes.
struct Case {
    name: &'static str,
    inputs: Vec<Vec<usize>>,
    build: for<'g> fn(&'g Graph, &[Expr<'g>]) -> Vec<Expr<'g>>,
    /// The kernel that must be among the steps.
    kernel: &'static str,
    /// Whether a product may be summed by another tree where its operands are packed in any case.
    is_product: bool,
}

fn case(
    name: &'static str,
    kernel: &'static str,
    inputs: &[&[usize]],
    build: for<'g> fn(&'g Graph, &[Expr<'g>]) -> Vec<Expr<'g>>,
) -> Case {
    let inputs = inputs.iter().map(|shape| shape.to_vec()).collect();
    Case { name, inputs, build, kernel, is_product: kernel == "matmul" }
}

/// Three heads of four columns each, which stand beside one another: `[2, rows, 12]` as `[2, 3, rows, 4]`.
fn heads<'g>(x: Expr<'g>, rows: usize) -> Expr<'g> {
    x.reshape([2, rows, 3, 4]).permute([0, 2, 1, 3])
}

/// Every kind of kernel, over views of every kind, with extents that four divides and others.
fn cases() -> Vec<Case> {
    vec![
        case("elementwise", "elementwise", &[&[7, 13], &[7, 13]], |_, x| vec![x[0] * x[1] + 1.0, x[0].exp()]),
        case("elementwise in fours", "elementwise", &[&[8, 16], &[8, 16]], |_, x| vec![x[0] * x[1]]),
        case("longer than a block", "elementwise", &[&[3, 1111], &[3, 1111]], |_, x| vec![x[0] - x[1]]),
        case("repeated rows", "elementwise", &[&[6, 20], &[20]], |_, x| vec![x[0] * x[1]]),
        case("repeated columns", "elementwise", &[&[6, 20], &[6, 1]], |_, x| vec![x[0] * x[1]]),
        case("a scalar", "elementwise", &[&[5, 9], &[]], |_, x| vec![x[0] * x[1]]),
        case("transposed", "elementwise", &[&[12, 8], &[8, 12]], |_, x| vec![x[0].transpose(0, 1) + x[1]]),
        case("transposed, odd", "elementwise", &[&[11, 7], &[7, 11]], |_, x| vec![x[0].transpose(0, 1) + x[1]]),
        case("slices", "elementwise", &[&[9, 21]], |_, x| vec![x[0].slice(1, 3, 17) * 2.0, x[0].slice(0, 2, 7) + 1.0]),
        case("one buffer by two views", "elementwise", &[&[8, 8]], |_, x| vec![x[0] * x[0].transpose(0, 1)]),
        case("a sum of rows", "sum", &[&[9, 33]], |_, x| vec![x[0].sum(1)]),
        case("a sum of columns", "sum", &[&[130, 96]], |_, x| vec![x[0].sum(0)]),
        case("a sum of all", "sum", &[&[64, 1024]], |_, x| vec![x[0].square().sum(..)]),
        case("a maximum", "max", &[&[5, 77]], |_, x| vec![x[0].max(1)]),
        case("softmax", "nest", &[&[6, 40]], |_, x| vec![x[0].softmax(1)]),
        case("softmax of long rows", "nest", &[&[3, 1501]], |_, x| vec![x[0].softmax(1)]),
        case("softmax of odd rows", "nest", &[&[33, 5], &[33, 1]], |_, x| vec![(x[0] * x[1]).softmax(1)]),
        case("argmax", "argmax", &[&[6, 31]], |_, x| vec![x[0].argmax(1)]),
        case("a product", "matmul", &[&[33, 20], &[20, 36]], |_, x| vec![x[0].matmul(x[1])]),
        case("a product, odd", "matmul", &[&[19, 37], &[37, 23]], |_, x| vec![x[0].matmul(x[1])]),
        case("lhs transposed", "matmul", &[&[37, 19], &[37, 24]], |_, x| vec![x[0].transpose(0, 1).matmul(x[1])]),
        case("rhs transposed", "matmul", &[&[40, 48], &[52, 48]], |_, x| vec![x[0].matmul(x[1].transpose(0, 1))]),
        case("both transposed", "matmul", &[&[48, 40], &[44, 48]], |_, x| {
            vec![x[0].transpose(0, 1).matmul(x[1].transpose(0, 1))]
        }),
        case("a small product", "matmul", &[&[3, 5], &[5, 2]], |_, x| vec![x[0].matmul(x[1])]),
        case("a row", "matmul", &[&[1, 130], &[130, 67]], |_, x| vec![x[0].matmul(x[1])]),
        case("a column", "matmul", &[&[67, 130], &[130, 1]], |_, x| vec![x[0].matmul(x[1])]),
        case("a batch", "matmul", &[&[5, 9, 16], &[5, 16, 12]], |_, x| vec![x[0].matmul(x[1])]),
        case("one matrix for a batch", "matmul", &[&[5, 9, 16], &[16, 12]], |_, x| vec![x[0].matmul(x[1])]),
        case("a deep product", "matmul", &[&[9, 4500], &[4500, 35]], |_, x| vec![x[0].matmul(x[1])]),
        case("a large product", "matmul", &[&[300, 200], &[200, 300]], |_, x| vec![x[0].matmul(x[1])]),
        case("work on a product", "matmul", &[&[20, 24], &[24, 32], &[32]], |_, x| {
            vec![(x[0].matmul(x[1]) + x[2]).tanh()]
        }),
        case("flipped", "elementwise", &[&[7, 13], &[13]], |_, x| vec![x[0].flip(1) + x[1], x[0].flip(..) * 2.0]),
        case("windows", "elementwise", &[&[7, 13]], |_, x| vec![x[0].windows([1], [3], [2], [1]) * 2.0]),
        case("a sum of windows", "sum", &[&[3, 21]], |_, x| vec![x[0].windows([1], [4], [1], [2]).sum(-1)]),
        case("softmax of flipped rows", "nest", &[&[6, 17]], |_, x| vec![x[0].flip(1).softmax(1)]),
        case("a product of flipped operands", "matmul", &[&[9, 40], &[40, 35]], |_, x| {
            vec![x[0].flip(..).matmul(x[1].flip(0)), x[0].matmul(x[1].flip(1))]
        }),
        case("heads beside one another", "matmul", &[&[2, 6, 12], &[2, 7, 12]], |_, x| {
            let scores = heads(x[0], 6).matmul(heads(x[1], 7).transpose(2, 3));
            vec![scores.matmul(heads(x[1], 7)).permute([0, 2, 1, 3]).reshape([2, 6, 12])]
        }),
        case("a convolution", "matmul", &[&[2, 3, 9, 8], &[4, 3, 3, 2]], |_, x| {
            let columns = x[0].windows([2, 3], [3, 2], [1, 2], [2, 1]).permute([0, 1, 4, 5, 2, 3]);
            vec![x[1].reshape([4, 18]).matmul(columns.reshape([2, 18, 20]))]
        }),
        case("what a convolution passes to its input", "matmul", &[&[2, 4, 9, 8], &[4, 3, 3, 2]], |_, x| {
            let columns = x[0].windows([2, 3], [3, 2], [1, 1], [1, 1]).permute([0, 1, 4, 5, 2, 3]);
            let reversed = x[1].flip([2, 3]).permute([1, 0, 2, 3]).reshape([3, 24]);
            vec![reversed.matmul(columns.reshape([2, 24, 49]))]
        }),
        case("gather from flipped rows", "gather", &[&[10, 24]], |g, x| {
            vec![x[0].flip(..).gather(0, g.literal([3, 24], [0, 9, 4].map(|row| [row; 24]).concat()))]
        }),
        case("a concatenation of flipped parts", "assemble", &[&[5, 3], &[5, 8]], |g, x| {
            vec![g.concat(&[x[0].flip(0), x[1].flip(1)], 1)]
        }),
        case("gather of rows", "gather", &[&[10, 24]], |g, x| {
            vec![x[0].gather(0, g.literal([3, 24], [0, 9, 4].map(|row| [row; 24]).concat()))]
        }),
        case("gather along the last axis", "gather", &[&[4, 9]], |g, x| {
            vec![x[0].gather(1, g.literal([4, 5], (0..20).map(|i| i * 7 % 9).collect::<Vec<i32>>()))]
        }),
        case("scatter", "scatter_add", &[&[6, 5], &[6, 3]], |g, x| {
            vec![x[0].scatter_add(1, g.literal([6, 3], [0, 4, 4, 1, 1, 1].repeat(3)), x[1])]
        }),
        case("a concatenation", "assemble", &[&[5, 3], &[5, 8]], |g, x| vec![g.concat(&[x[0], x[1], x[0] * 2.0], 1)]),
        case("padding", "assemble", &[&[5, 3]], |_, x| vec![x[0].pad([(1, 2), (0, 3)], 0.1)]),
        case("as it stands", "elementwise", &[&[7, 3]], |_, x| vec![x[0], x[0] + 1.0]),
    ]
}

/// The results of a case over inputs of that type, given these tensors.
fn results(case: &Case, storage: StorageType, given: &[Tensor], device: &Device) -> Vec<Tensor> {
    let g = Graph::new();
    let names: Vec<String> = (0..given.len()).map(|number| format!("x{number}")).collect();
    let inputs: Vec<Expr<'_>> =
        names.iter().zip(&case.inputs).map(|(name, shape)| g.input_of(name, &shape[..], storage)).collect();
    let outputs = (case.build)(&g, &inputs);
    g.check().unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut session = Session::evaluate(&g, &outputs, device).unwrap();
    let text = session.plan().to_string();
    assert!(text.contains(case.kernel), "{}: no {} in\n{text}", case.name, case.kernel);
    let given: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(given).collect();
    session.run(&given).unwrap()
}

#[test]
fn every_kernel_loads_narrow_elements_exactly() {
    for device in devices() {
        for storage in narrow() {
            for (case, seed) in cases().iter().zip(1..) {
                let given: Vec<Tensor> =
                    case.inputs.iter().zip(0..).map(|(shape, n)| drawn(seed * 10 + n, &shape[..], storage)).collect();
                let widened: Vec<Tensor> = given.iter().map(|tensor| tensor.cast(storage.value())).collect();
                let expected = results(case, storage.value().into(), &widened, &device);
                // Given narrow or wide, they are the same.
                // Units that multiply matrices of f16 add up in an order of their own, in large products alone.
                let in_own_order =
                    storage == StorageType::F16 && case.name == "a large product" && uses_matrix_units(&device);
                let from_narrow = results(case, storage, &given, &device);
                let from_wide = results(case, storage, &widened, &device);
                for ((expected, narrow), wide) in expected.iter().zip(&from_narrow).zip(&from_wide) {
                    let what = format!("{} of {storage} on {device}", case.name);
                    assert!(narrow.storage().is_native(), "{what}: results are values");
                    assert_eq!(bits(narrow), bits(wide), "{what}");
                    if case.is_product {
                        for (found, expected) in f32s(narrow).into_iter().zip(f32s(expected)) {
                            let near = if in_own_order { 4e-5 } else { 1e-5 } * expected.abs().max(1.0);
                            assert!((found - expected).abs() <= near, "{what}: {found} for {expected}");
                        }
                    } else {
                        assert_eq!(bits(narrow), bits(expected), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_pattern_is_loaded_as_what_it_holds() {
    for device in devices() {
        for storage in narrow() {
            let all = every_pattern(storage);
            let g = Graph::new();
            // Odd, so that elements are read one by one, and in fours.
            for count in [65536, 65535] {
                let x = g.input_of(format!("x{count}"), [count], storage);
                let mut session = Session::evaluate(&g, &[x.maximum(x)], &device).unwrap();
                let given = Tensor::from_data([count].into(), all.first(count)).unwrap();
                let found = session.run(&[(&format!("x{count}"), &given)]).unwrap().remove(0);
                for (place, (found, expected)) in f32s(&found).iter().zip(given.to_f64_vec()).enumerate() {
                    let same = f64::from(*found) == expected || found.is_nan() && expected.is_nan();
                    assert!(same, "{storage} {place:#06x} on {device} is {found}, not {expected}");
                    assert!(found.is_nan() || found.is_sign_negative() == (place >= 0x8000), "{storage} {place:#06x}");
                }
            }
        }
    }
}

/// All 65,536 patterns of a type of 16 bits, in their order.
fn every_pattern(storage: StorageType) -> Elements {
    match storage {
        StorageType::F16 => Elements::F16((0..=u16::MAX).map(F16::from_bits).collect()),
        StorageType::Bf16 => Elements::Bf16((0..=u16::MAX).map(Bf16::from_bits).collect()),
        StorageType::F32 | StorageType::F64 | StorageType::I32 | StorageType::Bool => panic!("{storage} has 32 bits"),
        StorageType::U8 | StorageType::I8 | StorageType::I64 => panic!("{storage} holds integers"),
    }
}

/// The values that are hard to store: each pattern, what lies halfway to the next, and the neighbours of that in f32.
fn hard_values(storage: StorageType) -> Vec<f32> {
    let patterns = every_pattern(storage).to_f64_vec();
    let mut values = vec![f32::MAX, f32::MIN, f32::NAN, 1e-40, -1e-40, 65519.996, 65520.0];
    for place in (0..patterns.len() - 1).step_by(7) {
        let halfway = ((patterns[place] + patterns[place + 1]) / 2.0) as f32;
        values.extend([patterns[place] as f32, halfway, halfway.next_up(), halfway.next_down()]);
    }
    values
}

#[test]
fn an_update_is_rounded_once_as_it_is_stored() {
    for device in devices() {
        for storage in narrow() {
            let mut hard = hard_values(storage);
            if flushes_subnormals(&device) {
                hard.retain(|value| !value.is_subnormal());
            }
            for count in [hard.len() / 8 * 8, hard.len() / 8 * 8 - 1, 1] {
                let g = Graph::new();
                let w = g.parameter_of("w", [count], storage, Init::Constant(0.0));
                let x = g.input("x", [count]);
                // The gradient is -x, so that w + x is stored.
                let loss = -(w * x).sum(..);
                let mut session = Session::train(&g, loss, Sgd::new(1.0), device.clone()).unwrap();
                let in_place = session.plan().steps().iter().any(|step| !step.in_place.is_empty());
                assert!(in_place, "{storage} is updated in place:\n{}", session.plan());
                let given = Tensor::new([count], hard[..count].to_vec()).unwrap();
                session.step(&[("x", &given)]).unwrap();
                let found = session.parameter("w").unwrap();
                let expected = given.cast(storage).cast(DType::F32);
                for ((value, found), expected) in f32s(&given).iter().zip(f32s(&found)).zip(f32s(&expected)) {
                    let same = found == expected || found.is_nan() && expected.is_nan();
                    assert!(same, "{value:e} is stored as {found:e} of {storage} on {device}, not {expected:e}");
                }
            }
        }
    }
}

#[test]
fn updates_of_every_kind_of_step_are_stored() {
    type Build = for<'g> fn(&'g Graph, Expr<'g>, Expr<'g>) -> Expr<'g>;
    // The losses whose gradients are made by a product, a reduction, a nest, a scatter, and read the parameter elsewhere.
    let losses: [(&str, Build); 6] = [
        ("product", |_, w, x| x.matmul(w).square().sum(..)),
        ("bias", |_, w, x| (x.sum(1).reshape([6, 1]) + w.slice(0, 0, 1)).tanh().sum(..)),
        ("softmax", |_, w, x| (w.softmax(1).sum(0) * x.slice(0, 0, 1)).square().sum(..)),
        ("table", |g, w, _| w.gather(0, g.literal([2, 5], vec![1, 1, 1, 1, 1, 4, 4, 4, 4, 4])).square().sum(..)),
        ("itself", |_, w, _| (w * w.transpose(0, 1).slice(0, 0, 5).slice(1, 0, 5).sum(..)).sum(..)),
        ("power", |_, w, _| w.square().sum(..)),
    ];
    for device in devices() {
        for storage in narrow() {
            for (name, build) in losses {
                let trained = |stored: StorageType, start: &Tensor| {
                    let g = Graph::new();
                    let w = g.parameter_of("w", [5, 5], stored, Init::Constant(0.0));
                    let loss = build(&g, w, g.input("x", [6, 5]));
                    let mut session = Session::train(&g, loss, Sgd::new(0.01), device.clone()).unwrap();
                    session.set_parameter("w", start).unwrap();
                    let x = drawn(7, [6, 5], StorageType::F32);
                    let loss = session.step(&[("x", &x)]).unwrap();
                    (loss, session.parameter("w").unwrap())
                };
                let start = drawn(3, [5, 5], storage);
                let (loss, found) = trained(storage, &start);
                let (exact_loss, exact) = trained(StorageType::F32, &start.cast(DType::F32));
                let what = format!("{name} of {storage} on {device}");
                assert!((loss - exact_loss).abs() <= 1e-5 * exact_loss.abs(), "{what}: {loss} {exact_loss}");
                for (found, exact) in f32s(&found).into_iter().zip(f32s(&exact)) {
                    // Where the product's tree differs the sum may lie on the other side of a half.
                    let digits = if storage == StorageType::F16 { -10 } else { -7 };
                    let step = (exact * 2f32.powi(digits)).abs().max(1e-6);
                    let rounded = Elements::from(vec![exact]).converted(storage).get(0).unwrap() as f32;
                    assert!((found - rounded).abs() <= step, "{what}: {found} for {exact}");
                    let stored = Elements::from(vec![found]).converted(storage).get(0);
                    assert_eq!(stored, Some(f64::from(found)), "{what}: what is read is what the type holds");
                }
            }
        }
    }
}

/// A value that something else reads beside the parameter is not the rounded one.
#[test]
fn what_reads_a_next_value_reads_it_unrounded() {
    struct Both;
    impl arenagrad::Optimizer for Both {
        fn update<'g>(
            &self,
            graph: &'g Graph,
            trained: &[arenagrad::train::Trained<'g>],
        ) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
            let next = trained[0].parameter - trained[0].gradient;
            let copy = graph.state("copy", [3], DType::F32, Init::Constant(0.0));
            Ok(vec![(trained[0].parameter, next), (copy, next * 1.0 + copy)])
        }
    }
    for device in devices() {
        for storage in narrow() {
            let g = Graph::new();
            let w = g.parameter_of("w", [3], storage, Init::Constant(1.0));
            let x = g.input("x", [3]);
            let mut session = Session::train(&g, (w * x).sum(..), Both, device.clone()).unwrap();
            let x = Tensor::new([3], vec![0.1f32, 0.2, 0.3]).unwrap();
            session.step(&[("x", &x)]).unwrap();
            assert_eq!(f32s(&session.parameter("copy").unwrap()), [1.0f32 - 0.1, 1.0 - 0.2, 1.0 - 0.3]);
            let expected = Tensor::new([3], vec![1.0f32 - 0.1, 1.0 - 0.2, 1.0 - 0.3]).unwrap().cast(storage);
            assert_eq!(session.parameter("w").unwrap().to_f64_vec(), expected.to_f64_vec());
        }
    }
}

/// A network of two layers that learns a product, its weights and inputs narrow; its losses and final weights.
fn train_network(
    storage: StorageType,
    [batch, hidden]: [usize; 2],
    device: &Device,
    steps: usize,
) -> (Vec<f64>, Vec<u32>) {
    let g = Graph::new();
    let x = g.input_of("x", [batch, 24], storage);
    let t = g.input("t", [batch, 3]);
    let layer = |name: &str, shape: [usize; 2]| {
        let weight = g.parameter_of(format!("{name}.weight"), shape, storage, Init::XavierUniform);
        let bias = g.parameter_of(format!("{name}.bias"), [shape[1]], storage, Init::Constant(0.0));
        (weight, bias)
    };
    let ((w1, b1), (w2, b2)) = (layer("first", [24, hidden]), layer("second", [hidden, 3]));
    let loss = ((x.matmul(w1) + b1).tanh().matmul(w2) + b2 - t).square().mean(..);
    let mut session = Session::builder(device.clone()).seed(5).train(&g, loss, &Adam::new(0.01)).unwrap();
    let x = drawn(1, [batch, 24], StorageType::F32);
    let values = f32s(&x);
    let targets = values.chunks(24).flat_map(|row| [row[0] * row[1], row[2].sin(), row[3] - row[4]]).collect();
    let t = Tensor::new([batch, 3], targets).unwrap();
    let losses = (0..steps).map(|_| session.step(&[("x", &x), ("t", &t)]).unwrap()).collect();
    let names = ["first.weight", "first.bias", "second.weight", "second.bias"];
    let weights = names.iter().flat_map(|name| bits(&session.parameter(name).unwrap())).collect();
    (losses, weights)
}

#[test]
fn a_network_of_narrow_weights_trains_on_every_device() {
    for storage in narrow() {
        let (losses, _) = train_network(storage, [64, 50], &Device::cpu(), 150);
        assert!(losses[149] < 0.3 * losses[0], "{storage}: {} to {}", losses[0], losses[149]);
        for device in devices() {
            let (others, _) = train_network(storage, [64, 50], &device, 5);
            for (loss, other) in losses.iter().zip(&others) {
                assert!((loss - other).abs() <= 2e-3 * loss, "{storage} on {device}: {other} for {loss}");
            }
        }
    }
}

#[test]
fn the_bits_of_narrow_weights_do_not_depend_on_threads() {
    for storage in narrow() {
        let of_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train_network(storage, [1024, 256], &Device::cpu(), 4))
        };
        let one = of_threads(1);
        for threads in [2, 3] {
            assert_eq!(of_threads(threads), one, "{storage} on {threads} threads");
        }
    }
}

#[test]
fn buffers_take_the_bytes_of_their_storage() {
    for storage in narrow() {
        let g = Graph::new();
        let x = g.input_of("x", [10, 6], storage);
        let w = g.parameter_of("w", [6, 4], storage, Init::Constant(0.5));
        let session = Session::evaluate(&g, &[x.matmul(w).tanh()], &Device::cpu()).unwrap();
        for spec in session.plan().buffers() {
            let is_declared = matches!(spec.role, plan::BufferRole::Input(_) | plan::BufferRole::Parameter(_));
            let expected = if is_declared { storage } else { StorageType::F32 };
            assert_eq!(spec.storage, expected);
        }
        let text = session.plan().to_string();
        assert!(text.contains(&format!("\"w\" {storage}[6, 4]")), "{text}");
    }
}

#[test]
fn values_go_in_wide_or_narrow_and_come_out_wide() {
    for device in devices() {
        for storage in narrow() {
            let g = Graph::new();
            let w = g.parameter_of("w", [3], storage, Init::Constant(1.0 / 3.0));
            let mut session = Session::evaluate(&g, &[w * 1.0, w], &device).unwrap();
            let third = Tensor::new([3], vec![1.0f32 / 3.0; 3]).unwrap();
            assert_eq!(session.parameter("w").unwrap(), third.cast(storage).cast(DType::F32));
            let wide = Tensor::new([3], vec![0.1f32, -7.3, 1e9]).unwrap();
            for value in [&wide, &wide.cast(storage)] {
                session.set_parameter("w", &third).unwrap();
                session.set_parameter("w", value).unwrap();
                let expected = wide.cast(storage).cast(DType::F32);
                assert_eq!(session.parameter("w").unwrap(), expected);
                assert_eq!(session.run(&[]).unwrap(), [expected.clone(), expected]);
            }
        }
    }
}

#[test]
fn values_of_other_dtypes_are_refused() {
    for storage in narrow() {
        let g = Graph::new();
        let (x, w) = (g.input_of("x", [2], storage), g.parameter_of("w", [2], storage, Init::Constant(0.0)));
        let mut session = Session::evaluate(&g, &[x + w], &Device::cpu()).unwrap();
        let doubles = Tensor::new([2], vec![1.0f64; 2]).unwrap();
        let error = session.run(&[("x", &doubles)]).unwrap_err();
        assert!(matches!(&error, Error::InputDType { expected, found: StorageType::F64, .. } if *expected == storage));
        let error = session.set_parameter("w", &doubles).unwrap_err();
        assert!(error.to_string().contains(storage.name()) && error.to_string().contains("f64"), "{error}");
        // A parameter has one type in all graphs of a session.
        let h = Graph::new();
        let w = h.parameter("w", [2], Init::Constant(0.0));
        let error = session.add(&h, &[w * 2.0]).unwrap_err();
        assert!(matches!(error, Error::ParameterDType { .. }), "{error}");
        let tensor = Tensor::zeros([2], storage).unwrap();
        let error = tensor.as_slice::<f32>().unwrap_err();
        assert_eq!(error, Error::TensorDType { expected: StorageType::F32, found: storage });
    }
}

fn path(name: String) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("storage");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A session with a parameter `w` of that type, whose elements are `values`.
fn holder(storage: StorageType, values: &[f64]) -> Session {
    let g = Graph::new();
    let w = g.parameter_of("w", [values.len()], storage, Init::Values(values.to_vec()));
    Session::evaluate(&g, &[w * 1.0], &Device::cpu()).unwrap()
}

#[test]
fn files_hold_what_the_device_holds_and_load_into_any_type_of_the_dtype() {
    let values = [0.1, -3.0, 1e-7, 40000.0, 2049.0];
    let of_f32 = || StorageType::ALL.into_iter().filter(|storage| storage.value() == DType::F32);
    for from in of_f32() {
        let path = path(format!("{from}.safetensors"));
        let saved = holder(from, &values);
        saved.save(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(bytes.len(), 8 + header + values.len() * from.bytes());
        let text = String::from_utf8_lossy(&bytes[8..8 + header]).into_owned();
        assert!(text.contains(&format!("\"{}\"", from.name().to_uppercase())), "{text}");
        for to in of_f32() {
            let mut loaded = holder(to, &[0.0; 5]);
            loaded.load(&path).unwrap();
            let expected = saved.parameter("w").unwrap().cast(to).cast(DType::F32);
            assert_eq!(loaded.parameter("w").unwrap(), expected, "{from} into {to}");
        }
    }
    // A file of another framework.
    let header = r#"{"w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[0x00, 0x3C, 0xFF, 0x7B]);
    let path = path("foreign.safetensors".to_owned());
    fs::write(&path, bytes).unwrap();
    let mut loaded = holder(StorageType::F32, &[0.0; 2]);
    loaded.load(&path).unwrap();
    assert_eq!(f32s(&loaded.parameter("w").unwrap()), [1.0, 65504.0]);
}
