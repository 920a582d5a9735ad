//! Tables of text: columns of a CSV file as tensors.
//!
//! The crate `csv` takes lines apart; what a cell means and where it is wrong is said here. A file is read once, line by line, and of
//! it only the columns that were asked for are kept.

use std::io::Read;
use std::path::Path;

use arenagrad_graph::DType;
use csv::{ByteRecord, ReaderBuilder, Trim};

use super::DataError;
use super::categories::Categories;
use super::csv_columns::{Collected, Layout, Value};
use super::reading;
use super::table::Table;
use crate::error::Error;
use crate::file::unreadable;

/// What becomes of a number that is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Missing {
    /// It is an error that names the cell.
    #[default]
    Refuse,
    /// The row is left out.
    DropRow,
    /// It becomes NaN, for a transform that is fitted to the training data ([`Scaling`](super::Scaling) passes over NaN).
    Nan,
    /// It becomes this number.
    Value(f64),
}

/// A column of a table: by its name in the header, or by its place from 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// By name.
    Name(String),
    /// By place, from 0.
    Place(usize),
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Column::Name(name.to_owned())
    }
}

impl From<String> for Column {
    fn from(name: String) -> Self {
        Column::Name(name)
    }
}

impl From<usize> for Column {
    fn from(place: usize) -> Self {
        Column::Place(place)
    }
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Column::Name(name) => write!(f, "{name:?}"),
            Column::Place(place) => write!(f, "{place}"),
        }
    }
}

/// What a tensor is made of.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Numbers of several columns, `[n, k]`.
    Features(Vec<Column>),
    /// Numbers of all columns that nothing else is made of.
    Remaining,
    /// Integers of one column, `[n]`.
    Integers(Column),
    /// Categories of one column, `[n]`: known ones, or those that are there.
    Categories(Column, Option<Categories>),
}

/// How a CSV file is read: which columns become which tensors. A gzipped file is unpacked.
///
/// ```
/// use arenagrad::data::Csv;
///
/// let text = "length,width,species\n5.1,3.5,setosa\n6.3,3.3,virginica\n4.9,3.0,setosa\n";
/// let table = Csv::new().features("x", ["length", "width"]).categories("labels", "species").parse(text)?;
/// assert_eq!(table.data.column("x")?.shape().dims(), [3, 2]);
/// assert_eq!(table.data.column("labels")?.as_slice::<i32>()?, [0, 1, 0]);
/// assert_eq!(table.categories("labels").and_then(|species| species.name(1)), Some("virginica"));
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Csv {
    delimiter: u8,
    has_header: bool,
    comment: Option<u8>,
    missing: Missing,
    missing_texts: Option<Vec<String>>,
    dtype: DType,
    wanted: Vec<(String, Kind)>,
}

impl Default for Csv {
    fn default() -> Self {
        Csv::new()
    }
}

impl Csv {
    /// Commas between cells, a header in the first line, no comments; nothing is read of it yet.
    #[must_use]
    pub fn new() -> Self {
        let (missing, missing_texts) = (Missing::Refuse, None);
        let (delimiter, has_header, comment, dtype) = (b',', true, None, DType::F32);
        Csv { delimiter, has_header, comment, missing, missing_texts, dtype, wanted: Vec::new() }
    }

    /// A tensor `[n, k]` of the numbers of `k` columns, in f32 unless [`Csv::f64`] is said.
    #[must_use]
    pub fn features(self, name: impl Into<String>, columns: impl IntoIterator<Item = impl Into<Column>>) -> Self {
        self.with(name, Kind::Features(columns.into_iter().map(Into::into).collect()))
    }

    /// A tensor `[n, k]` of the numbers of all columns that no other tensor is made of.
    #[must_use]
    pub fn remaining(self, name: impl Into<String>) -> Self {
        self.with(name, Kind::Remaining)
    }

    /// A tensor `[n]` of integers (i32).
    #[must_use]
    pub fn integers(self, name: impl Into<String>, column: impl Into<Column>) -> Self {
        self.with(name, Kind::Integers(column.into()))
    }

    /// A tensor `[n]` of categories (i32), numbered in the order of their names (those that are integers by value);
    /// [`Table::categories`] says which is which.
    #[must_use]
    pub fn categories(self, name: impl Into<String>, column: impl Into<Column>) -> Self {
        self.with(name, Kind::Categories(column.into(), None))
    }

    /// As [`Csv::categories`], with numbers that are known: those of the training data for a file of test data. Another category is an
    /// error.
    #[must_use]
    pub fn known_categories(self, name: impl Into<String>, column: impl Into<Column>, categories: &Categories) -> Self {
        self.with(name, Kind::Categories(column.into(), Some(categories.clone())))
    }

