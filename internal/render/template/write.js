// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Writes a page in the place of the one before it, and resolves when it can be painted. document.open takes the old page's elements
// and listeners away (https://html.spec.whatwg.org/multipage/dynamic-markup-insertion.html#document-open-steps); the document's
// policy stays. The document must be the one at url, which has that policy.
(async (url, html, fill, ready) => {
  if (document.URL !== url) throw new Error(`this is ${document.URL}`);
  let refused = false;
  document.open();
  addEventListener('securitypolicyviolation', () => {
    refused = true;
  });
  fill();
  document.write(html);
  document.close();
  const report = JSON.parse(await ready());
  return JSON.stringify({ ...report, refused });
})
