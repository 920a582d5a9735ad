//! Named tensors in files of the safetensors format: weights from elsewhere, and one's own for others.
//!
//! [`Weights`] are tensors under names. Those of a file are read when they are asked for: opening a file reads its header alone, so a
//! part of a large model costs the memory of that part. Transformations (renaming, transposing, leaving out) are noted, and hold
//! from then on: each sees the names as those before it left them. A mistake in one of them is kept and told by whoever uses the
//! tensors next, so that transformations can be chained.
//!
//! [`Session::load_weights`](crate::Session::load_weights) gives a session's parameters the values of the tensors of their names, and
//! reports what was loaded, missing, unused and converted.
//!
//! Invariants: names are unique, and keep the order of the file or of insertion; what is read from a file fits its header, which was
//! checked when it was opened. Nothing here knows a graph or a device.

mod error;
mod format;
mod header;
mod load;
mod pattern;
mod shards;
mod source;
mod transform;
mod write;

pub use error::{ShapeMismatch, WeightsError, WeightsMismatch};
pub use load::{ConvertedWeight, LoadReport};

pub(crate) use format::{DecodeError, decoded, format_name, storage_named};
pub(crate) use header::{Entry, METADATA};
pub(crate) use load::{Need, Target, fitting};
pub(crate) use pattern::matches_pattern;
pub(crate) use source::Source;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arenagrad_graph::{Origin, Shape, StorageType};

use crate::error::Error;
use crate::tensor::Tensor;
use format::{element_bytes, transposed};
use header::FileHeader;

/// The key of the metadata that lists what belongs to an optimiser.
const TRAINING_STATE: &str = "arenagrad.training_state";

/// Tensors under names, in files of the safetensors format or in memory.
///
/// ```
/// use arenagrad::{Device, Graph, Init, Session, StorageType, Tensor, weights::Weights};
///
/// // What another library may have written: other names, another layout, half precision.
/// let file = std::env::temp_dir().join("weights-of-another-library.safetensors");
/// Weights::new()
///     .with("module.fc.kernel", Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?.cast(StorageType::F16))
///     .with("module.fc.bias", Tensor::new([3], vec![0.5f32, 0.0, -0.5])?)
///     .save(&file)?;
///
/// let weights = Weights::open(&file)?.rename("module.", "").rename("*.kernel", "*.weight").transpose("*.weight");
/// let g = Graph::new();
/// let weight = g.parameter("fc.weight", [3, 2], Init::XavierUniform);
/// let bias = g.parameter("fc.bias", [3], Init::Constant(0.0));
/// let mut session = Session::evaluate(&g, &[weight, bias], &Device::cpu())?;
/// let report = session.load_weights(weights)?;
/// assert_eq!(report.loaded, ["fc.weight", "fc.bias"]);
/// assert_eq!(report.converted[0].to_string(), "fc.weight from f16 to f32");
/// assert_eq!(session.parameter("fc.weight")?.to_f64_vec(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Weights {
    list: Vec<Weight>,
    by_name: HashMap<String, usize>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// What messages call where the tensors come from.
    pub(crate) source_name: Option<String>,
    is_lenient: bool,
    /// The first mistake of a transformation.
    mistake: Option<Error>,
}

/// A tensor and what is to be done to it.
#[derive(Clone, Debug)]
struct Weight {
    name: String,
    held: Held,
    is_transposed: bool,
    cast: Option<StorageType>,
    /// Whether a session that wrote it held it for its optimiser, so that it is no part of a network.
    is_training_state: bool,
}

/// Where a tensor is.
#[derive(Clone, Debug)]
enum Held {
    Tensor(Tensor),
    Stored { source: Arc<Source>, place: std::ops::Range<u64>, entry: Entry },
}

impl Weights {
    /// No tensors yet.
    #[must_use]
    pub fn new() -> Self {
        Weights::default()
    }

