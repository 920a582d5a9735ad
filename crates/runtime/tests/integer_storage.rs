//! Buffers that hold values of i32 in 8 or in 64 bits, on every device: what is loaded, what is stored, and what files make of them.
//!
//! A load is exact. So a graph over such inputs must give what the same graph gives over i32 inputs of the same values, and a store
//! keeps the lowest bits.

use std::fs;
use std::path::PathBuf;

use arenagrad::train::Trained;
use arenagrad::{
    DType, Device, Elements, Error, Expr, Graph, GraphError, I8, I64, Init, Optimizer, Session, StorageType, Tensor,
    U8, plan,
};

use crate::suite::devices::devices;
use crate::suite::random::Random;

const INTEGERS: [StorageType; 3] = [StorageType::U8, StorageType::I8, StorageType::I64];

/// What an element of that type makes of a value, by the definition of two's complement.
fn wrapped(value: i32, storage: StorageType) -> i32 {
    match storage {
        StorageType::U8 => value.rem_euclid(256),
        StorageType::I8 => (value.rem_euclid(256) + 128).rem_euclid(256) - 128,
        StorageType::F32
        | StorageType::F64
        | StorageType::I32
        | StorageType::Bool
        | StorageType::F16
        | StorageType::Bf16
        | StorageType::I64 => value,
    }
}

fn i32s(tensor: &Tensor) -> Vec<i32> {
    tensor.as_slice::<i32>().unwrap().to_vec()
}

fn tensor(shape: &[usize], values: &[i32], storage: StorageType) -> Tensor {
    Tensor::new(shape, values.to_vec()).unwrap().cast(storage)
}

/// Integers below a limit from 0 on, or of either sign and past what 8 bits hold.
fn drawn(seed: u64, shape: &[usize], below: Option<usize>, storage: StorageType) -> Tensor {
    let mut random = Random(seed);
    let (low, count) = below.map_or((-300.0, 600.0), |limit| (0.0, limit as f64));
    let values: Vec<i32> = (0..shape.iter().product()).map(|_| (low + count * random.unit()).floor() as i32).collect();
    tensor(shape, &values, storage)
}

