//! Tables of text: columns of a CSV file as tensors.
//!
//! The crate `csv` takes lines apart; what a cell means and where it is wrong is said here. A file is read once, line by line, and of
//! it only the columns that were asked for are kept.

use std::io::Read;
use std::path::Path;

use arenagrad_graph::DType;
use arenagrad_graph::message::cut;
use csv::{ByteRecord, ReaderBuilder};

use super::categories::Categories;
use super::csv_columns::{Collected, Layout, Value};
use super::reading;
use super::table::Table;
use super::{CellProblem, DataError};
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
    /// It becomes this number, which the column must hold: one of f32 or f64, or an integer.
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
            Column::Name(name) => f.write_str(&cut(name)),
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
    missing_category: Option<String>,
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
        let (missing, missing_texts, missing_category) = (Missing::Refuse, None, None);
        let (delimiter, has_header, comment, dtype) = (b',', true, None, DType::F32);
        Csv { delimiter, has_header, comment, missing, missing_texts, missing_category, dtype, wanted: Vec::new() }
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

    /// The byte between cells: `b';'`, `b'\t'`; no quote, end of a line or part of a longer character.
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

    /// Lines that begin with this byte are left out. It is no delimiter, and otherwise as that must be.
    #[must_use]
    pub fn comment(mut self, comment: u8) -> Self {
        self.comment = Some(comment);
        self
    }

    /// What becomes of numbers that are missing; [`Missing::Refuse`] by default. A category that is missing is an error, but for
    /// [`Missing::DropRow`] and [`Csv::missing_category`], and so is an integer that would become NaN or a number that is none.
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

    /// Categories that are missing are a category of their own, which is called `name`; by default they are an error, or their row is
    /// left out ([`Csv::missing`]). A cell in which this name stands is of the same category. (pandas' `get_dummies(dummy_na=True)`.)
    ///
    /// Where [`Csv::known_categories`] are given, `name` must be among them.
    ///
    /// ```
    /// use arenagrad::data::{Csv, Missing};
    ///
    /// let csv = Csv::new().features("x", ["area"]).categories("alley", "alley");
    /// let csv = csv.missing(Missing::Nan).missing_texts(["NA"]).missing_category("missing");
    /// let table = csv.parse("area,alley\n50,gravel\nNA,NA\n70,paved\n")?;
    /// assert_eq!(table.data.column("alley")?.as_slice::<i32>()?, [0, 1, 2]);
    /// assert_eq!(table.categories("alley").and_then(|alley| alley.name(1)), Some("missing"));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[must_use]
    pub fn missing_category(mut self, name: impl Into<String>) -> Self {
        self.missing_category = Some(name.into());
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
    /// [`DataError::RepeatedColumn`] for two tensors of one name; [`DataError::Separator`] for a delimiter or a comment that cannot be told
    /// from what is in a table; [`DataError::Width`] for a line that is shorter or longer than the first; [`DataError::OpenQuote`] for a quote
    /// that is not closed; [`DataError::Cell`] for a cell that is not what it should be, with its line and column.
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
        self.check_separators()?;
        let end = self.end();
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .comment(self.comment)
            .has_headers(false)
            .flexible(true)
            .from_reader(Watched { inner: reader.chain(&end.line[..]), start: 0, last: Vec::new() });
        let (mut record, mut next) = (ByteRecord::new(), ByteRecord::new());
        let mut width = None;
        let mut layout = None;
        let mut collected = Collected::new(&self.wanted, self.dtype);
        let mut has_next = reader.read_byte_record(&mut next).map_err(|error| failed(error, path))?;
        while has_next {
            std::mem::swap(&mut record, &mut next);
            let line = line(&reader);
            has_next = reader.read_byte_record(&mut next).map_err(|error| failed(error, path))?;
            if !has_next {
                // The last one is the line that was added, unless a cell has swallowed it.
                if !end.is(&record) {
                    let place = record.len().saturating_sub(1);
                    let within = record.get(place).map_or(0, ends_of_lines);
                    let column = layout.as_ref().map_or(Column::Place(place), |layout: &Layout| layout.called(place));
                    let (path, line) = (path.to_owned(), (line + 1).saturating_sub(within));
                    return Err(DataError::OpenQuote { path, line, column: column.to_string() }.into());
                }
                break;
            }
            let within: u64 = record.iter().map(ends_of_lines).sum();
            record.trim();
            let found = record.len() as u64;
            let expected = *width.get_or_insert(found);
            if found != expected {
                let quote = (within > 0).then(|| line.saturating_sub(within));
                return Err(DataError::Width { path: path.to_owned(), line, found, expected, quote }.into());
            }
            if layout.is_none() {
                let names = if self.has_header { Some(header(&record, line, path)?) } else { None };
                layout = Some(collected.laid_out(Layout::new(names, record.len(), &self.wanted, path, line)?));
                if self.has_header {
                    continue;
                }
            }
            if let Some(layout) = &layout {
                let (texts, category) = (self.missing_texts.as_deref(), self.missing_category.as_deref());
                let options = Cells { missing: self.missing, texts, category, dtype: self.dtype };
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

    /// Refuses bytes that cannot be told from others of a table.
    fn check_separators(&self) -> Result<(), Error> {
        for (what, byte) in [("delimiter", Some(self.delimiter)), ("comment", self.comment)] {
            let Some(byte) = byte else { continue };
            let reason = match byte {
                b'"' => "that is the quote around cells",
                b'\n' | b'\r' => "that ends a line",
                0x80.. => "that is no character by itself in UTF-8",
                _ if what == "comment" && byte == self.delimiter => "that is the delimiter",
                _ => continue,
            };
            return Err(DataError::Separator { what, byte, reason }.into());
        }
        Ok(())
    }

    /// The line that is read behind the last one.
    fn end(&self) -> End {
        // Of these three bytes, the delimiter and the comment leave one.
        let plain = b"abc".iter().copied().find(|&byte| byte != self.delimiter && Some(byte) != self.comment);
        let cell = plain.unwrap_or(b'a');
        End { line: [b'\n', cell, self.delimiter, cell], cell }
    }
}

/// A line behind the last one of a table. The crate `csv` does not say that a quote is open where a table ends; then that cell has this
/// line too.
struct End {
    line: [u8; 4],
    cell: u8,
}

impl End {
    /// Whether the last record is this line: a cell that has swallowed it has the delimiter within.
    fn is(&self, record: &ByteRecord) -> bool {
        record.len() == 2 && record.iter().all(|cell| *cell == [self.cell])
    }
}

/// How many lines end within a cell.
fn ends_of_lines(cell: &[u8]) -> u64 {
    cell.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// How cells are read.
pub(super) struct Cells<'a> {
    missing: Missing,
    texts: Option<&'a [String]>,
    /// The category of those that are missing, if they have one.
    category: Option<&'a str>,
    dtype: DType,
}

impl Cells<'_> {
    /// A number, or nothing if the row is left out.
    pub(super) fn number(&self, text: &str) -> Result<Value<f64>, CellProblem> {
        if self.is_missing(text, true) {
            return match self.missing {
                Missing::Refuse => Err(CellProblem::Missing { text: text.to_owned() }),
                Missing::DropRow => Ok(Value::DropRow),
                Missing::Nan => Ok(Value::Is(f64::NAN)),
                Missing::Value(value) if value.is_nan() => {
                    replaced(text, value, "a number; Missing::Nan leaves NaN there")
                }
                Missing::Value(value) if value.is_finite() && !self.dtype.round(value).is_finite() => {
                    replaced(text, value, "a number that f32 holds; .f64() reads numbers as f64")
                }
                Missing::Value(value) => Ok(Value::Is(value)),
            };
        }
        // A number in f32 is rounded once, not to f64 first.
        let parsed =
            if self.dtype == DType::F64 { text.parse::<f64>().ok() } else { text.parse::<f32>().ok().map(f64::from) };
        match parsed {
            // An infinity that the text does not name is a number that the dtype does not hold.
            Some(number) if !number.is_finite() && !text.to_ascii_lowercase().contains("inf") => {
                Err(CellProblem::NotHeld { text: text.to_owned(), dtype: self.dtype })
            }
            Some(number) => Ok(Value::Is(number)),
            None => Err(CellProblem::NoNumber { text: text.to_owned() }),
        }
    }

    /// An integer, or nothing if the row is left out.
    pub(super) fn integer(&self, text: &str) -> Result<Value<i32>, CellProblem> {
        const EXPECTED: &str = "an integer within -2147483648..=2147483647";
        if !self.is_missing(text, true) {
            return text.parse().map(Value::Is).map_err(|_| CellProblem::NoInteger { text: text.to_owned() });
        }
        match self.missing {
            Missing::Refuse => Err(CellProblem::Missing { text: text.to_owned() }),
            Missing::DropRow => Ok(Value::DropRow),
            Missing::Nan => replaced(text, f64::NAN, EXPECTED),
            Missing::Value(value) if f64::from(value as i32) == value => Ok(Value::Is(value as i32)),
            Missing::Value(value) => replaced(text, value, EXPECTED),
        }
    }

    /// The name of a category, or nothing if the row is left out.
    pub(super) fn category<'b>(&'b self, text: &'b str) -> Result<Value<&'b str>, CellProblem> {
        if !self.is_missing(text, false) {
            return Ok(Value::Is(text));
        }
        match (self.category, self.missing) {
            (Some(category), _) => Ok(Value::Is(category)),
            (None, Missing::DropRow) => Ok(Value::DropRow),
            (None, Missing::Refuse | Missing::Nan | Missing::Value(_)) => {
                Err(CellProblem::MissingCategory { text: text.to_owned() })
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

/// That a number does not belong in the place of a cell that is missing.
fn replaced<T>(text: &str, value: f64, expected: &'static str) -> Result<T, CellProblem> {
    Err(CellProblem::Replacement { text: text.to_owned(), value, expected })
}

/// The names of a header.
fn header(record: &ByteRecord, line: u64, path: &Path) -> Result<Vec<String>, Error> {
    let name = |(place, cell): (usize, &[u8])| {
        std::str::from_utf8(cell).map(str::to_owned).map_err(|error| {
            let problem = CellProblem::NotText { byte: error.valid_up_to() };
            DataError::Cell { path: path.to_owned(), line, column: place.to_string(), problem }.into()
        })
    };
    record.iter().enumerate().map(name).collect()
}

/// The line in which the record ends that was read last.
fn line(reader: &csv::Reader<Watched<impl Read>>) -> u64 {
    let behind = reader.position();
    // Of an end in two bytes the second is read with the next record, and the line counted then.
    let is_counted = reader.get_ref().before(behind.byte()) != Some(b'\r');
    behind.line() - u64::from(is_counted && behind.line() > 1)
}

/// A reader that remembers what it gave last.
struct Watched<R> {
    inner: R,
    /// How many bytes it gave before that.
    start: u64,
    last: Vec<u8>,
}

impl<R> Watched<R> {
    /// The byte in front of that place.
    fn before(&self, place: u64) -> Option<u8> {
        let within = place.checked_sub(self.start)?.checked_sub(1)?;
        self.last.get(usize::try_from(within).ok()?).copied()
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.start += self.last.len() as u64;
        self.last.clear();
        self.last.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

fn failed(error: csv::Error, path: &Path) -> Error {
    let (line, reason) = (error.position().map_or(1, csv::Position::line), error.to_string());
    if let csv::ErrorKind::Io(error) = error.into_kind() {
        return unreadable(path, &error);
    }
    DataError::Table { path: path.to_owned(), line, reason }.into()
}
