#!/usr/bin/env bash
# Copies what internal/ui/static takes from npm, at the version and digest that package-lock.json pins. With --check it copies
# nothing, and a difference is an error.
set -euo pipefail
cd "$(dirname "$0")"
static=../../internal/ui/static
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json "$work"
npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null

take() {
  if [[ ${check:-} ]]; then
    cmp "$work/node_modules/$1" "$static/$2" || { echo "vendor.sh: internal/ui/static/$2 is not what npm serves: run make vendor-ui" >&2; exit 1; }
  else
    install -m 0644 "$work/node_modules/$1" "$static/$2"
  fi
}
[[ ${1:-} != --check ]] || check=yes
take htmx.org/dist/htmx.min.js htmx.min.js
take htmx.org/LICENSE htmx.LICENSE
