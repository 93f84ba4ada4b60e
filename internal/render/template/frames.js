// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Lets the renderer's scripts reach those in frames of another origin, which only messages reach. offer names a function that the document
// around may call; ask calls it in each such frame, with an argument, and resolves to the answers. A frame that does not answer is asked
// no more. It also keeps for them what the page's scripts and the renderer's replace: timers, and frame, which waits for the browser's next frame.
(() => {
  const key = 'platen.frames';
  for (const [name, own] of Object.entries({ setTimeout, clearTimeout, frame: requestAnimationFrame })) {
    Object.defineProperty(window, Symbol.for(`platen.${name}`), { value: own.bind(window) });
  }
  const [RealChannel, realSetTimeout, realClearTimeout] = [MessageChannel, setTimeout, clearTimeout];
  const patience = 10000; // milliseconds
  const frames = new Set();
  const silent = new WeakSet();
  const offers = new Map();
  addEventListener('message', (event) => {
    const message = event.data?.[key];
    if (message === undefined) return;
    event.stopImmediatePropagation();
    if (message === 'here') {
      if (!silent.has(event.source)) frames.add(event.source);
    } else if (event.source === parent && offers.has(message.call)) {
      const [port] = event.ports;
      (async () => port.postMessage(await offers.get(message.call)(message.argument)))();
    }
  }, true);
  const askOne = (frame, call, argument) => new Promise((resolve) => {
    const { port1, port2 } = new RealChannel();
    const timer = realSetTimeout.call(window, () => {
      frames.delete(frame);
      silent.add(frame);
      resolve(undefined);
    }, patience);
    port1.onmessage = ({ data }) => {
      realClearTimeout.call(window, timer);
      resolve(data);
    };
    frame.postMessage({ [key]: { call, argument } }, '*', [port2]);
  });
  const ask = async (call, argument) => (await Promise.all([...frames].filter((frame) => !frame.closed).map((frame) => askOne(frame, call, argument)))).filter((answer) => answer !== undefined);
  const offer = (name, answer) => offers.set(name, answer);
  Object.defineProperty(window, Symbol.for('platen.frames'), { value: Object.freeze({ ask, offer }) });
  let alone = parent !== window;
  try {
    alone &&= parent.document === undefined;
  } catch {
    // of another origin
  }
  if (alone) parent.postMessage({ [key]: 'here' }, '*');
})();
