package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// annotationIntent says which intent a predeploy's Job is of. Its name has the
// release's number alone, which an App that was deleted and made anew gives again.
const annotationIntent = "inhaul.dev/intent"

// StartPredeploy makes sure that the Job of r's predeploy is there, and before it
// the configuration and the Secret that it needs. It creates the Job, so the API
// server takes one of its name at most; a Job that is there already stays as it
// is, whatever has become of the secrets since. Before it makes one it tries all
// other objects of r too, so that a command is not run for a release that the
// cluster refuses. A *agent.Rejected says that
// nothing was written, and that nothing will be by asking again.
func (c *Client) StartPredeploy(ctx context.Context, r agent.Release) ([]agent.Object, error) {
	if err := c.readable(r); err != nil || r.App.Predeploy == nil {
		return nil, err
	}
	job, err := c.predeployJob(ctx, r)
	if err != nil {
		return nil, err
	}
	if job != nil {
		return jobInventory(job), nil
	}
	// What would fail the release afterwards fails it before its command has run.
	if _, err := c.prepare(ctx, r, slices.DeleteFunc(render.Holders(r.App), isPredeploy), render.Objects); err != nil {
		return nil, err
	}
	holders := slices.DeleteFunc(render.Holders(r.App), func(h render.Holder) bool { return !isPredeploy(h) })
	p, err := c.prepare(ctx, r, holders, func(r agent.Release, on render.Platform) ([]*unstructured.Unstructured, error) {
		objects, err := render.Predeploy(r, on)
		for _, u := range objects {
			if u.GetKind() == "Job" {
				annotations := map[string]string{annotationIntent: r.Intent}
				maps.Copy(annotations, u.GetAnnotations())
				u.SetAnnotations(annotations)
			}
		}
		return objects, err
	})
	if err != nil {
		return nil, err
	}
	if err := c.carryOut(ctx, r, p); err != nil {
		return nil, err
	}
	return p.inventory(), nil
}

func isPredeploy(h render.Holder) bool { return h.Name == render.HolderPredeploy }

// predeployJob reads the Job of r's predeploy from the API server; nil if there
// is none. One of that name that is not r's own is a refusal.
func (c *Client) predeployJob(ctx context.Context, r agent.Release) (*batchv1.Job, error) {
	requestCtx, cancel := bounded(ctx)
	defer cancel()
	at := agent.Object{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Namespace: r.Namespace, Name: render.PredeployName(r)}
	job, err := c.clients.batch.Jobs(at.Namespace).Get(requestCtx, at.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading Job %s: %w", at.Name, err)
	}
	if err := sameOwner(at, job, appLabels(r)); err != nil {
		return nil, err
	}
	if job.Annotations[annotationIntent] != r.Intent {
		return nil, &agent.Rejected{Object: at, Message: "there is one already, of another release with this number: delete it"}
	}
	return job, nil
}

// jobInventory is a predeploy's Job and what its pod gets its env from.
func jobInventory(job *batchv1.Job) []agent.Object {
	inventory := []agent.Object{{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Namespace: job.Namespace, Name: job.Name}}
	for _, container := range job.Spec.Template.Spec.Containers {
		for _, from := range container.EnvFrom {
			if from.ConfigMapRef != nil {
				inventory = append(inventory, agent.Object{APIVersion: "v1", Kind: "ConfigMap", Namespace: job.Namespace, Name: from.ConfigMapRef.Name})
			}
			if from.SecretRef != nil {
				inventory = append(inventory, secretReference(job.Namespace, from.SecretRef.Name))
			}
		}
	}
	slices.SortFunc(inventory, compareObjects)
	return inventory
}

// WatchPredeploy calls see with what the caches show of r's predeploy, at once
// and then whenever something of its app changed, until see returns true (nil) or
// ctx ends (its error). It sends no request.
func (c *Client) WatchPredeploy(ctx context.Context, r agent.Release, see func(agent.PredeployObservation) bool) error {
	return c.listen(ctx, r, func() bool {
		job, _ := c.cached("Job", r.Namespace, render.PredeployName(r)).(*batchv1.Job)
		return see(observePredeploy(r, job, ofApp[*corev1.Pod](c, "Pod", r.Namespace, r.Line.App)))
	})
}

// observePredeploy says how r's predeploy goes. It is pure. job is nil if there
// is none.
func observePredeploy(r agent.Release, job *batchv1.Job, pods []*corev1.Pod) agent.PredeployObservation {
	if job != nil && job.Annotations[annotationIntent] != r.Intent {
		job = nil
	}
	return observeJob(render.PredeployName(r), job, pods)
}

// observeJob says how the Job of that name goes, which is nil if there is none.
func observeJob(name string, job *batchv1.Job, pods []*corev1.Pod) agent.PredeployObservation {
	o := agent.PredeployObservation{Name: name}
	if job == nil {
		o.Missing = true
		o.Pods = leftPods(o.Name, pods)
		return o
	}
	if job.Status.StartTime != nil {
		o.StartedAt = job.Status.StartTime.UTC()
	}
	for _, condition := range job.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			o.Succeeded = true
		case batchv1.JobFailed:
			o.Failed, o.Reason = true, condition.Reason
		case batchv1.JobFailureTarget: // it will fail; its pods are still ending
			o.Reason = condition.Reason
		case batchv1.JobSuspended, batchv1.JobSuccessCriteriaMet:
		}
	}
	// A Job that somebody deletes never ends.
	o.Missing = job.DeletionTimestamp != nil && !o.Succeeded && !o.Failed
	if o.Missing {
		o.Pods = leftPods(o.Name, pods)
		return o
	}
	for _, pod := range pods {
		if metav1.IsControlledBy(pod, job) {
			o.Pods = append(o.Pods, observePod(pod))
		}
	}
	slices.SortFunc(o.Pods, comparePods)
	return o
}

// leftPods are the pods of a Job of that name, which is gone, that have not ended
// yet: the garbage collector tells them to.
func leftPods(job string, pods []*corev1.Pod) []agent.PodObservation {
	var left []agent.PodObservation
	for _, pod := range pods {
		owner := metav1.GetControllerOf(pod)
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if owner != nil && owner.Kind == "Job" && owner.Name == job && !ended {
			left = append(left, observePod(pod))
		}
	}
	slices.SortFunc(left, comparePods)
	return left
}
