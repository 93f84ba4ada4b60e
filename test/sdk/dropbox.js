// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Calls Dropbox's API with Dropbox's own SDK and prints the answers as JSON. The SDK's hosts are fixed, so fetch sends the requests to the
// simulator at SIMULATOR_URL.
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node.js 18 of Debian does not set it, and the SDK reads it when it is loaded
const { Dropbox, DropboxAuth } = await import("dropbox");

const { SIMULATOR_URL, APP_KEY } = process.env;
const redirect = "https://app.example.com/callback";
const toSimulator = (url, options) => {
  const { pathname, search } = new URL(url);
  return globalThis.fetch(new URL(pathname + search, SIMULATOR_URL), options);
};

// OAuth with PKCE, with a consent like a person's.
const auth = new DropboxAuth({ clientId: APP_KEY, fetch: toSimulator });
const scopes = ["account_info.read", "files.content.write", "files.content.read", "files.metadata.read"];
const page = await auth.getAuthenticationUrl(redirect, "state-1", "code", "offline", scopes, "none", true);
const html = await (await toSimulator(page)).text();
const account = /name="account" value="([^"]+)"[^>]*checked/.exec(html)[1];
const redirected = await toSimulator(page, { method: "POST", redirect: "manual", body: new URLSearchParams({ account, decision: "allow" }) });
const answer = new URL(redirected.headers.get("location"));
const grant = await auth.getAccessTokenFromCode(redirect, answer.searchParams.get("code"));
const replayed = await auth.getAccessTokenFromCode(redirect, answer.searchParams.get("code")).catch((error) => error.status);
auth.setAccessToken(grant.result.access_token);
auth.setRefreshToken(grant.result.refresh_token);
const before = auth.getAccessToken();
await auth.refreshAccessToken();
const dropbox = new Dropbox({ auth, fetch: toSimulator });

const outcome = (promise) => promise.then(({ result }) => result, (error) => ({ status: error.status, error: error.error }));
const contents = (...texts) => Buffer.from(texts.join(""));

const { session_ids: ids } = (await dropbox.filesUploadSessionStartBatch({ num_sessions: 2 })).result;
const appended = await outcome(dropbox.filesUploadSessionAppendBatch({
  entries: ids.map((session_id) => ({ cursor: { session_id, offset: 0 }, length: 5, close: true })),
  contents: contents("first", "other"),
}));
const finished = await outcome(dropbox.filesUploadSessionFinishBatchV2({
  entries: ids.map((session_id, n) => ({ cursor: { session_id, offset: 5 }, commit: { path: `/batch/${n}.txt` } })),
}));
const { session_id } = (await dropbox.filesUploadSessionStart({ close: false, contents: contents("one ") })).result;
await dropbox.filesUploadSessionAppendV2({ cursor: { session_id, offset: 4 }, close: false, contents: contents("two ") });
const session = await outcome(dropbox.filesUploadSessionFinish({
  cursor: { session_id, offset: 8 }, commit: { path: "/session.txt" }, contents: contents("three"),
}));

console.log(JSON.stringify({
  state: answer.searchParams.get("state"), grant: { ...grant.result, access_token: "…", refresh_token: Boolean(grant.result.refresh_token) },
  replayed, refreshed: auth.getAccessToken() !== before,
  account: await outcome(dropbox.usersGetCurrentAccount()),
  space: await outcome(dropbox.usersGetSpaceUsage()),
  check: await outcome(dropbox.checkUser({ query: "ping" })),
  upload: await outcome(dropbox.filesUpload({ path: "/Grüße 🎉.txt", contents: "hello" })),
  conflict: await outcome(dropbox.filesUpload({ path: "/grüße 🎉.TXT", contents: "other" })),
  renamed: await outcome(dropbox.filesUpload({ path: "/Grüße 🎉.txt", contents: "other", autorename: true })),
  download: await dropbox.filesDownload({ path: "/Grüße 🎉.txt" }).then(({ result }) => result.fileBinary.toString()),
  appended, finished, session,
  lostOffset: await outcome(dropbox.filesUploadSessionAppendV2({ cursor: { session_id: (await dropbox.filesUploadSessionStart({ contents: "abc" })).result.session_id, offset: 1 }, contents: "x" })),
  folder: await outcome(dropbox.filesCreateFolderV2({ path: "/Folder" })),
  again: await outcome(dropbox.filesCreateFolderV2({ path: "/folder" })),
  listed: (await outcome(dropbox.filesListFolder({ path: "" }))).entries.map((entry) => `${entry[".tag"]} ${entry.path_display}`),
  missing: await outcome(dropbox.filesGetMetadata({ path: "/none" })),
  malformed: await outcome(dropbox.filesGetMetadata({ path: "none" })),
  forbidden: await outcome(dropbox.filesUpload({ path: "/desktop.ini", contents: "x" })),
  unauthorized: await outcome(new Dropbox({ accessToken: "made-up", fetch: toSimulator }).usersGetCurrentAccount()),
}));
