//! The option `--precision f32|bf16|f16`.

use arenagrad::{Half, Precision};

/// The precision that the value of the option names.
pub fn precision(parser: &mut lexopt::Parser) -> Result<Precision, lexopt::Error> {
    use lexopt::ValueExt;
    let value = parser.value()?.string()?;
    match value.as_str() {
        "f32" => Ok(Precision::full()),
        "bf16" => Ok(Precision::mixed(Half::Bf16)),
        "f16" => Ok(Precision::mixed(Half::F16)),
        other => Err(format!("no precision is called {other:?}; there are f32, bf16 and f16").into()),
    }
}
