// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Lets the renderer set an animated page's time, so that two renders of one page give the same frames: Date, performance.now,
// timers, requestAnimationFrame and every animation show the time that seek() sets. Time stands still while the page loads. Only
// timeouts run then, because pages may wait with them until something is loaded. It drives frames of the page's own origin too.
// smil is the function of smil.js.
((smil) => {
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
  // Every way to ask for the time answers with the film's. Date without new is a text.
  function FilmDate(...args) {
    if (new.target === undefined) return new RealDate(epoch + now).toString();
    return Reflect.construct(RealDate, args.length === 0 ? [epoch + now] : args, new.target === FilmDate ? RealDate : new.target);
  }
  Object.defineProperties(FilmDate, Object.getOwnPropertyDescriptors(RealDate));
  FilmDate.now = () => epoch + now;
  RealDate.prototype.constructor = FilmDate;
  window.Date = FilmDate;
  performance.now = () => now;
  const { mark, measure } = Performance.prototype;
  performance.mark = (name, options) => mark.call(performance, name, { startTime: now, ...options });
  performance.measure = (name, start, end) => {
    const range = typeof start === 'object' && start !== null ? { ...start } : { start, end };
    if (range.duration === undefined || range.start === undefined) range.end ??= now;
    return measure.call(performance, name, range);
  };
  performance.toJSON = () => ({ timeOrigin: epoch });
  Object.defineProperty(Document.prototype, 'lastModified', { get: () => new RealDate(epoch).toLocaleString('en-US', { hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' }).replace(',', '') });
  // A worker has a clock of its own.
  for (const kind of ['Worker', 'SharedWorker']) {
    if (window[kind] === undefined) continue;
    window[kind] = class extends window[kind] {
      constructor(...args) {
        super(...args);
        top[Symbol.for('platen.warn')]?.('A worker does not follow the time of the film', `new ${kind}: what it tells the page by its own clock or timers may differ from render to render`);
      }
    };
  }
  for (const [object, name, get] of [
    [performance, 'timeOrigin', () => epoch], [Event.prototype, 'timeStamp', () => now], [document.timeline, 'currentTime', () => now],
  ]) Object.defineProperty(object, name, { get, configurable: true });
  const { format } = Object.getOwnPropertyDescriptors(Intl.DateTimeFormat.prototype);
  const { formatToParts } = Intl.DateTimeFormat.prototype;
  Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', {
    ...format,
    get() {
      const bound = format.get.call(this);
      return (date = epoch + now) => bound(date);
    },
  });
  Intl.DateTimeFormat.prototype.formatToParts = function (date = epoch + now) { return formatToParts.call(this, date); };
  if (window.Temporal !== undefined) {
    const { Instant, Now } = window.Temporal;
    const zoned = (zone = Now.timeZoneId()) => Now.instant().toZonedDateTimeISO(zone);
    Object.assign(Now, {
      instant: () => Instant.fromEpochMilliseconds(epoch + now),
      zonedDateTimeISO: zoned,
      plainDateTimeISO: (zone) => zoned(zone).toPlainDateTime(),
      plainDateISO: (zone) => zoned(zone).toPlainDate(),
      plainTimeISO: (zone) => zoned(zone).toPlainTime(),
    });
  }

  const driven = new WeakMap(); // animation → its own time, and the film's time of that
  const ended = new WeakSet();
  // Time does not drive the animations of another timeline: they follow a scroll position.
  const animations = () => document.getAnimations().filter((animation) => animation.timeline === document.timeline);
  // stopped reports whether the author has paused an animation. The film pauses those that it drives, so only their style says so.
  const stopped = (animation) => {
    if (!driven.has(animation)) return animation.playState === 'paused';
    if (!(animation instanceof CSSAnimation) || animation.effect?.target == null) return false;
    const { animationName, animationPlayState } = getComputedStyle(animation.effect.target, animation.effect.pseudoElement);
    const states = animationPlayState.split(', ');
    return states[animationName.split(', ').lastIndexOf(animation.animationName) % states.length] === 'paused';
  };
  const seekAnimations = () => {
    for (const animation of animations()) {
      if (ended.has(animation)) continue;
      const pause = stopped(animation);
      if (pause && !driven.has(animation)) continue;
      const rate = animation.playbackRate;
      const end = Number(animation.effect?.getComputedTiming().endTime);
      if (!driven.has(animation)) driven.set(animation, { time: rate < 0 ? end : 0, at: now });
      const entry = driven.get(animation);
      if (!pause) entry.time += (now - entry.at) * rate;
      entry.at = now;
      if (rate < 0 ? entry.time <= 0 : Number.isFinite(end) && entry.time >= end) {
        ended.add(animation);
        animation.finish();
      } else {
        animation.pause();
        animation.currentTime = entry.time;
      }
    }
    for (const { svg } of smil(document)) clocks.add(svg);
    for (const svg of clocks) {
      svg.pauseAnimations();
      svg.setCurrentTime(now / 1000);
    }
  };
  const clocks = new Set(); // svg elements whose animations the film drives

  // inner returns the films of the page's frames. Another origin's frame has none that can be reached.
  const inner = () => {
    const films = [];
    for (let i = 0; i < window.length; i++) {
      try {
        films.push(window[i][Symbol.for('platen.film')]);
      } catch {
        continue;
      }
    }
    return films.filter((film) => film !== undefined);
  };
  const callFrames = () => {
    const due = frames;
    frames = new Map();
    for (const callback of due.values()) call(callback, now);
  };

  const film = {
    // frame runs a callback with the next real frame.
    frame: (callback) => real.requestAnimationFrame.call(window, callback),
    // tick runs the page's animation frames and intervals while time stands still, for a page that is ready only after some.
    tick() {
      const at = RealDate.now();
      for (const [id, entry] of timers) {
        if (!entry.repeat) continue;
        entry.next ??= at + entry.delay;
        if (at < entry.next || !timers.has(id)) continue;
        entry.next = at + entry.delay;
        call(entry.callback);
      }
      callFrames();
      for (const film of inner()) film.tick();
    },
    // lengths returns milliseconds: of the longest finite animation, and of one cycle of the longest infinite one; 0 for none.
    lengths() {
      let finite = 0;
      let round = 0;
      for (const animation of animations()) {
        const timing = animation.effect?.getComputedTiming();
        if (!timing || stopped(animation)) continue;
        if (Number.isFinite(timing.endTime)) finite = Math.max(finite, timing.endTime / Math.abs(animation.playbackRate || 1));
        else round = Math.max(round, Number(timing.delay) + Number(timing.duration));
      }
      for (const svg of smil(document)) [finite, round] = [Math.max(finite, svg.end * 1000), Math.max(round, svg.round * 1000)];
      for (const film of inner()) {
        const lengths = film.lengths();
        [finite, round] = [Math.max(finite, lengths.finite), Math.max(round, lengths.round)];
      }
      return { finite, round };
    },
    // duration returns milliseconds: the longest finite animation, else one cycle of the longest infinite one, else 0.
    duration() {
      const { finite, round } = film.lengths();
      return finite || round || 0;
    },
    start() {
      for (const entry of timers.values()) {
        if (entry.native !== undefined) real.clearTimeout.call(window, entry.native);
        entry.due = entry.delay;
      }
      filming = true;
      seekAnimations();
      for (const film of inner()) film.start();
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
        seekAnimations(); // the callback may pause some
        if (first.repeat) first.due += Math.max(first.delay, 1);
        else timers.delete(firstID);
        call(first.callback);
      }
      now = time;
      seekAnimations();
      callFrames();
      seekAnimations();
      for (const film of inner()) film.seek(time);
    },
  };
  Object.defineProperty(window, Symbol.for('platen.film'), { value: Object.freeze(film) });
})
