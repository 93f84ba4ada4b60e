// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Conveniences that HTML does not have. Every form works without this script.
'use strict';

// mark marks the fields whose error says something as wrong, and no others.
function mark(fields) {
  for (const field of fields) {
    const error = field.querySelector('.error');
    if (!error) continue;
    const wrong = error.textContent !== '';
    field.classList.toggle('wrong', wrong);
    const control = field.querySelector('[aria-describedby]');
    if (wrong) control.setAttribute('aria-invalid', 'true');
    else control.removeAttribute('aria-invalid');
  }
  const refused = document.getElementById('refused');
  if (!refused?.textContent) return;
  const wrong = document.querySelectorAll('#form .wrong').length;
  const text = wrong ? `Nothing is rendered yet: correct ${wrong} ${wrong === 1 ? 'field' : 'fields'}.` : '';
  if (refused.textContent !== text) refused.textContent = text;
}

// A corrected field is no longer marked as wrong; the server checks the fields of parameters while a person types. A colour picker fills in its text
// field, which accepts any CSS colour.
document.addEventListener('input', (event) => {
  const field = event.target.closest('.wrong');
  if (field && !field.matches('.parameter')) {
    field.querySelector('.error').replaceChildren();
    mark([field]);
  }
  const picker = event.target;
  if (picker.dataset.colorOf) {
    document.getElementById(picker.dataset.colorOf).value = picker.value;
    return;
  }
  const own = document.querySelector(`[data-color-of="${CSS.escape(picker.id)}"]`);
  if (own) pick(own);
});

// pick makes a colour picker show the colour of its text field: grey if that is no opaque colour.
function pick(picker) {
  const canvas = document.createElement('canvas').getContext('2d');
  canvas.fillStyle = '#808080';
  canvas.fillStyle = document.getElementById(picker.dataset.colorOf).value; // what is no colour changes nothing
  picker.value = canvas.fillStyle.startsWith('#') ? canvas.fillStyle : '#808080';
}
for (const event of ['pageshow', 'htmx:afterSettle']) {
  window.addEventListener(event, () => document.querySelectorAll('[data-color-of]').forEach(pick));
}

// A picture comes from an address or from a file: whichever a person gives last clears the other. Only a chosen file can be removed.
const removable = (file) => { document.querySelector(`[data-remove="${CSS.escape(file.id)}"]`).hidden = file.files.length === 0; };
document.addEventListener('input', ({target}) => {
  const file = target.dataset.address ? target : document.querySelector(`[data-address="${CSS.escape(target.id)}"]`);
  if (!file) return;
  if (target !== file && target.value.trim()) file.value = '';
  if (target === file && file.files.length > 0) document.getElementById(file.dataset.address).value = '';
  removable(file);
});
document.addEventListener('click', ({target}) => {
  const button = target.closest('[data-remove]');
  if (!button) return;
  const file = document.getElementById(button.dataset.remove);
  file.value = '';
  file.focus();
  file.dispatchEvent(new Event('input', {bubbles: true}));
});
window.addEventListener('pageshow', () => document.querySelectorAll('[data-address]').forEach(removable));

// Only secure pages may use the clipboard.
if (navigator.clipboard) {
  document.documentElement.classList.add('clipboard');
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('[data-copy]');
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    const what = button.querySelector('.hidden')?.textContent ?? ' it';
    document.getElementById('said').textContent = `Copied${what}.`;
    button.firstChild.data = 'Copied';
  });
}

// A field keeps its file, and the height that somebody gave it, when its form comes back. htmx would copy the height as an attribute, which the page's
// policy forbids.
let heights = new Map(), files = new Map();
document.body.addEventListener('htmx:beforeSwap', ({detail: {target}}) => {
  heights = new Map(Array.from(target.querySelectorAll('textarea'), (field) => [field.id, field.style.height]));
  files = new Map(Array.from(target.querySelectorAll('[type=file]'), (field) => [field.id, field.files]));
});
document.body.addEventListener('htmx:afterSwap', () => {
  for (const [id, height] of heights) document.getElementById(id)?.style.setProperty('height', height);
  for (const [id, chosen] of files) {
    const field = document.getElementById(id);
    if (!field || field.files === chosen) continue;
    field.files = chosen;
    removable(field);
  }
  files = new Map();
});

