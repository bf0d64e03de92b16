package agent

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// loudStory is a push, two of a pull request, of which the second is broken, a
// broken push, a denied one, a good one, and a rollback that is asked for in the
// cluster, while every way is on.
func loudStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	w.beLoud()
	red, redPull := push(3, 0, 5), proposed(push(4, 0, 6))
	denied := push(5, 0, 7)
	denied.change = outdated
	w.broken[red.image()], w.broken[redPull.image()] = true, true
	w.tell(t, push(1, 0, 1), proposed(push(2, 0, 2)), red, redPull, denied, push(6, 8, 9))
	w.ask("back", "1")
	w.run()
	if w.died() {
		w.run()
	}
	return nil
}

func checkLoudStory(t *testing.T, w *world, _ map[string]string) {
	t.Helper()
	if len(w.releases) != 6 || len(w.app.Status.Refusals) != 1 {
		t.Fatalf("got %d releases and %d refusals, want 6 and 1", len(w.releases), len(w.app.Status.Refusals))
	}
	w.checkWays(t)
	if w.made != 7 {
		t.Errorf("got %d check runs made, want 7", w.made)
	}
	comment := w.hub.comments["7"+commentMarker("storefront")]
	if len(w.hub.comments) != 1 || comment.PullRequest != 7 || !strings.Contains(comment.Body, "Failed") || !strings.Contains(comment.Body, short(headOf(push(4, 0, 6)))) {
		t.Errorf("got comments %+v, want one that shows the red one", w.hub.comments)
	}
}

func TestEveryWayShowsWhatIsDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		checkLoudStory(t, w, loudStory(t, w))
		if w.hub.sought > 1 {
			t.Errorf("the comment was looked for %d times, though it is known", w.hub.sought)
		}
		for _, intent := range w.hub.deployed {
			for i, state := range w.hub.states[intent][1:] {
				if state == w.hub.states[intent][i] {
					t.Errorf("got states %v of a deployment, want each once", w.hub.states[intent])
				}
			}
		}
	})
}

// TestEveryWayWithADeathInEveryCall kills the agent before and after it has said
// anything by any way, and before and after that is on record.
func TestEveryWayWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, loudStory, checkLoudStory)
}

// TestGitHubIsDownForTheWholeOfADeploy is about each way by itself and all of them
// together: what was not said is said once GitHub is back, once, and the last word
// is the truth.
func TestGitHubIsDownForTheWholeOfADeploy(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]func(context.Context) error{
		"fails": func(context.Context) error { return errAway },
		"hangs": hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.beLoud()
				back := w.now().Add(20 * time.Minute)
				away := func(ctx context.Context) error {
					if w.now().Before(back) {
						return down(ctx)
					}
					return nil
				}
				w.onSend = func(ctx context.Context, _ Check) error { return away(ctx) }
				w.hub.onSay = func(ctx context.Context, _ Way) error { return away(ctx) }
				red := proposed(push(4, 0, 6))
				w.broken[red.image()] = true
				for _, r := range []run{push(1, 0, 1), proposed(push(2, 0, 2)), push(3, 3, 4), red} {
					w.publish(t, r)
				}
				w.runUntil(back.Add(-time.Minute), nil)
				if len(w.releases) != 4 || w.made != 0 || len(w.hub.deployed)+len(w.hub.comments)+len(w.hub.statuses)+len(w.hub.receipts) != 0 {
					t.Fatalf("got %d releases, and %+v shown while all is down", len(w.releases), w.hub)
				}
				w.runUntil(back.Add(5*time.Minute), nil)
				w.checkWays(t)
				if w.made != 4 || w.hub.commented != 1 {
					t.Errorf("got %d check runs for 4 releases, and %d words in a comment; want one of each", w.made, w.hub.commented)
				}
				var order []int
				for _, digest := range w.hub.deployed {
					for _, r := range w.releases {
						if r.Intent == digest && r.Line.Environment == "production" {
							order = append(order, r.Number)
						}
					}
				}
				if len(order) != 2 || order[0] != 1 {
					t.Errorf("got deployments of releases %v in this order, want the newest last", order)
				}
			})
		})
	}
}

