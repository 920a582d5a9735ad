//! Fourier transforms. A complex number is its real and its imaginary part.

use super::table::{float, operators};

operators! {
    "torch.fft.fft" (g, x = float(&[2, 12], -2.0, 2.0), y = float(&[2, 12], -2.0, 2.0)) => x.fft(y, -1);
    "torch.fft.fft(dim=0)" (g, x = float(&[5, 2], -2.0, 2.0), y = float(&[5, 2], -2.0, 2.0)) => x.fft(y, 0);
    "torch.fft.ifft" (g, x = float(&[3, 7], -2.0, 2.0), y = float(&[3, 7], -2.0, 2.0)) => x.ifft(y, -1);
    "torch.fft.rfft" (g, x = float(&[2, 70], -2.0, 2.0)) => x.rfft(-1);
    "torch.fft.irfft" (g, x = float(&[2, 5], -2.0, 2.0), y = float(&[2, 5], -2.0, 2.0)) => x.irfft(y, 8, -1);
    "torch.fft.irfft(n=7)" (g, x = float(&[2, 5], -2.0, 2.0), y = float(&[2, 5], -2.0, 2.0)) => x.irfft(y, 7, -1);
    "torch.fft.fftshift" (g, x = float(&[3, 7], -2.0, 2.0)) => x.roll([3], [-1]);
    "torch.stft(hop_length=3, window=w)" (g, x = float(&[2, 14], -2.0, 2.0), w = float(&[8], 0.5, 1.0)) => x.stft(w, 3, true);
    "torch.stft(hop_length=3, window=w, center=False)" (g, x = float(&[2, 14], -2.0, 2.0), w = float(&[8], 0.5, 1.0)) => x.stft(w, 3, false);
    "torch.istft(hop_length=2, window=w)" (g, x = float(&[5, 4], -2.0, 2.0), y = float(&[5, 4], -2.0, 2.0), w = float(&[8], 0.5, 1.0)) =>
        x.istft(y, w, 2, true, None);
}
