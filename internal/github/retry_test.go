package github

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func find(ctx context.Context, c *Client) error {
	_, _, err := c.FindCheckRun(ctx, "acme/storefront", testSHA, "n", "x")
	return err
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		status int
		header func() http.Header
		body   string
		wait   time.Duration // before the second try
	}{
		{"waits for retry-after", 403, func() http.Header { return headers("Retry-After", "42") }, "", 42 * time.Second},
		{"waits for retry-after on 429", 429, func() http.Header { return headers("Retry-After", "7") }, "", 7 * time.Second},
		{"waits for the reset when nothing remains", 403, func() http.Header {
			reset := strconv.FormatInt(time.Now().Add(30*time.Second).Unix(), 10)
			return headers("X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", reset)
		}, "", 31 * time.Second},
		{"waits a minute when nothing is said", 403, func() http.Header { return nil }, `{"message":"You have exceeded a secondary rate limit"}`, time.Minute},
		{"waits a minute on a bare 429", 429, func() http.Header { return nil }, "", time.Minute},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
					if n == 1 {
						return row.status, row.header(), row.body
					}
					return ordinary(n, r, req)
				}
				start := time.Now()
				if err := find(t.Context(), tokenClient(t, f)); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got != row.wait {
					t.Errorf("got a wait of %v, want %v", got, row.wait)
				}
			})
		})
	}
}

func TestRateLimitTooLongIsHandedBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
			if n == 1 {
				return 429, headers("Retry-After", "600"), ""
			}
			return ordinary(n, r, req)
		}
		c, start := tokenClient(t, f), time.Now()
		for _, want := range []time.Duration{10 * time.Minute, 10*time.Minute - time.Second} {
			limited, ok := errors.AsType[*RateLimitedError](find(t.Context(), c))
			if !ok || limited.RetryAfter != want {
				t.Fatalf("got %v, want a rate limit of %v", limited, want)
			}
			time.Sleep(time.Second)
		}
		if got := len(f.requests); got != 1 || time.Since(start) != 2*time.Second {
			t.Errorf("got %d requests in %v, want none while limited, and no wait", got, time.Since(start))
		}
		time.Sleep(9 * time.Minute)
		if err := find(t.Context(), c); err != nil {
			t.Errorf("got %v, want success after waiting for the rest", err)
		}
	})
}

func TestRateLimitWithoutHeadersDoubles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) { return 429, nil, "" }}
		c, start := tokenClient(t, f), time.Now()
		limited, ok := errors.AsType[*RateLimitedError](find(t.Context(), c))
		if !ok || limited.RetryAfter != 2*time.Minute {
			t.Fatalf("got %v, want a rate limit of 2m0s after one of 1m0s", limited)
		}
		if got := time.Since(start); got != time.Minute {
			t.Errorf("got a wait of %v, want 1m0s", got)
		}
	})
}

func TestMissingPermissionIsNotARateLimit(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) {
		return 403, headers("X-Ratelimit-Remaining", "4999"), `{"message":"Resource not accessible by integration"}`
	}}
	refused, ok := errors.AsType[*APIError](find(t.Context(), tokenClient(t, f)))
	if !ok || refused.Status != 403 || len(f.requests) != 1 {
		t.Errorf("got %v after %d requests, want 403 after 1", refused, len(f.requests))
	}
}

func TestServerErrors(t *testing.T) {
	t.Parallel()

	t.Run("are tried four times and then reported", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) { return 502, nil, "<html>Unicorn!</html>" }}
			start := time.Now()
			refused, ok := errors.AsType[*APIError](find(t.Context(), tokenClient(t, f)))
			if !ok || refused.Status != 502 || refused.Message != "<html>Unicorn!</html>" || len(f.requests) != 4 {
				t.Errorf("got %v after %d requests, want 502 after 4", refused, len(f.requests))
			}
			if got := time.Since(start); got < 1750*time.Millisecond || got > 3510*time.Millisecond {
				t.Errorf("got waits of %v in all, want half to all of 0.5 + 1 + 2 s", got)
			}
		})
	})

	t.Run("name the request but no address when the network fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) { return 0, nil, "" }}
			err := find(t.Context(), tokenClient(t, f))
			if want := `looking for check run "n" in acme/storefront: GET ` + listPath + `: unexpected EOF`; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	})

	t.Run("stop when the context ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) {
				return 503, headers("Retry-After", "100"), ""
			}}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			start := time.Now()
			if err := find(ctx, tokenClient(t, f)); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
				t.Errorf("got %v after %v, want the deadline after 3s", err, time.Since(start))
			}
		})
	})
}

func TestWritesKeepTheirDistance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: ordinary}
		c := tokenClient(t, f)
		done := make(chan error)
		for i := range 5 {
			run := queued()
			run.ID = int64(i + 1)
			go func() {
				_, err := c.UpsertCheckRun(t.Context(), run)
				done <- err
			}()
		}
		for range 5 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		writes := f.to(http.MethodPatch, "")
		for i := 1; i < len(writes); i++ {
			if gap := writes[i].at.Sub(writes[i-1].at); gap < time.Second {
				t.Errorf("got %v between writes, want at least 1s", gap)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		run := queued()
		run.ID = 9
		if _, err := c.UpsertCheckRun(ctx, run); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a waiting write to stop with its context", err)
		}
	})
}

func TestMessagesAreSafe(t *testing.T) {
	t.Parallel()
	for _, token := range []string{
		shortToken, longToken, "github_pat_11ABCDEFG0_abc", "ghp_abcdefghijkl",
		"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJnaXRodWIifQ.c2lnbmF0dXJl",
	} {
		for _, before := range []int{0, 280, 295} {
			got := safeMessage(strings.Repeat("é", before/2) + " " + token + strings.Repeat(" and more", 100))
			if strings.Contains(got, token[:12]) || len(got) > maxMessageBytes {
				t.Errorf("got %q, want at most %d bytes without %q", got, maxMessageBytes, token)
			}
		}
	}
}
