package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

func (f *fixture) withPredeploy() agent.Release {
	r := f.release(1)
	r.App.Predeploy = &spec.Task{
		Run: spec.Command{Shell: "bin/migrate"}, CPU: "10m", Memory: "16Mi",
		Env: map[string]string{"A": "b"}, Secrets: map[string]string{"DATABASE_URL": "k8s://shop#url"},
	}
	return r
}

// awaitPredeploy watches r's predeploy until an observation satisfies want.
func (f *fixture) awaitPredeploy(t *testing.T, r agent.Release, want func(agent.PredeployObservation) bool) agent.PredeployObservation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen agent.PredeployObservation
	if err := f.WatchTask(ctx, r, agent.TaskPredeploy, func(o agent.PredeployObservation) bool { seen = o; return want(o) }); err != nil {
		t.Fatalf("watching: %v; last seen: %+v", err, seen)
	}
	return seen
}

func TestPredeployRunsOnce(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.created(t, f.withPredeploy())
	f.awaitPredeploy(t, r, func(o agent.PredeployObservation) bool { return o.Missing })
	f.putSecret(t, r.Namespace, "shop", map[string]string{"url": "postgres://"})
	inventory, err := f.StartTask(t.Context(), r, agent.TaskPredeploy)
	if err != nil {
		t.Fatal(err)
	}
	if len(inventory) != 3 {
		t.Errorf("got inventory %v, want a ConfigMap, a Job and a Secret", inventory)
	}
	job, err := f.admin.batch.Jobs(r.Namespace).Get(t.Context(), render.PredeployName(r), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	// Again, by an agent that knows nothing of it, and without its secret: the Job
	// has all that it needs.
	if err := f.admin.core.Secrets(r.Namespace).Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.requests.take()
	again, err := f.StartTask(t.Context(), r, agent.TaskPredeploy)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(inventory, again); diff != "" {
		t.Errorf("inventory of the second time (-want +got):\n%s", diff)
	}
	if sent := writes(f.requests.take()); len(sent) != 0 {
		t.Errorf("the second time wrote %v", sent)
	}
	jobs, err := f.admin.batch.Jobs(r.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(jobs.Items) != 1 || jobs.Items[0].UID != job.UID {
		t.Errorf("got %d Jobs, %v; want the first one alone", len(jobs.Items), err)
	}
	o := f.awaitPredeploy(t, r, func(o agent.PredeployObservation) bool { return !o.Missing && len(o.Pods) > 0 })
	pod := o.Pods[0].Name
	eventually(t, "the scheduler's word on the pod is told", func() bool {
		events := f.Testimony(t.Context(), r, agent.Cause{Kind: agent.CausePredeploy, Pod: pod, Container: "predeploy"}).Events
		return strings.Contains(strings.Join(events, "\n"), "Scheduled")
	})

	// The number again, after the App was deleted and made anew.
	other := r
	other.Intent = "sha256:" + strings.Repeat("f", 64)
	var rejected *agent.Rejected
	if _, err := f.StartTask(t.Context(), other, agent.TaskPredeploy); !errors.As(err, &rejected) || rejected.Object.Kind != "Job" {
		t.Errorf("another release's Job: got %v, want it refused", err)
	}

	eventually(t, "the Job is pruned", func() bool {
		left, err := f.Prune(t.Context(), r, inventory, nil)
		return err == nil && len(left) == 0
	})
	f.awaitPredeploy(t, r, func(o agent.PredeployObservation) bool { return o.Missing })
}

func TestRejectedPredeployWritesNothing(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.created(t, f.withPredeploy())
	f.requests.take()
	var rejected *agent.Rejected
	if _, err := f.StartTask(t.Context(), r, agent.TaskPredeploy); !errors.As(err, &rejected) || !strings.HasPrefix(rejected.Message, "predeploy: DATABASE_URL:") {
		t.Errorf("without its secret: got %v, want it refused", err)
	}
	f.putSecret(t, r.Namespace, "shop", map[string]string{"url": "postgres://"})
	r.App.Predeploy.Env = map[string]string{"not a key": "password=hunter2"}
	f.requests.take()
	if _, err := f.StartTask(t.Context(), r, agent.TaskPredeploy); !errors.As(err, &rejected) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("with a bad key: got %v, want it refused without its value", err)
	}
	for _, sent := range writes(f.requests.take()) {
		t.Errorf("written: %s", sent)
	}
	r.App.Predeploy = nil
	if inventory, err := f.StartTask(t.Context(), r, agent.TaskPredeploy); err != nil || len(inventory) != 0 {
		t.Errorf("a release without predeploy: got %v, %v", inventory, err)
	}
}
