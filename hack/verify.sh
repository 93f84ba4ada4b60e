#!/usr/bin/env bash
# Checks generated files, modules, files from npm, the architecture, manifests, licenses and vulnerabilities. It generates in a copy of the tree,
# so that a failed check changes nothing.
set -euo pipefail
root=$(git rev-parse --show-toplevel)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cd "$root"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy" 2>/dev/null || true

echo "==> generated files"
(
  cd "$copy"
  "$root/bin/controller-gen" object:headerFile=hack/boilerplate.go.txt paths=./api/...
  "$root/bin/controller-gen" crd paths=./api/... output:crd:dir=config/crd/bases
  "$root/bin/controller-gen" rbac:roleName=platen-manager paths=./controllers/... paths=./cmd/manager/... output:rbac:dir=config/rbac
  go run ./hack/chart config charts/platen
  "$root/bin/crd-ref-docs" --source-path=api --config=hack/tools/crd-ref-docs.yaml --renderer=markdown \
    --output-path=docs/reference/v1alpha1.md --log-level=ERROR
  go run ./hack/docs docs charts/platen/values.schema.json
  go run ./hack/layers docs/design/packages.md
)
for path in api config charts docs/reference docs/design docs/operations; do
  diff -ru "$path" "$copy/$path" || { echo "verify: $path is out of date: run make generate manifests docs" >&2; exit 1; }
done

echo "==> modules"
go mod tidy -diff
go mod verify >/dev/null
requirements() { sed -n '/^require/,/^)/s/^\t\([^ ]*\) \(v[^ ]*\).*/\1 \2/p' "$1" | sort; }
# With another version, Go would compile a package once more for the development cluster.
if join <(requirements go.mod) <(requirements hack/devcluster/components/go.mod) | awk '$2 != $3' | grep .; then
  echo "verify: these modules have another version in go.mod than in hack/devcluster/components/go.mod; change the latter" >&2
  exit 1
fi

echo "==> files from npm"
if ! command -v npm >/dev/null; then
  echo "notice: npm is not installed; not compared"
elif ! npm ping --loglevel=silent >/dev/null 2>&1; then
  echo "notice: the npm registry is out of reach; not compared"
else
  hack/ui/vendor.sh --check
fi

echo "==> architecture"
if go list -deps ./cmd/renderer | grep -E '^(k8s\.io/client-go|github.com/platen-dev/platen/internal/(storage|credentials))'; then
  echo "verify: cmd/renderer must not depend on these: render pods hold no API client and no credentials" >&2
  exit 1
fi
if go list -deps ./cmd/manager | grep -E 'platen/(test/|internal/(storage/dropbox/dropboxsim|render/browser|cli))|cli-runtime'; then
  echo "verify: cmd/manager must not depend on these" >&2
  exit 1
fi
if go list -deps ./cmd/shim | grep -E 'platen/(test/|internal/(render/browser|pool|storage/dropbox/dropboxsim))|kin-openapi'; then
  echo "verify: cmd/shim must not depend on these" >&2
  exit 1
fi

echo "==> manifests"
bin/kustomize build config/samples >/dev/null # test/manifests builds the others
go test -count=1 -run '^TestLinters$' ./test/manifests

echo "==> licenses"
for program in cmd/*/; do go run ./hack/licenses "./$program" >/dev/null; done

echo "==> vulnerabilities"
# govulncheck loads all packages before it asks for the database.
if ! curl -fsS -m 20 -o /dev/null "${GOVULNDB:-https://vuln.go.dev}/index/db.json" 2>/dev/null; then
  echo "notice: the vulnerability database is out of reach; not checked"
elif out=$(timeout 120 bin/govulncheck ./... 2>&1); then
  echo "none known"
elif grep -qE 'fetching vulnerabilities|no such host|dial tcp|403|forbidden' <<<"$out"; then
  echo "notice: the vulnerability database is out of reach; not checked"
else
  echo "$out" >&2
  exit 1
fi
