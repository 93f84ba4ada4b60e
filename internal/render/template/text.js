// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Looks at a page's text and warns of what a reader would miss: letters that no font has, and in a picture or a document words that run out of
// their box and text that is cut at the edge of the page, of a field or of a drawing. written lists the elements that hold text, each with its style, its text
// nodes, and whether only the letters of these count.
((warn, { print, still }, written) => {
  const scripts = [
    'Devanagari', 'Bengali', 'Arabic', 'Han', 'Hiragana', 'Katakana', 'Hangul', 'Thai', 'Tamil', 'Telugu', 'Kannada', 'Malayalam', 'Gujarati', 'Gurmukhi',
    'Oriya', 'Sinhala', 'Myanmar', 'Khmer', 'Lao', 'Tibetan', 'Ethiopic', 'Georgian', 'Armenian', 'Hebrew', 'Cyrillic', 'Greek', 'Latin', 'Mongolian', 'Javanese',
    'Balinese', 'Sundanese', 'Cherokee', 'Thaana', 'Syriac', 'Tifinagh', 'Nko', 'Adlam', 'Vai', 'Ol_Chiki', 'Canadian_Aboriginal', 'Yi', 'Bopomofo', 'Egyptian_Hieroglyphs',
    'Cuneiform', 'Gothic', 'Runic', 'Ogham', 'Coptic',
  ].map((name) => [name.replaceAll('_', ' '), new RegExp(`\\p{Script=${name}}`, 'u')]);
  const scriptOf = (character) => {
    if (/\p{Emoji_Presentation}/u.test(character)) return 'Emoji';
    if (/\p{Co}/u.test(character)) return 'Private use';
    return scripts.find(([, pattern]) => pattern.test(character))?.[0] ?? 'Symbols';
  };
  const maxWarnings = 12;
  let left = maxWarnings;
  const complain = (title, details) => { if (left-- > 0) warn(title, details); };
  const short = (text, length = 60) => {
    const clean = text.trim().replace(/\s+/g, ' ');
    return clean.length > length ? `${[...clean].slice(0, length).join('').trimEnd()}…` : clean;
  };
  // name returns the element's tag with what a person finds it by.
  const name = (element) => {
    const attributes = ['id', 'class', 'data-param', 'lang'].map((key) => [key, element.getAttribute(key)]).filter(([, value]) => value);
    return `<${[element.localName, ...attributes.map(([key, value]) => `${key}="${value.slice(0, 40)}"`)].join(' ')}>`;
  };

  // Letters. One that no font has is painted as the box of the element's font, the same box as one that cannot exist.
  const plain = /^[\u0000-\u024f\u2010-\u2027\u2030-\u205e\u20ac\u2122]*$/;
  const visible = /[^\p{Cc}\p{Cf}\p{Cs}\p{Zs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
  const impossible = '\u{10fffd}';
  const maxLetters = 2000;
  const size = 24;
  const pens = new Map(); // document → pen, and what is known: font → letter → whether a font has it
  let letters = 0;
  let pen;
  let known;
  const picture = (text) => {
    pen.clearRect(0, 0, 2 * size, 2 * size);
    pen.fillText(text, size / 2, 1.5 * size);
    return pen.getImageData(0, 0, 2 * size, 2 * size).data;
  };
  // take makes the fonts of a document count.
  const take = (page) => {
    if (!pens.has(page)) {
      const canvas = Object.assign(page.createElement('canvas'), { width: 2 * size, height: 2 * size });
      pens.set(page, [canvas.getContext('2d', { willReadFrequently: true }), new Map()]);
    }
    [pen, known] = pens.get(page);
  };
  const missing = (text, style) => {
    const font = `${style.fontStyle} ${style.fontWeight} ${size}px ${style.fontFamily}`;
    pen.font = font;
    if (!known.has(font)) known.set(font, { box: picture(impossible), width: pen.measureText(impossible).width, has: new Map() });
    const { box, width, has } = known.get(font);
    const found = [];
    for (const letter of new Set(text.match(visible) ?? [])) {
      if (plain.test(letter)) continue;
      if (!has.has(letter)) {
        if (++letters > maxLetters) return found;
        const same = pen.measureText(letter).width === width && picture(letter).every((value, i) => value === box[i]);
        has.set(letter, !same);
      }
      if (!has.get(letter)) found.push(letter);
    }
    return found;
  };
  // WenQuanYi Micro Hei has kana and punctuation in wrong places of vertical lines.
  const uneven = (text, style) => {
    const [letter] = text.match(/[\p{Script=Hiragana}\p{Script=Katakana}\u3001\u3002\u300c-\u300f\uff08\uff09\uff0c]/u) ?? [];
    if (letter === undefined || style.writingMode === 'horizontal-tb' || style.textOrientation === 'sideways') return false;
    missing('', style);
    const shown = picture(letter);
    pen.font = `${style.fontStyle} ${style.fontWeight} ${size}px "WenQuanYi Micro Hei", monospace`;
    const its = picture(letter);
    return shown.every((value, i) => value === its[i]);
  };
  // apart returns the emoji of a text that no font joins, so that their parts are shown one by one, and the flags that none has.
  const segmenter = new Intl.Segmenter();
  const apart = (text, style) => {
    if (!/\u200d|\p{Regional_Indicator}|[\u{e0061}-\u{e007a}]/u.test(text)) return [];
    missing('', style);
    const one = pen.measureText('😀').width;
    const unknown = '🇽🇽'; // shown as such flags are
    return [...segmenter.segment(text)].map(({ segment }) => segment).filter((segment) => {
      if (!/\p{Extended_Pictographic}|\p{Regional_Indicator}/u.test(segment)) return false;
      if (pen.measureText(segment).width > 1.6 * one) return true;
      if (!/^\p{Regional_Indicator}{2}$/u.test(segment)) return false;
      const none = picture(unknown);
      return picture(segment).every((value, i) => value === none[i]);
    });
  };
  const split = new Map(); // emoji → the first text and its element
  let crooked = false; // it is said once
  const lacking = new Map(); // script → letters, the first text and its element

  // Boxes.
  const inline = /^(inline|contents|ruby)/;
  const box = (element) => {
    while (element.parentElement && inline.test(getComputedStyle(element).display)) element = element.parentElement;
    return element;
  };
  const tolerance = 2;
  // around returns the flex or grid box in which an element lies, unless somebody has moved it out; null if there is none. Such an item grows with its
  // content, and so leaves the box instead of its own edge.
  const maxAround = 32; // boxes within each other that a text is compared with
  const outer = new Map(); // element → its flex or grid box
  const around = (element) => {
    const path = [];
    let found = null;
    for (let e = element; e; e = e.parentElement) {
      if (outer.has(e)) {
        found = outer.get(e);
        break;
      }
      path.push(e);
      const { position, left, right, transform, marginLeft, marginRight, overflow } = getComputedStyle(e);
      const shifted = position !== 'static' && ![left, right].some((side) => /^(auto|0px)$/.test(side));
      if (/^(absolute|fixed)$/.test(position) || shifted || transform !== 'none' || parseFloat(marginLeft) < 0 || parseFloat(marginRight) < 0 || overflow !== 'visible') break;
      const parent = e.parentElement;
      if (!parent || /^(body|html)$/.test(parent.localName)) break;
      if (/(flex|grid)$/.test(getComputedStyle(parent).display)) {
        found = parent;
        break;
      }
    }
    for (const e of path) outer.set(e, found);
    return found;
  };
  const clipped = (element, rect) => {
    for (let e = element; e && e !== document.body && e !== document.documentElement; e = e.parentElement) {
      if (getComputedStyle(e).overflow === 'visible') continue;
      const clip = e.getBoundingClientRect();
      if (rect.right > clip.right + tolerance || rect.bottom > clip.bottom + tolerance || rect.left < clip.left - tolerance || rect.top < clip.top - tolerance) return true;
    }
    return false;
  };
  const range = document.createRange();
  const rectangles = (node) => {
    range.selectNodeContents(node);
    return [...range.getClientRects()].filter((rect) => rect.width > 0 && rect.height > 0);
  };
  // unbroken returns the first word of a text that leaves the box, as a message names it: "it" for a text of one word.
  const unbroken = (node, beyond) => {
    for (const { 0: part, index } of node.data.matchAll(/[^ \t\n\r\f]+/g).take(1000)) {
      range.setStart(node, index);
      range.setEnd(node, index + part.length);
      if ([...range.getClientRects()].some(beyond)) return part === node.data.trim() ? 'it' : short(part);
    }
    return 'it';
  };
  const [root, body] = [document.documentElement, document.body];
  const overflows = [root, body].some((e) => e && (e.scrollWidth > innerWidth || e.scrollHeight > innerHeight));
  const outside = []; // what is not on the sheet

  // drawn warns of text that the edge of a drawing cuts.
  const drawn = (element, nodes) => {
    const svg = element.farthestViewportElement;
    if (!svg || getComputedStyle(svg).overflowX === 'visible' || element.closest('[aria-hidden=true]')) return;
    const edge = svg.getBoundingClientRect();
    const cut = nodes.find((node) => rectangles(node).some((rect) => rect.right > edge.left && rect.bottom > edge.top && rect.left < edge.right && rect.top < edge.bottom &&
      (rect.right > edge.right + tolerance || rect.left < edge.left - tolerance)));
    if (!cut || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return;
    complain(`Text is cut at the edge of a drawing: ${short(cut.data)}`, `${name(svg)} is ${Math.round(edge.width)}x${Math.round(edge.height)} pixels large`);
  };

  const scrolls = /^(auto|scroll)$/;
  const look = (element, style, nodes, plainText) => {
    const text = nodes.map((node) => node.data).join(' ');
    if (!plain.test(text)) {
      take(element.ownerDocument);
      for (const sequence of apart(text, style)) if (!split.has(sequence)) split.set(sequence, [text, element]);
      for (const letter of missing(text, style)) {
        const script = scriptOf(letter);
        if (!lacking.has(script)) lacking.set(script, { letters: new Set(), text, element });
        lacking.get(script).letters.add(letter);
      }
    }
    if (!crooked && !plain.test(text) && uneven(text, style)) {
      crooked = true;
      complain(`Kana and punctuation stand in wrong places of vertical lines: ${short(text)}`, `${name(element)} is shown in WenQuanYi Micro Hei; bring another font, with @font-face or a FontSet`);
    }
    if (!still || left <= 0) return;
    if (element.matches('input, textarea')) {
      if (element.value !== '' && (element.scrollWidth > element.clientWidth + tolerance || element.scrollHeight > element.clientHeight + tolerance)) {
        complain(`Text is out of sight in a field: ${short(element.value)}`, `${name(element)} is ${element.clientWidth}x${element.clientHeight} pixels large, its text ${element.scrollWidth}x${element.scrollHeight}`);
      }
      return;
    }
    if (plainText) return;
    if (element instanceof SVGElement) {
      drawn(element, nodes);
      return;
    }
    if (!(element instanceof HTMLElement)) return;
    const holder = box(element);
    const lying = style.writingMode === 'horizontal-tb';
    const [length, ways] = lying ? ['width', style.direction] : ['height', (style.writingMode === 'sideways-lr') === (style.direction === 'ltr') ? 'up' : 'down'];
    const beyond = (box) => {
      const edge = box.getBoundingClientRect();
      return {
        ltr: (rect) => rect.right > edge.right + tolerance, rtl: (rect) => rect.left < edge.left - tolerance,
        down: (rect) => rect.bottom > edge.bottom + tolerance, up: (rect) => rect.top < edge.top - tolerance,
      }[ways];
    };
    const sizes = (box) => lying ? [box.scrollWidth, box.clientWidth] : [box.scrollHeight, box.clientHeight];
    const isNarrow = (box) => {
      const [content, room] = sizes(box);
      if (room <= tolerance || box !== holder && content <= room + tolerance) return false;
      const { display, overflowX, overflowY } = getComputedStyle(box);
      const cell = display === 'table-cell'; // it counts nothing as its own content
      return (cell || content > room + tolerance && !/^table/.test(display)) && (lying ? overflowX : overflowY) === 'visible';
    };
    const narrow = [];
    const holds = style.textWrapMode !== 'nowrap' && style.transform === 'none';
    for (let box = holder, i = 0; holds && box && i < maxAround; box = around(box), i++) if (isNarrow(box)) narrow.push([box, beyond(box)]);
    // Before the beginning of the page, nothing counts as its content.
    const { left: before, top: above } = element.getBoundingClientRect();
    const early = before + scrollX < -tolerance || above + scrollY < -tolerance;
    if (narrow.length === 0 && !overflows && !early) return;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || element.closest('[aria-hidden=true]')) return;
    for (const node of nodes) {
      const rects = rectangles(node);
      for (const [edge, leaves] of narrow) {
        const out = rects.filter(leaves);
        if (out.length === 0) continue;
        const [content, hint] = edge !== holder ? [sizes(edge)[0], 'no item of it wraps or shrinks'] : [
          Math.round(Math.max(...out.map((rect) => rect[length]))),
          style.hyphens === 'auto' ? `hyphens: auto finds no break (language ${JSON.stringify(element.closest('[lang]')?.lang ?? '')})` : `no line break is possible in ${unbroken(node, leaves)}`,
        ];
        complain(`Text runs out of its box: ${short(node.data)}`, `${name(edge)} is ${Math.round(edge.getBoundingClientRect()[length])} pixels ${lying ? 'wide' : 'high'}, its ${edge === holder ? 'text' : 'content'} ${content}: ${hint}`);
        return;
      }
      const cut = rects.find((rect) => {
        const [right, bottom, past, over] = [rect.right - innerWidth, rect.bottom - innerHeight, -rect.left - scrollX, -rect.top - scrollY];
        if (rect.right <= 0 || rect.bottom <= 0 || Math.max(right, past) <= tolerance && Math.max(bottom, over) <= rect.height * 0.3) return false;
        // What is wholly outside of a picture may be meant to be there, but no value is.
        return (print || rect.left < innerWidth && rect.top < innerHeight || element.closest('[data-bound]')) && !clipped(element, rect);
      });
      if (cut) {
        outside.push([node.data, element]);
        return;
      }
    }
  };
  for (const [element, style, nodes, plainText] of written) look(element, style, nodes, plainText);
  // Nobody can scroll paper. Where a script has scrolled, the page means what it shows.
  const hidden = new Set();
  for (const [element, , nodes, plainText] of still ? written : []) {
    for (let e = element; !plainText && e && e !== body && e !== root; e = e.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(e);
      if (hidden.has(e) || e.scrollTop !== 0 || e.scrollLeft !== 0 || !scrolls.test(overflowX) && !scrolls.test(overflowY)) continue;
      const edge = e.getBoundingClientRect();
      const lost = nodes.find((node) => rectangles(node).some((rect) => rect.top > edge.bottom - tolerance || rect.left > edge.right - tolerance));
      if (!lost || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
      hidden.add(e);
      complain(`Text is out of sight in a box that scrolls: ${short(lost.data)}`, `${name(e)} is ${Math.round(edge.width)}x${Math.round(edge.height)} pixels large, its content ${e.scrollWidth}x${e.scrollHeight}`);
    }
  }
  // Nor can anybody scroll a frame.
  for (const [element, , nodes] of still ? written : []) {
    const { ownerDocument } = element;
    const { defaultView, documentElement } = ownerDocument;
    const smallest = 2; // pixels; a smaller frame is there for something else than to be seen
    if (ownerDocument === document || !defaultView?.frameElement || Math.min(defaultView.innerWidth, defaultView.innerHeight) < smallest || hidden.has(defaultView) || defaultView.scrollX !== 0 || defaultView.scrollY !== 0) continue;
    const lost = nodes.find((node) => node.nodeType === Node.TEXT_NODE && rectangles(node).some((rect) => rect.top > defaultView.innerHeight - tolerance || rect.left > defaultView.innerWidth - tolerance));
    let cut = false; // by a box in the frame
    for (let e = element; lost && e && e !== ownerDocument.body && e !== documentElement; e = e.parentElement) cut ||= getComputedStyle(e).overflow !== 'visible';
    if (!lost || cut || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || !defaultView.frameElement.checkVisibility()) continue;
    hidden.add(defaultView);
    complain(`Text is out of sight in a frame: ${short(lost.data)}`, `${name(defaultView.frameElement)} is ${defaultView.innerWidth}x${defaultView.innerHeight} pixels large, its page ${documentElement.scrollWidth}x${documentElement.scrollHeight}`);
  }
  for (const [script, { letters, text, element }] of lacking) {
    const list = [...letters].slice(0, 20);
    const codes = list.map((letter) => `U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`);
    warn(`No font has these characters (${script}): ${list.join(' ')}`, `${codes.slice(0, 8).join(' ')} in ${name(element)}: ${short(text)}; install a font, or load one with @font-face`);
  }
  if (split.size > 0) {
    const [[text, element]] = split.values();
    warn(`No font has these emoji as one: ${[...split.keys()].slice(0, 10).join(' ')}`, `their parts are shown, or a flag with a question mark, in ${name(element)}: ${short(text)}; use another emoji, a picture, or a font that has it`);
  }
  if (outside.length > 0) {
    const [[text, element]] = outside;
    warn(`Text is cut at the edge of the page: ${short(text)}`, `in ${name(element)}${outside.length > 1 ? ` and ${outside.length - 1} more` : ''}; the page has ${innerWidth}x${innerHeight} pixels`);
  }
})
