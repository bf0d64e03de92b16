package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// seedPull is a run of pull request 7 whose app has all commands.
func seedPull(n int64, eventAt, issuedAt int) run {
	r := pull(n, eventAt, issuedAt)
	r.change = func(p *intent.Predicate) {
		pullRequest(7)(p)
		task := func(command string) *spec.Task {
			return &spec.Task{Run: spec.Command{Shell: command}, CPU: "100m", Memory: "64Mi"}
		}
		p.Spec.Predeploy, p.Spec.Seed, p.Spec.Teardown = task("bin/migrate"), task("bin/seed"), task("bin/cleanup")
	}
	return r
}

// seedTask is how the seed of a run goes in the world.
func (w *world) seedTask(r run, goes task) { w.tasks["seed "+r.image()] = goes }

// teardownTask is how the teardown of a run goes in the world.
func (w *world) teardownTask(r run, goes task) { w.tasks["teardown "+r.image()] = goes }

// seedStory is a preview whose first seed fails and whose second one ends well, with a
// push that comes amid it; then another push, the end, and a life of its own after it.
func seedStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	w.beLoud()
	w.allowPreviews()
	w.app.PreviewPolicy.TeardownTimeout = 30 * time.Second
	named := map[string]run{
		"first": seedPull(1, 0, 1), "second": seedPull(2, 2, 3), "third": seedPull(3, 4, 5), "fourth": seedPull(4, 6, 7),
		"closed": closePull(5, 8, 9), "again": seedPull(6, 10, 11),
	}
	digests := map[string]string{}
	for name, r := range named {
		_, digests[name] = envelope(t, r)
		w.tasks[r.image()] = task{takes: time.Second, end: predeployed()}
		w.seedTask(r, task{takes: 2 * time.Second, end: predeployed()})
		w.teardownTask(r, task{takes: 2 * time.Second, end: predeployed()})
	}
	w.seedTask(named["first"], task{takes: 2 * time.Second, end: exited(4)})
	w.seedTask(named["second"], task{takes: 15 * time.Second, end: predeployed(), made: w.preparedFor(t, named["third"], "pr-7")})
	for _, name := range []string{"first", "second", "fourth", "closed", "again"} {
		w.tell(t, named[name])
	}
	return digests
}

func checkSeedStory(t *testing.T, w *world, digests map[string]string) {
	t.Helper()
	// Each command once, however often the agent has died.
	if want := []string{"seed 1", "seed 2", "teardown 4", "seed 5"}; !slices.Equal(w.ran, want) {
		t.Errorf("got %v run, want %v: the second life is seeded anew", w.ran, want)
	}
	for name, want := range map[string]Conclusion{"first": Failure, "second": Neutral, "third": Success, "fourth": Success, "closed": Success, "again": Success} {
		if c := w.checks[digests[name]]; c.Status != Completed || c.Conclusion != want {
			t.Errorf("check of %s: got %s %s (%s), want completed %s", name, c.Status, c.Conclusion, c.Title, want)
		}
	}
	if red := w.checks[digests["first"]]; !strings.Contains(red.Title, "seed: exit code 4") || !strings.Contains(red.Summary, "the seed runs again with the next push") || !strings.Contains(red.Text, "cannot reach the database") {
		t.Errorf("got the red check %q %q %q, want exit code, what comes next, and the log", red.Title, red.Summary, red.Text)
	}
	if gone := w.checks[digests["closed"]]; strings.Contains(gone.Summary, "teardown failed") {
		t.Errorf("got the end as %q, want no word of a teardown that ended well", gone.Summary)
	}
	p := w.pr7()
	if p.Phase != PreviewActive || p.SeededAt.IsZero() || !p.TornDownAt.IsZero() {
		t.Errorf("got %s, seeded at %s, torn down at %s; want it seeded and there", p.Phase, p.SeededAt, p.TornDownAt)
	}
	r := w.releases[len(w.releases)-1]
	if s := r.Status; !s.At(StepSeeded).After(s.At(StepSeeding)) || s.At(StepSeeding).Before(s.At(StepPredeployed)) || s.At(StepApplied).Before(s.At(StepSeeded)) {
		t.Errorf("got the timeline %v, want the seed between predeploy and objects", s.Timeline)
	}
}

func TestSeedStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		checkSeedStory(t, w, seedStory(t, w))
	})
}

func TestSeedStoryWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, seedStory, checkSeedStory)
}

// TestAnotherReleaseFindsTheSeedThatNobodyRecorded is about an agent that died between
// the end of the seed and its record, and a release that somebody deleted meanwhile.
func TestAnotherReleaseFindsTheSeedThatNobodyRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		first, second := seedPull(1, 0, 1), seedPull(2, 2, 3)
		for _, r := range []run{first, second} {
			w.tasks[r.image()] = task{end: predeployed()}
		}
		w.seedTask(first, task{takes: 10 * time.Minute, end: predeployed()})
		w.publish(t, first)
		w.wait(time.Minute)
		if !w.pr7().SeededAt.IsZero() || w.releases[0].Status.Phase != Seeding {
			t.Fatalf("got %s, want it amid its seed", w.releases[0].Status.Phase)
		}
		w.releases = nil
		time.Sleep(10 * time.Minute)
		w.tell(t, second)
		if !slices.Equal(w.ran, []string{"seed 1"}) || w.pr7().SeededAt.IsZero() || w.releases[0].Status.Phase != Succeeded {
			t.Errorf("got %v run, seeded at %s, and %+v; want the first seed to count", w.ran, w.pr7().SeededAt, w.releases)
		}
	})
}

func TestWhoSeeds(t *testing.T) {
	t.Parallel()
	seed := spec.App{Seed: &spec.Task{}}
	for name, test := range map[string]struct {
		r      Release
		seeded bool
		want   bool
	}{
		"the first release of a preview":              {Release{App: seed, Reason: ReasonNewest}, false, true},
		"the newest run again, after its seed failed": {Release{App: seed, Reason: ReasonRedeploy}, false, true},
		"one of a preview that is seeded":             {Release{App: seed, Reason: ReasonNewest}, true, false},
		"a rollback":                                  {Release{App: seed, Reason: ReasonRollback}, false, false},
		"an app without seed":                         {Release{Reason: ReasonNewest}, false, false},
	} {
		w := previewing(t)
		line := Line{App: "storefront", Environment: "pr-7"}
		p := Preview{Line: line, Phase: PreviewActive}
		if test.seeded {
			p.SeededAt = noon()
		}
		w.keepPreview(p)
		a := New(Ports{Records: w}, Config{})
		test.r.Line = line
		if got := a.seeds(test.r); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
		test.r.Line.Environment = "production"
		if a.seeds(test.r) {
			t.Errorf("%s, in production: it seeds", name)
		}
	}
}

// basin is the databases of a world.
type basin struct {
	*world
	takes   time.Duration // until they are ready
	since   time.Time
	sick    string // why their container waits
	started int
	cloned  []string
}

func (b *basin) StartDatabases(ctx context.Context, _ Release) (made []Object, err error) {
	err = b.call(ctx, func() error {
		if b.started++; b.since.IsZero() {
			b.since = time.Now()
		}
		made = []Object{{Kind: "StatefulSet", Name: "db"}}
		return nil
	})
	return made, err
}

