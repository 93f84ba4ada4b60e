// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Writes a page in the place of the one before it, and resolves when it can be painted. document.open takes the old page's elements
// and listeners away (https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html#document-open-steps); the document's
// policy stays. The document must be the one at url, which has that policy.
((url, html, fill, ready) => {
  if (document.URL !== url) throw new Error(`this is ${document.URL}`);
  document.open();
  fill();
  document.write(html);
  document.close();
  return ready();
})
