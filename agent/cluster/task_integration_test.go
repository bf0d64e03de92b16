package cluster

import (
	"errors"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// end waits until a Job has ended like that.
func (f *fixture) end(t *testing.T, job *batchv1.Job, how batchv1.JobConditionType) {
	t.Helper()
	eventually(t, "the Job has ended", func() bool {
		current, err := f.admin.batch.Jobs(job.Namespace).Get(t.Context(), job.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return holds(current, how)
	})
}

func (f *fixture) job(t *testing.T, r agent.Release, kind agent.TaskKind) *batchv1.Job {
	t.Helper()
	job, err := f.admin.batch.Jobs(r.Namespace).Get(t.Context(), render.TaskName(r, kind), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// TestSeedEndsWellOnce runs the seeds of three releases of one preview, of which the
// first fails, with the rights of the agent alone.
func TestSeedEndsWellOnce(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	first, p := f.preview(t)
	first.App.Seed = &spec.Task{Run: spec.Command{Shell: "bin/seed"}, CPU: "10m", Memory: "16Mi", Timeout: "3s"}
	first.App.Teardown = &spec.Task{Run: spec.Command{Shell: "bin/cleanup"}, CPU: "10m", Memory: "16Mi"}
	first = f.created(t, first)
	none := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: {}}}}
	if _, err := f.admin.core.ResourceQuotas(first.Namespace).Create(t.Context(), none, metav1.CreateOptions{}); err != nil {
		t.Fatal(err) // without a pod the Job fails once its time is over
	}
	if _, err := f.StartTask(t.Context(), first, agent.TaskSeed); err != nil {
		t.Fatal(err)
	}
	failed := f.job(t, first, agent.TaskSeed)
	second := first
	second.Number, second.Intent = 2, "sha256:"+strings.Repeat("2", 64)
	second.App.Seed = &spec.Task{Run: spec.Command{Shell: "bin/seed"}, CPU: "10m", Memory: "16Mi"}
	if _, err := f.StartTask(t.Context(), second, agent.TaskSeed); err == nil || !strings.Contains(err.Error(), "has not ended yet") {
		t.Errorf("while the first one runs: got %v, want to wait", err)
	}
	f.end(t, failed, batchv1.JobFailed)
	if err := f.admin.core.ResourceQuotas(first.Namespace).Delete(t.Context(), none.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	eventually(t, "the second one takes its place", func() bool {
		_, err := f.StartTask(t.Context(), second, agent.TaskSeed)
		return err == nil
	})
	good := f.job(t, second, agent.TaskSeed)
	if good.UID == failed.UID || good.Annotations[annotationIntent] != second.Intent {
		t.Fatalf("got the Job of %s, want that of the second release", good.Annotations[annotationIntent])
	}
	f.end(t, good, batchv1.JobComplete)

	third := second
	third.Number, third.Intent = 3, "sha256:"+strings.Repeat("3", 64)
	inventory, err := f.StartTask(t.Context(), third, agent.TaskSeed)
	if err != nil || len(inventory) == 0 {
		t.Fatalf("got %v, %v; want the Job that is there", inventory, err)
	}
	var seen agent.PredeployObservation
	if err := f.WatchTask(t.Context(), third, agent.TaskSeed, func(o agent.PredeployObservation) bool { seen = o; return o.Succeeded }); err != nil {
		t.Errorf("got %+v, %v; want the seed of the second release to count", seen, err)
	}
	if job := f.job(t, third, agent.TaskSeed); job.UID != good.UID {
		t.Error("the seed ran again")
	}

	// The end: a namespace that is not the preview's is left alone.
	if _, err := f.StartTask(t.Context(), third, agent.TaskTeardown); err != nil {
		t.Fatal(err)
	}
	f.end(t, f.job(t, third, agent.TaskTeardown), batchv1.JobComplete)
	stranger := third
	stranger.Line.Environment, stranger.Namespace = "pr-8", f.namespace
	if _, err := f.StartTask(t.Context(), stranger, agent.TaskTeardown); !errors.Is(err, agent.ErrForeign) {
		t.Errorf("in a namespace that is no preview's: got %v, want ErrForeign", err)
	}
	if left, err := f.DeleteNamespace(t.Context(), p); err != nil || left == "" {
		t.Fatalf("got %q, %v", left, err)
	}
	eventually(t, "nothing is left", func() bool {
		left, err := f.DeleteNamespace(t.Context(), p)
		return err == nil && left == ""
	})
	if _, err := f.StartTask(t.Context(), third, agent.TaskTeardown); !errors.Is(err, agent.ErrForeign) {
		t.Errorf("once it is gone: got %v, want ErrForeign and no new namespace", err)
	}
	if _, err := f.admin.core.Namespaces().Get(t.Context(), third.Namespace, metav1.GetOptions{}); err == nil {
		t.Error("a teardown made the namespace anew")
	}
}

// TestObserveSeed is about Jobs of other releases.
func TestObserveSeed(t *testing.T) {
	t.Parallel()
	r := testRelease("test", 7)
	other := func(conditions ...batchv1.JobCondition) *batchv1.Job {
		job := predeployOf(t, r, conditions...)
		job.Annotations[annotationIntent] = "sha256:other"
		return job
	}
	for name, test := range map[string]struct {
		kind    agent.TaskKind
		job     *batchv1.Job
		missing bool
	}{
		"one that ended well counts":                 {agent.TaskSeed, other(batchv1.JobCondition{Type: batchv1.JobComplete}), false},
		"one that failed is in a late cache":         {agent.TaskSeed, other(batchv1.JobCondition{Type: batchv1.JobFailed}), true},
		"its own that failed":                        {agent.TaskSeed, predeployOf(t, r, batchv1.JobCondition{Type: batchv1.JobFailed}), false},
		"a teardown is the preview's":                {agent.TaskTeardown, other(), false},
		"of a predeploy nobody else's counts at all": {agent.TaskPredeploy, other(batchv1.JobCondition{Type: batchv1.JobComplete}), true},
	} {
		if got := observeTask(r, test.kind, test.job, nil); got.Missing != test.missing || got.Name != render.TaskName(r, test.kind) {
			t.Errorf("%s: got %+v, want missing %t", name, got, test.missing)
		}
	}
	if holds(predeployOf(t, r, batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionFalse}), batchv1.JobComplete) {
		t.Error("a condition that is false holds")
	}
}
