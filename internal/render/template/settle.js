// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Shows a document as a still does: finite animations at their end, endless ones at their start, and videos at their first picture. What the
// author has paused stays as it is. It resolves to whether something has ended, which may make the page's scripts begin another. smil and
// roots are the functions of smil.js and roots.js.
((smil, roots) => {
  const { ask, offer } = window[Symbol.for('platen.frames')];
  const settle = async () => {
    let ended = false;
    if (document.activeViewTransition) {
      document.activeViewTransition.ready.catch(() => {}); // skipped is no error
      document.activeViewTransition.skipTransition();
      ended = true;
    }
    const frames = [];
    for (const root of roots(document)) {
      for (const animation of root.getAnimations()) {
        if (!(animation.timeline instanceof DocumentTimeline) || animation.playState === 'paused') continue; // the first follows a scroll position
        if (Number.isFinite(Number(animation.effect?.getComputedTiming().endTime)) && animation.playbackRate !== 0) {
          ended ||= animation.playState !== 'finished';
          animation.finish();
        } else {
          animation.pause();
          animation.currentTime = 0;
        }
      }
      for (const { svg, end, endless } of smil(root)) {
        if (end > 0) for (const element of endless) element.setAttribute('begin', `${end}s`);
        svg.pauseAnimations();
        svg.setCurrentTime(end);
        ended ||= end > 0;
      }
      for (const video of root.querySelectorAll('video')) {
        if (video.paused && !video.autoplay) continue;
        video.autoplay = false;
        video.pause();
        const seeked = new Promise((resolve) => video.addEventListener('seeked', resolve, { once: true }));
        video.currentTime = 0;
        await seeked;
      }
      frames.push(...[...root.querySelectorAll('iframe, frame, object, embed')].map((frame) => frame.contentWindow));
    }
    for (const frame of frames) {
      let inner;
      try {
        inner = frame?.[Symbol.for('platen.settle')];
      } catch {
        // of another origin
      }
      if (await inner?.()) ended = true;
    }
    return (await ask('settle')).some(Boolean) || ended;
  };
  offer('settle', settle);
  Object.defineProperty(window, Symbol.for('platen.settle'), { value: settle });
})
