//! Pipelines, compiled once for each module text and access pattern and shared by all sessions of a device.
//!
//! A pipeline's layout is explicit: the parameters as a uniform at binding 0, then storage buffers that the module
//! reads or also writes. So the bind groups of modules with the same access pattern look alike, and nothing is derived
//! from a module. Where the adapter lets it, a module goes to the driver as SPIR-V that forbids regrouping.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::device::GpuDevice;
use super::launch::Launch;
#[cfg(not(target_family = "wasm"))]
use super::spirv;
use crate::error::Error;

/// A module made ready, and the layout of its bind group.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub(super) compute: wgpu::ComputePipeline,
    pub(super) bindings: wgpu::BindGroupLayout,
}

/// What tells one pipeline from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    module: Arc<str>,
    /// The functions whose own arithmetic may be contracted.
    contracting: Vec<String>,
    /// For each storage buffer, whether the module writes it.
    writable: Box<[bool]>,
}

/// The pipelines of a device. Two threads that want the same one compile it once; different ones they compile side by
/// side.
#[derive(Default)]
pub(super) struct PipelineCache {
    slots: Mutex<HashMap<PipelineKey, Slot>>,
}

/// The place of one pipeline, empty until it is compiled.
type Slot = Arc<Mutex<Option<Pipeline>>>;

impl PipelineKey {
    pub(super) fn new(launch: &Launch) -> Self {
        PipelineKey {
            module: Arc::clone(&launch.module),
            contracting: launch.contracting.clone(),
            writable: launch.buffers.iter().map(|bound| bound.writable).collect(),
        }
    }
}

impl PipelineCache {
    /// The pipeline of that key, compiled now if it never was. Errors name `what`, and neither they nor the key are kept:
    /// a module that failed for want of memory may succeed later. A browser tells an error later: then the key is forgotten when it does.
    pub(super) fn get(
        &self,
        device: &GpuDevice,
        key: &PipelineKey,
        label: &str,
        what: &str,
    ) -> Result<Pipeline, Error> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key.clone()).or_default())
        };
        let compiled = {
            let mut compiled = slot.lock().unwrap_or_else(PoisonError::into_inner);
            match &*compiled {
                Some(pipeline) => Ok(pipeline.clone()),
                None => {
                    let (kept, forgotten) = (device.clone(), (key.clone(), Arc::clone(&slot)));
                    let forget = move || kept.pipelines().forget(&forgotten.0, &forgotten.1);
                    compile(device, key, label, what, forget).map(|pipeline| compiled.insert(pipeline).clone())
                }
            }
        };
        if compiled.is_err() {
            self.forget(key, &slot);
        }
        compiled
    }

    /// Forgets the key of a pipeline that cannot be used, unless something else has taken its place meanwhile.
    fn forget(&self, key: &PipelineKey, slot: &Slot) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.get(key).is_some_and(|kept| Arc::ptr_eq(kept, slot)) {
            slots.remove(key);
        }
    }

    /// How many pipelines have been asked for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Compiles a pipeline. `forget` is called if a browser refuses it after this has returned.
fn compile(
    device: &GpuDevice,
    key: &PipelineKey,
    label: &str,
    what: &str,
    forget: impl FnOnce() + 'static,
) -> Result<Pipeline, Error> {
    let limit = device.limits().max_storage_buffers_per_shader_stage as usize;
    if key.writable.len() > limit {
        return Err(Error::Unsupported {
            what: what.to_owned(),
            reason: format!("{label} needs {} storage buffers, past the {limit} that it allows", key.writable.len()),
        });
    }
    let entries: Vec<wgpu::BindGroupLayoutEntry> = std::iter::once(wgpu::BufferBindingType::Uniform)
        .chain(key.writable.iter().map(|&writable| wgpu::BufferBindingType::Storage { read_only: !writable }))
        .zip(0..)
        .map(|(ty, binding)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        })
        .collect();
    #[cfg(target_family = "wasm")]
    let spirv = None;
    #[cfg(not(target_family = "wasm"))]
    let spirv = match device.spirv() {
        Some(driver) => {
            let words = spirv::as_written(&key.module, &key.writable, &key.contracting, driver);
            Some(words.map_err(|reason| device.error(format!("{what}: {reason}")))?)
        }
        None => None,
    };
    let work = || {
        let wgpu = device.wgpu();
        let bindings =
            wgpu.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries });
        let layout = wgpu.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(label),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let module = module(device, key, label, spirv);
        let compute = wgpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(label),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            // Modules write workgroup memory before they read it.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: None,
        });
        Pipeline { compute, bindings }
    };
    device.scoped_until(what, 0, work, forget)
}

/// The module of that key: as SPIR-V where the device takes that, else as WGSL.
fn module(device: &GpuDevice, key: &PipelineKey, label: &str, spirv: Option<Vec<u32>>) -> wgpu::ShaderModule {
    let wgpu = device.wgpu();
    match spirv {
        Some(words) => {
            let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
                label: Some(label),
                entry_points: std::borrow::Cow::Borrowed(&[wgpu::PassthroughShaderEntryPoint {
                    name: std::borrow::Cow::Borrowed("main"),
                    workgroup_size: (1, 1, 1),
                }]),
                spirv: Some(std::borrow::Cow::Owned(words)),
                ..wgpu::ShaderModuleDescriptorPassthrough::default()
            };
            // SAFETY: naga has validated the module and translated it as wgpu would; decorations add no access. What
            // holds of unchecked WGSL below holds of it for the same reasons.
            unsafe { wgpu.create_shader_module_passthrough(descriptor) }
        }
        None => {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(label),
                source: wgpu::ShaderSource::Wgsl(std::borrow::Cow::Borrowed(&key.module)),
            };
            // SAFETY: modules come from this project's lowering alone, never from a caller. Each guards the positions
            // that it reads and writes by the extents among its parameters, which lie within the buffers that it is
            // bound to; its loops run up to such an extent and so end; and it divides integers by extents alone, none of
            // which is zero. The checks that wgpu would insert repeat this at every access, iteration and division.
            unsafe { wgpu.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        }
    }
}
