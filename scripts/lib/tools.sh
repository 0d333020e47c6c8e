# shellcheck shell=bash
# Programs for checks that are not part of the platform. Sourced, never run.

TOOLS=$RUN/verify

use_tools() {
  mkdir -p "$TOOLS"
  PATH=$PATH:$TOOLS/debian/usr/bin
}

# debian_tool PROGRAM PACKAGE: from the PATH, else out of the unpacked package.
debian_tool() {
  have "$1" && return
  if [[ ! -x $TOOLS/debian/usr/bin/$1 ]] && have apt-get; then
    step "fetching the Debian package $2"
    (mkdir -p "$TOOLS/debian" && cd "$TOOLS" && apt-get download "$2" && dpkg -x "$2"_*.deb debian) \
      >>"$LOGS/verify-tools.log" 2>&1 || true
  fi
  have "$1"
}
