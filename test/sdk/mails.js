// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Prints mails as JSON, by the tool that makes them from what their authors write: MJML, React Email, and Foundation for Emails.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Body, Button, Column, Container, Head, Heading, Hr, Html, Preview, Row, Section, Text } from "@react-email/components";
import { render } from "@react-email/render";
import inky from "inky";
import mjml from "mjml";
import { createElement as h } from "react";

const lines = [["Reading lamp, brass", "1", "49.00 €"], ["Cable, textile, 3 m", "2", "9.00 €"]];

const react = h(Html, { lang: "en" }, h(Head), h(Preview, null, "Your order is on its way"),
  h(Body, { style: { backgroundColor: "#f6f9fc", fontFamily: "Helvetica, Arial, sans-serif" } },
    h(Container, { style: { backgroundColor: "#ffffff", padding: "24px", width: "520px" } },
      h(Heading, { as: "h1", style: { fontSize: "28px" } }, "Thank you, Ada"),
      h(Text, null, "Your order is on its way."),
      ...lines.map(([name, count, price]) => h(Row, { key: name }, h(Column, null, name), h(Column, { align: "right" }, count), h(Column, { align: "right", style: { width: "90px" } }, price))),
      h(Hr),
      h(Section, { style: { textAlign: "center" } }, h(Button, { href: "https://example.com/track", style: { backgroundColor: "#1d3557", color: "#ffffff", padding: "12px 24px" } }, "Track it")))));

const markup = `<mjml><mj-head><mj-preview>Your order is on its way</mj-preview><mj-attributes><mj-all font-family="Helvetica, Arial, sans-serif" /></mj-attributes></mj-head>
  <mj-body background-color="#f6f9fc" width="520px"><mj-section background-color="#ffffff"><mj-column>
  <mj-text font-size="28px">Thank you, Ada</mj-text><mj-text>Your order is on its way.</mj-text>
  <mj-table>${lines.map(([name, count, price]) => `<tr><td>${name}</td><td align="right">${count}</td><td align="right">${price}</td></tr>`).join("")}</mj-table>
  <mj-divider border-width="1px" /><mj-button background-color="#1d3557" href="https://example.com/track">Track it</mj-button></mj-column></mj-section></mj-body></mjml>`;

const css = readFileSync(createRequire(import.meta.url).resolve("foundation-emails/dist/foundation-emails.css"), "utf8");
const foundation = new inky.Inky({}).releaseTheKraken(`<!doctype html><html lang="en"><head><meta charset="utf-8"><style>${css}</style></head><body><table class="body"><tr><td class="center" align="center" valign="top"><center>
  <container><row><columns><h1>Thank you, Ada</h1><p>Your order is on its way.</p></columns></row>
  ${lines.map(([name, count, price]) => `<row><columns small="6" large="6">${name}</columns><columns small="2" large="2">${count}</columns><columns small="4" large="4">${price}</columns></row>`).join("")}
  <row><columns><spacer size="16"></spacer><button class="expand" href="https://example.com/track">Track it</button></columns></row></container></center></td></tr></table></body></html>`);

console.log(JSON.stringify({
  "MJML": (await mjml(markup)).html,
  "React Email": await render(react),
  "Foundation for Emails": foundation,
}));
