// Runs the published client, as published, against the emulator. The exit code is the verdict.
import assert from "node:assert/strict";
import http from "node:http";
import { auth, calendar } from "@googleapis/calendar";

const { EMULATOR_GOOGLE, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET } = process.env;
const back = "http://127.0.0.1/callback";

const oauth = new auth.OAuth2({
  clientId: GOOGLE_CLIENT_ID,
  clientSecret: GOOGLE_CLIENT_SECRET,
  redirectUri: back,
  endpoints: {
    oauth2AuthBaseUrl: `${EMULATOR_GOOGLE}/o/oauth2/v2/auth`,
    oauth2TokenUrl: `${EMULATOR_GOOGLE}/token`,
    oauth2RevokeUrl: `${EMULATOR_GOOGLE}/revoke`,
    tokenInfoUrl: `${EMULATOR_GOOGLE}/tokeninfo`,
  },
});
const google = calendar({ version: "v3", auth: oauth, rootUrl: `${EMULATOR_GOOGLE}/` });
const calendarId = "primary";

const messages = [];
const receiver = http.createServer((request, response) => {
  messages.push(request.headers);
  response.writeHead(200).end();
});
await new Promise((listening) => receiver.listen(0, "127.0.0.1", listening));

const hour = (day, from) => ({
  start: { dateTime: `2026-11-${day}T${from}:00:00+01:00`, timeZone: "Europe/Paris" },
  end: { dateTime: `2026-11-${day}T${from}:30:00+01:00`, timeZone: "Europe/Paris" },
});

async function status(promise) {
  try {
    await promise;
    return 200;
  } catch (error) {
    return error.status ?? error.response?.status;
  }
}

async function sync(syncToken) {
  const items = [];
  let pageToken;
  for (;;) {
    const { data } = await google.events.list({ calendarId, maxResults: 3, syncToken, pageToken });
    items.push(...data.items);
    if (!data.nextPageToken) return { items, token: data.nextSyncToken };
    pageToken = data.nextPageToken;
  }
}

let token;
const steps = {
  async "consent with PKCE, refresh"() {
    const { codeVerifier, codeChallenge } = await oauth.generateCodeVerifierAsync();
    const url = oauth.generateAuthUrl({
      access_type: "offline", prompt: "consent", state: "s1", code_challenge: codeChallenge, code_challenge_method: "S256",
      scope: ["https://www.googleapis.com/auth/calendar.events", "https://www.googleapis.com/auth/calendar.calendarlist.readonly"],
    });
    const answer = await fetch(`${url}&auto_approve=true`, { redirect: "manual" });
    assert.equal(answer.status, 302);
    const query = new URL(answer.headers.get("location")).searchParams;
    assert.equal(query.get("state"), "s1");
    const { tokens } = await oauth.getToken({ code: query.get("code"), codeVerifier });
    assert.ok(tokens.refresh_token);
    oauth.setCredentials({ refresh_token: tokens.refresh_token });
    const { token: fresh } = await oauth.getAccessToken();
    assert.notEqual(fresh, tokens.access_token);
    const info = await oauth.getTokenInfo(fresh);
    assert.ok(info.scopes.includes("https://www.googleapis.com/auth/calendar.events"));
  },

  async "insert with id"() {
    for (let number = 0; number < 8; number += 1) {
      const { data } = await google.events.insert({
        calendarId, requestBody: { id: `client${number}`, summary: `Event ${number}`, ...hour("25", "09") },
      });
      assert.equal(data.id, `client${number}`);
      assert.equal(data.status, "confirmed");
    }
    const twice = google.events.insert({ calendarId, requestBody: { id: "client1", ...hour("25", "09") } });
    assert.equal(await status(twice), 409);
  },

  async "full sync in pages"() {
    const { items, token: last } = await sync();
    assert.equal(new Set(items.map((item) => item.id)).size, 8);
    token = last;
  },

  async "patch with If-Match"() {
    const { data } = await google.events.get({ calendarId, eventId: "client1" });
    const patch = (etag, summary) => google.events.patch(
      { calendarId, eventId: "client1", requestBody: { summary } }, { headers: { "If-Match": etag } },
    );
    const changed = await patch(data.etag, "Changed");
    assert.equal(changed.data.summary, "Changed");
    assert.equal(await status(patch(data.etag, "Again")), 412);
  },

  async "delta"() {
    await google.events.delete({ calendarId, eventId: "client2" });
    const { items, token: next } = await sync(token);
    assert.deepEqual(items.map((item) => item.id).sort(), ["client1", "client2"]);
    assert.equal(items.find((item) => item.id === "client2").status, "cancelled");
    assert.equal((await sync(next)).items.length, 0);
    assert.equal(await status(sync("nonsense")), 400);
  },

  async "instances and an exception"() {
    await google.events.insert({
      calendarId, requestBody: { id: "series1", summary: "Weekly", recurrence: ["RRULE:FREQ=WEEKLY;COUNT=3"], ...hour("26", "14") },
    });
    const before = await google.events.instances({ calendarId, eventId: "series1" });
    assert.equal(before.data.items.length, 3);
    const second = before.data.items[1];
    assert.match(second.id, /^series1_\d{8}T\d{6}Z$/);
    await google.events.patch({ calendarId, eventId: second.id, requestBody: { location: "Elsewhere" } });
    await google.events.delete({ calendarId, eventId: before.data.items[2].id });
    const after = await google.events.instances({ calendarId, eventId: "series1" });
    assert.deepEqual(after.data.items.map((item) => item.location), [undefined, "Elsewhere"]);
  },

  async "watch and stop"() {
    const address = `http://127.0.0.1:${receiver.address().port}/hook`;
    const { data } = await google.events.watch({ calendarId, requestBody: { id: "js-channel", type: "web_hook", address, token: "t" } });
    assert.equal(data.kind, "api#channel");
    assert.equal(messages[0]["x-goog-resource-state"], "sync");
    const arrived = new Promise((done) => receiver.once("request", done));
    await google.events.patch({ calendarId, eventId: "client3", requestBody: { summary: "Ring" } });
    await arrived;
    assert.equal(messages.at(-1)["x-goog-resource-state"], "exists");
    await google.channels.stop({ requestBody: { id: data.id, resourceId: data.resourceId } });
  },

  async "revoke"() {
    await oauth.revokeCredentials();
    oauth.setCredentials({ access_token: "ya29.gone" });
    assert.equal(await status(google.events.list({ calendarId })), 401);
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(`ok: ${name}`);
}
receiver.closeAllConnections();
receiver.close();
