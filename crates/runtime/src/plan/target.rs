//! What a plan has to know of the device that it is for.
//!
//! It holds numbers and choices alone, so that a plan for any device can be made and read on any machine.

use arenagrad_graph::passes::{ChannelOrder, ConvolutionForms, Depthwise};

use crate::plan::bytes::ElementBytes;

/// How many storage buffers one kernel binds on a GPU: what every wgpu adapter offers. Most offer more; on the software adapter that was
/// measured, kernels of more buffers were no faster than the ones that they replaced.
pub const GPU_BINDINGS: usize = 8;

/// How many buffers one kernel reads and writes on the CPU, which has no limit of its own. A kernel computes no more values than a few
/// dozen, so more buffers are hardly ever at hand.
pub const CPU_BINDINGS: usize = 48;

/// What a plan has to know of the device that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// How many bytes elements take there.
    pub(crate) element_bytes: ElementBytes,
    /// How many buffers one kernel may use.
    pub(crate) bindings: usize,
    /// Whether statistics of channels are one kernel, channel by channel, and not one each in the order of the elements.
    pub(crate) gathers_channels: bool,
    /// Whether products pad their operands where they can.
    pub(crate) pads_operands: bool,
    /// What convolutions are there.
    pub(crate) convolutions: ConvolutionForms,
}

impl Target {
    /// The CPU.
    pub(crate) const CPU: Target = Target {
        element_bytes: ElementBytes::Packed,
        bindings: CPU_BINDINGS,
        gathers_channels: true,
        pads_operands: true,
        convolutions: ConvolutionForms::new(Depthwise::Products, ChannelOrder::Apart),
    };

    /// Any adapter.
    #[cfg(feature = "gpu")]
    pub(crate) const GPU: Target = Target {
        element_bytes: ElementBytes::Words,
        bindings: GPU_BINDINGS,
        gathers_channels: false,
        pads_operands: false,
        convolutions: ConvolutionForms::new(Depthwise::Sums, ChannelOrder::Apart),
    };

    /// An adapter that is a processor: it loads lane by lane, a vector as fast as an element.
    #[cfg(feature = "gpu")]
    pub(crate) const SOFTWARE_ADAPTER: Target =
        Target { convolutions: ConvolutionForms::new(Depthwise::Sums, ChannelOrder::Fours), ..Target::GPU };
}

/// A device that has no more than any other.
impl Default for Target {
    fn default() -> Self {
        Target {
            element_bytes: ElementBytes::default(),
            bindings: GPU_BINDINGS,
            gathers_channels: false,
            pads_operands: false,
            convolutions: ConvolutionForms::new(Depthwise::Sums, ChannelOrder::Apart),
        }
    }
}
