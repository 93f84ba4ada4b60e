// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Makes a page that asks for the time learn it from another clock: now returns milliseconds since the document began, date those since 1970.
// What else waits for a time waits by setTimeout, which must be of that clock.
((now, date) => {
  // A page that asks for the time so often at one moment waits for it to pass.
  const maxQuestions = 100000;
  let questions = 0;
  let last;
  const waited = () => {
    const time = now();
    if (time !== last) [last, questions] = [time, 0];
    return Math.max(0, ++questions - maxQuestions) / 100;
  };
  const wait = window.setTimeout;
  if (window.Scheduler !== undefined) {
    const { postTask } = Scheduler.prototype;
    Scheduler.prototype.postTask = function (callback, { delay = 0, ...options } = {}) {
      return new Promise((resolve) => wait(() => resolve(postTask.call(this, callback, options)), delay));
    };
  }
  AbortSignal.timeout = (delay) => {
    const controller = new AbortController();
    wait(() => controller.abort(new DOMException('signal timed out', 'TimeoutError')), delay);
    return controller.signal;
  };
  const { waitAsync } = Atomics;
  if (waitAsync !== undefined) {
    Atomics.waitAsync = (array, index, value, delay = Infinity) => {
      const answer = waitAsync(array, index, value, delay === 0 ? 0 : Infinity);
      if (!answer.async || !(delay < Infinity)) return answer;
      return { async: true, value: Promise.race([answer.value, new Promise((resolve) => wait(() => resolve('timed-out'), delay))]) };
    };
  }
  const RealDate = Date;
  const tell = () => date() + Math.floor(waited());
  // Date without new is a text.
  function PageDate(...args) {
    if (new.target === undefined) return new RealDate(tell()).toString();
    return Reflect.construct(RealDate, args.length === 0 ? [tell()] : args, new.target === PageDate ? RealDate : new.target);
  }
  Object.defineProperties(PageDate, Object.getOwnPropertyDescriptors(RealDate));
  PageDate.now = tell;
  RealDate.prototype.constructor = PageDate;
  window.Date = PageDate;
  Performance.prototype.now = () => now() + waited();
  const { mark, measure } = Performance.prototype;
  Performance.prototype.mark = (name, options) => mark.call(performance, name, { startTime: now(), ...options });
  Performance.prototype.measure = (name, start, end) => {
    const range = typeof start === 'object' && start !== null ? { ...start } : { start, end };
    if (range.duration === undefined || range.start === undefined) range.end ??= now();
    return measure.call(performance, name, range);
  };
  const { format } = Object.getOwnPropertyDescriptors(Intl.DateTimeFormat.prototype);
  const { formatToParts } = Intl.DateTimeFormat.prototype;
  Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', {
    ...format,
    get() {
      const bound = format.get.call(this);
      return (time = tell()) => bound(time);
    },
  });
  Intl.DateTimeFormat.prototype.formatToParts = function (time = tell()) { return formatToParts.call(this, time); };
  if (window.Temporal === undefined) return;
  const { Instant, Now } = window.Temporal;
  const zoned = (zone = Now.timeZoneId()) => Now.instant().toZonedDateTimeISO(zone);
  Object.assign(Now, {
    instant: () => Instant.fromEpochMilliseconds(tell()),
    zonedDateTimeISO: zoned,
    plainDateTimeISO: (zone) => zoned(zone).toPlainDateTime(),
    plainDateISO: (zone) => zoned(zone).toPlainDate(),
    plainTimeISO: (zone) => zoned(zone).toPlainTime(),
  });
})
