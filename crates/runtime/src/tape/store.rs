//! What a tape keeps on the device: the values of leaves that optimisers hold, their gradients, the optimisers' state, and the
//! plans that compute with them, all in one session.
//!
//! A *resident* is a place of its own on the device, found by its number, at which one value stands at a time. A plan reads and
//! writes residents where they are; everything else that it reads is written for the run, and what it computes stays in the plan's
//! own memory until the plan runs again.
//!
//! Invariants: a value that somebody holds is brought to the host before its place is taken; so no output of a plan is a resident's own buffer, which would change under it. When there are many plans, all
//! are forgotten with the session, and everything that is held comes to the host: a program whose shapes change each time does not
//! grow without bound.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};

use arenagrad_graph::{DType, Shape};

use crate::device::Device;
use crate::error::Error;
use crate::plan::Plan;
use crate::session::{PlanId, Session};
use crate::tape::value::{DevicePlace, Value};
use crate::tensor::Tensor;

/// How many plans are kept at a time.
const MAX_PLANS: usize = 64;

/// Parameters that nobody knows any more and that take less memory than this are not worth planning anew.
const LEAST_FORGOTTEN_BYTES: usize = 16 << 20;

/// Values and plans on the device.
pub(crate) struct Store {
    inside: RefCell<Inside>,
}

struct Inside {
    device: Device,
    session: Session,
    residents: Vec<Resident>,
    by_hash: HashMap<u64, Vec<Stored>>,
    plans: usize,
    /// Values of parameters that the session does not have yet, by their names there.
    waiting: HashMap<String, Tensor>,
    /// Those of its parameters that nobody knows any more, and how much memory they take.
    forgotten: HashSet<String>,
    forgotten_bytes: usize,
}

struct Resident {
    shape: Shape,
    dtype: DType,
    /// The value that stands there.
    current: Weak<Value>,
}

struct Stored {
    key: Vec<u64>,
    plan: PlanId,
    /// The values that its inputs hold: what did not change need not be copied again.
    written: Vec<Rc<Value>>,
    /// What it computed when it last ran.
    computed: Vec<Weak<Value>>,
}

/// What a plan reads for one of its inputs.
pub(crate) struct Given {
    pub(crate) value: Rc<Value>,
    /// The resident at which it is to stand; none if it is written for the run.
    pub(crate) resident: Option<u32>,
}

/// A plan that a store runs.
pub(crate) struct Run<'a> {
    pub(crate) hash: u64,
    pub(crate) key: &'a [u64],
    /// Its inputs, residents among them.
    pub(crate) given: &'a [Given],
    /// The residents that it gives new values.
    pub(crate) overwritten: &'a [u32],
}

/// Values of a plan, in the order of what was asked.
pub(crate) type Values = Vec<Rc<Value>>;

impl Store {
    pub(crate) fn new(device: &Device) -> Store {
        let session = Session::empty(device.clone());
        let (residents, by_hash, waiting, forgotten) = (Vec::new(), HashMap::new(), HashMap::new(), HashSet::new());
        let (device, plans, forgotten_bytes) = (device.clone(), 0, 0);
        let inside = Inside { device, session, residents, by_hash, plans, waiting, forgotten, forgotten_bytes };
        Store { inside: RefCell::new(inside) }
    }

    /// The number of a resident of that shape and dtype: `known`, if that is one.
    pub(crate) fn resident(&self, known: Option<u32>, shape: &Shape, dtype: DType) -> u32 {
        let mut inside = self.inside.borrow_mut();
        if let Some(number) = known {
            let Resident { shape: its, dtype: own, .. } = &inside.residents[number as usize];
            if its == shape && *own == dtype {
                return number;
            }
        }
        inside.residents.push(Resident { shape: shape.clone(), dtype, current: Weak::new() });
        inside.residents.len() as u32 - 1
    }

    /// Whether a value may stand at a resident.
    pub(crate) fn fits(&self, number: u32, value: &Value) -> bool {
        let resident = &self.inside.borrow().residents[number as usize];
        resident.shape == *value.shape() && resident.dtype == value.dtype()
    }

