// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Returns the timing of the document's SVG animations (SMIL, https://www.w3.org/TR/SVG11/animate.html): for each outermost svg whose
// author has not paused it, the seconds at which its last finite animation ends, and its endless animations. The animations of one svg
// share a clock.
((root) => {
  // seconds reads a clock value, such as 2s, 300ms, 0.5min, 1h or 00:01:30.
  const seconds = (text) => {
    const units = { h: 3600, min: 60, s: 1, ms: 0.001, '': 1 };
    const [, number, unit] = text.trim().match(/^([\d.]+)(h|min|s|ms|)$/) ?? [];
    if (number !== undefined) return Number(number) * units[unit];
    return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  };
  // length returns how many seconds an animation is active, Infinity for an endless one.
  const length = (element) => {
    let simple = 0;
    try {
      simple = element.getSimpleDuration();
    } catch {
      return 0; // it has no duration: a set that stays, or an animation without effect
    }
    const [count, total] = [element.getAttribute('repeatCount') ?? '', element.getAttribute('repeatDur') ?? ''];
    const limits = [count, total].map((limit) => limit.trim()).filter((limit) => limit !== '');
    if (limits.length === 0) return simple;
    const lengths = [];
    if (Number(count) > 0) lengths.push(simple * Number(count));
    if (total !== '' && total.trim() !== 'indefinite') lengths.push(seconds(total));
    return lengths.length > 0 ? Math.min(...lengths) : Infinity;
  };
  // start returns the second at which an animation begins, undefined if it has ended or waits for an event.
  const start = (element) => {
    try {
      return element.getStartTime();
    } catch {
      return undefined;
    }
  };
  const list = [];
  for (const svg of root.querySelectorAll('svg')) {
    if (svg.ownerSVGElement !== null || svg.animationsPaused()) continue;
    const entry = { svg, end: 0, round: 0, endless: [] };
    const elements = [...svg.querySelectorAll('animate, animateMotion, animateTransform, set')];
    // On a page that took long to load, some have ended. At their beginning they tell when they start.
    if (elements.some((element) => start(element) === undefined)) svg.setCurrentTime(0);
    for (const element of elements) {
      const begin = start(element);
      if (begin === undefined) continue; // it waits for an event
      const active = length(element);
      if (Number.isFinite(active)) {
        entry.end = Math.max(entry.end, begin + active);
      } else {
        entry.round = Math.max(entry.round, begin + element.getSimpleDuration());
        entry.endless.push(element);
      }
    }
    list.push(entry);
  }
  return list;
})
