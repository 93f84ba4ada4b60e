// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Lets the renderer set an animated page's time, so that two renders of one page give the same frames: Date, performance.now,
// timers, requestAnimationFrame and every animation show the time that seek() sets. Time stands still while the page loads. Only
// timeouts without a delay run then, with which pages put off work, and all timers for a page that says it is not ready. It drives frames
// too. smil, roots and clock are what smil.js, roots.js and clock.js give.
((smil, roots, clock) => {
  const real = {
    setTimeout: window.setTimeout, clearTimeout: window.clearTimeout, requestAnimationFrame: window.requestAnimationFrame,
  };
  const RealDate = Date;
  const RealChannel = MessageChannel;
  const RealTimeline = DocumentTimeline;
  const { ask, offer } = window[Symbol.for('platen.frames')];
  const { quiet, warn, beginning, lettered, live, seek: setPosition } = window[Symbol.for('platen.requests')];
  const realNow = performance.now.bind(performance);
  let patience = 5000; // milliseconds of real time, for what the page asks for while it is filmed
  const maxMessages = 3; // one after the other
  const { port1: inward, port2: outward } = new RealChannel();
  const epoch = RealDate.UTC(2025, 0, 1);
  const maxCallbacks = 10000;
  // A timer that a timer sets, that one's timer, and so on: from this depth on, each waits at least so many milliseconds
  // (https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timer-initialisation-steps).
  const maxNesting = 5;
  const nestedWait = 4;
  const screenRate = 60; // animation frames a second, as on most screens: what moves by a step in each must not depend on the film's frames
  let filming = false;
  let now = 0;
  let lastID = 1 << 20;
  const timers = new Map(); // id → { callback, depth, delay, repeat, due, native }
  let nesting = 0; // of the timer that runs
  let frames = new Map(); // id → callback
  let called = new Map(); // those of the frame that runs
  let idle = new Map(); // id → callback

  const call = (callback, ...args) => {
    try {
      callback(...args);
    } catch (error) {
      reportError(error);
    }
  };
  const timer = (callback, delay, args, repeat) => {
    const id = ++lastID;
    const depth = nesting + 1;
    const wait = Math.max(delay | 0, depth > maxNesting ? nestedWait : 0, repeat ? 1 : 0);
    const work = typeof callback === 'function' ? () => callback(...args) : () => (0, eval)(String(callback)); // a text is code
    const entry = { depth, delay: wait, repeat, due: now + wait };
    entry.callback = () => {
      nesting = entry.depth;
      call(work);
    };
    if (!filming && wait === 0) {
      entry.native = real.setTimeout.call(window, () => {
        timers.delete(id);
        entry.callback();
        nesting = 0;
      });
    }
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
  window.cancelAnimationFrame = (id) => {
    frames.delete(id);
    called.delete(id);
  };
  window.requestIdleCallback = (callback) => {
    idle.set(++lastID, callback);
    return lastID;
  };
  window.cancelIdleCallback = (id) => { idle.delete(id); };
  // Every way to ask for the time answers with the film's.
  clock(() => now, () => epoch + Math.floor(now));
  Performance.prototype.toJSON = () => ({ timeOrigin: epoch });
  Object.defineProperty(Document.prototype, 'lastModified', { get: () => new RealDate(epoch).toLocaleString('en-US', { hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' }).replace(',', '') });
  window.File = class extends File {
    constructor(parts, name, options) { super(parts, name, { lastModified: epoch + now, ...options }); }
  };
  // What the browser has measured took no time.
  for (const [kind, time] of [[PerformanceTiming, epoch], [PerformanceResourceTiming, 0], [PerformanceNavigationTiming, 0]]) {
    for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(kind.prototype))) {
      if (get && /(Start|End|Time|Loading|Interactive|Complete)$/.test(name)) Object.defineProperty(kind.prototype, name, { get: () => time, configurable: true });
    }
  }
  for (const name of ['startTime', 'duration']) {
    const { get } = Object.getOwnPropertyDescriptor(PerformanceEntry.prototype, name);
    Object.defineProperty(PerformanceEntry.prototype, name, {
      get() { return this instanceof PerformanceMark || this instanceof PerformanceMeasure ? get.call(this) : 0; }, configurable: true,
    });
  }
  // A worker has a clock of its own.
  for (const kind of ['Worker', 'SharedWorker']) {
    if (window[kind] === undefined) continue;
    window[kind] = class extends window[kind] {
      constructor(...args) {
        super(...args);
        warn('A worker does not follow the time of the film', `new ${kind}: what it tells the page by its own clock or timers may differ from render to render`);
      }
    };
  }
  for (const [object, name, get] of [
    [Performance.prototype, 'timeOrigin', () => epoch], [Event.prototype, 'timeStamp', () => now], [document.timeline, 'currentTime', () => now],
    [IntersectionObserverEntry.prototype, 'time', () => now],
  ]) Object.defineProperty(object, name, { get, configurable: true });
  window.DocumentTimeline = class extends RealTimeline {
    #origin;
    constructor(options) {
      super(options);
      this.#origin = Number(options?.originTime ?? 0);
    }
    get currentTime() { return now - this.#origin; }
  };
  const driven = new WeakMap(); // animation → { time, at }: its own time, and the film's time of that; { from, since, rate } since when it has gone at one rate
  const anchor = (entry, time = entry.time, rate = 0) => Object.assign(entry, { time, at: now, from: time, since: now, rate });
  // What changes at a time has changed then: Chromium cuts times off to microseconds, and calculates with fractions of them. reached is a moment later.
  const reached = (time, rate) => time === 0 || rate === 0 ? time : (rate < 0 ? Math.floor(time * 1000) - 1.5 : Math.ceil(time * 1000) + 1.5) / 1000;
  const held = new WeakSet(); // animations that the film has paused, which run for the page's scripts
  const ended = new WeakSet();
  let endings = 0; // of animations
  let loose = false; // a page that is not ready yet may wait for its animations
  // Time does not drive the animations of another timeline: they follow a scroll position.
  const animations = (list = roots(document)) => list.flatMap((root) => root.getAnimations()).filter(({ timeline }) => timeline instanceof RealTimeline);
  const native = Object.fromEntries(['play', 'pause', 'reverse', 'finish', 'cancel'].map((name) => [name, Animation.prototype[name]]));
  const { playState, currentTime, startTime } = Object.getOwnPropertyDescriptors(Animation.prototype);
  const endOf = (animation) => Number(animation.effect?.getComputedTiming().endTime);
  const timeOf = (animation) => driven.get(animation)?.time ?? (animation.playbackRate < 0 ? endOf(animation) : 0);
  // early reports whether an animation runs while time stands still.
  const early = (animation) => !filming && !loose && !held.has(animation) && playState.get.call(animation) === 'running';
  // The page's scripts control an animation as if it ran by itself.
  const release = (animation) => {
    const time = timeOf(animation);
    const runs = early(animation);
    ended.delete(animation);
    if (held.delete(animation)) native.play.call(animation);
    else if (!runs) return;
    currentTime.set.call(animation, time);
  };
  const keep = (animation) => driven.set(animation, anchor({}, currentTime.get.call(animation) ?? 0));
  const control = (name, after) => {
    Animation.prototype[name] = function () {
      release(this);
      const time = currentTime.get.call(this);
      native[name].call(this);
      after(this, time);
    };
  };
  control('play', keep);
  control('reverse', keep);
  control('pause', (animation, time) => {
    if (!loose && time !== null) currentTime.set.call(animation, time); // not the time of the next frame
    keep(animation);
  });
  control('finish', (animation) => ended.add(animation));
  control('cancel', (animation) => driven.delete(animation));
  const access = (name, get, set) => Object.defineProperty(Animation.prototype, name, { get, set, configurable: true, enumerable: true });
  access('currentTime', function () { return early(this) || held.has(this) ? timeOf(this) : currentTime.get.call(this); }, function (time) {
    release(this);
    currentTime.set.call(this, time);
    keep(this);
  });
  access('startTime', function () { return held.has(this) ? now - timeOf(this) / (this.playbackRate || 1) : startTime.get.call(this); }, function (time) {
    if (typeof time === 'number') this.currentTime = (now - time) * this.playbackRate;
    else startTime.set.call(this, time);
  });
  access('playState', function () { return held.has(this) ? 'running' : playState.get.call(this); });
  // stopped reports whether the author has paused an animation: its state says so, or its style if the film has paused it.
  const stopped = (animation) => {
    if (!held.has(animation)) return playState.get.call(animation) === 'paused';
    if (!(animation instanceof CSSAnimation) || animation.effect?.target == null) return false;
    const { animationName, animationPlayState } = getComputedStyle(animation.effect.target, animation.effect.pseudoElement);
    const states = animationPlayState.split(', ');
    return states[animationName.split(', ').lastIndexOf(animation.animationName) % states.length] === 'paused';
  };
  const seekAnimations = () => {
    const list = roots(document);
    shadows = list.slice(1);
    for (const animation of animations(list)) {
      const pause = stopped(animation);
      if (ended.has(animation) || pause && !driven.has(animation)) continue;
      const rate = animation.playbackRate;
      const end = endOf(animation);
      const entry = driven.get(animation) ?? anchor({}, timeOf(animation), rate);
      driven.set(animation, entry);
      if (pause) anchor(entry, entry.time, rate);
      if (entry.rate !== rate) [entry.from, entry.since, entry.rate] = [entry.time, entry.at, rate];
      [entry.time, entry.at] = [entry.from + (now - entry.since) * rate, now]; // a sum of many times would be inexact
      if (pause && !held.has(animation)) continue;
      const place = reached(entry.time, rate);
      if (rate < 0 ? place <= 0 : rate > 0 && place >= end) {
        ended.add(animation);
        endings++;
        held.delete(animation);
        native.finish.call(animation);
      } else {
        if (!held.has(animation)) native.pause.call(animation);
        held.add(animation);
        currentTime.set.call(animation, place);
      }
    }
    for (const svg of list.flatMap(smil.clocks)) if (!clocks.has(svg)) clocks.set(svg, now);
    holdMedia(list);
    for (const [svg, began] of clocks) {
      pauseAnimations.call(svg);
      smil.seek(svg, (now - began) / 1000);
    }
  };
  const clocks = new Map(); // svg elements whose animations the film drives → the time at which their own time began
  const { pauseAnimations, unpauseAnimations, animationsPaused, setCurrentTime } = SVGSVGElement.prototype;
  SVGSVGElement.prototype.pauseAnimations = function () {
    clocks.delete(this);
    pauseAnimations.call(this);
  };
  SVGSVGElement.prototype.unpauseAnimations = function () {
    if (filming && this.animationsPaused()) clocks.set(this, now - this.getCurrentTime() * 1000);
    else unpauseAnimations.call(this);
  };
  SVGSVGElement.prototype.setCurrentTime = function (seconds) {
    if (filming && clocks.has(this)) clocks.set(this, now - seconds * 1000);
    setCurrentTime.call(this, seconds);
  };
  SVGSVGElement.prototype.animationsPaused = function () { return !clocks.has(this) && animationsPaused.call(this); };

  // inner returns the films of the page's frames, except those of another origin: ask reaches these.
  let shadows = []; // the shadow roots, whose frames the window does not count
  const inner = () => {
    const framed = shadows.flatMap((root) => [...root.querySelectorAll('iframe, frame, object, embed')].map(({ contentWindow }) => contentWindow));
    const films = [];
    for (const view of [...Array.from({ length: window.length }, (_, i) => window[i]), ...framed]) {
      try {
        films.push(view[Symbol.for('platen.film')]);
      } catch {
        continue;
      }
    }
    return films.filter((film) => film !== undefined);
  };
  // A video shows the picture of the film's time, and a sound is as far, though nobody hears it.
  const videos = new Map(); // those that play → { at, time, rate }: their own time at a time of the film, and since when they have gone at one rate
  const media = HTMLMediaElement.prototype;
  const { pause, play } = media;
  const { requestVideoFrameCallback: requestVideoFrame } = HTMLVideoElement.prototype;
  const maxUnseen = 50; // frames; a video that the browser does not tell of by then never will be told of
  const unseen = new Map(); // videos whose picture the compositor does not have yet → how often that was asked
  const untold = new WeakSet();
  const { paused, currentTime: position, seeking: seekingOf } = Object.getOwnPropertyDescriptors(media);
  const { get: seeking } = seekingOf;
  const tellOf = async (element, ...names) => {
    await null; // after what has caused it
    for (const name of names) element.dispatchEvent(new Event(name));
  };
  // What the film stops plays for the page's scripts.
  for (const name of ['play', 'playing', 'pause']) {
    addEventListener(name, (event) => { if (event.isTrusted && videos.has(event.target)) event.stopImmediatePropagation(); }, true);
  }
  // playing resolves once an element has something to play, which it tells then.
  const playing = async (element) => {
    const names = ['loadeddata', 'error'];
    if (element.readyState < media.HAVE_CURRENT_DATA) await Promise.race(names.map((name) => new Promise((resolve) => element.addEventListener(name, resolve, { once: true }))));
    if (element.error) throw new DOMException(element.error.message, 'NotSupportedError');
    tellOf(element, 'playing');
  };
  // The browser may learn of a greater duration afterwards.
  const over = new WeakSet(); // what has played to its end
  const { ended: atEnd } = Object.getOwnPropertyDescriptors(media);
  Object.defineProperty(media, 'ended', { ...atEnd, get() { return over.has(this) || atEnd.get.call(this); } });
  media.play = function () {
    if (videos.has(this)) return Promise.resolve();
    if (live(this)) return play.call(this);
    this.preload = 'auto';
    videos.set(this, { at: now, time: this.ended ? 0 : sought.get(this) ?? position.get.call(this), rate: this.playbackRate, begins: !this.ended });
    sought.delete(this);
    over.delete(this);
    tellOf(this, 'play');
    return playing(this);
  };
  media.pause = function () {
    const time = this.currentTime;
    if (videos.delete(this)) {
      setPosition.call(this, time);
      tellOf(this, 'pause');
    }
    pause.call(this);
  };
  Object.defineProperty(media, 'paused', { ...paused, get() { return !videos.has(this) && paused.get.call(this); } });
  const timeOfMedia = (element) => {
    const { at, time, rate } = videos.get(element);
    const { duration, loop } = element;
    const place = time + (now - at) / 1000 * rate;
    if (!(duration > 0)) return 0;
    return place >= duration && !loop ? duration : place % duration;
  };
  // A script that moves a video from frame to frame would leave open how far the browser is on its way: the film moves it once a frame, and waits for it.
  const sought = new Map(); // videos that do not play → where a script has moved them since the last frame
  Object.defineProperty(media, 'seeking', { ...seekingOf, get() { return sought.has(this) || seeking.call(this); } });
  Object.defineProperty(media, 'currentTime', {
    ...position,
    get() { return videos.has(this) ? timeOfMedia(this) : sought.get(this) ?? position.get.call(this); },
    set(value) {
      over.delete(this);
      const place = Number(value);
      if (filming && !videos.has(this) && this instanceof HTMLVideoElement && this.duration > 0 && place >= 0 && !live(this)) {
        sought.set(this, Math.min(place, this.duration));
        return;
      }
      // The next frame moves it. Two moves at once would leave open which of them the browser tells of.
      const later = videos.has(this) && this.duration > 0 && Math.abs(position.get.call(this) - value) > 2e-6;
      if (!later) position.set.call(this, value);
      if (videos.has(this)) videos.set(this, { at: now, time: later ? Math.max(0, Math.min(Number(value), this.duration)) : position.get.call(this), rate: this.playbackRate });
    },
  });
  const move = async (element, place) => {
    if (element instanceof HTMLVideoElement && element.isConnected && !untold.has(element)) {
      unseen.set(element, 0);
      requestVideoFrame.call(element, () => unseen.delete(element));
    }
    setPosition.call(element, place > 0 ? Math.min(place + 1e-6, element.duration) : 0); // its time is cut off to microseconds
    while (seeking.call(element)) await new Promise((resolve) => element.addEventListener('seeked', resolve, { once: true })); // the page may send one, too
  };
  const moveSought = async () => {
    const list = [...sought];
    sought.clear();
    await Promise.all(list.filter(([element, place]) => Math.abs(position.get.call(element) - place) > 2e-6).map(([element, place]) => move(element, place)));
  };
  const show = async ([element, play]) => {
    const { duration, loop, playbackRate } = element;
    if (!(duration > 0)) {
      play.at = now; // it is not loaded
      return;
    }
    if (play.begins) [play.begins, play.time] = [false, play.time || beginning(element)]; // known now
    const place = timeOfMedia(element);
    if (play.rate !== playbackRate) Object.assign(play, { at: now, time: place, rate: playbackRate });
    const unsure = place > 0 && !play.shown; // the browser may be on its way there
    play.shown = true;
    if (unsure || element.readyState < media.HAVE_CURRENT_DATA || Math.abs(position.get.call(element) - place) > 2e-6) await move(element, place);
    if (place < duration || loop) return;
    videos.delete(element);
    over.add(element);
    tellOf(element, 'pause', 'ended');
  };
  const holdMedia = (list) => {
    for (const root of list) {
      for (const element of root.querySelectorAll('video, audio')) {
        if (paused.get.call(element) && !element.autoplay || live(element)) continue;
        element.autoplay = false;
        videos.set(element, { at: now, time: 0, rate: element.playbackRate, begins: true });
        pause.call(element);
        tellOf(element, 'play');
        playing(element).catch(() => {});
      }
    }
  };
  // So is a sound that a script makes. Nothing of it can be looked at.
  const sounds = new WeakMap(); // context → its own time at a time of the film, and its state
  const timeOfSound = ({ at, time, state }) => (state === 'running' ? time + (now - at) / 1000 : time);
  if (window.AudioContext !== undefined) {
    const { suspend, close } = AudioContext.prototype;
    const { currentTime: soundTime, state: soundState } = Object.getOwnPropertyDescriptors(BaseAudioContext.prototype);
    window.AudioContext = new Proxy(AudioContext, {
      construct(target, args, self) {
        const context = Reflect.construct(target, args, self);
        sounds.set(context, { at: now, time: 0, state: 'running' });
        suspend.call(context).catch(() => {});
        return context;
      },
    });
    const change = async (context, state) => {
      const sound = sounds.get(context);
      Object.assign(sound, { at: now, time: timeOfSound(sound), state });
      await null;
      context.dispatchEvent(new Event('statechange'));
    };
    Object.assign(AudioContext.prototype, {
      suspend() { return change(this, 'suspended'); },
      resume() { return change(this, 'running'); },
      close() {
        close.call(this).catch(() => {});
        return change(this, 'closed');
      },
      getOutputTimestamp() { return { contextTime: timeOfSound(sounds.get(this)), performanceTime: now }; },
    });
    Object.defineProperty(BaseAudioContext.prototype, 'currentTime', { ...soundTime, get() { return sounds.has(this) ? timeOfSound(sounds.get(this)) : soundTime.get.call(this); } });
    Object.defineProperty(BaseAudioContext.prototype, 'state', { ...soundState, get() { return sounds.get(this)?.state ?? soundState.get.call(this); } });
    const look = (node) => {
      if (sounds.has(node.context)) warn('A film has no sound that its page could look at', 'an AnalyserNode finds silence; draw by data that the page has');
      return node;
    };
    const { createAnalyser } = BaseAudioContext.prototype;
    BaseAudioContext.prototype.createAnalyser = function () { return look(createAnalyser.call(this)); };
    window.AnalyserNode = new Proxy(AnalyserNode, { construct: (...args) => look(Reflect.construct(...args)) });
  }
  const takeFrames = () => {
    [called, frames] = [frames, new Map()];
    return called.values();
  };
  // What a callback promises itself comes before the next callback.
  const callFrames = async () => {
    let first = true;
    for (const callback of takeFrames()) {
      if (!first) await breathe();
      first = false;
      call(callback, now);
    }
  };
  const callIdle = () => {
    const later = idle;
    idle = new Map();
    for (const callback of later.values()) {
      let remaining = 50; // milliseconds, one for each question
      call(callback, { didTimeout: false, timeRemaining: () => Math.max(0, --remaining) });
    }
  };
  // While time stands still, animations do too.
  const hold = () => {
    if (filming || loose) return;
    seekAnimations();
    real.requestAnimationFrame.call(window, hold);
  };
  real.requestAnimationFrame.call(window, hold);
  // The time of SVG's animations begins when the document has been read, which may be long before the first frame.
  document.addEventListener('DOMContentLoaded', () => { if (!filming && !loose) seekAnimations(); }, { capture: true, once: true });

  const breathe = () => new Promise((resolve) => {
    inward.onmessage = resolve;
    outward.postMessage(null);
  });
  // answered resolves once what a callback has begun is done: its promises, its messages to the page itself, and its requests.
  const answered = async () => {
    await breathe();
    const began = realNow();
    await quiet(patience, true);
    patience -= realNow() - began;
  };
  // runTimers runs the timers that are due until a time, at most so many, and resolves to how many are left of these.
  const runTimers = async (time, left) => {
    for (; left > 0; left--) {
      let first = null;
      let firstID = 0;
      for (const [id, entry] of timers) {
        if (entry.due <= time && (first === null || entry.due < first.due)) [first, firstID] = [entry, id];
      }
      if (first === null) break;
      now = Math.max(now, first.due);
      seekAnimations(); // the callback may pause some
      if (first.repeat) {
        if (++first.depth > maxNesting) first.delay = Math.max(first.delay, nestedWait);
        first.due += first.delay;
      } else timers.delete(firstID);
      first.callback();
      await answered();
      nesting = 0;
    }
    return left;
  };

  const film = {
    // tick runs the page's timers, animation frames and animations while time stands still, for a page that is ready only after some.
    tick() {
      if (!loose) {
        loose = true;
        for (const animation of animations()) if (held.delete(animation)) native.play.call(animation);
        for (const svg of clocks.keys()) unpauseAnimations.call(svg);
        clocks.clear();
      }
      const at = RealDate.now();
      for (const [id, entry] of timers) {
        entry.next ??= at + entry.delay;
        if (at < entry.next || entry.native !== undefined || !timers.has(id)) continue;
        entry.next = at + entry.delay;
        if (!entry.repeat) timers.delete(id);
        entry.callback();
        nesting = 0;
      }
      for (const callback of takeFrames()) call(callback, now);
      callIdle();
      for (const film of inner()) film.tick();
      ask('tick');
    },
    // lengths returns milliseconds: of the longest finite animation, and of one cycle of the longest infinite one, there and back if it alternates;
    // 0 for none.
    async lengths() {
      let finite = 0;
      let round = 0;
      for (const animation of animations()) {
        const timing = animation.effect?.getComputedTiming();
        if (!timing || ended.has(animation) || stopped(animation)) continue;
        if (Number.isFinite(timing.endTime)) finite = Math.max(finite, timing.endTime / Math.abs(animation.playbackRate || 1));
        else round = Math.max(round, (Number(timing.delay) + Number(timing.duration) * (/^alternate/.test(timing.direction) ? 2 : 1)) / Math.abs(animation.playbackRate || 1));
      }
      for (const root of roots(document)) {
        for (const svg of smil.timing(root)) [finite, round] = [Math.max(finite, svg.end * 1000), Math.max(round, svg.round * 1000)];
      }
      for (const lengths of [...await Promise.all(inner().map((film) => film.lengths())), ...await ask('lengths')]) {
        [finite, round] = [Math.max(finite, lengths.finite), Math.max(round, lengths.round)];
      }
      return { finite, round };
    },
    // duration returns milliseconds: the longest finite animation, else one cycle of the longest infinite one, else 0.
    async duration() {
      const { finite, round } = await film.lengths();
      return finite || round || 0;
    },
    // start begins the film, or the part of a frame that the page adds after its beginning.
    start(time = 0) {
      now = time;
      for (const animation of animations()) if (driven.has(animation)) anchor(driven.get(animation));
      for (const svg of clocks.keys()) clocks.set(svg, now);
      for (const play of videos.values()) play.at = now;
      for (const entry of timers.values()) {
        if (entry.native !== undefined) real.clearTimeout.call(window, entry.native);
        entry.native = undefined;
        entry.due = now + entry.delay;
      }
      filming = true;
      loose = false;
      window[Symbol.for('platen.images')].begin();
      seekAnimations();
      for (const film of inner()) film.start();
      ask('start');
    },
    // seek lives through the time until another.
    async seek(time) {
      if (!filming) film.start(time);
      const from = now;
      const passed = (until) => Math.floor(until * screenRate / 1000 + 1e-6);
      const count = Math.max(1, passed(time) - passed(from)); // of animation frames
      let left = maxCallbacks;
      for (let n = 1; n < count; n++) {
        if (frames.size === 0 && ![...timers.values()].some(({ due }) => due < time)) break;
        const tick = from + (time - from) * n / count;
        left = await runTimers(tick, left);
        if (frames.size === 0) continue;
        now = tick;
        seekAnimations();
        await callFrames();
        await answered();
      }
      await runTimers(time, left);
      now = time;
      seekAnimations();
      if (videos.size > 0) {
        await answered();
        await Promise.all([...videos].map(show)); // a callback may draw them
      }
      await callFrames();
      callIdle();
      seekAnimations();
      for (const film of inner()) await film.seek(time);
      await ask('seek', time);
    },
    // rest resolves once the messages have arrived that the page sent itself, and what they caused: frameworks draw by them. It resolves to unseen().
    async rest() {
      for (let n = 1; n < maxMessages; n++) await breathe();
      lettered();
      await answered();
      seekAnimations();
      await Promise.all([moveSought(), ...[...videos].map(show)]);
      for (const film of inner()) await film.rest();
      await ask('rest');
      return await film.unseen();
    },
    // unseen resolves to whether a video has another picture than the next frame may show: the compositor gets it a moment after the event. A frame
    // lets the browser tell.
    async unseen() {
      for (const [video, asked] of unseen) {
        unseen.set(video, asked + 1);
        if (asked === maxUnseen) untold.add(video);
        if (asked === maxUnseen || !video.isConnected) unseen.delete(video);
      }
      const answers = [...await Promise.all(inner().map((film) => film.unseen())), ...await ask('unseen')];
      return unseen.size > 0 || answers.some(Boolean);
    },
    // still returns the time until which a page without scripts looks as it does now: by then, none of its animations is at work. It is now if that is not
    // sure.
    still() {
      if (videos.size > 0 || clocks.size > 0 || window.length > 0 || inner().length > 0) return now;
      let until = Infinity;
      for (const animation of animations()) {
        if (ended.has(animation) || stopped(animation)) continue;
        const { time, at } = driven.get(animation) ?? {};
        const wait = (animation.effect?.getComputedTiming().delay - time) / animation.playbackRate;
        if (!(animation.playbackRate > 0 && wait > 0)) return now;
        until = Math.min(until, at + wait);
      }
      return until;
    },
    // pass lives through the frames from one number on until before another, without pictures, at most so many of them, and resolves to the number of
    // the next. It returns early once an animation has ended: the browser tells the page with a frame. It leaves out frames in which nothing of the page runs.
    async pass(frame, end, most, fps) {
      const before = endings;
      for (let n = 0; n < most && frame < end && endings === before; n++) {
        await film.seek(frame * 1000 / fps);
        await film.rest();
        frame = Math.max(frame + 1, endings === before ? Math.min(end, Math.ceil(next() * fps / 1000)) : 0);
      }
      return frame;
    },
  };
  // next returns the time at which something of the page may run, Infinity if nothing waits for a time.
  const next = () => {
    if (frames.size > 0 || idle.size > 0 || videos.size > 0 || clocks.size > 0 || inner().length > 0) return now;
    let first = Infinity;
    for (const { due } of timers.values()) first = Math.min(first, due);
    for (const animation of animations()) {
      const { time, at } = driven.get(animation) ?? {};
      const { playbackRate } = animation;
      if (time === undefined || ended.has(animation) || !(playbackRate !== 0)) continue;
      first = Math.min(first, at + (playbackRate > 0 ? endOf(animation) - time : -time) / playbackRate);
    }
    return first;
  };
  for (const [name, method] of Object.entries(film)) offer(name, method);
  Object.defineProperty(window, Symbol.for('platen.film'), { value: Object.freeze(film) });
})
