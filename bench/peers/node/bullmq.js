// BullMQ: one worker process, concurrency 100, jobs removed when done, Redis with AOF every second (its
// documented setting for durability; up to a second of jobs is lost when the machine fails).

import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

import { counter, report } from "./rate.js";

const BULK = 1000;

const connect = () => new Redis(process.env.PEER_REDIS_URL, { maxRetriesPerRequest: null });
const admin = connect();
await admin.config("SET", "appendonly", "yes");
await admin.config("SET", "appendfsync", "everysec");
// The test server is a small cache by default; a queue must not be evicted.
await admin.config("SET", "maxmemory", "0");
await admin.config("SET", "maxmemory-policy", "noeviction");

const name = process.env.PEER_NAME;
const { jobs, job, done } = counter();
const queue = new Queue(name, { connection: connect() });
const filling = performance.now();
for (let left = jobs; left > 0; left -= BULK) {
  const bulk = Array.from({ length: Math.min(left, BULK) }, () => ({
    name: "effect",
    data: {},
    opts: { removeOnComplete: true },
  }));
  await queue.addBulk(bulk);
}
const filled = (performance.now() - filling) / 1000;
const worker = new Worker(name, async () => job(), { connection: connect(), concurrency: 100 });
report(await done, filled);
await worker.close();
await queue.obliterate({ force: true });
await admin.config("SET", "appendonly", "no");
process.exit(0);
