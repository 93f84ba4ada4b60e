// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// document is the OpenAPI document of the first shim that the tests have started: all serve the same.
var document *openapi3.T

func readDocument(origin string) {
	GinkgoHelper()
	if document != nil {
		return
	}
	resp, err := http.Get(origin + "/openapi.json")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	document, err = openapi3.NewLoader().LoadFromIoReader(resp.Body)
	Expect(err).NotTo(HaveOccurred())
}

// expectDescribed expects that an answer is as the document says: a client that somebody has generated from it reads the answer.
func expectDescribed(method, address string, a answer) {
	GinkgoHelper()
	u, err := url.Parse(address)
	Expect(err).NotTo(HaveOccurred())
	route := described(method, u.Path)
	if route == nil {
		return // a route that only answers with an error
	}
	response := route.Responses.Status(a.status)
	if response == nil {
		Expect(a.status).To(BeNumerically(">=", 400), "%s %s: the document does not describe %d", method, u.Path, a.status)
		response = route.Responses.Default()
	}
	if a.status == http.StatusNotModified {
		Expect(response.Value.Content).To(BeEmpty())
		return
	}
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	Expect(err).NotTo(HaveOccurred())
	content := response.Value.Content.Get(kind)
	Expect(content).NotTo(BeNil(), "%s %s: the document does not describe %d with %s", method, u.Path, a.status, kind)
	if kind != "application/json" {
		return
	}
	var value any
	Expect(json.Unmarshal(a.body, &value)).To(Succeed())
	Expect(content.Schema.Value.VisitJSON(value)).To(Succeed(), "%s %s: %d is not as described: %s", method, u.Path, a.status, a.body)
}

// described returns the operation of a path, whose route has the fewest names in place of words; nil if the document has none.
func described(method, path string) (operation *openapi3.Operation) {
	given, fewest := strings.Split(path, "/"), 0
	for route, item := range document.Paths.Map() {
		words, names := strings.Split(route, "/"), 0
		if len(words) != len(given) || item.GetOperation(method) == nil {
			continue
		}
		fits := true
		for i, word := range words {
			if strings.HasPrefix(word, "{") {
				names++
			} else if word != given[i] {
				fits = false
			}
		}
		if fits && (operation == nil || names < fewest) {
			operation, fewest = item.GetOperation(method), names
		}
	}
	return operation
}
