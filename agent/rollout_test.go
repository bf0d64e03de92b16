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
	"github.com/inhaul/inhaul/spec"
)

// image is what the run deploys.
func (r run) image() string { return fmt.Sprintf("%s@sha256:%064x", testImages, r.id) }

// deploys publishes the runs, 30 seconds apart, while one agent works for an hour.
func (w *world) deploys(t *testing.T, runs ...run) {
	t.Helper()
	w.runUntil(minutes(120), func() {
		for _, r := range runs {
			w.publish(t, r)
			time.Sleep(30 * time.Second)
		}
	})
}

func (w *world) phases() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, r := range w.releases {
		all = append(all, string(r.Status.Phase))
	}
	return strings.Join(all, " ")
}

// never is an observation hook of a rollout of image that goes on for ever.
func never(image string) func(Release, *ServiceObservation) {
	return func(r Release, s *ServiceObservation) {
		if r.Image == image {
			s.Old = 1
		}
	}
}

func rejectedObject() error {
	return &Rejected{Object: Object{Kind: "Deployment", Name: "web"}, Message: "exceeded quota"}
}

func TestARefusedReleasePutsBackWhatASupersededOneWrote(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2, v3 := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)
		w := newWorld(t)
		w.onWatch = never(v2.image())
		w.onApply = func(_ context.Context, r Release) error {
			if r.Image == v3.image() {
				return rejectedObject()
			}
			return nil
		}
		w.deploys(t, v1, v2, v3)
		if got, want := w.phases(), "Succeeded Superseded RolledBack"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if w.live["web"] != v1.image() || w.releases[2].Status.RestoredTo != 1 {
			t.Errorf("got %s live, restored to %d; want the image of release 1", w.live["web"], w.releases[2].Status.RestoredTo)
		}
	})
}

// TestAnInterruptedApplyLeavesNothingBehind is about a release that has written
// everything and is cancelled before it can say so.
func TestAnInterruptedApplyLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2, v3 := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)
		v2.change = func(p *intent.Predicate) {
			p.Spec.Services = append(p.Spec.Services, spec.Service{Name: "extra", Type: spec.Worker, Replicas: 1, CPU: "1m", Memory: "64Mi"})
		}
		w := newWorld(t)
		w.onApply = func(_ context.Context, r Release) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if durable := w.releases[r.Number-1].Status; len(durable.Inventory) == 0 {
				t.Errorf("release %d writes objects that are not on record", r.Number)
			}
			return nil
		}
		w.onWrite = func(ctx context.Context, r Release) error {
			if r.Image != v2.image() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		w.deploys(t, v1, v2, v3)
		if got, want := w.phases(), "Succeeded Superseded Succeeded"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if !slices.Contains(w.pruned, Object{Kind: "Deployment", Name: "extra"}) || w.live["extra"] != "" {
			t.Errorf("got %v pruned, live %v; want the service of the superseded release gone", w.pruned, w.live)
		}
	})
}

func TestObjectsThatCannotBeWrittenFailTheRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2 := push(1, 0, 1), push(2, 2, 3)
		w := newWorld(t)
		w.onApply = func(_ context.Context, r Release) error {
			if r.Image == v2.image() {
				return errors.New("the webhook does not answer")
			}
			return nil
		}
		w.deploys(t, v1, v2)
		if got, want := w.phases(), "Succeeded RolledBack"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		s := w.releases[1].Status
		if s.Cause.Kind != CauseNoProgress || !strings.Contains(s.Cause.Message, "the webhook does not answer") {
			t.Errorf("got %+v, want %s with the last error", s.Cause, CauseNoProgress)
		}
		if took := s.At(StepVerdict).Sub(s.At(StepAdmitted)); took < applyDeadline || took > applyDeadline+2*lastRetry {
			t.Errorf("got a verdict after %s, want it soon after %s", took, applyDeadline)
		}
	})
}

func TestAPredeployThatCannotBeStartedHoldsNobodyForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2 := push(1, 0, 1), pushTask(2, 2, 3)
		w := newWorld(t)
		w.tasks[v2.image()] = task{trouble: errors.New("the webhook does not answer")}
		w.deploys(t, v1, v2)
		if got, want := w.phases(), "Succeeded RolledBack"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		s := w.releases[1].Status
		if s.Cause.Kind != CauseNoProgress || !strings.Contains(s.Cause.Message, "predeploy") || !strings.Contains(s.Cause.Message, "the webhook does not answer") {
			t.Errorf("got %+v, want %s of the predeploy with the last error", s.Cause, CauseNoProgress)
		}
		if took := s.At(StepVerdict).Sub(s.At(StepAdmitted)); took < applyDeadline || took > applyDeadline+2*lastRetry {
			t.Errorf("got a verdict after %s, want it soon after %s", took, applyDeadline)
		}
		if len(w.jobs) != 0 {
			t.Errorf("got %d Jobs, want none", len(w.jobs))
		}
	})
}

