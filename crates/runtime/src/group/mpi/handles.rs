//! The two binary interfaces of MPI that are known.
//!
//! The standard says what functions do, and leaves to a library what its handles are. Open MPI's are addresses of objects that the library
//! exports under names; MPICH's are integers, fixed by the agreement on a common interface of 2013 (which MVAPICH and Intel's library share).

use std::ffi::{c_int, c_void};
use std::ptr;

use libloading::Library;

use super::LIBRARY_VARIABLE;
use crate::group::GroupError;

/// The handles that are needed. `H` is what a handle is, an address or an integer.
#[derive(Clone, Copy)]
pub(super) struct Handles<H> {
    pub(super) world: H,
    pub(super) errors_return: H,
    pub(super) sum: H,
    pub(super) float: H,
    pub(super) double: H,
    pub(super) int: H,
    pub(super) byte: H,
    /// What a request is that is over.
    pub(super) no_request: H,
    /// Where nobody wants a status.
    pub(super) ignore_status: *mut c_void,
}

// SAFETY: handles are names of objects of the library, which itself sees to who may use them; one thread makes all calls.
unsafe impl<H> Send for Handles<H> {}

/// Which interface a library of that version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interface {
    OpenMpi,
    Mpich,
}

/// What is known, for messages.
const KNOWN: &str = "Open MPI 4 and 5, MPICH 3 and 4";

impl Interface {
    /// The interface of the library that calls itself so. Errors: one that is not known.
    pub(super) fn of(path: &str, version: &str) -> Result<Interface, GroupError> {
        let major = |prefix: &str| {
            let rest = version.strip_prefix(prefix)?.trim_start();
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        };
        match (major("Open MPI v"), major("MPICH Version:")) {
            (Some(4 | 5), _) => Ok(Interface::OpenMpi),
            (_, Some(3 | 4)) => Ok(Interface::Mpich),
            (Some(_) | None, Some(_) | None) => {
                let version = version.lines().next().unwrap_or_default().to_owned();
                let (path, variable) = (path.to_owned(), LIBRARY_VARIABLE);
                Err(GroupError::UnknownLibrary { path, version, known: KNOWN, variable })
            }
        }
    }
}

impl Handles<*mut c_void> {
    /// Those of Open MPI: the addresses of what the library exports.
    pub(super) fn of_open_mpi(
        library: &Library,
        missing: &dyn Fn(&str, String) -> GroupError,
    ) -> Result<Self, GroupError> {
        let address = |name: &str| {
            // SAFETY: the symbol is a data object of the library; only its address is taken, and nothing is read through it here.
            let symbol = unsafe { library.get::<*mut c_void>(name.as_bytes()) };
            // A symbol of a pointer type is the symbol's own address, which is the handle.
            symbol.map(|symbol| *symbol).map_err(|error| missing(name, error.to_string()))
        };
        Ok(Handles {
            world: address("ompi_mpi_comm_world")?,
            errors_return: address("ompi_mpi_errors_return")?,
            sum: address("ompi_mpi_op_sum")?,
            float: address("ompi_mpi_float")?,
            double: address("ompi_mpi_double")?,
            int: address("ompi_mpi_int")?,
            byte: address("ompi_mpi_byte")?,
            no_request: address("ompi_request_null")?,
            ignore_status: ptr::null_mut(),
        })
    }
}

impl Handles<c_int> {
    /// Those of MPICH.
    pub(super) fn of_mpich() -> Self {
        Handles {
            world: 0x4400_0000,
            errors_return: 0x5400_0001,
            sum: 0x5800_0003,
            float: 0x4c00_040a,
            double: 0x4c00_080b,
            int: 0x4c00_0405,
            byte: 0x4c00_010d,
            no_request: 0x2c00_0000,
            ignore_status: ptr::without_provenance_mut(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Interface;

    #[test]
    fn versions_are_known_or_refused_by_name() {
        let of = |version: &str| Interface::of("libmpi.so", version);
        assert_eq!(of("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4"), Ok(Interface::OpenMpi));
        assert_eq!(of("Open MPI v5.0.7"), Ok(Interface::OpenMpi));
        assert_eq!(of("MPICH Version:      4.0.2\nMPICH Release date: ..."), Ok(Interface::Mpich));
        for unknown in ["Open MPI v3.1.6", "Open MPI v40.1", "MPICH Version: 5.0", "Intel(R) MPI Library 2021.9", ""] {
            let error = of(unknown).unwrap_err().to_string();
            assert!(error.contains(&format!("{unknown:?}")) && error.contains("Open MPI 4 and 5"), "{error}");
        }
    }
}
