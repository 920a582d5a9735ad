//! Programs as WGSL: one function that reads like the graph, one line a step, and the loads and stores around it.
//!
//! What is emitted for a program under the name `program`, at a width of one or four neighbouring positions:
//! - `fn read_inputN(index: u32)`: the elements of each input that the program loads, from its own buffer or, in place, from
//!   the output's;
//! - `fn program(index: u32, …)`: the values of the outputs at one position;
//! - `fn write_block(index: u32, …)`, for programs whose outputs are stored, or `fn load_block(index: u32)`, for programs whose
//!   one value something else consumes.

use std::fmt::Write;

use crate::view::View;
use crate::wgsl::Resource;
use crate::wgsl::expressions::{Line, expression};
use crate::wgsl::module::{Module, of_width, storage_type, value_type};
use crate::wgsl::positions::{Quad, position, quad};
use crate::{DType, Instruction, Program};

/// A program, and which buffers it is about.
#[derive(Clone, Copy)]
pub(super) struct BoundProgram<'a> {
    /// The program.
    pub(super) program: &'a Program,
    /// Where each of its inputs stands.
    pub(super) inputs: &'a [Place],
    /// Where each of its outputs goes; empty where its value is consumed.
    pub(super) outputs: &'a [Place],
}

/// Where the elements of an input or output stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a buffer of their own, from its start.
    Buffer(Resource),
    /// In a buffer that other inputs are read from too, each under a name of its own.
    Shared(Shared),
    /// In a buffer that holds arrays of several dtypes, as words.
    Words(Words),
}

/// One of several inputs that are read from one buffer, which is bound once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// The buffer.
    pub(super) resource: Resource,
    /// The number of the input.
    pub(super) input: u32,
    /// Whether all of the inputs are read four neighbouring elements at a time: a buffer has elements of one type.
    pub(super) is_vector: bool,
}

/// An array in a buffer of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The buffer.
    pub(super) resource: Resource,
    /// Which of its arrays.
    pub(super) array: usize,
    /// The word at which the array begins.
    pub(super) offset: usize,
}

impl From<Resource> for Place {
    fn from(resource: Resource) -> Self {
        Place::Buffer(resource)
    }
}

impl From<Words> for Place {
    fn from(words: Words) -> Self {
        Place::Words(words)
    }
}

impl Place {
    /// The buffer.
    pub(super) fn resource(self) -> Resource {
        match self {
            Place::Buffer(resource) => resource,
            Place::Shared(shared) => shared.resource,
            Place::Words(words) => words.resource,
        }
    }

    /// The name of its read function, and of the value read, in a module.
    pub(super) fn name(self) -> String {
        match self {
            Place::Buffer(resource) => buffer_name(resource),
            Place::Shared(shared) => buffer_name(Resource::Input(shared.input)),
            Place::Words(words) => format!("{}_{}", buffer_name(words.resource), words.array),
        }
    }
}

