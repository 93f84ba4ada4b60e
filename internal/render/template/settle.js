// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Shows a document as a still does: finite animations at their end, endless ones at their start, and videos at their first picture. What the
// author has paused, or stopped by a rate of 0, stays as it is. settle resolves to whether something has ended, which may make the page's scripts begin another.
// forward gives the page's scripts time, and does not wait for it: timers and animation frames run one right after the other, with the clock. It
// resolves to whether something ran. Until then, timers with a delay wait, so that how long the page takes to load changes nothing; live lets them run,
// for a page that says when it is ready. smil, roots and clock are what smil.js, roots.js and clock.js give.
((smil, roots, clock) => {
  const { ask, offer } = window[Symbol.for('platen.frames')];
  const { quiet, imported, lettered, live: ofStream } = window[Symbol.for('platen.requests')];
  const names = ['setTimeout', 'clearTimeout', 'requestAnimationFrame', 'cancelAnimationFrame', 'requestIdleCallback', 'cancelIdleCallback'];
  const real = Object.fromEntries(names.map((name) => [name, window[name].bind(window)]));
  const realNow = performance.now.bind(performance);
  const realDate = Date.now;
  const RealChannel = MessageChannel;
  // The time that a page gets, in milliseconds: most animations of scripts are over then, and most slide shows still at their beginning.
  const limit = 2500;
  const patience = 2 * limit; // in real time
  const frameTime = 1000 / 60;
  // A timer that another sets waits at least so long (https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timer-initialisation-steps).
  const nestedWait = 4;
  const messageTime = 1; // what it takes a page to answer itself
  const mostAsks = 10; // after timers that may have imported something, which takes a moment each time
  let ahead = 0; // of the browser's clock
  let at; // the time while it is forwarded
  let end; // of the time that the page gets
  let loading = window === top; // a frame may be added later, and is not told when the page is loaded
  // While the page loads, its time stands still, so that a loop that goes by the clock is the same in each picture. It goes on if the page says when it is ready.
  const birth = 100; // milliseconds since the document began, as a page sees them that loads fast
  let frozen = loading ? birth : undefined;
  const now = () => at ?? frozen ?? realNow() + ahead;
  const timers = new Map(); // id → { callback, work, due, delay, repeat, loops, native }
  let lastID = 0;
  let running; // the callback of the timer that runs
  const run = (id, entry) => {
    if (entry.repeat) entry.due += entry.delay;
    else timers.delete(id);
    running = entry.callback;
    try {
      entry.work();
    } catch (error) {
      reportError(error);
    } finally {
      running = undefined;
    }
  };
  // What the page has got no time for does not run afterwards, by the real time: the picture would be another each time.
  const forwarded = () => end !== undefined;
  // arm lets the browser run a timer, unless the time is forwarded, or will be.
  const arm = (id, entry) => {
    if (forwarded()) return;
    if (loading && entry.delay > 0) {
      hold();
      return;
    }
    entry.native = real.setTimeout(() => {
      run(id, entry);
      if (timers.has(id)) arm(id, entry);
    }, entry.due - now());
  };
  const set = (callback, delay, args, repeat) => {
    const wait = Math.max(delay | 0, repeat || at !== undefined ? nestedWait : 0);
    const work = typeof callback === 'function' ? () => callback.apply(window, args) : () => (0, eval)(String(callback)); // a text is code
    // One that sets itself again is as endless as an interval.
    const entry = { callback, work, due: now() + wait, delay: wait, repeat, loops: repeat || running !== undefined && String(running) === String(callback) };
    const id = ++lastID;
    timers.set(id, entry);
    arm(id, entry);
    return id;
  };
  window.setTimeout = function setTimeout(callback, delay, ...args) { return set(callback, delay, args, false); };
  window.setInterval = function setInterval(callback, delay, ...args) { return set(callback, delay, args, true); };
  const clear = (id) => {
    real.clearTimeout(timers.get(id)?.native);
    timers.delete(id);
  };
  window.clearTimeout = (id) => clear(id);
  window.clearInterval = (id) => clear(id);
  // A frame that the page adds once its time is forwarded has the same date.
  let born = 0;
  try {
    born = parent === window ? 0 : parent[Symbol.for('platen.still')]?.date() - realDate() || 0;
  } catch {
    // of another origin
  }
  const date = () => realDate() + Math.round(now() - realNow() + born);
  clock(now, date);
  // What happens while the time is forwarded happens at its time.
  const { get: stampOf, ...stamp } = Object.getOwnPropertyDescriptor(Event.prototype, 'timeStamp');
  let began; // the real time at which the page's was forwarded
  let start; // the page's time then
  Object.defineProperty(Event.prototype, 'timeStamp', {
    ...stamp,
    get() {
      const time = stampOf.call(this);
      if (frozen !== undefined) return frozen;
      if (at === undefined) return Math.min(time + ahead, now());
      if (time >= began) return at;
      return window === top ? start : Math.min(time, start);
    },
  });
  // A document's timeline goes with the clock, and has the time of a frame while it runs. shift is how far it is from the browser's.
  const { get: getTimeline } = Object.getOwnPropertyDescriptor(AnimationTimeline.prototype, 'currentTime');
  const shift = () => {
    const time = at ?? frozen;
    return time === undefined ? ahead : time - (getTimeline.call(document.timeline) ?? time);
  };
  Object.defineProperty(document.timeline, 'currentTime', {
    configurable: true,
    get() {
      const time = getTimeline.call(document.timeline);
      return time === null ? null : time + shift();
    },
  });
  // Once the time is forwarded, the browser's frames run none of the page's callbacks. waits says that they run none while the page loads, either.
  const waiting = (request, cancel, waits) => {
    const callbacks = new Map(); // id → callback
    let taken = new Map(); // those that run: one may cancel another
    const natives = new Map(); // id → the browser's
    const armOne = (id, options) => natives.set(id, request((argument) => {
      const callback = callbacks.get(id);
      callbacks.delete(id);
      natives.delete(id);
      callback?.(argument);
    }, options));
    const hold = () => {
      for (const native of natives.values()) cancel(native);
      natives.clear();
    };
    return {
      callbacks,
      hold,
      release() { for (const id of callbacks.keys()) armOne(id); },
      add(callback, options) {
        const id = ++lastID;
        callbacks.set(id, callback);
        if (!(loading && waits) && !forwarded()) armOne(id, options);
        return id;
      },
      remove(id) {
        callbacks.delete(id);
        taken.delete(id);
        cancel(natives.get(id));
        natives.delete(id);
      },
      take() {
        taken = new Map(callbacks);
        callbacks.clear();
        return taken.values();
      },
    };
  };
  const frames = waiting((callback) => real.requestAnimationFrame((time) => callback(time + ahead)), real.cancelAnimationFrame, true);
  const idlePatience = 100; // milliseconds; a browser that draws frames on request is sometimes never idle
  const idle = waiting((callback, options) => real.requestIdleCallback(callback, { timeout: idlePatience, ...options }), real.cancelIdleCallback);
  window.requestAnimationFrame = function requestAnimationFrame(callback) { return frames.add(callback); };
  window.cancelAnimationFrame = (id) => frames.remove(id);
  window.requestIdleCallback = function requestIdleCallback(callback, options) { return idle.add(callback, options); };
  window.cancelIdleCallback = (id) => idle.remove(id);
  const call = (callback, argument) => {
    try {
      callback(argument);
    } catch (error) {
      reportError(error);
    }
  };
  // What a callback promises itself comes before the next callback.
  const callFrames = async () => {
    let first = true;
    for (const callback of frames.take()) {
      if (!first) await breathe();
      first = false;
      call(callback, at);
    }
    for (const callback of idle.take()) {
      let left = 50; // milliseconds, one for each question
      call(callback, { didTimeout: false, timeRemaining: () => Math.max(0, --left) });
    }
  };
  // The messages arrive that the page sent itself: frameworks draw by them, and each may send the next.
  let messages = 0;
  const arrive = () => { messages++; };
  window.MessageChannel = class MessageChannel extends RealChannel {
    constructor() {
      super();
      for (const port of [this.port1, this.port2]) port.addEventListener('message', arrive);
    }
  };
  addEventListener('message', arrive, true);
  const { port1: inward, port2: outward } = new RealChannel();
  const breathe = () => new Promise((resolve) => {
    inward.onmessage = resolve;
    outward.postMessage(null);
  });
  const { yield: realYield } = window.Scheduler?.prototype ?? {};
  if (realYield !== undefined) Scheduler.prototype.yield = function () { return realYield.call(this).finally(arrive); };
  // A next rate that waits for a frame would be lost.
  Animation.prototype.updatePlaybackRate = function (rate) { this.playbackRate = rate; };
  const times = new WeakMap(); // animation → its own time, and the page's at that time
  const { get: getTime, set: setTime } = Object.getOwnPropertyDescriptor(Animation.prototype, 'currentTime');
  const keepTime = (animation, time) => times.set(animation, { time, at: loading ? 0 : now() });
  const { currentTime, startTime } = Object.getOwnPropertyDescriptors(Animation.prototype);
  Object.defineProperty(Animation.prototype, 'currentTime', {
    ...currentTime,
    set(value) {
      setTime.call(this, value);
      keepTime(this, getTime.call(this));
    },
  });
  Object.defineProperty(Animation.prototype, 'startTime', {
    ...startTime,
    get() {
      const time = startTime.get.call(this);
      return typeof time === 'number' && this.timeline === document.timeline ? time + shift() : time;
    },
    set(value) {
      startTime.set.call(this, typeof value === 'number' && this.timeline === document.timeline ? value - shift() : value);
      keepTime(this, getTime.call(this));
    },
  });
  // While the page loads, an animation that a script pauses is where it began: how long the page takes changes nothing.
  const { pause } = Animation.prototype;
  Animation.prototype.pause = function () {
    pause.call(this);
    if (loading && !held && !times.has(this) && this.timeline instanceof DocumentTimeline) this.currentTime = this.playbackRate < 0 ? Number(this.effect?.getComputedTiming().endTime) || 0 : 0;
  };
  // drive sets the page's animations to a time of the page, exactly: one that a timer stops shows the same in each picture. Those that have begun, or have been
  // stopped, since it was called last are where they were then.
  const drive = (places, at) => {
    for (const animation of places.flatMap((root) => root.getAnimations())) {
      const { playState, playbackRate, timeline } = animation;
      if (!(timeline instanceof DocumentTimeline) || playbackRate === 0) continue;
      if (playState !== 'running' && playState !== 'paused') {
        times.delete(animation);
        continue;
      }
      const last = Number(animation.effect?.getComputedTiming().endTime);
      const running = playState === 'running';
      const own = times.get(animation) ?? { time: !running ? getTime.call(animation) : playbackRate < 0 ? last : 0, at };
      if (running) own.time += (at - own.at) * playbackRate;
      own.at = at;
      times.set(animation, own);
      if (running && (playbackRate < 0 ? own.time <= 0 : own.time >= last)) animation.finish();
      else if (own.time !== null) setTime.call(animation, own.time);
    }
  };
  // hold makes animations wait as long as timers do.
  let held = false;
  const hold = () => {
    if (!held) real.requestAnimationFrame(wait);
    held = true;
  };
  const wait = () => {
    if (!loading) return;
    drive(roots(document), 0);
    real.requestAnimationFrame(wait);
  };
  // A video that plays stands at its first picture, for scripts that draw it too: the one at which its address or the page has it begin.
  const presentation = 2000; // milliseconds, for a video that the browser tells nothing of
  const { requestVideoFrameCallback: requestVideoFrame } = HTMLVideoElement.prototype;
  const { arrive: arriveVideos, beginning, seek, renew } = window[Symbol.for('platen.requests')];
  const apart = new Set(); // those that a script plays, and may not have put into the page
  const { play } = HTMLMediaElement.prototype;
  const stopped = new WeakSet();
  HTMLMediaElement.prototype.play = function () {
    if (this instanceof HTMLVideoElement) apart.add(this);
    return play.call(this).catch((error) => {
      if (!stopped.has(this)) throw error; // it is no error that the renderer stops it
    });
  };
  addEventListener('pause', (event) => { if (event.isTrusted && stopped.has(event.target)) event.stopImmediatePropagation(); }, true);
  const acknowledged = 3; // frames, until the compositor takes another picture of a video that has played
  const holdVideos = async () => {
    const held = [];
    for (const video of new Set([...roots(document).flatMap((root) => [...root.querySelectorAll('video')]), ...apart])) {
      if (video.paused && !video.autoplay || ofStream(video)) continue;
      const begun = !video.paused || stopped.has(video);
      video.autoplay = false;
      stopped.add(video);
      video.pause();
      if (video.readyState === video.HAVE_NOTHING) continue;
      if (!begun) for (const name of ['play', 'playing']) video.dispatchEvent(new Event(name)); // as it would have told in a moment
      held.push(video);
    }
    await show(held, beginning, false);
  };
  // show makes the compositor take the pictures of videos at their places. quietly says that the page does not hear of it.
  const shown = new Map(); // video on its way that the page does not hear of → what waits for it
  for (const name of ['seeking', 'seeked', 'timeupdate']) {
    addEventListener(name, (event) => {
      if (!event.isTrusted || !shown.has(event.target)) return;
      event.stopImmediatePropagation();
      if (name === 'seeked') shown.get(event.target)();
    }, true);
  }
  const show = async (videos, placeOf, quietly) => {
    for (let n = 0; videos.length > 0 && n < acknowledged; n++) await new Promise((resolve) => real.requestAnimationFrame(resolve));
    for (const video of videos) {
      const seeked = new Promise((resolve) => {
        if (quietly) shown.set(video, resolve);
        video.addEventListener('seeked', resolve, { once: true }); // the window hears nothing of a shadow root's
      });
      // The compositor has the picture a moment after the event.
      const late = new Promise((resolve) => real.setTimeout(() => resolve(true), presentation));
      const presented = Promise.race([new Promise((resolve) => requestVideoFrame.call(video, resolve)), late]);
      seek.call(video, placeOf(video));
      await seeked;
      shown.delete(video);
      // The page may move it, too.
      for (let left = video.seeking; left && video.seeking;) left = await Promise.race([new Promise((resolve) => video.addEventListener('seeked', resolve, { once: true })), late]) !== true;
      await presented;
    }
  };
  // The compositor drops a picture that comes before it has taken the one before, and the browser does not look for a place at which it is: so it goes a step away and back.
  // The step must stay within the picture. Most pictures begin at a whole millisecond.
  const step = 1e-6; // seconds
  const aside = (place, duration) => place + (place < duration && Math.round((place + step) / step) % 1000 > 0 ? step : -step);
  const holdMoved = async () => {
    const moved = await arriveVideos();
    const places = new Map(moved.filter((video) => video.isConnected && video.paused && video.error === null).map((video) => [video, video.currentTime]));
    await show([...places.keys()], (video) => aside(places.get(video), video.duration), true);
    await show([...places.keys()], (video) => places.get(video), true);
    return moved.length > 0;
  };
  let over; // the end of the real time
  const forwardOwn = async () => {
    let ran = false;
    await holdVideos();
    at = now();
    [began, start, frozen] = [realNow(), at, undefined];
    const places = roots(document);
    if (loading) {
      at = Math.ceil(at); // sums of whole milliseconds are exact
      for (const entry of timers.values()) if (entry.delay > 0) entry.due = at + entry.delay;
      for (const animation of places.flatMap((root) => root.getAnimations())) if (times.has(animation)) times.get(animation).at = at;
      loading = false;
    }
    end ??= at + limit;
    over ??= realNow() + patience;
    for (const { native } of timers.values()) real.clearTimeout(native);
    drive(places, at);
    frames.hold();
    idle.hold();
    let nextFrame = at + frameTime;
    const nextDrawn = () => (frames.callbacks.size + idle.callbacks.size > 0 ? nextFrame : Infinity);
    const nextTimer = () => {
      let first = Infinity;
      for (const { due } of timers.values()) first = Math.min(first, due);
      return first;
    };
    const nextDue = () => Math.min(nextDrawn(), nextTimer());
    let asks = mostAsks;
    let timed = false; // a timer has just run
    for (;;) {
      messages = 0;
      await breathe();
      if (timed) {
        lettered();
        if (asks-- > 0) await imported(over - realNow());
        timed = false;
      }
      await quiet(over - realNow(), nextDue() <= end);
      await breathe();
      const drawn = nextDrawn();
      let first = nextTimer();
      if (messages > 0) first = Math.min(first, at + messageTime);
      if (Math.min(drawn, first) > end || realNow() > over) {
        if (!await imported(over - realNow())) break;
        end = Math.max(end, at + limit); // what has come is only at its beginning
        continue;
      }
      ran = true;
      at = Math.max(at, Math.min(drawn, first));
      drive(places, at);
      for (const [id, entry] of [...timers]) {
        if (entry.due > at || !timers.has(id)) continue;
        if (timed) await breathe();
        if (!timers.has(id)) continue;
        run(id, entry);
        timed = true;
      }
      if (at >= drawn) {
        if (timed) await breathe();
        await callFrames();
        nextFrame = at + frameTime;
      }
      drive(places, at);
    }
    ahead = at - realNow();
    at = undefined;
    return ran;
  };
  // inner calls a function of the renderer's in the frames of the page.
  const inner = async (name) => {
    let any = false;
    for (const frame of roots(document).flatMap((root) => [...root.querySelectorAll('iframe, frame, object, embed')]).map((element) => element.contentWindow)) {
      let still;
      try {
        still = frame?.[Symbol.for('platen.still')];
      } catch {
        // of another origin
      }
      if (await still?.[name]()) any = true;
    }
    return (await ask(name)).some(Boolean) || any;
  };
  const forward = async () => {
    const ran = await forwardOwn();
    return await inner('forward') || ran;
  };
  // left returns the milliseconds until the first timer that would still change the page, Infinity if there is none.
  const left = () => Math.min(Infinity, ...[...timers.values()].filter(({ loops }) => !loops).map(({ due }) => due - now()));
  // The loops of frames and timers that run, by their code: a loop may make its function anew each time. One that asks for the next frame without a condition is
  // endless, so there is nothing to foresee.
  const endless = (code) => {
    const before = code.slice(0, Math.max(0, code.lastIndexOf('requestAnimationFrame(')));
    return before.split('{').length - before.split('}').length === 1 && /[;{}]\s*((window|self|globalThis)\.)?$/.test(before) && !/\b(return|throw)\b/.test(before);
  };
  const loops = () => new Set([...[...timers.values()].filter(({ loops }) => loops).map(({ callback }) => callback), ...frames.callbacks.values()].map(String).filter((code) => !endless(code)));
  // foresee lives through what would come after the picture, and resolves to the milliseconds of the page's time that its loops take which end by themselves
  // and change it until then; 0 if none does.
  const [most, patient, intermission] = [30000, 1000, 1000]; // milliseconds: of the page's time, of real time, and that a loop is gone for good
  const fewest = 350; // steps; a busy machine takes longer for them
  const draws = /draw|fill|stroke|clear|paint|render|ctx|context|\bgl\b/i;
  const foresee = async () => {
    const until = new Map([...loops()].map((loop) => [loop, 0])); // loop → when it was last there
    const changing = new Set();
    let changed = false;
    const observer = new MutationObserver(() => { changed = true; });
    const canvas = document.querySelector('canvas') !== null;
    for (const root of roots(document)) observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
    const asked = realNow();
    const first = end - limit;
    at = Math.max(now(), end);
    let nextFrame = at + frameTime;
    for (let step = 0; until.size > 0 && (step < fewest || realNow() - asked < patient); step++) {
      const due = Math.min(...[...timers.values()].map((entry) => entry.due));
      const next = Math.max(at, Math.min(frames.callbacks.size > 0 ? nextFrame : Infinity, due));
      if (next - first > most) break;
      at = next;
      const ran = new Set();
      changed = false;
      for (const [id, entry] of [...timers]) {
        if (entry.due > at || !timers.has(id)) continue;
        ran.add(String(entry.callback));
        run(id, entry);
      }
      if (at >= nextFrame) {
        for (const callback of frames.take()) {
          ran.add(String(callback));
          call(callback, at);
        }
        nextFrame = at + frameTime;
      }
      await breathe();
      for (const loop of ran) if (changed || canvas && draws.test(loop)) changing.add(loop);
      for (const loop of loops()) if (until.has(loop)) until.set(loop, at - first);
      if ([...until.values()].every((time) => at - first - time >= intermission)) break;
      if (timers.size + frames.callbacks.size === 0) {
        at += intermission;
        break;
      }
    }
    return Math.max(0, ...[...until].filter(([loop, time]) => changing.has(loop) && at - first - time >= intermission).map(([, time]) => time));
  };
  // The clocks of SVG animations go from moment to moment: each begin and end, and each repeat, is told. What begins by that, also by a script later, has an
  // end as well. settleClocks returns whether something has ended that had not.
  const settled = new WeakMap(); // svg whose clock this has stopped → the seconds that it shows, and the animations that it has run
  const { pauseAnimations, unpauseAnimations, animationsPaused } = SVGSVGElement.prototype;
  for (const [name, own] of Object.entries({ pauseAnimations, unpauseAnimations })) {
    SVGSVGElement.prototype[name] = function () {
      settled.delete(this);
      own.call(this);
    };
  }
  SVGSVGElement.prototype.animationsPaused = function () { return !settled.has(this) && animationsPaused.call(this); };
  const settleClocks = (root) => {
    let ended = false;
    for (const { svg, end, endless, moments, elements } of smil.timing(root)) {
      const { at, ran } = settled.get(svg) ?? { at: 0, ran: new Set() };
      if (settled.has(svg) && elements.every((element) => ran.has(element))) continue;
      if (end > 0) for (const element of endless) element.setAttribute('begin', `${end}s`);
      pauseAnimations.call(svg);
      for (const moment of moments) if (moment >= at && moment < end) smil.seek(svg, moment);
      smil.seek(svg, end);
      ended ||= end > at;
      settled.set(svg, { at: end, ran: new Set([...ran, ...elements]) });
    }
    return ended;
  };
  // No script finds the transitions of the parts that the browser adds to an element: they end at once.
  const parts = ['details-content', '-webkit-progress-value', '-webkit-progress-bar', '-webkit-meter-optimum-value', '-webkit-slider-thumb', 'file-selector-button', 'placeholder'];
  let ending;
  const endParts = (root) => {
    if (root.querySelector('details, progress, meter, input, textarea') === null) return;
    if (ending === undefined) {
      ending = new CSSStyleSheet();
      ending.replaceSync(parts.map((part) => `::${part} { transition: none !important }`).join(''));
    }
    if (!root.adoptedStyleSheets.includes(ending)) root.adoptedStyleSheets.push(ending);
  };
  const settle = async () => {
    let ended = false;
    if (document.activeViewTransition) {
      document.activeViewTransition.ready.catch(() => {}); // skipped is no error
      document.activeViewTransition.skipTransition();
      ended = true;
    }
    for (const root of roots(document)) {
      endParts(root);
      for (const animation of root.getAnimations()) {
        if (!(animation.timeline instanceof DocumentTimeline)) continue; // it follows a scroll position
        if (animation.playState === 'paused' || animation.playbackRate === 0) continue;
        if (Number.isFinite(Number(animation.effect?.getComputedTiming().endTime))) {
          ended ||= animation.playState !== 'finished';
          animation.finish();
        } else {
          animation.pause();
          animation.currentTime = 0;
        }
      }
      while (settleClocks(root)) ended = true;
    }
    await holdVideos();
    if (await holdMoved()) ended = true;
    for (const element of roots(document).flatMap((root) => [...root.querySelectorAll('video, audio')])) renew(element);
    return await inner('settle') || ended;
  };
  const live = () => {
    if (frozen !== undefined) ahead = frozen - realNow();
    loading = false;
    frozen = undefined;
    for (const [id, entry] of timers) if (entry.native === undefined) arm(id, entry);
    frames.release();
  };
  offer('settle', settle);
  offer('forward', forward);
  Object.defineProperty(window, Symbol.for('platen.still'), { value: Object.freeze({ settle, forward, left, loops, foresee, live, date }) });
})
