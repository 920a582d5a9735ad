//! Functions of one element, or of corresponding elements.

use super::table::{float, integer, operators};

operators! {
    "torch.atan2" (g, y = float(&[4, 5], -2.0, 2.0), x = float(&[5], 0.3, 2.0)) => y.atan2(x);
    "torch.tan" (g, x = float(&[4, 5], -1.2, 1.2)) => x.tan();
    "torch.atan" (g, x = float(&[4, 5], -2.0, 2.0)) => x.atan();
    "torch.asin" (g, x = float(&[4, 5], -0.9, 0.9)) => x.asin();
    "torch.acos" (g, x = float(&[4, 5], -0.9, 0.9)) => x.acos();
    "torch.sinh" (g, x = float(&[4, 5], -2.0, 2.0)) => x.sinh();
    "torch.cosh" (g, x = float(&[4, 5], -2.0, 2.0)) => x.cosh();
    "torch.asinh" (g, x = float(&[4, 5], -2.0, 2.0)) => x.asinh();
    "torch.acosh" (g, x = float(&[4, 5], 1.2, 4.0)) => x.acosh();
    "torch.atanh" (g, x = float(&[4, 5], -0.9, 0.9)) => x.atanh();
    "torch.log2" (g, x = float(&[4, 5], 0.3, 3.0)) => x.log2();
    "torch.log10" (g, x = float(&[4, 5], 0.3, 3.0)) => x.log10();
    "torch.exp2" (g, x = float(&[4, 5], -2.0, 2.0)) => x.exp2();
    "torch.floor" (g, x = float(&[4, 5], -2.0, 2.0)) => x.floor();
    "torch.ceil" (g, x = float(&[4, 5], -2.0, 2.0)) => x.ceil();
    "torch.trunc" (g, x = float(&[4, 5], -2.0, 2.0)) => x.trunc();
    "torch.frac" (g, x = float(&[4, 5], -2.0, 2.0)) => x.frac();
    "torch.erfc" (g, x = float(&[4, 5], -2.0, 2.0)) => x.erfc();
    "torch.special.erfcx" (g, x = float(&[4, 5], -2.0, 2.0)) => x.erfcx();
    "torch.special.erfcx" (g, x = float(&[4, 5], 7.5, 40.0)) => x.erfcx();
    "torch.erfinv" (g, x = float(&[4, 5], -0.9, 0.9)) => x.erfinv();
    "torch.lgamma" (g, x = float(&[4, 5], 0.3, 4.0)) => x.lgamma();
    "torch.lgamma" (g, x = float(&[4], -1.8, -1.3)) => x.lgamma();
    "torch.digamma" (g, x = float(&[4, 5], 0.5, 4.0)) => x.digamma();
    "torch.polygamma(1, x)" (g, x = float(&[4, 5], 0.7, 4.0)) => x.trigamma();
    "torch.polygamma(1, x)" (g, x = float(&[4], -1.7, -1.3)) => x.trigamma();
    "torch.fmod" (g, x = float(&[3, 4], 2.1, 2.9), y = float(&[4], 0.75, 1.0)) => x.fmod(y);
    "torch.fmod" (g, x = integer(&[3, 4], -9, 9), y = integer(&[4], 1, 5)) => x.fmod(y);
    "torch.remainder" (g, x = float(&[3, 4], 2.1, 2.9), y = float(&[4], -1.0, -0.75)) => x.remainder(y);
    "torch.remainder" (g, x = integer(&[3, 4], -9, 9), y = integer(&[4], -5, -1)) => x.remainder(y);
    "torch.floor_divide" (g, x = float(&[3, 4], 2.1, 2.9), y = float(&[4], -1.0, -0.75)) => x.floor_divide(y);
    "torch.floor_divide" (g, x = integer(&[3, 4], -9, 9), y = integer(&[4], -5, 5)) => x.floor_divide(y);
    "torch.copysign" (g, x = float(&[3, 4], -2.0, 2.0), y = float(&[4], -2.0, 2.0)) => x.copysign(y);
    "torch.hypot" (g, x = float(&[3, 4], -2.0, 2.0), y = float(&[4], 0.3, 2.0)) => x.hypot(y);
    "torch.lerp" (g, x = float(&[3, 4], -2.0, 2.0), y = float(&[4], -2.0, 2.0), w = float(&[3, 1], 0.0, 0.4)) => x.lerp(y, w);
    "torch.lerp" (g, x = float(&[3, 4], -2.0, 2.0), y = float(&[4], -2.0, 2.0)) => x.lerp(y, 0.75);
    "torch.sinc" (g, x = float(&[4, 5], -2.0, 2.0)) => x.sinc();
    "torch.xlogy" (g, x = float(&[4, 5], -2.0, 2.0), y = float(&[5], 0.4, 2.0)) => x.xlogy(y);
    "torch.logit" (g, x = float(&[4, 5], 0.1, 0.9)) => x.logit(None);
    "torch.logit" (g, x = float(&[4, 5], 0.02, 0.98)) => x.logit(Some(0.05));
    "torch.nan_to_num(posinf=3)" (g, x = float(&[4, 5], -2.0, 2.0)) => x.nan_to_num(None, Some(3.0), None);
    "torch.isnan" (g, x = float(&[5], -1.0, 1.0)) => (x / x.floor()).log().isnan();
    "torch.isinf" (g, x = float(&[5], -1.0, 1.0)) => (x / x.floor()).isinf();
    "torch.isfinite" (g, x = float(&[5], -1.0, 1.0)) => (x / x.floor()).isfinite();
    "torch.logaddexp" (g, x = float(&[4, 5], -2.0, 2.0), y = float(&[5], -2.0, 2.0)) => x.logaddexp(y);
    "torch.logaddexp2" (g, x = float(&[4, 5], -2.0, 2.0), y = float(&[5], -2.0, 2.0)) => x.logaddexp2(y);
    "torch.special.ndtr" (g, x = float(&[4, 5], -3.0, 3.0)) => x.ndtr();
    "torch.special.log_ndtr" (g, x = float(&[4, 5], -5.0, 3.0)) => x.log_ndtr();
    "torch.addcmul" (g, x = float(&[3, 4], -2.0, 2.0), a = float(&[3, 1], -2.0, 2.0), b = float(&[4], -2.0, 2.0)) => x + a * b * 0.5;
    "torch.addcdiv" (g, x = float(&[3, 4], -2.0, 2.0), a = float(&[3, 1], -2.0, 2.0), b = float(&[4], 0.5, 2.0)) => x + a / b * 0.5;
    "torch.clamp_max" (g, x = float(&[3, 4], -2.0, 2.0)) => x.clamp(None, Some(0.7));
    "torch.clamp_min" (g, x = float(&[3, 4], -2.0, 2.0), y = float(&[4], -0.5, 0.5)) => x.maximum(y);
    "torch.rsub" (g, x = float(&[3, 4], -2.0, 2.0)) => 1.0 - x * 2.0;
}
