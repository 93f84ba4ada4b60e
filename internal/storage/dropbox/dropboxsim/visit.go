// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var (
	// accountPattern matches an account that the page offers, and its email.
	accountPattern = regexp.MustCompile(`name="account" value="([^"]+)" data-email="([^"]*)"`)
	// codePattern matches the code that the page shows.
	codePattern = regexp.MustCompile(`id="code"[^>]* value="([^"]+)"`)
	// refusalPattern matches why the page refuses a request.
	refusalPattern = regexp.MustCompile(`id="refusal">([^<]*)<`)
)

// Visit acts as a person on the consent page: it opens the page, chooses the account with the email and allows the app, or denies it if
// email is empty. It returns where the page redirects to, nil if nowhere, and the code that the page shows, if any.
func Visit(ctx context.Context, pageURL, email string) (redirect *url.URL, code string, err error) {
	page, _, err := visit(ctx, http.MethodGet, pageURL, nil)
	if err != nil {
		return nil, "", err
	}
	form := url.Values{"decision": {"cancel"}}
	for _, account := range accountPattern.FindAllStringSubmatch(page, -1) {
		if email != "" && html.UnescapeString(account[2]) == email {
			form = url.Values{"decision": {"allow"}, "account": {html.UnescapeString(account[1])}}
		}
	}
	if email != "" && form.Get("account") == "" {
		return nil, "", fmt.Errorf("the page offers no account %s", email)
	}
	page, redirect, err = visit(ctx, http.MethodPost, pageURL, form)
	if match := codePattern.FindStringSubmatch(page); match != nil {
		code = match[1]
	}
	return redirect, code, err
}

// visit makes one request of the page.
func visit(ctx context.Context, method, pageURL string, form url.Values) (page string, redirect *url.URL, err error) {
	req, err := http.NewRequestWithContext(ctx, method, pageURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRPC))
	if err != nil {
		return "", nil, err
	}
	if match := refusalPattern.FindSubmatch(body); match != nil {
		return "", nil, fmt.Errorf("the page refuses: %s", html.UnescapeString(string(match[1])))
	}
	redirect, err = resp.Location()
	if errors.Is(err, http.ErrNoLocation) {
		err = nil
	}
	return string(body), redirect, err
}
