//! 8192 rows of a table of 50,000 x 128: the gradient is as large as the table, and nearly all of it is zero.

use arenagrad::{DType, Error, Graph};

use crate::data::{indices, normal_parameter};
use crate::program::Model;
use crate::update::Update;
use crate::{Kind, Workload};

const ROWS: usize = 50_000;
const WIDTH: usize = 128;
const SELECTED: usize = 8192;

pub(crate) const EMBEDDING: Workload = Workload {
    name: "embedding",
    about: "mean square of 8192 rows of a table of 50,000 x 128",
    kind: Kind::Model { define, update: Some(Update::GradientDescent { rate: 1e-3 }) },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let table = graph.parameter("table", [ROWS, WIDTH], normal_parameter(1.0));
    let rows = graph.input_of("rows", [SELECTED], DType::I32);
    let loss = table.index_select(0, rows).square().mean(..);
    Ok(Model { loss, inputs: vec![("rows", indices(&[SELECTED], ROWS, 1)?)] })
}
