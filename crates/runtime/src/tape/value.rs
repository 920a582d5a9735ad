//! Values of a tape: on the host, on the device, or on both.
//!
//! Invariants: a value never changes. What a plan leaves on the device stays there until the plan runs again, and is brought to the
//! host before that if somebody still holds it; so it is with a place that a later value takes.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use arenagrad_graph::{DType, Shape};

use crate::error::Error;
use crate::session::PlanId;
use crate::tape::store::Store;
use crate::tensor::Tensor;

/// A value.
pub(crate) struct Value {
    shape: Shape,
    dtype: DType,
    host: RefCell<Option<Rc<Tensor>>>,
    place: Cell<Option<DevicePlace>>,
    /// The time of the tape's arena since which something that stands there may use it; none if nothing does.
    used_since: Cell<Option<usize>>,
    /// Where the device's values are. Weakly, for a store holds values of what its plans were given; whoever has a value has a variable,
    /// which keeps the tape and with it the store.
    store: Weak<Store>,
}

/// Where on the device a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DevicePlace {
    /// What a plan computed when it last ran.
    Output { plan: PlanId, number: u32 },
    /// A place of its own, by its number.
    Resident(u32),
}

impl Value {
    /// A value on the host.
    pub(crate) fn new(tensor: Tensor) -> Rc<Value> {
        let (shape, dtype) = (tensor.shape().clone(), tensor.dtype());
        let host = RefCell::new(Some(Rc::new(tensor)));
        Rc::new(Value { shape, dtype, host, place: Cell::new(None), used_since: Cell::new(None), store: Weak::new() })
    }

    /// A value on the device of a store.
    pub(crate) fn on_device(store: &Rc<Store>, shape: Shape, dtype: DType, place: DevicePlace) -> Rc<Value> {
        let (host, store) = (RefCell::new(None), Rc::downgrade(store));
        Rc::new(Value { shape, dtype, host, place: Cell::new(Some(place)), used_since: Cell::new(None), store })
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// How much memory its elements take.
    pub(crate) fn bytes(&self) -> usize {
        self.shape.elements() * self.dtype.bytes()
    }

    /// The value on the host, brought there if it was not.
    pub(crate) fn tensor(&self) -> Result<Rc<Tensor>, Error> {
        if let Some(host) = &*self.host.borrow() {
            return Ok(host.clone());
        }
        let (Some(store), Some(place)) = (self.store.upgrade(), self.place.get()) else {
            // Whoever takes a place away asks first whether the value is needed.
            debug_assert!(false, "a value that is nowhere");
            return Err(Error::GraphReleased { variable: "a value".to_owned() });
        };
        let tensor = Rc::new(store.read(place)?);
        self.set_host(tensor.clone());
        Ok(tensor)
    }

    /// Whether it is on the host.
    pub(crate) fn is_on_host(&self) -> bool {
        self.host.borrow().is_some()
    }

    pub(crate) fn set_host(&self, tensor: Rc<Tensor>) {
        *self.host.borrow_mut() = Some(tensor);
    }

    /// Where on the device it is, if it is there.
    pub(crate) fn place(&self) -> Option<DevicePlace> {
        self.place.get()
    }

    /// The number of its own place on the device, if it has one.
    pub(crate) fn resident(&self) -> Option<u32> {
        match self.place.get() {
            Some(DevicePlace::Resident(number)) => Some(number),
            Some(DevicePlace::Output { .. }) | None => None,
        }
    }

    pub(crate) fn set_place(&self, place: Option<DevicePlace>) {
        self.place.set(place);
    }

    /// The time of the tape's arena, how many ordinals it had, since which something that stands there may use the value; none if nothing does.
    pub(crate) fn used_since(&self) -> Option<usize> {
        self.used_since.get()
    }

    /// Notes that the value stands in the arena from that time on.
    pub(crate) fn note_use(&self, time: usize) {
        self.used_since.set(Some(self.used_since.get().map_or(time, |earlier| earlier.min(time))));
    }

    /// Notes that it does not stand there.
    pub(crate) fn forget_uses(&self) {
        self.used_since.set(None);
    }
}
