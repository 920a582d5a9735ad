// The page: what its buttons do, and the loop that trains. All numbers come from the program in `arenagrad_web.js`.

import init, { Device, Digits, Training, memoryBytes, networkDrawing, networkTable, setAdapterVariable } from './arenagrad_web.js';
import { draw } from './curve.js';
import { Drawing } from './drawing.js';
import { breathe, exclusive } from './queue.js';

const TESTED = 2000;
const DRAWN_AT = 28;
/** How long a call may keep the tab, in milliseconds: less than a person notices. */
const PATIENCE = 45;
const MOST_TOGETHER = 16;

const by = (id) => document.getElementById(id);
const options = new URLSearchParams(location.search);
const seed = Number(options.get('seed') ?? 0);
const batch = Number(options.get('batch') ?? 64);

/** All that the page knows, also for whoever looks at it from the console. */
const page = { device: null, training: null, epochSteps: 0, testParts: 0, train: null, tests: null, running: false, losses: [], tested: [], saved: null, notes: [], memoryBytes };
globalThis.page = page;

function say(text, wrong = false) {
  by('status').textContent = text;
  by('status').classList.toggle('wrong', wrong);
  page.notes.push(text);
}

const words = (error) => (error instanceof Error ? error.message : String(error));

// ---- What is shown ------------------------------------------------------------------------------------------------------------

let drawnAt = 0;
function show(now = false) {
  if (!now && performance.now() - drawnAt < 120) return;
  drawnAt = performance.now();
  const { losses, tested, training } = page;
  const last = losses.slice(-24);
  by('step').textContent = losses.length.toLocaleString('en');
  by('epoch').textContent = training ? (losses.length / page.epochSteps).toFixed(1) : '0';
  by('loss').textContent = last.length > 0 ? (last.reduce((sum, loss) => sum + loss, 0) / last.length).toFixed(4) : '–';
  by('accuracy').textContent = tested.length > 0 ? `${(tested.at(-1)[1] * 100).toFixed(1)} %` : '–';
  draw(by('curve'), losses, tested);
}

function enable() {
  const ready = page.training !== null;
  for (const id of ['run', 'reset', 'example', 'save', 'load']) by(id).disabled = !ready;
  for (const choice of document.querySelectorAll('[name=device]')) choice.disabled = !ready;
  by('run').textContent = page.running ? 'Pause' : page.losses.length > 0 ? 'Go on' : 'Start';
}

// ---- Devices ------------------------------------------------------------------------------------------------------------------

/** Opens a device; where the GPU is refused, the CPU, and says so. */
async function open(kind) {
  let refused = null;
  if (kind === 'gpu') {
    try {
      page.device = await Device.openGpu();
    } catch (error) {
      refused = words(error);
    }
  }
  if (kind === 'cpu' || refused !== null) page.device = Device.openCpu();
  const used = refused === null ? kind : 'cpu';
  document.querySelector(`[name=device][value=${used}]`).checked = true;
  by('device-name').textContent = used === 'gpu' ? `WebGPU: ${page.device.name}` : 'CPU: one thread of WebAssembly';
  page.kind = used;
  return refused;
}

/** A training from its beginning on the device that is open. */
function begin() {
  const before = page.training;
  page.training = null;
  before?.free();
  page.training = new Training(page.device, page.train, page.tests, TESTED, batch, seed);
  // Asked once: a training that is busy answers nothing.
  page.epochSteps = page.training.stepsOfAnEpoch;
  page.testParts = page.training.testParts;
  page.losses = [];
  page.tested = [];
  page.saved = null;
}

/** Waits until the loop has stopped. */
async function pause() {
  page.running = false;
  await page.loop;
}

async function choose(kind) {
  await pause();
  const refused = await exclusive(async () => {
    const refused = await open(kind);
    begin();
    return refused;
  });
  say(refused === null ? 'Ready.' : `No WebGPU here, so the CPU trains (${refused}).`, refused !== null);
  await restart();
}

async function restart() {
  for (const id of ['plan', 'explanation']) by(id).open = false;
  by('speed').textContent = '–';
  enable();
  show(true);
  await recognise();
}

// ---- Training -----------------------------------------------------------------------------------------------------------------

/**
 * What `call` gives when its turn comes; null if the page has another training by then. Whoever asks a training more than once asks this way,
 * and looks after each wait whether it is still the page's: a GPU that fails is given up between two turns, and its training is freed.
 */
function inTurn(training, call) {
  return exclusive(() => (page.training === training ? call() : null));
}

