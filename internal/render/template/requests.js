// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Counts what the page's scripts have asked servers for, with fetch or XMLHttpRequest, and have no answer to. quiet resolves once there is
// nothing of that kind, after at most so many milliseconds, to the addresses that are left.
(() => {
  const [realSetTimeout, realClearTimeout, clock] = [setTimeout.bind(window), clearTimeout.bind(window), performance.now.bind(performance)];
  const open = new Map(); // request → its address
  let wake = () => {};
  const begin = (url) => {
    const request = {};
    open.set(request, String(url));
    return () => {
      open.delete(request);
      if (open.size === 0) wake();
    };
  };
  const follow = (url, promise) => {
    const end = begin(url);
    return promise.then((value) => { end(); return value; }, (error) => { end(); throw error; });
  };
  const realFetch = window.fetch;
  window.fetch = function fetch(input, options) { return follow(input?.url ?? input, realFetch.call(this, input, options)); };
  for (const name of ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text']) {
    const read = Response.prototype[name];
    if (read !== undefined) Response.prototype[name] = function () { return follow(this.url, read.call(this)); };
  }
  const addresses = new WeakMap();
  const { open: realOpen, send: realSend } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (...args) {
    addresses.set(this, args[1]);
    return realOpen.apply(this, args);
  };
  XMLHttpRequest.prototype.send = function (...args) {
    const end = begin(addresses.get(this));
    this.addEventListener('loadend', end, { once: true });
    try {
      return realSend.apply(this, args);
    } catch (error) {
      end();
      throw error;
    }
  };
  const quiet = async (milliseconds) => {
    const deadline = clock() + milliseconds;
    while (open.size > 0 && clock() < deadline) {
      let timer;
      await new Promise((resolve) => {
        wake = resolve;
        timer = realSetTimeout(resolve, deadline - clock());
      });
      realClearTimeout(timer);
      await new Promise((resolve) => realSetTimeout(resolve)); // the page may read the answer now, or ask again
    }
    return [...open.values()];
  };
  Object.defineProperty(window, Symbol.for('platen.requests'), { value: Object.freeze({ quiet }) });
})();
