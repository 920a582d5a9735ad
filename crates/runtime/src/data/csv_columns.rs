//! The columns of a table on their way from cells to tensors.

use std::collections::HashSet;
use std::path::Path;

use arenagrad_graph::DType;
use csv::ByteRecord;

use super::categories::Categories;
use super::csv::{Cells, Column, Kind};
use super::dataset::Dataset;
use super::table::Table;
use super::{CellProblem, DataError, listed};
use crate::error::Error;
use crate::tensor::Tensor;

/// What a cell is, or that its row is left out.
pub(super) enum Value<T> {
    Is(T),
    DropRow,
}

/// Where the columns of each wanted tensor stand in a line.
pub(super) struct Layout {
    names: Option<Vec<String>>,
    places: Vec<Vec<usize>>,
}

impl Layout {
    /// For lines of so many columns, with names if there is a header, which stands in that line.
    pub(super) fn new(
        names: Option<Vec<String>>,
        width: usize,
        wanted: &[(String, Kind)],
        path: &Path,
        line: u64,
    ) -> Result<Self, Error> {
        let place = |column: &Column| -> Result<usize, Error> {
            let missing = || {
                let known = match &names {
                    Some(names) => listed(names.iter().map(String::as_str)),
                    None => format!("{width}, which have no names, counted from 0"),
                };
                Error::from(DataError::MissingColumn { path: path.to_owned(), column: column.to_string(), known })
            };
            match column {
                Column::Place(place) => {
                    if *place < width {
                        Ok(*place)
                    } else {
                        Err(missing())
                    }
                }
                Column::Name(name) => {
                    let mut found = names.iter().flatten().enumerate().filter(|(_, known)| *known == name);
                    let (first, second) = (found.next(), found.next());
                    if second.is_some() {
                        let reason = format!("two columns are named {name:?}; call them by their places");
                        return Err(DataError::Table { path: path.to_owned(), line, reason }.into());
                    }
                    first.map(|(place, _)| place).ok_or_else(missing)
                }
            }
        };
        let mut places = Vec::with_capacity(wanted.len());
        let mut taken = HashSet::new();
        for (_, kind) in wanted {
            let of: Vec<usize> = match kind {
                Kind::Features(columns) => columns.iter().map(place).collect::<Result<_, _>>()?,
                Kind::Integers(column) | Kind::Categories(column, _) => vec![place(column)?],
                Kind::Remaining => Vec::new(),
            };
            taken.extend(of.iter().copied());
            places.push(of);
        }
        for ((_, kind), places) in wanted.iter().zip(&mut places) {
            if matches!(kind, Kind::Remaining) {
                *places = (0..width).filter(|place| !taken.contains(place)).collect();
            }
        }
        Ok(Layout { names, places })
    }

    /// How a column is called in a message.
    pub(super) fn called(&self, place: usize) -> Column {
        match self.names.as_ref().and_then(|names| names.get(place)) {
            Some(name) if !name.is_empty() => Column::Name(name.clone()),
            Some(_) | None => Column::Place(place),
        }
    }
}

/// The tensors so far.
pub(super) struct Collected {
    rows: usize,
    dtype: DType,
    columns: Vec<(String, Cellwise)>,
}

enum Cellwise {
    Numbers { width: usize, values: Vec<f64> },
    Integers(Vec<i32>),
    Categories { numbers: Vec<i32>, categories: Categories, is_known: bool },
}

impl Collected {
    pub(super) fn new(wanted: &[(String, Kind)], dtype: DType) -> Self {
        let empty = |kind: &Kind| match kind {
            Kind::Features(columns) => Cellwise::Numbers { width: columns.len(), values: Vec::new() },
            Kind::Remaining => Cellwise::Numbers { width: 0, values: Vec::new() },
            Kind::Integers(_) => Cellwise::Integers(Vec::new()),
            Kind::Categories(_, known) => {
                let (categories, is_known) = (known.clone().unwrap_or_default(), known.is_some());
                Cellwise::Categories { numbers: Vec::new(), categories, is_known }
            }
        };
        let columns = wanted.iter().map(|(name, kind)| (name.clone(), empty(kind))).collect();
        Collected { rows: 0, dtype, columns }
    }

