use arenagrad::{Adam, Device, Tensor, Trainer, nn::Linear};
use wasm_bindgen::prelude::*;

/// Fits a line on "gpu", "cpu" or what "auto" chooses of them. A promise of the loss, and of where it was reached.
#[wasm_bindgen]
pub async fn fit(x: Vec<f32>, y: Vec<f32>, steps: usize, device: String) -> Result<String, JsError> {
    let device = Device::named_async(&device).await?;
    let line = Linear::new("line", 1, 1);
    let mut trainer = Trainer::new(device, Adam::new(0.1), |inputs| {
        (line.apply(inputs.get("x")) - inputs.get("y")).square().mean(..)
    });
    let (x, y) = (Tensor::new([x.len(), 1], x)?, Tensor::new([y.len(), 1], y)?);
    let batch = [("x", &x), ("y", &y)];
    for _ in 1..steps {
        trainer.advance_async(&batch).await?; // yields while the GPU has enough to do
    }
    let loss = trainer.step_async(&batch).await?.loss;
    Ok(format!("{loss:e} on {}", trainer.device()))
}