func TestTheFirstFailureAfterAPauseProvesNothing(t *testing.T) {
	t.Parallel()
	at := minutes(0)
	a := New(Ports{}, Config{Now: func() time.Time { return at }})
	r := Release{Number: 2, Status: Status{Phase: Applying}}
	for _, step := range []struct {
		at   time.Duration
		want bool
	}{
		{time.Hour, false}, // the agent was down until now
		{time.Hour + applyPatience - time.Second, false},
		{time.Hour + applyPatience, true},
	} {
		if at = after(step.at); a.givesUp(r, noon()) != step.want {
			t.Errorf("after %s: got %t, want %t", step.at, !step.want, step.want)
		}
	}
	if r.Status.Phase = Restoring; a.givesUp(r, noon()) {
		t.Error("got an end of the next phase by the failures of the last")
	}
}

func TestWhatCannotBePutBackStaysRed(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{"the cluster refuses Deployment web: exceeded quota": rejectedObject(), "no answer": errors.New("no answer")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v1, v2 := push(1, 0, 1), push(2, 2, 3)
				v2.change = func(p *intent.Predicate) { withExtra(p); p.Spec.KeepFailed = false }
				w := newWorld(t)
				w.broken[v2.image()] = true
				tries := 0
				w.onApply = func(_ context.Context, r Release) error {
					if r.Number == 1 && len(w.applied) > 0 {
						tries++
						return answer
					}
					return nil
				}
				w.deploys(t, v1, v2)
				_, digest := envelope(t, v2)
				check := w.checks[digest]
				if w.phases() != "Succeeded Failed" || check.Conclusion != Failure {
					t.Fatalf("got %s, check %s; want the second failed", w.phases(), check.Conclusion)
				}
				if len(w.pruned) != 0 || w.live["extra"] != v2.image() {
					t.Errorf("got %v pruned, %v live; want the objects left, as the check says", w.pruned, w.live)
				}
				if final := name != "no answer"; final != (tries == 1) {
					t.Errorf("got %d tries, want one only if it is refused", tries)
				}
				for _, want := range []string{"exit code 3", "putting release 1 back failed too: " + name, "No earlier good release was put back"} {
					if !strings.Contains(check.Summary, want) {
						t.Errorf("got summary %q, want %q in it", check.Summary, want)
					}
				}
			})
		})
	}
}

func TestARestoringReleaseThatMakesWayStaysRed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2, v3 := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)
		w := newWorld(t)
		w.broken[v2.image()] = true
		w.onApply = func(ctx context.Context, r Release) error {
			if r.Number == 1 && len(w.applied) > 0 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		w.deploys(t, v1, v2, v3)
		_, digest := envelope(t, v2)
		if got, want := w.phases(), "Succeeded Failed Succeeded"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		check, commit := w.checks[digest], w.releases[2].Source.Commit
		if check.Conclusion != Failure || w.releases[1].Status.SupersededBy != commit || !strings.Contains(check.Summary, short(commit)) {
			t.Errorf("got %s, superseded by %q: %q; want a failure that names the newer commit", check.Conclusion, w.releases[1].Status.SupersededBy, check.Summary)
		}
	})
}

// TestAnUnchangedPodWithARestartOfOldDoesNotFailARelease is about a pod that has
// ended once long ago and once while the release was applied.
func TestAnUnchangedPodWithARestartOfOldDoesNotFailARelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.onWatch = func(r Release, s *ServiceObservation) {
			s.Pods[0].CreatedAt = noon().Add(-48 * time.Hour)
			s.Pods[0].Containers = []ContainerObservation{{Name: "web", Ended: 2, ExitCode: 1, EndedAt: r.Status.At(StepApplied).Add(time.Second)}}
		}
		w.deploys(t, push(1, 0, 1))
		if got := w.phases(); got != "Succeeded" {
			t.Errorf("got %s, want Succeeded", got)
		}
	})
}

func TestADeletedReleaseIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	a := New(Ports{Reader: newWorld(t)}, Config{})
	r := Release{Line: Line{App: "storefront", Environment: "production"}, Number: 3, Version: "7"}
	if _, err := a.reread(t.Context(), r); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("got %v, want that it is gone", err)
	}
}
