// Runs the published client, as published, against the emulator. The exit code is the verdict.
//
// The client follows links and sends bearer tokens over https only, so a proxy in this process speaks
// https for the emulator (NODE_EXTRA_CA_CERTS makes its certificate good).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import graph from "@microsoft/microsoft-graph-client";

const { BatchRequestContent, BatchResponseContent, Client, OneDriveLargeFileUploadTask, PageIterator } = graph;
const { EMULATOR_GRAPH, EMULATOR_CONTROL, EMULATOR_TOKEN, PROXY_KEY, PROXY_CERT } = process.env;

const proxy = https.createServer({ key: readFileSync(PROXY_KEY), cert: readFileSync(PROXY_CERT) }, (from, to) => {
  const target = new URL(from.url, EMULATOR_GRAPH);
  const headers = { ...from.headers, "x-forwarded-proto": "https" };
  const request = http.request(target, { method: from.method, headers }, (answer) => {
    to.writeHead(answer.statusCode, answer.headers);
    answer.pipe(to);
  });
  request.on("error", () => to.destroy());
  from.pipe(request);
});
await new Promise((listening) => proxy.listen(0, "127.0.0.1", listening));
const base = `https://127.0.0.1:${proxy.address().port}`;

const client = Client.init({
  baseUrl: base,
  customHosts: new Set(["127.0.0.1"]),
  authProvider: (done) => done(null, EMULATOR_TOKEN),
});

async function control(path, body) {
  const answer = await fetch(`${EMULATOR_CONTROL}${path}`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
}

async function all(first) {
  const found = [];
  const pages = new PageIterator(client, first, (item) => {
    found.push(item);
    return true;
  });
  await pages.iterate();
  return { found, deltaLink: pages.getDeltaLink() };
}

const steps = {
  async "children, in pages"() {
    const folder = await client.api("/drives/d/root/children").post({ name: "pages", folder: {} });
    for (let number = 0; number < 12; number += 1) {
      await client.api(`/drives/d/items/${folder.id}:/file ${number} #%.txt:/content`.replace("#%", "%23%25")).put("x");
    }
    const first = await client.api(`/drives/d/items/${folder.id}/children`).top(5).select("id,name").get();
    assert.equal(first.value.length, 5);
    const { found } = await all(first);
    assert.equal(new Set(found.map((item) => item.id)).size, 12);
    assert.ok(found.some((item) => item.name === "file 11 #%.txt"));
  },

  async "delta, in every spelling of its links"() {
    const first = await client.api("/drives/d/root/delta").top(20).get();
    const full = await all(first);
    assert.ok(full.found.length > 300);
    let link = full.deltaLink;
    for (let round = 0; round < 8; round += 1) {
      await control("/drives/d/mutate", { seed: round, count: 30 });
      const next = await all(await client.api(link).get());
      assert.ok(next.found.length > 0);
      assert.notEqual(next.deltaLink, link);
      link = next.deltaLink;
    }
  },

  async "an upload session"() {
    const content = new Uint8Array(800 * 1024).map((_, at) => at % 251);
    const task = await OneDriveLargeFileUploadTask.create(client, content, {
      fileName: "large.bin", uploadSessionURL: "/drives/d/root:/large.bin:/createUploadSession", rangeSize: 320 * 1024,
    });
    const { responseBody } = await task.upload();
    assert.equal(responseBody.size, content.length);
    const stream = await client.api("/drives/d/root:/large.bin:/content").getStream();
    const pieces = [];
    for await (const piece of stream) {
      pieces.push(piece);
    }
    assert.deepEqual(new Uint8Array(Buffer.concat(pieces)), content);
  },

  async "a batch"() {
    const batch = new BatchRequestContent([
      { id: "1", request: new Request(`${base}/drives/d/root`, { method: "GET" }) },
      { id: "2", dependsOn: ["1"], request: new Request(`${base}/drives/d/items/none`, { method: "GET" }) },
    ]);
    const answer = await client.api("/$batch").post(await batch.getContent());
    const content = new BatchResponseContent(answer);
    assert.equal(content.getResponseById("1").status, 200);
    assert.equal(content.getResponseById("2").status, 404);
    assert.ok((await content.getResponseById("1").json()).root);
  },

  async "a retry after 429"() {
    for (const retry_after of ["1", new Date(Date.now() + 2000).toUTCString()]) {
      await control("/faults", { path: "/drives/d/root$", times: 1, fault: { kind: "status", status: 429, retry_after } });
      const root = await client.api("/drives/d/root").get();
      assert.ok(root.root);
    }
  },

  async "errors as the client knows them"() {
    await assert.rejects(client.api("/drives/d/items/none").get(), (error) => {
      assert.equal(error.statusCode, 404);
      assert.equal(error.code, "itemNotFound");
      assert.ok(error.requestId);
      return true;
    });
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(`ok: ${name}`);
}
proxy.closeAllConnections();
proxy.close();