    /// How many plans there are.
    pub(crate) fn plans(&self) -> usize {
        self.inside.borrow().plans
    }

    /// What is on the device at a place.
    pub(crate) fn read(&self, place: DevicePlace) -> Result<Tensor, Error> {
        self.inside.borrow().read(place)
    }

    /// The time since which something in the arena may use a value that is at one of these residents and nowhere else; none if nothing
    /// does.
    pub(crate) fn used_since(&self, numbers: &[u32]) -> Option<usize> {
        let inside = self.inside.borrow();
        let values = numbers.iter().filter_map(|number| inside.residents[*number as usize].current.upgrade());
        values.filter(|value| !value.is_on_host()).filter_map(|value| value.used_since()).min()
    }

    /// Brings the value at a resident to the host, if somebody holds it.
    pub(crate) fn rescue(&self, number: u32) -> Result<(), Error> {
        self.inside.borrow().rescue(number)
    }

    /// A parameter of the session by its name there; none if there is none of that name.
    pub(crate) fn parameter(&self, name: &str) -> Result<Option<Tensor>, Error> {
        let inside = self.inside.borrow();
        if let Some(waiting) = inside.waiting.get(name) {
            return Ok(Some(waiting.clone()));
        }
        if inside.session.parameter_bytes(name).is_some() {
            return inside.session.parameter(name).map(Some);
        }
        Ok(None)
    }

    /// Sets a parameter of the session, which may not have it yet.
    pub(crate) fn set_parameter(&self, name: &str, value: Tensor) -> Result<(), Error> {
        let mut inside = self.inside.borrow_mut();
        if inside.session.parameter_bytes(name).is_some() {
            return inside.session.set_parameter(name, &value);
        }
        inside.waiting.insert(name.to_owned(), value);
        Ok(())
    }

    /// Has a parameter with that value from now on, whose storage type may be another than before: all plans are made anew.
    pub(crate) fn replace_parameter(&self, name: &str, value: Tensor) -> Result<(), Error> {
        let mut inside = self.inside.borrow_mut();
        if inside.session.parameter_bytes(name).is_some() {
            inside.renew()?;
        }
        inside.waiting.insert(name.to_owned(), value);
        Ok(())
    }

    /// Forgets the parameters of those names. Their memory is given back when plans are next made anew, which is soon if it is much.
    pub(crate) fn forget(&self, is_meant: impl Fn(&str) -> bool) {
        let mut inside = self.inside.borrow_mut();
        let Inside { session, waiting, forgotten, forgotten_bytes, .. } = &mut *inside;
        waiting.retain(|name, _| !is_meant(name));
        for name in session.parameter_names().filter(|name| is_meant(name)) {
            if forgotten.insert(name.to_owned()) {
                *forgotten_bytes += session.parameter_bytes(name).unwrap_or(0);
            }
        }
    }

    /// Runs the plan of that key, which `plan` makes if there is none. Its outputs are returned as values that stay where they are,
    /// and then what stands at each resident that was overwritten.
    ///
    /// Errors leave everything as it was.
    pub(crate) fn run(
        self: &Rc<Self>,
        run: &Run<'_>,
        plan: impl FnOnce() -> Result<Plan, Error>,
    ) -> Result<(Values, Values), Error> {
        let Run { hash, key, given, overwritten } = run;
        let mut inside = self.inside.borrow_mut();
        let known = inside.by_hash.get(hash).and_then(|same| same.iter().position(|stored| stored.key == *key));
        let position = match known {
            Some(position) => position,
            None => {
                let plan = plan()?;
                inside.add(*hash, key, plan)?
            }
        };
        inside.stand(given)?;
        let mut stored = inside.take(*hash, position);
        let result = inside.run_stored(&mut stored, given, overwritten);
        let plan = stored.plan;
        let outputs = match result {
            Ok(()) => inside.session.outputs(plan),
            Err(error) => {
                inside.put_back(*hash, position, stored);
                return Err(error);
            }
        };
        let values: Vec<Rc<Value>> = outputs
            .into_iter()
            .zip(0..)
            .map(|((shape, dtype), number)| Value::on_device(self, shape, dtype, DevicePlace::Output { plan, number }))
            .collect();
        stored.computed = values.iter().map(Rc::downgrade).collect();
        inside.put_back(*hash, position, stored);
        let residents = overwritten
            .iter()
            .map(|&number| {
                let resident = &mut inside.residents[number as usize];
                let place = DevicePlace::Resident(number);
                let value = Value::on_device(self, resident.shape.clone(), resident.dtype, place);
                resident.current = Rc::downgrade(&value);
                value
            })
            .collect();
        Ok((values, residents))
    }
}

