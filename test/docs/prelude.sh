# Copyright The Platen Authors.
# SPDX-License-Identifier: Apache-2.0
# bash reads this before each block of a page. It restores the variables that earlier blocks exported, and records where a command fails.
unset BASH_ENV
here=$PWD
[ ! -f "$STATE" ] || . "$STATE"
PWD=$here
set -eEuo pipefail
trap 'export -p >"$STATE"' EXIT
trap 'echo "$LINENO" >"$FAILED"' ERR
