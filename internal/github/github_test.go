package github

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

const (
	testSHA     = "ce587453ced02b1526dfb4cb910479d431683101"
	longToken   = "ghs_4242_eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJnaXRodWIifQ.c2lnbmF0dXJl"
	shortToken  = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
	installPath = "/repos/acme/storefront/installation"
	tokenPath   = "/app/installations/7/access_tokens"
	runsPath    = "/repos/acme/storefront/check-runs"
	listPath    = "/repos/acme/storefront/commits/" + testSHA + "/check-runs"
)

// seen is one request that the fake GitHub got.
type seen struct {
	method, path, query, token, body string
	at                               time.Time
}

// fake answers in memory, so that a synctest bubble can move the clock while a client waits.
type fake struct {
	mu       sync.Mutex
	requests []seen
	answer   func(n int, r seen, req *http.Request) (int, http.Header, string) // n counts from 1 per method and path
	counts   map[string]int
}

func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	r := seen{
		req.Method, req.URL.Path, req.URL.RawQuery,
		strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "), string(body), time.Now(),
	}
	f.requests = append(f.requests, r)
	if f.counts == nil {
		f.counts = map[string]int{}
	}
	f.counts[r.method+r.path]++
	status, header, text := f.answer(f.counts[r.method+r.path], r, req)
	if status == 0 {
		return nil, io.ErrUnexpectedEOF // the answer is lost
	}
	rec := httptest.NewRecorder()
	for k, v := range header {
		rec.Header()[http.CanonicalHeaderKey(k)] = v
	}
	rec.WriteHeader(status)
	_, _ = rec.WriteString(text)
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

func (f *fake) to(method, path string) []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []seen
	for _, r := range f.requests {
		if r.method == method && (path == "" || r.path == path) {
			found = append(found, r)
		}
	}
	return found
}

func (f *fake) http() *http.Client { return &http.Client{Transport: f} }

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = []string{pairs[i+1]}
	}
	return h
}

