// Has the browser compile modules that tests/wgsl_for_browsers.rs has written: each to a module, whose messages are read, and to a pipeline
// with the layout that the runtime gives it.

/// What the browser has against the modules, a line for each that it refuses. `modules` is what the file holds, parsed; `told` is called now
/// and then with how many have been compiled.
export async function refusedModules(modules, told = () => {}) {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return ['the browser offers no adapter'];
  const device = await adapter.requestDevice();
  const refused = [];
  let lost;
  device.lost.then((info) => (lost = `the device was lost: ${info.message}`));
  for (const [number, [name, code, writable]] of modules.entries()) {
    if (lost) return [...refused, lost];
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    const errors = messages.filter((message) => message.type === 'error');
    for (const { lineNum, message } of errors) {
      refused.push(`${name}: line ${lineNum} (${code.split('\n')[lineNum - 1]?.trim()}): ${message}`);
    }
    if (errors.length === 0) {
      const types = ['uniform', ...writable.map((writes) => (writes ? 'storage' : 'read-only-storage'))];
      const entries = types.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }));
      const layout = device.createPipelineLayout({ bindGroupLayouts: [device.createBindGroupLayout({ entries })] });
      try {
        await device.createComputePipelineAsync({ layout, compute: { module, entryPoint: 'main' } });
      } catch (error) {
        refused.push(`${name}: no pipeline: ${error.message}`);
      }
    }
    if (number % 100 === 99) told(number + 1);
  }
  device.destroy();
  return refused;
}