// The address of a page names its workspace: it leads there when somebody sends it, or loads it again after another tab has opened another workspace.
const shown = document.body.dataset.workspace;
if (shown && /^\/ui\/(storage(\/[^/]+(\/(folders|disconnect))?)?|renders(\/[^/]+)?|templates(\/[^/]+)?)$/.test(location.pathname)) {
  const address = new URL(location.href);
  if (!address.searchParams.has('workspace')) {
    address.searchParams.set('workspace', shown);
    history.replaceState(history.state, '', address);
  }
}

// The server refuses a picture that is too large by its size: no more of it is sent than tells that.
document.body.addEventListener('htmx:configRequest', (event) => {
  const {formData} = event.detail;
  for (const picker of document.querySelectorAll('#form [data-most]')) {
    const file = picker.files[0], most = Number(picker.dataset.most);
    if (file?.size > most && formData.has(picker.name)) formData.set(picker.name, file.slice(0, most + 1), file.name);
  }
});

// The next preview takes the place of the last one when its picture is ready to be painted, so that nothing flickers. If the picture does not load,
// the last one stays. Until then no other preview begins: it would render the job again, and the picture would be gone.
let loading = false, held = null;
document.body.addEventListener('htmx:confirm', (event) => {
  const {elt, target, issueRequest} = event.detail;
  if (target?.id !== 'live' || !loading) return;
  event.preventDefault();
  if (elt === target) held = issueRequest;
});
document.body.addEventListener('htmx:beforeSwap', (event) => {
  const {target, serverResponse, shouldSwap} = event.detail;
  if (target.id !== 'live' || !shouldSwap) return;
  event.detail.shouldSwap = false;
  loading = true;
  const picture = new Image();
  picture.src = new DOMParser().parseFromString(serverResponse, 'text/html').querySelector('img').getAttribute('src');
  picture.decode().then(
    () => htmx.swap(target, serverResponse, {swapStyle: 'innerHTML', swapDelay: 0, settleDelay: 0}),
    () => { if (!held) document.getElementById('live-notes').textContent = 'The new picture did not load. Change a field to try again.'; },
  ).finally(() => {
    const issue = held;
    loading = false;
    held = null;
    issue?.();
  });
});

// After Back, a browser fills in what the fields had: the preview and the code follow.
window.addEventListener('pageshow', () => {
  const fields = Array.from(document.getElementById('form')?.elements ?? []);
  const changed = (field) => field.type === 'file' ? field.files.length > 0
    : field.matches('[type=checkbox], [type=radio]') ? field.checked !== field.defaultChecked
      : field.matches('input, textarea') && field.name && field.value !== field.defaultValue;
  fields.find(changed)?.dispatchEvent(new Event('input', {bubbles: true}));
});

// If the focus was in a replaced part, it moves to what is wrong there, or to the same element, or to the beginning of the new part, for keyboards and screen readers.
// htmx keeps it on elements that have an id, unless they were disabled.
let within = null;
// The elements with the focus when a request began: a button loses it while it is disabled.
const began = new WeakMap();
document.body.addEventListener('htmx:configRequest', (event) => {
  began.set(event.detail.elt, document.activeElement);
});
document.body.addEventListener('htmx:beforeSwap', (event) => {
  const active = document.activeElement === document.body ? began.get(event.detail.requestConfig?.elt) : document.activeElement;
  within = active !== document.body && event.detail.target.contains(active) ? active : null;
});
document.body.addEventListener('htmx:afterSettle', (event) => {
  if (within && document.activeElement === document.body) (event.target.querySelector('[data-focus][aria-invalid]') ?? same(event.target, within) ?? event.target.querySelector('[data-focus]'))?.focus();
  within = null;
  if (event.target.id === 'code') mark(document.querySelectorAll('#form .parameter'));
  if (event.target.id === 'form') {
    // The form was refused: its first error may be off the screen.
    const wrong = event.target.querySelector('[aria-invalid]') ?? event.target.querySelector('[role=alert]');
    wrong?.focus();
    (wrong?.closest('.field') ?? wrong)?.scrollIntoView({block: 'nearest'});
    return;
  }
  // On a phone, the result of a form may be below the screen.
  if (event.detail.requestConfig?.elt.matches('form')) event.target.scrollIntoView({block: 'nearest'});
});
document.body.addEventListener('htmx:afterRequest', (event) => {
  const form = event.detail.elt, button = began.get(form);
  if (form.matches('form') && form.contains(button) && document.activeElement === document.body) button.focus({preventScroll: true});
});

