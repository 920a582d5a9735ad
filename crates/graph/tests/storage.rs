//! Storage types: what every pattern of bits holds, and which element each value is rounded to.

use arenagrad_graph::{Bf16, DType, Elements, F16, Graph, GraphError, Init, StorageType, Stores};

/// A floating-point type of 16 bits, by the widths of its parts.
#[derive(Clone, Copy)]
struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
    load: fn(u16) -> f32,
    store: fn(f32) -> u16,
    store_f64: fn(f64) -> u16,
}

const FORMATS: [Format; 2] = [
    Format {
        exponent_bits: 5,
        fraction_bits: 10,
        load: |bits| F16::from_bits(bits).load(),
        store: |value| F16::store(value).to_bits(),
        store_f64: |value| F16::from_f64(value).to_bits(),
    },
    Format {
        exponent_bits: 8,
        fraction_bits: 7,
        load: |bits| Bf16::from_bits(bits).load(),
        store: |value| Bf16::store(value).to_bits(),
        store_f64: |value| Bf16::from_f64(value).to_bits(),
    },
];

impl Format {
    /// What a pattern holds, by the definition of the format in f64, which holds all of it exactly.
    fn value(self, bits: u16) -> f64 {
        let fraction = f64::from(bits & ((1 << self.fraction_bits) - 1)) / f64::from(1u32 << self.fraction_bits);
        let exponent = i32::from(bits >> self.fraction_bits & ((1 << self.exponent_bits) - 1));
        let bias = (1 << (self.exponent_bits - 1)) - 1;
        let magnitude = match exponent {
            0 => fraction * 2f64.powi(1 - bias),
            _ if exponent == (1 << self.exponent_bits) - 1 => {
                if fraction == 0.0 {
                    f64::INFINITY
                } else {
                    f64::NAN
                }
            }
            _ => (1.0 + fraction) * 2f64.powi(exponent - bias),
        };
        if bits >> 15 == 0 { magnitude } else { -magnitude }
    }

    /// The pattern of infinity.
    fn infinity(self) -> u16 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    /// The pattern nearest to a finite magnitude, of two the even one, found by search. Past half the step beyond the largest number
    /// it is infinity.
    fn nearest(self, magnitude: f64) -> u16 {
        // Patterns of positive numbers ascend as the numbers do.
        let (mut below, mut above) = (0, self.infinity());
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if self.value(middle) <= magnitude { below = middle } else { above = middle }
        }
        let low = self.value(below);
        // In the place of infinity stands the number that would come next.
        let high = if above == self.infinity() { 2.0 * low - self.value(below - 1) } else { self.value(above) };
        let middle = low + (high - low) / 2.0;
        match magnitude.partial_cmp(&middle).expect("magnitudes are numbers") {
            std::cmp::Ordering::Less => below,
            std::cmp::Ordering::Greater => above,
            std::cmp::Ordering::Equal => below + (below & 1),
        }
    }
}

#[test]
fn every_pattern_is_widened_exactly_and_comes_back() {
    for format in FORMATS {
        for bits in 0..=u16::MAX {
            let (found, expected) = ((format.load)(bits), format.value(bits));
            assert_eq!(found.is_nan(), expected.is_nan(), "{bits:#06x}");
            let back = (format.store)(found);
            if expected.is_nan() {
                assert!(
                    format.value(back).is_nan() && back >> 15 == bits >> 15,
                    "{bits:#06x} came back as {back:#06x}"
                );
                continue;
            }
            assert_eq!((f64::from(found), found.is_sign_negative()), (expected, bits >> 15 == 1), "{bits:#06x}");
            assert_eq!(back, bits);
            assert_eq!((format.store_f64)(expected), bits);
        }
    }
}

#[test]
fn values_between_two_patterns_go_to_the_nearest_and_halves_to_the_even() {
    for format in FORMATS {
        for bits in 0..format.infinity() {
            let low = format.value(bits);
            let next = format.value(bits + 1);
            let high = if next.is_infinite() { 2.0 * low - format.value(bits - 1) } else { next };
            let middle = low + (high - low) / 2.0;
            // A value halfway is one of f32 in every format here, and so are its neighbours.
            let halfway = middle as f32;
            for value in
                [halfway, halfway.next_down(), halfway.next_up(), low as f32, (low + (high - low) * 0.3) as f32]
            {
                let expected = format.nearest(f64::from(value));
                assert_eq!((format.store)(value), expected, "{value:e} after {bits:#06x}");
                assert_eq!((format.store)(-value), expected | 0x8000, "{:e}", -value);
            }
            // Of f64 what lies beside the half by less than an f32 can say is rounded once.
            for value in [middle.next_down(), middle, middle.next_up()] {
                assert_eq!((format.store_f64)(value), format.nearest(value), "{value:e} after {bits:#06x}");
            }
        }
    }
}

