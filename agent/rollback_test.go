package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// rollback is a run of a workflow that rolls back, started by hand just now.
func (w *world) rollback(t *testing.T, n int64, target string) run {
	t.Helper()
	now := w.now().UTC().Truncate(time.Millisecond)
	return run{id: 1000 + n, number: n, attempt: 1, eventAt: now, issuedAt: now, change: func(p *intent.Predicate) {
		p.Spec, p.Source.Event, p.Source.EventAt = nil, "workflow_dispatch", now
		if err := p.RollBackTo(target); err != nil {
			t.Error(err)
		}
	}}
}

// lives are the runs whose configuration each release that succeeded has.
func (w *world) lives() string {
	var all []string
	for _, r := range w.releases {
		if r.Status.Phase == Succeeded {
			all = append(all, r.App.Services[0].Env["RUN"])
		}
	}
	return strings.Join(all, " ")
}

// rollbackStory is three pushes, and then a rollback by every kind of target.
func rollbackStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	digests := map[string]string{}
	deliver := func(name string, r run) {
		_, digests[name] = envelope(t, r)
		w.publish(t, r)
		w.run()
		if w.died() {
			w.run()
		}
	}
	deliver("v1", push(1, 0, 1))
	deliver("v2", push(2, 2, 3))
	deliver("v3", push(3, 4, 5))
	deliver("one back", w.rollback(t, 4, "previous"))
	deliver("two back", w.rollback(t, 5, "previous"))
	deliver("by number", w.rollback(t, 6, "4"))
	deliver("by commit", w.rollback(t, 7, push(3, 0, 0).statement().Predicate.Source.Commit[:39]+"b"))
	deliver("too far", w.rollback(t, 8, "99"))
	return digests
}

func checkRollbackStory(t *testing.T, w *world, digests map[string]string) {
	t.Helper()
	if got, want := w.lives(), "1001 1002 1003 1002 1001 1002 1003"; got != want {
		t.Fatalf("got the configurations %s live one after the other (%s), want %s", got, w.phases(), want)
	}
	for i, want := range map[int]int{3: 2, 4: 1, 5: 4, 6: 3} {
		r := w.releases[i]
		if back := w.releases[want-1]; r.Restore != want || r.Image != back.Image || r.Commit != back.deployed(w.releases) || r.Reason != ReasonRollback {
			t.Errorf("release %d: got %s of release %d with image %s and commit %s, want all of release %d", r.Number, r.Reason, r.Restore, r.Image, r.Commit, want)
		}
	}
	if w.live["web"] != w.releases[2].Image {
		t.Errorf("got %s live, want the third image", w.live["web"])
	}
	for name, want := range map[string]Conclusion{"one back": Success, "two back": Success, "by number": Success, "by commit": Success, "too far": ActionRequired} {
		if c := w.checks[digests[name]]; c.Status != Completed || c.Conclusion != want {
			t.Errorf("check of %s: got %s %s (%s), want completed %s", name, c.Status, c.Conclusion, c.Title, want)
		}
	}
	for name, want := range map[string]int{"v1": 0, "v2": 1, "one back": 3, "two back": 4, "by commit": 6} {
		if m := lastMarker(t, w.checks[digests[name]].Text); m.Back != want {
			t.Errorf("check of %s: got release %d as the way back, want %d", name, m.Back, want)
		}
	}
	if got := w.checks[digests["two back"]]; !strings.Contains(got.Summary, "Rollback: release 1 (0000000), which was live before") || !strings.Contains(got.Text, "`rollback-to: 4`") {
		t.Errorf("got the check %q %q, want what came back and how to undo it", got.Summary, got.Text)
	}
	if got := w.checks[digests["too far"]].Summary; !strings.Contains(got, "release 99 is not kept or never succeeded; name one that did") {
		t.Errorf("got the refusal %q, want it to say what can be named", got)
	}
	if w.made != len(digests) {
		t.Errorf("got %d check runs made for %d intents", w.made, len(digests))
	}
}

func TestRollbackStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digests := rollbackStory(t, w)
		checkRollbackStory(t, w, digests)
	})
}

func TestRollbackStoryWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, rollbackStory, checkRollbackStory)
}

// TestARollbackDuringARollout has v1 and v2 live, v3 that never comes to an end,
// a rollback, and a push from before it whose build is slow. Whatever the target,
// v3 makes way at once, and the push does not undo it.
func TestARollbackDuringARollout(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]int{"previous": 2, "2": 2, "1": 1} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				v3 := push(3, 4, 5)
				w.onWatch = never(v3.image())
				var asked time.Time
				w.runUntil(minutes(120), func() {
					for _, r := range []run{push(1, 0, 1), push(2, 2, 3), v3} {
						w.publish(t, r)
						time.Sleep(30 * time.Second)
					}
					asked = w.now()
					w.publish(t, w.rollback(t, 4, target))
					time.Sleep(30 * time.Second)
					w.publish(t, push(5, 61, 62)) // pushed before the rollback
				})
				if got := w.phases(); got != "Succeeded Succeeded Superseded Succeeded" {
					t.Fatalf("got %s, want the rollout superseded, and nothing after the rollback", got)
				}
				back := w.releases[want-1]
				if r := w.releases[3]; r.Restore != want || w.live["web"] != back.Image {
					t.Errorf("got release %d back and %s live, want release %d", r.Restore, w.live["web"], want)
				}
				if took := w.releases[3].Status.At(StepVerdict).Sub(asked); took > 15*time.Second {
					t.Errorf("it took %s, want it not to wait for the rollout", took)
				}
				if got := w.releases[2].Status.SupersededBy; got != back.Source.Commit {
					t.Errorf("the rollout: got superseded by %s, want %s", got, back.Source.Commit)
				}
				if got := w.app.Status.Refusals; len(got) != 1 || got[0].Rule != "order: a rollback holds" || got[0].SupersededBy != back.Source.Commit {
					t.Errorf("the build in flight: got %+v, want it superseded by the rollback", got)
				}
			})
		})
	}
}

// TestARollbackDuringAPredeploy lets the predeploy of v2 finish, and then brings
// v1 back, whose own predeploy runs again only where that is said.
func TestARollbackDuringAPredeploy(t *testing.T) {
	t.Parallel()
	commit := push(1, 0, 0).statement().Predicate.Source.Commit
	for _, target := range []string{"previous", "1", commit} {
		for _, told := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, onRollback %t", target, told), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					v1, v2 := pushTask(1, 0, 1, func(task *spec.Task) { task.OnRollback = told }), pushTask(2, 2, 3)
					w.tasks[v1.image()] = task{takes: time.Second, end: predeployed()}
					w.publish(t, v1)
					w.run()
					w.tasks[v2.image()] = task{takes: 20 * time.Second, end: predeployed(), made: w.prepared(t, w.rollback(t, 3, target))}
					w.publish(t, v2)
					w.run()
					if got := w.phases(); got != "Succeeded Superseded Succeeded" || slices.Contains(w.applied, 2) {
						t.Fatalf("got %s, %v applied; want nothing of v2", got, w.applied)
					}
					ended := w.jobs[2].at.Add(20 * time.Second)
					if at := w.releases[2].Status.At(StepApplied).Add(-lunch().Sub(w.born)); at.Before(ended) {
						t.Errorf("got the rollback applied %s before the predeploy ended", ended.Sub(at))
					}
					if (w.jobs[3] != nil) != told || w.releases[2].Restore != 1 {
						t.Errorf("got Job %+v of the rollback to release %d", w.jobs[3], w.releases[2].Restore)
					}
				})
			})
		}
	}
}

