//! Elements that are not as wide as their values: two of 16 bits or four of 8 share a word, and one of 64 bits is two words.
//!
//! A buffer of them is an array of words whatever reads it. Where an invocation writes four neighbours, it writes whole words. Where it
//! writes one that shares its word, words are atomic: a neighbour may be stored by another invocation, and each changes its own bits alone,
//! so that the order does not tell. WGSL's own type `f16` is not on every adapter, and it has no integers but those of 32 bits; what stands
//! here is arithmetic of such integers, the same on all. Only products, which read each element often, read f16 as such where the adapter has it. Of an integer of 64 bits the first word is the value, and the second repeats its sign.

use std::fmt::Write;

use arenagrad_graph::{Bf16, F16, StorageType};

use crate::kernel::Stored;
use crate::wgsl::emit::buffer_name;
use crate::wgsl::module::{Module, of_width, value_type};
use crate::wgsl::{Lowered, Resource};

/// Which of a step's buffers hold elements of another width than their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Narrow {
    buffers: Vec<(Resource, StorageType)>,
    /// Whether elements of f16 may be read as such.
    reads_f16: bool,
}

impl Narrow {
    /// Those of the storage types of a step, on an adapter that has `f16` or not.
    pub(super) fn new(stored: Stored<'_>, reads_f16: bool) -> Self {
        let inputs = stored.inputs.iter().zip(0..).map(|(&storage, number)| (Resource::Input(number), storage));
        let outputs = stored.outputs.iter().zip(0..).map(|(&storage, number)| (Resource::Output(number), storage));
        let buffers = inputs.chain(outputs).filter(|(_, storage)| !storage.is_native()).collect();
        Narrow { buffers, reads_f16 }
    }

    fn find(&self, resource: Resource) -> Option<StorageType> {
        self.buffers.iter().find(|(narrow, _)| *narrow == resource).map(|&(_, storage)| storage)
    }
}

impl Lowered {
    /// A module that knows which of the step's buffers are narrow.
    pub(super) fn module(&self) -> Module {
        Module::of(self.narrow.clone())
    }
}

/// How elements lie in words, and the functions of `shaders/functions` that take them apart.
#[derive(Clone, Copy)]
enum Packing {
    /// Several elements of so many bits share a word.
    Shared {
        bits: u32,
        /// The bits of an element of a word.
        of: &'static str,
        /// An element's bits where they stand in the word.
        within: &'static str,
        /// The bits of the word's other elements.
        others: &'static str,
        /// The value of an element's bits, and the bits of a value.
        conversions: [&'static str; 2],
    },
    /// An element of 64 bits is two words.
    Pairs,
}

impl Packing {
    fn of(storage: StorageType) -> Packing {
        let halves = |conversions| Packing::Shared {
            bits: 16,
            of: "half_of",
            within: "in_half",
            others: "other_half",
            conversions,
        };
        let quarters = |conversions| Packing::Shared {
            bits: 8,
            of: "quarter_of",
            within: "in_quarter",
            others: "other_quarters",
            conversions,
        };
        match storage {
            StorageType::F16 => halves(["f16_to_f32", "f32_to_f16"]),
            StorageType::Bf16 => halves(["bf16_to_f32", "f32_to_bf16"]),
            StorageType::U8 => quarters(["u8_to_i32", "i32_to_u8"]),
            StorageType::I8 => quarters(["i8_to_i32", "i32_to_u8"]),
            StorageType::I64 => Packing::Pairs,
            StorageType::F32 | StorageType::F64 | StorageType::I32 | StorageType::Bool => {
                unreachable!("{storage} holds values as they are")
            }
        }
    }

    /// What the words of a buffer are from which elements are read one by one, or written so.
    fn word(self, is_written: bool) -> &'static str {
        match self {
            Packing::Shared { .. } if is_written => "atomic<u32>",
            Packing::Shared { .. } | Packing::Pairs => "u32",
        }
    }
}

impl Module {
    /// Whether a buffer's elements are of another width than their values.
    pub(super) fn is_narrow(&self, resource: Resource) -> bool {
        self.narrow().find(resource).is_some()
    }

    /// Whether a buffer is one of f16 that this adapter reads as such. Whoever does so binds it by [`Module::bind_f16`] and reads it in no other
    /// way.
    pub(super) fn is_f16(&self, resource: Resource) -> bool {
        self.narrow().reads_f16
            && matches!(resource, Resource::Input(_))
            && self.narrow().find(resource) == Some(StorageType::F16)
    }

    /// Binds a buffer of f16 for reading, one element at a time or four.
    pub(super) fn bind_f16(&mut self, resource: Resource, name: impl Into<String>, width: usize) {
        self.enable_f16();
        self.bind(resource, false, name, of_width("f16", width));
    }

    /// How many words a buffer of so many floats of 16 bits is, and the word of two elements of a value; none if it holds anything else.
    pub(super) fn narrow_fill(&self, resource: Resource, elements: usize, value: f64) -> Option<(usize, u32)> {
        let bits = match self.narrow().find(resource)? {
            StorageType::F16 => F16::from_f64(value).to_bits(),
            StorageType::Bf16 => Bf16::from_f64(value).to_bits(),
            StorageType::F32
            | StorageType::F64
            | StorageType::I32
            | StorageType::Bool
            | StorageType::U8
            | StorageType::I8
            | StorageType::I64 => return None,
        };
        Some((elements.div_ceil(2), u32::from(bits) << 16 | u32::from(bits)))
    }

