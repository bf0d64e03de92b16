package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// requestStory is two pushes, a rollback that is asked for in the cluster, and a
// build that was in flight meanwhile.
func requestStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	digests := map[string]string{}
	step := func(do func()) {
		do()
		w.run()
		if w.died() {
			w.run()
		}
	}
	v1, v2, flying := push(1, 0, 1), push(2, 2, 3), push(4, 2, 9)
	for name, r := range map[string]run{"v1": v1, "v2": v2, "flying": flying} {
		_, digests[name] = envelope(t, r)
	}
	step(func() { w.publish(t, v1) })
	step(func() { w.publish(t, v2) })
	step(func() { w.ask("back", "previous") })
	step(func() { w.publish(t, flying) })
	digests["back"] = Request{UID: "uid of back"}.intent()
	return digests
}

func checkRequestStory(t *testing.T, w *world, digests map[string]string) {
	t.Helper()
	if len(w.releases) != 3 {
		t.Fatalf("got %d releases, want 3", len(w.releases))
	}
	r := w.releases[2]
	want := Release{
		Line: r.Line, Namespace: "storefront-production", Number: 3, Intent: digests["back"], Kind: intent.Rollback,
		Reason: ReasonRollback, Restore: 1, Image: w.releases[0].Image,
	}
	got := Release{
		Line: r.Line, Namespace: r.Namespace, Number: r.Number, Intent: r.Intent, Kind: r.Kind,
		Reason: r.Reason, Restore: r.Restore, Image: r.Image,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || r.Status.Phase != Succeeded {
		t.Errorf("got %v, %s\nwant %v", got, r.Status.Phase, want)
	}
	if r.Source.Actor != "alice" || r.Source.RunID != 0 || r.Source.Repository != "acme/storefront" || r.Source.Commit != w.releases[0].Source.Commit ||
		r.Evidence.Scheme != "kubernetes" || r.Evidence.Claims["user"] != "alice" {
		t.Errorf("got source %+v and evidence %+v, want alice's wish for the first commit", r.Source, r.Evidence)
	}
	if w.live["web"] != w.releases[0].Image {
		t.Errorf("got %s live, want the first image", w.live["web"])
	}
	answers := w.answers()
	if len(answers) != 1 || answers[0].Phase != RequestAdmitted || answers[0].Release != 3 || answers[0].Restore != 1 || answers[0].At.IsZero() {
		t.Errorf("got the answers %+v, want release 3", answers)
	}
	for name, want := range map[string]Conclusion{"v1": Success, "v2": Success, "back": Success, "flying": Neutral} {
		if c := w.checks[digests[name]]; c.Status != Completed || c.Conclusion != want {
			t.Errorf("check of %s: got %s %s (%s), want completed %s", name, c.Status, c.Conclusion, c.Title, want)
		}
	}
	if back := w.checks[digests["back"]]; back.Commit != w.releases[0].Source.Commit || !strings.Contains(back.Text, "Asked for in the cluster by alice") {
		t.Errorf("got a check on %s: %s", back.Commit, back.Text)
	}
	if flying := w.checks[digests["flying"]]; !strings.Contains(flying.Summary, "a rollback holds") {
		t.Errorf("the build in flight was told: %s", flying.Summary)
	}
	marks := w.app.Status.Lines[0]
	if _, polluted := marks.Workflows[""]; polluted || marks.LastRunID != 1002 || marks.LastNumber != 3 || marks.Current != 3 || marks.LastRollbackBy != w.releases[0].Source.Commit {
		t.Errorf("got the marks %+v", marks)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		checkRequestStory(t, w, requestStory(t, w))
	})
}

// TestRequestWithADeathInEveryCall kills the agent in each of its calls.
func TestRequestWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, requestStory, checkRequestStory)
}

// TestRequestNeedsNeitherRegistryNorGitHub asks while the registry does not
// answer and GitHub is down, and during a rollout that never ends.
func TestRequestNeedsNeitherRegistryNorGitHub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.onWatch = func(r Release, o *ServiceObservation) { o.Pods[0].Ready = r.Number != 2 }
		w.publish(t, push(1, 0, 1))
		w.run()
		w.publish(t, push(2, 2, 3))
		w.runUntil(w.now().Add(25*time.Second), nil)
		if w.releases[1].Status.Phase != RollingOut {
			t.Fatalf("release 2: got %s, want it under way", w.releases[1].Status.Phase)
		}
		w.onList = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w.onShow = func(Check) error { return errors.New("GitHub is down") }
		w.runUntil(w.now().Add(3*time.Second), func() {
			time.Sleep(time.Second)
			w.ask("back", "previous")
		})
		if len(w.releases) != 3 || w.releases[2].Status.Phase != Succeeded || w.releases[1].Status.Phase != Superseded {
			t.Fatalf("got %v, want release 2 superseded and release 3 live, two seconds after it was asked for", w.answers())
		}
		if took := w.releases[2].Status.At(StepVerdict).Sub(w.releases[2].IssuedAt); took > time.Second {
			t.Errorf("it took %s with a cluster that takes no time", took)
		}
	})
}

