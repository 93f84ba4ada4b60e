// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Replaces the document's page with another one, waits until it is loaded, and resolves as ready does. document.open removes the old
// page's elements and listeners (https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html#document-open-steps) and keeps the
// document's policy. An element can have the name of a document's method and hide it, so the methods come from the prototype.
(async (url, html, fill, ready) => {
  if (location.href !== url) throw new Error(`this is ${location.href}`);
  if (scrollX !== 0 || scrollY !== 0) throw new Error('the previous page has scrolled');
  const { open, write, close } = Document.prototype;
  open.call(document);
  fill();
  const loaded = new Promise((resolve) => addEventListener('load', resolve, { once: true }));
  write.call(document, html);
  close.call(document);
  await loaded;
  return ready();
})
