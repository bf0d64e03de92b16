package github

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestARetryAfterIsObeyedToTheSecond is about all that goes out of one installation, in its place or handed back.
func TestARetryAfterIsObeyedToTheSecond(t *testing.T) {
	t.Parallel()
	for name, maxWait := range map[string]time.Duration{"in its place": 2 * time.Minute, "handed back": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var limited time.Time
				f := &fake{}
				f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
					if r.method == http.MethodPost && strings.HasPrefix(r.path, "/repos/") && limited.IsZero() {
						limited = time.Now()
						return 403, headers("Retry-After", "60"), `{"message":"You have exceeded a secondary rate limit"}`
					}
					return nothingYet(n, r, req)
				}
				c, err := NewApp(AppConfig{AppID: 4242, PrivateKey: testKey(), HTTP: f.http(), Pace: Pace{MaxWait: maxWait}})
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for range 5 {
					for _, write := range upserts() {
						wg.Go(func() { untilWritten(t, func() error { return write(t.Context(), c) }) })
					}
				}
				wg.Wait()
				var first time.Duration
				for _, r := range f.requests {
					after := r.at.Sub(limited)
					if after > 0 && after < time.Minute {
						t.Errorf("got %s %s %v after the limit, want none for a minute", r.method, r.path, after)
					}
					if first == 0 && after > 0 {
						first = after
					}
				}
				if first < time.Minute || first >= time.Minute+time.Second {
					t.Errorf("got the first request %v after the limit, want it after 60 s, within a second", first)
				}
			})
		})
	}
}

// untilWritten comes back after each rate limit.
func untilWritten(t *testing.T, write func() error) {
	t.Helper()
	for {
		err := write()
		limited, ok := errors.AsType[*RateLimitedError](err)
		if err == nil {
			return
		}
		if !ok {
			t.Error(err)
			return
		}
		time.Sleep(limited.RetryAfter)
	}
}

func TestTheHoursBudgetIsKeptForChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: nothingYet}
		c, err := NewToken(TokenConfig{Token: shortToken, HTTP: f.http(), Pace: Pace{MaxWait: 5 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		limit := func(write func(context.Context, *Client) error) time.Duration {
			limited, ok := errors.AsType[*RateLimitedError](write(t.Context(), c))
			if !ok {
				return 0
			}
			return limited.RetryAfter
		}
		count := func(kind string) (n int) {
			for limit(upserts()[kind]) == 0 && n <= maxCreations {
				n++
			}
			return n
		}
		if got, want := count("comment"), maxCreations-creationsForChecks; got != want {
			t.Errorf("got %d comments in an hour, want %d", got, want)
		}
		reads := len(f.to(http.MethodGet, commentsPath))
		if wait, want := limit(upserts()["comment"]), time.Until(start.Add(time.Hour)); wait != want || len(f.to(http.MethodGet, commentsPath)) != reads {
			t.Errorf("got a wait of %v after %d look-ups, want %v and no look-up in vain", wait, len(f.to(http.MethodGet, commentsPath))-reads, want)
		}
		if got := count("check run") + count("commit status"); got != creationsForChecks {
			t.Errorf("got %d checks and statuses after that, want %d", got, creationsForChecks)
		}
		for range 3 { // an update creates nothing
			if _, err := update(t.Context(), c, "acme/storefront"); err != nil {
				t.Errorf("got %v of an update", err)
			}
		}
		time.Sleep(time.Hour - time.Since(start))
		if wait := limit(upserts()["check run"]); wait != 0 {
			t.Errorf("got a wait of %v after an hour", wait)
		}
	})
}

func TestAVerdictGoesBeforeTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: nothingYet}
		c := tokenClient(t, f)
		var wg sync.WaitGroup
		completed := queued()
		completed.Status, completed.Conclusion, completed.ID = "completed", "success", 77
		for _, write := range []func() error{
			func() error { return upserts()["deployment"](t.Context(), c) },
			func() error { return upserts()["comment"](t.Context(), c) },
			func() error { return upserts()["comment"](t.Context(), c) },
			func() error { return upserts()["check run"](t.Context(), c) },
			func() error { _, err := c.UpsertCheckRun(t.Context(), completed); return err },
		} {
			wg.Go(func() {
				if err := write(); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		var got []string
		for _, r := range f.requests {
			if r.method != http.MethodGet {
				got = append(got, r.path[strings.LastIndex(r.path, "/")+1:])
			}
		}
		// The deployment's status has its turn already, and waits for its second.
		if want := "deployments statuses 77 check-runs comments comments"; strings.Join(got, " ") != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

func TestAWaitThatEndsPassesItsTurnOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q turns
		if err := q.enter(t.Context(), decoration); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() { gaveUp <- q.enter(ctx, verdict) }()
		synctest.Wait()
		got := make(chan error, 1)
		go func() { got <- q.enter(t.Context(), decoration) }()
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
		q.leave()
		if err := <-got; err != nil {
			t.Error(err)
		}
		q.leave()
		if q.taken {
			t.Error("the gate is taken by nobody")
		}
	})
}

// TestATurnThatComesTooLateIsNotLost is about one that gives up in the moment in which its turn comes.
func TestATurnThatComesTooLateIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := 0
		for range 64 {
			var q turns
			if err := q.enter(t.Context(), decoration); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			waited := make(chan error, 1)
			go func() { waited <- q.enter(ctx, decoration) }()
			synctest.Wait()
			cancel()
			q.leave()
			if err := <-waited; err == nil {
				q.leave()
			} else {
				late++
			}
			if q.taken {
				t.Fatal("the gate is taken by nobody")
			}
		}
		if late == 0 {
			t.Error("nothing came too late")
		}
	})
}