/// The name of a resident among the parameters of the session and of its plans.
pub(crate) fn resident_name(number: u32) -> String {
    format!("({number})")
}

impl Inside {
    fn read(&self, place: DevicePlace) -> Result<Tensor, Error> {
        match place {
            DevicePlace::Output { plan, number } => self.session.output(plan, number),
            DevicePlace::Resident(number) => self.session.parameter(&resident_name(number)),
        }
    }

    fn rescue(&self, number: u32) -> Result<(), Error> {
        match self.residents[number as usize].current.upgrade() {
            Some(value) if !value.is_on_host() => {
                value.set_host(Rc::new(self.read(DevicePlace::Resident(number))?));
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Makes a plan ready, and says which of its hash it is.
    fn add(&mut self, hash: u64, key: &[u64], plan: Plan) -> Result<usize, Error> {
        if self.plans >= MAX_PLANS || self.forgotten_bytes >= LEAST_FORGOTTEN_BYTES {
            self.renew()?;
        }
        let names: Vec<String> = plan.declarations.iter().map(|declaration| declaration.name.clone()).collect();
        let plan = self.session.prepare(plan)?;
        for name in names {
            if let Some(value) = self.waiting.remove(&name) {
                self.session.set_parameter(&name, &value)?;
            }
        }
        self.plans += 1;
        let same = self.by_hash.entry(hash).or_default();
        same.push(Stored { key: key.to_vec(), plan, written: Vec::new(), computed: Vec::new() });
        Ok(same.len() - 1)
    }

    /// Begins anew with a session that has no plans. What is held comes to the host, and the state of optimisers waits for the plans
    /// that need it.
    fn renew(&mut self) -> Result<(), Error> {
        self.session.require_waiting("a tape that has made many plans")?;
        for (number, resident) in (0..).zip(&self.residents) {
            self.rescue(number)?;
            if let Some(value) = resident.current.upgrade() {
                value.set_place(None);
            }
        }
        for stored in self.by_hash.values().flatten() {
            self.fetch(stored)?;
        }
        let names: Vec<String> = self.session.parameter_names().map(str::to_owned).collect();
        for name in names.into_iter().filter(|name| !name.starts_with('(') && !self.forgotten.contains(name)) {
            let value = self.session.parameter(&name)?;
            self.waiting.insert(name, value);
        }
        self.by_hash.clear();
        (self.plans, self.forgotten_bytes) = (0, 0);
        self.forgotten.clear();
        self.session = Session::empty(self.device.clone());
        Ok(())
    }

    /// Brings to the host what somebody holds of what a plan computed.
    fn fetch(&self, stored: &Stored) -> Result<(), Error> {
        for value in stored.computed.iter().filter_map(Weak::upgrade) {
            let Some(place @ DevicePlace::Output { .. }) = value.place() else { continue };
            if !value.is_on_host() {
                value.set_host(Rc::new(self.read(place)?));
            }
            value.set_place(None);
        }
        Ok(())
    }

    /// Makes every value that is to stand at a resident stand there.
    fn stand(&mut self, given: &[Given]) -> Result<(), Error> {
        for Given { value, resident } in given {
            let Some(number) = *resident else { continue };
            if value.resident() == Some(number) {
                continue;
            }
            self.rescue(number)?;
            let tensor = match value.place() {
                Some(place) if !value.is_on_host() => Rc::new(self.read(place)?),
                Some(_) | None => value.tensor()?,
            };
            self.session.set_parameter(&resident_name(number), &tensor)?;
            value.set_host(tensor);
            let resident = &mut self.residents[number as usize];
            if let Some(earlier) = resident.current.upgrade() {
                earlier.set_place(None);
            }
            resident.current = Rc::downgrade(value);
            value.set_place(Some(DevicePlace::Resident(number)));
        }
        Ok(())
    }

    fn run_stored(&mut self, stored: &mut Stored, given: &[Given], overwritten: &[u32]) -> Result<(), Error> {
        self.fetch(stored)?;
        stored.computed.clear();
        let written: Vec<Rc<Value>> =
            given.iter().filter(|given| given.resident.is_none()).map(|given| given.value.clone()).collect();
        let mut tensors = Vec::with_capacity(written.len());
        for value in &written {
            tensors.push(match value.place() {
                Some(place) if !value.is_on_host() => {
                    let tensor = Rc::new(self.read(place)?);
                    value.set_host(tensor.clone());
                    tensor
                }
                Some(_) | None => value.tensor()?,
            });
        }
        let earlier = std::mem::take(&mut stored.written);
        let unchanged = |input: usize| earlier.get(input).is_some_and(|value| Rc::ptr_eq(value, &written[input]));
        self.session.run_unread(stored.plan, &tensors, unchanged)?;
        stored.written = written;
        for &number in overwritten {
            if let Some(value) = self.residents[number as usize].current.upgrade() {
                value.set_place(None);
            }
        }
        Ok(())
    }

    /// Takes a plan out for as long as it runs.
    fn take(&mut self, hash: u64, position: usize) -> Stored {
        let same = self.by_hash.get_mut(&hash).expect("a plan that was found or made");
        same.swap_remove(position)
    }

    fn put_back(&mut self, hash: u64, position: usize, stored: Stored) {
        let same = self.by_hash.entry(hash).or_default();
        same.push(stored);
        let last = same.len() - 1;
        same.swap(position, last);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use crate::{Adam, DType, Device, Sgd, Tape, TapeOptimizer, Tensor};

    /// What one plan computed is what another was given, and both are kept.
    #[test]
    fn a_store_goes_with_its_tape() {
        let tape = Tape::new(Device::cpu());
        let w = tape.leaf(1.0).requires_grad();
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1)).unwrap();
        let mut carried = tape.leaf(0.0);
        for _ in 0..3 {
            let next = &carried * 0.5 + &w;
            next.square().backward().unwrap();
            carried = next.detach();
            optimizer.step().unwrap();
            optimizer.zero_grad();
        }
        let (inner, store) = (Rc::downgrade(&tape.inner), Rc::downgrade(&tape.inner.store));
        drop((w, carried, optimizer, tape));
        assert!(inner.upgrade().is_none() && store.upgrade().is_none());
    }

    /// The state of an optimiser goes with it, soon where it takes much memory.
    #[test]
    fn an_optimiser_that_is_dropped_leaves_nothing() {
        for elements in [super::LEAST_FORGOTTEN_BYTES / 8, 2] {
            let tape = Tape::new(Device::cpu());
            let w = tape.leaf(Tensor::zeros([elements], DType::F32).unwrap()).requires_grad();
            let states = |prefix: &str| {
                let inside = tape.inner.store.inside.borrow();
                let known = inside.session.parameter_names().chain(inside.waiting.keys().map(String::as_str));
                known.filter(|name| name.starts_with(prefix)).count()
            };
            for number in 0..3 {
                let mut optimizer = TapeOptimizer::new(&tape, &[&w], Adam::new(0.1)).unwrap();
                optimizer.set_learning_rate(0.5).unwrap();
                (&w + 1.0).square().sum(..).backward().unwrap();
                optimizer.step().unwrap();
                optimizer.zero_grad();
                assert_eq!(states(&format!("optimiser {number}")), 4);
                let earlier = states("optimiser ") - 4;
                assert_eq!(earlier, if elements > 2 { 0 } else { 4 * number });
            }
            tape.inner.store.inside.borrow_mut().renew().unwrap();
            assert_eq!(states("optimiser "), 0);
            assert_eq!(w.data().unwrap().shape().elements(), elements);
        }
    }
}