func (b *basin) WatchDatabases(ctx context.Context, _ Release, see func([]DatabaseObservation) bool) error {
	for {
		o := DatabaseObservation{Name: "db", Type: "postgres", Ready: b.sick == "" && time.Since(b.since) >= b.takes}
		o.Pods = []PodObservation{{Name: "db-0", CreatedAt: b.now(), Containers: []ContainerObservation{{Name: "db", Running: b.sick == "", Waiting: b.sick, Message: "not found"}}}}
		if err := b.call(ctx, func() error { return nil }); err != nil {
			return err
		}
		if see([]DatabaseObservation{o}) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (b *basin) StartClone(ctx context.Context, _ Release, d spec.Database) error {
	return b.call(ctx, func() error {
		if name := "clone " + d.Name; !slices.Contains(b.cloned, name) {
			b.cloned = append(b.cloned, name)
		}
		return nil
	})
}

func (b *basin) WatchClone(ctx context.Context, _ Release, _ spec.Database, see func(PredeployObservation) bool) error {
	see(predeployed())
	return ctx.Err()
}

// withDatabase is r with a database.
func withDatabase(r run) run {
	change := r.change
	r.change = func(p *intent.Predicate) {
		change(p)
		p.Spec.Databases = []spec.Database{{Name: "db", Type: "postgres", Env: "DATABASE_URL"}}
	}
	return r
}

// databaseStory is a preview with a database: two pushes.
func databaseStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	w.allowPreviews()
	w.app.PreviewPolicy.Clone, w.app.PreviewPolicy.Postgres = &CloneHook{}, &DatabaseClass{}
	w.basin = &basin{world: w, takes: 20 * time.Second}
	for n := range int64(2) {
		r := withDatabase(seedPull(n+1, int(2*n), int(2*n)+1))
		w.tasks[r.image()] = task{takes: time.Second, end: predeployed()}
		w.seedTask(r, task{takes: time.Second, end: predeployed()})
		w.tell(t, r)
	}
	return nil
}

func TestDatabasesComeFirstWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, w *world, _ map[string]string) {
		t.Helper()
		if len(w.releases) != 2 || w.releases[0].Status.Phase != Succeeded || w.releases[1].Status.Phase != Succeeded {
			t.Fatalf("got %+v, want two that succeeded", w.releases)
		}
		if !slices.Equal(w.ran, []string{"seed 1"}) || !slices.Equal(w.basin.cloned, []string{"clone db"}) {
			t.Errorf("got %v and %v, want one seed and one clone", w.ran, w.basin.cloned)
		}
		first := w.releases[0].Status
		if first.At(StepDatabases).Before(first.At(StepAdmitted).Add(20*time.Second)) || first.At(StepPredeploying).Before(first.At(StepDatabases)) {
			t.Errorf("got %v, want the predeploy after the databases", first.Timeline)
		}
		if !slices.Contains(first.Inventory, Object{Kind: "StatefulSet", Name: "db"}) {
			t.Errorf("got inventory %v, want the database in it", first.Inventory)
		}
		for _, step := range []string{"Wait until its databases are ready", "Run the seed command"} {
			if !strings.Contains(w.releases[0].text(view{}), step) {
				t.Errorf("want %q in where the time went", step)
			}
		}
	}
	dieInEveryCall(t, databaseStory, check)
}

// TestDatabasesThatAreNotReady is also about the newer release, which does not wait for
// them.
func TestDatabasesThatAreNotReady(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sick, want string
		kind       CauseKind
		within     time.Duration
	}{
		{"ImagePullBackOff", "database db: the image cannot be pulled", CauseImagePull, time.Minute},
		{"ContainerCreating", fmt.Sprintf("database db: not ready within %s", databasesPatience), CauseNotReady, databasesPatience + 10*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := previewing(t)
			w.app.PreviewPolicy.Postgres = &DatabaseClass{}
			w.basin = &basin{world: w, sick: test.sick}
			w.publish(t, withDatabase(seedPull(1, 0, 1)))
			w.wait(5 * time.Minute)
			s := w.releases[0].Status
			if s.Phase != Failed || s.Cause == nil || s.Cause.Kind != test.kind || !strings.HasPrefix(s.Cause.Message, test.want) || s.Cause.Setting != "databases.db" || w.releases[0].wrote() {
				t.Fatalf("got %s with %+v, want %s: %s", s.Phase, s.Cause, test.kind, test.want)
			}
			if took := s.At(StepVerdict).Sub(s.At(StepAdmitted)); took > test.within || len(w.ran) > 0 || len(w.jobs) > 0 {
				t.Errorf("got a verdict after %s and %v run, want it within %s and nothing", took, w.ran, test.within)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		w.app.PreviewPolicy.Postgres = &DatabaseClass{}
		w.basin = &basin{world: w, takes: 100 * time.Second}
		first, second := withDatabase(seedPull(1, 0, 1)), seedPull(2, 2, 3)
		w.tasks[second.image()] = task{end: predeployed()}
		w.seedTask(second, task{end: predeployed()})
		w.publish(t, first)
		w.runUntil(w.now().Add(time.Minute), func() {
			time.Sleep(20 * time.Second)
			w.publish(t, second)
		})
		if w.releases[0].Status.Phase != Superseded || w.releases[1].Status.Phase != Succeeded {
			t.Errorf("got %s and %s, want the second one at once", w.releases[0].Status.Phase, w.releases[1].Status.Phase)
		}
	})
}
