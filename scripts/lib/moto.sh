# shellcheck shell=bash
# moto from PyPI: an S3 server that nobody here wrote, for the tests of archives. Sourced, never run.

# Exports TEST_MOTO_SERVER, the program, when it can be had; says why not otherwise.
install_moto() {
  local venv=$RUN/moto wanted=$ROOT/crates/testkit/moto/requirements.txt
  local log=$LOGS/moto.log
  if ! cmp -s "$wanted" "$venv/installed"; then
    rm -rf "$venv"
    if ! have python3 || ! python3 -m venv "$venv" >"$log" 2>&1; then
      say "the tests against moto are skipped: no python3 with venv (apt-get install python3-venv)"
      return 0
    fi
    step "installing moto"
    if ! "$venv/bin/pip" install -q --no-input --require-hashes --only-binary :all: -r "$wanted" >>"$log" 2>&1; then
      say "the tests against moto are skipped: pip install failed, see $log"
      return 0
    fi
    cp "$wanted" "$venv/installed"
  fi
  export TEST_MOTO_SERVER=$venv/bin/moto_server
}
