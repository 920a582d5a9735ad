//! The moving averages of weights that an optimiser keeps: computing with them in the place of the weights.

use std::collections::HashSet;

use crate::error::Error;
use crate::session::Session;
use crate::tensor::Tensor;
use crate::train::Trainer;
use crate::train::options::{AVERAGE, AVERAGED};

impl Session {
    /// Exchanges each parameter with its moving average, which [`crate::Optimizer::moving_average`] keeps. Plans then compute with
    /// the averages, and files hold them under the parameters' names; a second call exchanges them back, which must come
    /// before the next step of training. [`Session::with_averages`] does both. The average of a parameter that is held narrower
    /// comes back rounded to what that holds. A parameter that no update has reached stays as it is, for so would its average.
    ///
    /// Errors, after which nothing is changed: there are no averages, or no update has gone into them yet
    /// ([`Error::NoAverages`]).
    pub fn swap_averages(&mut self) -> Result<(), Error> {
        let refused = |reason: &str| Err(Error::NoAverages { reason: reason.to_owned() });
        let names: Vec<String> = self.parameter_names().map(str::to_owned).collect();
        let trainable: Vec<String> = self.trainable_names().map(str::to_owned).collect();
        let suffix = format!(".{AVERAGE}");
        let mut values: Vec<(&String, &String, Tensor, Tensor)> = Vec::new();
        let mut own_counts = HashSet::new();
        for average in &names {
            let Some(name) = average.strip_suffix(&suffix) else { continue };
            // In front of the parameter's name may stand that of the function that is trained.
            let of_function = |parameter: &&String| {
                name.strip_suffix(parameter.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            let Some(parameter) = trainable.iter().filter(of_function).max_by_key(|name| name.len()) else { continue };
            if values.iter().any(|(known, ..)| *known == parameter) {
                return refused("one of its parameters has several, of several training functions");
            }
            // Where some steps do not reach a parameter, a count says whether its average was ever made.
            let own_count = format!("{name}.{AVERAGED}");
            if let Some(count) = self.present(&own_count) {
                own_counts.insert(own_count);
                if count?.item()? == 0.0 {
                    continue;
                }
            }
            values.push((parameter, average, self.parameter(parameter)?, self.parameter(average)?));
        }
        if values.is_empty() {
            return refused("its optimiser keeps none; Optimizer::moving_average makes one that does");
        }
        let is_shared = |name: &&String| name.rsplit('.').next() == Some(AVERAGED) && !own_counts.contains(*name);
        for count in names.iter().filter(is_shared) {
            if self.parameter(count)?.item()? == 0.0 {
                return refused("no update has gone into them yet");
            }
        }
        for (parameter, average, value, mean) in values {
            self.set_parameter(parameter, &mean)?;
            self.set_parameter(average, &value)?;
        }
        Ok(())
    }

    /// What `evaluate` makes of this session while its parameters have the values of their moving averages: see
    /// [`Session::swap_averages`]. They have their own again afterwards, also if it failed or panicked.
    ///
    /// ```
    /// use arenagrad::{Device, Graph, Init, Optimizer, Session, Sgd};
    ///
    /// let g = Graph::new();
    /// let w = g.parameter("w", [], Init::Constant(1.0));
    /// let mut session = Session::train(&g, w * 1.0, Sgd::new(0.5).moving_average(0.75), Device::cpu())?;
    /// session.step(&[])?; // w is 0.5, and so is the average
    /// session.step(&[])?; // w is 0
    /// let averaged = session.with_averages(|session| session.parameter("w"))?;
    /// assert_eq!(averaged.item()?, 0.375);
    /// assert_eq!(session.parameter("w")?.item()?, 0.0);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn with_averages<T>(&mut self, evaluate: impl FnOnce(&mut Session) -> Result<T, Error>) -> Result<T, Error> {
        with_averages(self, evaluate)
    }
}

impl Trainer<'_> {
    /// What `evaluate` makes of this trainer while its parameters have the values of their moving averages, which
    /// [`crate::Optimizer::moving_average`] keeps: metrics of the averaged network, its samples, its file. They have their own again afterwards, also if it failed or
    /// panicked.
    ///
    /// ```
    /// use arenagrad::nn::Linear;
    /// use arenagrad::{Device, Optimizer, Sgd, Tensor, Trainer};
    ///
    /// let layer = Linear::new("layer", 1, 1);
    /// let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1).moving_average(0.9), |inputs| {
    ///     (layer.apply(inputs.get("x")) - inputs.get("y")).square().mean(..)
    /// });
    /// let predict = trainer.add_evaluation(|inputs| vec![layer.apply(inputs.get("x"))]);
    /// let (x, y) = (Tensor::new([2, 1], vec![1.0f32, 2.0])?, Tensor::new([2, 1], vec![3.0f32, 6.0])?);
    /// for _ in 0..5 {
    ///     trainer.step(&[("x", &x), ("y", &y)])?;
    /// }
    /// let averaged = trainer.with_averages(|trainer| trainer.evaluate(predict, &[("x", &x)]))?;
    /// assert_ne!(averaged, trainer.evaluate(predict, &[("x", &x)])?);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    ///
    /// Errors: those of [`Session::swap_averages`], and of `evaluate`. It must not train: steps would go on from the averages, and these from the parameters.
    pub fn with_averages<T>(&mut self, evaluate: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        with_averages(self, evaluate)
    }
}

/// Who has a session whose parameters have averages.
trait HasSession {
    fn held(&mut self) -> &mut Session;
}

impl HasSession for Session {
    fn held(&mut self) -> &mut Session {
        self
    }
}

impl HasSession for Trainer<'_> {
    fn held(&mut self) -> &mut Session {
        self.session_mut()
    }
}

fn with_averages<H: HasSession, T>(
    holder: &mut H,
    evaluate: impl FnOnce(&mut H) -> Result<T, Error>,
) -> Result<T, Error> {
    // A parameter that is held narrower than its average gives it back rounded.
    let session = holder.held();
    let suffix = format!(".{AVERAGE}");
    let names = session.parameter_names().filter(|name| name.ends_with(&suffix)).map(str::to_owned);
    let names: Vec<String> = names.collect();
    let values = names.iter().map(|name| session.parameter(name)).collect::<Result<Vec<_>, _>>()?;
    session.swap_averages()?;
    let mut swapped = Swapped { holder, averages: names.into_iter().zip(values).collect(), is_back: false };
    let evaluated = evaluate(swapped.holder);
    swapped.put_back()?;
    evaluated
}

/// A session whose parameters have the values of their averages. They get their own back when it goes out of scope, on whatever way.
struct Swapped<'s, H: HasSession> {
    holder: &'s mut H,
    /// The averages, and what they were.
    averages: Vec<(String, Tensor)>,
    is_back: bool,
}

impl<H: HasSession> Swapped<'_, H> {
    fn put_back(&mut self) -> Result<(), Error> {
        self.is_back = true;
        let session = self.holder.held();
        session.swap_averages()?;
        self.averages.iter().try_for_each(|(name, value)| session.set_parameter(name, value))
    }
}

impl<H: HasSession> Drop for Swapped<'_, H> {
    fn drop(&mut self) {
        if !self.is_back {
            // A panic is on its way, which says more than an error of the device could.
            let _ = self.put_back();
        }
    }
}
