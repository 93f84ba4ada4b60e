// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Tells the timing of a document's SVG animations (SMIL, https://www.w3.org/TR/SVG11/animate.html). Those of one outermost svg share a clock. clocks returns
// the outermost svg elements whose author has not paused them. timing returns for each of them the seconds at which its last finite animation ends, its
// endless animations, the moments at which something begins, repeats or ends, and all animations that have begun or will. seek sets the clock of one, and tells of the repeats until then: the
// browser tells of no repeat that it has not lived through.
(() => {
  const kinds = 'animate, animateMotion, animateTransform, set';
  const { setCurrentTime } = SVGSVGElement.prototype;
  // seconds reads a clock value, such as 2s, 300ms, 0.5min, 1h or 00:01:30.
  const seconds = (text) => {
    const units = { h: 3600, min: 60, s: 1, ms: 0.001, '': 1 };
    const [, number, unit] = text.trim().match(/^([\d.]+)(h|min|s|ms|)$/) ?? [];
    if (number !== undefined) return Number(number) * units[unit];
    return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  };
  const offset = (text) => {
    const [, sign, value] = text.replace(/\s/g, '').match(/^([+-]?)(.*)$/);
    return value === '' ? 0 : (sign === '-' ? -1 : 1) * seconds(value);
  };
  const known = new WeakMap(); // element → the second at which it began, also if it has ended
  // start returns the second at which an animation begins, undefined if it waits for an event.
  const start = (element) => {
    try {
      known.set(element, element.getStartTime());
    } catch {
      // it does not run, and will not by itself
    }
    return known.get(element);
  };
  const simpleOf = (element) => {
    try {
      return element.getSimpleDuration();
    } catch {
      return undefined; // it has no duration: a set that stays, or an animation without effect
    }
  };
  // last returns the first of the ends that an animation's author names, after it begins; Infinity for none.
  const last = (element, begin, asked = new Set()) => {
    let first = Infinity;
    for (const value of (element.getAttribute('end') ?? '').split(';')) {
      const [, id, edge, rest] = value.trim().match(/^(.+)\.(begin|end)\s*([+-].*)?$/) ?? [];
      let time = /^[+-]?\s*[\d.]/.test(value.trim()) ? offset(value) : NaN;
      const other = id === undefined || asked.has(id) ? null : element.ownerDocument.getElementById(id);
      const from = other === null ? undefined : start(other);
      if (from !== undefined) time = (edge === 'begin' ? from : from + length(other, from, asked.add(id))) + offset(rest ?? '');
      if (time >= begin) first = Math.min(first, time);
    }
    return first;
  };
  // length returns how many seconds an animation is active, Infinity for an endless one.
  const length = (element, begin, asked) => {
    const ends = last(element, begin, asked) - begin;
    const simple = simpleOf(element);
    if (simple === undefined) return ends < Infinity ? ends : 0;
    const of = (name) => (element.getAttribute(name) ?? '').trim();
    const [count, total, most] = [of('repeatCount'), of('repeatDur'), of('max')];
    const lengths = [];
    if (count === '' && total === '') lengths.push(simple);
    if (Number(count) > 0) lengths.push(simple * Number(count));
    if (total !== '' && total !== 'indefinite') lengths.push(seconds(total));
    if (/^\d/.test(most)) lengths.push(seconds(most));
    return Math.min(ends, ...lengths);
  };
  const clocks = (root) => [...root.querySelectorAll('svg')].filter((svg) => svg.ownerSVGElement === null && !svg.animationsPaused());
  const partsOf = (svg) => [...svg.querySelectorAll(kinds)].filter((element) => start(element) !== undefined).map((element) => {
    const begin = start(element);
    return { element, begin, simple: simpleOf(element) ?? 0, active: length(element, begin) };
  });
  const rewound = new WeakSet();
  const maxMoments = 1000;
  const timing = (root) => clocks(root).map((svg) => {
    const entry = { svg, end: 0, round: 0, endless: [], moments: [], elements: [] };
    // On a page that took long to load, some have ended. At their beginning they tell when they start.
    if (!rewound.has(svg) && [...svg.querySelectorAll(kinds)].some((element) => start(element) === undefined)) setCurrentTime.call(svg, 0);
    rewound.add(svg);
    for (const { element, begin, simple, active } of partsOf(svg)) {
      entry.elements.push(element);
      if (Number.isFinite(active)) {
        entry.end = Math.max(entry.end, begin + active);
        for (let n = 0; n * simple < active && entry.moments.length < maxMoments && (n === 0 || simple > 0); n++) entry.moments.push(begin + n * simple);
        entry.moments.push(begin + active);
      } else {
        entry.round = Math.max(entry.round, begin + simple);
        entry.endless.push(element);
      }
    }
    entry.moments = [...new Set(entry.moments)].sort((a, b) => a - b);
    return entry;
  });
  const told = new WeakMap(); // element → when it began, and how many of its repeats were told
  const most = 1000; // repeats that are told at once
  const tell = (svg, time) => {
    let any = false;
    let waiting; // for a repeat
    for (const { element, begin, simple, active } of partsOf(svg)) {
      const before = told.get(element)?.begin === begin ? told.get(element).count : 0;
      const count = simple > 0 ? Math.max(0, Math.min(Math.floor((time - begin) / simple), Math.ceil(active / simple) - 1)) : 0;
      told.set(element, { begin, count });
      for (let n = Math.max(before, count - most) + 1; n <= count; n++) {
        element.dispatchEvent(new Event('repeatEvent'));
        waiting ??= [...svg.getRootNode().querySelectorAll('[begin*=".repeat("]')];
        for (const other of waiting) {
          for (const value of other.getAttribute('begin').split(';')) {
            const [, id, number, rest] = value.trim().match(/^(.+)\.repeat\((\d+)\)\s*([+-].*)?$/) ?? [];
            if (id !== element.id || Number(number) !== n) continue;
            other.beginElementAt(begin + n * simple + offset(rest ?? '') - time);
            any = true;
          }
        }
      }
    }
    return any;
  };
  const seek = (svg, time) => {
    // The browser's time has single precision, and what begins at a time must have begun.
    const precise = time > 0 ? time * (1 + 2 ** -23) + 1e-6 : 0;
    setCurrentTime.call(svg, precise);
    if (tell(svg, precise)) setCurrentTime.call(svg, precise);
  };
  return { clocks, timing, seek };
})()
