package agent

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// pullOf is a run of a pull request, which deploys its preview.
func pullOf(number int, n int64, eventAt, issuedAt int) run {
	r := push(n, eventAt, issuedAt)
	r.change = pullRequest(number)
	return r
}

func closeOf(number int, n int64, eventAt, issuedAt int) run {
	r := pullOf(number, n, eventAt, issuedAt)
	r.change = func(p *intent.Predicate) {
		pullRequest(number)(p)
		p.Kind, p.Spec = intent.Destroy, nil
	}
	return r
}

func (w *world) previewOf(number int) Preview {
	p, _ := w.Preview(Line{App: "storefront", Environment: previewEnvironment(number)})
	return p
}

// standings is the phase of every preview, by number.
func (w *world) standings() string {
	all := map[int]PreviewPhase{}
	for number := 1; number < 10; number++ {
		if p := w.previewOf(number); p.Phase != "" {
			all[number] = p.Phase
		}
	}
	return fmt.Sprint(all)
}

// capped is a world whose app may have so many previews, and that says so whenever
// there are more.
func (w *world) capped(t *testing.T, limit int) {
	t.Helper()
	w.beLoud()
	w.allowPreviews()
	w.app.PreviewPolicy.Max, w.app.PreviewPolicy.KeepLabel = limit, "keep"
	w.onMake = func(r Release) error {
		n := len(w.spaces)
		if w.spaces[r.Namespace] == nil {
			n++
		}
		if n > limit {
			t.Errorf("release %d of %s: got %d namespaces, want at most %d", r.Number, r.Line, n, limit)
		}
		return nil
	}
}

func (w *world) commentOn(number int) string {
	return w.hub.comments[fmt.Sprint(number)+commentMarker("storefront")].Body
}

func (w *world) label(number int, labels ...string) {
	p := w.previewOf(number)
	p.Labels = labels
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keepPreview(p)
}

// A cap of 5 with 8 pull requests: three make room, the right ones, are told so, and are
// back when there is room.
func TestEightPullRequestsWithACapOfFive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.capped(t, 5)
		digests := map[int]string{}
		for number := 1; number <= 5; number++ {
			opened := pullOf(number, int64(number), number, number)
			_, digests[number] = envelope(t, opened)
			w.tell(t, opened)
		}
		w.label(1, "keep")
		w.tell(t, pullOf(2, 6, 6, 6)) // so that 3, 4 and 5 have been idle longest of those that may go
		for number := 6; number <= 8; number++ {
			w.tell(t, pullOf(number, int64(number+4), number+4, number+4))
		}
		if got, want := w.standings(), "map[1:Active 2:Active 3:Waiting 4:Waiting 5:Waiting 6:Active 7:Active 8:Active]"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		for number := 1; number <= 8; number++ {
			told := strings.Contains(w.commentOn(number), "Made room for another preview") && strings.Contains(w.commentOn(number), "comes back by itself when there is room, or with the next push")
			if went := number >= 3 && number <= 5; told != went {
				t.Errorf("pull request %d: got comment %q, told %t, want %t", number, w.commentOn(number), told, went)
			}
		}
		for number := 3; number <= 5; number++ {
			if c := w.checks[digests[number]]; c.Conclusion != Neutral || !strings.Contains(c.Title, "Made room for another preview") {
				t.Errorf("pull request %d: got check %s %q, want neutral, and why", number, c.Conclusion, c.Title)
			}
			if d := w.hub.deployments[digests[number]]; d.State != DeploymentInactive || !strings.Contains(d.Description, "Made room for another preview") {
				t.Errorf("pull request %d: got deployment %s %q, want it inactive, and why", number, d.State, d.Description)
			}
		}
		w.tell(t, closeOf(6, 20, 20, 20))
		if p := w.previewOf(5); p.Phase != PreviewActive || w.previewOf(4).Phase != PreviewWaiting {
			t.Errorf("got %s, want 5 back: its push is the newest that waits", w.standings())
		}
		w.app.PreviewPolicy.Max = 7
		w.onMake = nil
		w.run()
		if got, want := w.standings(), "map[1:Active 2:Active 3:Active 4:Active 5:Active 6:Destroyed 7:Active 8:Active]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for number := 3; number <= 5; number++ {
			releases := w.Releases(Line{App: "storefront", Environment: previewEnvironment(number)})
			if len(releases) != 1 || releases[0].Number != 2 || releases[0].Status.Phase != Succeeded || releases[0].Image != pullOf(number, int64(number), 0, 0).image() {
				t.Errorf("pull request %d: got %+v, want its last image again as release 2", number, releases)
				continue
			}
			if d, c := w.hub.deployments[releases[0].Intent], w.checks[releases[0].Intent]; d.State != DeploymentSuccess || c.Conclusion != Success || !strings.Contains(w.commentOn(number), "✅ Live") {
				t.Errorf("pull request %d: got %s, %s, %q; want it live", number, d.State, c.Conclusion, w.commentOn(number))
			}
			if p := w.previewOf(number); p.Waiting != nil || len(p.Remains) != 0 {
				t.Errorf("pull request %d: got %+v, want nothing left to do", number, p)
			}
		}
	})
}

