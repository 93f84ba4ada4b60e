// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Renders a page to PNG with takumi-js for a while, several at a time, and prints how many a second: node bench.mjs MILLISECONDS PARALLEL
// WIDTH HEIGHT <PAGE
import { readFileSync } from 'node:fs';
import { render } from 'takumi-js';

const [milliseconds, parallel, width, height] = process.argv.slice(2).map(Number);
const page = readFileSync(0, 'utf8');
const one = () => render(page, { width, height, format: 'png' });
await one(); // it warms the engine up
const began = performance.now();
let count = 0;
await Promise.all(Array.from({ length: parallel }, async () => {
  while (performance.now() - began < milliseconds) {
    await one();
    count++;
  }
}));
console.log(count / ((performance.now() - began) / 1000));
