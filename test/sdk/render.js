// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Renders with the public SDK and prints the results as JSON. The SDK's host is fixed, so fetch sends the requests to the shim at
// PLATEN_URL.
import { createHash } from "node:crypto";
import orshot from "orshot";

const { PLATEN_URL, PLATEN_TOKEN } = process.env;
const { fetch } = globalThis;
globalThis.fetch = (url, options) => {
  const { pathname, search } = new URL(url);
  return fetch(new URL(pathname + search, PLATEN_URL), options);
};

const sdk = new orshot.Orshot(PLATEN_TOKEN);
const templateId = "card";
const modifications = { headline: "Hello from the SDK" };
const render = (responseType, responseFormat) => sdk.renderFromTemplate({ templateId, modifications, responseType, responseFormat });

const file = async (response) => {
  const data = Buffer.from(await response.arrayBuffer());
  return { status: response.status, type: response.headers.get("content-type"), bytes: data.length, sha256: createHash("sha256").update(data).digest("hex") };
};

const signed = await sdk.generateSignedUrl({
  templateId, modifications, renderType: "images", responseFormat: "png", expiresAt: Math.floor(Date.now() / 1000) + 3600,
});
console.log(JSON.stringify({
  base64: await render(),
  url: await render("url", "webp"),
  binary: await file(await render("binary", "png")),
  pdf: await file(await render("binary", "pdf")),
  signed,
  opened: await file(await fetch(signed.data)),
  refused: await new orshot.Orshot("made-up").renderFromTemplate({ templateId, modifications }).catch((error) => error.message),
}));
