//! Fourier transforms. A complex number is its real and its imaginary part.

use super::table::{float, operators};

operators! {
    "torch.fft.fft" (g, x = float(&[2, 12], -2.0, 2.0), y = float(&[2, 12], -2.0, 2.0)) => x.fft(y, -1);
    "torch.fft.fft(dim=0)" (g, x = float(&[5, 2], -2.0, 2.0), y = float(&[5, 2], -2.0, 2.0)) => x.fft(y, 0);
    "torch.fft.ifft" (g, x = float(&[3, 7], -2.0, 2.0), y = float(&[3, 7], -2.0, 2.0)) => x.ifft(y, -1);
    "torch.fft.fft(n=7)" (g, x = float(&[2, 5], -2.0, 2.0), y = float(&[2, 5], -2.0, 2.0)) =>
        x.pad([(0, 0), (0, 2)], 0.0).fft(y.pad([(0, 0), (0, 2)], 0.0), -1);
    "torch.fft.fft(norm='ortho')" (g, x = float(&[2, 4], -2.0, 2.0), y = float(&[2, 4], -2.0, 2.0)) => (x * 0.5).fft(y * 0.5, -1);
    "torch.fft.fft2" (g, x = float(&[3, 4, 5], -2.0, 2.0), y = float(&[3, 4, 5], -2.0, 2.0)) => {
        let (real, imaginary) = x.fft(y, -1);
        real.fft(imaginary, -2)
    };
    "torch.fft.rfft" (g, x = float(&[2, 70], -2.0, 2.0)) => x.rfft(-1);
    "torch.fft.rfft" (g, x = float(&[134], -2.0, 2.0)) => x.rfft(-1);
    "torch.fft.rfft2" (g, x = float(&[6, 4], -2.0, 2.0)) => {
        let (real, imaginary) = x.rfft(-1);
        real.fft(imaginary, -2)
    };
    "torch.fft.irfft2(s=(6, 4))" (g, x = float(&[6, 3], -2.0, 2.0), y = float(&[6, 3], -2.0, 2.0)) => {
        let (real, imaginary) = x.ifft(y, -2);
        real.irfft(imaginary, 4, -1)
    };
    "torch.fft.irfft" (g, x = float(&[2, 5], -2.0, 2.0), y = float(&[2, 5], -2.0, 2.0)) => x.irfft(y, 8, -1);
    "torch.fft.irfft(n=7)" (g, x = float(&[2, 5], -2.0, 2.0), y = float(&[2, 5], -2.0, 2.0)) => x.irfft(y, 7, -1);
    "torch.fft.fftshift" (g, x = float(&[3, 7], -2.0, 2.0)) => x.roll([3], [-1]);
    "torch.fft.ifftshift" (g, x = float(&[3, 7], -2.0, 2.0)) => x.roll([4], [-1]);
    "torch.fft.fftfreq(7)" (g, x = float(&[7], -2.0, 2.0)) => x + (g.arange(0.0, 7.0, 1.0, x.dtype().unwrap()) + 3.0).remainder(7.0) / 7.0 - 3.0 / 7.0;
    "torch.hann_window(7)" (g, x = float(&[7], -2.0, 2.0)) => x * g.hann_window(7, true, x.dtype().unwrap());
    "torch.hamming_window(7)" (g, x = float(&[7], -2.0, 2.0)) => x * g.hamming_window(7, true, x.dtype().unwrap());
    "torch.blackman_window(7)" (g, x = float(&[7], -2.0, 2.0)) => x * g.blackman_window(7, true, x.dtype().unwrap());
    "torch.stft(hop_length=3, window=w)" (g, x = float(&[2, 14], -2.0, 2.0), w = float(&[8], 0.5, 1.0)) => x.stft(w, 3, true);
    "torch.stft(hop_length=3, window=w, center=False)" (g, x = float(&[2, 14], -2.0, 2.0), w = float(&[8], 0.5, 1.0)) => x.stft(w, 3, false);
    "torch.istft(hop_length=2, window=w)" (g, x = float(&[5, 4], -2.0, 2.0), y = float(&[5, 4], -2.0, 2.0), w = float(&[8], 0.5, 1.0)) =>
        x.istft(y, w, 2, true, None);
}
