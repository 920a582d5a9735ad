// One thing at a time: a training has one promise under way, and whoever asks while it is busy waits for his turn.

let last = Promise.resolve();

/** Calls `task` when everything that was asked for before is done. A promise of what it gives. */
export function exclusive(task) {
  const turn = last.then(task);
  last = turn.catch(() => {});
  return turn;
}

/** Lets the page paint and answer before the work goes on. */
export function breathe() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => { channel.port1.close(); resolve(); };
    channel.port2.postMessage(null);
  });
}
