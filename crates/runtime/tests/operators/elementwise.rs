//! Functions of one element, or of corresponding elements.

use super::table::{float, operators};

operators! {
    "torch.atan2" (g, y = float(&[4, 5], -2.0, 2.0), x = float(&[5], 0.3, 2.0)) => y.atan2(x);
    "torch.tan" (g, x = float(&[4, 5], -1.2, 1.2)) => x.tan();
}
