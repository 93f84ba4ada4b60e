// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Writes a page in the place of the one before it, and resolves as ready does once it is loaded. document.open takes the old page's
// elements and listeners away (https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html#document-open-steps); the document's
// policy stays. Elements can be named like a document's methods, so that those are called by their prototype's.
(async (url, html, fill, ready) => {
  if (location.href !== url) throw new Error(`this is ${location.href}`);
  if (scrollX !== 0 || scrollY !== 0) throw new Error('the page before has scrolled');
  const { open, write, close } = Document.prototype;
  open.call(document);
  fill();
  const loaded = new Promise((resolve) => addEventListener('load', resolve, { once: true }));
  write.call(document, html);
  close.call(document);
  await loaded;
  return ready();
})
