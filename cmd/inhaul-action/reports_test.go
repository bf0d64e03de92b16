package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/action"
	"github.com/inhaul/inhaul/internal/github"
	"github.com/inhaul/inhaul/receipt"
)

func TestReportsAreWrittenAsTheReceiptSays(t *testing.T) {
	t.Parallel()
	var got []string
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if req.Method != http.MethodGet {
			got = append(got, req.Method+" "+req.URL.Path+" "+string(body))
		}
		w.WriteHeader(status)
		switch {
		case status != http.StatusOK:
			fmt.Fprint(w, `{"message":"Resource not accessible by integration"}`)
		case req.Method == http.MethodGet:
			fmt.Fprint(w, `{"total_count":0,"check_runs":[]}`)
		default:
			fmt.Fprint(w, `{"id":4711}`)
		}
	}))
	t.Cleanup(server.Close)
	client, err := github.NewToken(github.TokenConfig{BaseURL: server.URL, Token: "ghs_workflow"})
	if err != nil {
		t.Fatal(err)
	}
	r := reports{client, "https://github.com"}
	check := receipt.Check{
		Repository: "acme/shop", Commit: strings.Repeat("9f2c1ab0", 5), Name: "inhaul / production", ExternalID: "sha256:ab",
		Status: "completed", Conclusion: "failure", Title: "Failed", Summary: "why", Text: "log",
		Annotations: []receipt.Annotation{{Path: "inhaul.yaml", Line: 7, Level: "failure", Message: "here"}},
	}
	id, address, err := r.ShowCheck(t.Context(), 0, check)
	if err != nil || id != 4711 || address != "https://github.com/acme/shop/runs/4711" {
		t.Errorf("got %d, %q, %v", id, address, err)
	}
	for _, want := range []string{"POST /repos/acme/shop/check-runs ", `"head_sha":"9f2c1ab0`, `"conclusion":"failure"`, `"start_line":7`, `"external_id":"sha256:ab"`} {
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("got %q, want one request with %s", got, want)
		}
	}
	for _, status = range []int{http.StatusForbidden, http.StatusNotFound} {
		if _, _, err := r.ShowCheck(t.Context(), 4711, check); !errors.Is(err, action.ErrMayNotWrite) {
			t.Errorf("%d: got %v, want ErrMayNotWrite", status, err)
		}
		comment := receipt.Comment{Repository: "acme/shop", PullRequest: 7, Marker: "<!-- inhaul -->", Body: "<!-- inhaul --> live"}
		if _, err := r.ShowComment(t.Context(), 0, comment); !errors.Is(err, action.ErrMayNotWrite) {
			t.Errorf("%d: got %v, want ErrMayNotWrite", status, err)
		}
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	t.Parallel()
	refused := func(status int, message string) error {
		return fmt.Errorf("writing: %w", &github.APIError{Status: status, Message: message})
	}
	for _, c := range []struct {
		err, want error
	}{
		{refused(403, "Unable to create comment because issue is locked."), action.ErrReadOnly},
		{refused(403, "Repository was archived so is read-only."), action.ErrReadOnly},
		{refused(403, "Resource not accessible by integration"), action.ErrMayNotWrite},
		{refused(403, "Your account was blocked"), action.ErrMayNotWrite},
		{refused(404, "Not Found"), action.ErrMayNotWrite},
	} {
		got := forbidden(c.err)
		if !errors.Is(got, c.want) || errors.Is(got, action.ErrMayNotWrite) && errors.Is(got, action.ErrReadOnly) {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
	later, ok := errors.AsType[*action.LaterError](forbidden(&github.RateLimitedError{RetryAfter: time.Minute}))
	if !ok || later.After != time.Minute {
		t.Errorf("got %v, want a minute's wait", later)
	}
}
