package github

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	product "github.com/inhaul/inhaul/internal/github"
)

// What GitHub wants at most of what creates content.
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
const (
	contentPerMinute = 80
	contentPerHour   = 500
)

// inProcess carries requests to the stand-in without a network, so that the clock can be a synctest bubble's.
type inProcess struct{ server http.Handler }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if req.Body == nil {
		req.Body = http.NoBody
	}
	p.server.ServeHTTP(rec, req)
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

// inBubble returns the stand-in and a client of its App, both by the bubble's clock and at the pace that GitHub asks for.
func inBubble(t *testing.T, spec []byte, keyFile string, key *rsa.PrivateKey) (*Server, *product.Client) {
	t.Helper()
	server, err := New(Config{AppKeyFile: keyFile, BaseURL: "http://github.example.com", Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := product.NewApp(product.AppConfig{
		BaseURL: "http://github.example.com", AppID: AppID, PrivateKey: key, HTTP: &http.Client{Transport: inProcess{server}},
		Pace: product.Pace{MaxWait: 5 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, c
}

// patiently does what the agent does about a rate limit: it keeps the work and comes back.
func patiently(t *testing.T, write func() error) bool {
	t.Helper()
	for {
		err := write()
		limited, ok := errors.AsType[*product.RateLimitedError](err)
		switch {
		case err == nil:
			return true
		case !ok:
			t.Error(err)
			return false
		}
		time.Sleep(limited.RetryAfter)
	}
}

// reportAll lets n environments report a release each: a check run by three writes, and a deployment with two statuses.
func reportAll(ctx context.Context, t *testing.T, c *product.Client, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		digest := fmt.Sprintf("sha256:%d", i)
		sha := commitName(int64(i), 0)
		wg.Go(func() {
			first, last := running(), completed()
			second := first
			second.Title = "3 of 3 pods are ready"
			for _, run := range []product.CheckRun{first, second, last} {
				run.ExternalID, run.HeadSHA = digest, sha
				if !patiently(t, func() error { _, err := c.UpsertCheckRun(ctx, run); return err }) {
					return
				}
			}
		})
		wg.Go(func() {
			for _, state := range []string{"in_progress", "success"} {
				d := deploying(state)
				d.ExternalID, d.SHA, d.Environment = digest, sha, fmt.Sprintf("environment-%d", i)
				if !patiently(t, func() error { _, err := c.UpsertDeployment(ctx, d); return err }) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestFiveHundredEnvironmentsReportAtOnce(t *testing.T) {
	t.Parallel()
	environments := 500
	if testing.Short() {
		environments = 150
	}
	spec, err := describe()
	if err != nil {
		start(t) // says so
	}
	keyFile := filepath.Join(t.TempDir(), "app.pem")
	key, err := loadAppKey(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		server, c := inBubble(t, spec, keyFile, key)
		registered := httptest.NewRequest(http.MethodPost, "/_lab/runs", http.NoBody)
		server.ServeHTTP(httptest.NewRecorder(), registered)
		began := time.Now()
		reportAll(t.Context(), t, c, environments)

		if got := len(server.state.CheckRuns); got != environments {
			t.Errorf("got %d check runs, want %d", got, environments)
		}
		for _, run := range server.state.CheckRuns {
			if run.Conclusion != "failure" {
				t.Errorf("got %+v, want every verdict", run)
			}
		}
		if got := len(server.state.Deployments); got != environments {
			t.Errorf("got %d deployments, want %d", got, environments)
		}
		for _, d := range server.state.Deployments {
			if len(d.Statuses) != 2 || d.state() != "success" {
				t.Errorf("got %d statuses, the last one %s, want in_progress and success", len(d.Statuses), d.state())
			}
		}
		for _, v := range server.violations {
			t.Errorf("contract violated by the %s of %s %s: %s", v.Side, v.Method, v.Path, v.Reason)
		}
		checkPace(t, server, began, 3*environments, 6*environments)
	})
}

// checkPace counts in the log of the stand-in.
func checkPace(t *testing.T, server *Server, began time.Time, checks, all int) {
	t.Helper()
	var writes, creations, updates []time.Time
	for _, r := range server.requests {
		if r.Method == http.MethodGet || strings.HasSuffix(r.Path, "/access_tokens") {
			continue
		}
		writes = append(writes, r.At)
		if r.Method == http.MethodPost {
			creations = append(creations, r.At)
		} else {
			updates = append(updates, r.At)
		}
	}
	if got := most(writes, time.Minute); got > contentPerMinute {
		t.Errorf("got %d writes in a minute, want at most %d", got, contentPerMinute)
	}
	if got := most(creations, time.Hour); got > contentPerHour {
		t.Errorf("got %d creations in an hour, want at most %d", got, contentPerHour)
	}
	if len(writes) != all {
		t.Errorf("got %d writes, want %d", len(writes), all)
	}
	if len(writes) != all {
		return
	}
	// 500 check runs are all that an hour takes: a deployment that is quicker than the first of them costs the last one an
	// hour.
	verdict, last := updates[len(updates)*98/100].Sub(began), writes[len(writes)-1].Sub(began)
	if want := time.Duration(checks)*time.Second + time.Minute; verdict > want {
		t.Errorf("got 98 of 100 verdicts after %v, want them before deployments: within %v", verdict, want)
	}
	t.Logf("%d writes: 98 of 100 verdicts after %v, the last of all after %v; at most %d writes a minute, %d creations an hour",
		len(writes), verdict.Round(time.Second), last.Round(time.Second), most(writes, time.Minute), most(creations, time.Hour))
}

// most is how many of the times, which are in order, lie within one window.
func most(times []time.Time, window time.Duration) (n int) {
	first := 0
	for i, at := range times {
		for at.Sub(times[first]) >= window {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}
