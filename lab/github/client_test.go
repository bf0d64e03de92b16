package github

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	product "github.com/inhaul/inhaul/internal/github"
)

func TestTheProductsClientKeepsToTheContract(t *testing.T) {
	t.Parallel()
	st := start(t)
	st.run(`{"sha":"` + testSHA + `"}`)
	first := st.app()

	id, err := first.UpsertCheckRun(t.Context(), running())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*product.Client{"the same client": first, "a new one, with a token of the other form": st.app()} {
		again, err := c.UpsertCheckRun(t.Context(), completed())
		if err != nil || again != id {
			t.Errorf("%s: got %d, %v, want an update of %d", name, again, err, id)
		}
	}
	st.restart()
	found, ok, err := first.FindCheckRun(t.Context(), "acme/storefront", testSHA, "inhaul / production", "sha256:aa")
	if err != nil || !ok || found.ID != id || found.Conclusion != "failure" || found.Text != completed().Text || found.CompletedAt.IsZero() {
		t.Errorf("after a restart: got %+v, %v, %v, want the completed check run %d", found, ok, err, id)
	}
	if got := st.requests("POST"); got != 0 {
		t.Errorf("got %d POST requests after the restart, want 0: tokens are kept", got)
	}
	reopened := running()
	reopened.ID = id
	if _, err := first.UpsertCheckRun(t.Context(), reopened); err != nil {
		t.Error(err)
	}
	if found, _, err := first.FindCheckRun(t.Context(), "acme/storefront", testSHA, "inhaul / production", "sha256:aa"); err != nil || found.Conclusion != "" {
		t.Errorf("got %+v, %v, want a check run that is open again", found, err)
	}
	st.noViolations()
}

func TestTheAppKeyIsPrivate(t *testing.T) {
	t.Parallel()
	st := start(t)
	if err := os.Remove(filepath.Join(st.dir, "app.pem")); err != nil {
		t.Fatal(err)
	}
	st.restart() // makes its own
	for _, name := range []string{"app.pem", "state.json"} {
		st.server.saver.changed()
		if err := st.server.saver.save(); err != nil {
			t.Fatal(err)
		}
		stat, err := os.Stat(filepath.Join(st.dir, name))
		if err != nil || stat.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, want mode 0600", name, stat, err)
		}
	}
}

func TestPollingIsFreeUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	st := start(t)
	env := st.run(`{"sha":"` + testSHA + `"}`)
	c, err := product.NewToken(product.TokenConfig{BaseURL: env["GITHUB_API_URL"], Token: env["GITHUB_TOKEN"], Pace: quick()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.app().UpsertCheckRun(t.Context(), running()); err != nil {
		t.Fatal(err)
	}
	poll := func() product.CheckRun {
		found, ok, err := c.FindCheckRun(t.Context(), "acme/storefront", testSHA, "inhaul / production", "sha256:aa")
		if err != nil || !ok {
			t.Fatalf("got %v, %v, want the check run", ok, err)
		}
		return found
	}
	for range 5 {
		poll()
	}
	var limit struct{ Rate struct{ Used, Limit int } }
	st.labAs(env["GITHUB_TOKEN"], "/rate_limit", &limit)
	if limit.Rate.Used != 1 || limit.Rate.Limit != workflowLimit {
		t.Errorf("got %+v used for five polls, want 1 of %d", limit.Rate, workflowLimit)
	}
	if _, err := st.app().UpsertCheckRun(t.Context(), completed()); err != nil {
		t.Fatal(err)
	}
	if got := poll().Conclusion; got != "failure" {
		t.Errorf("got conclusion %q, want failure", got)
	}
	st.noViolations()
}

func TestTheProductsClientSurvivesFaults(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault   string
		creates int // POST requests that had an effect
	}{
		"a lost answer to a creation":    {`{"method":"POST","path":"check-runs","drop":true,"after":true}`, 1},
		"a bad gateway after a creation": {`{"method":"POST","path":"check-runs","status":502,"after":true}`, 1},
		"three server errors in a row":   {`{"path":"check-runs","status":500,"count":3}`, 1},
		"a cut connection":               {`{"path":"installation","drop":true}`, 1},
		"a secondary rate limit":         {`{"path":"check-runs","status":403,"retryAfter":"0s"}`, 1},
		"slowness":                       {`{"path":"check-runs","delay":"20ms","count":-1}`, 1},
		"an expired token":               {`{"path":"commits","status":401,"body":"{\"message\":\"Bad credentials\"}"}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := start(t)
			st.run(`{"sha":"` + testSHA + `"}`)
			st.lab("POST", "/_lab/faults", row.fault, nil)
			if _, err := st.app().UpsertCheckRun(t.Context(), running()); err != nil {
				t.Fatal(err)
			}
			if got := len(st.server.state.CheckRuns); got != row.creates {
				t.Errorf("got %d check runs, want %d", got, row.creates)
			}
			st.noViolations()
		})
	}
}

func TestTheProductsClientReportsFaults(t *testing.T) {
	t.Parallel()
	st := start(t)
	st.run(`{"sha":"` + testSHA + `"}`)
	c := st.app()

	st.lab("POST", "/_lab/faults", `{"path":"commits","body":"garbage"}`, nil)
	if _, err := c.UpsertCheckRun(t.Context(), running()); err == nil || !strings.Contains(err.Error(), "decoding the answer to GET") {
		t.Errorf("got %v, want a decoding error", err)
	}
	st.lab("POST", "/_lab/limits", `{"contentPerMinute":1}`, nil)
	bounded := product.TokenConfig{BaseURL: st.url, Token: st.run(writer)["GITHUB_TOKEN"], Pace: quick()}
	bounded.Pace.MaxWait = time.Second
	byToken, err := product.NewToken(bounded)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := byToken.UpsertCheckRun(t.Context(), running()); err != nil {
		t.Fatal(err)
	}
	_, err = byToken.UpsertCheckRun(t.Context(), completed())
	if limited, ok := errors.AsType[*product.RateLimitedError](err); !ok || limited.RetryAfter < 55*time.Second {
		t.Errorf("got %v, want a rate limit of nearly a minute", err)
	}
	other := running()
	other.Repository = "acme/unknown"
	if _, err := c.UpsertCheckRun(t.Context(), other); err == nil || !strings.Contains(err.Error(), "not installed in acme/unknown") {
		t.Errorf("got %v, want an error that says where the App is missing", err)
	}
	st.noViolations()
}

func TestWorkflowAndAppDoNotTouchEachOthersCheckRuns(t *testing.T) {
	t.Parallel()
	st := start(t)
	env := st.run(writer)
	workflow, err := product.NewToken(product.TokenConfig{BaseURL: st.url, Token: env["GITHUB_TOKEN"], Pace: quick()})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[int64]bool{}
	for _, c := range []*product.Client{st.app(), workflow, st.app(), workflow} {
		id, err := c.UpsertCheckRun(t.Context(), running())
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	if len(ids) != 2 {
		t.Errorf("got %d check runs, want 2", len(ids))
	}
	for id := range ids {
		run := running()
		run.ID = id
		_, ofApp := st.app().UpsertCheckRun(t.Context(), run)
		_, ofWorkflow := workflow.UpsertCheckRun(t.Context(), run)
		if (ofApp == nil) == (ofWorkflow == nil) {
			t.Errorf("check run %d: got %v for the App and %v for the workflow, want exactly one refusal", id, ofApp, ofWorkflow)
		}
	}
	st.noViolations()
}