    /// Learns from the layout how many columns the remaining ones are.
    pub(super) fn laid_out(&mut self, layout: Layout) -> Layout {
        for ((_, column), places) in self.columns.iter_mut().zip(&layout.places) {
            if let Cellwise::Numbers { width, .. } = column {
                *width = places.len();
            }
        }
        layout
    }

    /// Adds a row, unless it is left out. Gives the place of the column that is wrong, and why.
    pub(super) fn add(
        &mut self,
        layout: &Layout,
        record: &ByteRecord,
        cells: &Cells<'_>,
    ) -> Result<(), (usize, CellProblem)> {
        let mut is_whole = true;
        for ((_, column), places) in self.columns.iter_mut().zip(&layout.places) {
            for &place in places {
                // A row of a record is as wide as the layout: its width was checked.
                let cell = record.get(place).unwrap_or_default();
                let text = std::str::from_utf8(cell)
                    .map_err(|error| (place, CellProblem::NotText { byte: error.valid_up_to() }))?;
                is_whole &= column.push(text, cells).map_err(|problem| (place, problem))?;
            }
        }
        self.rows += usize::from(is_whole);
        let rows = self.rows;
        self.columns.iter_mut().for_each(|(_, column)| column.truncate(rows));
        Ok(())
    }

    pub(super) fn into_table(self) -> Result<Table, Error> {
        let (mut data, mut found) = (Dataset::new(), Vec::new());
        for (name, column) in self.columns {
            if data.get(&name).is_some() {
                return Err(DataError::RepeatedColumn { name, known: data.known() }.into());
            }
            let tensor = match column {
                Cellwise::Numbers { width, values } => Tensor::new([self.rows, width], values)?.into_cast(self.dtype),
                Cellwise::Integers(values) => Tensor::new([self.rows], values)?,
                Cellwise::Categories { numbers, categories, is_known: true } => {
                    found.push((name.clone(), categories));
                    Tensor::new([self.rows], numbers)?
                }
                Cellwise::Categories { numbers, categories, is_known: false } => {
                    let (sorted, order) = categories.sorted(&numbers);
                    found.push((name.clone(), sorted));
                    Tensor::new([self.rows], numbers.into_iter().map(|number| order[number as usize]).collect())?
                }
            };
            data = data.with(name, tensor)?;
        }
        Ok(Table::new(data, found))
    }
}

impl Cellwise {
    /// Adds a cell; false if its row is left out.
    fn push(&mut self, text: &str, cells: &Cells<'_>) -> Result<bool, CellProblem> {
        match self {
            Cellwise::Numbers { values, .. } => match cells.number(text)? {
                Value::Is(value) => values.push(value),
                Value::DropRow => return Ok(false),
            },
            Cellwise::Integers(values) => match cells.integer(text)? {
                Value::Is(value) => values.push(value),
                Value::DropRow => return Ok(false),
            },
            Cellwise::Categories { numbers, categories, is_known } => {
                let name = match cells.category(text)? {
                    Value::Is(name) => name,
                    Value::DropRow => return Ok(false),
                };
                let number = if *is_known {
                    let known = categories.len();
                    let unknown = || CellProblem::UnknownCategory { text: name.to_owned(), known };
                    categories.number(name).ok_or_else(unknown)?
                } else {
                    categories.add(name)
                };
                numbers.push(number);
            }
        }
        Ok(true)
    }

    /// Takes back what was added of a row that is left out.
    fn truncate(&mut self, rows: usize) {
        match self {
            Cellwise::Numbers { width, values } => values.truncate(rows * *width),
            Cellwise::Integers(values) => values.truncate(rows),
            Cellwise::Categories { numbers, .. } => numbers.truncate(rows),
        }
    }
}
