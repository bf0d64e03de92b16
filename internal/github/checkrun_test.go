package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func TestUpsertCheckRun(t *testing.T) {
	t.Parallel()

	t.Run("creates a check run that is not there", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: ordinary}
		run := queued()
		run.StartedAt = time.Date(2026, 11, 22, 12, 0, 0, 5, time.FixedZone("", 3600))
		id, err := tokenClient(t, f).UpsertCheckRun(t.Context(), run)
		if err != nil || id != 11 {
			t.Fatalf("got %d, %v, want 11", id, err)
		}
		want := `{"name":"inhaul / production","head_sha":"` + testSHA + `","external_id":"sha256:aa","status":"in_progress",` +
			`"started_at":"2026-11-22T11:00:00Z","output":{"title":"Rolling out","summary":"2 of 3 pods are ready"}}`
		if got := f.to(http.MethodPost, runsPath)[0].body; got != want {
			t.Errorf("got body  %s\nwant body %s", got, want)
		}
		if got, want := f.to(http.MethodGet, listPath)[0].query, "check_name=inhaul+%2F+production&filter=all&page=1&per_page=5"; got != want {
			t.Errorf("got query %s, want %s", got, want)
		}
	})

	t.Run("updates the newest one that is there", func(t *testing.T) {
		t.Parallel()
		f := &fake{}
		f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
			if r.method == http.MethodGet {
				return 200, nil, list(3, 9, 5)
			}
			return ordinary(n, r, req)
		}
		id, err := tokenClient(t, f).UpsertCheckRun(t.Context(), queued())
		if err != nil || id != 9 {
			t.Fatalf("got %d, %v, want 9", id, err)
		}
		if got := len(f.to(http.MethodPatch, runsPath+"/9")); got != 1 || len(f.to(http.MethodPost, "")) != 0 {
			t.Errorf("got %d updates and %d creations, want 1 and 0", got, len(f.to(http.MethodPost, "")))
		}
	})

	t.Run("does not look up what has an id", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: ordinary}
		run := queued()
		run.ID = 77
		if id, err := tokenClient(t, f).UpsertCheckRun(t.Context(), run); err != nil || id != 77 {
			t.Fatalf("got %d, %v, want 77", id, err)
		}
		if got := len(f.requests); got != 1 {
			t.Errorf("got %d requests, want 1", got)
		}
	})

	t.Run("follows a renamed repository with its body", func(t *testing.T) {
		t.Parallel()
		f := &fake{}
		f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
			if r.path == runsPath+"/77" {
				return 307, headers("Location", "https://api.github.com/repositories/5/check-runs/77"), ""
			}
			return ordinary(n, r, req)
		}
		run := queued()
		run.ID = 77
		if _, err := tokenClient(t, f).UpsertCheckRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		got := f.to(http.MethodPatch, "/repositories/5/check-runs/77")
		if len(got) != 1 || got[0].body != f.requests[0].body || got[0].token != shortToken {
			t.Errorf("got %+v, want the same update at the new address", got)
		}
	})

	t.Run("does not touch another App's check run of the same external id", func(t *testing.T) {
		t.Parallel()
		f := &fake{}
		f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
			if r.method == http.MethodGet && r.path == listPath {
				return 200, nil, strings.ReplaceAll(list(3), "4242", "15368")
			}
			return ordinary(n, r, req)
		}
		if id, err := appClient(t, f).UpsertCheckRun(t.Context(), queued()); err != nil || id != 11 {
			t.Fatalf("got %d, %v, want the new one, 11", id, err)
		}
	})

	t.Run("finds the creation whose answer was lost instead of doing it again", func(t *testing.T) {
		t.Parallel()
		for name, lost := range map[string]int{"connection cut": 0, "bad gateway": 502} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := &fake{}
					f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
						switch {
						case r.method == http.MethodPost:
							return lost, nil, ""
						case r.method == http.MethodGet && n > 1:
							return 200, nil, list(21)
						}
						return ordinary(n, r, req)
					}
					id, err := tokenClient(t, f).UpsertCheckRun(t.Context(), queued())
					if err != nil || id != 21 {
						t.Fatalf("got %d, %v, want 21", id, err)
					}
					if got := len(f.to(http.MethodPost, runsPath)); got != 1 {
						t.Errorf("got %d creations, want 1", got)
					}
				})
			})
		}
	})

	t.Run("does not take what is no check run for an answer", func(t *testing.T) {
		t.Parallel()
		for _, method := range []string{http.MethodPost, http.MethodPatch} {
			for _, garbage := range []string{"", "{}", "<html>Please log in</html>"} {
				f := &fake{answer: func(n int, r seen, req *http.Request) (int, http.Header, string) {
					if r.method == method {
						return 200, nil, garbage
					}
					return ordinary(n, r, req)
				}}
				run := queued()
				if method == http.MethodPatch {
					run.ID = 77
				}
				if id, err := tokenClient(t, f).UpsertCheckRun(t.Context(), run); err == nil {
					t.Errorf("%s answered with %q: got %d and no error", method, garbage, id)
				}
			}
		}
	})

	t.Run("creates again when the lost try did nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
				if r.method == http.MethodPost && n < 3 {
					return 500, nil, ""
				}
				return ordinary(n, r, req)
			}
			if id, err := tokenClient(t, f).UpsertCheckRun(t.Context(), queued()); err != nil || id != 11 {
				t.Fatalf("got %d, %v, want 11", id, err)
			}
			writes := f.to(http.MethodPost, runsPath)
			if gap := writes[1].at.Sub(writes[0].at); gap < time.Second {
				t.Errorf("got %v between two tries of a write, want at least 1s", gap)
			}
		})
	})
}

