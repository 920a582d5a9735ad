//! Activations.

use super::table::{float, operators};

operators! {
    "F.hardtanh" (g, x = float(&[4, 5], -2.0, 2.0)) => x.hardtanh(-1.0, 1.0);
    "F.relu6" (g, x = float(&[4, 5], -2.0, 8.0)) => x.relu6();
    "F.hardsigmoid" (g, x = float(&[4, 5], -4.0, 4.0)) => x.hardsigmoid();
    "F.hardswish" (g, x = float(&[4, 5], -4.0, 4.0)) => x.hardswish();
    "F.hardshrink" (g, x = float(&[4, 5], -2.0, 2.0)) => x.hardshrink(0.5);
    "F.softshrink" (g, x = float(&[4, 5], -2.0, 2.0)) => x.softshrink(0.5);
    "F.threshold" (g, x = float(&[4, 5], -2.0, 2.0)) => x.threshold(0.1, -3.0);
    "F.prelu" (g, x = float(&[2, 3, 4], -2.0, 2.0), weight = float(&[3], 0.1, 0.9)) => x.prelu(weight);
    "F.prelu" (g, x = float(&[5], -2.0, 2.0), weight = float(&[1], 0.1, 0.9)) => x.prelu(weight);
    "F.mish" (g, x = float(&[4, 5], -4.0, 4.0)) => x.mish();
    "F.selu" (g, x = float(&[4, 5], -2.0, 2.0)) => x.selu();
    "F.celu" (g, x = float(&[4, 5], -2.0, 2.0)) => x.celu(0.7);
    "F.softsign" (g, x = float(&[4, 5], -2.0, 2.0)) => x.softsign();
    "F.tanhshrink" (g, x = float(&[4, 5], -2.0, 2.0)) => x.tanhshrink();
    "F.logsigmoid" (g, x = float(&[4, 5], -4.0, 4.0)) => x.log_sigmoid();
    "F.glu" (g, x = float(&[3, 4, 2], -2.0, 2.0)) => x.glu(1);
    "F.softmin" (g, x = float(&[4, 5], -2.0, 2.0)) => x.softmin(-1);
    "F.normalize" (g, x = float(&[4, 5], -2.0, 2.0)) => x.normalize(2.0, 1, 1e-12);
    "F.normalize" (g, x = float(&[4, 5], 0.2, 2.0)) => x.normalize(-1.5, 0, 1e-12);
    "F.local_response_norm" (g, x = float(&[2, 5, 3, 2], -2.0, 2.0)) => x.local_response_norm(3, 0.5, 0.75, 1.0);
    "F.local_response_norm" (g, x = float(&[2, 3, 4], -2.0, 2.0)) => x.local_response_norm(4, 0.1, 1.5, 2.0);
}
