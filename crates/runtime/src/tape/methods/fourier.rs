//! Fourier transforms of variables. A complex number is its real and its imaginary part.

use arenagrad_graph::{DType, Origin};

use crate::tape::{Tape, Variable};

crate::tape::methods::methods_of_several! {
    /// The Fourier transform along an axis.
    fft(imaginary; axis: isize) -> (0, 1);
    /// The inverse of the Fourier transform along an axis.
    ifft(imaginary; axis: isize) -> (0, 1);
    /// The first half of the Fourier transform of real numbers along an axis.
    rfft(; axis: isize) -> (0, 1);
    /// The spectra of windows that slide over a signal.
    stft(window; hop: usize, is_centered: bool) -> (0, 1);
}

methods! {
    /// The real numbers that have this as the first half of their Fourier transform.
    irfft(imaginary; n: usize, axis: isize);
    /// The signal that has these spectra of windows.
    istft(imaginary, window; hop: usize, is_centered: bool, length: Option<usize>);
}

/// Windows of constants.
macro_rules! windows {
    ($($(#[$doc:meta])* $method:ident;)*) => {
        impl Tape {$(
            $(#[$doc])*
            #[doc = concat!("See [`Graph::", stringify!($method), "`](crate::Graph::", stringify!($method), ").")]
            #[track_caller]
            pub fn $method(&self, n: usize, is_periodic: bool, dtype: DType) -> Variable {
                Variable::new(self.inner.record(stringify!($method), &[], Origin::here(), |graph, _| {
                    Ok(graph.$method(n, is_periodic, dtype))
                }))
            }
        )*}
    };
}
windows! {
    /// Hann's window.
    hann_window;
    /// Hamming's window.
    hamming_window;
    /// Blackman's window.
    blackman_window;
}
