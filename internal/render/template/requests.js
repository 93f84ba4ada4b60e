// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Counts what the page's scripts have asked for and have not got: by fetch, by XMLHttpRequest, by scripts, styles and frames that they add
// to a page that is loaded, from a worker, and by reading a file. quiet resolves once there is nothing of that kind, after at most so many milliseconds, to the addresses that are left.
(() => {
  const [realSetTimeout, realClearTimeout, clock] = [setTimeout.bind(window), clearTimeout.bind(window), performance.now.bind(performance)];
  const open = new Map(); // request → its address
  let wake = () => {};
  const begin = (url, patience = Infinity) => {
    const request = { until: clock() + patience };
    open.set(request, String(url));
    return () => {
      open.delete(request);
      wake();
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
  // A worker may have nothing to say.
  const workerPatience = 1000; // milliseconds
  for (const kind of ['Worker', 'SharedWorker']) {
    const RealWorker = window[kind];
    if (RealWorker === undefined) continue;
    window[kind] = class extends RealWorker {
      constructor(...args) {
        super(...args);
        const { port = this } = this;
        const { postMessage } = port;
        let end = () => {};
        const ask = () => {
          end();
          end = begin('a worker', workerPatience);
        };
        for (const [target, name] of [[port, 'message'], [port, 'messageerror'], [this, 'error']]) target.addEventListener(name, () => end());
        port.postMessage = (...message) => {
          ask();
          return postMessage.apply(port, message);
        };
        ask();
      }
    };
    Object.defineProperty(window[kind], 'name', { value: kind });
  }
  for (const name of ['readAsArrayBuffer', 'readAsBinaryString', 'readAsDataURL', 'readAsText']) {
    const read = FileReader.prototype[name];
    FileReader.prototype[name] = function (...args) {
      read.apply(this, args);
      this.addEventListener('loadend', begin('a file that the page reads'), { once: true });
    };
  }
  for (const name of ['arrayBuffer', 'bytes', 'text']) {
    const read = Blob.prototype[name];
    if (read !== undefined) Blob.prototype[name] = function () { return follow('a file that the page reads', read.call(this)); };
  }
  // The document's own load event waits for those that are there before.
  const loads = (element) => {
    if (element.localName === 'script') return element.src !== '' && /^(|module|(text|application)\/(java|ecma)script)$/i.test(element.type);
    if (element.localName === 'link') return element.relList.contains('stylesheet') && element.href !== '' && !element.disabled;
    return element.localName === 'iframe' && (element.hasAttribute('srcdoc') || /^(https?|data|blob):/.test(element.src));
  };
  new MutationObserver((records) => {
    if (document.readyState !== 'complete') return;
    for (const node of records.flatMap(({ addedNodes }) => [...addedNodes])) {
      if (!(node instanceof Element)) continue;
      for (const element of [node, ...node.querySelectorAll('script, link, iframe')].filter(loads)) {
        const end = begin(element.src || element.href || 'srcdoc');
        for (const name of ['load', 'error']) element.addEventListener(name, end, { once: true });
      }
    }
  }).observe(document, { subtree: true, childList: true });
  const quiet = async (milliseconds) => {
    const deadline = clock() + milliseconds;
    for (;;) {
      // Only for so long is anything of this kind waited for.
      const until = Math.min(deadline, Math.max(...[...open.keys()].map(({ until }) => until)));
      if (!(clock() < until)) break;
      let timer;
      await new Promise((resolve) => {
        wake = resolve;
        timer = realSetTimeout(resolve, until - clock());
      });
      realClearTimeout(timer);
      await new Promise((resolve) => realSetTimeout(resolve)); // the page may read the answer now, or ask again
    }
    return [...open.values()];
  };
  Object.defineProperty(window, Symbol.for('platen.requests'), { value: Object.freeze({ quiet }) });
})();
