//! Parameters by name from and to other files than a session's own.

use std::borrow::Borrow;
use std::path::Path;

use arenagrad_graph::StorageType;

use crate::error::Error;
use crate::pending::Pending;
use crate::session::Session;
use crate::session::parameters::{Parameter, Place, Waiting};
use crate::tensor::Tensor;
use crate::weights::{LoadReport, METADATA, Need, Target, Weights, WeightsError, fitting};

impl Session {
    /// Gives the parameters and states of the network the values of the tensors of their names: weights that another library has
    /// trained, or a part of a network. What belongs to the training, such as the optimiser's moments, the learning rate and the count of steps, keeps
    /// its value; [`Session::load`] reads that too, from a file that a session wrote.
    ///
    /// Strict unless [`Weights::not_strict`] says otherwise: every parameter and state that a plan of this session needs must have a tensor, and
    /// every tensor a parameter. The counts of batches that batch norms keep may be missing, as in files of old. Parameters that the session knows and that no plan needs take a tensor that is there. Floats of any
    /// width are converted to what the parameter holds, rounded to nearest; integers to integers that hold them, and to floats that are
    /// equal to them. What was done is reported.
    ///
    /// A trainer's session has parameters once it is planned for a batch: [`Trainer::prepare`](crate::Trainer::prepare).
    ///
    /// Errors, after which nothing is changed: [`WeightsMismatch`](crate::weights::WeightsMismatch) with all that is missing, unused or of
    /// another shape; what cannot be converted or read; the first mistake of a transformation of the weights.
    ///
    /// ```
    /// use arenagrad::{Device, Graph, Init, Session, Tensor, Weights};
    ///
    /// let g = Graph::new();
    /// let (w, head) = (g.parameter("w", [2], Init::Constant(0.0)), g.parameter("head", [2], Init::Constant(3.0)));
    /// let mut session = Session::evaluate(&g, &[w * head], &Device::cpu())?;
    /// let weights = Weights::new().with("w", Tensor::new([2], vec![1.0f64, 2.0])?);
    /// let error = session.load_weights(&weights).unwrap_err();
    /// assert!(error.to_string().contains("missing are \"head\" [2]"));
    /// let report = session.load_weights(weights.not_strict())?;
    /// assert_eq!(report.missing, ["head"]);
    /// assert_eq!(session.run(&[])?[0].to_f64_vec(), [3.0, 6.0]);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn load_weights(&mut self, weights: impl Borrow<Weights>) -> Result<LoadReport, Error> {
        if self.parameters.len() == 0 {
            return Err(WeightsError::NoParameters.into());
        }
        let targets: Vec<Target<'_>> = self
            .parameters
            .iter()
            .map(|parameter| Target {
                name: &parameter.name,
                shape: &parameter.shape,
                storage: parameter.storage,
                need: match &parameter.place {
                    _ if parameter.is_training_state => Need::Kept,
                    Place::Device(_) => parameter.need(),
                    Place::Initial(_) | Place::Host(_) | Place::Unfit(_) => Need::Optional,
                },
            })
            .collect();
        let (values, report) = fitting(weights.borrow(), &targets)?;
        let taken: Vec<(String, Option<u32>, Tensor)> = self
            .parameters
            .iter()
            .zip(values)
            .filter_map(|(parameter, value)| Some((parameter.name.clone(), parameter.buffer(), value?)))
            .collect();
        for (name, buffer, value) in taken {
            self.put(&name, buffer, value)?;
        }
        // The others of a group may have read something else, or nothing.
        self.distrust();
        Ok(report)
    }

    /// The parameters and states of the network with their present values, each in the type that the device holds it in: what
    /// [`Weights::save`] writes for others to read. What belongs to the training is left out; [`Session::save`] writes that too.
    pub fn weights(&self) -> Result<Weights, Error> {
        self.values(|parameter| !parameter.is_training_state)
    }

    /// The type that the device holds a parameter in.
    pub(crate) fn storage_of(&self, name: &str) -> Result<StorageType, Error> {
        Ok(self.parameters.find(name)?.storage)
    }

    /// Notes that states belong to the training and not to the network.
    pub(crate) fn mark_training_state(&mut self, names: &[String]) {
        self.parameters.mark_training_state(names);
    }

    /// Everything that training goes on from, for a file of that path.
    pub(crate) fn whole_state(&self, path: &Path) -> Result<Weights, Error> {
        self.require_storable(path)?;
        let mut weights = self.values(|_| true)?;
        for parameter in self.parameters.iter().filter(|parameter| parameter.is_training_state) {
            weights.mark_training_state(&parameter.name);
        }
        // What was read for functions that are planned later.
        for (name, value, is_training_state) in self.waiting_values() {
            weights = weights.with(&name, value);
            if is_training_state {
                weights.mark_training_state(&name);
            }
        }
        Ok(weights)
    }

    /// [`Session::whole_state`], which will come: all values are read at once.
    pub(crate) fn whole_state_later(&self, path: &Path) -> Result<Pending<Weights>, Error> {
        self.require_storable(path)?;
        let is_there = |parameter: &&Parameter| !matches!(parameter.place, Place::Unfit(_));
        let known: Vec<&Parameter> = self.parameters.iter().filter(is_there).collect();
        let names: Vec<(String, bool)> =
            known.iter().map(|parameter| (parameter.name.clone(), parameter.is_training_state)).collect();
        let waiting: Vec<(String, Tensor, bool)> = self.waiting_values().collect();
        Ok(self.values_later(&known)?.then(|values| {
            let known = names.into_iter().zip(values).map(|((name, is_state), value)| (name, value, is_state));
            let mut weights = Weights::new();
            for (name, value, is_training_state) in known.chain(waiting) {
                weights = weights.with(&name, value);
                if is_training_state {
                    weights.mark_training_state(&name);
                }
            }
            Ok(weights)
        }))
    }

    /// The names and values that wait for parameters, and whether they belong to the training. What an earlier file could not give is not
    /// there to be written.
    fn waiting_values(&self) -> impl Iterator<Item = (String, Tensor, bool)> {
        self.parameters.waiting().filter_map(|(name, Waiting { value, is_training_state })| {
            Some((name.clone(), value.clone().ok()?, *is_training_state))
        })
    }

    /// Refuses a parameter whose name a file cannot hold.
    fn require_storable(&self, path: &Path) -> Result<(), Error> {
        let Some(parameter) = self.parameters.get(METADATA) else { return Ok(()) };
        let reason = format!(
            "the safetensors format reserves the name {METADATA:?}, which a parameter has at {}; rename it",
            parameter.origin
        );
        Err(Error::File { path: path.to_owned(), reason })
    }

    fn values(&self, is_wanted: impl Fn(&Parameter) -> bool) -> Result<Weights, Error> {
        self.memory.require_waiting("Session::weights")?;
        self.parameters
            .iter()
            // What an earlier file could not give is not there to be written.
            .filter(|parameter| is_wanted(parameter) && !matches!(parameter.place, Place::Unfit(_)))
            // One after the other, so that no more than one of them needs memory beside what is returned.
            .map(|parameter| Ok((parameter.name.as_str(), self.values_later(&[parameter])?.wait()?.remove(0))))
            .collect()
    }
}