// TestRequestIsTriedEverMoreSlowly is about an API server that does not tell who
// asks, for an hour of looks at what is asked for.
func TestRequestIsTriedEverMoreSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.desk.trouble = errors.New("no answer")
		w.publish(t, push(1, 0, 1))
		w.run()
		w.ask("back", "1")
		w.runUntil(w.now().Add(time.Hour-settled), nil)
		if n := w.desk.vouched; n < 60 || n > 130 { // after 1/2 s, 1 s, 2 s, … a minute
			t.Errorf("got %d tries in an hour, want the waits between them kept", n)
		}
	})
}

// TestRequestByTwo asks twice at once: both want the same, and the check runs and
// numbers are their own.
func TestRequestByTwo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range 3 {
			w.publish(t, push(int64(n+1), 2*n, 2*n+1))
			w.run()
		}
		w.runUntil(w.now().Add(settled), func() {
			w.ask("one", "previous")
			w.ask("two", "previous")
		})
		var got []string
		for _, answer := range w.answers() {
			got = append(got, fmt.Sprint(answer.Phase, " ", answer.Release, answer.Restore))
		}
		if want := []string{"Admitted 4 2", "Admitted 5 2"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestRequestBesideAnIntent loses the number of its release to an intent that is
// admitted at the same moment, and takes the next one.
func TestRequestBesideAnIntent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range 2 {
			w.publish(t, push(int64(n+1), 2*n, 2*n+1))
			w.run()
		}
		lost := false
		w.onMake = func(r Release) error {
			if lost || r.Evidence.Scheme != requestScheme {
				return nil
			}
			lost = true
			other := released(t, push(3, 4, 5))[0]
			other.Number, other.Status.Phase = r.Number, Pending
			return w.write(&other)
		}
		w.ask("back", "1")
		w.run()
		if answer := w.answers()[0]; answer.Phase != RequestAdmitted || answer.Release != 4 || w.releases[3].Status.Phase != Succeeded || w.live["web"] != w.releases[0].Image {
			t.Errorf("got %+v, %s, and %s live; want release 4 live", answer, w.releases[3].Status.Phase, w.live["web"])
		}
	})
}

// TestRequestsOfOneSecond are told apart by their numbers: what holds is the later
// one's commit.
func TestRequestsOfOneSecond(t *testing.T) {
	t.Parallel()
	releases := released(t, push(1, 0, 1), push(2, 2, 3), push(3, 3, 4))
	for _, to := range []string{"1", "2"} {
		r := requested(to)
		r.UID = to
		back, err := r.release(testApp(t), releases, r.CreatedAt)
		if err != nil {
			t.Fatal(err)
		}
		back.Status.Phase = Succeeded
		releases = append(releases, back)
	}
	marks := history(testApp(t), requested("1").Line, releases).Marks
	if marks.LastRollbackBy != releases[1].Source.Commit || !marks.LastRollbackAt.Equal(minutes(5)) {
		t.Errorf("got a rollback of %s to %s, want the second commit", marks.LastRollbackAt, marks.LastRollbackBy)
	}
}

// TestRequestsBesideRuns takes what comes after a rollback that no run asked for.
func TestRequestsBesideRuns(t *testing.T) {
	t.Parallel()
	again := func(r run, attempt int64, issuedAt int) run {
		r.attempt, r.issuedAt = attempt, minutes(issuedAt)
		return r
	}
	for _, test := range []struct {
		name   string
		next   run
		want   Outcome
		reason Reason
		rule   string
	}{
		{"a newer push", push(3, 6, 7), OutcomeAdmit, ReasonNewest, ""},
		{"a newer push by a clock that is behind", push(3, 5, 5), OutcomeAdmit, ReasonNewest, ""},
		{"a build in flight", push(3, 4, 6), OutcomeSuperseded, "", "order: a rollback holds"},
		{"a slow old build", push(1, 0, 8), OutcomeDenied, "", "order: one intent per run attempt"},
		{"the newest run again", again(push(2, 2, 3), 2, 8), OutcomeRedeploy, ReasonRedeploy, ""},
		{"an older run again", again(push(1, 0, 1), 2, 8), OutcomeRollback, ReasonRollback, ""},
		{"a workflow of its own", push(9, 8, 9), OutcomeAdmit, ReasonNewest, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			releases := released(t, push(1, 0, 1), push(2, 2, 3))
			r := requested("1")
			back, err := r.release(testApp(t), releases, r.CreatedAt)
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, back)
			d := Order(history(testApp(t), r.Line, releases), verified(t, test.next), false)
			if d.Outcome != test.want || d.Rule != test.rule || test.reason != "" && reasonOf(d) != test.reason {
				t.Errorf("got %s by %q (%s), want %s by %q", d.Outcome, d.Rule, d.Message, test.want, test.rule)
			}
		})
	}
}

