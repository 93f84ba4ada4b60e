// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Lints an OpenAPI document, the argument, as `redocly lint` does with the recommended rules. It prints a JSON list of the problems, also
// of warnings.
import {createConfig, lint} from '@redocly/openapi-core';

const config = await createConfig({extends: ['recommended']});
const problems = await lint({ref: process.argv[2], config});
console.log(JSON.stringify(problems.map(({ruleId, severity, message, location}) => (
  {rule: ruleId, severity, message, where: location[0]?.pointer}))));
