//! Whether products of f16 on a device are computed by cooperative matrices, which some graphics cards have units for.
//!
//! wgpu offers them as an experiment, and says which sizes and types an adapter has. What a driver makes of them is tried before it is relied
//! on, where f16 itself is: products of integers, whose sums f32 holds exactly in whatever order a unit adds them up, of matrices that lie in memory in
//! each way that a subgroup loads, with edges that no tile divides; and one of fractions, which must come as close as sums in f32 do. A device that fails
//! multiplies as others do, and says why.

use arenagrad_graph::F16;
use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, CooperativeMatrix};
use arenagrad_kernels::{Axes, Matrices};

use super::device::GpuDevice;
use super::half::product;
use super::subgroups;
use crate::device::CooperativeSupport;
use crate::error::Error;

/// With `never` as its value, no adapter is taken to have cooperative matrices; with `always` software adapters use theirs too, which show
/// that the kernels are right, not that they are fast.
const VARIABLE: &str = "ARENAGRAD_ADAPTER_COOPERATIVE";

/// What a device needs for them.
const FEATURES: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SUBGROUP).union(wgpu::Features::SHADER_F16);

/// Opens an adapter, with cooperative matrices where it has such as are used here; else comes why it has none.
pub(super) async fn open(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
    class: AdapterClass,
) -> Result<((wgpu::Device, wgpu::Queue), Result<CooperativeMatrix, String>), String> {
    let mut offered = wanted(std::env::var(VARIABLE).ok().as_deref(), class)?.and_then(|()| offered(adapter));
    if let Ok(matrix) = offered {
        let with = wgpu::DeviceDescriptor {
            required_features: descriptor.required_features | FEATURES,
            // SAFETY: what wgpu asks to be acknowledged is that its experiments may have faults. Of this one modules of this project alone
            // make use, and only after their results were tried.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            ..descriptor.clone()
        };
        match adapter.request_device(&with).await {
            Ok(opened) => return Ok((opened, Ok(matrix))),
            Err(error) => offered = Err(format!("the adapter does not open with them: {error}")),
        }
    }
    let opened = adapter.request_device(descriptor).await.map_err(|error| error.to_string())?;
    Ok((opened, offered))
}

/// Whether they are wanted on an adapter of that class, by what the environment says; the outer error is that it says nothing known.
fn wanted(setting: Option<&str>, class: AdapterClass) -> Result<Result<(), String>, String> {
    match (setting, class) {
        (None, AdapterClass::Gpu) | (Some("always"), _) => Ok(Ok(())),
        (None, AdapterClass::Cpu) => Ok(Err("a software adapter has no units for them".to_owned())),
        (Some("never"), _) => Ok(Err(format!("{VARIABLE} is \"never\""))),
        (Some(other), _) => Err(format!("{VARIABLE} is {other:?}, which is neither \"never\" nor \"always\"")),
    }
}

/// The matrices of an adapter that are used here: square ones of f16 with sums of f32, the larger first.
fn offered(adapter: &wgpu::Adapter) -> Result<CooperativeMatrix, String> {
    if !adapter.features().contains(FEATURES) {
        return Err("the adapter has no cooperative matrices of f16".to_owned());
    }
    let subgroup = subgroups::size(adapter)?;
    let limits = adapter.limits();
    let properties = adapter.cooperative_matrix_properties();
    let has = |side: u32| {
        properties.iter().any(|offered| {
            [offered.m_size, offered.n_size, offered.k_size] == [side; 3]
                && offered.ab_type == wgpu::CooperativeScalarType::F16
                && offered.cr_type == wgpu::CooperativeScalarType::F32
        })
    };
    let fits = |matrix: &CooperativeMatrix| {
        let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        matrix.most_invocations() <= most && matrix.most_bytes() <= limits.max_compute_workgroup_storage_size
    };
    let known = [16, 8].into_iter().filter(|&side| has(side)).map(|side| CooperativeMatrix { side, subgroup });
    let known: Vec<CooperativeMatrix> = known.collect();
    if known.is_empty() {
        return Err("none of its cooperative matrices is square, of f16, with sums of f32".to_owned());
    }
    known.into_iter().find(fits).ok_or_else(|| "its workgroups are too small for them".to_owned())
}

/// Tries out what the device offers, and what lowering must know then.
pub(super) fn find(device: &GpuDevice, plain: AdapterProfile) -> (CooperativeSupport, AdapterProfile) {
    let unused = |reason: String| (CooperativeSupport::Unused { reason }, plain);
    let matrix = match device.offered_matrices() {
        Ok(matrix) => matrix,
        Err(reason) => return unused(reason),
    };
    let profile = AdapterProfile { cooperative: Some(matrix), ..plain };
    let CooperativeMatrix { side, subgroup: _ } = matrix;
    match differing(device, &profile) {
        Ok(None) => (CooperativeSupport::Used { side }, profile),
        Ok(Some(what)) => unused(format!("its matrices of {side} x {side} were tried, and {what}")),
        Err(error) => unused(format!("a trial of its matrices of {side} x {side} failed: {error}")),
    }
}

