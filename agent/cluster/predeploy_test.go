package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
)

// predeployOf is the Job of r's predeploy as the cache would hold it, with
// conditions that are true.
func predeployOf(t *testing.T, r agent.Release, conditions ...batchv1.JobCondition) *batchv1.Job {
	t.Helper()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-predeploy-r7", UID: "job", Annotations: map[string]string{annotationIntent: r.Intent, "other": "x"}},
		Status:     batchv1.JobStatus{Conditions: conditions},
	}
	for i := range job.Status.Conditions {
		if job.Status.Conditions[i].Status == "" {
			job.Status.Conditions[i].Status = corev1.ConditionTrue
		}
	}
	trimmed, err := trim(job)
	if err != nil {
		t.Fatal(err)
	}
	return trimmed.(*batchv1.Job)
}

func TestObservePredeploy(t *testing.T) {
	t.Parallel()
	r := testRelease("test", 7)
	started := metav1.NewTime(time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC))
	running := predeployOf(t, r)
	running.Status.StartTime = &started
	deleted := predeployOf(t, r)
	deleted.DeletionTimestamp = &started
	doneAndDeleted := predeployOf(t, r, batchv1.JobCondition{Type: batchv1.JobComplete})
	doneAndDeleted.DeletionTimestamp = &started
	stranger := predeployOf(t, r)
	stranger.Annotations[annotationIntent] = "sha256:other"
	tests := map[string]struct {
		job  *batchv1.Job
		want agent.PredeployObservation
	}{
		"none":                          {nil, agent.PredeployObservation{Missing: true}},
		"of another life of the App":    {stranger, agent.PredeployObservation{Missing: true}},
		"made a moment ago":             {predeployOf(t, r), agent.PredeployObservation{}},
		"runs":                          {running, agent.PredeployObservation{StartedAt: started.UTC()}},
		"somebody deletes it":           {deleted, agent.PredeployObservation{Missing: true}},
		"somebody deletes it too late":  {doneAndDeleted, agent.PredeployObservation{Succeeded: true}},
		"ended well, its pod is ending": {predeployOf(t, r, batchv1.JobCondition{Type: batchv1.JobSuccessCriteriaMet}), agent.PredeployObservation{}},
		"ended well":                    {predeployOf(t, r, batchv1.JobCondition{Type: batchv1.JobComplete}), agent.PredeployObservation{Succeeded: true}},
		"too late, its pod is ending": {
			predeployOf(t, r, batchv1.JobCondition{Type: batchv1.JobFailureTarget, Reason: "DeadlineExceeded"}),
			agent.PredeployObservation{Reason: "DeadlineExceeded"},
		},
		"failed": {
			predeployOf(t, r, batchv1.JobCondition{Type: batchv1.JobFailed, Reason: "BackoffLimitExceeded"}),
			agent.PredeployObservation{Failed: true, Reason: "BackoffLimitExceeded"},
		},
		"not failed, it says": {
			predeployOf(t, r, batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionFalse, Reason: "x"}),
			agent.PredeployObservation{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.Name = "shop-predeploy-r7"
			if diff := cmp.Diff(test.want, observeTask(r, agent.TaskPredeploy, test.job, nil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestObservePredeploysPods(t *testing.T) {
	t.Parallel()
	r := testRelease("test", 7)
	pod := func(name string, owner types.UID) *corev1.Pod {
		controls := true
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{Kind: "Job", UID: owner, Controller: &controls}}},
			Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
				Name: "predeploy", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}},
			}}},
		}
	}
	pods := []*corev1.Pod{pod("b", "job"), pod("web", "replicaset"), pod("nightly", "another job"), pod("a", "job")}
	got := observeTask(r, agent.TaskPredeploy, predeployOf(t, r), pods).Pods
	if len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" || len(got[0].Containers) != 1 || got[0].Containers[0].ExitCode != 3 {
		t.Errorf("got %+v, want the Job's own pods, sorted, with how they ended", got)
	}
}

func TestJobInventory(t *testing.T) {
	t.Parallel()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop-predeploy-r7"}}
	job.Spec.Template.Spec.Containers = []corev1.Container{{EnvFrom: []corev1.EnvFromSource{
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}},
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}},
	}}}
	want := []agent.Object{
		{APIVersion: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "c"},
		{APIVersion: "batch/v1", Kind: "Job", Namespace: "shop", Name: "shop-predeploy-r7"},
		{APIVersion: "v1", Kind: "Secret", Namespace: "shop", Name: "s"},
	}
	if diff := cmp.Diff(want, jobInventory(job)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
