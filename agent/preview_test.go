package agent

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// previewStory is a pull request that is opened, pushed to, closed, opened again
// and closed again, with a build that was in flight when it was closed.
func previewStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	w.beLoud()
	w.allowPreviews()
	named := map[string]run{
		"opened": pull(1, 0, 1), "pushed": pull(3, 2, 3), "closed": closePull(4, 4, 5), "flying": pull(2, 1, 6),
		"reopened": pull(5, 7, 8), "closed again": closePull(6, 9, 10),
	}
	digests := map[string]string{}
	for name, r := range named {
		_, digests[name] = envelope(t, r)
	}
	for _, name := range []string{"opened", "pushed", "closed", "flying", "reopened", "closed again"} {
		w.tell(t, named[name])
	}
	return digests
}

func checkPreviewStory(t *testing.T, w *world, digests map[string]string) {
	t.Helper()
	if len(w.spaces) != 0 || len(w.releases) != 0 {
		t.Errorf("got namespaces %v and %d releases, want all gone", w.spaces, len(w.releases))
	}
	for name, want := range map[string]Conclusion{
		"opened": Success, "pushed": Success, "closed": Success, "flying": Neutral, "reopened": Success, "closed again": Success,
	} {
		if c := w.checks[digests[name]]; c.Status != Completed || c.Conclusion != want {
			t.Errorf("check of %q: got %s %s (%s), want completed %s", name, c.Status, c.Conclusion, c.Title, want)
		}
	}
	if w.made != len(digests) {
		t.Errorf("got %d check runs made for %d intents, want one each", w.made, len(digests))
	}
	for name, want := range map[string]string{"closed": "Preview removed", "flying": "the pull request was closed", "closed again": "Preview removed"} {
		c := w.checks[digests[name]]
		if !strings.Contains(c.Title+c.Summary, want) || c.Name != "inhaul / pr-7" {
			t.Errorf("check of %q: got %q %q %q, want %q in it", name, c.Name, c.Title, c.Summary, want)
		}
	}
	for _, name := range []string{"opened", "pushed", "reopened"} {
		if d := w.hub.deployments[digests[name]]; d.State != DeploymentInactive || !d.Transient {
			t.Errorf("deployment of %q: got %s, transient %t; want it inactive, and of a preview", name, d.State, d.Transient)
		}
	}
	if len(w.hub.deployments) != 3 {
		t.Errorf("got %d deployments, want those of the 3 releases", len(w.hub.deployments))
	}
	if c := slices.Collect(maps.Values(w.hub.comments)); len(c) != 1 || c[0].PullRequest != 7 || strings.Contains(c[0].Body, "https://pr-7.storefront.preview.example.com") {
		t.Errorf("got comments %+v, want one that has no address any more", c)
	}
	for name, digest := range digests {
		if last := w.hub.receipts[digest]; len(last) == 0 || !last[len(last)-1].Final {
			t.Errorf("receipts of %q: got %d, want a final one", name, len(last))
		}
	}
	p := w.pr7()
	if p.Phase != PreviewDestroyed || len(p.Remains) != 0 || p.Marks.LastNumber != 3 {
		t.Errorf("got preview %s with %d remains and %d releases ever, want it destroyed, without any, 3 releases", p.Phase, len(p.Remains), p.Marks.LastNumber)
	}
	for _, d := range p.Destroys {
		if d.DoneAt.IsZero() || d.Nothing {
			t.Errorf("got destroy %+v, want it done", d)
		}
	}
}

func TestPreviewStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		checkPreviewStory(t, w, previewStory(t, w))
		if want := []int{1, 2, 3}; fmt.Sprint(w.applied) != fmt.Sprint(want) {
			t.Errorf("got releases %v applied, want %v: each once", w.applied, want)
		}
	})
}

func TestPreviewStoryWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, previewStory, checkPreviewStory)
}

func TestPreviewWhileItIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		w.tell(t, pull(1, 0, 1))
		p := w.pr7()
		if p.Phase != PreviewActive || p.Namespace != "storefront-pr-7" || p.RepositoryID != 1234 || !p.LastPushAt.Equal(minutes(0)) || p.CreatedAt.IsZero() {
			t.Errorf("got %+v", p)
		}
		app := w.Apps()[0]
		i := slices.IndexFunc(app.Environments, func(e Environment) bool { return e.Name == "pr-7" })
		if i < 0 || app.Environments[i].Host != "pr-7.storefront.preview.example.com" || app.Environments[i].URL != "https://pr-7.storefront.preview.example.com" {
			t.Errorf("got environments %+v, want that of the preview too", app.Environments)
		}
		if len(w.app.Environments) != 2 || len(w.app.Status.Lines) != 0 || p.Marks.LastNumber != 1 || p.Marks.Current != 1 {
			t.Errorf("got lines %+v on the App and marks %+v on the preview, want all on the preview", w.app.Status.Lines, p.Marks)
		}
	})
}

// failedPolls counts looks at a registry that failed.
type failedPolls struct {
	unmetered
	failed atomic.Int64
}

func (p *failedPolls) Polled(_ string, err error) {
	if err != nil {
		p.failed.Add(1)
	}
}

func TestNothingOfAPreviewComesBackAsNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		previewStory(t, w)
		before := w.calls
		w.wait(35 * time.Second) // 4 looks at the registry
		if n := w.calls - before; n > 4 {
			t.Errorf("got %d calls within 35 s, want 4: what was decided is not fetched again", n)
		}
	})
}

func TestPreviewStaysWhereItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		w.tell(t, pull(1, 0, 1))
		w.app.PreviewPolicy.Namespace = "elsewhere-{number}"
		w.tell(t, pull(2, 2, 3))
		if len(w.spaces) != 1 || w.spaces["storefront-pr-7"] == nil || len(w.releases) != 2 {
			t.Errorf("got namespaces %v and %d releases, want the second one beside the first", w.spaces, len(w.releases))
		}
		w.tell(t, closePull(3, 4, 5), pull(4, 6, 7))
		if len(w.spaces) != 1 || w.spaces["elsewhere-7"] == nil {
			t.Errorf("made anew: got namespaces %v, want it where the App says now", w.spaces)
		}
	})
}

func TestEndOfAnotherRepositorysPreview(t *testing.T) {
	t.Parallel()
	p := Preview{Phase: PreviewActive, Repository: "acme/other", RepositoryID: 99}
	err := p.destroy(Destroy{Intent: "x", Source: intent.Source{Repository: "acme/storefront", RepositoryID: 1234}}, verified(t, closePull(1, 0, 1)), nil)
	if denied := (*Denied)(nil); !errors.As(err, &denied) || !strings.Contains(err.Error(), "acme/other") || p.Phase != PreviewActive {
		t.Errorf("got %v, %s; want it denied", err, p.Phase)
	}
}

func TestDestroyOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		_, digest := envelope(t, closePull(2, 2, 3))
		w.tell(t, closePull(2, 2, 3))
		if c := w.checks[digest]; c.Conclusion != Success || c.Title != "Nothing to remove" {
			t.Errorf("got %s %q, want success at once", c.Conclusion, c.Title)
		}
		_, late := envelope(t, pull(1, 0, 1))
		w.tell(t, pull(1, 0, 1))
		if c := w.checks[late]; c.Conclusion != Neutral || len(w.spaces) != 0 {
			t.Errorf("a build in flight: got %s and namespaces %v, want it superseded", c.Conclusion, w.spaces)
		}
	})
}

func TestDestroyCancelsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		opened := pull(1, 0, 1)
		_, digest := envelope(t, opened)
		w.onWatch = func(_ Release, s *ServiceObservation) { s.Pods = nil } // never ready
		ends := 0
		w.onShow = func(c Check) error {
			if c.ExternalID == digest && c.Status == Completed {
				ends++
			}
			return nil
		}
		w.publish(t, opened)
		began := w.now()
		w.runUntil(began.Add(time.Minute), func() {
			time.Sleep(25 * time.Second)
			w.publish(t, closePull(2, 2, 3))
		})
		if c := w.checks[digest]; c.Conclusion != Neutral || !strings.Contains(c.Title, "the pull request was closed") || ends != 1 {
			t.Errorf("got %s %q, said %d times; want it superseded by the end of the pull request, once", c.Conclusion, c.Title, ends)
		}
		if p := w.pr7(); p.Phase != PreviewDestroyed || p.DestroyedAt.Sub(began) > 35*time.Second {
			t.Errorf("got %s after %s, want it gone at once", p.Phase, p.DestroyedAt.Sub(began))
		}
	})
}

func TestNamespaceThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		w.tell(t, pull(1, 0, 1))
		w.spaces["storefront-pr-7"].stuck = true
		polls := &failedPolls{}
		w.pulse = polls
		_, digest := envelope(t, closePull(2, 2, 3))
		w.publish(t, closePull(2, 2, 3))
		w.wait(30 * time.Second)
		if c := w.checks[digest]; c.Status != InProgress || c.Title != "Removing the preview" {
			t.Errorf("after 30 s: got %s %q, want it under way", c.Status, c.Title)
		}
		w.wait(5 * time.Minute)
		if c := w.checks[digest]; c.Status != InProgress || !strings.Contains(c.Summary, "somebody's finalizer") {
			t.Errorf("after 5 minutes: got %s %q, want what holds it", c.Status, c.Summary)
		}
		if asked := w.spaces["storefront-pr-7"].asked; asked > 60 {
			t.Errorf("got %d looks within 6 minutes, want them ever rarer", asked)
		}
		other, again := push(3, 8, 9), pull(4, 10, 11)
		_, live := envelope(t, other)
		_, waits := envelope(t, again)
		w.tell(t, other, again)
		if w.checks[live].Conclusion != Success || w.checks[waits].Status != "" {
			t.Errorf("got %q for production and %q for the pull request opened again, want success and nothing yet", w.checks[live].Conclusion, w.checks[waits].Status)
		}
		if n := polls.failed.Load(); n > 0 {
			t.Errorf("got %d looks at the registry that failed, want none: they make all of the app slow", n)
		}
		w.spaces["storefront-pr-7"].stuck = false
		w.wait(time.Minute)
		if w.checks[digest].Conclusion != Success || w.checks[waits].Conclusion != Success || w.pr7().Phase != PreviewActive {
			t.Errorf("once it has ended: got %q, %q, %s", w.checks[digest].Conclusion, w.checks[waits].Conclusion, w.pr7().Phase)
		}
	})
}

func TestNamespaceOfSomebodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		w.spaces["storefront-pr-7"] = &space{}
		_, digest := envelope(t, pull(1, 0, 1))
		w.tell(t, pull(1, 0, 1), closePull(2, 2, 3))
		if c := w.checks[digest]; c.Conclusion != ActionRequired || !strings.Contains(c.Summary, "did not make it") {
			t.Errorf("got %s %q, want it refused", c.Conclusion, c.Summary)
		}
		if d := w.pr7().Destroys; len(d) != 1 || !d[0].Nothing {
			t.Errorf("got destroys %+v, want one that found nothing", d)
		}
		if there := w.spaces["storefront-pr-7"]; there == nil || there.asked != 0 || w.pr7().Phase != PreviewDestroyed {
			t.Errorf("got %+v, %s; want the namespace untouched and the preview over", there, w.pr7().Phase)
		}
	})
}

// TestNamespaceThatIsHiddenFromTheAgent is about somebody who changes its labels:
// what runs there goes on, and nobody is told that it is gone.
func TestNamespaceThatIsHiddenFromTheAgent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		w.hub.loud = true
		w.tell(t, pull(1, 0, 1))
		w.spaces["storefront-pr-7"].owner = "somebody"
		_, digest := envelope(t, closePull(2, 2, 3))
		w.tell(t, closePull(2, 2, 3))
		if c := w.checks[digest]; c.Conclusion != Neutral || !strings.Contains(c.Title, "Not removed") || !strings.Contains(c.Summary, "kubectl delete namespace storefront-pr-7") {
			t.Errorf("got %s %q %q, want that it was left alone", c.Conclusion, c.Title, c.Summary)
		}
		if c := w.hub.comments["7"+commentMarker("storefront")]; strings.Contains(c.Body, "Gone") || !strings.Contains(c.Body, "Left alone") {
			t.Errorf("got comment %q, want that it was left alone", c.Body)
		}
		if d := w.pr7().Destroys; w.spaces["storefront-pr-7"] == nil || w.pr7().Phase != PreviewDestroyed || len(d) != 1 || !d[0].Kept {
			t.Errorf("got %s and destroys %+v, want it over and kept", w.pr7().Phase, d)
		}
	})
}

func TestRecordsOfPreviewsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		w.tell(t, pull(1, 0, 1), closePull(2, 2, 3))
		later := func(d time.Duration) { // nobody works meanwhile
			w.born = w.born.Add(-d)
			w.wait(time.Minute)
		}
		later(7 * 24 * time.Hour)
		if w.pr7().Phase != PreviewDestroyed {
			t.Error("the record went while an older intent could come")
		}
		later(2 * time.Hour)
		if p := w.pr7(); p.Phase != "" {
			t.Errorf("got %s after 7 days and some hours, want no record", p.Phase)
		}
	})
}

func TestMarksOfAPreviewAreItsOwn(t *testing.T) {
	t.Parallel()
	app := testApp(t)
	line := Line{App: "storefront", Environment: "pr-7"}
	app = app.With([]Preview{{Line: line, Phase: PreviewDestroyed, Marks: LineMarks{LastNumber: 3}}, {Line: Line{App: "other", Environment: "pr-7"}}})
	if len(app.Environments) != 2 || len(app.Previews) != 1 {
		t.Fatalf("got environments %v, want the declared ones: the preview is gone", app.Environments)
	}
	status := app.Status
	status.forget("pr-7", minutes(9))
	status.forget("pr-8", minutes(9))
	status.forget("staging", minutes(9))
	changed := app.Part(&status)
	if len(changed) != 1 || changed[0].Marks.LastNumber != 3 || !changed[0].Marks.ForgottenBefore.Equal(minutes(9)) {
		t.Errorf("got %+v, want the mark on the preview", changed)
	}
	if len(status.Lines) != 1 || status.Lines[0].Environment != "staging" {
		t.Errorf("got lines %+v left, want the App's own", status.Lines)
	}
}

func TestDecidedIntentsAreBounded(t *testing.T) {
	t.Parallel()
	var p Preview
	for n := range maxDecided + 2 {
		p.settle(minutes(n), Decided{Intent: fmt.Sprint(n), IssuedAt: minutes(n)})
	}
	if len(p.Decided) != maxDecided || p.Decided[0].Intent != "2" || !p.Marks.ForgottenBefore.Equal(minutes(1)) {
		t.Errorf("got %d decided from %q on, forgotten before %s", len(p.Decided), p.Decided[0].Intent, p.Marks.ForgottenBefore)
	}
	p.settle(minutes(1).Add(intent.MaxValidity + intent.MaxClockSkew + time.Hour))
	if len(p.Decided) != maxDecided-59 {
		t.Errorf("got %d decided, want those away that have expired", len(p.Decided))
	}
}

// Each end has a check of its own, on the head commit that it was asked from.
func TestACommentOnOneEndMovesNoOther(t *testing.T) {
	t.Parallel()
	w := previewing(t)
	p := Preview{Line: Line{App: "storefront", Environment: "pr-7"}, Phase: PreviewDestroyed, Destroys: []Destroy{{Intent: "first"}, {Intent: "second"}}}
	w.keepPreview(p)
	a := New(Ports{Previews: w}, Config{Now: w.now})
	m := p.Destroys[1].message(p, WayComment, view{})
	m.head = "beef"
	if err := a.recordEnd(t.Context(), p, m, true, 8); err != nil {
		t.Fatal(err)
	}
	got := w.pr7().Destroys
	if got[0].ReportedOn != "" || got[1].ReportedOn != "beef" || got[0].shown(WayComment).ID != 8 || got[1].shown(WayComment).ID != 8 {
		t.Errorf("got %+v, want both told of, and the head of the second alone", got)
	}
}
