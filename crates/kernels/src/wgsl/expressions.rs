//! Instructions as WGSL expressions: which function of `shaders/functions` each is, and how constants are written.

use crate::wgsl::functions;
use crate::wgsl::module::Module;
use crate::{DType, Elementwise, Half, Instruction};

/// Where an instruction stands: what its expression is made of besides its operands `v0`, `v1`, ….
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// What the program is called in the module. Parameters have that name in theirs, for a reduction and its epilogue are
    /// two programs in one module.
    pub(super) program: &'a str,
    /// The number of the value that the instruction defines.
    pub(super) value: usize,
    /// The dtype of that value.
    pub(super) dtype: DType,
    /// The expression of the flat index in the domain.
    pub(super) index: &'a str,
}

/// The expression of an instruction. `load` gives that of an input's element, `dtype_of` the dtypes of operands.
pub(super) fn expression(
    module: &mut Module,
    line: Line<'_>,
    instruction: Instruction,
    load: impl Fn(u32) -> String,
    dtype_of: impl Fn(u32) -> DType,
) -> String {
    let Line { program, value, dtype, .. } = line;
    match instruction {
        Instruction::Load { input } => load(input),
        Instruction::Accumulator => "accumulator".to_owned(),
        Instruction::Constant { value: constant } => {
            constant_expression(module, format!("{program}_constant_{value}"), dtype, constant)
        }
        Instruction::Iota { inner, extent, first } => {
            let index = shifted(module, line, first);
            let inner = module.parameter(format!("{program}_iota_{value}_inner"), inner);
            let extent = module.parameter(format!("{program}_iota_{value}_extent"), extent);
            format!("i32({index} / {inner} % {extent})")
        }
        Instruction::Uniform { seed, step, first } => {
            let index = shifted(module, line, first);
            let function = module.call("uniform_f32");
            let low = module.parameter(format!("{program}_seed_{value}_low"), seed as u32 as usize);
            let high = module.parameter(format!("{program}_seed_{value}_high"), (seed >> 32) as usize);
            format!("{function}(vec2<u32>({low}, {high}), {index}, v{step})")
        }
        Instruction::Elementwise(elementwise) => of_elementwise(module, elementwise, dtype, dtype_of),
    }
}

/// The expression of the index in the domain that a program is a part of.
fn shifted(module: &mut Module, line: Line<'_>, first: usize) -> String {
    let Line { program, value, index, .. } = line;
    match first {
        0 => index.to_owned(),
        first => format!("({index} + {})", module.parameter(format!("{program}_first_{value}"), first)),
    }
}

fn of_elementwise(
    module: &mut Module,
    elementwise: Elementwise<u32>,
    dtype: DType,
    dtype_of: impl Fn(u32) -> DType,
) -> String {
    match elementwise {
        Elementwise::Unary { function, operand } => {
            let function = module.call(functions::named(function.name(), dtype_of(operand)));
            format!("{function}(v{operand})")
        }
        Elementwise::Binary { function, lhs, rhs } => {
            let function = module.call(functions::named(function.name(), dtype_of(lhs)));
            format!("{function}(v{lhs}, v{rhs})")
        }
        Elementwise::Compare { function, lhs, rhs } => match dtype_of(lhs) {
            compared @ (DType::F32 | DType::F64 | DType::I32) => {
                let function = module.call(functions::named(function.name(), compared));
                format!("{function}(v{lhs}, v{rhs})")
            }
            // false orders before true.
            DType::Bool => {
                let function = module.call(functions::named(function.name(), DType::I32));
                format!("{function}(i32(v{lhs}), i32(v{rhs}))")
            }
        },
        Elementwise::Where { condition, on_true, on_false } => {
            format!("select(v{on_false}, v{on_true}, v{condition})")
        }
        Elementwise::Cast { operand } => match cast_name(dtype_of(operand), dtype) {
            Some(function) => format!("{}(v{operand})", module.call(function)),
            None => format!("v{operand}"),
        },
        Elementwise::RoundTo { half, operand } => {
            let function = module.call(match half {
                Half::F16 => "round_to_f16",
                Half::Bf16 => "round_to_bf16",
            });
            format!("{function}(v{operand})")
        }
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
