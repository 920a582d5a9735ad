//! Units of updates brought into the order of the places that they go to.

use super::{Scatter, declare_read_index};
use crate::units::Units;
use crate::wgsl::module::{Grid, Module, WORKGROUP};
use crate::wgsl::radix::{self, Order};
use crate::wgsl::{Lowered, Resource};

impl Scatter<'_> {
    /// Finds the place of each unit.
    pub(super) fn keys(&self, units: &Units, target: Order, lowered: &mut Lowered) {
        let mut module = Module::default();
        module.parameter("units", units.units());
        module.parameter("places", units.places());
        module.parameter("count", units.count);
        module.parameter("inner", units.inner);
        module.parameter("extent", units.extent);
        module.bind(Resource::Input(1), false, "indices", "i32");
        module.bind(target.keys, true, "keys", "u32");
        module.bind(target.order, true, "order", "u32");
        declare_read_index(&mut module, units);
        let grid = Grid { count: units.units(), each: WORKGROUP, operations: 8, iterations: 0 };
        let skeleton = include_str!("../../../shaders/scatter_keys.wgsl");
        module.dispatch(skeleton, "scatter_keys", grid, self.profile, lowered);
    }

    /// Sorts by the keys, between the two orders; gives the one that is sorted at last.
    pub(super) fn sort(&self, units: &Units, orders: [Order; 2], lowered: &mut Lowered) -> Order {
        // Keys reach up to the number of places itself.
        let bits = usize::BITS - units.places().leading_zeros();
        radix::sort(units.units(), bits, orders, self.profile, lowered)
    }
}
