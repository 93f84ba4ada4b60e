# Copyright The Platen Authors.
# SPDX-License-Identifier: Apache-2.0
# Read by bash before each block of a page: the variables that earlier blocks exported, and what happens when a command fails.
unset BASH_ENV
here=$PWD
[ ! -f "$STATE" ] || . "$STATE"
PWD=$here
set -eEuo pipefail
trap 'export -p >"$STATE"' EXIT
trap 'echo "$LINENO" >"$FAILED"' ERR
