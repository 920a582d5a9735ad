//! What can be wrong with data: the files that it stands in, and what is asked of it.

use std::path::PathBuf;

use arenagrad_graph::message::{cut, short};
use arenagrad_graph::{DType, Shape, StorageType};

/// Why data could not be read, put together or encoded. Readers name the file and the place in it.
///
/// A file that cannot be opened or read at all is [`crate::Error::File`].
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum DataError {
    #[error("column {column:?} is a scalar; the first axis of a column is that of the samples")]
    NoSampleAxis { column: String },

    #[error("column {column:?} has {found} samples, but {first:?} has {expected}")]
    SampleCount { column: String, found: usize, first: String, expected: usize },

    #[error("no column is named {name:?}; there are {known}")]
    UnknownColumn { name: String, known: String },

    #[error("a column named {name:?} is there already; there are {known}")]
    RepeatedColumn { name: String, known: String },

    #[error("there is no sample {index}: there are {samples}, counted from 0")]
    SampleIndex { index: usize, samples: usize },

    #[error("a fraction must be within 0..=1, but is {}", short(*.fraction))]
    Fraction { fraction: f64 },

    #[error(
        "{samples} samples cannot be divided into {folds} folds, of which each has one at least; there are 2 folds or more"
    )]
    Folds { folds: usize, samples: usize },

    #[error(
        "column {column:?} holds {storage}{shape}, but classes are integers or truth values, one a sample ([n]); \
         cast or reshape it"
    )]
    Labels { column: String, shape: Shape, storage: StorageType },

    #[error("element {position} of {what} is {value}, outside the {classes} classes 0..{classes}")]
    Class { what: String, position: usize, value: i32, classes: usize },

    #[error("{what}: a batch has one sample at least, but 0 were asked for")]
    BatchSize { what: String },

    #[error("there are {found} weights for {samples} samples: each has one")]
    WeightCount { found: usize, samples: usize },

    #[error("the weight of sample {sample} is {}, which is not a finite number of 0 or more", short(*.weight))]
    SampleWeight { sample: usize, weight: f64 },

    #[error("the weights of all {samples} samples are 0, so none can be drawn")]
    NoSampleWeight { samples: usize },

    #[error(
        "sequence {number} is {}{}, and the first is {}{}: sequences are [length, ..] and differ in length alone",
        .found.0, .found.1, .first.0, .first.1
    )]
    Sequences { number: usize, found: (StorageType, Shape), first: (StorageType, Shape) },

    #[error("there is no batch {batch} to go on from: an epoch has {batches}")]
    Position { batch: u64, batches: u64 },

    #[error("sample {index} has the columns {found}, but sample {first} has {expected}")]
    SampleColumns { index: usize, found: String, first: usize, expected: String },

    #[error(
        "column {column:?} of sample {index} is {}{}, but that of sample {first} is {}{}: samples of one batch are alike",
        .found.1, .found.0, .expected.1, .expected.0
    )]
    SampleShape {
        column: String,
        index: usize,
        found: (Shape, StorageType),
        first: usize,
        expected: (Shape, StorageType),
    },

    #[error(
        "column {column:?} is {}{} here, but {}{} in the first set",
        .found.1, .found.0, .expected.1, .expected.0
    )]
    Unlike { column: String, found: (Shape, StorageType), expected: (Shape, StorageType) },

    #[error("the thread that makes batches could not be started: {reason}")]
    Thread { reason: String },

    #[error("the thread that makes batches panicked at batch {batch}: {message}")]
    Panicked { batch: u64, message: String },

    /// A cell of a table of text. Lines are counted from 1, a header is one.
    #[error("{path}:{line}: column {column}: {problem}", path = .path.display())]
    Cell { path: PathBuf, line: u64, column: String, problem: CellProblem },

    #[error(
        "{path}:{line}: the line has {found} columns, but the first has {expected}{}", begun(.quote), path = .path.display()
    )]
    Width {
        path: PathBuf,
        line: u64,
        found: u64,
        expected: u64,
        /// The line in which a quote opens that goes on over ends of lines, if there is one.
        quote: Option<u64>,
    },

    /// A quote that takes all that follows it into its cell.
    #[error(
        "{path}:{line}: column {column}: the quote that opens here is never closed, and so all that follows is one cell; within a cell in quotes a \
         quote is written twice",
        path = .path.display()
    )]
    OpenQuote { path: PathBuf, line: u64, column: String },

    /// A byte that cannot stand between cells, or begin a comment.
    #[error("the {what} of a table cannot be b'{}': {reason}", .byte.escape_ascii())]
    Separator { what: &'static str, byte: u8, reason: &'static str },

    #[error("{path}:{line}: {reason}", path = .path.display())]
    Table { path: PathBuf, line: u64, reason: String },

    #[error("{path}: no column is {column}; there are {known}", path = .path.display())]
    MissingColumn { path: PathBuf, column: String, known: String },

    /// A file that is not of the format that it was read as.
    #[error("{path}: not a file in the {format} format: at byte {offset}: {reason}", path = .path.display())]
    Format { path: PathBuf, format: &'static str, offset: u64, reason: String },

    #[error("{path}: not an archive of arrays (.npz): {reason}", path = .path.display())]
    Archive { path: PathBuf, reason: String },

    #[error("{path}: this cannot be written in the {format} format: {reason}", path = .path.display())]
    Unwritable { path: PathBuf, format: &'static str, reason: String },

    /// A file whose elements are not as many as its header says.
    #[error(
        "{path}: the header tells of shape {shape} of {type_name}, which takes {expected} bytes, but there are {found}",
        path = .path.display()
    )]
    Length { path: PathBuf, shape: Shape, type_name: String, expected: u64, found: Found },

    #[error(
        "{path}: element {position} is {value}, which i32 does not hold: what a file holds as {type_name} must fit it here",
        path = .path.display()
    )]
    Integer { path: PathBuf, position: usize, value: i128, type_name: String },

    #[error("{path}: byte {offset} begins no character of UTF-8", path = .path.display())]
    NotText { path: PathBuf, offset: usize },

    #[error("{path}: {reason}", path = .path.display())]
    Image { path: PathBuf, reason: String },

    #[error("character {position} of the text is {character:?}, which is none of the {known} that are known")]
    UnknownCharacter { character: char, position: usize, known: usize },

    #[error("token {position} is {token}, outside the {known} tokens that are known")]
    UnknownToken { token: i32, position: usize, known: usize },

    #[error("the tokens {at} on are no text in UTF-8")]
    BrokenText { at: usize },

    #[error("the tokenizer: {reason}")]
    Tokenizer { reason: String },

    #[error("{tokens} tokens hold no window of {length} and the token behind it; a window has 1 token at least")]
    Window { tokens: usize, length: usize },

    #[error("{what} cannot be fitted to {column:?} of {storage}{shape}: {reason}")]
    Fit { what: &'static str, column: String, shape: Shape, storage: StorageType, reason: String },

    #[error("numbers of shape {numbers} were fitted, which do not fit samples of {found}")]
    Scaling { numbers: Shape, found: Shape },
}

