//! Elements that are narrower than their values: two share a word, and each is loaded from its half and stored there.
//!
//! A buffer of them is an array of words whatever reads it. Where an invocation writes four neighbours, it writes whole words. Where it
//! writes one, words are atomic: a neighbour may be stored by another invocation, and each changes its own half alone, so that
//! the order does not tell. WGSL's own type `f16` is not on
//! every adapter; what stands here is arithmetic of integers, the same on all.

use std::fmt::Write;

use arenagrad_graph::StorageType;

use crate::kernel::Stored;
use crate::wgsl::emit::buffer_name;
use crate::wgsl::module::Module;
use crate::wgsl::{Lowered, Resource};

/// Which of a step's buffers hold elements narrower than their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Narrow(Vec<(Resource, StorageType)>);

impl Narrow {
    /// Those of the storage types of a step.
    pub(super) fn new(stored: Stored<'_>) -> Self {
        let inputs = stored.inputs.iter().zip(0..).map(|(&storage, number)| (Resource::Input(number), storage));
        let outputs = stored.outputs.iter().zip(0..).map(|(&storage, number)| (Resource::Output(number), storage));
        Narrow(inputs.chain(outputs).filter(|(_, storage)| !storage.is_native()).collect())
    }

    fn find(&self, resource: Resource) -> Option<StorageType> {
        self.0.iter().find(|(narrow, _)| *narrow == resource).map(|&(_, storage)| storage)
    }
}

impl Lowered {
    /// A module that knows which of the step's buffers are narrow.
    pub(super) fn module(&self) -> Module {
        Module::of(self.narrow.clone())
    }
}

/// The functions of `shaders/functions` that make a value of an element's bits, and the bits of a value.
fn conversions(storage: StorageType) -> [&'static str; 2] {
    match storage {
        StorageType::F16 => ["f16_to_f32", "f32_to_f16"],
        StorageType::Bf16 => ["bf16_to_f32", "f32_to_bf16"],
        StorageType::F32 | StorageType::F64 | StorageType::I32 | StorageType::Bool => {
            unreachable!("{storage} holds values as they are")
        }
    }
}

impl Module {
    /// Whether a buffer's elements are narrower than their values.
    pub(super) fn is_narrow(&self, resource: Resource) -> bool {
        self.narrow().find(resource).is_some()
    }

    /// Binds a buffer of narrow elements under a name, and gives the value of the one at the expression `place`; none if the buffer
    /// holds values as they are.
    pub(super) fn narrow_element(&mut self, resource: Resource, name: &str, place: &str) -> Option<String> {
        let storage = self.narrow().find(resource)?;
        let is_written = matches!(resource, Resource::Output(_));
        self.bind(resource, is_written, name, if is_written { "atomic<u32>" } else { "u32" });
        let [load, _] = conversions(storage);
        let (load, half) = (self.call(load), self.call("half_of"));
        let word = format!("{name}[({place}) / 2u]");
        let word = if is_written { format!("atomicLoad(&{word})") } else { word };
        Some(format!("{load}({half}({word}, {place}))"))
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
        let [load, _] = conversions(storage);
        let load = self.call(load);
        let halves = |word: usize| {
            let word = format!("{name}[({place}) / 2u + {word}u]");
            format!("{load}({word} & 0xffffu), {load}({word} >> 16u)")
        };
        Some(format!("vec4<f32>({}, {})", halves(0), halves(1)))
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
        let [_, store] = conversions(storage);
        let store = self.call(store);
        let mut text = String::new();
        if width == 1 {
            self.bind(resource, true, name.clone(), "atomic<u32>");
            let (placed, other) = (self.call("in_half"), self.call("other_half"));
            let word = format!("{name}[({place}) / 2u]");
            let _ = writeln!(text, "    atomicAnd(&{word}, {other}({place}));");
            let _ = writeln!(text, "    atomicOr(&{word}, {placed}({store}({value}), {place}));");
        } else {
            // Four neighbours from a multiple of four on are two whole words, which are no other invocation's.
            self.bind(resource, true, name.clone(), "u32");
            let _ = writeln!(text, "    let {name}_values = {value};");
            for (word, [low, high]) in [["x", "y"], ["z", "w"]].iter().enumerate() {
                let half = |lane: &str| format!("{store}({name}_values.{lane})");
                let bits = format!("{} | ({} << 16u)", half(low), half(high));
                let _ = writeln!(text, "    {name}[({place}) / 2u + {word}u] = {bits};");
            }
        }
        Some(text)
    }
}
