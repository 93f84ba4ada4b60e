// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Waits until a page can be painted: loaded, ready by its own word, fonts and images decoded, a frame drawn. It never waits for an
// idle network.
(async () => {
  const frame = window[Symbol.for('platen.film')]?.frame ?? requestAnimationFrame;
  if (document.readyState !== 'complete') {
    await new Promise((resolve) => addEventListener('load', resolve, { once: true }));
  }
  await window[Symbol.for('platen.ready')]?.();
  await document.fonts.ready;
  window[Symbol.for('platen.fit')]?.();
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  await new Promise((resolve) => frame(resolve));
  return JSON.stringify({ warnings: window[Symbol.for('platen.warnings')] ?? [], unused: window[Symbol.for('platen.unused')] ?? [] });
})()
