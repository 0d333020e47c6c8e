# shellcheck shell=bash
# Everything that the commands share. Sourced, never run.
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/common.sh"
source "$here/process.sh"
source "$here/ports.sh"
source "$here/backends.sh"
source "$here/environment.sh"
source "$here/services.sh"
