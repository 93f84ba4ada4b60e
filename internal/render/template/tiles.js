// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Makes pictures of what the browser prints otherwise than it shows it behind elements: tiles of gradients and of SVG files in data: URLs, which it prints
// with a pixel for each point of paper, and gradients in other colour spaces than sRGB, which it prints in sRGB. list has the document and its shadow
// roots, wide matches such gradients, and load resolves to the picture of an address.
(async (list, wide, load) => {
  const [scale, maxPixels, maxPictures] = [4, 4e6, 100];
  // layers splits a value at its outer commas.
  const layers = (value) => {
    const found = [''];
    let depth = 0;
    for (const [part] of value.matchAll(/"(?:[^"\\]|\\.)*"|[(),]|[^"(),]+/g)) {
      depth += { '(': 1, ')': -1 }[part] ?? 0;
      if (part === ',' && depth === 0) found.push('');
      else found[found.length - 1] += part;
    }
    return found.map((layer) => layer.trim());
  };
  const pictures = new Map(); // of what, and its size → the address of the picture
  // draw resolves to the address of a picture of something at a size in CSS pixels.
  const draw = (source, width, height) => {
    const key = `${width} ${height} ${source}`;
    if (!pictures.has(key)) pictures.set(key, (async () => {
      const [, url] = source.match(/^url\("(.*)"\)$/s) ?? [];
      const ratio = Math.min(scale, Math.sqrt(maxPixels / (width * height)));
      const canvas = Object.assign(document.createElement('canvas'), { width: Math.max(1, Math.round(width * ratio)), height: Math.max(1, Math.round(height * ratio)) });
      const box = document.createElement('div');
      box.style.cssText = `width: ${width}px; height: ${height}px; background: ${source}`;
      const markup = new XMLSerializer().serializeToString(box);
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${canvas.width}" height="${canvas.height}" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none"><foreignObject width="${width}" height="${height}">${markup}</foreignObject></svg>`;
      const image = await load(url?.replace(/\\(.)/g, '$1') ?? `data:image/svg+xml,${encodeURIComponent(svg)}`);
      canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
      return canvas.toDataURL();
    })());
    return pictures.get(key);
  };
  // placeOf returns the width and the height of the box that a background is laid out in; NaN if they are not known.
  const placeOf = (element, pseudo, style) => {
    if (pseudo !== '') return [parseFloat(style.width), parseFloat(style.height)];
    if (element === document.documentElement || element === document.body) return [Math.max(innerWidth, element.clientWidth), Math.max(innerHeight, element.clientHeight)];
    if (element.clientWidth > 0) return [element.clientWidth, element.clientHeight];
    const { width, height } = element.getBoundingClientRect();
    return [width, height];
  };
  // replaced resolves to the pictures and sizes of a background; undefined if it stays as it is.
  const replaced = async (element, pseudo, style) => {
    const images = layers(style.backgroundImage);
    const [sizes, repeats] = [layers(style.backgroundSize), layers(style.backgroundRepeat)];
    const place = placeOf(element, pseudo, style);
    const result = { images: [...images], sizes: images.map((_, i) => sizes[i % sizes.length]) };
    let any = false;
    for (const [i, source] of images.entries()) {
      const gradient = /gradient\(/.test(source) && !source.startsWith('url(');
      const wideOne = gradient && wide.test(source);
      if (!gradient && !/^url\("data:image\/svg\+xml/i.test(source)) continue;
      const tiled = !/^no-repeat$/.test(repeats[i % repeats.length]);
      if (!tiled && !wideOne) continue;
      const [across, down = 'auto'] = result.sizes[i].split(' ');
      let size = [across, down].map((value, side) => (value.endsWith('%') ? place[side] * parseFloat(value) / 100 : parseFloat(value))); // NaN for auto, cover and contain
      if (!gradient && /(<|%3c)filter/i.test(source)) continue; // a filter depends on how large the pixels are
      if (!gradient && size.some(Number.isNaN)) {
        if (!/(<|%3c)svg[^>]*?(\s|%20)width=/i.test(source)) continue; // it has no size of its own
        const image = await load(source.slice(5, -2).replace(/\\(.)/g, '$1'));
        if (size.every(Number.isNaN) && across === 'auto') size = [image.naturalWidth, image.naturalHeight];
        else if (/^(cover|contain)$/.test(across)) continue; // one tile, nearly always
        else size = size.map((value, side) => (Number.isNaN(value) ? size[1 - side] * (side === 0 ? image.naturalWidth / image.naturalHeight : image.naturalHeight / image.naturalWidth) : value));
      }
      size = size.map((value, side) => (Number.isNaN(value) ? place[side] : value));
      if (!size.every((value) => value > 0 && value < 20000)) continue;
      const whole = size.every((value, side) => value >= place[side] - 0.5);
      if (whole && !wideOne) continue;
      try {
        result.images[i] = `url("${await draw(source, ...size)}")`;
      } catch {
        continue; // it is printed as before
      }
      result.sizes[i] = whole && /^(auto|100%)/.test(across) ? '100% 100%' : `${size[0]}px ${size[1]}px`;
      any = true;
    }
    return any ? result : undefined;
  };
  let numbered = 0;
  for (const root of list) {
    const rules = [];
    for (const element of root.querySelectorAll('*')) {
      for (const pseudo of ['', '::before', '::after']) {
        if (pictures.size >= maxPictures) return;
        const style = getComputedStyle(element, pseudo);
        if (!/gradient\(|url\("data:image\/svg/i.test(style.backgroundImage) || /^(none|)$/.test(style.display) || pseudo !== '' && style.content === 'none') continue;
        const result = await replaced(element, pseudo, style);
        if (result === undefined) continue;
        element.dataset.platenTile ??= String(++numbered);
        rules.push(`[data-platen-tile="${element.dataset.platenTile}"]${pseudo} { background-image: ${result.images.join(', ')} !important; background-size: ${result.sizes.join(', ')} !important }`);
      }
    }
    if (rules.length === 0) continue;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(rules.join('\n'));
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  }
})