arenagrad_graph::debug_in_words!(DataError);

/// What is wrong with a cell of a table.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum CellProblem {
    #[error("{} is no number", cut(.text))]
    NoNumber { text: String },

    #[error("{} is a number that {dtype} does not hold{}", cut(.text), wider(.text, *.dtype))]
    NotHeld { text: String, dtype: DType },

    #[error("{} is no integer within -2147483648..=2147483647", cut(.text))]
    NoInteger { text: String },

    #[error("the value is missing ({}); say what is to become of such, or leave the row out", cut(.text))]
    Missing { text: String },

    /// What [`Missing::Value`](super::Missing::Value) or [`Missing::Nan`](super::Missing::Nan) puts in its place does not belong there.
    #[error("the value is missing ({}), and {}, which is to take its place, is not {expected}", cut(.text), short(*.value))]
    Replacement { text: String, value: f64, expected: &'static str },

    #[error(
        "the category is missing ({}); `missing_category` makes one of such, Missing::DropRow leaves their rows out, and `missing_texts` says \
         which texts stand for a missing value",
        cut(.text)
    )]
    MissingCategory { text: String },

    #[error("{} is none of the {known} categories that are known", cut(.text))]
    UnknownCategory { text: String, known: usize },

    #[error("byte {byte} of the cell begins no character of UTF-8")]
    NotText { byte: usize },
}

/// That a quote goes on over ends of lines, where that may be why a line is wrong.
fn begun(quote: &Option<u64>) -> String {
    quote
        .map(|line| format!("; it begins at line {line}, where a quote opens that goes on over the line's end"))
        .unwrap_or_default()
}

/// What holds a number that f32 does not.
fn wider(text: &str, dtype: DType) -> &'static str {
    let fits = dtype != DType::F64 && text.parse::<f64>().is_ok_and(f64::is_finite);
    if fits { "; f64 does: .f64() reads numbers as such" } else { "" }
}

/// How many bytes were found where a number of them was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many.
    Exactly(u64),
    /// More than were expected; nobody counted how many.
    More,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Found::Exactly(bytes) => write!(f, "{bytes}"),
            Found::More => f.write_str("more"),
        }
    }
}
