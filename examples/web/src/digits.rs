//! The digits: from bytes of two files to tensors, and from a drawing to an image like those.
//!
//! This knows no network. Pixels are bytes until a batch is made of them, where [`scaled`] gives them the mean and the deviation that
//! the network was made for.

use arenagrad::data::{Batch, Dataset, Draws};
use arenagrad::{Error, Tensor, U8};

use crate::error::WebError;

/// Rows and columns of an image.
pub const SIDE: usize = 28;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;
/// Classes, the digits 0 to 9.
pub const CLASSES: usize = 10;
/// The most pixels that an image is moved by while training, in each direction.
const SHIFT: usize = 2;
/// Mean and deviation of the training images' pixels, from 0 to 1: numbers of the data, part of the network like its first weights, so
/// that saved parameters mean the same wherever they are loaded.
const MEAN: f32 = 0.1307;
const DEVIATION: f32 = 0.3081;
/// How large the longer side of a digit is in the images, which are 28 pixels wide.
const INK: f32 = 20.0;

/// Images and their labels.
#[derive(Clone, Debug)]
pub struct Digits {
    images: Tensor,
    labels: Tensor,
}

impl Digits {
    /// The digits of two files in the IDX format, unpacked: images of 28 x 28 bytes, and labels.
    ///
    /// Errors: [`WebError::Idx`] for files of another format, of other extents, or cut short; [`WebError::Counts`].
    pub fn from_idx(images: &[u8], labels: &[u8]) -> Result<Digits, WebError> {
        let pixels = idx("the images", images, &[SIDE, SIDE])?;
        let classes = idx("the labels", labels, &[])?;
        let (count, found) = (pixels.len() / PIXELS, classes.len());
        if count != found {
            return Err(WebError::Counts { images: count, labels: found });
        }
        if let Some(class) = classes.iter().find(|class| usize::from(**class) >= CLASSES) {
            return Err(WebError::Idx { name: "the labels".into(), reason: format!("{class} is no digit") });
        }
        Ok(Digits {
            images: Tensor::new([count, 1, SIDE, SIDE], pixels.iter().copied().map(U8::from).collect::<Vec<U8>>())?,
            labels: Tensor::new([count], classes.iter().map(|&class| i32::from(class)).collect::<Vec<i32>>())?,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.shape().elements()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As columns `x` of `[n, 1, 28, 28]` in bytes and `labels` of `[n]`.
    pub fn dataset(&self) -> Result<Dataset, WebError> {
        Ok(Dataset::of([("x", self.images.clone()), ("labels", self.labels.clone())])?)
    }

    /// `count` of them, evenly from the whole: a file may have its harder digits at one end.
    pub fn spread(&self, count: usize) -> Result<Dataset, WebError> {
        let (all, count) = (self.len(), count.min(self.len()));
        let chosen: Vec<usize> = (0..count).map(|place| place * all / count).collect();
        Ok(self.dataset()?.select(&chosen)?)
    }

    /// The pixels of one image, row by row; none past the last.
    pub fn pixels(&self, index: usize) -> Option<Vec<u8>> {
        let pixels = self.images.as_slice::<U8>().ok()?.get(index * PIXELS..(index + 1) * PIXELS)?;
        Some(pixels.iter().map(|pixel| pixel.get()).collect())
    }

    /// The class of one image; none past the last.
    pub fn label(&self, index: usize) -> Option<i32> {
        self.labels.as_slice::<i32>().ok()?.get(index).copied()
    }
}

/// The bytes behind the header of a file in the IDX format: elements of 8 bits without sign, of the given extents behind the first.
fn idx<'a>(name: &str, file: &'a [u8], extents: &[usize]) -> Result<&'a [u8], WebError> {
    let wrong = |reason: String| WebError::Idx { name: name.to_owned(), reason };
    let rank = 1 + extents.len();
    let magic = [0, 0, 0x08, rank as u8];
    if !file.starts_with(&magic) {
        return Err(wrong(format!("it does not begin with {magic:?}")));
    }
    let header = 4 + 4 * rank;
    let words = file.get(4..header).ok_or_else(|| wrong("it ends within its header".to_owned()))?;
    let (words, _) = words.as_chunks::<4>();
    let found: Vec<usize> = words.iter().map(|&word| u32::from_be_bytes(word) as usize).collect();
    if found[1..] != *extents {
        return Err(wrong(format!("each of its elements is {:?}, not {extents:?}", &found[1..])));
    }
    let expected = found.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let elements = &file[header..];
    if expected == Some(elements.len()) {
        Ok(elements)
    } else {
        Err(wrong(format!("{} bytes stand behind a header of {found:?}", elements.len())))
    }
}

/// A batch with its pixels as floats of mean 0 and deviation 1 over the training images.
pub fn scaled(batch: Batch) -> Result<Batch, Error> {
    let Some(x) = batch.get("x") else { return Ok(batch) };
    let pixels = x.as_slice::<U8>()?.iter().map(|pixel| standard(f32::from(pixel.get()) / 255.0)).collect::<Vec<f32>>();
    let x = Tensor::new(x.shape(), pixels)?;
    Ok(batch.with("x", x))
}

/// The pixels of an image from 0 to 1, as they were before [`scaled`].
pub fn unscaled(image: &Tensor) -> Result<Vec<f32>, Error> {
    Ok(image.as_slice::<f32>()?.iter().map(|pixel| (pixel * DEVIATION + MEAN).clamp(0.0, 1.0)).collect())
}

fn standard(pixel: f32) -> f32 {
    (pixel - MEAN) / DEVIATION
}

/// A digit moved by up to two pixels; what comes in from outside is empty.
pub fn moved(sample: Batch, draws: &mut Draws) -> Result<Batch, Error> {
    let mut shift = || draws.below(2 * SHIFT + 1);
    let (down, right) = (shift(), shift());
    let Some(x) = sample.get("x") else { return Ok(sample) };
    let old = x.as_slice::<U8>()?;
    let mut new = vec![U8::default(); old.len()];
    for row in 0..SIDE {
        // The place that the pixels come from, of which those outside are left out.
        let Some(from) = (row + SHIFT).checked_sub(down).filter(|from| *from < SIDE) else { continue };
        for column in 0..SIDE {
            if let Some(place) = (column + SHIFT).checked_sub(right).filter(|place| *place < SIDE) {
                new[row * SIDE + column] = old[from * SIDE + place];
            }
        }
    }
    let new = Tensor::new(x.shape(), new)?;
    Ok(sample.with("x", new))
}

/// A drawing as an image like those of the files, `[1, 1, 28, 28]`, or nothing if nothing is drawn.
///
/// The drawing has `side` x `side` pixels of ink from 0 to 1. As the files were made (LeCun and others 1998), the digit is scaled to 20
/// pixels along its longer side, and put so that the mean position of its ink is in the middle.
///
/// Errors: [`WebError::Drawing`] for another number of pixels.
pub fn centred(ink: &[f32], side: usize) -> Result<Option<Tensor>, WebError> {
    let expected = side * side;
    if ink.len() != expected {
        return Err(WebError::Drawing { expected, found: ink.len() });
    }
    let is_ink = |place: usize| ink[place] > 0.05;
    let drawn: Vec<(usize, usize)> = (0..expected).filter(|&at| is_ink(at)).map(|at| (at / side, at % side)).collect();
    if drawn.is_empty() {
        return Ok(None);
    }
    let range = |of: fn(&(usize, usize)) -> usize| {
        let (least, most) = drawn.iter().map(of).fold((usize::MAX, 0), |(l, m), at| (l.min(at), m.max(at)));
        (least as f32, (most + 1) as f32)
    };
    let ((top, bottom), (left, right)) = (range(|at| at.0), range(|at| at.1));
    // How many pixels of the drawing are one of the image.
    let step = (bottom - top).max(right - left) / INK;
    let (mut mass, mut row_moment, mut column_moment) = (0.0, 0.0, 0.0);
    for &(row, column) in &drawn {
        let weight = ink[row * side + column];
        mass += weight;
        row_moment += weight * (row as f32 + 0.5);
        column_moment += weight * (column as f32 + 0.5);
    }
    let middle = SIDE as f32 / 2.0;
    let (first_row, first_column) = (row_moment / mass - middle * step, column_moment / mass - middle * step);
    let mut image = Vec::with_capacity(PIXELS);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let corner = (first_row + row as f32 * step, first_column + column as f32 * step);
            image.push(standard(mean_ink(ink, side, corner, step)));
        }
    }
    Ok(Some(Tensor::new([1, 1, SIDE, SIDE], image)?))
}