    /// The tensors of a file in the safetensors format, of a model in several such files by its index
    /// (`model.safetensors.index.json`, as `transformers` writes it), or of a folder that holds either. Of the files the headers alone
    /// are read; tensors are read when they are asked for, from the file that was opened, whatever is put in its place meanwhile.
    ///
    /// Errors: [`Error::File`] for a file that cannot be read; [`Error::ParameterFile`] for one that is cut off, of another format
    /// (such as a pickle of PyTorch, `.pt` or `.bin`), or whose header contradicts itself or the file's size;
    /// [`WeightsError::Index`] for an index that is none, or that names tensors that its files do not have, and for a folder with one file of
    /// several and no index.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        if path.is_dir() {
            return Weights::open(shards::found_in(path)?);
        }
        if path.extension().is_some_and(|extension| extension == "json") {
            return shards::open(path);
        }
        let (source, header) = Source::open(path)?;
        Weights::of_file(source, header)
    }

    /// The tensors of a file in the safetensors format that stands in memory. Errors as [`Weights::open`].
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let (source, header) = Source::of_bytes(Path::new("bytes in memory"), bytes.into())?;
        Weights::of_file(source, header)
    }

    /// The tensors of one file.
    fn of_file(source: Source, header: FileHeader) -> Result<Self, Error> {
        let source_name = Some(source.path().display().to_string());
        let source = Arc::new(source);
        let places: Vec<_> =
            header.names().filter_map(|name| header.find(name)).map(|entry| header.place(entry)).collect();
        let (entries, metadata) = header.into_parts();
        let mut weights = Weights { metadata, source_name, ..Weights::default() };
        for (entry, place) in entries.into_iter().zip(places) {
            let name = entry.name.clone();
            weights.push(Weight::new(name, Held::Stored { source: source.clone(), place, entry }));
        }
        if let Some(names) = weights.metadata.remove(TRAINING_STATE) {
            let names: Vec<String> = serde_json::from_str(&names).map_err(|error| Error::ParameterFile {
                path: weights.source_name().into(),
                reason: format!("its metadata {TRAINING_STATE:?} is no list of names: {error}"),
            })?;
            names.iter().for_each(|name| weights.mark_training_state(name));
        }
        Ok(weights)
    }

    /// Adds a tensor under a name that is not there yet.
    fn push(&mut self, weight: Weight) {
        self.by_name.insert(weight.name.clone(), self.list.len());
        self.list.push(weight);
    }

    /// With a tensor of that name; one that had the name before is replaced.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        let name = name.into();
        if name == METADATA {
            let origin = Origin::here();
            return self.mistaken(WeightsError::ReservedName { origin, method: "with", name });
        }
        let weight = Weight::new(name, Held::Tensor(tensor));
        match self.by_name.get(&weight.name) {
            Some(&place) => self.list[place] = weight,
            None => self.push(weight),
        }
        self
    }

    /// With a text about the file, such as how it was trained; one that had the key before is replaced.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Loads what fits by name, and leaves alone what no tensor is for: for [`Session::load_weights`](crate::Session::load_weights).
    /// Shapes must agree nonetheless.
    #[must_use]
    pub fn not_strict(self) -> Self {
        Weights { is_lenient: true, ..self }
    }

    /// The names, in the order of the file or of insertion.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|weight| weight.name.as_str())
    }

    /// How many tensors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there is a tensor of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The shape of a tensor, which is not read for it.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<Shape> {
        self.find(name).map(Weight::shape)
    }

    /// As what the elements of a tensor are stored, such as `f32`, `bf16`, or `f8_e4m3`, of which this crate has no tensors.
    #[must_use]
    pub fn stored_as(&self, name: &str) -> Option<String> {
        self.find(name).map(Weight::stored_as)
    }

    /// The texts about the file.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensor of that name, in the type that it is stored in; integers of 16 bits, and of 32 without a sign, become i32.
    ///
    /// Errors: [`WeightsError::UnknownTensor`]; an element type that the crate has no tensors of; an integer that i32 does not hold; a
    /// file that cannot be read any more; the first mistake of a transformation.
    pub fn get(&self, name: &str) -> Result<Tensor, Error> {
        self.check()?;
        let weight = self.find(name).ok_or_else(|| WeightsError::UnknownTensor {
            source_name: self.source_name().to_owned(),
            name: name.to_owned(),
            known: error::known(self.names()),
        })?;
        weight.tensor()
    }

    /// Notes that a tensor is part of an optimiser and not of a network.
    pub(crate) fn mark_training_state(&mut self, name: &str) {
        if let Some(&place) = self.by_name.get(name) {
            self.list[place].is_training_state = true;
        }
    }

    /// Whether a tensor is part of an optimiser and not of a network.
    pub(crate) fn is_training_state(&self, name: &str) -> bool {
        self.find(name).is_some_and(|weight| weight.is_training_state)
    }

    fn find(&self, name: &str) -> Option<&Weight> {
        self.by_name.get(name).map(|&place| &self.list[place])
    }

    /// What messages call where the tensors come from.
    pub(crate) fn source_name(&self) -> &str {
        self.source_name.as_deref().unwrap_or("the list of tensors")
    }

    /// The first mistake of a transformation.
    fn check(&self) -> Result<(), Error> {
        self.mistake.clone().map_or(Ok(()), Err)
    }

    /// With a mistake, unless there is one before it.
    fn mistaken(mut self, error: WeightsError) -> Self {
        self.mistake.get_or_insert(error.into());
        self
    }
}

