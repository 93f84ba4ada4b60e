// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"net/http"

	"github.com/platen-dev/platen/internal/callers"
)

// MissingRoute is a route of the public API that Platen answers with 501.
type MissingRoute struct {
	// Pattern of the route, as of http.ServeMux.
	Pattern string
	// Reason says why, and what to use instead.
	Reason string
}

func (m MissingRoute) answer(http.ResponseWriter, *http.Request, caller) error {
	return callers.Errorf(http.StatusNotImplemented, "%s", m.Reason)
}

const (
	noBrandAssets = "Platen keeps no brand assets: put pictures at a URL that render pods reach, and fonts, colors and text in the template's HTML"
	noSocial      = "Platen publishes to no social networks: upload through a connection, and publish from there or from a webhook"
	noEditor      = "Platen's templates are HTML, not elements of an editor: apply a RenderTemplate with kubectl or from Git"
	noVersions    = "Platen keeps no versions of a template: keep the RenderTemplate in Git"
	noWorkflows   = "Platen runs no workflows: apply a RenderJob for each row in a loop, and let a CronJob render by the clock, with kubectl or this API"
	noSharing     = "templates are shared as their namespace is: give people a RoleBinding there"
	noFolders     = "templates have no folders: use namespaces, and labels of the RenderTemplates"
	noModels      = "no model is connected to Platen: make text, pictures and layouts before the render, and send them as modifications"
)

// Missing are the routes of the public API that make no sense in a cluster.
var Missing = []MissingRoute{
	{"/v1/brand-assets", noBrandAssets},
	{"/v1/brand-assets/", noBrandAssets},
	{"/v1/social", noSocial},
	{"/v1/social/", noSocial},
	{"/v1/workflows", noWorkflows},
	{"/v1/workflows/", noWorkflows},
	{"/v1/studio/folders", noFolders},
	{"/v1/studio/folders/", noFolders},
	{"PATCH /v1/studio/templates/{id}/folder", noFolders},
	{"GET /v1/studio/templates/{id}/share", noSharing},
	{"POST /v1/studio/templates/{id}/share", noSharing},
	{"POST /v1/studio/templates/create", noEditor},
	{"POST /v1/studio/templates/bulk-create", noEditor},
	{"PATCH /v1/studio/templates/{id}/update-modifications", noEditor},
	{"POST /v1/studio/templates/{id}/generate-variants", noModels},
	{"/v1/studio/templates/{id}/versions", noVersions},
	{"/v1/studio/templates/{id}/versions/", noVersions},
}
