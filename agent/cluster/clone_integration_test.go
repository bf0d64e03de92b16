package cluster

import (
	"context"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

func TestClonesRunOnceOutsideOfThePreview(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	const hunter = "postgres://owner:hunter2@production.example.com/shop"
	copies := f.namespace + "-copies"
	if _, err := f.admin.core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: copies}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.admin.core.Namespaces().Delete(context.WithoutCancel(t.Context()), copies, metav1.DeleteOptions{}) // best effort
	})
	f.putSecret(t, copies, "production", map[string]string{"url": hunter})
	f.classes(t, "", `,"clone":{"namespace":"`+copies+`","image":"mirror.example.com/copy:1","command":["copy"],"source":"production","timeout":"5m"}`)
	r, p := f.preview(t)
	r, d := f.started(t, f.created(t, withDatabases(r, 1))), mainDatabase()
	for range 2 {
		if err := f.StartClone(t.Context(), r, d); err != nil {
			t.Fatal(err)
		}
	}
	jobs, err := f.admin.batch.Jobs(copies).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(jobs.Items) != 1 {
		t.Fatalf("got %d Jobs, %v; want one", len(jobs.Items), err)
	}
	job := jobs.Items[0]
	if *job.Spec.BackoffLimit != 0 || *job.Spec.ActiveDeadlineSeconds != 300 || job.Labels[render.LabelPreview] != p.UID {
		t.Errorf("got %+v", job.Spec)
	}
	target, err := f.admin.core.Secrets(copies).Get(t.Context(), job.Name, metav1.GetOptions{})
	if err != nil || !metav1.IsControlledBy(target, &job) && target.OwnerReferences[0].UID != job.UID {
		t.Fatalf("got %+v, %v: want a Secret that goes with the Job", target, err)
	}
	if !strings.Contains(f.fact(t, r, d), string(target.Data["url"])) || len(target.Data["url"]) == 0 {
		t.Error("the Job has another target than the database")
	}
	f.ends(t, r, d, &job)
	for _, what := range []string{"secrets", "configmaps", "pods", "events"} {
		all, err := f.admin.core.RESTClient().Get().Namespace(r.Namespace).Resource(what).Do(t.Context()).Raw()
		if err != nil || strings.Contains(string(all), "hunter2") || strings.Contains(string(all), copies) {
			t.Errorf("the %s of the preview know of the source, %v", what, err)
		}
	}
	if err := f.admin.batch.Jobs(copies).Delete(t.Context(), job.Name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a filled database is not filled again", func() bool { return f.cloned(r, d) })
	if err := f.StartClone(t.Context(), r, d); err != nil {
		t.Fatal(err)
	}
	if jobs, err = f.admin.batch.Jobs(copies).List(t.Context(), metav1.ListOptions{}); err != nil || len(jobs.Items) > 0 && jobs.Items[0].UID != job.UID {
		t.Errorf("got %d Jobs, %v; want none", len(jobs.Items), err)
	}
}

// ends has the Job end well, as its controller would say.
func (f *fixture) ends(t *testing.T, r agent.Release, d spec.Database, job *batchv1.Job) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	told := false
	err := f.WatchClone(ctx, r, d, func(o agent.PredeployObservation) bool {
		if !o.Missing && !told {
			told = true
			f.complete(t, job)
		}
		return o.Succeeded
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.admin.core.ConfigMaps(r.Namespace).Get(t.Context(), render.ClonedName(r, d), metav1.GetOptions{}); err != nil {
		t.Errorf("what was told is not on record: %v", err)
	}
}

func (f *fixture) complete(t *testing.T, job *batchv1.Job) {
	t.Helper()
	now := time.Now().UTC().Format(time.RFC3339) // else it is old enough to be deleted
	body := strings.ReplaceAll(`{"status":{"startTime":"NOW","completionTime":"NOW","succeeded":1,"uncountedTerminatedPods":{},"ready":0,"active":0,"conditions":[
		{"type":"SuccessCriteriaMet","status":"True","reason":"x","lastTransitionTime":"NOW"},{"type":"Complete","status":"True","reason":"x","lastTransitionTime":"NOW"}]}}`, "NOW", now)
	_, err := f.admin.batch.Jobs(job.Namespace).Patch(t.Context(), job.Name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status")
	if err != nil && !strings.Contains(err.Error(), "conflict") {
		t.Logf("its controller was first: %v", err)
	}
}
