// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Sets the styles that modifications of the form ID.STYLE name. A style is a CSS property, or one of those below, whose names are those of
// design tools; docs/templates/styles.md says what becomes of each. Upper and lower case are alike.
(({ supports, warn, show, distance, isGiven, hasCode, wasFuller, ofComment }) => {
  const computed = (element, property) => getComputedStyle(element).getPropertyValue(property);
  const text = (value) => String(value).trim();
  // length returns a value of a property that is a length: a number is in pixels.
  const length = (value) => (/^[-+]?(\d+\.?\d*|\.\d+)$/.test(text(value)) ? `${text(value)}px` : text(value));
  const isSVG = (element) => element instanceof SVGElement;
  const isPicture = (element) => element instanceof HTMLImageElement || element instanceof HTMLVideoElement || element instanceof HTMLCanvasElement;
  const hasText = (element) => element.textContent.trim() !== '' && !isPicture(element);
  const isGradient = (value) => /gradient\(/i.test(text(value));

  // override sets a property, also where the page's own style is important. Only then the property is, because an animation must win over it.
  const override = (element, property, value) => {
    const { style } = element;
    style.setProperty(property, value);
    const shown = computed(element, property);
    style.setProperty(property, value, 'important');
    if (computed(element, property) === shown) {
      style.setProperty(property, value);
      return;
    }
    const whole = style.cssText;
    style.setProperty('animation', 'none', 'important');
    style.setProperty('transition', 'none', 'important');
    const important = computed(element, property);
    style.setProperty(property, value);
    const plain = computed(element, property);
    style.cssText = whole;
    if (plain === important) style.setProperty(property, value);
  };

  // shapes say what properties take that take neither a colour nor a length alone.
  const shapes = [
    [/^background$/, 'a CSS colour, a gradient or a picture, such as #0a7, linear-gradient(#0a7, white) or url(https://...)'],
    [/^(background|mask|border|list-style)-image$/, 'a gradient or a picture, such as linear-gradient(#0a7, white) or url(https://...)'],
    [/^(border|outline|column-rule)(-(top|right|bottom|left|block|inline)(-(start|end))?)?$/, 'a width, a style and a colour, such as 2px solid #0a7'],
    [/^text-decoration$/, 'a line and a colour, such as underline or underline #0a7'],
    [/^-webkit-text-stroke$/, 'a width and a colour, such as 2px #0a7'],
    [/-shadow$/, 'lengths and a colour, such as 2px 2px 4px #0008'],
    [/^(backdrop-)?filter$/, 'functions, such as blur(4px) or grayscale(1)'],
    [/^transform$/, 'functions, such as rotate(45deg) or scale(1.5)'],
    [/^font$/, 'a size and a family, such as 48px Lora; for the family alone there is fontFamily'],
    [/^font-family$/, 'names of fonts, such as Lora; one with a word that begins with a digit stands in quotes'],
    [/^font-weight$/, 'normal, bold or a number, such as 700'],
    [/^line-height$/, 'a number, such as 1.2, or a length, such as 24px'],
    [/^font-style$/, 'normal or italic'],
    [/^text-align$/, 'left, center, right or justify'],
    [/^text-transform$/, 'uppercase, lowercase, capitalize or none'],
    [/^display$/, 'words such as block, inline-block, flex or none'],
    [/^visibility$/, 'visible or hidden'],
    [/^opacity$/, 'a number from 0 to 1, or a percentage, such as 50%'],
    [/^object-fit$/, 'cover, contain, fill, scale-down or none'],
    [/^rotate$/, 'an angle, such as 45deg'],
    [/^aspect-ratio$/, 'a width and a height, such as 16 / 9'],
    [/^clip-path$/, 'a shape, such as circle(50%)'],
  ];
  // hint says what a property takes instead of a value.
  const hint = (property, value) => {
    const kept = "the template's own style is kept";
    const given = text(value);
    if (ofComment(given)) return kept + ofComment(given);
    if (/^(https?:|data:image\/)/i.test(given) && supports(property, `url("${given}")`)) {
      return `${kept}; the address of a picture stands in url(), such as url(${given.slice(0, 60)})`;
    }
    const withUnits = given.replace(/(?<![^\s,(])[-+]?(\d+\.?\d*|\.\d+)(?![^\s,)])/g, '$&px');
    if (withUnits !== given && supports(property, withUnits)) return `${kept}; a length needs a unit, such as ${withUnits.slice(0, 40)}`;
    const [, shape] = shapes.find(([name]) => name.test(property)) ?? [];
    if (shape) return `${kept}; it takes ${shape}`;
    if (supports(property, '#010203')) return `${kept}; it takes a CSS colour, such as #0a7 or rebeccapurple`;
    return supports(property, '48px') ? `${kept}; it takes a length with its unit, such as 48px` : kept;
  };

  // put sets a property if the browser takes the value, which may be made of the given one. Every property takes the value inherit. It returns the property,
  // as every function that sets a style returns what it has set, by one name for all styles that set the same; undefined if it has set nothing.
  const put = (element, key, property, value, given = value) => {
    if (supports(property, text(value))) {
      override(element, property, text(value));
      return property;
    }
    warn(`Modification ${key}: ${show(given)} is no value of the CSS property ${property}`, hint(property, value));
    return undefined;
  };

  // A shadow's parts are collected, and set together at the end.
  const shadows = new Map(); // element → { drop: { x, y, blur, color }, box: … }
  const shadow = (kind, part, property) => (element, key, value) => {
    const given = part === 'color' ? text(value) : length(value);
    if (!supports(property, given)) {
      warn(`Modification ${key}: ${show(value)} is no ${part === 'color' ? 'CSS colour' : 'length'}`, "the template's own style is kept");
      return undefined;
    }
    if (!shadows.has(element)) shadows.set(element, {});
    Object.assign(shadows.get(element)[kind] ??= {}, { [part]: given, key });
    return `${kind} shadow ${part}`;
  };
  // layersOf returns the layers of a value such as that of background-image.
  const layersOf = (value) => {
    const layers = [''];
    let depth = 0;
    for (const part of value.match(/"[^"]*"|'[^']*'|[^]/g) ?? []) {
      if (part === '(') depth++;
      if (part === ')') depth--;
      if (part === ',' && depth === 0) layers.push('');
      else layers[layers.length - 1] += part;
    }
    return layers.map((layer) => layer.trim());
  };
  // A shadow's parts that are not given are those of the template's own shadow.
  const ownShadow = /^(.*) (\S+px) (\S+px) (\S+px) (\S+px)( inset)?$/;
  const ownDrop = /drop-shadow\((.*?) ([^\s()]+px) ([^\s()]+px) ([^\s()]+px)\)/g;
  const setShadows = () => {
    for (const [element, { drop, box }] of shadows) {
      if (drop) {
        const before = computed(element, 'filter');
        const make = (color, x, y, blur) => `drop-shadow(${drop.x ?? x} ${drop.y ?? y} ${drop.blur ?? blur} ${drop.color ?? color})`;
        const changed = before.replace(ownDrop, (_, ...own) => make(...own));
        override(element, 'filter', changed !== before || ownDrop.test(before) ? changed : `${before === 'none' ? '' : before} ${make('black', '0px', '0px', '0px')}`);
      }
      if (box) {
        const before = layersOf(computed(element, 'box-shadow')).map((layer) => ownShadow.exec(layer)).filter(Boolean);
        const make = (_, color, x, y, blur, spread, inset = '') => `${box.x ?? x} ${box.y ?? y} ${box.blur ?? blur} ${box.spread ?? spread} ${box.color ?? color}${inset}`;
        if (before.length > 0) {
          override(element, 'box-shadow', before.map((own) => make(...own)).join(', '));
          continue;
        }
        override(element, 'box-shadow', make('', 'black', '0px', '0px', '0px', '0px'));
        const sizes = { Blur: box.blur, Spread: box.spread, X: box.x, Y: box.y };
        if (Object.values(sizes).every((size = '0') => parseFloat(size) === 0)) {
          const open = Object.keys(sizes).find((part) => sizes[part] === undefined) ?? 'Blur';
          warn(`Modification ${box.key} shows nothing: the shadow is as large as its element`, `give it ${box.key.slice(0, box.key.lastIndexOf('.'))}.boxShadow${open}, too, for instance`);
        }
      }
    }
  };

  // moveDrawing moves an element of an SVG along an axis: what has a place there, to it, and what has none, such as a group or a path, with the corner of its
  // box.
  const moveDrawing = (element, key, axis, value) => {
    if (element.matches('rect, image, use, foreignObject, svg')) return put(element, key, axis, length(value), value);
    if (element.matches('circle, ellipse')) return put(element, key, `c${axis}`, length(value), value);
    if (!supports('x', length(value))) return put(element, key, 'x', length(value), value);
    if (element.matches('text, tspan')) {
      element.setAttribute(axis, length(value));
      return axis;
    }
    const [, pixels] = /^([-+\d.]+)px$/.exec(length(value)) ?? [];
    if (pixels === undefined) {
      warn(`Modification ${key}: ${show(value)} is no number of pixels`, `the drawing stays where it is; a ${element.localName} takes no other unit`);
      return undefined;
    }
    const before = computed(element, 'translate');
    const [left, top = '0px'] = before === 'none' ? ['0px'] : before.split(' ');
    const by = `${Number(pixels) - element.getBBox()[axis]}px`;
    override(element, 'translate', axis === 'x' ? `${by} ${top}` : `${left} ${by}`);
    return axis;
  };
  // move takes an element out of the flow, with the width that it has there, and puts its corner at a distance from that of the page, or of
  // its nearest positioned ancestor.
  const move = (side, opposite, margin) => (element, key, value) => {
    if (isSVG(element) && element.ownerSVGElement) return moveDrawing(element, key, side === 'left' ? 'x' : 'y', value);
    if (!supports(side, length(value))) return put(element, key, side, length(value), value);
    const position = computed(element, 'position');
    if (position !== 'absolute' && position !== 'fixed') {
      const { width } = element.getBoundingClientRect();
      if (element.style.width === '' && computed(element, 'display') !== 'inline') Object.assign(element.style, { boxSizing: 'border-box', width: `${width}px` });
      element.style.position = 'absolute';
    }
    override(element, opposite, 'auto');
    override(element, margin, '0');
    return put(element, key, side, length(value));
  };
  // ofBox sets a property that has no effect on an inline element: it gets a box.
  const ofBox = (property, convert = text) => (element, key, value) => {
    const set = put(element, key, property, convert(value), value);
    if (set && computed(element, 'display') === 'inline' && !isPicture(element) && !isSVG(element)) element.style.display = 'inline-block';
    return set;
  };
  // turned are the parts of drawings that modifications turn or scale: about their own middle, as other elements. The browser would take the corner of the
  // drawing, unless the page says otherwise.
  const turned = [];
  const turn = (property, convert) => (element, key, value) => {
    const set = ofBox(property, convert)(element, key, value);
    if (set && element.ownerSVGElement) turned.push(element);
    return set;
  };
  const turnAboutMiddle = () => {
    for (const element of turned) {
      const { transformBox, transformOrigin, transform } = getComputedStyle(element);
      const { a, b, c, d, e, f } = new DOMMatrix(transform === 'none' ? undefined : transform);
      const isMoved = a === 1 && b === 0 && c === 0 && d === 1; // another transform depends on the corner
      if (element.getAnimations().length > 0 || element.querySelector(':scope > animateTransform, :scope > animateMotion')) continue; // they depend on it, too
      if (transformBox !== 'view-box' || !/^0px 0px/.test(transformOrigin) || !isMoved) continue;
      element.style.transformBox = 'fill-box';
      element.style.transformOrigin = `calc(50% + ${e}px) calc(50% + ${f}px)`;
    }
  };
  const places = { top: 'start', middle: 'center', bottom: 'end', 'flex-start': 'start', center: 'center', 'flex-end': 'end', start: 'start', end: 'end' };
  const alignVertically = (element, key, value) => {
    const display = computed(element, 'display');
    const place = places[text(value).toLowerCase()];
    const inLine = /^(inline|table-cell)/.test(display);
    if (inLine ? !supports('vertical-align', text(value)) : place === undefined) {
      warn(`Modification ${key}: ${show(value)} is no vertical alignment`, "the template's own style is kept; it takes top, middle or bottom");
      return undefined;
    }
    const column = computed(element, 'flex-direction').startsWith('column');
    const property = inLine ? 'vertical-align' : !display.includes('flex') ? 'align-content' : column ? 'justify-content' : 'align-items';
    override(element, property, inLine ? text(value) : place);
    return property;
  };
  const colourText = (element, key, value) => {
    if (!isGradient(value)) {
      const set = put(element, key, 'color', value);
      if (set) coloured.push([element, key]);
      return set;
    }
    // The letters are cut out of the first pictures of the background. The last one has the box for its colour.
    const own = getComputedStyle(element);
    const layers = {
      'background-image': own.backgroundImage === 'none' ? 'linear-gradient(transparent, transparent)' : own.backgroundImage,
      'background-clip': own.backgroundClip, 'background-size': own.backgroundSize, 'background-position': own.backgroundPosition,
      'background-repeat': own.backgroundRepeat, 'background-origin': own.backgroundOrigin,
    };
    if (!put(element, key, 'background-image', `${text(value)}, ${layers['background-image']}`, value)) return undefined;
    const first = { 'background-clip': 'text', 'background-size': 'auto', 'background-position': '0% 0%', 'background-repeat': 'repeat', 'background-origin': 'padding-box' };
    for (const [property, of] of Object.entries(first)) override(element, property, `${`${of}, `.repeat(layersOf(text(value)).length)}${layers[property]}`);
    override(element, 'color', 'transparent');
    return 'color';
  };
  // coloured are the elements that have been given a colour, each with the modification's key. Other styles may take the colour, so all are set before
  // checkColours looks whether anything does.
  const coloured = [];
  const maxParts = 100; // of a drawing that are looked at
  // isBare reports whether an element has nothing in it that could take its colour, and had nothing in the template: an element without text, a picture or
  // a drawing.
  const isBare = (element) => (isSVG(element) ? !element.matches('use, text, tspan') && element.querySelector('use, text, style, foreignObject, animate, set') === null && element.querySelectorAll('*').length < maxParts
    : element.childElementCount === 0 && element.textContent.trim() === ''
      && !element.matches('input, textarea, select, button, meter, progress, hr, object, iframe, details, img:not([src]), [data-param]:not(img)')) && !wasFuller(element);
  // looks returns all of an element that may be currentColor.
  const looks = (element) => [element, ...(isSVG(element) ? element.querySelectorAll('*') : [])]
    .map((part) => ['background-color', 'background-image', 'mask-image', 'box-shadow', 'filter', 'fill', 'stroke', 'stop-color', 'flood-color', 'lighting-color']
      .map((property) => computed(part, property)).join()).join();
  // mayTakeColour reports whether the lines around an element, its marker or what a style puts into it may have its colour, now or later.
  const mayTakeColour = (element) => computed(element, 'display') === 'list-item' || computed(element, 'outline-style') !== 'none'
    || ['top', 'right', 'bottom', 'left'].some((side) => computed(element, `border-${side}-style`) !== 'none')
    || ['::before', '::after'].some((pseudo) => !['none', 'normal'].includes(getComputedStyle(element, pseudo).content))
    || /[1-9]/.test(computed(element, 'transition-duration')) || element.getAnimations({ subtree: true }).length > 0;
  // isOutline reports whether a drawing has lines and no area.
  const isOutline = (element) => {
    const drawn = [element, ...element.querySelectorAll('*')].filter((part) => part instanceof SVGGeometryElement && !part.closest('defs, clipPath, mask, symbol, marker, pattern'));
    return drawn.length > 0 && drawn.every((part) => part.localName === 'line' || computed(part, 'fill') === 'none');
  };
  // usesColour reports whether something of an element is currentColor.
  const usesColour = (element) => {
    const [before, own, { cssText }] = [looks(element), element.getAttribute('style'), element.style];
    element.style.setProperty('color', computed(element, 'color') === 'rgb(1, 2, 3)' ? 'rgb(3, 2, 1)' : 'rgb(1, 2, 3)', 'important');
    const isUsed = looks(element) !== before;
    if (own === null) element.removeAttribute('style');
    else element.style.cssText = cssText;
    return isUsed;
  };
  // insteadOfColour returns the style that colours an element without text, and its property.
  const insteadOfColour = (element) => {
    if (isSVG(element)) return isOutline(element) ? ['stroke', 'stroke'] : ['fill', 'fill'];
    return isPicture(element) ? ['svgColor', 'filter'] : ['backgroundColor', 'background-color'];
  };
  const checkColours = () => {
    const found = coloured.filter(([element]) => isBare(element) && !mayTakeColour(element));
    if (found.length === 0 || hasCode()) return;
    const loads = ({ localName, textContent }) => localName === 'link' || textContent.includes('@import'); // a style that is not there yet
    if ([...document.querySelectorAll('style, link[rel~="stylesheet" i]')].some(loads)) return;
    for (const [element, key] of found) {
      if (usesColour(element)) continue;
      const [instead, property] = insteadOfColour(element);
      warn(`Modification ${key} colours nothing: the element has no text`, given.get(element).has(property) ? '' : `did you mean ${key.slice(0, key.lastIndexOf('.'))}.${instead}?`);
    }
  };
  const colourBackground = (element, key, value) => put(element, key, isGradient(value) ? 'background-image' : 'background-color', value);
  // paints reports whether an element has a fill or a stroke that can be seen.
  const paints = (element, property) => !/^none$|^rgba\(.*, 0\)$/.test(computed(element, property));
  // partsOf returns what a drawing paints besides itself.
  const partsOf = (element) => [...element.querySelectorAll('*')].filter((part) => part instanceof SVGGraphicsElement && !part.closest('mask, clipPath'));
  // colourShape sets a property of a drawing, and of its parts that have one of their own.
  const colourShape = (element, key, property, value) => {
    const parts = partsOf(element).filter((part) => paints(part, property));
    const set = put(element, key, property, value);
    if (set) for (const part of parts) if (computed(part, property) !== computed(element, property)) override(part, property, text(value));
    return set;
  };
  const fill = (element, key, value) => {
    if (isSVG(element)) return colourShape(element, key, 'fill', value);
    return hasText(element) ? colourText(element, key, value) : colourBackground(element, key, value);
  };
  const border = (property) => (element, key, value) => {
    const set = put(element, key, property, property === 'border-width' ? length(value) : value);
    if (set && computed(element, 'border-top-style') === 'none') element.style.borderStyle = 'solid';
    return set;
  };
  const stroke = (property, ofText, ofBox) => (element, key, value) => {
    if (isSVG(element)) return colourShape(element, key, property, value);
    return hasText(element) ? put(element, key, ofText, property === 'stroke-width' ? length(value) : value) : border(ofBox)(element, key, value);
  };
  // colourPicture gives everything that a picture paints one colour.
  const colourPicture = (element, key, value) => {
    if (!supports('color', text(value))) return put(element, key, 'color', value);
    if (isSVG(element)) {
      const open = ['fill', 'stroke'].filter((property) => !given.get(element)?.has(property)); // the others have modifications of their own
      const painted = [element, ...partsOf(element)].flatMap((part) => open.filter((property) => paints(part, property)).map((property) => [part, property]));
      override(element, 'color', text(value));
      for (const [part, property] of painted) override(part, property, text(value));
      return open.includes('fill') ? 'fill' : 'svgColor';
    }
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.innerHTML = '<filter id="f" color-interpolation-filters="sRGB" x="0" y="0" width="1" height="1"><feFlood/><feComposite operator="in" in2="SourceAlpha"/></filter>';
    svg.querySelector('feFlood').setAttribute('flood-color', text(value));
    const source = encodeURIComponent(new XMLSerializer().serializeToString(svg));
    if (hasText(element) && !/^rgba\(.*, [\d.]+\)$| \/ /.test(computed(element, 'background-color'))) {
      const id = key.slice(0, key.lastIndexOf('.'));
      warn(`Modification ${key} hides the text: the box gets the same colour`, `svgColor is for pictures; ${id}.color colours the text, and ${id}.backgroundColor the box`);
    }
    override(element, 'filter', `url("data:image/svg+xml,${source}#f")`);
    return 'filter';
  };
  const plain = (property, convert = text) => (element, key, value) => put(element, key, property, convert(value), value);
  const fade = (element, key, value) => {
    const set = put(element, key, 'opacity', value);
    if (set && parseFloat(value) > (text(value).endsWith('%') ? 100 : 1)) {
      warn(`Modification ${key}: ${show(value)} is shown as 1`, 'opacity is a number from 0 to 1, or a percentage, such as 50%');
    }
    return set;
  };
  const padding = (one, other) => (element, key, value) => put(element, key, one, length(value)) && put(element, key, other, length(value)) && `${one} and ${other}`;
  const media = (property) => (element, key, value) => {
    if (element instanceof HTMLMediaElement) element[property] = text(value) === 'true';
    else warn(`Modification ${key} names no CSS property`, `only a video has ${property}`);
    return property;
  };

  const styles = {
    x: move('left', 'right', 'margin-left'),
    y: move('top', 'bottom', 'margin-top'),
    width: ofBox('width', length),
    height: ofBox('height', length),
    rotation: turn('rotate', (value) => (/deg|turn|rad/.test(text(value)) ? text(value) : `${text(value)}deg`)),
    rotate: turn('rotate'),
    scale: turn('scale'),
    translate: ofBox('translate'),
    transform: ofBox('transform'),
    opacity: fade,
    verticalAlign: alignVertically,
    paddingX: padding('padding-left', 'padding-right'),
    paddingY: padding('padding-top', 'padding-bottom'),
    color: colourText,
    fill,
    stroke: stroke('stroke', '-webkit-text-stroke-color', 'border-color'),
    strokeWidth: stroke('stroke-width', '-webkit-text-stroke-width', 'border-width'),
    svgColor: colourPicture,
    textStroke: plain('-webkit-text-stroke'),
    textStrokeWidth: plain('-webkit-text-stroke-width', length),
    textStrokeColor: plain('-webkit-text-stroke-color'),
    background: plain('background'),
    bg: plain('background'),
    bgColor: colourBackground,
    backgroundColor: colourBackground,
    textBackgroundColor: colourBackground,
    backgroundRadius: plain('border-radius', length),
    bgRadius: plain('border-radius', length),
    textBackgroundRadius: plain('border-radius', length),
    borderRadius: plain('border-radius', length),
    borderWidth: border('border-width'),
    borderColor: border('border-color'),
    dropShadowX: shadow('drop', 'x', 'margin-left'),
    dropShadowY: shadow('drop', 'y', 'margin-left'),
    dropShadowBlur: shadow('drop', 'blur', 'padding-left'),
    dropShadowColor: shadow('drop', 'color', 'color'),
    boxShadowX: shadow('box', 'x', 'margin-left'),
    boxShadowY: shadow('box', 'y', 'margin-left'),
    boxShadowBlur: shadow('box', 'blur', 'padding-left'),
    boxShadowSpread: shadow('box', 'spread', 'margin-left'),
    boxShadowColor: shadow('box', 'color', 'color'),
    muted: media('muted'),
    loop: media('loop'),
    prompt: (_, key) => warn(`Modification ${key} is ignored: no model is connected`, 'make the text or the picture before the render, and send it as a modification'),
  };
  const fold = (name) => name.toLowerCase().replace(/-/g, '');
  const special = new Map(Object.entries(styles).map(([name, set]) => [fold(name), set]));
  // properties has the names of CSS properties, and spelled those that scripts have for them, such as fontSize. Most pages need neither.
  const [properties, spelled] = [new Map(), new Map()];
  const readProperties = () => {
    if (properties.size > 0) return;
    for (const name in document.createElement('div').style) {
      if (!/^[a-z]+$/i.test(name)) continue;
      spelled.set(fold(name), name);
      properties.set(fold(name), name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replace(/^webkit-/, '-webkit-').replace(/^css-float$/, 'float'));
    }
  };
  const propertyOf = (name) => {
    readProperties();
    return properties.get(fold(name));
  };

  // given has the key of the modification for each thing that an element has been given, by its name.
  const given = new WeakMap();
  const setOnce = (element, key, what) => {
    if (!given.has(element)) given.set(element, new Map());
    const before = given.get(element).get(what);
    if (before) warn(`Modification ${before} does not count`, `${key} is the same style`);
    given.get(element).set(what, key);
  };

  // ofDrawings says what drawings have in place of properties of boxes.
  const ofDrawings = [[/^background/, 'fill'], [/^border.*color$/, 'stroke'], [/^border.*width$/, 'strokeWidth'], [/^border.*radius$/, 'rx'], [/^border(-(top|right|bottom|left))?$/, 'stroke']];
  const ofPaper = ['size', 'page-orientation', 'page-margin-safety']; // only @page has them
  const isProperty = (name) => name.startsWith('--') || !ofPaper.includes(propertyOf(name)) && supports(propertyOf(name) ?? 'none', 'inherit');

  // others are names that other tools have for styles.
  const others = new Map(Object.entries({
    align: 'textAlign', bold: 'fontWeight', fontcolor: 'color', fontcolour: 'color', hidden: 'visibility', hide: 'visibility', italic: 'fontStyle', shadow: 'boxShadow',
    gradient: 'backgroundImage', textcolor: 'color', textcolour: 'color', underline: 'textDecoration', uppercase: 'textTransform', visible: 'visibility',
  }));
  // meant returns the style that another, a shortened or a mistyped name means, or href, which is no style and set elsewhere, by the rule of package nearest;
  // empty if there is none.
  const meant = (name) => {
    const wanted = fold(name);
    if (others.has(wanted)) return others.get(wanted);
    for (const first of ['font', 'text', 'letter', 'background', 'border']) { // such as size for fontSize
      const whole = first + name.charAt(0).toUpperCase() + name.slice(1);
      if (isProperty(whole)) return whole;
    }
    let best = '';
    let least = 3;
    const consider = (folded, candidate) => {
      if (Math.abs(wanted.length - folded.length) > 2) return;
      const far = distance(wanted, folded);
      if (far < least && 3 * far <= Math.max(wanted.length, folded.length) && (candidate === 'href' || special.has(folded) || isProperty(candidate))) [best, least] = [candidate, far];
    };
    consider('href', 'href');
    for (const candidate of Object.keys(styles)) consider(fold(candidate), candidate);
    readProperties();
    for (const [folded, candidate] of spelled) consider(folded, candidate);
    return best;
  };
  const warnUnknown = (element, key, name) => {
    const { param } = element.dataset ?? {};
    if (param && (isGiven(param) || element.dataset.bound === undefined) && /^(text|textcontent|value|content|html|innerhtml|src|source|url|image|picture)$/.test(fold(name))) {
      warn(`Modification ${key} names no CSS property`, `to change what the element shows, give ${param}`);
      return;
    }
    let near = meant(name);
    if (near === 'color' && isBare(element) && !mayTakeColour(element) && !usesColour(element)) [near] = insteadOfColour(element);
    warn(`Modification ${key} names no CSS property`, near && `did you mean ${key.slice(0, key.length - name.length)}${near}?`);
  };

  return {
    override,
    meant,
    // known reports whether there is a style of a name.
    known: (name) => special.has(fold(name)) || isProperty(name),
    // set sets a style of an element. key is the modification's.
    set(element, key, name, value) {
      if (!special.has(fold(name)) && !isProperty(name)) {
        warnUnknown(element, key, name);
        return;
      }
      const setStyle = special.get(fold(name)) ?? plain(name.startsWith('--') ? name : propertyOf(name));
      const what = setStyle(element, key, value);
      if (!what) return;
      setOnce(element, key, what);
      const [, instead] = ofDrawings.find(([ofBoxes]) => ofBoxes.test(what)) ?? [];
      if (instead && element.ownerSVGElement && element.localName !== 'foreignObject') {
        const takes = instead !== 'rx' || ['rect', 'ellipse'].includes(element.localName);
        const near = instead === 'fill' && element.localName === 'line' ? 'stroke' : instead;
        warn(`Modification ${key} does nothing: a ${element.localName} has no box`, takes ? `did you mean ${key.slice(0, key.lastIndexOf('.'))}.${near}?` : '');
      }
    },
    // finish sets what several modifications make together, and looks at the outcome.
    finish() {
      setShadows();
      turnAboutMiddle();
      checkColours();
    },
  };
})