// requested is a request of five past noon.
func requested(to string) Request {
	return Request{
		Line: Line{App: "storefront", Environment: "production"}, Namespace: "storefront-production", Name: "back", UID: "1",
		To: to, By: "alice", CreatedAt: minutes(5),
	}
}

// released are the releases of runs, all of which succeeded.
func released(t *testing.T, runs ...run) []Release {
	t.Helper()
	var releases []Release
	for i, r := range runs {
		v := verified(t, r)
		p := v.Statement().Predicate
		releases = append(releases, Release{
			Line: Line{App: p.App, Environment: p.Environment}, Namespace: "storefront-production", Number: i + 1,
			Intent: v.Digest(), Kind: p.Kind, Reason: ReasonNewest, Image: v.Statement().Image(), App: *p.Spec, Source: p.Source, IssuedAt: p.IssuedAt,
			Status: Status{Phase: Succeeded, Timeline: []Moment{{StepVerdict, p.IssuedAt}}},
		})
	}
	return releases
}

// TestRequestOfABrokenRule is about an incident in which somebody has also broken
// the App's rules: going back needs none of them.
func TestRequestOfABrokenRule(t *testing.T) {
	t.Parallel()
	app := testApp(t)
	app.Rules[0].RepositoryID = 0
	r := requested("1")
	if _, err := r.release(app, released(t, push(1, 0, 1), push(2, 2, 3)), r.CreatedAt); err != nil {
		t.Errorf("got %v, want a release", err)
	}
}

// TestRequestOfARollback brings back a release that is a rollback itself: the
// check is shown on the commit whose code runs.
func TestRequestOfARollback(t *testing.T) {
	t.Parallel()
	releases := released(t, push(1, 0, 1), push(2, 2, 3))
	r := requested("1")
	back, err := r.release(testApp(t), releases, r.CreatedAt)
	if err != nil {
		t.Fatal(err)
	}
	back.Status.Phase = Succeeded
	r.UID, r.To = "2", "3"
	again, err := r.release(testApp(t), append(releases, back), r.CreatedAt)
	if err != nil {
		t.Fatal(err)
	}
	if again.Restore != 3 || again.Source.Commit != releases[0].Source.Commit || again.Source.Ref != "refs/heads/main" || again.Intent == back.Intent {
		t.Errorf("got %+v, want release 3 again, which is the first commit", again)
	}
}

// TestRequestOfAWorkflowsRollback shows the check where the code comes from, and not
// on the commit of the workflow that once brought it back.
func TestRequestOfAWorkflowsRollback(t *testing.T) {
	t.Parallel()
	releases := released(t, push(1, 0, 1), push(2, 2, 3), push(3, 3, 4))
	releases[2].Source.Ref = "refs/heads/incident"
	releases[2].bringBack(releases[0], releases)
	r := requested("3")
	again, err := r.release(testApp(t), releases, r.CreatedAt)
	if err != nil {
		t.Fatal(err)
	}
	if again.Source.Commit != releases[0].Source.Commit || again.Source.Ref != "refs/heads/main" {
		t.Errorf("got %s of %s, want the first commit of main", again.Source.Commit, again.Source.Ref)
	}
}

// TestRequestDuringAFailure goes back from what was under way when it was asked for,
// which the agent itself has put back before it looked.
func TestRequestDuringAFailure(t *testing.T) {
	t.Parallel()
	releases := released(t, push(1, 0, 1), push(2, 2, 3), push(3, 3, 4))
	releases[2].Status = Status{Phase: RolledBack, Timeline: []Moment{{StepVerdict, minutes(6)}}}
	r := requested("previous")
	for restore, created := range map[int]time.Time{2: minutes(5), 1: minutes(7)} {
		r.CreatedAt = created
		back, err := r.release(testApp(t), releases, minutes(8))
		if err != nil || back.Restore != restore {
			t.Errorf("asked for at %s: got release %d, %v; want release %d", created, back.Restore, err, restore)
		}
	}
}

// TestRequestersWords shows nobody's account, and lets nobody write Markdown.
func TestRequestersWords(t *testing.T) {
	t.Parallel()
	r := requested("1")
	r.By, r.Reason = "arn:aws:sts::111122223333:assumed-role/Admin/alice", "checkout [broken](x)\n\n# again"
	back, err := r.release(testApp(t), released(t, push(1, 0, 1)), r.CreatedAt)
	if err != nil {
		t.Fatal(err)
	}
	if back.Evidence.Claims["user"] != r.By || back.Evidence.Claims["reason"] != r.Reason {
		t.Errorf("got the evidence %v, want it whole", back.Evidence.Claims)
	}
	c := back.check(view{Environment: testApp(t).Environments[0]})
	if shown := c.Summary + c.Text; strings.Contains(shown, "111122223333") || !strings.Contains(shown, "assumed-role/Admin/alice") ||
		!strings.Contains(shown, `"checkout \[broken\](x) # again"`) {
		t.Errorf("got\n%s", shown)
	}
}
