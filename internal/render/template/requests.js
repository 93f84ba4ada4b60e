// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Counts what the page's scripts have asked for and have not got: by fetch, by XMLHttpRequest, by scripts, styles, pictures and frames that they add
// to a page that is loaded or load into it, from a worker or a stream of events, by reading a file, and what the browser does beside the scripts, such as decoding a picture.
// quiet resolves once there is nothing of that kind, after at most so many milliseconds, to the addresses that are left; goesOn says that the page has
// something else to do. hurry loads what is lazy. forget leaves out what the renderer's scripts have just changed.
(() => {
  const [realSetTimeout, realClearTimeout, clock] = [setTimeout.bind(window), clearTimeout.bind(window), performance.now.bind(performance)];
  const open = new Map(); // request → its address
  let wake = () => {};
  const begin = (url, patience = Infinity, brief = patience) => {
    const request = { until: clock() + patience, brief: clock() + brief };
    open.set(request, String(url));
    return () => {
      open.delete(request);
      wake();
    };
  };
  const follow = (url, promise, patience) => {
    const end = begin(url, patience);
    return promise.then((value) => { end(); return value; }, (error) => { end(); throw error; });
  };
  const realFetch = window.fetch;
  window.fetch = function fetch(input, options) { return follow(input?.url ?? input, realFetch.call(this, input, options)); };
  // The browser keeps quiet about what is no JSON if nobody handles it, because no script has thrown the error.
  const RealSyntaxError = SyntaxError;
  const tell = (error) => { throw error instanceof RealSyntaxError ? new RealSyntaxError(error.message) : error; };
  for (const name of ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text']) {
    const read = Response.prototype[name];
    if (read !== undefined) Response.prototype[name] = function () { return made.has(this) ? read.call(this) : follow(this.url, read.call(this)).catch(tell); };
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
  // A frame of another origin has no way to the page's warnings.
  const warn = (title, details) => {
    try {
      top[Symbol.for('platen.warn')]?.(title, details);
    } catch {
      // of another origin
    }
  };
  // A worker may have nothing to say. It answers on its own port, or on one that it has got or has sent.
  const workerPatience = 1000; // milliseconds
  const silentPatience = 50; // for one that has had nothing to say for so long, such as one that draws, unless the page does nothing else any more
  const talks = new WeakMap(); // port → what is waited for
  const others = new WeakMap(); // port → the other one of its channel
  // listen hears an answer before the page does, which may ask again then.
  const listen = (port) => {
    port.addEventListener('message', ({ ports }) => {
      const talk = talks.get(port);
      talk?.end();
      if (talk) for (const sent of ports) converse(sent, talk);
    });
    port.addEventListener('messageerror', () => talks.get(port)?.end());
  };
  const converse = (port, talk) => {
    if (talks.has(port)) return;
    talks.set(port, talk);
    if (!others.has(port)) listen(port);
    const { postMessage } = port;
    port.postMessage = (message, options) => {
      const ports = [...options?.[Symbol.iterator] ? options : options?.transfer ?? []].map((sent) => others.get(sent)).filter(Boolean);
      const sent = postMessage.call(port, message, options);
      for (const other of ports) converse(other, talk);
      talk.ask();
      return sent;
    };
  };
  const RealChannel = MessageChannel;
  window.MessageChannel = class MessageChannel extends RealChannel {
    constructor() {
      super();
      others.set(this.port1, this.port2);
      others.set(this.port2, this.port1);
      listen(this.port1);
      listen(this.port2);
    }
  };
  // A worker's random numbers are repeatable too, its canvases have the colours of files, and its animation frames do not wait for the browser's: with a
  // canvas that it draws, each would wait for the other.
  const inWorker = () => {
    let seed = 0x9e3779b9;
    Math.random = () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    crypto.getRandomValues = (array) => {
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (let i = 0; i < bytes.length; i++) bytes[i] = Math.random() * 256;
      return array;
    };
    crypto.randomUUID = () => {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      [bytes[6], bytes[8]] = [bytes[6] & 15 | 64, bytes[8] & 63 | 128];
      return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    };
    const { getContext } = OffscreenCanvas.prototype;
    OffscreenCanvas.prototype.getContext = function (kind, options) { return getContext.call(this, kind, options?.colorSpace === undefined ? options : { ...options, colorSpace: 'srgb' }); };
    const { setTimeout: wait, clearTimeout: clear, performance: clock } = self;
    self.requestAnimationFrame = (callback) => wait.call(self, () => callback(clock.now()), 1000 / 60);
    self.cancelAnimationFrame = (id) => clear.call(self, id);
  };
  const { createObjectURL } = URL;
  // prepared returns the address of a worker's script that begins with inWorker.
  const prepared = (url) => {
    const first = `(${String(inWorker).replace(/\n\s*/g, ' ')})();`; // in the first line: the numbers of lines stay
    const blob = window[Symbol.for('platen.blobs')]?.get(url);
    if (blob !== undefined) return createObjectURL.call(URL, new Blob([first, blob], { type: blob.type }));
    const [, head, base64, code] = url.match(/^(data:[^,]*?)(;base64)?,(.*)$/is) ?? [];
    if (head === undefined) return url;
    return base64 ? `${head}${base64},${btoa(first + atob(decodeURIComponent(code)))}` : `${head},${encodeURIComponent(first)}${code}`;
  };
  for (const kind of ['Worker', 'SharedWorker']) {
    const RealWorker = window[kind];
    if (RealWorker === undefined) continue;
    window[kind] = class extends RealWorker {
      constructor(...args) {
        let [url] = args;
        try {
          url = prepared(String(url));
        } catch {
          // the browser says what is wrong with it
        }
        super(url, ...args.slice(1));
        let end = () => {};
        let asked = Infinity; // the time of the first question since the last answer
        const talk = {
          ask() {
            end();
            const silent = clock() - asked > workerPatience;
            end = begin('a worker', workerPatience, silent ? silentPatience : workerPatience);
            asked = Math.min(asked, clock());
          },
          end() {
            asked = Infinity;
            end();
          },
        };
        converse(this.port ?? this, talk);
        this.addEventListener('error', ({ message }) => {
          end();
          // The browser tells the page of an error in the script itself.
          if (message === undefined) warn(`The script of a ${kind} could not be loaded`, "a module needs a type of JavaScript, as in new Blob([code], { type: 'text/javascript' })");
        });
        talk.ask();
      }
    };
    Object.defineProperty(window[kind], 'name', { value: kind });
  }
  // So may a server that sends events.
  for (const kind of ['EventSource', 'WebSocket']) {
    const RealStream = window[kind];
    if (RealStream === undefined) continue;
    window[kind] = class extends RealStream {
      constructor(...args) {
        super(...args);
        const end = begin(args[0], workerPatience);
        for (const name of ['message', 'error', 'close']) this.addEventListener(name, end, { once: true });
      }
    };
    Object.defineProperty(window[kind], 'name', { value: kind });
  }
  // What the browser does beside the page's scripts ends in a promise.
  const wrap = (object, name, label, patience, without) => {
    const real = object?.[name];
    if (typeof real !== 'function') return;
    object[name] = function (...args) {
      const answer = real.apply(this, args);
      return answer instanceof Promise && !without?.has(this) ? follow(label, answer, patience) : answer;
    };
    Object.defineProperty(object[name], 'name', { value: name });
  };
  // A task runs when the browser has time for its priority.
  const { postTask } = window.Scheduler?.prototype ?? {};
  if (postTask !== undefined) {
    Scheduler.prototype.postTask = function (callback, options) {
      const end = begin('a task of the scheduler');
      const task = postTask.call(this, (...args) => {
        end();
        return callback(...args);
      }, options);
      return task.catch((error) => {
        end();
        throw error;
      });
    };
  }
  const realDecode = HTMLImageElement.prototype.decode;
  // For the renderer, which has a patience of its own.
  const decode = (image) => realDecode.call(image);
  const { set: setSource } = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, 'src');
  const realBitmap = window.createImageBitmap;
  const whole = (image) => realBitmap.call(window, image, 0, 0, 1, 1).then(() => true, () => false); // decode() takes a file that ends early
  const promises = [
    [window, 'createImageBitmap'], [window.HTMLImageElement?.prototype, 'decode'], [window.SVGImageElement?.prototype, 'decode'],
    [window.ImageDecoder?.prototype, 'decode'], [window.FontFace?.prototype, 'load'],
    [window.FontFaceSet?.prototype, 'load'], [window.OfflineAudioContext?.prototype, 'startRendering'], [window.BaseAudioContext?.prototype, 'decodeAudioData'],
    ...['compile', 'compileStreaming', 'instantiate', 'instantiateStreaming'].map((name) => [window.WebAssembly, name]),
    ...Object.getOwnPropertyNames(window.SubtleCrypto?.prototype ?? {}).filter((name) => name !== 'constructor').map((name) => [SubtleCrypto.prototype, name]),
    ...[window.CacheStorage, window.Cache].flatMap((kind) => Object.getOwnPropertyNames(kind?.prototype ?? {}).filter((name) => name !== 'constructor').map((name) => [kind.prototype, name])),
  ];
  for (const [object, name] of promises) wrap(object, name, name);
  // The browser tells of a video's first picture a moment before scripts get it, which another thread has then. Until it comes, a canvas would draw nothing.
  const { VideoFrame: RealVideoFrame } = window;
  const picturePatience = 1000; // milliseconds
  const pictureless = new WeakSet(); // videos that used it up: a film draws one again in each frame
  const drawable = new WeakSet(); // videos that a canvas has drawn
  const { OffscreenCanvas: RealCanvas } = window;
  const { getContext: contextOf } = RealCanvas?.prototype ?? {};
  const { drawImage, getImageData } = window.OffscreenCanvasRenderingContext2D?.prototype ?? {};
  const draws = (video) => {
    const probe = contextOf.call(new RealCanvas(1, 1), '2d', { willReadFrequently: true });
    drawImage.call(probe, video, 0, 0, 1, 1);
    return getImageData.call(probe, 0, 0, 1, 1).data[3] > 0; // also false for a picture that is wholly transparent, of which nothing is seen either way
  };
  // pictureOf returns what to draw for a video: its first picture while the browser has not told the video that it has one, else the video.
  const pictureOf = (video) => {
    if (!(video instanceof HTMLVideoElement) || drawable.has(video) || pictureless.has(video) || video.readyState < video.HAVE_CURRENT_DATA || !(video.videoWidth > 0)) return video;
    let picture;
    for (const began = clock(); picture === undefined && clock() - began < picturePatience;) {
      try {
        picture = new RealVideoFrame(video);
      } catch (error) {
        if (error.name !== 'InvalidStateError') return video; // it is of another origin, so there is no way to know
      }
    }
    if (picture === undefined) {
      pictureless.add(video);
      return video;
    }
    if (!draws(video)) return picture;
    picture.close();
    drawable.add(video);
    video.addEventListener('emptied', () => drawable.delete(video), { once: true });
    return video;
  };
  if (RealVideoFrame !== undefined) {
    const contexts = [window.CanvasRenderingContext2D, window.OffscreenCanvasRenderingContext2D].map((kind) => [kind?.prototype, ['drawImage', 'createPattern']]);
    const gl = [window.WebGLRenderingContext, window.WebGL2RenderingContext].map((kind) => [kind?.prototype, ['texImage2D', 'texSubImage2D', 'texImage3D', 'texSubImage3D']]);
    for (const [object, names] of [[window, ['createImageBitmap']], ...contexts, ...gl]) {
      for (const name of names) {
        const real = object?.[name];
        if (real === undefined) continue;
        object[name] = { [name](...args) {
          const at = args.findIndex((argument) => argument instanceof HTMLVideoElement);
          if (at < 0) return real.apply(this, args);
          const picture = pictureOf(args[at]);
          if (picture === args[at]) return real.apply(this, args);
          let result;
          try {
            return result = real.apply(this, args.with(at, picture));
          } finally {
            Promise.resolve(result).then(() => picture.close(), () => picture.close());
          }
        } }[name];
      }
    }
    window.VideoFrame = new Proxy(RealVideoFrame, {
      construct(target, args, self) {
        const picture = pictureOf(args[0]);
        if (picture !== args[0]) picture.close();
        return Reflect.construct(target, args, self);
      },
    });
  }
  // So does what another process knows. The interfaces are made when a page asks for them.
  const aside = {
    gpu: ['requestAdapter'], locks: ['request', 'query'], mediaDevices: ['enumerateDevices'], permissions: ['query'], storage: ['estimate', 'persisted', 'getDirectory'],
    userAgentData: ['getHighEntropyValues'],
  };
  for (const [name, methods] of Object.entries(aside)) {
    const found = Object.getOwnPropertyDescriptor(Navigator.prototype, name);
    if (found === undefined) continue;
    let wrapped = false;
    Object.defineProperty(Navigator.prototype, name, {
      ...found,
      get() {
        const answer = found.get.call(this);
        if (!wrapped && answer) for (const method of methods) wrap(Object.getPrototypeOf(answer), method, method, workerPatience);
        wrapped = true;
        return answer;
      },
    });
  }
  // A stream may have nothing to say. One of the page's own says something when the page does, which may be waiting for its time: that is waited for.
  const streams = 'a stream that the page reads';
  const made = new WeakSet(); // streams of the page's own, and what reads them
  const from = (source, result) => {
    if (made.has(source)) for (const one of [result].flat()) made.add(one);
    return result;
  };
  const { ReadableStream: RealReadable, Response: RealResponse } = window;
  window.ReadableStream = new Proxy(RealReadable, {
    construct(target, args, self) {
      const stream = Reflect.construct(target, args, self);
      made.add(stream);
      return stream;
    },
  });
  window.Response = new Proxy(RealResponse, { construct: (target, args, self) => from(args[0], Reflect.construct(target, args, self)) });
  for (const name of ['getReader', 'pipeThrough', 'tee', 'values', Symbol.asyncIterator]) {
    const real = RealReadable.prototype[name];
    if (real !== undefined) RealReadable.prototype[name] = function (...args) { return from(this, real.apply(this, args)); };
  }
  wrap(window.ReadableStreamDefaultReader?.prototype, 'read', streams, workerPatience, made);
  wrap(window.ReadableStreamBYOBReader?.prototype, 'read', streams, workerPatience, made);
  if (RealReadable.prototype.values) wrap(Object.getPrototypeOf(new RealReadable().values()), 'next', streams, workerPatience, made);
  wrap(RealReadable.prototype, 'pipeTo', streams, Infinity, made);
  // The browser makes files of canvases when it has nothing else to do, which may be never. It makes addresses at once.
  const { toDataURL } = HTMLCanvasElement.prototype;
  const fileOf = (canvas, type, quality) => {
    const [, kind, data] = toDataURL.call(canvas, type, quality).match(/^data:([^;,]*);base64,(.*)$/) ?? [];
    return data === undefined ? null : new Blob([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], { type: kind });
  };
  HTMLCanvasElement.prototype.toBlob = function toBlob(callback, type, quality) {
    const file = fileOf(this, type, quality);
    const end = begin('toBlob');
    realSetTimeout(() => {
      end();
      callback(file);
    });
  };
  const { convertToBlob } = window.OffscreenCanvas?.prototype ?? {};
  if (convertToBlob) {
    OffscreenCanvas.prototype.convertToBlob = function (options) {
      try {
        const canvas = Object.assign(document.createElement('canvas'), { width: this.width, height: this.height });
        canvas.getContext('2d').drawImage(this, 0, 0);
        return follow('convertToBlob', Promise.resolve(fileOf(canvas, options?.type, options?.quality) ?? convertToBlob.call(this, options)));
      } catch {
        return follow('convertToBlob', convertToBlob.call(this, options)); // which says what is wrong
      }
    };
  }
  const ends = (target, names, label, patience) => {
    const end = begin(label, patience);
    for (const name of names) target.addEventListener(name, end, { once: true });
    return target;
  };
  for (const name of ['open', 'deleteDatabase']) {
    const real = window.IDBFactory?.prototype[name];
    if (real) IDBFactory.prototype[name] = function (...args) { return ends(real.apply(this, args), ['success', 'error', 'blocked', 'upgradeneeded'], 'a database'); };
  }
  const transaction = window.IDBDatabase?.prototype.transaction;
  if (transaction) IDBDatabase.prototype.transaction = function (...args) { return ends(transaction.apply(this, args), ['complete', 'abort', 'error'], 'a database'); };
  // A message goes through another process, to whom it may concern.
  const channelPatience = 200; // milliseconds
  const RealBroadcast = window.BroadcastChannel;
  if (RealBroadcast !== undefined) {
    const sent = new Set();
    window.BroadcastChannel = class BroadcastChannel extends RealBroadcast {
      constructor(name) {
        super(name);
        this.addEventListener('message', () => {
          for (const end of sent) end();
          sent.clear();
        });
      }
      postMessage(message) {
        sent.add(begin('a message', channelPatience));
        super.postMessage(message);
      }
    };
  }
  // An observer tells what it finds at first with the browser's next frame. What a page changes then, a ResizeObserver tells with the one after.
  // One of a box without a size has nothing to tell, and neither has one that looks no more.
  const observerPatience = 100; // milliseconds
  const untold = ''; // it is no address to warn of
  const maxChanges = 100;
  const realFrame = requestAnimationFrame.bind(window);
  for (const kind of ['IntersectionObserver', 'ResizeObserver']) {
    window[kind] = class extends window[kind] {
      #ends;
      #of = new WeakMap(); // element → the end of the wait for what is told of it
      constructor(callback, ...args) {
        const ends = new Set();
        let changes = kind === 'ResizeObserver' && !window[Symbol.for('platen.film')] ? maxChanges : 0;
        super(function (...found) {
          for (const end of ends) end();
          ends.clear();
          if (changes-- > 0) {
            const end = begin(untold, observerPatience);
            ends.add(end);
            realFrame(() => realFrame(end));
          }
          return callback.apply(this, found);
        }, ...args);
        this.#ends = ends;
      }
      observe(...args) {
        super.observe(...args);
        const end = begin(untold, observerPatience);
        this.#ends.add(end);
        this.#of.set(args[0], end);
      }
      unobserve(target) {
        super.unobserve(target);
        this.#of.get(target)?.();
      }
      disconnect() {
        super.disconnect();
        for (const end of this.#ends) end();
        this.#ends.clear();
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
  // The document's own load event waits for those that are there before. An element tells when it has loaded what an attribute of it names.
  const names = { img: ['src', 'srcset'], image: ['href'], link: ['href', 'rel', 'disabled'], iframe: ['src', 'srcdoc'], frame: ['src'], object: ['data'], embed: ['src'], input: ['src'], video: ['src'], audio: ['src'] };
  const address = /^(https?|data|blob):/;
  const loads = (element) => {
    switch (element.localName) {
      case 'script': return element.src !== '' && /^(|module|(text|application)\/(java|ecma)script)$/i.test(element.type);
      case 'link': return element.relList.contains('stylesheet') && element.href !== '' && !element.disabled;
      case 'style': return /@import/i.test(element.textContent);
      case 'img': return !element.complete && element.loading !== 'lazy';
      case 'image': return address.test(element.href?.baseVal ?? '');
      case 'input': return element.type === 'image' && address.test(element.src);
      case 'object': return address.test(element.data);
      case 'video': case 'audio':
        return element.hasAttribute('src') && element.readyState < HTMLMediaElement.HAVE_CURRENT_DATA && element.error === null && (element.preload !== 'none' || element.autoplay);
      case 'iframe': return element.loading !== 'lazy' && (element.hasAttribute('srcdoc') || address.test(element.src));
      case 'frame': case 'embed': return address.test(element.src);
      default: return false;
    }
  };
  // A canvas gets the picture of a video that has loaded more than what the video is like.
  const load = (element) => {
    if (element instanceof HTMLVideoElement && element.preload !== 'none') element.preload = 'auto';
  };
  const awaited = new WeakMap(); // element → ends the wait for what it loads
  const decodePatience = 2000; // milliseconds
  const suspended = (element, end) => {
    end();
    if (element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) return;
    const decoded = begin(untold, decodePatience);
    awaited.set(element, decoded);
    for (const name of ['loadeddata', 'error']) element.addEventListener(name, decoded, { once: true });
  };
  const expect = (element) => {
    load(element);
    awaited.get(element)?.();
    if (!loads(element)) return;
    const end = begin(element.src || element.href?.baseVal || element.href || element.data || (element.localName === 'iframe' ? 'srcdoc' : element.localName));
    awaited.set(element, end);
    const media = element instanceof HTMLMediaElement;
    for (const name of media ? ['loadeddata', 'error'] : ['load', 'error']) element.addEventListener(name, end, { once: true });
    // The browser may have read a file long before it has decoded the first picture, or may read no further.
    if (media) element.addEventListener('suspend', () => suspended(element, end), { once: true });
  };
  const observer = new MutationObserver((records) => {
    if (document.readyState !== 'complete') {
      // The load event does not wait for what becomes a style once it is there.
      for (const { addedNodes } of records) {
        for (const node of addedNodes) {
          if (node.localName === 'link' && node.relList.contains('preload')) ends(node, ['load', 'error'], node.href);
          if (node instanceof Element) for (const element of [node, ...node.getElementsByTagName('video')]) if (element instanceof HTMLVideoElement) expect(element);
        }
      }
      return;
    }
    for (const { type, target, attributeName, attributeNamespace, oldValue, addedNodes } of records) {
      if (type === 'attributes') {
        const changed = oldValue !== target.getAttributeNS(attributeNamespace, attributeName);
        const enabled = attributeName === 'disabled' && target.sheet; // it has been loaded before
        if (changed && !enabled && names[target.localName]?.includes(attributeName)) expect(target);
        continue;
      }
      if (target.localName === 'style') expect(target);
      for (const node of addedNodes) {
        if (!(node instanceof Element)) continue;
        for (const element of [node, ...node.querySelectorAll('script, style, link, img, image, iframe, frame, object, embed, input, video, audio')]) expect(element);
      }
    }
  });
  const watched = { subtree: true, childList: true, attributeOldValue: true, attributeFilter: [...new Set(Object.values(names).flat())] };
  observer.observe(document, watched);
  const { attachShadow } = Element.prototype;
  Element.prototype.attachShadow = function (options) {
    const root = attachShadow.call(this, options);
    observer.observe(root, watched);
    return root;
  };
  // A picture or a medium that is no part of the page, but may be drawn by a script.
  const expectApart = (element) => { if (!element.isConnected) expect(element); };
  for (const [kind, name] of [[HTMLImageElement, 'src'], [HTMLImageElement, 'srcset'], [HTMLMediaElement, 'src']]) {
    const property = Object.getOwnPropertyDescriptor(kind.prototype, name);
    Object.defineProperty(kind.prototype, name, {
      ...property,
      set(value) {
        load(this);
        property.set.call(this, value);
        expectApart(this);
      },
    });
  }
  for (const kind of [HTMLImageElement, HTMLMediaElement, SVGImageElement]) {
    for (const name of ['setAttribute', 'setAttributeNS']) {
      kind.prototype[name] = { [name](...args) {
        Element.prototype[name].apply(this, args);
        if (/^(src|srcset|(xlink:)?href)$/i.test(args.at(-2))) expectApart(this);
      } }[name];
    }
  }
  const markup = Object.getOwnPropertyDescriptor(Element.prototype, 'innerHTML');
  Object.defineProperty(Element.prototype, 'innerHTML', {
    ...markup,
    set(value) {
      markup.set.call(this, value);
      if (!this.isConnected) for (const element of this.querySelectorAll('img, image, video, audio')) expect(element);
    },
  });
  // beginning returns the seconds at which a video or a sound begins: where the page has moved it last, or as its address says.
  const moved = new WeakMap(); // element → seconds
  const position = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'currentTime');
  Object.defineProperty(HTMLMediaElement.prototype, 'currentTime', {
    ...position,
    set(value) {
      position.set.call(this, value);
      moved.set(this, Number(value));
      if (this instanceof HTMLVideoElement && isSeeking.call(this) && !window[Symbol.for('platen.film')]) depart(this);
    },
  });
  // A picture shows a video where a script has moved it last. arrive waits until each is there, so long in all, and resolves to those that have been moved: what the
  // page does then may move them on.
  const { get: isSeeking } = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'seeking');
  let arrivalPatience = 2000; // milliseconds
  const underWay = new Map(); // video → whether the page has been told that it is there
  let tellArrival = () => {};
  const depart = (video) => {
    const told = () => {
      if (underWay.has(video)) underWay.set(video, !isSeeking.call(video));
      tellArrival();
    };
    if (!underWay.has(video)) for (const name of ['seeked', 'emptied', 'error']) video.addEventListener(name, told);
    underWay.set(video, false);
  };
  const arrive = async () => {
    const began = clock();
    const arrived = [];
    for (;;) {
      for (const [video, there] of underWay) {
        if (!there) continue;
        underWay.delete(video);
        arrived.push(video);
      }
      const left = began + arrivalPatience - clock();
      if (underWay.size === 0 || !(left > 0)) break;
      let timer;
      await new Promise((resolve) => {
        tellArrival = resolve;
        timer = realSetTimeout(resolve, left);
      });
      realClearTimeout(timer);
      await new Promise((resolve) => realSetTimeout(resolve)); // the page may move it on
    }
    if (underWay.size > 0) warn('A video was still on its way when the page was painted', 'a script moves it again and again, or its file is slow; two renders may show it at different places');
    underWay.clear();
    arrivalPatience -= clock() - began;
    return arrived;
  };
  const beginning = (element) => {
    const { currentSrc: url } = element;
    const [, time = ''] = url.slice(url.lastIndexOf('#')).match(/^#(?:.*&)?t=(?:npt:)?([\d.:]+)/) ?? [];
    return Math.min(moved.get(element) ?? time.split(':').reduce((sum, part) => sum * 60 + Number(part), 0), element.duration || Infinity);
  };
  // The controls of what loads have a circle that turns by a clock of its own, also when it has loaded or cannot be. New ones do not. renew gives an element new ones, once.
  const renewed = new WeakSet();
  const renew = (element) => {
    if (renewed.has(element) || !element.controls || element.readyState < element.HAVE_CURRENT_DATA && element.networkState !== element.NETWORK_NO_SOURCE) return;
    renewed.add(element);
    element.controls = false;
    element.getBoundingClientRect();
    element.controls = true;
  };
  // A rule that a script adds tells nobody when it has loaded its style sheet.
  const lookAgain = 10; // milliseconds
  const { insertRule } = CSSStyleSheet.prototype;
  CSSStyleSheet.prototype.insertRule = function (rule, index = 0) {
    const place = insertRule.call(this, rule, index);
    if (!/^\s*@import\b/i.test(rule)) return place;
    const imported = this.cssRules[place];
    const end = begin(imported.href);
    let left = workerPatience * 10 / lookAgain;
    const look = () => {
      if (imported.styleSheet !== null) end();
      else if (left-- > 0) realSetTimeout(look, lookAgain);
    };
    look();
    return place;
  };
  // An object or embed element loads once it has a box.
  const boxless = new Set();
  addEventListener('load', () => {
    for (const element of document.querySelectorAll('object, embed')) if (element.getClientRects().length === 0) boxless.add(element);
  }, { once: true });
  const expectBoxes = () => {
    for (const element of boxless) {
      if (element.getClientRects().length === 0) continue;
      boxless.delete(element);
      expect(element);
    }
  };
  // The whole page is painted, so what is lazy must load.
  const framed = new WeakSet(); // frames that have loaded
  document.addEventListener('load', ({ target }) => { if (target?.localName === 'iframe') framed.add(target); }, true); // the window sees none of its elements load
  const hurry = (element) => {
    element.loading = 'eager';
    if (element.localName === 'iframe' && element.getRootNode() === document && !framed.has(element)) expect(element);
  };
  const quiet = async (milliseconds, goesOn = false) => {
    const deadline = clock() + milliseconds;
    for (;;) {
      expectBoxes();
      // Only for so long is anything of this kind waited for.
      const until = Math.min(deadline, Math.max(...[...open.keys()].map(({ until, brief }) => (goesOn ? brief : until))));
      if (!(clock() < until)) break;
      let timer;
      await new Promise((resolve) => {
        wake = resolve;
        timer = realSetTimeout(resolve, until - clock());
      });
      realClearTimeout(timer);
      await new Promise((resolve) => realSetTimeout(resolve)); // the page may read the answer now, or ask again
    }
    return [...open.values()].filter((address) => address !== untold);
  };
  // A font is asked for by the text that needs it, once that has a place. lettered makes the fonts be waited for that text needs now.
  let letters = false; // fonts are on their way
  const lettered = () => {
    if (letters || document.fonts.size === 0) return;
    document.documentElement?.getBoundingClientRect();
    if (document.fonts.status !== 'loading') return;
    letters = true;
    follow('a font', document.fonts.ready).then(() => { letters = false; });
  };
  // A video that is made while it plays has no beginning to stand at.
  const live = (element) => {
    if (!element.srcObject) return false;
    warn('A video of a stream plays by a clock of its own', 'two renders show it at different times; draw into a canvas what it shows');
    return true;
  };
  // What a script imports, the browser alone knows of. imported resolves to whether something has come of it since it was asked last.
  const debug = console.debug.bind(console);
  let answered = () => {};
  const answer = (came) => answered(came);
  const imported = async (milliseconds) => {
    if (!window[Symbol.for('platen.about')]?.imports || window !== top || !(milliseconds > 0)) return false;
    let timer;
    const came = await new Promise((resolve) => {
      answered = resolve;
      timer = realSetTimeout(() => resolve(false), milliseconds);
      debug('platen.modules');
    });
    realClearTimeout(timer);
    return came;
  };
  Object.defineProperty(window, Symbol.for('platen.requests'), { value: Object.freeze({ imported, answer, lettered, live, quiet, decode, setSource, whole, warn, hurry, renew, beginning, arrive, seek: position.set, forget: () => observer.takeRecords() }) });
})();
