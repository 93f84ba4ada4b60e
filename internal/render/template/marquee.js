// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Makes marquees move by the time of a film. The browser would move them by a clock that nobody can set, so they stand
// (https://html.spec.whatwg.org/multipage/obsolete.html#the-marquee-element).
((marquees) => {
  const shortestDelay = 60; // milliseconds, unless the page means its own
  for (const element of marquees) {
    const { behavior, direction, scrollDelay, trueSpeed, loop, ownerDocument } = element;
    const scrollAmount = ownerDocument.defaultView?.[Symbol.for('platen.marquees')]?.get(element);
    if (!(scrollAmount > 0)) continue;
    const upright = /^(up|down)$/i.test(direction);
    const content = ownerDocument.createElement('div');
    if (!upright) content.style.display = 'inline-block';
    content.append(...element.childNodes);
    element.append(content);
    const [room, length] = upright ? [element.clientHeight, content.offsetHeight] : [element.clientWidth, content.offsetWidth];
    const forth = /^(right|down)$/i.test(direction);
    let [from, to] = forth ? [-length, room] : [room, -length];
    if (/^slide$/i.test(behavior)) to = forth ? room - length : 0;
    const alternates = /^alternate$/i.test(behavior);
    if (alternates) [from, to] = forth ? [0, room - length] : [room - length, 0];
    const at = (place) => ({ translate: upright ? `0 ${place}px` : `${place}px 0` });
    content.animate([at(from), at(to)], {
      duration: Math.abs(to - from) / scrollAmount * Math.max(scrollDelay, trueSpeed ? 1 : shortestDelay), fill: 'both',
      iterations: loop > 0 ? loop : Infinity, direction: alternates ? 'alternate' : 'normal',
    });
  }
})
