//! Integers.

use super::table::{integer, operators, truth};

operators! {
    "torch.bitwise_and" (g, x = integer(&[4, 5], -900, 900), y = integer(&[5], -900, 900)) => x.bitwise_and(y);
    "torch.bitwise_or" (g, x = integer(&[4, 5], -900, 900), y = integer(&[5], -900, 900)) => x.bitwise_or(y);
    "torch.bitwise_xor" (g, x = integer(&[4, 5], -900, 900), y = integer(&[5], -900, 900)) => x ^ y;
    "torch.bitwise_xor (bool)" (g, x = truth(&[4, 5]), y = truth(&[5])) => x ^ y;
    "torch.bitwise_not" (g, x = integer(&[4, 5], -900, 900)) => x.bitwise_not();
    "torch.bitwise_left_shift" (g, x = integer(&[4, 50], -90000, 90000), y = integer(&[50], -3, 36)) => x << y;
    "torch.bitwise_right_shift" (g, x = integer(&[4, 50], -90000, 90000), y = integer(&[50], -3, 36)) => x >> y;
    "torch.matmul (int)" (g, x = integer(&[3, 5, 40], -90000, 90000), y = integer(&[40, 7], -90000, 90000)) => x.matmul(y);
    "torch.mv (int)" (g, x = integer(&[5, 8], -90, 90), y = integer(&[8], -90, 90)) => x.matmul(y);
}
