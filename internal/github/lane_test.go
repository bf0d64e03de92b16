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

// elsewhere is GitHub as fake plays it, but that requests whose path holds stuck never get an answer.
type elsewhere struct {
	*fake
	stuck string
}

func (e elsewhere) RoundTrip(req *http.Request) (*http.Response, error) {
	if e.stuck != "" && strings.Contains(req.URL.Path, e.stuck) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return e.fake.RoundTrip(req)
}

// accounts answers like GitHub where acme, installation 7, and zeta, installation 8, have installed the App.
func accounts(n int, r seen, req *http.Request) (int, http.Header, string) {
	if strings.HasSuffix(r.path, "/installation") && strings.Contains(r.path, "/zeta/") {
		return 200, nil, `{"id": 8}`
	}
	if r.path == "/app/installations/8/access_tokens" {
		r.path = tokenPath
	}
	return ordinary(n, r, req)
}

func lanesClient(t *testing.T, f *fake, stuck string) *Client {
	t.Helper()
	c, err := NewApp(AppConfig{AppID: 4242, PrivateKey: testKey(), HTTP: &http.Client{Transport: elsewhere{f, stuck}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// update writes check run 77 of a repository, and says how long that took.
func update(ctx context.Context, c *Client, repository string) (time.Duration, error) {
	run := queued()
	run.ID, run.Repository = 77, repository
	start := time.Now()
	_, err := c.UpsertCheckRun(ctx, run)
	return time.Since(start), err
}

func TestARepositoryThatHangsKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		stuck, other string
		most         time.Duration
	}{
		"its writes, another account":                     {"/acme/stuck/check-runs", "zeta/shop", 0},
		"its writes, the same account":                    {"/acme/stuck/check-runs", "acme/storefront", maxHold + time.Second},
		"the look-up of its installation, another one":    {"/acme/stuck/installation", "zeta/shop", 0},
		"the look-up of its installation, the same owner": {"/acme/stuck/installation", "acme/storefront", 0},
		"the token of its installation, another one":      {"/installations/7/access_tokens", "zeta/shop", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := lanesClient(t, &fake{answer: accounts}, row.stuck)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				done := make(chan error)
				go func() {
					_, err := update(ctx, c, "acme/stuck")
					done <- err
				}()
				synctest.Wait() // it hangs
				for range 2 {
					took, err := update(t.Context(), c, row.other)
					if err != nil || took > max(row.most, time.Second) {
						t.Errorf("got %v, %v, want success within %v, or a write's distance", took, err, row.most)
					}
				}
				if err := <-done; err == nil {
					t.Error("got success of what hangs")
				}
			})
		})
	}
}

// TestOnlyTheTriesOfAWriteHoldOthersUp is about the waits between them: a repository that GitHub has trouble with is
// tried again after one, two, four … seconds.
func TestOnlyTheTriesOfAWriteHoldOthersUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
			if strings.Contains(r.path, "/acme/sick/check-runs") {
				return 503, headers("Retry-After", "50"), ""
			}
			return accounts(n, r, req)
		}
		c := lanesClient(t, f, "")
		done := make(chan error)
		go func() {
			_, err := update(t.Context(), c, "acme/sick")
			done <- err
		}()
		synctest.Wait()
		if took, err := update(t.Context(), c, "acme/storefront"); err != nil || took > time.Second {
			t.Errorf("got %v, %v, want success a second after the other's try", took, err)
		}
		if err := <-done; err == nil {
			t.Error("got success of a repository in trouble")
		}
		writes := f.to(http.MethodPatch, "")
		for i := 1; i < len(writes); i++ {
			if gap := writes[i].at.Sub(writes[i-1].at); gap < time.Second {
				t.Errorf("got %v between writes, want at least 1s", gap)
			}
		}
	})
}

func TestRateLimitsArePerInstallation(t *testing.T) {
	t.Parallel()
	const secondary = `{"message":"You have exceeded a secondary rate limit"}`
	usedUp := func() http.Header {
		return headers("X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", strconv.FormatInt(time.Now().Add(20*time.Minute).Unix(), 10))
	}
	for name, row := range map[string]struct {
		limits func(repository string) (header http.Header, body string, limited bool)
		third  bool // whether a third account is held back too
	}{
		"one has used its own up":    {func(r string) (http.Header, string, bool) { return usedUp(), "", r == "acme" }, false},
		"two have used their own up": {func(r string) (http.Header, string, bool) { return usedUp(), "", r != "third" }, false},
		"one has run into a secondary limit": {func(r string) (http.Header, string, bool) {
			return headers("Retry-After", "600"), secondary, r == "acme"
		}, false},
		"two have run into a secondary limit": {func(r string) (http.Header, string, bool) {
			return headers("Retry-After", "600"), secondary, r != "third"
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
					if header, body, limited := row.limits(strings.Split(r.path+"///", "/")[2]); limited && r.method == http.MethodPatch {
						return 403, header, body
					}
					if strings.HasSuffix(r.path, "/installation") && strings.Contains(r.path, "/third/") {
						return 200, nil, `{"id": 9}`
					}
					if r.path == "/app/installations/9/access_tokens" {
						r.path = tokenPath
					}
					return accounts(n, r, req)
				}
				c := lanesClient(t, f, "")
				for _, account := range []string{"acme", "zeta", "third"} {
					_, _, limited := row.limits(account)
					limited = limited || account == "third" && row.third
					took, err := update(t.Context(), c, account+"/shop")
					refused, ok := errors.AsType[*RateLimitedError](err)
					if ok != limited || took != 0 || err != nil && !ok {
						t.Errorf("%s: got %v, %v after %v, want a rate limit: %t", account, err, refused, took, limited)
					}
				}
			})
		})
	}
}

// TestAWriteIsAskedForInItsLastMoment is about an agent that is paused while a write waits for its turn, or between
// two tries, and that does not lead any more when it goes on.
func TestAWriteIsAskedForInItsLastMoment(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost the lease")
	for name, first := range map[string]int{"it waits for its turn": 200, "it is tried again": 502} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				f.answer = func(n int, r seen, req *http.Request) (int, http.Header, string) {
					if r.method == http.MethodPatch {
						return first, nil, `{"id": 7}`
					}
					return accounts(n, r, req)
				}
				began := time.Now()
				c, err := NewApp(AppConfig{AppID: 4242, PrivateKey: testKey(), HTTP: f.http(), MayWrite: func() error {
					if time.Since(began) > 0 {
						return lost
					}
					return nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				_, err = update(t.Context(), c, "acme/storefront")
				if first == 200 && err == nil {
					_, err = update(t.Context(), c, "acme/storefront") // a second later
				}
				if !errors.Is(err, lost) || len(f.to(http.MethodPatch, "")) != 1 {
					t.Errorf("got %v after %d writes, want the one that was sent while it led", err, len(f.to(http.MethodPatch, "")))
				}
			})
		})
	}
}