impl Weight {
    fn new(name: String, held: Held) -> Self {
        Weight { name, held, is_transposed: false, cast: None, is_training_state: false }
    }

    fn shape(&self) -> Shape {
        let shape = match &self.held {
            Held::Tensor(tensor) => tensor.shape().clone(),
            Held::Stored { entry, .. } => Shape::from(entry.shape.as_slice()),
        };
        match (self.is_transposed, shape.dims()) {
            (true, &[rows, columns]) => Shape::from([columns, rows]),
            (true | false, _) => shape,
        }
    }

    /// The format's name of the elements' type.
    fn dtype(&self) -> &str {
        match (self.cast, &self.held) {
            (Some(storage), _) => format_name(storage),
            (None, Held::Tensor(tensor)) => format_name(tensor.storage()),
            (None, Held::Stored { entry, .. }) => &entry.dtype,
        }
    }

    /// The type of the elements as people read it.
    fn stored_as(&self) -> String {
        storage_named(self.dtype())
            .map_or_else(|| self.dtype().to_ascii_lowercase(), |storage| storage.name().to_owned())
    }

    /// How many bytes the tensor takes in a file.
    fn bytes(&self) -> u64 {
        match (&self.held, element_bytes(self.dtype())) {
            (_, Some(bytes)) => bytes as u64 * self.shape().elements() as u64,
            (Held::Stored { place, .. }, None) => place.end - place.start,
            (Held::Tensor(_), None) => 0,
        }
    }

    fn tensor(&self) -> Result<Tensor, Error> {
        let data = match &self.held {
            Held::Tensor(tensor) if !self.is_transposed => return Ok(cast(tensor.clone(), self.cast)),
            Held::Tensor(tensor) => arenagrad_graph::Elements::from_le_bytes(tensor.storage(), &self.file_bytes()?),
            Held::Stored { source, entry, .. } => {
                decoded(&entry.dtype, &self.file_bytes()?).map_err(|error| match error {
                    DecodeError::Unsupported => Error::from(WeightsError::UnsupportedType {
                        path: source.path().to_owned(),
                        name: self.name.clone(),
                        found: self.stored_as(),
                    }),
                    DecodeError::Integer { position, value } => {
                        Error::FileInteger { path: source.path().to_owned(), name: self.name.clone(), position, value }
                    }
                })?
            }
        };
        Ok(cast(Tensor::from_data(self.shape(), data)?, self.cast))
    }

    /// The elements as a file has them, in the type that they are held in and transposed where that is wanted.
    fn file_bytes(&self) -> Result<Vec<u8>, Error> {
        let (bytes, dims, dtype) = match &self.held {
            Held::Tensor(tensor) => {
                (tensor.data().to_le_bytes(), tensor.shape().to_vec(), format_name(tensor.storage()))
            }
            Held::Stored { source, place, entry } => {
                (source.read(place.clone())?, entry.shape.clone(), entry.dtype.as_str())
            }
        };
        match (self.is_transposed, dims.as_slice(), element_bytes(dtype)) {
            (true, &[rows, columns], Some(size)) => Ok(transposed(&bytes, [rows, columns], size)),
            (true | false, _, _) => Ok(bytes),
        }
    }
}

fn cast(tensor: Tensor, storage: Option<StorageType>) -> Tensor {
    match storage {
        Some(storage) => tensor.into_cast(storage),
        None => tensor,
    }
}

/// A line for each tensor with its shape and the type of its elements, and one with the sums.
/// The widest column of names: what is longer stands out, for a file may say a name of any length.
const WIDEST_NAME: usize = 100;

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.names().map(|name| name.chars().count()).max().unwrap_or(0).min(WIDEST_NAME);
        for weight in &self.list {
            writeln!(f, "{:width$}  {} {}", weight.name, weight.stored_as(), weight.shape())?;
        }
        // A file may say any shape of a type that is not known.
        let elements = self.list.iter().fold(0u64, |sum, weight| sum.saturating_add(weight.shape().elements() as u64));
        let bytes = self.list.iter().fold(0u64, |sum, weight| sum.saturating_add(weight.bytes()));
        write!(f, "{} tensors, {elements} elements, {bytes} bytes", self.len())
    }
}

impl<N: Into<String>> FromIterator<(N, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (N, Tensor)>>(tensors: I) -> Self {
        tensors.into_iter().fold(Weights::new(), |weights, (name, tensor)| weights.with(name, tensor))
    }
}
