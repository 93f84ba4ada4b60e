// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Waits until a page can be painted: it is loaded, it says that it is ready, its fonts and images are decoded, and a frame is drawn.
// It does not wait for an idle network. After timeout milliseconds, the page is painted without what is missing, with a warning. A page's
// scripts get a frame to draw in. print says that the page is printed. smil, text and paper are the functions of the scripts of these names.
(async (timeout, print, { smil, text, paper }) => {
  const own = (name) => window[Symbol.for(`platen.${name}`)];
  const film = own('film');
  const frame = film?.frame ?? requestAnimationFrame;
  const warn = own('warn') ?? (() => {});
  const after = `${timeout / 1000} s`;
  const bare = (family) => family.replace(/["']/g, '');
  const generic = /^(serif|sans-serif|monospace|cursive|fantasy|math|emoji|(ui-|system-ui|-apple-system|BlinkMacSystemFont).*)$/i;
  const maxElements = 5000;

  let timer;
  const over = new Promise((resolve) => {
    timer = (own('setTimeout') ?? setTimeout)(() => resolve('over'), timeout);
  });
  const within = async (promise, complain) => {
    if (await Promise.race([promise, over]) === 'over') complain();
  };
  // The whole page is painted, so lazy images must load now.
  for (const image of document.querySelectorAll('img[loading=lazy]')) image.loading = 'eager';
  // A page that is not filled in yet must not be painted, so only the task's deadline ends this wait.
  if (document.readyState === 'loading') {
    await new Promise((resolve) => addEventListener('DOMContentLoaded', resolve, { once: true }));
  }
  if (document.readyState !== 'complete') {
    await within(new Promise((resolve) => addEventListener('load', resolve, { once: true })), () => {
      const missing = [...document.images].filter((image) => !image.complete);
      for (const image of missing) warn(`Could not load ${image.src.slice(0, 300)}`, `it did not load within ${after}`);
      if (missing.length === 0) warn('The page was not loaded in time', `it was still loading after ${after}`);
    });
  }
  // A film holds the page's frames back, but a page may be ready only after some.
  let isReady = false;
  const said = Promise.resolve(own('ready')?.());
  said.then(() => { isReady = true; });
  const tick = () => {
    if (isReady) return;
    film.tick();
    film.frame(tick);
  };
  if (film) film.frame(tick);
  await within(said, () => warn('The page did not say that it is ready', `neither platen.ready nor data-platen-ready did within ${after}`));
  // The page's own @font-face wins over a given font of the same family.
  const given = new Set(own('fonts') ?? []);
  const declaredByPage = new Set([...document.fonts].filter((font) => !given.has(font)).map((font) => bare(font.family).toLowerCase()));
  for (const font of given) if (declaredByPage.has(bare(font.family).toLowerCase())) document.fonts.delete(font);
  await within(document.fonts.ready, () => {});
  for (const font of document.fonts) {
    if (font.status === 'error' || font.status === 'loading') warn(`Could not load the font ${bare(font.family)}`, 'its text is shown in another font');
  }
  own('fit')?.();
  if (print) paper(warn);

  // Collect from the page's styles the first family of each font list, and the pictures.
  const families = new Set();
  const behind = new Set();
  const moves = /^data:image\/(gif|webp|apng)|^[^:]+:\/\/.*\.(gif|webp|apng)\b|^data:image\/png.*(YWNUT|FjVE|hY1RM)/i;
  let moving = false; // pictures behind elements
  const written = []; // elements with text
  const elements = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_ELEMENT);
  for (let n = 0, element = document.documentElement; n < maxElements && element; n++, element = elements.nextNode()) {
    const style = getComputedStyle(element);
    for (const pseudo of ['', '::before', '::after']) {
      const { content, backgroundImage, borderImageSource, listStyleImage, maskImage } = pseudo === '' ? style : getComputedStyle(element, pseudo);
      if (pseudo !== '' && content === 'none') continue;
      for (const [, url] of [content, backgroundImage, borderImageSource, listStyleImage, maskImage].join().matchAll(/url\("((?:[^"\\]|\\.)*)"\)/g)) {
        // A picture in a data: URL needs no wait, unless it is an SVG, which may have a font to load.
        if (/^data:image.(gif|webp|a?png)/i.test(url)) moving ||= moves.test(url);
        if (!/^data:(?!image.svg)/i.test(url)) behind.add(url.replace(/\\(.)/g, '$1'));
      }
    }
    const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '');
    if (texts.length === 0) continue;
    families.add(style.fontFamily);
    if (style.display !== 'none') written.push([element, style, texts]);
  }
  const backgrounds = [...behind].map((url) => Object.assign(new Image(), { src: url }));
  const decoded = [...document.images].map((image) => image.decode().catch(() => {}));
  const loaded = backgrounds.map((image) => image.decode().catch(() => warn(`Could not load ${image.src.slice(0, 300)}`)));
  await within(Promise.all([...decoded, ...loaded]), () => {
    for (const image of backgrounds.filter((image) => !image.complete)) warn(`Could not load ${image.src.slice(0, 300)}`, `it did not load within ${after}`);
  });

  // A missing family changes the layout. Text in a missing family is as wide as text in its fallback.
  const declared = new Set([...document.fonts].map((font) => bare(font.family).toLowerCase()));
  let pen;
  const width = (list) => {
    pen ??= document.createElement('canvas').getContext('2d');
    pen.font = `72px ${list}`;
    return pen.measureText('mmmmmmmmmmlliWQ&').width;
  };
  for (const name of new Set([...families].map((list) => bare(list.match(/"[^"]*"|[^,]+/)?.[0] ?? '').trim()))) {
    if (name === '' || generic.test(name) || declared.has(name.toLowerCase())) continue;
    const there = ['monospace', 'serif'].some((other) => width(`"${name}", ${other}`) !== width(other));
    if (!there) warn(`Font ${name} is not installed`, 'its text is shown in another font');
  }

  // A still shows finite animations at their end and infinite ones at their start. What the author has paused stays as it is.
  const settle = (page) => {
    for (const animation of page.getAnimations()) {
      if (animation.timeline !== page.timeline || animation.playState === 'paused') continue; // the first follows a scroll position
      if (Number.isFinite(Number(animation.effect?.getComputedTiming().endTime)) && animation.playbackRate !== 0) {
        animation.finish();
      } else {
        animation.pause();
        animation.currentTime = 0;
      }
    }
    for (const { svg, end, endless } of smil(page)) {
      if (end > 0) for (const element of endless) element.setAttribute('begin', `${end}s`);
      svg.pauseAnimations();
      svg.setCurrentTime(end);
    }
    for (const frame of page.querySelectorAll('iframe')) {
      if (frame.contentDocument) settle(frame.contentDocument); // null for another origin
    }
  };
  if (!film) settle(document);
  if (document.querySelector('marquee')) warn('A marquee moves by a clock of its own', 'two renders show its text in different places; animate it with CSS instead');

  // Pictures that move began when they were first drawn. They begin again with the renderer's next frame, which calls this. One behind an
  // element does so under another address.
  const again = [];
  const rewind = async (page) => {
    for (const image of page.images) if (moves.test(image.currentSrc)) again.push(() => { image.src = image.src; });
    for (const element of page.querySelectorAll('*')) {
      const { backgroundImage } = getComputedStyle(element);
      const urls = [...backgroundImage.matchAll(/url\("((?:[^"\\]|\\.)*)"\)/g)].map(([, url]) => url).filter((url) => moves.test(url));
      for (const url of urls) await Object.assign(new Image(), { src: `${url}#again` }).decode().catch(() => {});
      if (urls.length > 0) again.push(() => element.style.setProperty('background-image', urls.reduce((all, url) => all.replaceAll(`"${url}"`, `"${url}#again"`), backgroundImage), 'important'));
    }
    for (const frame of page.querySelectorAll('iframe')) if (frame.contentDocument) await rewind(frame.contentDocument);
  };
  if (moving || [...behind, ...[...document.images].map((image) => image.currentSrc)].some((url) => moves.test(url)) || document.querySelector('iframe')) await rewind(document);
  Object.defineProperty(window, Symbol.for('platen.again'), { value: () => again.forEach((begin) => begin()) });
  text(warn, { print, still: !film }, written);
  if (document.scripts.length > 0) await new Promise((resolve) => frame(resolve));
  (own('clearTimeout') ?? clearTimeout)(timer);
  return JSON.stringify({ moving: again.length > 0, warnings: own('warnings') ?? [], unused: own('unused') ?? [] });
})
