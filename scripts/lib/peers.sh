# shellcheck shell=bash
# The programs beside which `make bench` puts the job layer: limits of our own, and published peers, which are
# installed on demand from their registries into folders below .run and target. Sourced, never run.

# Builds the limits; sets BENCH_BARE.
# shellcheck disable=SC2034  # the caller exports it
build_bare() {
  cargo_offline build --locked --release --manifest-path "$ROOT/bench/bare/Cargo.toml" --target-dir "$TARGET/bare" ||
    die "the limits cannot be built"
  BENCH_BARE=$TARGET/bare/release/bare
}

# True when the peers are to be measured: without a name everything is.
wants_peers() {
  local name
  (($#)) || return 0
  for name in "$@"; do
    [[ $name != peers ]] || return 0
  done
  return 1
}

# Installs what can be had; sets BENCH_PEERS to the folder with one file per peer: its command, one word per
# line, or why it is missing ("missing: ..."), which the table then shows. A peer is never left out in silence.
install_peers() {
  BENCH_PEERS=$RUN/peers
  rm -rf "$BENCH_PEERS"
  mkdir -p "$BENCH_PEERS"
  install_python_peers
  install_node_peers
  install_rust_peers
}

peer_command() {
  local name=$1
  shift
  printf '%s\n' "$@" >"$BENCH_PEERS/$name"
}

# peer_missing REASON NAME...
peer_missing() {
  local reason=$1 name
  shift
  for name in "$@"; do
    say "peer $name: $reason"
    printf 'missing: %s\n' "$reason" >"$BENCH_PEERS/$name"
  done
}

install_python_peers() {
  local venv=$RUN/peers-python wanted=$ROOT/bench/peers/python
  local log=$LOGS/peers-python.log
  if ! have python3; then
    peer_missing "python3 is not installed: apt-get install python3 python3-venv" celery dramatiq
    return
  fi
  if ! cmp -s "$wanted/requirements.txt" "$venv/installed"; then
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >"$log" 2>&1; then
      peer_missing "python3 cannot make an environment: apt-get install python3-venv" celery dramatiq
      return
    fi
    if ! "$venv/bin/pip" install -q --no-input --require-hashes -r "$wanted/requirements.txt" >>"$log" 2>&1; then
      peer_missing "pip install failed, see $log" celery dramatiq
      return
    fi
    cp "$wanted/requirements.txt" "$venv/installed"
  fi
  peer_command celery "$venv/bin/python" "$wanted/celery_peer.py"
  peer_command dramatiq "$venv/bin/python" "$wanted/dramatiq_peer.py"
}

install_node_peers() {
  local folder=$RUN/peers-node wanted=$ROOT/bench/peers/node
  local log=$LOGS/peers-node.log
  if ! have node || ! have npm; then
    peer_missing "node and npm are not installed: apt-get install nodejs npm (18 or later)" bullmq graphile-worker
    return
  fi
  # A copy, so that node_modules is not in the checkout's own folders.
  mkdir -p "$folder"
  cp "$wanted"/*.js "$wanted"/package.json "$wanted"/package-lock.json "$folder/"
  if ! cmp -s "$wanted/package-lock.json" "$folder/installed"; then
    rm -f "$folder/installed"
    # not `npm ci`: it insists on the prebuilt binaries of every platform being in the lock file
    if ! (cd "$folder" && npm install --omit=optional --no-audit --no-fund --ignore-scripts >"$log" 2>&1); then
      peer_missing "npm install failed, see $log" bullmq graphile-worker
      return
    fi
    cp "$wanted/package-lock.json" "$folder/installed"
  fi
  peer_command bullmq node "$folder/bullmq.js"
  peer_command graphile-worker node "$folder/graphile.js"
}

install_rust_peers() {
  local log=$LOGS/peers-apalis.log
  # not offline: its crates are no dependencies of ours
  if ! (cd "$ROOT/bench/peers/apalis" && cargo build --locked --release --target-dir "$TARGET/apalis" >"$log" 2>&1); then
    peer_missing "cargo build failed, see $log" apalis-postgres
    return
  fi
  peer_command apalis-postgres "$TARGET/apalis/release/apalis-peer"
}
