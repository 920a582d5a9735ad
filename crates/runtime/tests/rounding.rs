//! Rounding to 16 bits: every edge against arithmetic of f64, and what of a plan is stored in them.

use std::collections::HashMap;

use arenagrad::plan::BufferRole;
use arenagrad::{DType, Device, Elements, Expr, Graph, Half, Session, Shape, StorageType, Tape, Tensor};

use crate::suite::devices::{devices, uses_matrix_units};
use crate::suite::random::Random;

/// How many significant bits a type has, and the exponents of its least normal number and of its largest.
fn form(half: Half) -> (i32, i32, i32) {
    match half {
        Half::F16 => (11, -14, 15),
        Half::Bf16 => (8, -126, 127),
    }
}

/// The nearest number of the type, by f64 arithmetic in which every step but the rounding is exact.
fn expected(x: f64, half: Half) -> f64 {
    let (digits, least, largest) = form(half);
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    // Scaled so that the last digit is worth 1; subnormal numbers all have the last digit of the least normal one.
    let exponent = (((x.to_bits() >> 52) & 0x7FF) as i32 - 1023).max(least);
    let unit = 2f64.powi(exponent - (digits - 1));
    let rounded = (x / unit).round_ties_even() * unit;
    if rounded.abs() >= 2f64.powi(largest + 1) { f64::INFINITY.copysign(x) } else { rounded }
}

/// Every number of the type, what lies halfway between two neighbours, and the f32 next to each on both sides.
fn edges(half: Half) -> Vec<f32> {
    let mut values =
        vec![f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), f32::from_bits(0x7FFFFF)];
    let numbers: u16 = match half {
        Half::F16 => 0x7C00,
        Half::Bf16 => 0x7F80,
    };
    for bits in 0..=numbers {
        let value = |bits: u16| match half {
            Half::F16 => arenagrad::F16::from_bits(bits).to_f32(),
            Half::Bf16 => arenagrad::Bf16::from_bits(bits).to_f32(),
        };
        let (here, next) = (value(bits), value(bits.saturating_add(1).min(numbers)));
        let between = match next.is_finite() {
            true => ((f64::from(here) + f64::from(next)) / 2.0) as f32,
            // Half a step past the largest number.
            false => {
                let (digits, _, largest) = form(half);
                (2f64.powi(largest + 1) - 2f64.powi(largest - digits)) as f32
            }
        };
        for center in [here, between] {
            let bits = center.to_bits();
            values.extend([bits, bits.saturating_sub(1), bits + 1].map(f32::from_bits));
        }
    }
    let negative: Vec<f32> = values.iter().map(|x| -x).collect();
    values.extend(negative);
    values
}

#[test]
fn edges_are_rounded_to_the_nearest_on_every_device() {
    for device in devices() {
        for half in Half::ALL {
            let values = edges(half);
            let g = Graph::new();
            let x = g.input("x", [values.len()]);
            let mut session = Session::evaluate(&g, &[x.rounded_to(half)], &device).unwrap();
            let given = Tensor::new([values.len()], values.clone()).unwrap();
            let found = session.run(&[("x", &given)]).unwrap().remove(0);
            for (x, found) in values.iter().zip(found.as_slice::<f32>().unwrap()) {
                let right = expected(f64::from(*x), half) as f32;
                let same = if right.is_nan() { found.is_nan() } else { found.to_bits() == right.to_bits() };
                assert!(same, "{device}: {x:e} ({:#x}) to {half} is {found:e}, not {right:e}", x.to_bits());
            }
        }
    }
}

#[test]
fn values_of_f64_are_rounded_once() {
    for half in Half::ALL {
        let (digits, _, _) = form(half);
        // A little more than halfway, by less than f32 holds: rounding to f32 first would lose it.
        let tie = 1.0 + 2f64.powi(-digits);
        let values = [tie, tie * (1.0 + 1e-15), tie * (1.0 - 1e-15), -tie * (1.0 + 1e-15), 1e300, 1e-300, f64::NAN];
        let g = Graph::new();
        let x = g.input_of("x", [values.len()], DType::F64);
        let mut session = Session::evaluate(&g, &[x.rounded_to(half)], &Device::cpu()).unwrap();
        let given = Tensor::new([values.len()], values.to_vec()).unwrap();
        let found = session.run(&[("x", &given)]).unwrap().remove(0).to_f64_vec();
        for (x, found) in values.iter().zip(found) {
            let right = expected(*x, half);
            assert!(
                found == right || (right.is_nan() && found.is_nan()),
                "{x:e} to {half} is {found:e}, not {right:e}"
            );
        }
    }
}

#[test]
fn derivatives_pass_through() {
    let g = Graph::new();
    let (x, t) = (g.input("x", [3]), g.input("t", [3]));
    let y = (x * 3.0).rounded_to(Half::Bf16).square();
    let [gradient] = y.sum(..).grad([x]).unwrap();
    let tangent = y.jvp([x], [t]).unwrap();
    let mut session = Session::evaluate(&g, &[gradient, tangent], &Device::cpu()).unwrap();
    let given = Tensor::new([3], vec![1.1f32, -0.3, 20.7]).unwrap();
    let ones = Tensor::new([3], vec![1.0f32; 3]).unwrap();
    let found = session.run(&[("x", &given), ("t", &ones)]).unwrap();
    let right: Vec<f64> = [1.1f32, -0.3, 20.7].iter().map(|x| Half::Bf16.round(f64::from(3.0 * x)) * 6.0).collect();
    assert_eq!(found[0].to_f64_vec(), right);
    assert_eq!(found[1].to_f64_vec(), right);
}