// TestAWayThatIsStuckDelaysNoOther is about ways of the same repository.
func TestAWayThatIsStuckDelaysNoOther(t *testing.T) {
	t.Parallel()
	for _, stuck := range []Way{WayCheck, WayStatus, WayReceipt, WayDeployment, WayComment} {
		t.Run(string(stuck), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.beLoud()
				said := map[Way]time.Time{}
				note := func(ctx context.Context, way Way) error {
					if way == stuck {
						return hang(ctx)
					}
					w.mu.Lock()
					said[way] = w.now()
					w.mu.Unlock()
					return nil
				}
				w.onSend = func(ctx context.Context, _ Check) error { return note(ctx, WayCheck) }
				w.hub.onSay = note
				w.publish(t, proposed(push(1, 0, 1)))
				w.run()
				verdict := w.releases[0].Status.At(StepVerdict)
				for _, way := range []Way{WayCheck, WayStatus, WayReceipt, WayDeployment, WayComment} {
					if late := said[way].Sub(verdict); way != stuck && (late < 0 || late > time.Second) {
						t.Errorf("the %s: got its last word %s after the verdict", way, late)
					}
				}
			})
		})
	}
}

func TestAPullRequestIsReportedOnItsHead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stranger time.Duration // for so long GitHub says that it is none of the pull request's
		down     time.Duration
		want     string
		asked    int // at most
	}{
		"its head":                  {want: headOf(push(1, 0, 1)), asked: 3},
		"a commit of somebody else": {stranger: time.Hour, want: push(1, 0, 1).statement().Predicate.Source.Commit, asked: 40},
		"GitHub has yet to learn":   {stranger: 20 * time.Second, want: headOf(push(1, 0, 1)), asked: 40},
		"GitHub cannot tell yet":    {down: 10 * time.Minute, want: headOf(push(1, 0, 1)), asked: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.beLoud()
				up, learned := w.now().Add(test.down), w.now().Add(test.stranger)
				w.hub.onSay = func(_ context.Context, way Way) error {
					if way == "" && w.now().Before(up) {
						return errAway
					}
					w.mu.Lock()
					defer w.mu.Unlock()
					w.hub.strangers[headOf(push(1, 0, 1))] = w.now().Before(learned)
					return nil
				}
				w.publish(t, proposed(push(1, 0, 1)))
				w.runUntil(up.Add(2*time.Minute), nil)
				r := w.releases[0]
				if got := w.checks[r.Intent]; got.Commit != test.want || got.Conclusion != Success {
					t.Errorf("got a check on %s, want it on %s", got.Commit, test.want)
				}
				if got := w.hub.deployments[r.Intent].Commit; got != test.want {
					t.Errorf("got a deployment of %s, want %s", got, test.want)
				}
				if got := w.lastStatus(test.want, r.Line); got.State != "success" || len(w.hub.statuses) != 1 {
					t.Errorf("got statuses %+v, want one commit to have any", w.hub.statuses)
				}
				if all := w.hub.receipts[r.Intent]; len(all) == 0 || all[0].Check.Commit != headOf(push(1, 0, 1)) {
					t.Errorf("got receipts %+v, want the head that the intent names", all)
				}
				if on := r.Status.ReportedOn; on != test.want || len(w.hub.asked) > test.asked {
					t.Errorf("got %q on record after %d questions", on, len(w.hub.asked))
				}
			})
		})
	}
}