/// What a case reads, as shapes and what its elements are below, and what it computes.
struct Case {
    name: &'static str,
    inputs: Vec<(Vec<usize>, Option<usize>)>,
    build: for<'g> fn(&'g Graph, &[Expr<'g>]) -> Vec<Expr<'g>>,
}

fn case(
    name: &'static str,
    inputs: &[(&[usize], usize)],
    build: for<'g> fn(&'g Graph, &[Expr<'g>]) -> Vec<Expr<'g>>,
) -> Case {
    let inputs = inputs.iter().map(|(shape, below)| (shape.to_vec(), (*below > 0).then_some(*below))).collect();
    Case { name, inputs, build }
}

/// Every kind of kernel that reads integers, over views of every kind, with extents that four divides and others.
fn cases() -> Vec<Case> {
    vec![
        case("elementwise", &[(&[7, 13], 0), (&[7, 13], 0)], |_, x| vec![x[0] * x[1] + 1, x[0].maximum(x[1])]),
        case("elementwise in fours", &[(&[8, 16], 0), (&[8, 16], 0)], |_, x| vec![x[0] * x[1]]),
        case("longer than a block", &[(&[3, 1111], 0), (&[3, 1111], 0)], |_, x| vec![x[0] - x[1]]),
        case("repeated rows", &[(&[6, 20], 0), (&[20], 0)], |_, x| vec![x[0] * x[1]]),
        case("repeated columns", &[(&[6, 20], 0), (&[6, 1], 0)], |_, x| vec![x[0] * x[1]]),
        case("a scalar", &[(&[5, 9], 0), (&[], 0)], |_, x| vec![x[0] * x[1]]),
        case("transposed", &[(&[12, 8], 0), (&[8, 12], 0)], |_, x| vec![x[0].transpose(0, 1) + x[1]]),
        case("transposed, odd", &[(&[11, 7], 0), (&[7, 11], 0)], |_, x| vec![x[0].transpose(0, 1) + x[1]]),
        case("slices", &[(&[9, 21], 0)], |_, x| vec![x[0].slice(1, 3, 17) * 2, x[0].slice(0, 2, 7) + 1]),
        case("one buffer by two views", &[(&[8, 8], 0)], |_, x| vec![x[0] * x[0].transpose(0, 1)]),
        case("flipped", &[(&[7, 13], 0)], |_, x| vec![x[0].flip(1) + x[0], x[0].flip(..) * 2]),
        case("as numbers", &[(&[7, 12], 0)], |_, x| vec![(x[0].cast(DType::F32) * 0.5).floor().cast(DType::I32)]),
        case("softmax", &[(&[6, 41], 0), (&[6, 1], 0)], |_, x| {
            let scores = (x[0] + x[1]).cast(DType::F32) * 0.01;
            vec![(scores.softmax(1) * 1e4).cast(DType::I32)]
        }),
        case("softmax in fours", &[(&[6, 40], 0)], |_, x| {
            vec![((x[0].cast(DType::F32) * 0.01).softmax(1) * 1e4).cast(DType::I32)]
        }),
        case("a sum of rows", &[(&[9, 33], 0)], |_, x| vec![x[0].sum(1)]),
        case("a sum of columns", &[(&[130, 96], 0)], |_, x| vec![x[0].sum(0)]),
        case("a sum of all", &[(&[64, 1024], 0)], |_, x| vec![(x[0] * x[0]).sum(..)]),
        case("a maximum", &[(&[5, 77], 0)], |_, x| vec![x[0].max(1)]),
        case("argmax", &[(&[6, 31], 0)], |_, x| vec![x[0].argmax(1)]),
        case("a product of integers", &[(&[9, 20], 0), (&[20, 7], 0)], |_, x| vec![x[0].matmul(x[1])]),
        case("gather of rows", &[(&[10, 24], 0), (&[3, 24], 10)], |_, x| vec![x[0].gather(0, x[1])]),
        case("gather along the last axis", &[(&[4, 9], 0), (&[4, 5], 9)], |_, x| vec![x[0].gather(1, x[1])]),
        case("rows by transposed indices", &[(&[10, 6], 0), (&[6, 3], 10)], |_, x| {
            vec![x[0].gather(0, x[1].transpose(0, 1))]
        }),
        case("scatter", &[(&[6, 5], 0), (&[6, 3], 5), (&[6, 3], 0)], |_, x| vec![x[0].scatter_add(1, x[1], x[2])]),
        case("a concatenation", &[(&[5, 3], 0), (&[5, 8], 0)], |g, x| {
            vec![g.concat(&[x[0], x[1].flip(0), x[0] * 2], 1)]
        }),
        case("padding", &[(&[5, 3], 0)], |_, x| vec![x[0].pad([(1, 2), (0, 3)], 7.0)]),
        case("cumulative sums", &[(&[5, 37], 0)], |_, x| vec![x[0].cumsum(1), x[0].cumsum(0)]),
        case("orders", &[(&[5, 37], 0)], |_, x| vec![x[0].argsort(1, false), x[0].argsort(0, true)]),
        case("places in a sequence", &[(&[40], 0), (&[13], 0)], |_, x| {
            vec![x[0].sort(0, false).0.searchsorted(x[1], false)]
        }),
        case("labels", &[(&[7], 5)], |g, x| {
            let scores = g.iota([7, 5], 1).cast(DType::F32);
            vec![(scores.cross_entropy(x[0]) * 1e4).cast(DType::I32)]
        }),
        case("as it stands", &[(&[7, 3], 0)], |_, x| vec![x[0], x[0] + 1]),
    ]
}

fn results(case: &Case, storage: StorageType, given: &[Tensor], device: &Device) -> Vec<Tensor> {
    let g = Graph::new();
    let names: Vec<String> = (0..given.len()).map(|number| format!("x{number}")).collect();
    let inputs: Vec<Expr<'_>> =
        names.iter().zip(&case.inputs).map(|(name, (shape, _))| g.input_of(name, &shape[..], storage)).collect();
    let outputs = (case.build)(&g, &inputs);
    g.check().unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut session = Session::evaluate(&g, &outputs, device).unwrap();
    let given: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(given).collect();
    session.run(&given).unwrap()
}

#[test]
fn every_kernel_loads_stored_integers_exactly() {
    for device in devices() {
        for storage in INTEGERS {
            for (case, seed) in cases().iter().zip(1..) {
                let draw = |((shape, below), n): (&(Vec<usize>, Option<usize>), u64)| {
                    drawn(seed * 10 + n, shape, *below, storage)
                };
                let given: Vec<Tensor> = case.inputs.iter().zip(0..).map(draw).collect();
                let widened: Vec<Tensor> = given.iter().map(|tensor| tensor.cast(DType::I32)).collect();
                let expected = results(case, StorageType::I32, &widened, &device);
                let what = format!("{} of {storage} on {device}", case.name);
                assert_eq!(results(case, storage, &given, &device), expected, "{what}");
                assert_eq!(results(case, storage, &widened, &device), expected, "{what}, given as i32");
            }
        }
    }
}

/// Each pattern of 8 bits, and of 64 bits those at the ends of i32 and around what its halves carry.
#[test]
fn every_pattern_is_loaded_as_what_it_holds() {
    let ends = [i32::MIN, i32::MIN + 1, -65536, -65535, -256, -1, 0, 1, 255, 65535, 65536, i32::MAX - 1, i32::MAX];
    let bytes = || 0..=u8::MAX;
    let all: [(Elements, Vec<i32>); 3] = [
        (Elements::from(bytes().map(U8::from).collect::<Vec<_>>()), bytes().map(i32::from).collect()),
        (
            Elements::from(bytes().map(|x| I8::from(x as i8)).collect::<Vec<_>>()),
            bytes().map(|x| i32::from(x as i8)).collect(),
        ),
        (Elements::from(ends.map(|x| I64::try_from(i64::from(x)).unwrap())), ends.to_vec()),
    ];
    for device in devices() {
        for (elements, expected) in &all {
            for count in [elements.len() / 4 * 4, elements.len() - 1, 5, 1] {
                let g = Graph::new();
                let x = g.input_of("x", [count], elements.storage());
                let mut session = Session::evaluate(&g, &[x.maximum(x)], &device).unwrap();
                let given = Tensor::from_data([count].into(), elements.first(count)).unwrap();
                let found = session.run(&[("x", &given)]).unwrap().remove(0);
                assert_eq!(i32s(&found), expected[..count], "{} on {device}", elements.storage());
            }
        }
    }
}

/// An update of the state `s` by what is made of it and of an input.
struct Updates(for<'g> fn(&'g Graph, Expr<'g>, Expr<'g>) -> Expr<'g>, Vec<usize>, StorageType);

impl Optimizer for Updates {
    fn update<'g>(&self, graph: &'g Graph, _: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let state = graph.state("s", &self.1[..], self.2, Init::Constant(0.0));
        let x = graph.input_of("x", &self.1[..], DType::I32);
        Ok(vec![(state, (self.0)(graph, state, x))])
    }
}

fn updating(updates: Updates, device: &Device) -> Session {
    let g = Graph::new();
    let w = g.parameter("w", [], Init::Constant(1.0));
    Session::train(&g, w * w, updates, device.clone()).unwrap()
}

#[test]
fn an_update_in_place_keeps_the_lowest_bits() {
    for device in devices() {
        for storage in INTEGERS {
            for count in [1, 2, 3, 4, 5, 7, 64, 67, 4099] {
                let mut session = updating(Updates(|_, s, x| s * 3 + x, vec![count], storage), &device);
                let in_place = session.plan().steps().iter().any(|step| !step.in_place.is_empty());
                assert!(in_place, "{storage} is updated in place:\n{}", session.plan());
                let mut random = Random(count as u64);
                let mut expected = vec![0i32; count];
                for round in 0..3 {
                    let reach = [300.0, 70_000.0, 4e9][round];
                    let values: Vec<i32> = (0..count).map(|_| (reach * (random.unit() - 0.5)) as i64 as i32).collect();
                    session.step(&[("x", &Tensor::new([count], values.clone()).unwrap())]).unwrap();
                    for (state, value) in expected.iter_mut().zip(values) {
                        *state = wrapped(state.wrapping_mul(3).wrapping_add(value), storage);
                    }
                    let found = session.parameter("s").unwrap();
                    assert_eq!(i32s(&found), expected, "{count} elements of {storage} on {device}, round {round}");
                }
            }
        }
    }
}

#[test]
fn updates_of_every_kind_of_step_are_stored() {
    type Build = for<'g> fn(&'g Graph, Expr<'g>, Expr<'g>) -> Expr<'g>;
    let updates: [(&str, Build); 6] = [
        ("a reduction", |_, s, x| s + x.sum(1).reshape([6, 1])),
        ("a nest", |_, s, x| s + ((x.cast(DType::F32) * 0.01).softmax(1) * 1000.0).cast(DType::I32)),
        ("a scatter", |g, s, x| s.scatter_add(1, g.literal([6, 5], [0, 4, 4, 1, 1].repeat(6)), x)),
        ("its own order", |_, s, x| s.flip(1) + x),
        ("a concatenation", |g, s, x| g.concat(&[x.slice(0, 0, 2), s.slice(0, 0, 4)], 0)),
        ("a gather", |g, _, x| x.gather(1, g.literal([6, 5], [0, 4, 4, 1, 1].repeat(6)))),
    ];
    for device in devices() {
        for storage in INTEGERS {
            for (name, build) in updates {
                let after = |stored: StorageType| {
                    let mut session = updating(Updates(build, vec![6, 5], stored), &device);
                    session.set_parameter("s", &drawn(3, &[6, 5], Some(100), stored)).unwrap();
                    session.step(&[("x", &drawn(4, &[6, 5], None, StorageType::I32))]).unwrap();
                    i32s(&session.parameter("s").unwrap())
                };
                let exact: Vec<i32> = after(StorageType::I32).into_iter().map(|x| wrapped(x, storage)).collect();
                assert_eq!(after(storage), exact, "{name} of {storage} on {device}");
            }
        }
    }
}

