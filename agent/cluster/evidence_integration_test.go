package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// judged is what the agent makes of an observation of r, so long after its objects
// were written.
func judged(r agent.Release, o agent.Observation, after time.Duration) agent.Verdict {
	applied := time.Now().Add(time.Hour) // later than whatever the cluster tells
	return agent.Judge(r, o, applied, applied.Add(after))
}

// TestRefusalsAreTold is about the real words of a real API server that refuses
// pods.
func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		refuse func(*testing.T, *fixture, string)
		want   agent.CauseKind
		event  string
	}{
		{"a quota", func(t *testing.T, f *fixture, namespace string) {
			t.Helper()
			f.noPods(t, namespace)
		}, agent.CauseQuota, "exceeded quota: none"},
		{"a pod security standard", func(t *testing.T, f *fixture, namespace string) {
			t.Helper()
			label := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
			if _, err := f.admin.core.Namespaces().Patch(t.Context(), namespace, types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}, agent.CauseAdmission, "violates PodSecurity"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := integration(t)
			r := f.created(t, f.release(1))
			test.refuse(t, f, r.Namespace)
			var err error
			if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			o := f.awaitObservation(t, r, func(o agent.Observation) bool { return o.Services[0].Refused != "" })
			verdict := judged(r, o, time.Minute)
			if verdict.Cause == nil || verdict.Cause.Kind != test.want {
				t.Fatalf("got %+v, want %s", verdict, test.want)
			}
			eventually(t, "the refusal is in the events", func() bool {
				told := f.Testimony(t.Context(), r, *verdict.Cause)
				return strings.Contains(strings.Join(told.Events, "\n"), test.event)
			})
		})
	}
}

// noPods makes a quota that leaves no room for any pod.
func (f *fixture) noPods(t *testing.T, namespace string) {
	t.Helper()
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: *apiresource.NewQuantity(0, apiresource.DecimalSI)}}}
	if _, err := f.admin.core.ResourceQuotas(namespace).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quota counts", func() bool {
		q, err := f.admin.core.ResourceQuotas(namespace).Get(t.Context(), quota.Name, metav1.GetOptions{})
		return err == nil && q.Status.Hard != nil
	})
}

// TestAPredeployOverTheQuotaIsTold is about a Job controller that tells in events
// alone that it may not make a pod.
func TestAPredeployOverTheQuotaIsTold(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.withPredeploy()
	r.App.Predeploy.Secrets = nil
	r = f.created(t, r)
	f.noPods(t, r.Namespace)
	if _, err := f.StartTask(t.Context(), r, agent.TaskPredeploy); err != nil {
		t.Fatal(err)
	}
	o := f.awaitPredeploy(t, r, func(o agent.PredeployObservation) bool { return !o.Missing })
	since := agent.Sightings{Started: time.Now(), Quiet: time.Now()}
	late := time.Now().Add(15 * time.Second)
	if got := agent.JudgeTask(agent.TaskPredeploy, *r.App.Predeploy, o, since, late); got.Done || len(got.Ask) != 1 || got.Ask[0].Name != render.PredeployName(r) {
		t.Fatalf("got %+v, want a question about the Job", got)
	}
	eventually(t, "the Job controller's word is told", func() bool {
		e := f.Evidence(t.Context(), r, agent.Question{Job: true, Name: o.Name})
		e.At, o.Evidence = late, &e
		got := agent.JudgeTask(agent.TaskPredeploy, *r.App.Predeploy, o, since, late)
		return got.Cause != nil && got.Cause.Kind == agent.CauseQuota
	})
}

// TestADeletedPredeployIsConfirmed is about the API server's word on a Job that
// somebody deletes.
func TestADeletedPredeployIsConfirmed(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.withPredeploy()
	r.App.Predeploy.Secrets = nil
	r = f.created(t, r)
	if _, err := f.StartTask(t.Context(), r, agent.TaskPredeploy); err != nil {
		t.Fatal(err)
	}
	q := agent.Question{Job: true, Name: render.PredeployName(r)}
	if e := f.Evidence(t.Context(), r, q); e.Missing || e.Unread {
		t.Errorf("got %+v of a Job that is there", e)
	}
	background := metav1.DeletePropagationBackground
	if err := f.admin.batch.Jobs(r.Namespace).Delete(t.Context(), q.Name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	if e := f.Evidence(t.Context(), r, q); !e.Missing {
		t.Errorf("got %+v of a Job that was deleted", e)
	}
	f.awaitPredeploy(t, r, func(o agent.PredeployObservation) bool { return o.Missing && len(o.Pods) == 0 })
}

// TestANodeAutoscalersAnswerIsHeard is about an event as an autoscaler writes it.
func TestANodeAutoscalersAnswerIsHeard(t *testing.T) {
	t.Parallel()
	f := integration(t)
	r := f.release(1)
	r.App.Services = r.App.Services[:1]
	r.App.Services[0].CPU, r.App.Services[0].Replicas = "5k", 1
	r = f.created(t, r)
	if _, err := f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	o := f.awaitObservation(t, r, func(o agent.Observation) bool {
		pods := o.Services[0].Pods
		return len(pods) == 1 && pods[0].Unschedulable != ""
	})
	first := judged(r, o, 25*time.Second)
	if first.Cause == nil || first.Cause.Kind != agent.CauseUnschedulable || len(first.Ask) != 1 {
		t.Fatalf("got %+v, want no node, and a question", first)
	}
	pod, now := first.Ask[0].Name, metav1.Now()
	_, err := f.admin.core.Events(r.Namespace).Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", pod, now.UnixNano())},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: r.Namespace, Name: pod},
		Reason:         "TriggeredScaleUp", Message: "pod triggered scale-up: [{workers 3->4 (max: 10)}]", Type: corev1.EventTypeNormal,
		Source: corev1.EventSource{Component: "cluster-autoscaler"}, Count: 1, FirstTimestamp: now, LastTimestamp: now,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e := f.Evidence(t.Context(), r, first.Ask[0])
	e.At = time.Now().Add(time.Hour + 25*time.Second)
	o.Services[0].Pods[0].Evidence = &e
	if got := judged(r, o, 25*time.Second); got.Done || !strings.Contains(got.Waits, "pod triggered scale-up") {
		t.Errorf("got %+v of %+v, want it waited for", got, e)
	}
}
