//! The handwritten digits of `data/digits.csv`: 1,797 images of 8 x 8 pixels and their classes.

use arenagrad::{Error, Tensor};

/// Pixels of one image.
pub const PIXELS: usize = 64;
/// Classes, the digits 0 to 9.
pub const CLASSES: usize = 10;

/// Images and their labels.
#[derive(Clone, Debug)]
pub struct Digits {
    /// Row-major pixels in [0, 1], [`PIXELS`] for each image.
    pub pixels: Vec<f32>,
    /// The class of each image.
    pub labels: Vec<i32>,
}

impl Digits {
    /// The whole file, which is part of the program.
    pub fn read() -> Result<Digits, String> {
        let mut digits = Digits { pixels: Vec::new(), labels: Vec::new() };
        for (number, line) in include_str!("../data/digits.csv").lines().enumerate() {
            let values = line
                .split(',')
                .map(str::parse)
                .collect::<Result<Vec<i32>, _>>()
                .map_err(|error| format!("digits.csv:{}: {error}", number + 1))?;
            let [pixels @ .., label] = values.as_slice() else {
                return Err(format!("digits.csv:{}: the line is empty", number + 1));
            };
            if pixels.len() != PIXELS || !(0..CLASSES as i32).contains(label) {
                return Err(format!("digits.csv:{}: not {PIXELS} pixels and a digit", number + 1));
            }
            digits.pixels.extend(pixels.iter().map(|&pixel| pixel as f32 / 16.0));
            digits.labels.push(*label);
        }
        Ok(digits)
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images at those positions.
    pub fn select(&self, positions: &[usize]) -> Digits {
        let pixels = positions.iter().flat_map(|&i| &self.pixels[i * PIXELS..(i + 1) * PIXELS]).copied().collect();
        Digits { pixels, labels: positions.iter().map(|&i| self.labels[i]).collect() }
    }

    /// Pixels `[n, 64]` in f32 and labels `[n]` in i32.
    pub fn tensors(&self) -> Result<(Tensor, Tensor), Error> {
        let n = self.len();
        Ok((Tensor::new([n, PIXELS], self.pixels.clone())?, Tensor::new([n], self.labels.clone())?))
    }
}
