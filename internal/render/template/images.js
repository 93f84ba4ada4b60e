// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Stops the document's pictures that move at their first picture, until begin is called. Chromium never answers a request for a frame in which one moves before
// the page's own thread, if that is slow, has its part ready: the compositor then waits for both, and each for the other.
(() => {
  const sheet = new CSSStyleSheet();
  // Not behind the page itself: there, the browser would not begin them again.
  sheet.replaceSync(':root > :not(body), body > *, :is(html, body):is(::before, ::after) { image-animation: stopped !important }');
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(window, Symbol.for('platen.images'), { value: Object.freeze({ begin() { sheet.disabled = true; } }) });
})();
