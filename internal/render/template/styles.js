// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Sets the styles that modifications of the form ID.STYLE name. A style is a CSS property, or one of those below, whose names are those of
// design tools; docs/templates/styles.md says what becomes of each. Upper and lower case are alike.
(({ supports, warn, show, distance }) => {
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
    [/^font-weight$/, 'normal, bold or a number, such as 700'],
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
    if (/^(https?:|data:image\/)/i.test(given) && supports(property, `url("${given}")`)) {
      return `${kept}; the address of a picture stands in url(), such as url(${given.slice(0, 60)})`;
    }
    const withUnits = given.replace(/(?<![^\s,(])[-+]?(\d+\.?\d*|\.\d+)(?![^\s,)])/g, '$&px');
    if (withUnits !== given && supports(property, withUnits)) return `${kept}; a length needs a unit, such as ${withUnits.slice(0, 40)}`;
    const [, shape] = shapes.find(([name]) => name.test(property)) ?? [];
    if (shape) return `${kept}; it takes ${shape}`;
    if (supports(property, 'red')) return `${kept}; it takes a CSS colour, such as #0a7 or rebeccapurple`;
    return supports(property, '48px') ? `${kept}; it takes a length with its unit, such as 48px` : kept;
  };

  // put sets a property if the browser takes the value, which may be made of the given one. Every property takes the value inherit.
  const put = (element, key, property, value, given = value) => {
    if (supports(property, text(value))) {
      override(element, property, text(value));
      return true;
    }
    warn(`Modification ${key}: ${show(given)} is no value of the CSS property ${property}`, hint(property, value));
    return false;
  };

  // A shadow's parts are collected, and set together at the end.
  const shadows = new Map(); // element → { drop: { x, y, blur, color }, box: … }
  const shadow = (kind, part, property) => (element, key, value) => {
    const given = part === 'color' ? text(value) : length(value);
    if (!supports(property, given)) {
      warn(`Modification ${key}: ${show(value)} is no ${part === 'color' ? 'CSS colour' : 'length'}`, "the template's own style is kept");
      return;
    }
    if (!shadows.has(element)) shadows.set(element, {});
    (shadows.get(element)[kind] ??= {})[part] = given;
  };
  const setShadows = () => {
    for (const [element, { drop, box }] of shadows) {
      if (drop) {
        const before = computed(element, 'filter');
        const { x = '0px', y = '0px', blur = '0px', color = 'black' } = drop;
        override(element, 'filter', `${before === 'none' ? '' : before} drop-shadow(${x} ${y} ${blur} ${color})`);
      }
      if (box) {
        const { x = '0px', y = '0px', blur = '0px', spread = '0px', color = 'black' } = box;
        override(element, 'box-shadow', `${x} ${y} ${blur} ${spread} ${color}`);
      }
    }
  };

  // move takes an element out of the flow, with the width that it has there, and puts its corner at a distance from that of the page, or of
  // its nearest positioned ancestor.
  const move = (side, opposite, margin) => (element, key, value) => {
    if (isSVG(element) && element.ownerSVGElement) {
      put(element, key, side === 'left' ? 'x' : 'y', length(value), value);
      return;
    }
    if (!supports(side, length(value))) {
      put(element, key, side, length(value), value);
      return;
    }
    const position = computed(element, 'position');
    if (position !== 'absolute' && position !== 'fixed') {
      const { width } = element.getBoundingClientRect();
      if (element.style.width === '' && computed(element, 'display') !== 'inline') Object.assign(element.style, { boxSizing: 'border-box', width: `${width}px` });
      element.style.position = 'absolute';
    }
    put(element, key, side, length(value));
    override(element, opposite, 'auto');
    override(element, margin, '0');
  };
  const resize = (property) => (element, key, value) => {
    if (!put(element, key, property, length(value), value)) return;
    if (computed(element, 'display') === 'inline' && !isPicture(element) && !isSVG(element)) element.style.display = 'inline-block';
  };
  const places = { top: 'start', middle: 'center', bottom: 'end', 'flex-start': 'start', center: 'center', 'flex-end': 'end', start: 'start', end: 'end' };
  const alignVertically = (element, key, value) => {
    const display = computed(element, 'display');
    const place = places[text(value).toLowerCase()];
    const inLine = /^(inline|table-cell)/.test(display);
    if (inLine ? !supports('vertical-align', text(value)) : place === undefined) {
      warn(`Modification ${key}: ${show(value)} is no vertical alignment`, "the template's own style is kept; it takes top, middle or bottom");
    } else if (inLine) override(element, 'vertical-align', text(value));
    else if (!display.includes('flex')) override(element, 'align-content', place);
    else if (computed(element, 'flex-direction').startsWith('column')) override(element, 'justify-content', place);
    else override(element, 'align-items', place);
  };
  const colourText = (element, key, value) => {
    if (!isGradient(value)) {
      if (put(element, key, 'color', value)) coloured.push([element, key]);
    } else if (put(element, key, 'background-image', value)) {
      override(element, 'background-clip', 'text');
      override(element, 'color', 'transparent');
    }
  };
  // coloured are the elements that have been given a colour, each with the modification's key. Other styles may take the colour, so all are set before
  // checkColours looks whether anything does.
  const coloured = [];
  const maxParts = 100;
  // colourable matches what takes its colour, or may yet have text.
  const colourable = 'input, textarea, select, button, meter, progress, hr, object, iframe, [data-param]';
  // takesColour reports whether a part of an element takes the colour for something else than text and styles that name currentColor: a drawing, a marker or
  // a line. Of one that changes slowly, nobody sees at once.
  const takesColour = (part) => !(part instanceof HTMLElement) || part.matches(colourable)
    || computed(part, 'display') === 'list-item' || computed(part, 'outline-style') !== 'none' || /[1-9]/.test(computed(part, 'transition-duration'))
    || ['top', 'right', 'bottom', 'left'].some((side) => computed(part, `border-${side}-style`) !== 'none')
    || ['::before', '::after'].some((pseudo) => !['none', 'normal'].includes(getComputedStyle(part, pseudo).content));
  const checkColours = () => {
    if (document.scripts.length > 0) return; // one may give an element text
    for (const [element, key] of coloured) {
      const parts = [element, ...element.querySelectorAll('*')];
      if (element.textContent.trim() !== '' || parts.length > maxParts || parts.some(takesColour)) continue;
      const looks = () => parts.map((part) => ['background-color', 'background-image', 'box-shadow', 'filter'].map((property) => computed(part, property)).join()).join();
      const [before, { cssText }] = [looks(), element.style];
      element.style.setProperty('color', computed(element, 'color') === 'rgb(1, 2, 3)' ? 'rgb(3, 2, 1)' : 'rgb(1, 2, 3)', 'important');
      const isUsed = looks() !== before;
      element.style.cssText = cssText;
      if (isUsed) continue;
      const instead = isPicture(element) ? 'svgColor' : 'backgroundColor';
      warn(`Modification ${key} colours nothing: the element has no text`, `did you mean ${key.slice(0, key.lastIndexOf('.'))}.${instead}?`);
    }
  };
  const colourBackground = (element, key, value) => put(element, key, isGradient(value) ? 'background-image' : 'background-color', value);
  // colourShape sets a property of an SVG's shapes that have one of their own.
  const colourShape = (element, key, property, value) => {
    if (!put(element, key, property, value)) return;
    for (const shape of element.querySelectorAll(`[${property}]`)) {
      if (shape.getAttribute(property) !== 'none') override(shape, property, text(value));
    }
  };
  const fill = (element, key, value) => {
    if (isSVG(element)) colourShape(element, key, 'fill', value);
    else if (hasText(element)) colourText(element, key, value);
    else colourBackground(element, key, value);
  };
  const border = (property) => (element, key, value) => {
    if (!put(element, key, property, property === 'border-width' ? length(value) : value)) return;
    if (computed(element, 'border-top-style') === 'none') element.style.borderStyle = 'solid';
  };
  const stroke = (property, ofText, ofBox) => (element, key, value) => {
    if (isSVG(element)) colourShape(element, key, property, value);
    else if (hasText(element)) put(element, key, ofText, property === 'stroke-width' ? length(value) : value);
    else border(ofBox)(element, key, value);
  };
  // colourPicture gives everything that a picture paints one colour.
  const colourPicture = (element, key, value) => {
    if (isSVG(element)) {
      override(element, 'color', text(value));
      colourShape(element, key, 'fill', value);
    } else if (!supports('color', text(value))) {
      put(element, key, 'color', value);
    } else {
      const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      svg.innerHTML = '<filter id="f" color-interpolation-filters="sRGB" x="0" y="0" width="1" height="1"><feFlood/><feComposite operator="in" in2="SourceAlpha"/></filter>';
      svg.querySelector('feFlood').setAttribute('flood-color', text(value));
      const source = encodeURIComponent(new XMLSerializer().serializeToString(svg));
      override(element, 'filter', `url("data:image/svg+xml,${source}#f")`);
    }
  };
  const plain = (property, convert = text) => (element, key, value) => put(element, key, property, convert(value), value);
  const fade = (element, key, value) => {
    if (put(element, key, 'opacity', value) && (parseFloat(value) > (text(value).endsWith('%') ? 100 : 1))) {
      warn(`Modification ${key}: ${show(value)} is shown as 1`, 'opacity is a number from 0 to 1, or a percentage, such as 50%');
    }
  };
  const padding = (one, other) => (element, key, value) => put(element, key, one, length(value)) && put(element, key, other, length(value));
  const media = (property) => (element, key, value) => {
    if (element instanceof HTMLMediaElement) element[property] = text(value) === 'true';
    else warn(`Modification ${key} names no CSS property`, `only a video has ${property}`);
  };

  const styles = {
    x: move('left', 'right', 'margin-left'),
    y: move('top', 'bottom', 'margin-top'),
    width: resize('width'),
    height: resize('height'),
    rotation: plain('rotate', (value) => (/deg|turn|rad/.test(text(value)) ? text(value) : `${text(value)}deg`)),
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

  // same has the styles that are another one by a second name.
  const same = new Map(Object.entries({
    bg: 'background', bgcolor: 'backgroundcolor', textbackgroundcolor: 'backgroundcolor', backgroundradius: 'borderradius', bgradius: 'borderradius',
    textbackgroundradius: 'borderradius', x: 'left', y: 'top', rotation: 'rotate', textstroke: 'webkittextstroke', textstrokewidth: 'webkittextstrokewidth',
    textstrokecolor: 'webkittextstrokecolor',
  }));
  // given has the key of each style that an element has been given, by the style's name.
  const given = new WeakMap();
  const setOnce = (element, key, name) => {
    if (name.startsWith('--')) return; // custom properties differ in their case and hyphens
    if (!given.has(element)) given.set(element, new Map());
    const style = same.get(fold(name)) ?? fold(name);
    const before = given.get(element).get(style);
    if (before) warn(`Modification ${before} does not count`, `${key} is the same style`);
    given.get(element).set(style, key);
  };

  const ofPaper = ['size', 'page-orientation', 'page-margin-safety']; // only @page has them
  const isProperty = (name) => name.startsWith('--') || !ofPaper.includes(propertyOf(name)) && supports(propertyOf(name) ?? 'none', 'inherit');

  // others are names that other tools have for styles.
  const others = new Map(Object.entries({
    align: 'textAlign', bold: 'fontWeight', fontcolor: 'color', fontcolour: 'color', hidden: 'visibility', italic: 'fontStyle', shadow: 'boxShadow',
    textcolor: 'color', textcolour: 'color', underline: 'textDecoration', uppercase: 'textTransform', visible: 'visibility',
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
    if (param && /^(text|textcontent|value|content|html|innerhtml|src|source|url|image|picture)$/.test(fold(name))) {
      warn(`Modification ${key} names no CSS property`, `to change what the element shows, give ${param}`);
      return;
    }
    const near = meant(name);
    warn(`Modification ${key} names no CSS property`, near && `did you mean ${key.slice(0, key.length - name.length)}${near}?`);
  };

  return {
    override,
    meant,
    // known reports whether there is a style of a name.
    known: (name) => special.has(fold(name)) || isProperty(name),
    // set sets a style of an element. key is the modification's.
    set(element, key, name, value) {
      setOnce(element, key, name);
      const property = name.startsWith('--') ? name : propertyOf(name);
      if (special.has(fold(name))) special.get(fold(name))(element, key, value);
      else if (!isProperty(name)) warnUnknown(element, key, name);
      else put(element, key, property, value);
    },
    // finish sets what several modifications make together, and looks at the outcome.
    finish() {
      setShadows();
      checkColours();
    },
  };
})
