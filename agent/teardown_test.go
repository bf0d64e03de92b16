package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// seededPreview is a world with a live preview whose teardown goes like that.
func seededPreview(t *testing.T, goes task) *world {
	t.Helper()
	w := previewing(t)
	w.hub.loud = true
	w.app.PreviewPolicy.TeardownTimeout = 30 * time.Second
	r := seedPull(1, 0, 1)
	w.tasks[r.image()] = task{end: predeployed()}
	w.seedTask(r, task{end: predeployed()})
	w.teardownTask(r, goes)
	w.tell(t, r)
	if w.pr7().SeededAt.IsZero() {
		t.Fatalf("got %+v, want it seeded", w.releases)
	}
	return w
}

// TestNothingKeepsAPreviewFromGoing is about teardowns that go wrong in every way.
func TestNothingKeepsAPreviewFromGoing(t *testing.T) {
	t.Parallel()
	stuck := PredeployObservation{Pods: []PodObservation{stuckPod("teardown-x", ContainerObservation{Name: "teardown", Waiting: "ImagePullBackOff", Message: "not found"})}}
	for _, test := range []struct {
		name   string
		goes   task
		onTask func(Release, TaskKind) error
		told   string // empty: it ended well, or nothing is told
		after  time.Duration
	}{
		{"it ends well", task{takes: 5 * time.Second, end: predeployed()}, nil, "", 10 * time.Second},
		{"it fails", task{end: exited(1)}, nil, "teardown failed: exit code 1", 5 * time.Second},
		{"its image is gone", task{end: stuck}, nil, "teardown failed: the image cannot be pulled", 31 * time.Second},
		{"it takes too long", task{takes: time.Hour}, nil, "teardown failed: not done within 30s", 31 * time.Second},
		{"no pod is made", task{end: PredeployObservation{}}, nil, "teardown failed: not done within 30s", 31 * time.Second},
		{"its Job is refused", task{}, func(Release, TaskKind) error {
			return &Rejected{Object: Object{Kind: "Job", Name: "x"}, Message: "exceeded quota: inhaul-preview"}
		}, "exceeded quota", 5 * time.Second},
		{"the API server does not answer", task{}, func(Release, TaskKind) error { return errors.New("connection refused") }, "connection refused", 31 * time.Second},
		{"the namespace is somebody's", task{}, func(Release, TaskKind) error { return ErrForeign }, "", 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := seededPreview(t, test.goes)
				w.onTask = test.onTask
				_, digest := envelope(t, closePull(2, 2, 3))
				w.publish(t, closePull(2, 2, 3))
				w.wait(2 * time.Minute)
				p := w.pr7()
				if len(w.spaces) != 0 || p.Phase != PreviewDestroyed || p.TornDownAt.IsZero() {
					t.Fatalf("got %s, torn down at %s, namespaces %v; want it gone", p.Phase, p.TornDownAt, w.spaces)
				}
				d := p.Destroys[0]
				if took := d.DoneAt.Sub(d.At); took > test.after+2*time.Second {
					t.Errorf("got it gone after %s, want it within %s", took, test.after)
				}
				c := w.checks[digest]
				if c.Conclusion != Success || !strings.Contains(c.Summary, test.told) || strings.Contains(c.Summary, "teardown failed") != (test.told != "") {
					t.Errorf("got %s %q, want %q told", c.Conclusion, c.Summary, test.told)
				}
				if test.told != "" && !strings.Contains(c.Summary, "the preview was removed all the same") {
					t.Errorf("got %q, want that it was removed all the same", c.Summary)
				}
				if body := w.hub.comments["7"+commentMarker("storefront")].Body; strings.Contains(body, "teardown failed") != (test.told != "") {
					t.Errorf("got comment %q, want the teardown's failure in it: %t", body, test.told != "")
				}
				if want := test.onTask == nil; slices.Contains(w.ran, "teardown 1") != want {
					t.Errorf("got %v run, want the teardown: %t", w.ran, want)
				}
			})
		})
	}
}

// TestACrashLoopDoesNotProlongATeardown is about an agent that dies every 5 seconds.
func TestACrashLoopDoesNotProlongATeardown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := seededPreview(t, task{takes: time.Hour})
		w.publish(t, closePull(2, 2, 3))
		began := w.now()
		for w.pr7().Phase != PreviewDestroyed && w.now().Sub(began) < 5*time.Minute {
			w.wait(5 * time.Second)
		}
		if took := w.now().Sub(began); w.pr7().Phase != PreviewDestroyed || took > 40*time.Second {
			t.Errorf("got %s after %s, want it gone in 30 s and a moment", w.pr7().Phase, took)
		}
		if n := len(slices.DeleteFunc(slices.Clone(w.ran), func(s string) bool { return !strings.HasPrefix(s, "teardown") })); n != 1 {
			t.Errorf("got %d teardowns, want one", n)
		}
	})
}

func TestTheTimeOfATeardown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		app  func(*world)
		want time.Duration
	}{
		"as the platform owner says": {func(w *world) { w.app.PreviewPolicy.TeardownTimeout = 2 * time.Minute }, 2 * time.Minute},
		"without the App":            {func(w *world) { w.gone = true }, defaultTeardown},
		"without previews":           {func(w *world) { w.app.PreviewPolicy = nil }, defaultTeardown},
	} {
		w := previewing(t)
		test.app(w)
		if got := New(Ports{Apps: w}, Config{}).teardownLimit(Line{App: "storefront", Environment: "pr-7"}); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

func TestWhichReleaseTearsDown(t *testing.T) {
	t.Parallel()
	of := func(number int, phase Phase, has bool) Release {
		r := Release{Number: number, Status: Status{Phase: phase}}
		if has {
			r.App.Teardown = &spec.Task{}
		}
		return r
	}
	for name, test := range map[string]struct {
		releases []Release
		want     int // 0: none
	}{
		"the newest that succeeded":       {[]Release{of(1, Succeeded, true), of(2, Succeeded, true), of(3, Failed, true)}, 2},
		"the newest, if none did":         {[]Release{of(1, Failed, true), of(2, Superseded, true)}, 2},
		"none, if what serves has none":   {[]Release{of(1, Succeeded, true), of(2, Succeeded, false)}, 0},
		"none of what was never deployed": {nil, 0},
	} {
		if got, found := tearing(test.releases); got.Number != test.want || found != (test.want != 0) {
			t.Errorf("%s: got release %d, want %d", name, got.Number, test.want)
		}
	}
}