/// The mean of the ink in a square of the drawing; outside of the drawing there is none.
fn mean_ink(ink: &[f32], side: usize, (top, left): (f32, f32), step: f32) -> f32 {
    // How much of each pixel of a line from `from` to `from + step` counts.
    let covered = |from: f32| {
        let (first, last) = (from.floor().max(0.0) as usize, ((from + step).ceil().max(0.0) as usize).min(side));
        (first..last).map(move |at| (at, ((at + 1) as f32).min(from + step) - (at as f32).max(from)))
    };
    let mut sum = 0.0;
    for (row, height) in covered(top) {
        for (column, width) in covered(left) {
            sum += ink[row * side + column] * height.max(0.0) * width.max(0.0);
        }
    }
    sum / (step * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A drawing of 56 x 56 with ink in a rectangle.
    fn rectangle(rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Vec<f32> {
        let inside = |at: usize| rows.contains(&(at / 56)) && columns.contains(&(at % 56));
        (0..56 * 56).map(|at| if inside(at) { 1.0 } else { 0.0 }).collect()
    }

    #[test]
    fn a_drawing_is_scaled_and_put_in_the_middle_wherever_it_stands() {
        for (top, left) in [(0, 0), (3, 40), (16, 20)] {
            let image = centred(&rectangle(top..top + 40, left..left + 10), 56).unwrap().unwrap();
            let ink = unscaled(&image).unwrap();
            // 40 x 10 pixels become 20 x 5 around the middle, 14: rows 4 to 24 and columns 11.5 to 16.5.
            assert!((ink.iter().sum::<f32>() - 100.0).abs() < 1e-2, "{top} {left}: {}", ink.iter().sum::<f32>());
            assert!((ink[14 * SIDE + 14] - 1.0).abs() < 1e-4);
            assert!((ink[14 * SIDE + 11] - 0.5).abs() < 1e-4, "half of it is covered");
            assert!(ink[3 * SIDE + 14].abs() < 1e-4 && ink[24 * SIDE + 14].abs() < 1e-4);
        }
    }

    #[test]
    fn nothing_drawn_is_nothing_and_another_size_is_an_error() {
        assert!(centred(&[0.0; 100], 10).unwrap().is_none());
        let error = centred(&[0.0; 99], 10).unwrap_err();
        assert_eq!(error.to_string(), "a drawing has 100 pixels, not 99");
    }

    #[test]
    fn files_that_are_none_are_refused() {
        let images: Vec<u8> = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28][..], &[7; PIXELS]].concat();
        let labels = [0, 0, 8, 1, 0, 0, 0, 1, 9];
        let digits = Digits::from_idx(&images, &labels).unwrap();
        assert_eq!((digits.len(), digits.label(0), digits.pixels(0)), (1, Some(9), Some(vec![7; PIXELS])));
        assert_eq!((digits.label(1), digits.pixels(1)), (None, None));
        let refused = |images: &[u8], labels: &[u8]| Digits::from_idx(images, labels).unwrap_err().to_string();
        assert!(refused(&images[..images.len() - 1], &labels).contains("783 bytes stand behind"));
        assert!(refused(&images[..6], &labels).contains("ends within its header"));
        assert!(refused(&labels, &images).contains("does not begin with"));
        assert!(refused(&images, &[0, 0, 8, 1, 0, 0, 0, 0]).contains("1 images, but 0 labels"));
        assert!(refused(&images, &[0, 0, 8, 1, 0, 0, 0, 1, 10]).contains("10 is no digit"));
        let wide: Vec<u8> = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 14, 0, 0, 0, 56][..], &[7; PIXELS]].concat();
        assert!(refused(&wide, &labels).contains("[14, 56], not [28, 28]"));
    }
}
