# Copyright The Platen Authors.
# SPDX-License-Identifier: Apache-2.0
# bash reads this before a block that is not run. Commands do nothing, but make, go and kubectl platen check their arguments.
unset BASH_ENV
PATH=/nowhere
set -euo pipefail
trap 'echo "$LINENO" >"$FAILED"' ERR
# drain reads what a pipe has, so that the command before it can write.
drain() { [ ! -p /dev/stdin ] || while read -r; do :; done; }
command_not_found_handle() { drain; }
cd() { :; }
kill() { :; }
exec() { :; }
make() {
  local word
  for word; do
    case $word in
    -* | *=*) ;;
    *) [[ $TARGETS == *" $word "* ]] || { echo "the Makefile has no target $word"; return 1; } ;;
    esac
  done
}
go() {
  local word
  for word; do
    word=${word/#github.com\/platen-dev\/platen/.}
    case ${word%@*} in
    ./*...) ;;
    ./*) [ -d "${word%@*}" ] || { echo "there is no folder ${word%@*}"; return 1; } ;;
    esac
  done
}
kubectl() {
  local help
  [ "${1-}" = platen ] || { drain; return; }
  help=$("$PLUGIN" "${@:2}" --help) || return
  case ${2--} in
  -*) ;;
  *) [[ $help != *"[command]"* ]] || { echo "kubectl platen has no command ${*:2}"; return 1; } ;;
  esac
}
kubectl-platen() { kubectl platen "$@"; }
