//! The training: one trainer, the order of its batches, and what is asked of it on the way.
//!
//! The same code runs in a page and in a program. Losses depend on the device, the seed and the number of steps alone: asking for an
//! accuracy or for a drawing's probabilities in between changes nothing. This knows no page and no clock; who calls decides how many steps to do
//! before it yields.

use arenagrad::data::{Batch, Batches, Dataset, Epoch, Position};
use arenagrad::weights::LoadReport;
use arenagrad::{AdamW, Device, FunctionId, Tensor, Trainer, Weights};

use crate::digits::{CLASSES, Digits, moved, scaled};
use crate::error::WebError;
use crate::network::logits;

/// How many images are evaluated at once.
const EVALUATED: usize = 100;

/// What a training depends on beside its data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Of the first values of the parameters, the order of the images and how they are moved.
    pub seed: u64,
    /// Images a step.
    pub batch: usize,
    /// The rate of AdamW.
    pub learning_rate: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { seed: 0, batch: 64, learning_rate: 2e-3 }
    }
}

/// What a network makes of test images.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tested {
    /// How many it recognises.
    pub recognised: f64,
    /// The sum of its cross-entropy over them.
    pub loss: f64,
    /// How many there are.
    pub images: f64,
}

impl Tested {
    /// The share of the images that are recognised, from 0 to 1; of no images, 0.
    pub fn accuracy(&self) -> f64 {
        self.recognised / self.images.max(1.0)
    }
}

/// A network that is being trained.
pub struct Training {
    trainer: Trainer<'static>,
    predict: FunctionId,
    test: FunctionId,
    batches: Batches,
    epoch: Epoch,
    tests: Batches,
    steps: u64,
}

impl Training {
    /// A training from its beginning.
    pub fn new(device: Device, train: &Digits, tests: Dataset, settings: Settings) -> Result<Training, WebError> {
        let Settings { seed, batch, learning_rate } = settings;
        let optimizer = AdamW::new(learning_rate).weight_decay(1e-2);
        let mut trainer = Trainer::new(device, optimizer, |inputs| {
            logits(inputs.get("x")).cross_entropy(inputs.get("labels")).named("loss")
        })
        .seed(seed);
        let predict = trainer.add_evaluation(|inputs| vec![logits(inputs.get("x")).softmax(1)]);
        let test = trainer.add_evaluation(|inputs| {
            let (logits, labels) = (logits(inputs.get("x")), inputs.get("labels"));
            vec![logits.accuracy(labels), logits.cross_entropy(labels)]
        });
        let batches = train.dataset()?.batches(batch).shuffled(seed, 0).augment(seed, moved).map(scaled);
        let epoch = batches.epoch(0);
        let tests = tests.batches(EVALUATED).map(scaled);
        Ok(Training { trainer, predict, test, batches, epoch, tests, steps: 0 })
    }

    /// One step. Returns the loss of its batch before the update.
    pub async fn step(&mut self) -> Result<f64, WebError> {
        let losses = self.steps_together(1).await?;
        Ok(losses[0])
    }

    /// So many steps, all given to the device before the first loss is waited for: a GPU goes from one to the next on its own. Returns their
    /// losses in order.
    ///
    /// Errors: the first that a step had. The steps before it are done.
    pub async fn steps_together(&mut self, count: usize) -> Result<Vec<f64>, WebError> {
        let mut under_way = Vec::with_capacity(count);
        for _ in 0..count {
            let batch = self.next_batch()?;
            under_way.push(self.trainer.step_async(&batch));
            self.steps += 1;
        }
        let mut losses = Vec::with_capacity(count);
        for step in under_way {
            losses.push(step.await?.loss);
        }
        Ok(losses)
    }

    /// How many of the test images are recognised.
    pub async fn test(&mut self) -> Result<Tested, WebError> {
        let mut tested = Tested::default();
        for part in 0..self.test_parts() {
            let found = self.test_part(part).await?;
            tested = Tested {
                recognised: tested.recognised + found.recognised,
                loss: tested.loss + found.loss,
                images: tested.images + found.images,
            };
        }
        Ok(tested)
    }

