//! Running a graph on a device, with inputs and parameters from a table of names.

use arenagrad::plan::BufferRole;
use arenagrad::{DType, Device, Elements, Error, Expr, Graph, Plan, Session, Shape, Tensor};

use super::evaluate::Given;

/// A tensor of any dtype from numbers that it holds.
pub fn tensor(shape: &Shape, dtype: DType, elements: &[f64]) -> Tensor {
    let data = match dtype {
        DType::F32 => Elements::F32(elements.iter().map(|&x| x as f32).collect()),
        DType::F64 => Elements::F64(elements[..].into()),
        DType::I32 => Elements::I32(elements.iter().map(|&x| x as i32).collect()),
        DType::Bool => Elements::Bool(elements.iter().map(|&x| u8::from(x != 0.0)).collect()),
    };
    Tensor::from_data(shape.clone(), data).expect("as many elements as the shape has")
}

/// The inputs that a plan needs.
pub fn inputs(plan: &Plan, graph: &Graph, given: &Given) -> Vec<(String, Tensor)> {
    let declarations = graph.declarations();
    let needed = plan.buffers().iter().filter_map(|buffer| {
        let BufferRole::Input(declaration) = buffer.role else { return None };
        Some(&declarations[declaration as usize])
    });
    needed
        .map(|input| {
            let elements = given.get(&input.name).unwrap_or_else(|| panic!("{:?} is not given", input.name));
            (input.name.clone(), tensor(&input.shape, input.dtype, elements))
        })
        .collect()
}

/// Pairs as a session takes them.
pub fn borrowed(inputs: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

/// Sets the parameters that the table names.
pub fn set_parameters(session: &mut Session, given: &Given) -> Result<(), Error> {
    let names: Vec<String> = session.parameter_names().map(str::to_owned).collect();
    for name in names {
        if let Some(elements) = given.get(&name) {
            let present = session.parameter(&name)?;
            session.set_parameter(&name, &tensor(present.shape(), present.dtype(), elements))?;
        }
    }
    Ok(())
}

/// The outputs, computed on the device.
pub fn run(graph: &Graph, outputs: &[Expr<'_>], given: &Given, device: &Device) -> Result<Vec<Tensor>, Error> {
    let mut session = Session::evaluate(graph, outputs, device)?;
    set_parameters(&mut session, given)?;
    let inputs = inputs(session.plan(), graph, given);
    session.run(&borrowed(&inputs))
}

/// The outputs as numbers.
pub fn numbers(graph: &Graph, outputs: &[Expr<'_>], given: &Given, device: &Device) -> Vec<Vec<f64>> {
    let results = run(graph, outputs, given, device).unwrap_or_else(|error| panic!("{device}: {error}\n{graph}"));
    results.iter().map(Tensor::to_f64_vec).collect()
}
