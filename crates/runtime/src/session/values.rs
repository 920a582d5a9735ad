//! The values of a session's parameters and states: read, set, and written to files and read from them.

use std::path::Path;

use arenagrad_graph::{Shape, StorageType};

use crate::error::{Error, Given};
use crate::session::Session;
use crate::session::parameters::Place;
use crate::tensor::Tensor;
use crate::train::{LEARNING_RATE, Wanted, read_parameters};
use crate::weights::Need;

impl Session {
    /// The names of all parameters and states of the session's graphs, in the order of their declarations.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|parameter| parameter.name.as_str())
    }

    /// The names of the parameters that are declared to be trained.
    pub fn trainable_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|parameter| parameter.trainable).map(|parameter| parameter.name.as_str())
    }

    /// The shape and the storage type of a parameter or state, also of one whose value waits for it.
    pub(crate) fn described(&self, name: &str) -> Option<(Shape, StorageType)> {
        match self.parameters.get(name) {
            Some(parameter) => Some((parameter.shape.clone(), parameter.storage)),
            None => {
                let value = self.parameters.waiting_for(name)?.ok()?;
                Some((value.shape().clone(), value.storage()))
            }
        }
    }

    /// The present value of a parameter or state, in its dtype: f32 also where the device holds it narrower.
    pub fn parameter(&self, name: &str) -> Result<Tensor, Error> {
        self.memory.require_waiting("Session::parameter")?;
        self.parameter_async(name).wait()
    }

    /// Sets a parameter or state to a tensor of its shape and dtype, which is rounded to the type that the device holds it in. A tensor
    /// that holds such elements itself is taken as it is. Its elements may be infinite or NaN, but for the
    /// optimiser's own scalars, the learning rate and the count of updates, which must be usable.
    pub fn set_parameter(&mut self, name: &str, value: &Tensor) -> Result<(), Error> {
        let parameter = self.parameters.find(name)?;
        self.parameters.check(parameter, value, Given::Argument)?;
        let (buffer, storage) = (parameter.buffer(), parameter.storage);
        match buffer {
            Some(buffer) => self.memory.write(buffer, storage, value.data())?,
            None => self.parameters.set_place(name, Place::Host(value.cast(storage))),
        }
        self.parameters.note_given(name);
        Ok(())
    }

    /// Sets the learning rate of the optimisers of this crate, from the next step on: a finite number, 0 or more, that the
    /// dtype of the parameters holds.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        if !self.set_learning_rate_under("", rate)? {
            self.parameters.find(LEARNING_RATE)?;
        }
        Ok(())
    }

    /// Writes all parameters and states to a file in the safetensors format, each in the type that the device holds it in: the learning rate and the count of steps among
    /// them, so that training goes on from there as if it had not been interrupted.
    ///
    /// The file appears whole or not at all, also if several write it at once: readers find the old content or the new. A
    /// symbolic link is followed, and the permissions of a file that is replaced are kept.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.whole_state(path.as_ref())?.save(path)
    }

    /// Reads parameters and states from a file in the safetensors format, such as [`Session::save`] writes.
    ///
    /// Those that a plan of this session needs must all be there, with their shapes and dtypes. Others that the session knows
    /// are taken if they are there; should they not fit, that is an error only once a plan needs them. What else the file
    /// holds is ignored. A tensor of F16 or BF16 may be loaded into any parameter of dtype f32, and one of F32 into a parameter that is
    /// held narrower: widened, which is exact, or rounded to nearest with ties to even, to the type that the parameter was declared with
    /// ([`graph::StorageType`](crate::graph::StorageType)). Integers of any width up to 64 bits may be loaded where values are of i32, if they
    /// fit i32; of those a parameter that is held in 8 bits keeps the lowest. Elements may be infinite or NaN, as [`Session::set_parameter`] has it.
    ///
    /// A trainer's session does not know all its parameters yet: what else the file holds waits there until a function declares a
    /// parameter of its name, and is converted and checked then ([`Session::waiting_names`]); so is one of a type that there are no tensors of.
    /// Until the first step, parameters that are trained and that a plan needs must be in the file.
    ///
    /// To begin with a part of a model, load its file into a session that evaluates that part, and hand its parameters over
    /// by [`Session::set_parameter`].
    ///
    /// Errors: a file that cannot be read, is cut off or of another format; a tensor that is missing, or of another shape or
    /// dtype. Nothing is changed then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let wanted: Vec<Wanted<'_>> = self
            .parameters
            .iter()
            .map(|parameter| Wanted {
                name: &parameter.name,
                shape: &parameter.shape,
                storage: parameter.storage,
                required: matches!(parameter.place, Place::Device(_)) && parameter.need() == Need::Required,
            })
            .collect();
        let found = read_parameters(path, &wanted)?;
        let later = self.values_for_later(path)?;
        let mut taken = Vec::with_capacity(found.len());
        for (parameter, found) in self.parameters.iter().zip(found) {
            let Some(found) = found else { continue };
            let given = Given::File(path.to_owned());
            let checked = found.and_then(|value| self.parameters.check(parameter, &value, given).map(|()| value));
            let place = match (&parameter.place, checked) {
                (Place::Device(buffer), value) => (Some(*buffer), Place::Host(value?)),
                (Place::Initial(_) | Place::Host(_) | Place::Unfit(_), Ok(value)) => (None, Place::Host(value)),
                (Place::Initial(_) | Place::Host(_) | Place::Unfit(_), Err(error)) => (None, Place::Unfit(error)),
            };
            taken.push((parameter.name.clone(), place));
        }
        for (name, (buffer, place)) in taken {
            match (buffer, &place) {
                // The value was brought to the parameter's type as it was read.
                (Some(buffer), Place::Host(value)) => self.memory.write(buffer, value.storage(), value.data())?,
                (Some(_) | None, _) => self.parameters.set_place(&name, place),
            }
            self.parameters.note_given(&name);
        }
        if let Some(later) = later {
            self.parameters.set_waiting(later.values, Given::File(path.to_owned()));
            self.parameters.note_file(path, later.names);
        }
        self.distrust();
        Ok(())
    }
}
