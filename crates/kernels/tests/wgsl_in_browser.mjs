// Has the browser compile modules that tests/wgsl_for_browsers.rs has written: each to a module, whose messages are read, and to a pipeline
// with the layout that the runtime gives it.

/// How many are under way at a time.
const TOGETHER = 64;

/// What the browser has against the modules, a line for each mistake. `modules` is what the file holds, parsed; `told` is called now
/// and then with how many have been compiled. Pipelines take a driver far longer than modules take the browser: without `pipelines` none
/// are made.
export async function refusedModules(modules, told = () => {}, pipelines = true) {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return ['the browser offers no adapter'];
  const device = await adapter.requestDevice();
  let lost;
  device.lost.then((info) => (lost = `the device was lost: ${info.message}`));
  const refused = [];
  const compile = async ([name, code, writable]) => {
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    const errors = messages.filter((message) => message.type === 'error');
    for (const { lineNum, message } of errors) {
      refused.push(`${name}: line ${lineNum} (${code.split('\n')[lineNum - 1]?.trim()}): ${message}`);
    }
    if (errors.length > 0 || !pipelines) return;
    const types = ['uniform', ...writable.map((writes) => (writes ? 'storage' : 'read-only-storage'))];
    const entries = types.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }));
    const layout = device.createPipelineLayout({ bindGroupLayouts: [device.createBindGroupLayout({ entries })] });
    try {
      await device.createComputePipelineAsync({ layout, compute: { module, entryPoint: 'main' } });
    } catch (error) {
      refused.push(`${name}: no pipeline: ${error.message}`);
    }
  };
  for (let first = 0; first < modules.length && !lost; first += TOGETHER) {
    await Promise.all(modules.slice(first, first + TOGETHER).map(compile));
    told(Math.min(first + TOGETHER, modules.length));
  }
  if (lost) refused.push(lost);
  device.destroy();
  return refused;
}
