//! Folders of images: one folder a class.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageReader};
#[cfg(not(target_family = "wasm"))]
use rayon::prelude::*;

use super::DataError;
use super::batch::{Batch, NamedTensors};
use super::categories::Categories;
use super::dataset::Dataset;
use super::source::{Source, stacked};
use super::table::Table;
use crate::error::Error;
use crate::file::unreadable;
use crate::tensor::Tensor;

/// The images of a folder whose folders are classes: `cats/1.png`, `dogs/2.jpg`. (torchvision's `ImageFolder` with `ToTensor`.)
///
/// It is a [`Source`] that reads images when a batch needs them, several at a time; [`ImageFolder::load`] reads all. A sample is `x`,
/// `[3, height, width]` in f32 of `0..=1` (red, green, blue; `[1, height, width]` for [`ImageFolder::greyscale`]), and `labels`, the
/// number of its class (i32). Transparency is left out.
///
/// ```no_run
/// use arenagrad::data::{Batches, ImageFolder};
///
/// let images = ImageFolder::new("pets")?.resized(64, 64);
/// println!("{} images of {:?}", images.len(), images.classes().names());
/// for batch in Batches::new(images, 32).shuffled(1, 0).prefetch(2) {
///     let x = batch?.get("x").cloned(); // [32, 3, 64, 64]
/// #   drop(x);
/// }
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    images: Vec<(PathBuf, i32)>,
    classes: Categories,
    /// Height and width.
    size: Option<(u32, u32)>,
    is_grey: bool,
}

impl ImageFolder {
    /// Looks for the files in PNG and JPEG (`.png`, `.jpg`, `.jpeg`) in the folders of a folder, and in folders of those. Classes are
    /// in the order of their names, and so are the images of each. Names that begin with a dot are passed over. Links to folders are
    /// followed, but no folder is gone into twice for one class, nor the whole again from within itself.
    ///
    /// Errors: [`Error::File`] for a folder that cannot be read, [`DataError::Image`] if there are no images.
    pub fn new(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let (mut images, mut names) = (Vec::new(), Vec::new());
        let root = canonical(folder)?;
        for class in entries(folder)?.into_iter().filter(|entry| entry.is_dir()) {
            let number = names.len() as i32;
            names.push(class.file_name().unwrap_or_default().to_string_lossy().into_owned());
            let mut folders = vec![class];
            // Links may lead in circles.
            let mut known = BTreeSet::from([root.clone()]);
            while let Some(folder) = folders.pop() {
                if !known.insert(canonical(&folder)?) {
                    continue;
                }
                // Of two ways to a folder the first by name is taken, which is the last of the list.
                for entry in entries(&folder)?.into_iter().rev() {
                    if entry.is_dir() {
                        folders.push(entry);
                    } else if is_image(&entry) {
                        images.push((entry, number));
                    }
                }
            }
        }
        if images.is_empty() {
            let reason = "no folder of it has images (.png, .jpg, .jpeg); each folder is a class".to_owned();
            return Err(DataError::Image { path: folder.to_owned(), reason }.into());
        }
        images.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        Ok(ImageFolder { images, classes: Categories::new(names), size: None, is_grey: false })
    }

    /// All images in that size, whatever their proportions, by linear interpolation over what a pixel covers. Without it, images
    /// must have one size.
    #[must_use]
    pub fn resized(mut self, height: u32, width: u32) -> Self {
        self.size = Some((height, width));
        self
    }

    /// One channel, of luminance, instead of three: `(19595 red + 38470 green + 7471 blue + 32768) >> 16`, the weights of Rec. 601, of
    /// pixels of 8 bits with PIL's and torchvision's rounding to a byte. Pixels of 16 bits are rounded to 16; grey ones stay as they are.
    #[must_use]
    pub fn greyscale(mut self) -> Self {
        self.is_grey = true;
        self
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The classes: the names of the folders.
    pub fn classes(&self) -> &Categories {
        &self.classes
    }

    /// The file of each image and its class, in the order of the samples.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&Path, i32)> {
        self.images.iter().map(|(path, class)| (path.as_path(), *class))
    }

