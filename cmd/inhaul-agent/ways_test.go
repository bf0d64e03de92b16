package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/internal/github"
)

func TestWhatGitHubWillNeverShowIsFinal(t *testing.T) {
	t.Parallel()
	refused := func(status int, path string) error {
		return fmt.Errorf("writing: %w", &github.APIError{Status: status, Path: path})
	}
	forbidden := func(message, path string) error {
		return fmt.Errorf("writing: %w", &github.APIError{Status: 403, Path: path, Message: message})
	}
	notPermitted := fmt.Errorf("%w: %w", github.ErrNotPermitted, refused(403, "/repos/acme/shop/deployments"))
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                        {final(nil, "/check-runs"), false},
		"a commit that is gone":          {final(refused(422, "/repos/acme/shop/check-runs"), "/check-runs"), true},
		"an App that is not installed":   {final(refused(404, "/repos/acme/shop/installation"), "/check-runs"), false},
		"a server that fails":            {final(refused(502, "/repos/acme/shop/deployments"), "/deployments"), false},
		"a deployment that was deleted":  {final(refused(404, "/repos/acme/shop/deployments/7/statuses"), "/deployments"), true},
		"a check that is not permitted":  {final(notPermitted, "/check-runs"), false},
		"a deployment that is not":       {final(notPermitted, "/deployments"), false},
		"a pull request that is no more": {final(refused(410, "/repos/acme/shop/issues/7/comments"), "/issues/"), true},
		"a pull request that is locked":  {final(forbidden("Unable to create comment because issue is locked.", "/repos/acme/shop/issues/7/comments"), "/issues/"), true},
		"a repository that is archived":  {final(forbidden("Repository was archived so is read-only.", "/repos/acme/shop/check-runs"), "/check-runs"), true},
		"an account that is suspended":   {final(forbidden("Sorry. Your account was suspended.", "/repos/acme/shop/issues/7/comments"), "/issues/"), false},
	} {
		if got := errors.Is(test.err, agent.ErrNoCommit); got != test.want {
			t.Errorf("%s: got %v, final %t, want %t", name, test.err, got, test.want)
		}
	}
	if err := final(notPermitted, "/deployments"); !errors.Is(err, agent.ErrNotPermitted) {
		t.Errorf("got %v, want it told apart that a right is missing", err)
	}
}

// TestATokenThatIsRenewedIsUsed is about a file that something else writes anew.
func TestATokenThatIsRenewedIsUsed(t *testing.T) {
	t.Parallel()
	var tokens []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `{"statuses": []}`)
			return
		}
		tokens = append(tokens, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id": 1}`)
	}))
	defer server.Close()
	file := secret(t, "one\n")
	s := token{&tokenClient{file: file, config: github.TokenConfig{BaseURL: server.URL, Pace: github.Pace{WriteSpacing: -1}}}}
	show := func() {
		t.Helper()
		err := s.ShowStatus(t.Context(), agent.CommitStatus{Repository: "acme/shop", Commit: "c", Context: "inhaul / production", State: "pending"})
		if err != nil {
			t.Fatal(err)
		}
	}
	show()
	first := s.latest
	show()
	if s.latest != first {
		t.Error("got another client for the same token: what GitHub asked to wait for is forgotten")
	}
	if err := os.WriteFile(file, []byte("two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	show()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	show()
	if want := []string{"Bearer one", "Bearer one", "Bearer two", "Bearer two"}; !slices.Equal(tokens, want) {
		t.Errorf("got tokens %q, want %q", tokens, want)
	}
}

// TestADeploymentThatWasDeletedIsMadeAnew is about an id on record that GitHub does not
// have any more.
func TestADeploymentThatWasDeletedIsMadeAnew(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasPrefix(r.URL.Path, "/repos/acme/shop/deployments/7/"):
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message": "Not Found"}`)
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `[]`)
		default:
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id": 8}`)
		}
	}))
	defer server.Close()
	client, err := github.NewToken(github.TokenConfig{BaseURL: server.URL, Token: "x", Pace: github.Pace{WriteSpacing: -1}})
	if err != nil {
		t.Fatal(err)
	}
	d := agent.Deployment{
		ID: 7, Repository: "acme/shop", Commit: strings.Repeat("9f2c1ab0", 5), Environment: "production", Intent: "sha256:ab", State: agent.DeploymentInactive,
	}
	if _, err := (app{client}).ShowDeployment(t.Context(), d); !errors.Is(err, agent.ErrNoCommit) {
		t.Errorf("got %v for one that is over, want it given up: made anew it would be the newest", err)
	}
	d.State = agent.DeploymentSuccess
	id, err := app{client}.ShowDeployment(t.Context(), d)
	if err != nil || id != 8 || !slices.Contains(asked, "POST /repos/acme/shop/deployments/8/statuses") {
		t.Errorf("got %d, %v after %q; want it made anew as 8, with its status", id, err, asked)
	}
}
