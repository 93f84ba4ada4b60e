// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Returns a document and all shadow roots in it, also those that hide from the page's other scripts.
((page) => {
  const closed = page.defaultView?.[Symbol.for('platen.shadows')];
  const list = [page];
  for (const root of list) {
    for (const element of root.querySelectorAll('*')) {
      const shadow = element.shadowRoot ?? closed?.get(element);
      if (shadow) list.push(shadow);
    }
  }
  return list;
})