    /// Reads all images into memory.
    ///
    /// Errors: [`DataError::Image`] for a file that is no image; [`DataError::SampleShape`] for images of different sizes.
    pub fn load(&self) -> Result<Table, Error> {
        let all: Vec<usize> = (0..self.len()).collect();
        let batch = self.batch(&all)?;
        let columns = batch.named_tensors().into_iter().map(|(name, tensor)| (name, tensor.clone()));
        Ok(Table::new(Dataset::of(columns)?, vec![("labels".to_owned(), self.classes.clone())]))
    }

    /// The pixels of an image: those of one channel behind those of another.
    fn pixels(&self, path: &Path) -> Result<Tensor, Error> {
        let wrong = |reason: String| -> Error { DataError::Image { path: path.to_owned(), reason }.into() };
        let reader = ImageReader::open(path).map_err(|error| unreadable(path, &error))?;
        // What a file is says its content. The reader takes no more memory than 512 MiB, whatever sizes a file tells of.
        let reader = reader.with_guessed_format().map_err(|error| wrong(error.to_string()))?;
        let mut image = reader.decode().map_err(|error| wrong(format!("no image: {error}")))?;
        if let Some((height, width)) = self.size {
            if height == 0 || width == 0 {
                return Err(wrong(format!("it cannot be brought to {height} x {width} pixels")));
            }
            // As many bytes as the reader may take for a file.
            let bytes = u64::from(height).saturating_mul(u64::from(width)).saturating_mul(16);
            if bytes > MOST_BYTES {
                let what = format!("an image of {height} x {width} pixels");
                return Err(Error::OutOfMemory { what, bytes });
            }
            image = image.resize_exact(width, height, FilterType::Triangle);
        }
        let (height, width) = (image.height() as usize, image.width() as usize);
        let (channels, pixels) =
            if self.is_grey { (1, luminance(&image)) } else { (3, planes(&image, height * width)) };
        Tensor::new([channels, height, width], pixels)
    }
}

impl Source for ImageFolder {
    fn samples(&self) -> usize {
        self.len()
    }

    fn sample(&self, index: usize) -> Result<Batch, Error> {
        let samples = self.len();
        let (path, class) = self.images.get(index).ok_or(DataError::SampleIndex { index, samples })?;
        Ok(Batch::new().with("x", self.pixels(path)?).with("labels", Tensor::scalar(*class)))
    }

    fn batch(&self, indices: &[usize]) -> Result<Batch, Error> {
        #[cfg(not(target_family = "wasm"))]
        let indices_at_once = indices.par_iter();
        #[cfg(target_family = "wasm")]
        let indices_at_once = indices.iter();
        let samples: Vec<Result<Batch, Error>> = indices_at_once.map(|&index| self.sample(index)).collect();
        // Of several errors the first in order is told, whichever came first in time.
        stacked(&samples.into_iter().collect::<Result<Vec<_>, _>>()?, indices)
    }
}

/// The most bytes of an image while it is read.
const MOST_BYTES: u64 = 512 << 20;

/// One channel of all pixels.
fn luminance(image: &DynamicImage) -> Vec<f32> {
    let color = image.color();
    let of_pixel = |[red, green, blue]: [u64; 3]| (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
    if !color.has_color() {
        image.to_luma32f().into_raw()
    } else if color.bits_per_pixel() / u16::from(color.channel_count()) == 8 {
        let pixels = image.to_rgb8();
        pixels.pixels().map(|pixel| of_pixel(pixel.0.map(u64::from)) as f32 / 255.0).collect()
    } else {
        let pixels = image.to_rgb16();
        pixels.pixels().map(|pixel| of_pixel(pixel.0.map(u64::from)) as f32 / 65535.0).collect()
    }
}

/// Red, green and blue, each whole.
fn planes(image: &DynamicImage, pixels: usize) -> Vec<f32> {
    let interleaved = image.to_rgb32f().into_raw();
    let mut planes = Vec::with_capacity(3 * pixels);
    for channel in 0..3 {
        planes.extend(interleaved.iter().skip(channel).step_by(3));
    }
    planes
}

/// The folder that a path leads to, past all links.
fn canonical(folder: &Path) -> Result<PathBuf, Error> {
    folder.canonicalize().map_err(|error| unreadable(folder, &error))
}

/// What is in a folder, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| unreadable(folder, &error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut entries = entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect::<Result<Vec<_>, Error>>()?;
    entries.retain(|path| !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.'));
    entries.sort();
    Ok(entries)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