// TestARollbackToWhatServes is one like any other: nothing changes, and it holds.
func TestARollbackToWhatServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish(t, push(1, 0, 1))
		w.run()
		w.publish(t, w.rollback(t, 2, "1"))
		w.run()
		w.publish(t, push(3, 60, 61))
		w.run()
		if got := w.phases(); got != "Succeeded Succeeded" || w.live["web"] != push(1, 0, 1).image() {
			t.Errorf("got %s with %s live, want the first image, and no build in flight", got, w.live["web"])
		}
		if r := w.releases[1]; r.Reason != ReasonRollback || !strings.HasSuffix(r.Note, "serves already") {
			t.Errorf("got a %s: %s; want a rollback to what serves already", r.Reason, r.Note)
		}
	})
}

// TestARollbackOutlivesWhatItBroughtBack trims the first release, while a rollback
// to it is kept, and brings that rollback back.
func TestARollbackOutlivesWhatItBroughtBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.app.History = 3
		commit := push(1, 0, 0).statement().Predicate.Source.Commit
		for _, r := range []run{push(1, 0, 1), push(2, 2, 3)} {
			w.publish(t, r)
			w.run()
		}
		w.publish(t, w.rollback(t, 3, "previous"))
		w.run()
		w.publish(t, push(4, 65, 66))
		w.runUntil(minutes(80), nil)
		w.publish(t, w.rollback(t, 5, commit))
		w.runUntil(minutes(90), nil)
		if w.releases[0].Number == 1 {
			t.Fatal("the first release was not trimmed")
		}
		r := w.releases[len(w.releases)-1]
		if r.Number != 5 || r.Restore != 3 || r.Commit != commit || r.App.Services[0].Env["RUN"] != "1001" || w.live["web"] != push(1, 0, 0).image() {
			t.Errorf("got release %d back, commit %s, run %s, %s live; want the first version", r.Restore, r.Commit, r.App.Services[0].Env["RUN"], w.live["web"])
		}
		if got := w.app.Status.Lines[0].LastRollbackBy; got != commit {
			t.Errorf("mark: got commit %s, want %s", got, commit)
		}
	})
}

// TestARollbackAgainDoesTheSame re-runs a rollback to what ran before, which would
// go one further back if it was asked for anew.
func TestARollbackAgainDoesTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, r := range []run{push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)} {
			w.publish(t, r)
			w.run()
		}
		back := w.rollback(t, 4, "previous")
		w.publish(t, back)
		w.run()
		again := back
		again.attempt, again.issuedAt = 2, w.now().UTC().Truncate(time.Millisecond)
		w.publish(t, again)
		w.run()
		if got, want := w.lives(), "1001 1002 1003 1002 1002"; got != want {
			t.Errorf("got %s live one after the other, want %s", got, want)
		}
	})
}

// TestARollbackIsJudgedByTheImagesOfToday is about a repository of images that the
// platform owner has taken away since.
func TestARollbackIsJudgedByTheImagesOfToday(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, r := range []run{push(1, 0, 1), push(2, 2, 3)} {
			w.publish(t, r)
			w.run()
		}
		w.app.Images = []string{"registry.example/acme/other"}
		w.publish(t, w.rollback(t, 3, "previous"))
		w.run()
		if got := w.app.Status.Refusals; len(w.releases) != 2 || len(got) != 1 || got[0].Rule != "policy: image" {
			t.Errorf("got %d releases, refusals %+v; want the rollback denied", len(w.releases), got)
		}
	})
}

// TestARuleHasToAllowRollbacks is about every target alike.
func TestARuleHasToAllowRollbacks(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"previous", "1", push(1, 0, 0).statement().Predicate.Source.Commit} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.app.Rules[0].AllowRollback = false
			for _, r := range []run{push(1, 0, 1), push(2, 2, 3)} {
				w.publish(t, r)
				w.run()
			}
			w.publish(t, w.rollback(t, 3, target))
			w.run()
			if got := w.app.Status.Refusals; len(w.releases) != 2 || len(got) != 1 || got[0].Rule != "policy: kind" || !strings.Contains(got[0].Message, "allowRollback: true") {
				t.Errorf("%s: got %d releases, refusals %+v; want it denied", target, len(w.releases), got)
			}
		})
	}
}
