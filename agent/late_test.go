package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/intent"
)

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestAStuckRepositoryDelaysNoOther is about two repositories that deploy one app.
func TestAStuckRepositoryDelaysNoOther(t *testing.T) {
	t.Parallel()
	for name, stuck := range map[string]func(context.Context) error{
		"fails": func(context.Context) error { return errors.New("502 Bad Gateway") },
		"hangs": hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.app.Rules = append(w.app.Rules, Rule{Name: "other", Environments: []string{"staging"}, RepositoryID: 5678, Refs: []string{"refs/heads/*"}})
				other := push(2, 0, 1)
				other.change = func(p *intent.Predicate) {
					p.Environment, p.Source.Repository, p.Source.RepositoryID = "staging", "acme/other", 5678
				}
				tries := 0
				w.onSend = func(ctx context.Context, c Check) error {
					if c.Repository != "acme/other" {
						tries++
						return stuck(ctx)
					}
					return nil
				}
				w.deploys(t, push(1, 0, 1), other)
				live := map[string]time.Duration{}
				for _, r := range w.releases {
					live[r.Source.Repository] = -1
					if reported := r.Status.At(StepReported); !reported.IsZero() {
						live[r.Source.Repository] = reported.Sub(r.Status.At(StepVerdict))
					}
				}
				if live["acme/storefront"] != -1 || live["acme/other"] < 0 || live["acme/other"] > time.Second {
					t.Errorf("got reports after %v, want acme/other's at once and none of the stuck one", live)
				}
				if tries < 10 || tries > 100 { // in an hour: after 1/2 s, 1 s, 2 s, … a minute
					t.Errorf("the stuck repository was tried %d times", tries)
				}
			})
		})
	}
}

// TestManyStuckRepositoriesExhaustNothing is about fifty that hang and one that
// does not, and about a way that has nothing to do with them.
func TestManyStuckRepositoriesExhaustNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range maxRefusals {
			w.app.Status.Refusals = append(w.app.Status.Refusals, Refusal{
				Line: Line{App: "storefront", Environment: "production"}, Tag: fmt.Sprint("tag", i), Intent: fmt.Sprint("sha256:", i),
				Repository: fmt.Sprint("acme/stuck", i), Commit: "c", At: lunch(),
			})
		}
		w.app.Status.Refusals[maxRefusals-1].Repository = "acme/good"
		w.hub.ways = []Way{WayReceipt}
		receiptsBy := w.now().Add(time.Minute)
		w.hub.onSay = func(context.Context, Way) error {
			if w.now().After(receiptsBy) {
				t.Error("a receipt waited for check runs that hang")
			}
			return nil
		}
		var mu sync.Mutex
		now, most := 0, 0
		w.onSend = func(ctx context.Context, c Check) error {
			if c.Repository == "acme/good" {
				return nil
			}
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			err := hang(ctx)
			mu.Lock()
			now--
			mu.Unlock()
			return err
		}
		w.runUntil(w.now().Add(10*time.Minute), nil)
		if most != reportsAtOnce {
			t.Errorf("got %d reports at once, want %d", most, reportsAtOnce)
		}
		if !slices.ContainsFunc(w.app.Status.Refusals, func(r Refusal) bool { return !r.Unreported(WayCheck) }) {
			t.Error("the one that answers was not reported")
		}
	})
}

// TestASuccessThatIsOverNeverTurnsGreen is about GitHub being away while a release
// goes live, and back when another one has taken its place.
func TestASuccessThatIsOverNeverTurnsGreen(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(context.Context) error{
		"GitHub fails": func(context.Context) error { return errors.New("502 Bad Gateway") },
		"GitHub hangs": hang, // the report of the first is under way when the second is live
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.onSend = func(ctx context.Context, c Check) error {
					if c.Conclusion == Success && c.Commit == push(1, 0, 1).statement().Predicate.Source.Commit {
						return away(ctx)
					}
					return nil
				}
				w.publish(t, push(1, 0, 1))
				w.runUntil(w.now().Add(time.Minute), func() {
					time.Sleep(20 * time.Second)
					w.publish(t, push(2, 1, 2))
				})
				first := w.checks[w.releases[0].Intent]
				want := fmt.Sprintf("Was live for %s, then superseded by 0000000", w.releases[1].Status.At(StepVerdict).Sub(w.releases[0].Status.At(StepVerdict)))
				if len(w.releases) != 2 || first.Conclusion != Neutral || first.Title != want {
					t.Errorf("got %s %q for the first of %d releases, want neutral %q", first.Conclusion, first.Title, len(w.releases), want)
				}
				if second := w.checks[w.releases[1].Intent]; second.Conclusion != Success {
					t.Errorf("got %s %q for the second, want success", second.Conclusion, second.Title)
				}
				if got := w.releases[0].Status; got.Phase != Succeeded || got.Shown(WayCheck).Phase != Superseded || got.At(StepReported).Sub(w.releases[1].Status.At(StepVerdict)) > time.Second {
					t.Errorf("got %s, reported as %+v; want it said as soon as the second was live", got.Phase, got.Reported)
				}
			})
		})
	}
}

func TestWhatACheckMaySayLate(t *testing.T) {
	t.Parallel()
	release := func(number int, phase, reported Phase, at int) Release {
		r := Release{Number: number, Status: Status{Phase: phase, Reported: []Reported{{Way: WayCheck, Phase: reported}}}}
		r.Source.Commit = fmt.Sprintf("%d%039d", number, 0)
		r.Status.Reach(StepVerdict, minutes(at))
		return r
	}
	back := release(3, Succeeded, Succeeded, 3)
	back.Restore = 1
	for _, test := range []struct {
		name  string
		r     Release
		after []Release
		want  Phase
		title string
	}{
		{"it serves", release(2, Succeeded, RollingOut, 1), nil, Succeeded, ""},
		{"a newer one is on its way", release(2, Succeeded, RollingOut, 1), []Release{release(3, RollingOut, RollingOut, 2)}, Succeeded, ""},
		{"a newer one failed", release(2, Succeeded, RollingOut, 1), []Release{release(3, RolledBack, RolledBack, 2)}, Succeeded, ""},
		{
			"a newer one took its place, and another one that one's", release(2, Succeeded, RollingOut, 1),
			[]Release{release(3, Failed, "", 2), release(4, Succeeded, "", 3), release(5, Succeeded, "", 9)},
			Superseded, "Was live for 2m0s, then superseded by 4000000",
		},
		{"it was rolled back", release(2, Succeeded, RollingOut, 1), []Release{back}, Superseded, "Was live for 2m0s, then superseded by 1000000"},
		{"it is green already", release(2, Succeeded, Succeeded, 1), []Release{back}, Succeeded, ""},
		{"it failed", release(2, Failed, RollingOut, 1), []Release{back}, Failed, ""},
	} {
		got := test.r.late(WayCheck, append([]Release{release(1, Succeeded, Succeeded, 0), test.r}, test.after...))
		if got.Status.Phase != test.want || got.Status.Message != test.title {
			t.Errorf("%s: got %s %q, want %s %q", test.name, got.Status.Phase, got.Status.Message, test.want, test.title)
		}
	}
}