// same returns the element of a part that has the id of another, or the link that leads where a link without an id led.
function same(part, element) {
  if (element.id) return part.querySelector(`#${CSS.escape(element.id)}`);
  const address = element.getAttribute('href');
  return address && part.querySelector(`a[href="${CSS.escape(address)}"]`);
}

// The workspace of a page may not be the session's any more, because another tab has opened another one: each form says what its page shows, and so does
// the address of each link while it is followed. Requests of htmx have it in a header.
document.addEventListener('submit', (event) => {
  const name = event.target.method === 'post' ? 'shown' : 'workspace';
  if (!shown || event.target.elements[name]) return;
  const field = document.createElement('input');
  [field.type, field.name, field.value] = ['hidden', name, shown];
  event.target.append(field);
}, true);
for (const event of ['click', 'auxclick']) {
  document.addEventListener(event, ({target}) => {
    const link = target.closest('a[href^="/ui/"]');
    if (!shown || !link) return;
    const address = new URL(link.href), href = link.getAttribute('href');
    if (address.pathname === '/ui/workspace' || address.searchParams.has('workspace')) return;
    address.searchParams.set('workspace', shown);
    link.href = address;
    setTimeout(() => link.setAttribute('href', href));
  }, true);
}

const notices = document.getElementById('notices');

// A page that stays when the session has ended says so once, until a request succeeds again.
const signedOut = () => notices.querySelector('[data-signed-out]');
document.body.addEventListener('htmx:beforeSwap', (event) => {
  if (event.detail.xhr.status === 401 && signedOut()) event.detail.shouldSwap = false;
});
document.body.addEventListener('htmx:afterOnLoad', (event) => {
  if (event.detail.xhr.status < 400) signedOut()?.remove();
});

// acts tells whether a visitor made a request. The page makes others by itself, again and again.
const acts = ({triggeringEvent} = {}) => ['change', 'click', 'input', 'submit'].includes(triggeringEvent?.type);

// A notice stays until the visitor does something else. One of a request that the page repeats goes when such a request is answered.
document.body.addEventListener('htmx:beforeRequest', (event) => {
  if (acts(event.detail.requestConfig) && !signedOut()) notices.replaceChildren();
});
document.body.addEventListener('htmx:afterOnLoad', () => notices.querySelector('[data-repeated]')?.remove());

// When the server is back, the preview and the code follow what was typed meanwhile.
let missed = false;
document.body.addEventListener('htmx:afterOnLoad', (event) => {
  if (!missed) return;
  missed = false;
  notices.querySelector('[data-missed]')?.remove();
  if (event.detail.elt.id !== 'live') document.getElementById('form').elements[0].dispatchEvent(new Event('input', {bubbles: true}));
});
for (const name of ['htmx:sendError', 'htmx:timeout']) {
  document.body.addEventListener(name, (event) => {
    const {requestConfig} = event.detail;
    const own = acts(requestConfig);
    if (!own && notices.childElementCount > 0) return;
    const notice = document.createElement('div');
    notice.className = 'notice bad';
    const typed = own && requestConfig.triggeringEvent.type === 'input';
    missed ||= typed;
    notice.toggleAttribute('data-repeated', !own);
    notice.toggleAttribute('data-missed', typed);
    notice.textContent = own && !typed
      ? 'The page cannot reach its server. Look whether something has changed, and try again.' : 'The page cannot reach its server. It tries again by itself.';
    notices.replaceChildren(notice);
  });
}
