// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Waits until a page can be painted: loaded, fonts and images decoded, two frames drawn. It never waits for an idle network.
(async () => {
  if (document.readyState !== 'complete') {
    await new Promise((resolve) => addEventListener('load', resolve, { once: true }));
  }
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  return JSON.stringify(window[Symbol.for('platen.warnings')] ?? []);
})()