// TestNoWayTurnsGreenLate is TestASuccessThatIsOverNeverTurnsGreen for what stands
// for a check: the word of the first is under way when the second is live.
func TestNoWayTurnsGreenLate(t *testing.T) {
	t.Parallel()
	for _, way := range []Way{WayStatus, WayReceipt} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.beLoud()
				w.hub.onSay = func(ctx context.Context, said Way) error {
					releases := w.Releases(Line{"storefront", "production"})
					if said == way && len(releases) == 1 && releases[0].Status.Phase == Succeeded {
						return hang(ctx)
					}
					return nil
				}
				w.publish(t, push(1, 0, 1))
				w.runUntil(w.now().Add(time.Minute), func() {
					time.Sleep(20 * time.Second)
					w.publish(t, push(2, 1, 2))
				})
				first, second := w.releases[0], w.releases[1]
				for _, s := range w.hub.statuses[first.Source.Commit+"inhaul / production"] {
					if way == WayStatus && s.State == "success" {
						t.Errorf("got status %+v of what no longer serves", s)
					}
				}
				for _, r := range w.hub.receipts[first.Intent] {
					if way == WayReceipt && r.Check.Conclusion == Success {
						t.Errorf("got receipt %+v of what no longer serves", r)
					}
				}
				if got := first.Status.Shown(way).Phase; got != Superseded || second.Status.Shown(way).Phase != Succeeded {
					t.Errorf("got the first shown as %s and the second as %s, want it superseded and live", got, second.Status.Shown(way).Phase)
				}
				w.checkWays(t)
			})
		})
	}
}

// TestAReleaseIsKeptUntilEveryWayShowsIt is about more releases than are kept while
// one way is away: none is forgotten before it is said what became of it.
func TestAReleaseIsKeptUntilEveryWayShowsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.beLoud()
		w.app.History = 1
		up := w.now().Add(20 * time.Minute)
		w.hub.onSay = func(_ context.Context, way Way) error {
			if way == WayDeployment && w.now().Before(up) {
				return errAway
			}
			return nil
		}
		for i := range 4 {
			w.publish(t, push(int64(i+1), i, i+1))
			w.runUntil(w.now().Add(4*time.Minute), nil)
		}
		if len(w.releases) != 4 {
			t.Fatalf("got %d releases while their deployments are not shown, want 4", len(w.releases))
		}
		w.runUntil(up.Add(10*time.Minute), nil)
		if len(w.releases) != 1 {
			t.Errorf("got %d releases once all is shown, want 1", len(w.releases))
		}
		for _, digest := range w.hub.deployed {
			want := DeploymentInactive
			if digest == w.releases[0].Intent {
				want = DeploymentSuccess
			}
			if d := w.hub.deployments[digest]; d.State != want || len(w.hub.deployed) != 4 {
				t.Errorf("got deployment %d of %d %s, want 4, and it %s", d.ID, len(w.hub.deployed), d.State, want)
			}
		}
	})
}

// TestACommentIsWrittenOnceForWhatItSays is about a release that goes live while
// GitHub is asked about its pull request: the comment says so, and that is on record.
func TestACommentIsWrittenOnceForWhatItSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.beLoud()
		w.hub.onSay = func(_ context.Context, way Way) error {
			if way == "" {
				time.Sleep(20 * time.Second)
			}
			return nil
		}
		w.publish(t, proposed(push(1, 0, 1)))
		w.run()
		if r := w.releases[0]; w.hub.commented != 1 || r.Status.Shown(WayComment).Phase != Succeeded {
			t.Errorf("got the comment written %d times and %+v on record, want it once", w.hub.commented, r.Status.Reported)
		}
	})
}

// TestWhatNobodyTellsIsNotWaitedFor is about an App that may not read pull requests.
func TestWhatNobodyTellsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.beLoud()
		w.hub.onSay = func(_ context.Context, way Way) error {
			if way == "" {
				return ErrNotPermitted
			}
			return nil
		}
		w.publish(t, proposed(push(1, 0, 1)))
		w.runUntil(w.now().Add(15*time.Second), nil)
		if r := w.releases[0]; w.checks[r.Intent].Conclusion != Success || r.Status.ReportedOn != r.Source.Commit {
			t.Errorf("got check %+v on %q, want it green on what was deployed", w.checks[r.Intent], r.Status.ReportedOn)
		}
	})
}
