// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Makes a page fit the sheet that was asked for, which is as large as the viewport: nothing that the page says about paper changes the size,
// the scale or the position of what is printed. It warns of what was not followed. It runs with the style sheets for print. list has the
// document and its shadow roots, wide matches gradients in other colour spaces than sRGB, and drawnElsewhere tells of an element whether it is a canvas that an OffscreenCanvas draws.
// margin is the distance from the page to each edge of the sheet, in 1/96 inch of paper.
((warn, list, wide, drawnElsewhere, margin) => {
  const millimetre = 96 / 25.4;
  const papers = {
    a5: [148, 210], a4: [210, 297], a3: [297, 420], b5: [176, 250], b4: [250, 353], 'jis-b5': [182, 257], 'jis-b4': [257, 364],
    letter: [215.9, 279.4], legal: [215.9, 355.6], ledger: [279.4, 431.8],
  };
  const pixels = (length) => {
    try {
      return CSSNumericValue.parse(length).to('px').value;
    } catch {
      return NaN; // in a unit that depends on a font
    }
  };
  // differs reports whether a size of @page is another one than the sheet's.
  const differs = (size) => {
    const words = size.toLowerCase().split(/\s+/).filter((word) => word !== 'auto' && word !== '');
    const turned = words.find((word) => word === 'portrait' || word === 'landscape');
    const rest = words.filter((word) => word !== turned);
    let sides = [innerWidth, innerHeight];
    if (papers[rest[0]]) sides = papers[rest[0]].map((side) => side * millimetre);
    else if (rest.length > 0) sides = [pixels(rest[0]), pixels(rest[1] ?? rest[0])];
    if (turned) sides.sort((a, b) => (turned === 'landscape' ? b - a : a - b));
    return !(Math.abs(sides[0] - innerWidth) <= 1 && Math.abs(sides[1] - innerHeight) <= 1);
  };
  // A border takes room too, once it has a style.
  const unwanted = /^(size|page-orientation|((margin|padding|border)-(top|right|bottom|left)(-style)?|(min-|max-)?(width|height)))$/;
  const followed = (name, value) => {
    if (name === 'size') return !differs(value);
    return /^(0[a-z%]*|auto|none|initial|unset|upright)$/.test(value);
  };
  const ignored = new Set();
  const hidden = new Set();
  // hides warns of text that only rules for print hide. A selector that says print, such as .no-print, is meant so.
  const hides = (rule) => {
    if (rule.style.display !== 'none' && rule.style.visibility !== 'hidden' || /print/i.test(rule.selectorText)) return;
    for (const element of document.querySelectorAll(rule.selectorText)) {
      if (element.textContent.trim() !== '' && !element.closest('head, script, style, template') && !element.checkVisibility({ visibilityProperty: true })) hidden.add(element);
    }
  };
  const read = (rules, print) => {
    for (const rule of rules) {
      if (rule instanceof CSSPageRule) {
        for (const name of [...rule.style].filter((property) => unwanted.test(property))) {
          if (!followed(name, rule.style.getPropertyValue(name))) ignored.add(`${rule.selectorText} ${name.replace(/-(top|right|bottom|left).*$/, '')}`.trim());
          rule.style.removeProperty(name);
        }
        for (const [box] of rule.cssText.matchAll(/@(top|bottom|left|right)-[a-z-]+/g)) ignored.add(`${rule.selectorText} ${box}`.trim());
      } else if (rule instanceof CSSStyleRule && print) {
        hides(rule);
      } else if (rule instanceof CSSImportRule) {
        readSheet(rule.styleSheet, rule.media.mediaText);
      } else if (rule.cssRules && !(rule instanceof CSSStyleRule)) {
        read(rule.cssRules, print || rule instanceof CSSMediaRule && isPrint(rule.media.mediaText));
      }
    }
  };
  const isPrint = (media) => /\bprint\b/i.test(media) && matchMedia(media).matches;
  const readSheet = (sheet, media) => {
    let rules = [];
    try {
      rules = sheet.cssRules;
    } catch {
      return; // of another origin: its rules are overruled, unread
    }
    read(rules, isPrint(media));
  };
  for (const sheet of [...document.styleSheets, ...document.adoptedStyleSheets]) readSheet(sheet, sheet.media.mediaText);
  // Chromium does not know these, so that its rules do not have them.
  for (const { textContent } of document.querySelectorAll('style')) {
    for (const [block] of textContent.matchAll(/@page[^{}]*\{(?:[^{}]|\{[^{}]*\})*/g)) {
      for (const [, name] of block.matchAll(/[{;\s](bleed|marks)\s*:/g)) ignored.add(name);
    }
  }
  // Nor these, with which other makers of documents move text to margins and notes, and number what refers to another page.
  const foreign = {
    'position: running()': /position\s*:\s*running\(/i, 'float: footnote': /float\s*:\s*footnote\b/i, 'string-set': /[{;\s]string-set\s*:/i,
    'target-counter()': /\btarget-(counters?|text)\(/i, 'leader()': /\bleader\(/i,
  };
  const styles = [...document.querySelectorAll('style')].map(({ textContent }) => textContent.replace(/\/\*[^]*?\*\//g, '')).join('\n');
  const unknown = Object.keys(foreign).filter((rule) => foreign[rule].test(styles));
  if (unknown.length > 0) {
    warn(`Rules for paper that the browser does not know: ${unknown.join(', ')}`, 'what they move stays in the page, and what they number is not shown; write it into the page itself');
  }
  if (ignored.size > 0) {
    warn(`Rules of @page were not followed: ${[...ignored].join(', ')}`, `the sheet has the size of the template's page, ${innerWidth}x${innerHeight} pixels, and output.pdf.margin around it`);
  }
  if (hidden.size > 0) {
    const [first] = hidden;
    warn(`Rules for print hide text: ${first.textContent.trim().replace(/\s+/g, ' ').slice(0, 80)}`, `${hidden.size} element${hidden.size === 1 ? '' : 's'}; a selector with the word print, such as .no-print, hides without a warning`);
  }
  // The sheet does not scroll: what follows a scroll position stays where it is.
  for (const animation of list.flatMap((root) => root.getAnimations())) {
    const { effect, timeline } = animation;
    if (timeline instanceof DocumentTimeline || !effect) continue;
    const { progress } = effect.getComputedTiming();
    if (progress === null) {
      animation.cancel();
      continue;
    }
    effect.updateTiming({ delay: 0, endDelay: 0, duration: 1, iterations: 1, iterationStart: 0, direction: 'normal', easing: 'linear', fill: 'both' });
    animation.timeline = document.timeline;
    animation.pause();
    animation.currentTime = progress;
  }
  // Chromium moves a line or a picture that does not fit to the next sheet, which nobody sees, unless it is in a box that cannot be cut in
  // two: one whose size is contained. Such a root element has what the body gives the page otherwise.
  const [root, body] = [document.documentElement, document.body];
  const [page, own] = [getComputedStyle(root), body && getComputedStyle(body)];
  const move = (names) => {
    const values = names.map((name) => own.getPropertyValue(name));
    names.forEach((name, i) => root.style.setProperty(name, values[i], 'important'));
  };
  root.style.setProperty('contain-intrinsic-size', `${page.width} ${page.height}`, 'important');
  if (body) {
    if (page.backgroundImage === 'none' && /^rgba\(.*, 0\)$/.test(page.backgroundColor)) {
      move(['color', 'image', 'size', 'repeat', 'attachment', 'origin', 'clip', 'position-x', 'position-y', 'blend-mode'].map((name) => `background-${name}`));
      body.style.setProperty('background', 'none', 'important');
    }
    if (page.overflow === 'visible' && own.overflow !== 'visible') {
      move(['overflow-x', 'overflow-y']);
      body.style.setProperty('overflow', 'visible', 'important');
    }
    move(['direction', 'writing-mode']);
  }
  root.style.setProperty('contain', 'size', 'important');
  // What is positioned on the page itself is not in the root element's box. It is cut where it is laid out, before a transform moves it.
  const transforms = ['transform', 'translate', 'rotate', 'scale', 'offset-path'];
  const set = (element, values) => { for (const [name, value] of Object.entries(values)) element.style.setProperty(name, value, 'important'); };
  const laidOut = (element) => {
    const before = element.getAttribute('style');
    set(element, { transition: 'none', ...Object.fromEntries(transforms.map((name) => [name, 'none'])) });
    const box = element.getBoundingClientRect();
    if (before === null) element.removeAttribute('style');
    else element.setAttribute('style', before);
    return box;
  };
  for (const element of list[0].querySelectorAll('*')) {
    const style = getComputedStyle(element);
    if (style.position !== 'absolute') continue;
    const shown = element.getBoundingClientRect();
    const moved = transforms.some((name) => style.getPropertyValue(name) !== 'none');
    const { top, bottom } = moved ? laidOut(element) : shown;
    if (shown.top >= innerHeight || bottom <= innerHeight) continue;
    const { width, height, translate } = style;
    set(element, { width, height, contain: 'size', transition: 'none' });
    if (top < innerHeight && style.display !== 'table') continue; // a table's size cannot be contained
    set(element, { top: '0', bottom: 'auto' });
    const [x, y = '0px', z = ''] = translate === 'none' ? ['0px'] : translate.match(/(?:[^\s()]+|\([^()]*\))+/g);
    set(element, { translate: `${x} calc(${y} + ${shown.top - element.getBoundingClientRect().top}px) ${z}` });
  }
  // What the browser prints otherwise than it shows it is made so that both are the same, or told.
  const elements = list.flatMap((root) => [...root.querySelectorAll('*')]);
  const unlike = new Map(); // what a document does not show → the first element that has it
  const spaces = []; // elements whose children are boxes in three dimensions
  let blends = false;
  // turned reports whether an element shows its back.
  const turned = (element) => {
    let matrix = new DOMMatrix();
    for (let e = element; e; e = e.parentElement) {
      const { transform, transformStyle } = getComputedStyle(e);
      if (e !== element && transformStyle !== 'preserve-3d') break;
      if (transform !== 'none') matrix = new DOMMatrix(transform).multiply(matrix);
    }
    const { m11, m12, m13, m21, m22, m23, m31, m32, m33 } = matrix;
    const flat = m11 * m22 - m12 * m21;
    return !matrix.is2D && flat * (m11 * (m22 * m33 - m23 * m32) - m12 * (m21 * m33 - m23 * m31) + m13 * (m21 * m32 - m22 * m31)) < 0;
  };
  // Breaks between sheets mean nothing, and those between columns what they mean in a picture.
  const breaks = ['break-before', 'break-after', 'break-inside'];
  const broken = []; // elements, and their breaks between columns
  const above = (element) => element.assignedSlot ?? element.parentElement ?? element.getRootNode().host;
  const inColumns = (element) => {
    for (let e = above(element); e; e = above(e)) {
      const { columnCount, columnWidth } = getComputedStyle(e);
      if (columnCount !== 'auto' || columnWidth !== 'auto') return true;
    }
    return false;
  };
  const forced = /^(page|always|all|left|right|recto|verso)$/;
  const parted = []; // elements with a forced break between them and what is beside them
  const isBeside = (node) => {
    if (!(node instanceof Element)) return node instanceof Text && node.data.trim() !== '';
    const { display, position } = getComputedStyle(node);
    return display !== 'none' && !isOff(position);
  };
  const isOff = (position) => position === 'absolute' || position === 'fixed';
  const isParted = (element, style, property, sibling) => {
    if (!forced.test(style.getPropertyValue(property)) || /^(inline|contents)$/.test(style.display) || inColumns(element)) return false;
    for (let within = element; within; within = within.parentElement) { // a break of the last child is its parent's, too
      if (isOff(getComputedStyle(within).position)) return false;
      for (let beside = within[sibling]; beside; beside = beside[sibling]) if (isBeside(beside)) return true;
    }
    return false;
  };
  for (const element of elements) {
    const layers = element.matches('dialog, [popover]') && element.matches(':modal, :popover-open') ? ['::backdrop'] : [];
    for (const pseudo of ['', '::before', '::after', ...layers]) {
      const style = getComputedStyle(element, pseudo);
      if (/^(none|)$/.test(style.display) || style.visibility === 'hidden' || /^::(before|after)$/.test(pseudo) && style.content === 'none') continue; // what has no place in the page has no style
      const { backdropFilter, backfaceVisibility, backgroundImage, borderImageSource, maskComposite, maskImage, mixBlendMode } = style;
      const note = (what) => { if (!unlike.has(what)) unlike.set(what, element); };
      blends ||= mixBlendMode !== 'normal';
      const kept = pseudo === '' ? breaks.map((name) => [name, style.getPropertyValue(name)]).filter(([, value]) => /^(avoid|column|avoid-column)$/.test(value)) : [];
      if (kept.length > 0) broken.push([element, kept]);
      if (pseudo === '' && (isParted(element, style, 'break-before', 'previousSibling') || isParted(element, style, 'break-after', 'nextSibling'))) parted.push(element);
      if (pseudo === '' && style.transformStyle === 'preserve-3d' && element instanceof HTMLElement) spaces.push(element);
      if (pseudo === '' && backfaceVisibility === 'hidden' && turned(element)) element.style.setProperty('opacity', '0', 'important');
      if (backdropFilter !== 'none') note('backdrop-filter');
      if (/cross-fade\(/.test(backgroundImage)) note('cross-fade()');
      if (mixBlendMode.startsWith('plus-')) note(`mix-blend-mode: ${mixBlendMode}`);
      if (maskImage !== 'none' && maskImage.split(/,(?![^(]*\))/).length > 1 && /exclude|intersect/.test(maskComposite)) note(`mask-composite: ${maskComposite.split(',')[0]}`);
      if (wide.test(`${backgroundImage} ${borderImageSource}`)) note('gradients in other colour spaces than sRGB');
    }
    // One that is drawn elsewhere has nothing to print.
    if (drawnElsewhere(element)) {
      const copy = Object.assign(element.cloneNode(), { width: element.width, height: element.height });
      copy.getContext('2d').drawImage(element, 0, 0);
      element.replaceWith(copy);
    }
  }
  if (parted.length > 0) {
    const [{ localName, id }] = parted;
    warn(`Rules for page breaks were not followed: ${localName}${id && `#${id}`}${parted.length === 1 ? '' : ` (${parted.length} elements)`}`, 'each page of the template is one sheet: give the template a page for each');
  }
  for (const [element, kept] of broken) if (inColumns(element)) set(element, Object.fromEntries(kept));
  // The browser prints boxes in a space of three dimensions one after the other as the page lists them, not by their depth. They get their order
  // here. A box cannot hide another if all of it is on the far side of the other's plane.
  const near = 0.5;
  const point = (matrix, x, y, z = 0) => { const p = matrix.transformPoint({ x, y, z }); return [p.x / p.w, p.y / p.w, p.z / p.w]; };
  const minus = (a, b) => a.map((value, i) => value - b[i]);
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  // inParent returns the matrix of a box in its parent's.
  const inParent = (element) => {
    const { transform, translate, rotate, scale, transformOrigin, offsetPath } = getComputedStyle(element);
    const { parentElement: parent } = element;
    const left = element.offsetLeft - (element.offsetParent === parent ? 0 : parent.offsetLeft);
    const top = element.offsetTop - (element.offsetParent === parent ? 0 : parent.offsetTop);
    const [x, y, z = 0] = transformOrigin.split(' ').map(parseFloat);
    if ([translate, rotate, scale, offsetPath].some((value) => value !== 'none')) return null; // nobody writes these in a space
    const own = new DOMMatrix().translate(left + x, top + y, z);
    return (transform === 'none' ? own : own.multiply(new DOMMatrix(transform))).translate(-x, -y, -z);
  };
  const boxOf = (element, matrix) => {
    const { offsetWidth: w, offsetHeight: h } = element;
    return { corners: [[0, 0], [w, 0], [w, h], [0, h]].map(([x, y]) => point(matrix, x, y)), rect: element.getBoundingClientRect() };
  };
  const blank = (element) => {
    const { backgroundColor, backgroundImage, borderTopWidth } = getComputedStyle(element);
    return /^rgba\(.*, 0\)$/.test(backgroundColor) && backgroundImage === 'none' && borderTopWidth === '0px' &&
      ![...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '');
  };
  // planes returns the boxes of a space from an element on: their corners, and where they are on the sheet.
  const planes = (element, space) => {
    const { display, visibility, opacity, transformStyle } = getComputedStyle(element);
    const own = element instanceof HTMLElement && display !== 'none' && opacity !== '0' ? inParent(element) : null;
    if (!own) return [];
    const matrix = space.multiply(own);
    const nested = transformStyle === 'preserve-3d';
    const list = nested && blank(element) || visibility !== 'visible' || element.offsetWidth * element.offsetHeight === 0 ? [] : [boxOf(element, matrix)];
    return nested ? [...list, ...[...element.children].flatMap((child) => planes(child, matrix))] : list;
  };
  // sides returns where a box is, seen from another's plane: 1 for the viewer's side, -1 for the other, 0 for within it, NaN for both.
  const sides = (box, { corners: [a, b, , d] }, viewer) => {
    const [u, v] = [minus(b, a), minus(d, a)];
    let normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    const length = Math.hypot(...normal);
    if (length < near) return 0;
    const seen = dot(normal, minus(viewer, a)) < 0 ? -1 : 1;
    normal = normal.map((value) => value * seen / length);
    const far = box.corners.map((corner) => dot(normal, minus(corner, a)));
    const [front, back] = [far.some((value) => value > near), far.some((value) => value < -near)];
    return front && back ? NaN : front - back;
  };
  // order returns 1 if box a hides box b, -1 if b hides a, 0 if neither, NaN if they go through each other.
  const order = (a, b, viewer) => {
    const [r, s] = [a.rect, b.rect];
    if (Math.min(r.right, s.right) - Math.max(r.left, s.left) < 2 || Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top) < 2) return 0;
    const [one, two] = [sides(a, b, viewer), sides(b, a, viewer)];
    const [mayHide, mayBeHidden] = [one !== -1 && two !== 1, one !== 1 && two !== -1];
    if (mayHide && mayBeHidden) return one === 0 && two === 0 ? 0 : NaN;
    return mayHide - mayBeHidden;
  };
  const maxBoxes = 60;
  const [beneath, crossing] = ['boxes behind the one that holds them', 'boxes that go through each other'];
  for (const space of spaces) {
    // The viewer is as far away as the next perspective says, in the coordinates of the box that has it.
    let matrix = new DOMMatrix();
    let viewer = [space.offsetWidth / 2, space.offsetHeight / 2, 1e6];
    for (let e = space; e && matrix; e = e.parentElement) {
      const own = inParent(e);
      matrix = own && own.multiply(matrix);
      const parent = e.parentElement && getComputedStyle(e.parentElement);
      if (parent && parent.perspective !== 'none') {
        viewer = [...parent.perspectiveOrigin.split(' ').map(parseFloat), parseFloat(parent.perspective)];
        break;
      }
      if (parent?.transformStyle !== 'preserve-3d') break;
    }
    if (!matrix) continue;
    const units = [...space.children].map((element) => [element, planes(element, matrix)]).filter(([, list]) => list.length > 0);
    const holder = boxOf(space, matrix);
    if (!blank(space) && !unlike.has(beneath) && units.some(([, list]) => list.some((box) => order(holder, box, viewer) === 1))) unlike.set(beneath, space);
    if (units.length > maxBoxes || units.every(([, [{ corners }]], i) => i === 0 || corners.every(([, , z]) => Math.abs(z - units[0][1][0].corners[0][2]) < near))) continue;
    const hides = (a, b) => {
      const found = new Set(a.flatMap((one) => b.map((other) => order(one, other, viewer))).filter((side) => side !== 0));
      return found.size > 1 ? NaN : [...found][0] ?? 0;
    };
    const rest = [...units].sort(([a], [b]) => (parseInt(getComputedStyle(a).zIndex, 10) || 0) - (parseInt(getComputedStyle(b).zIndex, 10) || 0));
    const sorted = [];
    let through = false;
    while (rest.length > 0) {
      const sides = rest.map(([, a]) => rest.map(([, b]) => (a === b ? 0 : hides(a, b))));
      through ||= sides.flat().some(Number.isNaN);
      const next = sides.findIndex((row) => !row.includes(1)); // it hides none of the rest
      through ||= next < 0;
      sorted.push(...rest.splice(Math.max(next, 0), 1));
    }
    if (through && !unlike.has(crossing)) unlike.set(crossing, space);
    sorted.forEach(([element], i) => {
      if (getComputedStyle(element).position === 'static') set(element, { position: 'relative', inset: 'auto' });
      set(element, { 'z-index': String(i) });
    });
  }
  // Links whose target no reader of the document has.
  const dead = (element) => {
    const href = /^a$/i.test(element.localName) ? element.getAttribute('href') ?? element.getAttribute('xlink:href') : null;
    if (href === null) return false;
    const [, name] = href.match(/^#(.*)$/) ?? [];
    if (name === undefined) {
      const { protocol, host } = URL.parse(href, document.baseURI) ?? {};
      return host === location.host || /^(javascript|file|blob|data|about|cid):$/.test(protocol);
    }
    if (name === '' || /^top$/i.test(name)) return false;
    const found = (id) => document.getElementById(id) ?? document.getElementsByName(id)[0];
    try {
      return !found(name) && !found(decodeURIComponent(name));
    } catch {
      return true;
    }
  };
  const nowhere = elements.filter(dead);
  if (nowhere.length > 0) {
    const [link] = nowhere;
    warn(`A link leads nowhere: ${(link.getAttribute('href') ?? link.getAttribute('xlink:href')).slice(0, 80)}`,
      `${link.textContent.trim().replace(/\s+/g, ' ').slice(0, 80)}${nowhere.length > 1 ? ` and ${nowhere.length - 1} more` : ''}; in a document, a link leads to an element of its own page, or to a URL such as https://example.com/, not to a relative one`);
  }
  const areas = elements.filter((element) => element.localName === 'area' && element.hasAttribute('href'));
  if (areas.length > 0) {
    warn(`A link of an image map is not in a document: ${areas[0].href.slice(0, 80)}`, `${areas.length} element${areas.length === 1 ? '' : 's'}; put a link (a) over the picture`);
  }
  if (unlike.size > 0) {
    const [[, { localName, id, className }]] = unlike;
    warn(`A document does not show this as a picture does: ${[...unlike.keys()].join(', ')}`,
      `in <${localName}${id ? ` id="${id}"` : className && typeof className === 'string' ? ` class="${className}"` : ''}>; put a picture in its place, or render to png`);
  }
  // The browser prints the page's background before everything else, so that nothing blends with it. A copy of it that is a box is blended with, if it
  // is not positioned on the page itself. One that stands while the page scrolls would be as large as the page; its copy is as large as the sheet.
  const { backgroundColor, backgroundImage, backgroundAttachment } = getComputedStyle(root);
  const stands = backgroundImage !== 'none' && /^fixed(, fixed)*$/.test(backgroundAttachment);
  if ((blends || stands) && (backgroundImage !== 'none' || !/^rgba\(.*, 0\)$/.test(backgroundColor))) {
    const names = ['color', 'image', 'size', 'repeat', 'position-x', 'position-y', 'blend-mode', 'attachment'].map((name) => `background-${name}`);
    const { left, top, right, bottom } = root.getBoundingClientRect();
    const [width, height] = stands ? [innerWidth, innerHeight] : [Math.max(innerWidth, right), Math.max(innerHeight, bottom)];
    const make = (parent, style) => {
      const element = parent.appendChild(document.createElement('div'));
      for (const [name, value] of Object.entries({ all: 'initial', display: 'block', ...style })) element.style.setProperty(name, value, 'important');
      return element;
    };
    const holder = make(root, { position: 'relative', 'z-index': '-2147483648', height: '0' });
    const from = holder.getBoundingClientRect();
    const paper = make(holder, { position: 'absolute', left: `${-from.left}px`, top: `${-from.top}px`, width: `${width}px`, height: `${height}px`, background: '#fff', contain: 'size' });
    const sides = stands ? '0' : [top, width - right, height - bottom, left].map((side) => `${Math.max(0, side)}px`).join(' ');
    const copied = Object.fromEntries(names.map((name) => [name, getComputedStyle(root).getPropertyValue(name)]));
    if (stands) copied['background-attachment'] = 'scroll';
    make(paper, { 'box-sizing': 'border-box', height: '100%', border: 'solid transparent', 'border-width': sides, ...copied });
  }
  const corners = ['top-left-corner', 'top-right-corner', 'bottom-left-corner', 'bottom-right-corner'];
  const rows = ['top', 'bottom'].flatMap((side) => ['left', 'center', 'right'].map((place) => `${side}-${place}`));
  const columns = ['left', 'right'].flatMap((side) => ['top', 'middle', 'bottom'].map((place) => `${side}-${place}`));
  const boxes = [...corners, ...rows, ...columns].map((name) => `@${name} { content: none !important }`).join(' ');
  const sheet = new CSSStyleSheet();
  // Once a rule sets the margin, the browser ignores that of its print command, so the rule repeats it.
  sheet.replaceSync(`@page { size: auto !important; margin: ${margin}px !important; padding: 0 !important; border: none !important; page-orientation: upright !important; ${boxes} }
    *, ::before, ::after { page: auto !important; break-before: auto !important; break-after: auto !important; break-inside: auto !important }`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
})
