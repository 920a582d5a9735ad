//! Whether a Vulkan driver can be told to keep NaN, infinities and the sign of zero.
//!
//! Recent drivers take the decoration NoContraction for what it says and no more: sums stay apart, and `x - x` may still become 0. What keeps them from
//! that is a mode of the whole module, SignedZeroInfNanPreserve, which a module may have only where the driver offers it. wgpu does not ask, so it
//! is asked here, by the handles that wgpu has.

/// Whether modules for an adapter may say that special numbers are to be kept. Never elsewhere than through Vulkan.
#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(super) fn keep_special_numbers(adapter: &wgpu::Adapter) -> bool {
    use ash::vk;
    // SAFETY: the handles are used while the guard lives, to read properties; nothing is destroyed.
    let Some(vulkan) = (unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }) else { return false };
    let shared = vulkan.shared_instance();
    let (instance, physical) = (shared.raw_instance(), vulkan.raw_physical_device());
    if shared.instance_api_version() < vk::API_VERSION_1_1 {
        return false;
    }
    // SAFETY: wgpu made the instance and found the device in it.
    let properties = unsafe { instance.get_physical_device_properties(physical) };
    // Before 1.2 it is an extension, which wgpu does not enable.
    if properties.api_version < vk::API_VERSION_1_2 {
        return false;
    }
    let mut controls = vk::PhysicalDeviceFloatControlsProperties::default();
    let mut all = vk::PhysicalDeviceProperties2::default().push_next(&mut controls);
    // SAFETY: as above; the instance is of 1.1 at least, which has this call, and the device knows the structure.
    unsafe { instance.get_physical_device_properties2(physical, &mut all) };
    controls.shader_signed_zero_inf_nan_preserve_float32 == vk::TRUE
}

/// Whether modules for an adapter may say that special numbers are to be kept. Never elsewhere than through Vulkan.
#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(super) fn keep_special_numbers(_: &wgpu::Adapter) -> bool {
    false
}
