// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Fills a page in from its modifications, before the page's own DOMContentLoaded listeners run. Values are data: nothing
// here turns them into markup or script. modifications is null in a frame of the page, whose content may be somebody else's: a frame
// gets what makes it repeatable, and no values. makeStyles is the function of styles.js, and faces are the fonts that the page can use.
((modifications, makeStyles, faces) => {
  // Random numbers are repeatable (mulberry32), so that the same input gives the same picture.
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
  for (const name of ['alert', 'confirm', 'prompt', 'print', 'open']) {
    window[name] = () => null;
  }
  // The renderer looks into closed shadow roots too.
  const shadows = new WeakMap();
  Object.defineProperty(window, Symbol.for('platen.shadows'), { value: shadows });
  const { attachShadow } = Element.prototype;
  Element.prototype.attachShadow = function (options) {
    const root = attachShadow.call(this, options);
    shadows.set(this, root);
    return root;
  };
  // How large a picture is, the renderer learns as soon as the page knows: the page may not live to show it. Only the document sees its elements load;
  // pictures of styles, the renderer loads itself to see them.
  const debug = console.debug.bind(console);
  const large = 10e6; // pixels
  const tell = ({ target }) => {
    const { naturalWidth, naturalHeight, currentSrc } = target;
    if (naturalWidth * naturalHeight >= large) debug('platen.large', currentSrc.slice(0, currentSrc.startsWith('data:') ? 40 : 200), naturalWidth, naturalHeight);
  };
  document.addEventListener('load', tell, true);
  Object.defineProperty(window, Symbol.for('platen.tell'), { value: tell });
  // A caret blinks by a clock of its own, and nobody types.
  addEventListener('focusin', ({ target }) => target.style?.setProperty('caret-color', 'transparent', 'important'), true);
  // The renderer tells a page earlier that it is printed: what the page does then must be looked at.
  for (const name of ['beforeprint', 'afterprint']) addEventListener(name, (event) => { if (event.isTrusted) event.stopImmediatePropagation(); }, true);
  // A marquee that moves cannot be stopped, so none begins to.
  const marquees = new WeakMap(); // element → how far it moves at a time
  Object.defineProperty(window, Symbol.for('platen.marquees'), { value: marquees });
  const found = document.getElementsByTagName('marquee');
  new MutationObserver(() => {
    for (const element of found) {
      if (marquees.has(element)) continue;
      marquees.set(element, element.scrollAmount);
      element.scrollAmount = 0;
    }
  }).observe(document, { subtree: true, childList: true });
  // The renderer reads pictures that a page has made itself, also those whose URLs it has revoked.
  const [maxBlobs, maxBlobSize] = [32, 4 << 20];
  const blobs = new Map(); // URL → blob
  Object.defineProperty(window, Symbol.for('platen.blobs'), { value: blobs });
  const { createObjectURL } = URL;
  URL.createObjectURL = (object) => {
    const url = createObjectURL.call(URL, object);
    if (object instanceof Blob && object.size <= maxBlobSize && blobs.size < maxBlobs) blobs.set(url, object);
    return url;
  };
  // What a page writes into its canvases, the renderer looks at as at other text.
  const [maxDrawn, maxDrawnLength] = [500, 200];
  const drawn = new Map(); // font and text → these, and the canvas
  Object.defineProperty(window, Symbol.for('platen.drawn'), { value: drawn });
  for (const name of ['fillText', 'strokeText']) {
    const native = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = { [name](text, ...rest) {
      const { font, canvas } = this;
      const part = String(text).slice(0, maxDrawnLength);
      const key = `${font}\n${part}`;
      if (drawn.size < maxDrawn && !drawn.get(key)?.canvas.deref()?.isConnected) drawn.set(key, { font, text: part, canvas: new WeakRef(canvas) });
      return native.call(this, text, ...rest);
    } }[name];
  }
  // A canvas of WebGL forgets its picture once it is shown, and a document is printed later. The browser shows wide colours of a canvas as if they were
  // sRGB's, which all files have.
  const { getContext } = HTMLCanvasElement.prototype;
  const narrow = (options) => (options?.colorSpace === undefined ? options : { ...options, colorSpace: 'srgb' });
  // The browser takes long to make the interfaces of WebGL, and a page that asks for no context needs none.
  let watched = false;
  const watchColours = (kind) => {
    if (watched || !/webgl/i.test(kind)) return;
    watched = true;
    for (const { prototype } of [WebGLRenderingContext, WebGL2RenderingContext]) {
      const space = Object.getOwnPropertyDescriptor(prototype, 'drawingBufferColorSpace');
      if (space === undefined) continue;
      Object.defineProperty(prototype, 'drawingBufferColorSpace', {
        ...space,
        set(value) {
          if (value === 'srgb') return;
          window[Symbol.for('platen.requests')].warn(`A canvas of WebGL has the colours of ${value}, which are shown as if they were sRGB's`, 'use them only where matchMedia("(color-gamut: p3)") says so');
        },
      });
    }
  };
  HTMLCanvasElement.prototype.getContext = function (kind, options, ...rest) {
    watchColours(kind);
    const keeps = window[Symbol.for('platen.about')]?.print && /webgl/i.test(kind);
    return getContext.call(this, kind, keeps ? { ...options, preserveDrawingBuffer: true } : narrow(options), ...rest);
  };
  const { getContext: getElsewhere } = OffscreenCanvas.prototype;
  OffscreenCanvas.prototype.getContext = function (kind, options, ...rest) {
    watchColours(kind);
    return getElsewhere.call(this, kind, narrow(options), ...rest);
  };
  if (modifications === null) return;

  const maxClones = 10000;
  const warnings = [];
  // Properties under a symbol are for the renderer's other scripts.
  const share = (name, value) => Object.defineProperty(window, Symbol.for(`platen.${name}`), { value });
  // A page can delay its painting: it sets platen.ready to a function that returns a promise, or to a promise, or it has an element with
  // data-platen-ready="false" and changes that to "true".
  const platen = Object.seal({ modifications: structuredClone(modifications), ready: undefined });
  Object.defineProperty(window, 'platen', { value: platen, configurable: true });
  window.name = ''; // of the page before
  // The browser's own window is smaller than many pages.
  for (const [outer, inner] of [['outerWidth', 'innerWidth'], ['outerHeight', 'innerHeight']]) Object.defineProperty(window, outer, { configurable: true, get: () => window[inner] });
  // It resolves to whether the page has said when it is ready.
  share('ready', async () => {
    let says = document.querySelector('[data-platen-ready]') !== null;
    try {
      const { ready } = platen;
      const isFunction = typeof ready === 'function';
      const awaited = isFunction || typeof ready?.then === 'function';
      says ||= awaited;
      if (says) window[Symbol.for('platen.still')]?.live(); // it may be ready by a timer
      if (awaited) await (isFunction ? ready() : ready);
      else if (ready != null) warn(`platen.ready is ${String(ready)}: the page is not waited for`, 'make it a function that returns a promise, such as platen.ready = async () => {…}');
    } catch (error) {
      warn('platen.ready failed', error);
    }
    const waiting = () => document.querySelector('[data-platen-ready="false"]') !== null;
    if (!waiting()) return says;
    await new Promise((resolve) => {
      const observer = new MutationObserver(() => {
        if (waiting()) return;
        observer.disconnect();
        resolve();
      });
      observer.observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-platen-ready'] });
    });
    return true;
  });

  // A script that writes the document anew takes all listeners away, and may never close it. rewritten resolves once one does.
  share('rewritten', new Promise((resolve) => {
    for (const name of ['open', 'write', 'writeln']) {
      const native = Document.prototype[name];
      Document.prototype[name] = function (...args) {
        const { readyState } = this;
        const result = native.apply(this, args);
        if (this === document && readyState !== 'loading' && this.readyState === 'loading') resolve();
        return result;
      };
    }
  }));

  // The browser loads a font once text needs it.
  const fonts = (faces ?? []).map(({ family, url, ...descriptors }) => new FontFace(family, `url(${url})`, descriptors));
  for (const font of fonts) document.fonts.add(font);
  share('fonts', fonts);

  // The page's own scripts may replace these functions.
  const supports = CSS.supports.bind(CSS);
  const escape = CSS.escape.bind(CSS);
  share('warnings', warnings);

  const warn = (title, details) => {
    if (warnings.length < 64) warnings.push({ title: String(title).slice(0, 400), details: String(details ?? '').slice(0, 800) });
  };
  share('warn', warn);
  const consoleError = console.error.bind(console);
  console.error = (...args) => {
    warn(`Console error: ${args.map(String).join(' ')}`);
    consoleError(...args);
  };
  const absolute = (url) => {
    try {
      return new URL(url, document.baseURI).href;
    } catch {
      return url;
    }
  };
  addEventListener('unhandledrejection', (event) => warn(`Script error: ${event.reason}`));
  // isPassedOver reports whether a source is one of those that the browser does not try, because one of those after it is for this browser.
  const isPassedOver = (source) => {
    const { parentElement: player } = source;
    if (source.localName !== 'source' || !(player instanceof HTMLMediaElement)) return false;
    const suits = ({ type, media }) => (type === '' || player.canPlayType(type) !== '') && (media === '' || matchMedia(media).matches);
    const all = [...player.querySelectorAll('source')];
    return !suits(source) && all.slice(all.indexOf(source) + 1).some(suits);
  };
  addEventListener('error', (event) => {
    const { localName, currentSrc, src, href, data } = event.target;
    const url = localName === 'img' && currentSrc || src || (href?.baseVal === undefined ? href : absolute(href.baseVal)) || data; // an img may have tried another of its addresses
    // What an observer has not told yet, it tells with the next frame.
    if (event.target === window && /^ResizeObserver loop/.test(event.message)) return;
    if (event.target === window) warn(`Script error: ${event.message}`, `${event.lineno}:${event.colno}`);
    else if (url && !isPassedOver(event.target)) warn(`Could not load ${String(url).slice(0, 300)}`);
  }, true);

  // locate finds a value, and the scope that has it: "item.field" looks into the innermost scope that has "item", then into the modifications.
  const locate = (path, scopes) => {
    for (const scope of [...scopes].reverse().concat([modifications])) {
      if (Object.hasOwn(scope, path)) return { value: scope[path], scope };
      let value = scope;
      for (const part of path.split('.')) {
        value = value !== null && typeof value === 'object' && Object.hasOwn(value, part) ? value[part] : undefined;
      }
      if (value !== undefined) return { value, scope };
    }
    return {};
  };
  const lookup = (path, scopes) => locate(path, scopes).value;
  // placeOf returns where a value of a scope is, such as days[1].acts, or its path alone if no item has it. within is as of bind.
  const placeOf = (path, scope, within) => {
    if (!within) return path;
    if (within.scope !== scope) return placeOf(path, scope, within.outer);
    return [`${within.place}[${within.index}]`, path.replace(/^item(\.|$)/, '')].filter(Boolean).join('.');
  };
  // nameOf returns the name of a value for a person: that of the modification, or its place in an item, such as stories[1].picture.
  const nameOf = (path, scope, within) => (scope === modifications ? path : placeOf(path, scope, within));
  // allowedURL returns a URL with one of the schemes. The page has no address, so nothing is relative to it.
  const allowedURL = (value, schemes) => {
    try {
      const url = new URL(String(value), document.baseURI);
      if (url.origin === location.origin && url.protocol === location.protocol && !String(value).startsWith('#')) return null;
      return schemes.includes(url.protocol) && (url.protocol !== 'data:' || /^data:image\//i.test(url.href)) ? url.href : null;
    } catch {
      return null;
    }
  };
  // replaced has the addresses of pictures that the filled page no longer shows: whether they can be loaded is no matter.
  const replaced = new Set();
  share('replaced', replaced);
  const setImage = (element, key, value) => {
    if (element.src && value === '') replaced.add(element.src);
    if (value === '') { // no picture, in place of that of the template
      for (const source of element.parentElement?.matches('picture') ? element.parentElement.querySelectorAll('source') : []) source.remove();
      for (const address of ['src', 'srcset', 'href']) element.removeAttribute(address);
      return;
    }
    const url = allowedURL(value, ['http:', 'https:', 'data:', 'blob:']);
    if (url && element.src) replaced.add(element.src);
    if (url) element.setAttribute(element instanceof SVGImageElement ? 'href' : 'src', url);
    else warn(`Modification ${key}: ${show(value)} is no image URL`, 'it must begin with http://, https:// or data:image/');
  };
  // setText shows a text. A line break in it begins a line.
  const setText = (element, text) => {
    element.textContent = text.replace(/\r\n?/g, '\n');
    if (/[\r\n]/.test(text) && getComputedStyle(element).whiteSpaceCollapse === 'collapse') element.style.whiteSpaceCollapse = 'preserve-breaks';
  };
  // setLink gives an element its address. Most elements have none, and an address makes no links of them.
  const setLink = (element, key, value) => {
    if (value === '') { // no link, in place of that of the template
      element.removeAttribute('href');
      return;
    }
    const url = allowedURL(value, ['http:', 'https:', 'mailto:', 'tel:']);
    const { localName } = element;
    if (!url) {
      warn(`Modification ${key}: ${show(value)} is no link that is allowed`, 'it must begin with http://, https://, mailto: or tel:');
    } else if (element.matches('a, area, link, base')) {
      element.setAttribute('href', url);
    } else if (!doubts.has(`${key.replace(/\[\d+\]/g, '[]')}<>`)) {
      doubts.add(`${key.replace(/\[\d+\]/g, '[]')}<>`);
      warn(`Modification ${key}: the element ${localName} is no link`, `only an a is a link; put the ${localName} into one, such as <a data-param-href="shop">`);
    }
  };

  const show = (value) => JSON.stringify(value).slice(0, 80);
  // holds reports whether an element with data-if stays: docs/templates/values.md says which values are true. A text that says false is
  // true, which is seldom meant.
  const doubts = new Set();
  const holds = (condition, scopes, within, attribute = 'data-if') => {
    const negated = condition.startsWith('!');
    const key = condition.replace(/^!/, '');
    const { value, scope } = locate(key, scopes);
    const stays = (Array.isArray(value) ? value.length > 0 : Boolean(value)) !== negated;
    if (typeof value === 'string' && /^\s*(false|f|no|n|off|disabled?|null|0)\s*$/i.test(value) && !doubts.has(condition)) {
      doubts.add(condition);
      const where = scope === modifications ? '' : `${placeOf('item', scope, within)}: `;
      const isField = scope !== modifications || key.includes('.'); // no declaration reaches into a list or an object
      warn(`${where}${attribute}="${condition}" is ${stays}: ${key} is the text ${JSON.stringify(value)}`,
        `every text but the empty one is true; give the boolean false${isField ? ', without quotes' : ', or declare the parameter as boolean'}`);
    }
    return stays;
  };

  const isImage = (element) => element instanceof HTMLImageElement || element instanceof SVGImageElement || element instanceof HTMLInputElement && element.type === 'image';
  // setField shows a value in a field of a form, a meter or a progress bar, and reports whether the element is one.
  const setField = (element, key, value, text, scopes, within) => {
    const refuse = (kind) => warn(`Modification ${key}: ${show(value)} is no value of ${kind}`, "the template's own value is kept");
    if (element instanceof HTMLMeterElement || element instanceof HTMLProgressElement) {
      if (text.trim() !== '' && Number.isFinite(Number(text))) element.value = Number(text);
      else refuse(`a ${element.localName}, which shows a number`);
    } else if (element instanceof HTMLSelectElement) {
      const option = [...element.options].find((option) => option.value === text) ?? [...element.options].find((option) => option.text === text.trim());
      if (option) option.selected = true;
      else refuse('the select: it is none of its options');
    } else if (element instanceof HTMLTextAreaElement) {
      element.value = text;
    } else if (!(element instanceof HTMLInputElement)) {
      return false;
    } else if (element.type === 'checkbox' || element.type === 'radio') {
      const named = element.hasAttribute('value') && typeof value !== 'boolean';
      element.checked = element.type === 'radio' && named ? element.value === text : named && element.value === text || holds(key, scopes, within, 'data-param');
    } else if (element.type === 'file') {
      refuse('an input of the type file');
    } else {
      const before = element.value;
      element.value = text;
      if (element.value !== '' || text === '') return true;
      element.value = before;
      refuse(`an input of the type ${element.type}`);
    }
    return true;
  };

  // checkItems warns of the first item of a list that leaves what the page has in its place: one without fields where the page shows fields, and null.
  // element is what the list repeats, and place is where the list is.
  const checkItems = (list, place, items, element, scopes) => {
    const fields = new Set();
    let whole = false;
    for (const inner of [element, ...element.querySelectorAll('[data-param], [data-param-href], [data-each]')]) {
      if (inner.parentElement?.closest('[data-each]')) continue; // a field of the items of that list
      const attributes = inner.hasAttribute('data-each') ? ['data-each'] : ['data-param', 'data-param-href'];
      for (const path of attributes.map((name) => inner.getAttribute(name))) {
        if (!path || !isPath(path)) continue;
        const [first, second] = path.split('.');
        if (path === 'item') whole = true;
        else if (first === 'item') fields.add(second);
        else if (lookup(first, scopes) === undefined && lookup(path, scopes) === undefined) fields.add(first);
      }
    }
    if (!whole && fields.size === 0) return;
    const indexed = [...fields].some((field) => /^\d/.test(field)); // the items are lists
    const index = items.findIndex((item) => item === null || !whole && (typeof item !== 'object' || Array.isArray(item) && !indexed));
    if (index < 0 || doubts.has(`${list}[]`)) return;
    doubts.add(`${list}[]`);
    const item = items[index];
    const kind = item === null ? 'null' : Array.isArray(item) ? 'a list' : { string: 'a text', number: 'a number' }[typeof item] ?? String(item);
    const names = [...fields].slice(0, 5).join(', ').replace(/, ([^,]*)$/, ' and $1');
    if (whole) warn(`${place}[${index}]: this page shows each item, and this item is ${kind}`, "the template's own text stays; leave such items out");
    else warn(`${place}[${index}]: this page shows fields of each item, ${names}, and this item is ${kind}`, `the template's own text stays; an item looks like {${JSON.stringify([...fields][0])}: ...}`);
  };

  // checkPath warns of a path that leads into what has no fields, so that the page keeps what it has in its place. Of items, checkItems tells.
  // within is as of bind.
  const checkPath = (attribute, path, scopes, within) => {
    const parts = path.split('.');
    for (let n = 1; n < parts.length; n++) {
      const whole = parts.slice(0, n).join('.');
      const value = lookup(whole, scopes);
      if (value === undefined || value === null || typeof value === 'object' && !Array.isArray(value) || Array.isArray(value) && /^\d+$/.test(parts[n])) continue;
      if (whole === 'item' || doubts.has(`${path}.`)) return;
      doubts.add(`${path}.`);
      if (within?.list === whole) {
        warn(`${attribute}="${path}" shows no value: within data-each="${whole}", a field of an item has its name alone`,
          `the template's own text stays; write ${attribute}=${JSON.stringify(parts.slice(n).join('.'))}`);
        return;
      }
      const kind = Array.isArray(value) ? 'a list' : { string: 'a text', number: 'a number' }[typeof value] ?? 'true or false';
      warn(`${attribute}="${path}" shows no value: ${whole} is ${show(value)}, which is ${kind}`, `the template's own text stays; ${whole} looks like {${JSON.stringify(parts[n])}: ...}`);
      return;
    }
  };

  // given has for lists, by their peers, which fields some item has.
  const given = new WeakMap();
  // inner has for the peers of a list those of the lists in them, by name.
  const inner = new WeakMap();
  // peersOf returns the items of a list, and if items have the list, those of the lists of the same name in all items around it.
  const peersOf = (name, items, scope, within) => {
    if (within?.scope !== scope) return items;
    if (!inner.has(within.peers)) inner.set(within.peers, new Map());
    const known = inner.get(within.peers);
    if (!known.has(name)) {
      const lists = within.peers.filter((peer) => peer !== null && typeof peer === 'object').map((peer) => {
        const own = { item: peer, ...peer };
        const found = locate(name, [own]);
        return found.scope === own ? found.value : undefined;
      });
      known.set(name, lists.filter(Array.isArray).flat());
    }
    return known.get(name);
  };
  // checkField warns of an item of a list that lacks a field which others have, so that what the page has in its place looks like a value of the item.
  const checkField = (path, element, { list, place, peers, item, index }) => {
    const field = path.replace(/^item\./, '').split('.')[0];
    const isThere = isImage(element) ? element.hasAttribute('src') || element.hasAttribute('href') : element.textContent.trim() !== '';
    const has = (item) => item !== null && typeof item === 'object' && Object.hasOwn(item, field) && item[field] !== null;
    if (!isThere || item === null || typeof item !== 'object' || has(item) || doubts.has(`${list}[].${field}`)) return;
    if (!given.has(peers)) given.set(peers, new Map());
    const known = given.get(peers);
    if (!known.has(field)) known.set(field, peers.some(has));
    if (!known.get(field)) return;
    doubts.add(`${list}[].${field}`);
    warn(`${place}[${index}]: this page shows ${field} of each item, and this item has none`,
      `the template's own ${isImage(element) ? 'picture' : 'text'} stays; give the item the field, or the element data-if=${JSON.stringify(path)}`);
  };

  // hasCode reports whether a page has a script, which may do anything with it.
  let coded;
  const hasCode = () => (coded ??= document.scripts.length > 0 || handles());
  // ofPeople matches the handlers of what only people do. Package lint has the same.
  const ofPeople = /^on(?:(?:dbl|aux)?click|contextmenu|(?:mouse|pointer|key|touch|drag|focus).*|drop|wheel|submit|reset|(?:before)?input|change|invalid|select|copy|cut|paste|blur)$/;
  // handles reports whether an attribute has code that runs by itself, such as onload.
  const handles = () => {
    const found = document.evaluate('//@*[starts-with(name(), "on")]', document, null, XPathResult.ORDERED_NODE_ITERATOR_TYPE);
    for (let attribute = found.iterateNext(); attribute; attribute = found.iterateNext()) if (!ofPeople.test(attribute.name)) return true;
    return false;
  };
  // thinned has the elements that remove has taken a part of.
  const thinned = new WeakSet();
  const remove = (element) => {
    if (element.parentElement) thinned.add(element.parentElement);
    for (const { localName, src } of [element, ...element.querySelectorAll('img')]) if (localName === 'img' && src) replaced.add(src);
    element.remove();
  };

  // textless matches the elements that never show the text in them. A script may read it. Package lint has the same.
  const textless = /^(audio|br|canvas|col|embed|hr|iframe|object|source|track|video|wbr)$/;

  let clones = 0;
  // within tells of the item that is bound: the name and the place of its list, the items of that and of its peers, where in it the item is, its scope, and
  // of the item around it.
  const bind = (root, scopes, within) => {
    for (const element of [...root.querySelectorAll('[data-each]')]) {
      if (!element.isConnected || element.parentElement.closest('[data-each]')) continue;
      const name = element.dataset.each;
      const { value: items, scope } = locate(name, scopes);
      const place = placeOf(name, scope, within);
      element.removeAttribute('data-each');
      if (items === undefined) checkPath('data-each', name, scopes, within);
      if (items !== undefined && items !== null && items !== '' && !Array.isArray(items)) {
        const isText = typeof items === 'string' && items.trim().startsWith('[');
        warn(`${place === name ? '' : `${place}: `}data-each="${name}" shows nothing: ${show(items)} is no list`,
          isText ? 'it is a text: give the list without quotes around it, or declare the parameter as list' : 'a list is written in JSON, such as ["one", "two"]');
      }
      const source = element.cloneNode(true);
      if (Array.isArray(items)) checkItems(name, place, items, source, scopes);
      const peers = Array.isArray(items) ? peersOf(name, items, scope, within) : [];
      for (const [index, item] of Array.isArray(items) ? items.entries() : []) {
        if (++clones > maxClones) {
          warn(`data-each="${name}" was cut off`, `at most ${maxClones} elements are repeated in a page`);
          break;
        }
        const copy = source.cloneNode(true);
        element.before(copy);
        const holder = document.createElement('div');
        copy.replaceWith(holder);
        holder.append(copy);
        const own = item !== null && typeof item === 'object' ? { item, ...item } : { item };
        bind(holder, [...scopes, own], { list: name, place, peers, item, index, scope: own, outer: within });
        holder.replaceWith(...holder.childNodes);
      }
      remove(element);
    }
    for (const element of root.querySelectorAll('[data-if]')) {
      const condition = element.dataset.if;
      element.removeAttribute('data-if');
      if (!holds(condition, scopes, within)) remove(element);
    }
    for (const element of root.querySelectorAll('[data-param]')) {
      const key = element.dataset.param;
      const { value, scope } = locate(key, scopes);
      if (value === undefined && element.dataset.bound !== '') checkPath('data-param', key, scopes, within);
      if ((value === undefined || value === null) && element.dataset.bound !== '' && within) checkField(key, element, within);
      if (value === undefined || value === null || element.dataset.bound === '') continue;
      element.dataset.bound = '';
      const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
      if (textless.test(element.localName) && !hasCode()) {
        warn(`data-param="${key}" shows nothing: the element ${element.localName} has no text`, 'bind an img to a picture, and any other value to an element with text');
      }
      if (isImage(element)) setImage(element, nameOf(key, scope, within), value);
      else if (!setField(element, key, value, text, scopes, within)) setText(element, text);
      if (typeof value === 'object' && !isImage(element) && !doubts.has(`${key}{}`)) {
        doubts.add(`${key}{}`);
        warn(`data-param="${key}" shows ${show(value)}, which is ${Array.isArray(value) ? 'a list' : 'an object'}`,
          Array.isArray(value) ? 'to show its items, repeat an element with data-each' : `to show a field of it, name the field, as in ${key}.${Object.keys(value)[0] ?? 'name'}`);
      }
    }
    for (const element of root.querySelectorAll('[data-param-href]')) {
      const { value, scope } = locate(element.dataset.paramHref, scopes);
      if (value === undefined) checkPath('data-param-href', element.dataset.paramHref, scopes, within);
      if (value !== undefined && value !== null) setLink(element, nameOf(element.dataset.paramHref, scope, within), value);
    }
  };

  // find returns the elements that an ID in a key names: the one with that id, or all that show the value of that name.
  const find = (id) => {
    const element = document.getElementById(id);
    return element ? [element] : [...document.querySelectorAll(`[data-param="${escape(id)}"]`)];
  };
  // distance returns how many letters must be added, removed, replaced or swapped with the next to make b of a, as package nearest counts.
  const distance = (a, b) => {
    let above;
    let row = [...Array(b.length + 1).keys()];
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) {
        next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
        if (above && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) next[j] = Math.min(next[j], above[j - 2] + 1);
      }
      [above, row] = [row, next];
    }
    return row[b.length];
  };
  // there are the keys of the form ID.STYLE that the page uses as they are, or whose element it had before data-if could remove it.
  const there = new Set();
  const unused = [];
  share('unused', unused);
  const missing = (key) => {
    if (!there.has(key)) unused.push(key);
  };
  // ofComment says what a value whose bracket is not closed may be in a manifest; empty for any other.
  const ofComment = (value) => (String(value).split('(').length > String(value).split(')').length ? '; a bracket of it is not closed: in YAML, # after a space begins a comment, so put quotes around the value' : '');
  const special = () => {
    // A page whose modifications name no style needs none.
    let made;
    const told = new Set(); // what is wrong with a key, whatever number of elements it names
    const warnOnce = (title, details) => {
      if (!told.has(title)) warn(title, details);
      told.add(title);
    };
    const styles = () => (made ??= makeStyles({ supports, warn: warnOnce, show, distance, isGiven, hasCode, wasFuller, ofComment }));
    const isGiven = (path) => lookup(path, []) !== undefined;
    const wasFuller = (element) => thinned.has(element) || shadows.has(element) || element.shadowRoot !== null;
    const behind = {}; // colour and image of the page's background
    share('isStyle', (name) => styles().known(name));
    share('meantStyle', (name) => styles().meant(name));
    // A style of an element is for what is in it, too, unless that has one of its own: so the outer elements come first.
    const depthOf = (key) => {
      let depth = 0;
      for (let element = key.indexOf('.') > 0 && find(key.slice(0, key.indexOf('.')))[0]; element; element = element.parentElement) depth++;
      return depth;
    };
    for (const [key, value] of Object.entries(modifications).map((entry) => [depthOf(entry[0]), entry]).sort(([a], [b]) => a - b).map(([, entry]) => entry)) {
      const dot = key.indexOf('.');
      if (value === null || value === '') continue; // not given
      if (key === 'canvasBackgroundColor') {
        if (!supports('background', String(value))) {
          warn(`Modification ${key}: ${show(value)} is no CSS colour or gradient`, `the template's own background is kept${ofComment(value)}`);
          continue;
        }
        behind.colour = String(value);
      } else if (key === 'canvasBackgroundImage') {
        const [, , address = value] = /^\s*url\(\s*(["']?)(.*)\1\s*\)\s*$/s.exec(value) ?? [];
        behind.image = allowedURL(address, ['http:', 'https:', 'data:']);
        if (!behind.image) warn(`Modification ${key}: ${show(value)} is no image URL`, "it must begin with http://, https:// or data:image/; the template's own background is kept");
      } else if (dot > 0) {
        const elements = find(key.slice(0, dot));
        const property = key.slice(dot + 1);
        if (elements.length === 0) missing(key);
        for (const element of elements) {
          if (property === 'href') setLink(element, key, value);
          else styles().set(element, key, property, value);
        }
      }
    }
    if (behind.colour || behind.image) paintBehind(styles().override, behind);
    made?.finish();
  };
  // paintBehind gives the page a background: a colour or a gradient, and a picture in front of it. The root element gets it, because its background covers
  // the whole page. It is fixed, so that the page's size counts: the root element is only as high as its content.
  const paintBehind = (override, { colour, image }) => {
    const [root, body] = [document.documentElement, document.body];
    const { backgroundColor } = getComputedStyle(body);
    override(body, 'background', 'transparent');
    if (colour) override(root, 'background', colour);
    const own = getComputedStyle(root);
    const layers = own.backgroundImage === 'none' ? [] : [[own.backgroundImage, own.backgroundSize, own.backgroundPosition]];
    if (image) layers.unshift([`url("${escape(image)}")`, 'cover', 'center']);
    if (layers.length === 0) return;
    if (!colour && layers.length === 1 && own.backgroundColor === 'rgba(0, 0, 0, 0)') override(root, 'background-color', backgroundColor);
    ['background-image', 'background-size', 'background-position'].forEach((property, i) => override(root, property, layers.map((layer) => layer[i]).join()));
    override(root, 'background-attachment', 'fixed');
  };

  // names are those of values that a key could have meant, and styled what its style could have been for, at most 200 each.
  const names = new Set();
  const styled = new Set();
  share('names', names);
  share('elements', styled);

  // readByName returns the names of the values that the page's code reads, as in platen.modifications.accent or platen.modifications["accent"]; nothing if
  // it may read any. Package bindings tells the same.
  const readByName = () => {
    const scripts = [...document.querySelectorAll('script')];
    // A relative address leads nowhere.
    if (scripts.some(({ src }) => /^(https?|data|blob):/.test(src) && !src.startsWith(`${location.origin}/`))) return undefined;
    const handlers = document.evaluate('//@*[starts-with(name(), "on")]', document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE);
    const code = scripts.map(({ textContent }) => textContent);
    for (let i = 0; i < handlers.snapshotLength; i++) code.push(handlers.snapshotItem(i).value);
    const all = code.join('\n');
    const names = [];
    if (!all.includes('platen')) return names;
    const read = /(\bplaten\s*\??\.\s*)?\bmodifications\b(?:\s*\??\.\s*([\p{L}_$][\p{L}\p{M}\p{N}\p{Pc}$]*)|\s*(?:\?\.\s*)?\[\s*(?:'([^'\\\n]+)'|"([^"\\\n]+)")\s*\])?(\s*(?:\?\.\s*)?\(|\\)?/gu;
    for (const [, ofPlaten, word, quoted, inQuotes, more] of all.matchAll(read)) {
      const name = word ?? quoted ?? inQuotes;
      if (!ofPlaten || !name || more) return undefined;
      names.push(name);
    }
    return names;
  };

  // noteUnused lists the keys that the page does not use. Another page of the template may use them.
  const noteUnused = () => {
    const known = new Set();
    const meant = new Set();
    for (const attribute of ['data-param', 'data-param-href', 'data-if', 'data-each']) {
      for (const element of document.querySelectorAll(`[${attribute}]`)) {
        const path = element.getAttribute(attribute).replace(/^!/, '');
        const [name] = path.split('.');
        known.add(name);
        if (isPath(path)) meant.add(name).add(path);
        there.add(path);
      }
    }
    for (const key of Object.keys(modifications)) {
      if (key.indexOf('.') > 0 && find(key.slice(0, key.indexOf('.'))).length > 0) there.add(key);
    }
    const read = readByName();
    for (const name of read ?? []) {
      known.add(name);
      meant.add(name);
      there.add(name);
    }
    const elements = [...document.querySelectorAll('[id], [data-param]')].flatMap((element) => [element.id, element.getAttribute('data-param') ?? '']);
    for (const [from, to] of [[meant, names], [elements.filter((name) => isPath(name) && !name.includes('.')), styled]]) {
      for (const name of from) if (to.size < 200 && name !== '' && name.length <= 60) to.add(name);
    }
    if (!read) return;
    for (const key of Object.keys(modifications)) {
      if (!known.has(key) && key.indexOf('.') <= 0 && key !== 'canvasBackgroundColor' && key !== 'canvasBackgroundImage') unused.push(key);
    }
  };

  // Platen's attributes, with the values that one takes if not any.
  const attributes = new Map([
    ['data-param'], ['data-param-href'], ['data-if'], ['data-each'], ['data-fit', ['shrink', 'truncate']], ['data-platen-ready', ['false', 'true']],
  ]);
  // noteMistakes warns of attributes that are nearly Platen's, and of values that they do not take: without a warning, nobody would see why
  // nothing happens. An attribute that the page's code names is the author's own, and so is data-id. Package lint finds the same in the text.
  const noteMistakes = () => {
    const near = (name) => [...attributes.keys()].find((ours) => Math.abs(name.length - ours.length) <= 2 && distance(name, ours) <= Math.min(2, ours.length - 6));
    let code;
    const names = (name) => {
      code ??= [...document.querySelectorAll('script, style')].map(({ textContent }) => textContent).join('\n');
      const property = name.replace(/^data-?/, '').replaceAll('-', '');
      return new RegExp(`(^|[^\\w-])(${name}|dataset\\.${property})($|[^\\w-])`, 'i').test(code);
    };
    const found = document.evaluate('//@*[starts-with(name(), "dat")]', document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE);
    const seen = new Set();
    for (let i = 0; i < found.snapshotLength; i++) {
      const { name, value } = found.snapshotItem(i);
      const pair = attributes.has(name) ? `${name}=${show(value)}` : name;
      if (name === 'data-id' || seen.has(pair)) continue;
      seen.add(pair);
      if (!attributes.has(name)) {
        const meant = /^[a-z_-]+$/.test(name) && near(name);
        if (meant && !names(name)) warn(`${name} is no attribute of Platen`, `did you mean ${meant}?`);
        continue;
      }
      const takes = attributes.get(name);
      if (takes && !takes.includes(value)) warn(`${pair} does nothing`, `it must be ${takes.join(' or ')}`);
      const words = name === 'data-if' && (/^not\s/i.test(value) || /\s(?:and|or)\s/i.test(value) && !found.snapshotItem(i).ownerElement.closest('[data-each]'));
      if (words && !Object.hasOwn(modifications, value) && document.querySelector(`[data-param=${show(value)}]`) === null) {
        const [, opposite] = /^not\s+([^\s!]+)$/i.exec(value) ?? [];
        warn(`${pair} names no value`, opposite && isPath(opposite) ? `did you mean data-if="!${opposite}"?` : 'it must be one name, such as open, or !open for the opposite; an element within another asks for both');
      } else if (!takes && !isPath(value)) warn(`${pair} names no value`, 'it must be a name, such as headline or order.total, without spaces around it, without operators and brackets and without a dot in front; an item of a list is item');
    }
  };
  // placeholder matches one of another template language, such as {{headline}} or {{{headline}}}. Package lint has the same.
  const placeholder = /\{\{\{[^{}]{1,100}\}\}\}|\{\{[^{}]{1,100}\}\}/;
  // findPlaceholders returns the placeholders in what a page shows, and where they are: in a text, a style or a link. An element that shows code may mean
  // them. The browser warns of those in the addresses of files.
  const findPlaceholders = () => {
    const verbatim = 'ancestor::*[self::code or self::pre or self::kbd or self::samp or self::noscript or @hidden]';
    const has = '[contains(., "{{")]'; // first: only few nodes have one
    const places = [
      ['a text', `//body//text()${has}[not(parent::style) and not(parent::*[@data-bound]) and not(${verbatim})]`],
      ['a text', `//body//@*${has}[name() = "alt" or name() = "placeholder" or name() = "value" and not(parent::*[@data-bound])]`],
      ['a style', `//style/text()${has} | //@style${has}`],
      ['a link', `//a/@href${has}`],
    ];
    const found = new Map(); // placeholder and place → both
    for (const [place, query] of places) {
      const nodes = document.evaluate(query, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE);
      for (let i = 0; i < nodes.snapshotLength; i++) {
        const [name] = placeholder.exec(nodes.snapshotItem(i).nodeValue) ?? [];
        if (name) found.set(`${name} in ${place}`, { name, place });
      }
    }
    return found;
  };
  // warnOfPlaceholders warns of those that a page still has once it is filled in. Package lint finds the same in the text.
  const maxPlaceholders = 5;
  const warnOfPlaceholders = (before) => {
    if (before.size === 0) return;
    const left = [...findPlaceholders()].filter(([found]) => before.has(found));
    for (const [, { name, place }] of left.slice(0, maxPlaceholders)) {
      if (place === 'a text') warn(`${name} is shown as it is`, 'Platen fills elements by their attributes: data-param="headline" with a value');
      else if (place === 'a style') warn(`${name} in a style stays as it is`, 'a modification sets a style: card.backgroundImage, for instance, that of the element with the id card');
      else warn(`${name} in a link stays as it is`, 'Platen fills a link by its attribute data-param-href="shop" with its address');
    }
  };
  // isPath reports whether a value of data-param and the like may name a value.
  const isPath = (value) => Object.hasOwn(modifications, value)
    || /^!?[^\s.!=<>&|(){}[\]"']([^=<>&|(){}[\]"']*[^\s=<>&|(){}[\]"'])?$/.test(value) && !/[?.]\./.test(value);

  // fit makes text that is too large for its element smaller, or ends it with an ellipsis.
  const minimumFont = 6;
  const shorten = (text) => [...text.trim().replace(/\s+/g, ' ')].slice(0, 60).join('');
  // sizes returns how large a text and its box are: along its lines, and across them.
  const sizes = (element, style) => {
    const [width, height] = [[element.scrollWidth, element.clientWidth], [element.scrollHeight, element.clientHeight]];
    return style.writingMode.startsWith('horizontal') ? [width, height] : [height, width];
  };
  // growsWith reports whether a box gets larger with its lines. What is out of it then are letters that are higher than their line.
  const growsWith = (element, style) => {
    const [, [, before]] = sizes(element, style);
    const [value, priority] = [element.style.getPropertyValue('line-height'), element.style.getPropertyPriority('line-height')];
    element.style.setProperty('line-height', `${2 * (parseFloat(style.lineHeight) || parseFloat(style.fontSize))}px`, 'important');
    const [, [, after]] = sizes(element, style);
    element.style.setProperty('line-height', value, priority);
    return after > before;
  };
  // hang returns how far the letters of an element's own font hang out of its last line, which may be lower than they are.
  const hang = ({ fontStyle, fontWeight, fontSize, fontFamily, lineHeight }) => {
    const pen = new OffscreenCanvas(1, 1).getContext('2d');
    pen.font = `${fontStyle} ${fontWeight} ${fontSize} ${fontFamily}`;
    const { fontBoundingBoxAscent, fontBoundingBoxDescent } = pen.measureText('');
    const out = (fontBoundingBoxAscent + fontBoundingBoxDescent - parseFloat(lineHeight)) / 2; // NaN for a line of normal height
    return out > 0 ? Math.ceil(out) : 0;
  };
  const overflows = (element) => {
    const style = getComputedStyle(element);
    const [[length, room], [height, box]] = sizes(element, style);
    if (length > room) return true;
    if (height <= box) return false;
    // Smaller text hangs out less, so it may fit into a box that stays as it is. Shorter text hangs out as far.
    return element.dataset.fit === 'truncate' ? height > box + hang(style) : !growsWith(element, style);
  };
  // contents returns the boxes of an element's lines of text.
  const contents = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return [...range.getClientRects()];
  };
  // cutter returns the element around one that is smaller and hides a part of its text; undefined if there is none.
  const cutter = (element) => {
    let { position } = getComputedStyle(element);
    for (let around = element.parentElement; around && around !== document.body; around = around.parentElement) {
      const style = getComputedStyle(around);
      const holds = style.transform !== 'none' || (position === 'absolute' ? style.position !== 'static' : position !== 'fixed');
      if (!holds) continue; // it is not in this one
      ({ position } = style);
      if (around.clientWidth === 0 || style.overflow === 'visible') continue;
      const [own, shown] = [element.getBoundingClientRect(), around.getBoundingClientRect()];
      const isLarger = own.width > shown.width + 1 || own.height > shown.height + 1;
      const isCut = ({ left, right, top, bottom }) => left < shown.left - 1 || right > shown.right + 1 || top < shown.top - 1 || bottom > shown.bottom + 1;
      return isLarger && contents(element).some(isCut) ? around : undefined;
    }
    return undefined;
  };
  // letsIn returns the style with which the data-fit items of a flex or grid box would let their neighbours in; undefined if these are in, or if none does.
  // Such an item is as large as its text by itself.
  const letsIn = (around) => {
    const items = [...around.children].filter((item) => item.matches('[data-fit]') && item instanceof HTMLElement);
    for (const [property, size, room, own] of [['min-width', 'scrollWidth', 'clientWidth', 'offsetWidth'], ['min-height', 'scrollHeight', 'clientHeight', 'offsetHeight']]) {
      const open = items.filter((item) => computed(item, property) === 'auto').map((item) => [item, item.style.cssText, item[own]]);
      if (open.length === 0 || around[size] <= around[room] + 1) continue;
      for (const [{ style }] of open) {
        style.setProperty(property, '0', 'important');
        style.setProperty('overflow', 'hidden', 'important'); // or its text would count
      }
      const isIn = around[size] <= around[room] + 1 && open.some(([item, , before]) => item[own] < before);
      for (const [item, before] of open) item.style.cssText = before;
      if (isIn) return property;
    }
    return undefined;
  };
  const computed = (element, property) => getComputedStyle(element).getPropertyValue(property);
  const maxChecked = 50; // elements whose surroundings are looked at
  const fit = () => {
    // In a line, Chromium has the alternative text of an img without a picture for its size.
    for (const element of document.querySelectorAll(noImage)) if (getComputedStyle(element).display === 'inline') element.style.display = 'inline-block';
    for (const element of document.querySelectorAll('[data-fit]')) {
      const { display, fontSize } = getComputedStyle(element);
      if (element.textContent.trim() !== '' && (display === 'inline' || display === 'contents' || !(element instanceof HTMLElement))) {
        warn(`data-fit="${element.dataset.fit}" does nothing: ${shorten(element.textContent)}`, `<${element.localName}> has no box that its text could fill; give it display: block or inline-block, and a size`);
        continue;
      }
      if (element.dataset.fit === 'shrink') {
        let [low, high] = [Math.min(minimumFont, parseFloat(fontSize)), parseFloat(fontSize)];
        if (!overflows(element)) continue;
        while (high - low > 0.5) {
          const size = (low + high) / 2;
          element.style.fontSize = `${size}px`;
          if (overflows(element)) high = size;
          else low = size;
        }
        element.style.fontSize = `${low}px`;
        if (overflows(element)) {
          warn(`data-fit="shrink" cannot make the text fit: ${shorten(element.textContent)}`,
            `at ${low} pixels it still takes ${element.scrollWidth}x${element.scrollHeight} of ${element.clientWidth}x${element.clientHeight} pixels`);
        }
      } else if (element.dataset.fit === 'truncate') {
        const whole = [...new Intl.Segmenter().segment(element.textContent)].map(({ segment }) => segment);
        if (!overflows(element)) continue;
        let [low, high] = [0, whole.length];
        while (low < high) {
          const middle = Math.ceil((low + high) / 2);
          element.textContent = `${whole.slice(0, middle).join('').trimEnd()}…`;
          if (overflows(element)) high = middle - 1;
          else low = middle;
        }
        element.textContent = `${whole.slice(0, low).join('').trimEnd()}…`;
      }
    }
    const boxes = new Map(); // box → the style that lets its items in
    for (const element of [...document.querySelectorAll('[data-fit]')].slice(0, maxChecked)) {
      if (element.textContent.trim() === '' || !(element instanceof HTMLElement)) continue;
      const [text, box] = [shorten(element.textContent), element.parentElement];
      const isNew = !boxes.has(box);
      if (isNew) boxes.set(box, letsIn(box));
      const property = boxes.get(box);
      const around = property ? undefined : cutter(element);
      if (property && isNew) {
        warn(`data-fit="${element.dataset.fit}" leaves the <${box.localName}> around it too small: ${text}`, `an item of a flex or grid box is as large as its text; ${property}: 0 lets it be smaller`);
      } else if (around) {
        warn(`data-fit="${element.dataset.fit}" fits text to an element that is cut: ${text}`,
          `it takes ${element.offsetWidth}x${element.offsetHeight} pixels of the <${around.localName}> around it, which shows ${around.clientWidth}x${around.clientHeight}; give it a size, or max-width: 100% and max-height: 100%`);
      }
    }
  };
  share('fit', fit);

  // noImage matches an img that nothing gives a picture. Chromium paints a frame in its place, or an icon and its alternative text.
  const noImage = 'img[data-param]:not([hidden], [src]:not([src=""]), [srcset], picture:has(source) > img)';
  // addRule adds a rule that gives way to those of the page.
  const addRule = (selector, declaration) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`:where(${selector}) { ${declaration} }`);
    document.adoptedStyleSheets.push(sheet);
  };
  let filled = false;
  const fill = () => {
    if (filled) return;
    filled = true;
    noteUnused();
    noteMistakes();
    const placeholders = hasCode() ? new Map() : findPlaceholders(); // a script may fill them
    bind(document, []);
    special();
    warnOfPlaceholders(placeholders);
    if (document.querySelector('math')) addRule('math', 'font-family: "DejaVu Math TeX Gyre", math'); // only few fonts have what formulas need
    if (document.querySelector(noImage)) addRule(noImage, 'content: linear-gradient(transparent, transparent)');
  };
  const loadingStopped = 'A script of the page stopped its loading';
  // The job has this page painted, and no other. A page of an origin that is its own alone does not get the event.
  window.navigation?.addEventListener('navigate', (event) => {
    const { url, sameDocument } = event.destination;
    if (sameDocument || !event.cancelable) return;
    event.preventDefault();
    const stopped = warnings.findIndex(({ title }) => title === loadingStopped); // a form stops it first
    if (stopped >= 0) warnings.splice(stopped, 1);
    const what = event.navigationType === 'reload' ? 'loaded again' : `left for ${url === location.href ? 'itself' : url.slice(0, 300)}`;
    warn(`The page was to be ${what}`, 'it is painted as it is: a script or a form must not go to another page');
  });
  // A capturing listener of the window runs before every listener of the page.
  addEventListener('DOMContentLoaded', fill, { capture: true, once: true });
  // A page that stops its own loading is complete without that event.
  document.addEventListener('readystatechange', () => {
    if (document.readyState !== 'complete' || filled) return;
    warn(loadingStopped, 'window.stop() ends a page where it is: what comes after it is missing');
    fill();
  });
})
