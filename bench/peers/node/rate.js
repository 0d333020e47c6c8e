// Counts jobs and prints the peer's line. The time runs from its first job to its last, so that neither its
// start nor its last commit counts against it.

const jobs = Number(process.env.PEER_JOBS);

/** Call `job` once per job; `done` resolves at the last one. */
export function counter() {
  let seen = 0;
  let first = 0;
  let finish;
  const done = new Promise((resolve) => {
    finish = resolve;
  });
  const job = () => {
    seen += 1;
    if (seen === 1) first = performance.now();
    if (seen === jobs) finish((performance.now() - first) / 1000);
  };
  return { jobs, job, done };
}

/** Prints the result. */
export function report(seconds, enqueueSeconds) {
  const rate = (count, time) => Math.round(count / time);
  console.log(JSON.stringify({ drain: rate(jobs - 1, seconds), enqueue: rate(jobs, enqueueSeconds) }));
}