#[test]
fn values_go_in_by_any_type_and_come_out_as_i32() {
    for device in devices() {
        for storage in INTEGERS {
            let g = Graph::new();
            let s = g.state("s", [3], storage, Init::Values(vec![7.0, 0.0, 100.0]));
            let mut session = Session::evaluate(&g, &[s * 1, s], &device).unwrap();
            assert_eq!(i32s(&session.parameter("s").unwrap()), [7, 0, 100]);
            for from in INTEGERS.into_iter().chain([StorageType::I32]) {
                let value = tensor(&[3], &[-1, 200, 70_000], from);
                session.set_parameter("s", &value).unwrap();
                let expected: Vec<i32> =
                    [-1, 200, 70_000].iter().map(|&x| wrapped(wrapped(x, from), storage)).collect();
                assert_eq!(i32s(&session.parameter("s").unwrap()), expected, "{from} in {storage} on {device}");
                for result in session.run(&[]).unwrap() {
                    assert_eq!(i32s(&result), expected, "{from} in {storage} on {device}");
                }
            }
        }
    }
}

#[test]
fn buffers_take_the_bytes_of_their_storage() {
    for storage in INTEGERS {
        let g = Graph::new();
        let x = g.input_of("x", [10, 6], storage);
        let session = Session::evaluate(&g, &[x.sum(1)], &Device::cpu()).unwrap();
        for spec in session.plan().buffers() {
            let expected = if matches!(spec.role, plan::BufferRole::Input(_)) { storage } else { StorageType::I32 };
            assert_eq!(spec.storage, expected);
        }
        let text = session.plan().to_string();
        assert!(text.contains(&format!("\"x\" {storage}[10, 6]")), "{text}");
        assert_eq!(Tensor::zeros([5], storage).unwrap().data().bytes(), 5 * storage.bytes());
    }
}