/// What is tried: rows, depth and columns, which no tile divides; whether the columns of either operand lie side by side, and not its rows; and how
/// much wider apart those are than they are long. Four neighbours are loaded at once where four divides, and one by one elsewhere.
const TRIED: [([usize; 3], [bool; 2], usize); 4] = [
    ([150, 217, 101], [false, true], 3),
    ([150, 217, 101], [true, false], 0),
    ([148, 220, 100], [false, false], 0),
    ([148, 220, 100], [true, true], 4),
];

/// The first product that such a device computes otherwise than it is, and how.
fn differing(device: &GpuDevice, profile: &AdapterProfile) -> Result<Option<String>, Error> {
    // Sums of 220 products up to 256 x 256 are integers below 2^24, each of which f32 holds.
    let integers = |place: usize, of: usize| ((place * 7919 + of * 104_729) % 513) as f64 - 256.0;
    let fractions = |place: usize, of: usize| ((place * 7919 + of * 104_729) % 4099) as f64 / 2048.0 - 1.0;
    for ([m, k, n], columns_first, gap) in TRIED {
        let (lhs, rhs) = (matrix([m, k], columns_first[0], gap), matrix([k, n], columns_first[1], gap));
        for (name, values, tolerance) in [
            ("of integers", &integers as &dyn Fn(usize, usize) -> f64, 0.0),
            ("of fractions", &fractions, k as f64 / 8_388_608.0),
        ] {
            let operands = [(&lhs, 1), (&rhs, 2)].map(|(of, number)| {
                (0..of.view().end()).map(|place| F16::from_f64(values(place, number))).collect::<Vec<F16>>()
            });
            let exact =
                operands.each_ref().map(|of| of.iter().map(|value| f64::from(value.to_f32())).collect::<Vec<f64>>());
            let found = product(device, profile, [&lhs, &rhs], operands)?;
            assert_eq!(found.len(), m * n, "a run gives what was asked for");
            for (place, found) in found.into_iter().enumerate() {
                let terms = || {
                    let (row, column) = (place / n, place % n);
                    let [left, right] = [(columns_first[0], [m, k]), (columns_first[1], [k, n])];
                    let (exact, at) =
                        (&exact, move |of: (bool, [usize; 2]), row, column| index(of.1, of.0, gap, row, column));
                    (0..k).map(move |depth| exact[0][at(left, row, depth)] * exact[1][at(right, depth, column)])
                };
                let (expected, magnitude) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
                let is_near = (found - expected).abs() <= tolerance * magnitude;
                // NaN is not near.
                if !is_near {
                    return Ok(Some(format!("a product {name} has {found} for {expected}")));
                }
            }
        }
    }
    Ok(None)
}

/// Where the element of a row and a column of a matrix stands, whose lines, columns or rows, lie so far apart beside what they hold.
fn index([rows, columns]: [usize; 2], columns_first: bool, gap: usize, row: usize, column: usize) -> usize {
    if columns_first { column * (rows + gap) + row } else { row * (columns + gap) + column }
}

fn matrix([rows, columns]: [usize; 2], columns_first: bool, gap: usize) -> Matrices {
    let strides = if columns_first { [1, rows + gap] } else { [columns + gap, 1] };
    let [row, column] = strides.map(|stride| stride as isize);
    Matrices::single(0, Axes::strided(rows, row), Axes::strided(columns, column))
}

#[cfg(test)]
mod tests {
    use arenagrad_kernels::wgsl::AdapterClass;

    use super::super::nest_tests::device;
    use super::{differing, find, wanted};
    use crate::device::{CooperativeSupport, F16Support};

    #[test]
    fn what_is_relied_on_was_tried() {
        let Some(device) = device() else { return };
        if device.f16_support() != &F16Support::Native {
            assert!(matches!(device.cooperative_support(), CooperativeSupport::Unused { .. }));
            return;
        }
        let (support, profile) = find(&device, *device.profile());
        println!("{support}");
        assert_eq!(profile.cooperative.is_some(), matches!(support, CooperativeSupport::Used { .. }));
        assert_eq!(device.cooperative_support(), &support);
        // The plain kernels pass the trial on every adapter: it asks for nothing that only matrix units would give.
        assert_eq!(differing(&device, device.profile()).unwrap(), None);
    }

    #[test]
    fn a_setting_is_never_or_always() {
        assert_eq!(wanted(None, AdapterClass::Gpu), Ok(Ok(())));
        assert!(wanted(None, AdapterClass::Cpu).unwrap().is_err());
        assert!(wanted(Some("never"), AdapterClass::Gpu).unwrap().is_err());
        assert_eq!(wanted(Some("always"), AdapterClass::Cpu), Ok(Ok(())));
        assert!(wanted(Some("yes"), AdapterClass::Gpu).unwrap_err().contains("yes"));
    }
}