#[test]
fn what_is_out_of_range_overflows_and_what_is_tiny_vanishes() {
    for format in FORMATS {
        for value in [f32::INFINITY, f32::MAX] {
            let expected = format.infinity();
            assert_eq!(((format.store)(value), (format.store)(-value)), (expected, expected | 0x8000));
        }
        for value in [0.0, f32::from_bits(1)] {
            assert_eq!(((format.store)(value), (format.store)(-value)), (0, 0x8000));
        }
        for bits in [0x7F80_0001, 0x7FFF_FFFF, 0x7FC0_0000, 0xFFC1_2345u32] {
            let stored = (format.store)(f32::from_bits(bits));
            assert!(format.value(stored).is_nan() && u32::from(stored >> 15) == bits >> 31, "{bits:#x}: {stored:#06x}");
        }
    }
    assert_eq!(F16::from_f32(65519.996).to_f32(), 65504.0);
    assert_eq!(F16::from_f32(65520.0).to_f32(), f32::INFINITY);
    assert_eq!(F16::from_f64(1e300).to_f32(), f32::INFINITY);
}

#[test]
fn elements_are_widened_and_narrowed_within_a_dtype_alone() {
    for storage in StorageType::ALL {
        let values = Elements::from_f64(storage, &[1.0, 0.0, 1.0]);
        assert_eq!((values.storage(), values.dtype()), (storage, storage.value()));
        assert_eq!(values.bytes(), 3 * storage.bytes());
        assert_eq!(Elements::zeros(storage, 2).unwrap().to_f64_vec(), [0.0; 2]);
        assert_eq!(storage.is_native(), storage == StorageType::from(storage.value()));
        for other in StorageType::ALL {
            let mut target = Elements::from_f64(other, &[0.0, 1.0, 1.0, 1.0]);
            let before = target.clone();
            let fits = other.value() == storage.value();
            assert_eq!(target.overwrite(&values), fits, "{storage} over {other}");
            let expected = if fits { &[1.0, 0.0, 1.0, 1.0] } else { &[0.0, 1.0, 1.0, 1.0] };
            assert_eq!((target.storage(), target.to_f64_vec()), (before.storage(), expected.to_vec()));
            assert!(!Elements::from_f64(other, &[1.0]).overwrite(&values), "there is no room for three");
            let converted = values.converted(other);
            assert_eq!((converted.storage(), converted.to_f64_vec()), (other, vec![1.0, 0.0, 1.0]));
        }
    }
}

#[test]
fn declarations_carry_their_storage_type() {
    let g = Graph::new();
    let x = g.input_of("x", [2], StorageType::F16);
    let w = g.parameter_of("w", [2], StorageType::F16, Init::Constant(65504.0));
    let s = g.state("s", [2], StorageType::F16, Init::Constant(0.0));
    assert_eq!((x * w + s).dtype().unwrap(), DType::F32);
    let y = g.input_of("y", [2], DType::I32);
    assert_eq!(y.dtype().unwrap(), DType::I32);
    let storage: Vec<StorageType> = g.declarations().iter().map(|declaration| declaration.storage).collect();
    assert_eq!(storage, [StorageType::F16, StorageType::F16, StorageType::F16, StorageType::I32]);
    let too_large = g.parameter_of("v", [2], StorageType::F16, Init::Constant(65520.0));
    let error = too_large.check().unwrap_err();
    assert!(matches!(error, GraphError::InitialValue { .. }) && error.to_string().contains("f16"), "{error}");
}

#[test]
fn a_literal_of_narrow_elements_is_one_of_their_dtype() {
    let g = Graph::new();
    let literal = g.literal([2], vec![F16::from_f32(1.0 / 3.0), F16::from_f32(2.0)]);
    assert_eq!(literal.dtype().unwrap(), DType::F32);
}
