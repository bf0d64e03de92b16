package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAReportThatIsImpossibleIsGivenUp is about a commit that GitHub no longer
// has: a force push, a deleted repository.
func TestAReportThatIsImpossibleIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		denied := push(2, 0, 2)
		denied.change = outdated
		w := newWorld(t)
		shows := 0
		w.onShow = func(Check) error { shows++; return fmt.Errorf("%w: 422 No commit found", ErrNoCommit) }
		w.deploys(t, push(1, 0, 1), denied)
		r := w.releases[0]
		if r.Status.Phase != Succeeded || r.unreported(WayCheck) || !r.Status.At(StepReported).IsZero() {
			t.Errorf("got %+v, want it live, not reported and not to be", r.Status)
		}
		if got := w.app.Status.Refusals; len(got) != 1 || got[0].Unreported(WayCheck) {
			t.Errorf("got refusals %+v, want one that is not to be reported", got)
		}
		if shows > 4 { // waiting, rolling out, live; and the refusal
			t.Errorf("GitHub was asked %d times", shows)
		}
	})
}

// TestRedIsTheNextWord is about GitHub's pause between two writes: a word about
// what is put back would come first, and the red one later by that.
func TestRedIsTheNextWord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := push(2, 0, 2)
		w := newWorld(t)
		w.broken[bad.image()] = true
		w.onApply = func(context.Context, Release) error { time.Sleep(time.Second); return nil } // time enough to say it
		var shown []string
		w.onShow = func(c Check) error {
			shown = append(shown, fmt.Sprintf("%s: %s", c.Status, c.Title))
			return nil
		}
		w.deploys(t, push(1, 0, 1), bad)
		for _, word := range shown {
			if strings.Contains(word, "in_progress") && strings.Contains(word, "Failed") {
				t.Errorf("got %q, want nothing of a release that is put back but that it is red", shown)
			}
		}
	})
}

// TestRedIsSaidWhileItCannotBePutBack is about a cluster that does not take the
// last good release for long: the check must not show a rollout meanwhile.
func TestRedIsSaidWhileItCannotBePutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := push(2, 0, 2)
		_, digest := envelope(t, bad)
		w := newWorld(t)
		w.publish(t, push(1, 0, 1))
		w.run()
		w.broken[bad.image()] = true
		w.onApply = func(_ context.Context, r Release) error {
			if r.Number == 1 {
				return errors.New("no answer")
			}
			return nil
		}
		w.onList = func(context.Context) error { // nor does the registry answer once it is admitted
			if len(w.Releases(Line{App: "storefront", Environment: "production"})) == 2 {
				return errors.New("no answer")
			}
			return nil
		}
		w.publish(t, bad)
		w.run()
		if c := w.checks[digest]; c.Status != InProgress || !strings.Contains(c.Title, "exit code 3") || !strings.Contains(c.Summary, "exit code 3") {
			t.Errorf("got %s %q while nothing can be put back, want it under way with its cause", c.Status, c.Title)
		}
		w.onApply = nil
		w.run()
		if c := w.checks[digest]; c.Conclusion != Failure || w.phases() != "Succeeded RolledBack" {
			t.Errorf("got %s and %s, want it red at last", w.phases(), c.Conclusion)
		}
	})
}

func TestAWordOfWhatIsPutBackWaitsAMoment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		phase, shown Phase
		since        time.Duration // the verdict
		want         bool
	}{
		{Restoring, RollingOut, 0, false},
		{Restoring, RollingOut, quietTime - 1, false},
		{Restoring, RollingOut, quietTime, true},
		{Restoring, RollingOut, -time.Hour, true}, // the clock was set back
		{Restoring, Restoring, quietTime, false},
		{RolledBack, RollingOut, 0, true},
		{RolledBack, Restoring, quietTime, true},
	} {
		r := Release{Status: Status{Phase: test.phase, Reported: []Reported{{Way: WayCheck, Phase: test.shown}}}}
		r.Status.Reach(StepVerdict, noon())
		if got := r.due(WayCheck, after(test.since)); got != test.want {
			t.Errorf("%s, %s after its verdict, and the check shows %s: got due %t, want %t", test.phase, test.since, test.shown, got, test.want)
		}
	}
}

