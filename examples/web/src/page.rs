//! What the page's scripts call: the digits, a device and a training, as classes of JavaScript.
//!
//! A call that waits is a promise. One training has one promise under way at a time: scripts wait for it before they make the next
//! call, and are told so if they do not.

use arenagrad::{Device, Error};
use js_sys::{Float32Array, Float64Array, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::digits::{self, Digits};
use crate::error::WebError;
use crate::network;
use crate::training::{Settings, Training};

/// An error as scripts see it: its words, and the name `GpuError` where it is the GPU that failed, and another device may do.
pub struct PageError {
    error: WebError,
}

impl<E: Into<WebError>> From<E> for PageError {
    fn from(error: E) -> Self {
        PageError { error: error.into() }
    }
}

impl From<PageError> for JsValue {
    fn from(PageError { error }: PageError) -> Self {
        let told = js_sys::Error::new(&error.to_string());
        let is_of_gpu = matches!(
            error,
            WebError::Engine(Error::DeviceLost { .. } | Error::Device { .. } | Error::OutOfMemory { .. })
        );
        if is_of_gpu {
            told.set_name("GpuError");
        }
        told.into()
    }
}

/// Gives one of the variables `ARENAGRAD_ADAPTER_*` a value in this page, for devices that are opened afterwards.
#[wasm_bindgen(js_name = setAdapterVariable)]
pub fn set_adapter_variable(name: &str, value: &str) {
    Device::set_adapter_variable(name, value);
}

/// How many bytes the program's memory has, which never shrinks.
#[wasm_bindgen(js_name = memoryBytes)]
pub fn memory_bytes() -> f64 {
    core::arch::wasm32::memory_size::<0>() as f64 * 65_536.0
}

/// Images and labels.
#[wasm_bindgen(js_name = Digits)]
pub struct PageDigits {
    digits: Digits,
}

#[wasm_bindgen(js_class = Digits)]
impl PageDigits {
    /// The digits of two files in the IDX format, unpacked.
    #[wasm_bindgen(constructor)]
    pub fn new(images: &[u8], labels: &[u8]) -> Result<PageDigits, PageError> {
        Ok(PageDigits { digits: Digits::from_idx(images, labels)? })
    }

    /// How many there are.
    #[wasm_bindgen(getter)]
    pub fn length(&self) -> usize {
        self.digits.len()
    }

    /// The 28 x 28 pixels of one, 0 to 255; nothing past the last.
    pub fn pixels(&self, index: usize) -> Option<Vec<u8>> {
        self.digits.pixels(index)
    }

    /// The class of one.
    pub fn label(&self, index: usize) -> Option<i32> {
        self.digits.label(index)
    }
}

/// Where a training runs.
#[wasm_bindgen(js_name = Device)]
pub struct PageDevice {
    device: Device,
}

#[wasm_bindgen(js_class = Device)]
impl PageDevice {
    /// The adapter that the browser offers. Rejected, with the reason, if it offers none.
    #[wasm_bindgen(js_name = openGpu)]
    pub async fn open_gpu() -> Result<PageDevice, PageError> {
        Ok(PageDevice { device: Device::gpu_async().await? })
    }

    /// The CPU.
    #[wasm_bindgen(js_name = openCpu)]
    pub fn open_cpu() -> PageDevice {
        PageDevice { device: Device::cpu() }
    }

    /// What it is, as the browser tells it.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.device.to_string()
    }
}

/// A network that is being trained.
#[wasm_bindgen(js_name = Training)]
pub struct PageTraining {
    training: Training,
}

#[wasm_bindgen(js_class = Training)]
impl PageTraining {
    /// A training from its beginning, by `batch` images a step, that is tested on `tested` images of `tests`.
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &PageDevice,
        train: &PageDigits,
        tests: &PageDigits,
        tested: usize,
        batch: usize,
        seed: u32,
    ) -> Result<PageTraining, PageError> {
        let settings = Settings { seed: seed.into(), batch, ..Settings::default() };
        let tests = tests.digits.spread(tested)?;
        Ok(PageTraining { training: Training::new(device.device.clone(), &train.digits, tests, settings)? })
    }

    /// So many steps, all under way at once. A promise of their losses.
    pub async fn steps(&mut self, count: usize) -> Result<Float64Array, PageError> {
        let losses = self.training.steps_together(count).await?;
        Ok(Float64Array::from(&losses[..]))
    }

    /// In how many parts the test images are evaluated.
    #[wasm_bindgen(getter, js_name = testParts)]
    pub fn test_parts(&self) -> usize {
        self.training.test_parts()
    }

    /// A promise of how many images of a part are recognised, of the sum of their losses, and of how many they are.
    #[wasm_bindgen(js_name = testPart)]
    pub async fn test_part(&mut self, part: usize) -> Result<Float64Array, PageError> {
        let tested = self.training.test_part(part).await?;
        Ok(Float64Array::from(&[tested.recognised, tested.loss, tested.images][..]))
    }

    /// A promise of the ten probabilities of a drawing, `side` x `side` pixels of ink from 0 to 1, and behind them of the 28 x 28 pixels that
    /// the network was shown; of nothing where nothing is drawn.
    pub async fn recognise(&mut self, ink: Vec<f32>, side: usize) -> Result<Option<Float32Array>, PageError> {
        let Some(image) = digits::centred(&ink, side)? else { return Ok(None) };
        let shown = digits::unscaled(&image)?;
        let mut numbers = self.training.probabilities(image).await?;
        numbers.extend(shown);
        Ok(Some(Float32Array::from(&numbers[..])))
    }

    /// A promise of the parameters as a file in the safetensors format.
    pub async fn save(&mut self) -> Result<Uint8Array, PageError> {
        Ok(Uint8Array::from(&self.training.save().await?[..]))
    }

    /// Gives the network the parameters of such a file. A promise of what was done, in words.
    pub async fn load(&mut self, file: Vec<u8>) -> Result<String, PageError> {
        Ok(self.training.load(file).await?.to_string())
    }

    /// The plan of one step, as text.
    pub fn plan(&mut self) -> Result<String, PageError> {
        Ok(self.training.plan()?)
    }

    /// What each part of the plan costs, and why it begins where it does.
    pub fn explanation(&mut self) -> Result<String, PageError> {
        Ok(self.training.explanation()?)
    }

    /// How many steps were done.
    #[wasm_bindgen(getter, js_name = stepsDone)]
    pub fn steps_done(&self) -> f64 {
        self.training.steps() as f64
    }

    /// How many steps go once over the training images.
    #[wasm_bindgen(getter, js_name = stepsOfAnEpoch)]
    pub fn steps_of_an_epoch(&self) -> usize {
        self.training.steps_of_an_epoch()
    }
}

/// The layers of the network as a table, for batches of so many images.
#[wasm_bindgen(js_name = networkTable)]
pub fn network_table(batch: usize) -> Result<String, PageError> {
    Ok(network::summary(batch)?.to_string())
}

/// The layers of the network as a drawing in SVG, for batches of so many images.
#[wasm_bindgen(js_name = networkDrawing)]
pub fn network_drawing(batch: usize) -> Result<String, PageError> {
    Ok(network::summary(batch)?.to_svg())
}