    /// In how many parts the test images are evaluated, so that a page can do other things in between.
    pub fn test_parts(&self) -> usize {
        self.tests.len()
    }

    /// One part of the test; nothing past the last.
    pub async fn test_part(&mut self, part: usize) -> Result<Tested, WebError> {
        if part >= self.test_parts() {
            return Ok(Tested::default());
        }
        let position = Position { epoch: 0, batch: part as u64 };
        let Some(batch) = self.tests.resume(position).next() else { return Ok(Tested::default()) };
        let batch = batch?;
        let images = batch.get("labels").map_or(0, |labels| labels.shape().elements()) as f64;
        let outputs = self.trainer.evaluate_async(self.test, &batch).await?;
        Ok(Tested { recognised: outputs[0].item()? * images, loss: outputs[1].item()? * images, images })
    }

    /// The probability of each class for one image, `[1, 1, 28, 28]`.
    pub async fn probabilities(&mut self, image: Tensor) -> Result<Vec<f32>, WebError> {
        let outputs = self.trainer.evaluate_async(self.predict, &[("x", &image)]).await?;
        let probabilities = outputs[0].as_slice::<f32>()?.to_vec();
        debug_assert_eq!(probabilities.len(), CLASSES);
        Ok(probabilities)
    }

    /// The network's parameters as a file in the safetensors format.
    pub async fn save(&mut self) -> Result<Vec<u8>, WebError> {
        self.prepare()?;
        Ok(self.trainer.session().weights_async().await?.to_bytes()?)
    }

    /// Gives the network the parameters of such a file. The training goes on from them; the optimiser's moments stay what they were.
    pub async fn load(&mut self, file: Vec<u8>) -> Result<LoadReport, WebError> {
        let weights = Weights::from_bytes(file)?;
        self.prepare()?;
        let report = self.trainer.session_mut().load_weights(weights)?;
        // What a GPU has to say of the values comes with what is done next.
        self.trainer.session().wait_async().await?;
        Ok(report)
    }

    /// The plan of one step, as text.
    pub fn plan(&mut self) -> Result<String, WebError> {
        let batch = self.first_batch()?;
        let training = self.trainer.first_training()?;
        Ok(self.trainer.plan_of(training, &batch)?.to_string())
    }

    /// The plan of one step with what each of its parts costs, and why it begins where it does.
    pub fn explanation(&mut self) -> Result<String, WebError> {
        let batch = self.first_batch()?;
        let training = self.trainer.first_training()?;
        Ok(self.trainer.plan_of(training, &batch)?.explain())
    }

    /// How many steps were done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many steps go once over the training images.
    pub fn steps_of_an_epoch(&self) -> usize {
        self.batches.len()
    }

    /// Where in the data the next step is.
    pub fn position(&self) -> Position {
        self.epoch.position()
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        self.trainer.device()
    }

    /// Makes the plan of a step, which brings the parameters into being.
    fn prepare(&mut self) -> Result<(), WebError> {
        let batch = self.first_batch()?;
        Ok(self.trainer.prepare(&batch)?)
    }

    /// The batch that the first step has, to plan by.
    fn first_batch(&self) -> Result<Batch, WebError> {
        self.batches.epoch(0).next().map_or_else(|| Ok(Batch::new()), |batch| Ok(batch?))
    }

    /// The batch of the next step, of a new epoch where the last one has ended.
    fn next_batch(&mut self) -> Result<Batch, WebError> {
        if let Some(batch) = self.epoch.next() {
            return Ok(batch?);
        }
        self.epoch = self.batches.resume(self.epoch.position());
        // Without images there is no batch in the new epoch either, which the trainer says by name.
        self.epoch.next().map_or_else(|| Ok(Batch::new()), |batch| Ok(batch?))
    }
}