#[test]
fn what_does_not_fit_is_refused_where_it_is_handed_over() {
    assert!(I64::try_from(1i64 << 31).is_err() && I64::try_from(-1i64 << 31).is_ok());
    let error = Tensor::from_integers([2], &[7i64, 1 << 40]).unwrap_err();
    assert_eq!(error, Error::IntegerRange { position: 1, value: 1 << 40 });
    for (storage, value) in [
        (StorageType::U8, 256.0),
        (StorageType::U8, -1.0),
        (StorageType::I8, 128.0),
        (StorageType::I8, -129.0),
        (StorageType::I64, 2147483648.0),
        (StorageType::I64, 0.5),
    ] {
        let g = Graph::new();
        let error = g.state("s", [2], storage, Init::Constant(value)).check().unwrap_err();
        assert!(matches!(error, GraphError::InitialValue { .. }), "{storage} {value}: {error}");
    }
    let g = Graph::new();
    let error = g.state("s", [2], StorageType::U8, Init::Normal { mean: 5.0, deviation: 1.0 }).check().unwrap_err();
    assert!(error.to_string().contains("u8"), "{error}");
    for storage in INTEGERS {
        // Of other dtypes, and indices out of range, by their place and value.
        let g = Graph::new();
        let (table, x) = (g.input("table", [4, 3]), g.input_of("x", [2, 3], storage));
        let mut session = Session::evaluate(&g, &[table.gather(0, x)], &Device::cpu()).unwrap();
        let rows = Tensor::new([4, 3], vec![0.0f32; 12]).unwrap();
        let truths = Tensor::from_bools([2, 3], &[true; 6]).unwrap();
        let error = session.run(&[("table", &rows), ("x", &truths)]).unwrap_err();
        assert!(matches!(&error, Error::InputDType { expected, .. } if *expected == storage), "{error}");
        let outside = tensor(&[2, 3], &[0, 3, 0, 0, 4, 0], storage);
        let error = session.run(&[("table", &rows), ("x", &outside)]).unwrap_err();
        assert!(matches!(&error, Error::IndexOutOfRange { position: 4, value: 4, bound: 4, .. }), "{error}");
        let literal = g.literal([2, 3], outside.data().clone());
        let error = table.gather(0, literal).check().unwrap_err();
        assert!(matches!(error, GraphError::Index { position: 4, value: 4, bound: 4, .. }), "{error}");
    }
}