impl BoundProgram<'_> {
    /// Declares what loads the program's one value: `fn load_block(index: u32)`.
    pub(super) fn declare_load(&self, module: &mut Module, width: usize) {
        let arguments = self.declare_reads(module, width);
        self.declare_program(module, "element", None);
        let dtype = of_width(value_type(self.program.output_dtype(0)), width);
        let mut text = format!("fn load_block(index: u32) -> {dtype} {{\n");
        self.write_calls(&mut text, "element", width, &arguments);
        let value = if width == 1 { "v".to_owned() } else { format!("{dtype}(v_x, v_y, v_z, v_w)") };
        let _ = write!(text, "    return {value};\n}}\n");
        module.declare(text);
    }

    /// Declares what computes and stores the outputs: `fn write_block(index: u32)`, which in an epilogue takes the
    /// accumulators, of dtype `accumulator`, as well.
    pub(super) fn declare_write(&self, module: &mut Module, width: usize, accumulator: Option<DType>) {
        let mut arguments = self.declare_reads(module, width);
        self.bind_outputs(module, width);
        let name = if accumulator.is_some() { "epilogue" } else { "program" };
        self.declare_program(module, name, accumulator);
        let mut text = "fn write_block(index: u32".to_owned();
        if let Some(dtype) = accumulator {
            let _ = write!(text, ", accumulator: {}", of_width(value_type(dtype), width));
            arguments.insert(0, "accumulator".to_owned());
        }
        text.push_str(") {\n");
        self.write_calls(&mut text, name, width, &arguments);
        for output in 0..self.outputs.len() {
            let field = if self.outputs.len() == 1 { String::new() } else { format!(".output{output}") };
            let dtype = self.program.output_dtype(output);
            let value = if width == 1 {
                format!("v{field}")
            } else {
                let vector = of_width(value_type(dtype), width);
                format!("{vector}(v_x{field}, v_y{field}, v_z{field}, v_w{field})")
            };
            match self.outputs[output] {
                Place::Buffer(resource) | Place::Shared(Shared { resource, .. }) => {
                    match module.narrow_store(resource, width, "index", &value) {
                        Some(statements) => text.push_str(&statements),
                        None => {
                            let target = format!("{}[{}]", buffer_name(resource), block_index("index", width));
                            let _ = writeln!(text, "    {target} = {};", to_storage(dtype, width, &value));
                        }
                    }
                }
                Place::Words(words) => {
                    let lanes = if width == 1 { [""].as_slice() } else { &["_x", "_y", "_z", "_w"] };
                    for (lane, suffix) in lanes.iter().enumerate() {
                        let target = word_at(module, words, &format!("index + {lane}u"));
                        let _ = writeln!(text, "    {target} = {};", to_word(dtype, &format!("v{suffix}{field}")));
                    }
                }
            }
        }
        text.push_str("}\n");
        module.declare(text);
    }

    /// Binds the outputs, inputs in place included.
    fn bind_outputs(&self, module: &mut Module, width: usize) {
        for (output, place) in self.outputs.iter().enumerate() {
            let element = match place {
                Place::Buffer(_) | Place::Shared(_) => match module.narrow_word(place.resource(), width) {
                    Some(word) => word.to_owned(),
                    None => of_width(storage_type(self.program.output_dtype(output)), width),
                },
                Place::Words(_) => "u32".to_owned(),
            };
            module.bind(place.resource(), true, buffer_name(place.resource()), element);
        }
    }

    /// Declares the read function of each input that is loaded, and gives their names' stems.
    fn declare_reads(&self, module: &mut Module, width: usize) -> Vec<String> {
        self.loaded()
            .map(|input| {
                self.declare_read(module, input, width);
                self.inputs[input].name()
            })
            .collect()
    }

    /// The inputs that the program loads, in their order.
    fn loaded(&self) -> impl Iterator<Item = usize> {
        (0..self.program.inputs.len()).filter(|input| {
            self.program.instructions.iter().any(|instruction| match instruction {
                Instruction::Load { input: loaded } => *loaded as usize == *input,
                Instruction::Accumulator
                | Instruction::Constant { .. }
                | Instruction::Iota { .. }
                | Instruction::Uniform { .. }
                | Instruction::Elementwise(_) => false,
            })
        })
    }

    /// Declares `fn read_inputN(index: u32)`.
    fn declare_read(&self, module: &mut Module, input: usize, width: usize) {
        let declared = &self.program.inputs[input];
        let place = self.inputs[input];
        let name = place.name();
        let dtype = of_width(value_type(declared.dtype), width);
        let mut text = format!("fn read_{name}(index: u32) -> {dtype} {{\n");
        if let Some(output) = declared.in_place {
            // Memory planning put the input where this output goes, so it is read through the output's binding.
            let resource = self.outputs[output as usize].resource();
            let shared = buffer_name(resource);
            let stored = storage_type(self.program.output_dtype(output as usize));
            let word = format!("{shared}[{}]", block_index("index", width));
            let value = module.narrow_block(resource, width, "index");
            let value = value.unwrap_or_else(|| from_storage(stored, declared.dtype, width, &word));
            let _ = writeln!(text, "    // In place: {shared} still holds {name}.");
            let _ = writeln!(text, "    return {value};");
        } else {
            let buffer = buffer_name(place.resource());
            let (form, stored, view) = match place {
                Place::Buffer(_) | Place::Shared(Shared { is_vector: true, .. }) => {
                    (quad(&declared.view), storage_type(declared.dtype), declared.view.clone())
                }
                Place::Shared(Shared { is_vector: false, .. }) => {
                    (by_elements(quad(&declared.view)), storage_type(declared.dtype), declared.view.clone())
                }
                Place::Words(words) => {
                    let offset = declared.view.offset() + words.offset;
                    (by_elements(quad(&declared.view)), "u32", View::new(declared.view.axes().iter().copied(), offset))
                }
            };
            let form = if width == 1 { Quad::Scattered } else { form };
            let is_narrow = module.is_narrow(place.resource());
            let vector = form == Quad::Vector && !is_narrow;
            let element = if is_narrow { "u32" } else { stored };
            module.bind(place.resource(), false, buffer.clone(), of_width(element, if vector { 4 } else { 1 }));
            let at = |module: &mut Module, index: &str| position(module, &format!("{name}_position"), &view, index);
            let resource = place.resource();
            let load = |module: &mut Module, place: &str| {
                let narrow = module.narrow_element(resource, &buffer, place);
                narrow.unwrap_or_else(|| from_storage(stored, declared.dtype, 1, &format!("{buffer}[{place}]")))
            };
            if width == 1 {
                let place = at(module, "index");
                let _ = writeln!(text, "    return {};", load(module, &place));
            } else {
                match form {
                    Quad::Vector => {
                        let place = at(module, "index");
                        let word = format!("{buffer}[{}]", block_index(&place, width));
                        let value = module.narrow_block(resource, width, &place);
                        let value = value.unwrap_or_else(|| from_storage(stored, declared.dtype, width, &word));
                        let _ = writeln!(text, "    return {value};");
                    }
                    Quad::Repeated => {
                        let place = at(module, "index");
                        let _ = writeln!(text, "    return {dtype}({});", load(module, &place));
                    }
                    Quad::Strided(stride) => {
                        let place = at(module, "index");
                        let stride = module.stride(format!("{name}_step"), stride);
                        let _ = writeln!(text, "    let p = {place};");
                        let places = [
                            "p".to_owned(),
                            format!("p + {stride}"),
                            format!("p + 2u * {stride}"),
                            format!("p + 3u * {stride}"),
                        ];
                        let loads = places.map(|place| load(module, &place)).join(", ");
                        let _ = writeln!(text, "    return {dtype}({loads});");
                    }
                    Quad::Scattered => {
                        let function = format!("{name}_position");
                        let _ = at(module, "index");
                        let loads = ["index", "index + 1u", "index + 2u", "index + 3u"]
                            .map(|index| load(module, &format!("{function}({index})")))
                            .join(", ");
                        let _ = writeln!(text, "    return {dtype}({loads});");
                    }
                }
            }
        }
        text.push_str("}\n");
        module.declare(text);
    }

    /// Writes the calls of the program at `width` positions: `v`, or `v_x` to `v_w`.
    fn write_calls(&self, text: &mut String, name: &str, width: usize, arguments: &[String]) {
        let values: Vec<String> = arguments
            .iter()
            .map(|argument| {
                if argument == "accumulator" {
                    return argument.clone();
                }
                let _ = writeln!(text, "    let {argument}_value = read_{argument}(index);");
                format!("{argument}_value")
            })
            .collect();
        if width == 1 {
            let list: String = values.iter().map(|value| format!(", {value}")).collect();
            let _ = writeln!(text, "    let v = {name}(index{list});");
            return;
        }
        for (lane, component) in ["x", "y", "z", "w"].iter().enumerate() {
            let index = if lane == 0 { "index".to_owned() } else { format!("index + {lane}u") };
            let list: String = values.iter().map(|value| format!(", {value}.{component}")).collect();
            let _ = writeln!(text, "    let v_{component} = {name}({index}{list});");
        }
    }

    /// Declares the program itself as `fn NAME(index: u32, …)`, a line an instruction.
    fn declare_program(&self, module: &mut Module, name: &str, accumulator: Option<DType>) {
        let program = self.program;
        let mut text = String::new();
        let single = program.outputs.len() == 1;
        let result = if single {
            value_type(program.output_dtype(0)).to_owned()
        } else {
            let fields: String = (0..program.outputs.len())
                .map(|output| format!("    output{output}: {},\n", value_type(program.output_dtype(output))))
                .collect();
            module.declare(format!("struct Values {{\n{fields}}}\n"));
            "Values".to_owned()
        };
        let _ = write!(text, "fn {name}(index: u32");
        if let Some(dtype) = accumulator {
            let _ = write!(text, ", accumulator: {}", value_type(dtype));
        }
        for input in self.loaded() {
            let dtype = value_type(program.inputs[input].dtype);
            let _ = write!(text, ", {}: {dtype}", self.inputs[input].name());
        }
        let _ = writeln!(text, ") -> {result} {{");
        for value in 0..program.instructions.len() {
            let line = Line { program: name, value, dtype: program.dtypes[value], index: "index" };
            let load = |input: u32| self.inputs[input as usize].name();
            let dtype_of = |operand: u32| program.dtypes[operand as usize];
            let expression = expression(module, line, program.instructions[value], load, dtype_of);
            let _ = writeln!(text, "    let v{value} = {expression};");
        }
        let values = program.outputs.iter().map(|value| format!("v{value}")).collect::<Vec<_>>().join(", ");
        let values = if single { values } else { format!("Values({values})") };
        let _ = write!(text, "    return {values};\n}}\n");
        module.declare(text);
    }
}

