//! Programs as WGSL: one function that reads like the graph, one line a step, and the loads and stores around it.
//!
//! What is emitted for a program under the name `program`, at a width of one or four neighbouring positions:
//! - `fn read_inputN(index: u32)`: the elements of each input that the program loads, from its own buffer or, in place, from
//!   the output's;
//! - `fn program(index: u32, …)`: the values of the outputs at one position;
//! - `fn write_block(index: u32, …)`, for programs whose outputs are stored, or `fn load_block(index: u32)`, for programs whose
//!   one value something else consumes.

use std::fmt::Write;

use crate::wgsl::Resource;
use crate::wgsl::module::{Module, of_width, storage_type, value_type};
use crate::wgsl::positions::{Quad, position, quad};
use crate::{BinaryFunction, CompareFunction, DType, Instruction, Program, UnaryFunction};

/// A program, and which buffers it is about.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    /// The program.
    pub(super) program: &'a Program,
    /// The buffer of each of its inputs.
    pub(super) inputs: &'a [Resource],
    /// The buffer of each of its outputs; empty where its value is consumed.
    pub(super) outputs: &'a [Resource],
}

impl Bound<'_> {
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
            let target = format!("{}[{}]", buffer_name(self.outputs[output]), block_index("index", width));
            let _ = writeln!(text, "    {target} = {};", to_storage(dtype, width, &value));
        }
        text.push_str("}\n");
        module.declare(text);
    }

    /// Binds the outputs, inputs in place included.
    fn bind_outputs(&self, module: &mut Module, width: usize) {
        for (output, resource) in self.outputs.iter().enumerate() {
            let element = of_width(storage_type(self.program.output_dtype(output)), width);
            module.bind(*resource, true, buffer_name(*resource), element);
        }
    }

    /// Declares the read function of each input that is loaded, and gives their names' stems.
    fn declare_reads(&self, module: &mut Module, width: usize) -> Vec<String> {
        self.loaded()
            .map(|input| {
                self.declare_read(module, input, width);
                buffer_name(self.inputs[input])
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
                | Instruction::Unary { .. }
                | Instruction::Binary { .. }
                | Instruction::Compare { .. }
                | Instruction::Where { .. }
                | Instruction::Cast { .. } => false,
            })
        })
    }

    /// Declares `fn read_inputN(index: u32)`.
    fn declare_read(&self, module: &mut Module, input: usize, width: usize) {
        let declared = &self.program.inputs[input];
        let name = buffer_name(self.inputs[input]);
        let dtype = of_width(value_type(declared.dtype), width);
        let mut text = format!("fn read_{name}(index: u32) -> {dtype} {{\n");
        if let Some(output) = declared.in_place {
            // Memory planning put the input where this output goes, so it is read through the output's binding.
            let shared = buffer_name(self.outputs[output as usize]);
            let stored = storage_type(self.program.output_dtype(output as usize));
            let word = format!("{shared}[{}]", block_index("index", width));
            let _ = writeln!(text, "    // In place: {shared} still holds {name}.");
            let _ = writeln!(text, "    return {};", from_storage(stored, declared.dtype, width, &word));
        } else {
            let form = if width == 1 { Quad::Scattered } else { quad(&declared.view) };
            let stored = storage_type(declared.dtype);
            let vector = width != 1 && form == Quad::Vector;
            module.bind(self.inputs[input], false, name.clone(), of_width(stored, if vector { 4 } else { 1 }));
            let at =
                |module: &mut Module, index: &str| position(module, &format!("{name}_position"), &declared.view, index);
            let load = |place: &str| from_storage(stored, declared.dtype, 1, &format!("{name}[{place}]"));
            if width == 1 {
                let place = at(module, "index");
                let _ = writeln!(text, "    return {};", load(&place));
            } else {
                match form {
                    Quad::Vector => {
                        let place = block_index(&at(module, "index"), width);
                        let word = format!("{name}[{place}]");
                        let _ = writeln!(text, "    return {};", from_storage(stored, declared.dtype, width, &word));
                    }
                    Quad::Repeated => {
                        let place = at(module, "index");
                        let _ = writeln!(text, "    return {dtype}({});", load(&place));
                    }
                    Quad::Strided(stride) => {
                        let place = at(module, "index");
                        let stride = module.parameter(format!("{name}_step"), stride);
                        let _ = writeln!(text, "    let p = {place};");
                        let places = [
                            "p".to_owned(),
                            format!("p + {stride}"),
                            format!("p + 2u * {stride}"),
                            format!("p + 3u * {stride}"),
                        ];
                        let loads = places.map(|place| load(&place)).join(", ");
                        let _ = writeln!(text, "    return {dtype}({loads});");
                    }
                    Quad::Scattered => {
                        let function = format!("{name}_position");
                        let _ = at(module, "index");
                        let loads = ["index", "index + 1u", "index + 2u", "index + 3u"]
                            .map(|index| load(&format!("{function}({index})")))
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
            let _ = write!(text, ", {}: {dtype}", buffer_name(self.inputs[input]));
        }
        let _ = writeln!(text, ") -> {result} {{");
        for value in 0..program.instructions.len() {
            let expression = self.expression(module, name, value);
            let _ = writeln!(text, "    let v{value} = {expression};");
        }
        let values = program.outputs.iter().map(|value| format!("v{value}")).collect::<Vec<_>>().join(", ");
        let values = if single { values } else { format!("Values({values})") };
        let _ = write!(text, "    return {values};\n}}\n");
        module.declare(text);
    }

    /// The expression of instruction `value` of the program that stands in the module as `name`. Its parameters have that
    /// name in theirs, for a reduction and its epilogue are two programs in one module.
    fn expression(&self, module: &mut Module, name: &str, value: usize) -> String {
        let program = self.program;
        let dtype_of = |operand: u32| program.dtypes[operand as usize];
        match program.instructions[value] {
            Instruction::Load { input } => buffer_name(self.inputs[input as usize]),
            Instruction::Accumulator => "accumulator".to_owned(),
            Instruction::Constant { value: constant } => {
                constant_expression(module, format!("{name}_constant_{value}"), program.dtypes[value], constant)
            }
            Instruction::Iota { inner, extent } => {
                let inner = module.parameter(format!("{name}_iota_{value}_inner"), inner);
                let extent = module.parameter(format!("{name}_iota_{value}_extent"), extent);
                format!("i32(index / {inner} % {extent})")
            }
            Instruction::Uniform { seed, step } => {
                let function = module.call("uniform_f32");
                let low = module.parameter(format!("{name}_seed_{value}_low"), seed as u32 as usize);
                let high = module.parameter(format!("{name}_seed_{value}_high"), (seed >> 32) as usize);
                format!("{function}(vec2<u32>({low}, {high}), index, v{step})")
            }
            Instruction::Unary { function, operand } => {
                let function = module.call(unary_name(function, dtype_of(operand)));
                format!("{function}(v{operand})")
            }
            Instruction::Binary { function, lhs, rhs } => {
                let function = module.call(binary_name(function, dtype_of(lhs)));
                format!("{function}(v{lhs}, v{rhs})")
            }
            Instruction::Compare { function, lhs, rhs } => {
                let dtype = dtype_of(lhs);
                let function = module.call(compare_name(function, dtype));
                match dtype {
                    DType::F32 | DType::F64 | DType::I32 => format!("{function}(v{lhs}, v{rhs})"),
                    // false orders before true.
                    DType::Bool => format!("{function}(i32(v{lhs}), i32(v{rhs}))"),
                }
            }
            Instruction::Where { condition, on_true, on_false } => {
                format!("select(v{on_false}, v{on_true}, v{condition})")
            }
            Instruction::Cast { operand } => match cast_name(dtype_of(operand), program.dtypes[value]) {
                Some(function) => format!("{}(v{operand})", module.call(function)),
                None => format!("v{operand}"),
            },
        }
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

/// An element index as an index of blocks.
fn block_index(index: &str, width: usize) -> String {
    if width == 1 { index.to_owned() } else { format!("{index} / {width}u") }
}

/// A stored element as a value of `dtype`. `stored` is the element type of the buffer: in place it may be another's.
fn from_storage(stored: &str, dtype: DType, width: usize, word: &str) -> String {
    let own = storage_type(dtype);
    let word = if stored == own { word.to_owned() } else { format!("bitcast<{}>({word})", of_width(own, width)) };
    match dtype {
        DType::F32 | DType::I32 | DType::F64 => word,
        DType::Bool => format!("{word} != {}", if width == 1 { "0u" } else { "vec4<u32>()" }),
    }
}

/// A value of `dtype` as it is stored.
fn to_storage(dtype: DType, width: usize, value: &str) -> String {
    match dtype {
        DType::F32 | DType::I32 | DType::F64 => value.to_owned(),
        DType::Bool if width == 1 => format!("select(0u, 1u, {value})"),
        DType::Bool => format!("select(vec4<u32>(0u), vec4<u32>(1u), {value})"),
    }
}

/// A constant: written out where it is one of the few that most graphs have, else a parameter, so that modules are shared
/// and so that infinities and NaN, which WGSL cannot write, can be said. The float 0 is a parameter too: some compilers take
/// a constant factor or dividend of 0 for the result, whatever the other operand is.
fn constant_expression(module: &mut Module, name: String, dtype: DType, constant: f64) -> String {
    let plain = match dtype {
        DType::F32 | DType::F64 => [-1.0, 0.5, 1.0, 2.0].contains(&constant),
        DType::I32 | DType::Bool => [-1.0, 0.0, 1.0, 2.0].contains(&constant),
    };
    match dtype {
        DType::F32 | DType::F64 if plain => format!("{constant:?}"),
        DType::F32 | DType::F64 => module.word(name, "f32", (constant as f32).to_bits()),
        DType::I32 if plain => format!("i32({constant})"),
        DType::I32 => module.word(name, "i32", constant as i32 as u32),
        DType::Bool => (constant != 0.0).to_string(),
    }
}

/// The function of `shaders/functions` for a unary function of a dtype. Where WGSL has a function of the stem's name, and for
/// dtypes other than f32, the dtype stands behind the stem.
fn unary_name(function: UnaryFunction, dtype: DType) -> &'static str {
    let integer = dtype == DType::I32;
    match function {
        UnaryFunction::Neg if integer => "neg_i32",
        UnaryFunction::Neg => "neg",
        UnaryFunction::Abs if integer => "abs_i32",
        UnaryFunction::Abs => "abs_f32",
        UnaryFunction::Sign if integer => "sign_i32",
        UnaryFunction::Sign => "sign_f32",
        UnaryFunction::Floor => "floor_f32",
        UnaryFunction::Ceil => "ceil_f32",
        UnaryFunction::Round => "round_f32",
        UnaryFunction::Exp => "exp_f32",
        UnaryFunction::Expm1 => "expm1",
        UnaryFunction::Log => "log_f32",
        UnaryFunction::Log1p => "log1p",
        UnaryFunction::Sqrt => "sqrt_f32",
        UnaryFunction::Sin => "sin_f32",
        UnaryFunction::Cos => "cos_f32",
        UnaryFunction::Tanh => "tanh_f32",
        UnaryFunction::Sigmoid => "sigmoid",
        UnaryFunction::Erf => "erf",
        UnaryFunction::Relu => "relu",
        UnaryFunction::Not => "not",
    }
}

/// The function of `shaders/functions` for a binary function of a dtype.
pub(super) fn binary_name(function: BinaryFunction, dtype: DType) -> &'static str {
    let integer = dtype == DType::I32;
    match function {
        BinaryFunction::Add if integer => "add_i32",
        BinaryFunction::Add => "add",
        BinaryFunction::Sub if integer => "sub_i32",
        BinaryFunction::Sub => "sub",
        BinaryFunction::Mul if integer => "mul_i32",
        BinaryFunction::Mul => "mul",
        BinaryFunction::Div => "div",
        BinaryFunction::Pow => "pow_f32",
        BinaryFunction::Maximum if integer => "maximum_i32",
        BinaryFunction::Maximum => "maximum",
        BinaryFunction::Minimum if integer => "minimum_i32",
        BinaryFunction::Minimum => "minimum",
        BinaryFunction::ReluBackward => "relu_backward",
        BinaryFunction::And => "and",
        BinaryFunction::Or => "or",
    }
}

/// The function of `shaders/functions` for a comparison of a dtype.
fn compare_name(function: CompareFunction, dtype: DType) -> &'static str {
    let float = dtype.is_float();
    match function {
        CompareFunction::Less if float => "less",
        CompareFunction::Less => "less_i32",
        CompareFunction::LessEqual if float => "less_equal",
        CompareFunction::LessEqual => "less_equal_i32",
        CompareFunction::Greater if float => "greater",
        CompareFunction::Greater => "greater_i32",
        CompareFunction::GreaterEqual if float => "greater_equal",
        CompareFunction::GreaterEqual => "greater_equal_i32",
        CompareFunction::Equal if float => "equal",
        CompareFunction::Equal => "equal_i32",
        CompareFunction::NotEqual if float => "not_equal",
        CompareFunction::NotEqual => "not_equal_i32",
    }
}

/// The function of `shaders/functions` that converts, or none where the dtype stays.
fn cast_name(from: DType, to: DType) -> Option<&'static str> {
    match (from, to) {
        (DType::F32 | DType::F64, DType::I32) => Some("f32_to_i32"),
        (DType::F32 | DType::F64, DType::Bool) => Some("f32_to_bool"),
        (DType::I32, DType::F32 | DType::F64) => Some("i32_to_f32"),
        (DType::I32, DType::Bool) => Some("i32_to_bool"),
        (DType::Bool, DType::F32 | DType::F64) => Some("bool_to_f32"),
        (DType::Bool, DType::I32) => Some("bool_to_i32"),
        (DType::F32 | DType::F64, DType::F32 | DType::F64) | (DType::I32, DType::I32) | (DType::Bool, DType::Bool) => {
            None
        }
    }
}