// roomStory is three pull requests with a cap of two: the first makes room, comes back
// when the second is closed, and the third waits for what is kept.
func roomStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	w.capped(t, 2)
	runs := map[string]run{
		"first": pullOf(1, 1, 1, 1), "second": pullOf(2, 2, 2, 2), "third": pullOf(3, 3, 3, 3), "closed": closeOf(2, 4, 4, 4),
		"fourth": pullOf(4, 5, 5, 5), "fourth again": pullOf(4, 6, 6, 6), "third closed": closeOf(3, 7, 7, 7),
	}
	digests := map[string]string{}
	for name, r := range runs {
		_, digests[name] = envelope(t, r)
	}
	w.tell(t, runs["first"], runs["second"], runs["third"], runs["closed"])
	w.label(1, "keep")
	w.label(3, "keep")
	w.tell(t, runs["fourth"])
	w.tell(t, runs["fourth again"], runs["third closed"])
	return digests
}

func checkRoomStory(t *testing.T, w *world, digests map[string]string) {
	t.Helper()
	if got, want := w.standings(), "map[1:Active 2:Destroyed 3:Destroyed 4:Active]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(len(w.spaces), len(w.releases), len(w.hub.deployments)), "2 2 5"; got != want {
		t.Errorf("got %s namespaces, releases and deployments, want %s", got, want)
	}
	for name, want := range map[string]Conclusion{
		"first": Neutral, "second": Success, "third": Success, "closed": Success, "fourth": Neutral, "fourth again": Success, "third closed": Success,
	} {
		if c := w.checks[digests[name]]; c.Conclusion != want {
			t.Errorf("check of %q: got %s %s (%s), want %s", name, c.Status, c.Conclusion, c.Title, want)
		}
		if last := w.hub.receipts[digests[name]]; len(last) == 0 || !last[len(last)-1].Final {
			t.Errorf("receipts of %q: got %d, want a final one", name, len(last))
		}
	}
	if w.made != len(digests)+1 {
		t.Errorf("got %d check runs, want one for each intent and one for the first's return", w.made)
	}
	if c := w.checks[digests["fourth"]]; !strings.Contains(c.Title, "Superseded by") {
		t.Errorf("got %q, want what waited superseded by the newer push", c.Title)
	}
	for _, number := range []int{1, 4} {
		if !strings.Contains(w.commentOn(number), "✅ Live") {
			t.Errorf("pull request %d: got comment %q, want it live", number, w.commentOn(number))
		}
		if p := w.previewOf(number); p.Waiting != nil || len(p.Remains) != 0 {
			t.Errorf("pull request %d: got %+v, want nothing left to do", number, p)
		}
	}
	slices.Sort(w.applied)
	if got, want := fmt.Sprint(slices.Compact(slices.Clone(w.applied))), "[1 2]"; got != want || len(w.applied) < 5 {
		t.Errorf("got releases %v applied", w.applied)
	}
}

func TestRoomStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		checkRoomStory(t, w, roomStory(t, w))
		if want := "[1 1 1 1 2]"; fmt.Sprint(w.applied) != want {
			t.Errorf("got releases %v applied, want %v: each once", w.applied, want)
		}
	})
}

func TestRoomStoryWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, roomStory, checkRoomStory)
}

// waits is a world with one preview, which is kept and has the only place, and the
// digest of the intent that waits for it.
func waits(t *testing.T) (w *world, digest string) {
	t.Helper()
	w = newWorld(t)
	w.capped(t, 1)
	w.tell(t, pullOf(1, 1, 1, 1))
	w.label(1, "keep")
	newcomer := pullOf(2, 2, 2, 2)
	_, digest = envelope(t, newcomer)
	w.tell(t, newcomer)
	return w, digest
}

func TestNewcomerWithoutRoomWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, digest := waits(t)
		if c := w.checks[digest]; c.Status != Queued || !strings.Contains(c.Title, "Waiting for room") || !strings.Contains(c.Summary, "kept by a label") {
			t.Errorf("got check %s %q %q, want what it waits for", c.Status, c.Title, c.Summary)
		}
		if !strings.Contains(w.commentOn(2), "Waiting for room") || len(w.hub.deployments) != 1 {
			t.Errorf("got comment %q and %d deployments", w.commentOn(2), len(w.hub.deployments))
		}
		w.envelopes, w.notices = map[string][]byte{}, nil // its tag is gone from the registry
		w.wait(30 * time.Minute)
		w.label(1)
		w.run()
		if c := w.checks[digest]; c.Conclusion != Success || !strings.Contains(w.commentOn(2), "✅ Live") {
			t.Errorf("got %s %q, want it live once the label is off", c.Conclusion, c.Title)
		}
		if r := w.Releases(Line{App: "storefront", Environment: "pr-2"}); len(r) != 1 || r[0].Status.At(StepVerdict).Sub(r[0].Status.At(StepNoticed)) > time.Minute {
			t.Errorf("got %+v, want no waiting in the time that it took", r)
		}
		if got, want := w.standings(), "map[1:Waiting 2:Active]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestWaitingEndsWithThePullRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, digest := waits(t)
		closed := closeOf(2, 3, 3, 3)
		_, end := envelope(t, closed)
		w.tell(t, closed, closeOf(1, 4, 4, 4))
		if c, e := w.checks[digest], w.checks[end]; c.Conclusion != Neutral || e.Conclusion != Success {
			t.Errorf("got %s %q and %s %q, want neutral and success", c.Conclusion, c.Title, e.Conclusion, e.Title)
		}
		if w.standings() != "map[1:Destroyed 2:Destroyed]" || len(w.spaces) != 0 || strings.Contains(w.commentOn(2), "Waiting") {
			t.Errorf("got %s and comment %q, want nothing to come", w.standings(), w.commentOn(2))
		}
	})
}

func TestWaitingEndsWithASweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, digest := waits(t)
		a := New(Ports{Apps: w, Reader: w, Previews: w, Records: w, Checks: w}, Config{Now: w.now, Logger: slog.New(slog.DiscardHandler)})
		a.lines = newTurns(t.Context(), func(context.Context, Line) error { return nil }, nil)
		a.reports = newTurns(t.Context(), func(context.Context, target) error { return nil }, nil)
		if err := a.endPreview(t.Context(), Line{App: "storefront", Environment: "pr-2"}, EndClosed); err != nil {
			t.Fatal(err)
		}
		w.tell(t, closeOf(1, 4, 4, 4))
		if c := w.checks[digest]; c.Conclusion != Neutral || !strings.Contains(c.Title, "as GitHub says") || w.standings() != "map[1:Destroyed 2:Destroyed]" {
			t.Errorf("got %s %q, %s; want it over", c.Conclusion, c.Title, w.standings())
		}
	})
}

func TestPolicyIsAskedAgainWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, digest := waits(t)
		w.app.Images = []string{"registry.example/acme/other"}
		w.tell(t, closeOf(1, 4, 4, 4))
		if c := w.checks[digest]; c.Conclusion != ActionRequired || !strings.Contains(c.Summary, "image repository") {
			t.Errorf("got %s %q, want it denied", c.Conclusion, c.Summary)
		}
		if p := w.previewOf(2); p.Phase != PreviewDestroyed || p.Waiting != nil {
			t.Errorf("got %+v, want it not to wait any more", p)
		}
		if last := w.hub.receipts[digest]; len(last) == 0 || !last[len(last)-1].Final {
			t.Errorf("got receipts %+v, want a final one", last)
		}
	})
}

func TestWaitingEndsWithAllPreviews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, digest := waits(t)
		w.label(1)
		w.app.PreviewPolicy = nil
		w.run()
		if c := w.checks[digest]; c.Conclusion != ActionRequired || !strings.Contains(c.Summary, "spec.previews") {
			t.Errorf("got %s %q, want it denied: there are no previews any more", c.Conclusion, c.Summary)
		}
		if got, want := w.standings(), "map[1:Active 2:Destroyed]"; got != want {
			t.Errorf("got %s, want %s: nobody goes", got, want)
		}
	})
}

func TestLowerCapHasNobodyGoAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.capped(t, 3)
		w.tell(t, pullOf(1, 1, 1, 1), pullOf(2, 2, 2, 2), pullOf(3, 3, 3, 3))
		w.app.PreviewPolicy.Max = 2
		w.run()
		if got, want := w.standings(), "map[1:Active 2:Active 3:Active]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.capped(t, 2)
		w.tell(t, pullOf(4, 4, 4, 4))
		if got, want := w.standings(), "map[1:Waiting 2:Waiting 3:Active 4:Active]"; got != want {
			t.Errorf("with a newcomer: got %s, want %s", got, want)
		}
	})
}

func TestPushToWhatMadeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.capped(t, 1)
		w.tell(t, pullOf(1, 1, 1, 1), pullOf(2, 2, 2, 2), pullOf(1, 3, 3, 3))
		if got, want := w.standings(), "map[1:Active 2:Waiting]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if r := w.Releases(Line{App: "storefront", Environment: "pr-1"}); len(r) != 1 || r[0].Number != 2 || r[0].Image != pullOf(1, 3, 3, 3).image() {
			t.Errorf("got %+v, want the newer push", r)
		}
		late := pullOf(2, 1, 1, 9) // a build in flight of what made room
		_, digest := envelope(t, late)
		w.tell(t, late)
		if c := w.checks[digest]; c.Conclusion != Neutral || strings.Contains(c.Summary, "closed") {
			t.Errorf("got %s %q, want it superseded, and not for a pull request that was closed", c.Conclusion, c.Summary)
		}
	})
}

// TestWhatComesInEndsForGood: a preview that has a place again, and whose release could
// not be made yet, is closed without an event.
func TestWhatComesInEndsForGood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := sweeps(t)
		w.tell(t, pull(1, 0, 1))
		w.mu.Lock()
		p := w.previews[0]
		p.Waiting = &Parked{Since: w.now(), Evicted: true, Release: w.releases[0].again()}
		w.keepPreview(p)
		w.onMake = func(Release) error { return errDown }
		w.mu.Unlock()
		w.shut()
		w.wait(5 * time.Minute)
		if p := w.pr7(); p.Phase != PreviewDestroyed || p.Waiting != nil || len(w.spaces) != 0 {
			t.Errorf("got a preview that is %s and waits with %v, want it gone for good", p.Phase, p.Waiting)
		}
	})
}
