// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Lets the renderer set an animated page's time, so that two renders of one page give the same frames: Date, performance.now,
// timers, requestAnimationFrame and every animation show the time that seek() sets. Time stands still while the page loads. Only
// timeouts run then, because pages may wait with them until something is loaded.
(() => {
  const real = {
    setTimeout: window.setTimeout, clearTimeout: window.clearTimeout, requestAnimationFrame: window.requestAnimationFrame,
  };
  const RealDate = Date;
  const epoch = RealDate.UTC(2025, 0, 1);
  const maxCallbacks = 10000;
  let filming = false;
  let now = 0;
  let lastID = 1 << 20;
  const timers = new Map(); // id → { callback, delay, repeat, due, native }
  let frames = new Map(); // id → callback

  const call = (callback, ...args) => {
    try {
      callback(...args);
    } catch (error) {
      reportError(error);
    }
  };
  const timer = (callback, delay, args, repeat) => {
    const id = ++lastID;
    const wait = Math.max(Number(delay) || 0, repeat ? 1 : 0);
    const run = typeof callback === 'function' ? () => callback(...args) : () => {}; // strings of code are not run
    const entry = { callback: run, delay: wait, repeat, due: now + wait };
    if (!filming && !repeat) entry.native = real.setTimeout.call(window, () => { timers.delete(id); call(run); }, wait);
    timers.set(id, entry);
    return id;
  };
  const clear = (id) => {
    const entry = timers.get(id);
    if (entry === undefined) return;
    if (entry.native !== undefined) real.clearTimeout.call(window, entry.native);
    timers.delete(id);
  };
  window.setTimeout = (callback, delay, ...args) => timer(callback, delay, args, false);
  window.setInterval = (callback, delay, ...args) => timer(callback, delay, args, true);
  window.clearTimeout = clear;
  window.clearInterval = clear;
  window.requestAnimationFrame = (callback) => {
    frames.set(++lastID, callback);
    return lastID;
  };
  window.cancelAnimationFrame = (id) => { frames.delete(id); };
  window.Date = class Date extends RealDate {
    constructor(...args) { super(...(args.length === 0 ? [epoch + now] : args)); }
    static now() { return epoch + now; }
  };
  performance.now = () => now;

  const born = new WeakMap(); // animation → the time at which it was first seen
  const ended = new WeakSet();
  const animations = () => document.getAnimations();
  const seekAnimations = () => {
    for (const animation of animations()) {
      if (ended.has(animation)) continue;
      if (!born.has(animation)) born.set(animation, now);
      const time = now - born.get(animation);
      const end = Number(animation.effect?.getComputedTiming().endTime);
      if (Number.isFinite(end) && time >= end) {
        ended.add(animation);
        animation.finish();
      } else {
        animation.pause();
        animation.currentTime = time;
      }
    }
    for (const svg of document.querySelectorAll('svg')) {
      svg.pauseAnimations();
      svg.setCurrentTime(now / 1000);
    }
  };

  const film = {
    // frame runs a callback with the next real frame.
    frame: (callback) => real.requestAnimationFrame.call(window, callback),
    // duration returns milliseconds: the longest finite animation, else one cycle of the longest infinite one, else 0.
    duration() {
      let finite = 0;
      let round = 0;
      for (const animation of animations()) {
        const timing = animation.effect?.getComputedTiming();
        if (!timing) continue;
        if (Number.isFinite(timing.endTime)) finite = Math.max(finite, timing.endTime);
        else round = Math.max(round, Number(timing.delay) + Number(timing.duration));
      }
      return finite || round || 0;
    },
    start() {
      for (const entry of timers.values()) {
        if (entry.native !== undefined) real.clearTimeout.call(window, entry.native);
        entry.due = entry.delay;
      }
      filming = true;
      seekAnimations();
    },
    seek(time) {
      let left = maxCallbacks;
      for (;;) {
        let first = null;
        let firstID = 0;
        for (const [id, entry] of timers) {
          if (entry.due <= time && (first === null || entry.due < first.due)) [first, firstID] = [entry, id];
        }
        if (first === null || left-- <= 0) break;
        now = Math.max(now, first.due);
        if (first.repeat) first.due += Math.max(first.delay, 1);
        else timers.delete(firstID);
        call(first.callback);
      }
      now = time;
      seekAnimations();
      const due = frames;
      frames = new Map();
      for (const callback of due.values()) call(callback, now);
      seekAnimations();
    },
  };
  Object.defineProperty(window, Symbol.for('platen.film'), { value: Object.freeze(film) });
})();
