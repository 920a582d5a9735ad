// A canvas to draw on, with mouse, finger, pen or keyboard. It knows ink, and no network.

const SIDE = 280;
/** The ink that is handed out has this many pixels a side. */
const INK_SIDE = 56;
const PEN = 20;

export class Drawing {
  /** Calls `changed` after each stroke and on the way. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.ink = document.createElement('canvas');
    this.ink.width = SIDE;
    this.ink.height = SIDE;
    this.pen = this.ink.getContext('2d', { willReadFrequently: true });
    this.view = canvas.getContext('2d');
    this.small = document.createElement('canvas');
    this.small.width = INK_SIDE;
    this.small.height = INK_SIDE;
    this.reader = this.small.getContext('2d', { willReadFrequently: true });
    this.cursor = { x: SIDE / 2, y: SIDE / 2, down: false, shown: false };
    this.last = null;
    canvas.addEventListener('pointerdown', (event) => this.begin(event));
    canvas.addEventListener('pointermove', (event) => this.go(event));
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) canvas.addEventListener(end, () => this.end());
    canvas.addEventListener('keydown', (event) => this.press(event));
    canvas.addEventListener('blur', () => { this.cursor.shown = false; this.cursor.down = false; this.show(); });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.show());
    this.show();
  }

  clear() {
    this.pen.clearRect(0, 0, SIDE, SIDE);
    this.cursor.down = false;
    this.show();
    this.changed();
  }

  /** Puts an image in the place of what is drawn: `side` x `side` pixels from 0 to 255. */
  put(pixels, side) {
    const image = new ImageData(side, side);
    pixels.forEach((pixel, place) => image.data.set([255, 255, 255, pixel], 4 * place));
    const source = document.createElement('canvas');
    source.width = side;
    source.height = side;
    source.getContext('2d').putImageData(image, 0, 0);
    this.pen.clearRect(0, 0, SIDE, SIDE);
    this.pen.drawImage(source, 0, 0, SIDE, SIDE);
    this.show();
    this.changed();
  }

  /** The ink, row by row, from 0 to 1, and how many pixels a side has. */
  read() {
    this.reader.clearRect(0, 0, INK_SIDE, INK_SIDE);
    this.reader.drawImage(this.ink, 0, 0, INK_SIDE, INK_SIDE);
    const { data } = this.reader.getImageData(0, 0, INK_SIDE, INK_SIDE);
    return { ink: Float32Array.from({ length: INK_SIDE * INK_SIDE }, (_, place) => data[4 * place + 3] / 255), side: INK_SIDE };
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) * SIDE) / box.width, y: ((event.clientY - box.top) * SIDE) / box.height };
  }

  begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor.shown = false;
    this.last = this.at(event);
    this.stroke(this.last, this.last);
  }

  go(event) {
    if (!this.last) return;
    // A fast hand moves several times between two events.
    for (const part of event.getCoalescedEvents?.() ?? [event]) {
      const here = this.at(part);
      this.stroke(this.last, here);
      this.last = here;
    }
  }

  end() {
    if (!this.last) return;
    this.last = null;
    this.changed();
  }

  press(event) {
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { cursor } = this;
    const from = { x: cursor.x, y: cursor.y };
    if (event.key in directions) {
      const [right, down] = directions[event.key];
      const far = event.shiftKey ? 4 : 12;
      cursor.x = Math.min(SIDE - PEN / 2, Math.max(PEN / 2, cursor.x + right * far));
      cursor.y = Math.min(SIDE - PEN / 2, Math.max(PEN / 2, cursor.y + down * far));
    } else if (event.key === ' ' || event.key === 'Enter') {
      cursor.down = !cursor.down;
    } else if (event.key === 'Escape' || event.key === 'Delete' || event.key === 'Backspace') {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    cursor.shown = true;
    if (cursor.down) this.stroke(from, cursor);
    else this.show();
  }

  stroke(from, to) {
    this.pen.strokeStyle = '#fff';
    this.pen.lineWidth = PEN;
    this.pen.lineCap = 'round';
    this.pen.lineJoin = 'round';
    this.pen.beginPath();
    this.pen.moveTo(from.x, from.y);
    this.pen.lineTo(to.x, to.y + 0.01);
    this.pen.stroke();
    this.show();
    this.changed();
  }

  show() {
    const style = getComputedStyle(this.canvas);
    const { view, cursor } = this;
    view.globalCompositeOperation = 'source-over';
    view.clearRect(0, 0, SIDE, SIDE);
    view.drawImage(this.ink, 0, 0);
    view.globalCompositeOperation = 'source-in';
    view.fillStyle = style.getPropertyValue('--chalk') || '#fff';
    view.fillRect(0, 0, SIDE, SIDE);
    view.globalCompositeOperation = 'source-over';
    if (!cursor.shown) return;
    // In the colour of chalk, which stands out from the board in either scheme; a lifted pen is a broken ring, a lowered one a whole ring.
    view.strokeStyle = style.getPropertyValue('--chalk') || '#fff';
    view.lineWidth = 2;
    view.setLineDash(cursor.down ? [] : [5, 4]);
    view.beginPath();
    view.arc(cursor.x, cursor.y, PEN / 2 + 2, 0, 2 * Math.PI);
    view.stroke();
    view.setLineDash([]);
  }
}