/** Share and mean loss on the test images, part by part so that the tab stays awake; nothing if the training is given up meanwhile. */
async function test(training) {
  const sums = [0, 0, 0];
  for (let part = 0; part < page.testParts; part += 1) {
    const found = await inTurn(training, () => training.testPart(part));
    if (page.training !== training) return null;
    found.forEach((value, place) => { sums[place] += value; });
    await breathe();
  }
  const file = await inTurn(training, () => training.save());
  if (page.training !== training) return null;
  const [recognised, loss, images] = sums;
  const tested = [page.losses.length, recognised / images, loss / images];
  page.tested.push(tested);
  // What a GPU that gets lost takes with it.
  page.saved = { steps: page.losses.length, file };
  return tested;
}

/** Goes on with a training until it is paused, or given up. */
async function train(training) {
  const half = Math.ceil(page.epochSteps / 2);
  let together = 1;
  let since = performance.now();
  let images = 0;
  while (page.running && page.training === training) {
    const left = half - (page.losses.length % half);
    const count = Math.min(together, left);
    const started = performance.now();
    const losses = await inTurn(training, () => training.steps(count));
    if (page.training !== training) return;
    page.losses.push(...losses);
    images += count * batch;
    const each = (performance.now() - started) / count;
    together = Math.max(1, Math.min(MOST_TOGETHER, Math.round(PATIENCE / each)));
    if (performance.now() - since > 700) {
      by('speed').textContent = Math.round((images / (performance.now() - since)) * 1000).toLocaleString('en');
      since = performance.now();
      images = 0;
    }
    if (left === count) {
      const tested = await test(training);
      if (tested === null) return;
      const [steps, accuracy] = tested;
      say(`After ${steps.toLocaleString('en')} steps it reads ${(accuracy * 100).toFixed(1)} % of the test images.`);
      since = performance.now();
      images = 0;
    }
    show();
    recogniseSoon();
    await breathe();
  }
}

/** Trains until it is paused. */
async function run() {
  const { training } = page;
  page.running = true;
  enable();
  say('Training …');
  try {
    await train(training);
    // Whoever has given the GPU up meanwhile has said so.
    if (page.training === training) say('Paused.');
  } catch (error) {
    page.running = false;
    await failed(error);
  }
  enable();
  show(true);
}

// ---- What goes wrong ----------------------------------------------------------------------------------------------------------

/** What a button does, or whatever else is asked for, with an end to what goes wrong on the way. */
function handled(task) {
  return async (...given) => {
    try {
      await task(...given);
    } catch (error) {
      await failed(error);
    }
  };
}

/** Says what went wrong, `where` it did. A GPU that fails is given up, and the CPU goes on from the parameters that were kept last. */
async function failed(error, where = '') {
  console.warn(error);
  if (error?.name !== 'GpuError') {
    say(`${where}${words(error)}`, true);
    enable();
    return;
  }
  // One that is given up already may still be told of by what was under way on it.
  if (page.kind !== 'gpu') return;
  page.running = false;
  rescuing ??= rescue(words(error)).finally(() => { rescuing = null; });
  try {
    await rescuing;
  } catch (worse) {
    say(words(worse), true);
    enable();
  }
}

let rescuing = null;
async function rescue(reason) {
  const { saved } = page;
  await exclusive(async () => {
    await open('cpu');
    begin();
    if (saved) await page.training.load(saved.file);
  });
  const from = saved ? `from the parameters of step ${saved.steps.toLocaleString('en')}` : 'from the beginning';
  say(`WebGPU failed, so the CPU goes on ${from} when you start it (${reason}).`, true);
  await restart();
}

// ---- The drawing --------------------------------------------------------------------------------------------------------------

const rows = Array.from({ length: 10 }, (_, digit) => {
  const row = document.createElement('li');
  row.innerHTML = `<span>${digit}</span><span class="bar"><i></i></span><span class="percent">–</span>`;
  by('probabilities').append(row);
  return row;
});

function showProbabilities(probabilities) {
  const best = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
  rows.forEach((row, digit) => {
    const share = probabilities ? probabilities[digit] : 0;
    row.classList.toggle('best', digit === best);
    row.querySelector('i').style.setProperty('--p', share.toFixed(4));
    row.querySelector('.percent').textContent = probabilities ? `${(share * 100).toFixed(1)} %` : '–';
  });
  return best;
}

/** The image that the network was shown, 28 x 28 pixels from 0 to 1; nothing clears it. */
function showSeen(pixels) {
  const image = new ImageData(DRAWN_AT, DRAWN_AT);
  pixels?.forEach((pixel, place) => image.data.set([251, 246, 233, Math.round(255 * pixel)], 4 * place));
  by('seen').getContext('2d').putImageData(image, 0, 0);
}

