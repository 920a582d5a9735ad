// The curve of losses and accuracies, drawn as SVG from whatever was recorded. It knows no training.

const MARGIN = { left: 46, right: 46, top: 8, bottom: 26 };
const SMOOTHED = 24;
/** More points than this are drawn as the mean of their neighbours. */
const POINTS = 500;

const line = (points) => points.map(([x, y], place) => `${place === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');

/** The losses with each the mean of those around and before it, thinned out to what a screen shows. */
function thinned(losses, count) {
  const size = Math.max(1, Math.ceil(losses.length / count));
  const points = [];
  for (let start = 0; start < losses.length; start += size) {
    const part = losses.slice(start, start + size);
    points.push([start + part.length / 2, part.reduce((sum, loss) => sum + loss, 0) / part.length]);
  }
  return points;
}

function smoothed(losses) {
  let mean = losses[0];
  return losses.map((loss, place) => {
    const weight = Math.min(place + 1, SMOOTHED);
    mean += (loss - mean) / weight;
    return mean;
  });
}

/** Powers of ten within a range, and twice and five times as much where there is room for them. */
function decades(least, most) {
  const within = (digits) => {
    const values = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power += 1) {
      values.push(...digits.map((digit) => digit * 10 ** power));
    }
    return values.filter((value) => value >= least * 0.999 && value <= most * 1.001);
  };
  const values = within([1, 2, 5]);
  return values.length > 6 ? within([1]) : values;
}

function round(steps) {
  const scale = 10 ** Math.floor(Math.log10(steps));
  return [1, 2, 5, 10].map((digit) => digit * scale).find((value) => value >= steps);
}

/**
 * Draws into an SVG element: `losses`, one a step, on a logarithmic axis at the left; `tests`, pairs of a number of steps and an accuracy from 0 to
 * 1, on an axis at the right that begins below the worst of them.
 */
export function draw(svg, losses, tests) {
  const width = svg.clientWidth || 640;
  const height = svg.clientHeight || 320;
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, height - MARGIN.bottom];
  const steps = Math.max(losses.length, 125);
  const x = (step) => left + ((right - left) * step) / steps;
  const positive = losses.filter((loss) => loss > 0);
  const least = Math.min(0.05, ...thinned(positive, 200).map(([, loss]) => loss));
  const most = Math.max(2.5, ...thinned(positive, 200).map(([, loss]) => loss));
  const loss = (value) => bottom - ((bottom - top) * (Math.log(Math.max(value, least)) - Math.log(least))) / (Math.log(most) - Math.log(least));
  const worst = Math.min(1, ...tests.map(([, value]) => value));
  const floor = tests.length === 0 ? 0 : [0.9, 0.8, 0.5, 0].find((value) => value <= worst);
  const accuracy = (value) => bottom - ((bottom - top) * (Math.max(value, floor) - floor)) / (1 - floor);

  const parts = [];
  for (const value of decades(least, most)) {
    const y = loss(value).toFixed(1);
    parts.push(`<path class="grid" d="M${left} ${y}H${right}"/><text x="${left - 8}" y="${y}" dy="0.35em" text-anchor="end">${value >= 0.01 ? Number(value.toPrecision(1)) : value.toExponential(0)}</text>`);
  }
  // 25, 10, 5 or 2 percent apart.
  const apartBy = floor === 0 || floor === 0.8 ? 4 : 5;
  for (let part = 0; part <= apartBy; part += 1) {
    const value = floor + ((1 - floor) * part) / apartBy;
    parts.push(`<text x="${right + 8}" y="${accuracy(value).toFixed(1)}" dy="0.35em">${Math.round(value * 100)} %</text>`);
  }
  const apart = round(steps / Math.max(2, Math.floor((right - left) / 110)));
  for (let step = 0; step <= steps; step += apart) {
    parts.push(`<text x="${x(step).toFixed(1)}" y="${bottom + 18}" text-anchor="middle">${step.toLocaleString('en')}</text>`);
  }
  if (losses.length > 0) {
    const curve = (values) => line(thinned(values, POINTS).map(([step, value]) => [x(step), loss(value)]));
    parts.push(`<path class="raw" d="${curve(losses)}"/><path class="smooth" d="${curve(smoothed(losses))}"/>`);
  }
  const seen = tests.map(([step, value]) => [x(step), accuracy(value)]);
  if (seen.length > 0) {
    parts.push(`<path class="accuracy" d="${line(seen)}"/>`);
    if (seen.length <= 60) parts.push(...seen.map(([cx, cy]) => `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="3.5"/>`));
  }
  svg.innerHTML = parts.join('');
  const last = tests.at(-1);
  svg.setAttribute('aria-label', losses.length === 0 ? 'No steps yet.'
    : `After ${losses.length} steps the loss is ${smoothed(losses).at(-1).toFixed(3)}${last ? ` and the test accuracy ${(last[1] * 100).toFixed(1)} percent` : ''}.`);
}
