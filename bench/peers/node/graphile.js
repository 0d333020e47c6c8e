// graphile-worker, tuned as its documentation on performance says: local queue, completions in batches, and not a
// line of log per job.

import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

import { counter, report } from "./rate.js";

const { jobs, job, done } = counter();
const logger = new Logger(() => () => {});
const pool = new pg.Pool({ connectionString: process.env.PEER_DATABASE_URL, max: 16 });
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
const filling = performance.now();
await pool.query(
  `SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
     SELECT json_populate_record(NULL::graphile_worker.job_spec, '{"identifier":"effect","payload":{}}')
     FROM generate_series(1, $1)))`,
  [jobs],
);
const filled = (performance.now() - filling) / 1000;
const runner = await run({
  pgPool: pool,
  logger,
  taskList: { effect: () => job() },
  noHandleSignals: true,
  preset: {
    worker: {
      concurrentJobs: 24,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
});
report(await done, filled);
await runner.stop();
await utils.release();
await pool.end();
process.exit(0);