    /// The byte between cells: `b';'`, `b'\t'`.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// The first line is data; columns are called by their places.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.has_header = false;
        self
    }

    /// Lines that begin with this byte are left out.
    #[must_use]
    pub fn comment(mut self, comment: u8) -> Self {
        self.comment = Some(comment);
        self
    }

    /// What becomes of numbers that are missing; [`Missing::Refuse`] by default. An integer or category that is missing is an error,
    /// but for [`Missing::DropRow`].
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// Which texts stand for a missing value. By default an empty cell does, and for numbers `NA`, `N/A`, `NaN` and `null` too, in
    /// capital letters or not.
    #[must_use]
    pub fn missing_texts(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.missing_texts = Some(texts.into_iter().map(Into::into).collect());
        self
    }

    /// Features are f64.
    #[must_use]
    pub fn f64(mut self) -> Self {
        self.dtype = DType::F64;
        self
    }

    fn with(mut self, name: impl Into<String>, kind: Kind) -> Self {
        self.wanted.push((name.into(), kind));
        self
    }

    /// Reads a file.
    ///
    /// Errors: [`Error::File`] if it cannot be read; [`DataError::MissingColumn`] for a column that is not there;
    /// [`DataError::RepeatedColumn`] for two tensors of one name; [`DataError::Width`] for a line that is shorter or longer than the
    /// first; [`DataError::Cell`] for a cell that is not what it should be, with its line and column.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Table, Error> {
        let path = path.as_ref();
        self.read_from(reading::opened(path)?, path)
    }

    /// Reads a text; errors as [`Csv::read`], of a file `text`.
    pub fn parse(&self, text: &str) -> Result<Table, Error> {
        self.read_from(text.as_bytes(), "text")
    }

    /// Reads whatever can be read; errors as [`Csv::read`], of a file that is called `path`.
    pub fn read_from(&self, reader: impl Read, path: impl AsRef<Path>) -> Result<Table, Error> {
        let path = path.as_ref();
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .comment(self.comment)
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(reader);
        let mut record = ByteRecord::new();
        let mut width = None;
        let mut layout = None;
        let mut collected = Collected::new(&self.wanted, self.dtype);
        while reader.read_byte_record(&mut record).map_err(|error| failed(error, path))? {
            let line = line(&record, reader.position().line());
            let found = record.len() as u64;
            let expected = *width.get_or_insert(found);
            if found != expected {
                return Err(DataError::Width { path: path.to_owned(), line, found, expected }.into());
            }
            if layout.is_none() {
                let names = if self.has_header { Some(header(&record, line, path)?) } else { None };
                layout = Some(collected.laid_out(Layout::new(names, record.len(), &self.wanted, path, line)?));
                if self.has_header {
                    continue;
                }
            }
            if let Some(layout) = &layout {
                let options = Cells { missing: self.missing, texts: self.missing_texts.as_deref(), dtype: self.dtype };
                collected.add(layout, &record, &options).map_err(|(place, problem)| {
                    let column = layout.called(place).to_string();
                    Error::from(DataError::Cell { path: path.to_owned(), line, column, problem })
                })?;
            }
        }
        if layout.is_none() && !self.wanted.is_empty() {
            let reason = "there is no line in it, not even a header".to_owned();
            return Err(DataError::Table { path: path.to_owned(), line: 1, reason }.into());
        }
        collected.into_table()
    }
}

/// How cells are read.
pub(super) struct Cells<'a> {
    missing: Missing,
    texts: Option<&'a [String]>,
    dtype: DType,
}

impl Cells<'_> {
    /// A number, or nothing if the row is left out.
    pub(super) fn number(&self, text: &str) -> Result<Value<f64>, super::CellProblem> {
        if self.is_missing(text, true) {
            return match self.missing {
                Missing::Refuse => Err(super::CellProblem::Missing { text: text.to_owned() }),
                Missing::DropRow => Ok(Value::DropRow),
                Missing::Nan => Ok(Value::Is(f64::NAN)),
                Missing::Value(value) => Ok(Value::Is(value)),
            };
        }
        // A number in f32 is rounded once, not to f64 first.
        let parsed =
            if self.dtype == DType::F64 { text.parse::<f64>().ok() } else { text.parse::<f32>().ok().map(f64::from) };
        // An infinity that the text does not name is a number that the dtype does not hold.
        let is_held = |number: &f64| number.is_finite() || text.to_ascii_lowercase().contains("inf");
        parsed.filter(is_held).map(Value::Is).ok_or_else(|| super::CellProblem::NoNumber { text: text.to_owned() })
    }

    /// That an integer or category is there; false if the row is left out.
    pub(super) fn is_there(&self, text: &str, is_integer: bool) -> Result<bool, super::CellProblem> {
        match (self.is_missing(text, is_integer), self.missing) {
            (false, _) => Ok(true),
            (true, Missing::DropRow) => Ok(false),
            (true, Missing::Refuse | Missing::Nan | Missing::Value(_)) => {
                Err(super::CellProblem::Missing { text: text.to_owned() })
            }
        }
    }

    fn is_missing(&self, text: &str, is_number: bool) -> bool {
        match self.texts {
            Some(texts) => texts.iter().any(|missing| missing == text),
            None => {
                let usual = ["na", "n/a", "nan", "-nan", "+nan", "null"];
                text.is_empty() || is_number && usual.iter().any(|missing| missing.eq_ignore_ascii_case(text))
            }
        }
    }
}

/// The names of a header.
fn header(record: &ByteRecord, line: u64, path: &Path) -> Result<Vec<String>, Error> {
    let name = |(place, cell): (usize, &[u8])| {
        std::str::from_utf8(cell).map(str::to_owned).map_err(|error| {
            let problem = super::CellProblem::NotText { byte: error.valid_up_to() };
            DataError::Cell { path: path.to_owned(), line, column: place.to_string(), problem }.into()
        })
    };
    record.iter().enumerate().map(name).collect()
}

/// The line in which a record ends. (Where it begins is known before empty lines and comments in front of it.)
fn line(record: &ByteRecord, next: u64) -> u64 {
    record.position().map_or(1, |position| position.line().max(next.saturating_sub(1)))
}

fn failed(error: csv::Error, path: &Path) -> Error {
    let (line, reason) = (error.position().map_or(1, csv::Position::line), error.to_string());
    if let csv::ErrorKind::Io(error) = error.into_kind() {
        return unreadable(path, &error);
    }
    DataError::Table { path: path.to_owned(), line, reason }.into()
}
