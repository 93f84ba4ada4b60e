// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Waits until a page can be painted: it is loaded, it says that it is ready, its fonts and images are decoded, and a frame is drawn.
// It does not wait for an idle network. After timeout milliseconds, the page is painted without what is missing, with a warning. A page's
// scripts get a frame to draw in. print says that the page is printed, with margin around it; number and total are the page's and the number of pages;
// styles are names to look up among the styles, and families matches the font families that the cluster's renderer has. roots, text, paper, tiles and
// marquee are the functions of the scripts of these names, and svg has patterns of SVG files.
(async (timeout, { roots, text, paper, tiles, marquee, svg }) => {
  const own = (name) => window[Symbol.for(`platen.${name}`)];
  const { print, margin, number, total, styles, families: installed } = own('about');
  const [film, still] = [own('film'), own('still')];
  const frame = own('frame') ?? requestAnimationFrame;
  const warn = own('warn') ?? (() => {});
  const after = `${timeout / 1000} s`;
  const bare = (family) => family.replace(/["']/g, '');
  const { decode, setSource, whole } = own('requests');
  const generic = /^(serif|sans-serif|monospace|cursive|fantasy|math|emoji|(ui-|system-ui|-apple-system|BlinkMacSystemFont).*)$/i;
  const maxElements = 5000;

  let timer;
  const over = new Promise((resolve) => {
    timer = (own('setTimeout') ?? setTimeout)(() => resolve('over'), timeout);
  });
  const within = async (promise, complain) => {
    if (await Promise.race([promise, over]) === 'over') complain();
  };
  // frames returns the documents of a page's frames, except those of another origin; find the elements of the page and its frames.
  const frames = (page) => roots(page).flatMap((root) => [...root.querySelectorAll('iframe, frame, object, embed')]).map((frame) => frame.contentDocument).filter(Boolean);
  const find = (selector, page = document) => [
    ...roots(page).flatMap((root) => [...root.querySelectorAll(selector)]), ...frames(page).flatMap((inner) => find(selector, inner)),
  ];
  // The whole page is painted, so lazy images must load now.
  const hurry = () => {
    const lazy = find('[loading=lazy]');
    for (const element of lazy) element.ownerDocument.defaultView[Symbol.for('platen.requests')]?.hurry(element);
    return lazy.length > 0;
  };
  hurry();
  // A page that is not filled in yet must not be painted, so only the task's deadline ends this wait.
  // A page that stops its own loading gets neither event: it is complete at once.
  const happened = (event) => new Promise((resolve) => {
    addEventListener(event, resolve, { once: true });
    document.addEventListener('readystatechange', () => {
      if (document.readyState === 'complete') (own('setTimeout') ?? setTimeout)(resolve); // after the event, if it comes
    });
  });
  const rewritten = own('rewritten') ?? new Promise(() => {});
  const complain = () => {
    const missing = find('img').filter((image) => !image.complete);
    for (const image of missing) warn(`Could not load ${(image.currentSrc || image.src).slice(0, 300)}`, `it did not load within ${after}`);
    if (missing.length === 0) warn('The page was not loaded in time', `it was still loading after ${after}`);
  };
  if (document.readyState === 'loading') await Promise.race([happened('DOMContentLoaded'), rewritten]);
  if (document.readyState !== 'complete') await within(Promise.race([happened('load'), rewritten]), complain);
  // A document that a script writes has what it has if the script does not close it.
  if (document.readyState === 'interactive') await within(happened('load'), complain);
  // A film holds the page's frames back, but a page may be ready only after some.
  let isReady = false;
  let says = true; // the page says when it is ready
  const said = Promise.resolve(own('ready')?.());
  said.then((answer) => { [isReady, says] = [true, answer === true]; });
  const tick = () => {
    if (isReady) return;
    film.tick();
    frame(tick);
  };
  if (film) frame(tick);
  await within(said, () => warn('The page did not say that it is ready', `neither platen.ready nor data-platen-ready did within ${after}`));
  // A page that does not say when it is ready gets time: its scripts may still draw, and add what is looked at below.
  const patience = 5000; // milliseconds, for what a film's page has asked servers for
  const pass = async () => {
    if (says) return false;
    return await Promise.race([still ? still.forward() : own('requests').quiet(patience), over]) === true;
  };
  // What the page does before it is printed, it does before it is looked at. The browser's own event does not reach it.
  if (print) dispatchEvent(new Event('beforeprint'));
  await pass();
  if (film) marquee(find('marquee'));
  if (hurry()) await within(own('requests').quiet(patience), () => {});
  // The page's own @font-face wins over a given font of the same family.
  const given = new Set(own('fonts') ?? []);
  const declaredByPage = new Set([...document.fonts].filter((font) => !given.has(font)).map((font) => bare(font.family).toLowerCase()));
  for (const font of given) if (declaredByPage.has(bare(font.family).toLowerCase())) document.fonts.delete(font);
  // The browser gives up a font that is not there at once, if font-display says so. Nobody sees the page before its fonts are there, and a rule that
  // changes loads its font again.
  const insist = (rules) => {
    for (const rule of rules) {
      if (rule.style && /^(optional|fallback)$/.test(rule.style.fontDisplay ?? rule.style.getPropertyValue('font-display'))) rule.style.setProperty('font-display', 'block');
      else if (rule.cssRules && !rule.style) insist(rule.cssRules);
      else if (rule.styleSheet) insistIn(rule.styleSheet);
    }
  };
  const insistIn = (sheet) => {
    try {
      insist(sheet.cssRules);
    } catch {
      // of another origin
    }
  };
  for (const page of [document, ...frames(document)]) {
    for (const font of page.fonts) if (font.status !== 'loaded') font.display = 'block';
    if (![...page.fonts].some((font) => /^(optional|fallback)$/.test(font.display))) continue;
    for (const sheet of roots(page).flatMap((root) => [...root.styleSheets, ...root.adoptedStyleSheets])) insistIn(sheet);
    page.documentElement?.getBoundingClientRect(); // now the browser knows
    await within(page.fonts.ready, () => {});
  }
  await within(document.fonts.ready, () => {});
  for (const font of document.fonts) {
    if (font.status === 'error' || font.status === 'loading') warn(`Could not load the font ${bare(font.family)}`, 'its text is shown in another font');
  }
  own('fit')?.();
  // Collect from the page's styles the font lists, and the pictures.
  const families = new Map(); // document → lists
  const use = (style, page) => families.set(page, (families.get(page) ?? new Set()).add(style.fontFamily));
  const behind = new Map(); // address → the window that shows it
  const masks = new Set(); // these must come with CORS
  const moves = /^data:image\/(gif|webp|apng)|^[^:]+:\/\/.*\.(gif|webp|apng|avif)\b|^data:image\/png.*(YWNUT|FjVE|hY1RM)|^data:image\/avif;base64,AAAA..Z0eXBhdmlz/i;
  const sound = /^data:image\/[^;,]+;base64,(iVBORw0KGgo|\/9j\/|R0lGOD|UklGR|Qk|AAAA..Z0eX|AAABA)/; // as pictures of the usual formats begin
  // unfinished reports whether a picture of a data: URL lacks what files of its format end with. One that has it is not decoded to find out.
  const ends = [[/^iVBORw0KGgo/, /IEND/], [/^\/9j\//, /\xff\xd9/], [/^R0lGOD/, /;\0*$/]];
  const unfinished = (url) => {
    const [head, data = ''] = [url.slice(0, 100).match(/^data:image\/[^,]*;base64,/)?.[0], url.slice(-200)];
    const [, end] = ends.find(([begin]) => head && begin.test(url.slice(head.length, head.length + 20))) ?? [];
    if (!end) return false;
    const tail = (data.startsWith('data:') ? data.slice(head.length) : data).replace(/%2B/gi, '+').replace(/%2F/gi, '/').replace(/%3D|=|%[^]?[^]?|\s/gi, '');
    // Where its groups of four letters begin depends on what is before them.
    return ![0, 1, 2, 3].some((i) => (tail.length - i) % 4 !== 1 && end.test(atob(tail.slice(i).replace(/[^\w+/]/g, 'A'))));
  };
  let moving = false; // pictures behind elements
  let patterned = false; // by gradients or drawings behind elements
  let numbered = false; // a page number is shown
  let counted = false; // by a counter of the page's own
  const written = []; // elements with text, and whether only its letters count
  const unescape = (text) => text.replace(/\\(.)/g, '$1');
  const strings = (value) => [...value.replace(/url\("(?:[^"\\]|\\.)*"\)/g, '').matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => unescape(text)).join('');
  // counterStyles returns the texts of a page's own counter styles by their names.
  const counterStyles = (page) => {
    const styles = new Map();
    const read = (rules) => {
      for (const rule of rules) {
        if (rule.symbols !== undefined) styles.set(rule.name, strings([rule.symbols, rule.additiveSymbols, rule.prefix, rule.suffix, rule.negative].join(' ')));
        else if (rule.cssRules && !rule.style) read(rule.cssRules);
      }
    };
    for (const sheet of roots(page).flatMap((root) => [...root.styleSheets, ...root.adoptedStyleSheets])) {
      try {
        read(sheet.cssRules);
      } catch {
        // of another origin
      }
    }
    return styles;
  };
  // added returns what a pseudo-element shows besides the text of the page.
  const added = (pseudo, own, element, counters) => {
    const { content, quotes, listStyleType } = own;
    if (pseudo === '::marker' && content === 'normal') return strings(listStyleType) || (counters.get(listStyleType) ?? (/^(none|disc|circle|square|disclosure.*)$/.test(listStyleType) ? '' : '1.'));
    const counted = [...content.matchAll(/counters?\([^()]*,\s*([\w-]+)\)/g)].map(([, name]) => counters.get(name) ?? '').join('');
    return strings(content) + counted + (/(open|close)-quote/.test(content) ? strings(quotes) : '');
  };
  const ofPictures = (own, view) => {
    const { content, backgroundImage, borderImageSource, listStyleImage, maskImage } = own;
    patterned ||= /gradient\(|"data:image\/svg/i.test(backgroundImage);
    // A fragment names an element of the page.
    for (const [, url] of [content, backgroundImage, borderImageSource, listStyleImage, maskImage].join().matchAll(/url\("((?:[^"#\\]|\\.)(?:[^"\\]|\\.)*)"\)/g)) {
      // A picture in a data: URL needs no wait, unless it is an SVG, which may have a font to load, or none.
      if (/^data:image.(gif|webp|a?png|avif)/i.test(url)) moving ||= moves.test(url);
      if (!sound.test(url) || unfinished(url)) behind.set(unescape(url), view);
    }
    for (const [, url] of [maskImage, own.shapeOutside].join().matchAll(/url\("(https?:(?:[^"\\]|\\.)*)"\)/g)) masks.add(unescape(url));
  };
  const readPage = (page) => {
    const framed = page !== document;
    const counters = counterStyles(page);
    for (const element of roots(page).flatMap((root) => [...root.querySelectorAll('*')]).slice(0, maxElements)) {
      const style = getComputedStyle(element);
      const shown = style.display !== 'none';
      for (const pseudo of ['', '::before', '::after', ...style.display === 'list-item' ? ['::marker'] : []]) {
        const own = pseudo === '' ? style : getComputedStyle(element, pseudo);
        if (!framed) {
          numbered ||= /counters?\(pages?\b/.test(own.content);
          counted ||= /\bpages?\b/.test(`${own.counterReset} ${own.counterSet} ${own.counterIncrement}`);
        }
        if (pseudo !== '' && own.content === 'none') continue;
        ofPictures(own, page.defaultView);
        const said = added(pseudo, own, element, counters);
        if (said.trim() === '' || !shown) continue;
        written.push([element, own, [{ data: said }], true]);
        if (pseudo !== '') use(own, page);
      }
      const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '');
      if (texts.length > 0) use(style, page); // a film may show it later
      if (!shown) continue;
      if (element.localName === 'progress' && element.position < 0 && style.appearance !== 'none') {
        warn('A progress without a value moves by a clock of its own', 'two renders show its bar at different places; give it a value, or a style of its own with appearance: none');
      }
      const isField = /^(button|email|number|reset|search|submit|tel|text|url|textarea)$/.test(element.type);
      const field = isField ? element.value || element.placeholder : '';
      if (field) {
        written.push([element, style, [{ data: field }], true]);
        use(element.value ? style : getComputedStyle(element, '::placeholder'), page);
      }
      if (texts.length === 0) continue;
      for (const pseudo of ['::first-letter', '::first-line']) if (!/^inline|^contents/.test(style.display)) use(getComputedStyle(element, pseudo), page);
      written.push([element, style, texts, framed]);
      const mark = strings(style.textEmphasisStyle);
      if (mark !== '') written.push([element, style, [{ data: mark }], true]);
    }
    for (const { font, text, canvas } of page.defaultView[Symbol.for('platen.drawn')]?.values() ?? []) {
      const element = canvas.deref();
      if (!element?.isConnected) continue;
      const { style } = Object.assign(page.createElement('i'), { style: `font: ${font}` });
      use(style, page);
      written.push([element, style, [{ data: text }], true]);
    }
  };
  for (const page of [document, ...frames(document)]) readPage(page);
  // The SVG pictures of data: and blob: URLs → their text.
  const drawings = new Map();
  const madeAt = (url) => [document, ...frames(document)].map(({ defaultView }) => defaultView[Symbol.for('platen.blobs')]?.get(url)).find((blob) => /^image\/svg\+xml/i.test(blob?.type));
  for (const url of new Set([...find('img, input').map((element) => element.currentSrc || element.src || ''), ...find('image').map((element) => element.href.baseVal), ...behind.keys()])) {
    const [, coding, data] = url.match(/^data:image\/svg\+xml([^,]*),(.*)$/is) ?? [];
    const made = madeAt(url);
    if (data === undefined && !made) continue;
    try {
      const bytes = made ? new Uint8Array(await new Response(made).arrayBuffer()) : /;base64/i.test(coding) ? Uint8Array.from(atob(decodeURIComponent(data)), (letter) => letter.charCodeAt(0)) : undefined;
      drawings.set(url, bytes ? new TextDecoder().decode(bytes) : decodeURIComponent(data));
    } catch {
      continue; // it is told that the picture is damaged
    }
    const { style } = document.createElement('i');
    for (const text of new DOMParser().parseFromString(drawings.get(url), 'image/svg+xml').querySelectorAll('text')) {
      style.font = '20px sans-serif';
      style.fontFamily = text.closest('[font-family]')?.getAttribute('font-family') || 'serif';
      written.push([find('img').find((image) => image.currentSrc === url) ?? document.documentElement, style, [{ data: text.textContent }], true]);
    }
  }
  if (numbered && !counted) document.documentElement.style.counterSet = `page ${number} pages ${total}`;
  for (const { poster, href, ownerDocument } of find('video, feImage')) {
    const url = poster ?? href.baseVal;
    if (/^(https?|data|blob):/.test(url)) behind.set(url, ownerDocument.defaultView);
  }
  const backgrounds = [...behind].map(([url, view]) => {
    const image = new view.Image();
    image.addEventListener('load', own('tell')); // before it takes the memory
    setSource.call(image, url);
    return image;
  });
  const torn = new Set();
  const tear = async (image) => {
    const url = image.currentSrc || image.src;
    // The shortest GIF that people write, a pixel that nobody sees, has no end.
    if (image.naturalWidth * image.naturalHeight < 2 || torn.has(url) || !unfinished(url) || await whole(image) || torn.has(url)) return;
    torn.add(url);
    warn(`A picture ends early: ${url.slice(0, 200)}`, 'its file is not whole; what is there is shown');
  };
  const decoded = find('img').map((image) => decode(image).then(() => tear(image)).catch(() => {}));
  const loaded = backgrounds.map((image) => decode(image).then(() => tear(image)).catch(() => warn(`Could not load ${image.src.slice(0, 300)}`)));
  for (const url of masks) {
    loaded.push(decode(Object.assign(new Image(), { crossOrigin: 'anonymous', src: url })).catch(() => warn(`Could not load ${url.slice(0, 300)}`,
      'the browser takes a mask or a shape only from a server that allows every origin (CORS); use a data: URL')));
  }
  await within(Promise.all([...decoded, ...loaded]), () => {
    for (const image of backgrounds.filter((image) => !image.complete)) warn(`Could not load ${(image.currentSrc || image.src).slice(0, 300)}`, `it did not load within ${after}`);
  });

  // A missing family changes the layout. Text in a missing family is as wide as text in its fallback.
  let page = document; // whose fonts count
  const declared = (name) => [...page.fonts].some((font) => bare(font.family).toLowerCase() === name.toLowerCase());
  const pens = new Map();
  const width = (list, text = 'mmmmmmmmmmlliWQ&') => {
    if (!pens.has(page)) pens.set(page, page.createElement('canvas').getContext('2d'));
    const pen = pens.get(page);
    pen.font = `72px ${list}`;
    return pen.measureText(text).width;
  };
  // A font of icons or emoji has no letters: it has characters for private use, as the usual ones do, or digits.
  const icons = '0123456789\u{e000}\u{e001}\u{e5d2}\u{e88a}\u{f000}\u{f007}\u{f015}\u{f0001}';
  const has = (name) => ['monospace', 'serif'].some((other) => width(`"${name}", ${other}`) !== width(other) || width(`"${name}", ${other}`, icons) !== width(other, icons));
  // The families of the renderer's image and those that people know, by kind. A name tells the kind of a family that nobody has.
  const kinds = {
    monospace: ['Liberation Mono', 'Courier New', 'DejaVu Sans Mono', 'Noto Sans Mono'],
    serif: ['Liberation Serif', 'Times New Roman', 'DejaVu Serif', 'Noto Serif'],
    'sans-serif': ['Liberation Sans', 'Arial', 'Helvetica', 'DejaVu Sans', 'Noto Sans'],
  };
  const kindOf = (name) => {
    if (/mono|code|courier|consol|menlo|terminal|typewriter/i.test(name)) return 'monospace';
    if (/sans|grotes|gothic/i.test(name)) return 'sans-serif';
    return /serif|slab|roman|georgia|garamond|times|cambria|palatino|bodoni|caslon|baskerville|didot|playfair|merriweather|lora|minion|book/i.test(name) ? 'serif' : 'sans-serif';
  };
  const letters = (name) => name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
  // distance counts the letters to insert, delete or replace.
  const distance = (a, b) => {
    let row = [...b, ''].map((_, i) => i);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1])));
      row = next;
    }
    return row[b.length];
  };
  const nearest = (name) => {
    const there = [...new Set([...[...page.fonts].filter((font) => font.status !== 'error').map((font) => bare(font.family)), ...Object.values(kinds).flat().filter(has)])];
    const far = (other) => distance(letters(name).slice(0, 100), letters(other).slice(0, 100));
    const [typed] = there.filter((other) => far(other) <= Math.max(1, letters(name).length / 5)).sort((a, b) => far(a) - far(b));
    const [begins] = there.filter((other) => letters(name).startsWith(letters(other)) || letters(other).startsWith(letters(name)));
    return typed ?? begins ?? kinds[kindOf(name)].find(has) ?? kindOf(name);
  };
  // A name that another system has for its own font, such as ui-monospace, is there if one of the list is.
  const usual = /^(serif|sans-serif|monospace|system-ui|math|emoji)$/i;
  const shown = (name) => usual.test(name) || declared(name) || (generic.test(name) ? width(name) !== width('serif') : has(name));
  for (const [owner, lists] of families) {
    page = owner;
    const checked = new Set();
    for (const list of lists) {
      const names = (list.match(/"[^"]*"|[^,]+/g) ?? []).map((name) => name.trim());
      const [first] = names;
      if (!first || checked.has(first)) continue;
      checked.add(first);
      const name = bare(first).trim();
      const [isGeneric, quoted] = [generic.test(name), first.startsWith('"')];
      if (isGeneric && quoted && !declared(name) && !has(name)) {
        warn(`Font "${name}" is not installed`, `in quotes, ${name} is the name of a font; without them, it is any font of this kind`);
      } else if (!quoted && isGeneric ? !names.map(bare).some(shown) : !isGeneric && !shown(name)) {
        warn(`Font ${name} is not installed`, `its text is shown in the next font that is named, else in a serif one; the nearest that you can name is ${nearest(name)}`);
      } else if (installed && !isGeneric && !declared(name) && !new RegExp(installed, 'i').test(name)) {
        warn(`Font ${name} is installed here, and not in Platen's own renderer`, 'the cluster may show its text in another font; a FontSet brings it there, and a preview in the cluster shows it');
      }
    }
  }

  // The end of an animation is told with the next frame, and a page's scripts may begin another then.
  const maxRounds = 20;
  let ended = false;
  const rest = async () => {
    ended = await still.settle();
    const handled = () => document.evaluate("boolean(//@*[starts-with(name(), 'on')])", document, null, XPathResult.BOOLEAN_TYPE).booleanValue;
    for (let round = 0; round < maxRounds && (document.scripts.length > 0 || frames(document).length > 0 || document.activeViewTransition || ended && handled()); round++) {
      for (let n = 0; n < 2; n++) await new Promise((resolve) => frame(resolve));
      const passed = await pass();
      const again = await still.settle();
      if (!ended && !again && !passed) break;
      ended = again;
    }
  };
  if (still) await within(rest(), () => {});
  if (print) {
    // Chromium takes a page with something beyond its right edge for a narrower one, and would take the styles for that. steady leaves the page with those
    // that it has, and resolves to the addresses of style sheets that cannot be read. One of another server can be, if it comes with CORS.
    const sheetPatience = 5000; // milliseconds
    const steady = async () => {
      const unread = []; // sheets
      const decide = (media) => { if (media?.length > 0) media.mediaText = matchMedia(media.mediaText).matches ? 'all' : 'not all'; };
      const read = (rules) => {
        for (const rule of rules) {
          if (rule.media) decide(rule.media);
          if (rule.styleSheet) readSheet(rule.styleSheet);
          else if (rule.cssRules) read(rule.cssRules);
        }
      };
      const readSheet = (sheet) => {
        decide(sheet.media);
        try {
          read(sheet.cssRules);
        } catch {
          unread.push(sheet);
        }
      };
      for (const root of roots(document)) {
        for (const sheet of [...root.styleSheets, ...root.adoptedStyleSheets]) readSheet(sheet);
        for (const source of root.querySelectorAll('picture > source[media]')) source.media = matchMedia(source.media).matches ? 'all' : 'not all';
      }
      const late = new Promise((_, reject) => { (own('setTimeout') ?? setTimeout)(reject, sheetPatience); });
      const readAgain = async ({ href, ownerNode: link }) => {
        const text = await (await fetch(href)).text();
        if (!/@media[^{]*(width|height|aspect-ratio|orientation)/.test(text)) return;
        const other = Object.assign(link.cloneNode(), { crossOrigin: 'anonymous' });
        await new Promise((resolve, reject) => {
          other.addEventListener('load', resolve, { once: true });
          other.addEventListener('error', reject, { once: true });
          link.after(other);
        });
        readSheet(other.sheet);
        link.remove();
        other.getBoundingClientRect();
        if (document.fonts.status === 'loading') await document.fonts.ready;
      };
      late.catch(() => {}); // nobody waits for it if all can be read
      const again = unread.splice(0).map((sheet) => Promise.race([readAgain(sheet), late]).then(() => [], () => [String(sheet.href).slice(0, 300)]));
      return (await Promise.all(again)).flat();
    };
    Object.defineProperty(window, Symbol.for('platen.steady'), { value: steady });
    // A timeline that follows a scroll position has none before the first frame, and one that a frame's layout makes has it in the next.
    const follows = (animation) => animation.timeline && !(animation.timeline instanceof DocumentTimeline);
    if (roots(document).some((root) => root.getAnimations().some(follows))) for (let n = 0; n < 2; n++) await new Promise((resolve) => frame(resolve));
    const drawnElsewhere = (element) => {
      try {
        return element.localName === 'canvas' && element.getContext('2d') === undefined;
      } catch {
        return true;
      }
    };
    // What an OffscreenCanvas has drawn is in the page a frame later.
    if (find('canvas').some(drawnElsewhere)) for (let n = 0; n < 2; n++) await within(new Promise((resolve) => frame(resolve)), () => {});
    // Gradients in other colour spaces than sRGB: a colour space that is named, or a colour of one.
    const wide = /gradient\([^()]*\bin (?!srgb\b)[a-z]|gradient\(.*\b((ok)?(lab|lch)|color)\(/;
    const load = async (url) => {
      const image = new Image();
      setSource.call(image, url);
      await decode(image);
      return image;
    };
    if (patterned) await within(tiles(roots(document), wide, load), () => {});
    paper(warn, roots(document), wide, drawnElsewhere, margin);
  }
  const remedy = 'a page that uses platen.ready or data-platen-ready is painted when it says so';
  if (!says) {
    const told = JSON.stringify(own('warnings') ?? []);
    for (const url of await own('requests').quiet(0)) if (!told.includes(url.slice(0, 200))) warn(`There was no answer yet when the page was painted: ${url.slice(0, 200)}`, remedy);
    const left = Math.max(0, still?.left() ?? Infinity);
    if (left < 30000) warn('The page was still going to change when it was painted', `a timer of ${Math.round(left)} ms more; ${remedy}`);
  }

  // The browser shows an SVG that moves, in a picture, by a clock that nobody can set.
  page = document;
  // Nothing is loaded for a picture. fileOf returns the first address of a file that an SVG picture names; undefined if there is none.
  const alone = 'the browser loads no files for a picture; name them by data: URLs, or put the svg element into the page';
  const fileOf = (source) => [...source.replace(svg.comments, '').matchAll(svg.names)].map(([, ...parts]) => parts.join('').trim()).find((address) => !/^(#|data:|$)/i.test(address));
  for (const [url, source] of drawings) {
    if (svg.moves.test(source)) {
      warn('An SVG picture moves by a clock of its own', `two renders show it at different times; put the svg element into the page instead: ${url.slice(0, 120)}`);
    }
    const outer = fileOf(source);
    if (outer !== undefined) warn(`An SVG picture is shown without a file that it names: ${outer.slice(0, 200)}`, `${alone}: ${url.slice(0, 120)}`);
    // It has installed fonts, and those that it brings itself.
    const brought = new Set([...source.matchAll(/@font-face[^}]*?font-family\s*:\s*([^;}]*)/gi)].map(([, name]) => bare(name).trim().toLowerCase()));
    const drawing = new DOMParser().parseFromString(source, 'image/svg+xml');
    if (!drawing.querySelector('text')) continue;
    const rules = [...drawing.querySelectorAll('style')].map((element) => element.textContent.replace(/@font-face\s*\{[^}]*\}/gi, '')).join();
    const lists = [...drawing.querySelectorAll('*')].flatMap((element) => [element.getAttribute('font-family'), element.style?.fontFamily]);
    for (const list of [...lists, ...[...rules.matchAll(/font-family\s*:\s*([^;}]*)/gi)].map(([, list]) => list)]) {
      const name = bare((list ?? '').split(',')[0]).trim();
      const known = Object.values(kinds).flat().some((kind) => kind.toLowerCase() === name.toLowerCase());
      if (!name || generic.test(name) || brought.has(name.toLowerCase()) || (known || !declared(name)) && has(name)) continue;
      warn(`Font ${name} is not there for an SVG picture`, 'a picture has only fonts that are installed, and those in its own @font-face with a data: URL; put the svg element into the page instead');
      brought.add(name.toLowerCase());
    }
  }

  // No script finds the transitions of the parts that the browser adds to an element, so a film ends them at once.
  if (film) {
    const part = /::(details-content|-webkit-(progress|meter|slider)[\w-]*|file-selector-button|placeholder)/;
    const found = new Set();
    const look = (rules) => {
      for (const rule of rules) {
        const [name] = rule.selectorText?.match(part) ?? [];
        if (name !== undefined && /[1-9]/.test(rule.style.transitionDuration)) found.add(name);
        if (rule.cssRules) look(rule.cssRules);
      }
    };
    for (const sheet of roots(document).flatMap((root) => [...root.styleSheets, ...root.adoptedStyleSheets])) {
      try {
        look(sheet.cssRules);
      } catch {
        // of another origin
      }
    }
    for (const name of found) {
      warn(`A transition of ${name} is not in the film`, 'no script finds the transitions of what the browser adds to an element, so it ends at once; put it on an element of the page');
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(`${name} { transition: none !important }`);
      for (const root of roots(document)) root.adoptedStyleSheets.push(sheet);
    }
  }

  // The browser draws a circle that turns over a video that looks for its picture.
  if (film && find('video[controls]').length > 0) {
    warn('Controls move by a clock of their own in a film', 'the browser draws a circle over a video that looks for its picture; leave the attribute controls out');
  }

  for (const { width, height } of find('canvas')) {
    if (Math.max(width, height) <= 0xffff && width * height <= 0x10000000) continue;
    warn(`A canvas is too large: ${width}x${height}`, 'the browser shows none with more than 65535 pixels in a row or a column, or with more than 268 million pixels');
  }

  // There is nothing in this browser that shows a PDF.
  for (const element of find('embed, object, iframe')) {
    const url = element.src || element.data || '';
    if (/^application\/pdf\b/i.test(element.type ?? '') || /^data:application\/pdf\b|^[^?#]*\.pdf([?#]|$)/i.test(url)) {
      warn(`A PDF within a page is not shown: ${url.slice(0, 200)}`, 'show its pages as pictures');
    }
  }

  // The renderer's scripts do not run where the page forbids scripts.
  for (const element of find('iframe[sandbox]')) {
    if (element.sandbox.contains('allow-scripts') || !svg.moves.test(element.srcdoc)) continue;
    warn('A frame without scripts moves by a clock of its own', 'two renders show it at different times; add allow-scripts to the sandbox of the iframe');
  }

  // Pictures that move began when they were first drawn. They begin again with the renderer's next frame, which calls this: one that an
  // element loads by loading it again, and one of a style under another address.
  const again = [];
  const bytesMove = (bytes) => /^GIF8/.test(bytes) && bytes.split('\x21\xf9\x04').length > 2 || /^RIFF/.test(bytes) && bytes.includes('ANIM') ||
    bytes.slice(4, 12) === 'ftypavis' || /^\x89PNG/.test(bytes) && bytes.includes('acTL');
  const fresh = new Map(); // address of a picture that the page has made, and that moves → another
  const refresh = async () => {
    for (const { defaultView } of [document, ...frames(document)]) {
      for (const [url, blob] of [...defaultView[Symbol.for('platen.blobs')] ?? []]) { // the new addresses get into the list too
        if (!bytesMove(new TextDecoder('latin1').decode(await blob.arrayBuffer()))) continue;
        const other = URL.createObjectURL(blob);
        await decode(Object.assign(new Image(), { src: other })).catch(() => {});
        fresh.set(url, other);
      }
    }
  };
  await within(refresh(), () => warn('A picture that the page has made moves by a clock of its own', `it could not be read within ${after}`));
  const pictures = ['background-image', 'border-image-source', 'list-style-image', 'mask-image', 'content', 'shape-outside'];
  const adrift = new Set(); // pictures of styles from the network, which do not begin again under another address
  let rewound = 0;
  const rewind = async (page, moves) => {
    const moved = async (url) => {
      if (fresh.has(url)) return fresh.get(url);
      await decode(Object.assign(new Image(), { src: `${url}#again` })).catch(() => {});
      return `${url}#again`;
    };
    for (const root of roots(page)) {
      const rules = [];
      for (const element of root.querySelectorAll('*')) {
        if (moves(element.currentSrc ?? '')) again.push(() => { element.src = fresh.get(element.currentSrc) ?? element.src; });
        for (const name of ['src', 'href', 'xlink:href', 'data', 'poster']) {
          const url = element.getAttribute(name) ?? '';
          if (element.currentSrc || !moves(url) || element.localName === 'source' || element.localName === 'a') continue;
          const other = await moved(url);
          again.push(() => element.setAttribute(name, other));
        }
        for (const pseudo of ['', '::before', '::after', '::marker']) {
          const style = getComputedStyle(element, pseudo);
          for (const name of pictures) {
            let value = style.getPropertyValue(name);
            if (!/url\(/.test(value)) continue;
            const urls = new Set([...value.matchAll(/url\("((?:[^"\\]|\\.)*)"\)/g)].map(([, url]) => url).filter(moves));
            if (urls.size === 0) continue;
            for (const url of urls) if (!/^(data|blob):/.test(url)) adrift.add(url);
            for (const url of urls) value = value.replaceAll(`"${url}"`, `"${await moved(url)}"`);
            element.dataset.platenAgain ??= String(++rewound);
            rules.push(`[data-platen-again="${element.dataset.platenAgain}"]${pseudo} { ${name}: ${value} !important }`);
          }
        }
      }
      if (rules.length === 0) continue;
      const sheet = new page.defaultView.CSSStyleSheet();
      sheet.replaceSync(rules.join('\n'));
      again.push(() => { root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet]; });
    }
    for (const inner of frames(page)) await rewind(inner, moves);
  };
  // The renderer knows the kinds of the pictures that have come from the network.
  const rewindLoaded = async (urls) => {
    adrift.clear();
    await rewind(document, (url) => urls.includes(url));
    return [...adrift];
  };
  Object.defineProperty(window, Symbol.for('platen.rewind'), { value: rewindLoaded });
  const sources = find('img, input, image, object, embed, video').map((element) => element.currentSrc || element.src || element.data || element.poster || element.href?.baseVal || '');
  const known = (url) => moves.test(url) || fresh.has(url);
  if (moving || [...behind.keys(), ...sources].some(known) || frames(document).length > 0) await rewind(document, known);
  const named = [...adrift]; // by their names they may move; the renderer knows whether they do
  Object.defineProperty(window, Symbol.for('platen.again'), { value: () => {
    const views = [document, ...frames(document)].map(({ defaultView }) => defaultView);
    if (film) for (const view of views) view[Symbol.for('platen.images')]?.begin();
    for (const begin of again) begin();
    for (const view of views) view[Symbol.for('platen.requests')]?.forget();
  } });
  text(warn, { print, still: !film }, written);
  if (film && document.scripts.length > 0) await new Promise((resolve) => frame(resolve));
  (own('clearTimeout') ?? clearTimeout)(timer);
  const unused = own('unused') ?? [];
  const noStyles = Object.fromEntries(styles.filter((name) => own('isStyle')?.(name) === false).map((name) => [name, own('meantStyle')(name)]));
  const looping = !says && (still?.loops().size ?? 0) > 0;
  const present = new Set([...document.images].map(({ src }) => src));
  const replaced = [...own('replaced') ?? []].filter((url) => !present.has(url));
  const noMatter = new Set(replaced.map((url) => `Could not load ${url.slice(0, 300)}`));
  const warnings = (own('warnings') ?? []).filter(({ title }) => !noMatter.has(title));
  return JSON.stringify({ replaced: replaced.filter((url) => url.startsWith(`${location.origin}/`)).slice(0, 1000), noStyles, looping, adrift: named, moving: again.length > 0, warnings, unused, names: unused.length > 0 ? [...own('names') ?? []] : undefined, elements: unused.length > 0 ? [...own('elements') ?? []] : undefined });
})