func tokenClient(t *testing.T, f *fake) *Client {
	t.Helper()
	c, err := NewToken(TokenConfig{Token: shortToken, HTTP: f.http()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func appClient(t *testing.T, f *fake) *Client {
	t.Helper()
	c, err := NewApp(AppConfig{AppID: 4242, PrivateKey: testKey(), HTTP: f.http()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func queued() CheckRun {
	return CheckRun{
		Repository: "acme/storefront", HeadSHA: testSHA, Name: "inhaul / production", ExternalID: "sha256:aa",
		Status: "in_progress", Title: "Rolling out", Summary: "2 of 3 pods are ready",
	}
}

// list is GitHub's answer with one check run per id, all of our external id and App.
func list(ids ...int64) string {
	runs := []map[string]any{}
	for _, id := range ids {
		runs = append(runs, map[string]any{
			"id": id, "name": "inhaul / production", "external_id": "sha256:aa", "head_sha": testSHA, "status": "in_progress",
			"conclusion": nil, "completed_at": nil, "app": map[string]any{"id": 4242, "slug": actionsApp},
			"output": map[string]any{"title": "Rolling out", "summary": nil, "text": nil},
		})
	}
	text, _ := json.Marshal(map[string]any{"total_count": len(ids), "check_runs": runs})
	return string(text)
}

// ordinary answers like GitHub does when all is well and there is no check run yet.
func ordinary(_ int, r seen, _ *http.Request) (int, http.Header, string) {
	switch {
	case strings.HasSuffix(r.path, "/installation"):
		return 200, nil, `{"id": 7}`
	case r.path == tokenPath:
		text, _ := json.Marshal(map[string]any{"token": longToken, "expires_at": time.Now().Add(time.Hour)})
		return 201, nil, string(text)
	case r.method == http.MethodGet:
		return 200, nil, list()
	case r.method == http.MethodPost:
		return 201, nil, `{"id": 11}`
	}
	return 200, nil, `{"id": 12}`
}

func TestAppTokens(t *testing.T) {
	t.Parallel()

	t.Run("signs a short JWT, asks for narrow permissions and reuses the token until five minutes before its end", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: ordinary}
			c := appClient(t, f)
			start := time.Now()
			for _, wait := range []time.Duration{0, time.Minute, 53 * time.Minute, 2 * time.Minute} {
				time.Sleep(wait)
				if _, err := c.UpsertCheckRun(t.Context(), queued()); err != nil {
					t.Fatal(err)
				}
			}
			asked := f.to(http.MethodPost, tokenPath)
			if len(asked) != 2 {
				t.Fatalf("got %d token requests, want 2 (one at the start, one 55 minutes later)", len(asked))
			}
			if got := len(f.to(http.MethodGet, installPath)); got != 1 {
				t.Errorf("got %d installation look-ups, want 1", got)
			}
			if want := `{"permissions":{"checks":"write","deployments":"write","metadata":"read","pull_requests":"write","statuses":"write"}}`; asked[0].body != want {
				t.Errorf("got body %s, want %s", asked[0].body, want)
			}
			parsed, err := jwt.ParseSigned(asked[0].token, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				t.Fatal(err)
			}
			var claims jwt.Claims
			if err := parsed.Claims(&testKey().PublicKey, &claims); err != nil {
				t.Fatal(err)
			}
			if claims.Issuer != "4242" || start.Sub(claims.IssuedAt.Time()) != time.Minute || claims.Expiry.Time().Sub(start) != 9*time.Minute {
				t.Errorf("got claims %+v at %v, want issuer 4242, one minute back, nine minutes ahead", claims, start)
			}
			if got := f.to(http.MethodPost, runsPath)[0].token; got != longToken {
				t.Errorf("got token %q, want the installation's", got)
			}
		})
	})

	t.Run("makes a new token once when the old one is rejected", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
				if r.path == listPath && n == 2 {
					return 401, nil, `{"message":"Bad credentials"}`
				}
				return ordinary(n, r, req)
			}
			c := appClient(t, f)
			for range 2 {
				if _, _, err := c.FindCheckRun(t.Context(), "acme/storefront", testSHA, "n", "x"); err != nil {
					t.Fatal(err)
				}
			}
			if got := len(f.to(http.MethodPost, tokenPath)); got != 2 {
				t.Errorf("got %d token requests, want 2", got)
			}
		})
	})

	t.Run("renews a revoked token once for many callers", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f, made := &fake{}, 0
			f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
				if r.path == tokenPath {
					made++
					return 201, nil, fmt.Sprintf(`{"token":"token-%d","expires_at":"2099-01-01T00:00:00Z"}`, made)
				}
				if r.path == listPath && r.token == "token-1" && n > 1 {
					return 401, nil, ""
				}
				return ordinary(n, r, req)
			}
			c := appClient(t, f)
			if err := find(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if err := find(t.Context(), c); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if made != 2 {
				t.Errorf("got %d tokens, want 2", made)
			}
		})
	})

	t.Run("gives up after the second rejection and never shows the token", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
				if r.path == listPath {
					return 401, headers("X-Github-Request-Id", "AB:CD"), `{"message":"Bad credentials: ` + r.token + `"}`
				}
				return ordinary(n, r, req)
			}
			_, _, err := appClient(t, f).FindCheckRun(t.Context(), "acme/storefront", testSHA, "n", "x")
			want := `looking for check run "n" in acme/storefront: GET ` + listPath + `: 401 Unauthorized: Bad credentials: [redacted] (request AB:CD)`
			if err == nil || err.Error() != want {
				t.Errorf("got error %v, want %s", err, want)
			}
			if got := len(f.to(http.MethodGet, listPath)); got != 2 {
				t.Errorf("got %d tries, want 2", got)
			}
		})
	})

	t.Run("says that the App is not installed", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) { return 404, nil, `{"message":"Not Found"}` }}
		_, err := appClient(t, f).UpsertCheckRun(t.Context(), queued())
		if err == nil || !strings.Contains(err.Error(), "GitHub App 4242 is not installed in acme/storefront") {
			t.Errorf("got error %v, want one that names the App and the repository", err)
		}
	})

	t.Run("fetches one token for many callers at once", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: ordinary}
		c := appClient(t, f)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, _, err := c.FindCheckRun(context.WithoutCancel(t.Context()), "acme/storefront", testSHA, "n", "x"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := len(f.to(http.MethodPost, tokenPath)); got != 1 {
			t.Errorf("got %d token requests, want 1", got)
		}
	})
}

func TestNewRefusesUnusableConfig(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() (*Client, error){
		"no app id":      func() (*Client, error) { return NewApp(AppConfig{PrivateKey: testKey()}) },
		"no key":         func() (*Client, error) { return NewApp(AppConfig{AppID: 1}) },
		"no token":       func() (*Client, error) { return NewToken(TokenConfig{Token: " \n"}) },
		"not an address": func() (*Client, error) { return NewToken(TokenConfig{Token: "x", BaseURL: "api.github.com"}) },
		"other scheme":   func() (*Client, error) { return NewToken(TokenConfig{Token: "x", BaseURL: "file:///etc"}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := make(); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestETagCacheStaysBounded(t *testing.T) {
	t.Parallel()
	var c etagCache
	for _, address := range []string{"a", "b", "c", "d", "e", "f", "b"} {
		c.store(address, answer{etag: `"x"`, body: bytes.Repeat([]byte("x"), 1<<20)})
	}
	if c.bytes > maxETagBytes || len(c.answers) != len(c.order) {
		t.Errorf("got %d bytes in %d answers and %d addresses, want at most %d bytes", c.bytes, len(c.answers), len(c.order), maxETagBytes)
	}
	if _, ok := c.lookup("f"); !ok {
		t.Error("the newest answer is gone")
	}
}