func TestAReportIsTriedForTwoWeeks(t *testing.T) {
	t.Parallel()
	down := errors.New("no answer")
	for _, test := range []struct {
		name   string
		age    time.Duration
		answer error
		givenUp,
		shown bool
	}{
		{"shown", time.Hour, nil, false, true},
		{"GitHub is down", reportAge - time.Second, down, false, false},
		{"GitHub is down for two weeks", reportAge, down, true, false},
		{"GitHub is back after two weeks", reportAge, nil, false, true},
		{"there is no such commit", time.Hour, fmt.Errorf("%w: 404", ErrNoCommit), true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			w := newWorld(t)
			w.onShow = func(Check) error { return test.answer }
			a := New(Ports{Checks: w}, Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return after(test.age) }})
			id, shown, err := a.show(t.Context(), Refusal{Intent: "x", At: noon()}.message(WayCheck, view{}))
			if shown != test.shown || shown != (id == 1) || (err == nil) != (test.shown || test.givenUp) {
				t.Errorf("got %d, %t, %v; want shown %t, given up %t", id, shown, err, test.shown, test.givenUp)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != test.givenUp {
				t.Errorf("got log %q, want a warning: %t", log.String(), test.givenUp)
			}
			dying, cancel := context.WithCancel(t.Context())
			cancel()
			if _, _, err := a.show(dying, Refusal{At: noon()}.message(WayCheck, view{})); err == nil && !test.shown {
				t.Error("an agent that was told to stop gave up")
			}
		})
	}
}

// TestWhatIsNotPermittedIsGivenUpSoon is about an App that was made without the right
// to write deployments, or to comment.
func TestWhatIsNotPermittedIsGivenUpSoon(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		way     Way
		age     time.Duration
		givenUp bool
	}{
		{WayDeployment, permitAge - time.Second, false},
		{WayDeployment, permitAge, true},
		{WayCheck, permitAge, false},
		{WayStatus, permitAge, false},
	} {
		w := newWorld(t)
		w.beLoud()
		refuse := fmt.Errorf("%w: grant deployments: write", ErrNotPermitted)
		w.onShow = func(Check) error { return refuse }
		w.hub.onSay = func(context.Context, Way) error { return refuse }
		var ports Ports
		w.connect(&ports)
		a := New(ports, Config{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return after(test.age) }})
		_, shown, err := a.show(t.Context(), Release{IssuedAt: noon()}.message(test.way, view{}))
		if shown || (err == nil) != test.givenUp {
			t.Errorf("a %s after %s: got shown %t, %v; want it given up: %t", test.way, test.age, shown, err, test.givenUp)
		}
	}
}

func TestChecksOfSeveralAppsOfOneRepositoryTellWhich(t *testing.T) {
	t.Parallel()
	of := func(name string, repositories ...int64) App {
		app := App{Name: name, Intents: "registry.example/acme/" + name + "-intents"}
		for _, id := range repositories {
			app.Rules = append(app.Rules, Rule{RepositoryID: id, Environments: []string{"staging"}})
		}
		return app
	}
	const alone, several = "inhaul / production", "inhaul / storefront / production"
	for _, test := range []struct {
		name   string
		others []App
		want   string
	}{
		{"the only app", nil, alone},
		{"apps of other repositories", []App{of("billing", 5678), of("blog")}, alone},
		{"one of the same repository", []App{of("blog"), of("billing", 5678, 1234)}, several},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				denied := push(2, 0, 2)
				denied.change = outdated
				w := newWorld(t)
				w.others = test.others
				w.deploys(t, push(1, 0, 1), denied)
				if len(w.releases) != 1 || len(w.app.Status.Refusals) != 1 || len(w.checks) != 2 {
					t.Fatalf("got %d releases, %d refusals and %d checks; want 1, 1 and 2", len(w.releases), len(w.app.Status.Refusals), len(w.checks))
				}
				for _, check := range w.checks {
					if check.Name != test.want {
						t.Errorf("got the name %q, want %q", check.Name, test.want)
					}
				}
			})
		})
	}
	if got := CheckName(Line{App: "storefront", Environment: "production"}, 0, []App{of("billing", 0)}); got != alone {
		t.Errorf("of a repository that nobody recorded: got %q, want %q", got, alone)
	}
}
