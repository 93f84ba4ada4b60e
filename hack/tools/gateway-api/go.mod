// The CRDs of the Gateway API, with which a test checks the examples in docs. No Go code imports the module.
module github.com/platen-dev/platen/hack/tools/gateway-api

go 1.26.0

require sigs.k8s.io/gateway-api v1.5.1