#[test]
fn a_variable_is_rounded_as_an_expression() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(Tensor::new([2], vec![1.001f32, 70_000.0]).unwrap()).requires_grad();
    let y = x.rounded_to(Half::F16);
    assert_eq!(y.data().unwrap().to_f64_vec(), [Half::F16.round(f64::from(1.001f32)), f64::INFINITY]);
    y.sum(..).backward().unwrap();
    assert_eq!(x.grad().unwrap().to_f64_vec(), [1.0, 1.0]);
}

/// f32 numbers about 0.
fn drawn(seed: u64, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let mut random = Random(seed);
    let values: Vec<f32> = (0..shape.elements()).map(|_| (4.0 * random.unit() - 2.0) as f32).collect();
    Tensor::from_data(shape, Elements::from(values)).unwrap()
}

/// How many bytes of each type the results of a plan take.
fn slots(session: &Session) -> HashMap<StorageType, usize> {
    let mut bytes = HashMap::new();
    for buffer in session.plan().buffers().iter().filter(|buffer| buffer.role == BufferRole::Slot) {
        *bytes.entry(buffer.storage).or_default() += buffer.elements * buffer.storage.bytes();
    }
    bytes
}

/// What reads a rounded value: a name, and what is made of the value and of another tensor.
type Reader = (&'static str, for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>);

const READERS: &[Reader] = &[
    ("a product", |r, w| r.matmul(w)),
    ("a product with its transpose", |r, _| r.matmul(r.t())),
    ("a column sum and a row sum", |r, _| r.sum(0).exp().sum(..) + r.t().sum(0)),
    ("elements in another order", |r, w| r.t().reshape([96, 80]) * w.slice(1, 0, 1).slice(0, 0, 1)),
    ("a softmax", |r, _| r.softmax(1)),
    ("a gather", |r, _| r.index_select(0, r.graph().literal([3], [5, 0, 90]))),
    ("a concatenation", |r, _| r.graph().concat(&[r, r.flip(0)], 1)),
    ("padding", |r, _| r.pad([(0, 1), (2, 1)], 0.5)),
    ("an argmax", |r, _| r.argmax(1).cast(DType::F32)),
    ("a cumulative sum", |r, _| r.cumsum(0)),
    ("a sort", |r, _| r.sort(1, false).0),
    ("a scatter", |r, w| {
        w.slice(1, 0, 1).broadcast_to([80, 80]).index_add(0, r.graph().literal([96], [7; 96]), r, 1.0)
    }),
    ("a windowed maximum", |r, _| r.reshape([1, 1, 96, 80]).max_pool2d(2)),
];

/// Those of which no kernel computes the value for itself.
const STORED: [&str; 4] = ["a product", "a product with its transpose", "elements in another order", "a gather"];

#[test]
fn a_value_that_is_stored_in_16_bits_is_read_as_it_was_rounded() {
    for device in devices() {
        for half in Half::ALL {
            for (name, read) in READERS {
                let (x, w) = (drawn(3, [80, 96]), drawn(4, [80, 72]));
                let g = Graph::new();
                let (a, b) = (g.input("x", [80, 96]), g.input("w", [80, 72]));
                // In another order, so that the product is no neighbour of what it reads.
                let rounded = (a * 1.5).t().cumsum(1).rounded_to(half);
                let mut whole = Session::evaluate(&g, &[read(rounded, b)], &device).unwrap();
                let mut first = Session::evaluate(&g, &[rounded], &device).unwrap();
                let r = first.run(&[("x", &x), ("w", &w)]).unwrap().remove(0);
                let g = Graph::new();
                let (r_in, b) = (g.input("r", [96, 80]), g.input("w", [80, 72]));
                let mut second = Session::evaluate(&g, &[read(r_in, b)], &device).unwrap();
                let right = second.run(&[("r", &r), ("w", &w)]).unwrap().remove(0);
                let found = whole.run(&[("x", &x), ("w", &w)]).unwrap().remove(0);
                let bits =
                    |tensor: &Tensor| tensor.as_slice::<f32>().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                let what = format!("{device}, {half}, {name}");
                if half == Half::F16 && name.starts_with("a product with its") && uses_matrix_units(&device) {
                    // Units that multiply matrices of f16 add up in an order of their own.
                    let most = right.to_f64_vec().iter().fold(0.0f64, |most, of| most.max(of.abs()));
                    for (found, right) in found.to_f64_vec().iter().zip(right.to_f64_vec()) {
                        assert!((found - right).abs() <= 1e-6 * most, "{what}: {found} for {right}");
                    }
                } else {
                    assert_eq!(bits(&found), bits(&right), "{what}");
                }
                if !STORED.contains(name) {
                    continue;
                }
                let narrow = slots(&whole).get(&half.storage()).copied().unwrap_or(0);
                assert_eq!(narrow, 96 * 80 * 2, "{device}, {half}, {name}: {}", whole.plan());
            }
        }
    }
}

#[test]
fn a_result_and_a_next_value_that_are_rounded_are_f32() {
    for device in devices() {
        let g = Graph::new();
        let w = g.parameter("w", [5], arenagrad::Init::Constant(1.0));
        let x = g.input("x", [5]);
        let y = (x * 0.1).rounded_to(Half::F16);
        // Once as it is, and once for something that is stored.
        let mut session = Session::evaluate(&g, &[y, y.flip(0), (w * y).sum(..)], &device).unwrap();
        let given = Tensor::new([5], vec![1.0f32, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let found = session.run(&[("x", &given)]).unwrap();
        let right: Vec<f64> = (1..6).map(|x| Half::F16.round(f64::from(x as f32 * 0.1))).collect();
        assert_eq!(found[0].to_f64_vec(), right, "{device}");
        assert_eq!(found[1].to_f64_vec(), right.iter().rev().copied().collect::<Vec<_>>(), "{device}");
        assert_eq!(found[0].storage(), StorageType::F32, "{device}");
    }
}