    /// What the words of a buffer of narrow elements are where `width` neighbours are written at once; none if the buffer holds values
    /// as they are.
    pub(super) fn narrow_word(&self, resource: Resource, width: usize) -> Option<&'static str> {
        Some(Packing::of(self.narrow().find(resource)?).word(width == 1))
    }

    /// Binds a buffer of narrow elements under a name, and gives the value of the one at the expression `place`; none if the buffer
    /// holds values as they are.
    pub(super) fn narrow_element(&mut self, resource: Resource, name: &str, place: &str) -> Option<String> {
        let storage = self.narrow().find(resource)?;
        let is_written = matches!(resource, Resource::Output(_));
        let packing = Packing::of(storage);
        self.bind(resource, is_written, name, packing.word(is_written));
        let Packing::Shared { bits, of, conversions: [load, _], .. } = packing else {
            return Some(format!("bitcast<i32>({name}[({place}) * 2u])"));
        };
        let (load, of) = (self.call(load), self.call(of));
        let word = format!("{name}[({place}) / {}u]", 32 / bits);
        let word = if is_written { format!("atomicLoad(&{word})") } else { word };
        Some(format!("{load}({of}({word}, {place}))"))
    }

    /// The values of `width` neighbouring elements from the expression `place` on, one, or four from a multiple of four on; none if
    /// the buffer holds values as they are.
    pub(super) fn narrow_block(&mut self, resource: Resource, width: usize, place: &str) -> Option<String> {
        let name = buffer_name(resource);
        if width == 1 {
            return self.narrow_element(resource, &name, place);
        }
        let storage = self.narrow().find(resource)?;
        self.bind(resource, matches!(resource, Resource::Output(_)), name.clone(), "u32");
        let values = match Packing::of(storage) {
            Packing::Shared { bits, conversions: [load, _], .. } => {
                let load = self.call(load);
                let mask = (1u32 << bits) - 1;
                let value = |lane: u32| {
                    let (word, shift) = (lane * bits / 32, lane * bits % 32);
                    let word = format!("{name}[({place}) / {}u + {word}u]", 32 / bits);
                    if shift == 0 {
                        format!("{load}({word} & {mask:#x}u)")
                    } else if shift + bits == 32 {
                        format!("{load}({word} >> {shift}u)")
                    } else {
                        format!("{load}(({word} >> {shift}u) & {mask:#x}u)")
                    }
                };
                [0, 1, 2, 3].map(value)
            }
            Packing::Pairs => [0, 2, 4, 6].map(|word| format!("bitcast<i32>({name}[({place}) * 2u + {word}u])")),
        };
        Some(format!("{}({})", of_width(value_type(storage.value()), width), values.join(", ")))
    }

    /// The statements that store the expression `value`, of one lane or of four, from the expression `place` on; none if the buffer
    /// holds values as they are.
    pub(super) fn narrow_store(
        &mut self,
        resource: Resource,
        width: usize,
        place: &str,
        value: &str,
    ) -> Option<String> {
        let storage = self.narrow().find(resource)?;
        let name = buffer_name(resource);
        let packing = Packing::of(storage);
        self.bind(resource, true, name.clone(), packing.word(width == 1));
        let mut text = String::new();
        let lanes = if width == 1 { [""].as_slice() } else { &[".x", ".y", ".z", ".w"] };
        match packing {
            Packing::Shared { bits, within, others, conversions: [_, store], .. } if width == 1 => {
                let (store, placed, others) = (self.call(store), self.call(within), self.call(others));
                let word = format!("{name}[({place}) / {}u]", 32 / bits);
                let _ = writeln!(text, "    atomicAnd(&{word}, {others}({place}));");
                let _ = writeln!(text, "    atomicOr(&{word}, {placed}({store}({value}), {place}));");
            }
            Packing::Shared { bits, conversions: [_, store], .. } => {
                // Four neighbours from a multiple of four on are whole words, which are no other invocation's.
                let store = self.call(store);
                let _ = writeln!(text, "    let {name}_values = {value};");
                let each = 32 / bits;
                for (word, lanes) in lanes.chunks(each as usize).enumerate() {
                    let part = |(shift, lane): (u32, &&str)| match shift {
                        0 => format!("{store}({name}_values{lane})"),
                        _ => format!("({store}({name}_values{lane}) << {}u)", shift * bits),
                    };
                    let bits: Vec<String> = (0..).zip(lanes).map(part).collect();
                    let _ = writeln!(text, "    {name}[({place}) / {each}u + {word}u] = {};", bits.join(" | "));
                }
            }
            Packing::Pairs => {
                let _ = writeln!(text, "    let {name}_values = {value};");
                for (word, lane) in (0..).step_by(2).zip(lanes) {
                    let low = format!("{name}_values{lane}");
                    let high = word + 1;
                    let _ = writeln!(text, "    {name}[({place}) * 2u + {word}u] = bitcast<u32>({low});");
                    let _ = writeln!(text, "    {name}[({place}) * 2u + {high}u] = bitcast<u32>({low} >> 31u);");
                }
            }
        }
        Some(text)
    }
}