let truth = null;
async function recognise() {
  if (!page.training) return;
  const { ink, side } = drawing.read();
  const found = await exclusive(() => page.training.recognise(ink, side));
  const best = showProbabilities(found ? [...found.slice(0, 10)] : null);
  showSeen(found?.slice(10));
  const known = truth === null ? '' : ` It is a ${truth}.`;
  const verdict = found ? `Looks like a ${best}.${known}` : 'Draw a digit from 0 to 9.';
  if (by('verdict').textContent !== verdict) by('verdict').textContent = verdict;
}

let due = false;
let recognisedAt = 0;
/** Recognises the drawing before long, and no more often than a person sees. */
function recogniseSoon() {
  if (due) return;
  due = true;
  setTimeout(handled(async () => {
    due = false;
    recognisedAt = performance.now();
    await recognise();
  }), Math.max(0, 200 - (performance.now() - recognisedAt)));
}

const drawing = new Drawing(by('canvas'), recogniseSoon);

let nextExample = 0;
function example() {
  // Far apart in the file, so that the digits are of many hands.
  const place = (nextExample * 1237 + 611) % page.tests.length;
  nextExample += 1;
  drawing.put(page.tests.pixels(place), DRAWN_AT);
  truth = page.tests.label(place);
}

// ---- Files --------------------------------------------------------------------------------------------------------------------

async function save() {
  const file = await exclusive(() => page.training.save());
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([file], { type: 'application/octet-stream' }));
  link.download = 'digits.safetensors';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say(`Saved ${file.length.toLocaleString('en')} bytes to digits.safetensors.`);
}

async function load(file) {
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    let training = null;
    const report = await exclusive(() => {
      training = page.training;
      return training.load(bytes);
    });
    const tested = await test(training);
    if (tested === null) return;
    say(`${report.trim().split('\n')[0]} It reads ${(tested[1] * 100).toFixed(1)} % of the test images.`);
    show(true);
    await recognise();
  } catch (error) {
    await failed(error, `${file.name}: `);
  }
}

// ---- Beginning ----------------------------------------------------------------------------------------------------------------

/** A file beside the page, unpacked. */
async function unpacked(name) {
  const response = await fetch(`data/${name}.gz`);
  if (!response.ok) throw new Error(`${name}.gz: ${response.status} ${response.statusText}`);
  const stream = response.body.pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function digits(which) {
  const files = await Promise.all(['images-idx3-ubyte', 'labels-idx1-ubyte'].map((part) => unpacked(`${which}-${part}`)));
  return () => new Digits(...files);
}

function listen() {
  by('run').addEventListener('click', () => {
    // Until the steps under way have come, there is nothing to be started.
    if (page.running) {
      page.running = false;
      by('run').disabled = true;
    } else page.loop = run();
  });
  by('reset').addEventListener('click', handled(async () => {
    await pause();
    await exclusive(async () => begin());
    say('The network is as it was at first.');
    await restart();
  }));
  for (const choice of document.querySelectorAll('[name=device]')) choice.addEventListener('change', handled(() => choose(choice.value)));
  by('clear').addEventListener('click', () => { truth = null; drawing.clear(); });
  by('canvas').addEventListener('pointerdown', () => { truth = null; });
  by('canvas').addEventListener('keydown', () => { truth = null; });
  by('example').addEventListener('click', handled(async () => example()));
  by('save').addEventListener('click', handled(save));
  by('load').addEventListener('click', () => by('file').click());
  by('file').addEventListener('change', handled(async () => {
    const [file] = by('file').files;
    by('file').value = '';
    if (file) await load(file);
  }));
  for (const [id, text] of [['plan', () => page.training.plan()], ['explanation', () => page.training.explanation()]]) {
    by(id).addEventListener('toggle', handled(async () => {
      if (by(id).open && page.training) by(id).querySelector('pre').textContent = await exclusive(async () => text());
    }));
  }
  new ResizeObserver(() => show(true)).observe(by('curve'));
}

async function start() {
  showProbabilities(null);
  show(true);
  listen();
  try {
    const [, train, tests] = await Promise.all([init(), digits('train'), digits('t10k')]);
    // For tests: a software adapter may be taken for a GPU, and gets the kernels of one.
    if (options.has('class')) setAdapterVariable('ARENAGRAD_ADAPTER_CLASS', options.get('class'));
    page.train = train();
    page.tests = tests();
    by('network-drawing').innerHTML = networkDrawing(batch);
    by('network-table').textContent = networkTable(batch);
    await choose(options.get('device') === 'cpu' ? 'cpu' : 'gpu');
  } catch (error) {
    console.error(error);
    say(words(error), true);
  }
}

start();