/// The name under which a buffer stands in a module.
pub(super) fn buffer_name(resource: Resource) -> String {
    match resource {
        Resource::Input(number) => format!("input{number}"),
        Resource::Output(number) => format!("output{number}"),
        Resource::Scratch(number) => format!("scratch{number}"),
    }
}

/// How four neighbouring positions lie in a buffer whose elements are no vectors.
pub(super) fn by_elements(form: Quad) -> Quad {
    match form {
        Quad::Vector => Quad::Strided(1),
        Quad::Repeated | Quad::Strided(_) | Quad::Scattered => form,
    }
}

/// The word of an array that an element at the expression `index` takes.
pub(super) fn word_at(module: &mut Module, words: Words, index: &str) -> String {
    let buffer = buffer_name(words.resource);
    let offset = module.parameter(format!("{buffer}_{}_begin", words.array), words.offset);
    format!("{buffer}[{offset} + {index}]")
}

/// A value of `dtype` as a word.
pub(super) fn to_word(dtype: DType, value: &str) -> String {
    match dtype {
        DType::F32 | DType::I32 | DType::F64 => format!("bitcast<u32>({value})"),
        DType::Bool => to_storage(dtype, 1, value),
    }
}

/// An element index as an index of blocks.
pub(super) fn block_index(index: &str, width: usize) -> String {
    if width == 1 { index.to_owned() } else { format!("{index} / {width}u") }
}

/// A stored element as a value of `dtype`. `stored` is the element type of the buffer: in place it may be another's.
pub(super) fn from_storage(stored: &str, dtype: DType, width: usize, word: &str) -> String {
    let own = storage_type(dtype);
    let word = if stored == own { word.to_owned() } else { format!("bitcast<{}>({word})", of_width(own, width)) };
    match dtype {
        DType::F32 | DType::I32 | DType::F64 => word,
        DType::Bool => format!("{word} != {}", if width == 1 { "0u" } else { "vec4<u32>()" }),
    }
}

/// A value of `dtype` as it is stored.
pub(super) fn to_storage(dtype: DType, width: usize, value: &str) -> String {
    match dtype {
        DType::F32 | DType::I32 | DType::F64 => value.to_owned(),
        DType::Bool if width == 1 => format!("select(0u, 1u, {value})"),
        DType::Bool => format!("select(vec4<u32>(0u), vec4<u32>(1u), {value})"),
    }
}