func TestUpsertCheckRunRefusesWhatGitHubWould(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*CheckRun){
		"completed without conclusion":    func(r *CheckRun) { r.Status = "completed" },
		"conclusion without completed":    func(r *CheckRun) { r.Conclusion = "success" },
		"unknown status":                  func(r *CheckRun) { r.Status = "running" },
		"no name":                         func(r *CheckRun) { r.Name = "" },
		"no commit":                       func(r *CheckRun) { r.HeadSHA = "" },
		"no external id":                  func(r *CheckRun) { r.ExternalID = "" },
		"repository without owner":        func(r *CheckRun) { r.Repository = "storefront" },
		"repository that is another path": func(r *CheckRun) { r.Repository = "acme/storefront/../../user" },
		"repository of dots":              func(r *CheckRun) { r.Repository = "acme/.." },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: ordinary}
			run := queued()
			change(&run)
			if _, err := tokenClient(t, f).UpsertCheckRun(t.Context(), run); err == nil || len(f.requests) != 0 {
				t.Errorf("got error %v and %d requests, want an error before any request", err, len(f.requests))
			}
		})
	}
}

func TestUpsertCheckRunTruncatesVisibly(t *testing.T) {
	t.Parallel()
	f := &fake{answer: ordinary}
	run := queued()
	run.Title = strings.Repeat("ü", 300)
	run.Summary = strings.Repeat("a", maxOutputBytes)
	run.Text = "\xff" + strings.Repeat("€", 40000)
	if _, err := tokenClient(t, f).UpsertCheckRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	var sent struct{ Output checkRunOutput }
	if err := json.Unmarshal([]byte(f.to(http.MethodPost, runsPath)[0].body), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Output.Summary != run.Summary {
		t.Error("a summary of exactly the limit was changed")
	}
	for name, s := range map[string]string{"title": sent.Output.Title, "text": sent.Output.Text} {
		if !strings.HasSuffix(s, truncated) || !utf8.ValidString(s) || len(s) > maxOutputBytes || strings.Contains(s, "\uFFFD…") {
			t.Errorf("%s: got %d bytes ending in %q, want a whole rune and %q", name, len(s), s[len(s)-20:], truncated)
		}
	}
	if len(sent.Output.Title) > maxTitleBytes {
		t.Errorf("got a title of %d bytes, want at most %d", len(sent.Output.Title), maxTitleBytes)
	}
}

func TestFindCheckRun(t *testing.T) {
	t.Parallel()

	t.Run("asks conditionally and reads an unchanged answer from memory", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: func(n int, _ seen, req *http.Request) (int, http.Header, string) {
			if n > 1 {
				if got := req.Header.Get("If-None-Match"); got != `W/"one"` {
					t.Errorf("request %d: got If-None-Match %q, want the ETag", n, got)
				}
				return 304, nil, ""
			}
			return 200, headers("Etag", `W/"one"`), list(4)
		}}
		c := tokenClient(t, f)
		for range 3 {
			run, ok, err := c.FindCheckRun(t.Context(), "acme/storefront", testSHA, "inhaul / production", "sha256:aa")
			if err != nil || !ok || run.ID != 4 || run.Title != "Rolling out" || run.Conclusion != "" || !run.CompletedAt.IsZero() {
				t.Fatalf("got %+v, %v, %v, want check run 4", run, ok, err)
			}
		}
	})

	t.Run("reads on until the last page", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: func(n int, _ seen, _ *http.Request) (int, http.Header, string) {
			page := strings.ReplaceAll(list(1, 2, 3, 4, 5), "sha256:aa", "sha256:other")
			if n == 3 {
				page = list(6)
			}
			return 200, nil, strings.Replace(page, `"total_count":`, `"total_count":11, "was":`, 1)
		}}
		run, ok, err := tokenClient(t, f).FindCheckRun(t.Context(), "acme/storefront", testSHA, "inhaul / production", "sha256:aa")
		if err != nil || !ok || run.ID != 6 {
			t.Errorf("got %+v, %v, %v, want check run 6 from page 3", run, ok, err)
		}
	})

	t.Run("says no when there is none", func(t *testing.T) {
		t.Parallel()
		_, ok, err := tokenClient(t, &fake{answer: ordinary}).FindCheckRun(t.Context(), "acme/storefront", testSHA, "n", "x")
		if ok || err != nil {
			t.Errorf("got %v, %v, want not found", ok, err)
		}
	})

	t.Run("refuses an endless answer", func(t *testing.T) {
		t.Parallel()
		f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) {
			return 200, nil, strings.Repeat(" ", maxBodyBytes+1)
		}}
		if _, _, err := tokenClient(t, f).FindCheckRun(t.Context(), "acme/storefront", testSHA, "n", "x"); !errors.Is(err, errTooLarge) {
			t.Errorf("got %v, want %v", err, errTooLarge)
		}
	})

	t.Run("follows a renamed repository but leaves the host for nobody", func(t *testing.T) {
		t.Parallel()
		for to, want := range map[string]bool{"https://api.github.com/repositories/5/checks": true, "https://evil.example/": false, "http://api.github.com/": false} {
			f := &fake{answer: func(_ int, r seen, _ *http.Request) (int, http.Header, string) {
				if r.path == listPath {
					return 301, headers("Location", to), ""
				}
				return 200, nil, list(4)
			}}
			_, ok, err := tokenClient(t, f).FindCheckRun(t.Context(), "acme/storefront", testSHA, "inhaul / production", "sha256:aa")
			if ok != want || (err == nil) != want {
				t.Errorf("%s: got %v, %v, want %v", to, ok, err, want)
			}
			if !want && len(f.requests) != 1 {
				t.Errorf("%s: got %d requests, want 1", to, len(f.requests))
			}
		}
	})
}

func ExampleRateLimitedError() {
	fmt.Println(&RateLimitedError{RetryAfter: 90 * time.Second})
	// Output: GitHub's rate limit is used up: retry in 1m30s
}
