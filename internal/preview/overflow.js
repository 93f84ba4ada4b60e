// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Reports text that runs out of its box or out of the page. It runs in a page that is linted, once its fonts are there. The renderer waits
// for this element's data-platen-ready, and its warnings are the report.
((self) => {
  const warn = window[Symbol.for('platen.warn')];
  const name = (element) => {
    for (const attribute of ['id', 'data-param', 'class']) {
      const value = element.getAttribute(attribute);
      if (value) return `<${element.localName} ${attribute}=${value.slice(0, 60)}>`;
    }
    return `<${element.localName}>`;
  };
  // isMoved reports whether an element lies elsewhere than its box would put it.
  const isMoved = ({ position, left, right, transform, marginLeft, marginRight }) => {
    const shifted = position !== 'static' && ![left, right].some((side) => /^(auto|0px)$/.test(side));
    return /^(absolute|fixed)$/.test(position) || shifted || transform !== 'none' || parseFloat(marginLeft) < 0 || parseFloat(marginRight) < 0;
  };
  // boxes returns the boxes that bound an element's text: the nearest one that is not inline, the flex and grid boxes of which that is an item, and those that
  // cut off what is outside.
  const boxes = (element) => {
    const list = [];
    let isItem = true;
    for (let box = element; box && box !== document.body; box = box.parentElement) {
      const style = getComputedStyle(box);
      if (style.display === 'inline' || style.display === 'contents') continue;
      const cuts = style.overflowX !== 'visible' || style.overflowY !== 'visible';
      if (list.length === 0 || cuts || isItem && /(flex|grid)$/.test(style.display)) list.push(box.getBoundingClientRect());
      isItem &&= !cuts && !isMoved(style);
      if (style.position === 'fixed') break;
    }
    list.push({ left: 0, top: 0, right: innerWidth, bottom: innerHeight, page: true });
    return list;
  };
  // excess returns how far a text runs out of a box, and on which side. A line may be lower than its letters.
  const excess = (text, box, slack) => {
    const sides = { 'on the left': box.left - text.left, 'on the right': text.right - box.right, 'at the top': box.top - text.top - slack, 'at the bottom': text.bottom - box.bottom - slack };
    return Object.entries(sides).find(([, pixels]) => pixels > 1);
  };
  const check = () => {
    // Finite animations are at their end in a picture, and a film ends there.
    for (const animation of document.getAnimations()) {
      const ends = animation.playbackRate !== 0 && Number.isFinite(animation.effect?.getComputedTiming().endTime);
      if (animation.playState === 'running' && ends) animation.finish();
    }
    const reported = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      const element = text.parentElement;
      if (text.data.trim() === '' || reported.has(element) || element.closest('script, style, svg, [data-fit]') || !element.checkVisibility()) continue;
      range.selectNodeContents(text);
      const slack = parseFloat(getComputedStyle(element).fontSize) * 0.4;
      const area = boxes(element);
      const lines = [...range.getClientRects()];
      if (getComputedStyle(element, '::first-letter').float !== 'none') lines.shift(); // an initial may reach below its paragraph
      for (const line of lines) {
        const box = area.find((b) => excess(line, b, slack));
        if (!box || reported.has(element)) continue;
        const [side, pixels] = excess(line, box, slack);
        reported.add(element);
        warn(`platen.lint ${name(element)}`, `"${text.data.trim().slice(0, 60)}" runs ${Math.round(pixels)} px out of ${box.page ? 'the page' : 'its box'} ${side}`);
      }
    }
  };
  const done = () => self.setAttribute('data-platen-ready', 'true');
  addEventListener('load', () => document.fonts.ready.then(check).finally(done));
})(document.currentScript);