/// A session with a state `s` of that type.
fn holder(storage: StorageType, values: &[f64]) -> Session {
    let g = Graph::new();
    let s = g.state("s", [values.len()], storage, Init::Values(values.to_vec()));
    Session::evaluate(&g, &[s * 1], &Device::cpu()).unwrap()
}

#[test]
fn files_hold_what_the_device_holds_and_load_into_any_type_of_i32() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("integer_storage");
    fs::create_dir_all(&folder).unwrap();
    let of_i32 = || INTEGERS.into_iter().chain([StorageType::I32]);
    for from in of_i32() {
        let path = folder.join(format!("{from}.safetensors"));
        let low = if from == StorageType::U8 { 0.0 } else { -128.0 };
        let high = if from == StorageType::I8 { 127.0 } else { 200.0 };
        let values = [low, high, 0.0, 1.0, 100.0];
        holder(from, &values).save(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(bytes.len(), 8 + header + values.len() * from.bytes());
        let text = String::from_utf8_lossy(&bytes[8..8 + header]).into_owned();
        assert!(text.contains(&format!("\"{}\"", from.name().to_uppercase())), "{text}");
        for to in of_i32() {
            let mut loaded = holder(to, &[0.0; 5]);
            loaded.load(&path).unwrap();
            let expected = values.map(|x| wrapped(x as i32, to));
            assert_eq!(i32s(&loaded.parameter("s").unwrap()), expected, "{from} into {to}");
        }
    }
    // What another framework wrote and no i32 holds is refused by its place, whatever is asked for.
    let header = r#"{"s":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend([1i64, 1 << 31].iter().flat_map(|x| x.to_le_bytes()));
    let path = folder.join("foreign.safetensors");
    fs::write(&path, bytes).unwrap();
    for to in of_i32() {
        let mut loaded = holder(to, &[5.0; 2]);
        let error = loaded.load(&path).unwrap_err();
        assert!(matches!(error, Error::FileInteger { position: 1, value: 0x8000_0000, .. }), "{error}");
        assert_eq!(i32s(&loaded.parameter("s").unwrap()), [5, 5], "a file that was refused changes nothing");
    }
}
